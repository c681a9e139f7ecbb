"""Exit codes of every command."""

from __future__ import annotations

__all__ = ["FAILED", "FINDING", "INVARIANT", "OK", "USAGE"]

OK = 0
#: The command could not do its work: a file that is refused or unreadable, a full disk.
FAILED = 1
#: The command was called in a way that makes no sense.
USAGE = 2
#: An invariant of the engine was violated.
INVARIANT = 3
#: The command did its work, and what it looked at is not right.
FINDING = 4
