"""Loss socialisation: what the fund could not pay is cut from open gains, or charged on open
interest, against claims. Each market group for itself.

A cut raises the cost of the payer's position and is paid through clearing, so that no gain is cut
twice. Claims are paid back from what a fund later holds above its target. Rules: R6.9.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.columns import (
    CLAIM,
    CLAIM_PART,
    CLAIMANT,
    FOUND_ACCOUNT,
    FOUND_WEIGHT,
    PAYER_ACCOUNT,
    PAYER_CAP,
    PAYER_CUT,
    PAYER_WEIGHT,
    SORT_MERGE,
    SORT_ORDER,
    SPLIT_HEAP,
    SPLIT_REMAINDER,
)
from backstop.core.contract_terms import VENUE_ASSET
from backstop.core.contracts import settlement_asset, value_at_mark
from backstop.core.drawdown import shift_peaks
from backstop.core.events import NEVER_NS, NONE, Cause, Health, SocialisePolicy
from backstop.core.ledger import balance_of, position_of, post
from backstop.core.margin import assess
from backstop.core.monitor import touch
from backstop.core.outbox import emit_haircut
from backstop.core.places import clearing_id, fund_id, uncovered_id
from backstop.core.results import lower_base
from backstop.core.sorting import sort_places
from backstop.core.state import State
from backstop.core.units import add_checked, split_by_largest_remainder
from backstop.core.waits import wake_by
from backstop.core.waterfall.allocation import allocate
from backstop.core.waterfall.claims import change_claim
from backstop.core.waterfall.loss import is_of_loss

__all__ = ["run_recovery", "socialise"]


@inlined
def _policy(state: State) -> int:
    """Return the venue's policy of socialisation; it must have the stage."""
    return state.stages[state.rules[0].socialise_turn].policy


@kernel
def _weight_of(state: State, position: int) -> int:
    """Return what a position weighs as a payer: its positive unrealised P&L, or its notional."""
    row = state.positions[position]
    value = value_at_mark(state, row.market, row.lots)
    if _policy(state) == SocialisePolicy.GAINS_HAIRCUT:
        return max(0, add_checked(value, -row.cost))
    return abs(value)


@kernel
def _gather_market(state: State, account: int, market: int, found: int) -> int:
    """Add the weights of one market to the payers gathered; return how many there are then."""
    weights, accounts = state.columns[FOUND_WEIGHT], state.columns[FOUND_ACCOUNT]
    position = state.markets[market].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and row.account != account and state.accounts[row.account].health < Health.DISTRESSED:
            weight = _weight_of(state, position)
            if weight > 0:
                if weights[row.account] == 0:
                    accounts[found] = row.account
                    found += 1
                weights[row.account] = add_checked(weights[row.account], weight)
        position = row.next_of_market
    return found


@kernel
def _gather_payers(state: State, account: int, group: int) -> int:
    """Gather the payers of a group's loss by id, with caps and weights; return how many."""
    found = 0
    position = state.accounts[account].first_position
    while position != NONE:
        if is_of_loss(state, position, group):
            found = _gather_market(state, account, state.positions[position].market, found)
        position = state.positions[position].next_of_account
    weights, accounts, order = state.columns[FOUND_WEIGHT], state.columns[FOUND_ACCOUNT], state.columns[SORT_ORDER]
    sort_places(accounts, order, state.columns[SORT_MERGE], found)
    count = 0
    for place in range(found):
        payer = accounts[order[place]]
        equity, maintenance = assess(state, payer)
        cap = max(0, equity - maintenance)
        if _policy(state) == SocialisePolicy.GAINS_HAIRCUT:
            cap = min(cap, weights[payer])
        if cap > 0:
            state.columns[PAYER_ACCOUNT, count] = payer
            state.columns[PAYER_CAP, count] = cap
            state.columns[PAYER_WEIGHT, count] = weights[payer]
            count += 1
    for place in range(found):
        weights[accounts[place]] = 0
    return count


@kernel
def _cut(state: State, payer: int, account: int, group: int, cut: int, cap: int, weight: int) -> None:
    """Cut one payer: its positions in the markets of the default bear it in order of market; a
    claim is issued.
    """
    policy = _policy(state)
    left = cut
    position = state.accounts[payer].first_position
    while position != NONE and left > 0:
        row = state.positions[position]
        closed = position_of(state, account, row.market)
        if row.lots != 0 and closed != NONE and is_of_loss(state, closed, group):
            part = min(left, _weight_of(state, position)) if policy == SocialisePolicy.GAINS_HAIRCUT else left
            if part > 0:
                emit_haircut(
                    state,
                    payer=payer,
                    amount=part,
                    defaulter=account,
                    market=row.market,
                    policy=policy,
                    weight=weight,
                    cap=cap,
                )
                row.cost = add_checked(row.cost, part)
                lower_base(state, position, -part)
                post(
                    state,
                    account,
                    clearing_id(row.market),
                    part,
                    settlement_asset(state, row.market),
                    Cause.HAIRCUT,
                    row.market,
                )
                left -= part
        position = row.next_of_account
    change_claim(state, payer, group, cut)


@unit
def socialise(state: State, account: int, deficit: int, group: int) -> int:
    """Let others bear a group's part of an account's deficit, exactly split; return how much of it
    they bore.
    """
    if deficit <= 0 or state.rules[0].socialise_turn == NONE:
        return 0
    count = _gather_payers(state, account, group)
    payers, caps, weights = state.columns[PAYER_ACCOUNT], state.columns[PAYER_CAP], state.columns[PAYER_WEIGHT]
    most = 0
    for place in range(count):
        most = add_checked(most, caps[place])
    budget = min(deficit, most)
    if budget == 0:
        return 0
    cuts = state.columns[PAYER_CUT]
    remainders, heap = state.columns[SPLIT_REMAINDER], state.columns[SPLIT_HEAP]
    allocate(budget, caps, weights, cuts, remainders, heap, count)
    for place in range(count):
        if cuts[place] > 0:
            _cut(state, payers[place], account, group, cuts[place], caps[place], weights[place])
    for place in range(count):
        if cuts[place] > 0:
            touch(state, payers[place])
    return budget


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
