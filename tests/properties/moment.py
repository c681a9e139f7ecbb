"""One event in the making, as the checks of the invariants see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from backstop.core.events import NONE, EffectArray
from backstop.core.state import State
from backstop.reference.deficit import Part
from backstop.reference.funds import Support
from backstop.reference.loss import Cut
from backstop.reference.records import Effect, Event
from backstop.reference.socialise import Room
from tests.properties.mirror import Mirror

__all__ = ["Check", "Findings", "Moment"]

Findings = Iterator[str]


@dataclass(slots=True)
class Moment:
    """What came in, what came out, and how far the mirror has read."""

    mirror: Mirror
    state: State
    event: Event
    effects: list[Effect]
    rows: EffectArray
    #: What of each commitment is used, by provider, group and direction: as of now, before the
    #: event, then with it.
    used: dict[tuple[int, int, int], int] = field(default_factory=dict)
    #: Place of the next effect (``BEFORE``) or of the last one read (``AFTER``).
    place: int = 0
    #: Counterparties to look at once the effect at a place is booked.
    due: dict[int, list[int]] = field(default_factory=dict)
    #: Places of the trades that a plan, a tear-up or a takeover accounts for.
    planned: set[int] = field(default_factory=set)
    #: Support that the fill of this event must bring.
    support_due: int = 0
    #: Place up to which the payments of a deficit have been looked at.
    paid_to: int = -1
    #: Defaulters of the tear-up at hand, with what the fund adds to the gap of each, and the place of
    #: its first trade.
    torn: dict[int, Support] = field(default_factory=dict)
    torn_trade: int = NONE
    #: The cuts in the market at hand that are still to come.
    cuts_due: list[Cut] = field(default_factory=list)
    #: The account that they name.
    cuts_for: int = NONE
    #: The effects that the event keeps for those who are cut, as of its first cut.
    room: Room | None = None
    #: By flat account: what its funds left of the parts of its deficit.
    left_parts: dict[int, list[Part]] = field(default_factory=dict)
    #: Defaulters of this event: beyond closeout since they last entered default, beyond takeover,
    #: beyond carry, whom the vault relieved, and whose owner was looked at.
    beyond_closeout: set[int] = field(default_factory=set)
    past_takeover: set[int] = field(default_factory=set)
    relieved: set[int] = field(default_factory=set)
    past_carry: set[tuple[int, int]] = field(default_factory=set)
    owner_was_asked: set[int] = field(default_factory=set)
    #: Fees and shares of the event at hand.
    charged: int = 0
    #: Closing charges that are still to be posted: fund, account, market, and the atoms by the depth
    #: before the event and by that after it; 0: nothing is posted.
    charge_due: list[tuple[int, int, int, set[int]]] = field(default_factory=list)

    @property
    def effect(self) -> Effect:
        """The effect at hand."""
        return self.effects[self.place]


Check = Callable[[Moment], Findings]
