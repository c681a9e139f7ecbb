"""``backstop report`` as a person calls it: the page of a run, from its journal alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backstop.cli import app
from backstop.cli import report as command
from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK, USAGE
from backstop.lab.report import Gathering
from tests.cli.test_replay_command import POPULATION
from tests.feeds.samples import BTC, SECOND, START
from tests.feeds.samples import write as write_text
from tests.journal.runs import crash, write
from tests.lab.venues import full_text

runner = CliRunner()


def called(*words: object) -> Result:
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A replay of files with a page and a journal of its own; returns the journal and the page."""
    folder = tmp_path_factory.mktemp("ran")
    write_text(folder / "venue.toml", full_text(guard_volume="10"))
    marks = [(0, 100_000), (1, 99_000), *[(second, 80_000) for second in range(2, 100)]]
    rows = "\n".join(f"{START + at * SECOND},{BTC},{mark}.004,surprise" for at, mark in marks)
    write_text(folder / "prices.csv", f"time,market,mark,colour\n{rows}\n")
    write_text(folder / "population.toml", POPULATION + f'"{BTC}" = 1.0\n')
    files = [f"--{name}={folder / name}.{end}" for name, end in (("venue", "toml"), ("prices", "csv"), ("population", "toml"))]
    found = called("replay", *files, "--journal", folder / "run.db", "--report", folder / "run.html")
    assert found.exit_code in (OK, FINDING), found.output
    return folder / "run.db", (folder / "run.html").read_bytes()


def test_the_page_is_the_runs_own_to_the_byte(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    journal, own = ran
    found = called("report", journal, "-o", tmp_path / "page.html")
    assert found.exit_code == OK, found.output
    assert (tmp_path / "page.html").read_bytes() == own
    assert f"{len(own):,} bytes" in found.stderr
    assert found.stdout == ""
    # What the doors reported is there, too: it is kept in the journal.
    assert b"columns of prices that are not used: colour" in own
    assert b"prices off the tick" in own


def test_another_title_may_be_given(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    assert called("report", ran[0], "-o", tmp_path / "page.html", "--title", "For the board").exit_code == OK
    assert "<h1>For the board</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_where_it_cannot_be_written_it_says_so(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    before = ran[0].read_bytes()
    over = called("report", ran[0], "-o", ran[0])
    assert (over.exit_code, "--output" in over.stderr) == (USAGE, True)
    assert ran[0].read_bytes() == before
    assert called("report", ran[0], "-o", tmp_path).exit_code == FAILED
    assert called("report", ran[0]).exit_code == USAGE
    (tmp_path / "file").touch()
    assert called("report", ran[0], "-o", tmp_path / "file" / "page.html").exit_code == FAILED


def test_a_journal_that_is_absent_damaged_or_without_end(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    absent = called("report", tmp_path / "none.db", "-o", page)
    assert (absent.exit_code, "none.db" in absent.stderr) == (FAILED, True)
    stopped = called("report", write(tmp_path / "stopped.db", crash()[:2], close=False), "-o", page)
    assert stopped.exit_code == FINDING
    assert "replay --resume" in stopped.stderr
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(ran[0].read_bytes())
    with sqlite3.connect(damaged) as file:
        file.execute("UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = 1")
    file.close()
    found = called("report", damaged, "-o", page)
    assert (found.exit_code, "batch 1" in found.stderr) == (FINDING, True)
    assert not page.exists()


def test_what_does_not_add_up_exits_with_3(ran: tuple[Path, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gathering, "conserves", False)
    assert called("report", ran[0], "-o", tmp_path / "page.html").exit_code == INVARIANT
    assert "Something was made or lost." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_help_tells_its_exit_codes() -> None:
    text = " ".join(called("report", "--help").stdout.split())
    for code in (OK, FAILED, USAGE, INVARIANT, FINDING):
        assert f"{code} " in text
    assert command.__all__ == ["app"]
