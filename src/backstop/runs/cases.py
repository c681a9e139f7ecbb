"""What a replay is made of: prices, the opening of the accounts, the depth of the books.

Puts together what the readers of files and the simulated markets give; runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import EventArray, EventKind
from backstop.feeds.accounts import AccountBook
from backstop.feeds.errors import FeedError
from backstop.feeds.opening import accounts_open_ns, market_opening, opening_events, provider_opening
from backstop.feeds.prices import Prices, prices_of_events
from backstop.journal import Names
from backstop.journal.inputs import input_details, input_files, sha256_of
from backstop.markets.paths import depth_schedule, path_marks
from backstop.markets.population import PopulationError, PopulationParameters, population_events
from backstop.markets.scenarios import Scenario, scenario, scenario_names

__all__ = ["Case", "case_of_book", "case_of_population", "hashed_inputs", "scenario_prices", "title_of"]


@dataclass(frozen=True, slots=True)
class Case:
    """All that happens outside of the engine and its book, from the opening on."""

    venue: Venue
    opening: EventArray
    prices: Prices
    names: Names
    #: Depth of the books over time; None: as the venue file says.
    schedule: NDArray[np.void] | None = None
    seed: int | None = None
    #: What was read of the accounts, and what did not fit.
    accounts_report: dict[str, Any] = field(default_factory=dict)
    #: Kept with the journal.
    details: dict[str, str] = field(default_factory=dict)

    @property
    def feeds(self) -> dict[str, Any]:
        """What was read and did not fit: prices, accounts, opening imbalance; as plain values."""
        markets = self.venue.markets
        imbalance = {markets[number].symbol: markets[number].quantity_text(lots) for number, lots in self.opening_imbalance.items()}
        return {
            "prices": self.prices.report.as_json() | {"markets": [market.as_json() for market in self.prices.markets.values()]},
            "accounts": self.accounts_report,
            "opening_imbalance": imbalance,
        }

    @property
    def opening_imbalance(self) -> dict[int, int]:
        """Lots that OUTSIDE holds after the opening, by number of the market; only those that are
        not 0.
        """
        positions = self.opening[self.opening["kind"] == EventKind.POSITION]
        lots = {
            number: -sum(positions["lots"][positions["market"] == number].tolist()) for number in np.unique(positions["market"]).tolist()
        }
        return {number: held for number, held in lots.items() if held}


def case_of_book(venue: Venue, prices: Prices, book: AccountBook) -> Case:
    """Return the case of accounts from files; raise ``FeedError`` where a position has no price."""
    names = _with_providers(venue, book.accounts, book.owners)
    return Case(venue, opening_events(venue, book, prices), prices, names, accounts_report=book.report.as_json())


def _with_providers(venue: Venue, accounts: Sequence[str], owners: Sequence[str]) -> Names:
    """Return the names of all accounts and owners, those of the providers last."""
    providers = tuple(provider.name for provider in venue.providers)
    return Names((*accounts, *providers), (*owners, *providers))


def case_of_population(
    venue: Venue, prices: Prices, parameters: PopulationParameters, seed: int, schedule: NDArray[np.void] | None = None
) -> Case:
    """Return the case of a seeded population on every market that has a price.

    Raises ``PopulationError`` where the venue has no room for it, and ``SeveralAssetsError`` where it has
    several assets.
    """
    venue.need_one_asset("a generated population")
    _check_room(venue, parameters)
    symbols = [market.symbol for market in venue.markets]
    # A market without a price gets nobody; its mark is never read.
    without = {symbol: 0.0 for number, symbol in enumerate(symbols) if number not in prices.markets}
    marks = [prices.markets[number].first_mark_ticks if number in prices.markets else 1 for number in range(len(symbols))]
    opening_ns = accounts_open_ns(prices.start_ns)
    population = population_events(
        venue.rules,
        symbols,
        10**venue.asset.decimals,
        replace(parameters, shares={**parameters.shares, **without}),
        marks,
        seed,
        opening_ns,
    )
    providers = provider_opening(venue, len(population.account_names), len(population.owner_names), opening_ns)
    positions = int((population.events["kind"] == EventKind.POSITION).sum())
    report = {"accounts": len(population.account_names), "owners": len(population.owner_names), "positions": positions, "seed": seed}
    return Case(
        venue,
        np.concatenate([market_opening(venue, prices), population.events, providers]),
        prices,
        _with_providers(venue, population.account_names, population.owner_names),
        schedule=schedule,
        seed=seed,
        accounts_report=report,
    )


def _check_room(venue: Venue, parameters: PopulationParameters) -> None:
    """Refuse a population beside which the accounts of the providers find no room."""
    most, providers = venue.rules.limits.accounts_max, len(venue.providers)
    if providers and parameters.accounts + providers > most:
        raise PopulationError(
            f"accounts = {parameters.accounts}: must be at most {most - providers}, so that {providers} providers"
            f" find room within limits.accounts_max, {most}"
        )


def scenario_prices(venue: Venue, crash: Scenario, seed: int) -> tuple[Prices, NDArray[np.void]]:
    """Return a seeded path through a scenario's pins, on the markets that the venue has of it, and
    the depth of the books.
    """
    numbers = [number for number, market in enumerate(venue.markets) if market.symbol in crash.symbols]
    if not numbers:
        raise ValueError(f"the venue has no market of scenario {crash.name}: it must have one of {', '.join(crash.symbols)}")
    markets: Sequence[Any] = [venue.markets[number] for number in numbers]
    events = path_marks(crash, [market.symbol for market in markets], [market.price_tick for market in markets], seed)
    events["market"] = np.array(numbers, dtype=np.int32)[events["market"]]
    return prices_of_events(venue, events, f"scenario {crash.name}"), depth_schedule(crash, len(venue.markets))


@contextmanager
def hashed_inputs(**inputs: Sequence[Path | None]) -> Iterator[dict[str, str]]:
    """Give the block a dict that has, when the block ends, name and SHA-256 of each input, for the
    journal's manifest.

    The block reads the files. Each is hashed before and after it, so that the manifest names the
    bytes that were read. ``inputs``: files by noun (of ``journal.inputs.INPUTS``). Raises
    ``FeedError`` where a file changed meanwhile, and ``OSError``.
    """
    files = {noun: [path for path in paths if path is not None] for noun, paths in inputs.items()}
    before = {path: sha256_of(path) for paths in files.values() for path in paths if path.is_file()}
    details: dict[str, str] = {}
    yield details
    for noun, paths in files.items():
        details |= input_details(noun, paths)
        for path, read in zip(paths, input_files(details, noun), strict=True):
            if read != before.get(path):
                raise FeedError(path, "changed while it was read", "must stay as it is until it was read: run again")


def title_of(venue: Venue, details: Mapping[str, str]) -> str:
    """Return what a run is called: its scenario, or its venue and files; empty where ``details``
    name neither.

    ``details``: as a journal keeps them.
    """
    if "scenario" in details:
        name = details["scenario"]
        return scenario(name).title if name in scenario_names() else name
    files, number = [], 1
    while (key := "prices_file" if number == 1 else f"prices_{number}_file") in details:
        files.append(details[key])
        number += 1
    return f"{venue.name}: {', '.join(files)}, impact {details.get('impact', 'off')}" if files else ""
