"""Drift's transfers, fees, shared losses, fund shares and bankruptcies, by the venue's formulas.

The engine has none of these notions: its closing orders are sized by margin released against cost,
and its fund has no shares. The formulas are there to be compared with, and decide nothing.
"""

from __future__ import annotations

import pytest

from tests.vectors.tables.drift import (
    ASSETS,
    BANKRUPTCIES,
    BASES,
    CANCELS,
    DEPOSIT_LOSSES,
    FEES,
    HUNDRED,
    IMPLIED,
    ISOLATED,
    LIABILITIES,
    LIMITS,
    ONE,
    PERP_FEES,
    PERP_LOSSES,
    REBASES,
    SPOT_FEES,
    SWAPS,
    TEN,
    Asset,
    Bankruptcy,
    Base,
    Cancel,
    DepositLoss,
    Fee,
    Implied,
    Isolated,
    Liability,
    Limit,
    PerpFee,
    PerpLossCase,
    Rebase,
    SpotFee,
    Swap,
)
from tests.vectors.venues import drift
from tests.vectors.venues.drift import Exchange, Leg, PerpLoss, PerpPosition, SpotPosition


def _line(case: tuple[object, ...]) -> str:
    return f"L{case[0]}"


@pytest.mark.parametrize("case", BASES, ids=_line)
def test_base_to_cover_a_shortage(case: Base) -> None:
    found = drift.base_to_cover(case.shortage, case.margin_ratio, case.fee, case.insurance_fee, case.oracle_price, case.quote_price)
    assert found == case.base


def test_base_to_cover_with_an_insurance_fee_and_without_end() -> None:
    # A hundredth more for the fund: 10 / (100 x 0.08). A fee as large as the margin: all there is.
    assert drift.base_to_cover(TEN, 1_000, 10_000, 10_000, HUNDRED, ONE) == 1_250_000_000
    assert drift.base_to_cover(TEN, 1_000, 100_000, 0, HUNDRED, ONE) is None
    assert drift.base_to_cover(TEN, 1_000, 50_000, 50_000, HUNDRED, ONE) is None


@pytest.mark.parametrize("case", LIABILITIES, ids=_line)
def test_liability_to_cover_a_shortage(case: Liability) -> None:
    found = drift.liability_to_cover(case.shortage, case.exchange, case.asset_weight, case.liability_weight, case.insurance_fee)
    assert found == case.tokens


@pytest.mark.parametrize("case", IMPLIED, ids=_line)
def test_liability_that_a_deposit_pays_for(case: Implied) -> None:
    assert drift.liability_for_asset(case.asset_amount, case.exchange) == case.tokens


def test_a_part_of_a_token_is_rounded_up_twice() -> None:
    # A millionth of a dollar, as 1,000 units of a token of 9 decimals, pays for one unit of 6
    # decimals, and so does less.
    exchange = Exchange(Leg(9, ONE), Leg(6, ONE))
    assert [drift.liability_for_asset(amount, exchange) for amount in (1, 1_000, 1_001)] == [1, 1, 2]


@pytest.mark.parametrize("case", ASSETS, ids=_line)
def test_deposit_that_pays_for_a_liability(case: Asset) -> None:
    assert drift.asset_for_liability(case.asset_amount, case.liability_amount, case.exchange) == case.tokens


def test_the_whole_deposit_goes_where_less_than_a_dollar_would_stay() -> None:
    [case] = [case for case in ASSETS if case.line == 402]
    assert drift.asset_for_liability(case.tokens + 999_999, case.liability_amount, case.exchange) == case.tokens + 999_999
    assert drift.asset_for_liability(case.tokens + 1_000_000, case.liability_amount, case.exchange) == case.tokens


@pytest.mark.parametrize("case", PERP_FEES, ids=_line)
def test_insurance_fee_on_a_perpetual(case: PerpFee) -> None:
    found = drift.perp_insurance_fee(
        case.shortage, case.base, case.margin_ratio, case.fee, case.oracle_price, case.quote_price, case.fee_max
    )
    assert found == case.insurance_fee


@pytest.mark.parametrize("case", SPOT_FEES, ids=_line)
def test_insurance_fee_on_a_borrow(case: SpotFee) -> None:
    found = drift.spot_insurance_fee(case.shortage, case.tokens, case.exchange, case.asset_weight, case.liability_weight, case.fee_max)
    assert found == case.insurance_fee


@pytest.mark.parametrize("case", FEES, ids=_line)
def test_the_liquidators_fee_rises(case: Fee) -> None:
    assert drift.liquidator_fee(case.fee_base, case.fee_max, case.idle_slots) == case.fee


def test_the_liquidators_fee_waits_first_and_then_jumps() -> None:
    # The grace counts once it is over: there is a step of 1,500 units.
    assert [drift.liquidator_fee(20_000, 50_000, slots) for slots in (0, 1_499, 1_500)] == [20_000, 20_000, 21_500]


@pytest.mark.parametrize("case", SWAPS, ids=_line)
def test_a_swap_stays_within_prices(case: Swap) -> None:
    assert drift.is_swap_within_bounds(case.asset_amount, case.liability_amount, case.exchange) == case.is_within


def test_the_worst_swap_is_still_within() -> None:
    [case] = [case for case in SWAPS if case.line == 965]
    assert drift.is_swap_within_bounds(case.asset_amount, 198_019_801, case.exchange)
    assert not drift.is_swap_within_bounds(case.asset_amount, 198_019_800, case.exchange)


@pytest.mark.parametrize("case", LIMITS, ids=_line)
def test_a_liquidators_limit_is_met(case: Limit) -> None:
    price = drift.swap_price(case.asset_amount, case.liability_amount, case.asset_decimals, case.liability_decimals)
    assert (price >= case.price_min) == case.is_met


def test_a_liquidators_limit_is_met_to_the_unit() -> None:
    # Both cases of the source pass; their prices are the limits themselves.
    for case in LIMITS:
        assert drift.swap_price(case.asset_amount, case.liability_amount, case.asset_decimals, case.liability_decimals) == case.price_min


@pytest.mark.parametrize("case", PERP_LOSSES, ids=_line)
def test_a_loss_moves_the_funding_index(case: PerpLossCase) -> None:
    if case.step is None:
        with pytest.raises(ValueError, match="without open interest"):
            drift.funding_step_for_loss(case.loss, case.base_long, case.base_short)
        return
    step = drift.funding_step_for_loss(case.loss, case.base_long, case.base_short)
    assert step == case.step
    # Rounded up: what both sides pay is never less than the loss.
    assert step * (case.base_long - case.base_short) >= -case.loss * 10**12


def test_a_loss_is_covered_by_the_fund_then_fees_then_both_sides() -> None:
    # A loss of 100 among a long and a short of 5 each (controller/liquidation/tests.rs): each pays
    # 50, or 25 where the market's fees have 50.
    for fee_pool, paid in ((0, 50_000_000), (50_000_000, 25_000_000)):
        loss = drift.cover_perp_loss(HUNDRED, 0, HUNDRED, fee_pool)
        step = drift.funding_step_for_loss(loss.socialised, 5_000_000_000, -5_000_000_000)
        assert (loss.insurance, step * 5_000_000_000 // 10**12) == (0, paid)
    assert drift.cover_perp_loss(100, 31, 1_000, 40) == PerpLoss(30, 40, 30)
    assert drift.cover_perp_loss(100, 1_000, 20, 0) == PerpLoss(20, 0, 80)


@pytest.mark.parametrize("case", DEPOSIT_LOSSES, ids=_line)
def test_a_loss_cuts_the_interest_index(case: DepositLoss) -> None:
    assert drift.interest_cut_for_loss(case.loss, case.deposit_balance, case.interest_index, case.decimals) == case.cut


def test_one_call_covers_a_share_that_grows() -> None:
    # Below 50 USD all of it; otherwise from the first tenth on, in 150 slots, net of what was
    # freed.
    assert drift.liquidated_share(49_000_000, 0, 0, 150, 1_000) == 10_000
    assert [drift.liquidated_share(HUNDRED, 0, slots, 150, 1_000) for slots in (0, 75, 135, 1_000)] == [1_000, 6_000, 10_000, 10_000]
    assert drift.liquidated_share(HUNDRED, HUNDRED, 75, 150, 1_000) == 2_000
    assert drift.liquidated_share(HUNDRED, HUNDRED, 0, 150, 1_000) == 0
    assert drift.liquidated_share(HUNDRED, 0, 0, 0, 0) == 10_000


@pytest.mark.parametrize("case", REBASES, ids=_line)
def test_fund_shares_are_rebased(case: Rebase) -> None:
    assert drift.rebase_exponent(case.shares, case.vault) == case.exponent


def test_an_empty_vault_has_no_rebase() -> None:
    with pytest.raises(ValueError, match="nothing to rebase"):
        drift.rebase_exponent(1, 0)


@pytest.mark.parametrize("case", CANCELS, ids=_line)
def test_shares_lost_by_taking_a_request_back(case: Cancel) -> None:
    assert drift.shares_lost_on_cancel(case.shares_asked, case.value_locked, case.shares, case.vault) == case.lost


@pytest.mark.parametrize("case", BANKRUPTCIES, ids=_line)
def test_an_account_is_bankrupt(case: Bankruptcy) -> None:
    assert drift.is_cross_bankrupt(case.perps, case.spots) == case.answer


@pytest.mark.parametrize("case", ISOLATED, ids=_line)
def test_an_isolated_position_is_bankrupt(case: Isolated) -> None:
    assert drift.is_isolated_bankrupt(case.perp) == case.answer


def test_nothing_open_may_be_left_of_a_bankrupt() -> None:
    # Open orders, which the source's tables leave out.
    debt, loss = SpotPosition(-1), PerpPosition(quote=-1)
    assert drift.is_cross_bankrupt((loss,), (debt,))
    assert not drift.is_cross_bankrupt((loss, PerpPosition(open_orders=1)), (debt,))
    assert not drift.is_cross_bankrupt((loss,), (debt, SpotPosition(-1, open_orders=1)))
    for kept in (PerpPosition(quote=-1, open_orders=1), PerpPosition(quote=-1, collateral=1), PerpPosition(quote=-1, base=1)):
        assert not drift.is_isolated_bankrupt(kept)
