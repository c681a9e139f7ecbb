"""What the commands that run something share: refusals as messages, progress on standard error, the closing table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backstop.cli.exits import FAILED, FINDING, INVARIANT, OK

if TYPE_CHECKING:
    from backstop.config import Venue
    from backstop.lab.cases import Case
    from backstop.lab.replay import Progress, ReplayResult

__all__ = ["Switch", "checked_report", "exit_code_of", "parsed_time_ns", "print_result", "refusals", "run_case", "say"]

#: Where there is no terminal, a line of progress as often as this [s].
_LINE_EVERY = 10.0

_WHAT = {
    "restrict": "restricted",
    "closeout": "closed on the book",
    "fund": "insurance fund",
    "adl": "auto-deleveraged (ADL)",
    "tear_up": "torn up",
}


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def say(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    typer.echo(text, err=True)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refused file, a full disk or an overflow into a message and exit code 1."""
    from backstop.config import ConfigError
    from backstop.feeds.errors import FeedError
    from backstop.journal import JournalDamaged, JournalError
    from backstop.markets.population import PopulationError
    from backstop.markets.scenarios import ScenarioError

    try:
        yield
    except (ConfigError, FeedError, JournalDamaged, JournalError, PopulationError, ScenarioError) as error:
        message = str(error)
    except OverflowError as error:
        message = f"the engine stopped: {error}"
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        message = f"{place}{error.strerror or error}"
    else:
        return
    for line in message.splitlines():
        say(f"error: {line}")
    raise typer.Exit(FAILED)


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
    from backstop.compiled import COMPILED, cache_is_warm
    from backstop.lab.warmup import warm

    if COMPILED and not cache_is_warm():
        say("compiling the engine for this machine, once: a minute or two")
    seconds = warm()
    if seconds:
        say(f"compiled in {seconds:.0f} s")
    return seconds


def run_case(case: Case, title: str, *, report: Path | None = None, command: str = "", **options: Any) -> ReplayResult:
    """Replay a case with progress on standard error; write a report of it, if one is asked for."""
    from backstop.lab.replay import replay_case

    if report is None:
        with _progress() as progress:
            return replay_case(case, progress=progress, command=command, **options)
    from backstop.lab.report import Gathering, facts_of_result, write_report

    gathering = Gathering(case.venue)
    with _progress() as progress:
        result = replay_case(case, progress=progress, command=command, watch=gathering.add, **options)
    size = write_report(report, gathering, facts_of_result(result, title, command, case.names.accounts))
    say(f"report: {report}, {size:,} bytes")
    return result


def checked_report(path: Path | None) -> Path | None:
    """Return where a report goes; refuse a folder before the run, not after it."""
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder: name a file", param_hint="--report")
    return path


@contextmanager
def _progress() -> Iterator[Progress]:
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
        return
    last = time.monotonic()

    def line(done: int, total: int, time_ns: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            say(f"replayed {done:,} of {total:,} events, {_short(time_ns)}")

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


# The table


def print_result(result: ReplayResult, title: str) -> None:
    """Print what happened, stage by stage, who paid, and that nothing was lost."""
    from rich.console import Console
    from rich.table import Table

    asset = result.venue.asset
    # Without a terminal nothing is cut to its width.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(title, style="bold", highlight=False)
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("stage")
    table.add_column("")
    table.add_column("accounts", justify="right")
    table.add_column(f"notional [{asset.name}]".replace("[", r"\["), justify="right")
    table.add_column(f"paid [{asset.name}]".replace("[", r"\["), justify="right")
    table.add_row("", "defaults", f"{result.tally.defaults:,}", "", "")
    for row in result.tally.stages():
        name = row.stage.name.lower()
        notional = _grouped(result.venue, row.notional) if row.stage.name in ("CLOSEOUT", "ADL", "TEAR_UP") else ""
        paid = _grouped(result.venue, row.paid) if row.stage.name in ("FUND", "ADL") else ""
        table.add_row(name, _WHAT[name], f"{row.accounts:,}", notional, paid)
    table.add_row("", "uncovered", f"{result.tally.count('uncovered'):,}", "", _grouped(result.venue, result.tally.uncovered_atoms))
    table.add_row("", "deficit", "", "", _grouped(result.venue, result.tally.deficit_atoms), style="bold")
    console.print(table)
    for line in _facts(result):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _grouped(venue: Venue, atoms: int) -> str:
    """Return atoms as a decimal with all its digits and its thousands apart."""
    text = venue.asset.text(abs(atoms))
    whole, point, part = text.partition(".")
    return f"{'-' if atoms < 0 else ''}{int(whole):,}{point}{part}"


def _facts(result: ReplayResult) -> Iterator[str]:
    venue, tally = result.venue, result.tally
    name = venue.asset.name
    before, after = _grouped(venue, result.fund_opening_atoms), _grouped(venue, result.fund_closing_atoms)
    yield f"fund       {before} {name} before, {after} {name} after"
    yield f"           of which liquidation fees {_grouped(venue, tally.fees_atoms)} {name}"
    if tally.count("adl_counterparty"):
        yield f"adl        {tally.count('adl_counterparty'):,} counterparties gave {tally.adl_fills:,} fills"
    if tally.halted:
        yield f"halted     {', '.join(venue.markets[number].symbol for number in sorted(tally.halted))}"
    if tally.refused:
        yield f"refused    {', '.join(f'{count:,} {code.name.lower()}' for code, count in sorted(tally.refused.items()))}"
    yield from _conserved(result)
    yield f"events     {result.events:,} in, {tally.effects:,} effects out, of {result.accounts:,} accounts in {result.markets} markets"
    if result.journal is not None:
        yield f"journal    {result.journal['path']}, {result.journal['batches']:,} batches"
        yield from (f"           {found}" for found in result.journal.get("found", ()))
    yield f"digest     {result.digest}"
    rate = result.events / result.engine_seconds if result.engine_seconds else 0.0
    yield f"engine     {result.engine_seconds:.2f} s, {rate:,.0f} events/s; with journal and counting {result.seconds:.2f} s"


def _conserved(result: ReplayResult) -> Iterator[str]:
    held, asset = result.conservation, result.venue.asset
    word = "conserved: sum = 0" if held.asset_atoms == 0 else f"NOT CONSERVED (INV-01): sum = {asset.text(held.asset_atoms)}"
    yield f"{word}  {asset.name}, all ledger accounts"
    for market, lots, cost in zip(result.venue.markets, held.market_lots, held.market_cost_atoms, strict=True):
        broken = f"NOT CONSERVED (INV-02): {market.quantity_text(lots)} contracts, {asset.text(cost)} {asset.name} of cost"
        yield f"{'conserved: sum = 0' if lots == cost == 0 else broken}  {market.symbol}, positions and their cost"
