"""Markets that are listed while the venue runs (R10.6)."""

from __future__ import annotations

from collections.abc import Iterator

from backstop.core.events import BreakerCause, EffectKind, Reject
from backstop.core.instruments import NOTIONAL_ATOMS_MAX
from backstop.core.parameter_table import replaced
from backstop.reference.breakers import mark_dirty
from backstop.reference.machine import TRADED, Breaker
from backstop.reference.records import Event
from backstop.reference.state import State

__all__ = ["delist", "is_closed", "list_market", "wrong_listing"]


def is_closed(state: State, market: int, time_ns: int) -> bool:
    """Nothing can happen in the market, whose rules can change: it is not listed, and where it was settled,
    that is an epoch ago.
    """
    breaker = state.breakers[market]
    is_over = breaker.settlement == TRADED or time_ns - breaker.settled_ns >= state.rules.epoch_ns
    return not state.rules.markets[market].is_listed and is_over


def wrong_listing(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Yield the checks of R10.6.4."""
    markets = state.rules.markets
    yield not 0 <= event.market < len(markets), Reject.UNKNOWN_MARKET
    asset = markets[event.market].settlement_asset
    counted = [each for number, each in enumerate(markets) if each.is_listed or number == event.market]
    total = sum(each.notional_max for each in counted if each.settlement_asset == asset)
    yield total > NOTIONAL_ATOMS_MAX, Reject.RULES_CONTRADICT
    yield not is_closed(state, event.market, event.time_ns), Reject.MARKET_LISTED


def delist(state: State, market: int) -> None:
    """A market is settled: it is not listed any more."""
    state.rules = replaced(state.rules, market, is_listed=0)
    state.breakers[market].settled_ns = state.now


def list_market(state: State, event: Event) -> None:
    """LISTING: the market is as it was when the engine began; only what its fund paid for it stays."""
    market = event.market
    state.rules = replaced(state.rules, market, is_listed=1)
    rules, paid = state.rules.markets[market], state.markets[market].paid
    state.markets[market] = state.new_market(market)
    state.markets[market].paid = paid
    state.notices.pop(market, None)
    state.emit(
        EffectKind.LISTING,
        market=market,
        other=rules.group,
        lots=rules.position_lots_max,
        price_ticks=rules.price_ticks_max,
        amount=rules.notional_factor,
    )
    state.breakers[market] = Breaker()
    state.breakers[market].levels[BreakerCause.DRAWDOWN] = state.peaks[rules.group].level
    mark_dirty(state, market)
