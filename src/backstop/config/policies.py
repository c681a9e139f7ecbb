"""One row per ADL policy: what a counterparty weighs, how that reads, its colour in a picture."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from backstop.core.events import AdlClass, AdlPolicy

__all__ = ["LOTS_WEIGHT", "POLICIES", "PROFIT_WEIGHT", "PolicyWords", "Weight", "is_levelled", "weight_kind"]


class Weight(Enum):
    """What a weight is."""

    LOTS = "lots"
    #: Atoms of profit of those in profit, lots of the others.
    PROFIT = "profit"
    #: A number that is neither.
    SCORE = "score"


class PolicyWords(NamedTuple):
    """What people read of an ADL policy."""

    weight: Weight
    #: How the weight comes about.
    says: str
    colour: str
    #: How a score reads.
    score: str = "{}"
    #: What candidates stand in order of, where the policy takes whole caps one by one.
    #: Empty where it shares in proportion.
    order: str = ""


LOTS_WEIGHT = "the lots that its owner holds there net"
PROFIT_WEIGHT = "the result of its owner there since the epoch began, at mark"

#: Colours that also those tell apart who do not see red and green (Okabe and Ito).
POLICIES: dict[AdlPolicy, PolicyWords] = {
    AdlPolicy.CAPPED_PRO_RATA: PolicyWords(Weight.PROFIT, LOTS_WEIGHT, "#0072B2"),
    AdlPolicy.QUEUE: PolicyWords(
        Weight.SCORE,
        "the rank score of its owner: with result / what it is measured from and leverage (net notional / equity),"
        " their product in profit, minus their quotient at a loss",
        "#D55E00",
        score="rank score {} ppm",
        order="rank score",
    ),
    AdlPolicy.PRO_RATA: PolicyWords(Weight.LOTS, LOTS_WEIGHT, "#56B4E9"),
    AdlPolicy.RISK_AWARE: PolicyWords(
        Weight.SCORE,
        "net lots x leverage, their notional / equity of the owner, rounded down, at least 1",
        "#009E73",
        score="{} (lots x leverage)",
    ),
    AdlPolicy.RANDOM: PolicyWords(
        Weight.SCORE,
        "a number drawn from the event's seq, the market and the owner",
        "#999999",
        score="drawn number {}",
        order="their drawn numbers",
    ),
    AdlPolicy.WATER_FILLING: PolicyWords(
        Weight.SCORE,
        "the factor leverage of its owner: his positions in all markets by their loadings, as notional of this one, over his equity",
        "#CC79A7",
        score="factor leverage {} ppm",
    ),
}


def is_levelled(policy: int, adl_class: int) -> bool:
    """Return whether leverage is levelled among the candidates of a class."""
    return policy == AdlPolicy.WATER_FILLING and adl_class not in (AdlClass.HOUSE, AdlClass.CROSSED)


def weight_kind(policy: int, adl_class: int) -> Weight:
    """Return what the weight of a candidate of a class is: lots, atoms of profit, or a score."""
    weight = POLICIES[AdlPolicy(policy)].weight
    if adl_class in (AdlClass.HOUSE, AdlClass.CROSSED) or (weight == Weight.PROFIT and adl_class != AdlClass.PROFITABLE):
        return Weight.LOTS
    return weight
