"""What lots are worth: the formulas of every kind of contract, for kernels.

A position of ``lots`` has a signed **value** at a price; equity is balance plus value less cost. A
trade of signed ``lots`` moves **cash**: the holder receives minus the value of the lots that it
buys. Notional is the magnitude of value at mark. No other kernel multiplies lots by a price;
``core.contract_terms`` has the same formulas for plain Python.

Values of one position stay within 2^60 atoms by the bound that ``check_rules`` proves at load, so
no product here is checked.

A linear contract is worth ``lots x ticks x notional_factor``: whole atoms per lot and tick, so
nothing is rounded. An inverse one is worth ``-(lots x notional_factor / ticks)``. Value and cash
are rounded down, notional up, once for all the lots (R1.1). So the value of some lots and that of
the rest need not sum to that of all: what closing lots of a position brings at mark is
``closing_cash``, the value before less the value after.
(docs/decisions/0069-inverse-perpetuals.md)
"""

from __future__ import annotations

from backstop.compiled import inlined
from backstop.core.contract_terms import ContractKind
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products, div_ceil, div_floor, mul_div_ceil, mul_div_floor

__all__ = [
    "capped_value",
    "cash_at_mark",
    "cash_of",
    "closing",
    "closing_cash",
    "exposure_at_mark",
    "is_inverse",
    "lots_reaching",
    "lots_within",
    "notional_at_mark",
    "notional_of",
    "offset_cost",
    "settlement_asset",
    "slope_of",
    "ticks_for",
    "value_at_mark",
    "value_max",
    "value_of",
    "worth_at_mark",
]

_PPM = 1_000_000
#: No number of lots is larger.
_LOTS_MAX = 1 << 62


@inlined
def is_inverse(state: State, market: int) -> bool:
    """Return whether a market's contracts are inverse: their values are rounded."""
    return int(state.markets[market].contract_kind) == ContractKind.INVERSE


@inlined
def value_of(state: State, market: int, lots: int, ticks: int) -> int:
    """Return the signed value of ``lots`` at a price, in atoms, rounded down."""
    row = state.markets[market]
    if row.contract_kind == ContractKind.LINEAR:
        return lots * ticks * row.notional_factor
    if row.contract_kind == ContractKind.INVERSE:
        return mul_div_floor(-lots, row.notional_factor, ticks) if ticks > 0 else 0
    raise ValueError("unknown kind of contract")


@inlined
def notional_of(state: State, market: int, lots: int, ticks: int) -> int:
    """Return the magnitude of the value of ``lots``, of either sign, at a price, rounded up."""
    row = state.markets[market]
    if row.contract_kind == ContractKind.INVERSE:
        return mul_div_ceil(abs(lots), row.notional_factor, ticks) if ticks > 0 else 0
    return abs(value_of(state, market, lots, ticks))


@inlined
def capped_value(state: State, market: int, lots: int, ticks: int, most: int) -> int:
    """Return the notional of any number of ``lots`` (>= 0) at a price, at most ``most`` atoms.

    For sums over accounts, which no bound proves to fit.
    """
    row = state.markets[market]
    if row.contract_kind == ContractKind.LINEAR:
        return most if lots > most // max(1, ticks * row.notional_factor) else value_of(state, market, lots, ticks)
    if row.contract_kind == ContractKind.INVERSE:
        is_more = compare_products(lots, row.notional_factor, most, ticks) > 0
        return most if is_more else notional_of(state, market, lots, ticks)
    raise ValueError("unknown kind of contract")


@inlined
def value_at_mark(state: State, market: int, lots: int) -> int:
    """Return the signed value of ``lots`` at mark, in atoms."""
    return value_of(state, market, lots, state.markets[market].mark_ticks)


@inlined
def notional_at_mark(state: State, market: int, lots: int) -> int:
    """Return the notional of ``lots``, of either sign, at mark, in atoms."""
    return notional_of(state, market, lots, state.markets[market].mark_ticks)


@inlined
def worth_at_mark(state: State, market: int, lots: int) -> tuple[int, int]:
    """Return (value, notional) of signed ``lots`` at mark."""
    value = value_at_mark(state, market, lots)
    if state.markets[market].contract_kind == ContractKind.LINEAR:
        return value, abs(value)
    return value, notional_at_mark(state, market, lots)


@inlined
def exposure_at_mark(state: State, market: int, lots: int) -> int:
    """Return the notional of signed ``lots`` at mark, with their sign: what they gain as the price
    rises.
    """
    notional = notional_at_mark(state, market, lots)
    return notional if lots > 0 else -notional


@inlined
def offset_cost(state: State, market: int, notional: int, offset_ppm: int, is_sell: bool) -> int:
    """Return what trading a notional costs at a price that is worse than mark by ``offset_ppm`` (below
    1e6), rounded up.
    """
    if state.markets[market].contract_kind == ContractKind.INVERSE:
        return mul_div_ceil(notional, offset_ppm, _PPM - offset_ppm if is_sell else _PPM + offset_ppm)
    return mul_div_ceil(notional, offset_ppm, _PPM)


@inlined
def value_max(state: State, market: int, lots: int) -> int:
    """Return the largest magnitude that the value of ``lots`` can have at any price of a market."""
    row = state.markets[market]
    if row.contract_kind == ContractKind.LINEAR:
        return abs(value_of(state, market, lots, row.price_ticks_max))
    if row.contract_kind == ContractKind.INVERSE:
        return notional_of(state, market, lots, row.price_ticks_min)
    raise ValueError("unknown kind of contract")


@inlined
def cash_of(state: State, market: int, lots: int, ticks: int) -> int:
    """Return the cash that a holder receives (paid: below 0) who trades signed ``lots`` at a price,
    rounded down. It is worked out once for a trade, for its taker: the other side gets minus it.
    """
    row = state.markets[market]
    if row.contract_kind == ContractKind.INVERSE:
        return mul_div_floor(lots, row.notional_factor, ticks)
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
    if row.contract_kind == ContractKind.LINEAR:
        per_tick = abs(lots) * row.notional_factor
        return div_ceil(cash, per_tick) if lots < 0 else div_floor(-cash, per_tick)
    if row.contract_kind == ContractKind.INVERSE:
        # A purchase brings cash and a sale costs it: at the highest price least.
        beyond = row.price_ticks_max + 1
        if (cash >= 0) == (lots < 0) or cash == 0 or compare_products(abs(lots), row.notional_factor, abs(cash), beyond) >= 0:
            return beyond
        return mul_div_ceil(-lots, row.notional_factor, -cash) if lots < 0 else mul_div_floor(lots, row.notional_factor, cash)
    raise ValueError("unknown kind of contract")


@inlined
def slope_of(state: State, market: int, lots: int) -> int:
    """Return the change of the value of ``lots`` of a linear contract per tick, in atoms, without
    sign. Of another it is not one number.
    """
    row = state.markets[market]
    if row.contract_kind == ContractKind.LINEAR:
        return abs(lots) * row.notional_factor
    raise ValueError("unknown kind of contract")


@inlined
def lots_within(state: State, market: int, notional: int) -> int:
    """Return the most lots whose notional at mark is at most ``notional``, of either sign."""
    row = state.markets[market]
    if row.contract_kind == ContractKind.LINEAR:
        return div_floor(notional, row.mark_ticks * row.notional_factor)
    if row.contract_kind == ContractKind.INVERSE:
        if compare_products(notional, row.mark_ticks, _LOTS_MAX, row.notional_factor) >= 0:
            return _LOTS_MAX
        return mul_div_floor(notional, row.mark_ticks, row.notional_factor)
    raise ValueError("unknown kind of contract")


@inlined
def lots_reaching(state: State, market: int, notional: int) -> int:
    """Return the least lots whose notional at mark is at least ``notional``."""
    row = state.markets[market]
    if row.contract_kind == ContractKind.LINEAR:
        return div_ceil(notional, row.mark_ticks * row.notional_factor)
    if row.contract_kind == ContractKind.INVERSE:
        # One more than the most whose notional is at most an atom less.
        return 0 if notional <= 0 else min(_LOTS_MAX, lots_within(state, market, notional - 1) + 1)
    raise ValueError("unknown kind of contract")


@inlined
def settlement_asset(state: State, market: int) -> int:
    """Return the number of the asset in which a market's gains and losses are paid."""
    return state.markets[market].settlement_asset


@inlined
def closing(held: int, lots: int) -> int:
    """Return the signed change that closes ``lots`` (> 0) of a position of ``held``."""
    return -lots if held > 0 else lots


@inlined
def closing_cash(state: State, market: int, held: int, lots: int) -> int:
    """Return the cash of closing ``lots`` (> 0) of a position of ``held`` at mark that leaves its
    holder's equity as it is: the value before less the value after.
    """
    if state.markets[market].contract_kind == ContractKind.LINEAR:
        return cash_at_mark(state, market, closing(held, lots))
    return add_checked(value_at_mark(state, market, held), -value_at_mark(state, market, held + closing(held, lots)))
