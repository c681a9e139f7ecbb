"""The engine's door: whether an event may be applied, and if not, the first reason why.

The order of the checks is the order of ``Reject``. Nothing here changes anything.
"""

from __future__ import annotations

import numpy as np

from backstop.compiled import inlined, kernel, unit
from backstop.core.assets import asset_of, asset_of_group, is_new_or_of_asset
from backstop.core.breakers import effective_state
from backstop.core.changes import parameter_refusal
from backstop.core.contracts import settlement_asset, value_max
from backstop.core.doubt import is_doubted
from backstop.core.drawdown import group_of_fund
from backstop.core.events import (
    FEES,
    NONE,
    WORLD,
    Answer,
    BookSide,
    BreakerState,
    EventArray,
    EventKind,
    Health,
    Operator,
    Reject,
    Transfer,
)
from backstop.core.instruments import BALANCE_ATOMS_MAX, DEPTH_LOTS_MAX, TIME_NS_MAX, TIME_STEP_NS_MAX
from backstop.core.kinds import BREAKER_ORDERS, EVENT_VIEWS, PROVIDER_ORDERS
from backstop.core.ledger import balance_in, balance_of
from backstop.core.listing import listing_refusal
from backstop.core.places import fund_id, outside_row, uncovered_id
from backstop.core.pockets import may_hold
from backstop.core.position_rows import has_rows, needs_row, position_of
from backstop.core.rows import TAKEOVER_OFFER, TRADED
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.withdrawals import move_refusal, withdrawal_refusal

__all__ = ["refusal_of"]


_AMOUNT_MAX = 1 << 60
#: By number: whether it is a kind of event, and whether the events of that kind always name a
#: market.
_IS_KIND = np.array([number in EVENT_VIEWS for number in range(max(EventKind) + 1)])
_NEEDS_MARKET = np.array([number in EVENT_VIEWS and EVENT_VIEWS[EventKind(number)].needs_market() for number in range(len(_IS_KIND))])
_ANSWERS = tuple(Answer)
_BOOK_SIDES = tuple(BookSide)


@kernel
def _is_account(state: State, account: int) -> bool:
    return 0 <= account < state.engine[0].accounts_now


@kernel
def _account_refusal(state: State, account: int, owner: int, market: int, asset: int) -> int:
    if market != NONE and not _is_market(state, market):
        return Reject.UNKNOWN_MARKET
    if not 0 <= owner < state.rules[0].accounts_max:
        return Reject.UNKNOWN_OWNER
    if not 0 <= asset < state.rules[0].assets:
        return Reject.UNKNOWN_CODE
    if account != state.engine[0].accounts_now:
        return Reject.ACCOUNT_NOT_NEXT
    if account >= state.rules[0].accounts_max:
        return Reject.ACCOUNT_LIMIT
    is_of_market = market == NONE or settlement_asset(state, market) == asset
    return 0 if is_of_market and is_new_or_of_asset(state, owner, asset) else Reject.WRONG_ASSET


@kernel
def _exceeds(balance: int, amount: int) -> bool:
    return abs(balance + amount) > BALANCE_ATOMS_MAX


@inlined
def _is_market(state: State, market: int) -> bool:
    return 0 <= market < state.rules[0].markets


@inlined
def _is_of_market(state: State, account: int, market: int) -> bool:
    """Return whether a market settles in an account's asset."""
    return asset_of(state, account) == settlement_asset(state, market)


@kernel
def _trading_fee_refusal(state: State, account: int, market: int, amount: int) -> int:
    """Return why a trading fee is refused; what it may not charge is the engine's to cut, not a
    reason.
    """
    if market != NONE and not _is_market(state, market):
        return Reject.UNKNOWN_MARKET
    if group_of_fund(state, account) != NONE:
        return Reject.UNKNOWN_CODE
    if not _is_account(state, account):
        return Reject.UNKNOWN_ACCOUNT
    if not 1 <= amount <= _AMOUNT_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    fits = not _exceeds(balance_of(state, account), -amount)
    if not fits or _exceeds(balance_in(state, FEES, asset_of(state, account)), amount):
        return Reject.BALANCE_LIMIT
    return 0 if market == NONE or _is_of_market(state, account, market) else Reject.WRONG_ASSET


@kernel
def _owed_by_fund(state: State, group: int) -> int:
    """Return what a fund must keep: what it has reserved, and what its group still owes."""
    fund = state.funds[group]
    return add_checked(fund.reserved + fund.claims, -balance_of(state, uncovered_id(group)))


@kernel
def _transfer_refusal(state: State, account: int, market: int, code: int, amount: int) -> int:
    """Return why a deposit, a withdrawal or a funding payment is refused."""
    if code == Transfer.FUNDING and market != NONE and not _is_market(state, market):
        return Reject.UNKNOWN_MARKET
    group = group_of_fund(state, account)
    if group == NONE and not _is_account(state, account):
        return Reject.UNKNOWN_ACCOUNT
    if code != Transfer.CASH and (code != Transfer.FUNDING or group != NONE):
        return Reject.UNKNOWN_CODE
    if amount == 0 or not -_AMOUNT_MAX <= amount <= _AMOUNT_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    asset = asset_of(state, account) if group == NONE else asset_of_group(state, group)
    if _exceeds(balance_of(state, account), amount) or _exceeds(balance_in(state, WORLD, asset), -amount):
        return Reject.BALANCE_LIMIT
    if code == Transfer.FUNDING:
        return 0 if market == NONE or _is_of_market(state, account, market) else Reject.WRONG_ASSET
    if amount > 0:
        return 0
    if group != NONE:
        left = balance_of(state, fund_id(group)) + amount
        return Reject.INSUFFICIENT_MARGIN if left < _owed_by_fund(state, group) else 0
    if state.accounts[account].health >= Health.DISTRESSED:
        return Reject.ACCOUNT_IN_DEFAULT
    return withdrawal_refusal(state, account, -amount)


@kernel
def _move_refusal(state: State, account: int, other: int, amount: int) -> int:
    """Return why money is not moved between two accounts."""
    group = group_of_fund(state, account)
    if (group == NONE and not _is_account(state, account)) or not _is_account(state, other):
        return Reject.UNKNOWN_ACCOUNT
    if group != NONE:
        return Reject.UNKNOWN_CODE
    if account == other:
        return Reject.SAME_ACCOUNT
    if not 1 <= amount <= _AMOUNT_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if _exceeds(balance_of(state, other), amount) or _exceeds(balance_of(state, account), -amount):
        return Reject.BALANCE_LIMIT
    if state.accounts[account].health >= Health.DISTRESSED:
        return Reject.ACCOUNT_IN_DEFAULT
    reason = move_refusal(state, account, other, amount)
    if reason == 0 and state.accounts[account].owner != state.accounts[other].owner:
        return Reject.OTHER_OWNER
    return reason


@kernel
def _provider_refusal(state: State, account: int, provider: int) -> int:
    if not _is_account(state, account):
        return Reject.UNKNOWN_ACCOUNT
    if not 0 <= provider < state.rules[0].providers or state.providers[provider].account != NONE:
        return Reject.UNKNOWN_PROVIDER
    for each in range(state.rules[0].providers):
        if state.providers[each].account == account:
            return Reject.UNKNOWN_PROVIDER
    if state.pocket_markets[account] != NONE:
        return Reject.ACCOUNT_ISOLATED
    return 0 if asset_of(state, account) == state.providers[provider].asset else Reject.WRONG_ASSET


@kernel
def _settle_price_refusal(state: State, market: int, price_ticks: int) -> int:
    if not _is_market(state, market):
        return Reject.UNKNOWN_MARKET
    if not state.markets[market].price_ticks_min <= price_ticks <= state.markets[market].price_ticks_max:
        return Reject.PRICE_OUT_OF_RANGE
    if state.breakers[market].settlement != TRADED:
        return Reject.MARKET_SETTLED
    if state.markets[market].is_listed == 0:
        return Reject.MARKET_NOT_LISTED
    return 0 if is_doubted(state, market) else Reject.NOT_DOUBTED


@kernel
def _operator_refusal(state: State, code: int, market: int, provider: int, hold_ns: int, price_ticks: int) -> int:
    if code == Operator.SETTLE_PRICE:
        return _settle_price_refusal(state, market, price_ticks)
    if code == Operator.END_RELIEF:
        if not _is_market(state, market):
            return Reject.UNKNOWN_MARKET
        return 0 if state.rules[0].relief_notice_ns <= hold_ns <= TIME_STEP_NS_MAX else Reject.AMOUNT_OUT_OF_RANGE
    if code not in BREAKER_ORDERS and code not in PROVIDER_ORDERS:
        return Reject.UNKNOWN_CODE
    if code in PROVIDER_ORDERS:
        is_bound = 0 <= provider < state.rules[0].providers and state.providers[provider].account != NONE
        return 0 if is_bound else Reject.UNKNOWN_PROVIDER
    if market != NONE and not _is_market(state, market):
        return Reject.UNKNOWN_MARKET
    if code != Operator.REOPEN and not 1 <= hold_ns <= state.rules[0].operator_hold_max_ns:
        return Reject.AMOUNT_OUT_OF_RANGE
    return 0


@kernel
def _order_refusal(state: State, kind: int, order_id: int, code: int) -> int:
    """Return why an answer to an offer, or the end of an order, is refused; a forgotten order may
    be either.
    """
    if not 1 <= order_id < state.engine[0].next_order_id:
        return Reject.UNKNOWN_ORDER
    order = state.orders[order_id % state.rules[0].orders_max]
    if order.id == order_id and (order.kind == TAKEOVER_OFFER) != (kind == EventKind.ANSWER):
        return Reject.UNKNOWN_ORDER
    return Reject.UNKNOWN_CODE if kind == EventKind.ANSWER and code not in _ANSWERS else 0


@kernel
def _lots_of(state: State, account: int, market: int) -> int:
    position = position_of(state, account, market)
    return 0 if position == NONE else state.positions[position].lots


@kernel
def _opening_refusal(state: State, account: int, market: int, lots: int, cost: int) -> int:
    place = state.markets[market]
    if not _is_account(state, account):
        return Reject.UNKNOWN_ACCOUNT
    if lots == 0 or not -place.position_lots_max <= lots <= place.position_lots_max:
        return Reject.LOTS_OUT_OF_RANGE
    most = value_max(state, market, lots)
    if not -most <= cost <= most:
        return Reject.AMOUNT_OUT_OF_RANGE
    if place.mark_ticks == 0:
        return Reject.NO_MARK
    if _lots_of(state, account, market) != 0:
        return Reject.POSITION_EXISTS
    if needs_row(state, account, market) and not has_rows(state, 1):
        return Reject.POSITION_LIMIT
    return Reject.BALANCE_LIMIT if _exceeds(state.positions[outside_row(market)].cost, -cost) else 0


@kernel
def _opens_lots(held: int, lots: int) -> bool:
    """Return whether a trade makes a position larger, or turns it to the other side."""
    after = held + lots
    return abs(after) > abs(held) or (after != 0 and (after > 0) != (held > 0))


@kernel
def _fill_refusal(state: State, account: int, other: int, market: int, lots: int, price_ticks: int) -> int:
    place = state.markets[market]
    if not _is_account(state, account) or (other != NONE and not _is_account(state, other)):
        return Reject.UNKNOWN_ACCOUNT
    if account == other:
        return Reject.SAME_ACCOUNT
    if lots == 0 or not -place.position_lots_max <= lots <= place.position_lots_max:
        return Reject.LOTS_OUT_OF_RANGE
    if not place.price_ticks_min <= price_ticks <= place.price_ticks_max:
        return Reject.PRICE_OUT_OF_RANGE
    if place.mark_ticks == 0:
        return Reject.NO_MARK
    held = _lots_of(state, account, market)
    other_held = 0 if other == NONE else _lots_of(state, other, market)
    if abs(held + lots) > place.position_lots_max or abs(other_held - lots) > place.position_lots_max:
        return Reject.POSITION_LIMIT
    needed = 1 if needs_row(state, account, market) else 0
    if other != NONE and needs_row(state, other, market):
        needed += 1
    if not has_rows(state, needed):
        return Reject.POSITION_LIMIT
    bound = effective_state(state, market)
    if bound != BreakerState.HALTED and bound != BreakerState.REOPENING:
        return 0
    opens = _opens_lots(held, lots) or (other != NONE and _opens_lots(other_held, -lots))
    return Reject.MARKET_HALTED if opens else 0


@kernel
def _order_fill_refusal(state: State, order_id: int, market: int, lots: int, price_ticks: int) -> int:
    place = state.markets[market]
    order = state.orders[order_id % state.rules[0].orders_max]
    if not 1 <= order_id < state.engine[0].next_order_id:
        return Reject.UNKNOWN_ORDER
    is_known = order.id == order_id
    if is_known and (order.market != market or order.kind == TAKEOVER_OFFER):
        return Reject.UNKNOWN_ORDER
    if lots == 0 or not -place.position_lots_max <= lots <= place.position_lots_max:
        return Reject.LOTS_OUT_OF_RANGE
    if is_known and (lots > 0) != (order.lots > 0):
        return Reject.LOTS_OUT_OF_RANGE
    return 0 if place.price_ticks_min <= price_ticks <= place.price_ticks_max else Reject.PRICE_OUT_OF_RANGE


@kernel
def _funding_refusal(state: State, market: int, step: int) -> int:
    if step == 0 or not -_AMOUNT_MAX <= step <= _AMOUNT_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    row = state.markets[market]
    return Reject.BALANCE_LIMIT if abs(row.funding_index + step) > row.funding_index_max else 0


@kernel
def _market_refusal(state: State, kind: int, market: int, code: int, band: int, lots: int, price_ticks: int, amount: int) -> int:
    """Return why a report about a market itself (mark, index, volume, depth, funding) is refused."""
    if kind == EventKind.DEPTH and not (code in _BOOK_SIDES and 0 <= band < state.markets[market].band_count):
        return Reject.UNKNOWN_CODE
    if kind == EventKind.HEARTBEAT:
        return 0
    if kind == EventKind.FUNDING:
        return _funding_refusal(state, market, amount)
    if kind == EventKind.DEPTH or kind == EventKind.VOLUME:
        return 0 if 0 <= lots <= DEPTH_LOTS_MAX else Reject.LOTS_OUT_OF_RANGE
    row = state.markets[market]
    return 0 if row.price_ticks_min <= price_ticks <= row.price_ticks_max else Reject.PRICE_OUT_OF_RANGE


@kernel
def _other_refusal(state: State, events: EventArray, index: int) -> int:
    """Return why an event of a kind that needs no market is refused."""
    event = events[index]
    kind = event.kind
    if kind == EventKind.TRANSFER:
        if event.code == Transfer.TRADING_FEE:
            return _trading_fee_refusal(state, event.account, event.market, event.amount)
        if event.code == Transfer.MOVE:
            return _move_refusal(state, event.account, event.other, event.amount)
        return _transfer_refusal(state, event.account, event.market, event.code, event.amount)
    if kind == EventKind.PARAMETER:
        return parameter_refusal(state, events, index)
    if kind == EventKind.ACCOUNT:
        return _account_refusal(state, event.account, event.other, event.market, event.code)
    if kind == EventKind.ORDER_DONE or kind == EventKind.ANSWER:
        return _order_refusal(state, kind, event.other, event.code)
    if kind == EventKind.PROVIDER:
        return _provider_refusal(state, event.account, event.other)
    if kind == EventKind.OPERATOR:
        return _operator_refusal(state, event.code, event.market, event.other, event.amount, event.price_ticks)
    return 0


@kernel
def _trading_refusal(state: State, events: EventArray, index: int) -> int:
    """Return why an event of a kind that names a market is refused, a settlement apart."""
    event = events[index]
    kind, market = event.kind, event.market
    if kind == EventKind.FILL:
        return _fill_refusal(state, event.account, event.other, market, event.lots, event.price_ticks)
    if kind == EventKind.POSITION:
        return _opening_refusal(state, event.account, market, event.lots, event.amount)
    if kind == EventKind.ORDER_FILL:
        return _order_fill_refusal(state, event.other, market, event.lots, event.price_ticks)
    return _market_refusal(state, kind, market, event.code, event.other, event.lots, event.price_ticks, event.amount)


@unit
def refusal_of(state: State, events: EventArray, index: int) -> int:
    """Return 0 if ``events[index]`` may be applied, else the first ``Reject`` that holds."""
    event = events[index]
    engine = state.engine[0]
    kind, market = event.kind, event.market
    if event.seq <= engine.last_seq:
        return Reject.SEQ_NOT_AFTER
    if not (0 <= kind < len(_IS_KIND) and _IS_KIND[kind]):
        return Reject.UNKNOWN_KIND
    if not engine.now_ns <= event.time_ns <= TIME_NS_MAX:
        return Reject.TIME_OUT_OF_RANGE
    if engine.accepted > 0 and event.time_ns - engine.now_ns > TIME_STEP_NS_MAX:
        return Reject.TIME_OUT_OF_RANGE
    if not _NEEDS_MARKET[kind]:
        return _other_refusal(state, events, index)
    if not _is_market(state, market):
        return Reject.UNKNOWN_MARKET
    if kind == EventKind.LISTING:
        return listing_refusal(state, market, event.time_ns)
    reason = _trading_refusal(state, events, index)
    if reason != 0:
        return reason
    if state.breakers[market].settlement != TRADED:
        return 0 if kind == EventKind.HEARTBEAT else Reject.MARKET_SETTLED
    if kind == EventKind.FILL or kind == EventKind.POSITION:
        may_hold_other = kind == EventKind.POSITION or event.other == NONE or may_hold(state, event.other, market)
        if not may_hold_other or not may_hold(state, event.account, market):
            return Reject.ACCOUNT_ISOLATED
    if state.markets[market].is_listed == 0:
        return Reject.MARKET_NOT_LISTED
    if kind == EventKind.FILL or kind == EventKind.POSITION:
        is_of_other = kind == EventKind.POSITION or event.other == NONE or _is_of_market(state, event.other, market)
        return 0 if is_of_other and _is_of_market(state, event.account, market) else Reject.WRONG_ASSET
    return 0
