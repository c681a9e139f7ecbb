"""Scenario files: every pin has a source, at most 20 a market, in order; a mistake is named."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from backstop.markets.scenarios import PINS_MAX, ScenarioError, load_scenario, parse_scenario, scenario, scenario_names

GOOD = """
name = "small"
title = "A small fall"
start = 2025-01-01T00:00:00Z
end = 2025-01-01T00:01:00Z
depth = [[2025-01-01T00:00:00Z, 1000000, "here"], [2025-01-01T00:01:00Z, 500000, "here"]]
[sources]
here = "made up"
[[markets]]
symbol = "BTC/USDT:USDT"
pins = [[2025-01-01T00:00:00Z, "100.5", "here", "open"], [2025-01-01T00:01:00Z, "90", "here", "close"]]
"""


@pytest.mark.parametrize("name", scenario_names())
def test_a_bundled_scenario_is_facts_with_sources(name: str) -> None:
    crash = scenario(name)
    assert crash.name == name
    assert crash.title
    for market in crash.markets:
        assert 2 <= len(market.pins) <= PINS_MAX
        times = [pin.time_ns for pin in market.pins]
        assert all(low < high for low, high in pairwise(times))
        assert all(crash.sources[pin.source] and pin.what and pin.price > 0 for pin in market.pins)
    assert all(crash.sources[pin.source] for pin in crash.depth)


def test_2025_10_10_has_ten_markets_with_the_lows_of_the_crash_table() -> None:
    crash = scenario("2025-10-10")
    assert len(crash.markets) == 10
    lows = {"BTC": "101516.5", "ETH": "3400", "SOL": "141.28", "XRP": "1.1792", "DOGE": "0.08385"}
    lows |= {"HYPE": "21.029", "BNB": "864.2", "ADA": "0.2704", "AVAX": "8.218", "AAVE": "79.81"}
    assert {m.symbol.partition("/")[0]: min(pin.price for pin in m.pins) for m in crash.markets} == {k: Decimal(v) for k, v in lows.items()}
    assert min(pin.depth_ppm for pin in crash.depth) == 20_000


def test_the_bundled_scenarios() -> None:
    assert scenario_names() == ("2020-03-12", "2021-05-19", "2025-10-10")
    with pytest.raises(KeyError, match="unknown scenario 2008: must be one of 2020-03-12, 2021-05-19, 2025-10-10"):
        scenario("2008")
    with pytest.raises(KeyError, match="has no market X: it has BTC/USDT:USDT"):
        scenario("2021-05-19").pins_of("X")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(GOOD)
    crash = load_scenario(path)
    assert crash.end_ns - crash.start_ns == 60 * 10**9
    assert crash.pins_of("BTC/USDT:USDT")[0].price == Decimal("100.5")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A small fall"', 'titel = "x"', "titel: unknown key"),
        ('title = "A small fall"', "", "title: missing"),
        ('symbol = "BTC', 'color = "red"\nsymbol = "BTC', r"markets\[0\].color: unknown key"),
        ('"100.5"', '"-1"', r"markets\[0\].pins\[0\] = '-1': must be above 0"),
        ('"100.5"', '"NaN"', r"must be above 0"),
        ('"100.5"', '"ten"', r"must be a decimal number"),
        ('"100.5"', "100.5", r"must be a text"),
        ('"90", "here"', '"90", "there"', r"pins\[1\]: source 'there': must be one of here"),
        ("00:01:00Z, 500000", "00:01:00Z, -5", r"depth\[1\]: depth_ppm = -5: must be a whole number from 0"),
        ('00:01:00Z, "90"', '00:00:00Z, "90"', r"pins\[1\]: time is not after"),
        ('00:01:00Z, "90"', '00:00:30Z, "90"', r"first row must be at `start` and the last at `end`"),
        ("start = 2025-01-01T00:00:00Z", "start = 2025-01-01T00:00:00", r"start = .*: must be a TOML date and time with its zone"),
        ('"here", "close"', '"here"', r"markets\[0\].pins: must be a list of rows of 4 values"),
        ("[sources]", "[sources", "not TOML"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ScenarioError, match=message):
        parse_scenario(GOOD.replace(old, new))


def test_more_than_twenty_pins_are_refused() -> None:
    rows = ", ".join(f'[2025-01-01T00:00:{n:02d}Z, "1", "here", "x"]' for n in range(21))
    text = GOOD[: GOOD.index("pins = ")] + f"pins = [{rows}]"
    with pytest.raises(ScenarioError, match=r"pins has 21 rows: must have at most 20"):
        parse_scenario(text)
