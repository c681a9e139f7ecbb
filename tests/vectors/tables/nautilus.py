"""Inverse contracts: margins and liquidations of nautilus_trader's tests, and a bankruptcy price of Bybit's page.

Source: nautechsystems/nautilus_trader a95c804, tests/unit_tests/accounting/test_margin.py and
tests/unit_tests/backtest/test_liquidation_engine.py; Bybit help centre, bankruptcy price of an
inverse perpetual.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

__all__ = ["BANKRUPTCIES", "LIQUIDATIONS", "MARGINS", "Bankruptcy", "Liquidation", "Margin"]


class Margin(NamedTuple):
    """Contracts of 1 USD at a price; the rate over the leverage, and the margin in bitcoin to eight
    places, rounded to the nearest.
    """

    line: int
    contracts: int
    price: Decimal
    rate: Fraction
    margin: Decimal


class Liquidation(NamedTuple):
    """A long of contracts of 1 USD, bought for the taker fee, and the marks that follow."""

    name: str
    balance: Decimal
    contracts: int
    entry: int
    marks: tuple[int, ...]
    #: Equity at or below so many times its maintenance margin is liquidated.
    ratio: int
    is_liquidated: bool


class Bankruptcy(NamedTuple):
    """A long at a leverage, and the price at which its margin is gone: exact, and on the tick of 0.5
    USD that is better for it.
    """

    entry: Decimal
    leverage: int
    price: Decimal
    on_tick: Decimal


MARGINS = (
    Margin(651, 100_000, Decimal("11493.60"), Fraction(1, 100), Decimal("0.08700494")),
    Margin(670, 100_000, Decimal("11493.60"), Fraction(35, 10_000), Decimal("0.03045173")),
    Margin(703, 100_000, Decimal("100000.00"), Fraction(35, 100_000), Decimal("0.00035000")),
)

#: The case with liquidation switched off has no counterpart: the engine has no such switch.
LIQUIDATIONS = (
    Liquidation("crash", Decimal(1), 10_000_000, 40_000, (20_000,), 1, True),
    Liquidation("healthy", Decimal(100), 100_000, 40_000, (20_000,), 1, False),
    Liquidation("gradual, healthy", Decimal(100), 100_000, 40_000, tuple(range(39_600, 35_999, -400)), 1, False),
    Liquidation("gradual, fires", Decimal(1), 10_000_000, 40_000, tuple(range(39_000, 19_999, -1_000)), 1, True),
    Liquidation("ratio of 2", Decimal(1), 10_000_000, 40_000, (30_000,), 2, True),
    Liquidation("ratio of 60", Decimal("0.255"), 10_000, 40_000, (20_000,), 60, True),
)
#: Maintenance rate over leverage, and the taker fee.
MAINTENANCE_RATE, TAKER_FEE = Fraction(35, 100_000), Fraction(75, 100_000)

BANKRUPTCIES = (Bankruptcy(Decimal("7890.08"), 50, Decimal("7735.37"), Decimal("7735.5")),)
