"""ADL policy ``water_filling``: the leverage of those who are asked is levelled from the top.

Each lot comes from whoever then has the most exposure to the factor per equity, the lot that he
would give counted by half. So the order in which lots are given does not depend on how many are
given at once. ``level_from_top`` knows neither state nor accounts, as ``allocation``. Rules:
R6.6.23 to R6.6.25.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.columns import (
    ADL_CAP,
    ADL_CLASS,
    ADL_EQUITY,
    ADL_EXPOSURE,
    ADL_GIVEN,
    ADL_LOTS,
    ADL_OWNER,
    ADL_PART,
    ADL_WEIGHT,
    COUNTERPARTY_POSITION,
    OWNER_EXPOSURE,
    OWNER_EXPOSURE_EVENT,
    OWNER_EXPOSURE_REST,
    OWNER_FIRST,
    OWNER_PLACE,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.contracts import notional_at_mark, value_at_mark
from backstop.core.events import NONE, AdlClass, Health
from backstop.core.heaps import sink
from backstop.core.search import least_that
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products, div_ceil, mul_checked, mul_div_ceil, mul_div_floor
from backstop.core.waterfall.exposure import add_exposure
from backstop.core.waterfall.ranking import equity_of

__all__ = ["enter_standings", "fill_to_level", "level_from_top", "note_given"]

Column = NDArray[np.int64]
#: Exposures, equities, caps, atoms of a lot, how many, parts of a level.
Standings = tuple[Column, Column, Column, int, int, int]
#: Next levels, equities, places.
Levels = tuple[Column, Column, Column]

_PPM = 1_000_000
#: Neither exposure nor equity counts as more.
_ATOMS_MAX = 1 << 60
#: Parts into which the level is bisected: first coarse, then fine where it then fits.
_COARSE, _FINER = 1_000_000_000, 1_000_000
_COARSE_MAX = 4_000_000_000_000


@inlined
def _add_exposure(state: State, owner: int, market: int, value: int) -> None:
    """Add the loading of a market x a signed value in it to the exposure of an owner, exactly."""
    loading = state.markets[market].factor_loading_ppm
    whole, rest = state.columns[OWNER_EXPOSURE, owner], state.columns[OWNER_EXPOSURE_REST, owner]
    state.columns[OWNER_EXPOSURE, owner], state.columns[OWNER_EXPOSURE_REST, owner] = add_exposure(whole, rest, loading, value)


@kernel
def _sum_exposure(state: State, owner: int) -> None:
    """Sum the exposure of an owner's accounts not in default, once an event: what he gives to ADL
    after that is noted (``note_given``).
    """
    if state.columns[OWNER_EXPOSURE_EVENT, owner] == state.engine[0].accepted + 1:
        return
    state.columns[OWNER_EXPOSURE, owner] = state.columns[OWNER_EXPOSURE_REST, owner] = 0
    account = state.columns[OWNER_FIRST, owner]
    while account != NONE:
        if state.accounts[account].health < Health.DISTRESSED:
            position = state.accounts[account].first_position
            while position != NONE:
                row = state.positions[position]
                if row.lots != 0:
                    _add_exposure(state, owner, row.market, value_at_mark(state, row.market, row.lots))
                position = row.next_of_account
        account = state.accounts[account].next_of_owner
    state.columns[OWNER_EXPOSURE_EVENT, owner] = state.engine[0].accepted + 1


@kernel
def _exposure_of(state: State, market: int, owner: int, sign: int) -> int:
    """Return the exposure of an owner as notional of a market: what lots there on the side ``sign``
    have as much exposure as all his positions. Rounded down; below 0 he has more of the other side.
    """
    _sum_exposure(state, owner)
    whole, rest = state.columns[OWNER_EXPOSURE, owner], state.columns[OWNER_EXPOSURE_REST, owner]
    loading = sign * state.markets[market].factor_loading_ppm
    if loading < 0:
        loading = -loading
        whole, rest = (-whole - 1, _PPM - rest) if rest > 0 else (-whole, 0)
    if whole // loading > _ATOMS_MAX // _PPM:
        return _ATOMS_MAX
    if whole // loading < -_ATOMS_MAX // _PPM:
        return -_ATOMS_MAX
    rest += whole % loading * _PPM % loading
    found = mul_div_floor(whole, _PPM, loading) + rest // loading
    return max(-_ATOMS_MAX, min(found, _ATOMS_MAX))


@kernel
def enter_standings(state: State, market: int, sign: int, count: int) -> None:
    """Fill in exposure, equity and weight, his leverage, of every candidate but the house; who is in
    PROFITABLE stands in REST, since leverage and not profit decides. Their caps must be known.
    """
    for place in range(count):
        owner = state.columns[ADL_OWNER, place]
        if owner == NONE:
            continue
        if state.columns[ADL_CLASS, place] == AdlClass.PROFITABLE:
            state.columns[ADL_CLASS, place] = AdlClass.REST
        exposure, first = _exposure_of(state, market, owner, sign), state.columns[OWNER_PLACE, owner]
        if first != place:
            # Hedged lots are asked for when all that he could give before is given.
            exposure -= notional_at_mark(state, market, state.columns[ADL_CAP, first])
        least = div_ceil(abs(exposure) + notional_at_mark(state, market, state.columns[ADL_LOTS, place]), _PPM)
        equity = max(least, min(equity_of(state, owner), _ATOMS_MAX))
        state.columns[ADL_EXPOSURE, place], state.columns[ADL_EQUITY, place] = exposure, equity
        state.columns[ADL_WEIGHT, place] = mul_div_floor(exposure, _PPM, equity)


@kernel
def note_given(state: State, market: int, sign: int, count: int) -> None:
    """Take what candidates gave of the side ``sign`` from the exposures of their owners."""
    for place in range(count):
        owner, lots = state.columns[ADL_OWNER, place], state.columns[ADL_GIVEN, place]
        if owner != NONE and lots > 0:
            _add_exposure(state, owner, market, value_at_mark(state, market, -sign * lots))


@inlined
def _lots_above(standings: Standings, place: int, level: int) -> int:
    """Return the lots of a candidate that are at or above a level, at most its cap."""
    exposures, equities, caps, lot, _, parts = standings
    twice, above = 2 * equities[place], 2 * exposures[place] + lot
    if compare_products(above - 2 * lot, parts, level, twice) < 0:
        return 0
    if compare_products(above - 2 * lot * caps[place], parts, level, twice) >= 0:
        return caps[place]
    return (above - mul_div_ceil(level, twice, parts)) // (2 * lot)


@inlined
def _is_enough(standings: Standings, level: int, most: int) -> bool:
    """Return whether no more than ``most`` lots are at or above a level."""
    _, _, caps, _, count, _ = standings
    found, place = 0, 0
    while place < count and found <= most:
        if caps[place] > 0:
            found += _lots_above(standings, place, level)
        place += 1
    return found <= most


@kernel
def _bisect(standings: Standings, low: int, high: int, most: int) -> int:
    """Return the least level above ``low`` with no more than ``most`` lots at or above it."""
    return least_that(_is_enough, standings, most, low, high)


@kernel
def _level_for(standings: Standings, most: int) -> tuple[int, int]:
    """Return a level, as a number of parts and the parts, with no more than ``most`` lots at or above
    it, and few fewer; there are more in all.
    """
    exposures, equities, caps, lot, count, _ = standings
    low, high = 0, 0
    for place in range(count):
        if caps[place] > 0:
            twice, above = 2 * equities[place], 2 * exposures[place] + lot
            low = min(low, mul_div_floor(above - 2 * lot * caps[place], _COARSE, twice))
            high = max(high, mul_div_floor(above - 2 * lot, _COARSE, twice) + 1)
    coarse = exposures, equities, caps, lot, count, _COARSE
    level = _bisect(coarse, low, high, most)
    if abs(level) >= _COARSE_MAX:
        return level, _COARSE
    fine = exposures, equities, caps, lot, count, _COARSE * _FINER
    return _bisect(fine, (level - 1) * _FINER, level * _FINER, most), _COARSE * _FINER


@inlined
def _is_higher(levels: Levels, left: int, right: int) -> bool:
    nexts, equities, heap = levels
    left, right = heap[left], heap[right]
    sign = compare_products(nexts[left], equities[right], nexts[right], equities[left])
    return sign > 0 or (sign == 0 and left < right)


@inlined
def _swap(levels: Levels, left: int, right: int) -> None:
    _, _, heap = levels
    heap[left], heap[right] = heap[right], heap[left]


@kernel
def _sink_level(levels: Levels, place: int, size: int) -> None:
    sink(_is_higher, _swap, levels, place, size)


@kernel
def level_from_top(
    budget: int,
    caps: Column,
    exposures: Column,
    equities: Column,
    lot: int,
    parts: Column,
    nexts: Column,
    heap: Column,
    count: int,
) -> tuple[int, int]:
    """Fill ``parts[:count]`` with the ``budget`` lots of the highest levels, ties to the earlier; return
    the level of the last of them as a fraction.

    The level of the ``k``-th lot of a candidate is its exposure without ``k - 1/2`` lots of ``lot``
    atoms, over its equity (> 0). Where the caps do not exceed the budget, everyone gives the whole
    cap and the level is (0, 0). A candidate whose cap is not positive takes no part. ``nexts`` and
    ``heap`` are scratch. Most lots are placed by bisection, the last few one by one. Raises
    ``OverflowError`` where caps sum beyond 63 bits, or are worth more than 61.
    """
    total = 0
    for place in range(count):
        parts[place] = max(0, caps[place])
        mul_checked(4 * lot, parts[place])
        total = add_checked(total, parts[place])
    if total <= budget:
        return 0, 0
    level, fineness = _level_for((exposures, equities, caps, lot, count, _COARSE), budget)
    standings = exposures, equities, caps, lot, count, fineness
    left, size, last = budget, 0, NONE
    for place in range(count):
        if caps[place] > 0:
            parts[place] = _lots_above(standings, place, level)
            nexts[place] = 2 * exposures[place] - lot * (2 * parts[place] + 1)
            left -= parts[place]
            if parts[place] < caps[place]:
                heap[size] = place
                size += 1
            if parts[place] > 0:
                last = _lower(nexts, equities, lot, last, place)
    for place in range(size // 2, -1, -1):
        _sink_level((nexts, equities, heap), place, size)
    while left > 0:
        last = heap[0]
        parts[last] += 1
        nexts[last] -= 2 * lot
        left -= 1
        if parts[last] == caps[last]:
            size -= 1
            heap[0] = heap[size]
        _sink_level((nexts, equities, heap), 0, size)
    return (0, 0) if last == NONE else (nexts[last] + 2 * lot, 2 * equities[last])


@inlined
def _lower(nexts: Column, equities: Column, lot: int, last: int, place: int) -> int:
    """Return which of two gave the lot of the lower level last, the later one of equals."""
    if last == NONE:
        return place
    sign = compare_products(nexts[place] + 2 * lot, equities[last], nexts[last] + 2 * lot, equities[place])
    return place if sign <= 0 else last


@kernel
def fill_to_level(state: State, to_place: int, count: int) -> tuple[int, int]:
    """Place lots of those candidates whose caps are positive, in ADL_PART; return the level."""
    market = state.positions[state.columns[COUNTERPARTY_POSITION, 0]].market
    return level_from_top(
        to_place,
        state.columns[ADL_CAP],
        state.columns[ADL_EXPOSURE],
        state.columns[ADL_EQUITY],
        notional_at_mark(state, market, 1),
        state.columns[ADL_PART],
        state.columns[SPLIT_REMAINDER],
        state.columns[SPLIT_HEAP],
        count,
    )
