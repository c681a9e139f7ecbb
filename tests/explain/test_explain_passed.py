"""Why ADL and tear-up had to be: each earlier stage's reason is told, worked out anew, and a wrong
one shows.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain, permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from backstop.cli.explain import app
from backstop.config import parse_venue
from backstop.core.events import NEVER_NS, BreakerState, EffectKind, Stage
from backstop.core.instruments import LevelRules, MarketRules, TierRules
from backstop.explain import Explanation, as_json, as_text, deleverage, explain, passed
from backstop.explain.audit import audit
from backstop.explain.books import Account, Books
from backstop.explain.scene import Scene
from backstop.reference.book import Band, Book
from backstop.reference.charge import Exit
from backstop.reference.funds import FundView
from backstop.reference.margin import Contract, Holding, Portfolio
from backstop.reference.offering import Backer
from backstop.reference.wave import Counterparty, Defaulter, Wave
from backstop.runs.replay import replay_case
from tests.explain.test_explain_stages import explained
from tests.runs.test_replay import crash_of
from tests.runs.venues import full_text
from tests.streams.settings import PROFILES

ENDS = ("adl_plan", "tear_up")


def _streams(corner: str, count: int) -> list[Explanation]:
    return [explained(2_000 + number, corner) for number in range(count)]


def _passed_over(found: Explanation) -> list[dict[str, Any]]:
    facts = [fact for decision in found.decisions for fact in decision.facts if fact.kind in ENDS]
    return [stop for fact in facts for stop in fact.values.get("passed_over", [])]


def test_each_earlier_stage_has_a_reason_that_is_checked() -> None:
    """Over streams of all corners every reason occurs, and none is one that the tape
    contradicts.
    """
    seen: Counter[str] = Counter()
    for corner in PROFILES:
        for found in _streams(corner, 3):
            assert found.checks_failed == [], corner
            seen.update(f"{stop['stage']} {stop['reason']}" for stop in _passed_over(found))
    closeout = {"depth_unknown", "thin_book", "below_minimum", "slice_taken", "fund", "not_reached", "not_built"}
    takeover = {"none_able", "none_configured", "none_committed", "time_over", "not_built"}
    wanted = {f"closeout {reason}" for reason in closeout} | {f"takeover {reason}" for reason in takeover}
    wanted |= {"fund solvent", "fund empty", "fund only_supports", "adl nobody_can_give"}
    wanted |= {f"carry {reason}" for reason in ("off", "no_fund", "insolvent", "time_over", "fund")}
    assert wanted <= set(seen), wanted - set(seen)
    assert "closeout open" not in seen
    assert "takeover open" not in seen
    assert "carry open" not in seen


def test_a_market_without_an_order_is_told_beside_those_that_have_one() -> None:
    """Where some of the markets held got an order, each other one is told with its reason."""
    seen: Counter[str] = Counter()
    wanted = {"shut", "doubted", "thin_book", "depth_unknown", "slice_taken", "enough"}
    # An operator who halts one of several markets is rare: as many streams of halts as it takes.
    halts = (explained(2_000 + number, "halts") for number in range(12, 150) if not wanted <= {*seen})
    for found in chain((found for corner in PROFILES for found in _streams(corner, 12)), halts):
        for decision in found.decisions:
            facts = {fact.kind: fact for fact in decision.facts}
            orders = [fact.values["market"] for fact in decision.facts if fact.kind == "order" and "closing order" in fact.says]
            if not orders or "disposal" in facts["order"].says or {"cancel", "trade"} & {*facts} or found.checks_failed:
                continue
            held = {*facts["standing"].values["positions"]}
            told = facts["waiting"].values["markets"] if "waiting" in facts else []
            assert {market["market"] for market in told} == held - {*orders}
            for_those = [f"when those in {', '.join(names)} have ended" for names in permutations(dict.fromkeys(orders))]
            assert not told or any(says in facts["waiting"].says for says in for_those)
            seen.update(market["reason"] for market in told)
    assert wanted <= {*seen}, seen
    assert "open" not in seen


WRONG: dict[str, tuple[Any, str, Any, str, str]] = {
    "room": (Backer, "exceeded", lambda *_: None, "takeover", "lots that takeover could close"),
    "book": (Scene, "bands", lambda *_: (Band(0, 1_000_000),), "ordinary", "lots that closeout could close"),
    "time": (Scene, "deadline_ns", property(lambda scene: scene.now_ns + 1), "ordinary", "closeout had to wait"),
    "others": (Account, "in_default", property(lambda _: False), "crash", "lots that adl could close"),
    "funds": (FundView, "available", property(lambda _: 0), "ordinary", "what the fund pays"),
    "share": (deleverage, "cash_parts", lambda _, gives, __: [1] * len(gives), "crash", "cash"),
    "weight": (deleverage, "weight_of", lambda *_: -1, "crash", "weight"),
    "stands": (Books, "carry_short", lambda *_: None, "carried", "it could be carried"),
    "used": (Books, "_use", lambda *_: 0, "takeover", "differences in funds and providers after the event"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_stage_that_could_have_acted_shows(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place, attribute, wrong, corner, what = WRONG[name]
    monkeypatch.setattr(place, attribute, wrong)
    failed = [line for found in _streams(corner, 12) for line in found.checks_failed]
    assert any(f": {what}: tape" in line for line in failed), failed[:5]


@pytest.mark.parametrize(
    ("deleveraged", "others", "checked"),
    [((), (), 7), ((0,), (), 7), ((2,), (), None), ((0, 2), (), None), ((0,), (2,), None), ((), (1,), None)],
)
def test_adl_is_checked_unless_later_markets_or_others_had_their_turn_since(
    deleveraged: tuple[int, ...], others: tuple[int, ...], checked: int | None
) -> None:
    """ADL goes by market id, and takes all accounts that stand at it together."""
    rows = [{"kind": EffectKind.ADL_PLAN, "account": 4, "market": market, "lots": 1} for market in deleveraged]
    rows += [{"kind": EffectKind.ADL_PLAN, "account": 5, "market": market, "lots": 1} for market in others]
    rows += [{"kind": EffectKind.TEAR_UP, "account": 4, "market": 1}]
    contract = Contract(MarketRules(1, 1_000, 100, (TierRules(0, 100_000, 100_000),), (1_000,), 0), 10)
    long, short = Holding(1, contract, 7, 70, 70), Holding(1, contract, -9, -90, -90)
    account = Portfolio(1, (long,), LevelRules())
    fund = FundView(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, supports=True)
    way_out = Exit(Book(contract, True, (), -1, BreakerState.OPEN, 0, 10, 10), 0)
    wave = Wave(1, (Defaulter(4, 0, account, fund, way_out),), (Counterparty(6, short, Portfolio(1_000, (short,), LevelRules())),))
    scene: Any = SimpleNamespace(
        rows=rows,
        place=len(rows) - 1,
        account=4,
        books=SimpleNamespace(wave=lambda *_: (wave, 1)),
        way_out=lambda _: way_out,
        ways_later=lambda _: {},
        rules=SimpleNamespace(stages=(Stage.ADL, Stage.TEAR_UP)),
    )
    stop = passed._adl_stop(scene, 1)
    assert (stop.reason, stop.lots) == ("nobody_can_give", checked)
    assert stop.says.endswith("not checked: others had their turn since") == (checked is None)
    assert stop.says.startswith("2 accounts hold the other side, 1 of them in default")


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crash that halts its market, in which nobody takes over."""
    folder = tmp_path_factory.mktemp("halted")
    breaker = "depth = [5, 10, 20]\n[market.breaker]\nprice_throttle_ppm = 50_000\nprice_halt_ppm = 150_000\nprice_exit_ppm = 20_000\n"
    text = full_text(providers=False).replace("depth = [5, 10, 20]\n", breaker)
    replay_case(crash_of(folder, parse_venue(text, "venue.toml")), journal_path=folder / "journal.db")
    return folder / "journal.db"


def test_a_halted_market_is_told_and_closes_on_the_book(halted: Path) -> None:
    assert audit(halted).failed == ()
    said = as_text(explain(halted, "long3"))
    assert "BTC/USDT:USDT is now halted, was open, because of price (20 %); ends 2" in said
    assert "it is in default and holds a position there: its closing orders have" in said
    assert "and none leaves where an operator halts" in said
    assert "deleverag" not in said


def test_a_wait_and_a_breaker_give_programs_integers(halted: Path) -> None:
    found = explain(halted, "long3")
    facts = [(decision, fact) for decision in as_json(found)["decisions"] for fact in decision["facts"]]
    waits = [(decision, fact["values"]) for decision, fact in facts if fact["kind"] == "waiting"]
    assert waits
    for decision, values in waits:
        assert decision["time_ns"] == decision["event"]["time_ns"] < values["until_ns"] < NEVER_NS
        assert [place["holds_lots"] for place in values["markets"]] == [1_000]
    assert {place["reason"] for _, values in waits for place in values["markets"]} == {"slice_taken"}
    breakers = [fact["values"] for _, fact in facts if fact["kind"] == "breaker"]
    assert all(isinstance(values["until_ns"], int) for values in breakers if values["state"] != "open")
    ran = CliRunner().invoke(app, ["long3", "--journal", str(halted), "--json"])
    assert json.loads(ran.stdout) == as_json(found)


def test_a_reader_with_a_calculator_comes_to_the_share_of_an_adl(halted: Path) -> None:
    """Eta and weight as shown, multiplied, give the lots that a counterparty gave, but for the last
    one.
    """
    payer = explain(halted, "short")
    fills = [fact for decision in payer.decisions for fact in decision.facts if fact.kind == "adl_fill"]
    assert fills
    for fact in fills:
        line = next(line for line in fact.because if line.startswith("its class gives"))
        lots, weight = line.partition("eta ")[2].partition(":")[0].split(" / ") if "eta " in line.partition(":")[0] else ("", "")
        if not lots:
            assert "whole cap" in line
            continue
        share = float(fact.values["weight"].split()[0]) * float(lots) / float(weight.split()[0])
        assert abs(share - abs(float(fact.values["quantity"]))) <= 0.001


def test_a_reader_with_a_calculator_comes_to_the_cash_of_an_adl(halted: Path) -> None:
    """A counterparty sees the cash in all and the mark in its own facts: its part by lots is what
    it pays.
    """
    fills = [fact for decision in explain(halted, "short").decisions for fact in decision.facts if fact.kind == "adl_fill"]
    assert fills
    for fact in fills:
        total, received = (float(fact.values[name].split()[0]) for name in ("cash_in_all", "cash"))
        part = abs(float(fact.values["quantity"]) / float(fact.values["quantity_in_all"]))
        assert abs(-total * part - received) <= 0.000001
        assert any(f"at mark {fact.values['mark_price']} that is" in line for line in fact.because)
        assert any(line.startswith("weight: ") for line in fact.because)


def test_stages_are_told_in_the_order_of_the_waterfall(tmp_path: Path) -> None:
    """A crash without a book and without providers: what stands before ADL, carrying last."""
    text = full_text(providers=False).replace("depth = [5, 10, 20]\n", "depth = [0, 0, 0]\n")
    replay_case(crash_of(tmp_path, parse_venue(text, "venue.toml")), journal_path=tmp_path / "journal.db")
    stages = [stop["stage"] for stop in _passed_over(explain(tmp_path / "journal.db", "long3"))]
    assert stages == ["closeout", "takeover", "fund", "carry"]
    assert {*stages} - {"carry"} <= {stage.name.lower() for stage in Stage}


def test_adl_leaves_a_position_where_a_later_one_comes_first_and_suffices() -> None:
    """Equity 15 of maintenance 27: the 20 lots of market 2 release 20 at no cost, and come before the 7 of
    market 1.
    """
    contract = Contract(MarketRules(1, 1_000, 100, (TierRules(0, 100_000, 100_000),), (1_000,), 0), 10)
    account = Portfolio(15, (Holding(1, contract, 7, 70, 70), Holding(2, contract, 20, 200, 200)), LevelRules())
    fund = FundView(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, supports=True)
    way_out = Exit(Book(contract, True, (), -1, BreakerState.OPEN, 0, 10, 10), 0)
    wave = Wave(1, (Defaulter(4, 0, account, fund, way_out, {2: way_out}),), ())
    scene: Any = SimpleNamespace(
        rows=[{"kind": EffectKind.TEAR_UP, "account": 4, "market": 1}],
        place=0,
        account=4,
        books=SimpleNamespace(wave=lambda *_: (wave, 0)),
        way_out=lambda _: way_out,
        ways_later=lambda _: {2: way_out},
        rules=SimpleNamespace(stages=(Stage.ADL, Stage.TEAR_UP)),
    )
    assert passed._adl_stop(scene, 1).reason == "later_first"
