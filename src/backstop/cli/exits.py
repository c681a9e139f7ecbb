"""Exit codes of every command: one table, docs/reference/exit-codes.md.

The content of the disk is never wrong usage: a missing file, or a folder in its place, is a failure
of the command, for any purpose. A file that was read and is not a sound journal is a finding, even
if it is not a journal at all.
"""

from __future__ import annotations

__all__ = ["FAILED", "FINDING", "INVARIANT", "NOT_REPLAYED", "OK", "USAGE"]

OK = 0
#: The command could not do its work: a file that is missing, unreadable, refused or there already,
#: no folder to write in, a full disk.
FAILED = 1
#: The call makes no sense, independent of the disk.
USAGE = 2
#: An invariant of the engine was violated; a sound journal says otherwise than its replay.
INVARIANT = 3
#: The command did its work and found a fault: a damaged journal, a file that is not a journal, a
#: deficit left uncovered.
FINDING = 4
#: A journal is sound as a record, and was not replayed, or not in full: nothing says that the
#: engine did what it holds.
NOT_REPLAYED = 5
