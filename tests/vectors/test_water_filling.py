"""ADL policy ``water_filling`` against the worked example of arXiv 2603.15963: the four accounts are
opened on the engine and the reference, an account in default closes so many BTC, and what the others
give, and the level, are the paper's to the last digit printed.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import erf, exp, pi, sqrt

import pytest

from backstop.core.events import FUND, AdlPolicy, EffectKind, Stage
from backstop.core.instruments import MarketRules, TierRules, VenueRules
from backstop.reference.water_filling import level_from_top, standing_of
from tests.attacks.scene import Scene, of, venue
from tests.vectors.tables.water_filling import LOADINGS, MARKS, OWNERS, WAVES, Owner, Wave

F = EffectKind
ATOM = 10**6
#: A lot is 0.00001 BTC or 0.1 ETH, a tick a dollar.
LOTS = (100_000, 10)
STAGES = (Stage.FUND, Stage.ADL, Stage.TEAR_UP)
#: What a dollar of notional moves with the factor; only the ratio matters.
PER_DOLLAR = tuple(Fraction(loading) / mark for loading, mark in zip(LOADINGS, MARKS, strict=True))
LOADINGS_PPM = (round(PER_DOLLAR[0] / PER_DOLLAR[1] * 1_000_000), 1_000_000)


def rules() -> VenueRules:
    """Return a venue with both markets, 5 % maintenance."""
    markets = tuple(
        MarketRules(ATOM // lots, 1 << 18, 1 << 23, (TierRules(0, 100_000, 50_000),), (1_000,), 20_000, factor_loading_ppm=loading)
        for lots, loading in zip(LOTS, LOADINGS_PPM, strict=True)
    )
    return venue(STAGES, markets=2)._replace(markets=markets, adl_policy=AdlPolicy.WATER_FILLING)


def deleverage(wave: Wave) -> tuple[Scene, list[int], int, int]:
    """Close so many BTC of an account in default; return lots closed by each, and the level."""
    scene = Scene(rules(), 1)
    for market, mark in enumerate(MARKS):
        scene.mark(mark, market)
    accounts = []
    for owner in OWNERS:
        account = scene.open(owner.margin * ATOM + 10**9 * ATOM)
        for market, quantity in enumerate(owner.quantities):
            scene.trade(account, -round(Decimal(quantity) * LOTS[market]), owner.entries[market], market=market)
        scene.cash(account, -(10**9) * ATOM)
        assert scene.mirror.equity(account) == Decimal(owner.equity) * ATOM
        accounts.append(account)
    scene.cash(FUND, 1_000 * ATOM)
    closing = round(Decimal(wave.close) * LOTS[0])
    defaulter = scene.open(10**7 * ATOM)
    scene.trade(defaulter, closing, MARKS[0])
    before = [scene.lots(account) for account in accounts]
    effects = scene.charge(defaulter, 10**7 * ATOM + 1)
    (head,) = of(effects, F.ADL_CLASS)
    return scene, [scene.lots(account) - lots for account, lots in zip(accounts, before, strict=True)], head.amount, head.value


def is_printed(value: Fraction | float, printed: str, slack: Fraction | float) -> bool:
    """Return whether a value is the printed figure, to its digits and some slack."""
    places = -int(Decimal(printed).as_tuple().exponent)
    return bool(abs(float(value) - float(printed)) <= float(slack) + 0.5 * 10.0**-places)


@pytest.mark.parametrize("wave", WAVES, ids=[wave.close for wave in WAVES])
def test_what_each_closes_is_the_papers(wave: Wave) -> None:
    """To the printed digits, a lot more or less: 0.00001 BTC. The level differs by half a lot at most, of
    67 cents.
    """
    scene, closed, exposure, equity = deleverage(wave)
    assert sum(closed) == round(Decimal(wave.close) * LOTS[0])
    for lots, printed in zip(closed, wave.closed, strict=True):
        assert is_printed(Fraction(lots, LOTS[0]), printed, Fraction(1, LOTS[0])), (closed, wave)
    assert is_printed(Fraction(exposure, equity) * PER_DOLLAR[0], wave.level, 2 * Fraction(67, 100) / 116_901 * PER_DOLLAR[0])
    shortfall = sum(
        shortfall_of(float(Decimal(owner.equity)), exposure_after(owner.quantities, Fraction(lots, LOTS[0])))
        for owner, lots in zip(OWNERS, closed, strict=True)
    )
    assert is_printed(shortfall, wave.shortfall, 0.02)
    assert scene.watch.wrong == []


def exposure_after(quantities: tuple[str, str], closed: Fraction) -> float:
    """Return the factor's move of an account's value in dollars."""
    return float(Fraction(LOADINGS[0]) * (Fraction(quantities[0]) - closed) + Fraction(LOADINGS[1]) * Fraction(quantities[1]))


def shortfall_of(equity: float, exposure: float) -> float:
    """Return what an account is expected to lack: the factor is normal, with variance 1."""
    c = abs(exposure)
    if c == 0:
        return 0.0
    ratio = equity / c
    return c * exp(-ratio * ratio / 2) / sqrt(2 * pi) - equity * (1 - erf(ratio / sqrt(2))) / 2


@pytest.mark.parametrize(("owner", "rank"), list(zip(OWNERS, (2, 3, 1, 4), strict=True)), ids=["1", "2", "3", "4"])
def test_factor_leverage_is_the_papers(owner: Owner, rank: int) -> None:
    """By gross leverage 4 would be first; it is hedged, and stands last."""
    leverage = {each: exposure_after(each.quantities, Fraction(0)) / float(Decimal(each.equity)) for each in OWNERS}
    assert sum(other >= leverage[owner] for other in leverage.values()) == rank
    assert is_printed(leverage[owner], owner.leverage, 0)


def test_one_market_alone() -> None:
    """Equities 100, 200 and 300, leverage 10, 5 and 3: of 800 they give 600, 200 and 0, to a level of 4."""
    for lot in (1, 10, 100):
        holds = ((100, 1_000), (200, 1_000), (300, 900))
        standings = {n: standing_of(notional, equity, notional, lot) for n, (equity, notional) in enumerate(holds)}
        given, level = level_from_top(800 // lot, standings, {n: notional // lot for n, (_, notional) in enumerate(holds)})
        assert {n: lots * lot for n, lots in given.items()} == {0: 600, 1: 200, 2: 0}
        assert abs(Fraction(*level) - 4) <= Fraction(lot, 2 * 100)
