"""ADL, and what it shares with tear-up: accounts that act together, market by market (R6.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backstop.core.events import NONE, AdlClass, AdlPolicy, Cause, EffectKind
from backstop.reference.allocation import DRAW, Line, capped_pro_rata
from backstop.reference.arithmetic import sign, split
from backstop.reference.breakers import add_flow
from backstop.reference.carry import give_way
from backstop.reference.closeout import exit_of
from backstop.reference.doubt import may_force, waits_for_halt
from backstop.reference.paying import judge_netted, pay, tell_support
from backstop.reference.state import State
from backstop.reference.water_filling import level_from_top
from backstop.reference.wave import (
    Asked,
    Candidate,
    Counterparty,
    Defaulter,
    Fill,
    Wave,
    candidates_of,
    cash_parts,
    gap_to_zero,
    laid,
    least_asked,
    line_in_class,
    place_in_class,
    scramble,
)

__all__ = [
    "joint_turn",
    "adl",
    "asked_owners",
    "counterparty_of",
    "defaulters_of",
    "drawn_for",
    "has_room",
    "open_to_force",
    "opposite",
    "settle_counterparties",
    "share_lots",
    "with_room",
]

#: Effects that closing one position may bring, those of its counterparties apart.
EFFECTS_A_POSITION = 16
#: Classes in the order in which they are asked.
IN_ORDER = (AdlClass.LINKED, AdlClass.PROFITABLE, AdlClass.REST, AdlClass.HEDGE, AdlClass.HOUSE)


def counterparty_of(state: State, holder: int, market: int) -> Counterparty:
    """A holder as one that may give lots."""
    return Counterparty(holder, state.holding(holder, market), state.portfolio(holder) if holder >= 0 else None)


def asked_owners(state: State, market: int, side: int) -> list[Asked]:
    """Return the owners of those who may be asked to take lots of a side over, by the lowest id of
    their accounts.
    """
    by_owner: dict[int, list[Counterparty]] = {}
    for each in opposite(state, market, side):
        if each.holder >= 0:
            by_owner.setdefault(state.accounts[each.holder].owner, []).append(each)
    return [asked_of(state, owner, market, tuple(found)) for owner, found in by_owner.items()]


def asked_of(state: State, owner: int, market: int, counterparties: tuple[Counterparty, ...]) -> Asked:
    """Return one owner as one that may be asked: what his accounts not in default have."""
    mine = [number for number, each in enumerate(state.accounts) if each.owner == owner and not each.in_default]
    side, is_levelled = counterparties[0].holding.side, state.rules.adl_policy == AdlPolicy.WATER_FILLING
    holdings = [state.holding(account, market) for account in mine]
    return Asked(
        owner,
        counterparties,
        sum(abs(each.lots) for each in holdings if each.side == -side),
        sum(each.result for each in holdings),
        state.equity_asked(owner, sum(state.equity(account) for account in mine)),
        sum(each.lots != 0 for each in holdings),
        state.exposure_asked(owner, sum(exposure_of(state, account) for account in mine)) if is_levelled else 0,
    )


def exposure_of(state: State, account: int) -> int:
    """Return the sum of loading x signed notional of an account's positions."""
    holdings = [state.holding(account, market) for market in state.held_markets(account)]
    return sum(each.contract.rules.factor_loading_ppm * each.contract.exposure_of(each.lots) for each in holdings)


def waits_for_reservation(state: State, account_id: int, market: int, whole: int) -> bool:
    """The fund cannot pay ``whole``, what all insolvent accounts lack in the market, but more of it once
    what is reserved is free; not beyond the deadline.
    """
    fund, deadline = state.fund_view(state.group(market), account_id, market), state.deadline(account_id)
    if fund.available >= min(whole, fund.free) or state.now >= deadline:
        return False
    state.accounts[account_id].wait_until = min(deadline, state.now + state.rules.closeout.interval_ns)
    return True


def opposite(state: State, market: int, side: int) -> tuple[Counterparty, ...]:
    """Everybody who may be asked to take lots of a side over: the other side, without those in
    default.
    """
    holders = [holder for holder in state.holders(market, -side) if holder < 0 or not state.accounts[holder].in_default]
    return tuple(counterparty_of(state, holder, market) for holder in holders)


def defaulters_of(state: State, accounts: list[int], market: int, sides: tuple[int, ...]) -> tuple[Defaulter, ...]:
    """Those of some accounts, by id, that are in default and of which lots on one of some sides of a
    market are to leave, as they stand now.
    """
    found = []
    for account in accounts:
        if sign(lots_to_move(state, account, market)) in sides:
            state.judge(account)
            if state.accounts[account].in_default:
                view = state.fund_view(state.group(market), account, market)
                later = {each: exit_of(state, account, each) for each in open_to_force(state, account) if each > market}
                way_out, owner = exit_of(state, account, market), state.accounts[account].owner
                found.append(Defaulter(account, owner, state.portfolio(account), view, way_out, later))
    return tuple(each for each in found if each.lots_to_close(market))


@dataclass(slots=True)
class Given:
    """What a class gives of a plan."""

    adl_class: AdlClass
    #: All that could give, and the lots of each by its first account.
    members: list[Candidate]
    lots: dict[int, int]
    eta: tuple[int, int]
    #: With the cash that each receives.
    fills: list[tuple[Fill, int]]
    #: Of those below the least that is asked for, and the place of its first point.
    line: Line | None = None
    point: int = 0


def drawn_for(seed: tuple[int, int, int], adl_class: int) -> int:
    """Return the number that is drawn for the line of a class: another for each plan of an event."""
    seq, market, first = seed
    return scramble(scramble(seq, market, adl_class), market, first)


def share_lots(policy: int, candidates: list[Candidate], lots: int, least: int, seed: tuple[int, int, int]) -> list[Given]:
    """Place lots class by class, nobody below the least but with all that he can give; the seed is the
    event's seq, the market and the plan's first account.
    """
    given, left = list[Given](), lots
    for adl_class in IN_ORDER:
        members = [each for each in candidates if each.adl_class == adl_class]
        if members and left:
            weights, caps = ({each.first: each.weight for each in members}, {each.first: each.cap for each in members})
            if members[0].standing is None:
                parts, eta = place_in_class(policy, adl_class, left, weights, caps)
            else:
                parts, eta = level_from_top(left, {each.first: each.standing for each in members if each.standing}, caps)
            given.append(Given(adl_class, members, parts, eta, []))
            left -= sum(parts.values())
            line = line_in_class(policy, adl_class, least, parts, caps)
            if line:
                given[-1].line, given[-1].point = line, drawn_for(seed, adl_class) % min(DRAW, line.length)
                given[-1].lots = parts | line.given(given[-1].point)
    return given


def adl_plan(state: State, accounts: list[int], market: int, side: int) -> None:
    """Close what the counterparties can take of all positions of one side, in one plan."""
    wave = Wave(market, defaulters_of(state, accounts, market, (side,)), opposite(state, market, side))
    lots = wave.lots() if wave.defaulters else 0
    if lots == 0:
        return
    placed, wanted = wave.placed(lots), wave.wanted
    caps = wave.caps(lots, sum(each.support.beyond for each in placed.values()) + wave.slack)
    closes = {each.account: placed[each.account] for each in wave.defaulters if placed[each.account].is_any}
    first = next(iter(closes))
    owners = {each.owner for each in wave.defaulters}
    linked = next(iter(owners)) if len(owners) == 1 else None
    house = [each for each in wave.counterparties if each.portfolio is None]
    candidates = candidates_of(asked_owners(state, market, side), house, caps, state.rules.adl_policy, state.last_seq, linked)
    least = least_asked(state.rules.adl, state.rules.of_market(market), state.contract(market), lots)
    given = share_lots(state.rules.adl_policy, candidates, lots, least, (state.last_seq, market, first))
    gives = [(each, part.lots[each.first]) for part in given for each in part.members]
    fills = laid(gives, caps)

    cash = {account: state.holding(account, market).value_of(each.lots) + each.support.beyond for account, each in placed.items()}
    received = cash_parts(sum(cash.values()), [(fill.holder, fill.lots) for fill in fills], state.contract(market), side)
    told = list(zip(fills, received, strict=True))
    ways = {each.account: each.way_out for each in wave.defaulters}
    charges = {account: ways[account].charge(each.lots, 0, state.equity(account)) for account, each in closes.items()}
    for account, each in closes.items():
        emit_plan(state, account, market, -side * each.lots, cash[account], len(fills))
        tell_support(state, account, market, each.support, Cause.SUPPORT)
    tell_scale(state, market, lots, wanted)
    for part in given:
        part.fills = [(fill, got) for fill, got in told if fill.candidate.adl_class == part.adl_class]
        emit_class(state, (first, market, side), part)
    for account, each in closes.items():
        state.trade(account, NONE, market, -side * each.lots, cash[account], 0, Cause.ADL, at_zero=each.lots)
    for fill, got in told:
        state.trade(fill.holder, first, market, side * fill.lots, got, 0, Cause.ADL)
        state.note_taken(fill.holder, market, -side * fill.lots)
    for candidate, gave in gives:
        if candidate.standing and gave:
            state.note_given(candidate.first, market, side * gave)
    for account, each in closes.items():
        pay(state, account, state.group(market), each.support.amount, Cause.SUPPORT, market)
        state.post(state.fund_id(market), account, charges[account], Cause.CLOSING_CHARGE, market)
    for each in closes.values():
        add_flow(state, market, state.contract(market).notional_of(each.lots))
    settle_counterparties(state, market, [fill.holder for fill in fills])


def cross_defaulters(state: State, accounts: list[int], market: int) -> None:
    """Close defaulters of both sides against each other, at the mark: as many lots as the smaller
    side has, in proportion.
    """
    longs, shorts = (Wave(market, defaulters_of(state, accounts, market, (side,)), ()) for side in (1, -1))
    lots = min(sum(longs.wanted.values()), sum(shorts.wanted.values()))
    if lots == 0:
        return
    mine = {account: part for account, part in split(lots, longs.wanted).items() if part}
    members = [Candidate(account, AdlClass.CROSSED, part, part, part, None) for account, part in shorts.wanted.items()]
    parts, eta = capped_pro_rata(lots, shorts.wanted, shorts.wanted)
    theirs = {account: part for account, part in parts.items() if part}
    ways = {each.account: each.way_out for each in (*longs.defaulters, *shorts.defaulters)}
    charges = {account: ways[account].charge(part, 0, state.equity(account)) for account, part in (*mine.items(), *theirs.items())}
    cash = {account: state.holding(account, market).value_of(part) for account, part in mine.items()}
    received = sum(cash.values())
    paid = split(abs(received), theirs)
    got = {account: -sign(received) * part for account, part in paid.items()}
    for account, part in mine.items():
        emit_plan(state, account, market, -part, cash[account], len(theirs))
    tell_scale(state, market, lots, longs.wanted)
    first = next(iter(mine))
    told = [(Fill(each.first, each, theirs[each.first], each.cap), got[each.first]) for each in members if each.first in theirs]
    emit_class(state, (first, market, 1), Given(AdlClass.CROSSED, members, parts, eta, told))
    mark = state.markets[market].mark
    for account, part in mine.items():
        state.trade(account, NONE, market, -part, cash[account], mark, Cause.ADL)
    for account, part in theirs.items():
        state.trade(account, first, market, part, got[account], mark, Cause.ADL)
    for account, charge in charges.items():
        state.post(state.fund_id(market), account, charge, Cause.CLOSING_CHARGE, market)
    add_flow(state, market, 2 * state.contract(market).notional_of(lots))
    for account in theirs:
        state.position(account, market).closed_in_default = True
        state.reduced.discard((account, market))
    for account in (*mine, *theirs):
        state.judge(account)


def emit_plan(state: State, account: int, market: int, lots: int, cash: int, fills: int) -> None:
    """Report what one defaulter closes of a plan."""
    state.emit(
        EffectKind.ADL_PLAN,
        code=state.rules.adl_policy,
        market=market,
        account=account,
        other=fills,
        lots=lots,
        price_ticks=state.markets[market].mark,
        amount=cash,
        value=state.equity(account),
    )


def tell_scale(state: State, market: int, lots: int, wanted: dict[int, int]) -> None:
    """Report what should have left, of everyone in the plan, where fewer lots do."""
    if lots < sum(wanted.values()):
        for account, most in wanted.items():
            state.emit(EffectKind.ADL_SCALE, market=market, account=account, lots=most)


def emit_class(state: State, plan: tuple[int, int, int], given: Given) -> None:
    """Report one class, its owners of several accounts and its fills.

    The plan: its first defaulter, market and side.
    """
    account, market, side = plan
    state.emit(
        EffectKind.ADL_CLASS,
        code=given.adl_class,
        market=market,
        account=account,
        other=len(given.members),
        lots=sum(given.lots.values()),
        price_ticks=sum(given.lots[member.first] == member.cap for member in given.members),
        amount=given.eta[0],
        value=given.eta[1],
    )
    if given.line:
        emit_line(state, plan, given, given.line)
    told = set[int]()
    for fill, cash in given.fills:
        member = fill.candidate
        standing = member.standing
        if (member.is_spread or standing) and member.first not in told:
            state.emit(
                EffectKind.ADL_OWNER,
                code=given.adl_class,
                market=market,
                account=member.first,
                other=sum(each.candidate == member for each, _ in given.fills),
                lots=side * given.lots[member.first],
                price_ticks=member.cap,
                amount=standing.equity if standing else 0,
                value=standing.exposure if standing else member.weight,
            )
        told.add(member.first)
        state.emit(
            EffectKind.ADL_FILL,
            code=given.adl_class,
            market=market,
            account=fill.holder,
            other=account,
            lots=side * fill.lots,
            price_ticks=fill.cap,
            amount=cash,
            value=member.weight,
        )


def emit_line(state: State, plan: tuple[int, int, int], given: Given, line: Line) -> None:
    """Report the line of a class, and who is picked from it."""
    account, market, _ = plan
    state.emit(
        EffectKind.ADL_LINE,
        code=given.adl_class,
        market=market,
        account=account,
        other=len(line.parts),
        lots=line.lots,
        price_ticks=line.least,
        amount=given.point,
        value=line.length,
    )
    for holder in [each for each in line.parts if given.lots[each]]:
        state.emit(
            EffectKind.ADL_PICK,
            code=given.adl_class,
            market=market,
            account=holder,
            other=account,
            lots=line.parts[holder],
            amount=line.spans[holder].start,
        )


def settle_counterparties(state: State, market: int, holders: list[int]) -> None:
    """Cancel what their orders now exceed, and judge them; the house has neither orders nor
    health.
    """
    for holder in holders:
        if holder >= 0:
            state.cancel_excess(holder, market)
            state.touch(holder)


def lots_to_move(state: State, account: int, market: int) -> int:
    """Signed lots of an account in a market; 0 where they are held back, or wait for a halt."""
    return state.held_lots(account, market) if market in open_to_force(state, account) else 0


def open_to_force(state: State, account: int) -> list[int]:
    """Markets with lots of the account that are neither held back nor wait for a halt."""
    return [m for m in state.held_markets(account) if may_force(state, account, m) and not waits_for_halt(state, account, m)]


def room_of(state: State) -> int:
    """Return for how many positions the event's effects have room: half of it, sixteen a position."""
    return (state.rules.limits.effects_max - len(state.effects)) // 2 // EFFECTS_A_POSITION


def has_room(state: State, accounts: list[int]) -> bool:
    """Return whether the event's effects have room for all of some accounts: for each of their
    positions, or for what they lack in a market.
    """
    positions = (len(state.held_markets(account) or state.left_parts.get(account, ())) for account in accounts)
    return sum(positions) <= room_of(state)


def with_room(state: State, accounts: list[int]) -> list[int]:
    """Return those of some accounts, in order of their turns, for which the event's effects have
    room; the first always.
    """
    taken = list[int]()
    for account in accounts:
        if taken and not has_room(state, [*taken, account]):
            break
        taken.append(account)
    return taken


#: How a stage closes the lots of some accounts in one market.
Close = Callable[[State, list[int], int], None]


def adl(state: State, accounts: list[int]) -> list[int]:
    """Let ADL act on all accounts that stand at its turn; return those that go on, in order of their
    turns.
    """
    return joint_turn(state, accounts, close_in_market, is_asked=state.fund_supports)


def joint_turn(state: State, accounts: list[int], close: Close, *, is_asked: bool) -> list[int]:
    """Let a stage act on all accounts that stand at its turn, market by market; return those that do
    not wait, in order of their turns. ``is_asked``: the fund is, for gaps.
    """
    interval_ns = state.rules.closeout.interval_ns
    going = sorted(with_room(state, accounts))
    for account in set(accounts).difference(going):
        state.accounts[account].wait_until = state.now + interval_ns
    for market in range(len(state.markets)):
        waits = list[int]()
        for account in going:
            if not lots_to_move(state, account, market):
                continue
            if len(state.effects) <= state.rules.limits.effects_max // 2:
                judge_netted(state, account)
                continue
            state.judge(account)
            if state.accounts[account].in_default:
                state.accounts[account].wait_until = state.now + interval_ns
                waits.append(account)
        going = [account for account in going if account not in waits]
        waits = those_who_wait(state, going, market, is_asked=is_asked)
        going = [account for account in going if account not in waits]
        close(state, going, market)
    return [account for account in accounts if account in going]


def those_who_wait(state: State, accounts: list[int], market: int, *, is_asked: bool) -> list[int]:
    """Let those who are carried give way to all insolvent accounts of a market; return who then waits
    for money that is only reserved.
    """
    gaps = {account: gap_of(state, account, market) for account in accounts if lots_to_move(state, account, market)}
    waits, whole = [], sum(gaps.values())
    for account, gap in gaps.items():
        if gap and is_asked:
            give_way(state, account, state.group(market), market, whole)
            if waits_for_reservation(state, account, market, whole):
                waits.append(account)
    return waits


def gap_of(state: State, account: int, market: int) -> int:
    """Return what an account lacks to the zero cash of all its lots in a market."""
    return gap_to_zero(state.portfolio(account), market, abs(state.held_lots(account, market)))


def close_in_market(state: State, accounts: list[int], market: int) -> None:
    """Cross defaulters of both sides, then close the rest of each side."""
    sides = {sign(lots_to_move(state, account, market)) for account in accounts if state.accounts[account].in_default}
    if {1, -1} <= sides:
        cross_defaulters(state, accounts, market)
        for account in accounts:
            if lots_to_move(state, account, market):
                judge_netted(state, account)
    for side in (1, -1):
        adl_plan(state, accounts, market, side)
