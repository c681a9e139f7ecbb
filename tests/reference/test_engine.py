"""The reference against itself: random streams with full scans, what they reach, and cases worked
by hand from the rules.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from backstop.core.events import (
    EFFECT,
    FUND,
    UNCOVERED,
    WORLD,
    AdlClass,
    AdlPolicy,
    BookSide,
    BreakerCause,
    BreakerState,
    Cause,
    EffectKind,
    EventKind,
    Guard,
    Health,
    ProviderStatus,
    Reject,
    Settlement,
    SocialisePolicy,
    Stage,
    SupportLimit,
    clearing_of,
    error_inventory_of,
    outside_of,
)
from backstop.core.instruments import LimitRules, MarketRules, TierRules, VenueRules, check_rules
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import ceil_div, part_of, split, trunc_div
from backstop.reference.engine import Effect, Event, ReferenceEngine
from backstop.reference.margin import Contract, Standing
from backstop.reference.records import effects_list, events_array
from tests.reference.desk import FIVE_PERCENT, Desk, brief, venue
from tests.reference.invariants import findings
from tests.streams.highest_caps import highest_caps
from tests.streams.random_streams import make_stream
from tests.streams.settings import PROFILES

SEEDS = 24 * len(PROFILES)
K, F, C = EventKind, EffectKind, Cause


# -- random streams --------------------------------------------------------------------------------


def joint_plans(effects: list[Effect]) -> list[tuple[list[Effect], list[Effect]]]:
    """Return the ADL_PLAN rows of each joint plan of one event, with the ADL_FILL rows that they
    share.
    """
    found = list[tuple[list[Effect], list[Effect]]]()
    is_open = False
    for effect in effects:
        if effect.kind == F.ADL_PLAN:
            if not is_open:
                found.append(([], []))
            found[-1][0].append(effect)
            is_open = True
        elif effect.kind == F.ADL_FILL:
            found[-1][1].append(effect)
        # The SUPPORT of one defaulter stands before the ADL_PLAN of the next.
        is_open = is_open and effect.kind in (F.ADL_PLAN, F.SUPPORT)
    return found


def entry_findings(reference: ReferenceEngine, effects: list[Effect]) -> list[str]:
    """Check what one event's effects say of themselves (INV-06), which no scan of the state can
    see.
    """
    found = []
    # What an account gave for another of its owner is not what ADL took.
    netted = {effect.other for effect in effects if effect.kind == F.POSTING and effect.code == C.NETTING}
    for plans, rows in joint_plans(effects):
        is_whole = {plan.other for plan in plans} == {len(rows)}
        for field in ("lots", "amount"):
            is_whole &= sum(getattr(row, field) for row in (*plans, *rows)) == 0
        if not is_whole:
            found.append(f"INV-06: {rows} do not give {plans}")
        if any(abs(row.lots) > row.price_ticks for row in rows):
            found.append(f"INV-06: a cap is exceeded in {rows}")
        asked = [row for row in rows if row.code != AdlClass.CROSSED and row.account >= 0 and row.account not in netted]
        found += [f"INV-06: ADL broke {row.account}" for row in asked if reference.state.accounts[row.account].in_default]
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_scan_finds_anything_wrong(seed: int) -> None:
    """Every invariant holds after every event, and every record fits its row."""
    rules, events = make_stream(seed)
    check_rules(rules)
    assert 40 <= len(events) <= 128
    assert [Event(*(int(field) for field in row.tolist())) for row in events_array(events)] == events
    reference, caps = ReferenceEngine(rules), rules
    for event in events:
        effects = reference.apply(event)
        caps = highest_caps(caps, reference.state.rules)
        assert findings(reference.state, caps) == []
        assert entry_findings(reference, effects) == []
        assert all(-(1 << 63) <= field < 1 << 63 for effect in effects for field in effect)
    assert len(reference.digest()) == 64


def test_division_is_rounded_as_the_rules_say() -> None:
    assert [ceil_div(number, 3) for number in (-4, -3, -1, 0, 1, 3, 4)] == [-1, -1, 0, 0, 1, 1, 2]
    assert [trunc_div(number, 3) for number in (-4, -3, -1, 0, 1, 3, 4)] == [-1, -1, 0, 0, 0, 1, 1]
    assert [part_of(10, 3, before, 1) for before in range(3)] == [4, 3, 3]


def test_same_seed_gives_same_stream() -> None:
    """A failing seed can be run again."""
    assert make_stream(7) == make_stream(7)
    assert make_stream(7) != make_stream(7 + len(PROFILES))


def test_streams_reach_every_kind() -> None:
    """The seeds above see every effect, cause, class, stage and reason to refuse, and every code
    that an effect may have.
    """
    reached = Counter[tuple[int, int]]()
    causes, breakers = Counter[int](), Counter[int]()
    # 256 changes never wait at once in a stream; ``tests/rules/test_parameters.py`` lets them.
    chosen = [(seed, "") for seed in range(SEEDS)] + [(seed, profile) for seed in range(20) for profile in ("parameters", "relief")]
    for seed, profile in chosen:
        rules, events = make_stream(seed, profile)
        reference = ReferenceEngine(rules)
        effects = [effect for event in events for effect in reference.apply(event)]
        reached.update((effect.kind, effect.code) for effect in effects)
        causes.update(effect.code for effect in effects if effect.kind in (F.TRADE, F.POSTING))
        breakers.update(effect.lots for effect in effects if effect.kind == F.BREAKER)
    assert {kind for kind, _ in reached} == set(F)
    assert set(causes) == set(C)
    assert set(breakers) == set(BreakerCause)
    bound = set(ProviderStatus) - {ProviderStatus.UNBOUND}
    codes = [
        (F.ADL_CLASS, set(AdlClass)),
        (F.ADL_PLAN, set(AdlPolicy)),
        (F.REFUSAL, set(Reject) - {Reject.CHANGE_LIMIT}),
        (F.PROVIDER, bound),
    ]
    codes += [(F.BREAKER, set(BreakerState)), (F.GUARD, set(Guard)), (F.HAIRCUT, set(SocialisePolicy)), (F.SETTLEMENT, set(Settlement))]
    for kind, every in codes:
        assert {code for each, code in reached if each == kind} == every, kind.name
    stages = {
        Stage.RESTRICT: reached[F.RESTRICT, 0],
        Stage.CLOSEOUT: reached[F.ORDER, 0],
        Stage.FUND: min(causes[C.SUPPORT], causes[C.DEFICIT], causes[C.TEAR_UP]),
        Stage.TAKEOVER: reached[F.TAKEOVER, 0],
        Stage.ADL: sum(count for (kind, _), count in reached.items() if kind == F.ADL_PLAN),
        Stage.SOCIALISE: reached[F.CLAIM, 0],
        Stage.TEAR_UP: reached[F.TEAR_UP, 0],
    }
    assert all(count > 20 for count in stages.values()), stages


def test_rows_keep_their_fields() -> None:
    """An effect goes to its row and back unchanged."""
    effects = [Effect(1, 4, 0, 2, 3, 4, -5, 6, -7, 8)]
    assert effects_list(np.array([tuple(effect) for effect in effects], dtype=EFFECT)) == effects


# -- cases worked by hand --------------------------------------------------------------------------


def row(desk: Desk, account: int) -> tuple[int, int]:
    """Lots and cost of an account."""
    position = desk.state.position(account, 0)
    return position.lots, position.cost


ADL_ONLY = (Stage.ADL, Stage.TEAR_UP)
OUTSIDE = outside_of(0)


def test_long_bought_at_100_and_sold_at_110_realises_10() -> None:
    """110 - 100 = 10, from clearing; OUTSIDE loses the same."""
    desk = Desk(venue(ADL_ONLY))
    desk.open(1_000)
    desk.trade(0, 1, 100)
    effects = desk.trade(0, -1, 110)
    assert brief(effects, F.TRADE, F.POSTING) == [
        (0, OUTSIDE, -1, 110, 10),
        (0, clearing_of(0), 0, 10, 0),
        (OUTSIDE, 0, 1, -110, -10),
        (clearing_of(0), OUTSIDE, 0, 10, 0),
    ]


def test_short_sold_at_100_and_bought_back_at_90_realises_10() -> None:
    """-90 - (-100) = 10."""
    desk = Desk(venue(ADL_ONLY))
    desk.open(1_000)
    desk.trade(0, -1, 100)
    assert row(desk, 0) == (-1, -100)
    assert brief(desk.trade(0, 1, 90), F.TRADE)[0] == (0, OUTSIDE, 1, -90, 10)
    assert desk.state.ledger[0] == 1_010


def test_cost_of_a_part_is_rounded_toward_zero() -> None:
    """Cost 10 + 22 = 32 of 3 lots; one sold takes trunc(32 / 3) = 10 and realises 12 - 10 = 2; a
    short mirrors it.
    """
    desk = Desk(venue(ADL_ONLY))
    desk.open(1_000, 1_000)
    desk.mark(11)
    desk.trade(0, 1, 10, other=1)
    desk.trade(0, 2, 11, other=1)
    assert [effect[4] for effect in brief(desk.trade(0, -1, 12, other=1), F.TRADE)] == [2, -2]
    assert (row(desk, 0), row(desk, 1)) == ((2, 22), (-2, -22))


def test_flip_splits_its_cash_by_lots() -> None:
    """Sell 5 at 110 against a long of 2: 220 closes (220 - 200 = 20 realised), 330 opens a short of
    3.
    """
    desk = Desk(venue(ADL_ONLY))
    desk.open(10_000)
    desk.trade(0, 2, 100)
    assert brief(desk.trade(0, -5, 110), F.TRADE)[0] == (0, OUTSIDE, -5, 550, 20)
    assert row(desk, 0) == (-3, -330)
    assert row(desk, OUTSIDE) == (3, 330)


def test_tier_deduction_keeps_margin_continuous() -> None:
    """From 1,000 up 10 % less 1,000 x (10 % - 5 %) = 50: 999 -> 49.95 up to 50; 1,000 -> 50; 2,001
    -> 200.1 up to 201, less 50.
    """
    tiers = (TierRules(0, 100_000, 50_000), TierRules(1_000, 200_000, 100_000), TierRules(5_000, 200_000, 200_000))
    market = MarketRules(1, 10_000, 1_000, tiers, (1_000,), 20_000)
    assert [Contract(market, 1).margin_of(notional) for notional in (0, 999, 1_000, 2_001, 5_000)] == [0, 50, 50, 151, 450]
    # third tier: 5,000 x 10 % = 500 more, 550 in all: 6,000 x 20 % - 550
    assert Contract(market, 1).margin_of(6_000) == 650
    assert Contract(market, 1).initial_of(6_000) == 1_100


def test_levels_of_health() -> None:
    """M = 1,000: close-out floor(666.667) = 666, release 1,050, warning 1,500; default ends at
    release, not at M.
    """
    rules = VenueRules((MarketRules(1, 10_000, 1_000, FIVE_PERCENT, (1_000,), 0),))
    fresh = [Standing(equity, 1_000, rules.levels).health_from(Health.HEALTHY) for equity in (-1, 0, 665, 666, 999, 1_000, 1_499, 1_500)]
    assert fresh == [4, 3, 3, 2, 2, 1, 1, 0]
    assert [Standing(equity, 1_000, rules.levels).health_from(Health.CLOSE_OUT) for equity in (1_000, 1_049, 1_050, 1_500)] == [2, 2, 1, 0]


def test_zero_price_of_one_position_is_its_bankruptcy_price() -> None:
    """Long 10 at 100 with 200: bankrupt at 80.

    At 84, E = 40 and M = 42: zero cash 840 - 40 = 800, of 2 lots 168 - floor(320 / 42).
    """
    desk = Desk(venue((Stage.RESTRICT, Stage.CLOSEOUT, Stage.TEAR_UP)))
    desk.open(200)
    desk.trade(0, 10, 100)
    desk.send(K.DEPTH, market=0, code=int(BookSide.BID), lots=100)
    effects = desk.mark(84)
    state = desk.state
    assert (state.equity(0), state.maintenance(0)) == (40, 42)
    assert state.portfolio(0).zero_cash(0, 10).cash == 800
    assert state.portfolio(0).zero_cash(0, 2).cash == 168 - 7
    # Least lots: release(M of 9 lots: 38) = 40, slippage of one lot at 0.1 % = 1: 39 < 40; two
    # lots: release(34) = 36 <= 40 - 1.
    # Limit: the stricter of ceil(84 x 0.98) = 83 and ceil(161 / 2) = 81.
    (order,) = [effect for effect in effects if effect.kind == F.ORDER]
    assert (order.lots, order.price_ticks, order.amount, order.value) == (-2, 83, 161, 0)
    assert [effect.kind for effect in effects] == [F.HEALTH, F.RESTRICT, F.ORDER]


def test_fee_takes_no_more_than_what_the_fill_beat_the_zero_price_and_the_limit_by() -> None:
    """2 % of 2 x 84 is 3; a fill of 2 at 84 beats the limit of 83 by 2, so the fee is 2; at 83 it
    is 0.
    """
    for price_ticks, fee in ((84, 2), (83, 0)):
        desk = Desk(venue((Stage.CLOSEOUT, Stage.TEAR_UP), fee_ppm=20_000))
        desk.open(200)
        desk.trade(0, 10, 100)
        desk.send(K.DEPTH, market=0, lots=2)
        (order,) = [effect for effect in desk.mark(84) if effect.kind == F.ORDER]
        assert (order.lots, order.price_ticks) == (-2, 83)
        desk.send(K.ORDER_FILL, market=0, other=order.other, lots=-2, price_ticks=price_ticks)
        assert desk.state.ledger[FUND] == fee


def test_capped_pro_rata_fills_caps_first_and_splits_the_rest() -> None:
    """10 lots, weights 5 : 3 : 2, caps 2, 100, 100: 2 x 10 <= 10 x 5 fills the first; 8 at 3 : 2 is
    4.8 and 3.2.
    """
    given, eta = capped_pro_rata(10, {0: 5, 1: 3, 2: 2}, {0: 2, 1: 100, 2: 100})
    assert (given, eta) == ({0: 2, 1: 5, 2: 3}, (8, 5))
    assert capped_pro_rata(10, {0: 5, 1: 3}, {0: 4, 1: 6}) == ({0: 4, 1: 6}, (0, 0))


def test_split_ties_go_by_id_and_to_the_house_last() -> None:
    """Three equal shares of 10: the first id takes the odd one; OUTSIDE comes after accounts,
    before error_inventory.
    """
    assert split(10, {4: 5, 2: 5, OUTSIDE: 5}) == {4: 3, 2: 4, OUTSIDE: 3}
    assert split(1, {error_inventory_of(0): 5, OUTSIDE: 5}) == {error_inventory_of(0): 0, OUTSIDE: 1}


def test_adl_of_an_insolvent_account_with_three_counterparties() -> None:
    """Long 10 at mark 85 with E = -50: zero cash 850 + 50, 5 a lot beyond mark.

    Shorts of 10, 6, 4 sold at 100 have P&L 150, 90, 60. The first has E = 46 and M = 43: giving 2
    lots leaves 46 - 34 - 10 = 2, giving 3 leaves 46 - 30 - 15 = 1, so its cap is 2. It is full (2 x
    300 <= 10 x 150); the other 8 go 90 : 60 as 4.8 and 3.2.
    """
    desk = Desk(venue(ADL_ONLY))
    desk.open(300, 100, 1_000, 1_000)
    for account, lots in enumerate((10, -10, -6, -4)):
        desk.trade(account, lots, 100)
    desk.mark(85)
    desk.charge(1, 204)
    effects = desk.charge(0, 200)
    assert brief(effects, F.ADL_PLAN) == [(0, 3, -10, 900, -50)]
    (adl_class,) = [effect for effect in effects if effect.kind == F.ADL_CLASS]
    assert adl_class == Effect(desk.seq, F.ADL_CLASS, AdlClass.PROFITABLE, 0, 0, other=3, lots=10, price_ticks=1, amount=8, value=150)
    fills = [effect for effect in effects if effect.kind == F.ADL_FILL]
    assert [(fill.account, fill.lots, fill.price_ticks, fill.amount, fill.value) for fill in fills] == [
        (1, 2, 2, -180, 150),
        (2, 5, 6, -450, 90),
        (3, 3, 4, -270, 60),
    ]
    state = desk.state
    assert (state.equity(0), state.equity(1), state.maintenance(1)) == (0, 36, 34)
    assert state.accounts[0].health == Health.HEALTHY


def test_tear_up_splits_pro_rata_and_leaves_what_the_fund_cannot_pay_uncovered() -> None:
    """Long 10 with E = -50 against shorts of 5, 5 and OUTSIDE 5: 4, 3 and 3 at mark; gap 50, of
    which the fund has 30.
    """
    desk = Desk(venue((Stage.FUND, Stage.TEAR_UP)))
    desk.open(300, 1_000, 1_000, 1_000)
    desk.send(K.TRANSFER, account=FUND, amount=30)
    for account, lots in enumerate((10, -5, -5, 5)):
        desk.trade(account, lots, 100)
    desk.mark(85)
    effects = desk.charge(0, 200)
    told = [effect.kind for effect in effects if effect.kind not in (F.TRADE, F.POSTING, F.HEALTH)]
    assert told == [F.TEAR_UP, F.SUPPORT, F.SUPPORT, F.RESIDUAL, F.BREAKER]
    assert brief(effects, F.TEAR_UP) == [(0, 0, -10, 850, 50)]
    assert [(e.code, e.other, e.lots, e.amount, e.value) for e in effects if e.kind == F.SUPPORT] == [
        (SupportLimit.BALANCE, C.TEAR_UP, 30, 30, 50),
        (SupportLimit.BALANCE, C.DEFICIT, 0, 0, 20),
    ]
    trades = [(effect.account, effect.lots, effect.amount, effect.price_ticks) for effect in effects if effect.kind == F.TRADE]
    assert trades == [(0, -10, 850, 85), (1, 4, -340, 85), (2, 3, -255, 85), (OUTSIDE, 3, -255, 85)]
    paid = [(effect.other, effect.amount) for effect in effects if effect.kind == F.POSTING and effect.other in (FUND, UNCOVERED)]
    assert paid == [(FUND, 30), (UNCOVERED, 20)]
    assert desk.state.ledger[UNCOVERED] == -20
    (refusal,) = desk.trade(1, -1, 85)
    assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.MARKET_HALTED)


def test_fund_supports_an_insolvent_account_up_to_its_zero_cash() -> None:
    """Zero cash 900, limit 84: gap 60 and one atom a lot beyond the first reserved; a fill at 85
    needs 900 - 850 = 50.
    """
    desk = Desk(venue((Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)))
    desk.open(100)
    desk.send(K.TRANSFER, account=FUND, amount=1_000)
    desk.trade(0, 10, 100)
    desk.send(K.DEPTH, market=0, lots=50)
    effects = desk.mark(85)
    assert [effect.kind for effect in effects] == [F.HEALTH, F.RESTRICT, F.RESERVE, F.ORDER]
    assert brief(effects, F.RESERVE, F.ORDER) == [(0, 1, 0, 69, 69), (0, 1, -10, 900, 69)]
    effects = desk.send(K.ORDER_FILL, market=0, other=1, lots=-10, price_ticks=85)
    assert [(effect.account, effect.amount) for effect in effects if effect.code == C.SUPPORT] == [(0, 50)]
    # Flat with E = 0: out of default, so the filled order that the venue has not called done is
    # cancelled.
    assert [effect.kind for effect in effects][-5:] == [F.POSTING, F.RESERVE, F.HEALTH, F.CANCEL, F.RESERVE]
    assert [effect[3:] for effect in brief(effects, F.RESERVE)] == [(-50, 19), (-19, 0)]
    assert desk.state.ledger[FUND] == 950


def test_fill_beyond_the_position_goes_to_error_inventory() -> None:
    """An order of 2 filled with 12: 2 were asked, 8 more the position can take, 2 are the
    venue's.
    """
    desk = Desk(venue((Stage.CLOSEOUT, Stage.TEAR_UP)))
    desk.open(200)
    desk.trade(0, 10, 100)
    desk.send(K.DEPTH, market=0, lots=2)
    desk.mark(84)
    effects = desk.send(K.ORDER_FILL, market=0, other=1, lots=-12, price_ticks=84)
    error = error_inventory_of(0)
    assert [(effect.account, effect.lots, effect.code) for effect in effects if effect.kind == F.TRADE] == [
        (0, -10, C.CLOSEOUT),
        (OUTSIDE, 10, C.CLOSEOUT),
        (error, -2, C.ERROR_FILL),
        (OUTSIDE, 2, C.ERROR_FILL),
    ]


def test_cost_of_outside_stays_within_the_balance_limit() -> None:
    """Two loaded costs of 2^60 fill the 2^61 that OUTSIDE may carry; the third is refused."""
    market = MarketRules(1 << 30, 1 << 20, 1 << 10, FIVE_PERCENT, (1_000,), 0)
    rules = VenueRules((market,), limits=LimitRules(accounts_max=8))
    check_rules(rules)
    reference = ReferenceEngine(rules)
    reference.apply(Event(1, 0, K.MARK, market=0, price_ticks=1))
    codes = []
    for account in range(3):
        reference.apply(Event(2 + 2 * account, 0, K.ACCOUNT, account=account))
        effects = reference.apply(Event(3 + 2 * account, 0, K.POSITION, market=0, account=account, lots=-1024, amount=-(1 << 60)))
        codes += [effect.code for effect in effects if effect.kind == F.REFUSAL]
    assert codes == [Reject.BALANCE_LIMIT]


def test_refusal_uses_its_seq_and_nothing_else() -> None:
    """A refused event's time is not the engine's; its seq cannot come again; a repeated seq changes
    nothing at all.
    """
    desk = Desk(venue(ADL_ONLY))
    before = desk.state.now
    late = Event(10, before + 5, K.MARK, market=3, price_ticks=5)
    assert [effect.code for effect in desk.reference.apply(late)] == [Reject.UNKNOWN_MARKET]
    assert (desk.state.now, desk.state.last_seq) == (before, 10)
    digest = desk.reference.digest()
    assert [effect.code for effect in desk.reference.apply(late)] == [Reject.SEQ_NOT_AFTER]
    assert desk.reference.digest() == digest


def test_loaded_book_that_nets_leaves_outside_with_no_cost() -> None:
    """Long 2 at 110 against short 2 at 100: OUTSIDE has no lots and gives its cost of -20 to
    clearing.
    """
    desk = Desk(venue(ADL_ONLY))
    desk.open(1_000, 1_000)
    desk.send(K.POSITION, market=0, account=0, lots=2, amount=220)
    effects = desk.send(K.POSITION, market=0, account=1, lots=-2, amount=-200)
    assert brief(effects, F.TRADE, F.POSTING) == [(1, OUTSIDE, -2, 200, 0), (OUTSIDE, clearing_of(0), 0, 20, 0)]
    assert row(desk, OUTSIDE) == (0, 0)
    assert desk.state.ledger[WORLD] == -2_000
