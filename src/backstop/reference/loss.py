"""A loss of a market that others bear: who may be asked for how much, and what each pays (R6.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from backstop.core.events import NONE, Cause, EffectKind, SocialisePolicy
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import split
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


class Payer(NamedTuple):
    """A solvent account that may be asked for a part of what a market lost."""

    account: int
    portfolio: Portfolio
    market: int
    policy: int
    #: Lots that tear-up took of it in the event at hand.
    torn: int
    #: P&L that ADL and tear-up realised of it in the event at hand.
    realised: int

    @property
    def weight(self) -> int:
        """What it is asked by: what it won in the market, or its notional there, before tear-up."""
        holding = self.portfolio.holding(self.market)
        if self.policy == SocialisePolicy.GAINS_HAIRCUT:
            return max(0, holding.result, self.realised + holding.profit * (not holding.is_of_losing_side))
        return holding.contract.value_of(abs(holding.lots) + self.torn)

    @property
    def cap(self) -> int:
        """The most that it bears: what it has beyond maintenance margin, and no more than it won."""
        spare = self.portfolio.spare
        return min(self.weight, spare) if self.policy == SocialisePolicy.GAINS_HAIRCUT else spare


class Cut(NamedTuple):
    """What one account bears. Atoms."""

    payer: int
    amount: int
    weight: int
    cap: int


@dataclass(frozen=True)
class Loss:
    """What insolvent accounts lack in a market, and solvent accounts that may bear it: those of them
    that have a weight and a cap.
    """

    #: By account, above 0.
    parts: Mapping[int, int]
    #: In order of account.
    asked: tuple[Payer, ...]
    #: The most payers for which there is room.
    most: int

    @cached_property
    def payers(self) -> dict[int, tuple[int, int]]:
        """Weight and cap of each account that may be asked: where there is no room for all, of those
        of the largest weights.
        """
        terms = {payer.account: (payer.weight, payer.cap) for payer in self.asked}
        able = {account: each for account, each in terms.items() if min(each) > 0}
        chosen = sorted(able, key=lambda account: -able[account][0])[: self.most]
        return {account: able[account] for account in sorted(chosen)}

    @property
    def deficit(self) -> int:
        """What all of them lack."""
        return sum(self.parts.values())

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
        """What they bear of it."""
        return min(self.deficit, self.cap_sum)

    def cuts(self) -> list[Cut]:
        """Return what each bears, in order of account."""
        if self.paid == 0:
            return []
        weights, caps = ({account: terms[each] for account, terms in self.payers.items()} for each in (0, 1))
        shares, _ = capped_pro_rata(self.paid, weights, caps)
        return [Cut(account, shares[account], weights[account], caps[account]) for account in sorted(shares) if shares[account]]

    def received(self) -> dict[int, int]:
        """Return what each insolvent account gets, by what it lacks."""
        return {account: part for account, part in split(self.paid, self.parts).items() if part}
