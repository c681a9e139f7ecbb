"""``backstop replay``, ``demo`` and ``import`` as a person calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backstop.cli import app
from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK, USAGE
from tests.feeds.samples import BTC, SECOND, START, venue_text, write
from tests.runs.venues import full_text

runner = CliRunner()

POPULATION = """
accounts = 60
long_share = 0.6
hedged_share = 0.15
hedge_ratio = 0.8
second_share = 0.2
linked_share = 0.06
entry_deviation = 0.02
margin_headroom = 0.1
default_share = 1.0

[leverage]
mean_of_log = 2.0
deviation_of_log = 0.8

[size]
median_notional = 4000
deviation_of_log = 1.4
tail_share = 0.01
tail_minimum_notional = 250000
tail_index = 1.3

[shares]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A crash of one market in files: ten longs fall from 100,000 to 80,000 in a second."""
    write(tmp_path / "venue.toml", venue_text())
    marks = [(0, 100_000), (1, 99_000), *[(second, 80_000) for second in range(2, 100)]]
    write(tmp_path / "prices.csv", "time,market,mark\n" + "\n".join(f"{START + at * SECOND},{BTC},{mark}" for at, mark in marks))
    longs = "".join(f"long{number},o{number},{BTC},1,100000\n" for number in range(10))
    write(tmp_path / "accounts.csv", f"account,owner,market,quantity,entry_price\n{longs}short,rich,{BTC},-9,100000.00005\n")
    cash = "".join(f"long{number},USDT,10000\n" for number in range(10))
    write(tmp_path / "collateral.csv", f"account,asset,amount\n{cash}short,USDT,5000000\n")
    write(tmp_path / "population.toml", POPULATION)
    return tmp_path


def replay(folder: Path, *more: str, accounts: bool = True) -> Result:
    options = ["--venue", str(folder / "venue.toml"), "--prices", str(folder / "prices.csv")]
    if accounts:
        options += ["--accounts", str(folder / "accounts.csv"), "--collateral", str(folder / "collateral.csv")]
    return runner.invoke(app, ["replay", *options, *more])


def plain(text: str) -> str:
    """Return a message without the frame and the line breaks that a terminal gives it."""
    return " ".join("".join(letter for letter in text if letter not in "│╭╮╰╯─").split())


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == OK, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def test_the_table_says_who_paid_and_that_nothing_is_lost(folder: Path) -> None:
    result = replay(folder)
    assert result.exit_code == OK, result.output
    for words in ("defaults", "closed on the book", "insurance fund", "closed by ADL", "torn up", "uncovered", "deficit"):
        assert words in result.stdout
    assert "conserved: sum = 0  USDT, all ledger accounts" in result.stdout
    assert f"conserved: sum = 0  {BTC}, positions and their cost" in result.stdout
    assert f"{BTC} does not net: traders outside of the files hold -1" in result.stderr


def test_what_the_fund_paid_is_told_by_one_number(folder: Path) -> None:
    """The row of the table, the line of the fund, and the part of it that takeovers got."""
    write(folder / "venue.toml", full_text(closeout='account_notional_max = "1000"', fund="100000"))
    lines = replay(folder).stdout.splitlines()
    (row,) = (line for line in lines if "paid by insurance fund" in line)
    paid = row.split("│")[-1].strip()
    assert any(line.endswith(f"paid {paid} USDT for defaulters (the row fund)") for line in lines)
    (takeover,) = (line for line in lines if line.startswith("takeover   "))
    support = takeover.removesuffix(" USDT of the row fund were paid for them").rpartition(" ")[2]
    assert 0 < float(support.replace(",", "")) <= float(paid.replace(",", ""))


def test_defaults_that_outlast_the_run_are_told(folder: Path) -> None:
    """The run ends before its last mark is stale: by then not all of ten longs are closed, who lack 10,000 each."""
    write(folder / "venue.toml", full_text(closeout='account_notional_max = "1000"\ndeadline = "1h"', more='[breakers]\nstale = "2s"\n'))
    write(folder / "prices.csv", f"time,market,mark\n{START},{BTC},100000\n{START + SECOND},{BTC},80000\n")
    told = replay(folder)
    values = as_json(replay(folder, "--json"))
    lasting = values["in_default_at_end"]
    assert lasting["accounts"] == lasting["insolvent"] == 3
    lacks = lasting["lacks"].removesuffix(" USDT")
    words = f"in default 3 accounts at the end, 3 insolvent: they lack {float(lacks):,.6f} USDT, which is in no row above"
    assert words in told.stdout.splitlines()
    # Two lack all of it, the fund paid a part for the slices of the third.
    assert 20_000 < float(lacks) < 30_000


def test_a_run_that_ends_its_defaults_has_no_such_line(folder: Path) -> None:
    result = replay(folder)
    assert not any(line.startswith("in default") for line in result.stdout.splitlines())
    assert as_json(replay(folder, "--json"))["in_default_at_end"] == {"accounts": 0, "insolvent": 0, "lacks": "0.000000 USDT"}


def test_accounts_that_the_files_put_into_default_are_told(folder: Path) -> None:
    """Seven of ten longs have less than their maintenance margin at the first mark."""
    assert as_json(replay(folder, "--json"))["in_default_at_opening"] == {"accounts": 0, "first": []}
    assert "at the first marks" not in replay(folder).stderr
    cash = "".join(f"long{number},USDT,{10000 if number < 3 else 1}\n" for number in range(10))
    write(folder / "collateral.csv", f"account,asset,amount\n{cash}short,USDT,5000000\n")
    told = replay(folder)
    words = "warning: 7 accounts are below maintenance margin at the first marks: long3, long4, long5, long6, long7 and 2 more"
    assert words in told.stderr.splitlines()
    journal = ["--journal", str(folder / "run.db")]
    opening = {"accounts": 7, "first": [f"long{number}" for number in range(3, 8)]}
    for more in (journal, [*journal, "--resume"]):
        assert as_json(replay(folder, "--json", *more))["in_default_at_opening"] == opening
    write(folder / "collateral.csv", f"account,asset,amount\n{cash.replace('long4,USDT,1', 'long4,USDT,10000')}short,USDT,5000000\n")
    assert "warning: 6 accounts are" in replay(folder).stderr


def test_counts_of_one_have_their_noun_in_the_singular(folder: Path) -> None:
    """And a run of few events has no rate: its time is that of loading the kernels."""
    told = replay(folder)
    assert "of 11 accounts in 1 market" in told.stdout
    assert "1 markets" not in told.output
    (engine,) = (line for line in told.stdout.splitlines() if line.startswith("engine "))
    assert "events/s" not in engine
    write(folder / "prices.csv", f"time,market,mark\n{START},{BTC},100000\n{START + SECOND},{BTC},80000.00001\n")
    assert "1 price off the tick, moved by at most" in replay(folder).stderr


GUARDED = "[guard]\njump_ppm = 100_000\n[breakers]\nprice_throttle_ppm = 50_000\nprice_halt_ppm = 500_000\nprice_exit_ppm = 40_000\n"


def test_the_table_shows_providers_breakers_and_the_guard(folder: Path) -> None:
    write(folder / "venue.toml", full_text(closeout='account_notional_max = "1000"', guard_volume="10", more=GUARDED))
    marks = [(0, 100_000, 50), (1, 60_000, 1), (2, 99_000, 50), *[(second, 80_000, 50) for second in range(3, 100)]]
    lines = [f"{START + at * SECOND},{BTC},{mark},{volume}" for at, mark, volume in marks]
    write(folder / "prices.csv", "time,market,mark,volume\n" + "\n".join(lines))
    result = replay(folder)
    assert result.exit_code == OK, result.output
    for words in (
        "taken over by providers",
        "charged for others",
        "majors: 100,000.000000 before,",
        "provider:first: on, ",
        "disposal   ",
        f"{BTC}: throttled once by price; ",
        "s throttled",
        "guard      prints held back once",
        "60000 (2025-10-10T21:00:01Z) is 40.00 % from the mark 100000 on a volume of 1: held",
    ):
        assert words in result.stdout
    assert not any("guard" in line for line in replay(folder, "--end", "2025-10-10T21:00:01Z").stdout.splitlines())


def test_json_is_one_object_on_standard_output(folder: Path) -> None:
    values = as_json(replay(folder, "--json", "--journal", str(folder / "journal.db")))
    assert (values["accounts"], values["markets"], values["defaults"]) == (11, 1, 10)
    assert values["journal"]["path"] == str(folder / "journal.db")
    assert values["feeds"]["opening_imbalance"] == {BTC: "-1"}
    again = as_json(replay(folder, "--json"))
    assert again["journal"] is None
    assert again["digest"] == values["digest"]
    verified = runner.invoke(app, ["journal", "verify", str(folder / "journal.db")])
    assert verified.exit_code == OK, verified.output


def test_a_population_is_seeded(folder: Path) -> None:
    options = ("--json", "--population", str(folder / "population.toml"))
    first, same, other = (as_json(replay(folder, *options, "--seed", seed, accounts=False)) for seed in ("7", "7", "8"))
    assert first["digest"] == same["digest"] != other["digest"]
    assert (first["accounts"], first["seed"], first["feeds"]["accounts"]["accounts"]) == (60, 7, 60)


def test_impact_is_off_unless_asked_for(folder: Path) -> None:
    plain, off, on = (as_json(replay(folder, "--json", *more)) for more in ((), ("--impact", "off"), ("--impact", "on")))
    assert plain["digest"] == off["digest"] != on["digest"]
    assert (off["impact"], on["impact"]) == (False, True)


def test_start_and_end_cut_the_prices(folder: Path) -> None:
    values = as_json(replay(folder, "--json", "--end", "2025-10-10T21:00:02Z"))
    assert (values["defaults"], values["feeds"]["prices"]["rows_cut"]) == (0, 98)


def test_an_uncovered_deficit_exits_with_4(folder: Path) -> None:
    write(folder / "venue.toml", venue_text(fund="0", closeout='account_notional_max = "0"', adl=False))
    result = replay(folder)
    assert result.exit_code == FINDING, result.output
    assert "100,000.000000" in result.stdout


def test_a_broken_invariant_exits_with_3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backstop.runs.tally import Conservation

    monkeypatch.setattr("backstop.runs.replay.conservation_of", lambda _: Conservation((1,), (0, 0), (0, 5)))
    result = replay(folder)
    assert result.exit_code == INVARIANT, result.output
    assert "NOT CONSERVED (INV-01): sum = 0.000001" in result.stdout
    assert "NOT CONSERVED (INV-02): 0 contracts, 0.000005 USDT of cost" in result.stdout


BAD_CALLS = [
    ("nothing_to_hold", [], "give either --accounts and --collateral, or --population"),
    ("accounts_alone", ["--accounts", "a.csv"], "--accounts and --collateral go together"),
    ("both", ["--accounts", "a.csv", "--collateral", "c.csv", "--population", "p.toml"], "give either"),
    ("bad_time", ["--population", "p.toml", "--start", "noon"], "must be UTC in ISO 8601"),
    ("end_before_start", ["--population", "p.toml", "--start", "2025-10-10", "--end", "2025-10-09"], "must be after --start"),
    ("few_steps", ["--population", "p.toml", "--steps", "3"], "greater than or equal to 4"),
    ("timeframe", ["--population", "p.toml", "--timeframe", "5x"], "must be a whole number of s, m, h, d or w"),
    ("impact", ["--population", "p.toml", "--impact", "maybe"], "maybe"),
]


@pytest.mark.parametrize(("options", "message"), [case[1:] for case in BAD_CALLS], ids=[case[0] for case in BAD_CALLS])
def test_a_wrong_call_exits_with_2(folder: Path, options: list[str], message: str) -> None:
    result = replay(folder, *options, accounts=False)
    assert result.exit_code == USAGE, result.output
    assert message in plain(result.stderr)


def test_a_refused_file_is_a_message_and_exits_with_1(folder: Path) -> None:
    write(folder / "prices.csv", f"time,market,mark\n{START},{BTC},NaN\n")
    result = replay(folder)
    assert result.exit_code == FAILED
    assert "prices.csv, line 2, column mark: 'NaN' is no finite number: must be a number above 0" in result.stderr
    assert result.stdout == ""


def test_a_misspelt_key_exits_with_1(folder: Path) -> None:
    write(folder / "venue.toml", venue_text().replace("fee_ppm", "fee_pm"))
    result = replay(folder)
    assert result.exit_code == FAILED
    assert "fee_pm" in result.stderr
    write(folder / "venue.toml", venue_text())
    write(folder / "population.toml", POPULATION.replace("hedge_ratio", "hedge_ration"))
    result = replay(folder, "--population", str(folder / "population.toml"), accounts=False)
    assert result.exit_code == FAILED
    assert "hedge_ration" in result.stderr


def test_a_journal_is_not_replaced_unasked(folder: Path) -> None:
    there = folder / "journal.db"
    assert replay(folder, "--journal", str(there)).exit_code == OK
    before, file = there.read_bytes(), there.stat().st_ino
    result = replay(folder, "--journal", str(there))
    assert result.exit_code == FAILED
    assert "exists: choose another path, or replace it with --force" in result.stderr
    assert (there.read_bytes(), there.stat().st_ino) == (before, file)
    kept = there.open("rb")  # so that its number is not given to another
    assert replay(folder, "--journal", str(there), "--force").exit_code == OK
    assert there.stat().st_ino != file
    kept.close()


def test_force_replaces_nothing_but_a_journal(folder: Path) -> None:
    there = write(folder / "notes.txt", "mine")
    result = replay(folder, "--journal", str(there), "--force")
    assert result.exit_code == FAILED
    assert result.stderr == f"error: journal `{there}` cannot be created: it is no journal; choose another path\n"
    assert there.read_text() == "mine"
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    for options in (("--force",), ("--resume",), ()):
        result = replay(folder, "--journal", str(pipe), *options)
        assert result.exit_code in (FAILED, FINDING)
        assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["venue.toml", "prices.csv", "accounts.csv", "collateral.csv", "population.toml"])
@pytest.mark.parametrize("link", [None, "soft", "hard"])
@pytest.mark.parametrize("option", ["--force", "--resume"])
def test_a_journal_is_never_put_in_the_place_of_an_input(folder: Path, name: str, link: str | None, option: str) -> None:
    there = folder / name
    if link == "soft":
        there = folder / "link"
        there.symlink_to(name)
    elif link == "hard":
        there = folder / "link"
        os.link(folder / name, there)
    before = (folder / name).read_bytes()
    more = ["--population", str(folder / "population.toml")] if name == "population.toml" else []
    result = replay(folder, "--journal", str(there), option, *more, accounts=not more)
    assert result.exit_code == USAGE, result.output
    assert "which is to be read: name another file" in plain(result.stderr)
    assert (folder / name).read_bytes() == before


def test_an_input_that_stands_where_a_journal_keeps_its_log_is_not_lost(folder: Path) -> None:
    (folder / "venue.toml").rename(folder / "run.db-wal")
    (folder / "venue.toml").symlink_to("run.db-wal")
    result = replay(folder, "--journal", str(folder / "run.db"), "--force")
    assert result.exit_code == USAGE, result.output
    assert "[venue]" in (folder / "run.db-wal").read_text()


def test_a_run_that_ended_is_resumed_with_its_own_result(folder: Path) -> None:
    """A supervisor that restarts whatever was killed must get on, and learn what the run came
    to.
    """
    write(folder / "venue.toml", venue_text(fund="0", closeout='account_notional_max = "0"', adl=False))
    options = ["--json", "--journal", str(folder / "journal.db"), "--report", str(folder / "report.html")]
    first = replay(folder, *options)
    before, page = (folder / "journal.db").read_bytes(), (folder / "report.html").read_bytes()
    again = replay(folder, *options, "--resume")
    assert again.exit_code == first.exit_code == FINDING, again.output
    assert "holds the whole run: its result was worked out again, and nothing was written to it" in again.stderr
    told, was = json.loads(again.stdout), json.loads(first.stdout)
    assert told["journal"] == was["journal"] | {"had_ended": True}
    for name in ("digest", "stages", "uncovered", "fund", "events"):
        assert told[name] == was[name]
    assert (folder / "journal.db").read_bytes() == before
    assert (folder / "report.html").read_bytes() == page
    other = replay(folder, *options, "--resume", "--impact", "on")
    assert other.exit_code == FAILED
    assert "is of another run" in other.stderr


def test_a_file_of_a_run_killed_in_its_first_moments_is_begun_anew(folder: Path) -> None:
    there = write(folder / "journal.db", "")
    result = replay(folder, "--json", "--journal", str(there), "--resume")
    assert f"note: {there} was left before its run began: the run starts from the beginning" in result.stderr
    assert as_json(result)["journal"]["batches"] > 0


def test_an_overflow_stops_with_a_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object, **__: object) -> None:
        raise OverflowError("sum exceeds int64")

    monkeypatch.setattr("backstop.runs.replay.batches", overflow)
    result = replay(folder)
    assert result.exit_code == FAILED
    assert "the engine stopped: sum exceeds int64" in result.stderr


def test_the_demo_writes_its_result_and_its_journal(tmp_path: Path) -> None:
    write(tmp_path / "population.toml", POPULATION)
    write(tmp_path / "venue.toml", venue_text())
    options = ["--population", str(tmp_path / "population.toml"), "--venue", str(tmp_path / "venue.toml"), "--out", str(tmp_path / "out")]
    result = runner.invoke(app, ["demo", *options])
    assert result.exit_code == OK, result.output
    assert "conserved: sum = 0  USDT" in result.stdout
    values = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (values["scenario"], values["accounts"], values["markets"]) == ("2025-10-10", 60, 2)
    assert values["journal"]["path"] == str(tmp_path / "out" / "journal.db")
    assert runner.invoke(app, ["journal", "verify", str(tmp_path / "out" / "journal.db")]).exit_code == OK
    again = runner.invoke(app, ["demo", "2025-10-10", *options, "--json"])
    assert json.loads(again.stdout)["digest"] == values["digest"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["journal.db", "result.json"]


def test_a_demo_replaces_only_what_a_demo_wrote(tmp_path: Path) -> None:
    write(tmp_path / "venue.toml", venue_text())
    out = tmp_path / "out"
    out.mkdir()
    options = ["--venue", str(tmp_path / "venue.toml"), "--out", str(out)]
    (out / "result.json").symlink_to(tmp_path / "venue.toml")
    refused = runner.invoke(app, ["demo", *options])
    assert refused.exit_code == USAGE, refused.output
    (out / "result.json").unlink()
    os.mkfifo(out / "result.json")
    refused = runner.invoke(app, ["demo", *options])
    assert refused.exit_code == FAILED, refused.output
    assert "not a file but a device, a pipe or a socket" in refused.stderr
    (out / "result.json").unlink()
    write(out / "journal.db", "mine")
    refused = runner.invoke(app, ["demo", *options])
    assert refused.exit_code == FAILED, refused.output
    assert (out / "journal.db").read_text() == "mine"


def test_an_unknown_scenario_names_those_there_are(tmp_path: Path) -> None:
    result = runner.invoke(app, ["demo", "1929-10-24", "--out", str(tmp_path)])
    assert result.exit_code == USAGE
    assert "must be one of 2020-03-12, 2021-05-19, 2025-10-10" in plain(result.stderr)


def test_a_venue_without_a_market_of_the_scenario_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "venue.toml", venue_text().replace(BTC, "DOGE/USDT:USDT").replace("ETH/USDT:USDT", "SHIB/USDT:USDT"))
    result = runner.invoke(app, ["demo", "2020-03-12", "--venue", str(tmp_path / "venue.toml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == FAILED, result.output
    assert f"error: {tmp_path}/venue.toml: the venue has no market of scenario 2020-03-12: it must have one of" in result.stderr


BARS = "symbol,tf,date,open,high,low,close,volume\n" + "".join(
    f"BTC,5m,2025-10-10T21:{minute:02d}:00Z,100000,99000,80000,90000,5\n" for minute in (0, 5, 10, 10)
)


def test_bars_are_imported_and_replayed(folder: Path) -> None:
    write(folder / "bars.csv", BARS)
    call = ["import", "--format", "freqtrade", "--timeframe", "5m", str(folder / "bars.csv"), "-o", str(folder / "prices.csv")]
    result = runner.invoke(app, call)
    assert result.exit_code == OK, result.output
    assert "read 4 rows of 1 file, wrote 3 bars" in result.stderr
    assert "1 duplicate dropped, alike in every value" in result.stderr
    assert "3 bars widened to hold open and close" in result.stderr
    values = as_json(replay(folder, "--json", "--steps", "4"))
    assert values["feeds"]["prices"]["steps"] == 4
    assert values["defaults"] == 10


BAD_IMPORTS = [
    ("format", ["--format", "csv", "--timeframe", "5m"], "must be one of freqtrade, bitmex"),
    ("timeframe", ["--format", "bitmex", "--timeframe", "5"], "must be a whole number of s, m, h, d or w"),
    ("stamp", ["--format", "bitmex", "--timeframe", "1m", "--stamp", "middle"], "must be one of start, end"),
    ("market", ["--format", "bitmex", "--timeframe", "1m", "--market", "XBTUSD"], "must be OLD=NEW"),
    ("kind", ["--format", "freqtrade", "--timeframe", "1m", "--kind", "funding_rate"], "must be one of futures, mark, spot"),
]


@pytest.mark.parametrize(("options", "message"), [case[1:] for case in BAD_IMPORTS], ids=[case[0] for case in BAD_IMPORTS])
def test_a_wrong_import_exits_with_2(tmp_path: Path, options: list[str], message: str) -> None:
    result = runner.invoke(app, ["import", *options, str(tmp_path / "bars.csv"), "-o", str(tmp_path / "out.csv")])
    assert result.exit_code == USAGE
    assert message in plain(result.stderr)


def test_the_whole_program_in_its_own_process(folder: Path) -> None:
    command = [sys.executable, "-c", "from backstop.cli import main; main()", "replay", "--json"]
    for option, name in (("venue", "venue.toml"), ("prices", "prices.csv"), ("accounts", "accounts.csv"), ("collateral", "collateral.csv")):
        command += [f"--{option}", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
    assert done.returncode == OK, done.stderr
    assert json.loads(done.stdout)["conservation"]["holds"] is True
    assert "prices: 100 rows, 100 events" in done.stderr


def test_help_loads_nothing_heavy() -> None:
    # (Typer itself takes pydantic where that is installed.)
    code = "import sys\nfrom backstop.cli import app\nfrom typer.testing import CliRunner\n"
    code += "assert CliRunner().invoke(app, ['replay', '--help']).exit_code == 0\n"
    code += "heavy = [name for name in ('numba', 'numpy', 'pyarrow', 'rich') if name in sys.modules]\nassert not heavy, heavy\n"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_report_is_written_and_said(folder: Path) -> None:
    path = folder / "report.html"
    result = replay(folder, "--json", "--report", str(path))
    values = as_json(result)
    text = path.read_text(encoding="utf-8")
    assert f"report: {path}, {path.stat().st_size:,} bytes" in result.stderr
    assert values["digest"] in text
    assert f'<data value="{values["deficit"].partition(" ")[0]}"' in text
    assert "long3" in text


def test_a_report_that_cannot_be_written_is_refused_before_the_run(folder: Path) -> None:
    result = replay(folder, "--report", str(folder))
    assert result.exit_code == FAILED
    assert "is a folder: name a file" in plain(result.stderr)
    before = (folder / "prices.csv").read_bytes()
    result = replay(folder, "--report", str(folder / "prices.csv"))
    assert result.exit_code == FAILED
    assert "is no report of backstop" in plain(result.stderr)
    assert (folder / "prices.csv").read_bytes() == before
    result = replay(folder, "--report", str(folder / "run.db"), "--journal", str(folder / "run.db"))
    assert result.exit_code == USAGE
    assert not (folder / "run.db").exists()


def test_a_demo_refuses_it_before_its_work(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.html", "<p>mine</p>")
    result = runner.invoke(app, ["demo", "--out", str(tmp_path / "out"), "--report", str(mine)])
    assert (result.exit_code, mine.read_text()) == (FAILED, "<p>mine</p>")
    assert "is no report of backstop" in plain(result.stderr)
    assert not list((tmp_path / "out").iterdir())
