"""Whether the book is asked before providers, though an account is below close-out.

It is where one order takes all that the account has to close, and costs less than a takeover of those
lots: the account while it is solvent, then its fund. Rules: R6.15.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.contracts import cash_of, closing, closing_cash, notional_at_mark
from backstop.core.events import NONE, Health
from backstop.core.margin import assess, equity_share
from backstop.core.state import State
from backstop.core.units import mul_div_floor
from backstop.core.waterfall.charge import exit_cost
from backstop.core.waterfall.closeout import sole_order
from backstop.core.waterfall.providers import can_take_over, commitment_of
from backstop.core.waterfall.turns import deadline_ns

__all__ = ["book_goes_first", "is_before_book", "share_atoms"]

_PPM = 1_000_000


@inlined
def is_before_book(state: State, turn: int) -> bool:
    """Return whether a turn of takeover is the one before closeout; that comes right after it."""
    return state.stages[turn].from_health == Health.CLOSE_OUT


@kernel
def share_atoms(state: State, position: int, lots: int, equity: int, maintenance: int) -> int:
    """Return what providers get of a solvent account for ``lots``: their share of the way to zero."""
    return mul_div_floor(equity_share(state, position, lots, equity, maintenance), state.rules[0].provider_share_ppm, _PPM)


@kernel
def _least_edge_ppm(state: State, position: int, notional: int) -> int:
    """Return the least edge of the providers that may be asked for a position, as they were last told
    to stand, and that are committed to so much, or NONE.
    """
    account = state.positions[position].account
    least = NONE
    for provider in range(state.rules[0].providers):
        row = state.commitments[commitment_of(state, provider, position)]
        if row.capacity >= max(1, notional) and can_take_over(state, provider, account) and (least == NONE or row.edge_ppm < least):
            least = row.edge_ppm
    return least


@kernel
def _costs_less(state: State, position: int, lots: int, limit_ticks: int, equity: int, maintenance: int) -> bool:
    """Return whether closing ``lots`` (> 0) on the book costs less than their takeover: a fund at the
    limit of the order.
    """
    if equity >= 0:
        return exit_cost(state, position, lots) < share_atoms(state, position, lots, equity, maintenance)
    row = state.positions[position]
    notional = notional_at_mark(state, row.market, lots)
    edge_ppm = _least_edge_ppm(state, position, notional)
    if edge_ppm == NONE:
        return False
    change = closing(row.lots, lots)
    at_limit = closing_cash(state, row.market, row.lots, lots) - cash_of(state, row.market, change, limit_ticks)
    return at_limit < mul_div_floor(notional, edge_ppm, _PPM)


@kernel
def book_goes_first(state: State, turn: int, account: int) -> bool:
    """Return whether the book takes at once all that an account has to close, for less than providers
    would, at the turn of takeover before closeout.
    """
    now, closeout = state.engine[0].now_ns, turn + 1
    if now < state.accounts[account].next_slice_ns or now >= deadline_ns(state, closeout, account):
        return False
    equity, maintenance = assess(state, account)
    position, lots, limit = sole_order(state, account, equity, maintenance, True)
    return position != NONE and _costs_less(state, position, lots, limit, equity, maintenance)
