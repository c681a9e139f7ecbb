"""What a fund may still pay or promise for an account, and which limit binds (R6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from backstop.core.events import Stage, SupportLimit
from backstop.core.instruments import VenueRules
from backstop.reference.arithmetic import ceil_div

__all__ = [
    "FUND_SLOTS",
    "FundLimit",
    "FundView",
    "Support",
    "least_cap",
    "next_slot_ns",
    "paid_for_owner",
    "paid_in_window",
    "pay_slot",
    "supports_closing",
]

#: Slots of a fund's gauges, the present one included; sixteen of them are a window.
FUND_SLOTS = 17


class FundLimit(Enum):
    """What limits a fund."""

    BALANCE = "balance"
    WINDOW = "window"
    OWNER = "owner"
    MARKET = "market"


def pay_slot(now_ns: int, window_ns: int) -> int:
    """Return the number of the slot in which a payment counts."""
    return now_ns // ceil_div(window_ns, FUND_SLOTS - 1)


def next_slot_ns(now_ns: int, window_ns: int) -> int:
    """Return the begin of the slot after the present one."""
    return (pay_slot(now_ns, window_ns) + 1) * ceil_div(window_ns, FUND_SLOTS - 1)


def least_cap(rules: VenueRules, group: int) -> int:
    """Return the smallest of the caps on payments of a group's fund. Atoms."""
    of_markets = (market.loss_per_window_max for market in rules.markets if market.group == group)
    return min(rules.funds[group].loss_per_window_max, rules.of_group(group).owner_loss_max, *of_markets)


def paid_in_window(by_slot: Mapping[int, int], now_ns: int, window_ns: int) -> int:
    """Return what was paid in the latest slots: at least that of a whole window. Atoms."""
    oldest = pay_slot(now_ns, window_ns) - FUND_SLOTS + 1
    return sum(atoms for slot, atoms in by_slot.items() if slot >= oldest)


def paid_for_owner(paid: int, paid_ns: int, now_ns: int, window_ns: int) -> int:
    """Return what was paid for an owner: nothing counts once a window passed without a payment.
    Atoms.
    """
    return 0 if now_ns - paid_ns > window_ns else paid


def supports_closing(stages: tuple[int, ...]) -> bool:
    """Return whether the fund stands in the waterfall with no ADL before it: it then supports
    closing orders and takeovers.
    """
    return Stage.FUND in stages and Stage.ADL not in stages[: stages.index(Stage.FUND)]


class Support(NamedTuple):
    """What a fund adds to a gap. Atoms."""

    gap: int
    amount: int
    available: int
    #: What kept the rest back.
    limit: SupportLimit

    @property
    def beyond(self) -> int:
        """What it leaves of the gap for others."""
        return self.gap - self.amount


class FundView(NamedTuple):
    """A market group's fund as one account sees it. Atoms."""

    #: Of its ledger account, what is reserved included.
    balance: int
    #: For all orders and offers of its markets.
    reserved: int
    #: In the present window.
    paid: int
    loss_max: int
    #: For the account's owner, by all funds together.
    owner_paid: int
    owner_reserved: int
    owner_loss_max: int
    #: For the market that a payment names, in the present window; no cap where it names none.
    market_paid: int
    market_reserved: int
    market_loss_max: int
    #: Paid late in the present window for losses of before: by this fund, by all of them.
    arrears: int
    arrears_of_all: int
    #: What its group still owes, and it keeps for that.
    uncovered: int
    #: Whether it stands in the waterfall with no ADL before it: only then it supports closing
    #: orders and takeovers.
    supports: bool

    @property
    def left(self) -> dict[FundLimit, int]:
        """What each limit leaves; below 0 where it is exceeded."""
        return {
            FundLimit.BALANCE: self.balance - self.reserved - self.uncovered,
            FundLimit.WINDOW: self.loss_max - self.paid - self.reserved,
            FundLimit.OWNER: self.owner_loss_max - self.owner_paid - self.owner_reserved - self.arrears_of_all,
            FundLimit.MARKET: self.market_loss_max - self.market_paid - self.market_reserved - self.arrears,
        }

    @property
    def available_to_all(self) -> int:
        """What it may still pay or promise, for whomever."""
        left = self.left
        return max(0, min(left[FundLimit.BALANCE], left[FundLimit.WINDOW]))

    @property
    def available_to_market(self) -> int:
        """What it may still pay or promise for the market, within the market's own cap."""
        return max(0, self.left[FundLimit.MARKET])

    @property
    def available_to_owner(self) -> int:
        """What all funds together may still pay or promise for the owner."""
        return max(0, self.left[FundLimit.OWNER])

    @property
    def available(self) -> int:
        """What it may still pay or promise for the account."""
        return min(self.available_to_all, self.available_to_market, self.available_to_owner)

    @property
    def free(self) -> int:
        """What it could pay for the account if nothing were reserved for anyone."""
        return self._replace(reserved=0, owner_reserved=0, market_reserved=0).available

    def limit(self, gap: int) -> SupportLimit:
        """What keeps back a part of a gap that it is asked to pay."""
        if self.available >= gap:
            return SupportLimit.COVERED
        return SupportLimit.RESERVED if self.available < self.free else SupportLimit[self.binding.name]

    def support(self, gap: int, *, is_asked: bool) -> Support:
        """Return what it pays of a gap; nothing where the waterfall does not ask it."""
        if not is_asked:
            return Support(gap, 0, 0, SupportLimit.STAGE if gap else SupportLimit.COVERED)
        return Support(gap, min(gap, self.available), self.available, self.limit(gap))

    def share(self, gap: int, amount: int) -> Support:
        """Return a part of a gap that it pays beside those of others, and what kept back the rest."""
        if amount == gap:
            return Support(gap, amount, self.available, SupportLimit.COVERED)
        limit = SupportLimit.RESERVED if self.available < self.free else SupportLimit[self.binding.name]
        return Support(gap, amount, self.available, limit)

    @property
    def binding(self) -> FundLimit:
        """The limit that leaves least, the first of them where several do."""
        left = self.left
        return min(left, key=lambda limit: left[limit])

    @property
    def budget(self) -> int:
        """What it may promise for a closing order or a takeover."""
        return self.available if self.supports else 0
