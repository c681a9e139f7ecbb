"""INV-04 at size: after every mark, stored health against a full scan of all accounts, vectorised.

The monitor judges only the accounts whose trigger prices a mark crosses. These books are built to
have thousands of triggers in every direction, and marks that walk by ticks, jump, and stop at the
very price where an account changes its health. Not one may be missed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from backstop.core.engine import step
from backstop.core.events import EVENT, FUNDING_PARTS, NONE, EventKind, Health, Stage, Transfer
from backstop.core.instruments import (
    PPM,
    AssetRules,
    CloseoutRules,
    LevelRules,
    LimitRules,
    MarketRules,
    TierRules,
    VenueRules,
    deductions_atoms,
)
from backstop.core.parameter_table import PARAMETERS, changed
from backstop.core.rows import DOWN
from backstop.core.state import State, new_state

Numbers = NDArray[np.int64]
MARKETS = 6
NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}


class Shape(NamedTuple):
    """What the books of one attack look like."""

    seed: int
    #: Starting marks, from a few ticks to almost the largest price.
    marks: tuple[int, ...]
    tiers: int
    #: Largest number of markets in which an account holds a position.
    breadth: int
    levels: LevelRules = LevelRules()
    accounts: int = 2_000
    rounds: int = 600


SHAPES = {
    "one position each": Shape(1, (100, 1_000, 30_000, 65_000, 1_000_000, 4_000_000), 6, 1),
    "many positions each": Shape(2, (100, 1_000, 30_000, 65_000, 1_000_000, 4_000_000), 6, 6),
    "few ticks": Shape(3, (3, 7, 12, 40, 90, 200), 4, 3),
    "largest prices": Shape(4, (2_000_000_000, 1_500_000_000, 8_191, 8_192, 4_095, 4_096), 8, 3),
    "levels that meet": Shape(5, (100, 1_000, 8_200, 65_000, 1_000_000, 4_000_000), 3, 2, LevelRules(1_000_000, 0, 1_000_000)),
    "levels far apart": Shape(6, (100, 1_000, 8_200, 65_000, 1_000_000, 4_000_000), 5, 4, LevelRules(4_000_000, 900_000, 100_000)),
}


def make_market(rng: np.random.Generator, mark: int, tiers: int) -> MarketRules:
    """Return a market whose tier floors lie where its positions are."""
    lots = max(4, 200_000_000 // mark)
    floors = np.unique(np.append(0, rng.integers(1, lots, tiers - 1) * mark // 20 * 20)).tolist()
    rates = np.sort(rng.integers(0, 5, len(floors))) * 50_000
    rows = tuple(TierRules(floor, int(rate) + 50_000, int(rate)) for floor, rate in zip(floors, rates, strict=True))
    return MarketRules(1, min(4 * mark, (1 << 31) - 2), 4 * lots, rows, (1_000,), 10_000)


def make_rules(shape: Shape, rng: np.random.Generator) -> VenueRules:
    """Return a venue whose book takes no order before a deadline that never comes: accounts in
    default stay as they are.
    """
    return VenueRules(
        markets=tuple(make_market(rng, mark, shape.tiers) for mark in shape.marks),
        levels=shape.levels,
        stages=(Stage.CLOSEOUT, Stage.TEAR_UP),
        closeout=CloseoutRules(interval_ns=1 << 59, deadline_ns=1 << 59),
        assets=(AssetRules(account_notional_max=0),),
        limits=LimitRules(accounts_max=shape.accounts, positions_max=shape.accounts * MARKETS, orders_max=16, effects_max=1 << 15),
    )


class Book:
    """The engine with a large book, and the same book as columns."""

    def __init__(self, shape: Shape) -> None:
        """Open all accounts, some close to a level, some far from any."""
        self.shape, self.rng = shape, np.random.default_rng(shape.seed)
        self.rules = make_rules(shape, self.rng)
        self.state: State = new_state(self.rules)
        self.seq = 0
        self.tiers = [self.columns(market) for market in self.rules.markets]
        for market, mark in enumerate(shape.marks):
            self.send(EventKind.MARK, market=market, price_ticks=mark)
            for side in range(2):
                self.send(EventKind.DEPTH, market=market, code=side, lots=1_000)
        for account in range(shape.accounts):
            self.open(account)

    def send(self, kind: EventKind, **fields: int) -> None:
        """Apply one event; what it emits is dropped."""
        self.seq += 1
        row = np.zeros(1, dtype=EVENT)
        row["account"] = row["market"] = NONE
        for name, value in {"seq": self.seq, "time_ns": 1, "kind": int(kind), **fields}.items():
            row[name] = value
        self.state.engine[0].effects_now = 0
        step(self.state, row, 0)

    def open(self, account: int) -> None:
        """Give an account a few positions and a thin or a thick cushion."""
        self.send(EventKind.ACCOUNT, account=account, other=account)
        markets = self.rng.permutation(MARKETS)[: self.rng.integers(1, self.shape.breadth + 1)]
        notional = 0
        for market in markets.tolist():
            lots = int(self.rng.integers(1, self.rules.markets[market].position_lots_max // 4 + 1)) * int(self.rng.choice((-1, 1)))
            cost = lots * self.shape.marks[market]
            self.send(EventKind.POSITION, account=account, market=market, lots=lots, amount=cost)
            notional += abs(cost)
        self.send(EventKind.TRANSFER, account=account, amount=max(1, int(notional * self.rng.uniform(0.01, 0.6))))

    @staticmethod
    def columns(market: MarketRules) -> tuple[Numbers, Numbers, Numbers]:
        """Return floors, rates and deductions of a market's tiers."""
        floors = tuple(tier.floor_atoms for tier in market.tiers)
        rates = tuple(tier.maintenance_rate_ppm for tier in market.tiers)
        return np.array(floors), np.array(rates), np.array(deductions_atoms(floors, rates))

    def scan(self) -> tuple[Numbers, Numbers, Numbers]:
        """Return equity and maintenance of all accounts, and what that would be without relief."""
        count = self.shape.accounts
        places = slice(2 * MARKETS, int(self.state.engine[0].positions_now))
        rows, settled = self.state.positions[places], self.state.results["settled_index"][places]
        kept_ppm = PPM - self.state.relieved[places]
        equity: Numbers = self.state.accounts["balance"][:count].astype(np.int64)
        maintenance, full = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        for market, (floors, rates, deductions) in enumerate(self.tiers):
            own = rows[rows["market"] == market]
            value = own["lots"] * int(self.state.markets[market].mark_ticks)
            tier = np.searchsorted(floors, np.abs(value), side="right") - 1
            margin = -(-np.abs(value) * rates[tier] // PPM) - deductions[tier]
            moved = int(self.state.markets[market].funding_index) - settled[rows["market"] == market]
            np.add.at(equity, own["account"], value - own["cost"] + -own["lots"] * moved // FUNDING_PARTS)
            margin = np.where(own["lots"] != 0, margin, 0)
            np.add.at(full, own["account"], margin)
            np.add.at(maintenance, own["account"], -(-margin * kept_ppm[rows["market"] == market] // PPM))
        return equity, maintenance, full

    def right_health(self, stored: Numbers) -> Numbers:
        """Return the health that every account must have, given what it had."""
        equity, maintenance, full = self.scan()
        levels = self.rules.levels
        warning = -(-np.maximum(maintenance, full) * levels.warning_ratio_ppm // PPM)
        release = -(-maintenance * (PPM + levels.exit_buffer_ppm) // PPM)
        close_out = maintenance * levels.close_out_ratio_ppm // PPM
        raw = np.select(
            [equity < 0, equity < close_out, equity < maintenance, equity < warning],
            [Health.INSOLVENT, Health.CLOSE_OUT, Health.DISTRESSED, Health.WARNED],
            Health.HEALTHY,
        )
        stays = (stored >= Health.DISTRESSED) & (raw < Health.DISTRESSED) & (equity < release)
        right: Numbers = np.where(stays, Health.DISTRESSED, raw)
        return right

    def missed(self) -> Numbers:
        """Return the accounts whose stored health is wrong."""
        stored = self.state.accounts["health"][: self.shape.accounts].astype(np.int64)
        found: Numbers = np.flatnonzero(stored != self.right_health(stored))
        return found

    # -- marks -------------------------------------------------------------------------------------

    def move(self) -> int:
        """Move one mark: a tick or two, a step, a jump, home again, or to an edge, or a funding index
        by parts of a tick or more; return the market.
        """
        rng, market = self.rng, int(self.rng.integers(MARKETS))
        if rng.random() < 0.3:
            step = int(rng.normal(0, rng.choice((0.4, 3.0, 0.01 * self.shape.marks[market]))) * FUNDING_PARTS)
            self.send(EventKind.FUNDING, market=market, amount=step or 1)
            return market
        here, home = int(self.state.markets[market].mark_ticks), self.shape.marks[market]
        kind = rng.choice(5, p=(0.35, 0.25, 0.05, 0.05, 0.3))
        if kind == 0:
            there = here + int(rng.integers(-2, 3))
        elif kind == 1:
            there = int(here * (1 + rng.normal(0, 0.01)))
        elif kind == 2:
            there = int(here * rng.uniform(0.4, 1.9))
        elif kind == 3:
            there = home
        else:
            there = self.edge(market) + int(rng.integers(-1, 2))
        self.send(EventKind.MARK, market=market, price_ticks=max(1, min(there, self.rules.markets[market].price_ticks_max)))
        return market

    def edge(self, market: int) -> int:
        """Return a trigger of the market, or the price at which a position reaches a tier floor."""
        rows = self.state.positions[2 * MARKETS : int(self.state.engine[0].positions_now)]
        own = rows[(rows["market"] == market) & (rows["lots"] != 0)]
        if len(own) == 0:
            return self.shape.marks[market]
        row = own[self.rng.integers(len(own))]
        if self.rng.random() < 0.3:
            return int(self.rng.choice(self.tiers[market][0])) // abs(int(row["lots"])) + 1
        side = int(self.rng.integers(2))
        shift = int(self.state.markets[market].shift_ticks[side])
        ticks = int(row["trigger_ticks"][side])
        return ticks + (shift if side == DOWN else -shift) if ticks else self.shape.marks[market]

    def change(self) -> None:
        """Change a maintenance rate or a floor of a tier, or a level."""
        rng, market = self.rng, int(self.rng.integers(MARKETS))
        tier = int(rng.integers(len(self.rules.markets[market].tiers)))
        key = str(rng.choice(("tier.maintenance_rate_ppm", "tier.floor_atoms", "levels.warning_ratio_ppm", "levels.exit_buffer_ppm")))
        low, high = self.rules.markets[market].tiers[tier].maintenance_rate_ppm, self.rules.markets[market].tiers[tier].initial_rate_ppm
        values = {
            "tier.maintenance_rate_ppm": int(rng.choice((low - 50_000, low + 50_000, high))),
            "tier.floor_atoms": int(rng.integers(1, 200_000_000)) // 20 * 20,
            "levels.warning_ratio_ppm": int(rng.integers(10, 40)) * 100_000,
            "levels.exit_buffer_ppm": int(rng.integers(0, 9)) * 100_000,
        }
        number, before = NUMBERS[key], int(self.state.engine[0].rules_changed)
        self.send(EventKind.PARAMETER, code=number, market=market, other=tier, amount=values[key])
        if int(self.state.engine[0].rules_changed) != before:
            self.rules = changed(self.rules, number, market=market, entry=tier, value=values[key])
            self.tiers = [self.columns(each) for each in self.rules.markets]

    def disturb(self) -> None:
        """Let an account trade or move money, so that its triggers are placed anew."""
        rng, account = self.rng, int(self.rng.integers(self.shape.accounts))
        market = int(rng.integers(MARKETS))
        if rng.random() < 0.5:
            lots = int(rng.integers(1, self.rules.markets[market].position_lots_max // 8 + 2)) * int(rng.choice((-1, 1)))
            price = int(self.state.markets[market].mark_ticks)
            self.send(EventKind.FILL, account=account, other=NONE, market=market, lots=lots, price_ticks=price)
        else:
            amount = int(rng.normal(0, 20_000_000)) or 1
            self.send(EventKind.TRANSFER, account=account, amount=amount, code=int(Transfer.FUNDING))


@pytest.mark.bounds
@pytest.mark.parametrize("name", SHAPES)
def test_no_crossing_is_missed(name: str) -> None:
    """INV-04: after every mark, every funding, every change of an account and every change of margin or
    levels, no stored health is wrong.
    """
    shape = SHAPES[name]
    book = Book(shape)
    engine = book.state.engine[0]
    assert book.missed().tolist() == []
    judged, seen, relieved = 0, set(), False
    for place in range(shape.rounds):
        before = int(engine.judged)
        book.move()
        judged += int(engine.judged) - before
        wrong = book.missed()
        assert wrong.tolist() == [], f"mark {place}, event {book.seq}"
        seen |= set(np.unique(book.state.accounts["health"][: shape.accounts]).tolist())
        if place % 4 == 0:
            book.disturb()
            assert book.missed().tolist() == [], f"event {book.seq}"
        if place % 5 == 0:
            book.change()
            assert book.missed().tolist() == [], f"change, event {book.seq}"
            relieved |= int(engine.reliefs_now) > 0
    assert seen >= {Health.HEALTHY, Health.INSOLVENT}
    assert len(seen) >= 3
    assert int(engine.refused) < shape.rounds
    assert int(engine.rules_changed) > shape.rounds // 40
    assert relieved
    # The point of the triggers: a mark looks at few accounts.
    assert judged < shape.rounds * shape.accounts / 4
