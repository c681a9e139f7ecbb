"""Copies of a state: whatever is copied, pickled or reset goes on as the original would.

The streams are the campaign's: every profile of them reaches its own corner.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from backstop.core.columns import COLUMNS, WAIT_ACCOUNT, WAIT_TIME
from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EFFECT, EventArray
from backstop.core.instruments import LimitRules, VenueRules
from backstop.core.state import State, effects_rows, new_state
from backstop.core.used import KEPT, KEPT_BY_MARKET, used_parts
from backstop.reference.records import events_array
from tests.core.desk import make_rules
from tests.streams.random_streams import make_stream
from tests.streams.settings import PROFILES

pytestmark = pytest.mark.bounds

#: Every column that a copy has; of the heap of waits, what is in use.
COLUMNS_KEPT = [*KEPT, *KEPT_BY_MARKET]
#: Above the seeds of other tests.
FIRST = 70_000 * len(PROFILES)
ALL = range(FIRST, FIRST + len(PROFILES))


def run(state: State, events: EventArray) -> tuple[bytes, str]:
    """Apply events; return all effects, as bytes, and the digest at the end."""
    taken, place = bytearray(), 0
    while place < len(events):
        place = int(step(state, events, place))
        taken += state.effects[: int(state.engine[0].effects_now)].tobytes()
        state.engine[0].effects_now = 0
    return bytes(taken), state_digest(state)


class Story(NamedTuple):
    """A stream that a state has read to somewhere in its middle, and what it does from there on."""

    seed: int
    rules: VenueRules
    state: State
    rest: EventArray
    expected: tuple[bytes, str]


def story_of(seed: int) -> Story | None:
    """Return the story of a stream; None where an event of it stops the engine."""
    rules, listed = make_stream(seed)
    events = events_array(listed)
    half = Random(seed).randrange(len(events) // 3, len(events))
    state, whole = new_state(rules), new_state(rules)
    try:
        run(whole, events[:half])
        expected = run(whole, events[half:])
        run(state, events[:half])
    except OverflowError:
        return None
    return Story(seed, rules, state, events[half:], expected)


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return [story for story in map(story_of, ALL) if story is not None]


def by_copy(state: State) -> State:
    return state.copy_used()


def by_pickle(state: State) -> State:
    copy: State = pickle.loads(pickle.dumps(state))
    return copy


def by_deepcopy(state: State) -> State:
    return deepcopy(state)


@pytest.mark.parametrize("way", [by_copy, by_pickle, by_deepcopy])
def test_a_copy_goes_on_as_the_original_and_leaves_it_alone(stories: list[Story], way: Callable[[State], State]) -> None:
    assert len(stories) > len(PROFILES) - 3
    for story in stories:
        before = contents(story.state)
        copy = way(story.state)
        assert {name: array.shape for name, array in copy.arrays().items()} == {n: a.shape for n, a in story.state.arrays().items()}
        assert run(copy, story.rest) == story.expected, story.seed
        assert contents(story.state) == before, story.seed
        assert run(way(story.state), story.rest) == story.expected, story.seed


def contents(state: State) -> dict[str, bytes]:
    """Return every byte that is no scratch."""
    held = {name: array.tobytes() for name, array in state.arrays().items() if name not in ("columns", "effects")}
    heap = slice(int(state.engine[0].waits_now))
    return held | {"columns": state.columns[COLUMNS_KEPT].tobytes(), "waits": state.columns[[WAIT_TIME, WAIT_ACCOUNT], heap].tobytes()}


def test_what_is_in_no_part_is_as_it_was_made(stories: list[Story]) -> None:
    """Every byte of the original that a copy does not have is scratch."""
    for story in stories:
        state = story.state.copy_used()
        run(state, story.rest)
        assert contents(state.copy_used()) == contents(state), f"stream {story.seed}"


def test_scratch_means_nothing_between_two_events(stories: list[Story]) -> None:
    """With anything in every scratch column, nothing differs: none of them must be clean."""
    scratch = [column for column in range(COLUMNS) if column not in {*COLUMNS_KEPT, WAIT_TIME, WAIT_ACCOUNT}]
    for story in stories:
        state, taken = story.state.copy_used(), b""
        for event in range(len(story.rest)):
            state.columns[scratch] = 0x5A5A5A5A + event
            taken += run(state, story.rest[event : event + 1])[0]
        assert (taken, state_digest(state)) == story.expected, story.seed


def test_a_reset_state_goes_on_as_the_other(stories: list[Story]) -> None:
    """From its own end, from a fresh state, and back again: after any other course of events."""
    for story in stories:
        state = new_state(story.rules)
        for _ in range(3):
            state.reset_from(story.state)
            assert contents(state) == contents(story.state), story.seed
            assert run(state, story.rest) == story.expected, story.seed
        fresh = new_state(story.rules)
        state.reset_from(fresh)
        assert contents(state) == contents(fresh), story.seed


def test_untaken_effects_are_copied() -> None:
    story = next(filter(None, map(story_of, ALL)))
    state = story.state.copy_used()
    step(state, story.rest, 0)
    taken = state.effects[: int(state.engine[0].effects_now)].tobytes()
    other = new_state(story.rules)
    other.reset_from(state)
    for copy in (state.copy_used(), by_pickle(state), other):
        assert copy.effects[: int(copy.engine[0].effects_now)].tobytes() == taken
    assert taken


def test_reset_refuses_a_state_of_other_limits() -> None:
    one, other = (new_state(make_rules(limits=LimitRules(accounts, 8, 8, 64))) for accounts in (4, 5))
    with pytest.raises(ValueError, match=r"accounts, .* differ in shape"):
        one.reset_from(other)
    with pytest.raises(ValueError, match="differ in shape"):
        new_state(make_rules(markets=2, limits=LimitRules(4, 8, 8, 64))).reset_from(one)


def test_a_thousand_short_paths_on_two_threads_are_those_of_single_runs() -> None:
    """Paths begin at one shared opening; each thread has one state and goes back with it."""
    story = max(filter(None, map(story_of, ALL)), key=lambda each: len(each.rest))
    lengths = [Random(path).randrange(1, len(story.rest) + 1) for path in range(1_000)]
    single = {length: run(story.state.copy_used(), story.rest[:length]) for length in sorted(set(lengths))}

    def paths_of(thread: int) -> list[tuple[bytes, str]]:
        state, found = story.state.copy_used(), []
        for length in lengths[thread::2]:
            state.reset_from(story.state)
            found.append(run(state, story.rest[:length]))
        return found

    with ThreadPoolExecutor(2) as pool:
        halves = list(pool.map(paths_of, range(2)))
    for thread, found in enumerate(halves):
        assert found == [single[length] for length in lengths[thread::2]]
    assert len({digest for _, digest in single.values()}) > 5


def test_a_pickle_is_as_large_as_what_is_used() -> None:
    """At the default limits, which are for 65,536 accounts: an empty state, then ten accounts."""
    rules = make_rules(markets=2, limits=LimitRules())
    state = new_state(rules)
    whole = sum(array.nbytes for array in state.arrays().values())
    assert whole > 300 << 20
    empty = len(pickle.dumps(state))
    parts = sum(getattr(state, part.name)[part.index].nbytes for part in used_parts(state))
    assert parts < empty < parts + 16_384
    assert empty < 64_000
    state.engine[0].accounts_now = 10
    assert empty < len(pickle.dumps(state)) < empty + 10 * 1_024


def test_the_buffer_has_room_for_a_whole_event_and_a_step() -> None:
    """Beyond ``effects_max`` it holds what other events of the call brought, which is no rule."""
    assert effects_rows(LimitRules(effects_max=64)) == 128
    assert effects_rows(LimitRules(effects_max=1 << 22)) == (1 << 22) + (1 << 16)
    state = new_state(make_rules(limits=LimitRules()))
    assert state.effects.nbytes == effects_rows(LimitRules()) * EFFECT.itemsize


def test_a_larger_buffer_changes_no_effect() -> None:
    """The rule is ``effects_max``; what a state has room for beyond decides nothing."""
    crowded = 0
    for seed in range(FIRST, FIRST + 2 * len(PROFILES)):
        rules, listed = make_stream(seed)
        if rules.limits.effects_max != 96:
            continue
        events, state = events_array(listed), new_state(rules)
        roomy = State(**{**new_state(rules).arrays(), "effects": np.empty(5_000, dtype=EFFECT)})
        try:
            expected = run(state, events)
        except OverflowError:
            with pytest.raises(OverflowError):
                run(roomy, events)
            continue
        assert run(roomy, events) == expected, seed
        crowded += 1
    assert crowded > 10
