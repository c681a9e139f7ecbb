"""What an ADL counterparty weighs and receives, as the reference has it."""

from __future__ import annotations

from backstop.core.events import AdlClass, AdlPolicy, EffectKind
from backstop.explain.fact import Fact
from backstop.explain.scene import Scene
from backstop.journal.rendering import Row
from backstop.reference.wave import Counterparty, cash_parts, weight_of

__all__ = ["add_share", "add_weight", "weight_text"]

_LOTS = "the lots that it holds there"
_WEIGHTS = {
    AdlPolicy.CAPPED_PRO_RATA: _LOTS,
    AdlPolicy.PRO_RATA: _LOTS,
    AdlPolicy.QUEUE: (
        "the rank score: with profit / cost of the position and leverage (its notional / equity of the account),"
        " their product in profit, minus their quotient at a loss"
    ),
    AdlPolicy.RISK_AWARE: "lots x leverage, its notional / equity of the account, rounded down, at least 1",
    AdlPolicy.RANDOM: "a number drawn from the event's seq, the market and the account",
}


def weight_text(policy: AdlPolicy, adl_class: AdlClass) -> str:
    """Say how the weight of a counterparty of a class comes about."""
    if adl_class == AdlClass.HOUSE:
        return _LOTS
    if policy == AdlPolicy.CAPPED_PRO_RATA and adl_class == AdlClass.PROFITABLE:
        return "unrealised profit of the position there, its value at mark less its cost"
    return _WEIGHTS[policy]


def add_weight(scene: Scene, fact: Fact) -> None:
    """Say how the weight of the ADL_FILL that is looked at comes about, and check it where it is lots or profit."""
    row, policy, adl_class = scene.row, AdlPolicy(scene.rules.adl_policy), AdlClass(scene.row["code"])
    holding = scene.holding(row["market"])
    says = f"weight: {weight_text(policy, adl_class)}"
    if policy in (AdlPolicy.CAPPED_PRO_RATA, AdlPolicy.PRO_RATA):
        if policy == AdlPolicy.CAPPED_PRO_RATA and adl_class == AdlClass.PROFITABLE:
            says += f": {scene.speaker.venue.asset.text(holding.value)} less {scene.speaker.cash(holding.cost)}"
        counterparty = Counterparty(scene.account, holding, scene.portfolio)
        fact.check("weight", row["value"], weight_of(policy, adl_class, counterparty, scene.event["seq"]))
    fact.because.append(says)


def add_share(scene: Scene, fact: Fact, first: int) -> None:
    """Say which part of the defaulter's cash the ADL_FILL that is looked at has, and check it; ``first``: of the ADL_PLAN."""
    row, plan, words = scene.row, scene.rows[first], scene.speaker
    market, total, lots = plan["market"], plan["amount"], abs(plan["lots"])
    received = cash_parts(total, {fill["account"]: abs(fill["lots"]) for fill in _fills(scene.rows, first)})[row["account"]]
    fact.check("cash", row["amount"], received)
    quantity, mark = words.lots(market, plan["lots"]), words.price(market, plan["price_ticks"])
    at_mark = words.cash(-plan["lots"] * plan["price_ticks"] * scene.rules.markets[market].notional_factor)
    mine, whole, part = words.lots(market, abs(row["lots"])), words.lots(market, lots), words.cash(abs(received))
    fact.because += [
        f"the defaulter's {quantity} are closed for {words.cash(total)} in all; at mark {mark} that is {at_mark}",
        f"  its share: {words.cash(abs(total))} x {mine} / {whole}, rounded down, the atoms left by largest remainder: {part}",
    ]
    fact.values |= {"cash_in_all": words.cash(total), "quantity_in_all": quantity, "mark_price": mark}


def _fills(rows: list[Row], first: int) -> list[Row]:
    """Return the ADL_FILL rows of a plan."""
    found = list[Row]()
    for row in rows[first + 1 :]:
        if row["kind"] not in (EffectKind.ADL_CLASS, EffectKind.ADL_FILL):
            break
        if row["kind"] == EffectKind.ADL_FILL:
            found.append(row)
    return found
