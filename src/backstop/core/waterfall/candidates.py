"""The candidates of one ADL plan: an owner in a class each, or a row of the house.

An owner stands in one class with what he holds net, and in HEDGE with what he holds on both sides.
What he gives is laid on his accounts, highest leverage first, each within its own cap. Candidates
stand in order of the lowest id of an owner's accounts, the house last. Rules: R6.6.12.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.columns import (
    ADL_ACCOUNT_OF,
    ADL_CAP,
    ADL_CLASS,
    ADL_FIRST,
    ADL_GIVEN,
    ADL_LOTS,
    ADL_OWNER,
    ADL_WEIGHT,
    COUNTERPARTY_LOTS,
    COUNTERPARTY_POSITION,
    FILL_CANDIDATE,
    FILL_CAP,
    FILL_POSITION,
    GIVER_CANDIDATE,
    GIVER_CAP,
    GIVER_LEVERAGE,
    GIVER_NEXT,
    OWNER_HELD,
    OWNER_HOLDERS,
    OWNER_PLACE,
    SORT_KEY,
    SORT_MERGE,
    SORT_ORDER,
)
from backstop.core.events import NONE, AdlClass
from backstop.core.sorting import sort_places
from backstop.core.state import State
from backstop.core.units import add_checked
from backstop.core.waterfall.ranking import adl_weight, class_of, hedged_lots, leverage_ppm, sum_owners

__all__ = ["CLASSES", "cap_candidates", "enter_candidates", "first_of_owner", "lay_on_accounts"]

#: In the order in which they are asked.
CLASSES = (int(AdlClass.LINKED), int(AdlClass.PROFITABLE), int(AdlClass.REST), int(AdlClass.HEDGE), int(AdlClass.HOUSE))


@kernel
def _enter(state: State, place: int, owner: int, lots: int, kind: int) -> None:
    state.columns[ADL_OWNER, place] = owner
    state.columns[ADL_LOTS, place] = lots
    state.columns[ADL_CLASS, place] = kind
    state.columns[ADL_FIRST, place] = NONE


@kernel
def _enter_owner(state: State, place: int, owner: int, defaulting: int) -> None:
    """Enter an owner as the candidate that he is first: with his net lots, which may be none, or with
    all where he is the defaulter.
    """
    kind, lots = class_of(state, owner, defaulting), state.columns[OWNER_HELD, owner]
    if kind != AdlClass.LINKED:
        lots -= hedged_lots(state, owner)
    state.columns[OWNER_PLACE, owner] = place
    if kind == AdlClass.HEDGE:
        _enter(state, place, owner, 0, AdlClass.REST)
    else:
        _enter(state, place, owner, lots, kind)


@kernel
def first_of_owner(state: State, place: int) -> int:
    """Return the lowest id of the accounts of a candidate's owner that are counterparties."""
    return state.columns[ADL_ACCOUNT_OF, state.columns[OWNER_PLACE, state.columns[ADL_OWNER, place]]]


@kernel
def _enter_givers(state: State, found: int, defaulting: int) -> tuple[int, bool]:
    """Enter the owners of the counterparties gathered, and the house; return how many they are, and
    whether one has several accounts there.
    """
    for place in range(found):
        account = state.positions[state.columns[COUNTERPARTY_POSITION, place]].account
        if account >= 0:
            state.columns[OWNER_PLACE, state.accounts[account].owner] = NONE
    count, is_spread = 0, False
    for place in range(found):
        position = state.columns[COUNTERPARTY_POSITION, place]
        account = state.positions[position].account
        state.columns[GIVER_LEVERAGE, place] = 0
        if account < 0:
            _enter(state, count, NONE, abs(state.positions[position].lots), AdlClass.HOUSE)
            state.columns[GIVER_CANDIDATE, place] = count
            count += 1
            continue
        owner = state.accounts[account].owner
        if state.columns[OWNER_PLACE, owner] == NONE:
            _enter_owner(state, count, owner, defaulting)
            state.columns[ADL_ACCOUNT_OF, count] = account
            count += 1
        state.columns[GIVER_CANDIDATE, place] = state.columns[OWNER_PLACE, owner]
        if state.columns[OWNER_HOLDERS, owner] > 1:
            state.columns[GIVER_LEVERAGE, place] = leverage_ppm(state, position)
            is_spread = True
    return count, is_spread


@kernel
def _chain_givers(state: State, found: int, is_spread: bool) -> None:
    """Chain the counterparties of each candidate: highest leverage first, ties by id."""
    order = state.columns[SORT_ORDER]
    if is_spread:
        for place in range(found):
            state.columns[SORT_KEY, place] = -state.columns[GIVER_LEVERAGE, place]
        sort_places(state.columns[SORT_KEY], order, state.columns[SORT_MERGE], found)
    for number in range(found - 1, -1, -1):
        place = order[number] if is_spread else number
        candidate = state.columns[GIVER_CANDIDATE, place]
        state.columns[GIVER_NEXT, place] = state.columns[ADL_FIRST, candidate]
        state.columns[ADL_FIRST, candidate] = place


@kernel
def _enter_hedged(state: State, count: int) -> int:
    """Enter what owners hold on both sides as candidates of their own, behind the others; return how
    many there are in all.
    """
    entered = count
    for place in range(count):
        owner, kind = state.columns[ADL_OWNER, place], state.columns[ADL_CLASS, place]
        if (kind == AdlClass.PROFITABLE or kind == AdlClass.REST) and hedged_lots(state, owner) > 0:
            _enter(state, entered, owner, hedged_lots(state, owner), AdlClass.HEDGE)
            entered += 1
    return entered


@kernel
def enter_candidates(state: State, policy: int, market: int, sign: int, found: int, defaulting: int) -> int:
    """Enter the candidates of a plan: the counterparties gathered, who are on the side ``sign``;
    ``defaulting`` is the owner of all defaulters, or NONE. Returns how many there are.
    """
    sum_owners(state, market, sign)
    count, is_spread = _enter_givers(state, found, defaulting)
    _chain_givers(state, found, is_spread)
    count = _enter_hedged(state, count)
    for place in range(count):
        owner, lots, kind = state.columns[ADL_OWNER, place], state.columns[ADL_LOTS, place], state.columns[ADL_CLASS, place]
        state.columns[ADL_WEIGHT, place] = adl_weight(state, market, owner, sign * lots, kind, policy)
    return count


@kernel
def cap_candidates(state: State, found: int, count: int) -> None:
    """Fill in the most that each candidate can give: what the caps of his accounts allow, net lots
    before hedged ones.
    """
    caps, lots = state.columns[ADL_CAP], state.columns[ADL_LOTS]
    for place in range(count):
        caps[place] = 0
    for place in range(found):
        candidate = state.columns[GIVER_CANDIDATE, place]
        caps[candidate] = add_checked(caps[candidate], state.columns[GIVER_CAP, place])
    for place in range(count - 1, -1, -1):
        owner = state.columns[ADL_OWNER, place]
        if owner != NONE and state.columns[OWNER_PLACE, owner] != place:
            first = state.columns[OWNER_PLACE, owner]
            caps[place] = min(lots[place], max(0, caps[first] - lots[first]))
        else:
            caps[place] = min(lots[place], caps[place])


@kernel
def _lay(state: State, place: int, fills: int) -> int:
    """Lay what a candidate gives on its accounts; return how many fills there then are."""
    owner = state.columns[ADL_OWNER, place]
    first = place if owner == NONE else state.columns[OWNER_PLACE, owner]
    giver, left = state.columns[ADL_FIRST, first], state.columns[ADL_GIVEN, place]
    while left > 0:
        cap = state.columns[GIVER_CAP, giver]
        part = min(left, cap)
        if part > 0:
            state.columns[FILL_CANDIDATE, fills] = place
            state.columns[FILL_POSITION, fills] = state.columns[COUNTERPARTY_POSITION, giver]
            state.columns[COUNTERPARTY_LOTS, fills] = part
            state.columns[FILL_CAP, fills] = cap
            state.columns[GIVER_CAP, giver] = cap - part
            fills += 1
            left -= part
        if left > 0:
            giver = state.columns[GIVER_NEXT, giver]
    state.columns[ADL_FIRST, first] = giver
    return fills


@kernel
def lay_on_accounts(state: State, count: int) -> int:
    """Lay what the candidates give on accounts, class by class; fills in COUNTERPARTY_POSITION and
    COUNTERPARTY_LOTS anew, with those who give alone. Returns how many fills there are.
    """
    fills = 0
    for kind in CLASSES:
        for place in range(count):
            if state.columns[ADL_CLASS, place] == kind:
                fills = _lay(state, place, fills)
    for place in range(fills):
        state.columns[COUNTERPARTY_POSITION, place] = state.columns[FILL_POSITION, place]
    return fills
