"""What the writer promises: whole batches, in order, durable, and nothing overwritten by
accident.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backstop.core.events import EFFECT, EVENT
from backstop.journal import FindingCode, Journal, JournalError, open_journal
from backstop.journal.format import PAGE_BYTES, unsynced_max
from backstop.journal.recovery import recover
from backstop.journal.syncing import Log
from tests.journal.runs import crash, manifest, names, write


def test_an_existing_file_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"`.*journal\.db` exists"):
        Journal.create(path, manifest())
    assert path.read_bytes() == before
    Journal.create(path, manifest(), overwrite=True).abandon()
    with open_journal(path) as journal:
        assert list(journal.batches()) == []


def test_the_log_of_another_journal_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "journal.db-wal").write_bytes(b"another's")
    with pytest.raises(JournalError, match=r"journal\.db-wal` exists"):
        Journal.create(tmp_path / "journal.db", manifest())


@pytest.mark.parametrize("place", ["absent/journal.db", "."])
def test_a_place_that_cannot_hold_a_file_is_a_clear_error(tmp_path: Path, place: str) -> None:
    with pytest.raises(JournalError, match="cannot be created"):
        Journal.create(tmp_path / place, manifest(), overwrite=True)


def test_a_closed_journal_is_one_file(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "journal.db", manifest()) as journal:
        connection = journal._connection
        assert connection is not None
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)  # the rest is ``sync``
        journal.append(crash()[0].events, crash()[0].effects)
        journal.close(crash()[0].digest)
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db"]


class _Disk:
    """Keeps what a power cut would leave: the files as they were when a sync last began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self._path = path
        self._sync = Log.sync
        self.held: dict[str, bytes] = {}
        self.fault: OSError | None = None
        monkeypatch.setattr(Log, "sync", lambda log: self.sync(log))

    def sync(self, log: Log) -> None:
        if self.fault is not None:
            raise self.fault
        files = {end: Path(f"{self._path}{end}") for end in ("", "-wal")}
        held = {end: file.read_bytes() for end, file in files.items()}
        self._sync(log)
        self.held = held

    def after_a_cut(self, path: Path) -> int:
        """Return how many batches are there when the power is back."""
        held = self.held
        for end, content in held.items():
            Path(f"{path}{end}").write_bytes(content)
        found = recover(path)
        found.journal.abandon()
        self.held = held  # taking the copy up synced, too
        assert found.findings == ()
        return found.journal.batches


def test_a_batch_is_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _Disk(monkeypatch, tmp_path / "journal.db")
    with Journal.create(tmp_path / "journal.db", manifest(), names()) as journal:
        for number, chunk in enumerate(crash(), start=1):
            journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)
            assert disk.after_a_cut(tmp_path / f"cut {number}.db") == journal.batches == number


def test_what_is_written_is_safe_after_a_sync_and_never_far_ahead_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _Disk(monkeypatch, tmp_path / "journal.db")
    with Journal.create(tmp_path / "journal.db", manifest(), names()) as journal:
        for number, chunk in enumerate(crash(), start=1):
            journal.write(journal.seal(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None))
            assert number - unsynced_max(PAGE_BYTES) <= journal.batches < number
            assert disk.after_a_cut(tmp_path / f"cut {number}.db") == journal.batches
        journal.sync()
        assert disk.after_a_cut(tmp_path / "cut.db") == journal.batches == len(crash())


def test_a_sync_that_failed_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed sync the system may have dropped what it could not write, and the next would
    not say so.
    """
    disk = _Disk(monkeypatch, tmp_path / "journal.db")
    first, second, third = crash()[:3]
    with Journal.create(tmp_path / "journal.db", manifest(), names()) as journal:
        journal.append(first.events, first.effects)
        journal.write(journal.seal(second.events, second.effects, second.digest))
        disk.fault = OSError(errno.EIO, "device")
        with pytest.raises(JournalError, match=r"disk I/O error; 1 batches are safe"):
            journal.sync()
        disk.fault = None
        with pytest.raises(JournalError, match=r"disk I/O error; 1 batches are safe"):
            journal.write(journal.seal(third.events, third.effects))
        with pytest.raises(JournalError, match="is closed"):
            journal.sync()
        assert journal.batches == 1


def test_a_handle_that_cannot_be_closed_is_not_closed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another file's by then."""
    journal = Journal.create(tmp_path / "journal.db", manifest())
    closed: list[int] = []

    def failing(handle: int) -> None:
        closed.append(handle)
        raise OSError(errno.EIO, "device")

    with monkeypatch.context() as patch:
        patch.setattr("backstop.journal.syncing.os.close", failing)
        journal.abandon()
        journal.abandon()
    os.close(closed[0])
    assert len(closed) == 1


def test_a_journal_that_cannot_be_closed_in_order_is_closed_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _Disk(monkeypatch, tmp_path / "journal.db")
    journal = Journal.create(tmp_path / "journal.db", manifest(), names())
    journal.write(journal.seal(crash()[0].events, crash()[0].effects))
    disk.fault = OSError(errno.EIO, "device")
    with pytest.raises(JournalError, match="disk I/O error; 0 batches are safe"):
        journal.close(crash()[0].digest)
    disk.fault = None
    recover(tmp_path / "journal.db").journal.abandon()  # nobody holds it


def test_a_closed_journal_takes_no_more(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "journal.db", manifest()) as journal:
        journal.close("0" * 64)
        with pytest.raises(JournalError, match="is closed"):
            journal.append(crash()[0].events, crash()[0].effects)
        with pytest.raises(JournalError, match="is closed"):
            journal.close("0" * 64)


def test_a_digest_is_due_where_the_manifest_declares_it(tmp_path: Path) -> None:
    first, second = crash()[:2]
    with Journal.create(tmp_path / "journal.db", manifest(digest_every=2)) as journal:
        assert not journal.digest_due
        journal.append(first.events, first.effects)
        assert journal.digest_due
        with pytest.raises(ValueError, match="batch 2 must carry a state digest"):
            journal.append(second.events, second.effects)
        journal.append(second.events, second.effects, second.digest)
        assert (journal.batches, journal.events) == (2, len(first.events) + len(second.events))


def test_rows_that_are_no_batch_are_refused(tmp_path: Path) -> None:
    chunk = crash()[0]
    with Journal.create(tmp_path / "journal.db", manifest()) as journal:
        with pytest.raises(ValueError, match="not EVENT and EFFECT"):
            journal.append(chunk.effects, chunk.events)
        with pytest.raises(ValueError, match="a batch of 0 events"):
            journal.append(np.empty(0, EVENT), np.empty(0, EFFECT))
        with pytest.raises(ValueError, match="belongs to no event"):
            journal.append(chunk.events, crash()[1].effects)
        with pytest.raises(ValueError, match="not a SHA-256"):
            journal.append(chunk.events, chunk.effects, "A" * 64)
        assert journal.batches == 0


def test_a_full_disk_is_named_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    chunk = crash()[1]
    with Journal.create(path, manifest(digest_every=0), names()) as journal:
        connection = journal._connection
        assert connection is not None
        connection.execute("PRAGMA max_page_count = 40")
        message = ""
        while not message:
            try:
                journal.append(chunk.events, chunk.effects)
            except JournalError as error:
                message = str(error)
        safe = journal.batches
        assert f"the disk is full; {safe} batches are safe, the last event is seq {chunk.events['seq'][-1]}" in message
        with pytest.raises(JournalError, match="is closed"):
            journal.append(chunk.events, chunk.effects)
    with open_journal(path) as read:
        assert len(list(read.batches())) == safe > 0


_LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from backstop.core.events import EFFECT, EventKind
from backstop.journal import Journal, JournalError
from tests.journal.runs import event, manifest
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rows = np.concatenate([event(seq, seq, EventKind.CLOCK) for seq in range(500)])
with Journal.create(Path(sys.argv[1]), manifest(digest_every=0)) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
    try:
        while True:
            journal.append(rows, np.empty(0, EFFECT))
    except JournalError as error:
        print(journal.batches, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of POSIX")
def test_a_file_that_may_not_grow_keeps_every_acknowledged_batch(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    run = subprocess.run([sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=True)
    safe, message = run.stdout.split(" ", 1)
    assert "cannot be written" in message
    with open_journal(path) as journal:
        numbers = [batch.number for batch in journal.batches()]
        assert numbers == list(range(1, int(safe) + 1))
        # The same events again and again are no run, but every batch is whole.
        assert {finding.code for finding in journal.findings} <= {FindingCode.SEQ}


def test_a_read_only_file_is_named(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "journal.db", manifest()) as journal:
        assert journal._connection is not None
        journal._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(JournalError, match="it is read-only; 0 batches are safe"):
            journal.append(crash()[0].events, crash()[0].effects)


def test_names_that_are_no_unicode_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be created"):
        Journal.create(tmp_path / "journal.db", manifest(command="\udcff"))


def test_the_tables_are_open_to_any_tool_that_reads_sqlite(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    connection = sqlite3.connect(path)
    numbers = connection.execute("SELECT count(*), sum(events_count), max(last_seq) FROM batches").fetchone()
    connection.close()
    events = sum(len(chunk.events) for chunk in crash())
    assert numbers == (len(crash()), events, events)
