"""Circuit breakers by themselves: the compiled machine in every configuration, and each signal by hand.

No event and no account: a state made by hand, its clock set by hand. What the engine does with breakers is in
``test_stops.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core import breakers
from backstop.core.drawdown import judge_drawdowns, shift_peaks
from backstop.core.events import NEVER_NS, NONE, BreakerCause, BreakerState, EffectKind, Operator, fund_of
from backstop.core.instruments import BreakerRules, FundRules, FundsRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.state import house_slot, new_state
from tests.oracle.records import Effect, effects_list
from tests.properties.profile import settings_of

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
C = BreakerCause
SECOND = 1_000_000_000
HOLD, REOPEN, WINDOW = 600 * SECOND, 60 * SECOND, 60 * SECOND
VENUE = 2
PRICE = {"price_throttle_ppm": 50_000, "price_halt_ppm": 100_000, "price_exit_ppm": 30_000}
pytestmark = pytest.mark.bounds


class Bench:
    """Two markets without accounts, the venue, and what they said last."""

    def __init__(
        self, shared: BreakerRules | None = None, fund: FundsRules | None = None, groups: int = 1, market: dict[str, int] | None = None
    ) -> None:
        """Give both markets the same thresholds; the second belongs to the last group."""
        tier = (TierRules(0, 100_000, 50_000),)
        rows = [MarketRules(1, 1 << 30, 1, tier, (1_000,), 20_000, group=group, **market or {}) for group in (0, groups - 1)]
        limits = LimitRules(accounts_max=4, positions_max=4, orders_max=4, effects_max=64)
        funds = (FundRules(),) * groups
        self.state = new_state(
            VenueRules(tuple(rows), funds=funds, fund=fund or FundsRules(), breakers=shared or BreakerRules(), limits=limits)
        )
        self.engine = self.state.engine[0]

    def at(self, seconds: float) -> None:
        """Set the clock."""
        self.engine.now_ns = int(seconds * SECOND)

    def said(self) -> list[Effect]:
        """Return the effects since the last call."""
        effects = effects_list(self.state.effects[: int(self.engine.effects_now)])
        self.engine.effects_now = 0
        return effects

    def mark(self, seconds: float, price_ticks: int, market: int = 0) -> list[Effect]:
        """Accept a mark."""
        self.at(seconds)
        old = int(self.state.markets[market].mark_ticks)
        self.state.markets[market].mark_ticks = price_ticks
        breakers.after_mark(self.state, market, old)
        return self.said()

    def index(self, price_ticks: int, market: int = 0) -> list[Effect]:
        """Set an index."""
        self.state.markets[market].index_ticks = price_ticks
        breakers.after_index(self.state, market)
        return self.said()

    def flow(self, seconds: float, notional: int, market: int = 0) -> list[Effect]:
        """Liquidate something, and end the event."""
        self.at(seconds)
        breakers.add_flow(self.state, market, notional)
        return self.end()

    def end(self) -> list[Effect]:
        """End the event."""
        judge_drawdowns(self.state)
        breakers.settle_dirty(self.state)
        return self.said()

    def order(self, code: Operator, hold_s: int = 0, market: int = 0) -> list[Effect]:
        """Let the operator order something, and end the event."""
        breakers.apply_operator(self.state, market, int(code), hold_s * SECOND)
        return self.end()

    def wait(self, seconds: float, row: int = 0) -> list[Effect]:
        """Let time pass by itself."""
        self.at(seconds)
        breakers.end_holds(self.state, row)
        return self.said()

    def states(self) -> list[BreakerState]:
        """Return the state of each machine, the venue's last."""
        return [BreakerState(int(row.state)) for row in self.state.breakers]

    def level(self, cause: BreakerCause, row: int = 0) -> int:
        """Return the level of a cause."""
        return int(self.state.breakers[row].levels[cause])

    def spent(self, row: int = 0) -> set[BreakerCause]:
        """Return the causes that are spent."""
        return {cause for cause in C if int(self.state.breakers[row].spent) >> (cause - 1) & 1}


def codes(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return (new state, cause) of each transition."""
    assert all(effect.kind == EffectKind.BREAKER for effect in effects)
    return [(effect.code, effect.lots) for effect in effects]


# -- every configuration -----------------------------------------------------------------------

#: One cause of each sort: a signal, one that time begins, one that time ends, one that nothing but a hold ends.
SORTS = (C.PRICE, C.STALE, C.OPERATOR, C.DEFICIT)
#: The rule's table: what a state and the highest level ask for. Where time is over, the same state is a new hold of it.
NEXT = {
    (OPEN, False): (OPEN, THROTTLED, HALTED),
    (THROTTLED, False): (OPEN, THROTTLED, HALTED),
    (HALTED, False): (REOPENING, REOPENING, HALTED),
    (REOPENING, False): (REOPENING, REOPENING, HALTED),
    (THROTTLED, True): (OPEN, THROTTLED, HALTED),
    (HALTED, True): (REOPENING, REOPENING, HALTED),
    (REOPENING, True): (OPEN, THROTTLED, HALTED),
}


class Configuration(NamedTuple):
    """What decides a machine's next state."""

    state: BreakerState
    is_over: bool
    levels: dict[BreakerCause, int]
    spent: set[BreakerCause]
    answered: set[BreakerCause]


def configurations() -> Iterator[Configuration]:
    """Yield every state, whether its time is over, every level of each sort of cause, each of them spent, answered, both or neither."""
    for state, is_over in NEXT:
        kinds = tuple(product((False, True), (False, True) if state in (THROTTLED, HALTED) else (False,)))
        choices = [list(product((0, 1, 2), [kind for kind in kinds if not kind[0] or cause != C.DEFICIT])) for cause in SORTS]
        for found in product(*choices):
            row = dict(zip(SORTS, found, strict=True))
            sets = [{cause for cause, (_, marks) in row.items() if any(marks[place : place + 1])} for place in (0, 1)]
            yield Configuration(state, is_over, {cause: level for cause, (level, _) in row.items()}, *sets)


def bits(causes: set[BreakerCause]) -> int:
    """Return causes as the engine keeps them."""
    return sum(1 << (cause - 1) for cause in causes)


def put(bench: Bench, found: Configuration) -> None:
    """Set a machine up at second 1000."""
    bench.at(1000)
    row, state = bench.state.breakers[0], found.state
    row.state, row.cause = state, C.FLOW if state else 0
    lasts = HOLD if state in (THROTTLED, HALTED) else REOPEN
    row.until_ns = NEVER_NS if state == OPEN else int(bench.engine.now_ns) + (0 if found.is_over else lasts)
    for cause in C:
        row.levels[cause] = found.levels.get(cause, 0)
    row.spent, row.answered = bits(found.spent), bits(found.answered)


def test_every_configuration_moves_as_the_table_says() -> None:
    """All states, levels, spent and answered causes, ends: one transition at most, with its cause and its end.

    A second settle does nothing. A new hold of the same state answers more causes than before, so a stop has no more holds than causes.
    """
    bench, seen = Bench(), set()
    row = bench.state.breakers[0]
    for found in configurations():
        put(bench, found)
        state, is_over, levels, spent, answered = found
        fresh = [cause for cause in SORTS if cause not in spent and not (is_over and cause in answered)]
        highest = max((levels[cause] for cause in fresh), default=0)
        asking = {cause for cause in fresh if levels[cause] == highest > 0}
        first = next((cause for cause in SORTS if cause in asking), C.FLOW)
        new = NEXT[state, is_over][highest]
        breakers.settle(bench.state, 0)
        until = {OPEN: NEVER_NS, REOPENING: bench.engine.now_ns + REOPEN}.get(new, bench.engine.now_ns + HOLD)
        assert row.state == new
        moved = new != state or is_over
        assert bench.said() == ([Effect(NONE, EffectKind.BREAKER, new, 0, NONE, state, first, 0, until, 0)] if moved else [])
        after = answered if new == state else set()
        if moved and new in (THROTTLED, HALTED):
            assert new != state or not asking & answered
            after = after | asking
        assert int(row.answered) == bits(after)
        left = {cause for cause in SORTS if row.levels[cause]}
        assert bench.spent() == left & (spent | (answered if is_over else set()))
        assert (int(row.until_ns) == NEVER_NS) == (new == OPEN)
        assert row.until_ns > bench.engine.now_ns
        before = row.tobytes()
        breakers.settle(bench.state, 0)
        assert row.tobytes() == before
        assert not bench.said()
        seen.add((state, is_over, new))
    assert len(seen) == 3 + 3 + 3 + 2 + 2 + 2 + 3


def test_constant_signals_end_open() -> None:
    """From every configuration, nothing but time passing: OPEN after three holds and a reopening at most, and for good.

    Three: the halt that stands, one for whoever began to ask in it, a throttle for whoever asks for no more.
    """
    bench, longest = Bench(), 0
    row = bench.state.breakers[0]
    for found in configurations():
        put(bench, found)
        begin, moves = int(bench.engine.now_ns), 0
        breakers.settle(bench.state, 0)
        while row.state != OPEN:
            assert breakers.next_timer_ns(bench.state) == row.until_ns
            bench.engine.now_ns = row.until_ns
            breakers.end_holds(bench.state, 0)
            moves += 1
            assert moves <= 4
        took = int(bench.engine.now_ns) - begin
        longest = max(longest, took)
        bench.said()
        for later in (1, HOLD, 10 * HOLD):
            bench.engine.now_ns = begin + took + later
            breakers.end_holds(bench.state, 0)
            breakers.settle(bench.state, 0)
        assert row.state == OPEN
        assert not bench.said()
    assert longest == 3 * HOLD + REOPEN


@settings_of(200)
@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(sorted(C)), st.integers(0, 2)), min_size=20, max_size=60))
def test_no_stop_outlasts_its_time(steps: list[tuple[int, BreakerCause, int]]) -> None:
    """Whatever the levels do: no state but OPEN lasts longer than its time, and a spent cause stays silent until it was 0.

    A stop, which is a state and all its new holds, has each cause at most once.
    """
    bench = Bench()
    row, now, entered, silent = bench.state.breakers[0], 0, 0, set[BreakerCause]()
    stop: list[BreakerCause] = []
    for gap_s, cause, level in steps:
        end = now + gap_s * SECOND
        while row.state != OPEN and row.until_ns <= end:
            bench.engine.now_ns = now = entered = int(row.until_ns)
            breakers.end_holds(bench.state, 0)
            assert row.until_ns > now
            for effect in bench.said():
                stop = [*(stop if effect.code == effect.other else []), C(effect.lots)]
                assert effect.code != effect.other or len(set(stop)) == len(stop)
        bench.engine.now_ns = now = end
        row.levels[cause] = level
        silent = bench.spent() - ({cause} if level == 0 else set())
        bench.said()
        breakers.settle(bench.state, 0)
        for effect in bench.said():
            entered, stop = now, [C(effect.lots)]
            assert effect.code != effect.other
            assert effect.code not in (THROTTLED, HALTED) or effect.lots not in silent
        assert row.state == OPEN or now - entered < (REOPEN if row.state == REOPENING else HOLD)


# -- who is answered -----------------------------------------------------------------------------


def test_a_crash_a_second_before_the_end_of_an_order_has_its_own_halt() -> None:
    """Halted by the operator until 600, a crash at 599: PRICE halts until 1200, and is spent then, the order before it."""
    bench = Bench(market=PRICE)
    bench.mark(0, 1_000)
    assert codes(bench.order(Operator.HALT, 3_600)) == [(HALTED, C.OPERATOR)]
    assert not bench.mark(599, 800)
    assert bench.wait(600) == [Effect(NONE, EffectKind.BREAKER, HALTED, 0, NONE, HALTED, C.PRICE, 0, 1_200 * SECOND, 200_000)]
    assert bench.spent() == {C.OPERATOR}
    assert codes(bench.wait(1_200)) == [(REOPENING, C.PRICE)]
    assert bench.spent() == {C.OPERATOR, C.PRICE}


def test_a_throttle_that_is_over_halts_for_what_comes_at_that_moment() -> None:
    """Throttled by an order until 600, when the feed is found silent: halted, not OPEN with a silence that is spent."""
    bench = Bench(BreakerRules(stale_ns=500 * SECOND))
    bench.mark(100, 5)
    bench.at(0)
    bench.order(Operator.THROTTLE, 3_600)
    assert codes(bench.wait(600)) == [(HALTED, C.STALE)]
    assert bench.spent() == {C.OPERATOR}


def test_an_outage_in_which_a_hold_ends_halts() -> None:
    """The venue is halted by an order until 600; the engine is away from 500 to 1000. The outage was answered by nothing."""
    bench = Bench(BreakerRules(outage_gap_ns=60 * SECOND, outage_grace_ppm=100_000, outage_grace_max_ns=900 * SECOND))
    bench.engine.accepted = 1
    bench.order(Operator.HALT, 3_600, NONE)
    bench.at(500)
    breakers.check_outage(bench.state, 1_000 * SECOND)
    assert codes(bench.wait(1_000, VENUE)) == [(HALTED, C.OUTAGE)]
    assert codes(bench.wait(1_050, VENUE)) == [(REOPENING, C.OUTAGE)]


def test_an_order_given_again_within_its_own_halt_does_not_lengthen_it() -> None:
    """What was answered in a stop is not answered again in it; given again after it, it is."""
    bench = Bench()
    bench.order(Operator.HALT, 3_600)
    bench.at(599)
    assert not bench.order(Operator.HALT, 3_600)
    assert codes(bench.wait(600)) == [(REOPENING, C.OPERATOR)]
    assert codes(bench.order(Operator.HALT, 3_600)) == [(HALTED, C.OPERATOR)]


def test_a_deficit_in_a_halt_by_price_has_its_own_hold_and_no_third() -> None:
    bench = Bench(market=PRICE)
    bench.mark(0, 1_000)
    bench.mark(1, 800)
    bench.at(300)
    breakers.raise_deficit(bench.state, 0)
    assert not bench.end()
    assert codes(bench.wait(601)) == [(HALTED, C.DEFICIT)]
    bench.at(900)
    breakers.raise_deficit(bench.state, 0)
    assert not bench.end()
    assert codes(bench.wait(1_201)) == [(REOPENING, C.DEFICIT)]
    assert (bench.level(C.DEFICIT), bench.spent()) == (0, {C.PRICE})


# -- precedence, effective state -----------------------------------------------------------------


def test_the_first_cause_of_the_highest_level_is_given() -> None:
    bench = Bench()
    levels = bench.state.breakers[0].levels
    levels[C.PRICE], levels[C.OPERATOR], levels[C.STALE] = 1, 2, 2
    breakers.settle(bench.state, 0)
    assert codes(bench.said()) == [(HALTED, C.STALE)]


def test_the_severer_state_binds() -> None:
    bench = Bench()
    order = (OPEN, THROTTLED, REOPENING, HALTED)
    for own, venue in product(order, order):
        bench.state.breakers[1].state, bench.state.breakers[VENUE].state = own, venue
        assert breakers.effective_state(bench.state, 1) == max(own, venue, key=order.index)


# -- price ---------------------------------------------------------------------------------------


def test_price_over_two_windows() -> None:
    bench = Bench(market=PRICE)
    assert not bench.mark(10, 1_000)
    assert not bench.mark(30, 1_049)
    assert bench.mark(40, 1_050) == [Effect(NONE, EffectKind.BREAKER, THROTTLED, 0, NONE, OPEN, C.PRICE, 0, 640 * SECOND, 50_000)]
    # The next window begins at 1050, the last one reaches from 1000 to 1050: 3.5 % keep the level.
    assert not bench.mark(61, 1_035)
    assert bench.level(C.PRICE) == 1
    # Window 2: the last reaches from 1035 to 1050, and 10 / 1050 is below the exit.
    assert codes(bench.mark(125, 1_040)) == [(OPEN, C.PRICE)]
    # Three windows later nothing but the old mark counts; 9.9 % up throttle, a fall of 10 % from the top of both windows halts.
    assert codes(bench.mark(310, 1_143)) == [(THROTTLED, C.PRICE)]
    assert [int(bench.state.breakers[0].price_signal_ppm)] == [103 * 1_000_000 // 1_040]
    halted = bench.mark(365, 1_028)
    assert [(effect.code, effect.value) for effect in halted] == [(HALTED, 115 * 1_000_000 // 1_143)]
    # Back within the halt, but not below the exit: the level stays 2.
    assert not bench.mark(366, 1_100)
    assert bench.level(C.PRICE) == 2


def test_the_first_mark_is_no_move() -> None:
    bench = Bench(market=PRICE)
    bench.mark(1e9, 7)
    row = bench.state.breakers[0]
    assert [row.low_ticks.tolist(), row.high_ticks.tolist(), int(row.price_signal_ppm)] == [[7, 7], [7, 7], 0]


def test_the_distance_from_the_index() -> None:
    bench = Bench(market=PRICE)
    assert not bench.index(500)
    assert codes(bench.mark(1, 1_000)) == [(HALTED, C.INDEX)]
    assert codes(bench.index(1_000)) == [(REOPENING, C.INDEX)]
    assert codes(bench.index(1_111)) == []
    # 111 / 1111 is 9.99 %.
    assert (bench.level(C.INDEX), bench.level(C.PRICE)) == (1, 0)
    halted = bench.index(1_112)
    assert codes(halted) == [(HALTED, C.INDEX)]
    assert halted[0].value == 112 * 1_000_000 // 1_112


def test_the_move_and_the_distance_are_judged_each_by_itself() -> None:
    bench = Bench(market=PRICE)
    bench.mark(1, 1_000)
    bench.index(1_099)
    assert codes(bench.mark(2, 1_100)) == [(HALTED, C.PRICE)]
    row = bench.state.breakers[0]
    assert (int(row.price_signal_ppm), int(row.index_signal_ppm)) == (100_000, 909)


def test_an_index_that_died_disarms_no_price_breaker() -> None:
    """Halted once for an index far away, and never again; a crash of 10 % behind it halts."""
    bench = Bench(market=PRICE)
    bench.mark(0, 1_000)
    assert codes(bench.index(500)) == [(HALTED, C.INDEX)]
    assert [codes(bench.wait(second)) for second in (600, 660)] == [[(REOPENING, C.INDEX)], [(OPEN, C.INDEX)]]
    assert not bench.mark(700, 1_001)
    assert bench.spent() == {C.INDEX}
    assert codes(bench.mark(701, 900)) == [(HALTED, C.PRICE)]


def test_thresholds_of_zero_are_off() -> None:
    bench = Bench()
    assert not bench.mark(1, 1)
    assert not bench.mark(2, 1 << 30)
    assert not bench.flow(3, 1 << 61)
    only_halt = Bench(market={"price_halt_ppm": 100_000, "price_exit_ppm": 30_000})
    only_halt.mark(1, 1_000)
    assert not only_halt.mark(2, 1_099)
    assert codes(only_halt.mark(3, 1_100)) == [(HALTED, C.PRICE)]


def test_the_band_ends_where_the_market_halts() -> None:
    """Beyond the band a mark halts, up to it it halts only where it is the halt exactly; a mark beyond it lifts the band."""
    bench = Bench(market=PRICE)
    assert breakers.band_ticks(bench.state, 0, True) == 0
    bench.mark(1, 1_003)
    assert [breakers.band_ticks(bench.state, 0, is_sell) for is_sell in (True, False)] == [903, 1_103]
    for first, price, level in ((1_003, 903, 1), (1_003, 902, 2), (1_003, 1_103, 1), (1_003, 1_104, 2), (1_000, 900, 2), (1_000, 901, 1)):
        again = Bench(market=PRICE)
        again.mark(1, first)
        again.mark(2, price)
        assert again.level(C.PRICE) == level
    bench.mark(2, 900)
    # Ten percent below 1003 is above the mark: no band for sells. A buy may go up to ten percent above 900.
    assert [breakers.band_ticks(bench.state, 0, is_sell) for is_sell in (True, False)] == [0, 990]
    bench.mark(3, 1_004)
    assert [breakers.band_ticks(bench.state, 0, is_sell) for is_sell in (True, False)] == [904, 0]
    assert Bench().mark(1, 1_000) == []
    off = Bench()
    off.mark(1, 1_000)
    assert breakers.band_ticks(off.state, 0, True) == 0


# -- flow ----------------------------------------------------------------------------------------


def test_flow_of_a_market_and_of_the_venue() -> None:
    bench = Bench(BreakerRules(flow_halt=2_000), market={"flow_throttle": 1_000, "flow_halt": 5_000})
    assert not bench.flow(10, 999)
    assert not bench.flow(20, 999, market=1)
    throttled = bench.flow(59, 1)
    assert [(effect.market, effect.code, effect.value) for effect in throttled] == [(0, THROTTLED, 1_000)]
    # The next window still counts the last one: 1000 + 1000 in the venue's second.
    halted = bench.flow(61, 1, market=1)
    assert [(effect.market, effect.code, effect.value) for effect in halted] == [(1, THROTTLED, 1_000), (NONE, HALTED, 2_000)]
    assert halted[0].lots == halted[1].lots == C.FLOW
    assert codes(bench.flow(119, 500)) == []
    # 500 are left of it in the next window. Half of the throttle is the exit, and the venue's halt takes its place.
    assert codes(bench.flow(150, 1)) == [(REOPENING, C.FLOW)]
    assert bench.states() == [THROTTLED, THROTTLED, REOPENING]
    # Two windows later it is forgotten, and 500 begin anew.
    assert codes(bench.flow(240, 500)) == [(OPEN, C.FLOW), (OPEN, C.FLOW)]


def test_a_new_wave_of_flow_is_judged_anew() -> None:
    """The first wave was stopped and is spent; nothing settles the venue while it is OPEN. A later, larger wave halts it again."""
    bench = Bench(BreakerRules(flow_halt=2_000, flow_window_ns=1_000 * SECOND))
    assert codes(bench.flow(0, 2_000)) == [(HALTED, C.FLOW)]
    assert [codes(bench.wait(second, VENUE)) for second in (600, 660)] == [[(REOPENING, C.FLOW)], [(OPEN, C.FLOW)]]
    assert bench.spent(VENUE) == {C.FLOW}
    assert codes(bench.flow(1_000, 10_000)) == []  # the same wave: what was spent still counts
    assert codes(bench.flow(3_000, 1_999)) == []
    assert bench.spent(VENUE) == set()
    assert codes(bench.flow(3_001, 1)) == [(HALTED, C.FLOW)]


@pytest.mark.parametrize("cause", [C.PRICE, C.FLOW])
def test_a_halt_is_more_than_the_throttle_that_was_spent(cause: BreakerCause) -> None:
    """What was spent as a throttle halts when it becomes a halt; what was spent as a halt does not."""
    bench = Bench(BreakerRules(hold_max_ns=10 * SECOND), market=PRICE | {"flow_throttle": 1_000, "flow_halt": 2_000})
    bench.mark(0, 1_000)
    first = bench.mark(1, 940) if cause == C.PRICE else bench.flow(1, 1_000)
    assert codes(first) == [(THROTTLED, cause)]
    assert codes(bench.wait(11)) == [(OPEN, cause)]
    assert bench.spent() == {cause}
    second = bench.mark(12, 890) if cause == C.PRICE else bench.flow(12, 1_000)
    assert codes(second) == [(HALTED, cause)]
    assert codes(bench.wait(22)) == [(REOPENING, cause)]
    assert codes(bench.wait(82)) == [(OPEN, cause)]
    assert bench.spent() == {cause}
    third = bench.mark(83, 700) if cause == C.PRICE else bench.flow(83, 1_000)
    assert codes(third) == []


def test_flow_that_nothing_is_left_of_ends_whatever_its_exit() -> None:
    bench = Bench(BreakerRules(flow_exit_ppm=0), market={"flow_throttle": 5})
    assert codes(bench.flow(1, 5)) == [(THROTTLED, C.FLOW)]
    bench.at(119)
    breakers.settle(bench.state, 0)
    assert not bench.said()
    bench.at(120)
    breakers.settle(bench.state, 0)
    assert codes(bench.said()) == [(OPEN, C.FLOW)]


def test_flow_beyond_63_bits_stops_the_engine() -> None:
    bench = Bench(market={"flow_halt": 1 << 62})
    bench.flow(1, 1 << 61)
    bench.flow(61, (1 << 62) - 1)
    with pytest.raises(OverflowError):
        bench.flow(62, 1 << 62)


# -- stale, outage, operator, deficit --------------------------------------------------------------


def test_a_silent_feed_is_stale_until_it_speaks() -> None:
    bench = Bench(BreakerRules(stale_ns=10 * SECOND))
    assert not bench.wait(100)
    assert breakers.next_timer_ns(bench.state) == NEVER_NS
    bench.mark(100, 5)
    bench.mark(105, 5)
    assert breakers.next_timer_ns(bench.state) == 115 * SECOND
    assert not bench.wait(114.9)
    assert codes(bench.wait(115)) == [(HALTED, C.STALE)]
    assert breakers.next_timer_ns(bench.state) == 715 * SECOND
    assert codes(bench.mark(120, 5)) == [(REOPENING, C.STALE)]
    assert codes(bench.wait(131)) == [(HALTED, C.STALE)]


def test_a_feed_whose_silence_was_spent_may_be_silent_again() -> None:
    """The mark that ends a silence takes STALE out of the spent, though the machine is OPEN and nothing asks for anything."""
    bench = Bench(BreakerRules(stale_ns=10 * SECOND))
    bench.mark(0, 5)
    assert [codes(bench.wait(second)) for second in (10, 610, 670)] == [[(state, C.STALE)] for state in (HALTED, REOPENING, OPEN)]
    assert bench.spent() == {C.STALE}
    assert not bench.mark(700, 5)
    assert bench.spent() == set()
    assert codes(bench.wait(710)) == [(HALTED, C.STALE)]


def test_a_gap_of_all_events_halts_the_venue_for_a_grace() -> None:
    rules = BreakerRules(outage_gap_ns=30 * SECOND, outage_grace_ppm=500_000, outage_grace_max_ns=40 * SECOND)
    for gap_s, grace_s in ((30, 15), (31, 15.5), (79, 39.5), (80, 40), (10_000_000, 40)):
        bench = Bench(rules)
        bench.at(1_000)
        bench.engine.accepted = 1
        breakers.check_outage(bench.state, (1_000 + gap_s) * SECOND)
        bench.at(1_000 + gap_s)
        assert codes(bench.end()) == [(HALTED, C.OUTAGE)]
        assert breakers.next_timer_ns(bench.state) == (1_000 + gap_s + grace_s) * SECOND
        assert codes(bench.wait(1_000 + gap_s + grace_s, VENUE)) == [(REOPENING, C.OUTAGE)]
        assert breakers.next_timer_ns(bench.state) == (1_000 + gap_s + grace_s + 60) * SECOND


def test_an_outage_halts_although_the_last_one_was_spent() -> None:
    """A grace longer than the longest hold is spent; a new silence before its end is a new outage."""
    bench = Bench(BreakerRules(outage_gap_ns=SECOND, outage_grace_ppm=1_000_000, outage_grace_max_ns=900 * SECOND))
    bench.engine.accepted = 1
    breakers.check_outage(bench.state, 2_000 * SECOND)
    bench.at(2_000)
    assert codes(bench.end()) == [(HALTED, C.OUTAGE)]
    assert [codes(bench.wait(second, VENUE)) for second in (2_600, 2_660)] == [[(REOPENING, C.OUTAGE)], [(OPEN, C.OUTAGE)]]
    assert bench.spent(VENUE) == {C.OUTAGE}
    breakers.check_outage(bench.state, 2_700 * SECOND)
    bench.at(2_700)
    assert codes(bench.end()) == [(HALTED, C.OUTAGE)]


def test_what_is_no_outage() -> None:
    rules = BreakerRules(outage_gap_ns=30 * SECOND)
    first, short, off = Bench(rules), Bench(rules), Bench()
    breakers.check_outage(first.state, 1 << 60)
    short.engine.accepted = off.engine.accepted = 1
    breakers.check_outage(short.state, 30 * SECOND - 1)
    breakers.check_outage(off.state, 1 << 60)
    assert [bench.end() for bench in (first, short, off)] == [[], [], []]


def test_an_operator_halts_throttles_and_reopens() -> None:
    bench = Bench()
    bench.at(100)
    assert codes(bench.order(Operator.HALT, 50)) == [(HALTED, C.OPERATOR)]
    assert codes(bench.order(Operator.THROTTLE, 70)) == [(REOPENING, C.OPERATOR)]
    assert breakers.next_timer_ns(bench.state) == 160 * SECOND
    assert codes(bench.wait(160)) == [(THROTTLED, C.OPERATOR)]
    assert codes(bench.wait(170)) == [(OPEN, C.OPERATOR)]
    assert codes(bench.order(Operator.HALT, 1_000, NONE)) == [(HALTED, C.OPERATOR)]
    assert bench.states() == [OPEN, OPEN, HALTED]
    assert codes(bench.order(Operator.REOPEN, 0, NONE)) == [(REOPENING, C.OPERATOR)]
    assert codes(bench.wait(230, VENUE)) == [(OPEN, C.OPERATOR)]
    assert breakers.next_timer_ns(bench.state) == NEVER_NS


def test_an_order_that_outlasts_the_longest_hold_must_be_given_again() -> None:
    bench = Bench()
    bench.order(Operator.HALT, 86_400)
    assert codes(bench.wait(600)) == [(REOPENING, C.OPERATOR)]
    assert codes(bench.wait(660)) == [(OPEN, C.OPERATOR)]
    assert bench.spent() == {C.OPERATOR}
    assert codes(bench.order(Operator.HALT, 86_400)) == [(HALTED, C.OPERATOR)]


def test_an_operator_spends_what_halts() -> None:
    """REOPEN ends a halt by PRICE and DEFICIT; PRICE halts again only after it was 0."""
    bench = Bench(market=PRICE)
    bench.mark(1, 1_000)
    breakers.raise_deficit(bench.state, 0)
    assert codes(bench.end()) == [(HALTED, C.DEFICIT)]
    assert not bench.mark(2, 1_100)
    assert codes(bench.order(Operator.REOPEN)) == [(REOPENING, C.DEFICIT)]
    assert (bench.level(C.DEFICIT), bench.level(C.PRICE), bench.spent()) == (0, 2, {C.PRICE})
    assert not bench.mark(3, 1_200)
    assert codes(bench.mark(200, 1_200)) == [(OPEN, C.DEFICIT)]
    assert bench.spent() == set()
    assert codes(bench.mark(201, 1_400)) == [(HALTED, C.PRICE)]


def test_what_is_zero_when_the_operator_reopens_is_not_spent() -> None:
    """FLOW that comes in the same event as the order still halts."""
    bench = Bench(market={"flow_halt": 10})
    breakers.apply_operator(bench.state, 0, int(Operator.REOPEN), 0)
    assert codes(bench.flow(1, 10)) == [(HALTED, C.FLOW)]


def test_a_deficit_halts_for_the_longest_hold_once() -> None:
    bench = Bench()
    breakers.raise_deficit(bench.state, 1)
    breakers.raise_deficit(bench.state, 1)
    assert int(bench.engine.dirty_now) == 1
    assert codes(bench.end()) == [(HALTED, C.DEFICIT)]
    assert codes(bench.wait(600, 1)) == [(REOPENING, C.DEFICIT)]
    assert (bench.level(C.DEFICIT, 1), bench.spent(1)) == (0, set())
    breakers.raise_deficit(bench.state, 1)
    assert codes(bench.end()) == [(HALTED, C.DEFICIT)]


def test_dirty_machines_are_settled_in_the_order_in_which_they_became_so() -> None:
    bench = Bench(BreakerRules(flow_throttle=5), market={"flow_throttle": 5})
    breakers.raise_deficit(bench.state, 1)
    breakers.add_flow(bench.state, 0, 5)
    assert [effect.market for effect in bench.end()] == [1, 0, NONE]
    assert not bench.state.breakers["is_dirty"].any()


def test_a_timer_is_never_missed_by_the_bound() -> None:
    """``engine.timer_ns`` is at most the exact time, whatever sets a deadline."""
    bench = Bench(BreakerRules(stale_ns=500 * SECOND, outage_gap_ns=SECOND))
    bench.engine.accepted = 1
    for act in (
        lambda: bench.mark(10, 5),
        lambda: bench.order(Operator.HALT, 90),
        lambda: bench.order(Operator.THROTTLE, 20, NONE),
        lambda: bench.mark(20, 5),
        lambda: breakers.check_outage(bench.state, 30 * SECOND),
        lambda: bench.end(),
        lambda: bench.order(Operator.REOPEN),
    ):
        act()
        bound = int(bench.engine.timer_ns)
        exact = breakers.next_timer_ns(bench.state)
        assert bound <= exact < NEVER_NS
        assert int(bench.engine.timer_ns) == exact


# -- drawdown --------------------------------------------------------------------------------------


def balance(bench: Bench, group: int, atoms: int) -> None:
    """Set a fund's balance."""
    bench.state.house[house_slot(fund_of(group))] = atoms


def test_drawdown_throttles_the_markets_of_its_group() -> None:
    rules = FundsRules(drawdown_window_ns=160 * SECOND, drawdown_enter_ppm=250_000, drawdown_exit_ppm=100_000)
    bench = Bench(fund=rules, groups=2)
    bench.at(1_000)
    for group in (0, 1):
        shift_peaks(bench.state, group, 1_000)
        balance(bench, group, 1_000)
    assert not bench.end()
    bench.at(1_010)
    balance(bench, 1, 751)
    assert not bench.end()
    balance(bench, 1, 750)
    assert [(effect.market, effect.code, effect.lots) for effect in bench.end()] == [(1, THROTTLED, C.DRAWDOWN)]
    # Paid in: neither gain nor loss, the gap is as wide as before, but a smaller part of the peak.
    shift_peaks(bench.state, 1, 1_000)
    balance(bench, 1, 1_750)
    assert not bench.end()
    assert bench.level(C.DRAWDOWN, 1) == 1
    # Earned: 10 % or more below the peak of 2000 keep the level, less end it.
    balance(bench, 1, 1_800)
    assert not bench.end()
    balance(bench, 1, 1_801)
    assert codes(bench.end()) == [(OPEN, C.DRAWDOWN)]
    assert bench.states() == [OPEN, OPEN, OPEN]


@settings_of(150)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-300, 300), st.booleans()), min_size=1, max_size=40),
    st.sampled_from((16, 100, 161)),
    st.sampled_from((0, 1_000, 1 << 40)),
)
def test_the_peak_is_that_of_the_latest_slots(steps: list[tuple[int, int, bool]], window: int, begin: int) -> None:
    """Against every balance that ever stood, as of the slots: CASH moves all of them."""
    bench = Bench(fund=FundsRules(drawdown_window_ns=window, drawdown_enter_ppm=1_000_000, drawdown_exit_ppm=1))
    slot_ns, now, level = -(-window // 16), begin, 0
    held = [(0, now, 0)]
    shift_peaks(bench.state, 0, 0)
    for gap, change, is_cash in steps:
        last = held[-1][2]
        now += gap
        held[-1] = (held[-1][0], now, last)
        bench.engine.now_ns = now
        is_cash &= change != 0
        before, first = last, now // slot_ns - 16
        if is_cash:
            # Now and then the event pays out what was paid in: the balance is as before, its peaks are not.
            shift_peaks(bench.state, 0, change)
            held = [(start, end, atoms + change) for start, end, atoms in held]
            before, change = last + change, 0 if gap % 5 == 0 else change
        old_peak = max(atoms for _, end, atoms in held if end // slot_ns >= first)
        held.append((now, now, last + change))
        balance(bench, 0, last + change)
        judge_drawdowns(bench.state)
        if change or is_cash:
            peak = max(atoms for _, end, atoms in held if end // slot_ns >= first)
            assert max(bench.state.funds[0].peak) == peak
            if old_peak <= 0 or old_peak == before:  # no drawdown was left before the event
                level = 0
            drawdown = (peak - last - change) * 1_000_000 // peak if peak > 0 else 0
            level = 1 if drawdown >= 1_000_000 else 0 if drawdown < 1 else level
        assert int(bench.state.funds[0].drawdown_level) == level == bench.level(C.DRAWDOWN)
