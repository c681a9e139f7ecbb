"""What a solvent account pays that leaves beside the book: what the book would have been expected to
cost it.

Takeover, ADL and tear-up are no cheaper than closeout. All of the charge is the fund's: a share for
counterparties would pay whoever emptied the book. Rules: R6.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from backstop.compiled import inlined, kernel, merged
from backstop.core.assets import asset_of
from backstop.core.contracts import notional_at_mark, offset_cost
from backstop.core.events import BookSide, Cause
from backstop.core.ledger import post
from backstop.core.margin import restores
from backstop.core.orders import order_side
from backstop.core.places import fund_id
from backstop.core.search import least_that
from backstop.core.state import State
from backstop.core.units import add_checked, compare_products, mul_div_floor

__all__ = ["book_cost", "closing_charge", "comes_before", "exit_cost", "least_at_corners", "least_on_book", "pay_charge"]

_PPM = 1_000_000

Terms = TypeVar("Terms")


@kernel
def book_cost(state: State, market: int, side: int, lots: int, fee_ppm: int) -> int:
    """Return the expected cost of closing ``lots`` on a side of the book: slippage through the
    visible bands, the rest at the tolerance, and the fee.
    """
    row = state.markets[market]
    left, cost, is_sell = lots, 0, side == BookSide.BID
    for band in range(row.band_count):
        offset = row.band_offset_ppm[band]
        if offset <= row.slippage_tolerance_ppm and left > 0:
            take = min(left, max(0, row.depth_lots[side, band]))
            cost += offset_cost(state, market, notional_at_mark(state, market, take), offset, is_sell)
            left -= take
    cost += offset_cost(state, market, notional_at_mark(state, market, left), row.slippage_tolerance_ppm, is_sell)
    return cost + mul_div_floor(notional_at_mark(state, market, lots), fee_ppm, _PPM)


@kernel
def exit_cost(state: State, position: int, lots: int) -> int:
    """Return what closing ``lots`` (> 0) of a solvent account's position would be expected to cost on
    the book.
    """
    row = state.positions[position]
    return book_cost(state, row.market, order_side(-row.lots), lots, state.rules[0].fee_ppm)


@merged
def least_at_corners(holds: Callable[[State, int, Terms], bool], state: State, position: int, terms: Terms) -> int:
    """Return the least lots of a position whose closing restores its account, or 0 where none does.

    ``holds`` says whether a number does. What closing restores is concave in the lots (tiers release
    most first, depth gets dearer), with corners at the cumulative depths: the first corner that
    restores bounds a bisection.
    """
    row = state.positions[position]
    whole, side = abs(row.lots), order_side(-row.lots)
    market = state.markets[row.market]
    low, cumulative, found = 0, 0, 0
    for band in range(market.band_count + 1):
        probe = whole
        if band < market.band_count:
            if market.band_offset_ppm[band] <= market.slippage_tolerance_ppm:
                cumulative += max(0, market.depth_lots[side, band])
            probe = min(cumulative, whole)
        if probe > low and found == 0:
            if holds(state, probe, terms):
                found = probe
            else:
                low = probe
    return least_that(holds, state, terms, low, found) if found > 0 else 0


@kernel
def _restores_on_book(state: State, lots: int, terms: tuple[int, int, int, int]) -> bool:
    position, fee_ppm, equity, maintenance = terms
    row = state.positions[position]
    cost = book_cost(state, row.market, order_side(-row.lots), lots, fee_ppm)
    return restores(state, position, lots, cost, equity, maintenance)


@kernel
def least_on_book(state: State, position: int, fee_ppm: int, equity: int, maintenance: int) -> int:
    """Return the least lots whose closing restores the account at expected cost, or 0 where none
    does.
    """
    return least_at_corners(_restores_on_book, state, position, (position, fee_ppm, equity, maintenance))


@inlined
def comes_before(release: int, cost: int, other_release: int, other_cost: int) -> bool:
    """Return whether (release, cost) releases more per cost; cost 0 first, then the larger
    release.
    """
    if (cost == 0) != (other_cost == 0):
        return cost == 0
    if cost != 0:
        order = compare_products(release, other_cost, other_release, cost)
        if order != 0:
            return order > 0
    return release > other_release


@kernel
def closing_charge(state: State, position: int, lots: int, taken: int, equity: int) -> int:
    """Return what an account pays to the fund for ``lots`` (> 0) that leave beside the book, as
    things stand before they do.

    ``taken`` is what the other side gets beyond mark, ``equity`` the account's. Never more than is
    then left; of an insolvent account nothing.
    """
    if equity < 0:
        return 0
    charge = max(0, exit_cost(state, position, lots) - max(0, taken))
    return min(charge, max(0, add_checked(equity, -taken)))


@kernel
def pay_charge(state: State, account: int, market: int, charge: int) -> None:
    """Pay a closing charge to the fund of the market's group; 0 is nothing."""
    post(state, fund_id(state.markets[market].group), account, charge, asset_of(state, account), Cause.CLOSING_CHARGE, market)
