"""An event that stops the engine: the process ends, the next puts the event into quarantine, and
nothing of the others is lost.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backstop.core.events import EVENT, EventArray
from backstop.journal import FindingCode, Journal, JournalDamaged, open_journal, writer
from backstop.journal.chronicle import Quarantine, read_record
from backstop.journal.reader import Record
from backstop.journal.recorder import Recorder
from backstop.journal.recovery import recover
from backstop.journal.verify import verify
from tests.journal import moments
from tests.journal.runs import change, crash, manifest, names
from tests.journal.stopping import POISON, all_events, run

ERROR = "OverflowError: Invariant: one event's effects fit in limits.effects_max"


def _process(path: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.journal.stopping", str(path)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def _events(path: Path) -> EventArray:
    with open_journal(path) as journal:
        assert journal.check_head()
        parts = [batch.events for batch in journal.batches()]
        assert journal.findings == []
    return np.concatenate(parts)


def _without_poison() -> EventArray:
    events = all_events()
    return np.delete(events, POISON - 1)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a process that an event stopped."""
    path = tmp_path_factory.mktemp("stopped") / "journal.db"
    done = _process(path)
    assert done.returncode == 1
    assert ERROR in done.stderr
    assert done.stdout.split() == ["5", "10"]
    return path


def _copy(path: Path, folder: Path) -> Path:
    shutil.copyfile(path, folder / path.name)
    return folder / path.name


def test_a_process_that_stops_notes_what_it_was_given(stopped: Path) -> None:
    assert _events(stopped)["seq"].tolist() == list(range(1, 11))
    with open_journal(stopped) as journal:
        stop = journal.stop()
    assert stop is not None
    batch, events, error = stop
    assert (batch, events["seq"].tolist(), error) == (2, [11, 12, 13, 14, 15], ERROR)
    report = verify(stopped)
    assert [finding.code for finding in report.findings] == [FindingCode.END_MISSING]
    assert f"the engine stopped behind batch 2, with 5 events that are in no batch yet: {ERROR}" in report.notes


def test_the_restart_writes_a_quarantine_record_and_goes_on(stopped: Path, tmp_path: Path) -> None:
    path = _copy(stopped, tmp_path)
    done = _process(path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"seq {POISON} is in quarantine, behind batch 2: it stopped the engine ({ERROR})\n"
    assert _events(path).tobytes() == _without_poison().tobytes()
    report = verify(path)
    assert (report.exit_code, report.quarantined) == (0, (POISON,))
    assert report.notes == (f"seq {POISON} is in quarantine, behind batch 2: it stopped the engine ({ERROR})",)
    assert report.digest == run(tmp_path / "without.db", _without_poison())
    with open_journal(path) as journal:
        (record,) = journal.all_records()
        assert journal.stop() is None
    said = read_record(record)
    assert isinstance(said, Quarantine)
    assert said.event.tobytes() == all_events()[POISON - 1 : POISON].tobytes()


def test_an_event_in_quarantine_that_comes_again_is_left_out(stopped: Path, tmp_path: Path) -> None:
    path = _copy(stopped, tmp_path)
    recover(path).journal.abandon()
    found = recover(path)
    assert list(found.journal.quarantined) == [POISON]
    recorder = Recorder(found.journal, found.state, 2)
    assert len(recorder.apply(all_events()[POISON - 1 : POISON])) == 0
    other = all_events()[-1:].copy()
    other["seq"] = POISON  # another event under its seq is no repeat of it: the engine judges it
    assert len(recorder.apply(other)) == 1
    recorder.close()
    assert _events(path)["seq"].tolist() == [*range(1, 12), 13, 14, 15, POISON]


def test_two_events_that_stop_the_engine_both_go_into_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    events = all_events()
    second = events[POISON - 1 : POISON].copy()
    second["seq"] = second["time_ns"] = 13
    with pytest.raises(OverflowError):
        run(path, np.concatenate([events[:POISON], second, events[13:15]]))
    run(path, events)
    assert verify(path).quarantined == (12, 13)
    assert verify(path).exit_code == 0
    assert _events(path)["seq"].tolist() == [*range(1, 12), *range(14, 30)]


def test_a_kill_while_the_quarantine_is_written_loses_nothing(stopped: Path, tmp_path: Path) -> None:
    """Before any line of the writer, from the transaction on that writes record and batch."""
    kills, was_killed = 0, True
    while was_killed:
        folder = tmp_path / str(kills)
        folder.mkdir()
        path = _copy(stopped, folder)
        was_killed = moments._killed(lambda path=path: recover(path), moments._before_line(3 * kills, writer.Journal.resolve_stop.__code__))  # type: ignore[misc]
        run(path, all_events())
        report = verify(path)
        assert (report.exit_code, report.quarantined) == (0, (POISON,))
        assert _events(path).tobytes() == _without_poison().tobytes()
        kills += was_killed
    assert kills > 5


def test_a_process_killed_at_any_time_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL after each slice that it acknowledged, then again until it ends."""
    path = tmp_path / "journal.db"
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.journal.stopping", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert child.stdout is not None
        told = child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        child.wait()
        if told:
            assert int(_events(path)["seq"][-1]) >= int(told)
    assert min(_process(path).returncode for _ in range(2)) == 0
    assert _events(path).tobytes() == _without_poison().tobytes()
    assert verify(path).quarantined == (POISON,)


def test_a_quarantine_survives_the_end_of_its_segment(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with pytest.raises(OverflowError):
        run(path, all_events(), segment_events=4)
    run(path, all_events())
    report = verify(path)
    assert report.segments > 2
    assert (report.exit_code, report.quarantined) == (0, (POISON,))


@pytest.mark.parametrize(
    "words",
    [
        "UPDATE records SET text = replace(text, '\"seq\":12', '\"seq\":13')",
        "UPDATE records SET batch = 4",
        "DELETE FROM records",
        "UPDATE records SET chain = zeroblob(32)",
        "INSERT INTO records (batch, text, chain) SELECT batch, text, chain FROM records",
    ],
)
def test_a_record_that_was_changed_or_removed_is_found(stopped: Path, tmp_path: Path, words: str) -> None:
    path = _copy(stopped, tmp_path)
    run(path, all_events())
    change(path, (words, ()))
    assert verify(path).exit_code == 4
    assert {finding.code for finding in verify(path).findings} & {FindingCode.RECORD, FindingCode.CHAIN}


def test_a_record_of_no_known_kind_is_refused() -> None:
    row = np.zeros(1, EVENT).tobytes().hex()
    for text in (
        "{}",
        "[]",
        '{"kind":"x"}',
        f'{{"kind":"quarantine","seq":3,"error":"e","event":"{row}"}}',
        "nothing",
        '{"kind":"upgrade"}',
    ):
        with pytest.raises(JournalDamaged, match="record 1"):
            read_record(Record(1, 1, text))


def test_the_engine_going_on_by_itself_after_a_stop_is_no_quarantine(tmp_path: Path) -> None:
    """What stopped the process was no event: memory, or the machine. All events are applied."""
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(), names()) as journal:
        journal.append(crash()[0].events, crash()[0].effects)
        journal.note_stop(crash()[1].events, "MemoryError: ")
    found = recover(path)
    assert found.quarantined == ()
    assert found.journal.batches == 2
    found.journal.abandon()
    assert _events(path).tobytes() == crash()[0].events.tobytes() + crash()[1].events.tobytes()
    assert [finding.code for finding in verify(path).findings] == [FindingCode.END_MISSING]
