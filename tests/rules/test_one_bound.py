"""One bound for all waiting: whatever the book, the feed and the breakers do, an account in default is
flat or out of default in time. From any state: ``tests.properties.doubts`` looks after every event.
"""

from __future__ import annotations

import pytest

from backstop.core.events import EffectKind, EventKind, Operator, Stage, fund_of
from backstop.core.instruments import BreakerRules
from backstop.reference.closing import longest_default_ns
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
BREAKERS = BreakerRules(
    hold_max_ns=40 * SECOND, stale_ns=15 * SECOND, act_age_max_ns=5 * SECOND, doubt_max_ns=50 * SECOND, halt_wait_max_ns=90 * SECOND
)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("slices", [False, True])
@pytest.mark.parametrize("carry", [0, 60])
def test_nobody_is_in_default_for_longer_than_the_bound(side: int, carry: int, *, slices: bool) -> None:
    """A feed that dies and comes back each 20 s, an operator who halts and reopens, a book that takes a lot
    a second or none: 100 lots, DISTRESSED.
    """
    rules = venue(STAGES, breakers=BREAKERS, deadline_ns=20 * SECOND, carry_max_ns=carry * SECOND, order_timeout_ns=5 * SECOND)
    scene = Scene(rules, side)
    scene.cash(fund_of(0), 1_000_000)
    account, other = scene.open(12_000), scene.open(1_000_000)
    scene.trade(account, 100, 1_000, other)
    scene.mark(925)
    begun = scene.time_ns
    most = longest_default_ns(rules.closeout, rules.breakers.doubt_max_ns, rules.takeover.answer_timeout_ns)
    while scene.mirror.accounts[account].in_default and scene.lots(account):
        assert scene.time_ns - begun <= most + 5 * SECOND
        second = (scene.time_ns - begun) // SECOND
        effects = scene.mark(925) if second % 20 < 2 else scene.clock(1)
        if second % 45 == 30:
            effects += scene.send(EventKind.OPERATOR, code=int(Operator.HALT), market=0, amount=10 * SECOND)
        if slices:
            effects += scene.depth(1)
        for order in of(effects, EffectKind.ORDER):
            scene.fill(order.other, 1, 924)
            scene.done(order.other)
    assert not scene.mirror.accounts[account].in_default or not scene.lots(account)
