"""The book first (R6.15): below close-out it is asked before providers where one order is all that the
account needs and costs less; on the engine, the reference and every invariant together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Answer, Cause, EffectKind, Health, Stage
from backstop.core.instruments import PPM, VenueRules
from backstop.reference.state import CLOSING_ORDER
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, provider, venue

F = EffectKind
pytestmark = pytest.mark.bounds
STAGES = (Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def rules(*edges: int, share_ppm: int = 500_000, markets: int = 1, fee_ppm: int = 5_000) -> VenueRules:
    """Return a venue of providers with these edges, atoms of a tenth of a tick."""
    backers = tuple(provider(edge_ppm=edge) for edge in edges or (10_000,))
    made = venue(STAGES, markets=markets, providers=backers, fee_ppm=fee_ppm)
    takeover = made.takeover._replace(provider_share_ppm=share_ppm)
    return made._replace(markets=tuple(each._replace(notional_factor=10) for each in made.markets), takeover=takeover)


def alice(made: VenueRules, side: int, deposit: int = 12_000, *, binds: int = 2) -> tuple[Scene, int, list[int]]:
    """Return a scene in which Alice is long 10 at 100.0, her id, and the providers' accounts."""
    scene = Scene(made, side)
    backers = [scene.open(10**6) for _ in made.providers]
    for number, account in enumerate(backers[:binds]):
        scene.bind(number, account)
    loser, winner = scene.open(deposit), scene.open(10**7)
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    return scene, loser, backers


def test_the_worked_example() -> None:
    """20.00 are left at 90.0. The book takes 7 lots for 0.70 and a fee of 3.15; providers would take 8,
    for 8.00.
    """
    scene, loser, (backer,) = alice(rules(), 1)
    scene.depth(40)
    effects = scene.mark(900)
    assert scene.mirror.health[loser] == Health.CLOSE_OUT
    assert scene.mirror.equity(loser) == 20_00
    (order,) = of(effects, F.ORDER)
    assert (order.lots, of(effects, F.OFFER)) == (-7, [])
    fund = scene.fund
    scene.fill(order.other, 7, 899)
    assert scene.mirror.equity(loser) == 20_00 - 70 - 3_15
    assert scene.fund - fund == 3_15
    assert scene.mirror.equity(backer) == 10**6
    assert not scene.mirror.accounts[loser].in_default


def test_what_providers_would_have_got() -> None:
    """The same with the book kept out by a slice of no lots: 10.00 of all 10, as the book beyond its
    bands counts 22.50, and the fund the rest.
    """
    scene, loser, (backer,) = alice(rules(), 1)
    (offer,) = of(scene.mark(900), F.OFFER)
    assert abs(offer.lots) == 10
    scene.answer(offer.other, Answer.ACCEPT)
    assert scene.mirror.equity(backer) == 10**6 + 10_00
    assert (scene.mirror.equity(loser), scene.fund) == (0, 10_00)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("shown", "is_first"), [(40, True), (10, True), (4, False), (0, False)])
def test_only_where_one_order_is_all_that_it_needs(side: int, shown: int, is_first: bool) -> None:
    scene, _, _ = alice(rules(), side)
    scene.depth(shown)
    effects = scene.mark(900)
    assert (len(of(effects, F.ORDER)), len(of(effects, F.OFFER))) == ((1, 0) if is_first else (0, 1))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("share_ppm", "is_first"), [(500_000, True), (100_000, False), (0, False)])
def test_only_where_it_costs_less(side: int, share_ppm: int, is_first: bool) -> None:
    """Where providers get less than slippage and fee they are asked first; the account pays what the
    book would have cost then, too: what they do not get is the fund's.
    """
    scene, loser, (backer,) = alice(rules(share_ppm=share_ppm), side)
    scene.depth(40)
    effects = scene.mark(900)
    assert len(of(effects, F.ORDER)) == is_first
    for offer in of(effects, F.OFFER):
        before, lots = scene.mirror.equity(loser), abs(offer.lots)
        value = lots * scene.price(900) * 10
        cost = -(-value * 1_000 // PPM) + value * 5_000 // PPM
        effects = scene.answer(offer.other, Answer.ACCEPT)
        got = scene.mirror.equity(backer) - 10**6
        charged = sum(row.amount for row in of(effects, F.POSTING) if row.code == Cause.CLOSING_CHARGE)
        assert before - scene.mirror.equity(loser) == got + charged == max(got, cost)


@pytest.mark.parametrize("side", SIDES)
def test_a_book_that_is_not_meant_wins_one_order(side: int) -> None:
    """The order comes back unfilled: providers are asked in that event. Shown again, the book waits for
    their answers.
    """
    scene, loser, _ = alice(rules(), side)
    scene.depth(40)
    (order,) = of(scene.mark(900), F.ORDER)
    (offer,) = of(scene.done(order.other), F.OFFER)
    assert offer.account == loser
    assert scene.depth(40) == []
    scene.answer(offer.other, Answer.ACCEPT)
    assert scene.open_ids(CLOSING_ORDER) == []
    assert not scene.mirror.accounts[loser].in_default


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("deadline_s", "is_first"), [(3, False), (20, True)])
def test_after_the_deadline_providers_are_asked_first(side: int, deadline_s: int, is_first: bool) -> None:
    """She was offered to one provider, and another came. Four seconds later the first refuses, with a
    deep book: before the deadline that goes first, after it the other provider is asked.
    """
    made = rules(10_000, 10_000)
    made = made._replace(closeout=made.closeout._replace(deadline_ns=deadline_s * SECOND))
    scene, _, backers = alice(made, side, binds=1)
    (offer,) = of(scene.mark(900), F.OFFER)
    scene.depth(40)
    scene.bind(1, backers[1])
    scene.clock(1)
    effects = scene.answer(offer.other, Answer.REFUSE)
    assert (len(of(effects, F.ORDER)), len(of(effects, F.OFFER))) == ((1, 0) if is_first else (0, 1))


@pytest.mark.parametrize("side", SIDES)
def test_not_where_a_limit_keeps_lots_from_it(side: int) -> None:
    """At 0.1 % all but the last lots are shown, and those at 1 %, beyond her zero price: on average
    cheap, but the order would come back with some of its lots.
    """
    scene, loser, _ = alice(rules(fee_ppm=0), side, deposit=10_700)
    scene.depth(6)
    scene.depth(40, band=1)
    effects = scene.mark(900)
    assert scene.mirror.health[loser] == Health.CLOSE_OUT
    assert len(of(effects, F.OFFER)) == 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("edges", "is_first"), [((10_000,), True), ((10_000, 500), False), ((1_000,), False), ((1_100,), False), ((2_000,), True)]
)
def test_an_insolvent_account_goes_where_its_fund_loses_less(side: int, edges: tuple[int, ...], is_first: bool) -> None:
    """The limit of its order, a tick below the mark, against the least edge, for all of its lots: like
    for like, providers are first.
    """
    scene, loser, _ = alice(rules(*edges), side)
    scene.cash(FUND, 10**6)
    scene.depth(40)
    effects = scene.mark(870)
    assert scene.mirror.health[loser] == Health.INSOLVENT
    sent, offered = of(effects, F.ORDER), of(effects, F.OFFER)
    assert (sum(abs(row.lots) for row in sent), bool(offered)) == ((10, False) if is_first else (0, True))


@pytest.mark.parametrize("side", SIDES)
def test_an_insolvent_account_of_two_positions_goes_to_providers(side: int) -> None:
    scene, loser, _ = alice(rules(markets=2), side)
    scene.trade(loser, 1, FIRST_MARK, market=1)
    scene.cash(FUND, 10**6)
    scene.depth(40)
    scene.depth(40, market=1)
    effects = scene.mark(870)
    assert scene.mirror.health[loser] == Health.INSOLVENT
    assert (of(effects, F.ORDER), len(of(effects, F.OFFER))) == ([], 2)


@pytest.mark.parametrize("side", SIDES)
def test_who_cannot_be_asked_sets_no_edge(side: int) -> None:
    """The cheap provider refused and is cooling; the other's edge is above the book's slippage."""
    scene, _, _ = alice(rules(500, 10_000), side)
    scene.cash(FUND, 10**6)
    offers = of(scene.mark(870), F.OFFER)
    (cheap,) = (offer for offer in offers if offer.price_ticks == 0)
    scene.answer(cheap.other, Answer.REFUSE)
    poor = scene.open(5_000)
    scene.trade(poor, 10, 870)
    scene.depth(400)
    effects = scene.mark(800)
    assert scene.mirror.health[poor] == Health.INSOLVENT
    assert [(row.account, abs(row.lots)) for row in of(effects, F.ORDER)] == [(poor, 10)]
