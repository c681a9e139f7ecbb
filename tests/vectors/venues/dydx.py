"""dYdX v4: scaled initial margin, updates, liquidation prices and limits, what the fund pays or
gets, deleveraging.

The engine knows fixed rates and takes trades as facts; a venue of this kind recomputes a market's
initial rate from its open interest, and asks ``judge_update`` before it lets a trade or a transfer
happen. The rest is the venue's own way to liquidate, as it states it, to measure this engine's
against.

Integers, and fractions where a price is one: amounts in quote quantums (1e-6 USD), sizes in base
quantums, rates in ppm. Source: dydxprotocol/v4-chain, the file named with each function; ValueError
where the source returns an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

__all__ = [
    "Account",
    "BlockUsage",
    "DeleveragePrice",
    "Deleveraging",
    "LiquidationRules",
    "Margins",
    "Market",
    "UpdateResult",
    "bankruptcy_cash",
    "close_at_one_price",
    "deleverage",
    "deleverage_price",
    "does_fund_suffice",
    "fill_quote",
    "fillable_price",
    "insurance_delta",
    "insurance_left",
    "judge_update",
    "liquidation_delta",
    "margins_of",
    "notional_left",
    "notional_of",
    "open_interest_change",
    "position_notional_limits",
    "scaled_initial_rate_ppm",
    "subticks_of",
]

_PPM = 1_000_000
_SUBTICKS_MAX = (1 << 64) - 1


def scaled_initial_rate_ppm(base_ppm: int, open_notional: int, lower_cap: int, upper_cap: int) -> int:
    """Return the initial margin rate of a market whose open interest is worth ``open_notional``.

    The base rate up to the lower cap, 100 % from the upper cap on, between them in proportion,
    rounded down (dydxprotocol/v4-chain, x/perpetuals/types/liquidity_tier.go). An upper cap of 0
    switches scaling off.
    """
    if upper_cap == 0 or open_notional <= lower_cap:
        return base_ppm
    if open_notional >= upper_cap:
        return _PPM
    return base_ppm + (_PPM - base_ppm) * (open_notional - lower_cap) // (upper_cap - lower_cap)


class Margins(NamedTuple):
    """What an update is judged by, before it and after it."""

    equity: int
    initial: int
    maintenance: int


class UpdateResult(Enum):
    """Whether an update may happen, and if not, how the account stood before."""

    ALLOWED = "allowed"
    NEWLY_UNDERCOLLATERALIZED = "newly undercollateralized"
    STILL_UNDERCOLLATERALIZED = "still undercollateralized"


def judge_update(before: Margins, after: Margins) -> UpdateResult:
    """Judge an update by the account's margins on both sides of it.

    An update that leaves equity below initial margin is allowed only if maintenance did not grow
    and the account is better off: without maintenance on either side, equity must have grown; with
    maintenance on both, equity / maintenance must not have fallen
    (dydxprotocol/v4-chain, x/subaccounts/lib/updates.go).
    """
    if after.equity >= after.initial:
        return UpdateResult.ALLOWED
    if after.maintenance <= before.maintenance:
        if before.maintenance == 0 and after.equity > before.equity:
            return UpdateResult.ALLOWED
        if after.maintenance > 0 and after.equity * before.maintenance >= before.equity * after.maintenance:
            return UpdateResult.ALLOWED
    if before.equity >= before.initial:
        return UpdateResult.NEWLY_UNDERCOLLATERALIZED
    return UpdateResult.STILL_UNDERCOLLATERALIZED


class Market(NamedTuple):
    """A perpetual: the oracle's worth of a base quantum, and its rates.

    ``base_initial_ppm`` is the rate before scaling, of which maintenance is a share;
    ``initial_ppm`` the one in force.
    """

    quantum_value: Fraction
    base_initial_ppm: int
    initial_ppm: int
    maintenance_share_ppm: int


class Account(NamedTuple):
    """A quote balance, in which what was paid for positions is already counted, and signed base
    quantums by market.
    """

    quote: int
    positions: Mapping[int, int]


def notional_of(market: Market, quantums: int) -> int:
    """Return the signed notional, toward zero (lib/margin, x/perpetuals/lib/lib.go)."""
    return int(quantums * market.quantum_value)


def _maintenance_of(market: Market, quantums: int) -> int:
    base = ceil(Fraction(abs(notional_of(market, quantums)) * market.base_initial_ppm, _PPM))
    return ceil(Fraction(base * market.maintenance_share_ppm, _PPM))


def margins_of(account: Account, markets: Sequence[Market]) -> Margins:
    """Return what an account is worth and needs: both margins rounded up for each position,
    maintenance twice.
    """
    equity, initial, maintenance = account.quote, 0, 0
    for place, quantums in account.positions.items():
        notional = notional_of(markets[place], quantums)
        equity += notional
        initial += ceil(Fraction(abs(notional) * markets[place].initial_ppm, _PPM))
        maintenance += _maintenance_of(markets[place], quantums)
    return Margins(equity, initial, maintenance)


def _position_to_close(account: Account, market: int, delta: int) -> int:
    """Return the position that ``delta`` closes, in part or in whole; raise ValueError where it
    does not.
    """
    quantums = account.positions.get(market, 0)
    if delta == 0 or quantums * delta >= 0 or abs(delta) > abs(quantums):
        raise ValueError(f"delta {delta} does not close a position of {quantums}")
    return quantums


def bankruptcy_cash(account: Account, markets: Sequence[Market], market: int, delta: int) -> int:
    """Return what closing ``delta`` at the bankruptcy price gives the account, rounded up: negative
    where it pays.

    Each part of a position takes the share of equity that it has of maintenance
    (x/clob/keeper/liquidations.go). The engine's zero cash is this figure. An account without
    maintenance, which the venue never liquidates, shares no equity here.
    """
    before = _position_to_close(account, market, delta)
    after = before + delta
    equity, _, maintenance = margins_of(account, markets)
    released = _maintenance_of(markets[market], before) - _maintenance_of(markets[market], after)
    notional_change = notional_of(markets[market], after) - notional_of(markets[market], before)
    share = floor(Fraction(equity * released, maintenance)) if maintenance else 0
    return -notional_change - share


class LiquidationRules(NamedTuple):
    """The venue's settings for liquidations: the fee, the fillable price, and what one block may
    take.

    Notionals and insurance in quote quantums; the defaults are the code's
    (x/clob/types/liquidations_config.go).
    """

    fee_ppm: int = 5_000
    bankruptcy_adjustment_ppm: int = _PPM
    spread_to_maintenance_ppm: int = 100_000
    position_notional_min: int = 1_000
    position_portion_ppm: int = _PPM
    account_notional_max: int = 100_000_000_000_000
    account_insurance_max: int = 100_000_000_000_000


def fillable_price(account: Account, markets: Sequence[Market], market: int, delta: int, rules: LiquidationRules) -> Fraction:
    """Return the worst price at which a liquidation of ``delta`` may fill, in quote quantums a base
    quantum.

    The oracle price, made worse by a spread that is a part of maintenance and grows as equity
    falls, up to the whole spread: ``(N - ABR x spread x M) / size``,
    ``ABR = clamp(adjustment x (1 - equity / maintenance), 0, 1)`` over the whole position
    (x/clob/keeper/liquidations.go). The
      delta only has to be a valid one.
    """
    quantums = _position_to_close(account, market, delta)
    equity, _, maintenance = margins_of(account, markets)
    if maintenance == 0:
        raise ValueError("an account without maintenance margin is never liquidated")
    adjusted = Fraction(rules.bankruptcy_adjustment_ppm, _PPM) * (1 - Fraction(equity, maintenance))
    spread = min(max(adjusted, Fraction(0)), Fraction(1)) * Fraction(rules.spread_to_maintenance_ppm, _PPM)
    return (notional_of(markets[market], quantums) - spread * _maintenance_of(markets[market], quantums)) / quantums


def subticks_of(price: Fraction, is_long: bool, quantum_conversion_exponent: int, subticks_per_tick: int) -> int:
    """Return a price as a limit of the order book: up where a long is sold, down where a short is
    bought, a whole tick.

    At least one tick, at most the largest whole tick in 64 bits (x/clob/keeper/liquidations.go).
    """
    exact = price / Fraction(10) ** quantum_conversion_exponent
    rounded = ceil if is_long else floor
    subticks = rounded(Fraction(rounded(exact), subticks_per_tick)) * subticks_per_tick
    highest = _SUBTICKS_MAX - _SUBTICKS_MAX % subticks_per_tick
    return min(max(subticks, subticks_per_tick), highest)


def fill_quote(quantums: int, subticks: int, quantum_conversion_exponent: int) -> int:
    """Return the quote of a fill, rounded down (x/clob/types/quantums.go)."""
    return floor(quantums * subticks * Fraction(10) ** quantum_conversion_exponent)


def insurance_delta(quote: int, cash: int, fee_ppm: int) -> int:
    """Return what a liquidation fill moves into the insurance fund: negative where the fund pays.

    ``quote`` is what the account received, ``cash`` its bankruptcy cash for the same size. A worse
    fill is made good by the fund; a better one pays a fee on the quote, never more than it is
    better by (x/clob/keeper/liquidations.go).
    """
    better = quote - cash
    return better if better <= 0 else min(abs(quote) * fee_ppm // _PPM, better)


def does_fund_suffice(balance: int, delta: int) -> bool:
    """Return whether the fund can pay; where it cannot, the venue deleverages
    (x/clob/keeper/deleveraging.go).
    """
    return delta >= 0 or balance + delta >= 0


def position_notional_limits(rules: LiquidationRules, notional: int) -> tuple[int, int]:
    """Return the least and the most notional of a position that one liquidation may take.

    The least is never more than the position; the most is a portion of it, never less than the
    least (x/clob/keeper/liquidations.go).
    """
    least = min(rules.position_notional_min, abs(notional))
    return least, max(least, abs(notional) * rules.position_portion_ppm // _PPM)


class BlockUsage(NamedTuple):
    """What liquidations have already taken from one account in this block."""

    markets: frozenset[int] = frozenset()
    notional: int = 0
    insurance: int = 0


def _left(maximum: int, used: int, name: str) -> int:
    if used > maximum:
        raise ValueError(f"{name} of {used} in this block is beyond its maximum of {maximum}")
    return maximum - used


def _check_untouched(used: BlockUsage, market: int) -> None:
    if market in used.markets:
        raise ValueError(f"market {market} was already liquidated in this block")


def notional_left(rules: LiquidationRules, used: BlockUsage, market: int) -> int:
    """Return the notional that this block may still liquidate of the account in ``market``.

    Raises ValueError where it has been liquidated there already, or more was used than there was
    (x/clob/keeper/liquidations_state.go).
    """
    _check_untouched(used, market)
    return _left(rules.account_notional_max, used.notional, "notional liquidated")


def insurance_left(rules: LiquidationRules, used: BlockUsage, market: int) -> int:
    """Return what this block may still cost the insurance fund for the account; raises as
    ``notional_left``.
    """
    _check_untouched(used, market)
    return _left(rules.account_insurance_max, used.insurance, "insurance lost")


def liquidation_delta(rules: LiquidationRules, market: Market, quantums: int, step: int, notional_max: int) -> int:
    """Return the signed base quantums that one liquidation order closes of a position.

    All of it where its notional is within both limits; else the limit as whole steps, at least one,
    at most all (x/clob/keeper/liquidations.go).
    """
    notional = abs(notional_of(market, quantums))
    limit = min(position_notional_limits(rules, notional)[1], notional_max)
    size = abs(quantums)
    if notional > limit:
        whole = int(limit / market.quantum_value) // step * step
        size = min(max(whole, step), size)
    return -size if quantums > 0 else size


class DeleveragePrice(Enum):
    """The price of a deleveraging."""

    BANKRUPTCY = "bankruptcy"
    ORACLE = "oracle"


def deleverage_price(equity: int, is_in_final_settlement: bool) -> DeleveragePrice | None:
    """Return the price at which an account may be deleveraged, None where it may not be.

    Negative equity: its bankruptcy price. Otherwise only in a market that is being settled for
    good, at the oracle's (x/clob/keeper/deleveraging.go).
    """
    if equity < 0:
        return DeleveragePrice.BANKRUPTCY
    return DeleveragePrice.ORACLE if is_in_final_settlement else None


def _apply(account: Account, market: int, quote: int, delta: int) -> Account:
    after = account.positions.get(market, 0) + delta
    others = {place: quantums for place, quantums in account.positions.items() if place != market}
    return Account(account.quote + quote, others | ({market: after} if after else {}))


def close_at_one_price(
    defaulter: Account, other: Account, markets: Sequence[Market], market: int, delta: int, price: DeleveragePrice
) -> tuple[Account, Account] | None:
    """Close ``delta`` of the defaulter against another account for one sum of quote; None where
    either may not.

    Both must pass ``judge_update``: where the bankruptcy prices of the two do not overlap, the
    other would end worse than it stands. Raises ValueError where ``delta`` does not close both
    positions (x/clob/keeper/deleveraging.go).
    """
    quantums = _position_to_close(defaulter, market, delta)
    _position_to_close(other, market, -delta)
    if price is DeleveragePrice.BANKRUPTCY:
        quote = bankruptcy_cash(defaulter, markets, market, delta)
    else:
        quote = notional_of(markets[market], quantums) - notional_of(markets[market], quantums + delta)
    pairs = ((defaulter, _apply(defaulter, market, quote, delta)), (other, _apply(other, market, -quote, -delta)))
    if any(judge_update(margins_of(old, markets), margins_of(new, markets)) is not UpdateResult.ALLOWED for old, new in pairs):
        return None
    return pairs[0][1], pairs[1][1]


class Deleveraging(NamedTuple):
    """The end of a walk: (candidate, base quantums > 0) of each fill, what found nobody, the
    accounts after.
    """

    fills: tuple[tuple[int, int], ...]
    remaining: int
    defaulter: Account
    others: tuple[Account, ...]


def deleverage(
    defaulter: Account, others: Sequence[Account], markets: Sequence[Market], market: int, delta: int, price: DeleveragePrice
) -> Deleveraging:
    """Walk the other accounts in the order given and close against each what it has, until
    ``delta`` is placed.

    Accounts on the same side are passed over, and so are those whose bankruptcy price does not
    overlap. There is no ranking by profit or leverage: the venue starts at a pseudo-random account
    (x/clob/keeper/deleveraging.go). What remains is left with the defaulter.
    """
    after, fills, remaining = list(others), [], delta
    for candidate, other in enumerate(others):
        held = other.positions.get(market, 0)
        size = min(abs(remaining), abs(held))
        if size == 0 or held * delta <= 0:
            continue
        part = size if delta > 0 else -size
        closed = close_at_one_price(defaulter, other, markets, market, part, price)
        if closed is None:
            continue
        defaulter, after[candidate] = closed
        fills.append((candidate, size))
        remaining -= part
    return Deleveraging(tuple(fills), remaining, defaulter, tuple(after))


def open_interest_change(updates: Sequence[tuple[int, int]]) -> int:
    """Return by how much open interest changes, from the (position before, delta) of every account
    in an update.

    Open interest is the sum of longs (x/subaccounts/lib/oimf.go).
    """
    return sum(max(before + delta, 0) - max(before, 0) for before, delta in updates)
