"""Gathering the engine's events and effects into batches of 1,000 events or more.

The driver hands over what one ``step`` consumed; the recorder decides when to write, and adds a
state digest where the manifest declares one. What it still holds is not durable: acknowledge
nothing to anybody before ``flush``.
"""

from __future__ import annotations

import numpy as np

from backstop.core.events import EFFECT, EffectArray, EventArray
from backstop.core.state import State, state_digest
from backstop.journal.writer import Journal

__all__ = ["BATCH_EVENTS", "Recorder"]

#: Events that are gathered before a batch is written.
BATCH_EVENTS = 1_000
#: Effects after which a batch is written, however few events brought them.
BATCH_EFFECTS = 1_000_000


class Recorder:
    """Writes what an engine did to a journal, batch by batch."""

    def __init__(self, journal: Journal, state: State, batch_events: int = BATCH_EVENTS) -> None:
        self._journal = journal
        self._state = state
        self._batch_events = batch_events
        self._events: list[EventArray] = []
        self._effects: list[EffectArray] = []
        self._gathered = 0

    def record(self, events: EventArray, effects: EffectArray) -> None:
        """Take events that were applied whole, with all their effects; the state must stand right after them.

        The rows are copied. Raises ``JournalError`` if a batch is due and cannot be written.
        """
        if len(events) == 0:
            return
        self._events.append(events.copy())
        self._effects.append(effects.copy())
        self._gathered += len(events)
        if self._gathered >= self._batch_events or sum(map(len, self._effects)) >= BATCH_EFFECTS:
            self.flush()

    def flush(self) -> None:
        """Make what was gathered durable."""
        if not self._events:
            return
        effects = np.concatenate(self._effects) if self._effects else np.empty(0, dtype=EFFECT)
        digest = state_digest(self._state) if self._journal.digest_due else None
        self._journal.append(np.concatenate(self._events), effects, digest)
        self._events, self._effects, self._gathered = [], [], 0

    def close(self) -> str:
        """Write what is left and the end mark; return the final state digest."""
        self.flush()
        digest = state_digest(self._state)
        self._journal.close(digest)
        return digest
