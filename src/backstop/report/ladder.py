"""Exact liquidation prices: the mark at which an account's equity meets its maintenance margin, all
else fixed.

In integers and for every position at once, by bisection over the ticks of its market. Equity less
maintenance rises with the mark for a long and falls for a short, because no maintenance rate
reaches 1 (``check_rules``); so there is one tick at which the account comes into default, and it is
found, not estimated. A position with relief needs a part of its margin only (R10.5.1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.instruments import PPM, MarketRules, VenueRules, deductions_atoms
from backstop.report.books import Holdings

__all__ = ["Ladder", "ladder_of", "maintenance_atoms"]

Ints = NDArray[np.int64]


class Ladder(NamedTuple):
    """Every position of an account, and where it is liquidated."""

    account: Ints
    market: Ints
    lots: Ints
    #: Atoms of notional at the mark.
    notional: Ints
    #: First tick, seen from the mark outwards, at which the account is in default. 0: at no price
    #: of this market.
    liquidation_ticks: Ints
    #: Whether its account is in default at the marks already.
    in_default: NDArray[np.bool_]


def maintenance_atoms(rules: MarketRules, notional: Ints) -> Ints:
    """Return the maintenance margin of positions of ``notional`` atoms, each rounded up
    (R2.3).
    """
    floors = tuple(tier.floor_atoms for tier in rules.tiers)
    rates = tuple(tier.maintenance_rate_ppm for tier in rules.tiers)
    tier = np.searchsorted(np.array(floors, dtype=np.int64), notional, side="right") - 1
    rate = np.array(rates, dtype=np.int64)[tier]
    whole, rest = np.divmod(notional, PPM)  # apart, so that the product stays within 63 bits
    deduction = np.array(deductions_atoms(floors, rates), dtype=np.int64)[tier]
    margin: Ints = whole * rate + (rest * rate + PPM - 1) // PPM - deduction
    return margin


def _kept(margin: Ints, kept_ppm: Ints) -> Ints:
    """Return the part of margins that is needed, rounded up."""
    whole, rest = np.divmod(margin, PPM)  # apart, so that the product stays within 63 bits
    needed: Ints = whole * kept_ppm + (rest * kept_ppm + PPM - 1) // PPM
    return needed


def ladder_of(rules: VenueRules, held: Holdings, marks: Ints) -> Ladder:
    """Return the liquidation price of every position by rules. ``marks`` are ticks by market."""
    value = rules.contracts.values(held.market, held.lots, marks[held.market])
    notional = rules.contracts.notionals(held.market, held.lots, marks[held.market])
    margin = np.zeros(len(held.lots), dtype=np.int64)
    for number in np.unique(held.market).tolist():
        rows = held.market == number
        margin[rows] = _kept(maintenance_atoms(rules.markets[number], notional[rows]), held.kept_ppm[rows])
    equity, maintenance = held.balance.copy(), np.zeros(len(held.balance), dtype=np.int64)
    np.add.at(equity, held.account, value - held.cost)
    np.add.at(maintenance, held.account, margin)
    # What the account has beyond the maintenance of its other positions, were this one worth
    # nothing.
    rest = (equity - maintenance)[held.account] - value + margin
    ticks = np.zeros(len(held.lots), dtype=np.int64)
    for number in np.unique(held.market).tolist():
        rows = held.market == number
        ticks[rows] = _meeting_ticks(rules, number, held.lots[rows], held.kept_ppm[rows], rest[rows])
    in_default = (equity < maintenance)[held.account]
    return Ladder(held.account, held.market, held.lots, notional, ticks, in_default)


def _meeting_ticks(venue: VenueRules, market: int, lots: Ints, kept_ppm: Ints, rest: Ints) -> Ints:
    """Return the highest tick at which a long, the lowest at which a short, leaves its account
    below maintenance.
    """
    rules, contracts, markets = venue.markets[market], venue.contracts, np.full(len(lots), market)
    is_long = lots > 0
    # A long is sound above and in default below, a short the other way round: one end of each is
    # always known.
    low, high = np.full(len(lots), rules.price_ticks_min - 1, dtype=np.int64), np.full(len(lots), rules.price_ticks_max + 1, dtype=np.int64)
    while bool((high - low > 1).any()):
        middle = (low + high) // 2
        value = contracts.values(markets, lots, middle)
        margin = _kept(maintenance_atoms(rules, contracts.notionals(markets, lots, middle)), kept_ppm)
        is_short_of = rest + value < margin
        goes_up = is_short_of == is_long
        narrow = high - low > 1
        low, high = np.where(goes_up & narrow, middle, low), np.where(~goes_up & narrow, middle, high)
    ticks = np.where(is_long, low, high)
    return np.where((ticks < rules.price_ticks_min) | (ticks > rules.price_ticks_max), 0, ticks)
