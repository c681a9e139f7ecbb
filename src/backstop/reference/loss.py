"""A loss that others bear: of which markets, who may be asked for how much, and what each pays
(R6.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from backstop.core.events import NONE, Cause, EffectKind, SocialisePolicy
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.margin import Portfolio

__all__ = ["Cut", "Loss", "Payer", "closes_at_once", "closes_if_in_default"]


def closes_at_once(kind: int, cause: int) -> bool:
    """Return whether an effect on an account says that its default closes lots of the market."""
    closes = kind in (EffectKind.TAKEOVER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
    return closes or (kind == EffectKind.TRADE and cause == Cause.CLOSEOUT)


def closes_if_in_default(cause: int, counterpart: int, held: int, lots: int) -> bool:
    """Return whether a trade reduces what an account held because of others' orders or defaults:
    it counts as closed where the account is in default once it is judged.
    """
    return cause in (Cause.FILL, Cause.ADL, Cause.TEAR_UP, Cause.SETTLEMENT) and counterpart != NONE and held * lots < 0


class Cut(NamedTuple):
    """What one position bears. Atoms."""

    payer: int
    market: int
    amount: int
    #: Of the payer, over all markets of the default.
    weight: int
    cap: int


class Payer(NamedTuple):
    """A solvent account that may be asked for a part of a loss in these markets."""

    account: int
    portfolio: Portfolio
    markets: tuple[int, ...]
    policy: int

    @property
    def weights(self) -> dict[int, int]:
        """What each of its positions there is asked by: its gain, or its notional."""
        is_by_gains = self.policy == SocialisePolicy.GAINS_HAIRCUT
        there = (holding for holding in self.portfolio.holdings if holding.lots and holding.market in self.markets)
        return {holding.market: max(0, holding.profit) if is_by_gains else holding.notional for holding in there}

    @property
    def weight(self) -> int:
        """What the account is asked by."""
        return sum(self.weights.values())

    @property
    def cap(self) -> int:
        """The most that it may be asked for."""
        return self.cap_at(self.weight)

    def cap_at(self, weight: int) -> int:
        """Return the same, where its weight is known: what it has beyond maintenance margin, and
        no more than it gained.
        """
        spare = self.portfolio.spare
        return min(weight, spare) if self.policy == SocialisePolicy.GAINS_HAIRCUT else spare

    def parts(self, cut: int) -> list[tuple[int, int]]:
        """Return (market, atoms) of the positions that bear a cut: their gains in order of market,
        or the first bears it all.
        """
        parts, left = [], cut
        for market, weight in self.weights.items():
            part = min(left, weight) if self.policy == SocialisePolicy.GAINS_HAIRCUT else left
            if part:
                parts.append((market, part))
            left -= part
        assert left == 0
        return parts


@dataclass(frozen=True)
class Loss:
    """A deficit, and solvent accounts that may bear it: those of them that have a weight and a
    cap.
    """

    deficit: int
    #: In order of account.
    asked: tuple[Payer, ...]

    @cached_property
    def payers(self) -> dict[int, tuple[int, int]]:
        """Weight and cap of each account that may be asked."""
        weights = ((payer, payer.weight) for payer in self.asked)
        terms = ((payer.account, weight, payer.cap_at(weight)) for payer, weight in weights if weight)
        return {account: (weight, cap) for account, weight, cap in terms if cap}

    @property
    def weight_sum(self) -> int:
        """Weights of all payers together."""
        return sum(weight for weight, _ in self.payers.values())

    @property
    def cap_sum(self) -> int:
        """The most that all payers together bear."""
        return sum(cap for _, cap in self.payers.values())

    @property
    def paid(self) -> int:
        """What they bear of the deficit."""
        return min(self.deficit, self.cap_sum)

    def cuts(self) -> list[Cut]:
        """Return what each position bears, in order of account and market."""
        if self.paid <= 0:
            return []
        weights, caps = ({account: terms[each] for account, terms in self.payers.items()} for each in (0, 1))
        shares, _ = capped_pro_rata(self.paid, weights, caps)
        return [
            Cut(payer.account, market, part, weights[payer.account], caps[payer.account])
            for payer in self.asked
            if payer.account in shares
            for market, part in payer.parts(shares[payer.account])
        ]
