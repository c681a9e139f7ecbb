"""Ways to damage a journal: its file as a disk does it, its records as one who knows the format
does it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from backstop.journal.format import PAGE_BYTES
from tests.journal.runs import change, crash

__all__ = ["FILE_DAMAGE", "RECORD_DAMAGE", "Content", "content_of", "cut_short", "flip_bits", "scramble_range"]

#: Tables whose rows the chain covers, and their order.
_CHAINED = (
    ("manifest", "key"),
    ("names", "batch, kind, id"),
    ("batches", "number"),
    ("marks", "place"),
    ("snapshots", "place"),
    ("opening", "place"),
    ("records", "number"),
)
Content = tuple[list[tuple[object, ...]], ...]


def content_of(path: Path) -> Content:
    """Every record of a journal, as SQLite alone reads it."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.text_factory = bytes
    content = tuple(connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall() for table, order in _CHAINED)
    connection.close()
    return content


def flip_bits(rng: Random, content: bytearray) -> str:
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    return f"bit flipped at byte {place}"


def scramble_range(rng: Random, content: bytearray) -> str:
    first = rng.randrange(len(content))
    last = min(len(content), first + rng.randint(2, 5_000))
    content[first:last] = rng.choice((bytes(last - first), rng.randbytes(last - first)))
    return f"bytes {first} to {last} scrambled"


def _head_scrambled(rng: Random, content: bytearray) -> str:
    """The first page holds the header and the schema."""
    place = rng.randrange(100) if rng.random() < 0.5 else rng.randrange(min(PAGE_BYTES, len(content)))
    content[place] = rng.randrange(256)
    return f"byte {place} set to {content[place]}"


def cut_short(rng: Random, content: bytearray) -> str:
    length = rng.randrange(len(content))
    del content[length:]
    return f"cut to {length} bytes"


def _pages_moved(rng: Random, content: bytearray) -> str:
    """Two pages of the file change places, as a confused disk does it."""
    pages = len(content) // PAGE_BYTES
    one, other = (PAGE_BYTES * page for page in rng.sample(range(pages), 2))
    held = content[one : one + PAGE_BYTES]
    content[one : one + PAGE_BYTES] = content[other : other + PAGE_BYTES]
    content[other : other + PAGE_BYTES] = held
    return f"pages at {one} and {other} swapped"


#: Each changes a file's bytes in place and says what it did.
FILE_DAMAGE: tuple[Callable[[Random, bytearray], str], ...] = (flip_bits, scramble_range, _head_scrambled, cut_short, _pages_moved)


class _Record(NamedTuple):
    """One blob or text of a journal."""

    table: str
    column: str
    #: What finds its row.
    where: str
    #: Beginnings of the places that a finding may name.
    places: tuple[str, ...]


def _any_record(rng: Random) -> _Record:
    number = rng.randint(1, len(crash()))
    place = (f"batch {number}",)
    return rng.choice(
        [
            *(_Record("batches", column, f"number = {number}", place) for column in ("events", "effects", "chain")),
            _Record("batches", "digest", f"number = {2 * rng.randint(1, 3)}", ("batch ",)),
            _Record("batches", "snapshot", f"number = {2 * rng.randint(1, 3)}", ("batch ", "snapshot after batch ")),
            _Record("marks", rng.choice(("chain", "digest")), "place = 'end'", ("end mark",)),
            _Record("marks", "chain", "place = 'start'", ("manifest", "start mark")),
            _Record("manifest", "value", f"key = '{rng.choice(_KEYS)}'", ("manifest", "journal.db")),
            _Record("names", "name", f"kind = 'account' AND id = {rng.randrange(24)}", ("names",)),
            *(_snapshot_part(rng) for _ in range(2)),
        ]
    )


_KEYS = ("venue_text", "venue_hash", "limits", "command", "digest_every", "source_hash", "schema_version", "event_row", "created")


def _snapshot_part(rng: Random) -> _Record:
    number = rng.choice((4, 6))
    return _Record("snapshots", "part", f"place = {(number << 20) + rng.randrange(11)}", (f"snapshot after batch {number}",))


def _held(path: Path, record: _Record) -> bytes:
    connection = sqlite3.connect(path)
    (data,) = connection.execute(f"SELECT CAST({record.column} AS BLOB) FROM {record.table} WHERE {record.where}").fetchone()
    connection.close()
    return bytes(data)


def _written(path: Path, record: _Record, data: bytes) -> None:
    kind = "TEXT" if record.column in ("digest", "value", "name") else "BLOB"
    change(path, (f"UPDATE {record.table} SET {record.column} = CAST(? AS {kind}) WHERE {record.where}", (data,)))


def _bit_of_a_record(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    record = _any_record(rng)
    data = bytearray(_held(path, record))
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    _written(path, record, bytes(data))
    return f"a bit of byte {place} of {record}", record.places


def _range_of_a_record(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    record = _any_record(rng)
    held = _held(path, record)
    data = bytearray(held)
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.randint(2, 500))
    data[first:last] = rng.choice((bytes(last - first), rng.randbytes(last - first), b"", held[first:last] * 2))
    if data == held:
        data += b"0"
    _written(path, record, bytes(data))
    return f"bytes {first} to {last} of {record}", record.places


def _numbers(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    number, by = rng.randint(1, len(crash())), rng.choice((-1, 1, 64, 1 << 40))
    column = rng.choice(("first_seq", "last_seq", "events_count", "effects_count"))
    change(path, (f"UPDATE batches SET {column} = {column} + ? WHERE number = ?", (by, number)))
    return f"{column} of batch {number} by {by}", (f"batch {number}",)


def _dropped(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    first = rng.randint(1, len(crash()))
    last = rng.randint(first, len(crash()))
    change(path, ("DELETE FROM batches WHERE number BETWEEN ? AND ?", (first, last)))
    return f"batches {first} to {last} dropped", (f"batch {last + 1}", "end mark")


def _swapped(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    one, other = sorted(rng.sample(range(1, len(crash()) + 1), 2))
    moves = ((99, one), (one, other), (other, 99))
    change(path, *(("UPDATE batches SET number = ? WHERE number = ?", move) for move in moves))
    return f"batches {one} and {other} swapped", (f"batch {one}", f"batch {other}")


_COLUMNS = "first_seq, last_seq, events_count, effects_count, events, effects, chain, digest, snapshot, names"


def _repeated(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    source, target = rng.randint(1, len(crash())), rng.randint(1, len(crash()) + 1)
    if source == target:
        target = len(crash()) + 1
    change(
        path,
        ("DELETE FROM batches WHERE number = ?", (target,)),
        (f"INSERT INTO batches SELECT ?, {_COLUMNS} FROM batches WHERE number = ?", (target, source)),
    )
    return f"batch {source} again as batch {target}", (f"batch {target}",)


def _of_another_chain(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    """Batches, a mark or a snapshot of the same run, written to another journal."""
    first = rng.randint(1, len(crash()))
    last = rng.randint(first, len(crash()))
    other = path.parent / "other.db"
    table, where, places = rng.choice(
        [
            ("batches", f"number BETWEEN {first} AND {last}", (f"batch {first}",)),
            ("batches", f"number BETWEEN {first} AND {last}", (f"batch {first}",)),
            ("marks", "place = 'end'", ("end mark",)),
            ("marks", "place = 'start'", ("manifest",)),
            ("manifest", "key = 'command'", ("manifest",)),
        ]
    )
    change(
        path,
        ("ATTACH ? AS other", (str(other),)),
        (f"DELETE FROM main.{table} WHERE {where}", ()),
        (f"INSERT INTO main.{table} SELECT * FROM other.{table} WHERE {where}", ()),
    )
    return f"{table} where {where} of another journal", places


def _snapshots_moved(rng: Random, path: Path) -> tuple[str, tuple[str, ...]]:
    """A snapshot dropped in part or whole, or put where another was."""
    number = rng.choice((4, 6))
    low, high = number << 20, (number + 1) << 20
    place = low + rng.randrange(11)
    words = rng.choice(
        [
            f"DELETE FROM snapshots WHERE place = {place}",
            f"DELETE FROM snapshots WHERE place >= {low} AND place < {high}",
            f"UPDATE snapshots SET place = place + {1 << 20} WHERE place >= {low} AND place < {high} AND {number} = 6",
            f"UPDATE snapshots SET part = (SELECT part FROM snapshots WHERE place = {place ^ (2 << 20)} ) WHERE place = {place}",
            f"INSERT INTO snapshots SELECT place - {3 << 20}, part FROM snapshots WHERE place = {place}",
        ]
    )
    change(path, (words, ()))
    return words, ("snapshot after batch ",)


#: Each changes the journal at a path, and returns what it did and the beginnings of the places that
#: a finding may name.
RECORD_DAMAGE: tuple[Callable[[Random, Path], tuple[str, tuple[str, ...]]], ...] = (
    _bit_of_a_record,
    _range_of_a_record,
    _numbers,
    _dropped,
    _swapped,
    _repeated,
    _of_another_chain,
    _snapshots_moved,
)
