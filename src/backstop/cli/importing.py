"""``backstop import``: recorded bars in other layouts, written as the long form that
``backstop replay`` reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstop.cli.running import checked_output, refusals, refuse_inputs, say, tell_json
from backstop.files import checked_file
from backstop.printing import counted, shown_name

if TYPE_CHECKING:
    from backstop.feeds.exchange import ImportReport

__all__ = ["import_bars"]

_LAYOUTS = ("freqtrade", "bitmex")
_STAMPS = ("start", "end")


def import_bars(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Bars: Parquet, Feather or CSV.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write, .parquet or .csv.", show_default=False)],
    layout: Annotated[str, typer.Option("--format", metavar="|".join(_LAYOUTS), help="Layout of the files.", show_default=False)],
    timeframe: Annotated[
        list[str],
        typer.Option(
            metavar="T", help="Timeframe of the bars, as in 5m. Repeated: each market uses the first that it has.", show_default=False
        ),
    ],
    stamp: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_STAMPS),
            help="Meaning of a bar's time: start or end. By default start for freqtrade, end for bitmex.",
            show_default=False,
        ),
    ] = None,
    market: Annotated[list[str] | None, typer.Option(metavar="OLD=NEW", help="Symbol for a name in the files. May be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="SYMBOL", help="Leave out all other markets. May be repeated.")] = None,
    kind: Annotated[str, typer.Option(help="Kind of freqtrade rows: futures, mark or spot.")] = "futures",
    volume: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the volume; for bitmex homeNotional (base), if the file has it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write recorded bars as the long form that replay reads: time, market, timeframe, open, high,
    low, close, volume.

    Exits with 0 if they were written, 1 if a file was refused or cannot be written, 2 on wrong
    usage.
    """
    from backstop.feeds.columns import duration_ns_of
    from backstop.feeds.exchange import Layout, Stamp, convert_bars

    if layout not in _LAYOUTS:
        raise typer.BadParameter(f"{layout!r}: must be one of {', '.join(_LAYOUTS)}", param_hint="--format")
    if stamp is not None and stamp not in _STAMPS:
        raise typer.BadParameter(f"{stamp!r}: must be one of {', '.join(_STAMPS)}", param_hint="--stamp")
    if kind not in ("futures", "mark", "spot"):
        raise typer.BadParameter(f"{kind!r}: must be one of futures, mark, spot", param_hint="--kind")
    for text in timeframe:
        try:
            duration_ns_of(text)
        except ValueError as error:
            raise typer.BadParameter(f"{text!r}: {error}", param_hint="--timeframe") from None
    refuse_inputs((output,), files, "-o")
    checked_output(output, has_company=True)
    with refusals():
        checked_file(output)
        report = convert_bars(
            files,
            output,
            layout=Layout(layout),
            timeframes=timeframe,
            stamp=None if stamp is None else Stamp(stamp),
            markets=_mapping(market or []),
            kind=kind,
            volume=volume,
            only=only or (),
        )
    _say_report(report, output)
    if as_json:
        from dataclasses import asdict

        tell_json(asdict(report) | {"output": str(output)})


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        old, sign, new = pair.partition("=")
        if not (old and sign and new):
            raise typer.BadParameter(f"{pair!r}: must be OLD=NEW, as in XBTUSD=BTC/USDT:USDT", param_hint="--market")
        mapping[old] = new
    return mapping


def _say_report(report: ImportReport, output: Path) -> None:
    for note in report.notes:
        say(f"note: {note}")
    read = f"{counted(report.rows_read, 'row')} of {counted(len(report.files), 'file')}"
    say(f"read {read}, wrote {counted(report.rows_written, 'bar')} to {output}")
    for count, noun, words in (
        (report.rows_other_timeframe, "bar", "of another timeframe left out"),
        (report.rows_other_kind, "row", "of another kind (mark, funding rate) left out"),
        (report.rows_other_market, "row", "of markets that were not asked for left out"),
        (report.duplicates_dropped, "duplicate", "dropped, alike in every value"),
        (report.bars_widened, "bar", "widened to hold open and close"),
    ):
        if count:
            say(f"{counted(count, noun)} {words}")
    for symbol, bars in report.markets.items():
        say(f"{shown_name(symbol)}: {counted(bars, 'bar')}")
