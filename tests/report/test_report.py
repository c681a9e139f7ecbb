"""The report: its numbers are the run's, it needs nothing from outside, and it stays small."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from backstop.config import Venue
from backstop.core.events import EFFECT, EVENT, NONE, AdlClass, AdlPolicy, EffectArray, EffectKind, EventKind, Stage
from backstop.explain import explain
from backstop.journal import JournalDamaged, open_journal
from backstop.markets.population import default_parameters
from backstop.report import Gathering, RunFacts, facts_of_result, gather_journal, write_report
from backstop.report.adl import Plan, PlanClass
from backstop.report.losses import _share_words
from backstop.report.page import PAGE_BYTES_MAX, page
from backstop.report.words import percent
from backstop.runs.cases import Case, case_of_population, title_of
from backstop.runs.history import state_at
from backstop.runs.replay import ReplayResult, replay_case
from tests.feeds.samples import BTC, ETH, SECOND, START, small_venue
from tests.journal.runs import manifest as journal_manifest
from tests.journal.runs import write as write_journal
from tests.runs.test_replay import case_of, crash_of

SECTIONS = ("day", "waterfall", "fund", "adl", "defaulters", "markets", "halts", "refused", "conservation", "repeat")


class Page(HTMLParser):
    """Reads a page: elements must nest; collects ids, what would be loaded, and ``data`` values by
    section.
    """

    VOID = frozenset({"meta", "br", "col", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.values: dict[str, list[str]] = {}
        self.section = "head"
        self.elements: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.add(tag)
        if tag == "section":
            self.section = found["id"] or ""
            self.ids.append(self.section)
        if tag == "data":
            self.values.setdefault(self.section, []).append(found["value"] or "")
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID


def run(case: Case, **options: object) -> tuple[Gathering, ReplayResult]:
    gathering = Gathering(case.venue)
    return gathering, replay_case(case, tally=gathering.tally, **options)  # type: ignore[arg-type]


def html_of(gathering: Gathering, result: ReplayResult, title: str = "test") -> str:
    return page(gathering, facts_of_result(result, title, "backstop test", ()))


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> tuple[Gathering, ReplayResult, str]:
    """A crash that uses book, fund and ADL."""
    folder = tmp_path_factory.mktemp("crash")
    venue = small_venue(fund="30000", closeout='account_notional_max = "40000"')
    gathering, result = run(crash_of(folder, venue), journal_path=folder / "journal.db", command="backstop test")
    return gathering, result, html_of(gathering, result)


def test_the_page_is_whole_and_has_its_sections(crash: tuple[Gathering, ReplayResult, str]) -> None:
    read = Page(crash[2])
    assert tuple(read.ids) == SECTIONS
    assert crash[2].startswith("<!doctype html>\n<html")


def test_nothing_is_loaded_from_outside(crash: tuple[Gathering, ReplayResult, str]) -> None:
    text = crash[2]
    read = Page(text)
    assert read.loads != []
    assert all(value.startswith("#") for value in read.loads)
    assert {value[1:] for value in read.loads} == set(SECTIONS)
    assert not read.elements & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}
    assert not re.search(r"https?:|//[a-z]|@import|url\(|javascript:", text)
    assert "default-src 'none'" in unescape(text)


def amounts(result: ReplayResult) -> dict[str, str]:
    """Money of the run's own JSON object, without its asset."""
    values = result.as_json()
    found = {name: values[name] for name in ("deficit", "uncovered", "liquidation_fees")}
    found |= {f"paid by {row['name']}": row["paid"] for row in values["stages"]}
    found |= {f"closed by {row['name']}": row["notional"] for row in values["stages"]}
    found |= {f"fund {name}": values["fund"][name] for name in ("opening", "closing")}
    return {name: amount.partition(" ")[0] for name, amount in found.items()}


def test_the_numbers_are_those_of_the_run(crash: tuple[Gathering, ReplayResult, str]) -> None:
    _, result, text = crash
    values, run_amounts = Page(text).values, amounts(result)
    for name in ("fund", "adl", "closeout"):
        assert Decimal(run_amounts["closed by closeout" if name == "closeout" else f"paid by {name}"]) > 0
    waterfall = values["waterfall"]
    assert waterfall[0] == run_amounts["deficit"]
    for name in ("paid by fund", "paid by adl", "closed by closeout", "closed by adl"):
        assert run_amounts[name] in waterfall
    assert waterfall[-1] == run_amounts["uncovered"]
    assert "every deficit was paid" in text
    assert [values["fund"][index] for index in (0, 1)] == [run_amounts["fund opening"], run_amounts["fund closing"]]
    assert str(result.tally.defaults) in values["head"]
    assert result.digest in text
    assert result.venue.hash in text


def test_counts_from_the_effects_agree_with_the_engines_state(crash: tuple[Gathering, ReplayResult, str]) -> None:
    gathering, result, _ = crash
    assert gathering.fund.now == result.fund_closing_atoms
    assert gathering.fund.opening == result.fund_opening_atoms
    assert gathering.adl.beyond == sum(row.paid for row in result.tally.stages() if row.stage == Stage.ADL) > 0
    assert gathering.counts.accounts == result.accounts
    assert sum(gathering.counts.events.values()) == result.events
    assert gathering.books.sum_atoms() == 0
    assert [gathering.books.market_sums(number) for number in range(2)] == [(0, 0), (0, 0)]
    rows = gathering.defaulters.largest(100)
    assert len(rows) == result.tally.defaults
    assert sum(row.deficit for row in rows) == result.tally.deficit_atoms
    assert gathering.adl.counterparties == result.tally.count("adl_counterparty")
    assert gathering.adl.fills == result.tally.adl_fills
    assert (gathering.adl.checked, gathering.adl.faults) == (gathering.adl.plans, [])


@pytest.mark.parametrize(("field", "by"), [("lots", 1), ("amount", -1), ("price_ticks", -(10**6)), ("account", 1)])
def test_a_certificate_that_is_not_sound_is_named(crash: tuple[Gathering, ReplayResult, str], field: str, by: int) -> None:
    _, result, _ = crash
    assert result.journal is not None
    gathering = Gathering(result.venue)
    changed = 0
    with open_journal(result.journal["path"]) as journal:
        for batch in journal.batches():
            fills = np.flatnonzero(batch.effects["kind"] == EffectKind.ADL_FILL)
            if len(fills) and not changed:
                batch.effects[field][fills[0]] += by
                changed = int(batch.effects["seq"][fills[0]])
            gathering.add(batch.events, batch.effects)
    assert changed
    assert gathering.adl.faults_count > 0
    assert f"seq {changed:,}: " in gathering.adl.faults[0]
    text = html_of(gathering, result)
    assert f"{gathering.adl.faults_count} faults were found" in text


def test_a_report_from_the_journal_is_the_runs_own_to_the_byte(tmp_path: Path) -> None:
    case = crash_of(tmp_path, small_venue(fund="30000", closeout='account_notional_max = "40000"'))
    case.details["prices_file"] = "prices.csv"
    gathering, result = run(case, journal_path=tmp_path / "journal.db", command="backstop test")
    title = title_of(case.venue, {**case.details, "impact": "off"})
    assert title == "small: prices.csv, impact off"
    own = page(gathering, facts_of_result(result, title, "backstop test", case.names.accounts))
    seen: list[tuple[int, int, int]] = []
    again, facts = gather_journal(tmp_path / "journal.db", progress=lambda *words: seen.append(words))
    assert page(again, facts) == own
    assert seen[-1] == (result.events, result.events, result.last_ns)
    assert "short0" not in own
    assert facts.account_names[:2] == ["long0", "long1"]


def test_what_did_not_fit_is_on_the_journal_without_the_paths_of_the_files(tmp_path: Path) -> None:
    case = crash_of(tmp_path)
    report = replace(case.prices.report, rows_cut=7, warnings=("a strange file",), files=("/secret/prices.csv",))
    _, result = run(replace(case, prices=replace(case.prices, report=report)), journal_path=tmp_path / "journal.db")
    _, facts = gather_journal(tmp_path / "journal.db")
    assert facts.feeds["prices"]["rows_cut"] == 7
    assert facts.warnings == ("a strange file",)
    assert b"/secret" not in (tmp_path / "journal.db").read_bytes()
    assert result.feeds["prices"]["files"] == ["/secret/prices.csv"]


def test_a_run_that_did_not_end_gives_no_report(tmp_path: Path) -> None:
    from tests.journal.runs import crash as chunks
    from tests.journal.runs import write

    with open_journal(write(tmp_path / "journal.db", chunks()[:2], close=False)) as journal:
        assert not journal.is_closed
    with pytest.raises(JournalDamaged, match="end_missing"):
        gather_journal(tmp_path / "journal.db")


def test_a_damaged_journal_gives_no_report(crash: tuple[Gathering, ReplayResult, str], tmp_path: Path) -> None:
    import sqlite3

    result = crash[1]
    assert result.journal is not None
    copy = tmp_path / "copy.db"
    copy.write_bytes(Path(result.journal["path"]).read_bytes())
    with sqlite3.connect(copy) as file:
        blob = bytearray(file.execute("SELECT effects FROM batches WHERE number = 1").fetchone()[0])
        blob[40] ^= 1
        file.execute("UPDATE batches SET effects = ? WHERE number = 1", (bytes(blob),))
    file.close()
    with pytest.raises(JournalDamaged, match="batch 1"):
        gather_journal(copy)


def test_where_batches_are_cut_changes_nothing_on_the_page(crash: tuple[Gathering, ReplayResult, str]) -> None:
    whole, result, text = crash
    assert result.journal is not None
    with open_journal(result.journal["path"]) as journal:
        batches = list(journal.batches())
    cut = Gathering(result.venue)
    for batch in batches:
        for first in range(0, len(batch.events), 7):
            events = batch.events[first : first + 7]
            cut.add(events, batch.effects[np.isin(batch.effects["seq"], events["seq"])])
    assert html_of(cut, result) == text
    assert cut.opening.ladder is not None
    assert whole.opening.ladder is not None
    assert all(np.array_equal(one, other) for one, other in zip(cut.opening.ladder, whole.opening.ladder, strict=True))


def test_what_nobody_paid_and_the_halt_are_shown(tmp_path: Path) -> None:
    venue = small_venue(fund="40000", closeout='account_notional_max = "0"', adl=False)
    gathering, result = run(crash_of(tmp_path, venue))
    text = html_of(gathering, result)
    values = Page(text).values
    assert values["waterfall"][0] == "100000.000000"
    assert values["waterfall"][-2] == "60000.000000"
    assert "paid by nobody" in text
    assert [(spell.market, spell.state) for spell in gathering.halts.spells] == [(0, "halted"), (0, "reopening")]
    assert all(spell.end_ns is not None for spell in gathering.halts.spells)
    assert "shade halted" in text
    assert "No market was halted" not in text


def test_what_was_refused_is_shown_with_its_reason(tmp_path: Path) -> None:
    case = crash_of(tmp_path)
    again = case.opening[case.opening["kind"] == EventKind.POSITION][:1]
    gathering, result = run(replace(case, opening=np.concatenate([case.opening, again])))
    text = html_of(gathering, result)
    assert result.as_json()["refused"] == {"position_exists": 1}
    assert "POSITION_EXISTS" in text
    assert "the account has a position there already" in text
    (example,) = gathering.counts.refusal_examples
    assert (example.kind, example.market, example.account, example.lots) == ("position", 0, 0, 1000)


def test_a_quiet_run_has_a_report_too(tmp_path: Path) -> None:
    marks = [(0, BTC, "100000"), (1, BTC, "100100"), (2, BTC, "100050")]
    gathering, result = run(case_of(tmp_path, f"a,o,{BTC},1,100000\n", "a,USDT,50000\n", marks))
    text = html_of(gathering, result)
    assert tuple(Page(text).ids) == SECTIONS
    assert "No account came into default." in text
    assert "ADL was not used" in text


def test_a_run_without_accounts_or_fund_has_a_report_too(tmp_path: Path) -> None:
    case = case_of(tmp_path, "a,o,,,\n", "a,USDT,1\n", [(0, BTC, "100000"), (1, BTC, "90000")], small_venue(fund="0"))
    gathering, result = run(replace(case, opening=case.opening[case.opening["kind"] == EventKind.MARK]))
    assert result.accounts == 0
    assert gathering.opening.ladder is None
    assert tuple(Page(html_of(gathering, result)).ids) == SECTIONS


def test_the_columns_of_a_default_add_up_and_are_explained(crash: tuple[Gathering, ReplayResult, str]) -> None:
    gathering, result, _ = crash
    names = [f"account-{number}" for number in range(result.accounts)]
    text = page(gathering, facts_of_result(result, "test", "backstop test", names))
    section = text[text.index('id="defaulters"') : text.index('id="markets"')]
    assert section.count("<th>") + section.count('<th class="number">') == 8
    assert "what the account still had" in section
    lines = re.findall(r"<tr>(<td>.*?)</tr>", section)
    assert len(lines) == 10
    for line in lines:
        values = [Decimal(value) for value in re.findall(r'value="(-?[0-9.]+)"', line)]
        assert sum(values[3:-1]) == values[-1]
    assert "account account-" not in text
    assert f'held by <data value="{gathering.adl.largest.account if gathering.adl.largest else None}">account-' in text


def test_amounts_of_the_fund_stand_beside_its_figure_and_not_on_it(crash: tuple[Gathering, ReplayResult, str]) -> None:
    text = crash[2]
    section = text[text.index('id="fund"') : text.index('id="adl"')]
    assert 'class="label' not in section
    assert section.index(" at the opening, ") < section.index(" at the end") < section.index("<svg")


def test_names_and_titles_are_escaped(crash: tuple[Gathering, ReplayResult, str]) -> None:
    gathering, result, _ = crash
    hostile = '<script src="x">&'
    facts = facts_of_result(result, hostile, f"run {hostile}", [hostile] * result.accounts)
    text = page(gathering, replace(facts, warnings=(hostile,), feeds={"opening_imbalance": {hostile: hostile}}))
    assert "<script" not in text
    assert text.count("&lt;script") > 10
    Page(text)


def test_letters_that_do_not_print_are_shown_as_their_escapes(crash: tuple[Gathering, ReplayResult, str]) -> None:
    """In texts, titles and attributes: colours of a terminal, and a name written backwards."""
    gathering, result, _ = crash
    hostile = "\x1b[31mred\u202etxt.exe\x00\x85\u2066"
    facts = facts_of_result(result, hostile, f"run {hostile}", [hostile] * result.accounts)
    text = page(gathering, replace(facts, warnings=(hostile,)))
    assert text.count(r"\x1b[31mred\u202etxt.exe\x00\x85\u2066") > 10
    assert {letter for letter in text if not letter.isprintable()} == {"\n"}
    Page(text)


@pytest.mark.parametrize(
    "feeds",
    [
        {"prices": ["no report"]},
        {"prices": {"warnings": 3}},
        {"prices": {"warnings": [["deep"]]}},
        {"prices": {"markets": [{"market": "BTC"}]}},
        {"prices": {"markets": [3]}},
        {"prices": {"rows_cut": "many"}},
        {"accounts": {"costs_rounded": "x"}},
        {"accounts": 1},
        {"opening_imbalance": ["BTC"]},
        [],
    ],
)
def test_a_manifest_whose_report_of_files_is_none_is_read_without_it(feeds: object, tmp_path: Path) -> None:
    path = write_journal(tmp_path / "forged.db", details={"feeds": json.dumps(feeds)})
    again, facts = gather_journal(path)
    assert not any(facts.feeds.values())
    Page(page(again, facts))


@pytest.mark.parametrize("accounts_max", [-1, 0, 10**11, (1 << 28) + 1])
def test_limits_that_no_engine_has_are_a_fault_of_the_journal(accounts_max: int, tmp_path: Path) -> None:
    """They are found before anything is allocated by them."""
    usual = journal_manifest()
    path = write_journal(tmp_path / "forged.db", limits=usual.limits._replace(accounts_max=accounts_max))
    for read in (gather_journal, lambda path: explain(path, "trader-0"), lambda path: state_at(path, None)):
        with pytest.raises(JournalDamaged, match=r"config: manifest: .*accounts_max"):
            read(path)


def test_the_file_is_written_whole_or_not_at_all(
    crash: tuple[Gathering, ReplayResult, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering, result, text = crash
    path = tmp_path / "new" / "report.html"
    path.parent.mkdir()
    facts = facts_of_result(result, "test", "backstop test", ())
    assert write_report(path, gathering, facts) == path.stat().st_size == len(text.encode())
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_report(tmp_path / "folder", gathering, facts)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent for the report: make it first"):
        write_report(tmp_path / "absent" / "report.html", gathering, facts)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(path / "report.html", gathering, facts)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "new"]
    # A fault on the way leaves the older page, and nothing beside it.
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", _full_disk)
        with pytest.raises(OSError, match="full"):
            write_report(path, gathering, replace(facts, title="newer"))
    assert path.read_text(encoding="utf-8") == text
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def _full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "full")


def random_marks(venue: Venue, number: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.void]], EffectArray]:
    """Marks of every market, far more than a page can show."""
    random = np.random.default_rng(5)
    events = np.zeros(number, dtype=EVENT)
    events["seq"] = np.arange(number)
    events["time_ns"] = START + np.sort(random.integers(0, 90_000 * SECOND, number))
    events["kind"], events["account"] = EventKind.MARK, NONE
    events["market"] = random.integers(0, len(venue.markets), number)
    events["price_ticks"] = 10_000 + np.cumsum(random.integers(-40, 41, number)) % 5_000
    return events, np.zeros(0, dtype=EFFECT)


def test_the_page_does_not_grow_with_the_run() -> None:
    venue = small_venue()
    sizes = []
    for number in (200_000, 800_000):
        gathering = Gathering(venue)
        events, effects = random_marks(venue, number)
        for first in range(0, number, 50_000):
            gathering.add(events[first : first + 50_000], effects)
        sizes.append(len(page(gathering, RunFacts("long", "0" * 64)).encode()))
    assert sizes[1] < 1.1 * sizes[0]
    assert max(sizes) * 12 < PAGE_BYTES_MAX  # as many markets as have a figure


def test_extremes_survive_thinning() -> None:
    venue = small_venue()
    gathering = Gathering(venue)
    events, effects = random_marks(venue, 100_000)
    events["price_ticks"][77_777] = 3
    events["price_ticks"][55_555] = 99_999
    gathering.add(events, effects)
    low = gathering.markets[int(events["market"][77_777])]
    high = gathering.markets[int(events["market"][55_555])]
    assert low.low == (3, int(events["time_ns"][77_777]))
    assert high.high == (99_999, int(events["time_ns"][55_555]))
    assert low.mark.low[low.mark.filled].min() == 3
    assert high.mark.high[high.mark.filled].max() == 99_999


def test_a_population_on_two_markets(tmp_path: Path) -> None:
    venue = small_venue()
    base = case_of(
        tmp_path,
        "a,o,,,\n",
        "a,USDT,1\n",
        [(s, m, p) for s in range(4) for m, p in ((BTC, str(100_000 - 9000 * s)), (ETH, str(4000 - 300 * s)))],
    )
    case = case_of_population(venue, base.prices, replace(default_parameters(), accounts=400), seed=3)
    gathering, result = run(case)
    text = html_of(gathering, result)
    values, run_amounts = Page(text).values, amounts(result)
    assert run_amounts["deficit"] in values["waterfall"]
    assert Decimal(run_amounts["liquidation_fees"]) > 0
    assert run_amounts["liquidation_fees"] in values["fund"]
    assert gathering.markets.by_closing[0] in (0, 1)
    assert result.tally.defaults > 0


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (AdlPolicy.CAPPED_PRO_RATA, "of its profit, up to its cap"),
        (AdlPolicy.PRO_RATA, "44.44 % of its position"),
        (AdlPolicy.RISK_AWARE, "4 / 9 of its lots x leverage"),
        (AdlPolicy.WATER_FILLING, "lots above a leverage of 0.444444, up to its cap"),
        (AdlPolicy.QUEUE, "its whole cap, one by one in order of rank score, until done"),
        (AdlPolicy.RANDOM, "its whole cap, one by one in order of their drawn numbers, until done"),
    ],
)
def test_the_share_of_each_is_told_by_the_policy(policy: AdlPolicy, words: str) -> None:
    gathering = Gathering(small_venue())
    is_ordered = policy in (AdlPolicy.QUEUE, AdlPolicy.RANDOM)
    plan = Plan(1, 0, 0, 0, int(policy), -5, 1, 100, 0, 2, ())
    part = PlanClass(int(AdlClass.PROFITABLE), 3, 1, 5, 4, 0 if is_ordered else 9)
    assert words in _share_words(AdlClass.PROFITABLE, part, plan, gathering)
    assert _share_words(AdlClass.PROFITABLE, part._replace(full=3, eta_lots=0, eta_weight=0), plan, gathering) == "its whole cap"
    assert "44.44 % of its position" in _share_words(AdlClass.HOUSE, part._replace(eta_weight=9), plan, gathering)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 7, "0.0 %"),
        (1, 10**6, "under 0.1 %"),
        (10**6 - 1, 10**6, "over 99.9 %"),
        (7, 7, "100.0 %"),
        (-1, 3, "\N{MINUS SIGN}33.3 %"),
        (1, 0, "\N{EN DASH}"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown


def test_a_tiny_share_of_profit_is_told_for_a_larger_sum() -> None:
    gathering = Gathering(small_venue())
    plan = Plan(1, 0, 0, 0, int(AdlPolicy.CAPPED_PRO_RATA), -5, 1, 100, 0, 2, ())
    part = PlanClass(int(AdlClass.PROFITABLE), 3, 1, 5, 4, 10**12)
    lot = gathering.venue.markets[0].quantity_lot
    assert _share_words(AdlClass.PROFITABLE, part, plan, gathering).startswith(f"{4 * lot:.4g} BTC for each 1,000,000 USDT")
