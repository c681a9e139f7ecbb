"""Recorded crashes through the whole engine: ``python -m benchmarks.crashes [NAME ...]``.

``BACKSTOP_DATA`` names the folder of recorded data. Each crash is imported by the code of
``backstop import``, cut to its hours, and replayed with a seeded population: impact off and on, and
without providers, without breakers, without either. The figures go to ``benchmarks/crashes.json``,
and from there to docs/reference/recorded-crashes.md. A crash whose file is absent is left out: its
figures stay as they were, and the exit code is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backstop.config import Venue
from backstop.core.events import BreakerState, EventKind
from backstop.feeds.columns import time_ns_of
from backstop.feeds.exchange import ImportReport, convert_bars
from backstop.feeds.prices import Prices, read_prices
from backstop.journal.verify import verify
from backstop.markets.population import default_parameters
from backstop.runs.cases import Case, case_of_population
from backstop.runs.replay import ReplayResult, replay_case
from backstop.runs.warmup import warm
from benchmarks.crash_list import ACCOUNTS, COARSE_STEPS, CRASHES, ROOT, SEED, Crash
from benchmarks.crash_scan import scan_journal
from benchmarks.crash_variants import VARIANTS, Variant
from benchmarks.crashes_page import page
from benchmarks.run import machine

RESULTS = Path(__file__).parent / "crashes.json"
PAGE = ROOT / "docs" / "reference" / "recorded-crashes.md"
Say = Callable[[str], None]


def data_folder() -> Path | None:
    """Return the folder of recorded data, or None where BACKSTOP_DATA does not name one."""
    folder = os.environ.get("BACKSTOP_DATA")
    return Path(folder) if folder else None


class Imported(NamedTuple):
    """A crash read and put on the grid of its venue, with the population that meets it."""

    crash: Crash
    #: Where the long form was written.
    prices: Path
    report: ImportReport
    case: Case


def import_crash(crash: Crash, data: Path, scratch: Path) -> Imported:
    """Import a crash's file into ``scratch`` and draw its population."""
    output = scratch / f"{crash.name}.parquet"
    report = convert_bars([data / crash.file], output, layout=crash.layout, timeframes=crash.timeframes, markets=dict(crash.markets))
    return Imported(crash, output, report, _case(crash, output, crash.steps))


def _case(crash: Crash, path: Path, steps: int, variant: Variant = VARIANTS[0]) -> Case:
    venue, parameters = variant.venue(crash.load_venue()), default_parameters()
    assert parameters.accounts == ACCOUNTS, "the bundled population must have the declared number of accounts"
    prices = read_prices(path, venue, steps=steps, start_ns=time_ns_of(crash.start), end_ns=time_ns_of(crash.end))
    return case_of_population(venue, prices, parameters, SEED)


def fund_paid_walked_coarsely(imported: Imported) -> str:
    """Return what the fund pays, impact off, where every bar is walked in a few marks only."""
    result = replay_case(_case(imported.crash, imported.prices, COARSE_STEPS))
    return str(next(row["paid"] for row in result.as_json()["stages"] if row["name"] == "fund"))


def run_crash(imported: Imported, variant: Variant, scratch: Path) -> dict[str, Any]:
    """Replay a crash in one variant, verify its journal, look at everyone after every mark; return
    the figures.
    """
    crash = imported.crash
    case = _case(crash, imported.prices, crash.steps, variant)
    journal = scratch / f"{crash.name}.db"
    result = replay_case(case, impact=variant.impact, journal_path=journal, overwrite=True)
    report = verify(journal)
    spans = [(time_ns_of(watch.start), time_ns_of(watch.end)) for watch in crash.watches]
    seen = scan_journal(case, journal, spans)
    for leftover in scratch.glob(f"{crash.name}.db*"):
        leftover.unlink()
    return {
        "crash": crash.name,
        "variant": variant.name,
        **_inputs(imported._replace(case=case)),
        **_figures(case, result),
        "scan_defaults": seen.defaults,
        "scan_differs": seen.differ,
        "scan_left_out": seen.left_out,
        "insolvent_at_once": seen.insolvent_at_once,
        "watched": [
            {"what": watch.what, "start": watch.start, "end": watch.end, "default_entries": count}
            for watch, count in zip(crash.watches, seen.entries, strict=True)
        ],
        "journal_findings": len(report.findings),
        "journal_events_replayed": report.events_replayed,
        "conditions": machine(),
    }


def _first_ticks(prices: Prices, number: int) -> int:
    return prices.markets[number].first_mark_ticks if number in prices.markets else 0


def _inputs(imported: Imported) -> dict[str, Any]:
    """Return what was read and what it meets."""
    crash, report, case = imported.crash, imported.report, imported.case
    venue, prices = case.venue, case.prices
    positions = case.opening[case.opening["kind"] == EventKind.POSITION]
    marks = np.array([_first_ticks(prices, number) for number in range(len(venue.markets))], dtype=np.int64)
    factor = np.array([market.notional_factor for market in venue.rules.markets], dtype=np.int64)
    worth = np.abs(positions["lots"]) * marks[positions["market"]] * factor[positions["market"]]
    depth = [sum(book.depth_lots) * int(marks[number]) * int(factor[number]) for number, book in enumerate(venue.books)]
    return {
        "file": crash.file,
        "import_notes": [note.removeprefix(f"{report.files[0]}: ") for note in report.notes],
        "file_bars": report.rows_written,
        "file_bars_widened": report.bars_widened,
        "file_bars_other_timeframe": report.rows_other_timeframe,
        "start": crash.start,
        "end": crash.end,
        "steps": crash.steps,
        "bars": sum(market.rows for market in prices.markets.values()),
        "bars_missing": sum(market.bars_missing for market in prices.markets.values()),
        "prices_rounded": sum(market.prices_rounded for market in prices.markets.values()),
        "markets": [
            {
                "symbol": market.symbol,
                "timeframe_seconds": market.timeframe_ns // 1_000_000_000,
                "bars": market.rows,
                "change_to_low_percent": _change(prices, number, np.min),
                "change_to_high_percent": _change(prices, number, np.max),
            }
            for number, market in prices.markets.items()
        ],
        "venue": crash.venue or "bundled",
        "venue_hash": venue.hash,
        "seed": SEED,
        "open_notional": _text(venue, int(worth.sum())),
        "book_depth": _text(venue, sum(depth)),
        "book_depth_percent_of_open": round(100 * sum(depth) / int(worth.sum()), 2),
    }


def _figures(case: Case, result: ReplayResult) -> dict[str, Any]:
    """Return what the run came to."""
    values, tally = result.as_json(), result.tally
    stages = {row["name"]: row for row in values["stages"]}
    nothing = {"accounts": 0, "notional": _text(case.venue, 0), "paid": _text(case.venue, 0)}
    takeover, machines = stages.get("takeover", nothing), tally.breakers.machines.values()
    spent = [machine.spent_until(result.last_ns) for machine in machines]
    return {
        "impact": "on" if result.impact else "off",
        "accounts": result.accounts,
        "events": result.events,
        "effects": tally.effects,
        "defaults": tally.defaults,
        "defaults_percent": round(100 * tally.defaults / result.accounts, 2),
        "default_entries": tally.default_entries,
        "closed_on_book": stages["closeout"]["notional"],
        "taken_over": takeover["notional"],
        "takeover_accounts": takeover["accounts"],
        "takeover_below_mark": values["takeover"]["below_mark"],
        "takeover_support": values["takeover"]["support"],
        "provider_profit": _text(case.venue, sum(standing.profit for standing in result.standings)),
        "provider_failures": values["takeover"]["failures"],
        "providers_at_end": {row["name"]: row["status"] for row in values["providers"]},
        "disposed": values["disposal"]["notional"],
        "netted": values["netting"]["amount"],
        "fund_opening": values["fund"]["opening"],
        "fund_closing": values["fund"]["closing"],
        "fund_paid": stages["fund"]["paid"],
        "fund_accounts": stages["fund"]["accounts"],
        "liquidation_fees": values["liquidation_fees"],
        "adl_accounts": stages["adl"]["accounts"],
        "adl_notional": stages["adl"]["notional"],
        "adl_paid": stages["adl"]["paid"],
        "adl_counterparties": values["adl_counterparties"],
        "charged": values["socialise"]["charged"],
        "torn_up": stages["tear_up"]["notional"],
        "uncovered": values["uncovered"],
        "deficit": values["deficit"],
        "halted": values["halted"],
        "breaker_transitions": values["breakers"]["transitions"],
        "not_open": values["breakers"]["not_open"],
        "market_seconds_throttled": _seconds(spent, BreakerState.THROTTLED),
        "market_seconds_halted": _seconds(spent, BreakerState.HALTED),
        "marks_held": values["guard"]["held"],
        "conserved": result.conservation.holds,
        "refused": values["refused"],
        "last": values["last"],
        "digest": result.digest,
        "engine_seconds": round(result.engine_seconds, 3),
        "events_per_second": round(result.events / result.engine_seconds),
    }


def _seconds(spent: list[dict[BreakerState, int]], state: BreakerState) -> float:
    """Return the seconds in a state, over all breakers."""
    return sum(row.get(state, 0) for row in spent) / 1e9


def _number(money: str) -> float:
    return float(money.split()[0])


def _text(venue: Venue, atoms: int) -> str:
    return f"{venue.asset.text(atoms)} {venue.asset.name}"


def _change(prices: Prices, number: int, extreme: Callable[[Any], Any]) -> float:
    events = prices.events[(prices.events["market"] == number) & (prices.events["kind"] == EventKind.MARK)]
    ticks = events["price_ticks"]
    return round(100 * (int(extreme(ticks)) / int(ticks[0]) - 1), 2)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _run_all(crashes: list[Crash], data: Path | None, say: Say) -> dict[str, dict[str, Any]]:
    runs: dict[str, dict[str, Any]] = {}
    for crash in crashes:
        if data is None or not (data / crash.file).is_file():
            why = "BACKSTOP_DATA names no folder" if data is None else f"{crash.file} is not in the folder that BACKSTOP_DATA names"
            print(f"left out: {crash.name}: {why}", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="backstop-crashes-") as folder:
            imported = import_crash(crash, data, Path(folder))
            coarsely = fund_paid_walked_coarsely(imported)
            for variant in VARIANTS:
                run = run_crash(imported, variant, Path(folder))
                if variant is VARIANTS[0]:
                    run["fund_paid_walked_coarsely"] = coarsely
                runs[f"{crash.name}, {variant.name}"] = run
                shares = f"{run['defaults']:,} defaults ({run['defaults_percent']} %), fund paid {run['fund_paid']}"
                say(f"{crash.name}, {variant.name}: {shares}, digest {run['digest'][:16]}")
    return runs


def main() -> int:
    """Run the crashes asked for and write the figures; exit code 1 where a check does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help=f"crashes to run, of {', '.join(crash.name for crash in CRASHES)}; all where none is given")
    options = parser.parse_args()
    unknown = sorted(set(options.only) - {crash.name for crash in CRASHES})
    if unknown:
        parser.error(f"unknown crash {', '.join(unknown)}: must be one of {', '.join(crash.name for crash in CRASHES)}")
    chosen = [crash for crash in CRASHES if not options.only or crash.name in options.only]
    data = data_folder()
    if any(data is not None and (data / crash.file).is_file() for crash in chosen):
        warm()
    runs = _run_all(chosen, data, _say)
    if not runs:
        print("nothing was run, nothing was written")
        return 0
    stored: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    stored |= runs
    stored = {key: stored[key] for key in known_runs() if key in stored}
    RESULTS.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(stored), encoding="utf-8")
    broken = [key for key, run in runs.items() if not is_sound(run)]
    for key in broken:
        print(f"NOT SOUND: {key}: conservation, journal, refusals or the scan of all accounts")
    print(f"written: {RESULTS.relative_to(ROOT)}, {PAGE.relative_to(ROOT)}")
    return int(bool(broken))


def known_runs() -> list[str]:
    """Return the keys of all runs, in the order of the page."""
    return [f"{crash.name}, {variant.name}" for crash in CRASHES for variant in VARIANTS]


def is_sound(run: dict[str, Any]) -> bool:
    """Return whether a run kept what every run must keep."""
    return bool(run["conserved"] and run["journal_findings"] == 0 and not run["refused"] and run["scan_differs"] == 0)


if __name__ == "__main__":
    sys.exit(main())
