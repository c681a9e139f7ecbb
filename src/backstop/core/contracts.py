"""What lots are worth: the formulas of every kind of contract, for kernels.

A position of ``lots`` has a signed **value** at a price; equity is balance plus value less cost. A
trade of signed ``lots`` moves **cash**: the holder receives minus the value of the lots that it
buys. Notional is the magnitude of value at mark. No other kernel multiplies lots by a price;
``core.contract_terms`` has the same formulas for plain Python.

Values of one position stay within 2^60 atoms by the bound that ``check_rules`` proves at load, so
no product here is checked.

A linear contract is worth ``lots x ticks x notional_factor``: whole atoms per lot and tick, so
nothing is rounded. Callers must not rely on that: they take the value of all the lots, never that
of one lot times their number (docs/decisions/0024-contracts-and-margin.md).
"""

from __future__ import annotations

from backstop.compiled import inlined
from backstop.core.contract_terms import VENUE_ASSET, ContractKind
from backstop.core.state import State
from backstop.core.units import div_ceil, div_floor

__all__ = [
    "capped_value",
    "cash_at_mark",
    "cash_of",
    "closing",
    "lots_reaching",
    "lots_within",
    "notional_at_mark",
    "settlement_asset",
    "slope_of",
    "ticks_for",
    "value_at_mark",
    "value_max",
    "value_of",
]


@inlined
def value_of(state: State, market: int, lots: int, ticks: int) -> int:
    """Return the signed value of ``lots`` at a price, in atoms."""
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        return lots * ticks * row.notional_factor
    raise ValueError("unknown kind of contract")


@inlined
def capped_value(state: State, market: int, lots: int, ticks: int, most: int) -> int:
    """Return the value of any number of ``lots`` (>= 0) at a price, at most ``most`` atoms.

    For sums over accounts, which no bound proves to fit.
    """
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        return most if lots > most // max(1, ticks * row.notional_factor) else value_of(state, market, lots, ticks)
    raise ValueError("unknown kind of contract")


@inlined
def value_at_mark(state: State, market: int, lots: int) -> int:
    """Return the signed value of ``lots`` at mark, in atoms."""
    return value_of(state, market, lots, state.markets[market].mark_ticks)


@inlined
def notional_at_mark(state: State, market: int, lots: int) -> int:
    """Return the notional of ``lots``, of either sign, at mark, in atoms."""
    return abs(value_at_mark(state, market, lots))


@inlined
def value_max(state: State, market: int, lots: int) -> int:
    """Return the largest magnitude that the value of ``lots`` can have at any price of a market."""
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        return abs(value_of(state, market, lots, row.price_ticks_max))
    raise ValueError("unknown kind of contract")


@inlined
def cash_of(state: State, market: int, lots: int, ticks: int) -> int:
    """Return the cash that a holder receives (paid: below 0) who trades signed ``lots`` at a price.

    A kind whose cash is not whole rounds it down here, against the taker.
    """
    return -value_of(state, market, lots, ticks)


@inlined
def cash_at_mark(state: State, market: int, lots: int) -> int:
    """Return the cash that a holder receives who trades signed ``lots`` at mark."""
    return cash_of(state, market, lots, state.markets[market].mark_ticks)


@inlined
def ticks_for(state: State, market: int, lots: int, cash: int) -> int:
    """Return the worst price at which trading signed ``lots`` still brings at least ``cash``.

    The lowest for a sale, rounded up; the highest for a purchase, rounded down. It may lie outside
    of the market's prices.
    """
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        per_tick = abs(lots) * row.notional_factor
        return div_ceil(cash, per_tick) if lots < 0 else div_floor(-cash, per_tick)
    raise ValueError("unknown kind of contract")


@inlined
def slope_of(state: State, market: int, lots: int) -> int:
    """Return the change of the value of ``lots`` per tick, in atoms, without sign."""
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        return abs(lots) * row.notional_factor
    raise ValueError("unknown kind of contract")


@inlined
def lots_within(state: State, market: int, notional: int) -> int:
    """Return the most lots whose notional at mark is at most ``notional``, of either sign."""
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        return div_floor(notional, row.mark_ticks * row.notional_factor)
    raise ValueError("unknown kind of contract")


@inlined
def lots_reaching(state: State, market: int, notional: int) -> int:
    """Return the least lots whose notional at mark is at least ``notional``."""
    row = state.markets[market]
    if row.contract == ContractKind.LINEAR:
        return div_ceil(notional, row.mark_ticks * row.notional_factor)
    raise ValueError("unknown kind of contract")


@inlined
def settlement_asset(state: State, market: int) -> int:
    """Return the number of the asset in which a market's gains and losses are paid."""
    return VENUE_ASSET


@inlined
def closing(held: int, lots: int) -> int:
    """Return the signed change that closes ``lots`` (> 0) of a position of ``held``."""
    return -lots if held > 0 else lots
