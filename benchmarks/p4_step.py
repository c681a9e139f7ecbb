"""The engine's step against the same rules in plain Python: 60 % fills, 39 % transfers, 1 %
marks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.digest import state_digest
from backstop.core.events import EVENT, NONE, EventKind
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Event
from benchmarks.book import FIRST_MARK_TICKS, Book, load, make_book, opened_state, opening_events, venue_rules

SEED = 20251011


def stream(book: Book, accounts: int, markets: int, count: int, first_seq: int) -> NDArray[np.void]:
    """Return a stream: fills between two holders of a market, deposits and withdrawals, marks of 2
    bp steps.
    """
    random = np.random.Generator(np.random.PCG64(SEED))
    rows = np.zeros(count, dtype=EVENT)
    rows["seq"] = first_seq + np.arange(count)
    rows["market"] = rows["account"] = NONE
    kind = random.choice([EventKind.FILL, EventKind.TRANSFER, EventKind.MARK], size=count, p=[0.60, 0.39, 0.01]).astype(np.int16)
    rows["kind"] = kind
    fill, transfer, mark = (kind == wanted for wanted in (EventKind.FILL, EventKind.TRANSFER, EventKind.MARK))
    order = np.argsort(book.market, kind="stable")
    edges = np.searchsorted(book.market[order], np.arange(markets + 1))
    own = random.integers(0, len(book.lots), count)
    market = book.market[own]
    other = order[edges[market] + (random.random(count) * (edges[market + 1] - edges[market])).astype(np.int64)]
    rows["account"][fill], rows["other"][fill], rows["market"][fill] = book.account[own][fill], book.account[other][fill], market[fill]
    rows["lots"][fill] = (random.integers(1, 4, count) * random.choice([-1, 1], count))[fill]
    rows["price_ticks"][fill] = (FIRST_MARK_TICKS + random.integers(-20, 21, count))[fill]
    rows["account"][transfer] = random.integers(0, accounts, count)[transfer]
    rows["amount"][transfer] = (random.integers(1, 10**8, count) * random.choice([-1, 1], count, p=[0.3, 0.7]))[transfer]
    moved = random.choice(markets, size=count, p=book.market_weight)
    ticks = FIRST_MARK_TICKS + np.round(20 * random.standard_t(3, size=count)).astype(np.int64)
    rows["market"][mark], rows["price_ticks"][mark] = moved[mark], ticks[mark]
    return rows


def _rate(accounts: int, markets: int, count: int) -> tuple[float, Any, Book, NDArray[np.void]]:
    """Return (events per second of the engine, its state, the book, the stream)."""
    book = make_book(accounts, accounts * 5 // 2, markets, SEED)
    state = opened_state(book, accounts, markets)
    rows = stream(book, accounts, markets, count, 10 * len(book.lots))
    load(state, rows[:100])
    started = time.perf_counter()
    load(state, rows[100:])
    return (count - 100) / (time.perf_counter() - started), state, book, rows


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of the two rates on one stream over 10,000 accounts; their states must be
    equal.
    """
    accounts, markets, count, many = (500, 20, 4_000, 5_000) if small else (10_000, 200, 400_000, 1_000_000)
    slow = 1_000 if small else 20_000
    rate, _, book, rows = _rate(accounts, markets, count)
    say(f"engine, {accounts:,} accounts: {rate:,.0f} events per second; the reference takes the first {slow:,} events")
    reference = ReferenceEngine(venue_rules(book, accounts, markets))
    for row in opening_events(book, accounts, markets).tolist():
        reference.apply(Event(*row))
    events = [Event(*row) for row in rows[:slow].tolist()]
    started = time.perf_counter()
    for event in events:
        reference.apply(event)
    slow_rate = slow / (time.perf_counter() - started)
    state = opened_state(book, accounts, markets)
    load(state, rows[:100])
    started = time.perf_counter()
    load(state, rows[100:slow])
    same_rate = (slow - 100) / (time.perf_counter() - started)
    equal = state_digest(state) == reference.digest()
    many_rate, _, _, _ = _rate(many, markets, count)
    return {
        "ratio": same_rate / slow_rate,
        "bar": 200,
        "sound": equal,
        "unit": "times the events per second of the same rules in plain Python",
        "figures": {
            "engine: events per second, the reference's events": same_rate,
            "engine: events per second, the whole stream": rate,
            f"engine: events per second, {many:,} accounts": many_rate,
            "reference: events per second": slow_rate,
            "digests equal after the reference's events": equal,
        },
        "conditions": {
            "accounts": accounts,
            "positions": len(book.lots),
            "markets": markets,
            "events": count,
            "events of the reference": slow,
            "mix": "60 % fills, 39 % transfers, 1 % marks",
            "seed": SEED,
            "excluded": "opening the book, compilation, journal",
        },
    }
