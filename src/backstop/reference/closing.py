"""One position that is to be closed on the book: how many lots, at which limit, with what the fund
promises (R6.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from backstop.core.events import Health
from backstop.core.instruments import NO_CAP, PPM, AssetRules, CloseoutRules, DisposalRules
from backstop.reference.arithmetic import ceil_div, largest_that, part_of, sign
from backstop.reference.book import Book, Limit, Slice
from backstop.reference.charge import Cost, Exit, least_to_restore, place_in_order
from backstop.reference.funds import FundView
from backstop.reference.margin import Contract, Holding, Portfolio, Standing, ZeroCash

__all__ = [
    "Cap",
    "Caps",
    "Closing",
    "Cost",
    "OrderBound",
    "OrderTerms",
    "OrderStop",
    "Quote",
    "Settlement",
    "SizeBound",
    "deadline_ns",
    "earlier_in_place",
    "forced_from_ns",
    "longest_default_ns",
    "settle",
    "waits_for_book",
]


class Cap(NamedTuple):
    """A cap on the notional that may be ordered in an interval. Atoms."""

    most: int = NO_CAP
    ordered: int = 0

    @property
    def left(self) -> int:
        """What may still be ordered."""
        return self.most - self.ordered


class Caps(NamedTuple):
    """The caps that an order must keep to."""

    account: Cap
    market: Cap
    venue: Cap


class SizeBound(Enum):
    """What decides how many lots an order has."""

    FUND = "fund"
    RESTORED = "restored"
    POSITION = "position"
    SLICE = "slice"
    MINIMUM = "minimum"
    PROBE = "probe"
    ACCOUNT_CAP = "account_cap"
    MARKET_CAP = "market_cap"
    VENUE_CAP = "venue_cap"


class OrderStop(Enum):
    """Why no closing order leaves for a position. The first that holds is given."""

    SHUT = "shut"
    OLD_MARK = "old_mark"
    DEPTH_UNKNOWN = "depth_unknown"
    THIN_BOOK = "thin_book"
    BELOW_MINIMUM = "below_minimum"
    SLICE_TAKEN = "slice_taken"
    CAP_USED = "cap_used"
    NO_PLACE = "no_place"
    FUND = "fund"
    NOT_REACHED = "not_reached"


#: Stops that end when the market reopens, when a mark or depth is reported, or when others leave
#: capacity.
PASSING = (
    OrderStop.SHUT,
    OrderStop.OLD_MARK,
    OrderStop.DEPTH_UNKNOWN,
    OrderStop.SLICE_TAKEN,
    OrderStop.CAP_USED,
    OrderStop.NO_PLACE,
)


class OrderBound(NamedTuple):
    """A bound on an order, in lots."""

    bound: SizeBound
    lots: int


class Quote(NamedTuple):
    """Lots that an order may have, at which limit, and what the fund reserves for it. Atoms."""

    lots: int
    limit: Limit
    worst: int = 0


@dataclass(frozen=True)
class Closing:
    """A position as the closeout plan sees it. The portfolio is that of the plan's start."""

    portfolio: Portfolio
    holding: Holding
    book: Book
    caps: Caps
    fund: FundView
    rules: CloseoutRules
    asset: AssetRules
    throttle_share_ppm: int
    #: As expected once the plan's orders so far are filled.
    expected: Standing
    #: A book of which too little is known may be tried.
    probes: bool = False

    # -- how many lots -----------------------------------------------------------------------------

    @property
    def is_solvent(self) -> bool:
        """The account's equity was not below 0 when the plan began."""
        return self.portfolio.equity >= 0

    @property
    def everything(self) -> int:
        """All lots of the position."""
        return abs(self.holding.lots)

    @cached_property
    def slice(self) -> Slice:
        """What one order may take of the book."""
        return self.book.slice(self.rules, self.throttle_share_ppm)

    @property
    def minimum(self) -> int:
        """The lots that reach the least notional of an order, at least one."""
        return max(1, self.holding.contract.lots_reaching(self.asset.minimum_notional))

    @property
    def least(self) -> int:
        """The lots below which no order leaves: the minimum, or the whole position."""
        return min(self.everything, self.minimum)

    @property
    def awaits_depth(self) -> bool:
        """Less than the least order is visible, and some of the book waits to be told."""
        return self.slice.is_unknown and self.slice.visible < self.least

    @property
    def is_probe(self) -> bool:
        """Too little is known of the book, and the order tries it."""
        return self.awaits_depth and self.probes

    @property
    def left(self) -> int:
        """Lots of the slice that others leave; the least order where the visible book holds that."""
        left = self.minimum - self.slice.pending if self.is_probe else self.slice.left
        if 0 < left < self.least <= self.slice.visible - self.slice.pending:
            return self.least
        return left

    @property
    def _slice_bound(self) -> SizeBound:
        if self.is_probe:
            return SizeBound.PROBE
        return SizeBound.MINIMUM if self.left > self.slice.left else SizeBound.SLICE

    def bounds(self) -> tuple[OrderBound, ...]:
        """Return what bounds an order whatever the account needs: the slice, and each cap of the
        interval.
        """
        within, caps = self.holding.contract.lots_within, self.caps
        return (
            OrderBound(self._slice_bound, self.left),
            OrderBound(SizeBound.ACCOUNT_CAP, within(caps.account.left)),
            OrderBound(SizeBound.MARKET_CAP, within(caps.market.left)),
            OrderBound(SizeBound.VENUE_CAP, within(caps.venue.left)),
        )

    def cap(self) -> int:
        """Return the most lots of an order, whatever the account needs; below ``least``: none may
        leave.
        """
        return min(bound.lots for bound in self.bounds())

    def cost(self, lots: int) -> Cost:
        """Return the expected slippage and, of a solvent account, the fee."""
        return Exit(self.book, self.rules.fee_ppm if self.is_solvent else 0).cost(lots)

    def expected_after(self, lots: int) -> Standing:
        """Return how the account is expected to stand once so many lots more are closed."""
        return self.expected.after(self.cost(lots).whole, self.holding.released(lots))

    def restoring(self) -> int | None:
        """Return the lots that restore the release level, with the least notional; None: no number
        does, or it is insolvent.
        """
        least = least_to_restore(self.book, self.everything, self.is_restored_by) if self.is_solvent else None
        return None if least is None else self._with_minimum(least)

    def wanted(self) -> int:
        """Return the lots that restore the account; all where no number does."""
        restoring = self.restoring()
        return self.everything if restoring is None else restoring

    def lots(self) -> int:
        """Return the lots of the order, the fund apart."""
        return min(self.wanted(), self.cap())

    def binding(self, lots: int) -> SizeBound:
        """Return what decided that an order has so many lots."""
        if lots < self.lots():
            return SizeBound.FUND
        if lots == self.restoring():
            return SizeBound.RESTORED
        if lots == self.everything:
            return SizeBound.POSITION
        return min(self.bounds(), key=lambda bound: bound.lots).bound

    def is_restored_by(self, lots: int) -> bool:
        """Return whether closing so many lots is expected to restore the release level."""
        return self.expected_after(lots).is_restored

    def _with_minimum(self, lots: int) -> int:
        """No order and no rest of a position below the least notional."""
        everything, notional_of = self.everything, self.holding.contract.notional_of
        lots = max(lots, self.minimum)
        if lots >= everything or notional_of(everything - lots) < self.asset.minimum_notional:
            return everything
        return lots

    # -- whether and at which price ----------------------------------------------------------------

    @property
    def book_stop(self) -> OrderStop | None:
        """Why the book, or a cap of the interval, lets no order leave; None: they let one leave."""
        if self.book.is_shut:
            return OrderStop.SHUT
        if self.book.is_old and not self.is_solvent:
            return OrderStop.OLD_MARK
        if self.awaits_depth and not (self.probes and self.left >= self.least):
            return OrderStop.DEPTH_UNKNOWN
        if self.slice.whole == 0 and not self.is_probe:
            return OrderStop.THIN_BOOK
        if self.left < self.least:
            return OrderStop.SLICE_TAKEN if self.slice.pending else OrderStop.BELOW_MINIMUM
        return OrderStop.CAP_USED if self.cap() < self.least else None

    def stop(self, *, has_place: bool) -> OrderStop | None:
        """Return why no order leaves; None: one does. ``has_place``: for the next order."""
        if self.book_stop is not None or not has_place:
            return self.book_stop or OrderStop.NO_PLACE
        if self.quote().lots:
            return None
        return OrderStop.NOT_REACHED if self.is_solvent else OrderStop.FUND

    def is_busy(self, stop: OrderStop | None) -> bool:
        """Return whether a stop passes, so that it is worth waiting for its end."""
        return stop in PASSING or (stop in (OrderStop.FUND, OrderStop.NOT_REACHED) and self.may_leave_later)

    def is_all_needed(self, lots: int, limit_ticks: int) -> bool:
        """Return whether an order alone is all that the account needs, and the visible book shows all
        its lots.
        """
        if self.is_solvent:
            needed = self.restoring()
        else:
            needed = self.everything if len(self.portfolio.held) == 1 else None
        shown = sum(max(0, band.lots) for band in self.book.reached(limit_ticks))
        return not self.is_probe and 0 < lots <= shown and lots == needed

    @property
    def tried(self) -> Book:
        """The book as an order's limit takes it: to a probe an unknown band shows the minimum."""
        if not self.is_probe:
            return self.book
        bands = (band if band.lots >= 0 else band._replace(lots=self.minimum) for band in self.book.bands)
        return self.book._replace(bands=tuple(bands))

    def zero_cash(self, lots: int) -> ZeroCash:
        """Return the zero cash of so many lots."""
        return self.portfolio.zero_cash(self.holding.market, lots)

    def quote(self) -> Quote:
        """Return the order that may leave; one of no lots where none may."""
        return self._solvent_quote() if self.is_solvent else self._insolvent_quote()

    def _solvent_quote(self) -> Quote:
        """At most to the zero price, and not where no band that shows lots would take it."""
        lots = self.lots()
        limit = self.book.limit()._replace(zero_ticks=self._zero_ticks(lots))
        shows = any(band.lots > 0 for band in self.tried.reached(limit.ticks))
        return Quote(lots if shows else 0, limit)

    def _insolvent_quote(self) -> Quote:
        """At the price at which most lots can fill with what the fund can reserve; ties: the
        better price.
        """
        wanted, budget = self.lots(), self.fund.budget
        best = Quote(0, self.book.limit())
        for limit in self.candidates(wanted):
            reached = self.tried.reached(limit.ticks)
            lots = self._supported(min(wanted, sum(max(0, band.lots) for band in reached)), limit.ticks, budget)
            if lots > best.lots:
                best = Quote(lots, limit, self.worst_support(lots, limit.ticks))
        return best

    def candidates(self, lots: int) -> list[Limit]:
        """Return the limits among which an insolvent account's order chooses: the zero price, then
        the bands that show lots.
        """
        prices = [self._zero_ticks(lots), *(self.book.price_of(band) for band in self.tried.bands if band.lots > 0)]
        return [self.book.limit()._replace(chosen_ticks=price) for price in prices]

    def _supported(self, lots: int, limit_ticks: int, budget: int) -> int:
        """The most of these lots whose worst case at the limit is within the budget."""
        if lots == 0 or self.worst_support(lots, limit_ticks) <= budget:
            return lots
        return largest_that(lambda fewer: self.worst_support(fewer, limit_ticks) <= budget, 0, lots)

    def _zero_ticks(self, lots: int) -> int:
        """Zero price of so many lots."""
        return self.holding.contract.ticks_for(-self.holding.side * lots, self.zero_cash(lots).cash)

    def cash_at(self, lots: int, limit_ticks: int) -> int:
        """Return the cash of an order that is filled at its limit."""
        return self.holding.contract.cash_of(-self.holding.side * lots, limit_ticks)

    def worst_support(self, lots: int, limit_ticks: int) -> int:
        """Return what the fund may have to add if all is filled at the limit, in any number of
        fills: an atom for each but one.
        """
        if self.is_solvent:
            return 0
        gap = self.zero_cash(lots).cash - self.cash_at(lots, limit_ticks)
        return gap + lots - 1 if gap > 0 else 0

    def least_worst(self) -> int | None:
        """Return the least that the fund would have to reserve for a lot at the price of a band
        that shows lots or is unknown; None: there is no such band.
        """
        bands = [band for band in self.book.bands if band.lots]
        limits = [self.book.limit()._replace(chosen_ticks=self.book.price_of(band)).ticks for band in bands]
        return min((self.worst_support(1, ticks) for ticks in limits), default=None)

    @property
    def may_leave_later(self) -> bool:
        """No order leaves now, but one may: an unknown band may take it, or reserved money is
        freed.
        """
        if self.is_solvent:
            limit = self._solvent_quote().limit
            return any(band.lots < 0 for band in self.book.reached(limit.ticks))
        least = self.least_worst()
        return least is not None and least <= self.fund.budget + self.fund.reserved

    def order_key(self) -> tuple[bool, Fraction, int, int]:
        """Return the place in the plan."""
        return place_in_order(self.holding, self.cost(self.everything))

    def disposal_share(self, rules: DisposalRules) -> int:
        """Return the vault's share of the position that it sells at once."""
        return max(1, ceil_div(self.everything * rules.share_ppm, PPM))

    def disposal_lots(self, rules: DisposalRules) -> int:
        """Return the lots of an order by which the vault sells."""
        return min(self.cap(), self._with_minimum(self.disposal_share(rules)))


def deadline_ns(default_since_ns: int, rules: CloseoutRules) -> int:
    """Return the time from which an account waits no longer for the book."""
    return default_since_ns + rules.deadline_ns


def forced_from_ns(default_since_ns: int, rules: CloseoutRules) -> int:
    """Return the time from which nothing is waited for any more: no order leaves for the account."""
    return default_since_ns + rules.deadline_ns + max(rules.deadline_ns, rules.carry_max_ns)


def longest_default_ns(rules: CloseoutRules, doubt_max_ns: int, answer_timeout_ns: int) -> int:
    """Return for how long an account may be in default with lots."""
    return forced_from_ns(doubt_max_ns, rules) + max(rules.order_timeout_ns, answer_timeout_ns)


def earlier_in_place(order_id: int, orders_max: int) -> int:
    """Return the order that had the place of an order before it; below 1: none had."""
    return order_id - orders_max


def waits_for_book(health: int, now_ns: int, deadline_ns: int, *, is_busy: bool) -> bool:
    """Return whether an account without an order waits for the book, rather than go to the next
    stage.

    Until its deadline it does where capacity is only taken by others, or where it is no worse than
    DISTRESSED.
    """
    return now_ns < deadline_ns and (is_busy or health == Health.DISTRESSED)


class OrderTerms(NamedTuple):
    """A closing order as it left, what of it is filled, and what is still reserved for it."""

    #: Signed.
    lots: int
    limit_ticks: int
    zero_cash: int
    filled: int
    reserved: int


class Settlement(NamedTuple):
    """A fill of a closing order against its zero price. Atoms."""

    lots: int
    cash: int
    zero: int
    fee: int
    support: int


def settle(contract: Contract, order: OrderTerms, lots: int, price_ticks: int, fee_ppm: int | None) -> Settlement:
    """Return fee and support of a fill of so many open lots; ``fee_ppm`` None: the account is
    insolvent.
    """
    change = sign(order.lots) * lots
    cash = contract.cash_of(change, price_ticks)
    zero = part_of(order.zero_cash, abs(order.lots), order.filled, lots)
    fee = 0
    if fee_ppm is not None:
        charged = contract.notional_of(lots) * fee_ppm // PPM
        fee = max(0, min(charged, cash - zero, cash - contract.cash_of(change, order.limit_ticks)))
    return Settlement(lots, cash, zero, fee, min(max(0, zero - cash), order.reserved))
