"""Times that are noted for later; ``timers`` finds what is due.

Accounts wait in a heap of (time, account), the earliest first, ties by account. All other timers
have one number, ``engine.timer_ns``: none of them is due before it. Whoever sets one notes it with
``wake_by``.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import WAIT_ACCOUNT, WAIT_TIME
from backstop.core.events import NEVER_NS, NONE
from backstop.core.heaps import heapify_pairs, pop_pair, push_pair
from backstop.core.state import State

__all__ = ["first_wait_ns", "has_lots", "pop_wait", "provider_of", "wait_for_disposal", "wait_until", "wake_by"]


@kernel
def _compact(state: State) -> None:
    """Keep one entry for each account that waits, and make the heap anew."""
    engine = state.engine[0]
    count = 0
    for account in range(engine.accounts_now):
        time_ns = state.accounts[account].wait_until_ns
        if time_ns != NEVER_NS:
            state.columns[WAIT_TIME, count] = time_ns
            state.columns[WAIT_ACCOUNT, count] = account
            count += 1
    engine.waits_now = count
    heapify_pairs(state.columns[WAIT_TIME], state.columns[WAIT_ACCOUNT], count)


@kernel
def wait_until(state: State, account: int, time_ns: int) -> None:
    """Let an account be looked at again at ``time_ns``, in place of its earlier wait."""
    engine = state.engine[0]
    head = state.accounts[account]
    if head.wait_until_ns == time_ns:
        return
    head.wait_until_ns = time_ns
    if engine.waits_now >= state.columns.shape[1]:
        _compact(state)
        return
    push_pair(state.columns[WAIT_TIME], state.columns[WAIT_ACCOUNT], engine.waits_now, time_ns, account)
    engine.waits_now += 1


@kernel
def has_lots(state: State, account: int) -> bool:
    """Return whether an account holds a position."""
    position = state.accounts[account].first_position
    while position != NONE:
        if state.positions[position].lots != 0:
            return True
        position = state.positions[position].next_of_account
    return False


@kernel
def provider_of(state: State, account: int) -> int:
    """Return the provider whose account it is, or NONE."""
    for provider in range(state.rules[0].providers):
        if state.providers[provider].account == account:
            return provider
    return NONE


@kernel
def wait_for_disposal(state: State, account: int) -> None:
    """Let an account that is not in default wait for the next disposal, if it is a provider's, has
    lots and does not wait already.
    """
    if state.accounts[account].wait_until_ns != NEVER_NS or provider_of(state, account) == NONE:
        return
    if has_lots(state, account):
        wait_until(state, account, state.engine[0].now_ns + state.rules[0].disposal_interval_ns)


@inlined
def wake_by(state: State, time_ns: int) -> None:
    """Note that a timer is due at ``time_ns``."""
    engine = state.engine[0]
    if time_ns < engine.timer_ns:
        engine.timer_ns = time_ns


@kernel
def _drop_first(state: State) -> None:
    engine = state.engine[0]
    pop_pair(state.columns[WAIT_TIME], state.columns[WAIT_ACCOUNT], engine.waits_now)
    engine.waits_now -= 1


@kernel
def first_wait_ns(state: State) -> int:
    """Return the earliest time that an account waits for, or ``NEVER_NS``."""
    while state.engine[0].waits_now > 0:
        time_ns = state.columns[WAIT_TIME, 0]
        if state.accounts[state.columns[WAIT_ACCOUNT, 0]].wait_until_ns == time_ns:
            return time_ns
        _drop_first(state)
    return NEVER_NS


@kernel
def pop_wait(state: State) -> int:
    """Return the first account whose wait has ended and end it, or NONE."""
    if first_wait_ns(state) > state.engine[0].now_ns or state.engine[0].waits_now == 0:
        return NONE
    account = state.columns[WAIT_ACCOUNT, 0]
    _drop_first(state)
    state.accounts[account].wait_until_ns = NEVER_NS
    return account
