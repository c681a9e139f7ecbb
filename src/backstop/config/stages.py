"""One row per stage of the waterfall: how tables, pages and pictures name and colour it.

The order is the usual one of a venue file. A stage closes positions, or pays for others, or both.
"""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import Stage

__all__ = ["CLOSING", "PAYING", "STAGES", "StageWords", "key_of"]


class StageWords(NamedTuple):
    """What people read of a stage."""

    #: What it did, as the closing table of a run says it.
    did: str
    #: What it is, as a line of the report says it.
    title: str
    #: Which accounts its count counts.
    accounts: str = "accounts in default"
    #: In a light and in a dark page. From light to dark in the order in which positions are closed,
    #: so that they are distinct without colour.
    colour: str = "#74777e"
    colour_on_dark: str = "#8b9099"
    #: After "positions were"; empty where it closes none.
    closed: str = ""
    #: Who paid, where it pays for others; else empty.
    payer: str = ""
    #: What it does, where it must stand behind other stages (``core.stages.BEHIND``).
    acts: str = ""

    @property
    def method(self) -> str:
        """How it closes positions, where the word "closed" stands before it already."""
        return self.closed.removeprefix("closed ")


STAGES: dict[Stage, StageWords] = {
    Stage.RESTRICT: StageWords("restricted", "Orders cancelled, no new risk"),
    Stage.CLOSEOUT: StageWords(
        "closed on the book",
        "Closed on the book, within depth and limits",
        colour="#9dbad6",
        colour_on_dark="#55779c",
        closed="closed on the book",
    ),
    Stage.TAKEOVER: StageWords(
        "taken over by providers",
        "Positions taken over by backstop providers",
        colour="#c9a227",
        colour_on_dark="#d9b84a",
        closed="taken over by providers",
    ),
    Stage.FUND: StageWords(
        "paid by insurance fund",
        "Insurance fund",
        colour="#4a968f",
        colour_on_dark="#5fb8af",
        payer="the insurance fund",
        acts="it supports what they close, and pays for accounts that they leave without positions",
    ),
    Stage.ADL: StageWords(
        "closed by ADL",
        "Auto-deleveraging: winners close at mark, and bear what the fund leaves",
        colour="#a83e14",
        colour_on_dark="#f29367",
        closed="closed by ADL",
        payer="counterparties chosen by auto-deleveraging",
    ),
    Stage.SOCIALISE: StageWords(
        "charged for others",
        "Charged to others, against claims on later surplus",
        accounts="accounts charged",
        payer="other accounts, whose losses are claims on the fund",
        acts="it bears what the fund left of accounts without positions, those torn up included",
    ),
    Stage.TEAR_UP: StageWords(
        "torn up",
        "Contracts ended against all holders, at mark",
        colour="#1c1e22",
        colour_on_dark="#f4f1ea",
        closed="torn up",
    ),
}


def key_of(stage: int) -> str:
    """Return the name by which a venue file, a table and a style sheet know a stage."""
    return Stage(stage).name.lower()


#: Stages that close positions of defaulters, and those that pay for others, by key.
CLOSING = {key_of(stage): words for stage, words in STAGES.items() if words.closed}
PAYING = {key_of(stage): words for stage, words in STAGES.items() if words.payer}
