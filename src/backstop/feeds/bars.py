"""Bars turned into marks along their four prices, as a venue might have seen them while a bar was
made.
"""

from __future__ import annotations

import numpy as np

from backstop.config import Venue
from backstop.core.events import EventKind
from backstop.feeds.columns import TIME_MAX_NS, time_text
from backstop.feeds.rows import Cut, Ints, Rows, Stream, Tally, inside, row_error
from backstop.feeds.table import Table

__all__ = ["BAR_COLUMNS", "STEPS_MAX", "bar_streams", "walk_bars"]

BAR_COLUMNS = ("open", "high", "low", "close")
STEPS_MAX = 3600
#: More marks than this do not belong in one array: 8 GiB of events.
_MARKS_MAX = 1 << 27
_SECOND_NS = 1_000_000_000
_MARK, _VOLUME = int(EventKind.MARK), int(EventKind.VOLUME)


def bar_streams(
    table: Table,
    venue: Venue,
    rows: Rows,
    steps: int,
    timeframe_ns: int | None,
    tally: Tally,
    cut: Cut,
) -> list[Stream]:
    """Return the marks of a file's bars within ``cut``, and their volumes; count the bars that were
    widened or missing.

    A bar's volume is reported at its start, before its marks: a price guard judges them by the
    trading that made them, which the volume of the bar before knows nothing of.

    Raises ``FeedError`` for bars that overlap, have a high below their low, or give too many marks.
    """
    start, high, low, close = (rows.steps[name] for name in BAR_COLUMNS)
    upside_down = low > high
    if upside_down.any():
        place = int(np.argmax(upside_down))
        spec = venue.markets[int(rows.market[place])]
        raise row_error(
            table,
            rows,
            place,
            f"is above the bar's high {spec.price_text(int(high[place]))}",
            "must not be above high",
            "low",
            spec.price_text(int(low[place])),
        )
    span_ns = _spans(table, venue, rows, timeframe_ns, tally)
    endless = rows.time_ns > TIME_MAX_NS - span_ns
    if endless.any():
        place = int(np.argmax(endless))
        raise row_error(
            table, rows, place, "begins a bar that ends too late", "must end before 2116", "time", time_text(int(rows.time_ns[place]))
        )
    within = inside(rows.time_ns, *cut)
    wide_high, wide_low = np.maximum(high, np.maximum(start, close)), np.minimum(low, np.minimum(start, close))
    widened = within & ((wide_high != high) | (wide_low != low))
    for number, count in zip(*np.unique(rows.market[widened], return_counts=True), strict=True):
        tally.widened[int(number)] = tally.widened.get(int(number), 0) + int(count)
    bars = int(within.sum())
    tally.bars += bars
    if bars * steps > _MARKS_MAX:
        raise table.error(
            f"would give {bars * steps} marks", f"must be at most {_MARKS_MAX}: use fewer --steps, or cut with --start and --end"
        )
    ticks = walk_bars(start[within], wide_high[within], wide_low[within], close[within], steps)
    at = np.arange(steps, dtype=np.int64)
    market = rows.market[within]
    span = span_ns[within]
    # Of the span first its steps, so that no product nears 63 bits.
    time_ns = rows.time_ns[within][:, None] + span[:, None] // steps * at + span[:, None] % steps * at // steps
    streams = [Stream(_MARK, time_ns.ravel(), np.repeat(market, steps), ticks.ravel())]
    if "volume" in rows.steps:
        there = within & ~rows.missing["volume"]
        streams.append(Stream(_VOLUME, rows.time_ns[there], rows.market[there], rows.steps["volume"][there]))
    return streams


def _spans(table: Table, venue: Venue, rows: Rows, timeframe_ns: int | None, tally: Tally) -> Ints:
    """Return the span of each bar; refuse bars that overlap."""
    spans = np.zeros(len(rows.time_ns), dtype=np.int64)
    for number in np.unique(rows.market):
        places = np.flatnonzero(rows.market == number)
        times = rows.time_ns[places]
        span = timeframe_ns or _declared_span(table, rows, places) or _commonest(np.diff(times))
        symbol = venue.markets[int(number)].symbol
        if not span:
            raise table.error(
                f"has one bar only of {symbol}", "its span cannot be inferred: give --timeframe, or a column timeframe", column="time"
            )
        close_by = np.flatnonzero(np.diff(times) < span)
        if len(close_by):
            place = int(places[close_by[0] + 1])
            raise row_error(
                table,
                rows,
                place,
                f"begins before the bar of {symbol} ahead of it ends",
                f"bars of {symbol} span {span // _SECOND_NS} s: must not mix timeframes (or give --timeframe)",
                "time",
                time_text(int(rows.time_ns[place])),
            )
        spans[places] = span
        tally.timeframe[int(number)] = span
        tally.missing[int(number)] = tally.missing.get(int(number), 0) + int((np.diff(times) // span - 1).sum())
    return spans


def _declared_span(table: Table, rows: Rows, places: Ints) -> int:
    if "timeframe" not in rows.steps:
        return 0
    spans = rows.steps["timeframe"][places]
    other = np.flatnonzero(spans != spans[0])
    if len(other):
        place = int(places[other[0]])
        raise row_error(
            table,
            rows,
            place,
            "differs from the market's bars before",
            f"must be {int(spans[0]) // _SECOND_NS}s, as before: one timeframe per market",
            "timeframe",
            f"{int(rows.steps['timeframe'][place]) // _SECOND_NS}s",
        )
    return int(spans[0])


def _commonest(gaps_ns: Ints) -> int:
    if not len(gaps_ns):
        return 0
    values, counts = np.unique(gaps_ns, return_counts=True)
    return int(values[np.argmax(counts)])


def walk_bars(start: Ints, high: Ints, low: Ints, close: Ints, steps: int) -> Ints:
    """Return each bar's way as ``steps`` prices: its four prices and straight lines between,
    rounded down.

    Open, low, high, close if it closes at or above its open, else open, high, low, close. The four
    stand at the first step, about a third, about two thirds, and the last.
    """
    rises = close >= start
    nodes = (start, np.where(rises, low, high), np.where(rises, high, low), close)
    places = [round(third * (steps - 1) / 3) for third in range(4)]
    way = np.empty((len(start), steps), dtype=np.int64)
    for leg in range(3):
        length = places[leg + 1] - places[leg]
        part = np.arange(length + 1, dtype=np.int64)
        way[:, places[leg] : places[leg + 1] + 1] = nodes[leg][:, None] + (nodes[leg + 1] - nodes[leg])[:, None] * part // length
    return way
