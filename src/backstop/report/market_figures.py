"""One figure a market: its mark with every closing, and the ladders of liquidation prices beside it
on the same scale.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.config.stages import CLOSING
from backstop.core.events import Guard
from backstop.report.charts import Axis, Panel, figure, time_axis, value_axis
from backstop.report.gathering import Gathering
from backstop.report.guard import guard
from backstop.report.halts import Spell
from backstop.report.ladder import Ladder
from backstop.report.market_records import MarketRecord
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import legend, section, track_rows
from backstop.report.rules import change_words
from backstop.report.series import Envelope
from backstop.report.summary import closing_bars, envelope_points, run_axis, shown_methods
from backstop.report.words import clock, compact, money, percent, price, span_text, symbol_short

__all__ = ["FIGURES_MAX", "halts", "halts_begun", "markets"]

#: Markets with a figure of their own; the page stays below its size with so many.
FIGURES_MAX = 24
#: Spells of a market that are told one by one, and that are drawn.
SPELLS_MAX = 8
TRACK_MAX = 200
_RUNGS = 44
_SIDES = (("long", 1), ("short", -1))


class _Rungs(NamedTuple):
    """A ladder cut into steps of price: notional by side and step, and what lies beyond the figure.

    Atoms.
    """

    long: NDArray[np.float64]
    short: NDArray[np.float64]
    below: int
    above: int
    never: int
    in_default: int


def markets(gathering: Gathering) -> Html:
    """Return a figure for each market, the one with most closings first."""
    before, after = gathering.opening.ladder, gathering.ladder_now()
    order = gathering.markets.by_closing
    figures = [_figure(gathering, number, before, after) for number in order[:FIGURES_MAX]]
    words = tag(
        "p",
        "The line is the mark; strokes on it are the prices at which positions of defaulters were closed, bars below it how much, both in"
        " the colour of the way they were closed, in "
        f"{gathering.venue.asset.name}. To the right, on the same scale of prices, stands the ladder: the notional whose account "
        "would come into default if "
        "this market alone moved to that price. Each rung is computed from exact liquidation prices, ",
        tag("b", "before"),
        " the first price moved and ",
        tag("b", "after"),
        " the last event, by the rules in force then; the number under a ladder is its scale.",
    )
    held = [("held", "held back by the price guard")] if gathering.tally.guard.episodes else []
    changed = [("rulechange", "rules of the market changed")] if any(map(gathering.rule_changes.of_market, gathering.markets)) else []
    states = {spell.state for spell in gathering.halts.spells}
    shades = [(f"shaded {state}", state) for state in ("halted", "throttled", "reopening") if state in states]
    keys = legend(
        [(name, CLOSING[name].method) for name in shown_methods(gathering)]
        + held
        + changed
        + shades
        + [("long", "longs, liquidated below"), ("short", "shorts, liquidated above")]
    )
    left = f"{len(order) - FIGURES_MAX} more markets, with less closed, are left out." if len(order) > FIGURES_MAX else None
    rest = tag("p", left, class_="quiet") if left else None
    return section("markets", "Markets, and their ladders", words, keys, figures, rest, guard(gathering))


def _figure(gathering: Gathering, number: int, before: Ladder | None, after: Ladder) -> Html:
    venue, record = gathering.venue, gathering.markets[number]
    market, x = venue.markets[number], run_axis(gathering)
    tick = float(market.price_tick)
    y = _price_axis(record, tick)
    closings = closing_bars(gathering, x, number, height=64)
    strip = closings[0].html() if closings else tag("p", "Nothing was closed.", class_="quiet")
    cuts = [_rungs(ladder, number, y, tick) if ladder is not None else None for ladder in (before, after)]
    top = max((max(part.long.max(), part.short.max()) for part in cuts if part is not None), default=0.0) * 10.0**-venue.asset.decimals
    marks = (record.mark_first if gathering.opening.marks is None else int(gathering.opening.marks[number]), record.mark_last)
    ladders = [
        _ladder_panel(part, y, top, mark * tick, name, venue.asset.decimals)
        for part, mark, name in zip(cuts, marks, ("before", "after"), strict=True)
        if part is not None
    ]
    moved = percent(record.mark_last - record.mark_first, record.mark_first)
    title = join(
        symbol_short(market, venue),
        tag("small", f" {market.symbol}, {price(record.mark_first, market)} to {price(record.mark_last, market)} ({moved})"),
    )
    history = tag("div", _mark_panel(gathering, number, x, y).html(), strip, class_="history")
    body = tag("div", history, tag("div", ladders, class_="ladders"), class_="market")
    return figure(body, title=title, caption=_caption(gathering, number, cuts), name=f"{market.symbol}: mark, closings and ladders")


def _mark_panel(gathering: Gathering, number: int, x: Axis, y: Axis) -> Panel:
    """Draw the mark, with halts shaded behind it and the prices of closings on it."""
    record, tick = gathering.markets[number], float(gathering.venue.markets[number].price_tick)
    panel = Panel(x, y, height=260, shows_x=False)
    spells = gathering.halts.of(number)
    for state in sorted({spell.state for spell in spells}):
        boxes = [(s.start_ns, x.high if s.end_ns is None else s.end_ns, y.low, y.high) for s in spells if s.state == state]
        panel.boxes(boxes, f"shade {state}")
    points = envelope_points(record.mark, tick)
    panel.line([*points, (x.high, points[-1][1])] if points else [], "strong")
    for method in CLOSING:
        if method in record.fills:
            panel.strokes(_strokes(record.fills[method], tick), f"fillmark {method}")
    _held(panel, gathering, number)
    _rule_changes(panel, gathering, number)
    _extremes(panel, record, gathering, number)
    for spell in halts_begun(spells)[:3]:
        side = "right" if x.share(spell.start_ns) < 0.7 else "left"
        panel.label(spell.start_ns, y.high, f"halted {clock(spell.start_ns)}", class_=f"inside {side}")
    return panel


def halts_begun(spells: list[Spell]) -> list[Spell]:
    """Return the first spell of each halt: a halt that is held again goes on."""
    begun, ends_ns = [], dict[int, int | None]()
    for spell in spells:
        if spell.state == "halted":
            if spell.market not in ends_ns or ends_ns[spell.market] != spell.start_ns:
                begun.append(spell)
            ends_ns[spell.market] = spell.end_ns
    return begun


def _strokes(prices: Envelope, tick: float) -> list[tuple[float, float, float]]:
    """Return a stroke a span, from its lowest price to its highest."""
    return [(prices.grid.time_ns(place + 0.5), prices.low[place] * tick, prices.high[place] * tick) for place in prices.spans.tolist()]


def _held(panel: Panel, gathering: Gathering, number: int) -> None:
    """Draw the prices that the price guard held back, from the mark that stood to where they lay,
    and label the first.
    """
    record, market = gathering.markets[number], gathering.venue.markets[number]
    tick, y = float(market.price_tick), panel.y
    cases = [held for held in gathering.tally.guard.held if held.market == number]
    boxes = [(held.first_ns, panel.x.high if held.ended is None else held.ended_ns, y.low, y.high) for held in cases]
    panel.boxes(boxes, "shade held")
    panel.strokes([(at, *_within(y, low, high)) for at, low, high in _strokes(record.held, tick)], "heldmark")
    ways = [(held.first_ns, *sorted((held.mark_ticks * tick, held.furthest_ticks * tick))) for held in cases]
    panel.strokes([(at, *_within(y, low, high)) for at, low, high in ways], "heldway")
    for case in cases[:2]:
        at = min(max(case.furthest_ticks * tick, y.low), y.high)
        across = "right" if panel.x.share(case.first_ns) < 0.7 else "left"
        panel.label(case.first_ns, at, f"{price(case.furthest_ticks, market)} held {clock(case.first_ns)}", class_=f"{across} heldword")


def _rule_changes(panel: Panel, gathering: Gathering, number: int) -> None:
    """Draw when rules of the market changed, and label the first times."""
    times_ns = sorted({each.time_ns for each in gathering.rule_changes.of_market(number)})
    x, y = panel.x, panel.y
    panel.strokes([(at, y.low, y.high) for at in times_ns[:TRACK_MAX]], "rulechange")
    for at in times_ns[:2]:
        across = "right" if x.share(at) < 0.7 else "left"
        panel.label(at, y.low, f"rules changed {clock(at)}", class_=f"above {across}")


def _within(y: Axis, low: float, high: float) -> tuple[float, float]:
    return min(max(low, y.low), y.high), min(max(high, y.low), y.high)


def _price_axis(record: MarketRecord, tick: float) -> Axis:
    """Return a scale with room below and above the marks, so that the ladder's next rungs are seen.

    Held prices are on it as far as they do not squeeze the marks into less than half of it; one
    beyond is drawn at its edge.
    """
    low, high = record.low[0] * tick, record.high[0] * tick
    span = max(high - low, 0.05 * high)
    if len(record.held.spans):
        spans = record.held.spans
        low = max(min(low, int(record.held.low[spans].min()) * tick), low - span / 2)
        high = min(max(high, int(record.held.high[spans].max()) * tick), high + span / 2)
    room = max(0.3 * (high - low), 0.02 * high)
    return value_axis(max(0.0, low - room), high + room, ticks=5, text=_price_text)


def _price_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _extremes(panel: Panel, record: MarketRecord, gathering: Gathering, number: int) -> None:
    market = gathering.venue.markets[number]
    tick = float(market.price_tick)
    for (ticks, at), side in ((record.low, "below"), (record.high, "above")):
        across = "right" if panel.x.share(at) < 0.5 else "left"
        panel.label(at, ticks * tick, f"{price(ticks, market)} at {clock(at)}", class_=f"{side} {across}")


def _rungs(ladder: Ladder, number: int, y: Axis, tick: float) -> _Rungs:
    rows = (ladder.market == number) & ~ladder.in_default
    prices, notional, lots = ladder.liquidation_ticks[rows] * tick, ladder.notional[rows], ladder.lots[rows]
    exists = ladder.liquidation_ticks[rows] > 0
    below, above = exists & (prices < y.low), exists & (prices >= y.high)
    inside = exists & ~below & ~above
    steps = np.minimum(((prices - y.low) / (y.high - y.low) * _RUNGS).astype(np.int64), _RUNGS - 1)
    sides = [np.zeros(_RUNGS) for _ in _SIDES]
    for side, (_, sign) in zip(sides, _SIDES, strict=True):
        chosen = inside & (np.sign(lots) == sign)
        np.add.at(side, steps[chosen], notional[chosen].astype(np.float64))

    def total(chosen: NDArray[np.bool_]) -> int:
        return sum(notional[chosen].tolist())

    in_default = sum(ladder.notional[(ladder.market == number) & ladder.in_default].tolist())
    return _Rungs(sides[0], sides[1], total(below), total(above), total(~exists), in_default)


def _ladder_panel(rungs: _Rungs, y: Axis, top: float, mark: float, name: str, decimals: int) -> Html:
    scale, step = 10.0**-decimals, (y.high - y.low) / _RUNGS
    x = Axis(0.0, top or 1.0, ((top, compact(top, 3)),) if top else ())
    panel = Panel(x, y, height=260, class_="ladder")
    for side, values in (("long", rungs.long), ("short", rungs.short)):
        base = rungs.long if side == "short" else np.zeros(_RUNGS)
        boxes = [
            (base[place] * scale, (base[place] + values[place]) * scale, y.low + (place + 0.08) * step, y.low + (place + 0.92) * step)
            for place in np.flatnonzero(values).tolist()
        ]
        panel.boxes(boxes, f"fill {side}")
    panel.level(mark, "mark")
    panel.label(x.high, mark, "mark", class_="above left")
    return tag("div", tag("p", tag("b", name), class_="rung"), panel.html())


def _caption(gathering: Gathering, number: int, cuts: list[_Rungs | None]) -> Html:
    asset, record = gathering.venue.asset, gathering.markets[number]
    words: list[Node] = []
    totals = [(name, record.closed_total.get(name, 0)) for name in CLOSING]
    closed = [join(money(total, asset), f" {CLOSING[name].method}") for name, total in totals if total]
    if closed:
        words += [f"Closed [{asset.name}]: ", join(*(join(", " if place else "", part) for place, part in enumerate(closed))), ". "]
    if record.guard[Guard.HELD]:
        words += [f"The price guard held {record.guard[Guard.HELD]:,} marks back. "]
    for name, part in zip(("before", "after"), cuts, strict=True):
        if part is None:
            continue
        beyond = [
            (part.below, "below the figure"),
            (part.above, "above it"),
            (part.never, "at no price"),
            (part.in_default, "in default already"),
        ]
        said = [join(money(atoms, asset), f" {where}") for atoms, where in beyond if atoms]
        if said:
            words += [f"Ladder {name}, not drawn: ", join(*(join(", " if place else "", one) for place, one in enumerate(said))), ". "]
    changes = gathering.rule_changes.of_market(number)
    if changes:
        said = change_words(gathering, changes[:SPELLS_MAX])
        words += ["Rules changed: ", join(*(join("; " if place else "", one) for place, one in enumerate(said)))]
        words += [f"; and {len(changes) - SPELLS_MAX:,} more. " if len(changes) > SPELLS_MAX else ". "]
    return join(words)


def halts(gathering: Gathering) -> Html:
    """Return when each market, or the venue, was not open as usual, and why."""
    title = "Halts and breakers"
    if not gathering.halts.spells:
        return section("halts", title, tag("p", "No market was halted or throttled at any time.", class_="quiet"))
    first_ns, last_ns = gathering.time.first_ns, gathering.time.last_ns
    x = time_axis(first_ns, last_ns)
    rows = [_track(gathering, x, number) for number in sorted({spell.market for spell in gathering.halts.spells})]
    wait_ns = gathering.venue.rules.breakers.halt_wait_max_ns
    waits = f" In a halted one ADL and tear-up wait, at most until {span_text(wait_ns)} after a default began." if wait_ns else ""
    caption = (
        f"From {clock(first_ns)} to {clock(last_ns)} UTC. In a halted or reopening market no position may grow; owners may reduce."
        " Wherever a market is not open, closing orders leave in slices of the throttled share, and providers are asked as ever."
        f"{waits} Where an operator halts, no closing order leaves; where the mark is in doubt, nothing is closed."
    )
    keys = legend([(f"fill {state}", state) for state in ("halted", "throttled", "reopening")])
    return section("halts", title, keys, figure(track_rows(rows), caption=caption, name="Halts over time"))


def _track(gathering: Gathering, x: Axis, number: int) -> tuple[Node, list[tuple[float, float, str]], Node, Node]:
    """Return the spells of one market, or of the venue (``NONE``): on a line, in sum, and one by
    one.
    """
    venue, last_ns = gathering.venue, gathering.time.last_ns
    spells = [spell for spell in gathering.halts.spells if spell.market == number]
    bars, spent, said = [], dict[str, int](), []
    for spell in spells:
        until = last_ns if spell.end_ns is None else spell.end_ns
        share = x.share(spell.start_ns)
        bars.append((share, max(x.share(until), share + 0.002), f"fill {spell.state}"))
        spent[spell.state] = spent.get(spell.state, 0) + until - spell.start_ns
        end = "to the end" if spell.end_ns is None else f"to {clock(until)}"
        cause = f" ({spell.cause})" if spell.state != "reopening" and spell.cause else ""
        said.append(f"{spell.state} {clock(spell.start_ns)} {end}{cause}")
    told = said[:SPELLS_MAX] + ([f"and {len(said) - SPELLS_MAX:,} more"] if len(said) > SPELLS_MAX else [])
    name = symbol_short(venue.markets[number], venue) if number >= 0 else "the venue"
    value = [f"{state} {span_text(ns)}" for state, ns in sorted(spent.items())]
    return name, bars[:TRACK_MAX], _lines(value), _lines(told)


def _lines(texts: list[str]) -> Html:
    return join(*(join(tag("br") if place else "", text) for place, text in enumerate(texts)))
