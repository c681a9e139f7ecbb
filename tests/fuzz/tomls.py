"""Fuzzed TOML files: venue, population and scenario.

Every number that is loaded is compared with the exact decimal in the file.
"""

from __future__ import annotations

import json
import re
import tomllib
from copy import deepcopy
from dataclasses import asdict, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

from backstop.config import ConfigError, Venue, load_venue, parse_venue
from backstop.config.render import venue_toml
from backstop.core.instruments import NOTIONAL_ATOMS_MAX, PRICE_TICKS_LIMIT
from backstop.markets.population import PopulationError, PopulationParameters, load_parameters, population_events
from backstop.markets.scenarios import PINS_MAX, ScenarioError, load_scenario
from tests.feeds.samples import small_venue, venue_text
from tests.fuzz.mutate import EDGE_TEXTS, edge_number, spoilt_bytes
from tests.fuzz.target import Found
from tests.runs.venues import full_text

__all__ = ["fuzz_population", "fuzz_scenario", "fuzz_venue"]


class Bare(str):
    """A value that is written as it stands, without quotes."""


#: Values as TOML has them, right or wrong; a number is quoted or not.
_BARE = [
    *("true", "false", "nan", "inf", "-inf", "0x7fffffffffffffff", "0o17", "0b1", "1e5", "1.0", "1_000", "+1", "01", "1e999", "-0", "0.1"),
    *("0x" + "f" * 5000, "9" * 5000, "1e" + "9" * 30, "1.5e-40", "1e-41", "2025-10-10", "2025-10-10T21:20:00Z", "21:20:00"),
    *("2025-10-10T21:20:00.123456789+02:00", "[]", "{}", "[[]]", "[1, 2]", "{ a = 1 }", "''", '"""x"""', "[" * 2000, "[" * 90 + "]" * 90),
]
_DURATIONS = [
    "0s",
    "1ns",
    "30s",
    "1.5s",
    "-1s",
    "9999999999999999999s",
    "1h",
    "1m30s",
    "s",
    "1 s",
    "1152921504606846976ns",
    "1152921504606846977ns",
]
_KEYS = ["name", "collateral", "provider", "tiers", "", "a b", "é", "\x00", "market", "stage", "__class__", "model_config"]


# Writing


def _text(value: Any) -> str:
    if isinstance(value, Bare):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key, re.ASCII) else json.dumps(key)


def _lines(tree: dict[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_text(value)}" for key, value in tree.items()]


# Spoiling


def _inner(rng: Random, tree: dict[str, Any]) -> Any:
    """Return a table or list somewhere in the tree that holds something."""
    place: Any = tree
    while True:
        values = place.values() if isinstance(place, dict) else place
        deeper = [value for value in values if isinstance(value, dict | list) and value]
        if not deeper or rng.random() < 0.25:
            return place
        place = rng.choice(deeper)


def _near(rng: Random, value: Any) -> Any:
    """Return another value: of the same kind at an edge, or of another kind."""
    way = rng.random()
    if way < 0.25:
        return Bare(rng.choice(_BARE))
    if way < 0.35:
        return rng.choice((rng.choice(EDGE_TEXTS), rng.choice(_DURATIONS), [value], {"value": value}, [], {}))
    text = edge_number(rng)
    if way < 0.6:
        return text
    if way < 0.7 and isinstance(value, str) and value:
        return value[:-1] + rng.choice(value)
    return Bare(text) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text, re.ASCII) else text


def _spoil(rng: Random, tree: dict[str, Any]) -> None:
    place = _inner(rng, tree)
    key: Any = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    way = rng.random()
    if way < 0.6:
        place[key] = _near(rng, place[key])
    elif way < 0.7:
        place.pop(key)
    elif isinstance(place, dict):
        word = rng.choice((*_KEYS, key[:-1] + "x", key.upper()))
        place[word] = place.pop(key) if rng.random() < 0.5 else _near(rng, place[key])
    elif way < 0.85:
        place.insert(rng.randint(0, len(place)), deepcopy(place[key]))
    else:
        rng.shuffle(place)


def _written(rng: Random, tree: dict[str, Any], path: Path) -> int:
    """Write the tree, spoilt; return how many things were done to it."""
    count = rng.choice((0, 1, 1, 1, 2, 3))
    for _ in range(count):
        if tree:
            _spoil(rng, tree)
    lines = _lines(tree)
    if lines and rng.random() < 0.05:
        lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
        count += 1
    data = rng.choice(("\n", "\n", "\r\n")).join(lines).encode("utf-8", "replace")
    if rng.random() < 0.15:
        data, count = spoilt_bytes(rng, data), count + 1
    path.write_bytes(data)
    return count


def _plain(path: Path) -> Any:
    """Return a file's tree with every number with a point as its own text."""
    text = path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    try:
        return tomllib.loads(text, parse_float=lambda number: Decimal(number.replace("_", "")))
    except (ValueError, ArithmeticError) as error:
        raise Found(f"loaded what is not TOML: {error}") from error


def _check_message(error: Exception, path: Path) -> None:
    """See that every line of a refusal names the file, and says something of a length that people
    read.
    """
    for line in str(error).splitlines() or [""]:
        if not line.startswith(str(path)) or len(line) < len(str(path)) + 8 or len(line) > 4_000:
            raise Found(f"unclear refusal: {line[:200]!r}")


# The venue


@cache
def _venue_trees() -> tuple[dict[str, Any], ...]:
    texts = (venue_text(), full_text(guard_volume="5"), full_text(providers=False, closeout='deadline = "60s"'))
    return tuple(tomllib.loads(text) for text in texts)


def fuzz_venue(rng: Random, folder: Path) -> bool:
    """Make a venue file, load it, judge."""
    path = folder / "venue.toml"
    changes = _written(rng, deepcopy(rng.choice(_venue_trees())), path)
    try:
        venue = load_venue(path)
    except ConfigError as error:
        _check_message(error, path)
        if not changes:
            raise Found(f"a valid file was refused: {error}") from error
        return False
    raw = _plain(path)
    _same("", raw, venue.resolved)
    _check_markets(raw, venue)
    if rng.random() < 0.1 and parse_venue(venue_toml(venue.resolved)).hash != venue.hash:
        raise Found("the resolved venue, written and read again, has another hash")
    return True


_UNITS = {"h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def _nanoseconds(text: str) -> int | None:
    match = re.fullmatch(r"([0-9]+)(h|m|s|ms|us|ns)", text)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def _same(place: str, raw: Any, resolved: Any) -> None:
    """See that every value of the file stands in the resolved venue, equal to the last digit."""
    if isinstance(raw, dict):
        for key, value in raw.items():
            _same(f"{place}.{key}", value, resolved[key])
    elif isinstance(raw, list):
        if len(raw) != len(resolved):
            raise Found(f"{place}: {len(raw)} rows in the file, {len(resolved)} resolved")
        for number, (one, other) in enumerate(zip(raw, resolved, strict=True)):
            _same(f"{place}[{number}]", one, other)
    elif raw != resolved and not _equal(raw, resolved):
        raise Found(f"{place}: {str(raw)[:80]} in the file, {str(resolved)[:80]} resolved")


def _equal(raw: Any, resolved: Any) -> bool:
    if isinstance(raw, bool) or isinstance(resolved, bool):
        return raw is resolved
    if isinstance(raw, str) and _nanoseconds(raw) is not None:
        return _nanoseconds(raw) == _nanoseconds(str(resolved))
    try:
        return Fraction(Decimal(raw)) == Fraction(Decimal(resolved))
    except (ArithmeticError, TypeError, ValueError):
        return False


def _steps(value: Any, step: Fraction, place: str) -> int:
    count = Fraction(Decimal(value)) / step
    if count.denominator != 1:
        raise Found(f"{place}: {value} is no whole number of steps of {step}")
    return int(count)


def _check_markets(raw: Any, venue: Venue) -> None:
    atom = Fraction(1, 10 ** int(raw["asset"]["decimals"]))
    total = 0
    for number, (table, spec, rules) in enumerate(zip(raw["market"], venue.markets, venue.rules.markets, strict=True)):
        place = f"market[{number}]"
        tick, lot = Fraction(Decimal(table["price_tick"])), Fraction(Decimal(table["quantity_lot"]))
        size = Fraction(Decimal(table.get("contract_size", 1)))
        counts = (
            _steps(1, atom / (tick * lot * size), place),
            _steps(table["price_max"], tick, place),
            _steps(table["position_max"], lot, place),
        )
        if counts != (rules.notional_factor, rules.price_ticks_max, rules.position_lots_max):
            raise Found(f"{place}: {counts} worked out, rules {rules[:3]}")
        if (spec.notional_factor, spec.price_ticks_max, spec.position_lots_max) != counts or counts[1] > PRICE_TICKS_LIMIT:
            raise Found(f"{place}: {spec}")
        floors = [_steps(tier["floor"], atom, place) for tier in table["tiers"]]
        rates = [(tier["initial_rate_ppm"], tier["maintenance_rate_ppm"]) for tier in table["tiers"]]
        if [(tier.floor_atoms, (tier.initial_rate_ppm, tier.maintenance_rate_ppm)) for tier in rules.tiers] != [
            *zip(floors, rates, strict=True)
        ]:
            raise Found(f"{place}: tiers {rules.tiers}")
        total += counts[0] * counts[1] * counts[2]
    if total > NOTIONAL_ATOMS_MAX:
        raise Found(f"the largest positions add up to {total} atoms")
    funds = [stage.get("opening_balance", 0) for stage in raw["waterfall"] if stage["stage"] == "fund"]
    balances = [group.get("opening_balance", 0) for group in raw.get("group", [])] or funds or [0]
    if [_steps(balance, atom, "fund") for balance in balances] != list(venue.fund_opening_atoms):
        raise Found(f"funds open with {venue.fund_opening_atoms}, the file says {balances}")
    capitals = [_steps(provider["capital"], atom, "provider") for provider in raw.get("provider", [])]
    if capitals != [provider.capital_atoms for provider in venue.providers]:
        raise Found(f"providers {venue.providers}, the file says {capitals}")


# The population


@cache
def _population_tree() -> dict[str, Any]:
    return tomllib.loads(files("backstop.markets").joinpath("population.toml").read_text(encoding="utf-8"))


def fuzz_population(rng: Random, folder: Path) -> bool:
    """Make a population file, load it, judge; draw a few accounts from what was loaded."""
    path = folder / "population.toml"
    changes = _written(rng, deepcopy(_population_tree()), path)
    try:
        parameters = load_parameters(path)
    except PopulationError as error:
        _check_message(error, path)
        if not changes:
            raise Found(f"a valid file was refused: {error}") from error
        return False
    raw, held = _plain(path), asdict(parameters)
    if _numbers(raw) != _numbers(held):
        raise Found(f"{_numbers(raw)} in the file, {_numbers(held)} loaded")
    _draw(parameters, rng)
    return True


def _numbers(tree: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in tree.items():
        found |= {f"{key}.{inner}": number for inner, number in _numbers(value).items()} if isinstance(value, dict) else {key: float(value)}
    return found


def _draw(parameters: PopulationParameters, rng: Random) -> None:
    venue, count = small_venue(), min(parameters.accounts, 40)
    try:
        population = population_events(
            venue.rules, [market.symbol for market in venue.markets], 10**6, replace(parameters, accounts=count), [1_200_000, 16_000], 1, 0
        )
    except PopulationError:
        return
    events = population.events
    amounts = events["amount"][events["kind"] == events["kind"][1]]
    if len(population.account_names) != count or int(amounts.min()) < 1 or sum(amounts.tolist()) > 1 << 61:
        raise Found(f"{len(population.account_names)} accounts with {amounts.min()} to {amounts.max()} atoms")


# The scenario


@cache
def _scenario_trees() -> tuple[dict[str, Any], ...]:
    folder = files("backstop.markets").joinpath("crashes")
    return tuple(tomllib.loads(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")) for name in ("2020-03-12", "2021-05-19"))


def fuzz_scenario(rng: Random, folder: Path) -> bool:
    """Make a scenario file, load it, judge."""
    path = folder / "scenario.toml"
    changes = _written(rng, deepcopy(rng.choice(_scenario_trees())), path)
    try:
        crash = load_scenario(path)
    except ScenarioError as error:
        _check_message(error, path)
        if not changes:
            raise Found(f"a valid file was refused: {error}") from error
        return False
    raw = _plain(path)
    for table, market in zip(raw["markets"], crash.markets, strict=True):
        prices = [Fraction(Decimal(row[1])) for row in table["pins"]]
        times = [pin.time_ns for pin in market.pins]
        if prices != [Fraction(pin.price) for pin in market.pins] or times != sorted(set(times)) or len(times) > PINS_MAX:
            raise Found(f"{market.symbol}: {market.pins}")
        if (times[0], times[-1]) != (crash.start_ns, crash.end_ns):
            raise Found(f"{market.symbol} does not span the scenario")
    if [row[1] for row in raw["depth"]] != [pin.depth_ppm for pin in crash.depth]:
        raise Found(f"depth {crash.depth}")
    return True
