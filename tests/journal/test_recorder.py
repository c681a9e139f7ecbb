"""INV-09: however the recorder cuts the same run into batches, the rows and the last digest are the
same.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.core.engine import step
from backstop.core.events import EffectArray, EventArray
from backstop.core.state import new_state
from backstop.journal import Journal, JournalError, open_journal
from backstop.journal.format import PAGE_BYTES, unsynced_max
from backstop.journal.recorder import Recorder
from backstop.journal.verify import verify
from tests.journal.runs import crash, manifest, venue


def _recorded(path: Path, fed: int, gathered: int, every: int) -> tuple[EventArray, EffectArray, str, list[int]]:
    """Run the crash, ``fed`` events a step, into batches of ``gathered``; return what the journal
    holds.
    """
    events = np.concatenate([chunk.events for chunk in crash()])
    state = new_state(venue().rules)
    with Journal.create(path, manifest(digest_every=every)) as journal:
        recorder = Recorder(journal, state, gathered)
        first = 0
        while first < len(events):
            part = events[: min(len(events), first + fed)]
            consumed = step(state, part, first)
            recorder.record(part[first:consumed], state.effects[: int(state.engine[0].effects_now)])
            state.engine[0].effects_now = 0
            first = consumed
        digest = recorder.close()
    with open_journal(path) as read:
        batches = list(read.batches())
    sizes = [len(batch.events) for batch in batches]
    return np.concatenate([batch.events for batch in batches]), np.concatenate([batch.effects for batch in batches]), digest, sizes


@pytest.mark.parametrize(("fed", "gathered", "every"), [(1, 12, 0), (1, 100, 1), (7, 50, 3), (10_000, 1_000, 2)])
def test_inv_09_cuts_change_neither_rows_nor_digest(tmp_path: Path, fed: int, gathered: int, every: int) -> None:
    events, effects, digest, sizes = _recorded(tmp_path / "journal.db", fed, gathered, every)
    assert np.array_equal(events, np.concatenate([chunk.events for chunk in crash()]))
    assert np.array_equal(effects, np.concatenate([chunk.effects for chunk in crash()]))
    assert digest == crash()[-1].digest
    assert all(size >= gathered for size in sizes[:-1])
    report = verify(tmp_path / "journal.db")
    assert report.exit_code == 0
    assert report.digests_compared == 1 + (report.batches // every if every else 0)


@pytest.mark.parametrize("stage", ["seal", "write", "sync"])
def test_nothing_is_written_behind_a_batch_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """A journal never has a hole, and every later call says what the first fault was."""
    path = tmp_path / "journal.db"
    done = getattr(Journal, stage)
    calls = 0

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise JournalError("the disk is gone")
        return done(*arguments)

    monkeypatch.setattr(Journal, stage, failing)
    journal = Journal.create(path, manifest(digest_every=0))
    recorder = Recorder(journal, new_state(venue().rules), 1)
    with suppress(JournalError):  # sooner or later, as the stages come to it
        for chunk in crash():
            recorder.record(chunk.events, chunk.effects)
    for _ in range(2):
        with pytest.raises(JournalError, match="the disk is gone"):
            recorder.flush()
    recorder.abandon()
    safe = journal.batches
    assert safe <= 2
    with open_journal(path) as read:
        assert safe <= len(list(read.batches())) <= safe + unsynced_max(PAGE_BYTES)
        assert read.findings == []


@pytest.mark.parametrize("gathered", [1, 1_000_000])
def test_an_abandoned_recorder_takes_no_more(tmp_path: Path, gathered: int) -> None:
    chunk = crash()[0]
    recorder = Recorder(Journal.create(tmp_path / "journal.db", manifest(digest_every=0)), new_state(venue().rules), gathered)
    recorder.record(chunk.events, chunk.effects)
    recorder.abandon()
    with pytest.raises(JournalError, match="is closed"):
        recorder.record(chunk.events, chunk.effects)
    if gathered > len(chunk.events):
        with pytest.raises(JournalError, match="is closed"):
            recorder.flush()  # what was gathered is not lost without a word
