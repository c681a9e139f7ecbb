"""Verifying a journal: is the file whole, is nothing changed, and does the engine still say the
same.

A journal of several segments is verified segment by segment: each is replayed from the snapshot
that it begins with, and must go on where the one before ends. The record is read once. Every batch
is checked as a record (``reader``) and then replayed (``replay``); what is found is collected, and
a damaged file ends in findings, never in an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from backstop import __version__
from backstop.config import parse_venue
from backstop.core.digest import state_digest
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.state import State, new_state
from backstop.journal.chronicle import Quarantine, read_record
from backstop.journal.codes import codes_agree
from backstop.journal.findings import DIFFERENCES, Finding, FindingCode, JournalDamaged
from backstop.journal.format import DIGEST_ENCODING, SCHEMA_VERSION
from backstop.journal.inputs import INPUTS, check_inputs, input_files
from backstop.journal.joints import joint_findings
from backstop.journal.naming import live_path, sealed_beside, sealed_path
from backstop.journal.reader import Batch, Reader, open_segment
from backstop.journal.replay import Replayer
from backstop.journal.rules_version import RULES_VERSION
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
    #: Number of the last batch; those of earlier segments that are not here count, too.
    last_batch: int = 0
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
    #: Segments that were verified, and those before them that are not here.
    segments: int = 1
    segments_gone: int = 0
    #: Whether it is a segment that another follows.
    is_sealed: bool = False
    #: Whether a missing end mark is no fault: the journal of an ``Engine`` has none, and whoever asked
    #: may have allowed it.
    may_be_open: bool = False
    rules_version: int = RULES_VERSION
    #: Seqs of the events that stopped the engine, and are in quarantine.
    quarantined: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it is whole up to its last batch and has no end: it is being written, or was
        stopped, or what was behind that batch was removed.
        """
        is_whole = bool(self.batches or self.chain) and {finding.code for finding in self.findings} <= {FindingCode.END_MISSING}
        return is_whole and not (self.is_closed or self.is_sealed)

    @property
    def exit_code(self) -> int:
        """0 ok, or open where it may be, 1 could not be read, 3 a sound record differs from its replay, 4 damaged, 5 sound
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
    alone: bool = False,
    may_be_open: bool = False,
) -> Report:
    """Check the file, its chain, every effect, digest and snapshot against a replay.

    ``progress`` is called with the events done and the events there are. ``head`` is a chain that
    somebody kept, hex: the journal must hold a batch with it, or end in it. ``inputs`` are files by
    what they were to the run (``prices``, ``accounts``, ``collateral``, ``population``), in its
    order: each must have the SHA-256 that the manifest has of it. ``alone``: this file only, and
    not the sealed segments of the journal that stand beside it. ``may_be_open``: a missing end mark is
    no finding, as it never is in the live segment of an ``Engine``'s journal.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, and ``OSError`` where one of ``inputs``
    cannot be read; whatever else is wrong with the file is a finding of the report.
    """
    try:
        with open_segment(path) as journal:
            before = [] if alone or live_path(Path(os.path.realpath(path))) is not None else _sealed_before(journal)
            is_chain = bool(before) or not (alone or journal.is_sealed or journal.manifest.segment == 1 or live_path(Path(path)))
            if not is_chain:
                check = _Check(journal, progress, head, inputs or {})
                check.may_be_open = _may_be_open(journal, may_be_open)
                return _told_alone(journal, check.run())
    except JournalDamaged as error:
        return Report(str(path), (error.finding,))
    return _Chain([*before, Path(path)], progress, head, inputs or {}, may_be_open=may_be_open).run()


def _may_be_open(journal: Reader, is_allowed: bool) -> bool:
    """Return whether a missing end is no fault: never of a file with the name of a sealed segment."""
    is_live = live_path(Path(os.path.realpath(journal.path))) is None
    return is_live and (is_allowed or journal.manifest.is_of_engine)


def _sealed_before(journal: Reader) -> list[Path]:
    """Return the sealed segments before the live one that are here, oldest first, also behind a
    gap.
    """
    return [path for number, path in sealed_beside(journal.path).items() if number < journal.manifest.segment]


def _told_alone(journal: Reader, report: Report) -> Report:
    """Say of a segment that no other was verified with it."""
    number = journal.manifest.segment
    said = [f"segment {number} alone was verified"] if number > 1 or journal.is_sealed else []
    return report._replace(notes=(*report.notes, *said))


class _Chain:
    """One verification of a journal of several segments."""

    def __init__(
        self,
        paths: list[Path],
        progress: Callable[[int, int], None] | None,
        head: str | None,
        inputs: Mapping[str, Sequence[Path]],
        *,
        may_be_open: bool,
    ) -> None:
        self.may_be_open = may_be_open
        self.paths, self.progress, self.head, self.inputs = paths, progress, head, inputs
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.done = self.total = 0
        self.head_found = False

    def run(self) -> Report:
        self._check_joints()
        reports = [self._segment(path, is_last=path is self.paths[-1]) for path in self.paths]
        if self.head is not None and not self.head_found:
            self.findings.append(_head_missing(self.head, self.paths[-1].name))
        first, last = reports[0], reports[-1]
        sums = {name: sum(getattr(each, name) for each in reports) for name in _SUMMED}
        return last._replace(
            findings=tuple(self.findings),
            notes=tuple(self.notes),
            is_replayed=all(each.is_replayed for each in reports),
            is_of_other_code=any(each.is_of_other_code for each in reports),
            segments=len(reports),
            segments_gone=first.segments_gone,
            quarantined=tuple(seq for each in reports for seq in each.quarantined),
            **sums,
        )

    def _check_joints(self) -> None:
        """See that each segment that can be read goes on where the one before ends."""
        for first, second in pairwise(self.paths):
            try:
                with open_segment(first) as before, open_segment(second) as after:
                    self.total += before.events_expected + (after.events_expected if second is self.paths[-1] else 0)
                    number = after.manifest.segment
                    if number != before.manifest.segment + 1 and _names_it(first, before) and _names_it(second, after):
                        gap = range(before.manifest.segment + 1, number)
                        names = ", ".join(sealed_path(self.paths[-1], each).name for each in gap)
                        self.findings.append(
                            Finding(FindingCode.SEGMENT, names or second.name, f"missing between {first.name} and {second.name}")
                        )
                    else:
                        self.findings += joint_findings(before, after)
            except JournalDamaged:
                continue  # it is found when the segment is read

    def _segment(self, path: Path, *, is_last: bool) -> Report:
        try:
            with open_segment(path) as journal:
                if not _names_it(path, journal):
                    said = live_path(path)
                    message = f"`segment`: by its name it is {said[1] if said else 0}, its manifest says {journal.manifest.segment}"
                    self.findings.append(Finding(FindingCode.SEGMENT, path.name, message))
                check = _Check(journal, self._told if self.progress is not None else None, self.head, self.inputs if is_last else {})
                check.is_one_of_many = True
                check.may_be_open = is_last and _may_be_open(journal, self.may_be_open)
                report = check.run()
                self.head_found |= check.head_found
                if path is self.paths[0]:
                    report = report._replace(segments_gone=journal.manifest.segment - 1)
                    self.notes += _with_gone_text(journal.manifest.segment - 1)
        except JournalDamaged as error:
            report = Report(str(path), (error.finding,))
        self.findings += [
            each._replace(place=each.place if each.place == path.name else f"{path.name}, {each.place}") for each in report.findings
        ]
        self.notes += [f"{path.name}: {note}" for note in report.notes]
        self.done += report.events
        return report

    def _told(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(self.done + done, max(self.total, self.done + total))


#: Counts of a report that those of the segments add up to.
_SUMMED = ("batches", "events", "effects", "events_replayed", "digests_compared", "snapshots_compared")


def _names_it(path: Path, journal: Reader) -> bool:
    """Return whether a file's name gives the number of its segment, if it gives one."""
    named = live_path(path)
    return named is None or named[1] == journal.manifest.segment


def _with_gone_text(gone: int) -> list[str]:
    return [] if gone < 1 else [f"segment{'' if gone == 1 else 's 1 to'} {gone} {'is' if gone == 1 else 'are'} not here, and not verified"]


def _head_missing(head: str, place: str) -> Finding:
    message = f"no batch and no end mark has the chain {head}: batches are missing, or this is another journal"
    return Finding(FindingCode.HEAD, place, message)


class _Check:
    """One verification of an open journal."""

    def __init__(
        self, journal: Reader, progress: Callable[[int, int], None] | None, head: str | None, inputs: Mapping[str, Sequence[Path]]
    ) -> None:
        self.journal = journal
        self.inputs = inputs
        self.is_replayed = False
        #: Whether others look after the inputs and the head that somebody kept.
        self.is_one_of_many = False
        #: Whether a missing end mark is no fault.
        self.may_be_open = False
        self.quarantined: list[int] = []
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
        self._read_records()
        if not self.is_one_of_many:
            self._check_kept_head()
        manifest = journal.manifest
        journal.findings.extend(check_inputs(manifest.details, self.inputs))
        if self.may_be_open:
            journal.findings[:] = [finding for finding in journal.findings if finding.code != FindingCode.END_MISSING]
        return Report(
            path=str(journal.path),
            findings=tuple(journal.findings),
            code_version=manifest.code_version,
            created=manifest.created,
            venue_hash=manifest.venue_hash,
            is_closed=journal.is_closed,
            batches=journal.batches_read,
            last_batch=journal.first_number + journal.batches_read - 1,
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
            is_sealed=journal.is_sealed,
            may_be_open=self.may_be_open,
            rules_version=manifest.rules_version,
            quarantined=tuple(self.quarantined),
        )

    def _read_records(self) -> None:
        """Say what happened to the journal itself, and what is still to be done."""
        for record in self.journal.records:
            try:
                said = read_record(record)
            except JournalDamaged as error:
                self.journal.findings.append(error.finding)
                continue
            if isinstance(said, Quarantine):
                self.quarantined.append(said.seq)
            self.notes.append(str(said))
        try:
            stop = self.journal.stop()
        except JournalDamaged as error:
            self.journal.findings.append(error.finding)
            return
        if stop is not None:
            self.notes.append(f"the engine stopped behind batch {stop[0]}, with {len(stop[1])} events that are in no batch yet: {stop[2]}")

    def _replayer(self) -> Replayer | None:
        journal = self.journal
        rules, notes = rules_of(journal)
        self.notes += notes
        if rules is None:
            return None
        if not codes_agree(journal.manifest.codes):
            self.notes.append(f"not replayed: what its numbers stand for is not what they do in this version{_other_code(journal)}")
            return None
        version = journal.manifest.rules_version
        if version not in (0, RULES_VERSION):
            self.notes.append(f"not recomputed, rules version {version}{_other_code(journal)}")
            return None
        encoding = journal.manifest.digest_encoding
        if encoding != DIGEST_ENCODING:
            said = f"its state digests have encoding {encoding}, this version computes {DIGEST_ENCODING}"
            self.notes.append(f"{said}: only effects were compared{_other_code(journal)}")
        try:
            fresh = new_state(rules)
            state = fresh if journal.manifest.opening is None else self._opening_state(fresh)
            return None if state is None else Replayer(state=state, with_digests=encoding == DIGEST_ENCODING)
        except (ValueError, MemoryError) as error:
            journal.findings.append(Finding(FindingCode.CONFIG, "manifest", f"the rules cannot be run: {error}"))
            return None

    def _opening_state(self, fresh: State) -> State | None:
        """Return the state that the segment begins with; None where it cannot be read."""
        journal, opening = self.journal, self.journal.manifest.opening
        parts = journal.opening_parts()
        if parts is None or opening is None:
            return None
        try:
            state = restore_snapshot(parts, shapes_of(fresh)).state
        except SnapshotError as error:
            if header_is_foreign(parts[0]):
                self.notes.append(f"not replayed: the snapshot that it begins with cannot be used: {error}")
            else:
                journal.findings.append(Finding(FindingCode.SNAPSHOT, "opening", str(error)))
            return None
        held = state_digest(state)
        if journal.manifest.digest_encoding == DIGEST_ENCODING and held != opening.digest:
            message = f"state digest: `opening` in the manifest has {opening.digest}, the snapshot gives {held}"
            journal.findings.append(Finding(FindingCode.SNAPSHOT_DIFFERS, "opening", message))
            return None
        self.snapshots += 1
        return state

    def _read_all(self, replayer: Replayer | None) -> tuple[int, int]:
        """Read and check every batch, replaying as far as the record goes on and agrees; return
        what was replayed.
        """
        journal = self.journal
        total = journal.events_expected
        runs = replayer is not None
        expected, differed = journal.first_number, 0
        for batch in journal.own_batches():
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
        digest, mark = (journal.sealed_digest, "sealed mark") if journal.is_sealed else (journal.digest, "end mark")
        if runs and digest is not None and replayer.batches == journal.batches_read and differed < _DIFFERENCES_MAX:
            journal.findings.extend(replayer.compare_digest(digest, mark))
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
        self.journal.findings.append(_head_missing(self.head, self.journal.path.name))


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
