"""The price guard, and what follows an accepted mark (R7.2 and R8).

A jump on little volume is held: nothing is valued at it until a next mark on volume enough confirms
or drops it, or the hold ends. Then the level wins that was newest for the larger part of it; where
other prints or the index spoke for another level, only after a second hold. A guard holds, it
silences no feed.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.breakers import after_mark, index_is_dead
from backstop.core.columns import MARK_BEFORE
from backstop.core.events import Guard
from backstop.core.monitor import apply_mark
from backstop.core.outbox import emit_guard
from backstop.core.state import State
from backstop.core.waits import wake_by

__all__ = ["decide_held", "let_go", "offer_mark"]

_PPM = 1_000_000


@kernel
def _report(state: State, market: int, action: int, price_ticks: int, until_ns: int) -> None:
    """Emit GUARD with a price and its distance from the accepted mark."""
    mark = state.markets[market].mark_ticks
    move_ppm = abs(price_ticks - mark) * _PPM // mark
    emit_guard(state, price_ticks=price_ticks, market=market, action=action, accepted_ticks=mark, move_ppm=move_ppm, until_ns=until_ns)


@kernel
def _bring_up(state: State, market: int, until_ns: int) -> None:
    """Count up to a time for how long the newest print was a held one, and one of the level held. A
    rival that was newest for longer takes its place.
    """
    breaker = state.breakers[market]
    passed_ns = until_ns - breaker.held_at_ns
    breaker.held_at_ns = until_ns
    if breaker.is_held_newest == 0:
        return
    breaker.held_for_ns += passed_ns
    breaker.held_lead_ns += passed_ns if breaker.rival_ticks == 0 else -passed_ns
    if breaker.held_lead_ns < 0:
        breaker.held_ticks = breaker.rival_ticks
        breaker.held_lead_ns = -breaker.held_lead_ns
        breaker.rival_ticks = 0


@kernel
def _hold(state: State, market: int, price_ticks: int) -> None:
    """Hold a print: the first of a hold, one of the level held, or a rival of it."""
    breaker, now = state.breakers[market], state.engine[0].now_ns
    held = breaker.held_ticks
    if held == 0:
        breaker.held_since_ns = now
        breaker.held_at_ns = now
        breaker.held_until_ns = now + state.rules[0].guard_hold_ns
        wake_by(state, breaker.held_until_ns)
    breaker.is_held_newest = 1
    if held != 0 and abs(price_ticks - held) * _PPM // held >= state.markets[market].guard_jump_ppm:
        breaker.rival_ticks = price_ticks
    else:
        breaker.held_ticks = price_ticks
        breaker.rival_ticks = 0
    _report(state, market, Guard.HELD, price_ticks, breaker.held_until_ns)


@kernel
def let_go(state: State, market: int, code: int) -> None:
    """End a hold."""
    breaker = state.breakers[market]
    _report(state, market, code, breaker.held_ticks, 0)
    breaker.held_ticks = 0
    breaker.held_since_ns = 0
    breaker.held_until_ns = 0
    breaker.held_for_ns = 0
    breaker.held_lead_ns = 0
    breaker.held_at_ns = 0
    breaker.is_held_newest = 0
    breaker.rival_ticks = 0


@kernel
def _is_held(state: State, market: int, price_ticks: int) -> bool:
    """Hold a jump on little volume, and return that it is held; a mark that passes on volume enough
    ends what was held.
    """
    place, breaker = state.markets[market], state.breakers[market]
    if breaker.held_ticks != 0:
        _bring_up(state, market, state.engine[0].now_ns)
    mark, jump_ppm, held = place.mark_ticks, place.guard_jump_ppm, breaker.held_ticks
    is_thin = 0 <= place.volume_lots < place.guard_volume_lots
    if mark != 0 and is_thin and abs(price_ticks - mark) * _PPM // mark >= jump_ppm:
        _hold(state, market, price_ticks)
        return True
    if held != 0 and is_thin:
        breaker.is_held_newest = 0
        breaker.rival_ticks = 0
    elif held != 0:
        is_near = abs(price_ticks - held) * _PPM // held < jump_ppm
        let_go(state, market, Guard.CONFIRMED if is_near else Guard.DROPPED)
    return False


@kernel
def _verdict(state: State, market: int) -> int:
    """Return what becomes of a hold whose time is over, counted up to its end: a ``Guard``."""
    breaker, place = state.breakers[market], state.markets[market]
    length_ns, new_ns = breaker.held_until_ns - breaker.held_since_ns, breaker.held_for_ns
    has_index, index = not index_is_dead(state, market), place.index_ticks
    is_near = has_index and abs(breaker.held_ticks - index) < abs(place.mark_ticks - index)
    old_ns = length_ns - new_ns
    if new_ns < old_ns or (new_ns == old_ns and not is_near):
        return Guard.DROPPED
    is_alone = breaker.held_lead_ns == length_ns and not has_index
    if is_near or is_alone or length_ns > state.rules[0].guard_hold_ns:
        return Guard.RELEASED
    return Guard.CONTINUED


@kernel
def _accept_mark(state: State, market: int, price_ticks: int) -> None:
    old = state.markets[market].mark_ticks
    apply_mark(state, market, price_ticks)
    after_mark(state, market, old)


@kernel
def offer_mark(state: State, market: int, price_ticks: int) -> None:
    """Take a mark, judge accounts and settle breakers; or hold it, which does nothing else."""
    if state.markets[market].guard_jump_ppm == 0 or not _is_held(state, market, price_ticks):
        _accept_mark(state, market, price_ticks)


@kernel
def decide_held(state: State, market: int) -> None:
    """End a hold whose time is over: the level held becomes the mark, is dropped, or is held once more
    for as long.
    """
    breaker = state.breakers[market]
    _bring_up(state, market, breaker.held_until_ns)
    held, verdict = breaker.held_ticks, _verdict(state, market)
    if verdict == Guard.CONTINUED:
        breaker.held_until_ns += state.rules[0].guard_hold_ns
        _report(state, market, Guard.CONTINUED, held, breaker.held_until_ns)
        return
    let_go(state, market, verdict)
    if verdict == Guard.RELEASED:
        state.columns[MARK_BEFORE, market] = state.markets[market].mark_ticks
        _accept_mark(state, market, held)
