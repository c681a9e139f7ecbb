"""A journal of a few events, and why alice was liquidated: what `backstop explain alice --journal
journal.db` prints.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

import numpy as np

from backstop.config import parse_venue
from backstop.core.engine import step
from backstop.core.events import EVENT, FUND, NONE, EventKind
from backstop.core.state import new_state
from backstop.explain import as_text, explain
from backstop.journal import Journal, Manifest, Names
from backstop.journal.recorder import Recorder

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

SECOND_NS = 1_000_000_000
K = EventKind
STEPS = [
    (K.TRANSFER, {"account": FUND, "amount": 100_000}),
    (K.MARK, {"market": 0, "price_ticks": 1_000}),
    (K.DEPTH, {"market": 0, "code": 0, "other": 0, "lots": 50}),
    (K.DEPTH, {"market": 0, "code": 0, "other": 1, "lots": 200}),
    (K.ACCOUNT, {"account": 0, "other": 0}),
    (K.ACCOUNT, {"account": 1, "other": 1}),
    (K.TRANSFER, {"account": 0, "amount": 10_000}),
    (K.TRANSFER, {"account": 1, "amount": 100_000}),
    (K.FILL, {"account": 0, "other": 1, "market": 0, "lots": 90, "price_ticks": 1_000}),
    (K.MARK, {"market": 0, "price_ticks": 930}),
    (K.ORDER_FILL, {"other": 1, "market": 0, "lots": -17, "price_ticks": 928}),
    (K.ORDER_DONE, {"other": 1}),
]


def main() -> None:
    """Write the journal and explain the account."""
    venue = parse_venue(VENUE, "example")
    state = new_state(venue.rules)
    manifest = Manifest(venue.text, venue.hash, venue.rules.limits)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        recorder = Recorder(Journal.create("journal.db", manifest, Names(["alice", "bob"], ["alice", "bob"])), state)
        for seq, (kind, fields) in enumerate(STEPS, start=1):
            row = np.zeros(1, dtype=EVENT)
            row["seq"], row["time_ns"], row["kind"], row["market"], row["account"] = (
                seq,
                1_760_133_600 * SECOND_NS + seq * SECOND_NS,
                kind,
                NONE,
                NONE,
            )
            for name, value in fields.items():
                row[name] = value
            step(state, row, 0)
            recorder.record(row, state.effects[: int(state.engine[0].effects_now)])
            state.engine[0].effects_now = 0
        recorder.close()
        print(as_text(explain("journal.db", "alice")))


if __name__ == "__main__":
    here = os.getcwd()
    try:
        main()
    finally:
        os.chdir(here)
