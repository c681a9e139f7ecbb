"""Values of a type that the schema forbids, gaps among names, headers of snapshots that lie: named,
never raised as what they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstop.journal import FindingCode, JournalDamaged, open_journal
from backstop.journal.recovery import Recovery
from backstop.journal.snapshot import SnapshotError, restore_snapshot
from tests.journal.runs import change, crash, write


def put(path: Path, table: str, column: str, where: str, value: object) -> None:
    """Store a value of any type: what the schema declares is taken away and given back."""
    said = ""
    for words in (None, f"UPDATE {table} SET {column} = ? WHERE {where}", ""):
        connection = sqlite3.connect(path, isolation_level=None)
        if words:
            connection.execute(words, (value,))
        else:
            connection.execute("PRAGMA writable_schema = ON")
            held = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
            loose = held.replace(" INTEGER NOT NULL", "").replace(" BLOB NOT NULL", "")
            connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (loose if words is None else said, table))
            version = connection.execute("PRAGMA schema_version").fetchone()[0]
            connection.execute(f"PRAGMA schema_version = {version + 1}")
            said = said or held
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


@pytest.mark.parametrize("value", ["x" * 32, 5, None, b"short"])
def test_a_start_of_the_chain_that_is_no_hash(tmp_path: Path, value: object) -> None:
    path = write(tmp_path / "journal.db")
    put(path, "marks", "chain", "place = 'start'", value)
    with open_journal(path) as journal:
        batch = journal.batch(1)
        assert batch is not None
        assert len(batch.events) == len(crash()[0].events)
        assert not journal.check_head()
        assert {finding.code for finding in journal.findings} == {FindingCode.MANIFEST}


@pytest.mark.parametrize("value", [float("inf"), "many", b"\x00", None])
def test_counts_that_add_up_to_no_number(tmp_path: Path, value: object) -> None:
    path = write(tmp_path / "journal.db", close=False)
    put(path, "batches", "events_count", "number = 1", value)
    with open_journal(path) as journal:
        if isinstance(value, float):
            with pytest.raises(JournalDamaged, match="batch_frame: batches: their counts add up to inf"):
                journal.totals(4)
        list(journal.batches())
        assert FindingCode.BATCH_FRAME in {finding.code for finding in journal.findings}
    if isinstance(value, float):
        with pytest.raises(JournalDamaged, match="their counts add up to"):
            Recovery(path)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("DELETE FROM names WHERE kind = 'account' AND id = 3", "'account' 4"),
        ("UPDATE names SET id = 99 WHERE kind = 'owner' AND id = 0", "'owner' 1"),
        ("UPDATE names SET kind = 'other' WHERE kind = 'owner' AND id = 23", "'other' 23"),
        ("UPDATE names SET name = x'00' WHERE id = 5", "'account' 5"),
    ],
)
def test_names_are_not_given_to_their_neighbours(tmp_path: Path, words: str, place: str) -> None:
    path = write(tmp_path / "journal.db")
    change(path, (words, ()))
    with open_journal(path) as journal, pytest.raises(JournalDamaged, match=f"names: names: {place} is no name, or follows a gap"):
        journal.names()


@pytest.mark.parametrize("value", [b"", b"short", "text", 5])
def test_a_hash_of_a_snapshot_that_is_none(tmp_path: Path, value: object) -> None:
    """Empty bytes are hashed as no snapshot is, so the chain alone cannot tell them apart."""
    path = write(tmp_path / "journal.db")
    put(path, "batches", "snapshot", "number = 1", value)
    with open_journal(path) as journal:
        assert journal.check_head()
        list(journal.batches())
        assert (FindingCode.BATCH_FRAME, "batch 1") in {finding[:2] for finding in journal.findings}


def test_a_finding_quotes_no_more_than_people_read(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    put(path, "batches", "effects_count", "number = 2", "9" * 70_000)
    with open_journal(path) as journal:
        list(journal.batches())
        assert all(len(finding.message) <= 1_000 for finding in journal.findings)
        assert FindingCode.BATCH_FRAME in {finding.code for finding in journal.findings}


def _entry(header: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in header["arrays"] if entry["name"] == name)


LIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a size beyond memory": (lambda header: _entry(header, "state.accounts").update(shape=[1 << 62]), "ends too early"),
    "a size beyond its parts": (lambda header: _entry(header, "state.accounts").update(shape=[1 << 30]), "ends too early"),
    "effects beyond memory": (lambda header: _entry(header, "state.effects").update(shape=[1 << 62]), "larger than any memory"),
    "two dimensions": (lambda header: _entry(header, "state.accounts").update(shape=[2, 2]), "has 2 dimensions"),
    "no parts": (lambda header: _entry(header, "state.house").update(parts=0), "bytes too early"),
    "objects": (lambda header: _entry(header, "state.house").update(name="x", dtype="O"), "`x` is of no known type"),
    "nonsense": (lambda header: _entry(header, "state.house").update(name="x", dtype=[["a"]]), "`x` is of no known type"),
    "an array twice": (lambda header: header["arrays"].append(_entry(header, "state.effects")), "holds an array twice"),
    "an array less": (lambda header: header["arrays"].remove(_entry(header, "state.effects")), "effects"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_of_a_snapshot_that_lies(lie: str) -> None:
    first, *rest = (bytes(part) for part in crash()[3].snapshot.parts)
    header = json.loads(first)
    change_of, expected = LIES[lie]
    change_of(header)
    with pytest.raises(SnapshotError, match=expected):
        restore_snapshot([json.dumps(header).encode(), *rest])


def test_a_block_of_an_unknown_kind() -> None:
    parts = [bytes(part) for part in crash()[3].snapshot.parts]
    header = json.loads(parts[0])
    place = 1
    for entry in header["arrays"]:
        if entry["name"] == "state.positions":
            break
        place += entry["parts"]
    assert parts[place][0] <= 2
    parts[place] = b"\x07" + parts[place][1:]
    with pytest.raises(SnapshotError, match="has a block of an unknown kind"):
        restore_snapshot(parts)
