"""``backstop journal segments``, ``prune``, ``backup``, ``seal`` and ``upgrade``: a journal over
years.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli.running import refusals, refuse_inputs, say, tell, tell_json, warm_up
from backstop.printing import counted

if TYPE_CHECKING:
    from backstop.journal.segments import Segment

__all__ = ["backup", "prune", "seal", "segments", "upgrade"]

File = Annotated[Path, typer.Argument(help="The journal: its live segment.", metavar="FILE", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

#: Where there is no terminal, a line of progress as often as this [s].
_LINE_EVERY = 10.0


def segments(file: File, as_json: AsJson = False) -> None:
    """List the segments of a journal that are here, oldest first.

    Reads what each says of itself, and checks nothing. Exits with 0, 1 if a file cannot be read, 2
    on wrong usage, 4 if one is damaged or is no journal.
    """
    from backstop.journal.segments import segments_of

    with refusals():
        found = segments_of(file)
    if as_json:
        tell_json({"path": str(file), "segments": [_as_object(each) for each in found]})
    else:
        tell("\n".join(map(_line, found)))


def prune(
    file: File,
    keep: Annotated[int, typer.Option(min=0, metavar="COUNT", help="Newest sealed segments to keep.", show_default=False)],
    is_trial: Annotated[bool, typer.Option("--dry-run", help="Say which would be removed, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the oldest sealed segments of a journal, all but the newest COUNT.

    The live segment is never removed: recovery needs it and nothing else. Nothing is removed where
    the live segment is damaged or begins with a snapshot that this version cannot use, where a
    segment is missing between others, or where one does not belong to the journal. A journal that
    is being written may be pruned.

    Exits with 0, 1 if something stands against it, 2 on wrong usage, 4 if a segment is damaged.
    """
    from backstop.journal.pruning import prune as pruned

    with refusals():
        found = pruned(file, keep, _shown("checked", "segments"), is_trial=is_trial)
    if as_json:
        lists = {"removed": [_as_object(each) for each in found.removed], "kept": [_as_object(each) for each in found.kept]}
        tell_json({"path": str(file), "dry_run": is_trial, **lists, "live": _as_object(found.live)})
        return
    verb = "would be removed" if is_trial else "removed"
    for each in found.removed:
        tell(f"{verb}: {_line(each)}")
    tell(f"{counted(len(found.removed), 'sealed segment')} {verb}, {len(found.kept)} kept; the journal begins with batch {_first(found)}")


def _first(found: Any) -> int:
    return int((*found.kept, found.live)[0].first_batch)


def backup(
    file: File,
    dest: Annotated[Path, typer.Argument(help="Where the copy of the live segment goes.", metavar="DEST", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Copy a journal, also one that is being written, as it is at one moment.

    The live segment goes to DEST, sealed ones beside it as `DEST.000001` and so on. The copy is a
    journal: verify it, or take it up. An earlier copy is brought up to date: sealed segments that
    are there already are not copied again.

    Exits with 0, 1 if something else stands at DEST or it cannot be written, 2 on wrong usage, 4 if
    the journal is damaged.
    """
    from backstop.journal.backup import back_up

    refuse_inputs((dest,), (file,), "DEST")
    with refusals():
        done = back_up(file, dest, _shown("copied", "bytes"))
    if as_json:
        tell_json({**done._asdict(), "path": str(done.path), "copied": list(done.copied), "kept": list(done.kept)})
        return
    tell(f"copied {counted(done.bytes, 'byte')} to {done.path}: live segment {done.segment}, up to batch {done.batches:,}")
    tell(f"sealed segments: {len(done.copied)} copied now, {len(done.kept)} stood there already")
    tell(f"chain     {done.chain}")


def seal(file: File, as_json: AsJson = False) -> None:
    """End the live segment of a journal that no process writes, and begin the next with a snapshot.

    Do this with the old version before an upgrade: the new version then has nothing to replay.
    Exits with 0, 1 if the journal is written, closed or of a replay, 2 on wrong usage, 3 if its
    replay differs, 4 if it is damaged.
    """
    from backstop.journal.segments import segments_of
    from backstop.journal.upgrading import seal as sealed

    warm_up()
    with refusals():
        found = sealed(file)
        found.journal.abandon()
        for finding in found.findings:
            say(f"note: {finding}")
        for quarantine in found.quarantined:
            say(f"note: {quarantine}")
        last = segments_of(file)[-1]
    _tell_begun(file, last, as_json=as_json, events=found.events_replayed)


def upgrade(file: File, as_json: AsJson = False) -> None:
    """Go on with a journal that another version wrote: a new segment, with a record of the upgrade.

    The last snapshot of the old version is read by the names of its fields. Under the same rules
    the events after it are replayed and compared; under other rules there must be none, so `seal`
    it with the old version first.

    Exits with 0, 1 if it cannot be upgraded, and why, 2 on wrong usage, 3 if its replay differs, 4
    if it is damaged.
    """
    from backstop.journal.segments import segments_of
    from backstop.journal.upgrading import upgrade as upgraded

    warm_up()
    with refusals():
        found = upgraded(file)
        found.journal.abandon()
        last = segments_of(file)[-1]
    _tell_begun(file, last, as_json=as_json, events=found.events_replayed)


def _tell_begun(file: Path, last: Segment, *, as_json: bool, events: int) -> None:
    if as_json:
        tell_json({"path": str(file), "events_replayed": events, "live": _as_object(last)})
    else:
        replayed = counted(events, "event")
        tell(f"segment {last.number} begins behind batch {last.first_batch - 1:,}; replayed and compared: {replayed}")


def _as_object(segment: Segment) -> dict[str, Any]:
    return {**segment._asdict(), "path": str(segment.path)}


def _line(segment: Segment) -> str:
    state = "sealed" if segment.is_sealed else "live"
    first, last = segment.first_batch, segment.last_batch
    batches = f"batches {first:,} to {last:,}" if first < last else f"batch {first:,}" if first == last else "no batch yet"
    size = f"{counted(segment.events, 'event')}, {counted(segment.bytes, 'byte')}"
    return f"{segment.path.name}: segment {segment.number}, {state}, {batches}, {size}, rules version {segment.rules_version}"


def _shown(verb: str, noun: str) -> Callable[[int, int], None]:
    """Return the teller of progress on standard error: a line that overwrites itself at a terminal,
    else one now and then.
    """
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if sys.stderr.isatty():
            typer.echo(f"\r{verb} {done:,} of {total:,} {noun}", err=True, nl=done >= total)
        elif time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            say(f"{verb} {done:,} of {total:,} {noun}")

    return show
