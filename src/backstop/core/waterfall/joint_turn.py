"""A joint turn: the accounts that a stage takes together, and their defaulters market by market.

Shared by ``adl`` and ``tear_up``; ``socialise`` takes its accounts here, too. Rules: R6.6.1.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import (
    JOINT_ACCOUNT,
    JOINT_CURSOR,
    JOINT_IS_JUDGED,
    JOINT_PLACE,
    ROUND_ACCOUNT,
    SORT_KEY,
    SORT_MERGE,
    SORT_ORDER,
    TURN_ACCOUNT,
    TURN_OUTCOME,
)
from backstop.core.doubt import may_force, waits_for_halt
from backstop.core.events import NONE, Health
from backstop.core.margin import assess
from backstop.core.monitor import update_health
from backstop.core.outbox import effects_left, is_crowded
from backstop.core.sorting import sort_places
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.waits import wait_until
from backstop.core.waterfall.carry import give_way
from backstop.core.waterfall.cover import outcome_after_moving
from backstop.core.waterfall.defaulters import enter_defaulter
from backstop.core.waterfall.leaving import forget_order
from backstop.core.waterfall.netting import judge_netted
from backstop.core.waterfall.support import gap_atoms, waits_for_reservation
from backstop.core.waterfall.turns import answer

__all__ = ["answer_all", "gather_defaulters", "has_room", "judge_all", "let_wait", "next_market", "position_at", "take_accounts"]

#: Effects that closing one position may bring, those of its counterparties apart.
_EFFECTS_A_POSITION = 16


@kernel
def _count_positions(state: State, account: int) -> int:
    """Return how many positions with lots an account has, or in how many markets it lacks."""
    count = 0
    position = state.accounts[account].first_position
    while position != NONE:
        if state.positions[position].lots != 0 or state.left_parts[position] > 0:
            count += 1
        position = state.positions[position].next_of_account
    return count


@kernel
def has_room(state: State, count: int) -> bool:
    """Return whether the event's effects have room for all accounts entered into ROUND_ACCOUNT."""
    positions = 0
    for place in range(count):
        positions += _count_positions(state, state.columns[ROUND_ACCOUNT, place])
    return _EFFECTS_A_POSITION * positions <= effects_left(state) // 2


@kernel
def _wait(state: State, turn: int, place: int) -> None:
    """Let the account at a place of the turn wait one interval: the event has no room for it."""
    wait_until(state, state.columns[TURN_ACCOUNT, place], state.engine[0].now_ns + state.stages[turn].interval_ns)
    state.columns[TURN_OUTCOME, place] = Outcome.WAIT


@kernel
def take_accounts(state: State, turn: int, first: int, count: int) -> int:
    """Take the accounts of the turn for which the event's effects have room, in order of their turns;
    the others wait. Fills JOINT_ACCOUNT, by id; returns how many there are.
    """
    room = effects_left(state) // 2
    taken, positions = 0, 0
    for place in range(first, first + count):
        account = state.columns[TURN_ACCOUNT, place]
        positions += _count_positions(state, account)
        if place > first and _EFFECTS_A_POSITION * positions > room:
            _wait(state, turn, place)
            continue
        state.columns[TURN_OUTCOME, place] = Outcome.NEXT
        state.columns[SORT_KEY, taken] = account
        taken += 1
    order = state.columns[SORT_ORDER]
    sort_places(state.columns[SORT_KEY], order, state.columns[SORT_MERGE], taken)
    for place in range(taken):
        account = state.columns[SORT_KEY, order[place]]
        state.columns[JOINT_ACCOUNT, place] = account
        state.columns[JOINT_PLACE, place] = first + order[place]
        state.columns[JOINT_CURSOR, place] = state.accounts[account].first_position
        state.columns[JOINT_IS_JUDGED, place] = 0
        forget_order(state, account)
    return taken


@inlined
def _is_at_hand(state: State, position: int, lacks: bool) -> bool:
    return state.left_parts[position] > 0 if lacks else state.positions[position].lots != 0


@kernel
def next_market(state: State, count: int, market: int, lacks: bool) -> int:
    """Return the first market from ``market`` on in which those taken have a position with lots, or
    (``lacks``) lack something, or NONE.
    """
    found = NONE
    for place in range(count):
        position = state.columns[JOINT_CURSOR, place]
        while position != NONE and (state.positions[position].market < market or not _is_at_hand(state, position, lacks)):
            position = state.positions[position].next_of_account
        state.columns[JOINT_CURSOR, place] = position
        if position != NONE and (found == NONE or state.positions[position].market < found):
            found = state.positions[position].market
    return found


@kernel
def position_at(state: State, place: int, market: int) -> int:
    """Return the position with lots that one of those taken has in the market at hand, or NONE: it
    has none, or waits, or is passed over for a doubt, an old mark or a halt.
    """
    position = state.columns[JOINT_CURSOR, place]
    if position == NONE or state.positions[position].market != market or state.positions[position].lots == 0:
        return NONE
    if state.columns[TURN_OUTCOME, state.columns[JOINT_PLACE, place]] != Outcome.NEXT:
        return NONE
    account = state.columns[JOINT_ACCOUNT, place]
    return position if may_force(state, account, market) and not waits_for_halt(state, account, market) else NONE


@inlined
def _stands(state: State, place: int) -> bool:
    """Return whether one of those taken is solvent, and was judged in this turn with nothing of it moved
    since: to judge it again would change nothing.

    What others do to it meanwhile, by netting, ADL or tear-up, judges it on the spot.
    """
    health = state.accounts[state.columns[JOINT_ACCOUNT, place]].health
    return state.columns[JOINT_IS_JUDGED, place] != 0 and health < Health.INSOLVENT


@kernel
def judge_all(state: State, turn: int, market: int, count: int) -> None:
    """Judge those in a market, linked owners netted; those for whom the event has no room are judged
    alone, and wait.
    """
    for place in range(count):
        if position_at(state, place, market) != NONE:
            account = state.columns[JOINT_ACCOUNT, place]
            if not is_crowded(state):
                if not _stands(state, place):
                    judge_netted(state, account)
                    state.columns[JOINT_IS_JUDGED, place] = 1
                continue
            # What it closed in an earlier market changed it: its triggers are placed anew.
            update_health(state, account)
            if state.accounts[account].health >= Health.DISTRESSED:
                _wait(state, turn, state.columns[JOINT_PLACE, place])


@kernel
def _gap_of(state: State, place: int, market: int) -> int:
    """Return what one of those taken lacks to the zero cash of all its lots in a market; 0 for who is
    solvent or has none.
    """
    position = position_at(state, place, market)
    if position == NONE:
        return 0
    equity, maintenance = assess(state, state.columns[JOINT_ACCOUNT, place])
    return gap_atoms(state, position, abs(state.positions[position].lots), equity, maintenance)


@kernel
def let_wait(state: State, turn: int, market: int, count: int, is_asked: bool) -> None:
    """Let insolvent accounts in a market wait for money that is only reserved, once those who are
    carried have given way to all of them; nobody where the fund is not asked.
    """
    group, whole = state.markets[market].group, 0
    for place in range(count):
        whole = add_checked(whole, _gap_of(state, place, market))
    if whole == 0 or not is_asked:
        return
    for place in range(count):
        if _gap_of(state, place, market) > 0:
            give_way(state, state.columns[JOINT_ACCOUNT, place], market, group, whole)
            if waits_for_reservation(state, turn, position_at(state, place, market), whole):
                state.columns[TURN_OUTCOME, state.columns[JOINT_PLACE, place]] = Outcome.WAIT


@kernel
def gather_defaulters(state: State, market: int, sign: int, count: int, first: int) -> int:
    """Enter the defaulters of one side of a market (``sign`` 0: of both), by id, from a place on;
    return how many there are.
    """
    found = 0
    for place in range(count):
        position = position_at(state, place, market)
        if position != NONE and (sign == 0 or state.positions[position].lots * sign > 0):
            account = state.columns[JOINT_ACCOUNT, place]
            if not _stands(state, place):
                update_health(state, account)
            if state.accounts[account].health >= Health.DISTRESSED and enter_defaulter(state, first + found, position):
                state.columns[JOINT_IS_JUDGED, place] = 0
                found += 1
    return found


@kernel
def answer_all(state: State, turn: int, first: int, count: int) -> int:
    """Judge those of the turn that do not wait, in order of their turns, and answer for each; return
    how many go on.
    """
    going = 0
    for place in range(first, first + count):
        if state.columns[TURN_OUTCOME, place] == Outcome.NEXT:
            going += answer(state, place, outcome_after_moving(state, turn, state.columns[TURN_ACCOUNT, place]))
    return going
