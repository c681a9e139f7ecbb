"""Tear-up: what nobody took ends at mark, for all accounts of a market together (R6.8)."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import NONE, Cause, EffectKind
from backstop.reference.adl import defaulters_of, joint_turn, settle_counterparties
from backstop.reference.arithmetic import sign, split
from backstop.reference.breakers import add_flow
from backstop.reference.funds import Support
from backstop.reference.paying import pay, tell_support
from backstop.reference.state import State
from backstop.reference.wave import Defaulter, gap_to_zero, support_parts

__all__ = ["shares_of_holders", "tear_up"]


class Torn(NamedTuple):
    """What one defaulter ends."""

    #: Signed: that of its position.
    lots: int
    support: Support
    charge: int


def tear_up(state: State, accounts: list[int]) -> list[int]:
    """End what nobody took, of all accounts that stand at this turn; return those that go on, in order
    of their turns.
    """
    return joint_turn(state, accounts, tear_up_market, is_asked=state.has_fund)


def tear_up_market(state: State, accounts: list[int], market: int) -> None:
    """End the lots of the defaulters of both sides at mark, against each other, and what one side has
    more against all who hold the other.

    The fund pays the gaps to zero cash as far as it goes. What it leaves stays with the account.
    """
    defaulters = defaulters_of(state, accounts, market, (1, -1))
    if not defaulters:
        return
    value, mark, group = state.contract(market).value_of, state.markets[market].mark, state.group(market)
    torn = what_ends(state, defaulters, market)
    for account, each in torn.items():
        state.emit(
            EffectKind.TEAR_UP,
            market=market,
            account=account,
            lots=-each.lots,
            price_ticks=mark,
            amount=value(each.lots),
            value=each.support.gap,
        )
        tell_support(state, account, market, each.support, Cause.TEAR_UP)
    for account, each in torn.items():
        pay(state, account, group, each.support.amount, Cause.TEAR_UP, market)
    for account, each in torn.items():
        state.trade(account, NONE, market, -each.lots, value(each.lots), mark, Cause.TEAR_UP, at_zero=lots_at_zero(each))
    more = sum(each.lots for each in torn.values())
    parts = shares_of_holders(state, market, more)
    if parts:
        first = next(account for account, each in torn.items() if each.lots * more > 0)
        for holder, part in parts.items():
            state.trade(holder, first, market, part, -value(part), mark, Cause.TEAR_UP)
            state.note_taken(holder, market, -part)
            state.torn[holder, market] = state.torn.get((holder, market), 0) - part
    for account, each in torn.items():
        state.post(state.fund_id(market), account, each.charge, Cause.CLOSING_CHARGE, market)
    add_flow(state, market, value(sum(abs(each.lots) for each in torn.values())))
    settle_counterparties(state, market, list(parts))


def what_ends(state: State, defaulters: tuple[Defaulter, ...], market: int) -> dict[int, Torn]:
    """Return what each defaulter ends, with what the fund adds to its gap: split by gap."""
    lots = {each.account: each.lots_to_close(market) for each in defaulters}
    gaps = {each.account: gap_to_zero(each.portfolio, market, lots[each.account]) for each in defaulters}
    supports = support_parts(defaulters, gaps, is_asked=state.has_fund)
    return {
        each.account: Torn(
            each.portfolio.holding(market).side * lots[each.account],
            supports[each.account],
            each.way_out.charge(lots[each.account], 0, each.portfolio.equity),
        )
        for each in defaulters
    }


def shares_of_holders(state: State, market: int, lots: int) -> dict[int, int]:
    """Return the signed lots by which each holder of the other side takes over signed ones, in
    proportion to what it then holds.
    """
    held = {holder: abs(state.held_lots(holder, market)) for holder in state.holders(market, -sign(lots))} if lots else {}
    return {holder: sign(lots) * part for holder, part in split(abs(lots), held).items() if part} if held else {}


def lots_at_zero(torn: Torn) -> int:
    """Return how many of the lots bring zero cash: all, or as the fund's part is of the gap."""
    gap = torn.support.gap
    return abs(torn.lots) * torn.support.amount // gap if gap else abs(torn.lots)
