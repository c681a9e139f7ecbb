"""What an ADL counterparty weighs and receives, as the reference has it."""

from __future__ import annotations

from backstop.config.policies import LOTS_WEIGHT, POLICIES, PROFIT_WEIGHT, Weight, weight_kind
from backstop.core.events import AdlClass, AdlPolicy, EffectKind
from backstop.explain.fact import Fact
from backstop.explain.scene import Scene
from backstop.journal.rendering import Row
from backstop.reference.wave import Counterparty, cash_parts, weight_of

__all__ = ["add_share", "add_weight", "weight_text"]


def weight_text(policy: AdlPolicy, adl_class: AdlClass) -> str:
    """Say how the weight of a counterparty of a class comes about."""
    weight = weight_kind(policy, adl_class)
    if weight == Weight.LOTS:
        return LOTS_WEIGHT
    return PROFIT_WEIGHT if weight == Weight.PROFIT else POLICIES[policy].says


def add_weight(scene: Scene, fact: Fact) -> None:
    """Say how the weight of the ADL_FILL that is looked at comes about, and check it where it is lots or profit."""
    row, policy, adl_class = scene.row, AdlPolicy(scene.rules.adl_policy), AdlClass(scene.row["code"])
    holding = scene.holding(row["market"])
    says, weight = f"weight: {weight_text(policy, adl_class)}", weight_kind(policy, adl_class)
    if weight != Weight.SCORE:
        if weight == Weight.PROFIT:
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
