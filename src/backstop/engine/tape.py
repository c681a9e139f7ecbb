"""The journal of an ``Engine``: one batch a call, durable before its effects are handed out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from backstop.config import Venue
from backstop.core.digest import state_digest
from backstop.core.events import EffectArray, EventArray
from backstop.core.state import State
from backstop.journal import Journal, JournalError, Manifest, Name, Names, open_journal
from backstop.journal.manifest import ENGINE_COMMAND
from backstop.journal.recovery import recover
from backstop.journal.snapshot import take_snapshot
from backstop.runs.history import read_batches, venue_of

__all__ = ["Tape"]

_FILE = "journal.db"
#: Calls between two snapshots: recovery replays so many at most.
_SNAPSHOT_EVERY = 1_024


class Tape:
    """Writes what an engine does to the journal of a folder."""

    def __init__(self, journal: Journal) -> None:
        """Write on to ``journal``."""
        self._journal = journal

    @classmethod
    def create(cls, folder: Path, venue: Venue) -> Tape:
        """Begin a journal in a folder, which is made where there is none.

        Raises ``JournalError`` where there is a journal already, or it cannot be written.
        """
        if (folder / _FILE).exists():
            raise JournalError(f"folder `{folder}` has a journal: take it up with Engine.open")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"folder `{folder}` cannot be made: {error.strerror}") from error
        manifest = Manifest(venue.text, venue.hash, venue.rules.limits, command=ENGINE_COMMAND, snapshot_every=_SNAPSHOT_EVERY)
        # A run that was killed before the head was whole told nobody of the journal.
        return cls(Journal.create(folder / _FILE, manifest, resume=True))

    @classmethod
    def recover(cls, folder: Path) -> tuple[Venue, State, Tape, tuple[str, ...]]:
        """Return the venue and the state of a journal, the journal to be written on, and what was cut
        off or passed over.

        Raises as ``Engine.open`` does.
        """
        path = folder / _FILE
        if not path.exists():
            raise FileNotFoundError(f"folder `{folder}` has no {_FILE}: begin one with Engine(venue, journal=folder)")
        with open_journal(path) as journal:
            venue = venue_of(journal)
        found = recover(path)
        return venue, found.state, cls(found.journal), tuple(map(str, (*found.findings, *found.quarantined)))

    def without_quarantined(self, events: EventArray) -> EventArray:
        """Return the events but for those that stopped an engine before, and come again."""
        return self._journal.without_quarantined(events)

    def note_stop(self, events: EventArray, error: BaseException) -> None:
        """Keep the events of a call in which the engine raised, from the first that is in no batch:
        ``recover`` takes them up, all but the one that raises.

        Raises ``JournalError`` where that cannot be written.
        """
        self._journal.note_stop(events, f"{type(error).__name__}: {error}")

    def append(self, events: EventArray, effects: EffectArray, state: State, names: Iterable[Name] = ()) -> None:
        """Make one batch durable, and the names that come with it; the state stands right after it."""
        journal, digest, snapshot = self._journal, None, None
        if journal.digest_due:
            digest = state_digest(state)
            if journal.is_snapshot_due(journal.batches_sealed + 1):
                snapshot = take_snapshot(state, digest)
        journal.append(events, effects, digest, snapshot, names)

    def names(self) -> Names:
        """Return the names on the journal. Raises ``JournalDamaged`` where they cannot be read."""
        with open_journal(self._journal.path) as journal:
            return journal.names()

    def effects_after(self, seq: int) -> Iterator[EffectArray]:
        """Yield the recorded effects of events after ``seq``, batch by batch.

        Raises ``JournalError`` where earlier ones are needed than the journal still has.
        """
        with open_journal(self._journal.path) as journal:
            if seq < journal.seq_before:
                message = f"effects up to seq {journal.seq_before} are in segments that are not here"
                raise JournalError(f"journal `{self._journal.path}`: {message}")
            for batch in read_batches(journal, with_names=False, needs_all=False):
                chosen = batch.effects[batch.effects["seq"] > seq]
                if len(chosen):
                    yield np.ascontiguousarray(chosen)

    def abandon(self) -> None:
        """Close the file without an end mark: it may be taken up again."""
        self._journal.abandon()
