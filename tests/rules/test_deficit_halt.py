"""How much a market may leave unpaid before it is halted: the sum within the window counts, not that
there was a deficit.
"""

from __future__ import annotations

from backstop.core.events import BreakerCause, BreakerState, EffectKind, Stage
from backstop.core.instruments import AssetRules, BreakerRules
from backstop.reference.records import Effect
from tests.attacks.scene import SECOND, Scene, of, venue

STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)
MINUTE = 60 * SECOND
RULES = BreakerRules(hold_max_ns=MINUTE, reopen_ns=SECOND, deficit_window_ns=60 * MINUTE)


def leave(scene: Scene, amount: int, market: int = 0) -> list[Effect]:
    """Let a new account trade a lot, lose all that it has and ``amount`` more, which nobody pays."""
    account = scene.open(1_000)
    effects = scene.trade(account, 1, 1_000, market=market)
    effects += scene.charge(account, 1_000 + amount)
    assert sum(row.amount for row in of(effects, EffectKind.RESIDUAL)) == amount
    return effects


def halts(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return (market, cause) of what became halted."""
    return [(row.market, row.lots) for row in of(effects, EffectKind.BREAKER) if row.code == BreakerState.HALTED]


def scene_of(rules: BreakerRules, markets: int = 1, deficit_halt: int = 100) -> Scene:
    """Return a scene without fund and book: whoever lacks money is torn up, what he lacks stays."""
    return Scene(venue(STAGES, markets=markets, breakers=rules, asset=AssetRules(deficit_halt=deficit_halt), deadline_ns=1), 1)


def test_a_crumb_halts_nothing() -> None:
    assert halts(leave(scene_of(RULES), 1)) == []
    assert halts(leave(scene_of(RULES, deficit_halt=0), 1)) == [(0, BreakerCause.DEFICIT)]


def test_the_sum_of_many_crumbs_halts_once() -> None:
    """100 times 1 is at the amount, 1 more is above it; then the count begins again."""
    scene = scene_of(RULES)
    assert halts([row for _ in range(10) for row in leave(scene, 10)]) == []
    assert halts(leave(scene, 1)) == [(0, BreakerCause.DEFICIT)]
    scene.clock(60)
    scene.clock(1)
    assert halts(leave(scene, 100)) == []
    assert halts(leave(scene, 1)) == [(0, BreakerCause.DEFICIT)]


def test_what_is_older_than_the_window_before_does_not_count() -> None:
    scene = scene_of(RULES)
    leave(scene, 60)
    scene.at(61 * MINUTE)
    assert halts(leave(scene, 30)) == []
    scene.at(121 * MINUTE)
    assert halts(leave(scene, 70)) == [], "the 60 of the first window are forgotten: 30 and 70"
    assert halts(leave(scene, 1)) == [(0, BreakerCause.DEFICIT)]


def test_a_market_counts_its_own_losses() -> None:
    """Two markets in one group: 100 in each halts neither, 1 more halts its own."""
    scene = scene_of(RULES, markets=2)
    assert halts(leave(scene, 100, 0) + leave(scene, 100, 1)) == []
    assert halts(leave(scene, 1, 1)) == [(1, BreakerCause.DEFICIT)]


def test_a_loss_in_two_markets_is_counted_by_what_was_lost_in_each() -> None:
    """Lost 300 in market 0 and 100 in market 1, 132 unpaid: 99 and 33 are counted; 4 more in both
    bring market 0 above 100.
    """
    scene = scene_of(RULES, markets=2)
    for amount, halted in ((132, []), (4, [(0, BreakerCause.DEFICIT)])):
        scene.mark(1_000, 0)
        scene.mark(1_000, 1)
        account = scene.open(400)
        effects = scene.trade(account, 3, 1_000)
        effects += scene.trade(account, 1, 1_000, market=1)
        account_cash = scene.mirror.ledger[account]
        for market, lots in ((0, 3), (1, 1)):
            effects += scene.trade(account, -lots, 900, market=market)
        effects += scene.charge(account, account_cash - 400 + amount)
        assert sum(row.amount for row in of(effects, EffectKind.RESIDUAL)) == amount
        assert halts(effects) == halted
