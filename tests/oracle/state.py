"""What the engine remembers, and the entries that change it: postings, trades, judging, cancelling.

Sections 1 and 2 of the rules, and the two named procedures of section 5, ``judge`` and ``cancel``.
"""

from __future__ import annotations

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
    Health,
    Stage,
    clearing_of,
    error_inventory_of,
    outside_of,
)
from backstop.core.instruments import PPM, MarketRules, VenueRules
from tests.oracle.arithmetic import ceil_div, sign, trunc_div
from tests.oracle.records import Effect

__all__ = ["Account", "Market", "Order", "Position", "State", "fresh_health", "margin_atoms"]


@dataclass(slots=True)
class Position:
    """Signed lots and what they cost; the row stays when the lots are gone."""

    lots: int = 0
    cost: int = 0
    closed_in_default: bool = False


@dataclass(slots=True)
class Order:
    """A closing order; ``lots`` is the signed change of the position that it asks for."""

    id: int
    account: int
    market: int
    lots: int
    limit_ticks: int
    zero_cash: int
    reserved: int
    filled: int = 0
    is_open: bool = True

    @property
    def remaining(self) -> int:
        """Lots not yet filled, unsigned."""
        return abs(self.lots) - self.filled


@dataclass(slots=True)
class Market:
    """State of a market; ``depth`` is by side, then by band."""

    depth: list[list[int]]
    mark: int = 0
    index: int = 0
    volume: int = -1
    halted: bool = False
    ordered: int = 0


@dataclass(slots=True)
class Account:
    """State of an account beside its ledger balance and its positions."""

    owner: int
    health: int = Health.HEALTHY
    default_since: int = NEVER_NS
    wait_until: int = NEVER_NS
    next_slice: int = 0
    restricted: bool = False
    ordered: int = 0

    @property
    def in_default(self) -> bool:
        """DISTRESSED or worse."""
        return self.health >= Health.DISTRESSED


def margin_atoms(rules: MarketRules, notional: int, *, initial: bool = False) -> int:
    """Margin of one position: the rate of its tier, rounded up, less the tier's deduction."""
    deduction, rate_below, rate = 0, 0, 0
    for number, tier in enumerate(rules.tiers):
        if tier.floor_atoms > notional:
            break
        rate = tier.initial_rate_ppm if initial else tier.maintenance_rate_ppm
        if number:
            deduction += tier.floor_atoms * (rate - rate_below) // PPM
        rate_below = rate
    return ceil_div(notional * rate, PPM) - deduction


def fresh_health(rules: VenueRules, old: int, equity: int, maintenance: int) -> int:
    """Raw health, but an account in default stays DISTRESSED until its equity reaches the release level."""
    levels = rules.levels
    warning = ceil_div(maintenance * levels.warning_ratio_ppm, PPM)
    release = ceil_div(maintenance * (PPM + levels.exit_buffer_ppm), PPM)
    close_out = maintenance * levels.close_out_ratio_ppm // PPM
    if equity < 0:
        return Health.INSOLVENT
    if equity < close_out:
        return Health.CLOSE_OUT
    if equity < maintenance:
        return Health.DISTRESSED
    if old >= Health.DISTRESSED and equity < release:
        return Health.DISTRESSED
    return Health.WARNED if equity < warning else Health.HEALTHY


@dataclass(slots=True)
class State:
    """Everything that the digest covers, and the effects of the event at hand."""

    rules: VenueRules
    markets: list[Market] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    ledger: dict[int, int] = field(default_factory=dict)
    #: By holder (account, OUTSIDE or error_inventory), then by market.
    positions: dict[int, dict[int, Position]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    next_order: int = 1
    now: int = 0
    last_seq: int = -1
    reserved: int = 0
    interval: int = 0
    paid_in_interval: int = 0
    ordered: int = 0
    touched: set[int] = field(default_factory=set)
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the house's ledger accounts and positions."""
        self.ledger = dict.fromkeys((WORLD, FUND, REMAINDER, UNCOVERED), 0)
        for number, rules in enumerate(self.rules.markets):
            bands = len(rules.band_offset_ppm)
            self.markets.append(Market(depth=[[0] * bands, [0] * bands]))
            self.ledger[clearing_of(number)] = 0
            for holder in (outside_of(number), error_inventory_of(number)):
                self.ledger[holder] = 0
                self.positions[holder] = {number: Position()}

    # -- looking ---------------------------------------------------------------------------------

    def unit(self, market: int) -> int:
        """Atoms that one lot is worth at the mark."""
        return self.markets[market].mark * self.rules.markets[market].notional_factor

    def position(self, holder: int, market: int) -> Position:
        """Return the holder's row in the market, opening it if it never had one."""
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

    def notional(self, account: int, market: int) -> int:
        """Absolute value at the mark."""
        return abs(self.held_lots(account, market)) * self.unit(market)

    def equity(self, account: int) -> int:
        """Ledger balance and unrealised P&L of all positions."""
        rows = self.positions[account].items()
        return self.ledger[account] + sum(row.lots * self.unit(market) - row.cost for market, row in rows)

    def maintenance(self, account: int) -> int:
        """Maintenance margin of all positions."""
        return sum(margin_atoms(self.rules.markets[market], self.notional(account, market)) for market in self.positions[account])

    def initial_margin(self, account: int) -> int:
        """Initial margin of all positions."""
        rules = self.rules.markets
        return sum(margin_atoms(rules[market], self.notional(account, market), initial=True) for market in self.positions[account])

    def margin_released(self, account: int, market: int, lots: int) -> int:
        """``dM``: maintenance that closing so many lots of the position frees."""
        rules, notional = self.rules.markets[market], self.notional(account, market)
        return margin_atoms(rules, notional) - margin_atoms(rules, notional - lots * self.unit(market))

    def release_level(self, maintenance: int) -> int:
        """Equity at which an account in default comes out of it."""
        return ceil_div(maintenance * (PPM + self.rules.levels.exit_buffer_ppm), PPM)

    def zero_cash(self, account: int, market: int, lots: int, equity: int, maintenance: int) -> int:
        """Cash of closing so many lots that leaves equity over maintenance unchanged (section 3)."""
        side, value = sign(self.held_lots(account, market)), lots * self.unit(market)
        if maintenance:
            return side * value - equity * self.margin_released(account, market, lots) // maintenance
        whole = sum(self.notional(account, other) for other in self.positions[account])
        return side * value - equity * value // whole

    def orders_of(self, account: int) -> list[Order]:
        """Open orders of the account, in order of market id."""
        return sorted((order for order in self.open_orders.values() if order.account == account), key=lambda order: order.market)

    def order_at(self, account: int, market: int) -> Order | None:
        """Return the open order of the position, if it has one."""
        return next((order for order in self.orders_of(account) if order.market == market), None)

    def remembers(self, order_id: int) -> bool:
        """Say whether the order is among the last ``orders_max`` issued."""
        return self.next_order - order_id <= self.rules.limits.orders_max

    def available(self) -> int:
        """Atoms that the fund may still spend or promise in this interval."""
        free = self.ledger[FUND] - self.reserved
        return max(0, min(free, self.rules.fund.loss_per_interval_max - self.paid_in_interval - self.reserved))

    def deadline(self, account: int) -> int:
        """Time after which the account waits no longer for the book."""
        return self.accounts[account].default_since + self.rules.closeout.deadline_ns

    @property
    def has_fund(self) -> bool:
        """The fund stands somewhere in the waterfall."""
        return Stage.FUND in self.rules.stages

    # -- changing --------------------------------------------------------------------------------

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
        """Add an effect of the event at hand."""
        self.effects.append(Effect(self.last_seq, int(kind), int(code), market, account, other, lots, price_ticks, amount, value))

    def start_interval(self) -> None:
        """Empty the tumbling gauges when their interval is over."""
        interval = self.now // self.rules.closeout.cap_interval_ns
        if interval == self.interval:
            return
        self.interval, self.paid_in_interval, self.ordered = interval, 0, 0
        for market in self.markets:
            market.ordered = 0
        for account in self.accounts:
            account.ordered = 0

    def post(self, receiver: int, payer: int, amount: int, cause: Cause, market: int = NONE) -> None:
        """Move money; a negative amount moves the other way, nothing is not posted."""
        if amount < 0:
            receiver, payer, amount = payer, receiver, -amount
        if amount == 0:
            return
        self.ledger[receiver] += amount
        self.ledger[payer] -= amount
        if payer == FUND and cause in (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP):
            self.paid_in_interval += amount
        self.emit(EffectKind.POSTING, code=cause, market=market, account=receiver, other=payer, amount=amount)

    def reserve(self, order: Order, change: int) -> None:
        """Change what the fund keeps for an order; the order's own number is the caller's."""
        if change:
            self.reserved += change
            self.emit(EffectKind.RESERVE, market=order.market, account=order.account, other=order.id, amount=change, value=self.reserved)

    def trade(self, holder: int, counterpart: int, market: int, lots: int, cash: int, price_ticks: int, cause: Cause) -> None:
        """Let one holder trade: TRADE, then what it realised."""
        row = self.position(holder, market)
        closed = min(abs(lots), abs(row.lots)) if row.lots * lots < 0 else 0
        realised = 0
        opening_cash = cash
        if closed:
            closing_cash = trunc_div(cash * closed, abs(lots))
            share = trunc_div(row.cost * closed, abs(row.lots))
            realised = closing_cash - share
            row.cost -= share
            opening_cash = cash - closing_cash
        row.cost -= opening_cash
        row.lots += lots
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

    def close_order(self, order: Order) -> int:
        """Close the order and return what was reserved for it; the effects are the caller's."""
        order.is_open = False
        del self.open_orders[order.id]
        reserved, order.reserved = order.reserved, 0
        return reserved

    def cancel(self, order: Order) -> None:
        """CANCEL with the lots still open, then give back what was reserved."""
        reserved = self.close_order(order)
        lots = sign(order.lots) * order.remaining
        self.emit(EffectKind.CANCEL, market=order.market, account=order.account, other=order.id, lots=lots)
        self.reserve(order, -reserved)

    def cancel_excess(self, account: int, market: int) -> None:
        """Cancel the position's open order if the position no longer holds what the order would close."""
        order = self.order_at(account, market)
        if order is None:
            return
        lots = self.held_lots(account, market)
        if sign(order.lots) != -sign(lots) or order.remaining > abs(lots):
            self.cancel(order)

    def judge(self, account_id: int) -> None:
        """Compute equity, maintenance and health, and do what entering or leaving default asks."""
        account = self.accounts[account_id]
        equity, maintenance = self.equity(account_id), self.maintenance(account_id)
        old, new = account.health, fresh_health(self.rules, account.health, equity, maintenance)
        if new == old:
            return
        account.health = new
        self.emit(EffectKind.HEALTH, code=new, account=account_id, other=int(old), amount=equity, value=maintenance)
        if old < Health.DISTRESSED <= new:
            account.default_since, account.next_slice = self.now, 0
            for row in self.positions[account_id].values():
                row.closed_in_default = False
        if new < Health.DISTRESSED <= old:
            self._leave_default(account_id)

    def _leave_default(self, account_id: int) -> None:
        for order in self.orders_of(account_id):
            self.cancel(order)
        account = self.accounts[account_id]
        account.restricted = False
        account.wait_until = account.default_since = NEVER_NS
        account.next_slice = 0
        for row in self.positions[account_id].values():
            row.closed_in_default = False

    def touch(self, account: int) -> None:
        """Judge, and give the account a place in the round that comes next."""
        self.judge(account)
        self.touched.add(account)
