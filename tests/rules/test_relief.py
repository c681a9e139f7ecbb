"""INV-10: a change of margin alone puts nobody in default. Relief in worked cases, on engine and
reference together, and under any sequence of changes.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.engine import step
from backstop.core.events import NONE, EffectKind, EventKind, Health, Operator, Reject
from backstop.core.instruments import TierRules, VenueRules
from backstop.core.state import new_state
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Effect, Event, effects_list, events_array
from tests.attacks.scene import SECOND, venue
from tests.explain.test_explain_stages import explained_of
from tests.rules.test_parameters import NUMBERS, Both, desk, refused

MAINTENANCE, FLOOR = "tier.maintenance_rate_ppm", "tier.floor_atoms"
DAY = 86_400 * SECOND


def reliefs(effects: list[Effect]) -> list[tuple[int, int, int, int]]:
    """Return (account, kept ppm, margin, margin without relief)."""
    return [(row.account, row.lots, row.amount, row.value) for row in effects if row.kind == EffectKind.RELIEF]


def healths(effects: list[Effect]) -> list[tuple[int, Health]]:
    return [(row.account, Health(row.code)) for row in effects if row.kind == EffectKind.HEALTH]


def sunk() -> tuple[Both, int, list[Effect]]:
    """Ten lots at 1,000 with an equity of 700; maintenance rises from 5 % (500) to 8 % (800)."""
    both = desk(venue(markets=2))
    account = both.open(700, lots=10)
    effects = both.change(MAINTENANCE, 80_000, market=0)
    return both, account, effects


def test_who_would_sink_keeps_the_margin_that_he_had() -> None:
    both, account, effects = sunk()
    assert reliefs(effects) == [(account, 625_000, 500, 800)]
    assert healths(effects) == []
    assert both.reference.state.accounts[account].health == Health.WARNED
    assert explained_of(venue(markets=2), both.events).checks_failed == []


def test_whoever_can_bear_the_new_margin_gets_no_relief() -> None:
    both = desk(venue(markets=2))
    both.open(800, lots=10)
    both.open(799, lots=-10)
    assert [account for account, *_ in reliefs(both.change(MAINTENANCE, 80_000, market=0))] == [1]


def test_the_price_still_puts_him_in_default_at_the_margin_that_he_keeps() -> None:
    """At 979: 490 of equity, 62.5 % of ceil(783.2) = 490 of margin. At 978: 480 of 490."""
    both, account, _ = sunk()
    assert healths(both.send(EventKind.MARK, market=0, price_ticks=979)) == []
    assert healths(both.send(EventKind.MARK, market=0, price_ticks=978))[0] == (account, Health.DISTRESSED)


def test_relief_ends_where_he_is_sound_without_it() -> None:
    """HEALTHY is 150 % of 800; with 1,199 he is warned."""
    both, account, _ = sunk()
    assert healths(both.send(EventKind.TRANSFER, account=account, amount=499)) == []
    effects = both.send(EventKind.TRANSFER, account=account, amount=1)
    assert healths(effects) == [(account, Health.HEALTHY)]
    assert reliefs(effects) == [(account, 1_000_000, 800, 800)]
    # From here on he is judged as anybody.
    assert healths(both.send(EventKind.MARK, market=0, price_ticks=999)) == [(account, Health.WARNED)]
    assert both.reference.state.standing(account).maintenance == 800  # 799.2, rounded up


def test_a_price_makes_him_sound_as_well() -> None:
    """At 1,050 he has 1,200 of 840 x 150 % = 1,260; at 1,060 1,300 of 1,272."""
    both, account, _ = sunk()
    assert reliefs(both.send(EventKind.MARK, market=0, price_ticks=1_050)) == []
    effects = both.send(EventKind.MARK, market=0, price_ticks=1_060)
    assert healths(effects) == [(account, Health.HEALTHY)]
    assert [kept for _, kept, *_ in reliefs(effects)] == [1_000_000]


def test_relief_shrinks_with_the_position_and_ends_when_it_is_flat() -> None:
    both, account, _ = sunk()
    assert reliefs(both.send(EventKind.FILL, account=account, other=NONE, market=0, lots=-4, price_ticks=1_000)) == []
    portfolio = both.reference.state.portfolio(account)
    assert (portfolio.maintenance, portfolio.relieved) == (300, 180)
    effects = both.send(EventKind.FILL, account=account, other=NONE, market=0, lots=-6, price_ticks=1_000)
    assert reliefs(effects) == [(account, 1_000_000, 0, 0)]


@pytest.mark.parametrize(("market", "lots"), [(0, 1), (0, -21), (1, 1)])
def test_more_risk_ends_it(market: int, lots: int) -> None:
    """A lot more, the other side, or a position elsewhere: 700 of equity are below 8 %."""
    both, account, _ = sunk()
    effects = both.send(EventKind.FILL, account=account, other=NONE, market=market, lots=lots, price_ticks=1_000)
    assert [(who, kept) for who, kept, *_ in reliefs(effects)] == [(account, 1_000_000)]
    assert healths(effects)[0] == (account, Health.DISTRESSED)


def test_nobody_withdraws_on_relief() -> None:
    """Initial margin knows no relief: 1,000 of it, 700 of equity."""
    both, account, _ = sunk()
    assert refused(both.send(EventKind.TRANSFER, account=account, amount=-1)) == Reject.INSUFFICIENT_MARGIN


def test_step_by_step_he_keeps_what_he_had_at_first() -> None:
    both = desk(venue(markets=2))
    account = both.open(700, lots=10)
    assert reliefs(both.change(MAINTENANCE, 60_000, market=0)) == []
    for rate_ppm in (75_000, 90_000, 100_000):
        (one,) = reliefs(both.change(MAINTENANCE, rate_ppm, market=0))
        assert one[0] == account
        assert 599 <= one[2] <= 600
    assert healths(both.change(MAINTENANCE, 60_000, market=0)) == []
    assert both.reference.state.kept_ppm(account, 0) == 1_000_000 or both.reference.state.standing(account).maintenance <= 600


def test_a_fall_of_the_margin_ends_relief_where_it_reaches_what_is_kept() -> None:
    both, account, _ = sunk()
    assert reliefs(both.change(MAINTENANCE, 50_000, market=0)) == [(account, 1_000_000, 500, 500)]


def test_who_is_in_default_keeps_his_margin_too() -> None:
    both = desk(venue(markets=2))
    account = both.open(490, lots=10)
    assert both.reference.state.accounts[account].health == Health.DISTRESSED
    assert [(who, margin) for who, _, margin, _ in reliefs(both.change(MAINTENANCE, 80_000, market=0))] == [(account, 500)]


def test_an_operator_ends_it_only_with_notice() -> None:
    both, account, _ = sunk()
    order = {"code": Operator.END_RELIEF, "market": 0}
    assert refused(both.send(EventKind.OPERATOR, **order, amount=DAY - 1)) == Reject.AMOUNT_OUT_OF_RANGE
    assert refused(both.send(EventKind.OPERATOR, **{**order, "market": 2}, amount=DAY)) == Reject.UNKNOWN_MARKET
    both.send(EventKind.OPERATOR, **order, amount=DAY)
    both.time_ns += DAY - 2 * SECOND
    assert reliefs(both.send(EventKind.CLOCK)) == []
    effects = both.send(EventKind.CLOCK)
    assert reliefs(effects) == [(account, 1_000_000, 800, 800)]
    assert healths(effects)[0] == (account, Health.DISTRESSED)


def test_a_floor_that_falls_is_a_rise_of_margin_as_well() -> None:
    """Twice the rate above 20,000 spares 10,000; above 4,000 it asks for 500 + 300."""
    tiers = (TierRules(0, 100_000, 50_000), TierRules(20_000, 200_000, 100_000))
    rules = venue(markets=2)
    both = desk(rules._replace(markets=tuple(market._replace(tiers=tiers) for market in rules.markets)))
    account = both.open(700, lots=10)
    assert reliefs(both.change(FLOOR, 4_000, market=0, other=1)) == [(account, 625_000, 500, 800)]


# -- any sequence of changes -----------------------------------------------------------------------

TIERS = (TierRules(0, 200_000, 50_000), TierRules(10_000, 400_000, 100_000), TierRules(40_000, 600_000, 150_000))
CHANGED = (MAINTENANCE, FLOOR, "levels.warning_ratio_ppm", "levels.exit_buffer_ppm", "levels.close_out_ratio_ppm")


def crowd(rng: Random) -> tuple[VenueRules, list[Event]]:
    """Return a venue and twelve accounts between sound and just above default, in two markets."""
    rules = venue(markets=2)
    rules = rules._replace(markets=tuple(market._replace(tiers=TIERS) for market in rules.markets))
    events = [Event(number, 1, EventKind.MARK, market=number, price_ticks=1_000) for number in range(2)]
    for account in range(12):
        fields: list[tuple[EventKind, dict[str, int]]] = [(EventKind.ACCOUNT, {"account": account, "other": account})]
        fields.append((EventKind.TRANSFER, {"account": account, "amount": rng.randint(500, 12_000)}))
        for market in range(2):
            lots = rng.randint(1, 60) * rng.choice((-1, 1))
            fields.append((EventKind.FILL, {"account": account, "other": NONE, "market": market, "lots": lots, "price_ticks": 1_000}))
        events += [Event(len(events) + place, 1, int(kind), **each) for place, (kind, each) in enumerate(fields)]
    return rules, events


@given(st.integers(0, 1 << 32), st.lists(st.tuples(st.sampled_from(CHANGED), st.integers(0, 20), st.integers(0, 2)), max_size=25))
def test_no_sequence_of_changes_puts_anybody_in_default(seed: int, changes: list[tuple[str, int, int]]) -> None:
    """Prices stand still, and the book is empty: whoever is not in default stays out of it."""
    rng = Random(seed)
    rules, events = crowd(rng)
    reference, state = ReferenceEngine(rules), new_state(rules)
    for event in events:
        reference.apply(event)
    rows = events_array(events)
    assert step(state, rows, 0) == len(rows)
    sound = {number for number, account in enumerate(reference.state.accounts) if not account.in_default}
    seq = len(events)
    for key, size, tier in changes:
        value = {MAINTENANCE: 10_000 * size, FLOOR: 1_000 * size}.get(key, 100_000 * size)
        event = Event(seq, 1, EventKind.PARAMETER, NUMBERS[key], rng.randint(0, 1), other=tier, amount=value)
        seq += 1
        state.engine[0].effects_now = 0
        expected = reference.apply(event)
        step(state, events_array([event]), 0)
        assert effects_list(state.effects[: int(state.engine[0].effects_now)]) == [Effect(*map(int, effect)) for effect in expected]
        assert {number for number in sound if reference.state.accounts[number].in_default} == set()
