"""What a fuzzed reader is, and what counts as a finding."""

from __future__ import annotations

import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple

__all__ = ["BYTES_MAX", "SECONDS_MAX", "Found", "Hang", "Target", "rng_of", "run_one"]

#: More of the processor than this an input must not take [s]; by the clock, a busy machine would be
#: blamed on a reader.
SECONDS_MAX = 5.0
#: More memory than this beyond what the process has an input must not take [bytes].
BYTES_MAX = 1 << 30


class Found(AssertionError):
    """A reader did something that it must not: a wrong number, an unclear refusal, a valid file
    refused.
    """


class Hang(BaseException):
    """An input that was not done within its time; no reader may catch it."""


class Target(NamedTuple):
    """One reader.

    ``run`` makes an input from random numbers, reads it, judges, and returns whether it was loaded.
    """

    name: str
    run: Callable[[Random, Path], bool]
    #: Share of the inputs, against the other targets.
    weight: int
    #: Whatever takes long and is done once, outside of any input's time: the engine's kernels, a
    #: journal to damage.
    prepare: Callable[[], object] = tuple


def rng_of(name: str, seed: int) -> Random:
    """Return the random numbers of one input: the same on every machine."""
    return Random(f"{name}:{seed}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"still busy after {seconds:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _bounded(bytes_max: int) -> Iterator[None]:
    """Let allocations fail beyond so much memory, where the system tells how much there is."""
    if sys.platform != "linux":
        yield
        return
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + bytes_max, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def run_one(target: Target, seed: int, folder: Path) -> bool:
    """Run one input; return whether it was loaded. Raises every finding."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with _limited(SECONDS_MAX), _bounded(BYTES_MAX):
            return target.run(rng_of(target.name, seed), folder)
