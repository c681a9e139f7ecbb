"""The record of what a run came to: each figure against a plain count, and what a premature
liquidation is.
"""

from __future__ import annotations

import json
import random
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.config import Venue, parse_venue
from backstop.core.events import EFFECT, EVENT, Cause, EventKind, Health
from backstop.core.instruments import VenueRules
from backstop.core.kinds import AdlFillEffect, HealthEffect, PostingEffect
from backstop.core.parameter_table import PARAMETERS, changed, replaced
from backstop.journal import open_journal
from backstop.reference.records import events_array
from backstop.runs.liquidations import HOUR_NS, Holding, MarkPath, Verdict
from backstop.runs.outcome import Outcome, OutcomeTally
from backstop.runs.replay import ReplayResult, replay, replay_case
from backstop.runs.tally import Tally
from benchmarks.outcomes import PAGE, RESULTS, commit_of, kept, key_of, keys, main, names
from benchmarks.outcomes_page import page
from tests.feeds.samples import BTC, ETH, SECOND, small_venue, venue_text
from tests.rules.test_gains_leave import Leavers
from tests.runs.test_replay import case_of, crash_of
from tests.runs.venues import full_venue

USDT = 10**6


def path_of(*marks: tuple[int, int, int], venue: Venue | None = None) -> MarkPath:
    """Return a path of (seconds, market, ticks), one event each."""
    path = MarkPath((venue or small_venue()).rules)
    seconds, market, ticks = (np.array(column, dtype=np.int64) for column in zip(*marks, strict=True))
    path.take(np.arange(len(marks), dtype=np.int64), seconds * SECOND, market, ticks)
    return path


#: One coin long, bought at 100,000 with 1,500 USDT: its margin is 1 %, so 99,494.94 restores it and
#: 98,500 is zero.
LONG = 1500 * USDT - 100_000 * USDT
HOUR = HOUR_NS // SECOND


@pytest.mark.parametrize(
    ("later", "verdict"),
    [
        ([(1, 0, 994_950)], Verdict.RECOVERS),
        ([(1, 0, 994_949)], Verdict.UNDECIDED),
        ([(1, 0, 985_000), (2, 0, 994_950)], Verdict.RECOVERS),
        ([(1, 0, 984_999), (2, 0, 994_950)], Verdict.FALLS),
        ([(1, 1, 7_000), (2, 0, 994_950)], Verdict.RECOVERS),
        ([(HOUR, 0, 994_950)], Verdict.RECOVERS),
        ([(HOUR, 0, 990_000), (HOUR + 1, 0, 994_950)], Verdict.FALLS),
        ([(HOUR - 1, 0, 990_000)], Verdict.UNDECIDED),
        ([], Verdict.UNDECIDED),
    ],
)
def test_an_account_left_alone(later: list[tuple[int, int, int]], verdict: Verdict) -> None:
    path = path_of((0, 0, 990_000), *later)
    assert path.verdict(Holding(0, 0, LONG, ((0, 1000),))) is verdict


@pytest.mark.parametrize(("ticks", "verdict"), [(994_950, Verdict.RECOVERS), (984_999, Verdict.FALLS)])
def test_what_stands_at_the_first_closing_counts(ticks: int, verdict: Verdict) -> None:
    """The marks that its event left behind, not those before it."""
    path = path_of((0, 0, 990_000), (1, 0, ticks), (2, 0, 985_000 if verdict is Verdict.RECOVERS else 994_950))
    assert path.verdict(Holding(1, SECOND, LONG, ((0, 1000),))) is verdict
    assert path.verdict(Holding(0, 0, LONG, ((0, 1000),))) is verdict


#: Number and place of the maintenance rate of the first tier of BTC.
RATE = next(number for number, rule in PARAMETERS.items() if rule.key == "tier.maintenance_rate_ppm")


def with_rate(rate_ppm: int) -> VenueRules:
    return changed(small_venue().rules, RATE, market=0, entry=0, value=rate_ppm)


def test_an_account_left_alone_is_measured_by_the_rules_in_force() -> None:
    """At 99,000 it has 500 of the 990 that it needs. Half a percent needs 495: it is back at once. From
    two percent on it would need four times as much, but relief keeps what it needs at 1 % of the notional.
    """
    path = path_of((0, 0, 990_000))
    path.turn(1, 5 * SECOND, with_rate(5_000))
    assert path.verdict(Holding(0, 0, LONG, ((0, 1000),))) is Verdict.RECOVERS
    assert path.verdict(Holding(1, 5 * SECOND, LONG - 6 * USDT, ((0, 1000),))) is Verdict.UNDECIDED
    path = path_of((0, 0, 990_000))
    path.turn(1, 5 * SECOND, with_rate(20_000))
    path.take(*(np.array([value]) for value in (2, 6 * SECOND, 0, 994_950)))
    # Whose default began under the higher rate needs 1,989.90, and has 995.
    assert path.verdict(Holding(0, 0, LONG, ((0, 1000),))) is Verdict.RECOVERS
    assert path.verdict(Holding(1, 5 * SECOND, LONG, ((0, 1000),))) is Verdict.UNDECIDED
    assert path.verdict(Holding(1, 5 * SECOND, LONG, ((0, 1000),), ((0, 500_000),))) is Verdict.RECOVERS


def test_a_change_after_the_hour_saves_nobody() -> None:
    path = path_of((0, 0, 990_000), (HOUR, 0, 990_000))
    path.turn(2, HOUR_NS + 1, with_rate(5_000))
    assert path.verdict(Holding(0, 0, LONG, ((0, 1000),))) is Verdict.FALLS


def test_lots_in_a_market_that_is_settled_are_money_from_then_on() -> None:
    """Settled at 99,000, a mark of the market when it is listed anew says nothing of them."""
    path = path_of((0, 0, 990_000), (1, 1, 7_000))
    path.turn(2, 5 * SECOND, replaced(small_venue().rules, 0, is_listed=0))
    path.turn(3, 6 * SECOND, small_venue().rules)
    path.take(*(np.array([value]) for value in (4, 6 * SECOND, 0, 100)))
    # 500 of money is left, which no margin is asked for.
    assert path.verdict(Holding(0, 0, LONG, ((0, 1000),))) is Verdict.RECOVERS


def plainly(venue: Venue, marks: list[tuple[int, int, int]], holding: Holding) -> Verdict:
    """The definition, mark by mark, in fractions."""
    now: dict[int, int] = {}
    for seq, (seconds, market, ticks) in enumerate(marks):
        if seconds * SECOND > holding.time_ns + HOUR_NS:
            return Verdict.FALLS
        now[market] = ticks
        if seq < holding.seq:
            continue
        equity, margin = holding.beside, 0
        for number, lots in holding.lots:
            rules = venue.rules.markets[number]
            worth = lots * now[number] * rules.notional_factor
            tiers = [tier for tier in rules.tiers if tier.floor_atoms <= abs(worth)]
            marginal = sum(
                Fraction(min(abs(worth), after) - tier.floor_atoms) * tier.maintenance_rate_ppm / 10**6
                for tier, after in zip(tiers, [tier.floor_atoms for tier in tiers[1:]] + [abs(worth)], strict=True)
            )
            equity, margin = equity + worth, margin + ceil(marginal)
        if equity >= margin:
            return Verdict.RECOVERS
        if equity < 0:
            return Verdict.FALLS
    return Verdict.FALLS if marks[-1][0] * SECOND >= holding.time_ns + HOUR_NS else Verdict.UNDECIDED


def test_the_verdict_is_the_definition_on_random_paths() -> None:
    """Two markets, tiers, both sides, holdings anywhere on the way; every verdict comes up often."""
    draw, venue, seen = random.Random(3), small_venue(), dict.fromkeys(Verdict, 0)
    for _ in range(300):
        prices = [1_000_000, 16_000]
        marks = [(0, 0, prices[0]), (0, 1, prices[1])]
        step = draw.choice((1, 7, 40))
        for _ in range(draw.choice((5, 60, 600))):
            market = draw.randrange(2)
            prices[market] = max(1, round(prices[market] * draw.uniform(0.998, 1.002)))
            marks.append((marks[-1][0] + draw.randrange(step + 1), market, prices[market]))
        seq = draw.randrange(1, len(marks))
        lots = ((0, draw.choice((-30_000, -900, 900, 30_000))), (1, draw.choice((-5_000, 5_000))))[: draw.choice((1, 2, 2))]
        known = {market: ticks for _, market, ticks in marks[: seq + 1]}
        worth = sum(count * known[number] * venue.rules.markets[number].notional_factor for number, count in lots)
        needed = sum(abs(count) * known[number] * venue.rules.markets[number].notional_factor for number, count in lots) // 100
        holding = Holding(seq, marks[seq][0] * SECOND, -worth + draw.randrange(-needed // 50, needed), lots)
        expected = plainly(venue, marks, holding)
        path = path_of(*marks)
        assert path.verdict(holding) is expected
        seen[expected] += 1
    assert min(seen.values()) > 20


def outcome_of(case: Any, journal: Path | None = None) -> tuple[Outcome, ReplayResult]:
    tally = Tally(case.venue)
    counted = OutcomeTally(tally)
    result = replay_case(case, tally=tally, journal_path=journal)
    return counted.outcome(result), result


def test_the_record_agrees_with_a_plain_count_of_the_journal(tmp_path: Path) -> None:
    """Ten longs fall through their zero price; the fund pays, and winners do."""
    case = crash_of(tmp_path, full_venue(fund="20000", closeout='deadline = "2s"', providers=False))
    outcome, result = outcome_of(case, tmp_path / "journal.db")
    with open_journal(tmp_path / "journal.db") as journal:
        effects = np.concatenate([batch.effects for batch in journal.batches()])
    fund = cuts = beyond = 0
    for row in PostingEffect.each(effects):
        fund += row.amount if row.payer == -3 and row.cause in (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP, Cause.ARREARS) else 0
        cuts += row.amount if row.cause == Cause.HAIRCUT else 0
    asked = set()
    for fill in AdlFillEffect.each(effects):
        beyond -= fill.lots * 800_000 * 100 + fill.cash
        asked.add(fill.account)
    entered = [row.account for row in HealthEffect.each(effects) if row.health >= Health.DISTRESSED > row.old_health]
    assert (outcome.defaults, outcome.default_entries) == (len(set(entered)), len(entered)) == (10, 10)
    assert outcome.fund_paid == fund > 0
    assert (outcome.adl_paid, outcome.cuts_paid) == (beyond, cuts)
    assert outcome.winners_paid > 0
    assert outcome.uncovered == result.tally.uncovered_atoms
    assert (outcome.adl_owners, outcome.adl_fills) == (len(asked), result.tally.adl_fills)
    assert outcome.fund_paid + outcome.winners_paid + outcome.uncovered == result.tally.deficit_atoms
    assert outcome.flat == outcome.liquidations == 10
    assert outcome.premature == outcome.returns == outcome.provider_defaults == 0
    # Whoever fell at once through zero is not restored by any mark.
    assert outcome.undecided == 0


@pytest.mark.parametrize(
    ("cap", "named"),
    [("", "balance"), ("loss_per_window_max = 8000", "window"), ("owner_loss_max = 600", "owner")],
)
def test_winners_who_pay_while_the_fund_holds_it_are_counted_by_cap(tmp_path: Path, cap: str, named: str) -> None:
    """Ten owners lack 10,000 each or so. A fund that has nothing left keeps nothing back."""
    text = venue_text("20000", 'deadline = "2s"').replace('opening_balance = "20000"', f'opening_balance = "20000"\n{_quoted(cap)}')
    outcome, result = outcome_of(crash_of(tmp_path, parse_venue(text, "venue.toml")))
    left = result.fund_closing_atoms
    if not cap:
        assert left < outcome.winners_paid
        assert outcome.paid_while_fund_held <= left
        return
    assert left >= 10_000 * USDT
    assert 0 < outcome.paid_while_fund_held <= outcome.winners_paid
    assert outcome.kept_back_by == {named: outcome.paid_while_fund_held}


def _quoted(setting: str) -> str:
    name, _, value = setting.partition(" = ")
    return f'{name} = "{value}"' if value else ""


def dip(tmp_path: Path, back: str) -> Outcome:
    """A long of 20 coins comes below its margin, is closed in part, and the price goes back or on."""
    accounts = f"long,o,{BTC},20,100000\nshort,rich,{BTC},-20,100000\n"
    cash = "long,USDT,60000\nshort,USDT,5000000\n"
    marks = [(0, BTC, "100000"), (60, BTC, "98600"), (70, BTC, "98600"), *[(second, BTC, back) for second in range(80, 90)]]
    return outcome_of(case_of(tmp_path, accounts, cash, marks))[0]


def test_a_liquidation_before_the_price_comes_back_is_premature(tmp_path: Path) -> None:
    outcome = dip(tmp_path, "100000")
    assert (outcome.liquidations, outcome.premature, outcome.premature_accounts) == (1, 1, 1)
    assert (outcome.premature_closed, outcome.premature_costs) == (outcome.closed, outcome.costs)
    assert outcome.closed > 0
    assert outcome.costs > 0


def test_a_liquidation_before_the_price_goes_on_is_not(tmp_path: Path) -> None:
    outcome = dip(tmp_path, "96000")
    assert outcome.liquidations > 0
    assert (outcome.premature, outcome.premature_closed, outcome.premature_costs) == (0, 0, 0)


def test_returns_within_an_hour_and_time_to_flat(tmp_path: Path) -> None:
    """The second fall brings the long back; the third, two hours later, is no return and the end."""
    accounts = f"long,o,{BTC},20,100000\nshort,rich,{BTC},-20,100000\n"
    cash = "long,USDT,60000\nshort,USDT,5000000\n"
    falls = [(60, "98600"), (120, "98000"), (8000, "90000")]
    marks = [(0, BTC, "100000"), *[(second + later, BTC, price) for second, price in falls for later in range(30)]]
    outcome, _ = outcome_of(case_of(tmp_path, accounts, cash, marks))
    assert outcome.default_entries == 3
    assert (outcome.returns, outcome.returns_most, outcome.returns_mean) == (1, 1, 1.0)
    assert outcome.flat == 1
    assert 0 < outcome.flat_median_seconds == outcome.flat_most_seconds <= outcome.longest_seconds < 60


def test_equity_beside_the_lots_is_what_the_engine_says(tmp_path: Path) -> None:
    """What a twin gives before the first closing belongs to what the account had."""
    accounts = f"a,o,{BTC},10,100000\nb,o,{ETH},-10,4000\nshort,rich,{BTC},-10,100000\nlong,rich2,{ETH},10,4000\n"
    cash = "a,USDT,11000\nb,USDT,90000\nshort,USDT,5000000\nlong,USDT,5000000\n"
    marks = [(0, BTC, "100000"), (0, ETH, "4000"), (60, BTC, "98000"), *[(second, BTC, "98000") for second in range(61, 90)]]
    case = case_of(tmp_path, accounts, cash, marks)
    tally = Tally(case.venue)
    counted = OutcomeTally(tally)
    result = replay_case(case, tally=tally)
    assert tally.netted_atoms > 0
    assert result.conservation.holds
    (default, *_) = counted._defaults.all
    assert default.holding is not None
    # It has lost 20,000 of 11,000; what netting brought stands beside the lots.
    assert default.holding.lots == ((0, 10_000),)
    assert default.holding.beside + 10_000 * 980_000 * 100 == (11_000 - 20_000) * USDT + tally.netted_atoms


def test_funding_that_was_not_paid_yet_is_counted_once(tmp_path: Path) -> None:
    """A step of funding stands in the equity with which the default begins, and is settled in it."""
    accounts = f"long,o,{BTC},10,100000\nshort,rich,{BTC},-10,100000\n"
    cash = "long,USDT,30000\nshort,USDT,5000000\n"
    marks = [(0, BTC, "100000"), *[(second, BTC, "98000") for second in range(60, 90)]]
    case = case_of(tmp_path, accounts, cash, marks)
    funding = np.zeros(1, dtype=EVENT)
    # 800 USDT a coin: 8,000 of 30,000, before 20,000 are lost.
    funding["kind"], funding["time_ns"], funding["amount"] = EventKind.FUNDING, case.prices.start_ns + 30 * SECOND, 800_000 * 10**6
    outside = np.concatenate([case.prices.events, funding])
    tally = Tally(case.venue)
    counted = OutcomeTally(tally)
    replay(case.venue, outside[np.argsort(outside["time_ns"], kind="stable")], case.opening, tally=tally)
    (default, *_) = counted._defaults.all
    assert default.holding is not None
    assert default.holding.beside + 10_000 * 980_000 * 100 == (30_000 - 20_000 - 8_000) * USDT


def test_the_json_of_a_record_has_every_field(tmp_path: Path) -> None:
    outcome, result = outcome_of(crash_of(tmp_path))
    values = outcome.as_json(result.venue)
    assert set(Outcome.__dataclass_fields__) | {"winners_paid", "returns_mean"} == set(values)
    assert values["fund_paid"] == f"{result.venue.asset.text(outcome.fund_paid)} USDT"
    assert json.loads(json.dumps(values))["digest"] == result.digest


# -- the command


def test_the_committed_page_is_written_from_the_stored_figures() -> None:
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    for side in ("before", "after"):
        assert list(stored[side]["runs"]) == [key for key in keys() if key in stored[side]["runs"]] != []
        assert all(run["conserved"] for run in stored[side]["runs"].values())
    assert PAGE.read_text(encoding="utf-8") == page(stored)


def test_figures_of_another_commit_do_not_stay_under_a_new_name() -> None:
    run = {"kind": "bundled", "crash": "2025-10-10", "variant": "impact off"}
    other = run | {"crash": "2020-03-12"}
    old = {"after": {"commit": "a", "runs": {key_of(other): other}}, "before": {"commit": "x", "runs": {key_of(other): other}}}
    again = kept(old, {"after": {"commit": "a", "runs": {key_of(run): run}}, "conditions": {}})
    assert list(again["after"]["runs"]) == [key for key in keys() if key in (key_of(run), key_of(other))]
    assert again["before"] == old["before"]
    moved = kept(old, {"after": {"commit": "b", "runs": {key_of(run): run}}, "conditions": {}})
    assert list(moved["after"]["runs"]) == [key_of(run)]


def test_a_crash_without_its_file_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("BACKSTOP_DATA", raising=False)
    recorded = [name for name in names() if name.startswith("recorded/")]
    assert main(recorded) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert all(f"left out: {name}: BACKSTOP_DATA names no folder" in err for name in recorded)


def test_wrong_usage_and_an_unknown_commit_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["bundled/2008-09-15"])
    assert exit_info.value.code == 2
    assert main(["bundled/2025-10-10", "--before", "no-such-commit"]) == 1
    assert "no commit 'no-such-commit'" in capsys.readouterr().err
    assert commit_of("HEAD")["commit"]


def test_what_is_lent_for_gains_is_paid_by_winners_and_not_by_a_fund() -> None:
    """150 are uncovered; Bob takes out 900 of his gain and lends 100."""
    scene = Leavers()
    scene.cash(scene.bob, -1_900)
    effects = np.array([tuple(effect) for batch in scene.watch.effects for effect in batch], dtype=EFFECT)
    tally = Tally(full_venue())
    counted = OutcomeTally(tally)
    tally.fold.take(events_array(scene.watch.events), effects)
    assert (tally.lent_atoms, tally.arrears_atoms, tally.uncovered_atoms, tally.deficit_atoms) == (100, 0, 50, 150)
    assert (counted._cuts_paid, counted._uncovered, counted._fund_paid) == (100, 50, 0)
