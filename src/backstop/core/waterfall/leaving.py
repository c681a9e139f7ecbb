"""How many lots of a position leave beside the book, in the one order of positions.

A solvent account closes first what releases most margin per expected cost. ADL and tear-up act market
by market, so at each of its positions an account counts as closed those that stand before it but leave
later. What these cost and release is summed for all its positions at once, where a joint turn first
asks: the sums stand as long as the turn lasts and lots of the position at hand do not change.
Rules: R6.6.3.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import (
    ORDER_COST,
    ORDER_COST_BEFORE,
    ORDER_MERGE,
    ORDER_PLACE,
    ORDER_POSITION,
    ORDER_RANK,
    ORDER_RELEASE,
    ORDER_RELEASE_BEFORE,
    ORDER_SINCE,
)
from backstop.core.doubt import may_force, waits_for_halt
from backstop.core.events import NONE
from backstop.core.margin import release_level, released_margin
from backstop.core.sorting import merge_sort
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.waterfall.charge import comes_before, exit_cost, least_on_book

__all__ = ["forget_order", "lots_to_leave"]

#: Columns of ``State.better_first``: cost and margin released of later positions that stand before one,
#: and its lots then; 0: not summed.
_COST, _RELEASE, _LOTS = 0, 1, 2


@inlined
def forget_order(state: State, account: int) -> None:
    """Let the order of an account's positions be found anew: a joint turn begins."""
    state.columns[ORDER_SINCE, account] = 0


@kernel
def _gather_open(state: State, account: int, first: int) -> int:
    """Gather the positions of an account, from one on, whose lots may leave at a joint turn; return how
    many there are.
    """
    count, position = 0, first
    while position != NONE:
        row = state.positions[position]
        state.better_first[position, _COST] = state.better_first[position, _RELEASE] = 0
        state.better_first[position, _LOTS] = 0
        if row.lots != 0 and may_force(state, account, row.market) and not waits_for_halt(state, account, row.market):
            state.better_first[position, _LOTS] = row.lots
            state.columns[ORDER_POSITION, count] = position
            count += 1
        position = row.next_of_account
    return count


@inlined
def _stands_before(state: State, left: int, right: int) -> bool:
    """Return whether one of the positions gathered stands before another in the order of positions."""
    releases, costs = state.columns[ORDER_RELEASE], state.columns[ORDER_COST]
    return comes_before(releases[left], costs[left], releases[right], costs[right])


@kernel
def _rank(state: State, count: int) -> None:
    """Give the positions gathered their ranks, from 1; of those that do not stand before each other the
    same.
    """
    for place in range(count):
        position = state.columns[ORDER_POSITION, place]
        lots = abs(state.positions[position].lots)
        state.columns[ORDER_RELEASE, place] = released_margin(state, position, lots, 0)
        state.columns[ORDER_COST, place] = exit_cost(state, position, lots)
    order, rank = state.columns[ORDER_PLACE], 1
    merge_sort(_stands_before, state, order, state.columns[ORDER_MERGE], count)
    for number in range(count):
        if number > 0 and _stands_before(state, order[number - 1], order[number]):
            rank += 1
        state.columns[ORDER_RANK, order[number]] = rank


@kernel
def _sum_before(state: State, count: int) -> None:
    """Sum for each position gathered what those behind it cost and release that have a lower rank.

    From the last position to the first; the sums by rank are kept as a binary indexed tree.
    """
    costs, releases = state.columns[ORDER_COST_BEFORE], state.columns[ORDER_RELEASE_BEFORE]
    for rank in range(count + 1):
        costs[rank] = releases[rank] = 0
    for place in range(count - 1, -1, -1):
        better = state.better_first[state.columns[ORDER_POSITION, place]]
        rank = state.columns[ORDER_RANK, place] - 1
        while rank > 0:
            better[_COST] = add_checked(better[_COST], costs[rank])
            better[_RELEASE] += releases[rank]
            rank -= rank & -rank
        rank = state.columns[ORDER_RANK, place]
        while rank <= count:
            costs[rank] = add_checked(costs[rank], state.columns[ORDER_COST, place])
            releases[rank] += state.columns[ORDER_RELEASE, place]
            rank += rank & -rank


@kernel
def _after_better(state: State, position: int, equity: int, maintenance: int) -> tuple[int, int]:
    """Return equity and maintenance margin of a solvent account once those of its positions are closed
    that stand before one in the order of positions, and may leave at the same turn, but later.
    """
    row = state.positions[position]
    # Below 0, so that it is no column's beginning, and fits for NEVER, too.
    since = -1 - state.accounts[row.account].default_since_ns
    if state.columns[ORDER_SINCE, row.account] != since or state.better_first[position, _LOTS] != row.lots:
        count = _gather_open(state, row.account, position)
        if count > 1:
            _rank(state, count)
            _sum_before(state, count)
        state.columns[ORDER_SINCE, row.account] = since
    better = state.better_first[position]
    return add_checked(equity, -better[_COST]), maintenance - better[_RELEASE]


@kernel
def lots_to_leave(state: State, position: int, equity: int, maintenance: int) -> int:
    """Return the lots of a position that leave at mark beside the book: all of an insolvent account,
    of a solvent one the least that restore it with the closing charge, or all.

    Its positions that stand before this one, but leave later, are counted as closed: 0 where they
    suffice.
    """
    whole = abs(state.positions[position].lots)
    if equity < 0:
        return whole
    equity, maintenance = _after_better(state, position, equity, maintenance)
    if equity >= release_level(state, state.positions[position].account, maintenance):
        return 0
    least = least_on_book(state, position, state.rules[0].fee_ppm, equity, maintenance)
    return least if least > 0 else whole
