"""Backstop providers, counted from their effects and read off the final state: what they took,
gained and failed at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backstop.config import Venue
from backstop.core.events import NONE, EffectArray, EffectKind, ProviderStatus, Stage
from backstop.core.kinds import Columns, OfferEffect, ProviderEffect, TakeoverEffect
from backstop.core.margin import assess, gross_notional
from backstop.core.state import State
from backstop.runs.defaults import entries, payments
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
    #: Times that its own account came into default, and what was paid for it then, by who paid;
    #: None: nobody.
    defaults: int = 0
    paid_for: dict[Stage | None, int] = field(default_factory=dict)
    #: Its score before the latest event in which it took something over, and that event.
    score_before_ppm: int = 0
    taken_seq: int = -1


class BackerTally(Reader):
    """Counts what every provider did, by number."""

    def __init__(self, venue: Venue) -> None:
        self.rows = [Backer() for _ in venue.providers]
        #: Number of the provider whose account it is.
        self._numbers: dict[int, int] = {}

    @property
    def paid_for(self) -> dict[Stage | None, int]:
        """What was paid for providers in default, by who paid; None: nobody."""
        whole: dict[Stage | None, int] = {}
        for row in self.rows:
            for stage, atoms in row.paid_for.items():
                whole[stage] = whole.get(stage, 0) + atoms
        return whole

    def take_batch(self, fold: Fold) -> None:
        """Count the defaults of providers themselves, and what was paid for them."""
        bound = fold.rows(ProviderEffect[Columns])
        self._numbers.update(zip(bound.account.tolist(), bound.provider.tolist(), strict=True))
        accounts = list(self._numbers)
        entered = fold.once(entries).account
        for account in entered[np.isin(entered, accounts)].tolist():
            self.rows[self._numbers[account]].defaults += 1
        for stage, defaulter, amount in fold.once(payments):
            for place in np.flatnonzero(np.isin(defaulter, accounts) & (amount != 0)).tolist():
                paid_for = self.rows[self._numbers[int(defaulter[place])]].paid_for
                paid_for[stage] = paid_for.get(stage, 0) + int(amount[place])

    @reads(OfferEffect)
    def _add_offers(self, rows: OfferEffect[Columns], fold: Fold) -> None:
        for number, count in zip(*np.unique(rows.provider, return_counts=True), strict=True):
            self.rows[int(number)].offers += int(count)

    @reads(TakeoverEffect, ProviderEffect)
    def _add(self, effects: EffectArray, fold: Fold) -> None:
        taken, changed = fold.rows(TakeoverEffect[Columns]), fold.rows(ProviderEffect[Columns])
        # What closing at mark would have given the account.
        at_mark = -fold.contracts.values(taken.market, taken.lots, fold.mark.at(taken.seq, taken.market))
        columns = (taken.provider, at_mark, taken.cash, taken.support, taken.offer_id, taken.seq)
        takeovers = zip(*(column.tolist() for column in columns), strict=True)
        changes = zip(changed.provider.tolist(), changed.score_ppm.tolist(), changed.seq.tolist(), strict=True)
        for kind in effects["kind"].tolist():
            if kind == EffectKind.TAKEOVER:
                self._take_over(*next(takeovers))
            else:
                self._change(*next(changes))

    def _take_over(self, provider: int, at_mark: int, cash: int, support: int, offer_id: int, seq: int) -> None:
        backer = self.rows[provider]
        backer.takeovers += 1
        backer.notional += abs(at_mark)
        backer.edge += at_mark - cash
        backer.support += support
        if offer_id and backer.taken_seq != seq:
            # It accepted a joint offer; no effect of its own says by how much this raises its score.
            backer.taken_seq, backer.score_before_ppm = seq, backer.score_ppm
            backer.score_ppm += (_PPM - backer.score_ppm) // 8

    def _change(self, provider: int, score_ppm: int, seq: int) -> None:
        backer = self.rows[provider]
        # Only a failure lowers a score (one that is at its least stays there). Where it could not
        # carry all that it accepted, the score was not raised.
        backer.failures += score_ppm < (backer.score_before_ppm if backer.taken_seq == seq else backer.score_ppm)
        backer.score_ppm = backer.score_before_ppm = score_ppm


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
