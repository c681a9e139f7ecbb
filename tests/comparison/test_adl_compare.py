"""One wave under every policy: a budget shared over a table, and an event of a journal run
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, FINDING, OK, USAGE
from backstop.comparison import compare as adl_compare
from backstop.comparison.budget import read_budget_table
from backstop.comparison.compare import Comparison, NoWaveError, Outcome, compare_table, compare_wave, waves_of
from backstop.comparison.picture import PictureError, concentration, draw_comparison, largest_payers
from backstop.core.events import AdlClass, AdlPolicy, EffectKind
from backstop.core.waterfall.certificate import is_crossing, plan_starts
from backstop.feeds.errors import FeedError
from backstop.journal import JournalDamaged
from backstop.runs import history
from tests.feeds.samples import write
from tests.journal import runs

runner = CliRunner()
DOLLAR = 10**6


def by_policy(comparison: Comparison) -> dict[AdlPolicy, Outcome]:
    return {outcome.policy: outcome for outcome in comparison.outcomes}


def dollars(outcome: Outcome) -> dict[str, float]:
    return {name: part / DOLLAR for name, part in outcome.parts.items()}


# A table


def test_the_papers_example_of_queue_and_pro_rata(tmp_path: Path) -> None:
    """Profits 8, 4 and 0.5, budget 7.5, queue order 2, 1, 3: haircuts 0.4375, 1, 0; in proportion
    0.6 each (arXiv 2512.01112).
    """
    path = write(tmp_path / "winners.csv", "account,weight,cap,score\none,8,8,2\ntwo,4,4,3\nthree,0.5,0.5,1\n")
    comparison = compare_table(read_budget_table(path), 15 * DOLLAR // 2)
    assert comparison.is_sound
    outcomes = by_policy(comparison)
    assert dollars(outcomes[AdlPolicy.QUEUE]) == {"one": 0.4375 * 8, "two": 4}
    assert dollars(outcomes[AdlPolicy.CAPPED_PRO_RATA]) == {"one": 4.8, "two": 2.4, "three": 0.3}
    assert outcomes[AdlPolicy.QUEUE].largest == ("two", 4 * DOLLAR)
    assert comparison.candidates == 3


def test_each_policy_weighs_its_own_column(tmp_path: Path) -> None:
    text = "account,weight,cap,score,size,leverage\na,6,100,-1,1,20\nb,3,100,-2.5,1,10\nc,1,100,-3,2,5\nd,5,0,9,5,5\n"
    outcomes = by_policy(compare_table(read_budget_table(write(tmp_path / "table.csv", text)), 40 * DOLLAR))
    assert dollars(outcomes[AdlPolicy.CAPPED_PRO_RATA]) == {"a": 24, "b": 12, "c": 4}
    assert dollars(outcomes[AdlPolicy.PRO_RATA]) == {"a": 10, "b": 10, "c": 20}
    assert dollars(outcomes[AdlPolicy.RISK_AWARE]) == {"a": 20, "b": 10, "c": 10}
    assert dollars(outcomes[AdlPolicy.QUEUE]) == {"a": 40}
    assert len(outcomes[AdlPolicy.RANDOM].parts) == 1
    # Equities 0.05, 0.1 and 0.4: levelled to (4 - 40) / 0.55 = -65.45 together.
    assert dollars(outcomes[AdlPolicy.WATER_FILLING]) == pytest.approx(
        {"a": 1 + 3.6 / 1.1, "b": 1 + 7.2 / 1.1, "c": 2 + 28.8 / 1.1}, abs=1e-6
    )


def test_leverage_is_levelled_from_the_top(tmp_path: Path) -> None:
    """Equities 100, 200, 300 with leverage 10, 5, 3: of 800 they give 600, 200 and 0, to a level of 4."""
    text = "account,weight,cap,size,leverage\na,1,1000,1000,10\nb,1,1000,1000,5\nc,1,900,900,3\n"
    outcomes = by_policy(compare_table(read_budget_table(write(tmp_path / "table.csv", text)), 800 * DOLLAR))
    assert dollars(outcomes[AdlPolicy.WATER_FILLING]) == {"a": 600, "b": 200}
    assert not outcomes[AdlPolicy.WATER_FILLING].findings


def test_the_draw_changes_with_seq_and_reaches_everyone(tmp_path: Path) -> None:
    table = read_budget_table(write(tmp_path / "table.csv", "account,weight,cap\n" + "".join(f"p{n},1,1\n" for n in range(6))))
    drawn = {next(iter(by_policy(compare_table(table, DOLLAR, seq))[AdlPolicy.RANDOM].parts)) for seq in range(60)}
    assert drawn == set(table.names)


def test_what_stands_in_for_a_missing_column_is_said(tmp_path: Path) -> None:
    table = read_budget_table(write(tmp_path / "table.csv", "account,weight,cap\na,1.0000005,1.0000005\nb,1,1\n"))
    assert table.weights.tolist() == [1_000_001, 1_000_000]
    assert table.caps.tolist() == [1_000_000, 1_000_000]
    notes = compare_table(table, DOLLAR).notes
    assert notes[0] == "2 values rounded to 0.000001 USD"
    assert [note.split(":")[0] for note in notes[1:]] == ["queue", "pro_rata", "risk_aware", "water_filling"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("account,weight\na,1\n", "column cap is missing"),
        ("account,weight,cap\n", "has no rows of data"),
        ("account,weight,cap\na,1,1\na,1,1\n", "line 3, column account: 'a' stands twice"),
        ("account,weight,cap\na,1,1\n,1,1\n", "line 3, column account: is missing"),
        ("account,weight,cap\na,0,1\n", "line 2, column weight: is zero: must be above 0 where the cap is"),
        ("account,weight,cap\na,1,-1\n", "line 2, column cap: '-1' is negative"),
        ("account,weight,cap\na,x,1\n", "line 2, column weight: 'x' is no number"),
        ("account,weight,cap,size\na,1,1,0\n", "line 2, column size: is zero"),
    ],
)
def test_a_table_that_cannot_be_shared_over_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError) as refused:
        read_budget_table(write(tmp_path / "table.csv", text))
    assert said in str(refused.value)


def test_budget_beyond_the_caps_or_weights_beyond_the_engine_are_refused(tmp_path: Path) -> None:
    table = read_budget_table(write(tmp_path / "table.csv", "account,weight,cap,size,leverage\na,1,2,100000,1000000\nb,1,2,1,1\n"))
    for budget in (0, 4 * DOLLAR + 1):
        with pytest.raises(NoWaveError, match="must be 1 to 4000000"):
            compare_table(table, budget)
    assert compare_table(table, 4 * DOLLAR).is_sound
    huge = read_budget_table(write(tmp_path / "huge.csv", "account,weight,cap,size,leverage\na,1,2,1000000000,1000000\nb,1,2,1,1\n"))
    with pytest.raises(NoWaveError, match="risk_aware: the weights sum to more"):
        compare_table(huge, DOLLAR)


# A journal


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write(tmp_path_factory.mktemp("wave") / "journal.db")


def test_waves_are_those_that_the_journal_recorded(journal: Path) -> None:
    effects = np.concatenate([chunk.effects for chunk in runs.crash()])
    # Defaulters that are crossed with each other ask nobody.
    plans = effects[[place for place in plan_starts(effects) if not is_crossing(effects, place)]]
    waves = waves_of(journal)
    assert [wave.seq for wave in waves] == sorted(set(plans["seq"].tolist()))
    assert sum(wave.plans for wave in waves) == len(plans) > 1


def test_a_wave_of_a_journal_under_every_policy(journal: Path) -> None:
    """The recorded policy gives what the journal has; each gives its budget to the atom, with a
    sound certificate.
    """
    comparison = compare_wave(journal)
    largest = max(waves_of(journal), key=lambda wave: wave.notional)
    assert f"seq {largest.seq}" in comparison.title
    assert comparison.is_sound
    outcomes = by_policy(comparison)
    assert set(outcomes) == set(AdlPolicy)
    recorded = outcomes[AdlPolicy.CAPPED_PRO_RATA]
    assert (recorded.budget, recorded.plans) == (largest.notional, largest.plans)
    effects = np.concatenate([chunk.effects for chunk in runs.crash()])
    is_asked = (effects["kind"] == EffectKind.ADL_FILL) & (effects["code"] != AdlClass.CROSSED)
    fills = effects[is_asked & (effects["seq"] == largest.seq) & (effects["account"] >= 0)]
    named = {f"trader-{account}" for account in fills["account"].tolist()}
    assert named == {name for name in recorded.parts if name.startswith("trader")}
    assert len(outcomes[AdlPolicy.QUEUE].parts) < len(recorded.parts)
    for outcome in comparison.outcomes:
        assert sum(outcome.parts.values()) == outcome.budget
    assert not any("differ" in note for note in comparison.notes)


def test_what_counterparties_pay_beyond_mark_is_the_deficit(journal: Path) -> None:
    """One insolvent account's wave: all policies bring the same money, as they bring the same
    lots.
    """
    comparison = compare_wave(journal, waves_of(journal)[0].seq)
    budgets = {(outcome.budget, outcome.plans) for outcome in comparison.outcomes}
    assert len(budgets) == 1
    assert {sum(outcome.paid.values()) for outcome in comparison.outcomes if outcome.plans} != {0}


def test_a_journal_without_that_wave_is_refused(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(NoWaveError, match=r"nobody was deleveraged at seq 3: near it are \d+"):
        compare_wave(journal, 3)
    quiet = runs.write(tmp_path / "quiet.db", runs.crash()[:1])
    with pytest.raises(NoWaveError, match="nobody was deleveraged in this journal"):
        compare_wave(quiet)
    runs.change(quiet, ("UPDATE batches SET effects = zeroblob(length(effects)) WHERE number = 1", ()))
    with pytest.raises(JournalDamaged):
        compare_wave(quiet)


def test_an_unsound_allocation_is_reported(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planner that gave a lot too many would be found out: exit code 4, and the finding
    printed.
    """
    right: Callable[..., Any] = history.apply_events

    def wrong(*arguments: Any) -> Any:
        effects = right(*arguments)
        first = int(np.argmax(effects["kind"] == EffectKind.ADL_FILL))
        effects["lots"][first] += np.sign(effects["lots"][first])
        return effects

    monkeypatch.setattr(adl_compare, "apply_events", wrong)
    monkeypatch.setattr("backstop.cli.adl.warm_up", lambda: 0.0)
    assert not compare_wave(journal).is_sound
    result = runner.invoke(app, ["adl", "compare", "--journal", str(journal)])
    assert result.exit_code == FINDING
    assert "found  LOTS: " in result.output
    assert "run backstop journal verify" in result.output


# The command and the picture


def test_the_command_prints_a_table_or_an_object(tmp_path: Path) -> None:
    path = write(tmp_path / "winners.csv", "account,weight,cap\none,8,8\ntwo,4,4\n" + f"{'x' * 40},0.5,0.5\n")
    shown = runner.invoke(app, ["adl", "compare", "--table", str(path), "--budget", "7.5", "--asset", "USDC"])
    assert shown.exit_code == OK
    assert "capped_pro_rata one 64.00 %, two 32.00 %, xxxxxxxx…xxxxxx 4.00 %" in shown.output
    assert "7.500000" in shown.output
    told = runner.invoke(app, ["adl", "compare", "--table", str(path), "--budget", "7.5", "--json"])
    values = json.loads(told.stdout)
    assert values["sound"] is True
    policies = {each["policy"]: each for each in values["policies"]}
    assert policies["capped_pro_rata"]["parts"][0] == {"name": "one", "part": "4.800000", "paid": "4.800000"}
    assert policies["queue"]["largest"] == {"name": "one", "share": 1.0}
    assert {each["given"] for each in values["policies"]} == {"7.500000"}


def test_the_command_runs_a_wave_again_and_draws_it(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstop.cli.adl.warm_up", lambda: 0.0)
    picture = tmp_path / "wave.svg"
    result = runner.invoke(app, ["adl", "compare", "--journal", str(journal), "--plot", str(picture)])
    assert result.exit_code == OK, result.output
    assert "note  recorded under capped_pro_rata" in result.output
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")
    assert "trader-19" in drawn


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], USAGE, "give either --journal, or --table and --budget"),
        (["--table", "t.csv"], USAGE, "--table and --budget go together"),
        (["--table", "t.csv", "--budget", "x"], USAGE, "is no number"),
        (["--table", "t.csv", "--budget", "0.0000001"], USAGE, "is not a whole number of steps"),
        (["--table", "t.csv", "--budget", "9"], FAILED, "must be 1 to 5000000"),
        (["--table", "absent.csv", "--budget", "9"], FAILED, "is not there"),
        (["--table", "t.csv", "--budget", "2", "--plot", "picture.xyz"], FAILED, "picture.xyz"),
    ],
)
def test_wrong_usage_and_refusals(arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.csv", "account,weight,cap\na,1,2\nb,1,3\n")
    result = runner.invoke(app, ["adl", "compare", *arguments])
    assert result.exit_code == code
    assert said in result.output


def test_a_picture_without_matplotlib_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = read_budget_table(write(tmp_path / "t.csv", "account,weight,cap\na,1,2\nb,1,3\n"))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(PictureError, match=r"backstop-liquidator\[plot\]"):
        draw_comparison(compare_table(table, DOLLAR), tmp_path / "t.png")


def test_curves_and_names_of_the_picture(tmp_path: Path) -> None:
    table = read_budget_table(write(tmp_path / "t.csv", "account,weight,cap\na,1,9\nb,3,9\nc,1,9\n"))
    comparison = compare_table(table, 5 * DOLLAR)
    outcomes = by_policy(comparison)
    assert concentration(outcomes[AdlPolicy.CAPPED_PRO_RATA]) == ([1, 2, 3], [60.0, 80.0, 100.0])
    assert largest_payers(comparison.outcomes, 2)[0] == "b"
    assert set(largest_payers(comparison.outcomes, 9)) == {"a", "b", "c"}


def test_a_name_in_a_picture_is_neither_a_formula_nor_a_command(tmp_path: Path) -> None:
    names = [r"$\nothing{$", "\x1b[31mred", "\u202ebackwards"]
    rows = "".join(f"{name},1,9\n" for name in names)
    comparison = compare_table(read_budget_table(write(tmp_path / "t.csv", f"account,weight,cap\n{rows}")), 5 * DOLLAR)
    draw_comparison(comparison, tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert r"$\nothing{$" in text
    assert r"\x1b[31mred" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
