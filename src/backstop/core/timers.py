"""What time alone brings: held marks are released, feeds grow stale, stops end (docs/rules.md, section 8)."""

from __future__ import annotations

from backstop.compiled import unit
from backstop.core.breakers import end_holds
from backstop.core.guard import release_held
from backstop.core.state import State

__all__ = ["run_timers"]


@unit
def run_timers(state: State) -> None:
    """Do what is due at the markets in order of id, then at the venue.

    Looks at every machine: the caller asks ``engine.timer_ns`` first, and makes it exact afterwards
    (``breakers.next_timer_ns``).
    """
    now = state.engine[0].now_ns
    for market in range(state.rules[0].markets):
        breaker = state.breakers[market]
        if breaker.held_ticks != 0 and breaker.held_until_ns <= now:
            release_held(state, market)
        end_holds(state, market)
    end_holds(state, state.rules[0].markets)
