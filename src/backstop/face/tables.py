"""A run as Arrow: its effects as they stand on the tape, and its tables with money as decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core import events as core_events
from backstop.core.events import AdlClass, AdlPolicy, Cause, EffectKind, Health, Reject
from backstop.face.descriptions import DESCRIPTIONS
from backstop.journal import Batch, Names
from backstop.report import Gathering
from backstop.report.ladder import Ladder

if TYPE_CHECKING:
    import pyarrow

__all__ = ["TABLES", "effects_reader", "table_of"]

#: What ``code`` means, by kind of effect. Those of kinds that this version does not emit are found by name.
_CODES: dict[str, type[IntEnum] | None] = {
    "REFUSAL": Reject,
    "HEALTH": Health,
    "TRADE": Cause,
    "POSTING": Cause,
    "ADL_PLAN": AdlPolicy,
    "ADL_CLASS": AdlClass,
    "ADL_FILL": AdlClass,
    "BREAKER": getattr(core_events, "BreakerState", None),
    "PROVIDER": getattr(core_events, "ProviderStatus", None),
    "HAIRCUT": getattr(core_events, "SocialisePolicy", None),
    "GUARD": getattr(core_events, "Guard", None),
}
_INTEGERS = {
    "account": "id, or of a ledger account of the house (negative)",
    "other": "as its kind says",
    "lots": "lots, signed",
    "price_ticks": "ticks of its market",
    "amount": "atoms of the settlement asset",
    "value": "atoms of the settlement asset",
}


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ImportError("tables need pyarrow: pip install 'backstop-liquidator[data]'") from None
    return pyarrow


def _code_names() -> tuple[list[str], dict[int, NDArray[np.int32]]]:
    """Return every name that a code can have, and for each kind the place of the name of each code."""
    names: list[str] = []
    places: dict[int, NDArray[np.int32]] = {}
    for kind, codes in _CODES.items():
        if codes is None or kind not in EffectKind.__members__:
            continue
        row = np.full(max(codes) + 1, -1, dtype=np.int32)
        for member in codes:
            name = member.name.lower()
            if name not in names:
                names.append(name)
            row[member.value] = names.index(name)
        places[int(EffectKind[kind])] = row
    return names, places


def effects_reader(venue: Venue, batches: Iterator[Batch]) -> pyarrow.RecordBatchReader:
    """Return effects as Arrow, batch by batch: seq, time, kind, code, code_name, market, then integers.

    Metadata of the schema: ``asset``, ``asset_decimals``; of a field: ``unit``.
    """
    arrow = _arrow()
    kinds = [member.name.lower() for member in EffectKind]
    codes, code_places = _code_names()
    symbols = [market.symbol for market in venue.markets]

    worded = arrow.dictionary(arrow.int32(), arrow.string())
    fields = [
        arrow.field("seq", arrow.int64(), nullable=False),
        arrow.field("time", arrow.timestamp("ns", tz="UTC"), nullable=False),
        arrow.field("kind", worded),
        arrow.field("code", arrow.int16(), nullable=False),
        arrow.field("code_name", worded),
        arrow.field("market", worded),
    ]
    fields += [arrow.field(name, arrow.int64(), nullable=False, metadata={"unit": unit}) for name, unit in _INTEGERS.items()]
    schema = arrow.schema(fields, metadata={"asset": venue.asset.name, "asset_decimals": str(venue.asset.decimals)})

    def words(places: NDArray[np.int32], names: list[str]) -> Any:
        return arrow.DictionaryArray.from_arrays(arrow.array(places, mask=places < 0), arrow.array(names, arrow.string()))

    def record_batch(batch: Batch) -> Any:
        effects, kind = batch.effects, batch.effects["kind"]
        at = np.searchsorted(np.maximum.accumulate(batch.events["seq"]), effects["seq"])
        times = batch.events["time_ns"][np.minimum(at, len(batch.events) - 1)]
        code_name = np.full(len(effects), -1, dtype=np.int32)
        for number, row in code_places.items():
            rows = kind == number
            code_name[rows] = row[np.minimum(effects["code"][rows], len(row) - 1)]
        columns = [
            arrow.array(effects["seq"]),
            arrow.array(times).cast(arrow.timestamp("ns", tz="UTC")),
            words(np.searchsorted([member.value for member in EffectKind], kind).astype(np.int32), kinds),
            arrow.array(effects["code"]),
            words(code_name, codes),
            words(effects["market"].astype(np.int32), symbols),
        ]
        columns += [arrow.array(np.ascontiguousarray(effects[name])) for name in _INTEGERS]
        return arrow.RecordBatch.from_arrays(columns, schema=schema)

    return arrow.RecordBatchReader.from_batches(schema, (record_batch(batch) for batch in batches))


class _Builder:
    """Makes Arrow columns for one venue."""

    def __init__(self, gathering: Gathering, names: Names) -> None:
        self.gathering = gathering
        self.names = names
        self.arrow = _arrow()
        self.asset = gathering.venue.asset

    def money(self, atoms: list[int]) -> Any:
        """Return atoms as decimals with the asset's digits."""
        amounts = [Decimal(value).scaleb(-self.asset.decimals) for value in atoms]
        return self.arrow.array(amounts, self.arrow.decimal128(38, self.asset.decimals))

    def texts(self, values: list[str | None]) -> Any:
        return self.arrow.array(values, self.arrow.string())

    def integers(self, values: list[int]) -> Any:
        return self.arrow.array(values, self.arrow.int64())

    def times(self, times_ns: list[int]) -> Any:
        return self.integers(times_ns).cast(self.arrow.timestamp("ns", tz="UTC"))

    def account_names(self, accounts: list[int]) -> Any:
        known = self.names.accounts
        return self.texts([str(known[account]) if account < len(known) else None for account in accounts])

    def prices(self, ticks: list[int], markets: list[int]) -> Any:
        """Return prices as doubles; 0 ticks: null."""
        steps = [float(market.price_tick) for market in self.gathering.venue.markets]
        values = [tick * steps[number] if tick else None for tick, number in zip(ticks, markets, strict=True)]
        return self.arrow.array(values, self.arrow.float64())


def _stages(make: _Builder) -> dict[str, Any]:
    rows = make.gathering.tally.stages()
    return {
        "stage": make.texts([row.stage.name.lower() for row in rows]),
        "accounts": make.integers([row.accounts for row in rows]),
        "notional": make.money([row.notional for row in rows]),
        "paid": make.money([row.paid for row in rows]),
    }


def _defaulters(make: _Builder) -> dict[str, Any]:
    rows = make.gathering.defaulters.largest(make.gathering.tally.defaults)
    columns = {
        "account": make.integers([row.account for row in rows]),
        "name": make.account_names([row.account for row in rows]),
        "first_default": make.times([row.first_ns for row in rows]),
        "entries": make.integers([row.entries for row in rows]),
    }
    amounts = ("equity", "maintenance", "equity_least", "closed", "fund_paid", "adl_paid", "socialised", "uncovered", "deficit")
    return columns | {name: make.money([int(getattr(row, name)) for row in rows]) for name in amounts}


def _counterparties(make: _Builder) -> dict[str, Any]:
    rows = make.gathering.adl.payers(make.gathering.adl.counterparties)
    return {
        "account": make.integers([row[0] for row in rows]),
        "name": make.account_names([row[0] for row in rows]),
        "paid": make.money([row[1] for row in rows]),
        "closed": make.money([row[2] for row in rows]),
        "fills": make.integers([row[3] for row in rows]),
    }


def _markets(make: _Builder) -> dict[str, Any]:
    venue = make.gathering.venue
    numbers = sorted(make.gathering.markets)
    records = [make.gathering.markets[number] for number in numbers]
    return {
        "market": make.texts([venue.markets[number].symbol for number in numbers]),
        "mark_first": make.prices([record.mark_first for record in records], numbers),
        "mark_low": make.prices([record.low[0] for record in records], numbers),
        "mark_high": make.prices([record.high[0] for record in records], numbers),
        "mark_last": make.prices([record.mark_last for record in records], numbers),
        "closed": make.money([record.notional_closed for record in records]),
    }


def _refused(make: _Builder) -> dict[str, Any]:
    rows = sorted(make.gathering.counts.refusals.items())
    return {
        "code": make.texts([code.name.lower() for (code, _), _ in rows]),
        "event": make.texts([kind for (_, kind), _ in rows]),
        "events": make.integers([number for _, number in rows]),
    }


def _ladder(make: _Builder, ladder: Ladder | None) -> dict[str, Any]:
    if ladder is None:
        none = np.zeros(0, dtype=np.int64)
        ladder = Ladder(none, none, none, none, none, none.astype(bool))
    numbers = ladder.market.tolist()
    venue = make.gathering.venue
    return {
        "account": make.integers(ladder.account.tolist()),
        "market": make.texts([venue.markets[number].symbol for number in numbers]),
        "lots": make.integers(ladder.lots.tolist()),
        "notional": make.money(ladder.notional.tolist()),
        "liquidation_price": make.prices(ladder.liquidation_ticks.tolist(), numbers),
        "in_default": make.arrow.array(ladder.in_default),
    }


#: The tables of a run, by name.
TABLES: dict[str, Callable[[_Builder], dict[str, Any]]] = {
    "stages": _stages,
    "defaulters": _defaulters,
    "counterparties": _counterparties,
    "markets": _markets,
    "refused": _refused,
    "ladder_before": lambda make: _ladder(make, make.gathering.opening.ladder),
    "ladder_after": lambda make: _ladder(make, make.gathering.ladder_now()),
}


def table_of(gathering: Gathering, names: Names, name: str) -> pyarrow.Table:
    """Return a table by its name, each field with its ``description``; raise ``KeyError`` with those that there are."""
    if name not in TABLES:
        raise KeyError(f"unknown table {name!r}: must be one of {', '.join(TABLES)}")
    make = _Builder(gathering, names)
    columns, described, asset = TABLES[name](make), DESCRIPTIONS[name], gathering.venue.asset
    fields = [make.arrow.field(word, column.type, metadata={"description": described[word]}) for word, column in columns.items()]
    metadata = {"asset": asset.name, "asset_decimals": str(asset.decimals)}
    return make.arrow.table(columns, schema=make.arrow.schema(fields, metadata=metadata))
