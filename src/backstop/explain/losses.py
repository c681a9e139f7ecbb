"""Socialised losses and recovery claims as facts: who bears how much, by which share, against
what.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backstop.core.events import Cause, EffectArray, EffectKind, SocialisePolicy
from backstop.core.kinds import ClaimEffect, Columns, HaircutEffect, PostingEffect
from backstop.explain.books import Books
from backstop.explain.debts import add_set_off, is_set_off
from backstop.explain.fact import Fact
from backstop.explain.funds import left_by_funds
from backstop.explain.scene import Scene, Socialised
from backstop.reference.loss import Cut
from backstop.reference.socialise import Room

__all__ = ["add_claim", "add_haircut", "add_socialised", "first_cuts", "loss_at", "those_who_lack"]

_BASES = {
    SocialisePolicy.GAINS_HAIRCUT: ("gains", "its owner's gains there, realised or not, at most what it has beyond maintenance margin"),
    SocialisePolicy.OPEN_INTEREST: ("notional", "what it has beyond maintenance margin"),
}


def first_cuts(effects: EffectArray, accounts: Sequence[int]) -> dict[int, int]:
    """Return the place of the first cut of each market, by market, where one of some accounts is cut or
    gets what others are cut by.
    """
    haircuts = np.flatnonzero(effects["kind"] == EffectKind.HAIRCUT)
    gets = (effects["kind"] == EffectKind.POSTING) & (effects["code"] == Cause.HAIRCUT)
    if not np.isin(effects["account"][haircuts], accounts).any() and not np.isin(effects["account"][gets], accounts).any():
        return {}
    markets, first = np.unique(effects["market"][haircuts], return_index=True)
    return dict(zip(markets.tolist(), haircuts[first].tolist(), strict=True))


def those_who_lack(effects: EffectArray, place: int) -> list[int]:
    """Return the accounts for which those who won are asked, as of a cut at a place: they end it whole,
    or with what is uncovered.
    """
    rows = effects[place:]
    gets = (rows["code"] == Cause.HAIRCUT) & (rows["other"] < 0)
    ends = (rows["kind"] == EffectKind.POSTING) & (gets | (rows["code"] == Cause.UNCOVERED)) & (rows["account"] >= 0)
    found: list[int] = np.unique(rows["account"][ends]).tolist()
    return found


def loss_at(books: Books, effects: EffectArray, place: int) -> Socialised:
    """Return the loss of the market of the HAIRCUT at a place, the first of it."""
    market = int(effects["market"][place])
    left = left_by_funds(books, effects[:place], those_who_lack(effects, place))
    parts = {account: part.amount for account, parts in left.items() for part in parts if part.market == market and part.amount}
    to_come = {part.market for parts in left.values() for part in parts if part.market >= market and part.amount}
    began = int(np.flatnonzero(effects["kind"] == EffectKind.HAIRCUT)[0])
    room = Room((books.rules.limits.effects_max - began) // 2, began)
    loss = books.loss(market, parts, room.payers(place, len(to_come)))
    sums = (loss.deficit, loss.paid, len(loss.payers), loss.weight_sum, loss.cap_sum)
    return Socialised(*sums, loss.cuts(), loss.received())


def add_haircut(scene: Scene, fact: Fact) -> None:
    """Work out weight, cap and cut of a payer of a socialised loss."""
    words, bears = scene.speaker, HaircutEffect(scene.row)
    if bears.payer != scene.account:
        return
    found = scene.shared.losses[bears.market]
    fact.because += _loss_lines(scene, found)
    cut = next((each for each in found.cuts if each.payer == scene.account), Cut(scene.account, 0, 0, 0))
    base, capped_by = _BASES[SocialisePolicy(scene.rules.socialise_policy)]
    if scene.rules.socialise_policy == SocialisePolicy.GAINS_HAIRCUT:
        fact.because.append("  what is open, or realised by ADL and tear-up in this event, counts with what it won in this epoch,")
        fact.because.append("  but not that of the side against which the mark moved since the epoch began")
    fact.because.append("  an owner's accounts count together; what he bears is laid on them, the largest free equity first")
    fact.because.append(f"  its owner's weight is {words.cash(cut.weight)} of {base} there; its cap {words.cash(cut.cap)},")
    fact.because.append(f"  {capped_by}; it pays {words.cash(cut.amount)}, and gets a claim for it")
    fact.check("cut", bears.amount, cut.amount)
    fact.check("weight", bears.weight, cut.weight)
    fact.check("cap", bears.cap, cut.cap)


def add_socialised(scene: Scene, fact: Fact) -> None:
    """Work out everybody's cut and what each account that lacks gets of it; of a payer whose position is
    closed, what it pays.
    """
    posting = PostingEffect(scene.row)
    if posting.payer >= 0:
        _add_paid_cut(scene, fact, posting)
        return
    found, told = scene.shared.losses[posting.market], _cuts_of(scene, posting.market)
    fact.because += _loss_lines(scene, found)
    fact.values["socialised"] = scene.speaker.cash(posting.amount)
    fact.check("what it gets", posting.amount, found.received.get(scene.account, 0))
    fact.check("payers of a cut", len(told), len(found.cuts))
    fact.check("cuts in all", sum(cut.amount for cut in told), sum(cut.amount for cut in found.cuts))
    fact.check("each cut, weight and cap", told == found.cuts, True)


def _add_paid_cut(scene: Scene, fact: Fact, posting: PostingEffect[int]) -> None:
    """Work out what a payer pays in money, and to which account of its owner, if to one."""
    cuts = scene.effects[: scene.place]
    last = cuts[(cuts["kind"] == EffectKind.HAIRCUT) & (cuts["account"] == posting.payer)][-1]
    fact.check("what it pays", posting.amount, int(HaircutEffect(last).amount))
    if posting.receiver < 0:
        fact.because.append("its owner has no lots there that won: it pays its cut from its money")
    elif posting.payer == scene.account:
        fact.because.append(f"lots of {scene.speaker.holder(posting.receiver)}, of its owner, won: they bear its cut, and it pays them")
    else:
        fact.because.append(f"its lots won: they bear what {scene.speaker.holder(posting.payer)}, of its owner, pays")


def _loss_lines(scene: Scene, found: Socialised) -> list[str]:
    words, (base, _) = scene.speaker, _BASES[SocialisePolicy(scene.rules.socialise_policy)]
    market, borne = words.market(scene.row["market"]), words.cash(found.paid)
    weights, caps = words.cash(found.weight_sum), words.cash(found.cap_sum)
    return [
        f"funds left {words.cash(found.deficit)} unpaid of what {market} lost; others bear {borne} of it, by {base} there",
        f"  {found.payers:,} may be asked, with {weights} of {base}, capped at {caps} together",
    ]


def _cuts_of(scene: Scene, market: int) -> list[Cut]:
    """Return the cuts in a market as the tape has them."""
    effects = scene.effects
    told = HaircutEffect[Columns](effects[(effects["kind"] == EffectKind.HAIRCUT) & (effects["market"] == market)])
    columns = (told.payer, told.amount, told.weight, told.cap)
    return [Cut(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def add_claim(scene: Scene, fact: Fact) -> None:
    """Work out what a recovery claim changes by, and what it then is."""
    claim = ClaimEffect(scene.row)
    if claim.account != scene.account:
        return
    if is_set_off(scene):
        add_set_off(scene, fact)
        return
    if claim.change > 0 and _is_lent(scene):
        add_lent(scene, fact, claim)
        return
    cut, paid, fund = 0, 0, scene.speaker.fund(claim.group)
    for each in scene.acted(EffectKind.CLAIM, EffectKind.HAIRCUT, EffectKind.POSTING):
        if each["kind"] == EffectKind.CLAIM:
            cut = paid = 0
        elif each["kind"] == EffectKind.HAIRCUT:
            cut += each["amount"]
        elif each["code"] == Cause.RECOVERY:
            paid += each["amount"]
    owed = f"what was cut is owed, and paid back when the {fund} has more than its target"
    fact.because.append(owed if cut else f"paid back by the {fund}")
    fact.check("change", claim.change, cut - paid)
    fact.check("claim", claim.claim, scene.mine.claims.get(claim.group, 0) + claim.change)


def _is_lent(scene: Scene) -> bool:
    """Return whether the account lent for gains that leave, right before."""
    before = scene.rows[scene.place - 1] if scene.place else None
    return before is not None and (before["kind"], before["code"]) == (EffectKind.POSTING, Cause.GAIN_SHARE)


def add_lent(scene: Scene, fact: Fact, claim: ClaimEffect[int]) -> None:
    """Say that what was lent for gains is owed."""
    fund = scene.speaker.fund(claim.group)
    fact.because.append(f"what was lent is owed, and paid back when nothing is uncovered and the {fund} has more than its target")
    fact.check("change", claim.change, scene.rows[scene.place - 1]["amount"])
    fact.check("claim", claim.claim, scene.mine.claims.get(claim.group, 0) + claim.change)
