"""What time alone brings, and when the next of it is due (R5, R6.10 and R8.5).

- Timers of markets and of the venue: held marks are released, feeds grow stale, stops end. Then
  doubts begin and end. They run before what their event says.
- Settlements, arrears of the funds, recovery of claims, then the waits of accounts. All follow what
  the event says (docs/decisions/0021-recovery-after-the-event.md).

Whoever sets a time notes it in ``waits``; only this room finds what is due.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.breakers import end_holds, next_hold_ns, next_outage_ns
from backstop.core.doubt import review_all
from backstop.core.events import NEVER_NS, NONE
from backstop.core.guard import decide_held
from backstop.core.outbox import is_crowded
from backstop.core.settlement import next_settlement_ns, run_settlements
from backstop.core.state import State
from backstop.core.waits import first_wait_ns, pop_wait
from backstop.core.waterfall.arrears import next_arrears_ns, run_arrears
from backstop.core.waterfall.run import end_wait
from backstop.core.waterfall.socialise import run_recovery

__all__ = ["next_timer_ns", "next_wait_before", "next_wait_ns", "run_due_after", "run_due_before"]


@unit
def _run_timers(state: State) -> None:
    """Run the timers that are due: the markets in order of id, then the venue.

    Looks at every machine.
    """
    now = state.engine[0].now_ns
    for market in range(state.rules[0].markets):
        breaker = state.breakers[market]
        while breaker.held_ticks != 0 and breaker.held_until_ns <= now:
            decide_held(state, market)
        end_holds(state, market)
    end_holds(state, state.rules[0].markets)
    review_all(state)
    next_timer_ns(state)


@kernel
def _end_waits(state: State) -> None:
    while not is_crowded(state):
        account = pop_wait(state)
        if account == NONE:
            return
        end_wait(state, account)


@inlined
def run_due_before(state: State) -> None:
    """Do what is due before an event acts. Costs one comparison where nothing is."""
    engine = state.engine[0]
    if engine.timer_ns <= engine.now_ns:
        _run_timers(state)


@inlined
def run_due_after(state: State) -> None:
    """Do what is due after an event acted: settlements, arrears, recovery, then the waits that ended.

    Costs four comparisons where nothing is due.
    """
    engine = state.engine[0]
    if engine.settle_ns <= engine.now_ns:
        run_settlements(state)
    if engine.uncovered > 0:
        run_arrears(state)
    if engine.recovery_ns <= engine.now_ns:
        run_recovery(state)
    if engine.waits_now > 0:
        _end_waits(state)


@kernel
def next_timer_ns(state: State) -> int:
    """Return when the next timer of a machine, a held mark, arrears or recovery is due, exactly, or
    ``NEVER_NS``.

    Looks at every machine, and makes ``engine.timer_ns`` exact.
    """
    engine = state.engine[0]
    first = min(engine.recovery_ns, next_arrears_ns(state), next_outage_ns(state), next_settlement_ns(state))
    for row in range(state.rules[0].markets + 1):
        first = min(first, next_hold_ns(state, row))
        if state.breakers[row].held_ticks != 0:
            first = min(first, state.breakers[row].held_until_ns)
    engine.timer_ns = first
    return first


@unit
def next_wait_before(state: State, limit_ns: int) -> int:
    """Return the earliest time at which an account's wait or a timer ends, or ``limit_ns`` where
    that is not later.

    Looks at every breaker only where one may be due before the limit: a caller that knows of an
    earlier event pays nothing.
    """
    first = min(limit_ns, first_wait_ns(state))
    return min(first, next_timer_ns(state)) if state.engine[0].timer_ns < first else first


@unit
def next_wait_ns(state: State) -> int:
    """Return the earliest time at which an account's wait or a timer ends, exactly, or
    ``NEVER_NS``.

    A driver sends a CLOCK where no event comes by then.
    """
    return next_wait_before(state, NEVER_NS)
