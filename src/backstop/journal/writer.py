"""Writing a journal: one transaction a batch, durable or nothing of it.

A batch is first written to SQLite's log, then synced; the next may be written while it is. It does
not gather (``recorder`` does), run the engine or read back what it wrote.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from heapq import merge
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import NamedTuple

import numpy as np

from backstop import __version__
from backstop.core.events import EFFECT, EVENT, EffectArray, EventArray
from backstop.journal.building import Head, build, opened, released
from backstop.journal.codes import present_codes
from backstop.journal.errors import JournalError, reason_of
from backstop.journal.format import (
    APPLICATION_ID,
    BATCH_ROWS_MAX,
    DIGEST_ENCODING,
    PARTS_MAX,
    ROW_BYTES,
    SCHEMA_VERSION,
    Position,
    batch_chain,
    end_chain,
    is_digest,
    names_hash,
    record_chain,
    start_chain,
    stranger_of,
)
from backstop.journal.log import log_of
from backstop.journal.manifest import Manifest, Name, Names, checked_names
from backstop.journal.naming import sealed_beside
from backstop.journal.place import Place
from backstop.journal.rolling import Roll, planned, roll
from backstop.journal.rules_version import RULES_VERSION
from backstop.journal.snapshot import Snapshot
from backstop.journal.source import source_hash
from backstop.journal.syncing import Log

__all__ = ["Journal", "JournalError", "Position", "Sealed"]


#: By whether the schema has names in its batches.
_INSERT_BATCH = {
    False: "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    True: "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
}
_INSERT_NAME = "INSERT INTO names VALUES (?, ?, ?, ?)"
#: Names as they stand: of each thing the latest.
_ALL_NAMES = "SELECT kind, id, name FROM names ORDER BY kind, id, batch"


class Sealed(NamedTuple):
    """A batch in the words of table ``batches``, and how far the journal has come with it."""

    row: tuple[object, ...]
    snapshot: Snapshot | None
    position: Position
    #: The segment ends with it, and this is the next; None: it goes on.
    roll: Roll | None = None
    #: Names that came with it.
    names: tuple[Name, ...] = ()


class Terms(NamedTuple):
    """What the next segment takes over from the present one, beside its manifest."""

    names_sha256: str
    #: Chain of the start of the first segment, hex.
    origin: str
    schema: int = SCHEMA_VERSION


class Journal:
    """A journal that is being written. ``append`` returns when its batch would survive a power cut.

    Who has other things to do meanwhile calls ``seal``, ``write`` and ``sync``, each in a thread of
    its own.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, log: Log, position: Position, manifest: Manifest, terms: Terms, begun: Position
    ) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._manifest = manifest
        self._terms = terms
        #: Where its live segment begins: of what is chained, and not of what is written.
        self._begun = begun
        self._log = log
        #: What is chained, what of it stands in the log, and how much of that would survive a power
        #: cut.
        self._sealed = self._written = self._safe = position
        #: Names of batches that are sealed and not written: (batch, kind, id, name).
        self._sealed_names: list[tuple[int, str, int, str]] = []
        #: Rows of the events that stopped the engine, by seq, as far as the live segment tells.
        self.quarantined: dict[int, bytes] = {}
        #: Why it takes no more, from the moment that a sync failed until it is closed.
        self._fault: JournalError | None = None
        #: In this order, where one needs both.
        self._write_lock, self._sync_lock = RLock(), Lock()
        self._names_lock = Lock()

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
                    build(new, Head(entries, Position(chain)), names)
                    _remove_sealed(place, overwrite=overwrite)
                connection, log = opened(place.file)
        except JournalError:
            raise
        except (sqlite3.Error, OSError, UnicodeError) as error:
            raise JournalError(f"journal `{path}` cannot be created: {reason_of(error)}") from error
        terms = Terms(entries["names_sha256"], chain.hex())
        return cls(place.path, connection, log, Position(chain), manifest, terms, Position(chain))

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
                connection, log = opened(place.file)
                try:
                    terms = _terms_of(connection, manifest)
                    _cut_off(connection, position)
                    log.empty(connection, torn_bytes)
                except sqlite3.Error:
                    released(connection, log)
                    raise
        except JournalError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"journal `{path}` cannot be taken up: {reason_of(error)}") from error
        opening = manifest.opening
        begun = Position(b"") if opening is None else Position(b"", opening.batches, opening.events, opening.effects)
        return cls(place.path, connection, log, position, manifest, terms, begun)

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
                released(*opened(place.file))  # SQLite does it when the last one closes the file
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

    def append(
        self,
        events: EventArray,
        effects: EffectArray,
        digest: str | None = None,
        snapshot: Snapshot | None = None,
        names: Iterable[Name] = (),
    ) -> None:
        """Write one batch and sync it: ``seal``, ``write`` and ``sync`` in one."""
        self.write(self.seal(events, effects, digest, snapshot, names))
        try:
            self.sync()
        except JournalError:
            self.abandon()
            raise

    def seal(
        self,
        events: EventArray,
        effects: EffectArray,
        digest: str | None = None,
        snapshot: Snapshot | None = None,
        names: Iterable[Name] = (),
    ) -> Sealed:
        """Check one batch and chain it to the one sealed before: events, all their effects, the
        state digest where one is due, a snapshot of the state after them, and the names that come
        with it.

        Raises ``ValueError`` if they are no batch. The rows must stay as they are until it is
        written.
        """
        self._check(events, effects, digest)
        named = checked_names(names, self._manifest.limits.accounts_max)
        if named and not self._has_names:
            raise JournalError(f"journal `{self.path}` has schema {self._terms.schema}, which takes no names later: seal its segment first")
        event_bytes, effect_bytes = _data(events), _data(effects)
        hashed = None if snapshot is None else snapshot.hash
        held = self._sealed
        names_bytes = bytes.fromhex(names_hash(named)) if named else None
        chain = batch_chain(held.chain, event_bytes, effect_bytes, digest, hashed, names_bytes, schema=self._terms.schema)
        number, first_seq, last_seq = held.batches + 1, int(events["seq"][0]), int(events["seq"][-1])
        row: tuple[object, ...] = (number, first_seq, last_seq, len(events), len(effects), event_bytes, effect_bytes, chain, digest, hashed)
        if self._has_names:
            row = (*row, names_bytes)
        with self._names_lock:
            self._sealed_names += [(number, *each) for each in named]
        held = self._sealed = Position(chain, number, held.events + len(events), held.effects + len(effects), last_seq)
        following = None
        if snapshot is not None and digest is not None and self._is_segment_full:
            with self._write_lock:
                following = self._plan_roll(snapshot, (digest, digest))
        return Sealed(row, snapshot, held, following, named)

    @property
    def _has_names(self) -> bool:
        """Whether names may come with a batch of the live segment."""
        return self._terms.schema >= 4

    @property
    def _is_segment_full(self) -> bool:
        manifest, begun, held = self._manifest, self._begun, self._sealed
        events, effects = held.events - begun.events, held.effects - begun.effects
        is_long = 0 < manifest.segment_bytes <= ROW_BYTES * (events + effects)
        return is_long or 0 < manifest.segment_events <= events

    def _plan_roll(self, snapshot: Snapshot, digests: tuple[str, str], records: tuple[str, ...] = ()) -> Roll:
        """Work out the step to the next segment, and chain what comes to it. Nobody may write
        meanwhile.
        """
        # What is written from here on is written by this code, whoever began the journal.
        manifest = self._manifest._replace(
            code_version=__version__,
            source_hash=source_hash(),
            codes=present_codes(),
            digest_encoding=DIGEST_ENCODING,
            rules_version=RULES_VERSION,
        )
        names_sha256 = names_hash(self._all_names()) if self._has_names else self._terms.names_sha256
        step = planned(manifest, names_sha256, self._terms.origin, self._sealed, snapshot, digests, records)
        self._manifest, self._begun, self._sealed = step.manifest, step.head.start, step.position
        self._terms = self._terms._replace(names_sha256=names_sha256, schema=SCHEMA_VERSION)
        return step

    def _all_names(self) -> Iterator[Name]:
        """Yield what each thing is called behind the last sealed batch, ordered by kind and id."""
        written = ((kind, identifier, 0, name) for kind, identifier, name in self._writable().execute(_ALL_NAMES))
        coming = sorted((kind, identifier, batch, name) for batch, kind, identifier, name in self._sealed_names)
        latest: Name | None = None
        for kind, identifier, _, name in merge(written, coming, key=lambda row: row[:3]):
            if latest is not None and latest[:2] != (kind, identifier):
                yield latest
            latest = Name(kind, identifier, name)
        if latest is not None:
            yield latest

    def seal_segment(
        self,
        snapshot: Snapshot,
        digest: str,
        records: Sequence[str] = (),
        *,
        digest_before: str = "",
        stop: tuple[EventArray, str] | None = None,
    ) -> None:
        """End the live segment here, whatever its size, and begin the next with a snapshot of the
        state at hand, with ``records`` and with a ``stop`` that is still to be taken up.

        ``digest_before``: the state digest at the end of the live one, where an upgrade gives the
        same state another. Everything sealed must be written. Raises ``JournalError`` if that
        cannot be done; the journal then takes no more.
        """
        with self._write_lock:
            if self._written != self._sealed:
                raise ValueError("Condition failed: batches are under way")
            step = self._plan_roll(snapshot, (digest_before or digest, digest), tuple(records))
            if stop is not None:
                step = step._replace(head=step.head._replace(stop=(bytes(_data(stop[0])), stop[1])))
            self._take_roll(step)

    def _take_roll(self, step: Roll) -> None:
        with self._sync_lock:
            connection = self._writable()
            self._sync()
            self._connection = None
            try:
                self._connection, self._log = roll(Place(self.path), connection, self._log, step)
            except (sqlite3.Error, OSError) as error:
                self._fault = self._failed(error)
                raise self._fault from error
            self._written = self._safe = step.position

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
                self._commit(connection, _INSERT_BATCH[len(batch.row) > 10], batch.row, batch.snapshot, _named(batch))
                self._written = batch.position
                self._forget_sealed_names()
                if batch.roll is not None:
                    self._take_roll(batch.roll)
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

    def note_stop(self, events: EventArray, error: str) -> None:
        """Keep the events that the engine was given when it stopped, and why: the next process
        takes them up (``quarantine``).

        Raises ``JournalError`` if it cannot be written.
        """
        with self._write_lock:
            self._check_records()
            row = (self._written.batches, bytes(_data(events)), error)
            self._commit(self._writable(), "INSERT OR REPLACE INTO stops VALUES (?, ?, ?)", row)
            with self._sync_lock:
                self._sync()

    def without_quarantined(self, events: EventArray) -> EventArray:
        """Return the events but for those that stopped the engine before, and come again as they
        were.
        """
        if not self.quarantined:
            return events
        places = np.flatnonzero(np.isin(events["seq"], list(self.quarantined)))
        again = [place for place in places.tolist() if events[place : place + 1].tobytes() == self.quarantined[int(events["seq"][place])]]
        return np.delete(events, again)

    def resolve_stop(
        self, records: Sequence[str], events: EventArray, effects: EffectArray, digest: str | None = None, snapshot: Snapshot | None = None
    ) -> None:
        """Write what became of the events of a stop, in one transaction: records, and behind them
        one batch, if there are events.

        Everything sealed must be written. Raises as ``append`` does.
        """
        with self._write_lock:
            self._check_records()
            connection, held = self._writable(), self._written
            statements: list[tuple[str, tuple[object, ...]]] = []
            if held != self._sealed:
                raise ValueError("Condition failed: batches are under way")
            for text in records:
                held = held._replace(chain=record_chain(held.chain, held.batches, text))
                row = (held.batches, text, held.chain)
                statements.append(("INSERT INTO records (batch, text, chain) VALUES (?, ?, ?)", row))
            self._sealed = held
            batch = self.seal(events, effects, digest, snapshot) if len(events) else None
            if batch is not None:
                statements.append((_INSERT_BATCH[len(batch.row) > 10], batch.row))
            self._commit(connection, "DELETE FROM stops", (), None if batch is None else batch.snapshot, statements)
            self._written = held if batch is None else batch.position
            with self._sync_lock:
                self._sync()
            if batch is not None and batch.roll is not None:
                self._take_roll(batch.roll)

    def _forget_sealed_names(self) -> None:
        with self._names_lock:
            if self._sealed_names:
                self._sealed_names = [row for row in self._sealed_names if row[0] > self._written.batches]

    def _check_records(self) -> None:
        if self._terms.schema < 3:
            raise JournalError(f"journal `{self.path}` has schema {self._terms.schema}, which has no records: seal its segment first")

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
            released(connection, self._log)

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

    def _commit(
        self,
        connection: sqlite3.Connection,
        words: str,
        row: tuple[object, ...],
        snapshot: Snapshot | None = None,
        more: Sequence[tuple[str, tuple[object, ...]]] = (),
    ) -> None:
        """Run one statement, and store a snapshot behind it; ``more`` comes first."""
        try:
            if snapshot is None and not more:
                # One statement is one transaction, and one call that needs Python's lock.
                connection.execute(words, row)
            else:
                connection.execute("BEGIN IMMEDIATE")
                for statement, values in more:
                    connection.execute(statement, values)
                connection.execute(words, row)
                if snapshot is not None:
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


def _named(batch: Sealed) -> list[tuple[str, tuple[object, ...]]]:
    """Return the statements that write the names of a batch."""
    return [(_INSERT_NAME, (batch.position.batches, *each)) for each in batch.names]


def _data(rows: EventArray) -> memoryview:
    """Return the bytes of rows, without a copy where they lie together."""
    return np.ascontiguousarray(rows).view(np.uint8).data


def _remove_sealed(place: Place, *, overwrite: bool) -> None:
    """Remove the sealed segments of the journal that is replaced; without ``overwrite`` they are in
    the way.
    """
    for path in sealed_beside(place.file).values():
        if not overwrite:
            raise JournalError(f"journal `{place.path}` cannot be created: `{path}` exists")
        with path.open("rb") as file:
            header = file.read(100)
        if header[68:72] != APPLICATION_ID.to_bytes(4, "big"):
            raise JournalError(f"journal `{place.path}` cannot be created: `{path}` is in the way, and is no segment")
        path.unlink()


def _terms_of(connection: sqlite3.Connection, manifest: Manifest) -> Terms:
    """Read from a live segment what the next one takes over; raise what SQLite raises."""
    marks = dict(connection.execute("SELECT place, chain FROM marks").fetchall())
    if "sealed" in marks:
        raise sqlite3.DatabaseError("its segment is sealed, and the next is not begun")
    (names_sha256,) = connection.execute("SELECT value FROM manifest WHERE key = 'names_sha256'").fetchone()
    schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
    return Terms(names_sha256, manifest.opening.origin if manifest.opening is not None else marks["start"].hex(), schema)


def _cut_off(connection: sqlite3.Connection, position: Position) -> None:
    """Remove the batch that stands after a position, if one does; where the file does not hang
    together then, leave it alone.

    Never more than one, and only behind the very batch that was read: what somebody else has
    written meanwhile stays.
    """
    connection.execute("BEGIN IMMEDIATE")
    (begun,) = connection.execute("SELECT batches FROM marks WHERE place = 'start'").fetchone()
    number = connection.execute("SELECT max(number) FROM batches").fetchone()[0] or begun
    has_records = bool(connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'records'").fetchone()[0])
    if number > position.batches + 1 or _chain_at(connection, position.batches, begun, has_records=has_records) != position.chain:
        connection.execute("ROLLBACK")
        raise sqlite3.DatabaseError(f"it holds {number} batches, and not those that were read: somebody else writes to it")
    if number > position.batches:
        connection.execute("DELETE FROM batches WHERE number > ?", (position.batches,))
        connection.execute("DELETE FROM snapshots WHERE place >= ?", ((position.batches + 1) * PARTS_MAX,))
        if has_records:
            connection.execute("DELETE FROM records WHERE batch > ?", (position.batches,))
        if connection.execute("SELECT count(*) FROM pragma_table_info('names') WHERE name = 'batch'").fetchone()[0]:
            connection.execute("DELETE FROM names WHERE batch > ?", (position.batches,))
        sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if sound != "ok":
            connection.execute("ROLLBACK")
            raise sqlite3.DatabaseError(f"damaged: {' '.join(str(sound).split())}")
    connection.execute("COMMIT")


def _chain_at(connection: sqlite3.Connection, batches: int, begun: int, *, has_records: bool) -> bytes | None:
    """Return the chain behind a batch and its records, or behind the start."""
    if has_records:
        found = connection.execute("SELECT chain FROM records WHERE batch = ? ORDER BY number DESC LIMIT 1", (batches,)).fetchone()
        if found is not None:
            return bytes(found[0])
    words = "SELECT chain FROM marks WHERE place = 'start'" if batches == begun else "SELECT chain FROM batches WHERE number = ?"
    found = connection.execute(words, () if batches == begun else (batches,)).fetchone()
    return None if found is None else bytes(found[0])
