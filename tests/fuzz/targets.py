"""Every fuzzed reader, and its share of the inputs: less for those that take longer."""

from __future__ import annotations

from tests.fuzz.accounts import fuzz_accounts, fuzz_collateral
from tests.fuzz.imports import fuzz_import
from tests.fuzz.journals import fuzz_journal, fuzz_recovery, fuzz_snapshot
from tests.fuzz.prices import fuzz_prices
from tests.fuzz.target import Target
from tests.fuzz.tomls import fuzz_population, fuzz_scenario, fuzz_venue
from tests.journal.runs import crash

__all__ = ["TARGETS"]

TARGETS = (
    Target("venue", fuzz_venue, 17),
    Target("population", fuzz_population, 10),
    Target("scenario", fuzz_scenario, 5),
    Target("prices", fuzz_prices, 22),
    Target("accounts", fuzz_accounts, 11),
    Target("collateral", fuzz_collateral, 9),
    Target("import", fuzz_import, 11),
    Target("journal", fuzz_journal, 7, crash),
    Target("recovery", fuzz_recovery, 3, crash),
    Target("snapshot", fuzz_snapshot, 5, crash),
)
