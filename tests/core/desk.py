"""One engine driven event by event, a second apart, for cases that can be worked by hand."""

from __future__ import annotations

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import NONE, EffectArray, EventKind, Stage, Transfer
from backstop.core.instruments import AssetRules, CloseoutRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.state import new_state
from backstop.reference.records import Effect, Event, effects_list, events_array

__all__ = ["FIVE_PERCENT", "SECOND", "Desk", "make_rules"]

SECOND = 1_000_000_000
FIVE_PERCENT = (TierRules(0, 100_000, 50_000),)
SMALL = LimitRules(accounts_max=16, positions_max=64, orders_max=16, effects_max=4_096)
USUAL = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def make_rules(
    stages: tuple[int, ...] = USUAL,
    tiers: tuple[TierRules, ...] = FIVE_PERCENT,
    *,
    factor: int = 1,
    lots_max: int = 1_000,
    bands: tuple[int, ...] = (1_000,),
    markets: int = 1,
    limits: LimitRules = SMALL,
    asset: AssetRules | None = None,
    **closeout: int,
) -> VenueRules:
    """Return a venue of like markets: prices to 10,000 ticks, 2 % tolerance, no fee, the whole
    depth at once.
    """
    market = MarketRules(factor, 10_000, lots_max, tiers, band_offset_ppm=bands, slippage_tolerance_ppm=20_000)
    return VenueRules(
        (market,) * markets,
        stages=stages,
        closeout=CloseoutRules(**({"fee_ppm": 0, "depth_share_ppm": 1_000_000} | closeout)),
        limits=limits,
        assets=(asset or AssetRules(),),
    )


class Desk:
    """The engine, and what it said last."""

    def __init__(self, rules: VenueRules, mark: int = 100) -> None:
        """Set every mark."""
        self.rules, self.state, self.seq = rules, new_state(rules), 0
        self.rows: EffectArray = self.state.effects[:0]
        for market in range(len(rules.markets)):
            if mark:
                self.mark(mark, market)

    def put(self, event: Event) -> list[Effect]:
        """Apply an event as it is."""
        self.state.engine[0].effects_now = 0
        step(self.state, events_array([event]), 0)
        self.rows = self.state.effects[: int(self.state.engine[0].effects_now)].copy()
        return effects_list(self.rows)

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Apply the next event, a second after the last."""
        self.seq += 1
        return self.put(Event(self.seq, self.seq * SECOND, int(kind), **fields))

    def mark(self, price_ticks: int, market: int = 0) -> list[Effect]:
        """Move a mark."""
        return self.send(EventKind.MARK, market=market, price_ticks=price_ticks)

    def open(self, *deposits: int) -> None:
        """Open an account of its own owner for each deposit."""
        for amount in deposits:
            account = int(self.state.engine[0].accounts_now)
            self.send(EventKind.ACCOUNT, account=account, other=account)
            if amount:
                self.send(EventKind.TRANSFER, account=account, amount=amount)

    def trade(self, account: int, lots: int, price_ticks: int, other: int = NONE, market: int = 0) -> list[Effect]:
        """Fill against OUTSIDE or another account."""
        return self.send(EventKind.FILL, market=market, account=account, other=other, lots=lots, price_ticks=price_ticks)

    def charge(self, account: int, amount: int) -> list[Effect]:
        """Take a funding payment."""
        return self.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-amount)

    def row(self, account: int, market: int = 0) -> tuple[int, int]:
        """Return lots and cost of a holder."""
        rows = self.state.positions[: int(self.state.engine[0].positions_now)]
        own = rows[(rows["account"] == account) & (rows["market"] == market)]
        return (int(own[0].lots), int(own[0].cost)) if len(own) else (0, 0)

    def balance(self, account: int) -> int:
        """Return an account's balance."""
        return int(self.state.accounts[account].balance)

    def digest(self) -> str:
        """Return the state digest."""
        return state_digest(self.state)
