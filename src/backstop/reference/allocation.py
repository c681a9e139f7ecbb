"""Who gives how much: in proportion to weights, or whole caps in the order of weights. Nobody gives
more than its cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backstop.reference.arithmetic import holder_order, split

__all__ = ["Line", "capped_pro_rata", "in_order"]


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
    """Those whose parts are below the least that is asked for, side by side on a circle (R6.6.20)."""

    #: Fewest lots that anyone is asked for.
    least: int
    #: The lots that it takes up, by holder, in the order in which they stand.
    parts: dict[int, int]
    #: Most lots of each.
    caps: dict[int, int]

    @classmethod
    def of(cls, parts: Mapping[int, int], caps: Mapping[int, int], least: int) -> Line:
        """Return the line of those who would give some, but neither the least nor all they can."""
        below = [holder for holder, part in parts.items() if 0 < part < min(least, caps[holder])]
        standing = sorted(below, key=lambda holder: (caps[holder] >= least, holder))
        return cls(least, {holder: parts[holder] for holder in standing}, {holder: caps[holder] for holder in standing})

    @property
    def lots(self) -> int:
        """Return how long it is."""
        return sum(self.parts.values())

    @property
    def begins(self) -> dict[int, int]:
        """Return where each begins."""
        found, before = dict[int, int](), 0
        for holder, part in self.parts.items():
            found[holder] = before
            before += part
        return found

    def points(self, first: int) -> list[tuple[int, int]]:
        """Return the points (where, for how many lots), going round once from the first."""
        ways = range(0, self.lots, self.least)
        return [((first + way) % self.lots, min(self.least, self.lots - way)) for way in ways]

    def _round(self, first: int) -> list[tuple[int, int]]:
        """Return who is passed on two rounds from a place (holder, what is due there): who stands there
        is passed as far as he lies behind it, and at the end of the round the rest of him.
        """
        order, begins = list(self.parts), self.begins
        at = max(number for number, holder in enumerate(order) if begins[holder] <= first)
        due = {True: dict.fromkeys(order, 0), False: dict.fromkeys(order, 0)}
        for where, lots in self.points(first):
            holder = max(order, key=lambda each: (begins[each] <= where, begins[each]))
            due[where >= first or holder != order[at]][holder] += lots
        behind = [(holder, due[True][holder]) for holder in (*order[at:], *order[:at])]
        return [*behind, (order[at], due[False][order[at]]), *((holder, 0) for holder in (*order[at + 1 :], *order[:at]))]

    def given(self, first: int) -> dict[int, int]:
        """Return what each gives, the first point being at a place."""
        given, due, left = dict.fromkeys(self.parts, 0), 0, self.lots
        for holder, lots in self._round(first):
            due += lots
            if due > 0 and not given[holder]:
                given[holder] = min(self.caps[holder], self.least, left)
                due -= given[holder]
                left -= given[holder]
        return given
