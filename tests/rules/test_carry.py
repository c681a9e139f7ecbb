"""ADL is the last resort for solvent accounts, too: worked cases of carry (R6.12), on the engine,
the reference and every invariant together.

A lot at 930 is worth 930; 5 % maintenance, tolerance 2 %, a move of 2 % to stand for, 300 s at most.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, BreakerState, Cause, EffectKind, Health, Operator, Stage, Transfer, fund_of
from backstop.core.events import EventKind as K
from backstop.core.instruments import NO_CAP, AssetRules, VenueRules
from backstop.reference.leaving import share_of
from backstop.reference.records import Effect
from backstop.reference.shortfalls import held_gains, shortfall
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

F = EffectKind
STAGES = (Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.SOCIALISE, Stage.TEAR_UP)
LEAVES = (F.ADL_PLAN, F.TEAR_UP)


def carrying(venue_rules: VenueRules, carry_max_ns: int = 300 * SECOND) -> VenueRules:
    """Return a venue that carries."""
    return venue_rules._replace(closeout=venue_rules.closeout._replace(carry_max_ns=carry_max_ns, carry_move_ppm=20_000))


def scene_of(side: int, fund: int, venue_rules: VenueRules | None = None) -> Scene:
    """Return a scene with an empty book and so much in the fund."""
    scene = Scene(venue_rules or carrying(venue(STAGES)), side)
    if fund:
        scene.cash(FUND, fund)
    return scene


def pair(scene: Scene, deposit: int, lots: int = 100) -> tuple[int, int]:
    """Open a loser and a winner of so many lots against each other at 1,000; return both."""
    loser, winner = scene.open(deposit), scene.open(1_000_000)
    scene.trade(loser, lots, 1_000, other=winner)
    return loser, winner


def reserved(effects: list[Effect], account: int) -> list[int]:
    """Changes of what is reserved to carry an account."""
    return [row.amount for row in of(effects, F.RESERVE) if (row.account, row.other) == (account, 0)]


def carries(effects: list[Effect]) -> list[tuple[int, int]]:
    """Account and need of each carry that begins."""
    return [(row.account, row.amount) for row in of(effects, F.CARRY)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stages", [STAGES, (Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)])
def test_a_solvent_account_is_carried_and_recovers(side: int, stages: tuple[int, ...]) -> None:
    """100 lots with 1,000 of equity at 930, an empty book: 2 % of 93,000 is 1,860, so the fund
    reserves 860. At 925 it is 500 against 1,850: 1,350. At 990 it is out of default, keeps its
    position, and has paid nothing.
    """
    scene = scene_of(side, 10_000, carrying(venue(stages)))
    loser, winner = pair(scene, 8_000)
    effects = scene.mark(930)
    need = 100 * scene.price(930) * 2 // 100 - 1_000
    assert carries(effects) == [(loser, need)]
    assert of(effects, F.CARRY)[0].value == scene.time_ns + 300 * SECOND
    assert reserved(effects, loser) == [need]
    effects = scene.mark(925)
    later = -(-100 * scene.price(925) * 2 // 100) - 500
    assert reserved(effects, loser) == [later - need]
    effects = scene.mark(990)
    assert reserved(effects, loser) == [-later]
    assert scene.mirror.health[loser] < Health.DISTRESSED
    assert (scene.lots(loser), scene.lots(winner), scene.fund) == (100, -100, 10_000)
    assert scene.mirror.equity(loser) == 7_000


@pytest.mark.parametrize("side", SIDES)
def test_without_carry_it_is_deleveraged_at_once(side: int) -> None:
    """The same with ``carry_max`` 0: ADL in the event of the fall."""
    scene = scene_of(side, 10_000, carrying(venue(STAGES), 0))
    loser, _ = pair(scene, 8_000)
    effects = scene.mark(930)
    assert [row.account for row in of(effects, *LEAVES)] == [loser]
    assert carries(effects) == []


def test_whoever_needs_nothing_is_carried_with_nothing() -> None:
    """4,000 of equity at 930 outlast a move of 2 %: nothing is reserved. It waits for the book to its
    deadline, and is carried from there on.
    """
    scene = scene_of(1, 0)
    loser, _ = pair(scene, 11_000)
    effects = scene.mark(930)
    assert carries(effects) == []
    since = scene.time_ns
    effects = scene.clock(20)
    assert carries(effects) == [(loser, 0)]
    assert of(effects, F.CARRY)[0].value == since + 320 * SECOND
    assert of(effects, F.RESERVE) == []


@pytest.mark.parametrize("side", SIDES)
def test_it_ends_after_its_time_whatever_happened_between(side: int) -> None:
    """Insolvent for a while, carried again: the time is one a default. Then ADL at mark, at once."""
    scene = scene_of(side, 100_000)
    loser, _ = pair(scene, 8_000)
    (begun,) = of(scene.mark(930), F.CARRY)
    scene.at(begun.value - 2 * SECOND)
    assert of(scene.mark(926), *LEAVES, F.CARRY) == []
    effects = scene.clock(2)
    assert [row.account for row in of(effects, *LEAVES)] == [loser]
    assert scene.time_ns == begun.value
    assert sum(reserved(effects, loser)) < 0
    assert scene.mirror.funds[0].reserved == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("limit", ["fund", "window", "owner", "market"])
def test_where_nothing_can_be_reserved_adl_at_mark(side: int, limit: str) -> None:
    """An atom less than what it takes, in the fund or within a cap: ADL as without carry."""
    need = 100 * (1_000 - side * 70) * 2 // 100 - 1_000
    for most, is_carried in ((need, True), (need - 1, False)):
        capped = venue(
            STAGES,
            cap=most if limit == "window" else NO_CAP,
            market={"loss_per_window_max": most} if limit == "market" else None,
            asset=AssetRules(owner_loss_max=most) if limit == "owner" else None,
        )
        scene = scene_of(side, most if limit == "fund" else 10_000, carrying(capped))
        loser, winner = pair(scene, 8_000)
        effects = scene.mark(930)
        assert carries(effects) == ([(loser, need)] if is_carried else [])
        assert [row.account for row in of(effects, *LEAVES)] == ([] if is_carried else [loser])
        assert scene.mirror.equity(winner) == 1_007_000


def test_together_they_are_carried_for_no_more_than_there_is() -> None:
    """Ten accounts that need 860 each, and a fund of 2,600: each alone would pass. Three are carried, the
    others leave in one plan, and pay the fund their closing charge of 1,000. No atom stands for two.
    """
    scene = scene_of(1, 2_600)
    friend = scene.open(10_000_000)
    losers = [scene.open(8_000) for _ in range(10)]
    for loser in losers:
        scene.trade(loser, 100, 1_000, other=friend)
    effects = scene.mark(930)
    assert [account - losers[0] for account, _ in carries(effects)] == [0, 1, 2]
    assert [row.account - losers[0] for row in of(effects, F.ADL_PLAN)] == [3, 4, 5, 6, 7, 8, 9]
    assert (scene.mirror.funds[0].reserved, scene.fund) == (3 * 860, 9_600)


@pytest.mark.parametrize("side", SIDES)
def test_carry_gives_way_to_an_insolvent_account(side: int) -> None:
    """All but 140 of the fund carry a solvent account. Another lacks 500 at 930: it is paid whole at
    once, its counterparty closes at mark, and the first leaves by ADL at mark, and pays its charge.
    """
    need = 100 * (1_000 - side * 70) * 2 // 100 - 1_000
    scene = scene_of(side, need + 140)
    loser, winner = pair(scene, 8_000)
    scene.mark(930)
    assert scene.mirror.funds[0].reserved == need
    other, friend = scene.open(6_000), scene.open(1_000_000)
    scene.trade(other, 5, 930, other=friend)
    effects = scene.charge(other, 6_500)
    (support,) = of(effects, F.SUPPORT)
    assert (support.account, support.value, support.amount) == (other, 500, 500)
    assert sum(reserved(effects, loser)) == -need
    assert [row.account for row in of(effects, F.ADL_PLAN)] == [other, loser]
    assert (scene.mirror.equity(winner), scene.mirror.equity(friend), scene.fund) == (1_007_000, 1_000_000, need + 140 - 500 + 1_000)


def test_it_gives_no_more_than_is_missing() -> None:
    """With 2,000 in the fund there is enough for both: who was asked to give way is carried on in the
    same event.
    """
    scene = scene_of(1, 2_000)
    loser, _ = pair(scene, 8_000)
    scene.mark(930)
    other, friend = scene.open(6_000), scene.open(1_000_000)
    scene.trade(other, 5, 930, other=friend)
    effects = scene.charge(other, 6_500)
    assert [row.account for row in of(effects, F.ADL_PLAN)] == [other]
    assert (scene.fund, scene.mirror.funds[0].reserved, scene.lots(loser)) == (1_500, 860, 100)


def test_it_gives_way_to_a_deficit() -> None:
    """An account without lots lacks 900 and the fund has 1,000, 860 of them reserved to carry: it is
    paid in the same event, and nothing is uncovered.
    """
    scene = scene_of(1, 1_000)
    loser, _ = pair(scene, 8_000)
    scene.mark(930)
    flat = scene.open(100)
    effects = scene.charge(flat, 1_000)
    assert [(row.code, row.amount) for row in of(effects, F.POSTING) if row.account == flat and row.other == FUND] == [(Cause.DEFICIT, 900)]
    assert of(effects, F.RESIDUAL) == []
    assert [row.account for row in of(effects, F.ADL_PLAN)] == [loser]


def owner_scene(side: int, owner_loss_max: int, groups: int = 1) -> tuple[Scene, int, int]:
    """Return a scene with 100,000 in each fund, and an owner's two accounts: one that is carried in the
    last group's market with 1,000 of equity at 930, and one of 5 lots in market 0 with 5,650.
    """
    rules = carrying(venue(STAGES, markets=groups, asset=AssetRules(owner_loss_max=owner_loss_max)))
    markets = tuple(market._replace(group=group) for group, market in enumerate(rules.markets))
    scene = Scene(rules._replace(markets=markets, funds=rules.funds * groups), side)
    for group in range(groups):
        scene.cash(fund_of(group), 100_000)
    winner, one = scene.open(1_000_000), scene.open(8_000)
    other = scene.open(6_000, one)
    scene.trade(other, 5, 1_000, other=winner)
    scene.trade(one, 100, 1_000, other=winner, market=groups - 1)
    for market in range(groups):
        effects = scene.mark(930, market)
    assert carries(effects) == [(one, need_at_930(side))]
    return scene, one, other


def need_at_930(side: int) -> int:
    """What an account of 100 lots and 1,000 of equity would lack: 860, or of shorts 1,140."""
    return 100 * (1_000 - side * 70) * 2 // 100 - 1_000


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("groups", [1, 2])
def test_what_carries_an_owner_gives_way_to_his_other_account(side: int, groups: int) -> None:
    """The funds have plenty, but his cap is 140 above what is reserved for his one account. The other
    lacks 1,500, of which the first gives its 1,000. The 500 left are paid whole, at once, and not 140
    of them at the deadline; so it is where another group's fund carries the first account. That needs
    2,000 of a move now, more than the cap leaves, and goes at mark.
    """
    scene, one, other = owner_scene(side, need_at_930(side) + 140, groups)
    effects = scene.charge(other, 5_650 + 1_500)
    assert [row.amount for row in of(effects, F.POSTING) if (row.account, row.other, row.code) == (other, one, Cause.NETTING)] == [1_000]
    (support,) = of(effects, F.SUPPORT)
    assert (support.account, support.value, support.amount) == (other, 500, 500)
    assert sum(reserved(effects, one)) == -need_at_930(side)
    assert sorted(row.account for row in of(effects, F.ADL_PLAN)) == [one, other]
    assert scene.mirror.funds[groups - 1].reserved == 0


@pytest.mark.parametrize("side", SIDES)
def test_nobody_else_gives_way_to_an_owner_at_his_cap(side: int) -> None:
    """A stranger was carried last. The fund has enough for all, so that only the owner's own gives way."""
    scene, one, other = owner_scene(side, need_at_930(side) + 140)
    stranger, friend = scene.open(9_000), scene.open(1_000_000)
    scene.trade(stranger, 100, 930, other=friend)
    effects = scene.charge(stranger, 8_000)
    assert carries(effects) == [(stranger, need_at_930(side))]
    effects = scene.charge(other, 5_650 + 1_500)
    assert [(row.account, row.amount) for row in of(effects, F.SUPPORT)] == [(other, 500)]
    assert reserved(effects, stranger) == []
    assert sum(reserved(effects, one)) == -need_at_930(side)


@pytest.mark.parametrize("side", SIDES)
def test_an_owner_within_his_cap_frees_nothing(side: int) -> None:
    """With 500 beside what is reserved there is enough for both."""
    scene, one, other = owner_scene(side, need_at_930(side) + 500 + 1_000)
    effects = scene.charge(other, 5_650 + 1_500)
    assert [(row.account, row.amount) for row in of(effects, F.SUPPORT)] == [(other, 500)]
    assert [row.account for row in of(effects, F.ADL_PLAN)] == [other]
    assert sum(reserved(effects, one)) == 1_000


@pytest.mark.parametrize("side", SIDES)
def test_its_slices_go_on(side: int) -> None:
    """While it is carried bids come: an order leaves, and fills, and what is reserved shrinks."""
    scene = scene_of(side, 10_000)
    loser, _ = pair(scene, 8_000)
    scene.mark(930)
    before = scene.mirror.funds[0].reserved
    (order,) = of(scene.depth(40), F.ORDER)
    assert abs(order.lots) == 40
    scene.fill(order.other, 40, 930)
    effects = scene.done(order.other)
    assert sum(reserved(effects, loser)) < 0
    assert scene.lots(loser) == 60
    assert scene.mirror.funds[0].reserved == max(0, 60 * scene.price(930) * 2 // 100 - scene.mirror.equity(loser)) < before


def test_an_account_that_becomes_insolvent_frees_what_carried_it() -> None:
    """At 919 it lacks 100: what was reserved is free before its own gap is paid, and counts once."""
    scene = scene_of(1, 860)
    loser, _ = pair(scene, 8_000)
    scene.mark(930)
    effects = scene.mark(919)
    kinds = [(row.kind, row.amount) for row in effects if row.account == loser and row.kind in (F.HEALTH, F.RESERVE)]
    assert kinds[:2] == [(F.HEALTH, -100), (F.RESERVE, -860)]
    assert (scene.fund, scene.lots(loser)) == (760, 0)


def charge(scene: Scene, account: int, amount: int, market: int) -> list[Effect]:
    """Take a funding payment of a market."""
    return scene.send(K.TRANSFER, account=account, code=int(Transfer.FUNDING), market=market, amount=-amount)


@pytest.mark.parametrize("side", SIDES)
def test_what_is_reserved_to_carry_makes_no_hole(side: int) -> None:
    """860 of 1,260 are reserved to carry an account. Dave lacks 400 in a market for which the fund pays
    100 in a window: nothing is reserved for an order, so he does not wait. The other 300 are uncovered; the
    fund has them, and who is carried only delays that it pays. So there is no hole, no share of it, and no
    breaker counts it.
    """
    rules = carrying(venue(STAGES, markets=2))
    first, second = rules.markets
    scene = scene_of(side, 1_260, rules._replace(markets=(first, second._replace(loss_per_window_max=100))))
    need = 100 * scene.price(930) * 2 // 100 - 1_000
    scene.cash(FUND, need - 860)
    loser, winner = pair(scene, 8_000)
    assert reserved(scene.mark(930), loser) == [need]
    effects = charge(scene, scene.open(0), 400, market=1)
    assert [(row.code, row.amount) for row in of(effects, F.POSTING) if row.code in (Cause.DEFICIT, Cause.UNCOVERED)] == [
        (Cause.DEFICIT, 100),
        (Cause.UNCOVERED, 300),
    ]
    state = scene.watch.reference.state
    assert (state.funds[0].reserved, scene.fund, state.hole(0)) == (need, need + 300, 0)
    assert share_of(state, 0, state.accounts[winner].owner) == 0
    assert of(effects, F.BREAKER) == []


@pytest.mark.parametrize("side", SIDES)
def test_what_is_reserved_to_carry_holds_no_gains(side: int) -> None:
    """An insolvent account waits in a halted market and lacks 300. The fund has 1,000, of which 860 are
    then reserved to carry another: they give way, so nothing is held of who won.
    """
    rules = carrying(venue(STAGES, markets=2))
    scene = scene_of(side, 1_000, rules)
    need = 100 * scene.price(930) * 2 // 100 - 1_000
    scene.cash(FUND, need - 860)
    loser = scene.open(1_700)
    winner = scene.open(100_000)
    scene.trade(loser, 20, 1_000, other=winner, market=1)
    scene.send(K.OPERATOR, market=1, code=int(Operator.HALT), amount=60 * SECOND)
    scene.mark(900, market=1)
    assert scene.mirror.equity(loser) == -300
    carried, _ = pair(scene, 8_000)
    assert reserved(scene.mark(930), carried) == [need]
    state = scene.watch.reference.state
    assert (state.funds[0].reserved, shortfall(state, 0), held_gains(state, state.accounts[winner].owner)) == (need, 0, 0)


@pytest.mark.parametrize("side", SIDES)
def test_a_halt_deleverages_nobody_who_is_carried(side: int) -> None:
    """Halted by an operator, a solvent account waited to its deadline and left by ADL. It is carried
    until its market opens, and has its slices then.
    """
    scene = scene_of(side, 10_000)
    loser, _ = pair(scene, 11_000)
    scene.depth(1_000)
    scene.send(K.OPERATOR, market=0, code=int(Operator.HALT), amount=60 * SECOND)
    assert scene.mirror.effective(0) == BreakerState.HALTED
    scene.mark(930)
    assert of(scene.clock(25), *LEAVES, F.ORDER) == []
    effects = scene.clock(35)
    assert [(row.kind, row.account) for row in of(effects, *LEAVES, F.ORDER)] == [(F.ORDER, loser)]


def test_what_two_owners_get_out_is_within_the_smallest_cap() -> None:
    """A long and her friend's short, an empty book, a market of their own, a fund of 100,000 with 3,000
    for a market and window. She is carried with 1,000 of equity while they wait for a move; it comes
    at once, 50 times what is reserved. Without carry she leaves at 930 and pays the fund her charge.
    """
    taken = {}
    for carry_max_ns in (0, 300 * SECOND):
        scene = scene_of(1, 100_000, carrying(venue(STAGES, market={"loss_per_window_max": 3_000}), carry_max_ns))
        pair(scene, 8_000)
        scene.mark(930)
        scene.mark(500)
        taken[carry_max_ns] = 100_000 - scene.fund
    assert taken == {0: -1_000, 300 * SECOND: 3_000}
