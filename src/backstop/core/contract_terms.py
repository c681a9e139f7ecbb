"""The contract of a market in plain Python: what lots are worth, for everything that is no kernel.

``core.contracts`` has the same formulas for kernels. No other module multiplies lots by a price.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["VENUE_ASSET", "Contract", "ContractKind", "Contracts", "LinearContract"]

#: Number of the asset in which the balances of ACCOUNT rows are.
VENUE_ASSET = 0


class ContractKind(IntEnum):
    """How lots and price make value."""

    LINEAR = 0


class Contract(Protocol):
    """The contract of one market in plain Python integers."""

    @property
    def kind(self) -> ContractKind:
        """Return the kind by which kernels know its formulas."""

    @property
    def notional_factor(self) -> int:
        """Return the number of the MARKET row that scales its value."""

    def value(self, lots: int, ticks: int) -> int:
        """Return the signed value of ``lots`` at a price, in atoms."""

    def exact_value(self, lots: int, ticks: Fraction) -> Fraction:
        """Return the signed value of ``lots`` at a price in parts of ticks, unrounded."""

    def lots_within(self, notional: int, ticks: int) -> int:
        """Return the most lots whose notional at a price is at most ``notional``."""

    def bound(self, lots: int, ticks_max: int) -> int:
        """Return the largest notional of ``lots`` at any price up to ``ticks_max``; it may exceed
        63 bits.
        """


class LinearContract(NamedTuple):
    """Worth in proportion to the price: a linear perpetual or future."""

    #: Atoms per tick and lot.
    notional_factor: int

    @property
    def kind(self) -> ContractKind:
        """Return LINEAR."""
        return ContractKind.LINEAR

    def value(self, lots: int, ticks: int) -> int:
        """Return the signed value of ``lots`` at a price, in atoms."""
        return lots * ticks * self.notional_factor

    def exact_value(self, lots: int, ticks: Fraction) -> Fraction:
        """Return the signed value of ``lots`` at a price in parts of ticks, unrounded."""
        return lots * ticks * self.notional_factor

    def lots_within(self, notional: int, ticks: int) -> int:
        """Return the most lots whose notional at a price is at most ``notional`` (>= 0)."""
        return notional // (ticks * self.notional_factor)

    def bound(self, lots: int, ticks_max: int) -> int:
        """Return the largest notional of ``lots`` at any price up to ``ticks_max``; it may exceed
        63 bits.
        """
        return abs(lots) * ticks_max * self.notional_factor


class Contracts:
    """The contracts of all markets, for columns of numbers."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        """Take one contract per market, in order of market id."""
        self._contracts = tuple(contracts)
        self._factor = np.array([contract.notional_factor for contract in contracts], dtype=np.int64)

    def __getitem__(self, market: int) -> Contract:
        """Return the contract of one market."""
        return self._contracts[market]

    def values(self, market: NDArray[Any], lots: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the signed value of each row's ``lots`` at its price in its market, in atoms."""
        values: NDArray[np.int64] = lots * ticks * self._factor[market]
        return values

    def ticks_of(self, market: NDArray[Any], lots: NDArray[np.int64], cash: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the price at which each row's ``lots`` bring its cash, rounded down.

        Signs of both are ignored.
        """
        per_tick = np.abs(lots) * self._factor[market]
        ticks: NDArray[np.int64] = np.abs(cash) // np.maximum(per_tick, 1)
        return ticks

    def lots_worth(self, market: NDArray[Any], notional: NDArray[np.float64], ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how many lots have a notional at a price: a float, from which sizes are drawn."""
        lots: NDArray[np.float64] = notional / (ticks.astype(np.float64) * self._factor[market])
        return lots
