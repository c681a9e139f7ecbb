"""The compiled machine of a circuit breaker in every configuration, whom a stop answers, and that
every stop ends.

No event and no account. Each signal by hand is in ``test_breakers.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core import breakers, timers
from backstop.core.events import NEVER_NS, NONE, BreakerCause, BreakerState, EffectKind, Operator
from backstop.core.instruments import BreakerRules
from backstop.reference.records import Effect
from tests.core.bench import HALTED, HOLD, OPEN, PRICE, REOPEN, REOPENING, SECOND, THROTTLED, VENUE, Bench, C, codes
from tests.properties.profile import settings_of

pytestmark = pytest.mark.bounds

# -- every configuration ---------------------------------------------------------------------------

#: One cause of each sort: a signal, one that time begins, one that time ends, one that nothing but
#: a hold ends.
SORTS = (C.PRICE, C.STALE, C.OPERATOR, C.DEFICIT)
#: The rule's table: what a state and the highest level ask for. Where time is over, the same state
#: is a new hold of it.
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
    """Yield every state, whether its time is over, every level of each sort of cause, each of them
    spent, answered, both or neither.
    """
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
    """All states, levels, spent and answered causes, ends: one transition at most, with its cause
    and its end.

    A second settle does nothing. A new hold of the same state answers more causes than before, so a
    stop has no more holds than causes.
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
    """From every configuration, nothing but time passing: OPEN after three holds and a reopening at
    most, and for good.

    Three: the halt that stands, one for whoever began to ask in it, a throttle for whoever asks for
    no more.
    """
    bench, longest = Bench(), 0
    row = bench.state.breakers[0]
    for found in configurations():
        put(bench, found)
        begin, moves = int(bench.engine.now_ns), 0
        breakers.settle(bench.state, 0)
        while row.state != OPEN:
            assert timers.next_timer_ns(bench.state) == row.until_ns
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
    """Whatever the levels do: no state but OPEN lasts longer than its time, and a spent cause stays
    silent until it was 0.

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


# -- who is answered -------------------------------------------------------------------------------


def test_a_crash_a_second_before_the_end_of_an_order_has_its_own_halt() -> None:
    """Halted by the operator until 600, a crash at 599: PRICE halts until 1200, and is spent then,
    the order before it.
    """
    bench = Bench(market=PRICE)
    bench.mark(0, 1_000)
    assert codes(bench.order(Operator.HALT, 3_600)) == [(HALTED, C.OPERATOR)]
    assert not bench.mark(599, 800)
    assert bench.wait(600) == [Effect(NONE, EffectKind.BREAKER, HALTED, 0, NONE, HALTED, C.PRICE, 0, 1_200 * SECOND, 200_000)]
    assert bench.spent() == {C.OPERATOR}
    assert codes(bench.wait(1_200)) == [(REOPENING, C.PRICE)]
    assert bench.spent() == {C.OPERATOR, C.PRICE}


def test_a_throttle_that_is_over_halts_for_what_comes_at_that_moment() -> None:
    """Throttled by an order until 600, when the feed is found silent: halted, not OPEN with a
    silence that is spent.
    """
    bench = Bench(BreakerRules(stale_ns=500 * SECOND))
    bench.mark(100, 5)
    bench.at(0)
    bench.order(Operator.THROTTLE, 3_600)
    assert codes(bench.wait(600)) == [(HALTED, C.STALE)]
    assert bench.spent() == {C.OPERATOR}


def test_an_outage_in_which_a_hold_ends_halts() -> None:
    """The venue is halted by an order until 600; the engine is away from 500 to 1000.

    The outage was answered by nothing.
    """
    bench = Bench(BreakerRules(outage_gap_ns=60 * SECOND, outage_grace_ppm=100_000, outage_grace_max_ns=900 * SECOND))
    bench.order(Operator.HALT, 3_600, NONE)
    bench.live(500)
    bench.live(1_000)
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
    breakers.raise_deficit(bench.state, 0, 1)
    assert not bench.end()
    assert codes(bench.wait(601)) == [(HALTED, C.DEFICIT)]
    bench.at(900)
    breakers.raise_deficit(bench.state, 0, 1)
    assert not bench.end()
    assert codes(bench.wait(1_201)) == [(REOPENING, C.DEFICIT)]
    assert (bench.level(C.DEFICIT), bench.spent()) == (0, {C.PRICE})


# -- precedence, effective state -------------------------------------------------------------------


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
