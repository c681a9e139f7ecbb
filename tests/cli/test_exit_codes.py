"""One table of exit codes: a fault of a file means the same to every command that meets it.

The commands that read a journal are listed once and each is given every kind of bad file; a test
walks the program's own tree of commands, so that a new one cannot be left out. Commands that write
are given places that do not exist.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from backstop.cli import app, exits
from backstop.cli.exits import FAILED, FINDING, NOT_REPLAYED, OK, USAGE
from tests.cli.test_replay_command import POPULATION
from tests.feeds.samples import BTC, START, venue_text
from tests.feeds.samples import write as write_text
from tests.journal.runs import change, crash, write

ROOT = Path(__file__).parents[2]

#: Every command that reads a journal, and how it is called: ``{journal}`` is the file, ``{folder}``
#: one to write in.
READERS = {
    "journal verify": "journal verify {journal}",
    "journal show": "journal show {journal}",
    "journal stats": "journal stats {journal}",
    "journal rules": "journal rules {journal}",
    "journal prune": "journal prune {journal} --keep 0",
    "journal backup": "journal backup {journal} {folder}/copy.db",
    "explain": "explain 0 --journal {journal}",
    "report": "report {journal} -o {folder}/page.html",
    "account rank": "account rank 0 --journal {journal}",
    "adl compare": "adl compare --journal {journal}",
    "fund statement": "fund statement --journal {journal}",
}


def called(line: str, **places: Path) -> Result:
    return CliRunner().invoke(app, [word.format(**places) for word in line.split()])


def _missing(path: Path) -> None:
    assert not path.exists()


def _folder(path: Path) -> None:
    path.mkdir()


def _text(path: Path) -> None:
    path.write_text("time,market,mark\n" * 99)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE notes (what TEXT)")
    file.close()


def _damaged(path: Path) -> None:
    write(path)
    change(path, ("UPDATE batches SET events = zeroblob(64 * events_count) WHERE number = 3", ()))


def _other_numbers(path: Path) -> None:
    write(path, codes="{}")


@pytest.mark.parametrize("line", READERS.values(), ids=[name.replace(" ", "_") for name in READERS])
def test_a_journal_whose_numbers_mean_other_things_is_never_told_as_if_it_were_known(line: str, tmp_path: Path) -> None:
    _other_numbers(tmp_path / "run.db")
    found = called(line, journal=tmp_path / "run.db", folder=tmp_path)
    if line.startswith("journal verify"):
        assert found.exit_code == NOT_REPLAYED, found.output
    elif line.startswith("journal") and not line.startswith("journal rules"):  # rows as numbers, and it says so
        assert found.exit_code == OK, found.output
    else:
        assert found.exit_code == FAILED, found.output
        assert "numbers mean other things" in found.stderr
        assert found.stdout == ""


FAULTS: list[tuple[Callable[[Path], None], int]] = [
    (_missing, FAILED),
    (_folder, FAILED),
    (_text, FINDING),
    (_foreign, FINDING),
    (_damaged, FINDING),
]


@pytest.mark.parametrize(("spoil", "code"), FAULTS, ids=[fault.__name__.strip("_") for fault, _ in FAULTS])
@pytest.mark.parametrize("line", READERS.values(), ids=[name.replace(" ", "_") for name in READERS])
def test_a_bad_journal_means_the_same_to_every_command(line: str, spoil: Callable[[Path], None], code: int, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    spoil(path)
    found = called(line, journal=path, folder=tmp_path)
    assert found.exit_code == code, found.output
    assert not isinstance(found.exception, Exception), found.exception
    assert "run.db" in found.stderr + found.stdout or "batch 3" in found.stderr
    assert not (tmp_path / "page.html").exists()


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    for name in names:
        yield from _commands(command.get_command(None, name), (*words, name))
    if not names:
        yield " ".join(words), command


def test_every_command_that_reads_a_journal_is_listed() -> None:
    """A parameter that is called a journal, or said to be one, and is not of a command that writes
    it.
    """
    found = set()
    for name, command in _commands(typer.main.get_command(app)):
        words = [f"{parameter.name} {getattr(parameter, 'help', '')}" for parameter in command.params]
        if any(re.search("journal", word, re.IGNORECASE) for word in words) and name not in ("demo", "replay"):
            found.add(name)
    # Those that list a journal or go on with it have tests of their own: tests/journal/test_upkeep.
    assert found == {*READERS, "journal segments", "journal seal", "journal upgrade"}


def test_every_command_tells_its_exit_codes() -> None:
    """But for those that only print or compile, which have none of their own."""
    silent = [name for name, command in _commands(typer.main.get_command(app)) if "Exits with 0" not in (command.help or "")]
    assert silent == ["config schema", "warmup"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A venue, prices and a population that replay takes, bars that import takes, and a sound
    journal.
    """
    write_text(tmp_path / "venue.toml", venue_text())
    write_text(tmp_path / "prices.csv", f"time,market,mark\n{START},{BTC},100000\n")
    write_text(tmp_path / "population.toml", POPULATION)
    write_text(tmp_path / "bars.csv", "symbol,tf,date,open,high,low,close,volume\nBTC,5m,2025-10-10T21:00:00Z,1,1,1,1,5\n")
    write_text(tmp_path / "table.csv", "account,weight,cap\na,1,10\nb,1,10\n")
    write(tmp_path / "run.db", crash()[:2])
    return tmp_path


REPLAY = "replay --venue {folder}/venue.toml --prices {folder}/prices.csv --population {folder}/population.toml"
WRITERS = {
    "report": "report {folder}/run.db -o {output}",
    "replay_report": REPLAY + " --report {output}",
    "replay_journal": REPLAY + " --journal {output}",
    "demo_report": "demo --out {folder}/out --report {output}",
    "import": "import --format freqtrade --timeframe 5m {folder}/bars.csv -o {output}",
    "adl_compare_plot": "adl compare --table {folder}/table.csv --budget 5 --plot {output}",
    "config_init": "config init {output}",
}


@pytest.mark.parametrize("line", WRITERS.values(), ids=WRITERS)
def test_no_folder_is_made_for_an_output_and_none_is_taken_for_a_file(line: str, files: Path) -> None:
    absent = called(line, folder=files, output=files / "no" / "such" / "x.svg")
    assert absent.exit_code == FAILED, absent.output
    assert absent.stderr.splitlines()[-1] == f"error: {files}/no/such/x.svg: there is no folder {files}/no/such: make it first"
    assert not (files / "no").exists()
    (files / "there").mkdir()
    folder = called(line, folder=files, output=files / "there")
    assert folder.exit_code == FAILED, folder.output
    assert folder.stderr.splitlines()[-1] == f"error: {files}/there is a folder: name a file"


@pytest.mark.parametrize("line", WRITERS.values(), ids=WRITERS)
def test_an_output_that_may_not_be_written_is_refused_before_the_work(line: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are played, as root has all of them."""
    closed, old = files / "closed", files / "old.svg"
    closed.mkdir()
    old.write_text("kept")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: (mode != os.W_OK or Path(path) not in (closed, old)) and access(path, mode))
    told = called(line, folder=files, output=closed / "x.svg")
    assert told.exit_code == FAILED, told.output
    assert told.stderr.splitlines() == [f"error: {closed}/x.svg: no permission to write in {closed}"]
    told = called(line, folder=files, output=old)
    assert told.exit_code == FAILED, told.output
    assert told.stderr.splitlines() == [f"error: {old}: no permission to write to it"]
    assert old.read_text() == "kept"


def test_a_reader_who_has_seen_enough_is_told_nothing(files: Path) -> None:
    """``journal show FILE | head -1``."""
    line = [sys.executable, "-c", "from backstop.cli import main; main()", "journal", "show", str(files / "run.db")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        assert shown.stdout.readline()
        shown.stdout.close()
        assert shown.stderr.read() == ""
    assert shown.returncode == FAILED


UNKNOWN = {
    "account_of_explain": ("explain nobody --journal {folder}/run.db", FAILED, "nobody"),
    "account_of_rank": ("account rank nobody --journal {folder}/run.db", FAILED, "nobody"),
    "account_of_show": ("journal show {folder}/run.db --account nobody", FAILED, "nobody"),
    "seq_of_explain": ("explain 0 --journal {folder}/run.db --at 99999999", FAILED, "no event of seq 99999999"),
    "seq_of_rank": ("account rank 0 --journal {folder}/run.db --at 99999999", FAILED, "no event of seq 99999999: it ends with seq "),
    "seq_of_adl": ("adl compare --journal {folder}/run.db --seq 99999999", FAILED, "nobody was deleveraged"),
    "market_of_rank": ("account rank 0 --journal {folder}/run.db --market BTC", USAGE, "unknown market BTC"),
    "market_of_show": ("journal show {folder}/run.db --market BTC", USAGE, "unknown market BTC"),
    "group_of_fund": ("fund statement --journal {folder}/run.db --group x", USAGE, "must be one of all"),
    "no_row": ("journal show {folder}/run.db --from 99999999", OK, "note: no row is of that choice"),
    "out": ("demo --out {folder}/bars.csv", FAILED, "bars.csv is a file: name a folder"),
}


@pytest.mark.parametrize(("line", "code", "words"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_a_journal_does_not_hold_is_a_failure_and_what_its_venue_does_not_have_is_usage(
    line: str, code: int, words: str, files: Path
) -> None:
    found = called(line, folder=files)
    assert found.exit_code == code, found.output
    assert words in found.stderr
    assert found.stdout == ""


def test_a_journal_to_go_on_with_that_is_none_is_a_finding(files: Path) -> None:
    _text(files / "other.db")
    found = called(REPLAY + " --journal {output} --resume", folder=files, output=files / "other.db")
    assert found.exit_code == FINDING, found.output
    assert "error: not_sqlite: other.db" in found.stderr


def test_a_journal_to_go_on_with_that_is_absent_is_said_to_be_begun(files: Path) -> None:
    found = called(REPLAY + " --journal {output} --resume", folder=files, output=files / "new.db")
    assert found.exit_code == OK, found.output
    assert f"note: {files}/new.db does not exist: the run starts from the beginning" in found.stderr


def test_the_page_shows_the_codes_of_the_program() -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| ([0-9]) \|", page, re.MULTILINE)}
    assert told == {getattr(exits, name) for name in exits.__all__} == set(range(6))
    assert USAGE == 2  # click's own
