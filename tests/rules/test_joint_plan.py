"""One ADL plan for all defaulters of a market (R6.6): crossing, the average price, a short
fund, the one fraction and the room of an event; on the engine, the reference and every invariant
together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, AdlClass, Cause, EffectKind, Stage, SupportLimit
from backstop.core.instruments import AssetRules, LimitRules
from backstop.core.waterfall.certificate import CertificateFault, check_certificate, is_crossing, plan_starts
from backstop.reference.records import Effect
from tests.attacks.scene import SIDES, Scene, of, venue
from tests.rules.two_sides import two_sides

F = EffectKind
STAGES = (Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def closed(effects: list[Effect], market: int = 0) -> dict[int, tuple[int, int]]:
    """Unsigned lots and cash of the ADL_PLAN of each defaulter, in their order."""
    return {row.account: (abs(row.lots), abs(row.amount)) for row in of(effects, F.ADL_PLAN) if row.market == market}


def given(effects: list[Effect], market: int = 0) -> dict[int, tuple[AdlClass, int, int]]:
    """Class, unsigned lots and cash of each counterparty, in their order."""
    return {row.account: (AdlClass(row.code), abs(row.lots), abs(row.amount)) for row in of(effects, F.ADL_FILL) if row.market == market}


def support(effects: list[Effect]) -> dict[int, tuple[int, int, SupportLimit]]:
    """Support, gap and limit of each defaulter."""
    return {row.account: (row.amount, row.value, SupportLimit(row.code)) for row in of(effects, F.SUPPORT)}


@pytest.mark.parametrize("side", SIDES)
def test_defaulters_of_both_sides_are_crossed_before_others_are_asked(side: int) -> None:
    """Market 1 falls to 300: Ann is at -1,000, Bob at -3,000. Of market 0 they cross 60 lots at 1,000;
    Carol gives the 40 that are left of Ann's, not 100, and Dave nothing, not 60.
    """
    scene, (ann, bob, carol, dave, erin) = two_sides(side, STAGES)
    scene.cash(FUND, 10_000)
    effects = scene.mark(300, 1)
    plans = [row for row in of(effects, F.ADL_PLAN) if row.market == 0]
    assert [(row.account, abs(row.lots)) for row in plans] == ([(ann, 60), (ann, 40)] if side > 0 else [(bob, 60), (ann, 40)])
    crossed = {(row.account, abs(row.lots)) for row in of(effects, F.ADL_FILL) if row.code == AdlClass.CROSSED}
    assert crossed == {(bob if side > 0 else ann, 60)}
    assert (scene.lots(carol), scene.lots(dave)) == (-60, 60)
    # The whole gap is of market 1, where the loss was; nobody pays beyond mark for any lot.
    assert support(effects) == {ann: (1_000, 1_000, SupportLimit.COVERED), bob: (3_000, 3_000, SupportLimit.COVERED)}
    assert given(effects, 1) == {erin: (AdlClass.PROFITABLE, 20, 20 * scene.price(300))}
    assert scene.fund == 6_000
    assert all(scene.lots(account, market) == 0 for account in (ann, bob) for market in (0, 1))
    assert [is_crossing(scene.watch.state.effects, 0), scene.mirror.ledger[carol], scene.mirror.ledger[dave]] == [False, 100_000, 100_000]


@pytest.mark.parametrize("side", SIDES)
def test_what_an_insolvent_account_lacks_for_crossed_lots_stays_with_it(side: int) -> None:
    """Ann lost 1,000 in market 0 and loses 8,000 in market 1, with 8,000: of her gap of 1,000 market 0
    bears 111. There Bob takes 60 of her 100 lots at 990. Carol, who takes the other 40, pays for these
    alone: 44. What is left of it nobody on the other side pays: 67 are uncovered.
    """
    scene, (ann, bob, carol, dave, _) = two_sides(side, STAGES)
    scene.cash(ann, 2_000)
    scene.mark(990)
    effects = scene.mark(200, 1)
    ((account, (lots, cash)),) = [(each, part) for each, part in closed(effects).items() if part[0] == 40]
    assert (account, lots, cash) == (ann, 40, 40 * scene.price(990) + side * 44)
    assert [(row.account, row.amount) for row in of(effects, F.RESIDUAL)] == [(ann, 67)]
    assert (scene.lots(carol), scene.mirror.ledger[carol]) == (-60, 100_000 + 400 - 44)
    assert (scene.lots(dave), scene.lots(ann), scene.lots(bob)) == (60, 0, 0)


@pytest.mark.parametrize("side", SIDES)
def test_a_short_fund_is_split_by_gap_and_counterparties_have_one_price(side: int) -> None:
    """Two longs of 10 at 890, at -100 and -200; the fund has 100: 33 and 67. They leave at 8,967 and
    9,033; the shorts of 12 and 8 lots pay 18,000 together, 900 a lot.
    """
    scene = Scene(venue(STAGES), side)
    scene.cash(FUND, 100)
    ann, bob, carol, dave = scene.open(1_000), scene.open(900), scene.open(100_000), scene.open(100_000)
    scene.trade(ann, 10, 1_000, other=carol)
    scene.trade(bob, 2, 1_000, other=carol)
    scene.trade(bob, 8, 1_000, other=dave)
    effects = scene.mark(890)
    mark, per_lot = scene.price(890), scene.price(900)
    assert support(effects) == {ann: (33, 100, SupportLimit.BALANCE), bob: (67, 200, SupportLimit.BALANCE)}
    assert closed(effects) == {ann: (10, 10 * mark + side * 67), bob: (10, 10 * mark + side * 133)}
    assert given(effects) == {carol: (AdlClass.PROFITABLE, 12, 12 * per_lot), dave: (AdlClass.PROFITABLE, 8, 8 * per_lot)}
    assert (scene.fund, of(effects, F.ADL_SCALE), len(of(effects, F.ADL_CLASS))) == (0, [], 1)


@pytest.mark.parametrize("side", SIDES)
def test_the_cap_of_an_owner_is_for_his_accounts_together(side: int) -> None:
    """Two accounts of one owner lack 100 each, one of another 200; an owner gets 100 at most. The fund
    has 1,000: 50, 50 and 100.
    """
    scene = Scene(venue(STAGES, asset=AssetRules(owner_loss_max=100)), side)
    scene.cash(FUND, 1_000)
    winner = scene.open(100_000)
    accounts = [scene.open(1_000, 40), scene.open(1_000, 40), scene.open(900, 41)]
    for account in accounts:
        scene.trade(account, 10, 1_000, other=winner)
    effects = scene.mark(890)
    limit = SupportLimit.OWNER
    assert support(effects) == dict(zip(accounts, [(50, 100, limit), (50, 100, limit), (100, 200, limit)], strict=True))
    assert given(effects) == {winner: (AdlClass.PROFITABLE, 30, 30 * scene.price(890) + side * 200)}


@pytest.mark.parametrize("side", SIDES)
def test_all_are_scaled_by_one_fraction(side: int) -> None:
    """Longs of 10, 5 and 5 want to leave, accounts are short 12, OUTSIDE 8. Without a fund the house,
    which takes lots at mark only, can take none: 12 of 20 lots leave, 6, 3 and 3.
    """
    scene = Scene(venue(STAGES), side)
    ann, bob, carol, dave = scene.open(1_000), scene.open(400), scene.open(450), scene.open(100_000)
    scene.trade(ann, 10, 1_000, other=dave)
    scene.trade(bob, 2, 1_000, other=dave)
    scene.trade(bob, 3, 1_000)
    scene.trade(carol, 5, 1_000)
    effects = scene.mark(890)
    assert [lots for lots, _ in closed(effects).values()] == [6, 3, 3]
    assert {row.account: row.lots for row in of(effects, F.ADL_SCALE)} == {ann: 10, bob: 5, carol: 5}
    assert list(given(effects)) == [dave]
    # The rest is torn up: nobody is left in default with lots.
    assert {row.account: abs(row.lots) for row in of(effects, F.TEAR_UP)} == {ann: 4, bob: 2, carol: 2}


@pytest.mark.parametrize("side", SIDES)
def test_solvent_defaulters_that_cross_pay_the_closing_charge(side: int) -> None:
    """Both still have equity; the book is empty beyond them and would have cost 2 %."""
    scene, (ann, bob, *_) = two_sides(side, STAGES)
    effects = scene.mark(620, 1)
    crossed = next(place for place, row in enumerate(effects) if row.kind == F.ADL_CLASS and row.code == AdlClass.CROSSED)
    charges = [row for row in effects[crossed:] if (row.kind, row.code) == (F.POSTING, Cause.CLOSING_CHARGE)]
    assert {row.other for row in charges} <= {ann, bob}
    assert charges
    assert scene.fund == sum(row.amount for row in charges)


@pytest.mark.parametrize("side", SIDES)
def test_an_event_takes_only_whom_it_has_room_for(side: int) -> None:
    """128 effects: half of what is left of them, 16 a position, has room for three of eight; the others
    wait one interval. Nobody is forgotten.
    """
    limits = LimitRules(accounts_max=16, positions_max=32, orders_max=8, effects_max=128)
    scene = Scene(venue(STAGES)._replace(limits=limits), side)
    winner = scene.open(100_000)
    accounts = [scene.open(1_000) for _ in range(8)]
    for account in accounts:
        scene.trade(account, 10, 1_000, other=winner)
    first = of(scene.mark(890), F.ADL_PLAN)
    assert 1 <= len(first) < 8
    plans = len(first)
    for _ in range(8):
        plans += len(of(scene.clock(), F.ADL_PLAN))
    assert plans == 8
    assert all(scene.lots(account) == 0 for account in accounts)


@pytest.mark.parametrize("side", SIDES)
def test_the_certificate_finds_another_fraction(side: int) -> None:
    """One lot more of one defaulter and one less of another is no single fraction."""
    scene = Scene(venue(STAGES), side)
    ann, bob, dave = scene.open(1_000), scene.open(900), scene.open(100_000)
    scene.trade(ann, 10, 1_000, other=dave)
    scene.trade(bob, 10, 1_000)
    effects = scene.mark(890)
    rows = scene.watch.state.effects[: len(effects)].copy()
    (first,) = plan_starts(rows)
    assert check_certificate(rows, first) == []
    plans = [place for place, row in enumerate(effects) if row.kind == F.ADL_PLAN]
    for sign, place in zip((1, -1), plans, strict=True):
        rows["lots"][place] += sign
    assert CertificateFault.SCALE in {finding.code for finding in check_certificate(rows, first)}
