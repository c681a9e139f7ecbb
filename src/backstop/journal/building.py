"""Files of journals as SQLite has them: a new one built whole, one opened to write to it, one
released, one copied.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from backstop.journal.format import APPLICATION_ID, PAGE_BYTES, SCHEMA, SCHEMA_VERSION, Position
from backstop.journal.log import log_of
from backstop.journal.manifest import Names
from backstop.journal.snapshot import Snapshot
from backstop.journal.syncing import Log, sync_folder

__all__ = ["Head", "build", "copied", "opened", "released"]

#: Pages that are copied at once: between two steps others come to their turn.
_PAGES_AT_ONCE = 4096


#: Takes over the names of the segment before, of each thing the latest; by whether that says with
#: which batch they came.
_TAKE_NAMES = {
    False: "INSERT INTO names SELECT 0, kind, id, name FROM before.names",
    True: "INSERT OR REPLACE INTO names SELECT 0, kind, id, name FROM before.names ORDER BY batch",
}


class Head(NamedTuple):
    """What a segment begins with."""

    entries: Mapping[str, str]
    #: Chain of its start mark; totals of the segments before.
    start: Position
    #: The state in which it begins; None: the first segment begins as a venue does.
    snapshot: Snapshot | None = None
    #: Records right after its start: text and chain.
    records: tuple[tuple[str, bytes], ...] = ()
    #: Events that the engine was given when it stopped, and why; they are still to be taken up.
    stop: tuple[bytes, str] | None = None


def build(path: Path, head: Head, names: Names | Path) -> None:
    """Write a journal without batches to a new file, and sync it; ``names``, or the journal that
    has them.

    Raises what SQLite raises.
    """
    connection = sqlite3.connect(path, isolation_level=None, uri=True)
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
        if isinstance(names, Path):
            connection.execute("ATTACH ? AS before", (f"{names.as_uri()}?mode=ro",))
        connection.execute("BEGIN IMMEDIATE")
        for words in SCHEMA.values():
            connection.execute(words)
        connection.executemany("INSERT INTO manifest VALUES (?, ?)", head.entries.items())
        if isinstance(names, Path):
            connection.execute(_TAKE_NAMES[_has_batches_of_names(connection)])
        else:
            connection.executemany("INSERT INTO names VALUES (0, ?, ?, ?)", names.rows())
        held = head.start
        connection.execute("INSERT INTO marks VALUES ('start', ?, ?, ?, ?, NULL)", (held.batches, held.events, held.effects, held.chain))
        if head.snapshot is not None:
            connection.executemany("INSERT INTO opening VALUES (?, ?)", enumerate(head.snapshot.parts))
        for text, chain in head.records:
            connection.execute("INSERT INTO records (batch, text, chain) VALUES (?, ?, ?)", (held.batches, text, chain))
        if head.stop is not None:
            connection.execute("INSERT INTO stops VALUES (?, ?, ?)", (held.batches, *head.stop))
        connection.execute("COMMIT")
    finally:
        connection.close()


def opened(path: Path) -> tuple[sqlite3.Connection, Log]:
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


def released(connection: sqlite3.Connection, log: Log) -> None:
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


def copied(connection: sqlite3.Connection, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy the journal of a connection that reads to ``target``: beside its place first, and put
    there when it is whole and on the disk.

    ``progress`` is called with the bytes done and the bytes there are. Raises what SQLite raises,
    and ``OSError``.
    """
    partial = partial_of(target)
    partial.unlink(missing_ok=True)
    page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])

    def told(status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress((total - remaining) * page_bytes, total * page_bytes)

    try:
        copy = sqlite3.connect(partial, isolation_level=None)
        try:
            # It is synced once, below; nobody reads it before.
            copy.execute("PRAGMA synchronous = OFF")
            connection.backup(copy, pages=_PAGES_AT_ONCE, progress=told, sleep=0)
        finally:
            copy.close()
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        for left in (partial, log_of(partial), Path(f"{partial}-shm"), Path(f"{partial}-journal")):
            left.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def partial_of(target: Path) -> Path:
    """Return where a copy stands until it is whole."""
    return target.with_name(f".{target.name}.partial")


def _has_batches_of_names(connection: sqlite3.Connection) -> bool:
    return any(column[1] == "batch" for column in connection.execute("PRAGMA before.table_info(names)"))
