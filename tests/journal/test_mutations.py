"""Seeded damage: whatever is done to a journal is found and named, or has changed no record of it.

``BACKSTOP_MUTATIONS`` sets how many mutations are tried of each of the fourteen kinds (25 unless
told; ``make mutations`` tries more than 10,000 in all), ``BACKSTOP_SEED`` the first seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from backstop.journal import Journal
from backstop.journal.verify import verify
from tests.journal.damage import FILE_DAMAGE, RECORD_DAMAGE, Content, content_of, cut_short, flip_bits, scramble_range
from tests.journal.runs import copy, crash, manifest, names, write

MUTATIONS = int(os.environ.get("BACKSTOP_MUTATIONS", "25"))
SEED = int(os.environ.get("BACKSTOP_SEED", "1"))


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
    assert content_of(path) == whole, told
    return False


@pytest.mark.parametrize("mutate", FILE_DAMAGE)
def test_damage_to_the_file_is_found_or_changes_no_record(sound: Path, tmp_path: Path, mutate: object) -> None:
    assert callable(mutate)
    whole, original, path = content_of(sound), sound.read_bytes(), tmp_path / "journal.db"
    for seed in range(SEED, SEED + MUTATIONS):
        content = bytearray(original)
        told = f"BACKSTOP_SEED={seed}: {mutate(Random(seed), content)}"
        path.write_bytes(content)
        _check(path, whole, told)
    assert os.listdir(tmp_path) == ["journal.db"]


@pytest.mark.parametrize("mutate", RECORD_DAMAGE)
def test_every_change_of_a_record_is_found_and_named(sound: Path, tmp_path: Path, mutate: object) -> None:
    assert callable(mutate)
    whole = content_of(sound)
    write(tmp_path / "other.db", command="another run")
    changed = 0
    for seed in range(SEED, SEED + MUTATIONS):
        path = copy(sound, tmp_path / "journal.db")
        what, places = mutate(Random(seed), path)
        told = f"BACKSTOP_SEED={seed}: {what}"
        if content_of(path) == whole:
            continue  # for one, a part of a snapshot that is equal to the other's
        changed += 1
        report = verify(path)
        assert report.exit_code == 4, f"{told}: {report.findings}"
        named = [finding.place for finding in report.findings]
        assert any(place.startswith(wanted) for place in named for wanted in places), f"{told}: {report.findings}"
    assert changed > MUTATIONS // 2


def test_a_log_that_is_cut_or_scrambled_leaves_a_prefix_of_whole_batches(tmp_path: Path) -> None:
    """A run that died: all but its head stands in the log.

    The page cache survives a kill, a disk need not.
    """
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
        told = f"BACKSTOP_SEED={seed}: {rng.choice((flip_bits, scramble_range, cut_short))(rng, content)}"
        log.write_bytes(content)
        report = verify(dead, head=head)
        codes = {finding.name for finding in report.findings}
        assert codes <= {"log", "end_missing", "head"}, told
        assert "end_missing" in codes, told
        # Who kept what was acknowledged always learns of the loss; the file itself tells unless it
        # ends where a batch does.
        assert ("head" in codes) == (report.batches < len(crash())), told
        assert report.events_replayed == report.events == sum(len(chunk.events) for chunk in crash()[: report.batches]), told
        lengths.add(report.batches)
        named += "log" in codes
    assert len(lengths) > 2
    assert named > MUTATIONS // 2
