"""Which market groups bear a deficit, and in which of their markets (R6.10.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from backstop.core.events import NONE
from backstop.reference.arithmetic import split
from backstop.reference.state import State

__all__ = ["Part", "closed_markets", "has_loss", "loss_markets", "markets_of_loss", "parts_of"]


class Part(NamedTuple):
    """A part of a deficit. Atoms."""

    group: int
    #: NONE: of no market.
    market: int
    amount: int


def markets_of_loss(results: Mapping[int, int], closed: Iterable[int], group_of: Callable[[int], int], group: int) -> list[int]:
    """Return the markets of an account's loss in a group, in order of id."""
    lost = {market for market, result in results.items() if result < 0}
    return sorted(market for market in lost | set(closed) if group_of(market) == group)


def _losses_of_groups(results: Mapping[int, int], group_of: Callable[[int], int]) -> dict[int, int]:
    net: dict[int, int] = {}
    for market, result in results.items():
        net[group_of(market)] = net.get(group_of(market), 0) - result
    return {group: loss for group, loss in net.items() if loss > 0}


def has_loss(results: Mapping[int, int], closed: Iterable[int], group_of: Callable[[int], int]) -> bool:
    """Return whether the parts of a deficit are of markets in which the account lost or closed, not of
    its last charge.
    """
    return bool(_losses_of_groups(results, group_of)) or any(True for _ in closed)


def parts_of(
    deficit: int, results: Mapping[int, int], closed: Iterable[int], charged: int, group_of: Callable[[int], int], first_group: int = 0
) -> list[Part]:
    """Return the parts of a deficit, above 0, in order of group and market.

    ``results`` are by market, ``closed`` the markets in which the default closed lots, ``charged``
    the market of the account's last charge, or NONE; ``first_group`` is that of its asset.
    """
    weights = {market: -result for market, result in results.items() if result < 0}
    groups = _losses_of_groups(results, group_of)
    if not groups:
        weights = dict.fromkeys(closed, 1)
        groups = {group_of(market): 1 for market in weights}
    if not groups:
        return [Part(group_of(charged) if charged != NONE else first_group, charged, deficit)]
    parts = []
    for group, amount in sorted(split(deficit, groups).items()):
        within = {market: weight for market, weight in weights.items() if group_of(market) == group}
        parts += [Part(group, market, part) for market, part in sorted(split(amount, within).items())]
    return [part for part in parts if part.amount]


def closed_markets(state: State, account: int) -> list[int]:
    """Markets in which the present default has closed lots, in order of id."""
    return sorted(market for market, row in state.positions[account].items() if row.closed_in_default)


def loss_markets(state: State, account: int, group: int) -> list[int]:
    """Markets of the account's loss in a group, in order of id."""
    return markets_of_loss(state.results(account), closed_markets(state, account), state.group, group)
