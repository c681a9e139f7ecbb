"""Where every account stands in the ADL queue of a market, asked of a state at rest.

Longs and shorts are ranked apart: ADL of a long asks shorts. Accounts that are DISTRESSED or worse
are not eligible and have no rank. An owner is asked as one: his accounts stand together, the
highest leverage first. Ranks are those that a stranger's default would meet: an account
of the defaulter's own owner would stand before all others. The house comes last and is not ranked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import AdlClass, Health
from backstop.core.state import State
from backstop.core.waterfall.ranking import rank_positions

__all__ = ["LIGHTS", "MarketRanks", "Ranked", "rank_market"]

#: Lights of the display that venues show: all are on for the fifth of the lots that is asked first.
LIGHTS = 5

Ints = NDArray[np.int64]


class Ranked(NamedTuple):
    """One account's place on its side of a market."""

    account: int
    #: Signed.
    lots: int
    adl_class: AdlClass
    #: Of its owner: result in proportion to cost x leverage, in ppm (R6.6.13).
    score_ppm: int
    #: From 1, which is asked first.
    rank: int
    #: Accounts ranked on this side.
    ranked: int
    #: Lots of those asked before, and of all ranked on this side.
    lots_before: int
    lots_total: int
    #: From 5, the fifth of the lots asked first, to 1.
    lights: int

    def as_json(self) -> dict[str, Any]:
        """Return the place as one object."""
        return {**self._asdict(), "adl_class": self.adl_class.name.lower(), "side": "long" if self.lots > 0 else "short"}


@dataclass(frozen=True, slots=True)
class MarketRanks:
    """All ranks of one side of a market, in order of rank."""

    accounts: Ints
    lots: Ints
    classes: Ints
    scores: Ints

    def of(self, account: int) -> Ranked | None:
        """Return an account's place, or None where it has none."""
        found = np.flatnonzero(self.accounts == account)
        if not len(found):
            return None
        place = int(found[0])
        # Exact: a sum of lots times five may not fit in 64 bits.
        held = [abs(lots) for lots in self.lots.tolist()]
        before, total = sum(held[:place]), sum(held)
        fifth = -(-LIGHTS * (before + held[place]) // total)
        return Ranked(
            account,
            int(self.lots[place]),
            AdlClass(int(self.classes[place])),
            int(self.scores[place]),
            place + 1,
            len(held),
            before,
            total,
            LIGHTS + 1 - fifth,
        )


def rank_market(state: State, market: int) -> tuple[MarketRanks, MarketRanks]:
    """Return the ranks of a market's longs and shorts; the market must have a mark.

    Uses a scratch column of the state; no effect and no digest depends on it.
    """
    rows = state.positions[: int(state.engine[0].positions_now)]
    mine = np.flatnonzero((rows["market"] == market) & (rows["lots"] != 0) & (rows["account"] >= 0)).astype(np.int64)
    mine = mine[state.accounts["health"][rows["account"][mine]] < Health.DISTRESSED]
    longs = rows["lots"][mine] > 0
    return _rank_side(state, market, mine[longs]), _rank_side(state, market, mine[~longs])


def _rank_side(state: State, market: int, positions: Ints) -> MarketRanks:
    classes, scores, leverages = (np.zeros(len(positions), dtype=np.int64) for _ in range(3))
    rank_positions(state, market, positions, classes, scores, leverages, len(positions))
    accounts = state.positions["account"][positions].astype(np.int64)
    order = np.lexsort((accounts, -leverages, _firsts(state, accounts), -scores, classes))
    return MarketRanks(accounts[order], state.positions["lots"][positions][order].astype(np.int64), classes[order], scores[order])


def _firsts(state: State, accounts: Ints) -> Ints:
    """Return for each account the lowest id of those of its owner."""
    owners = state.accounts["owner"][accounts].astype(np.int64)
    _, places = np.unique(owners, return_inverse=True)
    firsts = np.full(int(places.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(firsts, places, accounts)
    found: Ints = firsts[places]
    return found
