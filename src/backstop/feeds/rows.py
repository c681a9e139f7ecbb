"""The way of price files to events: rows on the grid, streams, and the count of the values that did
not fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.feeds.errors import FeedError
from backstop.feeds.table import Table

__all__ = ["Cut", "Ints", "Rows", "Stream", "Tally", "inside", "row_error"]

Ints = NDArray[np.int64]
#: From when (inclusive) until when (exclusive) rows are kept.
Cut = tuple[int | None, int | None]


class Rows(NamedTuple):
    """Rows of one file on the grid."""

    time_ns: Ints
    market: Ints
    #: Line in the file; empty for Parquet.
    line: Ints
    #: mark, index, volume, open, high, low, close in steps; only those that the file has.
    steps: dict[str, Ints]
    missing: dict[str, NDArray[np.bool_]]


@dataclass(slots=True)
class Tally:
    """What did not fit, by market."""

    rows: dict[int, int] = field(default_factory=dict)
    rounded: dict[int, int] = field(default_factory=dict)
    error: dict[int, Fraction] = field(default_factory=dict)
    volumes: dict[int, int] = field(default_factory=dict)
    volume_error: dict[int, Fraction] = field(default_factory=dict)
    widened: dict[int, int] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    timeframe: dict[int, int] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)
    bars: int = 0


class Stream(NamedTuple):
    """Events of one kind, column by column."""

    kind: int
    time_ns: Ints
    market: Ints
    value: Ints


def inside(time_ns: Ints, start_ns: int | None, end_ns: int | None) -> NDArray[np.bool_]:
    """Return which times lie in the cut."""
    kept = np.ones(len(time_ns), dtype=bool)
    if start_ns is not None:
        kept &= time_ns >= start_ns
    if end_ns is not None:
        kept &= time_ns < end_ns
    return kept


def row_error(table: Table, rows: Rows, place: int, problem: str, expected: str, column: str, value: object) -> FeedError:
    """Return the error of a row, found after the whole file was read."""
    line = int(rows.line[place]) if len(rows.line) else None
    return FeedError(table.path, problem, expected, row=place + 1, line=line, column=column, value=value)
