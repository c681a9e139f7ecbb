"""What the venue answers to closing orders: fills, late fills, and the end of an order."""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.breakers import add_flow
from backstop.core.contracts import cash_of, notional_at_mark, settlement_asset
from backstop.core.events import NONE, Cause
from backstop.core.ledger import close_lots, post, trade
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.orders import close_order, forget_depth, order_side, pending_lots, remaining_lots, reserve
from backstop.core.places import error_inventory_row, fund_id, outside_row
from backstop.core.position_rows import position_of
from backstop.core.rows import CLOSING_ORDER
from backstop.core.state import State
from backstop.core.units import mul_div_ceil, mul_div_floor
from backstop.core.waterfall.fund import pay

__all__ = ["apply_order_done", "apply_order_fill"]

_PPM = 1_000_000


@kernel
def _take_depth(state: State, market: int, side: int, lots: int) -> None:
    """Take filled lots off the visible book, best band first."""
    left = lots
    for band in range(state.markets[market].band_count):
        take = min(left, max(0, state.markets[market].depth_lots[side, band]))
        state.markets[market].depth_lots[side, band] -= take
        left -= take


@kernel
def _late_lots(state: State, position: int, lots: int, open_take: int, most: int) -> int:
    """Return how many of ``most`` lots that no open order expects the position can still take
    (keeps INV-03).
    """
    row = state.positions[position]
    if row.lots == 0 or (row.lots > 0) == (lots > 0):
        return 0
    room = abs(row.lots) - open_take
    if row.order_slot != NONE:
        room -= pending_lots(state, position) - open_take
    return max(0, min(most, room))


@kernel
def _settle_against_zero(state: State, slot: int, lots: int, price_ticks: int, equity: int) -> None:
    """Charge the fee or pay the support of the ``lots`` that an open order filled at
    ``price_ticks``.
    """
    order = state.orders[slot]
    change = lots if order.lots > 0 else -lots
    whole = abs(order.lots)
    zero = mul_div_ceil(order.zero_cash, order.filled, whole) - mul_div_ceil(order.zero_cash, order.filled - lots, whole)
    cash = cash_of(state, order.market, change, price_ticks)
    if equity >= 0:
        at_limit = cash_of(state, order.market, change, order.limit_ticks)
        fee = mul_div_floor(notional_at_mark(state, order.market, lots), state.rules[0].fee_ppm, _PPM)
        fee = max(0, min(fee, cash - zero, cash - at_limit))
        post(
            state,
            fund_id(state.markets[order.market].group),
            order.account,
            fee,
            settlement_asset(state, order.market),
            Cause.LIQUIDATION_FEE,
            order.market,
        )
    support = min(max(0, zero - cash), order.reserved)
    if support > 0:
        pay(state, order.account, state.markets[order.market].group, support, Cause.SUPPORT, order.market)
        reserve(state, slot, -support)


@kernel
def _book_error(state: State, market: int, lots: int, price_ticks: int) -> None:
    """Book lots that no position can take to the market's error_inventory."""
    outside, error = outside_row(market), error_inventory_row(market)
    cash = cash_of(state, market, lots, price_ticks)
    trade(state, error, lots, cash, price_ticks, Cause.ERROR_FILL, state.positions[outside].account)
    trade(state, outside, -lots, -cash, price_ticks, Cause.ERROR_FILL, state.positions[error].account)


@unit
def apply_order_fill(state: State, order_id: int, market: int, lots: int, price_ticks: int) -> None:
    """Book a fill of a closing order.

    What exceeds the order closes what is left, the rest is an error.
    """
    slot = order_id % state.rules[0].orders_max
    order = state.orders[slot]
    filled = abs(lots)
    side = order_side(lots)
    _take_depth(state, market, side, filled)
    if order.id != order_id:
        _book_error(state, market, lots, price_ticks)
        return
    open_take = min(filled, remaining_lots(state, slot)) if order.is_open == 1 else 0
    # The row of an order that is done may be another's by now.
    position = order.position if order.is_open == 1 else position_of(state, order.account, market)
    late_take = 0 if position == NONE else _late_lots(state, position, lots, open_take, filled - open_take)
    taken = open_take + late_take
    sign = 1 if lots > 0 else -1
    if taken > 0:
        equity, _ = assess(state, order.account)
        cash = cash_of(state, market, sign * taken, price_ticks)
        outside = outside_row(market)
        is_closing = order.kind == CLOSING_ORDER
        cause = Cause.CLOSEOUT if is_closing else Cause.DISPOSAL
        at_zero = open_take if is_closing else 0
        close_lots(state, position, sign * taken, cash, price_ticks, cause, state.positions[outside].account, at_zero)
        trade(state, outside, -sign * taken, -cash, price_ticks, cause, order.account)
        if open_take > 0:
            order.filled += open_take
            if is_closing:
                state.markets[market].pending_lots[side] -= open_take
            else:
                state.markets[market].disposed_lots[side] -= open_take
        if is_closing:
            if open_take > 0:
                _settle_against_zero(state, slot, open_take, price_ticks, equity)
            row = state.positions[position]
            row.closed_in_default = 1
            add_flow(state, market, notional_at_mark(state, market, taken))
    if filled > taken:
        _book_error(state, market, sign * (filled - taken), price_ticks)
    touch(state, order.account)


@kernel
def apply_order_done(state: State, order_id: int) -> None:
    """End an order: release what is reserved; a side that left lots unfilled was believed wrongly,
    and is unknown.
    """
    slot = order_id % state.rules[0].orders_max
    order = state.orders[slot]
    if order.id != order_id or order.is_open == 0:
        return
    unfilled = remaining_lots(state, slot)
    close_order(state, slot)
    reserve(state, slot, -order.reserved)
    if unfilled > 0:
        forget_depth(state, slot)
    touch(state, order.account)
