"""The simulated order book: integer, deterministic, and answering as a real venue would, by events.

A market has bands of depth on each side. An order reaches the book one latency after it left, is
filled best band first within its limit at the depth of that moment, one ORDER_FILL a band, and is
done. What was taken comes back at a declared rate. docs/rules.md section 7 and
docs/concepts/simulated-venue.md say it in full.

Depth comes back in exact parts: a band holds the lots that it misses, and the part of a lot that
already came back, in 1e-15 lots. Settling a band at one more moment changes nothing, so the depth
that an order meets does not depend on who looked before.

The book knows nothing of the engine. It remembers what it told (``told_lots``) and tells a band
again only when that changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backstop.bundle import Bundle, bundle
from backstop.compiled import inlined, kernel
from backstop.core.events import EVENT, NEVER_NS, NONE, Answer, BookSide, EventKind
from backstop.core.instruments import BANDS_MAX, DEPTH_LOTS_MAX, PPM, VenueRules
from backstop.core.units import mul_div_ceil, mul_div_floor, mul_mod

__all__ = [
    "ANSWERS_MAX",
    "BAND",
    "BOOK",
    "CONTROL",
    "DEPTH_STEP",
    "DRAIN_NS",
    "IMPACT_ONE",
    "PROVIDER_LATENCY_NS",
    "REFRESH_NS",
    "SENT",
    "BookLike",
    "World",
    "accept_offer",
    "accept_order",
    "band_price_ticks",
    "cancel_order",
    "impacted_ticks",
    "new_world",
    "next_answer_ns",
    "respond",
    "settle",
    "visible_lots",
]

#: Most events that one moment of one market gives: a fill a band, the done event, a DEPTH a band and side.
ANSWERS_MAX = 3 * BANDS_MAX + 1
#: How often a book that is not full tells its depth, unless declared otherwise [ns].
REFRESH_NS = 1_000_000_000
#: How long a backstop provider takes to answer an offer, unless declared otherwise [ns].
PROVIDER_LATENCY_NS = 500_000_000
#: How long the venue runs on after the last outside event while orders or waits are open, unless declared otherwise [ns].
DRAIN_NS = 3_600_000_000_000
#: Impact is counted in parts of 1e12.
IMPACT_ONE = 1_000_000_000_000
#: Bounds of the factor on later marks: a millionth and a million.
_IMPACT_MIN = 1_000_000
_IMPACT_MAX = 1_000_000_000_000_000_000
#: ppm a second times nanoseconds, in one lot.
_CREDIT_ONE = 1_000_000_000_000_000

#: One band of one side of one market.
BAND = np.dtype(
    (
        np.record,
        [
            ("offset_ppm", "<i8"),  # distance from the mark
            ("base_lots", "<i8"),  # depth when full and the schedule says 1
            ("full_lots", "<i8"),  # depth when full, at this place of the schedule
            ("missing_lots", "<i8"),  # taken and not yet back
            ("credit", "<i8"),  # part of a lot that is back already, in 1e-15 lots
            ("settled_ns", "<i8"),  # the moment that the two fields above speak of
            ("told_lots", "<i8"),  # depth that the engine believes in; NONE: it must be told
            ("spare", "<i8"),
        ],
    )
)

#: One market of the book.
BOOK = np.dtype(
    (
        np.record,
        [
            ("mark_ticks", "<i8"),  # latest mark that was applied; 0: none yet
            ("price_ticks_max", "<i8"),
            ("latency_ns", "<i8"),
            ("recovery_ppm_per_second", "<i8"),
            ("permanent_impact_ppm", "<i8"),
            ("impact_factor", "<i8"),  # of later marks, in 1e-12
            ("refresh_at_ns", "<i8"),
            ("schedule_next", "<i8"),  # row of ``World.schedule`` that comes next
            ("schedule_end", "<i8"),  # row after this market's last
            ("band_count", "<i8"),
            ("orders_filled", "<i8"),  # orders that took any lots
            ("lots_filled", "<i8"),
        ],
    )
)

#: One order between the engine and the book, or answered.
SENT = np.dtype(
    (
        np.record,
        [
            ("id", "<i8"),
            ("arrival_ns", "<i8"),
            ("account", "<i8"),
            ("lots", "<i8"),  # signed change of the account's position
            ("limit_ticks", "<i8"),
            ("market", "<i4"),
            ("is_cancelled", "<i2"),
            ("is_on_way", "<i2"),
            ("is_offer", "<i8"),  # to a backstop provider, not to the book
        ],
    )
)

#: One step of the depth schedule: from ``time_ns`` a market's full depth is ``depth_ppm`` of its base.
DEPTH_STEP = np.dtype((np.record, [("time_ns", "<i8"), ("market", "<i8"), ("depth_ppm", "<i8")]))

#: The world's own scalars, one row, the sources' cursors among them.
CONTROL = np.dtype(
    (
        np.record,
        [
            ("next_seq", "<i8"),
            ("cursor", "<i8"),  # next row of the outside events at hand
            ("outside_taken", "<i8"),  # outside events consumed since the start
            ("last_outside_ns", "<i8"),
            ("answers_next", "<i8"),  # next row of ``World.answers``
            ("answers_now", "<i8"),
            ("orders_on_way", "<i8"),
            ("refresh_next_ns", "<i8"),  # earliest ``refresh_at_ns`` of all markets
            ("refresh_ns", "<i8"),
            ("drain_ns", "<i8"),
            ("impact", "<i8"),
            ("clocks", "<i8"),  # CLOCK events sent
            ("provider_latency_ns", "<i8"),
            ("provider_answer", "<i8"),  # Answer, or NONE: providers are silent
        ],
    )
)


class BookLike(Protocol):
    """What a market's simulated book is made of (``backstop.config`` has the typed file form)."""

    @property
    def depth_lots(self) -> tuple[int, ...]:
        """Return the full depth of each band, the same on both sides [lots]."""

    @property
    def recovery_ppm_per_second(self) -> int:
        """Return how much of the full depth comes back a second [ppm]."""

    @property
    def permanent_impact_ppm(self) -> int:
        """Return the share of the displacement that shifts later marks [ppm]."""

    @property
    def latency_ns(self) -> int:
        """Return the time from the engine to the book [ns]."""


class World(Bundle):
    """The simulated venue's arrays. Kernels take it whole and change its arrays in place."""

    FIELDS: ClassVar[dict[str, tuple[Any, int]]] = {
        "control": (CONTROL, 1),
        "books": (BOOK, 1),
        "bands": (BAND, 3),
        "sent": (SENT, 1),
        "arrivals": (np.int64, 2),
        "schedule": (DEPTH_STEP, 1),
        "answers": (EVENT, 1),
    }

    control: NDArray[np.void]
    books: NDArray[np.void]
    #: Market, book side, band.
    bands: NDArray[np.void]
    #: Orders by ``id mod len``.
    sent: NDArray[np.void]
    #: Heap of (arrival_ns, order id).
    arrivals: NDArray[np.int64]
    #: Depth steps by (market, time).
    schedule: NDArray[np.void]
    #: Events of the present moment that wait for their turn.
    answers: NDArray[np.void]


bundle(World)


def _check(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)


def _check_book(place: str, book: BookLike, band_count: int) -> None:
    depth = book.depth_lots
    _check(len(depth) == band_count, f"{place}.depth_lots has {len(depth)} bands: must have {band_count}, as band_offset_ppm")
    for band, lots in enumerate(depth):
        _check(0 <= lots <= DEPTH_LOTS_MAX, f"{place}.depth_lots[{band}] = {lots}: must be 0 to {DEPTH_LOTS_MAX}")
    rate = book.recovery_ppm_per_second
    _check(0 <= rate <= PPM, f"{place}.recovery_ppm_per_second = {rate}: must be 0 to {PPM}")
    share = book.permanent_impact_ppm
    _check(0 <= share <= PPM, f"{place}.permanent_impact_ppm = {share}: must be 0 to {PPM}")
    _check(0 <= book.latency_ns <= 1 << 60, f"{place}.latency_ns = {book.latency_ns}: must be 0 to 2^60")


def _schedule_rows(schedule: NDArray[np.void] | None, markets: int) -> NDArray[np.void]:
    if schedule is None:
        return np.zeros(0, dtype=DEPTH_STEP)
    rows = schedule[np.lexsort((schedule["time_ns"], schedule["market"]))]
    bad = (rows["market"] < 0) | (rows["market"] >= markets)
    _check(not bad.any(), f"depth schedule: market {rows['market'][bad][:1]}: must be 0 to {markets - 1}")
    bad = (rows["depth_ppm"] < 0) | (rows["depth_ppm"] > 10 * PPM)
    _check(not bad.any(), f"depth schedule: depth_ppm {rows['depth_ppm'][bad][:1]}: must be 0 to {10 * PPM}")
    same = (np.diff(rows["market"]) == 0) & (np.diff(rows["time_ns"]) == 0)
    _check(not same.any(), "depth schedule: two steps of one market at one time: times must differ")
    return rows


def new_world(
    rules: VenueRules,
    books: Sequence[BookLike],
    *,
    start_ns: int,
    impact: bool,
    schedule: NDArray[np.void] | None = None,
    refresh_ns: int = REFRESH_NS,
    drain_ns: int = DRAIN_NS,
    provider_latency_ns: int = PROVIDER_LATENCY_NS,
    provider_answer: int = Answer.ACCEPT,
) -> World:
    """Return the simulated venue before the first event.

    ``start_ns`` is when it first tells its depth, after the outside events of that time. ``impact``
    switches the shift of later marks on. ``schedule`` holds ``DEPTH_STEP`` rows. ``refresh_ns`` is
    how often a book that is not full tells its depth, at whole multiples of it. ``drain_ns`` bounds
    how long the venue runs on after the last outside event while orders or waits are open. Backstop
    providers answer an offer with ``provider_answer`` (``NONE``: never) after ``provider_latency_ns``.

    Raises ``ValueError`` naming the field, its value and what would be right.
    """
    count = len(rules.markets)
    _check(len(books) == count, f"books: {len(books)}: must be one a market, {count}")
    _check(1 <= refresh_ns <= 1 << 60, f"refresh_ns = {refresh_ns}: must be 1 to 2^60")
    _check(0 <= provider_latency_ns <= 1 << 60, f"provider_latency_ns = {provider_latency_ns}: must be 0 to 2^60")
    answers = (NONE, *(int(answer) for answer in Answer))
    _check(provider_answer in answers, f"provider_answer = {provider_answer}: must be one of {list(answers)}")
    _check(0 <= drain_ns <= 1 << 60, f"drain_ns = {drain_ns}: must be 0 to 2^60")
    _check(abs(start_ns) <= 1 << 62, f"start_ns = {start_ns}: must be within 2^62")
    rows = np.zeros(count, dtype=BOOK)
    bands = np.zeros((count, 2, BANDS_MAX), dtype=BAND)
    steps = _schedule_rows(schedule, count)
    for number, (market, book) in enumerate(zip(rules.markets, books, strict=True)):
        _check_book(f"books[{number}]", book, len(market.band_offset_ppm))
        row = rows[number]
        row.price_ticks_max = market.price_ticks_max
        row.latency_ns = book.latency_ns
        row.recovery_ppm_per_second = book.recovery_ppm_per_second
        row.permanent_impact_ppm = book.permanent_impact_ppm
        row.impact_factor = IMPACT_ONE
        row.refresh_at_ns = start_ns
        row.schedule_next = np.searchsorted(steps["market"], number, side="left")
        row.schedule_end = np.searchsorted(steps["market"], number, side="right")
        row.band_count = len(market.band_offset_ppm)
        block = bands[number, :, : len(market.band_offset_ppm)]
        block["offset_ppm"] = market.band_offset_ppm
        block["base_lots"] = block["full_lots"] = book.depth_lots
    bands["told_lots"] = NONE
    bands["settled_ns"] = start_ns
    control = np.zeros(1, dtype=CONTROL)
    control[0].next_seq = 1
    control[0].refresh_next_ns = start_ns
    control[0].last_outside_ns = start_ns
    control[0].refresh_ns, control[0].drain_ns, control[0].impact = refresh_ns, drain_ns, int(impact)
    control[0].provider_latency_ns, control[0].provider_answer = provider_latency_ns, provider_answer
    # Open orders lie in a window of orders_max ids; the double leaves room for cancelled ones on their way.
    places = 2 * rules.limits.orders_max
    return World(
        control=control,
        books=rows,
        bands=bands,
        sent=np.zeros(places, dtype=SENT),
        arrivals=np.zeros((places, 2), dtype=np.int64),
        schedule=steps,
        answers=np.zeros(ANSWERS_MAX, dtype=EVENT),
    )


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
    """Give the band the full depth of a schedule step; the share of it that is missing stays (rounded up)."""
    row = world.bands[market, side, band]
    full_lots = min(mul_div_floor(row.base_lots, depth_ppm, PPM), DEPTH_LOTS_MAX)
    if row.missing_lots > 0:
        row.missing_lots = mul_div_ceil(row.missing_lots, full_lots, row.full_lots)
    if row.missing_lots == 0:
        row.credit = 0
    row.full_lots = full_lots


@kernel
def settle(world: World, market: int, time_ns: int) -> None:
    """Bring a market's depth to ``time_ns``: the schedule's steps on the way, each at its own time, then recovery."""
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
    """Return what a band shows, as of the last ``settle``."""
    row = world.bands[market, side, band]
    return row.full_lots - row.missing_lots


@inlined
def impacted_ticks(world: World, market: int, price_ticks: int) -> int:
    """Return an outside mark after the permanent impact of all fills so far, to the nearest tick, halves up."""
    book = world.books[market]
    if world.control[0].impact == 0 or book.impact_factor == IMPACT_ONE or price_ticks <= 0:
        return price_ticks
    shifted = mul_div_floor(price_ticks, book.impact_factor, IMPACT_ONE)
    if 2 * mul_mod(price_ticks, book.impact_factor, IMPACT_ONE) >= IMPACT_ONE:
        shifted += 1
    return min(max(shifted, 1), book.price_ticks_max)


@kernel
def _answer(world: World, time_ns: int, kind: int) -> int:
    """Append one empty event to the answers and return its place."""
    place = world.control[0].answers_now
    row = world.answers[place]
    row.seq = 0
    row.time_ns = time_ns
    row.kind = kind
    row.code = 0
    row.market = row.account = NONE
    row.other = row.lots = row.price_ticks = row.amount = 0
    world.control[0].answers_now = place + 1
    return place


@kernel
def _forget_told(world: World, market: int, side: int, lots: int) -> None:
    """Follow the engine's own view: a fill takes visible depth best band first."""
    for band in range(world.books[market].band_count):
        row = world.bands[market, side, band]
        taken = min(lots, max(row.told_lots, 0))
        row.told_lots -= taken
        lots -= taken


@kernel
def _fill(world: World, slot: int, time_ns: int) -> int:
    """Fill an order at the depth of this moment, best band first; return the lots left over."""
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
        event = world.answers[_answer(world, time_ns, EventKind.ORDER_FILL)]
        event.market = order.market
        event.other = order.id
        event.lots = sign * lots
        event.price_ticks = price_ticks
        _forget_told(world, order.market, side, lots)
    filled_lots = abs(order.lots) - left_lots
    if filled_lots > 0:
        book.orders_filled += 1
        book.lots_filled += filled_lots
        if world.control[0].impact != 0:
            factor = mul_div_floor(book.impact_factor, IMPACT_ONE + sign * displaced, IMPACT_ONE)
            book.impact_factor = min(max(factor, _IMPACT_MIN), _IMPACT_MAX)
    return left_lots


@kernel
def _tell(world: World, market: int, time_ns: int) -> None:
    """Append a DEPTH for each band whose visible depth is not what was told."""
    for side in range(2):
        for band in range(world.books[market].band_count):
            row = world.bands[market, side, band]
            visible = row.full_lots - row.missing_lots
            if row.told_lots == visible:
                continue
            row.told_lots = visible
            event = world.answers[_answer(world, time_ns, EventKind.DEPTH)]
            event.market = market
            event.code = side
            event.other = band
            event.lots = visible


@kernel
def _plan_refresh(world: World, market: int, time_ns: int) -> None:
    """Set when this market tells its depth again: at the next whole interval while it is not full."""
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
    book.refresh_at_ns = due_ns
    earliest = NEVER_NS
    for other in range(len(world.books)):
        earliest = min(earliest, world.books[other].refresh_at_ns)
    world.control[0].refresh_next_ns = earliest


@kernel
def _heap_push(heap: NDArray[np.int64], count: int, arrival_ns: int, order_id: int) -> None:
    place = count
    while place > 0:
        above = (place - 1) // 2
        if heap[above, 0] < arrival_ns or (heap[above, 0] == arrival_ns and heap[above, 1] < order_id):
            break
        heap[place, 0], heap[place, 1] = heap[above, 0], heap[above, 1]
        place = above
    heap[place, 0], heap[place, 1] = arrival_ns, order_id


@kernel
def _heap_pop(heap: NDArray[np.int64], count: int) -> None:
    arrival_ns, order_id = heap[count - 1, 0], heap[count - 1, 1]
    count -= 1
    place = 0
    while True:
        below = 2 * place + 1
        if below >= count:
            break
        right = below + 1
        if right < count and (heap[right, 0] < heap[below, 0] or (heap[right, 0] == heap[below, 0] and heap[right, 1] < heap[below, 1])):
            below = right
        if arrival_ns < heap[below, 0] or (arrival_ns == heap[below, 0] and order_id < heap[below, 1]):
            break
        heap[place, 0], heap[place, 1] = heap[below, 0], heap[below, 1]
        place = below
    heap[place, 0], heap[place, 1] = arrival_ns, order_id


@kernel
def _send(world: World, order_id: int, arrival_ns: int) -> int:
    """Put an order or offer on its way and return its place.

    Raises ``OverflowError`` when the place of its id still holds one on its way, which takes more
    than twice ``orders_max`` of them within one latency.
    """
    slot = order_id % len(world.sent)
    order = world.sent[slot]
    if order.is_on_way != 0:
        raise OverflowError("more orders on their way to the book than it holds")
    order.id = order_id
    order.arrival_ns = arrival_ns
    order.is_cancelled = 0
    order.is_on_way = 1
    _heap_push(world.arrivals, world.control[0].orders_on_way, arrival_ns, order_id)
    world.control[0].orders_on_way += 1
    return slot


@kernel
def accept_offer(world: World, order_id: int, time_ns: int) -> None:
    """Take an offer to a backstop provider that left the engine at ``time_ns``."""
    world.sent[_send(world, order_id, time_ns + world.control[0].provider_latency_ns)].is_offer = 1


@kernel
def accept_order(world: World, order_id: int, account: int, market: int, lots: int, limit_ticks: int, time_ns: int) -> None:
    """Take an order that left the engine at ``time_ns``; it reaches the book one latency later."""
    order = world.sent[_send(world, order_id, time_ns + world.books[market].latency_ns)]
    order.is_offer = 0
    order.account = account
    order.lots = lots
    order.limit_ticks = limit_ticks
    order.market = market


@kernel
def cancel_order(world: World, order_id: int) -> None:
    """Take a cancellation. An order that reached the book is answered already: nothing is left to cancel."""
    order = world.sent[order_id % len(world.sent)]
    if order.id == order_id and order.is_on_way != 0:
        order.is_cancelled = 1


@inlined
def next_answer_ns(world: World) -> int:
    """Return when the venue speaks next, or ``NEVER_NS``."""
    control = world.control[0]
    if control.answers_next < control.answers_now:
        return world.answers[control.answers_next].time_ns
    if control.orders_on_way > 0:
        return min(control.refresh_next_ns, world.arrivals[0, 0])
    return control.refresh_next_ns


@kernel
def _answer_offer(world: World, order_id: int, is_cancelled: bool, time_ns: int) -> None:
    """Let a provider answer, unless the offer was taken back or providers are silent."""
    answer = world.control[0].provider_answer
    if answer != NONE and not is_cancelled:
        event = world.answers[_answer(world, time_ns, EventKind.ANSWER)]
        event.other = order_id
        event.code = answer


@kernel
def _receive(world: World, time_ns: int) -> None:
    """Answer the order that arrives first."""
    slot = world.arrivals[0, 1] % len(world.sent)
    _heap_pop(world.arrivals, world.control[0].orders_on_way)
    world.control[0].orders_on_way -= 1
    order = world.sent[slot]
    order.is_on_way = 0
    if order.is_offer != 0:
        _answer_offer(world, order.id, order.is_cancelled != 0, time_ns)
        return
    left_lots = 0
    if order.is_cancelled == 0:
        settle(world, order.market, time_ns)
        left_lots = _fill(world, slot, time_ns)
    event = world.answers[_answer(world, time_ns, EventKind.ORDER_DONE)]
    event.other = order.id
    if order.is_cancelled != 0:
        return
    if left_lots > 0:  # the engine empties its view of that side, unless it closed the order meanwhile: tell all
        side = BookSide.BID if order.lots < 0 else BookSide.ASK
        for band in range(world.books[order.market].band_count):
            world.bands[order.market, side, band].told_lots = NONE
    _tell(world, order.market, time_ns)
    _plan_refresh(world, order.market, time_ns)


@kernel
def respond(world: World, time_ns: int) -> None:
    """Put what the venue says first at ``time_ns`` into the empty answers: one order's, or one market's depth.

    Orders come before depth, orders by (arrival, id), depth by market.
    """
    control = world.control[0]
    control.answers_next = control.answers_now = 0
    if control.orders_on_way > 0 and world.arrivals[0, 0] <= time_ns:
        _receive(world, time_ns)
        return
    for market in range(len(world.books)):
        if world.books[market].refresh_at_ns <= time_ns:
            settle(world, market, time_ns)
            _tell(world, market, time_ns)
            _plan_refresh(world, market, time_ns)
            return
