"""What lots are worth: values worked by hand, and the kernels against Python's own integers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.contract_terms import ContractKind, Contracts, LinearContract
from backstop.core.contracts import (
    cash_at_mark,
    cash_of,
    closing,
    lots_reaching,
    lots_within,
    notional_at_mark,
    settlement_asset,
    slope_of,
    ticks_for,
    value_at_mark,
    value_max,
    value_of,
)
from backstop.core.instruments import NOTIONAL_ATOMS_MAX
from backstop.core.state import State, new_state
from tests.core.desk import make_rules
from tests.properties.profile import settings_of

pytestmark = pytest.mark.bounds
#: Market 0 has one atom per tick and lot, market 1 has seven.
FACTORS = (1, 7)


@pytest.fixture(scope="module", name="state")
def make_state() -> State:
    """Two markets with prices to 10,000 ticks, marked at 100 and at 30."""
    one, seven = (make_rules(factor=factor).markets[0] for factor in FACTORS)
    state = new_state(make_rules()._replace(markets=(one, seven)))
    state.markets[0].mark_ticks, state.markets[1].mark_ticks = 100, 30
    return state


@pytest.mark.parametrize(
    ("market", "lots", "ticks", "value"),
    [
        (0, 3, 100, 300),
        (0, -3, 100, -300),
        (0, 0, 100, 0),
        (1, 3, 100, 2_100),  # 3 x 100 x 7
        (1, -2, 31, -434),  # 2 x 31 = 62, x 7
    ],
)
def test_value_is_signed_and_cash_is_minus_what_is_bought(state: State, market: int, lots: int, ticks: int, value: int) -> None:
    assert value_of(state, market, lots, ticks) == value
    assert cash_of(state, market, lots, ticks) == -value
    assert LinearContract(FACTORS[market]).value(lots, ticks) == value


@pytest.mark.parametrize(("market", "lots", "value"), [(0, 2, 200), (0, -2, -200), (1, 2, 420), (1, -5, -1_050)])
def test_value_at_mark_its_magnitude_and_the_cash_of_a_trade_there(state: State, market: int, lots: int, value: int) -> None:
    """Market 1: a lot is 30 x 7 = 210 at mark."""
    assert value_at_mark(state, market, lots) == value
    assert notional_at_mark(state, market, lots) == abs(value)
    assert cash_at_mark(state, market, lots) == -value


@pytest.mark.parametrize(
    ("market", "lots", "cash", "ticks"),
    [
        (0, -3, 300, 100),  # a sale of 3 for 300
        (0, -3, 301, 101),  # 100 would give 300: one tick more
        (0, -3, 299, 100),
        (0, 3, -300, 100),  # a purchase of 3 for 300
        (0, 3, -301, 100),  # 101 would cost 303
        (0, 3, -299, 99),
        (1, -2, 435, 32),  # 31 gives 434
        (1, 2, -433, 30),  # 31 costs 434
        (0, -3, -4, -1),  # paid for selling: below the market's prices
        (0, 3, 4, -2),  # paid for buying at -2 is 6, at -1 only 3
    ],
)
def test_price_for_a_cash_is_the_worst_that_still_gives_it(state: State, market: int, lots: int, cash: int, ticks: int) -> None:
    assert ticks_for(state, market, lots, cash) == ticks


@pytest.mark.parametrize(
    ("market", "notional", "within", "reaching"),
    [(0, 0, 0, 0), (0, 1, 0, 1), (0, 200, 2, 2), (0, 299, 2, 3), (1, 629, 2, 3), (1, 630, 3, 3), (0, -1, -1, 0), (0, -100, -1, -1)],
)
def test_lots_of_a_notional(state: State, market: int, notional: int, within: int, reaching: int) -> None:
    """A lot is 100 in market 0 and 210 in market 1."""
    assert lots_within(state, market, notional) == within
    assert lots_reaching(state, market, notional) == reaching


@pytest.mark.parametrize(("market", "lots", "slope", "most"), [(0, 3, 3, 30_000), (1, -3, 21, 210_000), (1, 0, 0, 0)])
def test_slope_and_largest_value(state: State, market: int, lots: int, slope: int, most: int) -> None:
    assert slope_of(state, market, lots) == slope
    assert value_max(state, market, lots) == LinearContract(FACTORS[market]).bound(lots, 10_000) == most


@pytest.mark.parametrize(("held", "lots", "change"), [(5, 2, -2), (-5, 2, 2), (1, 1, -1), (-1, 1, 1)])
def test_closing_is_a_change_toward_zero(held: int, lots: int, change: int) -> None:
    assert closing(held, lots) == change


def test_every_market_settles_in_the_asset_of_the_venue(state: State) -> None:
    assert [settlement_asset(state, market) for market in range(2)] == [0, 0]


@pytest.mark.parametrize("question", [value_of, cash_of, ticks_for])
def test_an_unknown_kind_is_not_taken_for_a_linear_one(question: Callable[[State, int, int, int], int]) -> None:
    state = new_state(make_rules())
    question(state, 0, 3, 100)
    state.markets[0].contract = len(ContractKind)
    with pytest.raises(ValueError, match="unknown kind of contract"):
        question(state, 0, 3, 100)


@pytest.mark.parametrize("question", [slope_of, value_max, lots_within, lots_reaching])
def test_no_question_about_lots_takes_it_for_one_either(question: Callable[[State, int, int], int]) -> None:
    state = new_state(make_rules())
    state.markets[0].mark_ticks = 100
    question(state, 0, 3)
    state.markets[0].contract = len(ContractKind)
    with pytest.raises(ValueError, match="unknown kind of contract"):
        question(state, 0, 3)


@settings_of(300)
@given(st.data())
def test_kernels_are_python_integers_up_to_the_bound(state: State, data: st.DataObject) -> None:
    """The largest values that ``check_rules`` lets through stay whole."""
    factor = data.draw(st.integers(1, 1 << 40))
    ticks = data.draw(st.integers(1, min((1 << 31) - 2, NOTIONAL_ATOMS_MAX // factor)))
    size = data.draw(st.integers(1, NOTIONAL_ATOMS_MAX // (factor * ticks)))
    lots = data.draw(st.sampled_from((1, -1))) * size
    cash = data.draw(st.integers(-NOTIONAL_ATOMS_MAX, NOTIONAL_ATOMS_MAX))
    row = state.markets[1].copy()
    try:
        state.markets[1].notional_factor, state.markets[1].mark_ticks = factor, ticks
        assert value_of(state, 1, lots, ticks) == value_at_mark(state, 1, lots) == lots * ticks * factor
        assert lots_within(state, 1, cash) == cash // (ticks * factor)
        assert lots_reaching(state, 1, cash) == -(-cash // (ticks * factor))
        at = ticks_for(state, 1, lots, cash)
        worse = at - 1 if lots < 0 else at + 1
        assert -lots * at * factor >= cash > -lots * worse * factor
    finally:
        state.markets[1] = row


@settings_of(100)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.integers(0, 10**12)), max_size=8))
def test_columns_are_the_same_as_one_at_a_time(rows: list[tuple[int, int, int, int]]) -> None:
    contracts = [LinearContract(factor) for factor in FACTORS]
    market, lots, ticks, cash = (np.array([row[place] for row in rows], dtype=np.int64) for place in range(4))
    columns = Contracts(contracts)
    assert columns.values(market, lots, ticks).tolist() == [contracts[m].value(q, p) for m, q, p, _ in rows]
    prices = [c // (abs(q) * FACTORS[m]) if q else c for m, q, _, c in rows]
    assert columns.ticks_of(market, lots, cash).tolist() == prices


@settings_of(100)
@given(st.integers(1, 1 << 40), st.integers(-(10**9), 10**9), st.fractions(min_value=0, max_value=10**6))
def test_exact_value_is_not_rounded(factor: int, lots: int, ticks: Fraction) -> None:
    contract = LinearContract(factor)
    assert contract.exact_value(lots, ticks) == lots * ticks * factor
    if ticks.denominator == 1:
        assert contract.exact_value(lots, ticks) == contract.value(lots, int(ticks))


@settings_of(200)
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**13))
def test_lots_within_is_the_most_that_fits(factor: int, ticks: int, notional: int) -> None:
    contract = LinearContract(factor)
    most = contract.lots_within(notional, ticks)
    assert contract.value(most, ticks) <= notional < contract.value(most + 1, ticks)
