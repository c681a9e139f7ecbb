"""``backstop scenario``: look at the bundled crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli.running import STANDARD_OUTPUT, refusals, tell, tell_json
from backstop.files import named_errors
from backstop.printing import counted

if TYPE_CHECKING:
    from backstop.markets.population import PopulationParameters
    from backstop.markets.scenarios import Scenario

__all__ = ["app"]

app = typer.Typer(name="scenario", help="Look at the bundled crashes.", no_args_is_help=True)


@app.callback()
def scenario_group() -> None:
    """Look at the bundled crashes."""


@app.command("list")
def list_scenarios(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the bundled crashes: times, markets, numbers of pins, and their sources.

    A crash has no seed of its own: `demo --seed` draws a path through its pins.

    Exits with 0 if all is well, 1 if a file was refused, 2 on wrong usage.
    """
    from backstop.markets.scenarios import scenario, scenario_names

    with refusals():
        crashes = [scenario(name) for name in scenario_names()]
    if as_json:
        tell_json({"scenarios": [_head(crash) for crash in crashes]})
    else:
        _print_list(crashes)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A bundled crash, as `list` names it.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the contents of a crash: each pin with its source, the path between pins, depth, the
    drawn accounts.

    Exits with 0 if all is well, 1 if a file was refused, 2 on wrong usage and for an unknown
    scenario.
    """
    from backstop.markets.scenarios import scenario, scenario_names

    if name not in scenario_names():
        raise typer.BadParameter(f"{name!r}: must be one of {', '.join(scenario_names())}", param_hint="SCENARIO")
    with refusals():
        from backstop.markets.population import default_parameters

        crash, population = scenario(name), default_parameters()
    if as_json:
        tell_json(_whole(crash, population))
    else:
        tell("\n".join(_text(crash, population)))


def _sources(crash: Scenario) -> dict[str, int]:
    """Return how many pins of prices come from each source, in the file's order of sources."""
    counts = Counter(pin.source for market in crash.markets for pin in market.pins)
    return {key: counts[key] for key in crash.sources if counts[key]}


def _head(crash: Scenario) -> dict[str, Any]:
    from backstop.feeds.columns import time_text

    return {
        "id": crash.name,
        "title": crash.title,
        "start": time_text(crash.start_ns),
        "end": time_text(crash.end_ns),
        "markets": list(crash.symbols),
        "pins": sum(len(market.pins) for market in crash.markets),
        "depth_pins": len(crash.depth),
        "pins_by_source": _sources(crash),
    }


def _whole(crash: Scenario, population: PopulationParameters) -> dict[str, Any]:
    from dataclasses import asdict

    from backstop.feeds.columns import time_text

    pins = [
        {
            "market": market.symbol,
            "pins": [
                {"time": time_text(pin.time_ns), "price": format(pin.price, "f"), "source": pin.source, "what": pin.what}
                for pin in market.pins
            ],
        }
        for market in crash.markets
    ]
    depth = [{"time": time_text(pin.time_ns), "depth_ppm": pin.depth_ppm, "source": pin.source} for pin in crash.depth]
    parts = {"sources": crash.sources, "prices": pins, "depth": depth, "path": _path(), "population": asdict(population)}
    return _head(crash) | parts


def _path() -> dict[str, Any]:
    from backstop.markets.paths import CALM_VOLATILITY, ROUGHNESS, STEP_NS

    return {
        "between_pins": "Brownian bridge of the log price, reflected into the range of the market's pins, rounded half-even to ticks",
        "step_seconds": STEP_NS / 1e9,
        "roughness": ROUGHNESS,
        "calm_volatility": CALM_VOLATILITY,
        "generator": "PCG64 of the seed and the CRC-32 of the symbol",
    }


@named_errors(STANDARD_OUTPUT)
def _print_list(crashes: list[Scenario]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    # Without a terminal nothing is cut to its width.
    console = Console() if sys.stdout.isatty() else Console(width=240)
    table = Table(show_edge=False, pad_edge=False)
    for title in ("id", "title", "from, to (UTC)"):
        table.add_column(title)
    for title in ("markets", "pins"):
        table.add_column(title, justify="right")
    table.add_column("pins by source")
    for crash in crashes:
        head = _head(crash)
        sources = ", ".join(f"{count} {key}" for key, count in head["pins_by_source"].items())
        span = f"{head['start'][:16]} to {head['end'][:16]}".replace("T", " ")
        table.add_row(crash.name, crash.title, span, str(len(crash.markets)), str(head["pins"]), sources)
    console.print(table, highlight=False, markup=False)


def _text(crash: Scenario, population: PopulationParameters) -> Iterator[str]:
    from backstop.feeds.columns import time_text

    path, pins = _path(), sum(len(market.pins) for market in crash.markets)
    # A title begins with the day, as a name does.
    yield f"scenario    {crash.title}" if crash.title.startswith(crash.name) else f"scenario    {crash.name}: {crash.title}"
    yield f"from        {time_text(crash.start_ns)} to {time_text(crash.end_ns)}"
    markets = counted(len(crash.markets), "market")
    yield f"pins        {pins} of prices in {markets}, {len(crash.depth)} of depth; between them nothing is recorded"
    yield f"path        {path['between_pins']}"
    yield f"            a mark every {path['step_seconds']:g} s; deviation over a segment: {path['roughness']:g} of its move,"
    yield f"            plus {path['calm_volatility']:g} a square root of a second; {path['generator']}"
    longs = f"{100 * population.long_share:.0f} %"
    yield f"seed        any (`demo --seed`); drawn with it: {counted(population.accounts, 'account')}, {longs} of them long,"
    yield f"            median notional {population.size.median_notional:,.0f}, or those of `demo --population FILE`"
    for market in crash.markets:
        yield ""
        yield market.symbol
        width = max(len(format(pin.price, "f")) for pin in market.pins)
        names = max(len(pin.source) for pin in market.pins)
        for pin in market.pins:
            yield f"  {time_text(pin.time_ns)}  {format(pin.price, 'f'):>{width}}  {pin.source:<{names}}  {pin.what}"
    yield ""
    yield "depth of every book, of its own normal depth; straight lines between"
    for step in crash.depth:
        yield f"  {time_text(step.time_ns)}  {step.depth_ppm / 1e4:6.1f} %  {step.source}"
    yield ""
    yield "sources"
    for key, what in crash.sources.items():
        yield f"  {key}: {what}"
