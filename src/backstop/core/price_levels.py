"""The price of one market at which an account falls below a level, all other prices unchanged.

Equity less maintenance margin rises with the price of a long position and falls with that of a short
one, because no maintenance rate reaches 1 (``check_rules``). So the prices at which the account is
below are one end of the market's prices, and their last tick is found by bisection, in integers.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.contracts import value_at_mark, value_of
from backstop.core.events import NONE
from backstop.core.margin import assess, position_margin
from backstop.core.state import State
from backstop.core.units import add_checked

__all__ = ["level_ticks"]


@kernel
def _is_below(state: State, position: int, ticks: int, equity: int, margin: int, has_margin: bool) -> bool:
    """Return whether the account were below its level at a price; ``equity`` and ``margin`` are those of
    all else that it has.
    """
    row = state.positions[position]
    value = value_of(state, row.market, row.lots, ticks)
    needed = margin + position_margin(state, position, abs(value)) if has_margin else 0
    return add_checked(equity, value) < needed


@kernel
def level_ticks(state: State, position: int, has_margin: bool) -> int:
    """Return the highest price of a long position's market, the lowest of a short one's, at which the
    equity of its account is below maintenance margin; without ``has_margin``: below 0.

    NONE where no price of the market brings it there, or the position has no lots. The account is
    below at all prices where it is at the market's last price on the safe side.
    """
    row = state.positions[position]
    if row.lots == 0:
        return NONE
    equity, margin = assess(state, row.account)
    value = value_at_mark(state, row.market, row.lots)
    equity -= value
    margin -= position_margin(state, position, abs(value))
    # From the end of the prices that is bad for the position to one tick beyond the other.
    most = state.markets[row.market].price_ticks_max
    below, safe = (1, most + 1) if row.lots > 0 else (most, 0)
    if not _is_below(state, position, below, equity, margin, has_margin):
        return NONE
    while abs(safe - below) > 1:
        middle = (below + safe) // 2
        if _is_below(state, position, middle, equity, margin, has_margin):
            below = middle
        else:
            safe = middle
    return below
