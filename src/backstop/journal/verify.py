"""Verifying a journal: is the file whole, is nothing changed, and does the engine still say the
same.

The record is read once. Every batch is checked as a record (``reader``) and then replayed
(``replay``); what is found is collected, and a damaged file ends in findings, never in an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from backstop import __version__
from backstop.config import parse_venue
from backstop.core.digest import state_digest
from backstop.core.instruments import VenueRules, check_rules
from backstop.journal.codes import codes_agree
from backstop.journal.findings import DIFFERENCES, Finding, FindingCode, JournalDamaged
from backstop.journal.format import DIGEST_ENCODING, SCHEMA_VERSION
from backstop.journal.inputs import INPUTS, check_inputs, input_files
from backstop.journal.reader import Batch, Reader, open_journal
from backstop.journal.replay import Replayer
from backstop.journal.snapshot import Shapes, SnapshotError, header_is_foreign, restore_snapshot, shapes_of
from backstop.journal.source import source_hash

__all__ = ["Report", "rules_of", "verify"]

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
    schema: int = SCHEMA_VERSION
    #: Snapshots that were compared with the replayed state.
    snapshots_compared: int = 0
    #: Whether other code than this wrote it.
    is_of_other_code: bool = False
    #: What is no fault, and should be known: digests that could not be compared, snapshots of other
    #: code.
    notes: tuple[str, ...] = ()
    #: Whether every event was replayed, and every effect and digest compared.
    is_replayed: bool = False
    #: Files that were given and compared with their hashes in the manifest, and files that it
    #: names.
    inputs_compared: int = 0
    inputs_named: int = 0

    @property
    def exit_code(self) -> int:
        """0 ok, 1 could not be read, 3 a sound record differs from its replay, 4 damaged, 5 sound
        but not replayed, or not in full.
        """
        codes = {finding.code for finding in self.findings}
        if not codes:
            return 0 if self.is_replayed else 5
        if FindingCode.UNREADABLE in codes:
            return 1
        return 3 if codes <= DIFFERENCES else 4


def verify(
    path: str | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    head: str | None = None,
    inputs: Mapping[str, Sequence[Path]] | None = None,
) -> Report:
    """Check the file, its chain, every effect, digest and snapshot against a replay.

    ``progress`` is called with the events done and the events there are. ``head`` is a chain that
    somebody kept, hex: the journal must hold a batch with it, or end in it. ``inputs`` are files by
    what they were to the run (``prices``, ``accounts``, ``collateral``, ``population``), in its
    order: each must have the SHA-256 that the manifest has of it.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, and ``OSError`` where one of ``inputs``
    cannot be read; whatever else is wrong with the file is a finding of the report.
    """
    try:
        journal = open_journal(path)
    except JournalDamaged as error:
        return Report(str(path), (error.finding,))
    with journal:
        return _Check(journal, progress, head, inputs or {}).run()


class _Check:
    """One verification of an open journal."""

    def __init__(
        self, journal: Reader, progress: Callable[[int, int], None] | None, head: str | None, inputs: Mapping[str, Sequence[Path]]
    ) -> None:
        self.journal = journal
        self.inputs = inputs
        self.is_replayed = False
        self.progress = progress
        self.head = head
        self.head_found = False
        self.snapshots = 0
        self.notes: list[str] = []
        #: Number and present digest of the batches whose snapshots are to be compared.
        self.digests: dict[int, str | None] = {}

    def run(self) -> Report:
        journal = self.journal
        journal.check_log()
        journal.check_pages()
        replayer = self._replayer() if journal.check_head() else None
        events_replayed, digests_compared = self._read_all(replayer)
        self._check_snapshots(None if replayer is None else shapes_of(replayer.state))
        self._check_kept_head()
        manifest = journal.manifest
        journal.findings.extend(check_inputs(manifest.details, self.inputs))
        return Report(
            path=str(journal.path),
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
            schema=journal.schema,
            snapshots_compared=self.snapshots,
            is_of_other_code=bool(_other_code(journal)),
            notes=tuple(self.notes),
            is_replayed=self.is_replayed,
            inputs_compared=sum(map(len, self.inputs.values())),
            inputs_named=sum(len(input_files(manifest.details, noun)) for noun in INPUTS),
        )

    def _replayer(self) -> Replayer | None:
        journal = self.journal
        rules, notes = rules_of(journal)
        self.notes += notes
        if rules is None:
            return None
        if not codes_agree(journal.manifest.codes):
            self.notes.append(f"not replayed: what its numbers stand for is not what they do in this version{_other_code(journal)}")
            return None
        encoding = journal.manifest.digest_encoding
        if encoding != DIGEST_ENCODING:
            said = f"its state digests have encoding {encoding}, this version computes {DIGEST_ENCODING}"
            self.notes.append(f"{said}: only effects were compared{_other_code(journal)}")
        try:
            return Replayer(rules, with_digests=encoding == DIGEST_ENCODING)
        except (ValueError, MemoryError) as error:
            journal.findings.append(Finding(FindingCode.CONFIG, "manifest", f"the rules cannot be run: {error}"))
            return None

    def _read_all(self, replayer: Replayer | None) -> tuple[int, int]:
        """Read and check every batch, replaying as far as the record goes on and agrees; return
        what was replayed.
        """
        journal = self.journal
        total = journal.events_expected
        runs = replayer is not None
        expected, differed = 1, 0
        for batch in journal.batches():
            self._note_head()
            runs = runs and batch.number == expected and differed < _DIFFERENCES_MAX
            expected += 1
            if runs and replayer is not None:
                findings = _replayed(journal, replayer, batch)
                journal.findings.extend(findings)
                differed += len(findings)
                runs = not any(finding.code == FindingCode.ENGINE_STOPPED for finding in findings)
            if batch.snapshot is not None:
                self.digests[batch.number] = state_digest(replayer.state) if runs and replayer is not None else None
            if self.progress is not None:
                self.progress(journal.events_read, max(total, journal.events_read))
        journal.check_end()
        self._note_head()
        if replayer is None:
            return 0, 0
        self.is_replayed = runs and replayer.batches == journal.batches_read and replayer.with_digests
        if runs and journal.digest is not None and replayer.batches == journal.batches_read and differed < _DIFFERENCES_MAX:
            journal.findings.extend(replayer.compare_digest(journal.digest, "end mark"))
        return replayer.events, replayer.digests

    def _check_snapshots(self, shapes: Shapes | None) -> None:
        """See that each snapshot is whole, and holds the state that the replay had there.

        ``shapes``: those of the replayed state; None where there was no replay.
        """
        for number, parts in self.journal.check_snapshots():
            place = f"snapshot after batch {number}"
            if shapes is None:
                self.notes.append(f"{place} was not compared: nothing was replayed")
                continue
            try:
                state = restore_snapshot(parts, shapes).state
            except SnapshotError as error:
                if header_is_foreign(parts[0]):
                    self.notes.append(f"{place} was not compared: {error}")
                else:
                    self.journal.findings.append(Finding(FindingCode.SNAPSHOT, place, str(error)))
                continue
            replayed = self.digests.get(number)
            if replayed is not None:
                self.snapshots += 1
                held = state_digest(state)
                if held != replayed:
                    message = f"state digest: snapshot {held}, replay {replayed}"
                    self.journal.findings.append(Finding(FindingCode.SNAPSHOT_DIFFERS, place, message))

    def _note_head(self) -> None:
        if self.head is not None and (self.journal.chain or "").startswith(self.head.lower()):
            self.head_found = True

    def _check_kept_head(self) -> None:
        if self.head is None or self.head_found:
            return
        message = f"no batch and no end mark has the chain {self.head}: batches are missing, or this is another journal"
        self.journal.findings.append(Finding(FindingCode.HEAD, self.journal.path.name, message))


def rules_of(journal: Reader) -> tuple[VenueRules | None, list[str]]:
    """Read the venue file of the manifest; it must still mean what it meant to the run.

    Returns the rules, and what should be known of them. Other code may resolve the same file to
    more keys, which changes its hash and no rule; whether it does is then for the replay to show.
    Raises nothing: what is wrong is a finding of the journal.
    """
    manifest = journal.manifest
    try:
        venue = parse_venue(manifest.venue_text, "venue file of the journal")
    except (ValueError, RecursionError) as error:
        journal.findings.append(Finding(FindingCode.CONFIG, "manifest", f"{error}{_other_code(journal)}"))
        return None, []
    notes = []
    if venue.hash != manifest.venue_hash:
        message = f"venue file: journal has hash {manifest.venue_hash}, read again it is {venue.hash}{_other_code(journal)}"
        if manifest.source_hash == source_hash():
            journal.findings.append(Finding(FindingCode.CONFIG, "manifest", message))
            return None, []
        notes.append(message)
    rules = venue.rules._replace(limits=manifest.limits)
    try:
        check_rules(rules)
    except ValueError as error:
        journal.findings.append(Finding(FindingCode.CONFIG, "manifest", str(error)))
        return None, []
    return rules, notes


def _other_code(journal: Reader) -> str:
    manifest = journal.manifest
    if manifest.source_hash == source_hash() and manifest.code_version == __version__:
        return ""
    written = f"version {manifest.code_version}" + (f", source {manifest.source_hash[:12]}" if manifest.source_hash else "")
    return f" (written by {written}; this is {__version__}, source {source_hash()[:12]})"


def _replayed(journal: Reader, replayer: Replayer, batch: Batch) -> list[Finding]:
    try:
        findings = replayer.replay(batch)
    except Exception as error:  # whatever a damaged event makes the engine do is a finding
        place = f"batch {batch.number}"
        return [Finding(FindingCode.ENGINE_STOPPED, place, f"replay stopped: {type(error).__name__}: {error}{_other_code(journal)}")]
    return [finding._replace(message=finding.message + _other_code(journal)) for finding in findings]
