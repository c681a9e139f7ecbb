"""What a check of a journal can find. Checks collect, so that an audit shows all faults at once."""

from __future__ import annotations

import sqlite3
from enum import IntEnum
from typing import NamedTuple

__all__ = ["DIFFERENCES", "READ_ERRORS", "Finding", "FindingCode", "JournalDamaged", "finding_of"]


class FindingCode(IntEnum):
    """Kind of a finding.

    Those of ``DIFFERENCES`` say that a sound record is not what the engine does.
    """

    #: The file could not be read: permission, device, lock.
    UNREADABLE = 1
    NOT_SQLITE = 2
    #: SQLite, but not a journal.
    FOREIGN = 3
    NEWER_SCHEMA = 4
    #: Tables are missing, altered or more than there should be.
    SCHEMA = 5
    #: The file's pages do not hang together, or the file is cut short.
    PAGES = 6
    MANIFEST = 7
    NAMES = 8
    #: A batch is missing, repeated or out of place.
    BATCH_NUMBER = 9
    #: Lengths and counts of a batch do not agree with its rows.
    BATCH_FRAME = 10
    SEQ = 11
    CHAIN = 12
    #: No end mark: the run was cut short, or its end was removed.
    END_MISSING = 13
    #: The end mark does not agree with the batches.
    END = 14
    #: A state digest is missing where the manifest declares one.
    DIGEST_MISSING = 15
    #: The venue file of the manifest does not give the rules of the run.
    CONFIG = 16
    EFFECT_DIFFERS = 17
    DIGEST_DIFFERS = 18
    #: Replay could not go on.
    ENGINE_STOPPED = 19
    #: Bytes of the write-ahead log that belong to no whole batch.
    LOG = 20
    #: A snapshot is missing, altered or one too many.
    SNAPSHOT = 21
    #: The chain that somebody kept is not that of this journal.
    HEAD = 22
    #: A sound snapshot does not hold the state that the replay has there.
    SNAPSHOT_DIFFERS = 23
    #: A file is not the one that the run read, by its SHA-256 in the manifest.
    INPUT_DIFFERS = 24
    #: A segment is missing between others, stands under another's name, or does not go on where the
    #: one before ends.
    SEGMENT = 25
    #: A record of the journal about itself is not one.
    RECORD = 26


#: Codes that tell of a broken INV-12, not of a damaged file.
DIFFERENCES = frozenset({FindingCode.EFFECT_DIFFERS, FindingCode.DIGEST_DIFFERS, FindingCode.ENGINE_STOPPED, FindingCode.SNAPSHOT_DIFFERS})


#: Letters of a message: it quotes the file, whose texts may have any length.
_MESSAGE_MAX = 1_000


class Finding(NamedTuple):
    """One fault: what kind, where, and what is wrong there."""

    code: FindingCode
    place: str
    message: str

    @property
    def name(self) -> str:
        """The code as people and programs read it."""
        return self.code.name.lower()

    def shortened(self) -> Finding:
        """Return it with no more of its message than anybody reads."""
        return self._replace(message=self.message[:_MESSAGE_MAX])

    def __str__(self) -> str:
        return f"{self.name}: {self.place}: {self.message}"


class JournalDamaged(Exception):
    """A file cannot be read as a journal at all; ``finding`` says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding.shortened()
        super().__init__(str(self.finding))


#: What reading a damaged file raises: SQLite's own errors; one whose message quotes bytes that are
#: no text; a length that no memory holds.
READ_ERRORS = (sqlite3.Error, UnicodeDecodeError, MemoryError)

_DEVICE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM)


def finding_of(error: Exception, place: str) -> Finding:
    """Return what one of ``READ_ERRORS`` says about the file: the device failed, or the bytes are
    wrong.
    """
    if isinstance(error, UnicodeDecodeError):
        return Finding(FindingCode.PAGES, place, "damaged: its schema is no text")
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if extended & 0xFF == sqlite3.SQLITE_NOTADB:
        return Finding(FindingCode.NOT_SQLITE, place, f"not a SQLite file: {error}")
    if extended & 0xFF in _DEVICE and extended != sqlite3.SQLITE_IOERR_SHORT_READ:
        return Finding(FindingCode.UNREADABLE, place, f"cannot be read: {error}")
    return Finding(FindingCode.PAGES, place, f"damaged: {str(error) or type(error).__name__}")
