"""Auto-deleveraging: lots that the book and the fund cannot take close against the opposite side.

Exactly the lots planned, from the opposite side only, at exactly the zero cash (at mark for a solvent
account); nobody is left below maintenance. Every wave leaves a certificate (ADL_PLAN, ADL_CLASS,
ADL_FILL) that ``certificate.check_certificate`` verifies without trusting this planner. Rules: docs/rules.md, 6.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.events import NONE, AdlClass, Cause, EffectKind
from backstop.core.ledger import position_of, trade
from backstop.core.margin import assess, maintenance_margin, unit_of, zero_cash
from backstop.core.outbox import emit
from backstop.core.state import (
    CLASS_ETA_LOTS,
    CLASS_ETA_WEIGHT,
    OWNER_FIRST,
    PLAN_CAP,
    PLAN_CASH,
    PLAN_CLASS,
    PLAN_LOTS,
    PLAN_MERGE,
    PLAN_ORDER,
    PLAN_POSITION,
    PLAN_REMAINDER,
    PLAN_WEIGHT,
    State,
)
from backstop.core.units import (
    add_checked,
    compare_products,
    give_to_largest,
    mul_div_floor,
    mul_mod,
    split_by_largest_remainder,
)
from backstop.core.waterfall.counterparties import (
    least_lots_at_mark,
    opposite_positions,
    settle_counterparty,
    trade_counterparty,
)

__all__ = ["deleverage"]

_ADL_PLAN = int(EffectKind.ADL_PLAN)
_ADL_CLASS = int(EffectKind.ADL_CLASS)
_ADL_FILL = int(EffectKind.ADL_FILL)
_LINKED = int(AdlClass.LINKED)
_PROFITABLE = int(AdlClass.PROFITABLE)
_REST = int(AdlClass.REST)
_HEDGE = int(AdlClass.HEDGE)
_HOUSE = int(AdlClass.HOUSE)
_CLASSES = len(AdlClass)
_CAUSE = int(Cause.ADL)


@kernel
def _is_hedge(state: State, account: int, market: int, lots: int) -> bool:
    """Return whether other accounts of the same owner hold at least as many lots of the opposite side."""
    opposite = 0
    other = state.columns[OWNER_FIRST, state.accounts[account].owner]
    while other != NONE:
        if other != account:
            position = position_of(state, other, market)
            if position != NONE:
                held = state.positions[position].lots
                if held != 0 and (held > 0) != (lots > 0):
                    opposite += abs(held)
        other = state.accounts[other].next_of_owner
    return opposite >= abs(lots)


@kernel
def _classify(state: State, found: int, owner: int) -> None:
    """Fill in class and weight of each counterparty gathered."""
    for place in range(found):
        row = state.positions[state.columns[PLAN_POSITION, place]]
        weight = abs(row.lots)
        kind = _REST
        if row.account < 0:
            kind = _HOUSE
        elif state.accounts[row.account].owner == owner:
            kind = _LINKED
        elif _is_hedge(state, row.account, row.market, row.lots):
            kind = _HEDGE
        else:
            profit = add_checked(row.lots * unit_of(state, row.market), -row.cost)
            if profit > 0:
                kind = _PROFITABLE
                weight = profit
        state.columns[PLAN_CLASS, place] = kind
        state.columns[PLAN_WEIGHT, place] = weight


@inlined
def _stays_above(state: State, market: int, notional: int, unit: int, lots: int, spare: int, extra: int, total_lots: int) -> bool:
    """Return whether giving ``lots`` leaves equity above maintenance, two atoms kept for the two roundings up."""
    margin = maintenance_margin(state, market, notional - lots * unit)
    # lots x extra / total_lots, rounded up, <= room, without the quotient, which may not fit.
    room = spare - margin - 2
    return compare_products(lots, extra, room, total_lots) <= 0


@kernel
def _cap_lots(state: State, position: int, extra: int, total_lots: int) -> int:
    """Return the most lots a counterparty can give so that every number up to it keeps its maintenance (keeps INV-06).

    ``extra`` is what all counterparties together pay beyond mark for ``total_lots``. Equity less
    maintenance is concave in the lots given, so that a bisection holds for all between.
    """
    row = state.positions[position]
    whole = abs(row.lots)
    if row.account < 0 or extra == 0:
        return whole
    equity, maintenance = assess(state, row.account)
    unit = unit_of(state, row.market)
    notional = whole * unit
    spare = equity - maintenance + maintenance_margin(state, row.market, notional)
    if not _stays_above(state, row.market, notional, unit, 0, spare, extra, total_lots):
        return 0
    if _stays_above(state, row.market, notional, unit, whole, spare, extra, total_lots):
        return whole
    low, high = 0, whole
    while high - low > 1:
        middle = (low + high) // 2
        if _stays_above(state, row.market, notional, unit, middle, spare, extra, total_lots):
            low = middle
        else:
            high = middle
    return low


@kernel
def _cap_all(state: State, found: int, extra: int, lots: int) -> int:
    """Fill in every cap; return their sum."""
    total = 0
    for place in range(found):
        cap = _cap_lots(state, state.columns[PLAN_POSITION, place], extra, lots)
        state.columns[PLAN_CAP, place] = cap
        total = add_checked(total, cap)
    return total


@kernel
def _fill_whole_caps(state: State, found: int, kind: int, to_place: int, weight_sum: int) -> tuple[int, int]:
    """Give their whole cap to all for whom eta x weight reaches it; return what is left to place, and its weights.

    Pass by pass: each full candidate raises eta for the others, until a pass fills nobody.
    """
    caps, weights, lots = state.columns[PLAN_CAP], state.columns[PLAN_WEIGHT], state.columns[PLAN_LOTS]
    left, left_weight = to_place, weight_sum
    filled = 1
    while filled > 0:
        pass_left, pass_weight, filled = left, left_weight, 0
        for place in range(found):
            if state.columns[PLAN_CLASS, place] != kind or caps[place] == 0 or lots[place] > 0:
                continue
            if compare_products(caps[place], pass_weight, pass_left, weights[place]) <= 0:
                lots[place] = caps[place]
                left -= caps[place]
                left_weight -= weights[place]
                filled += 1
    return left, left_weight


@kernel
def _fill_class(state: State, found: int, kind: int, to_place: int) -> int:
    """Place lots in one class, ``min(cap, eta x weight)``, exact by largest remainder; return how many."""
    caps, weights, lots = state.columns[PLAN_CAP], state.columns[PLAN_WEIGHT], state.columns[PLAN_LOTS]
    cap_sum, weight_sum = 0, 0
    for place in range(found):
        if state.columns[PLAN_CLASS, place] == kind and caps[place] > 0:
            cap_sum = add_checked(cap_sum, caps[place])
            weight_sum = add_checked(weight_sum, weights[place])
    state.columns[CLASS_ETA_LOTS, kind] = 0
    state.columns[CLASS_ETA_WEIGHT, kind] = 0
    if cap_sum <= to_place:
        for place in range(found):
            if state.columns[PLAN_CLASS, place] == kind:
                lots[place] = caps[place]
        return cap_sum
    left, left_weight = _fill_whole_caps(state, found, kind, to_place, weight_sum)
    state.columns[CLASS_ETA_LOTS, kind] = left
    state.columns[CLASS_ETA_WEIGHT, kind] = left_weight
    parts, remainders = state.columns[PLAN_CASH], state.columns[PLAN_REMAINDER]
    over = left
    for place in range(found):
        parts[place] = NONE
        remainders[place] = NONE
        if state.columns[PLAN_CLASS, place] == kind and caps[place] > 0 and lots[place] == 0:
            parts[place] = mul_div_floor(left, weights[place], left_weight)
            remainders[place] = mul_mod(left, weights[place], left_weight)
            over -= parts[place]
    give_to_largest(over, parts, remainders, state.columns[PLAN_ORDER], state.columns[PLAN_MERGE], found)
    for place in range(found):
        if parts[place] != NONE:
            lots[place] = parts[place]
    return to_place


@kernel
def _emit_class(state: State, found: int, kind: int, defaulter: int, market: int, sign: int, cash: int) -> None:
    """Emit ADL_CLASS and its ADL_FILL rows, if the class gave lots."""
    candidates, full, placed = 0, 0, 0
    for place in range(found):
        if state.columns[PLAN_CLASS, place] == kind and state.columns[PLAN_CAP, place] > 0:
            candidates += 1
            placed += state.columns[PLAN_LOTS, place]
            if state.columns[PLAN_LOTS, place] == state.columns[PLAN_CAP, place]:
                full += 1
    if placed == 0:
        return
    eta_lots, eta_weight = state.columns[CLASS_ETA_LOTS, kind], state.columns[CLASS_ETA_WEIGHT, kind]
    emit(state, _ADL_CLASS, kind, market, defaulter, candidates, placed, full, eta_lots, eta_weight)
    for place in range(found):
        lots = state.columns[PLAN_LOTS, place]
        if state.columns[PLAN_CLASS, place] == kind and lots > 0:
            part = state.columns[PLAN_CASH, place]
            received = -part if cash > 0 else part
            cap, weight = state.columns[PLAN_CAP, place], state.columns[PLAN_WEIGHT, place]
            holder = state.positions[state.columns[PLAN_POSITION, place]].account
            emit(state, _ADL_FILL, kind, market, holder, defaulter, sign * lots, cap, received, weight)


@kernel
def _emit_certificate(state: State, found: int, account: int, market: int, sign: int, lots: int, cash: int, equity: int) -> None:
    fills = 0
    for place in range(found):
        if state.columns[PLAN_LOTS, place] > 0:
            fills += 1
    mark = state.markets[market].mark_ticks
    emit(state, _ADL_PLAN, state.rules[0].adl_policy, market, account, fills, -sign * lots, mark, cash, equity)
    for kind in range(_CLASSES):
        _emit_class(state, found, kind, account, market, sign, cash)


@kernel
def deleverage(state: State, position: int, equity: int, maintenance: int) -> None:
    """Close a defaulter's position against counterparties; ``equity`` and ``maintenance`` are its account's.

    An insolvent account's whole position at its zero cash, a solvent one's least lots at mark; less where the
    counterparties' caps do not suffice, nothing where there are none.
    """
    row = state.positions[position]
    account, market = row.account, row.market
    sign = 1 if row.lots > 0 else -1
    unit = unit_of(state, market)
    found = opposite_positions(state, position, False)
    _classify(state, found, state.accounts[account].owner)

    lots = abs(row.lots) if equity < 0 else least_lots_at_mark(state, position, equity, maintenance)
    while True:
        at_mark = sign * lots * unit
        cash = zero_cash(state, position, lots, equity, maintenance) if equity < 0 else at_mark
        most = _cap_all(state, found, cash - at_mark, lots)
        if most >= lots:
            break
        lots = most
        if lots == 0:
            return

    for place in range(found):
        state.columns[PLAN_LOTS, place] = 0
    left = lots
    for kind in range(_CLASSES):
        if left > 0:
            left -= _fill_class(state, found, kind, left)
    split_by_largest_remainder(
        abs(cash),
        state.columns[PLAN_LOTS],
        state.columns[PLAN_CASH],
        state.columns[PLAN_REMAINDER],
        state.columns[PLAN_ORDER],
        state.columns[PLAN_MERGE],
        found,
    )
    _emit_certificate(state, found, account, market, sign, lots, cash, equity)
    trade(state, position, -sign * lots, cash, 0, _CAUSE, NONE)
    row.closed_in_default = 1
    for kind in range(_CLASSES):
        for place in range(found):
            if state.columns[PLAN_CLASS, place] == kind and state.columns[PLAN_LOTS, place] > 0:
                trade_counterparty(state, account, sign, place, cash, 0, _CAUSE)
    for kind in range(_CLASSES):
        for place in range(found):
            if state.columns[PLAN_CLASS, place] == kind and state.columns[PLAN_LOTS, place] > 0:
                settle_counterparty(state, place)
