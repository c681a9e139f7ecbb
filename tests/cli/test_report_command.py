"""``backstop report`` as a person calls it: the page of a run, from its journal alone."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backstop import report
from backstop.cli import app
from backstop.cli import report as command
from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK, USAGE
from backstop.report import Gathering
from tests.cli.test_replay_command import POPULATION
from tests.feeds.samples import BTC, SECOND, START
from tests.feeds.samples import write as write_text
from tests.journal.runs import crash, write
from tests.runs.venues import full_text

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
    # The reports of the file readers are there too: the journal keeps them.
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


def refused(found: Result, path: Path, *words: str) -> None:
    assert (found.exit_code, found.stdout) == (FAILED, "")
    assert str(path) in found.stderr
    for word in words:
        assert word in found.stderr


def test_an_older_report_is_replaced(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert called("report", ran[0], "-o", page, "--title", "Older").exit_code == OK
    assert called("report", ran[0], "-o", page).exit_code == OK
    assert page.read_bytes() == ran[1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("text", ["", "time,market,mark\n", "<!doctype html>\n<html><head><title>mine</title></head></html>\n"])
def test_any_other_file_is_refused_before_the_work(
    ran: tuple[Path, bytes], tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "gather_journal", lambda *_: pytest.fail("the journal was read"))
    path = tmp_path / "prices.csv"
    path.write_text(text)
    refused(called("report", ran[0], "-o", path), path, "is no report of backstop")
    assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["prices.csv"]


def test_what_is_no_file_is_refused(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("pipe")
    for path in (pipe, tmp_path / "link"):
        refused(called("report", ran[0], "-o", path), path, "not a file but a device, a pipe")
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    refused(called("report", ran[0], "-o", tmp_path), tmp_path, "folder")


def test_a_link_is_followed_and_stays(ran: tuple[Path, bytes], tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    link, target = tmp_path / "link.html", tmp_path / "kept" / "page.html"
    link.symlink_to(Path("kept") / "page.html")
    for title in ("First", "Second"):
        assert called("report", ran[0], "-o", link, "--title", title).exit_code == OK
        assert f"<h1>{title}</h1>" in target.read_text(encoding="utf-8")
        assert link.is_symlink()
    target.write_text("mine")
    refused(called("report", ran[0], "-o", link), link, "is no report of backstop")
    assert target.read_text() == "mine"
    lost = tmp_path / "lost.html"
    lost.symlink_to(Path("nowhere") / "page.html")
    refused(called("report", ran[0], "-o", lost), lost, "there is no folder")
    ring = tmp_path / "ring.html"
    ring.symlink_to("ring.html")
    refused(called("report", ran[0], "-o", ring), ring)


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
