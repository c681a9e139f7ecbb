"""Breakers under attack: under any signals a stop ends, and closing is never held back; orders stay
off the halting band.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from backstop.core.events import NONE, BreakerCause, BreakerState, EffectKind, EventKind, Operator, Stage
from backstop.core.instruments import PPM, BreakerRules, VenueRules
from backstop.core.state import new_state
from backstop.markets.driver import batches
from backstop.markets.world import new_world
from backstop.reference.arithmetic import ceil_div
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue
from tests.markets.worlds import Book, event, marks, opening, small_rules

F = EffectKind
OPEN, THROTTLED, HALTED, REOPENING = BreakerState
BREAKERS = BreakerRules(
    hold_max_ns=20 * SECOND,
    reopen_ns=5 * SECOND,
    price_window_ns=10 * SECOND,
    flow_window_ns=10 * SECOND,
    flow_throttle=5_000,
    flow_halt=20_000,
    stale_ns=15 * SECOND,
    outage_gap_ns=12 * SECOND,
    outage_grace_max_ns=10 * SECOND,
    operator_hold_max_ns=25 * SECOND,
)
PRICES = {"price_throttle_ppm": 20_000, "price_halt_ppm": 60_000, "price_exit_ppm": 10_000}


def spells(scene: Scene, market: int) -> list[tuple[int, int, int]]:
    """Return (state, from, to) of every stop of a breaker that is over."""
    found, since = [], 0
    for sent, effects in zip(scene.watch.events, scene.watch.effects, strict=True):
        for row in of(effects, F.BREAKER):
            if row.market == market:
                found.append((row.other, since, sent.time_ns))
                since = sent.time_ns
    return found


def attack(scene: Scene, rng: Random, signal: str) -> None:
    """Push one signal as hard as it goes, for a second or so."""
    if signal == "constant":
        scene.mark(800)
    elif signal == "flapping":
        scene.mark(rng.choice((FIRST_MARK, 900, 1_100, 970)))
    elif signal == "index":
        scene.send(EventKind.INDEX, market=0, price_ticks=rng.choice((100, FIRST_MARK, 5_000)))
    elif signal == "flow":
        scene.mark(FIRST_MARK)
        loser = scene.open(1_100) if len(scene.mirror.accounts) < 60 else rng.randrange(2, 60)
        if not scene.lots(loser):
            scene.trade(loser, 10, FIRST_MARK)
        scene.charge(loser, max(1, scene.mirror.equity(loser)))
    elif signal == "operator":
        code = rng.choice((Operator.HALT, Operator.THROTTLE, Operator.HALT))
        scene.send(EventKind.OPERATOR, code=int(code), market=rng.choice((0, NONE)), amount=25 * SECOND)
    elif signal == "silence":
        scene.clock(rng.choice((13, 30, 1)))
    else:
        attack(scene, rng, rng.choice(("constant", "flapping", "index", "flow", "operator", "silence")))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("signal", ["constant", "flapping", "index", "flow", "operator", "silence", "everything"])
def test_no_signal_holds_a_breaker_and_none_holds_back_closing(side: int, signal: str) -> None:
    """Two minutes of one signal, or of all: every state is left within its longest hold of the next
    event; then all is open.

    On the way, in every state, a holder closes a lot itself and is not refused.
    """
    rng = Random(signal)
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    scene = Scene(venue(stages, breakers=BREAKERS, market=PRICES), side)
    holder = scene.open(10**7)
    scene.trade(scene.open(10**7), -600, FIRST_MARK)
    scene.trade(holder, 300, FIRST_MARK)
    seen = set()
    for _ in range(130):
        attack(scene, rng, signal)
        state: int = scene.mirror.effective(0)
        seen.add(state)
        if scene.lots(holder) > 1:
            effects = scene.trade(holder, -1, scene.price(scene.mirror.marks[0]))
            assert of(effects, F.REFUSAL) == [], state
        state = scene.mirror.effective(0)
        (refusal,) = of(scene.trade(holder, 1, FIRST_MARK), F.REFUSAL) if state in (HALTED, REOPENING) else [None]
        assert (refusal is None) == (state not in (HALTED, REOPENING))
    assert seen & {HALTED, THROTTLED}, signal
    # A refused event brings no timer.
    pairs = zip(scene.watch.events, scene.watch.effects, strict=True)
    times = [row.time_ns for row, effects in pairs if not of(effects, F.REFUSAL)]
    most = {HALTED: BREAKERS.hold_max_ns, THROTTLED: BREAKERS.hold_max_ns, REOPENING: BREAKERS.reopen_ns}
    held_anew = []
    for market in (0, NONE):
        for state, start, end in spells(scene, market):
            if state != OPEN:
                due = start + most[BreakerState(state)]
                assert end <= next(time_ns for time_ns in times if time_ns >= min(due, times[-1]))
        # A state that is held again is held for another cause each time.
        runs = [len(list(same)) for state, same in groupby(spell[0] for spell in spells(scene, market)) if state != OPEN]
        assert max(runs, default=0) <= len(BreakerCause)
        held_anew.append(max(runs, default=0))
    assert signal != "everything" or max(held_anew) > 1
    assert scene.watch.everything_ends() == []


# -- the mark that an engine's own orders move -----------------------------------------------------


def crash_world(side: int, halt_ppm: int) -> tuple[VenueRules, NDArray[np.void]]:
    """Return forty accounts at ten times leverage on either side, a fall (or rise) of 10 % in 40 s,
    and breakers on the price.
    """
    rules = small_rules(1)
    market = rules.markets[0]._replace(price_throttle_ppm=halt_ppm // 2, price_halt_ppm=halt_ppm, price_exit_ppm=halt_ppm // 4)
    market = market._replace(slippage_tolerance_ppm=50_000, band_offset_ppm=(1_000, 10_000, 40_000))
    breakers = BreakerRules(hold_max_ns=45 * SECOND, reopen_ns=3 * SECOND, price_window_ns=30 * SECOND)
    prices = [100_000 - side * 250 * step for step in range(40)]
    # Long and short in turn, with 10.3 % of notional down to 3.4 %, so that they fall one after
    # another.
    accounts = opening(80, 60, 100_000, 1)
    cash = accounts["kind"] == EventKind.TRANSFER
    accounts["amount"][cash] = 6_200_000 - 52_000 * np.arange(80)
    outside = np.concatenate([accounts, marks(1, prices), event(EventKind.CLOCK, 180 * SECOND)])
    return rules._replace(markets=(market,), breakers=breakers), outside


def replayed(rules: VenueRules, outside: NDArray[np.void]) -> list[tuple[np.void, list[np.void]]]:
    """Run engine and simulated venue, closing orders moving the marks; return each merged event
    with its effects.
    """
    state = new_state(rules)
    book = Book(depth_lots=(40, 60, 80), permanent_impact_ppm=500_000)
    world = new_world(rules, [book], start_ns=0, impact=True)
    found = []
    for batch in batches(state, world, [outside], 1):
        for row in batch.events:
            found.append((row.copy(), [effect.copy() for effect in batch.effects if effect["seq"] == row["seq"]]))
    return found


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("halt_ppm", [60_000, 80_000])
def test_closing_orders_never_reach_through_the_halting_band(side: int, halt_ppm: int) -> None:
    """With impact on, closing moves the marks it is judged by.

    No order's limit lies beyond the price that would halt its market.

    The band is worked out from the marks that went by, over the present and the last window, not
    from the engine's rows.
    """
    rules, outside = crash_world(side, halt_ppm)
    windows: dict[int, list[int]] = {}
    mark, orders, banded, halts = 0, 0, 0, 0
    last = 0
    for row, effects in replayed(rules, outside):
        window = int(row["time_ns"]) // rules.breakers.price_window_ns
        if row["kind"] == EventKind.MARK:
            if window not in windows:
                windows[window] = [mark or int(row["price_ticks"])]
            mark = int(row["price_ticks"])
            windows[window].append(mark)
            last = window
        seen = [*windows.get(last, []), *windows.get(last - 1, [])]
        for effect in effects:
            halts += (effect["kind"], effect["code"]) == (F.BREAKER, HALTED)
            if effect["kind"] != F.ORDER:
                continue
            orders += 1
            limit, is_sell = int(effect["price_ticks"]), effect["lots"] < 0
            band = ceil_div(max(seen) * (PPM - halt_ppm), PPM) if is_sell else min(seen) * (PPM + halt_ppm) // PPM
            if (band <= mark) if is_sell else (band >= mark):
                banded += 1
                assert limit >= band if is_sell else limit <= band
    assert orders > 10
    assert banded > 10
    assert halts >= 1


@pytest.mark.parametrize("side", SIDES)
def test_own_impact_is_bounded_by_the_breaker_and_the_market_reopens(side: int) -> None:
    """Fills of closing orders within a halt's band alone never make the mark leave it; in the halt
    slices are smaller, and the market reopens.
    """
    rules, outside = crash_world(side, 60_000)
    state = BreakerState.OPEN
    sent_in_halt, seen = 0, []
    for _, effects in replayed(rules, outside):
        for effect in effects:
            if effect["kind"] == F.BREAKER and effect["market"] == 0:
                state = BreakerState(int(effect["code"]))
                seen.append(state)
            sent_in_halt += effect["kind"] == F.ORDER and state == HALTED
    assert sent_in_halt > 0
    assert HALTED in seen
    assert seen[-1] in (OPEN, REOPENING, THROTTLED)
    assert any(one == HALTED and two == REOPENING for one, two in pairwise(seen))
