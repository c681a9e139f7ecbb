"""What a fund pays is a debt: it makes no defaulter and no owner richer. Worked cases, on engine
and reference together, with every invariant.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Cause, EffectKind, EventKind, Health, Reject, Stage, Transfer, fund_of
from backstop.core.instruments import FundRules, FundsRules
from backstop.reference.records import Effect
from backstop.reference.state import CLOSING_ORDER
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue

F, C = EffectKind, Cause
SUPPORTED = (Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)
DAY = 86_400 * SECOND


def scene_of(side: int, fund: int = 100_000, **rules: object) -> Scene:
    """Return a scene with a fund and a deep book in each of two markets."""
    scene = Scene(venue(**({"stages": SUPPORTED, "markets": 2} | rules)), side)  # type: ignore[arg-type]
    if fund:
        scene.cash(FUND, fund)
    for market in range(len(scene.rules.markets)):
        scene.depth(10_000, market=market)
    return scene


def postings(effects: list[Effect], *causes: Cause) -> list[tuple[int, int, int]]:
    """Return (receiver, payer, amount) of the postings with some causes."""
    return [(row.account, row.other, row.amount) for row in of(effects, F.POSTING) if row.code in causes]


def credit(scene: Scene, account: int, amount: int) -> list[Effect]:
    """Pay funding to an account."""
    return scene.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=amount)


def owed(scene: Scene, account: int) -> list[int]:
    """Return the engine's debts of an account, by group."""
    return [int(atoms) for atoms in scene.watch.state.debts[account]]


def insolvent_in_one_of_two(scene: Scene) -> tuple[int, int, int]:
    """Return an account with equity -2,000 and an order out in each market: it, and the orders."""
    account = scene.open(19_900)
    scene.trade(account, 100, FIRST_MARK)
    scene.trade(account, 100, FIRST_MARK, market=1)
    scene.mark(FIRST_MARK - 219)
    assert scene.mirror.equity(account) == -2_000
    first, second = sorted(scene.open_ids(CLOSING_ORDER), key=lambda order: scene.mirror.orders[order].market)
    return account, first, second


# -- returned when the default ends, or when the account is flat -----------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_what_another_market_brings_goes_back_first(side: int) -> None:
    """The order of market 0, which lost, fills and the fund pays the deficit; market 1 rises by a
    tenth. She keeps 8,000, not that and what the fund paid.
    """
    scene = scene_of(side)
    account, first, _ = insolvent_in_one_of_two(scene)
    ((_, _, paid),) = postings(scene.fill(first, 100, FIRST_MARK - 219), C.SUPPORT)
    assert owed(scene, account) == [paid]
    assert paid == 2_000  # the whole gap: market 1 lost nothing
    effects = scene.mark(FIRST_MARK + 100, market=1)
    assert postings(effects, C.DEBT_RETURN) == [(FUND, account, paid)]
    assert (scene.mirror.equity(account), owed(scene, account), scene.fund) == (8_000, [0], 100_000)


@pytest.mark.parametrize("side", SIDES)
def test_a_return_leaves_the_release_level(side: int) -> None:
    """Where equity is above the release level by less than the debt, that much is returned; the
    rest when the account is flat.
    """
    scene = scene_of(side)
    account, first, _ = insolvent_in_one_of_two(scene)
    ((_, _, paid),) = postings(scene.fill(first, 100, FIRST_MARK - 219), C.SUPPORT)
    effects = scene.mark(FIRST_MARK + 68, market=1)
    release = scene.mirror.portfolio(account).standing.release
    assert scene.mirror.equity(account) == release
    ((_, _, back),) = postings(effects, C.DEBT_RETURN)
    assert 0 < back == 4_800 + paid - release < paid
    assert scene.mirror.health[account] < Health.DISTRESSED
    effects = scene.trade(account, -100, FIRST_MARK + 68, market=1)
    assert postings(effects, C.DEBT_RETURN) == [(FUND, account, paid - back)]
    assert (scene.mirror.equity(account), scene.fund) == (4_800, 100_000)


@pytest.mark.parametrize("side", SIDES)
def test_a_late_fill_returns_debt(side: int) -> None:
    """Half of an order fills at a gap, the venue calls it done, then the other half comes late and
    far better.
    """
    scene = scene_of(side, markets=1, interval_ns=60 * SECOND)
    account = scene.open(900)
    scene.trade(account, 10, FIRST_MARK)
    scene.mark(900)
    (order,) = scene.open_ids(CLOSING_ORDER)
    effects = scene.fill(order, 5, 890)
    ((_, _, paid),) = postings(effects, C.SUPPORT)
    assert paid == 50 + 50
    scene.done(order)
    effects = scene.fill(order, 5, 930)
    assert postings(effects, C.DEBT_RETURN) == [(FUND, account, 100)]
    assert (scene.lots(account), scene.mirror.equity(account)) == (0, 900 - 5 * 110 - 5 * 70)


@pytest.mark.parametrize("how", ["deposit", "funding"])
def test_money_that_comes_to_a_flat_account_returns_its_debt(how: str) -> None:
    """That is also how an owner gets free of a debt before it is forgotten."""
    scene = scene_of(1, markets=1)
    account = scene.open(0)
    assert postings(scene.charge(account, 70), C.DEFICIT) == [(account, FUND, 70)]
    pay_in = scene.cash if how == "deposit" else lambda number, amount: credit(scene, number, amount)
    assert postings(pay_in(account, 50), C.DEBT_RETURN) == [(FUND, account, 50)]
    assert postings(pay_in(account, 50), C.DEBT_RETURN) == [(FUND, account, 20)]
    assert (scene.mirror.equity(account), owed(scene, account)) == (30, [0])
    assert not of(scene.cash(account, -30), F.REFUSAL)


def test_a_debt_is_returned_to_the_funds_that_paid() -> None:
    """A charge of 30 in group 0, one of 71 in group 1; 50 come back pro rata, by largest
    remainder.
    """
    rules = venue(SUPPORTED, markets=2)
    rules = rules._replace(markets=(rules.markets[0], rules.markets[1]._replace(group=1)), funds=(FundRules(), FundRules()))
    scene = Scene(rules, 1)
    for group in (0, 1):
        scene.cash(fund_of(group), 1_000)
    account = scene.open(0)
    for market, amount in ((0, 30), (1, 71)):
        effects = scene.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), market=market, amount=-amount)
        assert postings(effects, C.DEFICIT) == [(account, fund_of(market), amount)]
    # 50 x 30 / 101 = 14.85, 50 x 71 / 101 = 35.15.
    assert postings(credit(scene, account, 50), C.DEBT_RETURN) == [(FUND, account, 15), (fund_of(1), account, 35)]
    assert owed(scene, account) == [15, 36]


def test_a_return_lowers_no_gauge() -> None:
    """A fund that paid its cap within a window pays nothing more, though it got all of it back."""
    scene = scene_of(1, markets=1, cap=70, stages=(Stage.FUND, Stage.TEAR_UP))
    account, other = scene.open(0), scene.open(0)
    scene.charge(account, 70)
    assert postings(credit(scene, account, 70), C.DEBT_RETURN) == [(FUND, account, 70)]
    effects = scene.charge(other, 10)
    assert (postings(effects, C.DEFICIT), [row.amount for row in of(effects, F.RESIDUAL)]) == ([], [10])


# -- linked owners are netted before every payment -------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_twin_that_gains_before_the_fill_pays_it(side: int) -> None:
    """Equity -20 and an order out; the twin gets 40 before it fills at a gap of 12 more: the fund
    pays nothing.
    """
    scene = scene_of(side, markets=1)
    account, twin = scene.open(980, owner=7), scene.open(0, owner=7)
    scene.trade(account, 10, FIRST_MARK)
    scene.mark(900)
    assert scene.mirror.equity(account) == -20
    (order,) = scene.open_ids(CLOSING_ORDER)
    credit(scene, twin, 40)
    effects = scene.fill(order, 10, 899)
    assert postings(effects, C.NETTING, C.SUPPORT) == [(account, twin, 30)]
    released = [row.amount for row in of(effects, F.RESERVE)]
    assert released[0] == -30
    scene.done(order)
    assert (scene.mirror.equity(twin), scene.mirror.equity(account), scene.fund) == (10, 0, 100_000)
    assert sum(scene.mirror.reserved.values()) == 0


@pytest.mark.parametrize("side", SIDES)
def test_an_account_that_its_market_saved_gets_no_support(side: int) -> None:
    """Insolvent when the order left, solvent when half of it fills 10 below zero cash: it bears the
    gap.
    """
    scene = scene_of(side, markets=1)
    account = scene.open(980)
    scene.trade(account, 10, FIRST_MARK)
    scene.mark(900)
    (order,) = scene.open_ids(CLOSING_ORDER)
    scene.mark(906)
    effects = scene.fill(order, 5, 900)
    assert postings(effects, C.SUPPORT) == []
    assert next(row.amount for row in of(effects, F.RESERVE)) == -10
    assert (scene.mirror.equity(account), scene.fund) == (980 - 5 * 100 - 5 * 94, 100_000)


def test_netting_takes_what_a_twin_got_in_the_same_event() -> None:
    """A deficit that comes while a twin's equity is locked in an order: the order goes, the twin
    pays, the fund the rest.
    """
    scene = scene_of(1)
    loser, twin = scene.open(0, owner=7), scene.open(1_100, owner=7)
    scene.trade(twin, 10, FIRST_MARK, market=1)
    scene.mark(930, market=1)
    assert scene.open_ids(CLOSING_ORDER)
    effects = scene.charge(loser, 500)
    assert postings(effects, C.NETTING, C.DEFICIT) == [(loser, twin, 400), (loser, FUND, 100)]
    assert owed(scene, loser) == [100]


# -- what is not returned limits the owner's withdrawals -------------------------------------------


def loss_first_gain_later(scene: Scene) -> tuple[int, int]:
    """One account of an owner costs the fund 3,900, its twin gains 5,000 afterwards."""
    loser = scene.open(1_100, owner=7)
    scene.trade(loser, 10, FIRST_MARK)
    scene.mark(500)
    (order,) = scene.open_ids(CLOSING_ORDER)
    scene.fill(order, 10, 500)
    scene.done(order)
    winner = scene.open(1_100, owner=7)
    scene.trade(winner, -10, FIRST_MARK, market=1)
    scene.trade(winner, 10, 500, market=1)
    return loser, winner


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("then", ["returned", "forgotten"])
def test_a_later_gain_stays_until_the_debt_is_returned_or_forgotten(side: int, then: str) -> None:
    """What the fund paid for one account does not leave through the other."""
    scene = scene_of(side, fund=10_000)
    loser, winner = loss_first_gain_later(scene)
    cost, has = 10_000 - scene.fund, scene.mirror.equity(winner)
    assert (cost, has) == (3_900, 6_100)
    assert sum(owed(scene, loser)) == cost
    (refusal,) = scene.cash(winner, -(has - cost + 1))
    assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.DEBT_TO_FUND)
    assert not of(scene.cash(winner, -(has - cost)), F.REFUSAL)
    paid_ns = scene.mirror.payments[-1].time_ns
    if then == "returned":
        assert of(scene.cash(winner, -cost), F.REFUSAL)
        assert postings(scene.cash(loser, cost), C.DEBT_RETURN) == [(FUND, loser, cost)]
    else:
        scene.at(paid_ns + DAY).send(EventKind.CLOCK)
        assert of(scene.at(paid_ns + DAY).cash(winner, -cost), F.REFUSAL)
        scene.at(paid_ns + DAY + 1).send(EventKind.CLOCK)
    assert not of(scene.cash(winner, -cost), F.REFUSAL)
    assert scene.fund == (10_000 if then == "returned" else 10_000 - cost)


def test_what_other_accounts_could_withdraw_covers_the_debt() -> None:
    """The debt is the owner's: two rich accounts need not both keep it back."""
    scene = scene_of(1, markets=1)
    debtor = scene.open(0, owner=7)
    scene.charge(debtor, 100)
    rich, richer = scene.open(150, owner=7), scene.open(1_000, owner=7)
    assert not of(scene.cash(richer, -1_000), F.REFUSAL)
    assert [row.code for row in of(scene.cash(rich, -51), F.REFUSAL)] == [Reject.DEBT_TO_FUND]
    assert not of(scene.cash(rich, -50), F.REFUSAL)


def test_a_forgotten_debt_does_not_come_back_with_the_next() -> None:
    """After a day without a payment an owner starts anew."""
    scene = scene_of(1, markets=1)
    account = scene.open(0)
    scene.charge(account, 100)
    scene.at(scene.time_ns + 2 * DAY).send(EventKind.CLOCK)
    scene.charge(account, 30)
    assert owed(scene, account) == [30]
    assert postings(scene.cash(account, 200), C.DEBT_RETURN) == [(FUND, account, 30)]


def test_the_memory_is_the_venues() -> None:
    """The venue file says for how long."""
    rules = venue(SUPPORTED, fund=FundsRules(owner_memory_ns=5 * SECOND))
    scene = Scene(rules, 1)
    scene.cash(FUND, 1_000)
    account = scene.open(0)
    scene.charge(account, 100)
    scene.clock(6)
    assert postings(scene.cash(account, 200), C.DEBT_RETURN) == []


# -- claims are set off ----------------------------------------------------------------------------


def claimant_of_thirty(scene: Scene) -> int:
    """Return a flat account without equity whose gain was cut by 30."""
    loser, winner = scene.open(970), scene.open(2_000, owner=7)
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    scene.mark(900)
    assert (scene.lots(winner), scene.mirror.accounts[winner].claims[0]) == (0, 30)
    scene.cash(winner, -scene.mirror.equity(winner))
    return winner


@pytest.mark.parametrize("side", SIDES)
def test_a_payment_lowers_the_owners_claims(side: int) -> None:
    """A claim of 30, a deficit of 20: the fund pays 20, the claim is 10, and nothing is owed for
    it. The next 25: 10 are set off, 15 are a debt.
    """
    scene = scene_of(side, fund=0, markets=1, stages=(Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP))
    winner = claimant_of_thirty(scene)
    scene.cash(FUND, 100)
    effects = scene.charge(winner, 20)
    assert postings(effects, C.DEFICIT) == [(winner, FUND, 20)]
    assert [(row.account, row.amount, row.value) for row in of(effects, F.CLAIM)] == [(winner, -20, 10)]
    assert owed(scene, winner) == [0]
    effects = scene.charge(winner, 25)
    assert [(row.account, row.amount, row.value) for row in of(effects, F.CLAIM)] == [(winner, -10, 0)]
    assert (owed(scene, winner), scene.fund) == ([15], 55)


def test_a_payment_for_one_account_lowers_the_claims_of_its_twins() -> None:
    """Claims are the owner's: another account of his is paid for, the claim falls."""
    scene = scene_of(1, fund=0, markets=1, stages=(Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP))
    winner = claimant_of_thirty(scene)
    twin = scene.open(0, owner=7)
    scene.cash(FUND, 100)
    effects = scene.charge(twin, 50)
    assert [(row.account, row.amount, row.value) for row in of(effects, F.CLAIM)] == [(winner, -30, 0)]
    assert (owed(scene, twin), owed(scene, winner)) == ([20], [0])
