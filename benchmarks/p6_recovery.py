"""Recovery: from the newest snapshot and the batches after it to an engine that goes on, against
the engine alone.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from backstop.core.digest import state_digest
from backstop.core.state import State
from backstop.journal import Journal, Manifest, Names
from backstop.journal.recovery import Recovery, read_ahead
from backstop.journal.replay import Replayer
from backstop.journal.snapshot import Shapes, shapes_of, take_snapshot
from benchmarks.book import load, make_book, opened_state, opening_events, venue_rules
from benchmarks.p4_step import SEED, stream
from benchmarks.p5_durable import Rows, steps

READY_SECONDS_MAX = 5.0


def _written(path: Path, state: State, manifest: Manifest, opening: Rows, rows: Rows) -> tuple[float, int]:
    """Write a journal: one batch of the opening's last events with a snapshot, then the stream.
    Return (seconds, bytes) of the snapshot.
    """
    journal = Journal.create(path, manifest, Names())
    digest = state_digest(state)
    started = time.perf_counter()
    snapshot = take_snapshot(state, digest)
    journal.append(opening[-1:], state.effects[:0], digest, snapshot)
    seconds = time.perf_counter() - started
    for events, effects in steps(state, rows):
        journal.append(events, effects)
    for end in ("", "-wal"):  # as a dead run leaves them: the log not yet moved into the file
        shutil.copyfile(f"{path}{end}", f"{path.with_name('dead.db')}{end}")
    journal.abandon()
    return seconds, snapshot.size_bytes


def _recovered(path: Path, shapes: Shapes) -> tuple[float, float, float, Replayer]:
    """Return seconds until the snapshot's engine stood ready, of the tail, of taking the journal
    up, and the engine.
    """
    started = time.perf_counter()
    with Recovery(path, shapes=shapes) as found:
        assert found.restored is not None, found.findings
        replayer = Replayer(state=found.restored.state)
        ready = time.perf_counter() - started
        started = time.perf_counter()
        for batch in read_ahead(found.tail()):
            differences = replayer.replay(batch)
            assert not differences, differences
        tail = time.perf_counter() - started
        started = time.perf_counter()
        journal = found.take_up()
        taken_up = time.perf_counter() - started
        journal.abandon()
        return ready, tail, taken_up, replayer


def _copied(folder: Path) -> Path:
    """Return a fresh copy of the journal of the dead run, as safe on the disk as that one was."""
    for end in ("", "-wal"):
        shutil.copyfile(folder / f"dead.db{end}", folder / f"copy.db{end}")
        handle = os.open(folder / f"copy.db{end}", os.O_RDWR)
        os.fsync(handle)
        os.close(handle)
    return folder / "copy.db"


def _alone(path: Path, rows: Rows, shapes: Shapes) -> float:
    """Return the seconds that the engine of the same snapshot needs for the tail's events, in the
    same batches.
    """
    with Recovery(path, shapes=shapes) as found:
        assert found.restored is not None, found.findings
        state = found.restored.state
    started = time.perf_counter()
    for _ in steps(state, rows):
        pass
    return time.perf_counter() - started


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of the rate of a journal's replay to that of the engine alone, and the
    seconds until 1,000,000 accounts are ready.

    The engine begins at the same snapshot and takes the same batches. P4's own way to measure, one
    stream from a book that was just opened, stands beside it.
    """
    accounts, markets, count, rounds = (5_000, 20, 4_000, 1) if small else (1_000_000, 200, 400_000, 7)
    book = make_book(accounts, accounts * 5 // 2, markets, SEED)
    opening = opening_events(book, accounts, markets)
    rows = stream(book, accounts, markets, count, 10 * len(book.lots))
    say(f"opening {accounts:,} accounts, {len(book.lots):,} positions")
    state = opened_state(book, accounts, markets)
    load(state, rows[:100])
    tail_rows = rows[100:]
    manifest = Manifest("", "0" * 64, venue_rules(book, accounts, markets).limits, digest_every=0, snapshot_every=1 << 40)
    opened, alone, ready, tail, taken_up = [], [], [], [], []
    equal = True
    with TemporaryDirectory(dir=Path(__file__).parent) as folder:
        path = Path(folder, "journal.db")
        taken, size = _written(path, state, manifest, opening, tail_rows)
        say(f"snapshot of {size / 1e6:,.0f} MB taken and written in {taken:.2f} s")
        written, shapes = state_digest(state), shapes_of(state)
        for turn in range(rounds):
            if turn < 3:
                fresh = opened_state(book, accounts, markets)
                load(fresh, rows[:100])
                started = time.perf_counter()
                load(fresh, tail_rows)
                opened.append(time.perf_counter() - started)
                del fresh
            alone.append(_alone(_copied(Path(folder)), tail_rows, shapes))
            *seconds, replayer = _recovered(_copied(Path(folder)), shapes)
            ready.append(seconds[0])
            tail.append(seconds[1])
            taken_up.append(seconds[2])
            equal &= state_digest(replayer.state) == written
            say(f"round {turn + 1} of {rounds}: ready {ready[-1]:.2f} s, replay {tail[-1]:.2f} s, engine alone {alone[-1]:.2f} s")
    slowest = max(ready)
    bar, of_opened = 0.8, median(opened) / median(tail)
    return {
        "ratio": median(alone) / median(tail),
        "bar": bar,
        "short": [f"against the rate of a book just opened, as P4 measures it: {of_opened:.2f}"] if of_opened < bar else [],
        "sound": equal and (small or slowest <= READY_SECONDS_MAX),
        "unit": "of the engine's events per second, replaying a journal from its snapshot",
        "figures": {
            f"seconds until {accounts:,} accounts are ready, slowest round (bar {READY_SECONDS_MAX:g})": slowest,
            "replay: events per second, read, checked and compared": len(tail_rows) / median(tail),
            "engine alone: events per second, the same stream from the same snapshot": len(tail_rows) / median(alone),
            "engine alone as in P4, on a book just opened: events per second": len(tail_rows) / median(opened),
            "replay: of that": of_opened,
            "taking the journal up, its log emptied: seconds": median(taken_up),
            "snapshot: megabytes": size / 1e6,
            "snapshot: seconds to take and make durable": taken,
            "digests equal": equal,
        },
        "conditions": {
            "accounts": accounts,
            "positions": len(book.lots),
            "markets": markets,
            "events of the tail": len(tail_rows),
            "rounds": rounds,
            "journal": "with its log, as a run that died leaves it",
            "seed": SEED,
            "excluded": "opening the book, compilation, starting the process",
            "load": f"{os.getloadavg()[0]:.1f} over the last minute",
        },
    }
