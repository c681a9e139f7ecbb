"""Paths: through every pin, within their range, the same for the same seed; bars with exact
corners.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from backstop.core.events import EventKind
from backstop.markets.paths import depth_schedule, path_marks
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
