"""Who defaulted: when, in what state, what of theirs was closed, and what it cost others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import FUND, Cause, EffectArray, EffectKind, Health

__all__ = ["Defaulter", "Defaulters"]

Ints = NDArray[np.int64]

#: Columns of what a default cost others.
_COSTS = ("fund_paid", "adl_paid", "socialised", "uncovered")
_FUND_PAYS = (int(Cause.SUPPORT), int(Cause.DEFICIT), int(Cause.TEAR_UP))


class Defaulter(NamedTuple):
    """One account that came into default. Money in atoms."""

    account: int
    first_ns: int
    #: Times that it came into default.
    entries: int
    #: When it first did.
    equity: int
    maintenance: int
    #: Lowest equity that a change of its health showed.
    equity_least: int
    #: Notional closed: at fill prices on the book, at mark elsewhere.
    closed: int
    fund_paid: int
    adl_paid: int
    socialised: int
    uncovered: int

    @property
    def deficit(self) -> int:
        """What others paid for it, and what nobody did."""
        return sum(getattr(self, name) for name in _COSTS)


class Defaulters:
    """Columns by account that grow with the highest account seen."""

    _COLUMNS = (
        "first_ns",
        "entries",
        "equity",
        "maintenance",
        "equity_least",
        "closed",
        "fund_paid",
        "adl_paid",
        "socialised",
        "uncovered",
    )

    def __init__(self, funds: tuple[int, ...] = (FUND,)) -> None:
        self._funds = funds
        self._columns = {name: np.zeros(1024, dtype=np.int64) for name in self._COLUMNS}

    def add_health(self, rows: EffectArray, times_ns: Ints) -> None:
        """Take HEALTH effects."""
        entered = (rows["code"] >= Health.DISTRESSED) & (rows["other"] < Health.DISTRESSED)
        accounts, times_ns, entries = rows["account"][entered], times_ns[entered], rows[entered]
        if len(accounts):
            self._reserve(int(accounts.max()) + 1)
            first, at = np.unique(accounts, return_index=True)
            new = self._columns["entries"][first] == 0
            first, at = first[new], at[new]
            self._columns["first_ns"][first] = times_ns[at]
            self._columns["equity"][first] = self._columns["equity_least"][first] = entries["amount"][at]
            self._columns["maintenance"][first] = entries["value"][at]
            np.add.at(self._columns["entries"], accounts, 1)
        worse = rows[rows["code"] >= Health.DISTRESSED]
        if len(worse):
            np.minimum.at(self._columns["equity_least"], worse["account"], worse["amount"])

    def add_closed(self, accounts: Ints, notional: Ints) -> None:
        """Take what was closed of accounts, in atoms."""
        self._add("closed", accounts, notional)

    def add_postings(self, rows: EffectArray) -> None:
        """Take POSTING effects: what the fund paid for an account, and what nobody did."""
        paid = rows[np.isin(rows["other"], self._funds) & np.isin(rows["code"], _FUND_PAYS)]
        self._add("fund_paid", paid["account"], paid["amount"])

    def add_residuals(self, rows: EffectArray) -> None:
        """Take RESIDUAL effects."""
        assert (rows["kind"] == EffectKind.RESIDUAL).all()
        self._add("uncovered", rows["account"], rows["amount"])

    def add_adl(self, accounts: Ints, beyond: Ints) -> None:
        """Take what ADL counterparties paid beyond mark, by defaulter."""
        self._add("adl_paid", accounts, beyond)

    def add_socialised(self, accounts: Ints, cuts: Ints) -> None:
        """Take what others were cut by, by defaulter."""
        self._add("socialised", accounts, cuts)

    def largest(self, most: int) -> list[Defaulter]:
        """Return the defaulters that cost others most; then those of whom most was closed; then by id."""
        columns = self._columns
        deficit = sum((columns[name] for name in _COSTS), np.zeros(1, dtype=np.int64))
        defaulted = np.flatnonzero(columns["entries"])
        order = np.lexsort((defaulted, -columns["closed"][defaulted], -deficit[defaulted]))
        chosen = defaulted[order[:most]].tolist()
        return [Defaulter(account, *(int(columns[name][account]) for name in self._COLUMNS)) for account in chosen]

    @property
    def deficits(self) -> Ints:
        """What each defaulter cost others, of those that did, the largest first."""
        columns = self._columns
        deficit = sum((columns[name] for name in _COSTS), np.zeros(1, dtype=np.int64))
        cost: Ints = np.sort(deficit[deficit > 0])[::-1]
        return cost

    def _add(self, name: str, accounts: Ints, atoms: Ints) -> None:
        if len(accounts):
            self._reserve(int(accounts.max()) + 1)
            np.add.at(self._columns[name], accounts, atoms)

    def _reserve(self, size: int) -> None:
        for name, column in self._columns.items():
            if size > len(column):
                grown = np.zeros(max(size, 2 * len(column)), dtype=np.int64)
                grown[: len(column)] = column
                self._columns[name] = grown
