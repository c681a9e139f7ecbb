"""What an account pays that leaves beside the book: what the book would have been expected to cost
(R6.5).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from backstop.core.instruments import PPM
from backstop.reference.arithmetic import least_that
from backstop.reference.book import Book
from backstop.reference.margin import Holding, Standing

__all__ = ["Cost", "Exit", "least_to_restore", "place_in_order"]


class Cost(NamedTuple):
    """What closing lots is expected to cost. Atoms."""

    slippage: int
    fee: int

    @property
    def whole(self) -> int:
        """Both together."""
        return self.slippage + self.fee


class Exit(NamedTuple):
    """A solvent account's way out: the side of the book that would take its position, and the
    liquidation fee there.
    """

    book: Book
    fee_ppm: int

    def cost(self, lots: int) -> Cost:
        """Return what closing so many lots on the book is expected to cost."""
        notional = self.book.contract.notional_of(lots)
        return Cost(self.book.slippage(lots), notional * self.fee_ppm // PPM)

    def charge(self, lots: int, taken: int, equity: int) -> int:
        """Return what the account pays to the fund for lots that leave otherwise.

        ``taken``: what the other side gets beyond the mark; ``equity``: before the trade.
        """
        if equity < 0:
            return 0
        return min(max(0, self.cost(lots).whole - max(0, taken)), max(0, equity - taken))

    def least_to_leave(self, everything: int, after: Callable[[int, int], Standing]) -> int | None:
        """Return the least lots that restore the account with the charge; None: no number does.

        ``after``: its standing by cost and lots.
        """
        return least_to_restore(self.book, everything, lambda lots: after(self.cost(lots).whole, lots).is_restored)


def least_to_restore(book: Book, everything: int, is_restored_by: Callable[[int], bool]) -> int | None:
    """Return the least lots that restore an account, None where no number does: probe the cumulative
    depths, then bisect below the first that restores.
    """
    probes, reached = [], 0
    for band in book.bands:
        reached += max(0, band.lots)
        probes.append(min(reached, everything))
    low = 0
    for probe in [*probes, everything]:
        if probe and is_restored_by(probe):
            return least_that(is_restored_by, low, probe)
        low = probe
    return None


def place_in_order(holding: Holding, cost: Cost) -> tuple[bool, Fraction, int, int]:
    """Return the place of a position in the order in which an account's positions are closed (R6.4.5):
    the maintenance margin released per expected cost, the most first. ``cost``: of closing it all.
    """
    released, whole = holding.released(abs(holding.lots)), cost.whole
    return whole > 0, Fraction(-released, whole) if whole else Fraction(0), -released, holding.market
