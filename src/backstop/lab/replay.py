"""A replay: outside events through the simulated venue and the engine, journalled, counted, checked.

The engine's own time is taken apart from reading, writing and counting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import EffectArray, EventArray, Stage
from backstop.core.state import new_state, state_digest
from backstop.journal import Journal, Manifest, Names
from backstop.journal.recorder import Recorder
from backstop.lab.backers import standings_of
from backstop.lab.cases import Case
from backstop.lab.result import ReplayResult, funds_of
from backstop.lab.tally import Tally, conservation_of
from backstop.markets.book import new_world
from backstop.markets.driver import Batch, batches

__all__ = ["Progress", "ReplayResult", "Watch", "replay", "replay_case"]

#: Called with (outside events done, of how many, time reached).
Progress = Callable[[int, int, int], None]
#: Called with each batch's events and all their effects, in order; the rows hold until it returns.
Watch = Callable[[EventArray, EffectArray], None]


@dataclass(slots=True)
class _Clock:
    """Seconds spent where they were asked for."""

    seconds: float = 0.0

    def timed(self, source: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            self.seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def replay(
    venue: Venue,
    outside_events: EventArray,
    opening_events: EventArray,
    *,
    impact: bool = False,
    schedule: NDArray[np.void] | None = None,
    names: Names = Names(),  # noqa: B008  (a tuple)
    journal_path: Path | str | None = None,
    overwrite: bool = False,
    seed: int | None = None,
    command: str = "",
    details: dict[str, str] | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> ReplayResult:
    """Run the opening, then the outside events (sorted by time), through the engine and the simulated venue.

    ``impact`` lets fills shift later marks. The journal, if one is asked for, holds the merged stream.

    Raises ``JournalError`` where it cannot be written, and ``OverflowError`` where money would not fit
    in 64 bits: the events up to the batch before are then on the journal, without an end mark.
    """
    begun = time.perf_counter()
    # The venue's depth is told after the outside events of this time: before any account is open.
    start_ns = int((opening_events if len(opening_events) else outside_events)["time_ns"][0])
    state = new_state(venue.rules)
    world = new_world(
        venue.rules,
        venue.books,
        start_ns=start_ns,
        impact=impact,
        schedule=schedule,
        provider_latency_ns=venue.provider_latency_ns,
        provider_answer=venue.provider_answer,
    )
    journal = recorder = None
    if journal_path is not None:
        manifest = Manifest(venue.text, venue.hash, venue.rules.limits, command=command, seed=seed, details=details or {})
        journal = Journal.create(journal_path, manifest, names, overwrite=overwrite)
        recorder = Recorder(journal, state)
    tally, clock = Tally(venue, venue.rules.limits.accounts_max), _Clock()
    total, events = len(opening_events) + len(outside_events), 0
    try:
        for batch in clock.timed(batches(state, world, [opening_events, outside_events])):
            if recorder is not None:
                recorder.record(batch.events, batch.effects)
            tally.add(batch.events, batch.effects)
            if watch is not None:
                watch(batch.events, batch.effects)
            events += len(batch.events)
            if progress is not None:
                progress(batch.outside_taken, total, int(state.engine[0].now_ns))
        digest = recorder.close() if recorder is not None else state_digest(state)
    finally:
        if journal is not None:
            journal.abandon()
    return ReplayResult(
        venue=venue,
        tally=tally,
        conservation=conservation_of(state),
        events=events,
        outside_events=total,
        accounts=int(state.engine[0].accounts_now),
        markets=int((state.markets["mark_ticks"] > 0).sum()),
        funds=funds_of(venue, state),
        standings=standings_of(state),
        claims_atoms=int(state.engine[0].claims),
        digest=digest,
        engine_seconds=clock.seconds,
        seconds=time.perf_counter() - begun,
        impact=impact,
        seed=seed,
        first_ns=int(outside_events["time_ns"][0]) if len(outside_events) else start_ns,
        last_ns=int(state.engine[0].now_ns),
        journal=None if journal is None else _journal_facts(journal),
        warnings=_warnings(venue, tally),
    )


def _journal_facts(journal: Journal) -> dict[str, Any]:
    return {"path": str(journal.path), "batches": journal.batches, "events": journal.events, "chain": journal.chain}


def _warnings(venue: Venue, tally: Tally) -> tuple[str, ...]:
    warnings = list(venue.warnings)
    if tally.refused:
        words = ", ".join(f"{count} {code.name.lower()}" for code, count in sorted(tally.refused.items()))
        warnings.append(f"events were refused: {words}")
    if venue.rules.solvent_pay_first and Stage.FUND in venue.rules.stages:
        warnings.append("solvent_pay_first = true: INV-11 holds in the order of the venue file, in which adl stands before fund")
    return tuple(warnings)


def replay_case(
    case: Case,
    *,
    impact: bool = False,
    journal_path: Path | str | None = None,
    overwrite: bool = False,
    command: str = "",
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> ReplayResult:
    """Run a case as ``replay`` does, and add what its doors reported."""
    result = replay(
        case.venue,
        case.prices.events,
        case.opening,
        impact=impact,
        schedule=case.schedule,
        names=case.names,
        journal_path=journal_path,
        overwrite=overwrite,
        seed=case.seed,
        command=command,
        details=case.details,
        progress=progress,
        watch=watch,
    )
    markets = case.venue.markets
    feeds = {
        "prices": case.prices.report.as_json() | {"markets": [market.as_json() for market in case.prices.markets.values()]},
        "accounts": case.accounts_report,
        "opening_imbalance": {
            markets[number].symbol: markets[number].quantity_text(lots) for number, lots in case.opening_imbalance.items()
        },
    }
    return replace(result, feeds=feeds, warnings=(*case.prices.report.warnings, *result.warnings))
