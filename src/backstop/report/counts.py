"""How many events and effects a run had, by kind, and what was refused of them."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from backstop.core.events import EventKind, Reject
from backstop.core.kinds import Columns, RefusalEffect
from backstop.runs.fold import Fold, Reader, reads

__all__ = ["Counts", "Refusal"]

_REFUSALS_KEPT = 12


class Refusal(NamedTuple):
    """One event that was refused, as an example."""

    seq: int
    time_ns: int
    code: Reject
    #: Kind of the event.
    kind: str
    market: int
    account: int
    lots: int
    price_ticks: int
    amount: int


class Counts(Reader):
    """Counts events, effects and refusals."""

    def __init__(self) -> None:
        #: By kind.
        self.events: Counter[int] = Counter()
        self.effects: Counter[int] = Counter()
        #: Accounts that were opened.
        self.accounts = 0
        #: Refused events, by reason and kind of event; the first of them.
        self.refusals: Counter[tuple[Reject, str]] = Counter()
        self.refusal_examples: list[Refusal] = []

    def take_batch(self, fold: Fold) -> None:
        """Count a batch by kind."""
        for counter, rows in ((self.events, fold.events), (self.effects, fold.effects)):
            for kind, number in zip(*np.unique(rows["kind"], return_counts=True), strict=True):
                counter[int(kind)] += int(number)
        opened = fold.events["account"][fold.events["kind"] == EventKind.ACCOUNT]
        if len(opened):
            self.accounts = max(self.accounts, int(opened.max()) + 1)

    @reads(RefusalEffect)
    def _add_refusals(self, rows: RefusalEffect[Columns], fold: Fold) -> None:
        seqs = fold.events["seq"].tolist()
        kind_of = dict(zip(seqs, fold.events["kind"].tolist(), strict=True))
        time_of = dict(zip(seqs, fold.events["time_ns"].tolist(), strict=True))
        for row in map(RefusalEffect[int], rows.rows):
            kind = kind_of.get(row.seq, 0)
            name = EventKind(kind).name.lower() if kind in EventKind._value2member_map_ else f"kind {kind}"
            self.refusals[row.reason, name] += 1
            if len(self.refusal_examples) < _REFUSALS_KEPT:
                numbers = (row.market, row.account, row.lots, row.price_ticks, row.amount)
                self.refusal_examples.append(Refusal(row.seq, time_of.get(row.seq, 0), row.reason, name, *numbers))
