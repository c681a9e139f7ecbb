"""A small crash on two markets, run through the engine once and written to journals again and
again.
"""

from __future__ import annotations

import shutil
import sqlite3
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from backstop.config import Venue, parse_venue
from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EFFECT, EVENT, FUND, NONE, EffectArray, EffectKind, EventArray, EventKind
from backstop.core.parameter_table import PARAMETERS
from backstop.core.state import State, new_state
from backstop.journal import Journal, Manifest, Names
from backstop.journal.snapshot import Snapshot, take_snapshot

SECOND = 1_000_000_000
ACCOUNTS = 24
ATOMS = 1_000_000

_MARKET = """
[[market]]
symbol = "{symbol}"
price_tick = "{tick}"
quantity_lot = "0.001"
contract_size = 1
price_max = "1000000"
position_max = "1000"
slippage_tolerance_ppm = 50000
band_offset_ppm = [1000, 10000]
tiers = [{{ floor = 0, initial_rate_ppm = 50000, maintenance_rate_ppm = 20000 }}]

[market.book]
depth = [2, 6]
"""

VENUE_TEXT = (
    """
[venue]
name = "two markets"

[asset]
name = "USDT"
decimals = 6

[limits]
accounts_max = 64
positions_max = 256
orders_max = 256
effects_max = 4096

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
"""
    + _MARKET.format(symbol="BTC/USDT:USDT", tick="0.1")
    + _MARKET.format(symbol="ETH/USDT:USDT", tick="0.01")
)


class Chunk(NamedTuple):
    """Events of one batch, their effects, and the digest of the state after them."""

    events: EventArray
    effects: EffectArray
    digest: str
    snapshot: Snapshot


@cache
def venue() -> Venue:
    return parse_venue(VENUE_TEXT, "two markets")


def manifest(**changes: Any) -> Manifest:
    read = venue()
    created = "2025-10-10T21:00:00+00:00"
    usual = Manifest(read.text, read.hash, read.rules.limits, command="test", seed=1, digest_every=2, snapshot_every=0, created=created)
    return usual._replace(**changes)


def names() -> Names:
    return Names([f"trader-{number}" for number in range(ACCOUNTS)], [f"owner-{number}" for number in range(ACCOUNTS)])


def event(seq: int, time_ns: int, kind: EventKind, **fields: int) -> EventArray:
    rows: EventArray = np.zeros(1, dtype=EVENT)
    row = rows[0]
    row["seq"], row["time_ns"], row["kind"], row["market"], row["account"] = seq, time_ns, kind, NONE, NONE
    for name, value in fields.items():
        row[name] = value
    return rows


class _Run:
    """The engine and a venue that fills half of each closing order."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.seq = 0
        self.time_ns = 0
        self.events: list[EventArray] = []
        self.effects: list[EffectArray] = []
        self.taken = 0

    def send(self, kind: EventKind, **fields: int) -> None:
        self.seq += 1
        rows = event(self.seq, self.time_ns, kind, **fields)
        assert step(self.state, rows, 0) == 1
        engine = self.state.engine[0]
        effects = self.state.effects[: int(engine.effects_now)].copy()
        engine.effects_now = 0
        self.events.append(rows)
        self.effects.append(effects)
        for effect in effects[effects["kind"] == EffectKind.ORDER]:
            self.answer(effect)

    def answer(self, order: Any) -> None:
        identifier, lots = int(order["other"]), int(order["lots"])
        filled = lots // 2 if lots > 1 else -(-lots // 2) if lots < -1 else lots
        self.send(EventKind.ORDER_FILL, other=identifier, market=int(order["market"]), lots=filled, price_ticks=int(order["price_ticks"]))
        self.send(EventKind.ORDER_DONE, other=identifier)

    def cut(self) -> Chunk:
        new = slice(self.taken, None)
        self.taken = len(self.events)
        digest = state_digest(self.state)
        events, effects = np.concatenate(self.events[new]), np.concatenate([np.empty(0, EFFECT), *self.effects[new]])
        return Chunk(events, effects, digest, take_snapshot(self.state, digest))


#: Rules of ``changed_crash``: batch in which each changes, key, value; of BTC and its first tier where the
#: rule is of one.
CHANGES = ((2, "tier.maintenance_rate_ppm", 25_000), (3, "venue.adl_policy", 3), (4, "tier.maintenance_rate_ppm", 15_000))


def changed_crash() -> tuple[Chunk, ...]:
    """Run the crash with rules that change in the middle of it."""
    return crash(changes=CHANGES)


@cache
def crash(batches: int = 7, changes: tuple[tuple[int, str, int], ...] = ()) -> tuple[Chunk, ...]:
    """Run the crash and return its batches; the marks fall by 30 % and come back."""
    rng = Random(7)
    run = _Run(new_state(venue().rules))
    marks = [1_000_000, 300_000]
    run.send(EventKind.TRANSFER, account=FUND, amount=2_000 * ATOMS)
    for market in (0, 1):
        run.send(EventKind.MARK, market=market, price_ticks=marks[market])
        for side in (0, 1):
            for band, lots in enumerate((2_000, 6_000)):
                run.send(EventKind.DEPTH, market=market, code=side, other=band, lots=lots)
    for account in range(ACCOUNTS):
        run.send(EventKind.ACCOUNT, account=account, other=account)
        run.send(EventKind.TRANSFER, account=account, amount=rng.randint(1_000, 20_000) * ATOMS)
    for account in range(0, ACCOUNTS, 2):
        for market in (0, 1):
            lots = rng.randint(50, 900) * (1 if rng.random() < 0.8 else -1)
            run.send(EventKind.FILL, account=account, other=account + 1, market=market, lots=lots, price_ticks=marks[market])
    chunks = [run.cut()]
    for batch in range(1, batches):
        for _, key, value in (change for change in changes if change[0] == batch):
            number = next(rule.number for rule in PARAMETERS.values() if rule.key == key)
            run.send(EventKind.PARAMETER, code=number, market=0, amount=value)
        for _ in range(12):
            run.time_ns += SECOND
            for market in (0, 1):
                move_ppm = rng.randint(-20_000, 10_000) if batch < batches - 2 else rng.randint(-10_000, 30_000)
                marks[market] += marks[market] * move_ppm // 1_000_000
                run.send(EventKind.MARK, market=market, price_ticks=marks[market])
                run.send(EventKind.DEPTH, market=market, code=0, other=0, lots=rng.randint(0, 3_000))
        run.send(EventKind.TRANSFER, account=0, amount=-(1 << 59))  # refused
        chunks.append(run.cut())
    return tuple(chunks)


def write(path: Path, chunks: tuple[Chunk, ...] | None = None, *, close: bool = True, **changes: Any) -> Path:
    """Write a journal of these chunks, one batch each, with a snapshot every second one."""
    chunks = crash() if chunks is None else chunks
    with Journal.create(path, manifest(**{"snapshot_every": 2, **changes}), names()) as journal:
        for number, chunk in enumerate(chunks, start=1):
            snapshot = chunk.snapshot if journal.is_snapshot_due(number) else None
            journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot)
        if close:
            journal.close(chunks[-1].digest if chunks else state_digest(new_state(venue().rules)))
    return path


def copy(source: Path, target: Path) -> Path:
    """Copy a journal with what stands beside it."""
    for end in ("", "-wal", "-shm"):
        if Path(f"{source}{end}").exists():
            shutil.copyfile(f"{source}{end}", f"{target}{end}")
    return target


def change(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Change a journal through SQL, as one who knows the format would."""
    connection = sqlite3.connect(path, isolation_level=None)
    for words, values in statements:
        connection.execute(words, values)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
