"""Events as a caller writes them, and as the rows that the engine reads."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from backstop.config import Venue
from backstop.core.events import EVENT, NONE, EventArray
from backstop.core.kinds import AccountEvent, AnyField, EventView, TransferEvent, Unit
from backstop.engine.errors import EngineError

__all__ = ["Event", "event", "event_rows", "market_number", "rows_of"]

_INT64_MAX = (1 << 63) - 1
#: Fields that only some codes of a kind, or some venues, look at, and what they are where they are left out.
_LEFT_OUT: dict[tuple[type[EventView[Any]], str], int] = {(TransferEvent, "receiver"): 0, (AccountEvent, "asset"): 0}


class Event(NamedTuple):
    """One event, by the names of its kind's fields. ``event`` makes it and checks the names."""

    view: type[EventView[Any]]
    #: Nanoseconds since 1970.
    time_ns: int
    #: Place in the order of all events; None: one after the last.
    seq: int | None
    fields: dict[str, int | str]


def event(view: type[EventView[Any]], time_ns: int, *, seq: int | None = None, **fields: int | str) -> Event:
    """Return an event of a kind (``MarkEvent``, ``FillEvent``, ...) with that kind's fields by name.

    Units are those that the kind declares (docs/reference/events-and-effects.md): ticks, lots and
    atoms. ``market`` may be a symbol, a code the name of its member. A field that may be NONE, or
    that only other codes look at, may be left out. Raises ``EngineError`` where a field is missing,
    unknown, or of another type.
    """
    known = {each.name: each for each in view.fields}
    for name in fields:
        if name not in known:
            raise EngineError(f"`{name}` is no field of {view.__name__}: it has {', '.join(known) or 'none'}")
    missing = [name for name, each in known.items() if name not in fields and not each.optional and (view, name) not in _LEFT_OUT]
    if missing:
        raise EngineError(f"{view.__name__} lacks {', '.join(f'`{name}`' for name in missing)}")
    _check_integer(view, "time_ns", time_ns)
    if seq is not None:
        _check_integer(view, "seq", seq)
    return Event(view, time_ns, seq, {name: _coded(view, known[name], value) for name, value in fields.items()})


def _coded(view: type[EventView[Any]], field: AnyField, value: int | str) -> int | str:
    if isinstance(value, str) and field.unit == Unit.MARKET:
        return value  # a symbol; the venue knows its number
    if isinstance(value, str) and field.codes is not None:
        members = {each.name.lower(): int(each) for each in field.codes}
        if value.lower() not in members:
            raise EngineError(f"`{field.name}` of {view.__name__} was {value!r}: must be one of {', '.join(members)}")
        return members[value.lower()]
    return _check_integer(view, field.name, value)


def _check_integer(view: type[EventView[Any]], name: str, value: Any) -> int:
    is_whole = isinstance(value, int | np.integer | IntEnum) and not isinstance(value, bool)
    if not is_whole or not -_INT64_MAX <= int(value) <= _INT64_MAX:
        raise EngineError(f"`{name}` of {view.__name__} was {value!r}: must be a whole number of 64 bits")
    return int(value)


def market_number(venue: Venue, market: int | str) -> int:
    """Return the number of a market, given by number or symbol; raise ``EngineError`` where there is
    none.
    """
    if isinstance(market, str):
        try:
            return venue.market(market)
        except KeyError as error:
            raise EngineError(f"`market`: {error.args[0]}") from None
    number: Any = market
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < len(venue.markets):
        raise EngineError(f"`market` was {market!r}: must be a symbol, or 0 to {len(venue.markets) - 1}")
    return int(number)


def event_rows(count: int) -> EventArray:
    """Return so many rows of ``EVENT`` to be filled and given to ``Engine.apply``.

    ``market`` and ``account`` are NONE, all else is 0. Zeros alone would not do: 0 is the first market,
    and an ACCOUNT that names one is a pocket of it (R6.16.1).
    """
    rows: EventArray = np.zeros(count, dtype=EVENT)
    rows["market"] = rows["account"] = NONE
    return rows


def rows_of(events: EventArray | Iterable[Event], venue: Venue, last_seq: int) -> EventArray:
    """Return events as rows of ``EVENT``; raise ``EngineError`` where they are none.

    Rows come as they are. Events without a ``seq`` get the numbers after ``last_seq``, and after
    the event before them.
    """
    if isinstance(events, np.ndarray):
        if events.dtype != EVENT or events.ndim != 1:
            raise EngineError(f"rows were {events.ndim}-dimensional of {events.dtype}: must be one-dimensional of backstop.engine.EVENT")
        return np.ascontiguousarray(events)
    if isinstance(events, Event):
        raise EngineError("`events` was one event: must be rows, or a list of events")
    given = list(events)
    rows = event_rows(len(given))
    for row, each in zip(rows, given, strict=True):
        if not isinstance(each, Event):
            raise EngineError(f"an event was {each!r}: must be made by backstop.engine.event, or all events be rows")
        last_seq = last_seq + 1 if each.seq is None else each.seq
        _fill(row, each, venue, last_seq)
    return rows


def _fill(row: Any, each: Event, venue: Venue, seq: int) -> None:
    row["seq"], row["time_ns"], row["kind"] = seq, each.time_ns, int(each.view.kind)
    for field in each.view.fields:
        value = each.fields.get(field.name, _LEFT_OUT.get((each.view, field.name), NONE))
        if field.unit == Unit.MARKET and value != NONE:
            value = market_number(venue, value)
        most = np.iinfo(EVENT[field.column]).max
        if not -most <= int(value) <= most:
            raise EngineError(f"`{field.name}` of {each.view.__name__} was {value}: must be {-most} to {most}")
        row[field.column] = value
