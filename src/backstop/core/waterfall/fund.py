"""The insurance fund: what it may still pay, what it pays, and what nobody paid."""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.events import FUND, NONE, UNCOVERED, Cause, EffectKind
from backstop.core.ledger import balance_of, post
from backstop.core.outbox import emit
from backstop.core.state import State

__all__ = ["available_atoms", "book_uncovered", "pay", "roll_interval"]

_HALT = int(EffectKind.HALT)
_RESIDUAL = int(EffectKind.RESIDUAL)
_UNCOVERED_CAUSE = int(Cause.UNCOVERED)


@kernel
def roll_interval(state: State) -> int:
    """Start the venue's gauges anew where their interval is over; return the present interval's number."""
    engine = state.engine[0]
    present = engine.now_ns // state.rules[0].cap_interval_ns
    if engine.interval != present:
        engine.interval = present
        engine.paid_in_interval = 0
        engine.ordered_notional = 0
    return present


@kernel
def available_atoms(state: State) -> int:
    """Return what the fund may still promise or pay: within balance and cap, beside what is reserved (keeps INV-05)."""
    roll_interval(state)
    engine = state.engine[0]
    by_balance = balance_of(state, FUND) - engine.reserved
    by_cap = state.rules[0].fund_loss_max - engine.paid_in_interval - engine.reserved
    return max(0, min(by_balance, by_cap))


@kernel
def pay(state: State, account: int, amount: int, cause: int, market: int) -> None:
    """Pay ``amount`` (>= 0) from the fund to an account and count it against the interval's cap."""
    if amount == 0:
        return
    roll_interval(state)
    state.engine[0].paid_in_interval += amount
    post(state, account, FUND, amount, cause, market)


@kernel
def book_uncovered(state: State, account: int, amount: int) -> None:
    """Book what nobody paid, say so, and halt the markets that were closed in this default."""
    if amount <= 0:
        return
    post(state, account, UNCOVERED, amount, _UNCOVERED_CAUSE, NONE)
    emit(state, _RESIDUAL, 0, NONE, account, 0, 0, 0, amount, 0)
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        place = state.markets[row.market]
        if row.closed_in_default != 0 and place.halted == 0:
            place.halted = 1
            emit(state, _HALT, 0, row.market, account, 0, 0, 0, 0, 0)
        position = row.next_of_account
