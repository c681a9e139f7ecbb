"""The insurance funds, one a market group: what they may still pay, what they pay, and what nobody
paid.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.breakers import raise_deficit
from backstop.core.columns import OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED
from backstop.core.contract_terms import VENUE_ASSET
from backstop.core.events import FEES, NONE, UNCOVERED, Cause, Health
from backstop.core.ledger import balance_of, post
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.outbox import emit_residual
from backstop.core.places import fund_id
from backstop.core.rows import FUND_SLOTS
from backstop.core.state import State
from backstop.core.units import mul_div_floor

__all__ = [
    "available_atoms",
    "available_for_orders",
    "available_in_fund",
    "available_to_owner",
    "book_uncovered",
    "charge_trading_fee",
    "pay",
    "roll_interval",
    "worst_support",
]

_PPM = 1_000_000


@kernel
def roll_interval(state: State) -> int:
    """Start the venue's closeout gauge anew where its interval is over; return the present
    interval's number.
    """
    engine = state.engine[0]
    present = engine.now_ns // state.rules[0].cap_interval_ns
    if engine.interval != present:
        engine.interval = present
        engine.ordered_notional = 0
    return present


@kernel
def _paid_in_window(state: State, group: int) -> int:
    """Return what a fund paid in the slots that the window may touch; forget the older ones."""
    fund = state.funds[group]
    present = state.engine[0].now_ns // (-(-state.rules[0].window_ns // (FUND_SLOTS - 1)))
    for slot in range(max(fund.paid_slot + 1, present - FUND_SLOTS + 1), present + 1):
        fund.paid[slot % FUND_SLOTS] = 0
    fund.paid_slot = present
    total = 0
    for slot in range(FUND_SLOTS):
        total += fund.paid[slot]
    return total


@kernel
def _paid_to_owner(state: State, owner: int) -> int:
    """Return what the funds paid for an owner since they last did not for a whole window."""
    if state.engine[0].now_ns - state.columns[OWNER_PAID_NS, owner] > state.rules[0].window_ns:
        state.columns[OWNER_PAID, owner] = 0
    return state.columns[OWNER_PAID, owner]


@kernel
def available_in_fund(state: State, group: int) -> int:
    """Return what a fund may still promise or pay, for whomever: within its balance and its
    window's cap.
    """
    fund = state.funds[group]
    by_balance = balance_of(state, fund_id(group)) - fund.reserved
    by_window = fund.loss_max - _paid_in_window(state, group) - fund.reserved
    return max(0, min(by_balance, by_window))


@kernel
def available_to_owner(state: State, account: int) -> int:
    """Return what all funds together may still promise or pay for an account's owner."""
    owner = state.accounts[account].owner
    return max(0, state.rules[0].owner_loss_max - _paid_to_owner(state, owner) - state.columns[OWNER_RESERVED, owner])


@kernel
def available_atoms(state: State, account: int, group: int) -> int:
    """Return what a fund may still promise or pay for an account.

    Within the fund's balance, its window's cap and the owner's, beside what is reserved (keeps
    INV-05).
    """
    return min(available_in_fund(state, group), available_to_owner(state, account))


@kernel
def available_for_orders(state: State, account: int, market: int) -> int:
    """Return what the fund of a market may reserve for an order or an offer of an account: 0 where
    it supports none.
    """
    return available_atoms(state, account, state.markets[market].group) if state.rules[0].fund_supports != 0 else 0


@inlined
def worst_support(gap: int, parts: int) -> int:
    """Return what a fund may have to pay for a ``gap`` to zero cash that is filled in ``parts``,
    each rounded up.
    """
    return gap + parts if gap > 0 else 0


@kernel
def pay(state: State, account: int, group: int, amount: int, cause: int, market: int) -> None:
    """Pay ``amount`` (>= 0) from a group's fund to an account and count it against the caps."""
    if amount == 0:
        return
    owner = state.accounts[account].owner
    _paid_in_window(state, group)
    fund = state.funds[group]
    fund.paid[fund.paid_slot % FUND_SLOTS] += amount
    _paid_to_owner(state, owner)
    state.columns[OWNER_PAID, owner] += amount
    state.columns[OWNER_PAID_NS, owner] = state.engine[0].now_ns
    post(state, account, fund_id(group), amount, VENUE_ASSET, cause, market)


@kernel
def charge_trading_fee(state: State, account: int, market: int, amount: int) -> None:
    """Charge a trading fee, at most the equity there is, and pass the fund's share of what was
    charged on.

    Nothing is charged in a default: what is left belongs to those who unwind it.
    """
    equity, _ = assess(state, account)
    charged = min(amount, max(0, equity)) if state.accounts[account].health < Health.DISTRESSED else 0
    post(state, FEES, account, charged, VENUE_ASSET, Cause.TRADING_FEE, market)
    group = 0 if market == NONE else state.markets[market].group
    share = mul_div_floor(charged, state.rules[0].trading_fee_share_ppm, _PPM)
    post(state, fund_id(group), FEES, share, VENUE_ASSET, Cause.TRADING_FEE, market)
    touch(state, account)


@kernel
def book_uncovered(state: State, account: int, amount: int) -> None:
    """Book what nobody paid, say so, and let the breakers of the markets that were closed in this
    default halt them.
    """
    if amount <= 0:
        return
    post(state, account, UNCOVERED, amount, VENUE_ASSET, Cause.UNCOVERED, NONE)
    emit_residual(state, account=account, amount=amount)
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.closed_in_default != 0:
            raise_deficit(state, row.market)
        position = row.next_of_account
