"""XBTUSD from bars in BitMEX's own layout to a journal, as the inverse contract that it is."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import OK
from backstop.config import load_venue
from tests.feeds.samples import write

runner = CliRunner()
VENUE = Path(__file__).parents[2] / "docs" / "examples" / "venue-xbtusd.toml"

#: Five minutes of a fall in the layout of BitMEX's trade bars; the figures are our own.
BARS = """timestamp,symbol,open,high,low,close,trades,volume,vwap,lastSize,turnover,homeNotional,foreignNotional
2020-03-12T10:31:00.000Z,XBTUSD,7250,7260,7240.5,7241,812,4100000,7250.1,500,56551724137,565.51,4100000
2020-03-12T10:32:00.000Z,XBTUSD,7241,7241.5,6900,6905,5812,38100000,7050.4,500,540397124137,5403.97,38100000
2020-03-12T10:33:00.000Z,XBTUSD,6905,6960,6400,6412.5,7812,68100000,6620,500,1028700906344,10287.0,68100000
2020-03-12T10:34:00.000Z,XBTUSD,6412.5,6600,5900,6120,9812,98100000,6215,500,1578439259855,15784.3,98100000
2020-03-12T10:35:00.000Z,XBTUSD,6120,6300,6050,6288,3812,28100000,6190,500,453957996768,4539.57,28100000
"""
#: Longs at ten, twenty-five and five times their bitcoin, and who sold to them.
ACCOUNTS = """account,owner,market,quantity,entry_price
long10,a,BTC/USD:BTC,1450000,7250
long25,b,BTC/USD:BTC,3625000,7250
long5,c,BTC/USD:BTC,725000,7250
short,d,BTC/USD:BTC,-5800000,7300
"""
COLLATERAL = "account,asset,amount\nlong10,BTC,20\nlong25,BTC,20\nlong5,BTC,20\nshort,BTC,300\n"


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, and the journal of their replay."""
    folder = tmp_path_factory.mktemp("xbtusd")
    write(folder / "bars.csv", BARS)
    write(folder / "accounts.csv", ACCOUNTS)
    write(folder / "collateral.csv", COLLATERAL)
    told = runner.invoke(
        app, ["import", "--format", "bitmex", "--timeframe", "1m", "-o", str(folder / "xbtusd.csv"), str(folder / "bars.csv")]
    )
    assert told.exit_code == OK, told.output
    return folder


def replay(folder: Path, *more: str) -> dict[str, object]:
    options = ["--venue", str(VENUE), "--prices", str(folder / "xbtusd.csv"), "--json"]
    options += ["--accounts", str(folder / "accounts.csv"), "--collateral", str(folder / "collateral.csv")]
    result = runner.invoke(app, ["replay", *options, *more])
    assert result.exit_code == OK, result.output
    values: dict[str, object] = json.loads(result.stdout)
    return values


def test_bars_are_of_the_inverse_contract_with_volume_in_contracts(folder: Path) -> None:
    rows = (folder / "xbtusd.csv").read_text().splitlines()
    assert rows[1] == "2020-03-12T10:30:00Z,BTC/USD:BTC,1m,7250,7260,7240.5,7241,4100000"
    assert len(rows) == 6


def test_the_fall_is_replayed_in_bitcoin(folder: Path) -> None:
    """Whose bankruptcy price is passed defaults, and nothing is lost: ``entry x L / (L + 1)``."""
    result = replay(folder, "--journal", str(folder / "run.journal"))
    assert load_venue(VENUE).markets[0].is_inverse
    low = 5_900
    # At 7,250 their leverage is 10, 25 and 5.
    passed = [leverage for leverage in (10, 25, 5) if Fraction(7_250 * leverage, leverage + 1) > low]
    assert sorted(passed) == [5, 10, 25]
    assert result["defaults"] == len(passed)
    conservation = result["conservation"]
    assert isinstance(conservation, dict)
    assert "0" in json.dumps(conservation)
    verified = runner.invoke(app, ["journal", "verify", str(folder / "run.journal")])
    assert verified.exit_code == OK, verified.output


@pytest.mark.parametrize("account", ["long25", "short"])
def test_every_number_is_worked_out_again(folder: Path, account: str) -> None:
    if not (folder / "run.journal").exists():
        replay(folder, "--journal", str(folder / "run.journal"))
    told = runner.invoke(app, ["explain", "--journal", str(folder / "run.journal"), account])
    assert told.exit_code == OK, told.output
    assert "all agree" in told.output
    assert "BTC/USD:BTC" in told.output
    # What a rounding moves is no payment.
    assert "-0.00000001" not in told.output


def test_a_price_below_the_lowest_is_refused(folder: Path, tmp_path: Path) -> None:
    rows = (folder / "xbtusd.csv").read_text().replace("6288", "99.5")
    write(tmp_path / "low.csv", rows)
    options = ["--venue", str(VENUE), "--prices", str(tmp_path / "low.csv"), "--accounts", str(folder / "accounts.csv")]
    told = runner.invoke(app, ["replay", *options, "--collateral", str(folder / "collateral.csv")])
    assert told.exit_code != OK
    assert "99.5" in told.output
    assert "must be at least 100, price_min of its market" in " ".join(told.output.split())
