"""Funding by index: the step is for the lots of that moment, equity has it at once, money moves when
a position settles. Worked cases, on engine and reference together, with every invariant.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backstop.core.events import FUND, FUNDING_PARTS, NONE, Cause, EffectKind, EventKind, Health, Reject, Stage, funding_of, outside_of
from backstop.core.instruments import funding_index_max
from backstop.reference.records import Effect, Event
from tests.attacks.scene import FIRST_MARK, SIDES, Scene, venue
from tests.properties.watch import Watch

STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
OUTSIDE, FUNDING = outside_of(0), funding_of(0)


def scene_of(side: int, markets: int = 1, fund: int = 0, market: dict[str, int] | None = None) -> Scene:
    """Return a scene without a book."""
    scene = Scene(venue(STAGES, markets=markets, market=market), side)
    if fund:
        scene.cash(FUND, fund)
    return scene


def step(scene: Scene, atoms: float, market: int = 0) -> list[Effect]:
    """Let the attacked side pay so many atoms a lot."""
    return scene.send(EventKind.FUNDING, market=market, amount=scene.side * int(atoms * FUNDING_PARTS))


def paid(effects: Sequence[Effect]) -> list[tuple[int, int, int]]:
    """Return (receiver, payer, amount) of what was settled."""
    rows = [row for row in effects if row.kind == EffectKind.POSTING and row.code == Cause.FUNDING]
    return [(row.account, row.other, row.amount) for row in rows]


@pytest.mark.parametrize("side", SIDES)
def test_equity_has_it_at_once_and_money_moves_at_a_touch(side: int) -> None:
    """Ten lots pay 3 each: one effect, no posting, equity 970 and 1,030. Both then settle; between
    them the clearing account has, or lacks, 30.
    """
    scene = scene_of(side)
    payer, payee = scene.open(1_000), scene.open(1_000)
    scene.trade(payer, 10, FIRST_MARK, other=payee)
    assert [row.kind for row in step(scene, 3)] == [EffectKind.FUNDING]
    assert (scene.mirror.equity(payer), scene.mirror.equity(payee)) == (970, 1_030)
    assert (scene.mirror.ledger[payer], scene.mirror.ledger[FUNDING]) == (1_000, 0)
    assert paid(scene.cash(payee, 5)) == [(payee, FUNDING, 30)]
    assert (scene.mirror.ledger[payee], scene.mirror.ledger[FUNDING]) == (1_035, -30)
    assert paid(scene.cash(payer, 5)) == [(FUNDING, payer, 30)]
    assert (scene.mirror.ledger[payer], scene.mirror.ledger[FUNDING]) == (975, 0)
    assert paid(scene.cash(payer, 5)) == []
    assert scene.mirror.accounts[payer].charge_market == 0
    assert scene.mirror.accounts[payee].charge_market == NONE


@pytest.mark.parametrize("side", SIDES)
def test_the_step_is_for_the_lots_of_that_moment(side: int) -> None:
    """Who trades after the step pays for what he held before; who comes after it pays nothing, and
    outside traders settle as any.
    """
    scene = scene_of(side)
    early, late = scene.open(1_000), scene.open(1_000)
    scene.trade(early, 10, FIRST_MARK)
    step(scene, 3)
    assert paid(scene.trade(early, -10, FIRST_MARK, other=late)) == [(FUNDING, early, 30)]
    assert (scene.mirror.equity(early), scene.mirror.equity(late)) == (970, 1_000)
    step(scene, 1)
    assert paid(scene.trade(late, -10, FIRST_MARK)) == [(FUNDING, late, 10), (OUTSIDE, FUNDING, 40)]
    assert scene.mirror.ledger[FUNDING] == 0


@pytest.mark.parametrize("side", SIDES)
def test_rounding_is_against_the_holder_and_stays_in_sight(side: int) -> None:
    """Three lots at 1.5: 4.5 are owed, 5 are paid, 4 are received, 1 stays. Less than an atom waits."""
    scene = scene_of(side)
    payer, payee = scene.open(1_000), scene.open(1_000)
    scene.trade(payer, 3, FIRST_MARK, other=payee)
    step(scene, 1.5)
    assert paid(scene.cash(payer, 1)) == [(FUNDING, payer, 5)]
    assert paid(scene.cash(payee, 1)) == [(payee, FUNDING, 4)]
    assert scene.mirror.ledger[FUNDING] == 1
    step(scene, 0.3)
    assert paid(scene.cash(payee, 1)) == []
    step(scene, 0.1)
    assert paid(scene.cash(payee, 1)) == [(payee, FUNDING, 1)]


@pytest.mark.parametrize("side", SIDES)
def test_a_step_alone_brings_into_default_and_is_settled_there(side: int) -> None:
    """No mark moves: 60 a lot take 600 of 1,000 equity, below the maintenance margin of 500. The
    other side is judged in the same event where its health gains.
    """
    scene = scene_of(side)
    payer, payee = scene.open(1_000), scene.open(1_000)
    scene.trade(payer, 10, FIRST_MARK, other=payee)
    assert scene.mirror.health[payer] == Health.HEALTHY
    effects = step(scene, 60)
    told = [row for row in effects if row.kind in (EffectKind.HEALTH, EffectKind.POSTING)]
    assert (told[0].kind, told[0].account, told[0].code, told[0].amount) == (EffectKind.HEALTH, payer, Health.DISTRESSED, 400)
    assert paid(effects)[0] == (FUNDING, payer, 600)


@pytest.mark.parametrize("side", SIDES)
def test_what_cannot_be_paid_is_the_funds(side: int) -> None:
    """150 a lot of 10 lots, 1,000 equity: 500 lack. The fund pays them; the other side closes at mark
    and gets its 1,500 whole.
    """
    scene = scene_of(side, fund=10_000)
    payer, payee = scene.open(1_000), scene.open(1_000)
    scene.trade(payer, 10, FIRST_MARK, other=payee)
    step(scene, 150)
    for _ in range(30):
        scene.clock()
    assert (scene.lots(payer), scene.lots(payee)) == (0, 0)
    assert (scene.mirror.equity(payer), scene.mirror.equity(payee), scene.fund) == (0, 2_500, 9_500)
    assert scene.mirror.ledger[FUNDING] == 0


@pytest.mark.parametrize("side", SIDES)
def test_a_withdrawal_sees_what_is_not_paid(side: int) -> None:
    """Of 2,000 with an initial margin of 1,000, a step of 30 on 10 lots leaves 700 to withdraw, and
    gives the other side 1,300.
    """
    scene = scene_of(side)
    payer, payee = scene.open(2_000), scene.open(2_000)
    scene.trade(payer, 10, FIRST_MARK, other=payee)
    step(scene, 30)
    for account, most in ((payer, 700), (payee, 1_300)):
        refusals = [row.code for row in scene.cash(account, -most - 1) if row.kind == EffectKind.REFUSAL]
        assert refusals == [Reject.INSUFFICIENT_MARGIN]
        assert paid(scene.cash(account, -most)) != []
        assert scene.mirror.equity(account) == 1_000


def test_few_ticks_and_many_steps_miss_nobody() -> None:
    """At a mark of 3 ticks each step counts as a tick at least: the triggers begin anew again and
    again. ``Scene`` scans the health of all after each event.
    """
    scene = scene_of(1)
    accounts = [scene.open(1_000 + 40 * number) for number in range(12)]
    for number, account in enumerate(accounts):
        scene.trade(account, 2_000 if number % 2 else -2_000, FIRST_MARK)
    scene.mark(3)
    for number in range(60):
        step(scene, 0.004 if number % 3 else -0.006)
        if number % 7 == 0:
            scene.mark(3 + number % 2)


def test_what_is_refused() -> None:
    """Nothing, no market, more than the ledger can hold at once or in all."""
    scene = scene_of(1)
    most = funding_index_max(scene.rules.markets[0])
    for market, amount, reason in (
        (7, 1, Reject.UNKNOWN_MARKET),
        (0, 0, Reject.AMOUNT_OUT_OF_RANGE),
        (0, (1 << 60) + 1, Reject.AMOUNT_OUT_OF_RANGE),
        (0, most + 1, Reject.BALANCE_LIMIT),
    ):
        (row,) = scene.send(EventKind.FUNDING, market=market, amount=amount)
        assert (row.kind, row.code) == (EffectKind.REFUSAL, reason)
    assert [row.kind for row in scene.send(EventKind.FUNDING, market=0, amount=most)] == [EffectKind.FUNDING]
    (row,) = scene.send(EventKind.FUNDING, market=0, amount=1)
    assert row.code == Reject.BALANCE_LIMIT


def test_a_market_without_a_mark_takes_a_step() -> None:
    """Nobody holds lots there; who comes later, by a trade or with the opening book, begins at the
    index of then.
    """
    watch = Watch(venue(STAGES))
    sent = [
        (EventKind.FUNDING, {"market": 0, "amount": 5 * FUNDING_PARTS}),
        (EventKind.MARK, {"market": 0, "price_ticks": FIRST_MARK}),
        (EventKind.ACCOUNT, {"account": 0, "other": 0}),
        (EventKind.TRANSFER, {"account": 0, "amount": 1_000}),
        (EventKind.POSITION, {"account": 0, "market": 0, "lots": 4, "amount": 4 * FIRST_MARK}),
        (EventKind.FILL, {"account": 0, "market": 0, "other": NONE, "lots": 6, "price_ticks": FIRST_MARK}),
        (EventKind.FUNDING, {"market": 0, "amount": 2 * FUNDING_PARTS}),
    ]
    for seq, (kind, fields) in enumerate(sent):
        effects = watch.send(Event(seq, seq, int(kind), **fields))
        assert watch.wrong == []
        assert not [row for row in effects if row.kind == EffectKind.REFUSAL]
    assert (watch.mirror.ledger[0], watch.mirror.equity(0)) == (1_000, 980)
