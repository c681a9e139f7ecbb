"""Recorded crashes: their stored figures make the reference page, and the smallest is run again
where its data is at hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstop.config import default_text, parse_venue
from backstop.core.events import Stage
from benchmarks.crash_list import CRASHES, Crash
from benchmarks.crash_variants import VARIANTS, Variant
from benchmarks.crashes import PAGE, RESULTS, data_folder, import_crash, is_sound, known_runs, run_crash
from benchmarks.crashes_page import page

SMALLEST = next(crash for crash in CRASHES if crash.name == "2021-05-19")


def test_the_committed_page_is_written_from_the_stored_figures() -> None:
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert list(stored) == known_runs()
    assert all(is_sound(run) for run in stored.values())
    assert PAGE.read_text(encoding="utf-8") == page(stored)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.name)
def test_the_venue_of_a_crash_is_the_one_of_its_figures(crash: Crash) -> None:
    venue = crash.load_venue()
    assert venue.warnings == ()
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert stored[f"{crash.name}, impact off"]["venue_hash"] == venue.hash


def test_a_variant_switches_what_it_says_and_nothing_else() -> None:
    venue = parse_venue(default_text())
    whole, _, alone, unbroken, neither = (variant.venue(venue) for variant in VARIANTS)
    assert whole is venue
    assert Stage.TAKEOVER in venue.rules.stages
    for without in (alone, neither):
        assert (without.providers, without.rules.providers) == ((), ())
        assert without.rules.stages == tuple(stage for stage in venue.rules.stages if stage != Stage.TAKEOVER)
    for without in (unbroken, neither):
        breakers = without.rules.breakers
        assert (breakers.flow_throttle, breakers.flow_halt, breakers.stale_ns, breakers.outage_gap_ns) == (0, 0, 0, 0)
        assert without.rules.fund.drawdown_enter_ppm == 0
        assert all(market.price_throttle_ppm == market.price_halt_ppm == market.price_exit_ppm == 0 for market in without.rules.markets)
    for without, other in ((alone, venue), (neither, unbroken)):
        assert without.rules.markets == other.rules.markets
        assert without.rules.breakers == other.rules.breakers
    guards = [(market.guard_jump_ppm, market.guard_volume_lots) for market in venue.rules.markets]
    assert [(market.guard_jump_ppm, market.guard_volume_lots) for market in neither.rules.markets] == guards
    assert all(jump > 0 and volume > 0 for jump, volume in guards)
    assert unbroken.providers == venue.providers


@pytest.mark.realdata
@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_recorded_crash_ends_in_the_stored_digest(variant: Variant, tmp_path: Path) -> None:
    data = data_folder()
    if data is None or not (data / SMALLEST.file).is_file():
        pytest.skip(f"{SMALLEST.file} is absent: BACKSTOP_DATA names the folder of recorded data")
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))[f"{SMALLEST.name}, {variant.name}"]
    run = run_crash(import_crash(SMALLEST, data, tmp_path), variant, tmp_path)
    assert is_sound(run)
    compared = ("venue_hash", "defaults", "fund_paid", "taken_over", "digest")
    assert {name: run[name] for name in compared} == {name: stored[name] for name in compared}
