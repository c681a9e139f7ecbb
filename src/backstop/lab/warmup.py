"""Compiling every kernel before it is waited for, by running a small crash."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import numpy as np

from backstop.compiled import COMPILED, cache_is_warm, cache_path
from backstop.config import default_text, parse_venue
from backstop.core.engine import step
from backstop.core.state import new_state
from backstop.lab.cases import case_of_population, scenario_prices
from backstop.lab.replay import replay as run_replay
from backstop.markets.population import default_parameters
from backstop.markets.scenarios import scenario

__all__ = ["warm"]


def warm() -> float:
    """Compile what is not in the cache yet, tell the progress on standard error, mark the cache as warm.

    Returns the seconds that it took. Does nothing where the cache is warm or kernels run as plain Python.
    """
    if not COMPILED or cache_is_warm():
        return 0.0
    start = time.perf_counter()
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(done, start), daemon=True)
    teller.start()
    try:
        _run_small_crash()
    finally:
        done.set()
        teller.join()
    cache_path().mkdir(parents=True, exist_ok=True)
    (cache_path() / "warm").touch()
    return time.perf_counter() - start


def _tell(done: threading.Event, start: float) -> None:
    """Say now and then that the compiler is at work, and how many functions it has finished."""
    is_terminal = sys.stderr.isatty()
    while not done.wait(1.0 if is_terminal else 10.0):
        finished = sum(1 for _ in cache_path().rglob("*.nbi")) if cache_path().exists() else 0
        text = f"compiling: {finished} kernels after {time.perf_counter() - start:.0f} s"
        print(f"\r{text}" if is_terminal else text, end="" if is_terminal else "\n", file=sys.stderr, flush=True)  # noqa: T201
    if is_terminal:
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)  # noqa: T201


def _run_small_crash() -> None:
    """Run every function that Python calls compiled: the driver, and the plain step."""
    venue = parse_venue(default_text(), "venue.toml")
    prices, schedule = scenario_prices(venue, scenario("2025-10-10"), seed=1)
    case = case_of_population(venue, prices, replace(default_parameters(), accounts=200), seed=1, schedule=schedule)
    first = case.prices.events[: len(case.prices.markets)].copy()
    last = first.copy()
    last["price_ticks"] //= 2
    last["time_ns"] += 1_000_000_000
    run_replay(venue, np.concatenate([first, last]), case.opening, impact=True, schedule=schedule)
    events = case.opening[:2].copy()
    events["seq"] = (1, 2)
    step(new_state(venue.rules), events, 0)
