"""The last stage, always possible: lots close against the whole opposite side, pro rata, at
mark.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.breakers import add_flow
from backstop.core.columns import COUNTERPARTY_LOTS, COUNTERPARTY_POSITION, SPLIT_HEAP, SPLIT_REMAINDER, TEAR_UP_WEIGHT, TURN_ACCOUNT
from backstop.core.contracts import cash_at_mark, notional_at_mark
from backstop.core.doubt import may_force, waits_for_halt
from backstop.core.events import NONE, Cause, Health
from backstop.core.ledger import close_lots
from backstop.core.margin import assess
from backstop.core.outbox import emit_tear_up
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import split_by_largest_remainder
from backstop.core.waterfall.arrears import book_uncovered
from backstop.core.waterfall.charge import closing_charge, lots_to_leave, pay_charge
from backstop.core.waterfall.counterparties import (
    opposite_positions,
    settle_counterparty,
    share_cash,
    trade_counterparty,
)
from backstop.core.waterfall.cover import outcome_after_moving
from backstop.core.waterfall.fund import pay
from backstop.core.waterfall.netting import judge_netted, net_linked
from backstop.core.waterfall.socialise import socialise
from backstop.core.waterfall.support import available_for_gap, gap_atoms, tell_support, waits_for_reservation
from backstop.core.waterfall.turns import answer

__all__ = ["tear_up"]


@kernel
def _cover_gap(state: State, account: int, market: int, gap: int) -> int:
    """Let the fund pay a gap, then those who are socialised; return what is left."""
    group, is_asked = state.markets[market].group, state.rules[0].fund_turn != NONE
    available = available_for_gap(state, account, market, is_asked)
    tell_support(state, account, group, market, gap, available, Cause.TEAR_UP, is_asked)
    left = gap - pay(state, account, group, min(gap, available), Cause.TEAR_UP, market)
    return left - socialise(state, account, left, group)


@kernel
def _tear_up_position(state: State, position: int, equity: int, maintenance: int) -> None:
    """Close a defaulter's position at mark against everyone on the other side; ``equity`` and
    ``maintenance`` are its account's.
    """
    row = state.positions[position]
    account, market = row.account, row.market
    group = state.markets[market].group
    sign = 1 if row.lots > 0 else -1
    mark = state.markets[market].mark_ticks
    lots = lots_to_leave(state, position, equity, maintenance)
    cash = cash_at_mark(state, market, -sign * lots)
    gap = gap_atoms(state, position, lots, equity, maintenance)
    charge = closing_charge(state, position, lots, 0, equity)

    row.closed_in_default = 1
    emit_tear_up(state, account=account, lots=-sign * lots, market=market, mark_ticks=mark, cash=cash, gap=gap)
    gap = _cover_gap(state, account, market, gap)

    found = opposite_positions(state, position, True)
    for place in range(found):
        state.columns[TEAR_UP_WEIGHT, place] = abs(state.positions[state.columns[COUNTERPARTY_POSITION, place]].lots)
    split_by_largest_remainder(
        lots,
        state.columns[TEAR_UP_WEIGHT],
        state.columns[COUNTERPARTY_LOTS],
        state.columns[SPLIT_REMAINDER],
        state.columns[SPLIT_HEAP],
        found,
    )
    share_cash(state, found, cash)
    close_lots(state, position, -sign * lots, cash, mark, Cause.TEAR_UP, NONE, lots)
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            trade_counterparty(state, account, sign, place, mark, Cause.TEAR_UP)
    pay_charge(state, account, market, charge)
    add_flow(state, market, notional_at_mark(state, market, lots))
    if gap > 0:
        # Who owes it for a fill may have been closed against it.
        net_linked(state, account)
        equity, _ = assess(state, account)
        gap = min(gap, max(0, -equity))
    book_uncovered(state, account, gap, group)
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            settle_counterparty(state, place)


@kernel
def _tear_up_account(state: State, turn: int, account: int) -> int:
    """Tear up an account's positions in order of market while in default; return its outcome."""
    is_asked = state.rules[0].fund_turn != NONE
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_force(state, account, row.market) and not waits_for_halt(state, account, row.market):
            judge_netted(state, account)
            if state.accounts[account].health < Health.DISTRESSED:
                break
            equity, maintenance = assess(state, account)
            gap = gap_atoms(state, position, abs(row.lots), equity, maintenance)
            if waits_for_reservation(state, turn, position, gap, is_asked):
                return Outcome.WAIT
            _tear_up_position(state, position, equity, maintenance)
        position = row.next_of_account
    return outcome_after_moving(state, turn, account)


@unit
def tear_up(state: State, turn: int, first: int, count: int) -> int:
    """Tear up the positions of the accounts of the turn. Answers as ``turns`` says."""
    going = 0
    for place in range(first, first + count):
        going += answer(state, place, _tear_up_account(state, turn, state.columns[TURN_ACCOUNT, place]))
    return going
