"""A replay: outside events through the simulated venue and the engine, journalled, counted,
checked.

The engine's own time is taken apart from reading, writing and counting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.config.stages import key_of
from backstop.core.digest import state_digest
from backstop.core.events import EffectArray, EventArray, EventKind
from backstop.core.parameter_table import PARAMETERS
from backstop.core.stages import paid_first
from backstop.core.state import State, new_state
from backstop.journal import Finding, Journal, Manifest, Names
from backstop.journal.place import Standing, standing_at
from backstop.journal.recorder import Recorder
from backstop.markets.driver import Batch, batches
from backstop.markets.world import DRAIN_NS, World, new_world
from backstop.runs.backers import standings_of
from backstop.runs.cases import Case
from backstop.runs.defaults import entries
from backstop.runs.result import AtOpening, ReplayResult, claims_of, funds_of, lasting_of
from backstop.runs.resuming import Ended, Tape, arrays_of
from backstop.runs.resuming import resume as take_up
from backstop.runs.tally import Tally, conservation_of

__all__ = ["Progress", "ReplayResult", "Watch", "replay", "replay_case", "warnings_of"]

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


@dataclass(slots=True)
class _Run:
    """Engine, simulated venue, tape and count of one replay."""

    state: State
    world: World
    tally: Tally
    #: Outside events that are still to come.
    outside: list[EventArray]
    watch: Watch | None
    #: Time of the first price: what is before it opens the run.
    prices_ns: int
    events: int = 0
    #: Accounts that came into default by the opening, in that order.
    at_opening: dict[int, None] = field(default_factory=dict)
    tape: Tape | None = None
    findings: list[Finding] = field(default_factory=list)
    clock: _Clock = field(default_factory=_Clock)

    def begin(self, journal: Journal) -> None:
        """Write to a new journal."""
        world = self.world
        self.tape = Recorder(journal, self.state, extra=lambda: arrays_of(world))

    def take_up(self, path: Path, manifest: Manifest, names: Names) -> None:
        """Go on with a journal; what it holds is counted, too."""
        resumed = take_up(path, manifest, names, self.state, self.world)
        self.state, self.world, self.tape, self.findings = resumed.state, resumed.world, resumed.tape, resumed.findings
        for held in resumed.earlier(path):
            self._count(held.events, held.effects)
        self.outside = [np.concatenate(self.outside)[resumed.outside_taken :]]

    def go(self, total: int, progress: Progress | None) -> str:
        """Run to the end; return the state digest."""
        try:
            for batch in self.clock.timed(batches(self.state, self.world, self.outside)):
                if self.tape is not None:
                    self.tape.record(batch.events, batch.effects)
                self._count(batch.events, batch.effects)
                if progress is not None:
                    progress(batch.outside_taken, total, int(self.state.engine[0].now_ns))
            return self.tape.close() if self.tape is not None else state_digest(self.state)
        finally:
            if self.tape is not None:
                self.tape.abandon()

    def _count(self, events: EventArray, effects: EffectArray) -> None:
        self.tally.fold.take(events, effects)
        opening = events["seq"][events["time_ns"] < self.prices_ns]
        if len(opening):
            entered = self.tally.fold.once(entries)
            self.at_opening |= dict.fromkeys(entered.account[entered.seq <= opening.max()].tolist())
        if self.watch is not None:
            self.watch(events, effects)
        self.events += len(events)

    def journal_facts(self) -> dict[str, Any] | None:
        """Return what is said of the journal, or None where there is none."""
        if self.tape is None or self.tape.journal is None:
            return None
        journal = self.tape.journal
        facts = {"path": str(journal.path), "batches": journal.batches, "events": journal.events, "chain": journal.chain}
        had_ended = {"had_ended": True} if isinstance(journal, Ended) else {}
        return facts | had_ended | ({"found": [str(finding) for finding in self.findings]} if self.findings else {})


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
    tally: Tally | None = None,
    resume: bool = False,
    snapshot_every: int = 64,
    segment_events: int = 0,
) -> ReplayResult:
    """Run the opening, then the outside events (sorted by time), through the engine and the
    simulated venue.

    ``impact`` lets fills shift later marks. The journal, if one is asked for, holds the merged
    stream. ``tally`` counts the run: a new one, or one whose fold other readers joined.

    ``resume`` goes on with a journal that a killed run of the same terms left there; of one that
    came to its end the result is worked out again, and nothing is written. A snapshot stands in it
    every so many batches. A segment of it is sealed after so many events (0: by its bytes alone).

    Raises ``JournalError`` where it cannot be written or is another run's, ``JournalDamaged`` where
    it cannot be resumed, and ``OverflowError`` where money would not fit in 64 bits: the events up
    to the batch before are then on the journal, without an end mark.
    """
    begun = time.perf_counter()
    # The venue's depth is told after the outside events of this time: before any account is open.
    start_ns = int((opening_events if len(opening_events) else outside_events)["time_ns"][0])
    run = _Run(
        new_state(venue.rules),
        _world(venue, outside_events, start_ns, impact, schedule),
        tally or Tally(venue),
        [opening_events, outside_events],
        watch,
        int(outside_events["time_ns"][0]) if len(outside_events) else start_ns,
    )
    if journal_path is not None:
        terms = {**(details or {}), "impact": "on" if impact else "off"}
        manifest = Manifest(
            venue.text, venue.hash, venue.rules.limits, command=command, seed=seed, snapshot_every=snapshot_every, details=terms
        )._replace(segment_events=segment_events)
        if resume and standing_at(Path(journal_path)) in (Standing.JOURNAL, Standing.FOREIGN):
            run.take_up(Path(journal_path), manifest, names)
        else:
            run.begin(Journal.create(journal_path, manifest, names, overwrite=overwrite, resume=resume))
    digest = run.go(len(opening_events) + len(outside_events), progress)
    return ReplayResult(
        venue=venue,
        tally=run.tally,
        conservation=conservation_of(run.state),
        events=run.events,
        outside_events=len(opening_events) + len(outside_events),
        accounts=int(run.state.engine[0].accounts_now),
        markets=int((run.state.markets["mark_ticks"] > 0).sum()),
        funds=funds_of(venue, run.state),
        standings=standings_of(run.state),
        lasting=lasting_of(run.state),
        claims_atoms=claims_of(run.state),
        digest=digest,
        engine_seconds=run.clock.seconds,
        seconds=time.perf_counter() - begun,
        impact=impact,
        seed=seed,
        first_ns=int(outside_events["time_ns"][0]) if len(outside_events) else start_ns,
        last_ns=int(run.state.engine[0].now_ns),
        journal=run.journal_facts(),
        warnings=warnings_of(venue, run.tally),
        at_opening=AtOpening.of(list(run.at_opening), names.accounts),
    )


def _world(venue: Venue, outside: EventArray, start_ns: int, impact: bool, schedule: NDArray[np.void] | None) -> World:
    return new_world(
        venue.rules,
        venue.books,
        start_ns=start_ns,
        impact=impact,
        schedule=schedule,
        drain_ns=_drain_ns(venue, outside),
        provider_latency_ns=venue.provider_latency_ns,
        provider_answer=venue.provider_answer,
    )


#: Number of the rule how old a mark may be.
_STALE = next(number for number, rule in PARAMETERS.items() if rule.key == "breakers.stale_ns")


def _drain_ns(venue: Venue, outside: EventArray) -> int:
    """Return how long the venue runs on after the last outside event, while anything is open.

    The end of a recording is not the silence of a feed: it ends before the last mark of any market
    would count as stale, by the shortest age that the venue file or an event asks for. (One whose marks
    ended longer ago than that is stale already.)
    """
    asked = outside["amount"][(outside["kind"] == EventKind.PARAMETER) & (outside["code"] == _STALE)].tolist()
    stale_ns = min((age for age in (venue.rules.breakers.stale_ns, *asked) if age > 0), default=0)
    if not stale_ns:
        return DRAIN_NS
    marks = outside[outside["kind"] == EventKind.MARK]
    last_ns = int(outside["time_ns"][-1]) if len(outside) else 0
    ages = [last_ns - int(marks["time_ns"][marks["market"] == number][-1]) for number in np.unique(marks["market"])]
    return min(DRAIN_NS, stale_ns - 1 - max((age for age in ages if age < stale_ns), default=0))


def warnings_of(venue: Venue, tally: Tally) -> tuple[str, ...]:
    """Return what whoever reads a run's figures must know: the venue file's warnings, refused
    events, an unusual order.
    """
    warnings = list(venue.warnings)
    if tally.refused:
        words = ", ".join(f"{count} {code.name.lower()}" for code, count in sorted(tally.refused.items()))
        warnings.append(f"events were refused: {words}")
    stages = venue.rules.stages
    if earlier := paid_first(stages):
        words = " and ".join(map(key_of, earlier))
        warnings.append(f"solvent_pay_first = true: INV-11 holds in the order of the venue file, in which adl stands before {words}")
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
    tally: Tally | None = None,
    resume: bool = False,
) -> ReplayResult:
    """Run a case as ``replay`` does, and add what the readers of its files reported; the journal
    keeps that, too.

    The names of files are not among it, so that a run may be resumed where its files were moved.
    """
    feeds = case.feeds
    kept = {**feeds, "prices": {name: value for name, value in feeds["prices"].items() if name != "files"}}
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
        details={**case.details, "feeds": json.dumps(kept, separators=(",", ":"))},
        progress=progress,
        watch=watch,
        tally=tally,
        resume=resume,
    )
    return replace(result, feeds=feeds, warnings=(*case.prices.report.warnings, *result.warnings))
