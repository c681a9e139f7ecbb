"""Journals of every schema that was ever written: this version reads them and gives every effect again.

Each was written once, by the version of its day, from ``tests.journal.runs.crash``, and is never written anew. What makes one
fail is a change of the engine's rules: then ``backstop journal verify`` must say so, and the change needs a reason.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from backstop.core.state import new_state, state_digest
from backstop.journal import open_journal
from backstop.journal.format import DIGEST_ENCODING, SCHEMA_VERSION, SCHEMAS
from backstop.journal.verify import verify
from tests.journal.runs import venue

GOLDEN = Path(__file__).parent / "golden"
CHAINS = {
    1: "1856749642cc6b550846a7e7ce3a0cd4c5f549ae8921a8ba2657f33959da1144",
    2: "23504826f43c111b700a259cad59368c93ed1fe1485859d4bdd04906adef241e",
}


def _unpacked(schema: int, folder: Path) -> Path:
    path = folder / f"schema-{schema}.db"
    path.write_bytes(gzip.decompress((GOLDEN / f"schema-{schema}.db.gz").read_bytes()))
    return path


def test_there_is_one_of_every_schema() -> None:
    assert sorted(SCHEMAS) == sorted(CHAINS) == list(range(1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("schema", sorted(CHAINS))
def test_an_older_journal_is_read_and_gives_every_effect_again(tmp_path: Path, schema: int) -> None:
    report = verify(_unpacked(schema, tmp_path))
    assert report.findings == (), report.findings
    assert (report.schema, report.is_closed, report.batches, report.events, report.effects) == (schema, True, 7, 545, 1133)
    assert report.chain == CHAINS[schema]
    assert report.events_replayed == 545


def test_what_an_older_journal_does_not_say_is_known(tmp_path: Path) -> None:
    with open_journal(_unpacked(1, tmp_path)) as journal:
        manifest = journal.manifest
        assert (manifest.source_hash, manifest.digest_encoding, manifest.snapshot_every) == ("", 1, 0)
        assert journal.names().accounts[3] == "trader-3"
        assert journal.snapshots_held() == []


def test_the_number_of_the_digest_encoding_goes_with_the_encoding() -> None:
    """Where this fails, docs/rules.md section 12 has changed: give ``DIGEST_ENCODING`` the next number, and this the new digest."""
    assert (DIGEST_ENCODING, state_digest(new_state(venue().rules))) == (
        1,
        "35f677fb5428c5af0f8ef7df385f1b6580b64ff0b3eebeed058bfbe86572885c",
    )
