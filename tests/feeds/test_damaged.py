"""Files that once broke a reader: each is refused in its own words now, or read to the last digit.
Most were found by ``tests.fuzz``.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backstop.feeds.accounts import read_accounts
from backstop.feeds.columns import duration_ns_of
from backstop.feeds.errors import FeedError
from backstop.feeds.exchange import Layout, convert_bars
from backstop.feeds.prices import read_prices
from tests.feeds.samples import BTC, MINUTE, START, small_venue, write

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

LOWEST = -(1 << 63)
ACCOUNTS = "account,owner,market,quantity,entry_price\na,o,{market},{quantity},{entry}\n"
COLLATERAL = "account,asset,amount\na,USDT,{amount}\n"


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(FeedError) as caught:
        read_prices(path, small_venue(), **options)
    return str(caught.value)


def table(path: Path, **columns: Any) -> Path:
    rows = len(next(iter(columns.values())))
    times = arrow.array([START + MINUTE * number for number in range(rows)]).cast(arrow.timestamp("ns", "UTC"))
    whole = arrow.table({"time": times, "market": [BTC] * rows, **columns})
    if path.suffix == ".feather":
        with arrow.ipc.new_file(path, whole.schema) as file:
            file.write_table(whole)
    else:
        parquet.write_table(whole, path)
    return path


@pytest.mark.parametrize("head", ["time,market,mark,index", "time,market,mark,volume", "time,market,open,high,low,close,volume"])
def test_a_header_without_rows(tmp_path: Path, head: str) -> None:
    assert "has no rows of data" in refused(write(tmp_path / "prices.csv", head + "\n"))


def test_the_lowest_whole_number_is_not_taken_for_a_small_one(tmp_path: Path) -> None:
    path = table(tmp_path / "prices.parquet", mark=[121_000.5], volume=arrow.array([LOWEST], arrow.int64()))
    assert "row 1, column volume: -9223372036854775808 is negative" in refused(path).replace("'", "")
    accounts = tmp_path / "accounts.parquet"
    rows = {"account": ["a"], "owner": ["o"], "market": [BTC], "quantity": arrow.array([LOWEST], arrow.int64()), "entry_price": [1.0]}
    parquet.write_table(arrow.table(rows), accounts)
    with pytest.raises(FeedError, match=r"column quantity: .* is too large"):
        read_accounts(accounts, write(tmp_path / "collateral.csv", COLLATERAL.format(amount=1)), small_venue())


@pytest.mark.parametrize("text", ["0." + "3" * 4_400, "1" + "0" * 5_000, "1" + "0" * 5_000 + ".5", "0." + "0" * 60 + "1"])
def test_a_number_of_endless_digits(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "prices.csv", f"time,market,mark,volume\n2025-10-10T21:00:00Z,{BTC},121000,{text}\n")
    assert "column volume" in refused(path)
    assert "is no usable number" in refused(path)


def test_a_quantity_next_to_nothing_is_no_missing_position(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.parquet"
    rows = {"account": ["a"], "owner": ["o"], "market": [BTC], "quantity": [1e-48], "entry_price": [121_000.0]}
    parquet.write_table(arrow.table(rows), accounts)
    with pytest.raises(FeedError, match=r"column quantity: .*1e-48.* is no usable number"):
        read_accounts(accounts, write(tmp_path / "collateral.csv", COLLATERAL.format(amount=1)), small_venue())


def test_a_timeframe_of_millennia(tmp_path: Path) -> None:
    bars = f"time,market,open,high,low,close,timeframe\n2025-10-10T21:00:00Z,{BTC},100,110,90,105,999999w\n"
    assert "'999999w' is an unknown timeframe" in refused(write(tmp_path / "prices.csv", bars))
    with pytest.raises(ValueError, match="must be less than 146 years"):
        duration_ns_of("999999w")


def test_a_bar_that_ends_when_the_engine_has_no_time_left(tmp_path: Path) -> None:
    bars = f"time,market,open,high,low,close,timeframe\n4611686018427387903,{BTC},100,110,90,105,1h\n"
    assert "begins a bar that ends too late: must end before 2116" in refused(write(tmp_path / "prices.csv", bars))


def test_text_that_points_beyond_its_file(tmp_path: Path) -> None:
    """An offset that leads outside of the file: pyarrow hands it on, and a careless look at it ends
    the process.
    """
    path = table(tmp_path / "prices.feather", mark=[121_000.5, 121_000.0])
    sound = b"".join(place.to_bytes(4, "little") for place in (0, len(BTC), 2 * len(BTC)))
    whole = path.read_bytes()
    assert whole.count(sound) == 1
    path.write_bytes(whole.replace(sound, sound[:8] + (1 << 30).to_bytes(4, "little")))
    assert "column market: does not fit" in refused(path)


def test_a_column_name_that_is_no_text(tmp_path: Path) -> None:
    path = table(tmp_path / "prices.feather", mark=[121_000.5], notes=[1.0])
    path.write_bytes(path.read_bytes().replace(b"notes", b"no\xf2es"))
    assert "is not a readable Feather file" in refused(path)


def test_a_parquet_file_whose_column_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage can make a reader pass over rows without a word: what was read is counted against what
    the file says.
    """
    path = table(tmp_path / "prices.parquet", mark=[121_000.5, 121_000.0])
    whole = parquet.ParquetFile.iter_batches

    def cut(file: Any, *given: Any, **named: Any) -> Any:
        for batch in whole(file, *given, **named):
            yield batch.slice(0, 1)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", cut)
    assert "has 1 whole rows, and says it has 2" in refused(path)


def test_a_refusal_is_no_longer_than_people_read(tmp_path: Path) -> None:
    said = refused(write(tmp_path / "prices.csv", f"time,market,{'m' * 70_000}\n"))
    assert said.startswith(f"{tmp_path}/prices.csv: has no prices")
    assert len(said) < 2_000


# Bars in others' layouts

BITMEX = "timestamp,symbol,tf,open,high,low,close,homeNotional\n2020-03-13T02:34:00Z,XBTUSD,{tf},5000,5000,4800,4850,{volume}\n"
FREQTRADE = "symbol,tf,date,open,high,low,close,volume\n{symbol},5m,2025-10-10 21:00:00,100,110,90,105,1.5\n"


@pytest.mark.parametrize("timeframe", ["", "5x", "0m", "999999w"])
def test_a_bitmex_bar_of_no_timeframe(tmp_path: Path, timeframe: str) -> None:
    path = write(tmp_path / "bars.csv", BITMEX.format(tf=timeframe, volume=1))
    with pytest.raises(FeedError, match=r"line 2, column tf: .* is no timeframe: must be"):
        convert_bars([path], tmp_path / "out.csv", layout=Layout.BITMEX, timeframes=["1m"])


@pytest.mark.parametrize("symbol", ["_", "BTC_", "_USDT", '"B\rTC"', '"BTC/US\nDT:USDT"', "B TC"])
def test_a_symbol_of_which_half_is_missing_or_that_breaks_a_line(tmp_path: Path, symbol: str) -> None:
    path = write(tmp_path / "bars.csv", FREQTRADE.format(symbol=symbol))
    with pytest.raises(FeedError, match=r"column symbol: .* is no name of a market"):
        convert_bars([path], tmp_path / "out.csv", layout=Layout.FREQTRADE, timeframes=["5m"])


@pytest.mark.parametrize("volume", ["9999999999999999", "9007199254740993", "0.1234567890123456"])
def test_no_digit_is_lost_on_the_way_to_parquet(tmp_path: Path, volume: str) -> None:
    path = write(tmp_path / "bars.csv", BITMEX.format(tf="1m", volume=volume))
    convert_bars([path], tmp_path / "out.parquet", layout=Layout.BITMEX, timeframes=["1m"])
    (written,) = parquet.read_table(tmp_path / "out.parquet")["volume"].to_pylist()
    assert Decimal(str(written)) == Decimal(volume)


def test_the_furthest_rounding_is_told_to_its_last_digit(tmp_path: Path) -> None:
    path = table(tmp_path / "prices.parquet", mark=[121_000.5], volume=[1.2345678901234566e-40])
    (market,) = read_prices(path, small_venue()).markets.values()
    assert market.volumes_rounded == 1
    assert Decimal(market.volume_error_max) == Decimal("1.2345678901234566e-40")
