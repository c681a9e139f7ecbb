"""What each backstop provider holds and is worth over time, rebuilt from effects and accepted marks.

A provider's account changes with its own postings and trades, and with every mark of a market that it holds. Its
inventory and its equity are worked out after each of those events, in integers, without asking the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import NONE, EffectArray, EffectKind, ProviderStatus
from backstop.report.books import Books
from backstop.report.series import Envelope, TimeGrid
from backstop.runs.follow import Follower

__all__ = ["Pause", "ProviderRecord", "ProviderRecords"]

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Pause:
    """A time during which a provider was stopped by its loss, or off."""

    status: ProviderStatus
    start_ns: int
    #: None: to the end.
    end_ns: int | None = None


@dataclass(slots=True)
class ProviderRecord:
    """One backstop provider over the run. Money in atoms."""

    grid: TimeGrid
    #: ``NONE``: no account was bound to it yet.
    account: int = NONE
    #: Its positions at mark, without sign.
    inventory: Envelope = field(init=False)
    equity: Envelope = field(init=False)
    #: When it was bound, and after the last event.
    equity_first: int = 0
    equity_now: int = 0
    inventory_now: int = 0
    inventory_most: tuple[int, int] = (0, 0)
    status: ProviderStatus = ProviderStatus.UNBOUND
    #: Times at which it was stopped or off, as the engine told them: an end is told when the provider is next asked for.
    pauses: list[Pause] = field(default_factory=list)
    _bound_seq: int = -1
    _has_value: bool = False

    def __post_init__(self) -> None:
        self.inventory, self.equity = Envelope(self.grid), Envelope(self.grid)

    def bind(self, account: int, seq: int) -> None:
        """Take the account; its series begins here."""
        if self.account == NONE:
            self.account, self._bound_seq = account, seq

    def turn(self, status: ProviderStatus, time_ns: int) -> None:
        """Take a status; one that it has already changes nothing."""
        if status == self.status:
            return
        if self.pauses and self.pauses[-1].end_ns is None:
            self.pauses[-1].end_ns = time_ns
        if status in (ProviderStatus.OFF, ProviderStatus.STOPPED):
            self.pauses.append(Pause(status, time_ns))
        self.status = status

    def since_bound(self, seqs: Ints) -> Ints:
        """Return those seqs that do not lie before its binding."""
        later: Ints = seqs[seqs >= self._bound_seq]
        return later

    def add(self, times_ns: Ints, inventory: Ints, equity: Ints) -> None:
        """Take values in order of time."""
        if len(times_ns) == 0:
            return
        if not self._has_value:
            self.equity_first, self._has_value = int(equity[0]), True
        self.inventory.add(times_ns, inventory)
        self.equity.add(times_ns, equity)
        self.equity_now, self.inventory_now = int(equity[-1]), int(inventory[-1])
        most = int(inventory.argmax())
        if inventory[most] > self.inventory_most[0]:
            self.inventory_most = (int(inventory[most]), int(times_ns[most]))


class ProviderRecords:
    """Follows every provider that an account was bound to, by number."""

    def __init__(self, factor: Ints) -> None:
        #: By number, as the venue has them.
        self.rows: dict[int, ProviderRecord] = {}
        self._factor = factor

    def add(self, grid: TimeGrid, effects: EffectArray, follower: Follower, books: Books) -> None:
        """Take a batch that the follower has taken, and the books have not."""
        changes = effects[effects["kind"] == EffectKind.PROVIDER]
        for row, time_ns in zip(changes, follower.time_ns(changes["seq"]).tolist(), strict=True):
            record = self.rows.setdefault(int(row["other"]), ProviderRecord(grid))
            record.bind(int(row["account"]), int(row["seq"]))
            record.turn(ProviderStatus(int(row["code"])), time_ns)
        if not self.rows:
            return
        kinds = effects["kind"]
        moving = effects[np.isin(kinds, (EffectKind.POSTING, EffectKind.TRADE, EffectKind.HAIRCUT, EffectKind.PROVIDER))]
        marked, _, _ = follower.mark.changes
        for record in self.rows.values():
            own = moving[
                (moving["account"] == record.account) | ((moving["kind"] == EffectKind.POSTING) & (moving["other"] == record.account))
            ]
            seqs = record.since_bound(np.union1d(marked, own["seq"]))
            record.add(follower.time_ns(seqs), *self._values(record.account, own, seqs, follower, books))

    def _values(self, account: int, own: EffectArray, seqs: Ints, follower: Follower, books: Books) -> tuple[Ints, Ints]:
        """Return inventory and equity right after the events of ``seqs``."""
        postings = own[own["kind"] == EffectKind.POSTING]
        paid = np.where(postings["account"] == account, postings["amount"], -postings["amount"])
        equity = books.balance_of(account) + _running(postings["seq"], paid, seqs)
        inventory = np.zeros(len(seqs), dtype=np.int64)
        trades, cuts = own[own["kind"] == EffectKind.TRADE], own[own["kind"] == EffectKind.HAIRCUT]
        held = books.positions_of(account)
        for market in sorted({*held, *np.unique(trades["market"]).tolist()}):
            lots, cost = held.get(market, (0, 0))
            mine, cut = trades[trades["market"] == market], cuts[cuts["market"] == market]
            value = (lots + _running(mine["seq"], mine["lots"], seqs)) * self._factor[market]
            value = value * follower.mark.at(seqs, np.full(len(seqs), market, dtype=np.int64))
            inventory += np.abs(value)
            # What was received and not realised lowers the cost (docs/rules.md, 1); a cut raises it (6).
            equity += value - cost + _running(mine["seq"], mine["amount"] - mine["value"], seqs)
            equity -= _running(cut["seq"], cut["amount"], seqs)
        return inventory, equity


def _running(at: Ints, changes: Ints, seqs: Ints) -> Ints:
    """Return the sum of changes up to and with each of ``seqs``; ``at`` ascends."""
    sums = np.concatenate(([0], np.cumsum(changes)))
    running: Ints = sums[np.searchsorted(at, seqs, side="right")]
    return running
