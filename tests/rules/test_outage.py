"""An outage: which events show that markets live, and that the halt stands before the first order of
the event that ends the silence.
"""

from __future__ import annotations

import pytest

from backstop.core.events import NONE, BreakerCause, BreakerState, EffectKind, EventKind, Operator, Stage, fund_of
from backstop.core.instruments import BreakerRules
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

MINUTE = 60 * SECOND
RULES = BreakerRules(hold_max_ns=10 * MINUTE, outage_gap_ns=10 * MINUTE, outage_grace_ppm=500_000, outage_grace_max_ns=5 * MINUTE)
STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)


def silent(side: int, breakers: BreakerRules = RULES) -> tuple[Scene, int]:
    """Open a position of 10 lots at 1,000 beside a deep book; return it before a silence of an
    hour.
    """
    scene = Scene(venue(STAGES, breakers=breakers, deadline_ns=10 * MINUTE), side)
    scene.cash(fund_of(0), 1_000_000)
    account = scene.open(1_200)
    scene.depth(1_000)
    scene.trade(account, 10, 1_000)
    scene.at(scene.time_ns + 60 * MINUTE)
    return scene, account


@pytest.mark.parametrize("side", SIDES)
def test_no_order_leaves_with_the_first_mark_after_an_outage(side: int) -> None:
    """The mark of 925 brings the account into default; it is back at 990 two minutes later."""
    scene, account = silent(side)
    effects = scene.mark(925)
    assert effects[0].kind == EffectKind.BREAKER
    assert (effects[0].code, effects[0].lots, effects[0].market) == (BreakerState.HALTED, BreakerCause.OUTAGE, NONE)
    assert of(effects, EffectKind.HEALTH)
    for _ in range(12):
        effects += scene.at(scene.time_ns + 10 * SECOND).mark(925)
    effects += scene.mark(990)
    assert not of(effects, EffectKind.ORDER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
    assert scene.lots(account) == 10
    assert scene.mirror.accounts[account].default_since > scene.time_ns


@pytest.mark.parametrize("side", SIDES)
def test_a_clock_hides_no_outage(side: int) -> None:
    """A clock at every minute, a deposit, a refused mark: the grace counts from the mark at 60
    minutes.
    """
    scene, account = silent(side)
    begin_ns = scene.time_ns + SECOND - 60 * MINUTE
    found = []
    for minute in range(1, 60):
        found += scene.at(begin_ns + minute * MINUTE).clock(0)
        if minute == 30:
            found += scene.cash(fund_of(0), 5)
            found += scene.send(EventKind.MARK, market=7, price_ticks=5)
    halts = [each for each in of(found, EffectKind.BREAKER) if each.code == BreakerState.HALTED]
    assert [each.lots for each in halts] == [BreakerCause.OUTAGE]
    effects = scene.at(begin_ns + 60 * MINUTE).mark(925)
    assert of(effects, EffectKind.BREAKER)[0].code == BreakerState.HALTED
    assert not of(effects, EffectKind.ORDER)
    effects = scene.at(begin_ns + 64 * MINUTE).mark(925)
    assert not of(effects, EffectKind.ORDER)
    assert scene.lots(account) == 10


@pytest.mark.parametrize("side", SIDES)
def test_a_quiet_market_is_no_outage(side: int) -> None:
    scene, account = silent(side)
    begin_ns = scene.time_ns + SECOND - 60 * MINUTE
    found = []
    for minute in range(1, 60):
        found += scene.at(begin_ns + minute * MINUTE).send(EventKind.HEARTBEAT, market=0)
    found += scene.at(begin_ns + 60 * MINUTE).mark(925)
    assert not of(found, EffectKind.BREAKER)
    assert of(found, EffectKind.ORDER)
    assert scene.lots(account) == 10


def test_an_operator_may_end_an_outage_early() -> None:
    """He knows that the silence was the engine's own: REOPEN spends it."""
    scene, _ = silent(1)
    scene.mark(925)
    effects = scene.send(EventKind.OPERATOR, code=int(Operator.REOPEN), market=NONE)
    assert [(each.code, each.lots) for each in of(effects, EffectKind.BREAKER)] == [(BreakerState.REOPENING, BreakerCause.OUTAGE)]


@pytest.mark.parametrize("side", SIDES)
def test_a_stale_feed_that_returns_has_a_grace(side: int) -> None:
    """Silent for 6 minutes and stale after 5: nothing is closed for 3 minutes after its return."""
    rules = RULES._replace(stale_ns=5 * MINUTE, outage_gap_ns=0, hold_max_ns=MINUTE, reopen_ns=SECOND)
    scene, account = silent(side, rules)
    begin_ns = scene.time_ns + SECOND - 60 * MINUTE
    for minute in range(1, 60):
        scene.at(begin_ns + minute * MINUTE).mark(1_000)
    effects = scene.at(begin_ns + 65 * MINUTE).mark(925)
    assert of(effects, EffectKind.BREAKER)
    effects += scene.at(begin_ns + 65 * MINUTE + 30 * SECOND).mark(925)
    assert not of(effects, EffectKind.ORDER)
    assert scene.lots(account) == 10
