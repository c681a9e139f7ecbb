"""Engine and reference over random streams: every effect of every event, and every digest, must be
equal.

``python -m tests.campaign --streams 100000`` is the long form; tests run a short one. A difference
prints its seed and the one command that repeats it.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EffectKind, EventKind
from backstop.core.state import State, new_state
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Effect, Event, effects_list, events_array
from tests.streams.random_streams import make_stream, profile_of
from tests.streams.settings import NAMED_PROFILES, PROFILES


class Difference(NamedTuple):
    """Where engine and reference part."""

    seed: int
    profile: str
    place: int
    message: str

    def __str__(self) -> str:
        """Return the difference and how to see it again."""
        named = "" if self.profile == profile_of(self.seed) else f" --profile {self.profile}"
        where = f"stream {self.seed} ({self.profile}), event {self.place}"
        return f"{where}: {self.message}\n  again: python -m tests.campaign --seed {self.seed}{named}"


def take_effects(state: State) -> list[Effect]:
    """Empty the engine's effects buffer into a list."""
    engine = state.engine[0]
    rows = effects_list(state.effects[: int(engine.effects_now)])
    engine.effects_now = 0
    return rows


def _name(effect: Effect | None) -> str:
    if effect is None:
        return "nothing"
    fields = ", ".join(f"{name}={value}" for name, value in effect._asdict().items() if name != "kind")
    return f"{EffectKind(effect.kind).name}({fields})"


def _first_difference(event: Event, got: list[Effect], expected: list[Effect]) -> str:
    for index in range(max(len(got), len(expected))):
        left = got[index] if index < len(got) else None
        right = expected[index] if index < len(expected) else None
        if left != right:
            kind = EventKind(event.kind).name if event.kind in list(EventKind) else str(event.kind)
            return f"{kind} effect {index}: engine {_name(left)}, reference {_name(right)}"
    return ""


def compare_stream(seed: int, profile: str = "") -> Difference | None:
    """Run one random stream through both; return the first difference, or None. Without ``profile`` it
    looks into the seed's own corner.
    """
    rules, events = make_stream(seed, profile)
    seen = functools.partial(Difference, seed, profile or profile_of(seed))
    reference, state = ReferenceEngine(rules), new_state(rules)
    rows = events_array(events)
    for place, event in enumerate(events):
        expected = reference.apply(event)
        must_stop = len(expected) > rules.limits.effects_max
        try:
            step(state, rows[: place + 1], place)
        except OverflowError as error:
            # One event brought more than a venue's limit allows: the engine stops there, as the
            # rules say, and the stream ends.
            return None if must_stop else seen(place, f"the engine stopped: {error}")
        if must_stop:
            return seen(place, f"the engine went on after {len(expected)} effects of one event")
        message = _first_difference(event, take_effects(state), expected)
        if message:
            return seen(place, message)
        # What a hold of the price guard remembers soon goes, and may never show in an effect.
        holds = any(effect.kind == EffectKind.GUARD for effect in expected)
        if (holds or place % 16 == 15) and state_digest(state) != reference.digest():
            return seen(place, "the state digests differ")
    if state_digest(state) != reference.digest():
        return seen(len(events), "the state digests differ")
    return None


def compare_streams(first: int, count: int, profile: str = "") -> list[Difference]:
    """Run ``count`` streams from seed ``first``; return all differences."""
    found = (compare_stream(seed, profile) for seed in range(first, first + count))
    return [difference for difference in found if difference is not None]


def main() -> int:
    """Run the campaign; exit code 1 if engine and reference differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="run this stream only")
    parser.add_argument("--profile", default="", choices=[*PROFILES, *NAMED_PROFILES], help="look into this corner with every seed")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.seed is not None:
        difference = compare_stream(options.seed, options.profile)
        print(difference if difference is not None else f"stream {options.seed}: equal")
        return int(difference is not None)
    block, started, failed = 250, time.monotonic(), 0
    compare_stream(options.first)
    starts = range(options.first, options.first + options.streams, block)
    with ProcessPoolExecutor(options.workers) as pool:
        counts = [min(block, options.first + options.streams - start) for start in starts]
        for done, found in enumerate(pool.map(compare_streams, starts, counts, [options.profile] * len(counts)), 1):
            for difference in found:
                print(difference)
            failed += len(found)
            if done % 8 == 0:
                print(f"{sum(counts[:done])} streams, {failed} differ, {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"{options.streams} streams compared, {failed} differ")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
