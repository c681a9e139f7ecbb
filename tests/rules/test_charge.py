"""Leaving beside the book is no cheaper than the book: worked cases of the closing charge (R6.5),
on the engine, the reference and every invariant together.

A lot at 930 is worth 930; bands at 0.1 % and 1 %, tolerance 2 %, fee 0.5 %.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Answer, Cause, EffectKind, Stage, fund_of
from backstop.core.instruments import FundRules, TakeoverRules
from backstop.reference.records import Effect
from tests.attacks.scene import SIDES, Scene, of, provider, venue

F = EffectKind
ADL = (Stage.FUND, Stage.ADL, Stage.SOCIALISE, Stage.TEAR_UP)
TORN = (Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)
TAKEOVER = (Stage.TAKEOVER, *ADL)
FEE = 5_000


def charges(effects: list[Effect]) -> list[tuple[int, int]]:
    """Payer and amount of each closing charge; all go to a fund."""
    rows = [row for row in of(effects, F.POSTING) if row.code == Cause.CLOSING_CHARGE]
    assert all(row.account == FUND and row.market == 0 for row in rows)
    return [(row.other, row.amount) for row in rows]


def pair(scene: Scene, lots: int, deposit: int) -> tuple[int, int]:
    """Open a loser and a winner of so many lots against each other at 1,000; return both."""
    loser, winner = scene.open(deposit), scene.open(1_000_000)
    scene.trade(loser, lots, 1_000, other=winner)
    return loser, winner


def lots_that(scene: Scene, effects: list[Effect]) -> int:
    """Lots that the defaulter closed by ADL or tear-up."""
    return sum(abs(row.lots) for row in of(effects, F.ADL_PLAN, F.TEAR_UP))


@pytest.mark.parametrize("stages", [ADL, TORN])
def test_leaving_costs_what_the_book_would_have_cost(stages: tuple[int, ...]) -> None:
    """1,000 lots at 930, of which 253 are bid at 0.1 % and the rest at 1 %: slippage of 236 and
    6,948 (at ten atoms to the unit about 718) and a fee of 4,650. Equity is just that, so that all
    of it leaves. It left at mark and free before.
    """
    scene = Scene(venue(stages, fee_ppm=FEE), 1)
    scene.depth(253)
    scene.depth(747, band=1)
    slippage = -(-253 * 930 // 1_000) + -(-747 * 930 // 100)
    assert slippage == 236 + 6_948
    loser, winner = pair(scene, 1_000, 70_000 + slippage + 4_650)
    effects = scene.mark(930)
    assert charges(effects) == [(loser, slippage + 4_650)]
    assert (scene.lots(loser), lots_that(scene, effects)) == (0, 1_000)
    assert scene.mirror.ledger[loser] == 0
    assert scene.mirror.ledger[winner] == 1_070_000
    assert scene.fund == slippage + 4_650


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stages", [ADL, TORN])
def test_whoever_empties_the_book_gains_nothing(side: int, stages: tuple[int, ...]) -> None:
    """The bids are withdrawn: the tolerance for all lots and the fee. The other side closes at mark
    as before, and all of the charge is the fund's.
    """
    scene = Scene(venue(stages, fee_ppm=FEE), side)
    scene.depth(1_000)
    value = 1_000 * scene.price(930)
    expected = value * 2 // 100 + value * FEE // 1_000_000
    loser, winner = pair(scene, 1_000, 70_000 + expected)
    scene.depth(0)
    effects = scene.mark(930)
    assert charges(effects) == [(loser, expected)]
    assert (scene.mirror.ledger[winner], scene.fund) == (1_070_000, expected)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stages", [ADL, TORN])
def test_no_equity_is_taken_below_zero(side: int, stages: tuple[int, ...]) -> None:
    """Equity 5,000 and an expected cost of more: the account pays 5,000 and ends at zero."""
    scene = Scene(venue(stages, fee_ppm=FEE), side)
    loser, _ = pair(scene, 1_000, 75_000)
    assert charges(scene.mark(930)) == [(loser, 5_000)]
    assert (scene.mirror.ledger[loser], scene.fund) == (0, 5_000)


@pytest.mark.parametrize("stages", [ADL, TORN])
def test_an_insolvent_account_pays_no_charge(stages: tuple[int, ...]) -> None:
    """Equity -1: it owes its gap, and nothing else."""
    scene = Scene(venue(stages, fee_ppm=FEE), 1)
    scene.cash(FUND, 10_000)
    pair(scene, 1_000, 69_999)
    assert charges(scene.mark(930)) == []
    assert scene.fund == 9_999


@pytest.mark.parametrize("stages", [ADL, TORN])
def test_the_least_lots_restore_with_the_charge(stages: tuple[int, ...]) -> None:
    """100 lots at 930 with 4,000: the release level is 5.25 %, a lot releases 48.825 and costs
    18.6 + 4.65. (4,882.5 - 4,000) / (48.825 - 23.25) = 34.5: 35 lots. At mark and free it was 19.
    """
    scene = Scene(venue(stages, fee_ppm=FEE), 1)
    loser, _ = pair(scene, 100, 11_000)
    effects = scene.mark(930)
    assert lots_that(scene, effects) == 35
    assert charges(effects) == [(loser, 35 * 930 * 2 // 100 + 35 * 930 * FEE // 1_000_000)]
    assert scene.mirror.portfolio(loser).standing.is_restored


def taken_over(share_ppm: int, *, is_vault: bool) -> tuple[Scene, int, int, list[Effect]]:
    """100 lots at 930 with 1,000 of equity, taken over for a share of the way to zero."""
    rules = venue(TAKEOVER, providers=(provider(is_vault=is_vault),), fee_ppm=FEE)
    scene = Scene(rules._replace(takeover=TakeoverRules(provider_share_ppm=share_ppm)), 1)
    taker = scene.open(1_000_000)
    scene.bind(0, taker)
    loser, _ = pair(scene, 100, 8_000)
    effects = scene.mark(930)
    if not is_vault:
        (offer,) = scene.open_ids()
        effects = scene.answer(offer, Answer.ACCEPT)
    return scene, loser, taker, effects


@pytest.mark.parametrize("is_vault", [True, False])
def test_a_takeover_costs_the_larger_of_both(*, is_vault: bool) -> None:
    """The book would cost 1,860 and 465, more than the equity of 1,000 that is there. The provider
    gets 50 % of the way to zero, 500; the charge is what is left, 500, not 2,325.
    """
    scene, loser, taker, effects = taken_over(500_000, is_vault=is_vault)
    (over,) = of(effects, F.TAKEOVER)
    assert (abs(over.lots), over.amount) == (100, 93_000 - 500)
    assert charges(effects) == [(loser, 500)]
    assert (scene.mirror.ledger[loser], scene.mirror.equity(taker)) == (0, 1_000_500)


def test_what_the_provider_gets_is_taken_off() -> None:
    """10 lots of a rich account: the book would cost 23.25 a lot, and the provider gets 10 % of the
    way to zero.
    """
    rules = venue(TAKEOVER, providers=(provider(is_vault=True),), fee_ppm=FEE)
    scene = Scene(rules._replace(takeover=TakeoverRules(provider_share_ppm=100_000)), 1)
    taker = scene.open(1_000_000)
    scene.bind(0, taker)
    loser, _ = pair(scene, 100, 11_000)
    effects = scene.mark(930)
    (over,) = of(effects, F.TAKEOVER)
    lots = abs(over.lots)
    cost, share = lots * 930 * 2 // 100 + lots * 930 * FEE // 1_000_000, lots * 930 - over.amount
    assert 0 < share < cost
    assert charges(effects) == [(loser, cost - share)]
    assert lots == 35


def test_nobody_pays_less_by_splitting_for_rounding() -> None:
    """30 lots of one owner, or one lot of each of 30, at a mark of 37 and a fee of 0.5 %: slippage
    is rounded up for each, so that the parts pay no less than the whole.
    """

    def paid(owners: int, lots: int) -> int:
        scene = Scene(venue(ADL, fee_ppm=FEE), 1)
        scene.mark(37)
        friend = scene.open(1_000_000)
        for _ in range(owners):
            account = scene.open(lots * 2)
            scene.trade(account, lots, 37, other=friend)
        scene.mark(36)
        return scene.fund

    assert paid(30, 1) >= paid(1, 30) > 0


def test_each_market_pays_its_groups_fund() -> None:
    """Market 1 is of group 1: the charge goes to that fund."""
    rules = venue(ADL, markets=2, fee_ppm=FEE)
    rules = rules._replace(markets=(rules.markets[0], rules.markets[1]._replace(group=1)), funds=(FundRules(), FundRules()))
    scene = Scene(rules, 1)
    loser, winner = scene.open(75_000), scene.open(1_000_000)
    scene.trade(loser, 1_000, 1_000, other=winner, market=1)
    scene.mark(930, 1)
    assert (scene.fund, scene.mirror.ledger[fund_of(1)]) == (0, 5_000)
