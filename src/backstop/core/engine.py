"""The one step function: an event in, its effects out. Live, replay and stress call nothing else.

An event is refused (one REFUSAL, nothing else changes) or applied: what its kind says, then the waits
that ended, then the rounds of the waterfall (docs/rules.md, section 5).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.admission import refusal_of
from backstop.core.events import (
    FUND,
    NEVER_NS,
    NONE,
    WORLD,
    Cause,
    EffectKind,
    EventKind,
    Transfer,
)
from backstop.core.fills import apply_order_done, apply_order_fill
from backstop.core.ledger import open_position_row, post, trade
from backstop.core.monitor import apply_mark, start_round, touch
from backstop.core.orders import cancel_excess, cancel_orders_of
from backstop.core.outbox import emit
from backstop.core.state import OWNER_FIRST, State
from backstop.core.waits import next_wait_ns, pop_wait
from backstop.core.waterfall.run import run_rounds

__all__ = ["apply_at", "next_wait_ns", "step"]

_ACCOUNT = int(EventKind.ACCOUNT)
_TRANSFER = int(EventKind.TRANSFER)
_POSITION = int(EventKind.POSITION)
_FILL = int(EventKind.FILL)
_MARK = int(EventKind.MARK)
_INDEX = int(EventKind.INDEX)
_VOLUME = int(EventKind.VOLUME)
_DEPTH = int(EventKind.DEPTH)
_ORDER_FILL = int(EventKind.ORDER_FILL)
_ORDER_DONE = int(EventKind.ORDER_DONE)
_REFUSAL = int(EffectKind.REFUSAL)
_TRADE = int(EffectKind.TRADE)
_FUNDING = int(Transfer.FUNDING)
_CASH_CAUSE = int(Cause.CASH)
_FUNDING_CAUSE = int(Cause.FUNDING)
_OPENING_CAUSE = int(Cause.OPENING)
_FILL_CAUSE = int(Cause.FILL)


@kernel
def _open_account(state: State, account: int, owner: int) -> None:
    head = state.accounts[account]
    head.owner = owner
    head.first_position = NONE
    head.default_since_ns = NEVER_NS
    head.wait_until_ns = NEVER_NS
    head.next_of_owner = state.columns[OWNER_FIRST, owner]
    state.columns[OWNER_FIRST, owner] = account
    state.engine[0].accounts_now = account + 1


@kernel
def _apply_transfer(state: State, account: int, code: int, amount: int) -> None:
    post(state, account, WORLD, amount, _FUNDING_CAUSE if code == _FUNDING else _CASH_CAUSE, NONE)
    if account != FUND:
        touch(state, account)


@kernel
def _apply_opening(state: State, account: int, market: int, lots: int, cost: int) -> None:
    """Give an account a position at an exact cost; OUTSIDE takes the other side without realising."""
    row = state.positions[open_position_row(state, account, market)]
    row.lots = lots
    row.cost = cost
    outside = state.positions[2 * market]
    outside.lots -= lots
    outside.cost -= cost
    emit(state, _TRADE, _OPENING_CAUSE, market, account, outside.account, lots, 0, -cost, 0)
    if outside.lots == 0:
        left = outside.cost
        outside.cost = 0
        post(state, outside.account, outside.account + 1, -left, _OPENING_CAUSE, market)
    touch(state, account)


@kernel
def _apply_fill(state: State, account: int, other: int, market: int, lots: int, price_ticks: int) -> None:
    cash = -lots * price_ticks * state.markets[market].notional_factor
    position = open_position_row(state, account, market)
    counterpart = 2 * market if other == NONE else open_position_row(state, other, market)
    holder = state.positions[counterpart].account
    trade(state, position, lots, cash, price_ticks, _FILL_CAUSE, holder)
    trade(state, counterpart, -lots, -cash, price_ticks, _FILL_CAUSE, account)
    cancel_excess(state, position)
    if other != NONE:
        cancel_excess(state, counterpart)
    touch(state, account)
    if other != NONE:
        touch(state, other)


@kernel
def _apply_kind(state: State, events: NDArray[np.void], index: int) -> None:
    event = events[index]
    kind = event.kind
    if kind == _MARK:
        apply_mark(state, event.market, event.price_ticks)
    elif kind == _FILL:
        _apply_fill(state, event.account, event.other, event.market, event.lots, event.price_ticks)
    elif kind == _TRANSFER:
        _apply_transfer(state, event.account, event.code, event.amount)
    elif kind == _ORDER_FILL:
        apply_order_fill(state, event.other, event.market, event.lots, event.price_ticks)
    elif kind == _ORDER_DONE:
        apply_order_done(state, event.other)
    elif kind == _DEPTH:
        state.markets[event.market].depth_lots[event.code, event.other] = event.lots
    elif kind == _ACCOUNT:
        _open_account(state, event.account, event.other)
    elif kind == _POSITION:
        _apply_opening(state, event.account, event.market, event.lots, event.amount)
    elif kind == _INDEX:
        state.markets[event.market].index_ticks = event.price_ticks
    elif kind == _VOLUME:
        state.markets[event.market].volume_lots = event.lots


@kernel
def _end_waits(state: State) -> None:
    account = pop_wait(state)
    while account != NONE:
        cancel_orders_of(state, account)
        touch(state, account)
        account = pop_wait(state)


@kernel
def _refuse(state: State, events: NDArray[np.void], index: int, code: int) -> None:
    event = events[index]
    engine = state.engine[0]
    engine.refused += 1
    emit(state, _REFUSAL, code, event.market, event.account, event.other, event.lots, event.price_ticks, event.amount, 0)
    state.effects[engine.effects_now - 1].seq = event.seq


@kernel
def apply_at(state: State, events: NDArray[np.void], index: int) -> None:
    """Apply ``events[index]``; its effects are appended to ``state.effects``.

    Raises ``OverflowError`` where money would not fit in 64 bits or the effects not in their limit: the
    engine must then stop, with what led there in the journal.
    """
    engine = state.engine[0]
    engine.effects_first = engine.effects_now
    code = refusal_of(state, events, index)
    if events[index].seq > engine.last_seq:
        engine.last_seq = events[index].seq
    if code != 0:
        _refuse(state, events, index, code)
        return
    engine.now_ns = events[index].time_ns
    start_round(state)
    _apply_kind(state, events, index)
    if engine.waits_now > 0:
        _end_waits(state)
    if engine.touched_now > 0:
        run_rounds(state)


@kernel
def step(state: State, events: NDArray[np.void], first: int) -> int:
    """Apply ``events[first:]``; return the index of the first that was not consumed.

    Stops early when the effects buffer is more than half full, so that one event's effects are never
    split (keeps INV-09): the caller takes ``state.effects[:effects_now]``, sets ``effects_now = 0`` and calls again.
    """
    engine = state.engine[0]
    room = len(state.effects) // 2
    index = first
    while index < len(events) and engine.effects_now <= room:
        apply_at(state, events, index)
        index += 1
    return index
