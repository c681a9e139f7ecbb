"""dYdX v4: notional, initial and maintenance margin, open-interest scaling, net collateral of an
account.

Sources: dydxprotocol/v4-chain, commit in ``dydx.COMMIT``; the number of a case is the line of its
test in the file named beside each table. The source's cases about funding (14: clamp and settlement
by index) are not here: the engine takes funding payments as transfers, and an index is not built
yet.

Formulas: notional is truncated toward zero. Initial margin is ``ceil(notional x rate)``, the rate
scaled by open interest (``tests.vectors.venues.dydx``). Maintenance is
``ceil(ceil(notional x base rate) x share)``, never scaled. Net collateral is the quote balance and
the signed notionals.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.vectors.tables.dydx import Position, Venue, btc, eth

__all__ = [
    "ACCOUNTS",
    "INITIAL_RATES",
    "INITIAL_REQUIREMENTS",
    "MAINTENANCE_RATES",
    "NOTIONALS",
    "NOT_EXPRESSIBLE",
    "REQUIREMENTS",
    "SIZES",
    "Account",
    "InitialRate",
    "InitialRequirement",
    "MaintenanceRate",
    "Notional",
    "Requirement",
    "Scale",
    "Size",
]

UINT64_MAX = (1 << 64) - 1


class Scale(NamedTuple):
    """A mapping to lots, ticks and atoms chosen by hand, where the plain one does not fit in 63
    bits.

    A lot is ``lot_quantums`` base quantums, a tick ``tick_raw`` of the raw price, and a lot moves
    ``factor`` atoms a tick. An atom is then worth more than a quote quantum.
    """

    lot_quantums: int
    tick_raw: int
    factor: int


#: For amounts near 2^128. 2^64 - 1 = (2^32 - 1) x (2^32 + 1), and 2^32 + 1 = 641 x 6700417: whole
#: lots and whole ticks exist, and the factor 10,000 makes a margin of 100 ppm a whole number of
#: atoms.
WIDE = Scale((1 << 32) + 1, UINT64_MAX // 641, 10_000)


class Requirement(NamedTuple):
    """A position and both its margins."""

    line: int
    market: Venue
    quantums: int
    initial: int
    maintenance: int
    scale: Scale | None = None


class Notional(NamedTuple):
    """A position and its signed notional."""

    line: int
    market: Venue
    quantums: int
    notional: int
    scale: Scale | None = None


class Size(NamedTuple):
    """A signed notional and the position that has it."""

    line: int
    market: Venue
    notional: int
    quantums: int


class InitialRequirement(NamedTuple):
    """A notional of 500,000 or 1, the notional of open interest, the base rate, the caps, the
    initial margin.
    """

    line: int
    notional: int
    open_notional: int
    initial_ppm: int
    lower_cap: int
    upper_cap: int
    initial: int


class InitialRate(NamedTuple):
    """The notional of open interest, the base rate, the caps, the scaled rate."""

    line: int
    open_notional: int
    initial_ppm: int
    lower_cap: int
    upper_cap: int
    rate_ppm: int


class MaintenanceRate(NamedTuple):
    """The initial rate, the share of it that is maintenance, the maintenance rate."""

    line: int
    initial_ppm: int
    share_ppm: int
    rate_ppm: int


class Account(NamedTuple):
    """A quote balance and positions, quote and position updates, then net collateral and, where
    given, both margins.

    ``settlement`` is the funding that the case has accrued, in quote quantums, posted as a
    transfer.
    """

    line: int
    markets: tuple[Venue, ...]
    quote: int
    positions: tuple[Position, ...]
    quote_updates: tuple[int, ...]
    updates: tuple[Position, ...]
    collateral: int
    initial: int | None = None
    maintenance: int | None = None
    settlement: int = 0


_TRILLION = 1_000_000_000_000


def _giant(lower_cap: int = 0, upper_cap: int = 0) -> Venue:
    return Venue(123_456_789_123, -5, 4, 200_000, 500_000, _TRILLION, lower_cap, upper_cap)


def _open(open_quantums: int, lower_cap: int, upper_cap: int) -> Venue:
    return Venue(367_500, -1, -6, 200_000, 500_000, open_quantums, lower_cap, upper_cap)


# protocol/x/perpetuals/lib/lib_test.go
REQUIREMENTS = (
    Requirement(347, _giant(), 0, 0, 0),
    Requirement(355, _giant(), 1, 2_469_135_782_460_000, 1_234_567_891_230_000),
    Requirement(363, _giant(_TRILLION, 2 * _TRILLION), 1, 12_345_678_912_300_000, 1_234_567_891_230_000),
    Requirement(376, _giant(), -1, 2_469_135_782_460_000, 1_234_567_891_230_000),
    Requirement(384, _giant(_TRILLION, 2 * _TRILLION), -1, 12_345_678_912_300_000, 1_234_567_891_230_000),
    Requirement(429, Venue(55_550, -1, -4, 10_000, 500_000), 7_000, 38_885_000, 19_442_500),
    Requirement(439, Venue(42_000_000, -2, -6, 10_000, 500_000), -5_000, 21_000_000, 10_500_000),
    Requirement(449, Venue(55_550, -1, -6, 1_000_000, 1_000_000), 7_000, 38_885_000, 38_885_000),
    Requirement(459, Venue(55_550, -1, -6, 10_000, 1_000_000), 7_000, 388_850, 388_850),
    Requirement(469, Venue(55_550, -1, -6, 0, 1_000_000), 7_000, 0, 0),
    Requirement(479, Venue(0, -1, -6, 100, 1_000_000), -7_000, 0, 0),
    Requirement(
        489,
        Venue(UINT64_MAX, -1, -6, 100, 1_000_000),
        UINT64_MAX,
        3_402_823_669_209_384_634_264_811_192_843_492,
        3_402_823_669_209_384_634_264_811_192_843_492,
        WIDE,
    ),
    Requirement(503, Venue(55_550, -1, -6, 10_000, 500_000), 7_000, 388_850, 194_425),
    Requirement(515, Venue(367_500, -1, -6, 200_000, 500_000), 12_000, 88_200_000, 44_100_000),
    Requirement(528, Venue(1_234_560, -1, -6, 50_000, 600_000), 74_523, 460_015_575, 276_009_345),
    Requirement(541, Venue(1_234_560, -1, -6, 250_000, 600_000), 74_523, 2_300_077_872, 1_380_046_724),
    Requirement(552, _open(408_163_265, 10 * _TRILLION, 20 * _TRILLION), 12_000, 264_599_559, 44_100_000),
    Requirement(569, _open(1_000_000_000, 10 * _TRILLION, 20 * _TRILLION), 12_000, 441_000_000, 44_100_000),
    Requirement(585, _open(1_123_456_789, 25 * _TRILLION, 50 * _TRILLION), 12_000, 318_042_585, 44_100_000),
)

#: Lines of REQUIREMENTS that this engine has no words for, and why.
NOT_EXPRESSIBLE = {
    449: "maintenance of 100 % of notional: a venue file is refused where maintenance must be at most 0.999 of the notional",
    479: "a price of 0: a mark is at least one tick",
}

# protocol/x/perpetuals/lib/lib_test.go (272, 278), protocol/x/perpetuals/keeper/perpetual_test.go
NOTIONALS = (
    Notional(272, Venue(123_456_789_123, -5, -16), _TRILLION, 123_456_789),
    Notional(278, Venue(123_456_789_123, -5, -16), -_TRILLION, -123_456_789),
    Notional(767, Venue(5_555, -2, -6), 7_000, 388_850),
    Notional(781, Venue(5_555, -2, -4), 7_000, 38_885_000),
    Notional(788, Venue(5_555, -2, 0), 7_000, 388_850_000_000),
    Notional(795, Venue(UINT64_MAX, -1, -4), UINT64_MAX, 3_402_823_669_209_384_634_264_811_192_843_491_082_250, WIDE),
    Notional(1056, Venue(5_555, -2, -6), -7_000, -388_850),
    Notional(1063, Venue(UINT64_MAX, -1, -6), UINT64_MAX, 34_028_236_692_093_846_342_648_111_928_434_910_822, WIDE),
)

# protocol/x/perpetuals/keeper/perpetual_test.go
SIZES = (
    Size(912, Venue(5_555, -2, -6), 388_850, 7_000),
    Size(919, Venue(5_555, -2, -6), -388_850, -7_000),
    Size(933, Venue(5_555, -2, 0), 388_850_000_000, 7_000),
)

# protocol/x/perpetuals/types/liquidity_tier_test.go
INITIAL_REQUIREMENTS = (
    InitialRequirement(253, 500_000, 0, 200_000, 0, 0, 100_000),
    InitialRequirement(269, 1, 0, 100_000, 0, 0, 1),
    InitialRequirement(285, 500_000, 1_500_000_000_000, 200_000, 0, 0, 100_000),
    InitialRequirement(296, 500_000, 1_500_000_000_000, 200_000, _TRILLION, 2 * _TRILLION, 300_000),
    InitialRequirement(308, 500_000, 80_000_000_000_000, 200_000, 25 * _TRILLION, 50 * _TRILLION, 500_000),
    InitialRequirement(320, 500_000, 25_000_000_000_000, 200_000, 25 * _TRILLION, 50 * _TRILLION, 100_000),
    InitialRequirement(332, 500_000, 28_123_456_789_123, 200_000, 25 * _TRILLION, 60 * _TRILLION, 135_697),
)

INITIAL_RATES = (
    InitialRate(379, 0, 200_000, 1_000_000, 2_000_000, 200_000),
    InitialRate(393, 1_234_567, 200_000, 1_000_000, 2_000_000, 387_653),
    InitialRate(403, 1_000_000, 200_000, 1_000_000, 2_000_000, 200_000),
    InitialRate(410, 2_000_000, 200_000, 1_000_000, 2_000_000, 1_000_000),
    InitialRate(417, 2_500_000, 200_000, 1_000_000, 2_000_000, 1_000_000),
    InitialRate(424, 1_500_000, 200_000, 0, 0, 200_000),
)

MAINTENANCE_RATES = (
    MaintenanceRate(91, 150_000, 800_000, 120_000),
    MaintenanceRate(97, 450_000, 770_000, 346_500),
    MaintenanceRate(115, 0, 1_000_000, 0),
    MaintenanceRate(121, 0, 0, 0),
    MaintenanceRate(127, 1_000_000, 0, 0),
)

_FREE = (btc(0, 0),)
_BOTH = (btc(500_000, 800_000), eth(200_000, 500_000))
_ONE_BTC = Position(0, 100_000_000)

# protocol/x/subaccounts/keeper/subaccount_test.go
ACCOUNTS = (
    Account(5624, (), -123_456, (), (), (), -123_456),
    Account(5628, (), -123_456, (), (123_456,), (), 0),
    # Short 1 BTC with a funding index of 62,500 behind the market's 0: 6.25 USD are owed.
    Account(5658, _FREE, -10_000_000_001, (Position(0, -100_000_000),), (), (), -60_006_250_001, settlement=-6_250_000),
    Account(5712, _FREE, 10_000_000_001, (), (), (_ONE_BTC,), 60_000_000_001),
    Account(5725, _FREE, 10_000_000_001, (_ONE_BTC,), (), (_ONE_BTC,), 110_000_000_001),
    Account(5797, _FREE, 100_000_000_000, (), (1_000_000, 1_000_000), (), 100_002_000_000, 0, 0),
    Account(
        5818,
        _BOTH,
        0,
        (),
        (1_000_000,),
        (Position(0, -100_000_000), Position(0, -100_000_000), Position(1, 250_000_000)),
        -99_249_000_000,
        50_150_000_000,
        40_075_000_000,
    ),
    Account(
        5867,
        _BOTH,
        1_000_000,
        (_ONE_BTC, Position(1, 500_000_000)),
        (),
        (Position(0, -200_000_000), Position(1, 250_000_000)),
        -47_749_000_000,
        25_450_000_000,
        20_225_000_000,
    ),
    Account(5900, _FREE, 0, (_ONE_BTC,), (), (), 50_000_000_000),
)
