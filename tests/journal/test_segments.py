"""A journal as a chain of segments: each stands for itself, and what is missing, swapped, cut short
or edited is named by file and field.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backstop.core.digest import state_digest
from backstop.journal import FindingCode, Journal, JournalDamaged, JournalError, open_journal
from backstop.journal.naming import live_path, sealed_beside, sealed_path
from backstop.journal.pruning import prune
from backstop.journal.recorder import Recorder
from backstop.journal.recovery import recover
from backstop.journal.rolling import finish
from backstop.journal.segments import segments_of
from backstop.journal.snapshot import take_snapshot
from backstop.journal.verify import verify
from tests.journal.feeding import fed
from tests.journal.runs import Chunk, change, crash, manifest, names, write

#: Four segments of the crash's seven batches: a snapshot every second, and each ends a segment.
SHORT: dict[str, Any] = {"segment_events": 1, "snapshot_every": 2}


def _codes(path: Path) -> set[tuple[FindingCode, str]]:
    return {(finding.code, finding.place) for finding in verify(path).findings}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("segments") / "journal.db", **SHORT)


def _copied(sound: Path, folder: Path) -> Path:
    for path in sound.parent.iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder / sound.name


def test_names_of_segments_are_their_own(tmp_path: Path) -> None:
    live = tmp_path / "journal.db"
    assert sealed_path(live, 7) == tmp_path / "journal.db.000007"
    assert live_path(tmp_path / "journal.db.000007") == (live, 7)
    assert live_path(tmp_path / "journal.db.1000000") == (live, 1_000_000)
    for name in ("journal.db", "journal.db.7", "journal.db.0000007", "journal.db.000000", "journal.db-wal"):
        assert live_path(tmp_path / name) is None
    for name in ("journal.db.000003", "journal.db.000001", "other.db.000002", "journal.db.x"):
        (tmp_path / name).touch()
    assert list(sealed_beside(live)) == [1, 3]


def test_a_journal_is_a_chain_of_segments(sound: Path) -> None:
    found = segments_of(sound)
    assert [(each.number, each.first_batch, each.last_batch, each.is_sealed) for each in found] == [
        (1, 1, 2, True),
        (2, 3, 4, True),
        (3, 5, 6, True),
        (4, 7, 7, False),
    ]
    assert [each.previous for each in found] == ["", *(each.chain for each in found[:-1])]
    report = verify(sound)
    assert (report.exit_code, report.segments, report.segments_gone, report.notes) == (0, 4, 0, ())
    assert report.events == report.events_replayed == sum(len(chunk.events) for chunk in crash())
    assert (report.digest, report.is_closed) == (crash()[-1].digest, True)


def test_readers_see_the_batches_of_all_segments(sound: Path) -> None:
    with open_journal(sound) as journal:
        assert journal.check_head()
        held = list(journal.batches())
        journal.check_end()
        assert journal.findings == []
        assert (journal.first_of_all, journal.events_read) == (1, sum(len(chunk.events) for chunk in crash()))
    assert [batch.number for batch in held] == list(range(1, 8))
    assert b"".join(batch.events.tobytes() for batch in held) == b"".join(chunk.events.tobytes() for chunk in crash())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_sealed_segment_is_verified_alone_wherever_it_stands(sound: Path, tmp_path: Path, number: int) -> None:
    elsewhere = tmp_path / "from-the-shelf"
    shutil.copyfile(sealed_path(sound, number), elsewhere)
    report = verify(elsewhere)
    assert (report.exit_code, report.is_sealed, report.batches) == (0, True, 2)
    assert report.events == report.events_replayed == sum(len(chunk.events) for chunk in crash()[2 * number - 2 : 2 * number])
    assert report.notes == (f"segment {number} alone was verified",)
    assert report.snapshots_compared == (1 if number == 1 else 2)


@pytest.mark.parametrize("batches", range(len(crash()) + 1))
def test_recovery_needs_the_live_segment_alone(tmp_path: Path, batches: int) -> None:
    path = write(tmp_path / "journal.db", crash()[:batches], close=False, **SHORT)
    for sealed in sealed_beside(path).values():
        sealed.unlink()
    found = recover(path)
    assert found.snapshot_batch == batches // 2 * 2
    assert found.findings == ()
    if batches:
        assert state_digest(found.state) == crash()[batches - 1].digest
    _append(found.journal, crash()[batches:])
    found.journal.close(crash()[-1].digest)
    report = verify(path)
    assert (report.exit_code, report.segments_gone) == (0, batches // 2 if batches > 1 else 0)


def _append(journal: Journal, chunks: tuple[Chunk, ...]) -> None:
    for chunk in chunks:
        snapshot = chunk.snapshot if journal.is_snapshot_due(journal.batches + 1) else None
        journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot)


def test_the_recorder_seals_while_batches_are_under_way(tmp_path: Path) -> None:
    """Chain and seal run ahead of the writing; what comes after a full segment is chained to the
    next.
    """
    path = tmp_path / "journal.db"
    Journal.create(path, manifest(**SHORT), names()).abandon()
    found = recover(path)
    recorder = Recorder(found.journal, found.state, 1)
    for number, chunk in enumerate(crash()):
        fed(found.state, number, number + 1)
        recorder.record(chunk.events, chunk.effects)
    assert recorder.close() == crash()[-1].digest
    assert [each.number for each in segments_of(path)] == [1, 2, 3, 4]
    assert verify(path).exit_code == 0


@pytest.mark.parametrize("bound", [{"segment_bytes": 64 * 1_000}, {"segment_events": 400}])
def test_a_segment_ends_at_the_first_snapshot_at_which_it_is_full(tmp_path: Path, bound: dict[str, Any]) -> None:
    path = write(tmp_path / "journal.db", **{"segment_bytes": 0, "snapshot_every": 2, **bound})
    sizes = [0]
    for number, chunk in enumerate(crash(), start=1):
        rows = len(chunk.events) if "segment_events" in bound else 64 * (len(chunk.events) + len(chunk.effects))
        sizes[-1] += rows
        if number % 2 == 0 and sizes[-1] >= next(iter(bound.values())):
            sizes.append(0)
    assert len(segments_of(path)) == len(sizes) > 1
    assert verify(path).exit_code == 0


def test_without_a_bound_or_a_snapshot_a_journal_stays_one_file(tmp_path: Path) -> None:
    write(tmp_path / "unbound.db", segment_bytes=0)
    write(tmp_path / "without.db", segment_events=1, snapshot_every=0)
    write(tmp_path / "usual.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["unbound.db", "usual.db", "without.db"]


# Damage


def test_a_missing_segment_is_named(sound: Path, tmp_path: Path) -> None:
    path = _copied(sound, tmp_path)
    sealed_path(path, 2).unlink()
    (finding,) = verify(path).findings
    assert (finding.code, finding.place) == (FindingCode.SEGMENT, "journal.db.000002")
    assert finding.message == "missing between journal.db.000001 and journal.db.000003"
    assert verify(path).exit_code == 4


def test_segments_before_the_first_that_is_here_are_told_of(sound: Path, tmp_path: Path) -> None:
    path = _copied(sound, tmp_path)
    sealed_path(path, 1).unlink()
    report = verify(path)
    assert (report.exit_code, report.segments, report.segments_gone) == (0, 3, 1)
    assert "segment 1 is not here, and not verified" in report.notes


def test_swapped_segments_are_named(sound: Path, tmp_path: Path) -> None:
    path = _copied(sound, tmp_path)
    sealed_path(path, 1).rename(tmp_path / "held")
    sealed_path(path, 2).rename(sealed_path(path, 1))
    (tmp_path / "held").rename(sealed_path(path, 2))
    found = {finding.place: finding.message for finding in verify(path).findings if "by its name" in finding.message}
    assert found == {
        "journal.db.000001": "`segment`: by its name it is 1, its manifest says 2",
        "journal.db.000002": "`segment`: by its name it is 2, its manifest says 1",
    }


def test_a_segment_of_another_journal_is_named(sound: Path, tmp_path: Path) -> None:
    path = _copied(sound, tmp_path)
    other = write(tmp_path / "other.db", **{**SHORT, "command": "another"})
    shutil.copyfile(sealed_path(other, 2), sealed_path(path, 2))
    found = {(finding.code, finding.place, finding.message.split(":")[0]) for finding in verify(path).findings}
    assert found == {
        (FindingCode.SEGMENT, "journal.db.000002", "`origin`"),
        (FindingCode.SEGMENT, "journal.db.000002", "`previous`"),
        (FindingCode.SEGMENT, "journal.db.000003", "`origin`"),
        (FindingCode.SEGMENT, "journal.db.000003", "`previous`"),
    }


@pytest.mark.parametrize("cut", [10, 100, 4096, 20_000, 200_000])
def test_a_segment_that_is_cut_short_is_named(sound: Path, tmp_path: Path, cut: int) -> None:
    path = _copied(sound, tmp_path)
    file = sealed_path(path, 2)
    os.truncate(file, file.stat().st_size - cut)
    assert {place for _, place in _codes(path)} == {"journal.db.000002"}
    assert verify(path).exit_code == 4


@pytest.mark.parametrize(
    ("words", "code", "field"),
    [
        ("UPDATE batches SET events = zeroblob(64 * events_count) WHERE number = 3", FindingCode.CHAIN, "batch 3"),
        (
            "UPDATE manifest SET value = replace(value, '\"batches\":2', '\"batches\":1') WHERE key = 'opening'",
            FindingCode.SEGMENT,
            "`batches`",
        ),
        (
            "UPDATE manifest SET value = replace(value, '\"events\":', '\"events\":9') WHERE key = 'opening'",
            FindingCode.SEGMENT,
            "`events`",
        ),
        ("UPDATE manifest SET value = '7' WHERE key = 'rules_version'", FindingCode.MANIFEST, "manifest"),
        ("UPDATE marks SET batches = 9 WHERE place = 'sealed'", FindingCode.END, "sealed mark"),
        ("UPDATE marks SET chain = zeroblob(32) WHERE place = 'sealed'", FindingCode.SEGMENT, "`previous`"),
        ("DELETE FROM marks WHERE place = 'sealed'", FindingCode.SEGMENT, "`sealed`"),
        ("UPDATE opening SET part = zeroblob(9) WHERE place = 3", FindingCode.SNAPSHOT, "opening"),
        ("DELETE FROM opening WHERE place = 0", FindingCode.SNAPSHOT, "opening"),
    ],
)
def test_an_edited_segment_is_named_by_file_and_field(sound: Path, tmp_path: Path, words: str, code: FindingCode, field: str) -> None:
    path = _copied(sound, tmp_path)
    change(sealed_path(path, 2), (words, ()))
    report = verify(path)
    assert report.exit_code == 4
    assert any(
        finding.code == code and "journal.db.00000" in finding.place and field in f"{finding.place} {finding.message}"
        for finding in report.findings
    ), report.findings


# Kills around the step to the next segment are in ``tests.journal.rolls``


def test_a_reader_does_not_keep_a_segment_from_being_sealed(tmp_path: Path) -> None:
    """It reads an early moment on while the writer seals twice: the log cannot be moved into the
    file, so the segment is copied.
    """
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(**SHORT), names()) as journal:
        _append(journal, crash()[:1])
        with open_journal(path) as reader:
            held = next(reader.batches())
            _append(journal, crash()[1:5])
            again = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
            again.close()
            assert reader.check_head()
            assert [batch.number for batch in reader.batches()] == [1]
            assert held.number == 1
        _append(journal, crash()[5:])
        journal.close(crash()[-1].digest)
    assert [each.number for each in segments_of(path)] == [1, 2, 3, 4]
    report = verify(path)
    assert (report.exit_code, report.events) == (0, sum(len(chunk.events) for chunk in crash()))


def test_something_in_the_way_of_a_sealed_segment_stops_the_writer_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(**SHORT), names()) as journal:
        _append(journal, crash()[:1])
        sealed_path(path, 1).write_bytes(b"something else")
        with pytest.raises(JournalError, match=r"journal\.db\.000001` is in the way"):
            _append(journal, crash()[1:2])
    with pytest.raises(JournalError, match=r"journal\.db\.000001` is in the way"):
        recover(path)
    assert sealed_path(path, 1).read_bytes() == b"something else"
    sealed_path(path, 1).unlink()
    found = recover(path)
    assert found.journal.batches == 2
    _append(found.journal, crash()[2:])
    found.journal.close(crash()[-1].digest)
    assert verify(path).exit_code == 0


def test_a_seal_that_no_segment_follows_is_taken_back(tmp_path: Path) -> None:
    """Somebody removed the segment that was to take the place: all batches are still there."""
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(**SHORT), names()) as journal:
        _append(journal, crash()[:1])
        sealed_path(path, 1).write_bytes(b"something else")
        with pytest.raises(JournalError):
            _append(journal, crash()[1:2])
    sealed_path(path, 1).unlink()
    (tmp_path / ".journal.db.new").unlink()
    assert finish(path)
    assert not finish(path)
    found = recover(path)
    assert found.journal.batches == 2
    _append(found.journal, crash()[2:])
    found.journal.close(crash()[-1].digest)
    assert verify(path).exit_code == 0


def test_a_journal_that_is_replaced_takes_its_sealed_segments_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", **SHORT)
    path.unlink()
    with pytest.raises(JournalError, match=r"journal\.db\.000001` exists"):
        write(path)
    with Journal.create(path, manifest(**SHORT), names(), overwrite=True) as journal:
        _append(journal, crash()[:3])
    assert [each.number for each in segments_of(path)] == [1, 2]


# Pruning


def test_pruning_removes_the_oldest_and_recovery_goes_on(sound: Path, tmp_path: Path) -> None:
    path = _copied(sound, tmp_path)
    trial = prune(path, 1, is_trial=True)
    assert len(sealed_beside(path)) == 3
    done = prune(path, 1)
    assert [each.number for each in done.removed] == [each.number for each in trial.removed] == [1, 2]
    assert [each.number for each in done.kept] == list(sealed_beside(path)) == [3]
    assert prune(path, 1).removed == ()
    assert verify(path).exit_code == 0
    prune(path, 0)
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db"]
    assert verify(path).exit_code == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("UPDATE opening SET part = zeroblob(9) WHERE place = 3", "snapshot: opening: altered"),
        ("UPDATE batches SET effects = zeroblob(64 * effects_count)", "chain: batch 7"),
        ("UPDATE manifest SET value = 'x' WHERE key = 'command'", "manifest: manifest"),
    ],
)
def test_nothing_is_pruned_while_the_live_segment_is_damaged(sound: Path, tmp_path: Path, words: str, error: str) -> None:
    path = _copied(sound, tmp_path)
    change(path, (words, ()))
    with pytest.raises(JournalDamaged, match=error):
        prune(path, 0)
    assert len(sealed_beside(path)) == 3


def test_nothing_is_pruned_where_recovery_could_not_use_the_snapshot(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _copied(sound, tmp_path)
    monkeypatch.setattr("backstop.journal.snapshot.source_hash", lambda: "f" * 64)
    with pytest.raises(JournalError, match="begins with a snapshot of other code"):
        prune(path, 0)
    assert len(sealed_beside(path)) == 3


def test_nothing_is_pruned_behind_a_gap_or_beside_a_stranger(sound: Path, tmp_path: Path) -> None:
    path = _copied(sound, tmp_path)
    with pytest.raises(JournalError, match="is a sealed segment: name the journal itself"):
        prune(sealed_path(path, 3), 0)
    sealed_path(path, 2).rename(tmp_path / "held")
    with pytest.raises(JournalError, match=r"segment 2 of `journal\.db` is missing between others"):
        prune(path, 0)
    shutil.copyfile(sealed_path(path, 1), sealed_path(path, 2))
    with pytest.raises(JournalError, match=r"`journal\.db\.000002` holds segment 1"):
        prune(path, 0)
    assert len(sealed_beside(path)) == 3


def test_memory_and_time_of_recovery_do_not_grow_with_age(tmp_path: Path) -> None:
    """What recovery reads is the live segment: after many segments as after one."""
    quiet = crash()[-1]
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(**SHORT), names()) as journal:
        _append(journal, crash())
    read: list[tuple[int, int]] = []
    for _ in range(3):
        found = recover(path)
        held: dict[str, Any] = {"batches": path.stat().st_size, "tail": found.events_replayed}
        read.append((held["batches"], held["tail"]))
        for _ in range(2):
            found.journal.seal_segment(take_snapshot(found.state, quiet.digest), quiet.digest)
        found.journal.abandon()
    assert len(segments_of(path)) == 10
    assert [tail for _, tail in read] == [len(quiet.events), 0, 0]
    assert read[2][0] == read[1][0]


def _can_mount(folder: Path) -> bool:
    line = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    return shutil.which("unshare") is not None and subprocess.run(line, capture_output=True, check=False).returncode == 0


def test_a_full_disk_around_a_seal_or_a_backup_loses_nothing(tmp_path: Path) -> None:
    """A disk of its own, in a mount namespace that no other process sees."""
    if not _can_mount(tmp_path):
        pytest.skip("no mount namespace here")
    line = ["unshare", "--mount", sys.executable, "-m", "tests.journal.full", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    full, sealing = map(int, done.stdout.split())
    assert full > 5
    assert sealing > 0
