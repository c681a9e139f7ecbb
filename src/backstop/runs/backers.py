"""Backstop providers, counted from their effects and read off the final state: what they took,
gained and failed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backstop.config import Venue
from backstop.core.events import NONE, EffectArray, EffectKind, ProviderStatus
from backstop.core.kinds import Columns, OfferEffect, ProviderEffect, TakeoverEffect
from backstop.core.margin import assess, gross_notional
from backstop.core.state import State
from backstop.runs.fold import Fold, Reader, reads

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


class BackerTally(Reader):
    """Counts what every provider did, by number."""

    def __init__(self, venue: Venue) -> None:
        self.rows = [Backer() for _ in venue.providers]

    @reads(OfferEffect)
    def _add_offers(self, rows: OfferEffect[Columns], fold: Fold) -> None:
        for number, count in zip(*np.unique(rows.provider, return_counts=True), strict=True):
            self.rows[int(number)].offers += int(count)

    @reads(TakeoverEffect, ProviderEffect)
    def _add(self, effects: EffectArray, fold: Fold) -> None:
        taken, changed = fold.rows(TakeoverEffect[Columns]), fold.rows(ProviderEffect[Columns])
        # What closing at mark would have given the account.
        at_mark = -fold.contracts.values(taken.market, taken.lots, fold.mark.at(taken.seq, taken.market))
        takeovers = zip(*(column.tolist() for column in (taken.provider, at_mark, taken.cash, taken.support, taken.offer_id)), strict=True)
        changes = zip(changed.provider.tolist(), changed.score_ppm.tolist(), strict=True)
        for kind in effects["kind"].tolist():
            if kind == EffectKind.TAKEOVER:
                self._take_over(*next(takeovers))
            else:
                self._change(*next(changes))

    def _take_over(self, provider: int, at_mark: int, cash: int, support: int, offer_id: int) -> None:
        backer = self.rows[provider]
        backer.takeovers += 1
        backer.notional += abs(at_mark)
        backer.edge += at_mark - cash
        backer.support += support
        if offer_id:
            # It accepted an offer; no effect of its own says by how much this raises its score.
            backer.score_ppm += (_PPM - backer.score_ppm) // 8

    def _change(self, provider: int, score_ppm: int) -> None:
        backer = self.rows[provider]
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
    equity, notional = int(assess(state, account)[0]), int(gross_notional(state, account))
    return BackerStanding(account, status, equity, equity - int(row.baseline), notional, int(row.score_ppm))
