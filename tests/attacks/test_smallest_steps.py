"""Smallest steps: closing in the smallest slices, and deleveraging in the smallest waves, conserve everything
and end.
"""

from __future__ import annotations

import pytest

from backstop.core.events import REMAINDER, EffectKind, EventKind, Health, Stage
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue

F = EffectKind


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("answers", ["fills", "ends", "ignores"])
def test_minimal_slices_end(side: int, answers: str) -> None:
    """One lot is visible a second, and each slice closes one; or the venue shows depth and fills
    nothing, or never answers.

    In no more steps than lots, or by the deadline, the account is out of default.
    """
    deadline = 30
    scene = Scene(venue((Stage.CLOSEOUT, Stage.ADL, Stage.TEAR_UP), deadline_ns=deadline * SECOND, order_timeout_ns=SECOND), side)
    loser = scene.open(20_000)
    scene.trade(scene.open(10**6), -200, FIRST_MARK)
    scene.trade(loser, 190, FIRST_MARK)
    scene.depth(1)
    scene.mark(FIRST_MARK - 100)
    assert scene.mirror.health[loser] >= Health.DISTRESSED
    slices, before = 0, scene.lots(loser)
    for _ in range(8 * deadline):
        for number in scene.open_ids():
            order = scene.mirror.orders[number]
            assert abs(order.lots) == 1
            slices += 1
            if answers == "fills":
                scene.fill(number, 1, FIRST_MARK - 101)
            if answers != "ignores":
                scene.done(number)
        scene.depth(1)
        if scene.mirror.health[loser] < Health.DISTRESSED:
            break
    assert scene.mirror.health[loser] < Health.DISTRESSED
    assert 0 < slices <= max(deadline, before - scene.lots(loser)) + 1


@pytest.mark.parametrize("side", SIDES)
def test_entering_and_leaving_default_for_ever_costs_lots_each_time(side: int) -> None:
    """A mark that swings by a tick around maintenance: each round closes at least a lot, so that
    there are no more than lots.
    """
    scene = Scene(venue((Stage.CLOSEOUT, Stage.ADL, Stage.TEAR_UP), fee_ppm=1_000), side)
    scene.trade(scene.open(10**6), -100, FIRST_MARK)
    loser = scene.open(4_000)
    scene.trade(loser, 60, FIRST_MARK)
    rounds = 0
    ticks = FIRST_MARK - 20
    for _ in range(400):
        lots = scene.lots(loser)
        if lots == 0:
            break
        scene.depth(5)
        scene.mark(ticks)
        ticks -= 1 if not scene.open_ids() and scene.mirror.health[loser] < Health.DISTRESSED else 0
        for number in scene.open_ids():
            order = scene.mirror.orders[number]
            scene.fill(number, 1, scene.price(order.limit_ticks))
            scene.done(number)
            rounds += 1
        if ticks < 700:
            break
    assert 0 < rounds <= 60
    assert scene.mirror.equity(loser) >= 0
    assert scene.mirror.payments == []


@pytest.mark.parametrize("side", SIDES)
def test_many_tiny_waves_conserve_and_end(side: int) -> None:
    """Three hundred accounts of one lot against as many of one lot, deficits of single atoms: a
    wave each, nothing left over.
    """
    rules = venue((Stage.ADL, Stage.TEAR_UP))
    rules = rules._replace(limits=rules.limits._replace(accounts_max=256, positions_max=1_024))
    scene = Scene(rules, side)
    winners = [scene.open(150 + number) for number in range(40)]
    for account in winners:
        scene.trade(account, -1, FIRST_MARK)
    losers = [scene.open(101) for _ in range(40)]
    for account in losers:
        scene.trade(account, 1, FIRST_MARK)
    total = sum(scene.mirror.equity(account) for account in (*winners, *losers))
    waves = 0
    for number, account in enumerate(losers):
        effects = scene.charge(account, scene.mirror.equity(account) + 1 + number % 3)
        waves += len(of(effects, F.ADL_PLAN))
        total -= sum(row.amount for row in of(effects, F.POSTING) if row.other == account and row.account == -2)
    assert waves >= 40
    assert all(scene.lots(account) == 0 for account in losers)
    assert sum(scene.mirror.equity(account) for account in (*winners, *losers)) == total
    assert scene.mirror.ledger[REMAINDER] == 0


@pytest.mark.parametrize("side", SIDES)
def test_single_atoms_of_funding_wake_nobody_twice(side: int) -> None:
    """An account at the edge charged atom by atom: every event ends, and health only worsens with
    its equity.
    """
    scene = Scene(venue((Stage.ADL, Stage.TEAR_UP)), side)
    scene.trade(scene.open(10**6), -10, FIRST_MARK)
    loser = scene.open(520)
    scene.trade(loser, 10, FIRST_MARK)
    effects = [scene.charge(loser, 1) for _ in range(60)]
    assert max(len(each) for each in effects) < 40
    assert len(of([row for each in effects for row in each], F.ADL_PLAN)) >= 1
    assert scene.send(EventKind.CLOCK) == []
