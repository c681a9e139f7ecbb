"""Accounts that stand at a joint turn, in the order in which they came.

Rules: R5.5.6.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import PARKED
from backstop.core.events import NONE
from backstop.core.state import State

__all__ = ["first_joint_turn", "park", "release_all_at", "stands_at", "withdraw"]

#: ``parked_turn`` of an account that is not in the list, and of one that is in it but stands at no
#: joint turn any more. Otherwise the turn at which it stands, plus 1.
_UNLISTED, _WITHDRAWN = 0, -1


@kernel
def park(state: State, account: int, turn: int) -> None:
    """Let an account stand at a joint turn until that acts."""
    if state.defaults[account].parked_turn == _UNLISTED:
        state.columns[PARKED, state.engine[0].parked_now] = account
        state.engine[0].parked_now += 1
    state.defaults[account].parked_turn = turn + 1


@inlined
def stands_at(state: State, account: int, turn: int) -> bool:
    """Return whether an account stands at a joint turn; ``turn`` NONE: there is none."""
    return turn != NONE and state.defaults[account].parked_turn == turn + 1


@kernel
def withdraw(state: State, account: int) -> None:
    """Let an account stand at no joint turn any more."""
    if state.defaults[account].parked_turn != _UNLISTED:
        state.defaults[account].parked_turn = _WITHDRAWN


@kernel
def first_joint_turn(state: State) -> int:
    """Return the first joint turn at which accounts stand, that of socialise last, or NONE; drop those
    withdrawn.
    """
    engine, last = state.engine[0], state.rules[0].socialise_turn
    first, kept = NONE, 0
    for place in range(engine.parked_now):
        account = state.columns[PARKED, place]
        turn = state.defaults[account].parked_turn - 1
        if turn + 1 == _WITHDRAWN:
            state.defaults[account].parked_turn = _UNLISTED
            continue
        state.columns[PARKED, kept] = account
        kept += 1
        if first == NONE or first == last or (turn < first and turn != last):
            first = turn
    engine.parked_now = kept
    return first


@kernel
def release_all_at(state: State, turn: int, accounts: int) -> int:
    """Let no account stand at a turn any more; fill the column ``accounts`` with those who did, and
    return how many.
    """
    engine = state.engine[0]
    count, kept = 0, 0
    for place in range(engine.parked_now):
        account = state.columns[PARKED, place]
        if stands_at(state, account, turn):
            state.defaults[account].parked_turn = _UNLISTED
            state.columns[accounts, count] = account
            count += 1
        else:
            state.columns[PARKED, kept] = account
            kept += 1
    engine.parked_now = kept
    return count
