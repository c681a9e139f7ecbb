"""Open interest of a market, and what the accounts of an owner hold in it together.

Initial margin may ask for both (R2.2). Both are kept where lots change, so that nothing
is summed when it is read. Owners' lots stand in a hash table with linear probing; a key without
lots is taken out of it.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.contracts import capped_value
from backstop.core.events import InitialMargin
from backstop.core.instruments import NO_CAP, PPM
from backstop.core.places import owner_home, owner_key, owner_place
from backstop.core.position_rows import note_flat, note_held
from backstop.core.state import State
from backstop.core.units import mul_div_floor

__all__ = ["change_lots", "initial_scale_ppm", "others_lots", "resum_owners"]

_KEY, _LOTS = 0, 1


@kernel
def _take_out(state: State, place: int) -> None:
    """Take a key out of the table: those behind it that would no longer be found move up."""
    table = state.owner_lots
    last = len(table) - 1
    hole, place = place, (place + 1) & last
    while table[place, _KEY] != 0:
        if (place - owner_home(table[place, _KEY], last)) & last >= (place - hole) & last:
            table[hole, _KEY], table[hole, _LOTS] = table[place, _KEY], table[place, _LOTS]
            hole = place
        place = (place + 1) & last
    table[hole, _KEY] = table[hole, _LOTS] = 0


@inlined
def change_lots(state: State, position: int, lots: int) -> None:
    """Set the lots of a position, and with them the sums that are kept of them."""
    row = state.positions[position]
    market, before = state.markets[row.market], row.lots
    row.lots = lots
    if lots == 0:
        note_flat(state, position)
    else:
        note_held(state, position)
    market.open_lots += max(0, lots) - max(0, before)
    if market.initial_margin == InitialMargin.OWNER and row.account >= 0:
        owner = state.accounts[row.account].owner
        key = owner_key(owner, row.market, state.rules[0].markets)
        place = owner_place(state.owner_lots, key)
        state.owner_lots[place, _KEY] = key
        state.owner_lots[place, _LOTS] += abs(lots) - abs(before)
        if state.owner_lots[place, _LOTS] == 0:
            _take_out(state, place)


@kernel
def others_lots(state: State, account: int, market: int, lots: int) -> int:
    """Return the lots, of either sign, that the other accounts of an account's owner hold in a
    market; the account holds ``lots`` there. 0 where tiers are not by owner.
    """
    if state.markets[market].initial_margin != InitialMargin.OWNER:
        return 0
    place = owner_place(state.owner_lots, owner_key(state.accounts[account].owner, market, state.rules[0].markets))
    return state.owner_lots[place, _LOTS] - abs(lots)


@kernel
def initial_scale_ppm(state: State, market: int) -> int:
    """Return the share of the notional beyond initial margin that the open interest adds to it."""
    row = state.markets[market]
    if row.interest_upper == 0:
        return 0
    value = capped_value(state, market, row.open_lots, row.mark_ticks, NO_CAP)
    if value >= row.interest_upper:
        return PPM
    return mul_div_floor(max(0, value - row.interest_lower), PPM, row.interest_upper - row.interest_lower)


def resum_owners(state: State) -> None:
    """Make the table of owners' lots anew, without the keys that code of before left in it."""
    state.owner_lots[...] = 0
    rows = state.positions[: int(state.engine[0].positions_now)]
    by_owner = state.markets["initial_margin"][rows["market"]] == InitialMargin.OWNER
    for row in rows[by_owner & (rows["lots"] != 0) & (rows["account"] >= 0)]:
        key = int(owner_key(int(state.accounts[row.account].owner), int(row.market), len(state.markets)))
        place = int(owner_place(state.owner_lots, key))
        state.owner_lots[place, _KEY] = key
        state.owner_lots[place, _LOTS] += abs(int(row.lots))
