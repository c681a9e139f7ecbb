"""All that the page shows, counted from a run's events and effects as they pass, batch by batch.

Memory depends on accounts, positions and markets, not on how long the run is. A stage or an effect that
is added later is counted without a change here where it moves money or lots (POSTING, TRADE) or is a stage
of the venue (``Tally``); how it closes positions is one row of ``_CLOSINGS``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import NONE, Cause, EffectArray, EffectKind, EventArray, EventKind, Guard, Health, Reject
from backstop.report import kinds as kinds_of
from backstop.report.adl import AdlRecord
from backstop.report.backers import ProviderRecord, ProviderRecords
from backstop.report.books import Books
from backstop.report.defaulters import Defaulters
from backstop.report.ladder import Ladder, ladder_of
from backstop.report.series import Envelope, Sums, TimeGrid
from backstop.runs.tally import Tally

__all__ = ["Gathering", "MarketRecord", "Refusal", "Spell"]

Ints = NDArray[np.int64]

#: Kind of effect, its code where that matters, key of the stage.
_CLOSINGS = (
    (EffectKind.TRADE, Cause.CLOSEOUT, "closeout"),
    (EffectKind.ADL_PLAN, None, "adl"),
    (EffectKind.TEAR_UP, None, "tear_up"),
)
_REFUSALS_KEPT = 12


@dataclass(slots=True)
class Spell:
    """A time during which a market, or the venue, was not open as usual."""

    #: ``NONE``: the venue.
    market: int
    #: As in ``BREAKER_STATES``.
    state: str
    start_ns: int
    #: What brought it about, in words.
    cause: str = ""
    #: None: to the end.
    end_ns: int | None = None


class _Marks(NamedTuple):
    """Accepted marks of a batch, in their order."""

    seq: Ints
    time_ns: Ints
    market: Ints
    ticks: Ints

    def chosen(self, rows: NDArray[np.bool_]) -> _Marks:
        """Return those of these rows."""
        return _Marks(*(column[rows] for column in self))


class Refusal(NamedTuple):
    """One event that was refused, as an example."""

    seq: int
    time_ns: int
    code: Reject
    #: Kind of the event.
    kind: str
    market: int
    account: int
    lots: int
    price_ticks: int
    amount: int


@dataclass(slots=True)
class MarketRecord:
    """One market over the run."""

    grid: TimeGrid
    mark: Envelope = field(init=False)
    #: Prices at which defaulters' positions were closed, by method.
    fills: dict[str, Envelope] = field(default_factory=dict)
    #: Prices that the price guard held back, and how often it did what.
    held: Envelope = field(init=False)
    guard: Counter[Guard] = field(default_factory=Counter)
    #: Notional closed, by method, in atoms.
    closed: dict[str, Sums] = field(default_factory=dict)
    closed_total: dict[str, int] = field(default_factory=dict)
    mark_first: int = 0
    mark_last: int = 0
    low: tuple[int, int] = (0, 0)
    high: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.mark, self.held = Envelope(self.grid), Envelope(self.grid)

    @property
    def notional_closed(self) -> int:
        """Notional of defaulters' positions closed in any way, in atoms."""
        return sum(self.closed_total.values())

    def add_marks(self, times_ns: Ints, ticks: Ints) -> None:
        """Take accepted marks."""
        if self.mark_first == 0:
            self.mark_first = int(ticks[0])
            self.low = self.high = (int(ticks[0]), int(times_ns[0]))
        self.mark_last = int(ticks[-1])
        least, most = int(ticks.argmin()), int(ticks.argmax())
        self.low = min(self.low, (int(ticks[least]), int(times_ns[least])))
        if ticks[most] > self.high[0]:
            self.high = (int(ticks[most]), int(times_ns[most]))
        self.mark.add(times_ns, ticks)

    def add_closed(self, method: str, times_ns: Ints, ticks: Ints, notional: Ints) -> None:
        """Take closings of defaulters' positions."""
        if method not in self.closed:
            self.closed[method], self.fills[method] = Sums(self.grid), Envelope(self.grid)
        self.closed[method].add(times_ns, notional)
        self.closed_total[method] = self.closed_total.get(method, 0) + sum(notional.tolist())
        self.fills[method].add(times_ns, ticks)


class Gathering:
    """Takes a run batch by batch; each batch holds whole events with all their effects."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.tally = Tally(venue, venue.rules.limits.accounts_max)
        self.books = Books(len(venue.markets))
        self.factor = np.array([market.notional_factor for market in venue.markets], dtype=np.int64)
        self.adl = AdlRecord(self.factor)
        self.defaulters = Defaulters(kinds_of.fund_ids(venue))
        self.markets: dict[int, MarketRecord] = {}
        self.events: Counter[int] = Counter()
        self.effects: Counter[int] = Counter()
        self.accounts = 0
        self.refusals: Counter[tuple[Reject, str]] = Counter()
        self.refusal_examples: list[Refusal] = []
        #: Atoms that the fund received (positive) and paid, by cause, by name.
        self.fund_statement: Counter[tuple[str, bool]] = Counter()
        self.fund_opening: int | None = None
        self.fund_low: tuple[int, int] | None = None
        self.in_default_now = 0
        self.in_default_most: tuple[int, int] = (0, 0)
        #: The book as it stood when the prices began to move; None before.
        self.ladder_before: Ladder | None = None
        self.marks_before: Ints | None = None
        #: Times of the first event, of the first price after the opening, of the last event.
        self.first_ns = self.prices_ns = self.last_ns = 0
        self.first_default_ns: int | None = None
        self._marks = np.zeros(len(venue.markets), dtype=np.int64)
        self._grid: TimeGrid | None = None
        self.spells: list[Spell] = []
        self._providers = ProviderRecords(self.factor)
        self._open_spells: dict[int, Spell] = {}
        self._funds = kinds_of.fund_ids(venue)
        self._has_positions = False

    # What the page asks for

    @property
    def grid(self) -> TimeGrid:
        """The spans of time that all series share."""
        if self._grid is None:
            raise ValueError("no event has been given yet")
        return self._grid

    @property
    def fund_now(self) -> int:
        """The balance of all funds after the last effect, in atoms."""
        return sum(self.books.balance_of(fund) for fund in self._funds)

    @property
    def conserves(self) -> bool:
        """Whether nothing was made or lost: INV-01 and INV-02, recomputed from the effects."""
        return self.books.sum_atoms() == 0 and all(self.books.market_sums(number) == (0, 0) for number in self.markets)

    @property
    def providers(self) -> dict[int, ProviderRecord]:
        """Providers that an account was bound to, by number, as the venue has them."""
        return self._providers.rows

    @property
    def marks(self) -> Ints:
        """The last accepted mark of each market, in ticks; 0: none."""
        return self._marks

    def ladder_now(self) -> Ladder:
        """Return the ladder of what is held after the last effect."""
        return ladder_of(self.venue.rules, self.books.holdings(), self._marks)

    @property
    def markets_by_closing(self) -> list[int]:
        """Markets that had a price: where most was closed first, then in the venue's order."""
        return sorted(self.markets, key=lambda number: (-self.markets[number].notional_closed, number))

    # What goes in

    def add(self, events: EventArray, effects: EffectArray) -> None:
        """Take events and all their effects."""
        if len(events) == 0:
            return
        if self._grid is None:
            self._begin(int(events["time_ns"][0]))
        times_ns = np.maximum.accumulate(events["time_ns"])
        self.last_ns = max(self.last_ns, int(times_ns[-1]))
        places = np.minimum(np.searchsorted(np.maximum.accumulate(events["seq"]), effects["seq"]), len(events) - 1)
        effect_times = times_ns[places]
        self._add_refusals(events, effects)
        self._count(events, effects)
        follower = self.tally.follower
        seq, market, ticks = follower.mark.changes
        marks = _Marks(seq, follower.time_ns(seq), market, ticks)
        self._providers.add(self.grid, effects, follower, self.books)
        start = self._opening_end(marks, effects)
        if start is None:
            self._add_marks(marks)
            self.books.add(effects)
        else:
            already = effects["seq"] < start
            self._add_marks(marks.chosen(marks.seq < start))
            self.books.add(effects[already])
            self.prices_ns = int(times_ns[events["seq"] >= start][0])
            self.marks_before = self._marks.copy()
            self.ladder_before = ladder_of(self.venue.rules, self.books.holdings(), self._marks)
            self._add_marks(marks.chosen(marks.seq >= start))
            self.books.add(effects[~already])
        self._add_effects(effects, effect_times)

    def _begin(self, start_ns: int) -> None:
        self.first_ns = self.prices_ns = start_ns
        self._grid = TimeGrid(start_ns)
        self.fund = Envelope(self._grid)
        self.reserved = Envelope(self._grid)
        self.in_default = Envelope(self._grid)
        self.fund_balance = 0

    def _count(self, events: EventArray, effects: EffectArray) -> None:
        for counter, rows in ((self.events, events), (self.effects, effects)):
            for kind, number in zip(*np.unique(rows["kind"], return_counts=True), strict=True):
                counter[int(kind)] += int(number)
        opened = events[events["kind"] == EventKind.ACCOUNT]
        if len(opened):
            self.accounts = max(self.accounts, int(opened["account"].max()) + 1)
        self.tally.add(events, effects)

    def _opening_end(self, marks: _Marks, effects: EffectArray) -> int | None:
        """Return the seq of the first mark after accounts came to hold positions, if this batch has it."""
        if self.ladder_before is not None:
            return None
        seqs = marks.seq
        if not self._has_positions:
            held = effects["seq"][(effects["kind"] == EffectKind.TRADE) & (effects["account"] >= 0)]
            if len(held) == 0:
                return None
            self._has_positions = True
            seqs = seqs[seqs > held[0]]
        return int(seqs[0]) if len(seqs) else None

    def _add_marks(self, marks: _Marks) -> None:
        for number in np.unique(marks.market).tolist():
            mine = marks.chosen(marks.market == number)
            self._market(number).add_marks(mine.time_ns, mine.ticks)
            self._marks[number] = mine.ticks[-1]

    def _market(self, number: int) -> MarketRecord:
        if number not in self.markets:
            self.markets[number] = MarketRecord(self.grid)
        return self.markets[number]

    def _add_effects(self, effects: EffectArray, times_ns: Ints) -> None:
        kinds = effects["kind"]
        present = set(np.unique(kinds).tolist())
        for kind, code, method in _CLOSINGS:
            if int(kind) in present:
                chosen = (kinds == kind) & (effects["account"] >= 0)
                if code is not None:
                    chosen &= effects["code"] == code
                self._add_closed(method, effects[chosen], times_ns[chosen])
        if EffectKind.HEALTH in present:
            self._add_health(effects[kinds == EffectKind.HEALTH], times_ns[kinds == EffectKind.HEALTH])
        if EffectKind.POSTING in present:
            postings = effects[kinds == EffectKind.POSTING]
            self.defaulters.add_postings(postings)
            self._add_fund(postings, times_ns[kinds == EffectKind.POSTING])
        if EffectKind.RESERVE in present:
            self.reserved.add(times_ns[kinds == EffectKind.RESERVE], effects["value"][kinds == EffectKind.RESERVE])
        if EffectKind.ADL_PLAN in present:
            self.defaulters.add_adl(*self.adl.add(effects, times_ns))
        if EffectKind.RESIDUAL in present:
            self.defaulters.add_residuals(effects[kinds == EffectKind.RESIDUAL])
        if EffectKind.TAKEOVER in present:
            self._add_takeovers(effects[kinds == EffectKind.TAKEOVER], times_ns[kinds == EffectKind.TAKEOVER])
        if EffectKind.HAIRCUT in present:
            cuts = effects[kinds == EffectKind.HAIRCUT]
            self.defaulters.add_socialised(cuts["other"], cuts["amount"])
        if EffectKind.BREAKER in present:
            self._add_spells(effects[kinds == EffectKind.BREAKER], times_ns[kinds == EffectKind.BREAKER])
        if EffectKind.GUARD in present:
            self._add_guard(effects[kinds == EffectKind.GUARD], times_ns[kinds == EffectKind.GUARD])

    def _add_takeovers(self, rows: EffectArray, times_ns: Ints) -> None:
        """Count takeovers by their worth at mark; the price at which one is drawn is that of its cash."""
        worth = np.abs(rows["lots"]) * self.factor[rows["market"]]
        ticks = np.abs(rows["amount"]) // np.maximum(worth, 1)
        self._add_priced("takeover", rows, times_ns, ticks, worth * self.tally.follower.mark.at(rows["seq"], rows["market"]))

    def _add_spells(self, rows: EffectArray, times_ns: Ints) -> None:
        for row, time_ns in zip(rows, times_ns.tolist(), strict=True):
            number = int(row["market"])
            if number in self._open_spells:
                self._open_spells.pop(number).end_ns = time_ns
            if int(row["code"]) > 0:
                spell = Spell(number, kinds_of.BREAKER_STATES[int(row["code"])], time_ns, kinds_of.BREAKER_CAUSES[int(row["lots"])])
                self._open_spells[number] = spell
                self.spells.append(spell)

    def _add_guard(self, rows: EffectArray, times_ns: Ints) -> None:
        for number in np.unique(rows["market"]).tolist():
            mine = rows["market"] == number
            record, held = self._market(number), mine & (rows["code"] == Guard.HELD)
            record.guard.update(Guard(code) for code in rows["code"][mine].tolist())
            record.held.add(times_ns[held], rows["price_ticks"][held])

    def spells_of(self, number: int) -> list[Spell]:
        """Return the spells of a market, the venue's included."""
        return [spell for spell in self.spells if spell.market in (number, NONE)]

    def _add_closed(self, method: str, rows: EffectArray, times_ns: Ints) -> None:
        notional = np.abs(rows["lots"]) * rows["price_ticks"] * self.factor[rows["market"]]
        self._add_priced(method, rows, times_ns, rows["price_ticks"], notional)

    def _add_priced(self, method: str, rows: EffectArray, times_ns: Ints, ticks: Ints, notional: Ints) -> None:
        self.defaulters.add_closed(rows["account"], notional)
        for number in np.unique(rows["market"]).tolist():
            chosen = rows["market"] == number
            self._market(number).add_closed(method, times_ns[chosen], ticks[chosen], notional[chosen])

    def _add_health(self, rows: EffectArray, times_ns: Ints) -> None:
        self.defaulters.add_health(rows, times_ns)
        now, before = rows["code"] >= Health.DISTRESSED, rows["other"] >= Health.DISTRESSED
        running = self.in_default_now + np.cumsum(now.astype(np.int64) - before.astype(np.int64))
        if self.first_default_ns is None and now.any():
            self.first_default_ns = int(times_ns[now.argmax()])
        most = int(running.argmax())
        if running[most] > self.in_default_most[0]:
            self.in_default_most = (int(running[most]), int(times_ns[most]))
        self.in_default_now = int(running[-1])
        self.in_default.add(times_ns, running)

    def _add_fund(self, rows: EffectArray, times_ns: Ints) -> None:
        receives, pays = np.isin(rows["account"], self._funds), np.isin(rows["other"], self._funds)
        concerned = receives != pays
        rows, times_ns, receives = rows[concerned], times_ns[concerned], receives[concerned]
        if len(rows) == 0:
            return
        changes = np.where(receives, rows["amount"], -rows["amount"])
        for code in np.unique(rows["code"]).tolist():
            for side in (True, False):
                chosen = (rows["code"] == code) & (receives == side)
                if chosen.any():
                    self.fund_statement[Cause(code).name.lower(), side] += sum(changes[chosen].tolist())
        running = self.fund_balance + np.cumsum(changes)
        if self.fund_opening is None:
            # Each group's fund is opened by a deposit of its own, all at one time: together they are the opening balance.
            first = int(np.argmin(np.append((rows["code"] == Cause.CASH) & (times_ns == times_ns[0]), False)))
            opened = max(first - 1, 0)
            self.fund_opening = int(running[opened])
            running, times_ns = running[opened:], times_ns[opened:]
            self.fund_low = (int(running[0]), int(times_ns[0]))
        least = int(running.argmin())
        if self.fund_low is None or running[least] < self.fund_low[0]:
            self.fund_low = (int(running[least]), int(times_ns[least]))
        self.fund_balance = int(running[-1])
        self.fund.add(times_ns, running)

    def _add_refusals(self, events: EventArray, effects: EffectArray) -> None:
        rows = effects[effects["kind"] == EffectKind.REFUSAL]
        if len(rows) == 0:
            return
        kind_of = dict(zip(events["seq"].tolist(), events["kind"].tolist(), strict=True))
        time_of = dict(zip(events["seq"].tolist(), events["time_ns"].tolist(), strict=True))
        for row in rows:
            kind = kind_of.get(int(row["seq"]), 0)
            name = EventKind(kind).name.lower() if kind in EventKind._value2member_map_ else f"kind {kind}"
            code = Reject(int(row["code"]))
            self.refusals[code, name] += 1
            if len(self.refusal_examples) < _REFUSALS_KEPT:
                numbers = (int(row[field]) for field in ("market", "account", "lots", "price_ticks", "amount"))
                self.refusal_examples.append(Refusal(int(row["seq"]), time_of.get(int(row["seq"]), 0), code, name, *numbers))
