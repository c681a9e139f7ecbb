"""The circuit breaker's abstract machine, explored to its end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product
from typing import TypeAlias

import pytest

from backstop.core.events import NEVER_NS, BreakerCause, BreakerState
from tests.oracle.machine import HALT, THROTTLE, Machine, demand, graded, settle, spend

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
PRICE, FLOW, DRAWDOWN, STALE, OPERATOR, OUTAGE, DEFICIT = BreakerCause

#: Levels that each cause can have.
GRADES = {PRICE: (0, 1, 2), FLOW: (0, 1, 2), DRAWDOWN: (0, 1), STALE: (0, 2), OPERATOR: (0, 1, 2), OUTAGE: (0, 2), DEFICIT: (0, 2)}
NOW, HOLD, REOPEN = 1_000, 100, 10
#: State, levels in order of cause, spent causes, whether its time is over.
Node: TypeAlias = tuple[int, tuple[int, ...], frozenset[BreakerCause], bool]


def machines() -> Iterator[Node]:
    """Every state x every combination of levels x every set of spent causes x its time over or not."""
    spendable = [cause for cause in BreakerCause if cause != DEFICIT]
    sets = [frozenset(each) for each in chain.from_iterable(combinations(spendable, size) for size in range(len(spendable) + 1))]
    yield from product(BreakerState, product(*GRADES.values()), sets, (False, True))


def build(state: int, levels: tuple[int, ...], spent: frozenset[BreakerCause], due: bool) -> Machine:
    """A machine whose time is over, or which has just come into its state."""
    until = NEVER_NS if state == OPEN else NOW - due + (1 - due) * (REOPEN if state == REOPENING else HOLD)
    return Machine(state, 0, until, dict(zip(BreakerCause, levels, strict=True)), set(spent))


def node(machine: Machine, now: int) -> Node:
    """The machine as one of ``machines``."""
    return machine.state, tuple(machine.levels.values()), frozenset(machine.spent), machine.until <= now


def test_every_machine_is_open_after_at_most_two_holds_and_a_reopening() -> None:
    """Signals stay, time passes: all 221,184 machines end OPEN and stay there; no cause that was spent has halted."""
    waits: dict[Node, tuple[int, int]] = {}

    def run(start: Node) -> tuple[int, int]:
        """Holds and reopenings that are waited for until the machine rests in OPEN."""
        if start in waits:
            return waits[start]
        machine = build(*start)
        settle(machine, NOW, HOLD, REOPEN)
        after = node(machine, NOW)
        assert not after[3], f"{start}: what a settle leaves has time before it"
        if after[0] == OPEN and after == start:
            result = (0, 0)
        elif after == start:
            holds, reopenings = run((*start[:3], True))
            result = (holds + (start[0] != REOPENING), reopenings + (start[0] == REOPENING))
        else:
            result = run(after)
        waits[start] = result
        return result

    count, most = 0, (0, 0)
    for start in machines():
        if start[0] == OPEN and start[3]:
            continue
        holds, reopenings = run(start)
        assert holds <= 2
        assert reopenings <= 1
        most = (max(most[0], holds), max(most[1], reopenings))
        count += 1
    assert count == 7 * 432 * 64
    assert most == (1, 1), "the rule allows two holds; signals that stay need one"


def test_every_settle_does_only_what_it_may() -> None:
    """A hold that is over ends; HALTED has a fresh cause of level 2; a second settle changes nothing; one transition at most."""
    allowed = {
        OPEN: {OPEN, THROTTLED, HALTED},
        THROTTLED: {THROTTLED, HALTED, OPEN},
        HALTED: {HALTED, REOPENING},
        REOPENING: {REOPENING, HALTED, THROTTLED, OPEN},
    }
    for start in machines():
        state, levels, spent, due = start
        if state == OPEN and due:
            continue
        machine = build(*start)
        moved = settle(machine, NOW, HOLD, REOPEN)
        assert moved == (machine.state != state)
        assert machine.state in allowed[BreakerState(state)]
        if due:
            assert moved, f"{start}: a state without an exit"
        if machine.state in (HALTED, THROTTLED) and moved:
            level = dict(zip(BreakerCause, levels, strict=True))[BreakerCause(machine.cause)]
            assert machine.cause not in spent
            assert level == (HALT if machine.state == HALTED else THROTTLE)
        assert all(machine.levels[BreakerCause(cause)] for cause in machine.spent)
        before = (machine.state, machine.cause, machine.until, dict(machine.levels), set(machine.spent))
        assert not settle(machine, NOW, HOLD, REOPEN)
        assert before == (machine.state, machine.cause, machine.until, machine.levels, machine.spent)


def test_an_operator_reopens_whatever_stands() -> None:
    """REOPEN spends all causes: HALTED begins to reopen, the others are OPEN or on their way."""
    for start in machines():
        if start[0] == OPEN and start[3]:
            continue
        machine = build(*start)
        machine.levels[OPERATOR] = 0
        for cause in BreakerCause:
            spend(machine, cause)
        settle(machine, NOW, HOLD, REOPEN)
        assert demand(machine) == (0, 0)
        assert machine.state == (REOPENING if start[0] == HALTED or (start[0] == REOPENING and not start[3]) else OPEN)


def test_spent_cause_waits_for_its_level_to_be_none() -> None:
    """Held for 100, spent, reopened at 110: level 2 stays and halts nothing; 1 neither; 0, then 1: throttled again."""
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
    """STALE (2) over PRICE (1); of two halts the first in the list; where nothing is left, the cause stays."""
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
    """Level 2 falls to 1 before the hold is over: REOPENING to 60, THROTTLED to 160, spent, OPEN."""
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
    """A deficit has no signal: its level is 0 after the hold; the next one halts at once, also while it reopens."""
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
