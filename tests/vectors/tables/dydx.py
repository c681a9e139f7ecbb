"""What the dYdX tables share: markets as the venue states them.

Units: a quote quantum is 1e-6 USD; a base quantum is ``10^atomic_resolution`` coins; a price is
``price_raw x 10^price_exponent`` USD. So a base quantum is worth
``price_raw x 10^(price_exponent + atomic_resolution + 6)`` quote quantums.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from tests.vectors.venues.dydx import Market

__all__ = ["COMMIT", "REPOSITORY", "Position", "Venue", "btc", "eth"]

REPOSITORY = "dydxprotocol/v4-chain"
COMMIT = "84d4664bae71e3a077adaac67fb77ad19cd28d30"


class Venue(NamedTuple):
    """One market of the venue: price, resolution, base initial rate, maintenance as a share of it,
    open-interest caps.
    """

    price_raw: int
    price_exponent: int
    atomic_resolution: int
    initial_ppm: int = 0
    maintenance_share_ppm: int = 0
    open_quantums: int = 0
    lower_cap: int = 0
    upper_cap: int = 0

    @property
    def quantum_value(self) -> Fraction:
        """Worth of one base quantum, in quote quantums."""
        return self.price_raw * Fraction(10) ** (self.price_exponent + self.atomic_resolution + 6)

    def as_market(self) -> Market:
        """Return the market for the venue's own formulas, its initial rate not scaled."""
        return Market(self.quantum_value, self.initial_ppm, self.initial_ppm, self.maintenance_share_ppm)

    @property
    def maintenance_ppm(self) -> Fraction:
        """The maintenance rate as one number."""
        return Fraction(self.initial_ppm * self.maintenance_share_ppm, 1_000_000)


class Position(NamedTuple):
    """Signed base quantums in a market of the case."""

    market: int
    quantums: int


def btc(initial_ppm: int, maintenance_share_ppm: int) -> Venue:
    """Return BTC at 50,000 USD: 500 quote quantums a base quantum."""
    return Venue(5_000_000_000, -5, -8, initial_ppm, maintenance_share_ppm)


def eth(initial_ppm: int, maintenance_share_ppm: int) -> Venue:
    """Return ETH at 3,000 USD: 3 quote quantums a base quantum."""
    return Venue(3_000_000_000, -6, -9, initial_ppm, maintenance_share_ppm)
