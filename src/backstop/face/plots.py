"""Plots of a run with matplotlib: plain axes that a notebook can go on with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from backstop.config.stages import CLOSING, STAGES, key_of
from backstop.core.events import Stage
from backstop.report.gathering import Gathering
from backstop.report.series import Envelope, TimeGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["closings", "fund", "ladder", "prices", "waterfall"]

_FUND = STAGES[Stage.FUND].colour
_INK, _TOTAL, _LONG, _SHORT = "#1c1e22", "#74777e", "#d39145", "#33466e"


def _axes(ax: Axes | None) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'backstop-liquidator[plot]'") from None
    # A figure of its own, not pyplot's: nothing is kept, and a notebook shows it as well.
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _times(grid: TimeGrid, places: Any) -> list[datetime]:
    return [datetime.fromtimestamp(grid.time_ns(place) / 1e9, UTC) for place in places]


def _number(gathering: Gathering, market: str) -> int:
    number = gathering.venue.market(market)
    if number not in gathering.markets:
        raise KeyError(f"market {market} had no price in this run")
    return number


def _band(axes: Any, envelope: Envelope, scale: float, shift: float, **style: Any) -> None:
    """Draw an envelope: the last value of each span, and all that lay between its lowest and
    highest.
    """
    places = envelope.spans
    times = _times(envelope.grid, places)
    low, high, last = (column[places] * scale + shift for column in (envelope.low, envelope.high, envelope.last))
    axes.fill_between(times, low, high, alpha=0.3, linewidth=0, color=style["color"])
    axes.plot(times, last, **style)


def prices(gathering: Gathering, market: str | None, ax: Axes | None) -> Axes:
    """Draw one market's mark, or every market's change."""
    chosen = gathering.markets.by_closing if market is None else [_number(gathering, market)]
    axes: Any = _axes(ax)
    for place, number in enumerate(chosen):
        record, spec = gathering.markets[number], gathering.venue.markets[number]
        if market is not None:
            _band(axes, record.mark, float(spec.price_tick), 0.0, color=_INK, linewidth=1.2, label="mark")
        elif record.mark_first:
            colour = (_INK, STAGES[Stage.ADL].colour, _FUND)[place] if place < 3 else _TOTAL
            _band(axes, record.mark, 100 / record.mark_first, -100.0, color=colour, linewidth=1.4 if place < 3 else 0.7, label=spec.base)
    axes.set_ylabel("change since the opening [%]" if market is None else f"mark [{gathering.venue.asset.name}]")
    axes.set_title(market or "Mark prices", loc="left")
    if market is None and len(chosen) > 1:
        axes.legend(frameon=False, ncols=5)
    drawn: Axes = axes
    return drawn


def closings(gathering: Gathering, market: str | None, ax: Axes | None) -> Axes:
    """Draw notional closed by span, stacked by method."""
    numbers = list(gathering.markets) if market is None else [_number(gathering, market)]
    axes, grid = _axes(ax), gathering.time.grid
    scale, width = 10.0**-gathering.venue.asset.decimals, grid.width_ns / 86_400e9
    times = _times(grid, range(grid.spans))
    base = np.zeros(grid.spans)
    for name, words in CLOSING.items():
        parts = [gathering.markets[number].closed[name].sums for number in numbers if name in gathering.markets[number].closed]
        if parts:
            sums = np.sum(parts, axis=0)[: grid.spans] * scale
            axes.bar(times, sums, width, base, align="edge", color=words.colour, label=words.method)
            base = base + sums
    axes.set_ylabel(f"closed per {grid.width_ns / 1e9:g} s [{gathering.venue.asset.name}]")
    axes.set_title(market or "Positions of defaulters, closed", loc="left")
    if base.any():
        axes.legend(frameon=False)
    drawn: Axes = axes
    return drawn


def fund(gathering: Gathering, ax: Axes | None) -> Axes:
    """Draw the fund's balance."""
    axes: Any = _axes(ax)
    envelope = gathering.fund.balance
    _band(axes, envelope, 10.0**-gathering.venue.asset.decimals, 0.0, color=_FUND, linewidth=1.8, drawstyle="steps-post")
    axes.set_ylabel(f"balance [{gathering.venue.asset.name}]")
    axes.set_title("Insurance fund", loc="left")
    drawn: Axes = axes
    return drawn


def waterfall(gathering: Gathering, ax: Axes | None) -> Axes:
    """Draw the deficit, then what each stage paid of it, each bar from where the one before it
    ends.
    """
    axes, tally, scale = _axes(ax), gathering.tally, 10.0**-gathering.venue.asset.decimals
    names, left, widths, colours = ["deficit"], [0], [tally.deficit_atoms], [_TOTAL]
    for row in tally.stages():
        names.append(key_of(row.stage))
        colours.append(STAGES[row.stage].colour)
        left.append(sum(widths[1:]))
        widths.append(row.paid)
    names.append("uncovered")
    left.append(sum(widths[1:]))
    widths.append(tally.uncovered_atoms)
    colours.append(_INK)
    bars = axes.barh(names, [atoms * scale for atoms in widths], left=[atoms * scale for atoms in left], color=colours)
    labels = [f"{atoms * scale:,.0f}" if atoms else "" for atoms in widths]
    axes.bar_label(bars, labels, padding=4)
    axes.invert_yaxis()
    axes.set_xlabel(gathering.venue.asset.name)
    axes.set_title("Who paid for the deficit", loc="left")
    axes.margins(x=0.15)
    drawn: Axes = axes
    return drawn


def ladder(gathering: Gathering, market: str, ax: Axes | None) -> Axes:
    """Draw the notional that would be in default at each price of a market, before the run and
    after it.
    """
    number = _number(gathering, market)
    axes, venue = _axes(ax), gathering.venue
    tick, scale = float(venue.markets[number].price_tick), 10.0**-venue.asset.decimals
    for part, style, when in ((gathering.opening.ladder, "-", "before"), (gathering.ladder_now(), "--", "after")):
        if part is None:
            continue
        rows = (part.market == number) & ~part.in_default & (part.liquidation_ticks > 0)
        for sign, colour, side in ((1, _LONG, "longs"), (-1, _SHORT, "shorts")):
            chosen = rows & (np.sign(part.lots) == sign)
            order = np.argsort(-sign * part.liquidation_ticks[chosen], kind="stable")
            at = part.liquidation_ticks[chosen][order] * tick
            total = np.cumsum(part.notional[chosen][order].astype(np.float64)) * scale
            axes.plot(at, total, style, color=colour, drawstyle="steps-post", label=f"{side}, {when}")
    record = gathering.markets[number]
    axes.axvline(record.mark_first * tick, color=_INK, linewidth=0.8)
    axes.set_xlim(0.5 * record.low[0] * tick, 1.5 * record.high[0] * tick)
    axes.set_xlabel(f"mark of {market}, all else fixed")
    axes.set_ylabel(f"notional in default [{venue.asset.name}]")
    axes.set_title("Liquidation ladder, summed up from the mark outwards", loc="left")
    axes.legend(frameon=False)
    drawn: Axes = axes
    return drawn
