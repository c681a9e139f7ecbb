"""Orders and offers on their way: those of one position hang together, each with what the fund
reserved for it.

A position has at most one order on a book, or several offers to backstop providers, never both.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.columns import OWNER_RESERVED
from backstop.core.events import NONE
from backstop.core.outbox import emit_cancel, emit_reserve
from backstop.core.position_rows import note_flat
from backstop.core.rows import CLOSING_ORDER, DISPOSAL_ORDER, TAKEOVER_OFFER, UNKNOWN_DEPTH
from backstop.core.state import State
from backstop.core.units import mul_div_ceil, mul_div_floor

__all__ = [
    "cancel_excess",
    "cancel_order",
    "cancel_orders_of",
    "close_order",
    "forget_depth",
    "forget_unanswered",
    "has_closing_order",
    "is_band_reached",
    "is_place_free",
    "join_offers",
    "open_order",
    "order_side",
    "pending_lots",
    "price_of_band",
    "remaining_lots",
    "reserve",
]

_SECOND_NS = 1_000_000_000
_PPM = 1_000_000


@inlined
def order_side(lots: int) -> int:
    """Return the book side that a closing order takes: a sell BID (0), a buy ASK (1)."""
    return 0 if lots < 0 else 1


@inlined
def remaining_lots(state: State, slot: int) -> int:
    """Return the lots (> 0) that an order has not filled."""
    order = state.orders[slot]
    return abs(order.lots) - order.filled


@kernel
def pending_lots(state: State, position: int) -> int:
    """Return the lots (> 0) that the open orders and offers of a position have not filled."""
    total = 0
    slot = state.positions[position].order_slot
    while slot != NONE:
        total += remaining_lots(state, slot)
        slot = state.orders[slot].next_of_position
    return total


@kernel
def reserve(state: State, slot: int, change: int) -> None:
    """Change what the fund of its market reserves for an order; 0 is nothing."""
    if change == 0:
        return
    order = state.orders[slot]
    fund = state.funds[state.markets[order.market].group]
    order.reserved += change
    fund.reserved += change
    state.markets[order.market].reserved += change
    state.columns[OWNER_RESERVED, state.accounts[order.account].owner] += change
    emit_reserve(state, change=change, order_id=order.id, account=order.account, market=order.market, reserved=fund.reserved)


@inlined
def is_place_free(state: State) -> bool:
    """Return whether the next order has a place: whether the one that stood there is closed, and all
    of its joint offer where it was the first of one.
    """
    order = state.orders[state.engine[0].next_order_id % state.rules[0].orders_max]
    return order.is_open == 0 and order.members == 0


@kernel
def open_order(state: State, position: int, kind: int, lots: int, limit_ticks: int, zero_cash: int) -> int:
    """Open an order of signed ``lots`` of a position and return its place. Emits nothing."""
    engine = state.engine[0]
    row = state.positions[position]
    slot = engine.next_order_id % state.rules[0].orders_max
    order = state.orders[slot]
    order.id = engine.next_order_id
    order.account = row.account
    order.position = position
    order.market = row.market
    order.lots = lots
    order.filled = 0
    order.limit_ticks = limit_ticks
    order.zero_cash = zero_cash
    order.reserved = 0
    order.is_open = 1
    order.kind = kind
    order.provider = NONE
    order.next_of_position = NONE
    order.commitment = NONE
    order.cash = 0
    order.pending_initial = 0
    order.notional = 0
    order.sent_ns = engine.now_ns
    order.sent_event = engine.accepted
    order.joint = 0
    order.expires_ns = 0
    order.members = 0
    order.next_of_joint = order.prev_of_joint = NONE
    engine.next_order_id += 1
    if row.order_slot == NONE:
        row.order_slot = slot
    else:
        last = row.order_slot
        while state.orders[last].next_of_position != NONE:
            last = state.orders[last].next_of_position
        state.orders[last].next_of_position = slot
    state.accounts[row.account].orders_open += 1
    state.markets[row.market].orders_open += 1
    if kind == CLOSING_ORDER:
        state.markets[row.market].pending_lots[order_side(lots)] += abs(lots)
    elif kind == DISPOSAL_ORDER:
        state.markets[row.market].disposed_lots[order_side(lots)] += abs(lots)
    return slot


@kernel
def join_offers(state: State, slot: int) -> None:
    """Make an offer that was just opened a part of the joint offer of its event, provider, market
    and direction, or the first of a new one.
    """
    order = state.orders[slot]
    row = 2 * order.provider + order_side(order.lots)
    head = state.joints[row, order.market] % state.rules[0].orders_max
    first = state.orders[head]
    is_its = first.id == state.joints[row, order.market] and first.joint == first.id and first.sent_event == order.sent_event
    if not is_its or not 0 < first.members < state.rules[0].joint_most:
        order.joint = order.id
        order.members = 1
        order.prev_of_joint = slot  # of the first: the last
        state.joints[row, order.market] = order.id
        return
    order.joint = first.id
    order.prev_of_joint = first.prev_of_joint
    state.orders[order.prev_of_joint].next_of_joint = slot
    first.prev_of_joint = slot
    first.members += 1


@kernel
def _leave_joint(state: State, slot: int) -> None:
    """Take a closed offer out of its joint offer; the first stays there while another is open. What
    is closed still shows the way to the next.
    """
    order = state.orders[slot]
    head = order.joint % state.rules[0].orders_max
    first = state.orders[head]
    first.members -= 1
    if slot == head:
        return
    state.orders[order.prev_of_joint].next_of_joint = order.next_of_joint
    if order.next_of_joint == NONE:
        first.prev_of_joint = order.prev_of_joint
    else:
        state.orders[order.next_of_joint].prev_of_joint = order.prev_of_joint


@kernel
def close_order(state: State, slot: int) -> None:
    """Take an open order off the position, the account and the gauges. Releases nothing."""
    order = state.orders[slot]
    order.is_open = 0
    row = state.positions[order.position]
    if row.order_slot == slot:
        row.order_slot = order.next_of_position
    else:
        before = row.order_slot
        while state.orders[before].next_of_position != slot:
            before = state.orders[before].next_of_position
        state.orders[before].next_of_position = order.next_of_position
    note_flat(state, order.position)
    state.accounts[order.account].orders_open -= 1
    state.markets[order.market].orders_open -= 1
    if order.kind == TAKEOVER_OFFER:
        provider = state.providers[order.provider]
        provider.pending_initial -= order.pending_initial
        provider.pending_notional -= order.notional
        _leave_joint(state, slot)
        state.offered[2 * order.provider + order_side(order.lots), order.market] -= abs(order.lots)
    elif order.kind == CLOSING_ORDER:
        state.markets[order.market].pending_lots[order_side(order.lots)] -= remaining_lots(state, slot)
    else:
        state.markets[order.market].disposed_lots[order_side(order.lots)] -= remaining_lots(state, slot)


@kernel
def price_of_band(state: State, market: int, is_sell: bool, offset_ppm: int) -> int:
    """Return the price of the book at an offset from the mark. Ticks; it may lie beyond what the
    market knows.
    """
    mark = state.markets[market].mark_ticks
    return mul_div_floor(mark, _PPM - offset_ppm, _PPM) if is_sell else mul_div_ceil(mark, _PPM + offset_ppm, _PPM)


@kernel
def is_band_reached(state: State, market: int, is_sell: bool, offset_ppm: int, limit_ticks: int) -> bool:
    """Return whether a limit allows the price of the band at an offset from the mark."""
    price = price_of_band(state, market, is_sell, offset_ppm)
    return limit_ticks <= price if is_sell else limit_ticks >= price


@kernel
def forget_depth(state: State, slot: int) -> None:
    """Make the bands unknown that the limit of an order reaches: it left lots unfilled, so that
    what was visible there was believed wrongly.
    """
    order = state.orders[slot]
    row, side = state.markets[order.market], order_side(order.lots)
    for band in range(row.band_count):
        if is_band_reached(state, order.market, order.lots < 0, row.band_offset_ppm[band], order.limit_ticks):
            row.depth_lots[side, band] = UNKNOWN_DEPTH


@kernel
def forget_unanswered(state: State, account: int) -> None:
    """Make the sides unknown that the closing orders of an account take, as far as they left lots
    unfilled for as long as an answer may take.
    """
    now_ns = state.engine[0].now_ns
    if state.accounts[account].orders_open == 0:
        return
    position = state.accounts[account].first_position
    while position != NONE:
        slot = state.positions[position].order_slot
        if slot != NONE and state.orders[slot].kind == CLOSING_ORDER and remaining_lots(state, slot) > 0:
            if now_ns - state.orders[slot].sent_ns >= state.rules[0].order_timeout_ns:
                forget_depth(state, slot)
        position = state.positions[position].next_of_account


@kernel
def has_closing_order(state: State, account: int) -> bool:
    """Return whether an account has an order on the book that closes lots in default."""
    if state.accounts[account].orders_open == 0:
        return False
    position = state.accounts[account].first_position
    while position != NONE:
        slot = state.positions[position].order_slot
        if slot != NONE and state.orders[slot].kind == CLOSING_ORDER:
            return True
        position = state.positions[position].next_of_account
    return False


@kernel
def _give_back(state: State, slot: int) -> None:
    """Free what a cancelled offer used of its commitment, but for what time has refilled since:
    that was free already.
    """
    order = state.orders[slot]
    row = state.commitments[order.commitment]
    elapsed = state.engine[0].now_ns - order.sent_ns
    refilled = 0
    if row.refill_per_s > 0:
        # Below this bound the product of refill and time fits.
        if elapsed // _SECOND_NS > order.notional // row.refill_per_s:
            return
        refilled = mul_div_floor(row.refill_per_s, elapsed, _SECOND_NS)
    row.used = max(0, row.used - max(0, order.notional - refilled))


@kernel
def cancel_order(state: State, slot: int) -> None:
    """Close an open order that will not be done: give back what it held, say so."""
    order = state.orders[slot]
    left = remaining_lots(state, slot)
    close_order(state, slot)
    if order.kind == TAKEOVER_OFFER:
        _give_back(state, slot)
    lots = left if order.lots > 0 else -left
    emit_cancel(state, order_id=order.id, account=order.account, market=order.market, lots=lots)
    reserve(state, slot, -order.reserved)


@kernel
def _cancel_all(state: State, position: int) -> None:
    while state.positions[position].order_slot != NONE:
        cancel_order(state, state.positions[position].order_slot)


@unit
def cancel_orders_of(state: State, account: int) -> None:
    """Cancel all open orders of an account, in order of market, then of order id."""
    if state.accounts[account].orders_open == 0:
        return
    position = state.accounts[account].first_position
    while position != NONE:
        _cancel_all(state, position)
        position = state.positions[position].next_of_account


@kernel
def cancel_excess(state: State, position: int) -> None:
    """Cancel a position's open orders where they would now increase or flip the position
    (INV-03).
    """
    row = state.positions[position]
    slot = row.order_slot
    if slot == NONE:
        return
    reduces = row.lots != 0 and (row.lots > 0) != (state.orders[slot].lots > 0)
    if not reduces or pending_lots(state, position) > abs(row.lots):
        _cancel_all(state, position)
