"""The way from one venue file to another while the venue runs: PARAMETER events in an order in which
every step is allowed (R10.3.2), then LISTING of spare markets (R10.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from backstop.config.venue import Venue
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.parameter_table import Difference, Scope, changed, differences

__all__ = ["Renamed", "Way", "way_between"]


class Renamed(NamedTuple):
    """A spare place that has another symbol in the new file: the market that is to be listed there."""

    market: int
    old: str
    new: str


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
    #: Spare markets that get another symbol.
    renamed: tuple[Renamed, ...] = ()

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


def _places(old: Venue, new: Venue) -> Iterator[str]:
    """Name the markets and tiers that only one of the venues has, and listed markets of another name."""
    for number, (before, after) in enumerate(zip_longest(old.markets, new.markets)):
        if before is None and after is not None:
            yield (
                f"market[{number}] ({after.symbol}): only the new file has it. A market that is to be listed needs a spare place"
                " (`listed = false`) in the file that the venue started with"
            )
        elif after is None and before is not None:
            yield (
                f"market[{number}] ({before.symbol}): only the old file has it. A SETTLEMENT event ends a market,"
                " and its place stays: keep it in the new file"
            )
        elif before is not None and after is not None:
            if before.symbol != after.symbol and old.rules.markets[number].is_listed:
                yield f"market[{number}].symbol: {before.symbol} becomes {after.symbol}"
            tiers, tiers_after = len(old.rules.markets[number].tiers), len(new.rules.markets[number].tiers)
            if tiers != tiers_after:
                yield (
                    f"market[{number}].tiers ({before.symbol}): {tiers} in the old file, {tiers_after} in the new."
                    " Their number stays: where fewer are needed, give several the same rates"
                )


class _Elsewhere(NamedTuple):
    """Places that stand for another market, group or provider in the new file: their numbers are not compared."""

    markets: frozenset[int]
    groups: frozenset[int]
    providers: frozenset[int]

    @classmethod
    def of(cls, old: Venue, new: Venue) -> _Elsewhere:
        """Compare names, of markets those that are listed."""

        def differ(before: Sequence[str], after: Sequence[str]) -> frozenset[int]:
            return frozenset(place for place, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])

        markets = differ([each.symbol for each in old.markets], [each.symbol for each in new.markets])
        providers = differ([each.name for each in old.providers], [each.name for each in new.providers])
        listed = frozenset(place for place in markets if old.rules.markets[place].is_listed)
        return cls(listed, differ(old.groups, new.groups), providers)

    def has(self, each: Difference) -> bool:
        """Return whether a difference is of such a place."""
        if each.rule.scope in (Scope.MARKET, Scope.TIER):
            return each.market in self.markets
        if each.rule.scope == Scope.GROUP:
            return each.entry in self.groups
        if each.rule.scope == Scope.COMMITMENT:
            return each.entry in self.providers or each.part // 2 in self.groups
        return each.rule.scope == Scope.PROVIDER and each.entry in self.providers


def _cut(rules: VenueRules, other: VenueRules) -> VenueRules:
    """Return the rules without the markets, tiers, groups and providers that the other venue has not."""
    return rules._replace(
        markets=tuple(one._replace(tiers=one.tiers[: len(two.tiers)]) for one, two in zip(rules.markets, other.markets, strict=False)),
        funds=rules.funds[: len(other.funds)],
        providers=tuple(
            one._replace(commitments=one.commitments[: len(two.commitments)])
            for one, two in zip(rules.providers, other.providers, strict=False)
        ),
    )


def _may_change(old: VenueRules, each: Difference) -> bool:
    """Return whether a PARAMETER event can change a rule: a fixed one only of a market that is not listed."""
    is_of_market = each.rule.scope in (Scope.MARKET, Scope.TIER)
    return not each.rule.parameter.is_fixed or (is_of_market and not old.markets[each.market].is_listed)


def _others(old: Venue, new: Venue) -> tuple[str, ...]:
    """Name what differs and is no number."""
    pairs = {
        "asset": (old.assets, new.assets),
        "waterfall: the order of the stages": (old.rules.stages, new.rules.stages),
    }
    found = [name for name, (before, after) in pairs.items() if before != after]
    names = {
        "market groups": (old.groups, new.groups),
        "providers": ([provider.name for provider in old.providers], [provider.name for provider in new.providers]),
    }
    for what, (listed, listed_after) in names.items():
        if list(listed) != list(listed_after):
            found.append(f"{what}: {', '.join(listed) or 'none'} become {', '.join(listed_after) or 'none'}")
    found.extend(_places(old, new))
    elsewhere = _Elsewhere.of(old, new).markets
    for number, (before, after) in enumerate(zip(old.rules.markets, new.rules.markets, strict=False)):
        if number not in elsewhere and before.band_offset_ppm != after.band_offset_ppm:
            found.append(f"market[{number}].band_offset_ppm")
    for number, (one, other) in enumerate(zip(old.markets, new.markets, strict=False)):
        if number in elsewhere or not old.rules.markets[number].is_listed:
            # Of a spare market the rules can be any: names and grid are those of the new file.
            continue
        grids = ((each.price_tick, each.quantity_lot, each.contract_size) for each in (one, other))
        if len(set(grids)) > 1:
            found.append(f"market[{number}]: price_tick, quantity_lot or contract_size, in which all its numbers count")
    return tuple(found)


def way_between(old: Venue, new: Venue) -> Way:
    """Return the changes that lead from one venue to another.

    A change that contradicts a rule waits until the others have moved that one. What only one of
    them has (a market, a tier, a group, a provider) is named in ``others``.
    """
    elsewhere = _Elsewhere.of(old, new)
    found = [each for each in differences(_cut(old.rules, new.rules), _cut(new.rules, old.rules)) if not elsewhere.has(each)]
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
    return Way(tuple(steps), listings, fixed, tuple(left), _others(old, new), tuple(_renamed(old, new)))


def _renamed(old: Venue, new: Venue) -> Iterator[Renamed]:
    """Yield the spare markets of the old file that have another symbol in the new one."""
    for number, (before, after) in enumerate(zip(old.markets, new.markets, strict=False)):
        if before.symbol != after.symbol and not old.rules.markets[number].is_listed:
            yield Renamed(number, before.symbol, after.symbol)
