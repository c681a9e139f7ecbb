"""BitMEX: who is deleveraged first, the percentile that lights show, and the deleveraging itself.

Exact fractions throughout. Source: bitmex.com/app/autoDeleveraging and
/app/autoDeleveragingExamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

__all__ = ["Position", "deleverage", "effective_leverage", "lights_of", "percentiles", "pnl_share", "queue_order", "rank_score"]

_LIGHTS = 5


class Position(NamedTuple):
    """The values of one position, signed as the position is, in one unit of money.

    A linear short has a negative value at every price. An inverse long does too, as its value in
    the coin is ``-quantity / price``. Signs are what make one formula serve them all.
    """

    mark_value: Fraction
    bankrupt_value: Fraction
    entry_value: Fraction


def effective_leverage(position: Position) -> Fraction:
    """Return ``|mark value| / (mark value - bankrupt value)``; the divisor is what the position is
    worth to its holder.

    Raises ValueError where nothing is left between mark and bankruptcy: such a position is a
    defaulter's.
    """
    left = position.mark_value - position.bankrupt_value
    if left <= 0:
        raise ValueError("a position at or beyond its bankruptcy price has no effective leverage")
    return abs(position.mark_value) / left


def pnl_share(position: Position) -> Fraction:
    """Return ``(mark value - entry value) / |entry value|``."""
    return (position.mark_value - position.entry_value) / abs(position.entry_value)


def rank_score(position: Position) -> Fraction:
    """Return the score of the queue: profit share times leverage, or loss share over leverage.

    Higher goes first. A loss is divided, so that of two losers the more leveraged goes first too.
    """
    share, leverage = pnl_share(position), effective_leverage(position)
    return share * leverage if share > 0 else share / leverage


def queue_order(scores: Sequence[Fraction]) -> list[int]:
    """Return the places of the scores, highest first; equals in the order given."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def percentiles(quantities: Sequence[int], scores: Sequence[Fraction]) -> list[Fraction]:
    """Return for each position of one side the fifth of the side's contracts in which its last one
    stands.

    1/5 is the front of the queue, 1 its end: contracts up to and with its own, over all, rounded up
    to a fifth. Quantities are positive.
    """
    total, through = sum(quantities), 0
    found = [Fraction(0)] * len(quantities)
    for place in queue_order(scores):
        through += quantities[place]
        found[place] = Fraction(ceil(Fraction(through * _LIGHTS, total)), _LIGHTS)
    return found


def lights_of(percentile: Fraction) -> int:
    """Return how many of five lights are lit: all at the front of the queue, one at its end."""
    return _LIGHTS + 1 - ceil(percentile * _LIGHTS)


def deleverage(quantities: Sequence[int], scores: Sequence[Fraction], size: int) -> list[int]:
    """Return the contracts that each position gives when ``size`` of the other side is bankrupt.

    Whole positions in the order of the queue, the last one in part; all are closed at the
    bankruptcy price of the liquidated position. What exceeds the side stays with nobody.
    """
    given, left = [0] * len(quantities), size
    for place in queue_order(scores):
        given[place] = min(quantities[place], left)
        left -= given[place]
    return given
