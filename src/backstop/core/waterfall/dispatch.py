"""Which kernel is which stage: the one place that tells kinds of stages apart."""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.events import Stage
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.waterfall.adl import deleverage
from backstop.core.waterfall.closeout import close_on_book
from backstop.core.waterfall.restrict import restrict
from backstop.core.waterfall.takeover import take_over
from backstop.core.waterfall.tear_up import tear_up
from backstop.core.waterfall.turns import answer

__all__ = ["act"]


@kernel
def act(state: State, turn: int, first: int, count: int) -> int:
    """Let the stage of a turn act on its accounts; return how many of them go on.

    An account that comes to the turn of ``fund`` or ``socialise`` has lots, and goes on: they pay
    when lots end or have ended (``support``, ``cover``, ``socialise``), in the order of the list.
    """
    kind = state.stages[turn].kind
    if kind == Stage.RESTRICT:
        return restrict(state, turn, first, count)
    if kind == Stage.CLOSEOUT:
        return close_on_book(state, turn, first, count)
    if kind == Stage.TAKEOVER:
        return take_over(state, turn, first, count)
    if kind == Stage.ADL:
        return deleverage(state, turn, first, count)
    if kind == Stage.TEAR_UP:
        return tear_up(state, turn, first, count)
    for place in range(first, first + count):
        answer(state, place, Outcome.NEXT)
    return count
