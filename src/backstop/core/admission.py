"""The engine's door: whether an event may be applied, and if not, the first reason why.

The order of the checks is the order of ``Reject``. Nothing here changes anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.events import FUND, NONE, WORLD, EventKind, Health, Reject, Transfer
from backstop.core.instruments import BALANCE_ATOMS_MAX, DEPTH_LOTS_MAX, TIME_NS_MAX
from backstop.core.ledger import balance_of, position_of
from backstop.core.margin import assess, initial_margin
from backstop.core.state import State

__all__ = ["refusal_of"]

_ACCOUNT = int(EventKind.ACCOUNT)
_TRANSFER = int(EventKind.TRANSFER)
_POSITION = int(EventKind.POSITION)
_FILL = int(EventKind.FILL)
_VOLUME = int(EventKind.VOLUME)
_DEPTH = int(EventKind.DEPTH)
_ORDER_FILL = int(EventKind.ORDER_FILL)
_ORDER_DONE = int(EventKind.ORDER_DONE)
_CLOCK = int(EventKind.CLOCK)

_SEQ_NOT_AFTER = int(Reject.SEQ_NOT_AFTER)
_UNKNOWN_KIND = int(Reject.UNKNOWN_KIND)
_TIME_OUT_OF_RANGE = int(Reject.TIME_OUT_OF_RANGE)
_UNKNOWN_MARKET = int(Reject.UNKNOWN_MARKET)
_UNKNOWN_ACCOUNT = int(Reject.UNKNOWN_ACCOUNT)
_UNKNOWN_ORDER = int(Reject.UNKNOWN_ORDER)
_UNKNOWN_OWNER = int(Reject.UNKNOWN_OWNER)
_UNKNOWN_CODE = int(Reject.UNKNOWN_CODE)
_ACCOUNT_NOT_NEXT = int(Reject.ACCOUNT_NOT_NEXT)
_ACCOUNT_LIMIT = int(Reject.ACCOUNT_LIMIT)
_SAME_ACCOUNT = int(Reject.SAME_ACCOUNT)
_LOTS_OUT_OF_RANGE = int(Reject.LOTS_OUT_OF_RANGE)
_PRICE_OUT_OF_RANGE = int(Reject.PRICE_OUT_OF_RANGE)
_AMOUNT_OUT_OF_RANGE = int(Reject.AMOUNT_OUT_OF_RANGE)
_NO_MARK = int(Reject.NO_MARK)
_POSITION_EXISTS = int(Reject.POSITION_EXISTS)
_POSITION_LIMIT = int(Reject.POSITION_LIMIT)
_MARKET_HALTED = int(Reject.MARKET_HALTED)
_BALANCE_LIMIT = int(Reject.BALANCE_LIMIT)
_ACCOUNT_IN_DEFAULT = int(Reject.ACCOUNT_IN_DEFAULT)
_INSUFFICIENT_MARGIN = int(Reject.INSUFFICIENT_MARGIN)

_CASH = int(Transfer.CASH)
_FUNDING = int(Transfer.FUNDING)
_DISTRESSED = int(Health.DISTRESSED)
_AMOUNT_MAX = 1 << 60


@kernel
def _is_account(state: State, account: int) -> bool:
    return 0 <= account < state.engine[0].accounts_now


@kernel
def _account_refusal(state: State, account: int, owner: int) -> int:
    if not 0 <= owner < state.rules[0].accounts_max:
        return _UNKNOWN_OWNER
    if account != state.engine[0].accounts_now:
        return _ACCOUNT_NOT_NEXT
    return _ACCOUNT_LIMIT if account >= state.rules[0].accounts_max else 0


@kernel
def _exceeds(balance: int, amount: int) -> bool:
    return abs(balance + amount) > BALANCE_ATOMS_MAX


@kernel
def _transfer_refusal(state: State, account: int, code: int, amount: int) -> int:
    if account != FUND and not _is_account(state, account):
        return _UNKNOWN_ACCOUNT
    if code != _CASH and (code != _FUNDING or account == FUND):
        return _UNKNOWN_CODE
    if amount == 0 or not -_AMOUNT_MAX <= amount <= _AMOUNT_MAX:
        return _AMOUNT_OUT_OF_RANGE
    if _exceeds(balance_of(state, account), amount) or _exceeds(balance_of(state, WORLD), -amount):
        return _BALANCE_LIMIT
    if amount > 0 or code == _FUNDING:
        return 0
    if account == FUND:
        return _INSUFFICIENT_MARGIN if balance_of(state, FUND) - state.engine[0].reserved + amount < 0 else 0
    if state.accounts[account].health >= _DISTRESSED:
        return _ACCOUNT_IN_DEFAULT
    equity, _ = assess(state, account)
    return _INSUFFICIENT_MARGIN if equity + amount < initial_margin(state, account) else 0


@kernel
def _row_needed(state: State, account: int, market: int) -> int:
    return 1 if position_of(state, account, market) == NONE else 0


@kernel
def _lots_of(state: State, account: int, market: int) -> int:
    position = position_of(state, account, market)
    return 0 if position == NONE else state.positions[position].lots


@kernel
def _has_rows(state: State, needed: int) -> bool:
    return state.engine[0].positions_now + needed <= len(state.positions)


@kernel
def _opening_refusal(state: State, account: int, market: int, lots: int, cost: int) -> int:
    place = state.markets[market]
    if not _is_account(state, account):
        return _UNKNOWN_ACCOUNT
    if lots == 0 or not -place.position_lots_max <= lots <= place.position_lots_max:
        return _LOTS_OUT_OF_RANGE
    most = abs(lots) * place.price_ticks_max * place.notional_factor
    if not -most <= cost <= most:
        return _AMOUNT_OUT_OF_RANGE
    if place.mark_ticks == 0:
        return _NO_MARK
    if _lots_of(state, account, market) != 0:
        return _POSITION_EXISTS
    if not _has_rows(state, _row_needed(state, account, market)):
        return _POSITION_LIMIT
    return _BALANCE_LIMIT if _exceeds(state.positions[2 * market].cost, -cost) else 0


@kernel
def _opens_lots(held: int, lots: int) -> bool:
    """Return whether a trade makes a position larger, or turns it to the other side."""
    after = held + lots
    return abs(after) > abs(held) or (after != 0 and (after > 0) != (held > 0))


@kernel
def _fill_refusal(state: State, account: int, other: int, market: int, lots: int, price_ticks: int) -> int:
    place = state.markets[market]
    if not _is_account(state, account) or (other != NONE and not _is_account(state, other)):
        return _UNKNOWN_ACCOUNT
    if account == other:
        return _SAME_ACCOUNT
    if lots == 0 or not -place.position_lots_max <= lots <= place.position_lots_max:
        return _LOTS_OUT_OF_RANGE
    if not 1 <= price_ticks <= place.price_ticks_max:
        return _PRICE_OUT_OF_RANGE
    if place.mark_ticks == 0:
        return _NO_MARK
    held = _lots_of(state, account, market)
    other_held = 0 if other == NONE else _lots_of(state, other, market)
    if abs(held + lots) > place.position_lots_max or abs(other_held - lots) > place.position_lots_max:
        return _POSITION_LIMIT
    needed = _row_needed(state, account, market)
    if other != NONE:
        needed += _row_needed(state, other, market)
    if not _has_rows(state, needed):
        return _POSITION_LIMIT
    opens = _opens_lots(held, lots) or (other != NONE and _opens_lots(other_held, -lots))
    return _MARKET_HALTED if place.halted != 0 and opens else 0


@kernel
def _order_fill_refusal(state: State, order_id: int, market: int, lots: int, price_ticks: int) -> int:
    place = state.markets[market]
    order = state.orders[order_id % state.rules[0].orders_max]
    if not 1 <= order_id < state.engine[0].next_order_id:
        return _UNKNOWN_ORDER
    is_known = order.id == order_id
    if is_known and order.market != market:
        return _UNKNOWN_ORDER
    if lots == 0 or not -place.position_lots_max <= lots <= place.position_lots_max:
        return _LOTS_OUT_OF_RANGE
    if is_known and (lots > 0) != (order.lots > 0):
        return _LOTS_OUT_OF_RANGE
    return 0 if 1 <= price_ticks <= place.price_ticks_max else _PRICE_OUT_OF_RANGE


@kernel
def _market_refusal(state: State, kind: int, market: int, code: int, band: int, lots: int, price_ticks: int) -> int:
    """Return why a report about a market itself (mark, index, volume, depth) is refused."""
    if kind == _DEPTH and not (0 <= code <= 1 and 0 <= band < state.markets[market].band_count):
        return _UNKNOWN_CODE
    if kind == _DEPTH or kind == _VOLUME:
        return 0 if 0 <= lots <= DEPTH_LOTS_MAX else _LOTS_OUT_OF_RANGE
    return 0 if 1 <= price_ticks <= state.markets[market].price_ticks_max else _PRICE_OUT_OF_RANGE


@kernel
def refusal_of(state: State, events: NDArray[np.void], index: int) -> int:
    """Return 0 if ``events[index]`` may be applied, else the first ``Reject`` that holds."""
    event = events[index]
    engine = state.engine[0]
    kind, market = event.kind, event.market
    if event.seq <= engine.last_seq:
        return _SEQ_NOT_AFTER
    if not _ACCOUNT <= kind <= _CLOCK:
        return _UNKNOWN_KIND
    if not engine.now_ns <= event.time_ns <= TIME_NS_MAX:
        return _TIME_OUT_OF_RANGE
    if kind == _CLOCK:
        return 0
    if kind == _ACCOUNT:
        return _account_refusal(state, event.account, event.other)
    if kind == _TRANSFER:
        return _transfer_refusal(state, event.account, event.code, event.amount)
    if kind == _ORDER_DONE:
        return 0 if 1 <= event.other < engine.next_order_id else _UNKNOWN_ORDER
    if not 0 <= market < state.rules[0].markets:
        return _UNKNOWN_MARKET
    if kind == _FILL:
        return _fill_refusal(state, event.account, event.other, market, event.lots, event.price_ticks)
    if kind == _POSITION:
        return _opening_refusal(state, event.account, market, event.lots, event.amount)
    if kind == _ORDER_FILL:
        return _order_fill_refusal(state, event.other, market, event.lots, event.price_ticks)
    return _market_refusal(state, kind, market, event.code, event.other, event.lots, event.price_ticks)
