"""The effects of a run as Arrow: all of them with the columns of a row, or those of one kind with
its own fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import EffectKind
from backstop.core.kinds import EFFECT_VIEWS, AnyField, Unit
from backstop.face.arrow import arrow_module
from backstop.journal import Batch

if TYPE_CHECKING:
    import pyarrow

__all__ = ["effects_reader", "effects_reader_of"]

#: Columns that hold another thing in each kind of effect.
_INTEGERS = ("account", "other", "lots", "price_ticks", "amount", "value")


def effects_reader(venue: Venue, batches: Iterator[Batch]) -> pyarrow.RecordBatchReader:
    """Return effects as Arrow, batch by batch: seq, time, kind, code, code_name, market, then
    integers.

    What an integer counts is declared by the kind of its row (``backstop.core.kinds``);
    ``effects_reader_of`` gives one kind with its own columns. Metadata of the schema: ``asset``,
    ``asset_decimals``.
    """
    arrow = arrow_module()
    kinds = [member.name.lower() for member in EffectKind]
    codes, code_places = _code_names()
    worded = arrow.dictionary(arrow.int32(), arrow.string())
    fields = [
        *_time_fields(arrow),
        arrow.field("kind", worded),
        arrow.field("code", arrow.int16(), nullable=False),
        arrow.field("code_name", worded),
        arrow.field("market", worded),
    ]
    fields += [arrow.field(name, arrow.int64(), nullable=False, metadata={"unit": "as its kind says"}) for name in _INTEGERS]
    schema = arrow.schema(fields, metadata=_asset_metadata(venue))

    def record_batch(batch: Batch) -> Any:
        effects, kind = batch.effects, batch.effects["kind"]
        code_name = np.full(len(effects), -1, dtype=np.int32)
        for number, row in code_places.items():
            rows = kind == number
            code_name[rows] = row[np.minimum(effects["code"][rows], len(row) - 1)]
        columns = [
            *_time_columns(arrow, batch, np.arange(len(effects))),
            _worded(arrow, np.searchsorted([member.value for member in EffectKind], kind), kinds),
            arrow.array(effects["code"]),
            _worded(arrow, code_name, codes),
            _worded(arrow, effects["market"], [market.symbol for market in venue.markets]),
        ]
        columns += [arrow.array(np.ascontiguousarray(effects[name])) for name in _INTEGERS]
        return arrow.RecordBatch.from_arrays(columns, schema=schema)

    return arrow.RecordBatchReader.from_batches(schema, (record_batch(batch) for batch in batches))


def effects_reader_of(venue: Venue, batches: Iterator[Batch], kind: EffectKind) -> pyarrow.RecordBatchReader:
    """Return the effects of one kind as Arrow, batch by batch: seq, time, then the fields that the
    kind declares.

    A market is its symbol, a code its name, everything else an integer. Metadata of a field:
    ``unit``, ``description``.
    """
    arrow = arrow_module()
    view = EFFECT_VIEWS[kind]
    worded = arrow.dictionary(arrow.int32(), arrow.string())
    fields = _time_fields(arrow)
    for each in view.fields:
        metadata = {"unit": each.unit.value, "description": each.meaning}
        fields.append(arrow.field(each.name, worded if _words_of(each, venue) else arrow.int64(), metadata=metadata))
    schema = arrow.schema(fields, metadata=_asset_metadata(venue))

    def record_batch(batch: Batch) -> Any:
        rows = view(batch.effects).named()
        columns = _time_columns(arrow, batch, np.flatnonzero(batch.effects["kind"] == kind))
        for each in view.fields:
            words, numbers = _words_of(each, venue), rows[each.name]
            columns.append(arrow.array(np.ascontiguousarray(numbers)) if words is None else _worded(arrow, *words(numbers)))
        return arrow.RecordBatch.from_arrays(columns, schema=schema)

    return arrow.RecordBatchReader.from_batches(schema, (record_batch(batch) for batch in batches))


def _time_fields(arrow: Any) -> list[Any]:
    return [
        arrow.field("seq", arrow.int64(), nullable=False),
        arrow.field("time", arrow.timestamp("ns", tz="UTC"), nullable=False),
    ]


def _time_columns(arrow: Any, batch: Batch, places: NDArray[np.int64]) -> list[Any]:
    """Return seq and time of the effects at ``places``: an effect has the time of its event."""
    seqs = np.ascontiguousarray(batch.effects["seq"][places])
    at = np.searchsorted(np.maximum.accumulate(batch.events["seq"]), seqs)
    times = batch.events["time_ns"][np.minimum(at, len(batch.events) - 1)]
    return [arrow.array(seqs), arrow.array(np.ascontiguousarray(times)).cast(arrow.timestamp("ns", tz="UTC"))]


def _asset_metadata(venue: Venue) -> dict[str, str]:
    return {"asset": venue.asset.name, "asset_decimals": str(venue.asset.decimals)}


def _worded(arrow: Any, places: NDArray[Any], names: list[str]) -> Any:
    """Return names by their places; a place below 0 has none."""
    places = places.astype(np.int32)
    return arrow.DictionaryArray.from_arrays(arrow.array(places, mask=places < 0), arrow.array(names, arrow.string()))


def _words_of(field: AnyField, venue: Venue) -> Callable[[NDArray[np.int64]], tuple[NDArray[Any], list[str]]] | None:
    """Return what turns a field's numbers into places and names, or None where they stay
    numbers.
    """
    if field.unit == Unit.MARKET:
        symbols = [market.symbol for market in venue.markets]
        return lambda numbers: (numbers, symbols)
    if field.unit == Unit.GROUP:
        return lambda numbers: (numbers, list(venue.groups))
    codes = field.codes
    if codes is None:
        return None
    members = sorted(codes)
    values, names = np.array([int(member) for member in members]), [member.name.lower() for member in members]
    return lambda numbers: (np.where(np.isin(numbers, values), np.searchsorted(values, numbers), -1), names)


def _code_names() -> tuple[list[str], dict[int, NDArray[np.int32]]]:
    """Return every name that the column ``code`` can have, and for each kind the place of the name
    of each code.
    """
    names: list[str] = []
    places: dict[int, NDArray[np.int32]] = {}
    for kind, view in EFFECT_VIEWS.items():
        field = view.field_of("code")
        if field is None or field.codes is None:
            continue
        row = np.full(max(field.codes) + 1, -1, dtype=np.int32)
        for member in field.codes:
            name = member.name.lower()
            if name not in names:
                names.append(name)
            row[member.value] = names.index(name)
        places[int(kind)] = row
    return names, places
