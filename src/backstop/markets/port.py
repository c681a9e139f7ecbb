"""The port between the driver and the venue that trades the engine's orders.

The driver knows these calls and no book: it sends with ``take_order`` and ``take_offer``, takes
back with ``cancel``, asks with ``next_ns`` when the venue speaks next, and brings it to that time
with ``settle_to``. Marks pass through ``impacted_ticks`` on their way in; those that the engine
applied are reported by ``follow_mark``.

Behind the port each market has a venue of four calls: bring it to a time (``settle``), fill an
order (``fill``), report its depth (``quote_ladder``), say when it does so next (``next_quote_ns``).
Today that is the simulated book in every market. Here lies only what any venue has: the way there
and back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel, unit
from backstop.core.events import NEVER_NS, NONE, EventKind
from backstop.core.heaps import pop_pair, push_pair
from backstop.markets.book import fill, impacted_ticks, next_quote_ns, quote_ladder, settle
from backstop.markets.world import World, append_answer

__all__ = [
    "cancel",
    "follow_mark",
    "impacted_ticks",
    "is_quiet",
    "next_ns",
    "respond",
    "settle_to",
    "take_offer",
    "take_order",
]


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
    push_pair(world.arrivals[0], world.arrivals[1], world.control[0].orders_on_way, arrival_ns, order_id)
    world.control[0].orders_on_way += 1
    return slot


@kernel
def take_offer(world: World, order_id: int, time_ns: int) -> None:
    """Take an offer to a backstop provider that left the engine at ``time_ns``."""
    world.sent[_send(world, order_id, time_ns + world.control[0].provider_latency_ns)].is_offer = 1


@kernel
def take_order(world: World, order_id: int, account: int, market: int, lots: int, limit_ticks: int, time_ns: int) -> None:
    """Take an order that left the engine at ``time_ns``; it reaches its market one latency
    later.
    """
    order = world.sent[_send(world, order_id, time_ns + world.books[market].latency_ns)]
    order.is_offer = 0
    order.account = account
    order.lots = lots
    order.limit_ticks = limit_ticks
    order.market = market


@kernel
def cancel(world: World, order_id: int) -> None:
    """Take a cancellation. An order that reached its market is answered already: nothing is left to
    cancel.
    """
    order = world.sent[order_id % len(world.sent)]
    if order.id == order_id and order.is_on_way != 0:
        order.is_cancelled = 1


@inlined
def next_ns(world: World) -> int:
    """Return the time of the venue's next event, or ``NEVER_NS``."""
    control = world.control[0]
    if control.answers_next < control.answers_now:
        return world.answers[control.answers_next].time_ns
    if control.orders_on_way > 0:
        return min(control.refresh_next_ns, world.arrivals[0, 0])
    return control.refresh_next_ns


@inlined
def is_quiet(world: World) -> bool:
    """Return whether no order or offer is on its way and nothing is left to say at this moment."""
    control = world.control[0]
    return control.orders_on_way == 0 and control.answers_next >= control.answers_now


@inlined
def follow_mark(world: World, market: int, price_ticks: int) -> None:
    """Let a market trade around a mark that the engine was given; one that it refuses for its price
    changes nothing.
    """
    if 0 <= market < len(world.books):
        book = world.books[market]
        if book.price_ticks_min <= price_ticks <= book.price_ticks_max:
            book.mark_ticks = price_ticks


@kernel
def _speak(world: World, market: int, time_ns: int) -> None:
    """Let a market report its depth, and note when it does so next."""
    quote_ladder(world, market, time_ns)
    world.books[market].refresh_at_ns = next_quote_ns(world, market, time_ns)
    earliest_ns = NEVER_NS
    for other in range(len(world.books)):
        earliest_ns = min(earliest_ns, world.books[other].refresh_at_ns)
    world.control[0].refresh_next_ns = earliest_ns


@kernel
def _answer_offer(world: World, order_id: int, is_cancelled: bool, time_ns: int) -> None:
    """Let a provider answer, unless the offer was taken back or providers are silent."""
    answer = world.control[0].provider_answer
    if answer != NONE and not is_cancelled:
        event = world.answers[append_answer(world, time_ns, EventKind.ANSWER)]
        event.other = order_id
        event.code = answer


@kernel
def _receive(world: World, time_ns: int) -> None:
    """Answer the order that arrives first."""
    slot = world.arrivals[1, 0] % len(world.sent)
    pop_pair(world.arrivals[0], world.arrivals[1], world.control[0].orders_on_way)
    world.control[0].orders_on_way -= 1
    order = world.sent[slot]
    order.is_on_way = 0
    if order.is_offer != 0:
        _answer_offer(world, order.id, order.is_cancelled != 0, time_ns)
        return
    if order.is_cancelled == 0:
        settle(world, order.market, time_ns)
        fill(world, slot, time_ns)
    event = world.answers[append_answer(world, time_ns, EventKind.ORDER_DONE)]
    event.other = order.id
    if order.is_cancelled == 0:
        _speak(world, order.market, time_ns)


@unit
def respond(world: World, time_ns: int) -> None:
    """Put the venue's first answer at ``time_ns`` into the empty answers: one order's, or one
    market's depth.

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
            _speak(world, market, time_ns)
            return


@kernel
def settle_to(world: World, time_ns: int, merged: NDArray[np.void], place: int) -> bool:
    """Bring the venue to a time and write its next event; return whether there was one.

    A market that looks at its depth may have nothing to say.
    """
    control = world.control[0]
    if control.answers_next >= control.answers_now:
        respond(world, time_ns)
    if control.answers_next >= control.answers_now:
        return False
    merged[place] = world.answers[control.answers_next]
    control.answers_next += 1
    return True
