"""Fee credited but not charged: nobody's fund is filled with fees that nobody could pay."""

from __future__ import annotations

import pytest

from backstop.core.events import FEES, FUND, WORLD, Cause, EffectKind, EventKind, Transfer
from backstop.core.instruments import FundsRules
from tests.attacks.scene import FIRST_MARK, SIDES, Scene, venue
from tests.properties.mirror import allows

F = EffectKind


def charge(scene: Scene, account: int, amount: int) -> int:
    """Charge a trading fee; return what the account paid."""
    effects = scene.send(EventKind.TRANSFER, account=account, code=int(Transfer.TRADING_FEE), amount=amount)
    return sum(row.amount for row in effects if (row.kind, row.code, row.other) == (F.POSTING, Cause.TRADING_FEE, account))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("asked", [1, 99, 100, 101, 10**15])
def test_fund_gets_a_share_of_what_was_charged(side: int, asked: int) -> None:
    """Equity 100: of a larger fee only 100 is charged, and a third of that goes to the fund."""
    scene = Scene(venue(fund=FundsRules(trading_fee_share_ppm=333_333)), side)
    account = scene.open(200)
    scene.trade(account, 1, FIRST_MARK)
    scene.mark(FIRST_MARK - 100)
    assert scene.mirror.equity(account) == 100
    world = scene.mirror.ledger[WORLD]
    taken = charge(scene, account, asked)
    assert taken == min(asked, 100)
    # A fee that brings the account into default: with nobody on the book it leaves, and what is left
    # of it is the closing charge.
    left = 100 - taken if scene.lots(account) == 0 else 0
    assert scene.mirror.ledger[FEES] + scene.fund - left == taken
    assert scene.fund - left == taken * 333_333 // 1_000_000
    assert scene.mirror.ledger[WORLD] == world


@pytest.mark.parametrize("side", SIDES)
def test_no_fee_takes_what_an_order_on_its_way_relies_on(side: int) -> None:
    """An order left at the zero price of equity 400; a fee that took that equity first would leave
    the fund to pay for it.
    """
    scene = Scene(venue(fund=FundsRules(trading_fee_share_ppm=1_000_000)), side)
    scene.cash(FUND, 10_000)
    account = scene.open(1_100)
    scene.trade(account, 10, FIRST_MARK)
    scene.depth(10)
    scene.mark(930)
    (number,) = scene.open_ids()
    assert charge(scene, account, 400) == 0
    scene.fill(number, 10, scene.price(scene.mirror.orders[number].limit_ticks))
    assert scene.mirror.equity(account) >= 0
    assert (scene.fund, scene.mirror.ledger[FEES]) == (10_000, 0)


@pytest.mark.parametrize("side", SIDES)
def test_empty_account_cannot_be_charged_again_and_again(side: int) -> None:
    """Hundreds of fees of an account that has nothing, or owes: no unit reaches fund or venue, and
    no deficit grows.
    """
    # An interval in which nobody is planned anew.
    rules = venue(fund=FundsRules(trading_fee_share_ppm=1_000_000), order_timeout_ns=1 << 50, interval_ns=1 << 50)
    scene = Scene(rules, side)
    flat, holder = scene.open(0), scene.open(1_100)
    scene.trade(holder, 10, FIRST_MARK)
    scene.depth(10)
    scene.mark(930)  # its order is on the book, where it waits
    scene.mark(FIRST_MARK - 150)
    assert scene.mirror.equity(holder) < 0
    for _ in range(200):
        assert charge(scene, flat, 1 << 59) == charge(scene, holder, 1 << 59) == 0
    assert (scene.fund, scene.mirror.ledger[FEES]) == (0, 0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("price", [930, 925, 915, 911, 910])
def test_liquidation_fee_is_paid_out_of_what_is_above_the_zero_price(side: int, price: int) -> None:
    """The fund is credited what the account paid, and no fee leaves an account worse than its zero
    price.
    """
    scene = Scene(venue(fee_ppm=50_000, deadline_ns=1 << 50), side)
    account = scene.open(1_100)
    scene.trade(account, 10, FIRST_MARK)
    scene.depth(100)
    scene.mark(930)
    (number,) = scene.open_ids()
    order = scene.mirror.orders[number]
    equity, maintenance = scene.mirror.equity(account), scene.mirror.maintenance(account)
    before, fund = scene.mirror.ledger[account], scene.fund
    effects = scene.fill(number, order.remaining, price)
    fee = scene.fund - fund
    realised = sum(row.value for row in effects if row.account == account and row.kind == F.TRADE)
    assert scene.mirror.ledger[account] == before + realised - fee
    if allows(order, scene.price(price)):
        assert scene.mirror.equity(account) * maintenance >= equity * scene.mirror.maintenance(account)
    else:
        assert fee == 0
    assert scene.mirror.payments == []


def test_fund_account_is_no_account_to_charge() -> None:
    """A fee names an account of a trader: the fund itself is refused."""
    scene = Scene(venue(), 1)
    (refusal,) = scene.send(EventKind.TRANSFER, account=FUND, code=int(Transfer.TRADING_FEE), amount=5)
    assert refusal.kind == F.REFUSAL
