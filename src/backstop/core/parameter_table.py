"""All rules that are numbers, by the number that names them, and where each of them stands (R10).

Data only: the reference and readers of a tape use it as kernels do.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, NamedTuple, assert_never

from backstop.core.events import NONE
from backstop.core.instruments import (
    AdlRules,
    AssetRules,
    BreakerRules,
    CloseoutRules,
    CommitmentRules,
    DisposalRules,
    FundRules,
    FundsRules,
    LevelRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TakeoverRules,
    TierRules,
    VenueRules,
)
from backstop.core.parameters import Parameter, parameters_of

__all__ = [
    "CHANGES_MAX",
    "PARAMETERS",
    "VENUE_GROUPS",
    "Difference",
    "ListedRule",
    "Scope",
    "changed",
    "differences",
    "digested",
    "listed",
    "replaced",
    "value_at",
    "values_of",
    "venue_digest_values",
    "venue_digested",
    "venue_values",
]

#: Most changes that wait for their time.
CHANGES_MAX = 256


class Scope(IntEnum):
    """Whose rule a rule is."""

    VENUE = 1
    MARKET = 2
    TIER = 3
    GROUP = 4
    PROVIDER = 5
    COMMITMENT = 6
    ASSET = 7


#: Groups of the venue's rules: field of ``VenueRules`` (empty: itself), and what stands before a
#: name where rows and readers need it apart.
VENUE_GROUPS: tuple[tuple[str, Any, str], ...] = (
    ("limits", LimitRules, ""),
    ("", VenueRules, ""),
    ("levels", LevelRules, ""),
    ("closeout", CloseoutRules, ""),
    ("fund", FundsRules, ""),
    ("takeover", TakeoverRules, ""),
    ("disposal", DisposalRules, "disposal_"),
    ("breakers", BreakerRules, ""),
    ("adl", AdlRules, ""),
)
_OTHER_GROUPS: tuple[tuple[Scope, Any], ...] = (
    (Scope.ASSET, AssetRules),
    (Scope.MARKET, MarketRules),
    (Scope.TIER, TierRules),
    (Scope.GROUP, FundRules),
    (Scope.PROVIDER, ProviderRules),
    (Scope.COMMITMENT, CommitmentRules),
)


class ListedRule(NamedTuple):
    """A rule, whose it is, and where it stands."""

    parameter: Parameter
    scope: Scope
    #: Of a rule of the venue: the field of ``VenueRules`` that holds its group; empty: none does.
    group: str
    #: Its name among all rules of its scope: the field of its row.
    field: str

    @property
    def number(self) -> int:
        """The number that names it."""
        return self.parameter.number

    @property
    def key(self) -> str:
        """Its name as people read it: whose it is, and what it is called there."""
        return f"{self.group or self.scope.name.lower()}.{self.parameter.name}"


def _listed() -> dict[int, ListedRule]:
    rules = [
        ListedRule(parameter, Scope.VENUE, group, prefix + parameter.name)
        for group, kind, prefix in VENUE_GROUPS
        for parameter in parameters_of(kind)
    ]
    rules += [ListedRule(parameter, scope, "", parameter.name) for scope, kind in _OTHER_GROUPS for parameter in parameters_of(kind)]
    rules.sort(key=lambda each: each.number)
    return {each.number: each for each in rules}


#: Every rule that is a number, by its number, in that order.
PARAMETERS: MappingProxyType[int, ListedRule] = MappingProxyType(_listed())


def listed(scope: Scope) -> tuple[ListedRule, ...]:
    """Return the rules of a scope, in order of number."""
    return tuple(each for each in PARAMETERS.values() if each.scope == scope)


def values_of(group: Any, scope: Scope) -> tuple[int, ...]:
    """Return the rules of one asset, market, tier, fund, provider or commitment, in order of number."""
    return tuple(int(getattr(group, each.parameter.name)) for each in listed(scope))


def venue_digested() -> tuple[ListedRule, ...]:
    """Return the rules in the digest's row of the venue: its own, of which limits of rows are capacity and
    not conduct, and those of its first asset.
    """
    return tuple(each for each in PARAMETERS.values() if each.scope in (Scope.VENUE, Scope.ASSET) and each.group != "limits")


def venue_digest_values(rules: VenueRules) -> tuple[int, ...]:
    """Return the digest's row of the venue, in order of number."""
    own = venue_values(rules) | {each.field: int(getattr(rules.assets[0], each.parameter.name)) for each in listed(Scope.ASSET)}
    return tuple(own[each.field] for each in venue_digested())


def digested(scope: Scope) -> tuple[ListedRule, ...]:
    """Return the rules of another scope that its rows in the digest have: not the asset, which never
    changes and has a block of its own.
    """
    return tuple(each for each in listed(scope) if each.parameter.name not in ("asset", "settlement_asset"))


def venue_values(rules: VenueRules) -> dict[str, int]:
    """Return the venue's own rules by name, in order of number."""
    values = {}
    for each in listed(Scope.VENUE):
        group = getattr(rules, each.group) if each.group else rules
        values[each.field] = int(getattr(group, each.parameter.name))
    return values


class Difference(NamedTuple):
    """A rule that two venues have with different values, and its place (R10.2.1)."""

    rule: ListedRule
    market: int
    entry: int
    part: int
    old_value: int
    new_value: int


def _places_of(rules: VenueRules) -> Iterator[tuple[Scope, int, int, int, Any]]:
    """Yield every group of numbers that is not the venue's own: scope, market, entry, part, group."""
    for asset, row in enumerate(rules.assets):
        yield Scope.ASSET, NONE, asset, 0, row
    for number, market in enumerate(rules.markets):
        yield Scope.MARKET, number, 0, 0, market
        for tier, bracket in enumerate(market.tiers):
            yield Scope.TIER, number, tier, 0, bracket
    for group, fund in enumerate(rules.funds):
        yield Scope.GROUP, NONE, group, 0, fund
    for number, provider in enumerate(rules.providers):
        yield Scope.PROVIDER, NONE, number, 0, provider
        for part, commitment in enumerate(each for pair in provider.commitments for each in pair):
            yield Scope.COMMITMENT, NONE, number, part, commitment


def differences(old: VenueRules, new: VenueRules) -> Iterator[Difference]:
    """Yield every number in which two venues differ.

    Raises ``ValueError`` where one has a market, tier, group or provider that the other has not.
    """
    before, after = venue_values(old), venue_values(new)
    for each in listed(Scope.VENUE):
        if before[each.field] != after[each.field]:
            yield Difference(each, NONE, 0, 0, before[each.field], after[each.field])
    pairs = zip_longest(_places_of(old), _places_of(new), fillvalue=None)
    for one, other in pairs:
        if one is None or other is None or one[:4] != other[:4]:
            place = other or one
            assert place is not None
            raise ValueError(f"{place[0].name.lower()} {place[1:4]}: only one of the venues has it")
        scope, market, entry, part, group = one
        values = zip(listed(scope), values_of(group, scope), values_of(other[4], scope), strict=True)
        for each, mine, theirs in values:
            if mine != theirs:
                yield Difference(each, market, entry, part, mine, theirs)


def _at(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place + 1 :])


def replaced(rules: VenueRules, market: int, **values: Any) -> VenueRules:
    """Return the rules with some of a market's replaced."""
    return rules._replace(markets=_at(rules.markets, market, rules.markets[market]._replace(**values)))


def value_at(rules: VenueRules, number: int, *, market: int = 0, entry: int = 0, part: int = 0) -> int:
    """Return what one of the rules is at its place (R10.2.1).

    Raises ``KeyError`` where no rule has the number, and ``IndexError`` where there is no such place.
    """
    rule = PARAMETERS[number]
    group: Any
    match rule.scope:
        case Scope.VENUE:
            group = getattr(rules, rule.group) if rule.group else rules
        case Scope.ASSET:
            group = rules.assets[entry]
        case Scope.GROUP:
            group = rules.funds[entry]
        case Scope.MARKET:
            group = rules.markets[market]
        case Scope.TIER:
            group = rules.markets[market].tiers[entry]
        case Scope.PROVIDER:
            group = rules.providers[entry]
        case Scope.COMMITMENT:
            group = rules.providers[entry].commitments[part // 2][part % 2]
        case _:
            assert_never(rule.scope)
    return int(getattr(group, rule.parameter.name))


def changed(rules: VenueRules, number: int, *, market: int = 0, entry: int = 0, part: int = 0, value: int = 0) -> VenueRules:
    """Return the rules with one of them changed; what holds between rules is not looked at.

    ``market``, ``entry`` and ``part`` are its place (R10.2.1). Raises ``KeyError`` where no rule has
    the number, and ``IndexError`` where there is no such place.
    """
    rule = PARAMETERS[number]
    one: dict[str, Any] = {rule.parameter.name: value}
    match rule.scope:
        case Scope.VENUE:
            own = {rule.group: getattr(rules, rule.group)._replace(**one)} if rule.group else one
            return rules._replace(**own)
        case Scope.ASSET:
            return rules._replace(assets=_at(rules.assets, entry, rules.assets[entry]._replace(**one)))
        case Scope.GROUP:
            return rules._replace(funds=_at(rules.funds, entry, rules.funds[entry]._replace(**one)))
        case Scope.MARKET | Scope.TIER:
            old = rules.markets[market]
            if rule.scope == Scope.TIER:
                one = {"tiers": _at(old.tiers, entry, old.tiers[entry]._replace(**one))}
            return rules._replace(markets=_at(rules.markets, market, old._replace(**one)))
        case Scope.PROVIDER | Scope.COMMITMENT:
            provider = rules.providers[entry]
            if rule.scope == Scope.COMMITMENT:
                group, direction = divmod(part, 2)
                pair = provider.commitments[group]
                commitments = _at(provider.commitments, group, _at(pair, direction, pair[direction]._replace(**one)))
                one = {"commitments": commitments}
            return rules._replace(providers=_at(rules.providers, entry, provider._replace(**one)))
