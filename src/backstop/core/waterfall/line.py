"""Who gives in place of those whose parts are below the least that is asked for.

They stand on a line, each on as many places as his chance to be drawn, which is his part over what
he then gives: the least, or all that he can. Points at equal distances fall on those who are drawn,
so that on average each gives his part. Like ``allocation`` it knows neither state nor accounts.
Rules: R6.6.20.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.sorting import sort_places
from backstop.core.units import add_checked, mul_div_floor

__all__ = ["DRAW", "give_from_line", "stand_on_line"]

Column = NDArray[np.int64]

#: Places of a line for which one is drawn for sure.
DRAW = 1 << 32


@kernel
def stand_on_line(
    caps: Column, parts: Column, standing: Column, begins: Column, sorting: tuple[Column, Column, Column], count: int, least: int
) -> tuple[int, int, int]:
    """Write who stands on the line to ``standing``, who can give least first, ties to the earlier, and
    to ``begins`` the first place of each; return how many they are, their parts and places together.

    They are the ``parts[:count]`` above 0 that are below the least and below their caps. ``sorting``
    is scratch.
    """
    keys, order, merge = sorting
    members, lots = 0, 0
    for place in range(count):
        if 0 < parts[place] < min(least, caps[place]):
            keys[members], begins[members] = min(least, caps[place]), place
            members += 1
            lots = add_checked(lots, parts[place])
    sort_places(keys, order, merge, members)
    for number in range(members):
        standing[number] = begins[order[number]]
    length = 0
    for number in range(members):
        place = standing[number]
        begins[number] = length
        length += max(1, mul_div_floor(parts[place], DRAW, min(least, caps[place])))
    return members, lots, length


@kernel
def give_from_line(caps: Column, standing: Column, begins: Column, given: Column, terms: tuple[int, int, int, int], point: int) -> None:
    """Fill in what those on the line give, their parts together; the first point is at ``point``.

    ``terms`` are what ``stand_on_line`` returned, and the least. Nobody gives twice, nor more than
    the least or his cap: together these suffice, since each part is below both.
    """
    members, lots, length, least = terms
    left, last, next_point = lots, 0, point
    for number in range(members):
        place, end = standing[number], begins[number + 1] if number + 1 < members else length
        given[place] = 0
        if next_point < end:
            given[place] = min(least, caps[place], left)
            left -= given[place]
            last = number
            next_point += DRAW
    number = last
    while left > 0:
        number = number - 1 if number > 0 else members - 1
        place = standing[number]
        if given[place] == 0:
            given[place] = min(least, caps[place], left)
            left -= given[place]
