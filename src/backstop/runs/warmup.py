"""Compiling every kernel before it is waited for, by running a small crash."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numba
import numpy as np

from backstop.compiled import COMPILED, cache_is_warm, cache_path
from backstop.config import default_text, parse_venue
from backstop.core.engine import step
from backstop.core.state import new_state
from backstop.core.waterfall.adl import deleverage
from backstop.core.waterfall.closeout import close_on_book
from backstop.core.waterfall.run import run_rounds
from backstop.core.waterfall.socialise import socialise
from backstop.core.waterfall.takeover import take_over
from backstop.core.waterfall.tear_up import tear_up
from backstop.markets.population import default_parameters
from backstop.markets.scenarios import scenario
from backstop.runs.cases import case_of_population, scenario_prices
from backstop.runs.replay import replay as run_replay

__all__ = ["compile_waterfall", "warm"]

#: Kernels that the first process compiles before the second begins: what both would do is done twice.
_LEAVES = 90
#: Kernels with how many numbers each takes beside the state.
_STAGES: tuple[tuple[Any, int], ...] = (
    (deleverage, 3),
    (take_over, 3),
    (socialise, 2),
    (tear_up, 3),
    (close_on_book, 3),
    (run_rounds, 0),
)


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
    mate = _start_mate()
    try:
        _run_small_crash()
    finally:
        if mate is not None:
            mate.kill()
            mate.wait()
        done.set()
        teller.join()
    cache_path().mkdir(parents=True, exist_ok=True)
    (cache_path() / "warm").touch()
    return time.perf_counter() - start


def _start_mate() -> subprocess.Popen[bytes] | None:
    """Let a second process compile the waterfall meanwhile; both leave what they finish in the cache, and find it there."""
    if (os.cpu_count() or 1) < 2:
        return None
    return subprocess.Popen([sys.executable, "-c", f"from {__name__} import compile_waterfall; compile_waterfall()"])


def compile_waterfall() -> None:
    """Compile the stages, which a crash comes to last, when the leaves that all have in common are there."""
    rules = parse_venue(default_text(), "venue.toml").rules
    while sum(1 for _ in cache_path().rglob("*.nbi")) < _LEAVES:
        time.sleep(0.2)
    small = rules._replace(limits=rules.limits._replace(accounts_max=16, positions_max=16, orders_max=16, effects_max=16))
    type_of: Any = numba.typeof
    state, number = type_of(new_state(small)), numba.int64
    for stage, numbers in _STAGES:
        stage.compile((state, *(number,) * numbers))


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
