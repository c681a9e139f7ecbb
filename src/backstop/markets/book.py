"""The simulated order book of a market: integer, deterministic, and answering as a real venue
would, by events.

A market has bands of depth on each side. An order that arrives is filled best band first within its
limit at the depth of that moment, one ORDER_FILL per band. What was taken comes back at a declared
rate. R7.1 and docs/concepts/simulated-venue.md say it in full.

Depth comes back in exact parts: a band holds the lots that it misses, and the part of a lot that
already came back, in 1e-15 lots. Settling a band at one more moment changes nothing, so the depth
that an order meets does not depend on who looked before.

The book knows nothing of the engine. It remembers the depth that it reported (``told_lots``) and
reports a band again only when that changed.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.events import NEVER_NS, NONE, BookSide, EventKind
from backstop.core.instruments import DEPTH_LOTS_MAX, PPM
from backstop.core.units import mul_div_ceil, mul_div_floor, mul_mod
from backstop.markets.world import IMPACT_ONE, World, append_answer

__all__ = ["band_price_ticks", "fill", "impacted_ticks", "next_quote_ns", "quote_ladder", "settle", "visible_lots"]

#: Bounds of the factor on later marks: a millionth and a million.
_IMPACT_MIN = 1_000_000
_IMPACT_MAX = 1_000_000_000_000_000_000
#: ppm per second times nanoseconds, in one lot.
_CREDIT_ONE = 1_000_000_000_000_000


@inlined
def band_price_ticks(mark_ticks: int, offset_ppm: int, limit_ticks: int, is_sell: bool) -> int:
    """Return the price at which a band fills an order, or 0 if it lies beyond the order's limit.

    ``mark x (1e6 - offset) / 1e6`` for a sell, ``mark x (1e6 + offset) / 1e6`` for a buy, rounded
    against the account (a sell down, a buy up). Where this rounding alone would carry the price
    beyond the limit, it is the limit: a band at the tolerance fills an order that was planned at
    the same mark.
    """
    if is_sell:
        product = mark_ticks * (PPM - offset_ppm)
        if -((-product) // PPM) < limit_ticks:
            return 0
        return max(product // PPM, limit_ticks)
    product = mark_ticks * (PPM + offset_ppm)
    if product // PPM > limit_ticks:
        return 0
    return min(-((-product) // PPM), limit_ticks)


@kernel
def _settle_band(world: World, market: int, side: int, band: int, time_ns: int) -> None:
    row = world.bands[market, side, band]
    elapsed_ns = time_ns - row.settled_ns
    if elapsed_ns <= 0:
        return
    row.settled_ns = time_ns
    rate_ppm = world.books[market].recovery_ppm_per_second
    if row.missing_lots == 0 or rate_ppm == 0:
        return
    if elapsed_ns > _CREDIT_ONE // rate_ppm:  # long enough to bring the whole band back
        row.missing_lots = row.credit = 0
        return
    rate = row.full_lots * rate_ppm  # at most 2^40 x 1e6
    back_lots = mul_div_floor(rate, elapsed_ns, _CREDIT_ONE)
    credit = row.credit + mul_mod(rate, elapsed_ns, _CREDIT_ONE)
    if credit >= _CREDIT_ONE:
        credit -= _CREDIT_ONE
        back_lots += 1
    if back_lots >= row.missing_lots:
        row.missing_lots = row.credit = 0
    else:
        row.missing_lots -= back_lots
        row.credit = credit


@kernel
def _rescale_band(world: World, market: int, side: int, band: int, depth_ppm: int) -> None:
    """Give the band the full depth of a schedule step; the share of it that is missing stays
    (rounded up).
    """
    row = world.bands[market, side, band]
    full_lots = min(mul_div_floor(row.base_lots, depth_ppm, PPM), DEPTH_LOTS_MAX)
    if row.missing_lots > 0:
        row.missing_lots = mul_div_ceil(row.missing_lots, full_lots, row.full_lots)
    if row.missing_lots == 0:
        row.credit = 0
    row.full_lots = full_lots


@kernel
def settle(world: World, market: int, time_ns: int) -> None:
    """Bring a market's depth to ``time_ns``: the schedule's steps on the way, each at its own time,
    then recovery.
    """
    book = world.books[market]
    while book.schedule_next < book.schedule_end and world.schedule[book.schedule_next].time_ns <= time_ns:
        step = world.schedule[book.schedule_next]
        for side in range(2):
            for band in range(book.band_count):
                _settle_band(world, market, side, band, step.time_ns)
                _rescale_band(world, market, side, band, step.depth_ppm)
        book.schedule_next += 1
    for side in range(2):
        for band in range(book.band_count):
            _settle_band(world, market, side, band, time_ns)


@inlined
def visible_lots(world: World, market: int, side: int, band: int) -> int:
    """Return the visible depth of a band, as of the last ``settle``."""
    row = world.bands[market, side, band]
    return row.full_lots - row.missing_lots


@inlined
def impacted_ticks(world: World, market: int, price_ticks: int) -> int:
    """Return an outside mark after the permanent impact of all fills so far, to the nearest tick,
    halves up.
    """
    book = world.books[market]
    if world.control[0].impact == 0 or book.impact_factor == IMPACT_ONE or price_ticks <= 0:
        return price_ticks
    shifted = mul_div_floor(price_ticks, book.impact_factor, IMPACT_ONE)
    if 2 * mul_mod(price_ticks, book.impact_factor, IMPACT_ONE) >= IMPACT_ONE:
        shifted += 1
    return min(max(shifted, book.price_ticks_min), book.price_ticks_max)


@kernel
def _forget_told(world: World, market: int, side: int, lots: int) -> None:
    """Follow the engine's own view: a fill takes visible depth best band first."""
    for band in range(world.books[market].band_count):
        row = world.bands[market, side, band]
        taken = min(lots, max(row.told_lots, 0))
        row.told_lots -= taken
        lots -= taken


@kernel
def fill(world: World, slot: int, time_ns: int) -> None:
    """Fill an order at the depth of this moment, best band first. The market must be settled."""
    order = world.sent[slot]
    book = world.books[order.market]
    is_sell = order.lots < 0
    side = BookSide.BID if is_sell else BookSide.ASK
    sign = -1 if is_sell else 1
    left_lots = abs(order.lots)
    displaced = 0  # permanent part of the displacement, in 1e-12 of the mark
    offset_before_ppm = 0
    for band in range(book.band_count):
        row = world.bands[order.market, side, band]
        step_ppm = row.offset_ppm - offset_before_ppm
        offset_before_ppm = row.offset_ppm
        if left_lots == 0 or book.mark_ticks == 0:
            break
        price_ticks = band_price_ticks(book.mark_ticks, row.offset_ppm, order.limit_ticks, is_sell)
        if price_ticks == 0:
            break
        lots = min(left_lots, row.full_lots - row.missing_lots)
        if lots == 0:
            continue
        row.missing_lots += lots
        left_lots -= lots
        displaced += mul_div_floor(book.permanent_impact_ppm * step_ppm, lots, row.full_lots)
        event = world.answers[append_answer(world, time_ns, EventKind.ORDER_FILL)]
        event.market = order.market
        event.other = order.id
        event.lots = sign * lots
        event.price_ticks = price_ticks
        _forget_told(world, order.market, side, lots)
    # The engine empties its view of that side, unless it has closed the order since: report all.
    if left_lots > 0:
        for band in range(book.band_count):
            world.bands[order.market, side, band].told_lots = NONE
    filled_lots = abs(order.lots) - left_lots
    if filled_lots > 0:
        book.orders_filled += 1
        book.lots_filled += filled_lots
        if world.control[0].impact != 0:
            factor = mul_div_floor(book.impact_factor, IMPACT_ONE + sign * displaced, IMPACT_ONE)
            book.impact_factor = min(max(factor, _IMPACT_MIN), _IMPACT_MAX)


@kernel
def quote_ladder(world: World, market: int, time_ns: int) -> None:
    """Append a DEPTH for each band whose visible depth differs from the reported one."""
    for side in range(2):
        for band in range(world.books[market].band_count):
            row = world.bands[market, side, band]
            visible = row.full_lots - row.missing_lots
            if row.told_lots == visible:
                continue
            row.told_lots = visible
            event = world.answers[append_answer(world, time_ns, EventKind.DEPTH)]
            event.market = market
            event.code = side
            event.other = band
            event.lots = visible


@kernel
def next_quote_ns(world: World, market: int, time_ns: int) -> int:
    """Return when this market reports its depth again: at the next whole interval while it is not
    full, or ``NEVER_NS``.
    """
    book, interval_ns = world.books[market], world.control[0].refresh_ns
    due_ns = NEVER_NS
    if book.schedule_next < book.schedule_end:
        due_ns = world.schedule[book.schedule_next].time_ns
    if book.recovery_ppm_per_second > 0:
        for side in range(2):
            for band in range(book.band_count):
                if world.bands[market, side, band].missing_lots > 0:
                    due_ns = time_ns
    if due_ns != NEVER_NS:
        due_ns = max((time_ns // interval_ns + 1) * interval_ns, -((-due_ns) // interval_ns) * interval_ns)
    return due_ns
