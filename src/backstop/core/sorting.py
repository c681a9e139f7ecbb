"""The only sort: a stable merge sort of places, without memory of its own.

The order is a kernel ``comes_before(keys, left, right)`` over two places. The sort becomes part of
its caller and the order part of the sort, as in ``search``: so a sort by an order of one's own
costs no more than one written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel, merged

__all__ = ["merge_sort", "sort_places"]

Column = NDArray[np.int64]
Keys = TypeVar("Keys")


@merged
def merge_sort(comes_before: Callable[[Keys, int, int], bool], keys: Keys, order: Column, merge: Column, count: int) -> None:
    """Fill ``order[:count]`` with the places 0 to ``count - 1`` in the order of ``comes_before``.

    Places of which neither comes before the other stay as they stand. ``merge`` is scratch.
    """
    for place in range(count):
        order[place] = place
    width = 1
    while width < count:
        start = 0
        while start < count:
            middle, end = min(start + width, count), min(start + 2 * width, count)
            left, right = start, middle
            for place in range(start, end):
                if left < middle and (right >= end or not comes_before(keys, order[right], order[left])):
                    merge[place] = order[left]
                    left += 1
                else:
                    merge[place] = order[right]
                    right += 1
            start += 2 * width
        for place in range(count):
            order[place] = merge[place]
        width *= 2


@inlined
def _is_less(keys: Column, left: int, right: int) -> bool:
    return keys[left] < keys[right]


@kernel
def sort_places(keys: Column, order: Column, merge: Column, count: int) -> None:
    """Fill ``order[:count]`` with the places of ``keys[:count]`` ascending, equal keys as they
    stand; ``merge`` is scratch.
    """
    merge_sort(_is_less, keys, order, merge, count)
