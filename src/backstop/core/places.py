"""Where a thing stands in the arrays of ``State``: its row, its slot, the bucket of a price."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.events import (
    FEES,
    GROUPS_MAX,
    NONE,
    REMAINDER,
    UNCOVERED_FIRST_GROUP,
    WORLD,
    clearing_of,
    fund_of,
    funding_of,
    uncovered_of,
)

__all__ = [
    "BUCKET_BITS",
    "HOUSE_ROWS",
    "OTHER_SLOTS",
    "arrears_gauge",
    "bucket_of",
    "clearing_id",
    "commitment_row",
    "error_inventory_row",
    "fund_gauge",
    "fund_id",
    "funding_id",
    "house_slot",
    "market_gauge",
    "other_slot",
    "outside_row",
    "owner_home",
    "owner_key",
    "owner_place",
    "uncovered_id",
]

#: Bits of mantissa of a price bucket: a bucket is 1/4096 to 1/8192 of the price wide.
BUCKET_BITS = 12

#: Odd; the multiples of it spread 32 bits of a key over the table of owners' lots.
_SPREAD = 0x1E3779B1

#: Positions of the house per market, before all others: OUTSIDE, then error_inventory.
HOUSE_ROWS = 2


@inlined
def house_slot(ledger_id: int) -> int:
    """Return the place of a house ledger account in ``State.house``: UNCOVERED of the groups above
    0 first, then the others in the order of their ids.
    """
    if ledger_id < UNCOVERED_FIRST_GROUP:
        return UNCOVERED_FIRST_GROUP - 1 - ledger_id
    return GROUPS_MAX - 3 - ledger_id


#: Ledger accounts with a balance in each asset.
OTHER_SLOTS = 3


@inlined
def other_slot(ledger_id: int) -> int:
    """Return the column of ``State.other_balances`` of WORLD, REMAINDER or FEES, or NONE of all others,
    which are in one asset.
    """
    if ledger_id == WORLD:
        return 0
    if ledger_id == REMAINDER:
        return 1
    return 2 if ledger_id == FEES else NONE


#: Ledger ids, for kernels: ``events.fund_of`` and its kin are plain, for rooms without kernels.
fund_id, clearing_id, uncovered_id = inlined(fund_of), inlined(clearing_of), inlined(uncovered_of)
funding_id = inlined(funding_of)


@inlined
def fund_gauge(group: int) -> int:
    """Return the row of ``State.gauges`` of all that a group's fund paid."""
    return group


@inlined
def arrears_gauge(group: int) -> int:
    """Return the row of ``State.gauges`` of what a group's fund paid as arrears."""
    return GROUPS_MAX + group


@inlined
def market_gauge(market: int) -> int:
    """Return the row of ``State.gauges`` of what its fund paid for a market."""
    return 2 * GROUPS_MAX + market


@inlined
def outside_row(market: int) -> int:
    """Return the row of ``State.positions`` that OUTSIDE has in a market."""
    return HOUSE_ROWS * market


@inlined
def error_inventory_row(market: int) -> int:
    """Return the row of ``State.positions`` that error_inventory has in a market."""
    return HOUSE_ROWS * market + 1


@inlined
def commitment_row(provider: int, group: int, direction: int) -> int:
    """Return the row of a commitment; ``direction`` 0 takes over longs, 1 shorts."""
    return (provider * GROUPS_MAX + group) * 2 + direction


@inlined
def owner_key(owner: int, market: int, markets: int) -> int:
    """Return the key of an owner and a market in ``State.owner_lots``; never 0."""
    return owner * markets + market + 1


@inlined
def owner_home(key: int, last: int) -> int:
    """Return the row of ``State.owner_lots`` at which the search for a key begins; ``last`` is the
    last row.
    """
    return ((key & 0xFFFFFFFF) * _SPREAD >> 12) & last


@kernel
def owner_place(owner_lots: NDArray[np.int64], key: int) -> int:
    """Return the row of a key in ``State.owner_lots``, or the free one that would be its own."""
    last = len(owner_lots) - 1
    place = owner_home(key, last)
    while owner_lots[place, 0] != key and owner_lots[place, 0] != 0:
        place = (place + 1) & last
    return place


@inlined
def bucket_of(price_ticks: int) -> int:
    """Return the bucket of a price: exact below 2^13 ticks, then 12 bits of mantissa."""
    shift = 0
    value = price_ticks >> (BUCKET_BITS + 1)
    if value >= 1 << 16:
        shift += 16
        value >>= 16
    if value >= 1 << 8:
        shift += 8
        value >>= 8
    if value >= 1 << 4:
        shift += 4
        value >>= 4
    if value >= 1 << 2:
        shift += 2
        value >>= 2
    if value >= 1 << 1:
        shift += 1
        value >>= 1
    shift += value
    return (shift << BUCKET_BITS) + (price_ticks >> shift)
