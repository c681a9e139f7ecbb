"""The one step function: an event in, its effects out. Live, replay and stress call nothing else.

An event is refused (one REFUSAL, nothing else changes) or applied: the timers that are due, what
its kind says, recovery and the waits that ended, the rounds of the waterfall, and the breakers that
all this moved (R5).
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.admission import refusal_of
from backstop.core.assets import asset_of, asset_of_group
from backstop.core.breakers import after_index, apply_operator, check_outage, settle_dirty
from backstop.core.changes import apply_parameter, give_notice
from backstop.core.columns import OWNER_FIRST
from backstop.core.contracts import cash_of, settlement_asset, value_at_mark
from backstop.core.doubt import is_doubted, review_doubt
from backstop.core.drawdown import group_of_fund, judge_drawdowns, shift_peaks
from backstop.core.events import NEVER_NS, NONE, WORLD, Cause, EventArray, EventKind, Health, Operator, Settlement, Transfer
from backstop.core.fill_debts import note_fill_debt
from backstop.core.fills import apply_order_done, apply_order_fill
from backstop.core.guard import offer_mark
from backstop.core.interest import change_lots
from backstop.core.kinds import BREAKER_ORDERS
from backstop.core.ledger import begin_funding, post, trade
from backstop.core.listing import apply_listing
from backstop.core.monitor import apply_funding, start_round, touch
from backstop.core.noted_gains import note_gains
from backstop.core.orders import cancel_excess, cancel_orders_of
from backstop.core.outbox import emit_refusal, emit_trade, has_room_for_event
from backstop.core.places import clearing_id, outside_row
from backstop.core.position_rows import let_rows_leave, open_position_row
from backstop.core.relief import note_risk
from backstop.core.results import lower_base, note_lots
from backstop.core.settlement import begin_settlement
from backstop.core.state import State
from backstop.core.timers import run_due_after, run_due_before
from backstop.core.waterfall.arrears import note_arrears
from backstop.core.waterfall.disposal import run_disposals
from backstop.core.waterfall.fund import charge_trading_fee, contribute
from backstop.core.waterfall.naked_legs import tell_naked_legs
from backstop.core.waterfall.providers import bind_provider, shift_baseline, switch_provider
from backstop.core.waterfall.run import run_rounds
from backstop.core.waterfall.takeover import apply_answer
from backstop.core.withdrawals import move_cash

__all__ = ["apply_at", "step"]


@kernel
def _open_account(state: State, account: int, owner: int, market: int, asset: int) -> None:
    head = state.accounts[account]
    head.owner = owner
    state.pocket_markets[account] = market
    state.account_assets[account] = asset
    head.first_position = NONE
    head.default_since_ns = NEVER_NS
    head.wait_until_ns = NEVER_NS
    state.defaults[account].ended_ns = state.defaults[account].doubt_since_ns = NONE
    head.next_of_owner = state.columns[OWNER_FIRST, owner]
    state.columns[OWNER_FIRST, owner] = account
    state.engine[0].accounts_now = account + 1


@kernel
def _apply_transfer(state: State, account: int, market: int, code: int, amount: int) -> None:
    if code == Transfer.TRADING_FEE:
        charge_trading_fee(state, account, market, amount)
        return
    group = group_of_fund(state, account)
    if group != NONE:
        shift_peaks(state, group, amount)
    elif code == Transfer.CASH:
        shift_baseline(state, account, amount)
        move_cash(state, account, amount)
        touch(state, account)
        return
    elif amount < 0:
        state.charge_markets[account] = market
        if state.accounts[account].health >= Health.DISTRESSED:
            # Its orders left on the equity that now goes.
            cancel_orders_of(state, account)
    asset = asset_of(state, account) if group == NONE else asset_of_group(state, group)
    post(state, account, WORLD, amount, asset, Cause.CASH if code == Transfer.CASH else Cause.FUNDING, NONE)
    if group == NONE:
        touch(state, account)


@kernel
def _apply_move(state: State, account: int, other: int, amount: int) -> None:
    """Move money from one account of an owner to another."""
    shift_baseline(state, account, -amount)
    shift_baseline(state, other, amount)
    post(state, other, account, amount, asset_of(state, account), Cause.MOVE, NONE)
    touch(state, account)
    touch(state, other)


@kernel
def _apply_opening(state: State, account: int, market: int, lots: int, cost: int) -> None:
    """Give an account a position at an exact cost; OUTSIDE takes the other side without
    realising.
    """
    position = open_position_row(state, account, market)
    begin_funding(state, position)
    begin_funding(state, outside_row(market))
    value = value_at_mark(state, market, lots)
    lower_base(state, position, -value)
    lower_base(state, outside_row(market), value)
    row = state.positions[position]
    change_lots(state, position, lots)
    row.cost = cost
    note_lots(state, position)
    outside = state.positions[outside_row(market)]
    change_lots(state, outside_row(market), outside.lots - lots)
    outside.cost -= cost
    emit_trade(
        state,
        account=account,
        market=market,
        lots=lots,
        price_ticks=0,
        counterpart=outside.account,
        cause=Cause.OPENING,
        cash=-cost,
        realised=0,
    )
    if outside.lots == 0:
        left = outside.cost
        outside.cost = 0
        post(state, outside.account, clearing_id(market), -left, settlement_asset(state, market), Cause.OPENING, market)
    if state.engine[0].reliefs_now > 0:
        note_risk(state, position, 0)
    touch(state, account)


@inlined
def _note_closed(state: State, position: int, lots: int) -> None:
    """Mark a position that a trade of signed ``lots`` reduced or turned, where its account is in
    default: its fund is asked.
    """
    row = state.positions[position]
    before = row.lots - lots
    if before != 0 and (before > 0) != (lots > 0) and state.accounts[row.account].health >= Health.DISTRESSED:
        row.closed_in_default = 1


@kernel
def _apply_fill(state: State, account: int, other: int, market: int, lots: int, price_ticks: int) -> None:
    cash = cash_of(state, market, lots, price_ticks)
    position = open_position_row(state, account, market)
    counterpart = outside_row(market) if other == NONE else open_position_row(state, other, market)
    holder = state.positions[counterpart].account
    held, other_held = state.positions[position].lots, state.positions[counterpart].lots
    trade(state, position, lots, cash, price_ticks, Cause.FILL, holder)
    trade(state, counterpart, -lots, -cash, price_ticks, Cause.FILL, account)
    note_fill_debt(state, market, account, other, lots, price_ticks)
    cancel_excess(state, position)
    if other != NONE:
        cancel_excess(state, counterpart)
    contribute(state, position, held)
    if other != NONE:
        contribute(state, counterpart, other_held)
    touch(state, account)
    _note_closed(state, position, lots)
    if other != NONE:
        touch(state, other)
        _note_closed(state, counterpart, -lots)


@kernel
def _apply_kind(state: State, events: EventArray, index: int) -> None:
    event = events[index]
    kind = event.kind
    if kind == EventKind.MARK:
        old = state.markets[event.market].mark_ticks
        offer_mark(state, event.market, event.price_ticks)
        review_doubt(state, event.market, old)
    elif kind == EventKind.FILL:
        _apply_fill(state, event.account, event.other, event.market, event.lots, event.price_ticks)
    elif kind == EventKind.TRANSFER:
        if event.code == Transfer.MOVE:
            _apply_move(state, event.account, event.other, event.amount)
        else:
            _apply_transfer(state, event.account, event.market, event.code, event.amount)
    elif kind == EventKind.ORDER_FILL:
        apply_order_fill(state, event.other, event.market, event.lots, event.price_ticks)
    elif kind == EventKind.ORDER_DONE:
        apply_order_done(state, event.other)
    elif kind == EventKind.DEPTH:
        state.markets[event.market].depth_lots[event.code, event.other] = event.lots
    elif kind == EventKind.ACCOUNT:
        _open_account(state, event.account, event.other, event.market, event.code)
    elif kind == EventKind.POSITION:
        _apply_opening(state, event.account, event.market, event.lots, event.amount)
    elif kind == EventKind.INDEX:
        state.markets[event.market].index_ticks = event.price_ticks
        state.breakers[event.market].index_time_ns = state.engine[0].now_ns
        after_index(state, event.market)
        review_doubt(state, event.market, state.markets[event.market].mark_ticks)
    elif kind == EventKind.VOLUME:
        state.markets[event.market].volume_lots = event.lots
    elif kind == EventKind.FUNDING:
        apply_funding(state, event.market, event.amount)
    elif kind == EventKind.PARAMETER:
        apply_parameter(state, event.code, event.market, event.other, event.lots, event.amount, event.price_ticks)
    elif kind == EventKind.LISTING:
        apply_listing(state, event.market)
    elif kind == EventKind.SETTLEMENT:
        begin_settlement(state, event.market, Settlement.VENUE, event.price_ticks)
    elif kind == EventKind.ANSWER:
        apply_answer(state, event.other, event.code)
    elif kind == EventKind.PROVIDER:
        bind_provider(state, event.account, event.other)
    elif kind == EventKind.OPERATOR:
        if event.code in BREAKER_ORDERS:
            apply_operator(state, event.market, event.code, event.amount)
        elif event.code == Operator.SETTLE_PRICE:
            # The timers of this event may have ended the doubt.
            if is_doubted(state, event.market):
                state.breakers[event.market].given_ticks = event.price_ticks
        elif event.code == Operator.END_RELIEF:
            give_notice(state, event.market, event.amount)
        else:
            switch_provider(state, event.other, event.code)


@kernel
def _refuse(state: State, events: EventArray, index: int, reason: int) -> None:
    event = events[index]
    engine = state.engine[0]
    engine.refused += 1
    emit_refusal(
        state,
        reason=reason,
        account=event.account,
        market=event.market,
        other=event.other,
        lots=event.lots,
        price_ticks=event.price_ticks,
        amount=event.amount,
    )
    state.effects[engine.effects_now - 1].seq = event.seq


@unit
def apply_at(state: State, events: EventArray, index: int) -> None:
    """Apply ``events[index]``; its effects are appended to ``state.effects``.

    Raises ``OverflowError`` where money would not fit in 64 bits or the effects not in their limit:
    the engine must then stop, with what led there in the journal.
    """
    engine = state.engine[0]
    engine.effects_first = engine.effects_now
    reason = refusal_of(state, events, index)
    if events[index].seq > engine.last_seq:
        engine.last_seq = events[index].seq
    if reason != 0:
        _refuse(state, events, index, reason)
        return
    check_outage(state, events[index].kind, events[index].time_ns)
    engine.now_ns = events[index].time_ns
    engine.accepted += 1
    let_rows_leave(state)
    start_round(state)
    run_due_before(state)
    _apply_kind(state, events, index)
    run_due_after(state)
    if engine.touched_now > 0:
        run_rounds(state)
    if engine.disposals_now > 0:
        run_disposals(state)
    if engine.taken_now > 0:
        tell_naked_legs(state)
    if engine.is_grown != 0:
        note_gains(state)
    judge_drawdowns(state)
    if engine.uncovered > 0:
        note_arrears(state)
    if engine.dirty_now > 0:
        settle_dirty(state)


@unit
def step(state: State, events: EventArray, first: int) -> int:
    """Apply ``events[first:]``; return the index of the first that was not consumed.

    Stops early when the effects buffer has no room for all effects of one more event, so that they
    are never split (keeps INV-09): the caller takes ``state.effects[:effects_now]``, sets
    ``effects_now = 0`` and calls again.
    """
    index = first
    while index < len(events) and has_room_for_event(state):
        apply_at(state, events, index)
        index += 1
    return index
