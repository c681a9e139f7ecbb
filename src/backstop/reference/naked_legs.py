"""The leg that is left naked: who holds more risk than if others' defaults had taken nothing of him
(R6.6.26 to R6.6.29).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backstop.core.events import EffectKind
from backstop.core.instruments import PPM
from backstop.reference.arithmetic import sign
from backstop.reference.state import State

__all__ = ["Leg", "naked_leg", "tell_naked_legs"]


class Leg(NamedTuple):
    """What an owner has in a market, and what was taken of it. Signed."""

    lots: int
    taken: int
    #: Loading x value of a lot at mark.
    weight: int


class NakedLeg(NamedTuple):
    """An exposure that grew: the market of the hedge, and that of the leg left naked."""

    hedge: int
    naked: int
    before: int
    after: int


def naked_leg(legs: Mapping[int, Leg]) -> NakedLeg | None:
    """Say what is left naked of an owner's legs, by market, where his exposure grew."""
    before, after = (
        toward_zero(sum(lots * leg.weight for lots, leg in zip(each, legs.values(), strict=True)))
        for each in ([leg.lots + leg.taken for leg in legs.values()], [leg.lots for leg in legs.values()])
    )
    if abs(after) <= abs(before):
        return None
    left = {market: leg.lots * leg.weight * sign(after) for market, leg in legs.items()}
    hedges = {market: leg.taken * leg.weight * -sign(after) for market, leg in legs.items()}
    return NakedLeg(largest(hedges), largest(left), before, after)


def toward_zero(parts: int) -> int:
    """Millionths of an atom in atoms."""
    return sign(parts) * (abs(parts) // PPM)


def largest(exposures: Mapping[int, int]) -> int:
    """Return the market of the largest exposure, the lowest of equals."""
    return min(exposures, key=lambda market: (-exposures[market], market))


def tell_naked_legs(state: State) -> None:
    """Tell the owners of whom lots were taken in this event, while it has room."""
    for owner in dict.fromkeys(state.accounts[account].owner for account, _ in state.taken):
        if len(state.effects) <= 3 * state.rules.limits.effects_max // 4:
            tell_owner(state, owner)


def tell_owner(state: State, owner: int) -> None:
    """Name the leg that an owner is left with."""
    mine = [number for number, each in enumerate(state.accounts) if each.owner == owner and not each.in_default]
    taken = {(account, market): lots for (account, market), lots in state.taken.items() if account in mine}
    if not taken:
        return
    markets = {*(market for _, market in taken), *(market for account in mine for market in state.held_markets(account))}
    legs = {
        market: Leg(
            sum(state.held_lots(account, market) for account in mine),
            sum(taken.get((account, market), 0) for account in mine),
            state.rules.markets[market].factor_loading_ppm * state.contract(market).value_of(1),
        )
        for market in markets
    }
    told = naked_leg(legs)
    if told:
        state.emit(
            EffectKind.NAKED_LEG,
            market=told.hedge,
            account=min(account for account, _ in taken),
            other=told.naked,
            lots=legs[told.naked].lots,
            price_ticks=owner,
            amount=told.before,
            value=told.after,
        )
