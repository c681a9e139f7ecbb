"""Takeovers, haircuts and claims as facts: at which price, by which share, against what."""

from __future__ import annotations

from backstop.core.events import Cause, EffectKind, SocialisePolicy
from backstop.explain.closeout import zero_text
from backstop.explain.fact import Fact, percent
from backstop.explain.scene import Scene
from backstop.explain.sizes import add_offer_size, add_vault_size
from backstop.explain.socialised import Cut, Loss, first_of_loss
from backstop.explain.takeover import TakeoverPrice, offered_price, taken_price
from backstop.journal.rendering import Row

__all__ = ["add_claim", "add_haircut", "add_offer", "add_socialised", "add_takeover"]

_BASES = {
    SocialisePolicy.GAINS_HAIRCUT: ("open gains", "its open gains there, at most what it has beyond maintenance margin"),
    SocialisePolicy.OPEN_INTEREST: ("notional", "what it has beyond maintenance margin"),
}


def add_offer(scene: Scene, fact: Fact) -> None:
    """Work out the price that a provider is offered the position at, and what the fund reserves for it."""
    if scene.row["account"] != scene.account:
        return
    add_offer_size(scene, fact)
    price = offered_price(scene)
    if price is None:
        fact.because.append("the engine had no place for another order: how much was to be offered together is not on the tape")
        return
    _tell_price(scene, fact, price)
    fact.check("cash", scene.row["amount"], price.cash)
    fact.check("reserved", scene.row["value"], price.support)


def add_takeover(scene: Scene, fact: Fact) -> None:
    """Work out the price of a takeover by the vault; one by a provider is at what it was offered."""
    row, words = scene.row, scene.speaker
    if row["account"] != scene.account:
        return
    if row["other"] == 0:
        add_vault_size(scene, fact)
        price = taken_price(scene)
        _tell_price(scene, fact, price)
        fact.because.append("by the venue vault, at once: no other provider took it")
        fact.check("cash", row["amount"], price.cash)
        fact.check("support", row["value"], price.support)
    else:
        offer = scene.before.order
        known = offer is not None and int(offer.id) == row["other"]
        fact.because.append(f"at the price of offer {row['other']}, worked out when it was made")
        fact.check("lots offered", row["lots"], int(offer.lots) if known else "no such offer")
        fact.check("cash offered", row["amount"], int(offer.cash) if known else "no such offer")
        fact.check("support reserved", row["value"], int(offer.reserved) if known else "no such offer")
        at_mark = -row["lots"] * scene.mirror.unit(row["market"])
        given = words.cash(at_mark - row["amount"])
        gains = f"gets {given} for taking it over" if at_mark >= row["amount"] else f"loses {words.cash(row['amount'] - at_mark)} by it"
        fact.because.append(f"at mark it would receive {words.cash(at_mark)} now: the provider {gains}")
        fact.values["given_to_provider"] = given
    if row["value"]:
        scene.expected[int(Cause.SUPPORT)] = row["value"]


def _tell_price(scene: Scene, fact: Fact, price: TakeoverPrice) -> None:
    words, market = scene.speaker, scene.row["market"]
    given = words.cash(price.at_mark - price.cash)
    found = scene.mirror.assess()
    fact.because.append(zero_text(scene, market, price.lots_together, found.equity, found.maintenance))
    if price.zero != price.zero_together:
        fact.because.append(f"  zero cash of these lots, their part of it: {words.cash(price.zero)}")
    if price.solvent:
        share = percent(scene.rules.takeover.provider_share_ppm)
        fact.because.append(f"solvent: the provider gets {share} of the way from mark, {words.cash(price.at_mark)}, to zero cash: {given}")
    else:
        edge = percent(price.edge_ppm)
        fact.because.append(f"insolvent: the provider gets its edge, {edge} of the notional at mark, {words.cash(price.at_mark)}: {given}")
        fact.because.append(f"  the fund adds {words.cash(price.support)}: what that is short of zero cash")
    fact.values |= {
        "zero_cash": words.cash(price.zero),
        "cash_at_mark": words.cash(price.at_mark),
        "given_to_provider": given,
        "edge_ppm": None if price.solvent else price.edge_ppm,
        "provider_share_ppm": scene.rules.takeover.provider_share_ppm if price.solvent else None,
    }


def add_haircut(scene: Scene, fact: Fact) -> None:
    """Work out weight, cap and cut of a payer of a socialised loss, and raise the cost of its position by the cut."""
    row, words, mirror = scene.row, scene.speaker, scene.mirror
    if row["account"] != scene.account:
        return
    loss = scene.known.losses[first_of_loss(scene.rows, scene.place)]
    fact.because += _loss_lines(scene, loss)
    mine = [cut for cut in loss.cuts if cut.payer == scene.account]
    cut = next((each for each in mine if each.market == row["market"]), Cut(scene.account, row["market"], 0, 0, 0))
    base, capped_by = _BASES[loss.policy]
    fact.because.append(f"  its weight is {words.cash(cut.weight)} of {base} in the markets of the default; its cap {words.cash(cut.cap)},")
    fact.because.append(f"  {capped_by}; in all it pays {words.cash(sum(each.amount for each in mine))}, and gets a claim for it")
    fact.check("cut", row["amount"], cut.amount)
    fact.check("weight", row["value"], cut.weight)
    fact.check("cap", row["lots"], cut.cap)
    mirror.cut(row["market"], row["amount"])


def add_socialised(scene: Scene, fact: Fact) -> None:
    """Work out everybody's cut, where the posting is the first that a defaulter gets of a socialised loss."""
    first = first_of_loss(scene.rows, scene.place)
    is_first = all(row["kind"] != EffectKind.POSTING for row in scene.rows[first : scene.place])
    if scene.row["account"] != scene.account or not is_first:
        return
    loss = scene.known.losses[first]
    fact.because += _loss_lines(scene, loss)
    fact.values["socialised"] = scene.speaker.cash(sum(cut.amount for cut in loss.cuts))
    recorded = _cuts_of(scene, first)
    fact.check("payers of a cut", len({cut.payer for cut in recorded}), len({cut.payer for cut in loss.cuts}))
    fact.check("cuts in all", sum(cut.amount for cut in recorded), sum(cut.amount for cut in loss.cuts))
    fact.check("each cut, weight and cap", recorded == list(loss.cuts), True)


def _loss_lines(scene: Scene, loss: Loss) -> list[str]:
    words, (base, _) = scene.speaker, _BASES[loss.policy]
    markets = ", ".join(words.market(market) for market in loss.markets)
    borne = sum(cut.amount for cut in loss.cuts)
    return [
        f"the fund left {words.cash(loss.deficit)} unpaid; others bear {words.cash(borne)} of it, by {base} in {markets}",
        f"  {loss.payers:,} may be asked, with {words.cash(loss.weight_sum)} of {base}, capped at {words.cash(loss.cap_sum)} together",
    ]


def _cuts_of(scene: Scene, first: int) -> list[Cut]:
    """Return the cuts of a loss as the tape has them."""
    cuts, defaulter = [], scene.rows[first]["other"]
    for row in scene.rows[first:]:
        if row["kind"] == EffectKind.HAIRCUT and row["other"] == defaulter:
            cuts.append(Cut(row["account"], row["market"], row["amount"], row["value"], row["lots"]))
        elif row["kind"] not in (EffectKind.POSTING, EffectKind.CLAIM):
            break
    return cuts


def add_claim(scene: Scene, fact: Fact) -> None:
    """Work out what a recovery claim changes by, and what it then is."""
    row = scene.row
    if row["account"] != scene.account:
        return
    earlier = scene.rows[: scene.place]
    claims = [place for place, each in enumerate(earlier) if each["kind"] == EffectKind.CLAIM and each["account"] == scene.account]
    since = earlier[claims[-1] + 1 if claims else 0 :]
    cut = sum(each["amount"] for each in since if each["kind"] == EffectKind.HAIRCUT and each["account"] == scene.account)
    paid = sum(each["amount"] for each in since if _recovers(each, scene.account))
    fact.because.append("what was cut is owed, and paid back when the fund has more than its target" if cut else "paid back by the fund")
    fact.check("change", row["amount"], cut - paid)
    changes = sum(earlier[place]["amount"] for place in claims)
    fact.check("claim", row["value"], scene.before.claim + changes + row["amount"])


def _recovers(row: Row, account: int) -> bool:
    return row["kind"] == EffectKind.POSTING and row["code"] == Cause.RECOVERY and row["account"] == account
