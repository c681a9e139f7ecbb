"""The insurance funds of a run, summed: their balance over time, and what they received and paid by
cause.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from backstop.core.events import Cause
from backstop.core.kinds import Columns, PostingEffect
from backstop.report.series import Envelope, TimeGrid
from backstop.runs.fold import Fold, Reader, reads

__all__ = ["FundRecord"]


class FundRecord(Reader):
    """All funds of the venue as one. Money in atoms."""

    def __init__(self, grid: TimeGrid) -> None:
        self.balance = Envelope(grid)
        #: After the last effect.
        self.now = 0
        #: What it was given at the start; None: nothing moved.
        self.opening: int | None = None
        #: Lowest balance since then, and when.
        self.low: tuple[int, int] | None = None
        #: What the fund received (positive) and paid, by cause, by name.
        self.statement: Counter[tuple[str, bool]] = Counter()

    @reads(PostingEffect)
    def _add(self, rows: PostingEffect[Columns], fold: Fold) -> None:
        receives, pays = np.isin(rows.receiver, fold.funds), np.isin(rows.payer, fold.funds)
        concerned = receives != pays
        rows, receives = rows.where(concerned), receives[concerned]
        if len(rows) == 0:
            return
        causes, times_ns = rows.cause, fold.time_ns(rows.seq)
        changes = np.where(receives, rows.amount, -rows.amount)
        for code in np.unique(causes).tolist():
            for side in (True, False):
                chosen = (causes == code) & (receives == side)
                if chosen.any():
                    self.statement[Cause(code).name.lower(), side] += sum(changes[chosen].tolist())
        running = self.now + np.cumsum(changes)
        if self.opening is None:
            # Each group's fund is opened by a deposit of its own, all at one time: together they
            # are the opening balance.
            first = int(np.argmin(np.append((causes == Cause.CASH) & (times_ns == times_ns[0]), False)))
            opened = max(first - 1, 0)
            self.opening = int(running[opened])
            running, times_ns = running[opened:], times_ns[opened:]
            self.low = (int(running[0]), int(times_ns[0]))
        least = int(running.argmin())
        if self.low is None or running[least] < self.low[0]:
            self.low = (int(running[least]), int(times_ns[least]))
        self.now = int(running[-1])
        self.balance.add(times_ns, running)
