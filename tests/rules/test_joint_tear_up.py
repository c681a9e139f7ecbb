"""Tear-up of all at once (R6.8): defaulters of both sides against each other, the rest by lots, a short
fund split by gap; on the engine, the reference and every invariant together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Cause, EffectKind, Stage, SupportLimit
from backstop.reference.records import Effect
from tests.attacks.scene import SIDES, Scene, of, venue
from tests.rules.two_sides import two_sides

F = EffectKind
STAGES = (Stage.FUND, Stage.TEAR_UP)


def traded(effects: list[Effect], market: int) -> dict[int, int]:
    """Unsigned lots of each trade by tear-up, in order."""
    return {row.account: abs(row.lots) for row in of(effects, F.TRADE) if (row.code, row.market) == (Cause.TEAR_UP, market)}


@pytest.mark.parametrize("side", SIDES)
def test_defaulters_of_both_sides_end_against_each_other(side: int) -> None:
    """Market 1 falls to 300: Ann is at -1,000, Bob at -3,000. In market 0 Ann ends 100 lots, Bob 60;
    Carol loses the 40 that are more, not 100, and Dave nothing, not 60. In market 1 Erin loses 20.
    """
    scene, (ann, bob, carol, dave, erin) = two_sides(side, STAGES)
    effects = scene.mark(300, 1)
    assert {(row.account, row.market): abs(row.lots) for row in of(effects, F.TEAR_UP)} == {
        (ann, 0): 100,
        (bob, 0): 60,
        (ann, 1): 10,
        (bob, 1): 10,
    }
    assert traded(effects, 0) == {ann: 100, bob: 60, carol: 40}
    assert traded(effects, 1) == {ann: 10, bob: 10, erin: 20}
    assert [scene.lots(each) for each in (carol, dave)] == [-60, 60]


@pytest.mark.parametrize("side", SIDES)
def test_a_short_fund_is_split_by_gap(side: int) -> None:
    """The fund has 2,000 of the 4,000 that Ann and Bob lack: 500 and 1,500, whoever comes first."""
    scene, (ann, bob, *_) = two_sides(side, STAGES)
    scene.cash(FUND, 2_000)
    effects = scene.mark(300, 1)
    told = {row.account: (row.amount, row.value, SupportLimit(row.code)) for row in of(effects, F.SUPPORT) if row.other == Cause.TEAR_UP}
    assert told == {ann: (500, 1_000, SupportLimit.BALANCE), bob: (1_500, 3_000, SupportLimit.BALANCE)}
    assert {row.account: row.amount for row in of(effects, F.RESIDUAL)} == {ann: 500, bob: 1_500}


@pytest.mark.parametrize("side", SIDES)
def test_what_one_side_has_more_is_split_by_what_holders_then_have(side: int) -> None:
    """Bob ends 90 shorts, Ann 10 longs: of the 80 that are more Dave loses his 60, Faye her 20."""
    scene = Scene(venue((Stage.TEAR_UP,), markets=2), side)
    ann, bob = scene.open(2_000), scene.open(6_500)
    dave, faye, erin = scene.open(100_000), scene.open(100_000), scene.open(100_000)
    scene.trade(bob, -60, 1_000, other=dave)
    scene.trade(bob, -20, 1_000, other=faye)
    scene.trade(bob, -10, 1_000, other=ann)
    for account in (ann, bob):
        scene.trade(account, 10, 1_000, other=erin, market=1)
    effects = scene.mark(300, 1)
    assert traded(effects, 0) == {ann: 10, bob: 90, dave: 60, faye: 20}
