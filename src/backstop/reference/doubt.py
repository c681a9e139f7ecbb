"""Prices that the venue itself doubts, and what then waits (R6.13, R8.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstop.core.events import NONE, BreakerCause, BreakerState, Doubt, EffectKind
from backstop.reference.breakers import effective_state, venue_number
from backstop.reference.closing import forced_from_ns
from backstop.reference.machine import HALT, TRADED
from backstop.reference.margin import Standing
from backstop.reference.state import CLOSING_ORDER, State

__all__ = [
    "add_up",
    "cancel_orders_in",
    "hold_back",
    "is_book_shut",
    "is_doubted",
    "is_kept",
    "is_used_up",
    "is_settling",
    "may_close",
    "may_force",
    "may_move",
    "note_doubt",
    "review_all",
    "review_doubt",
    "wait_for_halt",
    "waits_for_halt",
]

# -- markets ---------------------------------------------------------------------------------------


def is_doubted(state: State, market: int) -> bool:
    """Doubt about the market's mark has begun and not ended."""
    return state.breakers[market].undoubted != 0


def is_old(state: State, market: int) -> bool:
    """No mark was accepted for so long that nothing is forced at the newest."""
    age, since = state.rules.breakers.act_age_max_ns, state.breakers[market].mark_time
    return age > 0 and since != NONE and state.now - since > age


def is_settling(state: State, market: int) -> bool:
    """The market's settlement has begun: nobody acts there any more."""
    return state.breakers[market].settlement != TRADED


def note_doubt(state: State, market: int) -> None:
    """Count the doubt up to now: it adds up while it stands, and is forgotten as fast while not."""
    breaker, longest = state.breakers[market], state.rules.breakers.doubt_max_ns
    passed = state.now - breaker.doubt_at
    count = breaker.doubted_ns + (passed if is_doubted(state, market) else -passed)
    breaker.doubted_ns, breaker.doubt_at = max(0, min(longest, count)), state.now


def is_book_shut(state: State, market: int) -> bool:
    """An operator halts the market, or the venue: no order goes to the book."""
    machines = (state.breakers[market], state.breakers[venue_number(state)])
    return any(each.state == BreakerState.HALTED and each.levels[BreakerCause.OPERATOR] == HALT for each in machines)


def doubts(state: State, market: int) -> Iterator[Doubt]:
    """Yield the reasons to doubt the mark, spent or not."""
    breaker, venue = state.breakers[market], state.breakers[venue_number(state)]
    if breaker.levels[BreakerCause.STALE] == HALT:
        yield Doubt.STALE
    if breaker.levels[BreakerCause.INDEX] == HALT:
        yield Doubt.INDEX
    if venue.levels[BreakerCause.OUTAGE] == HALT:
        yield Doubt.OUTAGE
    if breaker.is_held_newest:
        yield Doubt.GUARD


def review_all(state: State, marks: Sequence[int]) -> None:
    """What time has brought: each market in turn; ``marks`` are those before the timers."""
    for market, mark in enumerate(marks):
        review_doubt(state, market, mark)


def review_doubt(state: State, market: int, old_mark: int) -> None:
    """Let doubt begin or end, and wake who waits for the market; ``old_mark``: before the event, 0
    where there was none.
    """
    row, breaker = state.markets[market], state.breakers[market]
    if row.mark == 0 or is_settling(state, market):
        return
    reason = next(doubts(state, market), None)
    cancels = reason not in (None, Doubt.GUARD) and not breaker.has_cancelled
    if reason is not None and not breaker.undoubted:
        note_doubt(state, market)
        breaker.undoubted = old_mark or row.mark
        emit_doubt(state, market, reason, breaker.undoubted)
    elif reason is not None and cancels:
        emit_doubt(state, market, reason, breaker.undoubted)
    elif reason is None and breaker.undoubted:
        note_doubt(state, market)
        breaker.undoubted, breaker.given_ticks, breaker.has_cancelled = 0, 0, False
        emit_doubt(state, market, Doubt.ENDED, row.mark)
    if cancels:
        breaker.has_cancelled = True
        cancel_orders_in(state, market)
    if breaker.is_awaited and may_move(state, market):
        breaker.is_awaited = False
        for account in range(len(state.accounts)):
            if state.held_lots(account, market) and state.accounts[account].in_default:
                state.touch(account)


def cancel_orders_in(state: State, market: int) -> None:
    """Cancel what is out in a market; the slice of a closing order counts as not sent."""
    for order in [each for _, each in sorted(state.open_orders.items()) if each.market == market]:
        if order.is_open:
            state.cancel(order)
            if order.kind == CLOSING_ORDER:
                state.accounts[order.account].next_slice = 0
            state.touch(order.account)


def emit_doubt(state: State, market: int, reason: Doubt, undoubted: int) -> None:
    """DOUBT: the reason, the undoubted mark, the mark."""
    state.emit(EffectKind.DOUBT, code=reason, market=market, other=state.markets[market].mark, price_ticks=undoubted)


# -- accounts --------------------------------------------------------------------------------------


def is_used_up(state: State, account: int) -> bool:
    """In this default the account has waited for doubt as long as anybody may."""
    return state.accounts[account].doubt_ns >= state.rules.breakers.doubt_max_ns


def may_close(state: State, account: int, market: int) -> bool:
    """Say whether the account's position there may go to the book."""
    return not is_doubted(state, market) or (is_used_up(state, account) and not is_settling(state, market))


def may_move(state: State, market: int) -> bool:
    """Nothing about the mark forbids a transfer at it."""
    return not is_doubted(state, market) and not is_old(state, market)


def may_force(state: State, account: int, market: int) -> bool:
    """Say whether the account's position there may be taken over, deleveraged or torn up, and
    whether the fund may support it.
    """
    return may_move(state, market) or (is_used_up(state, account) and not is_settling(state, market))


def add_up(state: State, account_id: int) -> None:
    """Add the wait for doubt that ends now to those of this default."""
    account = state.accounts[account_id]
    if account.kept_since != NONE:
        waited = account.doubt_ns + state.now - account.kept_since
        account.doubt_ns, account.kept_since = min(state.rules.breakers.doubt_max_ns, waited), NONE


def better_standing(state: State, account: int) -> Standing:
    """Equity and margin with the positions that doubt keeps at the better of the undoubted mark and
    the mark.
    """
    portfolio, maintenance = state.portfolio(account), 0
    equity = portfolio.equity
    for holding in portfolio.held:
        undoubted = state.breakers[holding.market].undoubted
        if undoubted and not may_close(state, account, holding.market):
            other = holding._replace(contract=holding.contract._replace(mark_ticks=undoubted))
            better = max(holding, other, key=lambda each: each.value)
            equity += better.value - holding.value
            holding = better
        maintenance += holding.margin
    return Standing(equity, maintenance, portfolio.levels)


def is_kept(state: State, account: int) -> bool:
    """Nothing is closed: all is doubted, or it is only a doubted price that puts it in default, or
    below zero.
    """
    markets = state.held_markets(account)
    doubted = [market for market in markets if not may_close(state, account, market)]
    if not doubted:
        return False
    better = better_standing(state, account)
    return doubted == markets or better.is_restored or state.equity(account) < 0 <= better.equity


def hold_back(state: State, account_id: int) -> None:
    """Wait for the markets whose marks are doubted or old, or for one that is being settled."""
    account = state.accounts[account_id]
    for market in state.held_markets(account_id):
        if not may_move(state, market):
            state.breakers[market].is_awaited = True
    account.kept_since = state.now
    left = state.rules.breakers.doubt_max_ns - account.doubt_ns
    if state.equity(account_id) >= 0 and not all(is_doubted(state, market) for market in state.held_markets(account_id)):
        left = min(left, state.rules.closeout.interval_ns)
    account.wait_until = state.now + max(1, left)


def halt_wait_end(state: State, account: int) -> int:
    """Time until which nobody takes the account's lots in a halted market."""
    row = state.accounts[account]
    since = row.default_since + row.doubt_ns
    return min(since + state.rules.breakers.halt_wait_max_ns, forced_from_ns(since, state.rules.closeout))


def waits_for_halt(state: State, account: int, market: int) -> bool:
    """The market is halted, and the account has not waited long for its end."""
    return effective_state(state, market) == BreakerState.HALTED and state.now < halt_wait_end(state, account)


def wait_for_halt(state: State, account: int) -> bool:
    """Let an account in default wait that has lots in a halted market; return whether it does."""
    if not any(may_force(state, account, m) and waits_for_halt(state, account, m) for m in state.held_markets(account)):
        return False
    state.accounts[account].wait_until = min(halt_wait_end(state, account), state.now + state.rules.closeout.interval_ns)
    return True
