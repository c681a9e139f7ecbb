"""The stages that close lots against other holders: ADL and tear-up (section 6), and what nobody pays."""

from __future__ import annotations

from dataclasses import dataclass

from backstop.core.events import (
    FUND,
    NONE,
    UNCOVERED,
    AdlClass,
    Cause,
    EffectKind,
)
from tests.oracle.arithmetic import ceil_div, holder_order, largest_that, least_that, sign, split
from tests.oracle.state import State, margin_atoms

__all__ = ["adl", "book_uncovered", "capped_pro_rata", "tear_up"]

#: Slack in a counterparty's cap, one for each of the two roundings up.
CAP_SLACK_ATOMS = 2


@dataclass(slots=True)
class Candidate:
    """A counterparty that may give lots."""

    holder: int
    adl_class: AdlClass
    weight: int
    cap: int


def lots_to_close(state: State, account: int, market: int) -> int:
    """All lots of an insolvent account; of a solvent one the least that restore the release level, or all."""
    everything = abs(state.held_lots(account, market))
    equity, maintenance = state.equity(account), state.maintenance(account)

    def restores(lots: int) -> bool:
        return equity >= state.release_level(maintenance - state.margin_released(account, market, lots))

    if equity < 0 or not restores(everything):
        return everything
    return least_that(restores, 0, everything)


def counterparty_cap(state: State, holder: int, market: int, beyond: int, lots: int) -> int:
    """Most lots that the holder may give so that it never stands below its maintenance on the way."""
    held = abs(state.held_lots(holder, market))
    if beyond == 0 or holder < 0:
        return held
    rules, notional, unit = state.rules.markets[market], state.notional(holder, market), state.unit(market)
    spare = state.equity(holder) - (state.maintenance(holder) - margin_atoms(rules, notional))

    def sound(given: int) -> bool:
        left = margin_atoms(rules, notional - given * unit)
        return spare - left - ceil_div(given * beyond, lots) >= CAP_SLACK_ATOMS

    if not sound(0):
        return 0
    return held if sound(held) else largest_that(sound, 0, held)


def class_and_weight(state: State, defaulter: int, holder: int, market: int) -> tuple[AdlClass, int]:
    """Class of a counterparty and its weight in that class."""
    lots = state.held_lots(holder, market)
    if holder < 0:
        return AdlClass.HOUSE, abs(lots)
    owner = state.accounts[holder].owner
    if owner == state.accounts[defaulter].owner:
        return AdlClass.LINKED, abs(lots)
    linked = [other for other, account in enumerate(state.accounts) if account.owner == owner and other != holder]
    held = (state.held_lots(other, market) for other in linked)
    if sum(abs(each) for each in held if each * lots < 0) >= abs(lots):
        return AdlClass.HEDGE, abs(lots)
    profit = lots * state.unit(market) - state.position(holder, market).cost
    return (AdlClass.PROFITABLE, profit) if profit > 0 else (AdlClass.REST, abs(lots))


def capped_pro_rata(lots: int, weights: dict[int, int], caps: dict[int, int]) -> tuple[dict[int, int], tuple[int, int]]:
    """Place lots among holders by weight, nobody beyond its cap; return the lots of each, and eta as a fraction."""
    if sum(caps.values()) <= lots:
        return dict(caps), (0, 0)
    given: dict[int, int] = {}
    while True:
        rest = {holder: weight for holder, weight in weights.items() if holder not in given}
        total = sum(rest.values())
        to_place = lots - sum(given.values())
        full = {holder: caps[holder] for holder in rest if caps[holder] * total <= to_place * rest[holder]}
        if not full:
            return given | split(to_place, rest), (to_place, total)
        given |= full


def plan_adl(state: State, account: int, market: int) -> tuple[int, int, dict[int, int]]:
    """Lots that the counterparties can take, the cash that goes with them, and the cap of each counterparty."""
    equity, maintenance = state.equity(account), state.maintenance(account)
    side, unit = sign(state.held_lots(account, market)), state.unit(market)
    eligible = [h for h in state.holders(market, -side) if h < 0 or not state.accounts[h].in_default]
    lots = lots_to_close(state, account, market)
    while lots:
        at_mark = side * lots * unit
        cash = state.zero_cash(account, market, lots, equity, maintenance) if equity < 0 else at_mark
        caps = {h: counterparty_cap(state, h, market, cash - at_mark, lots) for h in eligible}
        if sum(caps.values()) >= lots:
            return lots, cash, caps
        lots = sum(caps.values())
    return 0, 0, {}


def adl_position(state: State, account: int, market: int) -> None:
    """Close what the counterparties can take of one position."""
    lots, cash, caps = plan_adl(state, account, market)
    if lots == 0:
        return
    side, mark = sign(state.held_lots(account, market)), state.markets[market].mark
    candidates = [Candidate(h, *class_and_weight(state, account, h, market), cap) for h, cap in caps.items() if cap]
    placed: list[tuple[AdlClass, list[Candidate], dict[int, int], tuple[int, int]]] = []
    left = lots
    for adl_class in AdlClass:
        members = [candidate for candidate in candidates if candidate.adl_class == adl_class]
        if members and left:
            weights = {candidate.holder: candidate.weight for candidate in members}
            given, eta = capped_pro_rata(left, weights, {candidate.holder: candidate.cap for candidate in members})
            placed.append((adl_class, members, given, eta))
            left -= sum(given.values())

    gives = {holder: part for _, _, given, _ in placed for holder, part in given.items() if part}
    cash_of = {holder: -sign(cash) * part for holder, part in split(abs(cash), gives).items()}
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
    order: list[int] = []
    for adl_class, members, given, eta in placed:
        order += emit_class(state, (account, market, side), adl_class, members, given, eta, cash_of)
    trade_all(state, account, market, -side * lots, cash, {h: (side * gives[h], cash_of[h]) for h in order}, 0, Cause.ADL)
    settle_counterparties(state, market, order)
    state.position(account, market).closed_in_default = True


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
    state.trade(account, NONE, market, lots, cash, price_ticks, cause)
    for holder, (part, part_cash) in counterparties.items():
        state.trade(holder, account, market, part, part_cash, price_ticks, cause)


def settle_counterparties(state: State, market: int, holders: list[int]) -> None:
    """Cancel what their orders now exceed, and judge them; the house has neither orders nor health."""
    for holder in holders:
        if holder >= 0:
            state.cancel_excess(holder, market)
            state.touch(holder)


def adl(state: State, account: int) -> None:
    """Go through the account's positions while it is in default."""
    for market in state.held_markets(account):
        state.judge(account)
        if not state.accounts[account].in_default:
            return
        adl_position(state, account, market)


def tear_up(state: State, account: int) -> None:
    """End, at mark, the lots that nobody took, against everyone on the opposite side."""
    for market in state.held_markets(account):
        state.judge(account)
        if not state.accounts[account].in_default:
            return
        tear_up_position(state, account, market)


def tear_up_position(state: State, account: int, market: int) -> None:
    """Tear up one position; the fund pays the gap to zero cash, what it cannot pay is uncovered."""
    equity, maintenance = state.equity(account), state.maintenance(account)
    side, unit, mark = sign(state.held_lots(account, market)), state.unit(market), state.markets[market].mark
    lots = lots_to_close(state, account, market)
    cash = side * lots * unit
    gap = max(0, state.zero_cash(account, market, lots, equity, maintenance) - cash) if equity < 0 else 0
    opposite = {holder: abs(state.held_lots(holder, market)) for holder in state.holders(market, -side)}
    parts = {holder: part for holder, part in split(lots, opposite).items() if part}
    state.emit(EffectKind.TEAR_UP, market=market, account=account, lots=-side * lots, price_ticks=mark, amount=cash, value=gap)
    shares = {holder: (side * part, -side * part * unit) for holder, part in parts.items()}
    trade_all(state, account, market, -side * lots, cash, shares, mark, Cause.TEAR_UP)
    state.position(account, market).closed_in_default = True
    pay = min(gap, state.available()) if state.has_fund else 0
    state.post(account, FUND, pay, Cause.TEAR_UP, market)
    book_uncovered(state, account, gap - pay)
    settle_counterparties(state, market, list(parts))


def book_uncovered(state: State, account: int, amount: int) -> None:
    """Book what nobody pays, say so, and halt the markets that this default closed in."""
    if amount == 0:
        return
    state.post(account, UNCOVERED, amount, Cause.UNCOVERED)
    state.emit(EffectKind.RESIDUAL, account=account, amount=amount)
    for market, row in sorted(state.positions[account].items()):
        if row.closed_in_default and not state.markets[market].halted:
            state.markets[market].halted = True
            state.emit(EffectKind.HALT, market=market, account=account)
