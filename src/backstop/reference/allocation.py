"""Who gives how much: in proportion to weights, or whole caps in the order of weights. Nobody gives
more than its cap.
"""

from __future__ import annotations

from backstop.reference.arithmetic import holder_order, split

__all__ = ["capped_pro_rata", "in_order"]


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
