"""What funds reserve to carry solvent accounts in default, by position (R6.12).

A row of ``State.carries`` belongs to the same row of ``State.positions``. The positions for which a
fund reserves something hang together in the order in which that began.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import OWNER_RESERVED
from backstop.core.events import NONE
from backstop.core.outbox import emit_reserve
from backstop.core.state import State

__all__ = ["CARRY_ATOMS", "CARRY_BEFORE", "CARRY_PART", "end_carry", "reserve_to_carry", "shift_reserved"]

#: What is reserved, what a plan wants to be reserved, and the positions before and after it.
CARRY_ATOMS, CARRY_PART, CARRY_BEFORE, _AFTER = 0, 1, 2, 3


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
    state.columns[OWNER_RESERVED, state.accounts[row.account].owner] += change


@kernel
def _link(state: State, position: int) -> None:
    fund = state.funds[state.markets[state.positions[position].market].group]
    before = fund.carry_last
    state.carries[position, CARRY_BEFORE], state.carries[position, _AFTER] = before, NONE
    if before != NONE:
        state.carries[before, _AFTER] = position
    fund.carry_last = position


@kernel
def _unlink(state: State, position: int) -> None:
    fund = state.funds[state.markets[state.positions[position].market].group]
    before, after = state.carries[position, CARRY_BEFORE], state.carries[position, _AFTER]
    if before != NONE:
        state.carries[before, _AFTER] = after
    if after != NONE:
        state.carries[after, CARRY_BEFORE] = before
    else:
        fund.carry_last = before


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
    if state.carry_until[account] == 0:
        return
    position = state.accounts[account].first_position
    while position != NONE:
        reserve_to_carry(state, position, -state.carries[position, CARRY_ATOMS])
        position = state.positions[position].next_of_account
