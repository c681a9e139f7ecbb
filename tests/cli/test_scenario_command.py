"""``backstop scenario`` as a person calls it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, OK, USAGE
from backstop.markets import scenarios
from backstop.markets.scenarios import ScenarioError, scenario, scenario_names

runner = CliRunner()


def test_the_list_names_every_bundled_crash() -> None:
    said = runner.invoke(app, ["scenario", "list"])
    assert said.exit_code == OK, said.output
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(scenario_names())
    assert "2025-10-10 20:00 to 2025-10-10 23:00" in lines[-1]
    assert "45 assumed" in lines[-1]
    assert "20 bitmex_1m" in lines[2]


def test_the_list_as_an_object() -> None:
    said = runner.invoke(app, ["scenario", "list", "--json"])
    assert said.exit_code == OK, said.output
    found = json.loads(said.stdout)["scenarios"]
    assert [each["id"] for each in found] == list(scenario_names())
    for each in found:
        assert sum(each["pins_by_source"].values()) == each["pins"]
        assert set(each) == {"id", "title", "start", "end", "markets", "pins", "depth_pins", "pins_by_source"}


@pytest.mark.parametrize("name", scenario_names())
def test_show_prints_every_pin_with_its_source(name: str) -> None:
    said = runner.invoke(app, ["scenario", "show", name])
    assert said.exit_code == OK, said.output
    crash, lines = scenario(name), [line.split() for line in said.stdout.splitlines()]
    for market in crash.markets:
        assert [market.symbol] in lines
        for pin in market.pins:
            assert any(line[1:3] == [str(pin.price), pin.source] and line[3:] == pin.what.split() for line in lines if len(line) > 3)
    assert all(f"  {key}: {what}" in said.stdout for key, what in crash.sources.items())
    for words in ("Brownian bridge", "0.25 of its move", "50,000 accounts, 62 % of them long"):
        assert words in said.stdout


@pytest.mark.parametrize("name", scenario_names())
def test_the_object_of_show_is_the_file(name: str) -> None:
    said = runner.invoke(app, ["scenario", "show", name, "--json"])
    assert said.exit_code == OK, said.output
    values, crash = json.loads(said.stdout), scenario(name)
    held = [(market["market"], pin["price"], pin["source"], pin["what"]) for market in values["prices"] for pin in market["pins"]]
    assert held == [(market.symbol, str(pin.price), pin.source, pin.what) for market in crash.markets for pin in market.pins]
    assert [pin["depth_ppm"] for pin in values["depth"]] == [pin.depth_ppm for pin in crash.depth]
    assert values["sources"] == crash.sources
    assert values["path"]["roughness"] == 0.25
    assert values["population"]["accounts"] == 50_000


def test_an_unknown_scenario_exits_with_2_and_names_those_there_are() -> None:
    said = runner.invoke(app, ["scenario", "show", "1929-10-24"])
    assert said.exit_code == USAGE
    assert "must be one of 2020-03-12, 2021-05-19, 2025-10-10" in " ".join(said.stderr.replace("│", " ").split())


def test_a_bundled_file_that_was_spoilt_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(name: str) -> None:
        raise ScenarioError(f"{name}.toml: title: missing")

    monkeypatch.setattr(scenarios, "scenario", spoilt)
    said = runner.invoke(app, ["scenario", "list"])
    assert said.exit_code == FAILED
    assert "error: 2020-03-12.toml: title: missing" in said.stderr


def test_a_title_that_begins_with_the_name_is_told_once() -> None:
    heads = {name: runner.invoke(app, ["scenario", "show", name]).stdout.splitlines()[0] for name in scenario_names()}
    assert heads["2025-10-10"] == "scenario    2025-10-10: tariff news, 19 billion dollars liquidated in a night"
    assert heads["2021-05-19"] == "scenario    2021-05-19: The crash of 2021-05-19"
