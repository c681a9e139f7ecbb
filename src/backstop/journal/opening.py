"""Opening a journal for reading: never a byte written, no companion files left where none were.

Everything that makes a file unreadable as a journal is said here, once, as a ``JournalDamaged``.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from backstop.journal.findings import READ_ERRORS, Finding, FindingCode, JournalDamaged, finding_of
from backstop.journal.format import APPLICATION_ID, SCHEMA_VERSION, SCHEMAS
from backstop.journal.log import log_of

__all__ = ["check_header", "check_schema", "connect"]

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100


def connect(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open the file read-only and see that it is a journal that this version reads; return its
    schema version too.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, and ``JournalDamaged`` for any other
    reason.
    """
    if not path.exists():
        raise FileNotFoundError(f"journal `{path}` does not exist")
    if path.is_dir():
        raise IsADirectoryError(f"journal `{path}` is a folder")
    place = path.name
    if not path.is_file():  # a pipe would be waited for, a device read without end
        raise JournalDamaged(Finding(FindingCode.NOT_SQLITE, place, "no file, but a device, a pipe or a socket"))
    check_header(path, place)
    connection: sqlite3.Connection | None = None
    try:
        connection = _open(path)
        schema = check_schema(connection, place)
    except READ_ERRORS as error:
        _close(connection)
        raise JournalDamaged(finding_of(error, place)) from error
    except JournalDamaged:
        _close(connection)
        raise
    return connection, schema


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


def check_header(path: Path, place: str) -> None:
    """See that the file begins as SQLite's do and is as long as it says; raise ``JournalDamaged``
    if not.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            held = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise JournalDamaged(Finding(FindingCode.UNREADABLE, place, f"cannot be read: {error.strerror}")) from error
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        message = "the file is empty" if not header else "not a SQLite file, or its beginning is damaged"
        raise JournalDamaged(Finding(FindingCode.NOT_SQLITE, place, message))
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    # SQLite's own condition for trusting the count of pages.
    counted = header[24:28] == header[92:96]
    expected = page_bytes * int.from_bytes(header[28:32], "big")
    if counted and held < expected and not _log_bytes(path):
        raise JournalDamaged(Finding(FindingCode.PAGES, place, f"cut short: {held} bytes of {expected}"))


def _log_bytes(path: Path) -> int:
    log = log_of(path)
    return log.stat().st_size if log.exists() else 0


def _open(path: Path) -> sqlite3.Connection:
    """Choose how to open: beside a writer, with the log of a run that died, or the file alone."""
    where = path.resolve().as_uri() + "?mode=ro"
    if log_of(path).exists() and Path(f"{path.resolve()}-shm").exists():
        return _connection(where)
    if _log_bytes(path):
        try:
            # No locks and the log's index in memory: nothing new beside the file.
            connection = _connection(where + "&vfs=unix-none")
        except sqlite3.OperationalError:
            return _connection(where)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection
    return _connection(where + "&immutable=1")


def _connection(where: str) -> sqlite3.Connection:
    # One thread at a time reads it, but not always the same (``recovery`` reads ahead).
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    # A damaged text must come back as it is, to be hashed, not as an error.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def check_schema(connection: sqlite3.Connection, place: str) -> int:
    """See that this is a journal of a version that can be read; return the version.

    Raises ``JournalDamaged``, and what SQLite raises.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise JournalDamaged(Finding(FindingCode.FOREIGN, place, "a SQLite file, but not a journal of backstop"))
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        message = f"schema version {version}: this version of backstop reads up to {SCHEMA_VERSION}"
        raise JournalDamaged(Finding(FindingCode.NEWER_SCHEMA, place, message))
    if version not in SCHEMAS:
        raise JournalDamaged(Finding(FindingCode.SCHEMA, place, f"schema version {version} was never written"))
    schema = SCHEMAS[version]
    found = {name: (kind, words) for kind, name, words in connection.execute("SELECT type, name, sql FROM sqlite_master")}
    for name in sorted(set(found) | set(schema), key=str):
        if name not in found:
            raise JournalDamaged(Finding(FindingCode.SCHEMA, place, f"table `{name}` is missing"))
        if name not in schema:
            raise JournalDamaged(Finding(FindingCode.SCHEMA, place, f"{found[name][0]} {name!r} does not belong in a journal"))
        if found[name] != ("table", schema[name]):
            raise JournalDamaged(Finding(FindingCode.SCHEMA, place, f"table `{name}` was altered"))
    return version
