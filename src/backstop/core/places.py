"""Where a thing stands in the arrays of ``State``: its row, its slot, the bucket of a price."""

from __future__ import annotations

from backstop.compiled import inlined
from backstop.core.events import GROUPS_MAX, clearing_of, fund_of

__all__ = [
    "BUCKET_BITS",
    "HOUSE_ROWS",
    "bucket_of",
    "clearing_id",
    "commitment_row",
    "error_inventory_row",
    "fund_id",
    "house_slot",
    "outside_row",
]

#: Bits of mantissa of a price bucket: a bucket is 1/4096 to 1/8192 of the price wide.
BUCKET_BITS = 12

#: Positions of the house per market, before all others: OUTSIDE, then error_inventory.
HOUSE_ROWS = 2


@inlined
def house_slot(ledger_id: int) -> int:
    """Return the place of a house ledger account in ``State.house``."""
    return -2 - ledger_id


#: Ledger ids, for kernels: ``events.fund_of`` and its kin are plain, for rooms without kernels.
fund_id, clearing_id = inlined(fund_of), inlined(clearing_of)


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
