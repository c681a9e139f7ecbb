"""The insurance funds, one per market group: what they may still pay, and what they pay.

``pay`` is the only way in which money leaves a fund for an account.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.assets import asset_of, asset_of_group, first_group
from backstop.core.columns import OWNER_CARRIED, OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED
from backstop.core.debts import add_debt, forget_debts
from backstop.core.events import FEES, NONE, Cause, Health, SupportLimit
from backstop.core.instruments import NO_CAP
from backstop.core.interest import others_lots
from backstop.core.ledger import balance_of, post
from backstop.core.margin import assess, initial_margin_of
from backstop.core.monitor import touch
from backstop.core.places import arrears_gauge, fund_gauge, fund_id, market_gauge, uncovered_id
from backstop.core.rows import FUND_SLOTS
from backstop.core.shortfalls import net_of_fund
from backstop.core.state import State
from backstop.core.units import mul_div_floor
from backstop.core.waterfall.claims import set_off_claims
from backstop.core.waterfall.netting import net_linked

__all__ = [
    "available_atoms",
    "available_for_orders",
    "available_in_fund",
    "available_to_arrears",
    "available_to_market",
    "available_to_owner",
    "available_without_carry",
    "binding_limit",
    "charge_trading_fee",
    "contribute",
    "free_atoms",
    "pay",
    "pay_late",
    "present_slot",
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


@inlined
def present_slot(state: State) -> int:
    """Return the number of the present slot of what funds paid."""
    return state.engine[0].now_ns // (-(-state.rules[0].window_ns // (FUND_SLOTS - 1)))


@kernel
def _paid_in_window(state: State, gauge: int) -> int:
    """Return what a row of ``state.gauges`` counted in the slots that the window may touch."""
    total = 0
    for slot in range(max(0, present_slot(state) - FUND_SLOTS + 1), state.gauges[gauge, FUND_SLOTS] + 1):
        total += state.gauges[gauge, slot % FUND_SLOTS]
    return total


@kernel
def _count(state: State, gauge: int, amount: int) -> None:
    """Count a payment in a row of ``state.gauges``, and forget the slots that are over."""
    present = present_slot(state)
    for slot in range(max(state.gauges[gauge, FUND_SLOTS] + 1, present - FUND_SLOTS + 1), present + 1):
        state.gauges[gauge, slot % FUND_SLOTS] = 0
    state.gauges[gauge, FUND_SLOTS] = present
    state.gauges[gauge, present % FUND_SLOTS] += amount


@kernel
def _paid_to_owner(state: State, owner: int) -> int:
    """Return what the funds paid for an owner since they last did not for a whole window."""
    if state.engine[0].now_ns - state.columns[OWNER_PAID_NS, owner] > state.rules[0].window_ns:
        state.columns[OWNER_PAID, owner] = 0
    return state.columns[OWNER_PAID, owner]


@kernel
def _left_of_balance(state: State, group: int) -> int:
    """Return what a fund has beyond what it reserves and what its group still owes: that is kept for
    arrears. May be below 0.
    """
    return net_of_fund(state, group) - state.funds[group].carried


@kernel
def available_in_fund(state: State, group: int) -> int:
    """Return what a fund may still promise or pay, for whomever: within its balance and its
    window's cap.
    """
    fund = state.funds[group]
    by_balance = _left_of_balance(state, group)
    by_window = fund.loss_per_window_max - _paid_in_window(state, fund_gauge(group)) - fund.reserved
    return max(0, min(by_balance, by_window))


@kernel
def _left_to_market(state: State, market: int) -> int:
    """Return what the cap of a market leaves beside what is reserved; below 0 where it is exceeded.

    Arrears count in every market of their group, as they may have arisen in any.
    """
    place = state.markets[market]
    paid = _paid_in_window(state, market_gauge(market)) + _paid_in_window(state, arrears_gauge(place.group))
    return place.loss_per_window_max - paid - place.reserved


@kernel
def available_to_market(state: State, market: int) -> int:
    """Return what the cap of a market leaves; without bound for a payment that names none."""
    return NO_CAP if market == NONE else max(0, _left_to_market(state, market))


@kernel
def _left_to_owner(state: State, account: int) -> int:
    """Return what the cap of an account's owner leaves beside what is reserved; below 0 where it is
    exceeded.

    Arrears count for every owner, as they may be for any.
    """
    owner, asset = state.accounts[account].owner, asset_of(state, account)
    paid = _paid_to_owner(state, owner)
    for group in range(state.rules[0].groups):
        if asset_of_group(state, group) == asset:
            paid += _paid_in_window(state, arrears_gauge(group))
    return state.assets[asset].owner_loss_max - paid - state.columns[OWNER_RESERVED, owner]


@kernel
def available_to_owner(state: State, account: int) -> int:
    """Return what all funds together may still promise or pay for an account's owner."""
    return max(0, _left_to_owner(state, account))


@kernel
def available_atoms(state: State, account: int, group: int, market: int) -> int:
    """Return what a fund may still promise or pay for an account in a market of the group, or in
    none.

    Within the fund's balance, its window's cap, the market's and the owner's, beside what is
    reserved (keeps INV-05).
    """
    return min(available_in_fund(state, group), available_to_market(state, market), available_to_owner(state, account))


@kernel
def available_without_carry(state: State, account: int, group: int, market: int) -> int:
    """Return what ``available_atoms`` would be if no fund carried anybody."""
    fund = state.funds[group]
    by_balance = net_of_fund(state, group)
    by_window = fund.loss_per_window_max - _paid_in_window(state, fund_gauge(group)) - fund.reserved + fund.carried
    by_market = NO_CAP if market == NONE else _left_to_market(state, market) + state.markets[market].carried
    by_owner = _left_to_owner(state, account) + state.columns[OWNER_CARRIED, state.accounts[account].owner]
    return max(0, min(by_balance, by_window, by_market, by_owner))


@kernel
def available_to_arrears(state: State, group: int) -> int:
    """Return what a fund may pay late, for whomever: within its balance and the smallest of its
    caps, all that it paid in the window counted.
    """
    fund = state.funds[group]
    by_balance = balance_of(state, fund_id(group)) - fund.reserved
    by_caps = fund.least_cap - _paid_in_window(state, fund_gauge(group)) - fund.reserved
    return max(0, min(by_balance, by_caps))


@kernel
def free_atoms(state: State, account: int, group: int, market: int) -> int:
    """Return what ``available_atoms`` would be if nothing were reserved for anyone."""
    fund, owner = state.funds[group], state.accounts[account].owner
    by_balance = _left_of_balance(state, group) + fund.reserved
    by_window = fund.loss_per_window_max - _paid_in_window(state, fund_gauge(group))
    by_owner = _left_to_owner(state, account) + state.columns[OWNER_RESERVED, owner]
    by_market = NO_CAP if market == NONE else _left_to_market(state, market) + state.markets[market].reserved
    return max(0, min(by_balance, by_window, by_owner, by_market))


@kernel
def binding_limit(state: State, account: int, group: int, market: int) -> int:
    """Return which limit of a fund leaves least for an account in a market of the group, or in none;
    the first where several do.
    """
    fund = state.funds[group]
    by_balance = _left_of_balance(state, group)
    by_window = fund.loss_per_window_max - _paid_in_window(state, fund_gauge(group)) - fund.reserved
    by_owner = _left_to_owner(state, account)
    by_market = NO_CAP if market == NONE else _left_to_market(state, market)
    if by_balance <= min(by_window, by_owner, by_market):
        return SupportLimit.BALANCE
    if by_window <= min(by_owner, by_market):
        return SupportLimit.WINDOW
    return SupportLimit.OWNER if by_owner <= by_market else SupportLimit.MARKET


@kernel
def available_for_orders(state: State, account: int, market: int) -> int:
    """Return what the fund of a market may reserve for an order or an offer of an account: 0 where
    it supports none.
    """
    return available_atoms(state, account, state.markets[market].group, market) if state.rules[0].fund_supports != 0 else 0


@inlined
def worst_support(gap: int, parts: int) -> int:
    """Return what a fund may have to pay for a ``gap`` to zero cash that is filled in ``parts``,
    each rounded up.
    """
    return gap + parts if gap > 0 else 0


@unit
def pay(state: State, account: int, group: int, amount: int, cause: int, market: int) -> int:
    """Pay at most ``amount`` from a group's fund: what the account lacks once its owner's other
    accounts have paid. Returns the atoms paid.

    Counts them against the caps. They lower the owner's claims on the group; the rest of them is a
    debt of the account.
    """
    if amount <= 0:
        return 0
    net_linked(state, account)
    equity, _ = assess(state, account)
    paid = min(amount, max(0, -equity))
    if paid == 0:
        return 0
    owner = state.accounts[account].owner
    forget_debts(state, owner)
    debt = paid - set_off_claims(state, account, group, paid)
    _count(state, fund_gauge(group), paid)
    if market != NONE:
        _count(state, market_gauge(market), paid)
    _paid_to_owner(state, owner)
    state.columns[OWNER_PAID, owner] += paid
    state.columns[OWNER_PAID_NS, owner] = state.engine[0].now_ns
    post(state, account, fund_id(group), paid, asset_of(state, account), cause, market)
    add_debt(state, account, group, debt)
    return paid


@kernel
def pay_late(state: State, group: int, amount: int) -> None:
    """Pay ``amount`` (>= 0) from a group's fund for what stood uncovered in the group, and count it
    against the caps.
    """
    if amount == 0:
        return
    _count(state, fund_gauge(group), amount)
    _count(state, arrears_gauge(group), amount)
    post(state, uncovered_id(group), fund_id(group), amount, asset_of_group(state, group), Cause.ARREARS, NONE)


@kernel
def charge_trading_fee(state: State, account: int, market: int, amount: int) -> None:
    """Charge a trading fee, at most the equity there is, and pass the fund's share of what was
    charged on.

    Nothing is charged in a default: what is left belongs to those who unwind it.
    """
    equity, _ = assess(state, account)
    charged = min(amount, max(0, equity)) if state.accounts[account].health < Health.DISTRESSED else 0
    asset = asset_of(state, account)
    post(state, FEES, account, charged, asset, Cause.TRADING_FEE, market)
    group = first_group(state, account) if market == NONE else state.markets[market].group
    share = mul_div_floor(charged, state.rules[0].trading_fee_share_ppm, _PPM)
    post(state, fund_id(group), FEES, share, asset, Cause.TRADING_FEE, market)
    touch(state, account)


@kernel
def contribute(state: State, position: int, lots_before: int) -> None:
    """Let a share of the initial margin of what a fill opened go to the fund: no more than the account
    has above maintenance, and nothing in a default.
    """
    row = state.positions[position]
    lots, market, account = row.lots, row.market, row.account
    group = state.markets[market].group
    share_ppm = state.funds[group].contribution_ppm
    if share_ppm == 0 or lots == 0 or state.accounts[account].health >= Health.DISTRESSED:
        return
    kept = min(abs(lots_before), abs(lots)) if (lots_before > 0) == (lots > 0) else 0
    others, ticks = others_lots(state, account, market, lots), state.markets[market].mark_ticks
    opened = initial_margin_of(state, market, lots, others, ticks) - initial_margin_of(state, market, kept, others, ticks)
    equity, maintenance = assess(state, account)
    charged = min(mul_div_floor(max(0, opened), share_ppm, _PPM), max(0, equity - maintenance))
    post(state, fund_id(group), account, charged, asset_of(state, account), Cause.CONTRIBUTION, market)
