"""The scans that the trigger index is measured against: full and per market, compiled; and NumPy.

They find the accounts whose equity is below maintenance from columns of their own, laid out as well
as such a scan can want them: positions by account, side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.book import NOTIONAL_FACTOR, TIERS, Book

Column = NDArray[np.int64]


class Columns(NamedTuple):
    """A book by columns: account a holds positions ``start[a]`` to ``start[a + 1]``."""

    start: Column
    market: Column
    lots: Column
    cost: Column
    balance: Column
    floor: Column
    rate_ppm: Column
    deduction: Column


def columns_of(book: Book, accounts: int) -> Columns:
    """Return the columns of a book as it was opened."""
    start = np.zeros(accounts + 1, dtype=np.int64)
    np.cumsum(np.bincount(book.account, minlength=accounts), out=start[1:])
    floor = np.array([tier.floor_atoms for tier in TIERS])
    rate = np.array([tier.maintenance_rate_ppm for tier in TIERS])
    deduction = np.r_[0, np.cumsum(floor[1:] * np.diff(rate) // 1_000_000)]
    cost = book.lots * 100_000 * NOTIONAL_FACTOR
    return Columns(start, book.market, book.lots, cost, book.collateral, floor, rate, deduction)


@numba.njit(cache=False)
def _scan(start, market, lots, cost, balance, floor, rate_ppm, deduction, marks, first, last, found, count):  # type: ignore[no-untyped-def]
    for account in range(first, last):
        equity, maintenance = balance[account], 0
        for place in range(start[account], start[account + 1]):
            value = lots[place] * marks[market[place]] * NOTIONAL_FACTOR
            equity += value - cost[place]
            notional = abs(value)
            tier = 0
            while tier + 1 < len(floor) and floor[tier + 1] <= notional:
                tier += 1
            maintenance += (notional * rate_ppm[tier] + 999_999) // 1_000_000 - deduction[tier]
        if equity < maintenance:
            found[count] = account
            count += 1
    return count


@numba.njit(cache=False)
def _scan_some(start, market, lots, cost, balance, floor, rate_ppm, deduction, marks, accounts, found):  # type: ignore[no-untyped-def]
    count = 0
    for account in accounts:
        count = _scan(start, market, lots, cost, balance, floor, rate_ppm, deduction, marks, account, account + 1, found, count)
    return count


def full_scan(columns: Columns, marks: Column, found: Column) -> int:
    """Put every distressed account into ``found``; return how many."""
    return int(_scan(*columns, marks, 0, len(columns.balance), found, 0))


def market_scan(columns: Columns, marks: Column, holders: Column, found: Column) -> int:
    """Do the same over the accounts that hold one market."""
    return int(_scan_some(*columns, marks, holders, found))


def numpy_scan(columns: Columns, marks: Column) -> Column:
    """Return the distressed accounts, vectorised over all positions."""
    value = columns.lots * marks[columns.market] * NOTIONAL_FACTOR
    notional = np.abs(value)
    tier = np.searchsorted(columns.floor, notional, side="right") - 1
    margin = (notional * columns.rate_ppm[tier] + 999_999) // 1_000_000 - columns.deduction[tier]
    equity = columns.balance + np.add.reduceat(value - columns.cost, columns.start[:-1])
    return np.flatnonzero(equity < np.add.reduceat(margin, columns.start[:-1]))
