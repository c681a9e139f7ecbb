"""The insurance funds' drawdown from their peaks, and the level of the breakers that follows
(R9).

A fund's peak is the largest balance of the 17 latest slots of a sixteenth of the window each, so
that no span of a window forgets a peak within it.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.breakers import THROTTLE_LEVEL, set_drawdown
from backstop.core.events import FEES, FUND, NONE
from backstop.core.places import fund_id, house_slot
from backstop.core.rows import FUND_SLOTS
from backstop.core.state import State
from backstop.core.units import add_checked, div_ceil, mul_div_floor

__all__ = ["group_of_fund", "judge_drawdowns", "shift_peaks"]

_PPM = 1_000_000


@kernel
def group_of_fund(state: State, ledger_id: int) -> int:
    """Return the market group whose fund has this ledger id, or NONE where it is no fund of this
    venue.
    """
    if ledger_id == FUND:
        return 0
    group = FEES - 1 - ledger_id
    return group if 1 <= group < state.rules[0].groups else NONE


@kernel
def _roll_peaks(state: State, group: int) -> None:
    """Begin each slot since the newest with the balance that stood through it."""
    fund = state.funds[group]
    present = state.engine[0].now_ns // div_ceil(state.rules[0].drawdown_window_ns, FUND_SLOTS - 1)
    for back in range(min(present - fund.peak_slot, FUND_SLOTS)):
        fund.peak[(present - back) % FUND_SLOTS] = fund.balance_before
    fund.peak_slot = present


@kernel
def shift_peaks(state: State, group: int, amount: int) -> None:
    """Move a fund's peaks by ``amount`` atoms: money put in, taken out or paid back by plan is
    neither gain nor loss.
    """
    _roll_peaks(state, group)
    fund = state.funds[group]
    fund.is_shifted = 1
    fund.shifted += amount
    for slot in range(FUND_SLOTS):
        fund.peak[slot] = add_checked(fund.peak[slot], amount)


@kernel
def _drawdown_ppm(state: State, group: int, balance: int) -> int:
    """Return by how much of its peak a fund's balance is below it."""
    fund = state.funds[group]
    peak = fund.peak[0]
    for slot in range(1, FUND_SLOTS):
        peak = max(peak, fund.peak[slot])
    return mul_div_floor(add_checked(peak, -balance), _PPM, peak) if peak > 0 else 0


@kernel
def _judge_drawdown(state: State, group: int, balance: int) -> None:
    """Take a new balance into the peaks, and give the group's markets the level that follows."""
    rules, fund = state.rules[0], state.funds[group]
    _roll_peaks(state, group)
    # Time alone may have ended the old drawdown, though nothing looked: then this is a new one.
    is_over = _drawdown_ppm(state, group, fund.balance_before + fund.shifted) < rules.drawdown_exit_ppm
    old = fund.drawdown_level
    between = 0 if is_over else old
    place = fund.peak_slot % FUND_SLOTS
    fund.peak[place] = max(fund.peak[place], balance)
    fund.balance_before = balance
    fund.is_shifted = 0
    fund.shifted = 0
    drawdown = _drawdown_ppm(state, group, balance)
    level = between
    if rules.drawdown_enter_ppm > 0 and drawdown >= rules.drawdown_enter_ppm:
        level = THROTTLE_LEVEL
    elif drawdown < rules.drawdown_exit_ppm:
        level = 0
    if level == old and between == old:
        return
    fund.drawdown_level = level
    for market in range(rules.markets):
        if state.markets[market].group == group:
            set_drawdown(state, market, level, between == 0)


@kernel
def judge_drawdowns(state: State) -> None:
    """At the end of an event: look at the funds whose balance it changed, or that had CASH, in
    order of group.
    """
    for group in range(state.rules[0].groups):
        balance = state.house[house_slot(fund_id(group))]
        if balance != state.funds[group].balance_before or state.funds[group].is_shifted != 0:
            _judge_drawdown(state, group, balance)
