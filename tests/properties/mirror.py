"""The venue as its events and effects tell it, effect by effect, without a look into the engine's
memory.

A second set of books: what it holds after an event must be what the engine holds, so no unit and no
lot moves without an effect. Between two effects it is the state at that moment, which the checks
need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from backstop.core.events import (
    FEES,
    NEVER_NS,
    NONE,
    REMAINDER,
    WORLD,
    BreakerState,
    Cause,
    EffectKind,
    EventKind,
    Guard,
    Health,
    Operator,
    ProviderStatus,
    Stage,
    Transfer,
    clearing_of,
    error_inventory_of,
    fund_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import NO_CAP, PPM, VenueRules
from backstop.reference.arithmetic import sign
from backstop.reference.deficit import Part, markets_of_loss, parts_of
from backstop.reference.funds import FundView, paid_in_window, pay_slot, supports_closing
from backstop.reference.machine import severest
from backstop.reference.margin import Contract, Holding, Portfolio
from backstop.reference.offering import Backer, Offering
from backstop.reference.records import Effect, Event
from backstop.reference.state import CLOSING_ORDER, DISPOSAL_ORDER, TAKEOVER_OFFER

__all__ = ["Mirror", "MirrorOrder", "Payment", "Provider", "Row", "cancelled_first"]

F = EffectKind
#: What a fund pays and counts against its caps.
FUND_PAYMENTS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)


@dataclass(slots=True)
class Row:
    """Lots and cost of a holder in a market, and what its result is measured from."""

    lots: int = 0
    cost: int = 0
    base: int = 0
    #: Of an insolvent account.
    settled: int = 0
    most_lots: int = 0


@dataclass(slots=True)
class MirrorOrder:
    """A closing order, an offer or an order of disposal as its effect told it."""

    account: int
    market: int
    lots: int
    limit_ticks: int
    zero_cash: int
    kind: int = CLOSING_ORDER
    filled: int = 0
    is_open: bool = True
    #: Whether the venue once filled it beyond its limit.
    is_abused: bool = False
    #: Of an offer: whom it was made to, and what it takes up there.
    provider: int = NONE
    notional: int = 0
    pending_initial: int = 0
    sent_ns: int = 0

    def allows(self, price_ticks: int) -> bool:
        """Say whether a price is within the limit."""
        return price_ticks >= self.limit_ticks if self.lots < 0 else price_ticks <= self.limit_ticks

    @property
    def remaining(self) -> int:
        """Lots not yet filled, unsigned."""
        return abs(self.lots) - self.filled


class Payment(NamedTuple):
    """What a fund paid for an owner, and when; NONE: late, for nobody in particular."""

    time_ns: int
    group: int
    owner: int
    amount: int
    #: NONE: for no market in particular.
    market: int = NONE


class Use(NamedTuple):
    """What a provider took over, or was offered and still may."""

    time_ns: int
    provider: int
    group: int
    direction: int
    notional: int
    #: Of the offer; 0 where the vault took over at once.
    order: int


@dataclass(slots=True)
class Provider:
    """A provider as PROVIDER and TAKEOVER effects tell it; the baseline from events."""

    account: int = NONE
    status: int = ProviderStatus.UNBOUND
    until: int = NEVER_NS
    baseline: int = 0
    failures: int = 0
    score_ppm: int = 0


def cancelled_first(event: Event, effects: Sequence[Effect]) -> bool:
    """Say whether timers closed the order of an ORDER_FILL before it came: its CANCEL stands before
    any trade.
    """
    for effect in effects:
        if effect.kind == F.TRADE:
            return False
        if effect.kind == F.CANCEL and effect.other == event.other:
            return True
    return False


#: Causes of trades, and of what is posted beside them, that close lots of accounts which may then
#: be in default.
TRADED = (Cause.FILL, Cause.TEAR_UP, Cause.UNCOVERED)


@dataclass(slots=True)
class Mirror:
    """Books kept from events and effects alone."""

    rules: VenueRules
    now: int = 0
    marks: list[int] = field(default_factory=list)
    ledger: dict[int, int] = field(default_factory=dict)
    held: dict[tuple[int, int], Row] = field(default_factory=dict)
    owners: list[int] = field(default_factory=list)
    health: list[int] = field(default_factory=list)
    default_since: list[int] = field(default_factory=list)
    #: Recovery claims, by account and group.
    claims: Counter[tuple[int, int]] = field(default_factory=Counter)
    #: Market of the last charge, by account, or NONE.
    charged: list[int] = field(default_factory=list)
    orders: dict[int, MirrorOrder] = field(default_factory=dict)
    reserved: Counter[int] = field(default_factory=Counter)
    #: Of each order for which money was reserved: the market, and the owner.
    reserved_where: dict[int, tuple[int, int]] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)
    #: By (account, group): what a fund paid and did not get back, but for what was set off.
    debts: Counter[tuple[int, int]] = field(default_factory=Counter)
    #: By owner: claims that were lowered for a payment that is still to come.
    set_off: Counter[int] = field(default_factory=Counter)
    #: What funds paid late.
    arrears: list[Payment] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    #: Notional that was ordered, by number of the interval and by whom.
    ordered: Counter[tuple[int, str, int]] = field(default_factory=Counter)
    restricted: set[int] = field(default_factory=set)
    #: Positions, as (account, market), that a default has closed lots of.
    closed: set[tuple[int, int]] = field(default_factory=set)
    #: Those that the trades at hand reduced, until their accounts are judged: a default that this
    #: begins closed them.
    reduced: set[tuple[int, int]] = field(default_factory=set)
    #: One a market, then the venue's: state and the time at which it ends at the latest.
    breakers: list[tuple[int, int]] = field(default_factory=list)
    backers: list[Provider] = field(default_factory=list)
    #: Marks that the price guard holds, by market, and until when.
    guards: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Haircuts of the present epoch, by market.
    cuts: Counter[int] = field(default_factory=Counter)
    #: Lots that the event at hand fills of an open order.
    open_take: int = 0
    #: Market whose mark the event at hand set, or NONE.
    told: int = NONE
    #: The last posting paid a claim back: the change of the claim that follows is no setting off.
    recovers: bool = False
    #: Accounts that paid for a linked one in the event at hand.
    netted: set[int] = field(default_factory=set)
    #: An event that brought too many effects lets the accounts that are left wait until here.
    crowded_until: int = 0

    def __post_init__(self) -> None:
        """Open the house."""
        markets = range(len(self.rules.markets))
        self.marks = [0] * len(markets)
        self.ledger = dict.fromkeys((WORLD, REMAINDER, FEES, *map(uncovered_of, self.groups), *map(fund_of, self.groups)), 0)
        for market in markets:
            self.ledger |= {clearing_of(market): 0, outside_of(market): 0, error_inventory_of(market): 0}
        self.breakers = [(BreakerState.OPEN, NEVER_NS)] * (len(markets) + 1)
        self.backers = [Provider() for _ in self.rules.providers]

    # -- looking ---------------------------------------------------------------------------------

    @property
    def groups(self) -> range:
        """Market groups."""
        return range(len(self.rules.funds))

    def group(self, market: int) -> int:
        """Group of a market."""
        return self.rules.markets[market].group

    def group_of_fund(self, ledger_id: int) -> int | None:
        """Group whose fund this ledger account is."""
        return next((group for group in self.groups if fund_of(group) == ledger_id), None)

    @property
    def interval(self) -> int:
        """Number of the tumbling interval of the caps."""
        return self.now // self.rules.closeout.cap_interval_ns

    def contract(self, market: int) -> Contract:
        """The market's contract at its mark."""
        return Contract(self.rules.markets[market], self.marks[market])

    def unit(self, market: int) -> int:
        """Atoms of one lot at the mark."""
        return self.contract(market).value_of(1)

    def row(self, holder: int, market: int) -> Row:
        """Return the holder's row, made empty where there was none."""
        return self.held.setdefault((holder, market), Row())

    def lots(self, holder: int, market: int) -> int:
        """Signed lots."""
        return self.held[holder, market].lots if (holder, market) in self.held else 0

    def markets_of(self, account: int) -> list[int]:
        """Markets in which the account has lots."""
        return [market for market in range(len(self.marks)) if self.lots(account, market)]

    def holding(self, holder: int, market: int) -> Holding:
        """What a holder has in a market."""
        row = self.held.get((holder, market), Row())
        bears = (row.settled, row.most_lots) if self.is_insolvent(holder) else ()
        return Holding(market, self.contract(market), row.lots, row.cost, row.base, *bears)

    def is_insolvent(self, holder: int) -> bool:
        """Say whether the holder is an account that was insolvent when it was last judged."""
        return holder >= 0 and self.health[holder] == Health.INSOLVENT

    def portfolio(self, account: int) -> Portfolio:
        """Balance and holdings of an account."""
        holdings = (self.holding(account, market) for market in range(len(self.marks)))
        return Portfolio(self.ledger[account], tuple(holdings), self.rules.levels)

    def equity(self, account: int) -> int:
        """Balance and what all positions are worth beyond their cost."""
        return self.portfolio(account).equity

    def maintenance(self, account: int) -> int:
        """Maintenance margin of all positions."""
        return self.portfolio(account).maintenance

    def holders(self, market: int, side: int) -> Iterator[int]:
        """Holders of lots of a sign, accounts by id, then OUTSIDE and error_inventory."""
        for holder in [*range(len(self.owners)), outside_of(market), error_inventory_of(market)]:
            if sign(self.lots(holder, market)) == side:
                yield holder

    def open_orders(self, account: int) -> list[MirrorOrder]:
        """Open orders and offers of an account."""
        return [order for order in self.orders.values() if order.is_open and order.account == account]

    def deadline(self, account: int) -> int:
        """Time after which an account in default waits no longer for the book."""
        return self.default_since[account] + self.rules.closeout.deadline_ns

    def effective(self, market: int) -> int:
        """Return the severer of the market's breaker state and the venue's."""
        return severest(self.breakers[market][0], self.breakers[-1][0])

    @property
    def vault(self) -> int:
        """Account of the venue vault, or NONE."""
        pairs = zip(self.backers, self.rules.providers, strict=True)
        return next((backer.account for backer, rules in pairs if rules.is_vault), NONE)

    # -- funds -----------------------------------------------------------------------------------

    def reserved_of(self, group: int) -> int:
        """Atoms that a fund holds back for orders and offers."""
        return sum(atoms for number, atoms in self.reserved.items() if self.group(self.reserved_where[number][0]) == group)

    def reserved_in(self, market: int) -> int:
        """Atoms that its fund holds back for a market."""
        return sum(atoms for number, atoms in self.reserved.items() if self.reserved_where[number][0] == market)

    def reserved_for(self, owner: int) -> int:
        """Atoms that all funds hold back for an owner."""
        return sum(atoms for number, atoms in self.reserved.items() if self.reserved_where[number][1] == owner)

    @property
    def reserved_now(self) -> int:
        """Atoms that all funds hold back."""
        return sum(self.reserved.values())

    def paid_by_slots(self, payments: Iterable[Payment]) -> int:
        """What was paid in the latest slots, as the rules count."""
        by_slot, window_ns = Counter[int](), self.rules.fund.window_ns
        for each in payments:
            by_slot[pay_slot(each.time_ns, window_ns)] += each.amount
        return paid_in_window(by_slot, self.now, window_ns)

    def uncovered(self, group: int) -> int:
        """Atoms that nobody has paid of a group's losses."""
        return -self.ledger[uncovered_of(group)]

    def claims_on(self, group: int) -> int:
        """Recovery claims on a group."""
        return sum(claim for (_, where), claim in self.claims.items() if where == group)

    def paid_to(self, owner: int) -> int:
        """What the funds paid for an owner since they last did not for longer than a window."""
        total, last = 0, 0
        for each in self.payments:
            if each.owner == owner:
                total = each.amount + (total if each.time_ns - last <= self.rules.fund.window_ns else 0)
                last = each.time_ns
        return total if self.now - last <= self.rules.fund.window_ns else 0

    def accounts_of(self, owner: int) -> list[int]:
        """Return the accounts of an owner."""
        return [number for number, who in enumerate(self.owners) if who == owner]

    def debts_of(self, account: int) -> dict[int, int]:
        """Return what an account owes the funds, by group; nothing once it is forgotten."""
        times = [each.time_ns for each in self.payments if each.owner == self.owners[account]]
        if not times or self.now - times[-1] > self.rules.fund.owner_memory_ns:
            return {}
        return {group: self.debts[account, group] for group in self.groups}

    def fund(self, group: int, account: int, market: int) -> FundView:
        """A fund as an account sees it, for a market or for none."""
        owner, has_market = self.owners[account], market != NONE
        late = [each for each in self.arrears if each.group == group]
        all_of_group = [*late, *(each for each in self.payments if each.group == group)]
        return FundView(
            balance=self.ledger[fund_of(group)],
            reserved=self.reserved_of(group),
            paid=self.paid_by_slots(all_of_group),
            loss_max=self.rules.funds[group].loss_per_window_max,
            owner_paid=self.paid_to(owner),
            owner_reserved=self.reserved_for(owner),
            owner_loss_max=self.rules.fund.owner_loss_max,
            market_paid=self.paid_by_slots(each for each in self.payments if has_market and each.market == market),
            market_reserved=self.reserved_in(market),
            market_loss_max=self.rules.markets[market].loss_per_window_max if has_market else NO_CAP,
            arrears=self.paid_by_slots(late) if has_market else 0,
            arrears_of_all=self.paid_by_slots(self.arrears),
            supports=supports_closing(self.rules.stages),
        )

    def available(self, group: int, account: int, market: int) -> int:
        """Atoms that a fund may still pay or promise for an account, 0 where the venue has none."""
        return self.fund(group, account, market).available if Stage.FUND in self.rules.stages else 0

    def closed_markets(self, account: int) -> list[int]:
        """Markets in which the present default of an account has closed lots."""
        return sorted(market for number, market in self.closed if number == account)

    def results(self, account: int) -> dict[int, int]:
        """Result of each of the account's positions, by market."""
        return {market: self.holding(account, market).result for holder, market in self.held if holder == account}

    def parts(self, account: int, deficit: int) -> list[Part]:
        """Parts of a deficit of an account without lots, by group and market."""
        return parts_of(deficit, self.results(account), self.closed_markets(account), self.charged[account], self.group)

    def loss_markets(self, account: int, group: int) -> list[int]:
        """Markets of the account's loss in a group."""
        return markets_of_loss(self.results(account), self.closed_markets(account), self.group, group)

    # -- keeping the books -----------------------------------------------------------------------

    def take_event(self, event: Event, effects: Sequence[Effect]) -> None:
        """Note what an accepted event itself says, before its effects; they only say whether a mark
        was held.
        """
        self._start_epoch(event.time_ns)
        self.now = event.time_ns
        self.netted.clear()
        self.reduced.clear()
        self.told = NONE
        self.open_take = 0
        if event.kind == EventKind.MARK:
            if not any((row.kind, row.code, row.market) == (F.GUARD, Guard.HELD, event.market) for row in effects):
                self.marks[event.market], self.told = event.price_ticks, event.market
        elif event.kind == EventKind.ACCOUNT:
            self.ledger[event.account] = 0
            self.owners.append(event.other)
            self.health.append(Health.HEALTHY)
            self.default_since.append(NEVER_NS)
            self.charged.append(NONE)
        elif event.kind == EventKind.ORDER_FILL and not cancelled_first(event, effects):
            self._take_fill(event)
        elif event.kind == EventKind.ORDER_DONE and self.remembers(event.other):
            self.orders[event.other].is_open = False
        else:
            self._take_standing(event)

    def _start_epoch(self, time_ns: int) -> None:
        """Measure results from the marks that stand when a new epoch begins."""
        if time_ns // self.rules.epoch_ns != self.now // self.rules.epoch_ns:
            for (_, market), row in self.held.items():
                row.base = self.contract(market).value_of(row.lots)
            self.cuts.clear()

    def remembers(self, order: int) -> bool:
        """Say whether the engine still knows an order."""
        return len(self.orders) - order < self.rules.limits.orders_max

    def _take_fill(self, event: Event) -> None:
        order = self.orders[event.other]
        if order.is_open and self.remembers(event.other):
            self.open_take = min(abs(event.lots), order.remaining)
            order.filled += self.open_take
            order.is_abused |= not order.allows(event.price_ticks)

    def _take_standing(self, event: Event) -> None:
        """What binds a provider, and what moves its baseline; the market of a charge."""
        if (event.kind, event.code) == (EventKind.TRANSFER, Transfer.FUNDING) and event.amount < 0:
            self.charged[event.account] = event.market
        if event.kind == EventKind.PROVIDER:
            self.backers[event.other].baseline = self.equity(event.account)
        elif event.kind == EventKind.OPERATOR and event.code == Operator.PROVIDER_ON:
            backer = self.backers[event.other]
            backer.baseline = self.equity(backer.account)
        elif event.kind == EventKind.TRANSFER and event.code == Transfer.CASH:
            for backer in self.backers:
                if backer.account == event.account != NONE:
                    backer.baseline += event.amount

    def take_effect(self, effect: Effect) -> None:
        """Book one effect."""
        kind = effect.kind
        if kind not in (F.TRADE, F.CANCEL, F.RESERVE, F.RESIDUAL, F.HEALTH) and not (kind == F.POSTING and effect.code in TRADED):
            self.reduced.clear()
        if kind == F.POSTING:
            self._take_posting(effect)
        elif kind == F.TRADE:
            self._take_trade(effect)
        elif kind == F.HEALTH:
            self._take_health(effect)
        elif kind in (F.ORDER, F.OFFER):
            self._take_order(effect)
        elif kind == F.CANCEL:
            self._take_cancel(effect)
        elif kind == F.RESERVE:
            self.reserved[effect.other] += effect.amount
            self.reserved_where[effect.other] = (effect.market, self.owners[effect.account])
        elif kind == F.BREAKER:
            self.breakers[effect.market] = (effect.code, effect.amount)
        elif kind == F.RESTRICT:
            self.restricted.add(effect.account)
        elif kind in (F.ADL_PLAN, F.TEAR_UP, F.TAKEOVER):
            self.closed.add((effect.account, effect.market))
            if kind == F.TAKEOVER:
                self._take_takeover(effect)
        elif kind == F.HAIRCUT:
            self.row(effect.account, effect.market).cost += effect.amount
            self.row(effect.account, effect.market).base += effect.amount
            self.cuts[effect.market] += effect.amount
        elif kind == F.CLAIM:
            self.claims[effect.account, effect.other] += effect.amount
            if effect.amount < 0 and not self.recovers:
                self.set_off[self.owners[effect.account]] -= effect.amount
        elif kind == F.PROVIDER:
            backer = self.backers[effect.other]
            backer.account, backer.status, backer.until = effect.account, effect.code, effect.value
            backer.failures, backer.score_ppm = effect.lots, effect.amount
        elif kind == F.GUARD:
            self._take_guard(effect)

    def _take_guard(self, effect: Effect) -> None:
        self.guards.pop(effect.market, None)
        if effect.code == Guard.HELD:
            self.guards[effect.market] = (effect.price_ticks, effect.amount)
        elif effect.code == Guard.RELEASED and effect.market != self.told:
            self.marks[effect.market] = effect.price_ticks

    def _take_posting(self, effect: Effect) -> None:
        self.ledger[effect.account] += effect.amount
        self.ledger[effect.other] -= effect.amount
        self.recovers = effect.code == Cause.RECOVERY
        group = self.group_of_fund(effect.other)
        if group is not None and effect.code in FUND_PAYMENTS:
            self._take_payment(effect, group)
        elif effect.code == Cause.DEBT_RETURN:
            self.debts[effect.other, self.group_of_fund(effect.account) or 0] -= effect.amount
        elif group is not None and effect.code == Cause.ARREARS:
            self.arrears.append(Payment(self.now, group, NONE, effect.amount))
        if effect.code == Cause.OPENING:
            self.row(outside_of(effect.market), effect.market).cost = 0
        if effect.code == Cause.NETTING:
            self.netted.add(effect.other)

    def _take_payment(self, effect: Effect, group: int) -> None:
        owner = self.owners[effect.account]
        for number in self.accounts_of(owner):
            if not self.debts_of(number):
                for each in self.groups:
                    self.debts[number, each] = 0
        self.payments.append(Payment(self.now, group, owner, effect.amount, effect.market))
        self.debts[effect.account, group] += effect.amount - self.set_off.pop(owner, 0)

    def _take_trade(self, effect: Effect) -> None:
        row = self.row(effect.account, effect.market)
        at_zero = self._at_zero(effect)
        after, _ = self.holding(effect.account, effect.market).after_closing(effect.lots, effect.amount, at_zero)
        row.settled, row.most_lots = after.settled, after.most_lots
        row.lots += effect.lots
        row.cost += effect.value - effect.amount
        if effect.code != Cause.OPENING:
            row.base -= effect.amount
        if effect.code == Cause.CLOSEOUT and effect.account >= 0:
            self.closed.add((effect.account, effect.market))
        if effect.code in TRADED and effect.account >= 0 and effect.lots * (row.lots - effect.lots) < 0:
            self.reduced.add((effect.account, effect.market))
            if self.health[effect.account] >= Health.DISTRESSED:
                self.closed.add((effect.account, effect.market))
        if effect.code == Cause.OPENING:
            outside = self.row(outside_of(effect.market), effect.market)
            outside.lots -= effect.lots
            outside.cost += effect.amount
            value = self.contract(effect.market).value_of(effect.lots)
            row.base += value
            outside.base -= value

    def _at_zero(self, effect: Effect) -> int:
        """Lots of a trade by which an insolvent account is closed at zero cash."""
        if not self.is_insolvent(effect.account):
            return 0
        if effect.code == Cause.CLOSEOUT:
            return self.open_take
        is_defaulter = effect.other == NONE if effect.code in (Cause.ADL, Cause.TEAR_UP) else effect.code == Cause.TAKEOVER
        return abs(effect.lots) if is_defaulter else 0

    def _take_health(self, effect: Effect) -> None:
        account = effect.account
        self.health[account] = effect.code
        if effect.code == Health.INSOLVENT:
            for (holder, _), row in self.held.items():
                if holder == account:
                    row.settled, row.most_lots = 0, abs(row.lots)
        if (effect.other < Health.DISTRESSED) == (effect.code < Health.DISTRESSED):
            return
        self.closed = {(number, market) for number, market in self.closed if number != account}
        if effect.code >= Health.DISTRESSED:
            self.closed |= {(number, market) for number, market in self.reduced if number == account}
        self.default_since[account] = self.now if effect.code >= Health.DISTRESSED else NEVER_NS
        if effect.code < Health.DISTRESSED:
            self.restricted.discard(account)

    def _take_order(self, effect: Effect) -> None:
        assert effect.other == len(self.orders) + 1
        notional = abs(effect.lots) * self.unit(effect.market)
        order = MirrorOrder(effect.account, effect.market, effect.lots, effect.price_ticks, effect.amount, sent_ns=self.now)
        self.orders[effect.other] = order
        if effect.kind == F.OFFER:
            backer = self.backer(effect.price_ticks, order.market, -sign(effect.lots))  # before it is one of the provider's own
            order.kind, order.limit_ticks, order.provider, order.notional = TAKEOVER_OFFER, 0, effect.price_ticks, notional
            order.pending_initial = max(0, backer.initial_rise(abs(effect.lots)))
            self._use(order.provider, order.market, effect.lots, effect.other)
            return
        if effect.account == self.vault and self.health[effect.account] < Health.DISTRESSED:
            order.kind = DISPOSAL_ORDER
        for whose in (("account", effect.account), ("market", effect.market), ("venue", NONE)):
            self.ordered[self.interval, *whose] += notional

    def backer(self, number: int, market: int, side: int, used: int = 0) -> Backer:
        """A provider as the taker of a position of a side (1: of longs), with what is used of its
        commitment.
        """
        rules, account = self.rules.providers[number], self.backers[number].account
        offers = [order for order in self.orders.values() if order.is_open and order.provider == number]
        promised = sum(order.lots for order in offers if order.market == market and order.lots * side < 0)
        rows = sum(holder >= 0 for holder, _ in self.held)
        return Backer(
            number=number,
            rules=rules,
            commitment=rules.commitments[self.group(market)][0 if side > 0 else 1],
            score_ppm=self.backers[number].score_ppm,
            portfolio=self.portfolio(account),
            contract=self.contract(market),
            side=side,
            promised=self.lots(account, market) - promised,
            used=used,
            pending_initial=sum(order.pending_initial for order in offers),
            pending_notional=sum(order.notional for order in offers),
            has_row=(account, market) in self.held or rows < self.rules.limits.positions_max,
        )

    def offering(self, account: int, market: int, backers: Iterable[Backer]) -> Offering:
        """A position and the providers who are asked to take it over."""
        portfolio, share_ppm = self.portfolio(account), self.rules.takeover.provider_share_ppm
        fund = self.fund(self.group(market), account, market)
        return Offering(portfolio, portfolio.holding(market), fund, share_ppm, tuple(backers), portfolio.standing)

    def _use(self, provider: int, market: int, lots: int, order: int) -> None:
        direction, notional = (0 if lots < 0 else 1), abs(lots) * self.unit(market)
        self.uses.append(Use(self.now, provider, self.group(market), direction, notional, order))

    def _take_cancel(self, effect: Effect) -> None:
        order = self.orders[effect.other]
        order.is_open = False
        if order.kind == TAKEOVER_OFFER:
            self.uses = [use for use in self.uses if use.order != effect.other]

    def _take_takeover(self, effect: Effect) -> None:
        if effect.other:
            self.orders[effect.other].is_open = False
            backer = self.backers[effect.price_ticks]
            backer.failures, backer.score_ppm = 0, backer.score_ppm + (PPM - backer.score_ppm) // 8
        else:
            self._use(effect.price_ticks, effect.market, effect.lots, 0)
