"""A small venue and a reference, driven event by event, for cases worked by hand."""

from __future__ import annotations

from backstop.core.events import NONE, EffectKind, EventKind, Transfer
from backstop.core.instruments import (
    AssetRules,
    CloseoutRules,
    CommitmentRules,
    FundRules,
    FundsRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TierRules,
    VenueRules,
    check_rules,
)
from backstop.reference.engine import Effect, Event, ReferenceEngine
from tests.reference.invariants import findings

__all__ = ["FIVE_PERCENT", "SECOND", "Desk", "brief", "provider", "venue"]

SECOND = 1_000_000_000
FIVE_PERCENT = (TierRules(0, 100_000, 50_000),)


def provider(capacity: int = 1 << 40, *, groups: int = 1, edge_ppm: int = 0, refill_per_s: int = 0, **rules: int) -> ProviderRules:
    """A provider that takes longs and shorts of every group alike."""
    commitment = CommitmentRules(capacity, refill_per_s, edge_ppm=edge_ppm)
    is_vault = bool(rules.pop("is_vault", False))
    return ProviderRules(((commitment, commitment),) * groups, is_vault=is_vault, **rules)


def venue(
    stages: tuple[int, ...],
    tiers: tuple[TierRules, ...] = FIVE_PERCENT,
    factor: int = 1,
    groups: tuple[int, ...] = (0,),
    fund: FundsRules | None = None,
    providers: tuple[ProviderRules, ...] = (),
    asset: AssetRules | None = None,
    **closeout: int,
) -> VenueRules:
    """One market for each number in ``groups``, without fees, whose whole visible depth may be
    taken at once.
    """
    market = MarketRules(factor, 10_000, 1_000, tiers, band_offset_ppm=(1_000,), slippage_tolerance_ppm=20_000)
    closeout = {"fee_ppm": 0, "depth_share_ppm": 1_000_000} | closeout
    return VenueRules(
        tuple(market._replace(group=group) for group in groups),
        stages=stages,
        closeout=CloseoutRules(**closeout),
        limits=LimitRules(accounts_max=16),
        funds=(FundRules(),) * (1 + max(groups)),
        fund=fund or FundsRules(),
        providers=providers,
        assets=(asset or AssetRules(),),
    )


class Desk:
    """A reference, a second apart from event to event, all marks at 100 to begin with."""

    def __init__(self, rules: VenueRules) -> None:
        """Check the rules and set the marks."""
        check_rules(rules)
        self.reference, self.seq, self.time_ns = ReferenceEngine(rules), 0, 0
        self.state = self.reference.state
        for market in range(len(rules.markets)):
            self.mark(100, market)

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Apply the next event; nothing may be broken after it."""
        self.seq += 1
        self.time_ns += SECOND
        effects = self.reference.apply(Event(self.seq, self.time_ns, int(kind), **fields))
        assert findings(self.state) == []
        return effects

    def at(self, time_ns: int) -> Desk:
        """Let the next event come at this time."""
        self.time_ns = time_ns - SECOND
        return self

    def mark(self, price_ticks: int, market: int = 0) -> list[Effect]:
        """Move a mark."""
        return self.send(EventKind.MARK, market=market, price_ticks=price_ticks)

    def clock(self, time_ns: int) -> list[Effect]:
        """Let the time come."""
        return self.at(time_ns).send(EventKind.CLOCK)

    def open(self, *deposits: int, owner: int = NONE) -> None:
        """Open an account for each deposit, of its own owner or of one."""
        for amount in deposits:
            account = len(self.state.accounts)
            self.send(EventKind.ACCOUNT, account=account, other=account if owner == NONE else owner)
            if amount:
                self.send(EventKind.TRANSFER, account=account, amount=amount)

    def trade(self, account: int, lots: int, price_ticks: int, other: int = NONE, market: int = 0) -> list[Effect]:
        """Fill against OUTSIDE or another account."""
        return self.send(EventKind.FILL, market=market, account=account, other=other, lots=lots, price_ticks=price_ticks)

    def pay_in(self, account: int, amount: int) -> list[Effect]:
        """Cash of an account or a fund."""
        return self.send(EventKind.TRANSFER, account=account, amount=amount)

    def charge(self, account: int, amount: int) -> list[Effect]:
        """Take a funding payment."""
        return self.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-amount)

    def bind(self, number: int, account: int) -> list[Effect]:
        """Make the account the provider's."""
        return self.send(EventKind.PROVIDER, account=account, other=number)

    def answer(self, offer: int, code: int) -> list[Effect]:
        """Let a provider answer an offer."""
        return self.send(EventKind.ANSWER, other=offer, code=int(code))


def brief(effects: list[Effect], *kinds: EffectKind) -> list[tuple[int, ...]]:
    """Account, other, lots, amount and value of the effects of some kinds."""
    return [(e.account, e.other, e.lots, e.amount, e.value) for e in effects if e.kind in kinds]
