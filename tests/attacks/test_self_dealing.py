"""Self-dealing: one owner on both sides of a trade, who lets one account fail and takes the gain of
the other.

The fund loses nothing to it: before the fund pays for an account, the owner's other accounts do.
"""

from __future__ import annotations

from random import Random

import pytest

from backstop.core.events import FUND as FUND_ACCOUNT
from backstop.core.events import UNCOVERED, Answer, Cause, EffectKind, EventKind, Health, Reject, fund_of
from backstop.core.instruments import AssetRules, FundRules
from backstop.reference.state import CLOSING_ORDER, TAKEOVER_OFFER
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, WHOLE, Scene, of, provider, venue

F, C = EffectKind, Cause
OWNER = 0
FUND = 500_000


def scene_of(side: int, **rules: object) -> Scene:
    """Return a scene with a rich fund, a deep book and honest traders on both sides."""
    scene = Scene(venue(**rules), side)  # type: ignore[arg-type]
    scene.cash(FUND_ACCOUNT, FUND)
    scene.depth(10_000)
    for lots in (50, -50):
        scene.trade(scene.open(200_000, owner=40 + (lots > 0)), lots, FIRST_MARK)
    return scene


def answer_everything(scene: Scene) -> None:
    """Fill every order at its limit, the worst it may be, and let every provider accept."""
    for _ in range(40):
        orders, offers = scene.open_ids(CLOSING_ORDER), scene.open_ids(TAKEOVER_OFFER)
        if not orders and not offers and all(health < Health.DISTRESSED for health in scene.mirror.health):
            return
        for number in orders:
            order = scene.mirror.orders[number]
            if order.is_open:
                scene.fill(number, order.remaining, scene.price(order.limit_ticks))
                scene.done(number)
        for number in offers:
            scene.answer(number, Answer.ACCEPT)
        # The clock goes first: the next report of depth brings an order, which must be answered
        # before it times out.
        scene.clock(25)
        scene.depth(10_000)
    raise AssertionError("the default does not end")


def take_out(scene: Scene, accounts: list[int]) -> int:
    """Withdraw all that the owner can have; return it."""
    out = 0
    for account in accounts:
        free = scene.mirror.equity(account) - scene.mirror.portfolio(account).initial
        if free > 0 and not of(scene.cash(account, -free), F.REFUSAL):
            out += free
    return out


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fall", [950, 900, 700, 500])
def test_two_legs_of_one_owner_cost_the_fund_nothing(side: int, fall: int) -> None:
    """Percolator's drain: opposite legs, the losing one deep in deficit, the winning one withdrawn.

    Here it pays first.
    """
    scene = scene_of(side)
    loser, winner = scene.open(1_100, OWNER), scene.open(1_100, OWNER)
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    effects = scene.mark(fall)
    answer_everything(scene)
    out = take_out(scene, [loser, winner])
    assert scene.fund >= FUND
    assert out <= 2_200
    paid = [row for row in of(effects, F.POSTING) if row.code == C.NETTING]
    # Ten lots that fall by more than 110 each are beyond what the loser has: its twin gives exactly
    # what lacks.
    lacks = 10 * (FIRST_MARK - fall) - 1_100
    assert sum(row.amount for row in paid) == max(0, lacks)


@pytest.mark.parametrize("side", SIDES)
def test_gain_withdrawn_step_by_step_leaves_nothing_to_take(side: int) -> None:
    """The winner withdraws after every tick; the last tick makes its twin insolvent, and brings it
    that same gain.
    """
    scene = scene_of(side, deadline_ns=1 << 50)
    loser, winner = scene.open(1_010, OWNER), scene.open(1_010, OWNER)
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    out = 0
    for ticks in range(FIRST_MARK - 1, 700, -1):
        scene.mark(ticks)
        out += take_out(scene, [winner])
    answer_everything(scene)
    out += take_out(scene, [loser, winner])
    assert scene.fund >= FUND
    assert out <= 2_020


@pytest.mark.parametrize("side", SIDES)
def test_winner_does_not_leave_while_its_twin_waits_for_the_book(side: int) -> None:
    """The loser is distressed and its order on the book when the gap comes: within its interval it is
    not planned anew, and not processed before an answer.

    Loser: 1,100 - 10 x 70 = 400 below maintenance 465. A gap to 500 leaves it -3,900 with its order
    out, its twin 7,100. The twin may take 7,100 less initial margin 500 less the 3,900 that the
    loser lacks and its release level, not an atom more.
    """
    scene = scene_of(side, interval_ns=10 * SECOND)
    loser, winner = scene.open(1_100, OWNER), scene.open(2_100, OWNER)
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    assert of(scene.mark(930), F.ORDER)
    scene.mark(500)
    assert (scene.mirror.equity(loser), scene.mirror.equity(winner)) == (-3_900, 7_100)
    initial = scene.mirror.portfolio(winner).initial
    assert initial == 10 * (500 if side > 0 else 1_500) // 10
    levels = scene.rules.levels
    release = -(-scene.mirror.maintenance(loser) * (1_000_000 + levels.exit_buffer_ppm) // 1_000_000)
    (refusal,) = scene.cash(winner, -(7_100 - initial - 3_900 - release + 1))
    assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.INSUFFICIENT_MARGIN)
    assert not of(scene.cash(winner, -(7_100 - initial - 3_900 - release)), F.REFUSAL)
    answer_everything(scene)
    assert scene.mirror.payments == []
    assert scene.fund >= FUND


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shield", ["hedge", "far side", "idle"])
def test_third_account_shields_no_equity(side: int, shield: str) -> None:
    """Gains moved to a third account, which locks them up as margin of a position elsewhere, are
    reached all the same.
    """
    scene = scene_of(side, markets=2)
    loser, winner, third = scene.open(1_100, OWNER), scene.open(5_000, OWNER), scene.open(6_000, OWNER)
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    if shield == "hedge":  # its whole equity is maintenance of a hedged pair
        scene.trade(third, 55, FIRST_MARK, market=1)
        scene.trade(winner, 1, FIRST_MARK, market=1)
    elif shield == "far side":  # it sits on the other side of its own twin
        scene.trade(third, 50, FIRST_MARK, other=winner, market=1)
    effects = scene.mark(500)
    netting = [row for row in of(effects, F.POSTING) if row.code == C.NETTING]
    assert sum(row.amount for row in netting) == 10 * 500 - 1_100
    answer_everything(scene)
    take_out(scene, [loser, winner, third])
    assert scene.fund >= FUND
    assert scene.mirror.payments == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("is_vault", [False, True])
def test_own_provider_earns_nothing_from_the_fund(side: int, is_vault: bool) -> None:
    """A provider of the defaulter's owner would buy from it at a discount that the fund pays.

    It is not asked.
    """
    rules = provider(edge_ppm=50_000, is_vault=is_vault)
    scene = scene_of(side, providers=(rules, provider(edge_ppm=50_000)))
    loser, winner, backer = scene.open(1_100, OWNER), scene.open(1_100, OWNER), scene.open(50_000, OWNER)
    scene.bind(0, backer)
    scene.bind(1, scene.open(100_000))
    scene.trade(loser, 10, FIRST_MARK, other=winner)
    scene.depth(0)
    effects = scene.mark(500)
    offers = of(effects, F.OFFER, F.TAKEOVER)
    assert all(row.price_ticks == 1 for row in offers)
    answer_everything(scene)
    assert scene.mirror.payments == []
    assert scene.fund >= FUND
    assert take_out(scene, [loser, winner, backer]) <= 1_100 + 1_100 + 50_000


def affords(scene: Scene, account: int, lots: int, ticks: int) -> bool:
    """The venue's own check before a trade: equity after it covers initial margin after it."""
    mirror, after = scene.mirror, scene.lots(account) + lots
    equity = mirror.equity(account) + scene.side * lots * (mirror.marks[0] - scene.price(ticks))
    return equity >= mirror.contract(0).initial_of(abs(after))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(12))
def test_no_strategy_of_one_owner_brings_money_out_of_the_fund(side: int, seed: int) -> None:
    """Random accounts, trades among themselves at any price, withdrawals, and a market that runs
    one way, or the other.

    The market turns nowhere: what a leg that was closed leaves open gains, and no loss is a
    trader's honest one.
    """
    rng = Random(seed)
    scene = scene_of(side, markets=1, providers=(provider(edge_ppm=30_000), provider()))
    accounts = [scene.open(rng.choice((500, 2_000, 20_000)), OWNER) for _ in range(rng.randint(2, 5))]
    scene.bind(0, accounts[-1])
    scene.bind(1, scene.open(100_000))
    ticks, way = FIRST_MARK, rng.choice((-1, 1))
    for _ in range(30):
        step = rng.random()
        if step < 0.4:
            one, other = rng.sample(accounts, 2)
            lots, price = rng.randint(1, 20), rng.choice((ticks, rng.randint(ticks // 2, ticks * 2)))
            if affords(scene, one, lots, price) and affords(scene, other, -lots, price):
                scene.trade(one, lots, price, other=other)
        elif step < 0.8:
            ticks = max(50, min(1_900, ticks + way * rng.choice((1, 10, 100, 300))))
            scene.mark(ticks)
        else:
            take_out(scene, rng.sample(accounts, 2))
        if rng.random() < 0.3:
            scene.clock()
    answer_everything(scene)
    assert [each for each in scene.mirror.payments if each.owner == OWNER] == []
    assert scene.mirror.ledger[UNCOVERED] == 0


@pytest.mark.parametrize("side", SIDES)
def test_what_two_markets_let_through_ends_at_the_owner_cap(side: int) -> None:
    """The loss comes in one market before the gain comes in the other: one mark cannot show that as
    self-dealing.

    The fund pays, but no more than an owner may cost in a window; the rest is borne by who gained,
    or by nobody. The winner's later gain leaves, but for what the fund paid.
    """
    cap = 700
    scene = scene_of(side, markets=2, asset=AssetRules(owner_loss_max=cap))
    loser, winner = scene.open(1_100, OWNER), scene.open(1_100, OWNER)
    scene.trade(loser, 10, FIRST_MARK)
    scene.trade(winner, -10, FIRST_MARK, market=1)
    scene.mark(500)
    answer_everything(scene)
    scene.mark(500, market=1)
    scene.trade(winner, -10, FIRST_MARK, market=1)
    scene.trade(winner, 10, FIRST_MARK - 300, market=1)
    cost, has = FUND - scene.fund, scene.mirror.equity(winner)
    assert 0 < cost <= cap < has
    # And what it paid does not leave with the gain.
    assert [row.code for row in of(scene.cash(winner, -has), F.REFUSAL)] == [Reject.DEBT_TO_FUND]
    assert not of(scene.cash(winner, cost - has), F.REFUSAL)
    assert [row.code for row in of(scene.cash(winner, -1), F.REFUSAL)] == [Reject.DEBT_TO_FUND]
    # Its twin's money went first.
    assert any(row.code == C.NETTING for effects in scene.watch.effects for row in of(effects, F.POSTING))


@pytest.mark.parametrize("side", SIDES)
def test_equity_that_an_order_relies_on_is_not_given_to_a_twin_as_well(side: int) -> None:
    """One account's order left at the zero price of its equity of 400.

    Its twin's deficit takes these 400: the order goes first.

    Filled at that limit after it gave, it would owe 400, which the fund would pay for the owner:
    the same atoms spent twice.
    """
    scene = scene_of(side, markets=2)
    giver, loser = scene.open(1_100, OWNER), scene.open(1_100, OWNER)
    scene.trade(giver, 10, FIRST_MARK, market=1)
    scene.trade(loser, 10, FIRST_MARK)
    scene.depth(10_000, market=1)
    assert of(scene.mark(930, market=1), F.ORDER)
    effects = scene.mark(850)
    kinds = [(row.kind, row.account) for row in effects]
    given = next(place for place, row in enumerate(effects) if row.kind == F.POSTING and row.code == C.NETTING)
    assert (effects[given].amount, effects[given].other) == (400, giver)
    assert kinds.index((F.CANCEL, giver)) < given
    answer_everything(scene)
    assert [each for each in scene.mirror.payments if each.owner == OWNER] == []
    assert scene.mirror.ledger[UNCOVERED] == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("held_by", ["itself", "its twin"])
def test_nobody_leaves_on_a_price_that_the_guard_doubts(side: int, held_by: str) -> None:
    """A fall to 500 is held for want of volume.

    At the old mark a long is rich; what it would lose at 500 stays until this is settled.
    """
    guard = {"guard_jump_ppm": 100_000, "guard_volume_lots": 1_000}
    scene = scene_of(side, market=guard)
    long = scene.open(10_000, OWNER)
    scene.trade(long, 10, FIRST_MARK)
    leaver = long if held_by == "itself" else scene.open(10_000, OWNER)
    scene.send(EventKind.VOLUME, market=0, lots=1)
    assert of(scene.mark(500), F.GUARD)
    # At 500 it has 10,000 - 10 x 500, and needs 10 % of the larger notional: a short's grows to
    # 1,500 where its mark rises.
    needs = 10 * (1_000 if side > 0 else 1_500) // 10
    if held_by == "itself":
        assert of(scene.cash(leaver, -(10_000 - 5_000 - needs + 1)), F.REFUSAL)
        assert not of(scene.cash(leaver, -(10_000 - 5_000 - needs)), F.REFUSAL)
        return
    scene.cash(long, -8_000)
    assert scene.mirror.equity(long) == 10_000  # refused: 2,000 would not bear 5,000
    scene.cash(long, -(10_000 - 5_000 - needs))
    assert not of(scene.cash(leaver, -10_000), F.REFUSAL)


@pytest.mark.parametrize("side", SIDES)
def test_the_fund_of_the_market_that_was_traded_pays(side: int) -> None:
    """Two groups: an account sells out far below its zero price in a market of the second; the
    first group's fund owes it nothing.
    """
    rules = venue(markets=2)
    rules = rules._replace(
        markets=(rules.markets[0], rules.markets[1]._replace(group=1)), funds=(FundRules(), FundRules()), stages=WHOLE[:4] + WHOLE[-1:]
    )
    scene = Scene(rules, side)
    for group in (0, 1):
        scene.cash(fund_of(group), FUND)
    account = scene.open(1_100)
    scene.trade(account, 10, FIRST_MARK, market=1)
    effects = scene.trade(account, -10, 800, market=1)
    paid = [row for row in of(effects, F.POSTING) if row.code == C.DEFICIT]
    assert [(row.other, row.amount) for row in paid] == [(fund_of(1), 900)]
    # A charge that comes when it is flat again: the only group that it ever traded in.
    effects = scene.charge(account, 50)
    assert [(row.other, row.amount) for row in of(effects, F.POSTING) if row.code == C.DEFICIT] == [(fund_of(1), 50)]


@pytest.mark.parametrize("side", SIDES)
def test_nothing_moved_out_of_a_default_leaves_the_owner(side: int) -> None:
    """A distressed account sells a second position to its twin at a ruinous price, down to equity
    0: the twin may not withdraw it.
    """
    scene = scene_of(side, markets=2)
    loser, twin = scene.open(10_000, OWNER), scene.open(3_000, OWNER)
    scene.trade(loser, 10, FIRST_MARK, market=1, other=twin)
    scene.trade(loser, 100, FIRST_MARK)
    assert of(scene.mark(940), F.ORDER)
    equity = scene.mirror.equity(loser)
    assert 0 < equity < scene.mirror.maintenance(loser)
    scene.trade(loser, -10, FIRST_MARK - equity // 10, market=1, other=twin)
    assert scene.mirror.equity(loser) == 0
    take_out(scene, [loser, twin])
    answer_everything(scene)
    assert [each for each in scene.mirror.payments if each.owner == OWNER] == []
    assert scene.mirror.ledger[UNCOVERED] == 0
