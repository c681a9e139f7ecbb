"""Verifying a journal: is the file whole, is nothing changed, and does the engine still say the same.

The record is read once. Every batch is checked as a record (``reader``) and then replayed
(``replay``); what is found is collected, and a damaged file ends in findings, never in an error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backstop import __version__
from backstop.config import parse_venue
from backstop.core.instruments import VenueRules
from backstop.journal.findings import DIFFERENCES, Finding, FindingCode, JournalDamaged
from backstop.journal.reader import Batch, Reader, open_journal
from backstop.journal.replay import Replayer

__all__ = ["Report", "verify"]

#: Replay stops after so many batches that differ: what follows is the same fault.
_DIFFERENCES_MAX = 10


class Report(NamedTuple):
    """What a verification read, replayed and found."""

    path: str
    findings: tuple[Finding, ...]
    code_version: str = ""
    created: str = ""
    venue_hash: str = ""
    #: Whether the journal has its end mark.
    is_closed: bool = False
    batches: int = 0
    events: int = 0
    effects: int = 0
    events_replayed: int = 0
    digests_compared: int = 0
    #: The final state digest, as recorded.
    digest: str | None = None
    #: The head of the chain: who kept it elsewhere can tell that this is the same journal.
    chain: str | None = None

    @property
    def exit_code(self) -> int:
        """0 ok, 1 could not be read, 3 a sound record differs from its replay, 4 damaged."""
        codes = {finding.code for finding in self.findings}
        if not codes:
            return 0
        if FindingCode.UNREADABLE in codes:
            return 1
        return 3 if codes <= DIFFERENCES else 4


def verify(path: str | Path, progress: Callable[[int, int], None] | None = None) -> Report:
    """Check the file, its chain, and every effect and digest against a replay.

    ``progress`` is called with the events done and the events there are. Raises ``FileNotFoundError`` or
    ``IsADirectoryError``; whatever else is wrong with the file is a finding of the report.
    """
    try:
        journal = open_journal(path)
    except JournalDamaged as error:
        return Report(str(path), (error.finding,))
    with journal:
        journal.check_pages()
        replayer = _replayer(journal) if journal.check_head() else None
        events_replayed, digests_compared = _read_all(journal, replayer, progress)
        manifest = journal.manifest
        return Report(
            path=str(path),
            findings=tuple(journal.findings),
            code_version=manifest.code_version,
            created=manifest.created,
            venue_hash=manifest.venue_hash,
            is_closed=journal.is_closed,
            batches=journal.batches_read,
            events=journal.events_read,
            effects=journal.effects_read,
            events_replayed=events_replayed,
            digests_compared=digests_compared,
            digest=journal.digest,
            chain=journal.chain,
        )


def _replayer(journal: Reader) -> Replayer | None:
    rules = _rules(journal)
    if rules is None:
        return None
    try:
        return Replayer(rules)
    except (ValueError, MemoryError) as error:
        journal.findings.append(Finding(FindingCode.CONFIG, "manifest", f"the rules cannot be run: {error}"))
        return None


def _rules(journal: Reader) -> VenueRules | None:
    """Read the venue file of the manifest; it must still mean what it meant to the run."""
    manifest = journal.manifest
    try:
        venue = parse_venue(manifest.venue_text, "venue file of the journal")
    except (ValueError, RecursionError) as error:
        journal.findings.append(Finding(FindingCode.CONFIG, "manifest", f"{error}{_other_code(journal)}"))
        return None
    if venue.hash != manifest.venue_hash:
        message = f"venue file: journal has hash {manifest.venue_hash}, read again it is {venue.hash}{_other_code(journal)}"
        journal.findings.append(Finding(FindingCode.CONFIG, "manifest", message))
        return None
    return venue.rules._replace(limits=manifest.limits)


def _other_code(journal: Reader) -> str:
    written = journal.manifest.code_version
    return "" if written == __version__ else f" (written by version {written}, this is {__version__})"


def _read_all(journal: Reader, replayer: Replayer | None, progress: Callable[[int, int], None] | None) -> tuple[int, int]:
    """Read and check every batch, replaying as far as the record goes on and agrees; return what was replayed."""
    total = journal.events_expected
    runs = replayer is not None
    expected, differed = 1, 0
    for batch in journal.batches():
        runs = runs and batch.number == expected and differed < _DIFFERENCES_MAX
        expected += 1
        if runs and replayer is not None:
            findings = _replayed(journal, replayer, batch)
            journal.findings.extend(findings)
            differed += len(findings)
            runs = not any(finding.code == FindingCode.ENGINE_STOPPED for finding in findings)
        if progress is not None:
            progress(journal.events_read, max(total, journal.events_read))
    journal.check_end()
    if replayer is None:
        return 0, 0
    if runs and journal.digest is not None and replayer.batches == journal.batches_read and differed < _DIFFERENCES_MAX:
        journal.findings.extend(replayer.compare_digest(journal.digest, "end mark"))
    return replayer.events, replayer.digests


def _replayed(journal: Reader, replayer: Replayer, batch: Batch) -> list[Finding]:
    try:
        findings = replayer.replay(batch)
    except Exception as error:  # whatever a damaged event makes the engine do is a finding
        place = f"batch {batch.number}"
        return [Finding(FindingCode.ENGINE_STOPPED, place, f"replay stopped: {type(error).__name__}: {error}{_other_code(journal)}")]
    return [finding._replace(message=finding.message + _other_code(journal)) for finding in findings]
