"""The notice of a leg that is left naked, as a fact: what hedged what, and how far exposure grew."""

from __future__ import annotations

from backstop.core.events import NONE, Cause, EffectKind
from backstop.core.kinds import NakedLegEffect, TradeEffect
from backstop.explain.fact import Fact
from backstop.explain.rows import Rows
from backstop.explain.scene import Scene
from backstop.journal.rendering import Row, Speaker
from backstop.reference.naked_legs import Leg, naked_leg

__all__ = ["add_naked_leg", "naked_text", "taken_of"]


def naked_text(told: NakedLegEffect[int], words: Speaker) -> str:
    """Say what is left naked, and how far exposure grew."""
    side = "long" if told.lots > 0 else "short"
    leg = f"{side} {words.lots(told.naked_market, abs(told.lots))} in {words.market(told.naked_market)}"
    return f"{leg}, exposure {words.cash(told.after)} where it would be {words.cash(told.before)}"


def add_naked_leg(scene: Scene, fact: Fact) -> None:
    """Say what hedged what, and check it where the owner has one account."""
    told, words = NakedLegEffect(scene.row), scene.speaker
    if told.account != scene.account:
        return
    taken = taken_of(scene.rows[: scene.place], scene.account)
    hedge, naked = words.market(told.market), words.market(told.naked_market)
    side, other = ("long", "short") if told.lots > 0 else ("short", "long")
    loadings = [scene.rules.markets[market].factor_loading_ppm for market in (told.market, told.naked_market)]
    if loadings[0] * loadings[1] < 0:
        other = side
    fact.because.append(f"the owner's {other} of {hedge} hedged his {side} of {naked}: ADL or tear-up took of it in this event")
    fact.because += [f"  taken: {words.lots(market, lots)} in {words.market(market)}" for market, lots in sorted(taken.items())]
    before, after = words.cash(told.before), words.cash(told.after)
    fact.because.append(
        f"his exposure went from {before} to {after}: the sum of factor_loading_ppm x value at mark, accounts not in default"
    )
    fact.because.append(f"  the largest of that side is left naked: {words.lots(told.naked_market, told.lots)} in {naked}")
    if not scene.is_only_account:
        return
    legs = {
        each.market: Leg(each.lots, taken.get(each.market, 0), each.contract.rules.factor_loading_ppm * each.contract.value_of(1))
        for each in scene.portfolio.holdings
    }
    found = naked_leg(legs)
    fact.check("exposure grew", True, found is not None)
    if found is not None:
        fact.check("exposure", told.after, found.after)
        fact.check("exposure without what was taken", told.before, found.before)
        fact.check("market of the leg left naked", told.naked_market, found.naked)
        fact.check("market of the hedge", told.market, found.hedge)
        fact.check("lots left naked", told.lots, legs[found.naked].lots)


def taken_of(rows: Rows, account: int) -> dict[int, int]:
    """Return the signed lots that others' defaults took of an account, by market."""
    taken = dict[int, int]()
    for row in rows:
        if row["kind"] == EffectKind.TRADE and row["account"] == account and _takes(row):
            trade = TradeEffect(row)
            taken[trade.market] = taken.get(trade.market, 0) - trade.lots
    return taken


def _takes(row: Row) -> bool:
    """Say whether a trade took lots for another's default: not one of defaulters with each other."""
    trade = TradeEffect(row)
    if trade.counterpart == NONE:
        return False
    return trade.cause == Cause.TEAR_UP or (trade.cause == Cause.ADL and trade.price_ticks == 0)
