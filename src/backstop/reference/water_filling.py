"""ADL policy ``water_filling``: lots come from whoever has the highest leverage (R6.6.23 to R6.6.25)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from backstop.core.instruments import PPM
from backstop.reference.arithmetic import ceil_div, holder_order, least_that, sign

__all__ = ["Standing", "exposure_in", "level_from_top", "standing_of"]

#: Neither exposure nor equity counts as more.
ATOMS_MAX = 1 << 60


class Standing(NamedTuple):
    """What an owner has in a class in which leverage is levelled. Atoms."""

    #: To the factor, as notional of the market on the side that is asked.
    exposure: int
    #: Above 0.
    equity: int
    #: Value of one lot.
    lot: int

    @property
    def leverage_ppm(self) -> int:
        """Exposure over equity."""
        return self.exposure * PPM // self.equity

    def level(self, number: int) -> Fraction:
        """Return the leverage at which his lot of a number, from 1, is asked for: half of it given."""
        return Fraction(2 * self.exposure - (2 * number - 1) * self.lot, 2 * self.equity)

    def lots_from(self, level: Fraction, cap: int) -> int:
        """Return how many of his lots are at or above a level."""
        return max(0, min(cap, (2 * self.exposure + self.lot - 2 * self.equity * level) // (2 * self.lot)))


def exposure_in(whole: int, loading_ppm: int, side: int) -> int:
    """Return a sum of loading x signed notional as notional of one side of a market with a loading."""
    return max(-ATOMS_MAX, min(side * sign(loading_ppm) * whole // abs(loading_ppm), ATOMS_MAX))


def standing_of(exposure: int, equity: int, notional: int, lot: int) -> Standing:
    """Return how an owner stands with lots of a notional: his equity counts as at least a millionth of exposure and
    lots together.
    """
    return Standing(exposure, max(min(equity, ATOMS_MAX), ceil_div(abs(exposure) + notional, PPM)), lot)


def level_from_top(lots: int, standings: Mapping[int, Standing], caps: Mapping[int, int]) -> tuple[dict[int, int], tuple[int, int]]:
    """Place the lots of the highest levels, ties by id; return the lots of each, and the level of the last
    as a fraction that is not reduced (0 / 0: all caps).
    """
    if sum(caps.values()) <= lots:
        return dict(caps), (0, 0)

    def upto(level_ppm: int) -> dict[int, int]:
        return {holder: each.lots_from(Fraction(level_ppm, PPM), caps[holder]) for holder, each in standings.items()}

    # Nobody has more than 2,000,000 times his equity, or less than minus that.
    high = 2_000_000 * PPM
    given = upto(least_that(lambda level_ppm: sum(upto(level_ppm).values()) <= lots, -high, high))
    while sum(given.values()) < lots:
        able = [holder for holder in standings if given[holder] < caps[holder]]
        given[max(able, key=lambda holder: (standings[holder].level(given[holder] + 1), _reversed(holder)))] += 1
    last = min(
        (holder for holder in given if given[holder]), key=lambda holder: (standings[holder].level(given[holder]), _reversed(holder))
    )
    standing = standings[last]
    return given, (2 * standing.exposure - (2 * given[last] - 1) * standing.lot, 2 * standing.equity)


def _reversed(holder: int) -> tuple[bool, int]:
    """Order holders against their order."""
    is_house, number = holder_order(holder)
    return not is_house, -number
