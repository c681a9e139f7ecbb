"""Who pays a deficit (section 6): the owner's other accounts, the funds, the others, nobody."""

from __future__ import annotations

from collections.abc import Iterable

from backstop.core.events import Cause, fund_of
from backstop.reference.adl import book_uncovered
from backstop.reference.socialise import closed_markets, socialise
from backstop.reference.state import State

__all__ = ["money_stages", "net_linked_owners"]


def net_linked_owners(state: State, account: int) -> None:
    """Take the deficit from the owner's other accounts: first what they can spare, then all their
    equity.
    """
    deficit = -state.equity(account)
    owner = state.accounts[account].owner
    linked = [number for number in reversed(range(len(state.accounts))) if state.accounts[number].owner == owner and number != account]
    for keeps_release in (True, False):
        for number in linked:
            standing = state.standing(number)
            give = min(deficit, max(0, standing.equity - (standing.release if keeps_release else 0)))
            if give > 0:
                if not keeps_release:
                    for order in state.orders_of(number):
                        state.cancel(order)
                state.post(account, number, give, Cause.NETTING)
                deficit -= give
                state.touch(number)


def money_stages(state: State, account: int) -> None:
    """Pay the deficit of an account without lots: the funds, then others, then nobody."""
    state.judge(account)
    if state.equity(account) >= 0:
        return
    if state.has_fund:
        groups = groups_of(state, closed_markets(state, account)) or groups_of(state, state.positions[account]) or [0]
        if waits_for_reserves(state, account, groups):
            return
        for group in groups:
            pay = min(-state.equity(account), state.fund_view(group, account).available)
            state.post(account, fund_of(group), pay, Cause.DEFICIT)
    if state.has_socialise:
        socialise(state, account, -state.equity(account))
    book_uncovered(state, account, -state.equity(account))
    state.judge(account)


def groups_of(state: State, markets: Iterable[int]) -> list[int]:
    """Groups of these markets, in order."""
    return sorted({state.group(market) for market in markets})


def waits_for_reserves(state: State, account_id: int, groups: list[int]) -> bool:
    """The funds cannot pay all of it, but may when what is reserved is free; not beyond the
    deadline.
    """
    left = -state.equity(account_id)
    views = [state.fund_view(group, account_id) for group in groups]
    for_owner = views[0].available_to_owner
    for view in views:
        paid = min(left, view.available_to_all, for_owner)
        left, for_owner = left - paid, for_owner - paid
    deadline = state.deadline(account_id)
    is_reserved = views[0].owner_reserved or any(view.reserved for view in views)
    if left == 0 or state.now >= deadline or not is_reserved:
        return False
    interval = state.rules.closeout.interval_ns
    state.accounts[account_id].wait_until = min(deadline, state.now + interval)
    return True
