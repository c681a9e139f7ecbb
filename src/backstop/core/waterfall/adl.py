"""Auto-deleveraging: lots that the book and the fund cannot take close against the opposite side.

All accounts that stand at its turn are taken together, market by market: defaulters of both sides
are crossed at mark first, then each side closes in one plan (``adl_plan``). Policies differ in whom
they weigh how (``ranking``), not in classes or caps. Rules: R6.6.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.columns import JOINT_ACCOUNT
from backstop.core.events import NONE, Health
from backstop.core.state import State
from backstop.core.waterfall.adl_plan import cross_defaulters, make_plan
from backstop.core.waterfall.joint_turn import (
    answer_all,
    gather_defaulters,
    judge_all,
    let_wait,
    next_market,
    position_at,
    take_accounts,
)
from backstop.core.waterfall.netting import judge_netted

__all__ = ["deleverage"]


@kernel
def _has_side(state: State, market: int, sign: int, count: int) -> bool:
    """Return whether one of those taken is in default with lots on one side of a market."""
    for place in range(count):
        position = position_at(state, place, market)
        is_there = position != NONE and state.positions[position].lots * sign > 0
        if is_there and state.accounts[state.columns[JOINT_ACCOUNT, place]].health >= Health.DISTRESSED:
            return True
    return False


@kernel
def _cross(state: State, policy: int, market: int, count: int) -> None:
    """Cross the defaulters of both sides, where there are some; what then is left is judged again."""
    if not _has_side(state, market, 1, count) or not _has_side(state, market, -1, count):
        return
    longs = gather_defaulters(state, market, 1, count, 0)
    shorts = gather_defaulters(state, market, -1, count, longs)
    cross_defaulters(state, policy, market, longs, shorts)
    for place in range(count):
        if position_at(state, place, market) != NONE:
            judge_netted(state, state.columns[JOINT_ACCOUNT, place])


@kernel
def _close_market(state: State, policy: int, market: int, count: int) -> None:
    """Cross defaulters of both sides, then close what is left of each side in one plan."""
    _cross(state, policy, market, count)
    for sign in (1, -1):
        found = gather_defaulters(state, market, sign, count, 0)
        if found > 0:
            make_plan(state, policy, market, sign, found)


@unit
def deleverage(state: State, turn: int, first: int, count: int) -> int:
    """Run ADL over the accounts of the turn, by the turn's policy. Answers as ``turns`` says."""
    taken, policy = take_accounts(state, turn, first, count), state.stages[turn].policy
    market = next_market(state, taken, 0, False)
    while market != NONE:
        judge_all(state, turn, market, taken)
        let_wait(state, turn, market, taken, state.rules[0].fund_supports != 0)
        _close_market(state, policy, market, taken)
        market = next_market(state, taken, market + 1, False)
    return answer_all(state, turn, first, count)
