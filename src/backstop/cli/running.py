"""What the commands that run something share: refusals as messages, progress on standard error, the
exit code.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK
from backstop.files import named_errors, told
from backstop.printing import counted, printable, shown_name

if TYPE_CHECKING:
    from backstop.journal import JournalDamaged
    from backstop.runs.cases import Case
    from backstop.runs.replay import Progress, ReplayResult

__all__ = [
    "STANDARD_OUTPUT",
    "Switch",
    "checked_output",
    "checked_report",
    "exit_code_of",
    "parsed_time_ns",
    "checked_journal",
    "refusals",
    "refuse_inputs",
    "run_case",
    "say",
    "shown_progress",
    "tell",
    "tell_json",
    "wrong_usage",
]

#: Where there is no terminal, a line of progress as often as this [s].
_LINE_EVERY = 10.0


#: What an error calls it that data for people or programs cannot be written.
STANDARD_OUTPUT = Path("standard output")


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def say(text: str) -> None:
    """Tell the person at the terminal something that is not data; letters that would steer the
    terminal are escaped.
    """
    typer.echo(printable(text), err=True)


def wrong_usage(message: str, option: str) -> typer.BadParameter:
    """Return the error of an option; what it quotes may be a file's."""
    return typer.BadParameter(printable(message), param_hint=option)


def tell(text: str) -> None:
    """Print data for people; letters that would steer the terminal are escaped."""
    with named_errors(STANDARD_OUTPUT):
        typer.echo(printable(text))


def tell_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON object: in ASCII, so that no letter of it steers a terminal."""
    with named_errors(STANDARD_OUTPUT):
        typer.echo(json.dumps(value, indent=indent).replace("\x7f", "\\u007f"))


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an unusable input or output into a message and an exit code, the same for every command.

    1 for a file that is missing or refused, a full disk, an overflow; for a journal that is damaged
    or none as ``_code_of`` says.
    """
    from backstop.config import ConfigError, SeveralAssetsError
    from backstop.feeds.errors import FeedError
    from backstop.journal import JournalDamaged, JournalError
    from backstop.markets.population import PopulationError
    from backstop.markets.scenarios import ScenarioError

    try:
        yield
    except (ConfigError, FeedError, JournalError, PopulationError, ScenarioError, SeveralAssetsError) as error:
        message = str(error)
    except OverflowError as error:
        message = f"the engine stopped: {error}"
    except BrokenPipeError:
        raise  # the reader of the pipe is gone: `main` ends silently
    except OSError as error:
        message = told(error)
    except JournalDamaged as error:
        say(f"error: {error}")
        _hint(error)
        raise typer.Exit(_code_of(error)) from None
    else:
        return
    for line in message.splitlines():
        say(f"error: {line}")
    raise typer.Exit(FAILED)


def _code_of(error: JournalDamaged) -> int:
    """Return 1 if the file could not be read, 3 if a sound record differs from its replay,
    otherwise 4.
    """
    from backstop.journal import FindingCode
    from backstop.journal.findings import DIFFERENCES

    if error.finding.code == FindingCode.UNREADABLE:
        return FAILED
    return INVARIANT if error.finding.code in DIFFERENCES else FINDING


def _hint(error: JournalDamaged) -> None:
    from backstop.journal import FindingCode

    if error.finding.code == FindingCode.END_MISSING:
        say("its run was stopped, or is still running: `backstop replay --resume` brings one that was stopped to its end")
        say("the journal of an `Engine` has no end: `backstop journal seal` ends a segment of one that no process writes")


def parsed_time_ns(text: str | None, option: str) -> int | None:
    """Return the time of an option in nanoseconds, or None where it was not given."""
    from backstop.feeds.columns import time_ns_of

    if text is None:
        return None
    try:
        return time_ns_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from None


def warm_up() -> float:
    """Compile the kernels if that has not been done, announced; return the seconds."""
    from backstop.runs.warmup import is_warm, warm

    if not is_warm():
        say("compiling the engine for this machine, once: under a minute")
    seconds = warm()
    if seconds:
        say(f"compiled in {seconds:.0f} s")
    return seconds


def run_case(case: Case, title: str, *, report: Path | None = None, command: str = "", **options: Any) -> ReplayResult:
    """Replay a case with progress on standard error; write a report of it, if one is asked for."""
    from backstop.runs.replay import replay_case

    if report is None:
        with shown_progress() as progress:
            return _told(replay_case(case, progress=progress, command=command, **options))
    from backstop.report import Gathering, facts_of_result, write_report

    gathering = Gathering(case.venue)
    with shown_progress() as progress:
        result = _told(replay_case(case, progress=progress, command=command, tally=gathering.tally, **options))
    size = write_report(report, gathering, facts_of_result(result, title, command, case.names.accounts))
    say(f"report: {report}, {counted(size, 'byte')}")
    return result


def _told(result: ReplayResult) -> ReplayResult:
    """Say where the files put accounts into default, and where a run was not run: its journal had its
    end already.
    """
    opening = result.at_opening
    if opening.accounts:
        more = f" and {opening.accounts - len(opening.named):,} more" if opening.accounts > len(opening.named) else ""
        are = "is" if opening.accounts == 1 else "are"
        named = ", ".join(map(shown_name, opening.named))
        say(f"warning: {counted(opening.accounts, 'account')} {are} below maintenance margin at the first marks: {named}{more}")
    if result.journal is not None and result.journal.get("had_ended"):
        say(f"note: {result.journal['path']} holds the whole run: its result was worked out again, and nothing was written to it")
    return result


def checked_output(path: Path | None, *, has_company: bool = False) -> Path | None:
    """Return where a file will be written; say before the work, not after it, that it cannot be.

    No folder is made for it.

    ``has_company``: while it is written there are others beside it (a page's first copy, a
    journal's log), even if it exists already.
    """
    if path is None:
        return None
    if path.is_dir():
        message = f"{path} is a folder: name a file"
    elif not path.parent.is_dir():
        message = f"{path}: there is no folder {path.parent}: make it first"
    elif path.exists() and not os.access(path, os.W_OK):
        message = f"{path}: no permission to write to it"
    elif (has_company or not path.exists()) and not os.access(path.parent, os.W_OK):
        message = f"{path}: no permission to write in {path.parent}"
    else:
        return path
    say(f"error: {message}")
    raise typer.Exit(FAILED)


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path | None], option: str) -> None:
    """Refuse an output that is one of the files to read, by whatever name or link.

    Raises ``typer.BadParameter``.
    """
    read = {mark: path for path in inputs if path is not None and (mark := _mark(path)) is not None}
    for output in outputs:
        mark = _mark(output)
        if mark in read:
            raise wrong_usage(f"{output} is {read[mark]}, which is to be read: name another file", option)


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from every other; None where there is none."""
    try:
        held = path.stat()
    except OSError:
        return None
    return held.st_dev, held.st_ino


def checked_journal(
    path: Path | None, *, inputs: Iterable[Path | None], option: str, overwrite: bool = False, resume: bool = False
) -> None:
    """Say before the run why its journal cannot be written there: what is there is looked at, and
    left alone.
    """
    if path is None:
        return
    checked_output(path, has_company=True)
    with refusals():
        from backstop.journal.place import Place, Standing, companions_of, standing_at

        place = Place(path)
        refuse_inputs((path, *companions_of(path), place.new), inputs, option)
        standing = standing_at(path)
        if resume and standing in (Standing.JOURNAL, Standing.FOREIGN):
            return
        if standing is not Standing.NOTHING and not overwrite and not resume:
            say(f"error: {path} exists: choose another path, or replace it with --force; --resume goes on with a run that was killed")
            raise typer.Exit(FAILED)
        place.check(overwrite=overwrite, resume=resume)
        if resume:
            what = "does not exist" if standing is Standing.NOTHING else "was left before its run began"
            say(f"note: {path} {what}: the run starts from the beginning")


def checked_report(path: Path | None) -> None:
    """Say before the work that a report cannot be written there: it replaces an older report, and
    nothing else.
    """
    if path is None:
        return
    checked_output(path, has_company=True)
    with refusals():
        from backstop.report import checked_place

        checked_place(path)


@contextmanager
def shown_progress(done_word: str = "replayed") -> Iterator[Progress]:
    """Show how far events have come: a bar at a terminal, else a line now and then."""
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
        return
    last = time.monotonic()

    def line(done: int, total: int, time_ns: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            say(f"{done_word} {done:,} of {counted(total, 'event')}, {_short(time_ns)}")

    yield line


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=None)

        def show(done: int, total: int, time_ns: int) -> None:
            bar.update(task, completed=done, total=total, description=_short(time_ns))

        yield show


def _short(time_ns: int) -> str:
    from backstop.feeds.columns import time_text

    return time_text(time_ns - time_ns % 1_000_000_000)


def exit_code_of(result: ReplayResult) -> int:
    """Return 3 where conservation is broken, 4 where a deficit was left uncovered, else 0."""
    if not result.conservation.holds:
        return INVARIANT
    return FINDING if result.tally.uncovered_atoms else OK
