"""Files of accounts and collateral: what is opened, in which order, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.events import FUND, EventKind, Transfer
from backstop.feeds.accounts import AccountBook, read_accounts
from backstop.feeds.errors import FeedError
from backstop.feeds.opening import opening_events
from backstop.feeds.prices import Prices, read_prices
from tests.feeds.samples import BTC, ETH, START, small_venue, write

HEAD = "account,owner,market,quantity,entry_price\n"
CASH_HEAD = "account,asset,amount\n"
ACCOUNTS = f"""{HEAD}zoe,desk,{BTC},1.5,100.05
adam,adam,{ETH},-2,40
zoe,desk,{ETH},-0.01,41.123
idle,adam,,,
flat,desk,{BTC},0,
"""
CASH = f"{CASH_HEAD}adam,USDT,25.5\nzoe,USDT,1000\nidle,USDT,0.0000019\n"


def read(tmp_path: Path, accounts: str = ACCOUNTS, cash: str = CASH) -> AccountBook:
    return read_accounts(write(tmp_path / "accounts.csv", accounts), write(tmp_path / "collateral.csv", cash), small_venue())


def prices(tmp_path: Path, btc: str = "100", eth: str = "40") -> Prices:
    text = f"time,market,mark,index\n{START},{BTC},{btc},99\n{START + 5},{BTC},1,\n"
    return read_prices(write(tmp_path / "prices.csv", text + (f"{START + 9},{ETH},{eth},\n" if eth else "")), small_venue())


def test_ids_are_dense_in_order_of_first_appearance_and_names_are_kept(tmp_path: Path) -> None:
    book = read(tmp_path)
    assert book.accounts == ("zoe", "adam", "idle", "flat")
    assert book.owners == ("desk", "adam")
    assert book.owner.tolist() == [0, 1, 1, 0]
    assert book.account.tolist() == [0, 1, 0]
    assert book.market.tolist() == [0, 1, 1]
    assert book.lots.tolist() == [1500, -200, -1]
    assert book.cost_atoms.tolist() == [150_075_000, -80_000_000, -411_230]
    assert book.balance_atoms.tolist() == [1_000_000_000, 25_500_000, 1, 0]
    report = book.report
    assert (report.accounts, report.owners, report.positions, report.rows_without_position) == (4, 2, 3, 2)
    assert (report.collateral_rounded, report.collateral_error_max, report.accounts_without_collateral) == (1, "0.0000009", 1)


@given(
    st.lists(
        st.tuples(st.integers(-(10**6), 10**6), st.decimals("0.0001", "999999", allow_nan=False, places=None)), min_size=1, max_size=20
    )
)
def test_cost_is_quantity_times_entry_rounded_once(tmp_path_factory: pytest.TempPathFactory, positions: list[tuple[int, object]]) -> None:
    folder = tmp_path_factory.mktemp("cost")
    positions = [(lots, entry) for lots, entry in positions if lots and len(str(entry)) < 40]
    lines = [f"a{number},o,{BTC},{lots / 1000:.3f},{entry}" for number, (lots, entry) in enumerate(positions)]
    if not lines:
        return
    book = read(folder, HEAD + "\n".join(lines), CASH_HEAD)
    exact = [Fraction(lots, 1000) * Fraction(str(entry)) * 10**6 for lots, entry in positions]
    assert book.cost_atoms.tolist() == [round(value) for value in exact]
    assert book.report.costs_rounded == sum(value.denominator != 1 for value in exact)


def test_the_opening_is_fund_prices_accounts_collateral_positions(tmp_path: Path) -> None:
    events = opening_events(small_venue(), read(tmp_path), prices(tmp_path))
    found = [(EventKind(int(event["kind"])).name, int(event["account"]), int(event["market"])) for event in events]
    assert found[:4] == [("TRANSFER", FUND, -1), ("INDEX", -1, 0), ("MARK", -1, 0), ("MARK", -1, 1)]
    assert found[4:8] == [("ACCOUNT", number, -1) for number in range(4)]
    assert found[8:11] == [("TRANSFER", number, -1) for number in range(3)]
    assert sorted(found[11:]) == [("POSITION", 0, 0), ("POSITION", 0, 1), ("POSITION", 1, 1)]
    assert events["time_ns"].tolist() == [START - 2] * 4 + [START - 1] * (len(events) - 4)
    assert events["amount"][0] == 100_000 * 10**6


def test_an_account_that_is_sound_only_as_a_whole_is_lent_the_rest_while_it_opens(tmp_path: Path) -> None:
    """Long BTC at a loss, short ETH at a gain: alone, the first position would be closed."""
    accounts = f"{HEAD}hedged,o,{BTC},10,200\nhedged,o,{ETH},-20,90\nfine,o,{BTC},1,100\nlost,o,{BTC},1,150\nlast,o,{BTC},-1,100\n"
    cash = f"{CASH_HEAD}hedged,USDT,100\nfine,USDT,50\nlost,USDT,20\nlast,USDT,50\n"
    events = opening_events(small_venue(), read(tmp_path, accounts, cash), prices(tmp_path))
    mine = events[(events["account"] == 0) & (events["kind"] != EventKind.ACCOUNT)]
    assert [EventKind(int(kind)).name for kind in mine["kind"]] == ["TRANSFER", "TRANSFER", "POSITION", "POSITION", "TRANSFER"]
    lent = mine[mine["code"] == Transfer.FUNDING]["amount"]
    assert lent.sum() == 0
    assert lent[0] > 900 * 10**6
    # Who is in default when complete comes last, when the whole opposite side is there.
    order = events[events["kind"] == EventKind.POSITION]["account"].tolist()
    assert order == [0, 0, 1, 3, 2]


def test_a_position_in_a_market_without_a_price_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="has no price of ETH/USDT:USDT: must have one: account adam has a position there"):
        opening_events(small_venue(), read(tmp_path), prices(tmp_path, eth=""))
    alone = read(tmp_path, f"{HEAD}a,o,{BTC},1,100\n", CASH_HEAD)
    events = opening_events(small_venue(), alone, prices(tmp_path, eth=""))
    assert events[events["kind"] == EventKind.MARK]["market"].tolist() == [0]


def test_parquet_gives_the_same_book(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        arrow.table(
            {
                "account": ["zoe", "adam", "zoe", "idle", "flat"],
                "owner": ["desk", "adam", "desk", "adam", "desk"],
                "market": [BTC, ETH, ETH, None, BTC],
                "quantity": [1.5, -2.0, -0.01, None, 0.0],
                "entry_price": [100.05, 40.0, 41.123, None, None],
            }
        ),
        tmp_path / "a.parquet",
    )
    parquet.write_table(
        arrow.table({"account": ["adam", "zoe", "idle"], "asset": ["USDT"] * 3, "amount": [25.5, 1000.0, 0.0000019]}),
        tmp_path / "c.parquet",
    )
    book, same = read_accounts(tmp_path / "a.parquet", tmp_path / "c.parquet", small_venue()), read(tmp_path)
    assert (book.accounts, book.owners, book.report) == (same.accounts, same.owners, same.report)
    for name in ("owner", "balance_atoms", "account", "market", "lots", "cost_atoms"):
        assert np.array_equal(getattr(book, name), getattr(same, name))


def test_numeric_names_of_accounts_are_names(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"account": [7], "owner": [3], "market": [BTC], "quantity": [1.0], "entry_price": [5.0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    book = read_accounts(tmp_path / "a.parquet", write(tmp_path / "c.csv", f"{CASH_HEAD}7,USDT,5\n"), small_venue())
    assert (book.accounts, book.owners, book.balance_atoms.tolist()) == (("7",), ("3",), [5_000_000])


BAD_ACCOUNTS = [
    ("missing_column", f"account,owner,market,quantity\na,o,{BTC},1\n", "accounts.csv: column entry_price is missing"),
    ("off_lot", f"{HEAD}a,o,{BTC},0.0015,100\n", "accounts.csv, line 2, column quantity: '0.0015' is no whole number of steps of 0.001"),
    ("duplicate", f"{HEAD}a,o,{BTC},1,100\na,o,{BTC},2,100\n", "line 3, column account: 'a' has BTC/USDT:USDT twice"),
    (
        "two_owners",
        f"{HEAD}a,o,{BTC},1,100\na,p,{ETH},1,100\n",
        "line 3, column owner: 'p' is a second owner of account a: must be o, as before",
    ),
    (
        "unknown_market",
        f"{HEAD}a,o,XRP,1,100\n",
        "line 2, column market: 'XRP' is an unknown market: must be one of the venue's: BTC/USDT:USDT",
    ),
    ("no_market", f"{HEAD}a,o,,1,100\n", "line 2, column market: the market is missing"),
    ("no_owner", f"{HEAD}a,,{BTC},1,100\n", "line 2, column owner: the owner is missing: must be a name"),
    ("no_account", f"{HEAD},o,{BTC},1,100\n", "line 2, column account: the account is missing: must be a name"),
    ("no_entry", f"{HEAD}a,o,{BTC},1,\n", "line 2, column entry_price: is missing: must be a number above 0"),
    ("negative_entry", f"{HEAD}a,o,{BTC},1,-3\n", "line 2, column entry_price: '-3' is negative"),
    ("zero_entry", f"{HEAD}a,o,{BTC},1,0\n", "line 2, column entry_price: '0' is zero"),
    ("nan_entry", f"{HEAD}a,o,{BTC},1,nan\n", "line 2, column entry_price: 'nan' is no finite number"),
    ("huge_entry", f"{HEAD}a,o,{BTC},1,1000001\n", "column entry_price: '1000001' is too large: must be at most 1000000"),
    ("nan_quantity", f"{HEAD}a,o,{BTC},nan,3\n", "line 2, column quantity: 'nan' is no finite number"),
    ("huge_quantity", f"{HEAD}a,o,{BTC},-1000.001,3\n", "line 2, column quantity: '-1000.001' is too large: must be at most 1000"),
    ("overflow", f"{HEAD}a,o,{BTC},99999999999999999999,3\n", "line 2, column quantity: '99999999999999999999' is too large"),
    ("no_rows", HEAD, "accounts.csv: has no rows of data: must have at least one account"),
    (
        "too_many",
        HEAD + "\n".join(f"a{number},o,,," for number in range(4097)),
        "accounts.csv: has 4097 accounts: the venue allows 4096: raise limits.accounts_max",
    ),
]


@pytest.mark.parametrize(("accounts", "message"), [case[1:] for case in BAD_ACCOUNTS], ids=[case[0] for case in BAD_ACCOUNTS])
def test_bad_accounts_are_refused_by_row(tmp_path: Path, accounts: str, message: str) -> None:
    with pytest.raises(FeedError) as refused:
        read(tmp_path, accounts, CASH_HEAD)
    assert message in str(refused.value)


BAD_COLLATERAL = [
    ("other_asset", "adam,BTC,1\n", "line 2, column asset: 'BTC' is not the settlement asset: must be USDT: other collateral"),
    ("no_asset", "adam,,1\n", "line 2, column asset: '' is not the settlement asset"),
    ("negative", "adam,USDT,-1\n", "line 2, column amount: '-1' is negative: must be a number, 0 or more"),
    ("nan", "adam,USDT,nan\n", "line 2, column amount: 'nan' is no finite number"),
    ("missing", "adam,USDT,\n", "line 2, column amount: is missing"),
    ("unknown", "eve,USDT,1\n", "line 2, column account: 'eve' is an unknown account: must be in"),
    ("twice", "adam,USDT,1\nadam,USDT,1\n", "line 3, column account: 'adam' is listed twice: must be once per account"),
    (
        "too_large",
        "adam,USDT,1152921504606.846977\n",
        "column amount: '1152921504606.846977' is too large: must be at most 1152921504606.846976",
    ),
    (
        "overflow",
        "adam,USDT,1152921504606\nzoe,USDT,1152921504606\nidle,USDT,1\n",
        "line 3, column amount: '1152921504606' overflows the ledger: funds, providers and all collateral"
        " must stay within 2305843009213.6939",
    ),
]


@pytest.mark.parametrize(("cash", "message"), [case[1:] for case in BAD_COLLATERAL], ids=[case[0] for case in BAD_COLLATERAL])
def test_bad_collateral_is_refused_by_row(tmp_path: Path, cash: str, message: str) -> None:
    with pytest.raises(FeedError) as refused:
        read(tmp_path, ACCOUNTS, CASH_HEAD + cash)
    assert message in str(refused.value)
