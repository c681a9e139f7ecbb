"""Whether the book is asked before providers, though an account is below close-out (R6.15)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from backstop.core.instruments import PPM
from backstop.reference.closeout import closing_of
from backstop.reference.closing import Closing
from backstop.reference.doubt import may_close
from backstop.reference.providers import is_able
from backstop.reference.state import State

__all__ = ["TwoWays", "book_goes_first", "two_ways"]


class TwoWays(NamedTuple):
    """What an order that is all that an account needs costs, and what a takeover of its lots would.
    Atoms: the account's while it is solvent, then the fund's.
    """

    book: int
    #: None: nobody would take them over.
    takeover: int | None

    @property
    def is_book_cheaper(self) -> bool:
        """The book goes first."""
        return self.takeover is not None and self.book < self.takeover


def two_ways(closing: Closing, lots: int, limit_ticks: int, provider_share_ppm: int, edges_ppm: Iterable[int]) -> TwoWays:
    """Return what both ways cost; ``limit_ticks``: of the order, ``edges_ppm``: of the providers that may
    be asked.
    """
    if closing.is_solvent:
        way_to_zero = -closing.zero_cash(lots).beyond_mark
        return TwoWays(closing.cost(lots).whole, way_to_zero * provider_share_ppm // PPM)
    edge_ppm = min(edges_ppm, default=None)
    holding = closing.holding
    notional = holding.contract.notional_of(lots)
    at_limit = holding.value_of(lots) - holding.contract.cash_of(-holding.side * lots, limit_ticks)
    return TwoWays(at_limit, None if edge_ppm is None else notional * edge_ppm // PPM)


def book_goes_first(state: State, account: int) -> bool:
    """The book takes at once all that the account needs, and costs less than a takeover."""
    row = state.accounts[account]
    if state.now < row.next_slice or state.now >= state.deadline(account) or state.place_held():
        return False
    portfolio = state.portfolio(account)
    markets = [holding.market for holding in portfolio.held if may_close(state, account, holding.market)]
    closings = [closing_of(state, account, market, portfolio) for market in markets]
    first = min((closing for closing in closings if closing.book_stop is None), key=Closing.order_key, default=None)
    if first is None:
        return False
    order = first.quote()
    notional = first.holding.contract.notional_of(order.lots)
    edges = edges_of_able(state, account, first.holding.market, first.holding.side, notional)
    ways = two_ways(first, order.lots, order.limit.ticks, state.rules.takeover.provider_share_ppm, edges)
    return first.is_all_needed(order.lots, order.limit.ticks) and ways.is_book_cheaper


def edges_of_able(state: State, account: int, market: int, side: int, notional: int) -> list[int]:
    """Edges of the providers that may be asked as they were last told to stand, the vault among them, and
    that are committed to so much.
    """
    edges = []
    for number in range(len(state.rules.providers)):
        _, _, rules = state.commitment(number, market, side)
        if rules.capacity >= max(1, notional) and is_able(state, number, account):
            edges.append(rules.edge_ppm)
    return edges
