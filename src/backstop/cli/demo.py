"""``backstop demo``: a bundled crash, on the bundled venue, with the bundled population."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from backstop.cli.exits import FAILED
from backstop.cli.outcome import print_result
from backstop.cli.running import (
    Switch,
    checked_journal,
    checked_output,
    checked_report,
    exit_code_of,
    refusals,
    refuse_inputs,
    run_case,
    say,
    tell,
    tell_json,
    warm_up,
)
from backstop.files import checked_file, written_whole
from backstop.printing import counted

__all__ = ["demo"]

_FIRST = "2025-10-10"


def demo(
    name: Annotated[str, typer.Argument(metavar="[SCENARIO]", help="A bundled crash.")] = _FIRST,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the price path and of the population.")] = 1,
    impact: Annotated[
        Switch, typer.Option(help="Whether closing orders move later marks; the path has its cascade in it already.")
    ] = Switch.OFF,
    venue: Annotated[Path | None, typer.Option(metavar="FILE", help="Another venue (TOML).")] = None,
    population: Annotated[Path | None, typer.Option(metavar="FILE", help="Another population (TOML).")] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where result.json and journal.db are written; made if it is not there.")
    ] = Path("out/demo"),
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report here: one HTML page. Replaces a report only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a historical crash through the engine, end to end.

    Exits with 0 if all is well, 1 if a file was refused or cannot be written, 2 on wrong usage, 3
    if an invariant was violated, 4 if a deficit was left uncovered.
    """
    from backstop.config import default_text, load_venue, parse_venue
    from backstop.markets.scenarios import scenario, scenario_names

    if name not in scenario_names():
        raise typer.BadParameter(f"{name!r}: must be one of {', '.join(scenario_names())}", param_hint="SCENARIO")
    if out.exists() and not out.is_dir():
        say(f"error: {out} is a file: name a folder")
        raise typer.Exit(FAILED)
    with refusals():
        out.mkdir(parents=True, exist_ok=True)
    journal, written = out / "journal.db", out / "result.json"
    checked_output(written, has_company=True)
    refuse_inputs((written,), (venue, population), "--out")
    with refusals():
        checked_file(written)
    checked_journal(journal, inputs=(venue, population), option="--out", overwrite=True)
    checked_report(report)
    compiled = warm_up()
    with refusals():
        from backstop.markets.population import default_parameters, load_parameters
        from backstop.runs.cases import case_of_population, hashed_inputs, scenario_prices

        crash = scenario(name)
        resolved = load_venue(venue) if venue is not None else parse_venue(default_text(), "bundled venue")
        with hashed_inputs(population=[population]) as details:
            parameters = load_parameters(population) if population is not None else default_parameters()
        try:
            prices, schedule = scenario_prices(resolved, crash, seed)
        except ValueError as error:
            say(f"error: {venue}: {error}")
            raise typer.Exit(FAILED) from None
        marks, markets = counted(len(prices.events), "mark"), counted(len(prices.markets), "market")
        say(f"{crash.title}: {marks} in {markets}, {counted(parameters.accounts, 'account')}, seed {seed}")
        case = case_of_population(resolved, prices, parameters, seed, schedule)
        case.details.update(details, scenario=name)
        files = [word for option, file in (("--venue", venue), ("--population", population)) if file for word in (option, str(file))]
        command = shlex.join(["backstop", "demo", name, "--seed", str(seed), "--impact", impact.value, *files])
        options: dict[str, Any] = {"impact": impact is Switch.ON, "journal_path": journal, "overwrite": True, "command": command}
        result = run_case(case, crash.title, report=report, **options)
        values = result.as_json() | {"scenario": name, "compile_seconds": round(compiled, 3)}
        with written_whole(written) as partial:
            partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    if as_json:
        tell_json(values)
    else:
        print_result(result, crash.title)
        if compiled:
            tell(f"compile    {compiled:.0f} s, once; not part of the engine's time")
        tell(f"written    {written}")
    raise typer.Exit(exit_code_of(result))
