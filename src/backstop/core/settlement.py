"""Settlement of a market: its doubt has lasted too long, or the venue ends it (R6.14).

The price is fixed first and becomes the mark; every account is judged at it. Then the holders give
their lots to OUTSIDE at that price, in order of id and in turns: as many in an event as it has room
for, the insolvent ones first, so that what they lack is covered while the winners still have their
positions. Nothing else happens in the market meanwhile, or ever after.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.breakers import HALT_LEVEL, index_is_dead
from backstop.core.contracts import cash_of
from backstop.core.doubt import cancel_market_orders, is_doubted, note_doubt
from backstop.core.events import NEVER_NS, NONE, BreakerCause, Cause, Guard, Health, Settlement
from backstop.core.guard import let_go
from backstop.core.ledger import trade
from backstop.core.listing import delist
from backstop.core.monitor import apply_mark, touch
from backstop.core.outbox import emit_settlement, is_filling
from backstop.core.places import error_inventory_row, outside_row
from backstop.core.position_rows import position_of
from backstop.core.rows import ALL_SETTLED, SETTLES_INSOLVENT, SETTLES_REST, TRADED
from backstop.core.state import State
from backstop.core.waits import wake_by

__all__ = ["begin_settlement", "next_settlement_ns", "run_settlements"]

# -- when ------------------------------------------------------------------------------------------


@kernel
def _due_ns(state: State, market: int) -> int:
    """Return when the doubt of a market will have lasted as long as it may, or NEVER_NS."""
    breaker, rules = state.breakers[market], state.rules[0]
    if rules.doubt_settles == 0 or breaker.settlement != TRADED or not is_doubted(state, market):
        return NEVER_NS
    return breaker.doubt_at_ns + rules.doubt_max_ns - breaker.doubted_ns


@kernel
def _is_running(state: State, market: int) -> bool:
    settlement = state.breakers[market].settlement
    return settlement == SETTLES_INSOLVENT or settlement == SETTLES_REST


@kernel
def next_settlement_ns(state: State) -> int:
    """Return when a settlement begins or goes on, or NEVER_NS. One that is running goes on in every
    event, and asks for one by the next nanosecond.
    """
    first = NEVER_NS
    for market in range(state.rules[0].markets):
        first = min(first, state.engine[0].now_ns + 1 if _is_running(state, market) else _due_ns(state, market))
    return first


@kernel
def _lasts(state: State, market: int) -> bool:
    """Return whether a reason to doubt stands of which nothing says that it is about to end."""
    breaker, venue = state.breakers[market], state.breakers[state.rules[0].markets]
    if breaker.levels[BreakerCause.STALE] == HALT_LEVEL and breaker.grace_until_ns == NEVER_NS:
        return True
    if venue.levels[BreakerCause.OUTAGE] == HALT_LEVEL and venue.grace_until_ns == NEVER_NS:
        return True
    if breaker.levels[BreakerCause.INDEX] == HALT_LEVEL and not index_is_dead(state, market):
        return True
    return breaker.is_held_newest != 0


@kernel
def _put_off(state: State, market: int) -> None:
    """Wait for the end of a grace; a doubt by a dead index alone is counted anew."""
    breaker, venue = state.breakers[market], state.breakers[state.rules[0].markets]
    now, longest, left = state.engine[0].now_ns, state.rules[0].doubt_max_ns, 0
    if breaker.grace_until_ns != NEVER_NS:
        left = breaker.grace_until_ns - now
    if venue.grace_until_ns != NEVER_NS:
        left = max(left, venue.grace_until_ns - now)
    breaker.doubted_ns = max(0, longest - left) if left > 0 else 0
    breaker.doubt_at_ns = now


@kernel
def _price(state: State, market: int) -> tuple[int, int]:
    """Return the ``Settlement`` and the price: the operator's, else the index where it is alive, else
    the last mark that was not doubted.
    """
    breaker = state.breakers[market]
    if breaker.given_ticks != 0:
        return Settlement.OPERATOR, breaker.given_ticks
    if not index_is_dead(state, market):
        return Settlement.INDEX, state.markets[market].index_ticks
    return Settlement.UNDOUBTED, breaker.undoubted_ticks


# -- how -------------------------------------------------------------------------------------------


@kernel
def begin_settlement(state: State, market: int, source: int, price_ticks: int) -> None:
    """Fix the price, cancel the orders, and judge everyone at it; ``source`` is a ``Settlement``."""
    breaker, old = state.breakers[market], state.markets[market].mark_ticks
    if breaker.held_ticks != 0:
        let_go(state, market, Guard.DROPPED)
    emit_settlement(state, market=market, source=source, price_ticks=price_ticks, mark_ticks=old)
    note_doubt(state, market)
    breaker.settlement = SETTLES_INSOLVENT
    breaker.settle_next = 0
    breaker.given_ticks = 0
    breaker.undoubted_ticks = price_ticks
    cancel_market_orders(state, market)
    apply_mark(state, market, price_ticks)
    state.engine[0].settle_ns = state.engine[0].now_ns


@kernel
def _close(state: State, market: int, position: int, other: int) -> None:
    """Let a position give all its lots to another at the settlement price."""
    lots, mark = state.positions[position].lots, state.markets[market].mark_ticks
    cash = cash_of(state, market, -lots, mark)
    holder, receiver = state.positions[position].account, state.positions[other].account
    trade(state, position, -lots, cash, mark, Cause.SETTLEMENT, receiver)
    trade(state, other, lots, -cash, mark, Cause.SETTLEMENT, holder)


@kernel
def _settle_account(state: State, market: int, account: int) -> None:
    """Settle an account's position, if it has one and its turn has come."""
    position = position_of(state, account, market)
    if position == NONE or state.positions[position].lots == 0:
        return
    if state.breakers[market].settlement != SETTLES_REST and state.accounts[account].health != Health.INSOLVENT:
        return
    _close(state, market, position, outside_row(market))
    touch(state, account)
    if state.accounts[account].health >= Health.DISTRESSED:
        state.positions[position].closed_in_default = 1


@kernel
def _go_on(state: State, market: int) -> None:
    """Settle holders in order of id, as far as the event has room: first the insolvent ones, in an
    event after that the others.

    Costs one step an account that is passed, twice a settlement.
    """
    breaker = state.breakers[market]
    while breaker.settle_next < state.engine[0].accounts_now:
        if is_filling(state):
            return
        breaker.settle_next += 1
        _settle_account(state, market, breaker.settle_next - 1)
    breaker.settle_next = 0
    if breaker.settlement == SETTLES_INSOLVENT:
        breaker.settlement = SETTLES_REST
        return
    if state.positions[outside_row(market)].lots != 0:
        _close(state, market, outside_row(market), error_inventory_row(market))
    breaker.settlement = ALL_SETTLED
    delist(state, market)
    breaker.undoubted_ticks = 0
    breaker.is_awaited = 0
    mark = state.markets[market].mark_ticks
    emit_settlement(state, market=market, source=Settlement.DONE, price_ticks=mark, mark_ticks=mark)


@unit
def run_settlements(state: State) -> None:
    """Begin what is due, in order of market; then go on with what has begun, while the event has
    room.
    """
    if is_filling(state):
        return
    for market in range(state.rules[0].markets):
        if _due_ns(state, market) <= state.engine[0].now_ns:
            if _lasts(state, market):
                source, price_ticks = _price(state, market)
                begin_settlement(state, market, source, price_ticks)
            else:
                _put_off(state, market)
    is_running = False
    for market in range(state.rules[0].markets):
        if _is_running(state, market):
            _go_on(state, market)
            is_running |= _is_running(state, market)
    next_ns = next_settlement_ns(state)
    state.engine[0].settle_ns = state.engine[0].now_ns if is_running else next_ns
    wake_by(state, next_ns)
