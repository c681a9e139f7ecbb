"""A print on next to no volume, with and without the price guard: made up here, and recorded where
the data is at hand.
"""

from __future__ import annotations

import subprocess
import sys
from os import environ
from pathlib import Path

import pytest

from backstop.config import default_text, parse_venue
from benchmarks.crash_variants import variant_of, without_guard
from benchmarks.crashes import data_folder
from benchmarks.outage_print import DISTANCES, END, FILE, LATER, PAGE, ROOT, Outcome, case_at, outcomes_of, page, run
from tests.feeds.samples import BTC, write

#: A minute of 0.02 coins that closes 15 % lower, and one on as little that comes back.
BARS = (
    "time,market,timeframe,open,high,low,close,volume\n"
    f"2020-01-01T00:00:00Z,{BTC},1m,5000,5000,4250,4250,{{thin}}\n"
    f"2020-01-01T00:01:00Z,{BTC},1m,4250,5000,4240,5000,{{thin}}\n"
)


def made_up(tmp_path: Path, volume: str, guard: bool) -> Outcome:
    venue = parse_venue(default_text())
    venue = venue if guard else variant_of(venue, without_guard, "no guard")
    bars = write(tmp_path / "bars.csv", BARS.format(thin=volume))
    return run(case_at(venue, bars, tmp_path, 5000, "2020-01-01T00:00:00Z", "2020-01-01T00:02:00Z"))


def test_without_a_guard_everyone_falls(tmp_path: Path) -> None:
    outcome = made_up(tmp_path, "0.02", guard=False)
    assert outcome.fallen == (len(DISTANCES), 0)
    assert outcome.result.tally.guard.episodes == 0
    assert outcome.result.conservation.holds


def test_with_the_guard_nobody_falls_and_the_reason_is_told(tmp_path: Path) -> None:
    outcome = made_up(tmp_path, "0.02", guard=True)
    assert outcome.fallen == (0, 0)
    assert outcome.result.tally.defaults == 0
    (case,) = outcome.result.as_json()["guard"]["listed"]
    assert (case["price"], case["mark"], case["move_ppm"], case["volume"], case["ended"]) == ("4250", "5000", 150_000, "0.02", "dropped")
    assert "15.00 % from the mark 5000 on a volume of 0.02: held, as 10 % or more on less than 100 is" in case["why"]


def test_the_same_print_on_volume_is_believed(tmp_path: Path) -> None:
    outcome = made_up(tmp_path, "2500", guard=True)
    assert outcome.fallen == (len(DISTANCES), 0)
    assert outcome.result.tally.guard.episodes == 0


@pytest.mark.parametrize("distances", [(149,), (151,)])
def test_a_trigger_lies_where_it_is_said_to(tmp_path: Path, distances: tuple[int, ...]) -> None:
    venue = variant_of(parse_venue(default_text()), without_guard, "no guard")
    bars = write(tmp_path / "bars.csv", BARS.format(thin="1"))
    case = case_at(venue, bars, tmp_path, 5000, "2020-01-01T00:00:00Z", "2020-01-01T00:01:00Z", distances)
    assert run(case).result.tally.defaults == int(distances[0] < 150)


def test_where_the_data_is_absent_that_is_said() -> None:
    environment = {name: value for name, value in environ.items() if name != "BACKSTOP_DATA"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.outage_print"], capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "is absent: BACKSTOP_DATA must name the folder" in done.stdout


@pytest.mark.realdata
def test_the_recorded_print(tmp_path: Path) -> None:
    data = data_folder()
    if data is None or not (data / FILE).is_file():
        pytest.skip(f"{FILE} is absent: BACKSTOP_DATA names the folder of recorded data")
    short = outcomes_of(data, END, tmp_path)
    assert short["off"].fallen[0] > 0
    assert short["on"].result.tally.defaults == 0
    reason = short["on"].result.tally.guard.held[0].why(short["on"].result.venue)
    assert "15.55 % from the mark 4322 on a volume of 0.007: held" in reason
    assert PAGE.read_text(encoding="utf-8") == page(short, outcomes_of(data, LATER, tmp_path), parse_venue(default_text()))
