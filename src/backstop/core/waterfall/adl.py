"""Auto-deleveraging: lots that the book and the fund cannot take close against the opposite side.

Exactly the lots planned, from the opposite side only, at exactly the zero cash (at mark for a
solvent account); nobody is left below maintenance. Policies differ in whom they weigh how
(``ranking``), not in classes or caps. Every wave leaves a certificate (ADL_PLAN, ADL_CLASS,
ADL_FILL) that ``certificate.check_certificate`` verifies without trusting this planner. Rules:
docs/rules.md, 6.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.breakers import add_flow
from backstop.core.columns import (
    ADL_CAP,
    ADL_CLASS,
    ADL_PART,
    ADL_WEIGHT,
    CLASS_ETA_LOTS,
    CLASS_ETA_WEIGHT,
    COUNTERPARTY_CASH,
    COUNTERPARTY_LOTS,
    COUNTERPARTY_POSITION,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
    TURN_ACCOUNT,
)
from backstop.core.contracts import cash_at_mark, closing, notional_at_mark
from backstop.core.events import ADL_IN_ORDER, NONE, AdlClass, Cause, Health
from backstop.core.ledger import trade
from backstop.core.margin import assess, margin_after, zero_cash
from backstop.core.monitor import update_health
from backstop.core.outbox import emit_adl_class, emit_adl_fill, emit_adl_plan
from backstop.core.search import largest_that
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products, split_by_largest_remainder
from backstop.core.waterfall.allocation import allocate, allocate_in_order
from backstop.core.waterfall.counterparties import (
    least_lots_at_mark,
    opposite_positions,
    settle_counterparty,
    trade_counterparty,
)
from backstop.core.waterfall.cover import outcome_after_closing
from backstop.core.waterfall.ranking import adl_weight, class_of, sum_hedges
from backstop.core.waterfall.turns import answer

__all__ = ["deleverage", "deleverage_position"]

#: In the order in which they are asked.
_CLASSES = tuple(int(adl_class) for adl_class in AdlClass)
#: The share of cash and the margin of the rest are both rounded up.
_ROUNDINGS = 2


@kernel
def _classify(state: State, policy: int, found: int, owner: int) -> None:
    """Fill in class and weight of each counterparty gathered."""
    for place in range(found):
        position = state.columns[COUNTERPARTY_POSITION, place]
        kind = class_of(state, position, owner)
        state.columns[ADL_CLASS, place] = kind
        state.columns[ADL_WEIGHT, place] = adl_weight(state, position, kind, policy)


@inlined
def _stays_above(state: State, lots: int, terms: tuple[int, int, int, int, int]) -> bool:
    """Return whether giving ``lots`` leaves equity above maintenance, an atom kept for each
    rounding up.
    """
    position, equity, maintenance, extra, total_lots = terms
    # lots x extra / total_lots, rounded up, <= room, without the quotient, which may not fit.
    room = equity - margin_after(state, position, closing(state.positions[position].lots, lots), maintenance) - _ROUNDINGS
    return compare_products(lots, extra, room, total_lots) <= 0


@kernel
def _cap_lots(state: State, position: int, extra: int, total_lots: int) -> int:
    """Return the most lots a counterparty can give so that every number up to it keeps its
    maintenance (keeps INV-06).

    ``extra`` is what all counterparties together pay beyond mark for ``total_lots``. Equity less
    maintenance is concave in the lots given, so that a bisection holds for all between.
    """
    row = state.positions[position]
    whole = abs(row.lots)
    if row.account < 0 or extra == 0:
        return whole
    equity, maintenance = assess(state, row.account)
    if equity - maintenance < _ROUNDINGS:
        return 0
    return largest_that(_stays_above, state, (position, equity, maintenance, extra, total_lots), whole)


@kernel
def _cap_all(state: State, found: int, extra: int, lots: int) -> int:
    """Fill in every cap; return their sum."""
    total = 0
    for place in range(found):
        cap = _cap_lots(state, state.columns[COUNTERPARTY_POSITION, place], extra, lots)
        state.columns[ADL_CAP, place] = cap
        total = add_checked(total, cap)
    return total


@kernel
def _has_class(state: State, found: int, kind: int) -> bool:
    place = 0
    while place < found and state.columns[ADL_CLASS, place] != kind:
        place += 1
    return place < found


@kernel
def _set_others_aside(state: State, found: int, kind: int) -> None:
    """Turn the sign of the caps of all other classes: allocation leaves those below 0 out.

    A second call turns them back.
    """
    caps = state.columns[ADL_CAP]
    for place in range(found):
        if state.columns[ADL_CLASS, place] != kind:
            caps[place] = -caps[place]


@kernel
def _fill_class(state: State, policy: int, found: int, kind: int, to_place: int) -> int:
    """Place lots in one class, in proportion or in order as the policy says; return how many."""
    if to_place == 0 or not _has_class(state, found, kind):
        return 0
    caps, weights, parts = state.columns[ADL_CAP], state.columns[ADL_WEIGHT], state.columns[ADL_PART]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    _set_others_aside(state, found, kind)
    if kind != AdlClass.HOUSE and policy in ADL_IN_ORDER:
        eta_lots, eta_weight = allocate_in_order(to_place, caps, weights, parts, heap, found)
    else:
        eta_lots, eta_weight = allocate(to_place, caps, weights, parts, remainders, heap, found)
    _set_others_aside(state, found, kind)
    state.columns[CLASS_ETA_LOTS, kind] = eta_lots
    state.columns[CLASS_ETA_WEIGHT, kind] = eta_weight
    placed = 0
    for place in range(found):
        if parts[place] > 0:
            state.columns[COUNTERPARTY_LOTS, place] = parts[place]
            placed += parts[place]
    return placed


@kernel
def _emit_class(state: State, found: int, kind: int, defaulter: int, market: int, sign: int, cash: int) -> None:
    """Emit ADL_CLASS and its ADL_FILL rows, if the class gave lots."""
    candidates, full, placed = 0, 0, 0
    for place in range(found):
        if state.columns[ADL_CLASS, place] == kind and state.columns[ADL_CAP, place] > 0:
            candidates += 1
            placed += state.columns[COUNTERPARTY_LOTS, place]
            if state.columns[COUNTERPARTY_LOTS, place] == state.columns[ADL_CAP, place]:
                full += 1
    if placed == 0:
        return
    eta_lots, eta_weight = state.columns[CLASS_ETA_LOTS, kind], state.columns[CLASS_ETA_WEIGHT, kind]
    emit_adl_class(
        state,
        account=defaulter,
        adl_class=kind,
        candidates=candidates,
        lots=placed,
        market=market,
        full=full,
        eta_lots=eta_lots,
        eta_weight=eta_weight,
    )
    for place in range(found):
        lots = state.columns[COUNTERPARTY_LOTS, place]
        if state.columns[ADL_CLASS, place] == kind and lots > 0:
            part = state.columns[COUNTERPARTY_CASH, place]
            received = -part if cash > 0 else part
            cap, weight = state.columns[ADL_CAP, place], state.columns[ADL_WEIGHT, place]
            holder = state.positions[state.columns[COUNTERPARTY_POSITION, place]].account
            emit_adl_fill(
                state,
                account=holder,
                defaulter=defaulter,
                market=market,
                lots=sign * lots,
                adl_class=kind,
                cash=received,
                cap_lots=cap,
                weight=weight,
            )


@kernel
def _emit_certificate(
    state: State, policy: int, found: int, account: int, market: int, sign: int, lots: int, cash: int, equity: int
) -> None:
    fills = 0
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            fills += 1
    mark = state.markets[market].mark_ticks
    emit_adl_plan(
        state,
        account=account,
        lots=-sign * lots,
        market=market,
        mark_ticks=mark,
        policy=policy,
        fills=fills,
        cash=cash,
        equity=equity,
    )
    for kind in _CLASSES:
        _emit_class(state, found, kind, account, market, sign, cash)


@kernel
def _lots_and_cash(state: State, position: int, found: int, equity: int, maintenance: int) -> tuple[int, int]:
    """Return the lots that the counterparties' caps allow, with the cash to the defaulter; fill in
    the caps for them.

    Fewer lots have other cash, and other cash gives other caps: so again until the caps suffice.
    (0, 0): nobody can give.
    """
    row = state.positions[position]
    lots = abs(row.lots) if equity < 0 else least_lots_at_mark(state, position, equity, maintenance)
    while lots > 0:
        at_mark = cash_at_mark(state, row.market, closing(row.lots, lots))
        cash = zero_cash(state, position, lots, equity, maintenance) if equity < 0 else at_mark
        most = _cap_all(state, found, cash - at_mark, lots)
        if most >= lots:
            return lots, cash
        lots = most
    return 0, 0


@kernel
def _trade_all(state: State, position: int, found: int, lots: int, cash: int) -> None:
    """Carry out the plan: the defaulter's whole, then each counterparty, class by class; then judge
    them.
    """
    row = state.positions[position]
    account, sign = row.account, 1 if row.lots > 0 else -1
    trade(state, position, -sign * lots, cash, 0, Cause.ADL, NONE)
    row.closed_in_default = 1
    # Closed lots count for the flow breakers of the market and of the venue.
    add_flow(state, row.market, notional_at_mark(state, row.market, lots))
    for settles in range(2):
        for kind in _CLASSES:
            for place in range(found):
                if state.columns[ADL_CLASS, place] == kind and state.columns[COUNTERPARTY_LOTS, place] > 0:
                    if settles == 0:
                        trade_counterparty(state, account, sign, place, cash, 0, Cause.ADL)
                    else:
                        settle_counterparty(state, place)


@kernel
def deleverage_position(state: State, policy: int, position: int, equity: int, maintenance: int) -> None:
    """Close a defaulter's position against counterparties; ``equity`` and ``maintenance`` are its
    account's.

    An insolvent account's whole position at its zero cash, a solvent one's least lots at mark; less
    where the counterparties' caps do not suffice, nothing where there are none.
    """
    row = state.positions[position]
    found = opposite_positions(state, position, False)
    sum_hedges(state, row.market, -row.lots)
    _classify(state, policy, found, state.accounts[row.account].owner)
    lots, cash = _lots_and_cash(state, position, found, equity, maintenance)
    if lots == 0:
        return
    for place in range(found):
        state.columns[COUNTERPARTY_LOTS, place] = 0
    left = lots
    for kind in _CLASSES:
        left -= _fill_class(state, policy, found, kind, left)
    split_by_largest_remainder(
        abs(cash),
        state.columns[COUNTERPARTY_LOTS],
        state.columns[COUNTERPARTY_CASH],
        state.columns[SPLIT_REMAINDER],
        state.columns[SPLIT_HEAP],
        found,
    )
    _emit_certificate(state, policy, found, row.account, row.market, 1 if row.lots > 0 else -1, lots, cash, equity)
    _trade_all(state, position, found, lots, cash)


@kernel
def _deleverage_account(state: State, policy: int, account: int) -> int:
    """Deleverage an account's positions in order of market while in default; return its outcome."""
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            update_health(state, account)
            if state.accounts[account].health < Health.DISTRESSED:
                break
            equity, maintenance = assess(state, account)
            deleverage_position(state, policy, position, equity, maintenance)
        position = row.next_of_account
    return outcome_after_closing(state, account)


@unit
def deleverage(state: State, turn: int, first: int, count: int) -> int:
    """Run ADL over the accounts of the turn, by the turn's policy. Answers as ``turns`` says."""
    going = 0
    for place in range(first, first + count):
        outcome = _deleverage_account(state, state.stages[turn].policy, state.columns[TURN_ACCOUNT, place])
        going += answer(state, place, outcome)
    return going
