"""Rows of a file as plain values: how they are spoilt, written, and read again without the
project's readers.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.feather
import pyarrow.parquet

from backstop.feeds.errors import FeedError
from tests.fuzz.mutate import EDGE_TEXTS, EDGE_TIMES, edge_number, spoilt_bytes
from tests.fuzz.target import Found

__all__ = ["Naive", "Rows", "check_refusal", "naive_number", "naive_rows", "naive_time", "spoil", "written"]

#: What a cell is: a text, a number of one width, a time, or nothing.
Cell = Any


@dataclass
class Rows:
    """A table as plain texts, and which columns are times and numbers."""

    names: list[str]
    cells: list[list[str]]
    times: tuple[str, ...]
    numbers: tuple[str, ...]


class Naive(Exception):
    """The plain reading finds that these rows must not be loaded."""


# Spoiling


def _set_cell(rng: Random, rows: Rows) -> None:
    row = rng.choice(rows.cells)
    place = rng.randrange(len(row))
    name = rows.names[place] if place < len(rows.names) else ""
    right = EDGE_TIMES if name in rows.times else None
    if rng.random() < 0.15:
        row[place] = rng.choice(EDGE_TEXTS)
    elif right is not None:
        row[place] = rng.choice(right)
    elif name in rows.numbers or rng.random() < 0.3:
        row[place] = edge_number(rng)
    else:
        row[place] = rng.choice(EDGE_TEXTS)


def _set_column(rng: Random, rows: Rows) -> None:
    """One kind of value in all rows, as a tool writes it."""
    place = rng.randrange(len(rows.names))
    change: Callable[[str], str] = rng.choice(
        (str.strip, lambda text: "", lambda text: text + "0", lambda text: f"{text}e0", lambda text: f"-{text}", lambda text: f" {text}\t")
    )
    for row in rows.cells:
        if place < len(row):
            row[place] = change(row[place])


def _swap_cells(rng: Random, rows: Rows) -> None:
    row = rng.choice(rows.cells)
    one, other = rng.randrange(len(row)), rng.randrange(len(row))
    row[one], row[other] = row[other], row[one]


def _row_moved(rng: Random, rows: Rows) -> None:
    rows.cells.insert(rng.randint(0, len(rows.cells)), rows.cells.pop(rng.randrange(len(rows.cells))))


def _row_again(rng: Random, rows: Rows) -> None:
    rows.cells.insert(rng.randint(0, len(rows.cells)), list(rng.choice(rows.cells)))


def _row_gone(rng: Random, rows: Rows) -> None:
    rows.cells.pop(rng.randrange(len(rows.cells)))


def _all_gone(rng: Random, rows: Rows) -> None:
    rows.cells.clear()


def _cell_gone(rng: Random, rows: Rows) -> None:
    row = rng.choice(rows.cells)
    row.pop(rng.randrange(len(row)))


def _cell_more(rng: Random, rows: Rows) -> None:
    row = rng.choice(rows.cells)
    row.insert(rng.randint(0, len(row)), rng.choice(EDGE_TEXTS))


def _column_gone(rng: Random, rows: Rows) -> None:
    place = rng.randrange(len(rows.names))
    for row in (rows.names, *rows.cells):
        del row[place : place + 1]


def _column_moved(rng: Random, rows: Rows) -> None:
    one, other = rng.randrange(len(rows.names)), rng.randrange(len(rows.names))
    for row in (rows.names, *rows.cells):
        if max(one, other) < len(row):
            row[one], row[other] = row[other], row[one]


def _column_again(rng: Random, rows: Rows) -> None:
    place = rng.randrange(len(rows.names))
    for row in (rows.names, *rows.cells):
        row.append(row[place] if place < len(row) else "")


def _column_more(rng: Random, rows: Rows) -> None:
    name = rng.choice(("note", "mark", "index", "volume", "timeframe", "open", "", "close", "tf", "kind", rng.choice(EDGE_TEXTS)))
    value = rng.choice((edge_number(rng), "5m", "1h", "0m", "999999w", "", "futures", "1.5"))
    rows.names.append(name)
    for row in rows.cells:
        row.append(value)


def _renamed(rng: Random, rows: Rows) -> None:
    place = rng.randrange(len(rows.names))
    name = rows.names[place]
    rows.names[place] = rng.choice((name.upper(), f" {name} ", f"\ufeff{name}", name[:-1], rng.choice(rows.names), rng.choice(EDGE_TEXTS)))


def _name_long(rng: Random, rows: Rows) -> None:
    """A name at the edge of what a door takes, in every row that has it."""
    place = rng.randrange(len(rows.names))
    before, after = rng.choice(rows.cells), "n" * rng.choice((255, 256, 257, 8192, 8193))
    if place < len(before):
        old = before[place]
        for row in rows.cells:
            if place < len(row) and row[place] == old:
                row[place] = after


def _columns_many(rng: Random, rows: Rows) -> None:
    count = rng.choice((990, 1_000, 1_001))
    rows.names += [f"more{number}" for number in range(count - len(rows.names))]
    for row in rows.cells:
        row += [""] * (count - len(row))


_WAYS = (
    _name_long,
    _name_long,
    *(_set_cell,) * 10,
    *(_set_column, _swap_cells, _row_moved, _row_again, _row_gone, _all_gone, _cell_gone, _cell_more, _column_gone),
    *(_column_moved, _column_moved, _column_again, _column_more, _column_more, _renamed),
)


def spoil(rng: Random, rows: Rows) -> int:
    """Do some things to the rows; return how many."""
    if rows.cells and rng.random() < 0.004:
        _columns_many(rng, rows)
    count = rng.choice((0, 1, 1, 1, 2, 3))
    for _ in range(count):
        if rows.cells and rows.names and all(rows.cells):
            rng.choice(_WAYS)(rng, rows)
    return count


# Writing


def written(rng: Random, rows: Rows, stem: Path) -> tuple[Path, bool]:
    """Write the rows in some format under ``stem``; return the file, and whether nothing was done
    to its bytes.
    """
    if rng.random() < 0.004:
        return _grown(rng, rows, stem), False
    kind = rng.choice((".csv",) * 10 + (".csv.gz", ".parquet", ".parquet", ".parquet", ".feather"))
    try:
        data = _csv_bytes(rng, rows) if kind.startswith(".csv") else _arrow_bytes(rng, rows, kind)
    except arrow.ArrowException:  # a time that its column cannot hold
        kind, data = ".csv", _csv_bytes(rng, rows)
    whole = rng.random() < 0.75
    if not whole:
        data = spoilt_bytes(rng, data)
    path = stem.with_name(stem.name + kind)
    path.write_bytes(gzip.compress(data, 1) if kind == ".csv.gz" and rng.random() < 0.8 else data)
    return path, whole and kind != ".csv.gz"


def _grown(rng: Random, rows: Rows, stem: Path) -> Path:
    """Write rows that grow beyond measure when they are read: a cell, a row or a file of the same
    thing again and again.
    """
    many = 64 << 20
    if rng.random() < 0.5 or not rows.names:
        path = stem.with_name(stem.name + ".csv.gz")
        row = rng.choice((",", '"\n",', ",".join(rng.choice(rows.cells or [["x"]])) + "\n", "x"))
        text = ",".join(rows.names) + "\n" + row * (many // len(row) + 1)
        path.write_bytes(gzip.compress(text.encode("utf-8", "replace"), 1))
        return path
    kind = rng.choice((".parquet", ".feather"))
    path = stem.with_name(stem.name + kind)
    count = rng.choice((many // 8, 5_000))
    texts = ["x" * (many // 64 if count == 5_000 else 1)]
    column = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(count, dtype=np.int32)), arrow.array(texts))
    names = list(dict.fromkeys(name.replace("\x00", "0") for name in rows.names))
    table = arrow.table(dict.fromkeys(names, column))
    if kind == ".parquet":
        arrow.parquet.write_table(table, path, compression="zstd", row_group_size=count)
    else:
        arrow.feather.write_feather(table, path, compression="zstd", chunksize=count)
    return path


def _csv_bytes(rng: Random, rows: Rows) -> bytes:
    stream = io.StringIO(newline="")
    ending = rng.choice(("\n", "\n", "\r\n"))
    writer = csv.writer(stream, lineterminator=ending, quoting=rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    writer.writerow(rows.names)
    writer.writerows(rows.cells)
    text = stream.getvalue()
    if rng.random() < 0.05:
        text = text.rstrip("\r\n") if rng.random() < 0.5 else text + ending * 2
    return text.encode("utf-8-sig" if rng.random() < 0.05 else "utf-8", "replace")


def _arrow_bytes(rng: Random, rows: Rows, kind: str) -> bytes:
    fields = [(name, _arrow_column(rng, rows, place)) for place, name in enumerate(rows.names)]
    table = arrow.Table.from_arrays([column for _, column in fields], names=[name.replace("\x00", "0") for name, _ in fields])
    sink = io.BytesIO()
    if kind == ".feather":
        arrow.feather.write_feather(table, sink, compression=rng.choice(("uncompressed", "zstd", "lz4")))
    else:
        arrow.parquet.write_table(
            table,
            sink,
            compression=rng.choice(("none", "zstd", "snappy")),
            use_dictionary=rng.random() < 0.5,
            row_group_size=rng.choice((2, 1000)),
            store_schema=rng.random() < 0.8,
        )
    return sink.getvalue()


def _arrow_column(rng: Random, rows: Rows, place: int) -> Any:
    """Return a column in some type that its texts allow; texts where none does."""
    texts = [row[place] if place < len(row) else "" for row in rows.cells]
    values = [text.strip() or None for text in texts]
    name = rows.names[place]
    if name in rows.times and rng.random() < 0.7:
        ways: tuple[Callable[[Random, list[Any]], Any], ...] = (_as_times, _as_times, _as_whole)
    elif name in rows.numbers and rng.random() < 0.85:
        ways = (_as_floats, _as_floats, _as_floats, _as_whole, _as_decimals, _as_narrow, _as_unsigned)
    else:
        ways = (_as_text, _as_text, _as_text, _as_dictionary, _as_odd)
    try:
        return rng.choice(ways)(rng, values)
    except (ValueError, OverflowError, InvalidOperation, TypeError, arrow.ArrowException):
        return _as_text(rng, values)


def _as_text(rng: Random, values: list[Any]) -> Any:
    return arrow.array([None if value is None else value.encode("utf-8", "replace").decode() for value in values], arrow.string())


def _as_dictionary(rng: Random, values: list[Any]) -> Any:
    return _as_text(rng, values).dictionary_encode()


def _as_odd(rng: Random, values: list[Any]) -> Any:
    """Types that no reader takes, or hardly any."""
    text = _as_text(rng, values)
    kind = rng.choice(("large", "binary", "list", "null", "bool", "struct", "duration", "time"))
    match kind:
        case "large":
            return text.cast(arrow.large_string())
        case "binary":
            return text.cast(arrow.binary())
        case "list":
            return arrow.array([[value] for value in values])
        case "null":
            return arrow.nulls(len(values))
        case "bool":
            return arrow.array([value is not None for value in values])
        case "struct":
            return arrow.array([{"time": 1, "mark": value} for value in values])
        case "duration":
            return arrow.array([5 for _ in values], arrow.duration("ns"))
    return arrow.array([5 for _ in values], arrow.time64("ns"))


def _as_floats(rng: Random, values: list[Any]) -> Any:
    return arrow.array([None if value is None else float(value) for value in values], arrow.float64())


def _as_narrow(rng: Random, values: list[Any]) -> Any:
    with np.errstate(over="ignore"):
        floats = [None if value is None else np.float32(float(value)) for value in values]
        return arrow.array(floats, rng.choice((arrow.float32(), arrow.float32(), arrow.float16())))


def _as_whole(rng: Random, values: list[Any]) -> Any:
    whole = [None if value is None else int(naive_time(value) if "-" in value[1:] else Fraction(Decimal(value))) for value in values]
    if whole and rng.random() < 0.2:
        whole[rng.randrange(len(whole))] = rng.choice((-(1 << 63), (1 << 63) - 1, -(1 << 62), 1 << 62, 1 << 53, 0, -1))
    return arrow.array(whole, rng.choice((arrow.int64(), arrow.int64(), arrow.int32())))


def _as_unsigned(rng: Random, values: list[Any]) -> Any:
    return arrow.array([None if value is None else int(Decimal(value)) for value in values], arrow.uint64())


def _as_decimals(rng: Random, values: list[Any]) -> Any:
    return arrow.array([None if value is None else Decimal(value) for value in values])


def _as_times(rng: Random, values: list[Any]) -> Any:
    whole = arrow.array([None if value is None else naive_time(value) for value in values], arrow.int64())
    unit = rng.choice(("ns", "ns", "us", "ms", "s"))
    zone = rng.choice((None, "UTC", "UTC", "+00:00", "Europe/Berlin", "nowhere"))
    scale = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}[unit]
    if rng.random() < 0.1:
        scale = 1  # a time in another unit than it says
    counts = arrow.array([None if value is None else value // scale for value in whole.to_pylist()], arrow.int64())
    if rng.random() < 0.1:
        return counts.cast(arrow.timestamp(unit)).cast(arrow.date32(), safe=False)
    return counts.cast(arrow.timestamp(unit, zone))


# Reading again, plainly


def naive_rows(path: Path, wanted: Collection[str]) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows: texts of a CSV file; of an Arrow file texts, whole numbers, exact
    decimals, nanoseconds.

    Columns of an Arrow file that are not ``wanted`` are left out: a file that is damaged there is
    read all the same.
    """
    if path.name.endswith((".csv", ".gz")):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        return [name.strip() for name in rows[0]], [[cell.strip() or None for cell in row] for row in rows[1:]]
    names = _arrow_names(path)
    if len(set(names)) < len(names):
        raise Naive("a column stands twice")
    held = [name for name in names if name in wanted]
    try:
        columns = [_plain_column(column) for column in _arrow_table(path, held).columns]
    except (OSError, ValueError, arrow.ArrowException):
        # A column that the reader has no use for may be what is damaged: without a value it stands
        # for itself.
        columns = _one_by_one(path, held)
    return held, [list(row) for row in zip(*columns, strict=True)]


def _arrow_names(path: Path) -> list[str]:
    if path.name.endswith(".parquet"):
        return list(arrow.parquet.read_schema(path).names)
    with arrow.ipc.open_file(str(path)) as file:
        return list(file.schema.names)


def _arrow_table(path: Path, names: list[str]) -> Any:
    read = arrow.parquet.read_table if path.name.endswith(".parquet") else arrow.feather.read_table
    return read(path, columns=names).select(names)


def _at_once(path: Path, names: list[str]) -> Any:
    with arrow.parquet.ParquetFile(path) as file:
        return file.read(columns=names)


def _one_by_one(path: Path, names: list[str]) -> list[list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for name in names:
        # What describes a column twice may be damaged in one of the places: the data are read by
        # either.
        for read in (_arrow_table, _at_once):
            with suppress(OSError, ValueError, arrow.ArrowException):
                found[name] = _plain_column(read(path, [name]).column(0))
                break
    rows = max(map(len, found.values()), default=0)
    return [found.get(name, [None] * rows) for name in names]


_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def _plain_column(column: Any) -> list[Cell]:
    kind = column.type
    if arrow.types.is_dictionary(kind):
        column = arrow.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], kind.value_type)
        kind = column.type
    if arrow.types.is_timestamp(kind):
        return [None if count is None else int(count) * _UNITS[kind.unit] for count in column.cast(arrow.int64()).to_pylist()]
    if arrow.types.is_date32(kind):
        return [None if count is None else int(count) * 86_400_000_000_000 for count in column.cast(arrow.int32()).to_pylist()]
    if arrow.types.is_floating(kind) and not arrow.types.is_float64(kind):
        narrow = np.float32 if arrow.types.is_float32(kind) else np.float16
        return [None if value is None else str(narrow(value)) for value in column.to_pylist()]
    if arrow.types.is_floating(kind):
        return [None if value is None else repr(value) for value in column.to_pylist()]
    if arrow.types.is_integer(kind):
        return list(column.to_pylist())
    if arrow.types.is_time(kind) or arrow.types.is_duration(kind):
        return [f"a {kind}"] * len(column)
    return [None if value is None else str(value).strip() or None for value in column.to_pylist()]


def naive_number(cell: Cell) -> Fraction:
    """Return the exact value of a cell."""
    if isinstance(cell, int):
        return Fraction(cell)
    try:
        return Fraction(Decimal(cell))
    except (InvalidOperation, ValueError, OverflowError, TypeError) as error:
        raise Naive(f"{str(cell)[:40]!r} is no number: {error}") from None


def naive_time(cell: Cell) -> int:
    """Return nanoseconds since 1970."""
    if isinstance(cell, int):
        return cell
    text = str(cell).strip()
    if text.lstrip("-").isdigit():
        return int(text)
    for zone in ("Z", "+00:00", "-00:00", "+0000", "-0000"):
        text = text.removesuffix(zone)
    day, _, clock = text.replace("T", " ").partition(" ")
    clock, _, part = clock.partition(".")
    pieces = [int(piece) for piece in clock.split(":")] if clock else []
    hour, minute, second = (*pieces, 0, 0, 0)[:3]
    days = int(np.datetime64(day, "D").astype(np.int64))
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        raise ValueError(f"{text[:40]!r} is no time")
    return ((days * 24 + hour) * 3600 + minute * 60 + second) * 1_000_000_000 + int((part + "0" * 9)[:9] if part else 0)


def check_refusal(error: FeedError, paths: list[Path]) -> None:
    """See that a refusal names one of the files, what is wrong and what would be right."""
    text = str(error)
    if not any(str(path) in text for path in paths):
        raise Found(f"refusal names no file: {text[:200]}")
    if "malloc" in text or "memory" in text:
        raise Found(f"refused for want of memory: {text[:200]}")
    if not error.problem or not error.expected or len(text) > 4_000:
        raise Found(f"refusal is empty or endless: {text[:200]}")
