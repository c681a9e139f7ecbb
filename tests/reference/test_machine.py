"""The circuit breaker's abstract machine, explored to its end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TypeAlias

import pytest

from backstop.core.events import NEVER_NS, BreakerCause, BreakerState
from backstop.reference.machine import HALT, THROTTLE, Machine, demand, graded, set_level, settle, spend

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
PRICE, FLOW, DRAWDOWN, STALE, OPERATOR, OUTAGE, DEFICIT, INDEX = BreakerCause

#: Levels that each cause can have. INDEX is to the machine what PRICE is, and left out: its level
#: is 0.
GRADES = {PRICE: (0, 1, 2), FLOW: (0, 1, 2), DRAWDOWN: (0, 1), STALE: (0, 2), OPERATOR: (0, 1, 2), OUTAGE: (0, 2), DEFICIT: (0, 2)}
NOW, HOLD, REOPEN = 1_000, 100, 10
#: State, levels in order of cause, spent causes, causes that the state answers, whether its time is
#: over.
Node: TypeAlias = tuple[int, tuple[int, ...], frozenset[BreakerCause], frozenset[BreakerCause], bool]
#: What a cause with a level may be beside: neither, or the one or the other. (What is both is as
#: what is spent.)
FRESH, SPENT, ANSWERED = range(3)


def marked(marks: tuple[tuple[int, int], ...], mark: int) -> frozenset[BreakerCause]:
    """Causes that have a level and this mark."""
    return frozenset(cause for cause, (level, found) in zip(GRADES, marks, strict=True) if level and found == mark)


def machines() -> Iterator[Node]:
    """Every state x every combination of levels x which of them are spent, which answered x its
    time over or not.
    """
    for state, due in product(BreakerState, (False, True)):
        if state == OPEN and due:
            continue
        kinds = (FRESH, SPENT, ANSWERED) if state in (THROTTLED, HALTED) else (FRESH, SPENT)
        choices = [
            [(level, mark) for level in grades for mark in kinds if (level or mark == FRESH) and (cause, mark) != (DEFICIT, SPENT)]
            for cause, grades in GRADES.items()
        ]
        for marks in product(*choices):
            yield state, tuple(level for level, _ in marks), marked(marks, SPENT), marked(marks, ANSWERED), due


def build(state: int, levels: tuple[int, ...], spent: frozenset[BreakerCause], answered: frozenset[BreakerCause], due: bool) -> Machine:
    """A machine whose time is over, or which has just come into its state."""
    until = NEVER_NS if state == OPEN else NOW - due + (1 - due) * (REOPEN if state == REOPENING else HOLD)
    return Machine(state, 0, until, {**dict(zip(GRADES, levels, strict=True)), INDEX: 0}, set(spent), set(answered))


def node(machine: Machine, now: int) -> Node:
    """The machine as one of ``machines``: what is spent, or has no level any more, is not told from
    what was not answered.
    """
    answered = frozenset(cause for cause in machine.answered - machine.spent if machine.levels[cause])
    return machine.state, tuple(machine.levels[cause] for cause in GRADES), frozenset(machine.spent), answered, machine.until <= now


def test_every_machine_is_open_after_at_most_three_holds_and_a_reopening() -> None:
    """Signals stay, time passes: all 283,674 machines end OPEN and stay there.

    Three holds: the halt that stands, one for all that began to ask in it, a throttle. No cause is
    answered twice in the same state.
    """
    waits: dict[Node, tuple[int, int, frozenset[tuple[int, BreakerCause]]]] = {}

    def run(start: Node) -> tuple[int, int, frozenset[tuple[int, BreakerCause]]]:
        """Holds and reopenings that are waited for until the machine rests in OPEN, and who is
        answered on the way, in which state.
        """
        if start in waits:
            return waits[start]
        machine = build(*start)
        moved = settle(machine, NOW, HOLD, REOPEN)
        after = node(machine, NOW)
        assert not after[-1], f"{start}: what a settle leaves has time before it"
        if not moved and start[0] == OPEN:
            result = (0, 0, frozenset[tuple[int, BreakerCause]]())
        elif not moved:
            holds, reopenings, answered = run((*start[:-1], True))
            result = (holds + (start[0] != REOPENING), reopenings + (start[0] == REOPENING), answered)
        else:
            holds, reopenings, answered = run(after)
            added = frozenset((after[0], cause) for cause in after[3] - (start[3] if after[0] == start[0] else set()))
            assert not added & answered, f"{start}: answered once more"
            result = (holds, reopenings, answered | added)
        waits[start] = result
        return result

    count, most = 0, (0, 0)
    for start in machines():
        holds, reopenings, _ = run(start)
        most = (max(most[0], holds), max(most[1], reopenings))
        count += 1
    assert count == 4 * 65_856 + 3 * 6_750
    assert most == (3, 1)


def test_every_settle_does_only_what_it_may() -> None:
    """A hold that is over ends; HALTED has a fresh cause of level 2; a second settle changes
    nothing; one transition at most.

    What is held anew answers more causes than before: so a stop has no more holds than there are
    causes, whatever the signals do.
    """
    allowed = {
        OPEN: {OPEN, THROTTLED, HALTED},
        THROTTLED: {THROTTLED, HALTED, OPEN},
        HALTED: {HALTED, REOPENING},
        REOPENING: {REOPENING, HALTED, THROTTLED, OPEN},
    }
    for start in machines():
        state, levels, spent, answered, due = start
        machine = build(*start)
        gone = {cause for cause, level in machine.levels.items() if not level and cause != DEFICIT}
        machine.spent |= gone
        if state in (THROTTLED, HALTED):
            machine.answered |= gone
        old = set(machine.answered)
        moved = settle(machine, NOW, HOLD, REOPEN)
        assert machine.state in allowed[BreakerState(state)]
        assert moved == (machine.state != state or due), f"{start}: a state without an exit"
        if machine.state in (HALTED, THROTTLED) and moved:
            level = dict(zip(GRADES, levels, strict=True))[BreakerCause(machine.cause)]
            assert machine.cause not in spent | (answered if due else set())
            assert level == (HALT if machine.state == HALTED else THROTTLE)
            assert machine.cause in machine.answered
            assert machine.state != state or machine.answered > old
        assert all(machine.levels[BreakerCause(cause)] for cause in machine.spent)
        assert machine.state in (HALTED, THROTTLED) or not machine.answered
        before = (machine.state, machine.cause, machine.until, dict(machine.levels), set(machine.spent), set(machine.answered))
        assert not settle(machine, NOW, HOLD, REOPEN)
        assert before == (machine.state, machine.cause, machine.until, machine.levels, machine.spent, machine.answered)


def test_an_operator_reopens_whatever_stands() -> None:
    """REOPEN spends all causes: HALTED begins to reopen, the others are OPEN or on their way."""
    for start in machines():
        machine = build(*start)
        machine.levels[OPERATOR] = 0
        for cause in BreakerCause:
            spend(machine, cause)
        settle(machine, NOW, HOLD, REOPEN)
        assert demand(machine) == (0, 0)
        assert machine.state == (REOPENING if start[0] == HALTED or (start[0] == REOPENING and not start[-1]) else OPEN)


def test_a_late_cause_has_a_hold_of_its_own_once_a_stop() -> None:
    """Halted at 0 by PRICE; FLOW asks at 99: halted to 200 by FLOW.

    PRICE, gone and back in that hold, was answered: reopening at 200.
    """
    machine = Machine()
    seen = []
    for now, price, flow in ((0, 2, 0), (99, 2, 2), (100, 2, 2), (150, 0, 2), (199, 2, 2), (200, 2, 2), (210, 2, 2)):
        machine.levels |= {PRICE: price, FLOW: flow}
        settle(machine, now, HOLD, REOPEN)
        seen.append((machine.state, machine.cause, machine.until))
    first, second = (HALTED, PRICE, 100), (HALTED, FLOW, 200)
    assert seen == [first, first, second, second, second, (REOPENING, FLOW, 210), (OPEN, FLOW, NEVER_NS)]
    assert (machine.spent, machine.answered) == ({PRICE, FLOW}, set())


def test_a_halt_answers_no_throttle() -> None:
    """Level 1 beside a halt has its throttle after the reopening; had it risen to 2 within the
    halt, a halt of its own.
    """
    for rises, states in ((False, [REOPENING, THROTTLED, OPEN]), (True, [HALTED, REOPENING, OPEN])):
        machine = Machine()
        machine.levels |= {STALE: 2, PRICE: 1}
        settle(machine, 0, HOLD, REOPEN)
        assert (machine.cause, machine.answered) == (STALE, {STALE})
        if rises:
            set_level(machine, PRICE, HALT)
        found = []
        for _ in range(3):
            settle(machine, machine.until, HOLD, REOPEN)
            found.append(machine.state)
        assert found == states
        assert (machine.cause, machine.spent) == (PRICE, {PRICE, STALE})


def test_spent_cause_waits_for_its_level_to_be_none() -> None:
    """Held for 100, spent, reopened at 110: level 2 stays and halts nothing; 1 neither; 0, then 1:
    throttled again.
    """
    machine = Machine(levels=dict.fromkeys(BreakerCause, 0))
    machine.levels[PRICE] = HALT
    seen = []
    for now, level in ((0, 2), (99, 2), (100, 2), (109, 2), (110, 2), (500, 1), (501, 2), (502, 0), (503, 1)):
        machine.levels[PRICE] = level
        settle(machine, now, HOLD, REOPEN)
        seen.append((machine.state, machine.until))
    halted, reopening, is_open = (HALTED, 100), (REOPENING, 110), (OPEN, NEVER_NS)
    assert seen == [halted, halted, reopening, reopening, is_open, is_open, is_open, is_open, (THROTTLED, 603)]


def test_first_of_the_highest_is_the_cause() -> None:
    """STALE (2) over PRICE (1); of two halts the first in the list; where nothing is left, the
    cause stays.
    """
    machine = Machine()
    machine.levels |= {PRICE: 1, STALE: 2, DEFICIT: 2}
    assert demand(machine) == (2, STALE)
    settle(machine, 0, HOLD, REOPEN)
    assert (machine.state, machine.cause) == (HALTED, STALE)
    machine.levels |= {STALE: 0, DEFICIT: 0}
    settle(machine, 5, HOLD, REOPEN)
    assert (machine.state, machine.cause, machine.until) == (REOPENING, PRICE, 15)
    machine.levels[PRICE] = 0
    settle(machine, 15, HOLD, REOPEN)
    assert (machine.state, machine.cause) == (OPEN, PRICE)


def test_a_halt_that_weakens_is_throttled_after_the_reopening() -> None:
    """Level 2 falls to 1 before the hold is over: REOPENING to 60, THROTTLED to 160, spent,
    OPEN.
    """
    machine = Machine()
    machine.levels[FLOW] = 2
    settle(machine, 0, HOLD, REOPEN)
    machine.levels[FLOW] = 1
    states = []
    for now in (50, 59, 60, 159, 160, 161):
        settle(machine, now, HOLD, REOPEN)
        states.append((machine.state, machine.until))
    assert states == [(REOPENING, 60)] * 2 + [(THROTTLED, 160)] * 2 + [(OPEN, NEVER_NS)] * 2
    assert machine.spent == {FLOW}


def test_deficit_ends_with_its_hold_and_can_come_again() -> None:
    """A deficit has no signal: its level is 0 after the hold; the next one halts at once, also
    while it reopens.
    """
    machine = Machine()
    machine.levels[DEFICIT] = 2
    settle(machine, 0, HOLD, REOPEN)
    settle(machine, 100, HOLD, REOPEN)
    assert (machine.state, machine.levels[DEFICIT], machine.spent) == (REOPENING, 0, set())
    machine.levels[DEFICIT] = 2
    settle(machine, 101, HOLD, REOPEN)
    assert (machine.state, machine.cause, machine.until) == (HALTED, DEFICIT, 201)


@pytest.mark.parametrize(
    ("signal", "levels"),
    [
        (0, (0, 0, 0)),
        (9, (0, 0, 0)),
        (10, (0, 1, 2)),
        (19, (0, 1, 2)),
        (20, (1, 1, 2)),
        (29, (1, 1, 2)),
        (30, (2, 2, 2)),
    ],
)
def test_levels_have_hysteresis(signal: int, levels: tuple[int, int, int]) -> None:
    """Throttle 20, halt 30, exit 10: what each of the three levels becomes."""
    assert tuple(graded(old, signal, 20, 30, 10) for old in (0, 1, 2)) == levels


def test_a_threshold_of_0_is_off() -> None:
    """Throttle alone never halts, halt alone never throttles, neither is nothing."""
    assert [graded(0, signal, 20, 0, 10) for signal in (19, 20, 10**9)] == [0, 1, 1]
    assert [graded(0, signal, 0, 30, 10) for signal in (29, 30)] == [0, 2]
    assert [graded(2, signal, 0, 30, 10) for signal in (29, 10, 9)] == [2, 2, 0]
    assert graded(2, 10**9, 0, 0, 0) == 0
