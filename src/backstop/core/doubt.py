"""Prices that the venue itself doubts, and what then waits (R6.13 and R8.6).

A market is doubted by the level of a cause, whether its breaker still stops for it or not: the feed
is silent, the mark stands far from the index, all markets were silent, the guard holds a mark. A
market whose newest mark is old is not doubted, but nothing is forced at that mark either.

An account's waits add up in one default (``DEFAULT``), and end with the longest.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.breakers import HALT_LEVEL, effective_state
from backstop.core.columns import MARK_BEFORE
from backstop.core.contracts import value_of
from backstop.core.events import NONE, BreakerCause, BreakerState, Doubt
from backstop.core.margin import assess, position_margin, release_level
from backstop.core.monitor import touch, touch_defaulters
from backstop.core.orders import cancel_order
from backstop.core.outbox import emit_doubt
from backstop.core.rows import CLOSING_ORDER, TRADED
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.waits import wait_until, wake_by

__all__ = [
    "add_up_doubt",
    "cancel_market_orders",
    "hold_back",
    "is_book_shut",
    "is_doubted",
    "is_forced",
    "is_kept",
    "may_close",
    "may_force",
    "note_doubt",
    "review_all",
    "review_doubt",
    "wait_for_halt",
    "waits_for_halt",
]

# -- markets ---------------------------------------------------------------------------------------


@inlined
def is_doubted(state: State, market: int) -> bool:
    """Return whether doubt about a market's mark has begun and not ended."""
    return state.breakers[market].undoubted_ticks != 0


@inlined
def _is_settling(state: State, market: int) -> bool:
    """Return whether a market's settlement has begun: nobody acts there any more."""
    return state.breakers[market].settlement != TRADED


@kernel
def note_doubt(state: State, market: int) -> None:
    """Count the doubt about a market up to now: it adds up while it stands, and is forgotten as fast
    while not.
    """
    breaker, now = state.breakers[market], state.engine[0].now_ns
    passed = now - breaker.doubt_at_ns
    if is_doubted(state, market):
        breaker.doubted_ns = min(state.rules[0].doubt_max_ns, breaker.doubted_ns + passed)
    else:
        breaker.doubted_ns = max(0, breaker.doubted_ns - passed)
    breaker.doubt_at_ns = now


@inlined
def _is_old(state: State, market: int) -> bool:
    """Return whether no mark was accepted for so long that nothing is forced at the newest."""
    age_ns, since_ns = state.rules[0].act_age_max_ns, state.breakers[market].mark_time_ns
    return age_ns > 0 and since_ns != NONE and state.engine[0].now_ns - since_ns > age_ns


@inlined
def _is_sound(state: State, market: int) -> bool:
    """Return whether nothing about a mark forbids a transfer at it."""
    return not is_doubted(state, market) and not _is_old(state, market)


@inlined
def _is_halted_by_operator(state: State, row: int) -> bool:
    breaker = state.breakers[row]
    return breaker.state == BreakerState.HALTED and breaker.levels[BreakerCause.OPERATOR] == HALT_LEVEL


@inlined
def is_book_shut(state: State, market: int) -> bool:
    """Return whether an operator halts a market, or the venue: no order goes to the book."""
    return _is_halted_by_operator(state, market) or _is_halted_by_operator(state, state.rules[0].markets)


@kernel
def _reason(state: State, market: int) -> int:
    """Return the first reason to doubt a mark, spent or not; ``Doubt.ENDED``: there is none."""
    breaker, venue = state.breakers[market], state.breakers[state.rules[0].markets]
    if breaker.levels[BreakerCause.STALE] == HALT_LEVEL:
        return Doubt.STALE
    if breaker.levels[BreakerCause.INDEX] == HALT_LEVEL:
        return Doubt.INDEX
    if venue.levels[BreakerCause.OUTAGE] == HALT_LEVEL:
        return Doubt.OUTAGE
    return Doubt.GUARD if breaker.is_held_newest != 0 else Doubt.ENDED


@kernel
def cancel_market_orders(state: State, market: int) -> None:
    """Cancel the open orders and offers of a market, in order of id, and judge their accounts. The slice
    of a closing order counts as not sent.
    """
    if state.markets[market].orders_open == 0:
        return
    engine, places = state.engine[0], state.rules[0].orders_max
    for order_id in range(max(1, engine.next_order_id - places), engine.next_order_id):
        order = state.orders[order_id % places]
        if order.is_open != 0 and order.market == market:
            cancel_order(state, order_id % places)
            if order.kind == CLOSING_ORDER:
                state.accounts[order.account].next_slice_ns = 0
            touch(state, order.account)


@kernel
def review_doubt(state: State, market: int, old_ticks: int) -> None:
    """Let doubt about a market begin, grow or end, and wake who waits for it. A doubt by the guard alone
    cancels nothing.

    ``old_ticks`` is the mark before what may have changed it, 0 where there was none.
    """
    mark, breaker = state.markets[market].mark_ticks, state.breakers[market]
    if mark == 0 or _is_settling(state, market):
        return
    reason = _reason(state, market)
    cancels = reason != Doubt.ENDED and reason != Doubt.GUARD and breaker.has_cancelled == 0
    if reason != Doubt.ENDED and breaker.undoubted_ticks == 0:
        note_doubt(state, market)
        breaker.undoubted_ticks = old_ticks if old_ticks != 0 else mark
        if state.rules[0].doubt_settles != 0:
            due_ns = state.engine[0].now_ns + state.rules[0].doubt_max_ns - breaker.doubted_ns
            state.engine[0].settle_ns = min(state.engine[0].settle_ns, due_ns)
            wake_by(state, due_ns)
        emit_doubt(state, market=market, reason=reason, undoubted_ticks=breaker.undoubted_ticks, mark_ticks=mark)
    elif cancels:
        emit_doubt(state, market=market, reason=reason, undoubted_ticks=breaker.undoubted_ticks, mark_ticks=mark)
    elif reason == Doubt.ENDED and breaker.undoubted_ticks != 0:
        note_doubt(state, market)
        breaker.undoubted_ticks = 0
        breaker.given_ticks = 0
        breaker.has_cancelled = 0
        emit_doubt(state, market=market, reason=reason, undoubted_ticks=mark, mark_ticks=mark)
    if cancels:
        breaker.has_cancelled = 1
        cancel_market_orders(state, market)
    if breaker.is_awaited != 0 and _is_sound(state, market):
        breaker.is_awaited = 0
        touch_defaulters(state, market)


@unit
def review_all(state: State) -> None:
    """Do in each market what time has brought. A mark that the timers released may be what is doubted
    now: the one before it is the last that was not.
    """
    before = state.columns[MARK_BEFORE]
    for market in range(state.rules[0].markets):
        review_doubt(state, market, before[market] if before[market] != 0 else state.markets[market].mark_ticks)
        before[market] = 0


# -- accounts --------------------------------------------------------------------------------------


@inlined
def _is_used_up(state: State, account: int) -> bool:
    """Return whether an account has waited for doubt as long as anybody may in one default."""
    return state.defaults[account].doubt_ns >= state.rules[0].doubt_max_ns


@inlined
def may_close(state: State, account: int, market: int) -> bool:
    """Return whether an account's position may go to the book."""
    return not is_doubted(state, market) or (_is_used_up(state, account) and not _is_settling(state, market))


@inlined
def may_force(state: State, account: int, market: int) -> bool:
    """Return whether an account's position may be taken over, deleveraged or torn up, and whether
    the fund may support it.
    """
    return _is_sound(state, market) or (_is_used_up(state, account) and not _is_settling(state, market))


@kernel
def add_up_doubt(state: State, account: int) -> None:
    """Add an account's wait for doubt that ends now to those of this default."""
    row = state.defaults[account]
    if row.doubt_since_ns != NONE:
        row.doubt_ns = min(state.rules[0].doubt_max_ns, row.doubt_ns + state.engine[0].now_ns - row.doubt_since_ns)
        row.doubt_since_ns = NONE


@kernel
def _assess_better(state: State, account: int) -> tuple[int, int]:
    """Return (equity, maintenance margin) of an account with the positions that doubt keeps at the
    better of the undoubted mark and the mark.
    """
    equity, maintenance = assess(state, account)
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and not may_close(state, account, row.market):
            mark, undoubted = state.markets[row.market].mark_ticks, state.breakers[row.market].undoubted_ticks
            if undoubted != 0 and (undoubted > mark) == (row.lots > 0):
                now, better = value_of(state, row.market, row.lots, mark), value_of(state, row.market, row.lots, undoubted)
                equity = add_checked(equity, better - now)
                maintenance += position_margin(state, position, abs(better)) - position_margin(state, position, abs(now))
        position = row.next_of_account
    return equity, maintenance


@kernel
def is_kept(state: State, account: int) -> bool:
    """Return whether nothing of an account is closed: all of it is doubted, or only a doubted price
    puts it in default, or below zero.
    """
    doubted, sound = 0, 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_close(state, account, row.market):
            sound += 1
        elif row.lots != 0:
            doubted += 1
        position = row.next_of_account
    if doubted == 0 or sound == 0:
        return doubted != 0
    better, maintenance = _assess_better(state, account)
    if better >= release_level(state, account, maintenance):
        return True
    equity, _ = assess(state, account)
    return equity < 0 <= better


@kernel
def hold_back(state: State, account: int, interval_ns: int) -> None:
    """Let an account wait for the markets whose marks are doubted or old, as long as it may in this
    default; a solvent one's slices go on where its mark is only old.
    """
    has_book = False
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and not _is_sound(state, row.market):
            state.breakers[row.market].is_awaited = 1
        has_book |= row.lots != 0 and not is_doubted(state, row.market)
        position = row.next_of_account
    now = state.engine[0].now_ns
    state.defaults[account].doubt_since_ns = now
    left_ns = state.rules[0].doubt_max_ns - state.defaults[account].doubt_ns
    equity, _ = assess(state, account)
    if has_book and equity >= 0:
        left_ns = min(left_ns, interval_ns)
    # Whoever waits for a settlement may have waited as long as for a doubt.
    wait_until(state, account, now + max(1, left_ns))


# -- halts -----------------------------------------------------------------------------------------


@inlined
def _halt_wait_end_ns(state: State, account: int) -> int:
    """Return until when nobody takes an account's lots in a halted market."""
    rules = state.rules[0]
    return state.accounts[account].default_since_ns + min(rules.halt_wait_max_ns, rules.forced_ns) + state.defaults[account].doubt_ns


@inlined
def is_forced(state: State, account: int) -> bool:
    """Return whether an account has been in default for so long that nothing is waited for."""
    return state.engine[0].now_ns >= state.accounts[account].default_since_ns + state.rules[0].forced_ns + state.defaults[account].doubt_ns


@inlined
def waits_for_halt(state: State, account: int, market: int) -> bool:
    """Return whether a market is halted, and the account has not waited long for its end."""
    is_halted = effective_state(state, market) == BreakerState.HALTED
    return is_halted and state.engine[0].now_ns < _halt_wait_end_ns(state, account)


@kernel
def wait_for_halt(state: State, account: int, interval_ns: int) -> bool:
    """Let an account wait that has lots in a halted market; return whether it does."""
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_force(state, account, row.market) and waits_for_halt(state, account, row.market):
            wait_until(state, account, min(_halt_wait_end_ns(state, account), state.engine[0].now_ns + interval_ns))
            return True
        position = row.next_of_account
    return False
