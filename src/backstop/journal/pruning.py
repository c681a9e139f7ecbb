"""Deleting sealed segments that recovery does not need: the oldest, by policy.

Recovery needs the live segment alone: it begins with a snapshot. So only sealed segments are
removed, and none while the live one is not sound.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backstop.journal.errors import JournalError
from backstop.journal.findings import JournalDamaged
from backstop.journal.naming import live_path, sealed_beside
from backstop.journal.place import Place
from backstop.journal.reader import Reader, open_segment
from backstop.journal.segments import Segment, checked_joints, segment_of
from backstop.journal.snapshot import header_is_foreign
from backstop.journal.syncing import sync_folder

__all__ = ["Pruned", "prune"]


class Pruned(NamedTuple):
    """What was removed, and what is left of the sealed segments."""

    removed: tuple[Segment, ...]
    kept: tuple[Segment, ...]
    live: Segment


def prune(path: str | Path, keep: int, progress: Callable[[int, int], None] | None = None, *, is_trial: bool = False) -> Pruned:
    """Remove the oldest sealed segments but for the newest ``keep``; ``is_trial``: only say which.

    Oldest first: a kill leaves a journal without a gap. A journal that is being written may be
    pruned. ``progress`` is called with the segments checked and those there are.

    Raises ``FileNotFoundError``; ``JournalError`` where nothing may be removed, and why; and
    ``JournalDamaged`` where a segment is damaged or does not belong to the journal. Nothing was
    removed then.
    """
    place = Place(path)
    if live_path(place.file) is not None:
        raise JournalError(f"`{path}` is a sealed segment: name the journal itself")
    with place.held():
        with open_segment(place.file) as live:
            number = live.manifest.segment
            _check_live(live)
        sealed = {each: file for each, file in sealed_beside(place.file).items() if each < number}
        segments = []
        for done, (each, file) in enumerate(sealed.items()):
            segments.append(_checked(file, each))
            if progress is not None:
                progress(done + 1, len(sealed))
        _check_chain(place.file, sealed, number)
        count = max(0, len(segments) - keep)
        removed, kept = segments[:count], segments[count:]
        if not is_trial:
            for segment in removed:
                segment.path.unlink()
            if removed:
                sync_folder(place.file.parent)
        return Pruned(tuple(removed), tuple(kept), segment_of(place.file))


def _check_live(live: Reader) -> None:
    """See that recovery can begin with this file; raise ``JournalError`` or ``JournalDamaged``
    where it cannot.
    """
    name = live.path.name
    if live.is_sealed:
        raise JournalError(f"`{name}` is sealed, and the next segment is not begun: take the journal up first; nothing was removed")
    if not live.check_head(with_names=False):
        raise JournalDamaged(live.findings[0])
    parts = live.opening_parts()
    for _ in live.own_batches():
        pass
    if live.findings:
        first = live.findings[0]
        raise JournalDamaged(first._replace(message=f"{first.message}; recovery may need earlier segments: nothing was removed"))
    if parts is not None and header_is_foreign(parts[0]):
        message = "begins with a snapshot of other code: let that version seal it, or upgrade the journal; nothing was removed"
        raise JournalError(f"`{name}` {message}")


def _checked(file: Path, number: int) -> Segment:
    segment = segment_of(file)
    if segment.number != number:
        raise JournalError(f"`{file.name}` holds segment {segment.number}: nothing was removed")
    return segment


def _check_chain(live: Path, sealed: dict[int, Path], number: int) -> None:
    """See that the sealed segments lead to the live one without a gap."""
    if not sealed:
        return
    missing = [each for each in range(min(sealed), number) if each not in sealed]
    if missing:
        raise JournalError(f"segment {missing[0]} of `{live.name}` is missing between others: put it back first; nothing was removed")
    checked_joints([*sealed.values(), live])
