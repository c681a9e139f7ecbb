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

__all__ = ["FIRST_ASSET", "Contract", "ContractKind", "Contracts", "InverseContract", "LinearContract", "contract_of", "contracts_of"]

#: Number of the venue's first asset, the only one of most venues.
FIRST_ASSET = 0


#: No price has more ticks; an average beyond it is told as this.
_TICKS_MAX = 1 << 62


class ContractKind(IntEnum):
    """How lots and price make value."""

    LINEAR = 0
    INVERSE = 1


class Contract(Protocol):
    """The contract of one market in plain Python integers."""

    @property
    def kind(self) -> ContractKind:
        """Return the kind by which kernels know its formulas."""

    @property
    def notional_factor(self) -> int:
        """Return the number of the MARKET row that scales its value."""

    def value(self, lots: int, ticks: int) -> int:
        """Return the signed value of ``lots`` at a price, in atoms, rounded down."""

    def cash(self, lots: int, ticks: int) -> int:
        """Return the cash that a holder receives (paid: below 0) who trades signed ``lots`` at a
        price, rounded down.
        """

    def notional(self, lots: int, ticks: int) -> int:
        """Return the magnitude of the value of ``lots`` of either sign, rounded up."""

    def exact_value(self, lots: int, ticks: Fraction) -> Fraction:
        """Return the signed value of ``lots`` at a price in parts of ticks, unrounded."""

    def beyond_mark(self, lots: int, ticks: int, cash: int) -> int:
        """Return by how much the cash of a trade of signed ``lots`` is beyond that at a price, toward
        zero: a rounding is nothing.
        """

    def lots_within(self, notional: int, ticks: int) -> int:
        """Return the most lots whose notional at a price is at most ``notional``."""

    def ticks_of(self, lots: int, cash: int) -> int:
        """Return the price at which ``lots`` bring ``cash``, rounded down. Signs of both are ignored."""

    def bound(self, lots: int, ticks_min: int, ticks_max: int) -> int:
        """Return the largest notional of ``lots`` at any price from ``ticks_min`` to ``ticks_max``; it
        may exceed 63 bits.
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

    def cash(self, lots: int, ticks: int) -> int:
        """Return the cash that a holder receives (paid: below 0) who trades signed ``lots`` at a
        price.
        """
        return -self.value(lots, ticks)

    def notional(self, lots: int, ticks: int) -> int:
        """Return the magnitude of the value of ``lots`` of either sign."""
        return abs(self.value(lots, ticks))

    def exact_value(self, lots: int, ticks: Fraction) -> Fraction:
        """Return the signed value of ``lots`` at a price in parts of ticks, unrounded."""
        return lots * ticks * self.notional_factor

    def beyond_mark(self, lots: int, ticks: int, cash: int) -> int:
        """Return by how much the cash of a trade of signed ``lots`` is beyond that at a price."""
        return cash + self.value(lots, ticks)

    def lots_within(self, notional: int, ticks: int) -> int:
        """Return the most lots whose notional at a price is at most ``notional`` (>= 0)."""
        return notional // (ticks * self.notional_factor)

    def ticks_of(self, lots: int, cash: int) -> int:
        """Return the price at which ``lots`` bring ``cash``, rounded down. Signs of both are ignored."""
        return abs(cash) // max(1, abs(lots) * self.notional_factor)

    def bound(self, lots: int, ticks_min: int, ticks_max: int) -> int:
        """Return the largest notional of ``lots`` at any price from ``ticks_min`` to ``ticks_max``; it
        may exceed 63 bits.
        """
        return abs(lots) * ticks_max * self.notional_factor


class InverseContract(NamedTuple):
    """Quoted in one currency, settled in the base: worth minus so much of the base as it buys of the
    quote. Linear in 1 / price.
    """

    #: Atoms x ticks of one lot: what it is worth at a price of one tick.
    notional_factor: int

    @property
    def kind(self) -> ContractKind:
        """Return INVERSE."""
        return ContractKind.INVERSE

    def value(self, lots: int, ticks: int) -> int:
        """Return the signed value of ``lots`` at a price, in atoms, rounded down."""
        return -lots * self.notional_factor // ticks

    def cash(self, lots: int, ticks: int) -> int:
        """Return the cash that a holder receives (paid: below 0) who trades signed ``lots`` at a
        price, rounded down.
        """
        return lots * self.notional_factor // ticks

    def notional(self, lots: int, ticks: int) -> int:
        """Return the magnitude of the value of ``lots`` of either sign, rounded up."""
        return -(-abs(lots) * self.notional_factor // ticks)

    def exact_value(self, lots: int, ticks: Fraction) -> Fraction:
        """Return the signed value of ``lots`` at a price in parts of ticks, unrounded."""
        return -lots * self.notional_factor / ticks

    def beyond_mark(self, lots: int, ticks: int, cash: int) -> int:
        """Return by how much the cash of a trade of signed ``lots`` is beyond that at a price, toward
        zero: a rounding is nothing.
        """
        off = cash * ticks - lots * self.notional_factor
        return off // ticks if off >= 0 else -(-off // ticks)

    def lots_within(self, notional: int, ticks: int) -> int:
        """Return the most lots whose notional at a price is at most ``notional`` (>= 0)."""
        return notional * ticks // self.notional_factor

    def ticks_of(self, lots: int, cash: int) -> int:
        """Return the price at which ``lots`` bring ``cash``, rounded down; 0 where they bring none. Signs
        of both are ignored.
        """
        return min(abs(lots) * self.notional_factor // abs(cash), _TICKS_MAX) if cash else 0

    def bound(self, lots: int, ticks_min: int, ticks_max: int) -> int:
        """Return the largest notional of ``lots`` at any price from ``ticks_min`` to ``ticks_max``; it
        may exceed 63 bits.
        """
        return self.notional(lots, ticks_min)


def contract_of(kind: int, notional_factor: int) -> Contract:
    """Return the formulas of a contract by its kind and the number that scales its value."""
    if kind == ContractKind.LINEAR:
        return LinearContract(notional_factor)
    if kind == ContractKind.INVERSE:
        return InverseContract(notional_factor)
    raise ValueError(f"unknown kind of contract: {kind}")


def contracts_of(markets: NDArray[Any]) -> Contracts:
    """Return the contracts of MARKET rows."""
    return Contracts([contract_of(int(row["contract_kind"]), int(row["notional_factor"])) for row in markets])


class Contracts:
    """The contracts of all markets, for columns of numbers."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        """Take one contract per market, in order of market id."""
        self._contracts = tuple(contracts)
        self._factor = np.array([contract.notional_factor for contract in contracts], dtype=np.int64)
        self._is_inverse = np.array([contract.kind == ContractKind.INVERSE for contract in contracts], dtype=np.bool_)

    def __getitem__(self, market: int) -> Contract:
        """Return the contract of one market."""
        return self._contracts[market]

    def values(self, market: NDArray[Any], lots: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the signed value of each row's ``lots`` at its price in its market, in atoms."""
        values: NDArray[np.int64] = lots * ticks * self._factor[market]
        for row in self._others(market):
            # A price of 0 is none yet: nothing has a value there.
            values[row] = self._contracts[market[row]].value(int(lots[row]), int(ticks[row])) if ticks[row] else 0
        return values

    def beyond_mark(
        self, market: NDArray[Any], lots: NDArray[np.int64], ticks: NDArray[np.int64], cash: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return by how much the cash of each row's trade is beyond that at a price, toward zero."""
        beyond: NDArray[np.int64] = cash + lots * ticks * self._factor[market]
        for row in self._others(market):
            beyond[row] = self._contracts[market[row]].beyond_mark(int(lots[row]), int(ticks[row]), int(cash[row]))
        return beyond

    def notionals(self, market: NDArray[Any], lots: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the notional of each row's ``lots`` at its price in its market, in atoms."""
        # Rounded down, the value of a long of an inverse contract is rounded up without its sign.
        return np.abs(self.values(market, np.abs(lots), ticks))

    def ticks_of(self, market: NDArray[Any], lots: NDArray[np.int64], cash: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the price at which each row's ``lots`` bring its cash, rounded down.

        Signs of both are ignored.
        """
        per_tick = np.abs(lots) * self._factor[market]
        ticks: NDArray[np.int64] = np.abs(cash) // np.maximum(per_tick, 1)
        for row in self._others(market):
            ticks[row] = self._contracts[market[row]].ticks_of(int(lots[row]), int(cash[row]))
        return ticks

    def lots_worth(self, market: NDArray[Any], notional: NDArray[np.float64], ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how many lots have a notional at a price: a float, from which sizes are drawn."""
        price = ticks.astype(np.float64)
        lots: NDArray[np.float64] = notional / (price * self._factor[market])
        if self._is_inverse.any():
            return np.where(self._is_inverse[market], notional * price / self._factor[market], lots)
        return lots

    def _others(self, market: NDArray[Any]) -> NDArray[np.int64]:
        """Return the rows of contracts that are not linear: their products need more than 63 bits."""
        return np.flatnonzero(self._is_inverse[market]) if self._is_inverse.any() else np.zeros(0, dtype=np.int64)
