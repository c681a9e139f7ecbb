"""Bars in others' layouts: their traps, and that what is written is what was read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.feeds.errors import FeedError
from backstop.feeds.exchange import ImportReport, Layout, Stamp, convert_bars
from backstop.feeds.prices import read_prices
from tests.feeds.samples import BTC, ETH, small_venue, write

HEAD = "symbol,tf,date,open,high,low,close,volume\n"
FREQTRADE = f"""{HEAD}BTC,5m,2025-10-10 21:00:00+00:00,100,110,90,105,1.5
BTC,5m,2025-10-10 21:05:00+00:00,105.0,106,104,105,2
BTC,15m,2025-10-10 21:00:00+00:00,100,110,90,105,3.5
ETH,15m,2025-10-10 21:00:00+00:00,40,41,39,40.25,7
"""
BITMEX = """timestamp,symbol,open,high,low,close,trades,volume,homeNotional
2020-03-13T02:34:00Z,XBTUSD,5000,4900,4800,4850,2,31,0.0064
2020-03-13T02:35:00Z,XBTUSD,4850,4900,4800,4850,2,31,0.0064
"""


def convert(
    tmp_path: Path, text: str, *, name: str = "bars.csv", to: str = "out.csv", **options: Any
) -> tuple[ImportReport, list[list[str]]]:
    report = convert_bars([write(tmp_path / name, text)], tmp_path / to, **options)
    with (tmp_path / to).open(newline="") as stream:
        return report, list(csv.reader(stream))


def freqtrade(tmp_path: Path, text: str, *timeframes: str, **options: Any) -> tuple[ImportReport, list[list[str]]]:
    return convert(tmp_path, text, layout=Layout.FREQTRADE, timeframes=timeframes or ("5m",), **options)


def bitmex(tmp_path: Path, text: str, **options: Any) -> tuple[ImportReport, list[list[str]]]:
    return convert(tmp_path, text, layout=Layout.BITMEX, timeframes=("1m",), **options)


def test_the_timeframe_is_chosen_and_the_rest_counted(tmp_path: Path) -> None:
    report, rows = freqtrade(tmp_path, FREQTRADE, "5m")
    assert rows == [
        ["time", "market", "timeframe", "open", "high", "low", "close", "volume"],
        ["2025-10-10T21:00:00Z", BTC, "5m", "100", "110", "90", "105", "1.5"],
        ["2025-10-10T21:05:00Z", BTC, "5m", "105", "106", "104", "105", "2"],
    ]
    assert (report.rows_read, report.rows_written, report.rows_other_timeframe) == (4, 2, 2)
    assert report.notes == ["no bars of 5m, so left out: ETH/USDT:USDT"]


def test_timeframes_are_taken_in_order_of_preference(tmp_path: Path) -> None:
    report, rows = freqtrade(tmp_path, FREQTRADE, "5m", "15m")
    assert [(row[1], row[2]) for row in rows[1:]] == [(BTC, "5m"), (ETH, "15m"), (BTC, "5m")]
    assert report.markets == {BTC: 2, ETH: 1}


def test_only_keeps_the_markets_that_were_named(tmp_path: Path) -> None:
    report, rows = freqtrade(tmp_path, FREQTRADE, "15m", only=[ETH])
    assert [row[1] for row in rows[1:]] == [ETH]
    assert report.rows_other_market == 3


def test_freqtrade_file_names_say_market_timeframe_and_kind(tmp_path: Path) -> None:
    bars = "date,open,high,low,close,volume\n1760130000000000000,1,1,1,1,5\n"
    _, rows = freqtrade(tmp_path, bars, name="ETH_USDT_USDT-5m-futures.csv")
    assert rows[1][:3] == ["2025-10-10T21:00:00Z", ETH, "5m"]
    with pytest.raises(FeedError, match="holds funding_rate, by its name: must hold futures: its column `open` has the funding rate"):
        freqtrade(tmp_path, bars, name="ETH_USDT_USDT-5m-funding_rate.csv")
    with pytest.raises(FeedError, match="does not say which market it is"):
        freqtrade(tmp_path, bars, name="bars.csv")


def test_rows_of_another_kind_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "symbol,kind,date,open,high,low,close,volume\n" + "".join(
        f"BTC,{kind},2025-10-10T{hour}:00:00Z,{price},{price},{price},{price},0\n"
        for kind, hour, price in (("futures", 20, 9), ("funding_rate", 20, 0.0001), ("futures", 21, 8), ("mark", 20, 9))
    )
    report, rows = freqtrade(tmp_path, text, "1h")
    assert [row[3] for row in rows[1:]] == ["9", "8"]
    assert report.rows_other_kind == 2
    report, rows = freqtrade(tmp_path, text, "1h", kind="mark")
    assert len(rows) == 2


def test_bitmex_bars_carry_their_end_and_are_widened(tmp_path: Path) -> None:
    """The outage print of 2020-03-13: stamped 02:34, it is the minute from 02:33."""
    report, rows = bitmex(tmp_path, BITMEX, markets={"XBTUSD": BTC})
    assert rows[1] == ["2020-03-13T02:33:00Z", BTC, "1m", "5000", "5000", "4800", "4850", "0.0064"]
    assert report.bars_widened == 1
    report, rows = bitmex(tmp_path, BITMEX, stamp=Stamp.START)
    assert rows[1][:2] == ["2020-03-13T02:34:00Z", "BTC/USD:BTC"]


def test_bitmex_volume_is_in_base_where_known_and_said_where_not(tmp_path: Path) -> None:
    report, rows = bitmex(tmp_path, BITMEX, volume="volume")
    assert rows[1][-1] == "31"
    without = BITMEX.replace(",homeNotional", "").replace(",0.0064", "")
    report, rows = bitmex(tmp_path, without, markets={"XBTUSD": BTC})
    assert rows[1][-1] == "31"
    (note,) = report.notes
    assert "contracts of 1 USD" in note


def test_bitmex_volume_of_the_inverse_contract_is_in_contracts(tmp_path: Path) -> None:
    """As XBTUSD itself a quantity is in contracts of 1 USD; ETHUSD settles in bitcoin and is none."""
    report, rows = bitmex(tmp_path, BITMEX)
    assert [row[1] for row in rows[1:]] == ["BTC/USD:BTC"] * 2
    assert [row[-1] for row in rows[1:]] == ["31", "31"]
    assert report.notes == []
    _, rows = bitmex(tmp_path, BITMEX.replace("XBTUSD", "ETHUSD"))
    assert [(row[1], row[-1]) for row in rows[1:]] == [("ETH/USD:BTC", "0.0064")] * 2


def test_duplicates_alike_are_dropped_and_others_refused(tmp_path: Path) -> None:
    line = "BTC,5m,2025-10-10 21:00:00,100,110,90,105,1.5\n"
    report, rows = freqtrade(tmp_path, HEAD + line * 3)
    assert (report.duplicates_dropped, len(rows)) == (2, 2)
    with pytest.raises(FeedError, match=r"line 3: '100 110 90 106 1.5' is a second bar of BTC/USDT:USDT at 2025-10-10T21:00:00Z: must be"):
        freqtrade(tmp_path, HEAD + line + line.replace("105", "106"))


def test_parquet_out_reads_as_csv_out(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    freqtrade(tmp_path, FREQTRADE, "5m", "15m")
    convert_bars([tmp_path / "bars.csv"], tmp_path / "out.parquet", layout=Layout.FREQTRADE, timeframes=["5m", "15m"])
    text, table = (read_prices(tmp_path / name, small_venue()) for name in ("out.csv", "out.parquet"))
    assert np.array_equal(text.events, table.events)


def test_feather_in(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    table = arrow.table({"date": arrow.array([1_760_130_000_000]).cast(arrow.timestamp("ms", "UTC"))})
    for name in ("open", "high", "low", "close", "volume"):
        table = table.append_column(name, arrow.array([0.1 + 0.2]))
    feather.write_feather(table, tmp_path / "BTC_USDT_USDT-1h-futures.feather")
    convert_bars([tmp_path / "BTC_USDT_USDT-1h-futures.feather"], tmp_path / "out.csv", layout=Layout.FREQTRADE, timeframes=["1h"])
    assert "2025-10-10T21:00:00Z,BTC/USDT:USDT,1h,0.30000000000000004" in (tmp_path / "out.csv").read_text()


def test_digits_beyond_a_float_survive_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    text = f"{HEAD}BTC,5m,2025-10-10 21:00:00,100,110,90,105,1.123456789012345678901\n"
    convert_bars([write(tmp_path / "bars.csv", text)], tmp_path / "out.parquet", layout=Layout.FREQTRADE, timeframes=["5m"])
    convert_bars([tmp_path / "bars.csv"], tmp_path / "out.csv", layout=Layout.FREQTRADE, timeframes=["5m"])
    errors = {read_prices(tmp_path / name, small_venue()).markets[0].volume_error_max for name in ("out.parquet", "out.csv")}
    assert errors == {"0.000456789012345678901"}


BAD = [
    ("nan", "BTC,5m,2025-10-10 21:00:00,100,nan,90,105,1\n", "line 2, column high: 'nan' is no finite number"),
    ("zero", "BTC,5m,2025-10-10 21:00:00,100,110,0,105,1\n", "line 2, column low: '0' is zero: must be above 0"),
    ("negative", "BTC,5m,2025-10-10 21:00:00,100,110,90,105,-1\n", "line 2, column volume: '-1' is negative: must be 0 or more"),
    ("missing", "BTC,5m,2025-10-10 21:00:00,100,110,,105,1\n", "line 2, column low: is missing: must be a number"),
    ("low_above_high", "BTC,5m,2025-10-10 21:00:00,100,90,110,105,1\n", "line 2, column low: '110' is above the bar's high 90"),
    ("no_symbol", ",5m,2025-10-10 21:00:00,100,110,90,105,1\n", "line 2, column symbol: is missing: must name a market"),
    ("bad_time", "BTC,5m,soon,100,110,90,105,1\n", "line 2, column date: 'soon' is no usable time"),
    ("other_timeframe", "BTC,15m,2025-10-10 21:00:00,1,1,1,1,1\n", "has no bar of 5m: --timeframe must be one that the files hold: 15m"),
    (
        "overlap",
        "BTC,5m,2025-10-10 21:00:00,1,1,1,1,1\nBTC,5m,2025-10-10 21:03:00,1,1,1,1,1\n",
        "has a bar of BTC/USDT:USDT at 2025-10-10T21:03:00Z that begins before the one ahead of it ends",
    ),
]


@pytest.mark.parametrize(("rows", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_bars_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(FeedError) as refused:
        freqtrade(tmp_path, HEAD + rows)
    assert message in str(refused.value)


def test_unknown_names_and_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="'XYZ' has no known symbol: give it one: --market XYZ=BASE/QUOTE:SETTLE"):
        bitmex(tmp_path, BITMEX.replace("XBTUSD", "XYZ"))
    with pytest.raises(FeedError, match="has an unknown ending"):
        bitmex(tmp_path, BITMEX, to="out.xlsx")
    with pytest.raises(FeedError, match="could not be written"):
        bitmex(tmp_path, BITMEX, to="nowhere/out.csv")
    with pytest.raises(FeedError, match="column timestamp is missing"):
        bitmex(tmp_path, FREQTRADE)
