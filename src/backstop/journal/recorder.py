"""Gathering the engine's events and effects into batches of 1,000 events or more, and writing them
meanwhile.

The driver hands over what one ``step`` consumed; the recorder decides when a batch is whole, and
adds a state digest and a snapshot where the manifest declares them. While the engine goes on, one
thread chains a batch, one writes the batch before, and one syncs the batch before that. What
``record`` took is not durable: acknowledge nothing to anybody before ``flush`` returned, or
``journal.events`` has come as far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EFFECT, EffectArray, EventArray
from backstop.core.state import State
from backstop.journal.manifest import Name, checked_names
from backstop.journal.snapshot import Snapshot, take_snapshot
from backstop.journal.writer import Journal, JournalError, Sealed

__all__ = ["BATCH_EVENTS", "Recorder"]

#: Events that are gathered before a batch is written.
BATCH_EVENTS = 1_000
#: Effects after which a batch is written, however few events brought them.
BATCH_EFFECTS = 1_000_000
#: Batches that may be under way to the disk, one a stage and one that waits; then the engine waits
#: for them.
_AHEAD_MAX = 4


class Recorder:
    """Writes what an engine did to a journal, batch by batch.

    ``extra`` returns arrays of the caller's that a snapshot must hold beside the state.
    """

    def __init__(
        self,
        journal: Journal,
        state: State,
        batch_events: int = BATCH_EVENTS,
        extra: Callable[[], Mapping[str, NDArray[Any]]] | None = None,
    ) -> None:
        #: Where it writes.
        self.journal = journal
        self._state = state
        self._batch_events = batch_events
        self._extra = extra
        self._events: list[EventArray] = []
        self._effects: list[EffectArray] = []
        self._names: list[Name] = []
        self._gathered = 0
        self._next = journal.batches_sealed + 1
        self._sealer, self._writer, self._syncer = (ThreadPoolExecutor(1, f"journal-{stage}") for stage in ("seal", "write", "sync"))
        self._under_way: deque[Future[Future[Future[None]]]] = deque()
        self._syncs: deque[Future[None]] = deque()
        #: What the first stage that failed raised; no batch behind it is written.
        self._fault: BaseException | None = None
        self._is_ended = False

    def record(self, events: EventArray, effects: EffectArray) -> None:
        """Take events that were applied whole, with all their effects; the state must stand right
        after them.

        The rows are copied. Raises ``JournalError`` if this or an earlier batch cannot be written.
        """
        self._check_open()
        if len(events) == 0:
            return
        self._events.append(events.copy())
        self._effects.append(effects.copy())
        self._gathered += len(events)
        if self._gathered >= self._batch_events or sum(map(len, self._effects)) >= BATCH_EFFECTS:
            self._hand_over()

    def name(self, names: Iterable[Name]) -> None:
        """Let names come with the batch that the next events are in. Raises ``ValueError`` for what is
        no name.
        """
        self._names = list(checked_names([*self._names, *names], len(self._state.accounts)))

    def apply(self, events: EventArray) -> EffectArray:
        """Let the engine take events, and record them; return their effects.

        Events in quarantine are left out. Where the engine raises, the events that are in no batch
        yet are noted on the disk, these among them; the recorder then takes no more, and the error
        is raised: the process must end, and the next takes them up (``recovery.recover``).
        """
        self._check_open()
        events = self.journal.without_quarantined(events)
        engine, first = self._state.engine[0], 0
        parts: list[EffectArray] = []
        while first < len(events):
            try:
                following = int(step(self._state, events, first))
            except Exception as error:
                self._stop(events[first:], f"{type(error).__name__}: {error}")
                raise
            effects = self._state.effects[: int(engine.effects_now)].copy()
            engine.effects_now = 0
            self.record(events[first:following], effects)
            parts.append(effects)
            first = following
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=EFFECT), *parts])

    def _stop(self, events: EventArray, error: str) -> None:
        """Note what the engine was given when it stopped, behind the last batch, and close."""
        try:
            self._wait(0)
            self.journal.note_stop(np.concatenate([*self._events, events]), error)
        finally:
            self._events, self._effects = [], []
            self.abandon()

    def flush(self) -> None:
        """Make what was recorded durable. Raises ``JournalError`` if it cannot be written."""
        self._hand_over()
        self._wait(0)

    def close(self) -> str:
        """Write what is left and the end mark; return the final state digest."""
        self.flush()
        self._end()
        digest = state_digest(self._state)
        self.journal.close(digest)
        return digest

    def abandon(self) -> None:
        """Let what is being written end, and close the file without an end mark, as a run that
        failed does.
        """
        self._end()
        self.journal.abandon()

    def _check_open(self) -> None:
        if self._is_ended:
            raise JournalError(f"journal `{self.journal.path}` is closed")

    def _end(self) -> None:
        self._is_ended = True
        self._sealer.shutdown(cancel_futures=True)
        self._writer.shutdown()
        self._syncer.shutdown()

    def _hand_over(self) -> None:
        if not self._events:
            return
        self._check_open()
        number, journal, state = self._next, self.journal, self._state
        digest = state_digest(state) if journal.is_digest_due(number) else None
        snapshot = None
        if digest is not None and journal.is_snapshot_due(number):
            snapshot = take_snapshot(state, digest, self._extra() if self._extra is not None else None)
        events, effects = _joined(self._events), _joined(self._effects) if self._effects else np.empty(0, dtype=EFFECT)
        names = tuple(self._names)
        self._events, self._effects, self._names, self._gathered = [], [], [], 0
        self._next += 1
        self._wait(_AHEAD_MAX - 1)
        self._under_way.append(self._sealer.submit(self._seal, events, effects, digest, snapshot, names))

    def _seal(
        self, events: EventArray, effects: EffectArray, digest: str | None, snapshot: Snapshot | None, names: tuple[Name, ...]
    ) -> Future[Future[None]]:
        with self._unbroken():
            return self._writer.submit(self._write, self.journal.seal(events, effects, digest, snapshot, names))

    def _write(self, batch: Sealed) -> Future[None]:
        with self._unbroken():
            # Otherwise ``write`` would wait behind the syncer for one more sync.
            while len(self._syncs) >= self.journal.unsynced_max:
                self._syncs.popleft().result()
            self.journal.write(batch)
            self._syncs.append(self._syncer.submit(self._sync))
            return self._syncs[-1]

    def _sync(self) -> None:
        with self._unbroken():
            self.journal.sync()

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Let nothing happen after a stage has failed."""
        if self._fault is not None:
            raise self._fault
        try:
            yield
        except BaseException as error:
            self._fault = error
            raise

    def _wait(self, left: int) -> None:
        """Wait until at most ``left`` batches are under way; the first error is raised, and again
        by every later call.
        """
        while len(self._under_way) > left:
            try:
                self._under_way[0].result().result().result()
            except CancelledError:
                raise JournalError(f"journal `{self.journal.path}` is closed") from None
            self._under_way.popleft()


def _joined(parts: list[EventArray]) -> EventArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
