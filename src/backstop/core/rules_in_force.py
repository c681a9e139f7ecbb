"""The rules in force as a venue's rules: those of its file, as events have changed them (R10.1.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstop.core.events import Change, EffectArray, EffectKind, Settlement
from backstop.core.instruments import VenueRules
from backstop.core.kinds import ParameterEffect, SettlementEffect
from backstop.core.parameter_table import VENUE_GROUPS, Scope, changed, listed, replaced
from backstop.core.places import commitment_row
from backstop.core.state import State

__all__ = ["effects_of_rules", "rules_after", "rules_in_force"]


def _with_row(group: Any, row: Any, scope: Scope) -> Any:
    """Return a group of rules with the values of its row."""
    return group._replace(**{each.parameter.name: type(getattr(group, each.parameter.name))(row[each.field]) for each in listed(scope)})


def _venue(rules: VenueRules, row: Any) -> VenueRules:
    own = listed(Scope.VENUE)
    for field, _, _ in VENUE_GROUPS:
        group: Any = getattr(rules, field) if field else rules
        values = {each.parameter.name: each.field for each in own if each.group == field}
        group = group._replace(**{name: type(getattr(group, name))(row[column]) for name, column in values.items()})
        rules = rules._replace(**{field: group}) if field else group
    return rules


def rules_in_force(rules: VenueRules, state: State) -> VenueRules:
    """Return the rules that a state goes by; ``rules`` are those that it began with."""
    markets = []
    for market, row in zip(rules.markets, state.markets, strict=True):
        first = int(row.tier_first)
        tiers = tuple(_with_row(tier, state.tiers[first + place], Scope.TIER) for place, tier in enumerate(market.tiers))
        markets.append(_with_row(market, row, Scope.MARKET)._replace(tiers=tiers))
    providers = []
    for number, provider in enumerate(rules.providers):
        commitments = tuple(
            tuple(
                _with_row(commitment, state.commitments[int(commitment_row(number, group, side))], Scope.COMMITMENT)
                for side, commitment in enumerate(pair)
            )
            for group, pair in enumerate(provider.commitments)
        )
        providers.append(_with_row(provider, state.providers[number], Scope.PROVIDER)._replace(commitments=commitments))
    return _venue(rules, state.rules[0])._replace(
        assets=tuple(_with_row(asset, state.assets[number], Scope.ASSET) for number, asset in enumerate(rules.assets)),
        markets=tuple(markets),
        funds=tuple(_with_row(fund, state.funds[group], Scope.GROUP) for group, fund in enumerate(rules.funds)),
        providers=tuple(providers),
    )


def effects_of_rules(effects: EffectArray) -> EffectArray:
    """Return those effects after which other rules are in force: of changes that took effect, of markets
    that are listed, and of those that are settled and listed no more (R6.14.8).
    """
    kind = effects["kind"]
    if not np.isin(kind, (EffectKind.PARAMETER, EffectKind.LISTING, EffectKind.SETTLEMENT)).any():
        return effects[:0]
    is_one = (kind == EffectKind.PARAMETER) & (effects[ParameterEffect.status.column] == Change.APPLIED)
    is_one |= kind == EffectKind.LISTING
    is_one |= (kind == EffectKind.SETTLEMENT) & (effects[SettlementEffect.source.column] == Settlement.DONE)
    return effects[is_one]


def rules_after(rules: VenueRules, effects: EffectArray) -> VenueRules:
    """Return the rules in force after effects; ``rules`` are those before them.

    It gives what ``rules_in_force`` gives of the state that the engine then has, and needs no state.
    """
    for row in effects_of_rules(effects):
        if row["kind"] == EffectKind.PARAMETER:
            change = ParameterEffect[int](row)
            place = {"market": change.market, "entry": change.entry, "part": change.part}
            rules = changed(rules, change.number, **place, value=change.new_value)
        else:
            rules = replaced(rules, int(row["market"]), is_listed=int(row["kind"] == EffectKind.LISTING))
    return rules
