"""Seeded damage: whatever is done to a journal is found, or has changed no record of it.

``BACKSTOP_MUTATIONS`` sets how many mutations are tried of each kind, ``BACKSTOP_SEED`` the first seed.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from random import Random

import pytest

from backstop.journal import Journal
from backstop.journal.verify import verify
from tests.journal.runs import change, copy, crash, manifest, names, write

MUTATIONS = int(os.environ.get("BACKSTOP_MUTATIONS", "25"))
SEED = int(os.environ.get("BACKSTOP_SEED", "1"))

Content = tuple[list[tuple[object, ...]], ...]


def _content(path: Path) -> Content:
    """Every record of a journal, as SQLite alone reads it."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    content = tuple(
        connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()
        for table, order in (("manifest", "key"), ("names", "kind, id"), ("batches", "number"), ("marks", "place"))
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
    place = rng.randrange(100) if rng.random() < 0.5 else rng.randrange(min(16_384, len(content)))
    content[place] = rng.randrange(256)
    return f"byte {place} set to {content[place]}"


def _cut_short(rng: Random, content: bytearray) -> str:
    length = rng.randrange(len(content))
    del content[length:]
    return f"cut to {length} bytes"


def _pages_moved(rng: Random, content: bytearray) -> str:
    """Two pages of the file change places, as a confused disk does it."""
    pages = len(content) // 16_384
    one, other = (16_384 * page for page in rng.sample(range(pages), 2))
    held = content[one : one + 16_384]
    content[one : one + 16_384] = content[other : other + 16_384]
    content[other : other + 16_384] = held
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


@pytest.mark.parametrize("column", ["events", "effects", "chain", "digest"])
def test_every_flipped_bit_of_a_record_is_found_in_its_batch(sound: Path, tmp_path: Path, column: str) -> None:
    for seed in range(SEED, SEED + MUTATIONS):
        rng = Random(seed)
        path = copy(sound, tmp_path / f"{seed}.db")
        number = rng.choice([2, 4, 6]) if column == "digest" else rng.randint(1, len(crash()))
        connection = sqlite3.connect(path)
        (data,) = connection.execute(f"SELECT CAST({column} AS BLOB) FROM batches WHERE number = ?", (number,)).fetchone()
        connection.close()
        flipped = bytearray(data)
        place = rng.randrange(len(flipped))
        flipped[place] ^= 1 << rng.randrange(8 if column != "digest" else 3)
        value = bytes(flipped) if column != "digest" else flipped.decode()
        change(path, (f"UPDATE batches SET {column} = ? WHERE number = ?", (value, number)))
        report = verify(path)
        told = f"BACKSTOP_SEED={seed}: byte {place} of {column} of batch {number}: {report.findings}"
        assert report.exit_code == 4, told
        assert report.findings[0].place.startswith(f"batch {number}"), told
        path.unlink()


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
