"""The closeout stage (section 6, "Closeout plan") and what the answers to its orders do (ORDER_FILL, ORDER_DONE)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from backstop.core.events import FUND, BookSide, Cause, EffectKind, Stage, error_inventory_of, outside_of
from backstop.core.instruments import PPM, VenueRules
from tests.oracle.arithmetic import ceil_div, largest_that, least_that, sign
from tests.oracle.records import Event
from tests.oracle.state import Order, State

__all__ = ["book_side", "fund_supports_orders", "order_done", "order_fill", "place_orders"]

#: What the stage says of a position, or of the account.
PLACED, BUSY, NOTHING = "placed", "busy", "nothing"
#: Visible depth of a band that proved wrong and has not been told anew.
UNKNOWN_DEPTH = -1


def book_side(lots: int) -> BookSide:
    """Side of the book that takes an order of these signed lots."""
    return BookSide.BID if lots < 0 else BookSide.ASK


def fund_supports_orders(rules: VenueRules) -> bool:
    """The fund stands in the list with no ADL before it, so that it supports closing orders."""
    stages = rules.stages
    return Stage.FUND in stages and Stage.ADL not in stages[: stages.index(Stage.FUND)]


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
        return base

    def cap(self) -> int:
        """Lots left of the base after open orders and the notional caps of the interval."""
        state, market, account = self.state, self.state.markets[self.market], self.state.accounts[self.account]
        closing = [order for order in state.open_orders.values() if order.market == self.market]
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

    def limit_ticks(self, lots: int) -> int:
        """Price beyond which the order may not trade: the tolerance; for a solvent account also the zero price."""
        rules, mark = self.state.rules.markets[self.market], self.state.markets[self.market].mark
        divisor = lots * rules.notional_factor
        if self.held > 0:
            limit = ceil_div(mark * (PPM - self.tolerance_ppm), PPM)
            if self.equity >= 0:
                limit = max(limit, ceil_div(self.zero_cash(lots), divisor))
        else:
            limit = mark * (PPM + self.tolerance_ppm) // PPM
            if self.equity >= 0:
                limit = min(limit, -self.zero_cash(lots) // divisor)
        return max(1, min(limit, rules.price_ticks_max))

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
    budget = closing.state.available() if fund_supports_orders(closing.state.rules) else 0
    if closing.worst(lots) <= budget:
        return lots
    return largest_that(lambda fewer: closing.worst(fewer) <= budget, 0, lots)


def place(closing: Closing, lots: int) -> None:
    """Reserve what the order may need, send it, use up the caps."""
    state, side = closing.state, sign(closing.held)
    order = Order(
        id=state.next_order,
        account=closing.account,
        market=closing.market,
        lots=-side * lots,
        limit_ticks=closing.limit_ticks(lots),
        zero_cash=closing.zero_cash(lots),
        reserved=closing.worst(lots),
    )
    state.next_order += 1
    state.orders[order.id] = state.open_orders[order.id] = order
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
    notional = lots * closing.unit
    state.accounts[closing.account].ordered += notional
    state.markets[closing.market].ordered += notional
    state.ordered += notional


def place_held(state: State) -> bool:
    """The next order id would take the place of an order that is still open."""
    orders_max = state.rules.limits.orders_max
    return any(order_id % orders_max == state.next_order % orders_max for order_id in state.open_orders)


def place_orders(state: State, account: int) -> str:
    """Plan and place the account's closing orders; return PLACED, BUSY or NOTHING."""
    equity, maintenance = state.equity(account), state.maintenance(account)
    closings = [Closing(state, account, market, equity, maintenance) for market in state.held_markets(account)]
    outcomes = {BUSY for closing in closings if closing.awaits_depth() or (closing.base() > 0 and closing.cap() <= 0)}
    equity_then, maintenance_then = equity, maintenance
    for closing in sorted((c for c in closings if c.base() > 0 and c.cap() > 0), key=Closing.order_key):
        wanted, found = lots_wanted(closing, equity_then, maintenance_then)
        cap = closing.cap()
        if cap <= 0 or place_held(state):
            outcomes.add(BUSY)
            continue
        lots = lots_supported(closing, min(wanted, cap))
        if lots == 0:
            outcomes.add(BUSY if closing.worst(1) <= state.available() + state.reserved and fund_supports_orders(state.rules) else NOTHING)
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
    pending = state.order_at(order.account, order.market)
    still_open = pending.remaining if pending else 0
    if pending is order:
        still_open -= open_take
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
    """Trade, then fee or support for the lots that the order had open."""
    account, market, side = order.account, order.market, sign(order.lots)
    factor, unit = state.rules.markets[market].notional_factor, state.unit(market)
    equity = state.equity(account)
    cash = -side * taken * price_ticks * factor
    state.trade(account, outside_of(market), market, side * taken, cash, price_ticks, Cause.CLOSEOUT)
    state.trade(outside_of(market), account, market, -side * taken, -cash, price_ticks, Cause.CLOSEOUT)

    cash = -side * open_take * price_ticks * factor
    cash_at_limit = -side * open_take * order.limit_ticks * factor
    lots = abs(order.lots)
    zero = ceil_div(order.zero_cash * (order.filled + open_take), lots) - ceil_div(order.zero_cash * order.filled, lots)
    if equity >= 0:
        fee = max(0, min(state.rules.closeout.fee_ppm * open_take * unit // PPM, cash - zero, cash - cash_at_limit))
        state.post(FUND, account, fee, Cause.LIQUIDATION_FEE, market)
    support = min(max(0, zero - cash), order.reserved)
    state.post(account, FUND, support, Cause.SUPPORT, market)
    order.reserved -= support
    state.reserve(order, -support)
    order.filled += open_take
    state.position(account, market).closed_in_default = True


def order_done(state: State, event: Event) -> None:
    """The venue will fill no more of the order: what it did not fill says that the visible side is gone."""
    order = state.orders[event.other] if state.remembers(event.other) else None
    if order is None or not order.is_open:
        return
    state.reserve(order, -state.close_order(order))
    if order.remaining:
        depth = state.markets[order.market].depth[book_side(order.lots)]
        depth[:] = [UNKNOWN_DEPTH] * len(depth)
    state.touch(order.account)
