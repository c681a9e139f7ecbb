"""What a fund adds to what an insolvent account lacks: the fund pays before others.

Only what it may not pay is left for the counterparties, and while it only reserves more, the
account waits. Rules: R6.3.7.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.contracts import closing_cash
from backstop.core.events import Cause, SupportLimit
from backstop.core.margin import zero_cash
from backstop.core.outbox import emit_support
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.waterfall.fund import available_atoms, binding_limit, free_atoms
from backstop.core.waterfall.turns import wait_interval

__all__ = ["available_for_gap", "gap_atoms", "tell_part", "tell_part_of", "tell_support", "waits_for_reservation"]


@kernel
def gap_atoms(state: State, position: int, lots: int, equity: int, maintenance: int) -> int:
    """Return what an insolvent account lacks to the zero cash of ``lots`` at mark; 0 for a solvent
    one.
    """
    if equity >= 0:
        return 0
    row = state.positions[position]
    at_mark = closing_cash(state, row.market, row.lots, lots)
    return max(0, add_checked(zero_cash(state, position, lots, equity, maintenance), -at_mark))


@kernel
def available_for_gap(state: State, account: int, market: int, is_asked: bool) -> int:
    """Return what the fund of a market may pay for an account; 0 where the waterfall does not ask
    it.
    """
    return available_atoms(state, account, state.markets[market].group, market) if is_asked else 0


@kernel
def waits_for_reservation(state: State, turn: int, position: int, whole: int) -> bool:
    """Return whether the account now waits: its fund cannot pay ``whole``, what all insolvent accounts
    lack in the market, and reserves what would pay more of it.
    """
    row = state.positions[position]
    group = state.markets[row.market].group
    available = available_atoms(state, row.account, group, row.market)
    if available >= whole or available >= free_atoms(state, row.account, group, row.market):
        return False
    return wait_interval(state, turn, row.account)


@kernel
def _limit(state: State, account: int, group: int, market: int, gap: int, available: int, is_asked: bool) -> int:
    if not is_asked:
        return SupportLimit.STAGE
    if available >= gap:
        return SupportLimit.COVERED
    if available < free_atoms(state, account, group, market):
        return SupportLimit.RESERVED
    return binding_limit(state, account, group, market)


@kernel
def _limit_of_part(state: State, account: int, market: int, gap: int, support: int, available: int, is_asked: bool) -> int:
    if support == gap:
        return SupportLimit.COVERED
    # Others may share what would cover it alone.
    return _limit(state, account, state.markets[market].group, market, max(gap, available + 1), available, is_asked)


@kernel
def tell_part(state: State, account: int, market: int, gap: int, support: int) -> None:
    """Emit SUPPORT where there is a gap: what the fund of a market pays of it in an ADL plan, beside
    others, and what keeps back the rest.
    """
    tell_part_of(state, account, market, gap, support, Cause.SUPPORT, state.rules[0].fund_supports != 0)


@kernel
def tell_part_of(state: State, account: int, market: int, gap: int, support: int, cause: int, is_asked: bool) -> None:
    """Emit the same, for the posting of a cause that pays it; ``is_asked``: the fund is."""
    if gap == 0:
        return
    available = available_for_gap(state, account, market, is_asked)
    emit_support(
        state,
        account=account,
        market=market,
        support=support,
        gap=gap,
        limit=_limit_of_part(state, account, market, gap, support, available, is_asked),
        cause=cause,
        available=available,
    )


@kernel
def tell_support(state: State, account: int, group: int, market: int, gap: int, available: int, cause: int, is_asked: bool) -> None:
    """Emit SUPPORT where there is a gap: what the fund of a group pays of it, in a market or in none,
    and what keeps back the rest.
    """
    if gap == 0:
        return
    limit = _limit(state, account, group, market, gap, available, is_asked)
    emit_support(
        state,
        account=account,
        market=market,
        support=min(gap, available),
        gap=gap,
        limit=limit,
        cause=cause,
        available=available,
    )
