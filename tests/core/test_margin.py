"""Margin after a trade, and what zero cash takes from it: by hand, and against an account that has
traded.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.instruments import TierRules
from backstop.core.margin import (
    assess,
    equity_share,
    initial_after,
    initial_margin,
    margin_after,
    released_margin,
    restores,
    zero_cash,
    zero_price_ticks,
)
from backstop.core.position_rows import position_of
from tests.core.desk import Desk, make_rules
from tests.properties.profile import settings_of

pytestmark = pytest.mark.bounds
#: 5 % of the first 1,000 atoms, 10 % of what is above.
TIERS = (TierRules(0, 100_000, 50_000), TierRules(1_000, 200_000, 100_000))


def make_desk(*lots: int, mark: int = 100) -> Desk:
    """One account with these lots in markets 0, 1, ... at ``mark``, which cost what they are
    worth.
    """
    desk = Desk(make_rules(tiers=TIERS, markets=2), mark=mark)
    desk.open(10_000)
    for market, held in enumerate(lots):
        if held:
            desk.trade(0, held, mark, market=market)
    return desk


@pytest.mark.parametrize(
    ("change", "maintenance"),
    [
        (0, 200),  # 20 lots are 2,000: 200 - 50 = 150; 10 lots are 1,000: 50
        (-10, 100),  # 1,000 of market 0 are left: 50
        (-15, 75),  # 500: 25
        (-20, 50),
        (5, 250),  # 2,500: 200
        (-30, 100),  # -1,000: 50, on the other side
    ],
)
def test_margin_after_a_trade_of_one_position(change: int, maintenance: int) -> None:
    desk = make_desk(20, 10)
    position = position_of(desk.state, 0, 0)
    _, before = assess(desk.state, 0)
    assert before == 200
    assert margin_after(desk.state, position, change, before) == maintenance
    if -20 <= change < 0:
        assert released_margin(desk.state, position, -change, before) == before - maintenance


def test_margin_after_goes_on_from_what_a_plan_has_closed() -> None:
    """All of market 1 first, then 10 of market 0: 200, 150, 50."""
    desk = make_desk(20, 10)
    one = margin_after(desk.state, position_of(desk.state, 0, 1), -10, 200)
    assert (one, margin_after(desk.state, position_of(desk.state, 0, 0), -10, one)) == (150, 50)


@settings_of(60)
@given(st.integers(-40, 40), st.integers(-40, 40), st.integers(-60, 60), st.integers(1, 200))
def test_margin_after_is_that_of_the_account_that_has_traded(first: int, second: int, change: int, mark: int) -> None:
    desk = make_desk(first or 1, second, mark=mark)
    state, position = desk.state, position_of(desk.state, 0, 0)
    (_, maintenance), initial = assess(state, 0), initial_margin(state, 0)
    held = int(state.positions[position].lots)
    expected = margin_after(state, position, change, maintenance), initial_after(state, 0, held, change, initial, 0)
    state.positions[position].lots = held + change
    assert expected == (assess(state, 0)[1], initial_margin(state, 0))


def test_zero_cash_takes_equity_in_proportion_to_the_margin_released() -> None:
    """Equity -40, margin 200; closing 10 of market 0 releases 100: it bears 20 of 40, so 1,000 +
    20, a price of 102.
    """
    desk = make_desk(20, 10)
    position = position_of(desk.state, 0, 0)
    assert equity_share(desk.state, position, 10, -40, 200) == -20
    assert zero_cash(desk.state, position, 10, -40, 200) == 1_020
    assert zero_price_ticks(desk.state, 0, True, 10, 1_020) == 102
    # 41 x 150 / 200 = 30.75, rounded down.
    assert equity_share(desk.state, position, 20, -41, 200) == -31
    assert zero_cash(desk.state, position, 20, -41, 200) == 2_031


def test_a_short_pays_to_be_closed() -> None:
    """Equity 30, margin 50: closing all 10 gives up 30, so the account pays 1,000 + 30."""
    desk = make_desk(-10)
    position = position_of(desk.state, 0, 0)
    assert zero_cash(desk.state, position, 10, 30, 50) == -1_000 - 30
    assert zero_price_ticks(desk.state, 0, False, 10, -1_030) == 103


def test_without_margin_equity_goes_by_notional() -> None:
    """Two positions of 2,000 and 1,000: 20 lots of 30 bear two thirds of 60."""
    desk = make_desk(20, 10)
    assert equity_share(desk.state, position_of(desk.state, 0, 0), 20, 60, 0) == 40


@pytest.mark.parametrize(
    ("lots", "cost", "equity", "expected"), [(10, 0, 105, True), (10, 0, 104, False), (10, 1, 105, False), (20, 0, 53, True)]
)
def test_closing_restores_the_release_level(lots: int, cost: int, equity: int, expected: bool) -> None:
    """Release is 105 % of what is left: of 100 after 10 lots it is 105, of 50 after 20 it is 52.5,
    so 53.
    """
    desk = make_desk(20, 10)
    assert restores(desk.state, position_of(desk.state, 0, 0), lots, cost, equity, 200) == expected
