"""What two careful readers could once have read differently, clause by clause, on the engine, the
reference and every invariant together.
"""

from __future__ import annotations

import numpy as np
import pytest

from backstop.core.digest import state_digest
from backstop.core.events import (
    EFFECT,
    FUND,
    NONE,
    Answer,
    BookSide,
    BreakerCause,
    BreakerState,
    EffectArray,
    EffectKind,
    EventKind,
    ProviderStatus,
    Stage,
)
from backstop.core.instruments import NO_CAP, BreakerRules, CommitmentRules, FundsRules, ProviderRules, TakeoverRules
from backstop.core.kinds import BreakerEffect, CancelEffect, OfferEffect, OrderEffect, ProviderEffect
from backstop.reference.records import Effect
from backstop.reference.state import State
from tests.attacks.scene import SECOND, SIDES, Scene, of, provider, venue

LAST = (Stage.TEAR_UP,)
OFFERS = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.TEAR_UP)


def of_array(effects: list[Effect]) -> EffectArray:
    rows: EffectArray = np.array([tuple(effect) for effect in effects], dtype=EFFECT)
    return rows


def reference(scene: Scene) -> State:
    """Return what the reference remembers; the engine remembers the same."""
    assert state_digest(scene.watch.state) == scene.watch.reference.digest()
    return scene.watch.reference.state


def machines(effects: list[Effect]) -> list[int]:
    return [row.market for row in of(effects, EffectKind.BREAKER)]


@pytest.mark.parametrize("side", SIDES)
def test_r6_8_5_flow_comes_before_what_is_uncovered(side: int) -> None:
    """Lots of market 0 are torn up. Both markets lost, so DEFICIT stops both, but the flow of market
    0 and of the venue came first.
    """
    rules = venue(LAST, markets=2, breakers=BreakerRules(flow_halt=1), market={"flow_halt": 1})
    scene = Scene(rules, side)
    winner, loser = scene.open(10**9), scene.open(22_000)
    for market in (0, 1):
        scene.trade(loser, 100, 1_000, other=winner, market=market)
    scene.mark(900, 1)
    scene.trade(loser, -100, 900, other=winner, market=1)
    effects = scene.mark(850)
    assert scene.lots(loser) == 0
    assert [row.market for row in of(effects, EffectKind.RESIDUAL)] == [NONE]
    assert machines(effects) == [0, NONE, 1]


def test_r9_2_4_a_drawdown_that_ends_and_returns_in_one_event_is_a_new_one() -> None:
    """The hold has spent the first; its peak is forgotten; the payment that comes then throttles
    again, in its own event.
    """
    fund = FundsRules(drawdown_enter_ppm=250_000, drawdown_exit_ppm=100_000, drawdown_window_ns=160 * SECOND)
    scene = Scene(venue((Stage.FUND, Stage.TEAR_UP), fund=fund, breakers=BreakerRules(hold_max_ns=50 * SECOND)), 1)
    scene.send(EventKind.TRANSFER, account=FUND, amount=1_000)
    first, second = scene.open(1), scene.open(1)
    (throttled,) = BreakerEffect.each(of_array(scene.charge(first, 301)))
    assert (throttled.breaker_state, throttled.cause) == (BreakerState.THROTTLED, BreakerCause.DRAWDOWN)
    (opened,) = BreakerEffect.each(of_array(scene.clock(51)))
    assert opened.breaker_state == BreakerState.OPEN
    scene.clock(200)
    # 700 is all that is remembered: 200 of it are 28 %.
    (again,) = BreakerEffect.each(of_array(scene.charge(second, 201)))
    assert (again.breaker_state, again.cause) == (BreakerState.THROTTLED, BreakerCause.DRAWDOWN)


def offered(capacity: int, refill_per_s: int = 0) -> tuple[Scene, int]:
    """Return a scene in which a provider was asked for an account below close-out, and the account."""
    rules = venue(OFFERS, providers=(provider(capacity, refill_per_s),))
    scene = Scene(rules._replace(takeover=TakeoverRules(answer_timeout_ns=30 * SECOND, retry_ns=2 * SECOND)), 1)
    scene.bind(0, scene.open(10**7))
    winner, account = scene.open(10**9), scene.open(12_000)
    scene.trade(account, 100, 1_000, other=winner)
    return scene, account


@pytest.mark.parametrize(("most", "asked_in"), [(NO_CAP, [0]), (20_000, [0, 1])])
def test_r6_7_5_a_pass_ends_only_where_the_lots_that_restore_were_placed(most: int, asked_in: list[int]) -> None:
    """A provider that can carry the lots that restore is asked in one market. One that can carry a part
    of them leaves the account in default: the pass goes on.
    """
    promise = CommitmentRules(NO_CAP, edge_ppm=10_000, position_notional_max=most)
    scene = Scene(venue(OFFERS, markets=2, providers=(ProviderRules(((promise, promise),), leverage_ppm=10**7),)), 1)
    scene.bind(0, scene.open(10**7))
    winner, account = scene.open(10**9), scene.open(12_500)
    for market, lots in ((0, 100), (1, 10)):
        scene.trade(account, lots, 1_000, other=winner, market=market)
    offers = list(OfferEffect.each(of_array(scene.mark(905))))
    assert [offer.market for offer in offers] == asked_in
    assert 0 < abs(offers[0].lots) < 100


@pytest.mark.parametrize("code", [Answer.REFUSE, Answer.ACCEPT])
def test_r6_7_2_only_an_acceptance_brings_the_status_up_to_date(code: Answer) -> None:
    """The provider refused one offer and is COOLING; its time is over when it answers the other."""
    scene, _ = offered(10**9)
    scene.mark(905)
    late = scene.open(12_000)
    scene.trade(late, 100, 1_000)
    one, two = scene.open_ids()[:2]
    scene.answer(one, Answer.REFUSE)
    scene.clock(3)
    states = [row.status for row in ProviderEffect.each(of_array(scene.answer(two, code)))]
    if code == Answer.REFUSE:
        # It failed as one that is COOLING; whoever asks next then finds its time over.
        assert states[0] == ProviderStatus.COOLING
    else:
        assert states[0] == ProviderStatus.ON


def test_r6_7_1_a_gauge_is_refreshed_when_its_provider_is_weighed() -> None:
    """The second account finds nothing that is free; the gauge counts from then all the same. A
    cancelled offer leaves its time as it was.
    """
    scene, _ = offered(50_000, refill_per_s=1)
    scene.mark(905)
    assert reference(scene).providers[0].commitments[0][0].as_of_ns == scene.time_ns
    (asked,) = scene.open_ids()
    late = scene.open(12_000)
    scene.trade(late, 100, 1_000)
    assert reference(scene).providers[0].commitments[0][0].as_of_ns == scene.time_ns
    weighed_ns = scene.time_ns
    scene.at(scene.time_ns + SECOND).answer(asked, Answer.REFUSE)
    assert reference(scene).providers[0].commitments[0][0].as_of_ns == weighed_ns


def test_r5_4_3_an_order_of_disposal_that_nobody_answers_leaves_the_bands() -> None:
    """It is cancelled when the vault's turn comes, and the next slice leaves in the same event."""
    scene = Scene(venue(OFFERS, providers=(provider(is_vault=True),)), 1)
    scene.bind(0, scene.open(10**7))
    winner, account = scene.open(10**9), scene.open(12_000)
    scene.trade(account, 100, 1_000, other=winner)
    scene.mark(905)
    assert scene.lots(account) < 100
    scene.depth(20)
    sent: list[OrderEffect[int]] = []
    while not sent:
        sent = list(OrderEffect.each(of_array(scene.clock(1))))
    effects = scene.clock(2)
    (cancelled,) = CancelEffect.each(of_array(effects))
    (again,) = OrderEffect.each(of_array(effects))
    assert cancelled.order_id == sent[0].order_id
    assert again.lots == sent[0].lots
    assert reference(scene).markets[0].depth[BookSide.BID][0] == 20
