"""What a copy, a pickle and a short path of an engine cost at the default limits.

``python -m benchmarks.copies`` prints the figures of docs/decisions/0068-capacity-is-no-rule.md. It is no part of
``make bench``: nothing is compared with another system.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from backstop.core.engine import step
from backstop.core.events import EVENT, NONE, EventArray, EventKind
from backstop.core.instruments import LimitRules
from backstop.core.state import State, new_state
from benchmarks.book import make_book, opening_events, venue_rules

ACCOUNTS = (0, 1_000, 10_000, 60_000)
MARKETS, EVENTS = 8, 10


def milliseconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the shortest of some runs."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return 1_000 * min(taken)


def opened(accounts: int) -> State:
    """Return an engine at the default limits with so many accounts, three positions each."""
    book = make_book(max(accounts, 1), 3 * max(accounts, 1), MARKETS, 1)
    rules = venue_rules(book, max(accounts, 1), MARKETS)._replace(limits=LimitRules())
    state = new_state(rules)
    if accounts:
        events, place = opening_events(book, accounts, MARKETS), 0
        while place < len(events):
            place = int(step(state, events, place))
            state.engine[0].effects_now = 0
    return state


def path_events(state: State) -> EventArray:
    """Return some marks that move nobody into default."""
    rows = np.zeros(EVENTS, dtype=EVENT)
    rows["kind"], rows["account"], rows["other"] = EventKind.MARK, NONE, NONE
    rows["seq"] = int(state.engine[0].last_seq) + 1 + np.arange(EVENTS)
    rows["time_ns"] = int(state.engine[0].now_ns) + 1 + np.arange(EVENTS)
    rows["price_ticks"] = state.markets[0].mark_ticks
    return rows


def main() -> None:
    """Print one line for each size."""
    print("bytes of the arrays and of a pickle; milliseconds")
    names = ("accounts", "capacity", "pickle", "copy all", "copy_used", "reset_from", "and a path")
    print("".join(f"{name:>13}" for name in names))
    for accounts in ACCOUNTS:
        state = opened(accounts)
        other, events = state.copy_used(), path_events(state)
        capacity, size = sum(array.nbytes for array in state.arrays().values()), len(pickle.dumps(state))
        taken = (
            milliseconds(partial(copy_all, state), 2),
            milliseconds(state.copy_used),
            milliseconds(partial(other.reset_from, state)),
            milliseconds(partial(path, other, state, events)),
        )
        print(f"{accounts:>13,}{capacity:>13,}{size:>13,}" + "".join(f"{each:>13.2f}" for each in taken))


def copy_all(state: State) -> None:
    """Copy every array, as a deep copy did before."""
    for array in state.arrays().values():
        array.copy()


def path(state: State, opening: State, events: EventArray) -> None:
    """Go back to the opening, and from there on."""
    state.reset_from(opening)
    step(state, events, 0)


if __name__ == "__main__":
    main()
