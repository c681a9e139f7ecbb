"""A dollar market and a coin market in one venue, from files to a journal and back: every amount is
said in its own asset, and what adds up all markets refuses such a venue.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, OK
from tests.feeds.samples import write

runner = CliRunner()
VENUE = Path(__file__).parents[2] / "docs" / "examples" / "venue-two-assets.toml"
ACCOUNTS = """account,owner,market,quantity,entry_price
dollar long,ann,BTC/USDT:USDT,50,60000
dollar short,bob,BTC/USDT:USDT,-50,60000
coin long,cora,BTC/USD:BTC,6000000,60000
coin short,dan,BTC/USD:BTC,-6000000,60000
coin idle,dan,,,
"""
COLLATERAL = "account,asset,amount\ndollar long,USDT,200000\ndollar short,USDT,400000\ncoin long,BTC,7\ncoin short,BTC,40\n"
#: What any amount of money looks like, and the digits that its asset has.
MONEY = re.compile(r"-?\d+\.(\d+) (USDT|BTC)\b")
DIGITS = {"USDT": 6, "BTC": 8}


def prices() -> str:
    """Return an hour in which both markets fall by 12 %."""
    rows = ["time,market,mark"]
    for place in range(120):
        mark = round(2 * 60_000 * (1 - 0.12 * min(1, place / 60))) / 2
        for market in ("BTC/USDT:USDT", "BTC/USD:BTC"):
            rows.append(f"2026-01-01T00:{place // 2:02d}:{30 * (place % 2):02d}Z,{market},{mark:g}")
    return "\n".join(rows) + "\n"


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, and the journal and the object of their replay."""
    folder = tmp_path_factory.mktemp("two")
    write(folder / "prices.csv", prices())
    write(folder / "accounts.csv", ACCOUNTS)
    write(folder / "collateral.csv", COLLATERAL)
    told = runner.invoke(app, [*replay_of(folder), "--journal", str(folder / "run.journal"), "--json"])
    assert told.exit_code == OK, told.output
    write(folder / "result.json", told.stdout)
    return folder


def replay_of(folder: Path) -> list[str]:
    options = ["replay", "--venue", str(VENUE), "--prices", str(folder / "prices.csv")]
    return [*options, "--accounts", str(folder / "accounts.csv"), "--collateral", str(folder / "collateral.csv")]


def said(*command: str) -> str:
    told = runner.invoke(app, list(command))
    assert told.exit_code == OK, told.output
    return told.stdout


def assets_in(text: str) -> set[str]:
    """Return the assets of all amounts of a text, each with all its digits."""
    found = MONEY.findall(text)
    assert all(len(digits) == DIGITS[asset] for digits, asset in found)
    return {asset for _, asset in found}


def test_each_asset_has_a_part_of_the_result_by_itself(folder: Path) -> None:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    dollars, coins = result["assets"]["USDT"], result["assets"]["BTC"]
    assert (dollars["defaults"], coins["defaults"], result["defaults"]) == (1, 1, 2)
    assert assets_in(json.dumps(dollars)) == {"USDT"}
    assert assets_in(json.dumps(coins)) == {"BTC"}
    assert not {"stages", "fund", "deficit"} & set(result), "no sum over both"
    assert [group["group"] for group in coins["fund"]["groups"]] == ["coins"]
    assert result["conservation"]["assets"] == {"USDT": "0.000000 USDT", "BTC": "0.00000000 BTC"}
    assert result["conservation"]["holds"]
    (provider,) = result["providers"]
    assert assets_in(json.dumps(provider)) == {"BTC"}


def test_the_table_is_one_of_each_asset(folder: Path) -> None:
    shown = said(*replay_of(folder))
    assert "notional [USDT]" in shown
    assert "notional [BTC]" in shown
    assert re.search(r"fund +250,000\.000000 USDT before", shown)
    assert re.search(r"fund +5\.00000000 BTC before", shown)
    assert "conserved: sum = 0  USDT, all ledger accounts" in shown
    assert "conserved: sum = 0  BTC, all ledger accounts" in shown


def check_lines(text: str) -> None:
    """See that each amount is in the asset of an account or market that its line names."""
    names = {"USDT": ("dollar", "USDT:USDT"), "BTC": ("coin", "USD:BTC")}
    for line in text.splitlines():
        named = {asset for asset, words in names.items() if any(word in line for word in words)}
        assert assets_in(line) <= named if named else len(assets_in(line)) < 2, line


def test_the_journal_says_every_amount_in_its_asset(folder: Path) -> None:
    text = said("journal", "show", str(folder / "run.journal"))
    assert "coin idle opens in BTC, belongs to dan" in text
    check_lines(text)
    assert " atoms" not in text
    assert "ok: nothing is changed" in said("journal", "verify", str(folder / "run.journal"))


@pytest.mark.parametrize(("account", "asset"), [("dollar long", "USDT"), ("coin long", "BTC"), ("coin desk", "BTC")])
def test_an_explanation_is_in_the_asset_of_its_account(folder: Path, account: str, asset: str) -> None:
    """Others are named beside it, each with its own."""
    journal = str(folder / "run.journal")
    text = said("explain", account, "--journal", journal)
    check_lines(text)
    assert "all agree" in text
    found = json.loads(said("explain", account, "--journal", journal, "--json"))
    assert assets_in(json.dumps([found["sums"], found["standing"]])) == {asset}


def test_a_fund_has_a_statement_in_its_asset(folder: Path) -> None:
    journal = str(folder / "run.journal")
    assert "of two-assets, in USDT" in said("fund", "statement", "--journal", journal, "--group", "dollars")
    assert "of two-assets, in BTC" in said("fund", "statement", "--journal", journal, "--group", "coins")
    assert assets_in(said("fund", "statement", "--journal", journal, "--group", "coins", "--json")) == {"BTC"}


@pytest.mark.parametrize("command", ["report", "replay", "demo"])
def test_what_adds_up_all_markets_refuses_the_venue(folder: Path, command: str) -> None:
    page = folder / "page.html"
    whole = {
        "report": ["report", str(folder / "run.journal"), "-o", str(page)],
        "replay": [*replay_of(folder), "--report", str(page)],
        "demo": ["demo", "--venue", str(VENUE)],
    }[command]
    told = runner.invoke(app, whole)
    assert told.exit_code == FAILED
    assert "is of money in one asset, and venue two-assets has 2, USDT, BTC" in told.stderr
    assert not page.exists()


BOOKS = [
    ("a,ann,BTC/USDT:USDT,1,60000\na,ann,BTC/USD:BTC,1,60000\n", "a,USDT,5\n", "'a' is of BTC: must stay in USDT"),
    ("a,ann,BTC/USDT:USDT,1,60000\n", "a,BTC,5\n", "'a' is of BTC: must stay in USDT"),
    ("a,ann,BTC/USDT:USDT,1,60000\nb,ann,BTC/USD:BTC,1,60000\n", "a,USDT,5\n", "'ann' has accounts in two assets (a is in USDT, b in BTC)"),
    ("a,ann,BTC/USDT:USDT,1,60000\n", "a,ETH,5\n", "'ETH' is no settlement asset: must be USDT or BTC"),
]


@pytest.mark.parametrize(("accounts", "collateral", "message"), BOOKS)
def test_accounts_in_two_assets_are_refused(folder: Path, tmp_path: Path, accounts: str, collateral: str, message: str) -> None:
    write(tmp_path / "accounts.csv", "account,owner,market,quantity,entry_price\n" + accounts)
    write(tmp_path / "collateral.csv", "account,asset,amount\n" + collateral)
    files = ["--accounts", str(tmp_path / "accounts.csv"), "--collateral", str(tmp_path / "collateral.csv")]
    told = runner.invoke(app, ["replay", "--venue", str(VENUE), "--prices", str(folder / "prices.csv"), *files])
    assert told.exit_code == FAILED
    assert message in told.stderr
