"""Carry: a solvent account is not deleveraged while its fund stands for what a move would cost.

Its slices go on meanwhile. What is reserved counts for every cap, and gives way to an insolvent
account that needs it. Rules: R6.12.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.carries import CARRY_ATOMS, CARRY_PART, end_carry, reserve_to_carry, shift_reserved
from backstop.core.columns import OWNER_CARRIED, OWNER_CARRY_LAST
from backstop.core.contracts import notional_at_mark, offset_cost
from backstop.core.events import NONE
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.outbox import emit_carry
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_ceil, mul_div_floor
from backstop.core.waits import wait_until
from backstop.core.waterfall.fund import available_atoms, available_to_owner, available_without_carry
from backstop.core.waterfall.turns import deadline_ns

__all__ = ["carries_on", "give_way", "make_way"]

_PPM = 1_000_000


@inlined
def _loss(state: State, position: int) -> int:
    """Return what a position loses at the move for which its fund stands."""
    row = state.positions[position]
    return mul_div_ceil(notional_at_mark(state, row.market, row.lots), state.rules[0].carry_move_ppm, _PPM)


@kernel
def _plan_parts(state: State, account: int, equity: int) -> int:
    """Fill in what has to be reserved for each position; return what it is in all."""
    first = state.accounts[account].first_position
    losses, position = 0, first
    while position != NONE:
        losses = add_checked(losses, _loss(state, position))
        position = state.positions[position].next_of_account
    need = max(0, losses - equity)
    so_far, given, position = 0, 0, first
    while position != NONE:
        so_far += _loss(state, position)
        upto = mul_div_floor(need, so_far, losses) if need > 0 else 0
        state.carries[position, CARRY_PART] = upto - given
        given = upto
        position = state.positions[position].next_of_account
    return need


@kernel
def _fits(state: State, account: int) -> bool:
    """Return whether the funds can reserve what is planned in place of what they reserve now."""
    first = state.accounts[account].first_position
    position = first
    while position != NONE:
        shift_reserved(state, position, -state.carries[position, CARRY_ATOMS])
        position = state.positions[position].next_of_account
    tried = first
    while tried != NONE:
        market, part = state.positions[tried].market, state.carries[tried, CARRY_PART]
        if available_atoms(state, account, state.markets[market].group, market) < part:
            break
        shift_reserved(state, tried, part)
        tried = state.positions[tried].next_of_account
    position = first
    while position != tried:
        shift_reserved(state, position, -state.carries[position, CARRY_PART])
        position = state.positions[position].next_of_account
    position = first
    while position != NONE:
        shift_reserved(state, position, state.carries[position, CARRY_ATOMS])
        position = state.positions[position].next_of_account
    return tried == NONE


@kernel
def _reserve_all(state: State, account: int, is_rise: bool) -> None:
    """Reserve what is planned where that is more than now, or where it is less."""
    position = state.accounts[account].first_position
    while position != NONE:
        change = state.carries[position, CARRY_PART] - state.carries[position, CARRY_ATOMS]
        if (change > 0) == is_rise:
            reserve_to_carry(state, position, change)
        position = state.positions[position].next_of_account


@kernel
def carries_on(state: State, turn: int, account: int) -> bool:
    """Carry a solvent account that comes to a turn of last resort; return whether it now waits."""
    rules, now = state.rules[0], state.engine[0].now_ns
    if rules.carry_max_ns == 0 or rules.fund_supports == 0:
        return False
    equity, _ = assess(state, account)
    if equity < 0:
        return False
    row = state.stages[turn]
    until = state.defaults[account].carry_until_ns
    if until == 0:
        until = min(now, deadline_ns(state, turn, account)) + rules.carry_max_ns
    need = _plan_parts(state, account, equity)
    if now >= until or not _fits(state, account):
        end_carry(state, account)
        return False
    if state.defaults[account].carry_until_ns == 0:
        state.defaults[account].carry_until_ns = until
        emit_carry(state, account=account, need=need, until_ns=until)
    _reserve_all(state, account, False)
    _reserve_all(state, account, True)
    wait_until(state, account, min(until, now + row.interval_ns))
    return True


@kernel
def give_way(state: State, account: int, market: int, group: int, amount: int) -> None:
    """Free what is reserved to carry others, the last first, until a fund can pay ``amount`` for an
    account, or no more of it: where the owner's cap leaves too little, what any fund carries for it.
    """
    fund, owner = state.funds[group], state.accounts[account].owner
    if fund.carried == 0 and state.columns[OWNER_CARRIED, owner] == 0:
        return
    least = min(amount, available_without_carry(state, account, group, market))
    while available_atoms(state, account, group, market) < least:
        is_of_owner = available_to_owner(state, account) < least
        position = state.columns[OWNER_CARRY_LAST, owner] if is_of_owner else fund.carry_last
        reserve_to_carry(state, position, -state.carries[position, CARRY_ATOMS])
        touch(state, state.positions[position].account)


@kernel
def make_way(state: State, account: int) -> None:
    """Let those who are carried give way to an insolvent account with lots, whose turn comes."""
    if state.rules[0].carry_max_ns == 0:
        return
    equity, _ = assess(state, account)
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            market = state.markets[row.market]
            notional = notional_at_mark(state, row.market, row.lots)
            beyond = offset_cost(state, row.market, notional, market.slippage_tolerance_ppm, row.lots > 0)
            give_way(state, account, row.market, market.group, add_checked(beyond, -equity))
        position = row.next_of_account
