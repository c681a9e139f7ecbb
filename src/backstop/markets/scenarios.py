"""Crash scenarios: facts typed in by hand, each with its source.

A scenario is a TOML file: for each market at most 20 pins (a time, a price, a source, what it is),
and pins of how deep the books were. ``backstop.markets.paths`` draws a seeded path through them.
The bundled ones lie in ``crashes/``; docs/reference/scenarios.md has the format.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from reprlib import repr as shown
from typing import Any, NamedTuple

from backstop.config.toml import TomlError, parse_toml, read_utf8

__all__ = [
    "PINS_MAX",
    "DepthPin",
    "MarketPins",
    "Pin",
    "Scenario",
    "ScenarioError",
    "load_scenario",
    "parse_scenario",
    "scenario",
    "scenario_names",
]

#: Most pins of one market: single facts, not a copy of anybody's data.
PINS_MAX = 20
#: Largest ``depth_ppm`` of a pin.
DEPTH_PPM_MAX = 10_000_000

_FOLDER = Path(__file__).parent / "crashes"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = {"name", "title", "start", "end", "sources", "depth", "markets"}
_MARKET_KEYS = {"symbol", "pins"}


class ScenarioError(ValueError):
    """A scenario file that cannot be used: names the key, its value and the right form."""


class Pin(NamedTuple):
    """One price that the path goes through."""

    time_ns: int
    price: Decimal
    #: Key of ``Scenario.sources``.
    source: str
    #: Its figure: ``open``, ``low of 21:20``, the arithmetic.
    what: str


class DepthPin(NamedTuple):
    """Depth of the books, in ppm of their own normal depth."""

    time_ns: int
    depth_ppm: int
    source: str


class MarketPins(NamedTuple):
    """The pins of one market, ascending in time."""

    symbol: str
    pins: tuple[Pin, ...]


class Scenario(NamedTuple):
    """One crash, from ``start_ns`` to ``end_ns``."""

    name: str
    title: str
    start_ns: int
    end_ns: int
    #: Description of each source.
    sources: dict[str, str]
    depth: tuple[DepthPin, ...]
    markets: tuple[MarketPins, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the markets, in the file's order."""
        return tuple(market.symbol for market in self.markets)

    def pins_of(self, symbol: str) -> tuple[Pin, ...]:
        """Return a market's pins; raise ``KeyError`` naming the markets that there are."""
        for market in self.markets:
            if market.symbol == symbol:
                return market.pins
        raise KeyError(f"scenario {self.name} has no market {symbol}: it has {', '.join(self.symbols)}")


def _time_ns(place: str, value: object) -> int:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ScenarioError(f"{place} = {shown(value)}: must be a TOML date and time with its zone, as in 2025-10-10T21:20:00Z")
    passed = value - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000


def _text(place: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ScenarioError(f"{place} = {shown(value)}: must be a text")
    return value


def _known(place: str, table: object, keys: set[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ScenarioError(f"{place}: must be a table")
    where = f"{place}." if place else ""
    for key in table:
        if key not in keys:
            raise ScenarioError(f"{where}{shown(key)[1:-1]}: unknown key: must be one of {', '.join(sorted(keys))}")
    for key in sorted(keys):
        if key not in table:
            raise ScenarioError(f"{where}{key}: missing")
    return table


def _rows(place: str, value: object, width: int) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == width for row in value):
        raise ScenarioError(f"{place}: must be a list of rows of {width} values")
    return value


def _source(place: str, value: object, sources: dict[str, str]) -> str:
    if not isinstance(value, str) or value not in sources:
        raise ScenarioError(f"{place}: source {shown(value)}: must be one of {', '.join(sorted(sources))}")
    return value


def _ascending(place: str, times_ns: list[int], start_ns: int, end_ns: int) -> None:
    for number in range(1, len(times_ns)):
        if times_ns[number] <= times_ns[number - 1]:
            raise ScenarioError(f"{place}[{number}]: time is not after that of the row before: times must ascend")
    if len(times_ns) < 2 or times_ns[0] != start_ns or times_ns[-1] != end_ns:
        raise ScenarioError(f"{place}: the first row must be at `start` and the last at `end`")


def _price(place: str, value: object) -> Decimal:
    try:
        price = Decimal(_text(place, value))
    except InvalidOperation:
        raise ScenarioError(f"{place} = {shown(value)}: must be a decimal number as a text") from None
    if not price.is_finite() or price <= 0:
        raise ScenarioError(f"{place} = {shown(value)}: must be above 0")
    return price


def _market(place: str, table: object, file: Scenario) -> MarketPins:
    section = _known(place, table, _MARKET_KEYS)
    rows = _rows(f"{place}.pins", section["pins"], 4)
    if len(rows) > PINS_MAX:
        raise ScenarioError(f"{place}.pins has {len(rows)} rows: must have at most {PINS_MAX}")
    pins = []
    for number, (time, price, source, what) in enumerate(rows):
        here = f"{place}.pins[{number}]"
        pins.append(Pin(_time_ns(here, time), _price(here, price), _source(here, source, file.sources), _text(here, what)))
    _ascending(f"{place}.pins", [pin.time_ns for pin in pins], file.start_ns, file.end_ns)
    return MarketPins(_text(f"{place}.symbol", section["symbol"]), tuple(pins))


def _depth(rows: list[list[Any]], file: Scenario) -> tuple[DepthPin, ...]:
    pins = []
    for number, (time, depth_ppm, source) in enumerate(rows):
        here = f"depth[{number}]"
        if isinstance(depth_ppm, bool) or not isinstance(depth_ppm, int) or not 0 <= depth_ppm <= DEPTH_PPM_MAX:
            raise ScenarioError(f"{here}: depth_ppm = {shown(depth_ppm)}: must be a whole number from 0 to {DEPTH_PPM_MAX}")
        pins.append(DepthPin(_time_ns(here, time), depth_ppm, _source(here, source, file.sources)))
    _ascending("depth", [pin.time_ns for pin in pins], file.start_ns, file.end_ns)
    return tuple(pins)


def parse_scenario(text: str, place: str = "scenario") -> Scenario:
    """Return the scenario of a file's text; raise ``ScenarioError`` naming the key, its value and
    the right form.
    """
    try:
        table = parse_toml(text)
    except TomlError as error:
        raise ScenarioError(f"{place}: {error}") from None
    try:
        _known("", table, _KEYS)
        raw_sources = table["sources"]
        if not isinstance(raw_sources, dict):
            raise ScenarioError("sources: must be a table")
        sources = {key: _text(f"sources.{key}", value) for key, value in raw_sources.items()}
        start_ns, end_ns = _time_ns("start", table["start"]), _time_ns("end", table["end"])
        file = Scenario(_text("name", table["name"]), _text("title", table["title"]), start_ns, end_ns, sources, (), ())
        depth = _depth(_rows("depth", table["depth"], 3), file)
        if not isinstance(table["markets"], list) or not table["markets"]:
            raise ScenarioError("markets: must have at least one market")
        markets = tuple(_market(f"markets[{number}]", section, file) for number, section in enumerate(table["markets"]))
        symbols = [market.symbol for market in markets]
        for symbol in symbols:
            if symbols.count(symbol) > 1:
                raise ScenarioError(f"markets: {symbol} is listed twice")
        return file._replace(depth=depth, markets=markets)
    except ScenarioError as error:
        raise ScenarioError(f"{place}: {error}") from None


def load_scenario(path: str | Path) -> Scenario:
    """Return the scenario of a TOML file; raise ``ScenarioError`` as ``parse_scenario`` does."""
    try:
        text = read_utf8(path)
    except TomlError as error:
        raise ScenarioError(f"{path}: {error}") from None
    return parse_scenario(text, str(path))


def scenario_names() -> tuple[str, ...]:
    """Return the names of the bundled scenarios, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def scenario(name: str) -> Scenario:
    """Return a bundled scenario; raise ``KeyError`` naming the bundled ones."""
    if name not in scenario_names():
        raise KeyError(f"unknown scenario {name}: must be one of {', '.join(scenario_names())}")
    return load_scenario(_FOLDER / f"{name}.toml")
