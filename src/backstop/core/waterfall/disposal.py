"""Disposal: the venue vault, and a provider that is stopped, sell what they hold, a share at a time,
out of what the slices of defaulters leave of the book.

Rules: R6.7.13.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.doubt import is_doubted
from backstop.core.events import NONE, Health, ProviderStatus
from backstop.core.orders import is_place_free, open_order
from backstop.core.outbox import emit_order, is_crowded
from backstop.core.rows import DISPOSAL_ORDER
from backstop.core.state import State
from backstop.core.units import mul_div_ceil
from backstop.core.waits import provider_of
from backstop.core.waterfall.closeout import (
    book_side,
    count_ordered,
    least_order,
    lots_by_caps,
    lots_left,
    lots_with_minimum,
    slice_lots,
    tolerance_ticks,
)
from backstop.core.waterfall.providers import update_status

__all__ = ["note_disposal", "run_disposals"]

_PPM = 1_000_000


@kernel
def _dispose_position(state: State, position: int) -> None:
    row, rules = state.positions[position], state.rules[0]
    side = book_side(row.lots)
    base = 0 if is_doubted(state, row.market) else slice_lots(state, position, False)
    if base <= 0:
        return
    market, whole = state.markets[row.market], abs(row.lots)
    cap = min(lots_left(state, position, base, market.pending_lots[side] + market.disposed_lots[side]), lots_by_caps(state, position))
    if cap < least_order(state, position):
        return
    share = max(1, mul_div_ceil(whole, rules.disposal_share_ppm, _PPM))
    lots = min(lots_with_minimum(state, position, share), cap)
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
def _dispose(state: State, provider: int) -> None:
    row = state.providers[provider]
    if state.accounts[row.account].health >= Health.DISTRESSED or is_crowded(state):
        return
    update_status(state, provider)
    if row.is_vault == 0 and row.status != ProviderStatus.STOPPED:
        return
    position = state.accounts[row.account].first_position
    while position != NONE:
        if state.positions[position].lots != 0:
            if not is_place_free(state):
                return
            _dispose_position(state, position)
        position = state.positions[position].next_of_account


@kernel
def note_disposal(state: State, account: int) -> None:
    """Note that a provider may sell at the end of the event, if the account is one's."""
    provider = provider_of(state, account)
    if provider != NONE and state.providers[provider].is_due == 0:
        state.providers[provider].is_due = 1
        state.engine[0].disposals_now += 1


@kernel
def run_disposals(state: State) -> None:
    """Let the providers noted send the next slice of their inventory to the book, once no defaulter
    is on its way.
    """
    for provider in range(state.rules[0].providers):
        if state.providers[provider].is_due != 0:
            state.providers[provider].is_due = 0
            _dispose(state, provider)
    state.engine[0].disposals_now = 0
