"""Triggers of positions: each stands in the list of its market's price bucket, one below the mark and
one above it. ``monitor`` says where.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.events import NONE
from backstop.core.places import bucket_of
from backstop.core.state import State

__all__ = ["set_trigger"]


@kernel
def _unlink(state: State, position: int, side: int) -> None:
    row = state.positions[position]
    after, before = row.trigger_next[side], row.trigger_prev[side]
    if before == NONE:
        bucket = state.markets[row.market].bucket_first + bucket_of(row.trigger_ticks[side])
        state.buckets[side, bucket] = after
    else:
        state.positions[before].trigger_next[side] = after
    if after != NONE:
        state.positions[after].trigger_prev[side] = before
    row.trigger_ticks[side] = 0


@kernel
def set_trigger(state: State, position: int, side: int, ticks: int) -> None:
    """Put a position's trigger at ``ticks``; 0 takes it away."""
    row = state.positions[position]
    old = row.trigger_ticks[side]
    if old == ticks:
        return
    if old != 0:
        if ticks != 0 and bucket_of(old) == bucket_of(ticks):
            row.trigger_ticks[side] = ticks
            return
        _unlink(state, position, side)
    if ticks == 0:
        return
    bucket = state.markets[row.market].bucket_first + bucket_of(ticks)
    head = state.buckets[side, bucket]
    row.trigger_ticks[side] = ticks
    row.trigger_next[side] = head
    row.trigger_prev[side] = NONE
    if head != NONE:
        state.positions[head].trigger_prev[side] = position
    state.buckets[side, bucket] = position
