"""Loss socialisation: what the funds could not pay is cut from what others won in the market of the
loss, or charged on open interest, against claims.

All accounts that stand at socialise are taken together: the holders of a market are walked once, and
each payer is cut once, however many lack there. A cut is paid through clearing. It raises the cost of
a position with lots; whoever has closed his pays it from his money. So no gain is cut twice. Claims
are paid back from what a fund later holds above its target. Rules: R6.9.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.columns import (
    CLAIM,
    CLAIM_PART,
    CLAIMANT,
    FOUND_ACCOUNT,
    FOUND_POSITION,
    JOINT_ACCOUNT,
    JOINT_CURSOR,
    PAYER_CAP,
    PAYER_CUT,
    PAYER_POSITION,
    PAYER_WEIGHT,
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
from backstop.core.contract_terms import VENUE_ASSET
from backstop.core.contracts import settlement_asset, value_at_mark
from backstop.core.drawdown import shift_peaks
from backstop.core.events import NEVER_NS, NONE, Cause, Health, SocialisePolicy
from backstop.core.ledger import balance_of, post
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.outbox import effects_left, emit_haircut
from backstop.core.places import clearing_id, fund_id, uncovered_id
from backstop.core.results import event_gain, is_of_losing_side, lower_base, note_gain, result_of
from backstop.core.sorting import sort_places
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import add_checked, split_by_largest_remainder
from backstop.core.waits import wake_by
from backstop.core.waterfall.allocation import allocate
from backstop.core.waterfall.claims import change_claim
from backstop.core.waterfall.cover import book_rest, forget_parts, renew_parts
from backstop.core.waterfall.joint_turn import take_accounts

__all__ = ["run_recovery", "socialise"]


#: Effects that cutting one payer may bring.
_EFFECTS_A_PAYER = 16


@inlined
def _is_by_gains(state: State) -> bool:
    """Return whether the venue cuts what was won; it must have the stage."""
    return state.stages[state.rules[0].socialise_turn].policy == SocialisePolicy.GAINS_HAIRCUT


@kernel
def _weight_of(state: State, position: int, is_by_gains: bool) -> int:
    """Return what a position weighs as a payer: what it won, realised or not, or its notional, with what
    ADL and tear-up realised or took of it in this event.
    """
    row = state.positions[position]
    if is_by_gains:
        gain = event_gain(state, position)
        if not is_of_losing_side(state, row.market, row.lots):
            gain = add_checked(gain, add_checked(value_at_mark(state, row.market, row.lots), -row.cost))
        return max(0, result_of(state, position), gain)
    torn = state.torn_lots[position]
    return value_at_mark(state, row.market, abs(row.lots) + (torn[0] if torn[1] == state.engine[0].accepted else 0))


@kernel
def _gather_holders(state: State, market: int) -> int:
    """Gather the positions of accounts in no default, by id; return how many. SORT_ORDER has their
    places.
    """
    positions, accounts, found = state.columns[FOUND_POSITION], state.columns[FOUND_ACCOUNT], 0
    position = state.markets[market].first_position
    while position != NONE:
        account = state.positions[position].account
        if account >= 0 and state.accounts[account].health < Health.DISTRESSED:
            positions[found], accounts[found] = position, account
            found += 1
        position = state.positions[position].next_of_market
    sort_places(accounts, state.columns[SORT_ORDER], state.columns[SORT_MERGE], found)
    return found


@kernel
def _gather_payers(state: State, market: int) -> int:
    """Gather who may be asked in a market, by id, with caps and weights; return how many."""
    is_by_gains, count = _is_by_gains(state), 0
    for place in range(_gather_holders(state, market)):
        position = state.columns[FOUND_POSITION, state.columns[SORT_ORDER, place]]
        weight = _weight_of(state, position, is_by_gains)
        if weight > 0:
            equity, maintenance = assess(state, state.positions[position].account)
            cap = max(0, equity - maintenance)
            if is_by_gains:
                cap = min(cap, weight)
            if cap > 0:
                state.columns[PAYER_POSITION, count] = position
                state.columns[PAYER_CAP, count] = cap
                state.columns[PAYER_WEIGHT, count] = weight
                count += 1
    return count


@kernel
def _keep_largest(state: State, count: int, most: int) -> int:
    """Keep the payers of the ``most`` largest weights, still by id; return how many are kept."""
    keys, order, cuts = state.columns[SORT_KEY], state.columns[SORT_ORDER], state.columns[PAYER_CUT]
    for place in range(count):
        keys[place] = -state.columns[PAYER_WEIGHT, place]
        cuts[place] = 0
    sort_places(keys, order, state.columns[SORT_MERGE], count)
    for place in range(most):
        cuts[order[place]] = 1
    kept = 0
    for place in range(count):
        if cuts[place] > 0:
            for column in (PAYER_POSITION, PAYER_CAP, PAYER_WEIGHT):
                state.columns[column, kept] = state.columns[column, place]
            kept += 1
    return kept


@kernel
def _cut(state: State, place: int, first: int) -> None:
    """Let a payer's position bear its cut, its money where it has no lots; a claim is issued.

    ``first``: the first of the accounts for which all are cut.
    """
    position, cut = state.columns[PAYER_POSITION, place], state.columns[PAYER_CUT, place]
    row = state.positions[position]
    emit_haircut(
        state,
        payer=row.account,
        amount=cut,
        defaulter=first,
        market=row.market,
        policy=state.stages[state.rules[0].socialise_turn].policy,
        weight=state.columns[PAYER_WEIGHT, place],
        cap=state.columns[PAYER_CAP, place],
    )
    lower_base(state, position, -cut)
    if row.lots != 0:
        row.cost = add_checked(row.cost, cut)
    else:
        note_gain(state, position, -cut)
        post(state, clearing_id(row.market), row.account, cut, settlement_asset(state, row.market), Cause.HAIRCUT, row.market)
    change_claim(state, row.account, state.markets[row.market].group, cut)


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
def _socialise_market(state: State, market: int, taken: int) -> None:
    """Let those who won in a market bear what those taken lack there, as far as they can."""
    receivers, payers = _gather_receivers(state, market, taken), _gather_payers(state, market)
    most = effects_left(state) // 2 // _EFFECTS_A_PAYER
    if payers > most:
        payers = _keep_largest(state, payers, max(0, most))
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
    first = state.positions[state.columns[RECEIVER_POSITION, 0]].account
    for place in range(payers):
        if cuts[place] > 0:
            _cut(state, place, first)
    _pay_receivers(state, market, receivers, budget)
    for place in range(payers):
        if cuts[place] > 0:
            touch(state, state.positions[state.columns[PAYER_POSITION, place]].account)


@kernel
def _next_market(state: State, taken: int, market: int) -> int:
    """Return the first market from ``market`` on in which those taken lack something, or NONE."""
    found = NONE
    for place in range(taken):
        position = state.columns[JOINT_CURSOR, place]
        while position != NONE and (state.positions[position].market < market or state.left_parts[position] == 0):
            position = state.positions[position].next_of_account
        state.columns[JOINT_CURSOR, place] = position
        if position != NONE and (found == NONE or state.positions[position].market < found):
            found = state.positions[position].market
    return found


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
    market = _next_market(state, taken, 0)
    while market != NONE:
        _socialise_market(state, market, taken)
        market = _next_market(state, taken, market + 1)
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
            post(state, claimants[place], fund_id(group), parts[place], VENUE_ASSET, Cause.RECOVERY, NONE)
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
