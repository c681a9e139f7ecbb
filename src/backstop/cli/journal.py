"""``backstop journal``: look at the durable tape of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backstop.cli import upkeep
from backstop.cli.exits import FAILED, FINDING, INVARIANT, NOT_REPLAYED, OK
from backstop.cli.running import refusals, say, tell, tell_json, wrong_usage
from backstop.printing import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from backstop.core.parameter_table import Difference
    from backstop.journal import Reader
    from backstop.journal.rendering import Speaker
    from backstop.journal.showing import Choice, Line
    from backstop.journal.verify import Report

__all__ = ["app"]

app = typer.Typer(name="journal", help="Look at the durable tape of a run.", no_args_is_help=True)

for _command in (upkeep.segments, upkeep.prune, upkeep.backup, upkeep.seal, upkeep.upgrade):
    app.command()(_command)

#: Hex digits of a kept head that are enough to identify it.
_HEAD_MIN = 16


@app.callback()
def journal() -> None:
    """Look at the durable tape of a run."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="Journal to verify.", metavar="FILE", show_default=False)],
    head: Annotated[
        str | None, typer.Option(metavar="CHAIN", help="A chain that you kept: the journal must hold it. Hex, at least 16 digits.")
    ] = None,
    prices: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Prices of the run, to compare. May be repeated.")] = None,
    accounts: Annotated[Path | None, typer.Option(metavar="FILE", help="Positions of the run, to compare.")] = None,
    collateral: Annotated[Path | None, typer.Option(metavar="FILE", help="Collateral of the run, to compare.")] = None,
    population: Annotated[Path | None, typer.Option(metavar="FILE", help="Population of the run, to compare.")] = None,
    may_be_open: Annotated[
        bool,
        typer.Option(
            "--may-be-open", help="A missing end is no fault: the run is still going. (The journal of an `Engine` never has one.)"
        ),
    ] = False,
    is_alone: Annotated[bool, typer.Option("--alone", help="This file only, and not the sealed segments beside it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a journal's file and chain, replay it, and compare every effect and state digest.

    FILE is a journal, which is verified with the sealed segments beside it, or one sealed segment.

    Files that the run read are compared with their SHA-256 in the manifest, where they are given.

    The journal of an `Engine` has no end: what it holds is checked up to its last batch, and it is
    told to be open. Of any other journal a missing end is a fault, unless `--may-be-open` is given.

    Exits with 0 if all agrees, 1 if a file cannot be read, 2 on wrong usage, 3 if a sound record
    differs from its replay, 4 if the file is damaged, has no end where it should or is no journal, or
    a file is not the one that the run read, 5 if the record is sound and could not be replayed in full by this version.
    """
    from backstop.journal.verify import verify as verify_journal

    if head is not None and (len(head) < _HEAD_MIN or set(head.lower()) - set("0123456789abcdef")):
        raise typer.BadParameter(f"{head!r}: must be at least {_HEAD_MIN} hex digits", param_hint="--head")
    bar = _progress_bar()
    try:
        with refusals():
            given = {"prices": prices or [], "accounts": _one(accounts), "collateral": _one(collateral), "population": _one(population)}
            inputs = {noun: paths for noun, paths in given.items() if paths}
            report = verify_journal(file, bar, head=head, inputs=inputs, alone=is_alone, may_be_open=may_be_open)
    finally:
        if bar is not None:
            typer.echo(err=True)
    if as_json:
        tell_json(_as_object(report))
    else:
        tell(_as_text(report))
    raise typer.Exit(report.exit_code)


def _one(path: Path | None) -> list[Path]:
    return [] if path is None else [path]


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Journal to read.", metavar="FILE", show_default=False)],
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Only rows that name this account (its name or its number).")] = None,
    market: Annotated[str | None, typer.Option(metavar="SYMBOL", help="Only rows of this market.")] = None,
    kind: Annotated[list[str] | None, typer.Option(metavar="KIND", help="Only this kind of event or effect. May be repeated.")] = None,
    first: Annotated[int | None, typer.Option("--from", metavar="SEQ", help="From this event on.")] = None,
    last: Annotated[int | None, typer.Option("--to", metavar="SEQ", help="Up to this event.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="ROWS", help="At most so many rows.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per row.")] = False,
) -> None:
    """Print events and their effects as people read them.

    Checks each batch as it reads it, and replays nothing. Exits with 0, 1 if the file cannot be
    read or does not know the account, 2 on wrong usage, 4 if something is wrong with what was read,
    or the file is no journal.
    """
    from itertools import islice

    from backstop.journal.showing import chosen, speaker_of

    with _opened(file) as journal:
        speaker = speaker_of(journal)
        choice = _choice(file, speaker, account, market, kind or [], first, last)
        if not speaker.knows_codes:
            typer.echo("note: its codes have other meanings in this version: rows are shown as numbers", err=True)
        journal.check_head()
        line = None
        for line in islice(chosen(journal, choice, speaker), limit):
            teller = speaker if line.adl_policy is None else speaker.under(line.adl_policy)
            if as_json:
                tell_json(_line_object(teller, line), indent=None)
            else:
                tell(one_line(_line_text(teller, line)))
        if line is None:
            say("note: no row is of that choice")
        _tell_findings(journal)


@app.command()
def stats(
    file: Annotated[Path, typer.Argument(help="Journal to count.", metavar="FILE", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count the contents of a journal: events and effects by kind, refusals, batches, snapshots.

    Exits with 0, 1 if the file cannot be read, 2 on wrong usage, 4 if something is wrong with what
    was read, or the file is no journal.
    """
    from backstop.journal.showing import stats as stats_of

    with _opened(file) as journal:
        journal.check_head()
        content = stats_of(journal)
        if as_json:
            tell_json(content)
        else:
            tell(_stats_text(content))
        _tell_findings(journal)


@app.command()
def rules(
    file: Annotated[Path, typer.Argument(help="Journal to read.", metavar="FILE", show_default=False)],
    at: Annotated[int | None, typer.Option(metavar="SEQ", help="In force after this event; without it, at the end.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with every rule.")] = False,
) -> None:
    """Print the rules in force that differ from the venue file of the run.

    Exits with 0, 1 if the file cannot be read or has no such event, 2 on wrong usage, 4 if the file
    is damaged or is no journal.
    """
    from backstop.core.events import EventKind
    from backstop.core.parameter_table import differences
    from backstop.explain import rules_at
    from backstop.journal.showing import speaker_of

    with _opened(file) as journal:
        speaker = speaker_of(journal)
        begun, now = speaker.venue.rules._replace(limits=journal.manifest.limits), rules_at(file, at)
        found = list(differences(begun, now))
    if as_json:
        tell_json({"at": at, "changed": [_rule_object(each) for each in found], "rules": _plain(now)})
        return
    for each in found:
        columns = {"code": each.rule.number, "market": each.market, "other": each.entry, "lots": each.part}
        said = speaker.event(columns | {"kind": int(EventKind.PARAMETER), "price_ticks": 0, "amount": each.new_value})
        tell(f"{said}; the file has {each.old_value}")
    if not found:
        say("note: the rules are those of the venue file")


def _rule_object(each: Difference) -> dict[str, Any]:
    place = {"market": each.market, "entry": each.entry, "part": each.part}
    return {"rule": each.rule.key, "number": each.rule.number, **place, "of_file": each.old_value, "value": each.new_value}


def _plain(rules: Any) -> Any:
    """Return groups of rules as objects."""
    if hasattr(rules, "_asdict"):
        return {name: _plain(value) for name, value in rules._asdict().items()}
    return [_plain(value) for value in rules] if isinstance(rules, tuple) else rules


@contextmanager
def _opened(file: Path) -> Iterator[Reader]:
    """Open a journal; a failure becomes a message and an exit code."""
    from backstop.journal import open_journal

    with refusals(), open_journal(file) as journal:
        yield journal


def _tell_findings(journal: Reader) -> None:
    """Print the findings of the reading.

    A missing end is not a fault of the rows that were shown.
    """
    from backstop.journal import FindingCode

    found = [finding for finding in journal.findings if finding.code != FindingCode.END_MISSING]
    for finding in found:
        say(f"found: {finding}")
    if found:
        say(f"the printed rows are not reliable: see `backstop journal verify {journal.path}`")
        raise typer.Exit(FINDING)


def _choice(
    file: Path, speaker: Speaker, account: str | None, market: str | None, kinds: list[str], first: int | None, last: int | None
) -> Choice:
    from backstop.core.events import EffectKind, EventKind
    from backstop.journal.showing import Choice

    known = sorted({each.name.lower() for each in (*EventKind, *EffectKind)})
    for kind in kinds:
        if kind.lower() not in known:
            raise typer.BadParameter(f"{kind!r}: must be one of {', '.join(known)}", param_hint="--kind")
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"{last}: must not be before --from, {first}", param_hint="--to")
    choice = Choice(kinds=frozenset(kind.lower() for kind in kinds))
    if account is not None:
        try:
            choice = choice._replace(account=speaker.account_number(account))
        except KeyError as error:
            say(f"error: {file}: {error.args[0]}")
            raise typer.Exit(FAILED) from None
    if market is not None:
        try:
            choice = choice._replace(market=speaker.venue.market(market))
        except KeyError as error:
            raise wrong_usage(str(error.args[0]), "--market") from None
    if first is not None:
        choice = choice._replace(first_seq=first)
    return choice if last is None else choice._replace(last_seq=last)


def _line_text(speaker: Speaker, line: Line) -> str:
    from backstop.journal.rendering import time_text

    if line.place is None:
        return f"{line.row['seq']:>10}  {time_text(line.time_ns)}  {speaker.event(line.row)}"
    return f"{line.row['seq']:>10}.{line.place}  {line.kind}: {speaker.effect(line.row)}"


def _line_object(speaker: Speaker, line: Line) -> dict[str, Any]:
    from backstop.journal.rendering import time_text

    is_event = line.place is None
    head = {"seq": line.row["seq"], "batch": line.batch, "time": time_text(line.time_ns), "type": "event" if is_event else "effect"}
    said = {"says": speaker.fields(line.row, is_event=is_event), "record": speaker.record(line.row, is_event=is_event)}
    return {**head, "place": line.place, "kind": line.kind, **said, "row": dict(line.row)}


def _stats_text(content: dict[str, Any]) -> str:
    sizes = content["events_a_batch"]
    snapshots = ", ".join(map(str, content["snapshots"])) or "none"
    lines = [
        f"journal   {content['path']}, schema {content['schema']}, {'closed' if content['is_closed'] else 'not closed'}",
        f"written   {content['created']} by version {content['code_version']}: {one_line(content['command']) or 'no command'}",
        f"bytes     {content['bytes']:,}" + (f", and {content['log_bytes']:,} in the log" if content["log_bytes"] else ""),
        f"time      {content['first_time']} to {content['last_time']}",
        f"seq       {content['first_seq']} to {content['last_seq']}",
        f"batches   {content['batches']:,}, of {sizes['least']:,} to {counted(sizes['most'], 'event')}, median {sizes['median']:,}",
        f"digests   {content['digests']:,}{_of_the_end(content)}, and snapshots after batches {snapshots}",
    ]
    for noun, key in (("events", "events_by_kind"), ("effects", "effects_by_kind"), ("refused", "refused")):
        total = sum(content[key].values())
        lines.append(f"{noun:<8}  {total:,}")
        lines += [f"          {count:>12,}  {name}" for name, count in content[key].items()]
    return "\n".join(lines)


def _of_the_end(content: dict[str, Any]) -> str:
    return ", that of the end among them" if content["is_closed"] and content["digests"] else ""


def _progress_bar() -> Callable[[int, int], None] | None:
    """Return the writer of a progress line that overwrites itself, for a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        typer.echo(f"\rverified {done:,} of {counted(total, 'event')}", err=True, nl=False)

    return show


def _as_object(report: Report) -> dict[str, Any]:
    findings = [{"code": finding.name, "place": finding.place, "message": finding.message} for finding in report.findings]
    lists = {"notes": list(report.notes), "quarantined": list(report.quarantined)}
    fields = {**report._asdict(), "findings": findings, **lists}
    ok = report.exit_code == OK
    # ``digest`` and ``chain`` are as recorded; of a file with findings they prove nothing.
    return {"ok": ok, "exit_code": report.exit_code, "result": _result_word(report), "is_open": report.is_open, **fields, "trusted": ok}


def _result_word(report: Report) -> str:
    """Return the result in one word."""
    if report.is_open and report.exit_code in (OK, FINDING):
        return "open" if report.exit_code == OK else "unfinished"
    return _RESULTS[report.exit_code]


#: The result in one word, by exit code, of a journal that has its end.
_RESULTS = {OK: "ok", FAILED: "unreadable", INVARIANT: "differs", FINDING: "damaged", NOT_REPLAYED: "not_replayed"}


def _as_text(report: Report) -> str:
    lines = [f"journal   {report.path}"]
    if report.chain is not None or report.batches:
        lines += [
            f"written   {report.created} by version {report.code_version}",
            f"venue     {report.venue_hash}",
            f"holds     {_size(report)}, {_end(report)}",
            f"segments  {report.segments:,} verified, {report.segments_gone:,} before them not here; rules version {report.rules_version}",
            f"replayed  {counted(report.events_replayed, 'event')}, digests compared: {report.digests_compared:,}",
            f"snapshots {report.snapshots_compared:,} compared",
            f"inputs    {report.inputs_compared:,} compared, {report.inputs_named:,} named by the manifest",
            f"digest    {_trusted(report, report.digest)}",
            f"chain     {_trusted(report, report.chain)}",
        ]
    lines += [f"note      {note}" for note in report.notes]
    lines += [f"found     {finding}" for finding in report.findings]
    lines.append(f"result    {_result(report)}{_unreplayed(report)}")
    return "\n".join(lines)


def _size(report: Report) -> str:
    parts = counted(report.batches, "batch", "batches"), counted(report.events, "event"), counted(report.effects, "effect")
    return ", ".join(parts)


def _trusted(report: Report, number: str | None) -> str:
    """Show a number of the record; of a file with findings, or that was not replayed, it is no
    proof of anything.
    """
    if number is None:
        return "none"
    return number if report.exit_code == OK else f"{number}  (as recorded: do not rely on it, see below)"


def _end(report: Report) -> str:
    return "closed" if report.is_closed else "sealed" if report.is_sealed else "no end"


def _result(report: Report) -> str:
    said = {
        OK: _sound(report),
        NOT_REPLAYED: _not_replayed(report),
        FAILED: "the file cannot be read",
        INVARIANT: "INV-12 violated: the record is sound, but its replay differs (by other code: that may be meant)"
        if report.is_of_other_code
        else "INV-12 violated: the record is sound, but its replay differs",
        FINDING: _found(report),
    }
    return said[report.exit_code]


def _sound(report: Report) -> str:
    again = ", and the engine gives every effect and digest again" if report.events_replayed else ""
    if report.is_open:
        return f"open: nothing is changed{again}, up to batch {report.last_batch:,}; it has no end, so more may follow or have been cut off"
    return f"ok: nothing is changed{again}"


def _found(report: Report) -> str:
    from backstop.journal import FindingCode

    if report.is_open:
        return (
            f"unfinished: sound up to batch {report.last_batch:,}, and no end: its run is still going, was stopped, or its end was"
            " removed (`--may-be-open` says that this is no fault)"
        )
    if {finding.code for finding in report.findings} == {FindingCode.INPUT_DIFFERS}:
        return "a file that was given is not the one that the run read"
    return "the file is damaged, incomplete or no journal"


def _not_replayed(report: Report) -> str:
    """Say what was not done: nobody may take such a record for one that the engine confirmed."""
    if report.events_replayed:
        return "not replayed in full: effects agree, state digests were not compared; the final state is as recorded, and not confirmed"
    return "not replayed: the record hangs together, and nothing of it was confirmed by the engine"


def _unreplayed(report: Report) -> str:
    """Say where nothing was replayed: the record was checked, the engine was not run."""
    is_told = report.exit_code == NOT_REPLAYED
    return "; nothing was replayed" if report.events and not report.events_replayed and not is_told else ""
