"""Every market over a run: its marks, the prices that the guard held back, and what was closed of
accounts in default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from backstop.config.stages import key_of
from backstop.core.events import Guard
from backstop.core.kinds import Columns, GuardEffect
from backstop.report.series import Envelope, Sums, TimeGrid
from backstop.runs.defaults import Closing, closings
from backstop.runs.fold import Fold, Ints, Reader, reads

__all__ = ["MarketRecord", "MarketRecords"]


@dataclass(slots=True)
class MarketRecord:
    """One market over the run."""

    grid: TimeGrid
    mark: Envelope = field(init=False)
    #: Prices at which defaulters' positions were closed, by method.
    fills: dict[str, Envelope] = field(default_factory=dict)
    #: Prices that the price guard held back, and how often it did what.
    held: Envelope = field(init=False)
    guard: Counter[Guard] = field(default_factory=Counter)
    #: Notional closed, by method, in atoms.
    closed: dict[str, Sums] = field(default_factory=dict)
    closed_total: dict[str, int] = field(default_factory=dict)
    mark_first: int = 0
    mark_last: int = 0
    low: tuple[int, int] = (0, 0)
    high: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.mark, self.held = Envelope(self.grid), Envelope(self.grid)

    @property
    def notional_closed(self) -> int:
        """Notional of defaulters' positions closed in any way, in atoms."""
        return sum(self.closed_total.values())

    def add_marks(self, times_ns: Ints, ticks: Ints) -> None:
        """Take accepted marks."""
        if self.mark_first == 0:
            self.mark_first = int(ticks[0])
            self.low = self.high = (int(ticks[0]), int(times_ns[0]))
        self.mark_last = int(ticks[-1])
        least, most = int(ticks.argmin()), int(ticks.argmax())
        self.low = min(self.low, (int(ticks[least]), int(times_ns[least])))
        if ticks[most] > self.high[0]:
            self.high = (int(ticks[most]), int(times_ns[most]))
        self.mark.add(times_ns, ticks)

    def add_closed(self, method: str, times_ns: Ints, ticks: Ints, notional: Ints) -> None:
        """Take closings of defaulters' positions."""
        if method not in self.closed:
            self.closed[method], self.fills[method] = Sums(self.grid), Envelope(self.grid)
        self.closed[method].add(times_ns, notional)
        self.closed_total[method] = self.closed_total.get(method, 0) + sum(notional.tolist())
        self.fills[method].add(times_ns, ticks)


class MarketRecords(Reader, Mapping[int, MarketRecord]):
    """The markets that had a price, by number."""

    def __init__(self, grid: TimeGrid) -> None:
        self._grid = grid
        self._records: dict[int, MarketRecord] = {}

    def __getitem__(self, number: int) -> MarketRecord:
        return self._records[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def by_closing(self) -> list[int]:
        """Their numbers: where most was closed first, then in the venue's order."""
        return sorted(self, key=lambda number: (-self[number].notional_closed, number))

    def closed(self, method: str) -> int:
        """Return the notional that was closed by a method in all of them [atoms]."""
        return sum(record.closed_total.get(method, 0) for record in self.values())

    def take_batch(self, fold: Fold) -> None:
        """Take accepted marks, and what was closed."""
        seqs, markets, ticks = fold.mark.changes
        times_ns = fold.time_ns(seqs)
        for number in np.unique(markets).tolist():
            mine = markets == number
            self._record(number).add_marks(times_ns[mine], ticks[mine])
        for closing in fold.once(closings):
            self._add_closing(closing, fold.time_ns(closing.seq))

    def _add_closing(self, closing: Closing, times_ns: Ints) -> None:
        for number in np.unique(closing.market).tolist():
            mine = closing.market == number
            record, method = self._record(number), key_of(closing.stage)
            record.add_closed(method, times_ns[mine], closing.ticks[mine], closing.notional[mine])

    @reads(GuardEffect)
    def _add_guard(self, rows: GuardEffect[Columns], fold: Fold) -> None:
        for number in np.unique(rows.market).tolist():
            mine, record = rows.where(rows.market == number), self._record(number)
            record.guard.update(Guard(action) for action in mine.action.tolist())
            held = mine.where(mine.action == Guard.HELD)
            record.held.add(fold.time_ns(held.seq), held.price_ticks)

    def _record(self, number: int) -> MarketRecord:
        return self._records.setdefault(number, MarketRecord(self._grid))
