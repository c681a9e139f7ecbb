"""What the engine remembers, and the entries that change it: postings, trades, judging, cancelling.

Rules R1 and R2, with the two named procedures ``judge`` (R2.4) and ``cancel`` (R2.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from backstop.core.events import (
    FEES,
    NEVER_NS,
    NONE,
    REMAINDER,
    WORLD,
    Cause,
    EffectKind,
    Health,
    InitialMargin,
    ProviderStatus,
    Stage,
    clearing_of,
    error_inventory_of,
    fund_of,
    funding_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import NO_CAP, PPM, PRICE_TICKS_LIMIT, CommitmentRules, LevelRules, VenueRules, joint_most
from backstop.reference.arithmetic import sign, split
from backstop.reference.book import UNKNOWN_LOTS
from backstop.reference.closing import deadline_ns, earlier_in_place
from backstop.reference.funds import FundView, paid_for_owner, paid_in_window, pay_slot, supports_closing
from backstop.reference.loss import closes_at_once, closes_if_in_default
from backstop.reference.machine import Breaker, Peaks, new_breakers, new_peaks
from backstop.reference.margin import Contract, Holding, Portfolio, Standing, levels_after, returns_at
from backstop.reference.offering import Gauge
from backstop.reference.records import Effect

__all__ = [
    "CLOSING_ORDER",
    "DISPOSAL_ORDER",
    "OF_ALL_ASSETS",
    "TAKEOVER_OFFER",
    "Account",
    "FillDebt",
    "Fund",
    "Market",
    "Order",
    "Owner",
    "Position",
    "Provider",
    "State",
    "WaitingChange",
]

#: Kinds of orders.
CLOSING_ORDER, TAKEOVER_OFFER, DISPOSAL_ORDER = 0, 1, 2
#: What a fund paid for an owner.
FUND_PAYS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)
FUND_PAYS_LATE = Cause.ARREARS
#: Ledger accounts with a balance in each asset, in the order of the digest.
OF_ALL_ASSETS = (WORLD, REMAINDER, FEES)


@dataclass(slots=True)
class Position:
    """Signed lots and what they cost; the row stays for some time when the lots are gone (R1.2.5)."""

    lots: int = 0
    cost: int = 0
    #: What its result is measured from.
    base: int = 0
    #: Of an insolvent account (R3.2); without meaning in others.
    settled: int = 0
    most_lots: int = 0
    #: Likewise: what it had of the account's gap when that was noted, the mark of then, and the lots
    #: of then.
    gap: int = 0
    gap_mark: int = 0
    gap_lots: int = 0
    #: The market's funding index up to which it has paid, or was paid.
    settled_index: int = 0
    closed_in_default: bool = False
    #: What its fund reserves to carry the account.
    carried: int = 0
    #: The part of its maintenance margin that it needs; below 1e6 it has relief.
    kept_ppm: int = PPM
    #: The epoch in which it was held last, where it is not held now.
    held_epoch: int = 0


@dataclass(slots=True)
class Order:
    """A closing order, an offer to a provider or an order of disposal; ``lots`` is the signed
    change of the position.
    """

    id: int
    account: int
    market: int
    lots: int
    limit_ticks: int
    zero_cash: int
    reserved: int = 0
    kind: int = CLOSING_ORDER
    filled: int = 0
    is_open: bool = True
    #: Of an offer: to whom, what the account gets, and what the provider's gauges hold for it.
    provider: int = NONE
    cash: int = 0
    pending_initial: int = 0
    notional: int = 0
    offered_ns: int = 0
    #: When it left.
    sent_ns: int = 0
    #: The first offer of the joint offer that it is a part of; 0: it is no offer.
    joint: int = 0
    expires_ns: int = 0

    @property
    def remaining(self) -> int:
        """Lots not yet filled, unsigned."""
        return abs(self.lots) - self.filled


@dataclass(slots=True)
class Market:
    """State of a market; ``depth`` is by side, then by band."""

    depth: list[list[int]]
    mark: int = 0
    #: The mark when the present epoch began; of a market that had none, its first.
    epoch_mark: int = 0
    index: int = 0
    volume: int = -1
    ordered: int = 0
    #: What a long lot has paid since the market began, in parts of an atom.
    funding_index: int = 0
    #: What its group's fund paid for it, by number of the slot of time, and reserves for it.
    paid: dict[int, int] = field(default_factory=dict)
    reserved: int = 0


@dataclass(slots=True)
class Account:
    """State of an account beside its ledger balance and its positions."""

    owner: int
    #: The one market of a pocket, or NONE.
    pocket: int = NONE
    asset: int = 0
    health: int = Health.HEALTHY
    default_since: int = NEVER_NS
    wait_until: int = NEVER_NS
    next_slice: int = 0
    #: For how long it waited for doubt in this default, and since when it does now, or NONE.
    doubt_ns: int = 0
    kept_since: int = NONE
    restricted: bool = False
    ordered: int = 0
    #: Recovery claims by group.
    claims: dict[int, int] = field(default_factory=dict)
    #: By group: what its fund paid for the account and did not get back.
    debts: dict[int, int] = field(default_factory=dict)
    #: Market of the last funding payment that it had to make, or NONE.
    charge_market: int = NONE
    #: Until when it may be carried in this default; 0: it was not carried yet.
    carry_until: int = 0
    #: How often it came back to default, and when its last one ended, if it had lots then.
    returns: int = 0
    default_ended: int = NONE

    @property
    def claim(self) -> int:
        """Recovery claims on all groups."""
        return sum(self.claims.values())

    @property
    def in_default(self) -> bool:
        """DISTRESSED or worse."""
        return self.health >= Health.DISTRESSED


@dataclass(slots=True)
class Fund:
    """A market group's insurance fund beside its ledger balance; ``paid``, and ``arrears`` of it,
    by number of the slot of time.
    """

    reserved: int = 0
    paid: dict[int, int] = field(default_factory=dict)
    arrears: dict[int, int] = field(default_factory=dict)
    #: Gains of its group that are noted, by owner, and ``G``; gains that left in this epoch, by owner.
    noted: dict[int, int] = field(default_factory=dict)
    noted_sum: int = 0
    #: What of the hole each owner of a noted gain owes, in parts of ``owed_sum``.
    owed: dict[int, int] = field(default_factory=dict)
    owed_sum: int = 0
    #: The hole before something was uncovered in the event at hand; None: nothing was.
    hole_before: int | None = None
    gone: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Owner:
    """What all funds paid for one owner, when last, and what they reserve for it."""

    paid: int = 0
    paid_ns: int = 0
    reserved: int = 0
    #: What he owes for fills, when the last of them was, and the first that counts.
    fill_debt: int = 0
    fill_ns: int = 0
    fill_from: int = 0


@dataclass(slots=True)
class FillDebt:
    """What an owner owes an account for a fill between them."""

    number: int
    account: int
    owner: int
    amount: int


class WaitingChange(NamedTuple):
    """A rule that is to change."""

    number: int
    market: int
    entry: int
    part: int
    value: int
    from_ns: int

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Which rule, and whose."""
        return self.number, self.market, self.entry, self.part


@dataclass(slots=True)
class Provider:
    """Standing of a backstop provider; ``commitments`` by group, then longs, shorts."""

    commitments: list[list[Gauge]]
    account: int = NONE
    status: int = ProviderStatus.UNBOUND
    until: int = NEVER_NS
    failures: int = 0
    score: int = 0
    baseline: int = 0
    pending_initial: int = 0
    pending_notional: int = 0


@dataclass(slots=True)
class State:
    """Everything that the digest covers, and the effects of the event at hand."""

    rules: VenueRules
    markets: list[Market] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    #: Those that were INSOLVENT when they were last judged.
    insolvent: set[int] = field(default_factory=set)
    #: Balances by ledger account, of WORLD, FEES and REMAINDER in the first asset; those in the others by
    #: asset and ledger account.
    ledger: dict[int, int] = field(default_factory=dict)
    further: dict[tuple[int, int], int] = field(default_factory=dict)
    #: By ledger account of the house, None of those with a balance in each.
    assets_of_house: dict[int, int | None] = field(default_factory=dict)
    #: By holder (account, OUTSIDE or error_inventory), then by market.
    positions: dict[int, dict[int, Position]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    next_order: int = 1
    #: In order of their time, then of the events that asked for them.
    changes: list[WaitingChange] = field(default_factory=list)
    #: By market: when its relief ends, where notice was given.
    notices: dict[int, int] = field(default_factory=dict)
    #: By market: no rule makes its highest price higher.
    price_most: list[int] = field(default_factory=list)
    #: By number.
    fill_debts: dict[int, FillDebt] = field(default_factory=dict)
    next_fill_debt: int = 1
    now: int = 0
    last_seq: int = -1
    #: Time of the last sign of life of a market, or NONE.
    life_ns: int = NONE
    interval: int = 0
    epoch: int = 0
    ordered: int = 0
    recovery_ns: int = NEVER_NS
    funds: list[Fund] = field(default_factory=list)
    #: Account and market of the positions for which funds reserve to carry the account, in the order in
    #: which that began.
    carries: list[tuple[int, int]] = field(default_factory=list)
    owners: dict[int, Owner] = field(default_factory=dict)
    providers: list[Provider] = field(default_factory=list)
    #: One a market, then the venue's.
    breakers: list[Breaker] = field(default_factory=list)
    #: Of the funds, by group.
    peaks: list[Peaks] = field(default_factory=list)
    #: Breakers to settle at the end of the event, in the order in which they became dirty.
    dirty: list[int] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    #: Own money of owners with noted gains.
    own: dict[int, int] = field(default_factory=dict)
    #: Providers whose time to sell has come in the event at hand.
    selling: set[int] = field(default_factory=set)
    #: The last joint offer by provider, market and side of the lots, with the event that began it.
    joints: dict[tuple[int, int, int], tuple[int, int]] = field(default_factory=dict)
    #: The joint turn at which accounts stand, NONE: at none any more, in the order in which they came.
    parked: dict[int, int] = field(default_factory=dict)
    #: Signed lots that others' tear-up took of accounts in the event at hand, by account and market.
    torn: dict[tuple[int, int], int] = field(default_factory=dict)
    #: P&L that ADL and tear-up realised of accounts in the event at hand, less cuts that they paid from
    #: money, by account and market.
    event_gains: dict[tuple[int, int], int] = field(default_factory=dict)
    #: What accounts paid of cuts in the event at hand.
    cuts_paid: dict[int, int] = field(default_factory=dict)
    #: By account that stands at socialise: what its funds left of the parts of its deficit, by market.
    left_parts: dict[int, dict[int, int]] = field(default_factory=dict)
    #: Account and market of lots that others' orders or defaults reduced, until it is judged.
    reduced: set[tuple[int, int]] = field(default_factory=set)
    effects: list[Effect] = field(default_factory=list)
    #: By owner: equity when ADL first asked him in the event at hand.
    asked_equity: dict[int, int] = field(default_factory=dict)
    #: Likewise loading x signed notional of all his positions, without what he gave to ADL since.
    asked_exposure: dict[int, int] = field(default_factory=dict)
    #: Signed lots that others' defaults took of positions in the event at hand, by account and market.
    taken: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the house's ledger accounts and positions, its funds, breakers and providers."""
        groups = range(len(self.rules.funds))
        self.ledger = dict.fromkeys((WORLD, REMAINDER, FEES, *map(uncovered_of, groups), *map(fund_of, groups)), 0)
        self.assets_of_house = dict.fromkeys(OF_ALL_ASSETS)
        for group, fund in enumerate(self.rules.funds):
            self.assets_of_house |= dict.fromkeys((fund_of(group), uncovered_of(group)), fund.asset)
        for number, rules in enumerate(self.rules.markets):
            own = (clearing_of(number), funding_of(number), outside_of(number), error_inventory_of(number))
            self.assets_of_house |= dict.fromkeys(own, rules.settlement_asset)
        others = range(1, len(self.rules.assets))
        self.further = {(asset, ledger_id): 0 for asset in others for ledger_id in OF_ALL_ASSETS}
        for number, rules in enumerate(self.rules.markets):
            self.markets.append(self.new_market(number))
            self.price_most.append(rules.price_ticks_max if rules.is_listed else PRICE_TICKS_LIMIT)
            self.ledger[clearing_of(number)] = self.ledger[funding_of(number)] = 0
            for holder in (outside_of(number), error_inventory_of(number)):
                self.ledger[holder] = 0
                self.positions[holder] = {number: Position()}
        self.funds = [Fund() for _ in groups]
        self.breakers, self.peaks = new_breakers(self.rules), new_peaks(self.rules)
        self.providers = [Provider([[Gauge(0, 0), Gauge(0, 0)] for _ in groups]) for _ in self.rules.providers]

    def new_market(self, market: int) -> Market:
        """A market of which nothing was told."""
        rules = self.rules.markets[market]
        bands = len(rules.band_offset_ppm)
        shown = UNKNOWN_LOTS if rules.reports_depth else 0
        return Market(depth=[[shown] * bands, [shown] * bands])

    # -- looking -----------------------------------------------------------------------------------

    def contract(self, market: int) -> Contract:
        """The market's contract at its mark."""
        rules, mark = self.rules.markets[market], self.markets[market].mark
        longs = sum(self.held_lots(holder, market) for holder in self.holders(market, 1)) if rules.interest_upper else 0
        row = self.markets[market]
        contract = Contract(rules, mark, 0, row.funding_index, row.epoch_mark)
        return contract._replace(interest=contract.notional_of(longs)) if longs else contract

    def others_lots(self, holder: int, market: int) -> int:
        """Lots of the holder's owner's other accounts in the market, where tiers are by owner."""
        if holder < 0 or self.rules.markets[market].initial_margin != InitialMargin.OWNER:
            return 0
        linked = self.accounts_of(self.accounts[holder].owner)
        return sum(abs(self.held_lots(account, market)) for account in linked if account != holder)

    def holding(self, holder: int, market: int) -> Holding:
        """What a holder has in the market, without opening a row."""
        row = self.positions[holder].get(market) or Position()
        settled, most = (row.settled, row.most_lots) if self.is_insolvent(holder) else (0, 0)
        others = self.others_lots(holder, market)
        return Holding(market, self.contract(market), row.lots, row.cost, row.base, settled, most, row.settled_index, others, row.kept_ppm)

    def is_insolvent(self, holder: int) -> bool:
        """Say whether the holder is an account that was insolvent when it was last judged."""
        return holder >= 0 and self.accounts[holder].health == Health.INSOLVENT

    def portfolio(self, account: int) -> Portfolio:
        """Balance and holdings of an account."""
        holdings = (self.holding(account, market) for market in sorted(self.positions[account]))
        return Portfolio(self.ledger[account], tuple(holdings), self.levels_of(account))

    def levels_of(self, account: int) -> LevelRules:
        """Levels of health of an account: in default by how often it came back."""
        row = self.accounts[account]
        return levels_after(self.rules.levels, row.returns) if row.in_default else self.rules.levels

    def enter_default(self, account_id: int) -> None:
        """Begin a default: note whether it is a return."""
        account = self.accounts[account_id]
        account.default_since, account.next_slice = self.now, 0
        account.returns = returns_at(account.returns, account.default_ended, self.now, self.rules.levels)

    def end_default(self, account_id: int) -> None:
        """End a default: whoever has no lots begins anew with the next position."""
        self.accounts[account_id].default_ended = self.now if self.held_markets(account_id) else NONE

    def position(self, holder: int, market: int) -> Position:
        """Return the holder's row in the market, opening it where there is none."""
        return self.positions[holder].setdefault(market, Position())

    def held_lots(self, holder: int, market: int) -> int:
        """Signed lots, without opening a row."""
        row = self.positions[holder].get(market)
        return row.lots if row else 0

    def held_markets(self, account: int) -> list[int]:
        """Markets in which the account has lots, in order of id."""
        return sorted(market for market, row in self.positions[account].items() if row.lots)

    def holders(self, market: int, side: int) -> list[int]:
        """Holders of lots of that sign, accounts by id, then OUTSIDE, then error_inventory."""
        everyone = [*range(len(self.accounts)), outside_of(market), error_inventory_of(market)]
        return [holder for holder in everyone if sign(self.held_lots(holder, market)) == side]

    def equity(self, account: int) -> int:
        """Ledger balance, unrealised P&L and unpaid funding of all positions."""
        return self.portfolio(account).equity

    def equity_asked(self, owner: int, equity: int) -> int:
        """Return what an owner's accounts not in default had together when ADL first asked him in this
        event; ``equity``: what they have.
        """
        return self.asked_equity.setdefault(owner, equity)

    def exposure_asked(self, owner: int, exposure: int) -> int:
        """Return the sum of loading x signed notional of an owner's positions in accounts not in default,
        likewise; ``exposure``: what it is.
        """
        return self.asked_exposure.setdefault(owner, exposure)

    def note_given(self, account: int, market: int, lots: int) -> None:
        """Add signed lots that an account took in ADL to what its owner is asked by."""
        loading = self.rules.markets[market].factor_loading_ppm
        self.asked_exposure[self.accounts[account].owner] += loading * self.contract(market).exposure_of(lots)

    def note_taken(self, holder: int, market: int, lots: int) -> None:
        """Note signed lots that another's default took of a position; nothing of the house's."""
        if holder >= 0:
            self.taken[holder, market] = self.taken.get((holder, market), 0) + lots

    def maintenance(self, account: int) -> int:
        """Maintenance margin of all positions."""
        return self.portfolio(account).maintenance

    def standing(self, account: int) -> Standing:
        """Equity and maintenance margin of an account."""
        return self.portfolio(account).standing

    def orders_of(self, account: int) -> list[Order]:
        """Open orders of the account, in order of market id, then order id."""
        orders = [order for order in self.open_orders.values() if order.account == account]
        return sorted(orders, key=lambda order: (order.market, order.id))

    def orders_at(self, account: int, market: int) -> list[Order]:
        """Open orders of the position, in order of id."""
        return [order for order in self.orders_of(account) if order.market == market]

    def remembers(self, order_id: int) -> bool:
        """Say whether the order is among the last ``orders_max`` issued."""
        return self.next_order - order_id <= self.rules.limits.orders_max

    def row_is_free(self, account: int, market: int) -> bool:
        """Say whether the account has a row in the market, or there is one left for it."""
        rows = sum(len(self.positions[number]) for number in range(len(self.accounts)))
        return market in self.positions[account] or rows < self.rules.limits.positions_max

    def group(self, market: int) -> int:
        """Group of the market."""
        return self.rules.markets[market].group

    def fund_id(self, market: int) -> int:
        """Ledger id of the fund of the market's group."""
        return fund_of(self.group(market))

    def group_of_fund(self, ledger_id: int) -> int | None:
        """Group whose fund this ledger id is, if it is one of this venue's."""
        return next((group for group in range(len(self.funds)) if fund_of(group) == ledger_id), None)

    def first_group(self, account: int) -> int:
        """First group of the account's asset."""
        return self.rules.groups_of(self.accounts[account].asset)[0]

    def asset_of(self, ledger_id: int) -> int | None:
        """Asset of a ledger account, or None where it has a balance in each."""
        if ledger_id >= 0:
            return self.accounts[ledger_id].asset
        return self.assets_of_house[ledger_id]

    def balance(self, ledger_id: int, asset: int) -> int:
        """Balance of a ledger account in an asset."""
        return self.further[asset, ledger_id] if asset and ledger_id in OF_ALL_ASSETS else self.ledger[ledger_id]

    def _credit(self, ledger_id: int, asset: int, amount: int) -> None:
        if asset and ledger_id in OF_ALL_ASSETS:
            self.further[asset, ledger_id] += amount
        else:
            self.ledger[ledger_id] += amount

    def pay_slot(self) -> int:
        """Number of the present slot of what funds paid."""
        return pay_slot(self.now, self.rules.fund.window_ns)

    def paid(self, group: int) -> int:
        """Atoms that the fund paid in the latest slots: at least those of a whole window."""
        return paid_in_window(self.funds[group].paid, self.now, self.rules.fund.window_ns)

    def paid_for(self, market: int) -> int:
        """Atoms that the fund of its group paid for a market in the latest slots."""
        return paid_in_window(self.markets[market].paid, self.now, self.rules.fund.window_ns)

    def arrears(self, group: int) -> int:
        """Atoms that the fund paid late in the latest slots."""
        return paid_in_window(self.funds[group].arrears, self.now, self.rules.fund.window_ns)

    def uncovered(self, group: int) -> int:
        """Atoms that nobody has paid of the group's losses."""
        return -self.ledger[uncovered_of(group)]

    def forget_noted(self, group: int) -> None:
        """Note no gains of a group once nothing is uncovered there."""
        if self.uncovered(group) == 0:
            self.funds[group].noted, self.funds[group].noted_sum = {}, 0
            self.funds[group].owed, self.funds[group].owed_sum = {}, 0

    def unreserved(self, group: int) -> int:
        """Atoms of the fund that are not reserved."""
        return self.ledger[fund_of(group)] - self.funds[group].reserved

    def net_of_fund(self, group: int) -> int:
        """Atoms of the fund that it neither reserves for orders and offers nor keeps for what is uncovered;
        below 0: what it lacks for that.
        """
        return self.unreserved(group) + self.carried_in(group) - self.uncovered(group)

    def hole(self, group: int) -> int:
        """What is uncovered in a group and its fund cannot pay."""
        return max(0, -self.net_of_fund(group))

    def note_hole(self, group: int) -> None:
        """Note what the hole was before something is uncovered, the first time in an event."""
        fund = self.funds[group]
        fund.hole_before = self.hole(group) if fund.hole_before is None else fund.hole_before

    def results(self, account: int) -> dict[int, int]:
        """Result of each of the account's positions, by market."""
        return {holding.market: holding.result for holding in self.portfolio(account).holdings}

    def claims_on(self, group: int) -> int:
        """Recovery claims on the group, of all accounts."""
        return sum(account.claims.get(group, 0) for account in self.accounts)

    @property
    def claims(self) -> int:
        """Recovery claims of all accounts on all groups."""
        return sum(account.claim for account in self.accounts)

    def owner(self, account: int) -> Owner:
        """Gauges of the account's owner."""
        return self.owners.setdefault(self.accounts[account].owner, Owner())

    def owner_paid(self, owner: Owner) -> int:
        """Atoms paid for the owner, none of them once a whole window passed without a payment."""
        return paid_for_owner(owner.paid, owner.paid_ns, self.now, self.rules.fund.window_ns)

    def accounts_of(self, owner: int) -> list[int]:
        """Accounts of an owner, in order of id."""
        return [number for number, account in enumerate(self.accounts) if account.owner == owner]

    def is_apart(self, account: int) -> bool:
        """A pocket that is not netted with its owner's other accounts."""
        return self.accounts[account].pocket != NONE and not self.rules.fund.pockets_are_netted

    def are_linked(self, account: int, other: int) -> bool:
        """Two accounts stand for each other: their owner is one, and neither is apart."""
        is_one = self.accounts[account].owner == self.accounts[other].owner
        return is_one and (account == other or not (self.is_apart(account) or self.is_apart(other)))

    def linked_with(self, account: int) -> list[int]:
        """The account and those that are linked with it, in order of id."""
        return [number for number in self.accounts_of(self.accounts[account].owner) if self.are_linked(account, number)]

    def debts(self, account: int) -> dict[int, int]:
        """What the account owes the funds, by group; nothing once the owner's debts are forgotten."""
        is_forgotten = self.now - self.owner(account).paid_ns > self.rules.fund.owner_memory_ns
        return {} if is_forgotten else self.accounts[account].debts

    def owner_debt(self, owner: int) -> int:
        """What all accounts of the owner owe the funds together."""
        return sum(sum(self.debts(account).values()) for account in self.accounts_of(owner))

    def fill_debt(self, owner: int) -> int:
        """What an owner owes for fills; nothing once that is forgotten."""
        gauges = self.owners.get(owner, Owner())
        return 0 if self.now - gauges.fill_ns > self.rules.fund.owner_memory_ns else gauges.fill_debt

    def fill_debts_to(self, account: int) -> list[FillDebt]:
        """What is owed to an account for fills, the newest first: of the latest ``orders_max`` of the
        venue, what is neither paid nor forgotten.
        """
        first = self.next_fill_debt - self.rules.limits.orders_max
        debts = [debt for debt in self.fill_debts.values() if debt.account == account and debt.amount]
        debts = [debt for debt in debts if debt.number >= max(first, self.owners[debt.owner].fill_from) and self.fill_debt(debt.owner)]
        return sorted(debts, key=lambda debt: -debt.number)

    def fund_view(self, group: int, account: int, market: int) -> FundView:
        """A fund as the account sees it, for a payment that names a market of the group, or NONE."""
        fund, owner = self.funds[group], self.owner(account)
        return FundView(
            balance=self.ledger[fund_of(group)],
            reserved=fund.reserved,
            paid=self.paid(group),
            loss_max=self.rules.funds[group].loss_per_window_max,
            owner_paid=self.owner_paid(owner),
            owner_reserved=owner.reserved,
            owner_loss_max=self.rules.of_group(group).owner_loss_max,
            market_paid=self.paid_for(market) if market != NONE else 0,
            market_reserved=self.markets[market].reserved if market != NONE else 0,
            market_loss_max=self.rules.markets[market].loss_per_window_max if market != NONE else NO_CAP,
            arrears=self.arrears(group) if market != NONE else 0,
            arrears_of_all=sum(map(self.arrears, self.rules.groups_of(self.rules.funds[group].asset))),
            uncovered=self.uncovered(group),
            supports=self.fund_supports,
        )

    def deadline(self, account: int) -> int:
        """Time after which the account waits no longer for the book."""
        row = self.accounts[account]
        return deadline_ns(row.default_since + row.doubt_ns, self.rules.closeout)

    @property
    def has_fund(self) -> bool:
        """The fund stands somewhere in the waterfall."""
        return Stage.FUND in self.rules.stages

    @property
    def fund_supports(self) -> bool:
        """The fund stands in the waterfall with no ADL before it, so that it supports closing
        orders and takeovers.
        """
        return supports_closing(self.rules.stages)

    @property
    def has_socialise(self) -> bool:
        """Socialise stands somewhere in the waterfall."""
        return Stage.SOCIALISE in self.rules.stages

    def place_held(self) -> bool:
        """The next order id would take the place of an order that is still open, or of the first of a
        joint offer that is.
        """
        earlier = earlier_in_place(self.next_order, self.rules.limits.orders_max)
        return earlier in self.open_orders or (earlier > 0 and bool(self.joint_offer(earlier)))

    def joint_offer(self, joint: int) -> list[Order]:
        """Open offers of a joint offer, in order of id."""
        return [order for _, order in sorted(self.open_orders.items()) if order.joint == joint]

    def joint_for(self, provider: int, market: int, lots: int) -> int:
        """The joint offer that an offer of these signed lots is a part of: that of this event, or a
        new one.
        """
        place = (provider, market, sign(lots))
        joint, seq = self.joints.get(place, (0, -1))
        members = len(self.joint_offer(joint)) if seq == self.last_seq and joint else 0
        if not 0 < members < joint_most(self.rules.limits):
            joint = self.next_order
            self.joints[place] = (joint, self.last_seq)
        return joint

    def provider_of(self, account: int) -> int:
        """Number of the provider whose account it is, or NONE."""
        return next((number for number, provider in enumerate(self.providers) if provider.account == account), NONE)

    # -- changing ----------------------------------------------------------------------------------

    def emit(
        self,
        kind: EffectKind,
        *,
        code: int = 0,
        market: int = NONE,
        account: int = NONE,
        other: int = 0,
        lots: int = 0,
        price_ticks: int = 0,
        amount: int = 0,
        value: int = 0,
    ) -> None:
        """Add an effect of the event at hand, and note where it says that a default closes lots."""
        if account >= 0 and closes_at_once(kind, code):
            self.position(account, market).closed_in_default = True
        self.effects.append(Effect(self.last_seq, int(kind), int(code), market, account, other, lots, price_ticks, amount, value))

    def start_interval(self) -> None:
        """Empty the tumbling gauges when their interval is over."""
        interval = self.now // self.rules.closeout.cap_interval_ns
        if interval == self.interval:
            return
        self.interval, self.ordered = interval, 0
        for market in self.markets:
            market.ordered = 0
        for account in self.accounts:
            account.ordered = 0

    def start_epoch(self) -> None:
        """Measure all results from the present marks when a new epoch has begun."""
        epoch = self.now // self.rules.epoch_ns
        if epoch == self.epoch:
            return
        self.epoch = epoch
        for fund in self.funds:
            fund.gone = {}
        for number, market in enumerate(self.markets):
            market.epoch_mark = market.mark
            for rows in self.positions.values():
                if number in rows:
                    rows[number].base = self.contract(number).value_of(rows[number].lots)
        self._let_rows_leave()

    def _let_rows_leave(self) -> None:
        """Forget the rows of accounts that are not held, and were not in this epoch."""
        for account, head in enumerate(self.accounts):
            for market, row in list(self.positions[account].items()):
                is_held = row.lots or head.in_default or self.orders_at(account, market)
                if not is_held and row.held_epoch < self.epoch:
                    del self.positions[account][market]

    def note_held(self, holder: int, market: int) -> None:
        """Note that a row was held in this epoch."""
        self.position(holder, market).held_epoch = self.epoch

    def post(self, receiver: int, payer: int, amount: int, cause: Cause, market: int = NONE) -> None:
        """Move money; a negative amount moves the other way, nothing is not posted."""
        if amount < 0:
            receiver, payer, amount = payer, receiver, -amount
        if amount == 0:
            return
        assets = {self.asset_of(receiver), self.asset_of(payer)} - {None}
        if len(assets) != 1:
            raise ValueError(f"{cause.name} from {payer} to {receiver}: must be in one asset, not in {sorted(map(str, assets))}")
        asset = next(each for each in assets if each is not None)
        self._credit(receiver, asset, amount)
        self._credit(payer, asset, -amount)
        group = self.group_of_fund(payer)
        if group is not None and cause in FUND_PAYS:
            self._count_payment(group, receiver, amount, market)
        elif group is not None and cause == FUND_PAYS_LATE:
            for gauge in (self.funds[group].paid, self.funds[group].arrears):
                gauge[self.pay_slot()] = gauge.get(self.pay_slot(), 0) + amount
        self.emit(EffectKind.POSTING, code=cause, market=market, account=receiver, other=payer, amount=amount, value=asset)

    def _count_payment(self, group: int, account: int, amount: int, market: int) -> None:
        owner = self.owner(account)
        gauges = [self.funds[group].paid] + ([self.markets[market].paid] if market != NONE else [])
        for gauge in gauges:
            gauge[self.pay_slot()] = gauge.get(self.pay_slot(), 0) + amount
        owner.paid, owner.paid_ns = self.owner_paid(owner) + amount, self.now

    def reserve(self, order: Order, change: int) -> None:
        """Change what the fund keeps for an order; the order's own number is the caller's."""
        if change:
            fund = self.funds[self.group(order.market)]
            fund.reserved += change
            self.markets[order.market].reserved += change
            self.owner(order.account).reserved += change
            self.emit(EffectKind.RESERVE, market=order.market, account=order.account, other=order.id, amount=change, value=fund.reserved)

    def reserve_to_carry(self, account: int, market: int, change: int) -> None:
        """Change what the fund keeps to carry an account, for one of its positions."""
        if change == 0:
            return
        row, fund = self.position(account, market), self.funds[self.group(market)]
        row.carried += change
        if row.carried == change:
            self.carries.append((account, market))
        elif row.carried == 0:
            self.carries.remove((account, market))
        fund.reserved += change
        self.markets[market].reserved += change
        self.owner(account).reserved += change
        self.emit(EffectKind.RESERVE, market=market, account=account, other=0, amount=change, value=fund.reserved)

    def end_carry(self, account: int) -> None:
        """Free what is reserved to carry an account."""
        for market, row in sorted(self.positions[account].items()):
            self.reserve_to_carry(account, market, -row.carried)

    def carried_in(self, group: int, market: int = NONE) -> int:
        """Return what a group's fund reserves to carry accounts: in one market, or in all."""
        pairs = (pair for pair in self.carries if self.group(pair[1]) == group and market in (NONE, pair[1]))
        return sum(self.positions[account][each].carried for account, each in pairs)

    def carried_for(self, owner: int) -> int:
        """Return what all funds reserve to carry accounts of an owner."""
        return sum(self.positions[account][market].carried for account, market in self.carries if self.accounts[account].owner == owner)

    def carried_by(self, account: int) -> int:
        """Return what all funds reserve to carry an account."""
        return sum(row.carried for row in self.positions[account].values())

    def trade(
        self, holder: int, counterpart: int, market: int, lots: int, cash: int, price_ticks: int, cause: Cause, *, at_zero: int = 0
    ) -> None:
        """Let one holder trade: its unpaid funding, TRADE, then what it realised. ``at_zero``: how
        many of the lots bring zero cash.
        """
        self.begin_funding(holder, market)
        row = self.position(holder, market)
        if holder >= 0 and closes_if_in_default(cause, counterpart, row.lots, lots):
            self.reduced.add((holder, market))
        before = self.holding(holder, market)
        closes = at_zero if self.is_insolvent(holder) else 0
        holding, realised = before.after_closing(lots, cash, closes)
        row.lots, row.cost, row.base = holding.lots, holding.cost, holding.base
        row.settled, row.most_lots = holding.settled, holding.most_lots
        self.note_held(holder, market)
        if cause in (Cause.ADL, Cause.TEAR_UP) and not before.is_of_losing_side:
            self.note_gain(holder, market, realised)
        self.emit(
            EffectKind.TRADE,
            code=cause,
            market=market,
            account=holder,
            other=counterpart,
            lots=lots,
            price_ticks=price_ticks,
            amount=cash,
            value=realised,
        )
        self.post(holder, clearing_of(market), realised, cause, market)
        self.note_risk(holder, market, before.lots)

    def note_risk(self, holder: int, market: int, lots_before: int) -> None:
        """End relief by a trade: all of an account whose position is larger or on the other side, that of
        a position that is flat.
        """
        lots = self.held_lots(holder, market)
        if holder < 0:
            return
        if not lots:
            self.end_relief(holder, [market])
        elif abs(lots) > abs(lots_before) or lots * lots_before < 0:
            self.end_relief(holder, sorted(self.positions[holder]))

    def kept_ppm(self, account: int, market: int) -> int:
        """The part of its margin that a position needs."""
        row = self.positions[account].get(market)
        return row.kept_ppm if row else PPM

    def end_relief(self, account: int, markets: Iterable[int]) -> None:
        """End the relief of positions."""
        for market in markets:
            self.keep(account, market, PPM)

    def keep(self, account: int, market: int, kept_ppm: int) -> None:
        """Set the part of its margin that a position needs."""
        row = self.position(account, market)
        if row.kept_ppm == kept_ppm:
            return
        row.kept_ppm = kept_ppm
        holding = self.holding(account, market)
        self.emit(EffectKind.RELIEF, market=market, account=account, lots=kept_ppm, amount=holding.margin, value=holding.full_margin)

    def note_gain(self, holder: int, market: int, realised: int) -> None:
        """Note P&L that ADL or tear-up realised in the event at hand, or (below 0) a cut of it."""
        self.event_gains[holder, market] = self.event_gains.get((holder, market), 0) + realised

    def settle_funding(self, holder: int, market: int) -> None:
        """Let a position pay, or get, the funding that it has not; parts of an atom wait."""
        unpaid = self.holding(holder, market).funding
        if not unpaid:
            return
        self.position(holder, market).settled_index = self.markets[market].funding_index
        if unpaid < 0 <= holder:
            self.accounts[holder].charge_market = market
        self.post(holder, funding_of(market), unpaid, Cause.FUNDING, market)

    def begin_funding(self, holder: int, market: int) -> None:
        """Settle a position whose lots change now: the parts of an atom that are left are gone."""
        self.settle_funding(holder, market)
        self.position(holder, market).settled_index = self.markets[market].funding_index

    def settle_all_funding(self, account: int) -> None:
        """Let all positions of an account pay, or get, the funding that they have not."""
        for market in sorted(self.positions[account]):
            self.settle_funding(account, market)

    def add_fill_debt(self, account: int, owner: int, amount: int) -> None:
        """Note what an owner owes an account for a fill; what he owed before counts while it is not
        forgotten.
        """
        gauges, number = self.owners.setdefault(owner, Owner()), self.next_fill_debt
        if not self.fill_debt(owner):
            gauges.fill_debt, gauges.fill_from = 0, number
        gauges.fill_debt += amount
        gauges.fill_ns = self.now
        self.fill_debts[number] = FillDebt(number, account, owner, amount)
        self.next_fill_debt += 1

    def lower_fill_debt(self, debt: FillDebt, paid: int) -> None:
        """Take a payment off what is owed."""
        debt.amount -= paid
        self.owners[debt.owner].fill_debt -= paid

    def open_order(self, order: Order) -> None:
        """Give the order the next id; the effects are the caller's."""
        self.next_order += 1
        order.sent_ns = self.now
        self.orders[order.id] = self.open_orders[order.id] = order

    def close_order(self, order: Order) -> int:
        """Close the order and return what was reserved for it; an offer's provider has it no longer
        pending.
        """
        order.is_open = False
        del self.open_orders[order.id]
        self.note_held(order.account, order.market)
        if order.kind == TAKEOVER_OFFER:
            provider = self.providers[order.provider]
            provider.pending_initial -= order.pending_initial
            provider.pending_notional -= order.notional
        reserved, order.reserved = order.reserved, 0
        return reserved

    def commitment(self, provider: int, market: int, side: int) -> tuple[list[Gauge], int, CommitmentRules]:
        """What the provider takes over of the market's group, longs (``side`` 1) or shorts: gauges,
        the place there, and rules.
        """
        direction, group = 0 if side > 0 else 1, self.group(market)
        return self.providers[provider].commitments[group], direction, self.rules.providers[provider].commitments[group][direction]

    def cancel(self, order: Order) -> None:
        """CANCEL with the lots still open, then give back what was reserved; an offer's capacity is
        free again.
        """
        if order.kind == TAKEOVER_OFFER:
            gauges, direction, rules = self.commitment(order.provider, order.market, -sign(order.lots))
            gauges[direction] = gauges[direction].cancelled(order.notional, self.now - order.offered_ns, rules.refill_per_s)
        reserved = self.close_order(order)
        lots = sign(order.lots) * order.remaining
        self.emit(EffectKind.CANCEL, market=order.market, account=order.account, other=order.id, lots=lots)
        self.reserve(order, -reserved)

    def cancel_excess(self, account: int, market: int) -> None:
        """Cancel the position's open orders if the position no longer holds what they would
        close.
        """
        orders, lots = self.orders_at(account, market), self.held_lots(account, market)
        fits = all(sign(order.lots) == -sign(lots) for order in orders)
        if not fits or sum(order.remaining for order in orders) > abs(lots):
            for order in orders:
                self.cancel(order)

    def note_health(self, account_id: int, health: Health) -> None:
        """Set the health of an account."""
        self.accounts[account_id].health = health
        if health == Health.INSOLVENT:
            self.insolvent.add(account_id)
        else:
            self.insolvent.discard(account_id)

    def judge(self, account_id: int) -> None:
        """Compute equity, maintenance and health, and do what entering or leaving default asks."""
        account = self.accounts[account_id]
        standing = self.standing(account_id)
        old, new = account.health, standing.health_from(account.health)
        if not self.held_markets(account_id) or new < Health.DISTRESSED <= old:
            self._return_debts(account_id, standing.equity - standing.release)
            standing = self.standing(account_id)
            new = standing.health_from(old)
        if new == old:
            return
        self.note_health(account_id, new)
        self.emit(EffectKind.HEALTH, code=new, account=account_id, other=int(old), amount=standing.equity, value=standing.maintenance)
        if new == Health.HEALTHY:
            self.end_relief(account_id, sorted(self.positions[account_id]))
        if new == Health.INSOLVENT:
            for row in self.positions[account_id].values():
                row.settled, row.most_lots = 0, abs(row.lots)
            self.end_carry(account_id)
        if old < Health.DISTRESSED <= new:
            self.enter_default(account_id)
            account.doubt_ns, account.kept_since = 0, NONE
            self.settle_all_funding(account_id)
            for row in self.positions[account_id].values():
                row.closed_in_default = False
        if new < Health.DISTRESSED <= old:
            self._leave_default(account_id)
        if old < new and new >= Health.CLOSE_OUT:
            self._plan_anew(account_id)
        if Health.INSOLVENT in (old, new):
            self._note_gaps(account_id)

    def _plan_anew(self, account_id: int) -> None:
        """Let an account that fell further wait for its closing orders no longer than for its next
        slice.
        """
        account = self.accounts[account_id]
        if any(order.kind == CLOSING_ORDER for order in self.orders_of(account_id)):
            account.wait_until = min(account.wait_until, max(self.now, account.next_slice))

    def _note_gaps(self, account_id: int) -> None:
        """Note the gap of an insolvent account by position: by loss, or where none lost by notional."""
        account, rows = self.accounts[account_id], self.positions[account_id]
        for row in rows.values():
            row.gap = row.gap_mark = row.gap_lots = 0
        too_long = self.now - account.default_since > self.rules.fund.hold_withdrawals_max_ns
        if account.health != Health.INSOLVENT or too_long:
            return
        holdings = self.portfolio(account_id).holdings
        weights = [max(0, -holding.result) for holding in holdings]
        if not any(weights):
            weights = [holding.notional for holding in holdings]
        gap, given = -self.equity(account_id), 0
        for place, holding in enumerate(holdings):
            row = rows[holding.market]
            row.gap_mark, row.gap_lots = self.markets[holding.market].mark, row.lots
            if any(weights):
                so_far = gap * sum(weights[: place + 1]) // sum(weights)
                row.gap, given = so_far - given, so_far

    def _return_debts(self, account: int, most: int) -> None:
        """Give the funds back what they paid, out of at most so many atoms."""
        debts = {group: debt for group, debt in self.debts(account).items() if debt}
        back = min(most, sum(debts.values()))
        if back <= 0:
            return
        for group, part in sorted(split(back, debts).items()):
            self.accounts[account].debts[group] -= part
            self.post(fund_of(group), account, part, Cause.DEBT_RETURN)

    def _leave_default(self, account_id: int) -> None:
        for order in self.orders_of(account_id):
            self.cancel(order)
        self.end_carry(account_id)
        account = self.accounts[account_id]
        account.restricted = False
        account.carry_until = 0
        account.default_since = NEVER_NS
        self.end_default(account_id)
        account.wait_until = NEVER_NS
        self.await_disposal(account_id)
        account.next_slice = 0
        account.doubt_ns, account.kept_since = 0, NONE
        for market, row in self.positions[account_id].items():
            row.closed_in_default = False
            self.note_held(account_id, market)

    def touch(self, account: int) -> None:
        """Settle funding, judge, and give the account a place in the round that comes next."""
        self.settle_all_funding(account)
        self.judge(account)
        if self.is_insolvent(account):
            self._note_gaps(account)
        for holder, market in sorted(self.reduced):
            if holder == account:
                self.reduced.remove((holder, market))
                self.position(holder, market).closed_in_default |= self.accounts[holder].in_default
        self.await_disposal(account)
        self.touched.add(account)

    def await_disposal(self, account_id: int) -> None:
        """Look at a provider's account again an interval later, while it has lots to sell."""
        account = self.accounts[account_id]
        waits = account.in_default or account.wait_until != NEVER_NS
        if self.provider_of(account_id) != NONE and not waits and self.held_markets(account_id):
            account.wait_until = self.now + self.rules.disposal.interval_ns
