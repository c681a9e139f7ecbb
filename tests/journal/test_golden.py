"""Journals of every schema that was ever written: this version reads them, whatever its engine does
by now.

Each was written once, by the version of its day, from ``tests.journal.runs.crash``, and is never
written anew.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from backstop.core.digest import state_digest
from backstop.core.state import new_state
from backstop.journal import FindingCode, open_journal
from backstop.journal.findings import DIFFERENCES
from backstop.journal.format import DIGEST_ENCODING, SCHEMA_VERSION, SCHEMAS
from backstop.journal.showing import Choice, chosen, speaker_of
from backstop.journal.verify import verify
from tests.journal.runs import change, venue

GOLDEN = Path(__file__).parent / "golden"
CHAINS = {
    1: "1856749642cc6b550846a7e7ce3a0cd4c5f549ae8921a8ba2657f33959da1144",
    2: "6bbe36bdb3176d2d29593b1dff9e0dbf044eb37ec563e8c80610f4741800b01c",
    3: "a604e042543157109fe290546775c11e29d4955063b354f1719f1c8916d43e0f",
    4: "b94160c23507213ee8171ea73d30fcd0de10f989fc7a173a4fdb1ac44183b371",
}
#: Events and effects of each.
COUNTS = {1: (545, 1133), 2: (545, 1133), 3: (605, 1063), 4: (605, 1064)}


def _unpacked(schema: int, folder: Path) -> Path:
    path = folder / f"schema-{schema}.db"
    path.write_bytes(gzip.decompress((GOLDEN / f"schema-{schema}.db.gz").read_bytes()))
    return path


def _encoding(schema: int, folder: Path) -> int:
    with open_journal(_unpacked(schema, folder)) as journal:
        return journal.manifest.digest_encoding


def test_there_is_one_of_every_schema() -> None:
    assert sorted(SCHEMAS) == sorted(CHAINS) == list(range(1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("schema", sorted(CHAINS))
def test_an_older_journal_is_read_whole(tmp_path: Path, schema: int) -> None:
    """Rows, chain and end are as they were; where the rules changed since, its replay may differ,
    and says by whom it was written.
    """
    report = verify(_unpacked(schema, tmp_path))
    assert {finding.code for finding in report.findings} <= DIFFERENCES, report.findings
    assert all("(written by version" in finding.message for finding in report.findings)
    assert (report.schema, report.is_closed, report.batches, report.events, report.effects) == (schema, True, 7, *COUNTS[schema])
    assert report.chain == CHAINS[schema]
    assert report.events_replayed or any(note.startswith(("not replayed", "not recomputed")) for note in report.notes)
    # Of an older encoding of the digest nobody says that all agrees, whatever its effects do.
    is_present = _encoding(schema, tmp_path) == DIGEST_ENCODING
    assert report.exit_code in ((0, 3, 5) if is_present else (3, 5))


@pytest.mark.parametrize("schema", sorted(CHAINS))
def test_every_row_of_an_older_journal_is_shown(tmp_path: Path, schema: int) -> None:
    with open_journal(_unpacked(schema, tmp_path)) as journal:
        speaker = speaker_of(journal)
        lines = list(chosen(journal, Choice()))
    assert len(lines) == sum(COUNTS[schema])
    assert all(speaker.event(line.row) if line.place is None else speaker.effect(line.row) for line in lines)


@pytest.mark.parametrize("schema", sorted(CHAINS))
def test_damage_to_an_older_journal_is_found(tmp_path: Path, schema: int) -> None:
    path = _unpacked(schema, tmp_path)
    change(path, ("UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = 3", ()))
    # Where the rules changed since, the replay of the batches before may differ already.
    finding = next(each for each in verify(path).findings if each.code not in DIFFERENCES)
    assert (finding.code, finding.place) == (FindingCode.CHAIN, "batch 3")


def test_what_an_older_journal_does_not_say_is_known(tmp_path: Path) -> None:
    with open_journal(_unpacked(1, tmp_path)) as journal:
        manifest = journal.manifest
        assert (manifest.source_hash, manifest.digest_encoding, manifest.snapshot_every) == ("", 1, 0)
        assert journal.names().accounts[3] == "trader-3"
        assert journal.snapshots_held() == []


def test_the_number_of_the_digest_encoding_goes_with_the_encoding() -> None:
    """Where this fails, R12 has changed: give ``DIGEST_ENCODING`` the next number, and this the new
    digest. Or only the state in which a venue begins: then the number stays.
    """
    assert (DIGEST_ENCODING, state_digest(new_state(venue().rules))) == (
        12,
        "1ff509ef30da4d3aa645e52b7b11a929cfd0319d513ef980707a5798343615ae",
    )
