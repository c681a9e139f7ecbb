"""Paths: through every pin, within their range, the same for the same seed; bars with exact corners."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.events import EventKind
from backstop.markets.paths import depth_schedule, path_marks, walk_bar, walk_bars, walk_times_ns
from backstop.markets.scenarios import scenario

CRASH = scenario("2025-10-10")
SYMBOLS = ("BTC/USDT:USDT", "DOGE/USDT:USDT")
TICKS = (Decimal("0.1"), Decimal("0.00001"))


def test_a_path_has_one_mark_a_market_a_second_by_time_then_market() -> None:
    marks = path_marks(CRASH, SYMBOLS, TICKS, 1)
    assert len(marks) == 2 * (3 * 3600 + 1)
    assert np.array_equal(marks["market"], np.tile([0, 1], 3 * 3600 + 1))
    assert np.array_equal(np.unique(np.diff(marks["time_ns"][::2])), [10**9])
    assert set(marks["kind"]) == {EventKind.MARK}
    assert (marks["time_ns"][0], marks["time_ns"][-1]) == (CRASH.start_ns, CRASH.end_ns)


@pytest.mark.parametrize("seed", range(5))
def test_a_path_goes_through_every_pin_and_never_leaves_their_range(seed: int) -> None:
    marks = path_marks(CRASH, SYMBOLS, TICKS, seed)
    for market, (symbol, tick) in enumerate(zip(SYMBOLS, TICKS, strict=True)):
        rows = marks[market::2]
        pins = {pin.time_ns: int(pin.price / tick) for pin in CRASH.pins_of(symbol)}
        found = {int(row.time_ns): int(row.price_ticks) for row in rows if int(row.time_ns) in pins}
        assert found == pins
        assert min(pins.values()) == rows["price_ticks"].min()
        assert max(pins.values()) == rows["price_ticks"].max()


def test_the_same_seed_gives_the_same_path_and_another_seed_another() -> None:
    assert path_marks(CRASH, SYMBOLS, TICKS, 1).tobytes() == path_marks(CRASH, SYMBOLS, TICKS, 1).tobytes()
    assert path_marks(CRASH, SYMBOLS, TICKS, 1).tobytes() != path_marks(CRASH, SYMBOLS, TICKS, 2).tobytes()


def test_a_markets_path_does_not_depend_on_what_else_is_there() -> None:
    both = path_marks(CRASH, SYMBOLS, TICKS, 1)["price_ticks"][1::2]
    alone = path_marks(CRASH, SYMBOLS[1:], TICKS[1:], 1)["price_ticks"]
    assert np.array_equal(both, alone)


def test_a_market_without_pins_or_a_price_off_the_scale_is_named() -> None:
    with pytest.raises(KeyError, match="no market PEPE/USDT:USDT"):
        path_marks(CRASH, ["PEPE/USDT:USDT"], [Decimal(1)], 1)
    with pytest.raises(ValueError, match=r"must be 1 to"):
        path_marks(CRASH, ["DOGE/USDT:USDT"], [Decimal(1)], 1)
    with pytest.raises(ValueError, match="step_ns = 7"):
        path_marks(CRASH, SYMBOLS, TICKS, 1, step_ns=7)


def test_the_depth_schedule_goes_straight_from_pin_to_pin() -> None:
    rows = depth_schedule(CRASH, 2)
    assert set(rows["market"]) == {0, 1}
    one = rows[rows["market"] == 1]
    level = dict(zip(one["time_ns"].tolist(), one["depth_ppm"].tolist(), strict=True))
    for pin in CRASH.depth[2:]:
        assert level[pin.time_ns] == pin.depth_ppm
    low = next(pin for pin in CRASH.depth if pin.depth_ppm == 20_000)
    assert level[low.time_ns - 10 * 10**9] == 20_000 + 80_000 // 30
    assert (np.diff(one["time_ns"]) > 0).all()


@given(
    prices=st.lists(st.integers(1, 1 << 31), min_size=4, max_size=4),
    rises=st.booleans(),
    steps=st.integers(1, 20),
)
def test_a_bar_is_walked_through_its_four_corners(prices: list[int], rises: bool, steps: int) -> None:
    low, *middle, high = sorted(prices)
    opened, close = (min(middle), max(middle)) if rises else (max(middle), min(middle))
    way = walk_bar(opened, high, low, close, steps)
    first, second = (low, high) if close >= opened else (high, low)
    assert len(way) == 3 * steps + 1
    assert way[[0, steps, 2 * steps, 3 * steps]].tolist() == [opened, first, second, close]
    assert way.min() == low
    assert way.max() == high
    for leg in range(3):
        signs = set(np.sign(np.diff(way[leg * steps : (leg + 1) * steps + 1])).tolist())
        assert not {1, -1} <= signs


def test_many_bars_are_walked_as_one_by_one() -> None:
    rows = walk_bars([10, 10], [20, 20], [5, 5], [8, 10], 3)
    assert rows.tolist() == [walk_bar(10, 20, 5, 8, 3).tolist(), walk_bar(10, 20, 5, 10, 3).tolist()]


def test_the_close_of_a_bar_is_due_before_the_next_open() -> None:
    times = walk_times_ns([0, 60], 60, 2)
    assert times[:, 0].tolist() == [0, 60]
    assert (np.diff(times.reshape(-1)) > 0).all()


def test_a_bar_that_does_not_contain_its_open_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bar 1: open 21, high 20, low 5, close 10"):
        walk_bars([10, 21], [20, 20], [5, 5], [10, 10], 2)
    with pytest.raises(ValueError, match="steps = 0"):
        walk_bar(1, 1, 1, 1, 0)
