"""The head of the page: what happened, in one sentence, in six numbers and on one axis of time."""

from __future__ import annotations

import re
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from backstop.config.stages import CLOSING, STAGES
from backstop.core.events import Stage
from backstop.report.charts import Axis, Panel, figure, time_axis, value_axis
from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import key_numbers, lane, legend, section
from backstop.report.series import SPANS_MAX, Envelope
from backstop.report.words import clock, count, money, percent, span_text, symbol_short

__all__ = ["closing_bars", "covered_words", "day", "envelope_points", "head", "run_axis", "shown_methods"]

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})")
#: Bars of a chart of closings.
_BARS = 240
#: Least distance of two labels at the end of lines, as a share of the panel's height.
_LABEL_GAP = 0.062


def head(gathering: Gathering, facts: RunFacts) -> Html:
    """Return title, verdict and key numbers."""
    venue = gathering.venue
    start, end = gathering.opening.end_ns, gathering.time.last_ns
    when = f"{clock(start, seconds=False, date=True)} to {_end_text(start, end)} UTC, {span_text(end - start)}"
    place = join(
        "venue ", tag("b", venue.name), ", ", _plural(gathering.counts.accounts, "account"), ", ", _plural(len(gathering.markets), "market")
    )
    return tag(
        "header",
        tag("p", "Default report", class_="kind"),
        tag("h1", [tag("span", part, class_="date") if _DATE.fullmatch(part) else part for part in _DATE.split(facts.title)]),
        tag("p", when, tag("br"), place, class_="when"),
        tag("p", _verdict(gathering), class_="verdict"),
        _keys(gathering),
    )


def _plural(number: int, noun: str) -> Html:
    return join(count(number), f" {noun}" if number == 1 else f" {noun}s")


def _end_text(start_ns: int, end_ns: int) -> str:
    same_day = start_ns // 86_400_000_000_000 == end_ns // 86_400_000_000_000
    return clock(end_ns, seconds=False, date=not same_day)


def _verdict(gathering: Gathering) -> Html:
    """Tell who paid, in sentences that hold for every run."""
    tally, asset = gathering.tally, gathering.venue.asset
    if not tally.defaults:
        return join("No account came into default.")
    words: list[Node] = [count(tally.defaults), " accounts came into default"]
    closed = [(CLOSING[name].closed, total) for name, total in _closed(gathering) if total]
    if closed:
        words += ["; of their positions "]
        for place, (name, total) in enumerate(closed):
            words += [
                " and " if place and place == len(closed) - 1 else ", " if place else "",
                money(total, asset),
                f" {asset.name} was {name}",
            ]
    words += [". "]
    deficit = tally.deficit_atoms
    if not deficit:
        return join(words, "Their own collateral paid for all of it: there was no deficit.", _lasting(gathering))
    payers = [(row.stage, row.paid) for row in tally.stages() if row.paid]
    words += ["That cost ", money(deficit, asset), f" {asset.name} more than they had. "]
    for place, (stage, paid) in enumerate(payers):
        name = STAGES[stage].payer
        words += [" and " if place and place == len(payers) - 1 else ", " if place else "", name if place else _upper(name), " paid "]
        words += [money(paid, asset), f" ({percent(paid, deficit)})"]
    if tally.uncovered_atoms:
        words += [
            "; " if payers else "",
            money(tally.uncovered_atoms, asset),
            f" {asset.name} were paid by nobody.",
        ]
    else:
        words += [". Nothing was left uncovered."]
    return join(words, _lasting(gathering))


def covered_words(gathering: Gathering) -> str:
    """Say that nothing is uncovered, of the defaults that ended."""
    return "of defaults that ended every deficit was paid" if gathering.defaulters.in_default_now else "every deficit was paid"


def _lasting(gathering: Gathering) -> Html:
    """Tell of defaults that the run did not see the end of: what they lack is in no figure."""
    lasting = gathering.defaulters.in_default_now
    if not lasting:
        return join()
    be = "were" if lasting > 1 else "was"
    return join(" When the run ended, ", _plural(lasting, "account"), f" {be} still in default: what they lack is not counted.")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _closed(gathering: Gathering) -> list[tuple[str, int]]:
    return [(name, gathering.markets.closed(name)) for name in CLOSING]


def _keys(gathering: Gathering) -> Html:
    tally, asset = gathering.tally, gathering.venue.asset
    opening, now = gathering.fund.opening or 0, gathering.fund.now
    paid = {row.stage: row.paid for row in tally.stages()}
    change = now - opening
    items: list[tuple[str, Node, Node]] = [
        ("Accounts in default", count(tally.defaults), f"{percent(tally.defaults, gathering.counts.accounts)} of all"),
        ("Closed", money(sum(total for _, total in _closed(gathering)), asset), f"{asset.name} of notional"),
        ("Deficit", money(tally.deficit_atoms, asset), f"{asset.name} beyond what defaulters had"),
        (
            "Paid by the fund",
            money(paid.get(Stage.FUND, 0), asset),
            join("fund ", "\N{MINUS SIGN}" if change < 0 else "+", percent(abs(change), opening), " over the run"),
        ),
        ("Paid by ADL", money(paid.get(Stage.ADL, 0), asset), join(count(gathering.adl.counterparties), " counterparties")),
        (
            "Uncovered",
            money(tally.uncovered_atoms, asset),
            covered_words(gathering) if not tally.uncovered_atoms else f"{asset.name} that nobody paid",
        ),
    ]
    return key_numbers(items)


# One axis of time


def run_axis(gathering: Gathering) -> Axis:
    """Return the axis of time that all figures share."""
    return time_axis(gathering.time.first_ns, gathering.time.last_ns)


def envelope_points(envelope: Envelope, scale: float = 1.0) -> list[tuple[float, float]]:
    """Return a line through an envelope: each span's extremes in the order that its way suggests,
    then its last value.
    """
    points: list[tuple[float, float]] = []
    grid = envelope.grid
    for place in envelope.spans.tolist():
        first, last = int(envelope.first[place]), int(envelope.last[place])
        low, high = int(envelope.low[place]), int(envelope.high[place])
        values = [first, low, high, last] if last >= first else [first, high, low, last]
        at = grid.time_ns(place)
        for step, value in enumerate(values):
            if not points or points[-1][1] != value * scale or step == 3:
                points.append((at + step * grid.width_ns / 4, value * scale))
    return points


def step_points(envelope: Envelope, scale: float, end_ns: int) -> list[tuple[float, float]]:
    """Return an envelope of a quantity that holds until it changes, up to the end of the run."""
    points: list[tuple[float, float]] = []
    for at, value in envelope_points(envelope, scale):
        if points:
            points.append((at, points[-1][1]))
        points.append((at, value))
    if points:
        points.append((end_ns, points[-1][1]))
    return points


def shown_methods(gathering: Gathering) -> list[str]:
    """Return the ways of closing that were used, in the order of the waterfall."""
    return [name for name, total in _closed(gathering) if total]


def closing_bars(
    gathering: Gathering, x: Axis, number: int | None = None, height: int = 90, class_: str = "closings"
) -> tuple[Panel, int] | None:
    """Return notional closed over time, stacked by method, of one market or all; and how long a bar
    is [ns]. None: nothing was.
    """
    grid, asset = gathering.time.grid, gathering.venue.asset
    records = list(gathering.markets.values()) if number is None else [gathering.markets[number]]
    group = max(1, 1 << max(0, (grid.spans - 1) // _BARS).bit_length())
    stacks: dict[str, NDArray[np.int64]] = {}
    for name in CLOSING:
        series = [record.closed[name].sums for record in records if name in record.closed]
        if series:
            stacks[name] = np.add.reduceat(np.sum(series, axis=0), np.arange(0, SPANS_MAX, group))
    if not stacks:
        return None
    scale = 10.0**-asset.decimals
    top = float(np.sum(list(stacks.values()), axis=0).max()) * scale
    panel = Panel(x, value_axis(0, top, ticks=2), height=height, class_=class_)
    base = np.zeros(len(next(iter(stacks.values()))))
    for name, stack in stacks.items():
        boxes = [
            (grid.time_ns(place * group), grid.time_ns((place + 0.85) * group), base[place], base[place] + stack[place] * scale)
            for place in np.flatnonzero(stack).tolist()
        ]
        panel.boxes(boxes, f"fill {name}")
        base = base + stack * scale
    return panel, group * grid.width_ns


def day(gathering: Gathering) -> Html:
    """Return the run on one axis of time: prices, closings, accounts in default."""
    x, asset = run_axis(gathering), gathering.venue.asset
    parts: list[Node] = [lane("Mark prices", "change since the opening, each market", _prices(gathering, x))]
    closings = closing_bars(gathering, x, class_="gutter")
    if closings is not None:
        panel, span_ns = closings
        panel.shows_x = False
        words = join(f"per {span_text(span_ns)} ", legend([(name, CLOSING[name].method) for name in shown_methods(gathering)]))
        parts.append(lane(f"Closed [{asset.name}]", words, panel))
    most, at = gathering.defaulters.in_default_most
    if most:
        panel = Panel(x, value_axis(0, most, ticks=3), height=110, class_="gutter")
        points = step_points(gathering.defaulters.in_default, 1.0, gathering.time.last_ns)
        panel.area(points, 0, "fill soft")
        panel.line(points, "strong")
        parts.append(lane("Accounts in default", f"at the same time; most were {most:,}, at {clock(at)}", panel))
    else:
        parts.append(tag("p", "No account was in default at any time.", class_="quiet"))
    return section("day", "The run on one axis", figure(join(parts), name="Prices, closings and accounts in default over time"))


def _prices(gathering: Gathering, x: Axis) -> Panel:
    """Draw each market's mark as its change since the opening; the busiest three stand out."""
    lines = []
    for number in gathering.markets.by_closing:
        record = gathering.markets[number]
        if record.mark_first:
            scale = 100.0 / record.mark_first
            lines.append((number, [(at, value - 100.0) for at, value in envelope_points(record.mark, scale)]))
    values = [value for _, points in lines for _, value in points]
    y = value_axis(min([*values, 0.0]), max([*values, 0.0]), ticks=5, unit=" %")
    panel = Panel(x, y, height=250, class_="gutter", shows_x=False)
    panel.level(0, "base")
    for place, (_, points) in reversed(list(enumerate(lines))):
        panel.line([*points, (x.high, points[-1][1])], f"series s{place}" if place < 3 else "series rest")
    ends = [(y.share(points[-1][1]), place, number) for place, (number, points) in enumerate(lines[:24])]
    for share, place, number in _apart(ends):
        name = symbol_short(gathering.venue.markets[number], gathering.venue)
        panel.label(x.high, y.low + share * (y.high - y.low), name, class_="end" + (f" s{place}" if place < 3 else ""))
    return panel


def _apart(ends: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    """Move labels at the ends of lines apart, each as little as can be (least squares: neighbours
    that clash share their mean).
    """
    ends = sorted(ends)
    gap = min(_LABEL_GAP, 1.0 / max(1, len(ends) - 1))
    groups: list[list[float]] = []
    for place, (share, _, _) in enumerate(ends):
        groups.append([share - place * gap])
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    room = 1.0 - gap * (len(ends) - 1)
    starts = [min(max(fmean(group), 0.0), room) for group in groups for _ in group]
    return [(start + place * gap, *ends[place][1:]) for place, start in enumerate(starts)]
