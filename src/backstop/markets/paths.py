"""Price paths: a seeded path through a scenario's pins, and a declared path through recorded bars.

The path through pins is the only place here with floating point: a Brownian bridge in the logarithm
of the price, one a segment, rounded once to ticks (to the nearest, ties to even). A pin itself is
rounded from its decimal, exactly. One machine's exponential may differ from another's in the last
bit, so a run is pinned by its journal, not by its seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import EVENT, NONE, EventKind
from backstop.core.instruments import PRICE_TICKS_LIMIT
from backstop.markets.scenarios import Pin, Scenario
from backstop.markets.world import DEPTH_STEP

__all__ = [
    "CALM_VOLATILITY",
    "ROUGHNESS",
    "STEP_NS",
    "depth_schedule",
    "path_marks",
]

#: One mark per market per second.
STEP_NS = 1_000_000_000
#: Deviation of the bridge over a segment, as a share of the segment's own move in log price.
ROUGHNESS = 0.25
#: Deviation that is added, of the log price, per square root of a second: 56 % per year.
CALM_VOLATILITY = 1e-4


def _pin_ticks(pin: Pin, price_tick: Decimal) -> int:
    ticks = int((pin.price / price_tick).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    if not 1 <= ticks <= PRICE_TICKS_LIMIT:
        raise ValueError(f"price {pin.price} = {ticks} ticks of {price_tick}: must be 1 to {PRICE_TICKS_LIMIT}")
    return ticks


def _fold(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Reflect values outside of ``[low, high]`` back into it, once, and clip the rest."""
    values = np.where(values < low, 2 * low - values, values)
    values = np.where(values > high, 2 * high - values, values)
    return np.clip(values, low, high)


def _market_ticks(
    pins: Sequence[Pin], price_tick: Decimal, times_ns: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    pin_ticks = np.array([_pin_ticks(pin, price_tick) for pin in pins], dtype=np.int64)
    places = np.searchsorted(times_ns, [pin.time_ns for pin in pins])
    if not np.array_equal(times_ns[places], [pin.time_ns for pin in pins]):
        raise ValueError("a pin is not at a whole step from the start")
    logs = np.log(pin_ticks.astype(np.float64))
    ticks = np.zeros(len(times_ns), dtype=np.int64)
    for number in range(len(pins) - 1):
        first, last = int(places[number]), int(places[number + 1])
        steps = last - first
        share = np.arange(steps + 1) / steps
        seconds = float(times_ns[last] - times_ns[first]) / 1e9
        move = float(logs[number + 1] - logs[number])
        deviation = ROUGHNESS * abs(move) + CALM_VOLATILITY * np.sqrt(seconds)
        walk = np.concatenate(([0.0], np.cumsum(generator.standard_normal(steps)))) * (deviation / np.sqrt(steps))
        bridge = logs[number] + share * move + (walk - share * walk[-1])
        ticks[first : last + 1] = np.rint(np.exp(_fold(bridge, float(logs.min()), float(logs.max()))))
    ticks[places] = pin_ticks
    return np.asarray(np.clip(ticks, pin_ticks.min(), pin_ticks.max()), dtype=np.int64)


def path_marks(
    scenario: Scenario, symbols: Sequence[str], price_ticks: Sequence[Decimal], seed: int, step_ns: int = STEP_NS
) -> NDArray[np.void]:
    """Return MARK events through a scenario's pins: one per market per step, sorted by time, then
    market.

    ``symbols[m]`` and ``price_ticks[m]`` (the size of a tick, in price) are those of market ``m``;
    a venue may trade fewer markets than the scenario has. Each market's path depends on the seed
    and its own symbol, not on what else is there. It goes through every pin and never leaves the
    range of its pins. ``seq`` is 0: the driver numbers. Raises ``KeyError`` for a symbol that the
    scenario has not.
    """
    steps, rest = divmod(scenario.end_ns - scenario.start_ns, step_ns)
    if step_ns < 1 or rest:
        raise ValueError(f"step_ns = {step_ns}: must divide the scenario's {scenario.end_ns - scenario.start_ns} ns")
    times_ns = scenario.start_ns + step_ns * np.arange(steps + 1, dtype=np.int64)
    events = np.zeros((steps + 1, len(symbols)), dtype=EVENT)
    events["time_ns"] = times_ns[:, np.newaxis]
    events["kind"], events["account"] = EventKind.MARK, NONE
    events["market"] = np.arange(len(symbols))
    for market, (symbol, price_tick) in enumerate(zip(symbols, price_ticks, strict=True)):
        key = np.random.SeedSequence([seed, zlib.crc32(symbol.encode())])
        generator = np.random.Generator(np.random.PCG64(key))
        events["price_ticks"][:, market] = _market_ticks(scenario.pins_of(symbol), price_tick, times_ns, generator)
    return events.reshape(-1)


def depth_schedule(scenario: Scenario, markets: int, step_ns: int = 10 * STEP_NS) -> NDArray[np.void]:
    """Return ``DEPTH_STEP`` rows: straight lines between the depth pins, one step per ``step_ns``,
    the same for every market.

    Whole ppm, rounded down. A pin that is no whole number of steps from the start has a step of its
    own.
    """
    pin_ns = np.array([pin.time_ns for pin in scenario.depth], dtype=np.int64)
    pin_ppm = [pin.depth_ppm for pin in scenario.depth]
    grid = np.arange(scenario.start_ns, scenario.end_ns, step_ns, dtype=np.int64)
    times_ns = np.unique(np.concatenate((grid, pin_ns)))
    places = np.clip(np.searchsorted(pin_ns, times_ns, side="right") - 1, 0, len(pin_ns) - 2)
    levels = [
        pin_ppm[place] + (pin_ppm[place + 1] - pin_ppm[place]) * int(time - pin_ns[place]) // int(pin_ns[place + 1] - pin_ns[place])
        for time, place in zip(times_ns, places, strict=True)
    ]
    kept = np.concatenate(([True], np.diff(levels) != 0))
    rows = np.zeros((markets, int(kept.sum())), dtype=DEPTH_STEP)
    rows["time_ns"], rows["depth_ppm"] = times_ns[kept], np.array(levels)[kept]
    rows["market"] = np.arange(markets)[:, np.newaxis]
    return rows.reshape(-1)
