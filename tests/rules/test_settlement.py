"""A doubt that lasts ends in settlement of the market (R6.14): at whose price, for whom, and what an
attacker or a feed that flaps can make of it.

Bands, bars and tolerances are those of ``tests.attacks.scene``: 10 % initial, 5 % maintenance.
"""

from __future__ import annotations

import pytest

from backstop.core.events import Cause, Doubt, EffectKind, EventKind, Health, Operator, Reject, Settlement, Stage, fund_of, outside_of
from backstop.core.instruments import BreakerRules, LimitRules, VenueRules
from backstop.core.timers import next_wait_ns
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, WHOLE, Scene, of, venue

MINUTE = 60 * SECOND
F, K = EffectKind, EventKind
STALE = BreakerRules(hold_max_ns=MINUTE, reopen_ns=SECOND, stale_ns=30 * SECOND, outage_grace_ppm=0, doubt_max_ns=10 * MINUTE)
BOOK = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
#: Windows of a nanosecond leave INDEX alone.
APART = {"price_throttle_ppm": 50_000, "price_halt_ppm": 150_000, "price_exit_ppm": 20_000}
INDEX = STALE._replace(stale_ns=2 * MINUTE, price_window_ns=1)


def prepared(rules: VenueRules, side: int, *, deposit: int = 1_200) -> tuple[Scene, int, int]:
    """A rich fund; ten lots at 1,000 of an account against a rich one, in market 0."""
    scene = Scene(rules, side)
    scene.cash(fund_of(0), 1_000_000)
    account, other = scene.open(deposit), scene.open(1_000_000)
    scene.trade(account, 10, 1_000, other)
    return scene, account, other


def wait(scene: Scene, ns: int) -> list[Effect]:
    """Let time pass as a driver does that sends a CLOCK whenever the engine asks for one."""
    end, found = scene.time_ns + ns, list[Effect]()
    while (due := next_wait_ns(scene.watch.state)) <= end:
        found += scene.at(max(due, scene.time_ns)).send(K.CLOCK)
    return found + scene.at(end).send(K.CLOCK)


def settled(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return whose price, and the price, of every SETTLEMENT."""
    return [(row.code, row.price_ticks) for row in of(effects, F.SETTLEMENT)]


def index(scene: Scene, ticks: int, market: int = 0) -> list[Effect]:
    return scene.send(K.INDEX, market=market, price_ticks=scene.price(ticks))


def give(scene: Scene, ticks: int, market: int = 0) -> list[Effect]:
    return scene.send(K.OPERATOR, code=Operator.SETTLE_PRICE, market=market, price_ticks=scene.price(ticks))


@pytest.mark.parametrize("side", SIDES)
def test_a_dead_feed_ends_at_the_last_mark_and_nobody_is_forced(side: int) -> None:
    """In default at 925 when the feed dies, 450 left. Stale half a minute later; ten minutes after that all
    positions end at 925: the account has its 450, the other 750 more, and nobody else paid.
    """
    scene, account, other = prepared(venue(BOOK, breakers=STALE, deadline_ns=MINUTE), side)
    scene.mark(925)
    effects = wait(scene, 10 * MINUTE + 29 * SECOND)
    assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.STALE]
    assert not of(effects, F.SETTLEMENT, F.ORDER, F.ADL_PLAN, F.TEAR_UP)
    effects = wait(scene, 2 * SECOND)
    assert settled(effects) == [(Settlement.UNDOUBTED, scene.price(925)), (Settlement.DONE, scene.price(925))]
    assert [row.code for row in of(effects, F.TRADE)] == [Cause.SETTLEMENT] * 4
    assert (scene.lots(account), scene.lots(other)) == (0, 0)
    assert (scene.mirror.ledger[account], scene.mirror.ledger[other], scene.fund) == (450, 1_000_750, 1_000_000)
    assert scene.mirror.accounts[account].health == Health.HEALTHY


@pytest.mark.parametrize("side", SIDES)
def test_the_price_is_the_operators_else_a_living_index_else_the_last_mark(side: int) -> None:
    """A stale mark of 900. The index of half a minute ago, 870, is the price; one that is older than a
    feed may be is not; an operator's 880 goes before both.
    """
    for index_ago, given, expected in (
        (20, 0, (Settlement.INDEX, 870)),
        (40, 0, (Settlement.UNDOUBTED, 900)),
        (20, 880, (Settlement.OPERATOR, 880)),
    ):
        scene, account, _ = prepared(venue(breakers=STALE), side, deposit=2_000)
        scene.mark(900)
        begin = scene.time_ns + 10 * MINUTE + 30 * SECOND
        wait(scene, MINUTE)
        if given:
            assert not of(give(scene, given), F.REFUSAL)
        scene.at(begin - index_ago * SECOND)
        index(scene, 870)
        source, price = expected
        effects = wait(scene, begin - scene.time_ns + SECOND)
        assert settled(effects) == [(source, scene.price(price)), (Settlement.DONE, scene.price(price))]
        assert scene.mirror.ledger[account] == 2_000 - 10 * (FIRST_MARK - price)


@pytest.mark.parametrize("side", SIDES)
def test_a_price_is_taken_while_the_market_is_doubted_and_forgotten_with_the_doubt(side: int) -> None:
    scene, _, _ = prepared(venue(breakers=STALE), side)
    (refusal,) = give(scene, 880)
    assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.NOT_DOUBTED)
    wait(scene, MINUTE)
    assert give(scene, 880) == []
    scene.mark(900)  # the feed is back: what was said of the doubt is over
    effects = wait(scene, 12 * MINUTE)
    assert settled(effects)[0] == (Settlement.UNDOUBTED, scene.price(900))


@pytest.mark.parametrize("side", SIDES)
def test_who_lacks_at_the_price_is_paid_for_by_the_fund_before_the_winners_are_settled(side: int) -> None:
    """The index says 860: 200 are lacking. The fund has 150; 50 are cut from the winner, who is settled in
    the event after.
    """
    scene = Scene(venue(breakers=STALE), side)
    scene.cash(fund_of(0), 150)
    loser, winner = scene.open(1_200), scene.open(1_000_000)
    scene.trade(loser, 10, 1_000, winner)
    scene.mark(1_000)
    begin = scene.time_ns + 10 * MINUTE + 30 * SECOND
    wait(scene, MINUTE)
    scene.at(begin - 5 * SECOND)
    index(scene, 860)
    effects = wait(scene, 10 * SECOND)
    paid = {row.code: row.amount for row in of(effects, F.POSTING) if row.account == loser and row.code != Cause.SETTLEMENT}
    assert paid == {Cause.DEFICIT: 150, Cause.HAIRCUT: 50}
    places = [(row.seq, row.account) for row in of(effects, F.TRADE) if row.account >= 0]
    assert places[0][1] == loser
    assert places[1][1] == winner
    assert places[0][0] < places[1][0]
    assert (scene.mirror.ledger[loser], scene.mirror.ledger[winner], scene.fund) == (0, 1_001_350, 0)
    assert not scene.mirror.ledger[outside_of(0)]


@pytest.mark.parametrize("side", SIDES)
def test_nothing_happens_in_a_market_whose_settlement_has_begun(side: int) -> None:
    """Orders are cancelled, a late fill of one is void, and every word about the market is refused."""
    scene, account, other = prepared(venue(breakers=STALE, markets=2), side)
    scene.mark(900, 1)
    wait(scene, 11 * MINUTE)
    for kind, fields in (
        (K.MARK, {"price_ticks": 900}),
        (K.INDEX, {"price_ticks": 900}),
        (K.VOLUME, {"lots": 5}),
        (K.DEPTH, {"lots": 5}),
        (K.FUNDING, {"amount": 5}),
        (K.FILL, {"account": account, "other": other, "lots": 1, "price_ticks": FIRST_MARK}),
        (K.POSITION, {"account": account, "lots": 1, "amount": FIRST_MARK}),
        (K.OPERATOR, {"code": Operator.SETTLE_PRICE, "price_ticks": 5}),
    ):
        assert [(row.kind, row.code) for row in scene.send(kind, market=0, **fields)] == [(F.REFUSAL, Reject.MARKET_SETTLED)]
    assert scene.send(K.HEARTBEAT, market=0) == []
    assert not of(scene.cash(other, -100), F.REFUSAL)


def test_a_large_market_is_settled_in_turns_and_nothing_acts_between() -> None:
    """Forty accounts where an event may bring 96 effects: no event brings more than a third, the price
    stays, and money may leave meanwhile.
    """
    rules = venue(breakers=STALE)._replace(limits=LimitRules(accounts_max=64, positions_max=256, orders_max=64, effects_max=96))
    scene = Scene(rules, 1)
    accounts = [scene.open(10_000) for _ in range(40)]
    for pair in range(20):
        scene.mark(1_000)
        scene.trade(accounts[2 * pair], 1 + pair, 1_000, accounts[2 * pair + 1])
    scene.mark(950)
    events, begun, most = 0, False, 0
    while not (events and scene.mirror.breakers[0].settlement == 3):
        effects = scene.at(next_wait_ns(scene.watch.state)).send(K.CLOCK)
        begun |= bool(of(effects, F.SETTLEMENT))
        events += begun
        most = max(most, len(effects))
        if begun and events == 3:
            assert any(scene.lots(account) for account in accounts)
            assert not of(scene.cash(accounts[-1], -1_000), F.REFUSAL)
    assert events > 4
    assert most <= 96 // 3
    assert not any(scene.lots(account) for account in accounts)


@pytest.mark.parametrize("side", SIDES)
def test_a_feed_that_flaps_neither_stops_the_time_nor_settles_a_sound_market(side: int) -> None:
    """Stale after 30 s. One mark every 70 s leaves 40 of 70 doubted: 10 more a turn, settled after an hour
    at most. One every 50 s leaves 20 of 50: never.
    """
    for every, is_settled in ((70, True), (50, False)):
        scene, _, _ = prepared(venue(breakers=STALE), side, deposit=5_000)
        found: list[Effect] = []
        for _ in range(3 * 3600 // every):
            found += scene.mark(990) + wait(scene, (every - 1) * SECOND)
            if settled(found):
                break
        assert bool(settled(found)) == is_settled, every


@pytest.mark.parametrize("side", SIDES)
def test_a_feed_that_came_back_is_waited_for(side: int) -> None:
    """Stale, and the doubt would end in settlement in its eleventh minute; a mark a second before begins a
    grace, and at its end the market is sound.
    """
    breakers = STALE._replace(outage_grace_ppm=100_000, outage_grace_max_ns=MINUTE)
    scene, account, _ = prepared(venue(breakers=breakers), side, deposit=5_000)
    scene.mark(990)
    begun = scene.time_ns
    wait(scene, 10 * MINUTE + 28 * SECOND)
    found = scene.mark(980)
    while scene.time_ns < begun + 13 * MINUTE:
        found += scene.at(scene.time_ns + 10 * SECOND).mark(980)
    assert settled(found) == []
    assert Doubt.ENDED in [row.code for row in of(found, F.DOUBT)]
    assert scene.lots(account) == 10


@pytest.mark.parametrize("side", SIDES)
def test_a_mark_far_from_a_living_index_settles_and_far_from_a_dead_one_does_not(side: int) -> None:
    """840 is 16 % from the index. While the index lives it is the price after ten minutes; an index that
    died settles nothing: the mark lives.
    """
    for lives in (True, False):
        scene, account, _ = prepared(venue(breakers=INDEX, market=APART), side, deposit=5_000)
        index(scene, 1_000)
        found = scene.mark(840)
        assert [row.code for row in of(found, F.DOUBT)] == [Doubt.INDEX]
        for _ in range(25):
            found += wait(scene, MINUTE)
            if scene.lots(account):
                found += scene.mark(840)
            if scene.lots(account) and lives:
                found += index(scene, 1_000)
        assert settled(found)[:1] == ([(Settlement.INDEX, FIRST_MARK)] if lives else [])


@pytest.mark.parametrize("side", SIDES)
def test_two_owners_who_hold_the_mark_doubted_gain_no_more_than_the_market_moved(side: int) -> None:
    """Two owners hold 100 lots against each other, and the feed is dead; the price fell elsewhere. At the
    last mark they get what they had, and neither the fund nor a third account pays.
    """
    scene = Scene(venue(breakers=STALE, stages=WHOLE), side)
    scene.cash(fund_of(0), 1_000_000)
    long, short, third = scene.open(15_000), scene.open(15_000), scene.open(50_000)
    scene.trade(long, 100, 1_000, short)
    before = [scene.mirror.ledger[each] for each in (long, short, third, fund_of(0))]
    wait(scene, 8 * MINUTE)
    refused = scene.trade(long, -50, 400, short)  # far from the mark: who gains by it owes it
    assert not of(refused, F.REFUSAL)
    wait(scene, 4 * MINUTE)
    after = [scene.mirror.ledger[each] for each in (long, short, third, fund_of(0))]
    assert sum(after[:2]) == sum(before[:2])
    assert after[2:] == before[2:]


@pytest.mark.parametrize("side", SIDES)
def test_a_venue_may_leave_settlement_out(side: int) -> None:
    scene, _, _ = prepared(venue(breakers=STALE._replace(doubt_settles=0)), side, deposit=5_000)
    assert settled(wait(scene, 60 * MINUTE)) == []
