"""Who gives how much: in proportion to weights, or whole caps in the order of weights. Nobody gives
more than its cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backstop.reference.arithmetic import holder_order, split

__all__ = ["DRAW", "Line", "capped_pro_rata", "in_order"]

#: Places of a line for which one is drawn for sure.
DRAW = 1 << 32


def capped_pro_rata(lots: int, weights: dict[int, int], caps: dict[int, int]) -> tuple[dict[int, int], tuple[int, int]]:
    """Place lots by weight, nobody beyond its cap; return the lots of each, and eta as a fraction
    (0 / 0: all caps).
    """
    if sum(caps.values()) <= lots:
        return dict(caps), (0, 0)
    given: dict[int, int] = {}
    while True:
        rest = {holder: weight for holder, weight in weights.items() if holder not in given}
        total = sum(rest.values())
        to_place = lots - sum(given.values())
        full = {holder: caps[holder] for holder in rest if caps[holder] * total <= to_place * rest[holder]}
        if not full:
            return given | split(to_place, rest), (to_place, total)
        given |= full


def in_order(lots: int, weights: dict[int, int], caps: dict[int, int]) -> tuple[dict[int, int], tuple[int, int]]:
    """Place lots by whole caps, the largest weight first, ties by id; eta is the weight of the last
    that gave, over 0.
    """
    given = dict.fromkeys(caps, 0)
    last = 0
    for holder in sorted(weights, key=lambda each: (-weights[each], holder_order(each))):
        given[holder] = min(caps[holder], lots)
        lots -= given[holder]
        if given[holder]:
            last = weights[holder]
    return given, (0 if given == caps else last, 0)


class Line(NamedTuple):
    """Those whose parts are below the least that is asked for, one behind the other (R6.6.20)."""

    #: Fewest lots that anyone is asked for.
    least: int
    #: The part of each, by holder, in the order in which they stand.
    parts: dict[int, int]
    #: What each gives if he is drawn.
    gives: dict[int, int]

    @classmethod
    def of(cls, parts: Mapping[int, int], caps: Mapping[int, int], least: int) -> Line:
        """Return the line of those who would give some, but neither the least nor all they can."""
        gives = {holder: min(caps[holder], least) for holder, part in parts.items() if 0 < part < min(caps[holder], least)}
        standing = sorted(gives, key=lambda holder: (gives[holder], holder))
        return cls(least, {holder: parts[holder] for holder in standing}, {holder: gives[holder] for holder in standing})

    @property
    def lots(self) -> int:
        """Return what all of them give together."""
        return sum(self.parts.values())

    @property
    def spans(self) -> dict[int, range]:
        """Return the places that each takes up."""
        found, before = dict[int, range](), 0
        for holder, part in self.parts.items():
            after = before + max(1, part * DRAW // self.gives[holder])
            found[holder] = range(before, after)
            before = after
        return found

    @property
    def length(self) -> int:
        """Return how many places it has."""
        return max(span.stop for span in self.spans.values())

    def given(self, first: int) -> dict[int, int]:
        """Return what each gives, the first point being at a place."""
        spans, order = self.spans, list(self.parts)
        points = range(first, self.length, DRAW)
        drawn = [holder for holder in order if any(point in spans[holder] for point in points)]
        last = order.index(drawn[-1])
        others = [holder for holder in (*reversed(order[:last]), *reversed(order[last:])) if holder not in drawn]
        given, left = dict.fromkeys(order, 0), self.lots
        for holder in (*drawn, *others):
            given[holder] = min(self.gives[holder], left)
            left -= given[holder]
        return given
