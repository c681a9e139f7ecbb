"""dYdX v4: initial margin that grows with open interest, and which updates an account may make.

The engine knows fixed rates and takes trades as facts; a venue of this kind recomputes a market's
initial rate from its open interest, and asks ``judge_update`` before it lets a trade or a transfer
happen. Integers only: amounts in quote quantums (1e-6 USD), rates in ppm.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Margins", "UpdateResult", "judge_update", "scaled_initial_rate_ppm"]

_PPM = 1_000_000


def scaled_initial_rate_ppm(base_ppm: int, open_notional: int, lower_cap: int, upper_cap: int) -> int:
    """Return the initial margin rate of a market whose open interest is worth ``open_notional``.

    The base rate up to the lower cap, 100 % from the upper cap on, between them in proportion, rounded down
    (dydxprotocol/v4-chain, x/perpetuals/types/liquidity_tier.go). An upper cap of 0 switches scaling off.
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

    An update that leaves equity below initial margin is allowed only if maintenance did not grow and the
    account is better off: without maintenance on either side, equity must have grown; with maintenance on
    both, equity / maintenance must not have fallen
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
