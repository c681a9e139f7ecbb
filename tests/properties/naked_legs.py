"""Whoever is left with more exposure by what others' defaults took of him is told so, and nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from backstop.core.events import NONE, Cause, EffectKind, Health
from backstop.reference.records import Effect
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment

__all__ = ["naked_legs_are_told"]

#: Owner, account, market of the hedge, market left naked, lots there, exposure before, after.
Notice = tuple[int, int, int, int, int, int, int]
#: Effects that come after all notices of an event.
AFTERWARDS = (EffectKind.NAKED_LEG, EffectKind.BREAKER)


def naked_legs_are_told(moment: Moment) -> Findings:
    """Check the notices of an event against its trades, and the positions and marks after it."""
    effects, mirror = moment.effects, moment.mirror
    told = [effect for effect in effects if effect.kind == EffectKind.NAKED_LEG]
    due = list(_notices_due(mirror, _taken(effects)))
    most = 3 * mirror.rules.limits.effects_max // 4
    first = len(effects)
    while first and effects[first - 1].kind in AFTERWARDS:
        first -= 1
    room = max(0, most - first + 1)
    if told != [_effect(moment, notice) for notice in due[:room]]:
        yield f"{told} is told of {due}, room for {room}"


def _taken(effects: list[Effect]) -> Counter[tuple[int, int]]:
    """Return the signed lots that were taken, by account and market, in the order of the trades."""
    taken = Counter[tuple[int, int]]()
    for each in effects:
        is_crossed = each.code == Cause.ADL and each.price_ticks != 0
        if each.kind == EffectKind.TRADE and each.code in (Cause.ADL, Cause.TEAR_UP) and each.other != NONE and not is_crossed:
            taken[each.account, each.market] -= each.lots if each.account >= 0 else 0
    return taken


def _notices_due(mirror: Mirror, taken: Counter[tuple[int, int]]) -> Iterator[Notice]:
    """Yield what is to be told, in order."""
    for owner in dict.fromkeys(mirror.accounts[account].owner for account, _ in taken if account >= 0):
        mine = [number for number, row in enumerate(mirror.accounts) if row.owner == owner and row.health < Health.DISTRESSED]
        lots, gave = Counter[int](), Counter[int]()
        for account in mine:
            for market, row in mirror.positions[account].items():
                lots[market] += row.lots
                gave[market] += taken[account, market]
        of_lot = {
            market: Fraction(mirror.rules.markets[market].factor_loading_ppm * mirror.unit(market), 1_000_000) for market in sorted(lots)
        }
        left = {market: lots[market] * each for market, each in of_lot.items()}
        hedges = {market: gave[market] * each for market, each in of_lot.items()}
        after, before = int(sum(left.values())), int(sum(left.values()) + sum(hedges.values()))
        if abs(after) > abs(before):
            largest = max if after > 0 else min
            smallest = min if after > 0 else max
            first = next(account for account in mine if any(taken[account, market] for market in of_lot))
            naked = largest(left, key=left.__getitem__)
            yield owner, first, smallest(hedges, key=hedges.__getitem__), naked, lots[naked], before, after


def _effect(moment: Moment, notice: Notice) -> Effect:
    owner, account, hedge, naked, lots, before, after = notice
    return Effect(moment.event.seq, int(EffectKind.NAKED_LEG), 0, hedge, account, naked, lots, owner, before, after)
