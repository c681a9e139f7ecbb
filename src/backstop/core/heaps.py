"""Heaps in arrays of the caller: of pairs, the least first; of places, by the keys that stand
there.

A heap of pairs is two arrays, ordered by key and then by id. A heap of places is one array of
places into the keys; the larger key stands before the smaller, and of equal keys the earlier place,
or all of it in reverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel

__all__ = ["heapify_pairs", "heapify_places", "pop_pair", "push_pair", "sink_place"]

Column = NDArray[np.int64]


@inlined
def _is_less(keys: Column, ids: Column, left: int, right: int) -> bool:
    return keys[left] < keys[right] or (keys[left] == keys[right] and ids[left] < ids[right])


@inlined
def _swap(keys: Column, ids: Column, left: int, right: int) -> None:
    keys[left], keys[right] = keys[right], keys[left]
    ids[left], ids[right] = ids[right], ids[left]


@kernel
def _sink_pair(keys: Column, ids: Column, place: int, count: int) -> None:
    while True:
        least = place
        for child in range(2 * place + 1, min(2 * place + 3, count)):
            if _is_less(keys, ids, child, least):
                least = child
        if least == place:
            return
        _swap(keys, ids, place, least)
        place = least


@kernel
def heapify_pairs(keys: Column, ids: Column, count: int) -> None:
    """Make a heap of the first ``count`` pairs."""
    for place in range(count // 2, -1, -1):
        _sink_pair(keys, ids, place, count)


@kernel
def push_pair(keys: Column, ids: Column, count: int, key: int, number: int) -> None:
    """Add a pair to a heap of ``count``; there must be room for it."""
    place = count
    keys[place], ids[place] = key, number
    while place > 0 and _is_less(keys, ids, place, (place - 1) // 2):
        _swap(keys, ids, place, (place - 1) // 2)
        place = (place - 1) // 2


@kernel
def pop_pair(keys: Column, ids: Column, count: int) -> None:
    """Take the first pair from a heap of ``count > 0``; it stands behind the others then."""
    _swap(keys, ids, 0, count - 1)
    _sink_pair(keys, ids, 0, count - 1)


@inlined
def _is_before(keys: Column, left: int, right: int, is_reverse: bool) -> bool:
    if is_reverse:
        left, right = right, left
    return keys[left] > keys[right] or (keys[left] == keys[right] and left < right)


@kernel
def sink_place(keys: Column, heap: Column, place: int, count: int, is_reverse: bool) -> None:
    """Bring the entry at ``place`` of a heap of ``count`` places down to where it belongs."""
    while True:
        first = place
        for child in range(2 * place + 1, min(2 * place + 3, count)):
            if _is_before(keys, heap[child], heap[first], is_reverse):
                first = child
        if first == place:
            return
        heap[place], heap[first] = heap[first], heap[place]
        place = first


@kernel
def heapify_places(keys: Column, heap: Column, count: int, is_reverse: bool) -> None:
    """Make a heap of the first ``count`` places that stand in ``heap``."""
    for place in range(count // 2, -1, -1):
        sink_place(keys, heap, place, count, is_reverse)
