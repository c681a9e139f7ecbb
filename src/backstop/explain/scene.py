"""One event around an account: how things stood before it, its effects in order, and how they stand after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import NONE, BreakerCause, BreakerState, EffectArray, EffectKind, EventKind, Guard, Health
from backstop.core.instruments import VenueRules
from backstop.core.orders import order_side
from backstop.core.state import ORDERED_INTERVAL, ORDERED_NOTIONAL, TAKEOVER_OFFER, State
from backstop.explain.house import House, View
from backstop.explain.mirror import Mirror
from backstop.explain.socialised import Loss, OtherSide
from backstop.journal.rendering import Row, Speaker

__all__ = ["Before", "Breaker", "Known", "Plan", "Scene", "Stop", "Turn"]

#: Severity of a breaker's states: the severer of a market's and the venue's counts.
_SEVERITY = (BreakerState.OPEN, BreakerState.THROTTLED, BreakerState.REOPENING, BreakerState.HALTED)


class Breaker(NamedTuple):
    """One circuit breaker's state, why, and when it ends at the latest."""

    state: BreakerState
    #: None: it never left OPEN.
    cause: BreakerCause | None
    until_ns: int

    @classmethod
    def of(cls, state: int, cause: int, until_ns: int) -> Breaker:
        """Name the numbers of a row."""
        return cls(BreakerState(state), BreakerCause(cause) if cause else None, until_ns)


@dataclass(slots=True)
class Before:
    """What must be read before the event changes it."""

    mirror: Mirror
    #: Those that stand until the event itself is taken: the guard releases held ones first.
    marks: list[int]
    #: Visible lots by market, side and band.
    depth: NDArray[np.int64]
    default_since_ns: int
    #: One a market, then the venue's.
    breakers: list[Breaker]
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
class Stop:
    """Why a stage did nothing for one position."""

    stage: str
    #: One word for programs.
    reason: str
    says: str
    #: Capacity was only taken: closeout waits for that, until its deadline.
    is_busy: bool = False
    #: Lots that the stage could have closed: none, or it would have.
    lots: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    #: Whom it asked and why each could not, a line each.
    parts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Turn:
    """One account's way through the stages, as it stood when ADL or tear-up began."""

    first_place: int
    view: View
    #: By market.
    stops: dict[int, list[Stop]]
    #: Closeout would have waited, by what is worked out here.
    would_wait: bool
    #: The vault took lots over right before: what each stage saw lies before that.
    is_moved: bool


@dataclass(slots=True)
class Known:
    """What is worked out once for all accounts of an event, by place of an effect."""

    #: Faults of a certificate, by its ADL_PLAN.
    certificate_faults: dict[int, list[str]] = field(default_factory=dict)
    #: Losses that others bore, by the first HAIRCUT.
    losses: dict[int, Loss] = field(default_factory=dict)
    #: Who could have given lots, by the TEAR_UP and the market.
    sides: dict[int, dict[int, OtherSide]] = field(default_factory=dict)
    #: Funds and providers, by an ADL, tear-up, payment or residual.
    views: dict[int, View] = field(default_factory=dict)
    #: The same after the event; None: nobody who is looked at is in default.
    house: House | None = None


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
    known: Known
    #: Where in an event a side of the book that did not answer is forgotten is not on the tape: whether to look before that.
    sees_depth_before: bool = False
    place: int = 0
    plan: Plan | None = None
    turn: Turn | None = None
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

    def waits_for(self, market: int) -> bool:
        """Return whether the account is in default and holds lots of a market, or with NONE of any."""
        held = [lots for number, (lots, _) in self.mirror.positions.items() if market in (NONE, number)]
        return self.mirror.health >= Health.DISTRESSED and any(held)

    def is_held(self) -> bool:
        """Return whether the price guard held the event's mark back."""
        return any(
            row["kind"] == EffectKind.GUARD and row["code"] == Guard.HELD and row["market"] == self.event["market"] for row in self.rows
        )

    def default_since_ns(self) -> int:
        """Return when the present default began, at this effect."""
        since = self.before.default_since_ns
        for row in self.rows[: self.place]:
            if row["kind"] == EffectKind.HEALTH and row["account"] == self.account and row["code"] >= Health.DISTRESSED > row["other"]:
                since = int(self.state.engine[0].now_ns)
        return since

    def breaker(self, market: int) -> Breaker:
        """Return a market's breaker at this effect: the severer of its own and the venue's, its own where both are alike."""
        return max((self.machine(market), self.machine(NONE)), key=lambda each: _SEVERITY.index(each.state))

    def machine(self, market: int) -> Breaker:
        """Return the breaker of a market alone, or with NONE the venue's, at this effect."""
        changed = np.flatnonzero(self.effects["kind"][: self.place] == EffectKind.BREAKER).tolist()
        for row in (self.rows[place] for place in reversed(changed)):
            if row["market"] == market:
                return Breaker.of(row["code"], row["lots"], row["amount"])
        return self.before.breakers[market]  # the venue's is the last: NONE is -1

    def later(self, *kinds: EffectKind) -> list[Row]:
        """Return the effects of some kinds from the one that is looked at on."""
        places = np.flatnonzero(np.isin(self.effects["kind"][self.place :], kinds))
        return [self.rows[self.place + place] for place in places.tolist()]

    def pending_lots(self, market: int, lots: int) -> int:
        """Return the lots open in closing orders of the side of ``lots``, before this effect."""
        side = int(order_side(lots))
        pending = int(self.state.markets[market].pending_lots[side])
        for row in self.later(EffectKind.ORDER, EffectKind.CANCEL):
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
        for later in self.later(EffectKind.ORDER):
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
