"""The rules that changed while the run lasted: every figure goes by those that were in force at its
moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from backstop.core.contract_terms import ContractKind
from backstop.core.events import AdlPolicy, InitialMargin, SocialisePolicy
from backstop.core.parameter_table import Scope
from backstop.core.parameters import NO_CAP, Unit
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import section, table
from backstop.report.words import clock, count, grouped, money, price, quantity, span_text, symbol_short
from backstop.runs.rule_changes import RuleChange

__all__ = ["change_words", "rules"]

#: Changes that the page tells one by one.
_SHOWN_MAX = 60
_CODES: dict[str, type[IntEnum]] = {
    "venue.adl_policy": AdlPolicy,
    "venue.socialise_policy": SocialisePolicy,
    "market.initial_margin": InitialMargin,
    "market.contract_kind": ContractKind,
}


def rules(gathering: Gathering) -> Html | None:
    """Return each rule that changed, when, from what to what; None where none did."""
    changes = gathering.rule_changes.all
    if not changes:
        return None
    words = tag(
        "p",
        "The venue file gives the rules at the beginning. These changed while the run lasted; each figure of this page goes by the rules"
        f" that were in force at its moment. Money is in {gathering.venue.asset.name}.",
    )
    rows = [
        (clock(each.time_ns), f"{each.seq:,}", tag("code", each.rule.key), _place(gathering, each), *_values(gathering, each))
        for each in changes[:_SHOWN_MAX]
    ]
    shown = table(("Time", "seq", "rule", "of", "was", "became"), rows, numbers=(1, 4, 5))
    left = len(changes) - _SHOWN_MAX
    more = tag("p", count(left), " later changes are left out: ", tag("code", "backstop journal rules"), " has all.", class_="quiet")
    return section("rules", "Rules that changed", words, shown, more if left > 0 else None)


def change_words(gathering: Gathering, changes: Sequence[RuleChange]) -> list[Html]:
    """Say each change in a few words, where its market or provider is named already: what, from what to
    what, when.
    """
    said = []
    for each in changes:
        place, (old, new) = _part(gathering, each), _values(gathering, each)
        name = each.rule.parameter.name.removesuffix("_ppm").replace("_", " ")
        when = f" at {clock(each.time_ns)} (seq {each.seq:,})"
        said.append(join(name, f" of {place}" if place else "", " from ", old, " to ", new, when))
    return said


def _place(gathering: Gathering, change: RuleChange) -> str:
    """Say whose rule it is: empty where it is the venue's."""
    venue, whose = gathering.venue, ""
    if change.of_market is not None:
        whose = symbol_short(venue.markets[change.of_market], venue)
    elif change.of_provider is not None:
        whose = venue.providers[change.of_provider].name.removeprefix("provider:")
    elif change.rule.scope == Scope.GROUP:
        whose = venue.groups[change.entry]
    return ", ".join(filter(None, (whose, _part(gathering, change))))


def _part(gathering: Gathering, change: RuleChange) -> str:
    """Say of which part of a market or of a provider's commitments it is the rule: empty where it is of the
    whole.
    """
    if change.rule.scope == Scope.TIER:
        return f"tier {change.entry}"
    if change.rule.scope == Scope.COMMITMENT:
        group, direction = divmod(change.part, 2)
        return f"{gathering.venue.groups[group]}, {'shorts' if direction else 'longs'}"
    return ""


def _values(gathering: Gathering, change: RuleChange) -> tuple[Node, Node]:
    return _value(gathering, change, change.old_value), _value(gathering, change, change.new_value)


def _value(gathering: Gathering, change: RuleChange, value: int) -> Node:
    venue = gathering.venue
    if (codes := _CODES.get(change.rule.key)) is not None:
        return codes(value).name.lower()
    match change.rule.parameter.unit:
        case Unit.ATOMS:
            return "no cap" if value == NO_CAP else money(value, venue.asset)
        case Unit.PPM:
            return f"{value / 1e4:g} %"
        case Unit.NS:
            return span_text(value) if value % 10**9 == 0 and value else f"{value / 1e9:g} s"
        case Unit.LOTS:
            return quantity(value, venue.markets[change.market])
        case Unit.TICKS:
            return price(value, venue.markets[change.market])
        case Unit.FLAG:
            return "yes" if value else "no"
    return grouped(str(value))
