"""What insolvent accounts lack by market, and the gains that it holds back (R6.11)."""

from __future__ import annotations

from collections.abc import Mapping

from backstop.reference.state import State

__all__ = ["gap_of_market", "gap_of_position", "held_gains", "held_gains_of", "shortfall"]


def gap_of_position(state: State, account: int, market: int) -> int:
    """What a position has of its account's gap: as noted, moved with the mark since. Atoms."""
    return noted_value(state, account, market) - state.contract(market).value_of(state.positions[account][market].gap_lots)


def noted_value(state: State, account: int, market: int) -> int:
    """What a position has of its account's gap as noted, and its value then. Atoms."""
    row = state.positions[account][market]
    return row.gap + state.contract(market)._replace(mark_ticks=row.gap_mark).value_of(row.gap_lots)


def gap_of_market(state: State, market: int) -> int:
    """What insolvent accounts lack in a market, at least 0."""
    insolvent = [number for number in state.insolvent if market in state.positions[number]]
    noted = sum(noted_value(state, number, market) for number in insolvent)
    lots = sum(state.positions[number][market].gap_lots for number in insolvent)
    return max(0, noted - state.contract(market).value_of(lots))


def shortfall(state: State, group: int) -> int:
    """What the fund of a group lacks to pay all gaps of its markets, after what stands uncovered."""
    gaps = sum(gap_of_market(state, market) for market in range(len(state.markets)) if state.group(market) == group)
    return max(0, gaps - max(0, state.net_of_fund(group)))


def held_gains(state: State, owner: int) -> int:
    """What an owner may not withdraw of his gains in this epoch."""
    gains: dict[int, int] = {}
    for account in state.accounts_of(owner):
        for market, result in state.results(account).items():
            gains[market] = gains.get(market, 0) + result
    return _held(state, gains)


def held_gains_of(state: State, account: int) -> int:
    """What its owner may not move out of an account of its gains in this epoch."""
    return _held(state, state.results(account))


def _held(state: State, gains: Mapping[int, int]) -> int:
    """What is held of gains by market: in each group at most what its fund lacks."""
    return sum(min(shortfall(state, group), _exposed(state, gains, group)) for group in range(len(state.funds)))


def _exposed(state: State, gains: Mapping[int, int], group: int) -> int:
    """Gains in the markets of a group, each at most the market's gap."""
    of_group = {market: gain for market, gain in gains.items() if state.group(market) == group}
    return sum(min(gap_of_market(state, market), max(0, gain)) for market, gain in of_group.items())
