"""What the report shows of takeovers, haircuts, breakers and the price guard: against the engine,
which it does not ask.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.cli.outcome import _providers
from backstop.config import parse_venue
from backstop.config.stages import CLOSING
from backstop.core.events import (
    EFFECT,
    EVENT,
    FUND,
    NONE,
    Cause,
    EffectArray,
    EffectKind,
    EventKind,
    Guard,
    ProviderStatus,
    clearing_of,
    fund_of,
)
from backstop.core.state import new_state
from backstop.journal import open_journal
from backstop.report import Gathering, RunFacts, facts_of_result
from backstop.report.market_figures import halts
from backstop.report.page import page
from backstop.report.words import clock
from backstop.runs.backers import standings_of
from backstop.runs.cases import Case
from backstop.runs.history import apply_events
from backstop.runs.replay import ReplayResult, replay_case
from backstop.runs.stops import times
from tests.feeds.samples import BTC, SECOND, START, small_venue
from tests.report.test_report import SECTIONS, Page
from tests.runs.test_replay import amount, case_of, crash_of
from tests.runs.test_stops import GUARD, THIN, walked_case
from tests.runs.venues import full_text, full_venue

PAUSED = (ProviderStatus.OFF, ProviderStatus.STOPPED)


def run(case: Case, **options: Any) -> tuple[Gathering, ReplayResult, str]:
    gathering = Gathering(case.venue)
    result = replay_case(case, tally=gathering.tally, **options)
    return gathering, result, page(gathering, facts_of_result(result, "test", "backstop test", case.names.accounts))


@pytest.fixture(scope="module")
def backed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Gathering, ReplayResult, str]:
    """A crash with providers and a vault; afterwards the price comes back half the way."""
    folder = tmp_path_factory.mktemp("backed")
    accounts = "".join(f"long{number},o{number},{BTC},1,100000\n" for number in range(10)) + f"short,rich,{BTC},-8,100000\n"
    cash = "".join(f"long{number},USDT,10000\n" for number in range(10)) + "short,USDT,5000000\n"
    after = [(second, BTC, str(80_000 + 100 * (second - 40))) for second in range(41, 140)]
    marks = [(0, BTC, "100000"), (1, BTC, "99000"), *[(second, BTC, "80000") for second in range(2, 41)], *after]
    venue = full_venue(closeout='account_notional_max = "1000"')
    return run(case_of(folder, accounts, cash, marks, venue), journal_path=folder / "journal.db")


def test_providers_over_time_are_as_the_engine_has_them(backed: tuple[Gathering, ReplayResult, str]) -> None:
    gathering, result, _ = backed
    assert result.journal is not None
    state = new_state(result.venue.rules)
    held: dict[int, list[int]] = {number: [] for number in range(3)}
    worth: dict[int, list[int]] = {number: [] for number in range(3)}
    with open_journal(result.journal["path"]) as journal:
        for batch in journal.batches():
            for place in range(len(batch.events)):
                apply_events(state, batch.events[place : place + 1])
                for number, standing in enumerate(standings_of(state)):
                    if standing.account != NONE:
                        held[number].append(standing.open_notional)
                        worth[number].append(standing.equity)
    for number, record in gathering.providers.items():
        assert (record.equity_first, record.equity_now) == (worth[number][0], worth[number][-1])
        assert (record.inventory_now, record.inventory_most[0]) == (held[number][-1], max(held[number]))
        spans = record.equity.spans
        assert (record.equity.low[spans].min(), record.equity.high[spans].max()) == (min(worth[number]), max(worth[number]))
        assert record.inventory.high[record.inventory.spans].max() == max(held[number])
    assert all(len(set(values)) > 20 for values in worth.values())
    assert max(held[2]) > held[2][-1]  # the vault disposed of what it took


def test_stops_of_providers_are_as_the_engine_has_them(tmp_path: Path) -> None:
    """Their times against the state after each event; and what they had committed."""
    text = full_text(closeout='account_notional_max = "1000"').replace("leverage = 5\n", 'leverage = 5\nloss_stop = "9000"\n')
    accounts = "".join(f"long{number},o{number},{BTC},1,100000\n" for number in range(10)) + f"short,rich,{BTC},-10,100000\n"
    cash = "".join(f"long{number},USDT,{3000 * (number + 1)}\n" for number in range(10)) + "short,USDT,5000000\n"
    falls = [(second, BTC, str(100_000 - 400 * second)) for second in range(60)]
    marks = falls + [(60 + second, BTC, str(76_400 + 300 * second)) for second in range(80)]
    case = case_of(tmp_path, accounts, cash, marks, parse_venue(text, "stops"))
    gathering, result, shown = run(case, journal_path=tmp_path / "journal.db")
    assert result.journal is not None
    state = new_state(result.venue.rules)
    told: dict[int, list[tuple[ProviderStatus, int]]] = {number: [(ProviderStatus.UNBOUND, 0)] for number in range(3)}
    with open_journal(result.journal["path"]) as journal:
        for batch in journal.batches():
            for place in range(len(batch.events)):
                apply_events(state, batch.events[place : place + 1])
                for number, standing in enumerate(standings_of(state)):
                    if standing.status != told[number][-1][0]:
                        told[number].append((standing.status, int(batch.events["time_ns"][place])))
    for number, record in gathering.providers.items():
        ends = [*(start for _, start in told[number][1:]), None]
        paused = [(status, start, end) for (status, start), end in zip(told[number], ends, strict=True) if status in PAUSED]
        assert [(pause.status, pause.start_ns, pause.end_ns) for pause in record.pauses] == paused
        assert record.status == told[number][-1][0]
    (pause,) = gathering.providers[0].pauses
    assert pause.status == ProviderStatus.STOPPED
    end = "to the end" if pause.end_ns is None else f"to {clock(pause.end_ns)}"
    section = shown[shown.index('id="providers"') : shown.index('id="adl"')]
    assert f"stopped by its loss {clock(pause.start_ns)} {end}" in section
    assert section.count("at no time") == 2
    assert "It may lose more than its stop" in section
    for profit, is_told in ((-9_000_000_000, False), (-9_000_000_001, True)):
        standings = (replace(result.standings[0], profit=profit), *result.standings[1:])
        said = "\n".join(_providers(replace(result, standings=standings), 0))
        assert ("lost more than its stop of 9,000.000000: it sells a share at a time" in said) == is_told
    assert {"9000.000000", "300000.000000", "200000.000000", "100000.000000"} <= set(Page(shown).values["providers"])


def test_strokes_have_the_colour_of_their_stage(backed: tuple[Gathering, ReplayResult, str], tmp_path: Path) -> None:
    gathering, _, text = backed
    record = gathering.markets[0]
    used = {name for name, total in record.closed_total.items() if total}
    assert used == set(record.fills) >= {"closeout", "takeover"}
    for name in CLOSING:
        assert (f"line fillmark {name}" in text) == (name in used)
    _, _, adl_only = run(crash_of(tmp_path, full_venue(fund="0", closeout='account_notional_max = "0"', providers=False)))
    assert [name for name in CLOSING if f"line fillmark {name}" in adl_only] == ["adl"]


def test_the_states_of_breakers_look_different() -> None:
    style = files("backstop.report").joinpath("report.css").read_text(encoding="utf-8")
    for pattern in (r"^(?:\.uncovered, )?\.{} {{(.*)}}", r"^\.swatch\.shaded\.{} {{(.*)}}"):
        looks = [re.findall(pattern.format(state), style, re.MULTILINE) for state in ("halted", "throttled", "reopening")]
        assert [len(found) for found in looks] == [1, 1, 1]
        assert len({found[0] for found in looks}) == 3


def test_takeovers_are_shown_at_mark(backed: tuple[Gathering, ReplayResult, str]) -> None:
    gathering, result, text = backed
    row = next(row for row in result.as_json()["stages"] if row["name"] == "takeover")
    assert gathering.markets[0].closed_total["takeover"] == int(amount(row["notional"]) * 10**6)
    read = Page(text)
    assert tuple(read.ids) == (*SECTIONS[:3], "providers", *SECTIONS[3:])
    assert "#providers" in read.loads
    values = read.values["providers"]
    for provider in result.as_json()["providers"]:
        for name in ("notional", "below_mark", "support", "open_notional", "equity", "profit"):
            assert provider[name].split()[0] in values, name
        assert {str(provider[name]) for name in ("offers", "failures", "takeovers")} <= set(values)
    assert "was taken over by providers" in text


def test_where_batches_are_cut_changes_no_series_of_a_provider(backed: tuple[Gathering, ReplayResult, str]) -> None:
    whole, result, text = backed
    assert result.journal is not None
    cut = Gathering(result.venue)
    with open_journal(result.journal["path"]) as journal:
        names = journal.names().accounts
        for batch in journal.batches():
            for first in range(0, len(batch.events), 3):
                events = batch.events[first : first + 3]
                cut.add(events, batch.effects[np.isin(batch.effects["seq"], events["seq"])])
    assert page(cut, facts_of_result(result, "test", "backstop test", names)) == text
    assert whole.providers.keys() == cut.providers.keys() == {0, 1, 2}


def test_an_opening_that_does_not_net_is_conserved(backed: tuple[Gathering, ReplayResult, str]) -> None:
    """Its other side is OUTSIDE, which has no effect of its own."""
    gathering, result, text = backed
    assert result.conservation.holds
    assert gathering.conserves
    assert "Nothing was made or lost." in text
    # What it is and how much stands there, and not with what was refused.
    refused, conservation = text.index('id="refused"'), text.index('id="conservation"')
    assert f"{BTC}: \N{MINUS SIGN}2" in text[conservation:]
    assert "do not add up to zero in every market" in text[conservation:]
    assert BTC not in text[refused:conservation]
    assert [gathering.books.market_sums(number) for number in range(2)] == [(0, 0), (0, 0)]


def test_an_opening_that_nets_at_different_prices_is_conserved(tmp_path: Path) -> None:
    accounts = f"a,o,{BTC},2,100000\nb,p,{BTC},-2,99000\n"
    marks = [(0, BTC, "100000"), (1, BTC, "100100"), (2, BTC, "100050")]
    gathering, result, _ = run(case_of(tmp_path, accounts, "a,USDT,90000\nb,USDT,90000\n", marks))
    assert result.conservation.holds
    assert gathering.conserves
    assert gathering.counts.effects[EffectKind.POSTING] > 2  # the difference went to OUTSIDE


def test_haircuts_are_conserved_and_shown(tmp_path: Path) -> None:
    venue = full_venue(fund="1000", closeout='account_notional_max = "0"', adl=False, providers=False)
    gathering, result, text = run(crash_of(tmp_path, venue))
    assert gathering.counts.effects[EffectKind.HAIRCUT] > 0
    assert result.conservation.holds
    assert gathering.conserves
    assert result.as_json()["socialise"]["charged"].split()[0] in Page(text).values["waterfall"]
    assert "got claims of" in text
    assert "haircuts" in text


def test_what_a_report_cannot_add_up_it_says(backed: tuple[Gathering, ReplayResult, str]) -> None:
    _, result, _ = backed
    assert result.journal is not None
    gathering = Gathering(result.venue)
    with open_journal(result.journal["path"]) as journal:
        for batch in journal.batches():
            trades = np.flatnonzero(batch.effects["kind"] == EffectKind.TRADE)
            batch.effects["lots"][trades[-1:]] += 1
            gathering.add(batch.events, batch.effects)
    assert not gathering.conserves
    assert "Something was made or lost." in page(gathering, facts_of_result(result, "test"))


@pytest.mark.parametrize(
    ("after", "words", "low"),
    [
        ([(3, "99000", "50")], "dropped: a mark on volume, or most of its time, stood for the old level, after 2 s", 99_000),
        ([(3, "80500", "50")], "confirmed: the next mark stood near it, on volume enough, after 2 s", 80_500),
        ([], "released: it was newest for most of its time, and became the mark, after 30 s", 79_000),
    ],
    ids=["dropped", "confirmed", "released"],
)
def test_the_price_guard_is_shown(tmp_path: Path, after: list[tuple[int, str, str]], words: str, low: int) -> None:
    gathering, _, text = run(walked_case(tmp_path, [(0, "100000", "500"), *THIN, *after], GUARD))
    record = gathering.markets[0]
    tick = gathering.venue.markets[0].price_tick
    # A held price is drawn; it is a mark only where it was released.
    assert int(record.low[0] * tick) == low
    assert int(gathering.tally.fold.mark.now[0] * tick) == low
    assert record.guard[Guard.HELD] == 2
    spans = record.held.spans
    assert (record.held.low[spans].min() * tick, record.held.high[spans].max() * tick) == (79_000, 80_000)
    for said in (
        words,
        "heldmark",
        "shade held",
        "79,000.0 held 21:00:01",
        "20.00 % (from 10 %)",
        "2 (below 10)",
        "held 2 marks back",
        "2 marks were not refused, but held back",
    ):
        assert said in text, said


def test_a_guard_that_held_nothing_says_so_and_no_guard_says_nothing(tmp_path: Path) -> None:
    calm = [(0, "100000", "500"), (1, "99000", "2")]
    assert "In this run it held nothing back." in run(walked_case(tmp_path, calm, GUARD))[2]
    assert "rice guard" not in run(crash_of(tmp_path, small_venue()))[2]


def test_once_twice_and_more() -> None:
    assert [times(count) for count in (1, 2, 3, 1200)] == ["once", "twice", "3 times", "1,200 times"]


def effects_of(*rows: dict[str, int]) -> EffectArray:
    effects = np.zeros(len(rows), dtype=EFFECT)
    for effect, row in zip(effects, rows, strict=True):
        effect["market"] = effect["account"] = NONE
        for name, value in row.items():
            effect[name] = value
    return effects


def clocks(number: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    events = np.zeros(number, dtype=EVENT)
    events["seq"], events["time_ns"], events["kind"] = np.arange(number), START + np.arange(number) * SECOND, EventKind.CLOCK
    return events


def test_breakers_are_shown_on_one_line_a_market() -> None:
    gathering = Gathering(full_venue())
    breaker = int(EffectKind.BREAKER)
    effects = effects_of(
        {"seq": 0, "kind": EffectKind.HEALTH, "account": 7, "code": 4, "other": 0, "amount": -500, "value": 100},
        {"seq": 1, "kind": breaker, "market": 1, "code": 1, "lots": 2},
        {"seq": 2, "kind": breaker, "market": 1, "code": 2, "other": 1, "lots": 7},
        {"seq": 3, "kind": breaker, "code": 2, "lots": 5},
        {"seq": 4, "kind": breaker, "market": 1, "code": 0, "other": 2, "lots": 7},
        {"seq": 7, "kind": EffectKind.HAIRCUT, "account": 5, "other": 7, "market": 0, "amount": 200},
        {"seq": 7, "kind": EffectKind.POSTING, "code": Cause.HAIRCUT, "account": 7, "other": clearing_of(0), "market": 0, "amount": 200},
    )
    gathering.add(clocks(9), effects)
    spells = [(spell.market, spell.state, spell.cause, spell.start_ns, spell.end_ns) for spell in gathering.halts.spells]
    at = [START + second * SECOND for second in range(9)]
    assert spells == [
        (1, "throttled", "flow", at[1], at[2]),
        (1, "halted", "uncovered deficit", at[2], at[4]),
        (NONE, "halted", "operator", at[3], None),
    ]
    assert gathering.halts.of(0) == [gathering.halts.spells[2]]
    (row,) = gathering.defaulters.largest(5)
    assert (row.account, row.socialised, row.deficit) == (7, 200, 200)
    text = page(gathering, RunFacts("stops", "0" * 64))
    Page(text)
    assert text.count("of defaults that ended every deficit was paid") == 2
    assert 'When the run ended, <data value="1">1</data> account was still in default: what they lack is not counted.' in text
    section = text[text.index('id="halts"') : text.index('id="refused"')]
    assert section.count('class="track"') == 2
    for words in ("throttled 21:00:01 to 21:00:02 (flow)", "halted 21:00:03 to the end (operator)", "halted 2 s", "throttled 1 s"):
        assert words in section
    assert "closing orders leave in slices of the throttled share" in section
    assert "ADL and tear-up wait" not in section
    rules = gathering.venue.rules
    waiting = rules._replace(breakers=rules.breakers._replace(halt_wait_max_ns=90 * SECOND))
    gathering.venue = replace(gathering.venue, rules=waiting)
    assert "ADL and tear-up wait, at most until 1 min 30 s after a default began" in str(halts(gathering))


def test_several_funds_are_one_sum() -> None:
    second = fund_of(1)
    gathering = Gathering(full_venue())
    effects = effects_of(
        {"seq": 0, "kind": EffectKind.POSTING, "account": FUND, "other": -2, "amount": 1000, "code": Cause.CASH},
        {"seq": 1, "kind": EffectKind.POSTING, "account": second, "other": -2, "amount": 500, "code": Cause.CASH},
        {"seq": 2, "kind": EffectKind.POSTING, "account": second, "other": FUND, "amount": 50, "code": Cause.CASH},
        {"seq": 3, "kind": EffectKind.POSTING, "account": 4, "other": second, "amount": 70, "code": Cause.DEFICIT},
    )
    gathering.add(clocks(4), effects)
    assert gathering.fund.now == gathering.fund.now == 1430
    assert dict(gathering.fund.statement) == {("cash", True): 1500, ("deficit", False): -70}
