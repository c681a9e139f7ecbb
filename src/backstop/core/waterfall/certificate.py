"""Checks the certificate of an ADL wave without trusting its planner: plain integers, from the rules alone.

A certificate is what the wave emitted: ADL_PLAN, then for each class ADL_CLASS and its ADL_FILL rows, then
the TRADE rows that carried it out. ``check_certificate`` collects everything that is wrong with it. It
refuses to know the state: whether a cap is right, or who else could have given lots, is for a full scan.

Checks INV-06: exactly the lots planned, from the opposite side only, at exactly the cash planned.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from backstop.core.events import NONE, AdlClass, AdlPolicy, Cause, EffectArray, EffectKind, clearing_of, error_inventory_of, outside_of

__all__ = ["CertificateFault", "Finding", "check_certificate"]


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
    #: Not ``min(cap, eta x weight)``, rounded by largest remainder.
    SHARE = 7
    #: Cash is not split by lots, exactly.
    CASH = 8
    #: What was traded is not what was planned.
    TRADE = 9


class Finding(NamedTuple):
    """One fault, with its numbers."""

    code: CertificateFault
    message: str

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class _Row(NamedTuple):
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

    @property
    def cap(self) -> int:
        return self.price_ticks

    @property
    def weight(self) -> int:
        return self.value


class _Class(NamedTuple):
    head: _Row
    fills: list[_Row]

    @property
    def name(self) -> str:
        return AdlClass(self.head.code).name if self.head.code in list(AdlClass) else f"class {self.head.code}"


Findings = Iterator[Finding]

#: Rows that move lots or cash of a wave; one that no plan accounts for is a fault.
_MOVES = ((EffectKind.TRADE, Cause.ADL), (EffectKind.POSTING, Cause.ADL))


def check_certificate(effects: EffectArray, first: int, notional_factor: int | None = None) -> list[Finding]:
    """Return all that is wrong with the certificate whose ADL_PLAN is ``effects[first]``; nothing when it is sound.

    ``notional_factor`` (atoms a tick a lot of the market) is in no effect; with it the cash is also compared
    with the mark value: equal for a solvent account, beyond it by at most the deficit for an insolvent one.
    """
    most = 2 * abs(int(effects[first]["other"])) + 2 * len(AdlClass) + 16
    rows = [_Row(*(int(number) for number in row)) for row in effects[first : first + 2 * most].tolist()]
    plan = rows[0]
    if plan.kind != EffectKind.ADL_PLAN:
        return [Finding(CertificateFault.ROWS, f"kind {plan.kind} at {first} is no ADL_PLAN")]
    classes, stray, after = _read_classes(rows)
    fills = [fill for part in classes for fill in part.fills]
    found = [Finding(CertificateFault.ROWS, f"ADL_FILL of {row.account} before any ADL_CLASS") for row in stray]
    found += _check_rows(plan, classes, fills)
    found += _check_plan(plan, fills, notional_factor)
    found += _check_holders(plan, classes, fills)
    found += _check_classes(classes)
    for part in classes:
        found += _check_caps(plan, part)
        found += _check_shares(part)
    found += _check_cash(plan, fills)
    found += _check_trades(plan, fills, rows[after:])
    return found


def _read_classes(rows: list[_Row]) -> tuple[list[_Class], list[_Row], int]:
    """Return the classes with their fills, fills that stand in no class, and the place after the last."""
    classes: list[_Class] = []
    stray: list[_Row] = []
    place = 1
    while place < len(rows) and rows[place].kind in (EffectKind.ADL_CLASS, EffectKind.ADL_FILL):
        row = rows[place]
        if row.kind == EffectKind.ADL_CLASS:
            classes.append(_Class(row, []))
        elif classes:
            classes[-1].fills.append(row)
        else:
            stray.append(row)
        place += 1
    return classes, stray, place


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _order_of(holder: int) -> tuple[bool, int]:
    """Order holders by id, the house after accounts, OUTSIDE before error_inventory."""
    return holder < 0, abs(holder)


def _check_rows(plan: _Row, classes: list[_Class], fills: list[_Row]) -> Findings:
    fault = CertificateFault.ROWS
    if plan.other != len(fills):
        yield Finding(fault, f"the plan counts {plan.other} fills, {len(fills)} follow")
    for row in [part.head for part in classes] + fills:
        if (row.seq, row.market) != (plan.seq, plan.market):
            yield Finding(fault, f"a row of seq {row.seq}, market {row.market} in a plan of seq {plan.seq}, market {plan.market}")
    for part in classes:
        if part.head.account != plan.account:
            yield Finding(fault, f"{part.name} names defaulter {part.head.account}, the plan {plan.account}")
        for fill in part.fills:
            if fill.other != plan.account:
                yield Finding(fault, f"the fill of {fill.account} names defaulter {fill.other}, the plan {plan.account}")


def _check_plan(plan: _Row, fills: list[_Row], notional_factor: int | None) -> Findings:
    fault = CertificateFault.PLAN
    if plan.code not in list(AdlPolicy):
        yield Finding(fault, f"policy {plan.code} is unknown")
    if plan.account < 0 or plan.market < 0:
        yield Finding(fault, f"defaulter {plan.account}, market {plan.market}: must be an account and a market")
    if plan.lots == 0 or plan.price_ticks < 1:
        yield Finding(fault, f"{plan.lots} lots at a mark of {plan.price_ticks}: must be some lots at a mark of at least 1")
        return
    given = sum(fill.lots for fill in fills)
    if given != -plan.lots:
        yield Finding(CertificateFault.LOTS, f"the fills give {given} lots against {plan.lots} of the defaulter")
    lots, side = abs(plan.lots), -_sign(plan.lots)
    if plan.value >= 0 and (plan.amount * side <= 0 or plan.amount % (lots * plan.price_ticks)):
        yield Finding(fault, f"equity {plan.value}: cash {plan.amount} is not the mark value of {side * lots} lots at {plan.price_ticks}")
    if notional_factor is not None:
        beyond = plan.amount - side * lots * plan.price_ticks * notional_factor
        if not 0 <= beyond <= max(0, -plan.value):
            yield Finding(fault, f"cash {plan.amount} is {beyond} beyond mark value, with equity {plan.value}")


def _check_holders(plan: _Row, classes: list[_Class], fills: list[_Row]) -> Findings:
    fault = CertificateFault.HOLDER
    house = (outside_of(plan.market), error_inventory_of(plan.market))
    for part in classes:
        for fill in part.fills:
            if fill.code != part.head.code:
                yield Finding(fault, f"{fill.account} says class {fill.code} in {part.name}")
            is_house = part.head.code == AdlClass.HOUSE
            if fill.account == plan.account or (fill.account not in house if is_house else fill.account < 0):
                yield Finding(fault, f"{fill.account} cannot be in {part.name}")
            if fill.lots * plan.lots >= 0:
                yield Finding(fault, f"{fill.account} changes by {fill.lots} lots, on the side of the defaulter's {plan.lots}")
        for left, right in pairwise(part.fills):
            if _order_of(left.account) >= _order_of(right.account):
                yield Finding(fault, f"{part.name}: {right.account} after {left.account} is out of order")
    if len({fill.account for fill in fills}) != len(fills):
        yield Finding(fault, f"a counterparty gives twice: {[fill.account for fill in fills]}")


def _check_classes(classes: list[_Class]) -> Findings:
    fault = CertificateFault.CLASS
    codes = [part.head.code for part in classes]
    if codes != sorted(set(codes)) or not set(codes) <= set(AdlClass):
        yield Finding(fault, f"classes {codes} are not ascending codes of AdlClass")
    for number, part in enumerate(classes):
        head = part.head
        is_whole = (head.amount, head.value) == (0, 0)
        if not is_whole and (head.amount < 1 or head.value < 1):
            yield Finding(fault, f"{part.name}: eta {head.amount} / {head.value} is no share")
        if number + 1 < len(classes) and not is_whole:
            yield Finding(
                fault, f"{part.name} kept some of its caps (eta {head.amount} / {head.value}), yet {classes[number + 1].name} gives"
            )
        if head.other < len(part.fills) or (is_whole and head.other != len(part.fills)):
            yield Finding(fault, f"{part.name} counts {head.other} candidates, {len(part.fills)} give")
        full = sum(abs(fill.lots) == fill.cap for fill in part.fills)
        if head.price_ticks != full:
            yield Finding(fault, f"{part.name} counts {head.price_ticks} at their cap, {full} are")
        given = sum(abs(fill.lots) for fill in part.fills)
        if head.lots != given or given == 0:
            yield Finding(CertificateFault.LOTS, f"{part.name} says {head.lots} lots, its fills give {given}")


def _check_caps(plan: _Row, part: _Class) -> Findings:
    fault = CertificateFault.CAP
    for fill in part.fills:
        if not 1 <= abs(fill.lots) <= fill.cap:
            yield Finding(fault, f"{fill.account} gives {abs(fill.lots)} lots, its cap is {fill.cap}")
        if fill.weight < 1:
            yield Finding(fault, f"{fill.account} has weight {fill.weight}: must be at least 1")
        # Where the weight is the holder's lots, it bounds the cap; at mark, and for the house, the cap is all of them.
        if part.head.code != AdlClass.PROFITABLE:
            gives_all = part.head.code == AdlClass.HOUSE or plan.value >= 0
            if fill.cap > fill.weight or (gives_all and fill.cap != fill.weight):
                yield Finding(fault, f"{fill.account} has cap {fill.cap} with {fill.weight} lots")


def _check_shares(part: _Class) -> Findings:
    """Check ``min(cap, eta x weight)``: whole caps up to eta, the rest by floor and largest remainder."""
    fault = CertificateFault.SHARE
    to_place, weight_sum = part.head.amount, part.head.value
    if to_place < 1 or weight_sum < 1:
        for fill in part.fills:
            if abs(fill.lots) != fill.cap:
                yield Finding(fault, f"{part.name} gives all caps, {fill.account} {abs(fill.lots)} of {fill.cap}")
        return
    eta = f"eta {to_place} / {weight_sum}"
    free = [fill for fill in part.fills if fill.cap * weight_sum > to_place * fill.weight]
    for fill in part.fills:
        if fill not in free and abs(fill.lots) != fill.cap:
            yield Finding(fault, f"{eta}: {fill.account} with weight {fill.weight} gives {abs(fill.lots)} of its cap {fill.cap}")
    given = sum(abs(fill.lots) for fill in free)
    if given != to_place:
        yield Finding(CertificateFault.LOTS, f"{part.name}: {given} lots below their caps, {eta} says {to_place}")
    hidden = part.head.other - len(part.fills)
    hidden_weight = weight_sum - sum(fill.weight for fill in free)
    if hidden_weight < hidden or (hidden == 0 and hidden_weight):
        yield Finding(fault, f"{eta}: the weights of the fills leave {hidden_weight} for {hidden} candidates without lots")
    shares = [(fill.account, abs(fill.lots), to_place * fill.weight) for fill in free]
    yield from _check_remainders(fault, part.name, shares, weight_sum)
    # Nobody without lots may have had a larger remainder than one who was given a lot for it; their mean is known.
    least = min((product % weight_sum for _, lots, product in shares if lots > product // weight_sum), default=None)
    if least is None:
        if hidden_weight:
            yield Finding(fault, f"{eta}: {hidden} candidates without lots have weight, yet no remainder was given")
    elif to_place * hidden_weight > hidden * least:
        yield Finding(fault, f"{eta}: {hidden} candidates without lots had larger remainders than {least}")


def _check_remainders(fault: CertificateFault, name: str, shares: list[tuple[int, int, int]], divisor: int) -> Findings:
    """Check parts of (holder, part, numerator): floor or one more, the largest remainders first, ties by id."""
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


def _check_cash(plan: _Row, fills: list[_Row]) -> Findings:
    fault = CertificateFault.CASH
    paid = -sum(fill.amount for fill in fills)
    if paid != plan.amount:
        yield Finding(fault, f"the counterparties pay {paid}, the defaulter receives {plan.amount}")
    for fill in fills:
        if fill.amount * plan.amount > 0:
            yield Finding(fault, f"{fill.account} receives {fill.amount}, so does the defaulter with {plan.amount}")
    lots = abs(plan.lots)
    if lots:
        shares = [(fill.account, abs(fill.amount), abs(plan.amount) * abs(fill.lots)) for fill in fills]
        yield from _check_remainders(fault, "cash", shares, lots)


def _check_trades(plan: _Row, fills: list[_Row], rows: list[_Row]) -> Findings:
    """Check the trades, the defaulter's first, each followed by the posting of what it realised."""
    expected = [(plan.account, NONE, plan.lots, plan.amount)]
    expected += [(fill.account, plan.account, fill.lots, fill.amount) for fill in fills]
    place = 0
    for holder, counterpart, lots, cash in expected:
        wanted = _Row(plan.seq, EffectKind.TRADE, Cause.ADL, plan.market, holder, counterpart, lots, 0, cash, 0)
        if place >= len(rows) or rows[place]._replace(value=0) != wanted:
            yield Finding(
                CertificateFault.TRADE, f"planned {_words(wanted)}, traded {_words(rows[place]) if place < len(rows) else 'nothing'}"
            )
            return
        realised = rows[place].value
        place += 1
        clearing = clearing_of(plan.market)
        receiver, payer = (holder, clearing) if realised > 0 else (clearing, holder)
        posting = _Row(plan.seq, EffectKind.POSTING, Cause.ADL, plan.market, receiver, payer, 0, 0, abs(realised), 0)
        if realised and (place >= len(rows) or rows[place] != posting):
            yield Finding(CertificateFault.TRADE, f"{holder} realised {realised}, which no posting against {clearing} follows")
        place += place < len(rows) and rows[place].kind == EffectKind.POSTING and bool(realised)
    if place < len(rows) and rows[place].seq == plan.seq and (rows[place].kind, rows[place].code) in _MOVES:
        yield Finding(CertificateFault.TRADE, f"nobody planned what follows: {_words(rows[place])}")


def _words(row: _Row) -> str:
    kind = EffectKind(row.kind).name if row.kind in list(EffectKind) else f"kind {row.kind}"
    return f"{kind} of {row.account} with {row.other}: {row.lots} lots, cash {row.amount}, cause {row.code}"
