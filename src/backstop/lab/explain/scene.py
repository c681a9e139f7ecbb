"""One event around an account: how things stood before it, its effects in order, and how they stand after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import BreakerState, EffectArray, EffectKind, EventKind, Guard
from backstop.core.instruments import VenueRules
from backstop.core.orders import order_side
from backstop.core.state import ORDERED_INTERVAL, ORDERED_NOTIONAL, TAKEOVER_OFFER, State
from backstop.journal.rendering import Row, Speaker
from backstop.lab.explain.mirror import Mirror
from backstop.lab.explain.socialised import Loss

__all__ = ["Before", "Plan", "Scene"]

#: Severity of a breaker's states: the severer of a market's and the venue's counts.
_SEVERITY = (BreakerState.OPEN, BreakerState.THROTTLED, BreakerState.REOPENING, BreakerState.HALTED)


@dataclass(slots=True)
class Before:
    """What must be read before the event changes it."""

    mirror: Mirror
    #: Those that stand until the event itself is taken: the guard releases held ones first.
    marks: list[int]
    #: Visible lots by market, side and band.
    depth: NDArray[np.int64]
    default_since_ns: int
    breakers: list[int]
    #: The order or offer that the event answers, if any.
    order: Any
    #: Recovery claim.
    claim: int
    #: Accounts that this event acted on, in that order, as they stood.
    others: dict[int, Mirror]


@dataclass(slots=True)
class Plan:
    """One closeout plan: several orders weighed against the account as it stood at its beginning."""

    equity: int
    maintenance: int
    #: As expected once the orders so far are filled.
    expected_equity: int
    expected_maintenance: int
    #: Place of its last effect.
    last_place: int


@dataclass(slots=True)
class Scene:
    """An event, its effects, and the account's mirror as it stands at the effect that is looked at."""

    speaker: Speaker
    rules: VenueRules
    account: int
    event: Row
    effects: EffectArray
    rows: list[Row]
    before: Before
    #: The engine after the event.
    state: State
    mirror: Mirror
    #: Faults of the certificates of this event, by place of their ADL_PLAN: one check serves all who are in it.
    certificate_faults: dict[int, list[str]] = field(default_factory=dict)
    #: Losses that others bore in this event, by place of their first HAIRCUT.
    losses: dict[int, Loss] = field(default_factory=dict)
    #: Where in an event a side of the book that did not answer is forgotten is not on the tape: whether to look before that.
    sees_depth_before: bool = False
    place: int = 0
    plan: Plan | None = None
    #: Amounts that must follow, by cause.
    expected: dict[int, int] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The effect that is looked at."""
        return self.rows[self.place]

    def move_to(self, place: int) -> None:
        """Look at the effect at a later place. A mark that the price guard releases on the way is the mark from then on."""
        for row in self.rows[self.place : place]:
            if row["kind"] == EffectKind.GUARD and row["code"] == Guard.RELEASED:
                self.before.marks[row["market"]] = row["price_ticks"]
                if not self.is_mark:
                    self.mirror.marks[row["market"]] = row["price_ticks"]
        self.place = place

    def mark_after(self, market: int) -> int:
        """Return the mark that the event left."""
        return int(self.state.markets[market].mark_ticks)

    def is_held(self) -> bool:
        """Return whether the price guard held the event's mark back."""
        return any(
            row["kind"] == EffectKind.GUARD and row["code"] == Guard.HELD and row["market"] == self.event["market"] for row in self.rows
        )

    def default_since_ns(self) -> int:
        """Return when the present default began, at this effect."""
        since = self.before.default_since_ns
        for row in self.rows[: self.place]:
            if row["kind"] == EffectKind.HEALTH and row["account"] == self.account and row["code"] >= 2 > row["other"]:
                since = int(self.state.engine[0].now_ns)
        return since

    def breaker(self, market: int) -> BreakerState:
        """Return the state of a market's breaker at this effect: the severer of its own and the venue's."""
        states = list(self.before.breakers)
        for row in self.rows[: self.place]:
            if row["kind"] == EffectKind.BREAKER:
                states[row["market"]] = row["code"]  # the venue's is the last: market NONE is -1
        return max((BreakerState(states[market]), BreakerState(states[-1])), key=_SEVERITY.index)

    def pending_lots(self, market: int, lots: int) -> int:
        """Return the lots open in closing orders of the side of ``lots``, before this effect."""
        side = int(order_side(lots))
        pending = int(self.state.markets[market].pending_lots[side])
        for row in self.rows[self.place :]:
            if row["market"] == market and int(order_side(row["lots"])) == side and row["lots"]:
                if row["kind"] == EffectKind.ORDER:
                    pending -= abs(row["lots"])
                elif row["kind"] == EffectKind.CANCEL and not self._is_offer(row["other"]):
                    pending += abs(row["lots"])
        return pending

    def _is_offer(self, order_id: int) -> bool:
        """Return whether an order that the engine still knows was an offer to a provider: that is on no book."""
        order = self.state.orders[order_id % len(self.state.orders)]
        return int(order.id) == order_id and int(order.kind) == TAKEOVER_OFFER

    def ordered_notional(self, market: int) -> tuple[int, int, int]:
        """Return notional ordered in this interval before this effect: of the account, the market, the venue."""
        engine = self.state.engine[0]
        present = int(engine.now_ns) // int(self.state.rules[0].cap_interval_ns)
        columns, row = self.state.columns, self.state.markets[market]
        by_account = int(columns[ORDERED_NOTIONAL, self.account]) if int(columns[ORDERED_INTERVAL, self.account]) == present else 0
        by_market = int(row.ordered_notional) if int(row.ordered_interval) == present else 0
        by_venue = int(engine.ordered_notional) if int(engine.interval) == present else 0
        for later in self.rows[self.place :]:
            if later["kind"] == EffectKind.ORDER:
                notional = abs(later["lots"]) * self.mirror.unit(later["market"])
                by_venue -= notional
                by_market -= notional * (later["market"] == market)
                by_account -= notional * (later["account"] == self.account)
        return by_account, by_market, by_venue

    def depth(self, market: int, side: int) -> list[tuple[int, int]]:
        """Return (offset in ppm, visible lots) of the bands within the tolerance; -1 lots: unknown."""
        rules = self.rules.markets[market]
        bands: NDArray[np.int64] = (self.before.depth if self.sees_depth_before else self.state.markets["depth_lots"])[market][side]
        return [
            (offset, int(bands[number])) for number, offset in enumerate(rules.band_offset_ppm) if offset <= rules.slippage_tolerance_ppm
        ]

    @property
    def is_mark(self) -> bool:
        """Whether the event is a mark price that was taken."""
        return self.event["kind"] == EventKind.MARK and not self.is_held()
