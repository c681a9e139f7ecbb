"""Loss socialisation: what the funds could not pay is cut from what others won in the market of the
loss, or charged on open interest, against claims.

All accounts that stand at socialise are taken together: the holders of a market are walked once, and
each owner is cut once, however many lack there. What he bears is laid on his accounts, the largest
free equity first. A cut is paid through clearing. It raises the cost of a position with lots; who has
none that won pays it from his money. So no gain is cut twice. Claims are paid back from what a fund
later holds above its target. Rules: R6.9.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.assets import asset_of_group
from backstop.core.columns import (
    ACCOUNT_FREE,
    CLAIM,
    CLAIM_PART,
    CLAIMANT,
    CUT_EVENT,
    CUT_PAID,
    FOUND_ACCOUNT,
    FOUND_POSITION,
    GAVE_ACCOUNT,
    JOINT_ACCOUNT,
    JOINT_CURSOR,
    MARKET_LACKS,
    OWNER_BEARER,
    OWNER_FIRST,
    OWNER_NET_VALUE,
    OWNER_OPEN,
    OWNER_PURSE,
    OWNER_PURSE_FREE,
    OWNER_PURSE_TURN,
    OWNER_PURSES,
    OWNER_WON,
    PAYER_CAP,
    PAYER_CUT,
    PAYER_OWNER,
    PAYER_WEIGHT,
    PURSE_ACCOUNT,
    PURSE_NEXT,
    RECEIVER_PART,
    RECEIVER_POSITION,
    RECEIVER_SHARE,
    SORT_KEY,
    SORT_MERGE,
    SORT_ORDER,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
    TURN_ACCOUNT,
    TURN_OUTCOME,
)
from backstop.core.contracts import exposure_at_mark, settlement_asset, value_at_mark
from backstop.core.drawdown import shift_peaks
from backstop.core.events import NEVER_NS, NONE, Cause, Health, SocialisePolicy
from backstop.core.ledger import balance_of, post
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.outbox import effects_left, emit_haircut
from backstop.core.places import clearing_id, fund_id, uncovered_id
from backstop.core.position_rows import position_of
from backstop.core.results import event_gain, is_of_losing_side, lower_base, note_gain, result_of
from backstop.core.sorting import sort_places
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import add_checked, split_by_largest_remainder
from backstop.core.waits import wake_by
from backstop.core.waterfall.allocation import allocate
from backstop.core.waterfall.claims import change_claim
from backstop.core.waterfall.cover import book_rest, forget_parts, renew_parts
from backstop.core.waterfall.joint_turn import next_market, take_accounts

__all__ = ["run_recovery", "socialise"]


#: Effects that cutting one account may bring.
_EFFECTS_A_PAYER = 16


@inlined
def _is_by_gains(state: State) -> bool:
    """Return whether the venue cuts what was won; it must have the stage."""
    return state.stages[state.rules[0].socialise_turn].policy == SocialisePolicy.GAINS_HAIRCUT


@inlined
def _is_ahead(state: State, position: int) -> bool:
    """Return whether a position has lots that are not of the losing side: a cut raises their cost."""
    row = state.positions[position]
    return row.lots != 0 and not is_of_losing_side(state, row.market, row.lots)


@kernel
def _gather_holders(state: State, market: int) -> int:
    """Gather the positions of all accounts in a market, by id; return how many. SORT_ORDER has their
    places.
    """
    positions, accounts, found = state.columns[FOUND_POSITION], state.columns[FOUND_ACCOUNT], 0
    position = state.markets[market].first_position
    while position != NONE:
        account = state.positions[position].account
        if account >= 0:
            positions[found], accounts[found] = position, account
            state.columns[OWNER_BEARER, state.accounts[account].owner] = NONE
            found += 1
        position = state.positions[position].next_of_market
    sort_places(accounts, state.columns[SORT_ORDER], state.columns[SORT_MERGE], found)
    return found


@kernel
def _add_to_owner(state: State, owner: int, position: int) -> None:
    """Add what a position won, realised or not, and its lots to what its owner has in the market, with
    what ADL and tear-up realised and took of it in this event. Of the losing side losses alone are
    open.
    """
    row = state.positions[position]
    is_open = add_checked(value_at_mark(state, row.market, row.lots), -row.cost)
    if is_of_losing_side(state, row.market, row.lots):
        is_open = min(0, is_open)
    torn = state.torn_lots[position]
    lots = row.lots + (torn[0] if torn[1] == state.engine[0].accepted else 0)
    won, gain, net = state.columns[OWNER_WON], state.columns[OWNER_OPEN], state.columns[OWNER_NET_VALUE]
    won[owner] = add_checked(won[owner], result_of(state, position))
    gain[owner] = add_checked(gain[owner], add_checked(is_open, event_gain(state, position)))
    net[owner] = add_checked(net[owner], exposure_at_mark(state, row.market, lots))


@kernel
def _gather_owners(state: State, market: int) -> int:
    """Gather the owners who have, or had, lots in a market, in order of the lowest id of their accounts,
    with the sums of what they have there; return how many.
    """
    found, count = _gather_holders(state, market), 0
    for place in range(found):
        position = state.columns[FOUND_POSITION, state.columns[SORT_ORDER, place]]
        owner = state.accounts[state.positions[position].account].owner
        bearer = state.columns[OWNER_BEARER, owner]
        if bearer == NONE:
            state.columns[OWNER_WON, owner] = state.columns[OWNER_OPEN, owner] = state.columns[OWNER_NET_VALUE, owner] = 0
            state.columns[PAYER_OWNER, count] = owner
            count += 1
        if bearer == NONE or (_is_ahead(state, position) and not _is_ahead(state, bearer)):
            state.columns[OWNER_BEARER, owner] = position
        _add_to_owner(state, owner, position)
    return count


@kernel
def _weight_of(state: State, owner: int, is_by_gains: bool) -> int:
    """Return what an owner weighs as a payer: what he won, or the notional of his net lots."""
    if is_by_gains:
        return max(0, state.columns[OWNER_WON, owner], state.columns[OWNER_OPEN, owner])
    return abs(state.columns[OWNER_NET_VALUE, owner])


@kernel
def _cuts_paid(state: State, account: int) -> int:
    """Return what an account paid of cuts in this event."""
    return int(state.columns[CUT_PAID, account]) if state.columns[CUT_EVENT, account] == state.engine[0].accepted else 0


@kernel
def _open_purses(state: State, owner: int, found: int) -> int:
    """Gather the accounts of an owner that have something above maintenance margin, from a place on;
    return how many there are then.
    """
    state.columns[OWNER_PURSE_TURN, owner] = state.engine[0].round_number
    state.columns[OWNER_PURSE, owner] = NONE
    state.columns[OWNER_PURSES, owner] = state.columns[OWNER_PURSE_FREE, owner] = 0
    account = state.columns[OWNER_FIRST, owner]
    while account != NONE:
        if state.accounts[account].health < Health.DISTRESSED:
            equity, maintenance = assess(state, account)
            if equity > maintenance:
                free = equity - maintenance
                state.columns[ACCOUNT_FREE, account] = free
                state.columns[OWNER_PURSE_FREE, owner] = add_checked(state.columns[OWNER_PURSE_FREE, owner], free)
                state.columns[OWNER_PURSES, owner] += 1
                state.columns[PURSE_ACCOUNT, found] = account
                state.columns[SORT_KEY, found] = add_checked(free, _cuts_paid(state, account))
                found += 1
        account = state.accounts[account].next_of_owner
    return found


@kernel
def _gather_purses(state: State, count: int, is_by_gains: bool) -> None:
    """Chain the accounts that pay of each owner gathered who weighs something, once a turn: first what
    had most before the cuts of this event, ties by id.
    """
    found, turn = 0, state.engine[0].round_number
    for place in range(count):
        owner = state.columns[PAYER_OWNER, place]
        if state.columns[OWNER_PURSE_TURN, owner] != turn and _weight_of(state, owner, is_by_gains) > 0:
            found = _open_purses(state, owner, found)
    order = state.columns[SORT_ORDER]
    sort_places(state.columns[SORT_KEY], order, state.columns[SORT_MERGE], found)
    # From the least to the most, each before the last; of equal ones the lower id was found later.
    for number in range(found):
        account = state.columns[PURSE_ACCOUNT, order[number]]
        owner = state.accounts[account].owner
        state.columns[PURSE_NEXT, account] = state.columns[OWNER_PURSE, owner]
        state.columns[OWNER_PURSE, owner] = account


@kernel
def _free_of_first(state: State, owner: int, accounts: int) -> int:
    """Return what the first accounts of an owner have above maintenance margin."""
    total, account = 0, state.columns[OWNER_PURSE, owner]
    for _ in range(accounts):
        total = add_checked(total, state.columns[ACCOUNT_FREE, account])
        account = state.columns[PURSE_NEXT, account]
    return total


@inlined
def _cap_of(weight: int, free: int, is_by_gains: bool) -> int:
    return min(weight, free) if is_by_gains else free


@kernel
def _keep_largest(state: State, count: int, most: int, is_by_gains: bool) -> int:
    """Keep the payers of the largest weights, with at most so many accounts, still by id; return how
    many are kept.
    """
    keys, order, cuts = state.columns[SORT_KEY], state.columns[SORT_ORDER], state.columns[PAYER_CUT]
    for place in range(count):
        keys[place] = -state.columns[PAYER_WEIGHT, place]
        cuts[place] = 0
    sort_places(keys, order, state.columns[SORT_MERGE], count)
    room = most
    for number in range(count):
        if room <= 0:
            break
        place = order[number]
        owner, cuts[place] = state.columns[PAYER_OWNER, place], 1
        if state.columns[OWNER_PURSES, owner] > room:
            state.columns[PAYER_CAP, place] = _cap_of(-keys[place], _free_of_first(state, owner, room), is_by_gains)
        room -= state.columns[OWNER_PURSES, owner]
    kept = 0
    for place in range(count):
        if cuts[place] > 0:
            for column in (PAYER_OWNER, PAYER_CAP, PAYER_WEIGHT):
                state.columns[column, kept] = state.columns[column, place]
            kept += 1
    return kept


@kernel
def _gather_payers(state: State, market: int, most: int) -> int:
    """Gather who is asked in a market, by id, with caps and weights, at most so many accounts; return
    how many owners.
    """
    is_by_gains, found, count, accounts = _is_by_gains(state), _gather_owners(state, market), 0, 0
    _gather_purses(state, found, is_by_gains)
    for place in range(found):
        owner = state.columns[PAYER_OWNER, place]
        weight = _weight_of(state, owner, is_by_gains)
        if weight > 0 and state.columns[OWNER_PURSE_FREE, owner] > 0:
            state.columns[PAYER_OWNER, count] = owner
            state.columns[PAYER_CAP, count] = _cap_of(weight, state.columns[OWNER_PURSE_FREE, owner], is_by_gains)
            state.columns[PAYER_WEIGHT, count] = weight
            accounts += state.columns[OWNER_PURSES, owner]
            count += 1
    return _keep_largest(state, count, most, is_by_gains) if accounts > most else count


@kernel
def _bear(state: State, market: int, account: int, part: int) -> None:
    """Let a position bear what an account of its owner pays: one with lots that are not of the losing
    side by their cost, another by money.
    """
    position = position_of(state, account, market)
    if position == NONE or not _is_ahead(state, position):
        position = state.columns[OWNER_BEARER, state.accounts[account].owner]
    row, receiver = state.positions[position], clearing_id(market)
    lower_base(state, position, -part)
    if _is_ahead(state, position):
        row.cost = add_checked(row.cost, part)
        receiver = row.account
    else:
        note_gain(state, position, -part)
    if receiver != account:
        post(state, receiver, account, part, settlement_asset(state, market), Cause.HAIRCUT, market)


@kernel
def _cut(state: State, market: int, place: int, account: int, part: int, first: int) -> None:
    """Let an account of a payer pay a part of his cut; it gets a claim.

    ``first``: the first of the accounts for which all are cut.
    """
    weight = state.columns[PAYER_WEIGHT, place]
    emit_haircut(
        state,
        payer=account,
        amount=part,
        defaulter=first,
        market=market,
        policy=state.stages[state.rules[0].socialise_turn].policy,
        weight=weight,
        cap=_cap_of(weight, state.columns[ACCOUNT_FREE, account], _is_by_gains(state)),
    )
    _bear(state, market, account, part)
    state.columns[CUT_PAID, account] = _cuts_paid(state, account) + part
    state.columns[CUT_EVENT, account] = state.engine[0].accepted
    change_claim(state, account, state.markets[market].group, part)


@kernel
def _lay(state: State, market: int, place: int, first: int, gave: int) -> int:
    """Lay the cut of a payer on his accounts; return how many accounts gave then."""
    owner, left = state.columns[PAYER_OWNER, place], state.columns[PAYER_CUT, place]
    state.columns[OWNER_PURSE_FREE, owner] -= left
    account = state.columns[OWNER_PURSE, owner]
    while left > 0:
        free = state.columns[ACCOUNT_FREE, account]
        part = min(left, free)
        _cut(state, market, place, account, part, first)
        state.columns[ACCOUNT_FREE, account] = free - part
        state.columns[GAVE_ACCOUNT, gave] = account
        gave += 1
        left -= part
        if part == free:
            state.columns[OWNER_PURSES, owner] -= 1
            account = state.columns[PURSE_NEXT, account]
    state.columns[OWNER_PURSE, owner] = account
    return gave


@kernel
def _gather_receivers(state: State, market: int, taken: int) -> int:
    """Gather those taken who lack in a market, by id; return how many."""
    count = 0
    for place in range(taken):
        position = state.columns[JOINT_CURSOR, place]
        if position != NONE and state.positions[position].market == market and state.left_parts[position] > 0:
            state.columns[RECEIVER_POSITION, count] = position
            state.columns[RECEIVER_PART, count] = state.left_parts[position]
            count += 1
    return count


@kernel
def _pay_receivers(state: State, market: int, count: int, budget: int) -> None:
    """Split what was cut over those who lack, by what they lack."""
    shares = state.columns[RECEIVER_SHARE]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    split_by_largest_remainder(budget, state.columns[RECEIVER_PART], shares, remainders, heap, count)
    for place in range(count):
        position = state.columns[RECEIVER_POSITION, place]
        account = state.positions[position].account
        post(state, account, clearing_id(market), shares[place], settlement_asset(state, market), Cause.HAIRCUT, market)
        state.left_parts[position] -= shares[place]


@unit
def _socialise_market(state: State, market: int, taken: int, most: int) -> None:
    """Let those who won in a market bear what those taken lack there, as far as at most so many of
    their accounts can.
    """
    receivers, payers = _gather_receivers(state, market, taken), _gather_payers(state, market, most)
    caps, cuts, deficit, able = state.columns[PAYER_CAP], state.columns[PAYER_CUT], 0, 0
    for place in range(receivers):
        deficit = add_checked(deficit, state.columns[RECEIVER_PART, place])
    for place in range(payers):
        able = add_checked(able, caps[place])
    budget = min(deficit, able)
    if budget == 0:
        return
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    allocate(budget, caps, state.columns[PAYER_WEIGHT], cuts, remainders, heap, payers)
    first, gave = state.positions[state.columns[RECEIVER_POSITION, 0]].account, 0
    for place in range(payers):
        gave = _lay(state, market, place, first, gave)
    _pay_receivers(state, market, receivers, budget)
    for place in range(gave):
        touch(state, state.columns[GAVE_ACCOUNT, place])


@kernel
def _count_markets(state: State, taken: int) -> int:
    """Return in how many markets those taken lack something."""
    lacks, count = state.columns[MARKET_LACKS], 0
    for market in range(len(state.markets)):
        lacks[market] = 0
    for place in range(taken):
        position = state.accounts[state.columns[JOINT_ACCOUNT, place]].first_position
        while position != NONE:
            market = state.positions[position].market
            if state.left_parts[position] > 0 and lacks[market] == 0:
                lacks[market] = 1
                count += 1
            position = state.positions[position].next_of_account
    return count


@unit
def socialise(state: State, turn: int, first: int, count: int) -> None:
    """Let the winners of each market bear what the accounts of the turn lack there, and book the rest
    as uncovered. Those for whom the event has no room wait.
    """
    taken = take_accounts(state, turn, first, count)
    for place in range(first, first + count):
        if state.columns[TURN_OUTCOME, place] == Outcome.WAIT:
            forget_parts(state, state.columns[TURN_ACCOUNT, place])
    for place in range(taken):
        renew_parts(state, state.columns[JOINT_ACCOUNT, place])
    markets, began = _count_markets(state, taken), effects_left(state)
    market = next_market(state, taken, 0, True)
    while market != NONE:
        room = began // 2 - (began - effects_left(state))
        _socialise_market(state, market, taken, max(0, room // (_EFFECTS_A_PAYER * markets)))
        markets -= 1
        market = next_market(state, taken, market + 1, True)
    for place in range(taken):
        book_rest(state, state.columns[JOINT_ACCOUNT, place])


@kernel
def _recover_from(state: State, group: int) -> None:
    """Pay the claims on a group back, in proportion, from what its fund holds above its target and
    what the group still owes.
    """
    fund = state.funds[group]
    unreserved = balance_of(state, fund_id(group)) - fund.reserved
    surplus = unreserved + balance_of(state, uncovered_id(group)) - fund.target
    paid = min(surplus, fund.claims)
    if paid <= 0:
        return
    claimants, claims, parts = state.columns[CLAIMANT], state.columns[CLAIM], state.columns[CLAIM_PART]
    count = 0
    for account in range(state.engine[0].accounts_now):
        if state.claims[group, account] > 0:
            claimants[count] = account
            claims[count] = state.claims[group, account]
            count += 1
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    split_by_largest_remainder(paid, claims, parts, remainders, heap, count)
    for place in range(count):
        if parts[place] > 0:
            post(state, claimants[place], fund_id(group), parts[place], asset_of_group(state, group), Cause.RECOVERY, NONE)
            change_claim(state, claimants[place], group, -parts[place])
    shift_peaks(state, group, -paid)
    for place in range(count):
        if parts[place] > 0:
            touch(state, claimants[place])


@unit
def run_recovery(state: State) -> None:
    """Pay recovery claims back from the surplus of every fund, and set the next time while claims
    stand.
    """
    engine = state.engine[0]
    engine.recovery_ns = NEVER_NS
    for group in range(state.rules[0].groups):
        if engine.claims > 0:
            _recover_from(state, group)
    if engine.claims > 0:
        engine.recovery_ns = engine.now_ns + state.rules[0].recovery_interval_ns
        wake_by(state, engine.recovery_ns)
