"""Auto-deleveraging: lots that the book and the fund cannot take close against the opposite side.

Exactly the lots planned, from the opposite side only, nobody left below maintenance. At mark as far
as the fund pays the gap of an insolvent account; the rest moves the price toward zero cash. The
house trades at mark. Policies differ in whom they weigh how
(``ranking``), not in classes or caps. Every wave leaves a certificate (ADL_PLAN, SUPPORT, ADL_CLASS,
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
from backstop.core.doubt import may_force, waits_for_halt
from backstop.core.events import ADL_IN_ORDER, NONE, AdlClass, Cause, Health
from backstop.core.ledger import close_lots
from backstop.core.margin import assess, margin_after
from backstop.core.outbox import emit_adl_class, emit_adl_fill, emit_adl_plan
from backstop.core.search import largest_that
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products
from backstop.core.waterfall.allocation import allocate, allocate_in_order
from backstop.core.waterfall.charge import closing_charge, lots_to_leave, pay_charge
from backstop.core.waterfall.counterparties import (
    opposite_positions,
    settle_counterparty,
    share_cash,
    trade_counterparty,
)
from backstop.core.waterfall.cover import outcome_after_moving
from backstop.core.waterfall.fund import pay
from backstop.core.waterfall.netting import judge_netted
from backstop.core.waterfall.ranking import adl_weight, class_of, sum_hedges
from backstop.core.waterfall.support import available_for_gap, gap_atoms, tell_support, waits_for_reservation
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
def _cap_all(state: State, found: int, extra: int, lots: int) -> None:
    """Fill in every cap."""
    for place in range(found):
        state.columns[ADL_CAP, place] = _cap_lots(state, state.columns[COUNTERPARTY_POSITION, place], extra, lots)


@kernel
def _accounts_found(state: State, found: int) -> int:
    """Return how many of those gathered are accounts; the house stands behind them."""
    count = found
    while count > 0 and state.positions[state.columns[COUNTERPARTY_POSITION, count - 1]].account < 0:
        count -= 1
    return count


@kernel
def _lots_of(state: State, first: int, last: int) -> int:
    """Return the lots that those at some places hold together."""
    total = 0
    for place in range(first, last):
        total = add_checked(total, abs(state.positions[state.columns[COUNTERPARTY_POSITION, place]].lots))
    return total


@kernel
def _fits(state: State, lots: int, terms: tuple[int, int, int, int, int, int, int]) -> bool:
    """Return whether the counterparties can take ``lots``: the house at mark, no account beyond its
    cap or the zero price.
    """
    position, accounts, account_lots, house_lots, equity, maintenance, available = terms
    given = min(lots, account_lots)
    if lots - given > house_lots:
        return False
    gap = gap_atoms(state, position, lots, equity, maintenance)
    beyond = gap - min(gap, available)
    if beyond == 0:
        return True
    if compare_products(beyond, lots, gap, given) > 0:
        return False
    room, place = 0, 0
    while room < given and place < accounts:
        room = add_checked(room, _cap_lots(state, state.columns[COUNTERPARTY_POSITION, place], beyond, given))
        place += 1
    return room >= given


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
def _emit_class(state: State, found: int, kind: int, defaulter: int, market: int, sign: int) -> None:
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
            received = state.columns[COUNTERPARTY_CASH, place]
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
def _emit_plan(state: State, policy: int, position: int, found: int, lots: int, cash: int, equity: int) -> None:
    row = state.positions[position]
    fills = 0
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            fills += 1
    emit_adl_plan(
        state,
        account=row.account,
        lots=closing(row.lots, lots),
        market=row.market,
        mark_ticks=state.markets[row.market].mark_ticks,
        policy=policy,
        fills=fills,
        cash=cash,
        equity=equity,
    )


@kernel
def _emit_classes(state: State, position: int, found: int) -> None:
    row = state.positions[position]
    for kind in _CLASSES:
        _emit_class(state, found, kind, row.account, row.market, 1 if row.lots > 0 else -1)


@kernel
def _plan_lots(state: State, position: int, found: int, equity: int, maintenance: int, available: int) -> int:
    """Return the lots that ADL closes of a position, as many as were found to fit, and fill in the
    caps for them; 0: nobody can give.
    """
    accounts = _accounts_found(state, found)
    account_lots, house_lots = _lots_of(state, 0, accounts), _lots_of(state, accounts, found)
    most = lots_to_leave(state, position, equity, maintenance)
    terms = position, accounts, account_lots, house_lots, equity, maintenance, available
    lots = largest_that(_fits, state, terms, most)
    if lots > 0:
        gap = gap_atoms(state, position, lots, equity, maintenance)
        _cap_all(state, found, gap - min(gap, available), min(lots, account_lots))
    return lots


@kernel
def _share_lots(state: State, policy: int, found: int, lots: int) -> None:
    """Fill in the lots that each counterparty gives, class by class."""
    for place in range(found):
        state.columns[COUNTERPARTY_LOTS, place] = 0
    left = lots
    for kind in _CLASSES:
        left -= _fill_class(state, policy, found, kind, left)


@kernel
def _share_cash(state: State, position: int, found: int, cash: int) -> None:
    """Fill in the cash that each counterparty receives: the house that of its lots at mark, the
    accounts the rest by lots.
    """
    row = state.positions[position]
    accounts = _accounts_found(state, found)
    left = cash
    for place in range(accounts, found):
        at_mark = cash_at_mark(state, row.market, closing(row.lots, state.columns[COUNTERPARTY_LOTS, place]))
        state.columns[COUNTERPARTY_CASH, place] = -at_mark
        left -= at_mark
    if left != 0:
        share_cash(state, accounts, left)
    else:
        for place in range(accounts):
            state.columns[COUNTERPARTY_CASH, place] = 0


@kernel
def _trade_all(state: State, position: int, found: int, lots: int, cash: int) -> None:
    """Carry out the plan: the defaulter's whole, then each counterparty, class by class."""
    row = state.positions[position]
    account, sign = row.account, 1 if row.lots > 0 else -1
    close_lots(state, position, -sign * lots, cash, 0, Cause.ADL, NONE, lots)
    row.closed_in_default = 1
    # Closed lots count for the flow breakers of the market and of the venue.
    add_flow(state, row.market, notional_at_mark(state, row.market, lots))
    for kind in _CLASSES:
        for place in range(found):
            if state.columns[ADL_CLASS, place] == kind and state.columns[COUNTERPARTY_LOTS, place] > 0:
                trade_counterparty(state, account, sign, place, 0, Cause.ADL)


@kernel
def _settle_all(state: State, found: int) -> None:
    """Judge all who gave lots, class by class."""
    for kind in _CLASSES:
        for place in range(found):
            if state.columns[ADL_CLASS, place] == kind and state.columns[COUNTERPARTY_LOTS, place] > 0:
                settle_counterparty(state, place)


@kernel
def deleverage_position(state: State, policy: int, position: int, equity: int, maintenance: int) -> None:
    """Close a defaulter's position against counterparties; ``equity`` and ``maintenance`` are its
    account's.

    An insolvent account's whole position, at mark with what the fund adds, beyond it by what the
    fund leaves of the gap; a solvent one's least lots at mark. Less where that does not fit, nothing
    where no lot does.
    """
    row = state.positions[position]
    account, market, group = row.account, row.market, state.markets[row.market].group
    found = opposite_positions(state, position, False)
    sum_hedges(state, market, -row.lots)
    _classify(state, policy, found, state.accounts[account].owner)
    is_asked = state.rules[0].fund_supports != 0
    available = available_for_gap(state, account, market, is_asked)
    lots = _plan_lots(state, position, found, equity, maintenance, available)
    if lots == 0:
        return
    gap = gap_atoms(state, position, lots, equity, maintenance)
    support = min(gap, available)
    cash = add_checked(cash_at_mark(state, market, closing(row.lots, lots)), gap - support)
    _share_lots(state, policy, found, lots)
    _share_cash(state, position, found, cash)
    _emit_plan(state, policy, position, found, lots, cash, equity)
    tell_support(state, account, group, market, gap, available, Cause.SUPPORT, is_asked)
    _emit_classes(state, position, found)
    charge = closing_charge(state, position, lots, 0, equity)
    _trade_all(state, position, found, lots, cash)
    pay(state, account, group, support, Cause.SUPPORT, market)
    pay_charge(state, account, market, charge)
    _settle_all(state, found)


@kernel
def _deleverage_account(state: State, turn: int, account: int) -> int:
    """Deleverage an account's positions in order of market while in default; return its outcome."""
    is_asked = state.rules[0].fund_supports != 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_force(state, account, row.market) and not waits_for_halt(state, account, row.market):
            judge_netted(state, account)
            if state.accounts[account].health < Health.DISTRESSED:
                break
            equity, maintenance = assess(state, account)
            gap = gap_atoms(state, position, abs(row.lots), equity, maintenance)
            if waits_for_reservation(state, turn, position, gap, is_asked):
                return Outcome.WAIT
            deleverage_position(state, state.stages[turn].policy, position, equity, maintenance)
        position = row.next_of_account
    return outcome_after_moving(state, turn, account)


@unit
def deleverage(state: State, turn: int, first: int, count: int) -> int:
    """Run ADL over the accounts of the turn, by the turn's policy. Answers as ``turns`` says."""
    going = 0
    for place in range(first, first + count):
        outcome = _deleverage_account(state, turn, state.columns[TURN_ACCOUNT, place])
        going += answer(state, place, outcome)
    return going
