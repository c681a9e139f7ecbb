"""BitMEX: six longs in the queue for deleveraging, and a short of 20 that went bankrupt at 650.

Source: bitmex.com/app/autoDeleveragingExamples. The page gives quantities, scores (its "PNL
ranking", higher first) and what follows from them, not the entries and bankruptcy prices behind the
scores. ``entry`` and ``bankruptcy`` are this project's choice: such that the page's formula gives
exactly these scores at a mark of 700.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

__all__ = ["BANKRUPTCY_PRICE", "LONGS", "MARK", "SIZE", "Long"]

MARK, BANKRUPTCY_PRICE, SIZE = 700, 650, 20


class Long(NamedTuple):
    """A long: quantity and score, its entry and bankruptcy prices; the percentile, what it gives,
    what it keeps.
    """

    account: int
    quantity: int
    score: int
    entry: Fraction
    bankruptcy: Fraction
    percentile: Fraction
    given: int
    kept: int


def _bought_at_half(account: int, quantity: int, score: int, fifth: int, given: int) -> Long:
    """Return a long that has doubled its entry, so that its score is its leverage."""
    bankruptcy = MARK * (1 - Fraction(1, score))
    return Long(account, quantity, score, Fraction(MARK, 2), bankruptcy, Fraction(fifth, 5), given, quantity - given)


LONGS = (
    _bought_at_half(1, 10, 3, 4, 0),
    _bought_at_half(2, 10, 6, 1, 10),
    _bought_at_half(3, 20, 1, 5, 0),
    _bought_at_half(4, 30, 4, 3, 0),
    _bought_at_half(5, 20, 5, 2, 10),
    _bought_at_half(6, 10, 2, 4, 0),
)
