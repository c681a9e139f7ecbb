"""Engine and reference agree on every effect of every event, and on every digest.

``python -m tests.campaign --streams 100000`` is the long form. A difference prints the seed and the
one command that repeats it.
"""

from __future__ import annotations

import numpy as np
import pytest

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EventKind
from backstop.core.state import new_state
from backstop.reference.records import events_array
from tests.campaign import compare_streams
from tests.streams.random_streams import NUMBERS, make_stream
from tests.streams.settings import NAMED_PROFILES, PROFILES

BLOCK = 250
ROUND = len(PROFILES)


def differences(first: int, count: int) -> str:
    """Return all differences in words, nothing where engine and reference agree."""
    return "\n".join(str(difference) for difference in compare_streams(first, count))


@pytest.mark.parametrize("block", range(8))
def test_engine_is_the_reference(block: int) -> None:
    """Two thousand streams, each profile about 77 times."""
    assert differences(block * BLOCK, BLOCK) == ""


@pytest.mark.parametrize("profile", NAMED_PROFILES)
def test_engine_is_the_reference_in_corners_that_are_named(profile: str) -> None:
    assert "\n".join(map(str, compare_streams(30_000, 120, profile))) == ""


@pytest.mark.bounds
@pytest.mark.parametrize("turn", range(2))
def test_engine_stays_within_its_arrays(turn: int) -> None:
    """Each profile twice; where every index is checked, one beyond an array raises."""
    assert differences(10_000 * ROUND + turn * ROUND, ROUND) == ""


@pytest.mark.interpreted
def test_kernels_are_plain_python_too() -> None:
    """Each profile once: what the compiler makes of the kernels is what they say."""
    assert differences(20_000 * ROUND, ROUND) == ""


def test_what_a_provider_has_used_is_in_the_digest_when_its_capacity_is_lowered_to_nothing() -> None:
    """It counts again once the capacity is raised. Stream 51 lowers one."""
    rules, events = make_stream(51)
    state, rows = new_state(rules), events_array(events)
    for place, event in enumerate(events):
        step(state, rows[: place + 1], place)
        state.engine[0].effects_now = 0
        if event.kind == EventKind.PARAMETER and event.code == NUMBERS["commitment.capacity"] and event.amount == 0:
            break
    used = np.flatnonzero((state.commitments["used"] > 0) & (state.commitments["capacity"] == 0))
    assert len(used) == 1
    before = state_digest(state)
    state.commitments["used"][used] -= 1
    assert state_digest(state) != before
