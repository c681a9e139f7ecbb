"""One venue of one or two small markets and a few named accounts: the stage of the worked examples.

A tick is 0.1 USDT, a lot is one contract of one coin, an atom is 0.01 USDT. Margin is 10 % initial
and 5 % maintenance. Every event comes one second after the one before, unless the desk waits.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from backstop.core.engine import step
from backstop.core.events import (
    EVENT,
    FEES,
    FUND,
    FUNDING_PARTS,
    GROUPS_MAX,
    NEVER_NS,
    NONE,
    UNCOVERED,
    WORLD,
    AdlClass,
    AdlPolicy,
    BreakerCause,
    BreakerState,
    Cause,
    Change,
    Doubt,
    EffectArray,
    EffectKind,
    EffectRow,
    EventKind,
    Guard,
    Health,
    ProviderStatus,
    Reject,
    Settlement,
    SocialisePolicy,
    SupportLimit,
    clearing_of,
    fund_of,
    funding_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import CloseoutRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.parameter_table import PARAMETERS
from backstop.core.state import new_state
from backstop.core.timers import next_wait_ns
from backstop.printing import counted

__all__ = ["FACTOR", "MARKET", "SECOND_NS", "VENUE", "Desk", "money", "price"]

K: TypeAlias = EventKind
F: TypeAlias = EffectKind
SECOND_NS = 1_000_000_000
#: Atoms of one tick of one lot.
FACTOR = 10
MARKET = MarketRules(
    notional_factor=FACTOR,
    price_ticks_max=10_000,
    position_lots_max=10_000,
    tiers=(TierRules(floor_atoms=0, initial_rate_ppm=100_000, maintenance_rate_ppm=50_000),),
    band_offset_ppm=(1_000, 10_000),
    slippage_tolerance_ppm=20_000,
)
#: The rules of an example, but for its markets and what the desk is told.
VENUE = VenueRules(markets=())


def money(atoms: int) -> str:
    """Return atoms as USDT."""
    return f"{'-' if atoms < 0 else ''}{abs(atoms) // 100}.{abs(atoms) % 100:02d}"


def price(ticks: int) -> str:
    """Return ticks as a price."""
    return f"{ticks // 10}.{ticks % 10}"


class Desk:
    """An engine, driven event by event. Prices are in ticks, amounts in atoms."""

    def __init__(
        self,
        markets: int = 1,
        fund: int = 0,
        market: MarketRules = MARKET,
        policy: int = AdlPolicy.CAPPED_PRO_RATA,
        venue: VenueRules = VENUE,
        **closeout: int,
    ) -> None:
        """Set every mark to 100.0 and pay the fund in."""
        rules = venue._replace(
            markets=(market,) * markets,
            closeout=CloseoutRules(**closeout),
            adl_policy=policy,
            limits=LimitRules(accounts_max=16, positions_max=64, orders_max=64, effects_max=1024),
        )
        self.state, self.seq, self.now_ns, self.names = new_state(rules), 0, 0, list[str]()
        for number in range(markets):
            self.send(K.MARK, market=number, price_ticks=1_000)
        if fund:
            self.send(K.TRANSFER, account=FUND, amount=fund)

    def send(self, kind: EventKind, **fields: int) -> EffectArray:
        """Apply the next event and return its effects."""
        self.seq += 1
        self.now_ns += SECOND_NS
        events = np.zeros(1, dtype=EVENT)
        events[0].seq, events[0].time_ns, events[0].kind = self.seq, self.now_ns, kind
        events[0].market = events[0].account = NONE
        for name, value in fields.items():
            events[0][name] = value
        step(self.state, events, 0)
        engine = self.state.engine[0]
        effects = self.state.effects[: int(engine.effects_now)].copy()
        engine.effects_now = 0
        return effects

    def open(self, name: str, deposit: int, owner: int = NONE, **lots: int) -> int:
        """Open an account with a deposit and positions at the mark, ``m0=10`` for ten lots of
        market 0; return its id.

        ``owner`` is the account whose owner it has too; without it the account has an owner of its
        own.
        """
        account = len(self.names)
        self.names.append(name)
        self.send(K.ACCOUNT, account=account, other=account if owner == NONE else owner)
        self.send(K.TRANSFER, account=account, amount=deposit)
        for market, quantity in lots.items():
            number = int(market.removeprefix("m"))
            ticks = int(self.state.markets[number].mark_ticks)
            self.send(K.POSITION, account=account, market=number, lots=quantity, amount=quantity * ticks * FACTOR)
        return account

    def wait(self, seconds: int) -> None:
        """Let time pass before the next event."""
        self.now_ns += (seconds - 1) * SECOND_NS

    def clock(self) -> EffectArray:
        """Let time pass until the engine waits for nothing before it, and send a CLOCK."""
        self.now_ns = int(next_wait_ns(self.state)) - SECOND_NS
        return self.send(K.CLOCK)

    def depth(self, *bids: int) -> None:
        """Show the lots of each band on the side that takes sell orders."""
        for band, quantity in enumerate(bids):
            self.send(K.DEPTH, market=0, code=0, other=band, lots=quantity)

    def tell_when(self, what: str, effects: EffectArray) -> None:
        """Print the second of the latest event, what happened, and each effect in words."""
        self.tell(f"second {self.now_ns // SECOND_NS}: {what}", effects)

    def tell(self, what: str, effects: EffectArray) -> None:
        """Print what happened, and each effect in words."""
        print(what)
        for effect in effects:
            print(f"  {F(effect.kind).name:<9} {self._words(effect)}")

    def name(self, holder: int) -> str:
        """Return what people call a ledger account."""
        if holder >= 0:
            return self.names[holder]
        house = {WORLD: "WORLD", FUND: "FUND", FEES: "FEES", UNCOVERED: "UNCOVERED", NONE: "-"}
        house |= {fund_of(group): f"FUND {group}" for group in range(1, GROUPS_MAX)}
        house |= {uncovered_of(group): f"UNCOVERED {group}" for group in range(1, GROUPS_MAX)}
        house |= {clearing_of(0): "clearing", clearing_of(1): "clearing 1", outside_of(0): "OUTSIDE", funding_of(0): "funding"}
        return house[holder]

    def _words(self, e: EffectRow) -> str:
        who, lots = self.name(e.account) if e.account != NONE else "", abs(e.lots)
        verb = "buys" if e.lots > 0 else "sells"
        match F(e.kind):
            case F.HEALTH:
                return f"{who}: {Health(e.other).name} to {Health(e.code).name}, equity {money(e.amount)}, maintenance {money(e.value)}"
            case F.RESTRICT:
                return f"{who}: cancel its open orders, no new risk"
            case F.ORDER:
                return f"{who} {verb} {lots} at {price(e.price_ticks)} or better, zero cash {money(e.amount)}, reserved {money(e.value)}"
            case F.CANCEL:
                return f"{who}: order of {counted(lots, 'lot')} is withdrawn"
            case F.TRADE:
                return f"{who} {verb} {lots}, cash {money(e.amount)}, realises {money(e.value)} ({Cause(e.code).name})"
            case F.POSTING:
                return f"{money(e.amount)} from {self.name(e.other)} to {who} ({Cause(e.code).name})"
            case F.RESERVE:
                return f"{money(e.amount)} for {who}, reserved in all {money(e.value)}"
            case F.ADL_PLAN:
                others = counted(e.other, "counterparty", "counterparties")
                return f"{who} {verb} {lots} for {money(e.amount)} to {others}, mark {price(e.price_ticks)}"
            case F.ADL_SCALE:
                return f"{who}: {lots} should leave, the plan closes fewer of all"
            case F.ADL_CLASS:
                eta = f"eta {e.amount} lots / {money(e.value)}" if e.value else "every cap is taken whole"
                return f"{AdlClass(e.code).name}: {e.other} can give, {e.price_ticks} at its cap, {counted(lots, 'lot')} placed, {eta}"
            case F.ADL_LINE:
                return f"{e.other} have shares below {e.price_ticks}, {lots} lots together: some give for all"
            case F.ADL_PICK:
                return f"{who} gives for them: share {lots}"
            case F.ADL_OWNER:
                by = counted(e.other, "account")
                return f"the owner of {who} {verb} {lots} of at most {e.price_ticks} by {by}, weight {money(e.value)}"
            case F.ADL_FILL:
                return f"{who} {verb} {lots} of at most {e.price_ticks}, cash {money(e.amount)}, weight {money(e.value)}"
            case F.TEAR_UP:
                return f"{who} {verb} {lots} at mark {price(e.price_ticks)} for {money(e.amount)}, gap to zero cash {money(e.value)}"
            case F.SUPPORT:
                return f"{money(e.amount)} of {who}'s gap of {money(e.value)}, {money(e.lots)} available ({SupportLimit(e.code).name})"
            case F.OFFER:
                return f"{who} {verb} {lots} for {money(e.amount)} to provider {e.price_ticks}, offer {e.other}, reserved {money(e.value)}"
            case F.TAKEOVER:
                how = f"offer {e.other}" if e.other else "at once"
                return f"{who} {verb} {lots} for {money(e.amount)} to provider {e.price_ticks}, {how}, support {money(e.value)}"
            case F.PROVIDER:
                ends = f", until second {e.value // SECOND_NS}" if e.value != NEVER_NS else ""
                return f"{who}: {ProviderStatus(e.code).name}{ends}, {counted(e.lots, 'failure')} in a row, score {e.amount / 10_000:.2f} %"
            case F.HAIRCUT:
                return f"{who} bears {money(e.amount)} of at most {money(e.lots)}, weight {money(e.value)} ({SocialisePolicy(e.code).name})"
            case F.CLAIM:
                return f"{who}: {'+' if e.amount > 0 else ''}{money(e.amount)}, claim in all {money(e.value)}"
            case F.RESIDUAL:
                return f"{who}: {money(e.amount)} that nobody paid"
            case F.BREAKER:
                where = "the venue" if e.market == NONE else f"market {e.market}"
                ends = f", until second {e.amount // SECOND_NS} at the latest" if e.code else ""
                return f"{where}: {BreakerState(e.other).name} to {BreakerState(e.code).name} ({BreakerCause(e.lots).name}){ends}"
            case F.GUARD:
                ends = f", until second {e.amount // SECOND_NS}" if e.amount else ""
                return (
                    f"market {e.market}: {price(e.price_ticks)}, {e.value / 10_000:.1f} % from the reference, is {Guard(e.code).name}{ends}"
                )
            case F.FILL_DEBT:
                return f"{self.name(e.other)} owes {who} {money(e.amount)} for their fill at {price(e.price_ticks)}, mark {price(e.value)}"
            case F.FUNDING:
                step, index = e.amount // FUNDING_PARTS, e.value // FUNDING_PARTS
                return f"market {e.market}: longs pay {money(step)} a lot, {money(index)} since it began"
            case F.CARRY:
                return f"{who} is carried until second {e.value // SECOND_NS}, after the move it would lack {money(e.amount)}"
            case F.SETTLEMENT:
                told = f"settled at {price(e.price_ticks)} ({Settlement(e.code).name})" if e.code else "nobody has a position any more"
                return f"market {e.market}: {told}"
            case F.DOUBT:
                return f"market {e.market}: {Doubt(e.code).name}, last mark not doubted {price(e.price_ticks)}"
            case F.NAKED_LEG:
                leg = f"{lots} {'long' if e.lots > 0 else 'short'} in market {e.other}"
                return f"{who}: {leg}, hedged in market {e.market} before: exposure {money(e.value)}, not {money(e.amount)}"
            case F.RELIEF:
                return f"{who}: keeps {e.lots / 10_000:g} % of the margin, {money(e.amount)} of {money(e.value)}"
            case F.LISTING:
                return f"market {e.market}: in group {e.other}, {e.amount} atoms a tick a lot"
            case F.PARAMETER:
                ends = f", from second {e.value // SECOND_NS}" if e.price_ticks == Change.WAITING else ""
                return f"{PARAMETERS[e.code].key} = {e.amount}: {Change(e.price_ticks).name}{ends}"
            case F.REFUSAL:
                return Reject(e.code).name
