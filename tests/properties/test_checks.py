"""The checks themselves: every lie about an effect is found, so that their silence about the engine
means something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest

from backstop.core.engine import step
from backstop.core.events import (
    EFFECT,
    BreakerState,
    Cause,
    EffectArray,
    EffectKind,
    EventKind,
    Health,
    ProviderStatus,
    Stage,
    Transfer,
    fund_of,
)
from backstop.core.instruments import VenueRules
from backstop.reference.doubt import is_used_up
from backstop.reference.records import Effect, Event, effects_list, events_array
from tests.properties.charges import note_depth
from tests.properties.checks import AFTER, BEFORE, SCAN, START
from tests.properties.commitments import used_atoms
from tests.properties.doubts import note_waits
from tests.properties.mirror import Mirror
from tests.properties.moment import Check, Moment
from tests.properties.watch import Watch
from tests.streams.random_streams import make_stream
from tests.streams.settings import PROFILES

F = EffectKind
#: What is lied about, by kind: the fields that it names. What another kind's row says as well is
#: found there.
FIELDS: dict[EffectKind, tuple[str, ...]] = {
    F.HEALTH: ("account", "code", "other", "amount", "value"),
    F.ORDER: ("account", "market", "other", "lots", "amount", "value"),
    F.CANCEL: ("other",),
    F.TRADE: ("account", "market", "lots", "amount", "value"),
    F.POSTING: ("account", "other", "amount"),
    F.RESERVE: ("other", "amount", "value"),
    F.ADL_PLAN: ("account", "market", "code", "lots", "price_ticks", "amount", "value", "other"),
    F.ADL_CLASS: ("account", "market", "code", "other", "lots", "price_ticks"),
    F.ADL_LINE: ("account", "market", "code", "other", "lots", "price_ticks", "amount", "value"),
    F.ADL_PICK: ("account", "market", "code", "other", "lots", "amount"),
    F.ADL_OWNER: ("account", "other", "market", "code", "lots", "price_ticks", "value"),
    F.ADL_FILL: ("account", "other", "market", "code", "lots", "price_ticks", "amount", "value"),
    F.TEAR_UP: ("market", "lots", "amount", "value"),
    F.RESIDUAL: ("amount", "other"),
    F.BREAKER: ("market", "code", "other", "amount"),
    F.OFFER: ("account", "market", "other", "lots", "price_ticks", "amount", "value"),
    F.TAKEOVER: ("account", "market", "other", "lots", "price_ticks", "amount", "value"),
    F.PROVIDER: ("account", "other", "code", "value"),
    F.HAIRCUT: ("account", "other", "market", "amount", "value", "lots"),
    F.CLAIM: ("account", "other", "amount", "value"),
    F.SUPPORT: ("account", "market", "code", "other", "lots", "amount", "value"),
    F.FUNDING: ("market", "amount", "value"),
    F.FILL_DEBT: ("account", "other", "market", "price_ticks", "amount", "value"),
    F.GUARD: ("market", "price_ticks", "other", "amount", "value"),
    F.PARAMETER: ("amount", "value", "other"),
    F.RELIEF: ("lots", "amount", "value"),
    F.NAKED_LEG: ("account", "market", "other", "lots", "price_ticks", "amount", "value"),
    F.CARRY: ("account", "amount", "value"),
    F.DOUBT: ("market", "code", "price_ticks", "other"),
    F.LISTING: ("market", "other", "lots", "price_ticks", "amount"),
    F.SETTLEMENT: ("market", "code", "price_ticks", "other"),
}
#: Kind of effect, cause of a posting (or kind of event), what is false.
Lie = tuple[str, int, str]
#: Lies of each kind and field, and the streams in which they are told.
ENOUGH, STREAMS = 6, 6 * len(PROFILES)
#: The same, of streams that are rich in what a few checks look at.
ENOUGH_OF_RICH, RICH_STREAMS = (
    40,
    {"stopped_providers": range(1, 4), "carried": range(1, 4), "settlements": range(1, 3), "socialise": range(2, 11, 8)}
    | {"relief": range(1, 6), "parameters": range(1, 3)},
)


#: More than anybody has, in atoms.
MUCH = 10**12


class Liar(Watch):
    """Reads a changed effect instead of the engine's, and forgets what it read."""

    def __init__(self, rules: VenueRules) -> None:
        """Start with no account and no mark."""
        super().__init__(rules)
        #: Checks that found something, by name.
        self.fired: set[str] = set()
        self.used: dict[tuple[int, int, int], int] = {}

    def _run(self, checks: dict[str, list[Check]], moment: Moment) -> None:
        for name, group in checks.items():
            for check in group:
                found = list(check(moment))
                self._note(name, found)
                if found:
                    self.fired.add(check.__name__)

    def apply(self, event: Event) -> list[Effect]:
        """Apply an event; read nothing yet."""
        self.used = used_atoms(self.rules, self.state, event.time_ns)
        note_waits(self.mirror, self.state, event.time_ns)
        note_depth(self.mirror, self.state)
        step(self.state, events_array([event]), 0)
        engine = self.state.engine[0]
        effects = effects_list(self.state.effects[: int(engine.effects_now)])
        engine.effects_now = 0
        return effects

    def finds(self, event: Event, effects: list[Effect]) -> bool:
        """Say whether reading these effects brings a finding, or something that the books cannot
        even write down.
        """
        rows: EffectArray = np.array([tuple(effect) for effect in effects], dtype=EFFECT)
        for found in self.findings.values():
            found.clear()
        try:
            self.read(event, effects, rows, dict(self.used))
        except (AssertionError, IndexError, KeyError, StopIteration, ValueError, ZeroDivisionError):
            return True
        return bool(self.wrong)

    def finds_the_lie(self, event: Event, effects: list[Effect]) -> bool:
        """Say whether a lie is found; the books stay as they were."""
        mirror = deepcopy(self.mirror)
        found = self.finds(event, effects)
        self.mirror = mirror
        return found


def lies(event: Event, effects: list[Effect]) -> Iterator[tuple[Lie, list[Effect]]]:
    """Return the effects with one of them left out, and with each of its fields a little off.

    Each cause of a posting counts as a kind of its own, and so do orders of disposal, which have no
    zero cash.
    """
    for place, effect in enumerate(effects):
        if effect.kind == F.REFUSAL:
            continue
        # Time cancelled the order first that the event says is done: the books close it for either.
        if effect.kind == F.CANCEL and event.kind == EventKind.ORDER_DONE and event.other == effect.other:
            continue
        rest = (effects[:place], effects[place + 1 :])
        is_disposal = effect.kind == F.ORDER and effect.amount == 0
        kind = (F(effect.kind).name, effect.code if effect.kind == F.POSTING else int(is_disposal))
        if not leaves_no_trace(effect, rest[1]):
            yield (*kind, "left out"), [*rest[0], *rest[1]]
        for field in FIELDS.get(F(effect.kind), ()):
            right = getattr(effect, field)
            false = effect._replace(**{field: right - 1 if right > 1 << 60 else right + 1})
            yield (*kind, field), [*rest[0], false, *rest[1]]


def leaves_no_trace(effect: Effect, later: list[Effect]) -> bool:
    """Say whether later effects of the event undo all that an effect tells: a status of a provider that
    is replaced, a carry that reserves nothing and whose default ends.
    """
    if effect.kind == F.PROVIDER:
        return any((row.kind, row.other) == (F.PROVIDER, effect.other) for row in later)
    ends = [row for row in later if (row.kind, row.account) == (F.HEALTH, effect.account) and row.code < Health.DISTRESSED]
    return effect.kind == F.CARRY and effect.amount == 0 and bool(ends)


def false_books(mirror: Mirror, event: Event, effects: list[Effect]) -> Iterator[tuple[Lie, Mirror]]:
    """Return books that are wrong before the event: a market is halted, nothing is reserved, an
    owner has more money elsewhere.

    Some checks compare an effect with what was told before, so that no lie about one effect shows.
    """
    if effects and effects[0].kind == F.REFUSAL:
        return
    # A breaker that moves in this event sets the books right before anything else is read.
    halts = event.kind == EventKind.FILL and not any((row.kind, row.market) == (F.BREAKER, event.market) for row in effects)
    if halts and mirror.breakers[event.market].state != BreakerState.HALTED:
        false = deepcopy(mirror)
        false.breakers[event.market].state = BreakerState.HALTED
        yield ("books", event.kind, "halted"), false
    for effect in effects:
        if effect.kind in (F.ORDER, F.OFFER, F.ADL_PLAN, F.TEAR_UP) and not is_used_up(mirror, effect.account):
            false = deepcopy(mirror)
            false.breakers[effect.market].undoubted = effect.price_ticks or 1
            yield ("books", effect.kind, "doubted"), false
    if event.kind == EventKind.ORDER_FILL and mirror.reserved[event.other]:
        false = deepcopy(mirror)
        false.reserved[event.other] = 0
        yield ("books", event.kind, "reserved"), false
    for effect in effects:
        if effect.kind == F.ADL_PLAN and effect.value < 0 and mirror.linked(effect.account):
            false = deepcopy(mirror)
            false.ledger[mirror.linked(effect.account)[0]] += MUCH
            yield ("books", effect.kind, "linked"), false
    yield from false_debts(mirror, event, effects)
    yield from false_balances(mirror, event, effects)
    yield from false_carries(mirror, effects)


def false_carries(mirror: Mirror, effects: list[Effect]) -> Iterator[tuple[Lie, Mirror]]:
    """Return books in which funds have much before a solvent account is deleveraged, and in which one
    carries another account before it pays a gap.
    """
    for effect in effects:
        if effect.kind == F.ADL_PLAN and effect.value >= 0 and mirror.rules.closeout.carry_max_ns and mirror.fund_supports:
            false = deepcopy(mirror)
            for group in mirror.groups:
                false.ledger[fund_of(group)] += MUCH
            yield ("books", effect.kind, "carry"), false
        if effect.kind == F.SUPPORT and effect.market >= 0 and effect.amount:
            false = deepcopy(mirror)
            false.position(0, effect.market).carried = MUCH
            false.carries.append((0, effect.market))
            false.funds[false.group(effect.market)].reserved += MUCH
            yield ("books", effect.kind, "carry"), false


def false_debts(mirror: Mirror, event: Event, effects: list[Effect]) -> Iterator[tuple[Lie, Mirror]]:
    """Return books in which an account owes a fund much: before it withdraws, and before its default
    ends.
    """
    found = [("withdraws", event.account)] if (event.kind, event.code) == (EventKind.TRANSFER, Transfer.CASH) and event.amount < 0 else []
    found += [("recovers", row.account) for row in effects if row.kind == F.HEALTH and row.code < Health.DISTRESSED <= row.other]
    for name, account in found:
        if account >= 0:
            false = deepcopy(mirror)
            false.accounts[account].debts, false.owner(account).paid_ns = {0: MUCH}, event.time_ns
            yield ("books", event.kind, name), false


def false_balances(mirror: Mirror, event: Event, effects: list[Effect]) -> Iterator[tuple[Lie, Mirror]]:
    """Return books in which accounts have far too little or too much: before a promise is freed
    without a payment, before they give lots in ADL, before ADL that a provider could have saved, before
    a change of margin moves their health.
    """
    no_payment = [before.kind != F.CANCEL and (before.kind, before.code) != (F.POSTING, Cause.SUPPORT) for before in effects]
    for place, effect in enumerate(effects):
        changes = dict[int, int]()
        if effect.kind == F.RESERVE and effect.other == event.other and effect.amount < 0 and place and no_payment[place - 1]:
            is_answer = event.kind in (EventKind.ORDER_FILL, EventKind.ANSWER)
            changes = {effect.account: -MUCH} if is_answer else {}
        elif (effect.kind == F.HEALTH and event.kind == EventKind.PARAMETER) or (effect.kind == F.ADL_FILL and effect.account >= 0):
            changes = {effect.account: -MUCH}
        elif effect.kind == F.ADL_PLAN and Stage.TAKEOVER in mirror.rules.stages:
            able = [each.account for each in mirror.providers if each.status == ProviderStatus.ON]
            changes = dict.fromkeys(able, MUCH)
        if changes:
            false = deepcopy(mirror)
            for account, change in changes.items():
                false.ledger[account] += change
            yield ("books", effect.kind, "balance"), false


class Telling:
    """Tells lies about streams, each kind a few times, and notes what no check found."""

    def __init__(self, enough: int) -> None:
        """Begin with nothing told; ``enough`` lies of each kind and field are."""
        self.enough = enough
        self.told = Counter[Lie]()
        self.missed: dict[str, list[Effect]] = {}
        #: Checks that found something, by name.
        self.fired: set[str] = set()

    def _is_due(self, lie: Lie) -> bool:
        self.told[lie] += 1
        return self.told[lie] <= self.enough

    def tell(self, seed: int, profile: str = "") -> None:
        """Tell lies about a stream; without one nothing may be found."""
        rules, events = make_stream(seed, profile)
        liar = Liar(rules)
        for event in events:
            effects = liar.apply(event)
            for lie, false in lies(event, effects):
                if self._is_due(lie) and not liar.finds_the_lie(event, false):
                    self.missed[f"{lie} {seed} {profile}"] = effects
            for lie, books in false_books(liar.mirror, event, effects):
                if self._is_due(lie):
                    right, liar.mirror = liar.mirror, books
                    if not liar.finds(event, effects):
                        self.missed[f"{lie} {seed} {profile}"] = effects
                    liar.mirror = right
            self.fired |= liar.fired
            liar.events.append(event)
            assert not liar.finds(event, effects), liar.wrong


def test_every_lie_is_found_and_every_check_finds_one() -> None:
    """One number of one effect changed by one, or one effect left out: some check says so at that
    event.

    Checks of what providers promise and sell, of carry and of settlements need more lies about
    streams that are rich in these.
    """
    all_profiles = Telling(ENOUGH)
    for seed in range(70_000 * len(PROFILES), 70_000 * len(PROFILES) + STREAMS):
        all_profiles.tell(seed)
    fired, missed = all_profiles.fired, all_profiles.missed
    for profile, seeds in RICH_STREAMS.items():
        rich = Telling(ENOUGH_OF_RICH)
        for seed in seeds:
            rich.tell(seed, profile)
        fired, missed = fired | rich.fired, missed | rich.missed
    assert missed == {}
    assert {kind for kind, _, _ in all_profiles.told} == {kind.name for kind in F} - {"REFUSAL"} | {"books"}
    checks = {check.__name__ for groups in (START, BEFORE, AFTER, SCAN) for group in groups.values() for check in group}
    assert fired == checks


@pytest.mark.parametrize("seed", [4, 8])
def test_a_tear_up_that_is_left_out_is_found(seed: int) -> None:
    """Also of a defaulter who ends the same lots as one of the other side: without its TEAR_UP it looks
    like a holder who takes over.
    """
    rules, events = make_stream(seed, "socialise")
    liar, told = Liar(rules), 0
    for event in events:
        effects = liar.apply(event)
        for lie, false in lies(event, effects) if any(row.kind == F.TEAR_UP for row in effects) else ():
            if lie == (F.TEAR_UP.name, 0, "left out"):
                told += 1
                assert liar.finds_the_lie(event, false), event
        liar.events.append(event)
        assert not liar.finds(event, effects), liar.wrong
    assert told >= 10
