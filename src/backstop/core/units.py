"""Integers that never wrap: checked sums, wide products, named rounding, exact splits.

Everything is ``int64``. A product that may exceed 63 bits goes through ``mul_div_*`` (128 bits
between), and a result that does not fit raises ``OverflowError``. ``uint64`` lives in this module
only: NumPy turns ``int64 + uint64`` into a float, numba does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.heaps import heapify_places, sink_place

__all__ = [
    "add_checked",
    "compare_products",
    "div_ceil",
    "div_floor",
    "div_trunc",
    "mul_checked",
    "mul_div_ceil",
    "mul_div_floor",
    "mul_div_trunc",
    "give_to_largest",
    "mul_mod",
    "scramble",
    "split_by_largest_remainder",
]

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TOP = np.uint64(1 << 63)
_BASE = np.uint64(1 << 32)
_INT64_MAX = (1 << 63) - 1
#: One above the least int64: its negative fits, so that no sign is ever lost.
_INT64_MIN = -(1 << 63) + 1
#: Products of two numbers up to this fit in 63 bits.
_SMALL = 3_037_000_499

# The splitmix64 generator of Steele, Lea and Flood (2014): its step and the two factors of its
# finaliser.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)


@inlined
def add_checked(left: int, right: int) -> int:
    """Return ``left + right``; raise ``OverflowError`` where its magnitude exceeds 63 bits."""
    if right >= 0:
        if left > _INT64_MAX - right:
            raise OverflowError("sum exceeds int64")
    elif left < _INT64_MIN - right:
        raise OverflowError("sum exceeds int64")
    return left + right


@inlined
def div_floor(value: int, divisor: int) -> int:
    """Return ``value / divisor`` toward minus infinity; ``divisor > 0``."""
    return value // divisor


@inlined
def div_ceil(value: int, divisor: int) -> int:
    """Return ``value / divisor`` toward plus infinity; ``divisor > 0``."""
    return -((-value) // divisor)


@inlined
def div_trunc(value: int, divisor: int) -> int:
    """Return ``value / divisor`` toward zero; ``divisor > 0``."""
    return value // divisor if value >= 0 else -((-value) // divisor)


@inlined
def _magnitude(value: int) -> np.uint64:
    return np.uint64(value) if value >= 0 else np.uint64(-(value + 1)) + _ONE


@kernel
def _mul_wide(left: np.uint64, right: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the 128-bit product as (high, low), from 32-bit halves: no intermediate wraps."""
    left_low, left_high = left & _MASK, left >> _HALF
    right_low, right_high = right & _MASK, right >> _HALF
    low_low = left_low * right_low
    low_high = left_low * right_high
    high_low = left_high * right_low
    middle = (low_low >> _HALF) + (low_high & _MASK) + (high_low & _MASK)
    low = (low_low & _MASK) | (middle << _HALF)
    high = left_high * right_high + (low_high >> _HALF) + (high_low >> _HALF) + (middle >> _HALF)
    return high, low


@kernel
def _div_digit(high: np.uint64, digit: np.uint64, divisor: np.uint64) -> np.uint64:
    """Return one 32-bit digit of a long division: ``(high, digit) / divisor``, ``divisor``
    normalised.
    """
    divisor_high, divisor_low = divisor >> _HALF, divisor & _MASK
    quotient = high // divisor_high
    rest = high - quotient * divisor_high
    while quotient >= _BASE or quotient * divisor_low > ((rest << _HALF) | digit):
        quotient -= _ONE
        rest += divisor_high
        if rest >= _BASE:
            break
    return quotient


@kernel
def _div_wide(high: np.uint64, low: np.uint64, divisor: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return quotient and remainder of a 128-bit number; ``high < divisor``.

    Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D, in base 2^32. The differences
    below wrap modulo 2^64 on the way to a result that fits.
    """
    shift = _ZERO
    while divisor < _TOP:
        divisor <<= _ONE
        shift += _ONE
    if shift > _ZERO:
        high = (high << shift) | (low >> (np.uint64(64) - shift))
        low = low << shift
    first = _div_digit(high, low >> _HALF, divisor)
    between = ((high << _HALF) | (low >> _HALF)) - first * divisor
    second = _div_digit(between, low & _MASK, divisor)
    remainder = ((between << _HALF) | (low & _MASK)) - second * divisor
    return (first << _HALF) | second, remainder >> shift


@kernel
def _mul_div(left: int, right: int, divisor: int) -> tuple[int, bool, bool]:
    """Return (magnitude of the truncated quotient, whether it is negative, whether a rest is
    left).
    """
    if divisor <= 0:
        raise ZeroDivisionError("divisor must be positive")
    negative = (left < 0) != (right < 0)
    high, low = _mul_wide(_magnitude(left), _magnitude(right))
    by = np.uint64(divisor)
    if high >= by:
        raise OverflowError("quotient exceeds int64")
    if high == _ZERO:
        quotient = low // by
        remainder = low - quotient * by
    else:
        quotient, remainder = _div_wide(high, low, by)
    if quotient >= _TOP:
        raise OverflowError("quotient exceeds int64")
    return int(np.int64(quotient)), negative, bool(remainder != _ZERO)


@kernel
def mul_checked(left: int, right: int) -> int:
    """Return ``left x right``; raise ``OverflowError`` beyond 63 bits."""
    if -_SMALL <= left <= _SMALL and -_SMALL <= right <= _SMALL:
        return left * right
    magnitude, negative, _ = _mul_div(left, right, 1)
    return -magnitude if negative else magnitude


@kernel
def mul_div_floor(left: int, right: int, divisor: int) -> int:
    """Return ``left x right / divisor`` toward minus infinity, with 128 bits between;
    ``divisor > 0``.
    """
    if -_SMALL <= left <= _SMALL and -_SMALL <= right <= _SMALL and divisor > 0:
        return left * right // divisor
    magnitude, negative, rest = _mul_div(left, right, divisor)
    if negative:
        return -magnitude - 1 if rest else -magnitude
    return magnitude


@kernel
def mul_div_ceil(left: int, right: int, divisor: int) -> int:
    """Return ``left x right / divisor`` toward plus infinity, with 128 bits between;
    ``divisor > 0``.
    """
    return -mul_div_floor(-left, right, divisor)


@kernel
def mul_div_trunc(left: int, right: int, divisor: int) -> int:
    """Return ``left x right / divisor`` toward zero, with 128 bits between; ``divisor > 0``."""
    magnitude, negative, _ = _mul_div(left, right, divisor)
    return -magnitude if negative else magnitude


@kernel
def mul_mod(left: int, right: int, divisor: int) -> int:
    """Return ``left x right mod divisor`` for non-negative factors, with 128 bits between."""
    high, low = _mul_wide(np.uint64(left), np.uint64(right))
    by = np.uint64(divisor)
    if high == _ZERO:
        return int(np.int64(low % by))
    if high >= by:
        raise OverflowError("quotient exceeds int64")
    _, remainder = _div_wide(high, low, by)
    return int(np.int64(remainder))


@kernel
def compare_products(left: int, left_factor: int, right: int, right_factor: int) -> int:
    """Return the sign of ``left x left_factor - right x right_factor``, exactly (128 bits)."""
    left_negative = (left < 0) != (left_factor < 0)
    right_negative = (right < 0) != (right_factor < 0)
    left_high, left_low = _mul_wide(_magnitude(left), _magnitude(left_factor))
    right_high, right_low = _mul_wide(_magnitude(right), _magnitude(right_factor))
    if left_high == _ZERO and left_low == _ZERO:
        left_negative = False
    if right_high == _ZERO and right_low == _ZERO:
        right_negative = False
    if left_negative != right_negative:
        return -1 if left_negative else 1
    sign = -1 if left_negative else 1
    if left_high != right_high:
        return sign if left_high > right_high else -sign
    if left_low != right_low:
        return sign if left_low > right_low else -sign
    return 0


@inlined
def _add_modulo(left: np.uint64, right: np.uint64) -> np.uint64:
    """Return the sum modulo 2^64, from 32-bit halves: no intermediate wraps."""
    low = (left & _MASK) + (right & _MASK)
    high = (left >> _HALF) + (right >> _HALF) + (low >> _HALF)
    return (high << _HALF) | (low & _MASK)


@inlined
def _mul_modulo(left: np.uint64, right: np.uint64) -> np.uint64:
    _, low = _mul_wide(left, right)
    return low


@kernel
def scramble(seq: int, market: int, account: int) -> int:
    """Return a number from 0 to 2^62 - 1 that says nothing about its arguments (all >= 0) and that
    everyone can recompute.

    The splitmix64 finaliser over a sum of multiples (R6.6.15). No secret: who knows
    ``seq`` knows it.
    """
    value = _mul_modulo(np.uint64(seq), _STEP)
    value = _add_modulo(value, _mul_modulo(np.uint64(market + 1), _FIRST_FACTOR))
    value = _add_modulo(value, _mul_modulo(np.uint64(account + 1), _SECOND_FACTOR))
    value = _mul_modulo(value ^ (value >> np.uint64(30)), _FIRST_FACTOR)
    value = _mul_modulo(value ^ (value >> np.uint64(27)), _SECOND_FACTOR)
    value ^= value >> np.uint64(31)
    return int(np.int64(value >> np.uint64(2)))


@kernel
def split_by_largest_remainder(
    total: int,
    weights: NDArray[np.int64],
    parts: NDArray[np.int64],
    remainders: NDArray[np.int64],
    heap: NDArray[np.int64],
    count: int,
) -> None:
    """Split ``total >= 0`` over ``weights[:count] >= 0`` into ``parts[:count]``, exactly.

    Each part is the floor of its share; what is left goes one unit each to the largest remainders,
    the earlier first where they are equal (so callers order the weights by id). ``remainders``
    and ``heap`` are scratch. Raises ``OverflowError`` when the weights' sum exceeds int64
    and ``ZeroDivisionError`` when it is 0.
    """
    weight_sum = 0
    for index in range(count):
        weight_sum = add_checked(weight_sum, weights[index])
    left = total
    for index in range(count):
        parts[index] = mul_div_floor(total, weights[index], weight_sum)
        remainders[index] = mul_mod(total, weights[index], weight_sum)
        left -= parts[index]
    give_to_largest(left, parts, remainders, heap, count)


@kernel
def give_to_largest(left: int, parts: NDArray[np.int64], remainders: NDArray[np.int64], heap: NDArray[np.int64], count: int) -> None:
    """Add one unit to each of the ``left <= count`` parts with the largest remainders, ties to the
    earlier.

    ``heap`` is scratch. It holds the ``left`` best so far, the worst of them on top: no sort, since
    there are few units to give and many who might get one.
    """
    if left <= 0:
        return
    for place in range(left):
        heap[place] = place
    heapify_places(remainders, heap, left, True)
    for place in range(left, count):
        if remainders[place] > remainders[heap[0]]:
            heap[0] = place
            sink_place(remainders, heap, 0, left, True)
    for place in range(left):
        parts[heap[place]] += 1
