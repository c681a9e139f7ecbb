"""``backstop config``: write, check and show venue files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli.exits import FAILED, FINDING
from backstop.cli.running import checked_output, refusals, say, tell, tell_json
from backstop.files import checked_file, written_whole
from backstop.printing import counted

__all__ = ["app"]

if TYPE_CHECKING:
    from backstop.config import Venue
    from backstop.config.changes import Way
    from backstop.core.parameter_table import Difference

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

    checked_output(path, has_company=True)
    if path.exists() and not force:
        say(f"error: `{path}` exists\nhint: choose another path, or replace it with `--force`")
        raise typer.Exit(FAILED)
    with refusals():
        checked_file(path)
        _check_replaced(path)
        with written_whole(path, may_replace=force) as partial:
            partial.write_text(default_text(), encoding="utf-8")
    say(f"wrote {path}\nhint: change it, then run `backstop config check {path}`")


def _check_replaced(path: Path) -> None:
    """Refuse to replace what was never a venue file: prices, a journal.

    One that is spoilt is known by its ending.
    """
    from backstop.config.toml import TomlError, parse_toml, read_utf8

    if not path.exists() or path.suffix == ".toml":
        return
    try:
        parse_toml(read_utf8(path))
    except TomlError:
        say(f"error: `{path}` is there and is no TOML\nhint: name another file, or remove this one first")
        raise typer.Exit(FAILED) from None


@app.command("check")
def check(path: VenuePath, as_json: AsJson = False) -> None:
    """Name every problem of a venue file.

    Exits with 0 without a problem, 1 if the file cannot be read, 2 on wrong usage, 4 with a
    problem.
    """
    from backstop.config import ConfigError, Finding, load_venue

    venue: Venue | None = None
    findings: tuple[Finding, ...] = ()
    try:
        venue = load_venue(path)
    except ConfigError as error:
        findings = error.findings
    warnings = venue.warnings if venue is not None else ()
    if as_json:
        rows = [{"key": row.key, "value": row.value, "about": row.about, "message": row.message} for row in findings]
        tell_json(
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
            tell(f"{path}: {finding}")
        if any("[" in finding.key for finding in findings):
            say("note: lists count from 0: `waterfall[1]` is the second entry")
        for warning in warnings:
            say(f"{path}: warning: {warning}")
        if venue is not None:
            names = ", ".join(asset.name for asset in venue.assets)
            tell(f"{path}: ok, {counted(len(venue.markets), 'market')}, {names}, hash {venue.hash}")
            tell(f"{path}: {_longest_default(venue)}")
            for line in (*_longest_hold(venue), *_falls_survived(venue)):
                tell(f"{path}: {line}")
    if findings:
        raise typer.Exit(FINDING)


#: Units of a span of time, but for what is below a second [ns].
_UNITS_NS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000}


def span_text(nanoseconds: int) -> str:
    """Return a span of time in all the units that it needs: ``1h5m40s``. Below a second, and where
    there is a part of one, as a venue file has it.
    """
    from backstop.config.schema import duration_text

    if nanoseconds % _UNITS_NS["s"] or not nanoseconds:
        return duration_text(nanoseconds)
    parts = []
    for unit, size in _UNITS_NS.items():
        count, nanoseconds = divmod(nanoseconds, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts)


def _longest_default(venue: Venue) -> str:
    """Say for how long an account may be in default with positions, and what that is made of."""
    from backstop.reference.closing import longest_default_ns

    closeout, doubt_ns, offer_ns = venue.rules.closeout, venue.rules.breakers.doubt_max_ns, venue.rules.takeover.answer_timeout_ns
    carry_ns, answer_ns = max(closeout.deadline_ns, closeout.carry_max_ns), max(closeout.order_timeout_ns, offer_ns)
    whole = span_text(longest_default_ns(closeout, doubt_ns, offer_ns))
    parts = f"deadline {span_text(closeout.deadline_ns)}, carry or offers {span_text(carry_ns)}"
    parts += f", doubt {span_text(doubt_ns)}, answer {span_text(answer_ns)}"
    return f"nobody is in default with positions longer than {whole}: {parts}"


def _longest_hold(venue: Venue) -> list[str]:
    """Say for how long the price guard holds one level at most; nothing where there is no guard."""
    if not any(market.guard_jump_ppm for market in venue.rules.markets):
        return []
    hold_ns = venue.rules.breakers.guard_hold_ns
    return [f"a jump on little volume is held for {span_text(hold_ns)}, {span_text(2 * hold_ns)} where it is disputed"]


def _falls_survived(venue: Venue) -> list[str]:
    """Say of each provider which fall it survives, full of what it promised to take over."""
    from backstop.config.contradictions import fall_survived_ppm

    lines = []
    for spec, rules in zip(venue.providers, venue.rules.providers, strict=True):
        fall_ppm = fall_survived_ppm(rules)
        says = "promises nothing" if fall_ppm is None else f"reaches its loss stop at a fall of {fall_ppm / 10_000:.1f} %"
        if fall_ppm is not None and fall_ppm >= 1_000_000:
            says = "survives any fall within its loss stop"
        lines.append(f"provider {spec.name}, full of what it promised in one direction, {says}")
    return lines


@app.command("show")
def show(path: VenuePath, as_json: AsJson = False) -> None:
    """Print the resolved whole, defaults filled in, with its hash.

    Exits with 0 if all is well, 1 if the file cannot be read or was refused, 2 on wrong usage.
    """
    from backstop.config import load_venue
    from backstop.config.render import venue_toml

    venue = load_venue(path)
    for warning in venue.warnings:
        say(f"{path}: warning: {warning}")
    if as_json:
        tell_json({"hash": venue.hash, "venue": venue.resolved, "warnings": list(venue.warnings)})
    else:
        tell(f"# sha256 {venue.hash}\n{venue_toml(venue.resolved)}".rstrip("\n"))


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The venue file of a venue that runs.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The venue file that it is to have.")],
    as_json: AsJson = False,
) -> None:
    """Print the PARAMETER and LISTING events that lead from one venue file to another, in an order in
    which each is allowed.

    Exits with 0 if they lead all the way, 1 if a file cannot be read, 2 on wrong usage, 4 if
    something differs that no such event changes.
    """
    from backstop.config import load_venue
    from backstop.config.changes import way_between

    with refusals():
        before, after = load_venue(old), load_venue(new)
        way = way_between(before, after)
    if as_json:
        tell_json(_way_object(way) | {"renamed": [place._asdict() for place in way.renamed]})
    else:
        for place in way.renamed:
            say(f"note: market[{place.market}]: {place.new} takes the spare place {place.old}")
        for step in way.steps:
            tell(_step_text(_namer(step, before, after), step))
        for market in way.listings:
            tell(_listing_text(after, market))
        for line in _obstacles(before, after, way):
            say(line)
        if not way.steps and not way.listings and way.is_whole:
            say("note: the two files have the same rules")
    if not way.is_whole:
        raise typer.Exit(FINDING)


def _event_of(step: Difference) -> dict[str, int]:
    """Return the columns of the event that makes a change at once."""
    columns = {"code": step.rule.number, "market": step.market, "account": -1, "other": step.entry, "lots": step.part}
    return columns | {"price_ticks": 0, "amount": step.new_value}


def _step_text(venue: Venue, step: Difference) -> str:
    from backstop.core.events import EventKind
    from backstop.journal.manifest import Names
    from backstop.journal.rendering import Speaker

    return Speaker(venue, Names((), ())).event(_event_of(step) | {"kind": int(EventKind.PARAMETER)})


def _listing_text(venue: Venue, market: int) -> str:
    from backstop.core.events import EventKind
    from backstop.journal.manifest import Names
    from backstop.journal.rendering import Speaker

    columns = {"kind": int(EventKind.LISTING), "code": 0, "market": market, "account": -1}
    return Speaker(venue, Names((), ())).event(columns | {"other": 0, "lots": 0, "price_ticks": 0, "amount": 0})


def _namer(step: Difference, before: Venue, after: Venue) -> Venue:
    """Return the venue whose names and grids a change is told in: of a spare market, the new one."""
    from backstop.core.parameter_table import Scope

    is_of_market = step.rule.scope in (Scope.MARKET, Scope.TIER)
    return after if is_of_market and not before.rules.markets[step.market].is_listed else before


def _obstacles(before: Venue, after: Venue, way: Way) -> list[str]:
    lines = [f"fixed while a venue runs: {_step_text(_namer(step, before, after), step)}" for step in way.fixed]
    lines += [f"contradicts another rule in any order: {_step_text(_namer(step, before, after), step)}" for step in way.stuck]
    return lines + [f"no event changes this: {name}" for name in way.others]


def _way_object(way: Way) -> dict[str, Any]:
    def one(step: Difference) -> dict[str, Any]:
        place = {"market": step.market, "entry": step.entry, "part": step.part}
        return {"rule": step.rule.key, "number": step.rule.number, **place, "old_value": step.old_value, "value": step.new_value}

    return {
        "is_whole": way.is_whole,
        "changes": [one(step) for step in way.steps],
        "listings": list(way.listings),
        "fixed": [one(step) for step in way.fixed],
        "contradictory": [one(step) for step in way.stuck],
        "others": list(way.others),
    }


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of a venue file."""
    from backstop.config.reference import schema_text

    tell(schema_text().rstrip("\n"))
