"""Going on with a replay that was killed: from its journal's newest snapshot, over what the journal
holds, to the end.

The run is made again from the snapshot, simulated venue included, and every event and effect that
the journal holds behind it is compared with what comes out. Where the journal ends, recording
begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from backstop.core.digest import state_digest
from backstop.core.events import EVENT, EffectArray, EventArray
from backstop.core.state import State
from backstop.journal import Finding, Journal, JournalError, Manifest, Names, open_journal
from backstop.journal.format import names_hash
from backstop.journal.reader import Batch
from backstop.journal.recorder import Recorder
from backstop.journal.recovery import Recovery
from backstop.journal.snapshot import shapes_of
from backstop.markets.world import World

__all__ = ["Ended", "Resumed", "Tape", "arrays_of", "resume"]

#: Entries of the manifest that must be those of the journal, or it is another run.
_SAME = ("venue_text", "venue_hash", "limits", "seed", "details", "source_hash", "event_row", "effect_row")
_PREFIX = "world."


class Tape(Protocol):
    """What takes events and effects as they come."""

    def record(self, events: EventArray, effects: EffectArray) -> None:
        """Take events that were applied whole, with all their effects."""

    def close(self) -> str:
        """Write the end; return the final state digest."""

    def abandon(self) -> None:
        """Stop, as a run that failed does."""

    @property
    def journal(self) -> Journal | Ended | None:
        """The journal that is written, once it is; or the one that needed no writing."""


class Ended(NamedTuple):
    """The journal of a run that had come to its end before it was resumed."""

    path: Path
    batches: int
    events: int
    chain: str


class Resumed(NamedTuple):
    """A run as its journal's snapshot has it."""

    state: State
    world: World
    tape: Tape
    #: Outside events that it had taken.
    outside_taken: int
    snapshot_batch: int
    findings: list[Finding]

    def earlier(self, path: Path) -> Iterator[Batch]:
        """Yield the journal's batches up to the snapshot: they are not made again.

        Raises ``JournalError`` where earlier segments are not here: the result counts every event.
        """
        with open_journal(path) as journal:
            if journal.first_of_all != 1:
                message = f"begins with batch {journal.first_of_all}: put its earlier segments beside it"
                raise JournalError(f"journal `{path}` {message}")
            for batch in journal.batches():
                if batch.number > self.snapshot_batch:
                    return
                yield batch


def arrays_of(world: World) -> dict[str, NDArray[Any]]:
    """Return the simulated venue's arrays under the names that a snapshot keeps them by."""
    return {_PREFIX + name: array for name, array in world.arrays().items()}


def resume(path: Path, manifest: Manifest, names: Names, state: State, world: World) -> Resumed:
    """Open the journal of a run with these terms; ``state`` and ``world`` are those of its start.

    A run that came to its end is made again likewise, compared to its last digest, and nothing is
    written. Raises ``JournalError`` where it is the journal of another run, and ``JournalDamaged``.
    """
    found = Recovery(path, may_be_ended=True, shapes=shapes_of(state, arrays_of(world)))
    try:
        _check_same(found, manifest, names)
        if found.restored is not None:
            state, world = found.restored.state, _world_of(path, found.restored.extra, world)
    except BaseException:
        found.close()
        raise
    taken = int(world.control[0].outside_taken)
    world.control[0].cursor = 0
    return Resumed(state, world, _CatchingUp(found, state, world), taken, found.snapshot_batch, found.findings)


def _check_same(found: Recovery, manifest: Manifest, names: Names) -> None:
    said, meant = found.entries, manifest.entries(names_hash(names.rows()))
    keys = {key for key in {*said, *meant} if key in ("names_sha256", *_SAME) or key.startswith("detail_")}
    for key in sorted(keys):
        if said.get(key) != meant.get(key):
            raise JournalError(f"journal `{found.path}` is of another run: `{key}` differs")


def _world_of(path: Path, extra: Mapping[str, NDArray[Any]], fresh: World) -> World:
    """Return the simulated venue of a snapshot; it must have the arrays of the one at the start."""
    wanted = arrays_of(fresh)
    shapes = {name: (array.dtype, array.shape) for name, array in extra.items()}
    if shapes != {name: (array.dtype, array.shape) for name, array in wanted.items()}:
        raise JournalError(f"journal `{path}`: its snapshot holds another simulated venue than this run's")
    return World(**{name.removeprefix(_PREFIX): array for name, array in extra.items()})


class _CatchingUp:
    """Compares what the run gives with what the journal holds, then records what it does not."""

    def __init__(self, found: Recovery, state: State, world: World) -> None:
        self._found = found
        self._state = state
        self._world = world
        self._tail = found.tail()
        self._batch: Batch | None = None
        self._events_done = self._effects_done = 0
        self._recorder: Recorder | None = None
        self.journal: Journal | Ended | None = None

    def record(self, events: EventArray, effects: EffectArray) -> None:
        if self._recorder is None:
            events, effects = self._compared(events, effects)
        if self._recorder is not None:
            self._recorder.record(events, effects)

    def close(self) -> str:
        if self._recorder is None:
            self._compared(np.empty(0, dtype=EVENT), self._state.effects[:0], is_last=True)
        return self._end() if self._recorder is None else self._recorder.close()

    def _end(self) -> str:
        """Compare with the end mark of a run that had come to its end; return its digest."""
        found, digest = self._found, state_digest(self._state)
        found.end(digest)
        held = found.position
        self.journal = Ended(found.path, held.batches, held.events, found.head)
        return digest

    def abandon(self) -> None:
        self._found.close()
        if self._recorder is not None:
            self._recorder.abandon()

    def _compared(self, events: EventArray, effects: EffectArray, *, is_last: bool = False) -> tuple[EventArray, EffectArray]:
        """Compare as far as the journal goes; return what lies beyond it, and begin to record where
        something does.
        """
        while len(events) or is_last:
            if self._batch is None or self._events_done == len(self._batch.events):
                self._check_used_up()
                self._batch, self._events_done, self._effects_done = next(self._tail, None), 0, 0
                if self._batch is None:
                    self._begin(is_last=is_last)
                    return events, effects
            if is_last:
                raise JournalError(f"journal `{self._found.path}` holds more events than this run gives")
            count = min(len(events), len(self._batch.events) - self._events_done)
            held = int(np.searchsorted(effects["seq"], events["seq"][count - 1], side="right"))
            self._compare("events", events[:count], self._batch.events[self._events_done :][:count])
            self._compare("effects", effects[:held], self._batch.effects[self._effects_done :][:held])
            self._events_done += count
            self._effects_done += held
            events, effects = events[count:], effects[held:]
        return events, effects

    def _compare(self, noun: str, made: EventArray, held: EventArray) -> None:
        if made.tobytes() != held.tobytes():
            assert self._batch is not None
            raise JournalError(f"journal `{self._found.path}`: batch {self._batch.number} holds other {noun} than this run gives")

    def _check_used_up(self) -> None:
        if self._batch is not None and self._effects_done != len(self._batch.effects):
            raise JournalError(f"journal `{self._found.path}`: batch {self._batch.number} holds other effects than this run gives")

    def _begin(self, *, is_last: bool) -> None:
        if not self._found.is_ended:
            journal = self.journal = self._found.take_up()
            self._recorder = Recorder(journal, self._state, extra=lambda: arrays_of(self._world))
        elif not is_last:
            raise JournalError(f"journal `{self._found.path}` holds fewer events than this run gives")
