"""The way from one venue file to another while the venue runs: PARAMETER events in an order in which
every step is allowed (R10.3.2), then LISTING of spare markets (R10.6).
"""

from __future__ import annotations

from typing import NamedTuple

from backstop.config.venue import Venue
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.parameter_table import Difference, Scope, changed, differences

__all__ = ["Way", "way_between"]


class Way(NamedTuple):
    """What leads from one venue to another, and what cannot."""

    #: Changes, in their order.
    steps: tuple[Difference, ...]
    #: Markets that are listed then.
    listings: tuple[int, ...]
    #: Rules that differ, and are fixed once a venue runs.
    fixed: tuple[Difference, ...]
    #: Changes of which none may come next: each contradicts another rule.
    stuck: tuple[Difference, ...]
    #: Differences that are no numbers, in words.
    others: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the changes lead all the way."""
        return not (self.fixed or self.stuck or self.others)


def _after(rules: VenueRules, step: Difference) -> VenueRules | None:
    """Return the rules after a change; None where they would contradict each other."""
    new = changed(rules, step.rule.number, market=step.market, entry=step.entry, part=step.part, value=step.new_value)
    try:
        check_rules(new)
    except ValueError:
        return None
    return new


def _listed_symbols(old: Venue, venue: Venue) -> list[tuple[int, str]]:
    """Return the markets of a venue that were listed in the old one."""
    return [
        (number, market.symbol)
        for number, market in enumerate(venue.markets)
        if number < len(old.markets) and old.rules.markets[number].is_listed
    ]


def _may_change(old: VenueRules, each: Difference) -> bool:
    """Return whether a PARAMETER event can change a rule: a fixed one only of a market that is not listed."""
    is_of_market = each.rule.scope in (Scope.MARKET, Scope.TIER)
    return not each.rule.parameter.is_fixed or (is_of_market and not old.markets[each.market].is_listed)


def _others(old: Venue, new: Venue) -> tuple[str, ...]:
    """Name what differs and is no number."""
    pairs = {
        "asset": (old.assets, new.assets),
        "waterfall: the order of the stages": (old.rules.stages, new.rules.stages),
        "markets": (_listed_symbols(old, old), _listed_symbols(old, new)),
        "market groups": (old.groups, new.groups),
        "providers": ([provider.name for provider in old.providers], [provider.name for provider in new.providers]),
    }
    found = [name for name, (before, after) in pairs.items() if before != after]
    for number, (before, after) in enumerate(zip(old.rules.markets, new.rules.markets, strict=False)):
        if before.band_offset_ppm != after.band_offset_ppm:
            found.append(f"market[{number}].band_offset_ppm")
    for number, (one, other) in enumerate(zip(old.markets, new.markets, strict=False)):
        if not old.rules.markets[number].is_listed:
            # Its rules can be any: names and grid are those of the new file.
            continue
        grids = ((each.price_tick, each.quantity_lot, each.contract_size) for each in (one, other))
        if len(set(grids)) > 1:
            found.append(f"market[{number}]: price_tick, quantity_lot or contract_size, in which all its numbers count")
    return tuple(found)


def way_between(old: Venue, new: Venue) -> Way:
    """Return the changes that lead from one venue to another.

    A change that contradicts a rule waits until the others have moved that one. Raises
    ``ValueError`` where one has a market, tier, group or provider that the other has not.
    """
    found = list(differences(old.rules, new.rules))
    listings = tuple(each.market for each in found if each.rule.parameter.name == "is_listed" and each.new_value)
    found = [each for each in found if not (each.rule.parameter.name == "is_listed" and each.new_value)]
    fixed = tuple(each for each in found if not _may_change(old.rules, each))
    left = [each for each in found if _may_change(old.rules, each)]
    steps: list[Difference] = []
    rules, is_moving = old.rules, True
    while left and is_moving:
        is_moving = False
        for step in list(left):
            after = _after(rules, step)
            if after is not None:
                rules, is_moving = after, True
                steps.append(step)
                left.remove(step)
    return Way(tuple(steps), listings, fixed, tuple(left), _others(old, new))
