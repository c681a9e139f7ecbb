"""Double entry: every unit that moves goes from one ledger account to another, with a cause.

The balance of an account row is the ledger's own storage; the house's balances stand beside it.
Each is in one asset. Only WORLD, REMAINDER and FEES have a balance in every asset: those in further
assets stand in an array apart, which a venue of one asset never touches. A trade moves lots between
two holders at an exact cash; what it realises is posted against the market's clearing account, so
that ``clearing + sum(cost) = 0`` in every market (R1).
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.contract_terms import FIRST_ASSET
from backstop.core.contracts import notional_at_mark, settlement_asset
from backstop.core.events import NONE, Cause
from backstop.core.funding import unpaid_funding
from backstop.core.interest import change_lots
from backstop.core.margin import position_margin
from backstop.core.outbox import emit_posting, emit_trade
from backstop.core.places import clearing_id, funding_id, house_slot, other_slot
from backstop.core.relief import note_risk
from backstop.core.results import bearing_lots, is_insolvent, is_of_losing_side, loss_to_bear, lower_base, note_gain, note_lots, settle_loss
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_ceil, mul_div_trunc

__all__ = [
    "balance_in",
    "balance_of",
    "begin_funding",
    "close_lots",
    "post",
    "settle_all_funding",
    "settle_funding",
    "trade",
]


@kernel
def balance_of(state: State, ledger_id: int) -> int:
    """Return the balance of a ledger account in its asset, of WORLD, REMAINDER and FEES in the first, in
    atoms.
    """
    if ledger_id >= 0:
        return state.accounts[ledger_id].balance
    return state.house[house_slot(ledger_id)]


@kernel
def balance_in(state: State, ledger_id: int, asset: int) -> int:
    """Return the balance of a ledger account in an asset that it may be in, in atoms of it."""
    slot = other_slot(ledger_id)
    if asset == FIRST_ASSET or slot == NONE:
        return balance_of(state, ledger_id)
    return state.other_balances[asset - 1, slot]


@kernel
def _credit(state: State, ledger_id: int, amount: int, asset: int) -> None:
    if ledger_id >= 0:
        row = state.accounts[ledger_id]
        row.balance = add_checked(row.balance, amount)
        return
    other = other_slot(ledger_id) if asset != FIRST_ASSET else NONE
    if other != NONE:
        state.other_balances[asset - 1, other] = add_checked(state.other_balances[asset - 1, other], amount)
        return
    slot = house_slot(ledger_id)
    state.house[slot] = add_checked(state.house[slot], amount)


@kernel
def post(state: State, receiver: int, payer: int, amount: int, asset: int, cause: int, market: int) -> None:
    """Move ``amount`` atoms of an asset, which both are in, from ``payer`` to ``receiver``; a negative
    amount the other way, 0 nothing.

    Keeps INV-01: the balances in each asset sum to zero.
    """
    if amount == 0:
        return
    if amount < 0:
        receiver, payer, amount = payer, receiver, -amount
    _credit(state, payer, -amount, asset)
    _credit(state, receiver, amount, asset)
    emit_posting(state, receiver=receiver, amount=amount, payer=payer, cause=cause, market=market, asset=asset)


@kernel
def settle_funding(state: State, position: int) -> None:
    """Let a position pay, or get, the funding that it has not; parts of an atom wait. What it pays
    is a charge of its account.
    """
    unpaid = unpaid_funding(state, position)
    if unpaid == 0:
        return
    row = state.positions[position]
    state.results[position].settled_index = state.markets[row.market].funding_index
    if unpaid < 0 <= row.account:
        state.charge_markets[row.account] = row.market
    post(state, row.account, funding_id(row.market), unpaid, settlement_asset(state, row.market), Cause.FUNDING, row.market)


@kernel
def begin_funding(state: State, position: int) -> None:
    """Settle a position whose lots change now: the parts of an atom that are left are gone."""
    settle_funding(state, position)
    state.results[position].settled_index = state.markets[state.positions[position].market].funding_index


@kernel
def settle_all_funding(state: State, account: int) -> None:
    """Let all positions of an account pay, or get, the funding that they have not."""
    position = state.accounts[account].first_position
    while position != NONE:
        settle_funding(state, position)
        position = state.positions[position].next_of_account


@unit
def trade(state: State, position: int, lots: int, received: int, price_ticks: int, cause: int, counterpart: int) -> None:
    """Change a position by signed ``lots`` for the cash ``received``; post what that realises
    (keeps INV-02). Its funding is settled first: what came until now is for the lots until now.

    ``price_ticks`` is for the record (0 where the cash is exact and has no price).
    """
    begin_funding(state, position)
    lower_base(state, position, received)
    row = state.positions[position]
    held, cost = row.lots, row.cost
    realised = 0
    if held == 0 or (held > 0) == (lots > 0):
        row.cost = add_checked(cost, -received)
    else:
        closed = min(abs(lots), abs(held))
        closing = received
        if abs(lots) > closed:
            closing = mul_div_trunc(received, closed, abs(lots))
        share = mul_div_trunc(cost, closed, abs(held))
        realised = add_checked(closing, -share)
        row.cost = cost - share - (received - closing)
    change_lots(state, position, held + lots)
    note_lots(state, position)
    if cause in (Cause.ADL, Cause.TEAR_UP) and not is_of_losing_side(state, row.market, held):
        note_gain(state, position, realised)
    emit_trade(
        state,
        account=row.account,
        market=row.market,
        lots=lots,
        price_ticks=price_ticks,
        counterpart=counterpart,
        cause=cause,
        cash=received,
        realised=realised,
    )
    asset = settlement_asset(state, row.market)
    post(state, row.account, clearing_id(row.market), realised, asset, cause, row.market)
    if state.engine[0].reliefs_now > 0:
        note_risk(state, position, held)


@kernel
def _loss_closed(state: State, position: int, lots: int) -> int:
    """Return what ``lots`` (> 0) of a position take of the loss that it bears by, as zero cash does
    of what it bears.
    """
    row, loss = state.positions[position], loss_to_bear(state, position)
    whole = position_margin(state, position, notional_at_mark(state, row.market, row.lots))
    rest = position_margin(state, position, notional_at_mark(state, row.market, abs(row.lots) - lots))
    part = mul_div_ceil(loss, whole - rest, whole) if whole > 0 else mul_div_ceil(loss, lots, abs(row.lots))
    return mul_div_ceil(part, abs(row.lots), bearing_lots(state, position))


@kernel
def close_lots(state: State, position: int, lots: int, received: int, price_ticks: int, cause: int, counterpart: int, at_zero: int) -> None:
    """Trade as ``trade`` does, and let the lots that bring zero cash (``at_zero`` >= 0 of them)
    take their part of the loss with them.
    """
    if at_zero == 0 or not is_insolvent(state, state.positions[position].account):
        trade(state, position, lots, received, price_ticks, cause, counterpart)
        return
    left = loss_to_bear(state, position) - _loss_closed(state, position, at_zero)
    trade(state, position, lots, received, price_ticks, cause, counterpart)
    settle_loss(state, position, at_zero, left)
