"""What comes back from a journal, and what is said of files that are none."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from backstop.core.events import EFFECT, EVENT, EffectKind, EventKind, Reject
from backstop.journal import FindingCode, Journal, JournalDamaged, Names, open_journal
from backstop.printing import NAME_MAX
from tests.journal.runs import change, copy, crash, event, manifest, names, write
from tests.journal.test_names import COMING, written


def _finding(path: Path) -> FindingCode:
    with pytest.raises(JournalDamaged) as caught:
        open_journal(path)
    return caught.value.finding.code


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    said = manifest(details={"scenario": "two markets", "prices_sha256": "ab"})
    path = tmp_path / "journal.db"
    with Journal.create(path, said, names()) as writer:
        for chunk in crash():
            writer.append(chunk.events, chunk.effects, chunk.digest)
        writer.close(crash()[-1].digest)
        head = writer.chain
    with open_journal(path) as journal:
        assert journal.manifest == said
        assert journal.names() == names()
        assert journal.check_head()
        for chunk, batch in zip(crash(), journal.batches(), strict=True):
            assert batch.intact
            assert batch.digest == chunk.digest
            assert np.array_equal(batch.events, chunk.events)
            assert np.array_equal(batch.effects, chunk.effects)
            assert batch.events.flags.writeable
            assert (batch.events.dtype, batch.effects.dtype) == (EVENT, EFFECT)
        journal.check_end()
        assert journal.findings == []
        assert (journal.is_closed, journal.digest, journal.chain) == (True, crash()[-1].digest, head)


def test_reading_leaves_nothing_behind_and_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    before = path.read_bytes()
    with open_journal(path) as journal:
        list(journal.batches())
    assert os.listdir(tmp_path) == ["journal.db"]
    assert path.read_bytes() == before


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "journal.db", manifest()) as writer:
        chunk = crash()[0]
        writer.append(chunk.events, chunk.effects)
        with open_journal(tmp_path / "journal.db") as journal:
            assert [batch.number for batch in journal.batches()] == [1]
            assert not journal.is_closed


def test_a_copied_log_is_read_without_an_index_beside_it(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with Journal.create(tmp_path / "journal.db", manifest()) as writer:
        writer.append(crash()[0].events, crash()[0].effects)
        copy(tmp_path / "journal.db", there / "journal.db")
    (there / "journal.db-shm").unlink()
    with open_journal(there / "journal.db") as journal:
        assert [batch.number for batch in journal.batches()] == [1]
    assert sorted(os.listdir(there)) == ["journal.db", "journal.db-wal"]


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_journal(tmp_path / "journal.db")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_journal(tmp_path)
    assert os.listdir(tmp_path) == []


def test_files_that_are_no_journal_are_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for content in (b"", b"SQLite format 3\x00", b"time,market,mark\n" * 99):
        path.write_bytes(content)
        assert _finding(path) == FindingCode.NOT_SQLITE
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE manifest (key TEXT, value TEXT)")
    connection.close()
    assert _finding(path) == FindingCode.FOREIGN


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("PRAGMA user_version = 5", FindingCode.NEWER_SCHEMA),
        ("PRAGMA user_version = 0", FindingCode.SCHEMA),
        ("PRAGMA application_id = 7", FindingCode.FOREIGN),
        ("DROP TABLE names", FindingCode.SCHEMA),
        ("ALTER TABLE names RENAME COLUMN name TO label", FindingCode.SCHEMA),
        ("CREATE TABLE other (x)", FindingCode.SCHEMA),
        ("CREATE INDEX fast ON batches (first_seq)", FindingCode.SCHEMA),
        ("DELETE FROM manifest WHERE key = 'limits'", FindingCode.MANIFEST),
        ("DELETE FROM manifest WHERE key = 'names_sha256'", FindingCode.MANIFEST),
        ("UPDATE manifest SET value = '{}' WHERE key = 'limits'", FindingCode.MANIFEST),
        ("UPDATE manifest SET value = 'two' WHERE key = 'digest_every'", FindingCode.MANIFEST),
        ("UPDATE manifest SET value = '[]' WHERE key = 'event_row'", FindingCode.MANIFEST),
        ("UPDATE manifest SET value = x'00ff' WHERE key = 'seed'", FindingCode.MANIFEST),
    ],
)
def test_a_journal_of_another_kind_is_named(tmp_path: Path, words: str, code: FindingCode) -> None:
    path = write(tmp_path / "journal.db")
    change(path, (words, ()))
    assert _finding(path) == code


def test_a_file_cut_short_is_named_with_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(JournalDamaged, match=f"cut short: {len(content) - 100} bytes of {len(content)}"):
        open_journal(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    path.chmod(0)
    assert _finding(path) == FindingCode.UNREADABLE


def test_an_event_out_of_order_must_have_been_refused(tmp_path: Path) -> None:
    events = np.concatenate([event(5, 0, EventKind.CLOCK), event(5, 0, EventKind.CLOCK), event(6, 0, EventKind.CLOCK)])
    refusal = np.zeros(1, dtype=EFFECT)
    refusal["seq"], refusal["kind"], refusal["code"] = 5, EffectKind.REFUSAL, Reject.SEQ_NOT_AFTER
    for number, effects in enumerate((refusal, refusal[:0])):
        path = tmp_path / f"{number}.db"
        with Journal.create(path, manifest(digest_every=0)) as writer:
            writer.append(events, effects)
        with open_journal(path) as journal:
            list(journal.batches())
            assert [finding.code for finding in journal.findings] == [FindingCode.SEQ] * number


def test_the_chain_is_what_the_reference_says(tmp_path: Path) -> None:
    """Recomputed from SQL and hashlib alone, by docs/reference/journal.md."""
    connection = sqlite3.connect(written(tmp_path / "journal.db"))

    def number(value: int) -> bytes:
        return value.to_bytes(8, "little", signed=True)

    def prefixed(data: bytes) -> bytes:
        return number(len(data)) + data

    entries = connection.execute("SELECT key, value FROM manifest ORDER BY key").fetchall()

    def names_of(batch: int) -> bytes:
        people = connection.execute("SELECT kind, id, name FROM names WHERE batch = ? ORDER BY kind, id", (batch,)).fetchall()
        return b"".join(prefixed(kind.encode()) + number(identifier) + prefixed(name.encode()) for kind, identifier, name in people)

    assert dict(entries)["names_sha256"] == hashlib.sha256(names_of(0)).hexdigest()
    start = prefixed(b"backstop journal start") + b"".join(prefixed(key.encode()) + prefixed(value.encode()) for key, value in entries)
    chain = hashlib.sha256(start).digest()
    marks = {row[0]: row[1:] for row in connection.execute("SELECT place, chain, batches, events, effects, digest FROM marks")}
    assert marks["start"][0] == chain
    rows = connection.execute("SELECT number, events, effects, digest, snapshot, names, chain FROM batches ORDER BY number").fetchall()
    taken = []
    for batch, events, effects, digest, snapshot, named, recorded in rows:
        assert named == (hashlib.sha256(names_of(batch)).digest() if batch in COMING else None)
        texts = prefixed((digest or "").encode()) + prefixed(snapshot or b"") + prefixed(named or b"")
        chain = hashlib.sha256(chain + prefixed(events) + prefixed(effects) + texts).digest()
        assert recorded == chain
        if snapshot is not None:
            taken.append((batch, snapshot))
    assert [batch for batch, _ in taken] == [2, 4, 6]
    for batch, snapshot in taken[-2:]:
        query = "SELECT part FROM snapshots WHERE place >= ? AND place < ? ORDER BY place"
        parts = connection.execute(query, (batch << 20, (batch + 1) << 20)).fetchall()
        assert hashlib.sha256(prefixed(b"backstop journal snapshot") + b"".join(prefixed(part) for (part,) in parts)).digest() == snapshot
    head, *counts, digest = marks["end"]
    end = prefixed(b"backstop journal end") + b"".join(map(number, counts)) + prefixed(digest.encode())
    assert head == hashlib.sha256(chain + end).digest()
    connection.close()


def test_a_name_is_as_long_as_the_readers_of_files_allow(tmp_path: Path) -> None:
    """One that is longer is found by a check, and its journal is not spoken of by name."""
    for length, is_read in ((NAME_MAX, True), (NAME_MAX + 1, False)):
        path = tmp_path / f"{length}.db"
        with Journal.create(path, manifest(), Names(["a", "b" * length], ["o"])) as writer:
            writer.close("0" * 64)
        with open_journal(path) as journal:
            journal.check_head()
            if is_read:
                assert journal.names().accounts[1] == "b" * length
                assert journal.findings == []
                continue
            assert [str(finding) for finding in journal.findings] == ["names: names: account 1 has a name of more than 256 letters"]
            with pytest.raises(JournalDamaged, match="account 1 has a name of more than 256 letters"):
                journal.names()


def test_what_a_message_quotes_of_a_journal_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    change(path, ("UPDATE names SET kind = ? WHERE kind = 'owner' AND id = 0", ("k" * 100_000,)))
    with open_journal(path) as journal, pytest.raises(JournalDamaged) as caught:
        journal.names()
    assert len(str(caught.value)) < 2_000
