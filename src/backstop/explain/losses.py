"""Socialised losses and recovery claims as facts: who bears how much, by which share, against
what.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import Cause, EffectArray, EffectKind, SocialisePolicy
from backstop.core.kinds import ClaimEffect, Columns, HaircutEffect, TearUpEffect
from backstop.explain.books import Books
from backstop.explain.debts import add_set_off, is_set_off
from backstop.explain.fact import Fact
from backstop.explain.funds import unpaid
from backstop.explain.scene import LossPlaces, Scene, Socialised
from backstop.journal.rendering import Row
from backstop.reference.loss import Cut

__all__ = ["add_claim", "add_haircut", "add_socialised", "loss_at", "loss_places", "told_of_losses"]

_BASES = {
    SocialisePolicy.GAINS_HAIRCUT: ("open gains", "its open gains there, at most what it has beyond maintenance margin"),
    SocialisePolicy.OPEN_INTEREST: ("notional", "what it has beyond maintenance margin"),
}
#: What stands between the cuts of one loss.
_WITHIN: tuple[EffectKind, ...] = (EffectKind.HAIRCUT, EffectKind.POSTING, EffectKind.CLAIM)

#: Postings of one loss that are told one by one.
_TOLD_MAX = 20


def loss_places(effects: EffectArray, groups: Sequence[int]) -> LossPlaces:
    """Find the losses among an event's effects: HAIRCUTs for one defaulter in one market group, with
    nothing but postings and claims in between; ``groups``: by market.
    """
    kinds, haircuts = effects["kind"], np.flatnonzero(effects["kind"] == EffectKind.HAIRCUT)
    others_before = np.cumsum(~np.isin(kinds, _WITHIN))[haircuts]
    within = (effects["other"][haircuts], np.array(groups)[effects["market"][haircuts]], others_before)
    begins = np.append(True, np.any([np.diff(each) != 0 for each in within], axis=0))[: len(haircuts)]
    return LossPlaces(haircuts, haircuts[np.flatnonzero(begins)][np.cumsum(begins) - 1])


def loss_at(books: Books, rows: Sequence[Row], place: int) -> Socialised:
    """Return the loss that begins with the HAIRCUT at a place."""
    defaulter, group, paid = rows[place]["other"], books.group_of(rows[place]["market"]), 0
    deficit, _ = unpaid(books, rows[:place], defaulter, group, is_uncovered=False)
    for row in reversed(rows[:place]):
        if row["kind"] == EffectKind.TEAR_UP and row["account"] == defaulter:
            # Who owes it for a fill may have given what the fund was to pay.
            deficit = min(TearUpEffect(row).gap - paid, max(0, -books.portfolio(defaulter).equity))
            break
        if row["kind"] == EffectKind.TRADE:
            break
        if row["kind"] == EffectKind.POSTING and row["account"] == defaulter and row["code"] == Cause.TEAR_UP:
            paid += row["amount"]
    loss = books.loss(defaulter, deficit, group)
    sums = (loss.deficit, max(0, loss.paid), len(loss.payers), loss.weight_sum, loss.cap_sum)
    return Socialised(*sums, loss.cuts(), books.loss_markets(defaulter, group))


def add_haircut(scene: Scene, fact: Fact) -> None:
    """Work out weight, cap and cut of a payer of a socialised loss."""
    words, bears = scene.speaker, HaircutEffect(scene.row)
    if bears.payer != scene.account:
        return
    found = scene.shared.losses[scene.shared.places.first(scene.place)]
    fact.because += _loss_lines(scene, found)
    mine = [cut for cut in found.cuts if cut.payer == scene.account]
    cut = next((each for each in mine if each.market == bears.market), Cut(scene.account, bears.market, 0, 0, 0))
    base, capped_by = _BASES[SocialisePolicy(scene.rules.socialise_policy)]
    fact.because.append(f"  its weight is {words.cash(cut.weight)} of {base} in the markets of the default; its cap {words.cash(cut.cap)},")
    fact.because.append(f"  {capped_by}; in all it pays {words.cash(sum(each.amount for each in mine))}, and gets a claim for it")
    fact.check("cut", bears.amount, cut.amount)
    fact.check("weight", bears.weight, cut.weight)
    fact.check("cap", bears.cap, cut.cap)


def add_socialised(scene: Scene, fact: Fact) -> None:
    """Work out everybody's cut, where the posting is the first that a defaulter gets of a
    socialised loss.
    """
    first = scene.shared.places.first(scene.place)
    is_first = not np.any(scene.effects["kind"][first : scene.place] == EffectKind.POSTING)
    if scene.row["account"] != scene.account or not is_first:
        return
    found = scene.shared.losses[first]
    cuts, recorded = found.cuts, _cuts_of(scene, first)
    fact.because += _loss_lines(scene, found)
    if len(recorded) > _TOLD_MAX:
        fact.because.append(f"  {len(recorded):,} postings bring it; the first {_TOLD_MAX} are told")
    fact.values["socialised"] = scene.speaker.cash(sum(cut.amount for cut in cuts))
    fact.check("payers of a cut", len({cut.payer for cut in recorded}), len({cut.payer for cut in cuts}))
    fact.check("cuts in all", sum(cut.amount for cut in recorded), sum(cut.amount for cut in cuts))
    fact.check("each cut, weight and cap", recorded == cuts, True)


def _loss_lines(scene: Scene, found: Socialised) -> list[str]:
    words, (base, _) = scene.speaker, _BASES[SocialisePolicy(scene.rules.socialise_policy)]
    names, borne = ", ".join(words.market(market) for market in found.markets), words.cash(found.paid)
    weights, caps = words.cash(found.weight_sum), words.cash(found.cap_sum)
    return [
        f"the fund left {words.cash(found.deficit)} unpaid; others bear {borne} of it, by {base} in {names}",
        f"  {found.payers:,} may be asked, with {weights} of {base}, capped at {caps} together",
    ]


def told_of_losses(effects: EffectArray, places: LossPlaces) -> NDArray[np.bool_]:
    """Return which effects are told one by one: of the postings of one loss only the first."""
    told = np.ones(len(effects), np.bool_)
    is_cut = (effects["kind"] == EffectKind.POSTING) & (effects["code"] == Cause.HAIRCUT)
    for first in np.unique(places.firsts).tolist():
        last = int(places.of(first)[-1])
        told[first + np.flatnonzero(is_cut[first : last + 2])[_TOLD_MAX:]] = False
    return told


def _cuts_of(scene: Scene, first: int) -> list[Cut]:
    """Return the cuts of a loss as the tape has them."""
    told = HaircutEffect[Columns](scene.effects[scene.shared.places.of(first)])
    columns = (told.payer, told.market, told.amount, told.weight, told.cap)
    return [Cut(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def add_claim(scene: Scene, fact: Fact) -> None:
    """Work out what a recovery claim changes by, and what it then is."""
    claim = ClaimEffect(scene.row)
    if claim.account != scene.account:
        return
    if is_set_off(scene):
        add_set_off(scene, fact)
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
