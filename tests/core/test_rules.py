"""``check_rules`` names the field, its value and what would be right; bounds are met exactly, not
nearly.
"""

from __future__ import annotations

import pytest

from backstop.core.events import Stage
from backstop.core.instruments import (
    BANDS_MAX,
    NO_CAP,
    NOTIONAL_ATOMS_MAX,
    PRICE_TICKS_LIMIT,
    AssetRules,
    BreakerRules,
    CloseoutRules,
    CommitmentRules,
    DisposalRules,
    FundRules,
    FundsRules,
    LevelRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TakeoverRules,
    TierRules,
    VenueRules,
    check_rules,
    deductions_atoms,
)
from backstop.core.state import new_state

MARKET = MarketRules(1, 10_000, 1_000, (TierRules(0, 100_000, 50_000),), (1_000,), 20_000)
GOOD = VenueRules((MARKET,))


def with_market(**fields: object) -> VenueRules:
    """Return the good rules with a changed market."""
    return VenueRules((MARKET._replace(**fields),))  # type: ignore[arg-type]


def with_tiers(*tiers: tuple[int, int, int]) -> VenueRules:
    """Return the good rules with other tiers."""
    return with_market(tiers=tuple(TierRules(*tier) for tier in tiers))


PROVIDER = ProviderRules(((CommitmentRules(), CommitmentRules()),))


def with_provider(**fields: object) -> VenueRules:
    """Return the good rules with a changed provider."""
    return GOOD._replace(providers=(PROVIDER._replace(**fields),))  # type: ignore[arg-type]


BAD: list[tuple[VenueRules, str]] = [
    (GOOD._replace(markets=()), "markets: 0: must be 1 to 4096"),
    (
        with_market(contract_kind=1, notional_factor=1 << 31, price_ticks_min=2, position_lots_max=1 << 31),
        "= 2147483648 x 2147483648 / 2 = 2305843009213693952 atoms: must be at most 1152921504606846976 (2^60)",
    ),
    (with_market(price_ticks_min=2), "markets[0].price_ticks_min = 2: must be 1 of a linear contract"),
    (
        with_market(contract_kind=1, price_ticks_min=200_000_000),
        "markets[0].price_ticks_min = 200000000: must be at most price_ticks_max",
    ),
    (with_market(contract_kind=2), "markets[0].contract_kind = 2: must be 0 to 1"),
    (with_market(notional_factor=0), "markets[0].notional_factor = 0: must be 1 to"),
    (with_market(price_ticks_max=0), f"markets[0].price_ticks_max = 0: must be 1 to {PRICE_TICKS_LIMIT}"),
    (with_market(price_ticks_max=1 << 31), f"markets[0].price_ticks_max = {1 << 31}: must be 1 to {PRICE_TICKS_LIMIT}"),
    (with_market(position_lots_max=0), f"markets[0].position_lots_max = 0: must be 1 to {NO_CAP}"),
    (with_market(volatility_ppm=0), "markets[0].volatility_ppm = 0: must be 1 to 1000000"),
    (with_market(slippage_tolerance_ppm=1_000_000), "markets[0].slippage_tolerance_ppm = 1000000: must be 0 to 999999"),
    (with_market(band_offset_ppm=()), f"markets[0].band_offset_ppm has 0 bands: must have 1 to {BANDS_MAX}"),
    (with_market(band_offset_ppm=tuple(range(9))), f"markets[0].band_offset_ppm has 9 bands: must have 1 to {BANDS_MAX}"),
    (with_market(band_offset_ppm=(5, 5)), "markets[0].band_offset_ppm = [5, 5]: must ascend, from 0 to 999999"),
    (with_market(band_offset_ppm=(-1, 5)), "markets[0].band_offset_ppm = [-1, 5]: must ascend"),
    (with_market(ordered_notional_max=-1), f"markets[0].ordered_notional_max = -1: must be 0 to {NO_CAP}"),
    (with_market(tiers=()), "markets[0].tiers: must have at least one tier"),
    (with_tiers((5, 0, 0)), "markets[0].tiers[0].floor = 5: the first tier must start at 0"),
    (with_tiers((0, 10, 20)), "markets[0].tiers[0]: maintenance 20 ppm and initial 10 ppm: must be 0 <= maintenance <= initial <= 1000000"),
    (with_tiers((0, 10, 5), (0, 10, 5)), "markets[0].tiers[1].floor = 0: must be above 0"),
    (with_tiers((0, 10, 5), (1_000_000, 9, 5)), "markets[0].tiers[1]: rates must not fall from tier to tier"),
    (
        with_tiers((0, 10, 5), (7, 11, 5)),
        "markets[0].tiers: tier 1: floor 7 x rate step 1 ppm = 7e-06 atoms: the deduction must be a whole number of atoms",
    ),
    (
        with_tiers((0, 700_000, 700_000)),
        "markets[0]: maintenance rate 700000 ppm x level ratio 1500000 ppm: must be at most 0.999",
    ),
    (
        with_market(position_lots_max=1 << 46),
        f"markets[0].position_lots_max = {1 << 46} x accounts_max {1 << 16}: must stay below 2^62",
    ),
    (
        with_market(position_lots_max=1 << 40, price_ticks_max=1 << 20, notional_factor=2),
        f"= {1 << 40} x {1 << 20} x 2 = {1 << 61} atoms: must be at most {NOTIONAL_ATOMS_MAX} (2^60)",
    ),
    (GOOD._replace(levels=LevelRules(exit_buffer_ppm=-1)), "levels.exit_buffer_ppm = -1: must be 0 to 9000000"),
    (GOOD._replace(levels=LevelRules(1_040_000)), "levels.warning_ratio_ppm = 1040000: must be 1050000 (release) to 10000000"),
    (GOOD._replace(levels=LevelRules(close_out_ratio_ppm=1_000_001)), "levels.close_out_ratio_ppm = 1000001: must be 0 to 1000000"),
    (GOOD._replace(closeout=CloseoutRules(fee_ppm=-1)), "closeout.fee_ppm = -1: must be 0 to 1000000"),
    (GOOD._replace(closeout=CloseoutRules(depth_share_ppm=1_000_001)), "closeout.depth_share_ppm = 1000001: must be 0 to 1000000"),
    (GOOD._replace(closeout=CloseoutRules(interval_ns=0)), "closeout.interval_ns = 0: must be 1 to 1152921504606846976"),
    (GOOD._replace(closeout=CloseoutRules(cap_interval_ns=0)), "closeout.cap_interval_ns = 0: must be 1 to 1152921504606846976"),
    (GOOD._replace(assets=(AssetRules(minimum_notional=-1),)), "assets[0].minimum_notional = -1: must be 0 to 4611686018427387904"),
    (GOOD._replace(funds=(FundRules(-1),)), f"funds[0].loss_per_window_max = -1: must be 0 to {NO_CAP}"),
    (GOOD._replace(funds=(FundRules(target=-1),)), f"funds[0].target = -1: must be 0 to {NO_CAP}"),
    (GOOD._replace(funds=()), "funds: 0: must be 1 to 8"),
    (with_market(group=1), "markets[0].group = 1: must be 0 to 0"),
    (GOOD._replace(fund=FundsRules(window_ns=15)), f"fund.window_ns = 15: must be 16 to {1 << 60}"),
    (GOOD._replace(assets=(AssetRules(owner_loss_max=-1),)), "assets[0].owner_loss_max = -1: must be 0 to"),
    (GOOD._replace(fund=FundsRules(trading_fee_share_ppm=1_000_001)), "fund.trading_fee_share_ppm = 1000001: must be 0 to 1000000"),
    (
        GOOD._replace(fund=FundsRules(drawdown_enter_ppm=5, drawdown_exit_ppm=6)),
        "fund.drawdown_exit_ppm = 6: must be at most drawdown_enter_ppm 5",
    ),
    (
        GOOD._replace(fund=FundsRules(drawdown_enter_ppm=5)),
        "fund.drawdown_exit_ppm = 0: must be at least 1, or the breaker would never end",
    ),
    (with_provider(commitments=()), "providers[0].commitments: 0 groups: must be 1, one a market group"),
    (with_provider(leverage_ppm=0), "providers[0].leverage_ppm = 0: must be 1 to 1000000000"),
    (with_provider(loss_stop=0), f"providers[0].loss_stop = 0: must be 1 to {NO_CAP}"),
    (
        with_provider(commitments=((CommitmentRules(), CommitmentRules(capacity=-1)),)),
        "providers[0].commitments[0].short.capacity = -1: must be 0 to",
    ),
    (GOOD._replace(providers=(PROVIDER._replace(is_vault=True),) * 2), "providers: 2 vaults: must be at most one"),
    (GOOD._replace(takeover=TakeoverRules(failures_max=0)), "takeover.failures_max = 0: must be 1 to"),
    (GOOD._replace(disposal=DisposalRules(share_ppm=0)), "disposal.share_ppm = 0: must be 1 to 1000000"),
    (GOOD._replace(breakers=BreakerRules(hold_max_ns=0)), "breakers.hold_max_ns = 0: must be 1 to"),
    (GOOD._replace(breakers=BreakerRules(reopen_ns=1 << 61)), f"breakers.reopen_ns = {1 << 61}: must be 1 to {1 << 60}"),
    (
        GOOD._replace(breakers=BreakerRules(flow_throttle=2, flow_halt=1)),
        "breakers.flow: throttle 2 and halt 1: throttle must be at most halt",
    ),
    (with_market(price_halt_ppm=5), "markets[0].price: exit 0: must be 1 to 5, where the breaker begins"),
    (with_market(price_throttle_ppm=4, price_halt_ppm=5, price_exit_ppm=5), "markets[0].price: exit 5: must be 1 to 4"),
    (with_market(flow_throttle=3, flow_halt=2), "markets[0].flow: throttle 3 and halt 2: throttle must be at most halt"),
    (GOOD._replace(limits=LimitRules(orders_max=0)), "limits.orders_max = 0: must be 1 to 268435456"),
    (GOOD._replace(stages=(8, Stage.TEAR_UP)), "waterfall: stage 8: must be one of [1, 2, 3, 4, 5, 6, 7]"),
    (GOOD._replace(stages=(Stage.ADL, Stage.ADL, Stage.TEAR_UP)), ": a stage may stand once"),
    (GOOD._replace(stages=(Stage.ADL,)), ": tear_up must be last"),
    (GOOD._replace(stages=()), "waterfall: []: tear_up must be last"),
    (GOOD._replace(adl_policy=7), "adl_policy = 7: must be 1 to 6"),
    (with_market(factor_loading_ppm=0), "markets[0].factor_loading_ppm = 0: must not be 0"),
    (with_market(factor_loading_ppm=-1_000_001), "markets[0].factor_loading_ppm = -1000001: must be -1000000 to 1000000"),
    (GOOD._replace(socialise_policy=3), "socialise_policy = 3: must be 1 to 2"),
    (
        GOOD._replace(stages=(Stage.SOCIALISE, Stage.TAKEOVER, Stage.TEAR_UP)),
        "waterfall: socialise must stand behind takeover: it acts after them in any case",
    ),
    (
        GOOD._replace(stages=(Stage.FUND, Stage.CLOSEOUT, Stage.TEAR_UP), solvent_pay_first=True),
        "waterfall: fund must stand behind closeout: it acts after them in any case",
    ),
    (
        GOOD._replace(stages=(Stage.ADL, Stage.CLOSEOUT, Stage.TEAR_UP)),
        "waterfall: adl stands before closeout, so that solvent accounts pay first: put closeout before adl,",
    ),
    (GOOD._replace(stages=(Stage.ADL, Stage.FUND, Stage.TEAR_UP)), "waterfall: adl stands before fund, so that solvent accounts pay first"),
]


@pytest.mark.parametrize(("rules", "words"), BAD, ids=[words[:50] for _, words in BAD])
def test_refusal_names_field_value_and_what_would_be_right(rules: VenueRules, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_rules(rules)
    assert words in str(caught.value)


def test_bounds_are_met_exactly() -> None:
    check_rules(GOOD)
    check_rules(GOOD._replace(levels=LevelRules(1_050_000)))
    check_rules(with_market(position_lots_max=1 << 40, price_ticks_max=1 << 20, notional_factor=1))
    check_rules(with_market(position_lots_max=(1 << 46) - 1, price_ticks_max=1))
    check_rules(GOOD._replace(stages=(Stage.ADL, Stage.FUND, Stage.TEAR_UP), solvent_pay_first=True))
    check_rules(GOOD._replace(stages=(Stage.TEAR_UP,)))


def test_engine_is_not_made_of_bad_rules() -> None:
    with pytest.raises(ValueError, match="must be 1 to 4096"):
        new_state(GOOD._replace(markets=()))


def test_deductions_make_margin_continuous() -> None:
    """From 1,000 up 10 % instead of 5 %: 50 off; from 5,000 up 20 %: 500 more."""
    floors, rates = (0, 1_000, 5_000), (50_000, 100_000, 200_000)
    deductions = deductions_atoms(floors, rates)
    assert deductions == (0, 50, 550)
    for tier in (1, 2):
        assert floors[tier] * (rates[tier] - rates[tier - 1]) // 1_000_000 == deductions[tier] - deductions[tier - 1]
