"""Nobody carries gains out of a market in which an insolvency waits that the fund cannot pay. Worked
cases, on engine and reference together, with every invariant.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, EffectKind, EventKind, Health, Operator, Reject, Stage, Transfer
from backstop.core.instruments import AssetRules, BreakerRules, FundRules, FundsRules
from backstop.reference.shortfalls import gap_of_market, held_gains, shortfall
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue

STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.SOCIALISE, Stage.TEAR_UP)
HALTS = {"price_throttle_ppm": 80_000, "price_halt_ppm": 250_000, "price_exit_ppm": 40_000}
WAITS = BreakerRules(halt_wait_max_ns=20 * SECOND)


def scene_of(side: int, fund: int = 0, markets: int = 1, asset: AssetRules | None = None, **shared: int) -> Scene:
    """Return a scene whose markets halt at a fall of 25 %, in which ADL waits for 20 s."""
    rules = venue(STAGES, markets=markets, market=HALTS, fund=FundsRules(**shared), breakers=WAITS, asset=asset)  # type: ignore[arg-type]
    scene = Scene(rules, side)
    if fund:
        scene.cash(FUND, fund)
    return scene


def pair(scene: Scene, deposit: int = 1_000, lots: int = 10) -> tuple[int, int]:
    """Return a loser and a winner who hold each other's lots."""
    loser, winner = scene.open(deposit), scene.open(deposit)
    scene.trade(loser, lots, FIRST_MARK, other=winner)
    return loser, winner


def refused(scene: Scene, account: int, amount: int) -> list[int]:
    """Try a withdrawal; return the reasons of its refusal."""
    return [row.code for row in of(scene.cash(account, -amount), EffectKind.REFUSAL)]


def most(scene: Scene, account: int, amount: int) -> None:
    """Check that exactly so much may leave; it does."""
    assert refused(scene, account, amount + 1) == [Reject.GAIN_HELD]
    assert refused(scene, account, amount) == []


@pytest.mark.parametrize("side", SIDES)
def test_a_winner_waits_for_the_insolvent_account(side: int) -> None:
    """A fall of 30 % halts the market: the loser lacks 2,000, the winner has 4,000 and gained
    3,000. All but 2,000 and his initial margin may leave, and then ADL leaves nothing uncovered.
    """
    scene = scene_of(side)
    loser, winner = pair(scene)
    scene.mark(700)
    assert (scene.mirror.equity(loser), shortfall(scene.watch.reference.state, 0)) == (-2_000, 2_000)
    margin = scene.mirror.portfolio(winner).initial
    assert refused(scene, winner, 4_000 - margin) == [Reject.GAIN_HELD]
    most(scene, winner, 2_000 - margin)
    for _ in range(30):
        scene.clock()
    assert scene.mirror.uncovered(0) == 0
    assert scene.lots(loser) == scene.lots(winner) == 0
    assert held_gains(scene.watch.reference.state, winner) == 0


@pytest.mark.parametrize("side", SIDES)
def test_a_realised_gain_is_held_too(side: int) -> None:
    """The winner closes with a friend on the other side, in the halted market, and has 4,000 and no
    position: 2,000 of it may leave.
    """
    scene = scene_of(side)
    _, winner = pair(scene)
    friend, other = scene.open(10_000), scene.open(10_000)
    scene.trade(friend, 10, FIRST_MARK, other=other)
    scene.mark(700)
    scene.trade(winner, 10, 700, other=friend)
    assert (scene.lots(winner), scene.mirror.equity(winner)) == (0, 4_000)
    most(scene, winner, 2_000)


@pytest.mark.parametrize("side", SIDES)
def test_gains_moved_between_an_owners_accounts_are_held(side: int) -> None:
    """The winner's second account lost 1,500 and takes lots from him at a bad price: what his accounts
    gained together is held, in whichever it lies.
    """
    scene = scene_of(side)
    _, winner = pair(scene)
    second = scene.open(10_000, owner=winner)
    scene.trade(second, 5, FIRST_MARK)
    scene.mark(700)
    scene.trade(winner, 5, 900, other=second)
    assert [scene.mirror.results(account)[0] for account in (winner, second)] == [2_000, -500]
    assert held_gains(scene.watch.reference.state, winner) == 1_500
    spare = scene.mirror.equity(winner) - scene.mirror.portfolio(winner).initial
    assert refused(scene, winner, spare) == []
    most(scene, second, scene.mirror.equity(second) - 1_500)


@pytest.mark.parametrize("side", SIDES)
def test_what_the_fund_can_pay_holds_nothing(side: int) -> None:
    """The fund has 1,500 of the 2,000: 500 are held; with 2,000 nothing is. Caps do not count: what
    only a cap keeps back will be paid.
    """
    for fund, cap, held in ((1_500, 1 << 60, 500), (2_000, 1 << 60, 0), (2_000, 1, 0)):
        scene = scene_of(side, fund, asset=AssetRules(owner_loss_max=cap))
        _, winner = pair(scene)
        scene.mark(700)
        assert held_gains(scene.watch.reference.state, winner) == held


@pytest.mark.parametrize("side", SIDES)
def test_other_money_stays_free(side: int) -> None:
    """Who gained nothing there, and who gained less than what lacks, leaves with all that is his
    own; top-ups and trades that reduce are never refused.
    """
    scene = scene_of(side, markets=2)
    loser, winner = pair(scene)
    stranger = scene.open(500)
    scene.trade(stranger, -1, FIRST_MARK, market=1)
    scene.mark(700)
    scene.mark(900, market=1)
    margin = scene.mirror.portfolio(stranger).initial
    assert refused(scene, stranger, scene.mirror.equity(stranger) - margin) == []
    scene.send(EventKind.TRANSFER, account=winner, code=int(Transfer.FUNDING), amount=5_000)
    most(scene, winner, scene.mirror.equity(winner) - scene.mirror.portfolio(winner).initial - 2_000)
    assert of(scene.trade(winner, 5, 700), EffectKind.REFUSAL) == []
    assert of(scene.cash(loser, 500), EffectKind.REFUSAL) == []
    assert shortfall(scene.watch.reference.state, 0) == 1_500


@pytest.mark.parametrize("side", SIDES)
def test_a_gap_moves_with_the_mark_between_two_looks(side: int) -> None:
    """The loser waits 1 s; a mark a moment later counts at once."""
    scene = scene_of(side)
    _, winner = pair(scene)
    scene.mark(700)
    scene.at(scene.time_ns + 1).mark(650)
    assert gap_of_market(scene.watch.reference.state, 0) == 2_500
    assert held_gains(scene.watch.reference.state, winner) == 2_500


@pytest.mark.parametrize("side", SIDES)
def test_it_ends_with_the_insolvency(side: int) -> None:
    """The loser tops up: what is left to take back is free."""
    scene = scene_of(side)
    loser, winner = pair(scene)
    scene.mark(700)
    scene.cash(loser, 2_000)
    assert scene.mirror.accounts[loser].health == Health.CLOSE_OUT
    assert refused(scene, winner, 4_000 - scene.mirror.portfolio(winner).initial) == []


@pytest.mark.parametrize("side", SIDES)
def test_it_ends_at_the_latest_after_its_time(side: int) -> None:
    """An account that is in default for longer than the time holds nothing back, where it stands
    still; one that fails later has a time of its own.
    """
    scene = scene_of(side, hold_withdrawals_max_ns=10 * SECOND)
    _, winner = pair(scene)
    scene.mark(700)
    scene.clock(10)
    assert held_gains(scene.watch.reference.state, winner) == 2_000
    scene.clock(1)
    assert held_gains(scene.watch.reference.state, winner) == 0
    assert scene.mirror.accounts[0].health == Health.INSOLVENT
    assert refused(scene, winner, 2_500) == []


@pytest.mark.parametrize("side", SIDES)
def test_each_market_holds_its_own_gains(side: int) -> None:
    """The loser lacks 2,050 and lost 3,000 in market 0 and 50 in market 1. Who gained in market 1
    keeps its small part of what lacks, no more.
    """
    scene = scene_of(side, markets=2)
    loser, winner = pair(scene)
    outsider = scene.open(5_000)
    scene.trade(loser, -1, FIRST_MARK, market=1, other=outsider)
    scene.send(EventKind.OPERATOR, code=int(Operator.HALT), market=1, amount=60 * SECOND)
    scene.mark(700)
    scene.mark(1_050, market=1)
    assert [gap_of_market(scene.watch.reference.state, market) for market in (0, 1)] == [2_016, 34]
    assert held_gains(scene.watch.reference.state, outsider) == 34
    assert held_gains(scene.watch.reference.state, winner) == 2_016


@pytest.mark.parametrize("side", SIDES)
def test_groups_hold_their_own(side: int) -> None:
    """A fund of another group neither pays nor holds."""
    rules = venue(STAGES, markets=2, market=HALTS, breakers=WAITS)
    first, second = rules.markets
    scene = Scene(rules._replace(markets=(first, second._replace(group=1)), funds=(FundRules(), FundRules())), side)
    _, winner = pair(scene)
    scene.mark(700)
    assert [shortfall(scene.watch.reference.state, group) for group in (0, 1)] == [2_000, 0]
    assert held_gains(scene.watch.reference.state, winner) == 2_000


def test_a_withdrawal_looks_at_no_insolvent_account() -> None:
    """The sum of a market's gaps is kept: what a withdrawal reads does not grow with the number of
    insolvent accounts.
    """
    scene = scene_of(1)
    accounts = [pair(scene, 200, 1) for _ in range(10)]
    scene.mark(700)
    row = scene.watch.state.markets[0]
    assert int(row.gap_atoms) - int(row.gap_lots) * 700 == gap_of_market(scene.watch.reference.state, 0) == 10 * 100
    assert int(row.gap_lots) == 10
    assert held_gains(scene.watch.reference.state, accounts[0][1]) == 300


@pytest.mark.parametrize("side", SIDES)
def test_what_stands_uncovered_goes_on_to_hold_gains(side: int) -> None:
    """The loser sells outside at 700, mark 920, and is flat: 2,000 are uncovered, and nobody is
    insolvent any more. The winner gained 800, which stay until the fund has paid.
    """
    stages = tuple(stage for stage in STAGES if stage != Stage.SOCIALISE)
    scene = Scene(venue(stages, market=HALTS), side)
    loser, winner = pair(scene)
    scene.mark(920)
    scene.trade(loser, -10, 700)
    assert (scene.mirror.equity(loser), scene.mirror.uncovered(0)) == (0, 2_000)
    margin = scene.mirror.portfolio(winner).initial
    most(scene, winner, 1_000 - margin)
    scene.cash(FUND, 5_000)
    for _ in range(60):
        scene.clock(60)
    assert scene.mirror.uncovered(0) == 0
    assert refused(scene, winner, 800) == []
