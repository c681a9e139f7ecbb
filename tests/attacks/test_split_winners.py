"""An owner who spreads his gains, his lots and his money over accounts bears as much of a loss as one
who has one account (R6.9.2): on the engine, the reference and every check of the invariants.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.events import Cause, EffectKind, Health, SocialisePolicy, Stage, clearing_of
from backstop.reference.records import Effect
from tests.attacks.scene import SIDES, Scene, of, venue
from tests.properties.profile import settings_of

F = EffectKind
STAGES = (Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)
ANN, XENIA, YURI = 20, 21, 22


def borne(scene: Scene, effects: list[Effect]) -> dict[int, int]:
    """What each owner bears."""
    found = Counter[int]()
    for row in of(effects, F.HAIRCUT):
        found[scene.mirror.owner_of(row.account)] += row.amount
    return dict(found)


def cuts(effects: list[Effect]) -> list[tuple[int, int, int, int]]:
    """Payer, amount, weight and cap of each cut."""
    return [(row.account, row.amount, row.value, row.lots) for row in of(effects, F.HAIRCUT)]


def paid(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """Payer, receiver and amount of each cut that is paid in money."""
    rows = [row for row in of(effects, F.POSTING) if row.code == Cause.HAIRCUT and row.other >= 0]
    return [(row.other, row.account, row.amount) for row in rows]


class Winners(Scene):
    """Ann is long 10 from 1,000 with 4,000, Yuri short 4 with 100,000. She sells at 700, with 1,000 left,
    and is then charged what she lacks.
    """

    def __init__(self, side: int, policy: int = SocialisePolicy.GAINS_HAIRCUT, stages: tuple[int, ...] = STAGES) -> None:
        """Let Ann and Yuri trade."""
        super().__init__(venue(stages, markets=2)._replace(socialise_policy=policy), side)
        self.ann, self.yuri = self.open(4_000, ANN), self.open(100_000, YURI)
        self.trade(self.ann, 4, 1_000, other=self.yuri)

    def xenia(self, deposit: int, lots: int = 0) -> int:
        """Open an account of Xenia's, short so many lots of Ann's."""
        account = self.open(deposit, XENIA)
        if lots:
            self.trade(self.ann, lots, 1_000, other=account)
        return account

    def move(self, payer: int, receiver: int, amount: int) -> None:
        """Take money off an account and bring it to another."""
        self.cash(payer, -amount)
        self.cash(receiver, amount)

    def ann_lacks(self, amount: int) -> list[Effect]:
        """Let Ann sell all at 700, once, and be charged."""
        self.mark(700)
        if self.lots(self.ann):
            self.trade(self.ann, -10, 700)
        return self.charge(self.ann, self.mirror.equity(self.ann) + amount)


@pytest.mark.parametrize("side", SIDES)
def test_one_account_bears_by_what_it_won(side: int) -> None:
    """Xenia won 1,800, Yuri 1,200: of 1,000 they bear 600 and 400."""
    scene = Winners(side)
    xenia = scene.xenia(100_000, 6)
    effects = scene.ann_lacks(1_000)
    assert cuts(effects) == [(scene.yuri, 400, 1_200, 1_200), (xenia, 600, 1_800, 1_800)]
    assert paid(effects) == []


@pytest.mark.parametrize("side", SIDES)
def test_a_trade_with_oneself_and_the_money_taken_away(side: int) -> None:
    """At 700 Xenia buys her lots from a second account of hers and moves all money there: the first has
    won 1,800 and has nothing, the second has won nothing. She bears 600 all the same. The second pays.
    Its lots bear it.
    """
    scene = Winners(side)
    first, second = scene.xenia(10_000, 6), scene.xenia(10_000)
    scene.mark(700)
    scene.trade(first, 6, 700, other=second)
    scene.move(first, second, 11_800)
    assert scene.mirror.equity(first) == 0
    effects = scene.ann_lacks(1_000)
    assert borne(scene, effects) == {YURI: 400, XENIA: 600}
    assert cuts(effects)[1] == (second, 600, 1_800, 1_800)
    assert [(row.account, row.amount) for row in of(effects, F.CLAIM)] == [(scene.yuri, 400), (second, 600)]
    assert scene.mirror.holding(second, 0).profit == -600


@pytest.mark.parametrize("side", SIDES)
def test_money_on_an_account_that_was_never_in_the_market(side: int) -> None:
    """Xenia closes with OUTSIDE at 700 and moves all money to an account without a position: that pays
    600, to clearing, and gets the claim.
    """
    scene = Winners(side)
    first, third = scene.xenia(10_000, 6), scene.xenia(1_000)
    scene.mark(700)
    scene.trade(first, 6, 700)
    scene.move(first, third, 11_800)
    effects = scene.ann_lacks(1_000)
    assert borne(scene, effects) == {YURI: 400, XENIA: 600}
    assert paid(effects) == [(third, clearing_of(0), 600)]
    assert scene.mirror.accounts[third].claims == {0: 600}


@pytest.mark.parametrize("side", SIDES)
def test_who_keeps_the_account_that_won_at_its_margin(side: int) -> None:
    """The account with Xenia's lots keeps twice its maintenance margin, the rest is elsewhere. That
    pays 600 to the account whose lots won, and these bear it: 1,200 of the gain of 1,800 are left. The
    account itself loses nothing. So another 1,000 are borne as 600 and 400 again, and of 3,000 the
    last 600 of her gain.
    """
    scene = Winners(side)
    first, rich = scene.xenia(10_000, 6), scene.xenia(1_000)
    scene.mark(700)
    kept = 2 * scene.mirror.maintenance(first)
    scene.move(first, rich, 11_800 - kept)
    effects = scene.ann_lacks(1_000)
    assert cuts(effects) == [(scene.yuri, 400, 1_200, 1_200), (rich, 600, 1_800, 1_800)]
    assert paid(effects) == [(rich, first, 600)]
    assert (scene.mirror.equity(first), scene.mirror.holding(first, 0).profit, scene.mirror.holding(first, 0).result) == (
        kept,
        1_200,
        1_200,
    )
    assert borne(scene, scene.ann_lacks(1_000)) == {YURI: 400, XENIA: 600}
    last = scene.ann_lacks(3_000)
    assert borne(scene, last) == {YURI: 400, XENIA: 600}
    assert [row.amount for row in of(last, F.RESIDUAL)] == [2_000]
    assert borne(scene, scene.ann_lacks(1_000)) == {}


@pytest.mark.parametrize("side", SIDES)
def test_the_largest_free_equity_pays_first(side: int) -> None:
    """Xenia has 500, 100 and 300 on accounts without lots, nothing on the one that won: 500 and 100 of
    600 come from the first and the third. Of equal ones the lower id pays first.
    """
    scene = Winners(side)
    first = scene.xenia(10_000, 6)
    purses = [scene.xenia(deposit) for deposit in (500, 100, 300)]
    scene.mark(700)
    scene.trade(first, 6, 700)
    scene.cash(first, -11_800)
    effects = scene.ann_lacks(1_000)
    assert cuts(effects)[1:] == [(purses[0], 500, 1_800, 500), (purses[2], 100, 1_800, 300)]
    scene.cash(purses[0], 100)
    scene.cash(purses[2], -100)
    again = scene.ann_lacks(200)
    assert [payer for payer, *_ in cuts(again)[1:]] == [purses[0], purses[1]]


@pytest.mark.parametrize("side", SIDES)
def test_a_loss_of_an_account_in_default_counts(side: int) -> None:
    """Xenia is short 6 on one account and long 6 on another, which has 100 left and waits for the book:
    she won nothing. Yuri bears all.
    """
    scene = Winners(side, stages=(Stage.CLOSEOUT, *STAGES))
    scene.xenia(10_000, 6)
    loser = scene.xenia(1_900)
    scene.trade(loser, 6, 1_000)
    scene.depth(100)
    effects = scene.ann_lacks(1_000)
    assert (scene.mirror.health[loser] >= Health.DISTRESSED, scene.lots(loser)) == (True, 6)
    assert borne(scene, effects) == {YURI: 1_000}


@pytest.mark.parametrize("side", SIDES)
def test_a_gain_of_an_account_in_default_counts(side: int) -> None:
    """Xenia won 1,800 on an account that is then in default by another market; her money is elsewhere. That
    pays 600 to the account in default, whose lots bear it: its equity is what it was.
    """
    scene = Winners(side, stages=(Stage.CLOSEOUT, *STAGES))
    first, rich = scene.xenia(1_000, 6), scene.xenia(10_000)
    scene.mark(700)
    scene.trade(first, 10, 1_000, market=1)
    scene.depth(100, market=1)
    scene.mark(760, market=1)
    assert (scene.mirror.health[first] >= Health.DISTRESSED, scene.mirror.equity(first)) == (True, 400)
    effects = scene.ann_lacks(1_000)
    assert cuts(effects) == [(scene.yuri, 400, 1_200, 1_200), (rich, 600, 1_800, 1_800)]
    assert paid(effects) == [(rich, first, 600)]
    assert (scene.mirror.equity(first), scene.mirror.holding(first, 0).profit) == (400, 1_200)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("ticks", [1_000, 1_030, 1_047])
def test_what_a_pair_of_positions_locks(side: int, ticks: int) -> None:
    """Xenia has 2,400, of which she won 1,800, and wants to bear nothing. In the other market she is
    long and short with herself, as much as initial margin of 10 % lets her: 12 lots each. That needs
    maintenance margin of 1,200, half of what she has. The other half is asked. A move of the mark adds to
    that as it adds to the notional: 4.7 % at most, then the account that loses is in default.
    """
    scene = Winners(side)
    first, second = scene.xenia(600, 6), scene.xenia(0)
    scene.mark(700)
    scene.trade(first, 6, 700)
    scene.move(first, second, 1_200)
    scene.trade(first, 12, 1_000, other=second, market=1)
    assert [scene.mirror.portfolio(account).initial for account in (first, second)] == [1_200, 1_200]
    scene.mark(ticks, market=1)
    assert (scene.lots(first, 1), scene.lots(second, 1)) == (12, -12)
    locked = sum(scene.mirror.maintenance(account) for account in (first, second))
    assert locked <= 1_260
    assert borne(scene, scene.ann_lacks(3_000))[XENIA] == 2_400 - locked


@pytest.mark.parametrize("side", SIDES)
def test_what_was_lost_on_another_account_counts(side: int) -> None:
    """Xenia is short 6 on one account and long 6 on another: she won nothing. Yuri bears all."""
    scene = Winners(side)
    scene.xenia(10_000, 6)
    scene.trade(scene.xenia(10_000), 6, 1_000)
    assert borne(scene, scene.ann_lacks(1_000)) == {YURI: 1_000}


@pytest.mark.parametrize("side", SIDES)
def test_open_interest_asks_for_net_lots(side: int) -> None:
    """Xenia is short 8 on one account and long 2 on another, Yuri short 4: they bear 600 and 400, and the
    account with most free equity pays.
    """
    scene = Winners(side, SocialisePolicy.OPEN_INTEREST)
    short = scene.xenia(10_000, 6)
    scene.trade(short, -2, 1_000)
    rich = scene.xenia(50_000)
    scene.trade(rich, 2, 1_000)
    effects = scene.ann_lacks(1_000)
    assert cuts(effects)[1:] == [(rich, 600, 6 * scene.price(700), 50_000 - 600 - scene.price(700) // 10)]
    assert borne(scene, effects) == {YURI: 400, XENIA: 600}


@pytest.mark.parametrize("side", SIDES)
def test_markets_of_a_turn_share_the_room(side: int) -> None:
    """Ann lacks as much in each of two markets, with ten winners in each. An event of 512 effects keeps
    half of what is left: eight accounts pay in either market.
    """
    rules = venue((Stage.SOCIALISE, Stage.TEAR_UP), markets=2)
    scene = Scene(rules._replace(limits=rules.limits._replace(effects_max=512)), side)
    ann = scene.open(6_000)
    for market in (0, 1):
        for payer in [scene.open(10_000) for _ in range(10)]:
            scene.trade(ann, 1, 1_000, other=payer, market=market)
    for market in (0, 1):
        scene.mark(700, market)
        if not scene.mirror.accounts[ann].in_default:
            scene.trade(ann, -10, 700, market=market)
    effects = scene.charge(ann, 200)
    first = next(place for place, row in enumerate(effects) if row.kind == F.HAIRCUT)
    second = next(place for place, row in enumerate(effects) if row.kind == F.HAIRCUT and row.market == 1)
    half = (512 - first) // 2
    told = Counter(row.market for row in of(effects, F.HAIRCUT))
    assert told == {0: half // 32, 1: min(10, (half - (second - first)) // 16)}
    assert sum(row.amount for row in of(effects, F.HAIRCUT)) == 200


@pytest.mark.parametrize("side", SIDES)
def test_many_accounts_of_one_owner_need_room(side: int) -> None:
    """Xenia won most and has it in forty accounts, of which 15 have room: she bears what these have, Yuri
    nothing, as nobody is left to be asked.
    """
    rules = venue((Stage.SOCIALISE, Stage.TEAR_UP))
    scene = Scene(rules._replace(limits=rules.limits._replace(effects_max=512)), side)
    ann, first, yuri = scene.open(4_000, ANN), scene.open(10_000, XENIA), scene.open(10_000, YURI)
    scene.trade(ann, 6, 1_000, other=first)
    scene.trade(ann, 4, 1_000, other=yuri)
    scene.mark(700)
    scene.trade(ann, -10, 700)
    scene.trade(first, 6, 700)
    scene.cash(first, -11_800)
    for number in range(40):
        scene.open(10 + number, XENIA)
    effects = scene.charge(ann, 1_000 + 1_000)
    told = cuts(effects)
    place = next(place for place, row in enumerate(effects) if row.kind == F.HAIRCUT)
    assert len(told) == (512 - place) // 2 // 16 < 40
    assert [cap for *_, cap in told] == [49 - number for number in range(len(told))]
    assert borne(scene, effects) == {XENIA: sum(49 - number for number in range(len(told)))}


def _bears_one_account(side: int, lacks: int) -> dict[int, int]:
    scene = Winners(side)
    scene.xenia(8_000, 6)
    scene.mark(960)
    return borne(scene, scene.ann_lacks(lacks))


@settings_of(25)
@given(data=st.data())
def test_an_owner_bears_the_same_however_he_spreads_it(data: st.DataObject) -> None:
    """Xenia has 8,000 and is short 6, on one account or spread over several in any way; at 960 and at 700
    she trades with herself and moves money. She bears the same of what Ann lacks, and so does Yuri.
    """
    side, lacks = data.draw(st.sampled_from(SIDES)), data.draw(st.integers(1, 9_000))
    scene = Winners(side)
    mine, lots_left, money = list[int](), 6, 8_000
    for number in range(count := data.draw(st.integers(1, 5))):
        is_last = number == count - 1
        lots = lots_left if is_last else data.draw(st.integers(0, lots_left))
        lots_left -= lots
        deposit = money - 100 * lots_left if is_last else data.draw(st.integers(100 * lots, money - 100 * lots_left))
        money -= deposit
        mine.append(scene.xenia(deposit, lots))
    for ticks in (960, 700):
        scene.mark(ticks)
        for _ in range(data.draw(st.integers(0, 3))):
            payer, receiver = data.draw(st.sampled_from(mine)), data.draw(st.sampled_from(mine))
            if payer != receiver:
                _spread(scene, data, payer, receiver, ticks)
    assert borne(scene, scene.ann_lacks(lacks)) == _bears_one_account(side, lacks)


def _spread(scene: Winners, data: st.DataObject, payer: int, receiver: int, ticks: int) -> None:
    """Let an account hand some of its lots to another at the mark, and some of the money that it can
    spare.
    """
    held = abs(scene.lots(payer))
    spare = scene.mirror.equity(receiver) - 100 * abs(scene.lots(receiver))
    lots = data.draw(st.integers(0, max(0, min(held, spare // 100))))
    if lots:
        scene.trade(payer, lots, ticks, other=receiver)
    most = scene.mirror.equity(payer) - 100 * abs(scene.lots(payer))
    amount = data.draw(st.integers(0, max(0, most)))
    if amount:
        scene.move(payer, receiver, amount)
