"""A provider that accepts and fails: its word costs the defaulter a moment, never a unit, and it
loses its standing.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Answer, EffectKind, Health, ProviderStatus, Stage
from backstop.core.instruments import PPM
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, provider, venue

F = EffectKind
pytestmark = pytest.mark.bounds
STAGES = (Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def stage(side: int, *, reliable: bool) -> tuple[Scene, int, int]:
    """Return a scene with a provider that will not keep its word, one that will where asked for,
    and a rich counterparty.
    """
    scene = Scene(venue(STAGES, providers=(provider(edge_ppm=0),) * (1 + reliable)), side)
    scene.cash(FUND, 10_000)
    scene.trade(scene.open(10**6), -100, FIRST_MARK)
    liar, loser = scene.open(3_000), scene.open(1_100)
    scene.bind(0, liar)
    if reliable:
        scene.bind(1, scene.open(10**5))
    scene.trade(loser, 10, FIRST_MARK)
    return scene, liar, loser


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reliable", [True, False])
def test_acceptance_without_money_is_a_failure_and_the_lots_go_elsewhere(side: int, reliable: bool) -> None:
    """It withdraws its money once it is asked, and accepts: refused; another provider, or ADL,
    takes the lots in that event.
    """
    scene, liar, loser = stage(side, reliable=reliable)
    scene.charge(loser, 800)  # 300 of equity, maintenance 500
    first = scene.open_ids()
    mine = next(number for number in first if scene.mirror.orders[number].provider == 0)
    scene.cash(liar, -3_000)
    effects = scene.answer(mine, Answer.ACCEPT)
    assert of(effects, F.TAKEOVER) == []
    (failure,) = of(effects, F.PROVIDER)
    assert (failure.other, failure.code, failure.lots, failure.amount) == (0, ProviderStatus.COOLING, 1, PPM * 3 // 4)
    assert scene.lots(liar) == 0
    for number in scene.open_ids():
        effects += scene.answer(number, Answer.ACCEPT)
    for number in scene.open_ids():
        effects += scene.answer(number, Answer.ACCEPT)
    assert bool(of(effects, F.TAKEOVER)) == reliable
    assert bool(of(effects, F.ADL_PLAN)) == (not reliable)
    assert scene.mirror.health[loser] < Health.DISTRESSED
    assert scene.mirror.payments == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("way", ["refuses", "is silent", "accepts without money"])
def test_repeated_failure_switches_off_and_time_brings_back(side: int, way: str) -> None:
    """Three failures in a row: OFF for a minute, then asked again with a clean count, at a score
    that it must earn.
    """
    scene, liar, _ = stage(side, reliable=False)
    for number in range(3):
        account = scene.open(1_100)
        scene.trade(account, 10, FIRST_MARK)
        scene.charge(account, 800)
        offer = max(scene.open_ids(), default=None)
        assert offer is not None, number
        if way == "refuses":
            scene.answer(offer, Answer.REFUSE)
        elif way == "is silent":
            scene.clock(6)
        else:
            scene.cash(liar, -scene.mirror.equity(liar))
            scene.answer(offer, Answer.ACCEPT)
            scene.cash(liar, 3_000)
        assert scene.mirror.providers[0].failures == number + 1
        scene.clock(11)
    backer = scene.mirror.providers[0]
    assert (backer.status, backer.score) == (ProviderStatus.OFF, 421_875)
    account = scene.open(1_100)
    scene.trade(account, 10, FIRST_MARK)
    assert of(scene.charge(account, 800), F.OFFER) == []
    scene.clock(61)
    other = scene.open(1_100)
    scene.trade(other, 10, FIRST_MARK)
    assert len(of(scene.charge(other, 800), F.OFFER)) == 1
    assert (scene.mirror.providers[0].status, scene.mirror.providers[0].failures) == (ProviderStatus.ON, 0)


@pytest.mark.parametrize("side", SIDES)
def test_provider_that_falls_with_what_it_took_is_closed_like_anyone(side: int) -> None:
    """It takes all it may; the market goes on against it; it is not asked to save itself, and the
    chain ends.
    """
    scene, liar, loser = stage(side, reliable=False)
    scene.charge(loser, 1_050)
    for number in scene.open_ids():
        scene.answer(number, Answer.ACCEPT)
    assert scene.lots(liar) > 0
    effects = scene.mark(300)
    assert of(effects, F.OFFER) == []
    scene.clock(30)
    assert scene.lots(liar) == 0
    assert scene.mirror.equity(liar) == 0
    assert all(health < Health.DISTRESSED for health in scene.mirror.health)


@pytest.mark.parametrize("side", SIDES)
def test_provider_cannot_be_asked_beyond_its_margin_by_many_at_once(side: int) -> None:
    """Ten accounts default in one mark: what is offered in all fits the provider's margin, before
    any answer.
    """
    scene, liar, _ = stage(side, reliable=False)
    for _ in range(10):
        account = scene.open(1_100)
        scene.trade(account, 10, FIRST_MARK)
    scene.mark(935)
    offers = [scene.mirror.orders[number] for number in scene.open_ids()]
    assert offers
    initial = sum(scene.mirror.contract(0).initial_of(abs(order.lots)) for order in offers)
    assert initial <= scene.mirror.equity(liar)
    for number in scene.open_ids():
        if scene.mirror.orders[number].is_open:
            scene.answer(number, Answer.ACCEPT)
    assert scene.mirror.equity(liar) >= scene.mirror.portfolio(liar).initial


@pytest.mark.parametrize("side", SIDES)
def test_a_provider_that_trickles_holds_nobody_for_long(side: int) -> None:
    """One lot in five seconds, answered at the last moment: after twice the deadline of closeout
    the next stages have their turn.
    """
    rules = provider(1_100, 400, edge_ppm=0)
    stages = (Stage.RESTRICT, Stage.TAKEOVER, Stage.ADL, Stage.TEAR_UP)
    scene = Scene(venue(stages, providers=(rules,)), side)
    scene.bind(0, scene.open(1_000_000))
    account = scene.open(3_000)
    scene.trade(account, 60, FIRST_MARK, other=scene.open(1_000_000))
    scene.mark(980)
    begin, taken = scene.time_ns, 0
    assert scene.mirror.health[account] >= Health.DISTRESSED
    while scene.mirror.health[account] >= Health.DISTRESSED:
        for number in scene.open_ids():
            taken += 1
            scene.clock(3)
            scene.answer(number, Answer.ACCEPT)
        scene.clock(0.5)
        assert scene.time_ns - begin <= 2 * 20 * SECOND + 6 * SECOND
    assert taken > 2
    assert any(row.kind == EffectKind.ADL_PLAN for effects in scene.watch.effects for row in effects)


@pytest.mark.parametrize("side", SIDES)
def test_one_silence_is_one_failure(side: int) -> None:
    """Three offers of three accounts, one joint offer, lapse: the provider cools off, it is not
    switched off.
    """
    stages = (Stage.RESTRICT, Stage.TAKEOVER, Stage.ADL, Stage.TEAR_UP)
    scene = Scene(venue(stages, providers=(provider(),)), side)
    scene.bind(0, scene.open(1_000_000))
    for account in [scene.open(1_000) for _ in range(3)]:
        scene.trade(account, 10, FIRST_MARK)
    scene.mark(920)
    assert len(scene.open_ids()) == 3
    told = [row for row in scene.clock(6) if row.kind == EffectKind.PROVIDER]
    assert [(row.code, row.lots) for row in told] == [(ProviderStatus.COOLING, 1)]


@pytest.mark.parametrize("side", SIDES)
def test_no_place_for_an_offer_is_no_refusal(side: int) -> None:
    """One order at a time: the second defaulter waits for the place, and is taken over, not
    deleveraged.
    """
    stages = (Stage.RESTRICT, Stage.TAKEOVER, Stage.ADL, Stage.TEAR_UP)
    rules = venue(stages, providers=(provider(),))
    scene = Scene(rules._replace(limits=rules.limits._replace(orders_max=1)), side)
    scene.bind(0, scene.open(1_000_000))
    for account in [scene.open(1_000) for _ in range(2)]:
        scene.trade(account, 10, FIRST_MARK)
    effects = scene.mark(920)
    assert [row.kind for row in effects].count(EffectKind.OFFER) == 1
    for _ in range(2):
        (number,) = scene.open_ids()
        scene.answer(number, Answer.ACCEPT)
        scene.clock(2)
    assert not [row for effects in scene.watch.effects for row in effects if row.kind == EffectKind.ADL_PLAN]
    assert max(scene.mirror.health[:3]) < Health.DISTRESSED
