"""A position that backstop providers take over: how much each can carry, what the fund supports, at
which price (R6.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from backstop.core.events import ProviderStatus
from backstop.core.instruments import PPM, CloseoutRules, CommitmentRules, ProviderRules
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import largest_that, part_of
from backstop.reference.charge import Exit, least_to_restore
from backstop.reference.funds import FundView
from backstop.reference.margin import Contract, Holding, Portfolio, Standing

__all__ = [
    "Backer",
    "Gauge",
    "LossStop",
    "Offering",
    "Refusal",
    "RoomBound",
    "TakeoverPrice",
    "changes_due",
    "haste",
    "offers_end_ns",
    "refusal_to_ask",
    "score_after_failure",
    "score_after_takeover",
]


NS_PER_S = 1_000_000_000
#: A score never falls below this.
SCORE_MIN_PPM = 1_000


class Gauge(NamedTuple):
    """What is used of a commitment, as of a time."""

    used: int
    as_of_ns: int

    def at(self, now_ns: int, refill_per_s: int) -> Gauge:
        """Return the gauge brought up to date: time refills it, and a part of an atom is not
        lost.
        """
        refilled, part = divmod(refill_per_s * (now_ns - self.as_of_ns), NS_PER_S)
        used = max(0, self.used - refilled)
        return Gauge(used, now_ns - part // refill_per_s if used and refill_per_s else now_ns)

    def cancelled(self, notional: int, age_ns: int, refill_per_s: int) -> Gauge:
        """Return the gauge once an offer is cancelled: what time has not refilled since is free
        again.
        """
        left = max(0, notional - refill_per_s * age_ns // NS_PER_S)
        return self._replace(used=max(0, self.used - left))


def score_after_takeover(score_ppm: int) -> int:
    """Return the score of a provider that kept its word."""
    return score_ppm + (PPM - score_ppm) // 8


def haste(low_ticks: int, high_ticks: int, offer_range_ppm: int) -> int:
    """Return how much faster than usual a market moves by the range of its marks, 1 to 4 [ppm]: so
    much shorter offers live, and so much more a failure costs.
    """
    if not offer_range_ppm:
        return PPM
    range_ppm = (high_ticks - low_ticks) * PPM // low_ticks
    return max(PPM, min(4 * PPM, range_ppm * PPM // offer_range_ppm))


def score_after_failure(score_ppm: int, haste_ppm: int) -> int:
    """Return the score of a provider that did not."""
    cut_ppm = min(750_000, 250_000 * haste_ppm // PPM)
    return max(SCORE_MIN_PPM, score_ppm - score_ppm * cut_ppm // PPM)


class LossStop(NamedTuple):
    """What a provider may lose before it is no longer asked. Atoms."""

    most: int
    baseline: int
    equity: int

    @property
    def lost(self) -> int:
        """What it lost; below 0: it gained."""
        return self.baseline - self.equity

    @property
    def is_reached(self) -> bool:
        """It lost all that it may."""
        return self.lost >= self.most

    @property
    def is_won_back(self) -> bool:
        """It has won back half of what it may lose."""
        return self.lost <= self.most // 2


def changes_due(status: ProviderStatus, until_ns: int, now_ns: int, loss: LossStop) -> list[ProviderStatus]:
    """Return what a provider's status changes to, one after the other, before it is looked at."""
    changes = []
    if status in (ProviderStatus.OFF, ProviderStatus.COOLING) and until_ns <= now_ns:
        status = ProviderStatus.ON
        changes.append(status)
    if status in (ProviderStatus.ON, ProviderStatus.COOLING) and loss.is_reached:
        status = ProviderStatus.STOPPED
        changes.append(status)
    if status == ProviderStatus.STOPPED and loss.is_won_back:
        changes.append(ProviderStatus.ON)
    return changes


class Refusal(Enum):
    """Why a provider may not be asked, whatever it could carry. The first that holds is given."""

    STATUS = "status"
    IN_DEFAULT = "in_default"
    SAME_OWNER = "same_owner"


def refusal_to_ask(status: ProviderStatus, *, in_default: bool, is_linked: bool) -> Refusal | None:
    """Return why a provider may not be asked; None: it may.

    ``in_default``: its own account; ``is_linked``: it belongs to the owner of the defaulter.
    """
    if status != ProviderStatus.ON:
        return Refusal.STATUS
    if in_default:
        return Refusal.IN_DEFAULT
    return Refusal.SAME_OWNER if is_linked else None


def offers_end_ns(default_since_ns: int, rules: CloseoutRules) -> int:
    """Return the time from which nothing is offered any more: the vault alone takes over."""
    return default_since_ns + 2 * rules.deadline_ns


class RoomBound(Enum):
    """What keeps a provider from carrying more lots."""

    NO_ROW = "no_row"
    COMMITMENT = "commitment"
    POSITION_NOTIONAL = "position_notional"
    POSITION_LOTS = "position_lots"
    INITIAL_MARGIN = "initial_margin"
    LEVERAGE = "leverage"


@dataclass(frozen=True)
class Backer:
    """A provider as one position's taker. Atoms, lots signed."""

    number: int
    rules: ProviderRules
    commitment: CommitmentRules
    score_ppm: int
    #: Of its account.
    portfolio: Portfolio
    contract: Contract
    #: 1: it takes over longs.
    side: int
    #: Lots that it would hold in the market if it took all that it was offered there in this
    #: direction.
    promised: int
    #: Used of its commitment, as of now.
    used: int
    #: Of all its open offers.
    pending_initial: int
    pending_notional: int
    #: It has a row in the market, or there is one left for it.
    has_row: bool
    #: Of the other accounts of its owner in the market, where tiers are by owner.
    others_lots: int = 0

    @property
    def free(self) -> int:
        """What is free of its commitment."""
        return max(0, self.commitment.capacity - self.used)

    def lots_after(self, lots: int) -> int:
        """Return the lots, unsigned, that it would hold with so many more."""
        return abs(self.promised + self.side * lots)

    def notional_after(self, lots: int) -> int:
        """Return the notional of that position."""
        return self.contract.notional_of(self.lots_after(lots))

    def initial_rise(self, lots: int) -> int:
        """Return the change of its initial margin by so many lots more."""
        before, after = (self.contract.initial_of(self.lots_after(more), self.others_lots) for more in (0, lots))
        return after - before

    def initial_after(self, lots: int) -> int:
        """Return the initial margin that it would need, open offers included."""
        return self.portfolio.initial + self.initial_rise(lots) + self.pending_initial

    def gross_after(self, lots: int) -> int:
        """Return the notional that it would carry, open offers included."""
        return self.portfolio.notional + self.notional_after(lots) - self.notional_after(0) + self.pending_notional

    def exceeded(self, lots: int) -> RoomBound | None:
        """Return the first bound that so many lots more would exceed; None: it can carry them."""
        equity = self.portfolio.equity
        if self.contract.notional_of(lots) > self.free:
            return RoomBound.COMMITMENT
        if self.notional_after(lots) > self.commitment.position_notional_max:
            return RoomBound.POSITION_NOTIONAL
        if self.lots_after(lots) > self.contract.rules.position_lots_max:
            return RoomBound.POSITION_LOTS
        if equity < self.initial_after(lots):
            return RoomBound.INITIAL_MARGIN
        if PPM * self.gross_after(lots) > self.rules.leverage_ppm * equity:
            return RoomBound.LEVERAGE
        return None

    def carries_none(self) -> tuple[RoomBound, int] | None:
        """Return what keeps it from carrying a single lot, and the lots more that exceed it, 0 or
        1; None: it can carry some.
        """
        if not self.has_row:
            return RoomBound.NO_ROW, 1
        if self.contract.notional_of(1) > self.free:
            return RoomBound.COMMITMENT, 1
        return next(((bound, lots) for lots in (0, 1) if (bound := self.exceeded(lots))), None)

    def room(self, most: int) -> int:
        """Return the most lots, up to ``most``, that it can carry."""
        if not self.has_row or self.exceeded(0):
            return 0
        return largest_that(lambda lots: not self.exceeded(lots), 0, most) if self.exceeded(most) else most

    def weight(self, room: int) -> int:
        """Return what it is offered lots in proportion to."""
        return max(1, room * self.score_ppm // PPM)


class TakeoverPrice(NamedTuple):
    """What an account gets for lots that a provider takes over. Atoms."""

    is_solvent: bool
    #: Of the lots that are looked at, and of all that are offered together.
    zero: int
    zero_together: int
    at_mark: int
    edge_ppm: int
    cash: int

    @property
    def support(self) -> int:
        """What the fund adds for an insolvent account: what the cash is short of zero cash."""
        return 0 if self.is_solvent else max(0, self.zero - self.cash)


@dataclass(frozen=True)
class Offering:
    """A position and those who may be asked to take it over. The portfolio is that of the start of
    the pass.
    """

    portfolio: Portfolio
    holding: Holding
    fund: FundView
    provider_share_ppm: int
    #: In order of number.
    asked: tuple[Backer, ...]
    #: As expected once the earlier offers of the pass are accepted.
    expected: Standing
    #: By the book.
    way_out: Exit

    @property
    def is_solvent(self) -> bool:
        """The account's equity was not below 0."""
        return self.portfolio.equity >= 0

    def share_cost(self, lots: int) -> int:
        """Return what a solvent account pays the providers: their share of the way from the mark to
        zero cash.
        """
        zero = self.portfolio.zero_cash(self.holding.market, lots)
        return -zero.beyond_mark * self.provider_share_ppm // PPM

    def cost(self, lots: int) -> int:
        """Return what a solvent account pays for a takeover, the closing charge included: the
        providers' share, at least what the book would cost.
        """
        return max(self.share_cost(lots), self.way_out.cost(lots).whole)

    def expected_after(self, lots: int) -> Standing:
        """Return how the account is expected to stand once so many lots more are taken over."""
        cost = self.cost(lots) if self.is_solvent else 0
        return self.expected.after(cost, self.holding.released(lots))

    @cached_property
    def least(self) -> int | None:
        """The least lots that restore the release level; None: no number does, or the account is
        insolvent.
        """
        if not self.is_solvent:
            return None
        return least_to_restore(self.way_out.book, abs(self.holding.lots), lambda lots: self.expected_after(lots).is_restored)

    @property
    def wanted(self) -> int:
        """Lots that are to go."""
        return abs(self.holding.lots) if self.least is None else self.least

    @cached_property
    def rooms(self) -> dict[int, int]:
        """Lots that each can carry, by number; those who can carry none are left out."""
        rooms = {backer.number: backer.room(self.wanted) for backer in self.asked}
        return {number: room for number, room in rooms.items() if room}

    @property
    def backers(self) -> tuple[Backer, ...]:
        """Who can carry some of it."""
        return tuple(backer for backer in self.asked if backer.number in self.rooms)

    @property
    def carried(self) -> int:
        """Lots that all together can carry of what is to go."""
        return min(self.wanted, sum(self.rooms.values()))

    @property
    def edge_ppm(self) -> int:
        """The largest edge of those who can carry some."""
        return max(backer.commitment.edge_ppm for backer in self.backers)

    def worst_support(self, lots: int) -> int:
        """Return what the fund may have to add: the gap to zero cash at the largest edge, and an
        atom each for rounding.
        """
        if self.is_solvent:
            return 0
        cash = self._cash_at_edge(lots, self.edge_ppm)
        gap = self.portfolio.zero_cash(self.holding.market, lots).cash - cash
        return gap + len(self.backers) if gap > 0 else 0

    @cached_property
    def lots(self) -> int:
        """Lots that are taken over: what can be carried, and what the fund supports of it."""
        most, budget = self.carried, self.fund.budget
        if not most or self.worst_support(most) <= budget:
            return most
        return largest_that(lambda lots: self.worst_support(lots) <= budget, 0, most)

    def parts(self) -> dict[int, int]:
        """Return the lots of each provider, by number: by weight, none beyond what it can carry."""
        weights = {backer.number: backer.weight(self.rooms[backer.number]) for backer in self.backers}
        return capped_pro_rata(self.lots, weights, self.rooms)[0] if self.lots else {}

    def price(self, backer: Backer, lots: int, before: int = 0, together: int | None = None) -> TakeoverPrice:
        """Return the price of a provider's lots, with ``before`` of the lots offered together going
        to others.
        """
        whole = lots if together is None else together
        zero_together = self.portfolio.zero_cash(self.holding.market, whole).cash
        zero, at_mark = part_of(zero_together, whole, before, lots), self.holding.value_of(lots)
        edge_ppm = backer.commitment.edge_ppm
        if self.is_solvent:
            cash = max(zero, at_mark - (at_mark - zero) * self.provider_share_ppm // PPM)
        else:
            cash = self._cash_at_edge(lots, edge_ppm)
        return TakeoverPrice(self.is_solvent, zero, zero_together, at_mark, edge_ppm, cash)

    def _cash_at_edge(self, lots: int, edge_ppm: int) -> int:
        at_mark = self.holding.value_of(lots)
        return at_mark - abs(at_mark) * edge_ppm // PPM
