"""dYdX v4: the cash of a deleveraging at the bankruptcy price, for a part of one position of a
whole account.

Source: dydxprotocol/v4-chain, protocol/x/clob/keeper/liquidations_test.go, commit in
``dydx.COMMIT``; the number of a case is the line of its test there.

Formula: closing ``delta`` gives ``-(change of signed notional) - floor(equity x |change of the
position's maintenance| / maintenance)``, positive when selling. ``delta`` must be non-zero, against
the position and within it; otherwise an error (here ``cash`` is None).

Markets: BTC 50,000 USD and ETH 3,000 USD, both 20 % initial and 10 % maintenance.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.vectors.tables.dydx import Position, btc, eth

__all__ = ["CASES", "MARKETS", "Closing"]

MARKETS = (btc(200_000, 500_000), eth(200_000, 500_000))
BTC, ETH = 0, 1


class Closing(NamedTuple):
    """One case: quote balance and positions of the account, what is closed, the cash it gives."""

    line: int
    quote: int
    positions: tuple[Position, ...]
    market: int
    delta: int
    cash: int | None


CASES = (
    # The whole of a position; equity 499, 0 and 100 short of it.
    Closing(2510, 5_499_000_000, (Position(BTC, -10_000_000),), BTC, 10_000_000, -5_499_000_000),
    Closing(2530, -5_000_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 5_000_000_000),
    Closing(2610, -5_100_000_000, (Position(BTC, 10_000_000),), BTC, -10_000_000, 5_100_000_000),
    # Half of it.
    Closing(2550, -5_000_000_000, (Position(BTC, 10_000_000),), BTC, -5_000_000, 2_500_000_000),
    Closing(2570, 5_000_000_000, (Position(BTC, -10_000_000),), BTC, 5_000_000, -2_500_000_000),
    # One position of two: its share of the equity, by maintenance.
    Closing(2672, 510_000_000, (Position(BTC, -400_000), Position(ETH, -100_000_000)), ETH, 100_000_000, -306_000_000),
    # Odd parts: the rounding goes for the account (2775.11 and -2775.11, both up).
    Closing(2716, -13_000_000, (Position(BTC, 100_000_000),), BTC, -21_347, 2_776),
    Closing(2737, 13_000_000, (Position(BTC, -100_000_000),), BTC, 21_347, -2_775),
    # So much equity that the account could pay to be rid of the position.
    Closing(2758, 1_000_000, (Position(BTC, 100_000_000),), BTC, -100_000_000, -1_000_000),
    # No position; the same side; more than there is.
    Closing(2797, -4_501_000_000, (), BTC, -10_000_000, None),
    Closing(2811, -4_501_000_000, (Position(BTC, 100_000_000),), BTC, 10_000_000, None),
    Closing(2827, -4_501_000_000, (Position(BTC, 100_000_000),), BTC, -100_000_001, None),
)
