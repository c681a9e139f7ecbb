"""Words for the states and causes of breakers, and the ledger ids of the funds."""

from __future__ import annotations

from backstop.config import Venue
from backstop.core.events import BreakerCause, BreakerState, fund_of

__all__ = ["BREAKER_CAUSES", "BREAKER_STATES", "fund_ids"]

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


def fund_ids(venue: Venue) -> tuple[int, ...]:
    """Return the ledger ids of the venue's insurance funds: one a market group."""
    return tuple(fund_of(group) for group in range(len(venue.rules.funds)))
