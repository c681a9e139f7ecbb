"""Why an event is refused: the checks of R5.2, one group a reason, in the order of
``Reject``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backstop.core.events import (
    FEES,
    NONE,
    WORLD,
    Answer,
    BookSide,
    BreakerState,
    EventKind,
    Operator,
    Reject,
    Transfer,
    fund_of,
    outside_of,
)
from backstop.core.instruments import BALANCE_ATOMS_MAX, DEPTH_LOTS_MAX, NOTIONAL_ATOMS_MAX, funding_index_max
from backstop.reference.arithmetic import sign
from backstop.reference.breakers import effective_state
from backstop.reference.doubt import is_doubted, is_settling
from backstop.reference.leaving import plan_of
from backstop.reference.listing import wrong_listing
from backstop.reference.margin import Holding
from backstop.reference.parameters import wrong_change
from backstop.reference.records import Event
from backstop.reference.shortfalls import held_gains, held_gains_of
from backstop.reference.state import TAKEOVER_OFFER, Order, State

__all__ = ["held_loss", "held_margin", "reason_to_refuse"]

K = EventKind
Check = Callable[[State, Event], Iterator[tuple[bool, Reject]]]
#: Kinds that name a market, and those of them whose lots or price are looked at.
WITH_MARKET = (K.POSITION, K.FILL, K.MARK, K.INDEX, K.VOLUME, K.DEPTH, K.ORDER_FILL, K.HEARTBEAT, K.FUNDING, K.SETTLEMENT)
#: Codes of TRANSFER that may name a market.
WITH_MARKET_OR_NONE = (Transfer.TRADING_FEE, Transfer.FUNDING)
#: Kinds that name an account which no pocket of another market may be.
WITH_OWN_MARKET = (K.POSITION, K.FILL)
WITH_POSITION_LOTS = (K.POSITION, K.FILL, K.ORDER_FILL)
WITH_PRICE = (K.FILL, K.MARK, K.INDEX, K.ORDER_FILL, K.SETTLEMENT)
#: Kinds by which something happens in a market, or is told of it.
TRADING = (K.POSITION, K.FILL, K.MARK, K.INDEX, K.VOLUME, K.DEPTH, K.ORDER_FILL, K.FUNDING, K.SETTLEMENT)
WITH_ORDER = (K.ORDER_FILL, K.ORDER_DONE, K.ANSWER)
#: Orders of an operator, by what they name: a market or the venue and a time, a market or the
#: venue, a provider.
TIMED = (Operator.HALT, Operator.THROTTLE)
TO_BREAKER = (*TIMED, Operator.REOPEN)
TO_PROVIDER = (Operator.PROVIDER_OFF, Operator.PROVIDER_ON)
#: States of a market in which no fill may bring new risk.
NO_NEW_RISK = (BreakerState.HALTED, BreakerState.REOPENING)


#: Checks of the kinds that have their own.
OF_KIND: dict[int, tuple[Check, ...]] = {K.PARAMETER: (wrong_change,), K.LISTING: (wrong_listing,)}


def reason_to_refuse(state: State, event: Event) -> Reject | None:
    """Return the first reason in the order of ``Reject``, or nothing. Later checks rely on the
    earlier ones.
    """
    checks = (_form, *OF_KIND.get(event.kind, (_names, _numbers, _position, _ledger, _settled, _pockets, _assets)))
    return next((reason for check in checks for bad, reason in check(state, event) if bad), None)


def _form(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    yield event.seq <= state.last_seq, Reject.SEQ_NOT_AFTER
    yield event.kind not in set(K), Reject.UNKNOWN_KIND
    has_begun = state.breakers[-1].accepted
    yield not state.now <= event.time_ns <= 1 << 62 or (has_begun and event.time_ns > state.now + (1 << 53)), Reject.TIME_OUT_OF_RANGE


def _is_open(state: State, account: int) -> bool:
    return 0 <= account < len(state.accounts)


def _order(state: State, event: Event) -> Order | None:
    """Return the order of the event, if the engine issued it and remembers it."""
    issued = event.kind in WITH_ORDER and 1 <= event.other < state.next_order
    return state.orders[event.other] if issued and state.remembers(event.other) else None


def _group_of(state: State, account: int) -> int | None:
    """Return the group whose fund this is, if it is a fund."""
    return next((group for group in range(len(state.rules.funds)) if fund_of(group) == account), None)


def _names(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Market, account, order, owner, provider, code."""
    kind, markets = event.kind, range(len(state.markets))
    yield kind in WITH_MARKET and event.market not in markets, Reject.UNKNOWN_MARKET
    codes: dict[int, tuple[int, ...]] = {K.ACCOUNT: (event.code,), K.TRANSFER: WITH_MARKET_OR_NONE, K.OPERATOR: TO_BREAKER}
    may_name = event.code in codes.get(kind, ())
    yield may_name and event.market != NONE and event.market not in markets, Reject.UNKNOWN_MARKET
    names_market = _gives_price(event) or _ends_relief(event)
    yield names_market and event.market not in markets, Reject.UNKNOWN_MARKET

    to_fund = kind == K.TRANSFER and _group_of(state, event.account) is not None
    if kind in (K.TRANSFER, K.POSITION, K.FILL, K.PROVIDER):
        yield not to_fund and not _is_open(state, event.account), Reject.UNKNOWN_ACCOUNT
    yield kind == K.FILL and event.other != NONE and not _is_open(state, event.other), Reject.UNKNOWN_ACCOUNT
    yield _moves(event) and not _is_open(state, event.other), Reject.UNKNOWN_ACCOUNT

    order = _order(state, event)
    yield kind in WITH_ORDER and not 1 <= event.other < state.next_order, Reject.UNKNOWN_ORDER
    yield kind == K.ORDER_FILL and order is not None and order.market != event.market, Reject.UNKNOWN_ORDER
    yield order is not None and (order.kind == TAKEOVER_OFFER) != (kind == K.ANSWER), Reject.UNKNOWN_ORDER

    accounts_max = state.rules.limits.accounts_max
    yield kind == K.ACCOUNT and not 0 <= event.other < accounts_max, Reject.UNKNOWN_OWNER
    yield from _providers(state, event)
    yield from _codes(state, event, to_fund)

    if kind == K.ACCOUNT:
        yield event.account != len(state.accounts), Reject.ACCOUNT_NOT_NEXT
        yield event.account >= accounts_max, Reject.ACCOUNT_LIMIT


def _providers(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """A provider is bound once, and ordered about only when it is."""
    named = event.kind == K.PROVIDER or (event.kind == K.OPERATOR and event.code in TO_PROVIDER)
    if not named:
        return
    yield not 0 <= event.other < len(state.providers), Reject.UNKNOWN_PROVIDER
    is_bound = state.providers[event.other].account != NONE
    yield is_bound == (event.kind == K.PROVIDER), Reject.UNKNOWN_PROVIDER
    taken = any(provider.account == event.account for provider in state.providers)
    yield event.kind == K.PROVIDER and taken, Reject.UNKNOWN_PROVIDER


def _codes(state: State, event: Event, to_fund: bool) -> Iterator[tuple[bool, Reject]]:
    """Codes of the kinds that have them; of DEPTH also the band."""
    kind, code = event.kind, event.code
    known: dict[int, set[int]] = {
        K.ACCOUNT: set(range(len(state.rules.assets))),
        K.TRANSFER: set(Transfer),
        K.ANSWER: set(Answer),
        K.OPERATOR: set(Operator),
        K.DEPTH: set(BookSide),
    }
    yield kind in known and code not in known[kind], Reject.UNKNOWN_CODE
    yield to_fund and code != Transfer.CASH, Reject.UNKNOWN_CODE
    if kind == K.DEPTH:
        bands = len(state.rules.markets[event.market].band_offset_ppm)
        yield not 0 <= event.other < bands, Reject.UNKNOWN_CODE


def _numbers(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Two accounts, lots, price, amount."""
    kind = event.kind
    yield (kind == K.FILL or _moves(event)) and event.account == event.other, Reject.SAME_ACCOUNT

    rules = state.rules.markets[event.market] if kind in WITH_MARKET else None
    if rules and kind in WITH_POSITION_LOTS:
        yield not 1 <= abs(event.lots) <= rules.position_lots_max, Reject.LOTS_OUT_OF_RANGE
        order = _order(state, event)
        yield order is not None and sign(order.lots) != sign(event.lots), Reject.LOTS_OUT_OF_RANGE
    yield kind in (K.VOLUME, K.DEPTH) and not 0 <= event.lots <= DEPTH_LOTS_MAX, Reject.LOTS_OUT_OF_RANGE

    if _gives_price(event):
        rules = state.rules.markets[event.market]
    if rules and (kind in WITH_PRICE or _gives_price(event)):
        yield not rules.price_ticks_min <= event.price_ticks <= rules.price_ticks_max, Reject.PRICE_OUT_OF_RANGE

    yield kind in (K.TRANSFER, K.FUNDING) and not 1 <= abs(event.amount) <= NOTIONAL_ATOMS_MAX, Reject.AMOUNT_OUT_OF_RANGE
    is_positive = kind == K.TRANSFER and event.code in (Transfer.TRADING_FEE, Transfer.MOVE)
    yield is_positive and event.amount < 0, Reject.AMOUNT_OUT_OF_RANGE
    if kind == K.OPERATOR and event.code in TIMED:
        yield not 1 <= event.amount <= state.rules.breakers.operator_hold_max_ns, Reject.AMOUNT_OUT_OF_RANGE
    if _ends_relief(event):
        yield not state.rules.levels.relief_notice_ns <= event.amount <= 1 << 53, Reject.AMOUNT_OUT_OF_RANGE
    if rules and kind == K.POSITION:
        largest = rules.contract.bound(event.lots, rules.price_ticks_min, rules.price_ticks_max)
        yield abs(event.amount) > largest, Reject.AMOUNT_OUT_OF_RANGE


def _position(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Mark, existing position, limits of lots and rows, breakers."""
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
    no_new_risk = event.kind == K.FILL and effective_state(state, event.market) in NO_NEW_RISK
    yield no_new_risk and opens, Reject.MARKET_HALTED


def _ledger(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Balances that stay within bounds, and withdrawals that leave what is needed."""
    account, amount = event.account, event.amount
    if event.kind == K.POSITION:
        outside = state.position(outside_of(event.market), event.market)
        yield abs(outside.cost - amount) > BALANCE_ATOMS_MAX, Reject.BALANCE_LIMIT
    if event.kind == K.FUNDING:
        most = funding_index_max(state.rules.markets[event.market])
        yield abs(state.markets[event.market].funding_index + amount) > most, Reject.BALANCE_LIMIT
    if event.kind != K.TRANSFER:
        return
    is_fee = event.code == Transfer.TRADING_FEE
    payer, receiver = (account, FEES) if is_fee else (account, event.other) if _moves(event) else (WORLD, account)
    asset = state.asset_of(account) or 0
    after = (state.balance(receiver, asset) + amount, state.balance(payer, asset) - amount)
    yield any(abs(balance) > BALANCE_ATOMS_MAX for balance in after), Reject.BALANCE_LIMIT
    if _moves(event):
        yield from _move(state, account, event.other, amount)
    if amount > 0 or event.code != Transfer.CASH:
        return
    group = _group_of(state, account)
    if group is not None:
        owes = state.funds[group].reserved + state.claims_on(group) + state.uncovered(group)
        yield state.ledger[account] + amount < owes, Reject.INSUFFICIENT_MARGIN
        return
    yield state.accounts[account].in_default, Reject.ACCOUNT_IN_DEFAULT
    owner = state.accounts[account].owner
    left, rest = after_withdrawal(state, account, -amount)
    yield left < 0, Reject.INSUFFICIENT_MARGIN
    yield rest < 0, Reject.DEBT_TO_FUND
    plan = plan_of(state, owner, -amount, rest)
    lent = sum(plan.lent.values())
    held = held_gains(state, owner) + lent
    yield rest < held or left < lent or plan.stays > 0, Reject.GAIN_HELD
    yield rest < held + state.fill_debt(owner), Reject.FILL_HELD


def _move(state: State, account: int, other: int, amount: int) -> Iterator[tuple[bool, Reject]]:
    """Money that stays with its owner leaves the account what it needs, and its gains that are held;
    into a pocket that is apart, what funds paid for its owner as well.
    """
    yield state.accounts[account].in_default, Reject.ACCOUNT_IN_DEFAULT
    left, rest = after_withdrawal(state, account, amount, receiver=other)
    yield left < 0, Reject.INSUFFICIENT_MARGIN
    yield state.is_apart(other) and rest < 0, Reject.DEBT_TO_FUND
    yield left < held_gains_of(state, account), Reject.GAIN_HELD


def after_withdrawal(state: State, account: int, amount: int, receiver: int = NONE) -> tuple[int, int]:
    """What a withdrawal leaves in the account beyond its initial margin and what linked accounts lack;
    and that with what the owner's others have to spare, beyond his debts and what those lack that are
    not linked. ``receiver``: an account that counts in neither.
    """
    owner = state.accounts[account].owner
    others = [number for number in state.accounts_of(owner) if number not in (account, receiver)]
    lacks = sum(_lack(state, number) for number in others if state.are_linked(account, number))
    needs = state.portfolio(account).initial + held_margin(state, account) + lacks
    left = state.equity(account) - held_loss(state, account) - amount - needs
    spare = sum(max(0, _free(state, number)) for number in others)
    gaps = sum(max(0, -_at_worst(state, number)) for number in others if not state.are_linked(account, number))
    return left, left + spare - gaps - state.owner_debt(owner)


def _moves(event: Event) -> bool:
    """An owner moves money from one of his accounts to another."""
    return event.kind == K.TRANSFER and event.code == Transfer.MOVE


def _gives_price(event: Event) -> bool:
    """An operator says at what price a market settles."""
    return event.kind == K.OPERATOR and event.code == Operator.SETTLE_PRICE


def _ends_relief(event: Event) -> bool:
    """An operator gives notice that the relief in a market ends."""
    return event.kind == K.OPERATOR and event.code == Operator.END_RELIEF


def _settled(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Nothing happens in a market whose settlement has begun, or that is not listed, and no price is given for a market that
    is not doubted.
    """
    if event.kind in TRADING or _gives_price(event):
        yield is_settling(state, event.market), Reject.MARKET_SETTLED
    if event.kind in (*TRADING, K.HEARTBEAT) or _gives_price(event):
        is_listed = is_settling(state, event.market) or state.rules.markets[event.market].is_listed
        yield not is_listed, Reject.MARKET_NOT_LISTED
    if _gives_price(event):
        yield not is_doubted(state, event.market), Reject.NOT_DOUBTED


def _pockets(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """A pocket has lots in its market only, and is no provider's; money is moved within an owner."""
    named: tuple[int, ...] = (event.account,) if event.kind in (*WITH_OWN_MARKET, K.PROVIDER) else ()
    if event.kind == K.FILL and event.other != NONE:
        named = (event.account, event.other)
    pockets = [state.accounts[account].pocket for account in named]
    yield any(pocket not in (NONE, event.market) for pocket in pockets if event.kind != K.PROVIDER), Reject.ACCOUNT_ISOLATED
    yield event.kind == K.PROVIDER and pockets != [NONE], Reject.ACCOUNT_ISOLATED
    if _moves(event):
        yield state.accounts[event.account].owner != state.accounts[event.other].owner, Reject.OTHER_OWNER


def _assets(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Accounts of one owner are of one asset, and whatever touches an account is of its asset."""
    kind, named = event.kind, {K.ACCOUNT: event.code}.get(EventKind(event.kind))
    rules = state.rules
    if kind in (*WITH_OWN_MARKET, K.PROVIDER) or (kind == K.TRANSFER and event.code in WITH_MARKET_OR_NONE):
        named = state.asset_of(event.account)
    if named is None:
        return
    others = list[int]()
    if kind == K.ACCOUNT:
        others += [state.accounts[account].asset for account in state.accounts_of(event.other)]
    if kind == K.FILL and event.other != NONE:
        others.append(state.accounts[event.other].asset)
    if kind == K.PROVIDER:
        others.append(rules.providers[event.other].asset)
    elif event.market != NONE:
        others.append(rules.markets[event.market].settlement_asset)
    yield any(other != named for other in others), Reject.WRONG_ASSET


def _at_worst(state: State, account: int) -> int:
    """Equity of an account, each position at the worst mark that is held."""
    return state.equity(account) - held_loss(state, account)


def _free(state: State, account: int) -> int:
    """What an account has above its initial margin."""
    return _at_worst(state, account) - state.portfolio(account).initial - held_margin(state, account)


def _lack(state: State, account: int) -> int:
    """What a linked account may yet need: its deficit, in default all up to its release."""
    standing = state.standing(account)
    level = standing.release if state.accounts[account].in_default else 0
    return max(0, level - standing.equity + held_loss(state, account))


def _held_marks(state: State, account: int) -> Iterator[list[Holding]]:
    """Holdings in markets where the guard holds a mark: at the mark, at that one, and at a rival."""
    for holding in state.portfolio(account).held:
        breaker = state.breakers[holding.market]
        prices = [ticks for ticks in (breaker.held, breaker.rival) if ticks]
        if prices:
            yield [holding, *(holding._replace(contract=holding.contract._replace(mark_ticks=ticks)) for ticks in prices)]


def held_loss(state: State, account: int) -> int:
    """What the account would lose at the marks that are held, where they are worse."""
    return sum(at[0].value - min(each.value for each in at) for at in _held_marks(state, account))


def held_margin(state: State, account: int) -> int:
    """What more initial margin the account would need there, where it is more."""
    return sum(max(each.initial for each in at) - at[0].initial for at in _held_marks(state, account))
