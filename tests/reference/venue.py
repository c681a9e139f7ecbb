"""A small venue for cases worked by hand: markets alike, short holds, defaults that close at
once.
"""

from __future__ import annotations

from backstop.core.events import NONE, EffectKind, EventKind, Operator, Stage, Transfer
from backstop.core.instruments import BreakerRules, FundRules, FundsRules, LimitRules, MarketRules, TierRules, VenueRules, check_rules
from backstop.reference.breakers import breaker_digest
from backstop.reference.engine import Effect, Event, ReferenceEngine
from tests.reference.invariants import findings

__all__ = ["PLAIN", "PRICED", "SHORT", "Venue", "guards", "moves"]

K, F = EventKind, EffectKind
#: Margin of 10 %, everything off.
PLAIN = MarketRules(1, 10_000, 1_000, (TierRules(0, 100_000, 100_000),), (1_000,), 0)
#: Throttled at 10 %, halted at 20 %, over below 5 %.
PRICED = PLAIN._replace(price_throttle_ppm=100_000, price_halt_ppm=200_000, price_exit_ppm=50_000)
#: Holds of 50, reopenings of 10, windows of 100.
SHORT = BreakerRules(hold_max_ns=50, reopen_ns=10, price_window_ns=100, flow_window_ns=100)


class Venue:
    """Markets with the same rules and a reference, driven at times in nanoseconds; nothing may be
    broken after any event.
    """

    def __init__(
        self,
        market: MarketRules,
        *,
        count: int = 1,
        breakers: BreakerRules = SHORT,
        fund: FundsRules | None = None,
        stages: tuple[Stage, ...] = (Stage.FUND, Stage.ADL, Stage.TEAR_UP),
    ) -> None:
        """One group a market; ADL takes what it can, the fund pays for the flat."""
        rules = VenueRules(
            tuple(market._replace(group=number) for number in range(count)),
            stages=stages,
            funds=(FundRules(),) * count,
            fund=fund or FundsRules(),
            breakers=breakers,
            limits=LimitRules(accounts_max=32),
        )
        check_rules(rules)
        self.reference, self.seq = ReferenceEngine(rules), -1

    def at(self, time_ns: int, kind: EventKind = K.CLOCK, **fields: int) -> list[Effect]:
        """Apply an event."""
        self.seq += 1
        effects = self.reference.apply(Event(self.seq, time_ns, int(kind), **fields))
        assert findings(self.reference.state) == []
        return effects

    def mark(self, time_ns: int, price_ticks: int, market: int = 0) -> list[tuple[int, ...]]:
        """Move a mark; return what breakers did."""
        return moves(self.at(time_ns, K.MARK, market=market, price_ticks=price_ticks))

    def live(self, time_ns: int, market: int = 0) -> list[tuple[int, ...]]:
        """A market gives a sign of life; return what breakers did."""
        return moves(self.at(time_ns, K.HEARTBEAT, market=market))

    def open(self, time_ns: int, balance: int, lots: int = 0, price_ticks: int = 100, market: int = 0) -> int:
        """Open an account of its own owner."""
        account = len(self.reference.state.accounts)
        self.at(time_ns, K.ACCOUNT, account=account, other=account)
        if balance:
            self.at(time_ns, K.TRANSFER, account=account, amount=balance)
        if lots:
            self.at(time_ns, K.POSITION, account=account, market=market, lots=lots, amount=lots * price_ticks)
        return account

    def default(self, time_ns: int, lots: int, market: int = 0) -> list[Effect]:
        """A long of so many lots from 100 at mark 100 loses all it has: ADL against OUTSIDE at mark, at
        once.
        """
        account = self.open(time_ns, lots * 100, lots, market=market)
        return self.at(time_ns, K.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-lots * 100)

    def operator(self, time_ns: int, code: Operator, amount: int = 0, market: int = NONE) -> list[tuple[int, ...]]:
        """Give an order; return what breakers did."""
        return moves(self.at(time_ns, K.OPERATOR, code=int(code), market=market, amount=amount))

    def row(self, number: int = 0) -> tuple[int, ...]:
        """Row of the digest."""
        return breaker_digest(self.reference.state)[number]

    @property
    def states(self) -> list[int]:
        """State of every breaker."""
        return [breaker.state for breaker in self.reference.state.breakers]


def moves(effects: list[Effect]) -> list[tuple[int, ...]]:
    """Market, old state, new state, cause, time and value of BREAKER effects."""
    return [(e.market, e.other, e.code, e.lots, e.amount, e.value) for e in effects if e.kind == F.BREAKER]


def guards(effects: list[Effect]) -> list[tuple[int, ...]]:
    """What was done, held price, mark before, time and move of GUARD effects."""
    return [(e.code, e.price_ticks, e.other, e.amount, e.value) for e in effects if e.kind == F.GUARD]
