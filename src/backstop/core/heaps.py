"""Heaps in arrays of the caller: of pairs, the least first; of places, by the keys that stand
there.

A heap of pairs is two arrays, ordered by key and then by id. A heap of places is one array of
places into the keys; the larger key stands before the smaller, and of equal keys the earlier place,
or all of it in reverse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel, merged

__all__ = ["heapify_pairs", "heapify_places", "pop_pair", "push_pair", "sink", "sink_place"]

Column = NDArray[np.int64]
#: Keys and ids.
Pairs = tuple[Column, Column]
#: Keys, places in them, whether the order is reversed.
Places = tuple[Column, Column, bool]
Heap = TypeVar("Heap")


@merged
def sink(
    comes_before: Callable[[Heap, int, int], bool], swap: Callable[[Heap, int, int], None], heap: Heap, place: int, count: int
) -> None:
    """Bring the entry at ``place`` of a heap of ``count`` entries down to where it belongs."""
    while True:
        first = place
        for child in range(2 * place + 1, min(2 * place + 3, count)):
            if comes_before(heap, child, first):
                first = child
        if first == place:
            break
        swap(heap, place, first)
        place = first


@inlined
def _is_less(heap: Pairs, left: int, right: int) -> bool:
    keys, ids = heap
    return keys[left] < keys[right] or (keys[left] == keys[right] and ids[left] < ids[right])


@inlined
def _swap_pairs(heap: Pairs, left: int, right: int) -> None:
    keys, ids = heap
    keys[left], keys[right] = keys[right], keys[left]
    ids[left], ids[right] = ids[right], ids[left]


@kernel
def _sink_pair(heap: Pairs, place: int, count: int) -> None:
    sink(_is_less, _swap_pairs, heap, place, count)


@kernel
def heapify_pairs(keys: Column, ids: Column, count: int) -> None:
    """Make a heap of the first ``count`` pairs."""
    for place in range(count // 2, -1, -1):
        _sink_pair((keys, ids), place, count)


@kernel
def push_pair(keys: Column, ids: Column, count: int, key: int, number: int) -> None:
    """Add a pair to a heap of ``count``; there must be room for it."""
    place, heap = count, (keys, ids)
    keys[place], ids[place] = key, number
    while place > 0 and _is_less(heap, place, (place - 1) // 2):
        _swap_pairs(heap, place, (place - 1) // 2)
        place = (place - 1) // 2


@kernel
def pop_pair(keys: Column, ids: Column, count: int) -> None:
    """Take the first pair from a heap of ``count > 0``; it stands behind the others then."""
    heap = (keys, ids)
    _swap_pairs(heap, 0, count - 1)
    _sink_pair(heap, 0, count - 1)


@inlined
def _is_larger(heap: Places, left: int, right: int) -> bool:
    keys, places, is_reverse = heap
    left, right = places[left], places[right]
    if is_reverse:
        left, right = right, left
    return keys[left] > keys[right] or (keys[left] == keys[right] and left < right)


@inlined
def _swap_places(heap: Places, left: int, right: int) -> None:
    _, places, _ = heap
    places[left], places[right] = places[right], places[left]


@kernel
def sink_place(keys: Column, heap: Column, place: int, count: int, is_reverse: bool) -> None:
    """Bring the entry at ``place`` of a heap of ``count`` places down to where it belongs."""
    sink(_is_larger, _swap_places, (keys, heap, is_reverse), place, count)


@kernel
def heapify_places(keys: Column, heap: Column, count: int, is_reverse: bool) -> None:
    """Make a heap of the first ``count`` places that stand in ``heap``."""
    for place in range(count // 2, -1, -1):
        sink_place(keys, heap, place, count, is_reverse)
