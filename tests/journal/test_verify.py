"""INV-12: replaying a journal gives its effects and digests again; where it does not, the place is
named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.core.events import EventKind
from backstop.journal import FindingCode, Journal, open_journal
from backstop.journal.inputs import input_details
from backstop.journal.replay import Replayer
from backstop.journal.verify import Report, verify
from tests.journal.runs import VENUE_TEXT, Chunk, change, copy, crash, event, manifest, write


def _codes(report: Report) -> list[FindingCode]:
    return [finding.code for finding in report.findings]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sound") / "journal.db")


def test_inv_12_a_sound_journal_replays_to_every_effect_and_digest(sound: Path) -> None:
    told: list[tuple[int, int]] = []
    report = verify(sound, lambda done, total: told.append((done, total)))
    events = sum(len(chunk.events) for chunk in crash())
    assert report.findings == ()
    assert report.exit_code == 0
    assert (report.events, report.events_replayed) == (events, events)
    assert report.effects == sum(len(chunk.effects) for chunk in crash())
    assert report.digests_compared == 4  # batches 2, 4, 6 and the end
    assert report.digest == crash()[-1].digest
    assert told[-1] == (events, events)


def test_inv_12_twice_verified_is_the_same(sound: Path) -> None:
    assert verify(sound) == verify(sound)


def test_a_journal_without_batches_is_sound(tmp_path: Path) -> None:
    report = verify(write(tmp_path / "journal.db", ()))
    assert (report.exit_code, report.events, report.digests_compared) == (0, 0, 1)


def test_a_journal_without_end_is_a_finding_and_still_replayed(tmp_path: Path) -> None:
    report = verify(write(tmp_path / "journal.db", close=False))
    assert _codes(report) == [FindingCode.END_MISSING]
    assert report.exit_code == 4
    assert report.events_replayed == report.events > 0


def _altered(chunks: tuple[Chunk, ...], batch: int, row: int, field: str, value: int) -> tuple[Chunk, ...]:
    effects = chunks[batch].effects.copy()
    effects[field][row] = value
    return (*chunks[:batch], chunks[batch]._replace(effects=effects), *chunks[batch + 1 :])


def test_inv_12_one_changed_effect_of_a_sound_record_is_named_with_both_values(tmp_path: Path) -> None:
    chunks = crash()
    row = 40
    seq = int(chunks[2].effects["seq"][row])
    first = int(np.flatnonzero(chunks[2].effects["seq"] == seq)[0])
    was = int(chunks[2].effects["amount"][row])
    report = verify(write(tmp_path / "journal.db", _altered(chunks, 2, row, "amount", was + 1)))
    (finding,) = report.findings
    assert finding.code == FindingCode.EFFECT_DIFFERS
    assert finding.place == f"batch 3, seq {seq}, effect {row - first}"
    assert f"`amount`: journal {was + 1}, replay {was}" in finding.message
    assert report.exit_code == 3


def test_inv_12_a_missing_and_an_added_effect_are_named(tmp_path: Path) -> None:
    chunks = crash()
    short = (chunks[0], chunks[1]._replace(effects=chunks[1].effects[:-1]), *chunks[2:])
    (finding,) = verify(write(tmp_path / "short.db", short)).findings
    assert "only the replay has" in finding.message
    long = (chunks[0], chunks[1]._replace(effects=np.concatenate([chunks[1].effects, chunks[1].effects[-1:]])), *chunks[2:])
    (finding,) = verify(write(tmp_path / "long.db", long)).findings
    assert "only the journal has" in finding.message


def test_inv_12_a_changed_event_of_a_sound_record_is_found_in_what_follows(tmp_path: Path) -> None:
    chunks = crash()
    events = chunks[1].events.copy()
    events["price_ticks"][events["kind"] == EventKind.MARK] -= 1
    report = verify(write(tmp_path / "journal.db", (chunks[0], chunks[1]._replace(events=events), *chunks[2:])))
    assert FindingCode.DIGEST_DIFFERS in _codes(report)
    assert report.exit_code == 3


def test_inv_12_a_changed_digest_of_a_sound_record_is_found(tmp_path: Path) -> None:
    chunks = crash()
    last = (*chunks[:-1], chunks[-1]._replace(digest="0" * 64))
    (finding,) = verify(write(tmp_path / "journal.db", last)).findings
    assert (finding.code, finding.place) == (FindingCode.DIGEST_DIFFERS, "end mark")
    second = (chunks[0], chunks[1]._replace(digest="0" * 64), *chunks[2:])
    (finding,) = verify(write(tmp_path / "second.db", second)).findings
    assert finding.place == f"batch 2, after seq {int(chunks[1].events['seq'][-1])}"


def test_inv_12_a_replay_that_differs_everywhere_stops(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(digest_every=1)) as journal:
        for seq in range(1, 60):
            journal.append(event(seq, seq, EventKind.CLOCK), crash()[0].effects[:0], "0" * 64)
        journal.close("0" * 64)
    report = verify(path)
    assert _codes(report) == [FindingCode.DIGEST_DIFFERS] * 10
    assert report.events_replayed < report.events == 59


def test_an_engine_that_stops_is_a_finding(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("Invariant: a product fits in 64 bits")

    monkeypatch.setattr(Replayer, "replay", broken)
    (finding,) = verify(sound).findings
    assert finding.code == FindingCode.ENGINE_STOPPED
    assert "OverflowError: Invariant: a product fits in 64 bits" in finding.message


def test_rules_that_are_read_otherwise_today_are_a_finding(tmp_path: Path) -> None:
    (finding,) = verify(write(tmp_path / "hash.db", venue_hash="0" * 64)).findings
    assert (finding.code, finding.place) == (FindingCode.CONFIG, "manifest")
    text = VENUE_TEXT.replace("price_tick", "price_step", 1)
    report = verify(write(tmp_path / "key.db", venue_text=text, code_version="0.0.9"))
    assert _codes(report) == [FindingCode.CONFIG]
    assert "price_step" in report.findings[0].message
    assert "written by version 0.0.9" in report.findings[0].message
    assert report.exit_code == 4
    no_accounts = manifest().limits._replace(accounts_max=0)
    assert _codes(verify(write(tmp_path / "limits.db", limits=no_accounts))) == [FindingCode.CONFIG]


def test_the_limits_of_the_run_are_those_of_the_replay(tmp_path: Path) -> None:
    limits = manifest().limits._replace(accounts_max=4)
    report = verify(write(tmp_path / "journal.db", limits=limits))
    assert FindingCode.EFFECT_DIFFERS in _codes(report)  # accounts from the fifth on are refused


_DAMAGE = {
    "manifest": ("UPDATE manifest SET value = '2' WHERE key = 'seed'", [FindingCode.MANIFEST]),
    "manifest entry added": ("INSERT INTO manifest VALUES ('detail_note', 'x')", [FindingCode.MANIFEST]),
    "start mark": ("DELETE FROM marks WHERE place = 'start'", [FindingCode.MANIFEST]),
    "name": ("UPDATE names SET name = 'else' WHERE id = 3", [FindingCode.NAMES]),
    "names emptied": ("DELETE FROM names", [FindingCode.NAMES]),
    "name of bytes": ("UPDATE names SET name = x'ff' WHERE id = 3", [FindingCode.NAMES]),
    "end mark": ("DELETE FROM marks WHERE place = 'end'", [FindingCode.END_MISSING]),
    "end digest": (f"UPDATE marks SET digest = '{'0' * 64}' WHERE place = 'end'", [FindingCode.END, FindingCode.DIGEST_DIFFERS]),
    "end count": ("UPDATE marks SET events = events + 1 WHERE place = 'end'", [FindingCode.END]),
    "dropped batch": ("DELETE FROM batches WHERE number = 3", [FindingCode.BATCH_NUMBER, FindingCode.CHAIN, FindingCode.END]),
    "dropped last batch": ("DELETE FROM batches WHERE number = 7", [FindingCode.END]),
    "seq": ("UPDATE batches SET first_seq = first_seq + 1 WHERE number = 3", [FindingCode.SEQ]),
    "count": ("UPDATE batches SET effects_count = effects_count + 1 WHERE number = 3", [FindingCode.BATCH_FRAME]),
    "digest removed": ("UPDATE batches SET digest = NULL WHERE number = 2", [FindingCode.CHAIN, FindingCode.DIGEST_MISSING]),
    "digest added": (f"UPDATE batches SET digest = '{'0' * 64}' WHERE number = 3", [FindingCode.CHAIN, FindingCode.DIGEST_DIFFERS]),
    "digest of bytes": ("UPDATE batches SET digest = x'ff' WHERE number = 3", [FindingCode.BATCH_FRAME, FindingCode.CHAIN]),
    "chain": ("UPDATE batches SET chain = zeroblob(32) WHERE number = 7", [FindingCode.CHAIN, FindingCode.END]),
    "events cut": (
        "UPDATE batches SET events = substr(events, 1, 100) WHERE number = 3",
        [FindingCode.BATCH_FRAME, FindingCode.CHAIN, FindingCode.END],
    ),
    "events of text": (
        "UPDATE batches SET events = 'text' WHERE number = 3",
        [FindingCode.BATCH_FRAME, FindingCode.CHAIN, FindingCode.END],
    ),
    "no events": (
        "UPDATE batches SET events = x'', events_count = 0 WHERE number = 3",
        [FindingCode.BATCH_FRAME, FindingCode.CHAIN, FindingCode.EFFECT_DIFFERS],
    ),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_damage_through_sql_is_found_and_named(sound: Path, tmp_path: Path, name: str) -> None:
    words, codes = _DAMAGE[name]
    path = copy(sound, tmp_path / "journal.db")
    change(path, (words, ()))
    report = verify(path)
    assert _codes(report)[: len(codes)] == codes
    assert report.exit_code == 4


def test_swapped_and_repeated_batches_are_found(sound: Path, tmp_path: Path) -> None:
    swapped = copy(sound, tmp_path / "swapped.db")
    numbers = [("UPDATE batches SET number = ? WHERE number = ?", pair) for pair in ((99, 3), (3, 4), (4, 99))]
    change(swapped, *numbers)
    assert [finding.place for finding in verify(swapped).findings if finding.code == FindingCode.CHAIN] == ["batch 3", "batch 4", "batch 5"]
    repeated = copy(sound, tmp_path / "repeated.db")
    columns = "first_seq, last_seq, events_count, effects_count, events, effects, chain, digest, snapshot, names"
    change(repeated, (f"INSERT INTO batches SELECT 8, {columns} FROM batches WHERE number = 7", ()))
    assert {finding.code for finding in verify(repeated).findings if finding.place.startswith("batch 8")} == {
        FindingCode.CHAIN,
        FindingCode.SEQ,
        FindingCode.DIGEST_MISSING,
        FindingCode.EFFECT_DIFFERS,
    }


def test_another_journals_batches_are_found(sound: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.db", command="another run")
    path = copy(sound, tmp_path / "journal.db")
    change(
        path,
        ("ATTACH ? AS other", (str(other),)),
        ("DELETE FROM main.batches WHERE number > 3", ()),
        ("INSERT INTO main.batches SELECT * FROM other.batches WHERE number > 3", ()),
    )
    assert [str(finding.place) for finding in verify(path).findings] == ["batch 4", "end mark"]


def test_a_name_moved_to_another_account_is_found(sound: Path, tmp_path: Path) -> None:
    path = copy(sound, tmp_path / "journal.db")
    change(path, ("UPDATE names SET name = CASE id WHEN 1 THEN 'trader-2' ELSE 'trader-1' END WHERE kind = 'account' AND id IN (1, 2)", ()))
    with open_journal(path) as journal:
        assert journal.check_head()
        assert journal.findings[0].code == FindingCode.NAMES


def test_bytes_after_the_last_page_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    path.write_bytes(path.read_bytes() + b"abc")
    report = verify(path)
    assert report.exit_code == 4
    assert [finding.message for finding in report.findings] == ["3 bytes stand after the last page, and belong to no record"]


_OTHER_CODE = "f" * 64


@pytest.mark.parametrize("source", [None, _OTHER_CODE], ids=["our_own", "other"])
@pytest.mark.parametrize("codes", ["{}", "[]", '{"EventKind":{"MARK":99}}'])
def test_a_tape_that_was_not_replayed_is_not_ok(tmp_path: Path, codes: str, source: str | None) -> None:
    """Whoever writes the manifest decides what it says: none of it may turn a tape that nobody ran
    into a sound one.
    """
    chunk = crash()[1]
    effects = chunk.effects.copy()
    effects["amount"] += 1
    changes: dict[str, Any] = {"codes": codes} | ({"source_hash": source} if source else {})
    report = verify(write(tmp_path / "journal.db", (crash()[0], chunk._replace(effects=effects)), **changes))
    assert report.findings == ()
    assert (report.exit_code, report.is_replayed, report.events_replayed) == (5, False, 0)
    assert any(note.startswith("not replayed") for note in report.notes)


@pytest.mark.parametrize("source", [None, _OTHER_CODE], ids=["our_own", "other"])
def test_a_tape_whose_digests_were_not_compared_is_not_ok(tmp_path: Path, source: str | None) -> None:
    chunks = (*crash()[:-1], crash()[-1]._replace(digest="0" * 64))
    changes: dict[str, Any] = {"digest_encoding": 99} | ({"source_hash": source} if source else {})
    report = verify(write(tmp_path / "journal.db", chunks, **changes))
    assert report.findings == ()
    assert (report.exit_code, report.is_replayed, report.digests_compared) == (5, False, 0)
    assert report.events_replayed == report.events
    assert any("only effects were compared" in note for note in report.notes)


def test_the_files_of_a_run_are_compared_with_the_hashes_in_its_manifest(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.csv", "two.csv", "accounts.csv")]
    for file in files:
        file.write_text(file.name)
    details = {**input_details("prices", files[:2]), **input_details("accounts", files[2:])}
    path = write(tmp_path / "journal.db", details=details)
    report = verify(path, inputs={"prices": files[:2], "accounts": files[2:]})
    assert (report.exit_code, report.inputs_compared, report.inputs_named) == (0, 3, 3)
    assert verify(path).inputs_compared == 0
    for given, place, words in (
        ({"prices": files[1::-1]}, str(files[1]), "not the file that the run read: SHA-256 "),
        ({"prices": files[:1]}, "prices", "the run read 2 files of prices, 1 given"),
        ({"accounts": files[:2]}, "accounts", "the run read 1 file of accounts, 2 given"),
        ({"collateral": files[:1]}, "collateral", "the run read no files of collateral, 1 given"),
    ):
        report = verify(path, inputs=given)
        assert report.exit_code == 4
        assert (report.findings[0].name, report.findings[0].place) == ("input_differs", place)
        assert words in report.findings[0].message
    files[2].write_text("changed")
    assert verify(path, inputs={"accounts": files[2:]}).exit_code == 4
    with pytest.raises(FileNotFoundError):
        verify(path, inputs={"accounts": [tmp_path / "none.csv"]})
