"""Initial margin by tier, by owner and by open interest. Worked cases, on engine and reference
together, with every invariant.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from backstop.core.events import EffectKind, InitialMargin, Reject
from backstop.core.instruments import TierRules, check_rules
from backstop.core.margin import assess, initial_margin
from tests.attacks.scene import FIRST_MARK, SIDES, Scene, of, venue
from tests.vectors.tables.dydx_margin import INITIAL_RATES, INITIAL_REQUIREMENTS

#: Of XRP, in USDT: 100,000 at 10 % until 550,000, then 20 %.
XRP = (TierRules(0, 100_000, 50_000), TierRules(550_000, 200_000, 100_000))


def scene_of(side: int, form: InitialMargin = InitialMargin.MARGINAL, interest: tuple[int, int] = (0, 0)) -> Scene:
    """Return a scene of the tiers of XRP; a lot is worth 1,000."""
    rules = venue()
    lower, upper = interest
    market = rules.markets[0]._replace(tiers=XRP, initial_margin=form, interest_lower=lower, interest_upper=upper)
    return Scene(rules._replace(markets=(market,)), side)


def initial(scene: Scene, account: int) -> int:
    """Return the initial margin of an account, which engine and reference agree on."""
    right = scene.mirror.portfolio(account).initial
    assert int(initial_margin(scene.watch.state, account)) == right
    return right


def test_the_rate_of_the_tier_is_for_the_whole_notional() -> None:
    """775,000 in the tier of 20 %: 155,000, where each bracket at its own rate gives 100,000."""
    for form, right in ((InitialMargin.MARGINAL, 100_000), (InitialMargin.TIER, 155_000), (InitialMargin.OWNER, 155_000)):
        scene = scene_of(1, form)
        account = scene.open(400_000)
        scene.trade(account, 775, FIRST_MARK)
        assert initial(scene, account) == right
        assert assess(scene.watch.state, account)[1] == 50_000  # maintenance is what it was
        (refused,) = scene.cash(account, -(400_000 - right) - 1)
        assert (refused.kind, refused.code) == (EffectKind.REFUSAL, Reject.INSUFFICIENT_MARGIN)
        assert of(scene.cash(account, -(400_000 - right)), EffectKind.POSTING)


@pytest.mark.parametrize("side", SIDES)
def test_an_owner_who_splits_has_the_rate_of_the_sum(side: int) -> None:
    """300 lots in each of two accounts: 10 % of each alone, 20 % by owner; one leg of a hedge counts
    as much. What one closes, the other need not carry.
    """
    for form, split, hedged, alone in ((InitialMargin.TIER, 30_000, 30_000, 30_000), (InitialMargin.OWNER, 60_000, 60_000, 30_000)):
        scene = scene_of(side, form)
        first = scene.open(100_000)
        second = scene.open(100_000, owner=first)
        stranger = scene.open(100_000)
        scene.trade(first, 300, FIRST_MARK)
        scene.trade(second, 300, FIRST_MARK)
        scene.trade(stranger, 300, FIRST_MARK)
        assert [initial(scene, account) for account in (first, second, stranger)] == [split, split, 30_000]
        scene.trade(second, -600, FIRST_MARK)
        assert (initial(scene, first), initial(scene, second)) == (hedged, hedged)
        scene.trade(second, 300, FIRST_MARK)
        assert (initial(scene, first), initial(scene, second)) == (alone, 0)


@pytest.mark.parametrize("side", SIDES)
def test_open_interest_raises_it_to_the_whole_notional(side: int) -> None:
    """10 % up to 200 lots open, all of it from 600; the lots of all accounts count, OUTSIDE's
    too.
    """
    scene = scene_of(side, interest=(200_000, 600_000))
    account, other = scene.open(1_000_000), scene.open(1_000_000)
    seen = list[int]()
    for lots in (100, 100, 100, 100, 100, 100, 100):
        scene.trade(account if not seen else other, lots, FIRST_MARK)
        assert int(scene.watch.state.markets[0].open_lots) == lots * (len(seen) + 1)
        seen.append(initial(scene, account))
    # 100 lots are worth 100,000: a quarter of what is beyond the margin for each 100,000 more.
    assert seen == [10_000, 10_000, 32_500, 55_000, 77_500, 100_000, 100_000]
    assert assess(scene.watch.state, account)[1] == 5_000


def dydx(lots: int, tier: TierRules, lower: int, upper: int, interest: int) -> int:
    """Return the initial margin of lots of one atom, scaled as dYdX does it."""
    rules = venue()
    market = rules.markets[0]._replace(tiers=(tier,), interest_lower=lower, interest_upper=upper, position_lots_max=1 << 40)
    scene = Scene(rules._replace(markets=(market,)), 1)
    scene.mark(1)
    account = scene.open(1 << 41)
    scene.trade(account, lots, 1)
    scene.watch.state.markets[0].open_lots = interest
    return int(initial_margin(scene.watch.state, account))


def test_the_vectors_of_dydx_are_met_to_the_atom_or_one_above() -> None:
    """Its own cases; where it cuts the scaled rate, ours may be one atom above."""
    for case in INITIAL_REQUIREMENTS:
        lower, upper = (case.lower_cap, case.upper_cap) if case.upper_cap else (0, 0)
        assert dydx(case.notional, TierRules(0, case.initial_ppm, 0), lower, upper, case.open_notional) == case.initial
    above = 0
    for rate in INITIAL_RATES:
        lower, upper = (rate.lower_cap, rate.upper_cap) if rate.upper_cap else (0, 0)
        above += dydx(1_000_000, TierRules(0, rate.initial_ppm, 0), lower, upper, rate.open_notional) - rate.rate_ppm
    assert above == 1


@pytest.mark.parametrize("form", InitialMargin)
def test_it_never_falls_as_a_position_grows(form: InitialMargin) -> None:
    """Over every tier's floor, at every share of the scaling."""
    for lots_open in (0, 250, 431, 10_000):
        scene = scene_of(1, form, (200_000, 600_001))
        contract = scene.mirror.contract(0)._replace(interest=lots_open * 1_000)
        others = 7 if form == InitialMargin.OWNER else 0
        found = [contract.initial_of(lots, others) for lots in range(1_200)]
        assert all(low <= high for low, high in pairwise(found))


def test_rules_that_do_not_fit_are_refused() -> None:
    """A lower value without an upper one, an unknown form."""

    rules = venue()
    market = rules.markets[0]
    for wrong, word in ((market._replace(interest_lower=5), "interest_lower"), (market._replace(initial_margin=9), "initial_margin")):
        with pytest.raises(ValueError, match=word):
            check_rules(rules._replace(markets=(wrong,)))
