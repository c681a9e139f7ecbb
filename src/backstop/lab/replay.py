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
from backstop.journal import Finding, Journal, Manifest, Names
from backstop.journal.recorder import Recorder
from backstop.lab.backers import standings_of
from backstop.lab.cases import Case
from backstop.lab.result import ReplayResult, funds_of
from backstop.lab.resuming import Tape, arrays_of
from backstop.lab.resuming import resume as take_up
from backstop.lab.tally import Tally, conservation_of
from backstop.markets.book import DRAIN_NS, new_world
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
    resume: bool = False,
    snapshot_every: int = 64,
) -> ReplayResult:
    """Run the opening, then the outside events (sorted by time), through the engine and the simulated venue.

    ``impact`` lets fills shift later marks. The journal, if one is asked for, holds the merged stream.

    ``resume`` goes on with a journal that a killed run of the same terms left there. A snapshot stands in it every so many batches.

    Raises ``JournalError`` where it cannot be written or is another run's, ``JournalDamaged`` where it cannot be resumed, and
    ``OverflowError`` where money would not fit in 64 bits: the events up to the batch before are then on the journal, without an
    end mark.
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
        drain_ns=_drain_ns(venue),
        provider_latency_ns=venue.provider_latency_ns,
        provider_answer=venue.provider_answer,
    )
    tally, clock = Tally(venue, venue.rules.limits.accounts_max), _Clock()
    outside, total, events, taken = [opening_events, outside_events], len(opening_events) + len(outside_events), 0, 0
    tape: Tape | None = None
    findings: list[Finding] = []
    if journal_path is not None:
        path, terms = Path(journal_path), {**(details or {}), "impact": "on" if impact else "off"}
        manifest = Manifest(
            venue.text, venue.hash, venue.rules.limits, command=command, seed=seed, snapshot_every=snapshot_every, details=terms
        )
        if resume and path.exists():
            resumed = take_up(path, manifest, names, state, world)
            state, world, tape, taken, findings = resumed.state, resumed.world, resumed.tape, resumed.outside_taken, resumed.findings
            for held in resumed.earlier(path):
                tally.add(held.events, held.effects)
                if watch is not None:
                    watch(held.events, held.effects)
                events += len(held.events)
            outside = [np.concatenate(outside)[taken:]]
        else:
            journal = Journal.create(path, manifest, names, overwrite=overwrite)
            tape = Recorder(journal, state, extra=lambda: arrays_of(world))
    try:
        for batch in clock.timed(batches(state, world, outside)):
            if tape is not None:
                tape.record(batch.events, batch.effects)
            tally.add(batch.events, batch.effects)
            if watch is not None:
                watch(batch.events, batch.effects)
            events += len(batch.events)
            if progress is not None:
                progress(batch.outside_taken, total, int(state.engine[0].now_ns))
        digest = tape.close() if tape is not None else state_digest(state)
    finally:
        if tape is not None:
            tape.abandon()
    journal_facts = None if tape is None or tape.journal is None else _journal_facts(tape.journal, findings)
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
        journal=journal_facts,
        warnings=_warnings(venue, tally),
    )


def _drain_ns(venue: Venue) -> int:
    """Return how long the venue runs on after the last price, while anything is open.

    The end of a recording is not the silence of a feed: it ends before a mark would count as stale.
    """
    stale_ns = venue.rules.breakers.stale_ns
    return min(DRAIN_NS, stale_ns - 1) if stale_ns else DRAIN_NS


def _journal_facts(journal: Journal, findings: list[Finding]) -> dict[str, Any]:
    facts = {"path": str(journal.path), "batches": journal.batches, "events": journal.events, "chain": journal.chain}
    return facts | ({"found": [str(finding) for finding in findings]} if findings else {})


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
    resume: bool = False,
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
        resume=resume,
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
