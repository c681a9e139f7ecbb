"""Vega: settlement when losers cannot pay, the network's disposal of what it took over, the price
of a closeout.

Sources: vegaprotocol/vega, commit ``COMMIT``: core/collateral/engine_test.go and
network_mtm_test.go for SETTLEMENTS (the number is the line of the test),
core/execution/liquidation/engine_test.go for DISPOSALS, core/matching/closeoutprice_test.go for
CLOSEOUTS. Formulas: ``tests.vectors.venues.vega``. The rest of the source's cases, on margins, are
not here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from tests.vectors.venues.vega import DisposalRules, Loser

__all__ = [
    "CLOSEOUTS",
    "COMMIT",
    "DISPOSALS",
    "REPOSITORY",
    "SETTLEMENTS",
    "ChangeStep",
    "CloseoutCase",
    "DisposalCase",
    "SettlementCase",
    "TakeOver",
    "Tick",
    "Trade",
]

REPOSITORY = "vegaprotocol/vega"
COMMIT = "a50750cc10809d64b24c05f99b77345693eb9bc3"


class SettlementCase(NamedTuple):
    """Losers, what winners are due, the insurance pool; the pool after, what was collected, what
    winners get.

    ``paid`` is None where the source compares only the sums.
    """

    name: str
    losers: tuple[Loser, ...]
    due: dict[str, int]
    insurance: int
    insurance_after: int
    collected: int
    paid: dict[str, int] | None


class Tick(NamedTuple):
    """A moment with so much volume within reach; the contracts that the network then offers, its
    limit where given.
    """

    now_s: int
    available: int
    size: int
    is_in_auction: bool = False
    limit: int | None = None


class TakeOver(NamedTuple):
    """The network takes over so many more contracts."""

    now_s: int
    size: int


class Trade(NamedTuple):
    """So many contracts of the network's are taken."""

    now_s: int
    size: int


class ChangeStep(NamedTuple):
    """The step between orders becomes this long."""

    step_s: int


class DisposalCase(NamedTuple):
    """Rules, the long position taken over at 0 s, the market's mid and lowest valid price, then
    what happens.
    """

    name: str
    rules: DisposalRules
    position: int
    steps: tuple[Tick | TakeOver | Trade | ChangeStep, ...]
    mid: int = 100
    lowest_valid: int = 0


class CloseoutCase(NamedTuple):
    """Levels of a book as (price, size), best first, a size; the mean price, None for an error."""

    name: str
    levels: tuple[tuple[int, int], ...]
    size: int
    price: int | None


_LOSERS = (Loser(700, 500), Loser(1_400, 1_100))
_DUE = {"w1": 1_400, "w2": 700}

SETTLEMENTS = (
    SettlementCase("transferLoss_L931", (Loser(1_000, 0),), {"winner": 1_000}, 5_000, 4_000, 1_000, {"winner": 1_000}),
    SettlementCase("lossSocialization_L1204", _LOSERS, _DUE, 0, 0, 1_600, {"w1": 1_066, "w2": 534}),
    SettlementCase("mtmLossSocialization_L2335", _LOSERS, _DUE, 0, 0, 1_600, {"w1": 1_066, "w2": 534}),
    SettlementCase("networkLoss_covered_L40", (Loser(1_000, 0), Loser(1_000, 5_000)), {"a": 2_000}, 2_000, 1_000, 2_000, None),
)

_TENTH, _FIFTH, _HALF, _WHOLE = Fraction(1, 10), Fraction(1, 5), Fraction(1, 2), Fraction(1)
_AT_ONCE = DisposalRules(0, _WHOLE, 1_000_000, _HALF, Fraction(10))

DISPOSALS = (
    DisposalCase(
        "over_time",
        DisposalRules(5, _TENTH, 10, _FIFTH, Fraction(0)),
        50,
        (
            Tick(2, 1_000, 0),
            Tick(5, 1_000, 5),
            Tick(7, 1_000, 0),
            Tick(10, 1_000, 0, is_in_auction=True),
            Tick(10, 1_000, 5),
            TakeOver(11, 1),
            Tick(15, 1_000, 6),
            Tick(16, 1_000, 0),
            ChangeStep(3),
            Tick(18, 1_000, 6),
            Trade(18, 41),
            Tick(21, 1_000, 10),
        ),
    ),
    DisposalCase("empty_book", DisposalRules(0, _WHOLE, (1 << 64) - 1, _WHOLE, Fraction(10)), 10, (Tick(0, 0, 0),)),
    DisposalCase("rounds_up_to_one", _AT_ONCE, 10, (Tick(0, 1, 1),)),
    # Nothing in the book itself, 100 in an automated pool.
    DisposalCase("pool_volume_counts", _AT_ONCE, 10, (Tick(0, 100, 10),)),
    DisposalCase("price_bound", _AT_ONCE, 10, (Tick(0, 100, 10, limit=150),), mid=150, lowest_valid=150),
)

_ONE_LEVEL = ((100, 100),)
_BUYS, _SELLS = ((100, 100), (90, 100), (80, 100)), ((100, 100), (110, 100), (120, 100))

CLOSEOUTS = (
    CloseoutCase("buy_normal", _ONE_LEVEL, 10, 100),
    CloseoutCase("buy_zero", _ONE_LEVEL, 0, None),
    CloseoutCase("sell_normal", _ONE_LEVEL, 10, 100),
    CloseoutCase("sell_short", _ONE_LEVEL, 200, None),
    CloseoutCase("sell_wrong_side", (), 10, None),
    CloseoutCase("buy2_100", _BUYS, 100, 100),
    CloseoutCase("buy2_200", _BUYS, 200, 95),
    CloseoutCase("buy2_300", _BUYS, 300, 90),
    CloseoutCase("sell2_100", _SELLS, 100, 100),
    CloseoutCase("sell2_300", _SELLS, 300, 110),
)
