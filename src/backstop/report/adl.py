"""Auto-deleveraging as its counterparties saw it: who gave lots, at what cost to them, and whether
each certificate is sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.contract_terms import Contracts
from backstop.core.events import AdlClass, EffectArray, EffectKind
from backstop.core.kinds import AdlClassEffect, AdlFillEffect, AdlPlanEffect, Columns, NakedLegEffect
from backstop.core.waterfall.certificate import PLAN_HEADS, check_certificate, plan_starts
from backstop.runs.fold import Fold, Ints, Reader, reads

__all__ = ["FILLS_CHECKED_MAX", "AdlRecord", "ClassSum", "Plan", "PlanClass"]

#: Certificates are checked row by row until this many fills were seen; it bounds the time of a
#: report. The sums of all of them are checked.
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
    """One plan of ADL. Money in atoms."""

    seq: int
    time_ns: int
    #: The first of its accounts in default.
    account: int
    market: int
    #: As in ``AdlPolicy``.
    policy: int
    #: Signed change of the defaulters.
    lots: int
    defaulters: int
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


class AdlRecord(Reader):
    """Counts the ADL effects of a run."""

    def __init__(self) -> None:
        self.plans = self.fills = 0
        #: Atoms of notional closed, and what counterparties paid beyond mark.
        self.notional = self.beyond = 0
        #: Plans whose certificate was checked row by row; faults of any plan, and the first of
        #: them.
        self.checked = self.faults_count = 0
        self.faults: list[str] = []
        self.largest: Plan | None = None
        self.classes: dict[AdlClass, ClassSum] = {}
        #: Notices of a leg left naked, and the one by which an exposure grew most.
        self.naked = 0
        self.most_naked: NakedLegEffect[int] | None = None
        #: By account: atoms paid beyond mark, lots given as notional, fills.
        self._paid, self._given, self._times = (np.zeros(1024, dtype=np.int64) for _ in range(3))

    @reads(AdlPlanEffect)
    def _add(self, plans: AdlPlanEffect[Columns], fold: Fold) -> None:
        effects = fold.effects
        places = np.array(plan_starts(effects), dtype=np.intp)
        # The rows of a plan's defaulters, by number of the plan.
        rows = np.flatnonzero(effects["kind"] == EffectKind.ADL_PLAN)
        starts = np.searchsorted(rows, places)
        whole = np.searchsorted(places, rows, side="right") - 1
        worth = fold.contracts.notionals(plans.market, plans.lots, plans.mark_ticks)
        beyond_each = fold.contracts.beyond_mark(plans.market, plans.lots, plans.mark_ticks, plans.cash)
        beyond, times_ns = _per_plan(beyond_each, whole), fold.time_ns(plans.seq)[starts]
        self.plans += len(places)
        self.notional += sum(worth.tolist())
        self.beyond += sum(beyond.tolist())
        self._add_fills(plans, places, whole, fold)
        for place, time_ns, paid in zip(places.tolist(), times_ns.tolist(), beyond.tolist(), strict=True):
            if self.largest is None or paid > self.largest.beyond:
                self.largest = _plan_at(effects, place, time_ns, paid)
            self._check(effects, place, fold.contracts)

    def _add_fills(self, plans: AdlPlanEffect[Columns], places: NDArray[np.intp], whole: NDArray[np.intp], fold: Fold) -> None:
        fills = fold.rows(AdlFillEffect[Columns])
        if len(fills) == 0:
            return
        # The fills of a plan follow it.
        plan_of = np.searchsorted(places, np.flatnonzero(fold.effects["kind"] == EffectKind.ADL_FILL)) - 1
        self._check_sums(plans, fills, plan_of, whole)
        marks = plans.mark_ticks[np.searchsorted(whole, np.arange(len(places)))]
        worth = fold.contracts.notionals(fills.market, fills.lots, marks[plan_of])
        paid = -fold.contracts.beyond_mark(fills.market, fills.lots, marks[plan_of], fills.cash)
        classes, accounts = fills.adl_class, fills.account
        self.fills += len(fills)
        for code in np.unique(classes).tolist():
            of_class = self.classes.setdefault(AdlClass(code), ClassSum())
            chosen = classes == code
            of_class.fills += int(chosen.sum())
            of_class.lots_notional += sum(worth[chosen].tolist())
            of_class.paid += sum(paid[chosen].tolist())
        is_account = (accounts >= 0) & (classes != AdlClass.CROSSED)
        accounts = accounts[is_account]
        if len(accounts):
            self._reserve(int(accounts.max()) + 1)
            np.add.at(self._paid, accounts, paid[is_account])
            np.add.at(self._given, accounts, np.abs(worth[is_account]))
            np.add.at(self._times, accounts, 1)

    @reads(NakedLegEffect)
    def _add_naked(self, told: NakedLegEffect[Columns], fold: Fold) -> None:
        self.naked += len(told)
        for each in NakedLegEffect.each(told.rows):
            if self.most_naked is None or _growth(each) > _growth(self.most_naked):
                self.most_naked = each

    def _check_sums(
        self, plans: AdlPlanEffect[Columns], fills: AdlFillEffect[Columns], plan_of: NDArray[np.intp], whole: NDArray[np.intp]
    ) -> None:
        """See that each plan's fills are as many, and give the lots and the cash, that it says,
        none beyond its cap.
        """
        lots, cash, number, beyond = (np.zeros(int(whole[-1]) + 1, dtype=np.int64) for _ in range(4))
        starts = np.searchsorted(whole, np.arange(len(lots)))
        np.add.at(lots, plan_of, fills.lots)
        np.add.at(cash, plan_of, fills.cash)
        np.add.at(number, plan_of, 1)
        np.add.at(beyond, plan_of, np.abs(fills.lots) > fills.cap_lots)
        wrong = (lots != -_per_plan(plans.lots, whole)) | (cash != -_per_plan(plans.cash, whole))
        wrong |= (number != plans.fills[starts]) | (beyond > 0)
        for seq in plans.seq[starts][wrong].tolist():
            self._fault(seq, "SUMS: its fills do not add up to it, or go beyond a cap")

    def _fault(self, seq: int, message: str) -> None:
        self.faults_count += 1
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(f"seq {seq:,}: {message}")

    def _check(self, effects: EffectArray, place: int, contracts: Contracts) -> None:
        if self.checked == self.plans or self.fills > FILLS_CHECKED_MAX:
            return
        self.checked += 1
        for finding in check_certificate(effects, place, contracts[effects["market"][place]]):
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


def _growth(told: NakedLegEffect[int]) -> int:
    return abs(told.after) - abs(told.before)


def _per_plan(numbers: NDArray[np.int64], whole: NDArray[np.intp]) -> NDArray[np.int64]:
    """Add up numbers of the defaulters of each plan; ``whole`` has the plan of each."""
    sums = np.zeros(int(whole[-1]) + 1, dtype=np.int64)
    np.add.at(sums, whole, numbers)
    return sums


def _plan_at(effects: EffectArray, place: int, time_ns: int, beyond: int) -> Plan:
    plan, classes = AdlPlanEffect(effects[place]), []
    row = place + 1
    lots, defaulters = plan.lots, 1
    while row < len(effects) and effects["kind"][row] in PLAN_HEADS:
        if effects["kind"][row] == EffectKind.ADL_PLAN:
            lots, defaulters = lots + AdlPlanEffect(effects[row]).lots, defaulters + 1
        if effects["kind"][row] == EffectKind.ADL_CLASS:
            head = AdlClassEffect(effects[row])
            classes.append(PlanClass(int(head.adl_class), head.candidates, head.full, head.lots, head.eta_lots, head.eta_weight))
        row += 1
    return Plan(
        seq=plan.seq,
        time_ns=time_ns,
        account=plan.account,
        market=plan.market,
        policy=int(plan.policy),
        lots=lots,
        defaulters=defaulters,
        mark_ticks=plan.mark_ticks,
        beyond=beyond,
        fills=plan.fills,
        classes=tuple(classes),
    )
