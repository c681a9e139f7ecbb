"""ADL asks nobody below the minimum (R6.6.18 to R6.6.22), on the engine, the reference and every invariant
together: who is asked gives the least or all he can, and on average everyone gives his share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from backstop.core.events import AdlPolicy, EffectKind, EventKind, Stage, fund_of
from backstop.core.instruments import AdlRules, AssetRules
from backstop.reference.allocation import DRAW, Line, capped_pro_rata
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SIDES, Scene, of, venue

F = EffectKind
FUND = fund_of(0)
STAGES = (Stage.FUND, Stage.ADL, Stage.TEAR_UP)
MARK = 890
POLICIES = (AdlPolicy.CAPPED_PRO_RATA, AdlPolicy.PRO_RATA, AdlPolicy.RISK_AWARE)


def worth(lots: int, side: int) -> int:
    """Notional of lots at the mark of the wave, an atom a tick a lot."""
    return lots * (FIRST_MARK + side * (MARK - FIRST_MARK))


def wave(
    lots: int, holders: Sequence[int], side: int, least: int = 0, most: int = 0, *, policy: AdlPolicy = AdlPolicy.PRO_RATA, quiet: int = 0
) -> tuple[Counter[int], list[Effect]]:
    """Ann is long ``lots`` and lacks money that a fund has; others hold so many shorts each. Return
    what each of these gives, by number, and the effects. ``quiet`` events before change only the draw.
    """
    scene = Scene(venue(STAGES)._replace(adl_policy=policy, adl=AdlRules(most), assets=(AssetRules(parts_min_notional=least),)), side)
    scene.send(EventKind.TRANSFER, account=FUND, amount=10**9)
    ann = scene.open(lots * 100)
    scene.trade(ann, lots, 1_000)
    accounts = [scene.open(10**6) for _ in holders]
    for account, held in zip(accounts, holders, strict=True):
        scene.trade(account, -held, 1_000)
    for _ in range(quiet):
        scene.clock()
    effects = scene.mark(MARK)
    assert scene.lots(ann) == 0
    assert not of(effects, F.TEAR_UP)
    gives: Counter[int] = Counter()
    for row in of(effects, F.ADL_FILL):
        if row.account >= 0:
            gives[accounts.index(row.account)] += abs(row.lots)
    assert gives.total() == lots
    return gives, effects


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_gives_less_than_the_least(side: int, policy: AdlPolicy) -> None:
    """Twenty hold 20 short each, of which 40 are wanted: 2 of each. Below 10 lots nobody is asked: four
    give 10. The least is a notional, rounded up to lots.
    """
    for notional in (worth(9, side) + 1, worth(10, side)):
        gives, effects = wave(40, [20] * 20, side, notional, policy=policy)
        assert list(gives.values()) == [10] * 4
        (line,) = of(effects, F.ADL_LINE)
        assert (line.other, line.lots, line.price_ticks) == (20, 40, 10)
    gives, effects = wave(40, [20] * 20, side, policy=policy)
    assert list(gives.values()) == [2] * 20
    assert not of(effects, F.ADL_LINE, F.ADL_PICK)


@pytest.mark.parametrize("side", SIDES)
def test_whole_positions_may_be_smaller(side: int) -> None:
    """All hold 3, below the least of 10: ten of twenty give all they have. Nobody is torn up for that
    all are small.
    """
    gives, _ = wave(30, [3] * 20, side, worth(10, side))
    assert list(gives.values()) == [3] * 10


@pytest.mark.parametrize("side", SIDES)
def test_only_the_last_gives_less(side: int) -> None:
    """The least does not divide 45 lots: four give 10, one gives 5."""
    for quiet in range(6):
        gives, _ = wave(45, [20] * 20, side, worth(10, side), quiet=quiet)
        assert sorted(gives.values()) == [5, 10, 10, 10, 10]


@pytest.mark.parametrize("side", SIDES)
def test_a_plan_asks_so_many_owners(side: int) -> None:
    """Forty lots of at most three: 14, 14 and 12. The number gives way where all have only 2."""
    gives, _ = wave(40, [20] * 20, side, 0, 3)
    assert sorted(gives.values()) == [12, 14, 14]
    gives, _ = wave(20, [2] * 20, side, 0, 3)
    assert list(gives.values()) == [2] * 10


@pytest.mark.parametrize("side", SIDES)
def test_large_parts_stay_as_they_are(side: int) -> None:
    """Of 100 lots one who holds 200 of 400 gives 50, whoever is drawn among the others of 5 each."""
    for quiet in range(4):
        gives, effects = wave(100, [200, *[10] * 20], side, worth(10, side), quiet=quiet)
        assert gives[0] == 50
        assert sorted(gives.values()) == [10] * 5 + [50]
        assert of(effects, F.ADL_LINE)[0].lots == 50


@pytest.mark.parametrize("side", SIDES)
def test_a_plan_smaller_than_the_least(side: int) -> None:
    """Two lots are wanted, the least is 10: one gives both, drawn from the two whose shares are rounded
    up to a lot.
    """
    found = set()
    for quiet in range(8):
        gives, _ = wave(2, [20] * 6, side, worth(10, side), quiet=quiet)
        assert list(gives.values()) == [2]
        found |= set(gives)
    assert found == {0, 1}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("policy", [AdlPolicy.QUEUE, AdlPolicy.RANDOM])
def test_an_order_stays_an_order(side: int, policy: AdlPolicy) -> None:
    """Whole caps in an order, the last the rest: the least changes nothing."""
    before, _ = wave(45, [20] * 20, side, policy=policy)
    after, effects = wave(45, [20] * 20, side, worth(10, side), 2, policy=policy)
    assert after == before
    assert sorted(after.values()) == [5, 20, 20]
    assert not of(effects, F.ADL_LINE)


@pytest.mark.parametrize("side", SIDES)
def test_accounts_of_one_owner_are_one(side: int) -> None:
    """His 20 lots in ten accounts: he is drawn as one, and gives 10 of several accounts, below the least
    each.
    """
    scene = Scene(venue(STAGES)._replace(adl_policy=AdlPolicy.PRO_RATA, assets=(AssetRules(parts_min_notional=worth(10, side)),)), side)
    scene.send(EventKind.TRANSFER, account=FUND, amount=10**9)
    ann = scene.open(2_000)
    scene.trade(ann, 20, 1_000)
    owners = [50 + number // 10 for number in range(30)]
    for owner in owners:
        scene.trade(scene.open(10**6, owner), -2, 1_000)
    effects = scene.mark(MARK)
    assert [abs(row.lots) for row in of(effects, F.ADL_OWNER)] == [10, 10]
    assert len(of(effects, F.ADL_FILL)) == 10


# -- on average ------------------------------------------------------------------------------------


def means(caps: dict[int, int], lots: int, least: int, draws: int = 4_000) -> tuple[dict[int, int], dict[int, float]]:
    """Return each one's share of lots by cap, and what he gives on average over first points that lie
    even.
    """
    parts, _ = capped_pro_rata(lots, caps, caps)
    line = Line.of(parts, caps, least)
    sums = dict.fromkeys(parts, 0)
    last = min(DRAW, line.length)
    for number in range(draws):
        given = parts | line.given(number * last // draws)
        assert sum(given.values()) == lots
        for holder, part in given.items():
            assert part <= caps[holder]
            sums[holder] += part
    return parts, {holder: total / draws for holder, total in sums.items()}


#: Xenia's accounts among those of others: caps of both, in order of id.
SPLITS = {
    "whole": [1_000, *[60] * 20],
    "into fifties, side by side": [*[50] * 20, *[60] * 20],
    "into fifties, between others": [50, 60] * 20,
    "into tens, between others": [10, 99] * 20,
    "into single lots, between large ones": [4, 200] * 20,
    "just below the least": [99, 130] * 20,
}


@pytest.mark.parametrize("way", SPLITS)
@pytest.mark.parametrize("share_ppm", [100_000, 300_000, 700_000])
def test_strangers_together_give_their_share(way: str, share_ppm: int) -> None:
    """However an owner splits his lots over strangers, what they give together is on average their share
    of what is wanted, to a lot and a half of rounding.
    """
    caps = dict(enumerate(SPLITS[way]))
    lots = sum(caps.values()) * share_ppm // 1_000_000
    parts, gives = means(caps, lots, 100)
    hers = [0] if way == "whole" else [holder for holder in caps if caps[holder] == SPLITS[way][0]]
    assert abs(sum(gives[holder] - parts[holder] for holder in hers)) < 1.5


def test_nobody_is_far_from_his_share() -> None:
    """Whatever they hold, the draw of the last one moves nobody's mean by more than a quarter of the
    least.
    """
    for seed in range(5):
        rng = Random(seed)
        caps = {holder: rng.choice((3, 20, 99, 150, rng.randint(1, 400))) for holder in range(50)}
        parts, gives = means(caps, sum(caps.values()) // rng.choice((2, 5, 9)), 100, 1_000)
        assert max(abs(gives[holder] - parts[holder]) for holder in caps) < 25


def test_a_thousand_of_fifty() -> None:
    """A thousand hold less than the least: as many as are needed give all they have."""
    caps = dict.fromkeys(range(1_000), 50)
    parts, _ = capped_pro_rata(5_000, caps, caps)
    given = Line.of(parts, caps, 100).given(12_345)
    assert Counter(given.values()) == {50: 100, 0: 900}
