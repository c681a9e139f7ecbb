"""The leg that is left naked (R6.6.26 to R6.6.29): whoever holds more risk by what others' defaults took
of him is told which leg, on the engine, the reference and every invariant together.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.core.events import EffectKind, Stage
from backstop.core.instruments import PPM, LimitRules, VenueRules
from backstop.reference.naked_legs import Leg, naked_leg
from backstop.reference.records import Effect
from tests.attacks.scene import SIDES, Scene, of, venue

F = EffectKind
ADL = (Stage.RESTRICT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
RICH = 1_000_000


def rules(*loadings_ppm: int, stages: tuple[int, ...] = ADL, effects_max: int = 1 << 13) -> VenueRules:
    """Return a venue with a market of each loading; without a book nobody leaves by it."""
    plain = venue(stages, markets=len(loadings_ppm))
    markets = tuple(market._replace(factor_loading_ppm=loading) for market, loading in zip(plain.markets, loadings_ppm, strict=True))
    return plain._replace(markets=markets, limits=LimitRules(64, 256, 256, effects_max))


def told(effects: list[Effect]) -> list[tuple[int, int, int, int, int, int, int]]:
    """Owner, account, market of the hedge, market left naked, lots there, exposure before, after."""
    return [(row.price_ticks, row.account, row.market, row.other, row.lots, row.amount, row.value) for row in of(effects, F.NAKED_LEG)]


def default(scene: Scene, *takers: tuple[int, int], market: int = 1, price: int = 790) -> list[Effect]:
    """Let an account lose all that it has with a long position that some accounts are short."""
    lots = sum(each for _, each in takers)
    loser = scene.open(200 * lots)
    for account, each in takers:
        scene.trade(loser, each, 1_000, account, market)
    return scene.mark(price, market)


@pytest.mark.parametrize("side", SIDES)
def test_a_hedged_basket_loses_its_hedge(side: int) -> None:
    """Long 10 at 1,000 and short 10 at 790, or the mirror image at 1,210: ADL takes the short."""
    scene = Scene(rules(PPM, PPM), side)
    owner = scene.open(RICH)
    scene.trade(owner, 10, 1_000)
    effects = default(scene, (owner, 10))
    before, after = {1: (2_100, 10_000), -1: (2_100, -10_000)}[side]
    assert told(effects) == [(owner, owner, 1, 0, side * 10, before, after)]
    assert [row.lots for row in of(effects, F.ADL_FILL)] == [side * 10]


@pytest.mark.parametrize("side", SIDES)
def test_a_winner_whose_only_leg_is_taken_is_told_nothing(side: int) -> None:
    scene = Scene(rules(PPM, PPM), side)
    owner = scene.open(RICH)
    assert told(default(scene, (owner, 10))) == []


def test_an_exposure_of_the_same_size_is_not_larger() -> None:
    """Long 8 at 1,000 against short 20 at 800: 8,000 short before, 8,000 long after. A lot more, and it is."""
    scene = Scene(rules(PPM, PPM), 1)
    equal, more = scene.open(RICH), scene.open(RICH)
    scene.trade(equal, 8, 1_000)
    scene.trade(more, 9, 1_000)
    effects = default(scene, (equal, 20), (more, 20), price=800)
    assert sorted(row.lots for row in of(effects, F.ADL_FILL)) == [20, 20]
    assert told(effects) == [(more, more, 1, 0, 9, -7_000, 9_000)]


def test_a_part_of_a_hedge_counts() -> None:
    """The other short is a stranger's: of 12 the owner gives 6, and keeps 4."""
    scene = Scene(rules(PPM, PPM), 1)
    owner, stranger = scene.open(RICH), scene.open(RICH)
    scene.trade(owner, 10, 1_000)
    loser = scene.open(2_400)
    scene.trade(loser, 10, 1_000, owner, 1)
    scene.trade(loser, 2, 1_000, stranger, 1)
    effects = scene.mark(790, 1)
    given = {row.account: row.lots for row in of(effects, F.ADL_FILL)}
    assert given == {owner: 10, stranger: 2}
    assert told(effects) == [(owner, owner, 1, 0, 10, 2_100, 10_000)]


def test_loadings_say_what_hedges_what() -> None:
    """Loadings 1 and -0.5: two longs hedge each other. 5 x 1,000 less half of 10 x 1,210 before; the long
    of the second market is taken. A market of loading 0.000001 hedges nothing.
    """
    scene = Scene(rules(PPM, -PPM // 2, 1), -1)
    owner = scene.open(RICH)
    scene.trade(owner, -5, 1_000)
    scene.trade(owner, 1, 1_000, market=2)
    effects = default(scene, (owner, 10))
    # The small leg: 1 x 1,000 x 0.000001, which no atom shows.
    assert told(effects) == [(owner, owner, 1, 0, 5, -1_050, 4_999)]


def test_legs_in_other_accounts_count_and_the_account_that_gave_is_named() -> None:
    """His first account holds the long, his second and third the shorts; ADL takes those of both."""
    scene = Scene(rules(PPM, PPM), 1)
    first = scene.open(RICH)
    second, third = scene.open(RICH, first), scene.open(RICH, first)
    scene.trade(first, 10, 1_000)
    effects = default(scene, (third, 4), (second, 6))
    assert told(effects) == [(first, second, 1, 0, 10, 2_100, 10_000)]


def test_lots_of_accounts_in_default_do_not_count() -> None:
    """The owner's long is in another account of his, which is sound, then in default with its order out:
    what is not in default has nothing left, so that nothing of it is naked.
    """
    for deposit, wanted in ((RICH, 1), (1_000, 0)):
        scene = Scene(rules(PPM, PPM, stages=(Stage.RESTRICT, Stage.CLOSEOUT, *ADL[1:])), 1)
        owner = scene.open(RICH)
        other = scene.open(deposit, owner)
        scene.trade(other, 10, 1_000)
        scene.depth(100)
        scene.mark(945)
        assert scene.mirror.accounts[other].in_default == (not wanted)
        effects = default(scene, (owner, 10))
        assert [row.account for row in of(effects, F.ADL_FILL)] == [owner]
        assert scene.mirror.accounts[other].in_default == (not wanted)
        # 10 x 945 less 10 x 790 before.
        assert told(effects) == [(owner, owner, 1, 0, 10, 1_550, 9_450)] * wanted


def test_both_legs_taken_in_one_event_leave_nothing_naked() -> None:
    """One account in default is long of one market and short of another, against a hedged owner: two plans
    take both legs, and the sum counts.
    """
    scene = Scene(rules(PPM, PPM, PPM), 1)
    owner = scene.open(RICH)
    loser = scene.open(4_000)
    scene.trade(loser, 10, 1_000, owner, 1)
    scene.trade(loser, -10, 1_000, owner, 0)
    scene.trade(owner, 1, 1_000, market=2)
    effects = scene.mark(590, 1)
    assert [(row.market, row.lots) for row in of(effects, F.ADL_FILL)] == [(0, -10), (1, 10)]
    assert told(effects) == []


def test_the_hedge_of_two_that_were_taken_is_the_larger() -> None:
    """Short of two markets, both taken in one event: the larger is named, and the larger of two longs."""
    scene = Scene(rules(PPM, PPM, PPM, PPM), 1)
    owner = scene.open(RICH)
    scene.trade(owner, 12, 1_000)
    scene.trade(owner, 13, 1_000, market=1)
    loser = scene.open(3_000)
    scene.trade(loser, 8, 1_000, owner, 2)
    scene.trade(loser, 10, 1_000, owner, 3)
    effects = scene.mark(680, 3)
    assert [(row.market, row.lots) for row in of(effects, F.ADL_FILL)] == [(2, 8), (3, 10)]
    # 25 x 1,000 less 8 x 1,000 and 10 x 680; of the shorts that of market 2 is larger at mark.
    assert told(effects) == [(owner, owner, 2, 1, 13, 10_200, 25_000)]


@pytest.mark.parametrize("side", SIDES)
def test_tear_up_leaves_naked_legs_too(side: int) -> None:
    scene = Scene(rules(PPM, PPM, stages=(Stage.RESTRICT, Stage.TEAR_UP)), side)
    owner = scene.open(RICH)
    scene.trade(owner, 10, 1_000)
    effects = default(scene, (owner, 10))
    assert of(effects, F.ADL_FILL) == []
    assert [row[:4] for row in told(effects)] == [(owner, owner, 1, 0)]


def test_the_room_of_an_event_is_kept() -> None:
    """Two owners are left with naked legs. Where the event has no room for the second notice, it is not
    told; nothing else changes.
    """
    found = []
    for effects_max in (1 << 13, 20, 19, 18):
        scene = Scene(rules(PPM, PPM, effects_max=effects_max), 1)
        takers = [scene.open(RICH) for _ in range(2)]
        for each in takers:
            scene.trade(each, 10, 1_000)
        found.append(default(scene, *((each, 10) for each in takers)))
    whole = found[0]
    assert [row.account for row in of(whole, F.NAKED_LEG)] == takers
    at = next(place for place, row in enumerate(whole) if row.kind == F.NAKED_LEG)
    assert at == 14
    for effects, effects_max in zip(found[1:], (20, 19, 18), strict=True):
        # As many as begin with at most three quarters of the effects behind them.
        most = 3 * effects_max // 4
        assert effects == [row for place, row in enumerate(whole) if row.kind != F.NAKED_LEG or place <= most]
        assert len(of(effects, F.NAKED_LEG)) == max(0, min(2, most - at + 1))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.integers(0, 5), st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from((-7, 1, 10**6, 2 * 10**6)))))
def test_a_notice_names_a_leg_and_its_hedge(held: dict[int, tuple[int, int, int]]) -> None:
    """Whatever the legs: exposure rose, the leg is of its side, and the hedge that was taken of the other."""
    legs = {market: Leg(*each) for market, each in held.items()}
    found = naked_leg(legs)
    after = int(sum((Fraction(leg.lots * leg.weight, PPM) for leg in legs.values()), Fraction(0)))
    before = int(sum((Fraction((leg.lots + leg.taken) * leg.weight, PPM) for leg in legs.values()), Fraction(0)))
    assert (found is not None) == (abs(after) > abs(before))
    if found is None:
        return
    assert (found.before, found.after) == (before, after)
    naked, hedge = legs[found.naked], legs[found.hedge]
    assert naked.lots * naked.weight * after > 0 > hedge.taken * hedge.weight * after
    for leg in legs.values():
        assert leg.lots * leg.weight * after <= naked.lots * naked.weight * after
        assert leg.taken * leg.weight * after >= hedge.taken * hedge.weight * after
