"""The desk of the worked examples on the reference: what the rules' pages show, in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from desk import FACTOR, MARKET, SECOND_NS, VENUE, Desk, K, money

from backstop.core.events import EFFECT, FUND, NONE, EffectArray, EventKind
from backstop.core.instruments import CloseoutRules, LimitRules, MarketRules, VenueRules
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Event
from backstop.reference.state import State

__all__ = ["FACTOR", "MARKET", "SECOND_NS", "VENUE", "K", "RulesDesk", "money"]


class RulesDesk(Desk):
    """The reference, driven event by event."""

    def __init__(
        self,
        markets: int = 1,
        fund: int = 0,
        market: MarketRules = MARKET,
        venue: VenueRules = VENUE,
        spares: int = 0,
        **closeout: int,
    ) -> None:
        """Set every mark to 100.0 and pay the fund in. The last ``spares`` markets are not listed."""
        limits = LimitRules(accounts_max=16, positions_max=64, orders_max=64, effects_max=1024)
        spare = market._replace(is_listed=0)
        rules = venue._replace(
            markets=(market,) * (markets - spares) + (spare,) * spares, closeout=CloseoutRules(**closeout), limits=limits
        )
        self.engine, self.seq, self.now_ns, self.names = ReferenceEngine(rules), 0, 0, list[str]()
        for number in range(markets - spares):
            self.send(K.MARK, market=number, price_ticks=1_000)
        if fund:
            self.send(K.TRANSFER, account=FUND, amount=fund)

    @property
    def rules_state(self) -> State:
        """What the reference remembers."""
        return self.engine.state

    def send(self, kind: EventKind, **fields: int) -> EffectArray:
        """Apply the next event and return its effects."""
        self.seq += 1
        self.now_ns += SECOND_NS
        effects: Any = self.engine.apply(Event(self.seq, self.now_ns, kind, **fields))
        rows: EffectArray = np.array([tuple(effect) for effect in effects], dtype=EFFECT)
        return rows

    def open(self, name: str, deposit: int, owner: int = NONE, pocket: int = NONE, **lots: int) -> int:
        """Open an account with a deposit and positions at the mark, as ``Desk.open`` does; ``pocket``:
        the one market of a pocket.
        """
        account = len(self.names)
        self.names.append(name)
        self.send(K.ACCOUNT, account=account, other=account if owner == NONE else owner, market=pocket)
        if deposit:
            self.send(K.TRANSFER, account=account, amount=deposit)
        for market, quantity in lots.items():
            number = int(market.removeprefix("m"))
            amount = quantity * self.rules_state.markets[number].mark * FACTOR
            self.send(K.POSITION, account=account, market=number, lots=quantity, amount=amount)
        return account

    def clock(self) -> EffectArray:
        """Let time pass until the engine waits for nothing before it, and send a CLOCK."""
        self.now_ns = self.engine.next_time_ns() - SECOND_NS
        return self.send(K.CLOCK)
