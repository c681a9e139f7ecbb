"""``backstop journal``: look at the durable tape of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK, USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from backstop.journal.verify import Report

__all__ = ["app"]

app = typer.Typer(name="journal", help="Look at the durable tape of a run.", no_args_is_help=True)

#: Hex digits of a kept head that are enough to tell it from every other.
_HEAD_MIN = 16


@app.callback()
def journal() -> None:
    """Look at the durable tape of a run."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="Journal to verify.", metavar="FILE", show_default=False)],
    head: Annotated[
        str | None, typer.Option(metavar="CHAIN", help="A chain that you kept: the journal must hold it. Hex, at least 16 digits.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a journal's file and chain, replay it, and compare every effect and state digest.

    Exits with 0 if all agrees, 1 if the file cannot be read, 2 on wrong usage, 3 if a sound record
    differs from its replay, 4 if the file is damaged or is no journal.
    """
    from backstop.journal.verify import verify as verify_journal

    if head is not None and (len(head) < _HEAD_MIN or set(head.lower()) - set("0123456789abcdef")):
        raise typer.BadParameter(f"{head!r}: must be at least {_HEAD_MIN} hex digits", param_hint="--head")
    bar = _progress_bar()
    try:
        report = verify_journal(file, bar, head=head)
    except (FileNotFoundError, IsADirectoryError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE) from None
    finally:
        if bar is not None:
            typer.echo(err=True)
    typer.echo(json.dumps(_as_object(report), indent=2) if as_json else _as_text(report))
    raise typer.Exit(report.exit_code)


def _progress_bar() -> Callable[[int, int], None] | None:
    """Return what writes the progress over itself, where a person looks on."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        typer.echo(f"\rverified {done:,} of {total:,} events", err=True, nl=False)

    return show


def _as_object(report: Report) -> dict[str, Any]:
    findings = [{"code": finding.name, "place": finding.place, "message": finding.message} for finding in report.findings]
    fields = {**report._asdict(), "findings": findings, "notes": list(report.notes)}
    ok = report.exit_code == OK
    # ``digest`` and ``chain`` are as recorded; of a file with findings they prove nothing.
    return {"ok": ok, "exit_code": report.exit_code, **fields, "trusted": ok}


def _as_text(report: Report) -> str:
    lines = [f"journal   {report.path}"]
    if report.chain is not None or report.batches:
        lines += [
            f"written   {report.created} by version {report.code_version}",
            f"venue     {report.venue_hash}",
            f"holds     {report.batches:,} batches, {report.events:,} events, {report.effects:,} effects, {_end(report)}",
            f"replayed  {report.events_replayed:,} events, {report.digests_compared:,} digests compared",
            f"snapshots {report.snapshots_compared:,} compared",
            f"digest    {_trusted(report, report.digest)}",
            f"chain     {_trusted(report, report.chain)}",
        ]
    lines += [f"note      {note}" for note in report.notes]
    lines += [f"found     {finding}" for finding in report.findings]
    lines.append(f"result    {_result(report)}")
    return _printable("\n".join(lines))


def _trusted(report: Report, number: str | None) -> str:
    """Show a number of the record; of a file with findings it is no proof of anything."""
    if number is None:
        return "none"
    return number if report.exit_code == OK else f"{number}  (as recorded: do not rely on it, see below)"


def _end(report: Report) -> str:
    return "closed" if report.is_closed else "not closed"


def _result(report: Report) -> str:
    said = {
        OK: "ok: nothing is changed, and the engine gives every effect and digest again",
        FAILED: "the file cannot be read",
        INVARIANT: "INV-12 violated: the record is sound, but its replay differs",
        FINDING: "the file is damaged, incomplete or no journal",
    }
    return said[report.exit_code]


def _printable(text: str) -> str:
    """Show bytes that are no text as escapes: a damaged file must not break the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
