"""Seeded damage: whatever is done to a journal is found and named, or has changed no record of it.

``BACKSTOP_MUTATIONS`` sets how many mutations are tried of each of the fourteen kinds (25 unless told; ``make mutations`` tries
more than 10,000 in all), ``BACKSTOP_SEED`` the first seed.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from backstop.journal import Journal
from backstop.journal.format import PAGE_BYTES
from backstop.journal.verify import verify
from tests.journal.runs import change, copy, crash, manifest, names, write

MUTATIONS = int(os.environ.get("BACKSTOP_MUTATIONS", "25"))
SEED = int(os.environ.get("BACKSTOP_SEED", "1"))

Content = tuple[list[tuple[object, ...]], ...]


def _content(path: Path) -> Content:
    """Every record of a journal, as SQLite alone reads it."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    connection.text_factory = bytes
    content = tuple(
        connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()
        for table, order in (("manifest", "key"), ("names", "kind, id"), ("batches", "number"), ("marks", "place"), ("snapshots", "place"))
    )
    connection.close()
    return content


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write(tmp_path_factory.mktemp("sound") / "journal.db")
    assert verify(path).exit_code == 0
    return path


def _check(path: Path, whole: Content, told: str) -> bool:
    """Verify; where nothing is found nothing may be changed. Return whether something was found."""
    report = verify(path)
    if report.findings:
        assert report.exit_code == 4, f"{told}: {report.findings}"
        return True
    assert _content(path) == whole, told
    return False


def _bytes_flipped(rng: Random, content: bytearray) -> str:
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    return f"bit flipped at byte {place}"


def _range_scrambled(rng: Random, content: bytearray) -> str:
    first = rng.randrange(len(content))
    last = min(len(content), first + rng.randint(2, 5_000))
    content[first:last] = rng.choice((bytes(last - first), rng.randbytes(last - first)))
    return f"bytes {first} to {last} scrambled"


def _head_scrambled(rng: Random, content: bytearray) -> str:
    """The first page holds the header and the schema."""
    place = rng.randrange(100) if rng.random() < 0.5 else rng.randrange(min(PAGE_BYTES, len(content)))
    content[place] = rng.randrange(256)
    return f"byte {place} set to {content[place]}"


def _cut_short(rng: Random, content: bytearray) -> str:
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


@pytest.mark.parametrize("mutate", [_bytes_flipped, _range_scrambled, _head_scrambled, _cut_short, _pages_moved])
def test_damage_to_the_file_is_found_or_changes_no_record(sound: Path, tmp_path: Path, mutate: object) -> None:
    assert callable(mutate)
    whole, original, path = _content(sound), sound.read_bytes(), tmp_path / "journal.db"
    for seed in range(SEED, SEED + MUTATIONS):
        content = bytearray(original)
        told = f"BACKSTOP_SEED={seed}: {mutate(Random(seed), content)}"
        path.write_bytes(content)
        _check(path, whole, told)
    assert os.listdir(tmp_path) == ["journal.db"]


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


_COLUMNS = "first_seq, last_seq, events_count, effects_count, events, effects, chain, digest, snapshot"


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


_KINDS = [
    _bit_of_a_record,
    _range_of_a_record,
    _numbers,
    _dropped,
    _swapped,
    _repeated,
    _of_another_chain,
    _snapshots_moved,
]


@pytest.mark.parametrize("mutate", _KINDS)
def test_every_change_of_a_record_is_found_and_named(sound: Path, tmp_path: Path, mutate: object) -> None:
    assert callable(mutate)
    whole = _content(sound)
    write(tmp_path / "other.db", command="another run")
    changed = 0
    for seed in range(SEED, SEED + MUTATIONS):
        path = copy(sound, tmp_path / "journal.db")
        what, places = mutate(Random(seed), path)
        told = f"BACKSTOP_SEED={seed}: {what}"
        if _content(path) == whole:
            continue  # for one, a part of a snapshot that is equal to the other's
        changed += 1
        report = verify(path)
        assert report.exit_code == 4, f"{told}: {report.findings}"
        named = [finding.place for finding in report.findings]
        assert any(place.startswith(wanted) for place in named for wanted in places), f"{told}: {report.findings}"
    assert changed > MUTATIONS // 2


def test_a_log_that_is_cut_or_scrambled_leaves_a_prefix_of_whole_batches(tmp_path: Path) -> None:
    """A run that died: all but its head stands in the log. The page cache survives a kill, a disk need not."""
    source = tmp_path / "source"
    source.mkdir()
    with Journal.create(source / "journal.db", manifest(), names()) as journal:
        for chunk in crash():
            journal.append(chunk.events, chunk.effects, chunk.digest)
        head = journal.chain
        dead = copy(source / "journal.db", tmp_path / "journal.db")
    Path(f"{dead}-shm").unlink()
    log = Path(f"{dead}-wal")
    original = log.read_bytes()
    lengths, named = set(), 0
    for seed in range(SEED, SEED + MUTATIONS):
        rng = Random(seed)
        content = bytearray(original)
        told = f"BACKSTOP_SEED={seed}: {rng.choice((_bytes_flipped, _range_scrambled, _cut_short))(rng, content)}"
        log.write_bytes(content)
        report = verify(dead, head=head)
        codes = {finding.name for finding in report.findings}
        assert codes <= {"log", "end_missing", "head"}, told
        assert "end_missing" in codes, told
        # Who kept what was acknowledged always learns of the loss; the file itself tells unless it ends where a batch does.
        assert ("head" in codes) == (report.batches < len(crash())), told
        assert report.events_replayed == report.events == sum(len(chunk.events) for chunk in crash()[: report.batches]), told
        lengths.add(report.batches)
        named += "log" in codes
    assert len(lengths) > 2
    assert named > MUTATIONS // 2
