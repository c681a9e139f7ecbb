"""A small venue with its world, and short hands for the tests beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import EVENT, NONE, EventKind, Transfer
from backstop.core.instruments import CloseoutRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.markets.port import next_ns, respond
from backstop.markets.world import DEPTH_STEP, World, new_world

SECOND = 1_000_000_000
#: Latency of the small venue's books.
LATENCY = 50_000_000


class Book(NamedTuple):
    """The simulated book of one market."""

    depth_lots: tuple[int, ...] = (100, 200, 300)
    recovery_ppm_per_second: int = 100_000
    permanent_impact_ppm: int = 200_000
    latency_ns: int = LATENCY


def small_rules(markets: int = 2, *, effects_max: int = 1 << 16, orders_max: int = 1 << 10) -> VenueRules:
    """Return a venue of equal markets: 10 atoms a tick a lot, two tiers, bands at 100, 500 and
    2,000 ppm.
    """
    tiers = (TierRules(0, 100_000, 50_000), TierRules(500_000_000, 200_000, 100_000))
    market = MarketRules(10, 1_000_000, 100_000, tiers, (100, 500, 2_000), 2_000)
    limits = LimitRules(accounts_max=4096, positions_max=8192, orders_max=orders_max, effects_max=effects_max)
    return VenueRules(markets=(market,) * markets, closeout=CloseoutRules(depth_share_ppm=500_000), limits=limits)


def small_world(markets: int = 1, *, impact: bool = False, book: Book | None = None, mark_ticks: int = 100_000, **rest: Any) -> World:
    """Return a world at time 0 with reported depth and set marks."""
    world = new_world(small_rules(markets), [book or Book()] * markets, start_ns=0, impact=impact, **rest)
    world.books["mark_ticks"] = mark_ticks
    for _ in range(markets):
        say(world)
    return world


def say(world: World) -> list[Any]:
    """Return what the venue says next, and take it as heard."""
    respond(world, next_ns(world))
    control = world.control[0]
    rows = [row.copy() for row in world.answers[: int(control.answers_now)]]
    control.answers_next = control.answers_now
    return rows


def steps(*rows: tuple[int, int, int]) -> NDArray[np.void]:
    """Return a depth schedule from (seconds, market, ppm)."""
    return np.array([(seconds * SECOND, market, ppm) for seconds, market, ppm in rows], dtype=DEPTH_STEP)


def event(kind: EventKind, time_ns: int = 0, **named: int) -> NDArray[np.void]:
    """Return one event row; market and account are NONE unless named."""
    row = np.zeros(1, dtype=EVENT)
    row["kind"], row["time_ns"], row["market"], row["account"] = kind, time_ns, NONE, NONE
    for name, value in named.items():
        row[name] = value
    return row


def opening(accounts: int, lots: int, mark_ticks: int, collateral: int, market: int = 0) -> NDArray[np.void]:
    """Return the events that open equal accounts, every second one short."""
    rows = [event(EventKind.MARK, market=market, price_ticks=mark_ticks)]
    for account in range(accounts):
        signed = lots if account % 2 == 0 else -lots
        rows.append(event(EventKind.ACCOUNT, account=account, other=account))
        rows.append(event(EventKind.TRANSFER, account=account, amount=collateral, code=Transfer.CASH))
        rows.append(event(EventKind.POSITION, account=account, market=market, lots=signed, amount=signed * mark_ticks * 10))
    return np.concatenate(rows)


def marks(seconds: int, prices: list[int], market: int = 0) -> NDArray[np.void]:
    """Return one MARK a second, from ``seconds`` on."""
    return np.concatenate([event(EventKind.MARK, (seconds + n) * SECOND, market=market, price_ticks=p) for n, p in enumerate(prices)])
