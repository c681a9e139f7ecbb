"""Tables, lists and key numbers of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backstop.report.charts import Panel
from backstop.report.markup import Html, Node, join, tag

__all__ = ["bar_rows", "facts", "key_numbers", "lane", "legend", "section", "table", "track_rows"]


def section(name: str, title: str, *content: Node) -> Html:
    """Return a section of the page with its anchor."""
    return tag("section", tag("h2", title), join(*content), id=name)


def table(head: Sequence[str], rows: Iterable[Sequence[Node]], *, numbers: Sequence[int] = (), foot: Sequence[Node] | None = None) -> Html:
    """Return a table; columns named in ``numbers`` are set to the right.

    It scrolls by itself where it is too wide.
    """
    right = set(numbers)

    def row(cells: Sequence[Node], element: str) -> Html:
        return tag("tr", [tag(element, cell, class_="number" if place in right else None) for place, cell in enumerate(cells)])

    body = [row(cells, "td") for cells in rows]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", row(head, "th")),
            tag("tbody", body),
            tag("tfoot", row(foot, "td")) if foot is not None else None,
        ),
        class_="scroll",
        tabindex=0,
    )


def facts(pairs: Iterable[tuple[Node, Node]]) -> Html:
    """Return names with what they are."""
    return tag("dl", [join(tag("dt", name), tag("dd", value)) for name, value in pairs], class_="facts")


def key_numbers(items: Iterable[tuple[str, Node, Node]]) -> Html:
    """Return the numbers that come first: (what, number, in other words)."""
    cells = [
        tag("div", tag("div", what, class_="what"), tag("div", number, class_="figure"), tag("div", words, class_="words"))
        for what, number, words in items
    ]
    return tag("div", cells, class_="key")


def legend(items: Iterable[tuple[str, str]]) -> Html:
    """Return swatches with their words: (class of the colour, word)."""
    return tag("p", [tag("span", tag("i", class_=f"swatch {class_}"), word) for class_, word in items], class_="legend")


def lane(title: str, words: Node, panel: Panel) -> Html:
    """Return one of several panels that share an axis of time, under its title."""
    return tag("div", tag("p", tag("b", title), " ", tag("span", words), class_="lane"), panel.html())


def bar_rows(rows: Iterable[tuple[Node, float, float, str, Node, Node]], class_: str = "") -> Html:
    """Return horizontal bars: (name, from, to, class of the colour, value, note); from and to are
    shares of the width.
    """
    lines = []
    for name, left, right, colour, value, note in rows:
        bar = tag("i", class_=f"bar {colour}", style=f"left:{100 * left:.3f}%;width:{max(0.0, 100 * (right - left)):.3f}%")
        lines.append(
            tag(
                "div",
                tag("div", name, class_="name"),
                tag("div", bar, class_="track"),
                tag("div", value, class_="value"),
                tag("div", note, class_="note"),
                class_="row",
            )
        )
    return tag("div", lines, class_=f"bars {class_}".strip())


def track_rows(rows: Iterable[tuple[Node, Iterable[tuple[float, float, str]], Node, Node]]) -> Html:
    """Return a track of time each: (name, spells, value, note); a spell is (from, to, class of the
    colour), in shares of the width.
    """
    lines = []
    for name, spells, value, note in rows:
        bars = [
            tag("i", class_=f"bar {colour}", style=f"left:{100 * left:.3f}%;width:{100 * (right - left):.3f}%")
            for left, right, colour in spells
        ]
        cells = ((name, "name"), (join(*bars), "track"), (value, "value"), (note, "note"))
        lines.append(tag("div", [tag("div", cell, class_=class_) for cell, class_ in cells], class_="row"))
    return tag("div", lines, class_="bars tracks")
