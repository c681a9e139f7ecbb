"""What a loss stop saves a provider, and what it costs: ``python -m benchmarks.provider_stops``.

Each bundled crash runs with three seeds, with the loss stops of the bundled venue and with none. A
row is a provider that lost its stop in one of both: its profit at its worst moment and at the end of
the path, and what funds paid for defaulters, in millions of USDT. The rows are those of docs/decisions/0046-providers-that-stop.md.
"""

from __future__ import annotations

import copy
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backstop.config import Venue, default_text, parse_venue
from backstop.core.events import Cause, EffectKind, EventKind
from backstop.journal.reader import open_journal
from backstop.markets.population import default_parameters
from backstop.markets.scenarios import scenario, scenario_names
from backstop.runs.cases import case_of_population, scenario_prices
from backstop.runs.replay import replay_case
from benchmarks.crash_variants import variant_of

SEEDS = (1, 2, 3)
MILLION = 10**12


class Profit(NamedTuple):
    """A provider's profit on a path. Atoms."""

    worst: int
    end: int


class Outcome(NamedTuple):
    """What a run came to."""

    #: By provider.
    profits: dict[int, Profit]
    #: By funds, for defaulters. Atoms.
    paid: int


def without_stops(resolved: dict[str, Any]) -> dict[str, Any]:
    """Return a venue whose providers never stop."""
    changed = copy.deepcopy(resolved)
    for provider in changed["provider"]:
        provider.pop("loss_stop", None)
    return changed


def profits_of(path: Path, venue: Venue) -> Outcome:
    """Follow the providers of a journal from mark to mark."""
    provider_of, marks, profits, paid = dict[int, int](), dict[int, int](), dict[int, Profit](), 0
    lots, cash = defaultdict[tuple[int, int], int](int), defaultdict[int, int](int)

    def note(account: int) -> None:
        held = ((market, number) for (holder, market), number in lots.items() if holder == account and number)
        gained = cash[account] + sum(number * marks[market] * venue.rules.markets[market].notional_factor for market, number in held)
        worst = profits.get(account, Profit(0, 0)).worst
        profits[account] = Profit(min(worst, gained), gained)

    with open_journal(path) as journal:
        for batch in journal.batches():
            events = batch.events[np.isin(batch.events["kind"], (EventKind.MARK, EventKind.PROVIDER))]
            for event in events[events["kind"] == EventKind.PROVIDER]:
                provider_of[int(event["account"])] = int(event["other"])
            effects = batch.effects
            support = (effects["kind"] == EffectKind.POSTING) & np.isin(effects["code"], (Cause.SUPPORT, Cause.DEFICIT))
            paid += int(effects["amount"][support].sum())
            trades = effects[(effects["kind"] == EffectKind.TRADE) & np.isin(effects["account"], list(provider_of))]
            steps = [(int(row["seq"]), False, row) for row in events] + [(int(row["seq"]), True, row) for row in trades]
            for _, is_trade, row in sorted(steps, key=lambda step: step[:2]):
                if is_trade:
                    account = int(row["account"])
                    lots[account, int(row["market"])] += int(row["lots"])
                    cash[account] += int(row["amount"])
                elif row["kind"] == EventKind.MARK:
                    marks[int(row["market"])] = int(row["price_ticks"])
                    for account in provider_of:
                        note(account)
        for account in provider_of:
            note(account)
    return Outcome({provider_of[account]: profit for account, profit in profits.items()}, paid)


def run(name: str, seed: int, venue: Venue) -> Outcome:
    """Run a bundled crash on a venue."""
    prices, schedule = scenario_prices(venue, scenario(name), seed)
    case = case_of_population(venue, prices, default_parameters(), seed, schedule)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        replay_case(case, journal_path=path)
        return profits_of(path, venue)


def main() -> None:
    """Print the table."""
    stops = parse_venue(default_text(), "bundled venue")
    none = variant_of(stops, without_stops, "no loss stops")
    print("| crash, seed | provider | worst, stop | worst, none | end, stop | end, none | funds paid, stop | funds paid, none |")
    print("|---|---|---|---|---|---|---|---|")
    for name in scenario_names():
        for seed in SEEDS:
            with_stop, without = run(name, seed, stops), run(name, seed, none)
            for number, profit in with_stop.profits.items():
                other = without.profits[number]
                if min(profit.worst, other.worst) <= -stops.rules.providers[number].loss_stop:
                    figures = (profit.worst, other.worst, profit.end, other.end, with_stop.paid, without.paid)
                    cells = " | ".join(f"{figure / MILLION:.2f}" for figure in figures)
                    print(f"| {name}, {seed} | {stops.resolved['provider'][number]['name']} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
