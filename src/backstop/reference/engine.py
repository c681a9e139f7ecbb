"""The reference engine: one event in, its effects out (R5), the waterfall (R6.1), the digest
(R12).

It looks at every account where the engine looks at triggers, and knows nothing of rows, buckets or
caches.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from backstop.core.contract_terms import ContractKind
from backstop.core.events import (
    FEES,
    NEVER_NS,
    NONE,
    REMAINDER,
    WORLD,
    Cause,
    EffectKind,
    EventKind,
    Health,
    Operator,
    Reject,
    Stage,
    Transfer,
    clearing_of,
    error_inventory_of,
    fund_of,
    funding_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import PPM, MarketRules, VenueRules
from backstop.core.parameter_table import Scope, digested, values_of, venue_digest_values
from backstop.reference.adl import adl, has_room, with_room
from backstop.reference.arrears import next_arrears_ns, pay_arrears
from backstop.reference.book_first import book_goes_first
from backstop.reference.breakers import (
    accept_mark,
    after_index,
    apply_operator,
    breaker_digest,
    check_outage,
    end_event,
    hold_mark,
    judge_holders,
    next_timer_ns,
    peak_digest,
    run_timers,
    shift_peaks,
)
from backstop.reference.carry import carries, make_way
from backstop.reference.closeout import BUSY, PLACED, forget_depth, order_done, order_fill, place_orders
from backstop.reference.closing import forced_from_ns, waits_for_book
from backstop.reference.doubt import add_up, hold_back, is_kept, review_all, review_doubt, wait_for_halt
from backstop.reference.fills import note_fill_debt, take_from_winners
from backstop.reference.fund import money_stages
from backstop.reference.leaving import add_own, lend_for_gains, note_gains, noted_of, own_after, plan_of
from backstop.reference.listing import list_market
from backstop.reference.naked_legs import tell_naked_legs
from backstop.reference.parameters import apply_parameter, give_notice, next_change_ns, run_changes
from backstop.reference.paying import judge_netted, net_linked_owners
from backstop.reference.providers import bind
from backstop.reference.records import Effect, Event
from backstop.reference.refusals import after_withdrawal, reason_to_refuse
from backstop.reference.settlement import end_market, give_price, next_settlement_ns, run_settlements
from backstop.reference.shortfalls import gap_of_position
from backstop.reference.socialise import run_recovery, socialise
from backstop.reference.state import CLOSING_ORDER, OF_ALL_ASSETS, TAKEOVER_OFFER, Account, Position, State
from backstop.reference.takeover import answer, dispose, fail_joint, takeover_waits
from backstop.reference.tear_up import tear_up

__all__ = ["Effect", "Event", "ReferenceEngine"]


class ReferenceEngine:
    """A slow engine with the same rules."""

    def __init__(self, rules: VenueRules) -> None:
        """Start with no account and no mark. ``check_rules`` is the caller's."""
        self.rules = rules
        self.state = State(rules)

    def apply(self, event: Event) -> list[Effect]:
        """Refuse or accept one event; return its effects in order."""
        state = self.state
        state.effects = []
        state.asked_equity, state.asked_exposure, state.torn, state.event_gains, state.cuts_paid = {}, {}, {}, {}, {}
        state.taken = {}
        reason = reason_to_refuse(state, event)
        if reason is not None:
            self._refuse(event, reason)
            return state.effects
        state.last_seq = event.seq
        check_outage(state, event)
        slot_before = state.pay_slot()
        state.now = event.time_ns
        state.start_interval()
        state.start_epoch()
        marks = [row.mark for row in state.markets]
        run_timers(state)
        review_all(state, marks)
        run_changes(state)
        HANDLERS[EventKind(event.kind)](state, event)
        run_settlements(state)
        if state.pay_slot() != slot_before:
            pay_arrears(state)
        if state.recovery_ns <= state.now:
            run_recovery(state)
        end_waits(state)
        run_rounds(state)
        run_disposals(state)
        tell_naked_legs(state)
        note_gains(state)
        end_event(state)
        return state.effects

    def next_time_ns(self) -> int:
        """Return the earliest time at which something happens without an event that says so."""
        state = self.state
        times = (next_timer_ns(state), next_arrears_ns(state), next_settlement_ns(state), next_change_ns(state))
        return min([*times, *(account.wait_until for account in state.accounts)])

    def _refuse(self, event: Event, reason: Reject) -> None:
        if reason != Reject.SEQ_NOT_AFTER:
            self.state.last_seq = event.seq
        named = (event.market, event.account, event.other, event.lots, event.price_ticks, event.amount)
        self.state.effects.append(Effect(event.seq, int(EffectKind.REFUSAL), int(reason), *named))

    def digest(self) -> str:
        """Return the state digest in hexadecimal."""
        hasher = hashlib.sha256()
        for rows in digest_blocks(self.state):
            flat = [len(rows), *(number for row in rows for number in row)]
            hasher.update(struct.pack(f"<{len(flat)}q", *flat))
        return hasher.hexdigest()


# -- events ----------------------------------------------------------------------------------------


def open_account(state: State, event: Event) -> None:
    """ACCOUNT."""
    state.accounts.append(Account(owner=event.other, pocket=event.market, asset=event.code))
    state.ledger[event.account] = 0
    state.positions[event.account] = {}


def transfer(state: State, event: Event) -> None:
    """TRANSFER: a deposit, a withdrawal, a funding payment or a trading fee."""
    if event.code == Transfer.TRADING_FEE:
        charge_trading_fee(state, event)
        return
    if event.code == Transfer.MOVE:
        move(state, event)
        return
    is_cash = event.code == Transfer.CASH
    if not is_cash and event.amount < 0:
        state.accounts[event.account].charge_market = event.market
        if state.accounts[event.account].in_default:
            for order in state.orders_of(event.account):
                state.cancel(order)
    group = state.group_of_fund(event.account)
    if group is not None:
        state.post(event.account, WORLD, event.amount, Cause.CASH)
        shift_peaks(state, group, event.amount)
    elif is_cash:
        move_cash(state, event.account, event.amount)
        state.touch(event.account)
    else:
        state.post(event.account, WORLD, event.amount, Cause.FUNDING)
        state.touch(event.account)


def move_cash(state: State, account: int, amount: int) -> None:
    """A deposit, which is no gain, or a withdrawal, for whose gains the account lends."""
    owner = state.accounts[account].owner
    shift_baseline(state, account, amount)
    if amount > 0:
        add_own(state, owner, amount)
        state.post(account, WORLD, amount, Cause.CASH)
        return
    left, rest = after_withdrawal(state, account, -amount)
    plan = plan_of(state, owner, -amount, rest)
    state.own[owner] = own_after(state, owner, -amount, plan)
    state.post(account, WORLD, amount, Cause.CASH)
    lend_for_gains(state, account, plan, left)


def shift_baseline(state: State, account: int, amount: int) -> None:
    """Money that a provider brings or takes is no gain or loss of his."""
    for provider in state.providers:
        if provider.account == account:
            provider.baseline += amount


def move(state: State, event: Event) -> None:
    """An owner moves money from one of his accounts to another."""
    shift_baseline(state, event.account, -event.amount)
    shift_baseline(state, event.other, event.amount)
    state.post(event.other, event.account, event.amount, Cause.MOVE)
    state.touch(event.account)
    state.touch(event.other)


def charge_trading_fee(state: State, event: Event) -> None:
    """No more than there is equity, nothing in a default; a share of what was charged goes to the
    fund.
    """
    in_default = state.accounts[event.account].in_default
    charged = 0 if in_default else min(event.amount, max(0, state.equity(event.account)))
    share = charged * state.rules.fund.trading_fee_share_ppm // PPM
    fund = fund_of(state.first_group(event.account)) if event.market == NONE else state.fund_id(event.market)
    state.post(FEES, event.account, charged, Cause.TRADING_FEE, event.market)
    state.post(fund, FEES, share, Cause.TRADING_FEE, event.market)
    state.touch(event.account)


def load_position(state: State, event: Event) -> None:
    """POSITION: a position of the opening book, OUTSIDE on the other side of it."""
    market, outside_id = event.market, outside_of(event.market)
    state.begin_funding(event.account, market)
    state.begin_funding(outside_id, market)
    row, outside = state.position(event.account, market), state.position(outside_id, market)
    row.lots, row.cost = event.lots, event.amount
    outside.lots -= event.lots
    outside.cost -= event.amount
    value = state.contract(market).value_of(event.lots)
    row.base += value
    row.most_lots = max(row.most_lots, abs(row.lots))
    outside.base -= value
    state.emit(
        EffectKind.TRADE,
        code=Cause.OPENING,
        market=market,
        account=event.account,
        other=outside_id,
        lots=event.lots,
        amount=-event.amount,
    )
    if outside.lots == 0:
        cost, outside.cost = outside.cost, 0
        state.post(clearing_of(market), outside_id, cost, Cause.OPENING, market)
    state.note_risk(event.account, market, 0)
    state.touch(event.account)


def fill(state: State, event: Event) -> None:
    """FILL: an ordinary trade between two accounts, or with OUTSIDE."""
    market, lots, price_ticks = event.market, event.lots, event.price_ticks
    other = outside_of(market) if event.other == NONE else event.other
    cash = state.contract(market).cash_of(lots, price_ticks)
    before = {holder: state.held_lots(holder, market) for holder in (event.account, other)}
    state.trade(event.account, other, market, lots, cash, price_ticks, Cause.FILL)
    state.trade(other, event.account, market, -lots, -cash, price_ticks, Cause.FILL)
    note_fill_debt(state, event)
    accounts = [holder for holder in (event.account, other) if holder >= 0]
    for account in accounts:
        state.cancel_excess(account, market)
    for account in accounts:
        contribute(state, account, market, before[account])
    for account in accounts:
        state.touch(account)


def contribute(state: State, account: int, market: int, lots_before: int) -> None:
    """A share of the initial margin of what a fill opened goes to the fund, no more than is left above
    maintenance, nothing in a default.
    """
    holding, contract = state.holding(account, market), state.contract(market)
    kept = min(abs(lots_before), abs(holding.lots)) if lots_before * holding.lots > 0 else 0
    opened = holding.initial - contract.initial_of(kept, holding.others_lots)
    standing = state.standing(account)
    due = max(0, opened) * state.rules.funds[state.group(market)].contribution_ppm // PPM
    charged = 0 if state.accounts[account].in_default else min(due, max(0, standing.equity - standing.maintenance))
    state.post(state.fund_id(market), account, charged, Cause.CONTRIBUTION, market)


def mark(state: State, event: Event) -> None:
    """MARK, where the price guard does not hold it."""
    old = state.markets[event.market].mark
    if not hold_mark(state, event.market, event.price_ticks):
        accept_mark(state, event.market, event.price_ticks)
    review_doubt(state, event.market, old)


def index(state: State, event: Event) -> None:
    """INDEX."""
    state.markets[event.market].index = event.price_ticks
    state.breakers[event.market].index_time = state.now
    after_index(state, event.market)
    review_doubt(state, event.market, state.markets[event.market].mark)


def volume(state: State, event: Event) -> None:
    """VOLUME."""
    state.markets[event.market].volume = event.lots


def depth(state: State, event: Event) -> None:
    """DEPTH."""
    state.markets[event.market].depth[event.code][event.other] = event.lots


def funding(state: State, event: Event) -> None:
    """FUNDING: what a long lot pays, and a short one gets. Nobody pays now; every holder is
    judged.
    """
    market = state.markets[event.market]
    market.funding_index += event.amount
    state.emit(EffectKind.FUNDING, market=event.market, amount=event.amount, value=market.funding_index)
    judge_holders(state, event.market)


def obey(state: State, event: Event) -> None:
    """OPERATOR."""
    if event.code == Operator.SETTLE_PRICE:
        give_price(state, event)
    elif event.code == Operator.END_RELIEF:
        give_notice(state, event)
    else:
        apply_operator(state, event)


def clock(state: State, event: Event) -> None:
    """CLOCK and HEARTBEAT: only their time."""


HANDLERS: dict[EventKind, Callable[[State, Event], None]] = {
    EventKind.ACCOUNT: open_account,
    EventKind.TRANSFER: transfer,
    EventKind.POSITION: load_position,
    EventKind.FILL: fill,
    EventKind.MARK: mark,
    EventKind.INDEX: index,
    EventKind.VOLUME: volume,
    EventKind.DEPTH: depth,
    EventKind.ORDER_FILL: order_fill,
    EventKind.ORDER_DONE: order_done,
    EventKind.CLOCK: clock,
    EventKind.PROVIDER: bind,
    EventKind.ANSWER: answer,
    EventKind.OPERATOR: obey,
    EventKind.HEARTBEAT: clock,
    EventKind.FUNDING: funding,
    EventKind.PARAMETER: apply_parameter,
    EventKind.SETTLEMENT: end_market,
    EventKind.LISTING: list_market,
}


# -- waits and rounds ------------------------------------------------------------------------------


def end_waits(state: State) -> None:
    """Wake the accounts whose time has come: what was not answered is cancelled, and providers may
    sell.
    """
    ended = [(account.wait_until, number) for number, account in enumerate(state.accounts) if account.wait_until <= state.now]
    for _, number in sorted(ended):
        if is_crowded(state):
            return
        state.accounts[number].wait_until = NEVER_NS
        for order in state.orders_of(number):
            if order.kind == TAKEOVER_OFFER and order.is_open and order.expires_ns <= state.now:
                fail_joint(state, order.joint)
        for order in state.orders_of(number):
            if order.kind == CLOSING_ORDER and state.now - order.sent_ns >= state.rules.closeout.order_timeout_ns:
                forget_depth(state, order)
            state.cancel(order)
        provider = state.provider_of(number)
        if provider != NONE:
            state.selling.add(provider)
        state.touch(number)


def run_disposals(state: State) -> None:
    """Let the providers sell whose time it is, once no defaulter is on its way."""
    selling, state.selling = sorted(state.selling), set()
    for number in selling:
        account = state.providers[number].account
        if not state.accounts[account].in_default and not is_crowded(state):
            dispose(state, number)


def is_crowded(state: State) -> bool:
    """The event has brought so many effects that what is left must wait."""
    return len(state.effects) > state.rules.limits.effects_max // 2


def is_filling(state: State) -> bool:
    """Some may have to wait for the next event."""
    return len(state.effects) > state.rules.limits.effects_max // 4


def needs_processing(state: State, account: int) -> bool:
    """In default and with nothing on the book."""
    return state.accounts[account].in_default and not state.orders_of(account)


def urgency(state: State, account: int) -> tuple[bool, Fraction, int, int, int]:
    """Least equity over maintenance first, no maintenance before all, then the lower asset, the larger
    maintenance, id.
    """
    equity, maintenance, *_ = state.standing(account)
    ratio = Fraction(equity, maintenance) if maintenance else Fraction(0)
    return maintenance > 0, ratio, state.accounts[account].asset, -maintenance, account


def lack(state: State, account: int) -> tuple[int, int, int]:
    """Least equity first, then the larger maintenance, then id."""
    equity, maintenance, *_ = state.standing(account)
    return equity, -maintenance, account


def by_urgency(state: State, accounts: list[int]) -> list[int]:
    """Accounts as a round has them."""
    return sorted(accounts, key=lambda each: urgency(state, each))


def by_lack(state: State, accounts: list[int]) -> list[int]:
    """Accounts by what they lack; of several assets the first of each, then the second of each, and so on."""
    of_asset: dict[int, list[int]] = {}
    for account in sorted(accounts, key=lambda each: lack(state, each)):
        of_asset.setdefault(state.accounts[account].asset, []).append(account)
    places = {account: (place, asset) for asset, mine in of_asset.items() for place, account in enumerate(mine)}
    return sorted(accounts, key=lambda each: places[each])


def in_turn(state: State, accounts: list[int]) -> Iterator[int]:
    """Yield the accounts of a round: by urgency, and by what they lack from when the event fills
    up.
    """
    waiting = by_urgency(state, accounts)
    is_by_lack = False
    while waiting:
        if not is_by_lack and is_filling(state):
            is_by_lack = True
            waiting = by_lack(state, waiting)
        yield waiting.pop(0)


def run_rounds(state: State) -> None:
    """Process the touched accounts, then those that this touched, until none is left; then let the
    first joint turn act on those that stand at it, and go on.
    """
    while state.touched or state.parked:
        if state.touched:
            run_round(state)
        else:
            run_joint(state)


def run_round(state: State) -> None:
    """Process the touched accounts, in turn."""
    accounts, state.touched = state.touched, set()
    for account in in_turn(state, [account for account in accounts if needs_processing(state, account)]):
        process(state, account, 0)


#: Stages that act on all accounts of an event at once.
JOINT = (Stage.ADL, Stage.TEAR_UP)


def run_joint(state: State) -> None:
    """Let the first joint turn act on all accounts that stand at it, once none of them touched another;
    those that it leaves take the next stages.
    """
    state.parked = {account: turn for account, turn in state.parked.items() if turn != NONE}
    if not state.parked:
        return
    turn = min(state.parked.values(), key=lambda each: (is_socialise(state, each), each))
    if is_socialise(state, turn):
        run_socialise(state, turn)
        return
    for account, stands_at in state.parked.items():
        if stands_at == turn and (not needs_turn(state, account) or carries(state, account)):
            state.parked[account] = NONE
    if state.touched:
        return
    accounts = [account for account, stands_at in state.parked.items() if stands_at == turn]
    state.parked = {account: stands_at for account, stands_at in state.parked.items() if stands_at != turn}
    in_order = by_lack if is_filling(state) or not has_room(state, accounts) else by_urgency
    accounts = in_order(state, accounts)
    act = adl if state.rules.stages[turn] == Stage.ADL else tear_up
    going = act(state, accounts) if accounts else []
    after = [account for account in going if not is_over(state, account) and not wait_for_halt(state, account)]
    for account in after:
        process(state, account, turn + 1)


def is_socialise(state: State, turn: int) -> bool:
    """Those who stand at socialise have the last turn of an event."""
    return state.rules.stages[turn] == Stage.SOCIALISE


def run_socialise(state: State, turn: int) -> None:
    """Let the winners pay for all who stand at socialise, once none of them touched another."""
    for account in state.parked:
        if not still_lacks(state, account):
            state.parked[account] = NONE
            state.left_parts.pop(account)
    if state.touched:
        return
    accounts = [account for account, stands_at in state.parked.items() if stands_at == turn]
    state.parked = {}
    in_order = by_lack if is_filling(state) or not has_room(state, accounts) else by_urgency
    accounts = in_order(state, accounts)
    taken = with_room(state, accounts)
    for account in accounts[len(taken) :]:
        state.accounts[account].wait_until = state.now + state.rules.closeout.interval_ns
        state.left_parts.pop(account)
    socialise(state, taken)


def still_lacks(state: State, account: int) -> bool:
    """Judge and net an account that stands at socialise; return whether it still lacks, and no crowd is
    before it.
    """
    state.judge(account)
    if not state.accounts[account].in_default:
        return False
    if is_crowded(state):
        state.accounts[account].wait_until = state.now + state.rules.closeout.interval_ns
        return False
    judge_netted(state, account)
    return state.accounts[account].in_default


# -- waterfall -------------------------------------------------------------------------------------


def needs_turn(state: State, account: int) -> bool:
    """Judge and net an account that is about to take a turn; return whether it does: in default,
    with lots that are not kept by doubt, nothing on the book, and no crowd before it.
    """
    state.judge(account)
    if not needs_processing(state, account):
        return False
    if is_crowded(state):
        state.accounts[account].wait_until = state.now + state.rules.closeout.interval_ns
        return False
    add_up(state, account)
    if is_kept(state, account):
        if Stage.RESTRICT in state.rules.stages:
            restrict(state, account)
        hold_back(state, account)
        return False
    if state.equity(account) < 0:
        net_linked_owners(state, account)
        state.judge(account)
        if not state.accounts[account].in_default:
            return False
    if not state.held_markets(account):
        money_stages(state, account)
        return False
    return True


def process(state: State, account: int, first: int) -> None:
    """Take an account in default through the venue's stages from one of them on, until it is out,
    flat, has to wait, or stands at a joint turn.
    """
    if account in state.left_parts:
        return
    if account in state.parked:
        state.parked[account] = NONE
    if not needs_turn(state, account):
        return
    if first == 0 and state.equity(account) < 0:
        make_way(state, account)
    for turn, stage in enumerate(state.rules.stages[first:], first):
        if stage == Stage.CLOSEOUT and takeover_comes_first(state, account) and stage_ends(state, account, Stage.TAKEOVER):
            return
        if stage in JOINT:
            if not carries(state, account):
                state.parked[account] = turn
            return
        if stage_ends(state, account, stage):
            return
    hold_back(state, account)


def takeover_comes_first(state: State, account: int) -> bool:
    """Below close-out, providers are asked before the book, unless that goes first; they have their
    own turn as well.
    """
    stages = state.rules.stages
    behind = Stage.TAKEOVER in stages and stages.index(Stage.TAKEOVER) > stages.index(Stage.CLOSEOUT)
    return behind and state.accounts[account].health >= Health.CLOSE_OUT and not book_goes_first(state, account)


def stage_ends(state: State, account: int, stage: int) -> bool:
    """Give one stage its turn; return whether the account now waits, is out of default, or went on
    to the money stages.
    """
    if stage == Stage.RESTRICT:
        restrict(state, account)
        return False
    if stage == Stage.CLOSEOUT:
        return closeout_waits(state, account)
    if stage in (Stage.FUND, Stage.SOCIALISE):
        return False
    return takeover_waits(state, account) or is_over(state, account)


def is_over(state: State, account: int) -> bool:
    """Judge after a stage that moved lots: out of default, or without lots, nothing else has its
    turn.
    """
    if not state.held_markets(account):
        take_from_winners(state, account)
    state.judge(account)
    if not state.accounts[account].in_default:
        return True
    if state.held_markets(account):
        return False
    money_stages(state, account)
    return True


def restrict(state: State, account: int) -> None:
    """Say once in a default that the account may take no new risk."""
    if not state.accounts[account].restricted:
        state.accounts[account].restricted = True
        state.emit(EffectKind.RESTRICT, account=account)


def closeout_waits(state: State, account_id: int) -> bool:
    """Try the book; return whether the account now waits for a time or an answer."""
    account, rules, now = state.accounts[account_id], state.rules.closeout, state.now
    if now >= forced_from_ns(account.default_since + account.doubt_ns, rules):
        return False
    if now < account.next_slice:
        account.wait_until = account.next_slice
        return True
    outcome = place_orders(state, account_id)
    if outcome == PLACED:
        account.next_slice = now + rules.interval_ns
        account.wait_until = now + rules.order_timeout_ns
        return True
    deadline = state.deadline(account_id)
    if waits_for_book(account.health, now, deadline, is_busy=outcome == BUSY):
        account.wait_until = min(deadline, now + rules.interval_ns)
        return True
    return False


# -- digest ----------------------------------------------------------------------------------------


def digest_blocks(state: State) -> list[list[tuple[int, ...]]]:
    """Return the rows of each block of R12.2; the interval gauges are already those of
    ``now``.
    """
    numbers = range(len(state.markets))
    head = (
        state.now,
        state.last_seq,
        len(state.accounts),
        state.next_order,
        state.interval,
        state.ordered,
        state.claims,
        state.recovery_ns,
        state.life_ns,
        state.next_fill_debt,
    )
    house = [WORLD, fund_of(0), REMAINDER, uncovered_of(0), FEES, *(fund_of(group) for group in range(1, len(state.funds)))]
    house += [
        named for number in numbers for named in (clearing_of(number), outside_of(number), error_inventory_of(number), funding_of(number))
    ]
    house += [uncovered_of(group) for group in range(1, len(state.funds))]
    positions = [(account, market) for account in range(len(state.accounts)) for market in state.held_markets(account)]
    return [
        [head],
        [market_row(state, number) for number in numbers],
        [(state.ledger[named],) for named in house],
        [account_row(state, number) for number in range(len(state.accounts))],
        [(account, market, *position_row(state.positions[account][market])) for account, market in positions],
        list(order_rows(state)),
        [(fund.reserved, state.paid(group), *peak_digest(state, group), state.arrears(group)) for group, fund in enumerate(state.funds)],
        list(owner_rows(state)),
        breaker_digest(state),
        list(provider_rows(state)),
        list(commitment_rows(state)),
        list(claim_rows(state)),
        list(result_rows(state)),
        list(debt_rows(state)),
        list(gap_rows(state)),
        [(number, account.carry_until) for number, account in enumerate(state.accounts) if account.carry_until],
        [(*pair, state.positions[pair[0]][pair[1]].carried) for pair in state.carries],
        list(fill_debt_rows(state)),
        list(fill_owner_rows(state)),
        [(number, each.returns, each.default_ended) for number, each in enumerate(state.accounts) if each.default_ended != NONE],
        [(group, fund.noted_sum, fund.owed_sum) for group, fund in enumerate(state.funds) if fund.noted_sum],
        list(noted_rows(state)),
        [(owner, own) for owner, own in sorted(state.own.items()) if noted_of(state, owner)],
        *rule_blocks(state.rules),
        list(state.changes),
        list(relief_rows(state)),
        sorted(state.notices.items()),
        *(asset_blocks(state) if len(state.rules.assets) > 1 else ()),
    ]


def asset_blocks(state: State) -> list[list[tuple[int, ...]]]:
    """What a venue of several assets has besides."""
    rules, others = state.rules, range(1, len(state.rules.assets))
    return [
        [(account.asset,) for account in state.accounts],
        [(market.settlement_asset,) for market in rules.markets],
        [(fund.asset,) for fund in rules.funds],
        [(provider.asset,) for provider in rules.providers],
        [tuple(state.balance(ledger_id, asset) for ledger_id in OF_ALL_ASSETS) for asset in others],
        [values_of(rules.assets[asset], Scope.ASSET) for asset in others],
    ]


def relief_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Positions with relief, by account and market."""
    for account in range(len(state.accounts)):
        for market, row in sorted(state.positions[account].items()):
            if row.kept_ppm != PPM:
                yield account, market, row.kept_ppm


def market_values(market: MarketRules) -> tuple[int, ...]:
    """A market's rules in order of number; of a linear one without its kind and its lowest price, which
    is 1.
    """
    values = zip(digested(Scope.MARKET), digest_values(market, Scope.MARKET), strict=True)
    is_linear = market.contract_kind == ContractKind.LINEAR
    return tuple(value for each, value in values if not (is_linear and each.field in ("contract_kind", "price_ticks_min")))


def digest_values(group: Any, scope: Scope) -> tuple[int, ...]:
    """Rules of a market, fund and so on that the digest's row of it has."""
    return tuple(int(getattr(group, each.parameter.name)) for each in digested(scope))


def rule_blocks(rules: VenueRules) -> list[list[tuple[int, ...]]]:
    """The rules in force, a block a scope; of markets their bands, too."""
    pairs = [pair for provider in rules.providers for pair in provider.commitments]
    return [
        [venue_digest_values(rules)],
        [(*market_values(market), *market.band_offset_ppm) for market in rules.markets],
        [(number, *values_of(tier, Scope.TIER)) for number, market in enumerate(rules.markets) for tier in market.tiers],
        [digest_values(fund, Scope.GROUP) for fund in rules.funds],
        [digest_values(provider, Scope.PROVIDER) for provider in rules.providers],
        [values_of(two, Scope.COMMITMENT) for pair in pairs for two in pair],
    ]


def noted_rows(state: State) -> Iterator[tuple[int, ...]]:
    """Noted gains, what is owed, and gains that left in this epoch, by group and owner."""
    for group, fund in enumerate(state.funds):
        for owner in sorted({*fund.noted, *fund.gone}):
            noted, gone = fund.noted.get(owner, 0), fund.gone.get(owner, 0)
            if noted or gone:
                yield group, owner, noted, fund.owed[owner] if noted else 0, gone


def market_row(state: State, number: int) -> tuple[int, ...]:
    """A market with its depth and the positions of its house holders."""
    market = state.markets[number]
    outside, error = (state.position(holder, number) for holder in (outside_of(number), error_inventory_of(number)))
    house = (outside.lots, outside.cost, error.lots, error.cost)
    prices = (market.mark, market.index, market.volume, market.ordered)
    funding = (market.funding_index, *(row.settled_index if row.lots else 0 for row in (outside, error)))
    return (*prices, *market.depth[0], *market.depth[1], *house, state.paid_for(number), market.epoch_mark, *funding)


def account_row(state: State, number: int) -> tuple[int, ...]:
    """An account with its ledger balance."""
    account = state.accounts[number]
    times = (account.default_since, account.wait_until, account.next_slice)
    flags = (int(account.restricted), account.ordered, account.claim, account.charge_market)
    waits = (account.doubt_ns, account.kept_since)
    return (account.owner, state.ledger[number], int(account.health), *times, *flags, *waits, account.pocket)


def position_row(row: Position) -> tuple[int, ...]:
    """A position without its key."""
    return row.lots, row.cost, int(row.closed_in_default), row.settled_index


def result_rows(state: State) -> Iterable[tuple[int, ...]]:
    """What the results of accounts are measured from, and what insolvent ones bear by."""
    for account in range(len(state.accounts)):
        for market, row in sorted(state.positions[account].items()):
            bears = (row.settled, row.most_lots) if state.is_insolvent(account) else (0, 0)
            if row.lots or row.base or any(bears):
                yield account, market, row.base, *bears


def order_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Open orders by id; lots signed, the remaining lots unsigned."""
    for _, order in sorted(state.open_orders.items()):
        amounts = (order.lots, order.remaining, order.limit_ticks, order.zero_cash, order.reserved)
        yield (order.id, order.account, order.market, *amounts, order.kind, order.provider, order.cash, order.joint, order.expires_ns)


def owner_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Owners by id whose gauges are not both empty."""
    for number, owner in sorted(state.owners.items()):
        paid = state.owner_paid(owner)
        if paid or owner.reserved:
            yield number, paid, owner.reserved


def provider_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Providers by number."""
    for row in state.providers:
        standing = (row.account, int(row.status), row.until, row.failures, row.score, row.baseline)
        yield (*standing, row.pending_initial, row.pending_notional)


def debt_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Debts by account and group, with the time of the latest payment for the owner."""
    for number in range(len(state.accounts)):
        for group, debt in sorted(state.debts(number).items()):
            if debt:
                yield number, group, debt, state.owner(number).paid_ns


def gap_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Noted gaps of insolvent accounts at the present marks, by account and market."""
    for account in range(len(state.accounts)):
        for market, row in sorted(state.positions[account].items()):
            if row.gap or row.gap_lots:
                yield account, market, gap_of_position(state, account, market), row.gap_lots


def fill_debt_rows(state: State) -> Iterable[tuple[int, ...]]:
    """What is owed for fills, by number."""
    debts = [debt for account in range(len(state.accounts)) for debt in state.fill_debts_to(account)]
    for debt in sorted(debts, key=lambda debt: debt.number):
        yield debt.number, debt.account, debt.owner, debt.amount


def fill_owner_rows(state: State) -> Iterable[tuple[int, ...]]:
    """What owners owe for fills, with the time of the last one."""
    for number, owner in sorted(state.owners.items()):
        if state.fill_debt(number):
            yield number, owner.fill_debt, owner.fill_ns


def commitment_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Gauges of the commitments with a capacity or something used, by provider, group and direction."""
    for provider, rules in zip(state.providers, state.rules.providers, strict=True):
        for gauges, pair in zip(provider.commitments, rules.commitments, strict=True):
            for gauge, commitment in zip(gauges, pair, strict=True):
                if commitment.capacity or gauge.used:
                    yield gauge.used, gauge.as_of_ns


def claim_rows(state: State) -> Iterable[tuple[int, ...]]:
    """Claims that stand, by account and group."""
    for number, account in enumerate(state.accounts):
        for group, claim in sorted(account.claims.items()):
            if claim:
                yield number, group, claim
