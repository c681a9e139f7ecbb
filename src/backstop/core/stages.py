"""What a stage of the waterfall is, what it answers for each account, and which orders of stages do
what they say.

In an order that is accepted each stage acts where it stands.
Rules: R6.1.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from backstop.core.events import Stage

__all__ = ["BEHIND", "JOINT", "LAST_RESORT", "Outcome", "misplaced", "paid_first"]

#: Stages that must stand behind others, where those are listed: they act after them in any case.
BEHIND: dict[Stage, tuple[Stage, ...]] = {
    Stage.FUND: (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER),
    Stage.SOCIALISE: (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL),
}

#: Stages that come before ADL, unless a venue says that solvent accounts may pay first.
BEFORE_ADL = (Stage.CLOSEOUT, Stage.FUND, Stage.TAKEOVER)

#: Stages whose turn takes all accounts of an event at once. The others take account by account.
JOINT = (Stage.ADL, Stage.TEAR_UP)
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


def misplaced(stages: Sequence[int]) -> list[tuple[Stage, list[Stage]]]:
    """Return each stage that stands too early, with those that it must stand behind."""
    found = []
    for place, stage in enumerate(stages):
        later = [other for other in BEHIND.get(Stage(stage), ()) if other in stages[place:]]
        if later:
            found.append((Stage(stage), later))
    return found


def paid_first(stages: Sequence[int]) -> list[Stage]:
    """Return the stages behind ADL that would spare its counterparties if they stood before it."""
    if Stage.ADL not in stages:
        return []
    behind = stages[list(stages).index(Stage.ADL) :]
    return [stage for stage in BEFORE_ADL if stage in behind]
