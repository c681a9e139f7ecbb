"""What a stage of the waterfall is, and what it answers for each account."""

from __future__ import annotations

from enum import IntEnum

from backstop.core.events import Stage

__all__ = ["JOINT", "LAST_RESORT", "Outcome"]

#: Stages whose turn takes all accounts of an event at once. The others take account by account.
JOINT: tuple[Stage, ...] = ()
#: Stages that no solvent account comes to while its fund stands for it.
LAST_RESORT = (Stage.ADL, Stage.TEAR_UP)


class Outcome(IntEnum):
    """What a stage answers for one account of its turn."""

    #: The account takes the next turn of the list.
    NEXT = 0
    #: The account waits for a time or for an answer; it starts again from the first turn then.
    WAIT = 1
    #: The account needs no other stage: it is out of default, or flat with its deficit covered.
    DONE = 2
