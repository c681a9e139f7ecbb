"""Whoever falls further while an order is out is planned anew, once an interval; no volume is no empty
book; and a mark that trips a breaker trips it before its closings. On the engine, the reference and
every invariant together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, BreakerCause, EffectKind, Health, Stage
from backstop.core.events import EventKind as K
from backstop.core.instruments import BreakerRules, VenueRules
from backstop.reference.records import Effect
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

F = EffectKind
STAGES = (Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def waiting(side: int, interval_s: int = 1) -> tuple[Scene, int, int]:
    """100 lots with 11,000 at 930: DISTRESSED, its order is out and nobody answers it."""
    scene = Scene(venue(STAGES, interval_ns=interval_s * SECOND, order_timeout_ns=60 * SECOND), side)
    scene.cash(FUND, 1_000_000)
    scene.depth(1_000)
    account = scene.open(11_000)
    scene.trade(account, 100, 1_000)
    (order,) = of(scene.mark(930), F.ORDER)
    return scene, account, order.other


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("ticks", "health"), [(915, Health.CLOSE_OUT), (880, Health.INSOLVENT)])
def test_whoever_falls_further_is_planned_anew_at_once(side: int, ticks: int, health: Health) -> None:
    """Below close-out, or below zero: the order is withdrawn, and another leaves in the same event. What
    the book shows is believed as before, since the order was not due yet.
    """
    scene, account, first = waiting(side)
    effects = scene.mark(ticks)
    assert scene.mirror.health[account] == health
    assert [row.other for row in of(effects, F.CANCEL)] == [first]
    (order,) = of(effects, F.ORDER)
    assert order.other == first + 1
    assert abs(order.lots) > abs(scene.mirror.orders[first].lots) or health == Health.CLOSE_OUT
    band = scene.watch.state.markets[0].depth_lots[0 if side > 0 else 1, 0]
    assert band == 1_000


@pytest.mark.parametrize("side", SIDES)
def test_once_an_interval(side: int) -> None:
    """A slice each 5 s: a fall after 1 s waits for the next slice, and two falls are one plan."""
    scene, account, first = waiting(side, 5)
    left = scene.time_ns
    assert of(scene.mark(915), F.CANCEL, F.ORDER) == []
    assert of(scene.mark(880), F.CANCEL, F.ORDER) == []
    effects = scene.at(left + 5 * SECOND).send(K.CLOCK)
    assert [row.other for row in of(effects, F.CANCEL)] == [first]
    assert len(of(effects, F.ORDER)) == 1
    assert scene.mirror.health[account] == Health.INSOLVENT


def test_who_does_not_fall_further_waits_for_the_answer() -> None:
    """Another mark in the same health: the order stays out."""
    scene, _, first = waiting(1)
    assert of(scene.mark(929), F.CANCEL, F.ORDER) == []
    assert scene.open_ids() == [first]


@pytest.mark.parametrize("side", SIDES)
def test_no_volume_falls_back_on_the_depth(side: int) -> None:
    """Volume 0 beside 10,000 lots: the order that leaves is that of a market without volume, where
    nobody was sent to the book. A volume of 40 allows 40.
    """
    lots = dict[int | None, int]()
    for volume in (None, 0, 40):
        scene = Scene(venue(STAGES, depth_share_ppm=250_000), side)
        scene.depth(10_000)
        if volume is not None:
            scene.send(K.VOLUME, market=0, lots=volume)
        scene.trade(scene.open(7_500), 100, 1_000)
        (order,) = of(scene.mark(930), F.ORDER)
        lots[volume] = abs(order.lots)
    assert lots[0] == lots[None] > 40
    assert lots[40] == 40


def places(effects: list[Effect], *kinds: EffectKind) -> list[int]:
    """Places of effects of some kinds."""
    return [place for place, row in enumerate(effects) if row.kind in kinds]


def tripping(**market: int) -> VenueRules:
    """Return a venue whose market has these thresholds."""
    return venue(STAGES, market=market, breakers=BreakerRules(hold_max_ns=60 * SECOND, throttle_share_ppm=10_000))


@pytest.mark.parametrize("side", SIDES)
def test_a_mark_that_trips_price_trips_it_before_its_closings(side: int) -> None:
    """The order is that of the throttled market: 1 % of what it would be."""
    scene = Scene(tripping(price_throttle_ppm=50_000, price_exit_ppm=40_000), side)
    scene.depth(1_000)
    account = scene.open(7_500)
    scene.trade(account, 100, 1_000)
    effects = scene.mark(930)
    (breaker,) = of(effects, F.BREAKER)
    (order,) = of(effects, F.ORDER)
    assert breaker.lots == BreakerCause.PRICE
    assert places(effects, F.BREAKER) < places(effects, F.ORDER)
    assert abs(order.lots) == 10


@pytest.mark.parametrize("side", SIDES)
def test_flow_is_told_by_the_closings_and_stands_before_the_next(side: int) -> None:
    """Lots that ADL closes are the signal: the breaker stands at the end of the event that brings them,
    and before the first order of the next.
    """
    scene = Scene(tripping(flow_throttle=50_000), side)
    first, friend = scene.open(7_000), scene.open(1_000_000)
    scene.trade(first, 100, 1_000, other=friend)
    effects = scene.mark(930)
    assert places(effects, F.ADL_PLAN) < places(effects, F.BREAKER)
    assert of(effects, F.BREAKER)[0].lots == BreakerCause.FLOW
