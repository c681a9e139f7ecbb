"""``backstop replay``: recorded prices and accounts through the whole engine.

Gathers its sister commands.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli.demo import demo
from backstop.cli.importing import import_bars
from backstop.cli.outcome import print_result
from backstop.cli.running import (
    Switch,
    checked_journal,
    checked_report,
    exit_code_of,
    parsed_time_ns,
    refusals,
    run_case,
    say,
    tell_json,
    warm_up,
)
from backstop.printing import counted, shown_name

if TYPE_CHECKING:
    from backstop.config import Venue
    from backstop.feeds.prices import Prices
    from backstop.runs.cases import Case

__all__ = ["app"]

app = typer.Typer()
app.command("demo")(demo)
app.command("import")(import_bars)


@app.command("replay")
def replay(
    venue: Annotated[Path, typer.Option(metavar="FILE", help="The venue (TOML).", show_default=False)],
    prices: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Prices, Parquet or CSV: time, market, and mark or open, high, low, close. May be repeated.",
            show_default=False,
        ),
    ],
    accounts: Annotated[Path | None, typer.Option(metavar="FILE", help="Positions: account, owner, market, quantity, entry_price.")] = None,
    collateral: Annotated[Path | None, typer.Option(metavar="FILE", help="Collateral: account, asset, amount.")] = None,
    population: Annotated[Path | None, typer.Option(metavar="FILE", help="A seeded population (TOML) instead of accounts.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Leave out prices before this time.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Leave out prices from this time on.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the population.")] = 1,
    impact: Annotated[Switch, typer.Option(help="Whether closing orders move later marks.")] = Switch.OFF,
    steps: Annotated[int, typer.Option(min=4, max=3600, help="Marks that a bar is walked in.")] = 30,
    timeframe: Annotated[
        str | None, typer.Option(metavar="T", help="Span of the bars, as in 5m; by default each market's commonest spacing.")
    ] = None,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep a journal here; by default none is kept.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a journal that is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the journal of the same run that was killed.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report here: one HTML page. Replaces a report only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run recorded prices through the engine; show the defaults, the work of each stage, and the
    payers.

    Exits with 0 if all is well, 1 if a file was refused or cannot be written, 2 on wrong usage, 3
    if an invariant was violated, 4 if a deficit was left uncovered, or the journal to go on with is
    damaged or none.
    """
    if (population is None) == (accounts is None):
        raise typer.BadParameter("give either --accounts and --collateral, or --population")
    if (accounts is None) != (collateral is None):
        raise typer.BadParameter("--accounts and --collateral go together")
    span_ns = _timeframe_ns(timeframe)
    start_ns, end_ns = parsed_time_ns(start, "--start"), parsed_time_ns(end, "--end")
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise typer.BadParameter(f"{end}: must be after --start", param_hint="--end")
    if resume and (journal is None or force):
        raise typer.BadParameter("needs --journal, and no --force", param_hint="--resume")
    if report is not None and journal is not None and os.path.realpath(report) == os.path.realpath(journal):
        raise typer.BadParameter("is the journal too: name two files", param_hint="--report")
    checked_report(report)
    inputs = [venue, *prices, accounts, collateral, population]
    checked_journal(journal, inputs=inputs, option="--journal", overwrite=force, resume=resume)
    with refusals():
        from backstop.config import load_venue
        from backstop.feeds.prices import read_prices
        from backstop.runs.cases import hashed_inputs, title_of

        resolved = load_venue(venue)
        for warning in resolved.warnings:
            say(f"{venue}: warning: {warning}")
        with hashed_inputs(prices=prices, accounts=[accounts], collateral=[collateral], population=[population]) as details:
            read = read_prices(prices, resolved, steps=steps, timeframe_ns=span_ns, start_ns=start_ns, end_ns=end_ns)
            case = _case(resolved, read, accounts, collateral, population, seed)
        case.details.update(details)
        _say_report(case)
        warm_up()
        command = shlex.join(["backstop", *sys.argv[1:]])
        title = title_of(resolved, {**case.details, "impact": impact.value})
        options: dict[str, Any] = {"impact": impact is Switch.ON, "journal_path": journal, "overwrite": force, "command": command}
        result = run_case(case, title, report=report, resume=resume, **options)
    if as_json:
        tell_json(result.as_json())
    else:
        print_result(result, title)
    raise typer.Exit(exit_code_of(result))


def _timeframe_ns(text: str | None) -> int | None:
    from backstop.feeds.columns import duration_ns_of

    if text is None:
        return None
    try:
        return duration_ns_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint="--timeframe") from None


def _case(venue: Venue, prices: Prices, accounts: Path | None, collateral: Path | None, population: Path | None, seed: int) -> Case:
    from backstop.feeds.accounts import read_accounts
    from backstop.markets.population import load_parameters
    from backstop.runs.cases import case_of_book, case_of_population

    if accounts is not None and collateral is not None:
        return case_of_book(venue, prices, read_accounts(accounts, collateral, venue))
    assert population is not None
    return case_of_population(venue, prices, load_parameters(population), seed)


def _say_report(case: Case) -> None:
    """Report the rows that were read and the values that did not fit: nothing is rounded, widened
    or cut unseen.
    """
    from backstop.feeds.columns import time_text
    from backstop.feeds.table import names_text

    report = case.prices.report
    cut = f", {report.rows_cut:,} outside of --start and --end" if report.rows_cut else ""
    read = f"{counted(report.rows, 'row')}{cut}, {counted(len(case.prices.events), 'event')}"
    say(f"prices: {read}, {time_text(case.prices.start_ns)} on")
    for warning in report.warnings:
        say(f"warning: {warning}")
    if report.columns_ignored:
        say(f"prices: columns not used: {names_text(report.columns_ignored)}")
    for market in case.prices.markets.values():
        words = []
        if market.bars_widened:
            words.append(f"{counted(market.bars_widened, 'bar')} widened to hold open and close")
        if market.bars_missing:
            words.append(f"{counted(market.bars_missing, 'bar')} missing")
        if market.prices_rounded:
            words.append(f"{counted(market.prices_rounded, 'price')} off the tick, moved by at most {market.price_error_max}")
        if market.volumes_rounded:
            words.append(f"{counted(market.volumes_rounded, 'volume')} rounded down to lots")
        if market.first_ns > case.prices.start_ns:
            words.append(f"first price at {time_text(market.first_ns)}, used from the start")
        if words:
            say(f"prices: {shown_name(market.symbol)}: {'; '.join(words)}")
    accounts = case.accounts_report
    owners, positions = counted(accounts["owners"], "owner"), counted(accounts["positions"], "position")
    say(f"accounts: {accounts['accounts']:,}, belonging to {owners}, with {positions}")
    if accounts.get("accounts_without_collateral"):
        bare = counted(accounts["accounts_without_collateral"], "account")
        say(f"warning: {bare} without collateral: opened with a balance of 0")
    for name, noun in (("costs_rounded", ("cost",)), ("collateral_rounded", ("amount of collateral", "amounts of collateral"))):
        if accounts.get(name):
            error = accounts["cost_error_max" if name == "costs_rounded" else "collateral_error_max"]
            unit = f" {case.venue.asset.name}" if len(case.venue.assets) == 1 else ""
            say(f"accounts: {counted(accounts[name], *noun)} rounded to the atom, by at most {error}{unit}")
    for number, lots in case.opening_imbalance.items():
        market_spec = case.venue.markets[number]
        say(f"accounts: {shown_name(market_spec.symbol)} does not net: traders outside of the files hold {market_spec.quantity_text(lots)}")
