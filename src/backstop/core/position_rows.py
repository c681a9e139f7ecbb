"""Rows of accounts' positions: which is whose, how one is opened, and when it is free again (R1.2.5).

A row that is not held any more hangs in the list of flat rows, the longest flat first, with the epoch
in which it was held last. Once that epoch is over the row has left, whether or not this room has taken
it out of the lists yet: it does so for some rows at the beginning of each event, and where a row is
asked for. So no event pays for all rows that an epoch let go, and which rows there are depends on
nothing but the events.

``State.links`` holds rows of ``positions`` here, and 0 for none: row 0 is the house's.
"""

from __future__ import annotations

import numpy as np

from backstop.compiled import inlined, kernel
from backstop.core.events import NONE, Health
from backstop.core.results import present_epoch
from backstop.core.rows import BEFORE_IN_MARKET, DOWN, FLAT_AFTER, FLAT_BEFORE, FLAT_EPOCH, FREE_AFTER, UP
from backstop.core.state import State
from backstop.core.triggers import set_trigger

__all__ = [
    "has_left",
    "has_rows",
    "hold_rows_of",
    "let_rows_leave",
    "needs_row",
    "note_flat",
    "note_held",
    "open_position_row",
    "position_of",
    "relink_rows",
    "row_is_free_at",
]

#: Rows that leave their lists at the beginning of an event, at most: more than an event of a venue's
#: own trading can make flat.
_ROWS_AN_EVENT = 4


@kernel
def position_of(state: State, account: int, market: int) -> int:
    """Return the row of an account's position in a market, or NONE where it has none."""
    position = state.accounts[account].first_position
    while position != NONE and state.positions[position].market < market:
        position = state.positions[position].next_of_account
    if position != NONE and state.positions[position].market == market:
        return position
    return NONE


@inlined
def has_left(state: State, position: int) -> bool:
    """Return whether a row was held in no event of the present epoch: it is none any more."""
    return 0 < state.links[position, FLAT_EPOCH] <= present_epoch(state)


@kernel
def _leave_flat(state: State, position: int) -> None:
    """Take a row out of the list of flat rows."""
    engine, links = state.engine[0], state.links[position]
    before, after = links[FLAT_BEFORE], links[FLAT_AFTER]
    if before != 0:
        state.links[before, FLAT_AFTER] = after
    else:
        engine.flat_first = after
    if after != 0:
        state.links[after, FLAT_BEFORE] = before
    else:
        engine.flat_last = before
    links[FLAT_BEFORE] = links[FLAT_AFTER] = links[FLAT_EPOCH] = 0


@inlined
def note_held(state: State, position: int) -> None:
    """Note that a row has lots again."""
    if state.links[position, FLAT_EPOCH] != 0:
        _leave_flat(state, position)


@kernel
def note_flat(state: State, position: int) -> None:
    """Note that a row may not be held any more: it lost its lots or its last order, or the default of
    its account ended.
    """
    row, links = state.positions[position], state.links[position]
    if row.account < 0 or row.lots != 0 or row.order_slot != NONE or links[FLAT_EPOCH] != 0:
        return
    if state.accounts[row.account].health >= Health.DISTRESSED:
        return
    engine = state.engine[0]
    last = engine.flat_last
    links[FLAT_BEFORE] = last
    links[FLAT_EPOCH] = present_epoch(state) + 1
    if last != 0:
        state.links[last, FLAT_AFTER] = position
    else:
        engine.flat_first = position
    engine.flat_last = position


@kernel
def _clear(state: State, position: int) -> None:
    """Make a row as if it had never been used, but for the list of free rows."""
    row, result = state.positions[position], state.results[position]
    row.lots = row.cost = 0
    row.account = row.next_of_account = row.next_of_market = row.order_slot = NONE
    row.market = row.closed_in_default = 0
    result.base_atoms = result.epoch = result.settled_loss = result.bearing_lots = result.settled_index = 0
    state.left_parts[position] = state.relieved[position] = 0
    state.gaps[position, :] = 0
    state.carries[position, :] = 0
    state.torn_lots[position, :] = 0
    state.taken_lots[position, :] = 0
    state.event_gains[position, :] = 0
    state.links[position, :] = 0


@kernel
def _leave_lists(state: State, position: int) -> None:
    """Take a row out of the lists of its account, its market and the price buckets."""
    row = state.positions[position]
    set_trigger(state, position, DOWN, 0)
    set_trigger(state, position, UP, 0)
    head = state.accounts[row.account]
    if head.first_position == position:
        head.first_position = row.next_of_account
    else:
        before_of_account = head.first_position
        while state.positions[before_of_account].next_of_account != position:
            before_of_account = state.positions[before_of_account].next_of_account
        state.positions[before_of_account].next_of_account = row.next_of_account
    place, before, after = state.markets[row.market], state.links[position, BEFORE_IN_MARKET], row.next_of_market
    if before != 0:
        state.positions[before].next_of_market = after
    else:
        place.first_position = after
    if after != NONE:
        state.links[after, BEFORE_IN_MARKET] = before
    else:
        place.last_position = before if before != 0 else NONE


@kernel
def _free(state: State, position: int) -> None:
    """Make a row that has left free for another position."""
    _leave_flat(state, position)
    _leave_lists(state, position)
    _clear(state, position)
    engine = state.engine[0]
    state.links[position, FREE_AFTER] = engine.free_first
    engine.free_first = position
    engine.free_now += 1


@kernel
def let_rows_leave(state: State) -> None:
    """Free some of the rows that have left, the longest flat first."""
    for _ in range(_ROWS_AN_EVENT):
        first = state.engine[0].flat_first
        if first == 0 or not has_left(state, first):
            return
        _free(state, first)


@kernel
def hold_rows_of(state: State, account: int) -> None:
    """Hold the rows of an account that comes into default; those that have left are none of them, and
    wait for ``let_rows_leave``: whoever called may be on his way through the lists.
    """
    position = state.accounts[account].first_position
    while position != NONE:
        if not has_left(state, position):
            note_held(state, position)
        position = state.positions[position].next_of_account


@kernel
def needs_row(state: State, account: int, market: int) -> bool:
    """Return whether lots of an account in a market need a new row."""
    position = position_of(state, account, market)
    return position == NONE or has_left(state, position)


@kernel
def has_rows(state: State, needed: int) -> bool:
    """Return whether ``needed`` rows are free, or have left."""
    engine = state.engine[0]
    found = engine.free_now + len(state.positions) - engine.positions_now
    position = engine.flat_first
    while found < needed and position != 0 and has_left(state, position):
        found += 1
        position = state.links[position, FLAT_AFTER]
    return found >= needed


def row_is_free_at(state: State, now_ns: int) -> bool:
    """Return whether a row is free for an event of a time that is not before the last event's."""
    engine, first = state.engine[0], int(state.engine[0].flat_first)
    has_spare = int(engine.free_now) > 0 or int(engine.positions_now) < len(state.positions)
    return has_spare or 0 < int(state.links[first, FLAT_EPOCH]) <= now_ns // int(state.rules[0].epoch_ns)


@kernel
def _take_row(state: State) -> int:
    """Return a row that is free: the latest that was freed, or one that was never used."""
    engine = state.engine[0]
    if engine.free_first == 0 and engine.positions_now < len(state.positions):
        engine.positions_now += 1
        return engine.positions_now - 1
    if engine.free_first == 0:
        _free(state, engine.flat_first)
    position = engine.free_first
    engine.free_first = state.links[position, FREE_AFTER]
    engine.free_now -= 1
    state.links[position, FREE_AFTER] = 0
    return position


@kernel
def open_position_row(state: State, account: int, market: int) -> int:
    """Return the row of an account's position in a market, made empty where there was none. Whoever
    asks for it has seen that a row is free.

    The account's rows hang together in order of market, the market's in order of making.
    """
    found = position_of(state, account, market)
    if found != NONE and not has_left(state, found):
        return found
    if found != NONE:
        _free(state, found)
    position = _take_row(state)
    row = state.positions[position]
    row.account = account
    row.market = market
    row.order_slot = NONE
    before = NONE
    after = state.accounts[account].first_position
    while after != NONE and state.positions[after].market < market:
        before = after
        after = state.positions[after].next_of_account
    row.next_of_account = after
    if before == NONE:
        state.accounts[account].first_position = position
    else:
        state.positions[before].next_of_account = position
    row.next_of_market = NONE
    place = state.markets[market]
    if place.first_position == NONE:
        place.first_position = position
    else:
        state.positions[place.last_position].next_of_market = position
        state.links[position, BEFORE_IN_MARKET] = place.last_position
    place.last_position = position
    return position


def relink_rows(state: State) -> None:
    """Make the lists of this room anew for a state of code that had none of them: no row of it was ever
    freed. A row that is not held was held in the present epoch, as far as anybody knows.
    """
    engine = state.engine[0]
    rows, links = state.positions[: int(engine.positions_now)], state.links
    before = np.flatnonzero(rows["next_of_market"] != NONE)
    links[rows["next_of_market"][before], BEFORE_IN_MARKET] = before
    in_default = state.accounts["health"][np.maximum(rows["account"], 0)] >= Health.DISTRESSED
    flat = np.flatnonzero((rows["account"] >= 0) & (rows["lots"] == 0) & (rows["order_slot"] == NONE) & ~in_default)
    links[flat, FLAT_EPOCH] = int(engine.now_ns) // int(state.rules[0].epoch_ns) + 1
    links[flat[1:], FLAT_BEFORE] = flat[:-1]
    links[flat[:-1], FLAT_AFTER] = flat[1:]
    if len(flat):
        engine.flat_first, engine.flat_last = int(flat[0]), int(flat[-1])
