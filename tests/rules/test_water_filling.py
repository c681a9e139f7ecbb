"""ADL policy ``water_filling`` (R6.6.23 to R6.6.25): each lot from whoever then has the highest factor
leverage. Splitting accounts, dividing a wave and trading with oneself change nothing, and nobody's
leverage rises; on the engine, the reference and every invariant together.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from backstop.core.events import FUND, AdlClass, AdlPolicy, EffectKind, Stage
from backstop.core.instruments import PPM
from backstop.core.waterfall.certificate import Levelled, check_levels
from backstop.core.waterfall.water_filling import level_from_top as level_on_engine
from backstop.reference.records import Effect
from backstop.reference.water_filling import Standing, exposure_in, level_from_top, standing_of
from tests.attacks.scene import SIDES, Scene, of, venue

F = EffectKind
STAGES = (Stage.FUND, Stage.ADL, Stage.TEAR_UP)
MARK = 1_000


# -- the allocation alone --------------------------------------------------------------------------


class Crowd(dict[int, tuple[Standing, int]]):
    """Standing and cap of each candidate."""

    @property
    def standings(self) -> dict[int, Standing]:
        """Return the standing of each."""
        return {number: standing for number, (standing, _) in self.items()}

    @property
    def caps(self) -> dict[int, int]:
        """Return the cap of each."""
        return {number: cap for number, (_, cap) in self.items()}


@st.composite
def crowds(draw: st.DrawFn) -> Crowd:
    lot = draw(st.sampled_from((1, 7, 1_000, 10**9)))
    crowd = Crowd()
    for number in range(draw(st.integers(1, 6))):
        lots = draw(st.integers(1, 40))
        exposure = draw(st.sampled_from((lots * lot, 0, -lots * lot)) | st.integers(-50 * lot, 60 * lot))
        equity = draw(st.sampled_from((-5, 0, 1, 10**15)) | st.integers(1, 100 * lot))
        crowd[number] = standing_of(exposure, equity, lots * lot, lot), draw(st.integers(1, lots))
    return crowd


def on_engine(lots: int, crowd: Crowd) -> tuple[dict[int, int], tuple[int, int]]:
    """Return what the kernel gives each, and its level."""
    columns = np.array([(cap, each.exposure, each.equity) for each, cap in crowd.values()], dtype=np.int64).T.copy()
    parts, nexts, heap = np.zeros((3, len(crowd)), dtype=np.int64)
    lot = next(iter(crowd.standings.values())).lot
    caps, exposures, equities = columns
    level = level_on_engine(lots, caps, exposures, equities, lot, parts, nexts, heap, len(crowd))
    return dict(zip(crowd, parts.tolist(), strict=True)), (int(level[0]), int(level[1]))


def one_by_one(lots: int, crowd: Crowd) -> tuple[dict[int, int], Fraction | None]:
    """Give the lots one by one, as the rule has it."""
    given, level = dict.fromkeys(crowd, 0), None
    for _ in range(min(lots, sum(crowd.caps.values()))):
        able = [number for number, cap in crowd.caps.items() if given[number] < cap]
        best = max(able, key=lambda number: (crowd.standings[number].level(given[number] + 1), -number))
        given[best] += 1
        level = crowd.standings[best].level(given[best])
    return given, level


@settings(max_examples=300, deadline=None)
@given(crowds(), st.integers(1, 250))
def test_lots_go_one_by_one_from_the_highest_leverage(crowd: Crowd, lots: int) -> None:
    wanted, level = one_by_one(lots, crowd)
    assert level_from_top(lots, crowd.standings, crowd.caps) == on_engine(lots, crowd)
    found, eta = on_engine(lots, crowd)
    assert found == wanted
    assert eta == (0, 0) if found == crowd.caps else Fraction(*eta) == level
    shares = [Levelled(number, cap, each.exposure, each.equity, found[number]) for number, (each, cap) in crowd.items()]
    assert list(check_levels("all", shares, crowd.standings[0].lot, 0, eta)) == []
    for less, more in permutations(crowd, 2):
        lie = [share._replace(part=share.part + (share.holder == more) - (share.holder == less)) for share in shares]
        if all(0 <= share.part <= share.cap for share in lie):
            assert list(check_levels("all", lie, crowd.standings[0].lot, 0, eta)), (lie, eta)


@settings(max_examples=300, deadline=None)
@given(crowds(), st.integers(1, 120), st.integers(1, 120))
def test_two_waves_are_one_of_the_sum(crowd: Crowd, first: int, second: int) -> None:
    """To the lot, whatever the rounding of the first: what it left is where the second begins."""
    given_first, _ = on_engine(first, crowd)
    after = Crowd()
    for number, (each, cap) in crowd.items():
        if cap > given_first[number]:
            after[number] = each._replace(exposure=each.exposure - given_first[number] * each.lot), cap - given_first[number]
    given_second = on_engine(second, after)[0] if after else {}
    both, _ = on_engine(first + second, crowd)
    assert {number: given_first[number] + given_second.get(number, 0) for number in crowd} == both


@settings(max_examples=300, deadline=None)
@given(crowds(), st.integers(1, 250))
def test_nobody_is_further_from_the_level_than_half_a_lot(crowd: Crowd, lots: int) -> None:
    """Who gave stands at most half a lot below the level, who kept lots at most half a lot above: so the
    parts are those of a level water, rounded to the nearest lot.
    """
    found, eta = on_engine(lots, crowd)
    if found == crowd.caps:
        return
    for number, (each, cap) in crowd.items():
        left = (each.exposure - found[number] * each.lot) - Fraction(*eta) * each.equity
        assert found[number] == 0 or left >= -Fraction(each.lot, 2)
        assert found[number] == cap or left <= Fraction(each.lot, 2)


def test_a_large_wave_costs_no_more_than_a_small_one() -> None:
    """A thousand million lots are placed by bisection, not one by one."""
    crowd = Crowd({number: (standing_of(10**15 + number, 10**14 + 7 * number, 10**15, 10**3), 10**12) for number in range(50)})
    found, eta = on_engine(10**13 + 11, crowd)
    assert sum(found.values()) == 10**13 + 11
    shares = [Levelled(number, cap, each.exposure, each.equity, found[number]) for number, (each, cap) in crowd.items()]
    assert list(check_levels("all", shares, 10**3, 0, eta)) == []


@pytest.mark.parametrize(
    ("whole", "loading", "side", "exposure"),
    [(5_000_000, PPM, 1, 5), (5_000_000, PPM, -1, -5), (5_000_001, -PPM, 1, -6), (7, 2, 1, 3), (7, 2, -1, -4), (1 << 90, 1, 1, 1 << 60)],
)
def test_exposure_is_notional_of_the_market_at_hand(whole: int, loading: int, side: int, exposure: int) -> None:
    assert exposure_in(whole, loading, side) == exposure


# -- owners ----------------------------------------------------------------------------------------


class World:
    """Two markets; owners who are asked, and then an account in default that closes lots of the first."""

    def __init__(self, side: int = 1, loadings: tuple[int, int] = (PPM, PPM)) -> None:
        """Open nobody yet."""
        rules = venue(STAGES, markets=2)._replace(adl_policy=AdlPolicy.WATER_FILLING)
        markets = tuple(each._replace(factor_loading_ppm=loading) for each, loading in zip(rules.markets, loadings, strict=True))
        self.scene, self.loadings = Scene(rules._replace(markets=markets), side), loadings
        self.scene.cash(FUND, 1_000_000)
        self.owner_of: dict[int, int] = {}

    def open(self, owner: int, equity: int, lots: int, others: int = 0) -> int:
        """Open an account with lots of both markets at mark; short where above 0."""
        account = self.scene.open(equity, owner)
        self.owner_of[account] = owner
        for market, each in enumerate((lots, others)):
            if each:
                self.scene.trade(account, -each, MARK, market=market)
        return account

    def close(self, lots: int) -> list[Effect]:
        """Let an account leave with so many lots, its gap paid by the fund."""
        account = self.scene.open(1_000 * lots)
        self.scene.trade(account, lots, MARK)
        return self.scene.charge(account, 1_000 * lots + 1)

    def leverage(self, owner: int) -> Fraction:
        """Return an owner's factor leverage in the first market."""
        mirror, accounts = self.scene.mirror, [account for account, each in self.owner_of.items() if each == owner]
        whole = sum(
            loading * -self.scene.lots(account, market) * MARK for account in accounts for market, loading in enumerate(self.loadings)
        )
        return Fraction(whole, self.loadings[0]) / sum(mirror.equity(account) for account in accounts)

    def given(self, effects: list[Effect]) -> dict[int, int]:
        """Return the lots that each owner gives."""
        found: Counter[int] = Counter()
        for row in of(effects, F.ADL_FILL):
            if row.account >= 0:
                found[self.owner_of[row.account]] += abs(row.lots)
        return dict(found)


#: Equity, lots of the first market, of the second, of one owner.
OWNER = st.tuples(st.integers(10_000, 60_000), st.integers(1, 40), st.integers(-12, 12))
LOADINGS = st.sampled_from(((PPM, PPM), (940_849, PPM), (-300_000, PPM), (PPM, 7)))


@settings(max_examples=20, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(OWNER, min_size=2, max_size=4), LOADINGS, st.sampled_from(SIDES), st.integers(1, 30), st.data())
def test_owners_are_levelled_however_they_stand(
    owners: list[tuple[int, int, int]], loadings: tuple[int, int], side: int, lots: int, data: st.DataObject
) -> None:
    """Each owner once with one account; once with two, of any parts; once after opposite trades between
    them; once in two waves. Nobody's factor leverage rises.
    """
    whole, split, washed, divided = (World(side, loadings) for _ in range(4))
    for owner, (equity, held, others) in enumerate(owners):
        whole.open(owner + 20, equity, held, others)
        divided.open(owner + 20, equity, held, others)
        part, more = data.draw(st.integers(0, held)), data.draw(st.integers(1, 6))
        for world, one in ((split, part), (washed, part + more)):
            money = 100 * abs(held - one)
            world.open(owner + 20, equity - money, one, others)
            world.open(owner + 20, money, held - one)
    before = {owner: whole.leverage(owner) for owner in set(whole.owner_of.values())}
    effects = whole.close(lots)
    wanted = whole.given(effects)
    assert all(whole.leverage(owner) <= each for owner, each in before.items())
    assert split.given(split.close(lots)) == wanted
    first = data.draw(st.integers(0, lots))
    both = Counter[int]()
    for part in (first, lots - first):
        if part:
            both.update(divided.given(divided.close(part)))
    assert dict(both) == wanted
    hedged = any(row.code == AdlClass.HEDGE for row in of(effects, F.ADL_CLASS))
    if not hedged and sum(wanted.values()) == lots:
        assert washed.given(washed.close(lots)) == wanted


@pytest.mark.parametrize("side", SIDES)
def test_profit_and_size_decide_nothing(side: int) -> None:
    """The largest winner has the lowest leverage, and gives nothing; who lost stands in the same class."""
    world = World(side)
    world.open(20, 100_000, 40)
    world.scene.mark(900)
    world.scene.cash(0, -30_000)
    account = world.scene.open(10_000, 21)
    world.owner_of[account] = 21
    world.scene.trade(account, -20, 890)
    effects = world.close(5)
    assert world.given(effects) == {21: 5}
    (head,) = of(effects, F.ADL_CLASS)
    assert (head.code, head.other) == (AdlClass.REST, 2)


@pytest.mark.parametrize("side", SIDES)
def test_a_hedge_in_another_market_counts(side: int) -> None:
    """Both are short 20 with 10,000; the first is long 15 of the other market, and gives nothing until the
    second is as low: 2 against 0.5 of the loadings' ratio.
    """
    world = World(side)
    world.open(20, 10_000, 20, -15)
    world.open(21, 10_000, 20)
    assert world.given(world.close(14)) == {21: 14}
    assert world.given(world.close(4)) == {20: 2, 21: 2}


@pytest.mark.parametrize("side", SIDES)
def test_what_is_told(side: int) -> None:
    """ADL_OWNER tells exposure and equity of everyone who gives, ADL_FILL the leverage, ADL_CLASS the level
    of the last lot.
    """
    world = World(side)
    world.open(20, 10_000, 20)
    world.open(21, 20_000, 20)
    effects = world.close(3)
    assert [(row.account, row.lots * side, row.price_ticks, row.amount, row.value) for row in of(effects, F.ADL_OWNER)] == [
        (0, 3, 20, 10_000, 20_000)
    ]
    assert [(row.account, row.value) for row in of(effects, F.ADL_FILL)] == [(0, 2 * PPM)]
    # The third lot of 1,000: 2.5 given of 20.
    assert [(row.amount, row.value) for row in of(effects, F.ADL_CLASS)] == [(2 * 17_500, 2 * 10_000)]
