"""The tables of a run as Arrow, with money as decimals."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from backstop.face.arrow import arrow_module
from backstop.face.descriptions import DESCRIPTIONS
from backstop.journal import Names
from backstop.report import Gathering
from backstop.report.ladder import Ladder

if TYPE_CHECKING:
    import pyarrow

__all__ = ["TABLES", "table_of"]


class _Builder:
    """Makes Arrow columns for one venue."""

    def __init__(self, gathering: Gathering, names: Names) -> None:
        self.gathering = gathering
        self.names = names
        self.arrow = arrow_module()
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
    """Return a table by its name, each field with its ``description``; raise ``KeyError`` with
    those that there are.
    """
    if name not in TABLES:
        raise KeyError(f"unknown table {name!r}: must be one of {', '.join(TABLES)}")
    make = _Builder(gathering, names)
    columns, described, asset = TABLES[name](make), DESCRIPTIONS[name], gathering.venue.asset
    fields = [make.arrow.field(word, column.type, metadata={"description": described[word]}) for word, column in columns.items()]
    metadata = {"asset": asset.name, "asset_decimals": str(asset.decimals)}
    return make.arrow.table(columns, schema=make.arrow.schema(fields, metadata=metadata))
