"""Where effects leave: one row appended for everything the outside must do or know."""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.state import State

__all__ = ["emit", "is_crowded"]


@kernel
def emit(
    state: State, kind: int, code: int, market: int, account: int, other: int, lots: int, price_ticks: int, amount: int, value: int
) -> None:
    """Append one effect of the present event. Fields as the table in ``core/events.py`` says."""
    engine = state.engine[0]
    place = engine.effects_now
    if 2 * (place - engine.effects_first) >= len(state.effects):
        raise OverflowError("Invariant: one event's effects fit in limits.effects_max")
    row = state.effects[place]
    row.seq = engine.last_seq
    row.kind = kind
    row.code = code
    row.market = market
    row.account = account
    row.other = other
    row.lots = lots
    row.price_ticks = price_ticks
    row.amount = amount
    row.value = value
    engine.effects_now = place + 1


@kernel
def is_crowded(state: State) -> bool:
    """Return whether the present event has brought more than half of the effects that it may bring."""
    engine = state.engine[0]
    return engine.effects_now - engine.effects_first > len(state.effects) // 4
