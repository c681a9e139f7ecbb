"""Rows of a CSV, Parquet or Feather file, in chunks of columns. Knows files, not the meaning of
columns.

A CSV file stays text until a parser reads it, so that no digit is lost on the way. Parquet and
Feather need pyarrow (the extra ``data``); CSV, also gzipped, needs nothing.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from backstop.feeds.errors import FeedError

__all__ = ["CHUNK_ROWS", "Chunk", "Column", "Table", "open_table"]

#: Rows that are held as text at once.
CHUNK_ROWS = 1 << 16
#: A cell longer than this is no number, time or name.
_CELL_MAX = 1 << 16

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_FEATHER = (".feather", ".arrow")

#: Text as written, or numbers (float64, int64); ``None`` marks a missing text.
Column = Sequence[str | None] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file, column by column."""

    #: Rows of data before this chunk.
    rows_before: int
    rows: int
    columns: dict[str, Column]
    #: Line of each row in the file; CSV only.
    lines: NDArray[np.int64] | None
    #: Where a numeric column has no value.
    missing: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose header was read."""

    path: Path
    names: tuple[str, ...]
    is_text: bool

    def error(
        self, problem: str, expected: str, *, chunk: Chunk | None = None, place: int = 0, column: str | None = None, value: object = None
    ) -> FeedError:
        """Return the error of a cell; ``place`` is its row within the chunk."""
        row = None if chunk is None else chunk.rows_before + place + 1
        line = None if chunk is None or chunk.lines is None else int(chunk.lines[place])
        return FeedError(self.path, problem, expected, row=row, line=line, column=column, value=value)

    def require(self, *names: str) -> None:
        """Refuse the file unless it has these columns."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise self.error(
                f"column {missing[0]} is missing" if len(missing) == 1 else f"columns {', '.join(missing)} are missing",
                f"the file has {', '.join(self.names)}",
            )

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield these columns, some rows at a time."""
        return _csv_chunks(self, names) if self.is_text else _arrow_chunks(self, names)


def _ending(path: Path) -> str:
    name = path.name.lower()
    for ending in (*_CSV, *_PARQUET, *_FEATHER):
        if name.endswith(ending):
            return ending
    raise FeedError(path, "has an unknown ending", f"must be one of {', '.join((*_CSV, *_PARQUET, *_FEATHER))}")


def open_table(path: Path | str) -> Table:
    """Read a file's header; the ending says the format."""
    path = Path(path)
    ending = _ending(path)
    if not path.is_file():
        raise FeedError(path, "is not there" if not path.exists() else "is no file", "must be a readable file")
    if ending in _CSV:
        with _open_text(path) as stream:
            names = _csv_header(path, stream)
        return Table(path, names, True)
    return Table(path, _unique(path, _arrow_names(path)), False)


def _unique(path: Path, names: list[str]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise FeedError(path, f"has the column {name!r} twice", "must have each column once")
    return tuple(names)


# CSV


def _open_text(path: Path) -> TextIO:
    try:
        if path.name.lower().endswith(".gz"):
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise FeedError(path, f"could not be opened ({error.strerror or error})", "must be a readable file") from None


def _rows(path: Path, stream: TextIO) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(stream, strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise FeedError(path, f"is not UTF-8 text ({error.reason})", "must be a CSV file in UTF-8", line=reader.line_num + 1) from None
    except csv.Error as error:
        raise FeedError(path, f"is not CSV ({error})", "must be comma-separated text", line=reader.line_num) from None
    except (OSError, EOFError, zlib.error) as error:
        raise FeedError(path, f"could not be read ({error})", "must be a whole file", line=reader.line_num) from None


def _csv_header(path: Path, stream: TextIO) -> tuple[str, ...]:
    for _, cells in _rows(path, stream):
        return _unique(path, [cell.strip() for cell in cells])
    raise FeedError(path, "is empty", "must begin with a line of column names")


def _csv_chunks(table: Table, names: Sequence[str]) -> Iterator[Chunk]:
    places = [table.names.index(name) for name in names]
    width, before = len(table.names), 0
    with _open_text(table.path) as stream:
        rows = _rows(table.path, stream)
        next(rows)
        while block := list(islice(rows, CHUNK_ROWS)):
            for offset, (line, cells) in enumerate(block):
                if len(cells) != width or max(map(len, cells)) > _CELL_MAX:
                    problem = f"has {len(cells)} cells" if len(cells) != width else "has a cell that is too long"
                    raise FeedError(table.path, problem, f"must have {width}, one for each column", row=before + offset + 1, line=line)
            lines = np.array([line for line, _ in block], dtype=np.int64)
            columns: dict[str, Column] = {}
            for name, place in zip(names, places, strict=True):
                columns[name] = [cells[place].strip() or None for _, cells in block]
            yield Chunk(before, len(block), columns, lines, {})
            before += len(block)


# Parquet and Feather


def _arrow(path: Path) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise FeedError(
            path, "needs pyarrow, which is not installed", "pip install 'backstop-liquidator[data]', or give the rows as CSV"
        ) from None
    return pyarrow


def _arrow_failure(path: Path, error: Exception) -> FeedError:
    kind = "Feather" if _ending(path) in _FEATHER else "Parquet"
    return FeedError(path, f"is not a readable {kind} file ({_first_line(error)})", f"must be a whole {kind} file")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:120]


def _arrow_names(path: Path) -> list[str]:
    arrow = _arrow(path)
    try:
        if _ending(path) in _FEATHER:
            with arrow.memory_map(str(path)) as source:
                return list(arrow.ipc.open_file(source).schema.names)
        import pyarrow.parquet

        return list(pyarrow.parquet.read_schema(path).names)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise _arrow_failure(path, error) from None


def _arrow_batches(path: Path, names: Sequence[str]) -> Iterator[Any]:
    arrow = _arrow(path)
    try:
        if _ending(path) in _FEATHER:
            import pyarrow.feather

            yield from pyarrow.feather.read_table(path, columns=list(names)).to_batches(CHUNK_ROWS)
        else:
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                yield from _whole_batches(path, file, names)
    except (arrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FeedError):
            raise
        raise _arrow_failure(path, error) from None


def _whole_batches(path: Path, file: Any, names: Sequence[str]) -> Iterator[Any]:
    """Yield a Parquet file's batches; refuse it where a damaged column ends early and its rows are
    passed over.
    """
    rows = 0
    for batch in file.iter_batches(CHUNK_ROWS, columns=list(names)):
        rows += batch.num_rows
        yield batch
    if rows != file.metadata.num_rows:
        raise FeedError(path, f"has {rows} whole rows, and says it has {file.metadata.num_rows}", "must be a whole Parquet file")


def _arrow_chunks(table: Table, names: Sequence[str]) -> Iterator[Chunk]:
    before = 0
    for batch in _arrow_batches(table.path, names):
        if not batch.num_rows:
            continue
        columns: dict[str, Column] = {}
        missing: dict[str, NDArray[np.bool_]] = {}
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            columns[name], missing[name] = _column(table, name, array)
        yield Chunk(before, batch.num_rows, columns, None, missing)
        before += batch.num_rows


def _column(table: Table, name: str, array: Any) -> tuple[Column, NDArray[np.bool_]]:
    """Return an Arrow array as text, float64 or int64 (times: nanoseconds), and where it is null."""
    arrow = _arrow(table.path)
    types, compute = arrow.types, __import__("pyarrow.compute").compute
    try:
        # A damaged file can be read without complaint and name bytes far outside of it.
        array.validate(full=True)
        if types.is_dictionary(array.type):
            array = array.dictionary_decode()
        kind = array.type
        absent = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        if types.is_timestamp(kind) or types.is_date(kind):
            if types.is_timestamp(kind) and kind.tz not in (None, "UTC", "+00:00", "Etc/UTC", "Z"):
                raise table.error(f"is in time zone {kind.tz}", "must be in UTC", column=name)
            whole = array.cast(arrow.timestamp("ns")).cast(arrow.int64())
            return whole.fill_null(0).to_numpy(zero_copy_only=False), absent
        if types.is_integer(kind):
            return array.cast(arrow.int64()).fill_null(0).to_numpy(zero_copy_only=False), absent
        if types.is_float64(kind):
            return array.fill_null(0.0).to_numpy(zero_copy_only=False), absent
        if types.is_floating(kind):
            # The shortest decimal that this width reads back as the same number.
            return [None if value is None else str(value) for value in _scalars(array, absent)], absent
        if types.is_null(kind):
            return [None] * len(array), absent
        if types.is_string(kind) or types.is_large_string(kind) or types.is_decimal(kind):
            texts = array if not types.is_decimal(kind) else compute.cast(array, arrow.string())
            return [None if text is None else text.strip() or None for text in texts.to_pylist()], absent
    except arrow.ArrowException as error:
        raise table.error(f"does not fit ({_first_line(error)})", "must fit in 64 bits", column=name) from None
    except UnicodeDecodeError:
        raise table.error("is not UTF-8 text", "must be text in UTF-8", column=name) from None
    raise table.error(f"is of type {kind}", "must be text, a number or a time", column=name)


def _scalars(array: Any, absent: NDArray[np.bool_]) -> Iterator[Any]:
    values = array.fill_null(0).to_numpy(zero_copy_only=False)
    return (None if gone else value for value, gone in zip(values, absent, strict=True))
