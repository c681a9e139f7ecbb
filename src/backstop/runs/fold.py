"""One pass over a run's events and effects, shared by all that count it.

A ``Fold`` takes a run batch by batch and works out once what its readers have in common: which
events the engine took and when, the rules in force, and each market's mark and volume after every
event. A ``Reader``
keeps only what is its own. Its methods declare with ``reads`` which kinds of effects they take, and
get those rows in the order of the journal.

Effects say what moved, not always at which price. A reader that wants it must know which marks the
engine took: not those that were refused, nor those that the price guard held, but a held one from
the moment that it was released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import EFFECT, EVENT, NONE, EffectArray, EffectKind, EventArray, Guard, Reject, fund_of
from backstop.core.instruments import VenueRules
from backstop.core.kinds import AccountEvent, Columns, EffectView, GuardEffect, MarkEvent, RefusalEffect, SettlementEffect, VolumeEvent
from backstop.core.rules_in_force import effects_of_rules, rules_after

__all__ = ["Fold", "Ints", "Latest", "Reader", "reads"]

Ints = NDArray[np.int64]
Result = TypeVar("Result")
AnyReader = TypeVar("AnyReader", bound="Reader")
AnyView = TypeVar("AnyView", bound=EffectView[Any])
Method = TypeVar("Method", bound=Callable[..., None])


def reads(*views: type[EffectView[Any]]) -> Callable[[Method], Method]:
    """Declare which kinds of effects a method of a reader takes.

    It is called once per batch that has any of them, with the fold. Of one kind it gets the view of
    all its rows; of several, the rows themselves, mixed as the journal has them.
    """

    def declare(method: Method) -> Method:
        method.__dict__["reads"] = views
        return method

    return declare


class Reader:
    """Base of what counts a run: methods declared with ``reads``, called in the order of the class
    statement.
    """

    _methods: ClassVar[tuple[tuple[tuple[type[EffectView[Any]], ...], str], ...]] = ()

    def __init_subclass__(cls) -> None:
        own = tuple((method.reads, name) for name, method in vars(cls).items() if hasattr(method, "reads"))
        cls._methods = (*cls._methods, *own)

    def take_batch(self, fold: Fold) -> None:
        """Take what is not of one kind of effect; called for every batch, before the methods that
        read.
        """

    def take(self, fold: Fold) -> None:
        """Take the batch at hand."""
        self.take_batch(fold)
        for views, name in self._methods:
            if any(view.kind in fold.present for view in views):
                getattr(self, name)(fold.rows(views[0]) if len(views) == 1 else fold.rows_of(*views), fold)


class Latest:
    """The latest value of each market, at the beginning of a batch and at every seq within it."""

    def __init__(self, markets: int, unknown: int) -> None:
        self._before = np.full(markets, unknown, dtype=np.int64)
        self._seq = self._market = self._value = np.zeros(0, dtype=np.int64)

    def take(self, seq: Ints, market: Ints, value: Ints) -> None:
        """Begin a batch with its changes, in their order."""
        self._before[self._market] = self._value
        self._seq, self._market, self._value = seq, market, value

    @property
    def changes(self) -> tuple[Ints, Ints, Ints]:
        """Return seq, market and value of the batch's changes, in their order."""
        return self._seq, self._market, self._value

    def at(self, seq: Ints, market: Ints) -> Ints:
        """Return the values of markets right after the events of these seqs, all of the present
        batch.
        """
        found: Ints = self._before[market]
        for number in np.unique(market):
            changes = np.flatnonzero(self._market == number)
            mine = np.flatnonzero(market == number)
            place = np.searchsorted(self._seq[changes], seq[mine], side="right")
            later = place > 0
            found[mine[later]] = self._value[changes[place[later] - 1]]
        return found

    @property
    def now(self) -> Ints:
        """Return the value of every market at the end of the batch."""
        found = self._before.copy()
        found[self._market] = self._value
        return found

    def at_each(self, seq: int) -> Ints:
        """Return the value of every market right after the event of a seq."""
        markets = np.arange(len(self._before))
        return self.at(np.full(len(markets), seq), markets)


class Fold:
    """Takes a run batch by batch, each of whole events with all their effects, and hands it to its
    readers.

    An event after which other rules are in force begins a batch of its own: to a reader the rules
    are the same for all that is at hand.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        #: By account: the number of its asset, from when it is open.
        self.account_assets = np.zeros(venue.rules.limits.accounts_max, dtype=np.int64)
        self._market_assets = np.array([market.settlement_asset for market in venue.rules.markets], dtype=np.int64)
        #: In force for the batch at hand, and before its first event: those of the file, until one changes.
        self.rules: VenueRules = venue.rules
        self.rules_before: VenueRules = venue.rules
        #: What lots are worth, by market, by these rules.
        self.contracts = venue.rules.contracts
        #: Ledger ids of the insurance funds, one per market group.
        self.funds = tuple(fund_of(group) for group in range(len(venue.rules.funds)))
        #: Accepted mark [ticks]; 0: none yet.
        self.mark = Latest(len(venue.markets), 0)
        #: Volume last reported [lots]; -1: none yet.
        self.volume = Latest(len(venue.markets), -1)
        #: The batch at hand, and the kinds of effects that it has.
        self.events: EventArray = np.zeros(0, dtype=EVENT)
        self.effects: EffectArray = np.zeros(0, dtype=EFFECT)
        self.present: frozenset[int] = frozenset()
        self._readers: list[Reader] = []
        self._known: dict[Any, Any] = {}
        self._seq = self._time_ns = np.zeros(0, dtype=np.int64)
        self._seq_before = -1
        self._has_begun = False

    def join(self, reader: AnyReader) -> AnyReader:
        """Add a reader; a batch goes to all of them in the order in which they joined.

        Raises ``ValueError`` where the run has begun: the reader would miss what is past.
        """
        if self._has_begun:
            raise ValueError("a reader must join before the first batch")
        self._readers.append(reader)
        return reader

    def take(self, events: EventArray, effects: EffectArray) -> None:
        """Take a batch, in the order of the journal. The rows must hold until the call returns."""
        for part_events, part_effects in _parts_by_rules(events, effects):
            self._take(part_events, part_effects)

    def _take(self, events: EventArray, effects: EffectArray) -> None:
        self._has_begun = True
        self.events, self.effects, self._known = events, effects, {}
        self.rules_before = self.rules
        self.rules = rules_after(self.rules, effects)
        if self.rules is not self.rules_before:
            self.contracts = self.rules.contracts
        self.present = frozenset(np.unique(effects["kind"]).tolist())
        self._follow()
        for reader in self._readers:
            reader.take(self)

    def asset_of(self, effects: EffectArray) -> Ints:
        """Return the number of the asset that each effect is of: a posting names it, of others it is that
        of the account or of the market; NONE where there is neither.
        """
        accounts, markets = effects["account"], effects["market"].astype(np.int64)
        of_market = np.where(markets >= 0, self._market_assets[np.maximum(markets, 0)], NONE)
        known = np.clip(accounts, 0, len(self.account_assets) - 1)
        found = np.where(accounts >= 0, self.account_assets[known], of_market)
        named: Ints = np.where(effects["kind"] == EffectKind.POSTING, effects["value"], found)
        return named

    # -- what readers ask of the batch at hand

    def rows(self, view: type[AnyView]) -> AnyView:
        """Return the effects of one kind."""
        if view.kind not in self._known:
            self._known[view.kind] = view(self.effects if view.kind in self.present else self.effects[:0])
        return cast(AnyView, self._known[view.kind])

    def rows_of(self, *views: type[EffectView[Any]]) -> EffectArray:
        """Return the effects of several kinds, mixed as the journal has them."""
        return self.effects[np.isin(self.effects["kind"], [int(view.kind) for view in views])]

    def once(self, work: Callable[[Fold], Result]) -> Result:
        """Return what ``work`` makes of the batch, worked out once however many readers ask for
        it.
        """
        if work not in self._known:
            self._known[work] = work(self)
        return cast(Result, self._known[work])

    def time_ns(self, seq: Ints) -> Ints:
        """Return the times of events."""
        times: Ints = self._time_ns[np.minimum(np.searchsorted(self._seq, seq), len(self._seq) - 1)]
        return times

    def notional(self, market: Ints, lots: Ints, ticks: Ints) -> Ints:
        """Return what lots are worth at a price, without sign [atoms]."""
        return self.contracts.notionals(market, lots, ticks)

    # -- events

    def _follow(self) -> None:
        events = self._in_order(self.events)
        self._seq, self._time_ns = events["seq"].copy(), events["time_ns"].copy()
        refusals, guard = self.rows(RefusalEffect[Columns]), self.rows(GuardEffect[Columns])
        refused = refusals.seq[refusals.reason != Reject.SEQ_NOT_AFTER]
        not_taken = np.concatenate([refused, guard.seq[guard.action == Guard.HELD]])
        taken = events[~np.isin(events["seq"], not_taken)]
        opened = AccountEvent[Columns](taken)
        self.account_assets[opened.account] = opened.asset
        marks, volumes = MarkEvent[Columns](taken), VolumeEvent[Columns](taken)
        released = guard.where(guard.action == Guard.RELEASED)
        settled = self.rows(SettlementEffect[Columns])
        # A timer ends before what the event itself says; a settlement comes after it.
        seq = np.concatenate([released.seq, marks.seq, settled.seq])
        order = np.argsort(seq, kind="stable")
        market = np.concatenate([released.market, marks.market, settled.market]).astype(np.int64)
        ticks = np.concatenate([released.price_ticks, marks.price_ticks, settled.price_ticks])
        self.mark.take(seq[order], market[order], ticks[order])
        self.volume.take(volumes.seq.copy(), volumes.market.astype(np.int64), volumes.lots.copy())

    def _in_order(self, events: EventArray) -> EventArray:
        """Leave out events whose seq was used up before: they were refused for it, and have no
        effects but that.
        """
        highest = np.maximum.accumulate(np.concatenate(([self._seq_before], events["seq"])))
        self._seq_before = int(highest[-1])
        return events[events["seq"] > highest[:-1]]


def _parts_by_rules(events: EventArray, effects: EffectArray) -> Iterator[tuple[EventArray, EffectArray]]:
    """Yield a batch in parts: each event in which rules change begins one."""
    event_from = effect_from = 0
    highest = np.maximum.accumulate(events["seq"])
    for seq in np.unique(effects_of_rules(effects)["seq"]).tolist():
        # A later event with the same seq is refused: the first is the one.
        event, effect = int(np.searchsorted(highest, seq)), int(np.argmax(effects["seq"] == seq))
        if event > event_from:
            yield events[event_from:event], effects[effect_from:effect]
            event_from, effect_from = event, effect
    yield events[event_from:], effects[effect_from:]
