"""Fuzzed bars in others' layouts: what the importer writes is compared with what the file held."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from backstop.feeds.errors import FeedError
from backstop.feeds.exchange import ImportReport, Layout, convert_bars
from tests.fuzz.tables import Cell, Naive, Rows, check_refusal, naive_number, naive_rows, naive_time, spoil, written
from tests.fuzz.target import Found

__all__ = ["fuzz_import"]

_PRICES = ("open", "high", "low", "close")
_TIMEFRAMES = ("1m", "5m")
_MINUTE = 60_000_000_000
_SYMBOLS = {"XBTUSD": "BTC/USD:BTC", "ETHUSD": "ETH/USD:BTC", "XBTUSDT": "BTC/USDT:USDT", "ETHUSDT": "ETH/USDT:USDT"}
_SPAN = {"1m": _MINUTE, "5m": 5 * _MINUTE}

_COLUMNS = frozenset(("time", "market", "timeframe", "date", "timestamp", "symbol", "tf", "kind", *_PRICES, "volume", "homeNotional"))

#: Settled in its base: its volume is in contracts.
_INVERSE = re.compile(r"([^/:]+)/[^/:]+:\1")
#: Time and symbol to timeframe, open, high, low, close, volume.
Bars = dict[tuple[int, str], tuple[str, tuple[Fraction, ...]]]


def _row(rng: Random) -> list[str]:
    low, first, last, high = sorted(rng.randint(1_000, 99_999) / 100 for _ in range(4))
    return [str(first), str(high), str(low), str(last)]


def _freqtrade(rng: Random) -> Rows:
    names = ["symbol", "tf", "date", *_PRICES, "volume"]
    cells = [
        [symbol, rng.choice(_TIMEFRAMES) if rng.random() < 0.1 else "5m", f"2025-10-10 21:{minute:02d}:00+00:00", *_row(rng), "1.5"]
        for symbol in ("BTC", "ETH_USDT", "SOL/USDT:USDT")
        for minute in range(0, 5 * rng.randint(1, 4), 5)
    ]
    return Rows(names, cells, ("date",), (*_PRICES, "volume"))


def _bitmex(rng: Random) -> Rows:
    names = ["timestamp", "symbol", *_PRICES, "trades", "volume", "homeNotional"]
    cells = [
        [f"2020-03-13T02:{minute:02d}:00Z", rng.choice(("XBTUSD",) * 5 + ("ETHUSDT",)), *_row(rng), "2", "31", "0.0064"]
        for minute in range(10, 10 + rng.randint(1, 8))
    ]
    return Rows(names, cells, ("timestamp",), (*_PRICES, "homeNotional", "volume"))


def fuzz_import(rng: Random, folder: Path) -> bool:
    """Make a file of bars, convert it, judge what was written."""
    layout = rng.choice((Layout.FREQTRADE, Layout.BITMEX))
    rows = (_freqtrade if layout is Layout.FREQTRADE else _bitmex)(rng)
    changes = spoil(rng, rows)
    path, whole = written(rng, rows, folder / "bars")
    output = folder / rng.choice(("converted.csv", "converted.csv", "converted.parquet"))
    try:
        report = convert_bars([path], output, layout=layout, timeframes=_TIMEFRAMES)
    except FeedError as error:
        check_refusal(error, [path, output])
        is_mixed = len({row[1] for row in rows.cells}) > 3 and layout is Layout.FREQTRADE
        if not changes and whole and path.suffix == ".csv" and not is_mixed and "begins before" not in str(error):
            raise Found(f"a valid file was refused: {error}") from error
        return False
    _judge(layout, path, output, report)
    return True


def _judge(layout: Layout, path: Path, output: Path, report: ImportReport) -> None:
    try:
        expected, rows = _expected(layout, path)
        loaded = _written_bars(output)
    except (Naive, ValueError, ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise Found(f"converted, but a plain reading finds: {type(error).__name__}: {error}") from error
    if loaded != expected:
        wrong = [key for key in {*loaded, *expected} if loaded.get(key) != expected.get(key)]
        raise Found(f"bar {wrong[0]}: expected {expected.get(wrong[0])}, wrote {loaded.get(wrong[0])}")
    if (report.rows_read, report.rows_written) != (rows, len(expected)):
        raise Found(f"reports {report.rows_read} rows read, {report.rows_written} written; {rows} and {len(expected)} counted")


def _written_bars(output: Path) -> Bars:
    names, cells = naive_rows(output, _COLUMNS)
    if names != ["time", "market", "timeframe", *_PRICES, "volume"]:
        raise Naive(f"columns {names}")
    keys = [(naive_time(row[0]), str(row[1])) for row in cells]
    if keys != sorted(set(keys)):
        raise Naive("rows are not in order of time and market")
    return {key: (row[2], tuple(naive_number(cell) for cell in row[3:])) for key, row in zip(keys, cells, strict=True)}


def _symbol(layout: Layout, name: Cell) -> str:
    if name is None:
        raise Naive("no symbol")
    if "/" in name:
        return str(name)
    if layout is Layout.BITMEX:
        return _SYMBOLS[name]
    parts = name.split("_")
    if not all(parts):
        raise Naive(f"symbol {name!r}")
    return f"{parts[0]}/{parts[1]}:{parts[-1]}" if len(parts) > 1 else f"{name}/USDT:USDT"


def _expected(layout: Layout, path: Path) -> tuple[Bars, int]:
    """Return the bars that must be written, and the rows that the file has."""
    names, cells = naive_rows(path, _COLUMNS)
    if len(set(names)) < len(names):
        raise Naive("a column stands twice")
    stamp, end = ("date", False) if layout is Layout.FREQTRADE else ("timestamp", True)
    volume = "homeNotional" if end and "homeNotional" in names else "volume"
    by_market: dict[tuple[str, str], dict[int, tuple[Fraction, ...]]] = {}
    for values in cells:
        row: dict[str, Any] = dict(zip(names, values, strict=True))
        if row.get("kind", "futures") != "futures":
            continue
        symbol, timeframe = _symbol(layout, row["symbol"]), str(row.get("tf", _TIMEFRAMES[0]))
        contracts = "volume" if layout is Layout.BITMEX and "volume" in names else volume
        naive_number(row[contracts])
        sizes = contracts if _INVERSE.fullmatch(symbol) else volume
        numbers = tuple(naive_number(row[name]) for name in (*_PRICES, sizes))
        if min(numbers[:4]) <= 0 or numbers[4] < 0 or numbers[2] > numbers[1]:
            raise Naive(f"bar {numbers}")
        time_ns = naive_time(row[stamp]) - (_seconds(timeframe) if end else 0)
        before = by_market.setdefault((symbol, timeframe), {}).setdefault(time_ns, numbers)
        if before != numbers or time_ns < 0:
            raise Naive(f"two bars at {time_ns}, or one before 1970")
    return _chosen(by_market), len(cells)


def _seconds(timeframe: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([smhdw])", timeframe, re.ASCII)
    if match is None:
        raise Naive(f"timeframe {timeframe!r}")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]] * 1_000_000_000


def _chosen(by_market: dict[tuple[str, str], dict[int, tuple[Fraction, ...]]]) -> Bars:
    found: Bars = {}
    for symbol in {symbol for symbol, _ in by_market}:
        timeframe = next((each for each in _TIMEFRAMES if (symbol, each) in by_market), None)
        if timeframe is None:
            continue
        bars = by_market[symbol, timeframe]
        times = sorted(bars)
        if any(late - early < _SPAN[timeframe] for early, late in pairwise(times)):
            raise Naive("bars overlap")
        for time_ns, (start, high, low, close, volume) in bars.items():
            found[time_ns, symbol] = (timeframe, (start, max(start, high, close), min(start, low, close), close, volume))
    return found
