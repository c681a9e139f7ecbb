"""Gains that leave at one rate while something of their group is uncovered (R6.11.6 to R6.11.10)."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import Cause, EffectKind, uncovered_of
from backstop.reference.arithmetic import ceil_div
from backstop.reference.socialise import change_claim
from backstop.reference.state import State

__all__ = ["Leaving", "lend_for_gains", "lower_noted", "note_gains", "plan_of"]


class Leaving(NamedTuple):
    """What a withdrawal takes of an owner's noted gains: by group what leaves, and what is lent for it."""

    gains: dict[int, int]
    lent: dict[int, int]
    #: Gains that nothing lets through.
    stays: int


def hole(state: State, group: int) -> int:
    """What is uncovered in a group and its fund cannot pay."""
    return max(0, state.uncovered(group) - state.unreserved(group))


def share_of(state: State, group: int, owner: int) -> int:
    """What an owner has to lend of a group's hole if all that is noted of him leaves."""
    fund = state.funds[group]
    noted = fund.noted.get(owner, 0)
    return min(noted, ceil_div(noted * hole(state, group), fund.noted_sum)) if noted else 0


def plan_of(state: State, owner: int, amount: int, rest: int) -> Leaving:
    """What a withdrawal takes of an owner's gains; ``rest``: what it leaves him beyond all that stays."""
    plan = Leaving({}, {}, 0)
    left = min(amount, max(0, sum(fund.noted.get(owner, 0) for fund in state.funds) - rest))
    for group, fund in enumerate(state.funds):
        share = share_of(state, group, owner)
        free = fund.noted.get(owner, 0) - share
        plan.gains[group] = min(left, free)
        plan.lent[group] = ceil_div(plan.gains[group] * share, free) if free else 0
        left -= plan.gains[group]
    return plan._replace(stays=left)


def lend_for_gains(state: State, account: int, plan: Leaving, most: int) -> None:
    """Let an account lend what its owner's gains that leave have of the holes, at most so much in all."""
    owner = state.accounts[account].owner
    for group, gains in plan.gains.items():
        lent = min(plan.lent[group], max(0, most))
        most -= lent
        if lent:
            state.post(uncovered_of(group), account, lent, Cause.GAIN_SHARE)
            change_claim(state, account, group, lent)
        if gains:
            fund = state.funds[group]
            fund.noted[owner] -= gains + lent
            fund.noted_sum -= gains + lent
            fund.gone[owner] = fund.gone.get(owner, 0) + gains + lent
        state.forget_noted(group)


def lower_noted(state: State, owner: int) -> None:
    """What an owner has lost is noted no more, before he brings new money."""
    left = sum(max(0, state.equity(account)) for account in state.accounts_of(owner))
    for fund in state.funds:
        if owner in fund.noted:
            fund.noted[owner] = min(fund.noted[owner], left)
            left -= fund.noted[owner]


def note_gains(state: State) -> None:
    """Note the gains of each group in which something was uncovered in this event."""
    for group in sorted({effect.other for effect in state.effects if effect.kind == EffectKind.RESIDUAL}):
        fund, won = state.funds[group], dict[int, int]()
        for number, account in enumerate(state.accounts):
            of_group = (result for market, result in state.results(number).items() if state.group(market) == group)
            won[account.owner] = won.get(account.owner, 0) + sum(of_group)
        for owner, result in won.items():
            fund.noted[owner] = max(fund.noted.get(owner, 0), result - fund.gone.get(owner, 0), 0)
        fund.noted_sum = sum(fund.noted.values())
