"""The end of a hold of the price guard: the level wins that was newest for the larger part of it, and
where others of its prints or the index spoke for another level, for the larger part of two holds.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def play(scene: Scene, prints: Sequence[tuple[float, int]], holds: int = 1) -> list[int]:
    """Send prints, each so many seconds after the first; return what the guard did to the end of so
    many holds, without its HELD.
    """
    begin, effects = scene.time_ns + SECOND, []
    for second, ticks in prints:
        effects += scene.at(begin + int(second * SECOND)).mark(ticks)
    effects += scene.at(begin + holds * HOLD * SECOND).send(EventKind.CLOCK)
    return [row.code for row in of(effects, F.GUARD) if row.code != Guard.HELD]


def old_print_each(seconds: int, until: int) -> list[tuple[int, int]]:
    """Return prints of a fall of 12 % each second, and an old one of 1,000 every so many seconds."""
    return [(second, 1_000 if second % seconds == seconds - 1 else 880) for second in range(until)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seconds", [100, 10, 3])
def test_an_old_print_now_and_then_keeps_no_true_fall_out(side: int, seconds: int) -> None:
    """A true fall of 12 %, beside an old print every 100 s: it is held once more, and then the mark. So
    it is with a third of the time for the old print.
    """
    scene = guarded(side)
    assert play(scene, old_print_each(seconds, 2 * HOLD), holds=2) == [Guard.CONTINUED, Guard.RELEASED]
    assert scene.mirror.marks == [scene.price(880)]


@pytest.mark.parametrize("side", SIDES)
def test_an_old_print_keeps_no_true_fall_out_that_the_index_sees(side: int) -> None:
    scene = guarded(side)
    scene.send(EventKind.INDEX, market=0, price_ticks=scene.price(870))
    assert play(scene, old_print_each(100, HOLD)) == [Guard.RELEASED]


@pytest.mark.parametrize("side", SIDES)
def test_an_index_that_stands_still_keeps_no_true_fall_out(side: int) -> None:
    """Nothing but 880 is printed, and the index says 1,000 for ever: two holds, and no more."""
    scene = guarded(side)
    scene.send(EventKind.INDEX, market=0, price_ticks=scene.price(1_000))
    assert play(scene, [(second, 880) for second in range(0, 2 * HOLD, 5)], holds=2) == [Guard.CONTINUED, Guard.RELEASED]
    assert scene.mirror.marks == [scene.price(880)]


@pytest.mark.parametrize("side", SIDES)
def test_low_prints_on_little_volume_need_most_of_two_holds(side: int) -> None:
    """Bad prints are the newest for 105 of 120 s, as in a recorded outage. Then the old level is heard
    again, and they are gone; on volume at once.
    """
    prints = [(0, 845), (60, 1_000), (75, 845), (120, 1_000)]
    scene = guarded(side)
    assert play(scene, prints, holds=2) == [Guard.CONTINUED, Guard.DROPPED]
    assert scene.mirror.marks == [1_000]
    scene = guarded(side)
    assert play(scene, prints) == [Guard.CONTINUED]
    scene.send(EventKind.VOLUME, market=0, lots=50)
    assert [row.code for row in of(scene.mark(1_000), F.GUARD)] == [Guard.DROPPED]


@pytest.mark.parametrize("side", SIDES)
def test_one_print_at_the_end_of_a_hold_does_not_take_the_place_of_those_before(side: int) -> None:
    """A true fall to 880, and a print of 400 in the last half second: what was newest longest is the mark,
    after a second hold. At the door both count until then.
    """
    scene = guarded(side)
    begin = scene.time_ns + SECOND
    assert play(scene, [(0, 880), (119.5, 400), (120.5, 880)], holds=2) == [Guard.CONTINUED, Guard.RELEASED]
    assert scene.mirror.marks == [scene.price(880)]
    assert scene.time_ns == begin + 2 * HOLD * SECOND


@pytest.mark.parametrize("side", SIDES)
def test_who_prints_first_does_not_choose_the_level(side: int) -> None:
    """A print of 400 at the begin, then a true fall to 880: the rival takes its place."""
    scene = guarded(side)
    assert play(scene, [(0, 400), *((second, 880) for second in range(1, 2 * HOLD, 10))], holds=2) == [Guard.CONTINUED, Guard.RELEASED]
    assert scene.mirror.marks == [scene.price(880)]


@pytest.mark.parametrize("side", SIDES)
def test_third_levels_keep_no_true_fall_out(side: int) -> None:
    """Every other third print is at 400 or 600: 880 was newest for two thirds of both holds. The last of
    them is the newest at the end, and held on.
    """
    scene = guarded(side)
    prints = [(second, (880, 880, 400, 880, 880, 600)[second % 6]) for second in range(2 * HOLD)]
    assert play(scene, prints, holds=2) == [Guard.CONTINUED, Guard.RELEASED, Guard.RENEWED]
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
    """800 was newest for 220 of 240 s, and is taken, 20 % from the index. The mark that nobody doubted
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
    scene.at(begin + 220 * SECOND).mark(1_000)
    effects = scene.at(begin + 2 * HOLD * SECOND).send(EventKind.CLOCK)
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
