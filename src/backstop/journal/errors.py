"""What a writer of journals raises."""

from __future__ import annotations

import errno

__all__ = ["JournalError", "reason_of"]


class JournalError(OSError):
    """A journal cannot be created, replaced or written; what was acknowledged before stays safe."""


def reason_of(error: Exception) -> str:
    """Return in words why SQLite or the system refused."""
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
