"""Disposal: the venue vault sells what it took over, a share at a time, within the same limits of
the book as closeout.

Rules: docs/rules.md, section 6.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.doubt import is_doubted
from backstop.core.events import NONE, Health
from backstop.core.orders import is_place_free, open_order
from backstop.core.outbox import emit_order
from backstop.core.rows import DISPOSAL_ORDER
from backstop.core.state import State
from backstop.core.units import mul_div_ceil
from backstop.core.waits import wait_for_disposal
from backstop.core.waterfall.closeout import book_lots, book_side, count_ordered, slice_lots, tolerance_ticks

__all__ = ["dispose"]

_PPM = 1_000_000


@kernel
def _dispose_position(state: State, position: int) -> None:
    row, rules = state.positions[position], state.rules[0]
    side = book_side(row.lots)
    base = 0 if is_doubted(state, row.market) else slice_lots(state, row.market, side)
    if base <= 0:
        return
    whole = abs(row.lots)
    lots = min(book_lots(state, row.account, row.market, side, base), max(1, mul_div_ceil(whole, rules.disposal_share_ppm, _PPM)), whole)
    if lots <= 0:
        return
    is_sell = row.lots > 0
    limit = tolerance_ticks(state, row.market, is_sell, rules.disposal_tolerance_ppm)
    order = state.orders[open_order(state, position, DISPOSAL_ORDER, -lots if is_sell else lots, limit, 0)]
    emit_order(
        state,
        order_id=order.id,
        account=row.account,
        market=row.market,
        lots=order.lots,
        limit_ticks=limit,
        zero_cash=0,
        reserved=0,
    )
    count_ordered(state, position, lots)


@kernel
def dispose(state: State, account: int) -> None:
    """Send the next slice of the vault's inventory to the book, if ``account`` is the vault's and
    is not in default.
    """
    vault = state.rules[0].vault
    if vault == NONE or state.providers[vault].account != account or state.accounts[account].health >= Health.DISTRESSED:
        return
    holds = False
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            holds = True
            if not is_place_free(state):
                break
            _dispose_position(state, position)
        position = row.next_of_account
    if holds:
        wait_for_disposal(state, account)
