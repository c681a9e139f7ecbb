"""Entries worked by hand from R1: trades, what they realise, who pays
whom.
"""

from __future__ import annotations

import pytest

from backstop.core.events import (
    FEES,
    FUND,
    REMAINDER,
    WORLD,
    Cause,
    EffectKind,
    EventKind,
    clearing_of,
    error_inventory_of,
    fund_of,
    outside_of,
)
from backstop.core.instruments import AssetRules, FundRules, LimitRules, VenueRules
from backstop.core.ledger import balance_in, balance_of, post
from backstop.core.places import house_slot
from backstop.reference.records import Effect, effects_list
from backstop.runs.tally import conservation_of
from tests.core.desk import Desk, make_rules

F, C = EffectKind, Cause
OUTSIDE, CLEARING = outside_of(0), clearing_of(0)


def brief(effects: list[Effect], *kinds: EffectKind) -> list[tuple[int, ...]]:
    """Account, other, lots, amount and value of the effects of some kinds."""
    return [(e.account, e.other, e.lots, e.amount, e.value) for e in effects if e.kind in kinds]


def test_long_bought_at_100_and_sold_at_110_realises_10() -> None:
    desk = Desk(make_rules())
    desk.open(1_000)
    assert brief(desk.trade(0, 1, 100), F.TRADE, F.POSTING) == [(0, OUTSIDE, 1, -100, 0), (OUTSIDE, 0, -1, 100, 0)]
    assert desk.row(0) == (1, 100)
    assert brief(desk.trade(0, -1, 110), F.TRADE, F.POSTING) == [
        (0, OUTSIDE, -1, 110, 10),
        (0, CLEARING, 0, 10, 0),
        (OUTSIDE, 0, 1, -110, -10),
        (CLEARING, OUTSIDE, 0, 10, 0),
    ]
    assert desk.row(0) == desk.row(OUTSIDE) == (0, 0)
    assert desk.balance(0) == 1_010


def test_short_sold_at_100_and_bought_back_at_90_realises_10() -> None:
    """-90 - (-100) = 10."""
    desk = Desk(make_rules())
    desk.open(1_000)
    desk.trade(0, -1, 100)
    assert desk.row(0) == (-1, -100)
    assert brief(desk.trade(0, 1, 90), F.TRADE)[0] == (0, OUTSIDE, 1, -90, 10)
    assert desk.balance(0) == 1_010


def test_cost_of_a_part_is_rounded_toward_zero() -> None:
    """Cost 32 of 3 lots; one sold at 12 takes trunc(32 / 3) = 10 and realises 2; the short mirrors
    it; the rest takes all.
    """
    desk = Desk(make_rules(), mark=11)
    desk.open(1_000, 1_000)
    desk.trade(0, 1, 10, other=1)
    desk.trade(0, 2, 11, other=1)
    assert [row[4] for row in brief(desk.trade(0, -1, 12, other=1), F.TRADE)] == [2, -2]
    assert (desk.row(0), desk.row(1)) == ((2, 22), (-2, -22))
    assert [row[4] for row in brief(desk.trade(0, -2, 11, other=1), F.TRADE)] == [0, 0]


@pytest.mark.parametrize(("held", "sold", "price", "realised", "row"), [(2, -5, 110, 20, (-3, -330)), (-2, 5, 110, -20, (3, 330))])
def test_flip_splits_its_cash_by_lots(held: int, sold: int, price: int, realised: int, row: tuple[int, int]) -> None:
    """Five at 110 against a position of 2: 220 of 550 closes, 330 opens the other side."""
    desk = Desk(make_rules())
    desk.open(10_000)
    desk.trade(0, held, 100)
    assert brief(desk.trade(0, sold, price), F.TRADE)[0] == (0, OUTSIDE, sold, -sold * price, realised)
    assert desk.row(0) == row


def test_notional_factor_scales_the_cash() -> None:
    desk = Desk(make_rules(factor=7))
    desk.open(10_000)
    assert brief(desk.trade(0, 3, 100), F.TRADE)[0] == (0, OUTSIDE, 3, -2_100, 0)


def test_loaded_book_that_nets_leaves_outside_with_no_cost() -> None:
    """Long 2 at 110 against short 2 at 100: OUTSIDE has no lots and gives its cost of -20 to
    clearing.
    """
    desk = Desk(make_rules())
    desk.open(1_000, 1_000)
    desk.send(EventKind.POSITION, market=0, account=0, lots=2, amount=220)
    assert desk.row(OUTSIDE) == (-2, -220)
    effects = desk.send(EventKind.POSITION, market=0, account=1, lots=-2, amount=-200)
    assert brief(effects, F.TRADE, F.POSTING) == [(1, OUTSIDE, -2, 200, 0), (OUTSIDE, CLEARING, 0, 20, 0)]
    assert desk.row(OUTSIDE) == (0, 0)


def test_money_comes_from_the_world_and_goes_back() -> None:
    desk = Desk(make_rules())
    desk.open(0)
    assert brief(desk.send(EventKind.TRANSFER, account=0, amount=70), F.POSTING) == [(0, WORLD, 0, 70, 0)]
    assert brief(desk.send(EventKind.TRANSFER, account=0, amount=-30), F.POSTING) == [(WORLD, 0, 0, 30, 0)]
    assert brief(desk.send(EventKind.TRANSFER, account=FUND, amount=5), F.POSTING) == [(FUND, WORLD, 0, 5, 0)]
    assert desk.balance(0) == 40


def test_fill_beyond_the_position_goes_to_error_inventory() -> None:
    """An order of 2 filled with 12: 2 were asked, 8 more the position can take, 2 are the
    venue's.
    """
    desk = Desk(make_rules())
    desk.open(200)
    desk.trade(0, 10, 100)
    desk.send(EventKind.DEPTH, market=0, lots=2)
    (order,) = [effect for effect in desk.mark(84) if effect.kind == F.ORDER]
    effects = desk.send(EventKind.ORDER_FILL, market=0, other=order.other, lots=-12, price_ticks=84)
    assert [(e.account, e.lots, e.code) for e in effects if e.kind == F.TRADE] == [
        (0, -10, C.CLOSEOUT),
        (OUTSIDE, 10, C.CLOSEOUT),
        (error_inventory_of(0), -2, C.ERROR_FILL),
        (OUTSIDE, 2, C.ERROR_FILL),
    ]


def test_effects_beyond_their_limit_stop_the_engine() -> None:
    """One effect fits, the four of a trade that realises do not: the engine raises and never drops
    one.
    """
    limits = LimitRules(accounts_max=4, positions_max=4, orders_max=4, effects_max=3)
    desk = Desk(make_rules(limits=limits))
    desk.open(1_000)
    desk.trade(0, 1, 100)
    with pytest.raises(OverflowError, match=r"Invariant: one event's effects fit in limits\.effects_max"):
        desk.trade(0, -1, 110)


def test_balance_beyond_64_bits_stops_the_engine() -> None:
    """A balance grown by gains, which no door checks, raises rather than wraps."""
    desk = Desk(make_rules())
    desk.open(1_000)
    desk.trade(0, 1, 100)
    desk.state.accounts[0].balance = (1 << 63) - 5
    with pytest.raises(OverflowError):
        desk.trade(0, -1, 110)


def two_assets() -> VenueRules:
    """Return a venue of two markets and two groups, each of an asset of its own."""
    rules = make_rules(markets=2)
    first, second = rules.markets
    return rules._replace(
        markets=(first, second._replace(group=1, settlement_asset=1)),
        funds=(FundRules(), FundRules(asset=1)),
        assets=(AssetRules(), AssetRules()),
    )


def test_assets_are_kept_apart_and_each_sums_to_zero() -> None:
    """A posting in asset 1 moves no balance of asset 0, and says which asset it moved."""
    desk = Desk(two_assets())
    desk.open(500, 500)
    desk.send(EventKind.ACCOUNT, account=2, other=2, code=1)
    state = desk.state
    state.engine[0].effects_now = 0
    for receiver, payer, amount, asset in ((2, WORLD, 70, 1), (FEES, 2, 30, 1), (fund_of(1), FEES, 10, 1), (0, FUND, 9, 0)):
        post(state, receiver, payer, amount, asset, C.CASH, -1)
    house = (WORLD, FEES, REMAINDER)
    assert [[balance_in(state, who, asset) for who in house] for asset in range(2)] == [[-1_000, 0, 0], [-70, 20, 0]]
    assert [balance_of(state, who) for who in (0, 1, 2, FUND, fund_of(1))] == [509, 500, 40, -9, 10]
    rows = effects_list(state.effects[: int(state.engine[0].effects_now)])
    assert [row[-1] for row in brief(rows, F.POSTING)] == [1, 1, 1, 0]
    assert conservation_of(state).asset_atoms == (0, 0)


def test_a_balance_that_appears_is_found_in_its_asset() -> None:
    desk = Desk(two_assets())
    desk.send(EventKind.ACCOUNT, account=0, other=0, code=1)
    desk.state.accounts[0].balance += 3
    assert conservation_of(desk.state).asset_atoms == (0, 3)
    desk.state.house[int(house_slot(WORLD))] += 1
    assert conservation_of(desk.state).asset_atoms == (1, 3)


def test_venue_of_one_asset_never_touches_the_balances_of_others() -> None:
    desk = Desk(make_rules())
    desk.open(500, 500)
    desk.trade(0, 1, 100)
    assert not desk.state.other_balances.any()
