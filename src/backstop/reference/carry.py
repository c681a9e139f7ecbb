"""Carrying a solvent account in default instead of deleveraging it, and who it gives way to (section
6, Carry).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from backstop.core.events import EffectKind
from backstop.core.instruments import PPM, CloseoutRules
from backstop.reference.arithmetic import ceil_div
from backstop.reference.funds import FundLimit, FundView
from backstop.reference.margin import Portfolio
from backstop.reference.state import State

__all__ = ["carries", "carry_end_ns", "carry_need", "carry_parts", "fits", "give_way", "make_way", "short_of", "view_without_carries"]


def carry_end_ns(now_ns: int, deadline_ns: int, rules: CloseoutRules) -> int:
    """Return until when an account is carried in a default in which it is carried from now on."""
    return min(now_ns, deadline_ns) + rules.carry_max_ns


def _losses(portfolio: Portfolio, move_ppm: int) -> dict[int, int]:
    """What each position loses at the move, by market."""
    return {holding.market: ceil_div(holding.notional * move_ppm, PPM) for holding in portfolio.holdings}


def carry_need(portfolio: Portfolio, move_ppm: int) -> int:
    """Return what an account would lack after the move against all its positions. Atoms."""
    return max(0, sum(_losses(portfolio, move_ppm).values()) - portfolio.equity)


def carry_parts(portfolio: Portfolio, move_ppm: int) -> dict[int, int]:
    """Return what has to be reserved to carry an account, by market of its positions."""
    losses, need = _losses(portfolio, move_ppm), carry_need(portfolio, move_ppm)
    parts, so_far, given, total = dict[int, int](), 0, 0, sum(losses.values())
    for market, loss in sorted(losses.items()):
        so_far += loss
        upto = need * so_far // total if total else 0
        parts[market], given = upto - given, upto
    return parts


class Short(NamedTuple):
    """The first part that a fund cannot reserve, and the fund as the account sees it then."""

    market: int
    part: int
    fund: FundView


def short_of(
    parts: Mapping[int, int], carried: Mapping[int, int], group_of: Callable[[int], int], view_of: Callable[[int], FundView]
) -> Short | None:
    """Return what keeps funds from reserving the parts, by market, in place of what they reserve to
    carry the account now; None: nothing does.
    """
    changes = {market: -atoms for market, atoms in carried.items()}
    for market, part in sorted(parts.items()):
        in_group = sum(change for each, change in changes.items() if group_of(each) == group_of(market))
        view = view_of(market)
        view = view._replace(
            reserved=view.reserved + in_group,
            owner_reserved=view.owner_reserved + sum(changes.values()),
            market_reserved=view.market_reserved + changes.get(market, 0),
        )
        if view.available < part:
            return Short(market, part, view)
        changes[market] = changes.get(market, 0) + part
    return None


def fits(state: State, account: int, parts: Mapping[int, int]) -> bool:
    """Say whether the funds can reserve the parts in place of what they reserve to carry it now."""
    carried = {market: row.carried for market, row in state.positions[account].items()}
    return short_of(parts, carried, state.group, lambda market: state.fund_view(state.group(market), account, market)) is None


def carries(state: State, account_id: int) -> bool:
    """Carry a solvent account whose turn is ADL or tear-up; return whether it now waits."""
    account, rules, now = state.accounts[account_id], state.rules.closeout, state.now
    portfolio = state.portfolio(account_id)
    if rules.carry_max_ns == 0 or not state.fund_supports or portfolio.equity < 0:
        return False
    until = account.carry_until or carry_end_ns(now, state.deadline(account_id), rules)
    parts = carry_parts(portfolio, rules.carry_move_ppm)
    if now >= until or not fits(state, account_id, parts):
        state.end_carry(account_id)
        return False
    if account.carry_until == 0:
        account.carry_until = until
        state.emit(EffectKind.CARRY, account=account_id, amount=sum(parts.values()), value=until)
    changes = [(market, part - state.position(account_id, market).carried) for market, part in sorted(parts.items())]
    for market, change in [pair for pair in changes if pair[1] < 0] + [pair for pair in changes if pair[1] > 0]:
        state.reserve_to_carry(account_id, market, change)
    account.wait_until = min(until, now + rules.interval_ns)
    return True


def make_way(state: State, account: int) -> None:
    """Let those who are carried give way to an insolvent account with lots, whose turn comes."""
    portfolio = state.portfolio(account)
    for holding in portfolio.held:
        contract, is_sell = holding.contract, holding.lots > 0
        beyond = contract.offset_cost(holding.notional, contract.rules.slippage_tolerance_ppm, is_sell=is_sell)
        most = beyond - portfolio.equity
        give_way(state, account, state.group(holding.market), holding.market, most)


def give_way(state: State, account: int, group: int, market: int, amount: int) -> None:
    """Free what is reserved to carry others, the last first, until the fund can pay the amount for this
    account, or no more of it: where the owner's cap leaves too little, what any fund carries for him.
    """
    owner = state.accounts[account].owner
    least = min(amount, view_without_carries(state, group, account, market).available)
    while (view := state.fund_view(group, account, market)).available < least:
        is_of_owner = view.left[FundLimit.OWNER] < least
        of_owner = [pair for pair in state.carries if state.accounts[pair[0]].owner == owner]
        of_group = [pair for pair in state.carries if state.group(pair[1]) == group]
        other, where = (of_owner if is_of_owner else of_group)[-1]
        state.reserve_to_carry(other, where, -state.position(other, where).carried)
        state.touch(other)


def view_without_carries(state: State, group: int, account: int, market: int) -> FundView:
    """A fund as the account sees it, if no fund carried anybody."""
    view = state.fund_view(group, account, market)
    return view._replace(
        reserved=view.reserved - state.carried_in(group),
        owner_reserved=view.owner_reserved - state.carried_for(state.accounts[account].owner),
        market_reserved=view.market_reserved - (state.carried_in(group, market) if market >= 0 else 0),
    )
