"""Taking up a journal that a dead run left: from its newest good snapshot, through the batches
after it.

Nothing that was acknowledged is dropped without a word. Only last batches that are not whole may be
cut off, and it is reported; any other damage ends in ``JournalDamaged``, which names it, and the
file stays as it was. Names, and batches before the snapshot, are for ``verify``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EFFECT, EffectArray, EventArray
from backstop.core.instruments import VenueRules
from backstop.core.state import State, new_state
from backstop.journal.chronicle import Quarantine, quarantine_text, quarantined
from backstop.journal.findings import READ_ERRORS, Finding, FindingCode, JournalDamaged, finding_of
from backstop.journal.format import DIGEST_ENCODING, snapshot_hash
from backstop.journal.log import log_of, read_log
from backstop.journal.reader import Batch, Reader, open_segment
from backstop.journal.replay import Replayer
from backstop.journal.rolling import finish
from backstop.journal.rules_version import RULES_VERSION
from backstop.journal.snapshot import Restored, Shapes, SnapshotError, header_is_foreign, restore_snapshot, shapes_of, take_snapshot
from backstop.journal.verify import rules_of
from backstop.journal.writer import Journal, JournalError, Position

__all__ = ["Recovered", "Recovery", "read_ahead", "recover"]


class Recovery:
    """A dead run's journal, opened to be taken up.

    Make it, look at ``restored`` (None: begin with a fresh engine), run through ``tail``, then call
    ``take_up``.
    """

    def __init__(self, path: str | Path, *, may_be_ended: bool = False, shapes: Shapes | None = None, reads_foreign: bool = False) -> None:
        """Open the journal and find its newest good snapshot.

        ``shapes`` are those of the arrays of such a run, the caller's own among them; without them
        the rules of the journal say what a snapshot may hold. ``may_be_ended``: take a journal
        whose run came to its end, too; it is then read, and not written on. ``reads_foreign``: read
        a snapshot of other code by names, where that can be done. Raises
        ``FileNotFoundError``, ``JournalError`` where the run came to its end and that was not
        allowed, and ``JournalDamaged``.
        """
        self.path = Path(path)
        #: What was passed over or cut off: never more than last batches that are not whole, and
        #: snapshots.
        self.findings: list[Finding] = []
        self.restored: Restored | None = None
        #: The batch after which the snapshot stands; 0: none.
        self.snapshot_batch = 0
        self._may_be_ended, self._shapes, self._reads_foreign = may_be_ended, shapes, reads_foreign
        if not self.path.exists():
            raise FileNotFoundError(f"journal `{self.path}` does not exist")
        finish(self.path)
        self._check_log()
        self._journal: Reader = open_segment(self.path)
        self.manifest = self._journal.manifest
        self.entries = self._journal.entries
        try:
            self._open()
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Recovery:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; whatever ``take_up`` returned stays open."""
        self._journal.close()

    def _check_log(self) -> None:
        state = read_log(log_of(self.path))
        self._torn_bytes = state.torn_bytes
        place = f"{self.path.name}-wal"
        if state.lost_for_certain:
            raise JournalDamaged(Finding(FindingCode.LOG, place, state.says))
        if state.torn_bytes:
            self.findings.append(Finding(FindingCode.LOG, place, f"cut off: {state.says}"))

    def _open(self) -> None:
        journal = self._journal
        if journal.schema < 2:
            raise JournalError(f"journal `{self.path}` has schema {journal.schema}: it can be read, not written on")
        if journal.is_closed and not self._may_be_ended:
            raise JournalError(f"journal `{self.path}` is closed: its run came to its end")
        if not journal.check_head(with_names=False):
            raise JournalDamaged(journal.findings[0])
        version = self.manifest.rules_version
        if version not in (0, RULES_VERSION) and not self._reads_foreign:
            message = f"is of rules version {version}, this is {RULES_VERSION}: `backstop journal upgrade` goes on with this version"
            raise JournalError(f"journal `{self.path}` {message}")
        self._numbers, first = journal.numbers(), journal.first_number
        if self._numbers != list(range(first, first + len(self._numbers))):
            missing = next(number for number in range(first, first + len(self._numbers) + 1) if number not in self._numbers)
            raise JournalDamaged(Finding(FindingCode.BATCH_NUMBER, f"batch {missing}", "missing"))
        if journal.findings:
            raise JournalDamaged(journal.findings[0])
        self._find_snapshot()

    def _find_snapshot(self) -> None:
        journal = self._journal
        for number in reversed(journal.snapshots_held()):
            batch = journal.batch(number)
            parts = journal.snapshot_parts(number) if batch is not None else None
            place = f"snapshot after batch {number}"
            if batch is None or not batch.intact or batch.snapshot is None or parts is None:
                self._pass_over(place, "it or its batch is damaged")
                continue
            if snapshot_hash(parts) != batch.snapshot:
                self._pass_over(place, "altered: SHA-256 is not the one that its batch names")
                continue
            try:
                self.restored = self._restored(parts)
            except SnapshotError as error:
                self._pass_over(place, str(error))
                continue
            self._stand_after(batch)
            return
        journal.findings.clear()
        self._open_segment()

    def _open_segment(self) -> None:
        """Begin where the segment does: with the snapshot that it opens with, or, the first, as the
        venue began.
        """
        journal, opening = self._journal, self.manifest.opening
        if opening is not None:
            parts = journal.opening_parts()
            if parts is None:
                raise JournalDamaged(journal.findings[0])
            try:
                self.restored = self._restored(parts)
            except SnapshotError as error:
                if header_is_foreign(parts[0]):
                    hint = "" if self._reads_foreign else ": `backstop journal upgrade` goes on with this version"
                    raise JournalError(f"journal `{self.path}` begins with a snapshot that cannot be used: {error}{hint}") from error
                raise JournalDamaged(Finding(FindingCode.SNAPSHOT, "opening", str(error))) from error
            self.snapshot_batch = opening.batches
        journal.start_at_opening()
        if journal.findings:
            raise JournalDamaged(journal.findings[0])
        chain = bytes.fromhex(journal.chain or "")
        if opening is None:
            self.position = Position(chain)
        else:
            last_seq = None if opening.last_seq < 0 else opening.last_seq
            self.position = Position(chain, opening.batches, opening.events, opening.effects, last_seq)

    def _restored(self, parts: list[bytes]) -> Restored:
        if self._shapes is None:
            self._shapes = shapes_of(self.fresh())
        return restore_snapshot(parts, self._shapes, self.fresh if self._reads_foreign else None)

    def _pass_over(self, place: str, message: str) -> None:
        self._journal.findings.clear()
        self.findings.append(Finding(FindingCode.SNAPSHOT, place, f"passed over: {message}"))

    def _stand_after(self, batch: Batch) -> None:
        assert self.restored is not None
        try:
            events, effects = self._journal.totals(batch.number)
        except READ_ERRORS as error:
            raise JournalDamaged(finding_of(error, "batches")) from error
        self._journal.start_after(batch.number, int(self.restored.state.engine[0].last_seq))
        if self._journal.findings:
            raise JournalDamaged(self._journal.findings[0])
        chain = bytes.fromhex(self._journal.chain or "")
        self.snapshot_batch = batch.number
        self.position = Position(chain, batch.number, events, effects, int(batch.events["seq"][-1]))

    def tail(self) -> Iterator[Batch]:
        """Yield the whole batches after the snapshot, in order; ``position`` follows.

        A last batch that is not whole is reported in ``findings`` and left out. Raises
        ``JournalDamaged`` for any other.
        """
        journal = self._journal
        last = journal.first_number - 1 + len(self._numbers)
        for batch in journal.own_batches(self.position.batches + 1):
            if journal.findings:
                self._cut(batch.number, last)
                return
            held = self.position
            self.position = Position(
                bytes.fromhex(journal.chain or ""),
                batch.number,
                held.events + len(batch.events),
                held.effects + len(batch.effects),
                int(batch.events["seq"][-1]),
            )
            yield batch
        if journal.findings:
            self._cut(self.position.batches + 1, last)

    def _cut(self, number: int, last: int) -> None:
        """Report the last batch as cut off; one before it is damage, and any where the run came to
        its end.
        """
        first = self._journal.findings[0]
        if number < last or self.is_ended or first.code == FindingCode.RECORD:
            raise JournalDamaged(first)
        self.findings.append(first._replace(message=f"cut off: {first.message}"))

    def stop(self) -> tuple[EventArray, str] | None:
        """Return the events that the engine was given when it stopped, and what it raised, if it
        did behind the last batch that ``tail`` gave; None otherwise.
        """
        stop = self._journal.stop()
        return (stop[1], stop[2]) if stop is not None and stop[0] == self.position.batches else None

    @property
    def tail_batches(self) -> int:
        """Batches behind the snapshot, whether or not they were read."""
        return self._journal.first_number - 1 + len(self._numbers) - self.snapshot_batch

    @property
    def quarantined(self) -> dict[int, bytes]:
        """Rows of the events in quarantine, by seq, as far as the live segment tells.

        Raises ``JournalDamaged`` for a record that says nothing known.
        """
        return {each.seq: each.event.tobytes() for each in quarantined(self._journal.all_records())}

    def rules(self) -> VenueRules:
        """Return the rules of the run; raise ``JournalDamaged`` where they cannot be read again."""
        rules, _ = rules_of(self._journal)
        if rules is None:
            raise JournalDamaged(self._journal.findings[-1])
        return rules

    def fresh(self) -> State:
        """Return the state in which the run began; raise ``JournalDamaged`` where its rules cannot
        be read again, or run.
        """
        try:
            return new_state(self.rules())
        except (ValueError, MemoryError) as error:
            raise JournalDamaged(Finding(FindingCode.CONFIG, "manifest", f"the rules cannot be run: {error}")) from error

    @property
    def is_ended(self) -> bool:
        """Whether the run came to its end: ``end`` then takes the place of ``take_up``."""
        return self._journal.is_closed

    @property
    def head(self) -> str:
        """Hex of the chain of the end mark; empty where there is none."""
        return self._journal.end_chain or ""

    def end(self, digest: str) -> None:
        """See that the end mark agrees with the batches that ``tail`` gave and with the state
        digest of the replay; close the file.

        A log that the run left beside it is moved into it, where nobody holds it. Raises
        ``JournalDamaged``.
        """
        held = self.position
        finding = self._journal.end_finding((held.batches, held.events, held.effects), held.chain, digest)
        self._journal.close()
        if finding is not None:
            raise JournalDamaged(finding)
        with suppress(JournalError):  # the journal is whole as it stands
            Journal.tidy(self.path)

    def take_up(self) -> Journal:
        """Return the journal, to be written on after the last batch that ``tail`` gave.

        Raises ``JournalError`` if it cannot be written.
        """
        self._journal.close()
        return Journal.take_up(self.path, self.manifest, self.position, torn_bytes=self._torn_bytes)


class Recovered(NamedTuple):
    """An engine as it stood when its run died, and its journal."""

    state: State
    journal: Journal
    snapshot_batch: int
    #: Events that were replayed after the snapshot.
    events_replayed: int
    #: What was passed over or cut off.
    findings: tuple[Finding, ...]
    #: Events that stopped the engine, and went into quarantine now.
    quarantined: tuple[Quarantine, ...] = ()


#: Batches that are read and checked before the engine has come to them.
_AHEAD_MAX = 4


def read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield what ``batches`` yields, read in another thread while the engine works; raise what it
    raises.

    Hashing, reading and the engine's kernels do not need Python's lock, so that they truly run side
    by side.
    """
    with ThreadPoolExecutor(1, "journal-reader") as reader:
        under_way = deque(reader.submit(next, batches, None) for _ in range(_AHEAD_MAX))
        try:
            while (batch := under_way.popleft().result()) is not None:
                under_way.append(reader.submit(next, batches, None))
                yield batch
        finally:
            for waiting in under_way:
                waiting.cancel()


def recover(path: str | Path) -> Recovered:
    """Bring back an engine from its journal, and the journal, ready to be written on.

    Where the engine was stopped by what an event made it raise, that event goes into quarantine,
    and the others that it was given with it are applied and written.

    Raises what ``Recovery`` raises, and ``JournalDamaged`` where a replayed effect or digest is not
    the recorded one.
    """
    skipped: dict[int, str] = {}
    while True:
        with Recovery(path) as found:
            replayer = _replayer(found)
            for batch in read_ahead(found.tail()):
                differences = replayer.replay(batch)
                if differences:
                    raise JournalDamaged(differences[0])
            stop = found.stop()
            given = _Given(replayer.state, None if stop is None else stop[0], skipped)
            if not given.apply():
                continue  # the state is no more what it was: begin anew, without that event
            journal = found.take_up()
            journal.quarantined = found.quarantined
            noted = given.write(journal)
            return Recovered(replayer.state, journal, found.snapshot_batch, replayer.events, tuple(found.findings), noted)


class _Given:
    """Events that an engine was given when it stopped."""

    def __init__(self, state: State, events: EventArray | None, skipped: dict[int, str]) -> None:
        self._state = state
        self._events = events
        #: By place among them: what the engine raises. It grows by one with each try.
        self._skipped = skipped
        self._effects: list[EffectArray] = []

    def apply(self) -> bool:
        """Apply them one by one but for those that are skipped; False where one more raises."""
        engine = self._state.engine[0]
        for place in range(0 if self._events is None else len(self._events)):
            if place in self._skipped or self._events is None:
                continue
            try:
                step(self._state, self._events[place : place + 1], 0)
            except Exception as error:  # whatever it is, the event is not to be met again
                self._skipped[place] = f"{type(error).__name__}: {error}"
                return False
            self._effects.append(self._state.effects[: int(engine.effects_now)].copy())
            engine.effects_now = 0
        return True

    def write(self, journal: Journal) -> tuple[Quarantine, ...]:
        """Write what became of them; return those in quarantine."""
        events = self._events
        if events is None:
            return ()
        places = sorted(self._skipped)
        noted = tuple(
            Quarantine(journal.batches, int(events["seq"][place]), self._skipped[place], events[place : place + 1]) for place in places
        )
        taken = np.delete(events, places)
        digest = snapshot = None
        if len(taken) and journal.digest_due:
            digest = state_digest(self._state)
            if journal.is_snapshot_due(journal.batches + 1):
                snapshot = take_snapshot(self._state, digest)
        effects = np.concatenate([np.empty(0, dtype=EFFECT), *self._effects])
        journal.resolve_stop([quarantine_text(each.event, each.error) for each in noted], taken, effects, digest, snapshot)
        journal.quarantined |= {each.seq: each.event.tobytes() for each in noted}
        return noted


def _replayer(found: Recovery) -> Replayer:
    if found.restored is not None:
        return Replayer(state=found.restored.state)
    return Replayer(state=found.fresh(), with_digests=found.manifest.digest_encoding == DIGEST_ENCODING)
