"""A seeded book of accounts for benchmarks: cross margin, many markets, lognormal leverage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.engine import step
from backstop.core.events import EVENT, NONE, EventKind
from backstop.core.instruments import LevelRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.state import State, new_state

#: Atoms of 1e-6, one tick x lot worth 1,000 of them: a market at 100,000 ticks has lots of 100
#: units of money.
NOTIONAL_FACTOR = 1_000
FIRST_MARK_TICKS = 100_000
PRICE_TICKS_MAX = 1_000_000
POSITION_LOTS_MAX = 4_000_000
TIERS = (
    TierRules(0, 10_000, 5_000),
    TierRules(50_000_000_000, 15_000, 6_500),
    TierRules(600_000_000_000, 20_000, 10_000),
    TierRules(3_000_000_000_000, 50_000, 20_000),
)


class Book(NamedTuple):
    """Positions by account (ascending) and market, with the collateral of each account."""

    account: NDArray[np.int64]
    market: NDArray[np.int64]
    lots: NDArray[np.int64]
    collateral: NDArray[np.int64]
    market_weight: NDArray[np.float64]


def make_book(accounts: int, positions: int, markets: int, seed: int, one_sided: bool = False) -> Book:
    """Draw a book: leverage lognormal (mean of log 1.2, deviation 0.8), markets by a power law,
    sizes lognormal.

    ``one_sided``: every account has one position, in market 0.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    weight: NDArray[np.float64] = np.asarray(1.0 / np.arange(1, markets + 1) ** 0.9, dtype=np.float64)
    weight /= weight.sum()
    count = np.ones(accounts, dtype=np.int64)
    if not one_sided:
        extra = random.integers(0, accounts, size=int((positions - accounts) * 1.15))
        count += np.bincount(extra, minlength=accounts)
    account = np.repeat(np.arange(accounts), count)
    market = random.choice(markets, size=len(account), p=weight)
    pairs = np.unique(account * markets + market)
    if len(pairs) > positions:
        first = np.r_[True, np.diff(pairs // markets) > 0]
        spare = np.flatnonzero(~first)
        pairs = np.delete(pairs, random.choice(spare, size=len(pairs) - positions, replace=False))
    account, market = pairs // markets, pairs % markets
    lots = np.clip(np.exp(random.normal(1.5, 1.6, size=len(pairs))).astype(np.int64) + 1, 1, POSITION_LOTS_MAX)
    lots *= np.where(random.random(len(pairs)) < 0.5, 1, -1)
    notional = np.abs(lots) * FIRST_MARK_TICKS * NOTIONAL_FACTOR
    gross = np.bincount(account, weights=notional.astype(np.float64), minlength=accounts)
    leverage = np.clip(np.exp(random.normal(1.2, 0.8, size=accounts)), 0.2, 40.0)
    return Book(account, market, lots, (gross / leverage).astype(np.int64), weight)


def venue_rules(book: Book, accounts: int, markets: int, effects_max: int = 1 << 22) -> VenueRules:
    """Return rules that hold the book: linear markets of four tiers."""
    market = MarketRules(
        notional_factor=NOTIONAL_FACTOR,
        price_ticks_max=PRICE_TICKS_MAX,
        position_lots_max=POSITION_LOTS_MAX if markets <= 200 else POSITION_LOTS_MAX // 8,
        tiers=TIERS,
        band_offset_ppm=(500, 1_000, 2_500, 5_000),
        slippage_tolerance_ppm=5_000,
    )
    limits = LimitRules(
        accounts_max=accounts,
        positions_max=len(book.lots) + accounts // 4 + 1024,
        orders_max=1 << 20,
        effects_max=effects_max,
    )
    return VenueRules(markets=(market,) * markets, levels=LevelRules(), limits=limits)


def opening_events(book: Book, accounts: int, markets: int) -> NDArray[np.void]:
    """Return the events that open the book: marks, accounts, collateral, positions."""
    rows = np.zeros(markets + 2 * accounts + len(book.lots), dtype=EVENT)
    rows["seq"] = np.arange(len(rows))
    rows["account"] = rows["market"] = NONE
    marks = rows[:markets]
    marks["kind"], marks["market"], marks["price_ticks"] = EventKind.MARK, np.arange(markets), FIRST_MARK_TICKS
    opened = rows[markets : markets + accounts]
    opened["kind"], opened["account"], opened["other"] = EventKind.ACCOUNT, np.arange(accounts), np.arange(accounts)
    paid = rows[markets + accounts : markets + 2 * accounts]
    paid["kind"], paid["account"], paid["amount"] = EventKind.TRANSFER, np.arange(accounts), book.collateral
    held = rows[markets + 2 * accounts :]
    held["kind"], held["account"], held["market"], held["lots"] = EventKind.POSITION, book.account, book.market, book.lots
    held["amount"] = book.lots * FIRST_MARK_TICKS * NOTIONAL_FACTOR
    return rows


def load(state: State, events: NDArray[np.void]) -> None:
    """Apply events and drop their effects."""
    index = 0
    while index < len(events):
        index = int(step(state, events, index))
        state.engine[0].effects_now = 0


def opened_state(book: Book, accounts: int, markets: int, effects_max: int = 1 << 22) -> State:
    """Return an engine with the book open."""
    state = new_state(venue_rules(book, accounts, markets, effects_max))
    load(state, opening_events(book, accounts, markets))
    return state
