"""Reading a journal: batch by batch, each checked for framing, order and chain as it comes.

Findings are collected, so that one pass shows every fault. It does not run the engine (``replay``
does) and never raises for what stands in a journal, once it is open.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from backstop.core.events import EFFECT, EVENT, EffectArray, EventArray, Reject
from backstop.core.kinds import Columns, RefusalEffect
from backstop.journal.findings import READ_ERRORS, Finding, FindingCode, JournalDamaged, finding_of
from backstop.journal.format import (
    CHAIN_BYTES,
    PARTS_MAX,
    ROW_BYTES,
    Position,
    batch_chain,
    end_chain,
    is_digest,
    names_hash,
    record_chain,
    sealed_chain,
    snapshot_hash,
    start_chain,
    stranger_of,
)
from backstop.journal.joints import joint_findings
from backstop.journal.log import log_finding, log_of
from backstop.journal.manifest import NAME_KINDS, Manifest, Names, manifest_of
from backstop.journal.naming import live_path, sealed_path
from backstop.journal.opening import connect
from backstop.printing import NAME_MAX

__all__ = ["FINDINGS_MAX", "Batch", "Held", "Reader", "Record", "open_journal", "open_segment"]

#: A check stops listing faults after so many.
FINDINGS_MAX = 100
_TOO_LONG = f"has a name of more than {NAME_MAX} letters"
_BATCH_COLUMNS = "number, first_seq, last_seq, events_count, effects_count, events, effects, chain, digest"
_SNAPSHOT_COLUMNS = {1: "NULL, NULL", 2: "snapshot, NULL", 3: "snapshot, NULL", 4: "snapshot, names"}


#: By whether the schema says with which batch a name came.
_NAMES_IN_ORDER = {
    False: "SELECT 0, kind, id, name FROM names ORDER BY kind, id",
    True: "SELECT batch, kind, id, name FROM names ORDER BY batch, kind, id",
}


class Batch(NamedTuple):
    """One batch whose rows can be read. The rows are the caller's own copy."""

    number: int
    events: EventArray
    effects: EffectArray
    digest: str | None
    #: Hash of the snapshot that was taken after it.
    snapshot: bytes | None
    #: Whether nothing was found against it.
    intact: bool


class Record(NamedTuple):
    """Something that happened to the journal itself, behind a batch."""

    number: int
    batch: int
    text: str


class Held(NamedTuple):
    """What a segment says that it holds, and the segments before it."""

    batches_before: int
    batches: int
    events: int


class _Raw(NamedTuple):
    """Columns of ``batches``, as whatever type the file holds."""

    number: Any
    first_seq: Any
    last_seq: Any
    events_count: Any
    effects_count: Any
    events: Any
    effects: Any
    chain: Any
    digest: Any
    snapshot: Any
    names: Any


class _Mark(NamedTuple):
    batches: Any
    events: Any
    effects: Any
    chain: Any
    digest: Any


class Reader:
    """An open journal. ``findings`` grows with what each check and each batch shows."""

    def __init__(self, path: Path, connection: sqlite3.Connection, entries: dict[str, str], schema: int) -> None:
        self.path = path
        self.schema = schema
        self.findings: list[Finding] = []
        #: Rows of table ``manifest``.
        self.entries = entries
        self.manifest: Manifest = manifest_of(entries, schema)
        #: Hash of each snapshot that the batches read name, by batch.
        self.snapshots: dict[int, bytes] = {}
        #: What ``batches`` has read so far.
        self.batches_read = self.events_read = self.effects_read = 0
        #: The open file: for reading only.
        self.connection = connection
        self._chain: bytes | None = None
        self._seq_before = -1
        self._end = self._mark("end")
        self._start = self._mark("start")
        self._sealed = self._mark("sealed")
        #: Totals of the segments before it.
        opening = self.manifest.opening
        self._before = (0, 0, 0) if opening is None else (opening.batches, opening.events, opening.effects)
        self._seq_first = -1 if opening is None else opening.last_seq
        #: Records that ``own_batches`` has read.
        self.records: list[Record] = []
        self._recorded = self._all_records()
        #: Sealed segments that ``batches`` reads before it, oldest first.
        self.earlier: list[Path] = []

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @property
    def is_closed(self) -> bool:
        """Whether the run that wrote it came to its end."""
        return self._end is not None

    @property
    def is_sealed(self) -> bool:
        """Whether another segment follows it."""
        return self._sealed is not None

    @property
    def sealed_chain(self) -> str | None:
        """Hex of the chain that the mark has which seals it."""
        return self._sealed.chain.hex() if self._sealed is not None and _is_chain(self._sealed.chain) else None

    @property
    def sealed_digest(self) -> str | None:
        """The state digest at its end, as the mark has it which seals it."""
        return self._sealed.digest if self._sealed is not None and is_digest(self._sealed.digest) else None

    @property
    def sealed_position(self) -> Position | None:
        """What the mark says which seals it."""
        mark = self._sealed
        if mark is None or not _is_chain(mark.chain) or any(type(count) is not int for count in mark[:3]):
            return None
        return Position(mark.chain, *mark[:3])

    @property
    def start_chain(self) -> str | None:
        """Hex of the chain that its start mark has."""
        return self._start.chain.hex() if self._start is not None and _is_chain(self._start.chain) else None

    @property
    def last_chain(self) -> str:
        """Hex of the chain behind all that the file holds, as recorded; empty where it has none."""
        mark = self._end if self._end is not None else self._sealed
        if mark is not None:
            return mark.chain.hex() if _is_chain(mark.chain) else ""
        numbers = self.numbers()
        records = self._recorded.get(numbers[-1] if numbers else self._before[0])
        raw = self._fetch(numbers[-1]) if numbers and not records else None
        chain = records[-1][2] if records else raw.chain if raw is not None else bytes.fromhex(self.start_chain or "")
        return chain.hex() if _is_chain(chain) else ""

    @property
    def first_number(self) -> int:
        """Number of the first batch that this file may hold."""
        return self._before[0] + 1

    @property
    def first_of_all(self) -> int:
        """Number of the first batch that ``batches`` may yield: 1, unless earlier segments are not
        here.
        """
        if not self.earlier:
            return self.first_number
        with open_segment(self.earlier[0]) as oldest:
            return oldest.first_number

    @property
    def seq_before(self) -> int:
        """``seq`` of the last event before the first batch that ``batches`` may yield; -1: none."""
        if not self.earlier:
            return self._seq_first
        with open_segment(self.earlier[0]) as oldest:
            return oldest._seq_first

    @property
    def rules_versions(self) -> list[int]:
        """Rules versions of the segments that ``batches`` reads, in order."""
        found = []
        for path in self.earlier:
            with open_segment(path) as segment:
                found.append(segment.manifest.rules_version)
        return [*found, self.manifest.rules_version]

    @property
    def held(self) -> Held:
        """What it says that it holds."""
        try:
            count, events = self.connection.execute("SELECT count(*), sum(events_count) FROM batches").fetchone()
        except READ_ERRORS as error:
            raise JournalDamaged(finding_of(error, self.path.name)) from error
        return Held(self._before[0], count, events if type(events) is int else 0)

    @property
    def digest(self) -> str | None:
        """The final state digest, as the end mark has it."""
        return self._end.digest if self._end is not None and is_digest(self._end.digest) else None

    @property
    def end_chain(self) -> str | None:
        """Hex of the chain that the end mark has."""
        return self._end.chain.hex() if self._end is not None and _is_chain(self._end.chain) else None

    @property
    def chain(self) -> str | None:
        """Hex of the last chain read: after ``check_end``, the journal's head."""
        return None if self._chain is None else self._chain.hex()

    @property
    def events_expected(self) -> int:
        """How many events the journal says it holds, for a progress bar."""
        mark = self._end if self._end is not None else self._sealed
        if mark is not None and type(mark.events) is int:
            return max(0, mark.events - self._before[1])
        try:
            total = self.connection.execute("SELECT sum(events_count) FROM batches").fetchone()[0]
        except READ_ERRORS:
            return 0
        return total if type(total) is int else 0

    def names(self) -> Names:
        """Return what people call the accounts and owners, and the markets and providers that the
        venue file calls otherwise, as of the last batch.

        Whoever came without a name before one with a name is called ``account 7``, ``owner 7``. Raises
        ``JournalDamaged`` where names cannot be read, where one is longer than ``NAME_MAX``, or where one
        is missing of those that the journal began with: every name after it would be another's.
        """
        named: dict[str, dict[int, str]] = {kind: {} for kind in NAME_KINDS}
        begun = dict.fromkeys(NAME_KINDS, 0)
        try:
            for batch, kind, identifier, name in self.connection.execute(_NAMES_IN_ORDER[self.schema >= 4]):
                known = named.get(kind) if isinstance(kind, str) else None
                is_name = known is not None and type(identifier) is int and isinstance(name, str)
                is_first = is_name and batch == 0 and self.manifest.opening is None and kind in ("account", "owner")
                is_name = is_name and 0 <= identifier < self._things_max(kind) and not (is_first and identifier != begun[kind])
                if known is None or not is_name:
                    raise JournalDamaged(Finding(FindingCode.NAMES, "names", f"{kind!r} {identifier!r} is no name, or follows a gap"))
                if len(name) > NAME_MAX:
                    raise JournalDamaged(Finding(FindingCode.NAMES, "names", f"{kind} {identifier} {_TOO_LONG}"))
                begun[kind] += is_first
                known[identifier] = name
        except READ_ERRORS as error:
            raise JournalDamaged(finding_of(error, "names")) from error
        return Names(_in_a_row("account", named), _in_a_row("owner", named), named["market"], named["provider"])

    def _things_max(self, kind: str) -> int:
        """Return how many of a kind there may be. Limits that no engine has are another check's to name."""
        accounts_max = self.manifest.limits.accounts_max
        return accounts_max if kind in ("account", "owner") and accounts_max > 0 else 1 << 31

    def renamed(self) -> tuple[dict[int, str], dict[int, str]]:
        """Return the markets and the providers that are called otherwise than in the venue file, by
        number.

        Raises ``JournalDamaged`` where they cannot be read.
        """
        found: dict[str, dict[int, str]] = {"market": {}, "provider": {}}
        if self.schema < 4:
            return {}, {}
        words = "SELECT kind, id, name FROM names WHERE kind IN ('market', 'provider') ORDER BY batch"
        try:
            for kind, identifier, name in self.connection.execute(words):
                if type(identifier) is not int or not isinstance(name, str) or len(name) > NAME_MAX:
                    raise JournalDamaged(Finding(FindingCode.NAMES, "names", f"{kind!r} {identifier!r} is no name"))
                found[kind][identifier] = name
        except READ_ERRORS as error:
            raise JournalDamaged(finding_of(error, "names")) from error
        return found["market"], found["provider"]

    def check_pages(self) -> None:
        """Let SQLite see whether the file's pages hang together."""
        try:
            rows = self.connection.execute("PRAGMA integrity_check(10)").fetchall()
        except READ_ERRORS as error:
            self._found(finding_of(error, "pages"))
            return
        for (text,) in rows:
            if text != "ok":
                self._find(FindingCode.PAGES, "pages", " ".join(str(text).split()))
        self._check_length()

    def _check_length(self) -> None:
        """See that nothing stands behind the last page of a file without a log: SQLite itself does
        not look there.
        """
        if log_of(self.path).exists():
            return
        try:
            pages, page_bytes = (self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            more = self.path.stat().st_size - pages * page_bytes
        except READ_ERRORS as error:
            self._found(finding_of(error, "pages"))
            return
        if more > 0:
            self._find(FindingCode.PAGES, "pages", f"{more} bytes stand after the last page, and belong to no record")

    def check_log(self) -> None:
        """See whether the log beside the file holds more than whole batches."""
        try:
            finding = log_finding(self.path)
        except OSError as error:
            finding = Finding(FindingCode.UNREADABLE, f"{self.path.name}-wal", f"cannot be read: {error.strerror}")
        if finding is not None:
            self._found(finding)

    def check_head(self, *, with_names: bool = True) -> bool:
        """See that manifest and names are those that the chain starts from; return whether the
        manifest is.
        """
        if with_names:
            self._check_names()
        if self.entries["schema_version"] != str(self.schema):
            self._find(FindingCode.MANIFEST, "manifest", "`schema_version` does not agree with the file's header")
        if self._start is None or self._start[:3] != self._before or self._start.digest is not None:
            self._find(FindingCode.MANIFEST, "start mark", "missing or altered")
            return False
        if self._start.chain != start_chain(self.entries):
            self._find(FindingCode.MANIFEST, "manifest", "an entry or the start of the chain was altered: SHA-256 does not agree")
            return False
        self._chain = self._start.chain
        return True

    def _all_records(self) -> dict[int, list[tuple[Any, Any, Any]]]:
        """Return number, text and chain of the records, by the batch behind which they stand."""
        found: dict[int, list[tuple[Any, Any, Any]]] = {}
        if self.schema < 3:
            return found
        try:
            for number, batch, text, chain in self.connection.execute("SELECT number, batch, text, chain FROM records ORDER BY number"):
                found.setdefault(batch, []).append((number, text, chain))
        except READ_ERRORS as error:
            self._found(finding_of(error, "records"))
        return found

    def all_records(self) -> list[Record]:
        """Return the records of this file whose words can be read, whether or not they were
        checked.
        """
        rows = ((number, batch, text) for batch, held in self._recorded.items() for number, text, _ in held)
        return [Record(number, batch, text) for number, batch, text in sorted(rows) if isinstance(text, str)]

    def _take_records(self, batch: int) -> None:
        """Go over the records behind a batch: they stand in the chain before the next."""
        for number, text, chain in self._recorded.get(batch, ()):
            is_sound = isinstance(text, str) and _is_chain(chain)
            if self._chain is not None and not (is_sound and chain == record_chain(self._chain, batch, text)):
                self._find(FindingCode.RECORD, f"record {number}", "altered, or out of its place: SHA-256 does not agree")
            self._chain = chain if _is_chain(chain) else None
            if is_sound:
                self.records.append(Record(number, batch, text))

    def stop(self) -> tuple[int, EventArray, str] | None:
        """Return what an engine was given when it stopped: the batch before, the events, the error;
        None where none did.

        Raises ``JournalDamaged`` where that cannot be read.
        """
        if self.schema < 3:
            return None
        try:
            row = self.connection.execute("SELECT batch, events, error FROM stops ORDER BY batch DESC LIMIT 1").fetchone()
        except READ_ERRORS as error:
            raise JournalDamaged(finding_of(error, "stops")) from error
        if row is None:
            return None
        batch, events, words = row
        if type(batch) is not int or not isinstance(events, bytes) or len(events) % ROW_BYTES or not isinstance(words, str):
            raise JournalDamaged(Finding(FindingCode.RECORD, "stops", "its row is not one that a writer leaves"))
        return batch, np.frombuffer(events, EVENT).copy(), words

    def opening_parts(self) -> list[bytes] | None:
        """Return the parts of the snapshot that the segment begins with; None where it has none, or
        another than its manifest names, which is then found.
        """
        opening = self.manifest.opening
        if opening is None:
            return None
        try:
            rows = self.connection.execute("SELECT place, part FROM opening ORDER BY place").fetchall()
        except READ_ERRORS as error:
            self._found(finding_of(error, "opening"))
            return None
        parts = [part for _, part in rows]
        is_whole = [place for place, _ in rows] == list(range(len(rows))) and all(isinstance(part, bytes) for part in parts)
        if not parts or not is_whole:
            self._find(FindingCode.SNAPSHOT, "opening", "parts of the snapshot that the segment begins with are missing, or no blobs")
        elif snapshot_hash(parts).hex() != opening.snapshot:
            self._find(FindingCode.SNAPSHOT, "opening", "altered: SHA-256 is not the one that `opening` in the manifest names")
        else:
            return parts
        return None

    def start_after(self, number: int, seq: int) -> bool:
        """Let ``batches`` begin after this one, whose chain is taken as recorded; return whether it
        could be read.

        ``seq`` is the highest up to there.
        """
        raw = self._fetch(number)
        if raw is None or not _is_chain(raw.chain):
            return False
        self._chain, self._seq_before = raw.chain, seq
        self._take_records(number)
        return True

    def start_at_opening(self) -> None:
        """Let ``own_batches`` begin with the first; ``check_head`` must have been well."""
        self._chain = self._start.chain if self._start is not None else None
        self._seq_before = self._seq_first
        self._take_records(self._before[0])

    def batch(self, number: int) -> Batch | None:
        """Return one batch by its number, checked against the one before it; None if it cannot be
        read.
        """
        first = self.first_number
        before = self._fetch(number - 1) if number > first else None
        chain = self._start.chain if number == first and self._start is not None else before.chain if before is not None else None
        records = self._recorded.get(number - 1)
        chain = records[-1][2] if records else chain
        self._chain = chain if _is_chain(chain) else None
        raw = self._fetch(number)
        if raw is None:
            return None
        self._seq_before = int(np.frombuffer(raw.events[:8], "<i8")[0]) - 1 if _has_rows(raw) and raw.events else -1
        return self._checked(raw)

    def numbers(self) -> list[int]:
        """Return the numbers of the batches that can be listed, ascending."""
        return list(self._numbers())

    def snapshot_parts(self, number: int) -> list[bytes] | None:
        """Return the parts of the snapshot after a batch, or None where they cannot be read; empty
        if it is not there.
        """
        query = "SELECT place, part FROM snapshots WHERE place >= ? AND place < ? ORDER BY place"
        try:
            rows = self.connection.execute(query, (number * PARTS_MAX, (number + 1) * PARTS_MAX)).fetchall()
        except READ_ERRORS as error:
            self._found(finding_of(error, f"snapshot after batch {number}"))
            return None
        numbered = [place for place, _ in rows] == list(range(number * PARTS_MAX, number * PARTS_MAX + len(rows)))
        if not numbered or not all(isinstance(part, bytes) for _, part in rows):
            self._find(FindingCode.SNAPSHOT, f"snapshot after batch {number}", "parts are missing, or no blobs")
            return None
        return [part for _, part in rows]

    def snapshots_held(self) -> list[int]:
        """Return the batches after which a snapshot is stored, ascending."""
        if self.schema < 2:
            return []
        try:
            rows = self.connection.execute("SELECT DISTINCT place / ? FROM snapshots ORDER BY 1", (PARTS_MAX,)).fetchall()
        except READ_ERRORS as error:
            self._found(finding_of(error, "snapshots"))
            return []
        return [number for (number,) in rows]

    def check_snapshots(self) -> Iterator[tuple[int, list[bytes]]]:
        """See that the snapshots that the batches read name are there, whole, and no others; yield
        (batch, parts) of each that is.

        Only the newest that the manifest says are kept need to be there.
        """
        held = self.snapshots_held()
        named = sorted(self.snapshots)
        kept = named[-self.manifest.snapshots_kept :] if self.manifest.snapshots_kept else []
        for number in sorted({*held, *kept}):
            place = f"snapshot after batch {number}"
            if number not in self.snapshots:
                self._find(FindingCode.SNAPSHOT, place, "no batch names it")
                continue
            parts = self.snapshot_parts(number)
            if parts is None:
                continue
            if not parts:
                self._find(FindingCode.SNAPSHOT, place, "missing: its batch names it")
            elif snapshot_hash(parts) != self.snapshots[number]:
                self._find(FindingCode.SNAPSHOT, place, "altered: SHA-256 is not the one that its batch names")
            else:
                yield number, parts

    def totals(self, last: int) -> tuple[int, int]:
        """Return (events, effects) that the batches up to one count, whether or not they were read.

        Raises what SQLite raises, and ``JournalDamaged`` where a count is no number.
        """
        query = "SELECT sum(events_count), sum(effects_count) FROM batches WHERE number <= ?"
        events, effects = self.connection.execute(query, (last,)).fetchone()
        if type(events) is not int or type(effects) is not int:
            raise JournalDamaged(Finding(FindingCode.BATCH_FRAME, "batches", f"their counts add up to {events!r} and {effects!r}"))
        return self._before[1] + events, self._before[2] + effects

    def batches(self) -> Iterator[Batch]:
        """Yield the batches whose rows can be read, in order, those of earlier segments that are
        here first; what is wrong is a finding.
        """
        yield from self._earlier_batches()
        yield from self.own_batches()

    def _earlier_batches(self) -> Iterator[Batch]:
        try:
            for place, path in enumerate(self.earlier):
                following = self.earlier[place + 1] if place + 1 < len(self.earlier) else None
                with open_segment(path) as segment:
                    with open_segment(following) if following is not None else nullcontext(self) as after:
                        for finding in joint_findings(segment, after):
                            self._found(finding)
                    segment.check_head(with_names=False)
                    for batch in segment.own_batches():
                        self._take_findings(segment)
                        self.batches_read += 1
                        self.events_read += len(batch.events)
                        self.effects_read += len(batch.effects)
                        yield batch
                    segment.check_end()
                    self._take_findings(segment)
                    self.records += segment.records
        except FileNotFoundError as error:  # somebody prunes meanwhile
            self._find(FindingCode.SEGMENT, self.path.name, f"an earlier segment is gone: {error}")

    def _take_findings(self, segment: Reader) -> None:
        for finding in segment.findings:
            self._found(finding._replace(place=f"{segment.path.name}, {finding.place}"))
        segment.findings.clear()

    def own_batches(self, first: int | None = None) -> Iterator[Batch]:
        """Yield the batches of this file whose rows can be read, in order; a gap in their numbers
        is a finding.

        A ``first`` that is given needs ``start_after`` before.
        """
        if first is None:
            self._seq_before = self._seq_first
            self._take_records(self._before[0])
        expected = self.first_number if first is None else first
        for number in self._numbers(first):
            if number != expected:
                gap = f"batch {expected}" if number == expected + 1 else f"batches {expected} to {number - 1}"
                self._find(FindingCode.BATCH_NUMBER, f"batch {number}", f"{gap} missing before it" if number > expected else "out of place")
            expected = number + 1
            raw = self._fetch(number)
            if raw is None:
                continue
            batch = self._checked(raw)
            if batch is not None:
                self._take_records(number)
                yield batch

    def check_end(self) -> None:
        """See that the end mark, or the mark that seals the segment, agrees with what was read."""
        if self._end is None and self._sealed is not None:
            self._check_mark(self._sealed, "sealed mark", is_end=False)
        elif self._end is None:
            self._find(FindingCode.END_MISSING, "end mark", "none: the run was cut short, or the end of its journal was removed")
        else:
            self._check_mark(self._end, "end mark", is_end=True)

    def _check_mark(self, mark: _Mark, place: str, *, is_end: bool) -> None:
        before = self._before if not self.earlier else self._before_all()
        for name, begun, read in zip(
            ("batches", "events", "effects"), before, (self.batches_read, self.events_read, self.effects_read), strict=True
        ):
            said = getattr(mark, name)
            if said != begun + read:
                self._find(FindingCode.END, place, f"says {said!r} {name}, the journal holds {begun + read}")
                return
        chain = None
        if self._chain is not None and is_digest(mark.digest):
            held = Position(self._chain, *mark[:3])
            chain = end_chain(self._chain, *mark[:3], mark.digest) if is_end else sealed_chain(held, mark.digest)
        if chain is None or mark.chain != chain:
            self._find(FindingCode.END, place, "altered: SHA-256 of the chain does not agree")
            return
        self._chain = mark.chain

    def _before_all(self) -> tuple[int, int, int]:
        try:
            with open_segment(self.earlier[0]) as oldest:
                return oldest._before
        except (FileNotFoundError, JournalDamaged):
            return self._before

    def end_finding(self, held: tuple[int, int, int], chain: bytes, digest: str) -> Finding | None:
        """Return what the end mark does not agree with, or None.

        ``held``: the batches, events and effects that there are; ``chain`` is that of the last
        batch, ``digest`` that of a replay.
        """
        end = self._end
        if end is None:
            return Finding(FindingCode.END_MISSING, "end mark", "none")
        said = tuple(end[:3])
        if said != held:
            return Finding(FindingCode.END, "end mark", f"says {said!r} batches, events and effects, the journal holds {held!r}")
        if not is_digest(end.digest) or end.chain != end_chain(chain, *held, end.digest):
            return Finding(FindingCode.END, "end mark", "altered: SHA-256 of the chain does not agree")
        if digest != end.digest:
            return Finding(FindingCode.DIGEST_DIFFERS, "end mark", f"state digest: journal {end.digest}, replay {digest}")
        return None

    def _numbers(self, first: int | None = None) -> Iterator[int]:
        numbers: list[int] = []
        least = -(1 << 63) if first is None else first
        try:
            for (number,) in self.connection.execute("SELECT number FROM batches WHERE number >= ? ORDER BY number", (least,)):
                numbers.append(number)
        except READ_ERRORS as error:
            self._found(finding_of(error, f"batches after {numbers[-1]}" if numbers else "batches"))
        yield from numbers

    def _fetch(self, number: int) -> _Raw | None:
        try:
            columns = f"{_BATCH_COLUMNS}, {_SNAPSHOT_COLUMNS[self.schema]}"
            row = self.connection.execute(f"SELECT {columns} FROM batches WHERE number = ?", (number,)).fetchone()
        except READ_ERRORS as error:
            self._found(finding_of(error, f"batch {number}"))
            return None
        if row is None:
            self._find(FindingCode.BATCH_NUMBER, f"batch {number}", "listed, but not found by its number")
            return None
        return _Raw(*row)

    def _checked(self, raw: _Raw) -> Batch | None:
        """Check one batch; return it if its rows can be read, whatever else is wrong with it."""
        found = len(self.findings)
        place = f"batch {raw.number}"
        fault = _frame_fault(raw)
        if fault:
            self._find(FindingCode.BATCH_FRAME, place, fault)
        self._check_chain(raw, place)
        if not _has_rows(raw):
            return None
        events, effects = np.frombuffer(raw.events, EVENT).copy(), np.frombuffer(raw.effects, EFFECT).copy()
        self.batches_read += 1
        self.events_read += len(events)
        self.effects_read += len(effects)
        if len(events):
            self._check_seq(raw, events, effects, place)
        digest = raw.digest if is_digest(raw.digest) else None
        due = self.manifest.digest_every > 0 and raw.number % self.manifest.digest_every == 0
        if due and raw.digest is None:
            self._find(FindingCode.DIGEST_MISSING, place, f"the manifest declares one every {self.manifest.digest_every} batches")
        snapshot = raw.snapshot if isinstance(raw.snapshot, bytes) else None
        if snapshot is not None:
            self.snapshots[raw.number] = snapshot
        return Batch(raw.number, events, effects, digest, snapshot, len(self.findings) == found)

    def _check_chain(self, raw: _Raw, place: str) -> None:
        """Compare with what the chain of the batch before gives, as recorded: one damaged batch is
        one finding.
        """
        hashable = isinstance(raw.events, bytes) and isinstance(raw.effects, bytes) and (raw.digest is None or isinstance(raw.digest, str))
        hashable = hashable and all(each is None or isinstance(each, bytes) for each in (raw.snapshot, raw.names))
        known = _is_chain(raw.chain)
        if self._chain is not None and not (
            known and hashable and raw.chain == batch_chain(self._chain, *raw[5:7], *raw[8:], schema=self.schema)
        ):
            self._find(FindingCode.CHAIN, place, "its bytes, or its place after the batch before, were altered: SHA-256 does not agree")
        self._chain = raw.chain if known else None

    def _check_seq(self, raw: _Raw, events: EventArray, effects: EffectArray, place: str) -> None:
        seqs = events["seq"]
        if (raw.first_seq, raw.last_seq) != (int(seqs[0]), int(seqs[-1])):
            said = f"{raw.first_seq!r} to {raw.last_seq!r}"
            self._find(FindingCode.SEQ, place, f"says seq {said}, its events run from {int(seqs[0])} to {int(seqs[-1])}")
        if seqs[0] > self._seq_before and np.all(seqs[1:] > seqs[:-1]):
            self._check_ascending(seqs, effects, place)
            return
        highest = np.maximum.accumulate(np.concatenate(([self._seq_before], seqs)))
        stale = seqs[seqs <= highest[:-1]]
        refusals = RefusalEffect[Columns](effects)
        refused = refusals.seq[refusals.reason == Reject.SEQ_NOT_AFTER]
        if not np.array_equal(stale, refused):
            self._find(FindingCode.SEQ, place, f"{len(stale)} events are not after those before, {len(refused)} were refused for it")
        self._check_owners(seqs, effects, place)
        self._seq_before = int(highest[-1])

    def _check_owners(self, seqs: Any, effects: EffectArray, place: str) -> None:
        stranger = stranger_of(effects["seq"], seqs)
        if stranger is not None:
            self._find(FindingCode.SEQ, place, f"effect of seq {stranger}, which is not among its events")

    def _check_ascending(self, seqs: Any, effects: EffectArray, place: str) -> None:
        """The same where every event is after the one before, as it should be: no sorting is
        needed.
        """
        self._check_owners(seqs, effects, place)
        refused = int(np.count_nonzero(RefusalEffect[Columns](effects).reason == Reject.SEQ_NOT_AFTER))
        if refused:
            self._find(FindingCode.SEQ, place, f"0 events are not after those before, {refused} were refused for it")
        self._seq_before = int(seqs[-1])

    def _check_names(self) -> None:
        execute = self.connection.execute
        untyped = "typeof(kind) <> 'text' OR typeof(id) <> 'integer' OR typeof(name) <> 'text'"
        at_begin = " WHERE batch = 0" if self.schema >= 4 else ""
        try:
            is_typed = execute(f"SELECT count(*) FROM names WHERE {untyped}").fetchone()[0] == 0
            is_long = f"CASE WHEN typeof(name) = 'text' THEN length(name) > {NAME_MAX} END"
            long = execute(f"SELECT CAST(kind AS TEXT), id FROM names WHERE {is_long} LIMIT 1").fetchone()
            # As bytes and row by row: a venue may have millions of names.
            rows = execute(f"SELECT CAST(kind AS BLOB), id, CAST(name AS BLOB) FROM names{at_begin} ORDER BY kind, id")
            is_sound = is_typed and names_hash(rows) == self.entries["names_sha256"]
            changed = self._changed_names() if is_typed and self.schema >= 4 else None
        except READ_ERRORS as error:
            self._found(finding_of(error, "names"))
            return
        if not is_sound:
            self._find(FindingCode.NAMES, "names", "a name was altered, added or removed: SHA-256 does not agree with the manifest")
        elif changed is not None:
            words = "a name was altered, added or removed: SHA-256 does not agree with the batch"
            self._find(FindingCode.NAMES, f"names of batch {changed}", words)
        elif long is not None:
            self._find(FindingCode.NAMES, "names", f"{long[0]} {long[1]} {_TOO_LONG}")

    def _changed_names(self) -> Any:
        """Return the first batch whose names are not those that it hashes, or None."""
        held = self.connection.execute("SELECT batch, CAST(kind AS BLOB), id, CAST(name AS BLOB) FROM names ORDER BY batch, kind, id")
        hashed = dict(self.connection.execute("SELECT number, names FROM batches WHERE names IS NOT NULL").fetchall())
        for batch, rows in groupby(held, key=itemgetter(0)):
            if batch == 0:
                continue
            if hashed.pop(batch, None) != bytes.fromhex(names_hash(row[1:] for row in rows)):
                return batch
        return min(hashed, default=None)

    def _mark(self, place: str) -> _Mark | None:
        try:
            row = self.connection.execute("SELECT batches, events, effects, chain, digest FROM marks WHERE place = ?", (place,)).fetchone()
        except READ_ERRORS as error:
            self._found(finding_of(error, f"{place} mark"))
            return None
        return None if row is None else _Mark(*row)

    def _find(self, code: FindingCode, place: str, message: str) -> None:
        self._found(Finding(code, place, message))

    def _found(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding.shortened())


def _in_a_row(kind: str, named: dict[str, dict[int, str]]) -> list[str]:
    """Return the names of a kind by id; who has none has his number."""
    known = named[kind]
    return [known.get(number, f"{kind} {number}") for number in range(max(known, default=-1) + 1)]


def _is_chain(chain: Any) -> bool:
    return isinstance(chain, bytes) and len(chain) == CHAIN_BYTES


def _has_rows(raw: _Raw) -> bool:
    return all(isinstance(data, bytes) and len(data) % ROW_BYTES == 0 for data in (raw.events, raw.effects))


def _frame_fault(raw: _Raw) -> str:
    """Return what does not fit in the batch's own lengths and counts; empty if all does."""
    for name, data, count in (("events", raw.events, raw.events_count), ("effects", raw.effects, raw.effects_count)):
        if not isinstance(data, bytes):
            return f"`{name}` is not a blob"
        if len(data) % ROW_BYTES:
            return f"`{name}` has {len(data)} bytes: must be a multiple of {ROW_BYTES}"
        if count != len(data) // ROW_BYTES:
            return f"`{name}_count` says {count!r}, `{name}` has {len(data) // ROW_BYTES} rows"
    if not raw.events:
        return "no events"
    if raw.digest is not None and not is_digest(raw.digest):
        return "`digest` is not a SHA-256 in hex"
    if raw.snapshot is not None and not _is_chain(raw.snapshot):
        return "`snapshot` is not a SHA-256"  # an empty one is hashed as none is
    if raw.names is not None and not _is_chain(raw.names):
        return "`names` is not a SHA-256"
    return ""


def open_journal(path: str | Path) -> Reader:
    """Open a journal for reading, with the sealed segments beside it that go on from one another
    without a gap.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, and ``JournalDamaged`` if it cannot be
    read as one.
    """
    reader = open_segment(path)
    place = Path(os.path.realpath(path))
    named = live_path(place)
    live, number = (place, reader.manifest.segment) if named is None else named
    if reader.manifest.segment == number:
        while number > 1 and sealed_path(live, number - 1).exists():
            number -= 1
            reader.earlier.insert(0, sealed_path(live, number))
    return reader


def open_segment(path: str | Path) -> Reader:
    """Open one file of a journal alone; raise as ``open_journal``."""
    path = Path(path)
    connection, schema = connect(path)
    try:
        connection.execute("BEGIN")  # what a writer adds from here on is not seen
        entries = dict(connection.execute("SELECT key, value FROM manifest").fetchall())
        if not all(type(key) is str and type(value) is str for key, value in entries.items()):
            raise ValueError("an entry is not text")
        return Reader(path, connection, entries, schema)
    except READ_ERRORS as error:
        connection.close()
        raise JournalDamaged(finding_of(error, "manifest")) from error
    except ValueError as error:
        connection.close()
        raise JournalDamaged(Finding(FindingCode.MANIFEST, "manifest", str(error))) from error
