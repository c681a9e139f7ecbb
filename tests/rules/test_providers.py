"""Providers that stop, and offers to them: R6.7.6 and R6.7.12."""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, NEVER_NS, Answer, Cause, EffectKind, EventKind, Health, ProviderStatus, Stage
from backstop.core.instruments import NO_CAP, PPM, CommitmentRules, ProviderRules
from backstop.reference.state import CLOSING_ORDER, DISPOSAL_ORDER, TAKEOVER_OFFER
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, provider, venue

F = EffectKind
pytestmark = pytest.mark.bounds
STAGES = (Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def stopping(stop: int) -> ProviderRules:
    """Return a provider that takes all for nothing, and stops at a loss."""
    promise = CommitmentRules(NO_CAP, 0, edge_ppm=0)
    return ProviderRules(((promise, promise),), leverage_ppm=20 * PPM, loss_stop=stop)


def taken(side: int, *, capital: int = 20_000, stop: int = 8_000, lots: int = 100) -> tuple[Scene, int]:
    """Return a scene in which a provider took over what it had to of ``lots`` at 970; the account is
    then sound.
    """
    stages = (Stage.CLOSEOUT, *STAGES)
    scene = Scene(venue(stages, providers=(stopping(stop),), deadline_ns=4 * SECOND), side)
    scene.cash(FUND, 1_000_000)
    scene.trade(scene.open(10**7), -10 * lots, FIRST_MARK)
    backer, loser = scene.open(capital), scene.open(60 * lots)
    scene.bind(0, backer)
    scene.trade(loser, lots, FIRST_MARK)
    scene.mark(970)
    for offer in scene.open_ids(TAKEOVER_OFFER):
        scene.answer(offer, Answer.ACCEPT)
    assert scene.lots(backer) > 0
    scene.cash(loser, 10**6)
    return scene, backer


def waits_until(scene: Scene, account: int) -> int:
    """Return when an account is looked at again."""
    return scene.watch.reference.state.accounts[account].wait_until


def stop_price(scene: Scene, backer: int, stop: int = 8_000) -> int:
    """Return the mark at which the provider has just lost its stop."""
    gained = scene.mirror.equity(backer) - scene.mirror.providers[0].baseline
    return 970 - (stop + gained) // scene.lots(backer) - 1


# -- a provider that stops sells -------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_provider_sells_from_its_loss_stop_on(side: int) -> None:
    """Capital 20,000, stop 8,000: it holds what it took, and sells nothing until 8,000 are lost; then
    a tenth of its lots each two seconds, at 1 % from the mark at worst, until it holds none.
    """
    scene, backer = taken(side)
    held = scene.lots(backer)
    scene.clock(5)
    assert scene.open_ids(DISPOSAL_ORDER) == []
    price = stop_price(scene, backer)
    scene.depth(10_000)
    effects = scene.mark(price) + scene.clock(2)
    (stopped,) = of(effects, F.PROVIDER)
    assert (stopped.code, stopped.other) == (ProviderStatus.STOPPED, 0)
    order, *_ = of(effects, F.ORDER)
    assert (order.account, abs(order.lots), order.amount, order.value) == (backer, -(-held // 10), 0, 0)
    assert abs(order.price_ticks - scene.price(price)) <= scene.price(price) // 100 + 1
    for _ in range(60):
        for number in scene.open_ids(DISPOSAL_ORDER):
            left = scene.mirror.orders[number].remaining
            scene.fill(number, left, price)
            scene.done(number)
        scene.depth(10_000)
        scene.clock(2)
    assert scene.lots(backer) == 0
    assert scene.mirror.health[backer] < Health.DISTRESSED
    assert waits_until(scene, backer) == NEVER_NS
    assert scene.fund >= 1_000_000


@pytest.mark.parametrize("side", SIDES)
def test_what_a_stop_saves_the_fund(side: int) -> None:
    """The mark falls on by 5 a step. Where the book takes what the stopped provider sells, it ends
    with a part of its capital; without a stop it loses all of it, and the fund pays.
    """
    left = {}
    for stop in (8_000, NO_CAP):
        scene, backer = taken(side, stop=stop)
        for step in range(60):
            scene.mark(965 - 5 * step)
            scene.depth(10_000)
            for number in scene.open_ids(DISPOSAL_ORDER):
                scene.fill(number, scene.mirror.orders[number].remaining, 965 - 5 * step - 1)
                scene.done(number)
        left[stop] = (scene.mirror.equity(backer), 1_000_000 - scene.fund)
    assert left[8_000][0] > 5_000
    assert left[8_000][1] <= 0
    assert left[NO_CAP][0] < left[8_000][0]


@pytest.mark.parametrize("side", SIDES)
def test_it_sells_no_more_once_half_of_its_stop_is_won_back(side: int) -> None:
    scene, backer = taken(side)
    held = scene.lots(backer)
    scene.depth(10_000)
    assert len(of(scene.mark(stop_price(scene, backer)) + scene.clock(2), F.ORDER)) == 1
    scene.mark(970)
    effects = scene.clock(2)
    assert [(row.code) for row in of(effects, F.PROVIDER)] == [ProviderStatus.ON]
    assert of(effects, F.ORDER) == []
    assert scene.open_ids(DISPOSAL_ORDER) == []
    assert scene.lots(backer) == held


@pytest.mark.parametrize("side", SIDES)
def test_it_sells_what_the_slices_of_defaulters_leave(side: int) -> None:
    """60 lots are visible. A defaulter whose turn comes in the same event has its slice first; the
    provider has what is left of the 60. A later defaulter does not wait for the provider's order.
    """
    scene, backer = taken(side, lots=1_000, capital=300_000, stop=8_000)
    assert scene.lots(backer) >= 600  # a tenth is all that is visible
    poor, late = scene.open(2_000), scene.open(3_000)
    for account in (poor, late):
        scene.trade(account, 40, 960)
    scene.depth(60)
    effects = scene.at(waits_until(scene, backer)).mark(stop_price(scene, backer))
    closing, selling = of(effects, F.ORDER)
    assert (closing.account, selling.account) == (poor, backer)
    assert abs(closing.lots) >= 10
    assert abs(closing.lots) + abs(selling.lots) == 60
    (order,) = of(scene.charge(late, 1_200), F.ORDER)
    assert order.account == late
    assert {scene.mirror.orders[number].account for number in scene.open_ids()} == {poor, backer, late}


@pytest.mark.parametrize("side", SIDES)
def test_one_that_sells_is_closed_like_anyone_once_it_is_in_default(side: int) -> None:
    scene, backer = taken(side)
    scene.depth(10)
    scene.mark(stop_price(scene, backer))
    scene.clock(1)
    assert scene.open_ids(DISPOSAL_ORDER)
    scene.mark(600)
    for _ in range(6):
        scene.clock(10)
    assert scene.lots(backer) == 0
    assert scene.mirror.equity(backer) == 0
    assert scene.open_ids() == []


# -- joint offers ----------------------------------------------------------------------------------


def falling(
    side: int, deposits: tuple[int, ...] = (900, 900, 900), *, backers: int = 1, owner: int | None = None, fund: int = 0
) -> tuple[Scene, list[int], list[int]]:
    """Return a scene in which some accounts of 10 lots each fall into default by one mark."""
    scene = Scene(venue(STAGES, providers=(provider(edge_ppm=10_000),) * backers), side)
    if fund:
        scene.cash(FUND, fund)
    scene.trade(scene.open(10**6), -10 * len(deposits), FIRST_MARK)
    numbers = [scene.open(10**6) for _ in range(backers)]
    for number, account in enumerate(numbers):
        scene.bind(number, account)
    first = -1 if owner is None else numbers[0]
    losers = [scene.open(deposit, owner=-1 if place else first) for place, deposit in enumerate(deposits)]
    for loser in losers:
        scene.trade(loser, 10, FIRST_MARK)
    return scene, numbers, losers


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_answer_takes_over_from_all(side: int, place: int) -> None:
    """Three fall in one event: three offers, one joint offer; an answer to any of them is for all."""
    scene, (backer,), losers = falling(side)
    offers = of(scene.mark(950), F.OFFER)
    assert [offer.account for offer in offers] == losers
    first = offers[0].other
    assert {scene.mirror.orders[offer.other].joint for offer in offers} == {first}
    effects = scene.answer(offers[place].other, Answer.ACCEPT)
    assert [row.account for row in of(effects, F.TAKEOVER)] == losers
    assert of(effects, F.PROVIDER) == []
    assert scene.lots(backer) == sum(abs(offer.lots) for offer in offers)
    assert scene.answer(offers[1].other, Answer.REFUSE) == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("is_silent", [False, True])
def test_one_refusal_is_one_failure(side: int, is_silent: bool) -> None:
    """A refusal, and a silence, count once whoever was in the offer; the lots go elsewhere in that
    event.
    """
    scene, _, losers = falling(side)
    offers = of(scene.mark(950), F.OFFER)
    assert len(offers) == 3
    effects = scene.clock(5) if is_silent else scene.answer(offers[2].other, Answer.REFUSE)
    (failure,) = of(effects, F.PROVIDER)
    assert (failure.code, failure.lots, failure.amount) == (ProviderStatus.COOLING, 1, PPM * 3 // 4)
    assert [row.other for row in of(effects, F.CANCEL)] == [offer.other for offer in offers]
    assert [row.account for row in of(effects, F.ADL_PLAN)] == losers


@pytest.mark.parametrize("side", SIDES)
def test_it_shrinks_when_one_leaves_default(side: int) -> None:
    """The first pays in: its offer is cancelled. Its id still names the joint offer of the others."""
    scene, (backer,), losers = falling(side)
    first, *others = of(scene.mark(950), F.OFFER)
    effects = scene.cash(losers[0], 5_000)
    assert [row.other for row in of(effects, F.CANCEL)] == [first.other]
    effects = scene.answer(first.other, Answer.ACCEPT)
    assert [row.account for row in of(effects, F.TAKEOVER)] == losers[1:]
    assert scene.lots(backer) == sum(abs(offer.lots) for offer in others)
    assert scene.lots(losers[0]) == 10


@pytest.mark.parametrize("side", SIDES)
def test_its_own_owner_is_not_in_it(side: int) -> None:
    """The first of the defaulters is the provider's own: it goes on to ADL, and the offer is for the
    others.
    """
    scene, (backer,), losers = falling(side, owner=0)
    scene.cash(backer, -900_000)
    effects = scene.mark(950)
    assert [offer.account for offer in of(effects, F.OFFER)] == losers[1:]
    assert [row.account for row in of(effects, F.ADL_PLAN)] == losers[:1]


@pytest.mark.parametrize("side", SIDES)
def test_support_stays_per_defaulter(side: int) -> None:
    """Three insolvent accounts of unlike gaps: each has its own reservation, and is paid its own gap
    and the provider's edge, 1 % of the notional.
    """
    scene, (backer,), losers = falling(side, (900, 700, 950), fund=100_000)
    offers = of(scene.mark(900), F.OFFER)
    edge, gaps = scene.price(900) // 10, dict(zip(losers, (100, 300, 50), strict=True))
    assert {offer.account: offer.value for offer in offers} == {loser: edge + gap for loser, gap in gaps.items()}
    effects = scene.answer(offers[0].other, Answer.ACCEPT)
    paid = {row.account: row.amount for row in of(effects, F.POSTING) if row.code == Cause.SUPPORT}
    assert paid == {loser: edge + gap for loser, gap in gaps.items()}
    assert all(scene.mirror.equity(loser) == 0 for loser in losers)
    assert scene.mirror.funds[0].reserved == 0
    assert scene.mirror.equity(backer) == 10**6 + 3 * edge


@pytest.mark.parametrize("side", SIDES)
def test_what_it_cannot_carry_is_one_failure_and_what_it_can_is_its_own(side: int) -> None:
    """It withdraws to what two of three offers need: two are taken over, the third fails."""
    scene, (backer,), _ = falling(side)
    offers = of(scene.mark(950), F.OFFER)
    lots = [abs(offer.lots) for offer in offers]
    need = scene.mirror.contract(0).initial_of(lots[0] + lots[1])
    scene.cash(backer, need - scene.mirror.equity(backer))
    effects = scene.answer(offers[0].other, Answer.ACCEPT)
    assert len(of(effects, F.TAKEOVER)) == 2
    (failure,) = of(effects, F.PROVIDER)
    assert (failure.lots, failure.amount) == (1, PPM * 3 // 4)
    assert [row.other for row in of(effects, F.CANCEL)] == [offers[2].other]


@pytest.mark.parametrize("side", SIDES)
def test_every_provider_has_a_joint_offer_of_its_own(side: int) -> None:
    scene, backers, _ = falling(side, backers=2)
    offers = of(scene.mark(950), F.OFFER)
    joints = {scene.mirror.orders[offer.other].joint for offer in offers}
    assert len(joints) == 2
    scene.answer(min(joints), Answer.REFUSE)
    assert [scene.mirror.providers[number].failures for number in range(2)] == [1, 0]
    scene.answer(max(joints), Answer.ACCEPT)
    assert scene.lots(backers[0]) == 0 < scene.lots(backers[1])
    assert scene.open_ids(CLOSING_ORDER) == []


# -- an offer is no free option --------------------------------------------------------------------

USUAL = 20_000


def hasty(side: int, usual: int, *, markets: int = 1) -> tuple[Scene, int]:
    """Return a scene of one provider and one account of 10 lots in each market, of a venue where a
    range counts as usual.
    """
    rules = venue(STAGES, markets=markets, providers=(provider(edge_ppm=0),))
    scene = Scene(rules._replace(takeover=rules.takeover._replace(offer_range_ppm=usual)), side)
    rich = scene.open(10**7)
    backer, loser = scene.open(10**6), scene.open(1_000 * markets)
    scene.bind(0, backer)
    for market in range(markets):
        scene.trade(rich, -10, FIRST_MARK, market=market)
        scene.trade(loser, 10, FIRST_MARK, market=market)
    return scene, loser


def haste_at(scene: Scene, ticks: int) -> int:
    """Return the haste of a market that went from its first mark to this one, in ppm."""
    low, high = sorted((FIRST_MARK, scene.price(ticks)))
    return max(PPM, min(4 * PPM, (high - low) * PPM // low * PPM // USUAL))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("ticks", [999, 980, 960, 920, 905])
def test_an_offer_lives_shorter_the_wider_the_range_is(side: int, ticks: int) -> None:
    """5 s to a range of 2 %, about half of it at 4 %, a quarter from 8 % on; the silence is a failure
    then, and not an atom of time before.
    """
    scene, loser = hasty(side, USUAL)
    scene.mark(ticks)
    if scene.open_ids() == []:
        scene.charge(loser, 980 - 10 * (FIRST_MARK - ticks))
    (order,) = (scene.mirror.orders[number] for number in scene.open_ids(TAKEOVER_OFFER))
    life = 5 * SECOND * PPM // haste_at(scene, ticks)
    assert life >= 5 * SECOND // 4
    assert waits_until(scene, loser) == order.offered_ns + life
    scene.at(order.offered_ns + life - 1).send(EventKind.CLOCK)
    assert scene.mirror.providers[0].failures == 0
    scene.at(order.offered_ns + life).send(EventKind.CLOCK)
    assert scene.mirror.providers[0].failures == 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("usual", [0, USUAL])
@pytest.mark.parametrize("ticks", [960, 905])
def test_a_refusal_costs_more_the_wider_the_range_is(side: int, usual: int, ticks: int) -> None:
    """A quarter of the score and 10 s in a calm market; half and 20 s at 4 %, three quarters and 40 s
    from 8 % on. Off, it costs the same in any.
    """
    scene, loser = hasty(side, usual)
    if ticks == 960:
        scene.charge(loser, 300)
    (offer,) = of(scene.mark(ticks), F.OFFER)
    haste = haste_at(scene, ticks) if usual else PPM
    (failure,) = of(scene.answer(offer.other, Answer.REFUSE), F.PROVIDER)
    assert failure.amount == PPM - min(750_000, 250_000 * haste // PPM)
    assert failure.value == scene.time_ns + 10 * SECOND * haste // PPM
    assert scene.mirror.health[loser] < Health.DISTRESSED or scene.open_ids() == []


@pytest.mark.parametrize("side", SIDES)
def test_what_lives_longer_is_cancelled_and_fails_nobody(side: int) -> None:
    """Offered in a fast market and in a calm one: the first ends by silence, one failure at its haste;
    the other is taken back, and is no failure.
    """
    scene, loser = hasty(side, USUAL, markets=2)
    offers = of(scene.mark(820), F.OFFER)
    assert [offer.market for offer in offers] == [0, 1]
    effects = scene.at(waits_until(scene, loser)).send(EventKind.CLOCK)
    failures = of(effects, F.PROVIDER)
    assert [failure.amount for failure in failures] == [250_000]
    assert [row.other for row in of(effects, F.CANCEL)] == [offer.other for offer in offers]
