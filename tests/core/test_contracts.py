"""What lots are worth: values worked by hand, and the kernels against Python's own integers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.contract_terms import Contract, ContractKind, Contracts, InverseContract, LinearContract, contract_of
from backstop.core.contracts import (
    cash_at_mark,
    cash_of,
    closing,
    closing_cash,
    exposure_at_mark,
    lots_reaching,
    lots_within,
    notional_at_mark,
    notional_of,
    offset_cost,
    settlement_asset,
    slope_of,
    ticks_for,
    value_at_mark,
    value_max,
    value_of,
    worth_at_mark,
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
    assert value_max(state, market, lots) == LinearContract(FACTORS[market]).bound(lots, 1, 10_000) == most


@pytest.mark.parametrize(("held", "lots", "change"), [(5, 2, -2), (-5, 2, 2), (1, 1, -1), (-1, 1, 1)])
def test_closing_is_a_change_toward_zero(held: int, lots: int, change: int) -> None:
    assert closing(held, lots) == change


def test_every_market_settles_in_the_asset_of_the_venue(state: State) -> None:
    assert [settlement_asset(state, market) for market in range(2)] == [0, 0]


@pytest.mark.parametrize("question", [value_of, cash_of, ticks_for])
def test_an_unknown_kind_is_not_taken_for_a_linear_one(question: Callable[[State, int, int, int], int]) -> None:
    state = new_state(make_rules())
    question(state, 0, 3, 100)
    state.markets[0].contract_kind = len(ContractKind)
    with pytest.raises(ValueError, match="unknown kind of contract"):
        question(state, 0, 3, 100)


@pytest.mark.parametrize("question", [slope_of, value_max, lots_within, lots_reaching])
def test_no_question_about_lots_takes_it_for_one_either(question: Callable[[State, int, int], int]) -> None:
    state = new_state(make_rules())
    state.markets[0].mark_ticks = 100
    question(state, 0, 3)
    state.markets[0].contract_kind = len(ContractKind)
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


# -- inverse ---------------------------------------------------------------------------------------

#: What a lot is worth at a price of one tick.
FACE = 1_000


@pytest.fixture(scope="module", name="inverse")
def make_inverse() -> State:
    """One inverse market with prices from 5 to 10,000 ticks, marked at 7."""
    market = make_rules(factor=FACE).markets[0]._replace(contract_kind=ContractKind.INVERSE, price_ticks_min=5)
    state = new_state(make_rules()._replace(markets=(market,)))
    state.markets[0].mark_ticks = 7
    return state


@pytest.mark.parametrize(
    ("lots", "value", "cash", "notional"),
    [
        (1, -143, 142, 143),  # 1,000 / 7 = 142.86
        (-1, 142, -143, 143),
        (7, -1_000, 1_000, 1_000),
        (-7, 1_000, -1_000, 1_000),
        (3, -429, 428, 429),  # 428.57: not three times that of one
        (0, 0, 0, 0),
    ],
)
def test_an_inverse_value_is_rounded_once_for_all_lots(inverse: State, lots: int, value: int, cash: int, notional: int) -> None:
    contract = InverseContract(FACE)
    assert value_at_mark(inverse, 0, lots) == contract.value(lots, 7) == value
    assert cash_at_mark(inverse, 0, lots) == contract.cash(lots, 7) == cash
    assert notional_at_mark(inverse, 0, lots) == contract.notional(lots, 7) == notional
    assert worth_at_mark(inverse, 0, lots) == (value, notional)
    assert exposure_at_mark(inverse, 0, lots) == (notional if lots > 0 else -notional)


@pytest.mark.parametrize(
    ("lots", "cash", "ticks"),
    [
        (-3, -429, 7),  # 3,000 / 429 = 6.99: at 6 the sale would cost 500
        (-3, -428, 8),  # 7.01
        (-3, -3_000, 1),  # below the lowest price: clamped by who asks
        (-3, 0, 10_001),  # a sale costs cash at every price
        (-3, 4, 10_001),
        (3, 428, 7),
        (3, 429, 6),  # 3,000 / 7 is 428.57
        (3, 0, 10_001),  # a purchase brings cash at every price
        (3, -5, 10_001),
        (3, 3_001, 0),  # more than at any price
    ],
)
def test_inverse_price_for_a_cash_is_the_worst_that_still_gives_it(inverse: State, lots: int, cash: int, ticks: int) -> None:
    assert ticks_for(inverse, 0, lots, cash) == ticks


@pytest.mark.parametrize(
    ("notional", "within", "reaching"), [(0, 0, 0), (1, 0, 1), (142, 0, 1), (143, 1, 1), (144, 1, 2), (286, 2, 2), (287, 2, 3), (-5, -1, 0)]
)
def test_lots_of_an_inverse_notional(inverse: State, notional: int, within: int, reaching: int) -> None:
    """A lot is 142.86, two 285.71."""
    assert lots_within(inverse, 0, notional) == within
    assert lots_reaching(inverse, 0, notional) == reaching


def test_an_inverse_value_is_largest_at_the_lowest_price(inverse: State) -> None:
    assert value_max(inverse, 0, -3) == InverseContract(FACE).bound(-3, 5, 10_000) == 600


@pytest.mark.parametrize(("is_sell", "cost"), [(True, 112), (False, 91)])
def test_an_offset_costs_what_its_price_does(inverse: State, is_sell: bool, cost: int) -> None:
    """10 % below, a notional of 1,000 costs 1,111.1; 10 % above, 909.1."""
    assert offset_cost(inverse, 0, 1_000, 100_000, is_sell) == cost
    linear = new_state(make_rules())
    assert offset_cost(linear, 0, 1_000, 100_000, is_sell) == 100


@settings_of(300)
@given(st.data())
def test_inverse_kernels_are_exact_fractions_rounded(inverse: State, data: st.DataObject) -> None:
    """Up to the bound that ``check_rules`` proves, with products of more than 63 bits."""
    factor = data.draw(st.integers(1, 1 << 61))
    ticks = data.draw(st.integers(5, 10_000))
    size = data.draw(st.integers(1, max(1, min(1 << 40, NOTIONAL_ATOMS_MAX * 5 // factor))))
    held = data.draw(st.sampled_from((1, -1))) * size
    closed = data.draw(st.integers(1, size))
    row = inverse.markets[0].copy()
    try:
        inverse.markets[0].notional_factor, inverse.markets[0].mark_ticks = factor, ticks
        exact = Fraction(-held * factor, ticks)
        value, cash, notional = (int(ask(inverse, 0, held)) for ask in (value_at_mark, cash_at_mark, notional_at_mark))
        # Down for the holder, down for the taker, up for the notional.
        assert value <= exact < value + 1
        assert cash <= -exact < cash + 1
        assert notional - 1 < abs(exact) <= notional
        assert notional_of(inverse, 0, -held, ticks) == notional
        # Closing leaves equity as it is, and in parts brings what closing at once does.
        brought = int(closing_cash(inverse, 0, held, closed))
        left = held + closing(held, closed)
        assert brought + value_at_mark(inverse, 0, left) == value
        assert abs(brought - Fraction(-(held - left) * factor, ticks)) < 1
        rest = int(closing_cash(inverse, 0, left, abs(left))) if left else 0
        assert brought + rest == value == closing_cash(inverse, 0, held, size)
        most = lots_within(inverse, 0, notional)
        assert notional_at_mark(inverse, 0, most) <= notional
        assert size <= most == 1 << 62 or notional_at_mark(inverse, 0, most + 1) > notional
        least = lots_reaching(inverse, 0, notional)
        assert notional_at_mark(inverse, 0, least) >= notional
        assert least == 0 or notional_at_mark(inverse, 0, least - 1) < notional
        at = ticks_for(inverse, 0, held, cash)
        if at <= 10_000:
            assert cash_of(inverse, 0, held, at) >= cash
            worse = at - 1 if held < 0 else at + 1
            assert worse == 0 or cash_of(inverse, 0, held, worse) < cash
    finally:
        inverse.markets[0] = row


@settings_of(200)
@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=8), st.integers(1, 10**9), st.integers(1, 10**6))
def test_equities_never_claim_more_than_there_is(lots: list[int], factor: int, ticks: int) -> None:
    """Values of all holders of a market, whose lots sum to zero, sum to at most 0."""
    lots = [*lots, -sum(lots)]
    total = sum(InverseContract(factor).value(each, ticks) for each in lots)
    assert -len(lots) < total <= 0


@settings_of(100)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.integers(0, 10**12)), max_size=8))
def test_columns_of_both_kinds_are_the_same_as_one_at_a_time(rows: list[tuple[int, int, int, int]]) -> None:
    contracts: list[Contract] = [LinearContract(7), InverseContract(10**12)]
    market, lots, ticks, cash = (np.array([row[place] for row in rows], dtype=np.int64) for place in range(4))
    columns = Contracts(contracts)
    assert columns.values(market, lots, ticks).tolist() == [contracts[m].value(q, p) if p else 0 for m, q, p, _ in rows]
    assert columns.notionals(market, lots, ticks).tolist() == [contracts[m].notional(q, p) if p else 0 for m, q, p, _ in rows]
    assert columns.ticks_of(market, lots, cash).tolist() == [contracts[m].ticks_of(q, c) for m, q, _, c in rows]


def test_lots_worth_follow_the_kind() -> None:
    columns = Contracts([LinearContract(2), InverseContract(200)])
    worth = columns.lots_worth(np.array([0, 1]), np.array([100.0, 100.0]), np.array([10, 10]))
    assert worth.tolist() == [5.0, 5.0]


def test_a_kind_names_its_formulas() -> None:
    assert contract_of(ContractKind.LINEAR, 3) == LinearContract(3)
    assert contract_of(ContractKind.INVERSE, 3).kind == ContractKind.INVERSE
    with pytest.raises(ValueError, match="unknown kind of contract: 2"):
        contract_of(len(ContractKind), 3)
