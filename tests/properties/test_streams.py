"""Every invariant over the random adversarial streams, each profile in turn, with the real
engine.
"""

from __future__ import annotations

from random import Random

import pytest

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.state import new_state
from backstop.reference.records import events_array
from tests.properties.watch import Watch, run_cut
from tests.streams.random_streams import make_stream
from tests.streams.settings import PROFILES

BLOCKS = 6


@pytest.mark.parametrize("block", range(BLOCKS))
def test_full_scans_find_nothing_in_any_profile(block: int) -> None:
    """INV-01 to INV-07, INV-09 and INV-11 hold after every event of a stream of each profile."""
    first = 50_000 * len(PROFILES) + block * len(PROFILES)
    for seed in range(first, first + len(PROFILES)):
        rules, events = make_stream(seed)
        watch = Watch(rules)
        for event in events:
            watch.send(event)
            assert watch.wrong == [], f"stream {seed}"
        cuts = Random(seed)
        for _ in range(2):
            assert run_cut(rules, events, cuts) == (watch.all_effects(), state_digest(watch.state)), f"INV-09: {seed}"


def test_step_stops_rather_than_split_an_event() -> None:
    """INV-09: with 96 effects an event the buffer is full long before the stream ends, and no event is
    cut.
    """
    stopped = 0
    for seed in range(16):
        rules, events = make_stream(seed)
        if rules.limits.effects_max == 96:
            state, rows, place = new_state(rules), events_array(events), 0
            while place < len(rows):
                place = int(step(state, rows, place))
                taken = state.effects[: int(state.engine[0].effects_now)]
                assert len(taken) <= 2 * 96
                assert place == len(rows) or len(taken) > 96
                stopped += place < len(rows)
                state.engine[0].effects_now = 0
    assert stopped > 3
