"""The rules that changed while a run lasted: which, when, from what to what."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import EffectKind
from backstop.core.kinds import ParameterEffect
from backstop.core.parameter_table import PARAMETERS, ListedRule, Scope, value_at
from backstop.core.rules_in_force import effects_of_rules, rules_after
from backstop.runs.fold import Fold, Reader

__all__ = ["RuleChange", "RuleChanges"]

#: The rule that LISTING and a settlement that is done change.
_IS_LISTED = next(each for each in PARAMETERS.values() if each.key == "market.is_listed")


class RuleChange(NamedTuple):
    """One rule that took another value."""

    seq: int
    time_ns: int
    rule: ListedRule
    #: Its place (R10.2.1).
    market: int
    entry: int
    part: int
    old_value: int
    new_value: int

    @property
    def of_market(self) -> int | None:
        """The market whose rule it is; None: it is of no market."""
        return self.market if self.rule.scope in (Scope.MARKET, Scope.TIER) else None

    @property
    def of_provider(self) -> int | None:
        """The provider whose rule it is; None: it is of no provider."""
        return self.entry if self.rule.scope in (Scope.PROVIDER, Scope.COMMITMENT) else None


class RuleChanges(Reader):
    """Follows every change that took effect, LISTING and the end of a market among them.

    A change to the value that a rule had already is none.
    """

    def __init__(self) -> None:
        #: In the order in which they took effect.
        self.all: list[RuleChange] = []

    def take_batch(self, fold: Fold) -> None:
        """Take the changes of a batch."""
        if fold.rules is fold.rules_before:
            return
        rules = fold.rules_before
        rows = effects_of_rules(fold.effects)
        for place, time_ns in enumerate(fold.time_ns(rows["seq"]).tolist()):
            row = rows[place : place + 1]
            rule, market, entry, part = _IS_LISTED, int(row["market"][0]), 0, 0
            if row["kind"][0] == EffectKind.PARAMETER:
                change = ParameterEffect[int](row[0])
                rule, market, entry, part = PARAMETERS[change.number], change.market, change.entry, change.part
            old, rules = rules, rules_after(rules, row)
            values = [value_at(each, rule.number, market=market, entry=entry, part=part) for each in (old, rules)]
            if values[0] != values[1]:
                self.all.append(RuleChange(int(row["seq"][0]), time_ns, rule, market, entry, part, *values))

    def of_market(self, market: int) -> list[RuleChange]:
        """Return the changes of a market's own rules, in their order."""
        return [each for each in self.all if each.of_market == market]

    def of_provider(self, provider: int) -> list[RuleChange]:
        """Return the changes of a provider's own rules, in their order."""
        return [each for each in self.all if each.of_provider == provider]
