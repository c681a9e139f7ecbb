"""The live side of SQLite's write-ahead log: one process holds it, syncs it, and empties it where a
dead run left it torn.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from backstop.journal.format import unsynced_max
from backstop.journal.log import log_of

__all__ = ["Log", "hold", "sync_folder"]

#: Bytes in the log before its pages are moved into the file. A log that is written over again need
#: not grow, which a sync would have to note in the file system.
_CHECKPOINT_BYTES = 64 << 20


class Log:
    """A handle of the log beside SQLite's own, for ``sync``.

    SQLite holds no lock on that file that closing it could drop.
    """

    def __init__(self, handle: int, page_bytes: int) -> None:
        self._handle = handle
        #: Batches that may stand in it before the first of them is synced.
        self.unsynced_max = unsynced_max(page_bytes)

    @classmethod
    def open(cls, connection: sqlite3.Connection, path: Path) -> Log:
        """Let SQLite write ahead from here on, and sync what stands in the log already.

        SQLite itself then syncs only where it moves pages. Raises ``OSError`` where another process
        has the log, and what SQLite raises.
        """
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(f"SQLite cannot keep a write-ahead log here: mode {mode}")
        connection.execute("PRAGMA synchronous = NORMAL")
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_BYTES // page_bytes}")
        connection.execute("SELECT 1 FROM manifest").fetchone()  # opens the log
        log = cls(os.open(log_of(path), os.O_RDWR | getattr(os, "O_BINARY", 0)), page_bytes)
        try:
            hold(log._handle, "another process writes to it")
            log.sync()
            sync_folder(path.resolve().parent)
        except OSError:
            log.close()
            raise
        return log

    def sync(self) -> None:
        """Return when its bytes would survive a power cut. Raises ``OSError``."""
        if sys.platform == "darwin":
            import fcntl

            try:
                fcntl.fcntl(self._handle, fcntl.F_FULLFSYNC)
            except OSError:  # not every file system has it; SQLite falls back likewise
                os.fsync(self._handle)
        elif sys.platform == "win32":
            os.fsync(self._handle)
        else:
            os.fdatasync(self._handle)

    def empty(self, connection: sqlite3.Connection, torn_bytes: int) -> None:
        """Move its pages into the file and cut it to nothing: torn frames must not stand behind
        those that are written from here on.

        A reader keeps it from that; that is an error only where there are torn frames. Raises what
        SQLite raises.
        """
        is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if is_busy and torn_bytes:
            raise sqlite3.OperationalError(f"its log ends in {torn_bytes} torn bytes and somebody reads it: let them end first")

    def close(self) -> None:
        """Let go of it; what was not synced is not.

        Once only: the number of a closed handle may be another file's by now.
        """
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with suppress(OSError):
                os.close(handle)


def hold(handle: int, otherwise: str) -> None:
    """Hold a lock beside SQLite's for as long as the handle is open.

    Raises ``BlockingIOError`` that says ``otherwise`` where another holds it, and other
    ``OSError``.
    """
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        who = _holder_of(handle)
        raise BlockingIOError(error.errno, otherwise + (f" (process {who})" if who else "")) from None


def _holder_of(handle: int) -> int | None:
    """Return the number of the process that holds a lock on a file, where the system tells."""
    held = os.fstat(handle)
    name = f"{os.major(held.st_dev):02x}:{os.minor(held.st_dev):02x}:{held.st_ino}"
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5] == name and int(words[4]) > 0:
                return int(words[4])
    return None


def sync_folder(folder: Path) -> None:
    """Make what was renamed or made in a folder survive a power cut. Raises ``OSError``."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
