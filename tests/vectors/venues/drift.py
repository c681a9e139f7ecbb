"""Drift v2: how much of a position is taken over, what it costs, how a loss is shared, shares of
the insurance fund.

Integers, rounded step by step as the venue does. Units: base 1e-9, quote and prices 1e-6, scaled
spot balances 1e-9, margin ratios and weights 1e-4, fees and multipliers 1e-6, funding index 1e-9,
interest index 1e-10, tokens ``10^-decimals``. ``None`` stands for "unbounded": whatever there is
may be taken.
Source: drift-labs/protocol-v2, programs/drift/src/math/{liquidation,insurance,bankruptcy}.rs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "Exchange",
    "Leg",
    "PerpLoss",
    "PerpPosition",
    "SpotPosition",
    "asset_for_liability",
    "base_to_cover",
    "cover_perp_loss",
    "funding_step_for_loss",
    "interest_cut_for_loss",
    "is_cross_bankrupt",
    "is_isolated_bankrupt",
    "is_swap_within_bounds",
    "liability_for_asset",
    "liability_to_cover",
    "liquidated_share",
    "liquidator_fee",
    "perp_insurance_fee",
    "rebase_exponent",
    "shares_lost_on_cancel",
    "spot_insurance_fee",
    "swap_price",
]

_MICRO = 1_000_000
_BASE = 1_000_000_000
#: From units of margin ratios and weights (1e-4) to units of fees (1e-6).
_RATIO_TO_FEE = 100
#: The liquidator's fee waits this many slots, about ten minutes, before it rises by one unit a
#: slot.
_GRACE_SLOTS = 1_500
#: Weights are taken ten times finer while multipliers are applied to them.
_FINER = 10
_FUNDING_BUFFER = 1_000


def _ceil_div(value: int, divisor: int) -> int:
    return -(-value // divisor)


def _perp_price(oracle_price: int, quote_price: int) -> int:
    return oracle_price * quote_price // _MICRO


def base_to_cover(shortage: int, margin_ratio: int, fee: int, insurance_fee: int, oracle_price: int, quote_price: int) -> int | None:
    """Return the base to take over so that a margin shortage is covered.

    Each unit frees its margin and costs both fees. None where it frees nothing; where only the
    insurance fee eats what it frees the source fails, and None is returned too.
    """
    freed_rate = margin_ratio * _RATIO_TO_FEE - fee
    if oracle_price == 0 or freed_rate <= 0:
        return None
    freed = _perp_price(oracle_price, quote_price) * freed_rate // _MICRO - oracle_price * insurance_fee // _MICRO
    return shortage * _BASE // freed if freed > 0 else None


class Leg(NamedTuple):
    """One token of an exchange between deposit and borrow: its decimals, price and liquidation
    multiplier.
    """

    decimals: int
    price: int
    multiplier: int = _MICRO


class Exchange(NamedTuple):
    """A deposit that pays for a borrow."""

    asset: Leg
    liability: Leg


def _powers(decimals: int) -> tuple[int, int]:
    """Return ``10^decimals`` as numerator and denominator."""
    return (10**decimals, 1) if decimals >= 0 else (1, 10**-decimals)


def liability_to_cover(shortage: int, exchange: Exchange, asset_weight: int, liability_weight: int, insurance_fee: int) -> int | None:
    """Return the tokens of a borrow to take over so that a margin shortage is covered, at least 1.

    None where weights and multipliers leave nothing to free, and, where the source fails, if the
    insurance fee eats it.
    """
    asset, liability = exchange
    given = asset_weight * _FINER * asset.multiplier // liability.multiplier
    freed_weight = liability_weight * _FINER - given
    if asset_weight >= liability_weight or freed_weight <= 0:
        return None
    fee = liability.price * insurance_fee // _MICRO * liability_weight * _FINER
    freed = liability.price * freed_weight - fee
    if freed <= 0:
        return None
    upper, lower = _powers(liability.decimals - 6)
    return max(1, shortage * upper * _MICRO * 10_000 * _FINER // freed // lower)


def liability_for_asset(asset_amount: int, exchange: Exchange) -> int:
    """Return the tokens of the borrow that an amount of the deposit pays for, rounded up."""
    asset, liability = exchange
    upper, lower = _powers(liability.decimals - asset.decimals)
    worth = asset_amount * upper * asset.price * liability.multiplier
    return _ceil_div(_ceil_div(worth, liability.price * asset.multiplier), lower)


def asset_for_liability(asset_amount: int, liability_amount: int, exchange: Exchange) -> int:
    """Return the tokens of the deposit that pay for an amount of the borrow, at least 1.

    The whole deposit where that is less than 1 USD away. (For tokens of more than 6 decimals the
    source scales that dollar the wrong way; here it is a dollar.)
    """
    asset, liability = exchange
    upper, lower = _powers(asset.decimals - liability.decimals)
    cost = liability_amount * upper * liability.price * asset.multiplier
    transfer = max(1, cost // (asset.price * liability.multiplier) // lower)
    is_within_a_dollar = abs(transfer - asset_amount) * asset.price < _MICRO * 10**asset.decimals
    return asset_amount if is_within_a_dollar else transfer


def perp_insurance_fee(shortage: int, base: int, margin_ratio: int, fee: int, oracle_price: int, quote_price: int, fee_max: int) -> int:
    """Return the fee rate of the insurance fund on a perpetual: 95 % of the margin that is left
    over, up to ``fee_max``.

    Left over is the margin ratio less the liquidator's fee and the shortage over the position's
    value, so that the fee alone never makes an account bankrupt. 0 without price or position.
    """
    ratio = margin_ratio * _RATIO_TO_FEE
    price = _perp_price(oracle_price, quote_price)
    if price == 0 or base == 0 or ratio <= fee:
        return 0
    shortage_rate = shortage * _BASE // base * _MICRO // price
    return min(fee_max, max(0, ratio - fee - shortage_rate) * 19 // 20)


def spot_insurance_fee(shortage: int, tokens: int, exchange: Exchange, asset_weight: int, liability_weight: int, fee_max: int) -> int:
    """Return the fee rate of the insurance fund on a borrow: what weights and multipliers leave
    over, up to ``fee_max``.
    """
    asset, liability = exchange
    if asset_weight >= liability_weight or liability.price == 0 or tokens == 0 or liability.multiplier == 0:
        return 0
    weight = liability_weight * _RATIO_TO_FEE
    given = asset_weight * _RATIO_TO_FEE * asset.multiplier // liability.multiplier
    shortage_rate = shortage * _MICRO * 10**liability.decimals // tokens // liability.price
    left = max(0, max(0, weight - given) - shortage_rate)
    return min(fee_max, left * _MICRO // weight)


def liquidator_fee(fee_base: int, fee_max: int, idle_slots: int) -> int:
    """Return the liquidator's fee after an account was idle for so many slots.

    The base fee in the time of grace; after it one unit more for every slot, those of the grace
    included.
    """
    return fee_base if idle_slots < _GRACE_SLOTS else min(fee_max, fee_base + idle_slots)


def is_swap_within_bounds(asset_amount: int, liability_amount: int, exchange: Exchange) -> bool:
    """Return whether a swap gives no more of the deposit than prices and multipliers allow."""
    asset, liability = exchange
    paid = liability_amount * _MICRO // 10**liability.decimals * 10**asset.decimals // asset_amount
    worst = asset.price * _MICRO * liability.multiplier // liability.price // asset.multiplier
    return paid >= worst


def swap_price(asset_amount: int, liability_amount: int, asset_decimals: int, liability_decimals: int) -> int:
    """Return the deposit received for one token of the borrow; a liquidator may set a lower bound
    to it.
    """
    return asset_amount * _MICRO // 10**asset_decimals * 10**liability_decimals // liability_amount


def liquidated_share(shortage: int, freed: int, idle_slots: int, duration_slots: int, share_first: int) -> int:
    """Return how much of a shortage one call may cover, in 1e-4: more the longer the account waits.

    All of it below 50 USD. Otherwise the share grows from ``share_first`` to the whole over the
    duration, of the shortage and what was freed before it, less what was freed.
    """
    whole = 10_000
    if shortage < 50 * _MICRO:
        return whole
    grown = whole if duration_slots == 0 else idle_slots * whole // duration_slots + share_first
    left = (shortage + freed) * min(whole, grown) // whole - freed
    return max(0, left) * whole // shortage


class PerpLoss(NamedTuple):
    """Who pays the loss of a bankrupt, in the order in which they are asked."""

    insurance: int
    fee_pool: int
    socialised: int


def cover_perp_loss(loss: int, vault: int, insurance_left: int, fee_pool: int) -> PerpLoss:
    """Return how a loss (>= 0) is covered: insurance, then the market's fee pool, then both sides
    by open interest.

    ``insurance_left`` is what the market's tier still allows of the fund; the vault keeps its last
    unit (controller/liquidation.rs).
    """
    insurance = max(0, min(loss, vault - 1, insurance_left))
    from_pool = min(loss - insurance, fee_pool)
    return PerpLoss(insurance, from_pool, loss - insurance - from_pool)


def funding_step_for_loss(loss: int, base_long: int, base_short: int) -> int:
    """Return the step of the funding index that makes both sides of a market pay a bankrupt's loss,
    rounded up.

    Longs and shorts alike, by open interest. Raises ValueError where there is none: nobody can pay.
    """
    open_base = abs(base_long) + abs(base_short)
    if open_base == 0:
        raise ValueError("a loss cannot be shared in a market without open interest")
    return _ceil_div(abs(loss) * _BASE, open_base) * _FUNDING_BUFFER


def interest_cut_for_loss(loss: int, deposit_balance: int, interest_index: int, decimals: int) -> int:
    """Return what the interest index of deposits loses so that they pay a bankrupt's borrow,
    rounded up.

    0 without deposits. ``loss`` in tokens; ``deposit_balance`` scaled.
    """
    upper, lower = _powers(decimals - 19)
    deposits = deposit_balance * interest_index * upper // lower
    return _ceil_div(interest_index * loss, deposits) if deposits else 0


class PerpPosition(NamedTuple):
    """What bankruptcy asks of a perpetual position; ``collateral`` is the scaled balance of an
    isolated one.
    """

    base: int = 0
    quote: int = 0
    open_orders: int = 0
    is_isolated: bool = False
    collateral: int = 0


class SpotPosition(NamedTuple):
    """A scaled spot balance, negative where it is a borrow."""

    balance: int
    open_orders: int = 0


def is_cross_bankrupt(perps: Sequence[PerpPosition], spots: Sequence[SpotPosition]) -> bool:
    """Return whether an account owes and has nothing left to pay with, isolated positions aside.

    No deposit, no base, no profit to settle, no open order; a borrow or a loss.
    """
    owes = False
    for perp in perps:
        if perp.is_isolated:
            continue
        if perp.base != 0 or perp.quote > 0 or perp.open_orders:
            return False
        owes = owes or perp.quote < 0
    for spot in spots:
        if spot.balance > 0 or spot.open_orders:
            return False
        owes = owes or spot.balance < 0
    return owes


def is_isolated_bankrupt(perp: PerpPosition) -> bool:
    """Return whether an isolated position owes and has neither collateral nor base nor open
    orders.
    """
    return perp.collateral == 0 and perp.base == 0 and perp.open_orders == 0 and perp.quote < 0


def rebase_exponent(shares: int, vault: int) -> int:
    """Return by how many powers of ten the shares of an insurance vault are divided, once they
    outgrow it tenfold.
    """
    if vault <= 0:
        raise ValueError(f"a vault of {vault} has nothing to rebase its shares to")
    return max(0, len(str(shares // 10 // vault)) - 1)


def shares_lost_on_cancel(shares_asked: int, value_locked: int, shares: int, vault: int) -> int:
    """Return the shares that are lost by taking back a request to unstake.

    Its value was fixed when it was made: gains since then stay with the others, losses were borne
    anyway.
    """
    if vault * shares_asked // shares <= value_locked:
        return 0
    return shares_asked - value_locked * (shares - shares_asked) // (vault - value_locked)
