"""Venues for ``Engine``: of the docs' example, and around the rules of random streams."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from backstop.config.venue import Asset, MarketSpec, Venue
from backstop.core.engine import step
from backstop.core.instruments import VenueRules
from backstop.core.state import new_state
from backstop.engine import AccountEvent, DepthEvent, Engine, Event, FillEvent, MarkEvent, TransferEvent, event
from backstop.reference.records import events_array
from tests.streams.random_streams import make_stream

__all__ = ["BTC", "SECOND_NS", "VENUE", "engine_in", "story", "venue_of"]

#: Small, for accounts of two people; the docs have the same.
VENUE = """
[venue]
name = "example"

[asset]
name = "USDT"
decimals = 2

[limits]
accounts_max = 16
positions_max = 64
orders_max = 64
effects_max = 1024

[[waterfall]]
stage = "restrict"

[[waterfall]]
stage = "closeout"

[[waterfall]]
stage = "fund"
opening_balance = "0"

[[waterfall]]
stage = "adl"

[[waterfall]]
stage = "tear_up"

[[market]]
symbol = "BTC/USDT:USDT"
price_tick = "0.1"
quantity_lot = "0.1"
contract_size = 1
price_max = "10000"
position_max = "1000"
slippage_tolerance_ppm = 20000
band_offset_ppm = [1000, 10000]
tiers = [{ floor = 0, initial_rate_ppm = 100000, maintenance_rate_ppm = 50000 }]

[market.book]
depth = ["5", "20"]
"""

BTC, SECOND_NS = "BTC/USDT:USDT", 1_000_000_000
ALICE, BOB = 0, 1


def story() -> list[Event]:
    """Return what happens at the venue: alice buys 2 BTC at 100.0 from bob, and the price falls."""
    told = [
        event(MarkEvent, 0, market=BTC, price_ticks=1_000),
        event(DepthEvent, 0, market=BTC, side="bid", band=0, lots=50),
        event(AccountEvent, 0, account=ALICE, owner=0),
        event(AccountEvent, 0, account=BOB, owner=1),
        event(TransferEvent, 0, account=ALICE, amount=25_00, code="cash"),
        event(TransferEvent, 0, account=BOB, amount=1_000_00, code="cash"),
        event(FillEvent, SECOND_NS, account=ALICE, counterpart=BOB, market=BTC, lots=20, price_ticks=1_000),
    ]
    return told + [event(MarkEvent, (2 + step) * SECOND_NS, market=BTC, price_ticks=1_000 - 10 * step) for step in range(1, 10)]


def venue_of(rules: VenueRules) -> Venue:
    """Return a venue with these rules and invented names."""
    markets = tuple(
        MarketSpec(
            f"M{number}/USDT:USDT",
            *(Decimal(1), Decimal(1), Decimal(1)),
            each.notional_factor,
            each.price_ticks_max,
            each.position_lots_max,
            each.contract.kind,
            each.price_ticks_min,
        )
        for number, each in enumerate(rules.markets)
    )
    groups = tuple(f"group {number}" for number in range(len(rules.funds)))
    return Venue(
        name="stream",
        text="",
        hash="",
        resolved={},
        rules=rules,
        assets=(Asset("USDT", 2),),
        markets=markets,
        books=(),
        groups=groups,
        fund_opening_atoms=(0,) * len(groups),
        providers=(),
        provider_latency_ns=0,
        provider_answer=0,
    )


def engine_in(seed: int, profile: str = "") -> Engine | None:
    """Return an engine somewhere in a random stream; None where the stream stops it."""
    rules, listed = make_stream(seed, profile)
    events = events_array(listed)[: Random(seed).randrange(len(listed) // 2, len(listed))]
    state, place = new_state(rules), 0
    while place < len(events):
        try:
            place = int(step(state, events, place))
        except OverflowError:
            return None
        state.engine[0].effects_now = 0
    return Engine(venue_of(rules), state=state)
