"""Vega: settlement that shares what was collected, and the network's disposal of positions that it
took over.

Integers for sizes and money, fractions for shares and slippage; prices are whole units. Sources:
vegaprotocol/specs 0002-STTL, 0012-POSR, 0015-INSR; vegaprotocol/vega core/collateral/engine.go,
core/execution/liquidation/engine.go, core/matching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

__all__ = ["BookView", "Disposal", "DisposalRules", "Loser", "NetworkOrder", "Settlement", "closeout_price", "settle", "share_collected"]


class Loser(NamedTuple):
    """What one party owes in a settlement, and what it has."""

    owes: int
    balance: int


class Settlement(NamedTuple):
    """What was collected, how much of it the insurance pool paid, and what each winner gets."""

    collected: int
    insurance_paid: int
    paid: dict[str, int]


def share_collected(due: Mapping[str, int], collected: int) -> dict[str, int]:
    """Return what winners get of what was collected: in full, or each in proportion, rounded down.

    What rounding leaves goes to the last, so that all of it is given (loss socialisation,
    0002-STTL).
    """
    expected = sum(due.values())
    if collected >= expected:
        return dict(due)
    paid = {party: amount * collected // expected for party, amount in due.items()}
    if paid:
        paid[list(paid)[-1]] += collected - sum(paid.values())
    return paid


def settle(losers: Sequence[Loser], due: Mapping[str, int], insurance: int) -> Settlement:
    """Settle one mark-to-market: losers pay from their balances, then the insurance pool, then
    winners get less.

    ``due`` names the winners in the order of settlement. The pool pays only what is missing, and no
    more than it has.
    """
    own = sum(min(loser.owes, loser.balance) for loser in losers)
    insurance_paid = min(insurance, sum(loser.owes for loser in losers) - own)
    return Settlement(own + insurance_paid, insurance_paid, share_collected(due, own + insurance_paid))


class DisposalRules(NamedTuple):
    """How the network gets rid of what it holds (0012-POSR): seconds, shares of 1, contracts."""

    step_s: int
    fraction: Fraction
    full_size: int
    consumed_max: Fraction
    slippage: Fraction


class BookView(NamedTuple):
    """What the network sees of a market: its mid price, the price range that triggers no auction,
    the volume within reach.

    ``available`` is the volume of the side that takes the order, of the book and of pools alike, up
    to the order's limit.
    """

    mid: int
    lowest_valid: int
    highest_valid: int
    available: int


class NetworkOrder(NamedTuple):
    """An order that is filled at once or lapses: contracts, negative when selling, and its
    limit.
    """

    size: int
    limit: int


class Disposal:
    """The network's position in one market, and when it may next sell of it."""

    def __init__(self, rules: DisposalRules) -> None:
        self.rules = rules
        self.position = 0
        self._next_s: int | None = None

    def take_over(self, size: int, now_s: int) -> None:
        """Take over a distressed position; the first one starts the clock."""
        self._move(size, now_s)

    def trade(self, size: int, now_s: int) -> None:
        """Book a fill of the network's own order, negative when it sold."""
        self._move(size, now_s)

    def _move(self, size: int, now_s: int) -> None:
        had_position = self.position != 0
        self.position += size
        if self.position == 0:
            self._next_s = None
        elif not had_position or self._next_s is None:
            self._next_s = now_s + self.rules.step_s

    def change_rules(self, rules: DisposalRules) -> None:
        """Set other rules; the running step is measured again from its start."""
        if self._next_s is not None:
            self._next_s += rules.step_s - self.rules.step_s
        self.rules = rules

    def limit_price(self, view: BookView) -> int:
        """Return the worst price of the next order: mid less slippage, never outside the range that
        triggers no auction.
        """
        if self.position > 0:
            return max(int(view.mid * max(Fraction(0), 1 - self.rules.slippage)), view.lowest_valid)
        return min(int(view.mid * (1 + self.rules.slippage)), view.highest_valid)

    def order(self, now_s: int, view: BookView, *, is_in_auction: bool = False) -> NetworkOrder | None:
        """Return the order of this moment, None where none is due, or there is nobody to take it.

        A fraction of the position, all of it at or below the full size, but only a share of the
        volume within reach; both rounded up. An order starts the next step; none is never counted
        as one.
        """
        is_due = self._next_s is not None and now_s >= self._next_s
        if not is_due or is_in_auction or view.mid == 0 or view.available == 0:
            return None
        size = abs(self.position)
        if size > self.rules.full_size:
            size = ceil(size * self.rules.fraction)
        size = min(size, ceil(view.available * self.rules.consumed_max))
        if size == 0:
            return None
        self._next_s = now_s + self.rules.step_s
        return NetworkOrder(-size if self.position > 0 else size, self.limit_price(view))


def closeout_price(levels: Sequence[tuple[int, int]], size: int) -> Fraction:
    """Return the mean price of ``size`` contracts from the (price, size) levels of a book, best
    first.

    Raises ValueError where the size is not positive or the book has not enough (core/matching).
    """
    if size <= 0:
        raise ValueError(f"size {size}: must be positive")
    cost, left = 0, size
    for price, volume in levels:
        take = min(left, volume)
        cost, left = cost + price * take, left - take
    if left:
        raise ValueError(f"not enough in the book: {left} of {size} are left")
    return Fraction(cost, size)
