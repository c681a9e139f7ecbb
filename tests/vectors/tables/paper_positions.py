"""Chitra et al. 2025, "Autodeleveraging: Impossibilities and Optimization" (arXiv 2512.01112): two
worked examples.

Source: the paper's TeX, github.com/pluriholonomic/autodeleveraging-analysis,
paper/main_corrected.tex and paper/corrected/. Published to four or five decimals.

The five positions open at a mark of 1. The mark goes to 1.4 (the reference price to 1.5), then to
1.3 (1.25). Funding of a step is ``rate x mark x quantity``, paid by the shorts where the rate is
positive, ``rate = longs / shorts - mark / reference``. Effective leverage is notional over equity;
where equity is negative, over what is missing.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

__all__ = ["BUDGET", "FIVE", "HAIRCUTS", "MAINTENANCE_PPM", "QUEUE", "STEPS", "TOTALS", "Claim", "Five", "Share", "Step"]


class Step(NamedTuple):
    """A mark, the reference price beside it, and the funding rate that follows from them, as
    published.
    """

    mark: Fraction
    reference: Fraction
    rate: str


class Five(NamedTuple):
    """One position: signed quantity, collateral; then the published figures."""

    name: str
    quantity: int
    collateral: Fraction
    funding: tuple[str, str]
    equity: tuple[str, str]
    #: Effective leverage after the first step, and after the second where the paper gives it.
    leverage: tuple[str, str]
    #: Without funding; 0 where no price reaches it.
    bankruptcy_price: str
    liquidation_price: str


STEPS = (Step(Fraction(14, 10), Fraction(15, 10), "-.33333"), Step(Fraction(13, 10), Fraction(125, 100), "-.44"))
MAINTENANCE_PPM = 100_000

FIVE = (
    Five("A", 1, Fraction(2), ("-.4667", "-.572"), ("1.9333", "1.2613"), (".7241", "1.0307"), "0", "0"),
    Five("B", 1, Fraction(2, 3), ("-.4667", "-.572"), (".6000", "-.0720"), ("2.3333", "18.056"), ".33333", ".37037"),
    Five("C", -4, Fraction(8, 3), ("1.8667", "2.288"), ("2.9333", "5.6213"), ("1.9091", ".9250"), "1.66667", "1.51515"),
    Five("D", 1, Fraction(2, 19), ("-.4667", "-.572"), (".0386", "-.6334"), ("36.273", "2.0524"), ".89474", ".99415"),
    Five("E", -1, Fraction(10, 99), (".4667", ".572"), (".1677", ".8397"), ("8.3494", "1.5482"), "1.10101", "1.00092"),
)

#: After the second step: equity of the winners, deficit of the losers, haircut on the winners that
#: covers it.
TOTALS = {"winners": "7.72234", "deficit": ".70540", "haircut": ".091346"}


class Share(NamedTuple):
    """A rule of haircuts, its weight as a power of effective leverage, and the shares of the
    winners A, C, E.
    """

    power: int
    shares: tuple[str, str, str]


HAIRCUTS = (Share(0, (".1633", ".7279", ".1087")), Share(2, (".1641", ".5893", ".2466")))


class Claim(NamedTuple):
    """A winner of the second example: equity, positive P&L, place in the queue, haircut and equity
    after it by both rules.
    """

    equity: Fraction
    profit: Fraction
    queue_place: int
    queue_haircut: str
    queue_equity: str
    pro_rata_haircut: str
    pro_rata_equity: str


#: Three winners face losers whose equity is -3 and -12, of which half is to be covered.
QUEUE = (
    Claim(Fraction(10), Fraction(8), 1, ".4375", "6.5", ".6", "5.2"),
    Claim(Fraction(5), Fraction(4), 0, "1", "1", ".6", "2.6"),
    Claim(Fraction(1), Fraction(1, 2), 2, "0", "1", ".6", ".7"),
)
BUDGET = Fraction(1, 2) * (3 + 12)
