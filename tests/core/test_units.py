"""Integers that never wrap, against Python's own, at the edges of 64 bits above all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstop.core.places import BUCKET_BITS, bucket_of
from backstop.core.sorting import sort_places
from backstop.core.units import (
    add_checked,
    compare_products,
    div_ceil,
    div_floor,
    div_trunc,
    give_to_largest,
    mul_checked,
    mul_div_ceil,
    mul_div_floor,
    mul_div_trunc,
    mul_mod,
    split_by_largest_remainder,
)
from backstop.reference.arithmetic import ceil_div, sign, split, trunc_div
from tests.properties.profile import settings_of

LEAST, MOST = -(1 << 63), (1 << 63) - 1
#: Where carries, digits and signs change.
CORNERS = sorted(
    {turn * ((1 << power) + beside) for power in (0, 16, 31, 32, 33, 47, 61, 62, 63) for beside in (-2, -1, 0, 1) for turn in (-1, 1)}
)
EDGES = [number for number in CORNERS if LEAST < number <= MOST]

integers = st.sampled_from(EDGES) | st.integers(LEAST + 1, MOST) | st.integers(-5_000_000_000, 5_000_000_000)
divisors = integers.map(abs).filter(bool)
pytestmark = pytest.mark.bounds


def check(kernel: Callable[..., int], exact: int, *arguments: int) -> None:
    """Compare with Python's integers; what does not fit must raise.

    ``-2^63`` itself may do either.
    """
    if LEAST < exact <= MOST:
        assert kernel(*arguments) == exact
    elif exact != LEAST:
        with pytest.raises(OverflowError):
            kernel(*arguments)


@settings_of(400)
@given(integers, integers, divisors)
@example(MOST, MOST, MOST)
@example(-MOST, MOST, MOST)
@example(MOST, MOST, 1)
@example(1 << 62, 4, 2)
@example(-(1 << 62), 4, 2)
@example(3_037_000_500, -3_037_000_500, 7)
def test_mul_div_is_exact_and_rounds_as_it_says(left: int, right: int, divisor: int) -> None:
    check(mul_div_floor, left * right // divisor, left, right, divisor)
    check(mul_div_ceil, ceil_div(left * right, divisor), left, right, divisor)
    check(mul_div_trunc, trunc_div(left * right, divisor), left, right, divisor)


@settings_of(300)
@given(integers, integers)
def test_sums_and_products_raise_rather_than_wrap(left: int, right: int) -> None:
    check(add_checked, left + right, left, right)
    check(mul_checked, left * right, left, right)


@settings_of(200)
@given(integers, divisors)
def test_divisions_round_as_they_say(value: int, divisor: int) -> None:
    assert div_floor(value, divisor) == value // divisor
    assert div_ceil(value, divisor) == ceil_div(value, divisor)
    assert div_trunc(value, divisor) == trunc_div(value, divisor)


@settings_of(300)
@given(divisors, divisors, divisors)
def test_remainder_of_a_wide_product(left: int, right: int, divisor: int) -> None:
    if left * right // divisor < 1 << 64:
        assert mul_mod(left, right, divisor) == left * right % divisor
    else:
        with pytest.raises(OverflowError):
            mul_mod(left, right, divisor)


@settings_of(400)
@given(integers | st.just(LEAST), integers | st.just(0), integers, integers)
@example(LEAST, LEAST, LEAST, LEAST)
@example(LEAST, MOST, MOST, LEAST)
@example(0, -5, -3, 0)
def test_products_compare_exactly(left: int, left_factor: int, right: int, right_factor: int) -> None:
    assert compare_products(left, left_factor, right, right_factor) == sign(left * left_factor - right * right_factor)
    assert compare_products(left, left_factor, left_factor, left) == 0


@pytest.mark.parametrize("kernel", [mul_div_floor, mul_div_ceil, mul_div_trunc])
@pytest.mark.parametrize("divisor", [0, -1])
def test_divisor_must_be_positive(kernel: Callable[..., int], divisor: int) -> None:
    with pytest.raises(ZeroDivisionError):
        kernel(7, 7, divisor)


def scratch(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return three arrays that a split may scribble in."""
    rows = np.full((3, count), -7, dtype=np.int64)
    return rows[0], rows[1], rows[2]


@settings_of(300)
@given(st.integers(0, MOST), st.lists(st.integers(0, MOST // 40) | st.integers(0, 3), min_size=1, max_size=40))
@example(10, [5, 5, 5])
@example(MOST, [MOST // 2, MOST // 2])
@example(0, [0, 1, 0])
def test_split_gives_every_unit_to_somebody(total: int, weights: list[int]) -> None:
    if not sum(weights):
        weights[-1] = 1
    parts, remainders, heap = scratch(len(weights))
    split_by_largest_remainder(total, np.array(weights), parts, remainders, heap, len(weights))
    assert sum(parts.tolist()) == total
    assert dict(enumerate(parts.tolist())) == split(total, dict(enumerate(weights)))


def test_split_refuses_weights_that_overflow_or_vanish() -> None:
    for weights, error in (([MOST, 1], OverflowError), ([0, 0], ZeroDivisionError)):
        with pytest.raises(error):
            split_by_largest_remainder(5, np.array(weights), *scratch(2), 2)


@settings_of(200)
@given(st.lists(integers, max_size=60))
def test_sort_is_a_stable_sort(keys: list[int]) -> None:
    order, merge, _ = scratch(len(keys))
    sort_places(np.array(keys, dtype=np.int64), order, merge, len(keys))
    assert order.tolist() == sorted(range(len(keys)), key=keys.__getitem__)


def test_units_left_go_to_the_largest_remainders_and_the_earlier_of_equals() -> None:
    parts, remainders, heap = scratch(5)
    parts[:], remainders[:] = 10, (3, 9, 3, 9, -1)
    give_to_largest(3, parts, remainders, heap, 5)
    assert parts.tolist() == [11, 11, 10, 11, 10]


@settings_of(200)
@given(st.lists(st.integers(-1, 5), min_size=1, max_size=60), st.data())
def test_the_heap_gives_as_a_sort_would(left_over: list[int], data: st.DataObject) -> None:
    """Many equal remainders: the earlier comes first, whatever stood in the heap before."""
    count = len(left_over)
    left = data.draw(st.integers(0, count))
    parts, remainders, heap = scratch(count)
    parts[:], remainders[:] = 0, left_over
    give_to_largest(left, parts, remainders, heap, count)
    best = sorted(range(count), key=lambda place: (-left_over[place], place))[:left]
    assert [place for place in range(count) if parts[place]] == sorted(best)


def test_buckets_are_monotone_and_leave_no_gap() -> None:
    """A sweep steps from bucket to bucket: none may be skipped, and none may come back."""
    powers = [1 << power for power in range(1, 31)]
    prices = [*range(1, 1 << 16), *(price for power in powers for price in range(max(1, power - 300), power + 300))]
    for price in prices:
        assert bucket_of(price + 1) - bucket_of(price) in (0, 1), price


@settings_of(200)
@given(st.integers(1, (1 << 31) - 2), st.integers(1, (1 << 31) - 2))
def test_buckets_keep_order_and_stay_narrow(left: int, right: int) -> None:
    low, high = sorted((left, right))
    assert bucket_of(low) <= bucket_of(high)
    if bucket_of(low) == bucket_of(high):
        assert (high - low) << BUCKET_BITS <= low
    assert bucket_of(low) < 20 << BUCKET_BITS
