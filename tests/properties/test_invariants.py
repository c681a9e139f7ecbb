"""A hostile venue, played by Hypothesis against the real engine; a full scan in plain Python
follows every event.

Each ``@invariant`` bears the id of the sentence it attacks (docs/reference/invariants.md). What it
found is in ``Watch.findings``; ``checks`` says what was looked at.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backstop.core.digest import state_digest
from backstop.core.events import (
    NONE,
    AdlPolicy,
    Answer,
    BreakerState,
    EffectKind,
    EventKind,
    Health,
    Operator,
    SocialisePolicy,
    Stage,
    Transfer,
    fund_of,
)
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
    LevelRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TakeoverRules,
    TierRules,
    VenueRules,
)
from backstop.core.parameter_table import PARAMETERS
from backstop.reference.margin import Standing
from backstop.reference.records import Effect, Event
from backstop.reference.state import TAKEOVER_OFFER, Order
from tests.properties.profile import settings_of
from tests.properties.watch import Watch, run_cut

SECOND = 1_000_000_000
TRADERS, OWNERS = 7, 5
RESTRICT, CLOSEOUT, FUND, ADL, TEAR_UP = Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP
TAKEOVER, SOCIALISE = Stage.TAKEOVER, Stage.SOCIALISE

WHOLE = (RESTRICT, CLOSEOUT, TAKEOVER, FUND, ADL, SOCIALISE, TEAR_UP)
STAGES = (
    WHOLE,
    (RESTRICT, CLOSEOUT, FUND, ADL, TEAR_UP),
    (TAKEOVER, FUND, SOCIALISE, TEAR_UP),
    (CLOSEOUT, FUND, TEAR_UP),
    (TAKEOVER, CLOSEOUT, FUND, ADL, TEAR_UP),
    (FUND, ADL, SOCIALISE, TEAR_UP),
    (RESTRICT, CLOSEOUT, ADL, FUND, TEAR_UP),
)

#: Floors that positions of 20 to 60 lots cross; the third tier is reached after a rise.
TIERS = (TierRules(0, 100_000, 50_000), TierRules(2_000, 150_000, 100_000), TierRules(6_000, 300_000, 250_000))
COARSE = (TierRules(0, 50_000, 0), TierRules(280_000, 200_000, 150_000))

picks = st.integers(0, 1 << 20)
sizes = st.integers(1, 30)
sides = st.sampled_from((-1, 1))


class Draw(NamedTuple):
    """What one venue is drawn from."""

    stages: tuple[int, ...] = WHOLE
    tolerance_ppm: int = 30_000
    fee_ppm: int = 5_000
    fund_cap: int = NO_CAP
    owner_cap: int = NO_CAP
    market_loss_cap: int = NO_CAP
    account_cap: int = NO_CAP
    minimum: int = 0
    effects_max: int = 1 << 12
    groups: int = 2
    #: Providers that are no vault, then whether there is one.
    providers: int = 1
    has_vault: bool = True
    capacity: int = 5_000
    refill_per_s: int = 300
    breakers: bool = True
    guard: bool = False
    adl_policy: int = AdlPolicy.CAPPED_PRO_RATA
    socialise_policy: int = SocialisePolicy.GAINS_HAIRCUT
    target: int = 1_000
    carry_ns: int = 0
    fill_band_ppm: int = 0
    #: Least notional that ADL asks an owner for.
    part: int = 2_000


draws = st.builds(
    Draw,
    stages=st.sampled_from(STAGES),
    tolerance_ppm=st.sampled_from((30_000, 0, 200_000)),
    fee_ppm=st.sampled_from((5_000, 0, 60_000)),
    fund_cap=st.sampled_from((NO_CAP, 400)),
    owner_cap=st.sampled_from((NO_CAP, 300)),
    market_loss_cap=st.sampled_from((NO_CAP, 200)),
    account_cap=st.sampled_from((NO_CAP, 20_000)),
    minimum=st.sampled_from((0, 700)),
    effects_max=st.sampled_from((1 << 12, 400)),
    groups=st.integers(1, 2),
    providers=st.integers(0, 2),
    has_vault=st.booleans(),
    capacity=st.sampled_from((5_000, 0, 800, 60_000)),
    refill_per_s=st.sampled_from((300, 0, 20_000)),
    breakers=st.booleans(),
    guard=st.booleans(),
    adl_policy=st.sampled_from(AdlPolicy),
    socialise_policy=st.sampled_from(SocialisePolicy),
    target=st.sampled_from((1_000, 0)),
    carry_ns=st.sampled_from((0, SECOND, 6 * SECOND)),
    fill_band_ppm=st.sampled_from((0, 10_000)),
    part=st.sampled_from((2_000, 0, 300)),
)


def make_rules(draw: Draw) -> VenueRules:
    """Return a venue of two small markets: one of single atoms a tick, one whose first tier asks
    for no maintenance.
    """
    stops = {"price_throttle_ppm": 50_000, "price_halt_ppm": 150_000, "price_exit_ppm": 30_000} if draw.breakers else {}
    stops |= {"flow_throttle": 1_500, "flow_halt": 5_000} if draw.breakers else {}
    stops |= {"guard_jump_ppm": 60_000, "guard_volume_lots": 20} if draw.guard else {}
    stops |= {"loss_per_window_max": draw.market_loss_cap, "fill_band_ppm": draw.fill_band_ppm}
    small = MarketRules(1, 500, 120, TIERS, (1_000, 20_000), draw.tolerance_ppm, **stops)
    coarse = MarketRules(7, 5_000, 90, COARSE, (0, 5_000, 10_000), draw.tolerance_ppm, group=draw.groups - 1, **stops)
    stages = draw.stages
    return VenueRules(
        markets=(small, coarse),
        levels=LevelRules(),
        stages=stages,
        closeout=CloseoutRules(
            fee_ppm=draw.fee_ppm,
            deadline_ns=5 * SECOND,
            order_timeout_ns=3 * SECOND,
            cap_interval_ns=4 * SECOND,
            carry_max_ns=draw.carry_ns,
        ),
        funds=(FundRules(loss_per_window_max=draw.fund_cap, target=draw.target),) * draw.groups,
        fund=make_fund(draw),
        providers=make_providers(draw),
        takeover=TakeoverRules(answer_timeout_ns=2 * SECOND, failures_max=2, retry_ns=3 * SECOND, off_ns=8 * SECOND),
        disposal=DisposalRules(interval_ns=2 * SECOND, share_ppm=300_000, tolerance_ppm=20_000),
        breakers=make_breakers(draw),
        adl_policy=draw.adl_policy,
        assets=(
            AssetRules(
                minimum_notional=draw.minimum,
                account_notional_max=draw.account_cap,
                owner_loss_max=draw.owner_cap,
                parts_min_notional=draw.part,
            ),
        ),
        socialise_policy=draw.socialise_policy,
        limits=LimitRules(accounts_max=TRADERS + 3, positions_max=2 * TRADERS + 3, orders_max=16, effects_max=draw.effects_max),
        solvent_pay_first=FUND in stages and ADL in stages[: stages.index(FUND)],
    )


def make_fund(draw: Draw) -> FundsRules:
    """Return windows that a few steps of the machine cross."""
    return FundsRules(
        window_ns=4 * SECOND,
        trading_fee_share_ppm=333_333,
        recovery_interval_ns=3 * SECOND,
        owner_memory_ns=20 * SECOND,
        drawdown_window_ns=8 * SECOND,
        drawdown_enter_ppm=300_000 if draw.breakers else 0,
        drawdown_exit_ppm=200_000 if draw.breakers else 0,
    )


def make_providers(draw: Draw) -> tuple[ProviderRules, ...]:
    """Return providers that promise alike, the vault last."""
    promise = CommitmentRules(draw.capacity, draw.refill_per_s, 40_000, edge_ppm=20_000)
    provider = ProviderRules(((promise, promise),) * draw.groups, leverage_ppm=8 * PPM, loss_stop=600)
    vault = (provider._replace(is_vault=True),) if draw.has_vault else ()
    return (provider,) * draw.providers + vault


def make_breakers(draw: Draw) -> BreakerRules:
    """Return holds that a few steps of the machine outlast."""
    return BreakerRules(
        hold_max_ns=6 * SECOND,
        reopen_ns=2 * SECOND,
        price_window_ns=2 * SECOND,
        flow_window_ns=2 * SECOND,
        flow_halt=20_000 if draw.breakers else 0,
        stale_ns=9 * SECOND if draw.breakers else 0,
        outage_gap_ns=7 * SECOND if draw.breakers else 0,
        outage_grace_max_ns=3 * SECOND,
        operator_hold_max_ns=10 * SECOND,
        guard_hold_ns=4 * SECOND,
    )


class HostileVenue(RuleBasedStateMachine):
    """Marks, trades, money and answers in any order, at any time, right or wrong."""

    watch: Watch

    @initialize(
        draw=draws,
        fund=st.sampled_from((2_000, 0, 100, 30_000)),
        capital=st.sampled_from((3_000, 200, 30_000)),
        lots=st.lists(st.integers(-60, 60), min_size=TRADERS, max_size=TRADERS),
        margins_ppm=st.lists(st.integers(80_000, 600_000), min_size=TRADERS, max_size=TRADERS),
    )
    def open_book(self, draw: Draw, fund: int, capital: int, lots: list[int], margins_ppm: list[int]) -> None:
        """Open accounts with a position each, alternately in the two markets, then the providers'
        accounts.
        """
        self.watch = Watch(make_rules(draw))
        self.mirror = self.watch.mirror
        self.seq, self.time_ns = 0, 0
        for market, price in enumerate((100, 1_000)):
            self.send(EventKind.MARK, market=market, price_ticks=price)
            self.send(EventKind.DEPTH, market=market, code=0, lots=40)
            self.send(EventKind.DEPTH, market=market, code=1, lots=40)
        for group in self.mirror.groups if fund else ():
            self.send(EventKind.TRANSFER, account=fund_of(group), amount=fund)
        for account in range(TRADERS):
            market = account % 2
            value = self.mirror.notional_of(market, lots[account])
            self.send(EventKind.ACCOUNT, account=account, other=account % OWNERS)
            self.send(EventKind.TRANSFER, account=account, amount=value * margins_ppm[account] // PPM + 50)
            if lots[account]:
                price = self.mirror.marks[market]
                self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=lots[account], price_ticks=price)
        for number in range(len(self.watch.rules.providers)):
            account = TRADERS + number
            # The first provider belongs to a trader: of its own owner it takes nothing over.
            self.send(EventKind.ACCOUNT, account=account, other=number and account)
            self.send(EventKind.TRANSFER, account=account, amount=capital)
            self.send(EventKind.PROVIDER, account=account, other=number)

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Send the next event."""
        self.seq += 1
        return self.watch.send(Event(self.seq, self.time_ns, int(kind), **fields))

    @property
    def accounts(self) -> int:
        """Accounts that are open, the providers' last."""
        return len(self.mirror.accounts)

    def price(self, market: int, ticks: int) -> int:
        """Clamp to the prices of the market."""
        return max(1, min(ticks, self.watch.rules.markets[market].price_ticks_max))

    # -- prices ------------------------------------------------------------------------------------

    @rule(market=st.integers(0, 1), ticks=st.integers(-3, 3))
    def mark_ticks(self, market: int, ticks: int) -> None:
        """Move a mark by single ticks."""
        self.send(EventKind.MARK, market=market, price_ticks=self.price(market, self.mirror.marks[market] + ticks))

    @rule(market=st.integers(0, 1), move_ppm=st.integers(-400_000, 400_000))
    def mark_jumps(self, market: int, move_ppm: int) -> None:
        """Move a mark by up to 40 %."""
        price = self.mirror.marks[market] * (PPM + move_ppm) // PPM
        self.send(EventKind.MARK, market=market, price_ticks=self.price(market, price))

    @rule(market=st.integers(0, 1), off_ppm=st.integers(-100_000, 100_000))
    def index(self, market: int, off_ppm: int) -> None:
        """Set the index, near the mark or far from it."""
        price = self.mirror.marks[market] * (PPM + off_ppm) // PPM
        self.send(EventKind.INDEX, market=market, price_ticks=self.price(market, price))

    @rule(pick=picks, direction=sides, beyond=st.integers(-1, 1))
    def mark_to_the_edge(self, pick: int, direction: int, beyond: int) -> None:
        """Move a mark to the very tick where an account changes its health, or one beside it."""
        account = pick % self.accounts
        held = self.mirror.held_markets(account)
        if not held:
            return
        market = held[pick // self.accounts % len(held)]
        here = self.mirror.marks[market]
        ticks = here
        while (
            1 < ticks < self.watch.rules.markets[market].price_ticks_max
            and self.health_at(account, market, ticks) == self.mirror.health[account]
        ):
            ticks += direction
        self.send(EventKind.MARK, market=market, price_ticks=self.price(market, ticks + beyond))

    def health_at(self, account: int, market: int, ticks: int) -> int:
        """Return the health that an account would have at a mark."""
        row = self.mirror.markets[market]
        here, row.mark = row.mark, ticks
        equity, maintenance = self.mirror.equity(account), self.mirror.maintenance(account)
        row.mark = here
        return Standing(equity, maintenance, self.watch.rules.levels).health_from(self.mirror.health[account])

    # -- accounts ----------------------------------------------------------------------------------

    @rule(
        pick=picks,
        other=st.integers(-1, TRADERS - 1),
        market=st.integers(0, 1),
        lots=sizes,
        side=sides,
        off_ppm=st.integers(-20_000, 20_000),
    )
    def fill(self, pick: int, other: int, market: int, lots: int, side: int, off_ppm: int) -> None:
        """Trade between two accounts, or with OUTSIDE."""
        price = self.price(market, self.mirror.marks[market] * (PPM + off_ppm) // PPM)
        self.send(EventKind.FILL, market=market, account=pick % self.accounts, other=other, lots=side * lots, price_ticks=price)

    @rule(pick=picks)
    def close_own(self, pick: int) -> None:
        """An account closes a whole position itself, whatever orders are out."""
        account = pick % self.accounts
        for market in self.mirror.held_markets(account)[:1]:
            lots, price = -self.mirror.held_lots(account, market), self.mirror.marks[market]
            self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=lots, price_ticks=price)

    @precondition(lambda self: any(order.is_open for order in self.mirror.orders.values()))
    @rule(pick=picks, lots=st.integers(-3, 3))
    def trade_beside_an_order(self, pick: int, lots: int) -> None:
        """An account closes about as much itself as an order or an offer leaves over."""
        is_open = [order for order in self.mirror.orders.values() if order.is_open]
        order = is_open[pick % len(is_open)]
        held = self.mirror.held_lots(order.account, order.market)
        side = 1 if held < 0 else -1
        lots = side * (abs(held) - order.remaining + lots)
        price = self.mirror.marks[order.market]
        self.send(EventKind.FILL, market=order.market, account=order.account, other=NONE, lots=lots, price_ticks=price)

    @rule(
        pick=picks,
        amount=st.integers(-3_000, 3_000),
        code=st.sampled_from((Transfer.CASH, Transfer.FUNDING)),
        market=st.integers(-1, 1),
    )
    def transfer(self, pick: int, amount: int, code: Transfer, market: int) -> None:
        """Deposit, withdraw, pay or receive funding."""
        self.send(EventKind.TRANSFER, account=pick % self.accounts, amount=amount, code=int(code), market=market)

    @rule(pick=picks, market=st.integers(-1, 1), amount=st.integers(0, 3_000))
    def trading_fee(self, pick: int, market: int, amount: int) -> None:
        """Charge a trading fee, often more than the account has."""
        code = int(Transfer.TRADING_FEE)
        self.send(EventKind.TRANSFER, account=pick % self.accounts, market=market, amount=amount, code=code)

    @rule(pick=picks, below=st.integers(-2, 60))
    def funding_to_the_edge(self, pick: int, below: int) -> None:
        """Take so much funding that an account is left with equity around zero, or below."""
        account = pick % self.accounts
        amount = self.mirror.equity(account) + below
        self.send(EventKind.TRANSFER, account=account, amount=-amount, code=int(Transfer.FUNDING))

    @rule(market=st.integers(0, 1), step=st.integers(-20_000_000, 20_000_000))
    def funding_index(self, market: int, step: int) -> None:
        """Move a funding index by up to 20 atoms a lot."""
        self.send(EventKind.FUNDING, market=market, amount=step)

    @rule(group=st.integers(0, 1), amount=st.integers(-3_000, 3_000))
    def fund_money(self, group: int, amount: int) -> None:
        """Pay into a fund, or take out what it may have promised."""
        self.send(EventKind.TRANSFER, account=fund_of(group), amount=amount)

    # -- the book and time -------------------------------------------------------------------------

    @rule(market=st.integers(0, 1), code=st.integers(0, 1), band=st.integers(0, 2), lots=st.integers(0, 80))
    def depth(self, market: int, code: int, band: int, lots: int) -> None:
        """Show depth."""
        self.send(EventKind.DEPTH, market=market, code=code, other=band, lots=lots)

    @rule(market=st.integers(0, 1), lots=st.integers(0, 60))
    def volume(self, market: int, lots: int) -> None:
        """Report volume."""
        self.send(EventKind.VOLUME, market=market, lots=lots)

    @rule(wait_ns=st.sampled_from((1, SECOND - 1, SECOND, 3 * SECOND, 5 * SECOND)))
    def clock(self, wait_ns: int) -> None:
        """Let time pass: nothing, an interval, a timeout, a deadline."""
        self.time_ns += wait_ns
        self.send(EventKind.CLOCK)

    @rule(wait_ns=st.integers(1, 2 * SECOND))
    def silence(self, wait_ns: int) -> None:
        """Let time pass without a word; the next event finds it gone."""
        self.time_ns += wait_ns

    # -- operators ---------------------------------------------------------------------------------

    @rule(code=st.sampled_from((Operator.HALT, Operator.THROTTLE, Operator.REOPEN)), market=st.integers(-1, 1), hold=st.integers(1, 10))
    def operator(self, code: Operator, market: int, hold: int) -> None:
        """Stop or reopen a market or the venue."""
        self.send(EventKind.OPERATOR, code=int(code), market=market, amount=hold * SECOND)

    @precondition(lambda self: self.mirror.providers)
    @rule(pick=picks, on=st.booleans())
    def switch_provider(self, pick: int, on: bool) -> None:
        """Switch a provider off or on."""
        code = Operator.PROVIDER_ON if on else Operator.PROVIDER_OFF
        self.send(EventKind.OPERATOR, code=int(code), other=pick % len(self.mirror.providers))

    @precondition(lambda self: self.mirror.providers)
    @rule(pick=picks, leave=st.integers(-1, 400))
    def provider_takes_its_money(self, pick: int, leave: int) -> None:
        """A provider withdraws what its initial margin leaves free, or a little less."""
        account = self.mirror.providers[pick % len(self.mirror.providers)].account
        free = self.mirror.equity(account) - self.mirror.portfolio(account).initial
        self.send(EventKind.TRANSFER, account=account, amount=leave - free)

    # -- answers -----------------------------------------------------------------------------------

    def known(self, offers: bool) -> dict[int, Order]:
        """Return offers, or orders that are none."""
        return {number: order for number, order in self.mirror.orders.items() if (order.kind == TAKEOVER_OFFER) == offers}

    def pick_order(self, pick: int, *, offers: bool) -> int | None:
        """Return an order, most often an open one."""
        known = self.known(offers)
        ids = [number for number, order in known.items() if order.is_open]
        ids = ids if ids and pick % 4 else list(known)
        return ids[pick // 4 % len(ids)] if ids else None

    @precondition(lambda self: self.known(offers=False))
    @rule(pick=picks, lots=st.integers(-30, 10), worse=st.integers(-4, 4))
    def order_fill(self, pick: int, lots: int, worse: int) -> None:
        """Fill an order: in part, whole, too late, too much, at its limit or not."""
        number = self.pick_order(pick, offers=False)
        assert number is not None
        order = self.mirror.orders[number]
        lots = max(1, order.remaining + lots)
        side = 1 if order.lots > 0 else -1
        price = self.price(order.market, order.limit_ticks + side * worse)
        self.send(EventKind.ORDER_FILL, market=order.market, other=number, lots=side * lots, price_ticks=price)

    @precondition(lambda self: self.known(offers=False))
    @rule(pick=picks)
    def order_done(self, pick: int) -> None:
        """End an order, open or not."""
        self.send(EventKind.ORDER_DONE, other=self.pick_order(pick, offers=False) or 0)

    @precondition(lambda self: self.known(offers=True))
    @rule(pick=picks, accept=st.booleans(), twice=st.booleans())
    def answer(self, pick: int, accept: bool, twice: bool) -> None:
        """A provider answers an offer, open or not, once or twice."""
        code, number = Answer.ACCEPT if accept else Answer.REFUSE, self.pick_order(pick, offers=True) or 0
        for _ in range(1 + twice):
            self.send(EventKind.ANSWER, other=number, code=int(code))

    # -- what must hold ----------------------------------------------------------------------------

    def nothing_found(self, name: str) -> None:
        """No check of this id has found anything yet."""
        assert self.watch.findings[name] == []

    @invariant()
    def inv_01_ledger_sums_to_zero(self) -> None:
        self.nothing_found("INV-01")

    @invariant()
    def inv_02_positions_sum_to_zero(self) -> None:
        self.nothing_found("INV-02")

    @invariant()
    def inv_03_closing_never_increases_or_flips(self) -> None:
        self.nothing_found("INV-03")

    @invariant()
    def inv_04_nobody_below_maintenance_is_unflagged(self) -> None:
        self.nothing_found("INV-04")

    @invariant()
    def inv_05_fund_promises_what_it_has_and_pays_the_insolvent(self) -> None:
        self.nothing_found("INV-05")

    @invariant()
    def inv_06_adl_is_as_planned(self) -> None:
        self.nothing_found("INV-06")

    @invariant()
    def inv_07_every_gap_is_paid_in_order(self) -> None:
        self.nothing_found("INV-07")

    @invariant()
    def inv_08_stops_end_and_hold_back_no_closing(self) -> None:
        self.nothing_found("INV-08")

    @invariant()
    def inv_11_solvent_accounts_pay_last(self) -> None:
        self.nothing_found("INV-11")

    @invariant()
    def providers_are_asked_for_no_more_than_they_promised(self) -> None:
        self.nothing_found("promises")

    @invariant()
    def effects_are_those_of_the_reference(self) -> None:
        self.nothing_found("reference")

    def teardown(self) -> None:
        """INV-08: time alone opens everything.

        INV-09: the same events, cut otherwise, with a full buffer, give the same bytes.
        """
        if not hasattr(self, "watch"):
            return
        watch, cuts = self.watch, Random(self.seq)
        whole = (watch.all_effects(), state_digest(watch.state))
        assert whole[1] == watch.reference.digest()
        assert watch.everything_ends() == []
        for _ in range(2):
            assert run_cut(watch.rules, watch.events, cuts) == whole, "INV-09"


HostileVenue.TestCase.settings = settings_of(200, 60)
TestHostileVenue = HostileVenue.TestCase


def kinds_of_a_short_fund(machine: HostileVenue) -> set[int]:
    """Return the kinds of effects of a venue where accounts are carried, trade far from the mark, pay
    funding by the index, and lose more than their counterparties can bear.
    """
    draw = Draw(stages=STAGES[1], providers=0, has_vault=False, breakers=False, carry_ns=6 * SECOND, fill_band_ppm=10_000)
    machine.open_book(draw, 100, 30_000, [60, -60, -10, 60, 40, -40, -10], [90_000] * TRADERS)
    for side in (0, 1):
        machine.send(EventKind.DEPTH, market=0, code=side, lots=0)
    machine.send(EventKind.FUNDING, market=0, amount=1_500_000)
    machine.send(EventKind.FILL, market=0, account=0, other=2, lots=5, price_ticks=103)
    for ticks, wait_ns in ((96, SECOND), (70, 6 * SECOND)):
        machine.send(EventKind.MARK, market=0, price_ticks=ticks)
        machine.clock(wait_ns)
    assert machine.watch.wrong == []
    assert machine.watch.everything_ends() == []
    return {effect.kind for effects in machine.watch.effects for effect in effects}


def kinds_of_owners_and_a_settlement(machine: HostileVenue) -> set[int]:
    """Return the kinds of effects of a venue where ADL asks an owner of two accounts for what hedged him,
    and a market whose feed then dies is settled, and later listed anew.
    """
    draw = Draw(stages=STAGES[1], providers=0, has_vault=False, breakers=True)
    machine.open_book(draw, 30_000, 30_000, [-30, 0, 60, 0, 0, 0, 0], [900_000, 0, 90_000, 0, 0, 0, 0])
    # Accounts 0 and 5 are of one owner.
    machine.send(EventKind.TRANSFER, account=OWNERS, amount=20_000)
    machine.send(EventKind.FILL, market=0, account=OWNERS, other=NONE, lots=-30, price_ticks=100)
    coarse_ticks = machine.watch.mirror.markets[1].mark
    hedge = max(1, 3_000 // (7 * coarse_ticks))
    machine.send(EventKind.FILL, market=1, account=0, other=NONE, lots=hedge, price_ticks=coarse_ticks)
    for side in (0, 1):
        machine.send(EventKind.DEPTH, market=0, code=side, lots=0)
    machine.send(EventKind.MARK, market=0, price_ticks=89)
    for wait_ns in (6 * SECOND, 6 * SECOND, machine.watch.rules.breakers.doubt_max_ns, SECOND, SECOND):
        machine.clock(wait_ns)
    machine.clock(machine.watch.rules.epoch_ns)
    machine.send(EventKind.LISTING, market=0)
    assert machine.watch.wrong == []
    assert machine.watch.everything_ends() == []
    return {effect.kind for effects in machine.watch.effects for effect in effects}


def kinds_of_a_rise_of_margin(machine: HostileVenue) -> set[int]:
    """Return the kinds of effects of a venue whose margin rises above what an account has."""
    draw = Draw(stages=STAGES[1], providers=0, has_vault=False, breakers=False)
    machine.open_book(draw, 30_000, 30_000, [60, -60, 0, 0, 0, 0, 0], [300_000] * TRADERS)
    numbers = {rule.key: number for number, rule in PARAMETERS.items()}
    tiers = len(machine.watch.rules.markets[0].tiers)
    for key, rate_ppm in (("tier.initial_rate_ppm", 900_000), ("tier.maintenance_rate_ppm", 400_000)):
        for tier in reversed(range(tiers)):
            machine.send(EventKind.PARAMETER, code=numbers[key], market=0, other=tier, amount=rate_ppm)
    assert machine.watch.wrong == []
    return {effect.kind for effects in machine.watch.effects for effect in effects}


def test_machine_reaches_default() -> None:
    """The machine's own venue knows every health, every stage and every state of breakers, so that
    its silence means something.
    """
    machine = HostileVenue()
    health, states = set(), set()
    kinds = kinds_of_a_short_fund(machine) | kinds_of_owners_and_a_settlement(machine) | kinds_of_a_rise_of_margin(machine)
    for stages, providers, fund in ((WHOLE, 1, 100), (STAGES[1], 0, 100), (STAGES[2], 0, 0), (STAGES[3], 0, 0)):
        draw = Draw(stages=stages, providers=providers, has_vault=False, breakers=stages == WHOLE, target=0)
        machine.open_book(draw, fund, 30_000, [60, -60, -60, 60, 40, -40, 0], [90_000] * TRADERS)
        effects: list[Effect] = []
        # Without providers, a gap: an order of an insolvent account leaves, and the fund reserves
        # for it.
        for ticks in (99, 97, 96, 94, 92, 88, 70, 69) if providers else (99, 85, 70, 69):
            for side in (0, 1):  # what was not answered in time is not believed any more
                machine.send(EventKind.DEPTH, market=0, code=side, lots=40)
            effects += machine.send(EventKind.MARK, market=0, price_ticks=ticks)
            for number in machine.known(offers=True):
                effects += machine.send(EventKind.ANSWER, other=number, code=int(Answer.ACCEPT if ticks > 90 else Answer.REFUSE))
            machine.clock(5 * SECOND)
            effects += machine.watch.effects[-1]
        for account in range(TRADERS):
            machine.funding_to_the_edge(account, 60)
            effects += machine.watch.effects[-1]
        machine.clock(5 * SECOND)
        effects += machine.watch.effects[-1]
        assert machine.watch.wrong == []
        assert machine.watch.everything_ends() == []
        kinds |= {effect.kind for effect in effects}
        health |= {effect.code for effect in effects if effect.kind == EffectKind.HEALTH}
        states |= {effect.code for effect in effects if effect.kind == EffectKind.BREAKER}
    assert health == set(Health)
    assert states == set(BreakerState)
    wanted = set(EffectKind) - {EffectKind.REFUSAL, EffectKind.GUARD}
    assert kinds >= wanted, [kind.name for kind in wanted - kinds]
