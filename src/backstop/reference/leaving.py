"""Gains that leave at one rate while something of their group is uncovered (R6.11.6 to R6.11.10)."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import Cause, uncovered_of
from backstop.reference.arithmetic import ceil_div
from backstop.reference.socialise import change_claim
from backstop.reference.state import State

#: The parts that a hole has when gains are noted.
PARTS = 1 << 60

__all__ = ["PARTS", "Leaving", "add_own", "lend_for_gains", "let_go", "note_gains", "noted_of", "own_after", "plan_of"]


class Leaving(NamedTuple):
    """What a withdrawal takes of an owner's noted gains: by group what leaves, and what is lent for it."""

    gains: dict[int, int]
    lent: dict[int, int]
    #: Gains that nothing lets through.
    stays: int


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
    return min(noted, ceil_div(fund.owed.get(owner, 0) * state.hole(group), fund.owed_sum)) if noted and fund.owed_sum else 0


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
            let_go(state, group, owner, gains + lent)
        state.forget_noted(group)


def let_go(state: State, group: int, owner: int, amount: int) -> None:
    """Note that so much of an owner's noted gain left: what he owes falls in proportion."""
    fund = state.funds[group]
    owed, noted = fund.owed.get(owner, 0), fund.noted[owner]
    fund.owed[owner] = owed * (noted - amount) // noted
    fund.owed_sum -= owed * amount // noted
    fund.noted[owner] -= amount
    fund.noted_sum -= amount
    fund.gone[owner] = fund.gone.get(owner, 0) + amount


def add_own(state: State, owner: int, amount: int) -> None:
    """Money that an owner brings is no gain."""
    if noted_of(state, owner):
        state.own[owner] += amount


def own_after(state: State, owner: int, amount: int, plan: Leaving) -> int:
    """Own money of an owner after a withdrawal, seen before it."""
    left = wealth(state, owner) - still_there(state, owner) - (amount - sum(plan.gains.values()))
    return max(0, min(state.own.get(owner, 0), left))


def lower_noted(state: State, owner: int) -> None:
    """What an owner has lost is noted no more, nor what he owes for it: that is nobody's."""
    left = still_there(state, owner)
    for fund in state.funds:
        noted = fund.noted.get(owner, 0)
        if noted:
            kept = min(noted, left)
            fund.owed[owner] = fund.owed.get(owner, 0) * kept // noted
            fund.noted[owner] = kept
            left -= kept


def note_gains(state: State) -> None:
    """Note the gains of each group in which something was uncovered in this event, and split what its
    hole grew by over them.
    """
    for group, fund in enumerate(state.funds):
        if fund.hole_before is None:
            continue
        won = dict[int, int]()
        for number, account in enumerate(state.accounts):
            for market, result in state.results(number).items():
                if state.group(market) == group and result:
                    won[account.owner] = won.get(account.owner, 0) + result
        noted = {owner for each in state.funds for owner, gain in each.noted.items() if gain}
        won = dict.fromkeys(noted, 0) | won
        for owner, result in won.items():
            lower_noted(state, owner)
            fund.noted[owner] = max(fund.noted.get(owner, 0), result - fund.gone.get(owner, 0), 0)
            state.own[owner] = max(0, wealth(state, owner) - noted_of(state, owner))
        fund.noted_sum = sum(fund.noted.values())
        share_hole(state, group, min(fund.hole_before, state.hole(group)))
        fund.hole_before = None


def share_hole(state: State, group: int, old: int) -> None:
    """Share the hole of a group: of the ``old`` part everybody owes what he owed, and of the rest a part
    by his noted gain.
    """
    fund, hole = state.funds[group], state.hole(group)
    of_old = PARTS * old // hole if hole else PARTS
    for owner, noted in fund.noted.items():
        before = fund.owed.get(owner, 0) * of_old // fund.owed_sum if fund.owed_sum else 0
        new = (PARTS - of_old) * noted // fund.noted_sum if noted else 0
        fund.owed[owner] = before + new
    fund.owed_sum = PARTS if fund.noted_sum else 0
