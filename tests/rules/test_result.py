"""What a position won or lost since the epoch began: engine and reference, by worked numbers.

Prices are those of the scene: a long position that a fall hurts, or its mirror image.
"""

from __future__ import annotations

import pytest

from backstop.core.digest import state_digest
from backstop.core.events import Cause, EffectKind, EventKind, Stage, clearing_of
from backstop.core.position_rows import position_of
from backstop.core.results import result_of
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

#: Long enough for a scene to be within one epoch, or to leave it by one step.
EPOCH_S = 100
QUIET = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TEAR_UP)


def scene(side: int, markets: int = 1, stages: tuple[int, ...] = QUIET) -> Scene:
    return Scene(venue(stages, markets=markets)._replace(epoch_ns=EPOCH_S * SECOND), side)


def result(stage: Scene, account: int, market: int = 0) -> int:
    """Return a result on which engine, reference and the books of the tests agree."""
    state, reference = stage.watch.state, stage.watch.reference.state
    found = int(result_of(state, position_of(state, account, market)))
    assert reference.holding(account, market).result == found
    assert stage.mirror.holding(account, market).result == found
    assert stage.watch.reference.digest() == state_digest(state)
    return found


@pytest.mark.parametrize("side", SIDES)
def test_a_result_is_the_change_of_value_less_the_cash_of_trades(side: int) -> None:
    stage = scene(side)
    long, short = stage.open(10_000), stage.open(10_000)
    stage.trade(long, 10, 1_000, short)
    stage.mark(980)
    assert (result(stage, long), result(stage, short)) == (-200, 200)
    stage.trade(long, -4, 970, short)  # 10 below the mark for 4 lots
    assert (result(stage, long), result(stage, short)) == (-240, 240)


@pytest.mark.parametrize("side", SIDES)
def test_a_trade_at_mark_changes_no_result_though_it_resets_profit_by_cost(side: int) -> None:
    stage = scene(side)
    long, short, friend = stage.open(10_000), stage.open(10_000), stage.open(10_000)
    stage.trade(long, 10, 1_000, short)
    stage.mark(960)
    stage.trade(long, -10, 960, friend)
    assert result(stage, long) == -400  # flat: it keeps what it realised
    stage.trade(long, 10, 960, friend)
    assert stage.mirror.holding(long, 0).profit == 0
    assert (result(stage, long), result(stage, friend)) == (-400, 0)
    stage.trade(long, -25, 960, friend)  # turned over
    assert result(stage, long) == -400


@pytest.mark.parametrize("side", SIDES)
def test_a_new_epoch_measures_from_the_mark_when_it_began(side: int) -> None:
    stage = scene(side)
    long, short, flat = stage.open(10_000), stage.open(10_000), stage.open(10_000)
    stage.trade(long, 10, 1_000, short)
    stage.trade(flat, 1, 1_000, short)
    stage.mark(950)
    stage.trade(flat, -1, 950, short)
    assert (result(stage, long), result(stage, flat)) == (-500, -50)
    stage.at(EPOCH_S * SECOND).mark(940)  # the first event of the epoch: the mark before it counts
    assert (result(stage, long), result(stage, short), result(stage, flat)) == (-100, 100, 0)
    stage.at(3 * EPOCH_S * SECOND).clock(0)  # nothing happened in the epoch between
    assert result(stage, long) == 0
    stage.trade(long, 5, 930, short)
    assert result(stage, long) == 50  # 10 above what it paid, for 5 lots
    stage.mark(930)
    assert result(stage, long) == 50 - 150


@pytest.mark.parametrize("side", SIDES)
def test_an_opening_position_begins_with_no_result(side: int) -> None:
    stage = scene(side)
    account = stage.open(10_000)
    stage.send(EventKind.POSITION, market=0, account=account, lots=side * 10, amount=side * 7_000)
    assert stage.mirror.holding(account, 0).profit == side * 3_000
    assert result(stage, account) == 0
    stage.mark(990)
    assert result(stage, account) == -100


def test_a_haircut_is_a_loss_of_the_position_that_bears_it() -> None:
    stages = (Stage.RESTRICT, Stage.SOCIALISE, Stage.TEAR_UP)
    stage = scene(1, stages=stages)
    loser, winner = stage.open(1_000), stage.open(10_000)
    stage.trade(loser, 10, 1_000, winner)
    effects = stage.mark(890)
    cut = sum(effect.amount for effect in of(effects, EffectKind.HAIRCUT))
    # Out of the money of the winner, who was torn up, and to the loser.
    moved = [(effect.account, effect.other, effect.amount) for effect in of(effects, EffectKind.POSTING) if effect.code == Cause.HAIRCUT]
    assert (cut, moved) == (100, [(clearing_of(0), winner, 100), (loser, clearing_of(0), 100)])
    assert (result(stage, loser), result(stage, winner)) == (-1_100, 1_000)
