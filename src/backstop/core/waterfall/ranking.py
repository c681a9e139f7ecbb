"""Who is asked first in ADL and how much weighs: classes, and the weight of each policy.

The rank score is that of the queue which most venues run: profit in proportion to cost, times
leverage. It can be asked for any position at any time, whichever policy the venue has. Rules:
R6.6.13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.columns import OWNER_HEDGE
from backstop.core.contracts import notional_at_mark, value_at_mark
from backstop.core.events import NONE, AdlClass, AdlPolicy
from backstop.core.margin import assess
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_floor, scramble

__all__ = ["adl_weight", "class_of", "rank_positions", "rank_score", "sum_hedges"]

_PPM = 1_000_000
#: No ratio is larger: a millionfold, in ppm.
_RATIO_MAX = 1_000_000_000_000


@kernel
def sum_hedges(state: State, market: int, lots: int) -> None:
    """Fill OWNER_HEDGE, by owner, with the lots that its accounts hold in a market on the side that
    ``lots`` is not on.

    An account stands on one side of a market only, so what its owner holds on the other is in other
    accounts. Owners who hold nothing there are not written to: ask only for owners of holders.
    """
    held = state.columns[OWNER_HEDGE]
    for gathers in range(2):
        position = state.markets[market].first_position
        while position != NONE:
            row = state.positions[position]
            owner = state.accounts[row.account].owner
            if gathers == 0:
                held[owner] = 0
            elif row.lots != 0 and (row.lots > 0) != (lots > 0):
                held[owner] += abs(row.lots)
            position = row.next_of_market


@kernel
def class_of(state: State, position: int, owner: int) -> int:
    """Return the ADL class of a holder; ``owner`` is the defaulter's, or NONE where there is none.

    ``sum_hedges`` must have been asked for this market and the side of the position.
    """
    row = state.positions[position]
    if row.account < 0:
        return AdlClass.HOUSE
    own = state.accounts[row.account].owner
    if own == owner:
        return AdlClass.LINKED
    if state.columns[OWNER_HEDGE, own] >= abs(row.lots):
        return AdlClass.HEDGE
    return AdlClass.PROFITABLE if _profit(state, position) > 0 else AdlClass.REST


@inlined
def _profit(state: State, position: int) -> int:
    """Return the unrealised P&L of a position, in atoms."""
    row = state.positions[position]
    return add_checked(value_at_mark(state, row.market, row.lots), -row.cost)


@inlined
def _ratio_ppm(part: int, whole: int) -> int:
    """Return ``part / whole`` in ppm, rounded down, at most a millionfold; both are >= 0."""
    if part // _PPM >= whole:
        return _RATIO_MAX
    return mul_div_floor(part, _PPM, whole)


@kernel
def _leverage_ppm(state: State, position: int) -> int:
    """Return the notional of a position over the equity of its account, in ppm; no equity counts as
    the most.
    """
    row = state.positions[position]
    equity, _ = assess(state, row.account)
    return _ratio_ppm(notional_at_mark(state, row.market, row.lots), max(0, equity))


@kernel
def rank_score(state: State, position: int) -> int:
    """Return the ADL rank score of an account's position, in ppm: the larger, the earlier it is
    asked.

    With profit in proportion to cost and effective leverage, the notional over the account's
    equity: their product for a position in profit, and minus their quotient for one at a loss.
    (BitMEX publishes this form; there the equity is that of the position alone.)
    """
    profit = _profit(state, position)
    ratio = _ratio_ppm(abs(profit), abs(state.positions[position].cost))
    leverage = _leverage_ppm(state, position)
    if profit > 0:
        return mul_div_floor(ratio, leverage, _PPM)
    return -mul_div_floor(ratio, _PPM, max(1, leverage))


@kernel
def adl_weight(state: State, position: int, adl_class: int, policy: int) -> int:
    """Return the weight of a counterparty in its class, by policy: what it gives in proportion to,
    or in order of.

    The house weighs by its lots in every policy.
    """
    row = state.positions[position]
    lots = abs(row.lots)
    if adl_class == AdlClass.HOUSE:
        return lots
    if policy == AdlPolicy.QUEUE:
        return rank_score(state, position)
    if policy == AdlPolicy.RISK_AWARE:
        return max(1, mul_div_floor(lots, _leverage_ppm(state, position), _PPM))
    if policy == AdlPolicy.RANDOM:
        return scramble(state.engine[0].last_seq, row.market, row.account)
    if policy == AdlPolicy.CAPPED_PRO_RATA and adl_class == AdlClass.PROFITABLE:
        return _profit(state, position)
    return lots


@kernel
def rank_positions(
    state: State,
    market: int,
    positions: NDArray[np.int64],
    classes: NDArray[np.int64],
    scores: NDArray[np.int64],
    count: int,
) -> None:
    """Fill class and rank score of ``positions[:count]``, accounts' rows with lots on one side of a
    market.

    As ADL of a stranger would see them now: nobody is LINKED. Uses a scratch column of the state,
    nothing else.
    """
    if count == 0:
        return
    sum_hedges(state, market, state.positions[positions[0]].lots)
    for place in range(count):
        classes[place] = class_of(state, positions[place], NONE)
        scores[place] = rank_score(state, positions[place])
