"""Words for the states and causes of breakers."""

from __future__ import annotations

from backstop.core.events import BreakerCause, BreakerState

__all__ = ["BREAKER_CAUSES", "BREAKER_STATES"]

BREAKER_STATES = {int(state): state.name.lower() for state in BreakerState}
BREAKER_CAUSES = {
    int(BreakerCause.PRICE): "price",
    int(BreakerCause.FLOW): "flow",
    int(BreakerCause.DRAWDOWN): "fund drawdown",
    int(BreakerCause.STALE): "stale price",
    int(BreakerCause.OPERATOR): "operator",
    int(BreakerCause.OUTAGE): "outage",
    int(BreakerCause.DEFICIT): "uncovered deficit",
    int(BreakerCause.INDEX): "distance from the index",
}
