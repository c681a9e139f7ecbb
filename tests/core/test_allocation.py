"""Allocation under caps, against exact fractions written from the rules alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstop.core.waterfall.allocation import allocate, allocate_in_order
from tests.properties.profile import settings_of

pytestmark = pytest.mark.bounds

MOST = (1 << 63) - 1
small = st.tuples(st.integers(0, 9), st.integers(1, 9))
wide = st.tuples(st.integers(0, 1 << 50), st.integers(1, 1 << 57))
books = st.lists(small, min_size=1, max_size=12) | st.lists(wide, min_size=1, max_size=24)
#: A share of the caps, beyond all of them too.
shares = st.fractions(0, 1) | st.just(Fraction(3, 2))


class Given(NamedTuple):
    """What a kernel gave: parts, and eta."""

    parts: list[int]
    eta: tuple[int, int]


def run(kernel: Callable[..., tuple[int, int]], budget: int, book: list[tuple[int, int]]) -> Given:
    """Call a kernel on arrays with room to spare, which it must not touch."""
    count = len(book)
    caps, weights, parts, heap, remainders = (np.full(count + 3, -77, dtype=np.int64) for _ in range(5))
    scratch = (heap,) if kernel is allocate_in_order else (remainders, heap)
    caps[:count], weights[:count] = zip(*book, strict=True)
    before = caps.copy(), weights.copy()
    eta = kernel(budget, caps, weights, parts, *scratch, count)
    assert (before[0] == caps).all()
    assert (before[1] == weights).all()
    for column in (parts, remainders, heap):
        assert (column[count:] == -77).all()
    return Given([int(part) for part in parts[:count]], (int(eta[0]), int(eta[1])))


def exact_eta(budget: int, book: list[tuple[int, int]]) -> Fraction | None:
    """Solve sum(min(cap, eta x weight)) = budget by walking up the caps; None where the caps do not
    exceed it.
    """
    rising = sorted((cap for cap in book if cap[0] > 0), key=lambda row: Fraction(*row))
    left, weight = budget, sum(weight for _, weight in rising)
    if sum(cap for cap, _ in rising) <= budget:
        return None
    for cap, own in rising:
        if Fraction(cap, own) > Fraction(left, weight):
            break
        left, weight = left - cap, weight - own
    return Fraction(left, weight)


@settings_of(400)
@given(books, shares)
@example([(5, 1), (0, 9), (5, 1)], Fraction(1, 2))
@example([(1, 1)] * 7, Fraction(3, 7))
@example([(1 << 50, 1 << 57)] * 24, Fraction(1, 3))
def test_parts_are_the_capped_shares_rounded_by_largest_remainder(book: list[tuple[int, int]], share: Fraction) -> None:
    budget = int(share * sum(cap for cap, _ in book))
    parts, eta = run(allocate, budget, book)
    solved = exact_eta(budget, book)
    if solved is None:
        assert (parts, eta) == ([cap for cap, _ in book], (0, 0))
        return
    assert Fraction(*eta) == solved
    assert sum(parts) == budget
    exact = [min(Fraction(cap), solved * weight) for cap, weight in book]
    extra = [part - int(share) for part, share in zip(parts, exact, strict=True)]
    assert set(extra) <= {0, 1}
    by_remainder = sorted(range(len(book)), key=lambda place: (-(exact[place] % 1), place))
    assert [extra[place] for place in by_remainder] == sorted(extra, reverse=True)
    assert all(part <= cap for part, (cap, _) in zip(parts, book, strict=True))


@settings_of(400)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3) | st.integers(-MOST, MOST)), min_size=1, max_size=12), shares)
def test_ordered_gives_whole_caps_from_the_largest_weight_down(book: list[tuple[int, int]], share: Fraction) -> None:
    total = sum(cap for cap, _ in book)
    budget = int(share * total)
    parts, eta = run(allocate_in_order, budget, book)
    assert sum(parts) == min(budget, total)
    left, last = budget, 0
    for place in sorted(range(len(book)), key=lambda place: (-book[place][1], place)):
        assert parts[place] == min(left, book[place][0])
        last = book[place][1] if parts[place] else last
        left -= parts[place]
    assert eta == ((0, 0) if total <= budget else (last if budget else 0, 0))


@pytest.mark.parametrize("kernel", [allocate, allocate_in_order])
def test_candidates_without_a_positive_cap_take_no_part(kernel: Callable[..., tuple[int, int]]) -> None:
    """A cap below zero counts as none: callers set aside candidates of another class so."""
    book = [(-4, 9), (3, 2), (0, 7), (3, 1)]
    assert run(kernel, 4, book).parts in ([0, 3, 0, 1], [0, 2, 0, 2], [0, 3, 0, 1])
    assert run(kernel, 4, book).parts == run(kernel, 4, [(0, 9), (3, 2), (0, 1), (3, 1)]).parts
    assert run(kernel, 6, book) == Given([0, 3, 0, 3], (0, 0))
    assert run(kernel, 0, book).parts == [0, 0, 0, 0]


@pytest.mark.parametrize("kernel", [allocate, allocate_in_order])
def test_sums_beyond_63_bits_raise(kernel: Callable[..., tuple[int, int]]) -> None:
    with pytest.raises(OverflowError):
        run(kernel, 5, [(MOST, 1), (1, 1)])
    with pytest.raises(OverflowError):
        run(allocate, 5, [(5, MOST), (5, 1)])
