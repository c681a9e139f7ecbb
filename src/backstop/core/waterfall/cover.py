"""Who pays the deficit of an account without lots: the fund, then others; the rest is uncovered."""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.columns import OWNER_RESERVED
from backstop.core.events import NONE, Cause, Health
from backstop.core.monitor import update_health
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.waterfall.fund import available_atoms, available_in_fund, available_to_owner, book_uncovered, pay
from backstop.core.waterfall.socialise import socialise
from backstop.core.waterfall.turns import has_lots, wait_interval

__all__ = ["cover_deficit", "outcome_after_closing"]


@kernel
def _groups_closed(state: State, account: int) -> int:
    """Return the market groups closed in this default, as a sum of 2^group.

    Where there is none, those that the account ever traded; where there is none, group 0.
    """
    closed, traded = 0, 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        group = 1 << state.markets[row.market].group
        traded |= group
        if row.closed_in_default != 0:
            closed |= group
        position = row.next_of_account
    if closed == 0:
        closed = traded
    return max(closed, 1)


@kernel
def _waits_for_funds(state: State, account: int, groups: int, deficit: int) -> bool:
    """Return whether the account now waits: the funds cannot pay all, but some is only reserved."""
    left, for_owner = deficit, available_to_owner(state, account)
    is_reserved = state.columns[OWNER_RESERVED, state.accounts[account].owner] > 0
    for group in range(state.rules[0].groups):
        if groups & (1 << group) != 0:
            paid = min(left, available_in_fund(state, group), for_owner)
            left -= paid
            for_owner -= paid
            is_reserved |= state.funds[group].reserved > 0
    return left > 0 and is_reserved and wait_interval(state, state.rules[0].fund_turn, account)


@unit
def cover_deficit(state: State, account: int) -> int:
    """Make an account without lots whole, or book what nobody pays (keeps INV-07).

    Returns DONE, or WAIT where the fund may pay more once what it has reserved is free.
    """
    update_health(state, account)
    deficit = -state.accounts[account].balance
    if deficit <= 0:
        return Outcome.DONE
    if state.rules[0].fund_turn != NONE:
        groups = _groups_closed(state, account)
        if _waits_for_funds(state, account, groups, deficit):
            return Outcome.WAIT
        for group in range(state.rules[0].groups):
            if groups & (1 << group) != 0:
                paid = min(deficit, available_atoms(state, account, group))
                pay(state, account, group, paid, Cause.DEFICIT, NONE)
                deficit -= paid
    deficit -= socialise(state, account, deficit)
    book_uncovered(state, account, deficit)
    update_health(state, account)
    return Outcome.DONE


@kernel
def outcome_after_closing(state: State, account: int) -> int:
    """Judge an account whose lots a stage closed; return what the stage answers for it.

    DONE where it is out of default. Where it has no lots left, its deficit is covered. Else NEXT.
    """
    update_health(state, account)
    if state.accounts[account].health < Health.DISTRESSED:
        return Outcome.DONE
    if has_lots(state, account):
        return Outcome.NEXT
    return cover_deficit(state, account)
