"""A venue file of two assets: what names its asset, and what cannot be of two."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.config import ConfigError, SeveralAssetsError, parse_venue
from backstop.config.changes import way_between
from backstop.config.render import venue_toml
from backstop.core.instruments import NO_CAP, AssetRules

FILE = Path(__file__).parents[2] / "docs" / "examples" / "venue-two-assets.toml"
TEXT = FILE.read_text(encoding="utf-8")

#: What is written instead of what, and how the finding begins.
BAD = [
    (
        "stage",
        'stage = "closeout"',
        'stage = "closeout"\nminimum_notional = 7',
        "waterfall[1].minimum_notional (closeout) = 7: an amount is of",
    ),
    ("owner", 'stage = "fund"', 'stage = "fund"\nowner_loss_max = 7', "waterfall[3].owner_loss_max (fund) = 7: an amount is of one asset"),
    (
        "parts",
        'stage = "adl"',
        'stage = "adl"\nparts_min_notional = 7',
        "waterfall[4].parts_min_notional (adl) = 7: an amount is of one asset",
    ),
    (
        "deficit",
        '[[group]]\nname = "dollars"',
        '[breakers]\ndeficit_halt = 7\n[[group]]\nname = "dollars"',
        "breakers.deficit_halt = 7: an",
    ),
    (
        "flow",
        '[[group]]\nname = "dollars"',
        '[breakers]\nflow_halt = 7\n[[group]]\nname = "dollars"',
        "breakers.flow_halt = 7: must be left",
    ),
    (
        "venue",
        'stage = "closeout"',
        'stage = "closeout"\nvenue_notional_max = 7',
        "waterfall[1].venue_notional_max (closeout) = 7: must be left out",
    ),
    ("no asset", 'asset = "USDT"\n', "", "group[0].asset (dollars): must name an asset: the file has USDT, BTC"),
    ("other", 'asset = "USDT"\n', 'asset = "USDC"\n', 'group[0].asset (dollars) = "USDC": must name an asset'),
    ("no group", 'asset = "BTC"\nopening', 'asset = "USDT"\nopening', 'asset[1].name = "BTC": no market group is of it'),
    (
        "provider",
        'asset = "BTC"\ncapital',
        'asset = "USDT"\ncapital',
        'provider[0].commitment[0].group (coin desk) = "coins": must be a group of',
    ),
    ("market", 'group = "coins"\nprice_tick', 'group = "dollars"\nprice_tick', 'market[1].symbol = "BTC/USD:BTC": must be BASE/USDT:USDT'),
    ("twice", 'name = "BTC"\ndecimals', 'name = "USDT"\ndecimals', 'asset[1].name = "USDT": is already at asset[0]'),
    ("dust", '"0.002"', '"0.000000001"', "asset[1].minimum_notional (BTC) = 0.000000001: must be whole atoms of BTC"),
    ("misspelt", "decimals = 8", "decimal = 8", "asset[1].decimal (BTC) = 8: unknown key: did you mean `decimals`?"),
]


def test_each_amount_is_in_the_atoms_of_its_asset() -> None:
    venue = parse_venue(TEXT)
    dollars, coins = venue.rules.assets
    assert [asset.name for asset in venue.assets] == ["USDT", "BTC"]
    assert dollars == AssetRules(100 * 10**6, 2_000_000 * 10**6, 50_000 * 10**6)
    assert coins == AssetRules(200_000, 40 * 10**8, 10**8)
    assert venue.rules.closeout.venue_notional_max == NO_CAP
    assert [fund.asset for fund in venue.rules.funds] == [market.settlement_asset for market in venue.rules.markets] == [0, 1]
    assert venue.fund_opening_atoms == (250_000 * 10**6, 5 * 10**8)
    assert venue.rules.providers[0].asset == 1
    assert venue.providers[0].capital_atoms == 20 * 10**8


@pytest.mark.parametrize(("old", "new", "finding"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_cannot_be_of_two_assets_is_refused(old: str, new: str, finding: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        parse_venue(TEXT.replace(old, new, 1))
    found = [str(each) for each in caught.value.findings]
    assert any(text.startswith(finding) for text in found), found


def test_a_resolved_file_reads_back_as_the_same_venue() -> None:
    venue = parse_venue(TEXT)
    assert parse_venue(venue_toml(venue.resolved)).hash == venue.hash


def test_a_rule_of_an_asset_changes_while_the_venue_runs_and_an_asset_never_does() -> None:
    old = parse_venue(TEXT)
    way = way_between(old, parse_venue(TEXT.replace("owner_loss_max = 1\n", "owner_loss_max = 2\n")))
    assert way.is_whole
    assert [(step.rule.key, step.entry, step.new_value) for step in way.steps] == [("asset.owner_loss_max", 1, 2 * 10**8)]
    renamed = way_between(old, parse_venue(TEXT.replace("decimals = 6", "decimals = 7")))
    assert "asset" in renamed.others


def test_money_of_several_assets_is_never_shown_in_one() -> None:
    venue = parse_venue(TEXT)
    with pytest.raises(SeveralAssetsError, match=r"venue two-assets has 2, USDT, BTC"):
        venue.need_one_asset("this")
    assert [venue.asset_of_group(group).name for group in (0, 1)] == ["USDT", "BTC"]
    assert (venue.asset_of_market(1).name, venue.asset_of_provider(0).name) == ("BTC", "BTC")
    assert venue.asset_number("BTC") == 1
    with pytest.raises(KeyError, match="unknown asset ETH: the venue has USDT, BTC"):
        venue.asset_number("ETH")


def test_one_asset_has_its_amounts_in_the_stages() -> None:
    one = "[asset]\nname = 'USDT'\ndecimals = 6\nminimum_notional = 5\n"
    with pytest.raises(ConfigError) as caught:
        parse_venue(one)
    assert any(str(each).startswith("asset.minimum_notional = 5: is for a file with [[asset]]") for each in caught.value.findings)
