"""The real engine with its mirror beside it: one event at a time, every check after every effect."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from backstop.core.engine import step
from backstop.core.events import EffectKind
from backstop.core.instruments import VenueRules
from backstop.core.state import new_state, state_digest
from tests.oracle.engine import Oracle
from tests.oracle.records import Effect, Event, effects_list, events_array
from tests.properties.checks import AFTER, BEFORE, IDS, SCAN, START, Check, Moment
from tests.properties.mirror import Mirror

__all__ = ["Watch", "run_cut"]


class Watch:
    """Runs events and collects what is wrong, by id of the invariant."""

    def __init__(self, rules: VenueRules) -> None:
        """Start with no account and no mark."""
        self.rules = rules
        self.state = new_state(rules)
        self.mirror = Mirror(rules)
        self.oracle = Oracle(rules)
        self.events: list[Event] = []
        self.effects: list[list[Effect]] = []
        self.chunks: list[bytes] = []
        self.findings: dict[str, list[str]] = {name: [] for name in (*IDS, "oracle")}

    def send(self, event: Event) -> list[Effect]:
        """Apply one event, read its effects one by one, and scan everything."""
        step(self.state, events_array([event]), 0)
        engine = self.state.engine[0]
        rows = self.state.effects[: int(engine.effects_now)].copy()
        engine.effects_now = 0
        effects = effects_list(rows)
        self.events.append(event)
        self.effects.append(effects)
        self.chunks.append(rows.tobytes())
        if effects != self.oracle.apply(event):
            self.findings["oracle"].append(f"{event}: effects differ from the oracle's")
        moment = Moment(self.mirror, self.state, event, effects, rows)
        if not (effects and effects[0].kind == EffectKind.REFUSAL):
            self._run(START, moment)
            self.mirror.take_event(event)
            for moment.place, effect in enumerate(effects):
                self._run(BEFORE, moment)
                self.mirror.take_effect(effect)
                self._run(AFTER, moment)
            if len(effects) > self.rules.limits.effects_max // 2:
                self.mirror.crowded_until = event.time_ns + self.rules.closeout.interval_ns
        self._run(SCAN, moment)
        return effects

    def _run(self, checks: dict[str, list[Check]], moment: Moment) -> None:
        for name, group in checks.items():
            for check in group:
                self.findings[name] += [f"{name} at event {len(self.events) - 1}: {words}" for words in check(moment)]

    @property
    def wrong(self) -> list[str]:
        """Everything that was found."""
        return [words for found in self.findings.values() for words in found]

    def all_effects(self) -> bytes:
        """Return the bytes of every effect so far."""
        return b"".join(self.chunks)


def run_cut(rules: VenueRules, events: Sequence[Event], cuts: Random) -> tuple[bytes, str]:
    """Run the same events in batches of random length, emptying the effects now and then; return effects and digest."""
    state = new_state(rules)
    engine, taken, first = state.engine[0], [], 0
    while first < len(events):
        batch = events_array(events[first : first + cuts.choice((1, 2, 7, len(events)))])
        place = 0
        while place < len(batch):
            place = int(step(state, batch, place))
            if cuts.random() < 0.5 or place < len(batch):
                taken.append(state.effects[: int(engine.effects_now)].tobytes())
                engine.effects_now = 0
        first += len(batch)
    taken.append(state.effects[: int(engine.effects_now)].tobytes())
    return b"".join(taken), state_digest(state)
