"""``backstop explain``: the reasons for each decision about an account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backstop.cli.exits import INVARIANT, OK
from backstop.cli.running import refusals, tell, tell_json, warm_up

__all__ = ["app"]

app = typer.Typer()


@app.command("explain")
def explain(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name or number of the account.", show_default=False)],
    journal: Annotated[Path, typer.Option(metavar="FILE", help="The journal of the run.", show_default=False)],
    at: Annotated[int | None, typer.Option(min=0, metavar="SEQ", help="Only the event of this seq.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Explain each decision about an account, from the journal alone: every number is worked out
    again and compared.

    Exits with 0 if all numbers agree, 1 if the journal cannot be read or does not know the account,
    2 on wrong usage, 3 if a number differs from the journal, 4 if the journal is damaged or the
    file is not a journal.
    """
    warm_up()
    with refusals():
        from backstop.explain import as_json as object_of
        from backstop.explain import as_text
        from backstop.explain import explain as explanation_of

        found = explanation_of(journal, account, at)
    if as_json:
        tell_json(object_of(found))
    else:
        tell(as_text(found))
    raise typer.Exit(INVARIANT if found.checks_failed else OK)
