"""A journal without an end: sound up to its last batch, and its writer at work, stopped or killed.

Of an ``Engine`` that is no fault. Of a run it is one, unless whoever asks says otherwise. In no case
is it told to be damaged, nor taken for one that is closed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backstop import Engine, Venue
from backstop.cli.journal import app
from backstop.engine import AccountEvent, event
from backstop.journal import FindingCode, log
from backstop.journal.backup import back_up
from backstop.journal.manifest import ENGINE_COMMAND
from backstop.journal.upgrading import seal
from backstop.journal.verify import verify
from tests.engine.test_engine import SERVER
from tests.engine.venues import SECOND_NS, VENUE, story
from tests.journal.runs import change, crash, write

VENUE_OF_IT = Venue.parse(VENUE)
#: What ``verify`` prints at its end of an open journal, but for the number of its last batch.
OPEN = "open: nothing is changed, and the engine gives every effect and digest again, up to batch"


def _verify(*words: str) -> Result:
    return CliRunner().invoke(app, ["verify", *words])


def _is_open(path: Path) -> None:
    ran = _verify(str(path), "--json")
    said = json.loads(ran.stdout)
    assert (ran.exit_code, said["exit_code"], said["ok"], said["result"]) == (0, 0, True, "open")
    assert (said["is_open"], said["is_closed"], said["findings"]) == (True, False, [])
    assert said["events_replayed"] == said["events"] > 0
    text = _verify(str(path)).stdout
    assert OPEN in text.splitlines()[-1]
    assert "effects, no end" in text
    assert "damaged" not in text


def test_that_of_an_engine_is_open_live_closed_and_as_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "risk" / "journal.db"
    with Engine(VENUE_OF_IT, journal=path.parent) as engine:
        engine.apply(story())
        _is_open(path)
        back_up(path, tmp_path / "copy.db")
    _is_open(path)
    _is_open(tmp_path / "copy.db")


def test_that_of_a_killed_engine_is_open(tmp_path: Path) -> None:
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, os.getcwd()]))}
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=paths) as server:
        assert server.stdout is not None
        for _ in range(40):
            server.stdout.readline()
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        stopped = verify(tmp_path / "journal.db")
        server.send_signal(signal.SIGKILL)
        server.stdout.read()
    assert server.returncode == -signal.SIGKILL
    report = verify(tmp_path / "journal.db")
    # A batch that was being written may be torn, and that is told; nothing else may be.
    assert {finding.code for finding in report.findings} <= {FindingCode.LOG}
    assert report.batches >= stopped.batches >= 39
    with Engine.open(tmp_path) as engine:
        engine.apply([])
    _is_open(tmp_path / "journal.db")


def test_what_is_wrong_with_an_open_journal_is_still_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Engine(VENUE_OF_IT, journal=tmp_path) as engine:
        for each in story():
            engine.apply([each])
    chain = verify(path).chain
    change(path, ("UPDATE batches SET events = zeroblob(64 * events_count) WHERE number = 3", ()))
    ran = _verify(str(path), "--json")
    said = json.loads(ran.stdout)
    assert (ran.exit_code, said["result"], said["is_open"]) == (4, "damaged", False)
    assert said["findings"][0]["code"] == "chain"
    assert chain is not None
    assert verify(path, head="0" * 64).exit_code == 4


def test_only_a_kept_chain_shows_that_the_last_batch_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Engine(VENUE_OF_IT, journal=tmp_path) as engine:
        for each in story():
            engine.apply([each])
    chain = verify(path).chain
    assert verify(path, head=chain).exit_code == 0
    change(path, ("DELETE FROM batches WHERE number = (SELECT max(number) FROM batches)", ()))
    _is_open(path)
    report = verify(path, head=chain)
    assert (report.exit_code, [finding.code for finding in report.findings]) == (4, [FindingCode.HEAD])


def test_a_sealed_segment_that_lost_its_seal_is_never_open(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Engine(VENUE_OF_IT, journal=tmp_path) as engine:
        engine.apply(story())
    seal(path).journal.abandon()
    sealed = tmp_path / "journal.db.000001"
    lines = CliRunner().invoke(app, ["segments", str(path)]).stdout.splitlines()
    assert "sealed, batch 1, 16 events, " in lines[0]
    assert "live, no batch yet, 0 events, " in lines[1]
    assert verify(sealed).exit_code == 0
    with Engine.open(tmp_path) as engine:
        engine.apply([event(AccountEvent, 3_000 * SECOND_NS, account=2, owner=2)])
    _is_open(path)
    change(sealed, ("DELETE FROM marks WHERE place = 'sealed'", ()))
    for report in (verify(sealed), verify(sealed, may_be_open=True), verify(path)):
        assert report.exit_code == 4
        assert FindingCode.END_MISSING in {finding.code for finding in report.findings}


def test_of_a_run_it_is_a_fault_with_words_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", close=False)
    ran = _verify(str(path), "--json")
    said = json.loads(ran.stdout)
    assert (ran.exit_code, said["ok"], said["result"], said["is_open"]) == (4, False, "unfinished", True)
    assert [finding["code"] for finding in said["findings"]] == ["end_missing"]
    text = _verify(str(path)).stdout
    assert f"unfinished: sound up to batch {len(crash())}, and no end" in text
    assert "damaged" not in text
    allowed = _verify(str(path), "--may-be-open")
    assert allowed.exit_code == 0
    assert f"{OPEN} {len(crash())}; it has no end" in allowed.stdout


def test_a_closed_one_stays_closed_whatever_may_be(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", command=ENGINE_COMMAND)
    for words in ((), ("--may-be-open",)):
        said = json.loads(_verify(str(path), *words, "--json").stdout)
        assert (said["result"], said["is_open"], said["is_closed"]) == ("ok", False, True)


def test_what_was_not_replayed_is_never_open_with_0(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", close=False, command=ENGINE_COMMAND, rules_version=1_000_000)
    said = json.loads(_verify(str(path), "--json").stdout)
    assert (said["exit_code"], said["ok"], said["result"]) == (5, False, "not_replayed")


def test_a_log_in_the_midst_of_a_write_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nightly check must not take the batch that is being written for damage."""
    path = tmp_path / "journal.db"
    engine = Engine(VENUE_OF_IT, journal=tmp_path)
    engine.apply(story())
    file = Path(f"{path}-wal")
    whole = file.read_bytes()
    parts = [whole[: len(whole) - cut] for cut in (3_000, 2_000, 1_000)]
    copy = tmp_path / "copy.db"
    copy_log = Path(f"{copy}-wal")
    copy_log.write_bytes(parts[0])
    assert log.log_finding(copy) is not None

    def written(_: float) -> None:
        copy_log.write_bytes(parts.pop(0) if parts else whole)

    monkeypatch.setattr("backstop.journal.log.time.sleep", written)
    assert log.log_finding(copy) is None
    engine.close()


def test_a_journal_is_open_at_every_moment_of_its_writing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, os.getcwd()]))}
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=paths) as server:
        assert server.stdout is not None
        reading = threading.Thread(target=server.stdout.read)
        server.stdout.readline()
        reading.start()
        codes = [verify(path).exit_code for _ in range(12)]
        server.kill()
        reading.join()
    assert codes == [0] * 12
