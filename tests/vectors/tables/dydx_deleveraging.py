"""dYdX v4: when an account is deleveraged, against whom, and at what price.

Sources: dydxprotocol/v4-chain, commit in ``dydx.COMMIT``; the number of a case is the line of its
test in protocol/x/clob/keeper/deleveraging_test.go, in protocol/x/subaccounts/lib/oimf_test.go for
OPEN_INTEREST.
Formulas: ``tests.vectors.venues.dydx``. A walk starts at a pseudo-random account there: here the
candidates stand in the order in which the fills are written.

Markets: BTC 50,000 USD (but for the price named with a case) and ETH 3,000 USD. In WALKS 100 %
initial and maintenance, else 20 % and 10 %. Amounts in quote quantums, sizes in base quantums.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.vectors.tables.dydx import Venue, btc, eth
from tests.vectors.venues.dydx import Account, DeleveragePrice

__all__ = [
    "BTC",
    "ETH",
    "MARKETS",
    "OPEN_INTEREST",
    "PAIRS",
    "PERMISSIONS",
    "WALKS",
    "WALK_MARKETS",
    "OpenInterest",
    "Outcome",
    "Pair",
    "Permission",
    "Walk",
]

MARKETS = (btc(200_000, 500_000), eth(200_000, 500_000))
WALK_MARKETS = (btc(1_000_000, 1_000_000), eth(1_000_000, 1_000_000))
BTC, ETH = 0, 1
#: One BTC and one ETH, in their base quantums.
COIN, ETHER = 100_000_000, 1_000_000_000
BANKRUPTCY, ORACLE = DeleveragePrice.BANKRUPTCY, DeleveragePrice.ORACLE

#: BTC a little below 50,000, so that no notional is whole.
_ODD = Venue(4_999_999_937, -5, -8, 200_000, 500_000)
_ODD_MARKETS = (_ODD, MARKETS[ETH])


class Permission(NamedTuple):
    """An account short of BTC, its raw price, whether the market is in final settlement, and the
    price of a deleveraging.
    """

    line: int
    account: Account
    price_raw: int
    is_in_final_settlement: bool
    price: DeleveragePrice | None


class Walk(NamedTuple):
    """A defaulter, the others, what is to be closed of BTC; the fills as (other, quantums), what
    remains, open interest after.

    ``after`` holds the accounts, the defaulter first; None where the source compares none.
    """

    line: int
    defaulter: Account
    others: tuple[Account, ...]
    delta: int
    fills: tuple[tuple[int, int], ...]
    remaining: int
    open_interest: int
    after: tuple[Account, ...] | None


class Outcome(NamedTuple):
    """What a pair ends in: both accounts, or that it is accepted, rejected, or has a delta that
    closes nothing.
    """

    accounts: tuple[Account, Account] | None
    is_accepted: bool
    is_delta_valid: bool = True


class Pair(NamedTuple):
    """A defaulter and another account, what is closed of BTC, at which price."""

    line: int
    defaulter: Account
    other: Account
    delta: int
    price: DeleveragePrice
    outcome: Outcome
    markets: tuple[Venue, ...] = MARKETS


class OpenInterest(NamedTuple):
    """The (position before, delta) of each account in an update, and the change of open
    interest.
    """

    line: int
    updates: tuple[tuple[int, int], ...]
    change: int


ACCEPTED, REJECTED, INVALID = Outcome(None, True), Outcome(None, False), Outcome(None, False, False)


def _of(quote_milli: int, coins: int = 0, ethers: int = 0) -> Account:
    """Return an account from thousandths of a USD and base quantums."""
    positions = {market: quantums for market, quantums in ((BTC, coins), (ETH, ethers)) if quantums}
    return Account(quote_milli * 1_000, positions)


def _ends(defaulter: Account, other: Account) -> Outcome:
    return Outcome((defaulter, other), True)


PERMISSIONS = (
    Permission(137, _of(54_999_000, -COIN), 5_000_000_000, False, None),
    Permission(165, _of(54_999_000, -COIN), 5_500_000_000, False, BANKRUPTCY),
)

WALKS = (
    Walk(345, _of(54_999_000, -COIN), (_of(50_000_000, COIN),), COIN, ((0, COIN),), 0, 0, (_of(0), _of(104_999_000))),
    Walk(375, _of(-54_999_000, COIN), (_of(100_000_000, -COIN),), -COIN, ((0, COIN),), 0, 0, (_of(0), _of(45_001_000))),
    Walk(
        403,
        _of(54_999_000, -COIN),
        (_of(50_000_000, COIN // 2), _of(50_000_000, COIN // 2)),
        COIN,
        ((0, COIN // 2), (1, COIN // 2)),
        0,
        0,
        (_of(0), _of(77_499_500), _of(77_499_500)),
    ),
    Walk(
        472,
        _of(54_999_000, -COIN),
        (_of(100_000_000, -COIN), _of(50_000_000, COIN)),
        COIN,
        ((1, COIN),),
        0,
        0,
        (_of(0), _of(100_000_000, -COIN), _of(104_999_000)),
    ),
    Walk(
        504,
        _of(54_999_000, -COIN),
        (_of(50_000_000, 0, ETHER), _of(50_000_000, COIN)),
        COIN,
        ((1, COIN),),
        0,
        0,
        (_of(0), _of(50_000_000, 0, ETHER), _of(104_999_000)),
    ),
    Walk(568, _of(50_000_000, -COIN), (_of(-50_001_000, COIN),), COIN, (), COIN, COIN, None),
    Walk(
        581,
        _of(47_000_000, -COIN, ETHER),
        (_of(50_000_000, COIN),),
        COIN,
        ((0, COIN),),
        0,
        0,
        (_of(-3_000_000, 0, ETHER), _of(100_000_000)),
    ),
)

PAIRS = (
    Pair(808, _of(54_999_000, -COIN), _of(-45_001_000, COIN), COIN, BANKRUPTCY, _ends(_of(0), _of(9_998_000))),
    Pair(825, _of(54_999_000, -COIN), _of(-50_000_000, COIN), COIN, BANKRUPTCY, _ends(_of(0), _of(4_999_000))),
    Pair(842, _of(54_999_000, -COIN), _of(-50_001_000, COIN), COIN, BANKRUPTCY, _ends(_of(0), _of(4_998_000))),
    Pair(892, _of(50_000_000, -COIN), _of(-50_000_000, COIN), COIN, BANKRUPTCY, _ends(_of(0), _of(0))),
    Pair(921, _of(49_999_000, -COIN), _of(50_000_000, COIN), COIN, BANKRUPTCY, _ends(_of(0), _of(99_999_000))),
    Pair(955, _of(49_999_000, -COIN), _of(-50_000_000, COIN), COIN, BANKRUPTCY, REJECTED),
    Pair(
        982,
        _of(54_999_000, -COIN),
        _of(50_000_000, COIN),
        COIN // 10,
        BANKRUPTCY,
        _ends(_of(49_499_100, -9 * COIN // 10), _of(55_499_900, 9 * COIN // 10)),
    ),
    Pair(1019, _of(49_999_000, -COIN), _of(-50_001_000, COIN), COIN // 10, BANKRUPTCY, REJECTED),
    Pair(
        1034,
        _of(80_800_000, -COIN, -10 * ETHER),
        _of(50_000_000, COIN),
        COIN,
        BANKRUPTCY,
        _ends(_of(30_300_000, 0, -10 * ETHER), _of(100_500_000)),
    ),
    Pair(1086, _of(54_999_000, -COIN), _of(50_000_000, COIN), -COIN, BANKRUPTCY, INVALID),
    Pair(1093, _of(54_999_000, -COIN), _of(50_000_000, COIN), 5 * COIN, BANKRUPTCY, INVALID),
    Pair(1100, _of(54_999_000, -COIN), _of(100_000_000, -COIN), COIN, BANKRUPTCY, INVALID),
    Pair(1107, _of(54_999_000, -COIN), _of(50_000_000, COIN // 10), COIN, BANKRUPTCY, INVALID),
    Pair(1250, _of(50_000_000, COIN), _of(54_999_000, -COIN), -COIN, ORACLE, _ends(_of(100_000_000), _of(4_999_000))),
    Pair(1268, _of(100_000_000, -COIN), _of(-50_000_000, COIN), COIN, ORACLE, _ends(_of(50_000_000), _of(0))),
    Pair(1291, _of(54_999_000, -COIN), _of(50_000_000, COIN), COIN, ORACLE, _ends(_of(4_999_000), _of(100_000_000))),
    Pair(1309, _of(50_000_000, -COIN), _of(-50_001_000, COIN), COIN, ORACLE, REJECTED),
    Pair(1317, _of(49_999_000, -COIN), _of(-45_001_000, COIN), COIN, ORACLE, REJECTED),
    Pair(1325, _of(49_999_000, -COIN), _of(50_000_000, COIN), COIN, ORACLE, REJECTED),
    Pair(1446, _of(54_999_000, -COIN), _of(50_000_000, COIN), 49_999_991, BANKRUPTCY, ACCEPTED, _ODD_MARKETS),
    Pair(1451, _of(-45_001_000, COIN), _of(100_000_000, -COIN), -49_999_991, BANKRUPTCY, ACCEPTED, _ODD_MARKETS),
    Pair(1456, _of(45_001_000, -COIN), _of(50_000_000, COIN), 49_999_991, BANKRUPTCY, ACCEPTED, _ODD_MARKETS),
    Pair(1477, _of(-54_999_000, COIN), _of(100_000_000, -COIN), -49_999_991, BANKRUPTCY, ACCEPTED, _ODD_MARKETS),
)

OPEN_INTEREST = (
    OpenInterest(152, ((0, 500), (0, -500)), 500),
    OpenInterest(238, ((500, -150), (0, 150)), 0),
    OpenInterest(275, ((-100, 300), (250, -300)), -50),
)
