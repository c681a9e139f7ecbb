"""What funds reserve to carry solvent accounts in default, by position (R6.12).

A row of ``State.carries`` belongs to the same row of ``State.positions``. The positions for which
something is reserved have a number, in the order in which that began. Those of a fund hang together
in that order, and so do those of an owner.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import OWNER_CARRIED, OWNER_CARRY_LAST, OWNER_RESERVED
from backstop.core.events import NONE
from backstop.core.outbox import emit_reserve
from backstop.core.state import State

__all__ = ["CARRY_ATOMS", "CARRY_BEFORE", "CARRY_NUMBER", "CARRY_PART", "end_carry", "reserve_to_carry", "shift_reserved"]

#: What is reserved, what a plan wants to be reserved, the positions before and after it of its fund,
#: of its owner, and its number.
CARRY_ATOMS, CARRY_PART, CARRY_BEFORE, _AFTER, _OWNER_BEFORE, _OWNER_AFTER, CARRY_NUMBER = 0, 1, 2, 3, 4, 5, 6


@inlined
def shift_reserved(state: State, position: int, change: int) -> None:
    """Change what counts as reserved to carry an account for one of its positions. Emits nothing."""
    row = state.positions[position]
    market = state.markets[row.market]
    fund = state.funds[market.group]
    fund.reserved += change
    fund.carried += change
    market.reserved += change
    market.carried += change
    owner = state.accounts[row.account].owner
    state.columns[OWNER_RESERVED, owner] += change
    state.columns[OWNER_CARRIED, owner] += change


@kernel
def _append(state: State, position: int, last: int, before: int) -> None:
    """Hang a position behind the last one, by the columns ``before`` and after it."""
    state.carries[position, before], state.carries[position, before + 1] = last, NONE
    if last != NONE:
        state.carries[last, before + 1] = position


@kernel
def _take_out(state: State, position: int, last: int, before: int) -> int:
    """Join the neighbours of a position; return the last one then."""
    previous, following = state.carries[position, before], state.carries[position, before + 1]
    if previous != NONE:
        state.carries[previous, before + 1] = following
    if following != NONE:
        state.carries[following, before] = previous
        return last
    return previous


@kernel
def _link(state: State, position: int) -> None:
    row, engine = state.positions[position], state.engine[0]
    fund, owner = state.funds[state.markets[row.market].group], state.accounts[row.account].owner
    _append(state, position, fund.carry_last, CARRY_BEFORE)
    _append(state, position, state.columns[OWNER_CARRY_LAST, owner], _OWNER_BEFORE)
    fund.carry_last = position
    state.columns[OWNER_CARRY_LAST, owner] = position
    state.carries[position, CARRY_NUMBER] = engine.next_carry
    engine.next_carry += 1


@kernel
def _unlink(state: State, position: int) -> None:
    row = state.positions[position]
    fund, owner = state.funds[state.markets[row.market].group], state.accounts[row.account].owner
    fund.carry_last = _take_out(state, position, fund.carry_last, CARRY_BEFORE)
    state.columns[OWNER_CARRY_LAST, owner] = _take_out(state, position, state.columns[OWNER_CARRY_LAST, owner], _OWNER_BEFORE)


@kernel
def reserve_to_carry(state: State, position: int, change: int) -> None:
    """Change what the fund of its market reserves to carry an account, for one of its positions; 0 is
    nothing.
    """
    if change == 0:
        return
    before = state.carries[position, CARRY_ATOMS]
    if before == 0:
        _link(state, position)
    elif before + change == 0:
        _unlink(state, position)
    state.carries[position, CARRY_ATOMS] = before + change
    shift_reserved(state, position, change)
    row = state.positions[position]
    reserved = state.funds[state.markets[row.market].group].reserved
    emit_reserve(state, change=change, order_id=0, account=row.account, market=row.market, reserved=reserved)


@kernel
def end_carry(state: State, account: int) -> None:
    """Free what is reserved to carry an account, in order of market."""
    if state.defaults[account].carry_until_ns == 0:
        return
    position = state.accounts[account].first_position
    while position != NONE:
        reserve_to_carry(state, position, -state.carries[position, CARRY_ATOMS])
        position = state.positions[position].next_of_account
