"""A run to be killed: ``python -m tests.journal.killed JOURNAL`` begins it, or goes on with what
the journal holds.

Standard output gets a line at each step of its progress, and at the end its digest.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from backstop.config import default_text, parse_venue
from backstop.markets.population import default_parameters
from backstop.markets.scenarios import scenario
from backstop.runs.cases import Case, case_of_population, scenario_prices
from backstop.runs.replay import ReplayResult, replay

#: A snapshot every so many batches of some 4,000 events: several in a run, and a tail behind each.
SNAPSHOT_EVERY = 3


def small_case(name: str = "2025-10-10") -> Case:
    """Return a bundled crash, with 2,000 accounts."""
    venue = parse_venue(default_text(), "bundled venue")
    prices, schedule = scenario_prices(venue, scenario(name), 1)
    return case_of_population(venue, prices, replace(default_parameters(), accounts=2_000), 1, schedule)


def run(path: Path) -> ReplayResult:
    """Run the case to its end, into a new journal or on with the one that is there."""
    case = small_case()

    def progress(*_: int) -> None:
        sys.stdout.write("moving\n")
        sys.stdout.flush()

    return replay(
        case.venue,
        case.prices.events,
        case.opening,
        schedule=case.schedule,
        names=case.names,
        journal_path=path,
        seed=case.seed,
        resume=True,
        snapshot_every=SNAPSHOT_EVERY,
        progress=progress,
    )


if __name__ == "__main__":
    sys.stdout.write(f"{run(Path(sys.argv[1])).digest}\n")
