"""Gains that leave at one rate while something of their group is uncovered (R6.11.6 to R6.11.10)."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import Cause, EffectKind, uncovered_of
from backstop.reference.arithmetic import ceil_div
from backstop.reference.socialise import change_claim
from backstop.reference.state import State

__all__ = ["Leaving", "add_own", "lend_for_gains", "note_gains", "noted_of", "own_after", "plan_of"]


class Leaving(NamedTuple):
    """What a withdrawal takes of an owner's noted gains: by group what leaves, and what is lent for it."""

    gains: dict[int, int]
    lent: dict[int, int]
    #: Gains that nothing lets through.
    stays: int


def hole(state: State, group: int) -> int:
    """What is uncovered in a group and its fund cannot pay."""
    return max(0, state.uncovered(group) - state.unreserved(group))


def noted_of(state: State, owner: int) -> int:
    """Noted gains of an owner in all groups."""
    return sum(fund.noted.get(owner, 0) for fund in state.funds)


def wealth(state: State, owner: int) -> int:
    """What an owner's accounts have."""
    return sum(max(0, state.equity(account)) for account in state.accounts_of(owner))


def still_there(state: State, owner: int) -> int:
    """What an owner has not lost of his noted gains."""
    return min(noted_of(state, owner), max(0, wealth(state, owner) - state.own.get(owner, 0)))


def share_of(state: State, group: int, owner: int) -> int:
    """What an owner has to lend of a group's hole if all that is noted of him leaves."""
    fund = state.funds[group]
    noted = fund.noted.get(owner, 0)
    return min(noted, ceil_div(noted * hole(state, group), fund.noted_sum)) if noted else 0


def plan_of(state: State, owner: int, amount: int, rest: int) -> Leaving:
    """What a withdrawal takes of an owner's gains; ``rest``: what it leaves him beyond all that stays."""
    plan = Leaving({}, {}, 0)
    left = min(amount, max(0, still_there(state, owner) - rest))
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


def add_own(state: State, owner: int, amount: int) -> None:
    """Money that an owner brings is no gain."""
    if noted_of(state, owner):
        state.own[owner] += amount


def own_after(state: State, owner: int, amount: int, plan: Leaving) -> int:
    """Own money of an owner after a withdrawal, seen before it."""
    left = wealth(state, owner) - still_there(state, owner) - (amount - sum(plan.gains.values()))
    return max(0, min(state.own.get(owner, 0), left))


def lower_noted(state: State, owner: int) -> None:
    """What an owner has lost is noted no more."""
    left = still_there(state, owner)
    for fund in state.funds:
        if owner in fund.noted:
            fund.noted[owner] = min(fund.noted[owner], left)
            left -= fund.noted[owner]


def note_gains(state: State) -> None:
    """Note the gains of each group in which something was uncovered in this event."""
    for group in sorted({effect.other for effect in state.effects if effect.kind == EffectKind.RESIDUAL}):
        fund, won = state.funds[group], dict[int, int]()
        for number, account in enumerate(state.accounts):
            for market, result in state.results(number).items():
                if state.group(market) == group:
                    won[account.owner] = won.get(account.owner, 0) + result
        for owner, result in won.items():
            lower_noted(state, owner)
            fund.noted[owner] = max(fund.noted.get(owner, 0), result - fund.gone.get(owner, 0), 0)
            state.own[owner] = max(0, wealth(state, owner) - noted_of(state, owner))
        fund.noted_sum = sum(fund.noted.values())
