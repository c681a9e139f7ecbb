"""Which rows of ``State`` are in use: what a copy, a pickle or a reset must move.

The arrays are sized for the most that a venue may hold; what was never used is as ``blank_array``
makes it. ``used_parts`` names the rest, once for all who copy: a ``Part`` is an array's name and an
index of it. It goes by the engine's own counters, so its cost is that of the rows in use and not of
the arrays. A state must stand between two events.

Scratch columns are in no part: nothing in them outlives an event. Those that hold the number of an
event or a round are (``KEPT``): a number left there by another course of events could be taken for
that of a later event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.columns import (
    CUT_EVENT,
    MARK_BEFORE,
    NETTED_EVENT,
    OWNER_CARRIED,
    OWNER_CARRY_LAST,
    OWNER_DEBT,
    OWNER_EQUITY_EVENT,
    OWNER_EXPOSURE_EVENT,
    OWNER_FIRST,
    OWNER_NOTED_NEXT,
    OWNER_PAID,
    OWNER_PAID_NS,
    OWNER_PURSE_TURN,
    OWNER_RESERVED,
    OWNER_TAKEN_EVENT,
    WAIT_ACCOUNT,
    WAIT_TIME,
)
from backstop.core.events import NONE
from backstop.core.places import bucket_of, owner_key, owner_place

__all__ = ["KEPT", "KEPT_BY_MARKET", "Part", "blank_array", "note_buckets", "note_owner_rows", "used_parts"]

#: Columns by account or owner that mean something between two events.
KEPT = (
    *(OWNER_FIRST, OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED, OWNER_CARRIED, OWNER_CARRY_LAST),
    *(OWNER_DEBT, NETTED_EVENT, OWNER_EQUITY_EVENT, OWNER_EXPOSURE_EVENT, OWNER_PURSE_TURN, CUT_EVENT),
    *(OWNER_TAKEN_EVENT, OWNER_NOTED_NEXT),
)
#: Likewise by market: 0 between two events, and expected to be.
KEPT_BY_MARKET = (MARK_BEFORE,)
#: Columns that begin with NONE.
_NONE_COLUMNS = (OWNER_FIRST, OWNER_CARRY_LAST, NETTED_EVENT)

#: Arrays with few rows, whatever the limits: they are moved whole.
_WHOLE = (
    *("engine", "rules", "stages", "assets", "markets", "tiers", "house", "other_balances", "gauges", "changes", "funds", "breakers"),
    *("providers", "commitments", "offered", "joints"),
)
#: Arrays by account or owner, in their first or in their second dimension.
_BY_ACCOUNT = ("charge_markets", "pocket_markets", "account_assets", "accounts", "defaults", "debts", "fill_gauges")
_BY_ACCOUNT_SECOND = ("claims", "noted")
#: Arrays by row of ``positions``.
_BY_POSITION = (
    *("positions", "results", "links", "gaps", "carries", "left_parts", "relieved", "torn_lots", "taken_lots"),
    *("event_gains", "better_first"),
)
#: Arrays of which nothing was ever used that begin with NONE, not with 0.
_NONE_ARRAYS = ("charge_markets", "pocket_markets", "buckets")


class Part(NamedTuple):
    """A part of one array: its name in ``State.FIELDS``, and an index that assigns to it."""

    name: str
    index: Any


def blank_array(name: str, shape: tuple[int, ...], dtype: Any, accounts_max: int) -> NDArray[Any]:
    """Return an array of ``State`` of which nothing was used yet.

    Memory of the larger ones is not committed before it is written.
    """
    if name == "effects":
        return np.empty(shape, dtype=dtype)
    if name in _NONE_ARRAYS:
        return np.full(shape, NONE, dtype=dtype)
    array = np.zeros(shape, dtype=dtype)
    if name == "columns":
        for column in _NONE_COLUMNS:
            array[column, :accounts_max] = NONE
    return array


@kernel
def note_buckets(positions: NDArray[np.void], markets: NDArray[np.void], count: int, width: int, places: NDArray[np.int64]) -> int:
    """Fill ``places`` with the buckets that hold triggers of the first ``count`` positions, each once;
    return how many. ``width`` buckets are on a side.
    """
    found = 0
    for position in range(count):
        row = positions[position]
        for side in range(2):
            ticks = row.trigger_ticks[side]
            if ticks != 0 and row.trigger_prev[side] == NONE:
                places[found] = side * width + markets[row.market].bucket_first + bucket_of(ticks)
                found += 1
    return found


@kernel
def note_owner_rows(
    positions: NDArray[np.void],
    accounts: NDArray[np.void],
    markets: int,
    count: int,
    owner_lots: NDArray[np.int64],
    places: NDArray[np.int64],
) -> int:
    """Fill ``places`` with the rows of ``owner_lots`` of the owners of the first ``count`` positions;
    return how many.
    """
    found = 0
    for position in range(count):
        row = positions[position]
        if row.account >= 0:
            places[found] = owner_place(owner_lots, owner_key(accounts[row.account].owner, row.market, markets))
            found += 1
    return found


def used_parts(*states: Any) -> list[Part]:
    """Return the parts of the arrays that one of these states of the same shapes uses; whatever is in
    none of them is blank in all of them, or means nothing between two events.
    """
    first = states[0]
    accounts, positions, orders, fill_debts, waits, effects = (
        max(int(state.engine[0][name]) for state in states)
        for name in ("accounts_now", "positions_now", "next_order_id", "next_fill_debt", "waits_now", "effects_now")
    )
    # An account may name an owner above all accounts that are open.
    owners = (state.accounts["owner"][: int(state.engine[0].accounts_now)] for state in states)
    people = max(accounts, *(int(each.max(initial=NONE)) + 1 for each in owners))
    parts = [Part(name, ...) for name in _WHOLE]
    parts += [Part(name, slice(people)) for name in _BY_ACCOUNT]
    parts += [Part(name, (slice(None), slice(people))) for name in _BY_ACCOUNT_SECOND]
    parts += [Part(name, slice(positions)) for name in _BY_POSITION]
    # Numbers from 1 on go around.
    parts += [Part("orders", slice(min(orders, len(first.orders)))), Part("fill_debts", slice(min(fill_debts, len(first.fill_debts))))]
    parts += [Part("columns", (column, slice(people))) for column in KEPT]
    parts += [Part("columns", (column, slice(len(first.markets)))) for column in KEPT_BY_MARKET]
    parts += [Part("columns", (column, slice(waits))) for column in (WAIT_TIME, WAIT_ACCOUNT)]
    parts.append(Part("effects", slice(effects)))
    parts.append(Part("buckets", np.divmod(_united(map(_buckets_of, states)), first.buckets.shape[1])))
    if len(first.owner_lots) > 1:
        parts.append(Part("owner_lots", _united(map(_owner_rows_of, states))))
    return parts


def _united(found: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(list(found))


def _buckets_of(state: Any) -> NDArray[np.int64]:
    """Return the places of the buckets with triggers, both sides one after the other."""
    count = int(state.engine[0].positions_now)
    places = np.empty(2 * count, dtype=np.int64)
    return places[: int(note_buckets(state.positions, state.markets, count, state.buckets.shape[1], places))]


def _owner_rows_of(state: Any) -> NDArray[np.int64]:
    count = int(state.engine[0].positions_now)
    places = np.empty(count, dtype=np.int64)
    return places[: int(note_owner_rows(state.positions, state.accounts, len(state.markets), count, state.owner_lots, places))]
