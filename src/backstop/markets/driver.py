"""The compiled driver: merges outside events, the answers of the simulated venue, and the engine's
clock.

One loop: take the earliest event of three sources, number it, apply it to the engine, hand the
engine's orders to the venue. At one time the order is: outside events as given, the venue's answers
to orders, its depth, and a CLOCK where the engine waits for a time at which nothing else happens.

The merged stream is written to an array, and the loop stops when that is full; the cursors stay in
the world, so the next call goes on. Where the stream is cut changes nothing in it (INV-09).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel, unit
from backstop.core.engine import apply_at
from backstop.core.events import EVENT, NEVER_NS, NONE, EffectKind, EventArray, EventKind
from backstop.core.outbox import has_room_for_event
from backstop.core.state import State
from backstop.core.timers import next_wait_before
from backstop.markets.port import cancel, follow_mark, impacted_ticks, is_quiet, next_ns, settle_to, take_offer, take_order
from backstop.markets.world import World

__all__ = ["BATCH_EVENTS", "Batch", "Stop", "batches", "drive"]

#: Events of one batch, unless said otherwise.
BATCH_EVENTS = 4096


class Stop(IntEnum):
    """Reason for which ``drive`` returned."""

    #: The merged array is full.
    FULL = 0
    #: The effects have no room for those of one more event: journal them and set ``effects_now`` to 0.
    EFFECTS = 1
    #: The outside events at hand are used up and more were announced.
    INPUT = 2
    #: Nothing is left: outside events, orders on their way, answers and waits.
    FINISHED = 3


@kernel
def _hand_over(state: State, world: World, first: int) -> None:
    """Give the orders, offers and cancellations among the new effects to the venue and the
    providers.
    """
    now_ns = state.engine[0].now_ns
    for place in range(first, state.engine[0].effects_now):
        effect = state.effects[place]
        if effect.kind == EffectKind.ORDER:
            take_order(world, effect.other, effect.account, effect.market, effect.lots, effect.price_ticks, now_ns)
        elif effect.kind == EffectKind.OFFER:
            take_offer(world, effect.other, now_ns)
        elif effect.kind == EffectKind.CANCEL:
            cancel(world, effect.other)


@kernel
def _copy(source: NDArray[np.void], index: int, target: NDArray[np.void], place: int) -> None:
    target[place] = source[index]


@kernel
def _take_outside(world: World, outside: EventArray, merged: EventArray, place: int) -> None:
    control = world.control[0]
    _copy(outside, control.cursor, merged, place)
    control.cursor += 1
    control.outside_taken += 1
    event = merged[place]
    control.last_outside_ns = event.time_ns
    if event.kind == EventKind.MARK and 0 <= event.market < len(world.books):
        event.price_ticks = impacted_ticks(world, event.market, event.price_ticks)


@kernel
def _take_clock(world: World, merged: EventArray, place: int, time_ns: int) -> None:
    event = merged[place]
    event.time_ns = time_ns
    event.kind = EventKind.CLOCK
    event.code = 0
    event.market = event.account = NONE
    event.other = event.lots = event.price_ticks = event.amount = 0
    world.control[0].clocks += 1


@unit
def drive(state: State, world: World, outside: EventArray, is_last: bool, merged: EventArray) -> tuple[int, int]:
    """Run engine and venue over ``outside`` until something stops it; return (events merged,
    ``Stop``).

    ``outside`` is sorted by time. ``is_last`` says that no outside event follows it; otherwise the
    driver stops with ``Stop.INPUT`` at its end, and the next call brings the rows that follow.
    After the last one the venue runs on until no order is on its way and the engine waits for
    nothing, at most ``drain_ns``. The caller journals ``merged[:count]`` and the effects, and sets
    ``effects_now`` to 0.
    """
    control = world.control[0]
    count = 0
    while True:
        if count == len(merged):
            return count, Stop.FULL
        if not has_room_for_event(state):
            return count, Stop.EFFECTS
        outside_ns = NEVER_NS
        if control.cursor < len(outside):
            outside_ns = outside[control.cursor].time_ns
        elif not is_last:
            control.cursor = 0
            return count, Stop.INPUT
        answer_ns = next_ns(world)
        # Before the end a wait matters only where it comes first; at the end it must be exact, or
        # NEVER_NS.
        wait_ns = next_wait_before(state, NEVER_NS if outside_ns == NEVER_NS else min(outside_ns, answer_ns))
        if outside_ns == NEVER_NS:
            if (is_quiet(world) and wait_ns == NEVER_NS) or min(answer_ns, wait_ns) > control.last_outside_ns + control.drain_ns:
                return count, Stop.FINISHED
        if outside_ns <= answer_ns and outside_ns <= wait_ns:
            _take_outside(world, outside, merged, count)
        elif answer_ns <= wait_ns:
            if not settle_to(world, answer_ns, merged, count):
                continue
        else:
            _take_clock(world, merged, count, max(wait_ns, state.engine[0].now_ns))
        merged[count].seq = control.next_seq
        control.next_seq += 1
        first = state.engine[0].effects_now
        apply_at(state, merged, count)
        if merged[count].kind == EventKind.MARK:
            follow_mark(world, merged[count].market, merged[count].price_ticks)
        _hand_over(state, world, first)
        count += 1


class Batch(NamedTuple):
    """The result of one call of ``drive``: views that are valid until the next."""

    events: NDArray[np.void]
    effects: NDArray[np.void]
    #: Outside events consumed since the start.
    outside_taken: int
    stop: Stop


def batches(state: State, world: World, chunks: Iterable[NDArray[np.void]], batch_events: int = BATCH_EVENTS) -> Iterator[Batch]:
    """Yield the merged stream in batches of at most ``batch_events`` events, with their effects.

    ``chunks`` are arrays of outside events, each and all together sorted by time. The views of a
    batch are overwritten by the next. Raises ``ValueError`` where time runs backward.
    """
    merged = np.zeros(batch_events, dtype=EVENT)
    source = iter(chunks)
    chunk = next(source, np.zeros(0, dtype=EVENT))
    last_ns = -NEVER_NS
    while True:
        following = next(source, None)
        last_ns = _check_order(chunk, last_ns)
        stop = Stop.FULL
        while stop in (Stop.FULL, Stop.EFFECTS):
            count, code = drive(state, world, chunk, following is None, merged)
            stop = Stop(code)
            if count:
                effects = state.effects[: int(state.engine[0].effects_now)]
                yield Batch(merged[:count], effects, int(world.control[0].outside_taken), stop)
                state.engine[0].effects_now = 0
        if following is None:
            return
        chunk = following


def _check_order(chunk: NDArray[np.void], last_ns: int) -> int:
    if len(chunk) == 0:
        return last_ns
    times_ns = chunk["time_ns"]
    before_ns = np.concatenate(([last_ns], times_ns[:-1]))
    backward = np.flatnonzero(times_ns < before_ns)
    if len(backward):
        place = int(backward[0])
        time_ns, ahead_ns = int(times_ns[place]), int(before_ns[place])
        raise ValueError(f"outside event {place}: time_ns = {time_ns}: must not be before {ahead_ns}, the time of the event ahead of it")
    return int(times_ns[-1])
