"""Who pays the deficit of an account without lots: each market group its own part, by its fund. What
that leaves stands at socialise, for those who won; the rest is uncovered.

Rules: R6.10.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.assets import first_group
from backstop.core.columns import (
    GROUP_LEFT,
    GROUP_SHARE,
    GROUP_WEIGHT,
    OWNER_CARRIED,
    OWNER_RESERVED,
    PART_ATOMS,
    PART_GROUP,
    PART_MARKET,
    PART_POSITION,
    PART_SHARE,
    PART_WEIGHT,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.doubt import wait_for_halt
from backstop.core.events import NONE, Cause, Health
from backstop.core.fill_debts import take_from_winners
from backstop.core.monitor import update_health
from backstop.core.results import result_of
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import add_checked, split_by_largest_remainder
from backstop.core.waits import has_lots
from backstop.core.waterfall.arrears import book_uncovered
from backstop.core.waterfall.carry import give_way
from backstop.core.waterfall.fund import available_atoms, available_in_fund, available_to_market, available_to_owner, pay
from backstop.core.waterfall.netting import judge_netted
from backstop.core.waterfall.standing import park
from backstop.core.waterfall.support import tell_support
from backstop.core.waterfall.turns import wait_interval

__all__ = ["book_rest", "cover_deficit", "forget_parts", "outcome_after_closing", "outcome_after_moving", "renew_parts"]


@kernel
def _weight_of(state: State, position: int, by_result: bool) -> int:
    """Return what a position weighs in the split of a deficit: its loss, or 1 where the default
    closed lots of it.
    """
    if by_result:
        return max(0, -result_of(state, position))
    return state.positions[position].closed_in_default


@kernel
def _weigh_groups(state: State, account: int, by_result: bool) -> bool:
    """Give each group its weight in the split of a deficit; return whether any has one.

    By result, gains of a group count against its losses.
    """
    weights = state.columns[GROUP_WEIGHT]
    groups = state.rules[0].groups
    for group in range(groups):
        weights[group] = 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        group = state.markets[row.market].group
        if by_result:
            weights[group] = add_checked(weights[group], -result_of(state, position))
        elif row.closed_in_default != 0:
            weights[group] = 1
        position = row.next_of_account
    found = False
    for group in range(groups):
        weights[group] = max(0, weights[group])
        found |= weights[group] > 0
    return found


@kernel
def _append_part(state: State, count: int, group: int, market: int, position: int, amount: int) -> int:
    """Append a part of a deficit, if it is one; return how many there are then."""
    if amount == 0:
        return count
    state.columns[PART_POSITION, count] = position
    state.columns[PART_GROUP, count] = group
    state.columns[PART_MARKET, count] = market
    state.columns[PART_ATOMS, count] = amount
    return count + 1


@kernel
def _split_in_group(state: State, account: int, group: int, by_result: bool, count: int) -> int:
    """Append the parts of a group's share by market; return how many there are then."""
    weights, shares = state.columns[PART_WEIGHT], state.columns[PART_SHARE]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    within = 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if state.markets[row.market].group == group:
            weights[within] = _weight_of(state, position, by_result)
            within += 1
        position = row.next_of_account
    split_by_largest_remainder(state.columns[GROUP_SHARE, group], weights, shares, remainders, heap, within)
    within = 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if state.markets[row.market].group == group:
            count = _append_part(state, count, group, row.market, position, shares[within])
            within += 1
        position = row.next_of_account
    return count


@kernel
def _split_deficit(state: State, account: int, deficit: int) -> int:
    """Split a deficit into parts, in order of group and market; return how many there are.

    By result; where no group lost, by what the default closed; else all in the market of the last
    charge, or in the first group of its asset.
    """
    by_result = _weigh_groups(state, account, True)
    if not by_result and not _weigh_groups(state, account, False):
        market = state.charge_markets[account]
        return _append_part(state, 0, first_group(state, account) if market == NONE else state.markets[market].group, market, NONE, deficit)
    groups = state.rules[0].groups
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    split_by_largest_remainder(deficit, state.columns[GROUP_WEIGHT], state.columns[GROUP_SHARE], remainders, heap, groups)
    count = 0
    for group in range(groups):
        if state.columns[GROUP_SHARE, group] > 0:
            count = _split_in_group(state, account, group, by_result, count)
    return count


@kernel
def _waits_for_funds(state: State, account: int, parts: int) -> bool:
    """Return whether the account now waits: the funds cannot pay all, but some is only reserved."""
    groups, markets, amounts = state.columns[PART_GROUP], state.columns[PART_MARKET], state.columns[PART_ATOMS]
    for_owner = available_to_owner(state, account)
    owner = state.accounts[account].owner
    is_reserved = state.columns[OWNER_RESERVED, owner] > state.columns[OWNER_CARRIED, owner]
    lacks, in_fund = 0, 0
    for place in range(parts):
        group = groups[place]
        if place == 0 or groups[place - 1] != group:
            in_fund = available_in_fund(state, group)
        paid = min(amounts[place], in_fund, available_to_market(state, markets[place]), for_owner)
        in_fund -= paid
        for_owner -= paid
        lacks += amounts[place] - paid
        is_reserved |= state.funds[group].reserved > state.funds[group].carried
    return lacks > 0 and is_reserved and wait_interval(state, state.rules[0].fund_turn, account)


@kernel
def _let_funds_pay(state: State, account: int, parts: int) -> None:
    """Let each group's fund pay its parts of a deficit; PART_ATOMS is then what it left of each."""
    for place in range(parts):
        group, market = state.columns[PART_GROUP, place], state.columns[PART_MARKET, place]
        part, available = state.columns[PART_ATOMS, place], available_atoms(state, account, group, market)
        if available < part:
            tell_support(state, account, group, market, part, available, Cause.DEFICIT, True)
        state.columns[PART_ATOMS, place] -= pay(state, account, group, min(part, available), Cause.DEFICIT, market)


@kernel
def _stands_at_socialise(state: State, account: int, parts: int) -> bool:
    """Let an account stand at socialise with what its funds left of its parts, where somebody may have
    won that; return whether it does.
    """
    turn, found = state.rules[0].socialise_turn, False
    if turn == NONE:
        return False
    for place in range(parts):
        position, left = state.columns[PART_POSITION, place], state.columns[PART_ATOMS, place]
        if position != NONE and left > 0:
            state.left_parts[position] = left
            found = True
    if found:
        park(state, account, turn)
    return found


@unit
def cover_deficit(state: State, account: int) -> int:
    """Let the funds make an account without lots whole, each its own part; what they leave stands at
    socialise, or is booked where nobody pays it (keeps INV-07).

    Returns DONE, or WAIT where a fund may pay more once what it has reserved is free.
    """
    judge_netted(state, account)
    deficit = -state.accounts[account].balance
    if deficit <= 0:
        return Outcome.DONE
    rules, left = state.rules[0], state.columns[GROUP_LEFT]
    parts = _split_deficit(state, account, deficit)
    for place in range(parts):
        give_way(state, account, state.columns[PART_MARKET, place], state.columns[PART_GROUP, place], deficit)
    if rules.fund_turn != NONE:
        if _waits_for_funds(state, account, parts):
            return Outcome.WAIT
        _let_funds_pay(state, account, parts)
    if _stands_at_socialise(state, account, parts):
        return Outcome.DONE
    for group in range(rules.groups):
        left[group] = 0
    for place in range(parts):
        left[state.columns[PART_GROUP, place]] += state.columns[PART_ATOMS, place]
    for group in range(rules.groups):
        book_uncovered(state, account, left[group], group)
    update_health(state, account)
    return Outcome.DONE


@kernel
def forget_parts(state: State, account: int) -> None:
    """Forget what an account stood at socialise with."""
    position = state.accounts[account].first_position
    while position != NONE:
        state.left_parts[position] = 0
        position = state.positions[position].next_of_account


@kernel
def renew_parts(state: State, account: int) -> None:
    """Split what an account that stands at socialise lacks now, by what its funds left of its parts."""
    weights, shares = state.columns[PART_WEIGHT], state.columns[PART_SHARE]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    count = 0
    position = state.accounts[account].first_position
    while position != NONE:
        weights[count] = state.left_parts[position]
        count += 1
        position = state.positions[position].next_of_account
    split_by_largest_remainder(-state.accounts[account].balance, weights, shares, remainders, heap, count)
    count = 0
    position = state.accounts[account].first_position
    while position != NONE:
        state.left_parts[position] = shares[count]
        count += 1
        position = state.positions[position].next_of_account


@kernel
def book_rest(state: State, account: int) -> None:
    """Book what nobody paid of the parts of an account that stood at socialise, each group its own."""
    left = state.columns[GROUP_LEFT]
    for group in range(state.rules[0].groups):
        left[group] = 0
    position = state.accounts[account].first_position
    while position != NONE:
        left[state.markets[state.positions[position].market].group] += state.left_parts[position]
        position = state.positions[position].next_of_account
    forget_parts(state, account)
    for group in range(state.rules[0].groups):
        book_uncovered(state, account, left[group], group)
    update_health(state, account)


@kernel
def outcome_after_closing(state: State, account: int) -> int:
    """Judge an account whose lots a stage closed; return what the stage answers for it.

    DONE where it is out of default. Where it has no lots left, its deficit is covered. Else NEXT.
    """
    if not has_lots(state, account):
        # Who owes it for a fill may have been closed against it.
        take_from_winners(state, account)
    update_health(state, account)
    if state.accounts[account].health < Health.DISTRESSED:
        return Outcome.DONE
    if has_lots(state, account):
        return Outcome.NEXT
    return cover_deficit(state, account)


@kernel
def outcome_after_moving(state: State, turn: int, account: int) -> int:
    """Judge an account whose lots a stage moved to others; return what the stage answers for it.

    As ``outcome_after_closing``, but it waits where the stage passed over lots in a halted market.
    """
    outcome = outcome_after_closing(state, account)
    if outcome == Outcome.NEXT and wait_for_halt(state, account, state.stages[turn].interval_ns):
        return Outcome.WAIT
    return outcome
