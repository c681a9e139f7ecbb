"""The circuit breaker's abstract machine (R8.4): plain data, and one pure function that takes
it a step further.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backstop.core.events import NEVER_NS, NONE, BreakerCause, BreakerState
from backstop.core.instruments import VenueRules

__all__ = [
    "ALL_SETTLED",
    "HALT",
    "SETTLES_INSOLVENT",
    "SETTLES_REST",
    "THROTTLE",
    "TRADED",
    "Breaker",
    "Machine",
    "Peaks",
    "demand",
    "end_of",
    "graded",
    "new_breakers",
    "new_peaks",
    "set_level",
    "settle",
    "severest",
    "spend",
]

#: Levels of a cause; 0 is none.
THROTTLE, HALT = 1, 2
#: How far the settlement of a market is.
TRADED, SETTLES_INSOLVENT, SETTLES_REST, ALL_SETTLED = range(4)
CAUSES = tuple(BreakerCause)
#: From what stops nothing to what stops most.
SEVERITY = (BreakerState.OPEN, BreakerState.THROTTLED, BreakerState.REOPENING, BreakerState.HALTED)
#: Any span of a drawdown window is covered by so many slots of ``ceil(window / 16)``.
PEAK_SLOTS = 17


@dataclass(slots=True)
class Machine:
    """What decides the next state: nothing else of a breaker does."""

    state: int = BreakerState.OPEN
    #: Cause of the last transition, 0 before the first.
    cause: int = 0
    until: int = NEVER_NS
    levels: dict[BreakerCause, int] = field(default_factory=lambda: dict.fromkeys(BreakerCause, 0))
    spent: set[BreakerCause] = field(default_factory=set)
    #: Causes that the present stop was entered for, or held anew for.
    answered: set[BreakerCause] = field(default_factory=set)


def severest(one: int, other: int) -> BreakerState:
    """Return the severer of two states; the first where both are alike."""
    return max((BreakerState(one), BreakerState(other)), key=SEVERITY.index)


def demand(machine: Machine) -> tuple[int, int]:
    """Return the highest level of the causes that are not spent, and the first cause that has it (0
    where none has a level).
    """
    highest, first = 0, 0
    for cause in CAUSES:
        if machine.levels[cause] > highest and cause not in machine.spent:
            highest, first = machine.levels[cause], int(cause)
    return highest, first


def spend(machine: Machine, cause: BreakerCause) -> None:
    """The cause halts nothing again before its level was 0; nothing but this ends DEFICIT."""
    if machine.levels[cause] == 0:
        return
    if cause == BreakerCause.DEFICIT:
        machine.levels[cause] = 0
    else:
        machine.spent.add(cause)


def next_state(machine: Machine, level: int, now: int) -> int:
    """The state that the demanded level leads to from the present one."""
    if level == HALT:
        return BreakerState.HALTED
    if machine.state == BreakerState.HALTED:
        return BreakerState.REOPENING
    if machine.state == BreakerState.REOPENING and now < machine.until:
        return BreakerState.REOPENING
    return BreakerState.THROTTLED if level == THROTTLE else BreakerState.OPEN


def settle(machine: Machine, now: int, hold_max_ns: int, reopen_ns: int) -> bool:
    """Take at most one transition; return whether there was one. FLOW was evaluated before."""
    machine.spent = {cause for cause in machine.spent if machine.levels[cause]}
    is_over = machine.until <= now
    if is_over:
        for cause in machine.answered:
            spend(machine, cause)
    level, first = demand(machine)
    new = next_state(machine, level, now)
    if new == machine.state and not is_over:
        return False
    if new != machine.state:
        machine.answered = set()
    if new in (BreakerState.THROTTLED, BreakerState.HALTED):
        machine.answered |= {cause for cause in CAUSES if machine.levels[cause] == level and cause not in machine.spent}
    machine.state = int(new)
    machine.cause = first or machine.cause
    machine.until = end_of(BreakerState(new), now, hold_max_ns, reopen_ns)
    return True


def end_of(state: BreakerState, now: int, hold_max_ns: int, reopen_ns: int) -> int:
    """Return when a state that is entered now ends at the latest; OPEN lasts for ever."""
    if state == BreakerState.OPEN:
        return NEVER_NS
    return now + (reopen_ns if state == BreakerState.REOPENING else hold_max_ns)


def graded(old: int, signal: int, throttle: int, halt: int, leave: int) -> int:
    """Level of a cause with hysteresis; a threshold of 0 is off."""
    if not throttle and not halt:
        return 0
    if halt and signal >= halt:
        return HALT
    if throttle and signal >= throttle:
        return max(old, THROTTLE)
    return 0 if signal < leave else old


def set_level(machine: Machine, cause: BreakerCause, level: int) -> None:
    """A cause that asks for a halt after a throttle asks for more than what it was stopped for."""
    if machine.levels[cause] == THROTTLE and level == HALT:
        machine.spent.discard(cause)
    machine.levels[cause] = level


@dataclass(slots=True)
class Breaker(Machine):
    """A machine with what its signals are made of; pairs are of the present and the last window."""

    operator_until: int = NEVER_NS
    #: When the grace after an outage ends (the venue's), or after a stale feed (a market's).
    grace_until: int = NEVER_NS
    flow_window: int = 0
    flow: list[int] = field(default_factory=lambda: [0, 0])
    deficit_window: int = 0
    deficit: list[int] = field(default_factory=lambda: [0, 0])
    price_window: int = 0
    low: list[int] = field(default_factory=lambda: [0, 0])
    high: list[int] = field(default_factory=lambda: [0, 0])
    price_signal: int = 0
    index_signal: int = 0
    mark_time: int = NONE
    held: int = 0
    held_until: int = 0
    #: For how long the newest print was a held one, up to the time of the last change; and whether it
    #: is now.
    held_for: int = 0
    held_at: int = 0
    is_held_newest: bool = False
    #: Whether it is the second hold of a level; for how much longer the newest print was of the level
    #: held than of a rival, up to the same time; and the rival where that is the newest print, else 0.
    is_continued: bool = False
    lead: int = 0
    rival: int = 0
    #: The first print of the level held, and of the rival.
    held_first: int = 0
    rival_first: int = 0
    #: The mark that jumps are measured from, and since when it is that.
    reference: int = 0
    reference_at: int = 0
    #: The mark before doubt began, 0 where there is none; whether that doubt cancelled what was out; and
    #: whether somebody waits for the market.
    undoubted: int = 0
    has_cancelled: bool = False
    is_awaited: bool = False
    #: For how long it was doubted, less for how long it was not, at the last change of that; and when
    #: that was.
    doubted_ns: int = 0
    doubt_at: int = 0
    #: When the last index came, or NONE.
    index_time: int = NONE
    #: The price that an operator gave for a settlement, or 0; how far that is, and the account that
    #: it comes to next.
    given_ticks: int = 0
    settlement: int = TRADED
    settle_next: int = 0
    #: When it was done, or 0.
    settled_ns: int = 0
    #: An event was accepted (the venue's only).
    accepted: bool = False


@dataclass(slots=True)
class Peaks:
    """Largest balances of a group's fund, by number of their slot of time."""

    level: int = 0
    #: Balance at the end of the last event, and the CASH of this one.
    before: int = 0
    shifted: int = 0
    is_shifted: bool = False
    slots: dict[int, int] = field(default_factory=dict)

    def peak(self, slot: int) -> int:
        """Largest of the 17 latest slots, of those that were used; 0 where none was."""
        return max((value for number, value in self.slots.items() if slot - PEAK_SLOTS < number <= slot), default=0)


def new_breakers(rules: VenueRules) -> list[Breaker]:
    """One a market, then the venue's."""
    return [Breaker() for _ in range(len(rules.markets) + 1)]


def new_peaks(rules: VenueRules) -> list[Peaks]:
    """One a market group."""
    return [Peaks() for _ in rules.funds]
