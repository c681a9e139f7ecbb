"""The closeout stage (R6.4) and what the answers to its orders do
(ORDER_FILL, ORDER_DONE).
"""

from __future__ import annotations

from backstop.core.events import BookSide, Cause, EffectKind, error_inventory_of, outside_of
from backstop.reference.arithmetic import sign
from backstop.reference.book import UNKNOWN_LOTS, Band, Book
from backstop.reference.breakers import add_flow, effective_state
from backstop.reference.charge import Exit
from backstop.reference.closing import Cap, Caps, Closing, OrderStop, OrderTerms, Quote, settle
from backstop.reference.doubt import is_book_shut, may_close, may_force
from backstop.reference.margin import Portfolio, Standing
from backstop.reference.paying import pay
from backstop.reference.records import Event
from backstop.reference.state import CLOSING_ORDER, DISPOSAL_ORDER, Order, State

__all__ = ["BUSY", "NOTHING", "PLACED", "closing_of", "exit_of", "forget_depth", "order_done", "order_fill", "place_orders", "send"]

#: What the stage says of a position, or of the account.
PLACED, BUSY, NOTHING = "placed", "busy", "nothing"


def book_side(lots: int) -> BookSide:
    """Side of the book that takes an order of these signed lots."""
    return BookSide.BID if lots < 0 else BookSide.ASK


def book_of(state: State, account: int, market: int, side: int, *, behind: bool = False) -> Book:
    """The side of the book that takes a position, a long's (``side`` 1) or a short's.

    ``behind``: as disposal sees it, whose orders take what all others leave. Closing orders do not
    wait for those of disposal.
    """
    rules, row, breaker = state.rules.markets[market], state.markets[market], state.breakers[market]
    bands = zip(rules.band_offset_ppm, row.depth[book_side(-side)], strict=True)
    kinds = (CLOSING_ORDER, DISPOSAL_ORDER) if behind else (CLOSING_ORDER,)
    closing = [order for order in state.open_orders.values() if order.market == market and order.kind in kinds]
    return Book(
        contract=state.contract(market),
        is_sell=side > 0,
        bands=tuple(Band(offset, lots) for offset, lots in bands if offset <= rules.slippage_tolerance_ppm),
        volume=row.volume,
        state=effective_state(state, market),
        is_shut=is_book_shut(state, market),
        is_old=not may_force(state, account, market),
        pending=sum(order.remaining for order in closing if sign(order.lots) == -side),
        low_ticks=min(breaker.low),
        high_ticks=max(breaker.high),
    )


def exit_of(state: State, account: int, market: int) -> Exit:
    """What the book would be expected to cost the account's position."""
    return Exit(book_of(state, account, market, sign(state.held_lots(account, market))), state.rules.closeout.fee_ppm)


def closing_of(
    state: State, account: int, market: int, portfolio: Portfolio, expected: Standing | None = None, *, behind: bool = False
) -> Closing:
    """One position as the plan sees it; ``portfolio`` is that of the plan's start, ``expected``
    follows from its orders so far. ``behind``: as disposal sees it.
    """
    rules, holding = state.rules, portfolio.holding(market)
    return Closing(
        portfolio=portfolio,
        holding=holding,
        book=book_of(state, account, market, holding.side, behind=behind),
        caps=Caps(
            account=Cap(rules.of_market(market).account_notional_max, state.accounts[account].ordered),
            market=Cap(rules.markets[market].ordered_notional_max, state.markets[market].ordered),
            venue=Cap(rules.closeout.venue_notional_max, state.ordered),
        ),
        fund=state.fund_view(state.group(market), account, market),
        rules=rules.closeout,
        asset=rules.of_market(market),
        throttle_share_ppm=rules.breakers.throttle_share_ppm,
        expected=expected or portfolio.standing,
        probes=not behind and state.now < state.deadline(account),
    )


def place(state: State, account: int, closing: Closing, quote: Quote) -> None:
    """Reserve what the order may need, and send it."""
    order = Order(
        id=state.next_order,
        account=account,
        market=closing.holding.market,
        lots=-closing.holding.side * quote.lots,
        limit_ticks=quote.limit.ticks,
        zero_cash=closing.zero_cash(quote.lots).cash,
        reserved=quote.worst,
    )
    send(state, order)


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
    notional = state.contract(order.market).notional_of(order.lots)
    state.accounts[order.account].ordered += notional
    state.markets[order.market].ordered += notional
    if len(state.rules.assets) == 1:
        state.ordered += notional


def place_orders(state: State, account: int) -> str:
    """Plan and place the account's closing orders; return PLACED, BUSY or NOTHING."""
    portfolio = state.portfolio(account)
    markets = [holding.market for holding in portfolio.held if may_close(state, account, holding.market)]
    closings = [closing_of(state, account, market, portfolio) for market in markets]
    outcomes = {BUSY for closing in closings if closing.is_busy(closing.book_stop)}
    expected = portfolio.standing
    for first in sorted((closing for closing in closings if closing.book_stop is None), key=Closing.order_key):
        closing = closing_of(state, account, first.holding.market, portfolio, expected)
        stop = closing.stop(has_place=not state.place_held())
        if stop is not None:
            outcomes.add(BUSY if closing.is_busy(stop) else NOTHING)
            if stop == OrderStop.NO_PLACE:
                break
            continue
        quote = closing.quote()
        expected = closing.expected_after(quote.lots)
        is_last = closing.restoring() is not None
        place(state, account, closing, quote)
        outcomes.add(PLACED)
        if is_last:
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
    """Lots of the position that no open order will close, for a fill that comes too late or is too
    large.
    """
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
        cash = state.contract(market).cash_of(lots, event.price_ticks)
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
    cash = state.contract(market).cash_of(side * taken, price_ticks)
    at_zero = open_take if is_closing else 0
    state.trade(account, outside_of(market), market, side * taken, cash, price_ticks, cause, at_zero=at_zero)
    state.trade(outside_of(market), account, market, -side * taken, -cash, price_ticks, cause)
    if is_closing:
        charge_or_support(state, order, open_take, price_ticks, equity)
        add_flow(state, market, state.contract(market).notional_of(taken))
    order.filled += open_take


def charge_or_support(state: State, order: Order, open_take: int, price_ticks: int, equity: int) -> None:
    """Compare the cash of the open lots with their part of the order's zero cash: a fee above it,
    support below.
    """
    account, market, fund = order.account, order.market, state.fund_id(order.market)
    terms = OrderTerms(order.lots, order.limit_ticks, order.zero_cash, order.filled, order.reserved)
    fee_ppm = state.rules.closeout.fee_ppm if equity >= 0 else None
    fill = settle(state.contract(market), terms, open_take, price_ticks, fee_ppm)
    state.post(fund, account, fill.fee, Cause.LIQUIDATION_FEE, market)
    pay(state, account, state.group(market), fill.support, Cause.SUPPORT, market)
    order.reserved -= fill.support
    state.reserve(order, -fill.support)


def order_done(state: State, event: Event) -> None:
    """The venue will fill no more of the order: what it did not fill says that the visible side is
    gone.
    """
    order = state.orders[event.other] if state.remembers(event.other) else None
    if order is None or not order.is_open:
        return
    state.reserve(order, -state.close_order(order))
    forget_depth(state, order)
    state.touch(order.account)


def forget_depth(state: State, order: Order) -> None:
    """What the order did not fill says that what its limit reaches was believed wrongly."""
    if not order.remaining:
        return
    depth = state.markets[order.market].depth[book_side(order.lots)]
    contract, is_sell = state.contract(order.market), order.lots < 0
    for band, offset in enumerate(contract.rules.band_offset_ppm):
        price = contract.offset_ticks(offset, is_sell=is_sell)
        if order.limit_ticks <= price if is_sell else order.limit_ticks >= price:
            depth[band] = UNKNOWN_LOTS
