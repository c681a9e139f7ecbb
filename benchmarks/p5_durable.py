"""The journal against a raw write and sync of the same bytes in the same batches, with and without
the engine.

The ratio is of the journal as the engine uses it, fed with rows that are already there; what it is
with the engine beside it stands in ``short`` where it is below the bar too: on a fast disk the
engine alone needs longer than the write. Both sides sync with the same call. Beside them stands a
journal that waits for each batch before it takes the next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.engine import step
from backstop.core.state import State
from backstop.journal import Journal, Manifest
from backstop.journal.recorder import Recorder
from benchmarks.book import load, make_book, opened_state, venue_rules
from benchmarks.p4_step import SEED, stream

BATCH_EVENTS = 1_000
Rows = NDArray[np.void]


def steps(state: State, rows: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Apply the stream batch by batch; yield each with its effects, which hold until the next."""
    for first in range(0, len(rows), BATCH_EVENTS):
        batch = rows[first : first + BATCH_EVENTS]
        done = 0
        while done < len(batch):
            consumed = int(step(state, batch, done))
            yield batch[done:consumed], state.effects[: int(state.engine[0].effects_now)]
            state.engine[0].effects_now = 0
            done = consumed


_sync = getattr(os, "fdatasync", os.fsync)


def _alone(state: State, rows: Rows) -> float:
    started = time.perf_counter()
    for _ in steps(state, rows):
        pass
    return time.perf_counter() - started


def _raw(path: Path, batches: list[tuple[Rows, Rows]]) -> float:
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    started = time.perf_counter()
    for events, effects in batches:
        os.write(handle, events.tobytes() + effects.tobytes())
        _sync(handle)
    seconds = time.perf_counter() - started
    os.close(handle)
    path.unlink()
    return seconds


def _appended(path: Path, manifest: Manifest, batches: list[tuple[Rows, Rows]]) -> float:
    journal = Journal.create(path, manifest, overwrite=True)
    started = time.perf_counter()
    for events, effects in batches:
        journal.append(events, effects)
    seconds = time.perf_counter() - started
    journal.abandon()
    return seconds


def _recorded(path: Path, manifest: Manifest, state: State, batches: Iterable[tuple[Rows, Rows]]) -> float:
    journal = Journal.create(path, manifest, overwrite=True)
    recorder = Recorder(journal, state, BATCH_EVENTS)
    started = time.perf_counter()
    for events, effects in batches:
        recorder.record(events, effects)
    recorder.flush()
    seconds = time.perf_counter() - started
    recorder.abandon()
    return seconds


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of the seconds of the raw writes to those of the journal, medians of
    interleaved rounds.
    """
    accounts, markets, count, rounds = (500, 20, 4_000, 1) if small else (10_000, 200, 800_000, 5)
    book = make_book(accounts, accounts * 5 // 2, markets, SEED)
    rows = stream(book, accounts, markets, count, 10 * len(book.lots))
    limits = venue_rules(book, accounts, markets).limits
    manifest = Manifest("", "0" * 64, limits, digest_every=0, snapshot_every=0)
    state = opened_state(book, accounts, markets)
    load(state, rows[:100])
    batches = [(events.copy(), effects.copy()) for events, effects in steps(state, rows[100:])]
    size = sum(events.nbytes + effects.nbytes for events, effects in batches)
    raw, recorded, appended, durable, engine = [], [], [], [], []
    with TemporaryDirectory(dir=Path(__file__).parent) as folder:
        for turn in range(rounds):
            fresh = opened_state(book, accounts, markets)
            load(fresh, rows[:100])
            raw.append(_raw(Path(folder, "raw"), batches))
            recorded.append(_recorded(Path(folder, "journal.db"), manifest, fresh, batches))
            durable.append(_recorded(Path(folder, "journal.db"), manifest, fresh, steps(fresh, rows[100:])))
            fresh = opened_state(book, accounts, markets)
            load(fresh, rows[:100])
            engine.append(_alone(fresh, rows[100:]))
            appended.append(_appended(Path(folder, "journal.db"), manifest, batches))
            say(f"round {turn + 1} of {rounds}: raw {raw[-1]:.2f} s, journal {recorded[-1]:.2f} s, with the engine {durable[-1]:.2f} s")
    bar, with_engine = 0.5, median(raw) / median(durable)
    return {
        "ratio": median(raw) / median(recorded),
        "bar": bar,
        "short": [f"engine and journal together: {with_engine:.2f}"] if with_engine < bar else [],
        "unit": "of the speed of a raw write and sync, the journal alone",
        "figures": {
            "raw write and sync: seconds": median(raw),
            "journal alone: seconds": median(recorded),
            "journal alone: of the speed of raw": median(raw) / median(recorded),
            "journal that waits for each batch: of the speed of raw": median(raw) / median(appended),
            "engine and journal: seconds": median(durable),
            "engine and journal: of the speed of raw": with_engine,
            "engine and journal: of the speed of the engine alone": median(engine) / median(durable),
            "engine and journal: events per second": (count - 100) / median(durable),
            "engine alone: seconds": median(engine),
            "megabytes": size / 1e6,
            "raw: milliseconds per batch": 1e3 * median(raw) / len(batches),
        },
        "conditions": {
            "accounts": accounts,
            "events": count,
            "batches": len(batches),
            "events per batch": BATCH_EVENTS,
            "rounds": rounds,
            "log": "moved into the file every 64 MiB, which counts",
            "mix": "60 % fills, 39 % transfers, 1 % marks",
            "seed": SEED,
            "excluded": "opening the book, compilation, snapshots, digests, the end mark",
            "load": _load(),
        },
    }


def _load() -> str:
    """Return how busy the machine was: a sync waits for its turn."""
    return f"{os.getloadavg()[0]:.1f} over the last minute"
