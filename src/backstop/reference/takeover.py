"""The takeover stage (R6.7): offers to backstop providers, their answers, the venue vault and
its disposal.
"""

from __future__ import annotations

from backstop.core.events import Answer, Cause, EffectKind, ProviderStatus
from backstop.core.instruments import PPM
from backstop.reference.breakers import add_flow
from backstop.reference.closeout import closing_of, exit_of, send
from backstop.reference.doubt import is_doubted, may_force
from backstop.reference.margin import Portfolio, Standing
from backstop.reference.offering import Backer, Offering, TakeoverPrice, offers_end_ns, score_after_takeover
from backstop.reference.paying import pay
from backstop.reference.providers import bring_up_to_date, fail, haste_of, is_able
from backstop.reference.records import Event
from backstop.reference.state import DISPOSAL_ORDER, TAKEOVER_OFFER, Order, State

__all__ = ["answer", "dispose", "fail_joint", "takeover_waits"]


# -- how much --------------------------------------------------------------------------------------


def backer_of(state: State, number: int, market: int, side: int) -> Backer:
    """A provider as the taker of a position of this side, its gauge brought up to date."""
    provider, gauges = state.providers[number], state.commitment(number, market, side)
    commitments, direction, rules = gauges
    commitments[direction] = commitments[direction].at(state.now, rules.refill_per_s)
    offers = (order for order in state.open_orders.values() if order.kind == TAKEOVER_OFFER and order.provider == number)
    offered = sum(abs(offer.lots) for offer in offers if offer.market == market and offer.lots * side < 0)
    return Backer(
        number=number,
        rules=state.rules.providers[number],
        commitment=rules,
        score_ppm=provider.score,
        portfolio=state.portfolio(provider.account),
        contract=state.contract(market),
        side=side,
        promised=state.held_lots(provider.account, market) + side * offered,
        used=commitments[direction].used,
        pending_initial=provider.pending_initial,
        pending_notional=provider.pending_notional,
        has_row=state.row_is_free(provider.account, market),
        others_lots=state.others_lots(provider.account, market),
    )


def offering_of(
    state: State, account: int, market: int, numbers: list[int], portfolio: Portfolio, expected: Standing | None = None
) -> Offering:
    """One position and the providers that may be asked to take it over."""
    holding = portfolio.holding(market)
    return Offering(
        portfolio=portfolio,
        holding=holding,
        fund=state.fund_view(state.group(market), account, market),
        provider_share_ppm=state.rules.takeover.provider_share_ppm,
        asked=tuple(backer_of(state, number, market, holding.side) for number in numbers),
        expected=expected or portfolio.standing,
        way_out=exit_of(state, account, market),
    )


# -- offers ----------------------------------------------------------------------------------------


def takeover_waits(state: State, account: int) -> bool:
    """Offer the account's positions to providers; the vault takes over where nobody was asked.
    Return whether it waits.
    """
    row = state.accounts[account]
    end = offers_end_ns(row.default_since + row.doubt_ns, state.rules.closeout)
    if state.now < end:
        offered, lacks_place = make_offers(state, account)
        if offered:
            state.accounts[account].wait_until = min(offer.expires_ns for offer in state.orders_of(account))
        elif lacks_place:
            state.accounts[account].wait_until = min(end, state.now + state.rules.closeout.interval_ns)
        if offered or lacks_place:
            return True
    vault = next((number for number, rules in enumerate(state.rules.providers) if rules.is_vault), None)
    if vault is not None:
        vault_takes(state, account, vault)
    return False


def make_offers(state: State, account: int) -> tuple[bool, bool]:
    """Go through the positions; return whether any offer was made, and whether one was not for want
    of a place.
    """
    portfolio, first_id, lacks_place = state.portfolio(account), state.next_order, False
    expected = portfolio.standing
    for holding in portfolio.held:
        if not may_force(state, account, holding.market):
            continue
        numbers = able_providers(state, account)
        offering = offering_of(state, account, holding.market, numbers, portfolio, expected)
        if offering.lots == 0:
            continue
        lacks_place = not offer_all(state, account, offering)
        if lacks_place or offering.lots == offering.least:
            break
        expected = offering.expected_after(offering.lots)
    return state.next_order > first_id, lacks_place


def able_providers(state: State, account: int) -> list[int]:
    """Providers, no vault, that are able to take over from this account, all brought up to date."""
    numbers = [number for number, rules in enumerate(state.rules.providers) if not rules.is_vault]
    for number in numbers:
        bring_up_to_date(state, number)
    return [number for number in numbers if is_able(state, number, account)]


def offer_all(state: State, account: int, offering: Offering) -> bool:
    """Offer each backer its lots; return whether there was a place for all."""
    parts, before = offering.parts(), 0
    for backer in offering.backers:
        lots = parts[backer.number]
        if lots == 0:
            continue
        if state.place_held():
            return False
        offer(state, account, offering, backer, lots, offering.price(backer, lots, before, offering.lots))
        before += lots
    return True


def offer(state: State, account: int, offering: Offering, backer: Backer, lots: int, price: TakeoverPrice) -> None:
    """RESERVE, OFFER; the backer's gauges hold it."""
    holding, provider = offering.holding, state.providers[backer.number]
    order = Order(
        id=state.next_order,
        account=account,
        market=holding.market,
        lots=-holding.side * lots,
        limit_ticks=0,
        zero_cash=price.zero,
        reserved=price.support,
        kind=TAKEOVER_OFFER,
        provider=backer.number,
        cash=price.cash,
        pending_initial=max(0, backer.initial_rise(lots)),
        notional=offering.holding.contract.notional_of(lots),
        offered_ns=state.now,
        expires_ns=state.now + max(1, state.rules.takeover.answer_timeout_ns * PPM // haste_of(state, holding.market)),
        joint=state.joint_for(backer.number, holding.market, -holding.side * lots),
    )
    state.open_order(order)
    use(state, backer, order.market, order.notional)
    provider.pending_initial += order.pending_initial
    provider.pending_notional += order.notional
    state.reserve(order, order.reserved)
    state.emit(
        EffectKind.OFFER,
        market=order.market,
        account=order.account,
        other=order.id,
        lots=order.lots,
        price_ticks=backer.number,
        amount=order.cash,
        value=order.reserved,
    )


def use(state: State, backer: Backer, market: int, notional: int) -> None:
    """Count a notional against the backer's commitment."""
    gauges, direction, _ = state.commitment(backer.number, market, backer.side)
    gauges[direction] = gauges[direction]._replace(used=gauges[direction].used + notional)


def answer(state: State, event: Event) -> None:
    """ANSWER: the provider takes over what is open of the joint offer, or it failed."""
    named = state.orders[event.other] if state.remembers(event.other) else None
    offers = state.joint_offer(named.joint) if named is not None else []
    if not offers:
        return
    number = offers[0].provider
    if event.code == Answer.ACCEPT:
        bring_up_to_date(state, number)
        for order in offers:
            if order.is_open and may_accept(state, order):
                accept(state, order)
        if not any(order.is_open for order in offers):
            provider = state.providers[number]
            provider.score, provider.failures = score_after_takeover(provider.score), 0
            return
    fail_joint(state, offers[0].joint)


def fail_joint(state: State, joint: int) -> None:
    """The provider failed once; what is open of the joint offer is cancelled."""
    offers = state.joint_offer(joint)
    fail(state, offers[0].provider, offers[0].market)
    for order in offers:
        if order.is_open:
            state.cancel(order)
            state.touch(order.account)


def may_accept(state: State, order: Order) -> bool:
    """Whether the provider can keep its word: it stands above initial margin afterwards, other
    offers left out.
    """
    provider = state.providers[order.provider]
    account, market = provider.account, order.market
    before = state.holding(account, market)
    after, _ = before.after_trade(-order.lots, -order.cash)
    if state.accounts[account].in_default or provider.status in (ProviderStatus.OFF, ProviderStatus.STOPPED):
        return False
    if abs(after.lots) > state.rules.markets[market].position_lots_max or not state.row_is_free(account, market):
        return False
    portfolio = state.portfolio(account)
    equity = portfolio.equity - order.cash + after.value - before.value
    return equity >= portfolio.initial - before.initial + after.initial


def accept(state: State, order: Order) -> None:
    """The offer is closed and the lots change hands."""
    support = state.close_order(order)
    transfer(state, order.account, order.market, order.provider, order.lots, order.cash, support, order)


def transfer(
    state: State, account: int, market: int, number: int, lots: int, cash: int, support: int, offered: Order | None = None
) -> None:
    """Move lots from the account to the provider's, for cash and what the fund adds to it."""
    taker = state.providers[number].account
    order_id = offered.id if offered else 0
    state.emit(
        EffectKind.TAKEOVER,
        market=market,
        account=account,
        other=order_id,
        lots=lots,
        price_ticks=number,
        amount=cash,
        value=support,
    )
    taken = state.holding(account, market).value_of(abs(lots)) - cash
    charge = exit_of(state, account, market).charge(abs(lots), taken, state.equity(account))
    state.trade(account, taker, market, lots, cash, 0, Cause.TAKEOVER, at_zero=abs(lots))
    state.trade(taker, account, market, -lots, -cash, 0, Cause.TAKEOVER)
    state.post(state.fund_id(market), account, charge, Cause.CLOSING_CHARGE, market)
    pay(state, account, state.group(market), support, Cause.SUPPORT, market)
    if offered:
        state.reserve(offered, -support)
    add_flow(state, market, state.contract(market).notional_of(lots))
    state.cancel_excess(taker, market)
    state.touch(account)
    state.touch(taker)


# -- the venue's vault -----------------------------------------------------------------------------


def vault_takes(state: State, account: int, number: int) -> None:
    """The vault takes over at once, position by position, while the account is in default."""
    for market in [each for each in state.held_markets(account) if may_force(state, account, each)]:
        state.judge(account)
        if not state.accounts[account].in_default:
            return
        bring_up_to_date(state, number)
        if is_able(state, number, account):
            vault_takes_position(state, account, market, number)


def vault_takes_position(state: State, account: int, market: int, number: int) -> None:
    """Take what the vault can, and what the fund supports, of one position."""
    offering = offering_of(state, account, market, [number], state.portfolio(account))
    lots = offering.lots
    if lots == 0:
        return
    (backer,) = offering.backers
    price = offering.price(backer, lots)
    use(state, backer, market, state.contract(market).notional_of(lots))
    transfer(state, account, market, number, -backer.side * lots, price.cash, price.support)


# -- disposal --------------------------------------------------------------------------------------


def dispose(state: State, number: int) -> None:
    """The vault, and a provider that is stopped, send a slice of each position to the book."""
    provider, rules = state.providers[number], state.rules.disposal
    bring_up_to_date(state, number)
    if not state.rules.providers[number].is_vault and provider.status != ProviderStatus.STOPPED:
        return
    portfolio = state.portfolio(provider.account)
    for holding in portfolio.held:
        closing = closing_of(state, provider.account, holding.market, portfolio, behind=True)
        if is_doubted(state, holding.market) or closing.book_stop is not None:
            continue
        if state.place_held():
            break
        order = Order(
            id=state.next_order,
            account=provider.account,
            market=holding.market,
            lots=-holding.side * closing.disposal_lots(rules),
            limit_ticks=closing.book.limit(rules.tolerance_ppm).ticks,
            zero_cash=0,
            kind=DISPOSAL_ORDER,
        )
        send(state, order)
