"""``backstop fund``: look at the insurance funds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.cli.outcome import grouped
from backstop.cli.running import refusals, tell, tell_json, wrong_usage
from backstop.printing import counted, shown_name

if TYPE_CHECKING:
    from backstop.runs.statement import Line, Statement

__all__ = ["app"]

#: Lines printed per fund; the JSON has all.
_LINES_SHOWN = 40

app = typer.Typer(name="fund", help="Look at the insurance funds.", no_args_is_help=True)


@app.callback()
def fund() -> None:
    """Look at the insurance funds."""


@app.command()
def statement(
    journal: Annotated[Path, typer.Option(metavar="FILE", help="The journal of the run.", show_default=False)],
    group: Annotated[str | None, typer.Option(metavar="NAME", help="The fund of this market group; by default of every group.")] = None,
    by: Annotated[str, typer.Option(metavar="cause|market|account", help="Group the movements by this as well as by cause.")] = "cause",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print each insurance fund's opening balance, its movements by cause, its closing balance, its
    peak and its drawdown.

    Everything comes from the postings of the journal. The opening is the balance when the first
    account opened.

    Exits with 0 if all is well, 1 if the journal cannot be read, 2 on wrong usage, 4 if it is
    damaged or no journal.
    """
    if by not in ("cause", "market", "account"):
        raise typer.BadParameter(f"{by!r}: must be one of cause, market, account", param_hint="--by")
    with refusals():
        from backstop.runs.statement import By, statements_of

        statements = statements_of(journal)
    names = [each.group for each in statements]
    if group is not None and group not in names:
        raise wrong_usage(f"{group!r}: must be one of {', '.join(map(shown_name, names))}", "--group")
    chosen = [each for each in statements if group in (None, each.group)]
    if as_json:
        tell_json({"journal": str(journal), "funds": [each.as_json(By(by)) for each in chosen]})
        return
    tell("\n\n".join("\n".join(_text(each, By(by))) for each in chosen))


def _text(statement: Statement, by: str) -> Iterator[str]:
    from backstop.feeds.columns import time_text
    from backstop.runs.statement import By

    venue, asset = statement.venue, statement.asset
    lines = sorted(statement.lines(By(by)), key=lambda line: (line.cause, -abs(line.received - line.paid)))
    drawdowns = statement.drawdowns_ppm()
    nets = [line.received - line.paid for line in lines]
    money = [grouped(asset, atoms) for atoms in (statement.opening, statement.closing, statement.uncovered, *nets)]
    width = max(len(text) for text in money)
    yield f"{'fund':<17}{shown_name(statement.group)}, of {shown_name(venue.name)}, in {asset.name}"
    yield f"{'from':<17}{time_text(statement.start_ns)} to {time_text(statement.end_ns)}"
    yield f"{'opening':<17}{money[0]:>{width}}"
    for line in lines[:_LINES_SHOWN]:
        yield f"{line.cause.name.lower():<17}{grouped(asset, line.received - line.paid):>{width}}  {_parts(statement, line)}"
    if len(lines) > _LINES_SHOWN:
        yield f"{'':<17}and {counted(len(lines) - _LINES_SHOWN, 'line')} more (--json has all)"
    yield f"{'closing':<17}{money[1]:>{width}}"
    if statement.uncovered:
        yield f"{'uncovered':<17}{grouped(asset, statement.uncovered):>{width}}  of the group's losses, paid by nobody so far"
    if statement.funding_paid or statement.funding_got:
        paid, got = (grouped(asset, atoms) for atoms in (statement.funding_paid, statement.funding_got))
        left = grouped(asset, statement.funding_paid - statement.funding_got)
        yield f"{'funding':<17}by index in the group's markets, through no fund: {paid} paid, {got} received, {left} on its way"
    yield f"{'peak':<17}{grouped(asset, statement.peak.atoms):>{width}}  {time_text(statement.peak.time_ns)}"
    yield f"{'low':<17}{grouped(asset, statement.low.atoms):>{width}}  {time_text(statement.low.time_ns)}"
    yield f"{'drawdown':<17}{int(drawdowns[-1]) / 1e4:.2f} % at the end, {int(drawdowns.max()) / 1e4:.2f} % at most, of the peak until then"


def _parts(statement: Statement, line: Line) -> str:
    asset = statement.asset
    ways = [f"{grouped(asset, atoms)} {way}" for atoms, way in ((line.received, "in"), (line.paid, "out")) if atoms]
    about = f"{shown_name(line.about)}: " if line.about else ""
    return f"{about}{line.movements:,} {'movement' if line.movements == 1 else 'movements'}, {', '.join(ways)}"
