"""Stale victims and over-closing: who is asked is who stands there now, and no answer closes more
than there is.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from backstop.core.events import Answer, EffectKind, EventKind, Health, Reject, Stage, error_inventory_of
from backstop.reference.records import Effect, Event
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, provider, venue

F = EffectKind
ON_BOOK = (Stage.CLOSEOUT, Stage.ADL, Stage.TEAR_UP)


def crowd(side: int, deadline_ns: int = 20 * SECOND) -> tuple[Scene, int, int, int]:
    """Return a defaulter-to-be with ten lots, the profitable victim with most of the gain, and a
    second in line. Within its interval nobody is planned anew, so that an order is out as prices move.
    """
    scene = Scene(venue(ON_BOOK, deadline_ns=deadline_ns, interval_ns=10 * SECOND), side)
    loser, victim, second = scene.open(1_100), scene.open(50_000), scene.open(50_000)
    scene.trade(loser, 10, FIRST_MARK)
    scene.trade(victim, -10, FIRST_MARK + 100)
    scene.trade(second, -10, FIRST_MARK)
    return scene, loser, victim, second


def givers(effects: list[Effect]) -> dict[int, int]:
    """Return the lots that each account gave in ADL."""
    return {row.account: abs(row.lots) for row in of(effects, F.ADL_FILL)}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("change", ["shrinks", "flips", "leaves", "turns in flight"])
def test_victim_that_moved_is_asked_for_what_it_still_has(side: int, change: str) -> None:
    """Between the order and ADL the victim shrinks, flips or leaves: ADL sees it as it is, and
    never closes beyond it.
    """
    scene, loser, victim, second = crowd(side)
    scene.depth(10)
    scene.mark(930)
    (order,) = scene.open_ids()
    lots = {"shrinks": 7, "flips": 25, "leaves": 10, "turns in flight": 10}[change]
    if change == "turns in flight":  # it comes back on the defaulter's own side
        scene.trade(victim, 10, 930)
        lots = 4
    scene.trade(victim, lots, 930)
    before = scene.lots(victim)
    scene.mark(500)
    scene.depth(0)
    effects = scene.done(order)
    scene.depth(0)
    effects += scene.clock(30)
    given = givers(effects)
    # Gains at 500: 3 x 600 of the shrunk victim, 10 x 500 of the second: 2.6 and 7.4 of ten lots.
    assert given == ({victim: 3, second: 7} if change == "shrinks" else {second: 10})
    assert scene.lots(victim) == before + given.get(victim, 0)
    assert scene.lots(loser) == 0


@pytest.mark.parametrize("side", SIDES)
def test_victim_in_default_itself_is_not_asked(side: int) -> None:
    """A counterparty that stands below its own maintenance gives no lot by ADL."""
    scene, loser, victim, second = crowd(side)
    # Where the victim's own order will wait.
    scene.send(EventKind.DEPTH, market=0, code=1 if side > 0 else 0, lots=10)
    scene.charge(victim, scene.mirror.equity(victim) - 450)
    assert scene.mirror.health[victim] >= Health.DISTRESSED
    scene.charge(loser, 1_150)
    given = givers(scene.watch.effects[-1])
    assert given == {second: 10}


@pytest.mark.parametrize("side", SIDES)
def test_late_and_repeated_marks_change_nothing(side: int) -> None:
    """A mark of an earlier time, or one whose number was used, is refused, and leaves state and
    digest as they are.
    """
    scene, loser, _, _ = crowd(side)
    scene.mark(960)
    seq, time_ns, digest = scene.seq, scene.time_ns, scene.watch.reference.digest()
    crash = {"market": 0, "price_ticks": scene.price(100)}
    (repeated,) = scene.watch.send(Event(seq, time_ns + 1, int(EventKind.MARK), **crash))
    assert (repeated.kind, repeated.code) == (F.REFUSAL, Reject.SEQ_NOT_AFTER)
    assert scene.watch.reference.digest() == digest
    (late,) = scene.watch.send(Event(seq + 1, time_ns - 1, int(EventKind.MARK), **crash))
    assert (late.kind, late.code) == (F.REFUSAL, Reject.TIME_OUT_OF_RANGE)
    assert scene.watch.wrong == []
    assert (scene.mirror.health[loser], scene.mirror.marks) == (Health.WARNED, [scene.price(960)])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("answers", list(permutations(("half", "all", "twice", "done"))), ids="-".join)
def test_no_order_of_answers_closes_more_than_there_is(side: int, answers: tuple[str, ...]) -> None:
    """A half, the whole, double the whole and the end of an order in any order: the position ends
    flat, never flipped.
    """
    scene, loser, _, _ = crowd(side, deadline_ns=1 << 50)
    scene.depth(10)
    scene.mark(905)
    (order,) = scene.open_ids()
    whole = abs(scene.mirror.orders[order].lots)
    filled = 0
    for answer in answers:
        if answer == "done":
            scene.done(order)
        else:
            lots = {"half": max(1, whole // 2), "all": whole, "twice": 2 * whole}[answer]
            scene.fill(order, lots, 905)
            filled += lots
        assert 0 <= scene.lots(loser) <= 10
    error = scene.lots(error_inventory_of(0))
    # What the position could not take is the venue's, to the lot: closed and erroneous lots are
    # those that were filled.
    assert (10 - scene.lots(loser)) - error == filled
    assert error <= 0


@pytest.mark.parametrize("side", SIDES)
def test_fill_after_the_account_closed_itself_is_the_venues(side: int) -> None:
    """Cancelled because the account left by itself; the fill that comes all the same hits
    nobody.
    """
    scene, loser, _, _ = crowd(side)
    scene.depth(10)
    scene.mark(905)
    (order,) = scene.open_ids()
    scene.trade(loser, -10, 905)
    assert not scene.open_ids()
    scene.fill(order, 10, 905)
    assert (scene.lots(loser), scene.lots(error_inventory_of(0))) == (0, -10)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("answers", list(permutations(("accept", "accept again", "refuse", "late"))), ids="-".join)
def test_duplicate_answers_take_over_once(side: int, answers: tuple[str, ...]) -> None:
    """The first answer counts; what comes after it, accepting or refusing, moves no lot and counts
    as no failure.
    """
    stages = (Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    scene = Scene(venue(stages, providers=(provider(),)), side)
    loser, backer = scene.open(1_100), scene.open(100_000)
    scene.trade(loser, 10, FIRST_MARK)
    scene.bind(0, backer)
    scene.mark(905)
    (offer,) = scene.open_ids()
    lots = abs(scene.mirror.orders[offer].lots)
    for place, answer in enumerate(answers):
        if answer == "late":
            scene.clock(0.001)
        effects = scene.answer(offer, Answer.REFUSE if answer == "refuse" else Answer.ACCEPT)
        if place:
            assert effects == []
    taken = 0 if answers[0] == "refuse" else lots
    assert scene.lots(backer) == taken
    assert scene.mirror.providers[0].failures == (answers[0] == "refuse")


def test_one_bad_stamp_does_not_end_the_engine() -> None:
    """A clock that jumps to the end of time is refused, and the next event is applied as ever."""
    scene = Scene(venue(), 1)
    for time_ns in (1 << 62, scene.time_ns + (1 << 53) + 1):
        (refusal,) = scene.watch.send(Event(scene.seq + 1, time_ns, int(EventKind.CLOCK)))
        scene.seq += 1
        assert (refusal.kind, refusal.code) == (F.REFUSAL, Reject.TIME_OUT_OF_RANGE)
    assert scene.clock() == []
    assert scene.watch.send(Event(scene.seq + 1, scene.time_ns + (1 << 53), int(EventKind.CLOCK))) == []
