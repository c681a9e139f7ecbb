"""Takeovers as facts: how many lots to whom, at which price, with what the fund adds."""

from __future__ import annotations

from backstop.core.events import Cause, EffectKind
from backstop.core.instruments import PPM
from backstop.core.kinds import OfferEffect, ReserveEffect, TakeoverEffect
from backstop.explain.charges import add_charge
from backstop.explain.closing import zero_text
from backstop.explain.fact import Fact, percent
from backstop.explain.funds import support_text
from backstop.explain.scene import Plan, Scene
from backstop.reference.offering import Backer, Offering, RoomBound, TakeoverPrice

__all__ = ["add_offer", "add_takeover", "bound_text", "follow_offers"]


def follow_offers(scene: Scene) -> None:
    """Keep the plan of offers: it begins, or goes on with the next position, at an offer or at what
    is reserved for one.
    """
    row, rows, plan = scene.row, scene.rows, scene.offers
    is_offer = row["kind"] == EffectKind.OFFER
    if row["kind"] == EffectKind.RESERVE and scene.place + 1 < len(rows):
        following = rows[scene.place + 1]
        is_offer = following["kind"] == EffectKind.OFFER and OfferEffect(following).offer_id == ReserveEffect(row).order_id
    if row["account"] != scene.account or not is_offer:
        return
    if plan is None or any(each["kind"] != EffectKind.PROVIDER for each in rows[plan.last_place + 1 : scene.place]):
        plan = scene.offers = scene.new_plan()
    earlier = plan.offering
    if earlier is None or earlier.holding.market != row["market"]:
        if earlier is not None:
            plan.expected = earlier.expected_after(earlier.lots)
        asked = [number for number, each in enumerate(scene.rules.providers) if not each.is_vault]
        able = [number for number in asked if scene.books.refusal_to_ask(number, scene.account) is None]
        plan.offering = scene.books.offering(scene.account, row["market"], able, scene.way_out(row["market"]), plan.expected)
    plan.last_place = scene.place


def add_offer(scene: Scene, fact: Fact) -> None:
    """Work out the lots and the price that a provider is offered, and what the fund reserves for
    it.
    """
    offer, plan = OfferEffect(scene.row), scene.offers
    if offer.account != scene.account:
        return
    assert isinstance(plan, Plan)
    offering = plan.offering
    assert offering is not None
    mine = _add_offer_size(scene, fact, offering, offer)
    order_places = scene.state.orders
    next_place = order_places[int(scene.state.engine[0].next_order_id) % len(order_places)]
    if int(next_place.is_open) or int(next_place.members):
        fact.because.append("the engine had no place for another order: how much was to be offered together is not on the tape")
        return
    together, before = _offered_together(scene)
    price = offering.price(mine, abs(offer.lots), before, together)
    _tell_price(scene, fact, offering, price, together)
    fact.check("cash", offer.cash, price.cash)
    fact.check("reserved", offer.reserved, price.support)


def _add_offer_size(scene: Scene, fact: Fact, offering: Offering, offer: OfferEffect[int]) -> Backer:
    """Say how the lots of an offer come about, and check them; return who is asked."""
    words, part = scene.speaker, offering.parts().get(offer.provider, 0)
    _, before = _offered_together(scene)
    fact.because += [] if before else _size_lines(scene, offering)
    if len(offering.backers) > 1:
        mine, together = words.lots(offer.market, part), words.lots(offer.market, offering.lots)
        says = f"its part of the {together} is {mine}: by weight, at most what it can carry; lots left by largest remainder"
        fact.because.append(f"size: {says}" if before else f"  {says}")
    fact.check("lots", abs(offer.lots), part)
    fact.values |= _size_values(scene, offering)
    asked = {backer.number: backer for backer in offering.asked}
    return asked.get(offer.provider) or scene.books.backer(offer.provider, offer.market, offering.holding.side)


def _offered_together(scene: Scene) -> tuple[int, int]:
    """Return the lots of this position that were offered at once, and those of them that were
    offered before.
    """
    row, rows = scene.row, scene.rows
    first = last = scene.place

    def belongs(place: int) -> bool:
        other = rows[place]
        same = (other["account"], other["market"]) == (row["account"], row["market"])
        return same and other["kind"] in (EffectKind.OFFER, EffectKind.RESERVE)

    while first > 0 and belongs(first - 1):
        first -= 1
    while last + 1 < len(rows) and belongs(last + 1):
        last += 1
    lots = {place: abs(rows[place]["lots"]) for place in range(first, last + 1) if rows[place]["kind"] == EffectKind.OFFER}
    return sum(lots.values()), sum(each for place, each in lots.items() if place < scene.place)


def add_takeover(scene: Scene, fact: Fact) -> None:
    """Work out lots and price of a takeover by the vault; one by a provider is at what it was
    offered.
    """
    taken = TakeoverEffect(scene.row)
    if taken.account != scene.account:
        return
    if taken.offer_id == 0:
        _add_vault_takeover(scene, fact, taken)
    else:
        _add_accepted_offer(scene, fact, taken)
    at_mark = scene.holding(taken.market).value_of(abs(taken.lots))
    add_charge(scene, fact, taken.market, abs(taken.lots), at_mark - taken.cash)
    if taken.support:
        scene.expected[int(Cause.SUPPORT)] = taken.support


def _add_vault_takeover(scene: Scene, fact: Fact, taken: TakeoverEffect[int]) -> None:
    lots, way_out = abs(taken.lots), scene.way_out(taken.market)
    offering = scene.books.offering(scene.account, taken.market, [taken.provider], way_out)
    fact.because += _size_lines(scene, offering)
    fact.check("lots", lots, offering.lots)
    fact.values |= _size_values(scene, offering)
    price = offering.price(offering.asked[0], lots)
    _tell_price(scene, fact, offering, price, lots)
    fact.because.append("by the venue vault, at once: no other provider took it")
    fact.check("cash", taken.cash, price.cash)
    fact.check("support", taken.support, price.support)


def _add_accepted_offer(scene: Scene, fact: Fact, taken: TakeoverEffect[int]) -> None:
    words, offer = scene.speaker, scene.books.offer(taken.offer_id)
    fact.because.append(f"at the price of offer {taken.offer_id}, worked out when it was made")
    fact.check("lots offered", taken.lots, -offer.side * offer.lots if offer is not None else "no such offer")
    fact.check("cash offered", taken.cash, offer.cash if offer is not None else "no such offer")
    fact.check("support reserved", taken.support, offer.reserved if offer is not None else "no such offer")
    at_mark = scene.holding(taken.market).value_of(abs(taken.lots))
    given = words.cash(at_mark - taken.cash)
    gains = f"gets {given} for taking it over" if at_mark >= taken.cash else f"loses {words.cash(taken.cash - at_mark)} by it"
    fact.because.append(f"at mark it would receive {words.cash(at_mark)} now: the provider {gains}")
    fact.values["given_to_provider"] = given


def _tell_price(scene: Scene, fact: Fact, offering: Offering, price: TakeoverPrice, together: int) -> None:
    words, share_ppm = scene.speaker, offering.provider_share_ppm
    given = words.cash(price.at_mark - price.cash)
    fact.because.append(zero_text(scene, offering.portfolio, scene.row["market"], together))
    if price.zero != price.zero_together:
        fact.because.append(f"  zero cash of these lots, their part of it: {words.cash(price.zero)}")
    at_mark = words.cash(price.at_mark)
    if price.is_solvent:
        fact.because.append(f"solvent: the provider gets {percent(share_ppm)} of the way from mark, {at_mark}, to zero cash: {given}")
    else:
        edge = percent(price.edge_ppm)
        fact.because.append(f"insolvent: the provider gets its edge, {edge} of the notional at mark, {at_mark}: {given}")
        fact.because.append(f"  the fund adds {words.cash(price.support)}: what that is short of zero cash")
    fact.values |= {
        "zero_cash": words.cash(price.zero),
        "cash_at_mark": at_mark,
        "given_to_provider": given,
        "edge_ppm": None if price.is_solvent else price.edge_ppm,
        "provider_share_ppm": share_ppm if price.is_solvent else None,
    }


# -- the size in words -----------------------------------------------------------------------------


def _size_lines(scene: Scene, offering: Offering) -> list[str]:
    words, market = scene.speaker, scene.row["market"]
    holds = f"size: it holds {words.lots(market, offering.holding.lots)}"
    if offering.least is not None:
        lines = [f"{holds}, {words.lots(market, offering.least)} restore it:", _restored(scene, offering, offering.least)]
    else:
        lines = [f"{holds}, {'and no part of it would restore it' if offering.is_solvent else 'insolvent: all of it is to go'}"]
    for backer in offering.backers:
        room, bound = offering.rooms[backer.number], _bound_text(scene, offering, backer)
        carries = f"  {words.provider(backer.number)} can carry {words.lots(market, room)} of it"
        by_score = f"that by its score {percent(backer.score_ppm)}"
        weight = f"; weight {words.lots(market, backer.weight(room))}, {by_score}" if len(offering.backers) > 1 else ""
        lines.append(f"{carries}: {bound}{weight}" if bound else f"{carries}, all that is to go{weight}")
    if not offering.is_solvent and offering.backers:
        lines.append(f"  {_supported(scene, offering)}")
    return [*lines, f"  bounded by: {_bounded_by(offering)}"]


def _restored(scene: Scene, offering: Offering, lots: int) -> str:
    """Show that the takeover of so many lots brings the account to its release level."""
    cash, after = scene.speaker.text, offering.expected_after(lots)
    return (
        f"    equity {cash(offering.expected.equity)} less the larger of the providers' share of the way to zero,"
        f" {cash(offering.share_cost(lots))}, and what the book would cost, {cash(offering.way_out.cost(lots).whole)}, is"
        f" {cash(after.equity)}; release level {percent(PPM + after.rules.exit_buffer_ppm)}"
        f" of the {cash(after.maintenance)} maintenance margin left is {cash(after.release)}"
    )


def _bound_text(scene: Scene, offering: Offering, backer: Backer) -> str:
    """Say what one lot more would exceed; empty: nothing, it can carry all that is to go."""
    more = offering.rooms[backer.number] + 1
    bound = backer.exceeded(more) if more <= offering.wanted else None
    return "" if bound is None else bound_text(scene, backer, bound, more)


def bound_text(scene: Scene, backer: Backer, bound: RoomBound, lots: int) -> str:
    """Say a bound that a provider would exceed with so many lots more, with its terms."""
    words, cash, market = scene.speaker, scene.speaker.cash, scene.row["market"]
    lot, equity, carried = cash(backer.contract.notional_of(1)), cash(backer.portfolio.equity), cash(backer.gross_after(0))
    holds = f"it holds {words.lots(market, backer.promised)} there, open offers included"
    needs = f"{'one lot more' if lots else 'what it has'} needs, open offers included, initial margin {cash(backer.initial_after(lots))}"
    return {
        RoomBound.NO_ROW: "it has no row for this market, and none is free",
        RoomBound.COMMITMENT: (
            f"commitment {cash(backer.commitment.capacity)} less {cash(backer.used)} used is {cash(backer.free)}, one lot {lot}"
        ),
        RoomBound.POSITION_NOTIONAL: (f"a position there may have {cash(backer.commitment.position_notional_max)}; {holds}, one lot {lot}"),
        RoomBound.POSITION_LOTS: f"the market's largest position is {words.lots(market, backer.contract.rules.position_lots_max)}; {holds}",
        RoomBound.INITIAL_MARGIN: f"equity {equity}; {needs}",
        RoomBound.LEVERAGE: (
            f"at most {backer.rules.leverage_ppm / PPM:g} x equity {equity}; it carries {carried}, open offers included, one lot {lot}"
        ),
    }[bound]


def _supported(scene: Scene, offering: Offering) -> str:
    """Say what the fund may have to pay for the lots, and what it could."""
    words, count = scene.speaker, len(offering.backers)
    rounding = f"{count:,} {'atom' if count == 1 else 'atoms'} for rounding"
    part = f"{words.lots(scene.row['market'], offering.lots)} at edge {percent(offering.edge_ppm)}"
    worst, says = words.cash(offering.worst_support(offering.lots)), support_text(scene, scene.row["market"], offering.fund)
    return f"the fund may have to pay {worst} for {part}: what that is short of zero cash, and {rounding}; {says}"


def _bounded_by(offering: Offering) -> str:
    if offering.lots < offering.carried:
        return "what the fund can support"
    if offering.lots < offering.wanted:
        return "what can be carried"
    return "nothing: it is the whole position" if offering.least is None else "the least that restores the account"


def _size_values(scene: Scene, offering: Offering) -> dict[str, object]:
    words, market = scene.speaker, scene.row["market"]
    return {
        "restoring": None if offering.least is None else words.lots(market, offering.least),
        "offered_together_lots": offering.lots,
        "bounded_by": _bounded_by(offering),
        "providers": [
            {
                "provider": words.provider(backer.number),
                "can_carry_lots": offering.rooms[backer.number],
                "bound": _bound_text(scene, offering, backer),
                "score_ppm": backer.score_ppm,
                "weight_lots": backer.weight(offering.rooms[backer.number]),
            }
            for backer in offering.backers
        ],
    }
