"""The engine beside a matching engine: trades and marks in, orders out; it is killed, and goes on from its journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory

from backstop import Engine, Venue
from backstop.engine import (
    AccountEvent,
    DepthEvent,
    Event,
    FillEvent,
    MarkEvent,
    OrderEffect,
    OrderFillEvent,
    RefusalEffect,
    TransferEvent,
    event,
)

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
#: Events that the first process takes.
BEFORE_THE_KILL = 9


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


def serve(folder: str) -> None:
    """Be a venue until killed: what ``apply`` returned is on the disk, and is said."""
    engine = Engine(Venue.parse(VENUE), journal=folder)
    for each in story()[:BEFORE_THE_KILL]:
        engine.apply([each])
        print(engine.last_seq, flush=True)
    sys.stdin.read()


def kill_a_server(folder: str) -> None:
    """Let another process serve, and kill it when it has said its last word."""
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=paths) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(BEFORE_THE_KILL)]
        server.send_signal(signal.SIGKILL)
    print(f"killed after seq {said[-1].strip()}")


def main() -> None:
    """Print what the page shows."""
    with TemporaryDirectory() as folder:
        kill_a_server(folder)
        with Engine.open(folder) as engine:
            print(f"opened again after seq {engine.last_seq}")
            for each in story()[engine.last_seq + 1 :]:
                for order in OrderEffect.each(engine.apply([each])):
                    price = engine.venue.markets[order.market].price_text(order.limit_ticks)
                    print(f"order {order.order_id}: {order.lots} lots of account {order.account}, limit {price}")
            show(engine)


def show(engine: Engine) -> None:
    """Ask the engine about alice and bob."""
    text = engine.venue.asset.text
    alice, bob = engine.account(ALICE), engine.positions(BOB)[0]
    print(f"alice: equity {text(alice.equity_atoms)}, maintenance margin {text(alice.maintenance_margin_atoms)}, {alice.health.name}")
    wait = engine.wait(ALICE)
    assert wait is not None
    print(f"alice waits for {wait.waits_for} until {wait.until_ns // SECOND_NS} s")
    print(f"bob holds {bob.lots} lots, liquidation at {bob.liquidation_ticks} ticks, bankruptcy at {bob.bankruptcy_ticks}")
    most = engine.withdrawable_atoms(BOB)
    now = engine.now_ns
    for amount in (most, most + 1):
        effects, _ = engine.what_if([event(TransferEvent, now, account=BOB, amount=-amount, code="cash")])
        refused = [each.reason.name for each in RefusalEffect.each(effects)]
        print(f"if bob withdrew {text(amount)}: {refused or 'accepted'}")
    order = engine.orders(ALICE)[0]
    fill = event(OrderFillEvent, now, order_id=order.order_id, market=BTC, lots=order.lots, price_ticks=order.limit_ticks)
    effects, then = engine.what_if([fill])
    print(f"if order {order.order_id} fills at its limit: {len(effects)} effects, alice {then.account(ALICE).health.name}")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        main()
