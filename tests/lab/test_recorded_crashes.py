"""Recorded crashes: their stored figures make the reference page, and the smallest is run again where its data is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.crashes import CRASHES, PAGE, RESULTS, Crash, data_folder, import_crash, is_sound, run_crash
from benchmarks.crashes_page import page

SMALLEST = next(crash for crash in CRASHES if crash.name == "2021-05-19")


def test_the_committed_page_is_written_from_the_stored_figures() -> None:
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert list(stored) == [f"{crash.name}, impact {impact}" for crash in CRASHES for impact in ("off", "on")]
    assert all(is_sound(run) for run in stored.values())
    assert PAGE.read_text(encoding="utf-8") == page(stored)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.name)
def test_the_venue_of_a_crash_is_the_one_of_its_figures(crash: Crash) -> None:
    venue = crash.load_venue()
    assert venue.warnings == ()
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert stored[f"{crash.name}, impact off"]["venue_hash"] == venue.hash


@pytest.mark.realdata
@pytest.mark.parametrize("impact", [False, True], ids=["impact off", "impact on"])
def test_recorded_crash_ends_in_the_stored_digest(impact: bool, tmp_path: Path) -> None:
    data = data_folder()
    if data is None or not (data / SMALLEST.file).is_file():
        pytest.skip(f"{SMALLEST.file} is not there: BACKSTOP_DATA names the folder of recorded data")
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))[f"{SMALLEST.name}, impact {'on' if impact else 'off'}"]
    run = run_crash(import_crash(SMALLEST, data, tmp_path), impact, tmp_path)
    assert is_sound(run)
    assert {name: run[name] for name in ("venue_hash", "defaults", "fund_paid", "digest")} == {
        name: stored[name] for name in ("venue_hash", "defaults", "fund_paid", "digest")
    }
