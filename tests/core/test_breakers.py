"""Circuit breakers by themselves: each signal by hand.

No event and no account: a state made by hand, its clock set by hand. The machine in every
configuration is in ``test_breaker_machine.py``, what the engine does with breakers in
``test_stops.py``.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core import breakers, timers
from backstop.core.drawdown import judge_drawdowns, shift_peaks
from backstop.core.events import NEVER_NS, NONE, BreakerCause, EffectKind, EventKind, Operator, fund_of
from backstop.core.instruments import BreakerRules, FundsRules
from backstop.core.places import house_slot
from backstop.reference.records import Effect
from tests.core.bench import HALTED, OPEN, PRICE, REOPENING, SECOND, THROTTLED, VENUE, Bench, C, codes
from tests.properties.profile import settings_of

pytestmark = pytest.mark.bounds

# -- price -----------------------------------------------------------------------------------------


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
    # Three windows later nothing but the old mark counts; 9.9 % up throttle, a fall of 10 % from
    # the top of both windows halts.
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
    """Beyond the band a mark halts, up to it it halts only where it is the halt exactly; a mark
    beyond it lifts the band.
    """
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
    # Ten percent below 1003 is above the mark: no band for sells. A buy may go up to ten percent
    # above 900.
    assert [breakers.band_ticks(bench.state, 0, is_sell) for is_sell in (True, False)] == [0, 990]
    bench.mark(3, 1_004)
    assert [breakers.band_ticks(bench.state, 0, is_sell) for is_sell in (True, False)] == [904, 0]
    assert Bench().mark(1, 1_000) == []
    off = Bench()
    off.mark(1, 1_000)
    assert breakers.band_ticks(off.state, 0, True) == 0


# -- flow ------------------------------------------------------------------------------------------


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
    # 500 are left of it in the next window. Half of the throttle is the exit, and the venue's halt
    # takes its place.
    assert codes(bench.flow(150, 1)) == [(REOPENING, C.FLOW)]
    assert bench.states() == [THROTTLED, THROTTLED, REOPENING]
    # Two windows later it is forgotten, and 500 begin anew.
    assert codes(bench.flow(240, 500)) == [(OPEN, C.FLOW), (OPEN, C.FLOW)]


def test_a_new_wave_of_flow_is_judged_anew() -> None:
    """The first wave was stopped and is spent; nothing settles the venue while it is OPEN.

    A later, larger wave halts it again.
    """
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
    """What was spent as a throttle halts when it becomes a halt; what was spent as a halt does
    not.
    """
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
    bench = Bench(BreakerRules(stale_ns=10 * SECOND, outage_grace_ppm=0))
    assert not bench.wait(100)
    assert timers.next_timer_ns(bench.state) == NEVER_NS
    bench.mark(100, 5)
    bench.mark(105, 5)
    assert timers.next_timer_ns(bench.state) == 115 * SECOND
    assert not bench.wait(114.9)
    assert codes(bench.wait(115)) == [(HALTED, C.STALE)]
    assert timers.next_timer_ns(bench.state) == 715 * SECOND
    assert codes(bench.mark(120, 5)) == [(REOPENING, C.STALE)]
    assert codes(bench.wait(131)) == [(HALTED, C.STALE)]


def test_a_feed_that_returns_has_a_grace() -> None:
    """Silent from 105 to 125: a grace of 10, in which it halts again though its halt was spent."""
    bench = Bench(BreakerRules(hold_max_ns=5 * SECOND, reopen_ns=SECOND, stale_ns=10 * SECOND, outage_grace_ppm=500_000))
    bench.mark(105, 5)
    assert [codes(bench.wait(second)) for second in (115, 120, 121)] == [[(state, C.STALE)] for state in (HALTED, REOPENING, OPEN)]
    assert codes(bench.mark(125, 5)) == [(HALTED, C.STALE)]
    assert not bench.mark(126, 5)
    assert codes(bench.wait(130)) == [(REOPENING, C.STALE)]
    assert bench.level(C.STALE) == 2
    assert codes(bench.wait(135)) == [(OPEN, C.STALE)]
    assert bench.level(C.STALE) == 0


def test_a_feed_that_dies_in_its_grace_is_stale_again() -> None:
    bench = Bench(BreakerRules(stale_ns=10 * SECOND, outage_grace_ppm=1_000_000))
    bench.mark(0, 5)
    assert codes(bench.wait(10)) == [(HALTED, C.STALE)]
    assert not bench.mark(100, 5)
    assert not bench.wait(110)
    assert bench.level(C.STALE) == 2
    assert int(bench.state.breakers[0].grace_until_ns) == NEVER_NS
    assert not bench.mark(111, 5)
    assert int(bench.state.breakers[0].grace_until_ns) == (111 + 11) * SECOND


def test_a_feed_whose_silence_was_spent_may_be_silent_again() -> None:
    """The mark that ends a silence takes STALE out of the spent, though the machine is OPEN and
    nothing asks for anything.
    """
    bench = Bench(BreakerRules(stale_ns=10 * SECOND, outage_grace_ppm=0))
    bench.mark(0, 5)
    assert [codes(bench.wait(second)) for second in (10, 610, 670)] == [[(state, C.STALE)] for state in (HALTED, REOPENING, OPEN)]
    assert bench.spent() == {C.STALE}
    assert not bench.mark(700, 5)
    assert bench.spent() == set()
    assert codes(bench.wait(710)) == [(HALTED, C.STALE)]


def test_a_gap_of_all_markets_halts_the_venue_for_a_grace() -> None:
    rules = BreakerRules(outage_gap_ns=30 * SECOND, outage_grace_ppm=500_000, outage_grace_max_ns=40 * SECOND)
    for gap_s, grace_s in ((30, 15), (31, 15.5), (79, 39.5), (80, 40), (10_000_000, 40)):
        bench = Bench(rules)
        bench.at(1_000)
        bench.live(1_000)
        bench.live(1_000 + gap_s)
        assert codes(bench.wait(1_000 + gap_s, VENUE)) == [(HALTED, C.OUTAGE)]
        assert bench.end() == []
        assert timers.next_timer_ns(bench.state) == (1_000 + gap_s + grace_s) * SECOND
        assert codes(bench.wait(1_000 + gap_s + grace_s, VENUE)) == [(REOPENING, C.OUTAGE)]
        assert timers.next_timer_ns(bench.state) == (1_000 + gap_s + min(grace_s + 60, 30)) * SECOND


def test_an_outage_halts_although_the_last_one_was_spent() -> None:
    """A grace longer than the longest hold is spent; a new silence before its end is a new
    outage.
    """
    bench = Bench(BreakerRules(outage_gap_ns=SECOND, outage_grace_ppm=1_000_000, outage_grace_max_ns=900 * SECOND))
    bench.live(0)
    bench.live(2_000)
    assert codes(bench.end()) == [(HALTED, C.OUTAGE)]
    assert [codes(bench.wait(second, VENUE)) for second in (2_600, 2_660)] == [[(REOPENING, C.OUTAGE)], [(OPEN, C.OUTAGE)]]
    assert bench.spent(VENUE) == {C.OUTAGE}
    bench.live(2_700)
    assert codes(bench.end()) == [(HALTED, C.OUTAGE)]


def test_what_is_no_outage() -> None:
    rules = BreakerRules(outage_gap_ns=30 * SECOND)
    first, short, off = Bench(rules), Bench(rules), Bench()
    breakers.check_outage(first.state, EventKind.MARK, 1 << 60)
    short.live(0)
    off.live(0)
    breakers.check_outage(short.state, EventKind.MARK, 30 * SECOND - 1)
    breakers.check_outage(off.state, EventKind.MARK, 1 << 60)
    assert [bench.end() for bench in (first, short, off)] == [[], [], []]


def test_an_operator_halts_throttles_and_reopens() -> None:
    bench = Bench()
    bench.at(100)
    assert codes(bench.order(Operator.HALT, 50)) == [(HALTED, C.OPERATOR)]
    assert codes(bench.order(Operator.THROTTLE, 70)) == [(REOPENING, C.OPERATOR)]
    assert timers.next_timer_ns(bench.state) == 160 * SECOND
    assert codes(bench.wait(160)) == [(THROTTLED, C.OPERATOR)]
    assert codes(bench.wait(170)) == [(OPEN, C.OPERATOR)]
    assert codes(bench.order(Operator.HALT, 1_000, NONE)) == [(HALTED, C.OPERATOR)]
    assert bench.states() == [OPEN, OPEN, HALTED]
    assert codes(bench.order(Operator.REOPEN, 0, NONE)) == [(REOPENING, C.OPERATOR)]
    assert codes(bench.wait(230, VENUE)) == [(OPEN, C.OPERATOR)]
    assert timers.next_timer_ns(bench.state) == NEVER_NS


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
    breakers.raise_deficit(bench.state, 0, 1)
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
    breakers.raise_deficit(bench.state, 1, 1)
    breakers.raise_deficit(bench.state, 1, 1)
    assert int(bench.engine.dirty_now) == 1
    assert codes(bench.end()) == [(HALTED, C.DEFICIT)]
    assert codes(bench.wait(600, 1)) == [(REOPENING, C.DEFICIT)]
    assert (bench.level(C.DEFICIT, 1), bench.spent(1)) == (0, set())
    breakers.raise_deficit(bench.state, 1, 1)
    assert codes(bench.end()) == [(HALTED, C.DEFICIT)]


def test_dirty_machines_are_settled_in_the_order_in_which_they_became_so() -> None:
    bench = Bench(BreakerRules(flow_throttle=5), market={"flow_throttle": 5})
    breakers.raise_deficit(bench.state, 1, 1)
    breakers.add_flow(bench.state, 0, 5)
    assert [effect.market for effect in bench.end()] == [1, 0, NONE]
    assert not bench.state.breakers["is_dirty"].any()


def test_a_timer_is_never_missed_by_the_bound() -> None:
    """``engine.timer_ns`` is at most the exact time, whatever sets a deadline."""
    bench = Bench(BreakerRules(stale_ns=500 * SECOND, outage_gap_ns=SECOND))
    for act in (
        lambda: bench.live(5),
        lambda: bench.mark(10, 5),
        lambda: bench.order(Operator.HALT, 90),
        lambda: bench.order(Operator.THROTTLE, 20, NONE),
        lambda: bench.mark(20, 5),
        lambda: bench.live(30),
        lambda: bench.wait(30, VENUE),
        lambda: bench.end(),
        lambda: bench.order(Operator.REOPEN),
    ):
        act()
        bound = int(bench.engine.timer_ns)
        exact = timers.next_timer_ns(bench.state)
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
            # Now and then the event pays out what was paid in: the balance is as before, its peaks
            # are not.
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
