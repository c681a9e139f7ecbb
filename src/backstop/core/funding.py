"""Funding by index: what a position owes, or is owed, since it last settled (R1.5).

A FUNDING event moves the index of its market and touches no position: what a long lot pays, a short
one gets. A position settles when its lots change, when its account is touched, and when its account
comes into default; until then the amount is part of its account's equity. ``ledger`` settles it.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.events import FUNDING_PARTS
from backstop.core.rows import DOWN, UP
from backstop.core.state import State
from backstop.core.units import div_ceil, mul_div_floor

__all__ = ["move_index", "place_ticks", "unpaid_funding"]


@inlined
def unpaid_funding(state: State, position: int) -> int:
    """Return the funding that a position is owed (owes: below 0) and has not got, rounded down."""
    row = state.positions[position]
    market = state.markets[row.market]
    if market.has_funding == 0:
        return 0
    return mul_div_floor(-row.lots, market.funding_index - state.results[position].settled_index, FUNDING_PARTS)


@kernel
def move_index(state: State, market: int, step: int) -> int:
    """Let the index of a market move by ``step`` parts of an atom; return the side of the triggers
    that it brings nearer: below the mark where longs pay, above it where shorts do.

    For the triggers it is as if the mark had moved that way, by so many ticks that no buffer is
    used up by more.
    """
    row = state.markets[market]
    row.has_funding = 1
    row.funding_index += step
    side = DOWN if step > 0 else UP
    # Where a tick moves less than a part of an atom, every holder is looked at.
    per_tick = row.funding_per_tick
    row.shift_ticks[side] += div_ceil(abs(step), per_tick) if per_tick > 0 else row.price_ticks_max
    return side


@inlined
def place_ticks(state: State, market: int, side: int) -> int:
    """Return where the mark of a market stands among the triggers of a side: beyond itself by what
    funding has used up.
    """
    row = state.markets[market]
    return row.mark_ticks - row.shift_ticks[DOWN] if side == DOWN else row.mark_ticks + row.shift_ticks[UP]
