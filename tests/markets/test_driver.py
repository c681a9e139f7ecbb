"""The driver with the real engine: one merged stream, the same wherever it is cut (INV-09), and
sufficient for replay.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backstop.core.digest import state_digest
from backstop.core.engine import apply_at
from backstop.core.events import EVENT, NEVER_NS, EffectKind, EventKind
from backstop.core.state import State, new_state
from backstop.markets.driver import Stop, batches, drive
from backstop.markets.world import World, new_world
from tests.markets.worlds import SECOND, Book, event, marks, opening, small_rules, steps

CRASH = [100_000, 99_000, 97_000, 95_500, 94_000, 93_500, 92_000, 90_000, 91_000, 95_000]


def crash_events() -> NDArray[np.void]:
    """Return 60 accounts of two markets at ten times leverage, and a fall of 10 % in ten
    seconds.
    """
    first = opening(60, 40, 100_000, 4_400_000)
    fall = np.concatenate([marks(1, CRASH), marks(1, [50_000 + price // 2 for price in CRASH], market=1)])
    return np.concatenate([first, fall[np.argsort(fall["time_ns"], kind="stable")]])


def fresh(impact: bool = True, effects_max: int = 1 << 16, book: Book | None = None) -> tuple[State, World]:
    rules = small_rules(2, effects_max=effects_max)
    schedule = steps((4, 0, 300_000), (8, 0, 900_000))
    return new_state(rules), new_world(rules, [book or Book()] * 2, start_ns=0, impact=impact, schedule=schedule)


def run(state: State, world: World, chunks: list[NDArray[np.void]], batch_events: int = 4096) -> tuple[bytes, bytes, str]:
    events, effects = b"", b""
    for batch in batches(state, world, chunks, batch_events):
        assert len(batch.events) <= batch_events
        events += batch.events.tobytes()
        effects += batch.effects.tobytes()
    return events, effects, state_digest(state)


@pytest.fixture(scope="module")
def whole() -> tuple[bytes, bytes, str]:
    return run(*fresh(), [crash_events()])


def test_the_crash_reaches_the_book_and_is_answered(whole: tuple[bytes, bytes, str]) -> None:
    events, effects = np.frombuffer(whole[0], EVENT), np.frombuffer(whole[1], dtype=new_state(small_rules()).effects.dtype)
    orders = effects[effects["kind"] == EffectKind.ORDER]
    done = events[events["kind"] == EventKind.ORDER_DONE]
    assert len(orders) > 10
    assert sorted(orders["other"]) == sorted(done["other"])
    assert not (effects["kind"] == EffectKind.REFUSAL).any()


def test_the_merged_stream_is_in_order_and_numbered_from_one(whole: tuple[bytes, bytes, str]) -> None:
    events = np.frombuffer(whole[0], EVENT)
    assert np.array_equal(events["seq"], np.arange(1, len(events) + 1))
    assert (np.diff(events["time_ns"]) >= 0).all()


def test_at_one_time_outside_events_come_first_then_answers_then_depth_then_clock(whole: tuple[bytes, bytes, str]) -> None:
    events = np.frombuffer(whole[0], EVENT)
    rank = {EventKind.ORDER_FILL: 1, EventKind.ORDER_DONE: 1, EventKind.DEPTH: 2, EventKind.CLOCK: 3}
    for time_ns in np.unique(events["time_ns"]):
        here = [rank.get(EventKind(kind), 0) for kind in events["kind"][events["time_ns"] == time_ns]]
        if 1 not in here:  # the depth that follows an order's answers belongs to them
            assert here == sorted(here)
        assert 0 not in here[here.count(0) :]


def test_replay_of_the_merged_stream_needs_neither_path_nor_world(whole: tuple[bytes, bytes, str]) -> None:
    events = np.frombuffer(whole[0], EVENT).copy()
    state, _ = fresh()
    for index in range(len(events)):
        apply_at(state, events, index)
    assert state_digest(state) == whole[2]
    assert state.effects[: int(state.engine[0].effects_now)].tobytes() == whole[1]


@settings(max_examples=25, deadline=None)
@given(batch_events=st.integers(1, 300), cuts=st.lists(st.integers(0, 270), max_size=6), effects_max=st.sampled_from([1 << 10, 1 << 16]))
def test_where_the_stream_is_cut_changes_nothing(
    whole: tuple[bytes, bytes, str], batch_events: int, cuts: list[int], effects_max: int
) -> None:
    outside = crash_events()
    chunks = np.split(outside, sorted(min(cut, len(outside)) for cut in cuts))
    assert run(*fresh(effects_max=effects_max), chunks, batch_events) == whole


def test_what_the_engine_believes_of_the_depth_is_what_it_was_told() -> None:
    state, world = fresh()
    outside, merged = crash_events(), np.zeros(1, dtype=EVENT)
    checked = 0
    while True:
        count, stop = drive(state, world, outside, True, merged)
        if stop == Stop.FINISHED:
            break
        assert (count, stop) == (1, Stop.FULL)
        if world.control[0].answers_next < world.control[0].answers_now:
            continue
        told = world.bands["told_lots"]
        known = told >= 0
        assert np.array_equal(state.markets["depth_lots"][known], told[known])
        checked += 1
    assert checked > 100


def test_impact_shifts_the_marks_that_the_engine_sees(whole: tuple[bytes, bytes, str]) -> None:
    outside = crash_events()
    given_marks = outside["price_ticks"][(outside["kind"] == EventKind.MARK) & (outside["market"] == 0)]

    def seen(merged: bytes) -> NDArray[np.int64]:
        events = np.frombuffer(merged, EVENT)
        return np.asarray(events["price_ticks"][(events["kind"] == EventKind.MARK) & (events["market"] == 0)])

    assert np.array_equal(seen(run(*fresh(impact=False), [outside])[0]), given_marks)
    assert seen(whole[0])[-1] < given_marks[-1]


def test_a_wait_that_nothing_else_ends_is_ended_by_a_clock() -> None:
    state, world = fresh(book=Book(depth_lots=(0, 0, 0)))
    outside = np.concatenate([opening(2, 40, 100_000, 4_400_000), marks(1, [93_000])])
    merged = np.zeros(200, dtype=EVENT)
    count, stop = drive(state, world, outside, True, merged)
    assert stop == Stop.FINISHED
    clocks = merged[:count][merged[:count]["kind"] == EventKind.CLOCK]
    assert len(clocks) == world.control[0].clocks > 0
    assert clocks["time_ns"][0] > SECOND
    assert state.accounts[0].wait_until_ns == NEVER_NS


def test_the_venue_does_not_run_on_beyond_its_drain() -> None:
    rules = small_rules(1)
    state, world = new_state(rules), new_world(rules, [Book(depth_lots=(0, 0, 0))], start_ns=0, impact=False, drain_ns=SECOND // 2)
    merged = np.zeros(200, dtype=EVENT)
    outside = np.concatenate([opening(2, 40, 100_000, 4_400_000), marks(1, [93_000])])
    count, stop = drive(state, world, outside, True, merged)
    assert stop == Stop.FINISHED
    assert merged["time_ns"][:count].max() == SECOND
    assert state.accounts[0].wait_until_ns != NEVER_NS


def test_an_event_that_the_engine_refuses_stops_nothing() -> None:
    state, world = fresh()
    bad = event(EventKind.MARK, SECOND, market=77, price_ticks=5)
    outside = np.concatenate([opening(2, 4, 100_000, 4_400_000), bad, marks(2, [99_000])])
    merged = np.zeros(200, dtype=EVENT)
    _, stop = drive(state, world, outside, True, merged)
    assert stop == Stop.FINISHED
    assert state.engine[0].refused == 1
    assert state.markets[0].mark_ticks == world.books[0].mark_ticks == 99_000


def test_time_that_runs_backward_is_refused_before_the_engine_sees_it() -> None:
    outside = np.concatenate([marks(5, [100_000]), marks(4, [100_000])])
    for chunks in ([outside], [outside[:1], outside[1:]]):
        with pytest.raises(ValueError, match=r"outside event [01]: time_ns = 4000000000: must not be before 5000000000"):
            list(batches(*fresh(), chunks))


def test_no_outside_events_at_all_end_at_once() -> None:
    assert list(batches(*fresh(), [])) == []


def test_outside_taken_counts_over_chunks() -> None:
    outside = crash_events()
    taken = [batch.outside_taken for batch in batches(*fresh(), [outside[:100], outside[100:]], 50)]
    assert taken[-1] == len(outside)
    assert all(low <= high for low, high in pairwise(taken))
