"""Netting of linked owners: the fund pays for an owner, not for an account.

Before anyone else pays for an insolvent account, the other accounts of its owner do, first with
what they have above their release level, then with all they have: so nobody gains from the fund by
being on both sides. A pocket that is apart is left out, on either side.

It is made before every payment of a fund. In one event each walk over an owner's accounts goes on
where the last one ended: an account that could give nothing is looked at again only if it was
judged since and then could (``monitor``). So an event costs an owner's accounts once, not once per
payment.
Rules: R6.2.1.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.assets import asset_of
from backstop.core.columns import NETTED_CLAIM, NETTED_EVENT, NETTED_REST, NETTED_SPARE, OWNER_FIRST
from backstop.core.events import NONE, Cause, Health
from backstop.core.fill_debts import take_from_winners
from backstop.core.ledger import post
from backstop.core.margin import assess, release_level
from backstop.core.monitor import touch, update_health
from backstop.core.orders import cancel_orders_of
from backstop.core.pockets import is_apart
from backstop.core.state import State

__all__ = ["begin_netting", "judge_netted", "net_linked"]


@kernel
def begin_netting(state: State, owner: int) -> None:
    """Begin the walks over an owner's accounts, where this is the first of the event."""
    if state.columns[NETTED_EVENT, owner] != state.engine[0].accepted:
        state.columns[NETTED_EVENT, owner] = state.engine[0].netted_event = state.engine[0].accepted
        for column in (NETTED_SPARE, NETTED_REST, NETTED_CLAIM):
            state.columns[column, owner] = state.columns[OWNER_FIRST, owner]


@kernel
def _net_once(state: State, account: int, deficit: int, spares_release: bool) -> int:
    """Let the owner's other accounts give, the latest opened first; return what is still
    lacking.
    """
    owner = state.accounts[account].owner
    column = NETTED_SPARE if spares_release else NETTED_REST
    other = state.columns[column, owner]
    while other != NONE and deficit > 0:
        if other != account and not is_apart(state, other):
            equity, maintenance = assess(state, other)
            given = min(deficit, max(0, equity - release_level(state, other, maintenance) if spares_release else equity))
            if given > 0:
                if not spares_release:
                    # Its orders left on the strength of what now goes: no atom is spent twice.
                    cancel_orders_of(state, other)
                post(state, account, other, given, asset_of(state, account), Cause.NETTING, NONE)
                deficit -= given
                touch(state, other)
        if deficit > 0:
            other = state.accounts[other].next_of_owner
            state.columns[column, owner] = other
    return deficit


@unit
def net_linked(state: State, account: int) -> None:
    """Make an insolvent account whole, as far as it goes, from the other accounts of its owner, then
    from those who owe it for fills.

    Those owe also what funds paid for it, once it has no lots: so they are asked where its owner was
    able to make it whole, too.
    """
    equity, _ = assess(state, account)
    if equity < 0 and not is_apart(state, account):
        begin_netting(state, state.accounts[account].owner)
        left = _net_once(state, account, -equity, True)
        if left > 0:
            _net_once(state, account, left, False)
    take_from_winners(state, account)


@kernel
def judge_netted(state: State, account: int) -> None:
    """Judge an account; where it is insolvent, net its linked owners and judge it again."""
    update_health(state, account)
    if state.accounts[account].health == Health.INSOLVENT:
        net_linked(state, account)
        update_health(state, account)
