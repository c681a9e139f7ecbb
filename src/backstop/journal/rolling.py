"""From one segment to the next: the live one is sealed and gets a name of its own, and a new one
takes its place.

The new one is whole and on the disk before the old one is sealed, and the old one has its own name
before the new one takes its place. So a kill leaves the old segment unsealed, or a sealed one and
all that the step needs to be ended (``finish``).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from backstop.journal.building import Head, build, copied, opened, partial_of, released
from backstop.journal.errors import JournalError, reason_of
from backstop.journal.findings import READ_ERRORS, JournalDamaged
from backstop.journal.format import Position, record_chain, sealed_chain, start_chain
from backstop.journal.log import log_of
from backstop.journal.manifest import Manifest, Opening
from backstop.journal.naming import sealed_path
from backstop.journal.place import Place, companions_of
from backstop.journal.reader import open_segment
from backstop.journal.snapshot import Snapshot
from backstop.journal.syncing import Log, sync_folder

__all__ = ["Roll", "finish", "planned", "roll"]


class Roll(NamedTuple):
    """The step to the next segment, worked out."""

    number: int
    #: Totals and chain of the mark that seals the old segment, and its state digest.
    sealed: Position
    digest: str
    manifest: Manifest
    head: Head
    #: Where the new one begins, behind its first records.
    position: Position


def planned(
    manifest: Manifest,
    names_sha256: str,
    origin: str,
    held: Position,
    snapshot: Snapshot,
    digests: tuple[str, str],
    records: tuple[str, ...] = (),
) -> Roll:
    """Work out the step to the segment after ``held``, whose manifest is to have the terms of
    ``manifest``.

    ``digests`` are those of the state at its end, which ``snapshot`` has, and at the beginning of
    the next: two where it is upgraded there.
    """
    digest, following_digest = digests
    sealed = held._replace(chain=sealed_chain(held, digest))
    last_seq = -1 if held.last_seq is None else held.last_seq
    totals = (held.batches, held.events, held.effects, last_seq)
    opening = Opening(manifest.segment + 1, origin, sealed.chain.hex(), *totals, snapshot.hash.hex(), following_digest)
    following = manifest._replace(opening=opening)
    entries = following.entries(names_sha256)
    start = held._replace(chain=start_chain(entries))
    chained, position = [], start
    for text in records:
        position = position._replace(chain=record_chain(position.chain, position.batches, text))
        chained.append((text, position.chain))
    head = Head(entries, start, snapshot, tuple(chained))
    return Roll(manifest.segment, sealed, digest, following, head, position)


def roll(place: Place, connection: sqlite3.Connection, log: Log, step: Roll) -> tuple[sqlite3.Connection, Log]:
    """Take the step; return the new live file, opened to be written.

    The old one is closed in any case. Raises what SQLite raises, and ``OSError``.
    """
    try:
        with place.held():
            place.sweep()
            build(place.new, step.head, place.file)
            sync_folder(place.file.parent)
            held = step.sealed
            row = (held.batches, held.events, held.effects, held.chain, step.digest)
            connection.execute("INSERT INTO marks VALUES ('sealed', ?, ?, ?, ?, ?)", row)
            log.sync()
            # Where somebody reads it the log stays, and is looked at again.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            released(connection, log)
            _swap(place, step.number)
            return opened(place.file)
    finally:
        with suppress(sqlite3.Error):
            released(connection, log)


def finish(path: Path) -> bool:
    """End a step that a kill cut short; return whether there was one.

    Raises ``JournalError`` where it cannot be ended, and ``JournalDamaged``.
    """
    place = Place(path)
    if not _seal_of(place.file):
        return False
    try:
        with place.held():
            sealed = _seal_of(place.file)  # a writer that lives may have ended it meanwhile
            if not sealed:
                return False
            chain, number = sealed
            if _follows(place.new, chain):
                _swap(place, number)
            else:
                _unseal(place, number)
            return True
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, JournalError):
            raise
        raise JournalError(f"journal `{path}`: its segment is sealed, and the next cannot be begun: {reason_of(error)}") from error


def _seal_of(path: Path) -> tuple[str, int] | None:
    with open_segment(path) as live:
        return None if live.sealed_chain is None else (live.sealed_chain, live.manifest.segment)


def _follows(path: Path, chain: str) -> bool:
    """Return whether a whole segment stands there that goes on from a chain."""
    try:
        with open_segment(path) as found:
            opening = found.manifest.opening
            return opening is not None and opening.previous == chain and found.check_head()
    except (FileNotFoundError, JournalDamaged):
        return False


def _swap(place: Place, number: int) -> None:
    _name_sealed(place.file, sealed_path(place.file, number))
    sync_folder(place.file.parent)
    for companion in companions_of(place.file):
        companion.unlink(missing_ok=True)
    os.replace(place.new, place.file)
    sync_folder(place.file.parent)


def _name_sealed(file: Path, target: Path) -> None:
    """Give the sealed segment its own name beside the one that it has.

    Raises ``JournalError`` where something else has that name.
    """
    if os.path.lexists(target):
        if os.path.samefile(file, target) or _seal_of_or_none(target) == _seal_of(file):
            return
        raise JournalError(f"`{target}` is in the way: a segment is to be sealed there")
    if _is_whole_alone(file):
        try:
            os.link(file, target)
            return
        except OSError:  # a file system without links
            partial = partial_of(target)
            shutil.copyfile(file, partial)
            with partial.open("rb+") as copy:
                os.fsync(copy.fileno())
            os.replace(partial, target)
            return
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        copied(connection, target)
    finally:
        connection.close()


def _seal_of_or_none(path: Path) -> tuple[str, int] | None:
    try:
        return _seal_of(path)
    except (FileNotFoundError, IsADirectoryError, JournalDamaged):
        return None


def _is_whole_alone(file: Path) -> bool:
    """Return whether the file holds all of its log; what it lacks is moved into it, unless somebody
    reads it.
    """
    log = log_of(file)
    if not log.exists() or not log.stat().st_size:
        return True
    connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except READ_ERRORS:
        return False
    finally:
        connection.close()
    return bool(moved == frames)


def _unseal(place: Place, number: int) -> None:
    """Take back a seal that no segment follows: the journal goes on where it was."""
    target = sealed_path(place.file, number)
    if target.exists() and not os.path.samefile(place.file, target):
        target.unlink()
    connection, log = opened(place.file)
    try:
        connection.execute("DELETE FROM marks WHERE place = 'sealed'")
        log.sync()
    finally:
        released(connection, log)
    target.unlink(missing_ok=True)
