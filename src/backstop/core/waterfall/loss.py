"""In which markets, and so in which market groups, an account's loss lies (R6.9.1)."""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.results import result_of
from backstop.core.state import State

__all__ = ["is_of_loss"]


@kernel
def is_of_loss(state: State, position: int, group: int) -> bool:
    """Return whether a position is in a market of its account's loss in a group: the default closed
    lots of it, or its result is below 0.
    """
    row = state.positions[position]
    return state.markets[row.market].group == group and (row.closed_in_default != 0 or result_of(state, position) < 0)
