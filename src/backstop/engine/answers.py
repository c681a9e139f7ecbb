"""What ``Engine`` answers when it is asked: named tuples of integers, each with its unit."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from backstop.core.events import BreakerState, Health

__all__ = ["Account", "Fund", "Market", "OpenOrder", "OrderKind", "Position", "Wait", "WaitsFor"]


class Account(NamedTuple):
    """An account at the accepted marks. Money is in atoms of its asset."""

    account: int
    owner: int
    balance_atoms: int
    #: Balance, and the results of its positions at mark, funding that is not settled yet included.
    equity_atoms: int
    initial_margin_atoms: int
    #: Below it the account is in default.
    maintenance_margin_atoms: int
    #: Below it providers are asked before the book, where the venue has them.
    close_out_margin_atoms: int
    #: From here on an account in default is released.
    release_level_atoms: int
    health: Health
    #: Whether its own orders were cancelled, and new risk is forbidden.
    is_restricted: bool
    #: Since when it is in default, nanoseconds since 1970; None: it is not.
    default_since_ns: int | None
    #: Recovery claims: what it will be paid back.
    claims_atoms: int
    #: Number of its asset, the place in ``venue.assets``.
    asset: int


class Position(NamedTuple):
    """One account's lots in one market."""

    market: int
    symbol: str
    #: Signed.
    lots: int
    #: What the lots cost, signed as they are.
    cost_atoms: int
    #: What they are worth at mark, signed as they are.
    value_atoms: int
    maintenance_margin_atoms: int
    #: The price of this market nearest to safety at which the account is in default (equity below
    #: maintenance margin), all other prices unchanged; None: no price of the market is.
    liquidation_ticks: int | None
    #: Likewise, at which its equity is below 0.
    bankruptcy_ticks: int | None


class OrderKind(StrEnum):
    """What an open order asks for."""

    #: The venue's book takes lots of an account in default.
    CLOSING = "closing"
    #: A backstop provider takes them over.
    OFFER = "offer"
    #: A provider sells what it took over.
    DISPOSAL = "disposal"


class OpenOrder(NamedTuple):
    """An order or an offer that the outside has not answered in full."""

    order_id: int
    kind: OrderKind
    account: int
    market: int
    #: Signed change of the position that was ordered, and how much (> 0) of it is filled.
    lots: int
    filled_lots: int
    #: The worst price allowed; of an offer 0.
    limit_ticks: int
    #: What the fund of the market's group keeps for it.
    reserved_atoms: int
    sent_ns: int
    #: Whom an offer was made to, and until when it stands; None: it is no offer.
    provider: int | None
    expires_ns: int | None


class Fund(NamedTuple):
    """The insurance fund of one market group, in atoms of its asset."""

    group: str
    balance_atoms: int
    #: What is kept for open orders and to carry accounts; the latter alone.
    reserved_atoms: int
    carried_atoms: int
    #: What nobody paid of the group's losses.
    uncovered_atoms: int
    #: Number of its asset, the place in ``venue.assets``.
    asset: int


class Market(NamedTuple):
    """One market: prices in ticks (0: none came yet) and the state of its breakers."""

    market: int
    symbol: str
    mark_ticks: int
    index_ticks: int
    #: The severer of the market's own and the venue's.
    breaker: BreakerState


class WaitsFor(StrEnum):
    """What an account waits for."""

    #: Fills of its closing orders, at most until their timeout.
    ORDERS = "orders"
    #: Answers to its offers, at most until they expire.
    OFFERS = "offers"
    #: The venue doubts a price that its closing would need.
    DOUBT = "doubt"
    #: A market in which it has lots is halted.
    HALT = "halt"
    #: The next slice or the next try of its stage.
    INTERVAL = "interval"
    #: A provider, not in default: its next time to sell what it took over.
    DISPOSAL = "disposal"


class Wait(NamedTuple):
    """What an account waits for, and until when at the latest: then the engine looks at it again."""

    waits_for: WaitsFor
    #: Nanoseconds since 1970.
    until_ns: int
