"""The accounts in default whose lots leave in one plan: what each should close, what each closes of so
many lots in all, and what the fund adds to what each lacks.

They stand in the columns DEFAULTER_*, by id. Rules: R6.6.2.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.assets import asset_of
from backstop.core.columns import (
    DEFAULTER_CHARGE,
    DEFAULTER_EQUITY,
    DEFAULTER_GAP,
    DEFAULTER_LOTS,
    DEFAULTER_MAINTENANCE,
    DEFAULTER_OWNER_LEFT,
    DEFAULTER_POSITION,
    DEFAULTER_SUPPORT,
    DEFAULTER_SUPPORT_CAP,
    DEFAULTER_WANTED,
    OWNER_GAP,
    OWNER_GAP_BEFORE,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.events import NONE, Cause
from backstop.core.ledger import post
from backstop.core.margin import assess
from backstop.core.outbox import emit_adl_scale
from backstop.core.places import fund_id
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_floor, split_by_largest_remainder
from backstop.core.waterfall.allocation import allocate
from backstop.core.waterfall.charge import closing_charge
from backstop.core.waterfall.fund import available_in_fund, available_to_market, available_to_owner
from backstop.core.waterfall.leaving import lots_to_leave
from backstop.core.waterfall.support import gap_atoms

__all__ = [
    "available_to_plan",
    "charge_all",
    "common_owner",
    "enter_defaulter",
    "place_lots",
    "post_charge",
    "sum_column",
    "support_gaps",
    "tell_scale",
]


@kernel
def enter_defaulter(state: State, place: int, position: int) -> bool:
    """Enter the position of an account in default, as things stand now; return whether any lots of it
    are to leave.
    """
    account = state.positions[position].account
    equity, maintenance = assess(state, account)
    state.columns[DEFAULTER_POSITION, place] = position
    state.columns[DEFAULTER_EQUITY, place] = equity
    state.columns[DEFAULTER_MAINTENANCE, place] = maintenance
    state.columns[DEFAULTER_WANTED, place] = lots_to_leave(state, position, equity, maintenance)
    state.columns[DEFAULTER_OWNER_LEFT, place] = available_to_owner(state, account)
    return state.columns[DEFAULTER_WANTED, place] > 0


@kernel
def sum_column(state: State, column: int, first: int, count: int) -> int:
    """Return the sum of ``count`` numbers of a column, from a place on."""
    total = 0
    for place in range(first, first + count):
        total = add_checked(total, state.columns[column, place])
    return total


@kernel
def common_owner(state: State, count: int) -> int:
    """Return the owner of all defaulters; NONE where they are of several."""
    owner = state.accounts[state.positions[state.columns[DEFAULTER_POSITION, 0]].account].owner
    for place in range(1, count):
        if state.accounts[state.positions[state.columns[DEFAULTER_POSITION, place]].account].owner != owner:
            return NONE
    return owner


@kernel
def available_to_plan(state: State, market: int) -> int:
    """Return what the fund of a market may pay for a plan, the caps of owners apart; 0 where the
    waterfall does not ask it.
    """
    if state.rules[0].fund_supports == 0:
        return 0
    return min(available_in_fund(state, state.markets[market].group), available_to_market(state, market))


@kernel
def place_lots(state: State, count: int, lots: int) -> None:
    """Fill in what each defaulter closes of so many lots: all scaled by one fraction."""
    split_by_largest_remainder(
        lots,
        state.columns[DEFAULTER_WANTED],
        state.columns[DEFAULTER_LOTS],
        state.columns[SPLIT_REMAINDER],
        state.columns[SPLIT_HEAP],
        count,
    )


@kernel
def _cap_support(state: State, count: int) -> None:
    """Fill in the most that the fund may pay of each gap: what the cap of an owner leaves goes to his
    accounts by gap.
    """
    gaps, whole, before = state.columns[DEFAULTER_GAP], state.columns[OWNER_GAP], state.columns[OWNER_GAP_BEFORE]
    for place in range(count):
        owner = state.accounts[state.positions[state.columns[DEFAULTER_POSITION, place]].account].owner
        whole[owner] = before[owner] = 0
    for place in range(count):
        owner = state.accounts[state.positions[state.columns[DEFAULTER_POSITION, place]].account].owner
        whole[owner] = add_checked(whole[owner], gaps[place])
    for place in range(count):
        owner = state.accounts[state.positions[state.columns[DEFAULTER_POSITION, place]].account].owner
        cap = 0
        if gaps[place] > 0:
            most, earlier = min(whole[owner], state.columns[DEFAULTER_OWNER_LEFT, place]), before[owner]
            before[owner] = earlier + gaps[place]
            cap = mul_div_floor(most, before[owner], whole[owner]) - mul_div_floor(most, earlier, whole[owner])
        state.columns[DEFAULTER_SUPPORT_CAP, place] = cap


@kernel
def support_gaps(state: State, count: int, available: int) -> tuple[int, int]:
    """Fill in the gap of each defaulter's lots and the fund's part of it, split by gap; return the
    gaps and the parts in all.
    """
    gaps, parts = state.columns[DEFAULTER_GAP], state.columns[DEFAULTER_SUPPORT]
    whole = 0
    for place in range(count):
        position, lots = state.columns[DEFAULTER_POSITION, place], state.columns[DEFAULTER_LOTS, place]
        equity, maintenance = state.columns[DEFAULTER_EQUITY, place], state.columns[DEFAULTER_MAINTENANCE, place]
        gaps[place] = gap_atoms(state, position, lots, equity, maintenance) if lots > 0 else 0
        parts[place] = 0
        whole = add_checked(whole, gaps[place])
    if whole == 0 or available == 0:
        return whole, 0
    _cap_support(state, count)
    caps = state.columns[DEFAULTER_SUPPORT_CAP]
    allocate(available, caps, gaps, parts, state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP], count)
    return whole, sum_column(state, DEFAULTER_SUPPORT, 0, count)


@kernel
def charge_all(state: State, first: int, count: int, lots_column: int) -> None:
    """Fill in the closing charge of the defaulters from a place on, for the lots of a column that
    begins with the first of them.
    """
    for place in range(first, first + count):
        lots = state.columns[lots_column, place - first]
        charge = 0
        if lots > 0:
            charge = closing_charge(state, state.columns[DEFAULTER_POSITION, place], lots, 0, state.columns[DEFAULTER_EQUITY, place])
        state.columns[DEFAULTER_CHARGE, place] = charge


@kernel
def post_charge(state: State, place: int) -> None:
    """Let a defaulter pay its closing charge to the fund of the market's group; 0 is nothing."""
    row = state.positions[state.columns[DEFAULTER_POSITION, place]]
    fund = fund_id(state.markets[row.market].group)
    post(state, fund, row.account, state.columns[DEFAULTER_CHARGE, place], asset_of(state, row.account), Cause.CLOSING_CHARGE, row.market)


@kernel
def tell_scale(state: State, market: int, count: int) -> None:
    """Report what should have left, of each defaulter."""
    for place in range(count):
        account = state.positions[state.columns[DEFAULTER_POSITION, place]].account
        emit_adl_scale(state, account=account, wanted_lots=state.columns[DEFAULTER_WANTED, place], market=market)
