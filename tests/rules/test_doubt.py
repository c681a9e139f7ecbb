"""Doubt and speed: nothing is forced at a price that the venue doubts, and a market that is only fast
keeps its book.

Bands, bars and tolerances are those of ``tests.attacks.scene``: 10 % initial, 5 % maintenance.
"""

from __future__ import annotations

import pytest

from backstop.core.events import BreakerState, Doubt, EffectKind, EventKind, Operator, Stage, fund_of
from backstop.core.instruments import BreakerRules, VenueRules
from tests.attacks.scene import SECOND, SIDES, WHOLE, Scene, of, provider, venue

MINUTE = 60 * SECOND
F = EffectKind
FORCED = (F.OFFER, F.TAKEOVER, F.ADL_PLAN, F.TEAR_UP)
BOOK = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
STALE = BreakerRules(hold_max_ns=MINUTE, reopen_ns=SECOND, stale_ns=30 * SECOND, outage_grace_ppm=0, doubt_max_ns=10 * MINUTE)


def prepared(rules: VenueRules, side: int, *, deposit: int = 1_200, depth: int = 0) -> tuple[Scene, int, int]:
    """A rich fund, ten lots at 1,000 of a defaulter against a rich counterparty, in market 0."""
    scene = Scene(rules, side)
    scene.cash(fund_of(0), 1_000_000)
    account, other = scene.open(deposit), scene.open(1_000_000)
    if depth:
        scene.depth(depth)
    scene.trade(account, 10, 1_000, other)
    return scene, account, other


@pytest.mark.parametrize("side", SIDES)
def test_a_dead_feed_closes_nobody_however_its_breaker_moves(side: int) -> None:
    """In default at 885, then silence. STALE is spent after its hold, and still nothing is forced; the
    next mark, at 890, finds the account in default, and it is closed at that.
    """
    scene, account, _ = prepared(venue(BOOK, breakers=STALE, deadline_ns=MINUTE), side)
    scene.depth(1_000)
    effects = scene.mark(885)
    (order,) = of(effects, F.ORDER)
    assert order.account == account
    found = []
    for _ in range(9):
        found += scene.clock(50)
    assert [row.code for row in of(found, F.DOUBT)] == [Doubt.STALE]
    assert scene.mirror.effective(0) == BreakerState.OPEN
    assert not of(found, F.ORDER, *FORCED)
    assert scene.lots(account) == 10
    effects = scene.mark(890)
    assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.ENDED]
    assert of(effects, F.ORDER)  # the time of the doubt is none that the book had


@pytest.mark.parametrize("side", SIDES)
def test_an_order_that_is_out_when_doubt_begins_is_cancelled(side: int) -> None:
    """No band becomes unknown by it: nobody was asked long enough. Its late fill stays a fact."""
    scene, account, _ = prepared(venue(BOOK, breakers=STALE, order_timeout_ns=MINUTE), side, depth=1_000)
    (order,) = of(scene.mark(885), F.ORDER)
    effects = scene.clock(31)
    assert [(row.account, row.other) for row in of(effects, F.CANCEL)] == [(account, order.other)]
    assert scene.watch.state.markets[0].depth_lots.max() == 1_000
    assert not of(effects, F.ORDER)
    scene.fill(order.other, 2, 880)
    assert scene.lots(account) == 8


@pytest.mark.parametrize("side", SIDES)
def test_an_offer_that_is_out_when_doubt_begins_is_no_failure_of_its_provider(side: int) -> None:
    breakers = STALE._replace(stale_ns=8 * SECOND)
    scene = Scene(venue(WHOLE, breakers=breakers, providers=(provider(),)), side)
    account = scene.open(1_200)
    scene.bind(0, scene.open(1_000_000))
    scene.trade(account, 10, 1_000)
    (offer,) = of(scene.mark(905), F.OFFER)
    effects = scene.clock(9)
    assert [row.other for row in of(effects, F.CANCEL)] == [offer.other]
    assert not of(effects, F.PROVIDER, F.OFFER)


@pytest.mark.parametrize("side", SIDES)
def test_waits_for_doubt_add_up_whatever_ends_them(side: int) -> None:
    """DISTRESSED at 925 beside an empty book, a deadline of a minute, marks each 41 s, stale after 30: two
    waits of 11 s are no time that the book had, and ADL comes with second 82.
    """
    scene, account, _ = prepared(venue(BOOK, breakers=STALE, deadline_ns=MINUTE), side)
    scene.mark(925)
    begun, found = scene.time_ns, []
    while scene.lots(account) == 10:
        found += scene.mark(925) if (scene.time_ns - begun + SECOND) % (41 * SECOND) == 0 else scene.clock(1)
    assert [row.code for row in of(found, F.DOUBT)] == [Doubt.STALE, Doubt.ENDED] * 2
    assert scene.time_ns - begun == 82 * SECOND
    assert of(found, F.ADL_PLAN)


@pytest.mark.parametrize("side", SIDES)
def test_a_doubt_that_does_not_end_holds_nothing_back_for_ever(side: int) -> None:
    """Stale at second 30; the account waits two minutes for that, then to its deadline, where the venue
    settles no market."""
    scene, account, _ = prepared(venue(BOOK, breakers=STALE._replace(doubt_max_ns=2 * MINUTE, doubt_settles=0), deadline_ns=MINUTE), side)
    scene.mark(925)
    begun = scene.time_ns
    while scene.lots(account) == 10:
        scene.clock(1)
    assert scene.time_ns - begun == 3 * MINUTE


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("mark", "is_kept"), [(940, True), (900, False)])
def test_a_doubted_market_protects_nobody_who_would_be_in_default_without_it(side: int, mark: int, *, is_kept: bool) -> None:
    """Deposit 1,400, ten lots in market 0, two in market 1, which falls to 840, 16 % from its index: 320
    are lost at a doubted price.

    Market 0 at 940 leaves 480, below maintenance; but 800 with market 1 at 1,000, so that nothing is closed. At 900 it
    would be 400 even so, and market 0 is closed.
    """
    market = {"price_throttle_ppm": 50_000, "price_halt_ppm": 150_000, "price_exit_ppm": 20_000}
    rules = venue(BOOK, markets=2, market=market, breakers=BreakerRules(price_window_ns=1, hold_max_ns=MINUTE))
    scene = Scene(rules, side)
    account, other = scene.open(1_400), scene.open(1_000_000)
    for number, lots in ((0, 10), (1, 2)):
        scene.depth(1_000, market=number)
        scene.trade(account, lots, 1_000, other, market=number)
    scene.send(EventKind.INDEX, market=1, price_ticks=scene.price(1_000))
    found = scene.mark(840, market=1)
    assert [row.code for row in of(found, F.DOUBT)] == [Doubt.INDEX]
    found = scene.mark(mark)
    assert of(found, F.RESTRICT)
    assert [row.market for row in of(found + scene.clock(5), F.ORDER)] == ([] if is_kept else [0])
    assert scene.lots(account, 1) == 2


@pytest.mark.parametrize("side", SIDES)
def test_what_a_guard_holds_waits_for_its_end(side: int) -> None:
    market = {"guard_jump_ppm": 100_000, "guard_volume_lots": 100}
    scene, account, _ = prepared(venue((Stage.ADL, Stage.TEAR_UP), breakers=BreakerRules(guard_hold_ns=MINUTE), market=market), side)
    scene.send(EventKind.VOLUME, market=0, lots=5)
    effects = scene.mark(800)
    assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.GUARD]
    scene.charge(account, 1_000)
    assert scene.lots(account) == 10
    effects = scene.clock(60)
    assert [row.code for row in of(effects, F.DOUBT)] == [Doubt.ENDED]
    assert of(effects, F.ADL_PLAN)
    assert scene.lots(account) == 0


@pytest.mark.parametrize("side", SIDES)
def test_nothing_is_forced_at_an_old_mark_but_the_book_goes_on(side: int) -> None:
    """The deadline of 20 s ends with a mark 25 s old: no ADL before the next one, at once with it. A
    solvent account's orders leave meanwhile.
    """
    breakers = BreakerRules(act_age_max_ns=10 * SECOND)
    scene, account, _ = prepared(venue(BOOK, breakers=breakers), side)
    scene.mark(925)
    found = scene.clock(25)
    assert not of(found, F.ORDER, *FORCED)
    found = scene.depth(4) + scene.clock(6)
    assert [row.account for row in of(found, F.ORDER)] == [account]
    scene.done(of(found, F.ORDER)[0].other)
    assert not of(scene.clock(30), *FORCED)
    effects = scene.mark(926)
    assert of(effects, F.ADL_PLAN)
    assert scene.lots(account) < 10


HALT = {"price_throttle_ppm": 50_000, "price_halt_ppm": 100_000, "price_exit_ppm": 20_000}


@pytest.mark.parametrize("side", SIDES)
def test_a_fast_market_keeps_its_book(side: int) -> None:
    """A fall of 11.5 % halts the market: orders leave at a quarter of a slice, and no fill may grow."""
    scene, account, _ = prepared(venue(BOOK, market=HALT, interval_ns=2 * SECOND), side, depth=8)
    effects = scene.mark(885)
    assert scene.mirror.effective(0) == BreakerState.HALTED
    for _ in range(2):
        sent = of(effects, F.ORDER)
        assert [(row.account, abs(row.lots)) for row in sent] == [(account, 2)]
        effects = scene.done(sent[0].other) + scene.depth(8) + scene.clock(2)


@pytest.mark.parametrize("side", SIDES)
def test_an_operators_halt_shuts_the_book(side: int) -> None:
    scene, _, _ = prepared(venue(BOOK, deadline_ns=MINUTE), side, depth=1_000)
    scene.send(EventKind.OPERATOR, code=int(Operator.HALT), market=0, amount=MINUTE)
    found = scene.mark(885) + scene.clock(10)
    assert not of(found, F.ORDER)
    found = scene.send(EventKind.OPERATOR, code=int(Operator.REOPEN), market=0) + scene.clock(2)
    assert of(found, F.ORDER)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mark", [885, 870])
def test_adl_waits_for_the_end_of_a_halt_but_not_for_ever(side: int, mark: int) -> None:
    """Solvent at 885, insolvent at 870: with an empty book nobody is asked for lots before second 60."""
    scene, account, _ = prepared(venue(BOOK, market=HALT, breakers=BreakerRules(halt_wait_max_ns=MINUTE), deadline_ns=40 * SECOND), side)
    effects = scene.mark(mark)
    begun = scene.time_ns
    while not of(effects, F.ADL_PLAN):
        effects = scene.clock(1)
        assert scene.time_ns <= begun + 2 * MINUTE
    assert scene.time_ns == begun + MINUTE
    assert scene.lots(account) < 10


@pytest.mark.parametrize("side", SIDES)
def test_the_vault_sells_nothing_at_a_doubted_mark(side: int) -> None:
    breakers = STALE._replace(stale_ns=20 * SECOND)
    scene = Scene(venue((Stage.TAKEOVER, Stage.TEAR_UP), breakers=breakers, providers=(provider(is_vault=True),)), side)
    account, other = scene.open(1_200), scene.open(1_000_000)
    scene.bind(0, scene.open(1_000_000))
    scene.trade(account, 10, 1_000, other)
    scene.depth(1_000)
    assert of(scene.mark(905), F.TAKEOVER)
    (sold,) = of(scene.clock(3), F.ORDER)
    effects = scene.clock(20)
    assert [row.other for row in of(effects, F.CANCEL)] == [sold.other]
    assert not of(scene.clock(5), F.ORDER)
    scene.mark(905)
    assert of(scene.clock(3), F.ORDER)
