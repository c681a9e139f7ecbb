"""What a position won or lost since the venue's last epoch (R1.4), and what of its
loss an insolvent account still has to bear (R3.2).

The result is the value at mark less a base. At the beginning of an epoch the base is the value that
the lots then had; the cash that a trade brings lowers it. Closing never resets it, unlike the cost,
so that a trade at mark changes no result. Nothing is done when an epoch begins: a base or a mark of
an older epoch is brought up to date where it is next read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.contract_terms import contracts_of
from backstop.core.contracts import value_at_mark, value_of
from backstop.core.events import NONE, Health
from backstop.core.state import State
from backstop.core.units import add_checked

__all__ = [
    "bearing_lots",
    "begin_insolvency",
    "epoch_mark_ticks",
    "event_gain",
    "is_insolvent",
    "is_of_losing_side",
    "keep_epoch_mark",
    "loss_to_bear",
    "lower_base",
    "note_gain",
    "note_lots",
    "present_epoch",
    "result_base",
    "result_bases",
    "result_of",
    "settle_loss",
]


@inlined
def present_epoch(state: State) -> int:
    """Return the number of the venue's epoch."""
    return state.engine[0].now_ns // state.rules[0].epoch_ns


@inlined
def epoch_mark_ticks(state: State, market: int) -> int:
    """Return the mark that a market had when the present epoch began; of one that had none, its
    first.
    """
    row = state.markets[market]
    return row.epoch_mark_ticks if row.epoch == present_epoch(state) else row.mark_ticks


@inlined
def keep_epoch_mark(state: State, market: int, next_ticks: int) -> None:
    """Keep the mark of a market as that of the present epoch, if ``next_ticks`` is the first that
    comes in it.
    """
    row = state.markets[market]
    present = present_epoch(state)
    if row.epoch != present:
        row.epoch = present
        row.epoch_mark_ticks = row.mark_ticks if row.mark_ticks != 0 else next_ticks


@kernel
def result_base(state: State, position: int) -> int:
    """Return what the result of a position is measured from, in the present epoch. Atoms."""
    kept = state.results[position]
    if kept.epoch == present_epoch(state):
        return kept.base_atoms
    row = state.positions[position]
    return value_of(state, row.market, row.lots, epoch_mark_ticks(state, row.market))


@kernel
def result_of(state: State, position: int) -> int:
    """Return what a position won (lost: below 0) since the present epoch began. Atoms.

    A position without lots keeps what it realised until the epoch ends.
    """
    row = state.positions[position]
    return add_checked(value_at_mark(state, row.market, row.lots), -result_base(state, position))


def result_bases(state: State, positions: NDArray[np.int64], now_ns: int) -> NDArray[np.int64]:
    """Return ``result_base`` of some rows as of a time that is not before the last event's."""
    markets, epoch = state.markets, now_ns // int(state.rules[0].epoch_ns)
    contracts = contracts_of(markets)
    marks = np.where(markets["epoch"] == epoch, markets["epoch_mark_ticks"], markets["mark_ticks"])
    rows, kept = state.positions[positions], state.results[positions]
    rolled = contracts.values(rows["market"], rows["lots"], marks[rows["market"]])
    return np.where(kept["epoch"] == epoch, kept["base_atoms"], rolled)


@kernel
def lower_base(state: State, position: int, cash: int) -> None:
    """Note cash that a position brings (takes: below 0), before its lots change."""
    base = add_checked(result_base(state, position), -cash)
    kept = state.results[position]
    kept.base_atoms = base
    kept.epoch = present_epoch(state)


@inlined
def is_of_losing_side(state: State, market: int, lots: int) -> bool:
    """Return whether the mark moved against signed lots since the present epoch began."""
    before, mark = epoch_mark_ticks(state, market), state.markets[market].mark_ticks
    return mark < before if lots > 0 else lots < 0 and mark > before


@inlined
def event_gain(state: State, position: int) -> int:
    """Return the P&L that ADL and tear-up realised of a position in the present event. Atoms."""
    kept = state.event_gains[position]
    return int(kept[0]) if kept[1] == state.engine[0].accepted else 0


@kernel
def note_gain(state: State, position: int, realised: int) -> None:
    """Note P&L that ADL or tear-up realised of a position (below 0: a loss, or a cut of a gain)."""
    before = event_gain(state, position)
    kept = state.event_gains[position]
    kept[0] = add_checked(before, realised)
    kept[1] = state.engine[0].accepted


@inlined
def is_insolvent(state: State, account: int) -> bool:
    """Return whether an account was insolvent when it was last judged."""
    return account >= 0 and state.accounts[account].health == Health.INSOLVENT


@kernel
def begin_insolvency(state: State, account: int) -> None:
    """Let the positions that an account has as it becomes insolvent bear what they lost."""
    position = state.accounts[account].first_position
    while position != NONE:
        kept = state.results[position]
        kept.settled_loss = 0
        kept.bearing_lots = abs(state.positions[position].lots)
        position = state.positions[position].next_of_account


@inlined
def note_lots(state: State, position: int) -> None:
    """Note lots of a position after a trade: its loss is that of the most that it had."""
    kept, lots = state.results[position], abs(state.positions[position].lots)
    if kept.bearing_lots < lots:
        kept.bearing_lots = lots


@inlined
def bearing_lots(state: State, position: int) -> int:
    """Return the lots that ``loss_to_bear`` belongs to: those of the position, and those that an
    insolvent account closed without their part of its gap.
    """
    row = state.positions[position]
    if is_insolvent(state, row.account):
        return max(abs(row.lots), state.results[position].bearing_lots)
    return abs(row.lots)


@kernel
def loss_to_bear(state: State, position: int) -> int:
    """Return the loss by which a position bears of the gap of its account, at least 0. Atoms."""
    if bearing_lots(state, position) == 0:
        return 0
    settled = state.results[position].settled_loss if is_insolvent(state, state.positions[position].account) else 0
    return max(0, add_checked(-result_of(state, position), -settled))


@kernel
def settle_loss(state: State, position: int, lots: int, left: int) -> None:
    """Note that an insolvent account closed ``lots`` (> 0) at zero cash, and that ``left`` atoms
    are what the position then bears by.
    """
    kept = state.results[position]
    kept.bearing_lots -= lots
    loss = -result_of(state, position)
    kept.settled_loss = add_checked(loss, -left) if left > 0 else max(kept.settled_loss, loss)
