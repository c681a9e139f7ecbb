"""The price guard, and what follows an accepted mark (R7.2 and R8).

A jump on little volume is held: nothing is valued at it until a next mark on volume enough confirms
or drops it, or the hold ends. Then the level wins that was newest for the larger part of it; where
other prints or the index spoke for another level, only after a second hold. Jumps are measured from
a mark that trades on volume stood for, or time. A guard holds, it silences no feed.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
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
    """Emit GUARD with a price and its distance from the reference."""
    reference = state.breakers[market].reference_ticks
    move_ppm = abs(price_ticks - reference) * _PPM // reference
    emit_guard(
        state, price_ticks=price_ticks, market=market, action=action, reference_ticks=reference, move_ppm=move_ppm, until_ns=until_ns
    )


@inlined
def _is_near(state: State, market: int, price_ticks: int, other_ticks: int) -> bool:
    """Return whether a price is less than a jump from another."""
    return abs(price_ticks - other_ticks) * _PPM // other_ticks < state.markets[market].guard_jump_ppm


@kernel
def _refer_to(state: State, market: int, price_ticks: int) -> None:
    """Measure jumps from a mark from now on."""
    state.breakers[market].reference_ticks = price_ticks
    state.breakers[market].reference_at_ns = state.engine[0].now_ns


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
        breaker.held_first_ticks = breaker.rival_first_ticks
        breaker.held_lead_ns = -breaker.held_lead_ns
        _forget_rival(state, market)


@kernel
def _forget_rival(state: State, market: int) -> None:
    state.breakers[market].rival_ticks = 0
    state.breakers[market].rival_first_ticks = 0


@kernel
def _begin_hold(state: State, market: int, price_ticks: int, since_ns: int) -> None:
    """Hold a print, the newest, where none is held."""
    breaker = state.breakers[market]
    breaker.held_ticks = price_ticks
    breaker.held_first_ticks = price_ticks
    breaker.held_at_ns = since_ns
    breaker.held_until_ns = since_ns + state.rules[0].guard_hold_ns
    breaker.is_held_newest = 1
    wake_by(state, breaker.held_until_ns)


@kernel
def _hold(state: State, market: int, price_ticks: int) -> None:
    """Hold a print: the first of a hold, one of the level held, or a rival of it."""
    breaker = state.breakers[market]
    if breaker.held_ticks == 0:
        _begin_hold(state, market, price_ticks, state.engine[0].now_ns)
    elif _is_near(state, market, price_ticks, breaker.held_first_ticks):
        breaker.held_ticks = price_ticks
        _forget_rival(state, market)
    else:
        if breaker.rival_ticks == 0 or not _is_near(state, market, price_ticks, breaker.rival_first_ticks):
            breaker.rival_first_ticks = price_ticks
        breaker.rival_ticks = price_ticks
    breaker.is_held_newest = 1
    _report(state, market, Guard.HELD, price_ticks, breaker.held_until_ns)


@kernel
def let_go(state: State, market: int, code: int) -> None:
    """End a hold."""
    breaker = state.breakers[market]
    _report(state, market, code, breaker.held_ticks, 0)
    breaker.held_ticks = 0
    breaker.held_first_ticks = 0
    breaker.held_until_ns = 0
    breaker.held_for_ns = 0
    breaker.held_lead_ns = 0
    breaker.held_at_ns = 0
    breaker.is_held_newest = 0
    breaker.is_continued = 0
    _forget_rival(state, market)


@kernel
def _is_held(state: State, market: int, price_ticks: int) -> bool:
    """Hold a jump on little volume, and return that it is held; a mark that passes on volume enough
    ends what was held.
    """
    place, breaker, now = state.markets[market], state.breakers[market], state.engine[0].now_ns
    if breaker.held_ticks != 0:
        _bring_up(state, market, now)
    is_first, is_thin = place.mark_ticks == 0, 0 <= place.volume_lots < place.guard_volume_lots
    if is_thin and not is_first and not _is_near(state, market, price_ticks, breaker.reference_ticks):
        _hold(state, market, price_ticks)
        return True
    if breaker.held_ticks != 0 and is_thin:
        breaker.is_held_newest = 0
        _forget_rival(state, market)
    elif breaker.held_ticks != 0:
        let_go(state, market, Guard.CONFIRMED if _is_near(state, market, price_ticks, breaker.held_first_ticks) else Guard.DROPPED)
    if is_first or not is_thin or now - breaker.reference_at_ns >= state.rules[0].guard_hold_ns:
        _refer_to(state, market, price_ticks)
    return False


@kernel
def _is_near_index(state: State, market: int) -> bool:
    """Return whether a living index is nearer to the level held than to the mark, and less than a jump
    from it.
    """
    held, place = state.breakers[market].held_ticks, state.markets[market]
    if index_is_dead(state, market) or abs(held - place.index_ticks) >= abs(place.mark_ticks - place.index_ticks):
        return False
    return _is_near(state, market, held, place.index_ticks)


@kernel
def _verdict(state: State, market: int) -> int:
    """Return what becomes of a hold whose time is over, counted up to its end: a ``Guard``."""
    breaker, length_ns = state.breakers[market], state.rules[0].guard_hold_ns
    is_near = _is_near_index(state, market)
    old_ns = length_ns - breaker.held_for_ns
    if breaker.held_for_ns < old_ns or (breaker.held_for_ns == old_ns and not is_near):
        return Guard.DROPPED
    is_alone = breaker.held_lead_ns == length_ns and index_is_dead(state, market)
    return Guard.RELEASED if is_near or is_alone or breaker.is_continued != 0 else Guard.CONTINUED


@kernel
def _continue(state: State, market: int) -> None:
    """Hold the level once more; it is counted anew."""
    breaker = state.breakers[market]
    breaker.held_until_ns += state.rules[0].guard_hold_ns
    breaker.held_for_ns = 0
    breaker.held_lead_ns = 0
    breaker.is_continued = 1
    _report(state, market, Guard.CONTINUED, breaker.held_ticks, breaker.held_until_ns)


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
    for as long. A held print that is the newest, and no mark, is held on.
    """
    breaker, end_ns = state.breakers[market], state.breakers[market].held_until_ns
    _bring_up(state, market, end_ns)
    held, verdict = breaker.held_ticks, _verdict(state, market)
    if verdict == Guard.CONTINUED:
        _continue(state, market)
        return
    newest = breaker.rival_ticks if breaker.rival_ticks != 0 else held
    is_left = breaker.is_held_newest != 0
    let_go(state, market, verdict)
    if verdict == Guard.RELEASED:
        state.columns[MARK_BEFORE, market] = state.markets[market].mark_ticks
        _refer_to(state, market, held)
        _accept_mark(state, market, held)
        is_left = is_left and not _is_near(state, market, newest, held)
    if is_left:
        _begin_hold(state, market, newest, end_ns)
        _report(state, market, Guard.RENEWED, newest, breaker.held_until_ns)
