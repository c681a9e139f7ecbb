"""Circuit breakers by themselves: a state made by hand, its clock set by hand, no event and no
account.
"""

from __future__ import annotations

from backstop.core import breakers
from backstop.core.drawdown import judge_drawdowns
from backstop.core.events import BreakerCause, BreakerState, EffectKind, EventKind, Operator
from backstop.core.instruments import BreakerRules, FundRules, FundsRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.state import new_state
from backstop.reference.records import Effect, effects_list

__all__ = ["HALTED", "HOLD", "OPEN", "PRICE", "REOPEN", "REOPENING", "SECOND", "THROTTLED", "VENUE", "Bench", "C", "codes"]

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
C = BreakerCause
SECOND = 1_000_000_000
HOLD, REOPEN = 600 * SECOND, 60 * SECOND
VENUE = 2
PRICE = {"price_throttle_ppm": 50_000, "price_halt_ppm": 100_000, "price_exit_ppm": 30_000}


class Bench:
    """Two markets without accounts, the venue, and what they said last."""

    def __init__(
        self, shared: BreakerRules | None = None, fund: FundsRules | None = None, groups: int = 1, market: dict[str, int] | None = None
    ) -> None:
        """Give both markets the same thresholds; the second belongs to the last group."""
        tier = (TierRules(0, 100_000, 50_000),)
        rows = [MarketRules(1, 1 << 30, 1, tier, (1_000,), 20_000, group=group, **market or {}) for group in (0, groups - 1)]
        limits = LimitRules(accounts_max=4, positions_max=4, orders_max=4, effects_max=64)
        funds = (FundRules(),) * groups
        self.state = new_state(
            VenueRules(tuple(rows), funds=funds, fund=fund or FundsRules(), breakers=shared or BreakerRules(), limits=limits)
        )
        self.engine = self.state.engine[0]

    def at(self, seconds: float) -> None:
        """Set the clock."""
        self.engine.now_ns = int(seconds * SECOND)

    def live(self, seconds: float) -> None:
        """A market gives a sign of life, the first or after a silence."""
        breakers.check_outage(self.state, EventKind.HEARTBEAT, int(seconds * SECOND))
        self.at(seconds)

    def said(self) -> list[Effect]:
        """Return the effects since the last call."""
        effects = effects_list(self.state.effects[: int(self.engine.effects_now)])
        self.engine.effects_now = 0
        return effects

    def mark(self, seconds: float, price_ticks: int, market: int = 0) -> list[Effect]:
        """Accept a mark."""
        self.at(seconds)
        old = int(self.state.markets[market].mark_ticks)
        self.state.markets[market].mark_ticks = price_ticks
        breakers.after_mark(self.state, market, old)
        return self.said()

    def index(self, price_ticks: int, market: int = 0) -> list[Effect]:
        """Set an index."""
        self.state.markets[market].index_ticks = price_ticks
        breakers.after_index(self.state, market)
        return self.said()

    def flow(self, seconds: float, notional: int, market: int = 0) -> list[Effect]:
        """Liquidate something, and end the event."""
        self.at(seconds)
        breakers.add_flow(self.state, market, notional)
        return self.end()

    def end(self) -> list[Effect]:
        """End the event."""
        judge_drawdowns(self.state)
        breakers.settle_dirty(self.state)
        return self.said()

    def order(self, code: Operator, hold_s: int = 0, market: int = 0) -> list[Effect]:
        """Let the operator order something, and end the event."""
        breakers.apply_operator(self.state, market, int(code), hold_s * SECOND)
        return self.end()

    def wait(self, seconds: float, row: int = 0) -> list[Effect]:
        """Let time pass by itself."""
        self.at(seconds)
        breakers.end_holds(self.state, row)
        return self.said()

    def states(self) -> list[BreakerState]:
        """Return the state of each machine, the venue's last."""
        return [BreakerState(int(row.state)) for row in self.state.breakers]

    def level(self, cause: BreakerCause, row: int = 0) -> int:
        """Return the level of a cause."""
        return int(self.state.breakers[row].levels[cause])

    def spent(self, row: int = 0) -> set[BreakerCause]:
        """Return the causes that are spent."""
        return {cause for cause in C if int(self.state.breakers[row].spent) >> (cause - 1) & 1}


def codes(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return (new state, cause) of each transition."""
    assert all(effect.kind == EffectKind.BREAKER for effect in effects)
    return [(effect.code, effect.lots) for effect in effects]
