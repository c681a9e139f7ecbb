"""What each backstop provider holds and is worth over time, rebuilt from effects and accepted
marks.

A provider's account changes with its own postings and trades, and with every mark of a market that
it holds. Its inventory and its equity are worked out after each of those events, in integers,
independently of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from backstop.core.events import NONE, Cause, ProviderStatus
from backstop.core.kinds import Columns, HaircutEffect, PostingEffect, ProviderEffect, TradeEffect
from backstop.report.books import Books
from backstop.report.series import Envelope, TimeGrid
from backstop.runs.fold import Fold, Ints, Reader

__all__ = ["Pause", "ProviderRecord", "ProviderRecords"]


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
    #: Times at which it was stopped or off, as the engine told them: an end is told when the
    #: provider is next asked for.
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


class ProviderRecords(Reader, Mapping[int, ProviderRecord]):
    """Follows every provider that an account was bound to, by number.

    It must join before ``books``.
    """

    def __init__(self, grid: TimeGrid, books: Books) -> None:
        self._grid, self._books = grid, books
        self._records: dict[int, ProviderRecord] = {}

    def __getitem__(self, number: int) -> ProviderRecord:
        return self._records[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def take_batch(self, fold: Fold) -> None:
        """Take changes of status, then the values after every event that changed one."""
        changes = fold.rows(ProviderEffect[Columns])
        for row, time_ns in zip(map(ProviderEffect[int], changes.rows), fold.time_ns(changes.seq).tolist(), strict=True):
            record = self._records.setdefault(row.provider, ProviderRecord(self._grid))
            record.bind(row.account, row.seq)
            record.turn(row.status, time_ns)
        marked, _, _ = fold.mark.changes
        for record in self.values():
            own = _Moves.of(record.account, fold)
            seqs = record.since_bound(np.unique(np.concatenate([marked, own.seqs(), changes.seq[changes.account == record.account]])))
            record.add(fold.time_ns(seqs), *self._values(record.account, own, seqs, fold))

    def _values(self, account: int, own: _Moves, seqs: Ints, fold: Fold) -> tuple[Ints, Ints]:
        """Return inventory and equity right after the events of ``seqs``."""
        postings, trades, cuts = own
        paid = np.where(postings.receiver == account, postings.amount, -postings.amount)
        equity = self._books.balance_of(account) + _running(postings.seq, paid, seqs)
        inventory = np.zeros(len(seqs), dtype=np.int64)
        held = self._books.positions_of(account)
        for market in sorted({*held, *np.unique(trades.market).tolist(), *np.unique(cuts.market).tolist()}):
            lots, cost = held.get(market, (0, 0))
            mine, cut = trades.where(trades.market == market), cuts.where(cuts.market == market)
            markets, held_then = np.full(len(seqs), market, dtype=np.int64), lots + _running(mine.seq, mine.lots, seqs)
            value = fold.contracts.values(markets, held_then, fold.mark.at(seqs, markets))
            inventory += np.abs(value)
            # What was received and not realised lowers the cost (R1.3.2); a cut raises it, where it is not
            # paid from money, and what another account of the owner pays of one (R6.9.4).
            equity += value - cost + _running(mine.seq, mine.cash - mine.realised, seqs)
            equity -= _running(cut.seq, cut.amount, seqs)
            moved = postings.where((postings.cause == Cause.HAIRCUT) & (postings.payer >= 0) & (postings.market == market))
            equity += _running(moved.seq, np.where(moved.payer == account, moved.amount, -moved.amount), seqs)
        return inventory, equity


class _Moves(NamedTuple):
    """What moved on one account."""

    postings: PostingEffect[Columns]
    trades: TradeEffect[Columns]
    cuts: HaircutEffect[Columns]

    @classmethod
    def of(cls, account: int, fold: Fold) -> _Moves:
        """Return the moves of a batch."""
        postings, trades = fold.rows(PostingEffect[Columns]), fold.rows(TradeEffect[Columns])
        cuts = fold.rows(HaircutEffect[Columns])
        return cls(
            postings.where((postings.receiver == account) | (postings.payer == account)),
            trades.where(trades.account == account),
            cuts.where(cuts.payer == account),
        )

    def seqs(self) -> Ints:
        """Return the seqs of their events."""
        return np.concatenate([rows.seq for rows in self])


def _running(at: Ints, changes: Ints, seqs: Ints) -> Ints:
    """Return the sum of changes up to and with each of ``seqs``; ``at`` ascends."""
    sums = np.concatenate(([0], np.cumsum(changes)))
    running: Ints = sums[np.searchsorted(at, seqs, side="right")]
    return running
