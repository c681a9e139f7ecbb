"""What nobody paid of a group's losses, and how its fund pays it late: a cap limits how fast a fund
pays, never whether.

Rules: R6.10.5.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.assets import asset_of
from backstop.core.breakers import raise_deficit
from backstop.core.events import NEVER_NS, NONE, Cause
from backstop.core.ledger import balance_of, post
from backstop.core.noted_gains import forget_noted
from backstop.core.outbox import emit_residual
from backstop.core.places import fund_id, uncovered_id
from backstop.core.results import result_of
from backstop.core.rows import FUND_SLOTS
from backstop.core.shortfalls import hole_of, net_of_fund
from backstop.core.state import State
from backstop.core.units import add_checked, div_ceil, mul_div_ceil
from backstop.core.waits import wake_by
from backstop.core.waterfall.fund import available_to_arrears, pay_late, present_slot
from backstop.core.waterfall.loss import is_of_loss

__all__ = ["book_uncovered", "next_arrears_ns", "note_arrears", "run_arrears"]


@kernel
def _will_pay(state: State, group: int) -> bool:
    """Return whether a fund has all that its group still owes, so that only a cap keeps it back."""
    return state.rules[0].fund_turn != NONE and state.funds[group].least_cap > 0 and net_of_fund(state, group) >= 0


@kernel
def _raise_deficits(state: State, account: int, amount: int, group: int) -> None:
    """Count an amount in the markets of the account's loss, by what it lost in each, rounded up; where
    it lost in none, in equal parts.
    """
    lost, count = 0, 0
    position = state.accounts[account].first_position
    while position != NONE:
        if is_of_loss(state, position, group):
            lost = add_checked(lost, max(0, -result_of(state, position)))
            count += 1
        position = state.positions[position].next_of_account
    position = state.accounts[account].first_position
    while position != NONE:
        if is_of_loss(state, position, group):
            part = mul_div_ceil(amount, max(0, -result_of(state, position)), lost) if lost > 0 else div_ceil(amount, count)
            raise_deficit(state, state.positions[position].market, part)
        position = state.positions[position].next_of_account


@kernel
def book_uncovered(state: State, account: int, amount: int, group: int) -> None:
    """Book what nobody paid of an account's deficit in a group, and say so.

    The breakers of the markets of the loss count it, unless the fund will pay it.
    """
    if amount <= 0:
        return
    engine = state.engine[0]
    engine.uncovered = add_checked(engine.uncovered, amount)
    engine.arrears_slot = present_slot(state)
    if state.funds[group].is_grown == 0:
        state.funds[group].hole_before = hole_of(state, group)
    engine.is_grown = state.funds[group].is_grown = 1
    post(state, account, uncovered_id(group), amount, asset_of(state, account), Cause.UNCOVERED, NONE)
    emit_residual(state, account=account, group=group, amount=amount)
    if not _will_pay(state, group):
        _raise_deficits(state, account, amount, group)


@unit
def run_arrears(state: State) -> None:
    """Let each fund pay what its group still owes as far as its caps allow, once per slot of the
    window.
    """
    engine = state.engine[0]
    present = present_slot(state)
    if engine.arrears_slot == present or state.rules[0].fund_turn == NONE:
        return
    engine.arrears_slot = present
    for group in range(state.rules[0].groups):
        paid = min(-balance_of(state, uncovered_id(group)), available_to_arrears(state, group))
        engine.uncovered -= paid
        pay_late(state, group, paid)
        forget_noted(state, group)


@kernel
def next_arrears_ns(state: State) -> int:
    """Return when arrears may be paid next, or ``NEVER_NS``."""
    if state.engine[0].uncovered == 0 or state.rules[0].fund_turn == NONE:
        return NEVER_NS
    for group in range(state.rules[0].groups):
        fund = state.funds[group]
        owes = balance_of(state, uncovered_id(group)) < 0 and fund.least_cap > 0
        if owes and balance_of(state, fund_id(group)) > fund.reserved:
            return (present_slot(state) + 1) * (-(-state.rules[0].window_ns // (FUND_SLOTS - 1)))
    return NEVER_NS


@kernel
def note_arrears(state: State) -> None:
    """Note at the end of an event when arrears may be paid next."""
    wake_by(state, next_arrears_ns(state))
