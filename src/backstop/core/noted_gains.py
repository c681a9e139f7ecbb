"""Gains that leave at one rate while something of their group is uncovered.

At the end of an event that leaves something uncovered in a group, the gains of its owners are noted:
``noted`` by owner, and their sum. What the hole of the group grew by is split over them; of what it was
before everybody owes what he owed. Both are kept in parts of the hole: ``owed`` by owner, and
``owed_sum``. Gains that leave take their parts with them, so that whoever leaves first gets no better
rate. Where the sum of gains is 0 nothing is noted, whatever the rows of the owners say.
Rules: R6.11.6 to R6.11.10.
"""

from __future__ import annotations

import numpy as np

from backstop.compiled import inlined, kernel, unit
from backstop.core.columns import OWNER_FIRST, OWNER_GROUP_RESULT, OWNER_NOTED_NEXT
from backstop.core.events import NONE
from backstop.core.ledger import balance_of
from backstop.core.margin import assess
from backstop.core.places import uncovered_id
from backstop.core.results import present_epoch, result_of
from backstop.core.rows import GONE, GONE_EPOCH, NOTED, OWED
from backstop.core.shortfalls import hole_of
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_ceil, mul_div_floor

__all__ = [
    "add_own",
    "forget_noted",
    "gain_share",
    "gains_there",
    "let_gains_go",
    "note_gains",
    "noted_of",
    "relist_noted",
    "sum_noted",
    "take_own",
]

#: Stands for an owner whose gain is in the sum already: no sum of results is so low.
_COUNTED = -(1 << 63)
#: The parts that a hole has when gains are noted.
_PARTS = 1 << 60


@inlined
def _noted_row(group: int, which: int) -> int:
    """Return the row of ``State.noted`` that a group has for one of its four numbers."""
    return 4 * group + which


@inlined
def noted_of(state: State, group: int, owner: int) -> int:
    """Return the noted gain of an owner. Atoms."""
    return state.noted[_noted_row(group, NOTED), owner] if state.funds[group].noted_gains > 0 else 0


@inlined
def _gone_of(state: State, group: int, owner: int) -> int:
    """Return what of an owner's gains left in the present epoch. Atoms."""
    is_present = state.noted[_noted_row(group, GONE_EPOCH), owner] == present_epoch(state)
    return state.noted[_noted_row(group, GONE), owner] if is_present else 0


@kernel
def sum_noted(state: State, owner: int) -> int:
    """Return the noted gains of an owner in all groups. Atoms."""
    total = 0
    if state.engine[0].uncovered > 0:
        for group in range(state.rules[0].groups):
            total = add_checked(total, noted_of(state, group, owner))
    return total


@kernel
def gain_share(state: State, group: int, owner: int) -> int:
    """Return what an owner has to lend of a group's hole if all of his noted gain leaves. Atoms."""
    noted, owed_sum = noted_of(state, group, owner), state.funds[group].owed_sum
    if noted == 0 or owed_sum == 0:
        return 0
    return min(noted, mul_div_ceil(state.noted[_noted_row(group, OWED), owner], hole_of(state, group), owed_sum))


@kernel
def forget_noted(state: State, group: int) -> None:
    """Note no gains of a group in which nothing is uncovered any more."""
    if balance_of(state, uncovered_id(group)) == 0:
        state.funds[group].noted_gains = state.funds[group].owed_sum = 0


@kernel
def let_gains_go(state: State, group: int, owner: int, amount: int) -> None:
    """Note that ``amount`` (> 0) of an owner's noted gain left, what he lent for it among it; what he owes
    falls in proportion.
    """
    owed, noted = state.noted[_noted_row(group, OWED), owner], noted_of(state, group, owner)
    state.noted[_noted_row(group, OWED), owner] = mul_div_floor(owed, noted - amount, noted)
    state.funds[group].owed_sum -= mul_div_floor(owed, amount, noted)
    gone = add_checked(_gone_of(state, group, owner), amount)
    state.noted[_noted_row(group, GONE), owner] = gone
    state.noted[_noted_row(group, GONE_EPOCH), owner] = present_epoch(state)
    state.noted[_noted_row(group, NOTED), owner] -= amount
    state.funds[group].noted_gains -= amount


@kernel
def _wealth(state: State, owner: int) -> int:
    """Return what an owner's accounts have. Atoms."""
    total = 0
    account = state.columns[OWNER_FIRST, owner]
    while account != NONE:
        equity, _ = assess(state, account)
        total = add_checked(total, max(0, equity))
        account = state.accounts[account].next_of_owner
    return total


@inlined
def _own_row(state: State) -> int:
    """Return the row of ``State.noted`` that has own money by owner."""
    return 4 * state.rules[0].groups


@kernel
def gains_there(state: State, owner: int) -> tuple[int, int]:
    """Return what an owner has not lost of his noted gains, and what he has in all. Atoms."""
    noted, wealth = sum_noted(state, owner), _wealth(state, owner)
    return min(noted, max(0, wealth - state.noted[_own_row(state), owner])), wealth


@kernel
def add_own(state: State, owner: int, amount: int) -> None:
    """Note that an owner brings money: it is no gain."""
    if sum_noted(state, owner) > 0:
        own = state.noted[_own_row(state)]
        own[owner] = add_checked(own[owner], amount)


@kernel
def take_own(state: State, owner: int, most: int) -> None:
    """Note that an owner's own money is ``most`` at most, after a withdrawal."""
    own = state.noted[_own_row(state)]
    own[owner] = max(0, min(own[owner], most))


@kernel
def _lower(state: State, owner: int, there: int) -> None:
    """Lower what is noted of an owner, in order of group, to what is ``there`` of it. What he owes falls in
    proportion, and is nobody's.
    """
    left = there
    for group in range(state.rules[0].groups):
        noted = noted_of(state, group, owner)
        if noted > 0:
            kept, owed = min(noted, left), _noted_row(group, OWED)
            state.noted[_noted_row(group, NOTED), owner] = kept
            state.noted[owed, owner] = mul_div_floor(state.noted[owed, owner], kept, noted)
            left -= kept


@inlined
def _first_noted(state: State) -> int:
    """Return the first owner in the list of those with noted gains, or NONE."""
    return state.engine[0].noted_first - 1


@inlined
def _next_noted(state: State, owner: int) -> int:
    return state.columns[OWNER_NOTED_NEXT, owner] - 2


@inlined
def _list_noted(state: State, owner: int) -> None:
    """Put an owner in the list of those with noted gains, once."""
    if state.columns[OWNER_NOTED_NEXT, owner] == 0:
        state.columns[OWNER_NOTED_NEXT, owner] = state.engine[0].noted_first + 1
        state.engine[0].noted_first = owner + 1


@kernel
def _begin(state: State, market: int) -> None:
    """Let the owners in a market begin at 0."""
    position = state.markets[market].first_position
    while position != NONE:
        account = state.positions[position].account
        if account >= 0:
            state.columns[OWNER_GROUP_RESULT, state.accounts[account].owner] = 0
        position = state.positions[position].next_of_market


@kernel
def _begin_noted(state: State, group: int) -> None:
    """Let the owners with noted gains begin at 0; where nothing is noted in the group any more, forget
    what was.
    """
    is_new = state.funds[group].noted_gains == 0
    owner = _first_noted(state)
    while owner != NONE:
        state.columns[OWNER_GROUP_RESULT, owner] = 0
        if is_new:
            state.noted[_noted_row(group, NOTED), owner] = 0
            state.noted[_noted_row(group, OWED), owner] = 0
        owner = _next_noted(state, owner)


@kernel
def _add_results(state: State, market: int) -> None:
    won = state.columns[OWNER_GROUP_RESULT]
    position = state.markets[market].first_position
    while position != NONE:
        account = state.positions[position].account
        if account >= 0:
            owner = state.accounts[account].owner
            won[owner] = add_checked(won[owner], result_of(state, position))
        position = state.positions[position].next_of_market


@kernel
def _note(state: State, group: int, owner: int, won: int) -> int:
    """Note the gain of an owner in a group, and what is his own; return the gain."""
    gain, before = add_checked(won, -_gone_of(state, group, owner)), sum_noted(state, owner)
    if gain <= 0 and before == 0:
        return 0
    there, wealth = gains_there(state, owner)
    if there < before:
        _lower(state, owner, there)
    noted = max(noted_of(state, group, owner), gain)
    total = add_checked(sum_noted(state, owner) - noted_of(state, group, owner), noted)
    state.noted[_noted_row(group, NOTED), owner] = noted
    state.noted[_own_row(state), owner] = max(0, wealth - total)
    return noted


@kernel
def _keep(state: State, market: int, group: int) -> int:
    """Note the gains of the owners in a market, each once; return their sum."""
    total, won = 0, state.columns[OWNER_GROUP_RESULT]
    position = state.markets[market].first_position
    while position != NONE:
        account = state.positions[position].account
        if account >= 0 and won[state.accounts[account].owner] != _COUNTED:
            owner = state.accounts[account].owner
            noted = _note(state, group, owner, won[owner])
            won[owner] = _COUNTED
            if noted > 0:
                _list_noted(state, owner)
                total = add_checked(total, noted)
        position = state.positions[position].next_of_market
    return total


@kernel
def _keep_noted(state: State, group: int) -> int:
    """Note the gains of those who have some noted already and no position in the group; return their
    sum.
    """
    total, won = 0, state.columns[OWNER_GROUP_RESULT]
    owner = _first_noted(state)
    while owner != NONE:
        if won[owner] != _COUNTED:
            total = add_checked(total, _note(state, group, owner, won[owner]))
            won[owner] = _COUNTED
        owner = _next_noted(state, owner)
    return total


@kernel
def _share(state: State, group: int, of_old: int) -> None:
    """Let everybody owe what he owed of the old hole, of which ``of_old`` parts are now, and of the rest
    a part by his noted gain.
    """
    fund, row = state.funds[group], _noted_row(group, OWED)
    owner = _first_noted(state)
    while owner != NONE:
        old = mul_div_floor(state.noted[row, owner], of_old, fund.owed_sum) if fund.owed_sum > 0 else 0
        state.noted[row, owner] = old + mul_div_floor(_PARTS - of_old, state.noted[_noted_row(group, NOTED), owner], fund.noted_gains)
        owner = _next_noted(state, owner)


@kernel
def _forget_owners(state: State) -> None:
    """Take those out of the list of whom nothing is noted any more."""
    before, owner = NONE, _first_noted(state)
    while owner != NONE:
        following = _next_noted(state, owner)
        if sum_noted(state, owner) > 0:
            before = owner
        else:
            for group in range(state.rules[0].groups):
                state.noted[_noted_row(group, NOTED), owner] = 0
                state.noted[_noted_row(group, OWED), owner] = 0
            state.columns[OWNER_NOTED_NEXT, owner] = 0
            if before == NONE:
                state.engine[0].noted_first = following + 1
            else:
                state.columns[OWNER_NOTED_NEXT, before] = following + 2
        owner = following


@kernel
def _share_hole(state: State, group: int) -> None:
    """Share the hole of a group whose gains are noted: of what it was before the event everybody owes what
    he owed, and what it grew by is split by gain.
    """
    fund, hole = state.funds[group], hole_of(state, group)
    if fund.noted_gains == 0:
        fund.owed_sum = 0
        return
    of_old = mul_div_floor(_PARTS, min(fund.hole_before, hole), hole) if hole > 0 else _PARTS
    _share(state, group, of_old)
    fund.owed_sum = _PARTS


@unit
def note_gains(state: State) -> None:
    """Note the gains of each group in which something was uncovered in this event, and who owes what of
    its hole.

    Costs three steps per row of a position in the markets of such a group, four per owner with noted
    gains, and one per position of an owner with a gain.
    """
    engine, markets = state.engine[0], state.markets
    engine.is_grown = 0
    for group in range(state.rules[0].groups):
        if state.funds[group].is_grown == 0:
            continue
        state.funds[group].is_grown = 0
        for market in range(state.rules[0].markets):
            if markets[market].group == group:
                _begin(state, market)
        _begin_noted(state, group)
        for market in range(state.rules[0].markets):
            if markets[market].group == group:
                _add_results(state, market)
        total = 0
        for market in range(state.rules[0].markets):
            if markets[market].group == group:
                total = add_checked(total, _keep(state, market, group))
        total = add_checked(total, _keep_noted(state, group))
        state.funds[group].noted_gains = total
        _share_hole(state, group)
    _forget_owners(state)


def relist_noted(state: State) -> None:
    """Make the list of owners with noted gains anew for a state of code that had none."""
    noted = state.noted[:-1].reshape(-1, 4, state.noted.shape[1])[:, [NOTED, OWED]]
    for owner in np.flatnonzero(noted.any(axis=(0, 1))):
        state.columns[OWNER_NOTED_NEXT, owner] = int(state.engine[0].noted_first) + 1
        state.engine[0].noted_first = int(owner) + 1
