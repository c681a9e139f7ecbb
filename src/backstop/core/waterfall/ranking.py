"""Who is asked first in ADL and how much weighs: the owners of the holders of a market, their
classes, and the weight of each policy.

An owner is one, however many accounts he has: he is asked for what his accounts not in default hold
net, by his result there and his equity. What he holds on both sides excuses as many lots of either.
The rank score is that of the queue which most venues run: profit in proportion to cost, times
leverage. It can be asked for any position at any time, whichever policy the venue has. Rules:
R6.6.12.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.columns import (
    OWNER_EQUITY,
    OWNER_EQUITY_EVENT,
    OWNER_FIRST,
    OWNER_GAIN,
    OWNER_HEDGE,
    OWNER_HELD,
    OWNER_HOLDERS,
)
from backstop.core.contracts import notional_at_mark, value_at_mark
from backstop.core.events import NONE, AdlClass, AdlPolicy, Health
from backstop.core.margin import assess
from backstop.core.results import result_of
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_floor, scramble

__all__ = ["adl_weight", "class_of", "equity_of", "hedged_lots", "leverage_ppm", "rank_positions", "rank_score", "sum_owners"]

_PPM = 1_000_000
#: No ratio is larger: a millionfold, in ppm.
_RATIO_MAX = 1_000_000_000_000


@kernel
def sum_owners(state: State, market: int, sign: int) -> None:
    """Sum what the accounts of each owner that are not in default have in a market: their lots on a
    side (OWNER_HELD) and on the other (OWNER_HEDGE), how many hold lots, their results.

    Owners who never held anything there are not written to: ask only for owners of holders.
    """
    held, hedged = state.columns[OWNER_HELD], state.columns[OWNER_HEDGE]
    holders, gains = state.columns[OWNER_HOLDERS], state.columns[OWNER_GAIN]
    for gathers in range(2):
        position = state.markets[market].first_position
        while position != NONE:
            row = state.positions[position]
            owner = state.accounts[row.account].owner
            if gathers == 0:
                held[owner] = hedged[owner] = holders[owner] = gains[owner] = 0
            elif state.accounts[row.account].health < Health.DISTRESSED:
                gains[owner] = add_checked(gains[owner], result_of(state, position))
                if row.lots != 0:
                    holders[owner] += 1
                    if row.lots * sign > 0:
                        held[owner] += abs(row.lots)
                    else:
                        hedged[owner] += abs(row.lots)
            position = row.next_of_market


@inlined
def hedged_lots(state: State, owner: int) -> int:
    """Return how many of an owner's lots on the side at hand his lots on the other excuse."""
    return min(state.columns[OWNER_HELD, owner], state.columns[OWNER_HEDGE, owner])


@kernel
def class_of(state: State, owner: int, defaulting: int) -> int:
    """Return the ADL class in which an owner is asked first; ``defaulting`` is the owner of all
    defaulters, or NONE.

    ``sum_owners`` must have been asked for the market and the side.
    """
    if owner == defaulting:
        return AdlClass.LINKED
    if hedged_lots(state, owner) == state.columns[OWNER_HELD, owner]:
        return AdlClass.HEDGE
    return AdlClass.PROFITABLE if state.columns[OWNER_GAIN, owner] > 0 else AdlClass.REST


@inlined
def _ratio_ppm(part: int, whole: int) -> int:
    """Return ``part / whole`` in ppm, rounded down, at most a millionfold; both are >= 0."""
    if part // _PPM >= whole:
        return _RATIO_MAX
    return mul_div_floor(part, _PPM, whole)


@kernel
def leverage_ppm(state: State, position: int) -> int:
    """Return the notional of a position over the equity of its account, in ppm; no equity counts as
    the most.
    """
    row = state.positions[position]
    equity, _ = assess(state, row.account)
    return _ratio_ppm(notional_at_mark(state, row.market, row.lots), max(0, equity))


@kernel
def equity_of(state: State, owner: int) -> int:
    """Return the equity of an owner's accounts not in default together, as it stood when it was first
    asked for in this event: so that an event costs his accounts once.
    """
    if state.columns[OWNER_EQUITY_EVENT, owner] != state.engine[0].accepted + 1:
        total, account = 0, state.columns[OWNER_FIRST, owner]
        while account != NONE:
            if state.accounts[account].health < Health.DISTRESSED:
                equity, _ = assess(state, account)
                total = add_checked(total, equity)
            account = state.accounts[account].next_of_owner
        state.columns[OWNER_EQUITY, owner] = total
        state.columns[OWNER_EQUITY_EVENT, owner] = state.engine[0].accepted + 1
    return state.columns[OWNER_EQUITY, owner]


@kernel
def _forget_equity(state: State, owner: int) -> None:
    """Let an owner's equity be summed anew: it is asked for outside of an event."""
    state.columns[OWNER_EQUITY_EVENT, owner] = 0


@kernel
def _owner_leverage_ppm(state: State, market: int, owner: int, lots: int) -> int:
    return _ratio_ppm(notional_at_mark(state, market, lots), max(0, equity_of(state, owner)))


@kernel
def _score(state: State, market: int, owner: int, lots: int) -> int:
    """Return the rank score of an owner for signed lots of his."""
    gain = state.columns[OWNER_GAIN, owner]
    ratio = _ratio_ppm(abs(gain), abs(add_checked(value_at_mark(state, market, lots), -gain)))
    leverage = _owner_leverage_ppm(state, market, owner, lots)
    if gain > 0:
        return mul_div_floor(ratio, leverage, _PPM)
    return -mul_div_floor(ratio, _PPM, max(1, leverage))


@kernel
def adl_weight(state: State, market: int, owner: int, lots: int, adl_class: int, policy: int) -> int:
    """Return the weight in a class of an owner with signed lots in it, by policy: what he gives in
    proportion to, or in order of.

    The house weighs by its lots in every policy.
    """
    if adl_class == AdlClass.HOUSE:
        return abs(lots)
    if policy == AdlPolicy.QUEUE:
        return _score(state, market, owner, lots)
    if policy == AdlPolicy.RISK_AWARE:
        return max(1, mul_div_floor(abs(lots), _owner_leverage_ppm(state, market, owner, lots), _PPM))
    if policy == AdlPolicy.RANDOM:
        return scramble(state.engine[0].last_seq, market, owner)
    if policy == AdlPolicy.CAPPED_PRO_RATA and adl_class == AdlClass.PROFITABLE:
        return state.columns[OWNER_GAIN, owner]
    return abs(lots)


@kernel
def _lots_in_first_class(state: State, owner: int) -> int:
    """Return the lots that an owner is asked for first: his net lots, or hedged ones where he has no
    others.
    """
    held, hedged = state.columns[OWNER_HELD, owner], hedged_lots(state, owner)
    return held - hedged if held > hedged else held


@kernel
def rank_score(state: State, position: int) -> int:
    """Return the ADL rank score of the owner of an account's position, in ppm: the larger, the earlier
    he is asked.

    With the result in proportion to what it is measured from and effective leverage, the notional
    over the owner's equity: their product for who gained, and minus their quotient for who lost.
    (BitMEX publishes this form; there the equity is that of the position alone.)
    """
    row = state.positions[position]
    owner, sign = state.accounts[row.account].owner, 1 if row.lots > 0 else -1
    sum_owners(state, row.market, sign)
    _forget_equity(state, owner)
    return _score(state, row.market, owner, sign * _lots_in_first_class(state, owner))


@kernel
def rank_positions(
    state: State,
    market: int,
    positions: NDArray[np.int64],
    classes: NDArray[np.int64],
    scores: NDArray[np.int64],
    leverages: NDArray[np.int64],
    count: int,
) -> None:
    """Fill class and rank score of the owners of ``positions[:count]``, accounts' rows with lots on one
    side of a market, and each account's own leverage, by which the owner's part is laid on them.

    As ADL of a stranger would see them now: nobody is LINKED. Uses scratch columns of the state,
    nothing else.
    """
    if count == 0:
        return
    sign = 1 if state.positions[positions[0]].lots > 0 else -1
    sum_owners(state, market, sign)
    for place in range(count):
        _forget_equity(state, state.accounts[state.positions[positions[place]].account].owner)
    for place in range(count):
        owner = state.accounts[state.positions[positions[place]].account].owner
        classes[place] = class_of(state, owner, NONE)
        scores[place] = _score(state, market, owner, sign * _lots_in_first_class(state, owner))
        leverages[place] = leverage_ppm(state, positions[place])
