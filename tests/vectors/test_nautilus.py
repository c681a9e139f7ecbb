"""Inverse contracts against nautilus_trader's cases and Bybit's page: margins to the atom, who is
liquidated, and the bankruptcy price.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from backstop.core.contract_terms import ContractKind, InverseContract
from backstop.core.events import Health
from backstop.core.instruments import PPM, MarketRules
from backstop.core.margin import zero_price_ticks
from tests.vectors.driving import Drive, flat_market, still_rules
from tests.vectors.tables.nautilus import (
    BANKRUPTCIES,
    LIQUIDATIONS,
    MAINTENANCE_RATE,
    MARGINS,
    TAKER_FEE,
    Bankruptcy,
    Liquidation,
    Margin,
)

#: An atom is a hundred-millionth of a bitcoin, a lot a contract of 1 USD.
ATOMS = 10**8


def inverse_market(rate: Fraction, tick: Decimal) -> MarketRules:
    """Return a market of contracts of 1 USD, with one maintenance rate."""
    ppm = int(rate * PPM)
    assert ppm == rate * PPM
    factor = Fraction(ATOMS) / Fraction(tick)
    assert factor.denominator == 1
    market = flat_market(ppm, ppm, lots_max=10**8, ticks_max=int(1_000_000 / tick), factor=int(factor))
    return market._replace(contract_kind=ContractKind.INVERSE, price_ticks_min=int(10 / tick))


@pytest.mark.parametrize("case", MARGINS, ids=lambda case: f"L{case.line}")
def test_margin_is_that_of_the_source_rounded_up(case: Margin) -> None:
    tick = Decimal("0.1")
    drive = Drive(still_rules(inverse_market(case.rate, tick)))
    ticks = int(case.price / tick)
    drive.mark(0, ticks)
    drive.open_account(0)
    drive.fund(0, 100 * ATOMS)
    drive.trade(0, 0, case.contracts, ticks)
    told = int(case.margin * ATOMS)
    exact = Fraction(case.contracts * ATOMS) / Fraction(case.price) * case.rate
    assert abs(exact - told) <= Fraction(1, 2)
    _, maintenance = drive.assess(0)
    # Notional and margin are rounded up.
    assert exact <= maintenance < exact + 1 + case.rate
    assert drive.initial_margin(0) == maintenance


@pytest.mark.parametrize("case", LIQUIDATIONS, ids=lambda case: case.name)
def test_who_is_liquidated_is_in_default_and_nobody_else(case: Liquidation) -> None:
    drive = Drive(still_rules(inverse_market(MAINTENANCE_RATE * case.ratio, Decimal("0.5"))))
    drive.mark(0, 2 * case.entry)
    drive.show_depth(0)
    drive.open_account(0)
    fee = Fraction(case.contracts * ATOMS, case.entry) * TAKER_FEE
    drive.fund(0, int(case.balance * ATOMS - Decimal(int(fee))))
    drive.trade(0, 0, case.contracts, 2 * case.entry)
    assert drive.health(0) == Health.HEALTHY
    healths = []
    for mark in case.marks:
        drive.mark(0, 2 * mark)
        healths.append(drive.health(0))
        equity = case.balance * ATOMS - Decimal(int(fee))
        gain = Fraction(case.contracts * ATOMS) * (Fraction(1, case.entry) - Fraction(1, mark))
        # Value and cost are each rounded down.
        assert 0 <= Fraction(equity) + gain - drive.assess(0)[0] < 2
    assert (max(healths) >= Health.DISTRESSED) == case.is_liquidated


@pytest.mark.parametrize("case", BANKRUPTCIES, ids=lambda case: f"{case.entry}")
def test_zero_price_of_a_whole_position_is_the_bankruptcy_price(case: Bankruptcy) -> None:
    lots = 1_000_000
    notional = Fraction(lots * ATOMS) / Fraction(case.entry)
    exact = Fraction(case.entry) * case.leverage / (case.leverage + 1)
    assert round(exact, 2) == Fraction(case.price)
    drive = Drive(still_rules(inverse_market(Fraction(5, 1_000), Decimal("0.5"))))
    mark = int(case.entry * 2)
    drive.mark(0, mark)
    drive.open_account(0)
    drive.fund(0, int(notional / case.leverage))
    drive.open_position(0, 0, lots, -round(notional))
    cash = drive.zero_cash(0, 0, lots)
    ticks = int(zero_price_ticks(drive.state, 0, True, lots, cash))
    assert Decimal(ticks) / 2 == case.on_tick
    contract = InverseContract(2 * ATOMS)
    assert contract.cash(-lots, ticks) >= cash > contract.cash(-lots, ticks - 1)
