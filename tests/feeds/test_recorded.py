"""Recorded market data of other people, read from the folder that BACKSTOP_DATA names: the traps in
it are known.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backstop.config import default_text, parse_venue
from backstop.feeds.exchange import Layout, convert_bars
from backstop.feeds.prices import read_prices
from tests.feeds.samples import BTC

pytestmark = pytest.mark.realdata


def recorded(name: str) -> Path:
    folder = os.environ.get("BACKSTOP_DATA")
    path = Path(folder or ".") / name
    if folder is None or not path.exists():
        pytest.skip(f"{name} is not there: BACKSTOP_DATA names the folder of recorded data")
    return path


def test_bitmex_march_2020_has_1199_bars_that_do_not_hold_their_open(tmp_path: Path) -> None:
    source = recorded("permissive/bars/bitmex_xbtusd_1m_202003_covid.parquet")
    report = convert_bars([source], tmp_path / "out.parquet", layout=Layout.BITMEX, timeframes=["1m"], markets={"XBTUSD": BTC})
    assert (report.rows_written, report.bars_widened) == (44_640, 1_199)
    prices = read_prices(tmp_path / "out.parquet", parse_venue(default_text(), "venue.toml"), steps=4)
    assert (prices.markets[0].bars_widened, prices.markets[0].bars_missing, prices.markets[0].prices_rounded) == (0, 0, 0)


def test_october_2025_is_read_at_the_finest_timeframe_of_each_market(tmp_path: Path) -> None:
    source = recorded("copyleft/bars/binance_usdm_5m_15m_20251008_1014.parquet")
    report = convert_bars([source], tmp_path / "out.csv", layout=Layout.FREQTRADE, timeframes=["5m", "15m"])
    assert report.markets == {
        "DOGE/USDT:USDT": 2016,
        "SOL/USDT:USDT": 2016,
        "BTC/USDT:USDT": 672,
        "ETH/USDT:USDT": 672,
        "XRP/USDT:USDT": 672,
    }
    assert report.rows_other_timeframe == 672
    prices = read_prices(tmp_path / "out.csv", parse_venue(default_text(), "venue.toml"))
    assert sorted(market.symbol for market in prices.markets.values()) == sorted(report.markets)


def test_funding_rates_are_not_read_as_prices(tmp_path: Path) -> None:
    source = recorded("copyleft/bars/binance_usdm_1h_futures_mark_funding_2019_2026.parquet")
    report = convert_bars([source], tmp_path / "out.parquet", layout=Layout.FREQTRADE, timeframes=["1h"], only=[BTC])
    assert report.markets == {BTC: 58_623}
    assert report.rows_other_kind > 0
