"""Price files: what becomes of good ones, to the tick, and what is said of bad ones."""

from __future__ import annotations

import gzip
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.events import NONE, EventKind
from backstop.feeds.bars import walk_bars
from backstop.feeds.errors import FeedError
from backstop.feeds.prices import Prices, read_prices
from tests.feeds.samples import BTC, ETH, MINUTE, SECOND, START, small_venue, write

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

MARKS = f"""time,market,mark,index,volume
2025-10-10T21:00:00Z,{BTC},121000.1,121000.2,1.5
2025-10-10T21:00:01Z,{BTC},120000.0,,2.0019
2025-10-10T21:00:00Z,{ETH},4300.25,4300,
2025-10-10T21:00:01Z,{ETH},4200,,
"""
BARS = f"""time,market,open,high,low,close,volume
2025-10-10T21:00:00Z,{BTC},100,130,70,120,6
2025-10-10T21:01:00Z,{BTC},120,130,90,100,5
2025-10-10T21:02:00Z,{BTC},100,100,100,100,0
"""


def read(tmp_path: Path, text: str, **options: Any) -> Prices:
    return read_prices(write(tmp_path / "prices.csv", text), small_venue(), **options)


def rows(prices: Prices) -> list[tuple[int, str, int, int]]:
    """(nanoseconds since the start, kind, market, value) of each event."""
    found = []
    for event in prices.events:
        value = int(event["lots"]) if event["kind"] == EventKind.VOLUME else int(event["price_ticks"])
        found.append((int(event["time_ns"]) - START, EventKind(int(event["kind"])).name, int(event["market"]), value))
    return found


def test_marks_become_events_in_order_of_time_and_market(tmp_path: Path) -> None:
    prices = read(tmp_path, MARKS)
    assert rows(prices) == [
        (0, "INDEX", 0, 1_210_002),
        (0, "VOLUME", 0, 1500),
        (0, "MARK", 0, 1_210_001),
        (0, "INDEX", 1, 17_200),
        (0, "MARK", 1, 17_201),
        (SECOND, "VOLUME", 0, 2001),
        (SECOND, "MARK", 0, 1_200_000),
        (SECOND, "MARK", 1, 16_800),
    ]
    assert set(prices.events["account"].tolist()) == {NONE}
    btc = prices.markets[0]
    assert (btc.first_mark_ticks, btc.first_index_ticks, btc.rows) == (1_210_001, 1_210_002, 2)
    assert (btc.volumes_rounded, btc.volume_error_max) == (1, "0.0009")
    assert prices.start_ns == START


def test_parquet_gives_the_same_events_as_csv(tmp_path: Path) -> None:
    arrow = pyarrow
    table = arrow.table(
        {
            "time": arrow.array([START, START + SECOND, START, START + SECOND]).cast(arrow.timestamp("ns", "UTC")),
            "market": arrow.array([BTC, BTC, ETH, ETH]).dictionary_encode(),
            "mark": [121000.1, 120000.0, 4300.25, 4200.0],
            "index": [121000.2, None, 4300.0, None],
            "volume": arrow.array([Decimal("1.5000"), Decimal("2.0019"), None, None]),
        }
    )
    parquet.write_table(table, tmp_path / "prices.parquet")
    assert np.array_equal(read_prices(tmp_path / "prices.parquet", small_venue()).events, read(tmp_path, MARKS).events)


@pytest.mark.parametrize("kind", ["s", "ms", "us", "ns"])
def test_parquet_times_of_every_unit(tmp_path: Path, kind: str) -> None:
    times = pyarrow.array([START, START + SECOND]).cast(pyarrow.timestamp("ns", "UTC")).cast(pyarrow.timestamp(kind, "UTC"))
    parquet.write_table(pyarrow.table({"time": times, "market": [BTC, BTC], "mark": [1.0, 2.0]}), tmp_path / "p.parquet")
    assert [time for time, *_ in rows(read_prices(tmp_path / "p.parquet", small_venue()))] == [0, SECOND]


def test_single_floats_are_read_by_their_own_shortest_decimal(tmp_path: Path) -> None:
    table = pyarrow.table({"time": [START], "market": [BTC], "mark": pyarrow.array([100.1], pyarrow.float32())})
    parquet.write_table(table, tmp_path / "p.parquet")
    prices = read_prices(tmp_path / "p.parquet", small_venue())
    assert rows(prices) == [(0, "MARK", 0, 1001)]
    assert prices.markets[0].prices_rounded == 0


@pytest.mark.parametrize(
    "text",
    [
        "2025-10-10T21:00:00Z",
        "2025-10-10T21:00:00+00:00",
        "2025-10-10 21:00:00",
        "2025-10-10T21:00",
        "2025-10-10T21:00:00.000000000Z",
        "1760130000000000000",
    ],
)
def test_every_spelling_of_a_time(tmp_path: Path, text: str) -> None:
    assert rows(read(tmp_path, f"time,market,mark\n{text},{BTC},5\n")) == [(0, "MARK", 0, 50)]


def test_quantising_rounds_to_the_nearest_tick_halves_to_even_and_reports(tmp_path: Path) -> None:
    lines = [f"{START + place},{BTC},{mark}" for place, mark in enumerate(["10.05", "10.15", "10.1", "10.14", "1.00e1"])]
    prices = read(tmp_path, "time,market,mark\n" + "\n".join(lines))
    assert prices.events["price_ticks"].tolist() == [100, 102, 101, 101, 100]
    assert (prices.markets[0].prices_rounded, prices.markets[0].price_error_max) == (3, "0.05")


@given(st.lists(st.decimals("0.06", "999999", allow_nan=False, places=None), min_size=1, max_size=40))
def test_text_is_quantised_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[Decimal]) -> None:
    values = [value for value in values if abs(value.as_tuple().exponent) <= 40 and value >= Decimal("0.06")]  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("exact")
    lines = [f"{START + place},{BTC},{value}" for place, value in enumerate(values)]
    if not lines:
        return
    prices = read(folder, "time,market,mark\n" + "\n".join(lines))
    exact = [Fraction(value) * 10 for value in values]
    assert prices.events["price_ticks"].tolist() == [round(value) for value in exact]
    assert prices.markets[0].prices_rounded == sum(value.denominator != 1 for value in exact)


@given(st.lists(st.floats(0.06, 999_999.0), min_size=1, max_size=40))
def test_floats_are_quantised_by_their_shortest_decimal(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("floats") / "p.parquet"
    times = [START + place for place in range(len(values))]
    parquet.write_table(pyarrow.table({"time": times, "market": [BTC] * len(values), "mark": values}), path)
    prices = read_prices(path, small_venue())
    exact = [Fraction(Decimal(repr(value))) * 10 for value in values]
    assert prices.events["price_ticks"].tolist() == [round(value) for value in exact]
    assert prices.markets[0].prices_rounded == sum(value.denominator != 1 for value in exact)


def test_bars_are_walked_low_first_when_they_rise(tmp_path: Path) -> None:
    prices = read(tmp_path, BARS, steps=4)
    marks = [(time // SECOND, value) for time, kind, _, value in rows(prices) if kind == "MARK"]
    assert marks == [
        *[(0, 1000), (15, 700), (30, 1300), (45, 1200)],
        *[(60, 1200), (75, 1300), (90, 900), (105, 1000)],
        *[(120, 1000), (135, 1000), (150, 1000), (165, 1000)],
    ]
    volumes = [(time // SECOND, value) for time, kind, _, value in rows(prices) if kind == "VOLUME"]
    # Ahead of the marks that it made, so that a price guard can judge them.
    assert volumes == [(0, 6000), (60, 5000), (120, 0)]
    assert [kind for time, kind, _, _ in rows(prices) if time == 60 * SECOND] == ["VOLUME", "MARK"]
    assert (prices.markets[0].timeframe_ns, prices.report.steps) == (MINUTE, 4)


@given(st.integers(1, 10**6), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(4, 200))
def test_a_walk_stays_in_its_bar_and_touches_its_four_prices(low: int, up: int, start_up: int, close_up: int, steps: int) -> None:
    high = low + up
    start, close = min(low + start_up, high), min(low + close_up, high)
    way = walk_bars(np.array([start]), np.array([high]), np.array([low]), np.array([close]), steps)[0].tolist()
    assert (way[0], way[-1], min(way), max(way)) == (start, close, low, high)
    assert len(way) == steps
    first, second = way[round((steps - 1) / 3)], way[round(2 * (steps - 1) / 3)]
    assert (first, second) == ((low, high) if close >= start else (high, low))


def test_bars_are_widened_to_hold_open_and_close_and_counted(tmp_path: Path) -> None:
    text = f"time,market,open,high,low,close\n{START},{BTC},90,110,100,105\n{START + MINUTE},{BTC},105,110,100,115\n"
    prices = read(tmp_path, text, steps=4)
    assert [value for *_, value in rows(prices)] == [900, 900, 1100, 1050, 1050, 1000, 1150, 1150]
    assert prices.markets[0].bars_widened == 2


def test_missing_bars_are_counted(tmp_path: Path) -> None:
    times = [START + minute * MINUTE for minute in (0, 1, 2, 5)]
    prices = read(tmp_path, "time,market,open,high,low,close\n" + "\n".join(f"{time},{BTC},9,9,9,9" for time in times))
    assert prices.markets[0].bars_missing == 2


def test_each_market_has_its_own_timeframe_and_a_column_or_an_option_decides(tmp_path: Path) -> None:
    head = "time,market,open,high,low,close"
    bars = [f"{START + place * MINUTE},{BTC},9,9,9,9" for place in range(3)] + [
        f"{START + 5 * place * MINUTE},{ETH},9,9,9,9" for place in range(3)
    ]
    found = read(tmp_path, "\n".join([head, *bars])).markets
    assert [found[number].timeframe_ns for number in (0, 1)] == [MINUTE, 5 * MINUTE]
    column = read(tmp_path, f"{head},timeframe\n{START},{BTC},9,9,9,9,15m\n", steps=4)
    assert [time for time, *_ in rows(column)] == [0, 225 * SECOND, 450 * SECOND, 675 * SECOND]
    option = read(tmp_path, f"{head}\n{START},{BTC},9,9,9,9\n", timeframe_ns=MINUTE)
    assert option.markets[0].timeframe_ns == MINUTE


def test_start_and_end_cut_rows_and_say_so(tmp_path: Path) -> None:
    prices = read(tmp_path, BARS, steps=4, start_ns=START + MINUTE, end_ns=START + 2 * MINUTE)
    assert [time // SECOND for time, kind, *_ in rows(prices) if kind == "MARK"] == [60, 75, 90, 105]
    assert (prices.report.rows, prices.report.rows_cut, prices.markets[0].first_mark_ticks) == (3, 2, 1200)
    marks = read(tmp_path, MARKS, start_ns=START + 1)
    assert {time for time, *_ in rows(marks)} == {SECOND}
    with pytest.raises(FeedError, match=r"has no row between --start and --end: the last of its 4 rows is of 2025-10-10T21:00:01Z"):
        read(tmp_path, MARKS, start_ns=START + MINUTE)


def test_several_files_are_one_stream(tmp_path: Path) -> None:
    first = write(tmp_path / "one.csv", f"time,market,mark\n{START},{BTC},5\n")
    second = write(tmp_path / "two.csv", f"time,market,mark\n{START + 1},{BTC},6\n{START},{ETH},7\n")
    prices = read_prices([first, second], small_venue())
    assert rows(prices) == [(0, "MARK", 0, 50), (0, "MARK", 1, 28), (1, "MARK", 0, 60)]
    with pytest.raises(FeedError, match=r"one\.csv, line 2, column time: .* is out of order for BTC/USDT:USDT"):
        read_prices([second, first], small_venue())


def test_columns_that_are_not_used_are_named_and_times_in_1970_are_warned_of(tmp_path: Path) -> None:
    prices = read(tmp_path, f"time,market,mark,note\n1760130000000,{BTC},5,hello\n")
    assert prices.report.columns_ignored == ("note",)
    assert "1970" in prices.report.warnings[0]


HEAD = "time,market,mark\n"
GOOD = f"2025-10-10T21:00:00Z,{BTC},5\n"

BAD = [
    (
        "missing_column",
        f"time,market\n{START},{BTC}\n",
        "prices.csv: has no prices: must have the column mark, or open, high, low, close; it has time, market",
    ),
    ("missing_time", f"market,mark\n{BTC},5\n", "prices.csv: column time is missing: the file has market, mark"),
    ("missing_low", f"time,market,open,high,close\n{START},{BTC},1,1,1\n", "column low is missing"),
    ("both_forms", f"time,market,mark,open,high,low,close\n{START},{BTC},1,1,1,1,1\n", "has both a mark and bars"),
    ("column_twice", f"time,market,mark,mark\n{START},{BTC},1,1\n", "has the column 'mark' twice"),
    ("nan", f"{HEAD}{START},{BTC},NaN\n", "prices.csv, line 2, column mark: 'NaN' is no finite number: must be a number above 0"),
    ("infinite", f"{HEAD}{START},{BTC},-inf\n", "line 2, column mark: '-inf' is no finite number"),
    ("no_number", f"{HEAD}{GOOD}{START + SECOND},{BTC},12a\n", "line 3, column mark: '12a' is no number: must be a number above 0"),
    ("underscore", f"{HEAD}{START},{BTC},1_000\n", "line 2, column mark: '1_000' is no usable number"),
    ("huge_exponent", f"{HEAD}{START},{BTC},1e999999999\n", "line 2, column mark: '1e999999999' is no usable number"),
    ("other_digits", f"{HEAD}{START},{BTC},٣\n", "line 2, column mark: '٣' is no number"),
    ("empty_mark", f"{HEAD}{START},{BTC},\n", "line 2, column mark: is missing: must be a number above 0"),
    ("negative", f"{HEAD}{START},{BTC},-5\n", "line 2, column mark: '-5' is negative: must be a number above 0"),
    ("zero", f"{HEAD}{START},{BTC},0.00\n", "line 2, column mark: '0.00' is zero: must be a number above 0"),
    ("below_half_a_tick", f"{HEAD}{START},{BTC},0.01\n", "line 2, column mark: '0.01' is nearer to 0 than to one step of 0.1"),
    ("above_price_max", f"{HEAD}{START},{BTC},1000000.1\n", "line 2, column mark: '1000000.1' is too large: must be at most 1000000"),
    ("beyond_64_bits", f"{HEAD}{START},{BTC},99999999999999999999999\n", "is too large: must be at most 1000000"),
    (
        "negative_volume",
        f"time,market,mark,volume\n{START},{BTC},5,-1\n",
        "line 2, column volume: '-1' is negative: must be a number, 0 or more",
    ),
    (
        "volume_overflow",
        f"time,market,mark,volume\n{START},{BTC},5,1e10\n",
        "column volume: '1e10' is too large: must be at most 1099511627.776",
    ),
    (
        "unordered",
        f"{HEAD}{START + 1},{BTC},5\n{START},{BTC},6\n",
        "line 3, column time: '2025-10-10T21:00:00Z' is out of order for BTC/USDT:USDT",
    ),
    (
        "duplicate",
        f"{HEAD}{GOOD}2025-10-10T21:00:00Z,{ETH},5\n{GOOD}",
        "line 4, column time: '2025-10-10T21:00:00Z' is listed twice for BTC/USDT:USDT",
    ),
    (
        "unknown_market",
        f"{HEAD}{START},BTC-PERP,5\n",
        "column market: 'BTC-PERP' is an unknown market: must be one of the venue's: BTC/USDT:USDT, ETH",
    ),
    ("empty_market", f"{HEAD}{START},,5\n", "line 2, column market: the market is missing"),
    ("empty_time", f"{HEAD},{BTC},5\n", "line 2, column time: the time is missing: must be UTC in ISO 8601"),
    ("bad_time", f"{HEAD}yesterday,{BTC},5\n", "line 2, column time: 'yesterday' is no usable time: must be UTC in ISO 8601"),
    ("no_such_day", f"{HEAD}2025-02-30T00:00:00Z,{BTC},5\n", "is no usable time: is no date and time"),
    ("other_zone", f"{HEAD}2025-10-10T21:00:00+02:00,{BTC},5\n", "is no usable time: is in another time zone"),
    ("far_future", f"{HEAD}9999-01-01,{BTC},5\n", "must lie in the years 1970 to 2115"),
    ("low_above_high", f"time,market,open,high,low,close\n{START},{BTC},7,5,10,7\n", "line 2, column low: '10' is above the bar's high 5"),
    (
        "one_bar",
        f"time,market,open,high,low,close\n{START},{BTC},7,7,7,7\n",
        "has one bar only of BTC/USDT:USDT: its span cannot be inferred",
    ),
    (
        "mixed_timeframes",
        "time,market,open,high,low,close\n" + "".join(f"{START + at * MINUTE},{BTC},7,7,7,7\n" for at in (0, 3, 6, 7)),
        "line 5, column time: '2025-10-10T21:07:00Z' begins before the bar of BTC/USDT:USDT ahead of it ends",
    ),
    (
        "timeframe_changes",
        f"time,market,open,high,low,close,timeframe\n{START},{BTC},7,7,7,7,1m\n{START + MINUTE},{BTC},7,7,7,7,5m\n",
        "line 3, column timeframe: '300s' differs from the market's bars before",
    ),
    (
        "bad_timeframe",
        f"time,market,open,high,low,close,timeframe\n{START},{BTC},7,7,7,7,5x\n",
        "column timeframe: '5x' is an unknown timeframe",
    ),
    ("short_row", f"{HEAD}{GOOD}{START}\n", "prices.csv, line 3: has 1 cells: must have 3, one for each column"),
    ("unclosed_quote", f'{HEAD}"{START},{BTC},5\n', "is not CSV"),
    ("empty_file", "", "prices.csv: is empty: must begin with a line of column names"),
    ("no_rows", HEAD, "prices.csv: has no rows of data"),
]


@pytest.mark.parametrize(("text", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_file_is_refused_with_place_value_and_what_would_be_right(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FeedError) as refused:
        read(tmp_path, text)
    assert message in str(refused.value)


def test_an_error_carries_its_place(tmp_path: Path) -> None:
    with pytest.raises(FeedError) as refused:
        read(tmp_path, f"{HEAD}\n{GOOD}\n\n{START + SECOND},{BTC},x\n")
    assert (refused.value.row, refused.value.line, refused.value.column, refused.value.value) == (2, 6, "mark", "x")


BAD_COLUMNS = [
    ("nan", {"mark": [1.0, float("nan")]}, "p.parquet, row 2, column mark: 'nan' is no finite number: must be a number above 0"),
    ("null", {"mark": [None, 1.0]}, "p.parquet, row 1, column mark: is missing"),
    ("negative", {"mark": [1.0, -2.5]}, "p.parquet, row 2, column mark: '-2.5' is negative"),
    ("zero", {"mark": [0, 1]}, "row 1, column mark: '0' is zero"),
    ("tiny", {"mark": [5e-324, 1.0]}, "row 1, column mark: '5e-324' is "),
    ("enormous", {"mark": [1.0, 1e300]}, "row 2, column mark: '1e+300' is too large"),
    ("bool", {"mark": [True, False]}, "column mark: is of type bool: must be text, a number or a time"),
    ("duplicate", {"time": [START, START], "mark": [1.0, 1.0]}, "row 2, column time: '2025-10-10T21:00:00Z' is listed twice"),
    ("float_time", {"time": [1.5, 2.5], "mark": [1.0, 1.0]}, "column time: holds numbers with decimals"),
    ("negative_time", {"time": [-1, 2], "mark": [1.0, 1.0]}, "row 1, column time: -1 is no usable time"),
    ("number_market", {"market": [0, 1], "mark": [1.0, 1.0]}, "column market: holds numbers: must hold the name of a market"),
    ("null_time", {"time": [None, START], "mark": [1.0, 1.0]}, "row 1, column time: is missing"),
]


@pytest.mark.parametrize(("columns", "message"), [case[1:] for case in BAD_COLUMNS], ids=[case[0] for case in BAD_COLUMNS])
def test_a_bad_parquet_column_is_refused(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    values: dict[str, Any] = {"time": [START, START + 1], "market": [BTC, BTC]} | columns
    parquet.write_table(pyarrow.table(values), tmp_path / "p.parquet")
    with pytest.raises(FeedError) as refused:
        read_prices(tmp_path / "p.parquet", small_venue())
    assert message in str(refused.value)


def test_another_time_zone_is_refused(tmp_path: Path) -> None:
    times = pyarrow.array([START]).cast(pyarrow.timestamp("ns", "Europe/Berlin"))
    parquet.write_table(pyarrow.table({"time": times, "market": [BTC], "mark": [1.0]}), tmp_path / "p.parquet")
    with pytest.raises(FeedError, match="is in time zone Europe/Berlin: must be in UTC"):
        read_prices(tmp_path / "p.parquet", small_venue())


def test_broken_files_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    parquet.write_table(pyarrow.table({"time": [START], "market": [BTC], "mark": [1.0]}), whole)
    packed = gzip.compress(MARKS.encode() * 100)
    for name, data, message in (
        ("cut.parquet", whole.read_bytes()[:-20], "is not a readable Parquet file"),
        ("empty.parquet", b"", "is not a readable Parquet file"),
        ("noise.feather", b"not feather at all", "is not a readable Feather file"),
        ("cut.csv.gz", packed[: len(packed) // 2], "could not be read"),
        ("plain.csv.gz", MARKS.encode(), "could not be read"),
        ("latin.csv", "time,market,mark\n1,Bücher,3\n".encode("latin-1"), "is not UTF-8 text"),
        ("prices.txt", b"", "has an unknown ending: must be one of .csv"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FeedError, match=message):
            read_prices(tmp_path / name, small_venue())
    with pytest.raises(FeedError, match="is not there"):
        read_prices(tmp_path / "absent.csv", small_venue())


def test_gzipped_csv_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(MARKS.encode()))
    assert np.array_equal(read_prices(tmp_path / "p.csv.gz", small_venue()).events, read(tmp_path, MARKS).events)


def test_without_pyarrow_csv_still_works_and_parquet_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(FeedError, match=r"needs pyarrow, which is not installed: pip install 'backstop-liquidator\[data\]'"):
        read_prices(tmp_path / "p.parquet", small_venue())
    assert len(read(tmp_path, MARKS).events) == 8


def test_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(tmp_path, MARKS).events
    monkeypatch.setattr("backstop.feeds.table.CHUNK_ROWS", 1)
    assert np.array_equal(read(tmp_path, MARKS).events, whole)
    with pytest.raises(FeedError, match=r"line 6, column mark: 'x' is no number"):
        read(tmp_path, f"{MARKS}{START + MINUTE},{BTC},x,,\n")


@pytest.mark.parametrize("steps", [3, 3601])
def test_steps_out_of_range_are_refused(tmp_path: Path, steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps = {steps}: must be 4 to 3600"):
        read(tmp_path, BARS, steps=steps)
