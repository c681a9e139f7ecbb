"""How a venue opens: a fund a group, providers after the accounts and before positions, and room
for them all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backstop.config import Venue
from backstop.core.events import EventKind, Transfer, fund_of
from backstop.feeds.accounts import read_accounts
from backstop.feeds.errors import FeedError
from backstop.feeds.opening import opening_events, provider_opening
from backstop.feeds.prices import read_prices
from backstop.runs.cases import case_of_book
from tests.feeds.samples import BTC, ETH, START, write
from tests.runs.venues import full_venue

ACCOUNTS = f"account,owner,market,quantity,entry_price\nzoe,desk,{BTC},1,100\nadam,desk,{BTC},-1,100\n"
CASH = "account,asset,amount\nzoe,USDT,50\nadam,USDT,50\n"


def opened(tmp_path: Path, venue: Venue, accounts: str = ACCOUNTS, cash: str = CASH) -> list[tuple[str, int, int, int]]:
    """(kind, account, other, amount) of each event of an opening from files."""
    prices = read_prices(write(tmp_path / "p.csv", f"time,market,mark\n{START},{BTC},100\n{START},{ETH},40\n"), venue)
    book = read_accounts(write(tmp_path / "a.csv", accounts), write(tmp_path / "c.csv", cash), venue)
    events = opening_events(venue, book, prices)
    assert events["code"][events["kind"] == EventKind.TRANSFER].tolist().count(Transfer.CASH) == int(
        (events["kind"] == EventKind.TRANSFER).sum()
    )
    return [(EventKind(int(row["kind"])).name, int(row["account"]), int(row["other"]), int(row["amount"])) for row in events]


def test_funds_of_all_groups_then_accounts_then_providers_then_positions(tmp_path: Path) -> None:
    found = opened(tmp_path, full_venue())
    assert found[:2] == [("TRANSFER", fund_of(0), 0, 100_000 * 10**6), ("TRANSFER", fund_of(1), 0, 7_000 * 10**6)]
    assert [kind for kind, *_ in found[2:4]] == ["MARK", "MARK"]
    assert found[4:8] == [("ACCOUNT", 0, 0, 0), ("ACCOUNT", 1, 0, 0), ("TRANSFER", 0, 0, 50 * 10**6), ("TRANSFER", 1, 0, 50 * 10**6)]
    # The next ids, an owner each, the capital, and which provider it is.
    assert found[8:17] == [
        event
        for number, capital in enumerate((600_000, 200_000, 100_000))
        for event in (
            ("ACCOUNT", 2 + number, 1 + number, 0),
            ("TRANSFER", 2 + number, 0, capital * 10**6),
            ("PROVIDER", 2 + number, number, 0),
        )
    ]
    assert [(kind, account) for kind, account, *_ in found[17:]] == [("POSITION", 0), ("POSITION", 1)]


def test_a_fund_or_a_provider_of_nothing_gets_no_deposit(tmp_path: Path) -> None:
    venue = full_venue(fund="0")
    venue = replace(venue, providers=tuple(provider._replace(capital_atoms=0) for provider in venue.providers))
    transfers = [(account, amount) for kind, account, _, amount in opened(tmp_path, venue) if kind == "TRANSFER"]
    assert transfers == [(fund_of(1), 7_000 * 10**6), (0, 50 * 10**6), (1, 50 * 10**6)]


def test_a_venue_without_providers_opens_none() -> None:
    assert len(provider_opening(full_venue(providers=False), 5, 5, START)) == 0


def test_the_names_of_providers_are_kept(tmp_path: Path) -> None:
    venue = full_venue()
    prices = read_prices(write(tmp_path / "p.csv", f"time,market,mark\n{START},{BTC},100\n"), venue)
    book = read_accounts(write(tmp_path / "a.csv", ACCOUNTS), write(tmp_path / "c.csv", CASH), venue)
    names = case_of_book(venue, prices, book).names
    providers = ("provider:first", "provider:second", "provider:vault")
    assert names.accounts == ("zoe", "adam", *providers)
    assert names.owners == ("desk", *providers)


def small(accounts_max: int) -> Venue:
    venue = full_venue()
    return replace(venue, rules=venue.rules._replace(limits=venue.rules.limits._replace(accounts_max=accounts_max)))


def test_accounts_must_leave_room_for_the_providers(tmp_path: Path) -> None:
    assert len([kind for kind, *_ in opened(tmp_path, small(5)) if kind == "ACCOUNT"]) == 5
    message = r"has 2 accounts: the venue allows 1 beside those of its 3 providers: raise limits\.accounts_max in its file"
    with pytest.raises(FeedError, match=message):
        opened(tmp_path, small(4))


@pytest.mark.parametrize(("column", "noun"), [("account", "an account"), ("owner", "an owner")])
def test_nobody_else_has_the_name_of_a_provider(tmp_path: Path, column: str, noun: str) -> None:
    taken = {"account": ("zoe,", "provider:first,"), "owner": (",desk,", ",provider:first,")}[column]
    with pytest.raises(FeedError, match=f"column {column}: 'provider:first' has {noun} with the name of a provider"):
        opened(tmp_path, full_venue(), ACCOUNTS.replace(*taken), CASH.replace("zoe,", "provider:first,") if column == "account" else CASH)


def test_the_ledger_must_hold_funds_and_capital_too(tmp_path: Path) -> None:
    venue = full_venue()
    rich = replace(venue, providers=tuple(provider._replace(capital_atoms=1 << 60) for provider in venue.providers))
    with pytest.raises(FeedError, match="overflows the ledger: funds, providers and all collateral must stay within"):
        opened(tmp_path, rich)
