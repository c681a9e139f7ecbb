"""A venue that runs changes a fee, lists a market in its spare place, and ends it again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from backstop import Engine, Venue
from backstop.config.changes import way_between
from backstop.engine import (
    AccountEvent,
    ClockEvent,
    Event,
    FillEvent,
    ListingEffect,
    ListingEvent,
    MarkEvent,
    ParameterEffect,
    ParameterEvent,
    RefusalEffect,
    SettlementEffect,
    SettlementEvent,
    TransferEvent,
    event,
)

HERE = Path(__file__).parent
BTC, SECOND_NS = "BTC/USDT:USDT", 1_000_000_000
#: The number of the market that takes the spare place.
LINK = 1
ALICE, BOB = 0, 1


def opening() -> Iterator[Event]:
    """Yield what the venue has before: one market, two accounts."""
    yield event(MarkEvent, 0, market=BTC, price_ticks=1_000)
    for account in (ALICE, BOB):
        yield event(AccountEvent, 0, account=account, owner=account)
        yield event(TransferEvent, 0, account=account, amount=1_000_0000, code="cash")


def way(old: Venue, new: Venue, time_ns: int) -> Iterator[Event]:
    """Yield the events of `backstop config diff OLD NEW`, in its order."""
    found = way_between(old, new)
    if not found.is_whole:
        raise SystemExit("no events lead all the way: see `backstop config diff`")
    for step in found.steps:
        place = {"market": step.market, "entry": step.entry, "part": step.part}
        yield event(ParameterEvent, time_ns, number=step.rule.number, value=step.new_value, from_ns=0, **place)
    for market in found.listings:
        yield event(ListingEvent, time_ns, market=market)


def tell(engine: Engine, events: list[Event]) -> None:
    """Apply events, and print what became of the rules and of the market."""
    effects = engine.apply(events)
    for refusal in RefusalEffect.each(effects):
        print(f"refused: {refusal.reason.name}")
    changed = [each.status.name for each in ParameterEffect.each(effects)]
    if changed:
        print(f"{len(changed)} changes, all {' and '.join(sorted(set(changed)))}")
    for listed in ListingEffect.each(effects):
        print(f"market {listed.market} is listed")
    for settled in SettlementEffect.each(effects):
        print(f"settlement of market {settled.market}: {settled.source.name}")


def main(folder: str) -> None:
    """Print what the page shows."""
    old, new = Venue.load(HERE / "venue-spare.toml"), Venue.load(HERE / "venue-link.toml")
    with Engine(old, journal=folder) as engine:
        engine.apply(list(opening()))
        tell(engine, [event(MarkEvent, SECOND_NS, market=LINK, price_ticks=15_000)])
        tell(engine, list(way(old, new, 2 * SECOND_NS)))
        tell(engine, [event(MarkEvent, 3 * SECOND_NS, market=LINK, price_ticks=15_000)])
        engine.apply([event(FillEvent, 4 * SECOND_NS, account=ALICE, counterpart=BOB, market=LINK, lots=200, price_ticks=15_000)])
        print(f"alice holds {engine.positions(ALICE)[0].lots} lots")
        tell(engine, [event(SettlementEvent, 5 * SECOND_NS, market=LINK, price_ticks=16_000), event(ClockEvent, 6 * SECOND_NS)])
        print(f"alice holds {len(engine.positions(ALICE))} positions, equity {old.asset.text(engine.account(ALICE).equity_atoms)}")


if __name__ == "__main__":
    with ExitStack() as stack:
        main(sys.argv[1] if len(sys.argv) == 2 else stack.enter_context(TemporaryDirectory()))
