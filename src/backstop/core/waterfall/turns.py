"""What every stage does with its turn: it answers for each account, and lets an account wait.

A stage is a kernel ``stage(state, turn, first, count)``. ``turn`` is its row of ``state.stages``.
Its accounts stand in the column ``TURN_ACCOUNT`` at the places ``first`` to ``first + count - 1``,
the most urgent first. It writes an ``Outcome`` for each of them, and returns how many of them go on
to the next turn.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import TURN_OUTCOME
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.waits import wait_until

__all__ = ["answer", "deadline_ns", "wait_interval"]


@inlined
def answer(state: State, place: int, outcome: int) -> int:
    """Write a stage's answer for the account at a place; return 1 where it goes on, else 0."""
    state.columns[TURN_OUTCOME, place] = outcome
    return 1 if outcome == Outcome.NEXT else 0


@inlined
def deadline_ns(state: State, turn: int, account: int) -> int:
    """Return the time from which an account waits no longer in a turn; what it waited for doubt
    does not count.
    """
    return state.accounts[account].default_since_ns + state.stages[turn].deadline_ns + state.defaults[account].doubt_ns


@kernel
def wait_interval(state: State, turn: int, account: int) -> bool:
    """Let an account wait one interval of a turn, at most to the turn's deadline.

    Returns False, without a wait, where the deadline has passed.
    """
    row, now = state.stages[turn], state.engine[0].now_ns
    deadline = deadline_ns(state, turn, account)
    if now >= deadline:
        return False
    wait_until(state, account, min(deadline, now + row.interval_ns))
    return True
