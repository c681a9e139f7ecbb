"""Prices from files: marks as they are, or bars walked through their four prices, as events.

Knows files and the venue's grids; where a price came from and what it does to anyone is not its
business. Every price is put on the grid here, once, and what was rounded is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Rounding, Venue
from backstop.core.events import EVENT, NONE, EventArray, EventKind
from backstop.core.instruments import DEPTH_LOTS_MAX
from backstop.feeds.bars import BAR_COLUMNS, STEPS_MAX, bar_streams
from backstop.feeds.columns import (
    Grid,
    duration_ns_of,
    fraction_text,
    largest_errors,
    names_of,
    steps_of_column,
    time_text,
    times_of,
)
from backstop.feeds.errors import FeedError
from backstop.feeds.rows import Cut, Ints, Rows, Stream, Tally, inside, row_error
from backstop.feeds.table import Chunk, Table, names_text, open_table

__all__ = [
    "PRICE_ROUNDING",
    "STEPS_DEFAULT",
    "STEPS_MAX",
    "MarketPrices",
    "PriceReport",
    "Prices",
    "markets_text",
    "prices_of_events",
    "read_prices",
]

#: Marks per bar by default: one every 2 s for bars of a minute.
STEPS_DEFAULT = 30
#: A price between two ticks goes to the nearer one; halfway, to the even one.
PRICE_ROUNDING = Rounding.HALF_EVEN
#: A volume between two lots goes to the lower one: no more is assumed to have traded than did.
VOLUME_ROUNDING = Rounding.FLOOR
#: Times before 1971 are most likely not in nanoseconds.
_SUSPECT_NS = 31_536_000_000_000_000

_PRICE_EXPECTED = "must be a number above 0"
_VOLUME_EXPECTED = "must be a number, 0 or more, in contracts"
_INDEX, _VOLUME, _MARK = int(EventKind.INDEX), int(EventKind.VOLUME), int(EventKind.MARK)


@dataclass(frozen=True, slots=True)
class MarketPrices:
    """Counts of one market."""

    symbol: str
    rows: int
    first_ns: int
    last_ns: int
    #: First mark and index within the cut, at which positions are opened. Without an index: 0.
    first_mark_ticks: int
    first_index_ticks: int
    #: Span of a bar; 0 for a file of marks.
    timeframe_ns: int
    #: Bars that are missing between the first and the last.
    bars_missing: int
    #: Bars widened to hold their own open and close.
    bars_widened: int
    #: Prices that were off the tick, and the largest rounding, in units of price.
    prices_rounded: int
    price_error_max: str
    #: Volumes that were off the lot (rounded down), and the furthest, in contracts.
    volumes_rounded: int
    volume_error_max: str

    def as_json(self) -> dict[str, Any]:
        """Return the report of the market as plain values."""
        return {
            "market": self.symbol,
            "rows": self.rows,
            "first": time_text(self.first_ns),
            "last": time_text(self.last_ns),
            "timeframe_seconds": self.timeframe_ns / 1e9 if self.timeframe_ns else None,
            "bars_missing": self.bars_missing,
            "bars_widened": self.bars_widened,
            "prices_rounded": self.prices_rounded,
            "price_error_max": self.price_error_max,
            "volumes_rounded": self.volumes_rounded,
            "volume_error_max": self.volume_error_max,
        }


@dataclass(frozen=True, slots=True)
class PriceReport:
    """Counts of the rows that were read and cut, and of the values that did not fit."""

    files: tuple[str, ...]
    rows: int
    #: Rows outside of --start and --end.
    rows_cut: int
    #: Marks per bar; 0 if no file had bars.
    steps: int
    columns_ignored: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "files": list(self.files),
            "rows": self.rows,
            "rows_cut": self.rows_cut,
            "steps": self.steps,
            "rounding": PRICE_ROUNDING.value,
            "volume_rounding": VOLUME_ROUNDING.value,
            "columns_ignored": list(self.columns_ignored),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices as events, sorted by (time, market), with the counts of each file."""

    events: EventArray
    #: By number of the market; markets without a price are absent.
    markets: dict[int, MarketPrices]
    report: PriceReport

    @property
    def start_ns(self) -> int:
        """Time of the first event."""
        return int(self.events["time_ns"][0])


def read_prices(
    paths: Path | str | Sequence[Path | str],
    venue: Venue,
    *,
    steps: int = STEPS_DEFAULT,
    timeframe_ns: int | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> Prices:
    """Read price files into events, sorted by (time, market).

    A file has ``time``, ``market`` and either ``mark`` (with ``index`` and ``volume`` where known)
    or ``open, high, low, close`` (and ``volume``). Bars are walked open, low, high, close if they
    close at or above their open, else open, high, low, close, in ``steps`` marks spread over their
    span; the span is ``timeframe_ns``, or the file's column ``timeframe``, or the market's
    commonest spacing. A bar's volume is reported at its start. Rows outside of
    ``start_ns <= time < end_ns`` are cut.

    Raises ``FeedError`` naming file, line, column and value.
    """
    if not 4 <= steps <= STEPS_MAX:
        raise ValueError(f"steps = {steps}: must be 4 to {STEPS_MAX}")
    files = [Path(paths)] if isinstance(paths, Path | str) else [Path(path) for path in paths]
    tally = Tally()
    streams: list[Stream] = []
    last_ns: dict[int, int] = {}
    rows = kept = 0
    for path in files:
        table = open_table(path)
        read = _read(table, venue, tally, (start_ns, end_ns))
        _check_order(table, venue, read, last_ns)
        rows += len(read.time_ns)
        if "mark" in read.steps:
            found = _mark_streams(read)
        else:
            found = bar_streams(table, venue, read, steps, timeframe_ns, tally, (start_ns, end_ns))
        within = inside(read.time_ns, start_ns, end_ns)
        kept += int(within.sum())
        for number, count in zip(*np.unique(read.market[within], return_counts=True), strict=True):
            tally.rows[int(number)] = tally.rows.get(int(number), 0) + int(count)
        if "mark" in read.steps:
            found = [_take(stream, inside(stream.time_ns, start_ns, end_ns)) for stream in found]
        streams += found
    if not kept:
        _refuse_empty(files[0] if files else Path(), rows, last_ns)
    events = _events(streams)
    report = PriceReport(
        files=tuple(str(path) for path in files),
        rows=rows,
        rows_cut=rows - kept,
        steps=steps if tally.bars else 0,
        columns_ignored=tuple(tally.ignored),
        warnings=tuple(tally.warnings),
    )
    return Prices(events, _market_reports(venue, events, tally), report)


def _take(stream: Stream, mask: NDArray[np.bool_]) -> Stream:
    return Stream(stream.kind, stream.time_ns[mask], stream.market[mask], stream.value[mask])


def _refuse_empty(path: Path, rows: int, last_ns: dict[int, int]) -> None:
    if not rows:
        raise FeedError(path, "has no rows of data", "must have at least one price")
    last = time_text(max(last_ns.values()))
    raise FeedError(path, "has no row between --start and --end", f"the last of its {rows} rows is of {last}")


def markets_text(venue: Venue) -> str:
    """Return the right form of a market's name."""
    symbols = [market.symbol for market in venue.markets]
    more = f" and {len(symbols) - 20} more" if len(symbols) > 20 else ""
    return f"must be one of the venue's: {', '.join(symbols[:20])}{more}"


# From the file to the grid


def _read(table: Table, venue: Venue, tally: Tally, cut: Cut) -> Rows:
    columns = _columns(table, tally)
    numbers = {market.symbol: number for number, market in enumerate(venue.markets)}
    prices = Grid(
        tuple(Fraction(market.price_tick) for market in venue.markets),
        tuple(market.price_ticks_max for market in venue.markets),
        PRICE_ROUNDING,
        tuple(market.price_ticks_min for market in venue.markets),
    )
    volumes = Grid(
        tuple(Fraction(market.quantity_lot) for market in venue.markets), (DEPTH_LOTS_MAX,) * len(venue.markets), VOLUME_ROUNDING
    )
    parts: list[Rows] = []
    for chunk in table.chunks(columns):
        time_ns = times_of(table, chunk, "time")
        market = names_of(table, chunk, "market", numbers.get, lambda _: markets_text(venue), "market")
        values: dict[str, Ints] = {}
        missing: dict[str, NDArray[np.bool_]] = {}
        for name in columns[2:]:
            if name == "timeframe":
                values[name] = _timeframes(table, chunk)
                continue
            is_volume = name == "volume"
            grid, expected = (volumes, _VOLUME_EXPECTED) if is_volume else (prices, _PRICE_EXPECTED)
            optional = name in ("index", "volume")
            found = steps_of_column(table, chunk, name, grid, market, expected=expected, least=0 if is_volume else 1, optional=optional)
            values[name], missing[name] = found.values, found.missing
            found.unfit[~inside(time_ns, *cut)] = False
            counts, largest = (tally.volumes, tally.volume_error) if is_volume else (tally.rounded, tally.error)
            for number, (count, error) in largest_errors(chunk, name, grid, market, found).items():
                counts[number] = counts.get(number, 0) + count
                largest[number] = max(largest.get(number, Fraction(0)), error)
        parts.append(Rows(time_ns, market, _lines(chunk), values, missing))
    read = _joined(parts, columns)
    if len(read.time_ns) and int(read.time_ns.max()) < _SUSPECT_NS:
        tally.warnings[f"{table.path}: all times lie in 1970: if they are not nanoseconds, they are read wrongly"] = None
    return read


def _columns(table: Table, tally: Tally) -> list[str]:
    """Return the columns to read: time and market first."""
    table.require("time", "market")
    bars = [name for name in BAR_COLUMNS if name in table.names]
    if "mark" in table.names:
        if len(bars) == len(BAR_COLUMNS):
            raise table.error("has both a mark and bars", "must have the column mark, or open, high, low, close, not both")
        columns = ["time", "market", "mark", *(name for name in ("index", "volume") if name in table.names)]
    elif bars:
        table.require(*BAR_COLUMNS)
        columns = ["time", "market", *BAR_COLUMNS, *(name for name in ("volume", "timeframe") if name in table.names)]
    else:
        raise table.error("has no prices", f"must have the column mark, or open, high, low, close; it has {names_text(table.names)}")
    tally.ignored.update(dict.fromkeys(name for name in table.names if name not in columns))
    return columns


def _timeframes(table: Table, chunk: Chunk) -> Ints:
    known: dict[str, int] = {}

    def number_of(text: str) -> int | None:
        try:
            known[text] = duration_ns_of(text)
        except ValueError:
            return None
        return known[text]

    return names_of(table, chunk, "timeframe", number_of, lambda _: "must be a whole number of s, m, h, d or w, as in 5m", "timeframe")


def _lines(chunk: Chunk) -> Ints:
    return np.zeros(0, dtype=np.int64) if chunk.lines is None else chunk.lines


def _joined(parts: list[Rows], columns: list[str]) -> Rows:
    empty = np.zeros(0, dtype=np.int64)
    if not parts:
        nowhere = np.zeros(0, dtype=bool)
        return Rows(empty, empty, empty, dict.fromkeys(columns[2:], empty), dict.fromkeys(columns[2:], nowhere))
    return Rows(
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.market for part in parts]),
        np.concatenate([part.line for part in parts]),
        {name: np.concatenate([part.steps[name] for part in parts]) for name in parts[0].steps},
        {name: np.concatenate([part.missing[name] for part in parts]) for name in parts[0].missing},
    )


def _check_order(table: Table, venue: Venue, rows: Rows, last_ns: dict[int, int]) -> None:
    """Refuse a market whose times do not rise, within the file and against the files before."""
    if not len(rows.time_ns):
        return
    order = np.argsort(rows.market, kind="stable")
    market, time_ns = rows.market[order], rows.time_ns[order]
    bad = np.flatnonzero((market[1:] == market[:-1]) & (time_ns[1:] <= time_ns[:-1]))
    if len(bad):
        # The first in the file, not the first of the lowest market.
        spot = int(bad[np.argmin(order[bad + 1])])
        _refuse_order(table, venue, rows, int(order[spot + 1]), int(time_ns[spot]))
    firsts = np.flatnonzero(np.diff(market, prepend=-1))
    for first, end in zip(firsts, [*firsts[1:], len(market)], strict=True):
        number = int(market[first])
        if number in last_ns and int(time_ns[first]) <= last_ns[number]:
            _refuse_order(table, venue, rows, int(order[first]), last_ns[number])
        last_ns[number] = int(time_ns[end - 1])


def _refuse_order(table: Table, venue: Venue, rows: Rows, place: int, before_ns: int) -> None:
    symbol, time_ns = venue.markets[int(rows.market[place])].symbol, int(rows.time_ns[place])
    problem = f"is listed twice for {symbol}" if time_ns == before_ns else f"is out of order for {symbol}"
    expected = f"must be after {time_text(before_ns)}: times of a market rise from row to row"
    raise row_error(table, rows, place, problem, expected, "time", time_text(time_ns))


# From the grid to events


def _mark_streams(rows: Rows) -> list[Stream]:
    streams = [Stream(_MARK, rows.time_ns, rows.market, rows.steps["mark"])]
    for name, kind in (("index", _INDEX), ("volume", _VOLUME)):
        if name in rows.steps:
            there = ~rows.missing[name]
            streams.append(Stream(kind, rows.time_ns[there], rows.market[there], rows.steps[name][there]))
    return streams


def _events(streams: list[Stream]) -> EventArray:
    time_ns = np.concatenate([stream.time_ns for stream in streams])
    market = np.concatenate([stream.market for stream in streams])
    kind = np.concatenate([np.full(len(stream.time_ns), stream.kind, dtype=np.int64) for stream in streams])
    value = np.concatenate([stream.value for stream in streams])
    # At one time of one market: index, then volume, then the mark that may act on them.
    rank = np.choose(np.searchsorted([_MARK, _INDEX, _VOLUME], kind), [2, 0, 1])
    order = np.lexsort((rank, market, time_ns))
    events = np.zeros(len(order), dtype=EVENT)
    events["time_ns"], events["market"], events["kind"] = time_ns[order], market[order], kind[order]
    events["account"] = NONE
    is_volume = kind[order] == _VOLUME
    events["lots"] = np.where(is_volume, value[order], 0)
    events["price_ticks"] = np.where(is_volume, 0, value[order])
    return events


def prices_of_events(venue: Venue, events: EventArray, source: str) -> Prices:
    """Return MARK, INDEX and VOLUME events that are sorted already, from ``source``, as prices."""
    tally = Tally()
    marks = events[events["kind"] == _MARK]
    for number, count in zip(*np.unique(marks["market"], return_counts=True), strict=True):
        tally.rows[int(number)] = int(count)
    report = PriceReport((source,), len(events), 0, 0, (), ())
    return Prices(events, _market_reports(venue, events, tally), report)


def _market_reports(venue: Venue, events: EventArray, tally: Tally) -> dict[int, MarketPrices]:
    reports: dict[int, MarketPrices] = {}
    for number in sorted(tally.rows):
        mine = events[events["market"] == number]
        marks, indexes = mine[mine["kind"] == _MARK], mine[mine["kind"] == _INDEX]
        reports[number] = MarketPrices(
            symbol=venue.markets[number].symbol,
            rows=tally.rows[number],
            first_ns=int(marks["time_ns"][0]),
            last_ns=int(marks["time_ns"][-1]),
            first_mark_ticks=int(marks["price_ticks"][0]),
            first_index_ticks=int(indexes["price_ticks"][0]) if len(indexes) else 0,
            timeframe_ns=tally.timeframe.get(number, 0),
            bars_missing=tally.missing.get(number, 0),
            bars_widened=tally.widened.get(number, 0),
            prices_rounded=tally.rounded.get(number, 0),
            price_error_max=fraction_text(tally.error.get(number, Fraction(0))),
            volumes_rounded=tally.volumes.get(number, 0),
            volume_error_max=fraction_text(tally.volume_error.get(number, Fraction(0))),
        )
    return reports
