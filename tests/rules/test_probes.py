"""What is not known of the book is not empty: an order of the minimum tries it, and no slice is
smaller.
"""

from __future__ import annotations

import pytest

from backstop.core.events import EffectKind, Stage, fund_of
from backstop.core.instruments import AssetRules
from backstop.reference.records import Effect
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

BOOK = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
DEADLINE = 20
#: At a mark of 900 three lots.
MINIMUM = 2_500


def orders(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return account and lots of the orders."""
    return [(effect.account, abs(effect.lots)) for effect in of(effects, EffectKind.ORDER)]


def scene_of(side: int, *, told: bool = True, **closeout: int) -> Scene:
    """Return a market whose depth is reported (or has none), with a minimum of three lots."""
    rules = venue(BOOK, market={"reports_depth": int(told)}, asset=AssetRules(minimum_notional=MINIMUM), order_timeout_ns=2 * SECOND)
    return Scene(rules._replace(closeout=rules.closeout._replace(**closeout)), side)


def fallen(scene: Scene, deposit: int, lots: int = 100) -> tuple[int, int, list[Effect]]:
    """Return a loser of so many lots, his winner, and what the fall of a tenth brings."""
    winner, loser = scene.open(1_000_000), scene.open(deposit)
    scene.trade(loser, lots, 1_000, other=winner)
    return loser, winner, scene.mark(900)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("deposit", [14_000, 12_000, 9_500])
def test_depth_that_was_never_reported_sends_nobody_into_adl(side: int, deposit: int) -> None:
    """Distressed, below close-out and insolvent: each interval an order of three lots tries the book,
    until the deadline.
    """
    scene = scene_of(side)
    scene.cash(fund_of(0), 1_000_000)
    loser, _, effects = fallen(scene, deposit)
    since = scene.time_ns
    while scene.time_ns < since + (DEADLINE - 2) * SECOND:
        assert of(effects, EffectKind.ADL_PLAN, EffectKind.TEAR_UP) == []
        assert orders(effects) == [(loser, 3)]
        (order,) = scene.open_ids()
        effects = scene.done(order)
    assert scene.lots(loser) == 100
    while scene.time_ns < since + (DEADLINE - 1) * SECOND:
        effects = scene.done(scene.open_ids()[0]) if scene.open_ids() else scene.clock()
    late: list[Effect] = []
    while scene.time_ns < since + (DEADLINE + 3) * SECOND:
        late += scene.done(scene.open_ids()[0]) if scene.open_ids() else scene.clock()
    assert orders(late) == []
    assert {effect.account for effect in of(late, EffectKind.ADL_PLAN)} == {loser}


@pytest.mark.parametrize("side", SIDES)
def test_a_probe_that_fills_closes_and_the_next_leaves(side: int) -> None:
    """There was a book: three lots an interval leave at what it pays."""
    scene = scene_of(side)
    loser, _, effects = fallen(scene, 14_000)
    for closed in (3, 6, 9):
        assert orders(effects) == [(loser, 3)]
        (order,) = scene.open_ids()
        scene.fill(order, 3, 899)
        assert scene.lots(loser) == 100 - closed
        effects = scene.done(order) + scene.clock()


@pytest.mark.parametrize("side", SIDES)
def test_one_probe_at_a_time_tries_a_side(side: int) -> None:
    """Two losers in one event: the other waits for an answer, and is not deleveraged."""
    scene = scene_of(side)
    winner, first, second = scene.open(1_000_000), scene.open(12_000), scene.open(12_000)
    for account in (first, second):
        scene.trade(account, 100, 1_000, other=winner)
    effects = scene.mark(900)
    assert orders(effects) == [(first, 3)]
    assert of(effects, EffectKind.ADL_PLAN) == []
    assert scene.lots(second) == 100


@pytest.mark.parametrize("side", SIDES)
def test_a_market_without_depth_goes_on_at_once(side: int) -> None:
    """Declared to have none: below close-out the next stage has its turn in the same event."""
    scene = scene_of(side, told=False)
    loser, _, effects = fallen(scene, 9_500)
    assert orders(effects) == []
    assert [effect.account for effect in of(effects, EffectKind.ADL_PLAN)] == [loser]


@pytest.mark.parametrize("side", SIDES)
def test_an_empty_book_that_was_told_is_empty(side: int) -> None:
    """All bands are told to hold nothing: no order leaves."""
    scene = scene_of(side)
    for band in range(2):
        scene.depth(0, band=band)
    loser, _, effects = fallen(scene, 9_500)
    assert orders(effects) == []
    assert [effect.account for effect in of(effects, EffectKind.ADL_PLAN)] == [loser]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("deposit", [12_000, 9_500])
def test_a_book_known_to_hold_less_than_the_minimum_takes_nothing(side: int, deposit: int) -> None:
    """Below close-out and insolvent: of 2 lots in all no order leaves, and ADL has its turn at once."""
    scene = scene_of(side)
    scene.cash(fund_of(0), 1_000_000)
    for band in range(2):
        scene.depth(2 * (1 - band), band=band)
    loser, _, effects = fallen(scene, deposit)
    assert orders(effects) == []
    assert [effect.account for effect in of(effects, EffectKind.ADL_PLAN)] == [loser]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("band", [0, 1])
@pytest.mark.parametrize("deposit", [14_000, 12_000, 9_500])
def test_a_part_of_the_book_below_the_minimum_is_tried_like_none(side: int, band: int, deposit: int) -> None:
    """One band shows a lot or two and the other is unknown: three lots try both, until the deadline, and
    nobody is deleveraged before it.
    """
    for visible in (1, 2):
        scene = scene_of(side)
        scene.cash(fund_of(0), 1_000_000)
        scene.depth(visible, band=band)
        loser, _, effects = fallen(scene, deposit)
        assert orders(effects) == [(loser, 3)]
        assert of(effects, EffectKind.ADL_PLAN) == []
        (order,) = scene.open_ids()
        scene.fill(order, 3, 899)
        assert scene.lots(loser) == 97


@pytest.mark.parametrize("side", SIDES)
def test_a_position_that_the_visible_part_holds_needs_no_probe(side: int) -> None:
    """A position of 2 lots, below the minimum of 3, and 2 visible lots: it is closed on them, whole."""
    scene = scene_of(side)
    scene.depth(2, band=0)
    loser, _, effects = fallen(scene, 250, 2)
    assert orders(effects) == [(loser, 2)]


@pytest.mark.parametrize("side", SIDES)
def test_a_slice_below_the_minimum_sends_it_where_the_book_holds_it(side: int) -> None:
    """A quarter of 8 visible lots is 2, the minimum 3: 3 leave; of 2 visible lots none does."""
    for visible, sent in ((8, 3), (40, 10), (3, 3), (2, 0)):
        scene = scene_of(side, depth_share_ppm=250_000)
        for band in range(2):
            scene.depth(visible * (1 - band), band=band)
        loser, _, effects = fallen(scene, 14_000)
        assert orders(effects) == ([(loser, sent)] if sent else []), visible


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("visible", "share_ppm", "sent"),
    [
        pytest.param(8, 250_000, (3, 0), id="a minimum is out, beyond the share of 2"),
        pytest.param(10, 500_000, (4, 3), id="1 of the share of 5 is left, and the book holds 3 more"),
        pytest.param(6, 834_000, (4, 0), id="1 of the share of 5 is left, and the book holds 2 more"),
    ],
)
def test_what_others_hold_comes_back(side: int, visible: int, share_ppm: int, sent: tuple[int, int]) -> None:
    """The first, with 4 lots, has his order out. The second, below close-out, sends the minimum where
    some of the share is left and the visible book holds it; otherwise he waits. Nobody is deleveraged.
    """
    scene = scene_of(side, depth_share_ppm=share_ppm)
    for band in range(2):
        scene.depth(visible * (1 - band), band=band)
    winner, *losers = scene.open(1_000_000), scene.open(450), scene.open(12_500)
    for account, lots in zip(losers, (4, 100), strict=True):
        scene.trade(account, lots, 1_000, other=winner)
    effects = scene.mark(900)
    assert orders(effects) == [(account, lots) for account, lots in zip(losers, sent, strict=True) if lots]
    assert of(effects, EffectKind.ADL_PLAN) == []
    assert scene.lots(losers[1]) == 100


@pytest.mark.parametrize("side", SIDES)
def test_a_cap_of_the_interval_that_leaves_less_than_the_minimum_waits(side: int) -> None:
    """The venue may order 6 lots a minute: after the 4 of the first, the second has none to send, and
    waits.
    """
    scene = scene_of(side, venue_notional_max=6 * (1_000 - 100 * side), cap_interval_ns=60 * SECOND)
    scene.depth(1_000, band=0)
    winner, *losers = scene.open(1_000_000), scene.open(450), scene.open(12_500)
    for account, lots in zip(losers, (4, 100), strict=True):
        scene.trade(account, lots, 1_000, other=winner)
    effects = scene.mark(900)
    assert orders(effects) == [(losers[0], 4)]
    assert of(effects, EffectKind.ADL_PLAN) == []
