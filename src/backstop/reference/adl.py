"""The stages that close lots against other holders: ADL and tear-up (section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from backstop.core.events import NONE, AdlClass, Cause, EffectKind
from backstop.reference.arithmetic import holder_order, sign, split
from backstop.reference.arrears import book_uncovered
from backstop.reference.breakers import add_flow
from backstop.reference.closeout import exit_of
from backstop.reference.doubt import may_force, waits_for_halt
from backstop.reference.paying import judge_netted, pay, tell_support
from backstop.reference.socialise import socialise
from backstop.reference.state import State
from backstop.reference.wave import Counterparty, Wave, cash_parts, gap_to_zero, lots_to_close, place_in_class
from backstop.reference.wave import class_of as class_of_holding
from backstop.reference.wave import weight_of as weight_of_counterparty

__all__ = ["adl", "class_of", "tear_up", "weight_of"]


@dataclass(slots=True)
class Candidate:
    """A counterparty that may give lots."""

    holder: int
    adl_class: AdlClass
    weight: int
    cap: int


def counterparty_of(state: State, holder: int, market: int) -> Counterparty:
    """A holder as one that may give lots."""
    return Counterparty(holder, state.holding(holder, market), state.portfolio(holder) if holder >= 0 else None)


def class_of(state: State, defaulter: int, holder: int, market: int) -> AdlClass:
    """Class of a counterparty."""
    holding = state.holding(holder, market)
    if holder < 0:
        return class_of_holding(holding, 0, is_house=True, is_linked=False)
    owner = state.accounts[holder].owner
    linked = [other for other, account in enumerate(state.accounts) if account.owner == owner and other != holder]
    held = (state.held_lots(other, market) for other in linked)
    hedged_lots = sum(abs(each) for each in held if each * holding.lots < 0)
    return class_of_holding(holding, hedged_lots, is_house=False, is_linked=owner == state.accounts[defaulter].owner)


def weight_of(state: State, adl_class: AdlClass, holder: int, market: int) -> int:
    """Weight of a candidate in its class, by the venue's policy."""
    return weight_of_counterparty(state.rules.adl_policy, adl_class, counterparty_of(state, holder, market), state.last_seq)


def wave_of(state: State, account: int, market: int) -> Wave:
    """A position with everybody who may be asked to take it over: the other side, without those in
    default.
    """
    side = sign(state.held_lots(account, market))
    holders = [holder for holder in state.holders(market, -side) if holder < 0 or not state.accounts[holder].in_default]
    counterparties = tuple(counterparty_of(state, holder, market) for holder in holders)
    fund = state.fund_view(state.group(market), account, market)
    return Wave(state.portfolio(account), market, counterparties, fund, exit_of(state, account, market))


def waits_for_reservation(state: State, account_id: int, market: int, *, is_asked: bool) -> bool:
    """The fund cannot pay the gap of the position, but more of it once what is reserved is free; not
    beyond the deadline.
    """
    portfolio, fund = state.portfolio(account_id), state.fund_view(state.group(market), account_id, market)
    gap, deadline = gap_to_zero(portfolio, market, abs(portfolio.holding(market).lots)), state.deadline(account_id)
    if not is_asked or fund.available >= min(gap, fund.free) or state.now >= deadline:
        return False
    state.accounts[account_id].wait_until = min(deadline, state.now + state.rules.closeout.interval_ns)
    return True


def adl_position(state: State, account: int, market: int) -> None:
    """Close what the counterparties can take of one position."""
    wave = wave_of(state, account, market)
    lots, support, caps = wave.plan()
    if lots == 0:
        return
    cash = wave.cash(lots)
    side, mark = sign(state.held_lots(account, market)), state.markets[market].mark
    classes = {h: class_of(state, account, h, market) for h, cap in caps.items() if cap}
    candidates = [Candidate(h, adl_class, weight_of(state, adl_class, h, market), caps[h]) for h, adl_class in classes.items()]
    placed: list[tuple[AdlClass, list[Candidate], dict[int, int], tuple[int, int]]] = []
    left = lots
    for adl_class in AdlClass:
        members = [candidate for candidate in candidates if candidate.adl_class == adl_class]
        if members and left:
            weights, most = ({member.holder: member.weight for member in members}, {member.holder: member.cap for member in members})
            given, eta = place_in_class(state.rules.adl_policy, adl_class, left, weights, most)
            placed.append((adl_class, members, given, eta))
            left -= sum(given.values())

    gives = {holder: part for _, _, given, _ in placed for holder, part in given.items() if part}
    cash_of = cash_parts(cash, gives, wave.at_mark(1))
    state.emit(
        EffectKind.ADL_PLAN,
        code=state.rules.adl_policy,
        market=market,
        account=account,
        other=len(gives),
        lots=-side * lots,
        price_ticks=mark,
        amount=cash,
        value=state.equity(account),
    )
    tell_support(state, account, market, support, Cause.SUPPORT)
    order: list[int] = []
    charge = wave.way_out.charge(lots, 0, state.equity(account))
    for adl_class, members, given, eta in placed:
        order += emit_class(state, (account, market, side), adl_class, members, given, eta, cash_of)
    trade_all(state, account, market, -side * lots, cash, {h: (side * gives[h], cash_of[h]) for h in order}, 0, Cause.ADL)
    pay(state, account, state.group(market), support.amount, Cause.SUPPORT, market)
    state.post(state.fund_id(market), account, charge, Cause.CLOSING_CHARGE, market)
    add_flow(state, market, state.contract(market).value_of(lots))
    settle_counterparties(state, market, order)


def emit_class(
    state: State,
    defaulter: tuple[int, int, int],
    adl_class: AdlClass,
    members: list[Candidate],
    given: dict[int, int],
    eta: tuple[int, int],
    cash_of: dict[int, int],
) -> list[int]:
    """Report one class and its fills; return the holders that gave, in order."""
    account, market, side = defaulter
    state.emit(
        EffectKind.ADL_CLASS,
        code=adl_class,
        market=market,
        account=account,
        other=len(members),
        lots=sum(given.values()),
        price_ticks=sum(given[member.holder] == member.cap for member in members),
        amount=eta[0],
        value=eta[1],
    )
    fills = sorted((member for member in members if given[member.holder]), key=lambda member: holder_order(member.holder))
    for member in fills:
        state.emit(
            EffectKind.ADL_FILL,
            code=adl_class,
            market=market,
            account=member.holder,
            other=account,
            lots=side * given[member.holder],
            price_ticks=member.cap,
            amount=cash_of[member.holder],
            value=member.weight,
        )
    return [member.holder for member in fills]


def trade_all(
    state: State,
    account: int,
    market: int,
    lots: int,
    cash: int,
    counterparties: dict[int, tuple[int, int]],
    price_ticks: int,
    cause: Cause,
) -> None:
    """Trade the defaulter's whole, then each counterparty's signed lots and cash."""
    state.trade(account, NONE, market, lots, cash, price_ticks, cause, at_zero=abs(lots))
    for holder, (part, part_cash) in counterparties.items():
        state.trade(holder, account, market, part, part_cash, price_ticks, cause)


def settle_counterparties(state: State, market: int, holders: list[int]) -> None:
    """Cancel what their orders now exceed, and judge them; the house has neither orders nor
    health.
    """
    for holder in holders:
        if holder >= 0:
            state.cancel_excess(holder, market)
            state.touch(holder)


def open_to_force(state: State, account: int) -> list[int]:
    """Markets with lots of the account that are neither held back nor wait for a halt."""
    return [m for m in state.held_markets(account) if may_force(state, account, m) and not waits_for_halt(state, account, m)]


def adl(state: State, account: int) -> bool:
    """Go through the account's positions while it is in default; return whether it waits for a
    reservation.
    """
    for market in open_to_force(state, account):
        judge_netted(state, account)
        if not state.accounts[account].in_default:
            return False
        if waits_for_reservation(state, account, market, is_asked=state.fund_supports):
            return True
        adl_position(state, account, market)
    return False


def tear_up(state: State, account: int) -> bool:
    """End, at mark, the lots that nobody took, against everyone on the opposite side; return whether
    the account waits for a reservation.
    """
    for market in open_to_force(state, account):
        judge_netted(state, account)
        if not state.accounts[account].in_default:
            return False
        if waits_for_reservation(state, account, market, is_asked=state.has_fund):
            return True
        tear_up_position(state, account, market)
    return False


def tear_up_position(state: State, account: int, market: int) -> None:
    """Tear up one position; the fund, then socialised gains pay the gap to zero cash, what they
    cannot pay is uncovered.
    """
    portfolio = state.portfolio(account)
    holding = portfolio.holding(market)
    side, contract = holding.side, holding.contract
    mark = contract.mark_ticks
    way_out = exit_of(state, account, market)
    lots = lots_to_close(portfolio, market, way_out)
    cash, gap = holding.value_of(lots), gap_to_zero(portfolio, market, lots)
    opposite = {holder: abs(state.held_lots(holder, market)) for holder in state.holders(market, -side)}
    parts = {holder: part for holder, part in split(lots, opposite).items() if part}
    state.emit(EffectKind.TEAR_UP, market=market, account=account, lots=-side * lots, price_ticks=mark, amount=cash, value=gap)
    left = pay_gap(state, account, market, gap)
    shares = {holder: (side * part, -holding.value_of(part)) for holder, part in parts.items()}
    trade_all(state, account, market, -side * lots, cash, shares, mark, Cause.TEAR_UP)
    state.post(state.fund_id(market), account, way_out.charge(lots, 0, portfolio.equity), Cause.CLOSING_CHARGE, market)
    add_flow(state, market, contract.value_of(lots))
    book_uncovered(state, account, left, state.group(market))
    settle_counterparties(state, market, list(parts))


def pay_gap(state: State, account: int, market: int, gap: int) -> int:
    """The market's fund pays, then who gained; return what is left."""
    group = state.group(market)
    support = state.fund_view(group, account, market).support(gap, is_asked=state.has_fund)
    tell_support(state, account, market, support, Cause.TEAR_UP)
    left = gap - pay(state, account, group, support.amount, Cause.TEAR_UP, market)
    return left - socialise(state, account, left, group) if left and state.has_socialise else left
