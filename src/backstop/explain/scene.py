"""One event around an account: how things stood before it, its effects in order, and how they stand
after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import NONE, BreakerCause, BreakerState, Doubt, EffectArray, EffectKind, EventKind, Guard, Operator, Settlement
from backstop.core.instruments import VenueRules
from backstop.core.kinds import BreakerEffect, GuardEffect
from backstop.core.orders import order_side
from backstop.core.rows import CLOSING_ORDER, DISPOSAL_ORDER, TRADED
from backstop.core.state import State
from backstop.explain.books import Account, Books
from backstop.explain.rows import Rows
from backstop.journal.rendering import Row, Speaker
from backstop.reference.book import Band, Book
from backstop.reference.charge import Exit
from backstop.reference.closing import Cap, Caps, Closing, deadline_ns, forced_from_ns
from backstop.reference.loss import Cut
from backstop.reference.machine import HALT, severest
from backstop.reference.margin import Contract, Holding, Portfolio, Standing
from backstop.reference.offering import Offering

__all__ = ["Before", "Breaker", "Plan", "Scene", "Shared", "Socialised", "Stop", "Turn"]


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


class Before(NamedTuple):
    """What must be read before the event changes it."""

    marks: list[int]
    #: Visible lots by market, side and band.
    depth: NDArray[np.int64]
    #: One per market, then the venue's.
    breakers: list[Breaker]
    #: Marks before doubt about them began, 0: they were not doubted.
    undoubted: list[int]
    #: How far the settlements of markets were.
    settlements: list[int]
    #: Prices that operators gave for a settlement, or 0.
    given: list[int]
    #: The order or offer that the event answers, if any.
    order: Any
    #: By group, of the owner who takes cash out, if the event does that.
    noted: list[Any]


@dataclass(slots=True)
class Plan:
    """One plan of several orders or offers: weighed against the account as it stood at its
    beginning.
    """

    portfolio: Portfolio
    #: As expected once those so far are filled or accepted.
    expected: Standing
    #: Place of its last effect.
    last_place: int
    #: Of a plan of offers: that of the position that is looked at.
    offering: Offering | None = None


@dataclass(slots=True)
class Stop:
    """Why a stage did nothing for one position."""

    stage: str
    #: One word for programs.
    reason: str
    says: str
    #: Capacity was only taken: closeout waits for that, until its deadline.
    is_busy: bool = False
    #: Lots that the stage could have closed: none, or it would have. None: they cannot be worked out
    #: from what is told.
    lots: int | None = 0
    values: dict[str, Any] = field(default_factory=dict)
    #: Whom it asked and why each could not, a line each.
    parts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Turn:
    """One account's way through the stages, as it stood when ADL or tear-up began."""

    first_place: int
    #: By market.
    stops: dict[int, list[Stop]]
    #: Closeout would have waited, by what is worked out here.
    would_wait: bool
    #: The vault took lots over right before: what each stage saw lies before that.
    is_moved: bool


class Socialised(NamedTuple):
    """A market's loss that others bore. Atoms."""

    deficit: int
    paid: int
    #: How many may be asked, their weights and their caps together.
    payers: int
    weight_sum: int
    cap_sum: int
    cuts: list[Cut]
    #: What each account that lacks there gets.
    received: dict[int, int]


@dataclass(slots=True)
class Shared:
    """What all accounts of an event have in common."""

    books: Books
    #: Faults of a certificate, by the place of its ADL_PLAN.
    certificate_faults: dict[int, list[str]] = field(default_factory=dict)
    #: Worked out so far, by market: those who won there are asked once an event.
    losses: dict[int, Socialised] = field(default_factory=dict)
    #: Accounts that this event acted on, in that order, as they stood before it.
    others: dict[int, Account] = field(default_factory=dict)


@dataclass(slots=True)
class Scene:
    """An event, its effects, and the books as they stand at the effect that is looked at."""

    speaker: Speaker
    rules: VenueRules
    account: int
    event: Row
    effects: EffectArray
    rows: Rows
    before: Before
    #: The engine after the event.
    state: State
    shared: Shared
    #: Where in an event a side of the book that did not answer is forgotten is not on the tape:
    #: whether to look before that.
    sees_depth_before: bool = False
    place: int = 0
    #: Of orders, and of offers.
    plan: Plan | None = None
    offers: Plan | None = None
    turn: Turn | None = None
    #: The order of the defaulters is told.
    has_told_order: bool = False
    #: Amounts that must follow, by cause.
    expected: dict[int, int] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The effect that is looked at."""
        return self.rows[self.place]

    @property
    def books(self) -> Books:
        """Accounts, funds and providers at this effect."""
        return self.shared.books

    @property
    def mine(self) -> Account:
        """The account's rows at this effect."""
        return self.books.account(self.account)

    @property
    def portfolio(self) -> Portfolio:
        """The account's balance and holdings at this effect."""
        return self.books.portfolio(self.account)

    @property
    def is_only_account(self) -> bool:
        """Whether the account looked at is the only one of its owner."""
        owners = self.state.accounts["owner"][: int(self.state.engine[0].accounts_now)]
        return int((owners == owners[self.account]).sum()) == 1

    def contract(self, market: int) -> Contract:
        """Return a market's contract at its mark."""
        return self.books.contract(market)

    def holding(self, market: int) -> Holding:
        """Return what the account has in a market at this effect."""
        return self.books.holding(self.account, market)

    @property
    def now_ns(self) -> int:
        """Time of the event."""
        return self.books.now_ns

    @property
    def deadline_ns(self) -> int:
        """Time after which the account waits no longer for the book."""
        return deadline_ns(self.since_ns, self.rules.closeout)

    @property
    def since_ns(self) -> int:
        """When the account's default began, later by what it waited for doubt."""
        return self.mine.default_since_ns + self.mine.doubt_ns

    def undoubted(self, market: int) -> int:
        """Return the last mark that is not doubted at this effect, 0 where the mark is not
        doubted.
        """
        kinds = (EffectKind.DOUBT, EffectKind.SETTLEMENT)
        told = [row for row in self.rows[: self.place] if row["kind"] in kinds and row["market"] == market]
        if told:
            # Both kinds say by a code of 0 that it is over, and have the price in one column.
            return 0 if told[-1]["code"] == Doubt.ENDED else int(told[-1]["price_ticks"])
        return self.before.undoubted[market]

    def is_settling(self, market: int) -> bool:
        """Return whether the market's settlement has begun at this effect."""
        told = [row for row in self.rows[: self.place] if row["kind"] == EffectKind.SETTLEMENT and row["market"] == market]
        return bool(told) or self.before.settlements[market] != TRADED

    def settlement_price(self, market: int, source: Settlement) -> int:
        """Return the price that a source gives for a settlement at this effect."""
        if source == Settlement.INDEX:
            return int(self.state.markets[market].index_ticks)
        if source == Settlement.UNDOUBTED:
            return self.undoubted(market)
        if source == Settlement.VENUE:
            return int(self.event["price_ticks"]) if self.event["kind"] == EventKind.SETTLEMENT else 0
        gives = self.event["kind"] == EventKind.OPERATOR and self.event["code"] == Operator.SETTLE_PRICE
        if gives and self.event["market"] == market:
            return int(self.event["price_ticks"])
        return self.before.given[market]

    def mark_age_ns(self, market: int) -> int:
        """Return for how long no mark was accepted."""
        return self.now_ns - int(self.state.breakers[market].mark_time_ns)

    def waits_for_doubt(self, market: int) -> bool:
        """Return whether doubt keeps the account's position from everything."""
        return self.undoubted(market) != 0 and (not self._is_used_up or self.is_settling(market))

    def waits_for_mark(self, market: int) -> bool:
        """Return whether the mark is doubted or too old to force anything on the account at it."""
        oldest = self.rules.breakers.act_age_max_ns
        is_old = 0 < oldest < self.mark_age_ns(market)
        waits = is_old or self.undoubted(market) != 0
        return waits and (not self._is_used_up or self.is_settling(market))

    @property
    def _is_used_up(self) -> bool:
        """The account has waited for doubt as long as anybody may in one default."""
        return self.mine.doubt_ns >= self.rules.breakers.doubt_max_ns

    def waits_for_halt(self, market: int) -> bool:
        """Return whether the market is halted, and the account has not waited long for its end."""
        is_halted = self.breaker(market).state == BreakerState.HALTED
        waits_ns = min(self.since_ns + self.rules.breakers.halt_wait_max_ns, self.forced_from_ns)
        return is_halted and self.now_ns < waits_ns

    @property
    def forced_from_ns(self) -> int:
        """Time from which nothing is waited for any more."""
        return forced_from_ns(self.since_ns, self.rules.closeout)

    def is_shut(self, market: int) -> bool:
        """Return whether an operator halts the market, or the venue."""
        levels = (int(self.state.breakers[row].levels[BreakerCause.OPERATOR]) for row in (market, NONE))
        machines = (self.machine(market), self.machine(NONE))
        return any(each.state == BreakerState.HALTED and level == HALT for each, level in zip(machines, levels, strict=True))

    def waits_for(self, market: int) -> bool:
        """Return whether the account is in default and holds lots of a market, or with NONE of
        any.
        """
        held = [each.lots for number, each in self.mine.positions.items() if market in (NONE, number)]
        return self.mine.in_default and any(held)

    def is_held(self) -> bool:
        """Return whether the price guard held the event's mark back."""
        guards = (GuardEffect(row) for row in Rows(self.effects[self.effects["kind"] == EffectKind.GUARD]))
        return any((guard.action, guard.market) == (Guard.HELD, self.event["market"]) for guard in guards)

    def breaker(self, market: int) -> Breaker:
        """Return a market's breaker at this effect: the severer of its own and the venue's, its own
        where both are alike.
        """
        own, venue = self.machine(market), self.machine(NONE)
        return own if severest(own.state, venue.state) == own.state else venue

    def machine(self, market: int) -> Breaker:
        """Return the breaker of a market alone, or with NONE the venue's, at this effect."""
        changed = np.flatnonzero(self.effects["kind"][: self.place] == EffectKind.BREAKER).tolist()
        for told in (BreakerEffect(self.rows[place]) for place in reversed(changed)):
            if told.market == market:
                return Breaker(told.breaker_state, told.cause, told.until_ns)
        return self.before.breakers[market]  # the venue's is the last: NONE is -1

    def later(self, *kinds: EffectKind) -> list[Row]:
        """Return the effects of some kinds from the one that is looked at on."""
        places = np.flatnonzero(np.isin(self.effects["kind"][self.place :], kinds))
        return [self.rows[self.place + place] for place in places.tolist()]

    def acted(self, *kinds: EffectKind) -> list[Row]:
        """Return the effects of some kinds on the account before the one that is looked at."""
        effects = self.effects[: self.place]
        return list(Rows(effects[(effects["account"] == self.account) & np.isin(effects["kind"], kinds)]))

    def pending_lots(self, market: int, lots: int, *, behind: bool = False) -> int:
        """Return the lots open in closing orders of the side of ``lots``, before this effect;
        ``behind``: in orders of disposal, too.
        """
        side, kinds = int(order_side(lots)), (CLOSING_ORDER, DISPOSAL_ORDER) if behind else (CLOSING_ORDER,)
        told = self.state.markets[market]
        pending = int(told.pending_lots[side]) + (int(told.disposed_lots[side]) if behind else 0)
        for row in self.later(EffectKind.ORDER, EffectKind.CANCEL):
            is_there = row["market"] == market and int(order_side(row["lots"])) == side and row["lots"]
            if is_there and self._kind_of(row["other"]) in kinds:
                pending += abs(row["lots"]) if row["kind"] == EffectKind.CANCEL else -abs(row["lots"])
        return pending

    def _kind_of(self, order_id: int) -> int:
        """Return whether an order that the engine still knows was one of closeout, of disposal, or an
        offer; one that it has forgotten counts as one of closeout.
        """
        order = self.state.orders[order_id % len(self.state.orders)]
        return int(order.kind) if int(order.id) == order_id else CLOSING_ORDER

    def caps(self, market: int) -> Caps:
        """Return the caps on notional, with what was ordered in this interval before this
        effect.
        """
        engine, rules = self.state.engine[0], self.rules
        present = int(engine.now_ns) // int(self.state.rules[0].cap_interval_ns)
        mine, row = self.state.defaults[self.account], self.state.markets[market]
        by_account = int(mine.ordered_notional) if int(mine.ordered_interval) == present else 0
        by_market = int(row.ordered_notional) if int(row.ordered_interval) == present else 0
        by_venue = int(engine.ordered_notional) if int(engine.interval) == present else 0
        for later in self.later(EffectKind.ORDER):
            notional = self.contract(later["market"]).notional_of(later["lots"])
            by_venue -= notional * (len(rules.assets) == 1)
            by_market -= notional * (later["market"] == market)
            by_account -= notional * (later["account"] == self.account)
        return Caps(
            Cap(rules.of_market(market).account_notional_max, by_account),
            Cap(rules.markets[market].ordered_notional_max, by_market),
            Cap(rules.closeout.venue_notional_max, by_venue),
        )

    def bands(self, market: int, side: int) -> tuple[Band, ...]:
        """Return the bands within the tolerance on the side of the book that takes a position of a
        side; -1 lots: unknown.
        """
        rules = self.rules.markets[market]
        depth: NDArray[np.int64] = self.before.depth if self.sees_depth_before else self.state.markets["depth_lots"]
        bands = zip(rules.band_offset_ppm, depth[market][order_side(-side)].tolist(), strict=False)
        return tuple(Band(offset, lots) for offset, lots in bands if offset <= rules.slippage_tolerance_ppm)

    def book(self, market: int, side: int, *, behind: bool = False) -> Book:
        """Return the side of the book that takes a position of a side, as it was last told;
        ``behind``: as disposal sees it.
        """
        breaker, row = self.state.breakers[market], self.state.markets[market]
        return Book(
            contract=self.contract(market),
            is_sell=side > 0,
            bands=self.bands(market, side),
            volume=int(row.volume_lots),
            state=self.breaker(market).state,
            is_shut=self.is_shut(market),
            is_old=self.waits_for_mark(market),
            pending=self.pending_lots(market, -side, behind=behind),
            low_ticks=int(min(breaker.low_ticks)),
            high_ticks=int(max(breaker.high_ticks)),
        )

    def way_out(self, market: int) -> Exit:
        """Return what closing a position of the account on the book would be expected to cost."""
        return Exit(self.book(market, self.holding(market).side), self.rules.closeout.fee_ppm)

    def ways_later(self, market: int) -> dict[int, Exit]:
        """Return the same for its positions in later markets that a joint turn may still close."""
        held = [number for number, each in sorted(self.mine.positions.items()) if number > market and each.lots]
        return {each: self.way_out(each) for each in held if not self.waits_for_mark(each) and not self.waits_for_halt(each)}

    def closing(self, market: int, plan: Plan, *, behind: bool = False) -> Closing:
        """Return a position of the account on its way to the book, within a plan; ``behind``: as
        disposal sees it.
        """
        rules, holding = self.rules, plan.portfolio.holding(market)
        return Closing(
            portfolio=plan.portfolio,
            holding=holding,
            book=self.book(market, holding.side, behind=behind),
            caps=self.caps(market),
            fund=self.books.fund(rules.markets[market].group, self.account, market),
            rules=rules.closeout,
            asset=rules.of_market(market),
            throttle_share_ppm=rules.breakers.throttle_share_ppm,
            expected=plan.expected,
            probes=not behind and self.now_ns < self.deadline_ns,
        )

    def group_of(self, market: int) -> int:
        """Return the group of a market; of none the first of the account's asset."""
        return self.rules.groups_of(self.mine.asset)[0] if market == NONE else self.rules.markets[market].group

    def new_plan(self) -> Plan:
        """Return a plan that begins at this effect."""
        portfolio = self.portfolio
        return Plan(portfolio, portfolio.standing, self.place)

    @property
    def is_mark(self) -> bool:
        """Whether the event is a mark price that was taken."""
        return self.event["kind"] == EventKind.MARK and not self.is_held()
