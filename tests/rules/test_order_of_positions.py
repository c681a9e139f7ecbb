"""One order of positions: ADL and tear-up close of a solvent account first what releases most margin
per expected cost (R6.6.3), as closeout does; on the engine, the reference and every invariant together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import Cause, EffectKind, Stage
from tests.attacks.scene import SIDES, Scene, of, venue

F = EffectKind


def two_markets(side: int, *stages: Stage, lots: int = 10) -> tuple[Scene, int]:
    """Return a scene in which Ann has 1,500 and is long 10 of market 0 and some lots of market 1, at
    1,000 each; she has no book in market 0, and a deep one at 0.1 % in market 1.
    """
    scene = Scene(venue(stages, markets=2), side)
    ann, bob, carol = scene.open(1_500), scene.open(100_000), scene.open(100_000)
    scene.trade(ann, 10, 1_000, other=bob)
    scene.trade(ann, lots, 1_000, other=carol, market=1)
    scene.depth(1_000, market=1)
    return scene, ann


@pytest.mark.parametrize("kind", [F.ADL_PLAN, F.TEAR_UP])
@pytest.mark.parametrize("side", SIDES)
def test_the_cheaper_position_is_closed_first(side: int, kind: EffectKind) -> None:
    """Market 0 falls to 940: equity 900, maintenance 970, release 1,018.5. A lot of market 0 lowers
    release by 49.35 and costs 18.8, one of market 1 by 52.5 and costs 1: three of market 1 restore
    her, for 3. By market id it would have been four of market 0, for 76.
    """
    stages = (Stage.ADL, Stage.TEAR_UP) if kind == F.ADL_PLAN else (Stage.TEAR_UP,)
    scene, ann = two_markets(side, *stages)
    effects = scene.mark(940)
    closed = [(row.market, abs(row.lots)) for row in of(effects, kind)]
    charged = [row.amount for row in of(effects, F.POSTING) if row.code == Cause.CLOSING_CHARGE]
    # Of a short the mark rises to 1,060, and release is 1,081.5.
    lots = 3 if side > 0 else 4
    assert (closed, charged) == ([(1, lots)], [lots])
    assert (scene.lots(ann), scene.mirror.accounts[ann].in_default) == (10, False)


@pytest.mark.parametrize("side", SIDES)
def test_what_the_better_position_cannot_restore_is_closed_in_the_other(side: int) -> None:
    """With one lot only in market 1, that lot is counted as closed, and market 0 closes the rest: at
    930 equity 400, release 540.75; after that lot 399 and 488.25, and three lots restore, of 30.225
    each.
    """
    scene, ann = two_markets(side, Stage.ADL, Stage.TEAR_UP, lots=1)
    scene.cash(ann, -400)
    effects = scene.mark(930)
    closed = {row.market: abs(row.lots) for row in of(effects, F.ADL_PLAN)}
    assert closed == {0: 3 if side > 0 else 5, 1: 1}
    assert scene.lots(ann, 1) == 0
    assert not scene.mirror.accounts[ann].in_default


@pytest.mark.parametrize("side", SIDES)
def test_an_insolvent_account_closes_all_it_has(side: int) -> None:
    """At 800 her equity is below zero: both positions leave, whatever they cost."""
    scene, ann = two_markets(side, Stage.ADL, Stage.TEAR_UP)
    effects = scene.mark(800)
    assert {row.market: abs(row.lots) for row in of(effects, F.ADL_PLAN)} == {0: 10, 1: 10}
    assert (scene.lots(ann), scene.lots(ann, 1)) == (0, 0)
