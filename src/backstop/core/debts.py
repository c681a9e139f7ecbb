"""What funds paid for an account and did not get back: its debts, one per market group.

A debt is returned when the account is judged (``monitor``) and limits what its owner withdraws
(``admission``). An owner's debts are forgotten some time after the latest payment for him. Nothing
happens at that moment: readers here count them as 0, and the next payment clears them.
Rules: R6.2.9.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.assets import asset_of
from backstop.core.columns import DEBT_PART, OWNER_DEBT, OWNER_FIRST, OWNER_PAID_NS, SPLIT_HEAP, SPLIT_REMAINDER
from backstop.core.events import NONE, Cause
from backstop.core.ledger import post
from backstop.core.places import fund_id
from backstop.core.state import State
from backstop.core.units import add_checked, split_by_largest_remainder

__all__ = ["account_debt", "add_debt", "forget_debts", "owner_debt", "return_debts"]


@inlined
def _is_forgotten(state: State, owner: int) -> bool:
    """Return whether the latest payment for an owner is longer ago than the venue remembers."""
    return state.engine[0].now_ns - state.columns[OWNER_PAID_NS, owner] > state.rules[0].owner_memory_ns


@kernel
def owner_debt(state: State, owner: int) -> int:
    """Return what all accounts of an owner owe the funds together."""
    # Where nobody owes anything, no owner's numbers are looked at.
    return 0 if state.engine[0].debts == 0 or _is_forgotten(state, owner) else state.columns[OWNER_DEBT, owner]


@kernel
def account_debt(state: State, account: int) -> int:
    """Return what one account owes the funds."""
    total = 0
    if not _is_forgotten(state, state.accounts[account].owner):
        for group in range(state.rules[0].groups):
            total = add_checked(total, state.debts[account, group])
    return total


@kernel
def forget_debts(state: State, owner: int) -> None:
    """Clear the debts of an owner's accounts where they are forgotten; call it before his next
    payment is noted.
    """
    if state.columns[OWNER_DEBT, owner] == 0 or not _is_forgotten(state, owner):
        return
    account = state.columns[OWNER_FIRST, owner]
    while account != NONE:
        for group in range(state.rules[0].groups):
            state.debts[account, group] = 0
        account = state.accounts[account].next_of_owner
    state.engine[0].debts -= state.columns[OWNER_DEBT, owner]
    state.columns[OWNER_DEBT, owner] = 0


@kernel
def add_debt(state: State, account: int, group: int, amount: int) -> None:
    """Note that an account owes a group's fund ``amount`` more; a negative amount: less."""
    owner = state.accounts[account].owner
    state.debts[account, group] = add_checked(state.debts[account, group], amount)
    state.columns[OWNER_DEBT, owner] = add_checked(state.columns[OWNER_DEBT, owner], amount)
    state.engine[0].debts = add_checked(state.engine[0].debts, amount)


@kernel
def return_debts(state: State, account: int, most: int) -> bool:
    """Return an account's debts to their funds, in proportion, out of ``most`` atoms; say whether
    any money moved.
    """
    if most <= 0 or owner_debt(state, state.accounts[account].owner) == 0:
        return False
    debts, parts = state.debts[account], state.columns[DEBT_PART]
    groups = state.rules[0].groups
    owed = 0
    for group in range(groups):
        owed = add_checked(owed, debts[group])
    if owed == 0:
        return False
    split_by_largest_remainder(min(most, owed), debts, parts, state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP], groups)
    for group in range(groups):
        if parts[group] > 0:
            add_debt(state, account, group, -parts[group])
            post(state, fund_id(group), account, parts[group], asset_of(state, account), Cause.DEBT_RETURN, NONE)
    return True
