"""The book as it stood when the prices began to move: after the accounts got their positions,
before the next mark.
"""

from __future__ import annotations

import numpy as np

from backstop.core.kinds import Columns, TradeEffect
from backstop.report.books import Books
from backstop.report.ladder import Ladder, ladder_of
from backstop.runs.fold import Fold, Ints, Reader

__all__ = ["Opening"]


class Opening(Reader):
    """Finds the first mark after accounts came to hold positions. It must join before ``books``."""

    def __init__(self, books: Books) -> None:
        #: The ladder just before that mark, and the marks that stood [ticks]; None until it comes.
        self.ladder: Ladder | None = None
        self.marks: Ints | None = None
        #: Time of that mark; until it comes, of the first event.
        self.end_ns = 0
        self._books = books
        self._has_positions = self._has_begun = False

    def take_batch(self, fold: Fold) -> None:
        """Look for that mark in a batch."""
        if not self._has_begun and len(fold.events):
            self._has_begun, self.end_ns = True, int(fold.events["time_ns"][0])
        seq = None if self.ladder is not None else self._first_mark(fold)
        if seq is None:
            return
        before = self._books.copy()
        before.add(fold.effects[fold.effects["seq"] < seq])
        self.end_ns = int(fold.time_ns(np.array([seq]))[0])
        self.marks = fold.mark.at_each(seq - 1)
        # Rules change in the first event of a batch at hand, and only there.
        rules = fold.rules_before if seq == int(fold.events["seq"][0]) else fold.rules
        self.ladder = ladder_of(rules, before.holdings(), self.marks)

    def _first_mark(self, fold: Fold) -> int | None:
        seqs, _, _ = fold.mark.changes
        if not self._has_positions:
            trades = fold.rows(TradeEffect[Columns])
            held = trades.seq[trades.account >= 0]
            if len(held) == 0:
                return None
            self._has_positions = True
            seqs = seqs[seqs > held[0]]
        return int(seqs[0]) if len(seqs) else None
