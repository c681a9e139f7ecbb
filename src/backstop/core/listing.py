"""Markets that are listed while the venue runs (R10.6).

A market that is not listed has a row from the beginning, so that nothing grows. While it is closed
its rules can change; LISTING opens it, as a market is when the engine begins.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.breakers import set_drawdown
from backstop.core.contract_terms import ContractKind
from backstop.core.contracts import value_max
from backstop.core.events import NEVER_NS, NONE, Reject
from backstop.core.initial_rows import BREAKER_AT_FIRST
from backstop.core.instruments import NOTIONAL_ATOMS_MAX
from backstop.core.outbox import emit_listing
from backstop.core.rows import UNKNOWN_DEPTH
from backstop.core.rule_rows import is_closed
from backstop.core.state import State
from backstop.core.units import compare_products
from backstop.core.waits import wake_by

__all__ = ["apply_listing", "delist", "listing_refusal"]


@kernel
def _bound_left(state: State, market: int, left: int) -> int:
    """Return what the largest value of a position in a market leaves of a bound; below 0: nothing."""
    row = state.markets[market]
    if row.contract_kind == ContractKind.INVERSE:
        is_more = compare_products(row.position_lots_max, row.notional_factor, left, row.price_ticks_min) > 0
    else:
        is_more = row.position_lots_max > left // row.price_ticks_max // row.notional_factor
    if is_more:
        return -1
    return left - value_max(state, market, row.position_lots_max)


@kernel
def listing_refusal(state: State, market: int, time_ns: int) -> int:
    """Return why a market cannot be listed at a time, or 0."""
    left = _bound_left(state, market, NOTIONAL_ATOMS_MAX)
    for each in range(state.rules[0].markets):
        is_of_asset = state.markets[each].settlement_asset == state.markets[market].settlement_asset
        if left >= 0 and each != market and is_of_asset and state.markets[each].is_listed != 0:
            left = _bound_left(state, each, left)
    if left < 0:
        return Reject.RULES_CONTRADICT
    return 0 if is_closed(state, market, time_ns) else Reject.MARKET_LISTED


@kernel
def delist(state: State, market: int) -> None:
    """A market is settled: it is not listed any more."""
    state.markets[market].is_listed = 0
    state.breakers[market].settled_ns = state.engine[0].now_ns
    state.engine[0].rules_changed += 1


@kernel
def _begin_market(state: State, market: int) -> None:
    row = state.markets[market]
    row.mark_ticks = row.index_ticks = row.epoch_mark_ticks = 0
    row.epoch = row.volume_lots = NONE
    row.ordered_notional = 0
    row.funding_index = 0
    row.shift_ticks[0] = row.shift_ticks[1] = 0
    row.relief_ends_ns = NEVER_NS
    for side in range(2):
        for band in range(row.band_count):
            row.depth_lots[side, band] = UNKNOWN_DEPTH if row.reports_depth != 0 else 0


@kernel
def _begin_breaker(state: State, market: int) -> None:
    """Give the machine of a market the row that it had at the beginning; ``is_dirty`` belongs to the
    event, the thresholds of flow to the rules in force.
    """
    row = state.breakers[market]
    is_dirty = row.is_dirty
    state.breakers[market] = BREAKER_AT_FIRST[0]
    row.is_dirty = is_dirty
    row.flow_throttle, row.flow_halt = state.markets[market].flow_throttle, state.markets[market].flow_halt


@unit
def apply_listing(state: State, market: int) -> None:
    """List a market: nothing of what it was before stays, but what its fund paid for it."""
    row = state.markets[market]
    row.is_listed = 1
    state.engine[0].rules_changed += 1
    _begin_market(state, market)
    _begin_breaker(state, market)
    emit_listing(
        state,
        market=market,
        group=row.group,
        position_lots_max=row.position_lots_max,
        price_ticks_max=row.price_ticks_max,
        notional_factor=row.notional_factor,
    )
    set_drawdown(state, market, state.funds[row.group].drawdown_level, False)
    wake_by(state, state.engine[0].now_ns)
