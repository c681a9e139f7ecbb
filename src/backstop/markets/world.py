"""The world outside of the engine in a simulation: its arrays, and how they begin.

``book`` says how a market trades, ``port`` carries orders there and answers back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backstop.bundle import Bundle, bundle
from backstop.compiled import kernel
from backstop.core.events import EVENT, NONE, Answer
from backstop.core.instruments import BANDS_MAX, DEPTH_LOTS_MAX, PPM, VenueRules

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
    "append_answer",
    "new_world",
]

#: Most events that one moment of one market gives: one fill per band, the done event, one DEPTH per
#: band and side.
ANSWERS_MAX = 3 * BANDS_MAX + 1
#: Interval at which a book that is not full reports its depth, unless declared otherwise [ns].
REFRESH_NS = 1_000_000_000
#: Time in which a backstop provider answers an offer, unless declared otherwise [ns].
PROVIDER_LATENCY_NS = 500_000_000
#: How long the venue runs on after the last outside event while orders or waits are open, unless
#: declared otherwise [ns].
DRAIN_NS = 3_600_000_000_000
#: Impact is counted in parts of 1e12.
IMPACT_ONE = 1_000_000_000_000

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
            ("settled_ns", "<i8"),  # time of the two fields above
            ("told_lots", "<i8"),  # depth that the engine knows; NONE: it must be reported
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
            ("price_ticks_min", "<i8"),
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

#: One step of the depth schedule: from ``time_ns`` a market's full depth is ``depth_ppm`` of its
#: base.
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
    """The parameters of a market's simulated book (``backstop.config`` has the typed file form)."""

    @property
    def depth_lots(self) -> tuple[int, ...]:
        """Return the full depth of each band, the same on both sides [lots]."""

    @property
    def recovery_ppm_per_second(self) -> int:
        """Return the share of the full depth that comes back per second [ppm]."""

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
    #: Heap of pairs: a row of arrival times, a row of order ids.
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

    ``start_ns`` is when it first reports its depth, after the outside events of that time.
    ``impact`` switches the shift of later marks on. ``schedule`` holds ``DEPTH_STEP`` rows.
    ``refresh_ns`` is the interval at which a book that is not full reports its depth, at whole
    multiples of it. ``drain_ns`` bounds how long the venue runs on after the last outside event
    while orders or waits are open. Backstop providers answer an offer with ``provider_answer``
    (``NONE``: never) after ``provider_latency_ns``.

    Raises ``ValueError`` naming the field, its value and what would be right.
    """
    count = len(rules.markets)
    _check(len(books) == count, f"books: {len(books)}: must be one per market, {count}")
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
        row.price_ticks_min, row.price_ticks_max = market.price_ticks_min, market.price_ticks_max
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
    # Open orders lie in a window of orders_max ids; the double leaves room for cancelled ones on
    # their way.
    places = 2 * rules.limits.orders_max
    return World(
        control=control,
        books=rows,
        bands=bands,
        sent=np.zeros(places, dtype=SENT),
        arrivals=np.zeros((2, places), dtype=np.int64),
        schedule=steps,
        answers=np.zeros(ANSWERS_MAX, dtype=EVENT),
    )


@kernel
def append_answer(world: World, time_ns: int, kind: int) -> int:
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
