"""Copying a journal, also one that is being written: sealed segments as they are, the live one as
one moment has it.

The copy is a journal. It stands at its place when it is whole; a kill leaves the copy of before.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backstop.journal.building import copied
from backstop.journal.errors import JournalError, reason_of
from backstop.journal.findings import Finding, FindingCode, JournalDamaged
from backstop.journal.naming import live_path, sealed_beside, sealed_path
from backstop.journal.reader import Reader, open_segment

__all__ = ["Backup", "back_up"]


class Backup(NamedTuple):
    """What a copy holds, and what was copied for it."""

    path: Path
    segment: int
    #: Numbers of the sealed segments that were copied now, and those that stood there already.
    copied: tuple[int, ...]
    kept: tuple[int, ...]
    #: Last batch of the live segment.
    batches: int
    bytes: int
    chain: str


def back_up(source: str | Path, target: str | Path, progress: Callable[[int, int], None] | None = None) -> Backup:
    """Copy a journal to ``target``: its live segment there, its sealed ones beside it.

    An earlier copy of the same journal is brought up to date. ``progress`` is called with the bytes
    copied and those there are.

    Raises ``FileNotFoundError``; ``JournalError`` where something else stands there, or it cannot
    be written; and ``JournalDamaged`` where the journal or what stands there is damaged.
    """
    source, target = Path(os.path.realpath(source)), Path(target)
    place = Path(os.path.realpath(target))
    if live_path(source) is not None:
        raise JournalError(f"`{source.name}` is a sealed segment, which never changes: copy it as any file")
    try:
        with open_segment(source) as live:
            if not live.check_head(with_names=False):
                raise JournalDamaged(live.findings[0])
            _check_target(source, place, live)
            _check_batches(live)
            sealed = {number: path for number, path in sealed_beside(source).items() if number < live.manifest.segment}
            steps = _Steps(progress, sum(path.stat().st_size for path in (*sealed.values(), source)))
            done = [number for number, path in sealed.items() if _copy_sealed(path, sealed_path(place, number), number, steps)]
            # Last: what stands there goes on from the sealed ones, or before them.
            copied(live.connection, place, steps.told)
            held, chain = live.held, live.last_chain
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, (JournalError, FileNotFoundError, IsADirectoryError)):
            raise
        raise JournalError(f"`{target}` cannot be written: {reason_of(error)}") from error
    _check_copy(place, chain)
    kept = tuple(number for number in sealed if number not in done)
    batches = held.batches_before + held.batches
    return Backup(target, live.manifest.segment, tuple(done), kept, batches, steps.done, chain)


class _Steps:
    """Adds up the bytes of one copy after another."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total, self._before = progress, total, 0
        self.done = 0

    def told(self, done: int, total: int) -> None:
        self.done = self._before + done
        if self._progress is not None:
            self._progress(self.done, max(self._total, self.done))
        if done == total:
            self._before = self.done


def _origin(reader: Reader) -> str | None:
    opening = reader.manifest.opening
    return reader.start_chain if opening is None else opening.origin


def _check_target(source: Path, place: Path, live: Reader) -> None:
    """See that nothing stands there but an earlier copy of this journal."""
    if place.exists() and os.path.samefile(source, place):
        raise JournalError(f"`{place}` is the journal itself: name another place")
    if not place.parent.is_dir():
        raise JournalError(f"`{place}`: there is no folder {place.parent}: make it first")
    if not os.path.lexists(place):
        return
    try:
        with open_segment(place) as there:
            if _origin(there) == _origin(live) and there.manifest.segment <= live.manifest.segment:
                return
    except (JournalDamaged, IsADirectoryError):
        pass
    raise JournalError(f"`{place}` exists, and is no earlier copy of this journal: choose another place")


def _copy_sealed(path: Path, target: Path, number: int, steps: _Steps) -> bool:
    """Copy a sealed segment, unless it stands there already; return whether it was copied."""
    with open_segment(path) as segment:
        if segment.manifest.segment != number or segment.sealed_chain is None:
            raise JournalDamaged(_segment_fault(path, f"it is no sealed segment {number}"))
        if os.path.lexists(target):
            with open_segment(target) as there:
                if there.sealed_chain != segment.sealed_chain:
                    raise JournalError(f"`{target}` exists, and is not that segment of this journal: choose another place")
            return False
        if not segment.check_head(with_names=False):
            raise JournalDamaged(segment.findings[0])
        _check_batches(segment)
        copied(segment.connection, target, steps.told)
        return True


def _check_batches(reader: Reader) -> None:
    """See that its chain holds: a good copy must not give way to that of a damaged journal."""
    for _ in reader.own_batches():
        pass
    if reader.findings:
        finding = reader.findings[0]
        raise JournalDamaged(
            finding._replace(place=f"{reader.path.name}, {finding.place}", message=f"{finding.message}; it was not copied")
        )


def _segment_fault(path: Path, message: str) -> Finding:
    return Finding(FindingCode.SEGMENT, path.name, message)


def _check_copy(place: Path, chain: str) -> None:
    with open_segment(place) as copy:
        if copy.last_chain != chain:
            raise JournalDamaged(_segment_fault(place, "the copy does not end as the journal did: the disk did not keep what was written"))
