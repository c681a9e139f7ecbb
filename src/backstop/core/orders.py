"""Closing orders on their way: at most one a position, each with what the fund reserved for it."""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.events import NONE, EffectKind
from backstop.core.outbox import emit
from backstop.core.state import State

__all__ = ["cancel_excess", "cancel_orders_of", "close_order", "order_side", "remaining_lots", "reserve"]

_CANCEL = int(EffectKind.CANCEL)
_RESERVE = int(EffectKind.RESERVE)


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
def reserve(state: State, slot: int, change: int) -> None:
    """Change what the fund reserves for an order; 0 is nothing."""
    if change == 0:
        return
    engine = state.engine[0]
    order = state.orders[slot]
    order.reserved += change
    engine.reserved += change
    emit(state, _RESERVE, 0, order.market, order.account, order.id, 0, 0, change, engine.reserved)


@kernel
def close_order(state: State, slot: int) -> None:
    """Take an open order off the position, the account and the market's gauge. Releases nothing."""
    order = state.orders[slot]
    order.is_open = 0
    state.positions[order.position].order_slot = NONE
    state.accounts[order.account].orders_open -= 1
    state.markets[order.market].pending_lots[order_side(order.lots)] -= remaining_lots(state, slot)


@kernel
def _cancel(state: State, slot: int) -> None:
    order = state.orders[slot]
    left = remaining_lots(state, slot)
    close_order(state, slot)
    emit(state, _CANCEL, 0, order.market, order.account, order.id, left if order.lots > 0 else -left, 0, 0, 0)
    reserve(state, slot, -order.reserved)


@kernel
def cancel_orders_of(state: State, account: int) -> None:
    """Cancel all open orders of an account, in order of market."""
    if state.accounts[account].orders_open == 0:
        return
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.order_slot != NONE:
            _cancel(state, row.order_slot)
        position = row.next_of_account


@kernel
def cancel_excess(state: State, position: int) -> None:
    """Cancel a position's open order where it would now increase or flip the position (INV-03)."""
    row = state.positions[position]
    slot = row.order_slot
    if slot == NONE:
        return
    reduces = row.lots != 0 and (row.lots > 0) != (state.orders[slot].lots > 0)
    if not reduces or remaining_lots(state, slot) > abs(row.lots):
        _cancel(state, slot)
