"""The real engine with its mirror beside it: one event at a time, every check after every
effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import BreakerCause, EffectArray, EffectKind
from backstop.core.instruments import VenueRules
from backstop.core.state import new_state
from backstop.reference.engine import ReferenceEngine
from backstop.reference.offering import Gauge
from backstop.reference.records import Effect, Event, effects_list, events_array
from backstop.reference.state import TAKEOVER_OFFER
from tests.properties.charges import note_depth
from tests.properties.checks import AFTER, BEFORE, IDS, SCAN, START
from tests.properties.commitments import used_atoms
from tests.properties.doubts import note_waits
from tests.properties.mirror import Mirror
from tests.properties.moment import Check, Moment
from tests.properties.payments import lacked_room
from tests.properties.stops import never_ending, refused_for_a_halt

__all__ = ["Watch", "run_cut"]


class Watch:
    """Runs events and collects what is wrong, by id of the invariant."""

    def __init__(self, rules: VenueRules) -> None:
        """Start with no account and no mark."""
        self.state = new_state(rules)
        self.mirror = Mirror(rules)
        self.reference = ReferenceEngine(rules)
        self.events: list[Event] = []
        self.effects: list[list[Effect]] = []
        self.chunks: list[bytes] = []
        self.findings: dict[str, list[str]] = {name: [] for name in (*IDS, "reference")}

    @property
    def rules(self) -> VenueRules:
        """The rules in force, as the effects tell."""
        return self.mirror.rules

    def send(self, event: Event) -> list[Effect]:
        """Apply one event, read its effects one by one, and scan everything."""
        used = used_atoms(self.rules, self.state, event.time_ns)
        note_waits(self.mirror, self.state, event.time_ns)
        note_depth(self.mirror, self.state)
        step(self.state, events_array([event]), 0)
        engine = self.state.engine[0]
        rows = self.state.effects[: int(engine.effects_now)].copy()
        engine.effects_now = 0
        effects = effects_list(rows)
        self.events.append(event)
        self.effects.append(effects)
        self.chunks.append(rows.tobytes())
        if effects != self.reference.apply(event):
            self.findings["reference"].append(f"{event}: effects differ from the reference's")
        self.read(event, effects, rows, used)
        return effects

    def read(self, event: Event, effects: list[Effect], rows: EffectArray, used: dict[tuple[int, int, int], int]) -> None:
        """Read an event's effects one by one into the mirror, and scan everything."""
        moment = Moment(self.mirror, self.state, event, effects, rows, used)
        for breaker, row in zip(self.mirror.breakers, self.state.breakers, strict=True):
            breaker.levels[BreakerCause.OPERATOR] = int(row.levels[BreakerCause.OPERATOR])
        self._note("INV-08", refused_for_a_halt(self.mirror, event, effects))
        if not (effects and effects[0].kind == EffectKind.REFUSAL):
            self._run(START, moment)
            self.mirror.asked_equity, self.mirror.asked_exposure, self.mirror.torn = {}, {}, {}
            self.mirror.event_gains, self.mirror.cuts_paid = {}, {}
            self.mirror.take_event(event, effects)
            for moment.place, effect in enumerate(effects):
                self._run(BEFORE, moment)
                self.mirror.take_effect(effect)
                self._count_use(moment)
                self._run(AFTER, moment)
            self.mirror.end_event(effects)
            if len(effects) > self.rules.limits.effects_max // 2 or lacked_room(moment):
                self.mirror.crowded_until = event.time_ns + self.rules.closeout.interval_ns
        self._run(SCAN, moment)

    def _run(self, checks: dict[str, list[Check]], moment: Moment) -> None:
        for name, group in checks.items():
            for check in group:
                self._note(name, check(moment))

    def _note(self, name: str, found: Iterable[str]) -> None:
        self.findings[name] += [f"{name} at event {len(self.events) - 1}: {words}" for words in found]

    def _count_use(self, moment: Moment) -> None:
        """Bring what is used of commitments up to the effect that was just read."""
        effect, mirror = moment.effect, self.mirror
        order = mirror.orders.get(effect.other) if effect.kind in (EffectKind.OFFER, EffectKind.CANCEL) else None
        if effect.kind == EffectKind.TAKEOVER and effect.other == 0:
            place = (effect.price_ticks, mirror.group(effect.market), 0 if effect.lots < 0 else 1)
            moment.used[place] += mirror.notional_of(effect.market, effect.lots)
        elif order is not None and order.kind == TAKEOVER_OFFER:
            place = (order.provider, mirror.group(order.market), 0 if order.lots < 0 else 1)
            if effect.kind == EffectKind.OFFER:
                moment.used[place] += order.notional
            else:
                promised = self.rules.providers[place[0]].commitments[place[1]][place[2]]
                gauge = Gauge(moment.used[place], mirror.now)
                moment.used[place] = gauge.cancelled(order.notional, mirror.now - order.offered_ns, promised.refill_per_s).used

    def everything_ends(self) -> list[str]:
        """INV-08: let time alone pass, on a copy, and return what then has not ended."""
        return list(never_ending(self.rules, self.state.copy_used()))

    @property
    def wrong(self) -> list[str]:
        """Everything that was found."""
        return [words for found in self.findings.values() for words in found]

    def all_effects(self) -> bytes:
        """Return the bytes of every effect so far."""
        return b"".join(self.chunks)


def run_cut(rules: VenueRules, events: Sequence[Event], cuts: Random) -> tuple[bytes, str]:
    """Run the same events in batches of random length, emptying the effects now and then; return
    effects and digest.
    """
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
