"""The one way in which money leaves a fund for an account (R6.2)."""

from __future__ import annotations

from backstop.core.events import NONE, Cause, EffectKind, fund_of
from backstop.reference.fills import take_from_winners
from backstop.reference.funds import Support
from backstop.reference.socialise import change_claim
from backstop.reference.state import State

__all__ = ["judge_netted", "net_linked_owners", "pay", "tell_support"]


def net_linked_owners(state: State, account: int) -> None:
    """Take the deficit from the owner's other accounts: first what they can spare, then all their
    equity. Then from those who owe the account for fills.
    """
    deficit = -state.equity(account)
    linked = [number for number in reversed(state.linked_with(account)) if number != account]
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
    take_from_winners(state, account)


def judge_netted(state: State, account: int) -> None:
    """Judge an account; where it is insolvent, net its linked owners and judge it again."""
    state.judge(account)
    if state.equity(account) < 0:
        net_linked_owners(state, account)
        state.judge(account)


def pay(state: State, account: int, group: int, amount: int, cause: Cause, market: int = NONE) -> int:
    """Pay at most an amount from a group's fund: what the account lacks once its owner has paid.

    Returns what was paid. It lowers the owner's claims on the group; the rest of it is a debt of the account.
    """
    if amount <= 0:
        return 0
    net_linked_owners(state, account)
    paid = min(amount, max(0, -state.equity(account)))
    if paid == 0:
        return 0
    owner = state.accounts[account].owner
    for number in state.accounts_of(owner):
        state.accounts[number].debts = state.debts(number)  # what is forgotten does not come back
    debt = paid - set_off(state, account, group, paid)
    state.post(account, fund_of(group), paid, cause, market)
    debts = state.accounts[account].debts
    debts[group] = debts.get(group, 0) + debt
    return paid


def set_off(state: State, account: int, group: int, paid: int) -> int:
    """Lower the claims of an account, and of those linked with it, on a group by what its fund pays for
    it; return by how much.
    """
    left = paid
    for number in reversed(state.linked_with(account)):
        part = min(left, state.accounts[number].claims.get(group, 0))
        if part:
            change_claim(state, number, group, -part)
            left -= part
    return paid - left


def tell_support(state: State, account: int, market: int, support: Support, cause: Cause) -> None:
    """SUPPORT, where there is a gap."""
    if support.gap == 0:
        return
    state.emit(
        EffectKind.SUPPORT,
        code=support.limit,
        market=market,
        account=account,
        other=cause,
        lots=support.available,
        amount=support.amount,
        value=support.gap,
    )
