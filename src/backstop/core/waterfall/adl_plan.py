"""One ADL plan: the positions of one side of a market that defaulters close, all at once, against
counterparties that are not in default; or against each other.

Each defaulter closes at its own price: at mark with what the fund adds to its gap; the rest moves
its price toward zero cash. The counterparties have one average price. Exactly the lots planned, from
the opposite side only, nobody left below maintenance; the house trades at mark. Every plan leaves a
certificate (ADL_PLAN and SUPPORT of each defaulter, ADL_SCALE, ADL_CLASS, ADL_FILL) that
``certificate.check_certificate`` verifies without trusting this planner. Rules: R6.6.6.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
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
    DEFAULTER_EQUITY,
    DEFAULTER_GAP,
    DEFAULTER_LOTS,
    DEFAULTER_POSITION,
    DEFAULTER_SUPPORT,
    DEFAULTER_WANTED,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.contracts import cash_at_mark, closing, notional_at_mark
from backstop.core.events import ADL_IN_ORDER, NONE, AdlClass, Cause
from backstop.core.ledger import close_lots, trade
from backstop.core.margin import assess, margin_after
from backstop.core.monitor import update_health
from backstop.core.outbox import emit_adl_class, emit_adl_fill, emit_adl_plan
from backstop.core.search import largest_that
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products
from backstop.core.waterfall.allocation import allocate, allocate_in_order
from backstop.core.waterfall.counterparties import opposite_positions, settle_counterparty, share_cash, trade_counterparty
from backstop.core.waterfall.defaulters import (
    available_to_plan,
    charge_all,
    common_owner,
    place_lots,
    post_charge,
    sum_column,
    support_gaps,
    tell_scale,
)
from backstop.core.waterfall.fund import pay
from backstop.core.waterfall.ranking import adl_weight, class_of, sum_hedges
from backstop.core.waterfall.support import tell_part

__all__ = ["cross_defaulters", "make_plan"]

#: In the order in which they are asked.
_CLASSES = (int(AdlClass.LINKED), int(AdlClass.PROFITABLE), int(AdlClass.REST), int(AdlClass.HEDGE), int(AdlClass.HOUSE))
_CROSSED = int(AdlClass.CROSSED)
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
def _fits(state: State, lots: int, terms: tuple[int, int, int, int, int]) -> bool:
    """Return whether the counterparties can take ``lots``: the house at mark, no account beyond its
    cap or the average zero price. Fills in what each defaulter closes of them.
    """
    count, accounts, account_lots, house_lots, available = terms
    given = min(lots, account_lots)
    if lots - given > house_lots:
        return False
    place_lots(state, count, lots)
    gap, support = support_gaps(state, count, available)
    beyond = gap - support
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
    if kind < AdlClass.HOUSE and policy in ADL_IN_ORDER:
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
    """Emit ADL_CLASS and its ADL_FILL rows, if the class gave lots; ``defaulter`` is the plan's first."""
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
def _count_fills(state: State, found: int) -> int:
    fills = 0
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            fills += 1
    return fills


@kernel
def _defaulter_cash(state: State, place: int) -> int:
    """Return what a defaulter receives: at mark, and what the fund leaves of its gap."""
    row = state.positions[state.columns[DEFAULTER_POSITION, place]]
    at_mark = cash_at_mark(state, row.market, closing(row.lots, state.columns[DEFAULTER_LOTS, place]))
    return add_checked(at_mark, state.columns[DEFAULTER_GAP, place] - state.columns[DEFAULTER_SUPPORT, place])


@kernel
def _emit_plan(state: State, policy: int, place: int, fills: int) -> None:
    row = state.positions[state.columns[DEFAULTER_POSITION, place]]
    emit_adl_plan(
        state,
        account=row.account,
        lots=closing(row.lots, state.columns[DEFAULTER_LOTS, place]),
        market=row.market,
        mark_ticks=state.markets[row.market].mark_ticks,
        policy=policy,
        fills=fills,
        cash=_defaulter_cash(state, place),
        equity=state.columns[DEFAULTER_EQUITY, place],
    )


@kernel
def _first_account(state: State) -> int:
    """Return the first defaulter that closes lots."""
    place = 0
    while state.columns[DEFAULTER_LOTS, place] == 0:
        place += 1
    return state.positions[state.columns[DEFAULTER_POSITION, place]].account


@kernel
def _emit_classes(state: State, market: int, sign: int, found: int, account: int) -> None:
    for kind in _CLASSES:
        _emit_class(state, found, kind, account, market, sign)


@kernel
def _plan_lots(state: State, market: int, count: int, found: int) -> int:
    """Return the lots that leave, as many as were found to fit, and fill in each defaulter's part and
    the caps of the counterparties; 0: nobody can give.
    """
    accounts = _accounts_found(state, found)
    account_lots, house_lots = _lots_of(state, 0, accounts), _lots_of(state, accounts, found)
    available = available_to_plan(state, market)
    terms = count, accounts, account_lots, house_lots, available
    lots = largest_that(_fits, state, terms, sum_column(state, DEFAULTER_WANTED, 0, count))
    if lots > 0:
        place_lots(state, count, lots)
        gap, support = support_gaps(state, count, available)
        _cap_all(state, found, gap - support, min(lots, account_lots))
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
def _share_cash(state: State, market: int, sign: int, count: int, found: int) -> None:
    """Fill in the cash that each counterparty receives: the house that of its lots at mark, the
    accounts by lots what then is left of that of all defaulters.
    """
    accounts = _accounts_found(state, found)
    left = 0
    for place in range(count):
        left = add_checked(left, _defaulter_cash(state, place))
    for place in range(accounts, found):
        at_mark = cash_at_mark(state, market, -sign * state.columns[COUNTERPARTY_LOTS, place])
        state.columns[COUNTERPARTY_CASH, place] = -at_mark
        left -= at_mark
    if left != 0:
        share_cash(state, accounts, left)
    else:
        for place in range(accounts):
            state.columns[COUNTERPARTY_CASH, place] = 0


@kernel
def _trade_all(state: State, market: int, sign: int, count: int, found: int, first: int) -> None:
    """Carry out the plan: each defaulter's whole, then each counterparty, class by class."""
    for place in range(count):
        lots = state.columns[DEFAULTER_LOTS, place]
        if lots > 0:
            position, cash = state.columns[DEFAULTER_POSITION, place], _defaulter_cash(state, place)
            close_lots(state, position, -sign * lots, cash, 0, Cause.ADL, NONE, lots)
            state.positions[position].closed_in_default = 1
            # Closed lots count for the flow breakers of the market and of the venue.
            add_flow(state, market, notional_at_mark(state, market, lots))
    for kind in _CLASSES:
        for place in range(found):
            if state.columns[ADL_CLASS, place] == kind and state.columns[COUNTERPARTY_LOTS, place] > 0:
                trade_counterparty(state, first, sign, place, 0, Cause.ADL)


@kernel
def _settle_all(state: State, found: int) -> None:
    """Judge all who gave lots, class by class."""
    for kind in _CLASSES:
        for place in range(found):
            if state.columns[ADL_CLASS, place] == kind and state.columns[COUNTERPARTY_LOTS, place] > 0:
                settle_counterparty(state, place)


@kernel
def _pay_all(state: State, market: int, count: int) -> None:
    """Let the fund pay its parts, and solvent defaulters their charges."""
    group = state.markets[market].group
    for place in range(count):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            account = state.positions[state.columns[DEFAULTER_POSITION, place]].account
            pay(state, account, group, state.columns[DEFAULTER_SUPPORT, place], Cause.SUPPORT, market)
            post_charge(state, place)


@kernel
def make_plan(state: State, policy: int, market: int, sign: int, count: int) -> None:
    """Close what the counterparties can take of the lots of ``count`` defaulters that are on one side
    of a market (``sign`` 1 long), scaled by one fraction; nothing where no lot fits.
    """
    found = opposite_positions(state, state.columns[DEFAULTER_POSITION, 0], False)
    sum_hedges(state, market, -sign)
    _classify(state, policy, found, common_owner(state, count))
    lots = _plan_lots(state, market, count, found)
    if lots == 0:
        return
    _share_lots(state, policy, found, lots)
    _share_cash(state, market, sign, count, found)
    charge_all(state, 0, count, DEFAULTER_LOTS)
    fills, first = _count_fills(state, found), _first_account(state)
    for place in range(count):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            _emit_plan(state, policy, place, fills)
            account = state.positions[state.columns[DEFAULTER_POSITION, place]].account
            tell_part(state, account, market, state.columns[DEFAULTER_GAP, place], state.columns[DEFAULTER_SUPPORT, place])
    if lots < sum_column(state, DEFAULTER_WANTED, 0, count):
        tell_scale(state, market, count)
    _emit_classes(state, market, sign, found, first)
    _trade_all(state, market, sign, count, found, first)
    _pay_all(state, market, count)
    _settle_all(state, found)


@kernel
def _enter_crossed(state: State, first: int, count: int) -> None:
    """Make defaulters counterparties, each of what it should close."""
    for place in range(count):
        wanted = state.columns[DEFAULTER_WANTED, first + place]
        state.columns[COUNTERPARTY_POSITION, place] = state.columns[DEFAULTER_POSITION, first + place]
        state.columns[COUNTERPARTY_LOTS, place] = 0
        state.columns[ADL_CLASS, place] = _CROSSED
        state.columns[ADL_CAP, place] = state.columns[ADL_WEIGHT, place] = wanted


@kernel
def _trade_crossed(state: State, market: int, longs: int, shorts: int, first: int) -> None:
    """Let both sides trade at mark: what an insolvent account lacks for these lots stays with it."""
    mark = state.markets[market].mark_ticks
    for place in range(longs):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            position = state.columns[DEFAULTER_POSITION, place]
            trade(state, position, -state.columns[DEFAULTER_LOTS, place], _defaulter_cash(state, place), mark, Cause.ADL, NONE)
            state.positions[position].closed_in_default = 1
    for place in range(shorts):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            trade_counterparty(state, first, 1, place, mark, Cause.ADL)
            state.positions[state.columns[COUNTERPARTY_POSITION, place]].closed_in_default = 1


@kernel
def _end_crossing(state: State, longs: int, shorts: int) -> None:
    """Let those who gave lots pay their charges, then judge them."""
    for place in range(longs + shorts):
        post_charge(state, place)
    for place in range(longs):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            update_health(state, state.positions[state.columns[DEFAULTER_POSITION, place]].account)
    for place in range(shorts):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            update_health(state, state.positions[state.columns[COUNTERPARTY_POSITION, place]].account)


@kernel
def cross_defaulters(state: State, policy: int, market: int, longs: int, shorts: int) -> None:
    """Close defaulters of both sides against each other at mark, the longs first among them: as many
    lots as the side with fewer should close, of the other side in proportion.
    """
    wanted = sum_column(state, DEFAULTER_WANTED, 0, longs)
    lots = min(wanted, sum_column(state, DEFAULTER_WANTED, longs, shorts))
    if lots == 0:
        return
    _enter_crossed(state, longs, shorts)
    _fill_class(state, policy, shorts, _CROSSED, lots)
    place_lots(state, longs, lots)
    for place in range(longs):
        state.columns[DEFAULTER_GAP, place] = state.columns[DEFAULTER_SUPPORT, place] = 0
    for place in range(shorts):
        state.columns[COUNTERPARTY_CASH, place] = -cash_at_mark(state, market, -state.columns[COUNTERPARTY_LOTS, place])
    charge_all(state, 0, longs, DEFAULTER_LOTS)
    charge_all(state, longs, shorts, COUNTERPARTY_LOTS)
    fills, first = _count_fills(state, shorts), _first_account(state)
    for place in range(longs):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            _emit_plan(state, policy, place, fills)
    if lots < wanted:
        tell_scale(state, market, longs)
    _emit_class(state, shorts, _CROSSED, first, market, 1)
    _trade_crossed(state, market, longs, shorts, first)
    # Lots of both sides were closed.
    add_flow(state, market, 2 * notional_at_mark(state, market, lots))
    _end_crossing(state, longs, shorts)
