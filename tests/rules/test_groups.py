"""Each market group bears its own losses, and a cap only delays what its fund pays.

Every scene runs the engine and the reference side by side, with all invariants looked at after each
event. Slots of the funds last a second, their window 16.
"""

from __future__ import annotations

import pytest

from backstop.core.events import NEVER_NS, NONE, BreakerCause, Cause, EffectKind, EventKind, Reject, Stage, Transfer, fund_of, uncovered_of
from backstop.core.instruments import NO_CAP, AssetRules, FundRules, FundsRules, VenueRules
from backstop.core.timers import next_wait_ns
from backstop.reference.deficit import Part, parts_of
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue

F, C, K = EffectKind, Cause, EventKind
FLAT = (Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)
WINDOW = 16 * SECOND


def rules_of(
    groups: tuple[int, ...] = (0, 1),
    *,
    stages: tuple[int, ...] = FLAT,
    cap: int = NO_CAP,
    market_cap: int = NO_CAP,
    owner_cap: int = NO_CAP,
    target: int = NO_CAP,
    recovery_ns: int = 3_600 * SECOND,
) -> VenueRules:
    """Return a venue with a market for each number in ``groups``."""
    shared = FundsRules(window_ns=WINDOW, recovery_interval_ns=recovery_ns)
    rules = venue(stages, markets=len(groups), fund=shared, asset=AssetRules(owner_loss_max=owner_cap))
    markets = (market._replace(group=group, loss_per_window_max=market_cap) for market, group in zip(rules.markets, groups, strict=True))
    return rules._replace(markets=tuple(markets), funds=(FundRules(cap, target),) * (1 + max(groups)))


def postings(effects: list[Effect], *causes: Cause) -> list[tuple[int, ...]]:
    """Payer, receiver, amount and market of the postings of some causes."""
    return [(row.other, row.account, row.amount, row.market) for row in of(effects, F.POSTING) if row.code in causes]


def balance(scene: Scene, group: int) -> int:
    """Balance of a group's fund."""
    return scene.mirror.ledger[fund_of(group)]


def charge(scene: Scene, account: int, amount: int, market: int = NONE) -> list[Effect]:
    """Take a funding payment that names a market, or none."""
    return scene.send(K.TRANSFER, account=account, code=int(Transfer.FUNDING), market=market, amount=-amount)


def until(scene: Scene, seconds: int) -> list[Effect]:
    """Send a CLOCK whenever the engine asks for one, for so long; return what came of it."""
    end, found = scene.time_ns + seconds * SECOND, list[Effect]()
    while (due := int(next_wait_ns(scene.watch.state))) <= end:
        assert due == scene.watch.reference.next_time_ns()
        found += scene.at(due).send(K.CLOCK)
    scene.time_ns = end
    return found


# -- whose loss it is ------------------------------------------------------------------------------


def group_of(market: int) -> int:
    """Two markets per group."""
    return market // 2


@pytest.mark.parametrize(
    ("results", "closed", "charged", "right"),
    [
        # By result: gains within a group count against its losses, those of another group do not.
        ({0: -30, 2: -20, 3: -40}, [], NONE, [(0, 0, 33), (1, 2, 22), (1, 3, 45)]),
        ({0: -30, 1: 20, 2: -20, 3: 50}, [], NONE, [(0, 0, 100)]),
        ({0: -30, 1: 20, 2: -10}, [0], 3, [(0, 0, 50), (1, 2, 50)]),
        # No group lost: equally over what was closed, the odd atom to the lower group and market.
        ({0: 0, 1: 5, 2: 0}, [2, 1, 0], 3, [(0, 0, 25), (0, 1, 25), (1, 2, 50)]),
        ({0: -5, 1: 5}, [3], NONE, [(1, 3, 100)]),
        # Nothing closed: the market of the last charge, else group 0.
        ({}, [], 3, [(1, 3, 100)]),
        ({2: 7}, [], NONE, [(0, NONE, 100)]),
    ],
)
def test_a_deficit_is_split_by_what_each_group_lost(
    results: dict[int, int], closed: list[int], charged: int, right: list[tuple[int, ...]]
) -> None:
    """100 of deficit: by result, else by what the default closed, else where the charge was."""
    assert parts_of(100, results, closed, charged, group_of) == [Part(*part) for part in right]


@pytest.mark.parametrize("market", [NONE, 0, 1])
def test_a_charge_of_an_account_that_lost_nothing_is_its_markets(market: int) -> None:
    """An account without any position owes a charge of 50: the fund of the market that the charge
    named pays, of group 0 where it named none. Fund 1 has 20: 30 stay uncovered in its group.
    """
    scene = Scene(rules_of(), 1)
    scene.cash(fund_of(0), 1_000)
    scene.cash(fund_of(1), 20)
    account = scene.open(0)
    effects = charge(scene, account, 50, market)
    group = max(0, market)
    paid = 20 if group else 50
    assert postings(effects, C.DEFICIT) == [(fund_of(group), account, paid, market)]
    assert postings(effects, C.UNCOVERED) == ([(uncovered_of(1), account, 30, NONE)] if group else [])
    assert [(row.other, row.amount) for row in of(effects, F.RESIDUAL)] == ([(1, 30)] if group else [])


def test_a_charge_waits_with_its_market() -> None:
    """A positive funding payment is no charge: the market of the last one stays."""
    scene = Scene(rules_of(), 1)
    scene.cash(fund_of(0), 1_000)
    account = scene.open(10)
    charge(scene, account, 5, market=1)
    scene.send(K.TRANSFER, account=account, code=int(Transfer.FUNDING), market=0, amount=1)
    assert scene.watch.state.charge_markets[account] == 1
    (refusal,) = scene.send(K.TRANSFER, account=account, code=int(Transfer.FUNDING), market=7, amount=-1)
    assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.UNKNOWN_MARKET)


@pytest.mark.parametrize("side", SIDES)
def test_the_fund_of_a_quiet_market_pays_no_deficit_of_another(side: int) -> None:
    """Long 10 in a quiet market (group 0) and 100 in one of group 1 that falls from 1,000 to 800: of
    12,000, -8,000 are left. The account leaves the falling market by its own trade while its order in
    the quiet one is out; that fills at mark.

    Group 1 lost 20,000, group 0 nothing: fund 1 pays all 8,000, fund 0 nothing.
    """
    scene = Scene(rules_of(stages=(Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)), side)
    for group in (0, 1):
        scene.cash(fund_of(group), 100_000)
        scene.depth(1_000, market=group)
    account, other = scene.open(12_000), scene.open(1_000_000)
    scene.trade(account, 10, FIRST_MARK)
    scene.trade(account, 100, FIRST_MARK, market=1)
    orders = {row.market: row.other for row in of(scene.mark(800, market=1), F.ORDER)}
    effects = scene.trade(account, -100, 800, other=other, market=1)
    effects += scene.fill(orders[0], 10, FIRST_MARK) + scene.done(orders[0])
    effects += until(scene, 60)
    assert {payer for payer, *_ in postings(effects, C.DEFICIT)} == {fund_of(1)}
    assert (100_000 - balance(scene, 0), 100_000 - balance(scene, 1)) == (0, 8_000)
    assert scene.mirror.equity(account) == 0


@pytest.mark.parametrize("side", SIDES)
def test_only_winners_of_the_group_bear_its_loss(side: int) -> None:
    """An account loses 900 in market 1, by its own trade at 800. Fund 1 has 300, and the winner of
    market 1 gained 400 against OUTSIDE: it bears 400, and 200 stay uncovered in group 1.

    The winner of market 0, richer, and fund 0 pay nothing. The claim is on group 1, and what fund 1
    earns goes to what is uncovered first.
    """
    scene = Scene(rules_of(target=0, recovery_ns=4 * SECOND), side)
    scene.cash(fund_of(0), 1_000)
    scene.cash(fund_of(1), 300)
    rich, winner, loser = scene.open(10_000), scene.open(10_000), scene.open(1_100)
    scene.trade(rich, 50, FIRST_MARK - 100)
    scene.trade(winner, 4, FIRST_MARK - 100, market=1)
    scene.trade(loser, 10, FIRST_MARK, market=1)
    effects = scene.trade(loser, -10, 800, market=1)
    assert postings(effects, C.DEFICIT) == [(fund_of(1), loser, 300, 1)]
    assert [(row.account, row.amount, row.market) for row in of(effects, F.HAIRCUT)] == [(winner, 400, 1)]
    assert [(row.account, row.other, row.amount) for row in of(effects, F.CLAIM)] == [(winner, 1, 400)]
    assert postings(effects, C.UNCOVERED) == [(uncovered_of(1), loser, 200, NONE)]
    assert (balance(scene, 0), balance(scene, 1)) == (1_000, 0)
    # Group 0's surplus of 1,000 pays no claim on group 1. Of 250 for fund 1, 200 are owed first.
    assert postings(until(scene, 20), C.RECOVERY) == []
    effects = scene.cash(fund_of(1), 250) + until(scene, 20)
    assert postings(effects, C.ARREARS) == [(fund_of(1), uncovered_of(1), 200, NONE)]
    assert postings(effects, C.RECOVERY) == [(fund_of(1), winner, 50, NONE)]
    assert scene.mirror.accounts[winner].claims[1] == 350
    assert (balance(scene, 0), balance(scene, 1), scene.mirror.uncovered(1)) == (1_000, 0, 0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("rest", [0, 1])
def test_cash_leaves_in_a_fund_what_its_group_owes(side: int, rest: int) -> None:
    """Claims of 400 on group 1 and 200 uncovered there: of 1,000 paid in, 400 may leave fund 1,
    not an atom more. Fund 0, which owes nothing, may be emptied.
    """
    scene = Scene(rules_of(cap=100, target=NO_CAP), side)
    scene.cash(fund_of(0), 1_000)
    winner, loser = scene.open(10_000), scene.open(1_100)
    scene.trade(winner, 4, FIRST_MARK - 100, market=1)
    scene.trade(loser, 10, FIRST_MARK, market=1)
    scene.trade(loser, -10, 830, market=1)
    assert (scene.mirror.claims_on(1), scene.mirror.uncovered(1)) == (400, 200)
    scene.at(scene.time_ns).cash(fund_of(1), 1_000)  # in the same slot, so that no arrears are paid on the way
    effects = scene.at(scene.time_ns).cash(fund_of(1), -400 - rest)
    assert bool(of(effects, F.REFUSAL)) == bool(rest)
    assert not of(scene.cash(fund_of(0), -1_000), F.REFUSAL)


# -- what a cap keeps back -------------------------------------------------------------------------


def test_what_a_cap_keeps_back_is_paid_as_the_window_frees() -> None:
    """Cap 100, deficit 250, fund 1,000: 100 at once, 150 uncovered and no halt. 100 more when the
    first 100 are 17 slots old, then the last 50: the driver is woken for each, then for nothing.
    """
    scene = Scene(rules_of((0,), cap=100), 1)
    scene.cash(fund_of(0), 1_000)
    account = scene.open(0)
    effects = charge(scene, account, 250, market=0)
    first = scene.time_ns // SECOND
    assert postings(effects, C.DEFICIT) == [(fund_of(0), account, 100, 0)]
    assert postings(effects, C.UNCOVERED) == [(uncovered_of(0), account, 150, NONE)]
    assert of(effects, F.BREAKER) == []
    late = []
    for _ in range(60):
        if int(next_wait_ns(scene.watch.state)) == NEVER_NS:
            break
        late += [(scene.time_ns // SECOND - first, *row) for row in postings(until(scene, 1), C.ARREARS)]
    assert late == [(17, fund_of(0), uncovered_of(0), 100, NONE), (34, fund_of(0), uncovered_of(0), 50, NONE)]
    assert (balance(scene, 0), scene.mirror.uncovered(0)) == (750, 0)
    assert int(next_wait_ns(scene.watch.state)) == NEVER_NS


def test_the_first_money_of_an_empty_fund_goes_to_what_is_uncovered() -> None:
    """Fund 0, 100 uncovered, target 12,000,000: of 1,000 that come in, 100 are paid in the next
    slot, though there is no surplus. Until money comes, the engine asks to be woken for nothing.
    """
    scene = Scene(rules_of((0,), target=12_000_000), 1)
    account = scene.open(0)
    effects = charge(scene, account, 100)
    assert postings(effects, C.UNCOVERED) == [(uncovered_of(0), account, 100, NONE)]
    assert int(next_wait_ns(scene.watch.state)) == NEVER_NS
    scene.at(scene.time_ns).send(K.TRANSFER, account=fund_of(0), amount=1_000)
    assert int(next_wait_ns(scene.watch.state)) == (scene.time_ns // SECOND + 1) * SECOND
    assert postings(until(scene, 1), C.ARREARS) == [(fund_of(0), uncovered_of(0), 100, NONE)]
    assert balance(scene, 0) == 900


@pytest.mark.parametrize("fund", [150, 149])
def test_a_deficit_halts_only_where_the_fund_cannot_pay(fund: int) -> None:
    """Cap 50, a loss of 150 in market 1: with 150 the fund will pay all of it, and nothing halts;
    with 149 it lacks an atom, and the market halts.
    """
    scene = Scene(rules_of((0, 0), cap=50, stages=(Stage.FUND, Stage.TEAR_UP)), 1)
    scene.cash(fund_of(0), fund)
    account = scene.open(1_100)
    scene.trade(account, 10, FIRST_MARK, market=1)
    effects = scene.trade(account, -10, 875, market=1)
    assert postings(effects, C.DEFICIT, C.UNCOVERED) == [(fund_of(0), account, 50, 1), (uncovered_of(0), account, 100, NONE)]
    halts = [(row.market, row.lots) for row in of(effects, F.BREAKER)]
    assert halts == ([] if fund == 150 else [(1, BreakerCause.DEFICIT)])


def test_a_cap_of_nothing_halts() -> None:
    """A cap of 0 is no delay: what it keeps back is never paid, so the market halts."""
    scene = Scene(rules_of((0,), market_cap=0, stages=(Stage.FUND, Stage.TEAR_UP)), 1)
    scene.cash(fund_of(0), 1_000)
    account = scene.open(1_100)
    scene.trade(account, 10, FIRST_MARK)
    effects = scene.trade(account, -10, 880)
    assert [(row.market, row.lots) for row in of(effects, F.BREAKER)] == [(0, BreakerCause.DEFICIT)]


@pytest.mark.parametrize("side", SIDES)
def test_a_market_has_a_cap_of_its_own(side: int) -> None:
    """60 per market and window, two markets of one group, no other cap: losses of 100 in each cost
    the fund 60 and 60; the rest waits, and comes at most 60 per window in all.
    """
    scene = Scene(rules_of((0, 0), market_cap=60, stages=(Stage.FUND, Stage.TEAR_UP)), side)
    scene.cash(fund_of(0), 1_000)
    paid = []
    for market in (0, 1):
        account = scene.open(1_100)
        scene.trade(account, 10, FIRST_MARK, market=market)
        paid += postings(scene.trade(account, -10, 880, market=market), C.DEFICIT)
    assert [(amount, market) for _, _, amount, market in paid] == [(60, 0), (60, 1)]
    late = []
    for _ in range(80):
        late += [(scene.time_ns, row[2]) for row in postings(until(scene, 1), C.ARREARS)]
    assert sum(amount for _, amount in late) == 80
    assert all(sum(amount for at, amount in late if start <= at <= start + WINDOW) <= 60 for start, _ in late)
    assert (balance(scene, 0), scene.mirror.uncovered(0)) == (800, 0)


@pytest.mark.parametrize("side", SIDES)
def test_an_order_is_supported_within_the_cap_of_its_market(side: int) -> None:
    """Insolvent, long 10 of 900: an order may be promised what the market's cap leaves, 40 of the
    fund's 1,000, and what is reserved counts in that market alone.
    """
    scene = Scene(rules_of((0, 0), market_cap=40, stages=(Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)), side)
    scene.cash(fund_of(0), 1_000)
    scene.depth(100)
    account = scene.open(1_000)
    scene.trade(account, 10, FIRST_MARK)
    effects = scene.mark(897)
    reserved = sum(row.amount for row in of(effects, F.RESERVE))
    assert 0 < reserved <= 40
    assert [int(row.reserved) for row in scene.watch.state.markets] == [reserved, 0]
