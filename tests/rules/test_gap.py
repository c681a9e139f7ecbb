"""Who bears the gap of an insolvent account: positions that lost, not those that gained."""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Cause, EffectKind, EventKind, Operator, Stage
from backstop.core.instruments import VenueRules
from backstop.core.margin import assess, gap_borne
from backstop.core.position_rows import position_of
from backstop.reference.records import Effect
from tests.attacks.scene import SECOND, SIDES, Scene, of, provider, venue

DELEVERAGED = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.ADL, Stage.TEAR_UP)
TORN = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TEAR_UP)
DEADLINE_S = 20


def two_markets(stages: tuple[int, ...] = DELEVERAGED) -> VenueRules:
    return venue(stages, markets=2)


def beyond_mark(stage: Scene, effects: list[Effect], market: int) -> int:
    """Return what counterparties of an ADL in a market pay beyond its mark."""
    plan = next(effect for effect in of(effects, EffectKind.ADL_PLAN) if effect.market == market)
    return plan.amount - stage.mirror.contract(market).value_of(-plan.lots)


def borne(stage: Scene, account: int) -> list[int]:
    """Return what each position of an insolvent account bears; engine and reference agree."""
    state, portfolio = stage.watch.state, stage.watch.reference.state.portfolio(account)
    equity, _ = assess(state, account)
    found = [int(gap_borne(state, position_of(state, account, holding.market), equity)) for holding in portfolio.held]
    assert found == [portfolio.borne(holding.market).whole for holding in portfolio.held]
    return found


def lost_and_gained(stage: Scene, lost: int, gained: int) -> tuple[int, int, int, list[Effect]]:
    """An account loses 450 in one market and has gained 100 in the other: its equity is -50.

    Returns it, the winner of the one, the loser of the other, and what its insolvency brings.
    """
    account, winner, loser = stage.open(300), stage.open(100_000), stage.open(100_000)
    stage.trade(account, 1, 1_000, winner, lost)
    stage.trade(account, 1, 1_000, loser, gained)
    stage.mark(1_100, gained)
    return account, winner, loser, stage.mark(550, lost)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (1, 0)])
def test_what_gained_closes_at_mark(lost: int, gained: int, side: int) -> None:
    stage = Scene(two_markets(), side)
    account, winner, loser, effects = lost_and_gained(stage, lost, gained)
    assert (beyond_mark(stage, effects, lost), beyond_mark(stage, effects, gained)) == (50, 0)
    assert stage.mirror.equity(winner) == 100_000 + 450 - 50
    assert stage.mirror.equity(loser) == 100_000 - 100
    assert stage.mirror.equity(account) == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (1, 0)])
def test_a_tear_up_of_what_gained_has_no_gap(lost: int, gained: int, side: int) -> None:
    stage = Scene(two_markets(TORN), side)
    _, _, _, effects = lost_and_gained(stage, lost, gained)
    assert {effect.market: effect.value for effect in of(effects, EffectKind.TEAR_UP)} == {lost: 50, gained: 0}


@pytest.mark.parametrize("side", SIDES)
def test_the_vault_is_supported_only_where_the_account_lost(side: int) -> None:
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    stage = Scene(venue(stages, markets=2, providers=(provider(edge_ppm=0, is_vault=True),)), side)
    stage.cash(FUND, 10_000)
    vault = stage.open(1_000_000)
    stage.bind(0, vault)
    _, _, _, effects = lost_and_gained(stage, 1, 0)
    assert {effect.market: effect.value for effect in of(effects, EffectKind.TAKEOVER)} == {0: 0, 1: 50}


@pytest.mark.parametrize("side", SIDES)
def test_orders_reserve_for_what_their_positions_bear(side: int) -> None:
    """The order of what gained has its zero price at mark, the other's is beyond it by the gap."""
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    stage = Scene(two_markets(stages), side)
    stage.cash(FUND, 10_000)
    stage.depth(10, 0)
    stage.depth(10, 1)
    _, _, _, effects = lost_and_gained(stage, 1, 0)
    orders = {effect.market: effect for effect in of(effects, EffectKind.ORDER)}
    zero = {market: order.amount - stage.mirror.contract(market).value_of(-order.lots) for market, order in orders.items()}
    assert zero == {0: 0, 1: 50}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("washes", [False, True])
def test_a_wash_at_mark_does_not_move_the_gap_to_others(washes: bool, side: int) -> None:
    """The account lost 450 to a friend and 1 to a stranger. With the first loss realised, profit by
    cost would send the stranger the bill.
    """
    stage = Scene(two_markets(), side)
    account, friend, stranger = stage.open(451), stage.open(100_000), stage.open(100_000)
    stage.trade(account, 1, 1_000, friend)
    stage.trade(account, 1, 1_000, stranger, 1)
    stage.mark(700)
    if washes:
        stage.trade(account, -1, 700, friend)
        stage.trade(account, 1, 700, friend)
        assert stage.mirror.holding(account, 0).profit == 0
    stage.mark(999, 1)
    stage.mark(500)
    assert stage.mirror.equity(account) == 0
    assert stage.mirror.equity(stranger) == 100_001
    assert stage.mirror.equity(friend) == 100_000 + 500 - 50


def waiting(stage: Scene, lots: int, strangers: int) -> tuple[int, int, int, int]:
    """An account that is insolvent by 500 and waits, since both markets are halted.

    It lost 450 a lot in market 0, to a friend except for some lots that a stranger has, and 1 in
    market 1. Returns it, the friend, the stranger, and the winner of the 1.
    """
    account, friend, stranger, winner = stage.open(450 * lots - 499), stage.open(100_000), stage.open(100_000), stage.open(100_000)
    stage.trade(account, lots - strangers, 1_000, friend)
    if strangers:
        stage.trade(account, strangers, 1_000, stranger)
    stage.trade(account, 1, 1_000, winner, 1)
    stage.mark(999, 1)
    for market in range(2):
        stage.send(EventKind.OPERATOR, market=market, code=int(Operator.HALT), amount=1_000 * SECOND)
    stage.mark(550)
    assert stage.mirror.equity(account) == -500
    assert of(stage.clock(), EffectKind.ADL_PLAN) == []
    return account, friend, stranger, winner


@pytest.mark.parametrize("side", SIDES)
def test_what_an_insolvent_account_closes_itself_at_mark_takes_its_part_along(side: int) -> None:
    """It closes with its friend what lost. Nobody is asked for that part: it is what the account
    lacks when it is flat.
    """
    stage = Scene(two_markets(), side)
    account, friend, _, winner = waiting(stage, 10, 0)
    assert borne(stage, account) == [500, 0]
    stage.trade(account, -10, 550, friend)
    assert borne(stage, account) == [0]
    effects = stage.clock(DEADLINE_S)
    assert beyond_mark(stage, effects, 1) == 0
    assert stage.mirror.equity(winner) == 100_001
    assert sum(effect.amount for effect in of(effects, EffectKind.RESIDUAL)) == 500


@pytest.mark.parametrize("side", SIDES)
def test_one_lot_that_is_left_bears_no_more_than_it_did(side: int) -> None:
    stage = Scene(two_markets(), side)
    account, friend, stranger, _ = waiting(stage, 10, 1)
    stage.trade(account, -9, 550, friend)
    assert borne(stage, account) == [50, 0]
    stage.clock(DEADLINE_S)
    assert stage.mirror.equity(stranger) == 100_000 + 450 - 50


@pytest.mark.parametrize("side", SIDES)
def test_a_lot_below_the_minimum_bears_its_own_loss_and_its_margin(side: int) -> None:
    """One lot at mark 10 that lost 5, a gap of 500 from funding: its counterparty is asked for 5
    beyond mark, not for 500.
    """
    stage = Scene(two_markets(), 1)
    account, other = stage.open(20_000), stage.open(1_000_000)
    stage.mark(15, 1)
    stage.trade(account, side * 100, 1_000, other)
    stage.trade(account, 1, 15, other, 1)
    stage.mark(10, 1)
    effects = stage.charge(account, 20_000 - 5 + 500)
    assert [beyond_mark(stage, effects, market) for market in range(2)] == [495, 5]


@pytest.mark.parametrize("side", SIDES)
def test_a_part_closed_at_zero_cash_leaves_the_parts_of_others_as_they_were(side: int) -> None:
    """Lost 300 and 100, gap 40: they bear 30 and 10. Half of the first is filled at mark, the fund
    adds 15; then the gap is 25, of which they bear 15 and 10.
    """
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    stage = Scene(two_markets(stages), side)
    stage.cash(FUND, 10_000)
    stage.depth(10, 0)
    stage.depth(10, 1)
    account, other = stage.open(2_360), stage.open(1_000_000)
    stage.trade(account, 10, 1_000, other)
    stage.trade(account, 10, 1_000, other, 1)
    stage.mark(990, 1)
    stage.mark(970)
    stage.charge(account, 2_000)
    assert borne(stage, account) == [30, 10]
    first = next(number for number in stage.open_ids() if stage.mirror.orders[number].market == 0)
    effects = stage.fill(first, 5, 970)
    assert [effect.amount for effect in of(effects, EffectKind.POSTING) if effect.code == Cause.SUPPORT] == [15]
    assert borne(stage, account) == [15, 10]
    stage.mark(960)  # the lots that are left lose 50 more: 200 and 100, gap 75
    assert borne(stage, account) == [50, 25]


@pytest.mark.parametrize("side", SIDES)
def test_where_nothing_lost_all_bear_by_maintenance(side: int) -> None:
    stage = Scene(two_markets(), side)
    account, other = stage.open(3_000), stage.open(1_000_000)
    stage.trade(account, 20, 1_000, other)
    stage.trade(account, 10, 1_000, other, 1)
    effects = stage.charge(account, 3_090)
    assert [beyond_mark(stage, effects, market) for market in range(2)] == [60, 30]
