"""Backstop providers, counted from their effects and read off the final state: what they took, gained and failed at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import NONE, EffectArray, EffectKind, ProviderStatus
from backstop.core.state import State
from backstop.runs.follow import Follower

_PPM = 1_000_000

__all__ = ["Backer", "BackerStanding", "BackerTally", "standings_of"]


@dataclass(slots=True)
class Backer:
    """What one provider did. Money in atoms."""

    offers: int = 0
    #: Transfers to it, and the lots' worth at mark.
    takeovers: int = 0
    notional: int = 0
    #: What it got the positions for below their worth at mark.
    edge: int = 0
    #: What the fund added for the accounts that it took over from.
    support: int = 0
    #: Offers that it refused, did not answer, or could not carry when it accepted.
    failures: int = 0
    score_ppm: int = 0


@dataclass(slots=True)
class BackerTally:
    """Follows every provider, by number."""

    venue: Venue
    rows: list[Backer] = field(init=False)
    _factor: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [Backer() for _ in self.venue.providers]
        self._factor = np.array([market.notional_factor for market in self.venue.markets], dtype=np.int64)

    def add(self, effects: EffectArray, follower: Follower) -> None:
        """Take the OFFER, TAKEOVER and PROVIDER effects of a batch, in their order."""
        kinds = (EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.PROVIDER)
        effects = effects[np.isin(effects["kind"], [int(kind) for kind in kinds])]
        taken = effects["kind"] == EffectKind.TAKEOVER
        worth = np.zeros(len(effects), dtype=np.int64)
        rows = effects[taken]
        # What closing at mark would have given the account.
        worth[taken] = -rows["lots"] * follower.mark.at(rows["seq"], rows["market"]) * self._factor[rows["market"]]
        for row, at_mark in zip(effects, worth.tolist(), strict=True):
            kind = int(row["kind"])
            if kind == EffectKind.TAKEOVER:
                self._take_over(row, at_mark)
            elif kind == EffectKind.OFFER:
                self.rows[int(row["price_ticks"])].offers += 1
            else:
                self._change(row)

    def _take_over(self, row: Any, at_mark: int) -> None:
        backer = self.rows[int(row["price_ticks"])]
        backer.takeovers += 1
        backer.notional += abs(at_mark)
        backer.edge += at_mark - int(row["amount"])
        backer.support += int(row["value"])
        if int(row["other"]):
            # It accepted an offer; no effect of its own says by how much this raises its score.
            backer.score_ppm += (_PPM - backer.score_ppm) // 8

    def _change(self, row: Any) -> None:
        backer, score_ppm = self.rows[int(row["other"])], int(row["amount"])
        # Only a failure lowers a score (one that is at its least stays there).
        backer.failures += score_ppm < backer.score_ppm
        backer.score_ppm = score_ppm


@dataclass(frozen=True, slots=True)
class BackerStanding:
    """How a provider stands in a state. Money in atoms."""

    #: ``NONE``: no account was bound to it.
    account: int
    status: ProviderStatus
    equity: int
    #: Equity beyond what it brought: its profit, unrealised included.
    profit: int
    #: Its positions at mark, without sign.
    open_notional: int
    score_ppm: int


def standings_of(state: State) -> tuple[BackerStanding, ...]:
    """Return how every provider stands, with integers that do not wrap."""
    return tuple(_standing(state, row) for row in state.providers[: int(state.rules[0].providers)])


def _standing(state: State, row: Any) -> BackerStanding:
    account, status = int(row.account), ProviderStatus(int(row.status))
    if account == NONE:
        return BackerStanding(account, status, 0, 0, 0, int(row.score_ppm))
    positions = state.positions[: int(state.engine[0].positions_now)]
    equity, notional = int(state.accounts[account].balance), 0
    for position in positions[(positions["account"] == account) & (positions["lots"] != 0)]:
        market = state.markets[int(position["market"])]
        value = int(position["lots"]) * int(market.mark_ticks) * int(market.notional_factor)
        equity += value - int(position["cost"])
        notional += abs(value)
    return BackerStanding(account, status, equity, equity - int(row.baseline), notional, int(row.score_ppm))
