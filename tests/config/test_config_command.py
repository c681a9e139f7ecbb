"""``backstop config`` as a user calls it: what goes where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop import __version__
from backstop.cli import app, main
from backstop.cli.exits import FAILED, FINDING, OK, USAGE
from backstop.config import default_text, parse_venue

runner = CliRunner()


@pytest.fixture
def venue_file(tmp_path: Path) -> Path:
    path = tmp_path / "venue.toml"
    assert runner.invoke(app, ["config", "init", str(path)]).exit_code == OK
    return path


def _misspelt(path: Path) -> Path:
    path.write_text(path.read_text(encoding="utf-8").replace("fee_ppm", "fee_pm"), encoding="utf-8")
    return path


def test_init_writes_the_bundled_file_and_replaces_nothing_unasked(venue_file: Path) -> None:
    assert venue_file.read_text(encoding="utf-8") == default_text()
    venue_file.write_text("mine", encoding="utf-8")
    refused = runner.invoke(app, ["config", "init", str(venue_file)])
    assert refused.exit_code == FAILED
    assert refused.stderr.splitlines()[1] == "hint: choose another path, or replace it with `--force`"
    assert venue_file.read_text(encoding="utf-8") == "mine"
    assert runner.invoke(app, ["config", "init", str(venue_file), "--force"]).exit_code == OK
    assert venue_file.read_text(encoding="utf-8") == default_text()


def test_check_of_a_good_file(venue_file: Path) -> None:
    told = runner.invoke(app, ["config", "check", str(venue_file)])
    assert told.exit_code == OK
    assert parse_venue(default_text()).hash in told.stdout
    assert json.loads(runner.invoke(app, ["config", "check", "--json", str(venue_file)]).stdout)["ok"] is True


def test_check_of_a_bad_file_names_the_key_and_exits_with_finding(venue_file: Path) -> None:
    _misspelt(venue_file)
    told = runner.invoke(app, ["config", "check", str(venue_file)])
    assert told.exit_code == FINDING
    assert told.stderr == "note: lists count from 0: `waterfall[1]` is the second entry\n"
    assert told.stdout == f"{venue_file}: waterfall[1].fee_pm (closeout) = 2500: unknown key: did you mean `fee_ppm`?\n"
    told = runner.invoke(app, ["config", "check", "--json", str(venue_file)])
    assert told.exit_code == FINDING
    assert json.loads(told.stdout)["findings"] == [
        {"key": "waterfall[1].fee_pm", "value": "2500", "about": "closeout", "message": "unknown key: did you mean `fee_ppm`?"}
    ]


def test_show_prints_a_file_that_reads_back(venue_file: Path) -> None:
    venue = parse_venue(default_text())
    text = runner.invoke(app, ["config", "show", str(venue_file)]).stdout
    assert text.startswith(f"# sha256 {venue.hash}\n")
    assert parse_venue(text).hash == venue.hash
    shown = json.loads(runner.invoke(app, ["config", "show", "--json", str(venue_file)]).stdout)
    assert shown == {"hash": venue.hash, "venue": venue.resolved, "warnings": []}


def test_schema_is_json() -> None:
    assert json.loads(runner.invoke(app, ["config", "schema"]).stdout)["title"] == "backstop venue file"


def test_version_and_usage() -> None:
    assert runner.invoke(app, ["--version"]).stdout == f"backstop {__version__}\n"
    assert runner.invoke(app, ["config", "chek", "x"]).exit_code == USAGE
    assert runner.invoke(app, ["confg"]).exit_code == USAGE


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["backstop", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_refused_or_missing_file_is_a_message(
    venue_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "config", "show", str(_misspelt(venue_file))) == FAILED
    assert capsys.readouterr().err == f"error: {venue_file}: waterfall[1].fee_pm (closeout) = 2500: unknown key: did you mean `fee_ppm`?\n"
    missing = venue_file.with_name("missing.toml")
    assert _run(monkeypatch, "config", "check", str(missing)) == FAILED
    assert capsys.readouterr().err == f"error: venue file `{missing}` does not exist\n"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys\nfrom backstop.cli import main\nsys.argv = ['backstop', '--help']\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    code += "print(sorted({'numba', 'numpy', 'pyarrow', 'pydantic', 'rich', 'sqlite3'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "config" in done.stdout
    assert done.stderr == "[]\n"
