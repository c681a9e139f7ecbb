"""What the program writes: nothing that steers a terminal, and an error that names the file where
the disk is full.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, FINDING, OK, USAGE
from tests.feeds.samples import BTC, SECOND, START, venue_text, write

#: Clears the screen, sets the title, goes back in the line, turns the writing round, and begins a
#: line of its own.
STEERING = "\x1b[2J\x1b]0;owned\x07\r\x08\u202e\x9b31m\x7f\nresult    ok"
NAME = f"long{STEERING}0"
PROVIDER = '\n[[provider]]\nname = "p\\u001b[31m\\u009b\\nresult    ok"\n'


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a crash whose accounts, owners, venue and columns bear names that steer a terminal,
    and its journal.
    """
    folder = tmp_path_factory.mktemp("steering")
    head = venue_text().replace('[venue]\nname = "', '[venue]\nname = "\\u001b[31m\\u009b\\nresult    ok')
    write(folder / "venue.toml", head)
    marks = [(0, 100_000), (1, 99_000), *[(second, 80_000) for second in range(2, 60)]]
    _rows(
        folder / "prices.csv", ["time", "market", "mark", f"note{STEERING}"], [[START + at * SECOND, BTC, mark, ""] for at, mark in marks]
    )
    longs = [[f"long{STEERING}{number}", f"owner{STEERING}{number}", BTC, 1, 100_000] for number in range(10)]
    accounts = [*longs, ["short", f"rich{STEERING}", BTC, -10, 100_000]]
    _rows(folder / "accounts.csv", ["account", "owner", "market", "quantity", "entry_price"], accounts)
    cash = [[row[0], "USDT", 10_000 if number < 10 else 5_000_000] for number, row in enumerate(accounts)]
    _rows(folder / "collateral.csv", ["account", "asset", "amount"], cash)
    done = called(folder, "replay", *_inputs(folder), "--journal", str(folder / "run.db"))
    assert done.exit_code == OK, done.output
    return folder


def _rows(path: Path, names: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([names, *rows])
    return path


def _inputs(folder: Path) -> list[str]:
    options = [(name, folder / f"{name}.{'toml' if name == 'venue' else 'csv'}") for name in ("venue", "prices", "accounts", "collateral")]
    return [word for name, path in options for word in (f"--{name}", str(path))]


class Called:
    """What a command printed, each line of it checked."""

    def __init__(self, words: tuple[str, ...]) -> None:
        found = CliRunner().invoke(app, list(words))
        self.exit_code, self.output = found.exit_code, found.output
        text = found.stdout + found.stderr
        steering = sorted({f"U+{ord(letter):04X}" for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf")})
        assert not steering, f"{words}: {steering}"
        assert not any(line.startswith("result    ok") and "nothing is changed" not in line for line in text.splitlines()), text


def called(folder: Path, *words: str) -> Called:
    return Called(words)


READ = {
    "replay": (["replay", "{inputs}"], OK),
    "verify": (["journal", "verify", "{folder}/run.db"], OK),
    "show": (["journal", "show", "{folder}/run.db"], OK),
    "show_json": (["journal", "show", "{folder}/run.db", "--json"], OK),
    "stats": (["journal", "stats", "{folder}/run.db"], OK),
    "explain": (["explain", NAME, "--journal", "{folder}/run.db"], OK),
    "explain_json": (["explain", NAME, "--journal", "{folder}/run.db", "--json"], OK),
    "rank": (["account", "rank", NAME, "--journal", "{folder}/run.db", "--at", "5"], OK),
    "rank_of_nobody": (["account", "rank", f"nobody{STEERING}", "--journal", "{folder}/run.db"], FAILED),
    "explain_nobody": (["explain", f"nobody{STEERING}", "--journal", "{folder}/run.db"], FAILED),
    "show_nobody": (["journal", "show", "{folder}/run.db", "--account", f"nobody{STEERING}"], FAILED),
    "show_no_market": (["journal", "show", "{folder}/run.db", "--market", f"nothing{STEERING}"], USAGE),
    "fund": (["fund", "statement", "--journal", "{folder}/run.db", "--by", "account"], OK),
    "fund_json": (["fund", "statement", "--journal", "{folder}/run.db", "--by", "account", "--json"], OK),
    "adl": (["adl", "compare", "--journal", "{folder}/run.db"], OK),
    "check": (["config", "check", "{folder}/venue.toml"], OK),
    "show_venue": (["config", "show", "{folder}/venue.toml"], OK),
    "show_venue_json": (["config", "show", "{folder}/venue.toml", "--json"], OK),
    "unknown_group": (["fund", "statement", "--journal", "{folder}/run.db", "--group", "x"], USAGE),
}


@pytest.mark.parametrize(("words", "code"), READ.values(), ids=READ)
def test_no_name_of_a_file_steers_the_terminal(files: Path, words: list[str], code: int) -> None:
    line = [word.format(folder=files) if word != NAME else word for word in words if word != "{inputs}"]
    found = called(files, *line, *(_inputs(files) if "{inputs}" in words else []))
    assert found.exit_code == code, found.output


def test_names_in_errors_do_not_steer_the_terminal(files: Path, tmp_path: Path) -> None:
    _rows(tmp_path / "prices.csv", [f"time{STEERING}", f"market{STEERING}"], [])
    found = called(files, "replay", *_inputs(files)[:2], "--prices", str(tmp_path / "prices.csv"), *_inputs(files)[4:])
    assert found.exit_code == FAILED, found.output
    assert r"\x1b[2J" in found.output
    write(tmp_path / "venue.toml", venue_text() + PROVIDER)
    found = called(files, "config", "check", str(tmp_path / "venue.toml"))
    assert found.exit_code == FINDING, found.output
    bars = [[f"BTC{STEERING}", f"5m{STEERING}", START, 1, 1, 1, 1, 1]]
    _rows(tmp_path / "bars.csv", ["symbol", "tf", "date", "open", "high", "low", "close", "volume"], bars)
    out = ["-o", str(tmp_path / "out.csv")]
    found = called(files, "import", "--format", "freqtrade", "--timeframe", "5m", str(tmp_path / "bars.csv"), *out)
    assert found.exit_code == FAILED, found.output


# A full disk

_FULL = """
import sys
from backstop.cli import main
from tests.journal.faults import fill_disk
if "replay" in sys.argv or "adl" in sys.argv:
    from backstop.runs.warmup import warm
    warm()
import backstop.report, backstop.journal, backstop.feeds.exchange
try:
    import pyarrow.parquet, matplotlib.figure, matplotlib.backends.backend_svg
except ImportError:
    pass
fill_disk()
main()
"""

WRITERS = {
    "journal": ("replay {inputs} --journal {output}/new.db", "new.db"),
    "report": ("report {folder}/run.db -o {output}/page.html", "page.html"),
    "report_of_replay": ("replay {inputs} --report {output}/page.html", "page.html"),
    "import_csv": ("import --format freqtrade --timeframe 5m {folder}/bars.csv -o {output}/out.csv", "out.csv"),
    "import_parquet": ("import --format freqtrade --timeframe 5m {folder}/bars.csv -o {output}/out.parquet", "out.parquet"),
    "config": ("config init {output}/venue.toml", "venue.toml"),
    "plot": ("adl compare --table {folder}/table.csv --budget 10 --plot {output}/x.svg", "x.svg"),
}


# Kernels are not compiled: their cache is a file that no command was asked to write.
@pytest.mark.skipif(sys.platform != "linux", reason="faults are made by Linux's seccomp")
@pytest.mark.parametrize(("line", "name"), WRITERS.values(), ids=WRITERS)
def test_an_error_on_a_full_disk_names_the_file(files: Path, tmp_path: Path, line: str, name: str) -> None:
    bars = [["BTC", "5m", START, 1, 1, 1, 1, 1]]
    _rows(files / "bars.csv", ["symbol", "tf", "date", "open", "high", "low", "close", "volume"], bars)
    write(files / "table.csv", "account,weight,cap\na,1,100\nb,2,100\n")
    inputs = " ".join(_inputs(files))
    words = line.format(folder=files, output=tmp_path, inputs=inputs).split(" ")
    done = subprocess.run(
        [sys.executable, "-c", _FULL, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLCONFIGDIR": str(files), "NUMBA_DISABLE_JIT": "1"},
    )
    if done.returncode == 77 or "needs pyarrow" in done.stderr or "needs matplotlib" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == FAILED, done.stderr
    told = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(told) == 1, done.stderr
    assert name in told[0]
    assert "No space left on device" in told[0] or "the disk is full" in told[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no full device")
def test_a_full_standard_output_is_named(files: Path) -> None:
    command = [sys.executable, "-c", "from backstop.cli import main; main()", "journal", "stats", str(files / "run.db")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == FAILED, done.stderr
    assert done.stderr == "error: standard output: No space left on device\n"


# What is replaced


def test_config_init_replaces_only_what_may_be_a_venue_file(tmp_path: Path) -> None:
    prices = write(tmp_path / "prices.csv", "time,market,mark\n")
    for name in ("prices.csv", "pipe"):
        if name == "pipe":
            os.mkfifo(tmp_path / name)
        found = CliRunner().invoke(app, ["config", "init", str(tmp_path / name), "--force"])
        assert found.exit_code == FAILED, found.output
        assert name in found.stderr
    assert prices.read_text() == "time,market,mark\n"
    assert (tmp_path / "pipe").is_fifo()
    spoilt = write(tmp_path / "venue.toml", "[venue\n")
    assert CliRunner().invoke(app, ["config", "init", str(spoilt)]).exit_code == FAILED
    assert spoilt.read_text() == "[venue\n"
    assert CliRunner().invoke(app, ["config", "init", str(spoilt), "--force"]).exit_code == OK
    assert "[venue]" in spoilt.read_text()


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["soft", "hard"])
def test_an_output_is_never_an_input_by_another_name(tmp_path: Path, link: object) -> None:
    assert callable(link)
    bars = _rows(
        tmp_path / "bars.csv", ["symbol", "tf", "date", "open", "high", "low", "close", "volume"], [["BTC", "5m", START, 1, 1, 1, 1, 1]]
    )
    table = write(tmp_path / "table.csv", "account,weight,cap\na,1,100\nb,2,100\n")
    link(bars, tmp_path / "out.csv")
    link(table, tmp_path / "plot.svg")
    before = bars.read_bytes(), table.read_bytes()
    call = ["import", "--format", "freqtrade", "--timeframe", "5m", str(bars), "-o", str(tmp_path / "out.csv")]
    assert CliRunner().invoke(app, call).exit_code == USAGE
    call = ["adl", "compare", "--table", str(table), "--budget", "10", "--plot", str(tmp_path / "plot.svg")]
    assert CliRunner().invoke(app, call).exit_code == USAGE
    assert (bars.read_bytes(), table.read_bytes()) == before
