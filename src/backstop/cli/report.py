"""``backstop report``: the page of a run, from its journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backstop.cli.exits import INVARIANT, OK
from backstop.cli.running import checked_report, refusals, say, shown_progress
from backstop.printing import counted

__all__ = ["app"]

app = typer.Typer()


@app.command("report")
def report(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="The journal of the run.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write the page to (HTML).", show_default=False)],
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the page; by default that of the run.", show_default=False)] = "",
) -> None:
    """Write the report of a run from its journal: one HTML page, the one that the run itself writes
    with --report.

    A report that is there is replaced; any other file is refused. A link is followed.

    Exits with 0 if it was written, 1 if the journal cannot be read or the page not be written, 2 on
    wrong usage, 3 if it was written and shows that something was made or lost, 4 if the journal is
    damaged, has no end or is no journal: nothing is written then.
    """
    if output.exists() and journal.exists() and output.samefile(journal):
        raise typer.BadParameter(f"{output} is the journal: name another file", param_hint="--output")
    checked_report(output)
    with refusals():
        from backstop.report import gather_journal, write_report

        with shown_progress("read") as progress:
            gathering, facts = gather_journal(journal, title, progress)
        size = write_report(output, gathering, facts)
    say(f"report: {output}, {counted(size, 'byte')}")
    raise typer.Exit(OK if gathering.conserves else INVARIANT)
