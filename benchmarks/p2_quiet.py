"""Quiet marks in one market of one-position accounts, against ``LiquidationEngine.on_mark`` of
lrvx.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.book import FIRST_MARK_TICKS, load
from benchmarks.one_market import (
    DIFFERENCES,
    SECOND_NS,
    START_NS,
    Baseline,
    Desk,
    deep,
    has_lrvx,
    lrvx_version,
    mark_events,
    not_run,
    open_book,
)

SEED = 20251012
UNIT = "times faster than on_mark of lrvx, a quiet mark"
BAR = 500
#: The marks stay between these once both have been seen: who cannot bear them has gone before the
#: clock starts.
LOW_TICKS, HIGH_TICKS = FIRST_MARK_TICKS * 97 // 100, FIRST_MARK_TICKS * 103 // 100
BLOCKS = 20


def quiet_ticks(count: int) -> NDArray[np.int64]:
    """Return a walk of Student-t(3) x 2 bp, turned back at the two bounds; no mark equals the one
    before.
    """
    random = np.random.Generator(np.random.PCG64(SEED + 1))
    moves = random.standard_t(3, size=count) * 2e-4 * FIRST_MARK_TICKS
    ticks = np.zeros(count, dtype=np.int64)
    last = FIRST_MARK_TICKS
    for place, move in enumerate(moves.tolist()):
        step = round(move) or 1
        following = last + step
        if not LOW_TICKS <= following <= HIGH_TICKS:
            following = min(max(last - step, LOW_TICKS), HIGH_TICKS)
        ticks[place] = last = following
    return ticks


def _compare(desk: Desk, baseline: Baseline) -> tuple[dict[str, Any], bool]:
    """Take both to the lowest and the highest mark; return figures and whether the same accounts
    fell.
    """
    equal, fell = True, []
    for place, price in enumerate((LOW_TICKS, HIGH_TICKS, FIRST_MARK_TICKS)):
        ticks = np.array([price])
        here = desk.crash(mark_events(ticks, START_NS + 1_000 * place * SECOND_NS))
        _, there, _ = baseline.run(ticks)
        equal &= bool(np.array_equal(here.defaulters, there))
        fell.append(len(there))
    held, there_held = desk.open_positions(), baseline.engine.position_count()
    figures = {
        "defaults at -3 %, +3 %, both sides": f"{fell[0]}, {fell[1]}",
        "defaulters equal": equal,
        "positions left: here, lrvx": f"{held}, {there_held}",
    }
    return figures, equal and held == there_held and desk.is_clean()


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of lrvx's median mark to this engine's mean, in blocks that take turns."""
    if not has_lrvx():
        return not_run(UNIT, BAR)
    accounts, count, theirs = (20_000, 4_000, 2) if small else (1_000_000, 200_000, 5)
    book = open_book(accounts, SEED)
    say(f"opening {accounts:,} accounts on both sides")
    desk, baseline = Desk(book, deep(book)), Baseline(book)
    figures, sound = _compare(desk, baseline)
    say(f"defaults at -3 % and +3 %: {figures['defaults at -3 %, +3 %, both sides']}")
    ticks = quiet_ticks(count)
    rows = mark_events(ticks, START_NS + 10_000 * SECOND_NS, 1_000_000)
    rows["seq"] = int(desk.state.engine[0].last_seq) + 1 + np.arange(count)
    gone, judged, crossed = baseline.engine.liquidations_count(), int(desk.state.engine[0].judged), int(desk.state.engine[0].crossed)
    here_times, there_times = [], []
    baseline.run(ticks[:1])
    for block in range(BLOCKS):
        first, last = count * block // BLOCKS, count * (block + 1) // BLOCKS
        part = rows[first:last]
        started = time.perf_counter()
        load(desk.state, part)
        here_times.append((time.perf_counter() - started) / len(part))
        there_times += [baseline.run(ticks[place : place + 1])[0] for place in range(last - theirs, last)]
    sound &= desk.is_clean() and baseline.engine.liquidations_count() == gone
    engine = desk.state.engine[0]
    here, there = float(np.mean(here_times)), float(np.median(there_times))
    return {
        "ratio": there / here,
        "bar": BAR,
        "sound": sound,
        "unit": UNIT,
        "figures": figures
        | {
            "engine: nanoseconds per mark, mean": here * 1e9,
            "engine: nanoseconds per mark, median block": float(np.median(here_times)) * 1e9,
            "engine: nanoseconds per mark, slowest block": max(here_times) * 1e9,
            "lrvx: milliseconds per mark, median": there * 1e3,
            "ratio of the slowest block to lrvx's fastest mark": min(there_times) / max(here_times),
            "crossed triggers per mark": (int(engine.crossed) - crossed) / count,
            "accounts judged per mark": (int(engine.judged) - judged) / count,
        },
        "conditions": {
            "accounts": accounts,
            "positions": len(book.lots),
            "markets": 1,
            "tiers": 1,
            "marks": f"{count} here, {BLOCKS * theirs} of them in lrvx, Student-t(3) x 2 bp, within 3 % of the first",
            "seed": SEED,
            "lrvx": lrvx_version(),
            "excluded": "opening the books, the falls to both bounds before, compilation",
            "differences": DIFFERENCES,
        },
    }
