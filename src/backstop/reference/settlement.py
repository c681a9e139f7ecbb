"""Settlement of a market: its doubt has lasted too long, or the venue ends it (R6.14)."""

from __future__ import annotations

from backstop.core.events import NEVER_NS, BreakerCause, Cause, EffectKind, Guard, Settlement, error_inventory_of, outside_of
from backstop.reference.breakers import index_is_dead, judge_holders, let_go, venue_number
from backstop.reference.doubt import cancel_orders_in, is_doubted, note_doubt
from backstop.reference.listing import delist
from backstop.reference.machine import ALL_SETTLED, HALT, SETTLES_INSOLVENT, SETTLES_REST, TRADED
from backstop.reference.records import Event
from backstop.reference.state import State

__all__ = ["end_market", "give_price", "next_settlement_ns", "run_settlements", "settlement_price"]


# -- when ------------------------------------------------------------------------------------------


def due_ns(state: State, market: int) -> int:
    """When the doubt of a market will have lasted as long as it may: NEVER where there is none."""
    breaker, rules = state.breakers[market], state.rules.breakers
    if not rules.doubt_settles or breaker.settlement != TRADED or not is_doubted(state, market):
        return NEVER_NS
    return breaker.doubt_at + rules.doubt_max_ns - breaker.doubted_ns


def next_settlement_ns(state: State) -> int:
    """Earliest time at which ``run_settlements`` asks for an event. One that is running goes on in every
    event, and asks for one by the next nanosecond.
    """
    is_running = any(breaker.settlement in (SETTLES_INSOLVENT, SETTLES_REST) for breaker in state.breakers)
    return state.now + 1 if is_running else min(due_ns(state, market) for market in range(len(state.markets)))


def lasts(state: State, market: int) -> bool:
    """Whether a reason to doubt stands of which nothing says that it is about to end."""
    breaker, venue = state.breakers[market], state.breakers[venue_number(state)]
    is_stale = breaker.levels[BreakerCause.STALE] == HALT and breaker.grace_until == NEVER_NS
    is_out = venue.levels[BreakerCause.OUTAGE] == HALT and venue.grace_until == NEVER_NS
    is_far = breaker.levels[BreakerCause.INDEX] == HALT and not index_is_dead(state, market)
    return is_stale or is_out or is_far or breaker.is_held_newest


def put_off(state: State, market: int) -> None:
    """Wait for the end of a grace; a doubt by a dead index alone is counted anew."""
    breaker, venue = state.breakers[market], state.breakers[venue_number(state)]
    graces = [each.grace_until - state.now for each in (breaker, venue) if each.grace_until != NEVER_NS]
    longest = state.rules.breakers.doubt_max_ns
    breaker.doubted_ns, breaker.doubt_at = max(0, longest - max(graces, default=longest)), state.now


def settlement_price(state: State, market: int) -> tuple[Settlement, int]:
    """The operator's price, else the index where it is alive, else the last undoubted mark."""
    breaker = state.breakers[market]
    if breaker.given_ticks:
        return Settlement.OPERATOR, breaker.given_ticks
    if not index_is_dead(state, market):
        return Settlement.INDEX, state.markets[market].index
    return Settlement.UNDOUBTED, breaker.undoubted


def give_price(state: State, event: Event) -> None:
    """OPERATOR SETTLE_PRICE: stands until the doubt ends, which the timers of this event may have done."""
    if is_doubted(state, event.market):
        state.breakers[event.market].given_ticks = event.price_ticks


def end_market(state: State, event: Event) -> None:
    """SETTLEMENT: the market ends at the venue's price."""
    begin(state, event.market, Settlement.VENUE, event.price_ticks)


# -- how -------------------------------------------------------------------------------------------


def run_settlements(state: State) -> None:
    """Begin what is due, in order of market; then go on with what has begun, while the event has
    room.
    """
    if is_filling(state):
        return
    for market in range(len(state.markets)):
        if due_ns(state, market) <= state.now:
            begin(state, market, *settlement_price(state, market)) if lasts(state, market) else put_off(state, market)
    for market, breaker in enumerate(state.breakers[:-1]):
        if breaker.settlement in (SETTLES_INSOLVENT, SETTLES_REST):
            go_on(state, market)


def begin(state: State, market: int, source: Settlement, price: int) -> None:
    """Fix the price, cancel the orders, and judge everyone at it."""
    breaker, row = state.breakers[market], state.markets[market]
    if breaker.held:
        let_go(state, market, Guard.DROPPED)
    state.emit(EffectKind.SETTLEMENT, code=source, market=market, other=row.mark, price_ticks=price)
    note_doubt(state, market)
    breaker.settlement, breaker.settle_next, breaker.given_ticks = SETTLES_INSOLVENT, 0, 0
    breaker.undoubted = price
    cancel_orders_in(state, market)
    row.mark, row.epoch_mark = price, row.epoch_mark or price
    judge_holders(state, market)


def go_on(state: State, market: int) -> None:
    """Settle holders in order of id, as far as the event has room: first the insolvent ones, in an
    event after that the others.
    """
    breaker = state.breakers[market]
    while breaker.settle_next < len(state.accounts):
        if is_filling(state):
            return
        account = breaker.settle_next
        breaker.settle_next += 1
        lots = state.held_lots(account, market)
        if lots and (breaker.settlement == SETTLES_REST or state.is_insolvent(account)):
            close(state, market, account, outside_of(market), lots)
            state.touch(account)
    if breaker.settlement == SETTLES_INSOLVENT:
        breaker.settlement, breaker.settle_next = SETTLES_REST, 0
        return
    left = state.held_lots(outside_of(market), market)
    if left:
        close(state, market, outside_of(market), error_inventory_of(market), left)
    breaker.settlement, breaker.settle_next = ALL_SETTLED, 0
    delist(state, market)
    breaker.undoubted, breaker.is_awaited = 0, False
    mark = state.markets[market].mark
    state.emit(EffectKind.SETTLEMENT, code=Settlement.DONE, market=market, other=mark, price_ticks=mark)


def close(state: State, market: int, holder: int, other: int, lots: int) -> None:
    """Let a holder give all its lots to another at the settlement price."""
    mark = state.markets[market].mark
    cash = state.contract(market).cash_of(-lots, mark)
    state.trade(holder, other, market, -lots, cash, mark, Cause.SETTLEMENT)
    state.trade(other, holder, market, lots, -cash, mark, Cause.SETTLEMENT)


def is_filling(state: State) -> bool:
    """The rest must wait for the next event."""
    return len(state.effects) > state.rules.limits.effects_max // 4
