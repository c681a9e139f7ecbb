"""Writing a journal: one transaction a batch, durable or nothing of it.

A batch is first written to SQLite's log, then synced; the next may be written while it is. It does
not gather (``recorder`` does), run the engine or read back what it wrote.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple

import numpy as np

from backstop.core.events import EFFECT, EVENT, EffectArray, EventArray
from backstop.journal.errors import JournalError, reason_of
from backstop.journal.format import (
    APPLICATION_ID,
    BATCH_ROWS_MAX,
    PAGE_BYTES,
    PARTS_MAX,
    SCHEMA,
    SCHEMA_VERSION,
    batch_chain,
    end_chain,
    is_digest,
    names_hash,
    start_chain,
    stranger_of,
)
from backstop.journal.log import log_of
from backstop.journal.manifest import Manifest, Names
from backstop.journal.place import Place
from backstop.journal.snapshot import Snapshot
from backstop.journal.syncing import Log

__all__ = ["Journal", "JournalError", "Position", "Sealed"]


class Position(NamedTuple):
    """How far a journal has come."""

    chain: bytes
    batches: int = 0
    events: int = 0
    effects: int = 0
    #: ``seq`` of the last event.
    last_seq: int | None = None


class Sealed(NamedTuple):
    """A batch in the words of table ``batches``, and how far the journal has come with it."""

    row: tuple[object, ...]
    snapshot: Snapshot | None
    position: Position


class Journal:
    """A journal that is being written. ``append`` returns when its batch would survive a power cut.

    Who has other things to do meanwhile calls ``seal``, ``write`` and ``sync``, each in a thread of
    its own.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, log: Log, position: Position, manifest: Manifest) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._manifest = manifest
        self._log = log
        #: What is chained, what of it stands in the log, and how much of that would survive a power
        #: cut.
        self._sealed = self._written = self._safe = position
        #: Why it takes no more, from the moment that a sync failed until it is closed.
        self._fault: JournalError | None = None
        #: In this order, where one needs both.
        self._write_lock, self._sync_lock = Lock(), Lock()

    @classmethod
    def create(
        cls, path: str | Path, manifest: Manifest, names: Names | None = None, *, overwrite: bool = False, resume: bool = False
    ) -> Journal:
        """Create the file with its manifest and names: beside its place first, and put there when
        both are on the disk.

        ``overwrite`` replaces a journal that is there, ``resume`` only one that a killed run left
        without manifest. Raises ``JournalError`` if anything else is there, if another process
        writes to it, or if the file cannot be written; what was there is then as it was.
        """
        place = Place(path)
        names = names or Names()
        entries = manifest.entries(names_hash(names.rows()))
        chain = start_chain(entries)
        try:
            with place.held():
                with place.replaced(overwrite=overwrite, resume=resume) as new:
                    _build(new, entries, names, chain)
                connection, log = _opened(place.file)
        except JournalError:
            raise
        except (sqlite3.Error, OSError, UnicodeError) as error:
            raise JournalError(f"journal `{path}` cannot be created: {reason_of(error)}") from error
        return cls(place.path, connection, log, Position(chain), manifest)

    @classmethod
    def take_up(cls, path: str | Path, manifest: Manifest, position: Position, *, torn_bytes: int = 0) -> Journal:
        """Open a journal that a dead run left, to write on after ``position``; what stands behind
        it is cut off.

        ``backstop.journal.recovery`` finds the position, and how much of the log is torn. Raises
        ``JournalError`` if the file cannot be written, is written by somebody else, or is so
        damaged that nothing can be cut off it; its batches are then as they were.
        """
        place = Place(path)
        try:
            with place.held():
                place.sweep()
                # This syncs what the dead run did not, before anything stands behind it.
                connection, log = _opened(place.file)
                try:
                    _cut_off(connection, position)
                    log.empty(connection, torn_bytes)
                except sqlite3.Error:
                    _released(connection, log)
                    raise
        except JournalError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal `{path}` cannot be taken up: {reason_of(error)}") from error
        return cls(place.path, connection, log, position, manifest)

    @staticmethod
    def tidy(path: str | Path) -> None:
        """Move the log that a dead run left beside its journal into it, and remove the log: a
        closed journal is one file.

        Raises ``JournalError`` where it cannot be written, or is written by somebody else; it is
        then as it was.
        """
        place = Place(path)
        if not log_of(place.file).exists():
            return
        try:
            with place.held():
                _released(*_opened(place.file))  # SQLite does it when the last one closes the file
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal `{path}` cannot be tidied: {reason_of(error)}") from error

    @property
    def batches(self) -> int:
        """Batches that are safe."""
        return self._safe.batches

    @property
    def events(self) -> int:
        """Events that are safe."""
        return self._safe.events

    @property
    def chain(self) -> str:
        """Hex of the chain after the last safe batch, or of the end mark."""
        return self._safe.chain.hex()

    @property
    def batches_sealed(self) -> int:
        """Batches that are chained, whether or not they are safe."""
        return self._sealed.batches

    @property
    def unsynced_max(self) -> int:
        """Batches that may be written before the first of them is synced."""
        return self._log.unsynced_max

    @property
    def digest_due(self) -> bool:
        """Whether the next batch must carry a state digest."""
        return self.is_digest_due(self._sealed.batches + 1)

    def is_digest_due(self, number: int) -> bool:
        """Return whether this batch must carry a state digest: the manifest declares one, or a
        snapshot goes with it.
        """
        every = self._manifest.digest_every
        return (every > 0 and number % every == 0) or self.is_snapshot_due(number)

    def is_snapshot_due(self, number: int) -> bool:
        """Return whether a snapshot should go with this batch."""
        every = self._manifest.snapshot_every
        return every > 0 and number % every == 0 and self._manifest.snapshots_kept > 0

    def append(self, events: EventArray, effects: EffectArray, digest: str | None = None, snapshot: Snapshot | None = None) -> None:
        """Write one batch and sync it: ``seal``, ``write`` and ``sync`` in one."""
        self.write(self.seal(events, effects, digest, snapshot))
        try:
            self.sync()
        except JournalError:
            self.abandon()
            raise

    def seal(self, events: EventArray, effects: EffectArray, digest: str | None = None, snapshot: Snapshot | None = None) -> Sealed:
        """Check one batch and chain it to the one sealed before: events, all their effects, the
        state digest where one is due, and a snapshot of the state after them.

        Raises ``ValueError`` if they are no batch. The rows must stay as they are until it is
        written.
        """
        self._check(events, effects, digest)
        event_bytes, effect_bytes = _data(events), _data(effects)
        hashed = None if snapshot is None else snapshot.hash
        held = self._sealed
        chain = batch_chain(held.chain, event_bytes, effect_bytes, digest, hashed, schema=SCHEMA_VERSION)
        number, first_seq, last_seq = held.batches + 1, int(events["seq"][0]), int(events["seq"][-1])
        row = (number, first_seq, last_seq, len(events), len(effects), event_bytes, effect_bytes, chain, digest, hashed)
        self._sealed = Position(chain, number, held.events + len(events), held.effects + len(effects), last_seq)
        return Sealed(row, snapshot, self._sealed)

    def write(self, batch: Sealed) -> None:
        """Write the batch that was sealed next.

        It is safe after the next ``sync``; one is made first where ``unsynced_max`` batches wait
        for theirs. Raises ``JournalError`` if it cannot be written; the journal then takes no more.
        """
        with self._write_lock:
            try:
                self._sync_up_to(self._written.batches - self._log.unsynced_max + 1)
                connection = self._writable()
                if batch.position.batches != self._written.batches + 1:
                    raise ValueError(f"Condition failed: batch {batch.position.batches} written after {self._written.batches}")
                self._commit(connection, "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch.row, batch.snapshot)
                self._written = batch.position
            except JournalError:
                with self._sync_lock:
                    self._give_up()
                raise

    def sync(self) -> None:
        """Return when all that was written before the call would survive a power cut.

        Raises ``JournalError`` if that cannot be had; the journal then takes no more.
        """
        self._sync_up_to(self._written.batches)

    def _sync_up_to(self, batches: int) -> None:
        if self._safe.batches < batches:
            with self._sync_lock:
                if self._safe.batches < batches:
                    self._sync()

    def _sync(self) -> None:
        self._writable()
        held = self._written
        try:
            self._log.sync()
        except OSError as error:
            # What the disk now holds cannot be known, and another try would not show it.
            self._fault = self._failed(error)
            raise self._fault from error
        self._safe = held

    def close(self, digest: str) -> None:
        """Write the end mark with the final state digest and close the file.

        Raises ``JournalError`` if it cannot be written, and closes the file all the same. Where
        only the sync of the end mark failed, the mark may stand there.
        """
        with self._write_lock, self._sync_lock:
            connection = self._writable()
            if not is_digest(digest):
                raise ValueError(f"Condition failed: digest {digest!r} is not a SHA-256 in hex")
            try:
                self._sync()
                held = self._written
                chain = end_chain(held.chain, held.batches, held.events, held.effects, digest)
                row = (held.batches, held.events, held.effects, chain, digest)
                self._commit(connection, "INSERT INTO marks VALUES ('end', ?, ?, ?, ?, ?)", row)
                self._sync()
                self._written = self._safe = held._replace(chain=chain)
                # The log keeps what the file could not take; both together are the journal.
                with suppress(sqlite3.Error):
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._give_up()

    def abandon(self) -> None:
        """Close the file without an end mark, as a run that failed does."""
        with self._write_lock, self._sync_lock:
            self._give_up()

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _released(connection, self._log)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abandon()

    def _writable(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"journal `{self.path}` is closed")
        if self._fault is not None:
            raise self._fault
        return self._connection

    def _check(self, events: EventArray, effects: EffectArray, digest: str | None) -> None:
        if events.dtype != EVENT or effects.dtype != EFFECT:
            raise ValueError(f"Condition failed: rows are {events.dtype} and {effects.dtype}, not EVENT and EFFECT")
        if not 1 <= len(events) <= BATCH_ROWS_MAX or len(effects) > BATCH_ROWS_MAX:
            raise ValueError(f"Condition failed: a batch of {len(events)} events and {len(effects)} effects: 1 to {BATCH_ROWS_MAX} each")
        if stranger_of(effects["seq"], events["seq"]) is not None:
            raise ValueError("Condition failed: an effect belongs to no event of its batch")
        if digest is not None and not is_digest(digest):
            raise ValueError(f"Condition failed: digest {digest!r} is not a SHA-256 in hex")
        if digest is None and self.digest_due:
            raise ValueError(f"Condition failed: batch {self._sealed.batches + 1} must carry a state digest")

    def _commit(self, connection: sqlite3.Connection, words: str, row: tuple[object, ...], snapshot: Snapshot | None = None) -> None:
        try:
            if snapshot is None:
                # One statement is one transaction, and one call that needs Python's lock.
                connection.execute(words, row)
            else:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(words, row)
                self._store(connection, snapshot)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> JournalError:
        held = self._safe
        safe = f"{held.batches} batches are safe" + ("" if held.last_seq is None else f", the last event is seq {held.last_seq}")
        return JournalError(f"journal `{self.path}` cannot be written: {reason_of(error)}; {safe}")

    def _store(self, connection: sqlite3.Connection, snapshot: Snapshot) -> None:
        """Write the snapshot of the batch that comes next, and remove those that are no longer
        kept.
        """
        first = (self._written.batches + 1) * PARTS_MAX
        rows = enumerate(snapshot.parts, start=first)
        connection.executemany("INSERT INTO snapshots VALUES (?, ?)", rows)
        held = [number for (number,) in connection.execute("SELECT DISTINCT place / ? FROM snapshots ORDER BY 1", (PARTS_MAX,))]
        for number in held[: -self._manifest.snapshots_kept or None]:
            connection.execute("DELETE FROM snapshots WHERE place >= ? AND place < ?", (number * PARTS_MAX, (number + 1) * PARTS_MAX))


def _data(rows: EventArray) -> memoryview:
    """Return the bytes of rows, without a copy where they lie together."""
    return np.ascontiguousarray(rows).view(np.uint8).data


def _build(path: Path, entries: dict[str, str], names: Names, chain: bytes) -> None:
    """Write a journal without batches to a new file, and sync it. Raises what SQLite raises."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        _prepare(connection)
        # Nobody reads this file before it is whole: what undoes a transaction need not outlive the
        # process.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA encoding = 'UTF-8'")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("BEGIN IMMEDIATE")
        for words in SCHEMA.values():
            connection.execute(words)
        connection.executemany("INSERT INTO manifest VALUES (?, ?)", entries.items())
        connection.executemany("INSERT INTO names VALUES (?, ?, ?)", names.rows())
        connection.execute("INSERT INTO marks VALUES ('start', 0, 0, 0, ?, NULL)", (chain,))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _opened(path: Path) -> tuple[sqlite3.Connection, Log]:
    """Open a journal to write to it, and hold its log.

    Raises what SQLite raises, and ``OSError``.
    """
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
        return connection, Log.open(connection, path)
    except BaseException:
        connection.close()
        raise


def _released(connection: sqlite3.Connection, log: Log) -> None:
    """Close both.

    The lock goes last: SQLite removes its log by name, and that name must not be another writer's
    by then.
    """
    if sys.platform == "win32":  # a file that is open cannot be removed there
        log.close()
        connection.close()
        return
    connection.close()
    log.close()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    # A snapshot that is no longer kept need not be overwritten with zeros.
    connection.execute("PRAGMA secure_delete = OFF")


def _cut_off(connection: sqlite3.Connection, position: Position) -> None:
    """Remove the batch that stands after a position, if one does; where the file does not hang
    together then, leave it alone.

    Never more than one, and only behind the very batch that was read: what somebody else has
    written meanwhile stays.
    """
    connection.execute("BEGIN IMMEDIATE")
    number = connection.execute("SELECT max(number) FROM batches").fetchone()[0] or 0
    before = (
        "SELECT chain FROM batches WHERE number = ?"
        if position.batches
        else "SELECT chain FROM marks WHERE place = 'start' AND batches = ?"
    )
    if number > position.batches + 1 or connection.execute(before, (position.batches,)).fetchone() != (position.chain,):
        connection.execute("ROLLBACK")
        raise sqlite3.DatabaseError(f"it holds {number} batches, and not those that were read: somebody else writes to it")
    if number > position.batches:
        connection.execute("DELETE FROM batches WHERE number > ?", (position.batches,))
        connection.execute("DELETE FROM snapshots WHERE place >= ?", ((position.batches + 1) * PARTS_MAX,))
        sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if sound != "ok":
            connection.execute("ROLLBACK")
            raise sqlite3.DatabaseError(f"damaged: {' '.join(str(sound).split())}")
    connection.execute("COMMIT")
