"""When a run began and ended, and the spans of time that all series of its report share."""

from __future__ import annotations

from backstop.report.series import TimeGrid
from backstop.runs.fold import Fold, Reader

__all__ = ["Timeline"]


class Timeline(Reader):
    """The axis of time of a run. It must join before the readers that keep series."""

    def __init__(self) -> None:
        #: Times of the first event and of the last; ``has_begun``: there was one.
        self.first_ns = self.last_ns = 0
        self.has_begun = False
        self.grid = TimeGrid(0)

    def take_batch(self, fold: Fold) -> None:
        """Take the times of a batch."""
        times_ns = fold.events["time_ns"]
        if not len(times_ns):
            return
        if not self.has_begun:
            self.has_begun, self.first_ns = True, int(times_ns[0])
            self.grid.begin(self.first_ns)
        self.last_ns = max(self.last_ns, int(times_ns.max()))
