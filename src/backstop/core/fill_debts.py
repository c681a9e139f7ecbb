"""The door: what a fill costs its loser beyond the band, or makes lacking, its winner owes.

A fill is a fact, whatever its price. What it moved from one owner to another at a price far from
the mark is owed back, and paid before a fund or a third account pays for the loser (``waterfall.
netting``); until then it does not leave (``admission``). Debts are kept one by one, the latest
``orders_max`` of the venue in a ring, those to one account in a list, the newest first. What an
owner owes for fills is forgotten as his debts to funds are. Rules: R6.2.13.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.assets import asset_of
from backstop.core.columns import OWNER_FIRST
from backstop.core.contracts import cash_at_mark, cash_of, notional_at_mark
from backstop.core.debts import account_debt
from backstop.core.events import NONE, Cause, Health
from backstop.core.ledger import post
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.outbox import emit_fill_debt
from backstop.core.pockets import are_linked
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_floor
from backstop.core.waits import has_lots

__all__ = ["fill_debt_of", "note_fill_debt", "take_from_winners"]

_PPM = 1_000_000
#: Columns of ``State.fill_debts``. OLDER and NEWER are rows of the debts to the same account.
_NUMBER, _ACCOUNT, _OWNER, _AMOUNT, _OLDER, _NEWER = 0, 1, 2, 3, 4, 5
#: Columns of ``State.fill_gauges``: by account its newest debt's row plus 1, 0: none; by owner what he
#: owes, when the last of it came, and the number of the first that counts.
_FIRST, _OWED, _NS, _FROM = 0, 1, 2, 3


@kernel
def fill_debt_of(state: State, owner: int) -> int:
    """Return what an owner owes for fills; nothing once that is forgotten."""
    is_forgotten = state.engine[0].now_ns - state.fill_gauges[owner, _NS] > state.rules[0].owner_memory_ns
    return 0 if is_forgotten else state.fill_gauges[owner, _OWED]


@inlined
def _allowed(state: State, market: int, lots: int, loser: int, loss: int) -> int:
    """Return what a fill of ``lots`` (> 0) may cost its loser, of ``loss`` in all: the band of the
    market, in a default the tolerance.
    """
    row = state.markets[market]
    limit = row.fill_band_ppm
    if state.accounts[loser].health >= Health.DISTRESSED and (limit == 0 or row.slippage_tolerance_ppm < limit):
        limit = row.slippage_tolerance_ppm
    elif limit == 0:
        return loss
    return mul_div_floor(notional_at_mark(state, market, lots), limit, _PPM)


@kernel
def _forget_row(state: State, place: int) -> None:
    """Take the row of the oldest debt out of its list, whose last it is."""
    row = state.fill_debts[place]
    if row[_NUMBER] == 0:
        return
    if row[_NEWER] == NONE:
        state.fill_gauges[row[_ACCOUNT], _FIRST] = 0
    else:
        state.fill_debts[row[_NEWER], _OLDER] = NONE


@kernel
def _add(state: State, loser: int, owner: int, amount: int) -> None:
    engine, gauges = state.engine[0], state.fill_gauges[owner]
    number = engine.next_fill_debt
    engine.next_fill_debt = number + 1
    if fill_debt_of(state, owner) == 0:
        gauges[_OWED] = 0
        gauges[_FROM] = number
    gauges[_OWED] = add_checked(gauges[_OWED], amount)
    gauges[_NS] = engine.now_ns
    place = number % len(state.fill_debts)
    _forget_row(state, place)
    row = state.fill_debts[place]
    row[_NUMBER] = number
    row[_ACCOUNT] = loser
    row[_OWNER] = owner
    row[_AMOUNT] = amount
    row[_OLDER] = state.fill_gauges[loser, _FIRST] - 1
    row[_NEWER] = NONE
    if row[_OLDER] != NONE:
        state.fill_debts[row[_OLDER], _NEWER] = place
    state.fill_gauges[loser, _FIRST] = place + 1


@kernel
def note_fill_debt(state: State, market: int, account: int, other: int, lots: int, price_ticks: int) -> None:
    """Note what the winner of a fill owes a loser that is not linked with it, once both have traded."""
    if other == NONE or are_linked(state, account, other):
        return
    gain = add_checked(cash_of(state, market, lots, price_ticks), -cash_at_mark(state, market, lots))
    loser, winner = (account, other) if gain < 0 else (other, account)
    loss = abs(gain)
    if loss == 0:
        return
    equity, _ = assess(state, loser)
    owed = max(loss - _allowed(state, market, abs(lots), loser, loss), min(loss, -equity))
    if owed <= 0:
        return
    _add(state, loser, state.accounts[winner].owner, owed)
    emit_fill_debt(
        state,
        account=loser,
        winner=winner,
        market=market,
        price_ticks=price_ticks,
        owed=owed,
        mark_ticks=state.markets[market].mark_ticks,
    )


@kernel
def _take_from(state: State, account: int, place: int, deficit: int) -> int:
    """Let the accounts of the owner of one debt pay, the latest opened first; return what still
    lacks.
    """
    debt = state.fill_debts[place]
    owner = debt[_OWNER]
    other = state.columns[OWNER_FIRST, owner]
    while other != NONE and deficit > 0 and debt[_AMOUNT] > 0:
        if other != account and state.accounts[other].health < Health.DISTRESSED:
            equity, maintenance = assess(state, other)
            given = min(deficit, debt[_AMOUNT], equity - maintenance)
            if given > 0:
                debt[_AMOUNT] -= given
                state.fill_gauges[owner, _OWED] -= given
                deficit -= given
                post(state, account, other, given, asset_of(state, account), Cause.FILL_DEBT, NONE)
                touch(state, other)
        other = state.accounts[other].next_of_owner
    return deficit


@kernel
def take_from_winners(state: State, account: int) -> None:
    """Let those who owe an account for fills make good its deficit, and without lots what funds paid
    for it: at most what they owe, and down to their maintenance margin.
    """
    place = state.fill_gauges[account, _FIRST] - 1
    if place == NONE:
        return
    equity, _ = assess(state, account)
    deficit = -equity
    if not has_lots(state, account):
        deficit = add_checked(deficit, account_debt(state, account))
    while place != NONE and deficit > 0:
        row = state.fill_debts[place]
        older = row[_OLDER]
        owner = row[_OWNER]
        if row[_AMOUNT] > 0 and row[_NUMBER] >= state.fill_gauges[owner, _FROM] and fill_debt_of(state, owner) > 0:
            deficit = _take_from(state, account, place, deficit)
        place = older
