"""Attacks with prints on next to no volume: they may not stop closings for long, choose a mark, walk
it, or open the door.

A jump of 10 % on less than 50 lots is held for two minutes. Bands, bars and tolerances are those of
``tests.attacks.scene``.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backstop.core.events import Answer, Doubt, EffectKind, EventKind, Guard, Reject, Stage, fund_of
from backstop.core.instruments import BreakerRules, VenueRules
from tests.attacks.scene import SECOND, SIDES, WHOLE, Scene, of, provider, venue

F = EffectKind
HOLD = 120
BREAKERS = BreakerRules(guard_hold_ns=HOLD * SECOND)
GUARDED = {"guard_jump_ppm": 100_000, "guard_volume_lots": 50}
BOOK = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def thin(side: int, rules: VenueRules | None = None) -> Scene:
    """Return a guarded market at 1,000 on little volume."""
    scene = Scene(rules or venue(breakers=BREAKERS, market=GUARDED), side)
    scene.send(EventKind.VOLUME, market=0, lots=5)
    return scene


def on_volume(scene: Scene, ticks: int) -> None:
    """Let a mark be accepted on volume."""
    scene.send(EventKind.VOLUME, market=0, lots=1_000)
    scene.mark(ticks)
    scene.send(EventKind.VOLUME, market=0, lots=5)


def play(scene: Scene, prints: Sequence[tuple[float, int]], ends: Sequence[float] = ()) -> list[tuple[int, int]]:
    """Send prints, each so many seconds after the first, and clocks; return (code, price) of what the
    guard did, without its HELD.
    """
    begin, effects = scene.time_ns + SECOND, []
    for second, ticks in sorted([*prints, *((end, 0) for end in ends)]):
        scene.at(begin + int(second * SECOND))
        effects += scene.mark(ticks) if ticks else scene.send(EventKind.CLOCK)
    return [(row.code, scene.price(row.price_ticks)) for row in of(effects, F.GUARD) if row.code != Guard.HELD]


# -- closings that go on ---------------------------------------------------------------------------


def defaulter(side: int, rules: VenueRules, *, deposit: int = 1_200, ticks: int = 915, depth: int = 4) -> tuple[Scene, int]:
    """Ten lots of an account that is in default at a mark on volume, where the book shows some lots."""
    scene = thin(side, rules)
    scene.cash(fund_of(0), 1_000_000)
    account, other = scene.open(deposit), scene.open(1_000_000)
    scene.trade(account, 10, 1_000, other)
    if depth:
        scene.depth(depth)
    on_volume(scene, ticks)
    return scene, account


@pytest.mark.parametrize("side", SIDES)
def test_a_thin_print_after_each_order_does_not_cancel_it(side: int) -> None:
    """A millisecond after each order a print far off raises doubt, and the next good one ends it. The
    order stays, is filled, and the next leaves when the doubt is over: all is closed on the book.
    """
    rules = venue(BOOK, breakers=BREAKERS, market=GUARDED, interval_ns=SECOND, deadline_ns=600 * SECOND)
    scene, account = defaulter(side, rules, deposit=900)
    sent = 0
    while scene.mirror.accounts[account].in_default:
        (order,) = scene.open_ids()
        effects = scene.at(scene.time_ns + SECOND // 1_000).mark(500)
        assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.GUARD]
        assert not of(effects, F.CANCEL)
        scene.fill(order, abs(scene.mirror.orders[order].lots), 914)
        effects = scene.done(order) + scene.depth(4)
        assert not of(effects, F.ORDER)  # nothing new leaves at a price that is doubted
        assert [row.code for row in of(scene.mark(915), F.DOUBT)] == [Doubt.ENDED]
        sent += 1
    assert sent >= 2


@pytest.mark.parametrize("side", SIDES)
def test_another_reason_that_joins_cancels_and_the_slice_leaves_again_at_once(side: int) -> None:
    """The guard holds a print; then the index moves far from the mark: the order is cancelled, and
    leaves again in the event that ends the doubt, though an interval is not over.
    """
    market = GUARDED | {"price_throttle_ppm": 150_000, "price_halt_ppm": 180_000, "price_exit_ppm": 150_000}
    scene, account = defaulter(side, venue(BOOK, breakers=BREAKERS, market=market, interval_ns=60 * SECOND, order_timeout_ns=50 * SECOND))
    assert len(scene.open_ids()) == 1
    scene.mark(500)
    assert len(scene.open_ids()) == 1
    effects = scene.send(EventKind.INDEX, market=0, price_ticks=scene.price(600))
    assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.INDEX]
    assert [row.account for row in of(effects, F.CANCEL)] == [account]
    scene.send(EventKind.INDEX, market=0, price_ticks=scene.price(914))
    effects = scene.mark(915)
    assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.ENDED]
    assert [row.account for row in of(effects, F.ORDER)] == [account]


@pytest.mark.parametrize("side", SIDES)
def test_an_answer_is_taken_while_the_guard_alone_doubts(side: int) -> None:
    scene = thin(side, venue(WHOLE, breakers=BREAKERS, market=GUARDED, providers=(provider(),)))
    account = scene.open(1_200)
    scene.bind(0, scene.open(1_000_000))
    scene.trade(account, 10, 1_000)
    (offer,) = of(scene.mark(905), F.OFFER)
    assert not of(scene.mark(500), F.CANCEL)
    effects = scene.answer(offer.other, Answer.ACCEPT)
    assert [row.amount for row in of(effects, F.TAKEOVER)] == [offer.amount]
    assert scene.lots(account) == 10 - abs(offer.lots)


@pytest.mark.parametrize("side", SIDES)
def test_who_falls_further_while_the_guard_doubts_is_not_blocked_by_the_order_that_stays(side: int) -> None:
    """Market 0 is doubted by a thin print, its order out; market 1 falls, and makes the account
    insolvent: it is planned anew, and its lots of market 1 go to the book.
    """
    scene = Scene(venue(BOOK, markets=2, breakers=BREAKERS, market=GUARDED, interval_ns=SECOND, order_timeout_ns=60 * SECOND), side)
    scene.send(EventKind.VOLUME, market=0, lots=5)
    scene.cash(fund_of(0), 1_000_000)
    account, other = scene.open(2_400), scene.open(1_000_000)
    for market in (0, 1):
        scene.trade(account, 10, 1_000, other, market=market)
    scene.depth(2)
    scene.mark(905)
    scene.mark(905, market=1)
    assert [scene.mirror.orders[order].market for order in scene.open_ids()] == [0]
    scene.mark(500)
    scene.depth(10, market=1)
    effects = scene.mark(500, market=1) + scene.clock(2)
    assert 1 in [row.market for row in of(effects, F.ORDER)]


# -- levels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("has_index", [False, True])
def test_a_level_that_is_gone_for_the_second_hold_is_dropped(side: int, *, has_index: bool) -> None:
    """800 is the newest for 121 of 240 s, 1,000 for the rest, with and without a living index."""
    scene = thin(side)
    if has_index:
        scene.send(EventKind.INDEX, market=0, price_ticks=1_000)
    prints = [(0, 800), (50, 1_000), (50.1, 800), (121, 1_000), (180, 1_000)]
    assert play(scene, prints, (120, 240)) == [(Guard.CONTINUED, 800), (Guard.DROPPED, 800)]
    assert scene.mirror.marks == [1_000]


@pytest.mark.parametrize("side", SIDES)
def test_a_level_does_not_walk_by_its_own_prints(side: int) -> None:
    """880 for the whole hold, then 800, 760 and 700 in its last second: 800 is of the level, the others
    are none of it.
    """
    scene = thin(side)
    done = play(scene, [(0, 880), (119.2, 800), (119.4, 760), (119.6, 700)], (120, 240))
    assert done[0] == (Guard.CONTINUED, 800)
    scene = thin(side)
    assert play(scene, [(0, 880), (119.2, 800)], (120,)) == [(Guard.RELEASED, 800)]


def test_a_rival_does_not_walk_either() -> None:
    """600 takes the place of 880; its level is that of its first print, so that 530 is another."""
    scene = thin(1)
    play(scene, [(0, 880), (10, 600), (11, 550), (30, 550)])
    assert scene.mirror.breakers[0].held == 550
    scene.mark(530)
    assert (scene.mirror.breakers[0].held, scene.mirror.breakers[0].rival) == (550, 530)


@pytest.mark.parametrize("walk", [(901, 820, 740, 660), (1_099, 1_190, 1_290, 1_400)])
def test_a_thin_mark_does_not_walk(walk: tuple[int, ...]) -> None:
    """Each step is less than 10 % from the one before: only the first is accepted, until the reference is
    as old as a hold.
    """
    scene, (first, *others) = thin(1), walk
    assert not of(scene.mark(first), F.GUARD)
    for ticks in others:
        (held,) = of(scene.mark(ticks), F.GUARD)
        assert (held.code, held.other) == (Guard.HELD, 1_000)
    assert scene.mirror.marks == [first]
    scene.at((HOLD + 1) * SECOND).mark(first)
    assert scene.mirror.breakers[0].reference == first


@pytest.mark.parametrize("side", SIDES)
def test_a_mark_on_volume_walks_as_it_trades(side: int) -> None:
    scene = thin(side)
    for ticks in (901, 820, 740):
        scene.send(EventKind.VOLUME, market=0, lots=50)
        assert not of(scene.mark(ticks), F.GUARD)
    assert scene.mirror.breakers[0].reference == scene.price(740)


def test_what_a_hold_releases_is_the_reference() -> None:
    """880 alone is released; 802 is 8.9 % from it, and 780 11.4 %."""
    scene = thin(1)
    assert play(scene, [(0, 880)], (HOLD,)) == [(Guard.RELEASED, 880)]
    assert not of(scene.mark(802), F.GUARD)
    assert of(scene.mark(780), F.GUARD)


@pytest.mark.parametrize("side", SIDES)
def test_a_planted_hold_that_is_dropped_leaves_no_gap_before_a_true_fall(side: int) -> None:
    """One print of 700 is taken back at once; at second 100 the price falls to 850, all in one hold. When
    that is dropped, 850 is held on: the market stays doubted, and 850 is the mark a hold later.
    """
    scene = thin(side)
    begin = scene.time_ns + SECOND
    prints = [(0, 700), (1, 1_000), *((second, 850) for second in range(100, 119, 5))]
    assert play(scene, prints, (120,)) == [(Guard.DROPPED, 850), (Guard.RENEWED, 850)]
    assert scene.mirror.breakers[0].undoubted == 1_000
    assert [row.code for row in of(scene.at(begin + 239 * SECOND).send(EventKind.CLOCK), F.GUARD, F.DOUBT)] == []
    effects = scene.at(begin + 240 * SECOND).send(EventKind.CLOCK)
    assert [(row.kind, row.code) for row in of(effects, F.GUARD, F.DOUBT)] == [(F.GUARD, Guard.RELEASED), (F.DOUBT, Doubt.ENDED)]
    assert scene.mirror.marks == [scene.price(850)]


@pytest.mark.parametrize("side", SIDES)
def test_a_rival_that_is_newest_when_a_level_is_released_is_held_on(side: int) -> None:
    """880 is released after its second hold, when a print of 600 is the newest: that is still a jump."""
    scene = thin(side)
    prints = [(0, 880), (10, 1_000), (11, 880), (239, 600)]
    assert play(scene, prints, (120, 240)) == [(Guard.CONTINUED, 880), (Guard.RELEASED, 880), (Guard.RENEWED, 600)]
    assert scene.mirror.marks == [scene.price(880)]
    assert scene.mirror.breakers[0].undoubted == 1_000


@pytest.mark.parametrize(("held", "index", "code"), [(820, 909, Guard.RELEASED), (600, 790, Guard.CONTINUED)])
def test_an_index_between_two_prices_confirms_neither(held: int, index: int, code: Guard) -> None:
    """Of a mark of 1,000 and 820 the index 909 is nearer to 820, and 9.8 % from it. Of 1,000 and 600 the
    index 790 is nearer to 600, and a jump from both.
    """
    scene = thin(1)
    scene.send(EventKind.INDEX, market=0, price_ticks=index)
    assert [done for done, _ in play(scene, [(0, held)], (120,))] == [code]


# -- the door --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_an_old_print_in_a_true_fall_opens_no_door(side: int) -> None:
    """A true fall to 800 on little volume is held. The long trades once at 1,000 with itself: the newest
    print is no held one, and still nobody leaves at the better price.
    """
    scene = thin(side)
    account = scene.open(3_000)
    scene.trade(account, 10, 1_000, scene.open(1_000_000))
    scene.mark(800)
    assert [row.code for row in of(scene.mark(1_000), F.DOUBT)] == [Doubt.ENDED]
    (refusal,) = scene.cash(account, -1_900)
    assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.INSUFFICIENT_MARGIN)
