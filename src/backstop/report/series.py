"""Series that stay small however long a run is: time is cut into spans that double when it outgrows
them.

All series of a report share one ``TimeGrid``, so that their spans line up. A span of an
``Envelope`` keeps the first, lowest, highest and last value: no extreme is lost, only its place
within the span. A span of ``Sums`` keeps an exact sum.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPANS_MAX", "Envelope", "Sums", "TimeGrid"]

Ints = NDArray[np.int64]

#: Most spans of a grid; between half of them and all are in use.
SPANS_MAX = 1200
#: Doubled nine times this is 15 s, so that the spans of a day are 15, 30 or 60 s.
_WIDTH_FIRST_NS = 29_296_875


class _Member(Protocol):
    def fold(self) -> None:
        """Join each pair of spans into one."""


class TimeGrid:
    """Equal spans of time from ``start_ns`` on, at most ``SPANS_MAX`` of them."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = int(start_ns)
        self.width_ns = _WIDTH_FIRST_NS
        self.last_ns = self.start_ns
        self._members: list[_Member] = []

    def begin(self, start_ns: int) -> None:
        """Set where the spans begin, before any series has a value."""
        self.start_ns = self.last_ns = int(start_ns)

    @property
    def spans(self) -> int:
        """How many spans are in use."""
        return (self.last_ns - self.start_ns) // self.width_ns + 1

    def join(self, member: _Member) -> None:
        """Let a series follow the grid."""
        self._members.append(member)

    def places(self, times_ns: Ints) -> NDArray[np.intp]:
        """Return the span of each time; the spans widen where the last time needs it."""
        if len(times_ns) == 0:
            return np.zeros(0, dtype=np.intp)
        self.last_ns = max(self.last_ns, int(times_ns.max()))
        while self.spans > SPANS_MAX:
            self.width_ns *= 2
            for member in self._members:
                member.fold()
        return (np.maximum(times_ns - self.start_ns, 0) // self.width_ns).astype(np.intp)

    def time_ns(self, place: float) -> int:
        """Return the time at which a span begins."""
        return self.start_ns + int(place * self.width_ns)


class Envelope:
    """First, lowest, highest and last value of every span."""

    def __init__(self, grid: TimeGrid) -> None:
        self.grid = grid
        self.filled = np.zeros(SPANS_MAX, dtype=bool)
        self.first, self.low, self.high, self.last = (np.zeros(SPANS_MAX, dtype=np.int64) for _ in range(4))
        grid.join(self)

    def add(self, times_ns: Ints, values: Ints) -> None:
        """Take values in order of time."""
        if len(values) == 0:
            return
        places = self.grid.places(times_ns)
        starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
        spans = places[starts]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        lasts = values[np.concatenate((starts[1:], [len(values)])) - 1]
        fresh = ~self.filled[spans]
        self.first[spans[fresh]] = values[starts[fresh]]
        self.low[spans] = np.where(fresh, low, np.minimum(self.low[spans], low))
        self.high[spans] = np.where(fresh, high, np.maximum(self.high[spans], high))
        self.last[spans] = lasts
        self.filled[spans] = True

    def fold(self) -> None:
        """Join each pair of spans into one."""
        left, right = self.filled[0::2], self.filled[1::2]
        both, only = left & right, left & ~right
        half = len(left)
        first = np.where(left, self.first[0::2], self.first[1::2])
        last = np.where(right, self.last[1::2], self.last[0::2])
        low = np.where(both, np.minimum(self.low[0::2], self.low[1::2]), np.where(only, self.low[0::2], self.low[1::2]))
        high = np.where(both, np.maximum(self.high[0::2], self.high[1::2]), np.where(only, self.high[0::2], self.high[1::2]))
        filled = left | right
        for array, folded in ((self.first, first), (self.last, last), (self.low, low), (self.high, high), (self.filled, filled)):
            array[:half] = folded
            array[half:] = 0

    @property
    def spans(self) -> Ints:
        """The spans that have a value."""
        return np.flatnonzero(self.filled).astype(np.int64)


class Sums:
    """Sum of every span."""

    def __init__(self, grid: TimeGrid) -> None:
        self.grid = grid
        self.sums = np.zeros(SPANS_MAX, dtype=np.int64)
        grid.join(self)

    def add(self, times_ns: Ints, values: Ints) -> None:
        """Add values to their spans."""
        places = self.grid.places(times_ns)
        np.add.at(self.sums, places, values)

    def fold(self) -> None:
        """Join each pair of spans into one."""
        half = len(self.sums) // 2
        self.sums[:half] = self.sums[0::2] + self.sums[1::2]
        self.sums[half:] = 0
