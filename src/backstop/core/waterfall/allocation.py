"""Who gives how much of a budget: in proportion under caps, or in an order, exact to the last unit.

What is given may be lots or atoms; ADL, takeover and socialised losses all share theirs here. It
knows neither state nor accounts: arrays of caps and weights go in, parts come out, and whoever
stands earlier wins a tie, so callers order candidates by id. A candidate whose cap is not positive
takes no part and gets 0. Rules: R6.6.14.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.heaps import heapify_places, sink_place
from backstop.core.units import add_checked, compare_products, give_to_largest, mul_div_floor, mul_mod

__all__ = ["allocate", "allocate_in_order"]

Column = NDArray[np.int64]


@kernel
def _sum_of_caps(caps: Column, count: int) -> int:
    total = 0
    for place in range(count):
        if caps[place] > 0:
            total = add_checked(total, caps[place])
    return total


@kernel
def _give_whole_caps(caps: Column, parts: Column, count: int) -> None:
    for place in range(count):
        parts[place] = max(0, caps[place])


@kernel
def _fill_whole_caps(budget: int, caps: Column, weights: Column, parts: Column, count: int) -> tuple[int, int]:
    """Give their whole cap to all for whom eta x weight reaches it; return what is left, and the
    weights it is for.

    Pass by pass: each full candidate raises eta for the others, until a pass fills nobody.
    """
    left, left_weight = budget, 0
    for place in range(count):
        parts[place] = 0
        if caps[place] > 0:
            left_weight = add_checked(left_weight, weights[place])
    filled = 1
    while filled > 0:
        pass_left, pass_weight, filled = left, left_weight, 0
        for place in range(count):
            if caps[place] <= 0 or parts[place] > 0:
                continue
            if compare_products(caps[place], pass_weight, pass_left, weights[place]) <= 0:
                parts[place] = caps[place]
                left -= caps[place]
                left_weight -= weights[place]
                filled += 1
    return left, left_weight


@kernel
def allocate(
    budget: int,
    caps: Column,
    weights: Column,
    parts: Column,
    remainders: Column,
    heap: Column,
    count: int,
) -> tuple[int, int]:
    """Fill ``parts[:count]`` with ``min(cap, eta x weight)``, summing to ``budget`` exactly; return
    eta as a fraction.

    Where the caps do not exceed the budget, everyone gives the whole cap and eta is (0, 0); the sum
    then may fall short of the budget. Otherwise the parts below their caps are floors of
    ``eta x weight``, and what that leaves goes one unit each to the largest remainders, ties to the
    earlier. ``budget >= 0``; weights of candidates with a cap are positive. ``remainders`` and
    ``heap`` are scratch. Raises ``OverflowError`` where the caps or the weights sum beyond 63 bits.
    """
    if _sum_of_caps(caps, count) <= budget:
        _give_whole_caps(caps, parts, count)
        return 0, 0
    left, left_weight = _fill_whole_caps(budget, caps, weights, parts, count)
    over = left
    for place in range(count):
        remainders[place] = -1
        if caps[place] > 0 and parts[place] == 0:
            parts[place] = mul_div_floor(left, weights[place], left_weight)
            remainders[place] = mul_mod(left, weights[place], left_weight)
            over -= parts[place]
    give_to_largest(over, parts, remainders, heap, count)
    return left, left_weight


@kernel
def allocate_in_order(budget: int, caps: Column, weights: Column, parts: Column, heap: Column, count: int) -> tuple[int, int]:
    """Fill ``parts[:count]`` in order of weight, the largest first: whole caps, the last what is
    still to place.

    Returns (weight of the last that gave, 0), or (0, 0) where everyone gave the whole cap, which
    includes a budget beyond the caps. Ties go to the earlier. Weights may have any sign;
    ``budget >= 0``. ``heap`` is scratch: a heap and no sort, since as a rule few of many give.
    Raises ``OverflowError`` where the caps sum beyond 63 bits.
    """
    if _sum_of_caps(caps, count) <= budget:
        _give_whole_caps(caps, parts, count)
        return 0, 0
    size = 0
    for place in range(count):
        parts[place] = 0
        if caps[place] > 0:
            heap[size] = place
            size += 1
    heapify_places(weights, heap, size, False)
    left, last = budget, 0
    while left > 0:
        place = heap[0]
        parts[place] = min(left, caps[place])
        left -= parts[place]
        last = weights[place]
        size -= 1
        heap[0] = heap[size]
        sink_place(weights, heap, 0, size, False)
    return last, 0
