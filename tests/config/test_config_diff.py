"""``backstop config diff``: the PARAMETER events from one venue file to another, driven through the engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, FINDING, OK
from backstop.config import default_text, parse_venue
from backstop.config.changes import way_between
from backstop.core.engine import step
from backstop.core.events import EffectKind, EventKind
from backstop.core.rules_in_force import rules_in_force
from backstop.core.state import new_state
from backstop.reference.records import Event, effects_list, events_array

runner = CliRunner()


def _files(tmp_path: Path, *replaced: tuple[str, str]) -> list[str]:
    text = default_text()
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new, 1)
    paths = tmp_path / "old.toml", tmp_path / "new.toml"
    for path, content in zip(paths, (default_text(), text), strict=True):
        path.write_text(content, encoding="utf-8")
    return [str(path) for path in paths]


def _line(key: str) -> str:
    """Return the line of the bundled file that sets a key."""
    return next(line for line in default_text().splitlines() if line.split("=")[0].strip() == key)


def test_the_same_file_twice_needs_nothing(tmp_path: Path) -> None:
    result = runner.invoke(app, ["config", "diff", *_files(tmp_path)])
    assert (result.exit_code, result.stdout) == (OK, "")
    assert result.stderr == "note: the two files have the same rules\n"


def test_each_rule_that_differs_is_one_event(tmp_path: Path) -> None:
    files = _files(tmp_path, (_line("fee_ppm"), "fee_ppm = 7000"), (_line("order_timeout"), 'order_timeout = "11s"'))
    result = runner.invoke(app, ["config", "diff", *files])
    assert result.exit_code == OK
    assert result.stdout.splitlines() == [
        "the rule closeout.fee_ppm becomes 7000 ppm",
        "the rule closeout.order_timeout_ns becomes 11s",
    ]
    listed = json.loads(runner.invoke(app, ["config", "diff", *files, "--json"]).stdout)
    assert [(each["rule"], each["number"], each["value"]) for each in listed["changes"]] == [
        ("closeout.fee_ppm", 201, 7_000),
        ("closeout.order_timeout_ns", 206, 11_000_000_000),
    ]
    assert listed["is_whole"] is True


def test_what_is_fixed_is_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    files = _files(tmp_path, (_line("cap_interval"), 'cap_interval = "61s"'), (_line("fee_ppm"), "fee_ppm = 7000"))
    result = runner.invoke(app, ["config", "diff", *files])
    assert result.exit_code == FINDING
    assert result.stdout == "the rule closeout.fee_ppm becomes 7000 ppm\n"
    assert result.stderr == "fixed while a venue runs: the rule closeout.cap_interval_ns becomes 61s\n"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert runner.invoke(app, ["config", "diff", str(tmp_path / "a.toml"), str(tmp_path / "b.toml")]).exit_code == FAILED


@pytest.mark.parametrize(("warning", "buffer"), [("2.5", "0.9"), ("1.01", "0.005")])
def test_the_order_lets_each_step_hold_and_the_engine_arrives(warning: str, buffer: str) -> None:
    """Warning level and exit buffer hold each other: one of them has to move first, up or down."""
    old = parse_venue(default_text())
    text = default_text().replace(_line("warning_ratio"), f'warning_ratio = "{warning}"')
    new = parse_venue(text.replace(_line("exit_buffer"), f'exit_buffer = "{buffer}"'))
    way = way_between(old, new)
    assert way.is_whole
    assert len(way.steps) == 2
    state = new_state(old.rules)
    for place, change in enumerate(way.steps):
        event = Event(
            place, 1, EventKind.PARAMETER, change.rule.number, change.market, other=change.entry, lots=change.part, amount=change.new_value
        )
        step(state, events_array([event]), 0)
    told = effects_list(state.effects[: int(state.engine[0].effects_now)])
    assert [effect.kind for effect in told] == [EffectKind.PARAMETER] * 2
    assert rules_in_force(old.rules, state) == new.rules
