"""A journal as a chain of segments: what each file says of itself, and whether one goes on where
another ends.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from backstop.journal.findings import JournalDamaged
from backstop.journal.joints import joint_findings
from backstop.journal.naming import sealed_beside
from backstop.journal.reader import open_segment

__all__ = ["Segment", "checked_joints", "segment_of", "segments_of"]


class Segment(NamedTuple):
    """A segment as its file says; nothing of it was checked."""

    path: Path
    number: int
    is_sealed: bool
    first_batch: int
    last_batch: int
    events: int
    bytes: int
    rules_version: int
    code_version: str
    #: Chain of the segment before, and of its own end; empty: there is none.
    previous: str
    chain: str


def segment_of(path: Path) -> Segment:
    """Return what one file says of itself.

    Raises ``FileNotFoundError``, and ``JournalDamaged`` where it cannot be read as a journal.
    """
    with open_segment(path) as reader:
        manifest, held = reader.manifest, reader.held
        return Segment(
            path=path,
            number=manifest.segment,
            is_sealed=reader.is_sealed,
            first_batch=held.batches_before + 1,
            last_batch=held.batches_before + held.batches,
            events=held.events,
            bytes=path.stat().st_size,
            rules_version=manifest.rules_version,
            code_version=manifest.code_version,
            previous=manifest.opening.previous if manifest.opening is not None else "",
            chain=reader.sealed_chain or reader.end_chain or "",
        )


def segments_of(live: Path) -> list[Segment]:
    """Return the journal's segments that are here, oldest first, the live one last.

    Raises as ``segment_of``.
    """
    last = segment_of(live)
    return [segment_of(path) for number, path in sealed_beside(live).items() if number < last.number] + [last]


def checked_joints(paths: list[Path]) -> None:
    """See that sealed segments and the live one go on from one another; raise ``JournalDamaged``
    with the first thing that does not fit.
    """
    for first, second in pairwise(paths):
        with open_segment(first) as before, open_segment(second) as after:
            found = joint_findings(before, after)
            if found:
                raise JournalDamaged(found[0])
