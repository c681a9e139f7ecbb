"""Gaps of insolvent accounts by market, and the gains that they hold back.

While an insolvent account stands whose gap its fund cannot pay, what it lacks will be taken from
those who gained in its markets. Until then they may not carry the gains out.

The gap of an account is noted when it becomes insolvent and whenever it is touched. Between, a
noted gap moves with the mark. So the gap of a market costs one product, however many accounts are
insolvent. Rules: R6.11.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import OWNER_FIRST, OWNER_RESULT
from backstop.core.contracts import notional_at_mark, value_at_mark
from backstop.core.events import NONE
from backstop.core.ledger import balance_of
from backstop.core.places import fund_id, uncovered_id
from backstop.core.results import result_of
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_floor

__all__ = ["forget_gaps", "held_gains", "held_gains_of", "hole_of", "net_of_fund", "note_gaps"]

#: Columns of ``State.gaps``: the gap plus the value of the lots at the mark of then, and the lots.
_ATOMS, _LOTS = 0, 1


@kernel
def net_of_fund(state: State, group: int) -> int:
    """Return what a fund neither reserves for orders and offers nor keeps for what is uncovered in its
    group; below 0: what it lacks for that. Atoms.

    What it reserves to carry somebody gives way.
    """
    fund = state.funds[group]
    return balance_of(state, fund_id(group)) - (fund.reserved - fund.carried) + balance_of(state, uncovered_id(group))


@kernel
def hole_of(state: State, group: int) -> int:
    """Return what is uncovered in a group and its fund cannot pay. Atoms."""
    return max(0, -net_of_fund(state, group))


@kernel
def _keep(state: State, position: int, atoms: int, lots: int) -> None:
    """Put a noted gap in the place of the one before, in its market's sums, too."""
    kept = state.gaps[position]
    market = state.markets[state.positions[position].market]
    market.gap_atoms = add_checked(market.gap_atoms, add_checked(atoms, -kept[_ATOMS]))
    market.gap_lots += lots - kept[_LOTS]
    kept[_ATOMS] = atoms
    kept[_LOTS] = lots


@kernel
def forget_gaps(state: State, account: int) -> None:
    """Note that an account has no gap."""
    position = state.accounts[account].first_position
    while position != NONE:
        _keep(state, position, 0, 0)
        position = state.positions[position].next_of_account


@inlined
def _weight(state: State, position: int, by_loss: bool) -> int:
    """Return by what a position shares in its account's gap: its loss, or its notional."""
    if by_loss:
        return max(0, -result_of(state, position))
    row = state.positions[position]
    return notional_at_mark(state, row.market, row.lots) if row.lots != 0 else 0


@kernel
def _sum_weights(state: State, account: int, by_loss: bool) -> int:
    total = 0
    position = state.accounts[account].first_position
    while position != NONE:
        total = add_checked(total, _weight(state, position, by_loss))
        position = state.positions[position].next_of_account
    return total


@kernel
def note_gaps(state: State, account: int, gap: int) -> None:
    """Note the gap (> 0) of an insolvent account, split over its positions by loss, or by notional
    where none lost.

    An account that has been in default for too long holds nothing back.
    """
    since_ns = state.accounts[account].default_since_ns
    if state.engine[0].now_ns - since_ns > state.rules[0].hold_withdrawals_max_ns:
        forget_gaps(state, account)
        return
    by_loss = True
    total = _sum_weights(state, account, by_loss)
    if total == 0:
        by_loss = False
        total = _sum_weights(state, account, by_loss)
    weights, given = 0, 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        part = 0
        if total != 0:
            weights += _weight(state, position, by_loss)
            part = mul_div_floor(gap, weights, total) - given
            given += part
        value = value_at_mark(state, row.market, row.lots) if row.lots != 0 else 0
        _keep(state, position, add_checked(part, value), row.lots)
        position = row.next_of_account


@kernel
def _gap_of(state: State, market: int) -> int:
    """Return what insolvent accounts lack in a market, at least 0. Atoms."""
    row = state.markets[market]
    if row.gap_atoms == 0 and row.gap_lots == 0:
        return 0
    return max(0, add_checked(row.gap_atoms, -value_at_mark(state, market, row.gap_lots)))


@inlined
def _clear_results(state: State) -> None:
    for market in range(state.rules[0].markets):
        state.columns[OWNER_RESULT, market] = 0


@kernel
def _add_results(state: State, account: int) -> None:
    """Add the results of an account by market to OWNER_RESULT."""
    results = state.columns[OWNER_RESULT]
    position = state.accounts[account].first_position
    while position != NONE:
        market = state.positions[position].market
        results[market] = add_checked(results[market], result_of(state, position))
        position = state.positions[position].next_of_account


@kernel
def _held(state: State) -> int:
    """Return what is held of the gains in OWNER_RESULT: in each group at most what its fund lacks."""
    held = 0
    for group in range(state.rules[0].groups):
        gaps, gains = 0, 0
        for market in range(state.rules[0].markets):
            if state.markets[market].group == group:
                gap = _gap_of(state, market)
                gaps = add_checked(gaps, gap)
                gains = add_checked(gains, min(gap, max(0, state.columns[OWNER_RESULT, market])))
        held = add_checked(held, min(gains, max(0, gaps - max(0, net_of_fund(state, group)))))
    return held


@kernel
def held_gains(state: State, owner: int) -> int:
    """Return what an owner may not withdraw of his gains: in each group at most what its fund
    lacks. Atoms.

    Costs one step per group and market, and one per position of the owner; nothing while nobody is
    insolvent.
    """
    if state.engine[0].insolvent_now == 0:
        return 0
    _clear_results(state)
    account = state.columns[OWNER_FIRST, owner]
    while account != NONE:
        _add_results(state, account)
        account = state.accounts[account].next_of_owner
    return _held(state)


@kernel
def held_gains_of(state: State, account: int) -> int:
    """Return what its owner may not move out of an account of its gains. Atoms."""
    if state.engine[0].insolvent_now == 0:
        return 0
    _clear_results(state)
    _add_results(state, account)
    return _held(state)
