"""Recorded bars in the layouts that others use, written as the long form that ``prices`` reads.

Knows layouts and their traps, not venues: which column is what, what a time stamp marks, where a
funding rate hides in a price column. Nothing is put on a grid here; values go through as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.feeds.columns import decimal_of, duration_ns_of, time_text, times_of
from backstop.feeds.errors import FeedError
from backstop.feeds.table import Chunk, Table, names_text, open_table
from backstop.files import written_whole
from backstop.printing import NAME_MAX

__all__ = ["ImportReport", "Layout", "Stamp", "convert_bars"]

_BAR = ("open", "high", "low", "close")
_OUT = ("time", "market", "timeframe", *_BAR, "volume")

#: BTC_USDT_USDT-5m-futures, BTC_USDT-1h, as freqtrade names its files.
_FREQTRADE_NAME = re.compile(r"(?P<pair>[A-Za-z0-9]+_[A-Za-z0-9]+(?:_[A-Za-z0-9]+)?)-(?P<timeframe>\d+[smhdw])(?:-(?P<kind>[a-z_]+))?")
#: A symbol of an inverse contract: it settles in its base.
_INVERSE = re.compile(r"([^/:]+)/[^/:]+:\1")
#: Kinds of freqtrade files whose ``open`` is a price.
_PRICE_KINDS = ("futures", "mark", "spot")
_BITMEX_SYMBOLS = {"XBTUSD": "BTC/USD:BTC", "ETHUSD": "ETH/USD:BTC", "XBTUSDT": "BTC/USDT:USDT", "ETHUSDT": "ETH/USDT:USDT"}


class Layout(StrEnum):
    """The program or venue that wrote the file."""

    FREQTRADE = "freqtrade"
    BITMEX = "bitmex"


class Stamp(StrEnum):
    """The meaning of a bar's time."""

    START = "start"
    END = "end"


@dataclass(slots=True)
class ImportReport:
    """Counts of the rows."""

    files: list[str] = field(default_factory=list)
    rows_read: int = 0
    rows_written: int = 0
    #: Rows of another timeframe, or of another kind (mark, funding rate).
    rows_other_timeframe: int = 0
    rows_other_kind: int = 0
    #: Rows of markets that were left out.
    rows_other_market: int = 0
    #: Duplicate rows, equal in every value.
    duplicates_dropped: int = 0
    #: Bars whose open or close lay outside of their high and low.
    bars_widened: int = 0
    markets: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Bars:
    """Bars of one market: time to (open, high, low, close, volume) as exact decimals, and where
    each came from.
    """

    timeframe: str
    rows: dict[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Job:
    layout: Layout
    timeframes: tuple[str, ...]
    shift: bool
    markets: Mapping[str, str]
    kind: str
    volume: str | None
    only: tuple[str, ...]


def convert_bars(
    files: Sequence[Path | str],
    output: Path | str,
    *,
    layout: Layout,
    timeframes: Sequence[str],
    stamp: Stamp | None = None,
    markets: Mapping[str, str] | None = None,
    kind: str = "futures",
    volume: str | None = None,
    only: Sequence[str] = (),
) -> ImportReport:
    """Read recorded bars and write them as the long form, sorted by (time, market).

    ``timeframes`` in order of preference: of each market, the rows of the first that it has. Bars
    that carry their end (``stamp``; bitmex bars do, freqtrade bars do not) are moved one timeframe
    back. ``markets`` maps names in the files to symbols; names without an entry become ccxt symbols
    of linear perpetuals in USDT (freqtrade) or of the contract (bitmex). Bars are widened to hold
    their own open and close. ``volume`` names the column of volumes; for bitmex it is
    ``homeNotional``, in base, where the file has it, and for a symbol of an inverse contract
    ``volume``, which counts contracts of 1 USD as its quantities do.
    ``only`` names the symbols to write; by default all.

    Raises ``FeedError`` naming file, line, column and value.
    """
    for timeframe in timeframes:
        duration_ns_of(timeframe)
    if stamp is None:
        stamp = Stamp.END if layout is Layout.BITMEX else Stamp.START
    job = _Job(layout, tuple(timeframes), stamp is Stamp.END, markets or {}, kind, volume, tuple(only))
    report = ImportReport(files=[str(path) for path in files])
    bars: dict[tuple[str, str], _Bars] = {}
    for path in files:
        _read_file(open_table(path), job, bars, report)
    chosen = _chosen(bars, job, report)
    if not chosen:
        raise FeedError(
            Path(files[0]), f"has no bar of {' or '.join(job.timeframes)}", f"--timeframe must be one that the files hold: {_held(bars)}"
        )
    _check_spacing(chosen, Path(files[0]))
    _write(Path(output), chosen, report)
    return report


def _held(bars: dict[tuple[str, str], _Bars]) -> str:
    return names_text(sorted({timeframe for _, timeframe in bars})) or "none"


# Reading


def _read_file(table: Table, job: _Job, bars: dict[tuple[str, str], _Bars], report: ImportReport) -> None:
    named = _FREQTRADE_NAME.fullmatch(table.path.name.split(".")[0]) if job.layout is Layout.FREQTRADE else None
    time_column = "date" if job.layout is Layout.FREQTRADE else "timestamp"
    volume = job.volume or ("homeNotional" if job.layout is Layout.BITMEX and "homeNotional" in table.names else "volume")
    in_contracts = "volume" if job.layout is Layout.BITMEX and job.volume is None and "volume" in table.names else volume
    table.require(time_column, *_BAR, volume)
    if named is not None and named["kind"] not in (None, job.kind):
        why = "its column `open` has the funding rate" if named["kind"] not in _PRICE_KINDS else "choose it with --kind"
        raise table.error(f"holds {named['kind']}, by its name", f"must hold {job.kind}: {why}")
    extra = [name for name in ("symbol", "tf", "kind") if name in table.names]
    if "symbol" not in extra and named is None:
        expected = "must have a column symbol, or be named as in BTC_USDT_USDT-5m-futures.feather"
        raise table.error("does not say which market it is", expected)
    volumes = dict.fromkeys((volume, in_contracts))
    lacks_base = in_contracts == volume == "volume" and job.layout is Layout.BITMEX and job.volume is None
    for chunk in table.chunks([time_column, *_BAR, *volumes, *extra]):
        report.rows_read += chunk.rows
        times = times_of(table, chunk, time_column)
        bar = [_texts(table, chunk, name) for name in _BAR]
        sizes = {name: _texts(table, chunk, name) for name in volumes}
        labels: dict[str, Any] = {name: chunk.columns[name] for name in extra}
        for place in range(chunk.rows):
            if "kind" in labels and labels["kind"][place] != job.kind:
                report.rows_other_kind += 1
                continue
            timeframe = _timeframe(labels, named, place, job)
            symbol = _symbol(table, chunk, labels, named, place, job)
            if job.only and symbol not in job.only:
                report.rows_other_market += 1
                continue
            column = in_contracts if _INVERSE.fullmatch(symbol) else volume
            row = *(texts[place] for texts in bar), sizes[column][place]
            _check_row(table, chunk, place, row, column)
            if lacks_base and not _INVERSE.fullmatch(symbol):
                report.notes.append(f"{table.path}: no column homeNotional: volume is taken as it is, contracts of 1 USD")
                lacks_base = False
            market = bars.setdefault((symbol, timeframe), _Bars(timeframe))
            time_ns = int(times[place]) - (_span_ns(table, chunk, place, timeframe) if job.shift else 0)
            if time_ns < 0:
                raise table.error(
                    "begins before 1970", "must be a usable time", chunk=chunk, place=place, column=time_column, value=str(times[place])
                )
            before = market.rows.setdefault(time_ns, row)
            if before is not row:
                if before != row:
                    expected = f"must be {' '.join(before)}, as before, or be listed once"
                    value = " ".join(row)
                    raise table.error(
                        f"is a second bar of {symbol} at {time_text(time_ns)}", expected, chunk=chunk, place=place, value=value
                    )
                report.duplicates_dropped += 1


def _texts(table: Table, chunk: Chunk, name: str) -> list[str]:
    """Return a column of numbers as their shortest exact texts."""
    column = chunk.columns[name]
    missing = chunk.missing.get(name)
    texts: list[str] = []
    cells: Sequence[Any] = column.tolist() if isinstance(column, np.ndarray) else column
    for place, cell in enumerate(cells):
        if cell is None or (missing is not None and missing[place]):
            raise table.error("is missing", "must be a number", chunk=chunk, place=place, column=name)
        text = cell if isinstance(cell, str) else repr(cell)
        try:
            decimal_of(text)
        except ValueError as error:
            raise table.error(str(error), "must be a number", chunk=chunk, place=place, column=name, value=text) from None
        texts.append(text[:-2] if text.endswith(".0") and text[:-2].isdigit() else text)
    return texts


def _check_row(table: Table, chunk: Chunk, place: int, row: tuple[str, ...], volume: str) -> None:
    for name, text in zip((*_BAR, volume), row, strict=True):
        value = float(text)
        if value < 0 or (value == 0 and name != volume):
            problem = "is negative" if value < 0 else "is zero"
            expected = "must be 0 or more" if name == volume else "must be above 0"
            raise table.error(problem, expected, chunk=chunk, place=place, column=name, value=text)
    if Decimal(row[2]) > Decimal(row[1]):
        raise table.error(
            f"is above the bar's high {row[1]}", "must not be above high", chunk=chunk, place=place, column="low", value=row[2]
        )


def _timeframe(labels: dict[str, Any], named: re.Match[str] | None, place: int, job: _Job) -> str:
    if "tf" in labels:
        return str(labels["tf"][place])
    return named["timeframe"] if named is not None else job.timeframes[0]


def _span_ns(table: Table, chunk: Chunk, place: int, timeframe: str) -> int:
    try:
        return duration_ns_of(timeframe)
    except ValueError as error:
        raise table.error("is no timeframe", str(error), chunk=chunk, place=place, column="tf", value=timeframe) from None


def _symbol(table: Table, chunk: Chunk, labels: dict[str, Any], named: re.Match[str] | None, place: int, job: _Job) -> str:
    name = labels["symbol"][place] if "symbol" in labels else named["pair"] if named is not None else None
    if name is None:
        raise table.error("is missing", "must name a market", chunk=chunk, place=place, column="symbol")
    name = str(name)
    if name in job.markets:
        return job.markets[name]
    if not name.isprintable() or " " in name or len(name) > NAME_MAX:
        raise table.error(
            "is no name of a market",
            f"must have no spaces or breaks, and at most {NAME_MAX} letters",
            chunk=chunk,
            place=place,
            column="symbol",
            value=name,
        )
    if "/" in name:
        return name
    if job.layout is Layout.BITMEX:
        if name not in _BITMEX_SYMBOLS:
            raise table.error(
                "has no known symbol",
                f"give it one: --market {name}=BASE/QUOTE:SETTLE",
                chunk=chunk,
                place=place,
                column="symbol",
                value=name,
            )
        return _BITMEX_SYMBOLS[name]
    parts = name.split("_")
    if not all(parts):
        raise table.error("is no name of a market", "must be as in BTC or BTC_USDT", chunk=chunk, place=place, column="symbol", value=name)
    return f"{parts[0]}/{parts[1]}:{parts[-1]}" if len(parts) > 1 else f"{name}/USDT:USDT"


# Choosing and writing


def _chosen(bars: dict[tuple[str, str], _Bars], job: _Job, report: ImportReport) -> dict[str, _Bars]:
    chosen: dict[str, _Bars] = {}
    for timeframe in job.timeframes:
        for (symbol, held), market in bars.items():
            if held == timeframe and symbol not in chosen:
                chosen[symbol] = market
    written = {(symbol, market.timeframe) for symbol, market in chosen.items()}
    report.rows_other_timeframe = sum(len(market.rows) for key, market in bars.items() if key not in written)
    without = sorted({symbol for symbol, _ in bars} - set(chosen))
    if without:
        report.notes.append(f"no bars of {' or '.join(job.timeframes)}, so left out: {names_text(without)}")
    return chosen


def _check_spacing(chosen: dict[str, _Bars], path: Path) -> None:
    """Refuse bars that are closer together than their timeframe."""
    for symbol, market in chosen.items():
        times = np.array(sorted(market.rows), dtype=np.int64)
        close_by = np.flatnonzero(np.diff(times) < duration_ns_of(market.timeframe))
        if len(close_by):
            near = time_text(int(times[close_by[0] + 1]))
            raise FeedError(
                path,
                f"has a bar of {symbol} at {near} that begins before the one ahead of it ends",
                f"--timeframe {market.timeframe} must be theirs",
            )


def _widened(row: tuple[str, ...], report: ImportReport) -> tuple[str, ...]:
    start, high, low, close, volume = row
    top, bottom = max((start, high, close), key=Decimal), min((start, low, close), key=Decimal)
    if Decimal(top) > Decimal(high) or Decimal(bottom) < Decimal(low):
        report.bars_widened += 1
        return start, top, bottom, close, volume
    return row


def _write(output: Path, chosen: dict[str, _Bars], report: ImportReport) -> None:
    if not output.name.lower().endswith((".csv", ".parquet", ".pq")):
        raise FeedError(output, "has an unknown ending", "must be .parquet or .csv")
    rows: list[tuple[int, str, str, tuple[str, ...]]] = []
    for symbol, market in chosen.items():
        report.markets[symbol] = len(market.rows)
        rows += [(time_ns, symbol, market.timeframe, _widened(row, report)) for time_ns, row in market.rows.items()]
    rows.sort(key=lambda row: row[:2])
    report.rows_written = len(rows)
    try:
        with written_whole(output) as partial:
            _write_rows(partial, rows)
    except OSError as error:
        raise FeedError(
            output, f"could not be written ({_why(error)})", "must be a file in a folder that exists, with room for it"
        ) from None


def _why(error: OSError) -> str:
    # pyarrow tells the error of the system in words only.
    return "No space left on device" if "No space left" in str(error) else error.strerror or str(error)


def _write_rows(path: Path, rows: list[tuple[int, str, str, tuple[str, ...]]]) -> None:
    if path.suffix.lower() == ".csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_OUT)
            writer.writerows((time_text(time_ns), symbol, timeframe, *row) for time_ns, symbol, timeframe, row in rows)
    else:
        _write_parquet(path, rows)


def _write_parquet(output: Path, rows: list[tuple[int, str, str, tuple[str, ...]]]) -> None:
    try:
        import pyarrow as arrow
        import pyarrow.parquet
    except ImportError:
        raise FeedError(output, "needs pyarrow, which is not installed", "pip install 'backstop-liquidator[data]', or write CSV") from None
    times = np.array([row[0] for row in rows], dtype=np.int64)
    columns: dict[str, Any] = {
        "time": arrow.array(times).cast(arrow.timestamp("ns", "UTC")),
        "market": arrow.array([row[1] for row in rows]),
        "timeframe": arrow.array([row[2] for row in rows]),
    }
    for place, column in enumerate(_OUT[3:]):
        columns[column] = arrow.array(_numbers([row[3][place] for row in rows]))
    pyarrow.parquet.write_table(arrow.table(columns), output, compression="zstd")


def _numbers(texts: list[str]) -> NDArray[np.float64] | list[str]:
    """Return floats where each reads back as the same decimal, else the texts."""
    floats = np.array([float(text) for text in texts], dtype=np.float64)
    # Of 15 digits every one survives.
    same = all(len(text) <= 15 or Decimal(repr(value)) == Decimal(text) for text, value in zip(texts, floats.tolist(), strict=True))
    return floats if same else texts
