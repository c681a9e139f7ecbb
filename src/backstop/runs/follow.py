"""What a market's mark and volume were at an effect: followed from the events, as batches pass.

Effects say what moved, not always at which price. A tally that wants it must know which marks the
engine took: not those that were refused, nor those that the price guard held, but a held one from the
moment that it was released.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import EffectArray, EffectKind, EventArray, EventKind, Guard, Reject

__all__ = ["Followed", "Follower"]

Ints = NDArray[np.int64]


class Followed:
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
        """Return the values of markets right after the events of these seqs, all of the present batch."""
        found: Ints = self._before[market]
        for number in np.unique(market):
            changes = np.flatnonzero(self._market == number)
            mine = np.flatnonzero(market == number)
            place = np.searchsorted(self._seq[changes], seq[mine], side="right")
            later = place > 0
            found[mine[later]] = self._value[changes[place[later] - 1]]
        return found


class Follower:
    """Marks, volumes and times of the batch at hand."""

    def __init__(self, markets: int) -> None:
        #: Accepted mark [ticks]; 0: none yet.
        self.mark = Followed(markets, 0)
        #: Volume last reported [lots]; -1: none yet.
        self.volume = Followed(markets, -1)
        self._seq = self._time_ns = np.zeros(0, dtype=np.int64)
        self._seq_before = -1

    def take(self, events: EventArray, effects: EffectArray) -> None:
        """Begin a batch: its events and their effects, in the order of the journal."""
        events = self._in_order(events)
        self._seq, self._time_ns = events["seq"].copy(), events["time_ns"].copy()
        guard = effects[effects["kind"] == EffectKind.GUARD]
        refused = effects["seq"][(effects["kind"] == EffectKind.REFUSAL) & (effects["code"] != Reject.SEQ_NOT_AFTER)]
        not_taken = np.concatenate([refused, guard["seq"][guard["code"] == Guard.HELD]])
        marks = events[(events["kind"] == EventKind.MARK) & ~np.isin(events["seq"], not_taken)]
        released = guard[guard["code"] == Guard.RELEASED]
        # A timer ends before what the event itself says.
        seq = np.concatenate([released["seq"], marks["seq"]])
        order = np.argsort(seq, kind="stable")
        market = np.concatenate([released["market"], marks["market"]]).astype(np.int64)
        ticks = np.concatenate([released["price_ticks"], marks["price_ticks"]])
        self.mark.take(seq[order], market[order], ticks[order])
        volumes = events[(events["kind"] == EventKind.VOLUME) & ~np.isin(events["seq"], not_taken)]
        self.volume.take(volumes["seq"].copy(), volumes["market"].astype(np.int64), volumes["lots"].copy())

    def _in_order(self, events: EventArray) -> EventArray:
        """Leave out events whose seq was used up before: they were refused for it, and have no effects but that."""
        highest = np.maximum.accumulate(np.concatenate(([self._seq_before], events["seq"])))
        self._seq_before = int(highest[-1])
        return events[events["seq"] > highest[:-1]]

    def time_ns(self, seq: Ints) -> Ints:
        """Return the times of events of the present batch."""
        times: Ints = self._time_ns[np.searchsorted(self._seq, seq)]
        return times
