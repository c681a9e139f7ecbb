"""The waterfall's order: rounds of accounts in default, and each account through its stages."""

from __future__ import annotations

from backstop.compiled import kernel, merged
from backstop.core.events import NONE, Cause, EffectKind, Health, Stage
from backstop.core.margin import assess
from backstop.core.monitor import judge, start_round, touch
from backstop.core.orders import cancel_orders_of, forget_unanswered
from backstop.core.outbox import emit, is_crowded
from backstop.core.state import (
    OWNER_RESERVED,
    ROUND_ACCOUNT,
    ROUND_EQUITY,
    ROUND_MAINTENANCE,
    ROUND_MERGE,
    ROUND_ORDER,
    TOUCHED,
    State,
)
from backstop.core.units import compare_products
from backstop.core.waits import wait_until
from backstop.core.waterfall.adl import deleverage
from backstop.core.waterfall.closeout import BUSY, ORDERED, plan_orders
from backstop.core.waterfall.disposal import dispose
from backstop.core.waterfall.fund import available_atoms, available_in_fund, available_to_owner, book_uncovered, pay
from backstop.core.waterfall.netting import net_linked
from backstop.core.waterfall.socialise import socialise
from backstop.core.waterfall.takeover import fail_offers, offer_takeover, take_over_by_vault
from backstop.core.waterfall.tear_up import tear_up

__all__ = ["end_wait", "run_rounds"]


@kernel
def _is_before(state: State, left: int, right: int) -> bool:
    """Return whether one place of the round comes before another: lower E / M (M = 0 first), larger M, lower id."""
    equity, maintenance = state.columns[ROUND_EQUITY], state.columns[ROUND_MAINTENANCE]
    if (maintenance[left] == 0) != (maintenance[right] == 0):
        return maintenance[left] == 0
    if maintenance[left] != 0:
        order = compare_products(equity[left], maintenance[right], equity[right], maintenance[left])
        if order != 0:
            return order < 0
        if maintenance[left] != maintenance[right]:
            return maintenance[left] > maintenance[right]
    return state.columns[ROUND_ACCOUNT, left] < state.columns[ROUND_ACCOUNT, right]


@kernel
def _sort_round(state: State, count: int) -> None:
    """Merge-sort the places of the round into ROUND_ORDER."""
    order, merge = state.columns[ROUND_ORDER], state.columns[ROUND_MERGE]
    for place in range(count):
        order[place] = place
    width = 1
    while width < count:
        start = 0
        while start < count:
            middle, end = min(start + width, count), min(start + 2 * width, count)
            left, right = start, middle
            for place in range(start, end):
                if left < middle and (right >= end or not _is_before(state, order[right], order[left])):
                    merge[place] = order[left]
                    left += 1
                else:
                    merge[place] = order[right]
                    right += 1
            start += 2 * width
        for place in range(count):
            order[place] = merge[place]
        width *= 2


@kernel
def _open_round(state: State) -> int:
    """Turn the accounts gathered into the running round and begin to gather the next; return how many run."""
    engine = state.engine[0]
    count = 0
    for place in range(engine.touched_now):
        account = state.columns[TOUCHED, place]
        head = state.accounts[account]
        if head.health >= Health.DISTRESSED and head.orders_open == 0:
            equity, maintenance = assess(state, account)
            state.columns[ROUND_ACCOUNT, count] = account
            state.columns[ROUND_EQUITY, count] = equity
            state.columns[ROUND_MAINTENANCE, count] = maintenance
            count += 1
    start_round(state)
    _sort_round(state, count)
    return count


@kernel
def _has_lots(state: State, account: int) -> bool:
    position = state.accounts[account].first_position
    while position != NONE:
        if state.positions[position].lots != 0:
            return True
        position = state.positions[position].next_of_account
    return False


@kernel
def _wait(state: State, account: int) -> bool:
    """Wait one interval, at most to the deadline of closeout; return False where that has passed."""
    rules, now = state.rules[0], state.engine[0].now_ns
    deadline = state.accounts[account].default_since_ns + rules.deadline_ns
    if now >= deadline:
        return False
    wait_until(state, account, min(deadline, now + rules.interval_ns))
    return True


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
    """Return whether the account now waits, because the funds cannot pay all while some of it is only reserved."""
    left, for_owner = deficit, available_to_owner(state, account)
    is_reserved = state.columns[OWNER_RESERVED, state.accounts[account].owner] > 0
    for group in range(state.rules[0].groups):
        if groups & (1 << group) != 0:
            paid = min(left, available_in_fund(state, group), for_owner)
            left -= paid
            for_owner -= paid
            is_reserved |= state.funds[group].reserved > 0
    return left > 0 and is_reserved and _wait(state, account)


@kernel
def _cover_deficit(state: State, account: int) -> None:
    """The money stages: an account without lots and with negative equity is made whole, or booked uncovered (keeps INV-07)."""
    judge(state, account)
    deficit = -state.accounts[account].balance
    if deficit <= 0:
        return
    if state.rules[0].has_fund != 0:
        groups = _groups_closed(state, account)
        if _waits_for_funds(state, account, groups, deficit):
            return
        for group in range(state.rules[0].groups):
            if groups & (1 << group) != 0:
                paid = min(deficit, available_atoms(state, account, group))
                pay(state, account, group, paid, Cause.DEFICIT, NONE)
                deficit -= paid
    deficit -= socialise(state, account, deficit)
    book_uncovered(state, account, deficit)
    judge(state, account)


@merged
def _close_on_book(state: State, account: int) -> bool:
    """Run closeout; return whether the account now waits, for answers, a slice, or its deadline (keeps INV-11)."""
    rules, now = state.rules[0], state.engine[0].now_ns
    head = state.accounts[account]
    if now < head.next_slice_ns:
        wait_until(state, account, head.next_slice_ns)
        return True
    equity, maintenance = assess(state, account)
    outcome = plan_orders(state, account, equity, maintenance)
    if outcome == ORDERED:
        head.next_slice_ns = now + rules.interval_ns
        wait_until(state, account, now + rules.order_timeout_ns)
        return True
    if outcome == BUSY or head.health == Health.DISTRESSED:
        return _wait(state, account)
    return False


@kernel
def _close_positions(state: State, account: int, stage: int) -> None:
    """Run ADL or tear-up over an account's positions in order of market, while it is in default."""
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            judge(state, account)
            if state.accounts[account].health < Health.DISTRESSED:
                return
            equity, maintenance = assess(state, account)
            if stage == Stage.ADL:
                deleverage(state, position, equity, maintenance)
            else:
                tear_up(state, position, equity, maintenance)
        position = row.next_of_account


@kernel
def _is_done(state: State, account: int) -> bool:
    """Judge an account after a stage; return whether it needs no other: it is out of default, or flat and then covered."""
    judge(state, account)
    if state.accounts[account].health < Health.DISTRESSED:
        return True
    if not _has_lots(state, account):
        _cover_deficit(state, account)
        return True
    return False


@kernel
def _take_over(state: State, account: int) -> bool:
    """Run takeover; return whether the account needs no other stage now: it waits for answers, or is done."""
    equity, maintenance = assess(state, account)
    if offer_takeover(state, account, equity, maintenance):
        return True
    take_over_by_vault(state, account)
    return _is_done(state, account)


@merged
def _run_stage(state: State, account: int, stage: int) -> bool:
    """Run one stage of an account with lots; return whether it needs no other now."""
    head = state.accounts[account]
    if stage == Stage.RESTRICT:
        if head.restricted == 0:
            head.restricted = 1
            emit(state, EffectKind.RESTRICT, 0, NONE, account, 0, 0, 0, 0, 0)
        return False
    if stage == Stage.CLOSEOUT:
        if state.rules[0].takeover_first != 0 and head.health >= Health.CLOSE_OUT and _take_over(state, account):
            return True
        return _close_on_book(state, account)
    if stage == Stage.TAKEOVER:
        return _take_over(state, account)
    if stage == Stage.ADL or stage == Stage.TEAR_UP:
        _close_positions(state, account, stage)
        return _is_done(state, account)
    return False


@merged
def _process(state: State, account: int) -> None:
    """Take one account in default through its stages, until it must wait, is out of default, or is flat."""
    if state.accounts[account].health == Health.INSOLVENT:
        net_linked(state, account)
        judge(state, account)
        if state.accounts[account].health < Health.DISTRESSED:
            return
    if not _has_lots(state, account):
        _cover_deficit(state, account)
        return
    for place in range(state.rules[0].stage_count):
        if _run_stage(state, account, state.rules[0].stages[place]):
            return


@kernel
def end_wait(state: State, account: int) -> None:
    """End an account's wait: nobody answered its orders and offers; it has a place in the next round, the vault sells on."""
    fail_offers(state, account)
    forget_unanswered(state, account)
    cancel_orders_of(state, account)
    touch(state, account)
    dispose(state, account)


@kernel
def run_rounds(state: State) -> None:
    """Process the accounts gathered, and those that this touches, until none is left (docs/rules.md, 5)."""
    while state.engine[0].touched_now > 0:
        count = _open_round(state)
        for place in range(count):
            account = state.columns[ROUND_ACCOUNT, state.columns[ROUND_ORDER, place]]
            judge(state, account)
            head = state.accounts[account]
            if head.health >= Health.DISTRESSED and head.orders_open == 0:
                if is_crowded(state):
                    wait_until(state, account, state.engine[0].now_ns + state.rules[0].interval_ns)
                else:
                    _process(state, account)
