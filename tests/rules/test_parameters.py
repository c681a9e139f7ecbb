"""Rules that change: worked cases on engine and reference together, and what follows from a rule
against a state that began with it.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import NONE, BreakerCause, Change, EffectKind, EventKind, Health, Reject
from backstop.core.instruments import BreakerRules, TierRules, VenueRules, check_rules
from backstop.core.parameter_table import CHANGES_MAX, PARAMETERS, ListedRule, Scope, changed
from backstop.core.state import State, new_state
from backstop.core.timers import next_wait_ns
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Effect, Event, effects_list, events_array
from tests.attacks.scene import SECOND, provider, venue
from tests.streams.settings import PROFILES, make_rules, make_setting

NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}
K = EventKind


class Both:
    """Engine and reference, which must say the same; an event a second."""

    def __init__(self, rules: VenueRules) -> None:
        self.reference, self.state, self.events = ReferenceEngine(rules), new_state(rules), list[Event]()
        self.time_ns = 0

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        self.time_ns += SECOND
        self.events.append(Event(len(self.events), self.time_ns, int(kind), **fields))
        expected = self.reference.apply(self.events[-1])
        step(self.state, events_array(self.events), len(self.events) - 1)
        found = effects_list(self.state.effects[: int(self.state.engine[0].effects_now)])
        self.state.engine[0].effects_now = 0
        assert found == [Effect(*map(int, effect)) for effect in expected]
        assert state_digest(self.state) == self.reference.digest()
        assert next_wait_ns(self.state) == self.reference.next_time_ns()
        return found

    def change(self, key: str, value: int, from_ns: int = 0, **place: int) -> list[Effect]:
        return self.send(K.PARAMETER, code=NUMBERS[key], amount=value, price_ticks=from_ns, **place)

    def open(self, deposit: int, lots: int = 0) -> int:
        account = len(self.reference.state.accounts)
        self.send(K.ACCOUNT, account=account, other=account)
        self.send(K.TRANSFER, account=account, amount=deposit)
        if lots:
            self.send(K.FILL, account=account, other=NONE, market=0, lots=lots, price_ticks=1_000)
        return account


def desk(rules: VenueRules | None = None) -> Both:
    """Return a venue with a mark of 1,000 in every market."""
    both = Both(rules or venue(markets=2, providers=(provider(),)))
    for market in range(2):
        both.send(K.MARK, market=market, price_ticks=1_000)
    return both


def refused(effects: list[Effect]) -> Reject:
    (effect,) = effects
    assert effect.kind == EffectKind.REFUSAL
    return Reject(effect.code)


def statuses(effects: list[Effect]) -> list[tuple[int, int, Change]]:
    """Return (number, value, status) of the changes that were told."""
    return [(effect.code, effect.amount, Change(effect.price_ticks)) for effect in effects if effect.kind == EffectKind.PARAMETER]


def test_a_fee_acts_from_the_next_fill_on() -> None:
    """1,000 of notional at 5 per mille, then at 2 per cent: 5 and 20."""
    both = desk(venue(markets=2, fee_ppm=5_000))
    both.open(100, lots=1)
    for side in (0, 1):
        both.send(K.DEPTH, market=0, code=side, other=0, lots=100)
    assert statuses(both.change("closeout.fee_ppm", 20_000)) == [(201, 20_000, Change.APPLIED)]
    assert int(both.state.rules[0].fee_ppm) == 20_000


def test_levels_judge_everybody_in_the_same_event() -> None:
    """Equity 120 against a maintenance margin of 50: warned below 150 %, not below 250 %."""
    both = desk()
    account = both.open(120, lots=1)
    other = both.open(10_000, lots=-1)
    effects = both.change("levels.warning_ratio_ppm", 2_500_000)
    assert [(row.account, row.code) for row in effects if row.kind == EffectKind.HEALTH] == [(account, Health.WARNED)]
    effects = both.change("levels.warning_ratio_ppm", 1_500_000)
    assert [(row.account, row.code) for row in effects if row.kind == EffectKind.HEALTH] == [(account, Health.HEALTHY)]
    assert both.reference.state.accounts[other].health == Health.HEALTHY


def test_a_change_waits_for_its_time_and_the_last_word_counts() -> None:
    both = desk()
    later = both.time_ns + 10 * SECOND
    assert statuses(both.change("closeout.fee_ppm", 1, later)) == [(201, 1, Change.WAITING)]
    assert statuses(both.change("closeout.fee_ppm", 2, later + 1)) == [(201, 2, Change.WAITING)]
    assert next_wait_ns(both.state) == later + 1
    both.time_ns = later
    assert statuses(both.send(K.CLOCK)) == [(201, 2, Change.APPLIED)]
    both.change("closeout.fee_ppm", 3, both.time_ns + 100 * SECOND)
    both.change("closeout.fee_ppm", 4)
    both.time_ns += 200 * SECOND
    assert statuses(both.send(K.CLOCK)) == []
    assert both.reference.state.rules.closeout.fee_ppm == 4


def test_changes_that_are_due_together_come_in_order_of_time_then_of_asking() -> None:
    both = desk()
    when = both.time_ns + 20 * SECOND
    for key, value, after in (("closeout.fee_ppm", 7, 1), ("closeout.depth_share_ppm", 8, 0), ("closeout.volume_share_ppm", 9, 0)):
        both.change(key, value, when + after)
    both.time_ns = when + SECOND
    assert [number for number, _, _ in statuses(both.send(K.CLOCK))] == [202, 203, 201]


def test_a_change_that_would_contradict_when_its_time_comes_is_dropped() -> None:
    """The exit buffer is to rise to 40 % while accounts are warned at 150 %; meanwhile that becomes 120 %."""
    both = desk()
    when = both.time_ns + 10 * SECOND
    both.change("levels.exit_buffer_ppm", 400_000, when)
    both.change("levels.warning_ratio_ppm", 1_200_000)
    both.time_ns = when
    assert statuses(both.send(K.CLOCK)) == [(102, 400_000, Change.DROPPED)]
    assert both.reference.state.rules.levels.exit_buffer_ppm == 50_000


REFUSED: list[tuple[str, dict[str, int], Reject]] = [
    ("closeout.fee_ppm", {"value": 1_000_001}, Reject.AMOUNT_OUT_OF_RANGE),
    ("closeout.fee_ppm", {"value": -1}, Reject.AMOUNT_OUT_OF_RANGE),
    ("closeout.fee_ppm", {"value": 1, "from_ns": -1}, Reject.TIME_OUT_OF_RANGE),
    ("closeout.fee_ppm", {"value": 1, "from_ns": 1 << 60}, Reject.TIME_OUT_OF_RANGE),
    ("market.slippage_tolerance_ppm", {"value": 1, "market": 2}, Reject.UNKNOWN_MARKET),
    ("market.slippage_tolerance_ppm", {"value": 1, "market": NONE}, Reject.UNKNOWN_MARKET),
    ("tier.initial_rate_ppm", {"value": 100_000, "market": 0, "other": 1}, Reject.UNKNOWN_CODE),
    ("group.target", {"value": 5, "other": 1}, Reject.UNKNOWN_CODE),
    ("provider.loss_stop", {"value": 5, "other": 1}, Reject.UNKNOWN_PROVIDER),
    ("commitment.capacity", {"value": 5, "other": 0, "lots": 2}, Reject.UNKNOWN_CODE),
    ("market.price_ticks_max", {"value": 5, "market": 0}, Reject.RULE_IS_FIXED),
    ("limits.accounts_max", {"value": 5}, Reject.RULE_IS_FIXED),
    ("levels.exit_buffer_ppm", {"value": 600_000}, Reject.RULES_CONTRADICT),
    ("tier.initial_rate_ppm", {"value": 40_000, "market": 0}, Reject.RULES_CONTRADICT),
    ("market.price_halt_ppm", {"value": 40_000, "market": 0}, Reject.RULES_CONTRADICT),
    ("market.interest_lower", {"value": 40_000, "market": 0}, Reject.RULES_CONTRADICT),
    ("market.factor_loading_ppm", {"value": 0, "market": 0}, Reject.RULES_CONTRADICT),
    ("fund.drawdown_enter_ppm", {"value": 5}, Reject.RULES_CONTRADICT),
]


@pytest.mark.parametrize(("key", "fields", "reason"), REFUSED)
def test_the_door(key: str, fields: dict[str, int], reason: Reject) -> None:
    assert refused(desk().change(key, **fields)) == reason


def test_no_rule_has_the_number() -> None:
    both = desk()
    for number in (0, -1, 99, max(PARAMETERS) + 1, 32_767):
        assert refused(both.send(K.PARAMETER, code=number, amount=1)) == Reject.UNKNOWN_CODE


def test_so_many_changes_wait_and_no_more() -> None:
    """256 of twenty markets' rules wait; one more place is refused, a place that waits is not."""
    both = Both(venue(markets=20))
    changeable = [rule for rule in PARAMETERS.values() if rule.scope == Scope.MARKET and not rule.parameter.is_fixed]
    places = [(rule, market) for market in range(20) for rule in changeable][: CHANGES_MAX + 1]
    assert len(places) == CHANGES_MAX + 1
    later = 9_000 * SECOND

    def ask(rule: ListedRule, market: int) -> list[Effect]:
        return both.send(K.PARAMETER, code=rule.number, market=market, amount=rule.parameter.high, price_ticks=later)

    for rule, market in places[:-1]:
        assert statuses(ask(rule, market)) == [(rule.number, rule.parameter.high, Change.WAITING)]
    assert refused(ask(*places[-1])) == Reject.CHANGE_LIMIT
    assert statuses(ask(*places[0])) != []
    assert int(both.state.engine[0].changes_now) == CHANGES_MAX


def test_a_threshold_of_flow_that_changes_is_settled_at_once() -> None:
    """With a threshold on the venue's flow of 1 nothing is liquidated, and nothing stops; a price breaker
    that is switched off asks for nothing at the next mark.
    """
    both = desk()
    both.change("market.price_exit_ppm", 10_000, market=0)
    both.change("market.price_halt_ppm", 50_000, market=0)
    effects = both.send(K.MARK, market=0, price_ticks=900)
    assert [row.lots for row in effects if row.kind == EffectKind.BREAKER] == [BreakerCause.PRICE]
    both.change("market.price_halt_ppm", 0, market=0)
    both.send(K.MARK, market=0, price_ticks=901)
    assert int(both.state.breakers[0].levels[BreakerCause.PRICE]) == 0
    assert both.change("breakers.flow_halt", 1)[-1].kind == EffectKind.PARAMETER


# -- what follows from rules -----------------------------------------------------------------------

#: Rows of rules, and what follows from them.
ROWS = ("rules", "stages", "markets", "tiers", "funds", "breakers", "providers", "commitments")


def _rows(state: State) -> dict[str, Any]:
    rows = {name: getattr(state, name).copy() for name in ROWS}
    # A machine that was settled counts its windows anew; its thresholds are the rules.
    rows["breakers"] = rows["breakers"][["flow_throttle", "flow_halt"]]
    return rows


def _random_place(rng: Random, rule: ListedRule, rules: VenueRules) -> dict[str, int]:
    market = rng.randrange(len(rules.markets))
    entries = {
        Scope.TIER: len(rules.markets[market].tiers),
        Scope.GROUP: len(rules.funds),
        Scope.PROVIDER: len(rules.providers),
        Scope.COMMITMENT: len(rules.providers),
    }
    entry = rng.randrange(max(1, entries.get(rule.scope, 1)))
    return {"market": market, "entry": entry, "part": rng.randrange(2 * len(rules.funds))}


@pytest.mark.parametrize("profile", ["ordinary", "tier_edges", "takeover", "groups", "breakers", "policies"])
def test_rows_are_those_of_a_state_that_began_with_the_rule(profile: str) -> None:
    """After any changes the rows, derived numbers included, are those of a new state of these rules."""
    applied = contradicted = 0
    for seed in range(4):
        rng = Random(seed)
        setting = make_setting(rng, profile)
        rules = make_rules(setting)
        state, seq = new_state(rules), 0
        for _ in range(60):
            rule = rng.choice([each for each in PARAMETERS.values() if not each.parameter.is_fixed])
            place = _random_place(rng, rule, rules)
            low, high = rule.parameter.low, rule.parameter.high
            value = rng.choice((low, high, rng.randint(low, high), 50_000 * rng.randint(0, 4)))
            event = Event(
                seq, 1, K.PARAMETER, rule.number, place["market"], other=place["entry"], lots=place["part"], amount=value, price_ticks=0
            )
            seq += 1
            state.engine[0].effects_now = 0
            step(state, events_array([event]), 0)
            told = effects_list(state.effects[:1])[0]
            if told.kind == EffectKind.REFUSAL and told.code != Reject.RULES_CONTRADICT:
                continue
            new_rules = changed(rules, rule.number, **place, value=value)
            if told.kind == EffectKind.REFUSAL:
                contradicted += 1
                with pytest.raises(ValueError, match=r"."):
                    check_rules(new_rules)
                continue
            applied, rules = applied + 1, new_rules
            check_rules(rules)
            expected, found = _rows(new_state(rules)), _rows(state)
            for name in ROWS:
                assert np.array_equal(found[name], expected[name]), (name, rule.key, value)
    assert applied > 50
    assert contradicted > 4
    assert profile in PROFILES


def test_a_price_window_is_fixed_and_named_so() -> None:
    both = desk(venue(markets=2, breakers=BreakerRules(price_window_ns=SECOND)))
    assert refused(both.change("breakers.price_window_ns", 2 * SECOND)) == Reject.RULE_IS_FIXED


def test_tiers_of_initial_margin_change_and_deductions_follow() -> None:
    """Above 1,000,000 twice the rate: the deduction is 1,000,000 x 10 % = 100,000, then x 20 %."""
    rules = venue(markets=2)
    tiers = (TierRules(0, 100_000, 50_000), TierRules(1_000_000, 200_000, 100_000))
    both = desk(rules._replace(markets=tuple(market._replace(tiers=tiers) for market in rules.markets)))
    assert int(both.state.tiers[1].initial_deduction) == 100_000
    both.change("tier.initial_rate_ppm", 300_000, market=0, other=1)
    assert int(both.state.tiers[1].initial_deduction) == 200_000
    assert int(both.state.tiers[3].initial_deduction) == 100_000
