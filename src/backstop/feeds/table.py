"""Rows of a CSV, Parquet or Feather file, in chunks of columns. Knows files, not the meaning of
columns.

A CSV file stays text until a parser reads it, so that no digit is lost on the way. Parquet and
Feather need pyarrow (the extra ``data``); CSV, also gzipped, needs nothing. What a file takes in
memory is bounded by its size (``sizes``), whatever it says of itself.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from backstop.feeds.errors import FeedError
from backstop.feeds.pages import page_sizes
from backstop.feeds.sizes import Allowance, message_size
from backstop.printing import shown_name

__all__ = ["CHUNK_ROWS", "Chunk", "Column", "Table", "names_text", "open_table"]

#: Rows that are held as text at once, and letters.
CHUNK_ROWS = 1 << 16
_CHUNK_LETTERS = 1 << 24
#: A cell longer than this is no number, time or name.
_CELL_MAX = 1 << 13
_TOO_LONG, _TOO_LONG_EXPECTED = "has a cell that is too long", f"must have at most {_CELL_MAX:,} letters in a cell"
#: Letters of one row of CSV, cells that nobody reads among them.
_ROW_MAX = 1 << 20
_COLUMNS_MAX = 1_000
#: Column names that a message lists.
_LISTED_MAX = 20

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_FEATHER = (".feather", ".arrow")
#: Bytes of a Feather file before its stream.
_FEATHER_MAGIC_BYTES = 8

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
                f"the file has {names_text(self.names)}",
            )

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield these columns, some rows at a time."""
        return _csv_chunks(self, names) if self.is_text else _arrow_chunks(self, names)


def names_text(names: Sequence[str]) -> str:
    """Return names of columns as a message lists them: escaped, and not all of very many."""
    more = f" and {len(names) - _LISTED_MAX:,} more" if len(names) > _LISTED_MAX else ""
    return ", ".join(map(shown_name, names[:_LISTED_MAX])) + more


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
    if len(names) > _COLUMNS_MAX:
        raise FeedError(path, f"has {len(names):,} columns", f"must have at most {_COLUMNS_MAX:,}")
    known: set[str] = set()
    for name in names:
        if name in known:
            raise FeedError(path, f"has the column {shown_name(name)!r} twice", "must have each column once")
        known.add(name)
    return tuple(names)


# CSV


def _open_text(path: Path) -> TextIO:
    try:
        if path.name.lower().endswith(".gz"):
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise FeedError(path, f"could not be opened ({error.strerror or error})", "must be a readable file") from None


class _Lines:
    """The lines of a text, no row of them beyond ``_ROW_MAX`` letters, and of a packed file no more
    than it may grow to.
    """

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path, self._stream = path, stream
        self._allowance = Allowance(path) if path.name.lower().endswith(".gz") else None
        self.line = self.row_letters = 0

    def __iter__(self) -> Iterator[str]:
        while text := self._stream.readline(_ROW_MAX + 1 - self.row_letters):
            self.row_letters += len(text)
            self.line += 1
            if self._allowance is not None:
                self._allowance.take(len(text))
            if self.row_letters > _ROW_MAX:
                raise FeedError(self._path, "has a row that does not end", f"must have at most {_ROW_MAX:,} letters", line=self.line)
            yield text


def _rows(path: Path, stream: TextIO) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the rows that are not empty: line, letters and cells."""
    lines = _Lines(path, stream)
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            letters, lines.row_letters = lines.row_letters, 0
            if cells:
                yield reader.line_num, letters, cells
    except UnicodeDecodeError as error:
        raise FeedError(path, f"is not UTF-8 text ({error.reason})", "must be a CSV file in UTF-8", line=reader.line_num + 1) from None
    except csv.Error as error:
        raise FeedError(path, f"is not CSV ({error})", "must be comma-separated text", line=reader.line_num) from None
    except (OSError, EOFError, zlib.error) as error:
        raise FeedError(path, f"could not be read ({error})", "must be a whole file", line=reader.line_num) from None


def _csv_header(path: Path, stream: TextIO) -> tuple[str, ...]:
    for _, _, cells in _rows(path, stream):
        return _unique(path, [cell.strip() for cell in cells])
    raise FeedError(path, "is empty", "must begin with a line of column names")


def _csv_chunks(table: Table, names: Sequence[str]) -> Iterator[Chunk]:
    places = [table.names.index(name) for name in names]
    before = 0
    with _open_text(table.path) as stream:
        rows = _rows(table.path, stream)
        next(rows)
        while block := list(_block(table, rows, places, before)):
            lines = np.array([line for line, _ in block], dtype=np.int64)
            columns: dict[str, Column] = {name: [cells[place] for _, cells in block] for place, name in enumerate(names)}
            yield Chunk(before, len(block), columns, lines, {})
            before += len(block)


def _block(
    table: Table, rows: Iterator[tuple[int, int, list[str]]], places: list[int], before: int
) -> Iterator[tuple[int, list[str | None]]]:
    """Yield line and wanted cells of the next rows, as many as are held at once."""
    width, held = len(table.names), 0
    for place, (line, letters, cells) in enumerate(islice(rows, CHUNK_ROWS)):
        if len(cells) != width:
            problem = f"has {len(cells):,} cells"
            raise FeedError(table.path, problem, f"must have {width}, one for each column", row=before + place + 1, line=line)
        wanted = [cells[column].strip() or None for column in places]
        for column, cell in zip(places, wanted, strict=True):
            if cell is not None and len(cell) > _CELL_MAX:
                raise FeedError(
                    table.path, _TOO_LONG, _TOO_LONG_EXPECTED, row=before + place + 1, line=line, column=shown_name(table.names[column])
                )
        yield line, wanted
        held += letters
        if held > _CHUNK_LETTERS:
            return


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


def _arrow_batches(table: Table, names: Sequence[str]) -> Iterator[Any]:
    path = table.path
    arrow = _arrow(path)
    try:
        if _ending(path) in _FEATHER:
            yield from _feather_batches(table, names)
        else:
            yield from _parquet_batches(table, names)
    except (arrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FeedError):
            raise
        raise _arrow_failure(path, error) from None


def _feather_batches(table: Table, names: Sequence[str]) -> Iterator[Any]:
    """Yield a Feather file's batches.

    It is read as the stream that it holds: each message was looked at before it is unpacked.
    """
    arrow = _arrow(table.path)
    allowance = Allowance(table.path)
    with arrow.memory_map(str(table.path)) as source:
        stream = source.read_buffer()[_FEATHER_MAGIC_BYTES:]
        for message in arrow.ipc.MessageReader.open_stream(stream):
            body = message.body
            allowance.take(message_size(message.metadata.to_pybytes(), memoryview(body) if body is not None else b""))
        with arrow.ipc.open_stream(stream) as reader:
            if tuple(reader.schema.names) != table.names:
                raise FeedError(table.path, "has other columns at its end than at its beginning", "must be a whole Feather file")
            _check_types(table, reader.schema, names)
            for batch in reader:
                chosen = batch.select(list(names))
                yield from (chosen.slice(first, CHUNK_ROWS) for first in range(0, chosen.num_rows, CHUNK_ROWS))


def _parquet_batches(table: Table, names: Sequence[str]) -> Iterator[Any]:
    import pyarrow.parquet as parquet

    allowance = Allowance(table.path)
    with parquet.ParquetFile(table.path) as file:
        _check_types(table, file.schema_arrow, names)
        allowance.take(8 * file.metadata.num_rows * len(names))
        _check_pages(table, file.metadata, names, allowance)
        types = _arrow(table.path).types
        texts = [name for name in names if types.is_string(file.schema_arrow.field(name).type)]
    # One long text that stands in every row stays one text, until its length was looked at.
    with parquet.ParquetFile(table.path, read_dictionary=texts) as file:
        yield from _whole_batches(table.path, file, names)


def _check_pages(table: Table, metadata: Any, names: Sequence[str], allowance: Allowance) -> None:
    """Count what the pages of these columns unpack to: by the footer, and by the pages themselves.

    Raises ``FeedError``.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    wanted = [column for column in columns if column.path_in_schema in names]
    for column in wanted:
        allowance.take(column.total_uncompressed_size)
    pages = Allowance(table.path)
    with table.path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped, memoryview(mapped) as content:
        for column in wanted:
            first, before = column.data_page_offset, column.dictionary_page_offset
            start = before if before is not None and 0 < before < first else first
            for size in page_sizes(content, start, column.total_compressed_size):
                pages.take(size)


def _check_types(table: Table, schema: Any, names: Sequence[str]) -> None:
    """Refuse columns of a type that is not read, before they are unpacked."""
    for name in names:
        kind = schema.field(name).type
        if not _is_known(table, kind):
            raise _type_error(table, name, kind)


def _is_known(table: Table, kind: Any) -> bool:
    types = _arrow(table.path).types
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_timestamp, types.is_date, types.is_integer, types.is_floating, types.is_null)
    return any(test(kind) for test in (*tests, types.is_string, types.is_large_string, types.is_decimal))


def _type_error(table: Table, name: str, kind: Any) -> FeedError:
    return table.error(f"is of type {kind}", "must be text, a number or a time", column=name)


def _whole_batches(path: Path, file: Any, names: Sequence[str]) -> Iterator[Any]:
    """Yield a Parquet file's batches; refuse it where a damaged column ends early and its rows are
    passed over.
    """
    rows = 0
    for batch in file.iter_batches(CHUNK_ROWS, columns=list(names)):
        rows += batch.num_rows
        if rows > file.metadata.num_rows:
            break
        yield batch
    if rows != file.metadata.num_rows:
        raise FeedError(path, f"has {rows} whole rows, and says it has {file.metadata.num_rows}", "must be a whole Parquet file")


def _arrow_chunks(table: Table, names: Sequence[str]) -> Iterator[Chunk]:
    before = 0
    for batch in _arrow_batches(table, names):
        if not batch.num_rows:
            continue
        columns: dict[str, Column] = {}
        missing: dict[str, NDArray[np.bool_]] = {}
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            columns[name], missing[name] = _column(table, name, array)
        yield Chunk(before, batch.num_rows, columns, None, missing)
        before += batch.num_rows


def _column(table: Table, name: str, array: Any) -> tuple[Column, NDArray[np.bool_]]:
    """Return an Arrow array as text, float64 or int64 (times: nanoseconds), and where it is
    null.
    """
    arrow = _arrow(table.path)
    types, compute = arrow.types, __import__("pyarrow.compute").compute
    try:
        # A damaged file can be read without complaint and name bytes far outside of it.
        array.validate(full=True)
        _refuse_long(table, name, array)
        if types.is_dictionary(array.type) and types.is_string(array.type.value_type):
            return _shared_texts(array)
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
    raise _type_error(table, name, kind)


def _refuse_long(table: Table, name: str, array: Any) -> None:
    """Refuse texts that are too long for a cell."""
    arrow = _arrow(table.path)
    types, compute = arrow.types, __import__("pyarrow.compute").compute
    values = array.dictionary if types.is_dictionary(array.type) else array
    if types.is_string(values.type) or types.is_large_string(values.type):
        longest = compute.max(compute.binary_length(values)).as_py() or 0
        if longest > _CELL_MAX:
            raise table.error(_TOO_LONG, _TOO_LONG_EXPECTED, column=name)


def _shared_texts(array: Any) -> tuple[Column, NDArray[np.bool_]]:
    """Return the texts of a dictionary array, each of them once in memory, and where there is
    none.
    """
    texts = [None if text is None else text.strip() or None for text in array.dictionary.to_pylist()]
    absent = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    return [None if place is None else texts[place] for place in array.indices.to_pylist()], absent


def _scalars(array: Any, absent: NDArray[np.bool_]) -> Iterator[Any]:
    values = array.fill_null(0).to_numpy(zero_copy_only=False)
    return (None if gone else value for value, gone in zip(values, absent, strict=True))
