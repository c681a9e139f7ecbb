"""A live process that an event stops: ``python -m tests.journal.stopping JOURNAL`` begins a
journal, or goes on with the one that is there, and sends what is not on it yet.

One event brings more effects than the venue's limit allows, which makes the engine raise. Standard
output gets the seq of the last durable event after each slice.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from backstop.config import Venue, parse_venue
from backstop.core.events import EventArray, EventKind
from backstop.core.state import new_state
from backstop.journal import Journal, Manifest
from backstop.journal.recorder import Recorder
from backstop.journal.recovery import recover
from tests.journal.runs import ATOMS, VENUE_TEXT, event

#: A trade that opens brings two effects, one that closes at another price at least four.
_TEXT = VENUE_TEXT.replace("effects_max = 4096", "effects_max = 3")
#: The closing trade, and events of one slice.
POISON, SLICE = 12, 5


@cache
def venue() -> Venue:
    return parse_venue(_TEXT, "a venue of few effects")


def all_events() -> EventArray:
    rows = [event(seq, seq, EventKind.ACCOUNT, account=seq - 1, other=seq - 1) for seq in range(1, 5)]
    rows += [event(seq, seq, EventKind.TRANSFER, account=seq - 5, amount=100_000 * ATOMS) for seq in range(5, 9)]
    rows.append(event(9, 9, EventKind.MARK, market=0, price_ticks=1_000_000))
    rows.append(event(10, 10, EventKind.FILL, account=0, other=1, market=0, lots=10, price_ticks=1_000_000))
    rows.append(event(11, 11, EventKind.TRANSFER, account=2, amount=ATOMS))
    rows.append(event(POISON, 12, EventKind.FILL, account=0, other=1, market=0, lots=-10, price_ticks=1_000_100))
    rows += [event(seq, seq, EventKind.TRANSFER, account=3, amount=ATOMS) for seq in range(13, 30)]
    return np.concatenate(rows)


def run(path: Path, events: EventArray, **changes: Any) -> str:
    """Send the events to the journal's engine, from behind its last one to the end; return the
    digest.
    """
    if path.exists():
        found = recover(path)
        state, journal = found.state, found.journal
        for quarantine in found.quarantined:
            sys.stderr.write(f"{quarantine}\n")
    else:
        read = venue()
        terms = Manifest(read.text, read.hash, read.rules.limits, digest_every=2, snapshot_every=2)
        journal = Journal.create(path, terms._replace(**changes))
        state = new_state(read.rules)
    recorder = Recorder(journal, state, 2)
    left = events[events["seq"] > int(state.engine[0].last_seq)]
    for first in range(0, len(left), SLICE):
        recorder.apply(left[first : first + SLICE])
        recorder.flush()
        sys.stdout.write(f"{int(left[first : first + SLICE]['seq'][-1])}\n")
        sys.stdout.flush()
    return recorder.close()


if __name__ == "__main__":
    run(Path(sys.argv[1]), all_events())
