"""Events and effects as named tuples of plain integers, and their way to and from the fixed
rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from backstop.core.events import EFFECT, EVENT, NONE, EffectArray, EventArray

__all__ = ["Effect", "Event", "effects_list", "events_array"]


class Event(NamedTuple):
    """One row of ``EVENT``; a field that the kind does not use keeps its default."""

    seq: int
    time_ns: int
    kind: int
    code: int = 0
    market: int = NONE
    account: int = NONE
    other: int = 0
    lots: int = 0
    price_ticks: int = 0
    amount: int = 0


class Effect(NamedTuple):
    """One row of ``EFFECT``; a field that the kind does not name keeps its default."""

    seq: int
    kind: int
    code: int = 0
    market: int = NONE
    account: int = NONE
    other: int = 0
    lots: int = 0
    price_ticks: int = 0
    amount: int = 0
    value: int = 0


def events_array(events: Iterable[Event]) -> EventArray:
    """Return the events as rows of ``EVENT``."""
    rows: EventArray = np.array([tuple(event) for event in events], dtype=EVENT)
    return rows


def effects_list(rows: EffectArray) -> list[Effect]:
    """Return rows of ``EFFECT`` as effects of plain integers, to be compared with those of the
    reference.
    """
    names = EFFECT.names
    assert names == Effect._fields
    return [Effect(*(int(field) for field in row.tolist())) for row in rows]
