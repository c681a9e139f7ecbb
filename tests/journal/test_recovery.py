"""Taking up a journal: from the newest good snapshot, with nothing that was acknowledged lost
unnamed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest

from backstop.core.digest import state_digest
from backstop.core.events import EventKind
from backstop.journal import FindingCode, Journal, JournalDamaged, JournalError, open_journal
from backstop.journal.format import PAGE_BYTES
from backstop.journal.log import read_log
from backstop.journal.recorder import Recorder
from backstop.journal.recovery import Recovery, recover
from backstop.journal.verify import verify
from tests.journal.feeding import fed
from tests.journal.runs import Chunk, change, copy, crash, event, manifest, names, write

SEED = int(os.environ.get("BACKSTOP_SEED", "1"))
TEARS = int(os.environ.get("BACKSTOP_TEARS", "40"))


def _append(journal: Journal, chunks: tuple[Chunk, ...]) -> None:
    for chunk in chunks:
        number = journal.batches + 1
        snapshot = chunk.snapshot if journal.is_snapshot_due(number) else None
        journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot)


def _died(folder: Path, batches: int, *, moved: bool = True) -> Path:
    """Return the journal of a run that died after so many batches; ``moved``: its log had been
    moved into the file.
    """
    folder.mkdir()
    alive = folder / "alive.db"
    with Journal.create(alive, manifest(snapshot_every=2), names()) as journal:
        _append(journal, crash()[:batches])
        if not moved:
            dead = copy(alive, folder / "journal.db")
            Path(f"{dead}-shm").unlink(missing_ok=True)
            return dead
    return copy(alive, folder / "journal.db")


@pytest.mark.parametrize("batches", range(len(crash()) + 1))
@pytest.mark.parametrize("moved", [True, False])
def test_a_recovered_engine_ends_as_the_undisturbed_one(tmp_path: Path, batches: int, moved: bool) -> None:
    path = _died(tmp_path / "run", batches, moved=moved)
    found = recover(path)
    assert found.snapshot_batch == batches // 2 * 2
    assert found.findings == ()
    assert found.journal.batches == batches
    if batches:
        assert state_digest(found.state) == crash()[batches - 1].digest
    _append(found.journal, crash()[batches:])
    found.journal.close(crash()[-1].digest)
    report = verify(path)
    assert report.findings == ()
    assert report.chain == verify(write(tmp_path / "whole.db")).chain


def test_the_recorder_goes_on_where_the_journal_ends(tmp_path: Path) -> None:
    path = _died(tmp_path / "run", 3)
    found = recover(path)
    recorder = Recorder(found.journal, found.state, 1)
    for number, chunk in enumerate(crash()[3:], start=3):
        recorder.record(chunk.events, np.frombuffer(fed(found.state, number, number + 1)[0], chunk.effects.dtype))
    assert recorder.close() == crash()[-1].digest
    assert verify(path).exit_code == 0


def _spoilt(path: Path, batch: int) -> None:
    change(path, ("UPDATE snapshots SET part = zeroblob(9) WHERE place = ?", ((batch << 20) + 2,)))


def test_a_spoilt_snapshot_is_passed_over_and_named(tmp_path: Path) -> None:
    path = _died(tmp_path / "run", 7)
    _spoilt(path, 6)
    found = recover(path)
    found.journal.abandon()
    assert found.snapshot_batch == 4
    assert [(finding.code, finding.place) for finding in found.findings] == [(FindingCode.SNAPSHOT, "snapshot after batch 6")]
    assert state_digest(found.state) == crash()[-1].digest
    _spoilt(path, 4)
    found = recover(path)
    found.journal.abandon()
    assert (found.snapshot_batch, len(found.findings)) == (0, 2)
    assert state_digest(found.state) == crash()[-1].digest
    assert {finding.place for finding in verify(path).findings} == {"snapshot after batch 4", "snapshot after batch 6", "end mark"}


def test_a_snapshot_of_other_code_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _died(tmp_path / "run", 7)
    monkeypatch.setattr("backstop.journal.snapshot.source_hash", lambda: "f" * 64)
    found = recover(path)
    found.journal.abandon()
    assert found.snapshot_batch == 0
    assert "taken by other code" in str(found.findings[0])
    report = verify(path)
    assert [finding.code for finding in report.findings] == [FindingCode.END_MISSING]
    assert len(report.notes) == 2


@pytest.mark.parametrize(
    "words",
    [
        "UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = 7",
        "UPDATE batches SET events = substr(events, 1, 100) WHERE number = 7",
        "UPDATE batches SET chain = zeroblob(32) WHERE number = 7",
    ],
)
def test_a_last_batch_that_is_not_whole_is_cut_off_and_reported(tmp_path: Path, words: str) -> None:
    path = _died(tmp_path / "run", 7)
    change(path, (words, ()))
    found = recover(path)
    assert found.journal.batches == 6
    (finding, *_) = found.findings
    assert finding.place == "batch 7"
    assert finding.message.startswith("cut off: ")
    assert state_digest(found.state) == crash()[5].digest
    _append(found.journal, crash()[6:])
    found.journal.close(crash()[-1].digest)
    assert verify(path).exit_code == 0


@pytest.mark.parametrize("number", [5, 6])
def test_damage_before_the_last_batch_is_named_and_nothing_is_touched(tmp_path: Path, number: int) -> None:
    path = _died(tmp_path / "run", 7)
    change(path, ("UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = ?", (number,)))
    _spoilt(path, 6)
    before = path.read_bytes()
    with pytest.raises(JournalDamaged, match=f"chain: batch {number}"):
        recover(path)
    assert path.read_bytes() == before


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    path = _died(tmp_path / "run", 7)
    change(path, ("DELETE FROM batches WHERE number = 3", ()))
    with pytest.raises(JournalDamaged, match="batch_number: batch 3"):
        recover(path)


def test_a_record_that_replays_otherwise_is_named(tmp_path: Path) -> None:
    chunk = crash()[6]
    effects = chunk.effects.copy()
    effects["amount"][-1] += 1
    path = write(tmp_path / "journal.db", (*crash()[:6], chunk._replace(effects=effects)), close=False)
    with pytest.raises(JournalDamaged, match=r"effect_differs: batch 7, seq \d+, effect \d+"):
        recover(path)


def test_what_cannot_be_taken_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is closed: its run came to its end"):
        recover(write(tmp_path / "journal.db"))
    with pytest.raises(FileNotFoundError):
        recover(tmp_path / "none.db")
    path = _died(tmp_path / "run", 3)
    change(path, ("UPDATE manifest SET value = '9' WHERE key = 'digest_every'", ()))
    with pytest.raises(JournalDamaged, match="manifest: manifest"):
        recover(path)


def test_two_writers_cannot_both_write_on(tmp_path: Path) -> None:
    path = _died(tmp_path / "run", 3)
    first = recover(path)
    with pytest.raises(JournalError, match="cannot be taken up: another process writes to it"):
        recover(path)
    _append(first.journal, crash()[3:4])
    first.journal.abandon()
    assert verify(path).batches == 4


def test_what_another_writer_acknowledged_meanwhile_is_not_cut_off(tmp_path: Path) -> None:
    path = _died(tmp_path / "run", 3)
    with Recovery(path) as late:
        assert len(list(late.tail())) <= 3
        other = recover(path).journal
        _append(other, crash()[3:6])
        other.abandon()
        with pytest.raises(JournalError, match="it holds 6 batches, and not those that were read: somebody else writes to it"):
            late.take_up()
    assert verify(path).batches == 6


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_leads_to_the_log_too(tmp_path: Path) -> None:
    """SQLite keeps its log beside the file itself: who looks beside the link sees none of the
    batches in it.
    """
    path = _died(tmp_path / "run", 5, moved=False)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    assert verify(link).batches == 5
    found = recover(link)
    assert found.journal.batches == 5
    _append(found.journal, crash()[5:])
    found.journal.close(crash()[-1].digest)
    assert verify(link).exit_code == verify(path).exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_journal_is_created_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "there" / "journal.db")
    write(link)
    assert verify(tmp_path / "there" / "journal.db").exit_code == 0
    assert [file.name for file in tmp_path.iterdir() if file.is_file() and not file.is_symlink()] == []


def _tear(path: Path, batches: int, page_bytes: int = PAGE_BYTES) -> None:
    """Spoil the first frame behind so many batches, as a power cut does that comes before a
    sync.
    """
    log = Path(f"{path}-wal")
    whole = bytearray(log.read_bytes())
    frame, seen = page_bytes + 24, 0
    for place in range(32, len(whole), frame):
        if seen == batches:
            whole[place + 100] ^= 255
            break
        seen += whole[place + 4 : place + 8] != bytes(4)
    log.write_bytes(whole)


def test_frames_that_a_power_cut_tore_are_not_taken_for_a_loss_later(tmp_path: Path) -> None:
    """They stand behind what is written after the journal was taken up, in the same log, if nobody
    empties it.
    """
    path = _died(tmp_path / "run", 4, moved=False)
    _tear(path, 2)
    torn = read_log(Path(f"{path}-wal"))
    assert torn.torn_commits == 2
    assert not torn.lost_for_certain
    found = recover(path)
    assert found.journal.batches == 2
    assert [finding.code.name for finding in found.findings] == ["LOG"]
    for seq in range(1_000_000, 1_000_003):
        found.journal.append(event(seq, crash()[-1].events["time_ns"][-1], EventKind.CLOCK), crash()[0].effects[:0], "0" * 64)
    killed = copy(path, tmp_path / "killed.db")
    Path(f"{killed}-shm").unlink(missing_ok=True)
    found.journal.abandon()
    assert read_log(Path(f"{killed}-wal"))[:3] == (0, 0, False)


@pytest.mark.parametrize(
    ("page_bytes", "torn", "lost"), [(65536, 1, False), (65536, 2, True), (PAGE_BYTES, 2, False), (PAGE_BYTES, 3, True)]
)
def test_how_much_may_be_torn_depends_on_how_it_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_bytes: int, torn: int, lost: bool
) -> None:
    monkeypatch.setattr("backstop.journal.building.PAGE_BYTES", page_bytes)
    path = _died(tmp_path / "run", 5, moved=False)
    _tear(path, 5 - torn, page_bytes)
    state = read_log(Path(f"{path}-wal"))
    assert state.torn_commits == torn
    assert state.lost_for_certain == lost
    if lost:
        with pytest.raises(JournalDamaged, match="at least 1 acknowledged batches are lost"):
            recover(path)
    else:
        journal = recover(path).journal
        assert journal.unsynced_max == (1 if page_bytes == 65536 else 2)
        journal.abandon()


def _frames(path: Path) -> int:
    """Count the frames of a log that SQLite takes, by letting it move them."""
    with sqlite3.connect(path) as connection:
        return int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


def test_the_log_is_read_as_sqlite_reads_it(tmp_path: Path) -> None:
    dead = _died(tmp_path / "run", 7, moved=False)
    log = Path(f"{dead}-wal")
    assert read_log(log)[:3] == (0, 0, False)
    whole = log.read_bytes()
    frame = PAGE_BYTES + 24
    for seed in range(SEED, SEED + TEARS):
        rng = Random(seed)
        content = bytearray(whole)
        place = rng.randrange(32, len(content))
        content[place] ^= 1 << rng.randrange(8)
        trial = tmp_path / "trial.db"
        shutil.copyfile(dead, trial)
        Path(f"{trial}-wal").write_bytes(content)
        torn = read_log(Path(f"{trial}-wal")).torn_bytes
        assert torn >= frame, f"BACKSTOP_SEED={seed}"
        assert _frames(trial) == (len(whole) - 32 - torn) // frame, f"BACKSTOP_SEED={seed}: byte {place}"
        for end in ("", "-wal", "-shm"):
            Path(f"{trial}{end}").unlink(missing_ok=True)


def _torn(path: Path, rng: Random) -> str:
    """Cut or scramble the last pages of a file, as a disk does that lost power and had lied."""
    content = bytearray(path.read_bytes())
    pages = rng.randint(1, max(1, min(20, len(content) // PAGE_BYTES)))
    first = max(0, len(content) - pages * PAGE_BYTES + rng.randrange(-200, 200))
    if rng.random() < 0.5:
        del content[first:]
        told = f"{path.name} cut to {first} bytes"
    else:
        content[first:] = rng.choice((bytes(len(content) - first), rng.randbytes(len(content) - first)))
        told = f"{path.name} scrambled from byte {first}"
    path.write_bytes(content)
    return told


@pytest.mark.parametrize("which", ["", "-wal"])
def test_torn_writes_lose_nothing_that_was_acknowledged_without_a_word(tmp_path: Path, which: str) -> None:
    """Either every acknowledged batch is there, or the loss is named, to everybody or to whoever
    kept the chain.
    """
    source = _died(tmp_path / "run", 7, moved=which == "")
    with open_journal(source) as journal:
        list(journal.batches())
        head = journal.chain
    whole = named = 0
    for seed in range(SEED, SEED + TEARS):
        rng = Random(seed)
        path = copy(source, tmp_path / "journal.db")
        told = f"BACKSTOP_SEED={seed}: {_torn(Path(f'{path}{which}'), rng)}"
        report = verify(path, head=head)
        codes = {finding.name for finding in report.findings} - {"end_missing"}
        kept = report.batches == len(crash()) and "head" not in codes
        assert kept or codes, told
        try:
            found = recover(path)
        except (JournalDamaged, JournalError):
            named += 1
        else:
            found.journal.abandon()
            batches = found.journal.batches
            assert batches == len(crash()) or found.findings or codes == {"head"}, told
            assert state_digest(found.state) == (crash()[batches - 1].digest if batches else state_digest(found.state)), told
            whole += 1
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
    assert whole + named == TEARS
    assert named if which == "" else whole == TEARS


def test_a_log_of_any_length_is_read_frame_by_frame(tmp_path: Path) -> None:
    """A sparse file takes no room on the disk, and must take none in memory."""
    path = _died(tmp_path / "run", 4, moved=False)
    log = Path(f"{path}-wal")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size + (64 << 20))
    tracemalloc.start()
    state = read_log(log)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert (state.torn_bytes, state.torn_commits) == (64 << 20, 0)
    log.write_bytes(b"no log")
    assert read_log(log)[:3] == (6, 0, True)
