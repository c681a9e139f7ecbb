"""Writing a journal: one transaction a batch, durable or nothing of it.

A batch is first written to SQLite's log, then synced; the next may be written while it is. It does not gather
(``recorder`` does), run the engine or read back what it wrote.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple

import numpy as np

from backstop.core.events import EFFECT, EVENT, EffectArray, EventArray
from backstop.journal.format import (
    APPLICATION_ID,
    BATCH_ROWS_MAX,
    PAGE_BYTES,
    PARTS_MAX,
    SCHEMA,
    SCHEMA_VERSION,
    UNSYNCED_MAX,
    batch_chain,
    end_chain,
    is_digest,
    names_hash,
    start_chain,
    stranger_of,
)
from backstop.journal.manifest import Manifest, Names
from backstop.journal.snapshot import Snapshot

__all__ = ["Journal", "JournalError", "Position", "Sealed"]

#: What SQLite leaves beside its file while it is at work.
_COMPANIONS = ("-wal", "-shm", "-journal")
#: Bytes in the write-ahead log before its pages are moved into the file. A log that is written over
#: again need not grow, which a sync would have to note in the file system.
_CHECKPOINT_BYTES = 64 << 20


class JournalError(OSError):
    """A journal cannot be created or written; what was acknowledged before stays safe."""


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

    Who has other things to do meanwhile calls ``seal``, ``write`` and ``sync``, each in a thread of its own.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, log: int, position: Position, manifest: Manifest) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._manifest = manifest
        #: Handle of SQLite's log, which is what is synced. SQLite holds no lock on that file that closing it could drop.
        self._log = log
        #: What is chained, what of it stands in the log, and how much of that would survive a power cut.
        self._sealed = self._written = self._safe = position
        #: Why it takes no more, from the moment that a sync failed until it is closed.
        self._fault: JournalError | None = None
        #: In this order, where one needs both.
        self._write_lock, self._sync_lock = Lock(), Lock()

    @classmethod
    def create(cls, path: str | Path, manifest: Manifest, names: Names | None = None, *, overwrite: bool = False) -> Journal:
        """Create the file with its manifest and names.

        Raises ``JournalError`` if the file exists and ``overwrite`` is not set, or cannot be written.
        """
        path = Path(path)
        names = names or Names()
        _make_room(path, overwrite)
        entries = manifest.entries(names_hash(names.rows()))
        chain = start_chain(entries)
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            _prepare(connection)
            connection.execute("BEGIN IMMEDIATE")
            for words in SCHEMA.values():
                connection.execute(words)
            connection.executemany("INSERT INTO manifest VALUES (?, ?)", entries.items())
            connection.executemany("INSERT INTO names VALUES (?, ?, ?)", names.rows())
            connection.execute("INSERT INTO marks VALUES ('start', 0, 0, 0, ?, NULL)", (chain,))
            connection.execute("COMMIT")
            # Only now: what names the run then stands in the file itself, whatever becomes of the log.
            log = _log_ahead(connection, path)
        except (sqlite3.Error, OSError, UnicodeError) as error:
            if connection is not None:
                connection.close()
            raise JournalError(f"journal `{path}` cannot be created: {_reason(error)}") from error
        return cls(path, connection, log, Position(chain), manifest)

    @classmethod
    def take_up(cls, path: str | Path, manifest: Manifest, position: Position) -> Journal:
        """Open a journal that a dead run left, to write on after ``position``; what stands behind it is cut off.

        ``backstop.journal.recovery`` finds the position. Raises ``JournalError`` if the file cannot be written, or is
        so damaged that nothing can be cut off it; it is then as it was.
        """
        path = Path(path)
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False)
            _prepare(connection, is_new=False)
            _cut_off(connection, position.batches)
            log = _log_ahead(connection, path)
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            raise JournalError(f"journal `{path}` cannot be taken up: {_reason(error)}") from error
        return cls(path, connection, log, position, manifest)

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
    def digest_due(self) -> bool:
        """Whether the next batch must carry a state digest."""
        return self.is_digest_due(self._sealed.batches + 1)

    def is_digest_due(self, number: int) -> bool:
        """Return whether this batch must carry a state digest: the manifest declares one, or a snapshot goes with it."""
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
        """Check one batch and chain it to the one sealed before: events, all their effects, the state digest where one is due, and
        a snapshot of the state after them.

        Raises ``ValueError`` if they are no batch. The rows must stay as they are until it is written.
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

        It is safe after the next ``sync``; one is made first where ``UNSYNCED_MAX`` batches wait for theirs. Raises
        ``JournalError`` if it cannot be written; the journal then takes no more.
        """
        with self._write_lock:
            try:
                self._sync_up_to(self._written.batches - UNSYNCED_MAX + 1)
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
            _sync(self._log)
        except OSError as error:  # what the disk then holds cannot be known, nor had by trying again
            self._fault = self._failed(error)
            raise self._fault from error
        self._safe = held

    def close(self, digest: str) -> None:
        """Write the end mark with the final state digest and close the file.

        Raises ``JournalError`` if it cannot be written.
        """
        self.sync()
        with self._write_lock, self._sync_lock:
            connection = self._writable()
            if not is_digest(digest):
                raise ValueError(f"Condition failed: digest {digest!r} is not a SHA-256 in hex")
            held = self._written
            chain = end_chain(held.chain, held.batches, held.events, held.effects, digest)
            row = (held.batches, held.events, held.effects, chain, digest)
            try:
                self._commit(connection, "INSERT INTO marks VALUES ('end', ?, ?, ?, ?, ?)", row)
                self._sync()
                self._written = self._safe = held._replace(chain=chain)
                with suppress(sqlite3.Error):  # the log keeps what the file could not take; both together are the journal
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._give_up()

    def abandon(self) -> None:
        """Close the file without an end mark, as a run that failed does."""
        with self._write_lock, self._sync_lock:
            self._give_up()

    def _give_up(self) -> None:
        if self._connection is not None:
            os.close(self._log)
            self._connection.close()
            self._connection = None

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
                connection.execute(words, row)  # one statement is one transaction, and one call that needs Python's lock
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
        return JournalError(f"journal `{self.path}` cannot be written: {_reason(error)}; {safe}")

    def _store(self, connection: sqlite3.Connection, snapshot: Snapshot) -> None:
        """Write the snapshot of the batch that comes next, and remove those that are no longer kept."""
        first = (self._written.batches + 1) * PARTS_MAX
        rows = enumerate(snapshot.parts, start=first)
        connection.executemany("INSERT INTO snapshots VALUES (?, ?)", rows)
        held = [number for (number,) in connection.execute("SELECT DISTINCT place / ? FROM snapshots ORDER BY 1", (PARTS_MAX,))]
        for number in held[: -self._manifest.snapshots_kept or None]:
            connection.execute("DELETE FROM snapshots WHERE place >= ? AND place < ?", (number * PARTS_MAX, (number + 1) * PARTS_MAX))


def _data(rows: EventArray) -> memoryview:
    """Return the bytes of rows, without a copy where they lie together."""
    return np.ascontiguousarray(rows).view(np.uint8).data


def _make_room(path: Path, overwrite: bool) -> None:
    there = [file for file in (path, *(Path(f"{path}{end}") for end in _COMPANIONS)) if file.exists()]
    if there and not overwrite:
        raise JournalError(f"journal `{path}` cannot be created: `{there[0]}` exists")
    if path.is_dir():
        raise JournalError(f"journal `{path}` cannot be created: it is a folder")
    try:
        for file in there:
            file.unlink()
    except OSError as error:
        raise JournalError(f"journal `{path}` cannot be replaced: {_reason(error)}") from error


def _prepare(connection: sqlite3.Connection, *, is_new: bool = True) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    # A snapshot that is no longer kept need not be overwritten with zeros.
    connection.execute("PRAGMA secure_delete = OFF")
    if is_new:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA encoding = 'UTF-8'")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _log_ahead(connection: sqlite3.Connection, path: Path) -> int:
    """Write to a log from here on; return its handle, for ``sync``: SQLite itself syncs only where it moves pages."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_BYTES // page_bytes}")
    connection.execute("SELECT 1 FROM manifest").fetchone()  # opens the log
    handle = os.open(f"{path}-wal", os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        _sync(handle)
        _sync_folder(path.parent)
    except OSError:
        os.close(handle)
        raise
    return handle


def _sync(handle: int) -> None:
    """Return when the bytes of a file would survive a power cut."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    elif sys.platform == "win32":
        os.fsync(handle)
    else:
        os.fdatasync(handle)


def _cut_off(connection: sqlite3.Connection, batches: int) -> None:
    """Remove what stands after a batch, if anything does; where the file does not hang together then, leave it alone."""
    if connection.execute("SELECT max(number) FROM batches").fetchone()[0] in (None, batches):
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM batches WHERE number > ?", (batches,))
    connection.execute("DELETE FROM snapshots WHERE place >= ?", ((batches + 1) * PARTS_MAX,))
    sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if sound != "ok":
        connection.execute("ROLLBACK")
        raise sqlite3.DatabaseError(f"damaged: {' '.join(str(sound).split())}")
    connection.execute("COMMIT")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    text = str(error)
    if "is full" in text or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return "the disk is full"
    if "readonly" in text:
        return "it is read-only"
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return "disk I/O error"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text
