"""``backstop config diff``: the PARAMETER events from one venue file to another, driven through the engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.config import span_text
from backstop.cli.exits import FAILED, FINDING, OK
from backstop.config import default_text, parse_venue
from backstop.config.changes import way_between
from backstop.core.engine import step
from backstop.core.events import EffectKind, EventKind
from backstop.core.rules_in_force import rules_in_force
from backstop.core.state import new_state
from backstop.reference.records import Event, effects_list, events_array

runner = CliRunner()

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


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


def _last_market(symbol: str) -> str:
    """Return the section of the bundled file's last market, for another symbol."""
    section = default_text()[default_text().rindex("[[market]]") :]
    return section.replace("AAVE/USDT:USDT", symbol)


def _without_market(symbol: str) -> tuple[str, str]:
    """Return the section of a market, and nothing in its place."""
    text = default_text()
    start = text.index(f'[[market]]\nsymbol = "{symbol}"')
    end = text.find("[[market]]", start + 1)
    return text[start:] if end < 0 else text[start:end], ""


LAST_TIER = "    { floor = 230_000_000, initial_rate_ppm = 200_000, maintenance_rate_ppm = 100_000 },\n"
CAPPED, OPEN = "{ floor = 100_000_000, cap = 230_000_000,", "{ floor = 100_000_000,"


@pytest.mark.parametrize(
    ("replaced", "others"),
    [
        (
            [(_last_market("AAVE/USDT:USDT"), _last_market("AAVE/USDT:USDT") + "\n" + _last_market("LINK/USDT:USDT"))],
            [
                "market[10] (LINK/USDT:USDT): only the new file has it. A market that is to be listed needs a spare place"
                " (`listed = false`) in the file that the venue started with"
            ],
        ),
        (
            [_without_market("AAVE/USDT:USDT")],
            [
                "market[9] (AAVE/USDT:USDT): only the old file has it. A SETTLEMENT event ends a market,"
                " and its place stays: keep it in the new file"
            ],
        ),
        (
            [(LAST_TIER, ""), (CAPPED, OPEN)],
            [
                "market[0].tiers (BTC/USDT:USDT): 8 in the old file, 7 in the new."
                " Their number stays: where fewer are needed, give several the same rates"
            ],
        ),
        ([("AAVE/USDT:USDT", "LINK/USDT:USDT")], ["market[9].symbol: AAVE/USDT:USDT becomes LINK/USDT:USDT"]),
        (
            [('name = "provider:lattice"', 'name = "provider:grid"')],
            ["providers: provider:meridian, provider:lattice, provider:vault become provider:meridian, provider:grid, provider:vault"],
        ),
        (
            [('[[group]]\nname = "alts"', '[[group]]\nname = "new"\nopening_balance = "1"\n\n[[group]]\nname = "alts"')],
            ["market groups: majors, alts become majors, new, alts"],
        ),
    ],
)
def test_what_only_one_file_has_is_named(tmp_path: Path, replaced: list[tuple[str, str]], others: list[str]) -> None:
    """Beside it every other difference is told as ever."""
    files = _files(tmp_path, *replaced, (_line("fee_ppm"), "fee_ppm = 7000"))
    result = runner.invoke(app, ["config", "diff", *files])
    assert result.exit_code == FINDING
    assert result.stdout == "the rule closeout.fee_ppm becomes 7000 ppm\n"
    said = [line for line in result.stderr.splitlines() if line.startswith("no event changes this: ")]
    assert said == [f"no event changes this: {other}" for other in others]


def test_a_market_in_the_place_of_another_is_not_compared_with_it(tmp_path: Path) -> None:
    """Rules of SOL are no changes of ETH, where ETH was taken out before it."""
    result = runner.invoke(app, ["config", "diff", *_files(tmp_path, _without_market("ETH/USDT:USDT"))])
    assert (result.exit_code, result.stdout) == (FINDING, "")
    lines = result.stderr.splitlines()
    assert lines[0] == "no event changes this: market[1].symbol: ETH/USDT:USDT becomes SOL/USDT:USDT"
    assert len(lines) == 9
    assert all(line.startswith("no event changes this: market[") for line in lines)


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


def test_a_market_that_takes_a_spare_place_is_named_throughout() -> None:
    """Under one name, with a note that says whose place it is; numbers are in its own grid."""
    files = [str(EXAMPLES / f"venue-{name}.toml") for name in ("spare", "link")]
    told = runner.invoke(app, ["config", "diff", *files])
    assert told.exit_code == OK, told.output
    assert told.stderr == "note: market[1]: LINK/USDT:USDT takes the spare place SPARE/USDT:USDT\n"
    assert "SPARE" not in told.stdout
    assert told.stdout.splitlines()[-1] == "LINK/USDT:USDT is to be listed"
    said = json.loads(runner.invoke(app, ["config", "diff", *files, "--json"]).stdout)
    assert said["renamed"] == [{"market": 1, "old": "SPARE/USDT:USDT", "new": "LINK/USDT:USDT"}]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(3_940 * 10**9, "1h5m40s"), (30 * 10**9, "30s"), (3_600 * 10**9, "1h"), (3_601 * 10**9, "1h1s"), (1_500_000_000, "1500ms"), (0, "0h")],
)
def test_a_span_of_time_is_told_in_the_units_that_it_needs(nanoseconds: int, text: str) -> None:
    assert span_text(nanoseconds) == text
