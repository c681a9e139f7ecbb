"""Circuit breakers, price guard and drawdown: the machine explored to its end, and cases worked by hand from sections 7 to 9."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product
from typing import TypeAlias

import pytest

from backstop.core.events import (
    FUND,
    NEVER_NS,
    NONE,
    BreakerCause,
    BreakerState,
    EffectKind,
    EventKind,
    Guard,
    Health,
    Operator,
    Reject,
    Stage,
    Transfer,
    fund_of,
)
from backstop.core.instruments import BreakerRules, FundRules, FundsRules, LimitRules, MarketRules, TierRules, VenueRules, check_rules
from tests.oracle.breakers import breaker_digest, effective_state, peak_digest
from tests.oracle.engine import Effect, Event, Oracle
from tests.oracle.machine import HALT, THROTTLE, Machine, demand, graded, settle, spend

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
PRICE, FLOW, DRAWDOWN, STALE, OPERATOR, OUTAGE, DEFICIT = BreakerCause
K, F = EventKind, EffectKind

# -- the abstract machine, explored ------------------------------------------------------------------

#: Levels that each cause can have.
GRADES = {PRICE: (0, 1, 2), FLOW: (0, 1, 2), DRAWDOWN: (0, 1), STALE: (0, 2), OPERATOR: (0, 1, 2), OUTAGE: (0, 2), DEFICIT: (0, 2)}
NOW, HOLD, REOPEN = 1_000, 100, 10
#: State, levels in order of cause, spent causes, whether its time is over.
Node: TypeAlias = tuple[int, tuple[int, ...], frozenset[BreakerCause], bool]


def machines() -> Iterator[Node]:
    """Every state x every combination of levels x every set of spent causes x its time over or not."""
    spendable = [cause for cause in BreakerCause if cause != DEFICIT]
    sets = [frozenset(each) for each in chain.from_iterable(combinations(spendable, size) for size in range(len(spendable) + 1))]
    yield from product(BreakerState, product(*GRADES.values()), sets, (False, True))


def build(state: int, levels: tuple[int, ...], spent: frozenset[BreakerCause], due: bool) -> Machine:
    """A machine whose time is over, or which has just come into its state."""
    until = NEVER_NS if state == OPEN else NOW - due + (1 - due) * (REOPEN if state == REOPENING else HOLD)
    return Machine(state, 0, until, dict(zip(BreakerCause, levels, strict=True)), set(spent))


def node(machine: Machine, now: int) -> Node:
    """The machine as one of ``machines``."""
    return machine.state, tuple(machine.levels.values()), frozenset(machine.spent), machine.until <= now


def test_every_machine_is_open_after_at_most_two_holds_and_a_reopening() -> None:
    """Signals stay, time passes: all 221,184 machines end OPEN and stay there; no cause that was spent has halted."""
    waits: dict[Node, tuple[int, int]] = {}

    def run(start: Node) -> tuple[int, int]:
        """Holds and reopenings that are waited for until the machine rests in OPEN."""
        if start in waits:
            return waits[start]
        machine = build(*start)
        settle(machine, NOW, HOLD, REOPEN)
        after = node(machine, NOW)
        assert not after[3], f"{start}: what a settle leaves has time before it"
        if after[0] == OPEN and after == start:
            result = (0, 0)
        elif after == start:
            holds, reopenings = run((*start[:3], True))
            result = (holds + (start[0] != REOPENING), reopenings + (start[0] == REOPENING))
        else:
            result = run(after)
        waits[start] = result
        return result

    count, most = 0, (0, 0)
    for start in machines():
        if start[0] == OPEN and start[3]:
            continue
        holds, reopenings = run(start)
        assert holds <= 2
        assert reopenings <= 1
        most = (max(most[0], holds), max(most[1], reopenings))
        count += 1
    assert count == 7 * 432 * 64
    assert most == (1, 1), "the rule allows two holds; signals that stay need one"


def test_every_settle_does_only_what_it_may() -> None:
    """A hold that is over ends; HALTED has a fresh cause of level 2; a second settle changes nothing; one transition at most."""
    allowed = {
        OPEN: {OPEN, THROTTLED, HALTED},
        THROTTLED: {THROTTLED, HALTED, OPEN},
        HALTED: {HALTED, REOPENING},
        REOPENING: {REOPENING, HALTED, THROTTLED, OPEN},
    }
    for start in machines():
        state, levels, spent, due = start
        if state == OPEN and due:
            continue
        machine = build(*start)
        moved = settle(machine, NOW, HOLD, REOPEN)
        assert moved == (machine.state != state)
        assert machine.state in allowed[BreakerState(state)]
        if due:
            assert moved, f"{start}: a state without an exit"
        if machine.state in (HALTED, THROTTLED) and moved:
            level = dict(zip(BreakerCause, levels, strict=True))[BreakerCause(machine.cause)]
            assert machine.cause not in spent
            assert level == (HALT if machine.state == HALTED else THROTTLE)
        assert all(machine.levels[BreakerCause(cause)] for cause in machine.spent)
        before = (machine.state, machine.cause, machine.until, dict(machine.levels), set(machine.spent))
        assert not settle(machine, NOW, HOLD, REOPEN)
        assert before == (machine.state, machine.cause, machine.until, machine.levels, machine.spent)


def test_an_operator_reopens_whatever_stands() -> None:
    """REOPEN spends all causes: HALTED begins to reopen, the others are OPEN or on their way."""
    for start in machines():
        if start[0] == OPEN and start[3]:
            continue
        machine = build(*start)
        machine.levels[OPERATOR] = 0
        for cause in BreakerCause:
            spend(machine, cause)
        settle(machine, NOW, HOLD, REOPEN)
        assert demand(machine) == (0, 0)
        assert machine.state == (REOPENING if start[0] == HALTED or (start[0] == REOPENING and not start[3]) else OPEN)


def test_spent_cause_waits_for_its_level_to_be_none() -> None:
    """Held for 100, spent, reopened at 110: level 2 stays and halts nothing; 1 neither; 0, then 1: throttled again."""
    machine = Machine(levels=dict.fromkeys(BreakerCause, 0))
    machine.levels[PRICE] = HALT
    seen = []
    for now, level in ((0, 2), (99, 2), (100, 2), (109, 2), (110, 2), (500, 1), (501, 2), (502, 0), (503, 1)):
        machine.levels[PRICE] = level
        settle(machine, now, HOLD, REOPEN)
        seen.append((machine.state, machine.until))
    halted, reopening, is_open = (HALTED, 100), (REOPENING, 110), (OPEN, NEVER_NS)
    assert seen == [halted, halted, reopening, reopening, is_open, is_open, is_open, is_open, (THROTTLED, 603)]


def test_first_of_the_highest_is_the_cause() -> None:
    """STALE (2) over PRICE (1); of two halts the first in the list; where nothing is left, the cause stays."""
    machine = Machine()
    machine.levels |= {PRICE: 1, STALE: 2, DEFICIT: 2}
    assert demand(machine) == (2, STALE)
    settle(machine, 0, HOLD, REOPEN)
    assert (machine.state, machine.cause) == (HALTED, STALE)
    machine.levels |= {STALE: 0, DEFICIT: 0}
    settle(machine, 5, HOLD, REOPEN)
    assert (machine.state, machine.cause, machine.until) == (REOPENING, PRICE, 15)
    machine.levels[PRICE] = 0
    settle(machine, 15, HOLD, REOPEN)
    assert (machine.state, machine.cause) == (OPEN, PRICE)


def test_a_halt_that_weakens_is_throttled_after_the_reopening() -> None:
    """Level 2 falls to 1 before the hold is over: REOPENING to 60, THROTTLED to 160, spent, OPEN."""
    machine = Machine()
    machine.levels[FLOW] = 2
    settle(machine, 0, HOLD, REOPEN)
    machine.levels[FLOW] = 1
    states = []
    for now in (50, 59, 60, 159, 160, 161):
        settle(machine, now, HOLD, REOPEN)
        states.append((machine.state, machine.until))
    assert states == [(REOPENING, 60)] * 2 + [(THROTTLED, 160)] * 2 + [(OPEN, NEVER_NS)] * 2
    assert machine.spent == {FLOW}


def test_deficit_ends_with_its_hold_and_can_come_again() -> None:
    """A deficit has no signal: its level is 0 after the hold; the next one halts at once, also while it reopens."""
    machine = Machine()
    machine.levels[DEFICIT] = 2
    settle(machine, 0, HOLD, REOPEN)
    settle(machine, 100, HOLD, REOPEN)
    assert (machine.state, machine.levels[DEFICIT], machine.spent) == (REOPENING, 0, set())
    machine.levels[DEFICIT] = 2
    settle(machine, 101, HOLD, REOPEN)
    assert (machine.state, machine.cause, machine.until) == (HALTED, DEFICIT, 201)


@pytest.mark.parametrize(
    ("signal", "levels"),
    [
        (0, (0, 0, 0)),
        (9, (0, 0, 0)),
        (10, (0, 1, 2)),
        (19, (0, 1, 2)),
        (20, (1, 1, 2)),
        (29, (1, 1, 2)),
        (30, (2, 2, 2)),
    ],
)
def test_levels_have_hysteresis(signal: int, levels: tuple[int, int, int]) -> None:
    """Throttle 20, halt 30, exit 10: what each of the three levels becomes."""
    assert tuple(graded(old, signal, 20, 30, 10) for old in (0, 1, 2)) == levels


def test_a_threshold_of_0_is_off() -> None:
    """Throttle alone never halts, halt alone never throttles, neither is nothing."""
    assert [graded(0, signal, 20, 0, 10) for signal in (19, 20, 10**9)] == [0, 1, 1]
    assert [graded(0, signal, 0, 30, 10) for signal in (29, 30)] == [0, 2]
    assert [graded(2, signal, 0, 30, 10) for signal in (29, 10, 9)] == [2, 2, 0]
    assert graded(2, 10**9, 0, 0, 0) == 0


# -- a small venue -------------------------------------------------------------------------------------

PLAIN = MarketRules(1, 10_000, 1_000, (TierRules(0, 100_000, 100_000),), (1_000,), 0)
#: Holds of 50, reopenings of 10, windows of 100.
SHORT = BreakerRules(hold_max_ns=50, reopen_ns=10, price_window_ns=100, flow_window_ns=100)


class Venue:
    """Markets with the same rules and an oracle, driven at times in nanoseconds; nothing may be broken after any event."""

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
        self.oracle, self.seq = Oracle(rules), -1

    def at(self, time_ns: int, kind: EventKind = K.CLOCK, **fields: int) -> list[Effect]:
        """Apply an event."""
        self.seq += 1
        effects = self.oracle.apply(Event(self.seq, time_ns, int(kind), **fields))
        assert self.oracle.check() == []
        return effects

    def mark(self, time_ns: int, price_ticks: int, market: int = 0) -> list[tuple[int, ...]]:
        """Move a mark; return what breakers did."""
        return moves(self.at(time_ns, K.MARK, market=market, price_ticks=price_ticks))

    def open(self, time_ns: int, balance: int, lots: int = 0, price_ticks: int = 100, market: int = 0) -> int:
        """Open an account of its own owner."""
        account = len(self.oracle.state.accounts)
        self.at(time_ns, K.ACCOUNT, account=account, other=account)
        if balance:
            self.at(time_ns, K.TRANSFER, account=account, amount=balance)
        if lots:
            self.at(time_ns, K.POSITION, account=account, market=market, lots=lots, amount=lots * price_ticks)
        return account

    def default(self, time_ns: int, lots: int, market: int = 0) -> list[Effect]:
        """A long of so many lots from 100 at mark 100 loses all it has and a unit more: ADL against OUTSIDE at once."""
        account = self.open(time_ns, lots * 100, lots, market=market)
        return self.at(time_ns, K.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-lots * 100 - 1)

    def operator(self, time_ns: int, code: Operator, amount: int = 0, market: int = NONE) -> list[tuple[int, ...]]:
        """Give an order; return what breakers did."""
        return moves(self.at(time_ns, K.OPERATOR, code=int(code), market=market, amount=amount))

    def row(self, number: int = 0) -> tuple[int, ...]:
        """Row of the digest."""
        return breaker_digest(self.oracle.state)[number]

    @property
    def states(self) -> list[int]:
        """State of every breaker."""
        return [breaker.state for breaker in self.oracle.state.breakers]


def moves(effects: list[Effect]) -> list[tuple[int, ...]]:
    """Market, old state, new state, cause, time and value of BREAKER effects."""
    return [(e.market, e.other, e.code, e.lots, e.amount, e.value) for e in effects if e.kind == F.BREAKER]


def guards(effects: list[Effect]) -> list[tuple[int, ...]]:
    """What was done, held price, mark before, time and move of GUARD effects."""
    return [(e.code, e.price_ticks, e.other, e.amount, e.value) for e in effects if e.kind == F.GUARD]


# -- price -----------------------------------------------------------------------------------------------

PRICED = PLAIN._replace(price_throttle_ppm=100_000, price_halt_ppm=200_000, price_exit_ppm=50_000)


def test_price_throttles_halts_and_leaves_with_hysteresis() -> None:
    """From 1,000: 1,099 is 9.9 %; 1,100 is 10 %; 1,050 is 5 % up from the low, not below the exit; 1,049 is 4.9 %."""
    venue = Venue(PRICED)
    assert venue.mark(0, 1_000) == []
    assert venue.mark(1, 1_099) == []
    assert venue.mark(2, 1_100) == [(0, OPEN, THROTTLED, PRICE, 52, 100_000)]
    assert venue.mark(3, 1_050) == []
    assert venue.mark(4, 1_049) == [(0, THROTTLED, OPEN, PRICE, NEVER_NS, 49_000)]
    # A fall counts from the high: (1,100 - 880) / 1,100 = 20 %.
    assert venue.mark(5, 880) == [(0, OPEN, HALTED, PRICE, 55, 200_000)]


def test_price_rises_from_throttled_to_halted() -> None:
    """10 %, then 20 %: the hold begins anew."""
    venue = Venue(PRICED)
    venue.mark(0, 1_000)
    assert venue.mark(2, 1_100) == [(0, OPEN, THROTTLED, PRICE, 52, 100_000)]
    assert venue.mark(9, 1_200) == [(0, THROTTLED, HALTED, PRICE, 59, 200_000)]


def test_price_windows_are_the_present_and_the_last() -> None:
    """Windows of 100 begin with the old mark; the third forgets the first; a gap forgets all but the old mark."""
    venue = Venue(PRICED)
    seen = []
    for time_ns, price in ((0, 1_000), (50, 1_050), (150, 1_060), (250, 1_070), (299, 1_065), (500, 1_080)):
        venue.mark(time_ns, price)
        seen.append((venue.row()[9:11], venue.oracle.state.breakers[0].price_signal))
    assert seen == [
        ((1_000, 1_000), 0),
        ((1_000, 1_050), 50_000),
        ((1_000, 1_060), 60_000),  # the last window is 1,000 to 1,050
        ((1_050, 1_070), 19_047),  # the last window began with 1,050: 20 / 1,050
        ((1_050, 1_070), 14_285),  # 15 / 1,050
        ((1_065, 1_080), 14_084),  # 15 / 1,065
    ]


def test_first_mark_is_its_own_past() -> None:
    """Whatever the time, both windows begin with the first mark."""
    venue = Venue(PRICED)
    assert venue.row() == (OPEN, 0, NEVER_NS, 0, 0, NEVER_NS, 0, 0, 0, 0, 0, -1, 0, 0)
    venue.mark(100, 1_000)
    assert venue.row() == (OPEN, 0, NEVER_NS, 0, 0, NEVER_NS, 0, 0, 0, 1_000, 1_000, 100, 0, 0)
    assert venue.row(1) == (OPEN, 0, NEVER_NS, 0, 0, NEVER_NS, NEVER_NS, 0, 0, 0, 0, -1, 0, 0)


def test_distance_from_the_index_is_a_price_signal() -> None:
    """Mark 1,000, index 900: 100 / 900 = 11.1 %. Back at 960: 4.2 %. An index before the first mark says nothing."""
    venue = Venue(PRICED)
    assert moves(venue.at(0, K.INDEX, market=0, price_ticks=1)) == []
    assert venue.mark(1, 1_000)[0][:4] == (0, OPEN, HALTED, PRICE)
    venue = Venue(PRICED)
    venue.mark(0, 1_000)
    assert moves(venue.at(1, K.INDEX, market=0, price_ticks=900)) == [(0, OPEN, THROTTLED, PRICE, 51, 111_111)]
    assert moves(venue.at(2, K.INDEX, market=0, price_ticks=960)) == [(0, THROTTLED, OPEN, PRICE, NEVER_NS, 41_666)]


def test_price_that_stays_away_holds_once() -> None:
    """HALTED at 0, spent at 50, OPEN at 60 though the index stays 25 % away; only back below 5 % can it halt again."""
    venue = Venue(PRICED)
    venue.at(0, K.INDEX, market=0, price_ticks=800)
    assert venue.mark(0, 1_000) == [(0, OPEN, HALTED, PRICE, 50, 250_000)]
    assert venue.oracle.next_time_ns() == 50
    assert moves(venue.at(49)) == []
    assert moves(venue.at(50)) == [(0, HALTED, REOPENING, PRICE, 60, 250_000)]
    assert venue.row()[3:5] == (2, 1)
    assert moves(venue.at(60)) == [(0, REOPENING, OPEN, PRICE, NEVER_NS, 250_000)]
    assert venue.mark(70, 1_001) == []
    venue.at(71, K.INDEX, market=0, price_ticks=1_001)
    assert venue.row()[3:5] == (0, 0)
    assert moves(venue.at(72, K.INDEX, market=0, price_ticks=800)) == [(0, OPEN, HALTED, PRICE, 122, 251_250)]


# -- flow ------------------------------------------------------------------------------------------------


def test_flow_of_market_and_venue() -> None:
    """A default of 10 lots at 100 is 1,000 of flow; it ends below half of the throttle, in windows of 100.

    Market: throttle 1,000, halt 3,000. Venue: halt 1,500 alone, so its exit is 750.
    """
    venue = Venue(PLAIN._replace(flow_throttle=1_000, flow_halt=3_000), count=2, breakers=SHORT._replace(flow_halt=1_500))
    venue.mark(0, 100)
    venue.mark(0, 100, market=1)
    assert moves(venue.default(10, 10)) == [(0, OPEN, THROTTLED, FLOW, 60, 1_000)]
    assert moves(venue.default(20, 9)) == [(NONE, OPEN, HALTED, FLOW, 70, 1_900)]
    assert [effective_state(venue.oracle.state, market) for market in (0, 1)] == [HALTED, HALTED]
    assert moves(venue.at(60)) == [(0, THROTTLED, OPEN, FLOW, NEVER_NS, 1_900)]
    assert moves(venue.at(70)) == [(NONE, HALTED, REOPENING, FLOW, 80, 1_900)]
    assert moves(venue.at(80)) == [(NONE, REOPENING, OPEN, FLOW, NEVER_NS, 1_900)]
    # The next window still counts the last: 1,900 + 1,100 is the halt, but FLOW is spent.
    assert moves(venue.default(150, 11)) == []
    assert venue.row()[3:5] == (2 * 3, 2)
    assert venue.row()[7:9] == (1_100, 1_900)
    # Windows 2 and 3 pass; 400 is below 500: not spent any more. 600 more: throttled again.
    assert moves(venue.default(310, 4)) == []
    assert venue.row()[3:5] == (0, 0)
    assert moves(venue.default(320, 6)) == [(0, OPEN, THROTTLED, FLOW, 370, 1_000)]
    assert venue.row(2)[7:9] == (1_000, 0)


def test_flow_falls_with_its_windows() -> None:
    """Throttled at 90 by 1,000. At 140 the hold ends: the last window still counts, so FLOW is spent, not gone."""
    venue = Venue(PLAIN._replace(flow_throttle=1_000))
    venue.mark(0, 100)
    venue.default(90, 10)
    assert moves(venue.at(140)) == [(0, THROTTLED, OPEN, FLOW, NEVER_NS, 1_000)]
    assert venue.row()[3:5] == (3, 2)
    # Held longer than two windows: at 290 no flow is left, the level is 0 and nothing is spent.
    venue = Venue(PLAIN._replace(flow_throttle=1_000), breakers=SHORT._replace(hold_max_ns=200))
    venue.mark(0, 100)
    venue.default(90, 10)
    assert moves(venue.at(290)) == [(0, THROTTLED, OPEN, FLOW, NEVER_NS, 0)]
    assert venue.row()[3:5] == (0, 0)


def test_flow_exit_is_never_out_of_reach() -> None:
    """A throttle of 1: half of it is 0, but a flow of 0 ends it."""
    venue = Venue(PLAIN._replace(flow_throttle=1))
    venue.mark(0, 100)
    venue.default(0, 1)
    venue.mark(250, 100)
    assert venue.states == [OPEN, OPEN]
    assert venue.row()[3:5] == (0, 0)


# -- drawdown --------------------------------------------------------------------------------------------

#: Slots of 100.
FALLS = FundsRules(drawdown_window_ns=1_600, drawdown_enter_ppm=300_000, drawdown_exit_ppm=250_000, trading_fee_share_ppm=1_000_000)


def lose(venue: Venue, time_ns: int, amount: int) -> list[tuple[int, ...]]:
    """A flat account owes what only the fund of group 0 can pay."""
    account = venue.open(time_ns, 0)
    return moves(venue.at(time_ns, K.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-amount))


def earn(venue: Venue, time_ns: int, amount: int) -> list[tuple[int, ...]]:
    """A trading fee, all of which goes to the fund of group 0."""
    account = venue.open(time_ns, amount)
    return moves(venue.at(time_ns, K.TRANSFER, account=account, code=int(Transfer.TRADING_FEE), amount=amount))


def test_drawdown_throttles_the_markets_of_its_group() -> None:
    """1,000 less 299 is not yet 30 %, less 300 is; 749 is 25.1 % below, 751 is 24.9 %."""
    venue = Venue(PLAIN, count=2, fund=FALLS)
    venue.at(0, K.TRANSFER, account=FUND, amount=1_000)
    venue.at(0, K.TRANSFER, account=fund_of(1), amount=1_000)
    assert lose(venue, 10, 299) == []
    assert lose(venue, 11, 1) == [(0, OPEN, THROTTLED, DRAWDOWN, 61, 0)]
    assert peak_digest(venue.oracle.state, 0) == (1, 1_000)
    assert earn(venue, 12, 49) == []
    assert earn(venue, 13, 2) == [(0, THROTTLED, OPEN, DRAWDOWN, NEVER_NS, 0)]
    assert peak_digest(venue.oracle.state, 1) == (0, 1_000)


def test_peak_is_forgotten_after_17_slots() -> None:
    """The peak of 1,000 was in slot 1 (it began with it); slot 17 still sees it, slot 18 only the 800 with which slot 17 began."""
    for losses, peak, throttled in (
        (((1_799, 100),), 1_000, True),
        (((1_700, 1), (1_800, 100)), 800, False),
        (((1_700, 1), (1_800, 239)), 800, True),
    ):
        venue = Venue(PLAIN, fund=FALLS)
        venue.at(0, K.TRANSFER, account=FUND, amount=1_000)
        assert lose(venue, 150, 200) == []
        seen = [lose(venue, time_ns, amount) for time_ns, amount in losses]
        assert bool(seen[-1]) == throttled
        assert peak_digest(venue.oracle.state, 0) == (int(throttled), peak)


def test_cash_of_a_fund_moves_its_peaks() -> None:
    """Taking 600 of 1,000 out is no loss, in the same slot or a later one; a loss of 30 % of the 400 left is one."""
    for time_ns in (0, 250):
        venue = Venue(PLAIN, fund=FALLS)
        venue.at(0, K.TRANSFER, account=FUND, amount=1_000)
        assert moves(venue.at(time_ns, K.TRANSFER, account=FUND, amount=-600)) == []
        assert peak_digest(venue.oracle.state, 0) == (0, 400)
        assert lose(venue, time_ns, 119) == []
        assert lose(venue, time_ns, 1)[0][:4] == (0, OPEN, THROTTLED, DRAWDOWN)
    # 280 left of a peak of 400. Another 1,000: 1,280 of 1,400 is 8.6 % below, and the level is gone.
    assert moves(venue.at(260, K.TRANSFER, account=FUND, amount=1_000)) == [(0, THROTTLED, OPEN, DRAWDOWN, NEVER_NS, 0)]
    assert peak_digest(venue.oracle.state, 0) == (0, 1_400)
    # Nothing was in use for 17 slots: nothing is kept.
    venue.at(2_100)
    assert peak_digest(venue.oracle.state, 0) == (0, 0)


# -- stale -----------------------------------------------------------------------------------------------

AGEING = SHORT._replace(stale_ns=40)


def test_stale_feed_halts_until_its_next_mark() -> None:
    """40 after the mark: HALTED. The mark at 60 ends it: REOPENING, OPEN at 70. A market without a mark is never stale."""
    venue = Venue(PLAIN, count=2, breakers=AGEING)
    venue.mark(0, 100)
    assert venue.oracle.next_time_ns() == 40
    assert moves(venue.at(39)) == []
    assert moves(venue.at(40)) == [(0, OPEN, HALTED, STALE, 90, 0)]
    assert venue.mark(60, 100) == [(0, HALTED, REOPENING, STALE, 70, 0)]
    assert moves(venue.at(70)) == [(0, REOPENING, OPEN, STALE, NEVER_NS, 0)]
    assert venue.states == [OPEN, OPEN, OPEN]


def test_stale_feed_holds_once() -> None:
    """Silent for ever: OPEN at 100. Its mark at 110 makes STALE fresh again: HALTED at 150."""
    venue = Venue(PLAIN, breakers=AGEING)
    venue.mark(0, 100)
    seen = [moves(venue.at(time_ns)) for time_ns in (40, 90, 100)]
    assert [each[0][1:3] for each in seen] == [(OPEN, HALTED), (HALTED, REOPENING), (REOPENING, OPEN)]
    assert venue.oracle.next_time_ns() == NEVER_NS
    assert venue.mark(110, 100) == []
    assert moves(venue.at(150)) == [(0, OPEN, HALTED, STALE, 200, 0)]


def test_late_mark_first_finds_the_feed_stale() -> None:
    """Timers come before the kind: HALTED and REOPENING in one event."""
    venue = Venue(PLAIN, breakers=AGEING)
    venue.mark(0, 100)
    assert venue.mark(45, 100) == [(0, OPEN, HALTED, STALE, 95, 0), (0, HALTED, REOPENING, STALE, 55, 0)]


# -- operator --------------------------------------------------------------------------------------------


def test_order_of_the_operator_ends_by_itself() -> None:
    """30 of a hold of 50: REOPENING at 30. THROTTLE: OPEN at its end. Of the venue likewise."""
    for market in (0, NONE):
        venue = Venue(PLAIN)
        assert venue.operator(0, Operator.HALT, 30, market) == [(market, OPEN, HALTED, OPERATOR, 50, 0)]
        assert venue.row(market)[3:7] == (81 * 2, 0, 30, 0 if market == 0 else NEVER_NS)
        assert venue.oracle.next_time_ns() == 30
        assert moves(venue.at(30)) == [(market, HALTED, REOPENING, OPERATOR, 40, 0)]
        assert venue.operator(35, Operator.THROTTLE, 20, market) == []
        assert moves(venue.at(40)) == [(market, REOPENING, THROTTLED, OPERATOR, 90, 0)]
        assert moves(venue.at(55)) == [(market, THROTTLED, OPEN, OPERATOR, NEVER_NS, 0)]
        assert venue.row(market)[3:6] == (0, 0, NEVER_NS)


def test_order_longer_than_the_longest_hold_is_spent_and_can_be_repeated() -> None:
    """HALT for 500: OPEN at 60. Ordered again at 70, it is fresh."""
    venue = Venue(PLAIN)
    venue.operator(0, Operator.HALT, 500, 0)
    venue.at(50)
    assert moves(venue.at(60)) == [(0, REOPENING, OPEN, OPERATOR, NEVER_NS, 0)]
    assert venue.row()[3:6] == (162, 16, 500)
    assert venue.operator(70, Operator.HALT, 500, 0) == [(0, OPEN, HALTED, OPERATOR, 120, 0)]
    assert venue.row()[3:6] == (162, 0, 570)


def test_operator_reopens_what_the_price_halted() -> None:
    """PRICE is spent, so the market reopens, and a mark as far away does not halt it again."""
    venue = Venue(PRICED)
    venue.mark(0, 1_000)
    venue.mark(1, 1_300)
    assert venue.operator(2, Operator.REOPEN, market=0) == [(0, HALTED, REOPENING, PRICE, 12, 300_000)]
    assert venue.mark(3, 1_400) == []
    assert moves(venue.at(12)) == [(0, REOPENING, OPEN, PRICE, NEVER_NS, 400_000)]


def test_order_for_the_venue_leaves_the_machines_of_the_markets_alone() -> None:
    """REOPEN of the venue does not reopen a market."""
    venue = Venue(PRICED)
    venue.mark(0, 1_000)
    venue.mark(1, 1_300)
    assert venue.operator(2, Operator.REOPEN) == []
    assert venue.states == [HALTED, OPEN]


# -- outage ----------------------------------------------------------------------------------------------

SILENT = SHORT._replace(outage_gap_ns=100, outage_grace_ppm=300_000, outage_grace_max_ns=45)


def test_outage_halts_the_venue_for_a_grace_that_grows_with_the_gap() -> None:
    """No event before the first. 99 is no gap; 100 gives 30 of grace; 1,000 gives 45 at most. Each ends in a reopening of 10."""
    venue = Venue(PLAIN, breakers=SILENT)
    assert moves(venue.at(5_000)) == []
    assert moves(venue.at(5_099)) == []
    assert moves(venue.at(5_199)) == [(NONE, OPEN, HALTED, OUTAGE, 5_249, 0)]
    assert venue.row(1)[3:7] == (243 * 2, 0, NEVER_NS, 5_229)
    assert venue.oracle.next_time_ns() == 5_229
    assert moves(venue.at(5_229)) == [(NONE, HALTED, REOPENING, OUTAGE, 5_239, 0)]
    assert moves(venue.at(5_239)) == [(NONE, REOPENING, OPEN, OUTAGE, NEVER_NS, 0)]
    assert moves(venue.at(6_239)) == [(NONE, OPEN, HALTED, OUTAGE, 6_289, 0)]
    assert venue.row(1)[6] == 6_284


def test_the_gap_counts_from_the_last_accepted_event() -> None:
    """A refused event is no sign of life."""
    venue = Venue(PLAIN, breakers=SILENT)
    venue.at(0)
    assert venue.at(60, K.MARK, market=7, price_ticks=1)[0].code == Reject.UNKNOWN_MARKET
    assert moves(venue.at(100))[0][2:4] == (HALTED, OUTAGE)


def test_outage_after_a_reopening_by_the_operator_is_fresh() -> None:
    """Spent by REOPEN at 110; the next silence takes it out of the spent, though its level never was seen to be 0."""
    venue = Venue(PLAIN, breakers=SILENT)
    venue.at(0)
    venue.at(100)
    assert venue.operator(110, Operator.REOPEN)[0][2] == REOPENING
    assert moves(venue.at(210)) == [(NONE, REOPENING, HALTED, OUTAGE, 260, 0)]


def test_event_that_ends_a_silence_is_judged_by_the_states_before_it() -> None:
    """The fill after the gap passes the door; the next does not."""
    venue = Venue(PLAIN, breakers=SILENT)
    venue.mark(0, 100)
    account = venue.open(0, 1_000)
    assert venue.at(100, K.FILL, market=0, account=account, other=NONE, lots=1, price_ticks=100)[0].kind == F.TRADE
    assert venue.at(101, K.FILL, market=0, account=account, other=NONE, lots=1, price_ticks=100)[0].code == Reject.MARKET_HALTED


# -- deficit ---------------------------------------------------------------------------------------------


def test_deficit_halts_the_markets_of_the_default_for_the_longest_hold() -> None:
    """Torn up at mark with 1 less than nothing, and no fund: market 1, in which it was closed, is HALTED; market 0 is not."""
    venue = Venue(PLAIN, count=2, stages=(Stage.TEAR_UP,))
    venue.mark(0, 100, market=0)
    venue.mark(0, 100, market=1)
    effects = venue.default(1, 10, market=1)
    assert [effect.amount for effect in effects if effect.kind == F.RESIDUAL] == [1]
    assert moves(effects) == [(1, OPEN, HALTED, DEFICIT, 51, 0)]
    assert venue.row(1)[3] == 729 * 2
    assert moves(venue.at(51)) == [(1, HALTED, REOPENING, DEFICIT, 61, 0)]
    assert venue.row(1)[3:5] == (0, 0)
    assert moves(venue.at(61)) == [(1, REOPENING, OPEN, DEFICIT, NEVER_NS, 0)]


# -- venue over market, the door -------------------------------------------------------------------------


def test_effective_state_is_the_severer() -> None:
    """OPEN, THROTTLED, REOPENING, HALTED: all pairs."""
    venue, order = Venue(PLAIN), (OPEN, THROTTLED, REOPENING, HALTED)
    own, whole = venue.oracle.state.breakers
    for (weak, first), (strong, second) in product(enumerate(order), repeat=2):
        own.state, whole.state = first, second
        assert effective_state(venue.oracle.state, 0) == order[max(weak, strong)]


def test_no_new_risk_while_halted_or_reopening() -> None:
    """A fill may reduce both sides; it may not open, add or turn either of them. THROTTLED stops nothing."""
    venue = Venue(PLAIN)
    venue.mark(0, 100)
    account, other = venue.open(0, 1_000, 4), venue.open(0, 1_000, -2)

    def fill(lots: int, counterpart: int = NONE) -> int:
        effect = venue.at(venue.oracle.state.now, K.FILL, market=0, account=account, other=counterpart, lots=lots, price_ticks=100)[0]
        return effect.code if effect.kind == F.REFUSAL else 0

    venue.operator(0, Operator.HALT, 20)
    refused = Reject.MARKET_HALTED
    assert [fill(1), fill(-5), fill(-9), fill(-3, other), fill(1, other)] == [refused] * 5
    assert [fill(-1), fill(-1, other), fill(1)] == [0, 0, refused]
    venue.at(20)
    assert effective_state(venue.oracle.state, 0) == REOPENING
    assert [fill(1), fill(-1)] == [refused, 0]
    venue.at(30)
    assert venue.operator(30, Operator.THROTTLE, 10, 0)[0][2] == THROTTLED
    assert fill(1) == 0


def test_mark_settles_the_venue_only_where_it_is_not_open() -> None:
    """Flow of 1,000 throttles the venue at 10; at 205 both windows are over, and the next mark of any market finds that."""
    venue = Venue(PLAIN, count=2, breakers=SHORT._replace(flow_throttle=1_000, hold_max_ns=900))
    venue.mark(0, 100)
    assert moves(venue.default(10, 10)) == [(NONE, OPEN, THROTTLED, FLOW, 910, 1_000)]
    assert venue.mark(199, 100, market=1) == []
    assert moves(venue.at(205)) == []
    assert venue.mark(206, 100, market=1) == [(NONE, THROTTLED, OPEN, FLOW, NEVER_NS, 0)]


def test_timers_go_by_market_then_the_venue() -> None:
    """Three holds are over in one event."""
    venue = Venue(PLAIN, count=2)
    for market in (NONE, 1, 0):
        venue.operator(0, Operator.HALT, 500, market)
    assert [each[0] for each in moves(venue.at(50))] == [0, 1, NONE]
    assert venue.states == [REOPENING] * 3


# -- price guard -----------------------------------------------------------------------------------------

GUARDED = PLAIN._replace(guard_jump_ppm=50_000, guard_volume_lots=10)
HELD, CONFIRMED, RELEASED, DROPPED = Guard
WAITING = SHORT._replace(guard_hold_ns=30)


def guarded(volume: int | None = 9) -> Venue:
    """A venue at mark 1,000 on little volume, with a long of 10 that 1 % in its favour keeps healthy."""
    venue = Venue(GUARDED, breakers=WAITING)
    venue.mark(0, 1_000)
    venue.open(0, 1_400, 10, 1_000)
    if volume is not None:
        venue.at(0, K.VOLUME, market=0, lots=volume)
    return venue


def test_guard_holds_a_jump_on_little_volume() -> None:
    """950 is 5 % away: held, valued nowhere; 951 is 4.9 %: the mark."""
    venue = guarded()
    effects = venue.at(5, K.MARK, market=0, price_ticks=950)
    assert [effect.kind for effect in effects] == [F.GUARD]
    assert guards(effects) == [(HELD, 950, 1_000, 35, 50_000)]
    assert venue.oracle.state.markets[0].mark == 1_000
    assert venue.row()[9:] == (1_000, 1_000, 0, 950, 35)
    venue = guarded()
    assert guards(venue.at(5, K.MARK, market=0, price_ticks=951)) == []
    assert venue.oracle.state.markets[0].mark == 951


def test_guard_needs_a_volume_that_is_reported_and_little() -> None:
    """Unknown or enough volume: the jump is the mark, and the long (E = 400, M = 900) is not what it was."""
    for volume in (None, 10):
        venue = guarded(volume)
        effects = venue.at(5, K.MARK, market=0, price_ticks=900)
        assert guards(effects) == []
        assert effects[0].kind == F.HEALTH
        assert venue.oracle.state.markets[0].mark == 900


def test_guard_is_off_where_no_jump_is_named_or_no_mark_is_there() -> None:
    """The first mark has nothing to jump from."""
    venue = Venue(GUARDED, breakers=WAITING)
    venue.at(0, K.VOLUME, market=0, lots=0)
    assert guards(venue.at(0, K.MARK, market=0, price_ticks=1_000)) == []
    venue = Venue(PLAIN._replace(guard_volume_lots=10), breakers=WAITING)
    venue.at(0, K.VOLUME, market=0, lots=0)
    venue.mark(0, 1_000)
    assert guards(venue.at(0, K.MARK, market=0, price_ticks=1)) == []


def test_second_held_mark_keeps_the_time_of_the_first() -> None:
    """940, then 1,100 at 20: held until 35 as before; then 1,100 is the mark."""
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=940)
    assert guards(venue.at(20, K.MARK, market=0, price_ticks=1_100)) == [(HELD, 1_100, 1_000, 35, 100_000)]
    assert guards(venue.at(34)) == []
    assert guards(venue.at(35)) == [(RELEASED, 1_100, 1_000, 0, 100_000)]
    assert venue.oracle.state.markets[0].mark == 1_100
    assert venue.row()[11:] == (35, 0, 0)


def test_guard_confirms_a_mark_near_the_held_one_on_enough_volume() -> None:
    """Held 900; 10 lots traded; 920 is 2.2 % from it: CONFIRMED, and 920 is the mark."""
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=900)
    venue.at(6, K.VOLUME, market=0, lots=10)
    effects = venue.at(7, K.MARK, market=0, price_ticks=920)
    assert guards(effects) == [(CONFIRMED, 900, 1_000, 0, 100_000)]
    assert [effect.kind for effect in effects][:2] == [F.GUARD, F.HEALTH]
    assert venue.oracle.state.markets[0].mark == 920
    assert venue.row()[12:] == (0, 0)
    assert guards(venue.at(35)) == []


@pytest.mark.parametrize(("volume", "price"), [(9, 1_001), (10, 1_001), (10, 950)])
def test_guard_drops_a_mark_that_nothing_confirms(volume: int, price: int) -> None:
    """Held 900; back at 1,001; or 950 on enough volume, 5.6 % from 900: DROPPED, and the new price is the mark."""
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=900)
    venue.at(6, K.VOLUME, market=0, lots=volume)
    assert guards(venue.at(7, K.MARK, market=0, price_ticks=price)) == [(DROPPED, 900, 1_000, 0, 100_000)]
    assert venue.oracle.state.markets[0].mark == price


def test_released_mark_is_a_mark() -> None:
    """Nothing else came: at 35 the held 900 judges the long (E = 400, M = 900), is a price signal and ends the silence."""
    venue = Venue(PRICED._replace(guard_jump_ppm=50_000, guard_volume_lots=10), breakers=WAITING._replace(stale_ns=33))
    venue.mark(0, 1_000)
    venue.open(0, 1_400, 10, 1_000)
    venue.at(0, K.VOLUME, market=0, lots=0)
    venue.at(5, K.MARK, market=0, price_ticks=900)
    assert venue.oracle.next_time_ns() == 33
    assert moves(venue.at(33)) == [(0, OPEN, HALTED, STALE, 83, 0)]
    assert venue.oracle.next_time_ns() == 35
    effects = venue.at(36)
    assert [effect.kind for effect in effects][:3] == [F.GUARD, F.HEALTH, F.BREAKER]
    assert guards(effects) == [(RELEASED, 900, 1_000, 0, 100_000)]
    assert moves(effects)[0] == (0, HALTED, REOPENING, PRICE, 46, 100_000)
    assert venue.oracle.state.accounts[0].health < Health.DISTRESSED, "ADL has restored it"
    assert venue.row()[11:] == (36, 0, 0)


def test_held_mark_is_no_sign_of_life_of_the_feed() -> None:
    """STALE counts from the newest accepted mark."""
    venue = Venue(GUARDED, breakers=SHORT._replace(stale_ns=20, guard_hold_ns=1_000))
    venue.mark(0, 1_000)
    venue.at(0, K.VOLUME, market=0, lots=0)
    venue.at(15, K.MARK, market=0, price_ticks=900)
    assert moves(venue.at(20)) == [(0, OPEN, HALTED, STALE, 70, 0)]


def test_a_held_mark_settles_nothing() -> None:
    """The flow that throttled the market at 90 is gone at 290; only an accepted mark finds that."""
    venue = Venue(GUARDED._replace(flow_throttle=1_000), breakers=WAITING._replace(hold_max_ns=900))
    venue.mark(0, 100)
    venue.default(90, 10)
    venue.at(290, K.VOLUME, market=0, lots=0)
    assert moves(venue.at(291, K.MARK, market=0, price_ticks=50)) == []
    assert venue.mark(292, 100) == [(0, THROTTLED, OPEN, FLOW, NEVER_NS, 0)]
