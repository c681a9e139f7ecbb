"""The dearest single events that somebody with many accounts can cause: what they cost, over what
they bring.

The bound of the rules: an event costs at most c x (effects + triggers crossed + holders of markets
in which a plan was made or a loss was borne + accounts of owners netted) x log. Here c is measured at three sizes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.engine import step
from backstop.core.events import EVENT, NONE, EventKind, Stage
from backstop.core.instruments import LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.state import State, new_state

UNIT = "c of the bound at 1,000 accounts over c at 100,000 (1: the bound holds with one c), the worst scene"
BAR = 0.25
SIZES = (1_000, 10_000, 100_000)
SMALL = (100, 1_000)
ROUNDS = 3
MARK, FALLEN, DEPOSIT = 1_000, 700, 200
#: Effects of one event are never cut here: the dearest event is the one that holds everything.
EFFECTS_MAX = 1 << 22

Rows = NDArray[np.void]


class Scene(NamedTuple):
    """Accounts with their owners and lots by market, and the mark that brings many down."""

    name: str
    owners: NDArray[np.int64]
    #: By market.
    lots: tuple[NDArray[np.int64], ...]
    deposits: NDArray[np.int64]
    #: Whose mark falls.
    market: int
    #: Accounts of owners that are netted.
    netted: int
    #: Where they are not those of the venue as it comes.
    stages: tuple[Stage, ...] = ()


class Cost(NamedTuple):
    """What one event cost, and what it is measured by."""

    accounts: int
    seconds: float
    effects: int
    work: int

    @property
    def c_ns(self) -> float:
        """Nanoseconds a unit of work and of its logarithm."""
        return self.seconds * 1e9 / (self.work * math.log2(self.work))


def scenes(count: int) -> list[Scene]:
    """Return the scenes for so many accounts, and one that is rich."""
    half, ones = count // 2, np.ones(count, dtype=np.int64)
    sides = np.where(np.arange(count) < half, 1, -1).astype(np.int64)
    strangers, poor = np.arange(count, dtype=np.int64), np.full(count, DEPOSIT, dtype=np.int64)
    none = np.zeros(count, dtype=np.int64)
    rich = np.append(poor, 10**12)
    some_rich = np.where(sides > 0, DEPOSIT, 10**6).astype(np.int64)
    return [
        # One owner, many accounts of a lot, all insolvent at once; a stranger holds the other side.
        Scene("twins", np.append(none, 1), (np.append(ones, -count),), rich, 0, count),
        # As many longs as shorts, brought down by another market: crossed.
        Scene("sides", np.append(strangers, count), (np.append(sides, 0), np.append(ones, -count)), rich, 1, count),
        # Half of them insolvent; the other half holds all of the other side but one lot, which is
        # OUTSIDE's: without a fund that does not fit, and the bisection finds that all others do.
        Scene("scaled", strangers, (np.where(np.arange(count) == count - 1, 0, sides),), some_rich, 0, count),
        # Half of what half of them have finds nobody in ADL, and is torn up.
        Scene("torn", strangers, (np.where(sides > 0, 2, -1).astype(np.int64),), some_rich, 0, count),
        # Half of them are torn up and lack money, which the other half has won.
        Scene("socialised", strangers, (sides,), some_rich, 0, count, (Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)),
    ]


def _events(kind: EventKind, count: int) -> Rows:
    rows = np.zeros(count, dtype=EVENT)
    rows["kind"], rows["market"], rows["account"], rows["other"] = kind, NONE, NONE, 0
    return rows


def _mark(market: int, ticks: int) -> Rows:
    rows = _events(EventKind.MARK, 1)
    rows["market"], rows["price_ticks"] = market, ticks
    return rows


def _opening(scene: Scene) -> Rows:
    """Return the events that open a scene."""
    count = len(scene.owners)
    numbers = np.arange(count)
    accounts, cash = _events(EventKind.ACCOUNT, count), _events(EventKind.TRANSFER, count)
    accounts["account"], accounts["other"] = numbers, scene.owners
    cash["account"], cash["amount"] = numbers, scene.deposits
    rows = [accounts, cash]
    for market, lots in enumerate(scene.lots):
        holders = np.flatnonzero(lots)
        positions = _events(EventKind.POSITION, len(holders))
        positions["market"], positions["account"] = market, holders
        positions["lots"], positions["amount"] = lots[holders], lots[holders] * MARK
        rows += [_mark(market, MARK), positions]
    return np.concatenate(rows)


def rules_of(scene: Scene) -> VenueRules:
    """Return the rules: like markets of one tier, no depth, no fund."""
    market = MarketRules(1, 1 << 20, 1 << 32, (TierRules(0, 100_000, 50_000),), (1_000,), 10_000)
    count = len(scene.owners)
    limits = LimitRules(accounts_max=count, positions_max=2 * count + 16, orders_max=1 << 10, effects_max=EFFECTS_MAX)
    rules = VenueRules(markets=(market,) * len(scene.lots), limits=limits)
    return rules._replace(stages=scene.stages) if scene.stages else rules


def _apply(state: State, events: Rows) -> None:
    place = 0
    while place < len(events):
        place = int(step(state, events, place))
        if place < len(events):
            state.engine[0].effects_now = 0


def run(scene: Scene, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None) -> Cost:
    """Open a scene, and time its one event, between two calls."""
    state, opening = new_state(rules_of(scene)), _opening(scene)
    last = _mark(scene.market, FALLEN)
    events = np.concatenate([opening, last])
    events["seq"], events["time_ns"] = np.arange(len(events)), np.arange(len(events))
    _apply(state, events[:-1])
    state.engine[0].effects_now = 0
    before()
    started = time.perf_counter()
    _apply(state, events[-1:])
    seconds = time.perf_counter() - started
    after()
    effects, holders = int(state.engine[0].effects_now), sum(int((lots != 0).sum()) for lots in scene.lots)
    crossed = int((scene.lots[scene.market] != 0).sum())
    return Cost(len(scene.owners), seconds, effects, effects + crossed + holders + scene.netted)


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Time the event of each scene at each size, the least of some rounds."""
    figures: dict[str, Any] = {}
    ratios = []
    for place, scene in enumerate(scenes(100)):
        run(scene)  # warms up
        costs = []
        for size in SMALL if small else SIZES:
            best = min((run(scenes(size)[place]) for _ in range(ROUNDS)), key=lambda cost: cost.seconds)
            costs.append(best)
            figures[f"{scene.name}, {size:,} accounts: seconds"] = best.seconds
            figures[f"{scene.name}, {size:,} accounts: effects"] = f"{best.effects:,}"
            figures[f"{scene.name}, {size:,} accounts: c (ns)"] = best.c_ns
            say(f"{scene.name}: {size:,} accounts, {best.seconds:.4f} s, {best.effects:,} effects, c {best.c_ns:.2f} ns")
        ratios.append(costs[0].c_ns / costs[-1].c_ns)
    conditions = {"scenes": "one event each, no depth, no fund, effects not cut", "fall": f"{MARK} to {FALLEN}"}
    return {"ratio": min(ratios), "bar": BAR, "unit": UNIT, "figures": figures, "conditions": conditions}
