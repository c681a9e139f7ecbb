"""Breakers and price guard, counted from their effects: how often, why, how long, and what was
refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backstop.config import Venue
from backstop.core.events import NONE, BreakerCause, BreakerState, Guard
from backstop.core.instruments import MarketRules
from backstop.core.kinds import BreakerEffect, Columns, GuardEffect
from backstop.feeds.columns import time_text
from backstop.runs.fold import Fold, Reader, reads

__all__ = ["BreakerTally", "GuardTally", "HeldMark", "Machine", "name_of", "times"]

#: Held marks that a result lists one by one; all are counted.
_LISTED_MAX = 100


@dataclass(slots=True)
class Machine:
    """One circuit breaker: a market's, or the venue's."""

    state: BreakerState = BreakerState.OPEN
    since_ns: int = 0
    transitions: int = 0
    #: Nanoseconds in each state that has ended, OPEN left out.
    spent_ns: dict[BreakerState, int] = field(default_factory=dict)
    #: How often each cause throttled or halted.
    stops: dict[tuple[BreakerCause, BreakerState], int] = field(default_factory=dict)

    def turn(self, state: BreakerState, cause: BreakerCause, now_ns: int) -> None:
        """Take a transition."""
        self.spent_ns = self.spent_until(now_ns)
        self.state, self.since_ns = state, now_ns
        self.transitions += 1
        if state in (BreakerState.THROTTLED, BreakerState.HALTED):
            self.stops[cause, state] = self.stops.get((cause, state), 0) + 1

    def spent_until(self, now_ns: int) -> dict[BreakerState, int]:
        """Return the nanoseconds in each state but OPEN, until now."""
        spent = dict(self.spent_ns)
        if self.state != BreakerState.OPEN:
            spent[self.state] = spent.get(self.state, 0) + now_ns - self.since_ns
        return spent


class BreakerTally(Reader):
    """Follows every breaker that ever left OPEN, by number of its market (``NONE``: the venue)."""

    def __init__(self) -> None:
        self.machines: dict[int, Machine] = {}

    @reads(BreakerEffect)
    def _add(self, rows: BreakerEffect[Columns], fold: Fold) -> None:
        for row, time_ns in zip(map(BreakerEffect[int], rows.rows), fold.time_ns(rows.seq).tolist(), strict=True):
            self.machines.setdefault(row.market, Machine()).turn(row.breaker_state, row.cause, time_ns)

    @property
    def halted(self) -> set[int]:
        """Markets (and ``NONE``) that were ever halted."""
        return {number for number, row in self.machines.items() if any(state == BreakerState.HALTED for _, state in row.stops)}

    @property
    def not_open(self) -> list[int]:
        """Machines that are not OPEN now."""
        return sorted(number for number, row in self.machines.items() if row.state != BreakerState.OPEN)

    def as_json(self, venue: Venue, now_ns: int) -> dict[str, Any]:
        """Return what happened until ``now_ns``, the venue's own breaker first."""
        return {
            "machines": [self._machine(venue, number, now_ns) for number in sorted(self.machines)],
            "transitions": sum(row.transitions for row in self.machines.values()),
            "not_open": [name_of(venue, number) for number in self.not_open],
        }

    def _machine(self, venue: Venue, number: int, now_ns: int) -> dict[str, Any]:
        row = self.machines[number]
        spent = row.spent_until(now_ns)
        causes: dict[str, dict[str, int]] = {}
        for (cause, state), count in sorted(row.stops.items()):
            causes.setdefault(cause.name.lower(), {})[state.name.lower()] = count
        seconds = {
            f"{state.name.lower()}_seconds": spent.get(state, 0) / 1e9
            for state in (BreakerState.THROTTLED, BreakerState.HALTED, BreakerState.REOPENING)
        }
        name = name_of(venue, number)
        return {"name": name, "state": row.state.name.lower(), "transitions": row.transitions, "causes": causes, **seconds}


def name_of(venue: Venue, number: int) -> str:
    """Return the symbol of a breaker's market, or ``venue``."""
    return "venue" if number == NONE else venue.markets[number].symbol


def times(count: int) -> str:
    """Say how often something happened: once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


_ENDED = {
    Guard.CONFIRMED: "confirmed: the mark that followed stood near it, on volume enough",
    Guard.DROPPED: "dropped: marks on volume, or most of its time, stood for the old level",
    Guard.RELEASED: "released: newest for most of its time",
}


@dataclass(slots=True)
class HeldMark:
    """Marks held one after the other, from the first until something ended it."""

    market: int
    first_ns: int
    #: The reference mark, and the first held one.
    mark_ticks: int
    price_ticks: int
    move_ppm: int
    #: Volume that was reported when it came.
    volume_lots: int
    #: What the guard held by then: moves of so much or more, on less than so many lots.
    guard_jump_ppm: int
    guard_volume_lots: int
    #: How many were held until something ended it, and the one furthest from the reference mark.
    marks: int = 1
    furthest_ticks: int = 0
    furthest_ppm: int = 0
    #: When it was held once more; 0: it was not.
    continued_ns: int = 0
    #: Whether it was held on when another hold ended, as the newest print.
    is_renewed: bool = False
    ended: Guard | None = None
    ended_ns: int = 0

    def why(self, venue: Venue) -> str:
        """Say in words why it was not taken, and what became of it."""
        spec = venue.markets[self.market]
        end = "still held at the end" if self.ended is None else f"{_ENDED[self.ended]} ({time_text(self.ended_ns)})"
        more = f", and {self.marks - 1:,} after it, the furthest at {spec.price_text(self.furthest_ticks)}" if self.marks > 1 else ""
        if self.continued_ns:
            more += f"; once more from {time_text(self.continued_ns)} on, as other prints or the index spoke for another level"
        held = "held on, the newest print when a hold ended," if self.is_renewed else "held,"
        return (
            f"{spec.price_text(self.price_ticks)} ({time_text(self.first_ns)}) is {self.move_ppm / 1e4:.2f} % from the mark"
            f" {spec.price_text(self.mark_ticks)} on a volume of {spec.quantity_text(self.volume_lots)}: {held} as"
            f" {self.guard_jump_ppm / 1e4:g} % or more on less than {spec.quantity_text(self.guard_volume_lots)} is{more}; {end}"
        )

    def as_json(self, venue: Venue) -> dict[str, Any]:
        """Return it as plain values."""
        spec = venue.markets[self.market]
        return {
            "market": spec.symbol,
            "time": time_text(self.first_ns),
            "marks": self.marks,
            "price": spec.price_text(self.price_ticks),
            "mark": spec.price_text(self.mark_ticks),
            "move_ppm": self.move_ppm,
            "furthest_price": spec.price_text(self.furthest_ticks),
            "volume": spec.quantity_text(self.volume_lots),
            "ended": None if self.ended is None else self.ended.name.lower(),
            "why": self.why(venue),
        }


class GuardTally(Reader):
    """Follows the price guard of every market."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Guard, 0)
        #: The first of them, in order of time.
        self.held: list[HeldMark] = []
        self.episodes = 0
        self._open: dict[int, HeldMark] = {}

    @reads(GuardEffect)
    def _add(self, rows: GuardEffect[Columns], fold: Fold) -> None:
        times, volumes = fold.time_ns(rows.seq).tolist(), fold.volume.at(rows.seq, rows.market).tolist()
        for row, time_ns, volume in zip(map(GuardEffect[int], rows.rows), times, volumes, strict=True):
            self.counts[row.action] += 1
            if row.action in (Guard.HELD, Guard.RENEWED):
                self._hold(row, time_ns, volume, fold.rules.markets[row.market])
            elif row.action == Guard.CONTINUED and row.market in self._open:
                self._open[row.market].continued_ns = time_ns
            elif row.market in self._open:
                ended = self._open.pop(row.market)
                ended.ended, ended.ended_ns = row.action, time_ns

    def _hold(self, row: GuardEffect[int], time_ns: int, volume: int, rules: MarketRules) -> None:
        held, price, move_ppm = self._open.get(row.market), row.price_ticks, row.move_ppm
        if held is None:
            guard = (rules.guard_jump_ppm, rules.guard_volume_lots)
            held = HeldMark(row.market, time_ns, row.reference_ticks, price, move_ppm, volume, *guard, 1, price, move_ppm)
            held.is_renewed = row.action == Guard.RENEWED
            self._open[row.market] = held
            self.episodes += 1
            if len(self.held) < _LISTED_MAX:
                self.held.append(held)
            return
        held.marks += 1
        if move_ppm > held.furthest_ppm:
            held.furthest_ticks, held.furthest_ppm = price, move_ppm

    def as_json(self, venue: Venue) -> dict[str, Any]:
        """Return counts of marks held and of how that ended, and the first cases with their
        reasons.
        """
        counts = {code.name.lower(): self.counts[code] for code in Guard}
        return {**counts, "cases": self.episodes, "listed": [held.as_json(venue) for held in self.held]}
