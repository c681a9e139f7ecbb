"""A journal over years: backup while it is written, upgrade, and the commands for both."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from backstop.cli import app
from backstop.core import columns
from backstop.core.digest import state_digest
from backstop.core.state import State, new_state
from backstop.explain import as_text, explain
from backstop.journal import Journal, JournalDamaged, JournalError, open_journal
from backstop.journal.backup import back_up
from backstop.journal.chronicle import Upgrade, read_record
from backstop.journal.migration import column_numbers, migrated
from backstop.journal.naming import sealed_beside, sealed_path
from backstop.journal.recovery import recover
from backstop.journal.segments import segments_of
from backstop.journal.snapshot import SnapshotError, restore_snapshot, shapes_of, take_snapshot
from backstop.journal.upgrading import seal, upgrade
from backstop.journal.verify import verify
from backstop.runs.history import state_at
from backstop.runs.replay import replay
from tests.journal.feeding import fed
from tests.journal.killed import small_case
from tests.journal.runs import change, crash, manifest, names, venue, write
from tests.journal.test_segments import SHORT, _append

_WRITER = """
import sys
from tests.journal.runs import crash, manifest, names
from backstop.core.events import EFFECT, EventKind
from backstop.journal import Journal
from tests.journal.runs import event
import numpy as np
none = np.empty(0, EFFECT)
chunk = crash()[0]
seq = int(chunk.events["seq"][-1])
with Journal.create(sys.argv[1], manifest(segment_events=4_000, snapshot_every=4, digest_every=4), names()) as journal:
    journal.append(chunk.events, chunk.effects)
    while True:
        rows = np.concatenate([event(seq + place, seq + place, EventKind.CLOCK) for place in range(1, 301)])
        seq += 300
        due = journal.digest_due
        journal.append(rows, none, chunk.digest if due else None, chunk.snapshot if due else None)
        print(journal.batches, flush=True)
"""


def _sound(path: Path) -> int:
    """See that a journal is sound as a record, over all its segments; return its batches."""
    with open_journal(path) as journal:
        journal.check_log()
        journal.check_pages()
        assert journal.check_head()
        numbers = [batch.number for batch in journal.batches()]
        assert journal.findings == []
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


# Backup


def test_a_backup_of_a_running_journal_is_whole_whenever_it_is_killed(tmp_path: Path) -> None:
    """A writer seals segments meanwhile; backups are taken, killed and taken again; then the writer
    is killed.
    """
    source, copy = tmp_path / "journal.db", tmp_path / "copies" / "journal.db"
    copy.parent.mkdir()
    run = subprocess.Popen([sys.executable, "-c", _WRITER, str(source)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    words = "import sys; from backstop.journal.backup import back_up; print('begun', flush=True); back_up(sys.argv[1], sys.argv[2])"
    try:
        for _ in range(30):
            run.stdout.readline()
        done = back_up(source, copy)
        held = _sound(copy)
        assert held == done.batches >= 30
        for wait in (0.0, 0.01, 0.03):
            child = subprocess.Popen([sys.executable, "-c", words, str(source), str(copy)], stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(wait)
            child.kill()
            child.stdout.close()
            child.wait()
            assert _sound(copy) >= held
        told = int(run.stdout.readline())
        done = back_up(source, copy)
        assert _sound(copy) == done.batches >= told
        assert done.kept  # what stood there was not copied again
    finally:
        os.kill(run.pid, signal.SIGKILL)
        rest = run.stdout.read().split()
        run.stdout.close()
        run.wait()
    done = back_up(source, copy)
    assert _sound(copy) == done.batches >= int(rest[-1] if rest else told)
    assert not list(copy.parent.glob(".*")), "a part of a copy was left"


def test_a_backup_is_taken_up_and_ends_as_the_journal(tmp_path: Path) -> None:
    source, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    with Journal.create(source, manifest(**SHORT), names()) as journal:
        for batches in range(1, 8):
            _append(journal, crash()[journal.batches : batches])
            done = back_up(source, copy)
            assert (done.batches, done.segment) == (batches, batches // 2 + 1)
        found = recover(copy)
        assert state_digest(found.state) == crash()[-1].digest
        found.journal.close(crash()[-1].digest)
        journal.close(crash()[-1].digest)
    assert verify(copy).chain == verify(source).chain
    assert (verify(copy).exit_code, verify(copy).segments) == (0, 4)


def test_a_backup_replaces_nothing_but_an_earlier_one(tmp_path: Path) -> None:
    source = write(tmp_path / "journal.db", **SHORT)
    other = write(tmp_path / "other.db", command="another")
    (tmp_path / "notes.txt").write_text("notes")
    for place in (other, tmp_path / "notes.txt", tmp_path):
        with pytest.raises(JournalError, match="exists, and is no earlier copy of this journal"):
            back_up(source, place)
    for place, words in ((source, "is the journal itself"), (tmp_path / "no" / "copy.db", "there is no folder")):
        with pytest.raises(JournalError, match=words):
            back_up(source, place)
    with pytest.raises(JournalError, match="is a sealed segment"):
        back_up(sealed_path(source, 1), tmp_path / "copy.db")
    sealed_path(tmp_path / "copy.db", 2).write_bytes(sealed_path(source, 1).read_bytes())
    with pytest.raises(JournalError, match=r"copy\.db\.000002` exists, and is not that segment"):
        back_up(source, tmp_path / "copy.db")
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_a_good_backup_does_not_give_way_to_that_of_a_damaged_journal(tmp_path: Path) -> None:
    source, copy = write(tmp_path / "journal.db", **SHORT), tmp_path / "copy.db"
    back_up(source, copy)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("copy.db*")}
    change(source, ("UPDATE batches SET effects = zeroblob(64 * effects_count)", ()))
    with pytest.raises(JournalDamaged, match=r"journal\.db, batch 7: .*it was not copied"):
        back_up(source, copy)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("copy.db*")} == before


# Upgrade


def _of_other_code(monkeypatch: pytest.MonkeyPatch, rules_version: int | None = None) -> None:
    """Let what follows be another version of the code, and of the rules if one is given."""
    for module in ("snapshot", "source", "manifest", "writer", "upgrading", "verify"):
        monkeypatch.setattr(f"backstop.journal.{module}.source_hash", lambda: "f" * 64, raising=False)
    if rules_version is not None:
        for module in ("journal.verify", "journal.recovery", "journal.upgrading", "journal.writer", "runs.beginning"):
            monkeypatch.setattr(f"backstop.{module}.RULES_VERSION", rules_version)


@pytest.mark.parametrize("batches", [3, 4, 5])
def test_other_code_of_the_same_rules_goes_on_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """In the middle of the crash: no trigger of the old code is relied on, and nobody is missed."""
    path = write(tmp_path / "journal.db", crash()[:batches], close=False)
    _of_other_code(monkeypatch)
    found = upgrade(path)
    assert found.events_replayed == sum(len(chunk.events) for chunk in crash()[batches // 2 * 2 : batches])
    found.journal.abandon()
    (record,) = (read_record(each) for each in _records(path))
    assert isinstance(record, Upgrade)
    assert (record.batch, record.source_hash[1]) == (batches, "f" * 64)
    recovered = recover(path)
    for number in range(batches, len(crash())):
        assert fed(recovered.state, number, number + 1) == [crash()[number].effects.tobytes()]
        assert state_digest(recovered.state) == crash()[number].digest
    _append(recovered.journal, crash()[batches:])
    recovered.journal.close(crash()[-1].digest)
    report = verify(path)
    assert (report.exit_code, report.segments) == (0, 2), report
    assert any(note.startswith("journal.db: upgrade behind batch") for note in report.notes)


def _records(path: Path) -> Any:
    with open_journal(path) as journal:
        return journal.all_records()


def test_other_rules_go_on_at_a_snapshot_only_and_never_work_out_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "journal.db", crash()[:5], close=False)
    with monkeypatch.context() as newer:
        _of_other_code(newer, 2)
        with pytest.raises(JournalError, match="is of rules version 1, this is 2: `backstop journal upgrade` goes on with this version"):
            recover(path)
        with pytest.raises(JournalError, match=r"has 1 batches behind its last snapshot, .*: run `backstop journal seal` with version"):
            upgrade(path)
    sealed = seal(path)
    sealed.journal.abandon()
    _of_other_code(monkeypatch, 2)
    upgraded = upgrade(path)
    assert upgraded.events_replayed == 0
    _append(upgraded.journal, crash()[5:])
    upgraded.journal.close(crash()[-1].digest)
    assert [(each.number, each.rules_version, each.events > 0) for each in segments_of(path)] == [(1, 1, True), (2, 1, False), (3, 2, True)]
    report = verify(path)
    assert report.exit_code == 5
    assert not report.is_replayed
    assert {note.split(" (")[0] for note in report.notes if "not recomputed" in note} == {
        "journal.db.000001: not recomputed, rules version 1",
        "journal.db.000002: not recomputed, rules version 1",
    }
    assert report.events_replayed == sum(len(chunk.events) for chunk in crash()[5:])
    told = CliRunner().invoke(app, ["journal", "verify", str(path), "--json"])
    assert (told.exit_code, json.loads(told.stdout)["ok"], json.loads(told.stdout)["result"]) == (5, False, "not_replayed")
    _check_explain(path)


def _check_explain(path: Path) -> None:
    """Decisions of the older rules are shown as recorded, later ones are worked out."""
    last_seq = int(crash()[4].events["seq"][-1])
    found = explain(path, _defaulter())
    before = [decision for decision in found.decisions if decision.seq <= last_seq]
    assert before
    assert all(fact.because == ["not recomputed, rules version 1"] and not fact.checks for each in before for fact in each.facts)
    assert found.notes == [f"not recomputed, rules version 1: shown as recorded, up to seq {max(each.seq for each in before)}"]
    assert found.notes[0] in as_text(found)
    with pytest.raises(JournalError, match="not recomputed, rules version 1"):
        state_at(path, last_seq - 1)
    assert state_digest(state_at(path, last_seq).state) == crash()[4].digest
    assert state_digest(state_at(path, None).state) == crash()[-1].digest


def _defaulter() -> str:
    from backstop.core.events import EffectKind

    effects = np.concatenate([chunk.effects for chunk in crash()[:5]])
    return f"trader-{int(effects['account'][effects['kind'] == EffectKind.ORDER][0])}"


def test_explain_begins_with_the_first_segment_that_is_here(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", **SHORT)
    whole = explain(path, _defaulter())
    sealed_path(path, 1).unlink()
    part = explain(path, _defaulter())
    first_seq = int(crash()[2].events["seq"][0])
    assert [each.seq for each in part.decisions] == [each.seq for each in whole.decisions if each.seq >= first_seq]
    assert part.checks_made > 0
    assert part.checks_failed == []


def test_there_is_nothing_to_upgrade_under_the_same_code(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", crash()[:4], close=False)
    with pytest.raises(JournalError, match="has nothing to upgrade"):
        upgrade(path)
    with pytest.raises(JournalError, match="is of a replay"):
        seal(write(tmp_path / "replay.db", crash()[:4], close=False, details={"impact": "off"}))


# Snapshots of another layout


def _snapshot(edit: Any) -> tuple[list[bytes], State]:
    """Return the parts of a snapshot as other code would have taken it, and the state that it
    has.
    """
    state = new_state(venue().rules)
    fed(state, 0, 4)
    parts = [bytes(part) for part in take_snapshot(state, state_digest(state)).parts]
    header = json.loads(parts[0])
    header["source_hash"] = "e" * 64
    header["layout"] = hashlib.sha256(b"other").hexdigest()
    edit(header, parts)
    parts[0] = json.dumps(header).encode()
    return parts, state


def _restored(parts: list[bytes]) -> State:
    fresh = new_state(venue().rules)
    return restore_snapshot(parts, shapes_of(fresh), lambda: fresh).state


def _entry(header: Any, name: str) -> Any:
    return next(entry for entry in header["arrays"] if entry["name"] == f"state.{name}")


def test_a_snapshot_is_read_by_names_whatever_the_order_of_its_arrays_and_fields() -> None:
    def edit(header: Any, parts: list[bytes]) -> None:
        places, place = {}, 1
        for entry in header["arrays"]:
            places[entry["name"]] = parts[place : place + entry["parts"]]
            place += entry["parts"]
        header["arrays"].reverse()
        parts[1:] = [part for entry in header["arrays"] for part in places[entry["name"]]]

    parts, state = _snapshot(edit)
    restored = _restored(parts)
    assert state_digest(restored) == state_digest(state)
    assert fed(restored, 4, 7) == [chunk.effects.tobytes() for chunk in crash()[4:]]


def test_an_array_that_is_new_is_as_a_venue_begins() -> None:
    def edit(header: Any, parts: list[bytes]) -> None:
        place = 1
        for entry in header["arrays"]:
            if entry["name"] == "state.changes":
                del parts[place : place + entry["parts"]]
            place += entry["parts"]
        header["arrays"] = [entry for entry in header["arrays"] if entry["name"] != "state.changes"]

    parts, state = _snapshot(edit)
    assert state_digest(_restored(parts)) == state_digest(state)


def test_columns_are_taken_by_name_whatever_their_numbers() -> None:
    """As if the old code had had them in the opposite order."""
    state = new_state(venue().rules)
    fed(state, 0, 4)
    last = len(state.columns) - 1
    numbers = {name: last - number if name in vars(columns) else number for name, number in column_numbers().items()}
    arrays = {name: getattr(state, name) for name in State.FIELDS if name != "effects"}
    arrays["columns"] = np.ascontiguousarray(state.columns[::-1])
    restored = migrated(arrays, numbers, new_state(venue().rules))
    assert state_digest(restored) == state_digest(state)
    assert fed(restored, 4, 7) == [chunk.effects.tobytes() for chunk in crash()[4:]]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda header, _: header.pop("columns"), "does not say what the numbers of its columns stand for"),
        (lambda header, _: header["columns"].update(WAIT_OTHER=3), "column `WAIT_OTHER` is 3 there, and unknown in this version"),
        (lambda header, _: header["columns"].update(OWNER_FIRST=999), "column `OWNER_FIRST` is 999 there, of"),
        (lambda header, _: header["columns"].update(FUND_SLOTS=99), "column `FUND_SLOTS` is 99 there, and 17 in this version"),
        (lambda header, _: _entry(header, "house").update(name="state.cellar"), "holds `cellar`, which this version does not know"),
        (lambda header, _: _rename(header, "accounts", "balance"), "`accounts` has a field `credit`, which this version does not know"),
    ],
)
def test_what_cannot_be_read_by_names_is_refused_in_words(edit: Any, words: str) -> None:
    parts, _ = _snapshot(edit)
    with pytest.raises(SnapshotError, match=f"taken by other code, and cannot be read by this: .*{words}"):
        _restored(parts)


def _rename(header: Any, array: str, field: str) -> None:
    for described in _entry(header, array)["dtype"]:
        if described[0] == field:
            described[0] = "credit"


# Commands


def _called(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_commands_tell_what_they_did(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", **SHORT)
    told = _called("journal", "segments", path)
    assert told.exit_code == 0
    assert [line.split(":")[0] for line in told.stdout.splitlines()] == [
        *(f"journal.db.00000{number}" for number in (1, 2, 3)),
        "journal.db",
    ]
    held = json.loads(_called("journal", "segments", path, "--json").stdout)["segments"]
    assert [each["number"] for each in held] == [1, 2, 3, 4]
    assert _called("journal", "backup", path, tmp_path / "copy.db").exit_code == 0
    copied = json.loads(_called("journal", "backup", path, tmp_path / "copy.db", "--json").stdout)
    assert (copied["copied"], copied["kept"], copied["chain"]) == ([], [1, 2, 3], verify(path).chain)
    trial = json.loads(_called("journal", "prune", path, "--keep", 1, "--dry-run", "--json").stdout)
    assert ([each["number"] for each in trial["removed"]], trial["dry_run"]) == ([1, 2], True)
    assert len(sealed_beside(path)) == 3
    told = _called("journal", "prune", path, "--keep", 1)
    assert told.stdout.splitlines()[-1] == "2 sealed segments removed, 1 kept; the journal begins with batch 5"
    told = _called("report", path, "-o", tmp_path / "page.html")
    assert (told.exit_code, told.stderr) == (1, f"error: journal `{path}` begins with batch 5: put its earlier segments beside it\n")
    assert _called("journal", "verify", path).exit_code == 0
    assert "segments  2 verified, 2 before them not here; rules version 1" in _called("journal", "verify", path).stdout


def test_the_commands_refuse_in_words(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", **SHORT)
    assert _called("journal", "segments", tmp_path / "none.db").exit_code == 1
    assert _called("journal", "prune", path).exit_code == 2
    assert _called("journal", "prune", path, "--keep", -1).exit_code == 2
    assert _called("journal", "backup", path, path).exit_code == 2
    for command in ("seal", "upgrade"):
        told = _called("journal", command, path)
        assert (told.exit_code, told.stderr.splitlines()[-1]) == (1, f"error: journal `{path}` is closed: its run came to its end")
        assert _called("journal", command, tmp_path / "none.db").exit_code == 1
    (tmp_path / "text.db").write_text("text" * 99)
    for command in ("segments", "seal", "upgrade"):
        assert _called("journal", command, tmp_path / "text.db").exit_code == 4


def test_a_live_journal_is_sealed_by_command(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", crash()[:5], close=False)
    told = json.loads(_called("journal", "seal", path, "--json").stdout)
    assert (told["live"]["number"], told["live"]["first_batch"], told["events_replayed"]) == (2, 6, len(crash()[4].events))
    assert recover(path).events_replayed == 0


# A replay over several segments


class _Cut(Exception):
    """The run is cut short here."""


def _replayed(path: Path | None, stop_after: int = 1 << 30) -> Any:
    case = small_case()
    calls = 0

    def progress(*_: int) -> None:
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise _Cut

    how: dict[str, Any] = {"schedule": case.schedule, "names": case.names, "seed": case.seed, "snapshot_every": 3, "segment_events": 9_000}
    return replay(case.venue, case.prices.events, case.opening, **how, journal_path=path, resume=path is not None, progress=progress)


def _told(result: Any) -> dict[str, Any]:
    return {name: value for name, value in result.as_json().items() if name not in ("journal", "seconds", "engine_seconds")}


def test_a_replay_over_several_segments_is_resumed_where_all_are_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    whole = _replayed(None)
    for stop_after in (10, 20):
        with pytest.raises(_Cut):
            _replayed(path, stop_after)
    sealed = sealed_beside(path)
    assert sealed
    sealed[1].rename(tmp_path / "held")
    with pytest.raises(JournalError, match="put its earlier segments beside it"):
        _replayed(path)
    (tmp_path / "held").rename(sealed[1])
    again = _replayed(path)
    assert _told(again) == _told(whole)
    report = verify(path)
    assert (report.exit_code, report.digest, report.events) == (0, whole.digest, whole.events)
    assert report.segments > 2
    assert _told(_replayed(path)) == _told(whole)  # it had ended: made again from the snapshot, and compared
