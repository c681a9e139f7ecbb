"""Who took part in an event, as they stand at the effect that was reached.

``Books`` reads rows before the event and then follows the tape, effect by effect. It knows no rule:
what follows from its numbers it asks of the reference, for which it builds portfolios, funds,
offerings, waves and losses. Its cost is that of the accounts that took part, however many others
there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from backstop.core.carries import CARRY_ATOMS
from backstop.core.columns import OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED
from backstop.core.events import (
    GROUPS_MAX,
    NEVER_NS,
    NONE,
    Cause,
    EffectArray,
    EffectKind,
    Guard,
    Health,
    InitialMargin,
    ProviderStatus,
    error_inventory_of,
    fund_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import NO_CAP, PPM, LevelRules, VenueRules
from backstop.core.kinds import (
    CancelEffect,
    CarryEffect,
    ClaimEffect,
    FundingEffect,
    GuardEffect,
    HaircutEffect,
    HealthEffect,
    OfferEffect,
    PostingEffect,
    ProviderEffect,
    ReliefEffect,
    ReserveEffect,
    SupportEffect,
    TakeoverEffect,
    TearUpEffect,
    TradeEffect,
)
from backstop.core.places import arrears_gauge, fund_gauge, house_slot, market_gauge, outside_row
from backstop.core.position_rows import row_is_free_at
from backstop.core.results import result_bases
from backstop.core.rows import FUND_SLOTS, TAKEOVER_OFFER
from backstop.core.state import State
from backstop.explain.rows import Rows
from backstop.journal.rendering import Row
from backstop.reference.arithmetic import sign
from backstop.reference.carry import Short, carry_parts, short_of
from backstop.reference.charge import Exit
from backstop.reference.deficit import Part, parts_of
from backstop.reference.funds import FundView, paid_for_owner, paid_in_window, supports_closing
from backstop.reference.loss import Bearer, Loss, Purse, Stake, bearer_of, closes_at_once, closes_if_in_default
from backstop.reference.margin import Contract, Holding, Portfolio, Standing, levels_after, returns_at
from backstop.reference.offering import Backer, Gauge, LossStop, Offering, Refusal, changes_due, refusal_to_ask, score_after_takeover
from backstop.reference.wave import Counterparty, Defaulter, Wave

__all__ = ["Account", "Books", "Held", "Provider"]

#: Accounts up to this many are read one by one.
_FEW = 64
#: Rows of positions that are taken from an array at once.
_CHUNK = 4096
#: Of an account's defaults: until when it may be carried, its returns, when the last one ended.
_PAST = ["carry_until_ns", "returns", "ended_ns"]
#: Effects that change accounts alone.
_OF_ACCOUNTS = (
    *(EffectKind.TRADE, EffectKind.POSTING, EffectKind.HAIRCUT, EffectKind.CLAIM, EffectKind.HEALTH),
    *(EffectKind.ADL_FILL, EffectKind.RELIEF),
)
_PAYMENTS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)


class Held(NamedTuple):
    """A position: signed lots, what they cost, and what their result is measured from."""

    lots: int = 0
    cost: int = 0
    base: int = 0
    #: Of an insolvent account: what it bears by (``Holding``).
    settled: int = 0
    most_lots: int = 0
    #: The market's funding index up to which it has paid, or was paid.
    settled_index: int = 0
    others_lots: int = 0
    #: The part of its maintenance margin that it needs.
    kept_ppm: int = PPM


@dataclass(slots=True)
class Account:
    """One account's rows."""

    balance: int
    health: int
    default_since_ns: int
    #: Recovery claims by group.
    claims: dict[int, int]
    #: By market.
    positions: dict[int, Held]
    #: Markets of which the present default has closed lots.
    closed: frozenset[int]
    #: For how long it waited for doubt in this default.
    doubt_ns: int = 0
    #: Markets whose lots others' orders or defaults reduced in this event: closed as well, where
    #: the account is in default after it.
    reduced: frozenset[int] = frozenset()
    #: Market of its last charge, or NONE.
    charge_market: int = NONE
    asset: int = 0
    #: What funds paid for it and did not get back, by group.
    debts: dict[int, int] = field(default_factory=dict)
    #: Until when it may be carried in this default, 0 where it was not carried yet, and what is
    #: reserved for that by market.
    carry_until_ns: int = 0
    carried: dict[int, int] = field(default_factory=dict)
    #: How often it came back to default, and when its last one ended, if it had lots then.
    returns: int = 0
    default_ended_ns: int = NONE

    @property
    def in_default(self) -> bool:
        """DISTRESSED or worse."""
        return self.health >= Health.DISTRESSED

    def levels(self, levels: LevelRules) -> LevelRules:
        """Return its levels of health: in default by how often it came back."""
        return levels_after(levels, self.returns) if self.in_default else levels

    def returns_at(self, now_ns: int, levels: LevelRules) -> int:
        """Return how often it came back, its default that would begin now included."""
        return returns_at(self.returns, self.default_ended_ns, now_ns, levels)

    def held(self, market: int) -> int:
        """Return the signed lots in a market."""
        return self.positions.get(market, Held()).lots


@dataclass(slots=True)
class Fund:
    """One group's fund. Atoms."""

    balance: int
    reserved: int
    #: In the present window.
    paid: int
    #: Of that, late, for losses of before.
    arrears: int
    #: What nobody has paid of the group's losses.
    uncovered: int
    #: What is reserved to carry accounts.
    carried: int

    @property
    def net(self) -> int:
        """What it neither reserves for orders and offers nor keeps for what is uncovered; below 0: what it
        lacks for that.
        """
        return self.balance - (self.reserved - self.carried) - self.uncovered


@dataclass(slots=True)
class MarketGauge:
    """What a fund did for one market. Atoms."""

    reserved: int
    #: In the present window.
    paid: int


@dataclass(slots=True)
class Owner:
    """What all funds did for one owner. Atoms."""

    paid: int
    reserved: int


@dataclass(slots=True)
class Provider:
    """One backstop provider's standing."""

    account: int
    status: ProviderStatus
    until_ns: int
    score_ppm: int
    #: Of offers that it has not answered.
    pending_initial: int
    pending_notional: int
    #: Lots (> 0) of open offers, by side (1: it takes over longs) and market.
    offered: dict[tuple[int, int], int]
    #: What is used of its commitments, by group and side.
    gauges: dict[tuple[int, int], Gauge]


class Offer(NamedTuple):
    """An offer that is open, or was when the event began."""

    provider: int
    market: int
    side: int
    lots: int
    notional: int
    pending_initial: int
    sent_ns: int
    #: What the account gets, and what the fund reserves for it.
    cash: int
    reserved: int


class Books:
    """Accounts, funds and providers at an effect of one event."""

    def __init__(self, rules: VenueRules, state: State, now_ns: int, looked_at: Iterable[int], recorded: EffectArray) -> None:
        """Read the rows before the event at ``now_ns`` whose effects are ``recorded``;
        ``looked_at``: accounts that are explained.
        """
        self.rules = rules
        self.now_ns = now_ns
        self.marks: list[int] = state.markets["mark_ticks"].tolist()
        #: Those when the present epoch began.
        self.epoch_marks = _epoch_marks(rules, state, now_ns)
        #: Those that stand until the event itself is taken: the guard releases held ones first.
        self.marks_before = list(self.marks)
        self.indices: list[int] = state.markets["funding_index"].tolist()
        self.accounts: dict[int, Account] = {}
        self.funds = [_fund(rules, state, group, now_ns) for group in range(len(rules.funds))]
        self.market_gauges = [_market_gauge(rules, state, market, now_ns) for market in range(len(rules.markets))]
        self.providers = [_provider(rules, state, number) for number in range(len(rules.providers))]
        #: Of the claims of the owner whom a fund pays for next.
        self.set_off = 0
        self._recovers = False
        self._state = state
        self._is_mark = False
        #: The order that the event fills, and how many lots of it were open.
        self._filled = (0, 0)
        #: By account in a tear-up: its last gap, and what the fund adds to it.
        self._torn: dict[int, tuple[int, int]] = {}
        #: Signed lots that others' tear-up took of accounts, by account and market.
        self._torn_lots: Counter[tuple[int, int]] = Counter()
        #: P&L that ADL and tear-up realised, less cuts paid from money, by account and market.
        self._event_gains: Counter[tuple[int, int]] = Counter()
        #: What accounts paid of cuts.
        self._cuts_paid: Counter[int] = Counter()
        #: Whose positions all others were read for, and the signed lots that the house has there.
        self.defaulters: set[int] = set()
        self._house: dict[int, int] = {}
        self._owners: dict[int, Owner] = {}
        self._group_of = {fund_of(group): group for group in range(len(rules.funds))}
        self._group_uncovered = {uncovered_of(group): group for group in range(len(rules.funds))}
        self._offers = _offers_named(state, recorded)
        #: The last offer of a joint offer that the event takes over as a whole; 0: none.
        self._accepted_with = _accepted_with(recorded, {number: each.score_ppm for number, each in enumerate(self.providers)})
        bound = recorded["account"][recorded["kind"] == EffectKind.PROVIDER].tolist()
        #: Accounts and funds that are followed to the end of the event.
        self._followed = {*looked_at, *bound, *(provider.account for provider in self.providers), *self._group_of, *self._group_uncovered}
        self._read(self._followed)
        opened = int(state.engine[0].accounts_now)
        for account in looked_at:
            if account < opened:
                self._read_owner(account)

    # -- reading -----------------------------------------------------------------------------------

    def read_others(self, defaulters: set[int], named: Iterable[int], market: int, *, with_owners: bool) -> None:
        """Read everybody who has, or had, lots before the event where the defaulters have a position, and
        in a market, and those named; ``with_owners``: all accounts of their owners, too.
        """
        state = self._state
        self.defaulters = defaulters
        self._followed |= defaulters
        self._read(defaulters)
        markets = {market, *(each for number in defaulters for each in self.account(number).positions)}
        rows = state.positions[: int(state.engine[0].positions_now)]
        there = rows[np.isin(rows["market"], list(markets))]
        house = there[(there["account"] < 0) & (there["account"] != NONE)]
        self._house = dict.fromkeys((holder for each in markets for holder in _house_of(each)), 0)
        self._house |= dict(zip(house["account"].tolist(), house["lots"].tolist(), strict=True))
        numbers = {*there["account"].tolist(), *named}
        if with_owners:
            owners = state.accounts["owner"][: int(state.engine[0].accounts_now)]
            chosen = np.unique(owners[[number for number in numbers if 0 <= number < len(owners)]])
            numbers |= set(np.flatnonzero(np.isin(owners, chosen)).tolist())
        self._read(numbers)

    def _read(self, numbers: set[int]) -> None:
        state = self._state
        opened = int(state.engine[0].accounts_now)
        left = [number for number in numbers if 0 <= number < opened and number not in self.accounts]
        if len(left) > _FEW:
            self.accounts |= _read_accounts(state, left, self.now_ns)
        else:
            self.accounts |= {number: read_account(state, number, self.now_ns) for number in left}

    def _read_owner(self, account: int) -> None:
        owner, columns = int(self._state.accounts[account].owner), self._state.columns
        gauge = int(columns[OWNER_PAID, owner]), int(columns[OWNER_PAID_NS, owner])
        paid = paid_for_owner(*gauge, self.now_ns, self.rules.fund.window_ns)
        self._owners[owner] = Owner(paid, int(columns[OWNER_RESERVED, owner]))

    # -- asking ------------------------------------------------------------------------------------

    def account(self, number: int) -> Account:
        """Return an account's rows; one that the event opens has none before it."""
        return self.accounts.setdefault(number, Account(0, Health.HEALTHY, NEVER_NS, {}, {}, frozenset()))

    def contract(self, market: int) -> Contract:
        """Return a market's contract at its mark."""
        return Contract(
            self.rules.markets[market], self.marks[market], funding_index=self.indices[market], epoch_mark=self.epoch_marks[market]
        )

    def portfolio_of(self, account: Account, marks: list[int]) -> Portfolio:
        """Return an account's balance and holdings at some marks."""
        holdings = (
            Holding(market, self.contract(market)._replace(mark_ticks=marks[market]), *account.positions[market])
            for market in sorted(account.positions)
        )
        return Portfolio(account.balance, tuple(holdings), account.levels(self.rules.levels))

    def holding(self, number: int, market: int) -> Holding:
        """Return what an account has in a market."""
        return Holding(market, self.contract(market), *self.account(number).positions.get(market, Held()))

    def portfolio(self, number: int) -> Portfolio:
        """Return an account's balance and holdings at the marks."""
        return self.portfolio_of(self.account(number), self.marks)

    def portfolio_before(self, number: int) -> Portfolio:
        """Return the same at the marks before the event's own."""
        return self.portfolio_of(self.account(number), self.marks_before)

    def group_of(self, market: int) -> int:
        """Return the group of a market."""
        return self.rules.markets[market].group

    def fund(self, group: int, account: int, market: int) -> FundView:
        """Return a group's fund as an account that is looked at sees it, for a market or for
        none.
        """
        fund, owner = self.funds[group], self._owners[self._owner_of(account)]
        has_market = market != NONE
        gauge = self.market_gauges[market] if has_market else MarketGauge(0, 0)
        return FundView(
            balance=fund.balance,
            reserved=fund.reserved,
            paid=fund.paid,
            loss_max=self.rules.funds[group].loss_per_window_max,
            owner_paid=owner.paid,
            owner_reserved=owner.reserved,
            owner_loss_max=self.rules.of_group(group).owner_loss_max,
            market_paid=gauge.paid,
            market_reserved=gauge.reserved,
            market_loss_max=self.rules.markets[market].loss_per_window_max if has_market else NO_CAP,
            arrears=fund.arrears if has_market else 0,
            arrears_of_all=sum(self.funds[each].arrears for each in self.rules.groups_of(self.rules.funds[group].asset)),
            uncovered=fund.uncovered,
            supports=supports_closing(self.rules.stages),
        )

    def results(self, number: int) -> dict[int, int]:
        """Return the result of each of an account's positions, by market."""
        return {holding.market: holding.result for holding in self.portfolio(number).holdings}

    def parts(self, number: int, deficit: int) -> list[Part]:
        """Return the parts of a deficit of an account, by group and market."""
        account = self.account(number)
        first_group = self.rules.groups_of(account.asset)[0]
        return parts_of(deficit, self.results(number), self.closed_markets(number), account.charge_market, self.group_of, first_group)

    def carry_short(self, number: int) -> Short | None:
        """Return what keeps funds from carrying a solvent account that is looked at; None: nothing does."""
        parts = carry_parts(self.portfolio(number), self.rules.closeout.carry_move_ppm)
        return short_of(parts, self.account(number).carried, self.group_of, lambda market: self.fund(self.group_of(market), number, market))

    def backer(self, number: int, market: int, side: int) -> Backer:
        """Return a provider as the taker of a position of a side."""
        provider, rules, group = self.providers[number], self.rules.providers[number], self.rules.markets[market].group
        commitment, has_account = rules.commitments[group][0 if side > 0 else 1], provider.account != NONE
        held = self.account(provider.account).positions if has_account else {}
        return Backer(
            number=number,
            rules=rules,
            commitment=commitment,
            score_ppm=provider.score_ppm,
            portfolio=self._with_initial(provider.account) if has_account else Portfolio(0, (), self.rules.levels),
            contract=self.contract(market)._replace(interest=self._interest(market)),
            side=side,
            promised=held.get(market, Held()).lots + side * provider.offered.get((side, market), 0),
            used=provider.gauges[group, side].at(self.now_ns, commitment.refill_per_s).used,
            pending_initial=provider.pending_initial,
            pending_notional=provider.pending_notional,
            has_row=market in held or row_is_free_at(self._state, self.now_ns),
            others_lots=self._others_lots(provider.account, market) if has_account else 0,
        )

    def _with_initial(self, number: int) -> Portfolio:
        """Return an account's portfolio with what its initial margin asks for beside it."""
        portfolio = self.portfolio(number)
        holdings = (
            each._replace(
                contract=each.contract._replace(interest=self._interest(each.market)),
                others_lots=self._others_lots(number, each.market),
            )
            for each in portfolio.holdings
        )
        return Portfolio(portfolio.balance, tuple(holdings), portfolio.levels)

    def _lots_before(self, number: int, market: int) -> int:
        """Return an account's lots before the event."""
        held = read_account(self._state, number, self.now_ns).positions.get(market)
        return held.lots if held else 0

    def _others_lots(self, number: int, market: int) -> int:
        """Return the lots of an owner's other accounts in a market, where its tiers are by owner."""
        if self.rules.markets[market].initial_margin != InitialMargin.OWNER:
            return 0
        rows = self._state.accounts[: int(self._state.engine[0].accounts_now)]
        linked = np.flatnonzero(rows["owner"] == rows[number]["owner"]).tolist()
        known = {each: self.accounts[each].held(market) for each in linked if each in self.accounts}
        return sum(abs(known[each] if each in known else self._lots_before(each, market)) for each in linked if each != number)

    def _interest(self, market: int) -> int:
        """Return the value of the open interest, where initial margin asks for it."""
        rules = self.rules.markets[market]
        if rules.interest_upper == 0:
            return 0
        outside = int(self._state.positions[outside_row(market)].lots)
        lots = int(self._state.markets[market].open_lots) - max(0, outside)
        for number, account in self.accounts.items():
            now = account.held(market)
            before = self._lots_before(number, market) if number < int(self._state.engine[0].accounts_now) else 0
            lots += max(0, now) - max(0, before)
            outside -= now - before
        return self.contract(market).notional_of(lots + max(0, outside))

    def loss_stop(self, number: int) -> LossStop:
        """Return what a provider with an account has lost, beside the most that it may."""
        baseline, equity = int(self._state.providers[number].baseline), self.portfolio(self.providers[number].account).equity
        return LossStop(self.rules.providers[number].loss_stop, baseline, equity)

    def status_of(self, number: int) -> ProviderStatus:
        """Return a provider's status, brought up to date."""
        provider = self.providers[number]
        if provider.account == NONE:
            return provider.status
        return [provider.status, *changes_due(provider.status, provider.until_ns, self.now_ns, self.loss_stop(number))][-1]

    def refusal_to_ask(self, number: int, account: int) -> Refusal | None:
        """Return why a provider may not be asked to take over from an account; None: it may."""
        provider = self.providers[number]
        if provider.account == NONE:
            return Refusal.STATUS
        return self._refusal(provider, self.status_of(number), account)

    def _refusal(self, provider: Provider, status: ProviderStatus, account: int) -> Refusal | None:
        is_linked = self._owner_of(provider.account) == self._owner_of(account)
        return refusal_to_ask(status, in_default=self.account(provider.account).in_default, is_linked=is_linked)

    def edges_ppm(self, account: int, market: int, side: int, notional: int) -> list[int]:
        """Return the edges of the providers that may be asked as they were last told to stand, the
        vault among them, and that are committed to so much.
        """
        edges, group = [], self.group_of(market)
        for each, provider in zip(self.rules.providers, self.providers, strict=False):
            promise = each.commitments[group][0 if side > 0 else 1]
            is_able = provider.account != NONE and self._refusal(provider, provider.status, account) is None
            if is_able and promise.capacity >= max(1, notional):
                edges.append(promise.edge_ppm)
        return edges

    def offering(self, number: int, market: int, asked: Iterable[int], way_out: Exit, expected: Standing | None = None) -> Offering:
        """Return a position and the providers who are asked to take it over."""
        portfolio = self.portfolio(number)
        holding = portfolio.holding(market)
        backers = tuple(self.backer(provider, market, holding.side) for provider in asked)
        fund, share_ppm = self.fund(self.group_of(market), number, market), self.rules.takeover.provider_share_ppm
        return Offering(portfolio, holding, fund, share_ppm, backers, expected or portfolio.standing, way_out)

    def wave(self, number: int, market: int, way_out: Exit, later: Mapping[int, Exit]) -> tuple[Wave, int]:
        """Return a position with everybody who may be asked for lots, and how many hold them but
        are in default.
        """
        side, found, in_default = sign(self.account(number).held(market)), list[Counterparty](), 0
        for holder, account in sorted(self.accounts.items()):
            if holder == number or sign(account.held(market)) != -side:
                continue
            if account.in_default:
                in_default += 1
            else:
                found.append(Counterparty(holder, self.holding(holder, market), self.portfolio(holder)))
        for holder in _house_of(market):
            if sign(self._house[holder]) == -side:
                found.append(Counterparty(holder, Holding(market, self.contract(market), self._house[holder], 0, 0), None))
        fund = self.fund(self.rules.markets[market].group, number, market)
        defaulter = Defaulter(number, self._owner_of(number), self.portfolio(number), fund, way_out, later)
        return Wave(market, (defaulter,), tuple(found)), in_default

    def loss(self, market: int, parts: dict[int, int], most: int) -> Loss:
        """Return what accounts lack in a market with everybody who may be asked for some of it, at most
        so many.
        """
        stakes = self._stakes(market)
        purses = {owner: self._purses(owner) for owner in {stake.owner for stake in stakes}}
        return Loss(parts, stakes, purses, self.rules.socialise_policy, most)

    def _stakes(self, market: int) -> tuple[Stake, ...]:
        """Return the positions of accounts in a market."""
        torn, gains = self._torn_lots, self._event_gains
        return tuple(
            Stake(number, self._owner_of(number), self.holding(number, market), torn[number, market], gains[number, market])
            for number, account in sorted(self.accounts.items())
            if market in account.positions
        )

    def _purses(self, owner: int) -> tuple[Purse, ...]:
        """Return what an owner's accounts that are not in default have above maintenance margin."""
        mine = [number for number, account in sorted(self.accounts.items()) if not account.in_default and self._owner_of(number) == owner]
        spares = {number: self.portfolio(number).spare for number in mine}
        return tuple(Purse(number, spare, spare + self._cuts_paid[number]) for number, spare in spares.items())

    def closed_markets(self, number: int) -> tuple[int, ...]:
        """Return the markets of which the present default of an account has closed lots."""
        account = self.account(number)
        return tuple(sorted(account.closed | account.reduced))

    def _owner_of(self, account: int) -> int:
        return int(self._state.accounts[account].owner)

    # -- following ---------------------------------------------------------------------------------

    def offer(self, offer_id: int) -> Offer | None:
        """Return an offer that is open, or was when the event began; None: there is none such."""
        return self._offers.get(offer_id)

    def take_charge(self, number: int, market: int) -> None:
        """Take the market of a charge that the event brings."""
        self.account(number).charge_market = market

    def take_fill(self, order: int, lots: int) -> None:
        """Take note of the order that the event fills."""
        row: Any = self._state.orders[order % len(self._state.orders)]
        is_open = int(row.id) == order and int(row.is_open)
        self._filled = (order, min(abs(lots), abs(int(row.lots)) - int(row.filled)) if is_open else 0)

    def take_mark(self, marks: list[int]) -> None:
        """Take the mark price that the event brings."""
        self.marks, self._is_mark = marks, True

    def places_to_follow(self, effects: EffectArray, last: int) -> list[int]:
        """Return the places of the effects that change what is asked: all of them up to ``last``,
        where everybody else is looked at for the last time, then those of the followed alone.
        """
        followed = list(self._followed)
        mine = np.isin(effects["account"], followed) | ((effects["kind"] == EffectKind.POSTING) & np.isin(effects["other"], followed))
        mine |= ~np.isin(effects["kind"], _OF_ACCOUNTS)
        # A payment of a fund is set off against claims of others, too.
        mine |= (effects["kind"] == EffectKind.CLAIM) & (effects["amount"] < 0)
        # A position may bear what another account of its owner pays.
        mine |= effects["kind"] == EffectKind.HAIRCUT
        mine[: last + 1] = True
        places: list[int] = np.flatnonzero(mine).tolist()
        return places

    def follow(self, row: Row) -> None:
        """Take an effect in."""
        kind, account = row["kind"], self.accounts.get(row["account"])
        if kind == EffectKind.POSTING:
            self._follow_posting(row)
        elif kind == EffectKind.TRADE and row["account"] in self._house:
            self._house[row["account"]] += row["lots"]
        elif kind == EffectKind.GUARD:
            self._follow_guard(row)
        elif kind == EffectKind.SETTLEMENT:
            self.marks[row["market"]] = row["price_ticks"]
        elif kind == EffectKind.TEAR_UP:
            self._torn[row["account"]] = TearUpEffect(row).gap, 0
        elif kind == EffectKind.SUPPORT and row["other"] == Cause.TEAR_UP:
            self._torn[row["account"]] = SupportEffect(row).gap, SupportEffect(row).support
        elif kind == EffectKind.FUNDING:
            self.indices[row["market"]] = FundingEffect(row).index
        elif kind in _FOLLOWED:
            _FOLLOWED[kind](self, row)
        if account is not None:
            self._follow_account(account, row)

    def _follow_account(self, account: Account, row: Row) -> None:
        kind, market = row["kind"], row["market"]
        if kind == EffectKind.TRADE:
            self._follow_trade(account, row)
        elif kind == EffectKind.CLAIM:
            told = ClaimEffect(row)
            account.claims[told.group] = account.claims.get(told.group, 0) + told.change
        elif kind == EffectKind.RELIEF:
            account.positions[market] = account.positions.get(market, Held())._replace(kept_ppm=ReliefEffect(row).kept_ppm)
        elif kind == EffectKind.HEALTH:
            self._follow_health(account, HealthEffect(row).health)
        if closes_at_once(kind, row["code"]):
            account.closed |= {market}

    def bearer(self, payer: int, market: int) -> Bearer | None:
        """Return the position that bears what an account pays of a cut; None where none was read."""
        owner = self._owner_of(payer)
        mine = [stake for stake in self._stakes(market) if stake.owner == owner]
        return bearer_of(payer, mine) if mine else None

    def _follow_cut(self, row: Row) -> None:
        cut = HaircutEffect(row)
        self._cuts_paid[cut.payer] += cut.amount
        bearer = self.bearer(cut.payer, cut.market)
        if bearer is None:
            return
        positions = self.accounts[bearer.account].positions
        held = positions[cut.market]
        positions[cut.market] = held._replace(cost=held.cost + cut.amount * bearer.by_cost, base=held.base + cut.amount)
        if not bearer.by_cost:
            self._event_gains[bearer.account, cut.market] -= cut.amount

    def _follow_health(self, account: Account, health: Health) -> None:
        if (health >= Health.DISTRESSED) != account.in_default:
            account.closed, account.doubt_ns = frozenset(), 0
            account.default_since_ns = self.now_ns if health >= Health.DISTRESSED else NEVER_NS
            if health >= Health.DISTRESSED:
                account.returns = account.returns_at(self.now_ns, self.rules.levels)
            else:
                has_lots = any(held.lots for held in account.positions.values())
                account.default_ended_ns = self.now_ns if has_lots else NONE
            if health < Health.DISTRESSED:
                account.reduced = frozenset()
                account.carry_until_ns = 0
        for market, held in account.positions.items():
            most_lots = abs(held.lots) if health == Health.INSOLVENT else 0
            account.positions[market] = held._replace(settled=0, most_lots=most_lots)
        account.health = health

    def _follow_trade(self, account: Account, row: Row) -> None:
        trade = TradeEffect(row)
        market = trade.market
        if trade.cause == Cause.OPENING:
            base = account.positions.get(market, Held()).base + self.contract(market).value_of(trade.lots)
            most_lots = abs(trade.lots) if account.health == Health.INSOLVENT else 0
            settled = account.positions.get(market, Held()).settled
            kept = account.positions.get(market, Held()).kept_ppm
            account.positions[market] = Held(trade.lots, -trade.cash, base, settled, most_lots, self.indices[market], 0, kept)
            if trade.counterpart in self._house:
                # The other side of an opening has no row of its own.
                self._house[trade.counterpart] -= trade.lots
            return
        if trade.cause == Cause.TEAR_UP and trade.counterpart != NONE:
            self._torn_lots[trade.account, market] -= trade.lots
        if closes_if_in_default(trade.cause, trade.counterpart, account.held(market), trade.lots):
            account.reduced |= {market}
        before = Holding(market, self.contract(market), *account.positions.get(market, Held()))
        if trade.cause in (Cause.ADL, Cause.TEAR_UP) and not before.is_of_losing_side:
            self._event_gains[trade.account, market] += trade.realised
        is_insolvent = account.health == Health.INSOLVENT
        after, _ = before.after_closing(trade.lots, trade.cash, self._at_zero(trade) if is_insolvent else 0)
        bears = (after.settled, after.most_lots) if is_insolvent else (0, 0)
        account.positions[market] = Held(after.lots, after.cost, after.base, *bears, self.indices[market], 0, before.kept_ppm)

    def _at_zero(self, trade: TradeEffect[int]) -> int:
        """Lots of a trade by which an insolvent account is closed at zero cash."""
        if trade.cause == Cause.CLOSEOUT:
            return self._filled[1]
        if trade.cause == Cause.TEAR_UP and trade.counterpart == NONE:
            gap, support = self._torn[trade.account]
            return abs(trade.lots) * support // gap if gap else abs(trade.lots)
        is_defaulter = trade.counterpart == NONE if trade.cause == Cause.ADL else trade.cause == Cause.TAKEOVER
        is_crossed = trade.cause == Cause.ADL and trade.price_ticks != 0
        return abs(trade.lots) if is_defaulter and not is_crossed else 0

    def _follow_guard(self, row: Row) -> None:
        guard = GuardEffect(row)
        if guard.action == Guard.RELEASED:
            self.marks_before[guard.market] = guard.price_ticks
            if not self._is_mark:
                self.marks[guard.market] = guard.price_ticks

    def _follow_posting(self, row: Row) -> None:
        posting = PostingEffect(row)
        for holder, change in ((posting.receiver, posting.amount), (posting.payer, -posting.amount)):
            if holder in self.accounts:
                self.accounts[holder].balance += change
                if posting.cause == Cause.FUNDING and posting.market != NONE:
                    self._follow_funding(self.accounts[holder], posting.market, change)
            if holder in self._group_of:
                self.funds[self._group_of[holder]].balance += change
            if holder in self._group_uncovered:
                self.funds[self._group_uncovered[holder]].uncovered -= change
        if posting.payer in self._group_of and posting.cause in _PAYMENTS:
            self.funds[self._group_of[posting.payer]].paid += posting.amount
            if posting.market != NONE:
                self.market_gauges[posting.market].paid += posting.amount
            self._change_owner(posting.receiver, paid=posting.amount)
            self._follow_debt(posting.receiver, self._group_of[posting.payer], posting.amount - self.set_off)
            self.set_off = 0
        elif posting.cause == Cause.DEBT_RETURN:
            self._follow_debt(posting.payer, self._group_of[posting.receiver], -posting.amount)
        self._recovers = posting.cause == Cause.RECOVERY
        if posting.cause == Cause.ARREARS:
            fund = self.funds[self._group_of[posting.payer]]
            fund.paid += posting.amount
            fund.arrears += posting.amount

    def _follow_funding(self, account: Account, market: int, change: int) -> None:
        account.positions[market] = account.positions[market]._replace(settled_index=self.indices[market])
        if change < 0:
            account.charge_market = market

    def _follow_debt(self, account: int, group: int, change: int) -> None:
        if account in self.accounts:
            debts = self.accounts[account].debts
            debts[group] = debts.get(group, 0) + change

    def _follow_claim(self, row: Row) -> None:
        told = ClaimEffect(row)
        if told.change < 0 and not self._recovers:
            self.set_off -= told.change
        self._recovers = False

    def _change_owner(self, account: int, paid: int = 0, reserved: int = 0) -> None:
        owner = self._owners.get(self._owner_of(account))
        if owner is not None:
            owner.paid += paid
            owner.reserved += reserved

    def _follow_reserve(self, row: Row) -> None:
        told = ReserveEffect(row)
        fund = self.funds[self.rules.markets[told.market].group]
        fund.reserved += told.change
        fund.carried += told.change if told.order_id == 0 else 0
        self.market_gauges[told.market].reserved += told.change
        self._change_owner(told.account, reserved=told.change)
        if told.order_id == 0 and told.account in self.accounts:
            carried = self.accounts[told.account].carried
            carried[told.market] = carried.get(told.market, 0) + told.change

    def _follow_carry(self, row: Row) -> None:
        told = CarryEffect(row)
        self.account(told.account).carry_until_ns = told.until_ns

    def _follow_provider(self, row: Row) -> None:
        told = ProviderEffect(row)
        provider = self.providers[told.provider]
        provider.account, provider.status, provider.until_ns = told.account, told.status, told.until_ns
        provider.score_ppm = told.score_ppm

    def _follow_offer(self, row: Row) -> None:
        offer = OfferEffect(row)
        number, market, lots, side = offer.provider, offer.market, abs(offer.lots), -sign(offer.lots)
        provider, rise = self.providers[number], max(0, self.backer(number, market, side).initial_rise(lots))
        notional = self._use(number, market, side, lots)
        provider.pending_initial += rise
        provider.pending_notional += notional
        provider.offered[side, market] = provider.offered.get((side, market), 0) + lots
        terms = (notional, rise, self.now_ns, offer.cash, offer.reserved)
        self._offers[offer.offer_id] = Offer(number, market, side, lots, *terms)

    def _follow_takeover(self, row: Row) -> None:
        taken = TakeoverEffect(row)
        if taken.offer_id == 0:
            self._use(taken.provider, taken.market, -sign(taken.lots), abs(taken.lots))
            return
        self._close(taken.offer_id)
        provider = self.providers[taken.provider]
        if taken.offer_id == self._accepted_with:
            provider.score_ppm = score_after_takeover(provider.score_ppm)

    def _follow_cancel(self, row: Row) -> None:
        order = CancelEffect(row).order_id
        if order == self._filled[0]:
            self._filled = (order, 0)
        offer = self._close(order)
        if offer is not None:
            gauges, key = self.providers[offer.provider].gauges, (self.rules.markets[offer.market].group, offer.side)
            refill = self._refill(offer.provider, *key)
            gauges[key] = gauges[key].cancelled(offer.notional, self.now_ns - offer.sent_ns, refill)

    def _use(self, number: int, market: int, side: int, lots: int) -> int:
        """Count lots against a provider's commitment; return their notional."""
        gauges, key = self.providers[number].gauges, (self.rules.markets[market].group, side)
        notional, gauge = self.contract(market).notional_of(lots), gauges[key].at(self.now_ns, self._refill(number, *key))
        gauges[key] = gauge._replace(used=gauge.used + notional)
        return notional

    def _refill(self, number: int, group: int, side: int) -> int:
        return self.rules.providers[number].commitments[group][0 if side > 0 else 1].refill_per_s

    def _close(self, order: int) -> Offer | None:
        """Take back what an offer has pending; None: it is an order on the book."""
        offer = self._offers.pop(order, None)
        if offer is not None:
            provider = self.providers[offer.provider]
            provider.pending_initial -= offer.pending_initial
            provider.pending_notional -= offer.notional
            provider.offered[offer.side, offer.market] -= offer.lots
        return offer

    # -- comparing ---------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """Say in what the engine's rows of funds and providers, after the event, differ from what
        was followed.
        """
        found = []
        for group, followed in enumerate(self.funds):
            fund = _fund(self.rules, self._state, group, self.now_ns)
            found += [f"fund {group}: {fund}, followed {followed}"] if fund != followed else []
        for market, followed_gauge in enumerate(self.market_gauges):
            kept = _market_gauge(self.rules, self._state, market, self.now_ns)
            found += [f"market {market}: {kept}, followed {followed_gauge}"] if kept != followed_gauge else []
        for number, mine in enumerate(self.providers):
            provider = _provider(self.rules, self._state, number)
            for key, gauge in provider.gauges.items():
                refill = self._refill(number, *key)
                if gauge.at(self.now_ns, refill).used != mine.gauges[key].at(self.now_ns, refill).used:
                    found.append(f"commitment {key} of provider {number}")
            provider.gauges = mine.gauges
            found += [f"provider {number}: {provider}, followed {mine}"] if provider != mine else []
        return found


_FOLLOWED: dict[int, Callable[[Books, Row], None]] = {
    EffectKind.RESERVE: Books._follow_reserve,
    EffectKind.CARRY: Books._follow_carry,
    EffectKind.PROVIDER: Books._follow_provider,
    EffectKind.OFFER: Books._follow_offer,
    EffectKind.TAKEOVER: Books._follow_takeover,
    EffectKind.CANCEL: Books._follow_cancel,
    EffectKind.CLAIM: Books._follow_claim,
    EffectKind.HAIRCUT: Books._follow_cut,
}


def read_account(state: State, number: int, at_ns: int | None = None) -> Account:
    """Read an account's rows; results are those of the epoch at ``at_ns``, where it is not given
    of the present one.
    """
    now_ns = int(state.engine[0].now_ns) if at_ns is None else at_ns
    head = state.accounts[number]
    places, place = list[int](), int(head.first_position)
    while place != NONE:
        places.append(place)
        place = int(state.positions[place].next_of_account)
    rows = state.positions[places]
    numbers = [rows[name].tolist() for name in ("market", "lots", "cost")]
    numbers.append(result_bases(state, np.array(places, dtype=np.int64), now_ns).tolist())
    for name in ("settled_loss", "bearing_lots"):
        numbers.append((state.results[name][places] * (head.health == Health.INSOLVENT)).tolist())
    numbers.append(state.results["settled_index"][places].tolist())
    kept = (PPM - state.relieved[places]).tolist()
    positions = {
        market: Held(*values)._replace(kept_ppm=part) for (market, *values), part in zip(zip(*numbers, strict=True), kept, strict=True)
    }
    closed = frozenset(rows["market"][rows["closed_in_default"] != 0].tolist())
    claims = {group: int(state.claims[group, number]) for group in range(len(state.funds))}
    charge_market = int(state.charge_markets[number])
    known = (int(head.balance), int(head.health), int(head.default_since_ns), claims, positions, closed)
    is_forgotten = now_ns - int(state.columns[OWNER_PAID_NS, int(head.owner)]) > int(state.rules[0].owner_memory_ns)
    debts = {} if is_forgotten else {group: int(atoms) for group, atoms in enumerate(state.debts[number])}
    carried = dict(zip(rows["market"].tolist(), state.carries[places, CARRY_ATOMS].tolist(), strict=True))
    until_ns, returns, ended_ns = state.defaults[_PAST][number].tolist()
    return Account(
        *known,
        doubt_ns=_doubt_ns(state, number, now_ns),
        charge_market=charge_market,
        asset=int(state.account_assets[number]),
        debts=debts,
        carry_until_ns=until_ns,
        carried=carried,
        returns=returns,
        default_ended_ns=ended_ns,
    )


def _doubt_ns(state: State, number: int, now_ns: int) -> int:
    """Return for how long an account waited for doubt in its default, the wait included in which it
    is.
    """
    row = state.defaults[number]
    waited, since_ns = int(row.doubt_ns), int(row.doubt_since_ns)
    return waited if since_ns == NONE else min(int(state.rules[0].doubt_max_ns), waited + now_ns - since_ns)


def _read_accounts(state: State, numbers: list[int], now_ns: int) -> dict[int, Account]:
    """Read the rows of many accounts at once."""
    heads = state.accounts[numbers]
    is_forgotten = now_ns - state.columns[OWNER_PAID_NS, heads["owner"]] > int(state.rules[0].owner_memory_ns)
    debts = np.where(is_forgotten[:, None], 0, state.debts[numbers])
    columns = (
        heads[["balance", "health", "default_since_ns"]],
        state.claims[:, numbers].T,
        state.charge_markets[numbers],
        state.account_assets[numbers],
        debts,
        state.defaults[_PAST][numbers],
    )
    found = {
        number: Account(
            balance,
            health,
            since_ns,
            dict(enumerate(claims)),
            {},
            frozenset(),
            _doubt_ns(state, number, now_ns),
            charge_market=charge_market,
            asset=asset,
            debts=dict(enumerate(owed)),
            carry_until_ns=until_ns,
            returns=returns,
            default_ended_ns=ended_ns,
        )
        for number, (balance, health, since_ns), claims, charge_market, asset, owed, (until_ns, returns, ended_ns) in zip(
            numbers, *(each.tolist() for each in columns), strict=True
        )
    }
    rows = state.positions[: int(state.engine[0].positions_now)]
    places = np.flatnonzero(np.isin(rows["account"], numbers))
    for first in range(0, len(places), _CHUNK):
        part = places[first : first + _CHUNK]
        held = rows[part][["account", "market", "lots", "cost", "closed_in_default"]].tolist()
        bases, kept = result_bases(state, part, now_ns).tolist(), state.results[part][["settled_loss", "bearing_lots", "settled_index"]]
        carried, margins = state.carries[part, CARRY_ATOMS].tolist(), (PPM - state.relieved[part]).tolist()
        for (number, market, lots, cost, is_closed), base, (settled, most_lots, index), atoms, kept_ppm in zip(
            held, bases, kept.tolist(), carried, margins, strict=True
        ):
            if found[number].health != Health.INSOLVENT:
                settled = most_lots = 0
            found[number].positions[market] = Held(lots, cost, base, settled, most_lots, index, 0, kept_ppm)
            found[number].carried[market] = atoms
            if is_closed:
                found[number].closed |= {market}
    return found


def _house_of(market: int) -> tuple[int, int]:
    return outside_of(market), error_inventory_of(market)


def _epoch_marks(rules: VenueRules, state: State, now_ns: int) -> list[int]:
    """Return the marks when the epoch of an event began, from the rows before it."""
    markets = state.markets
    marks: list[int] = np.where(markets["epoch"] == now_ns // rules.epoch_ns, markets["epoch_mark_ticks"], markets["mark_ticks"]).tolist()
    return marks


def _fund(rules: VenueRules, state: State, group: int, now_ns: int) -> Fund:
    balance, uncovered = (int(state.house[int(house_slot(holder))]) for holder in (fund_of(group), uncovered_of(group)))
    paid, arrears = (_paid(rules, state, gauge, now_ns) for gauge in (int(fund_gauge(group)), int(arrears_gauge(group))))
    return Fund(balance, int(state.funds[group].reserved), paid, arrears, -uncovered, int(state.funds[group].carried))


def _market_gauge(rules: VenueRules, state: State, market: int, now_ns: int) -> MarketGauge:
    return MarketGauge(int(state.markets[market].reserved), _paid(rules, state, int(market_gauge(market)), now_ns))


def _paid(rules: VenueRules, state: State, gauge: int, now_ns: int) -> int:
    """Return what a gauge of the state counts as of a time."""
    row = state.gauges[gauge].tolist()
    newest = row[FUND_SLOTS]
    by_slot = {number: row[number % FUND_SLOTS] for number in range(newest - FUND_SLOTS + 1, newest + 1)}
    return paid_in_window(by_slot, now_ns, rules.fund.window_ns)


def _provider(rules: VenueRules, state: State, number: int) -> Provider:
    row, gauges = state.providers[number], dict[tuple[int, int], Gauge]()
    for group in range(len(rules.funds)):
        for direction, side in enumerate((1, -1)):
            commitment = state.commitments[(number * GROUPS_MAX + group) * 2 + direction]
            gauges[group, side] = Gauge(int(commitment.used), int(commitment.used_ns))
    offered = {
        (side, market): lots
        for direction, side in enumerate((1, -1))
        for market, lots in enumerate(state.offered[2 * number + direction].tolist())
    }
    status = ProviderStatus(int(row.status))
    terms = (int(row.until_ns), int(row.score_ppm), int(row.pending_initial), int(row.pending_notional))
    return Provider(int(row.account), status, *terms, offered, gauges)


def _accepted_with(recorded: EffectArray, scores_ppm: dict[int, int]) -> int:
    """Return the last offer that is taken over in an event; 0 where none is, or where its provider
    failed at what else the joint offer had: a failure of it and then a cancellation follow.
    """
    rows = list(Rows(recorded))
    taken = [place for place, row in enumerate(rows) if row["kind"] == EffectKind.TAKEOVER and TakeoverEffect(row).offer_id]
    if not taken:
        return 0
    last = TakeoverEffect(rows[taken[-1]])
    following = rows[taken[-1] + 1 :]
    for row, after in pairwise(following):
        if row["kind"] == EffectKind.PROVIDER and after["kind"] == EffectKind.CANCEL:
            told = ProviderEffect(row)
            if told.provider == last.provider and told.score_ppm < scores_ppm[told.provider]:
                return 0
    return last.offer_id


def _offers_named(state: State, recorded: EffectArray) -> dict[int, Offer]:
    """Return the open offers that an event's effects name, by id."""
    named = recorded[np.isin(recorded["kind"], (EffectKind.CANCEL, EffectKind.TAKEOVER))]["other"].tolist()
    found: dict[int, Offer] = {}
    for order in named:
        row: Any = state.orders[order % len(state.orders)]
        if order > 0 and int(row.id) == order and int(row.is_open) and int(row.kind) == TAKEOVER_OFFER:
            terms = (int(row.notional), int(row.pending_initial), int(row.sent_ns), int(row.cash), int(row.reserved))
            found[order] = Offer(int(row.provider), int(row.market), -sign(int(row.lots)), abs(int(row.lots)), *terms)
    return found
