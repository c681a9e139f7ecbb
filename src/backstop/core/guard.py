"""The price guard, and what follows an accepted mark (R7.2 and R8).

A jump on little volume is held: nothing is valued at it until a next mark on volume enough confirms
or drops it, or the hold ends. Then the level wins that was newest for the larger part of it: a guard
holds, it silences no feed.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.breakers import after_mark
from backstop.core.columns import MARK_BEFORE
from backstop.core.events import Guard
from backstop.core.monitor import apply_mark
from backstop.core.outbox import emit_guard
from backstop.core.state import State
from backstop.core.waits import wake_by

__all__ = ["let_go", "offer_mark", "release_held"]

_PPM = 1_000_000


@kernel
def _report(state: State, market: int, action: int, until_ns: int) -> None:
    """Emit GUARD with the held price and its distance from the accepted mark."""
    held, mark = state.breakers[market].held_ticks, state.markets[market].mark_ticks
    move_ppm = abs(held - mark) * _PPM // mark
    emit_guard(state, price_ticks=held, market=market, action=action, accepted_ticks=mark, move_ppm=move_ppm, until_ns=until_ns)


@kernel
def _note_newest(state: State, market: int, is_held: int) -> None:
    """Count the time in which the newest print was a held one, and note whether it is now."""
    breaker, now = state.breakers[market], state.engine[0].now_ns
    if breaker.is_held_newest != 0:
        breaker.held_for_ns += now - breaker.held_at_ns
    breaker.held_at_ns = now
    breaker.is_held_newest = is_held


@kernel
def _hold(state: State, market: int, price_ticks: int) -> None:
    breaker = state.breakers[market]
    if breaker.held_ticks == 0:
        breaker.held_until_ns = state.engine[0].now_ns + state.rules[0].guard_hold_ns
        wake_by(state, breaker.held_until_ns)
    _note_newest(state, market, 1)
    breaker.held_ticks = price_ticks
    _report(state, market, Guard.HELD, breaker.held_until_ns)


@kernel
def let_go(state: State, market: int, code: int) -> None:
    """End a hold."""
    _report(state, market, code, 0)
    breaker = state.breakers[market]
    breaker.held_ticks = 0
    breaker.held_until_ns = 0
    breaker.held_for_ns = 0
    breaker.held_at_ns = 0
    breaker.is_held_newest = 0


@kernel
def _is_held(state: State, market: int, price_ticks: int) -> bool:
    """Hold a jump on little volume, and return that it is held; a mark that passes on volume enough
    ends what was held.
    """
    place = state.markets[market]
    mark, jump_ppm = place.mark_ticks, place.guard_jump_ppm
    is_thin = 0 <= place.volume_lots < place.guard_volume_lots
    if mark != 0 and is_thin and abs(price_ticks - mark) * _PPM // mark >= jump_ppm:
        _hold(state, market, price_ticks)
        return True
    held = state.breakers[market].held_ticks
    if held != 0 and is_thin:
        _note_newest(state, market, 0)
    elif held != 0:
        is_near = abs(price_ticks - held) * _PPM // held < jump_ppm
        let_go(state, market, Guard.CONFIRMED if is_near else Guard.DROPPED)
    return False


@kernel
def _held_wins(state: State, market: int) -> bool:
    """Return whether the held level was newest for the larger part of a hold that is over; a tie is
    for the index, and without one for the old level.
    """
    breaker, place = state.breakers[market], state.markets[market]
    new_ns = breaker.held_for_ns
    if breaker.is_held_newest != 0:
        new_ns += breaker.held_until_ns - breaker.held_at_ns
    old_ns = state.rules[0].guard_hold_ns - new_ns
    if new_ns != old_ns:
        return new_ns > old_ns
    index = place.index_ticks
    return index > 0 and abs(breaker.held_ticks - index) < abs(place.mark_ticks - index)


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
def release_held(state: State, market: int) -> None:
    """End a hold whose time is over: the held mark is taken, or dropped."""
    held, wins = state.breakers[market].held_ticks, _held_wins(state, market)
    let_go(state, market, Guard.RELEASED if wins else Guard.DROPPED)
    if wins:
        state.columns[MARK_BEFORE, market] = state.markets[market].mark_ticks
        _accept_mark(state, market, held)
