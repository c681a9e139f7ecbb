"""Recovery claims: what the venue owes those who bore a socialised loss.

A claim rises with a cut and falls with what a fund pays back. A fund's payment for an owner lowers
his claims, too: it pays early what is owed to him. Rules: R6.2.6.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.columns import NETTED_CLAIM, NETTED_EVENT
from backstop.core.events import NEVER_NS, NONE
from backstop.core.outbox import emit_claim
from backstop.core.pockets import is_apart
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.waits import wake_by
from backstop.core.waterfall.netting import begin_netting

__all__ = ["change_claim", "set_off_claims"]


@kernel
def change_claim(state: State, account: int, group: int, change: int) -> None:
    """Change an account's claim on a group and report it; recovery comes while any claim stands."""
    engine, head, fund = state.engine[0], state.accounts[account], state.funds[group]
    state.claims[group, account] = add_checked(state.claims[group, account], change)
    head.claim = add_checked(head.claim, change)
    fund.claims = add_checked(fund.claims, change)
    engine.claims = add_checked(engine.claims, change)
    if engine.claims == 0:
        engine.recovery_ns = NEVER_NS
    elif engine.recovery_ns == NEVER_NS and change > 0:
        engine.recovery_ns = engine.now_ns + state.rules[0].recovery_interval_ns
        wake_by(state, engine.recovery_ns)
    if change > 0 and state.columns[NETTED_EVENT, head.owner] == engine.accepted:
        state.columns[NETTED_CLAIM, head.owner] = max(state.columns[NETTED_CLAIM, head.owner], account)
    emit_claim(state, account=account, group=group, change=change, claim=state.claims[group, account])


@kernel
def _set_off_one(state: State, account: int, group: int, most: int) -> int:
    part = min(most, state.claims[group, account])
    if part > 0:
        change_claim(state, account, group, -part)
    return part


@kernel
def set_off_claims(state: State, account: int, group: int, paid: int) -> int:
    """Lower the claims of an account, and of those linked with it, on a group by what its fund pays for
    it, the latest opened first; return by how much in all.
    """
    if state.funds[group].claims == 0:
        return 0
    if is_apart(state, account):
        return _set_off_one(state, account, group, paid)
    owner = state.accounts[account].owner
    begin_netting(state, owner)
    other = state.columns[NETTED_CLAIM, owner]
    while other != NONE and state.accounts[other].claim == 0:
        other = state.accounts[other].next_of_owner
    state.columns[NETTED_CLAIM, owner] = other
    left = paid
    while other != NONE and left > 0:
        if not is_apart(state, other):
            left -= _set_off_one(state, other, group, left)
        other = state.accounts[other].next_of_owner
    return paid - left
