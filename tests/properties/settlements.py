"""INV-08 where a doubt lasts: a market is settled once, at one price, and is empty then."""

from __future__ import annotations

from backstop.core.events import Cause, EffectKind, EventKind, Settlement, clearing_of, error_inventory_of, outside_of
from backstop.core.rows import ALL_SETTLED, TRADED
from tests.properties.moment import Findings, Moment

__all__ = ["settled_at_the_price", "settlement_is_told", "settlements_scan"]

F = EffectKind


def settlement_is_told(moment: Moment) -> Findings:
    """INV-08: it begins in a doubted market, at a price that somebody gave, and is done when nobody has
    lots there.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.SETTLEMENT:
        return
    breaker, row = mirror.breakers[effect.market], mirror.markets[effect.market]
    if effect.other != row.mark:
        yield f"{effect}: the mark is {row.mark}"
    if effect.code == Settlement.DONE:
        left = {holder: mirror.held_lots(holder, effect.market) for holder in mirror.positions}
        if breaker.settlement == TRADED or effect.price_ticks != row.mark or any(left.values()):
            yield f"{effect}: {left} at {row.mark}"
        return
    asked = (moment.event.kind, moment.event.market, moment.event.price_ticks)
    if effect.code == Settlement.VENUE:
        if breaker.settlement != TRADED or asked != (EventKind.SETTLEMENT, effect.market, effect.price_ticks):
            yield f"{effect}: the venue asked for {asked}"
        return
    if breaker.settlement != TRADED or not breaker.undoubted or not mirror.rules.breakers.doubt_settles:
        yield f"{effect}: not doubted, or settled already"
    prices = {Settlement.OPERATOR: breaker.given_ticks, Settlement.INDEX: _index(moment), Settlement.UNDOUBTED: breaker.undoubted}
    source = next((each for each, price in prices.items() if price), None)
    if source is None or (effect.code, effect.price_ticks) != (source, prices[source]):
        yield f"{effect}: prices are {prices}"


def _index(moment: Moment) -> int:
    """Return the index where it is alive, else 0."""
    age, since = moment.mirror.rules.breakers.stale_ns, int(moment.state.breakers[moment.effect.market].index_time_ns)
    is_dead = age > 0 and moment.mirror.now - since > age
    return 0 if is_dead else moment.mirror.markets[moment.effect.market].index


def settled_at_the_price(moment: Moment) -> Findings:
    """INV-08: whoever is settled gives all its lots, at the price, and only OUTSIDE and the inventory of
    errors take them.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.TRADE:
        return
    breaker, row = mirror.breakers[effect.market], mirror.markets[effect.market]
    if (effect.code == Cause.SETTLEMENT) != (breaker.settlement != TRADED):
        yield f"{effect}: settlement of the market is {breaker.settlement}"
    if effect.code != Cause.SETTLEMENT:
        return
    house = (outside_of(effect.market), error_inventory_of(effect.market))
    held = mirror.held_lots(effect.account, effect.market)
    if effect.price_ticks != row.mark or (effect.account not in house and (effect.lots != -held or effect.other != house[0])):
        yield f"{effect}: held {held}, mark {row.mark}"


def settlements_scan(moment: Moment) -> Findings:
    """INV-08: the engine's rows say what was told; in a market that is settled nobody has anything, and
    no order is out in one that is being settled.
    """
    mirror, state = moment.mirror, moment.state
    for market, row in enumerate(state.breakers[:-1]):
        told, kept = mirror.breakers[market].settlement, int(row.settlement)
        if (told == TRADED) != (kept == TRADED) or (told == ALL_SETTLED) != (kept == ALL_SETTLED):
            yield f"market {market}: settlement {kept}, told {told}"
        if kept == TRADED:
            continue
        if int(state.markets[market].mark_ticks) != mirror.markets[market].mark:
            yield f"market {market}: settles at {mirror.markets[market].mark}, mark {state.markets[market].mark_ticks}"
        if any(order.market == market for order in mirror.open_orders.values()):
            yield f"market {market} is being settled, with open orders"
        left = {holder: held[market] for holder, held in mirror.positions.items() if market in held}
        if kept == ALL_SETTLED and (mirror.ledger[clearing_of(market)] or any(each.lots or each.cost for each in left.values())):
            yield f"market {market} is settled, with {left} and {mirror.ledger[clearing_of(market)]} in clearing"
