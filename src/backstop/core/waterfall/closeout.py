"""Closing on the book: the least that restores an account, in slices, within limits.

``close_on_book`` sends the orders of one slice. A solvent account's order never goes beyond its
zero price; an insolvent one's gap to zero cash is reserved in the fund before the order leaves
(R6.4).
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.assets import has_one_asset, rules_of_market
from backstop.core.breakers import band_ticks, effective_state
from backstop.core.columns import SLICE_CAP, SLICE_COST, SLICE_POSITION, SLICE_RELEASE, TURN_ACCOUNT
from backstop.core.contracts import cash_of, closing, lots_reaching, lots_within, notional_at_mark
from backstop.core.doubt import is_book_shut, is_forced, may_close, may_force
from backstop.core.events import NONE, BreakerState, Health
from backstop.core.margin import assess, margin_after, released_margin, zero_cash, zero_price_ticks
from backstop.core.orders import is_band_reached, is_place_free, open_order, order_side, price_of_band, reserve
from backstop.core.outbox import emit_order
from backstop.core.rows import CLOSING_ORDER, UNKNOWN_DEPTH
from backstop.core.search import largest_that
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import mul_div_ceil, mul_div_floor
from backstop.core.waits import wait_until
from backstop.core.waterfall.charge import book_cost, comes_before, least_on_book
from backstop.core.waterfall.fund import available_for_orders, roll_interval, worst_support
from backstop.core.waterfall.turns import answer, deadline_ns, wait_interval

__all__ = [
    "book_side",
    "close_on_book",
    "count_ordered",
    "least_order",
    "lots_by_caps",
    "lots_left",
    "lots_with_minimum",
    "slice_lots",
    "sole_order",
    "tolerance_ticks",
]

_PPM = 1_000_000

#: Outcomes of a plan: orders left; capacity is only taken by others; there is none.
_ORDERED, _BUSY, _UNABLE = 0, 1, 2


@inlined
def _minimum_lots(state: State, market: int) -> int:
    """Return the lots that reach the least notional of an order, at least one."""
    return max(1, lots_reaching(state, market, rules_of_market(state, market).minimum_notional))


@inlined
def least_order(state: State, position: int) -> int:
    """Return the lots below which no order leaves for a position: the minimum, or all of it."""
    row = state.positions[position]
    return min(abs(row.lots), _minimum_lots(state, row.market))


@kernel
def lots_with_minimum(state: State, position: int, lots: int) -> int:
    """Return ``lots`` (> 0) of a position, or more: neither they nor what is left of it are below the
    least notional.
    """
    row = state.positions[position]
    whole = abs(row.lots)
    lots = max(lots, _minimum_lots(state, row.market))
    if lots >= whole or notional_at_mark(state, row.market, whole - lots) < rules_of_market(state, row.market).minimum_notional:
        return whole
    return lots


@inlined
def book_side(lots: int) -> int:
    """Return the side of the book that takes a position of signed ``lots``."""
    return order_side(-lots)


@kernel
def _visible_lots(state: State, position: int) -> int:
    """Return the lots within the tolerance that are visible for a position; ``UNKNOWN_DEPTH`` where
    they are fewer than its least order and some of the book waits to be told.
    """
    held = state.positions[position]
    row, side = state.markets[held.market], book_side(held.lots)
    visible, is_unknown = 0, False
    for band in range(row.band_count):
        if row.band_offset_ppm[band] <= row.slippage_tolerance_ppm:
            visible += max(0, row.depth_lots[side, band])
            is_unknown |= row.depth_lots[side, band] == UNKNOWN_DEPTH
    return UNKNOWN_DEPTH if is_unknown and visible < least_order(state, position) else visible


@kernel
def slice_lots(state: State, position: int, probes: bool) -> int:
    """Return the most lots that one slice may take: a share of visible depth and of recent volume,
    less when throttled.

    Where less than the least order is visible and some of it waits to be told, the minimum if it
    ``probes``, else ``UNKNOWN_DEPTH``. That also where the book is shut.
    """
    market = state.positions[position].market
    row, rules = state.markets[market], state.rules[0]
    if is_book_shut(state, market):
        return UNKNOWN_DEPTH
    visible = _visible_lots(state, position)
    if visible == UNKNOWN_DEPTH and probes:
        return _minimum_lots(state, market)
    if visible <= 0:
        return visible
    base = max(1, mul_div_floor(visible, rules.depth_share_ppm, _PPM))
    if row.volume_lots > 0:
        base = min(base, max(1, mul_div_floor(row.volume_lots, rules.volume_share_ppm, _PPM)))
    if effective_state(state, market) != BreakerState.OPEN:
        base = max(1, mul_div_floor(base, rules.throttle_share_ppm, _PPM))
    return base


@kernel
def _notional_left(state: State, account: int, market: int) -> int:
    """Return the notional that may still be ordered in this interval: the account's, the market's,
    the venue's cap.
    """
    present = roll_interval(state)
    rules, row, mine = state.rules[0], state.markets[market], state.defaults[account]
    if mine.ordered_interval != present:
        mine.ordered_interval = present
        mine.ordered_notional = 0
    if row.ordered_interval != present:
        row.ordered_interval = present
        row.ordered_notional = 0
    by_account = rules_of_market(state, market).account_notional_max - mine.ordered_notional
    by_market = row.ordered_notional_max - row.ordered_notional
    return min(by_account, by_market, rules.venue_notional_max - state.engine[0].ordered_notional)


@kernel
def lots_left(state: State, position: int, base: int, pending: int) -> int:
    """Return how many of the ``base`` lots of a slice are left for an order of a position beside those
    ``pending``: at least the least order, where the visible book holds that besides; else none.
    """
    left, least = base - pending, least_order(state, position)
    if 0 < left < least and _visible_lots(state, position) - pending >= least:
        return least
    return left if left >= least else 0


@kernel
def lots_by_caps(state: State, position: int) -> int:
    """Return the lots of a position that the notional caps still allow in this interval."""
    row = state.positions[position]
    return lots_within(state, row.market, _notional_left(state, row.account, row.market))


@kernel
def tolerance_ticks(state: State, market: int, is_sell: bool, tolerance_ppm: int) -> int:
    """Return the worst price that a tolerance allows, rounded inward, at least one tick.

    Never through the band that would halt the market, while the mark itself is inside of it.
    """
    row = state.markets[market]
    band = band_ticks(state, market, is_sell)
    if is_sell:
        ticks = mul_div_ceil(row.mark_ticks, _PPM - tolerance_ppm, _PPM)
        if 0 < band <= row.mark_ticks:
            ticks = max(ticks, band)
    else:
        ticks = mul_div_floor(row.mark_ticks, _PPM + tolerance_ppm, _PPM)
        if band >= row.mark_ticks:
            ticks = min(ticks, band)
    return min(max(ticks, row.price_ticks_min), row.price_ticks_max)


@inlined
def _limit_at_tolerance(state: State, market: int, is_sell: bool) -> int:
    return tolerance_ticks(state, market, is_sell, state.markets[market].slippage_tolerance_ppm)


@kernel
def _worst_support(state: State, position: int, lots: int, limit_ticks: int, equity: int, maintenance: int) -> int:
    """Return what the fund may have to pay if an order of ``lots`` fills at its limit, in any
    number of parts.
    """
    row = state.positions[position]
    at_limit = cash_of(state, row.market, closing(row.lots, lots), limit_ticks)
    return worst_support(zero_cash(state, position, lots, equity, maintenance) - at_limit, lots - 1)


@kernel
def _is_supported(state: State, lots: int, terms: tuple[int, int, int, int, int]) -> bool:
    """Return whether a fund can reserve the worst case of an order of ``lots``."""
    position, limit_ticks, available, equity, maintenance = terms
    return _worst_support(state, position, lots, limit_ticks, equity, maintenance) <= available


@inlined
def _stricter(is_sell: bool, ticks: int, other_ticks: int) -> int:
    """Return the limit that allows less."""
    return max(ticks, other_ticks) if is_sell else min(ticks, other_ticks)


@kernel
def _believed_lots(state: State, position: int) -> int:
    """Return what an unknown band counts for in the limit of an order: the minimum where less than
    the least order is visible, so that a probe finds one; else nothing.
    """
    return _minimum_lots(state, state.positions[position].market) if _visible_lots(state, position) == UNKNOWN_DEPTH else 0


@kernel
def _reached_lots(state: State, position: int, limit_ticks: int) -> tuple[int, bool]:
    """Return the lots within the tolerance that a limit reaches, those visible or believed, and
    whether it reaches an unknown band there.
    """
    held = state.positions[position]
    market, is_sell = held.market, held.lots > 0
    row, side = state.markets[market], book_side(held.lots)
    believed = _believed_lots(state, position)
    lots, is_unknown = 0, False
    for band in range(row.band_count):
        offset = row.band_offset_ppm[band]
        if offset <= row.slippage_tolerance_ppm and is_band_reached(state, market, is_sell, offset, limit_ticks):
            visible = row.depth_lots[side, band]
            lots += believed if visible == UNKNOWN_DEPTH else visible
            is_unknown |= visible == UNKNOWN_DEPTH
    return lots, is_unknown


@kernel
def _zero_ticks(state: State, position: int, lots: int, equity: int, maintenance: int) -> int:
    """Return the zero price of closing ``lots`` of a position."""
    row = state.positions[position]
    return zero_price_ticks(state, row.market, row.lots > 0, lots, zero_cash(state, position, lots, equity, maintenance))


@kernel
def _lots_at(state: State, position: int, limit_ticks: int, wanted: int, available: int, equity: int, maintenance: int) -> int:
    """Return the most of an insolvent account's lots that can fill at a limit with what the fund
    can reserve.
    """
    reached, _ = _reached_lots(state, position, limit_ticks)
    most = min(wanted, reached)
    if most == 0:
        return 0
    return largest_that(_is_supported, state, (position, limit_ticks, available, equity, maintenance), most)


@kernel
def _best_limit(state: State, position: int, wanted: int, available: int, equity: int, maintenance: int) -> tuple[int, int]:
    """Return (lots, limit) at which most lots of an insolvent account can fill; no lots where none
    can.

    The zero price is tried first, then the bands that show lots, of a probe the unknown ones, the best
    first: so of two limits with as many lots the better one is taken.
    """
    row = state.positions[position]
    is_sell = row.lots > 0
    market, side = state.markets[row.market], book_side(row.lots)
    book_ticks = _limit_at_tolerance(state, row.market, is_sell)
    best_ticks = _stricter(is_sell, book_ticks, _zero_ticks(state, position, wanted, equity, maintenance))
    best = _lots_at(state, position, best_ticks, wanted, available, equity, maintenance)
    believed = _believed_lots(state, position)
    for band in range(market.band_count):
        offset, shown = market.band_offset_ppm[band], market.depth_lots[side, band]
        is_there = shown > 0 or (shown == UNKNOWN_DEPTH and believed > 0)
        if offset <= market.slippage_tolerance_ppm and is_there and best < wanted:
            ticks = _stricter(is_sell, book_ticks, price_of_band(state, row.market, is_sell, offset))
            lots = _lots_at(state, position, ticks, wanted, available, equity, maintenance)
            if lots > best:
                best, best_ticks = lots, ticks
    return best, best_ticks


@kernel
def _may_leave_later(state: State, position: int, promised: int, equity: int, maintenance: int) -> bool:
    """Return whether a lot of an insolvent account could leave if no money were reserved: at the
    price of a band that shows lots or is unknown.

    ``promised`` is what is available and what is reserved, together.
    """
    row = state.positions[position]
    is_sell = row.lots > 0
    market, side = state.markets[row.market], book_side(row.lots)
    book_ticks = _limit_at_tolerance(state, row.market, is_sell)
    for band in range(market.band_count):
        offset = market.band_offset_ppm[band]
        if offset <= market.slippage_tolerance_ppm and market.depth_lots[side, band] != 0:
            ticks = _stricter(is_sell, book_ticks, price_of_band(state, row.market, is_sell, offset))
            if _worst_support(state, position, 1, ticks, equity, maintenance) <= promised:
                return True
    return False


@kernel
def _place_order(state: State, position: int, lots: int, limit: int, equity: int, maintenance: int) -> None:
    """Send a closing order of ``lots`` (> 0), reserve its worst case first, and count it against
    the caps.
    """
    row = state.positions[position]
    is_sell = row.lots > 0
    cash = zero_cash(state, position, lots, equity, maintenance)
    worst = _worst_support(state, position, lots, limit, equity, maintenance) if equity < 0 else 0
    slot = open_order(state, position, CLOSING_ORDER, -lots if is_sell else lots, limit, cash)
    reserve(state, slot, worst)
    order = state.orders[slot]
    emit_order(
        state,
        order_id=order.id,
        account=row.account,
        market=row.market,
        lots=order.lots,
        limit_ticks=limit,
        zero_cash=cash,
        reserved=worst,
    )
    count_ordered(state, position, lots)


@kernel
def count_ordered(state: State, position: int, lots: int) -> None:
    """Count ``lots`` (> 0) that go to the book against the caps of account, market and venue."""
    row = state.positions[position]
    notional = notional_at_mark(state, row.market, lots)
    state.defaults[row.account].ordered_notional += notional
    state.markets[row.market].ordered_notional += notional
    if has_one_asset(state):
        state.engine[0].ordered_notional += notional


@kernel
def _weigh_positions(state: State, account: int, fee_ppm: int, maintenance: int, solvent: bool, probes: bool) -> tuple[int, bool]:
    """Gather the positions that the book can take now: row, cap, release, cost.

    Return (how many, any busy). No fund supports an insolvent account's order at an old mark. Where
    the visible book does not hold the least order, nothing is busy: none can leave.
    """
    is_full = not is_place_free(state)
    found, busy = 0, False
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_close(state, account, row.market):
            side = book_side(row.lots)
            base = slice_lots(state, position, probes)
            if not solvent and not may_force(state, account, row.market):
                base = UNKNOWN_DEPTH
            if base == UNKNOWN_DEPTH:
                busy = True
            elif base > 0:
                pending, least = state.markets[row.market].pending_lots[side], least_order(state, position)
                left = lots_left(state, position, base, pending)
                cap = min(left, lots_by_caps(state, position))
                if cap < least or is_full:
                    busy |= left >= least or pending > 0
                else:
                    whole = abs(row.lots)
                    state.columns[SLICE_POSITION, found] = position
                    state.columns[SLICE_CAP, found] = cap
                    state.columns[SLICE_RELEASE, found] = released_margin(state, position, whole, maintenance)
                    state.columns[SLICE_COST, found] = book_cost(state, row.market, side, whole, fee_ppm)
                    found += 1
        position = row.next_of_account
    return found, busy


@kernel
def _take_best(state: State, found: int) -> int:
    """Return the place of the best position not yet taken (ties: the earlier, the lower market), or
    NONE.
    """
    best = NONE
    release, cost = state.columns[SLICE_RELEASE], state.columns[SLICE_COST]
    for place in range(found):
        if state.columns[SLICE_CAP, place] > 0 and (best == NONE or comes_before(release[place], cost[place], release[best], cost[best])):
            best = place
    return best


@kernel
def _quote(state: State, position: int, wanted: int, equity: int, maintenance: int) -> tuple[int, int, bool]:
    """Return (lots, limit, busy) of the order that may leave for a position.

    Of no lots where none may; ``busy`` says whether one may leave later.
    """
    row = state.positions[position]
    is_sell = row.lots > 0
    if equity >= 0:
        limit = _stricter(
            is_sell, _limit_at_tolerance(state, row.market, is_sell), _zero_ticks(state, position, wanted, equity, maintenance)
        )
        reached, is_unknown = _reached_lots(state, position, limit)
        return (wanted if reached > 0 else 0), limit, is_unknown
    available = available_for_orders(state, row.account, row.market)
    lots, limit = _best_limit(state, position, wanted, available, equity, maintenance)
    if lots > 0:
        return lots, limit, False
    promised = available + state.funds[state.markets[row.market].group].reserved
    return 0, limit, _may_leave_later(state, position, promised, equity, maintenance)


@inlined
def _fee_ppm(state: State, equity: int) -> int:
    return state.rules[0].fee_ppm if equity >= 0 else 0


@kernel
def _lots_needed(state: State, position: int, account: int, equity: int, maintenance: int) -> int:
    """Return the lots of a position that are all that the account has to close, or 0 where there are
    none such: the least that restore it; of an insolvent one all, if it holds nothing else.
    """
    if equity >= 0:
        least = least_on_book(state, position, _fee_ppm(state, equity), equity, maintenance)
        return lots_with_minimum(state, position, least) if least > 0 else 0
    other = state.accounts[account].first_position
    while other != NONE:
        if other != position and state.positions[other].lots != 0:
            return 0
        other = state.positions[other].next_of_account
    return abs(state.positions[position].lots)


@kernel
def sole_order(state: State, account: int, equity: int, maintenance: int, probes: bool) -> tuple[int, int, int]:
    """Return (position, lots, limit) of the first order of a plan made now, where that alone is all that
    the account needs and the visible book shows all its lots; else NONE and no lots. Nothing is sent.
    """
    fee_ppm = _fee_ppm(state, equity)
    found, _ = _weigh_positions(state, account, fee_ppm, maintenance, equity >= 0, probes)
    best = _take_best(state, found)
    if best == NONE:
        return NONE, 0, 0
    position = state.columns[SLICE_POSITION, best]
    needed = _lots_needed(state, position, account, equity, maintenance)
    if needed == 0 or needed > state.columns[SLICE_CAP, best] or _believed_lots(state, position) > 0:
        return NONE, 0, 0
    lots, limit, _ = _quote(state, position, needed, equity, maintenance)
    shown, _ = _reached_lots(state, position, limit)
    return (position, lots, limit) if lots == needed <= shown else (NONE, 0, 0)


@kernel
def _plan_orders(state: State, account: int, equity: int, maintenance: int, probes: bool) -> int:
    """Plan and send the orders of one slice of an account in default; return the outcome.

    ``probes``: it may try a book of which too little is known.
    """
    solvent = equity >= 0
    fee_ppm = _fee_ppm(state, equity)
    found, busy = _weigh_positions(state, account, fee_ppm, maintenance, solvent, probes)
    expected_equity, expected_maintenance = equity, maintenance
    ordered = False
    for _ in range(found):
        best = _take_best(state, found)
        position, cap = state.columns[SLICE_POSITION, best], state.columns[SLICE_CAP, best]
        state.columns[SLICE_CAP, best] = 0
        row = state.positions[position]
        whole = abs(row.lots)
        least = least_on_book(state, position, fee_ppm, expected_equity, expected_maintenance) if solvent else 0
        lots = lots_with_minimum(state, position, least) if least > 0 else whole
        cap = min(cap, lots_by_caps(state, position))
        if cap < least_order(state, position):
            busy = True
            continue
        lots = min(lots, cap)
        if not is_place_free(state):
            busy = True
            break
        lots, limit, is_busy = _quote(state, position, lots, equity, maintenance)
        if lots == 0:
            busy |= is_busy
            continue
        _place_order(state, position, lots, limit, equity, maintenance)
        ordered = True
        expected_equity -= book_cost(state, row.market, book_side(row.lots), lots, fee_ppm)
        expected_maintenance = margin_after(state, position, closing(row.lots, lots), expected_maintenance)
        if least > 0:
            break
    if ordered:
        return _ORDERED
    return _BUSY if busy else _UNABLE


@kernel
def _close_account(state: State, turn: int, account: int) -> int:
    """Send one slice of an account; return WAIT or NEXT (keeps INV-11).

    It waits for answers, for its next slice, or while only others take the capacity, to the
    deadline.
    """
    now = state.engine[0].now_ns
    head = state.accounts[account]
    if is_forced(state, account):
        return Outcome.NEXT
    if now < head.next_slice_ns:
        wait_until(state, account, head.next_slice_ns)
        return Outcome.WAIT
    equity, maintenance = assess(state, account)
    plan = _plan_orders(state, account, equity, maintenance, now < deadline_ns(state, turn, account))
    if plan == _ORDERED:
        head.next_slice_ns = now + state.stages[turn].interval_ns
        wait_until(state, account, now + state.stages[turn].answer_timeout_ns)
        return Outcome.WAIT
    if (plan == _BUSY or head.health == Health.DISTRESSED) and wait_interval(state, turn, account):
        return Outcome.WAIT
    return Outcome.NEXT


@unit
def close_on_book(state: State, turn: int, first: int, count: int) -> int:
    """Close the accounts of the turn on the book. Answers as ``turns`` says."""
    going = 0
    for place in range(first, first + count):
        going += answer(state, place, _close_account(state, turn, state.columns[TURN_ACCOUNT, place]))
    return going
