"""A stage for attacks: the engine, the reference and every check of the invariants at each event,
on either side of the market.

Scenes are told for a long position that a fall hurts. ``side = -1`` plays the same with shorts and
a rise: lots change their sign, and prices are mirrored at the first mark.
"""

from __future__ import annotations

from backstop.core.events import NONE, BookSide, EffectKind, EventKind, Stage, Transfer, fund_of
from backstop.core.instruments import (
    NO_CAP,
    PPM,
    AssetRules,
    BreakerRules,
    CloseoutRules,
    CommitmentRules,
    DisposalRules,
    FundRules,
    FundsRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TakeoverRules,
    TierRules,
    VenueRules,
)
from backstop.reference.records import Effect, Event
from tests.properties.watch import Watch

__all__ = ["FIRST_MARK", "SECOND", "SIDES", "WHOLE", "Scene", "provider", "venue"]

SECOND = 1_000_000_000
SIDES = (1, -1)
FIRST_MARK = 1_000
WHOLE = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.SOCIALISE, Stage.TEAR_UP)
FIVE_PERCENT = (TierRules(0, 100_000, 50_000),)


def provider(capacity: int = NO_CAP, refill_per_s: int = 0, *, edge_ppm: int = 10_000, is_vault: bool = False) -> ProviderRules:
    """Return a provider that takes longs and shorts of group 0 alike."""
    promise = CommitmentRules(capacity, refill_per_s, edge_ppm=edge_ppm)
    return ProviderRules(((promise, promise),), leverage_ppm=10 * PPM, is_vault=is_vault)


def venue(
    stages: tuple[int, ...] = WHOLE,
    *,
    markets: int = 1,
    fund: FundsRules | None = None,
    cap: int = NO_CAP,
    providers: tuple[ProviderRules, ...] = (),
    breakers: BreakerRules | None = None,
    market: dict[str, int] | None = None,
    asset: AssetRules | None = None,
    **closeout: int,
) -> VenueRules:
    """Return a venue of like markets, 5 % maintenance, the whole visible depth within 2 % to be
    taken.
    """
    rules = MarketRules(1, 1 << 20, 1 << 20, FIVE_PERCENT, band_offset_ppm=(1_000, 10_000), slippage_tolerance_ppm=20_000, **market or {})
    return VenueRules(
        (rules,) * markets,
        stages=stages,
        closeout=CloseoutRules(**({"fee_ppm": 0, "depth_share_ppm": PPM, "deadline_ns": 20 * SECOND} | closeout)),
        funds=(FundRules(loss_per_window_max=cap),),
        fund=fund or FundsRules(),
        providers=providers,
        takeover=TakeoverRules(answer_timeout_ns=5 * SECOND, retry_ns=10 * SECOND, off_ns=60 * SECOND),
        disposal=DisposalRules(interval_ns=2 * SECOND),
        breakers=breakers or BreakerRules(),
        assets=(asset or AssetRules(),),
        limits=LimitRules(accounts_max=64, positions_max=256, orders_max=256, effects_max=1 << 13),
    )


class Scene:
    """One attack; each event comes a second after the one before, unless its time is given."""

    def __init__(self, rules: VenueRules, side: int) -> None:
        """Set the marks and show a deep book."""
        self.watch, self.side, self.seq, self.time_ns = Watch(rules), side, 0, 0
        self.mirror, self.rules = self.watch.mirror, rules
        for market in range(len(rules.markets)):
            self.mark(FIRST_MARK, market)

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Apply the next event; nothing may be broken after it."""
        self.seq += 1
        self.time_ns += SECOND
        effects = self.watch.send(Event(self.seq, self.time_ns, int(kind), **fields))
        assert self.watch.wrong == []
        return effects

    def at(self, time_ns: int) -> Scene:
        """Let the next event come at this time."""
        self.time_ns = time_ns - SECOND
        return self

    def price(self, ticks: int) -> int:
        """Mirror a price for the short side."""
        return FIRST_MARK + self.side * (ticks - FIRST_MARK)

    # -- what happens ------------------------------------------------------------------------------

    def mark(self, ticks: int, market: int = 0) -> list[Effect]:
        """Move a mark; lower is against the long (for ``side = -1``, the short) position."""
        return self.send(EventKind.MARK, market=market, price_ticks=self.price(ticks))

    def depth(self, lots: int, market: int = 0, band: int = 0) -> list[Effect]:
        """Show depth on the side that closes the attacked position."""
        side = BookSide.BID if self.side > 0 else BookSide.ASK
        return self.send(EventKind.DEPTH, market=market, code=int(side), other=band, lots=lots)

    def open(self, deposit: int, owner: int = NONE, pocket: int = NONE) -> int:
        """Open an account, of its own owner or of one, or a pocket of a market; return its id."""
        account = len(self.mirror.accounts)
        self.send(EventKind.ACCOUNT, account=account, other=account if owner == NONE else owner, market=pocket)
        if deposit:
            self.cash(account, deposit)
        return account

    def cash(self, account: int, amount: int) -> list[Effect]:
        """Pay in or withdraw."""
        return self.send(EventKind.TRANSFER, account=account, amount=amount)

    def move_money(self, account: int, other: int, amount: int) -> list[Effect]:
        """Move money from one account to another."""
        return self.send(EventKind.TRANSFER, account=account, other=other, code=int(Transfer.MOVE), amount=amount)

    def charge(self, account: int, amount: int) -> list[Effect]:
        """Take a funding payment."""
        return self.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-amount)

    def fee(self, account: int, amount: int) -> list[Effect]:
        """Charge a trading fee."""
        return self.send(EventKind.TRANSFER, account=account, code=int(Transfer.TRADING_FEE), amount=amount)

    def trade(self, account: int, lots: int, ticks: int, other: int = NONE, market: int = 0) -> list[Effect]:
        """Trade with another account, or with OUTSIDE."""
        return self.send(EventKind.FILL, market=market, account=account, other=other, lots=self.side * lots, price_ticks=self.price(ticks))

    def fill(self, order: int, lots: int, ticks: int) -> list[Effect]:
        """Fill an order, lots > 0."""
        sent = self.mirror.orders[order]
        side = 1 if sent.lots > 0 else -1
        return self.send(EventKind.ORDER_FILL, market=sent.market, other=order, lots=side * lots, price_ticks=self.price(ticks))

    def done(self, order: int) -> list[Effect]:
        """The venue will fill no more of an order."""
        return self.send(EventKind.ORDER_DONE, other=order)

    def answer(self, offer: int, code: int) -> list[Effect]:
        """A provider answers."""
        return self.send(EventKind.ANSWER, other=offer, code=int(code))

    def bind(self, number: int, account: int) -> list[Effect]:
        """Make the account the provider's."""
        return self.send(EventKind.PROVIDER, account=account, other=number)

    def clock(self, seconds: float = 1) -> list[Effect]:
        """Let time pass."""
        return self.at(self.time_ns + int(seconds * SECOND)).send(EventKind.CLOCK)

    # -- what is there -----------------------------------------------------------------------------

    @property
    def fund(self) -> int:
        """Balance of the fund."""
        return self.mirror.ledger[fund_of(0)]

    def lots(self, account: int, market: int = 0) -> int:
        """Signed lots, positive on the side of the scene."""
        return self.side * self.mirror.held_lots(account, market)

    def open_ids(self, kind: int | None = None) -> list[int]:
        """Return the open orders and offers, or those of a kind."""
        return [number for number, order in self.mirror.orders.items() if order.is_open and kind in (None, order.kind)]


def of(effects: list[Effect], *kinds: EffectKind) -> list[Effect]:
    """Return the effects of some kinds."""
    return [effect for effect in effects if effect.kind in kinds]
