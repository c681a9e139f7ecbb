"""The tables of docs/reference/scenarios.md: every pin of every bundled scenario with its origin,
written from the files.

``python -m backstop.runs.scenario_page --write ROOT`` puts them between the page's two marks; a
test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from backstop.feeds.columns import time_text
from backstop.markets.scenarios import MarketPins, Scenario, scenario, scenario_names

__all__ = ["page_text", "pins_text", "write"]

_FIRST = "<!-- from here on written by `make generate` -->\n"
_LAST = "<!-- to here -->\n"
_PAGE = Path("docs/reference/scenarios.md")


def pins_text() -> str:
    """Return a section for each bundled scenario: its sources, its pins of prices, its pins of
    depth.
    """
    return "\n".join("\n".join(_section(scenario(name))) + "\n" for name in scenario_names())


def page_text(page: str) -> str:
    """Return the page with the tables of the present files; raise ``ValueError`` where its marks
    are missing.
    """
    head, first, rest = page.partition(_FIRST)
    _, last, tail = rest.partition(_LAST)
    if not first or not last:
        raise ValueError(f"{_PAGE}: must have the lines {_FIRST.strip()} and {_LAST.strip()}")
    return f"{head}{first}\n{pins_text()}\n{last}{tail}"


def write(root: Path) -> Path:
    """Write the tables into the page under the repository's root; return its path."""
    path = root / _PAGE
    path.write_text(page_text(path.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def _section(crash: Scenario) -> Iterator[str]:
    yield f"### `{crash.name}`"
    yield ""
    yield f"{crash.title}."
    yield f"From {time_text(crash.start_ns)} to {time_text(crash.end_ns)}."
    yield ""
    yield "| source | pins | what it is |\n|---|---|---|"
    for key, what in crash.sources.items():
        prices = sum(pin.source == key for market in crash.markets for pin in market.pins)
        depth = sum(pin.source == key for pin in crash.depth)
        counts = [f"{count} of {noun}" for count, noun in ((prices, "prices"), (depth, "depth")) if count]
        yield f"| `{key}` | {', '.join(counts)} | {what} |"
    for market in crash.markets:
        yield ""
        yield from _market(market)
    yield ""
    yield "| time | depth of every book, of its own normal | source |\n|---|---|---|"
    for step in crash.depth:
        yield f"| {time_text(step.time_ns)} | {step.depth_ppm / 1e4:g} % | `{step.source}` |"


def _market(market: MarketPins) -> Iterator[str]:
    yield f"| time | {market.symbol} | figure | source |\n|---|---|---|---|"
    for pin in market.pins:
        yield f"| {time_text(pin.time_ns)} | {pin.price:f} | {pin.what} | `{pin.source}` |"


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--write":
        sys.stderr.write(f"wrote {write(Path(sys.argv[2]))}\n")
    else:
        sys.stdout.write(pins_text())
