"""The venue as its events and effects tell it, effect by effect, without a look into the engine's
memory.

A second set of books: what it holds after an event must be what the engine holds, so no unit and no
lot moves without an effect. It fills a state of the reference from effects alone, so the reference
answers what follows from it at any moment between two effects: margin, caps, prices, payers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from backstop.core.events import (
    NEVER_NS,
    NONE,
    BreakerState,
    Cause,
    Change,
    Doubt,
    EffectKind,
    EventKind,
    Guard,
    Health,
    Operator,
    Settlement,
    Transfer,
    funding_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import VenueRules
from backstop.core.parameter_table import changed, replaced
from backstop.reference.arithmetic import sign
from backstop.reference.breakers import effective_state
from backstop.reference.deficit import Part
from backstop.reference.fund import deficit_parts
from backstop.reference.leaving import add_own, let_go, note_gains, own_after, plan_of
from backstop.reference.listing import delist
from backstop.reference.loss import closes_at_once
from backstop.reference.machine import ALL_SETTLED, SETTLES_INSOLVENT, Breaker
from backstop.reference.offering import Backer, Offering, score_after_takeover
from backstop.reference.records import Effect, Event
from backstop.reference.refusals import after_withdrawal
from backstop.reference.socialise import note_cut
from backstop.reference.state import DISPOSAL_ORDER, FUND_PAYS, FUND_PAYS_LATE, TAKEOVER_OFFER, Account, Order, State, WaitingChange
from backstop.reference.takeover import backer_of, offering_of
from tests.properties.holds import Hold
from tests.streams.highest_caps import highest_caps

__all__ = ["Mirror", "Payment", "allows", "cancelled_first"]

F = EffectKind


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


def allows(order: Order, price_ticks: int) -> bool:
    """Say whether a price is within an order's limit."""
    return price_ticks >= order.limit_ticks if order.lots < 0 else price_ticks <= order.limit_ticks


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
TRADED = (Cause.FILL, Cause.TEAR_UP, Cause.UNCOVERED, Cause.SETTLEMENT)


@dataclass(slots=True)
class Mirror(State):
    """A state of the reference, kept from events and effects alone."""

    #: What is reserved, by order: RESERVE comes before the order itself.
    reserved: Counter[int] = field(default_factory=Counter)
    payments: list[Payment] = field(default_factory=list)
    #: By owner: claims that were lowered for a payment that is still to come.
    set_off: Counter[int] = field(default_factory=Counter)
    #: What funds paid late.
    late: list[Payment] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    #: Orders that the venue once filled beyond their limit.
    abused: set[int] = field(default_factory=set)
    #: Haircuts of the present epoch, by market.
    cuts: Counter[int] = field(default_factory=Counter)
    #: How often positions settled funding, by market: each time less than an atom may be left.
    settlings: Counter[int] = field(default_factory=Counter)
    #: Lots that the event at hand fills of an open order.
    open_take: int = 0
    #: By account in a tear-up: its last gap, and what the fund adds to it.
    gaps_torn: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Marks before the event at hand.
    marks_before: list[int] = field(default_factory=list)
    #: Depth before the event at hand, by market, side and band.
    depth_before: tuple[tuple[tuple[int, ...], ...], ...] = ()
    #: The last offer of a joint offer that the event takes over as a whole, or 0.
    accepted_with: int = 0
    #: Holds of the price guard, by market.
    holds: dict[int, Hold] = field(default_factory=dict)
    #: When the last hold of a market ended, and the newest print at its end where that was a held one.
    ended_at: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Market whose mark the event at hand set, or NONE.
    told: int = NONE
    #: The last posting paid a claim back: the change of the claim that follows is no setting off.
    recovers: bool = False
    #: What the withdrawal at hand has still to lend for gains, by group; hole and noted gains before it.
    lent_due: list[tuple[int, int]] = field(default_factory=list)
    rates_before: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: Holes by group, and shares of them by group and owner, after the last event.
    holes: dict[int, int] = field(default_factory=dict)
    shares: dict[tuple[int, int], int] = field(default_factory=dict)
    #: Accounts that paid for a linked one in the event at hand.
    netted: set[int] = field(default_factory=set)
    #: An event that brought too many effects lets the accounts that are left wait until here.
    crowded_until: int = 0
    #: The rules with the highest caps so far, once a rule has changed.
    raised_caps: VenueRules | None = None
    #: By account in default: since when, until when it then waited, and how much later than asked for
    #: the events of its waits came in all.
    waits: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    # -- looking -----------------------------------------------------------------------------------

    @property
    def groups(self) -> range:
        """Market groups."""
        return range(len(self.rules.funds))

    @property
    def marks(self) -> list[int]:
        """Mark of each market, in ticks."""
        return [market.mark for market in self.markets]

    @property
    def health(self) -> list[int]:
        """Health of each account, as it was told."""
        return [account.health for account in self.accounts]

    @property
    def caps(self) -> VenueRules:
        """The rules, each cap on payments and commitments as high as it has ever been."""
        return self.raised_caps or self.rules

    def owner_of(self, account: int) -> int:
        """Id of the account's owner."""
        return self.accounts[account].owner

    def linked(self, account: int) -> list[int]:
        """The other accounts that stand for this one."""
        return [number for number in self.linked_with(account) if number != account]

    def notional_of(self, market: int, lots: int) -> int:
        """Atoms of lots of either sign at the mark."""
        return self.contract(market).notional_of(lots)

    def effective(self, market: int) -> BreakerState:
        """Return the severer of the market's breaker state and the venue's."""
        return effective_state(self, market)

    @property
    def vault(self) -> int:
        """Account of the venue vault, or NONE."""
        pairs = zip(self.providers, self.rules.providers, strict=True)
        return next((provider.account for provider, rules in pairs if rules.is_vault), NONE)

    def available(self, group: int, account: int, market: int) -> int:
        """Atoms that a fund may still pay or promise for an account, 0 where the venue has none."""
        return self.fund_view(group, account, market).available if self.has_fund else 0

    def parts(self, account: int, deficit: int) -> list[Part]:
        """Parts of a deficit of an account without lots, by group and market."""
        return deficit_parts(self, account, deficit)

    def backer(self, number: int, market: int, side: int, used: int = 0) -> Backer:
        """A provider as the taker of a position of a side (1: of longs), with what is used of its
        commitment.
        """
        return replace(backer_of(self, number, market, side), used=used)

    def offering(self, account: int, market: int, backers: Iterable[Backer]) -> Offering:
        """A position and the providers who are asked to take it over."""
        return replace(offering_of(self, account, market, [], self.portfolio(account)), asked=tuple(backers))

    # -- keeping the books -------------------------------------------------------------------------

    def take_event(self, event: Event, effects: Sequence[Effect]) -> None:
        """Note what an accepted event itself says, before its effects; they only say whether a mark
        was held.
        """
        self.now, self.last_seq, epoch = event.time_ns, event.seq, self.epoch
        self.start_interval()
        self.start_epoch()
        if self.epoch != epoch:
            self.cuts.clear()
        self.netted.clear()
        self.lent_due.clear()
        self.reduced.clear()
        self.told = NONE
        self.open_take = 0
        self.marks_before = self.marks
        self.accepted_with = self._last_accepted(event, effects)
        if event.kind == EventKind.MARK:
            if not any((row.kind, row.code, row.market) == (F.GUARD, Guard.HELD, event.market) for row in effects):
                self._take_mark(event.market, event.price_ticks)
                self.told = event.market
                self.breakers[event.market].mark_time = self.now
                self._refer_to(event.market, event.price_ticks)
        elif event.kind == EventKind.ACCOUNT:
            self.ledger[event.account], self.positions[event.account] = 0, {}
            self.accounts.append(Account(event.other, pocket=event.market, asset=event.code))
        elif event.kind == EventKind.ORDER_FILL and not cancelled_first(event, effects):
            self._take_fill(event)
        elif event.kind == EventKind.ORDER_DONE and self.remembers(event.other):
            self._close(event.other)
        else:
            self._take_standing(event)

    def _last_accepted(self, event: Event, effects: Sequence[Effect]) -> int:
        """The offer with which a joint offer is taken over as a whole by the event; 0: none is.

        It is not where, after a failure of the provider, some of it is cancelled.
        """
        order = self.orders.get(event.other) if event.kind == EventKind.ANSWER else None
        offers = self.joint_offer(order.joint) if order is not None and self.remembers(order.id) else []
        members = {offer.id for offer in offers}
        has_failed, last = False, 0
        for row in effects:
            if members and row.kind == F.PROVIDER and row.other == offers[0].provider:
                has_failed |= row.amount < self.providers[row.other].score
            elif row.other in members and row.kind == F.CANCEL and has_failed:
                return 0
            elif row.other in members and row.kind == F.TAKEOVER:
                last = row.other
        return last

    def asset_of_owner(self, owner: int) -> int:
        """Return the asset of all accounts of an owner; the first where he has none."""
        return next((account.asset for account in self.accounts if account.owner == owner), 0)

    def _close(self, number: int) -> None:
        if self.orders[number].is_open:
            self.close_order(self.orders[number])

    def _take_fill(self, event: Event) -> None:
        order = self.orders[event.other]
        if order.is_open and self.remembers(event.other):
            self.open_take = min(abs(event.lots), order.remaining)
            order.filled += self.open_take
            if not allows(order, event.price_ticks):
                self.abused.add(order.id)

    def _take_standing(self, event: Event) -> None:
        """What binds a provider, and what moves its baseline; the market of a charge."""
        if (event.kind, event.code) == (EventKind.TRANSFER, Transfer.FUNDING) and event.amount < 0:
            self.accounts[event.account].charge_market = event.market
        if event.kind == EventKind.INDEX:
            self.markets[event.market].index = event.price_ticks
        elif event.kind == EventKind.VOLUME:
            self.markets[event.market].volume = event.lots
        if event.kind == EventKind.PROVIDER:
            self.providers[event.other].baseline = self.equity(event.account)
        elif event.kind == EventKind.OPERATOR and event.code == Operator.SETTLE_PRICE:
            self.breakers[event.market].given_ticks = event.price_ticks
        elif event.kind == EventKind.OPERATOR and event.code == Operator.PROVIDER_ON:
            provider = self.providers[event.other]
            provider.baseline = self.equity(provider.account)
        elif event.kind == EventKind.TRANSFER and event.code == Transfer.CASH:
            for provider in self.providers:
                if provider.account == event.account != NONE:
                    provider.baseline += event.amount
        elif event.kind == EventKind.TRANSFER and event.code == Transfer.MOVE:
            for provider in self.providers:
                if provider.account != NONE:
                    provider.baseline += event.amount * ((provider.account == event.other) - (provider.account == event.account))

    def _take_parameter(self, effect: Effect) -> None:
        told = WaitingChange(effect.code, effect.market, effect.other, effect.lots, effect.amount, effect.value)
        self.changes = [change for change in self.changes if change.place != told.place]
        if effect.price_ticks == Change.WAITING:
            self.changes = sorted([*self.changes, told], key=lambda change: change.from_ns)
        elif effect.price_ticks == Change.APPLIED:
            before = self.caps
            self.rules = changed(self.rules, told.number, market=told.market, entry=told.entry, part=told.part, value=told.value)
            self.raised_caps = highest_caps(before, self.rules)

    def take_effect(self, effect: Effect) -> None:
        """Book one effect."""
        kind = effect.kind
        if kind not in (F.TRADE, F.CANCEL, F.RESERVE, F.RESIDUAL, F.HEALTH, F.RELIEF) and not (kind == F.POSTING and effect.code in TRADED):
            self.reduced.clear()
        if effect.account >= 0 and closes_at_once(kind, effect.code):
            self.position(effect.account, effect.market).closed_in_default = True
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
            if effect.other:
                self.reserved[effect.other] += effect.amount
            else:
                self._take_carry(effect)
            self.funds[self.group(effect.market)].reserved += effect.amount
            self.markets[effect.market].reserved += effect.amount
            self.owner(effect.account).reserved += effect.amount
        elif kind == F.BREAKER:
            breaker = self.breakers[effect.market]
            breaker.state, breaker.until = effect.code, effect.amount
        elif kind == F.PARAMETER:
            self._take_parameter(effect)
        elif kind == F.LISTING:
            self._take_listing(effect)
        elif kind == F.RELIEF:
            self.position(effect.account, effect.market).kept_ppm = effect.lots
        elif kind == F.RESTRICT:
            self.accounts[effect.account].restricted = True
        elif kind == F.CARRY:
            self.accounts[effect.account].carry_until = effect.value
        elif kind == F.TAKEOVER:
            self._take_takeover(effect)
        elif kind == F.TEAR_UP:
            self.gaps_torn[effect.account] = effect.value, 0
        elif kind == F.SUPPORT and effect.other == Cause.TEAR_UP:
            self.gaps_torn[effect.account] = effect.value, effect.amount
        elif kind == F.HAIRCUT:
            note_cut(self, effect.market, effect.account, effect.amount)
            self.cuts[effect.market] += effect.amount
        elif kind == F.CLAIM:
            claims = self.accounts[effect.account].claims
            claims[effect.other] = claims.get(effect.other, 0) + effect.amount
            if effect.amount < 0 and not self.recovers:
                self.set_off[self.owner_of(effect.account)] -= effect.amount
        elif kind == F.PROVIDER:
            provider = self.providers[effect.other]
            provider.account, provider.status, provider.until = effect.account, effect.code, effect.value
            provider.failures, provider.score = effect.lots, effect.amount
        elif kind == F.GUARD:
            self._take_guard(effect)
        elif kind == F.DOUBT:
            breaker = self.breakers[effect.market]
            breaker.undoubted = effect.price_ticks if effect.code != Doubt.ENDED else 0
            breaker.has_cancelled = effect.code not in (Doubt.ENDED, Doubt.GUARD)
            breaker.given_ticks = breaker.given_ticks if breaker.undoubted else 0
        elif kind == F.SETTLEMENT:
            self._take_settlement(effect)
        elif kind == F.FILL_DEBT:
            self.add_fill_debt(effect.account, self.owner_of(effect.other), effect.amount)
        elif kind == F.FUNDING:
            self.markets[effect.market].funding_index += effect.amount

    def _take_carry(self, effect: Effect) -> None:
        row = self.position(effect.account, effect.market)
        row.carried += effect.amount
        if row.carried == effect.amount:
            self.carries.append((effect.account, effect.market))
        elif row.carried == 0:
            self.carries.remove((effect.account, effect.market))

    def _take_mark(self, market: int, price_ticks: int) -> None:
        row = self.markets[market]
        row.mark, row.epoch_mark = price_ticks, row.epoch_mark or price_ticks

    def _end_hold(self, market: int) -> None:
        hold = self.holds.pop(market, None)
        if hold is not None:
            self.ended_at[market] = (hold.until_ns, hold.prints[-1][1])

    def _is_thin(self, market: int) -> bool:
        """Say whether a volume is known and little."""
        return 0 <= self.markets[market].volume < self.rules.markets[market].guard_volume_lots

    def _refer_to(self, market: int, price_ticks: int) -> None:
        """Measure jumps from an accepted mark, if it came on volume or the last such is old."""
        breaker = self.breakers[market]
        is_old = self.now - breaker.reference_at >= self.rules.breakers.guard_hold_ns
        if self.rules.markets[market].guard_jump_ppm and (not breaker.reference or is_old or not self._is_thin(market)):
            breaker.reference, breaker.reference_at = price_ticks, self.now

    def _take_guard(self, effect: Effect) -> None:
        jump_ppm = self.rules.markets[effect.market].guard_jump_ppm
        if effect.code == Guard.HELD:
            self.holds.setdefault(effect.market, Hold(effect.amount, jump_ppm)).note(self.now, effect.price_ticks)
        elif effect.code == Guard.RENEWED:
            begin_ns = effect.amount - self.rules.breakers.guard_hold_ns
            self.holds[effect.market] = Hold(effect.amount, jump_ppm, [(begin_ns, effect.price_ticks)])
        elif effect.code == Guard.CONTINUED:
            self.holds[effect.market].prolong(effect.amount)
        else:
            self._end_hold(effect.market)
        self._hold_on(effect.market)
        if effect.code == Guard.RELEASED:
            self.breakers[effect.market].mark_time = self.now
            if effect.market != self.told or self._is_thin(effect.market):
                self.breakers[effect.market].reference, self.breakers[effect.market].reference_at = effect.price_ticks, self.now
        if effect.code == Guard.RELEASED and effect.market != self.told:
            self._take_mark(effect.market, effect.price_ticks)

    def _hold_on(self, market: int) -> None:
        """Note what is held in a market, as its prints tell it."""
        breaker, hold = self.breakers[market], self.holds.get(market)
        breaker.held, breaker.rival, breaker.lead = hold.levels() if hold else (0, 0, 0)
        breaker.held_until = hold.until_ns if hold else 0

    def _take_settlement(self, effect: Effect) -> None:
        breaker, is_done = self.breakers[effect.market], effect.code == Settlement.DONE
        breaker.settlement = ALL_SETTLED if is_done else SETTLES_INSOLVENT
        breaker.undoubted = 0 if is_done else effect.price_ticks
        self.markets[effect.market].mark = effect.price_ticks
        if is_done:
            delist(self, effect.market)

    def _take_listing(self, effect: Effect) -> None:
        market = effect.market
        self.rules = replaced(self.rules, market, is_listed=1)
        paid = self.markets[market].paid
        self.markets[market], self.breakers[market] = self.new_market(market), Breaker()
        self.markets[market].paid = paid
        self.notices.pop(market, None)
        self.holds.pop(market, None)

    def end_event(self, effects: Sequence[Effect]) -> None:
        """Note the gains of each group in which something was uncovered; and a mark beside a hold, which
        what timers did before it does not know.
        """
        self.effects = list(effects)
        if self.told in self.holds:
            self.holds[self.told].note(self.now, 0)
            self._hold_on(self.told)
        note_gains(self)

    def _take_cash(self, effect: Effect) -> None:
        """What a withdrawal takes of noted gains, and what is an owner's own, before it is booked."""
        if effect.account >= 0:
            add_own(self, self.owner_of(effect.account), effect.amount)
        elif effect.other >= 0:
            owner = self.owner_of(effect.other)
            left, rest = after_withdrawal(self, effect.other, effect.amount)
            plan = plan_of(self, owner, effect.amount, rest)
            self.own[owner] = own_after(self, owner, effect.amount, plan)
            self.rates_before = {group: (self.hole(group), fund.owed_sum) for group, fund in enumerate(self.funds)}
            for group, gains in plan.gains.items():
                lent = min(plan.lent[group], max(0, left))
                left -= lent
                self.lent_due += [(group, lent)] if lent else []
                if gains:
                    let_go(self, group, owner, gains + lent)

    def _take_posting(self, effect: Effect) -> None:
        if effect.code == Cause.CASH:
            self._take_cash(effect)
        if effect.code == Cause.UNCOVERED:
            self.note_hole(next(each for each in self.groups if uncovered_of(each) == effect.other))
        self._credit(effect.account, effect.value, effect.amount)
        self._credit(effect.other, effect.value, -effect.amount)
        for each in self.groups:
            self.forget_noted(each)
        self.recovers = effect.code == Cause.RECOVERY
        group = self.group_of_fund(effect.other)
        if group is not None and effect.code in FUND_PAYS:
            self._take_payment(effect, group)
        elif effect.code == Cause.DEBT_RETURN:
            self.accounts[effect.other].debts[self.group_of_fund(effect.account) or 0] -= effect.amount
        elif group is not None and effect.code == FUND_PAYS_LATE:
            self.late.append(Payment(self.now, group, NONE, effect.amount))
            for gauge in (self.funds[group].paid, self.funds[group].arrears):
                gauge[self.pay_slot()] = gauge.get(self.pay_slot(), 0) + effect.amount
        if effect.code == Cause.OPENING:
            self.position(outside_of(effect.market), effect.market).cost = 0
        if effect.code == Cause.FUNDING and effect.market != NONE:
            self._take_funding(effect)
        if effect.code == Cause.FILL_DEBT:
            owner = self.owner_of(effect.other)
            self.lower_fill_debt(next(debt for debt in self.fill_debts_to(effect.account) if debt.owner == owner), effect.amount)
        if effect.code == Cause.NETTING:
            self.netted.add(effect.other)

    def _take_funding(self, effect: Effect) -> None:
        pays = effect.account == funding_of(effect.market)
        holder = effect.other if pays else effect.account
        self.position(holder, effect.market).settled_index = self.markets[effect.market].funding_index
        self.settlings[effect.market] += 1
        if pays and holder >= 0:
            self.accounts[holder].charge_market = effect.market

    def _take_payment(self, effect: Effect, group: int) -> None:
        owner = self.owner_of(effect.account)
        for number in self.accounts_of(owner):
            self.accounts[number].debts = self.debts(number)
        self.payments.append(Payment(self.now, group, owner, effect.amount, effect.market))
        self._count_payment(group, effect.account, effect.amount, effect.market)
        debts = self.accounts[effect.account].debts
        debts[group] = debts.get(group, 0) + effect.amount - self.set_off.pop(owner, 0)

    def _take_trade(self, effect: Effect) -> None:
        row, at_zero = self.position(effect.account, effect.market), self._at_zero(effect)
        after, _ = self.holding(effect.account, effect.market).after_closing(effect.lots, effect.amount, at_zero)
        row.settled, row.most_lots = after.settled, after.most_lots
        self.note_held(effect.account, effect.market)
        reduces = effect.account >= 0 and effect.lots * row.lots < 0
        if effect.code == Cause.TEAR_UP and effect.other != NONE:
            place = effect.account, effect.market
            self.torn[place] = self.torn.get(place, 0) - effect.lots
        if effect.code in (Cause.ADL, Cause.TEAR_UP) and not self.holding(effect.account, effect.market).is_of_losing_side:
            self.note_gain(effect.account, effect.market, effect.value)
        row.lots += effect.lots
        row.settled_index = self.markets[effect.market].funding_index
        self.settlings[effect.market] += 1
        row.cost += effect.value - effect.amount
        if effect.code != Cause.OPENING:
            row.base -= effect.amount
        is_crossed = effect.code == Cause.ADL and effect.price_ticks != 0
        if (effect.code in TRADED or is_crossed) and reduces:
            self.reduced.add((effect.account, effect.market))
            row.closed_in_default |= self.accounts[effect.account].in_default
        if effect.code == Cause.OPENING:
            outside = self.position(outside_of(effect.market), effect.market)
            outside.lots -= effect.lots
            outside.settled_index = row.settled_index
            self.settlings[effect.market] += 1
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
        if effect.code == Cause.TEAR_UP and effect.other == NONE:
            gap, support = self.gaps_torn[effect.account]
            return abs(effect.lots) * support // gap if gap else abs(effect.lots)
        is_defaulter = effect.other == NONE if effect.code == Cause.ADL else effect.code == Cause.TAKEOVER
        is_crossed = effect.code == Cause.ADL and effect.price_ticks != 0
        return abs(effect.lots) if is_defaulter and not is_crossed else 0

    def _take_health(self, effect: Effect) -> None:
        number, account = effect.account, self.accounts[effect.account]
        self.note_health(number, Health(effect.code))
        if effect.code == Health.INSOLVENT:
            for row in self.positions[number].values():
                row.settled, row.most_lots = 0, abs(row.lots)
        if (effect.other < Health.DISTRESSED) == (effect.code < Health.DISTRESSED):
            return
        for market, row in self.positions[number].items():
            row.closed_in_default = account.in_default and (number, market) in self.reduced
            self.note_held(number, market)
        if account.in_default:
            self.enter_default(number)
        else:
            account.default_since = NEVER_NS
            self.end_default(number)
        account.doubt_ns = 0
        account.restricted &= account.in_default
        account.carry_until = 0

    def _take_order(self, effect: Effect) -> None:
        assert effect.other == self.next_order
        notional = self.notional_of(effect.market, effect.lots)
        order = Order(effect.other, effect.account, effect.market, effect.lots, effect.price_ticks, effect.amount, offered_ns=self.now)
        if effect.kind == F.OFFER:
            # Before it is one of the provider's own.
            backer = self.backer(effect.price_ticks, order.market, -sign(effect.lots))
            order.kind, order.limit_ticks, order.provider, order.notional = TAKEOVER_OFFER, 0, effect.price_ticks, notional
            order.pending_initial = max(0, backer.initial_rise(abs(effect.lots)))
            order.joint = self.joint_for(effect.price_ticks, order.market, effect.lots)
            provider = self.providers[order.provider]
            provider.pending_initial += order.pending_initial
            provider.pending_notional += notional
            self._use(order.provider, order.market, effect.lots, effect.other)
        else:
            if self.provider_of(effect.account) != NONE and not self.accounts[effect.account].in_default:
                order.kind = DISPOSAL_ORDER
            for gauged in (self.accounts[effect.account], self.markets[effect.market]):
                gauged.ordered += notional
            self.ordered += notional * (len(self.rules.assets) == 1)
        self.open_order(order)

    def _use(self, provider: int, market: int, lots: int, order: int) -> None:
        direction, notional = (0 if lots < 0 else 1), self.notional_of(market, lots)
        self.uses.append(Use(self.now, provider, self.group(market), direction, notional, order))

    def _take_cancel(self, effect: Effect) -> None:
        self._close(effect.other)
        if self.orders[effect.other].kind == TAKEOVER_OFFER:
            self.uses = [use for use in self.uses if use.order != effect.other]

    def _take_takeover(self, effect: Effect) -> None:
        if effect.other:
            self._close(effect.other)
            provider = self.providers[effect.price_ticks]
            if effect.other == self.accepted_with:
                provider.failures, provider.score = 0, score_after_takeover(provider.score)
        else:
            self._use(effect.price_ticks, effect.market, effect.lots, 0)
