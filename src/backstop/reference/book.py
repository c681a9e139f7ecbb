"""One side of a market's book: what one order may take of it, what that is expected to cost, which
limit it may have.
"""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import BreakerState
from backstop.core.instruments import PPM, CloseoutRules
from backstop.reference.arithmetic import ceil_div
from backstop.reference.margin import Contract

__all__ = ["UNKNOWN_LOTS", "Band", "Book", "Limit", "Slice"]

#: Visible lots of a band that proved wrong, until DEPTH tells them again.
UNKNOWN_LOTS = -1


class Band(NamedTuple):
    """Lots that are visible up to an offset from the mark, beyond the band before."""

    offset_ppm: int
    lots: int


class Slice(NamedTuple):
    """What one order may take of a side of the book. Lots."""

    visible: int
    #: Some of it waits to be told.
    is_unknown: bool
    #: Traded of late; -1: not reported.
    volume: int
    #: The share is of the volume: that allows less than the share of what is visible.
    is_by_volume: bool
    is_throttled: bool
    #: All orders together may have so much, and those on their way have so much of it.
    whole: int
    pending: int

    @property
    def left(self) -> int:
        """What is left for another order; below 0 where the book shrank."""
        return self.whole - self.pending


class Limit(NamedTuple):
    """Limit of an order, with what may set it. Ticks."""

    is_sell: bool
    tolerance_ticks: int
    #: Where a fill would halt the market; None: no such band, or it lies on the other side of the
    #: mark.
    band_ticks: int | None = None
    #: None: an insolvent account's order, or one of disposal.
    zero_ticks: int | None = None
    #: Where an insolvent account's order can fill most lots with what the fund can reserve. None:
    #: another order.
    chosen_ticks: int | None = None

    @property
    def book_ticks(self) -> int:
        """The stricter of tolerance and band."""
        return self._stricter(self.tolerance_ticks, self.band_ticks)

    @property
    def ticks(self) -> int:
        """The strictest of all."""
        return self._stricter(self._stricter(self.book_ticks, self.zero_ticks), self.chosen_ticks)

    @property
    def is_banded(self) -> bool:
        """The band is stricter than the tolerance."""
        return self.book_ticks != self.tolerance_ticks

    def _stricter(self, ticks: int, other: int | None) -> int:
        if other is None:
            return ticks
        return max(ticks, other) if self.is_sell else min(ticks, other)


class Book(NamedTuple):
    """The side of the book that takes a position, as it was last told."""

    contract: Contract
    #: A long sells into the bids.
    is_sell: bool
    #: Within the slippage tolerance, best first.
    bands: tuple[Band, ...]
    #: Traded of late; -1: not reported.
    volume: int
    #: Of the market's breaker or the venue's, whichever is severer.
    state: BreakerState
    #: Lots of closing orders on their way to this side.
    pending: int
    #: Lowest and highest mark of both price windows.
    low_ticks: int
    high_ticks: int
    #: An operator halts it: no order goes there.
    is_shut: bool = False
    #: The mark is so old that no fund supports an order at it.
    is_old: bool = False

    @property
    def visible(self) -> int:
        """Lots of all bands; an unknown one has none."""
        return sum(max(0, band.lots) for band in self.bands)

    def slice(self, rules: CloseoutRules, throttle_share_ppm: int) -> Slice:
        """Return what one order may take: a share of what is visible, at most one of the volume,
        less while it is throttled.
        """
        visible, volume = self.visible, self.volume
        whole = max(1, visible * rules.depth_share_ppm // PPM) if visible else 0
        if volume > 0:
            whole = min(whole, max(1, volume * rules.volume_share_ppm // PPM))
        is_by_volume = 0 < volume * rules.volume_share_ppm < visible * rules.depth_share_ppm
        is_throttled = self.state != BreakerState.OPEN
        if whole and is_throttled:
            whole = max(1, whole * throttle_share_ppm // PPM)
        is_unknown = any(band.lots == UNKNOWN_LOTS for band in self.bands)
        return Slice(visible, is_unknown, volume, is_by_volume, is_throttled, whole, self.pending)

    def takes(self, lots: int) -> tuple[Band, ...]:
        """Return how deep an order reaches: lots by band, those beyond all bands at the
        tolerance.
        """
        taken = []
        for band in self.bands:
            taken.append(Band(band.offset_ppm, min(lots, max(0, band.lots))))
            lots -= taken[-1].lots
        taken.append(Band(self.contract.rules.slippage_tolerance_ppm, lots))
        return tuple(band for band in taken if band.lots)

    def slippage(self, lots: int) -> int:
        """Return what closing so many lots is expected to lose against the mark. Atoms."""
        return sum(
            self.contract.offset_cost(self.contract.notional_of(band.lots), band.offset_ppm, is_sell=self.is_sell)
            for band in self.takes(lots)
        )

    def limit(self, tolerance_ppm: int | None = None) -> Limit:
        """Return the limit that the book sets, at the market's slippage tolerance or another."""
        rules = self.contract.rules
        tolerance = rules.slippage_tolerance_ppm if tolerance_ppm is None else tolerance_ppm
        return Limit(self.is_sell, self.contract.tolerated_ticks(tolerance, is_sell=self.is_sell), self._band_ticks())

    def price_of(self, band: Band) -> int:
        """Return the price of a band. Ticks; it may lie beyond what the market knows."""
        return self.contract.offset_ticks(band.offset_ppm, is_sell=self.is_sell)

    def reaches(self, limit_ticks: int, band: Band) -> bool:
        """Return whether an order with this limit may take of a band."""
        price = self.price_of(band)
        return limit_ticks <= price if self.is_sell else limit_ticks >= price

    def reached(self, limit_ticks: int) -> tuple[Band, ...]:
        """Return the bands that an order with this limit may take of, those that are unknown
        among them.
        """
        return tuple(band for band in self.bands if self.reaches(limit_ticks, band))

    def best_ticks(self) -> int | None:
        """Return the price of the best band that shows lots; None: none does."""
        return next((self.price_of(band) for band in self.bands if band.lots > 0), None)

    def _band_ticks(self) -> int | None:
        """Return the price whose mark would halt the market, where it is not on the other side of
        the mark.
        """
        halt_ppm, mark_ticks = self.contract.rules.price_halt_ppm, self.contract.mark_ticks
        if not halt_ppm:
            return None
        if self.is_sell:
            ticks = ceil_div(self.high_ticks * (PPM - halt_ppm), PPM)
            return self.contract.within(ticks) if ticks <= mark_ticks else None
        ticks = self.low_ticks * (PPM + halt_ppm) // PPM
        return self.contract.within(ticks) if ticks >= mark_ticks else None
