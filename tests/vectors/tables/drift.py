"""Drift v2: liquidation transfers and fees, shared losses, shares of the insurance fund,
bankruptcy.

Sources: drift-labs/protocol-v2, commit ``COMMIT``; the number of a case is the line of its test in
programs/drift/src/math/liquidation/tests.rs, in math/insurance/tests.rs for REBASES and CANCELS, in
math/bankruptcy/tests.rs for BANKRUPTCIES. Formulas and units: ``tests.vectors.venues.drift``.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.vectors.venues.drift import Exchange, Leg, PerpPosition, SpotPosition

__all__ = [
    "ASSETS",
    "BANKRUPTCIES",
    "BASES",
    "CANCELS",
    "COMMIT",
    "DEPOSIT_LOSSES",
    "FEES",
    "HUNDRED",
    "IMPLIED",
    "ISOLATED",
    "LIABILITIES",
    "LIMITS",
    "ONE",
    "PERP_FEES",
    "PERP_LOSSES",
    "REBASES",
    "REPOSITORY",
    "SPOT_FEES",
    "SWAPS",
    "TEN",
    "Asset",
    "Bankruptcy",
    "Base",
    "Cancel",
    "DepositLoss",
    "Fee",
    "Implied",
    "Isolated",
    "Liability",
    "Limit",
    "PerpFee",
    "PerpLossCase",
    "Rebase",
    "SpotFee",
    "Swap",
]

REPOSITORY = "drift-labs/protocol-v2"
COMMIT = "0ae3e3b1db782a6765c3525b3dec38ad4d9d3a62"

#: One unit of a quote amount, a price, a multiplier or a fee; ten USD; a price of 100 USD.
ONE, TEN, HUNDRED = 1_000_000, 10_000_000, 100_000_000


class Base(NamedTuple):
    """Shortage, margin ratio, both fees, both prices; the base to take over."""

    line: int
    shortage: int
    margin_ratio: int
    fee: int
    insurance_fee: int
    oracle_price: int
    quote_price: int
    base: int


class Liability(NamedTuple):
    """Shortage, tokens, weights, fee; the borrow to take over, None where unbounded."""

    line: int
    shortage: int
    exchange: Exchange
    asset_weight: int
    liability_weight: int
    insurance_fee: int
    tokens: int | None


class Implied(NamedTuple):
    """An amount of the deposit; the borrow that it pays for."""

    line: int
    asset_amount: int
    exchange: Exchange
    tokens: int


class Asset(NamedTuple):
    """The deposit there is, an amount of the borrow; what of the deposit pays for it."""

    line: int
    asset_amount: int
    liability_amount: int
    exchange: Exchange
    tokens: int


class PerpLossCase(NamedTuple):
    """A loss and both sides' base; the step of the funding index, None where nobody can pay."""

    line: int
    loss: int
    base_long: int
    base_short: int
    step: int | None


class DepositLoss(NamedTuple):
    """A loss, the scaled deposits, their index and decimals; the cut of the index."""

    line: int
    loss: int
    deposit_balance: int
    interest_index: int
    decimals: int
    cut: int


class PerpFee(NamedTuple):
    """Shortage, base, margin ratio, liquidator's fee, both prices, the highest fee; the fee."""

    line: int
    shortage: int
    base: int
    margin_ratio: int
    fee: int
    oracle_price: int
    quote_price: int
    fee_max: int
    insurance_fee: int


class SpotFee(NamedTuple):
    """Shortage, borrowed tokens, exchange, weights, the highest fee; the fee."""

    line: int
    shortage: int
    tokens: int
    exchange: Exchange
    asset_weight: int
    liability_weight: int
    fee_max: int
    insurance_fee: int


class Fee(NamedTuple):
    """The base and the highest fee, the slots idle; the fee."""

    line: int
    fee_base: int
    fee_max: int
    idle_slots: int
    fee: int


class Swap(NamedTuple):
    """Deposit given, borrow repaid; whether prices allow it."""

    line: int
    asset_amount: int
    liability_amount: int
    exchange: Exchange
    is_within: bool


class Limit(NamedTuple):
    """Deposit received, borrow repaid, their decimals, the least price; whether it is met."""

    line: int
    asset_amount: int
    liability_amount: int
    asset_decimals: int
    liability_decimals: int
    price_min: int
    is_met: bool


class Rebase(NamedTuple):
    """Shares and vault; powers of ten."""

    line: int
    shares: int
    vault: int
    exponent: int


class Cancel(NamedTuple):
    """Shares asked back and their value then, all shares and the vault now; the shares lost."""

    line: int
    shares_asked: int
    value_locked: int
    shares: int
    vault: int
    lost: int


class Bankruptcy(NamedTuple):
    """The positions of an account; whether it is bankrupt across them."""

    line: int
    perps: tuple[PerpPosition, ...]
    spots: tuple[SpotPosition, ...]
    answer: bool


class Isolated(NamedTuple):
    """One isolated position; whether it is bankrupt."""

    line: int
    perp: PerpPosition
    answer: bool


def _exchange(asset_multiplier: int, liability_multiplier: int, asset_decimals: int = 6, liability_decimals: int = 9) -> Exchange:
    """Return an exchange of a dollar for a token of 100 USD."""
    return Exchange(Leg(asset_decimals, ONE, asset_multiplier), Leg(liability_decimals, HUNDRED, liability_multiplier))


def _dollars(asset_decimals: int, liability_decimals: int) -> Exchange:
    return Exchange(Leg(asset_decimals, ONE), Leg(liability_decimals, ONE))


BASES = (
    Base(15, TEN, 1_000, 0, 0, HUNDRED, ONE, 1_000_000_000),
    Base(35, TEN, 1_000, 0, 0, HUNDRED, 990_000, 1_010_101_010),
    Base(48, TEN, 1_000, 0, 0, HUNDRED, 1_010_000, 990_099_009),
    Base(67, TEN, 1_000, 10_000, 0, HUNDRED, ONE, 1_111_111_111),
)

LIABILITIES = (
    Liability(157, TEN, _exchange(ONE, ONE), 8_000, 12_000, 0, 250_000_000),
    Liability(182, TEN, _exchange(1_100_000, 900_000), 8_000, 12_000, 0, 449_984_250),
    Liability(208, TEN, _exchange(ONE, ONE), 8_000, 12_000, 10_000, 257_731_958),
    Liability(294, TEN, _exchange(ONE, 750_000, liability_decimals=6), 10_000, 10_000, 0, None),
)

IMPLIED = (
    Implied(323, TEN, _exchange(ONE, ONE), 100_000_000),
    Implied(346, TEN, _exchange(1_010_000, 990_000), 98_019_802),
)

ASSETS = (
    Asset(377, HUNDRED, 1_000_000_000, _exchange(ONE, ONE), 100_000_000),
    Asset(402, 2 * HUNDRED, 1_000_000_000, _exchange(1_010_000, 990_000), 102_020_202),
    Asset(428, 2 * HUNDRED, 1_000_000, _dollars(6, 6), 1_000_000),
    Asset(480, 2 * HUNDRED, 100_000, _dollars(6, 5), 1_000_000),
)

PERP_LOSSES = (
    PerpLossCase(513, -ONE, 0, 0, None),
    PerpLossCase(529, -HUNDRED, 7_000_000_000, -4_000_000_000, 9_090_910_000),
)

DEPOSIT_LOSSES = (
    DepositLoss(552, HUNDRED, 0, 11_110_000_000, 0, 0),
    DepositLoss(569, 11_000_000, 120_000_000_000, 10_000_000_000, 6, 916_666_667),
)

PERP_FEES = (
    PerpFee(655, 20_000_000, 10_000_000_000, 500, 10_000, HUNDRED, ONE, 50_000, 19_000),
    PerpFee(683, 1_000_000_000, 10_000_000_000, 500, 10_000, HUNDRED, ONE, 50_000, 0),
    PerpFee(697, 20_000_000, 10_000_000_000, 500, 100_000, HUNDRED, ONE, 50_000, 0),
    PerpFee(711, 20_000_000, 10_000_000_000, 500, 10_000, 0, ONE, 50_000, 0),
    PerpFee(725, 20_000_000, 10_000_000_000, 500, 10_000, HUNDRED, 0, 50_000, 0),
)

SPOT_FEES = (
    SpotFee(772, 5_000_000, 1_000_000_000, _exchange(1_010_000, ONE), 10_000, 11_000, 50_000, 36_363),
    SpotFee(804, 1_000_000, 1_000_000_000, _exchange(1_010_000, ONE), 10_000, 11_000, 50_000, 50_000),
    SpotFee(852, 5_000_000, 0, _exchange(1_010_000, ONE), 10_000, 11_000, 50_000, 0),
)

FEES = (
    Fee(920, 20_000, 50_000, 100_000, 50_000),
    Fee(931, 20_000, 50_000, 10_000, 30_000),
)

_BOUNDS = Exchange(Leg(9, 2 * HUNDRED, 1_010_000), Leg(6, ONE, ONE))

SWAPS = (
    Swap(941, 1_000_000_000, 200_000_000, _BOUNDS, True),
    Swap(965, 1_000_000_000, 198_000_000, _BOUNDS, False),
)

LIMITS = (
    Limit(589, 1_000_000_000, 100_000_000, 9, 6, 10_000, True),
    Limit(617, 100_000_000, 1_000_000_000, 6, 9, 100_000_000, True),
)

REBASES = (
    Rebase(10, 10_000, 10_000, 0),
    Rebase(14, 20_000, 10_000, 0),
    Rebase(18, 60_078, 10_000, 0),
    Rebase(22, 60_078, 9_999, 0),
    Rebase(26, 60_078, 6_008, 0),
    Rebase(42, 60_078, 600, 1),
    Rebase(46, 60_078_000_000, 600_019_234, 1),
    Rebase(54, 60_078_000_000, 601_019_234, 0),
    Rebase(64, 800_000_078_000_000, 1, 13),
    Rebase(69, 99_999, 100, 1),
    Rebase(82, 100_001, 100, 2),
    Rebase(94, 12_412, 83_295_723_895_729_080, 0),
)

CANCELS = (
    Cancel(125, 100_000_000, 99_999_999, 1_000_000_000, 1_000_000_000, 2),
    Cancel(131, 100_000_000, 99_999_999, 1_100_000_000, 1_100_000_000, 2),
    Cancel(137, 100_000_000, 99_999_999, 1_000_000_000, 1_000_000_000, 2),
    Cancel(147, 100_000_000, 200_000_000, 1_000_000_000, 1_100_000_000, 0),
    Cancel(161, 100_000_000, 99_999_999, 2_000_000_000, 21_000_000_000, 90_909_092),
)

_LARGE = 1_000_000_000_000_000_000

BANKRUPTCIES = (
    Bankruptcy(17, (PerpPosition(base=1),), (), False),
    Bankruptcy(31, (PerpPosition(quote=1),), (), False),
    Bankruptcy(46, (), (SpotPosition(1),), False),
    Bankruptcy(60, (PerpPosition(quote=-1),), (), True),
    Bankruptcy(75, (), (SpotPosition(-1),), True),
    Bankruptcy(82, (), (), False),
    Bankruptcy(100, (PerpPosition(collateral=_LARGE, is_isolated=True),), (), False),
    Bankruptcy(106, (PerpPosition(base=_LARGE, is_isolated=True),), (), False),
    Bankruptcy(118, (PerpPosition(quote=_LARGE, is_isolated=True),), (), False),
    Bankruptcy(124, (PerpPosition(quote=-_LARGE, is_isolated=True),), (), False),
)

ISOLATED = (Isolated(127, PerpPosition(quote=-_LARGE, is_isolated=True), True),)
