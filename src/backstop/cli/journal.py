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


@app.callback()
def journal() -> None:
    """Look at the durable tape of a run."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="Journal to verify.", metavar="FILE", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a journal's file and chain, replay it, and compare every effect and state digest.

    Exits with 0 if all agrees, 1 if the file cannot be read, 2 on wrong usage, 3 if a sound record
    differs from its replay, 4 if the file is damaged or is no journal.
    """
    from backstop.journal.verify import verify as verify_journal

    bar = _progress_bar()
    try:
        report = verify_journal(file, bar)
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
    findings = [{"code": finding.code.name.lower(), "place": finding.place, "message": finding.message} for finding in report.findings]
    fields = {**report._asdict(), "findings": findings}
    return {"ok": report.exit_code == 0, "exit_code": report.exit_code, **fields}


def _as_text(report: Report) -> str:
    lines = [f"journal   {report.path}"]
    if report.chain is not None or report.batches:
        lines += [
            f"written   {report.created} by version {report.code_version}",
            f"venue     {report.venue_hash}",
            f"holds     {report.batches:,} batches, {report.events:,} events, {report.effects:,} effects, {_end(report)}",
            f"replayed  {report.events_replayed:,} events, {report.digests_compared:,} digests compared",
            f"digest    {report.digest or 'none'}",
            f"chain     {report.chain or 'none'}",
        ]
    lines += [f"found     {finding}" for finding in report.findings]
    lines.append(f"result    {_result(report)}")
    return _printable("\n".join(lines))


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
