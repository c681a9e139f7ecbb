"""Division with its rounding side in its name, and the two ways of splitting that the rules
know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["ceil_div", "holder_order", "largest_that", "least_that", "part_of", "sign", "split", "trunc_div"]


def ceil_div(dividend: int, divisor: int) -> int:
    """Divide toward plus infinity; floor division is Python's ``//``."""
    return -(-dividend // divisor)


def trunc_div(dividend: int, divisor: int) -> int:
    """Divide toward zero, ``divisor > 0``."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)


def part_of(whole: int, lots: int, before: int, part: int) -> int:
    """Part of a whole that goes with ``part`` of ``lots``, after ``before`` of them: parts in a row
    add up to the whole.
    """
    return ceil_div(whole * (before + part), lots) - ceil_div(whole * before, lots)


def sign(number: int) -> int:
    """Return -1, 0 or 1."""
    return (number > 0) - (number < 0)


def holder_order(holder: int) -> tuple[bool, int]:
    """Order holders by id, the house after accounts, OUTSIDE before error_inventory."""
    return holder < 0, abs(holder)


def split(whole: int, weights: Mapping[int, int]) -> dict[int, int]:
    """Split ``whole >= 0`` among holders by weight: floor, then one each by largest remainder, ties
    by ``holder_order``.
    """
    total = sum(weights.values())
    parts = {holder: whole * weight // total for holder, weight in weights.items()}
    left = whole - sum(parts.values())
    by_remainder = sorted(weights, key=lambda holder: (-(whole * weights[holder] % total), holder_order(holder)))
    for holder in by_remainder[:left]:
        parts[holder] += 1
    return parts


def least_that(good: Callable[[int], bool], low: int, high: int) -> int:
    """Bisect between ``low``, which is not good, and ``high``, which is; return the good end."""
    while high - low > 1:
        middle = (low + high) // 2
        if good(middle):
            high = middle
        else:
            low = middle
    return high


def largest_that(good: Callable[[int], bool], low: int, high: int) -> int:
    """Bisect between ``low``, which is good, and ``high``, which is not; return the good end."""
    while high - low > 1:
        middle = (low + high) // 2
        if good(middle):
            low = middle
        else:
            high = middle
    return low
