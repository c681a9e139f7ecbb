"""Who pays a deficit (section 6): the owner's other accounts, the funds, the others, nobody."""

from __future__ import annotations

from backstop.core.events import Cause, fund_of
from tests.oracle.adl import book_uncovered
from tests.oracle.socialise import closed_markets, socialise
from tests.oracle.state import State

__all__ = ["money_stages", "net_linked_owners"]


def net_linked_owners(state: State, account: int) -> None:
    """Take the deficit from the owner's other accounts: first what they can spare, then all their equity."""
    deficit = -state.equity(account)
    owner = state.accounts[account].owner
    linked = [number for number in reversed(range(len(state.accounts))) if state.accounts[number].owner == owner and number != account]
    for keeps_release in (True, False):
        for number in linked:
            level = state.release_level(state.maintenance(number)) if keeps_release else 0
            give = min(deficit, max(0, state.equity(number) - level))
            if give > 0:
                state.post(account, number, give, Cause.NETTING)
                deficit -= give
                state.touch(number)


def money_stages(state: State, account: int) -> None:
    """Pay the deficit of an account without lots: the funds, then others, then nobody."""
    state.judge(account)
    if state.equity(account) >= 0:
        return
    if state.has_fund:
        groups = sorted({state.group(market) for market in closed_markets(state, account)}) or [0]
        if waits_for_reserves(state, account, groups):
            return
        for group in groups:
            pay = min(-state.equity(account), state.available(group, account))
            state.post(account, fund_of(group), pay, Cause.DEFICIT)
    if state.has_socialise:
        socialise(state, account, -state.equity(account))
    book_uncovered(state, account, -state.equity(account))
    state.judge(account)


def waits_for_reserves(state: State, account_id: int, groups: list[int]) -> bool:
    """The funds cannot pay all of it, but may when what they reserve is free; not beyond the deadline."""
    left = -state.equity(account_id)
    for group in groups:
        left -= min(left, state.available(group, account_id))
    deadline = state.deadline(account_id)
    if left == 0 or state.now >= deadline or not any(state.funds[group].reserved for group in groups):
        return False
    interval = state.rules.closeout.interval_ns
    state.accounts[account_id].wait_until = min(deadline, state.now + interval)
    return True
