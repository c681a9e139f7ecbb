"""Series of the report: thinned in one pass, cut anywhere, with their extremes and sums exact."""

from __future__ import annotations

import numpy as np
import pytest

from backstop.core.events import NONE
from backstop.report.charts import Axis, Panel, time_axis, value_axis
from backstop.report.halts import Spell
from backstop.report.market_figures import halts_begun
from backstop.report.series import SPANS_MAX, Envelope, Sums, TimeGrid
from backstop.report.words import clock, compact, money, percent, span_text
from tests.feeds.samples import SECOND, START, small_venue


@pytest.mark.parametrize("seed", range(12))
def test_an_envelope_is_what_a_plain_loop_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    number, span = int(random.integers(1, 4000)), int(random.integers(1, 10**7))
    times = START + np.sort(random.integers(0, span, number)) * 1_000_000
    values = random.integers(-(10**12), 10**12, number)
    grid = TimeGrid(START)
    envelope, sums = Envelope(grid), Sums(grid)
    cuts = np.sort(random.integers(0, number + 1, 6))
    for part in np.split(np.arange(number), cuts):
        envelope.add(times[part], values[part])
        sums.add(times[part], values[part])
    assert grid.spans <= SPANS_MAX
    expected: dict[int, list[int]] = {}
    for time_ns, value in zip(times.tolist(), values.tolist(), strict=True):
        expected.setdefault((time_ns - START) // grid.width_ns, []).append(value)
    assert envelope.spans.tolist() == sorted(expected)
    for place, held in expected.items():
        found = (envelope.first[place], envelope.low[place], envelope.high[place], envelope.last[place], sums.sums[place])
        assert found == (held[0], min(held), max(held), held[-1], sum(held))


def test_spans_are_whole_seconds_on_long_runs() -> None:
    grid = TimeGrid(START)
    grid.places(np.array([START + 3 * 3600 * SECOND]))
    assert (grid.width_ns, grid.spans) == (15 * SECOND, 721)


def test_axes_hold_their_values_and_have_round_ticks() -> None:
    axis = value_axis(18_171_824, 20_090_000)
    assert [text for _, text in axis.ticks] == ["18M", "18.5M", "19M", "19.5M", "20M", "20.5M"]
    assert axis.low <= 18_171_824 < 20_090_000 <= axis.high
    assert value_axis(5, 5).high > 5
    times = time_axis(START, START + 3 * 3600 * SECOND)
    assert [text for _, text in times.ticks] == ["21:00", "21:30", "22:00", "22:30", "23:00", "23:30", "11 Oct"]


def test_nothing_is_drawn_beyond_a_panel() -> None:
    panel = Panel(Axis(0, 10, ()), Axis(0, 10, ()))
    panel.line([(-5, -5), (20, 20)], "x")
    panel.boxes([(5, 50, -1, 99), (11, 12, 0, 1)], "y")
    assert 'd="M0 1000L1000 0"' in panel.html()
    assert 'd="M500 0H1000V1000H500z"' in panel.html()


def test_words() -> None:
    asset = small_venue().asset
    assert [compact(value) for value in (0, 0.25, 12.5, 1000, 350_000, 1_250_000, -2e9)] == [
        "0",
        "0.25",
        "12.5",
        "1k",
        "350k",
        "1.25M",
        "\N{MINUS SIGN}2B",
    ]
    assert (
        money(-2_000_252_580_000, asset)
        == '<data value="-2000252.580000" title="\N{MINUS SIGN}2,000,252.580000 USDT">\N{MINUS SIGN}2,000,253</data>'
    )
    assert ">12.35<" in money(12_345_678, asset)
    assert ">0<" in money(0, asset)
    assert percent(1, 3) == "33.3 %"
    assert percent(1, 0) == "\N{EN DASH}"
    assert clock(START, date=True) == "2025-10-10 21:00:00"
    assert [span_text(seconds * SECOND) for seconds in (0, 59, 60, 5400, 90_061)] == ["under 1 s", "59 s", "1 min", "1 h 30 min", "1 d 1 h"]
    assert [span_text(ns) for ns in (SECOND // 2 - 1, SECOND // 2, 278_950_000_000)] == ["under 1 s", "1 s", "4 min 39 s"]


def test_a_halt_that_is_held_anew_is_labelled_once() -> None:
    def spell(market: int, state: str, start_ns: int, end_ns: int | None) -> Spell:
        return Spell(market, state, start_ns, "price", end_ns)

    first, venue, later = spell(0, "halted", 0, 10), spell(NONE, "halted", 10, 15), spell(0, "halted", 40, None)
    anew, reopening = spell(0, "halted", 10, 20), spell(0, "reopening", 20, 30)
    assert halts_begun([first, anew, venue, reopening, later]) == [first, venue, later]
