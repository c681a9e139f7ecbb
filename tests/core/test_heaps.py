"""Heaps of pairs and of places against sorting."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backstop.core.heaps import heapify_pairs, heapify_places, pop_pair, push_pair, sink_place

PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), max_size=30)


def popped(keys: NDArray[np.int64], ids: NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """Return all pairs in the order in which they leave the heap."""
    out = []
    for left in range(count, 0, -1):
        out.append((int(keys[0]), int(ids[0])))
        pop_pair(keys, ids, left)
    return out


@settings(deadline=None)
@given(pairs=PAIRS)
def test_pairs_leave_a_heap_in_order_however_it_was_made(pairs: list[tuple[int, int]]) -> None:
    count = len(pairs)
    pushed = np.zeros((2, count), dtype=np.int64)
    for number, (key, id_) in enumerate(pairs):
        push_pair(pushed[0], pushed[1], number, key, id_)
    made = np.array(pairs, dtype=np.int64).reshape(count, 2).T.copy()
    heapify_pairs(made[0], made[1], count)
    assert popped(pushed[0], pushed[1], count) == popped(made[0], made[1], count) == sorted(pairs)


@settings(deadline=None)
@given(keys=st.lists(st.integers(-3, 3), max_size=30), is_reverse=st.booleans())
def test_places_leave_a_heap_by_key_and_the_earlier_first_or_all_in_reverse(keys: list[int], is_reverse: bool) -> None:
    count = len(keys)
    numbers, heap = np.array(keys, dtype=np.int64), np.arange(count)
    heapify_places(numbers, heap, count, is_reverse)
    out = []
    for left in range(count, 0, -1):
        out.append(int(heap[0]))
        heap[0] = heap[left - 1]
        sink_place(numbers, heap, 0, left - 1, is_reverse)
    ordered = sorted(range(count), key=lambda place: (-keys[place], place))
    assert out == (ordered[::-1] if is_reverse else ordered)
