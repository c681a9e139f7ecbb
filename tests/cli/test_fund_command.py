"""``backstop fund statement`` as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, FINDING, OK, USAGE
from backstop.runs.replay import ReplayResult, replay_case
from tests.runs.test_replay import crash_of
from tests.runs.venues import full_venue

runner = CliRunner()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReplayResult]:
    folder = tmp_path_factory.mktemp("fund")
    return folder / "journal.db", replay_case(crash_of(folder, full_venue()), journal_path=folder / "journal.db")


def test_the_statement_of_every_fund(kept: tuple[Path, ReplayResult]) -> None:
    path, result = kept
    said = runner.invoke(app, ["fund", "statement", "--journal", str(path)])
    assert said.exit_code == OK, said.output
    assert said.stdout.count("closing") == 2
    for words in ("majors, of small, in USDT", "others, of small, in USDT", "100,000.000000", "support", "drawdown"):
        assert words in said.stdout
    closing = f"{int(result.funds[0].closing_atoms) / 1e6:,.6f}"
    assert closing in said.stdout


def test_the_json_object_adds_up(kept: tuple[Path, ReplayResult]) -> None:
    path, result = kept
    said = runner.invoke(app, ["fund", "statement", "--journal", str(path), "--json", "--group", "majors", "--by", "account"])
    assert said.exit_code == OK, said.output
    (fund,) = json.loads(said.stdout)["funds"]
    keys = {"group", "from", "to", "opening", "lines", "closing", "uncovered", "peak", "low", "drawdown_ppm", "drawdown_largest", "funding"}
    assert set(fund) == keys
    assert fund["uncovered"] == "0.000000 USDT"
    net = sum(round(float(line["net"].split()[0]) * 10**6) for line in fund["lines"])
    assert net == result.funds[0].closing_atoms - result.funds[0].opening_atoms
    assert all(line["account"].startswith("long") for line in fund["lines"])


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--group", "minors"], "must be one of majors, others"), (["--by", "moon"], "must be one of cause, market, account")],
)
def test_a_wrong_call_exits_with_2(kept: tuple[Path, ReplayResult], options: list[str], message: str) -> None:
    said = runner.invoke(app, ["fund", "statement", "--journal", str(kept[0]), *options])
    assert said.exit_code == USAGE
    assert message in " ".join(said.stderr.split())


def test_a_journal_that_is_absent_or_damaged(kept: tuple[Path, ReplayResult], tmp_path: Path) -> None:
    absent = runner.invoke(app, ["fund", "statement", "--journal", str(tmp_path / "none.db")])
    assert absent.exit_code == FAILED
    assert "does not exist" in absent.stderr
    damaged = tmp_path / "damaged.db"
    content = bytearray(kept[0].read_bytes())
    content[:16] = b"no such database"
    damaged.write_bytes(content)
    said = runner.invoke(app, ["fund", "statement", "--journal", str(damaged)])
    assert said.exit_code == FINDING
    assert "not a SQLite file" in said.stderr
