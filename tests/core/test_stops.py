"""What the engine does with breakers, held marks and timers: event by event, worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backstop.core.breakers import add_flow
from backstop.core.events import (
    FUND,
    NEVER_NS,
    NONE,
    BreakerCause,
    BreakerState,
    Doubt,
    EffectKind,
    EventKind,
    Guard,
    Health,
    Operator,
    Reject,
    Stage,
)
from backstop.core.instruments import BreakerRules, FundsRules
from backstop.core.timers import next_wait_before, next_wait_ns
from backstop.reference.records import Effect, Event
from tests.core.desk import SECOND, Desk, make_rules

K, F, C = EventKind, EffectKind, BreakerCause
OPEN, THROTTLED, HALTED, REOPENING = BreakerState
GUARDED = {"guard_jump_ppm": 100_000, "guard_volume_lots": 50}
JUMPY = {"price_throttle_ppm": 100_000, "price_halt_ppm": 200_000, "price_exit_ppm": 50_000}


def make_desk(
    market: dict[str, Any] | None = None,
    *,
    mark: int = 100,
    markets: int = 1,
    breakers: BreakerRules | None = None,
    fund: FundsRules | None = None,
) -> Desk:
    """Return a desk whose markets have these thresholds, and whose waterfall has no ADL."""
    rules = make_rules((Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP), markets=markets)
    rows = tuple(each._replace(**market or {}) for each in rules.markets)
    rules = rules._replace(markets=rows, breakers=breakers or BreakerRules(), fund=fund or FundsRules())
    return Desk(rules, mark)


def later(desk: Desk, seconds: float, kind: EventKind = K.CLOCK, **fields: int) -> list[Effect]:
    """Apply an event so many seconds after the last one."""
    desk.seq += 1
    now_ns = int(desk.state.engine[0].now_ns) + int(seconds * SECOND)
    return desk.put(Event(desk.seq, now_ns, int(kind), **fields))


def only(effects: list[Effect], kind: EffectKind) -> list[Effect]:
    """Return the effects of one kind."""
    return [effect for effect in effects if effect.kind == kind]


def moves(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """Return (market, new state, cause) of each BREAKER."""
    return [(effect.market, effect.code, effect.lots) for effect in only(effects, F.BREAKER)]


# -- price guard -----------------------------------------------------------------------------------


def guarded() -> Desk:
    """Return a desk with a guarded market at 100, volume 10 of 50, and account 0 long 10 with
    little money.
    """
    desk = make_desk(GUARDED, breakers=BreakerRules(guard_hold_ns=30 * SECOND))
    desk.open(200)
    desk.trade(0, 10, 100)
    desk.send(K.VOLUME, market=0, lots=10)
    return desk


def test_nothing_is_valued_at_a_held_mark() -> None:
    desk = guarded()
    effects = desk.mark(80)
    held_until = int(desk.state.engine[0].now_ns) + 30 * SECOND
    held = Effect(desk.seq, F.GUARD, Guard.HELD, 0, NONE, 100, 0, 80, held_until, 200_000)
    assert effects == [held, Effect(desk.seq, F.DOUBT, Doubt.GUARD, 0, NONE, 100, 0, 100, 0, 0)]
    assert (int(desk.state.markets[0].mark_ticks), int(desk.state.accounts[0].health)) == (100, Health.HEALTHY)
    # Another one is held in its place, but not longer.
    assert [(effect.price_ticks, effect.amount) for effect in desk.mark(75)] == [(75, held_until)]


def test_a_held_mark_settles_nothing() -> None:
    """What was liquidated is forgotten by now, but only a mark that is accepted lets the breaker
    see it.
    """
    desk = make_desk(GUARDED | {"flow_throttle": 5})
    desk.send(K.VOLUME, market=0, lots=10)
    add_flow(desk.state, 0, 5)
    assert moves(desk.send(K.CLOCK)) == [(0, THROTTLED, C.FLOW)]
    assert [effect.kind for effect in later(desk, 200, K.MARK, market=0, price_ticks=80)] == [F.GUARD, F.DOUBT]
    assert moves(desk.put(Event(90, int(desk.state.engine[0].now_ns), K.MARK, market=0, price_ticks=100))) == [(0, OPEN, C.FLOW)]


def test_a_held_mark_is_released_and_then_valued() -> None:
    desk = guarded()
    desk.mark(80)
    assert later(desk, 29.9) == []
    effects = later(desk, 0.1)
    assert effects[0] == Effect(desk.seq, F.GUARD, Guard.RELEASED, 0, NONE, 100, 0, 80, 0, 200_000)
    assert [effect.kind for effect in effects[1:4]] == [F.HEALTH, F.DOUBT, F.RESTRICT]
    assert (int(desk.state.markets[0].mark_ticks), int(desk.state.breakers[0].held_ticks)) == (80, 0)
    assert int(desk.state.breakers[0].mark_time_ns) == int(desk.state.engine[0].now_ns)


@pytest.mark.parametrize(("price", "code"), [(80, Guard.CONFIRMED), (87, Guard.CONFIRMED), (88, Guard.DROPPED)])
def test_a_next_mark_on_volume_confirms_or_drops_what_is_held(price: int, code: Guard) -> None:
    desk = guarded()
    desk.mark(80)
    desk.send(K.VOLUME, market=0, lots=50)
    effects = desk.mark(price)
    assert effects[0] == Effect(desk.seq, F.GUARD, code, 0, NONE, 100, 0, 80, 0, 200_000)
    assert int(desk.state.markets[0].mark_ticks) == price
    assert later(desk, 60) == []


@pytest.mark.parametrize("price", [95, 91])
def test_a_next_mark_on_little_volume_stands_beside_what_is_held(price: int) -> None:
    """It was newest for most of the hold."""
    desk = guarded()
    desk.mark(80)
    assert [effect.kind for effect in desk.mark(price)] == [F.DOUBT]
    assert int(desk.state.markets[0].mark_ticks) == price
    assert [(effect.kind, effect.code) for effect in later(desk, 60)] == [(F.GUARD, Guard.DROPPED)]


def test_what_is_not_held() -> None:
    """The first mark, a small move, a jump with volume, a jump of a market whose volume nobody
    reports.
    """
    first = make_desk(GUARDED, mark=0)
    first.send(K.VOLUME, market=0, lots=0)
    small, traded, unknown = (make_desk(GUARDED) for _ in range(3))
    small.send(K.VOLUME, market=0, lots=0)
    traded.send(K.VOLUME, market=0, lots=50)
    assert [first.mark(5_000), small.mark(109), traded.mark(200), unknown.mark(200)] == [[], [], [], []]
    assert only(small.mark(120), F.GUARD)[0].code == Guard.HELD


# -- signals from events ---------------------------------------------------------------------------


def test_a_fall_halts_and_slices_are_smaller() -> None:
    """The breaker halts before the rounds of the same event: of 8 lots that are visible a slice is 8,
    in a halt a quarter of that.
    """
    desk = make_desk(JUMPY)
    desk.open(280)
    desk.trade(0, 10, 100)
    desk.send(K.DEPTH, market=0, lots=8)
    effects = desk.mark(75)
    assert moves(effects) == [(0, HALTED, C.PRICE)]
    assert only(effects, F.BREAKER)[0].value == 250_000
    assert only(effects, F.HEALTH)
    assert [effect.lots for effect in only(effects, F.ORDER)] == [-2]
    assert int(desk.state.accounts[0].wait_until_ns) < NEVER_NS


def in_distress(market: dict[str, int]) -> tuple[Desk, list[Effect]]:
    """Return a desk whose account 0 must close 8 of 10 lots after a fall of 19 %, with 12 lots to
    be had, and what that brought.
    """
    desk = make_desk({"band_offset_ppm": (0,)} | market, markets=2, breakers=BreakerRules(flow_halt=600))
    desk.open(200)
    desk.trade(0, 10, 100)
    desk.send(K.DEPTH, market=0, lots=12)
    return desk, desk.mark(81)


def test_closing_slices_are_smaller_while_throttled() -> None:
    placed = [[effect.lots for effect in only(in_distress(market)[1], F.ORDER)] for market in ({}, JUMPY)]
    assert placed == [[-8], [-3]]


def test_liquidations_throttle_the_market_and_halt_the_venue() -> None:
    desk, _ = in_distress({"flow_throttle": 500})
    assert moves(desk.send(K.ORDER_FILL, market=0, other=1, lots=-4, price_ticks=81)) == []
    effects = desk.send(K.ORDER_FILL, market=0, other=1, lots=-4, price_ticks=81)
    assert moves(effects) == [(0, THROTTLED, C.FLOW), (NONE, HALTED, C.FLOW)]
    assert [effect.value for effect in only(effects, F.BREAKER)] == [648, 648]


def test_an_unpaid_deficit_halts_its_market() -> None:
    desk = make_desk(markets=2)
    desk.open(60, 10_000)
    desk.trade(0, 10, 100, other=1, market=1)
    effects = desk.mark(50, 1)
    assert only(effects, F.RESIDUAL)
    assert moves(effects) == [(1, HALTED, C.DEFICIT)]
    assert moves(later(desk, 600)) == [(1, REOPENING, C.DEFICIT)]
    assert moves(later(desk, 60)) == [(1, OPEN, C.DEFICIT)]


def test_a_fund_that_pays_throttles_its_markets() -> None:
    fund = FundsRules(drawdown_enter_ppm=100_000, drawdown_exit_ppm=50_000)
    desk = make_desk(markets=2, fund=fund)
    desk.open(10)
    assert desk.send(K.TRANSFER, account=FUND, amount=1_000)[0].kind == F.POSTING
    assert moves(desk.charge(0, 109)) == []
    desk.open(10)
    assert moves(desk.charge(1, 11)) == [(0, THROTTLED, C.DRAWDOWN), (1, THROTTLED, C.DRAWDOWN)]
    assert desk.send(K.TRANSFER, account=FUND, amount=-800)[0].kind == F.POSTING
    assert int(desk.state.funds[0].drawdown_level) == 1
    assert moves(desk.send(K.TRANSFER, account=FUND, amount=9_000)) == [(0, OPEN, C.DRAWDOWN), (1, OPEN, C.DRAWDOWN)]


def test_an_outage_halts_every_market_then_they_reopen() -> None:
    rules = BreakerRules(outage_gap_ns=100 * SECOND, outage_grace_ppm=500_000)
    desk = make_desk(markets=2, breakers=rules)
    desk.open(1_000)
    assert moves(later(desk, 1, K.HEARTBEAT, market=0)) == []
    assert moves(later(desk, 99.9)) == []
    assert moves(later(desk, 0.1, K.HEARTBEAT, market=1)) == [(NONE, HALTED, C.OUTAGE)]
    refused = later(desk, 1, K.FILL, market=1, account=0, other=NONE, lots=1, price_ticks=100)
    assert [(effect.kind, effect.code) for effect in refused] == [(F.REFUSAL, Reject.MARKET_HALTED)]
    assert next_wait_ns(desk.state) == int(desk.state.engine[0].now_ns) + 50 * SECOND
    assert moves(later(desk, 50)) == [(NONE, REOPENING, C.OUTAGE)]


# -- what stops ------------------------------------------------------------------------------------


def trader() -> Desk:
    """Return a desk of two markets where account 0 is long 10 and account 1 short 10 in each."""
    desk = make_desk(markets=2)
    desk.open(10_000, 10_000)
    for market in (0, 1):
        desk.trade(0, 10, 100, other=1, market=market)
    return desk


@pytest.mark.parametrize("venue", [False, True])
def test_no_new_risk_in_a_market_that_is_halted_or_reopening(venue: bool) -> None:
    desk = trader()
    where = NONE if venue else 1
    row = 2 if venue else 1

    def is_refused(lots: int, other: int = NONE) -> bool:
        return [effect.code for effect in only(desk.trade(0, lots, 100, other=other, market=1), F.REFUSAL)] == [Reject.MARKET_HALTED]

    def stands(state: BreakerState, opening: bool) -> None:
        assert int(desk.state.breakers[row].state) == state
        assert is_refused(1) == opening
        assert is_refused(-100) == opening
        assert not is_refused(-1)
        assert not is_refused(-1, other=1)

    desk.send(K.OPERATOR, code=Operator.THROTTLE, market=where, amount=1 << 40)
    assert int(desk.state.breakers[row].state) == THROTTLED
    assert not is_refused(1)
    desk.send(K.OPERATOR, code=Operator.HALT, market=where, amount=1 << 40)
    stands(HALTED, True)
    desk.send(K.OPERATOR, code=Operator.REOPEN, market=where)
    stands(REOPENING, True)
    assert bool(only(desk.trade(0, 1, 100), F.REFUSAL)) == venue
    later(desk, 60)
    assert int(desk.state.breakers[row].state) == OPEN
    assert not is_refused(1)


def test_an_operator_acts_at_once_and_its_order_ends() -> None:
    desk = trader()
    assert moves(desk.send(K.OPERATOR, code=Operator.HALT, market=1, amount=5 * SECOND)) == [(1, HALTED, C.OPERATOR)]
    assert next_wait_ns(desk.state) == int(desk.state.engine[0].now_ns) + 5 * SECOND
    assert moves(later(desk, 5)) == [(1, REOPENING, C.OPERATOR)]
    assert next_wait_ns(desk.state) == int(desk.state.engine[0].now_ns) + 60 * SECOND


# -- timers ----------------------------------------------------------------------------------------


def test_the_next_timer_is_exact_and_a_clock_at_it_does_something() -> None:
    """A driver that follows ``next_wait_ns`` sends no CLOCK for nothing, though marks move the
    deadlines.
    """
    rules = BreakerRules(stale_ns=7 * SECOND, hold_max_ns=20 * SECOND, reopen_ns=3 * SECOND, guard_hold_ns=4 * SECOND, doubt_settles=0)
    desk = make_desk(GUARDED | JUMPY, markets=3, breakers=rules)
    for market in range(3):
        desk.send(K.VOLUME, market=market, lots=0)
        desk.mark(100 + market, market)
    desk.mark(180, 1)
    desk.send(K.OPERATOR, code=Operator.THROTTLE, market=2, amount=11 * SECOND)
    desk.mark(101, 0)
    clocks = 0
    while (at := next_wait_ns(desk.state)) < NEVER_NS:
        now = int(desk.state.engine[0].now_ns)
        assert at > now
        assert next_wait_before(desk.state, at) == at
        assert next_wait_before(desk.state, at - 1) == at - 1
        before = desk.state.breakers.tobytes()
        assert later(desk, (at - 1 - now) / SECOND) == []
        assert desk.state.breakers.tobytes() == before
        later(desk, 1 / SECOND)
        assert desk.state.breakers.tobytes() != before
        clocks += 1
    assert clocks > 8
    assert [BreakerState(int(row.state)) for row in desk.state.breakers] == [OPEN] * 4


def test_timers_come_before_the_event_and_in_order_of_market() -> None:
    """A mark that comes at the time a hold ends finds the market reopening; a released mark is
    judged before.
    """
    desk = make_desk(GUARDED, markets=2, breakers=BreakerRules(guard_hold_ns=5 * SECOND, stale_ns=5 * SECOND, outage_grace_ppm=0))
    for market in (0, 1):
        desk.send(K.VOLUME, market=market, lots=0)
    desk.mark(150, 1)
    effects = later(desk, 5, K.MARK, market=0, price_ticks=100)
    told = [(effect.kind, effect.market, effect.code) for effect in effects if effect.kind != F.DOUBT]
    assert told == [(F.BREAKER, 0, HALTED), (F.GUARD, 1, Guard.RELEASED), (F.BREAKER, 0, REOPENING)]


def test_a_refused_event_brings_no_timer() -> None:
    desk = make_desk(breakers=BreakerRules(stale_ns=5 * SECOND))
    refused: Callable[[], list[Effect]] = lambda: later(desk, 50, K.FILL, market=9)  # noqa: E731
    assert [effect.kind for effect in refused()] == [F.REFUSAL]
    assert int(desk.state.breakers[0].state) == OPEN
    assert moves(later(desk, 5)) == [(0, HALTED, C.STALE)]


# -- the door --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"code": 0}, Reject.UNKNOWN_CODE),
        ({"code": 8, "market": 9}, Reject.UNKNOWN_CODE),
        ({"code": Operator.SETTLE_PRICE, "market": NONE, "price_ticks": 1}, Reject.UNKNOWN_MARKET),
        ({"code": Operator.SETTLE_PRICE, "market": 1}, Reject.PRICE_OUT_OF_RANGE),
        ({"code": Operator.SETTLE_PRICE, "market": 1, "price_ticks": 100}, Reject.NOT_DOUBTED),
        ({"code": Operator.END_RELIEF, "market": NONE, "amount": 1 << 50}, Reject.UNKNOWN_MARKET),
        ({"code": Operator.END_RELIEF, "market": 1, "amount": 1}, Reject.AMOUNT_OUT_OF_RANGE),
        ({"code": Operator.HALT, "market": 2, "amount": 0}, Reject.UNKNOWN_MARKET),
        ({"code": Operator.REOPEN, "market": -2}, Reject.UNKNOWN_MARKET),
        ({"code": Operator.HALT, "market": 1, "amount": 0}, Reject.AMOUNT_OUT_OF_RANGE),
        ({"code": Operator.THROTTLE, "amount": 86_400 * SECOND + 1}, Reject.AMOUNT_OUT_OF_RANGE),
        ({"code": Operator.PROVIDER_OFF, "market": 9, "other": 0}, Reject.UNKNOWN_PROVIDER),
    ],
)
def test_what_an_operator_may_not_order(fields: dict[str, int], reason: Reject) -> None:
    desk = make_desk(markets=2)
    before = desk.state.breakers.tobytes()
    assert [(effect.kind, effect.code) for effect in desk.send(K.OPERATOR, **fields)] == [(F.REFUSAL, reason)]
    assert desk.state.breakers.tobytes() == before
