"""What a stage of the waterfall is, and what it answers for each account."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Outcome"]


class Outcome(IntEnum):
    """What a stage answers for one account of its turn."""

    #: The account takes the next turn of the list.
    NEXT = 0
    #: The account waits for a time or for an answer; it starts again from the first turn then.
    WAIT = 1
    #: The account needs no other stage: it is out of default, or it is flat and its deficit was covered.
    DONE = 2
