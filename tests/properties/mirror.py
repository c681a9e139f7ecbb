"""The venue as its events and effects tell it, effect by effect, without a look into the engine's memory.

A second set of books: what it holds after an event must be what the engine holds, so no unit and no lot
moves without an effect. Between two effects it is the state at that moment, which the checks need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from backstop.core.events import (
    FUND,
    NEVER_NS,
    NONE,
    REMAINDER,
    UNCOVERED,
    WORLD,
    Cause,
    EffectKind,
    EventKind,
    Health,
    Stage,
    clearing_of,
    error_inventory_of,
    outside_of,
)
from backstop.core.instruments import VenueRules
from tests.oracle.arithmetic import sign
from tests.oracle.records import Effect, Event
from tests.oracle.state import margin_atoms

__all__ = ["Holding", "Mirror", "MirrorOrder"]

#: What the fund pays and counts against its cap.
FUND_PAYMENTS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)


@dataclass(slots=True)
class Holding:
    """Lots and cost of a holder in a market."""

    lots: int = 0
    cost: int = 0


@dataclass(slots=True)
class MirrorOrder:
    """A closing order as its ORDER effect told it."""

    account: int
    market: int
    lots: int
    limit_ticks: int
    zero_cash: int
    filled: int = 0
    is_open: bool = True
    #: Whether the venue once filled it beyond its limit.
    is_abused: bool = False

    def allows(self, price_ticks: int) -> bool:
        """Say whether a price is within the limit."""
        return price_ticks >= self.limit_ticks if self.lots < 0 else price_ticks <= self.limit_ticks

    @property
    def remaining(self) -> int:
        """Lots not yet filled, unsigned."""
        return abs(self.lots) - self.filled


@dataclass(slots=True)
class Mirror:
    """Books kept from events and effects alone."""

    rules: VenueRules
    now: int = 0
    marks: list[int] = field(default_factory=list)
    ledger: dict[int, int] = field(default_factory=dict)
    held: dict[tuple[int, int], Holding] = field(default_factory=dict)
    owners: list[int] = field(default_factory=list)
    health: list[int] = field(default_factory=list)
    default_since: list[int] = field(default_factory=list)
    orders: dict[int, MirrorOrder] = field(default_factory=dict)
    reserved: Counter[int] = field(default_factory=Counter)
    #: Atoms that the fund paid, and notional that was ordered, by number of the interval (and by whom).
    paid: Counter[int] = field(default_factory=Counter)
    ordered: Counter[tuple[int, str, int]] = field(default_factory=Counter)
    halted: set[int] = field(default_factory=set)
    restricted: set[int] = field(default_factory=set)
    #: An event that brought too many effects lets the accounts that are left wait until here.
    crowded_until: int = 0

    def __post_init__(self) -> None:
        """Open the house."""
        self.marks = [0] * len(self.rules.markets)
        self.ledger = dict.fromkeys((WORLD, FUND, REMAINDER, UNCOVERED), 0)
        for market in range(len(self.rules.markets)):
            self.ledger |= {clearing_of(market): 0, outside_of(market): 0, error_inventory_of(market): 0}

    # -- looking ---------------------------------------------------------------------------------

    @property
    def interval(self) -> int:
        """Number of the tumbling interval of the caps."""
        return self.now // self.rules.closeout.cap_interval_ns

    def unit(self, market: int) -> int:
        """Atoms of one lot at the mark."""
        return self.marks[market] * self.rules.markets[market].notional_factor

    def holding(self, holder: int, market: int) -> Holding:
        """Return the holder's row, made empty where there was none."""
        return self.held.setdefault((holder, market), Holding())

    def lots(self, holder: int, market: int) -> int:
        """Signed lots."""
        return self.held[holder, market].lots if (holder, market) in self.held else 0

    def markets_of(self, account: int) -> list[int]:
        """Markets in which the account has lots."""
        return [market for market in range(len(self.marks)) if self.lots(account, market)]

    def notional(self, account: int, market: int) -> int:
        """Absolute value at the mark."""
        return abs(self.lots(account, market)) * self.unit(market)

    def equity(self, account: int) -> int:
        """Balance and what all positions are worth beyond their cost."""
        rows = [(market, self.held[account, market]) for market in range(len(self.marks)) if (account, market) in self.held]
        return self.ledger[account] + sum(row.lots * self.unit(market) - row.cost for market, row in rows)

    def margin(self, market: int, notional: int) -> int:
        """Maintenance margin of a notional."""
        return margin_atoms(self.rules.markets[market], notional)

    def maintenance(self, account: int) -> int:
        """Maintenance margin of all positions."""
        return sum(self.margin(market, self.notional(account, market)) for market in self.markets_of(account))

    def mark_value(self, account: int, market: int, lots: int) -> int:
        """Cash of closing so many lots (> 0) at the mark."""
        return sign(self.lots(account, market)) * lots * self.unit(market)

    def zero_cash(self, account: int, market: int, lots: int) -> int:
        """Cash of closing so many lots (> 0) that leaves equity over maintenance unchanged, rounded up."""
        equity, maintenance = self.equity(account), self.maintenance(account)
        value, notional = lots * self.unit(market), self.notional(account, market)
        if maintenance:
            released = self.margin(market, notional) - self.margin(market, notional - value)
            return self.mark_value(account, market, lots) - equity * released // maintenance
        whole = sum(self.notional(account, other) for other in self.markets_of(account))
        return self.mark_value(account, market, lots) - equity * value // whole

    def holders(self, market: int, side: int) -> Iterator[int]:
        """Holders of lots of a sign, accounts by id, then OUTSIDE and error_inventory."""
        for holder in [*range(len(self.owners)), outside_of(market), error_inventory_of(market)]:
            if sign(self.lots(holder, market)) == side:
                yield holder

    def open_orders(self, account: int) -> list[MirrorOrder]:
        """Open orders of an account."""
        return [order for order in self.orders.values() if order.is_open and order.account == account]

    def deadline(self, account: int) -> int:
        """Time after which an account in default waits no longer for the book."""
        return self.default_since[account] + self.rules.closeout.deadline_ns

    @property
    def reserved_now(self) -> int:
        """Atoms that the fund holds back for orders."""
        return sum(self.reserved.values())

    def available(self) -> int:
        """Atoms that the fund may still pay or promise, 0 where the venue has none."""
        if Stage.FUND not in self.rules.stages:
            return 0
        by_cap = self.rules.fund.loss_per_interval_max - self.paid[self.interval] - self.reserved_now
        return max(0, min(self.ledger[FUND] - self.reserved_now, by_cap))

    # -- keeping the books -----------------------------------------------------------------------

    def take_event(self, event: Event) -> None:
        """Note what an accepted event itself says, before its effects."""
        self.now = event.time_ns
        if event.kind == EventKind.MARK:
            self.marks[event.market] = event.price_ticks
        elif event.kind == EventKind.ACCOUNT:
            self.ledger[event.account] = 0
            self.owners.append(event.other)
            self.health.append(Health.HEALTHY)
            self.default_since.append(NEVER_NS)
        elif event.kind in (EventKind.ORDER_FILL, EventKind.ORDER_DONE):
            self._take_answer(event)

    def _take_answer(self, event: Event) -> None:
        order = self.orders[event.other]
        if not order.is_open or len(self.orders) - event.other >= self.rules.limits.orders_max:
            return
        if event.kind == EventKind.ORDER_DONE:
            order.is_open = False
        else:
            order.filled += min(abs(event.lots), order.remaining)
            order.is_abused |= not order.allows(event.price_ticks)

    def take_effect(self, effect: Effect) -> None:
        """Book one effect."""
        kind = effect.kind
        if kind == EffectKind.POSTING:
            self._take_posting(effect)
        elif kind == EffectKind.TRADE:
            self._take_trade(effect)
        elif kind == EffectKind.HEALTH:
            self._take_health(effect)
        elif kind == EffectKind.ORDER:
            self._take_order(effect)
        elif kind == EffectKind.CANCEL:
            self.orders[effect.other].is_open = False
        elif kind == EffectKind.RESERVE:
            self.reserved[effect.other] += effect.amount
        elif kind == EffectKind.HALT:
            self.halted.add(effect.market)
        elif kind == EffectKind.RESTRICT:
            self.restricted.add(effect.account)

    def _take_posting(self, effect: Effect) -> None:
        self.ledger[effect.account] += effect.amount
        self.ledger[effect.other] -= effect.amount
        if effect.other == FUND and effect.code in FUND_PAYMENTS:
            self.paid[self.interval] += effect.amount
        if effect.code == Cause.OPENING:
            self.holding(outside_of(effect.market), effect.market).cost = 0

    def _take_trade(self, effect: Effect) -> None:
        row = self.holding(effect.account, effect.market)
        row.lots += effect.lots
        row.cost += effect.value - effect.amount
        if effect.code == Cause.OPENING:
            outside = self.holding(outside_of(effect.market), effect.market)
            outside.lots -= effect.lots
            outside.cost += effect.amount

    def _take_health(self, effect: Effect) -> None:
        account = effect.account
        self.health[account] = effect.code
        if effect.other < Health.DISTRESSED <= effect.code:
            self.default_since[account] = self.now
        if effect.code < Health.DISTRESSED <= effect.other:
            self.default_since[account] = NEVER_NS
            self.restricted.discard(account)

    def _take_order(self, effect: Effect) -> None:
        assert effect.other == len(self.orders) + 1
        self.orders[effect.other] = MirrorOrder(effect.account, effect.market, effect.lots, effect.price_ticks, effect.amount)
        notional = abs(effect.lots) * self.unit(effect.market)
        for whose in (("account", effect.account), ("market", effect.market), ("venue", NONE)):
            self.ordered[self.interval, *whose] += notional
