"""A hostile venue, played by Hypothesis against the real engine; a full scan in plain Python follows every event.

Each ``@invariant`` bears the id of the sentence it attacks (docs/reference/invariants.md). What it found
is in ``Watch.findings``; ``checks`` says what was looked at.
"""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backstop.core.events import FUND, NONE, EffectKind, EventKind, Health, Stage, Transfer
from backstop.core.instruments import NO_CAP, PPM, CloseoutRules, FundRules, LevelRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.state import state_digest
from tests.oracle.records import Effect, Event
from tests.oracle.state import fresh_health
from tests.properties.profile import settings_of
from tests.properties.watch import Watch, run_cut

SECOND = 1_000_000_000
ACCOUNTS, OWNERS = 7, 5
RESTRICT, CLOSEOUT, FUND_STAGE, ADL, TEAR_UP = Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP

STAGES = (
    (RESTRICT, CLOSEOUT, FUND_STAGE, ADL, TEAR_UP),
    (RESTRICT, CLOSEOUT, ADL, TEAR_UP),
    (CLOSEOUT, FUND_STAGE, TEAR_UP),
    (FUND_STAGE, ADL, TEAR_UP),
    (RESTRICT, CLOSEOUT, ADL, FUND_STAGE, TEAR_UP),
)

#: Floors that positions of 20 to 60 lots cross; the third tier is reached after a rise.
TIERS = (TierRules(0, 100_000, 50_000), TierRules(2_000, 150_000, 100_000), TierRules(6_000, 300_000, 250_000))
COARSE = (TierRules(0, 50_000, 0), TierRules(280_000, 200_000, 150_000))

picks = st.integers(0, 1 << 20)
sizes = st.integers(1, 30)
sides = st.sampled_from((-1, 1))


def make_rules(
    stages: tuple[int, ...], tolerance_ppm: int, fee_ppm: int, fund_cap: int, account_cap: int, minimum: int, effects_max: int
) -> VenueRules:
    """Return a venue of two small markets: one of single atoms a tick, one whose first tier asks for no maintenance."""
    small = MarketRules(1, 500, 120, TIERS, (1_000, 20_000), tolerance_ppm)
    coarse = MarketRules(7, 5_000, 90, COARSE, (0, 5_000, 10_000), tolerance_ppm)
    return VenueRules(
        markets=(small, coarse),
        levels=LevelRules(),
        stages=stages,
        closeout=CloseoutRules(
            fee_ppm=fee_ppm,
            deadline_ns=5 * SECOND,
            order_timeout_ns=3 * SECOND,
            cap_interval_ns=4 * SECOND,
            minimum_notional=minimum,
            account_notional_max=account_cap,
        ),
        fund=FundRules(loss_per_interval_max=fund_cap),
        limits=LimitRules(accounts_max=ACCOUNTS, positions_max=2 * ACCOUNTS, orders_max=16, effects_max=effects_max),
        solvent_pay_first=FUND_STAGE in stages and ADL in stages[: stages.index(FUND_STAGE)],
    )


class HostileVenue(RuleBasedStateMachine):
    """Marks, trades, money and answers in any order, at any time, right or wrong."""

    watch: Watch

    @initialize(
        stages=st.sampled_from(STAGES),
        tolerance_ppm=st.sampled_from((30_000, 0, 200_000)),
        fee_ppm=st.sampled_from((5_000, 0, 60_000)),
        fund_cap=st.sampled_from((NO_CAP, 400)),
        account_cap=st.sampled_from((NO_CAP, 20_000)),
        minimum=st.sampled_from((0, 700)),
        effects_max=st.sampled_from((1 << 12, 200)),
        fund=st.sampled_from((2_000, 0, 100, 30_000)),
        lots=st.lists(st.integers(-60, 60), min_size=ACCOUNTS, max_size=ACCOUNTS),
        margins_ppm=st.lists(st.integers(80_000, 600_000), min_size=ACCOUNTS, max_size=ACCOUNTS),
    )
    def open_book(
        self,
        stages: tuple[int, ...],
        tolerance_ppm: int,
        fee_ppm: int,
        fund_cap: int,
        account_cap: int,
        minimum: int,
        effects_max: int,
        fund: int,
        lots: list[int],
        margins_ppm: list[int],
    ) -> None:
        """Open accounts with a position each, alternately in the two markets."""
        self.watch = Watch(make_rules(stages, tolerance_ppm, fee_ppm, fund_cap, account_cap, minimum, effects_max))
        self.mirror = self.watch.mirror
        self.seq, self.time_ns = 0, 0
        for market, price in enumerate((100, 1_000)):
            self.send(EventKind.MARK, market=market, price_ticks=price)
            self.send(EventKind.DEPTH, market=market, code=0, lots=40)
            self.send(EventKind.DEPTH, market=market, code=1, lots=40)
        if fund:
            self.send(EventKind.TRANSFER, account=FUND, amount=fund)
        for account in range(ACCOUNTS):
            market = account % 2
            value = abs(lots[account]) * self.mirror.unit(market)
            self.send(EventKind.ACCOUNT, account=account, other=account % OWNERS)
            self.send(EventKind.TRANSFER, account=account, amount=value * margins_ppm[account] // PPM + 50)
            if lots[account]:
                price = self.mirror.marks[market]
                self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=lots[account], price_ticks=price)

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Send the next event."""
        self.seq += 1
        return self.watch.send(Event(self.seq, self.time_ns, int(kind), **fields))

    def price(self, market: int, ticks: int) -> int:
        """Clamp to the prices of the market."""
        return max(1, min(ticks, self.watch.rules.markets[market].price_ticks_max))

    # -- prices ----------------------------------------------------------------------------------

    @rule(market=st.integers(0, 1), ticks=st.integers(-3, 3))
    def mark_ticks(self, market: int, ticks: int) -> None:
        """Move a mark by single ticks."""
        self.send(EventKind.MARK, market=market, price_ticks=self.price(market, self.mirror.marks[market] + ticks))

    @rule(market=st.integers(0, 1), move_ppm=st.integers(-400_000, 400_000))
    def mark_jumps(self, market: int, move_ppm: int) -> None:
        """Move a mark by up to 40 %."""
        price = self.mirror.marks[market] * (PPM + move_ppm) // PPM
        self.send(EventKind.MARK, market=market, price_ticks=self.price(market, price))

    @rule(pick=picks, direction=sides, beyond=st.integers(-1, 1))
    def mark_to_the_edge(self, pick: int, direction: int, beyond: int) -> None:
        """Move a mark to the very tick where an account changes its health, or one beside it."""
        account = pick % ACCOUNTS
        held = self.mirror.markets_of(account)
        if not held:
            return
        market = held[pick // ACCOUNTS % len(held)]
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
        here, self.mirror.marks[market] = self.mirror.marks[market], ticks
        equity, maintenance = self.mirror.equity(account), self.mirror.maintenance(account)
        self.mirror.marks[market] = here
        return fresh_health(self.watch.rules, self.mirror.health[account], equity, maintenance)

    # -- accounts --------------------------------------------------------------------------------

    @rule(
        pick=picks,
        other=st.integers(-1, ACCOUNTS - 1),
        market=st.integers(0, 1),
        lots=sizes,
        side=sides,
        off_ppm=st.integers(-20_000, 20_000),
    )
    def fill(self, pick: int, other: int, market: int, lots: int, side: int, off_ppm: int) -> None:
        """Trade between two accounts, or with OUTSIDE."""
        price = self.price(market, self.mirror.marks[market] * (PPM + off_ppm) // PPM)
        self.send(EventKind.FILL, market=market, account=pick % ACCOUNTS, other=other, lots=side * lots, price_ticks=price)

    @rule(pick=picks)
    def close_own(self, pick: int) -> None:
        """An account closes a whole position itself, whatever orders are out."""
        account = pick % ACCOUNTS
        for market in self.mirror.markets_of(account)[:1]:
            lots, price = -self.mirror.lots(account, market), self.mirror.marks[market]
            self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=lots, price_ticks=price)

    @precondition(lambda self: any(order.is_open for order in self.mirror.orders.values()))
    @rule(pick=picks, lots=st.integers(-3, 3))
    def trade_beside_an_order(self, pick: int, lots: int) -> None:
        """An account closes about as much itself as an order leaves over."""
        order = self.mirror.orders[self.order(pick)]
        held = self.mirror.lots(order.account, order.market)
        side = 1 if held < 0 else -1
        lots = side * (abs(held) - order.remaining + lots)
        price = self.mirror.marks[order.market]
        self.send(EventKind.FILL, market=order.market, account=order.account, other=NONE, lots=lots, price_ticks=price)

    @rule(pick=picks, amount=st.integers(-3_000, 3_000), code=st.sampled_from(Transfer))
    def transfer(self, pick: int, amount: int, code: Transfer) -> None:
        """Deposit, withdraw, pay or receive funding."""
        self.send(EventKind.TRANSFER, account=pick % ACCOUNTS, amount=amount, code=int(code))

    @rule(pick=picks, below=st.integers(-2, 60))
    def funding_to_the_edge(self, pick: int, below: int) -> None:
        """Take so much funding that an account is left with equity around zero, or below."""
        account = pick % ACCOUNTS
        amount = self.mirror.equity(account) + below
        self.send(EventKind.TRANSFER, account=account, amount=-amount, code=int(Transfer.FUNDING))

    @rule(amount=st.integers(-3_000, 3_000))
    def fund_money(self, amount: int) -> None:
        """Pay into the fund, or take out what it may have promised."""
        self.send(EventKind.TRANSFER, account=FUND, amount=amount)

    # -- the book and time -----------------------------------------------------------------------

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

    # -- answers ---------------------------------------------------------------------------------

    def order(self, pick: int) -> int:
        """Return an order, most often an open one."""
        ids = [number for number, order in self.mirror.orders.items() if order.is_open]
        ids = ids if ids and pick % 4 else list(self.mirror.orders)
        return ids[pick // 4 % len(ids)]

    @precondition(lambda self: self.mirror.orders)
    @rule(pick=picks, lots=st.integers(-30, 10), worse=st.integers(-4, 4))
    def order_fill(self, pick: int, lots: int, worse: int) -> None:
        """Fill an order: in part, whole, too late, too much, at its limit or not."""
        number = self.order(pick)
        order = self.mirror.orders[number]
        lots = max(1, order.remaining + lots)
        side = 1 if order.lots > 0 else -1
        price = self.price(order.market, order.limit_ticks + side * worse)
        self.send(EventKind.ORDER_FILL, market=order.market, other=number, lots=side * lots, price_ticks=price)

    @precondition(lambda self: self.mirror.orders)
    @rule(pick=picks)
    def order_done(self, pick: int) -> None:
        """End an order, open or not."""
        self.send(EventKind.ORDER_DONE, other=self.order(pick))

    # -- what must hold --------------------------------------------------------------------------

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
    def inv_11_solvent_accounts_pay_last(self) -> None:
        self.nothing_found("INV-11")

    @invariant()
    def effects_are_the_oracles(self) -> None:
        self.nothing_found("oracle")

    def teardown(self) -> None:
        """INV-09: the same events, cut otherwise and with a buffer that fills up, give the same bytes."""
        if not hasattr(self, "watch"):
            return
        watch, cuts = self.watch, Random(self.seq)
        whole = (watch.all_effects(), state_digest(watch.state))
        assert whole[1] == watch.oracle.digest()
        for _ in range(2):
            assert run_cut(watch.rules, watch.events, cuts) == whole, "INV-09"


HostileVenue.TestCase.settings = settings_of(200, 60)
TestHostileVenue = HostileVenue.TestCase


def test_machine_reaches_default() -> None:
    """The machine's own venue knows every health and every stage, so that its silence means something."""
    machine = HostileVenue()
    machine.open_book(STAGES[0], 30_000, 5_000, NO_CAP, NO_CAP, 0, 1 << 12, 100, [60, -60, -60, 60, 40, -40, 0], [90_000] * ACCOUNTS)
    kinds, health = set(), set()
    for ticks in (99, 97, 96, 94, 92, 88, 70):
        effects = machine.send(EventKind.MARK, market=0, price_ticks=ticks)
        machine.clock(5 * SECOND)
        effects += machine.watch.effects[-1]
        kinds |= {effect.kind for effect in effects}
        health |= {effect.code for effect in effects if effect.kind == EffectKind.HEALTH}
    assert health == set(Health)
    assert kinds >= {EffectKind.ORDER, EffectKind.ADL_PLAN, EffectKind.RESTRICT, EffectKind.CANCEL}
    assert machine.watch.wrong == []
