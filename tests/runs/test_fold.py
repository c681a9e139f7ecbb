"""The fold over a run: what it hands to its readers, and that a run with a report counts once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.core.events import EFFECT, EVENT, EffectArray, EffectKind, EventArray
from backstop.core.kinds import Columns, RestrictEffect, TearUpEffect
from backstop.report import Gathering
from backstop.runs.fold import Fold, Reader, reads
from backstop.runs.replay import replay_case
from backstop.runs.tally import Tally
from tests.runs.test_replay import crash_of
from tests.runs.venues import full_venue


class Log(Reader):
    """Writes down what it is given."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def take_batch(self, fold: Fold) -> None:
        self.said.append(len(fold.effects))

    @reads(RestrictEffect)
    def _restricted(self, rows: RestrictEffect[Columns], fold: Fold) -> None:
        self.said.append(rows.account.tolist())

    @reads(RestrictEffect, TearUpEffect)
    def _both(self, rows: EffectArray, fold: Fold) -> None:
        self.said.append(rows["kind"].tolist())


def effects_of(*rows: tuple[EffectKind, int]) -> EffectArray:
    effects = np.zeros(len(rows), dtype=EFFECT)
    effects["kind"], effects["account"] = zip(*rows, strict=True)
    return effects


def test_a_reader_gets_the_kinds_that_it_declared_in_order() -> None:
    fold, none = Fold(full_venue()), np.zeros(0, dtype=EVENT)
    log = fold.join(Log())
    fold.take(none, effects_of((EffectKind.TEAR_UP, 1), (EffectKind.RESTRICT, 2), (EffectKind.CLAIM, 3), (EffectKind.RESTRICT, 4)))
    assert log.said == [4, [2, 4], [EffectKind.TEAR_UP, EffectKind.RESTRICT, EffectKind.RESTRICT]]
    log.said.clear()
    fold.take(none, effects_of((EffectKind.CLAIM, 3)))
    assert log.said == [1]


def test_who_joins_late_would_miss_what_is_past() -> None:
    fold = Fold(full_venue())
    fold.take(np.zeros(0, dtype=EVENT), np.zeros(0, dtype=EFFECT))
    with pytest.raises(ValueError, match="before the first batch"):
        fold.join(Log())


def test_what_a_batch_says_is_worked_out_once() -> None:
    fold, asked = Fold(full_venue()), list[int]()

    def work(fold: Fold) -> int:
        asked.append(len(fold.effects))
        return len(asked)

    none = np.zeros(0, dtype=EVENT)
    fold.take(none, effects_of((EffectKind.CLAIM, 1)))
    assert (fold.once(work), fold.once(work)) == (1, 1)
    fold.take(none, effects_of((EffectKind.CLAIM, 1), (EffectKind.CLAIM, 2)))
    assert (fold.once(work), asked) == (2, [1, 2])


def test_a_run_with_a_report_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds, take = set[int](), Fold.take

    def counted(fold: Fold, events: EventArray, effects: EffectArray) -> None:
        folds.add(id(fold))
        take(fold, events, effects)

    monkeypatch.setattr(Fold, "take", counted)
    case = crash_of(tmp_path)
    gathering, plain = Gathering(case.venue), Tally(case.venue)
    result = replay_case(case, tally=gathering.tally)
    assert result.tally is gathering.tally
    assert len(folds) == 1
    assert gathering.counts.effects.total() == result.tally.effects > 0
    assert replay_case(case, tally=plain).tally.stages() == result.tally.stages()
