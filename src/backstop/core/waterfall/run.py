"""The waterfall's order: rounds of accounts in default, and each account through its turns.

A round holds every account that needs one now, the most urgent first; once an event fills up, those
that lack most. Each takes the turns of ``state.stages`` until one answers WAIT or DONE. A joint turn
takes all accounts at once: whoever comes to it stops there, and it acts when no other account of the
event is on its way.
Rules: R5.5.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.assets import asset_of, has_one_asset
from backstop.core.columns import (
    PARKED,
    ROUND_ACCOUNT,
    ROUND_EQUITY,
    ROUND_MAINTENANCE,
    ROUND_MERGE,
    ROUND_ORDER,
    TOUCHED,
    TURN_ACCOUNT,
    TURN_OUTCOME,
)
from backstop.core.doubt import add_up_doubt, hold_back, is_kept
from backstop.core.events import NONE, Health
from backstop.core.margin import assess
from backstop.core.monitor import start_round, touch, update_health
from backstop.core.orders import cancel_orders_of, forget_unanswered
from backstop.core.outbox import is_crowded, is_filling
from backstop.core.sorting import merge_sort
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import compare_products
from backstop.core.waits import has_lots, wait_until
from backstop.core.waterfall.carry import carries_on, make_way
from backstop.core.waterfall.cover import cover_deficit, forget_parts
from backstop.core.waterfall.dispatch import act
from backstop.core.waterfall.disposal import note_disposal
from backstop.core.waterfall.joint_turn import has_room
from backstop.core.waterfall.netting import judge_netted, net_linked
from backstop.core.waterfall.restrict import note_restricted
from backstop.core.waterfall.socialise import socialise
from backstop.core.waterfall.standing import first_joint_turn, park, release_all_at, stands_at, withdraw
from backstop.core.waterfall.takeover import fail_offers

__all__ = ["end_wait", "run_rounds"]


@inlined
def _asset_at(state: State, place: int) -> int:
    """Return the asset of the account at a place of the round."""
    return asset_of(state, state.columns[ROUND_ACCOUNT, place])


@kernel
def _is_before(state: State, left: int, right: int) -> bool:
    """Return whether one place of the round comes before another: lower E / M (M = 0 first), lower asset,
    larger M, lower id.
    """
    equity, maintenance = state.columns[ROUND_EQUITY], state.columns[ROUND_MAINTENANCE]
    if (maintenance[left] == 0) != (maintenance[right] == 0):
        return maintenance[left] == 0
    if maintenance[left] != 0:
        order = compare_products(equity[left], maintenance[right], equity[right], maintenance[left])
        if order != 0:
            return order < 0
    mine, others = _asset_at(state, left), _asset_at(state, right)
    if mine != others:
        return mine < others
    if maintenance[left] != 0:
        if maintenance[left] != maintenance[right]:
            return maintenance[left] > maintenance[right]
    return state.columns[ROUND_ACCOUNT, left] < state.columns[ROUND_ACCOUNT, right]


@kernel
def _lacks_more(state: State, left: int, right: int) -> bool:
    """Return whether one place of the round comes before another in an event that fills up: lower asset,
    lower E, larger M, lower id.
    """
    mine, others = _asset_at(state, left), _asset_at(state, right)
    if mine != others:
        return mine < others
    equity, maintenance = state.columns[ROUND_EQUITY], state.columns[ROUND_MAINTENANCE]
    if equity[left] != equity[right]:
        return equity[left] < equity[right]
    if maintenance[left] != maintenance[right]:
        return maintenance[left] > maintenance[right]
    return state.columns[ROUND_ACCOUNT, left] < state.columns[ROUND_ACCOUNT, right]


@kernel
def _is_earlier_in_asset(state: State, left: int, right: int) -> bool:
    """Return whether one place of the round comes before another by place in their assets' own orders."""
    places = state.columns[ROUND_EQUITY]
    if places[left] != places[right]:
        return places[left] < places[right]
    return _asset_at(state, left) < _asset_at(state, right)


@kernel
def _mix_assets(state: State, count: int) -> None:
    """Let one of each asset come in turn: the round is in order of asset now. What accounts lack in one
    asset says nothing of what they lack in another.
    """
    order, asset, first = state.columns[ROUND_ORDER], NONE, 0
    for place in range(count):
        if _asset_at(state, order[place]) != asset:
            asset, first = _asset_at(state, order[place]), place
        # The equity has done its part.
        state.columns[ROUND_EQUITY, order[place]] = place - first
    merge_sort(_is_earlier_in_asset, state, order, state.columns[ROUND_MERGE], count)


@kernel
def _sort_round(state: State, first: int, count: int, is_by_lack: bool) -> None:
    """Sort the ``count`` accounts entered into TURN_ACCOUNT, from the place ``first`` on; by what they
    lack where the event fills up.
    """
    order = state.columns[ROUND_ORDER]
    if is_by_lack:
        merge_sort(_lacks_more, state, order, state.columns[ROUND_MERGE], count)
        if not has_one_asset(state):
            _mix_assets(state, count)
    else:
        merge_sort(_is_before, state, order, state.columns[ROUND_MERGE], count)
    for place in range(count):
        state.columns[TURN_ACCOUNT, first + place] = state.columns[ROUND_ACCOUNT, order[place]]


@kernel
def _enter(state: State, account: int, count: int) -> None:
    """Give an account place ``count`` of a round, with the numbers by which a round is sorted."""
    equity, maintenance = assess(state, account)
    state.columns[ROUND_ACCOUNT, count] = account
    state.columns[ROUND_EQUITY, count] = equity
    state.columns[ROUND_MAINTENANCE, count] = maintenance


@kernel
def _open_round(state: State) -> int:
    """Turn the accounts gathered into the running round and begin to gather the next; return how
    many run.
    """
    engine = state.engine[0]
    count = 0
    for place in range(engine.touched_now):
        account = state.columns[TOUCHED, place]
        head = state.accounts[account]
        if head.health >= Health.DISTRESSED and head.orders_open == 0:
            _enter(state, account, count)
            count += 1
    start_round(state)
    _sort_round(state, 0, count, is_filling(state))
    return count


@kernel
def _sort_rest(state: State, first: int, count: int) -> None:
    """Sort those of the running round that had no turn yet, as things stand now."""
    for place in range(first, count):
        _enter(state, state.columns[TURN_ACCOUNT, place], place - first)
    _sort_round(state, first, count - first, True)


@kernel
def _needs_turn(state: State, account: int, turn: int) -> bool:
    """Judge an account that is about to take a turn; return whether it does.

    It does where it is in default, has lots, and has no open order. In a crowded event it waits for
    one interval of the turn instead; where it is kept by doubt, for that to end. An insolvent account
    is netted first. One without lots is covered, and needs no turn.
    """
    update_health(state, account)
    head = state.accounts[account]
    if head.health < Health.DISTRESSED or head.orders_open != 0:
        return False
    if is_crowded(state):
        wait_until(state, account, state.engine[0].now_ns + state.stages[turn].interval_ns)
        return False
    add_up_doubt(state, account)
    if is_kept(state, account):
        if state.rules[0].has_restrict != 0:
            note_restricted(state, account)
        hold_back(state, account, state.stages[turn].interval_ns)
        return False
    if head.health == Health.INSOLVENT:
        net_linked(state, account)
        update_health(state, account)
        if head.health < Health.DISTRESSED:
            return False
    if not has_lots(state, account):
        cover_deficit(state, account)
        return False
    return True


@kernel
def _is_for(state: State, turn: int, account: int) -> bool:
    """Return whether a turn is for accounts of this health."""
    row = state.stages[turn]
    return row.from_health <= state.accounts[account].health <= row.until_health


@kernel
def _take_turns(state: State, place: int, first_turn: int) -> None:
    """Take the account at a place of the round through its turns, until it waits, is done or
    parks.
    """
    account, last_turn = state.columns[TURN_ACCOUNT, place], len(state.stages) - 1
    if stands_at(state, account, state.rules[0].socialise_turn):
        # Its funds have paid; it waits for those who won.
        return
    withdraw(state, account)
    # Who goes on from the last turn has none left; it waits for what was passed over.
    if not _needs_turn(state, account, min(first_turn, last_turn)):
        return
    if first_turn == 0 and state.accounts[account].health == Health.INSOLVENT:
        make_way(state, account)
    for turn in range(first_turn, len(state.stages)):
        if _is_for(state, turn, account):
            if state.stages[turn].is_last_resort != 0 and carries_on(state, turn, account):
                return
            if state.stages[turn].is_joint != 0:
                park(state, account, turn)
                return
            act(state, turn, place, 1)
            if state.columns[TURN_OUTCOME, place] != Outcome.NEXT:
                return
    hold_back(state, account, state.stages[min(first_turn, last_turn)].interval_ns)


@kernel
def _run_round(state: State) -> None:
    is_by_lack = is_filling(state)
    count = _open_round(state)
    for place in range(count):
        if not is_by_lack and is_filling(state):
            is_by_lack = True
            _sort_rest(state, place, count)
        _take_turns(state, place, 0)


@kernel
def _bring_up_to_date(state: State, turn: int) -> None:
    """Judge the accounts at a joint turn: what happened since may have ended their default.

    One whose health the turn is not for any more starts again from the first turn. What others freed
    may carry a solvent one now.
    """
    for place in range(state.engine[0].parked_now):
        account = state.columns[PARKED, place]
        if stands_at(state, account, turn):
            if not _needs_turn(state, account, turn):
                withdraw(state, account)
            elif not _is_for(state, turn, account):
                withdraw(state, account)
                touch(state, account)
            elif state.stages[turn].is_last_resort != 0 and carries_on(state, turn, account):
                withdraw(state, account)


@kernel
def _still_lacks(state: State, account: int, turn: int) -> bool:
    """Judge and net an account that stands at socialise; return whether it still lacks.

    In a crowded event it waits for one interval instead.
    """
    update_health(state, account)
    if state.accounts[account].health < Health.DISTRESSED:
        return False
    if is_crowded(state):
        wait_until(state, account, state.engine[0].now_ns + state.stages[turn].interval_ns)
        return False
    judge_netted(state, account)
    return state.accounts[account].health >= Health.DISTRESSED


@kernel
def _bring_lacking_up_to_date(state: State, turn: int) -> None:
    """Judge the accounts that stand at socialise: others of their owner may have made them whole."""
    for place in range(state.engine[0].parked_now):
        account = state.columns[PARKED, place]
        if stands_at(state, account, turn) and not _still_lacks(state, account, turn):
            withdraw(state, account)
            forget_parts(state, account)


@kernel
def _gather_joint(state: State, turn: int) -> int:
    """Make the accounts at a joint turn the running round; return how many there are.

    Where the event has no room for all of them, those that lack most come first.
    """
    count = release_all_at(state, turn, ROUND_ACCOUNT)
    for place in range(count):
        _enter(state, state.columns[ROUND_ACCOUNT, place], place)
    _sort_round(state, 0, count, is_filling(state) or not has_room(state, count))
    return count


@kernel
def _run_joint(state: State, turn: int) -> None:
    """Let a joint turn act on all accounts that stand at it; those that it answers NEXT go on."""
    is_socialise = turn == state.rules[0].socialise_turn
    if is_socialise:
        _bring_lacking_up_to_date(state, turn)
    else:
        _bring_up_to_date(state, turn)
    if state.engine[0].touched_now > 0:
        # Whom this touched takes its turns first, and may come here too.
        return
    count = _gather_joint(state, turn)
    if is_socialise:
        socialise(state, turn, 0, count)
        return
    if count == 0 or act(state, turn, 0, count) == 0:
        return
    for place in range(count):
        if state.columns[TURN_OUTCOME, place] == Outcome.NEXT:
            _take_turns(state, place, turn + 1)


@unit
def end_wait(state: State, account: int) -> None:
    """End an account's wait: nobody answered its orders and offers; it has a place in the next
    round, and a provider may sell after the last one.
    """
    fail_offers(state, account)
    forget_unanswered(state, account)
    cancel_orders_of(state, account)
    note_disposal(state, account)
    touch(state, account)


@unit
def run_rounds(state: State) -> None:
    """Process the accounts gathered, and those that this touches, until none is left
    (R5.5).
    """
    while True:
        if state.engine[0].touched_now > 0:
            _run_round(state)
            continue
        turn = first_joint_turn(state)
        if turn == NONE:
            return
        _run_joint(state, turn)
