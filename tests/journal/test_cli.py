"""``backstop journal verify``: what it prints where, and how it exits."""

from __future__ import annotations

import json
import os
from pathlib import Path

from typer.testing import CliRunner, Result

from backstop.cli.journal import app
from backstop.journal.inputs import input_details
from tests.journal.runs import change, crash, write


def _verify(*words: str) -> Result:
    return CliRunner().invoke(app, ["verify", *words])


def test_a_sound_journal_exits_with_0(tmp_path: Path) -> None:
    ran = _verify(str(write(tmp_path / "journal.db")))
    assert ran.exit_code == 0
    assert f"digest    {crash()[-1].digest}" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("result    ok")
    assert ran.stderr == ""


def test_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    change(path, ("UPDATE batches SET events = zeroblob(64 * events_count) WHERE number = 3", ()))
    ran = _verify(str(path), "--json")
    said = json.loads(ran.stdout)
    assert ran.exit_code == said["exit_code"] == 4
    assert said["ok"] is False
    assert said["findings"][0] == {
        "code": "chain",
        "place": "batch 3",
        "message": "its bytes, or its place after the batch before, were altered: SHA-256 does not agree",
    }


def test_a_missing_file_is_a_failure(tmp_path: Path) -> None:
    for path in (tmp_path / "journal.db", tmp_path):
        ran = _verify(str(path))
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert ran.stderr.startswith("error: journal")
    assert _verify().exit_code == 2


def test_verify_and_stats_count_the_same_digests(tmp_path: Path) -> None:
    """Those of batches, and that of the end where the run came to it."""
    for name, close, end in (("closed.db", True, ", that of the end among them"), ("open.db", False, "")):
        path = str(write(tmp_path / name, close=close))
        compared = json.loads(_verify(path, "--json").stdout)["digests_compared"]
        counted = json.loads(CliRunner().invoke(app, ["stats", path, "--json"]).stdout)["digests"]
        assert counted == compared == (4 if close else 3)
        assert f"digests   {counted}{end}, and snapshots" in CliRunner().invoke(app, ["stats", path]).stdout


def test_a_span_that_ends_before_it_begins_is_wrong_usage(tmp_path: Path) -> None:
    path = str(write(tmp_path / "journal.db"))
    ran = CliRunner().invoke(app, ["show", path, "--from", "10", "--to", "5"])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "must not be before --from, 10" in ran.stderr
    assert CliRunner().invoke(app, ["show", path, "--from", "5", "--to", "5"]).exit_code == 0


def test_an_account_that_nobody_has_is_told_with_the_file(tmp_path: Path) -> None:
    path = str(write(tmp_path / "journal.db"))
    ran = CliRunner().invoke(app, ["show", path, "--account", "nobody"])
    assert (ran.exit_code, ran.stderr) == (1, f"error: {path}: no account is called 'nobody'\n")


def test_a_file_that_is_no_journal_exits_with_4(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("time,market,mark\n" * 99)
    ran = _verify(str(path))
    assert ran.exit_code == 4
    assert "found     not_sqlite: journal.db: not a SQLite file" in ran.stdout


def test_a_record_that_replays_otherwise_exits_with_3(tmp_path: Path) -> None:
    ran = _verify(str(write(tmp_path / "journal.db", (*crash()[:-1], crash()[-1]._replace(digest="0" * 64)))))
    assert ran.exit_code == 3
    assert "INV-12" in ran.stdout.splitlines()[-1]


def test_bytes_that_are_no_text_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    change(path, ("UPDATE manifest SET value = CAST(x'1b5b33316dff' AS TEXT) WHERE key = 'created'", ()))
    ran = _verify(str(path))
    assert ran.exit_code == 4
    assert "\x1b" not in ran.stdout
    assert json.loads(_verify(str(path), "--json").stdout)["ok"] is False


def test_a_tape_that_was_not_replayed_exits_with_5_and_is_not_trusted(tmp_path: Path) -> None:
    for changes, words in (({"codes": "{}"}, "result    not replayed: "), ({"digest_encoding": 99}, "result    not replayed in full: ")):
        path = str(write(tmp_path / f"{next(iter(changes))}.db", **changes))
        ran = _verify(path)
        assert ran.exit_code == 5
        assert ran.stdout.splitlines()[-1].startswith(words)
        assert f"digest    {crash()[-1].digest}  (as recorded: do not rely on it" in ran.stdout
        said = json.loads(_verify(path, "--json").stdout)
        assert (said["ok"], said["trusted"], said["exit_code"], said["result"]) == (False, False, 5, "not_replayed")


def test_a_file_that_is_not_the_one_that_the_run_read_exits_with_4(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("time,market,mark")
    path = str(write(tmp_path / "journal.db", details=input_details("prices", [prices])))
    ran = _verify(path, "--prices", str(prices))
    assert ran.exit_code == 0
    assert "inputs    1 compared, 1 named by the manifest" in ran.stdout
    prices.write_text("time,market,mark,")
    ran = _verify(path, "--prices", str(prices))
    assert ran.exit_code == 4
    assert f"found     input_differs: {prices}: not the file that the run read" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "result    a file that was given is not the one that the run read"
    assert _verify(path, "--prices", str(tmp_path / "none.csv")).exit_code == 1
    os.mkfifo(tmp_path / "pipe")
    ran = _verify(path, "--prices", str(tmp_path / "pipe"))
    assert ran.exit_code == 1
    assert "not a file but a device, a pipe or a socket" in ran.stderr
