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
DUST = 30


@pytest.mark.parametrize("side", SIDES)
def test_dust_does_not_hold_back_the_account_that_lacks_most(side: int) -> None:
    """30 accounts of a lot with 60 each have the worst ratio, and an account of 1,000 lots lacks
    50,000: it is closed in the event, and some of the small ones wait.
    """
    scene = Scene(venue((Stage.TEAR_UP,))._replace(limits=LIMITS), side)
    winner = scene.open(10**9)
    small = [scene.open(60) for _ in range(DUST)]
    for account in small:
        scene.trade(account, 1, 1_000, other=winner)
    large = scene.open(100_000)
    scene.trade(large, 1_000, 1_000, other=winner)
    first = [row.account for row in of(scene.mark(850), EffectKind.TEAR_UP)]
    assert large in first
    assert 1 < len(first) < DUST
    assert first[0] == small[0], "until the event fills up, by urgency"
    for _ in range(5):
        scene.at(scene.time_ns + 10 * SECOND).clock()
    assert all(scene.lots(account) == 0 for account in small)
