"""The last stage, always possible: what nobody took ends at mark.

All accounts that stand at its turn are taken together, market by market. Defaulters of both sides end
their lots against each other; what one side has more ends against all who hold the other, pro rata,
whose rows are walked once. What the fund leaves of a gap stays with the account. Rules: R6.8.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.breakers import add_flow
from backstop.core.columns import (
    COUNTERPARTY_LOTS,
    COUNTERPARTY_POSITION,
    DEFAULTER_CASH,
    DEFAULTER_GAP,
    DEFAULTER_LOTS,
    DEFAULTER_POSITION,
    DEFAULTER_SUPPORT,
    DEFAULTER_WANTED,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
    TEAR_UP_WEIGHT,
)
from backstop.core.contracts import closing, closing_cash, is_inverse, notional_at_mark
from backstop.core.events import NONE, Cause
from backstop.core.ledger import close_lots
from backstop.core.monitor import note_spare
from backstop.core.outbox import emit_tear_up
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_floor, split_by_largest_remainder
from backstop.core.waterfall.counterparties import holders_of_side, settle_counterparty, share_cash, trade_counterparty
from backstop.core.waterfall.defaulters import charge_all, post_charge, sum_column, support_gaps
from backstop.core.waterfall.fund import available_in_fund, available_to_market, pay
from backstop.core.waterfall.joint_turn import answer_all, gather_defaulters, judge_all, let_wait, next_market, take_accounts
from backstop.core.waterfall.naked_legs import note_taken
from backstop.core.waterfall.support import tell_part_of

__all__ = ["tear_up"]


@kernel
def _split_support(state: State, market: int, count: int, is_asked: bool) -> None:
    """Let each defaulter end what should leave; fill in the gaps, and the fund's parts of them."""
    available = 0
    if is_asked:
        available = min(available_in_fund(state, state.markets[market].group), available_to_market(state, market))
    for place in range(count):
        state.columns[DEFAULTER_LOTS, place] = state.columns[DEFAULTER_WANTED, place]
    support_gaps(state, count, available)


@kernel
def _fill_cash(state: State, market: int, count: int) -> int:
    """Fill in what each defaulter receives: its lots at mark. Return what all receive together, which
    holders of the other side pay; where none has to, the last short takes what rounding leaves.
    """
    total, more, last = 0, 0, NONE
    for place in range(count):
        held, lots = state.positions[state.columns[DEFAULTER_POSITION, place]].lots, state.columns[DEFAULTER_LOTS, place]
        state.columns[DEFAULTER_CASH, place] = closing_cash(state, market, held, lots)
        total = add_checked(total, state.columns[DEFAULTER_CASH, place])
        more = add_checked(more, -closing(held, lots))
        if held < 0:
            last = place
    if more == 0 and total != 0:
        state.columns[DEFAULTER_CASH, last] -= total
    return total


@kernel
def _note_rounding(state: State, count: int) -> None:
    """Let netting find those again whom a rounding gave an atom: they are judged later."""
    for place in range(count):
        note_spare(state, state.positions[state.columns[DEFAULTER_POSITION, place]].account)


@kernel
def _tell_all(state: State, market: int, count: int, is_asked: bool) -> None:
    """Report what each defaulter ends, and what the fund adds to its gap."""
    for place in range(count):
        row, gap = state.positions[state.columns[DEFAULTER_POSITION, place]], state.columns[DEFAULTER_GAP, place]
        lots = closing(row.lots, state.columns[DEFAULTER_LOTS, place])
        row.closed_in_default = 1
        emit_tear_up(
            state,
            account=row.account,
            lots=lots,
            market=market,
            mark_ticks=state.markets[market].mark_ticks,
            cash=state.columns[DEFAULTER_CASH, place],
            gap=gap,
        )
        tell_part_of(state, row.account, market, gap, state.columns[DEFAULTER_SUPPORT, place], Cause.TEAR_UP, is_asked)


@kernel
def _pay_gaps(state: State, market: int, count: int) -> None:
    """Let the fund pay its parts of the gaps."""
    for place in range(count):
        account = state.positions[state.columns[DEFAULTER_POSITION, place]].account
        pay(state, account, state.markets[market].group, state.columns[DEFAULTER_SUPPORT, place], Cause.TEAR_UP, market)


@kernel
def _lots_at_zero(state: State, place: int) -> int:
    """Return how many of the lots that a defaulter ends bring zero cash: all, or as the fund's part is
    of the gap.
    """
    lots, gap = state.columns[DEFAULTER_LOTS, place], state.columns[DEFAULTER_GAP, place]
    return mul_div_floor(lots, state.columns[DEFAULTER_SUPPORT, place], gap) if gap > 0 else lots


@kernel
def _end_lots(state: State, market: int, count: int) -> int:
    """Let each defaulter end its lots at mark; return what the longs ended more than the shorts, lots
    below 0 where the shorts did.
    """
    more, mark = 0, state.markets[market].mark_ticks
    for place in range(count):
        position, lots = state.columns[DEFAULTER_POSITION, place], state.columns[DEFAULTER_LOTS, place]
        change = closing(state.positions[position].lots, lots)
        at_zero = _lots_at_zero(state, place)
        close_lots(state, position, change, state.columns[DEFAULTER_CASH, place], mark, Cause.TEAR_UP, NONE, at_zero)
        # From here on with the sign of the position.
        state.columns[DEFAULTER_LOTS, place] = -change
        more = add_checked(more, -change)
    return more


@kernel
def _first_account(state: State, more: int) -> int:
    """Return the first defaulter of the side that ends more lots."""
    place = 0
    while (state.columns[DEFAULTER_LOTS, place] > 0) != (more > 0):
        place += 1
    return state.positions[state.columns[DEFAULTER_POSITION, place]].account


@kernel
def _note_torn(state: State, position: int, lots: int) -> None:
    """Note signed lots that the present event took of a position: they count as open for
    ``socialise``.
    """
    kept, event = state.torn_lots[position], state.engine[0].accepted
    kept[0] = lots + (kept[0] if kept[1] == event else 0)
    kept[1] = event


@kernel
def _end_against_holders(state: State, market: int, more: int, received: int) -> int:
    """Split the lots that one side ends more over all who hold the other, by lots, and what the
    defaulters ``received`` with them; return how many holders were gathered.
    """
    if more == 0:
        return 0
    sign = 1 if more > 0 else -1
    found, mark, first = holders_of_side(state, market, -sign, True), state.markets[market].mark_ticks, _first_account(state, more)
    for place in range(found):
        state.columns[TEAR_UP_WEIGHT, place] = abs(state.positions[state.columns[COUNTERPARTY_POSITION, place]].lots)
    split_by_largest_remainder(
        abs(more),
        state.columns[TEAR_UP_WEIGHT],
        state.columns[COUNTERPARTY_LOTS],
        state.columns[SPLIT_REMAINDER],
        state.columns[SPLIT_HEAP],
        found,
    )
    share_cash(state, found, received)
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            trade_counterparty(state, first, sign, place, mark, Cause.TEAR_UP)
            position, lots = state.columns[COUNTERPARTY_POSITION, place], -sign * state.columns[COUNTERPARTY_LOTS, place]
            _note_torn(state, position, lots)
            note_taken(state, position, lots)
    return found


@kernel
def _tear_up_market(state: State, market: int, count: int, is_asked: bool) -> None:
    """End the lots of ``count`` defaulters of both sides of a market."""
    _split_support(state, market, count, is_asked)
    charge_all(state, 0, count, DEFAULTER_LOTS)
    received = _fill_cash(state, market, count)
    _tell_all(state, market, count, is_asked)
    _pay_gaps(state, market, count)
    lots = sum_column(state, DEFAULTER_LOTS, 0, count)
    found = _end_against_holders(state, market, _end_lots(state, market, count), received)
    if is_inverse(state, market):
        _note_rounding(state, count)
    for place in range(count):
        post_charge(state, place)
    add_flow(state, market, notional_at_mark(state, market, lots))
    for place in range(found):
        if state.columns[COUNTERPARTY_LOTS, place] > 0:
            settle_counterparty(state, place)


@unit
def tear_up(state: State, turn: int, first: int, count: int) -> int:
    """Tear up what the accounts of the turn have. Answers as ``turns`` says."""
    taken, is_asked = take_accounts(state, turn, first, count), state.rules[0].fund_turn != NONE
    market = next_market(state, taken, 0, False)
    while market != NONE:
        judge_all(state, turn, market, taken)
        let_wait(state, turn, market, taken, is_asked)
        found = gather_defaulters(state, market, 0, taken, 0)
        if found > 0:
            _tear_up_market(state, market, found, is_asked)
        market = next_market(state, taken, market + 1, False)
    return answer_all(state, turn, first, count)
