"""One ADL plan: the positions of one side of a market that defaulters close, all at once, against
counterparties that are not in default; or against each other.

Each defaulter closes at its own price: at mark with what the fund adds to its gap; the rest moves
its price toward zero cash. The counterparties have one average price. Exactly the lots planned, from
the opposite side only, nobody left below maintenance; the house trades at mark. Every plan leaves a
certificate (ADL_PLAN and SUPPORT of each defaulter, ADL_SCALE, ADL_CLASS, ADL_LINE, ADL_FILL) that
``certificate.check_certificate`` verifies without trusting this planner. Rules: R6.6.6.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.assets import rules_of_market
from backstop.core.breakers import add_flow
from backstop.core.columns import (
    ADL_CAP,
    ADL_CLASS,
    ADL_EQUITY,
    ADL_EXPOSURE,
    ADL_GIVEN,
    ADL_OWNER,
    ADL_PART,
    ADL_WEIGHT,
    CLASS_ETA_LOTS,
    CLASS_ETA_WEIGHT,
    CLASS_LINE_LEAST,
    CLASS_LINE_LENGTH,
    CLASS_LINE_LOTS,
    CLASS_LINE_MEMBERS,
    CLASS_LINE_POINT,
    COUNTERPARTY_CASH,
    COUNTERPARTY_LOTS,
    COUNTERPARTY_POSITION,
    DEFAULTER_EQUITY,
    DEFAULTER_GAP,
    DEFAULTER_LOTS,
    DEFAULTER_POSITION,
    DEFAULTER_SUPPORT,
    DEFAULTER_WANTED,
    FILL_CANDIDATE,
    FILL_CAP,
    GIVER_CAP,
    LINE_BEGINS,
    LINE_CANDIDATE,
    OWNER_HOLDERS,
    SORT_KEY,
    SORT_MERGE,
    SORT_ORDER,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.contracts import cash_at_mark, closing, closing_cash, is_inverse, lots_reaching, notional_at_mark
from backstop.core.events import ADL_IN_ORDER, NONE, AdlClass, AdlPolicy, Cause
from backstop.core.ledger import close_lots, trade
from backstop.core.margin import assess, margin_after
from backstop.core.monitor import update_health
from backstop.core.outbox import (
    emit_adl_class,
    emit_adl_fill,
    emit_adl_line,
    emit_adl_owner,
    emit_adl_pick,
    emit_adl_plan,
)
from backstop.core.search import largest_that
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products, div_ceil, scramble
from backstop.core.waterfall.allocation import allocate, allocate_in_order
from backstop.core.waterfall.candidates import CLASSES, cap_candidates, enter_candidates, first_of_owner, lay_on_accounts
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
from backstop.core.waterfall.line import DRAW, give_from_line, stand_on_line
from backstop.core.waterfall.naked_legs import note_taken
from backstop.core.waterfall.support import tell_part
from backstop.core.waterfall.water_filling import enter_standings, fill_to_level, note_given

__all__ = ["cross_defaulters", "make_plan"]

_CROSSED = int(AdlClass.CROSSED)
#: The share of cash and the margin of the rest are both rounded up.
_ROUNDINGS = 2
#: Of an inverse contract its value before and after, too.
_ROUNDINGS_INVERSE = 4
#: What the cash of a plan, beside an atom for each defaulter, may be off by rounding.
_SLACK_ATOMS = 3


@inlined
def _slack_of(state: State, market: int, count: int) -> int:
    """Return what rounding may add to what the counterparties of ``count`` defaulters pay."""
    return count + _SLACK_ATOMS if is_inverse(state, market) else 0


@inlined
def _roundings_of(state: State, market: int) -> int:
    return _ROUNDINGS_INVERSE if is_inverse(state, market) else _ROUNDINGS


@inlined
def _stays_above(state: State, lots: int, terms: tuple[int, int, int, int, int]) -> bool:
    """Return whether giving ``lots`` leaves equity above maintenance, an atom kept for each
    rounding up.
    """
    position, equity, maintenance, extra, total_lots = terms
    # lots x extra / total_lots, rounded up, <= room, without the quotient, which may not fit.
    row = state.positions[position]
    room = equity - margin_after(state, position, closing(row.lots, lots), maintenance) - _roundings_of(state, row.market)
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
    if equity - maintenance < _roundings_of(state, row.market):
        return 0
    return largest_that(_stays_above, state, (position, equity, maintenance, extra, total_lots), whole)


@kernel
def _cap_all(state: State, found: int, extra: int, lots: int) -> None:
    """Fill in the cap of every counterparty."""
    for place in range(found):
        state.columns[GIVER_CAP, place] = _cap_lots(state, state.columns[COUNTERPARTY_POSITION, place], extra, lots)


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
    market = state.positions[state.columns[DEFAULTER_POSITION, 0]].market
    beyond, slack = gap - support, _slack_of(state, market, count)
    if beyond + slack == 0:
        return True
    if compare_products(beyond, lots, gap, given) > 0:
        return False
    room, place = 0, 0
    while room < given and place < accounts:
        room = add_checked(room, _cap_lots(state, state.columns[COUNTERPARTY_POSITION, place], beyond + slack, given))
        place += 1
    return room >= given


@kernel
def _has_class(state: State, count: int, kind: int) -> bool:
    place = 0
    while place < count and state.columns[ADL_CLASS, place] != kind:
        place += 1
    return place < count


@kernel
def _set_others_aside(state: State, count: int, kind: int) -> None:
    """Turn the sign of the caps of all other classes: allocation leaves those below 0 out.

    A second call turns them back.
    """
    caps = state.columns[ADL_CAP]
    for place in range(count):
        if state.columns[ADL_CLASS, place] != kind:
            caps[place] = -caps[place]


@kernel
def _fill_class(state: State, policy: int, count: int, kind: int, to_place: int) -> int:
    """Place lots in one class, in proportion or in order as the policy says; return how many."""
    if to_place == 0 or not _has_class(state, count, kind):
        return 0
    caps, weights, parts = state.columns[ADL_CAP], state.columns[ADL_WEIGHT], state.columns[ADL_PART]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    _set_others_aside(state, count, kind)
    if kind < AdlClass.HOUSE and policy in ADL_IN_ORDER:
        eta_lots, eta_weight = allocate_in_order(to_place, caps, weights, parts, heap, count)
    elif kind < AdlClass.HOUSE and policy == AdlPolicy.WATER_FILLING:
        eta_lots, eta_weight = fill_to_level(state, to_place, count)
    else:
        eta_lots, eta_weight = allocate(to_place, caps, weights, parts, remainders, heap, count)
    _set_others_aside(state, count, kind)
    state.columns[CLASS_ETA_LOTS, kind] = eta_lots
    state.columns[CLASS_ETA_WEIGHT, kind] = eta_weight
    placed = 0
    for place in range(count):
        if parts[place] > 0:
            state.columns[ADL_GIVEN, place] = parts[place]
            placed += parts[place]
    return placed


@kernel
def _least_asked(state: State, market: int, lots: int) -> int:
    """Return the fewest lots that a plan of so many asks an owner for; 0: any."""
    rules = state.rules[0]
    least = lots_reaching(state, market, rules_of_market(state, market).parts_min_notional)
    if rules.counterparties_max > 0:
        least = max(least, div_ceil(lots, rules.counterparties_max))
    return least


@kernel
def _first_account(state: State) -> int:
    """Return the first defaulter that closes lots."""
    place = 0
    while state.columns[DEFAULTER_LOTS, place] == 0:
        place += 1
    return state.positions[state.columns[DEFAULTER_POSITION, place]].account


@kernel
def _draw_below(state: State, policy: int, market: int, count: int, kind: int, least: int) -> None:
    """Let those of a class whose parts are below the least, though they could give more, stand on a
    line, and those that are drawn give for all of them.
    """
    state.columns[CLASS_LINE_MEMBERS, kind] = 0
    if least <= 1 or kind >= AdlClass.HOUSE or policy in ADL_IN_ORDER or policy == AdlPolicy.WATER_FILLING:
        return
    caps, standing, begins = state.columns[ADL_CAP], state.columns[LINE_CANDIDATE], state.columns[LINE_BEGINS]
    sorting = state.columns[SORT_KEY], state.columns[SORT_ORDER], state.columns[SORT_MERGE]
    members, lots, length = stand_on_line(caps, state.columns[ADL_PART], standing, begins, sorting, count, least)
    if members == 0:
        return
    drawn = scramble(scramble(state.engine[0].last_seq, market, kind), market, _first_account(state))
    point = drawn % min(DRAW, length)
    give_from_line(caps, standing, begins, state.columns[ADL_GIVEN], (members, lots, length, least), point)
    state.columns[CLASS_LINE_MEMBERS, kind] = members
    state.columns[CLASS_LINE_LOTS, kind] = lots
    state.columns[CLASS_LINE_LENGTH, kind] = length
    state.columns[CLASS_LINE_POINT, kind] = point
    state.columns[CLASS_LINE_LEAST, kind] = least


@kernel
def _emit_class(state: State, count: int, kind: int, defaulter: int, market: int) -> None:
    """Emit ADL_CLASS; ``defaulter`` is the plan's first."""
    candidates, full, placed = 0, 0, 0
    for place in range(count):
        if state.columns[ADL_CLASS, place] == kind and state.columns[ADL_CAP, place] > 0:
            candidates += 1
            placed += state.columns[ADL_GIVEN, place]
            if state.columns[ADL_GIVEN, place] == state.columns[ADL_CAP, place]:
                full += 1
    emit_adl_class(
        state,
        account=defaulter,
        adl_class=kind,
        candidates=candidates,
        lots=placed,
        market=market,
        full=full,
        eta_lots=state.columns[CLASS_ETA_LOTS, kind],
        eta_weight=state.columns[CLASS_ETA_WEIGHT, kind],
    )


@kernel
def _emit_line(state: State, kind: int, defaulter: int, market: int) -> None:
    """Emit the line of a class, if it has one, and who is picked from it."""
    members = state.columns[CLASS_LINE_MEMBERS, kind]
    if members == 0:
        return
    emit_adl_line(
        state,
        account=defaulter,
        members=members,
        lots=state.columns[CLASS_LINE_LOTS, kind],
        market=market,
        adl_class=kind,
        least_lots=state.columns[CLASS_LINE_LEAST, kind],
        point=state.columns[CLASS_LINE_POINT, kind],
        length=state.columns[CLASS_LINE_LENGTH, kind],
    )
    for number in range(members):
        candidate = state.columns[LINE_CANDIDATE, number]
        if state.columns[ADL_GIVEN, candidate] > 0:
            emit_adl_pick(
                state,
                account=first_of_owner(state, candidate),
                defaulter=defaulter,
                market=market,
                share_lots=state.columns[ADL_PART, candidate],
                adl_class=kind,
                begins=state.columns[LINE_BEGINS, number],
            )


@kernel
def _is_told(state: State, policy: int, candidate: int) -> bool:
    """Return whether ADL_OWNER tells of a candidate: of an owner of several accounts with lots in the
    market, of every owner where leverage is levelled.
    """
    owner = state.columns[ADL_OWNER, candidate]
    return owner != NONE and (policy == AdlPolicy.WATER_FILLING or state.columns[OWNER_HOLDERS, owner] > 1)


@kernel
def _emit_owner(state: State, policy: int, fill: int, fills: int, market: int, sign: int) -> None:
    """Emit ADL_OWNER before the first fill of an owner: with his weight or, where leverage is levelled,
    what it is the quotient of.
    """
    is_levelled = policy == AdlPolicy.WATER_FILLING
    candidate, count = state.columns[FILL_CANDIDATE, fill], 0
    while fill + count < fills and state.columns[FILL_CANDIDATE, fill + count] == candidate:
        count += 1
    emit_adl_owner(
        state,
        account=first_of_owner(state, candidate),
        fills=count,
        market=market,
        lots=sign * state.columns[ADL_GIVEN, candidate],
        adl_class=state.columns[ADL_CLASS, candidate],
        cap_lots=state.columns[ADL_CAP, candidate],
        equity=state.columns[ADL_EQUITY, candidate] if is_levelled else 0,
        weight=state.columns[ADL_EXPOSURE if is_levelled else ADL_WEIGHT, candidate],
    )


@kernel
def _emit_fill(state: State, fill: int, defaulter: int, market: int, sign: int) -> None:
    """Emit ADL_FILL, with the cap of the account and the weight of its owner."""
    candidate = state.columns[FILL_CANDIDATE, fill]
    emit_adl_fill(
        state,
        account=state.positions[state.columns[COUNTERPARTY_POSITION, fill]].account,
        defaulter=defaulter,
        market=market,
        lots=sign * state.columns[COUNTERPARTY_LOTS, fill],
        adl_class=state.columns[ADL_CLASS, candidate],
        cash=state.columns[COUNTERPARTY_CASH, fill],
        cap_lots=state.columns[FILL_CAP, fill],
        weight=state.columns[ADL_WEIGHT, candidate],
    )


@kernel
def _emit_fills(state: State, policy: int, market: int, sign: int, count: int, fills: int, defaulter: int) -> None:
    """Emit each class that gave lots, with its owners and fills."""
    kind, last = NONE, NONE
    for fill in range(fills):
        candidate = state.columns[FILL_CANDIDATE, fill]
        if state.columns[ADL_CLASS, candidate] != kind:
            kind = state.columns[ADL_CLASS, candidate]
            _emit_class(state, count, kind, defaulter, market)
            _emit_line(state, kind, defaulter, market)
        if candidate != last and _is_told(state, policy, candidate):
            _emit_owner(state, policy, fill, fills, market, sign)
        last = candidate
        _emit_fill(state, fill, defaulter, market, sign)


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
    at_mark = closing_cash(state, row.market, row.lots, state.columns[DEFAULTER_LOTS, place])
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
        _cap_all(state, found, gap - support + _slack_of(state, market, count), min(lots, account_lots))
    return lots


@kernel
def _share_lots(state: State, policy: int, market: int, count: int, lots: int) -> int:
    """Fill in the lots that each candidate gives, class by class, nobody below the least but with all
    that he can give, and lay them on accounts; return how many fills there are.
    """
    for place in range(count):
        state.columns[ADL_GIVEN, place] = 0
    left, least = lots, _least_asked(state, market, lots)
    for kind in CLASSES:
        placed = _fill_class(state, policy, count, kind, left)
        if placed > 0:
            _draw_below(state, policy, market, count, kind, least)
        left -= placed
    return lay_on_accounts(state, count)


@kernel
def _share_cash(state: State, market: int, sign: int, count: int, fills: int) -> None:
    """Fill in the cash that each counterparty receives: the house that of its lots at mark, the
    accounts by lots what then is left of that of all defaulters; without accounts the last of the
    house gets it.
    """
    accounts = _accounts_found(state, fills)
    left = 0
    for place in range(count):
        left = add_checked(left, _defaulter_cash(state, place))
    for place in range(accounts, fills):
        at_mark = cash_at_mark(state, market, -sign * state.columns[COUNTERPARTY_LOTS, place])
        state.columns[COUNTERPARTY_CASH, place] = -at_mark
        left -= at_mark
    if accounts == 0:
        state.columns[COUNTERPARTY_CASH, fills - 1] -= left
    elif left != 0:
        share_cash(state, accounts, left)
    else:
        for place in range(accounts):
            state.columns[COUNTERPARTY_CASH, place] = 0


@kernel
def _trade_all(state: State, market: int, sign: int, count: int, fills: int, first: int) -> None:
    """Carry out the plan: each defaulter's whole, then each counterparty, class by class."""
    for place in range(count):
        lots = state.columns[DEFAULTER_LOTS, place]
        if lots > 0:
            position, cash = state.columns[DEFAULTER_POSITION, place], _defaulter_cash(state, place)
            close_lots(state, position, -sign * lots, cash, 0, Cause.ADL, NONE, lots)
            state.positions[position].closed_in_default = 1
            # Closed lots count for the flow breakers of the market and of the venue.
            add_flow(state, market, notional_at_mark(state, market, lots))
    for fill in range(fills):
        trade_counterparty(state, first, sign, fill, 0, Cause.ADL)
        note_taken(state, state.columns[COUNTERPARTY_POSITION, fill], -sign * state.columns[COUNTERPARTY_LOTS, fill])


@kernel
def _settle_all(state: State, fills: int) -> None:
    """Judge all who gave lots, class by class."""
    for fill in range(fills):
        settle_counterparty(state, fill)


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
    lots = _plan_lots(state, market, count, found)
    if lots == 0:
        return
    candidates = enter_candidates(state, policy, market, -sign, found, common_owner(state, count))
    cap_candidates(state, found, candidates)
    if policy == AdlPolicy.WATER_FILLING:
        enter_standings(state, market, -sign, candidates)
    fills = _share_lots(state, policy, market, candidates, lots)
    _share_cash(state, market, sign, count, fills)
    charge_all(state, 0, count, DEFAULTER_LOTS)
    first = _first_account(state)
    for place in range(count):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            _emit_plan(state, policy, place, fills)
            account = state.positions[state.columns[DEFAULTER_POSITION, place]].account
            tell_part(state, account, market, state.columns[DEFAULTER_GAP, place], state.columns[DEFAULTER_SUPPORT, place])
    if lots < sum_column(state, DEFAULTER_WANTED, 0, count):
        tell_scale(state, market, count)
    _emit_fills(state, policy, market, sign, candidates, fills, first)
    _trade_all(state, market, sign, count, fills, first)
    if policy == AdlPolicy.WATER_FILLING:
        note_given(state, market, -sign, candidates)
    _pay_all(state, market, count)
    _settle_all(state, fills)


@kernel
def _enter_crossed(state: State, first: int, count: int) -> None:
    """Make defaulters counterparties, each of what it should close."""
    for place in range(count):
        wanted = state.columns[DEFAULTER_WANTED, first + place]
        state.columns[COUNTERPARTY_POSITION, place] = state.columns[DEFAULTER_POSITION, first + place]
        state.columns[ADL_OWNER, place] = NONE
        state.columns[ADL_CLASS, place] = _CROSSED
        state.columns[ADL_CAP, place] = state.columns[ADL_WEIGHT, place] = wanted
        state.columns[ADL_GIVEN, place] = 0


@kernel
def _emit_crossed(state: State, market: int, shorts: int, first: int) -> None:
    """Emit the other side of a crossing."""
    _emit_class(state, shorts, _CROSSED, first, market)
    for place in range(shorts):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            state.columns[FILL_CANDIDATE, place] = place
            state.columns[FILL_CAP, place] = state.columns[ADL_CAP, place]
            _emit_fill(state, place, first, market, 1)


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
    for place in range(shorts):
        state.columns[COUNTERPARTY_LOTS, place] = state.columns[ADL_GIVEN, place]
    place_lots(state, longs, lots)
    for place in range(longs):
        state.columns[DEFAULTER_GAP, place] = state.columns[DEFAULTER_SUPPORT, place] = 0
    received = 0
    for place in range(longs):
        received = add_checked(received, _defaulter_cash(state, place))
    share_cash(state, shorts, received)
    charge_all(state, 0, longs, DEFAULTER_LOTS)
    charge_all(state, longs, shorts, COUNTERPARTY_LOTS)
    fills, first = _count_fills(state, shorts), _first_account(state)
    for place in range(longs):
        if state.columns[DEFAULTER_LOTS, place] > 0:
            _emit_plan(state, policy, place, fills)
    if lots < wanted:
        tell_scale(state, market, longs)
    _emit_crossed(state, market, shorts, first)
    _trade_crossed(state, market, longs, shorts, first)
    # Lots of both sides were closed.
    add_flow(state, market, 2 * notional_at_mark(state, market, lots))
    _end_crossing(state, longs, shorts)
