"""Why an event is refused: the checks of section 5, one group a reason, in the order of ``Reject``."""

from __future__ import annotations

from collections.abc import Iterator

from backstop.core.events import FUND, NONE, WORLD, BookSide, EventKind, Reject, Transfer, outside_of
from backstop.core.instruments import BALANCE_ATOMS_MAX, DEPTH_LOTS_MAX, NOTIONAL_ATOMS_MAX
from tests.oracle.arithmetic import sign
from tests.oracle.records import Event
from tests.oracle.state import Order, State

__all__ = ["reason_to_refuse"]

K = EventKind
#: Kinds that name a market, and those of them whose lots or price are looked at.
WITH_MARKET = (K.POSITION, K.FILL, K.MARK, K.INDEX, K.VOLUME, K.DEPTH, K.ORDER_FILL)
WITH_POSITION_LOTS = (K.POSITION, K.FILL, K.ORDER_FILL)
WITH_PRICE = (K.FILL, K.MARK, K.INDEX, K.ORDER_FILL)
WITH_ORDER = (K.ORDER_FILL, K.ORDER_DONE)


def reason_to_refuse(state: State, event: Event) -> Reject | None:
    """Return the first reason in the order of ``Reject``, or nothing. Later checks rely on the earlier ones."""
    checks = (_form, _names, _numbers, _position, _ledger)
    return next((reason for check in checks for bad, reason in check(state, event) if bad), None)


def _form(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    yield event.seq <= state.last_seq, Reject.SEQ_NOT_AFTER
    yield event.kind not in set(K), Reject.UNKNOWN_KIND
    yield not state.now <= event.time_ns <= 1 << 62, Reject.TIME_OUT_OF_RANGE


def _is_open(state: State, account: int) -> bool:
    return 0 <= account < len(state.accounts)


def _order(state: State, event: Event) -> Order | None:
    """Return the order of the event, if the engine issued it and remembers it."""
    issued = event.kind in WITH_ORDER and 1 <= event.other < state.next_order
    return state.orders[event.other] if issued and state.remembers(event.other) else None


def _names(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Market, account, order, owner, code."""
    kind = event.kind
    yield kind in WITH_MARKET and not 0 <= event.market < len(state.markets), Reject.UNKNOWN_MARKET

    if kind in (K.TRANSFER, K.POSITION, K.FILL):
        to_fund = kind == K.TRANSFER and event.account == FUND
        yield not to_fund and not _is_open(state, event.account), Reject.UNKNOWN_ACCOUNT
    yield kind == K.FILL and event.other != NONE and not _is_open(state, event.other), Reject.UNKNOWN_ACCOUNT

    order = _order(state, event)
    yield kind in WITH_ORDER and not 1 <= event.other < state.next_order, Reject.UNKNOWN_ORDER
    yield kind == K.ORDER_FILL and order is not None and order.market != event.market, Reject.UNKNOWN_ORDER

    accounts_max = state.rules.limits.accounts_max
    yield kind == K.ACCOUNT and not 0 <= event.other < accounts_max, Reject.UNKNOWN_OWNER

    if kind == K.TRANSFER:
        yield event.code not in (Transfer.CASH, Transfer.FUNDING), Reject.UNKNOWN_CODE
        yield event.account == FUND and event.code != Transfer.CASH, Reject.UNKNOWN_CODE
    if kind == K.DEPTH:
        bands = len(state.rules.markets[event.market].band_offset_ppm)
        yield event.code not in (BookSide.BID, BookSide.ASK) or not 0 <= event.other < bands, Reject.UNKNOWN_CODE

    if kind == K.ACCOUNT:
        yield event.account != len(state.accounts), Reject.ACCOUNT_NOT_NEXT
        yield event.account >= accounts_max, Reject.ACCOUNT_LIMIT


def _numbers(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Two accounts, lots, price, amount."""
    kind = event.kind
    yield kind == K.FILL and event.account == event.other, Reject.SAME_ACCOUNT

    rules = state.rules.markets[event.market] if kind in WITH_MARKET else None
    if rules and kind in WITH_POSITION_LOTS:
        yield not 1 <= abs(event.lots) <= rules.position_lots_max, Reject.LOTS_OUT_OF_RANGE
        order = _order(state, event)
        yield order is not None and sign(order.lots) != sign(event.lots), Reject.LOTS_OUT_OF_RANGE
    yield kind in (K.VOLUME, K.DEPTH) and not 0 <= event.lots <= DEPTH_LOTS_MAX, Reject.LOTS_OUT_OF_RANGE

    if rules and kind in WITH_PRICE:
        yield not 1 <= event.price_ticks <= rules.price_ticks_max, Reject.PRICE_OUT_OF_RANGE

    yield kind == K.TRANSFER and not 1 <= abs(event.amount) <= NOTIONAL_ATOMS_MAX, Reject.AMOUNT_OUT_OF_RANGE
    if rules and kind == K.POSITION:
        largest = abs(event.lots) * rules.price_ticks_max * rules.notional_factor
        yield abs(event.amount) > largest, Reject.AMOUNT_OUT_OF_RANGE


def _position(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Mark, existing position, limits of lots and rows, halt."""
    if event.kind not in (K.POSITION, K.FILL):
        return
    market = state.markets[event.market]
    yield market.mark == 0, Reject.NO_MARK
    changes = {event.account: event.lots}
    if event.kind == K.FILL and event.other != NONE:
        changes[event.other] = -event.lots
    before = {account: state.held_lots(account, event.market) for account in changes}
    yield event.kind == K.POSITION and before[event.account] != 0, Reject.POSITION_EXISTS

    largest = state.rules.markets[event.market].position_lots_max
    yield any(abs(before[account] + change) > largest for account, change in changes.items()), Reject.POSITION_LIMIT
    rows = sum(len(state.positions[account]) for account in range(len(state.accounts)))
    rows += sum(event.market not in state.positions[account] for account in changes)
    yield rows > state.rules.limits.positions_max, Reject.POSITION_LIMIT

    after = {account: before[account] + change for account, change in changes.items()}
    opens = any(abs(after[account]) > abs(held) or after[account] * held < 0 for account, held in before.items())
    yield event.kind == K.FILL and market.halted and opens, Reject.MARKET_HALTED


def _ledger(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Balances that stay within bounds, and withdrawals that leave what is needed."""
    account, amount = event.account, event.amount
    if event.kind == K.POSITION:
        outside = state.position(outside_of(event.market), event.market)
        yield abs(outside.cost - amount) > BALANCE_ATOMS_MAX, Reject.BALANCE_LIMIT
    if event.kind != K.TRANSFER:
        return
    after = (state.ledger[account] + amount, state.ledger[WORLD] - amount)
    yield any(abs(balance) > BALANCE_ATOMS_MAX for balance in after), Reject.BALANCE_LIMIT
    if amount > 0 or event.code != Transfer.CASH:
        return
    if account == FUND:
        yield state.ledger[FUND] + amount - state.reserved < 0, Reject.INSUFFICIENT_MARGIN
        return
    yield state.accounts[account].in_default, Reject.ACCOUNT_IN_DEFAULT
    yield state.equity(account) + amount < state.initial_margin(account), Reject.INSUFFICIENT_MARGIN
