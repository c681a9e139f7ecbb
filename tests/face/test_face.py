"""``from backstop import Venue, replay``: the command line's numbers, as objects, tables and
plots.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import backstop
from backstop import Run, Venue, replay
from backstop.cli import app
from backstop.config import ConfigError
from backstop.core.events import AdlClass, EffectKind
from backstop.journal import JournalError
from backstop.journal.verify import verify
from tests.cli.test_replay_command import POPULATION
from tests.feeds.samples import BTC, ETH, SECOND, START, venue_text, write

#: What depends on the clock or on where the journal lies.
_OWN = ("engine_seconds", "seconds", "journal", "compile_seconds", "scenario")


def files(folder: Path) -> dict[str, Any]:
    """A crash in files, with a venue that uses book, fund and ADL."""
    marks = [(0, 100_000), (1, 99_000), *[(second, 80_000) for second in range(2, 100)]]
    longs = "".join(f"long{number},o{number},{BTC},1,100000\n" for number in range(10))
    cash = "".join(f"long{number},USDT,10000\n" for number in range(10))
    return {
        "venue": write(folder / "venue.toml", venue_text("30000", 'account_notional_max = "40000"')),
        "prices": write(folder / "p.csv", "time,market,mark\n" + "\n".join(f"{START + at * SECOND},{BTC},{mark}" for at, mark in marks)),
        "accounts": write(folder / "a.csv", f"account,owner,market,quantity,entry_price\n{longs}short,rich,{BTC},-10,100000\n"),
        "collateral": write(folder / "c.csv", f"account,asset,amount\n{cash}short,USDT,5000000\n"),
    }


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return replay(**files(tmp_path_factory.mktemp("face")))


def own(values: dict[str, Any]) -> dict[str, Any]:
    """Return what two runs of the same files in different folders must share."""
    values = json.loads(json.dumps(values))
    values["feeds"]["prices"]["files"] = [Path(name).name for name in values["feeds"]["prices"]["files"]]
    return {key: value for key, value in values.items() if key not in _OWN}


def test_it_agrees_with_the_command_line(crash: Run, tmp_path: Path) -> None:
    given = files(tmp_path)
    words = [word for name, path in given.items() for word in (f"--{name}", str(path))]
    printed = CliRunner().invoke(app, ["replay", *words, "--json"])
    assert printed.exit_code == 0, printed.output
    told = json.loads(printed.stdout)
    assert own(told) == own(crash.as_json())
    assert crash.digest == told["digest"]


def test_a_scenario_agrees_with_the_demo(tmp_path: Path) -> None:
    population = write(tmp_path / "population.toml", POPULATION)
    words = ["demo", "2025-10-10", "--population", str(population), "--out", str(tmp_path / "out"), "--seed", "4", "--json"]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0, printed.output
    run = replay(Venue.bundled(), scenario="2025-10-10", population=population, seed=4)
    assert own(json.loads(printed.stdout)) == own(run.as_json())


def test_the_stages_are_a_table_of_exact_decimals(crash: Run) -> None:
    rows = crash.table().to_pylist()
    assert [row["stage"] for row in rows] == ["restrict", "closeout", "fund", "adl", "tear_up"]
    for row, told in zip(rows, crash.as_json()["stages"], strict=True):
        assert (row["accounts"], f"{row['paid']} USDT", f"{row['notional']} USDT") == (told["accounts"], told["paid"], told["notional"])
    assert sum(row["paid"] for row in rows) == Decimal("100238.080000")


def test_every_other_table_agrees_with_the_counts(crash: Run) -> None:
    defaulters = crash.table("defaulters").to_pylist()
    assert len(defaulters) == crash.result.tally.defaults == 10
    # 10 x 10,000 lost beyond collateral, and 0.1 % of the 237,841.92 closed on the book (closeouts).
    assert sum(row["deficit"] for row in defaulters) == Decimal("100238.08")
    assert {row["name"] for row in defaulters} == {f"long{number}" for number in range(10)}
    (payer,) = crash.table("counterparties").to_pylist()
    assert (payer["name"], f"{payer['paid']} USDT") == ("short", crash.as_json()["stages"][3]["paid"])
    (market,) = crash.table("markets").to_pylist()
    assert (market["market"], market["mark_first"], market["mark_low"], market["mark_last"]) == (BTC, 100_000, 80_000, 80_000)
    before = {row["account"]: row for row in crash.table("ladder_before").to_pylist()}
    # A long of 1 at 100,000 with 10,000: 10,000 + p - 100,000 < 1 % of p below 90,909.09.
    assert before[0]["liquidation_price"] == pytest.approx(90_909.0)
    assert len(before) == 11
    assert crash.table("ladder_after").num_rows <= 1
    assert crash.table("refused").num_rows == 0
    with pytest.raises(KeyError, match="unknown table 'stage': must be one of stages, defaulters"):
        crash.table("stage")


def test_every_column_says_what_it_is(crash: Run) -> None:
    from backstop.face.tables import TABLES

    for name in TABLES:
        schema = crash.table(name).schema
        assert schema.metadata == {b"asset": b"USDT", b"asset_decimals": b"6"}
        assert all(schema.field(column).metadata[b"description"] for column in schema.names), name
    least = crash.table("defaulters").schema.field("equity_least").metadata[b"description"]
    assert least.startswith(b"lowest equity that a change of its health showed")


def test_effects_are_the_journals_rows(crash: Run) -> None:
    table = crash.effects
    rows = np.concatenate([batch.effects for batch in crash.batches()])
    assert table.num_rows == len(rows) == crash.result.tally.effects
    for name in ("seq", "code", "account", "other", "lots", "price_ticks", "amount", "value"):
        assert np.array_equal(table[name].to_numpy(), rows[name])
    assert table["kind"].to_pylist() == [EffectKind(int(kind)).name.lower() for kind in rows["kind"]]
    assert set(table["market"].to_pylist()) == {None, BTC}
    assert table["market"].null_count == int((rows["market"] < 0).sum())
    times = table["time"].to_numpy().astype(np.int64)
    assert (np.diff(times) >= 0).all()
    assert times[-1] <= crash.result.last_ns
    assert table.schema.metadata == {b"asset": b"USDT", b"asset_decimals": b"6"}
    named = {(row["kind"], row["code"], row["code_name"]) for row in table.select(["kind", "code", "code_name"]).to_pylist()}
    assert {("trade", 5, "closeout"), ("posting", 7, "support"), ("health", 4, "insolvent"), ("adl_class", 1, "profitable")} <= named
    assert all(name is None for kind, _, name in named if kind in ("order", "reserve", "restrict"))


def test_effects_of_a_kind_have_its_fields_as_columns(crash: Run) -> None:
    table = crash.effects_of("adl_fill")
    rows = np.concatenate([batch.effects for batch in crash.batches()])
    rows = rows[rows["kind"] == EffectKind.ADL_FILL]
    assert len(rows) > 0
    fields = ["account", "defaulter", "market", "lots", "adl_class", "cash", "cap_lots", "weight"]
    assert table.column_names == ["seq", "time", *fields]
    for name, column in {"seq": "seq", "cap_lots": "price_ticks", "weight": "value", "cash": "amount", "defaulter": "other"}.items():
        assert np.array_equal(table[name].to_numpy(), rows[column])
    assert set(table["market"].to_pylist()) == {BTC}
    assert table["adl_class"].to_pylist() == [AdlClass(int(code)).name.lower() for code in rows["code"]]
    cap = table.schema.field("cap_lots").metadata
    assert cap == {b"unit": b"lots", b"description": b"Most lots that it could have given."}
    every = crash.effects
    assert np.array_equal(table["time"].to_numpy(), every["time"].to_numpy()[np.array(every["kind"].to_pylist()) == "adl_fill"])


def test_each_kind_of_effect_is_a_table(crash: Run) -> None:
    counts = dict(zip(*np.unique(crash.effects["kind"].to_pylist(), return_counts=True), strict=True))
    for kind in EffectKind:
        name = kind.name.lower()
        assert crash.effects_of(name).num_rows == counts.get(name, 0)
    with pytest.raises(KeyError, match="unknown kind 'fill': must be one of refusal, health"):
        crash.effects_of("fill")


def test_effects_come_batch_by_batch(crash: Run) -> None:
    batches = list(crash.effects_reader())
    assert sum(batch.num_rows for batch in batches) == crash.result.tally.effects
    assert len(batches) == crash.result.journal["batches"] if crash.result.journal else False


def test_the_journal_is_kept_where_it_was_asked_for_and_else_goes(tmp_path: Path) -> None:
    given = files(tmp_path)
    kept = replay(**given, journal=tmp_path / "run.db")
    temporary = replay(**given)
    folder = temporary.journal.parent
    assert verify(tmp_path / "run.db").digest == kept.digest == temporary.digest
    assert temporary.journal.exists()
    del temporary
    gc.collect()
    assert not folder.exists()
    with pytest.raises(JournalError, match="exists"):
        replay(**given, journal=tmp_path / "run.db")
    assert replay(**given, journal=tmp_path / "run.db", overwrite=True).digest == kept.digest


def test_a_report_can_be_written(crash: Run, tmp_path: Path) -> None:
    path = crash.report(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    assert crash.digest in text
    assert "&gt;&gt;&gt; replay(venue, prices=" in text
    # Its journal goes with the object, so the page does not name it.
    assert str(crash.journal) not in text
    # It takes its own place again, through a link too, and that of nothing else.
    (tmp_path / "link.html").symlink_to(path)
    path.write_text(text + "older", encoding="utf-8")
    assert crash.report(tmp_path / "link.html") == tmp_path / "link.html"
    assert (path.read_text(encoding="utf-8"), (tmp_path / "link.html").is_symlink()) == (text, True)
    mine, pipe = tmp_path / "venue.toml", tmp_path / "pipe"
    mine.write_text("mine")
    os.mkfifo(pipe)
    for other, words in ((mine, "is no report of backstop"), (pipe, "not a file but a device")):
        with pytest.raises(FileExistsError, match=words):
            crash.report(other)
    assert mine.read_text() == "mine"
    with pytest.raises(IsADirectoryError):
        crash.report(tmp_path)


def test_it_says_what_it_is(crash: Run) -> None:
    assert repr(crash) == f"<Run small: p.csv, impact off: 10 defaults, deficit 100238.080000 USDT, digest {crash.digest[:12]}>"
    lines = str(crash).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[-1].split() == ["deficit", "100238.080000"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either scenario or prices"),
        ({"scenario": "2025-10-10", "prices": "p.csv"}, "either scenario or prices"),
        ({"scenario": "2025-10-11"}, "must be one of 2020-03-12"),
        ({"scenario": "2025-10-10", "accounts": "a.csv"}, "go with prices"),
        ({"prices": "p.csv"}, "either accounts and collateral, or population"),
        ({"prices": "p.csv", "accounts": "a.csv"}, "either accounts and collateral, or population"),
        ({"prices": "p.csv", "population": "x", "start": "soon"}, "soon"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    given = files(tmp_path)
    paths = {name: str(given[name]) if name in given else value for name, value in arguments.items()}
    with pytest.raises(ValueError, match=message):
        replay(given["venue"], **paths)  # type: ignore[arg-type]


def test_a_venue_is_loaded_parsed_or_bundled(tmp_path: Path) -> None:
    path = write(tmp_path / "venue.toml", venue_text())
    assert Venue.load(path).hash == Venue.parse(venue_text()).hash
    assert Venue.load(path).market(ETH) == 1
    assert isinstance(Venue.bundled(), Venue)
    with pytest.raises(ConfigError):
        Venue.parse("venue = 1")
    with pytest.raises(FileNotFoundError, match=r"^venue file `nope\.toml` does not exist$"):
        Venue.load("nope.toml")
    with pytest.raises(IsADirectoryError, match=r"^venue file `.*` is a folder$"):
        Venue.load(tmp_path)


def test_what_the_package_hands_out_is_what_it_says() -> None:
    assert sorted(backstop.__all__) == sorted(["Engine", "Run", "Venue", "__version__", "replay"])
    assert {name for name in backstop.__all__ if hasattr(backstop, name)} == set(backstop.__all__)
    assert set(backstop.__all__) <= set(dir(backstop))
    with pytest.raises(AttributeError, match="no attribute 'reply'"):
        getattr(backstop, "reply")  # noqa: B009


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, backstop; print([name for name in ('numpy', 'numba', 'pyarrow', 'matplotlib', 'pydantic') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the extra `plot` is not installed")


@needs_matplotlib
def test_plots_show_the_runs_numbers(crash: Run, tmp_path: Path) -> None:
    asset = crash.venue.asset
    bars: Any = crash.plot_waterfall().patches
    widths = [Decimal(str(round(bar.get_width(), 6))) for bar in bars]
    paid = [row.paid for row in crash.result.tally.stages()]
    expected = [crash.result.tally.deficit_atoms, *paid, crash.result.tally.uncovered_atoms]
    assert widths == [Decimal(asset.text(atoms)) for atoms in expected]
    bars = crash.plot_closings(BTC).patches
    closed = sum(bar.get_height() for bar in bars)
    assert closed == pytest.approx(sum(row.notional for row in crash.result.tally.stages()) / 10**asset.decimals)
    mark: Any = crash.plot_prices(BTC).lines[0].get_ydata()
    assert (mark[0], min(mark), mark[-1]) == (100_000, 80_000, 80_000)
    fund: Any = crash.plot_fund().lines[0].get_ydata()
    assert (fund[0], fund[-1]) == (30_000, pytest.approx(crash.result.fund_closing_atoms / 10**6))
    drawn: Any = crash.plot_ladder(BTC).figure
    drawn.savefig(tmp_path / "ladder.png")
    assert (tmp_path / "ladder.png").stat().st_size > 5_000


@needs_matplotlib
def test_plots_draw_on_given_axes_and_refuse_markets_without_a_price(crash: Run) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    assert crash.plot_prices(ax=axes) is axes
    with pytest.raises(KeyError, match=f"market {ETH} had no price"):
        crash.plot_prices(ETH)
    with pytest.raises(KeyError, match="unknown market"):
        crash.plot_ladder("BTC")


def test_without_matplotlib_a_plot_says_what_to_install(crash: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"backstop-liquidator\[plot\]"):
        crash.plot_fund()


def test_without_pyarrow_a_table_says_what_to_install(crash: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"backstop-liquidator\[data\]"):
        crash.table()
