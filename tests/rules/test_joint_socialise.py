"""Winners are asked once a market and event (R6.9): for all who lack there, by what they won; on the
engine, the reference and every invariant together.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, Cause, EffectKind, SocialisePolicy, Stage, clearing_of
from backstop.reference.records import Effect
from tests.attacks.scene import SECOND, SIDES, Scene, of, venue

F = EffectKind
STAGES = (Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)


def cuts(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """Payer, market and amount of each cut, in order."""
    return [(row.account, row.market, row.amount) for row in of(effects, F.HAIRCUT)]


def got(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """Account, market and amount of what those who lack get, in order."""
    rows = [row for row in of(effects, F.POSTING) if row.code == Cause.HAIRCUT and row.account >= 0]
    assert all(row.other == clearing_of(row.market) for row in rows)
    return [(row.account, row.market, row.amount) for row in rows]


@pytest.mark.parametrize("side", SIDES)
def test_two_defaulters_and_three_winners_in_two_markets(side: int) -> None:
    """Ann is long 10 in both markets, Bob long 20 in market 1. Carol is short 6 of market 0 and 10 of
    market 1, Dave 4 of market 0, Erin 20 of market 1. Market 0 falls by 300, then market 1 by 600. Ann
    has lost 3,000 and 6,000 of 6,000: she lacks 3,000, a third of it in market 0. Bob lacks 3,000.

    Market 0: Carol and Dave won 1,800 and 1,200 and bear 600 and 400. Market 1 lacks 5,000: Carol and
    Erin won 6,000 and 12,000 and bear 1,667 and 3,333. Ann gets 2,000 of it, Bob 3,000.
    """
    scene = Scene(venue(STAGES, markets=2), side)
    ann, bob = scene.open(6_000), scene.open(9_000)
    carol, dave, erin = (scene.open(100_000) for _ in range(3))
    scene.trade(ann, 6, 1_000, other=carol)
    scene.trade(ann, 4, 1_000, other=dave)
    scene.trade(ann, 10, 1_000, other=carol, market=1)
    scene.trade(bob, 20, 1_000, other=erin, market=1)
    scene.mark(700, 0)
    effects = scene.mark(400, 1)
    assert {row.account for row in of(effects, F.TEAR_UP)} == {ann, bob}
    assert cuts(effects) == [(carol, 0, 600), (dave, 0, 400), (carol, 1, 1_667), (erin, 1, 3_333)]
    assert got(effects) == [(ann, 0, 1_000), (ann, 1, 2_000), (bob, 1, 3_000)]
    assert {row.other for row in of(effects, F.HAIRCUT)} == {ann}
    assert [row.amount for row in of(effects, F.CLAIM)] == [600, 400, 1_667, 3_333]
    assert not of(effects, F.RESIDUAL)


@pytest.mark.parametrize("side", SIDES)
def test_a_trade_with_oneself_at_mark_lowers_no_cut(side: int) -> None:
    """Carol and Dave are short 5 each and win 1,500 each. Carol buys her lots from a second account of
    hers at the mark: she is flat, her second account has no gain. She is cut like Dave, from her money.
    """
    scene = Scene(venue((Stage.SOCIALISE, Stage.TEAR_UP)), side)
    ann, carol, dave = scene.open(4_000), scene.open(10_000), scene.open(10_000)
    second = scene.open(10_000, owner=carol)
    scene.trade(ann, 5, 1_000, other=carol)
    scene.trade(ann, 5, 1_000, other=dave)
    scene.mark(700)
    scene.trade(carol, 5, 700, other=second)
    assert scene.lots(carol) == 0
    effects = scene.charge(ann, 2_000)
    assert cuts(effects) == [(carol, 0, 500), (dave, 0, 500)]
    paid = [(row.other, row.amount) for row in of(effects, F.POSTING) if (row.code, row.account) == (Cause.HAIRCUT, clearing_of(0))]
    assert (carol, 500) in paid
    assert got(effects) == [(ann, 0, 1_000)]


def _split_over(side: int, accounts: int) -> dict[int, int]:
    """Cuts where 12 lots that lack 1,200 are held by one account or by several."""
    scene = Scene(venue(STAGES), side)
    carol, dave = scene.open(100_000), scene.open(100_000)
    for _ in range(accounts):
        long = scene.open(200 * 12 // accounts)
        scene.trade(long, 8 // accounts, 1_000, other=carol)
        scene.trade(long, 4 // accounts, 1_000, other=dave)
    effects = scene.mark(700)
    assert len(got(effects)) == accounts
    return {payer: amount for payer, _, amount in cuts(effects)}


@pytest.mark.parametrize("side", SIDES)
def test_a_default_split_over_accounts_changes_no_cut(side: int) -> None:
    whole = _split_over(side, 1)
    assert whole == {0: 800, 1: 400}
    assert _split_over(side, 4) == whole


@pytest.mark.parametrize("side", SIDES)
def test_winners_of_another_market_of_the_group_are_not_asked(side: int) -> None:
    """Of market 0 nobody has won but OUTSIDE, which is not asked: what is lost there is uncovered,
    whatever Erin won in market 1, where Bob lacks an atom.
    """
    scene = Scene(venue(STAGES, markets=2), side)
    ann, bob, erin = scene.open(2_000), scene.open(599), scene.open(100_000)
    scene.trade(ann, 10, 1_000)
    scene.trade(bob, 1, 1_000, other=erin, market=1)
    first = scene.mark(700, 0)
    assert (cuts(first), [row.amount for row in of(first, F.RESIDUAL)]) == ([], [1_000])
    assert cuts(scene.mark(400, 1)) == [(erin, 1, 1)]


@pytest.mark.parametrize("side", SIDES)
def test_the_fund_is_asked_before_winners_and_each_group_for_its_own(side: int) -> None:
    scene = Scene(venue(STAGES), side)
    scene.cash(FUND, 700)
    ann, carol = scene.open(2_000), scene.open(100_000)
    scene.trade(ann, 10, 1_000, other=carol)
    effects = scene.mark(700)
    assert cuts(effects) == [(carol, 0, 300)]
    order = [row.kind for row in effects if row.kind in (F.TEAR_UP, F.HAIRCUT, F.CLAIM)]
    assert order == [F.TEAR_UP, F.HAIRCUT, F.CLAIM]


@pytest.mark.parametrize("side", SIDES)
def test_open_interest_counts_what_tear_up_took(side: int) -> None:
    """Carol has 6 lots, Dave 4, all torn up with Ann's: they bear 600 and 400."""
    rules = venue(STAGES)._replace(socialise_policy=SocialisePolicy.OPEN_INTEREST)
    scene = Scene(rules, side)
    ann, carol, dave = scene.open(2_000), scene.open(100_000), scene.open(100_000)
    scene.trade(ann, 6, 1_000, other=carol)
    scene.trade(ann, 4, 1_000, other=dave)
    assert cuts(scene.mark(700)) == [(carol, 0, 600), (dave, 0, 400)]


@pytest.mark.parametrize("side", SIDES)
def test_many_insolvencies_cut_a_winner_once(side: int) -> None:
    """Twelve accounts lack 100 each: one HAIRCUT, one CLAIM, and a posting for each of them."""
    scene = Scene(venue(STAGES), side)
    carol = scene.open(100_000)
    for _ in range(12):
        scene.trade(scene.open(200), 1, 1_000, other=carol)
    effects = scene.mark(700)
    assert cuts(effects) == [(carol, 0, 1_200)]
    assert [amount for _, _, amount in got(effects)] == [100] * 12
    assert len(of(effects, F.CLAIM)) == 1


def test_where_there_is_no_room_for_all_payers_the_largest_are_asked() -> None:
    """An event of 512 effects, half of what is left for payers, 16 for each: of 20 who won 310 or 620,
    those of 620 are asked first, and bear all of the 200.
    """
    rules = venue((Stage.SOCIALISE, Stage.TEAR_UP))
    scene = Scene(rules._replace(limits=rules.limits._replace(effects_max=512)), 1)
    ann = scene.open(9_100)
    payers = [scene.open(10_000) for _ in range(20)]
    for number, payer in enumerate(payers):
        scene.trade(ann, 2 if number % 2 else 1, 1_000, other=payer)
    effects = scene.mark(690)
    told = cuts(effects)
    before = next(place for place, row in enumerate(effects) if row.kind == F.HAIRCUT)
    assert 0 < len(told) == (512 - before) // 2 // 16 < 20
    larger = [payer for number, payer in enumerate(payers) if number % 2]
    assert {payer for payer, _, _ in told} >= set(larger[: len(told)])
    assert sum(amount for _, _, amount in told) == 200
    assert scene.mirror.equity(ann) == 0
    assert of(effects, F.RESIDUAL) == []


@pytest.mark.parametrize("side", SIDES)
def test_what_was_won_before_the_epoch_counts_on_lots_torn_up(side: int) -> None:
    """Ann is long 10, Carol short 6, Dave short 4, and the mark falls by 300: Ann has 900 left. In the
    next epoch she is charged 1,900 and lacks 1,000. Their lots are torn up with hers: their results are
    0, but they realise 1,800 and 1,200. They bear 600 and 400 from their money.
    """
    scene = Scene(venue((Stage.SOCIALISE, Stage.TEAR_UP))._replace(epoch_ns=60 * SECOND), side)
    ann, carol, dave = scene.open(3_900), scene.open(100_000), scene.open(100_000)
    scene.trade(ann, 6, 1_000, other=carol)
    scene.trade(ann, 4, 1_000, other=dave)
    scene.mark(700)
    scene.at(60 * SECOND).clock(0)
    effects = scene.charge(ann, 1_900)
    assert (scene.lots(carol), scene.lots(dave)) == (0, 0)
    assert [(row.account, row.amount, row.value) for row in of(effects, F.HAIRCUT)] == [(carol, 600, 1_800), (dave, 400, 1_200)]
    assert of(effects, F.RESIDUAL) == []


@pytest.mark.parametrize("side", SIDES)
def test_what_was_won_before_the_epoch_counts_on_lots_that_adl_takes(side: int) -> None:
    """100 lots won 100 each for the other side: 10 of an account, 90 of OUTSIDE. In the next epoch the
    loser is charged all it has and 1,000 more. ADL takes the account's 10 at 10 beyond the mark, which
    leaves it 900 of its gain; the fund's 500 let go 50 of the house's. For the other 40 it bears 400.
    """
    scene = Scene(venue((Stage.FUND, Stage.ADL, Stage.SOCIALISE, Stage.TEAR_UP))._replace(epoch_ns=60 * SECOND), side)
    scene.cash(FUND, 500)
    loser, winner = scene.open(19_000), scene.open(50_000)
    scene.trade(loser, 10, 1_000, other=winner)
    scene.trade(loser, 90, 1_000)
    scene.mark(900)
    scene.at(60 * SECOND).clock(0)
    effects = scene.charge(loser, 10_000)
    assert [(row.account, row.amount, row.value) for row in of(effects, F.HAIRCUT)] == [(winner, 400, 900)]
    assert of(effects, F.RESIDUAL) == []


@pytest.mark.parametrize(("before", "cut"), [(1_000, []), (600, [300])])
@pytest.mark.parametrize("side", SIDES)
def test_an_old_gain_of_the_losing_side_is_not_asked(side: int, before: int, cut: list[int]) -> None:
    """Frida is long 5 from 400, Ann long 10 from 1,000, of the house both. In the next epoch the mark
    falls by 300, from 1,000 to 700, and Ann lacks 300. Frida lost 1,500 of her gain of 3,000: she pays
    nothing. Where the mark has risen in that epoch, from 600 to 700, and Ann lacks 300 by a charge,
    Frida won, and is asked.
    """
    scene = Scene(venue((Stage.SOCIALISE, Stage.TEAR_UP))._replace(epoch_ns=60 * SECOND), side)
    scene.mark(400)
    frida = scene.open(100_000)
    scene.trade(frida, 5, 400)
    scene.mark(before)
    scene.at(60 * SECOND).clock(0)
    ann = scene.open(10_000)
    scene.trade(ann, 10, before)
    scene.mark(700)
    lacks = scene.charge(ann, 10_000 + 10 * (700 - before) + 300)
    assert [row.amount for row in of(lacks, F.HAIRCUT)] == cut
    assert [row.amount for row in of(lacks, F.RESIDUAL)] == ([] if cut else [300])


@pytest.mark.parametrize("trades_with_himself", [False, True])
@pytest.mark.parametrize("side", SIDES)
def test_a_trade_with_oneself_changes_nothing_for_the_losing_side(side: int, trades_with_himself: bool) -> None:
    """As above, the winner is Carol, short 10: she bears all 300. Frida, long with Ann, bears nothing,
    whether she has sold her lots to a second account of hers or not.
    """
    scene = Scene(venue((Stage.SOCIALISE, Stage.TEAR_UP))._replace(epoch_ns=60 * SECOND), side)
    scene.mark(400)
    frida, carol = scene.open(100_000), scene.open(100_000)
    second = scene.open(100_000, owner=frida)
    scene.trade(frida, 5, 400)
    scene.mark(1_000)
    scene.at(60 * SECOND).clock(0)
    ann = scene.open(2_700)
    scene.trade(ann, 10, 1_000, other=carol)
    if trades_with_himself:
        scene.trade(second, 5, 1_000, other=frida)
    effects = scene.mark(700)
    assert cuts(effects) == [(carol, 0, 300)]
    assert of(effects, F.RESIDUAL) == []


@pytest.mark.parametrize("side", SIDES)
def test_what_tear_up_realises_of_the_losing_side_is_not_asked(side: int) -> None:
    """Frida is long 5 from 400. In the next epoch the mark falls from 1,000 to 700; Ann, short 5, wins
    1,500, and is charged 300 more than she has. Frida's lots end with hers and realise 1,500, all of
    it won before; she lost 1,500 since. Nobody won but Ann: 300 are uncovered.
    """
    scene = Scene(venue((Stage.SOCIALISE, Stage.TEAR_UP))._replace(epoch_ns=60 * SECOND), side)
    scene.mark(400)
    frida = scene.open(100_000)
    scene.trade(frida, 5, 400)
    scene.mark(1_000)
    scene.at(60 * SECOND).clock(0)
    ann = scene.open(10_000)
    scene.trade(ann, -5, 1_000)
    scene.mark(700)
    effects = scene.charge(ann, 10_000 + 1_500 + 300)
    assert scene.lots(frida) == 0
    assert cuts(effects) == []
    assert [row.amount for row in of(effects, F.RESIDUAL)] == [300]
