"""``backstop report``: the page of a run, from its journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK
from backstop.cli.running import checked_report, refusals, say, shown_progress

__all__ = ["app"]

app = typer.Typer()


@app.command("report")
def report(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="The journal of the run.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write the page (HTML).", show_default=False)],
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the page; by default that of the run.", show_default=False)] = "",
) -> None:
    """Write the report of a run from its journal: one HTML page, the one that the run itself writes with --report.

    Exits with 0 if it was written, 1 if the journal cannot be read or the page not be written, 2 on wrong usage, 3 if it was
    written and shows that something was made or lost, 4 if the journal is damaged or has no end: nothing is written then.
    """
    from backstop.journal import FindingCode, JournalDamaged

    checked_report(output, "--output")
    if output.exists() and journal.exists() and output.samefile(journal):
        raise typer.BadParameter(f"{output} is the journal: name another file", param_hint="--output")
    with refusals():
        from backstop.lab.report import gather_journal, write_report

        try:
            with shown_progress("read") as progress:
                gathering, facts = gather_journal(journal, title, progress)
        except (FileNotFoundError, IsADirectoryError) as error:
            say(f"error: {error}")
            raise typer.Exit(FAILED) from None
        except JournalDamaged as error:
            say(f"error: {error}")
            if error.finding.code == FindingCode.END_MISSING:
                say("its run was stopped, or is still running: `backstop replay --resume` brings one that was stopped to its end")
            raise typer.Exit(FAILED if error.finding.code == FindingCode.UNREADABLE else FINDING) from None
        size = write_report(output, gathering, facts)
    say(f"report: {output}, {size:,} bytes")
    raise typer.Exit(OK if gathering.conserves else INVARIANT)
