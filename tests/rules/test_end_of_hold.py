"""The end of a hold of the price guard: the level wins that was newest for the larger part of it."""

from __future__ import annotations

import pytest

from backstop.core.events import Doubt, EffectKind, EventKind, Guard
from backstop.core.instruments import BreakerRules
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

F = EffectKind
HOLD = 120


def guarded(side: int) -> Scene:
    """Return a market at 1,000 whose jumps of 10 % are held for two minutes, on little volume."""
    scene = Scene(
        venue(breakers=BreakerRules(guard_hold_ns=HOLD * SECOND), market={"guard_jump_ppm": 100_000, "guard_volume_lots": 50}), side
    )
    scene.send(EventKind.VOLUME, market=0, lots=5)
    return scene


def play(scene: Scene, prints: list[tuple[int, int]]) -> list[int]:
    """Send prints, each so many seconds after the first; return what the guard did to the end of the
    hold, without its HELD.
    """
    begin, effects = scene.time_ns + SECOND, []
    for second, ticks in prints:
        effects += scene.at(begin + second * SECOND).mark(ticks)
    effects += scene.at(begin + HOLD * SECOND).send(EventKind.CLOCK)
    return [row.code for row in of(effects, F.GUARD) if row.code != Guard.HELD]


@pytest.mark.parametrize("side", SIDES)
def test_an_old_print_now_and_then_keeps_no_true_fall_out(side: int) -> None:
    """A true fall of 12 %: prints of 880, and one old print of 1,000 after 100 s."""
    scene = guarded(side)
    assert play(scene, [(0, 880), (30, 880), (60, 880), (100, 1_000), (101, 880)]) == [Guard.RELEASED]
    assert scene.mirror.marks == [scene.price(880)]


@pytest.mark.parametrize("side", SIDES)
def test_one_bad_print_among_good_ones_becomes_no_mark(side: int) -> None:
    scene = guarded(side)
    prints = [(0, 800)] + [(second, 1_000 + second % 3) for second in range(1, HOLD, 7)]
    assert play(scene, prints) == [Guard.DROPPED]
    assert abs(scene.mirror.marks[0] - 1_000) <= 2


@pytest.mark.parametrize("side", SIDES)
def test_a_bad_print_alone_is_held_and_then_taken(side: int) -> None:
    """A guard silences no feed: where nothing else is heard, what was heard is the mark."""
    scene = guarded(side)
    assert play(scene, [(0, 800)]) == [Guard.RELEASED]
    assert scene.mirror.marks == [scene.price(800)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("index", "code"), [(0, Guard.DROPPED), (870, Guard.RELEASED), (990, Guard.DROPPED), (940, Guard.DROPPED)])
def test_a_tie_is_for_the_index_or_the_old_level(side: int, index: int, code: Guard) -> None:
    """Half of the hold each; 940 is as far from 880 as from 1,000."""
    scene = guarded(side)
    if index:
        scene.send(EventKind.INDEX, market=0, price_ticks=scene.price(index))
    assert play(scene, [(0, 880), (60, 1_000)]) == [code]


@pytest.mark.parametrize("side", SIDES)
def test_a_released_mark_that_the_index_contradicts_is_not_the_undoubted_one(side: int) -> None:
    """800 was newest for 100 of 120 s, and is taken, 20 % from the index. The mark that nobody doubted
    is the 1,000 before it.
    """
    rules = BreakerRules(guard_hold_ns=HOLD * SECOND)
    scene = Scene(
        venue(
            breakers=rules, market={"guard_jump_ppm": 100_000, "guard_volume_lots": 50, "price_halt_ppm": 150_000, "price_exit_ppm": 50_000}
        ),
        side,
    )
    scene.send(EventKind.VOLUME, market=0, lots=5)
    scene.send(EventKind.INDEX, market=0, price_ticks=1_000)
    begin = scene.time_ns + SECOND
    scene.at(begin).mark(800)
    scene.at(begin + 100 * SECOND).mark(1_000)
    effects = scene.at(begin + HOLD * SECOND).send(EventKind.CLOCK)
    assert [(row.code, row.price_ticks, row.other) for row in of(effects, F.DOUBT)] == [(Doubt.INDEX, 1_000, scene.price(800))]


@pytest.mark.parametrize("side", SIDES)
def test_no_print_lengthens_a_hold(side: int) -> None:
    scene = guarded(side)
    scene.mark(880)
    until = scene.time_ns + HOLD * SECOND
    for _ in range(5):
        scene.clock(10)
        scene.mark(1_000)
        (held,) = of(scene.mark(880), F.GUARD)
        assert held.amount == until


@pytest.mark.parametrize("side", SIDES)
def test_doubt_is_only_while_the_newest_print_is_a_held_one(side: int) -> None:
    """Who prints once in a while cannot keep a market doubted in which good prints are heard."""
    scene = guarded(side)
    assert [row.code for row in of(scene.mark(800), F.DOUBT)] == [Doubt.GUARD]
    assert [row.code for row in of(scene.mark(1_001), F.DOUBT)] == [Doubt.ENDED]
    assert scene.mirror.breakers[0].held == scene.price(800)  # nobody leaves at the better of both meanwhile


@pytest.mark.parametrize("side", SIDES)
def test_volume_decides_at_once(side: int) -> None:
    for ticks, code in ((885, Guard.CONFIRMED), (1_001, Guard.DROPPED)):
        scene = guarded(side)
        scene.mark(880)
        scene.mark(1_000)
        scene.send(EventKind.VOLUME, market=0, lots=50)
        assert [row.code for row in of(scene.mark(ticks), F.GUARD)] == [code]
        assert scene.mirror.marks == [scene.price(ticks)]
