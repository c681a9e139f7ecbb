"""Effects that not every version of the engine emits, by name, so that the page shows them where they are.

A kind that this version does not have is ``ABSENT``, which no effect carries. Words stand beside the codes
that the rules give to states and causes of breakers.
"""

from __future__ import annotations

from backstop.config import Venue
from backstop.core import events
from backstop.core.events import FUND, EffectKind

__all__ = ["ABSENT", "BREAKER", "BREAKER_CAUSES", "BREAKER_STATES", "HAIRCUT", "HALT", "PROVIDER", "TAKEOVER", "fund_ids"]

ABSENT = 0


def _kind(name: str) -> int:
    return int(EffectKind.__members__.get(name, ABSENT))


#: A market is halted and stays so: market, account whose default halted it.
HALT = _kind("HALT")
#: A breaker goes from one state to another: market (NONE: the venue), ``code`` new state, ``lots`` cause.
BREAKER = _kind("BREAKER")
#: A provider takes over: defaulter, market, ``lots`` change of the defaulter, ``price_ticks`` provider, ``amount`` cash, ``value`` support.
TAKEOVER = _kind("TAKEOVER")
#: ``account`` of provider ``other``.
PROVIDER = _kind("PROVIDER")
#: ``account`` pays ``amount`` towards the deficit of ``other``.
HAIRCUT = _kind("HAIRCUT")

BREAKER_STATES = ("open", "throttled", "halted", "reopening")
BREAKER_CAUSES = {1: "price", 2: "flow", 3: "fund drawdown", 4: "stale price", 5: "operator", 6: "outage", 7: "uncovered deficit"}


def fund_ids(venue: Venue) -> tuple[int, ...]:
    """Return the ledger ids of the venue's insurance funds: one, or one a market group."""
    fund_of = getattr(events, "fund_of", None)
    groups = len(getattr(venue.rules, "funds", ()))
    return tuple(int(fund_of(group)) for group in range(groups)) if fund_of is not None and groups else (FUND,)
