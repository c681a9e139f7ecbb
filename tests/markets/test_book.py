"""The simulated book against its rules: R7.1 and
docs/concepts/simulated-venue.md.

Depth is compared with a model in fractions; prices and order of answers with the sentences of the
rules.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.core.events import NEVER_NS, NONE, BookSide, EventKind
from backstop.markets.book import band_price_ticks, impacted_ticks, settle, visible_lots
from backstop.markets.port import cancel, next_ns, take_order
from backstop.markets.world import IMPACT_ONE, new_world
from tests.markets.worlds import LATENCY, SECOND, Book, say, small_rules, small_world, steps


def kinds(rows: list[Any]) -> list[int]:
    return [int(row.kind) for row in rows]


def test_the_first_words_are_the_depth_of_every_band_of_both_sides() -> None:
    world = new_world(small_rules(1), [Book()], start_ns=7, impact=False)
    assert next_ns(world) == 7
    rows = say(world)
    assert kinds(rows) == [EventKind.DEPTH] * 6
    assert [(row.time_ns, row.market, row.code, row.other, row.lots, row.account) for row in rows] == [
        (7, 0, side, band, lots, NONE) for side in (BookSide.BID, BookSide.ASK) for band, lots in enumerate((100, 200, 300))
    ]
    assert next_ns(world) == NEVER_NS


def test_an_order_is_filled_one_latency_later_best_band_first_and_done() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, -250, 99_000, 10)
    assert next_ns(world) == 10 + LATENCY
    rows = say(world)
    # 100,000 x (1 - 100 ppm) and x (1 - 500 ppm).
    assert [(row.kind, row.other, row.market, row.lots, row.price_ticks) for row in rows] == [
        (EventKind.ORDER_FILL, 1, 0, -100, 99_990),
        (EventKind.ORDER_FILL, 1, 0, -150, 99_950),
        (EventKind.ORDER_DONE, 1, NONE, 0, 0),
    ]
    assert {int(row.time_ns) for row in rows} == {10 + LATENCY}


def test_a_buy_takes_ask_depth_above_the_mark() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, 250, 101_000, 0)
    assert [(row.lots, row.price_ticks) for row in say(world)[:2]] == [(100, 100_010), (150, 100_050)]
    assert [visible_lots(world, 0, BookSide.BID, band) for band in range(3)] == [100, 200, 300]


def test_what_lies_beyond_the_limit_stays_and_the_side_is_told_again() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, -250, 99_960, 0)
    rows = say(world)
    assert kinds(rows) == [EventKind.ORDER_FILL, EventKind.ORDER_DONE] + [EventKind.DEPTH] * 3
    assert rows[0].lots == -100
    assert [(row.code, row.other, row.lots) for row in rows[2:]] == [(BookSide.BID, 0, 0), (BookSide.BID, 1, 200), (BookSide.BID, 2, 300)]


def test_a_cancelled_order_that_has_not_arrived_is_answered_by_done_alone() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, -250, 99_000, 0)
    cancel(world, 1)
    assert kinds(say(world)) == [EventKind.ORDER_DONE]
    assert visible_lots(world, 0, BookSide.BID, 0) == 100
    assert next_ns(world) == NEVER_NS


def test_a_cancellation_after_the_order_arrived_or_of_another_order_in_its_place_does_nothing() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, -10, 99_000, 0)
    cancel(world, 1 + len(world.sent))
    assert kinds(say(world)) == [EventKind.ORDER_FILL, EventKind.ORDER_DONE]
    cancel(world, 1)
    assert world.sent[1].is_cancelled == 0


def test_without_a_mark_nothing_is_filled() -> None:
    world = small_world(mark_ticks=0)
    take_order(world, 1, 7, 0, -10, 1, 0)
    assert kinds(say(world))[:1] == [EventKind.ORDER_DONE]


def test_an_order_whose_place_still_holds_one_on_its_way_is_an_error() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, -1, 1, 0)
    with pytest.raises(OverflowError, match="on their way"):
        take_order(world, 1 + len(world.sent), 7, 0, -1, 1, 0)


@given(orders=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40))
def test_orders_arrive_by_time_then_id_whatever_the_markets_latency(orders: list[tuple[int, int]]) -> None:
    world = new_world(small_rules(2), [Book(latency_ns=3), Book(latency_ns=5)], start_ns=1 << 60, impact=False)
    sent = sorted((gap, market) for gap, market in orders)
    for number, (time_ns, market) in enumerate(sent):
        take_order(world, number + 1, 0, market, -1, 1, time_ns)
    expected = sorted((time_ns + (3, 5)[market], number + 1) for number, (time_ns, market) in enumerate(sent))
    heard = [[(int(row.time_ns), int(row.other)) for row in say(world) if row.kind == EventKind.ORDER_DONE] for _ in sent]
    assert [answer for answers in heard for answer in answers] == expected


@given(mark=st.integers(1, (1 << 31) - 2), offset=st.integers(0, 999_999), away=st.integers(-3, 3), is_sell=st.booleans())
def test_a_band_price_is_rounded_against_the_account_and_never_beyond_the_limit(mark: int, offset: int, away: int, is_sell: bool) -> None:
    exact = Fraction(mark * (1_000_000 + (-offset if is_sell else offset)), 1_000_000)
    limit = max(1, round(exact) + away)
    price = band_price_ticks(mark, offset, limit, is_sell)
    if is_sell:
        assert price == (0 if ceil(exact) < limit else max(floor(exact), limit))
    else:
        assert price == (0 if floor(exact) > limit else min(ceil(exact), limit))


@given(mark=st.integers(1, (1 << 31) - 2), tolerance=st.integers(0, 999_999))
def test_a_band_at_the_tolerance_fills_an_order_planned_at_the_same_mark(mark: int, tolerance: int) -> None:
    sell_limit = max(1, ceil(Fraction(mark * (1_000_000 - tolerance), 1_000_000)))
    assert band_price_ticks(mark, tolerance, sell_limit, True) == sell_limit
    buy_limit = floor(Fraction(mark * (1_000_000 + tolerance), 1_000_000))
    assert band_price_ticks(mark, tolerance, buy_limit, False) == buy_limit


@settings(max_examples=60)
@given(
    base=st.integers(1, 1 << 40),
    rate=st.integers(1, 1_000_000),
    fills=st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 1 << 40)), min_size=1, max_size=6),
    looks=st.lists(st.integers(0, 10 * SECOND), max_size=8),
)
def test_depth_comes_back_exactly_and_looking_at_it_changes_nothing(
    base: int, rate: int, fills: list[tuple[int, int]], looks: list[int]
) -> None:
    """One band against a model in fractions; other worlds are settled at more moments."""
    book = Book(depth_lots=(base, 0, 0), recovery_ppm_per_second=rate, latency_ns=0)
    watched, left_alone = small_world(book=book), small_world(book=book)
    missing, then = Fraction(0), 0
    now = 0
    for number, (gap, lots) in enumerate(fills):
        now += gap
        for look in sorted(look for look in looks if then < look < now):
            settle(watched, 0, look)
        missing = max(Fraction(0), missing - Fraction(base * rate * (now - then), 10**15))
        visible = base - ceil(missing)
        for world in (watched, left_alone):
            take_order(world, number + 1, 0, 0, -lots, 1, now)
            while True:
                rows = say(world)
                if any(row.kind == EventKind.ORDER_DONE for row in rows):
                    break
            filled = sum(-int(row.lots) for row in rows if row.kind == EventKind.ORDER_FILL)
            assert filled == min(lots, visible)
        missing, then = missing + min(lots, visible), now
    assert np.array_equal(watched.bands["missing_lots"], left_alone.bands["missing_lots"])
    assert np.array_equal(watched.bands["credit"], left_alone.bands["credit"])


def test_depth_is_told_at_whole_intervals_while_it_changes_and_then_no_more() -> None:
    world = small_world()
    take_order(world, 1, 7, 0, -100, 99_000, 0)
    say(world)
    heard = []
    while next_ns(world) != NEVER_NS:
        heard += [(int(row.time_ns), int(row.other), int(row.lots)) for row in say(world)]
    # A tenth a second of 100 lots, from 0.05 s: 9.5 lots back at 1 s, rounded down, full at 10.05
    # s.
    assert heard == [(n * SECOND, 0, 10 * n - 1) for n in range(1, 11)] + [(11 * SECOND, 0, 100)]


def test_a_book_that_never_recovers_is_not_told_for_ever() -> None:
    world = small_world(book=Book(recovery_ppm_per_second=0))
    take_order(world, 1, 7, 0, -100, 99_000, 0)
    say(world)
    assert next_ns(world) == NEVER_NS


def test_a_schedule_step_scales_full_depth_and_keeps_the_share_that_is_missing() -> None:
    world = small_world(book=Book(recovery_ppm_per_second=0), schedule=steps((5, 0, 100_000), (10, 0, 1_000_000)))
    take_order(world, 1, 7, 0, -150, 99_000, 0)
    say(world)
    assert next_ns(world) == 5 * SECOND
    rows = say(world)
    assert [(row.code, row.other, row.lots) for row in rows] == [(0, 1, 15), (0, 2, 30), (1, 0, 10), (1, 1, 20), (1, 2, 30)]
    say(world)
    assert [visible_lots(world, 0, BookSide.BID, band) for band in range(3)] == [0, 150, 300]
    assert next_ns(world) == NEVER_NS


def test_a_schedule_step_holds_from_its_own_time_whoever_looks_later() -> None:
    book = Book(recovery_ppm_per_second=100_000)
    early, late = (small_world(book=book, schedule=steps((3, 0, 50_000), (6, 0, 700_000))) for _ in range(2))
    for world in (early, late):
        take_order(world, 1, 7, 0, -300, 99_000, 0)
        say(world)
    for time_ns in range(1, 80):
        settle(early, 0, time_ns * SECOND // 10)
    settle(early, 0, 8 * SECOND)
    settle(late, 0, 8 * SECOND)
    assert early.bands.tobytes() == late.bands.tobytes()


def test_impact_is_the_declared_share_of_how_far_the_book_was_eaten() -> None:
    world = small_world(impact=True)
    take_order(world, 1, 7, 0, -200, 99_000, 0)
    say(world)
    # All of the band at 100 ppm, half of the way from 100 to 500 ppm: 300 ppm, a fifth of it for
    # good.
    assert world.books[0].impact_factor == IMPACT_ONE - 60 * 1_000_000
    assert impacted_ticks(world, 0, 100_000) == 99_994
    assert impacted_ticks(world, 0, 1) == 1


def test_impact_does_not_depend_on_how_an_order_is_sliced() -> None:
    whole, sliced = (small_world(impact=True, book=Book(recovery_ppm_per_second=0, latency_ns=0)) for _ in range(2))
    take_order(whole, 1, 7, 0, 240, 101_000, 0)
    say(whole)
    for number in range(24):
        take_order(sliced, number + 1, 7, 0, 10, 101_000, 0)
        say(sliced)
    assert whole.books[0].impact_factor > IMPACT_ONE
    # The sum against the product of small factors, and 24 roundings down.
    assert abs(int(whole.books[0].impact_factor) - int(sliced.books[0].impact_factor)) < 5_000


def test_impact_switched_off_leaves_marks_alone() -> None:
    world = small_world(impact=False)
    take_order(world, 1, 7, 0, -600, 1, 0)
    say(world)
    assert impacted_ticks(world, 0, 123_456) == 123_456


@pytest.mark.parametrize(
    ("book", "message"),
    [
        (Book(depth_lots=(1, 2)), r"books\[0\].depth_lots has 2 bands: must have 3"),
        (Book(depth_lots=(1, 2, -1)), r"books\[0\].depth_lots\[2\] = -1: must be 0 to"),
        (Book(recovery_ppm_per_second=1_000_001), r"recovery_ppm_per_second = 1000001: must be 0 to 1000000"),
        (Book(permanent_impact_ppm=-1), r"permanent_impact_ppm = -1: must be 0 to 1000000"),
        (Book(latency_ns=-1), r"latency_ns = -1: must be 0 to"),
    ],
)
def test_a_book_that_cannot_be_names_the_field(book: Book, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        new_world(small_rules(1), [book], start_ns=0, impact=False)


def test_a_schedule_that_cannot_be_says_why() -> None:
    for schedule, message in (
        (steps((1, 3, 0)), "market"),
        (steps((1, 0, -1)), "depth_ppm"),
        (steps((1, 0, 1), (1, 0, 2)), "two steps"),
    ):
        with pytest.raises(ValueError, match=message):
            new_world(small_rules(1), [Book()], start_ns=0, impact=False, schedule=schedule)
