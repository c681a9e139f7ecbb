"""A toy stage, for docs/how-to/add-a-stage.md: opposite defaulters are crossed at the mark.

It is a joint stage: it takes all accounts of the event that come to its turn, and crosses longs
with shorts before anybody else is asked. What is left goes on to the next turn.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.columns import TURN_ACCOUNT
from backstop.core.contracts import cash_at_mark
from backstop.core.events import NONE, Cause
from backstop.core.ledger import trade
from backstop.core.position_rows import position_of
from backstop.core.state import State
from backstop.core.waterfall.cover import outcome_after_closing
from backstop.core.waterfall.turns import answer

__all__ = ["cross"]


@kernel
def _cross_pair(state: State, position: int, other: int) -> None:
    """Close two opposite positions against each other at the mark, as far as the smaller goes."""
    row, against = state.positions[position], state.positions[other]
    lots = min(abs(row.lots), abs(against.lots))
    change = -lots if row.lots > 0 else lots
    mark, cash = state.markets[row.market].mark_ticks, cash_at_mark(state, row.market, change)
    trade(state, position, change, cash, mark, Cause.ADL, against.account)
    trade(state, other, -change, -cash, mark, Cause.ADL, row.account)
    row.closed_in_default = against.closed_in_default = 1


@kernel
def _cross_position(state: State, position: int, first: int, count: int) -> None:
    """Cross a position with those of the other accounts of the turn, the most urgent first."""
    row = state.positions[position]
    for place in range(first, first + count):
        other = position_of(state, state.columns[TURN_ACCOUNT, place], row.market)
        if other != NONE:
            held, lots = state.positions[other].lots, row.lots
            if (lots > 0 and held < 0) or (lots < 0 and held > 0):
                _cross_pair(state, position, other)


@kernel
def cross(state: State, turn: int, first: int, count: int) -> int:
    """Cross the accounts of the turn, in order of place and market (see ``turns``)."""
    for place in range(first, first + count):
        position = state.accounts[state.columns[TURN_ACCOUNT, place]].first_position
        while position != NONE:
            _cross_position(state, position, first, count)
            position = state.positions[position].next_of_account
    going = 0
    for place in range(first, first + count):
        going += answer(state, place, outcome_after_closing(state, state.columns[TURN_ACCOUNT, place]))
    return going
