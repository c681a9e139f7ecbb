"""The price guard, and what follows an accepted mark (docs/rules.md, sections 7 and 8).

A jump on little volume is held: nothing is valued at it until a next mark confirms or drops it, or
the hold ends and it is taken as it is. A guard holds, it never silences a feed.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.breakers import after_mark
from backstop.core.events import Guard
from backstop.core.monitor import apply_mark
from backstop.core.outbox import emit_guard
from backstop.core.state import State
from backstop.core.waits import wake_by

__all__ = ["offer_mark", "release_held"]

_PPM = 1_000_000


@kernel
def _report(state: State, market: int, action: int, until_ns: int) -> None:
    """Emit GUARD with the held price and its distance from the accepted mark."""
    held, mark = state.breakers[market].held_ticks, state.markets[market].mark_ticks
    move_ppm = abs(held - mark) * _PPM // mark
    emit_guard(state, price_ticks=held, market=market, action=action, accepted_ticks=mark, move_ppm=move_ppm, until_ns=until_ns)


@kernel
def _hold(state: State, market: int, price_ticks: int) -> None:
    breaker = state.breakers[market]
    if breaker.held_ticks == 0:
        breaker.held_until_ns = state.engine[0].now_ns + state.rules[0].guard_hold_ns
        wake_by(state, breaker.held_until_ns)
    breaker.held_ticks = price_ticks
    _report(state, market, Guard.HELD, breaker.held_until_ns)


@kernel
def _let_go(state: State, market: int, code: int) -> None:
    _report(state, market, code, 0)
    breaker = state.breakers[market]
    breaker.held_ticks = 0
    breaker.held_until_ns = 0


@kernel
def _is_held(state: State, market: int, price_ticks: int) -> bool:
    """Hold a jump on little volume, and return that it is held; a mark that passes ends what was
    held.
    """
    place = state.markets[market]
    mark, jump_ppm = place.mark_ticks, place.guard_jump_ppm
    is_thin = 0 <= place.volume_lots < place.guard_volume_lots
    if mark != 0 and is_thin and abs(price_ticks - mark) * _PPM // mark >= jump_ppm:
        _hold(state, market, price_ticks)
        return True
    held = state.breakers[market].held_ticks
    if held != 0:
        is_near = abs(price_ticks - held) * _PPM // held < jump_ppm
        _let_go(state, market, Guard.CONFIRMED if is_near and not is_thin else Guard.DROPPED)
    return False


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
    """Take a held mark whose time is over."""
    held = state.breakers[market].held_ticks
    _let_go(state, market, Guard.RELEASED)
    _accept_mark(state, market, held)
