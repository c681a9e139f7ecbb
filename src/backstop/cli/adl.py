"""``backstop adl``: look at auto-deleveraging."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.cli.exits import FAILED, FINDING
from backstop.cli.running import STANDARD_OUTPUT, checked_output, refusals, refuse_inputs, say, tell_json, warm_up
from backstop.files import checked_file, named_errors
from backstop.printing import one_line

if TYPE_CHECKING:
    from backstop.comparison.compare import Comparison

__all__ = ["app"]

app = typer.Typer(name="adl", help="Look at auto-deleveraging.", no_args_is_help=True)

#: Payers that the table names.
_SHOWN = 5
#: A longer name is shortened there; --json has it whole.
_NAME_MAX = 24


@app.callback()
def adl() -> None:
    """Look at auto-deleveraging."""


@app.command()
def compare(
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help="A journal; the wave is one of its events.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Accounts, CSV or Parquet: account, weight, cap; also score, size, leverage where known."),
    ] = None,
    budget: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Money to share over the table's accounts.")] = None,
    seq: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="The event of the journal; by default the largest wave. With a table: seq of the random draw."
        ),
    ] = None,
    asset: Annotated[str, typer.Option(metavar="NAME", help="Name of the table's money.")] = "USD",
    decimals: Annotated[int, typer.Option(min=0, max=12, help="Decimals of the table's money: an atom.")] = 6,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw who pays, as PNG, SVG or PDF (needs matplotlib).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run one ADL wave under each policy, and show the payers.

    A journal's event is run again from the state before it. A table's accounts share a budget of
    money: each pays min(cap, eta x weight), or, under queue and random, whole caps in order.

    Exits with 0 if all is well, 1 if a file cannot be read, was refused or holds no wave, 2 on
    wrong usage, 4 if an allocation is not exact or its certificate not sound, or the journal is
    damaged or is not a journal.
    """
    if (journal is None) == (table is None):
        raise typer.BadParameter("give either --journal, or --table and --budget")
    if (table is None) != (budget is None):
        raise typer.BadParameter("--table and --budget go together")
    amount = None if budget is None else _amount(budget)
    checked_output(plot, has_company=True)
    if plot is not None:
        refuse_inputs((plot,), (journal, table), "--plot")
        with refusals():
            checked_file(plot)
    if journal is not None:
        warm_up()
    with refusals():
        comparison = _compared(journal, table, amount, seq, asset, decimals)
        if plot is not None:
            _draw(comparison, plot)
    if as_json:
        tell_json(comparison.as_json())
    else:
        _print(comparison)
    raise typer.Exit(0 if comparison.is_sound else FINDING)


def _amount(text: str) -> Decimal:
    from backstop.feeds.columns import decimal_of

    try:
        return decimal_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}", param_hint="--budget") from None


def _compared(journal: Path | None, table: Path | None, budget: Decimal | None, seq: int | None, asset: str, decimals: int) -> Comparison:
    from backstop.comparison.budget import read_budget_table
    from backstop.comparison.compare import NoWaveError, compare_table, compare_wave
    from backstop.config.quantise import OffGridError, steps_of

    try:
        if journal is not None:
            return compare_wave(journal, seq)
        assert table is not None
        assert budget is not None
        atoms = steps_of(budget, Decimal(1).scaleb(-decimals))
        return compare_table(read_budget_table(table, asset, decimals), atoms, seq or 0, table.name)
    except OffGridError as error:
        raise typer.BadParameter(str(error), param_hint="--budget") from None
    except NoWaveError as error:
        say(f"error: {error}")
        raise typer.Exit(FAILED) from None


def _draw(comparison: Comparison, path: Path) -> None:
    from backstop.comparison.picture import PictureError, draw_comparison

    try:
        draw_comparison(comparison, path)
    except PictureError as error:
        say(f"error: {error}")
        raise typer.Exit(FAILED) from None
    say(f"written {path}")


@named_errors(STANDARD_OUTPUT)
def _print(comparison: Comparison) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    # Without a terminal nothing is cut to its width.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(one_line(f"ADL of {comparison.title}"), style="bold", highlight=False, markup=False)
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("policy")
    for title in ("payers", f"given [{comparison.asset}]", f"paid [{comparison.asset}]", "largest", "top 10", "exact", "certificate"):
        table.add_column(one_line(title).replace("[", r"\["), justify="right")
    for outcome in comparison.outcomes:
        table.add_row(
            outcome.policy.name.lower(),
            f"{len(outcome.parts):,}",
            comparison.text(sum(outcome.parts.values())),
            comparison.text(sum(outcome.paid.values())),
            _percent(outcome.largest[1], outcome.budget),
            _percent(outcome.top(), outcome.budget),
            "yes" if outcome.is_exact else "NO",
            "sound" if not outcome.findings else f"{len(outcome.findings)} findings",
        )
    console.print(table)
    for outcome in comparison.outcomes:
        ranked = sorted(outcome.parts.items(), key=lambda item: -item[1])[:_SHOWN]
        who = ", ".join(f"{one_line(_shortened(name))} {_percent(part, outcome.budget)}" for name, part in ranked)
        console.print(f"{outcome.policy.name.lower():<16}{who}", highlight=False, markup=False, soft_wrap=True)
        for finding in outcome.findings:
            console.print(one_line(f"  found  {finding}"), highlight=False, markup=False, soft_wrap=True)
    given = f"given is {comparison.measure}"
    for note in (given if comparison.candidates is None else f"{given}; {comparison.candidates:,} could have paid", *comparison.notes):
        console.print(one_line(f"note  {note}"), highlight=False, markup=False, soft_wrap=True)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_MAX else f"{name[:8]}…{name[-6:]}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"
