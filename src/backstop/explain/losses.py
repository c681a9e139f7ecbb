"""Socialised losses and recovery claims as facts: who bears how much, by which share, against
what.
"""

from __future__ import annotations

from backstop.core.events import Cause, EffectKind, SocialisePolicy
from backstop.core.kinds import ClaimEffect, HaircutEffect, PostingEffect, TearUpEffect
from backstop.explain.books import Books
from backstop.explain.debts import add_set_off, is_set_off
from backstop.explain.fact import Fact
from backstop.explain.funds import unpaid
from backstop.explain.scene import Scene, Socialised
from backstop.journal.rendering import Row
from backstop.reference.loss import Cut

__all__ = ["add_claim", "add_haircut", "add_socialised", "first_of_loss", "loss_at"]

_BASES = {
    SocialisePolicy.GAINS_HAIRCUT: ("open gains", "its open gains there, at most what it has beyond maintenance margin"),
    SocialisePolicy.OPEN_INTEREST: ("notional", "what it has beyond maintenance margin"),
}
#: What stands between the cuts of one loss.
_WITHIN = (EffectKind.HAIRCUT, EffectKind.POSTING, EffectKind.CLAIM)


def first_of_loss(books: Books, rows: list[Row], place: int) -> int:
    """Return the place of the first HAIRCUT of the loss that the row at ``place`` belongs to: that
    of one defaulter in one market group.
    """
    last = next(row for row in reversed(rows[: place + 1]) if row["kind"] == EffectKind.HAIRCUT)
    defaulter, group = last["other"], books.group_of(last["market"])
    first = place
    for earlier in range(place, -1, -1):
        row = rows[earlier]
        if row["kind"] not in _WITHIN:
            break
        if row["kind"] == EffectKind.HAIRCUT and (row["other"], books.group_of(row["market"])) != (defaulter, group):
            break
        if row["kind"] == EffectKind.HAIRCUT:
            first = earlier
    return first


def loss_at(books: Books, rows: list[Row], place: int) -> Socialised:
    """Return the loss that begins with the HAIRCUT at a place."""
    defaulter, group, paid = rows[place]["other"], books.group_of(rows[place]["market"]), 0
    deficit, _ = unpaid(books, rows[:place], defaulter, group)
    for row in reversed(rows[:place]):
        if row["kind"] == EffectKind.TEAR_UP and row["account"] == defaulter:
            deficit = TearUpEffect(row).gap - paid
            break
        if row["kind"] == EffectKind.CLAIM or (row["kind"] == EffectKind.SUPPORT and row["account"] == defaulter):
            continue
        if row["kind"] != EffectKind.POSTING or row["account"] != defaulter or row["code"] != Cause.TEAR_UP:
            break
        paid += row["amount"]
    loss = books.loss(defaulter, deficit, group)
    return Socialised(loss, loss.cuts(), books.loss_markets(defaulter, group))


def add_haircut(scene: Scene, fact: Fact) -> None:
    """Work out weight, cap and cut of a payer of a socialised loss."""
    words, bears = scene.speaker, HaircutEffect(scene.row)
    if bears.payer != scene.account:
        return
    found = scene.shared.losses[first_of_loss(scene.books, scene.rows, scene.place)]
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
    first = first_of_loss(scene.books, scene.rows, scene.place)
    is_first = all(row["kind"] != EffectKind.POSTING for row in scene.rows[first : scene.place])
    if scene.row["account"] != scene.account or not is_first:
        return
    found = scene.shared.losses[first]
    cuts, recorded = found.cuts, _cuts_of(scene, first)
    fact.because += _loss_lines(scene, found)
    fact.values["socialised"] = scene.speaker.cash(sum(cut.amount for cut in cuts))
    fact.check("payers of a cut", len({cut.payer for cut in recorded}), len({cut.payer for cut in cuts}))
    fact.check("cuts in all", sum(cut.amount for cut in recorded), sum(cut.amount for cut in cuts))
    fact.check("each cut, weight and cap", recorded == cuts, True)


def _loss_lines(scene: Scene, found: Socialised) -> list[str]:
    words, (base, _) = scene.speaker, _BASES[SocialisePolicy(scene.rules.socialise_policy)]
    loss, markets = found.loss, found.markets
    names, borne = ", ".join(words.market(market) for market in markets), words.cash(max(0, loss.paid))
    weights, caps = words.cash(loss.weight_sum), words.cash(loss.cap_sum)
    return [
        f"the fund left {words.cash(loss.deficit)} unpaid; others bear {borne} of it, by {base} in {names}",
        f"  {len(loss.payers):,} may be asked, with {weights} of {base}, capped at {caps} together",
    ]


def _cuts_of(scene: Scene, first: int) -> list[Cut]:
    """Return the cuts of a loss as the tape has them."""
    cuts, of_loss = [], HaircutEffect(scene.rows[first])
    group_of = scene.books.group_of
    for row in scene.rows[first:]:
        if row["kind"] == EffectKind.HAIRCUT:
            bears = HaircutEffect(row)
            if (bears.defaulter, group_of(bears.market)) != (of_loss.defaulter, group_of(of_loss.market)):
                break
            cuts.append(Cut(bears.payer, bears.market, bears.amount, bears.weight, bears.cap))
        elif row["kind"] not in (EffectKind.POSTING, EffectKind.CLAIM):
            break
    return cuts


def add_claim(scene: Scene, fact: Fact) -> None:
    """Work out what a recovery claim changes by, and what it then is."""
    claim = ClaimEffect(scene.row)
    if claim.account != scene.account:
        return
    if is_set_off(scene):
        add_set_off(scene, fact)
        return
    earlier = scene.rows[: scene.place]
    claims = [place for place, each in enumerate(earlier) if each["kind"] == EffectKind.CLAIM and each["account"] == scene.account]
    fund = scene.speaker.fund(claim.group)
    since = earlier[claims[-1] + 1 if claims else 0 :]
    cut = sum(each["amount"] for each in since if each["kind"] == EffectKind.HAIRCUT and each["account"] == scene.account)
    paid = sum(each["amount"] for each in since if _recovers(each, scene.account))
    owed = f"what was cut is owed, and paid back when the {fund} has more than its target"
    fact.because.append(owed if cut else f"paid back by the {fund}")
    fact.check("change", claim.change, cut - paid)
    fact.check("claim", claim.claim, scene.mine.claims.get(claim.group, 0) + claim.change)


def _recovers(row: Row, account: int) -> bool:
    return row["kind"] == EffectKind.POSTING and (PostingEffect(row).cause, PostingEffect(row).receiver) == (Cause.RECOVERY, account)
