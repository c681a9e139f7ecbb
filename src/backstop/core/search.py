"""Bisection: the number of lots at which a condition begins or ceases to hold.

A condition is a kernel ``holds(state, lots, terms)``; ``terms`` is a tuple of the other numbers
that it needs. A search becomes part of its caller, so it costs as much as a loop written out. It
must: a function that is passed to a compiled one is an address there, which no cache can keep
(docs/decisions/0024-contracts-and-margin.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from backstop.compiled import merged

__all__ = ["largest_that", "least_that"]

Held = TypeVar("Held")
Terms = TypeVar("Terms")


@merged
def _first_with(answer: bool, holds: Callable[[Held, int, Terms], bool], state: Held, terms: Terms, low: int, high: int) -> int:
    """Return the least number above ``low`` with ``answer``; ``high`` is taken to have it."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(state, middle, terms) == answer:
            high = middle
        else:
            low = middle
    return high


@merged
def least_that(holds: Callable[[Held, int, Terms], bool], state: Held, terms: Terms, low: int, high: int) -> int:
    """Return the least number above ``low`` that holds; ``high``, untried, where none below it
    does.
    """
    return _first_with(True, holds, state, terms, low, high)


@merged
def largest_that(holds: Callable[[Held, int, Terms], bool], state: Held, terms: Terms, most: int) -> int:
    """Return the largest number up to ``most`` (> 0) that holds; 0, untried, where none above it
    does.
    """
    if holds(state, most, terms):
        return most
    return _first_with(False, holds, state, terms, 0, most) - 1
