"""The closeout stage (section 6, "Closeout plan") and what the answers to its orders do (ORDER_FILL, ORDER_DONE)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from backstop.core.events import BookSide, BreakerState, Cause, EffectKind, error_inventory_of, outside_of
from backstop.core.instruments import PPM
from backstop.reference.arithmetic import ceil_div, largest_that, least_that, sign
from backstop.reference.breakers import add_flow, effective_state
from backstop.reference.records import Event
from backstop.reference.state import DISPOSAL_ORDER, TAKEOVER_OFFER, Order, State

__all__ = ["BUSY", "NOTHING", "PLACED", "Closing", "forget_depth", "order_done", "order_fill", "place_orders", "send"]

#: What the stage says of a position, or of the account.
PLACED, BUSY, NOTHING = "placed", "busy", "nothing"
#: Visible depth of a band that proved wrong and has not been told anew.
UNKNOWN_DEPTH = -1


def book_side(lots: int) -> BookSide:
    """Side of the book that takes an order of these signed lots."""
    return BookSide.BID if lots < 0 else BookSide.ASK


@dataclass(frozen=True, slots=True)
class Closing:
    """One position as the plan sees it; equity and maintenance are those of the plan's start."""

    state: State
    account: int
    market: int
    equity: int
    maintenance: int

    @property
    def held(self) -> int:
        """Signed lots."""
        return self.state.held_lots(self.account, self.market)

    @property
    def unit(self) -> int:
        """Atoms a lot at the mark."""
        return self.state.unit(self.market)

    @property
    def tolerance_ppm(self) -> int:
        """Widest slippage that an order may ask for."""
        return self.state.rules.markets[self.market].slippage_tolerance_ppm

    def bands(self) -> list[tuple[int, int]]:
        """Depth and offset of the bands within the tolerance, best first."""
        offsets = self.state.rules.markets[self.market].band_offset_ppm
        depth = self.state.markets[self.market].depth[book_side(-self.held)]
        return [(max(0, lots), offset) for lots, offset in zip(depth, offsets, strict=True) if offset <= self.tolerance_ppm]

    @property
    def halted(self) -> bool:
        """Closing orders go to no book."""
        return effective_state(self.state, self.market) == BreakerState.HALTED

    def is_busy(self) -> bool:
        """Whether the position has to wait: for the market, for what others have taken, or for word of the book."""
        return self.halted or self.awaits_depth() or (self.base() > 0 and self.cap() <= 0)

    def may_order(self) -> bool:
        """Whether a slice may be ordered now."""
        return not self.halted and self.base() > 0 and self.cap() > 0

    def awaits_depth(self) -> bool:
        """Whether nothing is visible, and a band within the tolerance is unknown."""
        offsets = self.state.rules.markets[self.market].band_offset_ppm
        depth = self.state.markets[self.market].depth[book_side(-self.held)]
        within = [lots for lots, offset in zip(depth, offsets, strict=True) if offset <= self.tolerance_ppm]
        return UNKNOWN_DEPTH in within and max(within) <= 0

    def base(self) -> int:
        """Largest slice that visible depth and recent volume allow, whatever others have ordered."""
        rules, volume = self.state.rules.closeout, self.state.markets[self.market].volume
        visible = sum(lots for lots, _ in self.bands())
        base = max(1, visible * rules.depth_share_ppm // PPM) if visible > 0 else 0
        if volume >= 0:
            base = min(base, max(1, volume * rules.volume_share_ppm // PPM) if volume > 0 else 0)
        if base and effective_state(self.state, self.market) in (BreakerState.THROTTLED, BreakerState.REOPENING):
            base = max(1, base * self.state.rules.breakers.throttle_share_ppm // PPM)
        return base

    def cap(self) -> int:
        """Lots left of the base after open orders and the notional caps of the interval."""
        state, market, account = self.state, self.state.markets[self.market], self.state.accounts[self.account]
        closing = [order for order in state.open_orders.values() if order.market == self.market and order.kind != TAKEOVER_OFFER]
        pending = sum(order.remaining for order in closing if sign(order.lots) == -sign(self.held))
        left = (
            state.rules.closeout.account_notional_max - account.ordered,
            state.rules.markets[self.market].ordered_notional_max - market.ordered,
            state.rules.closeout.venue_notional_max - state.ordered,
        )
        return min(self.base() - pending, min(left) // self.unit)

    def slip(self, lots: int) -> int:
        """Expected slippage: band by band, and what is beyond all bands at the tolerance."""
        total = 0
        for depth, offset in self.bands():
            take = min(lots, depth)
            total += ceil_div(take * self.unit * offset, PPM)
            lots -= take
        return total + ceil_div(lots * self.unit * self.tolerance_ppm, PPM)

    def cost(self, lots: int) -> int:
        """Expected slippage and, while the account is solvent, the fee."""
        fee = self.state.rules.closeout.fee_ppm * lots * self.unit // PPM if self.equity >= 0 else 0
        return self.slip(lots) + fee

    def released(self, lots: int) -> int:
        """Maintenance that closing so many lots frees."""
        return self.state.margin_released(self.account, self.market, lots)

    def zero_cash(self, lots: int) -> int:
        """Cash at the zero price."""
        return self.state.zero_cash(self.account, self.market, lots, self.equity, self.maintenance)

    def book_limit(self, tolerance_ppm: int) -> int:
        """Price beyond which no order may trade: the tolerance, or the band that would halt the market."""
        rules, breaker = self.state.rules.markets[self.market], self.state.breakers[self.market]
        mark, halt_ppm = self.state.markets[self.market].mark, rules.price_halt_ppm
        if self.held > 0:
            limit = ceil_div(mark * (PPM - tolerance_ppm), PPM)
            band = ceil_div(max(breaker.high) * (PPM - halt_ppm), PPM)
            if halt_ppm and band <= mark:
                limit = max(limit, band)
        else:
            limit = mark * (PPM + tolerance_ppm) // PPM
            band = min(breaker.low) * (PPM + halt_ppm) // PPM
            if halt_ppm and band >= mark:
                limit = min(limit, band)
        return max(1, min(limit, rules.price_ticks_max))

    def limit_ticks(self, lots: int) -> int:
        """Limit of an order of so many lots; for a solvent account the stricter of the book's and the zero price."""
        rules, limit = self.state.rules.markets[self.market], self.book_limit(self.tolerance_ppm)
        if self.equity >= 0:
            divisor = lots * rules.notional_factor
            if self.held > 0:
                limit = max(limit, ceil_div(self.zero_cash(lots), divisor))
            else:
                limit = min(limit, -self.zero_cash(lots) // divisor)
        return max(1, min(limit, rules.price_ticks_max))

    def is_reached(self, lots: int) -> bool:
        """Whether the best band that shows lots would take an order of so many."""
        offset = next(offset for depth, offset in self.bands() if depth > 0)
        mark = self.state.markets[self.market].mark
        if self.held > 0:
            return self.limit_ticks(lots) <= mark * (PPM - offset) // PPM
        return self.limit_ticks(lots) >= ceil_div(mark * (PPM + offset), PPM)

    def worst(self, lots: int) -> int:
        """Atoms that the fund may have to add if all fills come at the limit, one more a lot for rounding."""
        if self.equity >= 0:
            return 0
        cash = sign(self.held) * lots * self.limit_ticks(lots) * self.state.rules.markets[self.market].notional_factor
        gap = self.zero_cash(lots) - cash
        return gap + lots - 1 if gap > 0 else 0

    def order_key(self) -> tuple[bool, Fraction, int, int]:
        """Maintenance released per expected cost, the best first."""
        everything = abs(self.held)
        cost, released = self.cost(everything), self.released(everything)
        return cost > 0, Fraction(-released, cost) if cost else Fraction(0), -released, self.market


def lots_wanted(closing: Closing, equity: int, maintenance: int) -> tuple[int, bool]:
    """Least lots that restore the release level, and whether any number does; an insolvent account wants all."""
    everything, found = abs(closing.held), False
    wanted = everything

    def restores(lots: int) -> bool:
        return equity - closing.cost(lots) >= closing.state.release_level(maintenance - closing.released(lots))

    if closing.equity >= 0:
        low = reached = 0
        probes = []
        for depth, _ in closing.bands():
            reached += depth
            probes.append(min(reached, everything))
        for probe in [*probes, everything]:
            if probe and restores(probe):
                wanted, found = least_that(restores, low, probe), True
                break
            low = probe
    minimum = closing.state.rules.closeout.minimum_notional
    wanted = max(wanted, ceil_div(minimum, closing.unit))
    if wanted >= everything or (everything - wanted) * closing.unit < minimum:
        wanted = everything
    return wanted, found


def lots_supported(closing: Closing, lots: int) -> int:
    """Most of these lots for which the fund can promise the worst case."""
    budget = budget_of(closing)
    if closing.worst(lots) <= budget:
        return lots
    return largest_that(lambda fewer: closing.worst(fewer) <= budget, 0, lots)


def budget_of(closing: Closing) -> int:
    """Atoms that the fund may promise for an order."""
    state = closing.state
    return state.available(state.group(closing.market), closing.account) if state.fund_supports else 0


def place(closing: Closing, lots: int) -> None:
    """Reserve what the order may need, and send it."""
    order = Order(
        id=closing.state.next_order,
        account=closing.account,
        market=closing.market,
        lots=-sign(closing.held) * lots,
        limit_ticks=closing.limit_ticks(lots),
        zero_cash=closing.zero_cash(lots),
        reserved=closing.worst(lots),
    )
    send(closing.state, order)


def send(state: State, order: Order) -> None:
    """RESERVE, ORDER, and the notional caps of the interval are used up."""
    state.open_order(order)
    state.reserve(order, order.reserved)
    state.emit(
        EffectKind.ORDER,
        market=order.market,
        account=order.account,
        other=order.id,
        lots=order.lots,
        price_ticks=order.limit_ticks,
        amount=order.zero_cash,
        value=order.reserved,
    )
    notional = abs(order.lots) * state.unit(order.market)
    state.accounts[order.account].ordered += notional
    state.markets[order.market].ordered += notional
    state.ordered += notional


def place_orders(state: State, account: int) -> str:
    """Plan and place the account's closing orders; return PLACED, BUSY or NOTHING."""
    equity, maintenance = state.equity(account), state.maintenance(account)
    closings = [Closing(state, account, market, equity, maintenance) for market in state.held_markets(account)]
    outcomes = {BUSY for closing in closings if closing.is_busy()}
    equity_then, maintenance_then = equity, maintenance
    for closing in sorted((closing for closing in closings if closing.may_order()), key=Closing.order_key):
        wanted, found = lots_wanted(closing, equity_then, maintenance_then)
        cap = closing.cap()
        if cap <= 0:
            outcomes.add(BUSY)
            continue
        if state.place_held():
            outcomes.add(BUSY)
            break
        lots = lots_supported(closing, min(wanted, cap))
        if lots == 0:
            promised = state.funds[state.group(closing.market)].reserved
            outcomes.add(BUSY if closing.worst(1) <= budget_of(closing) + promised else NOTHING)
            continue
        late = state.now >= state.accounts[account].default_since + state.rules.closeout.deadline_ns
        if equity >= 0 and late and not closing.is_reached(lots):
            outcomes.add(NOTHING)
            continue
        cost, released = closing.cost(lots), closing.released(lots)
        place(closing, lots)
        outcomes.add(PLACED)
        equity_then -= cost
        maintenance_then -= released
        if found:
            break
    return next((outcome for outcome in (PLACED, BUSY) if outcome in outcomes), NOTHING)


def take_depth(state: State, market: int, side: BookSide, lots: int) -> None:
    """Lower the visible depth by a fill, best band first."""
    depth = state.markets[market].depth[side]
    for band, visible in enumerate(depth):
        taken = max(0, min(visible, lots))
        depth[band] = visible - taken
        lots -= taken


def room_for_late(state: State, order: Order, lots: int, open_take: int) -> int:
    """Lots of the position that no open order will close, for a fill that comes too late or is too large."""
    held = state.held_lots(order.account, order.market)
    if held * lots >= 0:
        return 0
    still_open = sum(each.remaining for each in state.orders_at(order.account, order.market)) - open_take
    return abs(held) - open_take - still_open


def order_fill(state: State, event: Event) -> None:
    """A fill of an order: the account takes what it can, the rest is the venue's error."""
    market, side, filled = event.market, sign(event.lots), abs(event.lots)
    take_depth(state, market, book_side(event.lots), filled)
    order = state.orders[event.other] if state.remembers(event.other) else None
    taken = 0
    if order is not None:
        open_take = min(filled, order.remaining) if order.is_open else 0
        late_take = min(filled - open_take, room_for_late(state, order, event.lots, open_take))
        taken = open_take + late_take
        if taken:
            take_fill(state, order, open_take, taken, event.price_ticks)
    if filled > taken:
        lots = side * (filled - taken)
        cash = -lots * event.price_ticks * state.rules.markets[market].notional_factor
        outside, error = outside_of(market), error_inventory_of(market)
        state.trade(error, outside, market, lots, cash, event.price_ticks, Cause.ERROR_FILL)
        state.trade(outside, error, market, -lots, -cash, event.price_ticks, Cause.ERROR_FILL)
    if order is not None:
        state.touch(order.account)


def take_fill(state: State, order: Order, open_take: int, taken: int, price_ticks: int) -> None:
    """Trade; of a closing order then fee or support for the lots that it had open."""
    account, market, side = order.account, order.market, sign(order.lots)
    is_closing = order.kind != DISPOSAL_ORDER
    cause = Cause.CLOSEOUT if is_closing else Cause.DISPOSAL
    equity = state.equity(account)
    cash = -side * taken * price_ticks * state.rules.markets[market].notional_factor
    state.trade(account, outside_of(market), market, side * taken, cash, price_ticks, cause)
    state.trade(outside_of(market), account, market, -side * taken, -cash, price_ticks, cause)
    if is_closing:
        charge_or_support(state, order, open_take, price_ticks, equity)
        state.position(account, market).closed_in_default = True
        add_flow(state, market, taken * state.unit(market))
    order.filled += open_take


def charge_or_support(state: State, order: Order, open_take: int, price_ticks: int, equity: int) -> None:
    """Compare the cash of the open lots with their part of the order's zero cash: a fee above it, support below."""
    account, market, side = order.account, order.market, sign(order.lots)
    factor, fund = state.rules.markets[market].notional_factor, state.fund_id(market)
    cash = -side * open_take * price_ticks * factor
    cash_at_limit = -side * open_take * order.limit_ticks * factor
    lots = abs(order.lots)
    zero = ceil_div(order.zero_cash * (order.filled + open_take), lots) - ceil_div(order.zero_cash * order.filled, lots)
    if equity >= 0:
        wanted = state.rules.closeout.fee_ppm * open_take * state.unit(market) // PPM
        fee = max(0, min(wanted, cash - zero, cash - cash_at_limit))
        state.post(fund, account, fee, Cause.LIQUIDATION_FEE, market)
    support = min(max(0, zero - cash), order.reserved)
    state.post(account, fund, support, Cause.SUPPORT, market)
    order.reserved -= support
    state.reserve(order, -support)


def order_done(state: State, event: Event) -> None:
    """The venue will fill no more of the order: what it did not fill says that the visible side is gone."""
    order = state.orders[event.other] if state.remembers(event.other) else None
    if order is None or not order.is_open:
        return
    state.reserve(order, -state.close_order(order))
    forget_depth(state, order)
    state.touch(order.account)


def forget_depth(state: State, order: Order) -> None:
    """What the order did not fill says that the visible side was believed wrongly."""
    if order.remaining:
        depth = state.markets[order.market].depth[book_side(order.lots)]
        depth[:] = [UNKNOWN_DEPTH] * len(depth)
