"""Who pays the deficit of an account without lots (R6.10.1): each group its own part, by its
fund; what that leaves waits for the joint turn of socialise, or is uncovered.
"""

from __future__ import annotations

from backstop.core.events import Cause, Stage
from backstop.reference.arrears import book_uncovered
from backstop.reference.carry import give_way
from backstop.reference.deficit import Part, closed_markets, has_loss, parts_of
from backstop.reference.paying import net_linked_owners, pay, tell_support
from backstop.reference.state import State

__all__ = ["deficit_parts", "money_stages"]


def deficit_parts(state: State, account: int, deficit: int) -> list[Part]:
    """Parts of a deficit of an account without lots, by group and market."""
    charged = state.accounts[account].charge_market
    first = state.first_group(account)
    return parts_of(deficit, state.results(account), closed_markets(state, account), charged, state.group, first)


def money_stages(state: State, account: int) -> None:
    """Pay the deficit of an account without lots: the groups' funds; what they leave stands at
    socialise, or nobody pays it.
    """
    state.judge(account)
    if state.equity(account) < 0:
        net_linked_owners(state, account)
    deficit = -state.equity(account)
    if deficit <= 0:
        state.judge(account)
        return
    parts = deficit_parts(state, account, deficit)
    for group, market, _ in parts:
        give_way(state, account, group, market, deficit)
    if state.has_fund and waits_for_reserves(state, account, parts):
        return
    left = list[Part]()
    for group, market, amount in parts:
        support = state.fund_view(group, account, market).support(amount, is_asked=state.has_fund)
        if state.has_fund and support.beyond:
            tell_support(state, account, market, support, Cause.DEFICIT)
        left.append(Part(group, market, amount - pay(state, account, group, support.amount, Cause.DEFICIT, market)))
    if stands_at_socialise(state, account, left):
        return
    by_group: dict[int, int] = {}
    for group, _, amount in left:
        by_group[group] = by_group.get(group, 0) + amount
    for group, amount in by_group.items():
        book_uncovered(state, account, amount, group)
    state.judge(account)


def stands_at_socialise(state: State, account: int, left: list[Part]) -> bool:
    """Let the account stand at socialise with what the funds left of its parts, where somebody may have
    won it; return whether it does.
    """
    has_winners = has_loss(state.results(account), closed_markets(state, account), state.group)
    if not state.has_socialise or not has_winners or not any(part.amount for part in left):
        return False
    state.left_parts[account] = {market: amount for _, market, amount in left if amount}
    state.parked[account] = state.rules.stages.index(Stage.SOCIALISE)
    return True


def ordered_in(state: State, group: int) -> int:
    """What a fund reserves for orders and offers: what it reserves to carry somebody gives way."""
    return state.funds[group].reserved - state.carried_in(group)


def ordered_for(state: State, account: int) -> int:
    """The same, of all funds for the account's owner."""
    return state.owner(account).reserved - state.carried_for(state.accounts[account].owner)


def waits_for_reserves(state: State, account_id: int, parts: list[Part]) -> bool:
    """The funds cannot pay all of it, but may when what is reserved is free; not beyond the
    deadline.
    """
    views = [state.fund_view(group, account_id, market) for group, market, _ in parts]
    for_owner, of_fund, lacks = views[0].available_to_owner, dict[int, int](), 0
    for view, (group, _, amount) in zip(views, parts, strict=True):
        of_fund.setdefault(group, view.available_to_all)
        paid = min(amount, of_fund[group], view.available_to_market, for_owner)
        of_fund[group], for_owner, lacks = of_fund[group] - paid, for_owner - paid, lacks + amount - paid
    deadline = state.deadline(account_id)
    is_reserved = ordered_for(state, account_id) or any(ordered_in(state, group) for group, _, _ in parts)
    if lacks == 0 or state.now >= deadline or not is_reserved:
        return False
    interval = state.rules.closeout.interval_ns
    state.accounts[account_id].wait_until = min(deadline, state.now + interval)
    return True
