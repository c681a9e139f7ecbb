"""Circuit breakers and the funds' drawdown: cases worked by hand from R8 and R9."""

from __future__ import annotations

from itertools import product

import pytest

from backstop.core.events import (
    FUND,
    NEVER_NS,
    NONE,
    BreakerCause,
    BreakerState,
    EffectKind,
    EventKind,
    Operator,
    Reject,
    Stage,
    Transfer,
    fund_of,
)
from backstop.core.instruments import FundsRules
from backstop.reference.breakers import effective_state, end_event, peak_digest, shift_peaks
from tests.reference.venue import PLAIN, PRICED, SHORT, Venue, moves

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
PRICE, FLOW, DRAWDOWN, STALE, OPERATOR, OUTAGE, DEFICIT, INDEX = BreakerCause
K, F = EventKind, EffectKind

# -- price -----------------------------------------------------------------------------------------


def test_price_throttles_halts_and_leaves_with_hysteresis() -> None:
    """From 1,000: 1,099 is 9.9 %; 1,100 is 10 %; 1,050 is 5 % up from the low, not below the exit;
    1,049 is 4.9 %.
    """
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
    """Windows of 100 begin with the old mark; the third forgets the first; a gap forgets all but
    the old mark.
    """
    venue = Venue(PRICED)
    seen = []
    for time_ns, price in ((0, 1_000), (50, 1_050), (150, 1_060), (250, 1_070), (299, 1_065), (500, 1_080)):
        venue.mark(time_ns, price)
        seen.append((venue.row()[9:11], venue.reference.state.breakers[0].price_signal))
    assert seen == [
        ((1_000, 1_000), 0),
        ((1_000, 1_050), 50_000),
        ((1_000, 1_060), 60_000),  # the last window is 1,000 to 1,050
        ((1_050, 1_070), 19_047),  # the last window began with 1,050: 20 / 1,050
        ((1_050, 1_070), 14_285),  # 15 / 1,050
        ((1_065, 1_080), 14_084),  # 15 / 1,065
    ]


def test_price_windows_of_a_fall() -> None:
    """The highest of both windows: 1,000 until 200, then the 950 with which the second window began
    to 940, then 900.
    """
    venue = Venue(PRICED)
    seen = []
    for time_ns, price in ((0, 1_000), (50, 950), (150, 940), (250, 930), (500, 920)):
        venue.mark(time_ns, price)
        seen.append((venue.row()[9:11], venue.reference.state.breakers[0].price_signal))
    assert seen == [
        ((1_000, 1_000), 0),
        ((950, 1_000), 50_000),
        ((940, 1_000), 60_000),
        ((930, 950), 21_052),  # 20 / 950
        ((920, 930), 10_752),  # 10 / 930
    ]


def test_first_mark_is_its_own_past() -> None:
    """Whatever the time, both windows begin with the first mark."""
    venue = Venue(PRICED)
    untouched = (OPEN, 0, NEVER_NS, 0, 0, NEVER_NS, NEVER_NS, 0, 0)
    # Fifth from the end stands the time of the last index.
    nothing_else = (*(0,) * (len(venue.row()) - 17), -1, 0, 0, 0, 0)
    assert venue.row() == (*untouched, 0, 0, -1, *nothing_else)
    venue.mark(100, 1_000)
    assert venue.row() == (*untouched, 1_000, 1_000, 100, *nothing_else)
    assert venue.row(1) == (*untouched, 0, 0, -1, *nothing_else)


def test_distance_from_the_index_is_a_cause_of_its_own() -> None:
    """Mark 1,000, index 900: 100 / 900 = 11.1 %.

    Back at 960: 4.2 %. An index before the first mark says nothing.
    """
    venue = Venue(PRICED)
    assert moves(venue.at(0, K.INDEX, market=0, price_ticks=1)) == []
    assert venue.mark(1, 1_000)[0][:4] == (0, OPEN, HALTED, INDEX)
    venue = Venue(PRICED)
    venue.mark(0, 1_000)
    assert moves(venue.at(1, K.INDEX, market=0, price_ticks=900)) == [(0, OPEN, THROTTLED, INDEX, 51, 111_111)]
    assert moves(venue.at(2, K.INDEX, market=0, price_ticks=960)) == [(0, THROTTLED, OPEN, INDEX, NEVER_NS, 41_666)]


def test_index_that_stays_away_holds_once() -> None:
    """HALTED at 0, spent at 50, OPEN at 60 though the index stays 25 % away; only back below 5 %
    can it halt again.
    """
    venue = Venue(PRICED)
    venue.at(0, K.INDEX, market=0, price_ticks=800)
    assert venue.mark(0, 1_000) == [(0, OPEN, HALTED, INDEX, 50, 250_000)]
    assert venue.reference.next_time_ns() == 50
    assert moves(venue.at(49)) == []
    assert moves(venue.at(50)) == [(0, HALTED, REOPENING, INDEX, 60, 250_000)]
    assert venue.row()[3:5] == (2 * 2_187, 128)
    assert moves(venue.at(60)) == [(0, REOPENING, OPEN, INDEX, NEVER_NS, 250_000)]
    assert venue.mark(70, 1_001) == []
    venue.at(71, K.INDEX, market=0, price_ticks=1_001)
    assert venue.row()[3:5] == (0, 0)
    assert moves(venue.at(72, K.INDEX, market=0, price_ticks=800)) == [(0, OPEN, HALTED, INDEX, 122, 251_250)]


def test_index_that_died_disarms_no_price_breaker() -> None:
    """The index stays 25 % away and is spent.

    A crash of 20 % behind it halts, and so does the next.
    """
    venue = Venue(PRICED)
    venue.at(0, K.INDEX, market=0, price_ticks=800)
    venue.mark(0, 1_000)
    venue.at(50)
    venue.at(60)
    assert venue.mark(70, 800)[0] == (0, OPEN, HALTED, PRICE, 120, 200_000)


# -- flow ------------------------------------------------------------------------------------------


def test_flow_of_market_and_venue() -> None:
    """A default of 10 lots at 100 is 1,000 of flow; it ends below half of the throttle, in windows
    of 100.

    Market: throttle 1,000, halt 3,000. Venue: halt 1,500 alone, so its exit is 750.
    """
    venue = Venue(PLAIN._replace(flow_throttle=1_000, flow_halt=3_000), count=2, breakers=SHORT._replace(flow_halt=1_500))
    venue.mark(0, 100)
    venue.mark(0, 100, market=1)
    assert moves(venue.default(10, 10)) == [(0, OPEN, THROTTLED, FLOW, 60, 1_000)]
    assert moves(venue.default(20, 9)) == [(NONE, OPEN, HALTED, FLOW, 70, 1_900)]
    assert [effective_state(venue.reference.state, market) for market in (0, 1)] == [HALTED, HALTED]
    assert moves(venue.at(60)) == [(0, THROTTLED, OPEN, FLOW, NEVER_NS, 1_900)]
    assert moves(venue.at(70)) == [(NONE, HALTED, REOPENING, FLOW, 80, 1_900)]
    assert moves(venue.at(80)) == [(NONE, REOPENING, OPEN, FLOW, NEVER_NS, 1_900)]
    # The next window still counts the last: 1,900 + 1,100 is the market's halt, more than the
    # throttle that was spent.
    assert moves(venue.default(150, 11)) == [(0, OPEN, HALTED, FLOW, 200, 3_000)]
    assert venue.row()[3:5] == (2 * 3, 0)
    # The venue was halted for it before.
    assert venue.row(2)[3:5] == (2 * 3, 2)
    assert venue.row()[7:9] == (1_100, 1_900)
    assert moves(venue.at(200)) == [(0, HALTED, REOPENING, FLOW, 210, 1_100)]
    assert moves(venue.at(210)) == [(0, REOPENING, OPEN, FLOW, NEVER_NS, 1_100)]
    # Windows 2 and 3 pass: not spent any more. 400, and 600 more: throttled again.
    assert moves(venue.default(310, 4)) == []
    assert venue.row()[3:5] == (0, 0)
    assert moves(venue.default(320, 6)) == [(0, OPEN, THROTTLED, FLOW, 370, 1_000)]
    assert venue.row(2)[7:9] == (1_000, 0)


def test_flow_falls_with_its_windows() -> None:
    """Throttled at 90 by 1,000.

    At 140 the hold ends: the last window still counts, so FLOW is spent, not gone.
    """
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


def test_flow_with_a_halt_alone_ends_below_its_share_of_the_halt() -> None:
    """Halt 1,000, so exit 500.

    At 210 the first 1,000 are out of both windows; 500 keep it HALTED, 400 do not.
    """
    for lots, states in ((5, [HALTED, OPEN]), (4, [REOPENING, OPEN])):
        venue = Venue(PLAIN._replace(flow_halt=1_000), breakers=SHORT._replace(hold_max_ns=900))
        venue.mark(0, 100)
        assert moves(venue.default(90, 10)) == [(0, OPEN, HALTED, FLOW, 990, 1_000)]
        venue.default(150, lots)
        venue.mark(210, 100)
        assert venue.states == states


def test_torn_up_lots_are_flow() -> None:
    """As lots of ADL are."""
    venue = Venue(PLAIN, stages=(Stage.TEAR_UP,))
    venue.mark(0, 100)
    venue.default(10, 7)
    assert [venue.row(number)[7] for number in (0, 1)] == [700, 700]


def test_flow_exit_is_never_out_of_reach() -> None:
    """A throttle of 1: half of it is 0, but a flow of 0 ends it."""
    venue = Venue(PLAIN._replace(flow_throttle=1))
    venue.mark(0, 100)
    venue.default(0, 1)
    venue.mark(250, 100)
    assert venue.states == [OPEN, OPEN]
    assert venue.row()[3:5] == (0, 0)


# -- drawdown --------------------------------------------------------------------------------------

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
    assert peak_digest(venue.reference.state, 0) == (1, 1_000)
    assert earn(venue, 12, 49) == []
    assert earn(venue, 13, 2) == [(0, THROTTLED, OPEN, DRAWDOWN, NEVER_NS, 0)]
    assert peak_digest(venue.reference.state, 1) == (0, 1_000)


def test_peak_is_forgotten_after_17_slots() -> None:
    """The peak of 1,000 was in slot 1 (it began with it); slot 17 still sees it, slot 18 only the
    800 with which slot 17 began.
    """
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
        assert peak_digest(venue.reference.state, 0) == (int(throttled), peak)


def test_cash_of_a_fund_moves_its_peaks() -> None:
    """Taking 600 of 1,000 out is no loss, in the same slot or a later one; a loss of 30 % of the
    400 left is one.
    """
    for time_ns in (0, 250):
        venue = Venue(PLAIN, fund=FALLS)
        venue.at(0, K.TRANSFER, account=FUND, amount=1_000)
        assert moves(venue.at(time_ns, K.TRANSFER, account=FUND, amount=-600)) == []
        assert peak_digest(venue.reference.state, 0) == (0, 400)
        assert lose(venue, time_ns, 119) == []
        assert lose(venue, time_ns, 1)[0][:4] == (0, OPEN, THROTTLED, DRAWDOWN)
    # 280 left of a peak of 400. Another 1,000: 1,280 of 1,400 is 8.6 % below, and the level is
    # gone.
    assert moves(venue.at(260, K.TRANSFER, account=FUND, amount=1_000)) == [(0, THROTTLED, OPEN, DRAWDOWN, NEVER_NS, 0)]
    assert peak_digest(venue.reference.state, 0) == (0, 1_400)
    # Nothing was in use for 17 slots: nothing is kept.
    venue.at(2_100)
    assert peak_digest(venue.reference.state, 0) == (0, 0)


def test_cash_that_a_payment_cancels_out_still_moves_the_peaks() -> None:
    """600 come in and 600 go out in one event: the balance stays 1,000, its peak is 1,600, it is
    37.5 % down.
    """
    venue = Venue(PLAIN, fund=FALLS)
    venue.at(0, K.TRANSFER, account=FUND, amount=1_000)
    state = venue.reference.state
    shift_peaks(state, 0, 600)
    end_event(state)
    assert peak_digest(state, 0) == (1, 1_600)
    assert venue.states == [THROTTLED, OPEN]


# -- stale -----------------------------------------------------------------------------------------

AGEING = SHORT._replace(stale_ns=40, outage_grace_ppm=0, doubt_settles=0)


def test_stale_feed_halts_until_its_next_mark() -> None:
    """40 after the mark: HALTED.

    The mark at 60 ends it: REOPENING, OPEN at 70. A market without a mark is never stale.
    """
    venue = Venue(PLAIN, count=2, breakers=AGEING)
    venue.mark(0, 100)
    assert venue.reference.next_time_ns() == 40
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
    assert venue.reference.next_time_ns() == NEVER_NS
    assert venue.mark(110, 100) == []
    assert moves(venue.at(150)) == [(0, OPEN, HALTED, STALE, 200, 0)]


def test_late_mark_first_finds_the_feed_stale() -> None:
    """Timers come before the kind: HALTED and REOPENING in one event."""
    venue = Venue(PLAIN, breakers=AGEING)
    venue.mark(0, 100)
    assert venue.mark(45, 100) == [(0, OPEN, HALTED, STALE, 95, 0), (0, HALTED, REOPENING, STALE, 55, 0)]


# -- operator --------------------------------------------------------------------------------------


def test_order_of_the_operator_ends_by_itself() -> None:
    """30 of a hold of 50: REOPENING at 30. THROTTLE: OPEN at its end. Of the venue likewise."""
    for market in (0, NONE):
        venue = Venue(PLAIN)
        assert venue.operator(0, Operator.HALT, 30, market) == [(market, OPEN, HALTED, OPERATOR, 50, 0)]
        assert venue.row(market)[3:7] == (81 * 2, 0, 30, NEVER_NS)
        assert venue.reference.next_time_ns() == 30
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


# -- outage ----------------------------------------------------------------------------------------

SILENT = SHORT._replace(outage_gap_ns=100, outage_grace_ppm=300_000, outage_grace_max_ns=45)


def test_outage_halts_the_venue_for_a_grace_that_grows_with_the_gap() -> None:
    """No sign of life before the first. 99 is no gap; 100 gives 30 of grace; 1,000 gives 45 at most.

    Each ends in a reopening of 10.
    """
    venue = Venue(PLAIN, breakers=SILENT)
    assert venue.live(5_000) == []
    assert venue.live(5_099) == []
    assert venue.live(5_199) == [(NONE, OPEN, HALTED, OUTAGE, 5_249, 0)]
    assert venue.row(1)[3:7] == (243 * 2, 0, NEVER_NS, 5_229)
    assert venue.reference.next_time_ns() == 5_229
    assert moves(venue.at(5_229)) == [(NONE, HALTED, REOPENING, OUTAGE, 5_239, 0)]
    assert moves(venue.at(5_239)) == [(NONE, REOPENING, OPEN, OUTAGE, NEVER_NS, 0)]
    venue.reference.state.life_ns = 5_239
    assert venue.live(6_239) == [(NONE, OPEN, HALTED, OUTAGE, 6_289, 0)]
    assert venue.row(1)[6] == 6_284


@pytest.mark.parametrize(
    ("kind", "named"),
    [(K.CLOCK, {}), (K.TRANSFER, {"account": FUND, "amount": 5}), (K.OPERATOR, {"code": int(Operator.REOPEN), "market": 0})],
)
def test_an_outage_stands_until_a_market_lives(kind: EventKind, named: dict[str, int]) -> None:
    """At 100 the silence is an outage, whatever else happens, and when it becomes one is a timer; it
    is spent at 150. The mark at 300 halts again, and from there on the grace of 45 counts.
    """
    venue = Venue(PLAIN, breakers=SILENT)
    venue.mark(0, 100)
    venue.at(60, kind, **named)
    assert venue.reference.next_time_ns() == 100
    assert moves(venue.at(100, kind, **named))[:1] == [(NONE, OPEN, HALTED, OUTAGE, 150, 0)]
    assert venue.row(1)[6] == NEVER_NS
    assert [moves(venue.at(time_ns))[0][2] for time_ns in (150, 160)] == [REOPENING, OPEN]
    assert venue.mark(300, 100) == [(NONE, OPEN, HALTED, OUTAGE, 350, 0)]
    assert venue.row(1)[6] == 345
    assert moves(venue.at(345))[0][2] == REOPENING


def test_the_gap_counts_from_the_last_sign_of_life() -> None:
    """A refused event is none."""
    venue = Venue(PLAIN, breakers=SILENT)
    venue.live(0)
    assert venue.at(60, K.MARK, market=7, price_ticks=1)[0].code == Reject.UNKNOWN_MARKET
    assert moves(venue.at(100))[0][2:4] == (HALTED, OUTAGE)


def test_outage_after_a_reopening_by_the_operator_is_fresh() -> None:
    """Spent by REOPEN at 110; the next silence takes it out of the spent, though its level never
    was seen to be 0.
    """
    venue = Venue(PLAIN, breakers=SILENT)
    venue.live(0)
    venue.live(100)
    assert venue.operator(110, Operator.REOPEN)[0][2] == REOPENING
    assert venue.live(210) == [(NONE, REOPENING, HALTED, OUTAGE, 260, 0)]


def test_event_that_ends_a_silence_is_judged_by_the_states_before_it() -> None:
    """The fill after the gap passes the door; the next does not."""
    venue = Venue(PLAIN, breakers=SILENT)
    venue.mark(0, 100)
    account = venue.open(0, 1_000)
    fill = venue.at(100, K.FILL, market=0, account=account, other=NONE, lots=1, price_ticks=100)
    assert [effect.kind for effect in fill][:3] == [F.BREAKER, F.DOUBT, F.TRADE]
    assert venue.at(101, K.FILL, market=0, account=account, other=NONE, lots=1, price_ticks=100)[0].code == Reject.MARKET_HALTED


# -- deficit ---------------------------------------------------------------------------------------


def test_deficit_halts_the_markets_of_the_default_for_the_longest_hold() -> None:
    """Torn up at mark with 1 less than nothing, and no fund: market 1, in which it was closed, is
    HALTED; market 0 is not.
    """
    venue = Venue(PLAIN, count=2, stages=(Stage.TEAR_UP,))
    venue.mark(0, 100, market=0)
    venue.mark(0, 100, market=1)
    account = venue.open(0, 1_000, 10, market=1)
    for lots in (1, -1):
        venue.at(0, K.FILL, market=0, account=account, other=NONE, lots=lots, price_ticks=100)
    effects = venue.at(1, K.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-1_001)
    assert [effect.amount for effect in effects if effect.kind == F.RESIDUAL] == [1]
    assert moves(effects) == [(1, OPEN, HALTED, DEFICIT, 51, 0)]
    assert venue.row(1)[3] == 729 * 2
    assert moves(venue.at(51)) == [(1, HALTED, REOPENING, DEFICIT, 61, 0)]
    assert venue.row(1)[3:5] == (0, 0)
    assert moves(venue.at(61)) == [(1, REOPENING, OPEN, DEFICIT, NEVER_NS, 0)]


# -- venue over market, the door -------------------------------------------------------------------


def test_effective_state_is_the_severer() -> None:
    """OPEN, THROTTLED, REOPENING, HALTED: all pairs."""
    venue, order = Venue(PLAIN), (OPEN, THROTTLED, REOPENING, HALTED)
    own, whole = venue.reference.state.breakers
    for (weak, first), (strong, second) in product(enumerate(order), repeat=2):
        own.state, whole.state = first, second
        assert effective_state(venue.reference.state, 0) == order[max(weak, strong)]


def test_no_new_risk_while_halted_or_reopening() -> None:
    """A fill may reduce both sides; it may not open, add or turn either of them.

    THROTTLED stops nothing.
    """
    venue = Venue(PLAIN)
    venue.mark(0, 100)
    account, other = venue.open(0, 1_000, 4), venue.open(0, 1_000, -2)

    def fill(lots: int, counterpart: int = NONE) -> int:
        effect = venue.at(venue.reference.state.now, K.FILL, market=0, account=account, other=counterpart, lots=lots, price_ticks=100)[0]
        return effect.code if effect.kind == F.REFUSAL else 0

    venue.operator(0, Operator.HALT, 20)
    refused = Reject.MARKET_HALTED
    assert [fill(1), fill(-5), fill(-9), fill(-3, other), fill(1, other)] == [refused] * 5
    assert [fill(-1), fill(-1, other), fill(1)] == [0, 0, refused]
    venue.at(20)
    assert effective_state(venue.reference.state, 0) == REOPENING
    assert [fill(1), fill(-1)] == [refused, 0]
    venue.at(30)
    assert venue.operator(30, Operator.THROTTLE, 10, 0)[0][2] == THROTTLED
    assert fill(1) == 0


def test_mark_settles_the_venue_only_where_it_is_not_open() -> None:
    """Flow of 1,000 throttles the venue at 10; at 205 both windows are over, and the next mark of
    any market finds that.
    """
    venue = Venue(PLAIN, count=2, breakers=SHORT._replace(flow_throttle=1_000, hold_max_ns=900))
    venue.mark(0, 100)
    assert moves(venue.default(10, 10)) == [(NONE, OPEN, THROTTLED, FLOW, 910, 1_000)]
    assert venue.mark(199, 100, market=1) == []
    assert moves(venue.at(205)) == []
    assert venue.mark(206, 100, market=1) == [(NONE, THROTTLED, OPEN, FLOW, NEVER_NS, 0)]
    # Throttled again and spent by the operator: OPEN, and no mark looks at it any more.
    venue.default(210, 10)
    assert venue.operator(220, Operator.REOPEN) == [(NONE, THROTTLED, OPEN, FLOW, NEVER_NS, 1_000)]
    venue.mark(450, 100)
    assert venue.row(2)[3:5] == (3, 2)


def test_timers_go_by_market_then_the_venue() -> None:
    """Three holds are over in one event."""
    venue = Venue(PLAIN, count=2)
    for market in (NONE, 1, 0):
        venue.operator(0, Operator.HALT, 500, market)
    assert [each[0] for each in moves(venue.at(50))] == [0, 1, NONE]
    assert venue.states == [REOPENING] * 3
