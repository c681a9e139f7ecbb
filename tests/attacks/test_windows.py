"""Double use of capacity at the edges of windows: fund, owner and provider, over every span, by
brute force.
"""

from __future__ import annotations

from random import Random

import pytest

from backstop.core.events import FUND, Answer, EffectKind, EventKind, Stage
from backstop.core.instruments import NO_CAP, PPM, AssetRules, CommitmentRules, FundsRules, ProviderRules
from backstop.core.places import commitment_row
from backstop.core.waterfall.providers import cap_lots
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, provider, venue
from tests.properties.mirror import Payment

F = EffectKind
WINDOW = 16 * SECOND
CAP = 1_000


def most_in_a_window(payments: list[Payment], window_ns: int) -> int:
    """Return the largest sum of payments within any span of a window, both ends included: spans
    that begin with a payment do.
    """
    starts = {each.time_ns for each in payments}
    return max(sum(each.amount for each in payments if start <= each.time_ns <= start + window_ns) for start in starts)


def edges(rng: Random, window_ns: int) -> int:
    """Return a pause that ends at, just before or just after an edge of a slot or of the window."""
    slot = window_ns // 16
    return rng.choice((1, slot - 1, slot, slot + 1, 15 * slot, window_ns - 1, window_ns, window_ns + 1, window_ns + slot, 3 * window_ns))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(6))
def test_fund_pays_no_more_than_its_cap_in_any_span(side: int, seed: int) -> None:
    """Flat accounts with deficits at every edge of slots and windows: no span of a window ever sees
    more than the cap.

    Over a long time the fund pays many times its cap, most of it late, and some span all of it: the
    bound is sharp.
    """
    rng = Random(seed)
    scene = Scene(venue((Stage.FUND, Stage.TEAR_UP), cap=CAP, fund=FundsRules(window_ns=WINDOW)), side)
    scene.cash(FUND, 10**6)
    accounts = [scene.open(0) for _ in range(20)]
    for _ in range(120):
        scene.at(scene.time_ns + edges(rng, WINDOW)).charge(rng.choice(accounts), rng.choice((1, 300, CAP, 5 * CAP)))
    payments = [*scene.mirror.payments, *scene.mirror.late]
    assert most_in_a_window(payments, WINDOW) == CAP
    assert sum(each.amount for each in payments) > 5 * CAP


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(6))
def test_owner_costs_no_more_than_its_cap_in_any_span(side: int, seed: int) -> None:
    """One owner with many accounts that default one after the other, paid for by the fund at every
    edge of the window, and what it could not pay then, late.
    """
    rng = Random(seed)
    rules = venue((Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP), fund=FundsRules(window_ns=WINDOW), asset=AssetRules(owner_loss_max=CAP))
    scene = Scene(rules, side)
    scene.cash(FUND, 10**6)
    scene.trade(scene.open(10**6), -50, FIRST_MARK)
    accounts = [scene.open(0, 7) for _ in range(12)]
    for _ in range(80):
        account = rng.choice(accounts)
        if rng.random() < 0.3 and not scene.lots(account):
            scene.depth(rng.choice((0, 3, 20)))
            scene.trade(account, rng.randint(1, 5), FIRST_MARK)
        for number in scene.open_ids():
            order = scene.mirror.orders[number]
            if order.is_open and order.remaining and rng.random() < 0.7:
                scene.fill(number, rng.randint(1, order.remaining), scene.price(order.limit_ticks))
        scene.at(scene.time_ns + edges(rng, WINDOW)).charge(account, rng.choice((1, 200, CAP, 3 * CAP)))
    assert {each.owner for each in scene.mirror.payments} == {7}
    payments = [*scene.mirror.payments, *scene.mirror.late]
    assert CAP - 100 <= most_in_a_window(payments, WINDOW) <= CAP
    assert sum(each.amount for each in payments) > 2 * CAP


def used_over(uses: list[tuple[int, int]], start: int, end: int) -> int:
    """Return the notional of uses within a span, both ends included."""
    return sum(notional for time_ns, notional in uses if start <= time_ns <= end)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(6))
def test_provider_takes_over_no_more_than_capacity_and_refill_in_any_span(side: int, seed: int) -> None:
    """Defaults at every edge; the provider accepts, refuses, is silent; offers lapse because the
    account recovers.

    An offer that lapsed is capacity again, but what time refilled meanwhile is not given back a
    second time.
    """
    rng, capacity, refill = Random(seed), 20_000, 700
    stages = (Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    scene = Scene(venue(stages, providers=(provider(capacity, refill, edge_ppm=0),)), side)
    scene.bind(0, scene.open(10**8))
    scene.trade(scene.open(10**8), -500, FIRST_MARK)
    taken: list[tuple[int, int]] = []
    for _ in range(70):
        loser = scene.open(rng.choice((1_100, 2_500))) if len(scene.mirror.accounts) < 60 else rng.randrange(2, 60)
        if not scene.lots(loser):
            scene.charge(loser, scene.mirror.equity(loser) - rng.choice((1_100, 2_500))) if scene.mirror.equity(loser) > 3_000 else None
            scene.trade(loser, rng.randint(3, 12), FIRST_MARK)
        scene.charge(loser, max(1, scene.mirror.equity(loser) - rng.randint(1, 200)))
        scene.at(scene.time_ns + rng.choice((0, 1, SECOND, 4 * SECOND, 10 * SECOND, 30 * SECOND)) + SECOND)
        for number in scene.open_ids():
            order, what = scene.mirror.orders[number], rng.random()
            if what < 0.5:
                effects = scene.answer(number, Answer.ACCEPT)
                taken += [(order.offered_ns, order.notional) for _ in of(effects, F.TAKEOVER)]
            elif what < 0.6:
                scene.answer(number, Answer.REFUSE)
            elif what < 0.8:
                scene.cash(order.account, 10_000)
            else:
                scene.clock(6)
    assert len(taken) > 8
    for start, _ in taken:
        for end, _ in taken:
            if start <= end:
                assert used_over(taken, start, end) <= capacity + refill * (end - start) // SECOND
    assert sum(notional for _, notional in taken) > 2 * capacity


@pytest.mark.parametrize("side", SIDES)
def test_lapsed_offer_is_not_given_back_twice(side: int) -> None:
    """Offer A takes all of 10,000; four seconds at 1,000 refill 4,000, which offer B takes; A
    lapses: 6,000 come back, not 10,000.

    Then 6,000 + 0 are free, so that with B's 4,000 no more than the capacity is ever out.
    """
    stages = (Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    scene = Scene(venue(stages, providers=(provider(10_000, 1_000, edge_ppm=0),)), side)
    scene.cash(FUND, 1_000)
    scene.bind(0, scene.open(10**7))
    scene.trade(scene.open(10**7), -100, FIRST_MARK)
    first, second, third = (scene.open(1_100) for _ in range(3))
    for account in (first, second, third):
        scene.trade(account, 10, FIRST_MARK)
    scene.charge(first, 1_150)  # insolvent, so that all ten lots are offered
    (one,) = scene.open_ids()
    assert scene.mirror.orders[one].notional == 10_000
    scene.at(scene.time_ns + 4 * SECOND).charge(second, 1_150)
    two = next(number for number in scene.open_ids() if number != one)
    assert scene.mirror.orders[two].notional == 4_000
    scene.at(scene.time_ns).cash(first, 5_000)
    assert scene.open_ids() == [two]
    scene.at(scene.time_ns).charge(third, 1_150)
    three = next(number for number in scene.open_ids() if number != two)
    assert scene.mirror.orders[three].notional == 6_000
    assert scene.send(EventKind.CLOCK) == []


@pytest.mark.parametrize("side", SIDES)
def test_offers_share_the_largest_position(side: int) -> None:
    """Three default together; a provider with a limit of 12,000 is offered no more than that, over
    all three accounts.
    """
    promise = CommitmentRules(NO_CAP, 0, position_notional_max=12_000)
    rules = ProviderRules(((promise, promise),), leverage_ppm=10 * PPM)
    scene = Scene(venue((Stage.RESTRICT, Stage.TAKEOVER, Stage.ADL, Stage.TEAR_UP), providers=(rules,)), side)
    scene.bind(0, scene.open(1_000_000))
    for account in [scene.open(1_000) for _ in range(3)]:
        scene.trade(account, 10, FIRST_MARK)
    effects = scene.mark(920)
    offers = [abs(row.lots) for row in of(effects, EffectKind.OFFER)]
    unit = scene.price(920)
    assert 0 < sum(offers) == 12_000 // unit
    for number in scene.open_ids():
        scene.answer(number, Answer.ACCEPT)
    assert scene.lots(0) * unit <= 12_000


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("refill", [1, 3, 700])
def test_capacity_refills_however_often_it_is_asked(side: int, refill: int) -> None:
    """Less than an atom comes back between two looks; a hundred seconds of looks give back what a
    hundred seconds should.
    """
    scene = Scene(venue((Stage.RESTRICT, Stage.TAKEOVER, Stage.ADL, Stage.TEAR_UP), providers=(provider(1 << 30, refill),)), side)
    scene.bind(0, scene.open(10_000_000))
    account = scene.open(30_000)
    scene.trade(account, 1_000, FIRST_MARK, other=scene.open(1 << 40))
    scene.mark(995)
    (offer,) = scene.open_ids()
    scene.answer(offer, Answer.ACCEPT)
    assert scene.lots(account) > 0
    state, row = scene.watch.state, int(commitment_row(0, 0, 0 if side > 0 else 1))
    used, position = int(state.commitments[row].used), int(state.accounts[account].first_position)
    begin = int(state.commitments[row].used_ns)
    for tick in range(1, 1_001):
        state.engine[0].now_ns = begin + tick * SECOND // 10
        cap_lots(state, 0, position, 1)
    # What stays behind is time, in whole nanoseconds: at the end less than an atom may lack.
    assert 100 * refill - 1 <= used - int(state.commitments[row].used) <= 100 * refill
