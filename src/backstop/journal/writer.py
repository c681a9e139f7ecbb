"""Writing a journal: one durable transaction a batch, or nothing of it.

It does not gather (``recorder`` does), run the engine or read back what it wrote.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import TracebackType

import numpy as np

from backstop.core.events import EFFECT, EVENT, EffectArray, EventArray
from backstop.journal.format import (
    APPLICATION_ID,
    BATCH_ROWS_MAX,
    PAGE_BYTES,
    SCHEMA,
    SCHEMA_VERSION,
    batch_chain,
    end_chain,
    is_digest,
    names_hash,
    start_chain,
)
from backstop.journal.manifest import Manifest, Names

__all__ = ["Journal", "JournalError"]

#: What SQLite leaves beside its file while it is at work.
_COMPANIONS = ("-wal", "-shm", "-journal")
#: Pages in the write-ahead log before they are moved into the file: 4 MiB.
_CHECKPOINT_PAGES = 256


class JournalError(OSError):
    """A journal cannot be created or written; what was acknowledged before stays safe."""


class Journal:
    """A journal that is being written. ``append`` returns when its batch would survive a power cut."""

    def __init__(self, path: Path, connection: sqlite3.Connection, chain: bytes, digest_every: int) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._digest_every = digest_every
        self._chain = chain
        self._batches = 0
        self._events = 0
        self._effects = 0
        self._last_seq: int | None = None

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
            connection = sqlite3.connect(path, isolation_level=None)
            _prepare(connection)
            connection.execute("BEGIN IMMEDIATE")
            for words in SCHEMA.values():
                connection.execute(words)
            connection.executemany("INSERT INTO manifest VALUES (?, ?)", entries.items())
            connection.executemany("INSERT INTO names VALUES (?, ?, ?)", names.rows())
            connection.execute("INSERT INTO marks VALUES ('start', 0, 0, 0, ?, NULL)", (chain,))
            connection.execute("COMMIT")
            # Only now: what names the run then stands in the file itself, whatever becomes of the log.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            _sync_folder(path.parent)
        except (sqlite3.Error, OSError, UnicodeError) as error:
            if connection is not None:
                connection.close()
            raise JournalError(f"journal `{path}` cannot be created: {_reason(error)}") from error
        return cls(path, connection, chain, manifest.digest_every)

    @property
    def batches(self) -> int:
        """Batches that are safe."""
        return self._batches

    @property
    def events(self) -> int:
        """Events that are safe."""
        return self._events

    @property
    def chain(self) -> str:
        """Hex of the chain after the last safe batch, or of the end mark."""
        return self._chain.hex()

    @property
    def digest_due(self) -> bool:
        """Whether the next batch must carry a state digest."""
        return self._digest_every > 0 and (self._batches + 1) % self._digest_every == 0

    def append(self, events: EventArray, effects: EffectArray, digest: str | None = None) -> None:
        """Write one batch: events, all their effects, and the state digest after them where one is due.

        Raises ``JournalError`` if it cannot be written; the journal then takes no more.
        """
        connection = self._writable()
        self._check(events, effects, digest)
        event_bytes, effect_bytes = events.tobytes(), effects.tobytes()
        chain = batch_chain(self._chain, event_bytes, effect_bytes, digest)
        first_seq, last_seq = int(events["seq"][0]), int(events["seq"][-1])
        row = (self._batches + 1, first_seq, last_seq, len(events), len(effects), event_bytes, effect_bytes, chain, digest)
        self._commit(connection, "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._chain = chain
        self._batches += 1
        self._events += len(events)
        self._effects += len(effects)
        self._last_seq = last_seq

    def close(self, digest: str) -> None:
        """Write the end mark with the final state digest and close the file.

        Raises ``JournalError`` if it cannot be written.
        """
        connection = self._writable()
        if not is_digest(digest):
            raise ValueError(f"Condition failed: digest {digest!r} is not a SHA-256 in hex")
        chain = end_chain(self._chain, self._batches, self._events, self._effects, digest)
        row = (self._batches, self._events, self._effects, chain, digest)
        self._commit(connection, "INSERT INTO marks VALUES ('end', ?, ?, ?, ?, ?)", row)
        self._chain = chain
        self._connection = None
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # The log keeps what the file could not take; both together are the journal.
        finally:
            connection.close()

    def abandon(self) -> None:
        """Close the file without an end mark, as a run that failed does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abandon()

    def _writable(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"journal `{self.path}` is closed")
        return self._connection

    def _check(self, events: EventArray, effects: EffectArray, digest: str | None) -> None:
        if events.dtype != EVENT or effects.dtype != EFFECT:
            raise ValueError(f"Condition failed: rows are {events.dtype} and {effects.dtype}, not EVENT and EFFECT")
        if not 1 <= len(events) <= BATCH_ROWS_MAX or len(effects) > BATCH_ROWS_MAX:
            raise ValueError(f"Condition failed: a batch of {len(events)} events and {len(effects)} effects: 1 to {BATCH_ROWS_MAX} each")
        if len(effects) and not np.isin(effects["seq"], events["seq"]).all():
            raise ValueError("Condition failed: an effect belongs to no event of its batch")
        if digest is not None and not is_digest(digest):
            raise ValueError(f"Condition failed: digest {digest!r} is not a SHA-256 in hex")
        if digest is None and self.digest_due:
            raise ValueError(f"Condition failed: batch {self._batches + 1} must carry a state digest")

    def _commit(self, connection: sqlite3.Connection, words: str, row: tuple[object, ...]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(words, row)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.abandon()
            safe = f"{self._batches} batches are safe" + ("" if self._last_seq is None else f", the last event is seq {self._last_seq}")
            raise JournalError(f"journal `{self.path}` cannot be written: {_reason(error)}; {safe}") from error


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


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA encoding = 'UTF-8'")
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


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
    if "is full" in text:
        return "the disk is full"
    if "readonly" in text:
        return "it is read-only"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text
