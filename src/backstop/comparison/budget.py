"""Accounts with weights and caps from a file, for sharing a budget of money over them.

Columns ``account``, ``weight``, ``cap``; and, where there are such, ``score`` (order of policy
queue, the larger the earlier, of any sign), ``size`` (weight of pro_rata) and ``leverage``
(risk_aware weighs size x leverage).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backstop.config import Rounding
from backstop.feeds.columns import Grid, steps_of_column
from backstop.feeds.table import Chunk, Table, open_table
from backstop.printing import NAME_MAX

__all__ = ["DECIMALS", "BudgetTable", "read_budget_table"]

#: Decimals of an atom where nobody says otherwise: a millionth of the currency.
DECIMALS = 6

_NEEDED = ("account", "weight", "cap")
_OPTIONAL = ("score", "size", "leverage")
#: Leaves room for the sums of a million rows.
_MOST = 1 << 60
_LEVERAGE_STEP = Fraction(1, 1_000_000)
_LEVERAGE_MAX = 10**12

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """Candidates in order of the file; money in atoms. A candidate whose cap is 0 takes no part."""

    names: Sequence[str]
    #: Rounded up, so that nobody who has a weight loses it.
    weights: Ints
    #: Rounded down: nobody pays beyond its cap.
    caps: Ints
    asset: str = "USD"
    decimals: int = DECIMALS
    scores: Ints | None = None
    sizes: Ints | None = None
    leverage_ppm: Ints | None = None
    #: What did not fit, in words.
    notes: tuple[str, ...] = ()


def read_budget_table(path: Path | str, asset: str = "USD", decimals: int = DECIMALS) -> BudgetTable:
    """Read a CSV, Parquet or Feather file.

    Caps are rounded down to atoms, weights and sizes up, scores to the nearest, leverage down to
    ppm. Raises ``FeedError`` naming file, line, column and value.
    """
    table = open_table(path)
    table.require(*_NEEDED)
    present = [name for name in _OPTIONAL if name in table.names]
    names: list[str] = []
    known: set[str] = set()
    columns: dict[str, list[int]] = {name: [] for name in (*_NEEDED[1:], *present)}
    unfit = 0
    for chunk in table.chunks([*_NEEDED, *present]):
        _gather_names(table, chunk, names, known)
        for name, column in columns.items():
            values, count = _column(table, chunk, name, decimals)
            column += values
            unfit += count
        _refuse_weightless(table, chunk, columns, len(names) - chunk.rows)
    if not names:
        raise table.error("has no rows of data", "must have at least one account")
    arrays = {name: np.array(column, dtype=np.int64) for name, column in columns.items()}
    return BudgetTable(
        names,
        arrays["weight"],
        arrays["cap"],
        asset,
        decimals,
        arrays.get("score"),
        arrays.get("size"),
        arrays.get("leverage"),
        (f"{unfit:,} values rounded to {10**-decimals:.{decimals}f} {asset}",) if unfit else (),
    )


def _gather_names(table: Table, chunk: Chunk, names: list[str], known: set[str]) -> None:
    for place, cell in enumerate(chunk.columns["account"]):
        name = "" if cell is None else str(cell)
        if not name or name in known:
            problem = "stands twice" if name else "is missing"
            raise table.error(problem, "must have one row an account", chunk=chunk, place=place, column="account", value=name or None)
        if len(name) > NAME_MAX:
            raise table.error(
                "is too long", f"must have at most {NAME_MAX} letters", chunk=chunk, place=place, column="account", value=name
            )
        known.add(name)
        names.append(name)


def _column(table: Table, chunk: Chunk, name: str, decimals: int) -> tuple[list[int], int]:
    """Return a column in steps, and how many cells were rounded."""
    step, most, least = Fraction(1, 10**decimals), _MOST, 0
    rounding, expected = Rounding.CEIL, "must be a number, 0 or more"
    if name == "cap":
        rounding = Rounding.FLOOR
    elif name == "score":
        rounding, expected, least = Rounding.HALF_EVEN, "must be a number", -_MOST
    elif name == "leverage":
        step, most, rounding = _LEVERAGE_STEP, _LEVERAGE_MAX, Rounding.FLOOR
    grid = Grid((step,), (most,), rounding)
    steps = steps_of_column(table, chunk, name, grid, np.zeros(chunk.rows, dtype=np.int64), expected=expected, least=least)
    return steps.values.tolist(), int(steps.unfit.sum())


def _refuse_weightless(table: Table, chunk: Chunk, columns: dict[str, list[int]], before: int) -> None:
    """Whoever has a cap must have a weight: in proportion to nothing there is no share."""
    for name in ("weight", "size"):
        for place, (value, cap) in enumerate(zip(columns.get(name, [])[before:], columns["cap"][before:], strict=False)):
            if cap > 0 and value == 0:
                raise table.error("is zero", "must be above 0 where the cap is", chunk=chunk, place=place, column=name)
