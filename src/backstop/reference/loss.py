"""A loss of a market that others bear: who may be asked for how much, and what each pays (R6.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from backstop.core.events import NONE, Cause, EffectKind, SocialisePolicy
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import split
from backstop.reference.margin import Holding

__all__ = ["Bearer", "Cut", "Loss", "Payer", "Purse", "Stake", "bearer_of", "closes_at_once", "closes_if_in_default"]


def closes_at_once(kind: int, cause: int) -> bool:
    """Return whether an effect on an account says that its default closes lots of the market."""
    closes = kind in (EffectKind.TAKEOVER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
    return closes or (kind == EffectKind.TRADE and cause == Cause.CLOSEOUT)


def closes_if_in_default(cause: int, counterpart: int, held: int, lots: int) -> bool:
    """Return whether a trade reduces what an account held because of others' orders or defaults:
    it counts as closed where the account is in default once it is judged.
    """
    return cause in (Cause.FILL, Cause.ADL, Cause.TEAR_UP, Cause.SETTLEMENT) and counterpart != NONE and held * lots < 0


class Stake(NamedTuple):
    """A position, perhaps without lots, in the market of a loss."""

    account: int
    owner: int
    holding: Holding
    #: Signed lots that tear-up took of it in the event at hand.
    torn: int
    #: P&L that ADL and tear-up realised of it in the event at hand, less cuts borne in money.
    realised: int

    @property
    def open_gain(self) -> int:
        """What it has won that is open, or was when the event began; of the losing side losses only."""
        profit = self.holding.profit
        return self.realised + (min(0, profit) if self.holding.is_of_losing_side else profit)

    @property
    def is_ahead(self) -> bool:
        """Whether it has lots that are not of the losing side: a cut raises their cost."""
        return self.holding.lots != 0 and not self.holding.is_of_losing_side


class Purse(NamedTuple):
    """The free equity of an account that is not in default, and before the cuts of the event."""

    account: int
    free: int
    before: int


class Payer(NamedTuple):
    """An owner who may be asked for a part of what a market lost."""

    owner: int
    weight: int
    cap: int
    #: Those of his accounts that may pay, in the order in which they do.
    purses: tuple[Purse, ...]


class Cut(NamedTuple):
    """What one account bears. Atoms."""

    payer: int
    amount: int
    weight: int
    cap: int


class Bearer(NamedTuple):
    """The position that bears a cut: by its cost, or by money that goes to clearing."""

    account: int
    by_cost: bool


def bearer_of(payer: int, stakes: Iterable[Stake]) -> Bearer:
    """Return which of an owner's positions in a market bears what one of his accounts pays."""
    mine = sorted(stakes)
    ahead = [stake.account for stake in mine if stake.is_ahead]
    if ahead:
        return Bearer(payer if payer in ahead else ahead[0], True)
    return Bearer(mine[0].account, False)


@dataclass(frozen=True)
class Loss:
    """What insolvent accounts lack in a market, and the owners who may bear it: those of them that
    have a weight and a cap.
    """

    #: By account, above 0.
    parts: Mapping[int, int]
    #: In order of account.
    stakes: tuple[Stake, ...]
    #: By owner of a stake: his accounts not in default.
    purses: Mapping[int, tuple[Purse, ...]]
    policy: int
    #: The most accounts that may pay for which there is room.
    most: int

    def weight_of(self, stakes: list[Stake]) -> int:
        """Return what an owner is asked by: what he won in the market, or his notional there before
        tear-up.
        """
        if self.policy == SocialisePolicy.GAINS_HAIRCUT:
            return max(0, sum(each.holding.result for each in stakes), sum(each.open_gain for each in stakes))
        return abs(stakes[0].holding.contract.value_of(sum(each.holding.lots + each.torn for each in stakes)))

    def _payer(self, owner: int, weight: int, purses: tuple[Purse, ...]) -> Payer:
        free = sum(purse.free for purse in purses)
        return Payer(owner, weight, min(weight, free) if self.policy == SocialisePolicy.GAINS_HAIRCUT else free, purses)

    @cached_property
    def payers(self) -> dict[int, Payer]:
        """Those who may be asked, by owner and in their order: where there is no room for all of their
        accounts, those of the largest weights.
        """
        by_owner: dict[int, list[Stake]] = {}
        for stake in self.stakes:
            by_owner.setdefault(stake.owner, []).append(stake)
        able = list[Payer]()
        for owner, stakes in by_owner.items():
            purses = sorted((each for each in self.purses[owner] if each.free), key=lambda each: (-each.before, each.account))
            able.append(self._payer(owner, self.weight_of(stakes), tuple(purses)))
        able = [each for each in able if min(each.weight, each.cap) > 0]
        room, asked = self.most, dict[int, Payer]()
        for each in sorted(able, key=lambda each: -each.weight):
            if room > 0:
                asked[each.owner] = self._payer(each.owner, each.weight, each.purses[:room])
                room -= len(each.purses)
        return {each.owner: asked[each.owner] for each in able if each.owner in asked}

    @property
    def deficit(self) -> int:
        """What all of them lack."""
        return sum(self.parts.values())

    @property
    def weight_sum(self) -> int:
        """Weights of all payers together."""
        return sum(payer.weight for payer in self.payers.values())

    @property
    def cap_sum(self) -> int:
        """The most that all payers together bear."""
        return sum(payer.cap for payer in self.payers.values())

    @property
    def paid(self) -> int:
        """What they bear of it."""
        return min(self.deficit, self.cap_sum)

    def cuts(self) -> list[Cut]:
        """Return what each account bears, in order."""
        if self.paid == 0:
            return []
        # By their order, not by their numbers: ties are by id of an account.
        payers = list(self.payers.values())
        weights, caps = dict(enumerate(each.weight for each in payers)), dict(enumerate(each.cap for each in payers))
        shares, _ = capped_pro_rata(self.paid, weights, caps)
        return [cut for place, payer in enumerate(payers) for cut in self._laid(payer, shares[place])]

    def _laid(self, payer: Payer, left: int) -> list[Cut]:
        """Lay what an owner bears on his accounts."""
        cuts = list[Cut]()
        for purse in payer.purses:
            part = min(left, purse.free)
            cap = min(payer.weight, purse.free) if self.policy == SocialisePolicy.GAINS_HAIRCUT else purse.free
            if part:
                cuts.append(Cut(purse.account, part, payer.weight, cap))
            left -= part
        return cuts

    def received(self) -> dict[int, int]:
        """Return what each insolvent account gets, by what it lacks."""
        return {account: part for account, part in split(self.paid, self.parts).items() if part}
