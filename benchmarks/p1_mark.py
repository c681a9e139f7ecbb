"""One mark price to the exact list of distressed accounts: the trigger index against scans."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import kernel
from backstop.core.monitor import apply_mark, start_round
from backstop.core.state import State
from benchmarks.book import FIRST_MARK_TICKS, make_book, opened_state
from benchmarks.scans import columns_of, full_scan, market_scan, numpy_scan

SEED = 20251010


@kernel
def run_marks(state: State, markets: NDArray[np.int64], ticks: NDArray[np.int64], first: int, last: int) -> None:
    """Apply marks ``first`` to ``last`` and drop their effects."""
    for place in range(first, last):
        start_round(state)
        apply_mark(state, markets[place], ticks[place])
        state.engine[0].effects_now = 0


def _steps(count: int, markets: int, weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (market, mark) of each update: Student-t(3) x 2 bp, markets drawn by their size."""
    random = np.random.Generator(np.random.PCG64(SEED + 1))
    market = random.choice(markets, size=count, p=weight)
    move = random.standard_t(3, size=count) * 2e-4
    last = np.full(markets, float(FIRST_MARK_TICKS))
    ticks = np.zeros(count, dtype=np.int64)
    for place in range(count):
        last[market[place]] *= 1 + move[place]
        ticks[place] = max(1, round(last[market[place]]))
    return market, ticks


def _resident_bytes() -> int:
    """Return the memory that this process holds, or 0 where the system does not tell."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * resource.getpagesize() if path.exists() else 0


def _distressed(state: State, accounts: int) -> NDArray[np.int64]:
    """Return accounts that the index holds DISTRESSED and that are below maintenance (not kept by
    the exit buffer).
    """
    return np.flatnonzero(state.accounts["health"][:accounts] >= 2)


def _compare(state: State, columns: Any, marks: NDArray[np.int64], found: NDArray[np.int64], accounts: int) -> tuple[int, int]:
    """Return (accounts missed, accounts flagged that the scan does not flag and no exit buffer
    explains).
    """
    count = int(full_scan(columns, marks, found))
    scan, index = set(found[:count].tolist()), set(_distressed(state, accounts).tolist())
    return len(scan - index), len(index - scan)


def _fall(state: State, columns: Any, accounts: int, markets: int, updates: int) -> dict[str, Any]:
    """Let every market fall by 10 % in ``updates`` marks; return time, defaults and what was
    missed.
    """
    rounds = updates // markets
    market = np.tile(np.arange(markets), rounds)
    start = state.markets["mark_ticks"].astype(float)
    path = np.linspace(1.0, 0.9, rounds + 1)[1:]
    ticks = np.round(start[None, :] * path[:, None]).astype(np.int64).reshape(-1)
    started = time.perf_counter()
    run_marks(state, market, ticks, 0, len(ticks))
    seconds = time.perf_counter() - started
    found = np.zeros(accounts, dtype=np.int64)
    missed, kept = _compare(state, columns, state.markets["mark_ticks"].astype(np.int64), found, accounts)
    return {
        "fall 10 %: updates": len(ticks),
        "fall 10 %: seconds in all": seconds,
        "fall 10 %: distressed": len(_distressed(state, accounts)),
        "fall 10 %: missed": missed,
        "fall 10 %: kept by the exit buffer": kept,
    }


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of the compiled full scan to the index, per mark, with the other scans
    beside it.
    """
    accounts, positions, markets, updates = (20_000, 50_000, 20, 2_000) if small else (1_000_000, 2_500_000, 200, 20_000)
    book = make_book(accounts, positions, markets, SEED)
    say(f"opening {accounts:,} accounts, {len(book.lots):,} positions, {markets} markets")
    before = _resident_bytes()
    state = opened_state(book, accounts, markets)
    resident = _resident_bytes() - before
    columns = columns_of(book, accounts)
    market, ticks = _steps(updates, markets, book.market_weight)
    marks = np.full(markets, FIRST_MARK_TICKS, dtype=np.int64)
    found = np.zeros(accounts, dtype=np.int64)
    order = np.argsort(book.market, kind="stable")
    edges = np.searchsorted(book.market[order], np.arange(markets + 1))
    holders = [book.account[order[edges[number] : edges[number + 1]]] for number in range(markets)]
    full_scan(columns, marks, found)
    market_scan(columns, marks, holders[0], found)
    run_marks(state, market, ticks, 0, 0)

    blocks = 10
    index_times: list[float] = []
    full_times: list[float] = []
    market_times: list[float] = []
    numpy_times: list[float] = []
    missed = unexplained = 0
    judged, crossed = int(state.engine[0].judged), int(state.engine[0].crossed)
    for block in range(blocks):
        first, last = updates * block // blocks, updates * (block + 1) // blocks
        started = time.perf_counter()
        run_marks(state, market, ticks, first, last)
        index_times.append(time.perf_counter() - started)
        for place in range(first, last):
            marks[market[place]] = ticks[place]
        for timed, repeat in ((full_times, 3), (market_times, 10), (numpy_times, 1)):
            for turn in range(repeat):
                number = int(market[last - 1 - turn])
                started = time.perf_counter()
                if timed is full_times:
                    full_scan(columns, marks, found)
                elif timed is market_times:
                    market_scan(columns, marks, holders[number], found)
                else:
                    numpy_scan(columns, marks)
                timed.append(time.perf_counter() - started)
        gone, kept = _compare(state, columns, marks, found, accounts)
        missed += gone
        unexplained += kept
        say(f"block {block + 1} of {blocks}: {len(_distressed(state, accounts)):,} distressed, {gone} missed")
    per_mark = sum(index_times) / updates
    full, by_market, vectorised = (float(np.mean(times)) for times in (full_times, market_times, numpy_times))
    engine = state.engine[0]
    figures = {
        "index: microseconds per mark": per_mark * 1e6,
        "compiled full scan: milliseconds per mark": full * 1e3,
        "compiled scan of the market's accounts: milliseconds per mark": by_market * 1e3,
        "NumPy scan: milliseconds per mark": vectorised * 1e3,
        "ratio to the compiled full scan (bar 1,000)": full / per_mark,
        "ratio to the compiled scan of the market's accounts": by_market / per_mark,
        "ratio to the NumPy scan (bar 5,000)": vectorised / per_mark,
        "crossed triggers per mark": (int(engine.crossed) - crossed) / updates,
        "accounts judged per mark": (int(engine.judged) - judged) / updates,
        "accounts missed, over all comparisons": missed,
        "accounts held in default by the exit buffer, over all comparisons": unexplained,
        "bytes per position row": state.positions.itemsize,
        "bytes per account row": state.accounts.itemsize,
        "bytes resident for the open book, per account with its positions": resident // accounts,
    }
    figures |= _fall(state, columns, accounts, markets, updates)
    return {
        "ratio": full / per_mark,
        "bar": 1000,
        "sound": missed == 0 and figures["fall 10 %: missed"] == 0 and (small or vectorised / per_mark >= 5000),
        "unit": "times faster than a compiled full scan, per mark",
        "figures": figures,
        "conditions": {
            "accounts": accounts,
            "positions": len(book.lots),
            "markets": markets,
            "updates": updates,
            "seed": SEED,
            "excluded": "opening the book, compilation, and the waterfall's work on the accounts found",
        },
    }
