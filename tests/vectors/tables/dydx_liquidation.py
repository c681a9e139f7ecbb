"""dYdX v4: fillable price, insurance delta, and what one block may liquidate.

Sources: dydxprotocol/v4-chain, commit in ``dydx.COMMIT``; the number of a case is the line of its
test in protocol/x/clob/keeper/liquidations_test.go, but for SUFFICIENCY (deleveraging_test.go) and
QUOTES (x/clob/types/quantums_test.go). Formulas: ``tests.vectors.venues.dydx``.

Markets: BTC 50,000 USD and ETH 3,000 USD, both 20 % initial and 10 % maintenance. Amounts in quote
quantums, sizes in base quantums, rates in ppm.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from tests.vectors.tables.dydx import Position, btc, eth

__all__ = [
    "BLOCK_LIMITS",
    "DELTAS",
    "EXPONENT",
    "FILLABLE",
    "MARKETS",
    "ORDERS",
    "POSITION_LIMITS",
    "QUOTES",
    "SUBTICKS",
    "SUFFICIENCY",
    "UINT64_MAX",
    "BlockLimit",
    "Delta",
    "Fillable",
    "OrderSize",
    "PositionLimit",
    "Quote",
    "Subticks",
    "Sufficiency",
]

UINT64_MAX = (1 << 64) - 1
MARKETS = (btc(200_000, 500_000), eth(200_000, 500_000))
BTC, ETH = 0, 1
#: Of subticks to quote quantums a base quantum, in DELTAS.
EXPONENT = -8


class Fillable(NamedTuple):
    """An account, what is closed, the bankruptcy adjustment and the spread, and the price; None for
    an invalid delta.
    """

    line: int
    quote: int
    positions: tuple[Position, ...]
    market: int
    delta: int
    adjustment_ppm: int
    spread_ppm: int
    price: Fraction | None


class Subticks(NamedTuple):
    """A price as a limit of the book; a long is sold, a short is bought."""

    line: int
    price: int
    is_long: bool
    exponent: int
    subticks_per_tick: int
    subticks: int


class Delta(NamedTuple):
    """An account with a position in BTC, the fill that closes it, the highest fee, and what the
    fund gets.
    """

    line: int
    quote: int
    quantums: int
    fill: int
    subticks: int
    fee_ppm: int
    delta: int


class Sufficiency(NamedTuple):
    """The fund's balance, the insurance delta, and whether the one bears the other."""

    line: int
    balance: int
    delta: int
    answer: bool


class Quote(NamedTuple):
    """The quote of a fill."""

    line: int
    quantums: int
    subticks: int
    exponent: int
    quote: int


class PositionLimit(NamedTuple):
    """A position in BTC, the two settings, the least and the most notional."""

    line: int
    quantums: int
    notional_min: int
    portion_ppm: int
    least: int
    most: int


class BlockLimit(NamedTuple):
    """The maxima of a block, what it liquidated already and where, what is left; None for an
    error.
    """

    line: int
    notional_max: int
    insurance_max: int
    touched_market: int
    market: int
    notional: int
    insurance: int
    notional_left: int | None
    insurance_left: int | None


class OrderSize(NamedTuple):
    """A position in BTC, the step of its book, the settings, and what one order closes."""

    line: int
    quantums: int
    step: int
    notional_min: int
    portion_ppm: int
    notional_max: int
    delta: int


FILLABLE = (
    Fillable(2951, -4_501_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 1_000_000, 100_000, Fraction(49_999, 100)),
    Fillable(2971, -4_501_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 2_000_000, 100_000, Fraction(24_999, 50)),
    Fillable(2999, -4_501_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 1_000_000, 200_000, Fraction(24_999, 50)),
    Fillable(3048, 5_499_000_000, (Position(BTC, -10_000_000),), BTC, 10_000_000, 2_000_000, 100_000, Fraction(25_001, 50)),
    Fillable(3107, -5_000_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 1_000_000, 100_000, Fraction(495)),
    Fillable(3126, -5_000_000_000, (Position(BTC, 10_000_000),), BTC, -5_000_000, 1_000_000, 100_000, Fraction(495)),
    Fillable(3148, 5_000_000_000, (Position(BTC, -10_000_000),), BTC, 10_000_000, 1_000_000, 100_000, Fraction(505)),
    Fillable(3167, -5_500_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 1_000_000, 100_000, Fraction(495)),
    Fillable(
        3205, -490_000_000, (Position(BTC, 400_000), Position(ETH, 100_000_000)), ETH, -100_000_000, 1_000_000, 100_000, Fraction(372, 125)
    ),
    Fillable(3282, -4_501_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 1_000_000, 1_000_000, Fraction(4999, 10)),
    Fillable(3311, -4_501_000_000, (Position(BTC, 100_000_000),), BTC, 0, 1_000_000, 100_000, None),
    Fillable(3327, -4_501_000_000, (), BTC, -10_000_000, 1_000_000, 100_000, None),
    Fillable(3341, -4_501_000_000, (Position(BTC, 100_000_000),), BTC, 10_000_000, 1_000_000, 100_000, None),
    Fillable(3357, -4_501_000_000, (Position(BTC, 100_000_000),), BTC, -100_000_001, 1_000_000, 100_000, None),
)

SUBTICKS = (
    Subticks(3929, 5_000_000_000, True, -8, 5, 500_000_000_000_000_000),
    Subticks(3939, 5_000_000_000, False, -8, 5, 500_000_000_000_000_000),
    Subticks(3975, 7, True, 1, 100, 100),
    Subticks(3989, 0, True, 1, 100, 100),
)

DELTAS = (
    Delta(3462, -5_100_000_000, 10_000_000, -10_000_000, 56_100_000_000, 5000, 28_050_000),
    Delta(3485, -5_100_000_000, 10_000_000, -10_000_000, 56_100_000_000, 25_000, 140_250_000),
    Delta(3515, -5_100_000_000, 10_000_000, -10_000_000, 56_100_000_000, 1_000_000, 510_000_000),
    Delta(3545, 4_900_000_000, -10_000_000, 10_000_000, 44_100_000_000, 5000, 22_050_000),
    Delta(3568, 4_900_000_000, -10_000_000, 10_000_000, 44_100_000_000, 25_000, 110_250_000),
    Delta(3598, 4_900_000_000, -10_000_000, 10_000_000, 44_100_000_000, 1_000_000, 490_000_000),
    Delta(3628, -5_100_000_000, 10_000_000, -10_000_000, 51_051_000_000, 5000, 5_100_000),
    Delta(3652, 4_900_000_000, -10_000_000, 10_000_000, 48_951_000_000, 5000, 4_900_000),
    Delta(3676, -5_100_000_000, 10_000_000, -10_000_000, 51_000_000_000, 5000, 0),
    Delta(3699, 4_900_000_000, -10_000_000, 10_000_000, 49_000_000_000, 5000, 0),
    Delta(3745, 4_900_000_000, -10_000_000, 10_000_000, 49_490_000_000, 5000, -49_000_000),
    Delta(3786, 4_900_000_000, -10_000_000, 10_000_000, 1, 5000, 0),
)

SUFFICIENCY = (
    Sufficiency(39, 9_998_000_000, 0, True),
    Sufficiency(57, 0, 1_000_000, True),
    Sufficiency(81, 0, -1, False),
)

QUOTES = (
    Quote(22, 1, 1, 1, 10),
    Quote(28, 1000, 5_000_000, -4, 500_000),
    Quote(34, 5_000_000, 1, 0, 5_000_000),
    Quote(40, 9, 1, -1, 0),
)

#: The least and the most notional of one position.
POSITION_LIMITS = (
    PositionLimit(5074, 100_000_000, 100, 1_000_000, 100, 50_000_000_000),
    PositionLimit(5112, 10_000, 10_000_000, 1_000_000, 5_000_000, 5_000_000),
)

BLOCK_LIMITS = (
    BlockLimit(4908, 150, 150, 1, 0, 100, 100, 50, 50),
    BlockLimit(4925, UINT64_MAX, UINT64_MAX, 0, 0, 100, 100, None, None),
    BlockLimit(4933, 50, 150, 1, 0, 100, 100, None, 50),
)

ORDERS = (
    OrderSize(4071, 10_000_000, 5, 1, 1_000_000, UINT64_MAX, -10_000_000),
    OrderSize(4089, 10_000_000, 5, 10_000_000_000, 1_000_000, UINT64_MAX, -10_000_000),
    OrderSize(4113, 10_000_000, 5, 1000, 500_000, UINT64_MAX, -5_000_000),
    OrderSize(4137, 5, 10, 1, 100_000, UINT64_MAX, -5),
    OrderSize(4167, 140, 5, 1, 100_000, UINT64_MAX, -10),
    OrderSize(4198, 20, 5, 1, 100_000, UINT64_MAX, -5),
    OrderSize(4230, 10_000_000, 5, 1, 1_000_000, 10_000_000_000, -10_000_000),
    OrderSize(4254, 10_000_000, 5, 1, 1_000_000, 2_500_000_000, -5_000_000),
    OrderSize(4278, 10_000_000, 5, 1000, 500_000, 2_000_000_000, -4_000_000),
    OrderSize(4334, 21, 3, 1000, 500_000, UINT64_MAX, -9),
    OrderSize(4402, -10_000_000, 5, 10_000_000_000, 1_000_000, UINT64_MAX, 10_000_000),
    OrderSize(4427, -10_000_000, 5, 1000, 500_000, UINT64_MAX, 5_000_000),
    OrderSize(4451, -10_000_000, 5, 1, 1_000_000, 10_000_000_000, 10_000_000),
    OrderSize(4475, -10_000_000, 5, 1, 1_000_000, 2_500_000_000, 5_000_000),
)
