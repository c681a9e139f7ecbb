"""An event that brings more effects than it may: who goes first, and who waits (R5.5),
on the engine, the reference and every invariant together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import EffectKind, Stage
from backstop.core.instruments import LimitRules
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

#: A crash of 30 small accounts and a large one brings more effects than half of so many.
LIMITS = LimitRules(accounts_max=64, positions_max=256, orders_max=64, effects_max=256)
SMALL = 30


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("stages", "kind"), [((Stage.TEAR_UP,), EffectKind.TEAR_UP), ((Stage.ADL, Stage.TEAR_UP), EffectKind.ADL_PLAN)])
def test_small_accounts_do_not_hold_back_the_account_that_lacks_most(side: int, stages: tuple[Stage, ...], kind: EffectKind) -> None:
    """30 accounts of a lot with 60 each have the worst ratio, and an account of 1,000 lots lacks
    50,000: a joint turn has room for some, and it is among them; some of the small ones wait.
    """
    scene = Scene(venue(stages)._replace(limits=LIMITS), side)
    winner = scene.open(10**9)
    small = [scene.open(60) for _ in range(SMALL)]
    for account in small:
        scene.trade(account, 1, 1_000, other=winner)
    large = scene.open(100_000)
    scene.trade(large, 1_000, 1_000, other=winner)
    first = [row.account for row in of(scene.mark(850), kind)]
    assert large in first
    assert 1 < len(first) < SMALL
    for _ in range(6):
        scene.at(scene.time_ns + 10 * SECOND).clock()
    assert all(scene.lots(account) == 0 for account in small)
