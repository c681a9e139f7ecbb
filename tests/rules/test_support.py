"""The fund pays before solvent accounts: worked cases of ADL and tear-up (R6.3.7),
on the engine, the reference and every invariant together.
"""

from __future__ import annotations

from typing import Any

import pytest

from backstop.core.events import FUND, UNCOVERED, BreakerState, Cause, EffectKind, EventKind, Stage, SupportLimit, outside_of
from backstop.core.instruments import NO_CAP, AssetRules, LevelRules, MarketRules, TierRules
from backstop.reference.book import Book
from backstop.reference.charge import Exit
from backstop.reference.funds import FundView
from backstop.reference.margin import Contract, Holding, Portfolio
from backstop.reference.records import Effect
from backstop.reference.wave import Counterparty, Defaulter, Wave
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

F = EffectKind
ADL = (Stage.FUND, Stage.ADL, Stage.SOCIALISE, Stage.TEAR_UP)
TORN = (Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)


def support(effects: list[Effect]) -> list[tuple[SupportLimit, Cause, int, int]]:
    """Limit, cause, support and gap of SUPPORT."""
    return [(SupportLimit(row.code), Cause(row.other), row.amount, row.value) for row in of(effects, F.SUPPORT)]


def received(effects: list[Effect], holder: int) -> int:
    """Cash that a counterparty received in ADL."""
    return sum(row.amount for row in of(effects, F.ADL_FILL) if row.account == holder)


def pair(scene: Scene, lots: int, deposit: int, winner_deposit: int) -> tuple[int, int]:
    """Open a loser and a winner of so many lots against each other; return both."""
    loser, winner = scene.open(deposit), scene.open(winner_deposit)
    scene.trade(loser, lots, 1_000, other=winner)
    return loser, winner


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("stages", [ADL, TORN])
def test_the_fund_pays_and_the_winner_keeps_its_gain(side: int, stages: tuple[int, ...]) -> None:
    """10 lots from 1,000 with 1,000: at 850 the loser is at -500. Nobody bids; the fund has 10,000.

    The winner has its 100,000 and 1,500 of gain, all of it; the fund ends at 9,500.
    """
    scene = Scene(venue(stages), side)
    scene.cash(FUND, 10_000)
    loser, winner = pair(scene, 10, 1_000, 100_000)
    effects = scene.mark(850)
    cause = Cause.SUPPORT if stages == ADL else Cause.TEAR_UP
    assert support(effects) == [(SupportLimit.COVERED, cause, 500, 500)]
    assert (scene.mirror.ledger[winner], scene.lots(winner)) == (101_500, 0)
    assert (scene.mirror.ledger[loser], scene.lots(loser), scene.fund) == (0, 0, 9_500)


@pytest.mark.parametrize("side", SIDES)
def test_the_counterparty_closes_at_the_mark(side: int) -> None:
    """10 contracts at 100.0, the loser at -50.00 at 75.0, a fund of 1,000,000.00 (ten atoms here are
    a unit of money there): the fund ends at 999,950.00.
    """
    scene = Scene(venue(), side)
    scene.cash(FUND, 10_000_000)
    _, winner = pair(scene, 10, 2_000, 5_000)
    effects = scene.mark(750)
    assert abs(received(effects, winner)) == 10 * abs(scene.price(750))
    assert scene.mirror.ledger[winner] == 5_000 + 2_500
    assert scene.fund == 9_999_500


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("limit", "rules"), [
    (SupportLimit.OWNER, {"asset": AssetRules(owner_loss_max=30)}),
    (SupportLimit.WINDOW, {"cap": 30}),
    (SupportLimit.MARKET, {"market": {"loss_per_window_max": 30}}),
])  # fmt: skip
def test_a_cap_keeps_the_rest_back_and_is_named(side: int, limit: SupportLimit, rules: dict[str, Any]) -> None:
    """A gap of 50 and a fund of 1,000,000 that may pay 30: the counterparty bears the other 20."""
    scene = Scene(venue(ADL, **rules), side)
    scene.cash(FUND, 1_000_000)
    _, winner = pair(scene, 10, 2_450, 5_000)
    effects = scene.mark(750)
    assert support(effects) == [(limit, Cause.SUPPORT, 30, 50)]
    assert scene.mirror.ledger[winner] == 5_000 + 2_500 - 20
    assert (scene.fund, scene.mirror.ledger[UNCOVERED]) == (999_970, 0)


def promised(side: int, free: int) -> tuple[Scene, int, int, int]:
    """A fund that is mostly promised to an order in market 0, and an account at -500 in market 1,
    where nobody bids; return the order, and loser and winner of market 1.
    """
    scene = Scene(venue((Stage.CLOSEOUT, *ADL), markets=2, order_timeout_ns=60 * SECOND), side)
    scene.cash(FUND, 10_000)
    first, _ = pair(scene, 60, 8_990, 50_000)
    loser, winner = scene.open(1_000), scene.open(10_000)
    scene.trade(loser, 10, 1_000, other=winner, market=1)
    scene.depth(60, band=1)
    scene.mark(850)
    (order,) = scene.open_ids()
    reserved = scene.mirror.reserved[order]
    assert scene.mirror.orders[order].account == first
    assert reserved >= 500
    scene.cash(FUND, reserved + free - scene.fund)
    return scene, order, loser, winner


@pytest.mark.parametrize("side", SIDES)
def test_adl_waits_for_money_that_is_only_reserved(side: int) -> None:
    """100 are free, the rest stands by for an order that fills at mark a moment later: the winner
    then pays nothing, where it would have paid 400 of 500.
    """
    scene, order, loser, winner = promised(side, 100)
    assert support(scene.mark(850, 1)) == []
    assert scene.lots(loser, 1) == 10
    effects = [*scene.fill(order, 60, 850), *scene.done(order), *scene.clock()]
    assert support(effects) == [(SupportLimit.COVERED, Cause.SUPPORT, 500, 500)]
    assert (scene.mirror.ledger[winner], scene.lots(loser, 1)) == (10_000 + 1_500, 0)


@pytest.mark.parametrize("side", SIDES)
def test_they_wait_for_what_all_of_them_lack(side: int) -> None:
    """600 are free, and two accounts lack 500 each: enough for each alone, not for both (R6.3.10). They
    wait for what is only reserved; the winners then pay nothing, where they would have paid 400.
    """
    scene, order, loser, winner = promised(side, 600)
    other = scene.open(1_000)
    scene.trade(other, 10, 1_000, other=winner, market=1)
    assert support(scene.mark(850, 1)) == []
    assert (scene.lots(loser, 1), scene.lots(other, 1)) == (10, 10)
    effects = [*scene.fill(order, 60, 850), *scene.done(order), *scene.clock()]
    assert support(effects) == [(SupportLimit.COVERED, Cause.SUPPORT, 500, 500)] * 2
    assert scene.mirror.ledger[winner] == 10_000 + 2 * 1_500


@pytest.mark.parametrize("side", SIDES)
def test_it_waits_at_most_to_its_deadline(side: int) -> None:
    """Nobody answers the order: 20 s after the default began the counterparties bear what is
    reserved, and RESERVED says so.
    """
    scene, _, loser, winner = promised(side, 100)
    start = scene.time_ns + SECOND
    assert support(scene.mark(850, 1)) == []
    for _ in range(18):
        assert support(scene.clock()) == []
    effects = scene.at(start + 20 * SECOND).send(EventKind.CLOCK)
    assert support(effects) == [(SupportLimit.RESERVED, Cause.SUPPORT, 100, 500)]
    assert scene.lots(loser, 1) == 0
    assert scene.mirror.ledger[winner] == 10_000 + 1_500 - 400


# -- the house -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_the_house_pays_nothing_beyond_mark(side: int) -> None:
    """OUTSIDE alone on the other side, equity -1,000 and no fund: no ADL; torn up, its fund asked once
    more as it is flat, 1,000 are uncovered, and OUTSIDE has its gain at mark.
    """
    scene = Scene(venue(ADL), side)
    loser = scene.open(9_000)
    scene.trade(loser, 100, 1_000)
    effects = scene.mark(900)
    assert of(effects, F.ADL_PLAN) == []
    assert support(effects) == [(SupportLimit.BALANCE, cause, 0, 1_000) for cause in (Cause.TEAR_UP, Cause.DEFICIT)]
    assert scene.mirror.ledger[UNCOVERED] == -1_000
    assert scene.mirror.ledger[outside_of(0)] == 10_000


@pytest.mark.parametrize("side", SIDES)
def test_adl_stops_where_the_fund_ends_and_the_rest_is_cut_from_what_the_winner_keeps(side: int) -> None:
    """100 lots at -1,000: a zero price of 10 a lot. An account holds 10 of the other side, OUTSIDE
    90, the fund 500.

    60 lots fit: the account's 10 at the zero price for 100, and 50 of the house at mark, which take
    the fund's 500. In the plan nobody pays beyond the zero price for lots of the house. The other 40 are
    torn up. The 400 that they lack are cut from the 900 that the account won and keeps after ADL,
    against a claim: in all it gives 500, where the zero price of its own lots was 100. OUTSIDE is not
    asked.
    """
    scene = Scene(venue(ADL), side)
    scene.cash(FUND, 500)
    loser, winner = scene.open(9_000), scene.open(50_000)
    scene.trade(loser, 10, 1_000, other=winner)
    scene.trade(loser, 90, 1_000)
    effects = scene.mark(900)
    (plan,) = of(effects, F.ADL_PLAN)
    assert abs(plan.lots) == 60
    assert support(effects) == [
        (SupportLimit.BALANCE, Cause.SUPPORT, 500, 600),
        (SupportLimit.BALANCE, Cause.TEAR_UP, 0, 400),
        (SupportLimit.BALANCE, Cause.DEFICIT, 0, 400),
    ]
    assert [(row.amount, row.value) for row in of(effects, F.HAIRCUT)] == [(400, 1_000 - 100)]
    assert scene.mirror.accounts[winner].claims == {0: 400}
    assert scene.mirror.ledger[winner] == 50_000 + 1_000 - 100 - 400
    assert scene.mirror.ledger[outside_of(0)] == 9_000
    assert (scene.fund, scene.mirror.ledger[UNCOVERED]) == (0, 0)


@pytest.mark.parametrize("side", SIDES)
def test_a_list_in_which_adl_stands_first_asks_no_fund(side: int) -> None:
    """ADL before the fund: the counterparty pays all, and STAGE says why."""
    scene = Scene(venue((Stage.ADL, Stage.FUND, Stage.TEAR_UP))._replace(solvent_pay_first=True), side)
    scene.cash(FUND, 10_000)
    _, winner = pair(scene, 10, 1_000, 100_000)
    assert support(scene.mark(850)) == [(SupportLimit.STAGE, Cause.SUPPORT, 0, 500)]
    assert scene.mirror.ledger[winner] == 101_000
    assert scene.fund == 10_000


# -- how many lots ---------------------------------------------------------------------------------


def test_the_number_of_lots_is_found_in_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million lots of which caps allow a part: at most one pass for each binary digit."""
    tiers = (TierRules(0, 100_000, 50_000), TierRules(1_000_000_000, 200_000, 100_000))
    contract = Contract(MarketRules(1, 1 << 20, 1 << 24, tiers, (1_000,), 20_000), 1_000)
    defaulter = Portfolio(-5_000_000_000, (Holding(0, contract, 10_000_000, 10_000_000_000, 0),), LevelRules())
    shorts = [Holding(0, contract, -10_000_000 // 50, -10_000_000_000 // 50, 0) for _ in range(50)]
    counterparties = tuple(
        Counterparty(number, short, Portfolio(60_000_000, (short,), LevelRules())) for number, short in enumerate(shorts, 1)
    )
    fund = FundView(0, 0, 0, NO_CAP, 0, 0, NO_CAP, 0, 0, NO_CAP, 0, 0, 0, supports=True)
    passes = list[int]()
    fits = Wave.fits

    def counted(wave: Wave, lots: int) -> bool:
        passes.append(lots)
        return fits(wave, lots)

    monkeypatch.setattr(Wave, "fits", counted)
    way_out = Exit(Book(contract, True, (), -1, BreakerState.OPEN, 0, 1_000, 1_000), 0)
    wave = Wave(0, (Defaulter(0, 0, defaulter, fund, way_out),), counterparties)
    lots = wave.lots()
    assert 0 < lots < 10_000_000
    assert len(passes) <= 25
    assert sum(wave.caps(lots, wave.placed(lots)[0].support.beyond).values()) >= lots
    assert not fits(wave, lots + 1)
