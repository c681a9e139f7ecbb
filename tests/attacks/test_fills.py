"""Two owners, or more, who trade with each other far from the mark: one fails, the others win.

``TABLE`` says what each attack puts in and takes out, and what a fund lost or nobody paid: before
there was a door, and now. Decision 50 prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from backstop.core.events import FUND, WORLD, Cause, EffectKind, EventKind, Reject
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of
from tests.attacks.test_two_owners import MONEY, rules_of, settle

BAND_PPM = 100_000
DAY = 24 * 3600


class Outcome(NamedTuple):
    """What one attack comes to. Atoms."""

    put_in: int
    #: After ten windows of the fund.
    out: int
    #: Paid by the fund less what came back, and left uncovered.
    lost: int


def one_fill(scene: Scene) -> None:
    """The loser sells 900 lots that he has not at a tick."""
    loser, winner = scene.open(100_000), scene.open(100_000)
    scene.trade(loser, -900, 1, other=winner)


def and_is_flat(scene: Scene) -> None:
    """He buys them outside first, so that he is flat after the fill."""
    loser, winner = scene.open(100_000), scene.open(100_000)
    scene.trade(loser, 900, FIRST_MARK)
    scene.trade(loser, -900, 1, other=winner)


def inside_the_band(scene: Scene) -> None:
    """At 9 % from the mark, ten thousand lots."""
    loser, winner = scene.open(100_000), scene.open(100_000)
    scene.trade(loser, -10_000, 910, other=winner)


def many_winners(scene: Scene) -> None:
    """The same 900 lots to nine owners."""
    loser = scene.open(100_000)
    winners = [scene.open(10_000) for _ in range(9)]
    for winner in winners:
        scene.trade(loser, -100, 1, other=winner)


def in_a_default(scene: Scene) -> None:
    """A long in default whose orders nobody takes goes on to sell, at 3 % where the tolerance is 2."""
    loser, winner = scene.open(100_000), scene.open(100_000)
    scene.trade(loser, 1_000, FIRST_MARK)
    scene.depth(1)
    scene.mark(945)
    for _ in range(40):
        scene.trade(loser, -200, 917, other=winner)
        scene.trade(loser, 200, 973, other=winner)


def by_small_steps(scene: Scene) -> None:
    """Round after round at 9 % from the mark, until nothing is left and on from there."""
    loser, winner = scene.open(100_000), scene.open(100_000)
    for _ in range(20):
        scene.trade(loser, -200, 910, other=winner)
        scene.trade(loser, 200, 1_090, other=winner)


def drained_before_a_fall(scene: Scene) -> None:
    """The loser has a position, gives all his money away and still lacks nothing. Then the mark
    falls.
    """
    loser, winner = scene.open(200_000), scene.open(100_000)
    scene.trade(loser, 1_000, FIRST_MARK)
    scene.trade(loser, -115, 1, other=winner)
    scene.mark(850)


def through_a_third(scene: Scene) -> None:
    """The same, and the winner passes it on to a third owner before the mark falls."""
    loser, winner, third = scene.open(200_000), scene.open(100_000), scene.open(100_000)
    scene.trade(loser, 1_000, FIRST_MARK)
    scene.trade(loser, -115, 1, other=winner)
    scene.trade(winner, -190, 1, other=third)
    scene.mark(850)


def take_out(scene: Scene) -> int:
    """Withdraw all that the accounts can have; return it."""
    out = 0
    for account in range(len(scene.mirror.accounts)):
        free = scene.mirror.equity(account) - scene.mirror.portfolio(account).initial
        for amount in (free, free - scene.mirror.fill_debt(account)):
            if amount > 0 and not of(scene.cash(account, -amount), EffectKind.REFUSAL):
                out += amount
                break
    return out


def scene_of(side: int) -> Scene:
    """Return a scene with a fund, caps of 100,000 a market and window, and the band."""
    rules = rules_of(1)
    scene = Scene(rules._replace(markets=tuple(each._replace(fill_band_ppm=BAND_PPM) for each in rules.markets)), side)
    scene.cash(FUND, MONEY)
    return scene


def outcome_of(attack: Callable[[Scene], None], side: int) -> Outcome:
    """Play one attack and the ten windows after it."""
    scene = scene_of(side)
    attack(scene)
    put_in = -scene.mirror.ledger[WORLD] - MONEY
    settle(scene, 4)
    out = take_out(scene)
    for _ in range(10):
        settle(scene, 17)
        out += take_out(scene)
    postings = [row for effects in scene.watch.effects for row in of(effects, EffectKind.POSTING)]
    returned = sum(row.amount for row in postings if row.code == Cause.DEBT_RETURN)
    lost = sum(each.amount for each in (*scene.mirror.payments, *scene.mirror.late)) + scene.mirror.uncovered(0) - returned
    return Outcome(put_in, out, lost)


#: By attack and side: before there was a door, and now.
TABLE: dict[Callable[[Scene], None], tuple[tuple[Outcome, Outcome], ...]] = {
    one_fill: (
        (Outcome(200_000, 300_000, 100_000), Outcome(200_000, 190_000, 0)),
        (Outcome(200_000, 300_000, 100_000), Outcome(200_000, 190_000, 0)),
    ),
    and_is_flat: (
        (Outcome(200_000, 909_100, 799_100), Outcome(200_000, 100_000, 0)),
        (Outcome(200_000, 909_100, 799_100), Outcome(200_000, 100_000, 0)),
    ),
    inside_the_band: (
        (Outcome(200_000, 300_000, 100_000), Outcome(200_000, 200_000, 0)),
        (Outcome(200_000, 300_000, 100_000), Outcome(200_000, 200_000, 0)),
    ),
    many_winners: (
        (Outcome(190_000, 289_900, 100_000), Outcome(190_000, 100_000, 0)),
        (Outcome(190_000, 289_900, 100_000), Outcome(190_000, 100_000, 0)),
    ),
    in_a_default: (
        (Outcome(200_000, 548_000, 403_000), Outcome(200_000, 120_720, 0)),
        (Outcome(200_000, 548_000, 403_000), Outcome(200_000, 119_327, 0)),
    ),
    by_small_steps: (
        (Outcome(200_000, 408_000, 208_000), Outcome(200_000, 200_000, 0)),
        (Outcome(200_000, 408_000, 208_000), Outcome(200_000, 200_000, 0)),
    ),
    drained_before_a_fall: (
        (Outcome(300_000, 187_860, 47_635), Outcome(300_000, 84_475, 0)),
        (Outcome(300_000, 184_410, 47_635), Outcome(300_000, 81_025, 0)),
    ),
    through_a_third: (
        (Outcome(400_000, 281_485, 47_635), Outcome(400_000, 74_350, 11_310)),
        (Outcome(400_000, 275_785, 47_635), Outcome(400_000, 68_650, 11_310)),
    ),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("attack", TABLE, ids=lambda each: each.__name__)
def test_no_fill_takes_money_out_of_a_fund(attack: Callable[[Scene], None], side: int) -> None:
    before, now = TABLE[attack][SIDES.index(side)]
    assert outcome_of(attack, side) == now
    assert now.lost < before.lost
    assert now.out < before.out
    assert now.lost == 0 or attack is through_a_third


@pytest.mark.parametrize("side", SIDES)
def test_what_is_owed_is_held_for_a_day_and_no_more(side: int) -> None:
    """A block of 100 lots at half the mark: 50,000 won, 10,000 within the band, 40,000 held. The
    loser lacks nothing, so that the winner has it after a day.
    """
    scene = scene_of(side)
    loser, winner = scene.open(200_000), scene.open(100_000)
    effects = scene.trade(loser, -100, 500, other=winner)
    assert [row.amount for row in of(effects, EffectKind.FILL_DEBT)] == [40_000]
    free = scene.mirror.equity(winner) - scene.mirror.portfolio(winner).initial
    refusals = [row.code for row in of(scene.cash(winner, -(free - 40_000) - 1), EffectKind.REFUSAL)]
    assert refusals == [Reject.FILL_HELD]
    assert not of(scene.cash(winner, -(free - 40_000)), EffectKind.REFUSAL)
    scene.at(scene.time_ns + (DAY + 10) * SECOND).send(EventKind.CLOCK)
    assert not of(scene.cash(winner, -40_000), EffectKind.REFUSAL)


@pytest.mark.parametrize("side", SIDES)
def test_accounts_of_one_owner_owe_each_other_nothing(side: int) -> None:
    """They are netted, whatever the price of their fills."""
    scene = scene_of(side)
    loser = scene.open(100_000, owner=7)
    winner = scene.open(100_000, owner=7)
    effects = scene.trade(loser, -900, 1, other=winner)
    assert of(effects, EffectKind.FILL_DEBT) == []
    settle(scene, 30)
    assert (scene.fund, scene.mirror.uncovered(0)) == (MONEY, 0)


@pytest.mark.parametrize("side", SIDES)
def test_a_winner_pays_down_to_his_maintenance_and_no_further(side: int) -> None:
    """He keeps 900 lots, 45,000 of maintenance margin, and what he has above it pays first."""
    scene = scene_of(side)
    loser, winner = scene.open(10_000), scene.open(20_000)
    scene.trade(loser, -900, 1, other=winner)
    paid = [row.amount for row in of(scene.watch.effects[-1], EffectKind.POSTING) if row.other == winner]
    assert paid[0] == 20_000 + 899_100 - 45_000
    assert scene.mirror.equity(winner) >= scene.mirror.maintenance(winner)


@pytest.mark.parametrize("side", SIDES)
def test_a_winner_pays_back_the_fund_where_the_losers_twin_paid_the_gap(side: int) -> None:
    """The fund paid 1,000 for the loser before. He buys ten lots at 900, sells them at a tick and
    lacks 8,990, which his twin gives: nothing is lacking, but flat he still owes the fund 1,000, and the
    winner owes him more than that.
    """
    scene = scene_of(side)
    loser, winner = scene.open(1_000), scene.open(100_000)
    scene.charge(loser, 2_000)
    twin = scene.open(20_000, owner=loser)
    scene.trade(loser, 10, 900)
    effects = scene.trade(loser, -10, 1, other=winner)
    paid = [(row.code, row.account, row.other, row.amount) for row in of(effects, EffectKind.POSTING)]
    assert (Cause.NETTING, loser, twin, 8_990) in paid
    assert (Cause.FILL_DEBT, loser, winner, 1_000) in paid
    assert (Cause.DEBT_RETURN, FUND, loser, 1_000) in paid
    assert (scene.mirror.equity(loser), scene.mirror.fill_debt(winner), scene.fund) == (0, 8_990 - 1_000, MONEY)
