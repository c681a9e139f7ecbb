"""Who gives in place of those whose parts are below the least that is asked for.

They stand on a circle, each as long as his part; points at equal distances fall on some of them, who
give the least or all they can, so that on average each gives his part. Like ``allocation`` it knows
neither state nor accounts. Rules: R6.6.20.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.units import add_checked

__all__ = ["give_from_line", "stand_on_line"]

Column = NDArray[np.int64]


@kernel
def stand_on_line(caps: Column, parts: Column, order: Column, begins: Column, count: int, least: int) -> tuple[int, int]:
    """Write who stands on the line to ``order``, and where each begins to ``begins``: first those who
    cannot give the least; return how many they are, and its length.

    They are the ``parts[:count]`` above 0 that are below the least and below their caps.
    """
    members, lots = 0, 0
    for is_able in range(2):
        for place in range(count):
            if 0 < parts[place] < min(least, caps[place]) and (caps[place] >= least) == (is_able == 1):
                order[members], begins[members] = place, lots
                members += 1
                lots = add_checked(lots, parts[place])
    return members, lots


@kernel
def _member_at(begins: Column, members: int, where: int) -> int:
    """Return the number of the member that a place of the line belongs to."""
    low, high = 0, members
    while high - low > 1:
        middle = (low + high) // 2
        if begins[middle] <= where:
            low = middle
        else:
            high = middle
    return low


@kernel
def give_from_line(caps: Column, order: Column, begins: Column, given: Column, members: int, lots: int, least: int, point: int) -> None:
    """Fill in what those on the line give, ``lots`` together; the first point is at ``point``.

    Nobody gives twice, nor more than the least or his cap: together these suffice, since each part is
    below both. So two rounds are enough.
    """
    for number in range(members):
        given[order[number]] = 0
    step, first = min(least, lots), _member_at(begins, members, point)
    # Ways from the first point: of the end of the member at hand, of the next point.
    passed, way, next_way, due, left = 0, begins[first] - point, 0, 0, lots
    while left > 0:
        number = (first + passed) % members
        begin, end = begins[number], begins[number + 1] if number + 1 < members else lots
        way += end - begin
        while next_way < min(way, lots):
            due += min(step, lots - next_way)
            next_way += step
        place = order[number]
        if due > 0 and given[place] == 0:
            given[place] = min(caps[place], step, left)
            due -= given[place]
            left -= given[place]
        passed += 1
