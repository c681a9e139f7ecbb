"""Binance's tiers and liquidation prices: the mark at which this engine finds the account
DISTRESSED.

No liquidation price is computed anywhere in the engine. The account is set up by events, the mark
walks toward the published price, first in long strides, then tick by tick, and the first mark at
which the monitor finds the account DISTRESSED is compared: within one tick.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from backstop.core.events import Health
from backstop.core.instruments import LevelRules, MarketRules, TierRules
from backstop.core.margin import maintenance_margin, tier_of
from tests.vectors.driving import Drive, still_rules
from tests.vectors.tables.binance import HELP_CENTRE, LOOKUPS, MOCKED, TIERS, Holding, Liquidation, Lookup, Tier

#: Atom of the lookups, in USDT; all their deductions are whole in it.
MILLI = Decimal("0.001")
#: Price tick, quantity lot and atom of each table, in USDT and coins.
HELP_SCALE = (Decimal("0.01"), Decimal("0.001"), Decimal("0.00001"))
MOCK_SCALE = (Decimal("0.00000001"), Decimal(1), Decimal("0.000000001"))


def _whole(value: Decimal, unit: Decimal) -> int:
    ratio = Fraction(value) / Fraction(unit)
    assert ratio.denominator == 1, f"{value} is not a whole number of {unit}"
    return ratio.numerator


def _tier_rules(tiers: tuple[Tier, ...], atom: Decimal) -> tuple[TierRules, ...]:
    """Return the tiers in atoms. Initial margin, which no case asks for, is the whole notional."""
    return tuple(TierRules(_whole(Decimal(tier.floor), atom), 1_000_000, tier.maintenance_ppm) for tier in tiers)


def _market(tiers: tuple[Tier, ...], atom: Decimal, factor: int, lots_max: int, ticks_max: int) -> MarketRules:
    return MarketRules(
        notional_factor=factor,
        price_ticks_max=ticks_max,
        position_lots_max=lots_max,
        tiers=_tier_rules(tiers, atom),
        band_offset_ppm=(1_000,),
        slippage_tolerance_ppm=10_000,
    )


def _hold_atoms(tiers: tuple[Tier, ...], notional: int) -> Drive:
    """Return an engine in which account 0 holds a position of ``notional`` atoms, ten a lot."""
    drive = Drive(still_rules(_market(tiers, MILLI, 1, notional, 10)))
    drive.open_account(0)
    drive.mark(0, 10)
    drive.show_depth(0)
    drive.open_position(0, 0, notional // 10, 0)
    return drive


@pytest.mark.parametrize("case", LOOKUPS, ids=lambda case: f"{case.tiers}-{case.notional}")
def test_tier_of_a_notional(case: Lookup) -> None:
    notional = _whole(Decimal(case.notional), MILLI)
    drive = _hold_atoms(TIERS[case.tiers], notional)
    tier = drive.state.tiers[int(tier_of(drive.state, 0, notional))]
    assert int(tier.maintenance_rate_ppm) == case.rate_ppm
    if case.deduction is not None:
        assert int(tier.maintenance_deduction) == case.deduction * 1_000
        _, maintenance = drive.assess(0)
        assert maintenance == -(-notional * case.rate_ppm // 1_000_000) - case.deduction * 1_000


@pytest.mark.parametrize("name", [name for name in TIERS if not name.startswith("OKX")])
def test_every_deduction_is_the_published_one(name: str) -> None:
    # They follow from floors and rates alone: margin is continuous at every floor.
    tiers = TIERS[name]
    drive = _hold_atoms(tiers, 1_000)
    rows = drive.state.tiers
    assert [int(row.maintenance_deduction) for row in rows] == [(tier.deduction or 0) * 1_000 for tier in tiers]
    for before, tier in pairwise(tiers):
        floor = tier.floor * 1_000
        at_floor = int(maintenance_margin(drive.state, 0, floor))
        assert at_floor == floor * before.maintenance_ppm // 1_000_000 - (before.deduction or 0) * 1_000


def _first_distressed_ticks(case: Liquidation, scale: tuple[Decimal, Decimal, Decimal]) -> tuple[int, int]:
    """Return (first mark in ticks at which the account is DISTRESSED, published price in ticks)."""
    tick, lot, atom = scale
    factor = _whole(tick * lot, atom)
    holdings: tuple[Holding, ...] = (case.holding, *case.others)
    lots = [_whole(Decimal(holding.quantity), lot) for holding in holdings]
    ticks = [_whole(Decimal(holding.mark_price), tick) for holding in holdings]
    markets = [
        _market(holding.tiers, atom, factor, abs(count), 2 * price) for holding, count, price in zip(holdings, lots, ticks, strict=True)
    ]
    drive = Drive(still_rules(*markets, levels=LevelRules()))
    drive.open_account(0)
    drive.fund(0, _whole(Decimal(case.wallet), atom))
    for market, (holding, count, price) in enumerate(zip(holdings, lots, ticks, strict=True)):
        drive.mark(market, price)
        drive.show_depth(market)
        drive.open_position(0, market, count, count * _whole(Decimal(holding.entry_price), tick) * factor)

    published = round(Decimal(case.liquidation_price) / tick)
    step = -1 if lots[0] > 0 else 1
    start, near = ticks[0], published - 5 * step
    strides = [start + (near - start) * part // 64 for part in range(1, 65)]
    walk: list[int] = [*strides, *range(near + step, published + 6 * step, step)]
    for price in walk:
        drive.mark(0, price)
        if drive.health(0) >= Health.DISTRESSED:
            assert drive.health(0) == Health.DISTRESSED
            return price, published
    raise AssertionError(f"never distressed near {case.liquidation_price}")


@pytest.mark.parametrize("case", HELP_CENTRE, ids=lambda case: f"L{case.line}")
def test_liquidation_price_of_the_help_centre(case: Liquidation) -> None:
    first, published = _first_distressed_ticks(case, HELP_SCALE)
    assert abs(first - published) <= 1


@pytest.mark.parametrize("case", MOCKED, ids=lambda case: f"L{case.line}")
def test_liquidation_price_of_one_isolated_position(case: Liquidation) -> None:
    first, published = _first_distressed_ticks(case, MOCK_SCALE)
    assert abs(first - published) <= 1
