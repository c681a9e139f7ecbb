"""TOML that once ended in a traceback: the venue, a population and a scenario refuse it in one line
that names the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backstop.config import ConfigError, load_venue
from backstop.config.toml import TomlError, parse_toml
from backstop.markets.population import PopulationError, load_parameters
from backstop.markets.scenarios import ScenarioError, load_scenario
from tests.feeds.samples import venue_text
from tests.markets.test_scenarios import GOOD

READERS: list[tuple[Callable[[Path], Any], type[Exception]]] = [
    (load_venue, ConfigError),
    (load_parameters, PopulationError),
    (load_scenario, ScenarioError),
]
TEXTS = {
    "digits": (b"x = " + b"9" * 5_000, "not TOML"),
    "hexadecimal": (b"[a]\nb = [1, 0x" + b"f" * 5_000 + b"]", "a.b[1]: a whole number beyond 64 bits"),
    "sixty-five bits": (b"x = 9223372036854775808", "x: a whole number beyond 64 bits"),
    "lists": (b"x = " + b"[" * 3_000, "too deep"),
    "latin-1": ("x = 'ü'".encode("latin-1"), "must be UTF-8 text: byte 5 is not"),
    "open": (b"x = [1, ", "not TOML"),
}


@pytest.mark.parametrize(("load", "error"), READERS, ids=["venue", "population", "scenario"])
@pytest.mark.parametrize("case", TEXTS)
def test_it_is_refused_by_every_reader(tmp_path: Path, load: Callable[[Path], Any], error: type[Exception], case: str) -> None:
    content, expected = TEXTS[case]
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_exponent_beyond_any_use(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_text(venue_text().replace('price_max = "1000000"', f"price_max = 1e{'9' * 30}"))
    with pytest.raises(ConfigError, match="a number has an exponent beyond any use"):
        load_venue(path)


def test_whole_numbers_of_64_bits_are_toml() -> None:
    assert parse_toml("x = [-9223372036854775808, 9223372036854775807]") == {"x": [-(1 << 63), (1 << 63) - 1]}
    with pytest.raises(TomlError, match=r"x\[0\]: a whole number beyond 64 bits"):
        parse_toml("x = [-9223372036854775809]")


def test_a_text_of_many_lines_is_quoted_in_one(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_text(venue_text().replace('name = "USDT"', 'name = "a\\nb"'))
    with pytest.raises(ConfigError) as caught:
        load_venue(path)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())
    assert r'asset.name = "a\nb"' in str(caught.value)


@pytest.mark.parametrize("source", ["{ a = 1 }", "[1]", "5"])
def test_a_source_of_a_pin_that_is_no_text(tmp_path: Path, source: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(GOOD.replace('"100.5", "here"', f'"100.5", {source}'))
    with pytest.raises(ScenarioError, match=r"pins\[0\]: source .*: must be one of here"):
        load_scenario(path)


def test_a_symbol_without_end_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_text(venue_text().replace('symbol = "BTC/USDT:USDT"', f'symbol = "{"B" * 70_000}"\ncolor = "red"'))
    with pytest.raises(ConfigError) as caught:
        load_venue(path)
    assert "market[0].color" in str(caught.value)
    assert all(len(line) < 2_000 for line in str(caught.value).splitlines())
