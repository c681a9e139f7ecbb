"""The first stage: an account in default may no longer open positions or withdraw."""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.columns import TURN_ACCOUNT
from backstop.core.outbox import emit_restrict
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.waterfall.turns import answer

__all__ = ["note_restricted", "restrict"]


@kernel
def note_restricted(state: State, account: int) -> None:
    """Restrict an account, once per default."""
    head = state.accounts[account]
    if head.restricted == 0:
        head.restricted = 1
        emit_restrict(state, account=account)


@kernel
def restrict(state: State, turn: int, first: int, count: int) -> int:
    """Restrict the accounts of the turn, once per default; all go on. Answers as ``turns`` says."""
    for place in range(first, first + count):
        note_restricted(state, state.columns[TURN_ACCOUNT, place])
        answer(state, place, Outcome.NEXT)
    return count
