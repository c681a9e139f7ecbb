"""How many of a source's cases are reached, counted from the tables:
``python -m tests.vectors.reached`` prints it.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from tests.vectors.tables import (
    binance,
    bitmex,
    drift,
    dydx_bankruptcy,
    dydx_deleveraging,
    dydx_liquidation,
    dydx_margin,
    dydx_risk,
    nautilus,
    paper_positions,
    vega,
)

__all__ = ["REACHED", "Count", "markdown"]


class Count(NamedTuple):
    """One kind of case: how many there are, how many of them are reached, and by what."""

    source: str
    kind: str
    cases: int
    reached: int
    by: str


def _count(source: str, kind: str, tables: tuple[tuple[object, ...], ...], by: str, missing: int = 0) -> Count:
    cases = sum(len(table) for table in tables)
    return Count(source, kind, cases, cases - missing, by)


_BANKRUPTCY, _RISK, _MARGIN, _BINANCE = "dYdX bankruptcy price", "dYdX account risk", "dYdX margin", "Binance"
_FILLABLE, _INSURANCE, _LIMITS = "dYdX fillable price", "dYdX insurance delta", "dYdX block limits"
_DELEVERAGING, _TRANSFER, _SHARES = "dYdX deleveraging", "Drift liquidation transfer", "Drift insurance"
_VEGA, _BITMEX = "Vega waterfall and disposal", "BitMEX queue"
_INVERSE, _PAPER = "nautilus and Bybit, inverse", "five positions, queue"

REACHED = (
    _count(_BANKRUPTCY, "cash", (tuple(c for c in dydx_bankruptcy.CASES if c.cash is not None),), "`zero_cash`"),
    _count(_BANKRUPTCY, "errors", (tuple(c for c in dydx_bankruptcy.CASES if c.cash is None),), "refusal of the fill (`UNKNOWN_ORDER`)"),
    _count(_RISK, "liquidation, levels", (dydx_risk.ACCOUNTS, dydx_risk.LEVELS), "RESTRICT, health, refusal of a withdrawal"),
    _count(_RISK, "order of risk", (dydx_risk.ORDERS,), "order of RESTRICT in one event"),
    _count(_RISK, "updates", (dydx_risk.UPDATES,), "`venues.dydx.judge_update` on margins that the engine measured"),
    _count(
        _MARGIN,
        "margins of a position",
        (dydx_margin.REQUIREMENTS,),
        "`initial_margin`, `assess`",
        len(dydx_margin.NOT_EXPRESSIBLE),
    ),
    _count(_MARGIN, "notionals, sizes", (dydx_margin.NOTIONALS, dydx_margin.SIZES), "`assess`, `value_at_mark`"),
    _count(
        _MARGIN,
        "scaled initial margin, rates",
        (dydx_margin.INITIAL_REQUIREMENTS, dydx_margin.INITIAL_RATES, dydx_margin.MAINTENANCE_RATES),
        "`venues.dydx.scaled_initial_rate_ppm`, then `initial_margin`, `assess`",
    ),
    _count(_MARGIN, "accounts", (dydx_margin.ACCOUNTS,), "`assess`, `initial_margin`, equity in HEALTH"),
    _count(_FILLABLE, "prices, errors", (dydx_liquidation.FILLABLE,), "`venues.dydx.fillable_price`; `assess` gives its terms"),
    _count(_FILLABLE, "ticks", (dydx_liquidation.SUBTICKS,), "`venues.dydx.subticks_of`"),
    _count(
        _INSURANCE,
        "deltas",
        (dydx_liquidation.DELTAS,),
        "`venues.dydx.insurance_delta` on `zero_cash`; SUPPORT where the fund pays",
    ),
    _count(
        _INSURANCE,
        "sufficiency, quotes of fills",
        (dydx_liquidation.SUFFICIENCY, dydx_liquidation.QUOTES),
        "`venues.dydx.does_fund_suffice`, `fill_quote`",
    ),
    _count(
        _LIMITS,
        "of a position, of a block",
        (dydx_liquidation.POSITION_LIMITS, dydx_liquidation.BLOCK_LIMITS),
        "`venues.dydx.position_notional_limits`, `notional_left`, `insurance_left`",
    ),
    _count(
        _LIMITS,
        "sizes of orders",
        (dydx_liquidation.ORDERS,),
        "`venues.dydx.liquidation_delta`; lots of an ORDER where only the cap binds",
    ),
    _count(_DELEVERAGING, "permission", (dydx_deleveraging.PERMISSIONS,), "`venues.dydx.deleverage_price`; health INSOLVENT"),
    _count(_DELEVERAGING, "walks", (dydx_deleveraging.WALKS,), "`venues.dydx.deleverage`; `zero_cash`"),
    _count(
        _DELEVERAGING,
        "pairs",
        (dydx_deleveraging.PAIRS,),
        "`venues.dydx.close_at_one_price`; margins and `zero_cash` of the engine, one ADL",
    ),
    _count(_DELEVERAGING, "open interest", (dydx_deleveraging.OPEN_INTEREST,), "`venues.dydx.open_interest_change`"),
    _count(
        _TRANSFER,
        "transfers, prices",
        (drift.BASES, drift.LIABILITIES, drift.IMPLIED, drift.ASSETS, drift.SWAPS, drift.LIMITS),
        "`venues.drift`",
    ),
    _count(_TRANSFER, "fees", (drift.PERP_FEES, drift.SPOT_FEES, drift.FEES), "`venues.drift`"),
    _count(_TRANSFER, "shared losses", (drift.PERP_LOSSES, drift.DEPOSIT_LOSSES), "`venues.drift`"),
    _count(_SHARES, "shares of the fund", (drift.REBASES, drift.CANCELS), "`venues.drift`"),
    _count(_SHARES, "bankruptcies", (drift.BANKRUPTCIES, drift.ISOLATED), "`venues.drift`"),
    _count(_VEGA, "settlements", (vega.SETTLEMENTS,), "`venues.vega.settle`"),
    _count(_VEGA, "disposals", (vega.DISPOSALS,), "`venues.vega.Disposal`"),
    _count(_VEGA, "closeout prices", (vega.CLOSEOUTS,), "`venues.vega.closeout_price`"),
    _count(
        _BITMEX,
        "ranks, percentiles, deleveraging",
        (bitmex.LONGS,),
        "`venues.bitmex` on values that the engine measured; `zero_cash` for the price",
    ),
    _count(_BINANCE, "liquidation prices", (binance.HELP_CENTRE, binance.MOCKED), "first mark that is DISTRESSED, within one tick"),
    _count(_BINANCE, "tier lookups", (binance.LOOKUPS,), "`tier_of`, deductions worked out at load, `assess`"),
    _count(_INVERSE, "margins", (nautilus.MARGINS,), "`assess`, `initial_margin`: to the atom, rounded up"),
    _count(_INVERSE, "liquidations", (nautilus.LIQUIDATIONS,), "health at each mark"),
    _count(_INVERSE, "bankruptcy price", (nautilus.BANKRUPTCIES,), "`zero_cash`, `zero_price_ticks`"),
    _count(_PAPER, "positions", (paper_positions.FIVE,), "`assess`, `zero_price_ticks`, first mark that is DISTRESSED"),
    _count(_PAPER, "queue against pro rata", (paper_positions.QUEUE,), "pro rata: one ADL; queue: arithmetic of the test"),
)


def markdown() -> str:
    """Return the counts as a table, with a line of sums for each source."""
    lines = ["| source | cases of | reached | by |", "|---|---|---|---|"]
    for source in dict.fromkeys(count.source for count in REACHED):
        group = [count for count in REACHED if count.source == source]
        reached, cases = sum(count.reached for count in group), sum(count.cases for count in group)
        lines.append(f"| **{source}** |  | **{reached} of {cases}** |  |")
        lines += [f"|  | {count.kind} | {count.reached} of {count.cases} | {count.by} |" for count in group]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
