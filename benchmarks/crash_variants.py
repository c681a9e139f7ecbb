"""The same crash on a venue without its providers, without its breakers, or without either.

A variant is the resolved venue file with sections switched, read again as any file is: what is
compared is what somebody could configure.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from backstop.config import Venue, parse_venue
from backstop.config.render import venue_toml

__all__ = ["VARIANTS", "Variant", "variant_of", "without_breakers", "without_guard", "without_providers"]

Resolved = dict[str, Any]

#: Thresholds of the file's breakers, each off at 0.
_THRESHOLDS = ("price_throttle_ppm", "price_halt_ppm", "price_exit_ppm", "flow_throttle", "flow_halt")
#: Breakers that are off where their key is left out.
_LEFT_OUT = ("stale", "outage_gap")


def without_providers(resolved: Resolved) -> Resolved:
    """Return a venue whose waterfall has no takeover, and so no providers either."""
    changed = copy.deepcopy(resolved)
    changed["waterfall"] = [stage for stage in changed["waterfall"] if stage["stage"] != "takeover"]
    changed.pop("provider", None)
    return changed


def without_breakers(resolved: Resolved) -> Resolved:
    """Return a venue whose breakers have no threshold; the price guard stays, and so does the halt
    for what nobody paid.
    """
    changed = copy.deepcopy(resolved)
    breakers = changed["breakers"]
    breakers |= {name: "0" if name.startswith("flow") else 0 for name in _THRESHOLDS}
    for name in _LEFT_OUT:
        breakers.pop(name, None)
    for stage in changed["waterfall"]:
        if stage["stage"] == "fund":
            stage |= {"drawdown_enter_ppm": 0, "drawdown_exit_ppm": 0}
    for market in changed["market"]:
        own = market.get("breaker", {})
        market["breaker"] = {name: value for name, value in own.items() if name not in _THRESHOLDS}
    return changed


def without_guard(resolved: Resolved) -> Resolved:
    """Return a venue that believes every mark."""
    changed = copy.deepcopy(resolved)
    changed["guard"]["jump_ppm"] = 0
    for market in changed["market"]:
        market.get("breaker", {}).pop("guard_jump_ppm", None)
    return changed


def variant_of(venue: Venue, change: Callable[[Resolved], Resolved], name: str) -> Venue:
    """Return a venue changed and read again."""
    return parse_venue(venue_toml(change(venue.resolved)), f"{venue.name}, {name}")


def _without_either(resolved: Resolved) -> Resolved:
    return without_breakers(without_providers(resolved))


class Variant(NamedTuple):
    """One way to run a crash."""

    name: str
    impact: bool
    #: From the resolved venue to the one that is run; None: as it is.
    change: Callable[[Resolved], Resolved] | None

    def venue(self, venue: Venue) -> Venue:
        """Return the venue of this variant."""
        if self.change is None:
            return venue
        return variant_of(venue, self.change, self.name)


VARIANTS = (
    Variant("impact off", False, None),
    Variant("impact on", True, None),
    Variant("no providers", False, without_providers),
    Variant("no breakers", False, without_breakers),
    Variant("neither", False, _without_either),
)
