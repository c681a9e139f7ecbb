"""Fuzzed price files: what is loaded is worked out again, event by event, in fractions."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from random import Random
from typing import Any

from backstop.core.events import EventKind
from backstop.feeds.errors import FeedError
from backstop.feeds.prices import Prices, read_prices
from tests.feeds.samples import BTC, ETH, small_venue
from tests.fuzz.tables import Cell, Naive, Rows, check_refusal, naive_number, naive_rows, naive_time, spoil, written
from tests.fuzz.target import Found

__all__ = ["fuzz_prices"]

#: A bar is walked in its four prices alone, so that what comes out can be said without the walk.
_STEPS = 4
_COLUMNS = frozenset(("time", "market", "mark", "index", "volume", "open", "high", "low", "close", "timeframe"))
_TIME_LIMIT = 1 << 62
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_RANK = {EventKind.INDEX: 0, EventKind.VOLUME: 1, EventKind.MARK: 2}

#: Time, market, rank of the kind, value.
Event = tuple[int, int, int, int]


def _minute(number: int) -> str:
    return f"2025-10-10T21:{number:02d}:00Z"


def _marks(rng: Random) -> Rows:
    cells = [
        [
            _minute(number),
            symbol,
            f"{base + rng.randint(-9999, 9999) / 10:.1f}",
            *(rng.choice(("", f"{base}.1")), rng.choice(("", "2.0019"))),
        ]
        for number in range(rng.randint(1, 6))
        for symbol, base in ((BTC, 120_000), (ETH, 4_000))
    ]
    return Rows(["time", "market", "mark", "index", "volume"], cells, ("time",), ("mark", "index", "volume"))


def _bars(rng: Random) -> Rows:
    cells = []
    for number in range(rng.randint(1, 6)):
        for symbol in (BTC, ETH):
            prices = sorted(rng.randint(1_000, 9_999) / 4 for _ in range(4))
            row = [str(prices[1]), str(prices[3]), str(prices[0]), str(prices[2])]
            cells.append([_minute(number), symbol, *row, "1.25", "1m"])
    names = ["time", "market", "open", "high", "low", "close", "volume", "timeframe"]
    keep = rng.choice((8, 8, 7, 6))
    return Rows(names[:keep], [row[:keep] for row in cells], ("time",), ("open", "high", "low", "close", "volume"))


def fuzz_prices(rng: Random, folder: Path) -> bool:
    """Make a price file, read it, judge."""
    rows = rng.choice((_marks, _bars))(rng)
    changes = spoil(rng, rows)
    path, whole = written(rng, rows, folder / "prices")
    try:
        prices = read_prices(path, small_venue(), steps=_STEPS)
    except FeedError as error:
        check_refusal(error, [path])
        is_told_span = "mark" in rows.names or "timeframe" in rows.names or len(rows.cells) > 2
        if not changes and whole and path.suffix == ".csv" and is_told_span:
            raise Found(f"a valid file was refused: {error}") from error
        return False
    _judge(prices, path)
    return True


def _judge(prices: Prices, path: Path) -> None:
    """Compare what was loaded with a plain reading of the same file."""
    try:
        names, cells = naive_rows(path, _COLUMNS)
        expected = _expected(names, cells)
    except (Naive, ValueError, ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise Found(f"loaded, but a plain reading finds: {type(error).__name__}: {error}") from error
    loaded = [_event(row) for row in prices.events]
    if loaded != sorted(loaded):
        raise Found("the events are not in order of time, market and kind")
    if Counter(loaded) != Counter(expected.events):
        missing = list((Counter(expected.events) - Counter(loaded)).elements())[:3]
        extra = list((Counter(loaded) - Counter(expected.events)).elements())[:3]
        raise Found(f"wrong events: expected {missing}, loaded {extra}")
    for number, market in prices.markets.items():
        counts = (market.rows, market.prices_rounded, market.volumes_rounded)
        if counts != (expected.rows[number], expected.rounded[number], expected.volumes[number]):
            mine = (expected.rows[number], expected.rounded[number], expected.volumes[number])
            raise Found(f"market {number}: reports {counts}, counted {mine}")
        largest = expected.error.get(number, Fraction(0))
        if Fraction(market.price_error_max) != largest:
            raise Found(f"market {number}: largest rounding {market.price_error_max}, worked out {largest}")


def _event(row: Any) -> Event:
    kind = EventKind(int(row["kind"]))
    value = int(row["lots"]) if kind is EventKind.VOLUME else int(row["price_ticks"])
    return int(row["time_ns"]), int(row["market"]), _RANK[kind], value


class _Expected:
    """Events and counts of a file, put together row by row."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rows: Counter[int] = Counter()
        self.rounded: Counter[int] = Counter()
        self.volumes: Counter[int] = Counter()
        self.error: dict[int, Fraction] = {}

    def add(self, time_ns: int, market: int, kind: EventKind, value: int) -> None:
        if not 0 <= time_ns < _TIME_LIMIT:
            raise Naive(f"an event at {time_ns} ns")
        self.events.append((time_ns, market, _RANK[kind], value))

    def ticks(self, market: int, cell: Cell) -> int:
        spec, price = small_venue().markets[market], naive_number(cell)
        tick = Fraction(spec.price_tick)
        ticks = round(price / tick)
        if not 1 <= ticks <= spec.price_ticks_max:
            raise Naive(f"{float(price):g} is {ticks} ticks")
        if ticks * tick != price:
            self.rounded[market] += 1
            self.error[market] = max(self.error.get(market, Fraction(0)), abs(price - ticks * tick))
        return ticks

    def lots(self, market: int, cell: Cell) -> int:
        quantity = naive_number(cell) / Fraction(small_venue().markets[market].quantity_lot)
        if quantity < 0:
            raise Naive("a volume below 0")
        self.volumes[market] += quantity.denominator != 1
        return floor(quantity)


def _expected(names: list[str], cells: list[list[Cell]]) -> _Expected:
    if len(set(names)) < len(names):
        raise Naive("a column stands twice")
    found = _Expected()
    numbers = {market.symbol: number for number, market in enumerate(small_venue().markets)}
    rows = [dict(zip(names, row, strict=True)) for row in cells]
    by_market: dict[int, list[tuple[int, dict[str, Cell]]]] = {}
    for row in rows:
        market = numbers[row["market"]]
        found.rows[market] += 1
        by_market.setdefault(market, []).append((naive_time(row["time"]), row))
    for market, timed in by_market.items():
        times = [time_ns for time_ns, _ in timed]
        if any(late <= early for early, late in pairwise(times)):
            raise Naive(f"times of market {market} do not rise")
        add = _add_marks if "mark" in names else _add_bars
        add(found, market, timed)
    return found


def _add_marks(found: _Expected, market: int, timed: list[tuple[int, dict[str, Cell]]]) -> None:
    for time_ns, row in timed:
        found.add(time_ns, market, EventKind.MARK, found.ticks(market, row["mark"]))
        if row.get("index") is not None:
            found.add(time_ns, market, EventKind.INDEX, found.ticks(market, row["index"]))
        if row.get("volume") is not None:
            found.add(time_ns, market, EventKind.VOLUME, found.lots(market, row["volume"]))


def _span(timed: list[tuple[int, dict[str, Cell]]]) -> int:
    """Return the span of a market's bars: as its column says, or the commonest distance, of several
    the shortest.
    """
    said = {row["timeframe"] for _, row in timed if "timeframe" in row}
    if len({_seconds(text) for text in said}) > 1:
        raise Naive("two timeframes")
    if said:
        return _seconds(said.pop()) * 1_000_000_000
    gaps = Counter(late[0] - early[0] for early, late in pairwise(timed))
    return min(gap for gap, count in gaps.items() if count == max(gaps.values()))


def _seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]]


def _add_bars(found: _Expected, market: int, timed: list[tuple[int, dict[str, Cell]]]) -> None:
    span = _span(timed)
    if any(late[0] - early[0] < span for early, late in pairwise(timed)):
        raise Naive("bars overlap")
    for time_ns, row in timed:
        start, high, low, close = (found.ticks(market, row[name]) for name in ("open", "high", "low", "close"))
        if low > high:
            raise Naive("a bar stands on its head")
        high, low = max(start, high, close), min(start, low, close)
        way = (start, low, high, close) if close >= start else (start, high, low, close)
        for step, ticks in enumerate(way):
            found.add(time_ns + span * step // _STEPS, market, EventKind.MARK, ticks)
        if row.get("volume") is not None:
            found.add(time_ns, market, EventKind.VOLUME, found.lots(market, row["volume"]))
