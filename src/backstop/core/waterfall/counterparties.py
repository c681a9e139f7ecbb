"""The other side of a defaulter's position: who holds it, and how lots close against it.

Shared by the stages in which counterparties take lots, ``adl`` and ``tear_up``.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.columns import (
    COUNTERPARTY_CASH,
    COUNTERPARTY_LOTS,
    COUNTERPARTY_POSITION,
    SORT_KEY,
    SORT_MERGE,
    SORT_ORDER,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.events import NONE, Health
from backstop.core.ledger import trade
from backstop.core.monitor import touch
from backstop.core.orders import cancel_excess
from backstop.core.places import error_inventory_row, outside_row
from backstop.core.sorting import sort_places
from backstop.core.state import State
from backstop.core.units import split_by_largest_remainder

__all__ = ["holders_of_side", "opposite_positions", "settle_counterparty", "share_cash", "trade_counterparty"]


@kernel
def opposite_positions(state: State, position: int, with_distressed: bool) -> int:
    """Gather the holders of the other side of a position into COUNTERPARTY_POSITION: accounts by
    id, then the house.

    Returns how many. Accounts that are DISTRESSED or worse only if asked for.
    """
    own = state.positions[position]
    return holders_of_side(state, own.market, -1 if own.lots > 0 else 1, with_distressed)


@kernel
def holders_of_side(state: State, market: int, sign: int, with_distressed: bool) -> int:
    """Gather the holders of one side of a market (``sign`` 1 long) as ``opposite_positions`` does."""
    rows = state.columns[COUNTERPARTY_POSITION]
    found = 0
    is_sorted = True
    other = state.markets[market].first_position
    while other != NONE:
        row = state.positions[other]
        if row.lots * sign > 0 and (with_distressed or state.accounts[row.account].health < Health.DISTRESSED):
            if found > 0 and state.positions[rows[found - 1]].account > row.account:
                is_sorted = False
            rows[found] = other
            found += 1
        other = row.next_of_market
    if not is_sorted:
        ids = state.columns[SORT_KEY]
        for place in range(found):
            ids[place] = state.positions[rows[place]].account
        order = state.columns[SORT_ORDER]
        sort_places(ids, order, state.columns[SORT_MERGE], found)
        for place in range(found):
            ids[place] = rows[place]
        for place in range(found):
            rows[place] = ids[order[place]]
    for house in (outside_row(market), error_inventory_row(market)):
        if state.positions[house].lots * sign > 0:
            rows[found] = house
            found += 1
    return found


@kernel
def share_cash(state: State, count: int, cash: int) -> None:
    """Split what a defaulter receives over the first ``count`` counterparties by their lots.

    Fills COUNTERPARTY_CASH with what each receives: of the opposite sign.
    """
    parts = state.columns[COUNTERPARTY_CASH]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    split_by_largest_remainder(abs(cash), state.columns[COUNTERPARTY_LOTS], parts, remainders, heap, count)
    if cash > 0:
        for place in range(count):
            parts[place] = -parts[place]


@kernel
def trade_counterparty(state: State, defaulter: int, sign: int, place: int, price_ticks: int, cause: int) -> None:
    """Trade one counterparty's part; ``sign`` is the side that the defaulter had."""
    position, lots = state.columns[COUNTERPARTY_POSITION, place], state.columns[COUNTERPARTY_LOTS, place]
    trade(state, position, sign * lots, state.columns[COUNTERPARTY_CASH, place], price_ticks, cause, defaulter)


@unit
def settle_counterparty(state: State, place: int) -> None:
    """Cancel what a counterparty's closing order now exceeds, and judge it; in default, lots of it
    were closed here.
    """
    position = state.columns[COUNTERPARTY_POSITION, place]
    account = state.positions[position].account
    if account >= 0:
        cancel_excess(state, position)
        touch(state, account)
        if state.accounts[account].health >= Health.DISTRESSED:
            state.positions[position].closed_in_default = 1
