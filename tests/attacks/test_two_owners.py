"""Two owners who deal with each other: one fails, the other takes the gain, and nothing links them.

Netting does not reach them. What bounds them is how fast a fund pays: no span of a window costs it
more than the smallest of the caps that apply. ``TABLE`` says what each attack puts in and takes
out, and what the fund loses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from backstop.core.events import FUND, NEVER_NS, EffectKind, EventKind, Stage
from backstop.core.instruments import AssetRules, FundRules, FundsRules, VenueRules
from backstop.core.timers import next_wait_ns
from backstop.reference.state import CLOSING_ORDER
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue
from tests.attacks.test_windows import most_in_a_window

WINDOW = 16 * SECOND
MONEY = 10_000_000
GROUP_CAP, OWNER_CAP, MARKET_CAP = 800_000, 500_000, 100_000
STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)


def rules_of(markets: int) -> VenueRules:
    """Return a venue whose fund has a cap per window, per owner and per market."""
    rules = venue(
        STAGES, markets=markets, fund=FundsRules(window_ns=WINDOW), asset=AssetRules(owner_loss_max=OWNER_CAP), deadline_ns=2 * SECOND
    )
    capped = tuple(market._replace(loss_per_window_max=MARKET_CAP) for market in rules.markets)
    return rules._replace(markets=capped, funds=(FundRules(loss_per_window_max=GROUP_CAP),))


class Attack(NamedTuple):
    """What one attack comes to. Atoms."""

    put_in: int
    #: By both owners, as soon as they can, and after ten windows.
    taken_at_once: int
    taken: int
    #: By the fund: the most in any span of a window, and in ten windows.
    lost_in_a_window: int
    lost: int
    #: Still uncovered after ten windows.
    uncovered: int


def empty_book(scene: Scene) -> None:
    """Long and short a million, the mark falls by 40 %, and nobody bids."""
    loser, winner = scene.open(100_000), scene.open(100_000)
    scene.trade(loser, 1_000, FIRST_MARK, other=winner)
    scene.mark(600)


def deep_book(scene: Scene) -> None:
    """The same where the book takes all."""
    scene.depth(10_000)
    empty_book(scene)


def thin_market(scene: Scene) -> None:
    """A market in which little moves the mark far: down to a tenth in three steps."""
    loser, winner = scene.open(20_000), scene.open(20_000)
    scene.trade(loser, 200, FIRST_MARK, other=winner)
    for ticks in (850, 400, 100):
        scene.mark(ticks)


def two_markets(scene: Scene) -> None:
    """A million in each of two markets, by the same two owners."""
    loser, winner = scene.open(200_000), scene.open(200_000)
    for market in (0, 1):
        scene.trade(loser, 1_000, FIRST_MARK, other=winner, market=market)
    for market in (0, 1):
        scene.mark(600, market)


def off_market_fill(scene: Scene) -> None:
    """One fill at a tick: nine million lost to the friend in one event, and the loser is flat. The
    friend owes it, and pays (``test_fills`` has more of these).
    """
    loser, winner = scene.open(1_000_000), scene.open(1_000_000)
    scene.trade(loser, 9_000, FIRST_MARK)
    scene.trade(loser, -9_000, 1, other=winner)


def settle(scene: Scene, seconds: int) -> None:
    """Answer each order at its limit, and send a CLOCK whenever the engine waits for one."""
    end = scene.time_ns + seconds * SECOND
    while True:
        for number in scene.open_ids(CLOSING_ORDER):
            order = scene.mirror.orders[number]
            if order.is_open:
                scene.fill(number, order.remaining, scene.price(order.limit_ticks))
                scene.done(number)
        due = int(next_wait_ns(scene.watch.state))
        if due == NEVER_NS or due > end:
            scene.at(end).send(EventKind.CLOCK)
            return
        scene.at(max(due, scene.time_ns)).send(EventKind.CLOCK)


def take_out(scene: Scene) -> int:
    """Withdraw all that the accounts can have; return it."""
    out = 0
    for account in range(len(scene.mirror.accounts)):
        free = scene.mirror.equity(account) - scene.mirror.portfolio(account).initial
        if free > 0 and not of(scene.cash(account, -free), EffectKind.REFUSAL):
            out += free
    return out


def outcome_of(attack: Callable[[Scene], None], side: int) -> Attack:
    """Play one attack and the ten windows after it."""
    scene = Scene(rules_of(2 if attack is two_markets else 1), side)
    scene.cash(FUND, MONEY)
    attack(scene)
    put_in = sum(row.amount for effects in scene.watch.effects for row in of(effects, EffectKind.POSTING) if row.code == 1) - MONEY
    settle(scene, 4)
    at_once = taken = take_out(scene)
    for _ in range(10):
        settle(scene, 17)
        taken += take_out(scene)
    paid = [*scene.mirror.payments, *scene.mirror.late]
    lost = sum(each.amount for each in paid)
    return Attack(put_in, at_once, taken, most_in_a_window(paid, WINDOW) if paid else 0, lost, scene.mirror.uncovered(0))


#: By attack: what the long side comes to, and the short side (prices mirrored).
TABLE: dict[Callable[[Scene], None], tuple[Attack, Attack]] = {
    empty_book: (Attack(200_000, 300_000, 300_000, 100_000, 100_000, 0),) * 2,
    deep_book: (Attack(200_000, 440_000, 446_848, 100_000, 267_100, 0), Attack(200_000, 360_000, 362_498, 100_000, 209_500, 0)),
    thin_market: (Attack(40_000, 50_000, 50_000, 10_000, 10_000, 0),) * 2,
    two_markets: (Attack(400_000, 500_000, 500_000, 100_000, 100_000, 0),) * 2,
    off_market_fill: (Attack(2_000_000, 1_100_000, 1_100_000, 0, 0, 0),) * 2,
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("attack", TABLE, ids=lambda each: each.__name__)
def test_no_span_of_a_window_costs_a_fund_more_than_its_smallest_cap(attack: Callable[[Scene], None], side: int) -> None:
    """What two owners get out of the fund comes as fast as the smallest cap lets it go; who deals in
    two markets meets the caps of both.
    """
    found = outcome_of(attack, side)
    markets = 2 if attack is two_markets else 1
    assert found.lost_in_a_window <= min(GROUP_CAP, OWNER_CAP, markets * MARKET_CAP)
    assert found == TABLE[attack][SIDES.index(side)]
