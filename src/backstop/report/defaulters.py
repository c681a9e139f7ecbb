"""Who defaulted: when, in what state, what of theirs was closed, and what it cost others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backstop.core.events import Health, Stage
from backstop.core.kinds import Columns, HealthEffect
from backstop.report.series import Envelope, TimeGrid
from backstop.runs.defaults import closings, entries, payments
from backstop.runs.fold import Fold, Ints, Reader, reads

__all__ = ["Defaulter", "Defaulters"]

#: Columns of what a default cost others, by the stage that made them pay; None: nobody did.
_COSTS = {Stage.FUND: "fund_paid", Stage.ADL: "adl_paid", Stage.SOCIALISE: "socialised", None: "uncovered"}


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
        return sum(getattr(self, name) for name in _COSTS.values())


class Defaulters(Reader):
    """Columns by account that grow with the highest account seen, and how many are in default over
    time.
    """

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

    def __init__(self, grid: TimeGrid) -> None:
        #: Accounts in default at the same time; the most, and when.
        self.in_default = Envelope(grid)
        self.in_default_most: tuple[int, int] = (0, 0)
        #: Accounts in default after the last event.
        self.in_default_now = 0
        self._columns = {name: np.zeros(1024, dtype=np.int64) for name in self._COLUMNS}

    @reads(HealthEffect)
    def _add_health(self, rows: HealthEffect[Columns], fold: Fold) -> None:
        self._add_entries(fold.once(entries), fold)
        worse = rows.where(rows.health >= Health.DISTRESSED)
        if len(worse):
            np.minimum.at(self._columns["equity_least"], worse.account, worse.equity)
        change = (rows.health >= Health.DISTRESSED).astype(np.int64) - (rows.old_health >= Health.DISTRESSED)
        running, times_ns = self.in_default_now + np.cumsum(change), fold.time_ns(rows.seq)
        most = int(running.argmax())
        if running[most] > self.in_default_most[0]:
            self.in_default_most = (int(running[most]), int(times_ns[most]))
        self.in_default_now = int(running[-1])
        self.in_default.add(times_ns, running)

    def _add_entries(self, rows: HealthEffect[Columns], fold: Fold) -> None:
        accounts = rows.account
        if not len(accounts):
            return
        self._reserve(int(accounts.max()) + 1)
        first, at = np.unique(accounts, return_index=True)
        new = self._columns["entries"][first] == 0
        first, at = first[new], at[new]
        self._columns["first_ns"][first] = fold.time_ns(rows.seq[at])
        self._columns["equity"][first] = self._columns["equity_least"][first] = rows.equity[at]
        self._columns["maintenance"][first] = rows.maintenance_margin[at]
        np.add.at(self._columns["entries"], accounts, 1)

    def take_batch(self, fold: Fold) -> None:
        """Take what was closed of accounts, and who paid for them."""
        for closing in fold.once(closings):
            self._add("closed", closing.account, closing.notional)
        for stage, defaulter, amount in fold.once(payments):
            self._add(_COSTS[stage], defaulter, amount)

    def largest(self, most: int) -> list[Defaulter]:
        """Return the defaulters that cost others most; then those of whom most was closed; then by
        id.
        """
        columns = self._columns
        deficit = sum((columns[name] for name in _COSTS.values()), np.zeros(1, dtype=np.int64))
        defaulted = np.flatnonzero(columns["entries"])
        order = np.lexsort((defaulted, -columns["closed"][defaulted], -deficit[defaulted]))
        chosen = defaulted[order[:most]].tolist()
        return [Defaulter(account, *(int(columns[name][account]) for name in self._COLUMNS)) for account in chosen]

    @property
    def deficits(self) -> Ints:
        """What each defaulter cost others, of those that did, the largest first."""
        columns = self._columns
        deficit = sum((columns[name] for name in _COSTS.values()), np.zeros(1, dtype=np.int64))
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
