"""dYdX v4: when an account is collateralised, when it is liquidated, who is riskier, which updates
may happen.

Sources: dydxprotocol/v4-chain, commit in ``dydx.COMMIT``; the number of a case is the line of its
test in protocol/x/clob/keeper/liquidations_test.go (ACCOUNTS), protocol/lib/margin/risk_test.go
(LEVELS, ORDERS), protocol/x/subaccounts/lib/updates_test.go (UPDATES).

Formulas: liquidated if maintenance > 0 and equity < maintenance. Collateralised, initially or for
maintenance, if equity is not below that margin. The riskier of two has the lower equity /
maintenance, by cross-multiplication; of equals, without maintenance the one with less equity, else
the one with more maintenance. Updates: ``tests.vectors.venues.dydx.judge_update``. Amounts in quote
quantums.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.vectors.tables.dydx import Position, btc
from tests.vectors.venues.dydx import UpdateResult

__all__ = ["ACCOUNTS", "LEVELS", "MARKETS", "ORDERS", "UPDATES", "Account", "Level", "Order", "Update"]

#: BTC at 50,000 USD, 20 % initial, 10 % maintenance.
MARKETS = (btc(200_000, 500_000),)


class Account(NamedTuple):
    """A whole account, and whether it is liquidated."""

    line: int
    quote: int
    positions: tuple[Position, ...]
    is_liquidatable: bool


class Level(NamedTuple):
    """Equity beside one margin, and the answer to ``question``."""

    line: int
    question: str
    equity: int
    margin: int
    answer: bool


class Order(NamedTuple):
    """Two accounts as (equity, maintenance): 1 if the first is riskier, -1 if the second is, 0 if
    neither.
    """

    line: int
    first: tuple[int, int]
    second: tuple[int, int]
    riskier: int


class Update(NamedTuple):
    """An account before as (equity, initial, maintenance), after as (equity, maintenance), below
    initial margin.
    """

    line: int
    before: tuple[int, int, int]
    after: tuple[int, int]
    result: UpdateResult


ACCOUNTS = (
    Account(2365, -1_000_000, (), False),
    Account(2371, -4_000_000_000, (Position(0, 10_000_000),), False),
    Account(2407, -4_501_000_000, (Position(0, 10_000_000),), True),
)

LEVELS = (
    Level(81, "initial", 200, 100, True),
    Level(91, "initial", 50, 100, False),
    Level(96, "initial", 0, 0, True),
    Level(101, "initial", -100, 0, False),
    Level(125, "maintenance", 200, 100, True),
    Level(130, "maintenance", 100, 100, True),
    Level(140, "maintenance", 0, 0, True),
    Level(175, "liquidatable", 0, 100, True),
    Level(185, "liquidatable", -100, 100, True),
    Level(190, "liquidatable", -100, 0, False),
    Level(195, "liquidatable", 75, 100, True),
    Level(205, "liquidatable", 125, 100, False),
)

ORDERS = (
    Order(242, (100, 50), (0, 100), -1),
    Order(249, (100, 50), (-100, 100), -1),
    Order(270, (0, 150), (100, 100), 1),
    Order(277, (-100, 150), (100, 100), 1),
    Order(298, (100, 100), (100, 0), 1),
    Order(306, (100, 100), (100, 100), 0),
    Order(313, (100, 50), (200, 100), -1),
    Order(327, (0, 0), (200, 100), -1),
    Order(334, (100, 50), (0, 0), 1),
)

UPDATES = (
    Update(27, (-1, 0, 0), (-2, 1), UpdateResult.STILL_UNDERCOLLATERALIZED),
    Update(35, (-1, 0, 0), (-1, 1), UpdateResult.STILL_UNDERCOLLATERALIZED),
    Update(43, (-1, 0, 0), (100, 1), UpdateResult.STILL_UNDERCOLLATERALIZED),
    Update(60, (-1, 0, 0), (-2, 0), UpdateResult.STILL_UNDERCOLLATERALIZED),
    Update(77, (-2, 1, 1), (-1, 0), UpdateResult.STILL_UNDERCOLLATERALIZED),
)
