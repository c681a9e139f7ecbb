"""At which limit an order of an insolvent account leaves, and what an unfilled order says of the
book.
"""

from __future__ import annotations

import pytest

from backstop.core.events import BookSide, EffectKind, Stage, fund_of
from backstop.core.instruments import VenueRules
from backstop.reference.records import Effect
from tests.attacks.scene import SIDES, Scene, venue

BOOK_FIRST = (Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
UNKNOWN = -1


def banded(*offsets_ppm: int) -> VenueRules:
    """Return the venue with bands at these offsets from the mark."""
    rules = venue(BOOK_FIRST)
    return rules._replace(markets=tuple(market._replace(band_offset_ppm=offsets_ppm) for market in rules.markets))


def orders(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """Return (lots, limit, reserved) of the closing orders."""
    return [(abs(effect.lots), effect.price_ticks, effect.value) for effect in effects if effect.kind == EffectKind.ORDER]


def depth(scene: Scene) -> list[int]:
    """Return the lots of the bands that close the position."""
    return scene.watch.reference.state.markets[0].depth[BookSide.BID if scene.side > 0 else BookSide.ASK]


@pytest.mark.parametrize("side", SIDES)
def test_the_fund_reserves_for_the_best_price_that_takes_all(side: int) -> None:
    """Fund 100, gap 1, all lots bid at the mark: all leave, at the mark, and 100 is reserved."""
    scene = Scene(banded(0, 10_000), side)
    scene.cash(fund_of(0), 100)
    scene.depth(1_000, band=0)
    account = scene.open(9_999)
    scene.trade(account, 100, 1_000)
    assert orders(scene.mark(900)) == [(100, scene.price(900), 100)]


@pytest.mark.parametrize("side", SIDES)
def test_a_dearer_band_is_taken_where_more_lots_fill(side: int) -> None:
    """10 lots at the mark, 90 within 1 %: with money for all of them the limit is the second band;
    with little, the first.
    """
    for fund, lots, is_first in ((10_000, 100, False), (99, 10, True)):
        scene = Scene(banded(0, 10_000), side)
        scene.cash(fund_of(0), fund)
        scene.depth(10, band=0)
        scene.depth(90, band=1)
        account = scene.open(9_999)
        scene.trade(account, 100, 1_000)
        mark = scene.price(900)
        slip = 0 if is_first else mark // 100
        assert orders(scene.mark(900)) == [(lots, mark - side * slip, lots * slip + 1 + lots - 1)]


@pytest.mark.parametrize("side", SIDES)
def test_an_order_that_no_band_takes_does_not_leave(side: int) -> None:
    """The fund is empty, the zero price lies beyond the mark: the account goes on to ADL in the
    same event, and the book stays known for the next one.
    """
    scene = Scene(banded(1_000, 10_000), side)
    scene.depth(1_000, band=0)
    winner, loser = scene.open(10_000), scene.open(950)
    scene.trade(loser, 10, 1_000, other=winner)
    effects = scene.mark(900)
    assert orders(effects) == []
    assert [effect.account for effect in effects if effect.kind == EffectKind.ADL_PLAN] == [loser]
    assert depth(scene) == [1_000, 0]


@pytest.mark.parametrize("side", SIDES)
def test_what_is_left_unfilled_says_nothing_of_bands_beyond_the_limit(side: int) -> None:
    """The limit reaches the first band alone: that becomes unknown, the second stays as it was
    shown.
    """
    scene = Scene(banded(0, 10_000), side)
    scene.cash(fund_of(0), 100)
    scene.depth(200, band=0)
    scene.depth(500, band=1)
    account = scene.open(9_999)
    scene.trade(account, 100, 1_000)
    (order,) = [effect for effect in scene.mark(900) if effect.kind == EffectKind.ORDER]
    scene.done(order.other)
    assert depth(scene) == [UNKNOWN, 500]


@pytest.mark.parametrize("side", SIDES)
def test_a_limit_inside_the_best_band_says_nothing_at_all(side: int) -> None:
    """The mark moved on while the order was out: its limit reaches no band any more, and its
    answer blinds nobody.
    """
    scene = Scene(banded(0, 10_000), side)
    scene.cash(fund_of(0), 100)
    scene.depth(200, band=0)
    account = scene.open(9_999)
    scene.trade(account, 100, 1_000)
    (order,) = [effect for effect in scene.mark(900) if effect.kind == EffectKind.ORDER]
    scene.mark(899)
    scene.done(order.other)
    assert depth(scene) == [200, 0]
