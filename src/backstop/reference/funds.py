"""What a fund may still pay or promise for an account, and which limit binds (section 6, Fund)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from backstop.core.events import Stage
from backstop.reference.arithmetic import ceil_div

__all__ = ["FUND_SLOTS", "FundLimit", "FundView", "paid_for_owner", "paid_in_window", "pay_slot", "supports_closing"]

#: Slots of a fund's gauges, the present one included; sixteen of them are a window.
FUND_SLOTS = 17


class FundLimit(Enum):
    """What limits a fund."""

    BALANCE = "balance"
    WINDOW = "window"
    OWNER = "owner"


def pay_slot(now_ns: int, window_ns: int) -> int:
    """Return the number of the slot in which a payment counts."""
    return now_ns // ceil_div(window_ns, FUND_SLOTS - 1)


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
    #: Whether it stands in the waterfall with no ADL before it: only then it supports closing
    #: orders and takeovers.
    supports: bool

    @property
    def left(self) -> dict[FundLimit, int]:
        """What each limit leaves; below 0 where it is exceeded."""
        return {
            FundLimit.BALANCE: self.balance - self.reserved,
            FundLimit.WINDOW: self.loss_max - self.paid - self.reserved,
            FundLimit.OWNER: self.owner_loss_max - self.owner_paid - self.owner_reserved,
        }

    @property
    def available_to_all(self) -> int:
        """What it may still pay or promise, for whomever."""
        left = self.left
        return max(0, min(left[FundLimit.BALANCE], left[FundLimit.WINDOW]))

    @property
    def available_to_owner(self) -> int:
        """What all funds together may still pay or promise for the owner."""
        return max(0, self.left[FundLimit.OWNER])

    @property
    def available(self) -> int:
        """What it may still pay or promise for the account."""
        return min(self.available_to_all, self.available_to_owner)

    @property
    def binding(self) -> FundLimit:
        """The limit that leaves least, the first of them where several do."""
        left = self.left
        return min(left, key=lambda limit: left[limit])

    @property
    def budget(self) -> int:
        """What it may promise for a closing order or a takeover."""
        return self.available if self.supports else 0
