"""Compiling every unit before it is waited for: from declared signatures, without running
anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backstop.closure import name_of
from backstop.compiled import COMPILED, is_cached, prune_cache, units_of
from backstop.core.engine import step
from backstop.core.timers import next_wait_ns
from backstop.markets.driver import drive

__all__ = ["compile_units", "entries", "is_warm", "units", "warm"]

#: What Python calls. Everything that runs is one of these or is called by one.
entries: tuple[Any, ...] = (step, next_wait_ns, drive)


def units() -> list[Any]:
    """Return every unit that a run needs, each after the units that it calls."""
    found: dict[int, Any] = {}
    for entry in entries:
        found.update((id(each), each) for each in units_of(entry))
    return list(found.values())


def is_warm() -> bool:
    """Return whether the machine code of this source is on disk, so that no long compile is
    ahead.
    """
    return not COMPILED or all(is_cached(entry) for entry in entries)


def warm() -> float:
    """Compile what is not on disk yet, with progress on standard error; return the seconds it took.

    Does nothing where everything is there or kernels run as plain Python.
    """
    if is_warm():
        return 0.0
    start = time.perf_counter()
    done = threading.Event()
    teller = threading.Thread(target=_show_progress, args=(done, start), daemon=True)
    teller.start()
    with tempfile.TemporaryDirectory() as claims:
        mates = _start_mates(claims)
        try:
            compile_units(claims, mates=mates)
        finally:
            for mate in mates:
                mate.kill()
                mate.wait()
            done.set()
            teller.join()
    prune_cache()
    return time.perf_counter() - start


def _start_mates(claims: str) -> list[subprocess.Popen[bytes]]:
    """Start a process per further processor, at most three; each compiles units and leaves them on
    disk.
    """
    count = min((os.cpu_count() or 1) - 1, 3)
    words = f"from {__name__} import compile_units; compile_units({claims!r}, is_mate=True)"
    return [subprocess.Popen([sys.executable, "-c", words]) for _ in range(count)]


def compile_units(claims: str, *, is_mate: bool = False, mates: Sequence[subprocess.Popen[bytes]] = ()) -> None:
    """Compile all units together with other processes: each takes the next one that nobody has.

    ``claims`` is a folder in which a taken unit leaves an empty file. A unit can be taken once the
    units that it calls are on disk. A mate ends when nothing is left to take; the first process
    waits for the mates' units and compiles itself what a mate leaves behind.
    """
    left = [each for each in units() if not each._cache.has(each.declared)]
    while left:
        ready = [each for each in left if all(callee._cache.has(callee.declared) for callee in each._cache.closure.units)]
        taken = next((each for each in ready if _claim(claims, each)), None)
        if taken is not None:
            taken.load()
        elif is_mate and not any(_is_free(claims, each) for each in left):
            return
        elif not is_mate and all(mate.poll() is not None for mate in mates):
            break  # what a mate took and did not finish is compiled below
        else:
            time.sleep(0.02)
        left = [each for each in left if not each._cache.has(each.declared)]
    if not is_mate:
        for entry in entries:
            entry.load()


def _claim_path(claims: str, unit: Any) -> Path:
    return Path(claims) / name_of(unit.py_func)


def _claim(claims: str, unit: Any) -> bool:
    """Take a unit; return whether nobody else has."""
    try:
        _claim_path(claims, unit).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _is_free(claims: str, unit: Any) -> bool:
    return not _claim_path(claims, unit).exists()


def _show_progress(done: threading.Event, start: float) -> None:
    """Say now and then how many units are compiled."""
    is_terminal, wanted = sys.stderr.isatty(), units()
    while not done.wait(1.0 if is_terminal else 5.0):
        finished = sum(each._cache.has(each.declared) for each in wanted)
        text = f"compiling: {finished} of {len(wanted)} units after {time.perf_counter() - start:.0f} s"
        print(f"\r{text}" if is_terminal else text, end="" if is_terminal else "\n", file=sys.stderr, flush=True)  # noqa: T201
    if is_terminal:
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)  # noqa: T201
