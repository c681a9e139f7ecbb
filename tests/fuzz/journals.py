"""Fuzzed journals and snapshots: what is read without a finding is what was written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from backstop.core.state import State
from backstop.journal import JournalDamaged
from backstop.journal.chronicle import upgrade_text
from backstop.journal.naming import sealed_beside
from backstop.journal.reader import FINDINGS_MAX, Reader, open_journal
from backstop.journal.recovery import Recovery, recover
from backstop.journal.snapshot import SnapshotError, restore_snapshot
from backstop.journal.verify import verify
from backstop.journal.writer import JournalError
from tests.fuzz.mutate import EDGE_NUMBERS, EDGE_TEXTS, spoilt_bytes
from tests.fuzz.target import Found
from tests.journal.damage import FILE_DAMAGE, RECORD_DAMAGE, Content, content_of
from tests.journal.runs import change, copy, crash, write

__all__ = ["fuzz_journal", "fuzz_recovery", "fuzz_snapshot"]

#: Inputs that are replayed too, of all.
_VERIFIED = 0.04
#: Journals that are a later segment, of all.
_LATER = 0.4


def _sound(folder: Path, name: str, **how: Any) -> tuple[Path, Content]:
    """Return a sound journal in the folder, written once, and its content."""
    path = folder / name
    return _written(path, tuple(how.items()))


@cache
def _written(path: Path, how: tuple[tuple[str, Any], ...]) -> tuple[Path, Content]:
    path.unlink(missing_ok=True)
    write(path, **dict(how))
    return path, content_of(path)


# Damage


def _file_damaged(rng: Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    rng.choice(FILE_DAMAGE)(rng, content)
    path.write_bytes(content if rng.random() < 0.95 else spoilt_bytes(rng, bytes(content[:5000])))


def _record_damaged(rng: Random, path: Path) -> None:
    with _opened(path) as connection:
        is_first = connection.execute("SELECT min(number) FROM batches").fetchone() == (1,)
        is_closed = connection.execute("SELECT count(*) FROM marks WHERE place = 'end'").fetchone()[0]
    if not is_first:
        _value_changed(rng, path)
        return
    # The first two may choose the end mark.
    rng.choice(RECORD_DAMAGE if is_closed else RECORD_DAMAGE[2:])(rng, path)


#: Columns by table, beside the key of a row.
_TABLES = {
    "manifest": ("key", "value"),
    "names": ("batch", "kind", "id", "name"),
    "batches": ("first_seq", "last_seq", "events_count", "effects_count", "events", "effects", "chain", "digest", "snapshot"),
    "marks": ("place", "batches", "events", "effects", "chain", "digest"),
    "snapshots": ("part",),
    "opening": ("part",),
    "records": ("batch", "text", "chain"),
    "stops": ("events", "error"),
}
_ORDER = {"manifest": "key", "names": "batch, kind, id", "batches": "number", "marks": "place", "snapshots": "place"}
_ORDER |= {"opening": "place", "records": "number", "stops": "batch"}


def _any_value(rng: Random) -> Any:
    """Return a value of any type that SQLite stores."""
    return rng.choice(
        (
            None,
            rng.choice((-(1 << 63), (1 << 63) - 1, 0, -1, 1, 1 << 40)),
            rng.choice((0.0, 1.5, -1e308, float("inf"), 5.0)),
            rng.choice((*EDGE_TEXTS, *EDGE_NUMBERS)),
            rng.randbytes(rng.choice((0, 1, 32, 64, 128))),
        )
    )


def _retyped(connection: sqlite3.Connection, table: str, change_of: Callable[[str], str]) -> str:
    """Rewrite what the schema says of a table, without a look at its rows; return what it said."""
    connection.execute("PRAGMA writable_schema = ON")
    said = str(connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0])
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (change_of(said), table))
    version = connection.execute("PRAGMA schema_version").fetchone()[0]
    connection.execute(f"PRAGMA schema_version = {version + 1}")
    return said


def _value_changed(rng: Random, path: Path) -> None:
    """Any value in any column, of any type: the declared type is removed for that time."""
    table = rng.choice(list(_TABLES))
    column, value = rng.choice(_TABLES[table]), _any_value(rng)
    loosened = rng.random() < 0.7

    def loosen(words: str) -> str:
        # A key stays what it is; the rest loses its types and what they forbid.
        head, _, body = words.partition("(")
        return f"{head}({body.replace(' INTEGER NOT NULL', '').replace(' TEXT NOT NULL,', ',').replace(' BLOB NOT NULL', '')}"

    said = ""
    if loosened:
        with _opened(path) as connection:
            said = _retyped(connection, table, loosen)
    with _opened(path) as connection:
        _update_any(rng, connection, table, column, value)
    if loosened:
        with _opened(path) as connection:
            _retyped(connection, table, lambda _: said)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _update_any(rng: Random, connection: sqlite3.Connection, table: str, column: str, value: Any) -> None:
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY {_ORDER[table]}")
    names = [part[0] for part in rows.description]
    found = rows.fetchall()
    if not found:
        return
    keys = _ORDER[table].split(", ")
    chosen = dict(zip(names, rng.choice(found), strict=True))
    where = " AND ".join(f"{key} = ?" for key in keys)
    try:
        connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}", (value, *(chosen[key] for key in keys)))
    except sqlite3.Error:
        return  # a column that the key needs


def _statement(rng: Random, path: Path) -> None:
    """Tables and entries that are gone, added or others'."""
    table = rng.choice(list(_TABLES))
    words = rng.choice(
        (
            f"DELETE FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} ADD COLUMN more",
            f"CREATE INDEX extra ON {table} ({_TABLES[table][0]})",
            "CREATE TABLE extra (x)",
            f"CREATE TRIGGER extra AFTER INSERT ON {table} BEGIN DELETE FROM batches; END",
            "CREATE VIEW extra AS SELECT 1",
            f"PRAGMA user_version = {rng.choice((0, 1, 3, -1, 2_000_000_000))}",
            f"PRAGMA application_id = {rng.choice((0, 1))}",
            "DELETE FROM manifest WHERE key = (SELECT key FROM manifest ORDER BY random() LIMIT 1)",
            "INSERT INTO manifest VALUES ('detail_x', 'y')",
            "DELETE FROM names WHERE id = 3",
            "PRAGMA journal_mode = DELETE",
            "VACUUM",
        )
    )
    change(path, (words, ()))


_DAMAGE: tuple[Callable[[Random, Path], None], ...] = (
    _file_damaged,
    _file_damaged,
    _record_damaged,
    _value_changed,
    _value_changed,
    _statement,
)


# Reading


def _check_read(reader: Reader, whole: Content) -> list[str]:
    """Read everything with every check; return what was found.

    Where that is nothing, see that what was read is what was written.
    """
    reader.check_log()
    reader.check_pages()
    reader.check_head()
    batches = list(reader.batches())
    reader.check_end()
    list(reader.check_snapshots())
    reader.opening_parts()
    if not reader.findings:
        names = reader.names()
        read = [(batch.number, batch.events.tobytes(), batch.effects.tobytes()) for batch in batches]
        if read != [(row[0], *row[5:7]) for row in whole[2]]:
            raise Found("other events or effects were read than were written")
        if [name.encode() for name in (*names.accounts, *names.owners)] != [row[3] for row in whole[1]]:
            raise Found("other names were read than were written")
    else:
        with suppress(JournalDamaged):
            reader.names()
    return [str(finding) for finding in reader.findings]


def _damaged(rng: Random, folder: Path, *, is_closed: bool) -> tuple[Path, Content]:
    """Return a damaged journal and the content that it had."""
    sound, whole = _sound(folder, "sound.db" if is_closed else "open.db", close=is_closed)
    if rng.random() < _LATER:
        sound, whole = _later_segment(folder, "later.db" if is_closed else "later-open.db", is_closed=is_closed)
    _sound(folder, "other.db", command="another run")
    path = folder / "journal.db"
    for end in ("", "-wal", "-shm", "-journal"):
        # Gone first, so that it is a new file to a process that holds the old one.
        Path(f"{path}{end}").unlink(missing_ok=True)
    copy(sound, path)
    rng.choice(_DAMAGE)(rng, path)
    return path, whole


@cache
def _later_segment(folder: Path, name: str, *, is_closed: bool) -> tuple[Path, Content]:
    """Return a live segment that begins with a snapshot and a record, and its content; where it is
    open, with a stop that is still to be taken up.
    """
    path = folder / name
    write(path, crash()[:3], close=False)
    journal = recover(path).journal
    held = crash()[2]
    journal.seal_segment(held.snapshot, held.digest, [upgrade_text(code_version=("0", "1"), rules_version=(1, 1), source_hash=("a", "b"))])
    for chunk in crash()[3:]:
        snapshot = chunk.snapshot if journal.is_snapshot_due(journal.batches + 1) else None
        journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot)
    if is_closed:
        journal.close(crash()[-1].digest)
    else:
        journal.note_stop(crash()[-1].events[:2], "OverflowError: too much")
        journal.abandon()
    for sealed in sealed_beside(path).values():
        sealed.unlink()
    return path, content_of(path)


def fuzz_journal(rng: Random, folder: Path) -> bool:
    """Damage a journal, read it, judge; replay a few."""
    path, whole = _damaged(rng, folder, is_closed=True)
    if rng.random() < _VERIFIED:
        report = verify(path)
        return _judge(path, whole, [str(finding) for finding in report.findings])
    try:
        with open_journal(path) as reader:
            said = _check_read(reader, whole)
    except JournalDamaged as error:
        said = [str(error)]
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Found(f"a journal that is there was not found: {error}") from error
    return _judge(path, whole, said)


def _judge(path: Path, whole: Content, said: list[str]) -> bool:
    """See that nothing is changed where nothing is said, and that what is said is a name, a place
    and a message.
    """
    if not said:
        if content_of(path) != whole:
            raise Found("a record was changed, and nothing was found")
        return True
    for line in said:
        code, place, message = (*line.split(": ", 2), "", "")[:3]
        if not code.isidentifier() or not place or not message or len(line) > 2_000:
            raise Found(f"unclear finding: {line[:200]!r}")
    if len(said) > FINDINGS_MAX + 10:
        raise Found(f"{len(said)} findings")
    return False


def fuzz_recovery(rng: Random, folder: Path) -> bool:
    """Damage the journal of a run that died, take it up as far as its last batch, judge."""
    path, whole = _damaged(rng, folder, is_closed=False)
    try:
        with Recovery(path) as found:
            read = [(batch.number, batch.events.tobytes(), batch.effects.tobytes()) for batch in found.tail()]
            first, position = found.snapshot_batch, found.position
    except (JournalDamaged, JournalError) as error:
        if len(str(error)) < 10:
            raise Found(f"unclear refusal: {error}") from error
        return False
    written = {row[0]: (row[5], row[6]) for row in whole[2]}
    if [number for number, _, _ in read] != list(range(first + 1, position.batches + 1)):
        raise Found(f"batches {[number for number, _, _ in read]} after the snapshot of {first}")
    for number, events, effects in read:
        if (events, effects) != written.get(number):
            raise Found(f"batch {number} was changed and taken up")
    return True


# Snapshots


@cache
def _parts() -> tuple[bytes, ...]:
    return tuple(bytes(part) for part in crash()[3].snapshot.parts)


@cache
def _arrays() -> dict[str, bytes]:
    state = restore_snapshot(_parts()).state
    return {name: getattr(state, name).tobytes() for name in State.FIELDS if name != "effects"}


def _header_spoilt(rng: Random, part: bytes) -> bytes:
    header = json.loads(part)
    entry = rng.choice(header["arrays"])
    match rng.randrange(7):
        case 0:
            entry["shape"] = rng.choice(
                ([], [0], [1 << 40], [1 << 62, 1 << 62], entry["shape"] * 2, [-1], [1.5], "12", [size + 1 for size in entry["shape"]])
            )
        case 1:
            entry["dtype"] = rng.choice(
                ("<i8", "O", "V0", "nonsense", "M8[x]", [["a", "O"]], [["a"]], [], None, 5, [["a", "<i8", [1 << 40]]])
            )
            entry["name"] = rng.choice((entry["name"], "extra.x"))
        case 2:
            entry["parts"] = rng.choice((0, entry["parts"] + 1, 1 << 70, -1, True))
        case 3:
            entry["name"] = rng.choice(("state.effects", "state.accounts", "state.nothing", "", "state." + "x" * 300, 5))
        case 4:
            header[rng.choice(list(header))] = rng.choice((None, "", [], {}, 0, "0" * 64))
        case 5:
            header["arrays"].append(dict(entry))
        case 6:
            header["arrays"].remove(entry)
    return json.dumps(header).encode()


def fuzz_snapshot(rng: Random, folder: Path) -> bool:
    """Damage the parts of a snapshot, restore it, judge: its arrays fit their header, and have the
    bytes of their parts.
    """
    parts = list(_parts())
    place = rng.randrange(len(parts))
    way = rng.random()
    if way < 0.35:
        parts[0] = _header_spoilt(rng, parts[0])
    elif way < 0.7:
        parts[place] = spoilt_bytes(rng, parts[place])
    elif way < 0.8:
        parts.pop(place)
    elif way < 0.9:
        parts.insert(place, rng.choice(parts))
    else:
        other = rng.randrange(len(parts))
        parts[place], parts[other] = parts[other], parts[place]
    try:
        restored = restore_snapshot(parts)
    except SnapshotError as error:
        if len(str(error)) < 10:
            raise Found(f"unclear refusal: {error}") from error
        return False
    changed = sum(one != other for one, other in zip(parts, _parts(), strict=False)) + (len(parts) != len(_parts()))
    for name, (dtype, dimensions) in State.FIELDS.items():
        array = getattr(restored.state, name)
        if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
            raise Found(f"{name} is {array.dtype}, {array.ndim} dimensions")
        if not changed and name != "effects" and array.tobytes() != _arrays()[name]:
            raise Found(f"{name} is not what was stored")
    return True
