"""What a position won or lost since the venue's last epoch (docs/rules.md, 1).

The result is the value at mark less a base. At the beginning of an epoch the base is the value that
the lots then had; the cash that a trade brings lowers it. Closing never resets it, unlike the cost,
so that a trade at mark changes no result. Nothing is done when an epoch begins: a base or a mark of
an older epoch is brought up to date where it is next read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.compiled import inlined, kernel
from backstop.core.contract_terms import Contracts, LinearContract
from backstop.core.contracts import value_at_mark, value_of
from backstop.core.state import State
from backstop.core.units import add_checked

__all__ = ["epoch_mark_ticks", "keep_epoch_mark", "lower_base", "result_base", "result_bases", "result_of"]


@inlined
def _present_epoch(state: State) -> int:
    return state.engine[0].now_ns // state.rules[0].epoch_ns


@inlined
def epoch_mark_ticks(state: State, market: int) -> int:
    """Return the mark that a market had when the present epoch began; of one that had none, its
    first.
    """
    row = state.markets[market]
    return row.epoch_mark_ticks if row.epoch == _present_epoch(state) else row.mark_ticks


@inlined
def keep_epoch_mark(state: State, market: int, next_ticks: int) -> None:
    """Keep the mark of a market as that of the present epoch, if ``next_ticks`` is the first that
    comes in it.
    """
    row = state.markets[market]
    present = _present_epoch(state)
    if row.epoch != present:
        row.epoch = present
        row.epoch_mark_ticks = row.mark_ticks if row.mark_ticks != 0 else next_ticks


@kernel
def result_base(state: State, position: int) -> int:
    """Return what the result of a position is measured from, in the present epoch. Atoms."""
    kept = state.results[position]
    if kept.epoch == _present_epoch(state):
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
    contracts = Contracts([LinearContract(int(factor)) for factor in markets["notional_factor"]])
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
    kept.epoch = _present_epoch(state)
