"""Auto-deleveraging as its counterparties saw it: who gave lots, at what cost to them, and whether each certificate is sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import AdlClass, EffectArray, EffectKind
from backstop.core.waterfall.certificate import check_certificate

__all__ = ["FILLS_CHECKED_MAX", "AdlRecord", "ClassSum", "Plan", "PlanClass"]

Ints = NDArray[np.int64]

#: Certificates are checked row by row until this many fills were seen; it bounds the time of a report.
#: The sums of all of them are checked.
FILLS_CHECKED_MAX = 500_000
_FAULTS_MAX = 20


class PlanClass(NamedTuple):
    """One ADL_CLASS of a plan."""

    code: int
    candidates: int
    #: Candidates that gave their whole cap.
    full: int
    lots: int
    #: Eta as a fraction; 0 / 0: every candidate gave its whole cap.
    eta_lots: int
    eta_weight: int


class Plan(NamedTuple):
    """One ADL_PLAN. Money in atoms."""

    seq: int
    time_ns: int
    account: int
    market: int
    #: As in ``AdlPolicy``.
    policy: int
    #: Signed change of the defaulter.
    lots: int
    mark_ticks: int
    #: What its counterparties paid beyond mark.
    beyond: int
    #: Counterparties.
    fills: int
    classes: tuple[PlanClass, ...]


@dataclass(slots=True)
class ClassSum:
    """One class of counterparties over the whole run."""

    fills: int = 0
    lots_notional: int = 0
    #: Atoms paid beyond mark.
    paid: int = 0


@dataclass(slots=True)
class AdlRecord:
    """Counts the ADL effects of a run. ``factor``: atoms a tick a lot, by market."""

    factor: Ints
    plans: int = 0
    fills: int = 0
    notional: int = 0
    beyond: int = 0
    checked: int = 0
    faults_count: int = 0
    faults: list[str] = field(default_factory=list)
    largest: Plan | None = None
    classes: dict[AdlClass, ClassSum] = field(default_factory=dict)
    #: Atoms that each account paid beyond mark, and lots it gave as notional.
    _paid: Ints = field(default_factory=lambda: np.zeros(1024, dtype=np.int64))
    _given: Ints = field(default_factory=lambda: np.zeros(1024, dtype=np.int64))
    _times: Ints = field(default_factory=lambda: np.zeros(1024, dtype=np.int64))

    def add(self, effects: EffectArray, times_ns: Ints) -> tuple[Ints, Ints]:
        """Take a batch with whole events; return each plan's defaulter and what was paid beyond mark for it."""
        places = np.flatnonzero(effects["kind"] == EffectKind.ADL_PLAN)
        plans = effects[places]
        worth = plans["lots"] * plans["price_ticks"] * self.factor[plans["market"]]
        beyond = plans["amount"] + worth
        self.plans += len(plans)
        self.notional += sum(np.abs(worth).tolist())
        self.beyond += sum(beyond.tolist())
        self._add_fills(effects, places)
        for place, paid in zip(places.tolist(), beyond.tolist(), strict=True):
            if self.largest is None or paid > self.largest.beyond:
                self.largest = _plan_at(effects, place, int(times_ns[place]), paid)
            self._check(effects, place)
        return plans["account"], beyond

    def _add_fills(self, effects: EffectArray, plans: NDArray[np.intp]) -> None:
        rows = np.flatnonzero(effects["kind"] == EffectKind.ADL_FILL)
        if len(rows) == 0:
            return
        fills = effects[rows]
        # The fills of a plan follow it.
        plan_of = np.searchsorted(plans, rows) - 1
        self._check_sums(effects[plans], fills, plan_of)
        mark = effects["price_ticks"][plans[plan_of]]
        worth = fills["lots"] * mark * self.factor[fills["market"]]
        paid = -(fills["amount"] + worth)
        self.fills += len(fills)
        for code in np.unique(fills["code"]).tolist():
            of_class = self.classes.setdefault(AdlClass(code), ClassSum())
            chosen = fills["code"] == code
            of_class.fills += int(chosen.sum())
            of_class.lots_notional += sum(np.abs(worth[chosen]).tolist())
            of_class.paid += sum(paid[chosen].tolist())
        is_account = fills["account"] >= 0
        accounts = fills["account"][is_account]
        if len(accounts):
            self._reserve(int(accounts.max()) + 1)
            np.add.at(self._paid, accounts, paid[is_account])
            np.add.at(self._given, accounts, np.abs(worth[is_account]))
            np.add.at(self._times, accounts, 1)

    def _check_sums(self, plans: EffectArray, fills: EffectArray, plan_of: NDArray[np.intp]) -> None:
        """See that each plan's fills are as many, and give the lots and the cash, that it says, none beyond its cap."""
        lots, cash, number, beyond = (np.zeros(len(plans), dtype=np.int64) for _ in range(4))
        np.add.at(lots, plan_of, fills["lots"])
        np.add.at(cash, plan_of, fills["amount"])
        np.add.at(number, plan_of, 1)
        np.add.at(beyond, plan_of, np.abs(fills["lots"]) > fills["price_ticks"])
        wrong = (lots != -plans["lots"]) | (cash != -plans["amount"]) | (number != plans["other"]) | (beyond > 0)
        for place in np.flatnonzero(wrong).tolist():
            self._fault(int(plans["seq"][place]), "SUMS: its fills do not add up to it, or go beyond a cap")

    def _fault(self, seq: int, message: str) -> None:
        self.faults_count += 1
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(f"seq {seq:,}: {message}")

    def _check(self, effects: EffectArray, place: int) -> None:
        if self.checked == self.plans or self.fills > FILLS_CHECKED_MAX:
            return
        self.checked += 1
        for finding in check_certificate(effects, place, int(self.factor[effects["market"][place]])):
            self._fault(int(effects["seq"][place]), str(finding))

    @property
    def counterparties(self) -> int:
        """Accounts that gave lots, each counted once."""
        return int((self._times > 0).sum())

    def payers(self, most: int) -> list[tuple[int, ...]]:
        """Return (account, paid beyond mark, notional given, times) of those who paid most."""
        gave = np.flatnonzero(self._times)
        order = np.lexsort((gave, -self._given[gave], -self._paid[gave]))
        return [
            (account, int(self._paid[account]), int(self._given[account]), int(self._times[account]))
            for account in gave[order[:most]].tolist()
        ]

    @property
    def paid_sorted(self) -> Ints:
        """What each counterparty paid, the largest first."""
        paid: Ints = np.sort(self._paid[self._times > 0])[::-1]
        return paid

    def _reserve(self, size: int) -> None:
        for name in ("_paid", "_given", "_times"):
            column = getattr(self, name)
            if size > len(column):
                grown = np.zeros(max(size, 2 * len(column)), dtype=np.int64)
                grown[: len(column)] = column
                setattr(self, name, grown)


def _plan_at(effects: EffectArray, place: int, time_ns: int, beyond: int) -> Plan:
    plan, classes = effects[place], []
    row = place + 1
    while row < len(effects) and effects["kind"][row] in (EffectKind.ADL_CLASS, EffectKind.ADL_FILL):
        if effects["kind"][row] == EffectKind.ADL_CLASS:
            head = effects[row]
            names = ("code", "other", "price_ticks", "lots", "amount", "value")
            classes.append(PlanClass(*(int(head[name]) for name in names)))
        row += 1
    return Plan(
        seq=int(plan["seq"]),
        time_ns=time_ns,
        account=int(plan["account"]),
        market=int(plan["market"]),
        policy=int(plan["code"]),
        lots=int(plan["lots"]),
        mark_ticks=int(plan["price_ticks"]),
        beyond=beyond,
        fills=int(plan["other"]),
        classes=tuple(classes),
    )
