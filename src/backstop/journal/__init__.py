"""The durable tape of a run: what came in, what went out, chained so that a change shows.

A journal is one SQLite file. ``Journal`` writes it, ``open_journal`` reads and checks it,
``backstop.journal.verify`` replays it through a fresh engine, ``backstop.journal.recorder`` gathers
events into batches. Only the last two need the engine. The format is docs/reference/journal.md.
"""

from backstop.journal.findings import Finding, FindingCode, JournalDamaged
from backstop.journal.manifest import Manifest, Name, Names, checked_names
from backstop.journal.reader import Batch, Reader, open_journal
from backstop.journal.writer import Journal, JournalError

__all__ = [
    "Batch",
    "Finding",
    "FindingCode",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "Manifest",
    "Name",
    "Names",
    "Reader",
    "checked_names",
    "open_journal",
]
