"""``backstop config``: write, check and show venue files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backstop.cli.exits import FAILED, FINDING
from backstop.cli.running import checked_output

__all__ = ["app"]

app = typer.Typer(name="config", help="Write, check and show venue files.", no_args_is_help=True)

VenuePath = Annotated[Path, typer.Argument(metavar="FILE", help="A venue file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("init")
def init(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="Where to write.")] = Path("venue.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented venue file to start from.

    Exits with 0 if it was written, 1 if it cannot be, or a file is there already, 2 on wrong usage.
    """
    from backstop.config import default_text

    checked_output(path)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(default_text())
    except FileExistsError:
        typer.echo(f"error: `{path}` exists\nhint: choose another path, or replace it with `--force`", err=True)
        raise typer.Exit(FAILED) from None
    typer.echo(f"wrote {path}\nhint: change it, then run `backstop config check {path}`", err=True)


@app.command("check")
def check(path: VenuePath, as_json: AsJson = False) -> None:
    """Name every problem of a venue file.

    Exits with 0 without a problem, 1 if the file cannot be read, 2 on wrong usage, 4 with a
    problem.
    """
    from backstop.config import ConfigError, Finding, Venue, load_venue

    venue: Venue | None = None
    findings: tuple[Finding, ...] = ()
    try:
        venue = load_venue(path)
    except ConfigError as error:
        findings = error.findings
    warnings = venue.warnings if venue is not None else ()
    if as_json:
        rows = [{"key": row.key, "value": row.value, "about": row.about, "message": row.message} for row in findings]
        _print_json(
            {
                "file": str(path),
                "ok": venue is not None,
                "hash": venue.hash if venue is not None else None,
                "findings": rows,
                "warnings": list(warnings),
            }
        )
    else:
        for finding in findings:
            typer.echo(f"{path}: {finding}")
        if any("[" in finding.key for finding in findings):
            typer.echo("note: lists count from 0: `waterfall[1]` is the second entry", err=True)
        for warning in warnings:
            typer.echo(f"{path}: warning: {warning}", err=True)
        if venue is not None:
            typer.echo(f"{path}: ok, {len(venue.markets)} markets, {venue.asset.name}, hash {venue.hash}")
    if findings:
        raise typer.Exit(FINDING)


@app.command("show")
def show(path: VenuePath, as_json: AsJson = False) -> None:
    """Print the resolved whole, defaults filled in, with its hash.

    Exits with 0 if all is well, 1 if the file cannot be read or was refused, 2 on wrong usage.
    """
    from backstop.config import load_venue
    from backstop.config.render import venue_toml

    venue = load_venue(path)
    for warning in venue.warnings:
        typer.echo(f"{path}: warning: {warning}", err=True)
    if as_json:
        _print_json({"hash": venue.hash, "venue": venue.resolved, "warnings": list(venue.warnings)})
    else:
        typer.echo(f"# sha256 {venue.hash}\n{venue_toml(venue.resolved)}", nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a venue file."""
    from backstop.config.reference import schema_text

    typer.echo(schema_text(), nl=False)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
