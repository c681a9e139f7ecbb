"""The place of a journal: what stands there, and how a new journal takes it.

A new journal is built beside its place. It is put there, under a lock, when its head is whole and
on the disk: from then on a killed run can be resumed. So a kill leaves the old journal or a new one
that can be resumed, and never a part of either. This module knows files and SQLite's companions of
them, not batches.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from backstop.journal.errors import JournalError, reason_of
from backstop.journal.format import APPLICATION_ID
from backstop.journal.log import LOG_MAGICS, log_of
from backstop.journal.syncing import hold, sync_folder

__all__ = ["Place", "Standing", "companions_of", "standing_at"]

SQLITE_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
#: In SQLite's header: how the file is written (1: rollback journal, 2: log), and where the
#: application's number stands.
_WRITE_VERSION, _ROLLBACK = 18, 1
_APPLICATION = slice(68, 72)
#: A rollback journal begins so; after it, at 16, stand the pages that the file had before.
_ROLLBACK_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_ROLLBACK_PAGES = slice(16, 20)
#: The index of a log begins with this version, in the machine's order of bytes.
_INDEX_VERSION = 3007000
_NO_JOURNAL = "it is no journal"
#: How long one process waits for another that begins a journal in the same folder [s].
_WAIT, _WAIT_STEP = 30.0, 0.02


class Standing(Enum):
    """What stands at a place."""

    NOTHING = "nothing"
    #: An empty file, or a journal whose run was killed before its head was written: nobody was told
    #: that it is there.
    HEADLESS = "headless"
    JOURNAL = "journal"
    #: Anything else: another file, a folder, a device, a pipe, a socket.
    FOREIGN = "foreign"


def companions_of(path: Path) -> tuple[Path, ...]:
    """Return what SQLite may keep beside a journal, by absolute path: beside the file itself,
    whatever links lead there.
    """
    place = os.path.realpath(path)
    return tuple(Path(f"{place}{end}") for end in ("-wal", "-shm", "-journal"))


def standing_at(path: Path) -> Standing:
    """Return what stands there, links followed. Raises ``OSError`` where that cannot be seen."""
    return _judged(path)[0]


def _judged(path: Path) -> tuple[Standing, str]:
    """Return what stands there, and of something foreign what it is, in words."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Standing.NOTHING, ""
    if not stat.S_ISREG(mode):
        return Standing.FOREIGN, "it is a folder" if stat.S_ISDIR(mode) else "it is a device, a pipe or a socket"
    header = _start_of(path, _HEADER_BYTES)
    log, _, rollback = companions_of(path)
    if not header and not _start_of(log, 1):
        return Standing.HEADLESS, ""
    if not header.startswith(SQLITE_MAGIC) or header[_APPLICATION] != APPLICATION_ID.to_bytes(4, "big"):
        return Standing.FOREIGN, _NO_JOURNAL
    if header[_WRITE_VERSION] == _ROLLBACK and not _start_of(log, 1) and _has_no_head(path, rollback):
        return Standing.HEADLESS, ""
    return Standing.JOURNAL, ""


def _start_of(path: Path, count: int) -> bytes:
    """Return the first bytes of a file; none where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        return b""


def _has_no_head(path: Path, rollback: Path) -> bool:
    """Return whether the transaction that makes the tables never ended, in a file that is not yet
    written ahead.
    """
    begun = _start_of(rollback, _ROLLBACK_PAGES.stop)
    if begun.startswith(_ROLLBACK_MAGIC) and len(begun) == _ROLLBACK_PAGES.stop:
        return int.from_bytes(begun[_ROLLBACK_PAGES], "big") <= 1  # no table fits in one page
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))
        finally:
            connection.close()
    except sqlite3.Error:
        return False


class Place:
    """Where a journal is begun, replaced or taken up."""

    def __init__(self, path: str | Path) -> None:
        #: As it was given: messages name it so.
        self.path = Path(path)
        #: The file itself, links followed, and where a new one is built. Whatever stands at the
        #: latter is left from a killed run.
        self.file = Path(os.path.realpath(path))
        self.new = self.file.with_name(f".{self.file.name}.new")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process begin, replace or take up a journal in this folder meanwhile: a
        matter of moments.

        Raises ``JournalError`` where another does not end, and ``OSError`` where there is no such
        folder.
        """
        if sys.platform == "win32":
            yield
            return
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            self._lock(folder)
            yield
        finally:
            os.close(folder)

    def _lock(self, folder: int) -> None:
        until = time.monotonic() + _WAIT
        while True:
            try:
                hold(folder, "another process begins a journal in its folder")
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise JournalError(f"journal `{self.path}`: {error.strerror}") from None
                time.sleep(_WAIT_STEP)
            except OSError:  # a file system without locks for folders
                return
            else:
                return

    def check(self, *, overwrite: bool, resume: bool = False) -> None:
        """See that a new journal may be put here; nothing is touched.

        ``overwrite`` allows it in the place of a journal, ``resume`` in that of one without a head.
        Raises ``JournalError`` for whatever else stands there, and where another process writes to
        it.
        """
        with self._unwritten(overwrite=overwrite, resume=resume):
            pass

    @contextmanager
    def _unwritten(self, *, overwrite: bool, resume: bool) -> Iterator[None]:
        """Check the place, and hold the log of the journal that stands there, so that nobody takes
        it up meanwhile.
        """
        log = log_of(self.path)
        handle: int | None = None
        try:
            # First of all: to open and close the file would drop the locks that SQLite has on it,
            # were the writer in this process.
            if log.is_file():
                handle = os.open(log, os.O_RDWR)
                hold(handle, "another process writes to it")
            self._check_standing(overwrite=overwrite, resume=resume)
        except OSError as error:
            if handle is not None:
                os.close(handle)
            raise self._refused(error) from error
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def _check_standing(self, *, overwrite: bool, resume: bool) -> None:
        standing, what = _judged(self.path)
        there = [file for file in (self.file, *companions_of(self.path)) if os.path.lexists(file)]
        if standing is Standing.FOREIGN and (overwrite or what != _NO_JOURNAL):
            raise JournalError(f"journal `{self.path}` cannot be created: {what}; choose another path")
        if there and not overwrite and not (resume and standing in (Standing.NOTHING, Standing.HEADLESS)):
            raise JournalError(f"journal `{self.path}` cannot be created: `{there[0]}` exists")
        if standing is Standing.NOTHING:
            self._check_companions()

    def _refused(self, error: OSError) -> JournalError:
        if isinstance(error, JournalError):
            return error
        verb = "replaced" if isinstance(error, BlockingIOError) else "created"
        return JournalError(f"journal `{self.path}` cannot be {verb}: {reason_of(error)}")

    def _check_companions(self) -> None:
        """See that what stands beside a journal that is not there is SQLite's: it will be
        removed.
        """
        starts = ([magic.to_bytes(4, "big") for magic in LOG_MAGICS], [_INDEX_VERSION.to_bytes(4, sys.byteorder)], [_ROLLBACK_MAGIC])
        for companion, known in zip(companions_of(self.path), starts, strict=True):
            if not os.path.lexists(companion):
                continue
            start = _start_of(companion, len(known[0])) if companion.is_file() and not companion.is_symlink() else b"?"
            if start.strip(b"\x00") and start not in known:
                raise JournalError(f"journal `{self.path}` cannot be created: `{companion}` is in the way, and is not of a journal")

    @contextmanager
    def replaced(self, *, overwrite: bool, resume: bool = False) -> Iterator[Path]:
        """Give the path at which to build the new journal; put it in its place when that is done.

        ``held`` must hold the folder. What is built must be one whole file, on the disk. Raises
        what ``check`` raises, and ``JournalError`` where the old journal cannot be replaced; it is
        then as it was.
        """
        with self._unwritten(overwrite=overwrite, resume=resume):
            self.sweep()
            try:
                yield self.new
                self._swap()
            except BaseException:
                with suppress(OSError):
                    self.sweep()
                raise

    def sweep(self) -> None:
        """Remove what a killed run left of a new journal. Raises ``OSError``."""
        self.new.unlink(missing_ok=True)

    def _swap(self) -> None:
        """Let the new file take the place of the old one.

        The old one is made whole without its log first: a log of the old journal must never stand
        beside the new one, and the old one must not lose its batches if the process dies between
        the two steps.
        """
        try:
            self._settle()
            for companion in companions_of(self.path):
                companion.unlink(missing_ok=True)
            os.replace(self.new, self.file)
            sync_folder(self.file.parent)
        except OSError as error:
            raise JournalError(f"journal `{self.path}` cannot be replaced: {reason_of(error)}") from error

    def _settle(self) -> None:
        """Make the old journal whole without its companions.

        Its log is moved into it; a transaction that never ended is undone. Where that fails for
        damage, the file has no more to lose.
        """
        log, _, rollback = companions_of(self.path)
        if not self.file.exists() or not (_start_of(log, 1) or _start_of(rollback, 1)):
            return
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(f"{self.file.as_uri()}?mode=rw", uri=True, isolation_level=None)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return
        finally:
            if connection is not None:
                connection.close()
        if moved < frames:
            raise OSError(0, "somebody reads it: let them end first")
