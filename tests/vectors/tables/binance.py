"""Binance USD-M futures: margin tiers and liquidation prices; OKX tiers beside them.

Source: freqtrade/freqtrade, commit in ``COMMIT``: tiers in tests/conftest.py, liquidation prices in
tests/exchange/test_binance.py (HELP_CENTRE, which restate the worked example of the exchange's help
centre) and tests/exchange/test_exchange.py (MOCKED), lookups in tests/exchange/test_binance.py,
test_exchange.py and test_okx.py. The number of a case is the line of its test.

Formula: with wallet W, deduction D, rate m, quantity Q, entry price e, side s = +1 or -1, and for
the other positions their unrealised P&L less their maintenance, the liquidation price is
``(W + sum(P&L - maintenance) + D - s Q e) / (Q m - s Q)``: the mark at which equity is maintenance.
The tier of a notional is the last whose floor is not above it.

Units: USDT and coins, in decimals as text, so that they are read exactly.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "COMMIT",
    "HELP_CENTRE",
    "LOOKUPS",
    "MOCKED",
    "REPOSITORY",
    "TIERS",
    "Holding",
    "Liquidation",
    "Lookup",
    "Tier",
]

REPOSITORY = "freqtrade/freqtrade"
COMMIT = "c9ae5e1e9ff25bb55dd61f5e5519f7c479291edb"


class Tier(NamedTuple):
    """One bracket: floor in USDT, maintenance rate in ppm, published deduction in USDT (None: not
    published).
    """

    floor: int
    maintenance_ppm: int
    deduction: int | None


class Lookup(NamedTuple):
    """A notional, the rate and the deduction of its tier."""

    tiers: str
    notional: str
    rate_ppm: int
    deduction: int | None


class Holding(NamedTuple):
    """A position, signed, with the tiers that margin it."""

    quantity: str
    entry_price: str
    mark_price: str
    tiers: tuple[Tier, ...]


class Liquidation(NamedTuple):
    """A wallet, the position whose price moves, the others, the published liquidation price."""

    line: int
    wallet: str
    holding: Holding
    others: tuple[Holding, ...]
    liquidation_price: str


_ADA = (
    Tier(0, 25_000, 0),
    Tier(100_000, 50_000, 2_500),
    Tier(500_000, 100_000, 27_500),
    Tier(1_000_000, 150_000, 77_500),
    Tier(2_000_000, 250_000, 277_500),
    Tier(5_000_000, 500_000, 1_527_500),
)

TIERS = {
    "ADA": _ADA,
    "XRP": _ADA,
    "BNB": (
        Tier(0, 6_500, 0),
        Tier(10_000, 10_000, 35),
        Tier(50_000, 20_000, 535),
        Tier(250_000, 50_000, 8_035),
        Tier(1_000_000, 100_000, 58_035),
        Tier(2_000_000, 125_000, 108_035),
        Tier(5_000_000, 150_000, 233_035),
        Tier(10_000_000, 250_000, 1_233_035),
        Tier(20_000_000, 500_000, 6_233_035),
    ),
    "BTC": (
        Tier(0, 4_000, 0),
        Tier(50_000, 5_000, 50),
        Tier(250_000, 10_000, 1_300),
        Tier(1_000_000, 25_000, 16_300),
        Tier(7_500_000, 50_000, 203_800),
        Tier(40_000_000, 100_000, 2_203_800),
        Tier(100_000_000, 125_000, 4_703_800),
        Tier(200_000_000, 150_000, 9_703_800),
        Tier(400_000_000, 250_000, 49_703_800),
        Tier(600_000_000, 500_000, 199_703_800),
    ),
    "ZEC": (
        Tier(0, 10_000, 0),
        Tier(50_000, 25_000, 750),
        Tier(150_000, 50_000, 4_500),
        Tier(250_000, 100_000, 17_000),
        Tier(500_000, 125_000, 29_500),
        Tier(1_000_000, 250_000, 154_500),
        Tier(2_000_000, 500_000, 654_500),
    ),
    # The venue prints no deduction: its margin jumps at a floor. Only rates are compared.
    "OKX:ETH": (Tier(0, 10_000, None), Tier(2_001, 15_000, None), Tier(4_001, 20_000, None)),
    "OKX:ADA": (Tier(0, 20_000, None), Tier(501, 25_000, None), Tier(1_001, 30_000, None)),
}

LOOKUPS = (
    Lookup("ADA", "500", 25_000, 0),
    Lookup("ADA", "20000000", 500_000, 1_527_500),
    Lookup("ZEC", "500", 10_000, 0),
    Lookup("ZEC", "20000000", 500_000, 654_500),
    Lookup("BNB", "100", 6_500, 0),
    Lookup("BTC", "170.3", 4_000, 0),
    Lookup("XRP", "999999.9", 100_000, 27_500),
    Lookup("BNB", "5000000", 150_000, 233_035),
    Lookup("BTC", "600000000", 500_000, 199_703_800),
    Lookup("OKX:ETH", "2000", 10_000, None),
    Lookup("OKX:ETH", "2001", 15_000, None),
    Lookup("OKX:ETH", "8000", 20_000, None),
    Lookup("OKX:ADA", "1", 20_000, None),
    Lookup("OKX:ADA", "2000", 30_000, None),
)

#: The example names a rate of 10 % and a deduction of 135,365 for its second position, not the
#: table they come from: the shortest table that has them.
_EXAMPLE = (Tier(0, 50_000, 0), Tier(2_707_300, 100_000, 135_365))

HELP_CENTRE = (
    Liquidation(192, "1535443.01", Holding("109.488", "32481.98", "32481.98", TIERS["BTC"]), (), "18778.73"),
    Liquidation(
        239,
        "1535443.01",
        Holding("109.488", "32481.98", "32481.98", TIERS["BTC"]),
        (Holding("3683.979", "1456.84", "1335.18", _EXAMPLE),),
        "26316.89",
    ),
)

#: A rate of 1 % with a deduction of 0.01 USDT: nothing is needed up to 1 USDT.
_MOCK = (Tier(0, 0, 0), Tier(1, 10_000, None))

#: Wallets are entry price over leverage, to the billionth of a USDT.
MOCKED = (
    Liquidation(6028, "3.333333333", Holding("-1", "10", "10", _MOCK), (), "13.211221122079207"),
    Liquidation(6029, "1.6", Holding("-1", "8", "8", _MOCK), (), "9.514851485148514"),
    Liquidation(6032, "2", Holding("1", "10", "10", _MOCK), (), "8.070707070707071"),
    Liquidation(6033, "1.6", Holding("1", "8", "8", _MOCK), (), "6.454545454545454"),
)
