"""Pockets: accounts that have lots in one market only, and which accounts of an owner stand for each
other.

Rules: R6.16.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.events import NONE
from backstop.core.state import State

__all__ = ["are_linked", "is_apart", "may_hold"]


@inlined
def is_apart(state: State, account: int) -> bool:
    """Return whether an account is a pocket that is not netted with its owner's other accounts."""
    return state.pocket_markets[account] != NONE and state.rules[0].pockets_are_netted == 0


@kernel
def are_linked(state: State, account: int, other: int) -> bool:
    """Return whether two accounts are one owner's, and neither is apart."""
    if state.accounts[account].owner != state.accounts[other].owner:
        return False
    return not (is_apart(state, account) or is_apart(state, other))


@kernel
def may_hold(state: State, account: int, market: int) -> bool:
    """Return whether an account may have lots in a market: a pocket only in its own."""
    return state.pocket_markets[account] == NONE or state.pocket_markets[account] == market
