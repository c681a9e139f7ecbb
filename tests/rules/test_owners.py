"""ADL asks owners, not accounts (R6.6.12): how an owner spreads his accounts, trades with himself or
hedges changes nothing of what he gives; on the engine, the reference and every invariant together.
"""

from __future__ import annotations

from collections import Counter

import pytest

from backstop.core.events import AdlClass, AdlPolicy, EffectKind, Stage
from backstop.reference.records import Effect
from backstop.reference.wave import scramble
from tests.attacks.scene import SIDES, Scene, of, venue

F = EffectKind
STAGES = (Stage.FUND, Stage.ADL, Stage.TEAR_UP)
XENIA, YURI = 20, 21
#: Xenia's accounts: deposit and lots, short 20 net with 100,000 in each way.
WAYS = {
    "one account": [(100_000, -20)],
    "two accounts": [(50_000, -12), (50_000, -8)],
    "money elsewhere": [(10_000, -20), (90_000, 0)],
    "unequal accounts": [(5_000, -15), (1_000, -1), (94_000, -4)],
    "a hedge": [(60_000, -25), (40_000, 5)],
    "hedges on both sides": [(40_000, -17), (30_000, 7), (30_000, -10)],
}


def given(effects: list[Effect], scene: Scene) -> dict[int, Counter[AdlClass]]:
    """Lots that each owner gives, by class."""
    found: dict[int, Counter[AdlClass]] = {}
    for row in of(effects, F.ADL_FILL):
        found.setdefault(scene.mirror.owner_of(row.account), Counter())[AdlClass(row.code)] += abs(row.lots)
    return found


def fills(effects: list[Effect]) -> list[tuple[int, AdlClass, int, int]]:
    """Account, class, lots and cap of each fill."""
    return [(row.account, AdlClass(row.code), abs(row.lots), row.price_ticks) for row in of(effects, F.ADL_FILL)]


def owners(effects: list[Effect]) -> list[tuple[int, AdlClass, int, int, int]]:
    """Account, class, lots, cap and fills of each ADL_OWNER."""
    return [(row.account, AdlClass(row.code), abs(row.lots), row.price_ticks, row.other) for row in of(effects, F.ADL_OWNER)]


def crash(policy: AdlPolicy, way: list[tuple[int, int]], side: int, *, washes: bool = False) -> tuple[Scene, list[Effect], list[int]]:
    """Ann is long 10 with 1,000; Yuri is short 20 with 10,000, Xenia the same in some way with
    100,000. The mark falls to 890, at which Ann lacks 100.
    """
    scene = Scene(venue(STAGES)._replace(adl_policy=policy), side)
    ann = scene.open(1_000)
    scene.trade(ann, 10, 1_000)
    yuri = scene.open(10_000, YURI)
    scene.trade(yuri, -20, 1_000)
    hers = [scene.open(deposit, XENIA) for deposit, _ in way]
    for account, (_, lots) in zip(hers, way, strict=True):
        if lots:
            scene.trade(account, lots, 1_000)
    if washes:
        scene.mark(960)
        other = scene.open(0, XENIA)
        scene.cash(hers[0], -50_000)
        scene.cash(other, 50_000)
        scene.trade(other, -10, 960, other=hers[0])
    return scene, scene.mark(890), hers


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("policy", [each for each in AdlPolicy if each != AdlPolicy.RANDOM])
def test_an_owner_gives_the_same_however_he_spreads_it(policy: AdlPolicy, side: int) -> None:
    """In each way Xenia gives as many lots and pays as much, and so does Yuri."""
    gives, pays = [], []
    for way in WAYS.values():
        scene, effects, _ = crash(policy, way, side)
        gives.append({owner: sum(lots.values()) for owner, lots in given(effects, scene).items()})
        pays.append(sum(row.amount for row in of(effects, F.ADL_FILL) if scene.mirror.owner_of(row.account) == XENIA))
    assert gives == [gives[0]] * len(WAYS)
    assert max(pays) - min(pays) <= 1
    assert sum(gives[0].values()) == 10


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("policy", [each for each in AdlPolicy if each != AdlPolicy.RANDOM])
def test_a_trade_with_oneself_at_mark_changes_nothing(policy: AdlPolicy, side: int) -> None:
    """Half of Xenia's short is sold to her second account at 960: its unrealised profit starts anew,
    her result does not.
    """
    scene, effects, _ = crash(policy, WAYS["one account"], side)
    washed, after, _ = crash(policy, WAYS["one account"], side, washes=True)
    assert given(after, washed) == given(effects, scene)


@pytest.mark.parametrize("side", SIDES)
def test_random_draws_for_owners(side: int) -> None:
    """Both of Xenia's accounts have the number of their owner: more accounts are no more tickets."""
    scene, effects, _ = crash(AdlPolicy.RANDOM, WAYS["two accounts"], side)
    drawn = {owner: scramble(scene.seq, 0, owner) for owner in (XENIA, YURI)}
    assert {row.value for row in of(effects, F.ADL_FILL)} == {max(drawn.values())}
    assert list(given(effects, scene)) == [max(drawn, key=lambda owner: drawn[owner])]


@pytest.mark.parametrize("side", SIDES)
def test_a_hedge_is_used_up_as_it_excuses(side: int) -> None:
    """Xenia is long 10 and short 10 in each of two accounts: 10 of the 20 short lots are excused, not
    all. Ann closes 15: 10 net lots, then 5 hedged ones; OUTSIDE is asked last.
    """
    scene = Scene(venue(STAGES), side)
    ann = scene.open(1_500)
    long, first, second = scene.open(100_000, XENIA), scene.open(2_000, XENIA), scene.open(100_000, XENIA)
    scene.trade(ann, 15, 1_000)
    scene.trade(long, 10, 1_000)
    for account in (first, second):
        scene.trade(account, -10, 1_000)
    effects = scene.mark(890)
    assert given(effects, scene) == {XENIA: Counter({AdlClass.PROFITABLE: 10, AdlClass.HEDGE: 5})}
    assert owners(effects) == [(first, AdlClass.PROFITABLE, 10, 10, 1), (first, AdlClass.HEDGE, 5, 10, 1)]
    # The first has the higher leverage.
    assert fills(effects) == [(first, AdlClass.PROFITABLE, 10, 10), (second, AdlClass.HEDGE, 5, 10)]


@pytest.mark.parametrize("side", SIDES)
def test_one_account_may_give_net_lots_and_hedged_ones(side: int) -> None:
    """Short 20 in two accounts, long 15 in a third: 5 net lots. Of Ann's 12 the account with the higher
    leverage gives these 5, then its other 5 as hedged ones; the other account gives 2.
    """
    scene = Scene(venue(STAGES), side)
    ann = scene.open(1_200)
    long, first, second = scene.open(100_000, XENIA), scene.open(100_000, XENIA), scene.open(2_000, XENIA)
    scene.trade(ann, 12, 1_000)
    scene.trade(long, 15, 1_000)
    for account in (first, second):
        scene.trade(account, -10, 1_000)
    effects = scene.mark(890)
    assert fills(effects) == [
        (second, AdlClass.PROFITABLE, 5, 10),
        (second, AdlClass.HEDGE, 5, 5),
        (first, AdlClass.HEDGE, 2, 10),
    ]
    assert (scene.lots(first), scene.lots(second), scene.lots(long)) == (-8, 0, 15)


@pytest.mark.parametrize("side", SIDES)
def test_an_owner_who_only_realised_a_gain_is_profitable(side: int) -> None:
    """Xenia's first account won 1,000 and is flat; her second is short 5 from the mark. Her result is
    that of both. Yuri, short 5 from the mark as well, has none and is asked after her.
    """
    scene = Scene(venue(STAGES), side)
    ann = scene.open(800)
    won, late, yuri = scene.open(10_000, XENIA), scene.open(10_000, XENIA), scene.open(10_000, YURI)
    scene.trade(ann, 5, 1_000)
    scene.trade(won, -10, 1_000)
    scene.mark(900)
    scene.trade(won, 10, 900)
    scene.trade(late, -5, 900)
    scene.trade(yuri, -5, 900)
    effects = scene.charge(ann, 400)
    assert fills(effects) == [(late, AdlClass.PROFITABLE, 5, 5)]
    assert of(effects, F.ADL_FILL)[0].value == 1_000


@pytest.mark.parametrize("side", SIDES)
def test_a_part_beyond_one_accounts_cap_goes_on_to_the_owners_next(side: int) -> None:
    """Xenia's first account stands close to its maintenance: beyond mark it gives what keeps it above,
    the rest of her part comes from the second.
    """
    scene, effects, hers = crash(AdlPolicy.PRO_RATA, [(900, -10), (99_100, -10)], side)
    assert given(effects, scene)[XENIA] == Counter({AdlClass.PROFITABLE: 5})
    laid = {account: (lots, cap) for account, _, lots, cap in fills(effects) if account in hers}
    assert sum(lots for lots, _ in laid.values()) == 5
    assert all(scene.mirror.equity(account) >= scene.mirror.maintenance(account) for account in hers)
