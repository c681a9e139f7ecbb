"""Relief: a position keeps the maintenance margin that it had when a change of margin would sink its
account (R10.5).

``State.relieved`` has, by position, the part of its margin that it need not have, in ppm.
``engine.reliefs_now`` counts the positions that have any, so that a venue without relief pays
nothing for it.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.contracts import notional_at_mark
from backstop.core.events import NONE
from backstop.core.instruments import PPM
from backstop.core.margin import maintenance_margin, position_margin
from backstop.core.outbox import emit_relief
from backstop.core.state import State

__all__ = ["end_all_relief", "note_risk", "set_kept"]


@kernel
def set_kept(state: State, position: int, kept_ppm: int) -> None:
    """Set the part of its margin that a position needs; 1e6 ends its relief."""
    relieved = PPM - kept_ppm
    old = state.relieved[position]
    if old == relieved:
        return
    state.engine[0].reliefs_now += (1 if relieved != 0 else 0) - (1 if old != 0 else 0)
    state.relieved[position] = relieved
    row = state.positions[position]
    notional = notional_at_mark(state, row.market, row.lots)
    emit_relief(
        state,
        kept_ppm=kept_ppm,
        account=row.account,
        market=row.market,
        margin=position_margin(state, position, notional),
        full_margin=maintenance_margin(state, row.market, notional),
    )


@kernel
def end_all_relief(state: State, account: int) -> bool:
    """End the relief of all positions of an account; return whether it had any."""
    before = state.engine[0].reliefs_now
    position = state.accounts[account].first_position
    while position != NONE:
        set_kept(state, position, PPM)
        position = state.positions[position].next_of_account
    return state.engine[0].reliefs_now != before


@kernel
def note_risk(state: State, position: int, lots_before: int) -> None:
    """End relief by a trade: all of an account whose position is larger or on the other side, that of a
    position that is flat.
    """
    row = state.positions[position]
    if row.account < 0:
        return
    if row.lots == 0:
        set_kept(state, position, PPM)
    elif abs(row.lots) > abs(lots_before) or (row.lots > 0) != (lots_before > 0):
        end_all_relief(state, row.account)
