"""Netting of linked owners: the fund pays for an owner, not for an account.

Before anyone else pays for an insolvent account, the other accounts of its owner do, first with
what they have above their release level, then with all they have: so nobody gains from the fund by
being on both sides.
Rules: docs/rules.md, section 6.
"""

from __future__ import annotations

from backstop.compiled import kernel, unit
from backstop.core.columns import OWNER_FIRST
from backstop.core.contract_terms import VENUE_ASSET
from backstop.core.events import NONE, Cause
from backstop.core.ledger import post
from backstop.core.margin import assess, release_level
from backstop.core.monitor import touch
from backstop.core.orders import cancel_orders_of
from backstop.core.state import State

__all__ = ["net_linked"]


@kernel
def _net_once(state: State, account: int, deficit: int, spares_release: bool) -> int:
    """Let the owner's other accounts give, the latest opened first; return what is still
    lacking.
    """
    other = state.columns[OWNER_FIRST, state.accounts[account].owner]
    while other != NONE and deficit > 0:
        if other != account:
            equity, maintenance = assess(state, other)
            given = min(deficit, max(0, equity - release_level(state, maintenance) if spares_release else equity))
            if given > 0:
                if not spares_release:
                    # Its orders left on the strength of what now goes: no atom is spent twice.
                    cancel_orders_of(state, other)
                post(state, account, other, given, VENUE_ASSET, Cause.NETTING, NONE)
                deficit -= given
                touch(state, other)
        other = state.accounts[other].next_of_owner
    return deficit


@unit
def net_linked(state: State, account: int) -> None:
    """Make an insolvent account whole, as far as it goes, from the other accounts of its owner."""
    equity, _ = assess(state, account)
    if equity >= 0:
        return
    left = _net_once(state, account, -equity, True)
    if left > 0:
        _net_once(state, account, left, False)
