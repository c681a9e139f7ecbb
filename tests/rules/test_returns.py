"""Least closing does not chatter: whoever comes back to default is closed further each time (section
2, Levels), on the engine, the reference and every invariant together.

100 lots of a tick an atom, 5 % maintenance, a deep book at 0.1 %; 5 % exit buffer and 15 % a return,
50 % at most.
"""

from __future__ import annotations

import pytest

from backstop.core.events import EffectKind, Health, Stage
from backstop.core.instruments import LevelRules, VenueRules
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

F = EffectKind
LEVELS = LevelRules(return_buffer_ppm=150_000, return_buffer_max_ppm=500_000, return_memory_ns=100 * SECOND)
BOOK = (Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
ADL = (Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def rules(stages: tuple[int, ...] = BOOK, levels: LevelRules = LEVELS) -> VenueRules:
    """Return a venue with these levels, whose deadline does not come."""
    return venue(stages, deadline_ns=1_000 * SECOND)._replace(levels=levels)


def scene_of(side: int, venue_rules: VenueRules | None = None) -> tuple[Scene, int]:
    """Return a scene with an account of 1,000 lots and 100,000 atoms."""
    scene = Scene(venue_rules or rules(), side)
    scene.depth(100_000)
    account = scene.open(100_000)
    scene.trade(account, 1_000, 1_000)
    return scene, account


def ratio_ppm(scene: Scene, account: int) -> int:
    """Equity over maintenance margin, rounded down."""
    equity, maintenance, *_ = scene.mirror.standing(account)
    return equity * 1_000_000 // maintenance


def default_at(scene: Scene, account: int, ticks: int) -> int:
    """Let the mark fall until the account is in default, close what it orders at the mark; return at
    which ratio it leaves.
    """
    scene.mark(ticks)
    assert scene.mirror.accounts[account].in_default
    while scene.open_ids():
        (order,) = scene.open_ids()
        scene.fill(order, scene.mirror.orders[order].remaining, ticks)
        scene.done(order)
        scene.clock()
    assert not scene.mirror.accounts[account].in_default
    return ratio_ppm(scene, account)


def next_fall(scene: Scene, account: int, ticks: int) -> int:
    """Return the first mark below at which the account is below maintenance margin."""
    while True:
        ticks -= 1
        lots, price = scene.lots(account), scene.price(ticks)
        equity = scene.mirror.equity(account) + scene.side * lots * (price - scene.mirror.marks[0])
        if equity < -(-lots * price * 50_000 // 1_000_000):
            return ticks


@pytest.mark.parametrize("side", SIDES)
def test_each_return_is_closed_further(side: int) -> None:
    """105 %, 120 %, 135 %, 150 %, and never more than the venue allows."""
    scene, account = scene_of(side)
    ticks, found = 1_000, []
    for _ in range(6):
        ticks = next_fall(scene, account, ticks)
        found.append(default_at(scene, account, ticks))
    for ratio, least in zip(found, (1_050_000, 1_200_000, 1_350_000, 1_500_000, 1_500_000, 1_500_000), strict=True):
        assert least <= ratio < least + 30_000
    assert scene.mirror.accounts[account].returns == 5


def test_without_the_rule_it_comes_back_at_once() -> None:
    """The same with ``return_buffer`` 0: 105 % each time, and the same fall brings it back more often."""
    times = {}
    for buffer in (0, 150_000):
        scene, account = scene_of(1, rules(levels=LEVELS._replace(return_buffer_ppm=buffer)))
        ticks, times[buffer] = 1_000, 0
        while (ticks := next_fall(scene, account, ticks)) > 900:
            default_at(scene, account, ticks)
            times[buffer] += 1
    assert times[0] > 2 * times[150_000]


def test_it_is_forgotten() -> None:
    """A default that begins later than the memory is none of them."""
    scene, account = scene_of(1)
    first = next_fall(scene, account, 1_000)
    default_at(scene, account, first)
    default_at(scene, account, second := next_fall(scene, account, first))
    ended = scene.mirror.accounts[account].default_ended
    third = next_fall(scene, account, second)
    for late, returns in ((0, 2), (1, 0)):
        copy, copied = scene_of(1)
        default_at(copy, copied, first)
        default_at(copy, copied, second)
        assert copy.mirror.accounts[copied].default_ended == ended
        copy.at(ended + 100 * SECOND + late)
        default_at(copy, copied, third)
        assert copy.mirror.accounts[copied].returns == returns


def test_whoever_is_flat_begins_anew() -> None:
    """A default that closes all, and a new position later: its default is no return."""
    scene, account = scene_of(1)
    first = next_fall(scene, account, 1_000)
    default_at(scene, account, first)
    default_at(scene, account, second := next_fall(scene, account, first))
    assert scene.mirror.accounts[account].returns == 1
    scene.charge(account, scene.mirror.equity(account) - 5)
    assert (scene.lots(account), scene.mirror.health[account]) == (0, Health.HEALTHY)
    scene.cash(account, 100_000)
    scene.trade(account, 1_000, second)
    default_at(scene, account, next_fall(scene, account, second))
    assert scene.mirror.accounts[account].returns == 0


@pytest.mark.parametrize("side", SIDES)
def test_adl_closes_to_the_same_level(side: int) -> None:
    """Without a book the second time ADL closes to 120 %."""
    scene = Scene(rules(ADL), side)
    loser, winner = scene.open(100_000), scene.open(10_000_000)
    scene.trade(loser, 1_000, 1_000, other=winner)
    ticks, found = 1_000, []
    for _ in range(2):
        ticks = next_fall(scene, loser, ticks)
        assert of(scene.mark(ticks), F.ADL_PLAN)
        found.append(ratio_ppm(scene, loser))
    assert 1_050_000 <= found[0] < 1_080_000
    assert 1_200_000 <= found[1] < 1_230_000
    assert scene.mirror.health[loser] < Health.DISTRESSED


def test_a_twin_spares_what_is_above_his_own_level() -> None:
    """Netting takes first what is above the release level of an account that is not in default: that
    without returns, however often it came back before.
    """
    scene, account = scene_of(1)
    first = next_fall(scene, account, 1_000)
    default_at(scene, account, first)
    default_at(scene, account, next_fall(scene, account, first))
    standing = scene.mirror.standing(account)
    assert scene.mirror.accounts[account].returns == 1
    assert standing.release == -(-standing.maintenance * 1_050_000 // 1_000_000)
    twin = scene.open(10, owner=scene.mirror.owner_of(account))
    scene.charge(twin, 10 + standing.equity - standing.release)
    assert scene.mirror.equity(account) == standing.release
    assert not scene.mirror.accounts[account].in_default
