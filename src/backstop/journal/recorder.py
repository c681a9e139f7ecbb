"""Gathering the engine's events and effects into batches of 1,000 events or more, and writing them meanwhile.

The driver hands over what one ``step`` consumed; the recorder decides when a batch is whole, adds a state
digest and a snapshot where the manifest declares them, and writes it in a thread of its own while the
engine goes on. What ``record`` took is not durable: acknowledge nothing to anybody before ``flush``
returned, or ``journal.events`` has come as far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.digest import state_digest
from backstop.core.events import EFFECT, EffectArray, EventArray
from backstop.core.state import State
from backstop.journal.snapshot import take_snapshot
from backstop.journal.writer import Journal

__all__ = ["BATCH_EVENTS", "Recorder"]

#: Events that are gathered before a batch is written.
BATCH_EVENTS = 1_000
#: Effects after which a batch is written, however few events brought them.
BATCH_EFFECTS = 1_000_000
#: Batches that may wait for the disk; then the engine waits for them.
_AHEAD_MAX = 2


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
        self._gathered = 0
        self._next = journal.batches + 1
        self._writer = ThreadPoolExecutor(1, "journal")
        self._under_way: deque[Future[None]] = deque()

    def record(self, events: EventArray, effects: EffectArray) -> None:
        """Take events that were applied whole, with all their effects; the state must stand right after them.

        The rows are copied. Raises ``JournalError`` if this or an earlier batch cannot be written.
        """
        if len(events) == 0:
            return
        self._events.append(events.copy())
        self._effects.append(effects.copy())
        self._gathered += len(events)
        if self._gathered >= self._batch_events or sum(map(len, self._effects)) >= BATCH_EFFECTS:
            self._hand_over()

    def flush(self) -> None:
        """Make what was recorded durable. Raises ``JournalError`` if it cannot be written."""
        self._hand_over()
        self._wait(0)

    def close(self) -> str:
        """Write what is left and the end mark; return the final state digest."""
        self.flush()
        self._writer.shutdown()
        digest = state_digest(self._state)
        self.journal.close(digest)
        return digest

    def abandon(self) -> None:
        """Let what is being written end, and close the file without an end mark, as a run that failed does."""
        self._writer.shutdown(cancel_futures=True)
        self.journal.abandon()

    def _hand_over(self) -> None:
        if not self._events:
            return
        number, journal, state = self._next, self.journal, self._state
        digest = state_digest(state) if journal.is_digest_due(number) else None
        snapshot = None
        if digest is not None and journal.is_snapshot_due(number):
            snapshot = take_snapshot(state, digest, self._extra() if self._extra is not None else None)
        events, effects = _joined(self._events), _joined(self._effects) if self._effects else np.empty(0, dtype=EFFECT)
        self._events, self._effects, self._gathered = [], [], 0
        self._next += 1
        self._wait(_AHEAD_MAX - 1)
        self._under_way.append(self._writer.submit(journal.append, events, effects, digest, snapshot))

    def _wait(self, left: int) -> None:
        """Wait until at most ``left`` batches are under way; the first error is raised, and again by every later call."""
        while len(self._under_way) > left:
            self._under_way[0].result()
            self._under_way.popleft()


def _joined(parts: list[EventArray]) -> EventArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
