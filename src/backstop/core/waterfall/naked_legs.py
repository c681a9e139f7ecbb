"""The leg that is left naked: what others' defaults took of an owner's positions was the hedge of what
he still has.

Lots taken are noted by position as they are taken. At the end of the event the accounts of each owner
of whom any were are walked once, however many plans took them. Rules: R6.6.26 to R6.6.29.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.columns import LEG_IS_LISTED, LEG_LOTS, LEG_MARKET, LEG_TAKEN, OWNER_FIRST, OWNER_TAKEN_EVENT, TAKEN_OWNER
from backstop.core.contracts import value_at_mark
from backstop.core.events import NONE, Health
from backstop.core.outbox import emit_naked_leg, has_room_to_tell
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products
from backstop.core.waterfall.exposure import add_exposure, toward_zero

__all__ = ["note_taken", "tell_naked_legs"]


@kernel
def note_taken(state: State, position: int, lots: int) -> None:
    """Note signed lots that another's default took of a position; nothing of the house's."""
    account, engine = state.positions[position].account, state.engine[0]
    if account < 0:
        return
    taken, owner = state.taken_lots[position], state.accounts[account].owner
    taken[0] = lots + (taken[0] if taken[1] == engine.accepted else 0)
    taken[1] = engine.accepted
    if state.columns[OWNER_TAKEN_EVENT, owner] != engine.accepted:
        state.columns[OWNER_TAKEN_EVENT, owner] = engine.accepted
        state.columns[TAKEN_OWNER, engine.taken_now] = owner
        engine.taken_now += 1


@inlined
def _taken_of(state: State, position: int) -> int:
    """Return the signed lots that the present event took of a position."""
    taken = state.taken_lots[position]
    return taken[0] if taken[1] == state.engine[0].accepted else 0


@kernel
def _forget_legs(state: State, owner: int) -> None:
    """Set the sums of all markets in which an owner ever had lots to zero."""
    account = state.columns[OWNER_FIRST, owner]
    while account != NONE:
        position = state.accounts[account].first_position
        while position != NONE:
            market = state.positions[position].market
            state.columns[LEG_LOTS, market] = state.columns[LEG_TAKEN, market] = state.columns[LEG_IS_LISTED, market] = 0
            position = state.positions[position].next_of_account
        account = state.accounts[account].next_of_owner


@kernel
def _sum_legs(state: State, owner: int) -> tuple[int, int]:
    """Sum the lots and the lots taken of an owner's accounts not in default, by market; return how many
    markets are listed, and the lowest account of which lots were taken, or NONE.
    """
    count, first, account = 0, NONE, state.columns[OWNER_FIRST, owner]
    while account != NONE:
        position = state.accounts[account].first_position if state.accounts[account].health < Health.DISTRESSED else NONE
        while position != NONE:
            market, lots, taken = state.positions[position].market, state.positions[position].lots, _taken_of(state, position)
            if lots != 0 or taken != 0:
                state.columns[LEG_LOTS, market] = add_checked(state.columns[LEG_LOTS, market], lots)
                state.columns[LEG_TAKEN, market] = add_checked(state.columns[LEG_TAKEN, market], taken)
                if state.columns[LEG_IS_LISTED, market] == 0:
                    state.columns[LEG_IS_LISTED, market] = 1
                    state.columns[LEG_MARKET, count] = market
                    count += 1
                if taken != 0 and (first == NONE or account < first):
                    first = account
            position = state.positions[position].next_of_account
        account = state.accounts[account].next_of_owner
    return count, first


@kernel
def _exposure_to(state: State, count: int, with_taken: bool) -> int:
    """Return the exposure of the lots summed, with or without those taken."""
    whole, rest = 0, 0
    for place in range(count):
        market = state.columns[LEG_MARKET, place]
        lots = state.columns[LEG_LOTS, market]
        if with_taken:
            lots = add_checked(lots, state.columns[LEG_TAKEN, market])
        whole, rest = add_exposure(whole, rest, state.markets[market].factor_loading_ppm, value_at_mark(state, market, lots))
    return toward_zero(whole, rest)


@kernel
def _largest(state: State, count: int, column: int, is_long: bool) -> int:
    """Return the market of the largest exposure of one side among the lots of a column, ties to the
    lowest; NONE: there is none.
    """
    best, most, loading = NONE, 0, 0
    for place in range(count):
        market = state.columns[LEG_MARKET, place]
        value, own = value_at_mark(state, market, state.columns[column, market]), state.markets[market].factor_loading_ppm
        if value != 0 and ((value > 0) == (own > 0)) == is_long:
            order = compare_products(abs(own), abs(value), loading, most)
            if order > 0 or (order == 0 and market < best):
                best, most, loading = market, abs(value), abs(own)
    return best


@kernel
def _tell_owner(state: State, owner: int) -> None:
    """Name the leg that an owner is left with, where his exposure is larger than it would be."""
    _forget_legs(state, owner)
    count, account = _sum_legs(state, owner)
    if account == NONE:
        return
    before, after = _exposure_to(state, count, True), _exposure_to(state, count, False)
    if abs(after) <= abs(before):
        return
    naked = _largest(state, count, LEG_LOTS, after > 0)
    emit_naked_leg(
        state,
        account=account,
        owner=owner,
        naked_market=naked,
        lots=state.columns[LEG_LOTS, naked],
        market=_largest(state, count, LEG_TAKEN, after < 0),
        before=before,
        after=after,
    )


@unit
def tell_naked_legs(state: State) -> None:
    """Tell the owners of whom lots were taken in this event, while it has room."""
    engine = state.engine[0]
    for place in range(engine.taken_now):
        if has_room_to_tell(state):
            _tell_owner(state, state.columns[TAKEN_OWNER, place])
    engine.taken_now = 0
