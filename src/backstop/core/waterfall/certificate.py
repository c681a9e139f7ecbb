"""Checks the certificate of an ADL plan without trusting its planner: plain integers, from the
rules alone.

A certificate is what the plan emitted: for each defaulter ADL_PLAN, and SUPPORT where there is a gap;
ADL_SCALE of all of them where not all lots fitted; for each class ADL_CLASS, ADL_LINE with its
ADL_PICK rows where parts were drawn anew, and its ADL_FILL rows, those of an owner of several
accounts behind his ADL_OWNER, under ``water_filling`` those of any owner;
then the TRADE rows that carried it out and the POSTING of support and closing charges.
``check_certificate`` collects everything that is wrong with it. It refuses to know the state: whether
a cap is right, or who else could have given lots, is for a full scan.

``check_allocation`` checks a budget shared over a table of caps and weights, where all candidates
are known.

Checks INV-06: exactly the lots planned, from the opposite side only, at exactly the cash planned;
with what the fund adds it is each defaulter's zero cash, all are scaled by one fraction, the house
trades at mark, and nobody beyond the average zero price; defaulters are crossed at mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from backstop.core.contract_terms import Contract, ContractKind, LinearContract
from backstop.core.events import (
    ADL_IN_ORDER,
    GROUPS_MAX,
    NONE,
    AdlClass,
    AdlPolicy,
    Cause,
    EffectArray,
    EffectKind,
    SupportLimit,
    clearing_of,
    error_inventory_of,
    fund_of,
    outside_of,
)
from backstop.core.kinds import (
    AdlClassEffect,
    AdlFillEffect,
    AdlLineEffect,
    AdlOwnerEffect,
    AdlPickEffect,
    AdlPlanEffect,
    AdlScaleEffect,
    EffectView,
    SupportEffect,
)

__all__ = [
    "PLAN_HEADS",
    "CertificateFault",
    "Finding",
    "Levelled",
    "Share",
    "check_allocation",
    "check_certificate",
    "check_levels",
    "is_crossing",
    "is_plan_start",
    "plan_starts",
]


class CertificateFault(IntEnum):
    """What a certificate can have wrong."""

    #: Rows are missing, out of place, or of another wave.
    ROWS = 1
    #: The plan contradicts itself: policy, mark, lots, cash.
    PLAN = 2
    #: Not of the opposite side, twice, out of order, or of another class.
    HOLDER = 3
    #: Classes out of order, miscounted, or used before the earlier gave all.
    CLASS = 4
    #: Lots do not sum to what was to be placed.
    LOTS = 5
    #: More than a cap, or a cap that the class does not allow.
    CAP = 6
    #: Not ``min(cap, eta x weight)`` rounded by largest remainder, or not whole caps in order of
    #: weight.
    SHARE = 7
    #: Cash is not split by lots, exactly.
    CASH = 8
    #: What was traded is not what was planned.
    TRADE = 9
    #: A weight that the policy cannot have given.
    WEIGHT = 10
    #: The fund's part contradicts itself, or is not paid.
    SUPPORT = 11
    #: A closing charge that the plan does not allow.
    CHARGE = 12
    #: Defaulters are not all scaled by one fraction.
    SCALE = 13
    #: Who gives for those below the least was not drawn as the rules say.
    LINE = 14


class Finding(NamedTuple):
    """One fault, with its numbers."""

    code: CertificateFault
    message: str

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class Share(NamedTuple):
    """One candidate of an allocation: what it may give, its weight, and what it gave."""

    holder: int
    cap: int
    weight: int
    part: int


class Levelled(NamedTuple):
    """One candidate whose leverage is levelled: exposure and equity in atoms, what it may give and
    gave.
    """

    holder: int
    cap: int
    exposure: int
    equity: int
    part: int

    def level(self, number: int, lot: int) -> tuple[int, int]:
        """Return the leverage at which its lot of a number, from 1, is asked for, as a fraction."""
        return 2 * self.exposure - (2 * number - 1) * lot, 2 * self.equity


class _Row(NamedTuple):
    """An effect, by column."""

    seq: int
    kind: int
    code: int
    market: int
    account: int
    other: int
    lots: int
    price_ticks: int
    amount: int
    value: int


class _Plan(NamedTuple):
    """An ADL_PLAN, by field; its policy may be unknown."""

    seq: int
    account: int
    lots: int
    market: int
    mark_ticks: int
    policy: int
    fills: int
    cash: int
    equity: int


class _Support(NamedTuple):
    """A SUPPORT, by field; its limit and cause may be unknown."""

    seq: int
    account: int
    market: int
    amount: int
    gap: int
    limit: int
    cause: int
    available: int

    @property
    def beyond(self) -> int:
        return self.gap - self.amount


class _Scale(NamedTuple):
    """An ADL_SCALE, by field."""

    seq: int
    account: int
    wanted_lots: int
    market: int


class _Part(NamedTuple):
    """What one defaulter closes of a plan."""

    plan: _Plan
    support: _Support | None

    @property
    def gap(self) -> int:
        return 0 if self.support is None else self.support.gap

    @property
    def beyond(self) -> int:
        return 0 if self.support is None else self.support.beyond


class _Whole(NamedTuple):
    """A plan with all its defaulters; what is the same for all is the first's."""

    parts: list[_Part]
    scales: list[_Scale]
    is_crossing: bool

    @property
    def first(self) -> _Plan:
        return self.parts[0].plan

    @property
    def accounts(self) -> set[int]:
        return {part.plan.account for part in self.parts}

    @property
    def lots(self) -> int:
        return sum(part.plan.lots for part in self.parts)

    @property
    def cash(self) -> int:
        return sum(part.plan.cash for part in self.parts)

    @property
    def gap(self) -> int:
        return sum(part.gap for part in self.parts)

    @property
    def beyond(self) -> int:
        return sum(part.beyond for part in self.parts)

    @property
    def value(self) -> int:
        """The signed value at mark of all lots: what is beyond it is told."""
        return self.cash - self.beyond

    @property
    def is_levelled(self) -> bool:
        return self.first.policy == AdlPolicy.WATER_FILLING


class _Head(NamedTuple):
    """An ADL_CLASS, by field."""

    seq: int
    account: int
    adl_class: int
    candidates: int
    lots: int
    market: int
    full: int
    eta_lots: int
    eta_weight: int


class _Fill(NamedTuple):
    """An ADL_FILL, by field."""

    seq: int
    account: int
    defaulter: int
    market: int
    lots: int
    adl_class: int
    cash: int
    cap_lots: int
    weight: int


class _Owner(NamedTuple):
    """An ADL_OWNER, by field."""

    seq: int
    account: int
    fills: int
    market: int
    lots: int
    adl_class: int
    cap_lots: int
    equity: int
    weight: int


class _Line(NamedTuple):
    """An ADL_LINE, by field."""

    seq: int
    account: int
    members: int
    lots: int
    market: int
    adl_class: int
    least_lots: int
    point: int
    length: int


class _Pick(NamedTuple):
    """An ADL_PICK, by field."""

    seq: int
    account: int
    defaulter: int
    market: int
    share_lots: int
    adl_class: int
    begins: int


def _numbers_of(view: type[EffectView[int]], row: _Row) -> list[int]:
    """Return seq and the fields that a kind declares, in its order: views themselves would refuse
    an unknown code.
    """
    return [row.seq, *(getattr(row, field.column) for field in view.fields)]


class _Entry(NamedTuple):
    """A candidate that gives: an owner of several accounts with his fills, or one fill alone."""

    owner: _Owner | None
    fills: list[_Fill]

    @property
    def share(self) -> Share:
        if self.owner is not None:
            return Share(self.owner.account, self.owner.cap_lots, self.owner.weight, abs(self.owner.lots))
        fill = self.fills[0]
        return Share(fill.account, fill.cap_lots, fill.weight, abs(fill.lots))


class _Class(NamedTuple):
    head: _Head
    entries: list[_Entry]
    lines: list[_Line]
    picks: list[_Pick]

    @property
    def fills(self) -> list[_Fill]:
        return [fill for entry in self.entries for fill in entry.fills]

    @property
    def eta(self) -> tuple[int, int]:
        return self.head.eta_lots, self.head.eta_weight

    @property
    def hidden(self) -> int:
        """Candidates that gave no lots: their caps and weights are not told."""
        return self.head.candidates - len(self.entries)

    @property
    def shares(self) -> list[Share]:
        return [entry.share for entry in self.entries]

    @property
    def standings(self) -> list[Levelled]:
        owners = [entry.owner for entry in self.entries if entry.owner is not None]
        return [Levelled(each.account, each.cap_lots, each.weight, each.equity, abs(each.lots)) for each in owners]

    @property
    def shares_before(self) -> list[Share]:
        """The same, with the parts that those on the line had before who gives was drawn."""
        before = {pick.account: pick.share_lots for pick in self.picks}
        return [share._replace(part=before.get(share.holder, share.part)) for share in self.shares]

    @property
    def hidden_on_line(self) -> tuple[int, int]:
        """How many on the line gave nothing, and what their parts were together."""
        members, lots = sum(line.members for line in self.lines), sum(line.lots for line in self.lines)
        return members - len(self.picks), lots - sum(pick.share_lots for pick in self.picks)

    @property
    def name(self) -> str:
        return AdlClass(self.head.adl_class).name if self.head.adl_class in list(AdlClass) else f"class {self.head.adl_class}"


Findings = Iterator[Finding]

#: The value of lots at mark in any linear contract is a multiple of that in this one.
_ANY_LINEAR = LinearContract(1)
#: Rows that move lots or cash of a wave; one that no plan accounts for is a fault.
_MOVES = (
    (EffectKind.TRADE, Cause.ADL),
    (EffectKind.POSTING, Cause.ADL),
    (EffectKind.POSTING, Cause.SUPPORT),
    (EffectKind.POSTING, Cause.CLOSING_CHARGE),
)
#: Rows of a plan before what carries it out.
PLAN_HEADS = (
    EffectKind.ADL_PLAN,
    EffectKind.SUPPORT,
    EffectKind.ADL_SCALE,
    EffectKind.ADL_CLASS,
    EffectKind.ADL_LINE,
    EffectKind.ADL_PICK,
    EffectKind.ADL_OWNER,
    EffectKind.ADL_FILL,
)
#: Rows of the classes of a plan.
_CLASS_ROWS = PLAN_HEADS[3:]
#: Classes that weigh by lots in every policy.
_BY_LOTS = (AdlClass.HOUSE, AdlClass.CROSSED)
_FUNDS = tuple(fund_of(group) for group in range(GROUPS_MAX))


def is_plan_start(effects: EffectArray, place: int) -> bool:
    """Return whether a row is the first ADL_PLAN of a plan: those of the plan's other defaulters stand
    right behind it, with their SUPPORT.
    """
    if effects["kind"][place] != EffectKind.ADL_PLAN:
        return False
    before = [int(kind) for kind in effects["kind"][max(0, place - 2) : place]]
    is_behind_support = before[-1:] == [EffectKind.SUPPORT] and before[:1] == [EffectKind.ADL_PLAN] and len(before) == 2
    return before[-1:] != [EffectKind.ADL_PLAN] and not is_behind_support


def is_crossing(effects: EffectArray, first: int) -> bool:
    """Return whether the plan that begins at a place crosses defaulters of both sides."""
    place = first
    while place < len(effects) and int(effects["kind"][place]) in (EffectKind.ADL_PLAN, EffectKind.SUPPORT, EffectKind.ADL_SCALE):
        place += 1
    return place < len(effects) and (effects["kind"][place], effects["code"][place]) == (EffectKind.ADL_CLASS, AdlClass.CROSSED)


def plan_starts(effects: EffectArray) -> list[int]:
    """Return the places at which a plan begins."""
    return [place for place in np.flatnonzero(effects["kind"] == EffectKind.ADL_PLAN).tolist() if is_plan_start(effects, place)]


def check_certificate(effects: EffectArray, first: int, contract: Contract | None = None, asset: int | None = None) -> list[Finding]:
    """Return all that is wrong with the certificate whose first ADL_PLAN is ``effects[first]``; nothing
    when it is sound.

    The ``contract`` of the market is in no effect; with it the cash is also compared
    with the mark value: equal for a solvent account, beyond it by what the fund leaves of the gap
    for an insolvent one. Values that are rounded are compared as exact fractions, with an atom for each
    rounding. Without it a linear contract is assumed. Nor is the market's ``asset``: without it all
    postings must be in the same one.
    """
    if effects["kind"][first] != EffectKind.ADL_PLAN:
        return [Finding(CertificateFault.ROWS, f"kind {effects['kind'][first]} at {first} is no ADL_PLAN")]
    after = first
    while after < len(effects) and int(effects["kind"][after]) in PLAN_HEADS:
        after += 1
    # What carries it out: two rows a trade, and what paying it brings.
    end = after + 8 * (after - first) + 32
    rows = [_Row(*(int(number) for number in row)) for row in effects[first:end].tolist()]
    # Who trades settles his funding first, and may lose relief: neither is a part of the plan.
    rows = [row for row in rows if (row.kind, row.code) != (EffectKind.POSTING, Cause.FUNDING) and row.kind != EffectKind.RELIEF]
    parts, place = _read_parts(rows)
    scales, place = _read_scales(rows, place)
    classes, stray, place = _read_classes(rows, place)
    whole = _Whole(parts, scales, any(part.head.adl_class == AdlClass.CROSSED for part in classes))
    fills = [fill for part in classes for fill in part.fills]
    found = [Finding(CertificateFault.ROWS, f"a row of {row.account} stands where it belongs to nothing") for row in stray]
    found += _check_rows(whole, classes, fills)
    for each in parts:
        found += _check_plan(each.plan, _is_linear(contract))
        found += _check_support(each, len(parts))
    found += _check_whole(whole, fills)
    found += _check_scale(whole)
    found += [
        Finding(CertificateFault.ROWS, f"SUPPORT names a price of {row.price_ticks}")
        for row in rows[:place]
        if row.kind == EffectKind.SUPPORT and row.price_ticks
    ]
    found += [
        Finding(CertificateFault.ROWS, f"ADL_OWNER of {row.account} names cash: {row.amount}")
        for row in rows[:place]
        if row.kind == EffectKind.ADL_OWNER and row.amount and not whole.is_levelled
    ]
    found += [
        Finding(CertificateFault.ROWS, f"ADL_SCALE of {row.account} names more than lots: {row}")
        for row in rows[:place]
        if row.kind == EffectKind.ADL_SCALE and any((row.code, row.other, row.price_ticks, row.amount, row.value))
    ]
    found += [
        Finding(CertificateFault.ROWS, f"ADL_PICK of {row.account} names more than its place: {row}")
        for row in rows[:place]
        if row.kind == EffectKind.ADL_PICK and any((row.price_ticks, row.value))
    ]
    if contract is not None:
        found += _check_value(whole, fills, contract)
    found += _check_holders(whole, classes, fills)
    found += _check_classes(classes)
    for part in classes:
        found += _check_owners(part, whole.is_levelled)
        found += _check_caps(part)
        found += _check_weights(whole, part, _is_linear(contract))
        found += _check_line(whole, part)
        if whole.is_levelled and part.head.adl_class not in _BY_LOTS:
            found += _check_standings(whole, part, contract)
            lot = _worth(whole, 1, contract)
            found += check_levels(part.name, part.standings, lot, part.hidden, part.eta)
            continue
        is_ordered = whole.first.policy in ADL_IN_ORDER and part.head.adl_class not in _BY_LOTS
        if is_ordered:
            found += _check_order(part.name, part.shares, part.hidden, part.eta)
        else:
            found += _check_proportions(part.name, part.shares_before, part.hidden, part.eta, part.hidden_on_line)
    found += _check_cash(whole, fills, _is_linear(contract))
    found += _check_trades(whole, fills, rows[place:], _asset_of(rows[place:]) if asset is None else asset)
    return found


def check_allocation(is_ordered: bool, budget: int, shares: Sequence[Share], eta: tuple[int, int]) -> list[Finding]:
    """Return all that is wrong with a budget shared over candidates whose caps and weights are all
    known.

    In proportion, or in an order; ties go to the lower ``holder``. A candidate whose cap is not
    positive takes no part.
    """
    candidates = [share for share in shares if share.cap > 0]
    found = [
        Finding(CertificateFault.CAP, f"{share.holder} gives {share.part}, its cap is {share.cap}")
        for share in shares
        if not 0 <= share.part <= max(0, share.cap)
    ]
    given, wanted = sum(share.part for share in shares), min(budget, sum(share.cap for share in candidates))
    if given != wanted:
        found.append(Finding(CertificateFault.LOTS, f"{given} is given, {wanted} was asked for"))
    if is_ordered:
        return found + list(_check_order("the allocation", candidates, 0, eta))
    return found + list(_check_proportions("the allocation", candidates, 0, eta, (0, 0)))


def _read_parts(rows: list[_Row]) -> tuple[list[_Part], int]:
    """Return the defaulters of the plan, and the place after the last."""
    parts: list[_Part] = []
    place = 0
    while place < len(rows) and rows[place].kind == EffectKind.ADL_PLAN:
        plan = _Plan(*_numbers_of(AdlPlanEffect, rows[place]))
        place += 1
        support = None
        if place < len(rows) and rows[place].kind == EffectKind.SUPPORT:
            support = _Support(*_numbers_of(SupportEffect, rows[place]))
            place += 1
        parts.append(_Part(plan, support))
    return parts, place


def _read_scales(rows: list[_Row], place: int) -> tuple[list[_Scale], int]:
    scales = []
    while place < len(rows) and rows[place].kind == EffectKind.ADL_SCALE:
        scales.append(_Scale(*_numbers_of(AdlScaleEffect, rows[place])))
        place += 1
    return scales, place


def _read_classes(rows: list[_Row], first: int) -> tuple[list[_Class], list[_Fill | _Owner | _Line | _Pick], int]:
    """Return the classes with their fills, rows that stand in no class or not where they should, and
    the place after the last.
    """
    classes: list[_Class] = []
    stray: list[_Fill | _Owner | _Line | _Pick] = []
    place, left = first, 0
    while place < len(rows) and rows[place].kind in _CLASS_ROWS:
        row = rows[place]
        if row.kind == EffectKind.ADL_CLASS:
            classes.append(_Class(_Head(*_numbers_of(AdlClassEffect, row)), [], [], []))
            left = 0
        elif row.kind == EffectKind.ADL_LINE:
            line = _Line(*_numbers_of(AdlLineEffect, row))
            if not classes or classes[-1].lines or classes[-1].entries:
                stray.append(line)
            else:
                classes[-1].lines.append(line)
        elif row.kind == EffectKind.ADL_PICK:
            pick = _Pick(*_numbers_of(AdlPickEffect, row))
            if not classes or not classes[-1].lines or classes[-1].entries:
                stray.append(pick)
            else:
                classes[-1].picks.append(pick)
        elif row.kind == EffectKind.ADL_OWNER:
            owner = _Owner(*_numbers_of(AdlOwnerEffect, row))
            if not classes:
                stray.append(owner)
            else:
                classes[-1].entries.append(_Entry(owner, []))
                left = owner.fills
        elif row.kind == EffectKind.ADL_FILL:
            fill = _Fill(*_numbers_of(AdlFillEffect, row))
            if not classes:
                stray.append(fill)
            elif left > 0:
                classes[-1].entries[-1].fills.append(fill)
            else:
                classes[-1].entries.append(_Entry(None, [fill]))
            left -= 1
        place += 1
    return classes, stray, place


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _order_of(holder: int) -> tuple[bool, int]:
    """Order holders by id, the house after accounts, OUTSIDE before error_inventory."""
    return holder < 0, abs(holder)


def _check_rows(whole: _Whole, classes: list[_Class], fills: list[_Fill]) -> Findings:
    fault, plan = CertificateFault.ROWS, whole.first
    for part in whole.parts:
        if part.plan.fills != len(fills):
            yield Finding(fault, f"the plan of {part.plan.account} counts {part.plan.fills} fills, {len(fills)} follow")
        same = part.plan._replace(account=plan.account, lots=plan.lots, fills=plan.fills, cash=plan.cash, equity=plan.equity)
        if same != plan or _sign(part.plan.lots) != _sign(plan.lots):
            yield Finding(fault, f"{part.plan} stands in the plan of {plan}")
    for left, right in pairwise(whole.parts):
        if left.plan.account >= right.plan.account:
            yield Finding(fault, f"defaulter {right.plan.account} after {left.plan.account} is out of order")
    owners = [entry.owner for part in classes for entry in part.entries if entry.owner is not None]
    rows: list[_Head | _Owner | _Fill | _Scale | _Line | _Pick] = [*(part.head for part in classes), *owners, *fills, *whole.scales]
    for each in classes:
        rows += [*each.lines, *each.picks]
    for row in rows:
        if (row.seq, row.market) != (plan.seq, plan.market):
            yield Finding(fault, f"a row of seq {row.seq}, market {row.market} in a plan of seq {plan.seq}, market {plan.market}")
    for group in classes:
        if group.head.account != plan.account:
            yield Finding(fault, f"{group.name} names defaulter {group.head.account}, the plan {plan.account}")
        for line in group.lines:
            if line.account != plan.account:
                yield Finding(fault, f"the line of {group.name} names defaulter {line.account}, the plan {plan.account}")
        for pick in group.picks:
            if pick.defaulter != plan.account:
                yield Finding(fault, f"the pick of {pick.account} names defaulter {pick.defaulter}, the plan {plan.account}")
        for fill in group.fills:
            if fill.defaulter != plan.account:
                yield Finding(fault, f"the fill of {fill.account} names defaulter {fill.defaulter}, the plan {plan.account}")


def _is_linear(contract: Contract | None) -> bool:
    return contract is None or contract.kind == ContractKind.LINEAR


def _worth(whole: _Whole, lots: int, contract: Contract | None) -> int:
    """Return the notional of lots at the mark of a plan: of a linear contract by the plan's own value."""
    if contract is None or contract.kind == ContractKind.LINEAR:
        return lots * (abs(whole.value) // max(1, abs(whole.lots)))
    return contract.notional(lots, whole.first.mark_ticks)


def _check_plan(plan: _Plan, is_linear: bool) -> Findings:
    fault = CertificateFault.PLAN
    if plan.policy not in list(AdlPolicy):
        yield Finding(fault, f"policy {plan.policy} is unknown")
    if plan.account < 0 or plan.market < 0:
        yield Finding(fault, f"defaulter {plan.account}, market {plan.market}: must be an account and a market")
    if plan.lots == 0 or plan.mark_ticks < 1:
        yield Finding(fault, f"{plan.lots} lots at a mark of {plan.mark_ticks}: must be some lots at a mark of at least 1")
        return
    lots, side = abs(plan.lots), -_sign(plan.lots)
    if is_linear and plan.equity >= 0 and (plan.cash * side <= 0 or plan.cash % _ANY_LINEAR.value(lots, plan.mark_ticks)):
        yield Finding(fault, f"equity {plan.equity}: cash {plan.cash} is not the mark value of {side * lots} lots at {plan.mark_ticks}")


def _check_support(part: _Part, together: int) -> Findings:
    """Check what the fund adds to an insolvent account's gap: all that it can, where it adds to no
    other's in the plan.
    """
    fault, plan, support = CertificateFault.SUPPORT, part.plan, part.support
    if support is None:
        return
    if (support.seq, support.account, support.market, support.cause) != (plan.seq, plan.account, plan.market, Cause.SUPPORT):
        yield Finding(fault, f"SUPPORT of seq {support.seq}, account {support.account}, market {support.market}, cause {support.cause}")
    if not 1 <= support.gap <= -plan.equity:
        yield Finding(fault, f"a gap of {support.gap} with equity {plan.equity}")
    most = min(support.gap, support.available)
    if support.available < 0 or not (0 if together > 1 else most) <= support.amount <= most:
        yield Finding(fault, f"the fund pays {support.amount} of {support.gap} with {support.available} available")
    is_covered = support.amount == support.gap
    if support.limit not in list(SupportLimit) or is_covered != (support.limit == SupportLimit.COVERED):
        yield Finding(fault, f"limit {support.limit}, while {support.amount} of {support.gap} is paid")
    if support.limit == SupportLimit.STAGE and support.available:
        yield Finding(fault, f"the fund is not asked, yet {support.available} is available")


def _check_whole(whole: _Whole, fills: list[_Fill]) -> Findings:
    """Check that the fills give what the plan closes, nobody beyond the average zero price."""
    given = sum(fill.lots for fill in fills)
    if given != -whole.lots:
        yield Finding(CertificateFault.LOTS, f"the fills give {given} lots against {whole.lots} of the defaulters")
    by_accounts = sum(abs(fill.lots) for fill in fills if fill.account >= 0)
    if whole.beyond * abs(whole.lots) > whole.gap * by_accounts:
        said = f"{by_accounts} lots of accounts bear {whole.beyond}, beyond their part of {whole.gap}"
        yield Finding(CertificateFault.SUPPORT, said)
    if whole.is_crossing and whole.gap:
        yield Finding(CertificateFault.SUPPORT, f"a gap of {whole.gap} between defaulters, who close at mark")


def _check_scale(whole: _Whole) -> Findings:
    """Check that all defaulters are scaled by one fraction, where fewer lots leave than should."""
    fault = CertificateFault.SCALE
    if not whole.scales:
        return
    closed, wanted = {part.plan.account: abs(part.plan.lots) for part in whole.parts}, sum(each.wanted_lots for each in whole.scales)
    for left, right in pairwise(whole.scales):
        if left.account >= right.account:
            yield Finding(fault, f"{right.account} after {left.account} is out of order")
    if not set(closed) <= {each.account for each in whole.scales}:
        yield Finding(fault, f"defaulters {sorted(closed)} close lots, {[each.account for each in whole.scales]} are scaled")
    if min(each.wanted_lots for each in whole.scales) < 1 or not 0 < abs(whole.lots) < wanted:
        yield Finding(fault, f"{abs(whole.lots)} of {wanted} lots leave: no fraction")
        return
    lots = abs(whole.lots)
    shares = [(each.account, closed.get(each.account, 0), lots * each.wanted_lots) for each in whole.scales]
    yield from _check_remainders(fault, "the defaulters", shares, wanted)


def _check_value(whole: _Whole, fills: list[_Fill], contract: Contract) -> Findings:
    """Compare cash with the mark value: beyond it by what the fund leaves of the gap, for the house
    not at all.
    """
    mark = Fraction(whole.first.mark_ticks)
    # Who shares what others receive at mark bears their roundings, and one of the split.
    shared = 1 if _is_linear(contract) else len(whole.parts) + 3
    has_accounts = any(fill.account >= 0 for fill in fills)
    for part in whole.parts:
        plan = part.plan
        beyond = plan.cash + contract.exact_value(plan.lots, mark)
        # Of a value that is whole nothing is off.
        if abs(beyond - part.beyond) >= 1:
            said = f"cash {plan.cash} is {beyond} beyond mark value, must be {part.beyond}, with equity {plan.equity}"
            yield Finding(CertificateFault.PLAN, said)
    for fill in fills:
        at_mark = whole.is_crossing or fill.account < 0
        off = abs(fill.cash + contract.exact_value(fill.lots, mark))
        if at_mark and off >= (shared if whole.is_crossing or not has_accounts else 1):
            yield Finding(CertificateFault.CASH, f"{fill.account} receives {fill.cash} for {fill.lots}, which is not mark")


def _check_holders(whole: _Whole, classes: list[_Class], fills: list[_Fill]) -> Findings:
    fault, plan = CertificateFault.HOLDER, whole.first
    house = (outside_of(plan.market), error_inventory_of(plan.market))
    for part in classes:
        for fill in part.fills:
            if fill.adl_class != part.head.adl_class:
                yield Finding(fault, f"{fill.account} says class {fill.adl_class} in {part.name}")
            is_house = part.head.adl_class == AdlClass.HOUSE
            if fill.account in whole.accounts or (fill.account not in house if is_house else fill.account < 0):
                yield Finding(fault, f"{fill.account} cannot be in {part.name}")
            if fill.lots * plan.lots >= 0:
                yield Finding(fault, f"{fill.account} changes by {fill.lots} lots, on the side of the defaulter's {plan.lots}")
        for left, right in pairwise(part.shares):
            if _order_of(left.holder) >= _order_of(right.holder):
                yield Finding(fault, f"{part.name}: {right.holder} after {left.holder} is out of order")
        if len({fill.account for fill in part.fills}) != len(part.fills):
            yield Finding(fault, f"a counterparty gives twice in {part.name}: {[fill.account for fill in part.fills]}")
    # Who has lots on both sides may give net lots, then hedged ones.
    once = [fill.account for part in classes for entry in part.entries if entry.owner is None for fill in entry.fills]
    twice = [account for account in once if sum(fill.account == account for fill in fills) > 1]
    behind = [entry.share.holder for part in classes if part.head.adl_class != AdlClass.HEDGE for entry in part.entries]
    if twice or len(set(behind)) != len(behind):
        yield Finding(fault, f"a counterparty gives twice: {twice or behind}")


def _check_owners(part: _Class, is_levelled: bool) -> Findings:
    """Check that what an owner of several accounts gives is laid on them: whole caps up to the last."""
    for owner, fills in part.entries:
        if owner is None:
            continue
        said = f"the owner of {owner.account} gives {owner.lots} by {owner.fills} fills"
        if owner.adl_class != part.head.adl_class:
            yield Finding(CertificateFault.HOLDER, f"{said} in class {owner.adl_class}, stands in {part.name}")
        if len(fills) != owner.fills or not fills or owner.lots != sum(fill.lots for fill in fills):
            yield Finding(CertificateFault.LOTS, f"{said}: {[(fill.account, fill.lots) for fill in fills]}")
        is_told = is_levelled and owner.equity > 0
        weight = owner.weight * _PPM // owner.equity if is_told else owner.weight
        if any(fill.weight != weight for fill in fills):
            yield Finding(CertificateFault.WEIGHT, f"{said}: his fills say weights {[fill.weight for fill in fills]}, he {weight}")
        if not 1 <= abs(owner.lots) <= owner.cap_lots:
            yield Finding(CertificateFault.CAP, f"{said}, his cap is {owner.cap_lots}")
        kept = [fill.account for fill in fills[:-1] if abs(fill.lots) != fill.cap_lots]
        if kept:
            yield Finding(CertificateFault.SHARE, f"{said}: {kept} keep some of their caps before the last gives")
        if owner.account > min((fill.account for fill in fills), default=owner.account):
            yield Finding(CertificateFault.HOLDER, f"{said}: it is not the lowest of his accounts")


def _check_classes(classes: list[_Class]) -> Findings:
    fault = CertificateFault.CLASS
    codes = [part.head.adl_class for part in classes]
    if codes != sorted(set(codes)) or not set(codes) <= set(AdlClass):
        yield Finding(fault, f"classes {codes} are not ascending codes of AdlClass")
    if AdlClass.CROSSED in codes and len(codes) > 1:
        yield Finding(fault, f"classes {codes}: defaulters are crossed apart from others")
    for number, part in enumerate(classes):
        head = part.head
        if number + 1 < len(classes) and (part.eta != (0, 0) or head.full != head.candidates):
            yield Finding(
                fault, f"{part.name} kept some of its caps (eta {head.eta_lots} / {head.eta_weight}), yet {classes[number + 1].name} gives"
            )
        if head.candidates < len(part.entries):
            yield Finding(fault, f"{part.name} counts {head.candidates} candidates, {len(part.entries)} give")
        full = sum(share.part == share.cap for share in part.shares)
        if head.full != full:
            yield Finding(fault, f"{part.name} counts {head.full} at their cap, {full} are")
        given = sum(abs(fill.lots) for fill in part.fills)
        if head.lots != given or given == 0:
            yield Finding(CertificateFault.LOTS, f"{part.name} says {head.lots} lots, its fills give {given}")


def _check_caps(part: _Class) -> Findings:
    for fill in part.fills:
        if not 1 <= abs(fill.lots) <= fill.cap_lots:
            yield Finding(CertificateFault.CAP, f"{fill.account} gives {abs(fill.lots)} lots, its cap is {fill.cap_lots}")


def _check_weights(whole: _Whole, part: _Class, is_linear: bool) -> Findings:
    """Check what the policy says of weights, as far as a row can tell."""
    fault, adl_class, plan = CertificateFault.WEIGHT, part.head.adl_class, whole.first
    is_house = adl_class in _BY_LOTS
    weighs_lots = is_house or plan.policy == AdlPolicy.PRO_RATA
    weighs_lots = weighs_lots or (plan.policy == AdlPolicy.CAPPED_PRO_RATA and adl_class != AdlClass.PROFITABLE)
    for share in part.shares:
        if plan.policy == AdlPolicy.RANDOM and not is_house:
            # Drawn from the owner's id, which no row has.
            if not 0 <= share.weight < _DRAWN_END:
                yield Finding(fault, f"{share.holder} has weight {share.weight}, which is not drawn")
        elif plan.policy == AdlPolicy.QUEUE and not is_house:
            if _sign(share.weight) not in _SCORE_SIGNS.get(adl_class, (-1, 0, 1)) or abs(share.weight) > _SCORE_MAX:
                yield Finding(fault, f"{share.holder} in {part.name} has rank score {share.weight}")
        elif share.weight < 1 and (is_house or not whole.is_levelled):
            yield Finding(fault, f"{share.holder} has weight {share.weight}: must be at least 1")
        # Where the weight is the owner's lots, it bounds the cap; at mark, and for the house, the
        # cap is all of them, but where roundings are kept.
        gives_all = is_house or (whole.beyond == 0 and is_linear)
        if weighs_lots and (share.cap > share.weight or (gives_all and share.cap != share.weight)):
            yield Finding(CertificateFault.CAP, f"{share.holder} has cap {share.cap} with {share.weight} lots")


def _check_line(whole: _Whole, part: _Class) -> Findings:
    """Draw again who gives for those below the least, as far as they are told; who is not told must
    have been passed over.
    """
    if not part.lines:
        return
    fault, line = CertificateFault.LINE, part.lines[0]
    said = f"the line of {part.name}"
    is_drawn = whole.first.policy not in (*ADL_IN_ORDER, AdlPolicy.WATER_FILLING)
    if part.head.adl_class in _BY_LOTS or not is_drawn or line.adl_class != part.head.adl_class:
        yield Finding(fault, f"{said}: class {line.adl_class} under policy {whole.first.policy} draws nobody")
    if not 1 <= len(part.picks) <= line.members <= part.head.candidates:
        yield Finding(fault, f"{said}: {len(part.picks)} of {line.members} are picked")
    if min(line.lots, line.least_lots - 1, line.length) < 1:
        yield Finding(fault, f"{said}: {line.lots} lots, {line.length} places, the least is {line.least_lots}")
        return
    drawn = _drawn(_drawn(line.seq, line.market, line.adl_class), line.market, whole.first.account)
    if line.point != drawn % min(_DRAW, line.length):
        yield Finding(fault, f"{said}: the first point is {line.point} of {line.length}, not as drawn")
    found = list(_check_picks(said, part, line))
    yield from found
    if not found:
        yield from _check_drawing(said, part, line)


def _check_picks(said: str, part: _Class, line: _Line) -> Findings:
    """Check who is told as picked: shares below the least and the cap, places one behind the other by
    what each gives; all others gave the least or all that they can.
    """
    fault, shares = CertificateFault.LINE, {share.holder: share for share in part.shares}
    if not {pick.account for pick in part.picks} <= set(shares):
        yield Finding(fault, f"{said}: {[pick.account for pick in part.picks if pick.account not in shares]} are picked and give nothing")
        return
    gives = {pick.account: min(line.least_lots, shares[pick.account].cap) for pick in part.picks}
    for pick in part.picks:
        if not 1 <= pick.share_lots < gives[pick.account] or pick.adl_class != line.adl_class:
            yield Finding(fault, f"{said}: {pick} of cap {shares[pick.account].cap}, the least is {line.least_lots}")
    order = [(gives[pick.account], pick.account) for pick in part.picks]
    if order != sorted(set(order)):
        yield Finding(fault, f"{said}: {[pick.account for pick in part.picks]} are out of order")
    gaps, hidden = _gaps(part, line), part.hidden_on_line
    if min(gaps) < 0:
        yield Finding(fault, f"{said} of {line.length} places: they stand on each other, or behind its end")
    # Who is not told takes up places, and gives no less than a lot, less than the least.
    if not sum(gap > 0 for gap in gaps) <= hidden[0] <= min(hidden[1], sum(gaps)) or hidden[1] > hidden[0] * (line.least_lots - 1):
        yield Finding(fault, f"{said}: {hidden[0]} who are passed over have {hidden[1]} lots and {sum(gaps)} places")
    drawn = {pick.account for pick in part.picks}
    for share in part.shares:
        if share.holder not in drawn and share.part < min(line.least_lots, share.cap):
            yield Finding(fault, f"{said}: {share.holder} gives {share.part}, below the least {line.least_lots}, and is not picked")


def _end_of(part: _Class, line: _Line, pick: _Pick) -> int:
    """Return the place behind the last that one takes up."""
    cap = next(share.cap for share in part.shares if share.holder == pick.account)
    return pick.begins + max(1, pick.share_lots * _DRAW // max(1, min(line.least_lots, cap)))


def _gaps(part: _Class, line: _Line) -> list[int]:
    """Return the places before each who is picked, and behind the last, of some who are not told."""
    ends = [0, *(_end_of(part, line, pick) for pick in part.picks)]
    return [begin - end for begin, end in zip([*(pick.begins for pick in part.picks), line.length], ends, strict=True)]


def _check_drawing(said: str, part: _Class, line: _Line) -> Findings:
    """Draw, and compare what each must give."""
    fault, shares, gaps = CertificateFault.LINE, {share.holder: share for share in part.shares}, _gaps(part, line)
    gives = [min(line.least_lots, shares[pick.account].cap) for pick in part.picks]
    due, left, last = [0] * len(gives), line.lots, 0
    for point in range(line.point, line.length, _DRAW):
        at = [number for number, pick in enumerate(part.picks) if pick.begins <= point < _end_of(part, line, pick)]
        if left > 0 and not at:
            yield Finding(fault, f"{said}: who stands at point {point} is not picked")
            return
        if left > 0:
            last = at[0]
            due[last] = min(gives[last], left)
            left -= due[last]
    number = last
    while left > 0:
        # Nobody who is not told may stand between the last that was drawn and who gives the rest.
        passed = gaps[number] + (gaps[-1] if number == 0 else 0)
        number = (number - 1) % len(due)
        if passed or number == last:
            yield Finding(fault, f"{said}: {left} lots are left to some who are not picked")
            return
        if due[number] == 0:
            due[number] = min(gives[number], left)
            left -= due[number]
    for pick, lots in zip(part.picks, due, strict=True):
        if shares[pick.account].part != lots:
            yield Finding(fault, f"{said}: {pick.account} gives {shares[pick.account].part}, {lots} are due of it")


#: Places of a line for which one is drawn.
_DRAW = 1 << 32


def _drawn(seq: int, market: int, third: int) -> int:
    """Return the number that rule R6.6.15 draws."""
    word = seq * 0x9E3779B97F4A7C15 + (market + 1) * 0xBF58476D1CE4E5B9 + (third + 1) * 0x94D049BB133111EB
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word &= (1 << 64) - 1
        word = (word ^ (word >> shift)) * factor
    word &= (1 << 64) - 1
    return (word ^ (word >> 31)) >> 2


_SCORE_SIGNS: dict[int, tuple[int, ...]] = {AdlClass.PROFITABLE: (0, 1), AdlClass.REST: (-1, 0)}
#: The largest rank score: two ratios of a millionfold each, in ppm.
_SCORE_MAX = 10**18
_PPM = 1_000_000
#: Beyond every drawn number: they have 62 bits.
_DRAWN_END = 1 << 62


def _check_order(name: str, shares: Sequence[Share], hidden: int, eta: tuple[int, int]) -> Findings:
    """Check whole caps in order of weight: before the last that gave, everyone gave all.

    ``hidden`` gave nothing.
    """
    fault = CertificateFault.SHARE
    ranked = sorted(shares, key=lambda share: (-share.weight, _order_of(share.holder)))
    givers = [place for place, share in enumerate(ranked) if share.part > 0]
    if not givers:
        if eta != (0, 0):
            yield Finding(fault, f"{name}: nobody gives, yet eta is {eta[0]} / {eta[1]}")
        return
    last = ranked[givers[-1]]
    for share in ranked[: givers[-1]]:
        if share.part != share.cap:
            yield Finding(fault, f"{name}: {share.holder} gives {share.part} of its cap {share.cap} before {last.holder} gives")
    keeps = hidden > 0 or any(share.part != share.cap for share in shares)
    right = (last.weight, 0) if keeps else (0, 0)
    if eta != right:
        yield Finding(fault, f"{name}: eta {eta[0]} / {eta[1]}, must be {right[0]} / {right[1]}")


def _check_standings(whole: _Whole, part: _Class, contract: Contract | None) -> Findings:
    """Check that exposure and equity of everyone who gives are told."""
    fault = CertificateFault.WEIGHT
    if part.head.adl_class == AdlClass.PROFITABLE:
        yield Finding(CertificateFault.CLASS, f"{part.name}, where leverage and not profit decides")
    silent = [fill.account for entry in part.entries if entry.owner is None for fill in entry.fills]
    if silent:
        yield Finding(fault, f"{part.name}: exposure and equity of {silent} are not told")
    for each in part.standings:
        # What he may give is part of what he holds.
        if each.equity * _PPM < abs(each.exposure) + _worth(whole, each.cap, contract) or not each.equity:
            yield Finding(fault, f"{part.name}: {each.holder} counts with equity {each.equity}, exposure {each.exposure}")


def check_levels(name: str, shares: Sequence[Levelled], lot: int, hidden: int, eta: tuple[int, int]) -> Findings:
    """Check that each lot, worth ``lot`` atoms, came from whoever then had the highest leverage, ties by
    id.

    Nobody's last lot was asked for below the level ``eta``, which is that of one of them, and nobody
    kept a lot above it. ``hidden`` gave nothing.
    """
    fault = CertificateFault.SHARE
    keeps = hidden > 0 or any(share.part != share.cap for share in shares)
    if not keeps or eta == (0, 0) or not shares:
        if keeps or eta != (0, 0):
            yield Finding(fault, f"{name}: level {eta[0]} / {eta[1]}, {len(shares)} give, of whom some kept lots: {keeps}")
        return
    of_last = [share for share in shares if share.part and share.level(share.part, lot) == eta]
    if eta[1] < 1 or not of_last:
        yield Finding(fault, f"{name}: level {eta[0]} / {eta[1]} is that of nobody's last lot")
        return
    last = _order_of(of_last[-1].holder)
    for share in shares:
        mine = share.level(share.part, lot)
        above = mine[0] * eta[1] - eta[0] * mine[1]
        if share.part and (above < 0 or (above == 0 and _order_of(share.holder) > last)):
            yield Finding(fault, f"{name}: {share.holder} gives {share.part} lots, down to {mine[0]} / {mine[1]}")
        following = share.level(share.part + 1, lot)
        above = following[0] * eta[1] - eta[0] * following[1]
        if share.part < share.cap and (above > 0 or (above == 0 and _order_of(share.holder) < last)):
            yield Finding(fault, f"{name}: {share.holder} keeps a lot at {following[0]} / {following[1]}, cap {share.cap}")


def _check_proportions(name: str, shares: Sequence[Share], hidden: int, eta: tuple[int, int], on_line: tuple[int, int]) -> Findings:
    """Check ``min(cap, eta x weight)``: whole caps up to eta, the rest by floor and largest
    remainder.

    ``hidden`` are not told: they gave nothing, and but for those on the line, how many and with which
    parts together, had none.
    """
    fault = CertificateFault.SHARE
    to_place, weight_sum = eta
    keeps = hidden > 0 or any(share.part != share.cap for share in shares)
    if not keeps or eta == (0, 0):
        if keeps or eta != (0, 0):
            kept = [share.holder for share in shares if share.part != share.cap]
            yield Finding(fault, f"{name}: eta {to_place} / {weight_sum}, yet {hidden + len(kept)} candidates kept some: {kept[:5]}")
        return
    # A budget of 0 leaves nothing to place.
    if to_place < 0 or weight_sum < 1:
        yield Finding(fault, f"{name}: eta {to_place} / {weight_sum} is no share")
        return
    said = f"eta {to_place} / {weight_sum}"
    free = [share for share in shares if share.cap * weight_sum > to_place * share.weight]
    for share in shares:
        if share.cap * weight_sum <= to_place * share.weight and share.part != share.cap:
            yield Finding(fault, f"{said}: {share.holder} with weight {share.weight} gives {share.part} of its cap {share.cap}")
    given = sum(share.part for share in free)
    if given + on_line[1] != to_place:
        yield Finding(CertificateFault.LOTS, f"{name}: {given + on_line[1]} below their caps, {said} says {to_place}")
    yield from _check_remainders(fault, name, [(share.holder, share.part, to_place * share.weight) for share in free], weight_sum)
    hidden_weight = weight_sum - sum(share.weight for share in free)
    if hidden_weight < hidden or (hidden == 0 and hidden_weight):
        yield Finding(fault, f"{said}: the weights told leave {hidden_weight} for {hidden} candidates without a part")
    if on_line[0]:
        # Each has the floor of its share, or one more.
        if abs(on_line[1] * weight_sum - to_place * hidden_weight) >= hidden * weight_sum:
            yield Finding(fault, f"{said}: {hidden} not told, of weight {hidden_weight}, have {on_line[1]} lots")
        return
    # Nobody without a part may have had a larger remainder than one who was given a unit for it;
    # their mean is known.
    products = [(share.part, to_place * share.weight) for share in free]
    least = min((product % weight_sum for part, product in products if part > product // weight_sum), default=None)
    if least is None:
        if hidden_weight:
            yield Finding(fault, f"{said}: {hidden} candidates without a part have weight, yet no remainder was given")
    elif to_place * hidden_weight > hidden * least:
        yield Finding(fault, f"{said}: {hidden} candidates without a part had larger remainders than {least}")


def _check_remainders(fault: CertificateFault, name: str, shares: list[tuple[int, int, int]], divisor: int) -> Findings:
    """Check parts of (holder, part, numerator): floor or one more, the largest remainders first,
    ties by id.
    """
    for holder, part, numerator in shares:
        if part - numerator // divisor not in (0, 1):
            yield Finding(fault, f"{name}: {holder} has {part}, its share is {numerator} / {divisor}")
    ranked = sorted(shares, key=lambda share: (-(share[2] % divisor), _order_of(share[0])))
    extra = [part - numerator // divisor for _, part, numerator in ranked]
    for place in range(1, len(ranked)):
        if extra[place] > extra[place - 1]:
            left, right = ranked[place - 1], ranked[place]
            yield Finding(
                fault,
                f"{name}: {right[0]} (remainder {right[2] % divisor}) was given one more before {left[0]} (remainder {left[2] % divisor})",
            )


def _check_cash(whole: _Whole, fills: list[_Fill], is_linear: bool) -> Findings:
    fault = CertificateFault.CASH
    paid = -sum(fill.cash for fill in fills)
    if paid != whole.cash:
        yield Finding(fault, f"the counterparties pay {paid}, the defaulters receive {whole.cash}")
    house = [fill for fill in fills if fill.account < 0]
    for fill in house:
        if is_linear and (fill.cash * fill.lots >= 0 or abs(fill.cash) % max(1, _ANY_LINEAR.value(abs(fill.lots), whole.first.mark_ticks))):
            yield Finding(fault, f"{fill.account} of the house receives {fill.cash}, not the mark value of {fill.lots} lots")
    accounts = [fill for fill in fills if fill.account >= 0]
    left = whole.cash + sum(fill.cash for fill in house)
    for fill in accounts:
        if fill.cash * left > 0:
            yield Finding(fault, f"{fill.account} receives {fill.cash}, so do the defaulters with {left}")
    lots = sum(abs(fill.lots) for fill in accounts)
    if lots:
        # Ties go to the fill told first.
        shares = [(number, abs(fill.cash), abs(left) * abs(fill.lots)) for number, fill in enumerate(accounts)]
        yield from _check_remainders(fault, "cash", shares, lots)


def _check_trades(whole: _Whole, fills: list[_Fill], rows: list[_Row], asset: int) -> Findings:
    """Check the trades, the defaulters' first, each followed by the posting of what it realised;
    then the payments.
    """
    first, price_ticks = whole.first, whole.first.mark_ticks if whole.is_crossing else 0
    expected = [(part.plan.account, NONE, part.plan.lots, part.plan.cash) for part in whole.parts]
    expected += [(fill.account, first.account, fill.lots, fill.cash) for fill in fills]
    place = 0
    for holder, counterpart, lots, cash in expected:
        wanted = _Row(first.seq, EffectKind.TRADE, Cause.ADL, first.market, holder, counterpart, lots, price_ticks, cash, 0)
        if place >= len(rows) or rows[place]._replace(value=0) != wanted:
            yield Finding(
                CertificateFault.TRADE, f"planned {_words(wanted)}, traded {_words(rows[place]) if place < len(rows) else 'nothing'}"
            )
            return
        realised = rows[place].value
        place += 1
        clearing = clearing_of(first.market)
        receiver, payer = (holder, clearing) if realised > 0 else (clearing, holder)
        posting = _Row(first.seq, EffectKind.POSTING, Cause.ADL, first.market, receiver, payer, 0, 0, abs(realised), asset)
        if realised and (place >= len(rows) or rows[place] != posting):
            yield Finding(CertificateFault.TRADE, f"{holder} realised {realised}, which no posting against {clearing} follows")
        place += place < len(rows) and rows[place].kind == EffectKind.POSTING and bool(realised)
    yield from _check_payments(whole, fills, rows[place:], asset)


def _asset_of(rows: list[_Row]) -> int:
    """Return the asset that the first posting of a wave names: all others must be in it."""
    return next((row.value for row in rows if row.kind == EffectKind.POSTING), 0)


def _check_payments(whole: _Whole, fills: list[_Fill], rows: list[_Row], asset: int) -> Findings:
    """Check what the fund pays and what solvent defaulters are charged, in order of the defaulters."""
    first, place = whole.first, 0
    for part in whole.parts:
        if part.support is not None and part.support.amount:
            amount, account = part.support.amount, part.plan.account
            place, back = _before_support(whole, rows, place, account)
            paid = rows[place] if place < len(rows) else None
            is_paid = paid is not None and (paid.kind, paid.code, paid.account) == (EffectKind.POSTING, Cause.SUPPORT, account)
            if is_paid or back < amount:
                # At most: what is owed for a fill pays for all that the account lacks.
                most = min(amount, max(amount - back, paid.amount)) if back and paid is not None else amount
                due = [
                    _Row(first.seq, EffectKind.POSTING, Cause.SUPPORT, first.market, account, fund, 0, 0, most, asset) for fund in _FUNDS
                ]
                if paid not in due:
                    yield Finding(CertificateFault.SUPPORT, f"{amount} of support is not paid: {_words(paid) if paid else 'nothing'}")
                place += 1
        if _is_charge(whole, rows, place) and rows[place].other == part.plan.account:
            yield from _check_charge(part.plan, rows[place])
            place += 1
    crossed = [fill.account for fill in fills] if whole.is_crossing else []
    for account in crossed:
        if _is_charge(whole, rows, place) and rows[place].other == account:
            place += 1
    if place < len(rows) and rows[place].seq == first.seq and (rows[place].kind, rows[place].code) in _MOVES:
        yield Finding(CertificateFault.TRADE, f"nobody planned what follows: {_words(rows[place])}")


def _before_support(whole: _Whole, rows: list[_Row], place: int, account: int) -> tuple[int, int]:
    """Return where the fund's payment for an account stands, and what those who owe it for a fill,
    and were closed here, pay before.
    """
    end = place
    while end < len(rows) and rows[end].seq == whole.first.seq and not _begins_another(rows[end]):
        end += 1
    debts = [row for row in rows[place:end] if (row.kind, row.code) == (EffectKind.POSTING, Cause.FILL_DEBT)]
    if debts:
        return end, sum(row.amount for row in debts if row.account == account)
    # Claims that are set off against it stand before it.
    while place < len(rows) and rows[place].kind == EffectKind.CLAIM:
        place += 1
    return place, 0


def _begins_another(row: _Row) -> bool:
    """Return whether a row is of another plan, or moves lots or cash of a wave."""
    return row.kind == EffectKind.ADL_PLAN or (row.kind, row.code) in _MOVES


def _is_charge(whole: _Whole, rows: list[_Row], place: int) -> bool:
    if place >= len(rows):
        return False
    return (rows[place].seq, rows[place].kind, rows[place].code) == (whole.first.seq, EffectKind.POSTING, Cause.CLOSING_CHARGE)


def _check_charge(plan: _Plan, row: _Row) -> Findings:
    """Check what a solvent account pays for leaving beside the book: no more than its equity, all of
    it to a fund.
    """
    if (row.market, row.other) != (plan.market, plan.account) or row.account not in _FUNDS or not 1 <= row.amount <= plan.equity:
        said = f"{row.account} receives {row.amount} from {row.other} in market {row.market}"
        yield Finding(CertificateFault.CHARGE, f"{said}, the plan is of {plan.account} in market {plan.market} with equity {plan.equity}")


def _words(row: _Row) -> str:
    kind = EffectKind(row.kind).name if row.kind in list(EffectKind) else f"kind {row.kind}"
    return f"{kind} of {row.account} with {row.other}: {row.lots} lots, cash {row.amount}, cause {row.code}"
