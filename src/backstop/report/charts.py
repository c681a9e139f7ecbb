"""Figures as SVG that stretches and text that does not.

A panel's drawing fills its box whatever its shape (``preserveAspectRatio="none"``, strokes that do
not scale), and every word is HTML laid over it at a share of its width and height. So one page
serves a wide screen, a narrow one and paper, without a script, and its type keeps one size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backstop.report.markup import Html, Node, join, tag
from backstop.report.words import compact

__all__ = ["Axis", "Panel", "figure", "time_axis", "value_axis"]

#: Side of the drawing in its own units.
_SIDE = 1000
_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from ``low`` to ``high`` with its ticks: (value, text)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Return where a value stands, 0 at ``low`` and 1 at ``high``; not beyond."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def value_axis(low: float, high: float, ticks: int = 4, unit: str = "", text: Callable[[float], str] = compact) -> Axis:
    """Return an axis that holds ``low`` to ``high`` with about so many round ticks, each as
    ``text`` has it.
    """
    if high <= low:
        high = low + (abs(low) or 1.0)
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step), math.ceil(high / step)
    values = [number * step for number in range(first, last + 1)]
    return Axis(first * step, last * step, tuple((value, text(round(value, 12)) + unit) for value in values))


def _round_step(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step))
    return size * next(round_step for round_step in (1, 2, 2.5, 5, 10) if step <= round_step * size * (1 + 1e-9))


def time_axis(start_ns: int, end_ns: int, ticks: int = 8) -> Axis:
    """Return an axis of UTC times."""
    start, end = start_ns / 1e9, max(end_ns / 1e9, start_ns / 1e9 + 1e-3)
    step = next((step for step in _TIME_STEPS_S if (end - start) / step <= ticks), _TIME_STEPS_S[-1])
    first = math.ceil(start / step) * step
    marks, at = [], float(first)
    while at <= end:
        moment = datetime.fromtimestamp(at, UTC)
        is_day = step >= 86_400 or (moment.hour == 0 and moment.minute == 0 and moment.second == 0)
        marks.append((at * 1e9, moment.strftime("%d %b" if is_day else "%H:%M:%S" if step < 60 else "%H:%M")))
        at += step
    return Axis(start * 1e9, end * 1e9, tuple(marks))


@dataclass(slots=True)
class Panel:
    """One drawing with its axes. ``x`` and ``y`` are its scales; ``height`` in CSS pixels."""

    x: Axis
    y: Axis
    height: int = 180
    class_: str = ""
    shapes: list[Html] = field(default_factory=list)
    words: list[Html] = field(default_factory=list)
    shows_x: bool = True
    shows_y: bool = True

    def line(self, points: Iterable[tuple[float, float]], class_: str) -> None:
        """Draw a line through points."""
        path = self._path(points)
        if path:
            self.shapes.append(tag("path", d=path, class_=f"line {class_}"))

    def area(self, points: Sequence[tuple[float, float]], base: float, class_: str) -> None:
        """Fill what lies between points and a base value."""
        if points:
            closed = [*points, (points[-1][0], base), (points[0][0], base)]
            self.shapes.append(tag("path", d=self._path(closed) + "z", class_=class_))

    def boxes(self, boxes: Iterable[tuple[float, float, float, float]], class_: str) -> None:
        """Fill rectangles (x from, x to, y from, y to), all in one path."""
        parts = []
        for left, right, low, high in boxes:
            x0, x1 = self._x(left), self._x(right)
            y0, y1 = self._y(high), self._y(low)
            if x1 > x0 and y1 > y0:
                parts.append(f"M{_n(x0)} {_n(y0)}H{_n(x1)}V{_n(y1)}H{_n(x0)}z")
        if parts:
            self.shapes.append(tag("path", d="".join(parts), class_=class_))

    def strokes(self, strokes: Iterable[tuple[float, float, float]], class_: str) -> None:
        """Draw upright strokes (x, y from, y to), all in one path; one without height still
        shows.
        """
        parts = [f"M{_n(self._x(x))} {_n(self._y(high) - 2)}V{_n(self._y(low) + 2)}" for x, low, high in strokes]
        if parts:
            self.shapes.append(tag("path", d="".join(parts), class_=f"line {class_}"))

    def level(self, value: float, class_: str) -> None:
        """Draw a line across."""
        self.shapes.append(tag("path", d=f"M0 {_n(self._y(value))}H{_SIDE}", class_=f"line {class_}"))

    def label(self, x: float, y: float, *text: Node, class_: str = "") -> None:
        """Put words at a place of the scales; ``class_`` says on which side of it (``left``,
        ``above``, ...).
        """
        style = f"left:{100 * self.x.share(x):.2f}%;top:{100 * (1 - self.y.share(y)):.2f}%"
        self.words.append(tag("span", *text, class_=f"label {class_}".strip(), style=style))

    def html(self) -> Html:
        """Return the panel."""
        grid = [f"M0 {_n(self._y(value))}H{_SIDE}" for value, _ in self.y.ticks] if self.shows_y else []
        ticks: list[Html] = []
        if self.shows_y:
            ticks += [
                tag("span", text, class_="tick y", style=f"top:{100 * (1 - self.y.share(value)):.2f}%") for value, text in self.y.ticks
            ]
        if self.shows_x:
            for place, (value, text) in enumerate(self.x.ticks):
                minor = " minor" if place % 2 else ""
                ticks.append(tag("span", text, class_=f"tick x{minor}", style=f"left:{100 * self.x.share(value):.2f}%"))
        drawing = tag(
            "svg",
            tag("path", d="".join(grid), class_="line grid") if grid else None,
            self.shapes,
            viewBox=f"0 0 {_SIDE} {_SIDE}",
            preserveAspectRatio="none",
            aria_hidden="true",
        )
        kinds = " ".join(word for word in ("panel", self.class_, "" if self.shows_x else "no-x", "" if self.shows_y else "no-y") if word)
        return tag("div", tag("div", drawing, ticks, self.words, class_="plot"), class_=kinds, style=f"--height:{self.height}px")

    def _x(self, value: float) -> float:
        return _SIDE * self.x.share(value)

    def _y(self, value: float) -> float:
        return _SIDE * (1 - self.y.share(value))

    def _path(self, points: Iterable[tuple[float, float]]) -> str:
        parts = [f"{_n(self._x(x))} {_n(self._y(y))}" for x, y in points]
        return "M" + "L".join(parts) if parts else ""


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def figure(*content: Node, caption: Node = None, title: Node = None, name: str = "", class_: str = "") -> Html:
    """Return a figure; ``name`` is what a screen reader says of it."""
    return tag(
        "figure",
        tag("h3", title) if title else None,
        join(*content),
        tag("figcaption", caption) if caption else None,
        role="group",
        aria_label=name or None,
        class_=class_ or None,
    )
