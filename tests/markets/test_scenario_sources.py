"""The sources of the pins: the page lists every pin, arithmetic is done again, and recorded figures
are compared with their bars.
"""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.feeds.columns import time_text
from backstop.markets.scenarios import Pin, scenario, scenario_names
from backstop.runs.scenario_page import page_text

ROOT = Path(__file__).parents[2]
MINUTE = 60 * 10**9
BTC = "BTC/USDT:USDT"

_PERCENT = re.compile(r"([+-][\d.]+) %$")
_FALL = re.compile(r"([\d.]+) / \(1 - ([\d.]+) %\)")


def test_the_page_lists_every_pin_of_the_code() -> None:
    page = (ROOT / "docs" / "reference" / "scenarios.md").read_text(encoding="utf-8")
    assert page == page_text(page), "run make generate"
    for name in scenario_names():
        crash = scenario(name)
        section = page.partition(f"### `{name}`")[2].partition("### ")[0]
        for market in crash.markets:
            for pin in market.pins:
                assert f"| {time_text(pin.time_ns)} | {pin.price} | {pin.what} | `{pin.source}` |" in section
        assert all(f"| `{key}` |" in section for key in crash.sources)


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="must have the lines"):
        page_text("# Crash scenarios\n")


def _worked_out(pin: Pin, own: dict[int, Pin], markets: dict[str, dict[int, Pin]], start_ns: int) -> Decimal | None:
    """Do the arithmetic that a pin's ``what`` declares; None for one that is a figure of a bar."""
    half_past, quarter_past, twenty_past = (start_ns + minutes * MINUTE for minutes in (30, 75, 80))
    if pin.what.startswith("as "):
        other = markets[pin.what.removeprefix("as ")]
        return own[half_past].price * other[pin.time_ns].price / other[half_past].price
    fall, percent = _FALL.fullmatch(pin.what), _PERCENT.search(pin.what)
    if fall is not None:
        return Decimal(fall[1]) / (1 - Decimal(fall[2]) / 100)
    if percent is None:
        return None
    base = own[twenty_past if pin.what.startswith("derived price at 21:20") else quarter_past]
    return base.price * (1 + Decimal(percent[1]) / 100)


def test_derived_and_assumed_prices_are_the_arithmetic_that_they_declare() -> None:
    crash = scenario("2025-10-10")
    markets = {market.symbol.partition("/")[0]: {pin.time_ns: pin for pin in market.pins} for market in crash.markets}
    checked = 0
    for own in markets.values():
        for pin in own.values():
            price = _worked_out(pin, own, markets, crash.start_ns)
            assert (price is not None) == (pin.source in ("derived", "assumed")), pin
            if price is not None:
                checked += 1
                exponent = pin.price.as_tuple().exponent
                assert isinstance(exponent, int)
                assert abs(pin.price - price) <= Decimal(1).scaleb(exponent), (pin, price)
    assert checked == 64


# Against the bars themselves


def _bars(name: str) -> list[dict[str, Any]]:
    folder = os.environ.get("BACKSTOP_DATA")
    path = Path(folder or ".") / name
    if folder is None or not path.exists():
        pytest.skip(f"{name} is not there: BACKSTOP_DATA names the folder of recorded data")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def _ns(value: Any) -> int:
    text = str(value).removesuffix("+00:00").removesuffix("Z").replace(" ", "T")
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("2020-03-12", "permissive/bars/bitmex_xbtusd_1m_202003_covid.parquet"),
        ("2021-05-19", "permissive/bars/bitmex_xbtusd_1m_202105_may19.parquet"),
    ],
)
def test_bitmex_pins_are_figures_of_their_minute(name: str, file: str) -> None:
    bars = {_ns(row["timestamp"]) - MINUTE: row for row in _bars(file) if row["symbol"] == "XBTUSD"}
    for pin in scenario(name).pins_of(BTC):
        bar = bars[pin.time_ns // MINUTE * MINUTE]
        assert pin.price == Decimal(str(bar["low" if pin.what == "low" else "open"])), pin


def _figure(pin: Pin) -> str:
    """Return which of a bar's four prices a pin says it is."""
    return next(word for word in ("open", "high", "low", "close") if pin.what.startswith(word))


def _bar_ns(pin: Pin, span_ns: int) -> int:
    """Return the start of the bar that a pin names, ``low of 20:45``, or of the one that begins at
    its time.
    """
    named = re.match(r"\w+ of (\d\d):(\d\d)", pin.what)
    if named is None:
        return pin.time_ns
    day = pin.time_ns // (1440 * MINUTE) * 1440 * MINUTE
    return (day + (int(named[1]) * 60 + int(named[2])) * MINUTE) // span_ns * span_ns


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "coins", "source", "span"),
    [
        ("copyleft/bars/binance_usdm_5m_15m_20251008_1014.parquet", ("SOL", "DOGE"), "binance_5m", ("5m", 5)),
        ("copyleft/bars/binance_usdm_5m_15m_20251008_1014.parquet", ("BTC", "ETH", "XRP"), "binance_15m", ("15m", 15)),
        ("copyleft/bars/binance_usdm_1h_futures_mark_funding_2019_2026.parquet", ("ADA",), "binance_1h", ("1h", 60)),
        ("permissive/funding_oi/multi_venue_candles.parquet", ("HYPE",), "binance_1h", ("1h", 60)),
    ],
)
def test_binance_pins_are_figures_of_their_bars(file: str, coins: tuple[str, ...], source: str, span: tuple[str, int]) -> None:
    bars: dict[tuple[str, int], dict[str, Any]] = {}
    for row in _bars(file):
        coin = str(row.get("symbol", row.get("coin"))).partition("/")[0].partition("_")[0]
        fits = row.get("tf", span[0]) == span[0] and row.get("kind", "futures") == "futures" and row.get("venue", "binance") == "binance"
        if coin in coins and fits:
            bars[coin, _ns(row.get("date", row.get("timestamp")))] = row
    crash, checked = scenario("2025-10-10"), 0
    for coin in coins:
        for pin in crash.pins_of(f"{coin}/USDT:USDT"):
            if pin.source == source:
                bar, figure = bars[coin, _bar_ns(pin, span[1] * MINUTE)], _figure(pin)
                assert pin.price == Decimal(str(bar.get(figure, bar.get(figure[0])))), pin
                checked += 1
    assert checked >= 6
