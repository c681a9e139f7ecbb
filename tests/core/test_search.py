"""The bisection against a search one by one, over every place at which an answer can change."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.search import largest_that, least_that

MOST = 20


@kernel
def _is_at_least(calls: NDArray[np.int64], number: int, terms: tuple[int, int]) -> bool:
    calls[number] += 1
    return number * terms[1] >= terms[0]


@kernel
def _is_below(calls: NDArray[np.int64], number: int, terms: tuple[int, int]) -> bool:
    calls[number] += 1
    return number * terms[1] < terms[0]


@kernel
def least(calls: NDArray[np.int64], limit: int, low: int, high: int) -> int:
    """Search upward, in compiled code as the engine does."""
    return least_that(_is_at_least, calls, (2 * limit, 2), low, high)


@kernel
def largest(calls: NDArray[np.int64], limit: int, most: int) -> int:
    """Search downward."""
    return largest_that(_is_below, calls, (2 * limit, 2), most)


@pytest.mark.parametrize("limit", range(1, MOST + 3))
def test_least_is_the_first_that_holds_or_the_end(limit: int) -> None:
    calls = np.zeros(MOST + 3, dtype=np.int64)
    assert least(calls, limit, 0, MOST) == next((number for number in range(1, MOST) if number >= limit), MOST)
    assert calls[0] == calls[MOST] == 0  # both ends are known
    assert calls.sum() <= 5  # 2^5 > 20


@pytest.mark.parametrize("limit", range(1, MOST + 3))
def test_largest_is_the_last_that_holds(limit: int) -> None:
    calls = np.zeros(MOST + 3, dtype=np.int64)
    assert largest(calls, limit, MOST) == max(number for number in range(MOST + 1) if number < limit or number == 0)
    assert calls[0] == 0
    assert calls.sum() <= 6


def test_search_begins_above_its_lower_end() -> None:
    calls = np.zeros(MOST + 3, dtype=np.int64)
    assert least(calls, 3, 7, MOST) == 8  # 3 to 7 hold too, and are not looked at
    assert calls[:8].sum() == 0
