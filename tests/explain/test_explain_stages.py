"""Takeovers and socialised losses explained: over random streams of every such corner, and in a
venue with all stages.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from backstop.core.events import EffectKind
from backstop.core.instruments import VenueRules
from backstop.core.state import new_state
from backstop.explain import Explanation, explain
from backstop.explain.audit import audit
from backstop.explain.walk import Decision, Walk, decides, whom
from backstop.journal import Batch, Names, Reader
from backstop.journal.rendering import Speaker
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import largest_that, least_that
from backstop.reference.book_first import book_goes_first
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Event, events_array
from backstop.reference.state import State
from backstop.runs.history import apply_events
from backstop.runs.replay import replay_case
from tests.feeds.samples import BTC
from tests.runs.test_replay import case_of, crash_of
from tests.runs.venues import full_venue
from tests.streams.random_streams import make_stream
from tests.streams.settings import PROFILES

CORNERS = ("takeover", "vault", "failing_providers", "socialise", "whole", "debts", "set_off")


class Tape:
    """A journal in memory: one batch."""

    def __init__(self, batch: Batch) -> None:
        self.findings: list[Any] = []
        self.batch = batch

    def check_head(self, *, with_names: bool = True) -> bool:
        return True

    def batches(self) -> list[Batch]:
        return [self.batch]


def explained(seed: int, profile: str = "") -> Explanation:
    """Explain every decision about every account of a random stream."""
    return explained_of(*make_stream(seed, profile))


def explained_of(rules: VenueRules, stream: list[Event]) -> Explanation:
    """Explain every decision about every account of a venue."""
    events = events_array(stream)
    state = new_state(rules)
    effects = apply_events(state, events)
    accounts = whom(effects)
    chosen = decides(effects) & (accounts >= 0) & (effects["kind"] != EffectKind.REFUSAL)
    wanted: dict[int, list[int]] = {}
    for seq, account in dict.fromkeys(zip(effects["seq"][chosen].tolist(), accounts[chosen].tolist(), strict=True)):
        wanted.setdefault(seq, []).append(account)
    venue = full_venue()
    found = Explanation("stream", 0, "", Speaker(venue, Names()), [], None, {}, None)

    def told(account: int, decision: Decision, _: Any) -> None:
        found.decisions.append(decision)

    Walk("stream", found.speaker, rules, told).through(cast(Reader, Tape(Batch(1, events, effects, None, None, True))), wanted)
    return found


@pytest.mark.parametrize("corner", CORNERS)
def test_every_number_of_random_streams_is_worked_out_anew(corner: str) -> None:
    seen = Counter[str]()
    for round_number in range(24):
        found = explained(900_000 + round_number, corner)
        assert found.checks_failed == [], f"round {round_number}"
        seen.update(fact.kind for decision in found.decisions for fact in decision.facts)
    wanted = {"socialise": {"haircut", "claim"}, "vault": {"takeover"}, "debts": {"posting"}, "set_off": {"claim"}}
    assert wanted.get(corner, {"offer", "takeover"}) <= set(seen), seen


@pytest.mark.parametrize("corner", PROFILES)
def test_every_corner_explains_itself(corner: str) -> None:
    decisions = 0
    for round_number in range(3):
        found = explained(1_000 + round_number, corner)
        assert found.checks_failed == [], f"round {round_number}"
        decisions += len(found.decisions)
    assert decisions > 0


@pytest.mark.parametrize("seed", [60_000])
def test_a_fill_of_an_order_that_time_cancelled_first_is_explained(seed: int) -> None:
    """The price guard released a mark at the time of the fill: the account was sound, its order
    cancelled, and the fill came late.
    """
    found = explained(seed, "doubted_marks")
    assert found.checks_failed == []
    said = [line for decision in found.decisions for fact in decision.facts for line in fact.because]
    assert "no open order expected this fill: it closes what is left of the position" in said


def test_why_the_book_goes_first_is_told_where_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each order of the reference that leaves before providers are asked, and for no other."""
    told, first, orders = Counter[int](), Counter[int](), 0

    def noted(state: State, account: int) -> bool:
        found = book_goes_first(state, account)
        first[state.last_seq] += found
        return found

    monkeypatch.setattr("backstop.reference.engine.book_goes_first", noted)
    for seed in range(12):
        rules, stream = make_stream(seed, "book_first")
        told.clear()
        first.clear()
        reference = ReferenceEngine(rules)
        for event in stream:
            reference.apply(event)
        for decision in explained_of(rules, stream).decisions:
            told[decision.seq] += sum(line.startswith("before providers") for fact in decision.facts for line in fact.because)
        assert +told == +first, seed
        orders += first.total()
    assert orders > 0


@pytest.fixture(scope="module")
def backed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takeovers by providers and by the vault, of accounts solvent and not."""
    folder = tmp_path_factory.mktemp("backed")
    accounts = "".join(f"long{number},o{number},{BTC},1,100000\n" for number in range(10)) + f"short,rich,{BTC},-8,100000\n"
    cash = "".join(f"long{number},USDT,{10_000 + 1_000 * number}\n" for number in range(10)) + "short,USDT,5000000\n"
    marks = [(0, BTC, "100000"), (1, BTC, "91000"), *[(second, BTC, "80000") for second in range(8, 60)]]
    venue = full_venue(closeout='account_notional_max = "1000"')
    replay_case(case_of(folder, accounts, cash, marks, venue), journal_path=folder / "journal.db")
    return folder / "journal.db"


def test_the_price_of_a_takeover_is_told_term_by_term(backed: Path) -> None:
    found = audit(backed)
    assert found.failed == ()
    said = [explain(backed, f"long{number}") for number in range(10)]
    facts = [fact for each in said for decision in each.decisions for fact in decision.facts]
    lines = "\n".join(line for fact in facts for line in fact.because)
    insolvent = "insolvent: the provider gets its edge, 0.5 % of the notional"
    for words in ("zero cash of these lots", "what it bears of the gap", insolvent, "by the venue vault, at once", "at the price of offer"):
        assert words in lines, words
    offers = [fact for fact in facts if fact.kind == "offer"]
    reserves = [fact for fact in facts if fact.kind == "reserve"]
    assert {fact.says.split(" USDT ")[0].split()[-2] for fact in reserves} == {"reserves", "releases"}
    assert all(("releases" in fact.says) == fact.values["change"].startswith("-") for fact in reserves)
    assert {check.what for fact in offers for check in fact.checks} == {"lots", "cash", "reserved"}
    assert any(check.what == "support" for fact in facts for check in fact.checks if fact.kind == "takeover")


def test_the_size_of_a_takeover_is_told_term_by_term() -> None:
    """Every bound occurs, and every size comes out, also where several providers share a
    position.
    """
    seen = Counter[str]()
    for round_number in range(40):
        found = explained(2_000 + round_number, "takeover")
        assert found.checks_failed == []
        for fact in (fact for decision in found.decisions for fact in decision.facts if "offered_together_lots" in fact.values):
            assert any(line.startswith("size: ") for line in fact.because)
            seen.update((fact.values["bounded_by"], "shared" if len(fact.values["providers"]) > 1 else "alone"))
            seen.update(provider["bound"].split()[0] for provider in fact.values["providers"] if provider["bound"])
    wanted = {"what the fund can support", "what can be carried", "the least that restores the account"}
    wanted |= {"nothing: it is the whole position", "shared", "alone", "commitment", "equity", "at"}
    assert wanted <= {*seen}, wanted - {*seen}


@pytest.mark.parametrize("policy", ["gains_haircut", "open_interest"])
def test_a_socialised_loss_is_told_to_who_lost_and_to_who_pays(tmp_path: Path, policy: str) -> None:
    venue = full_venue(fund="1000", closeout='account_notional_max = "0"', adl=False, providers=False, policy=policy)
    replay_case(crash_of(tmp_path, venue), journal_path=tmp_path / "journal.db")
    found = audit(tmp_path / "journal.db")
    assert found.failed == ()
    payer = explain(tmp_path / "journal.db", "short")
    assert payer.checks_failed == []
    cuts = [fact for decision in payer.decisions for fact in decision.facts if fact.kind == "haircut"]
    assert {check.what for fact in cuts for check in fact.checks} == {"cut", "weight", "cap"}
    assert any("of gains there" in line if policy == "gains_haircut" else "notional" in line for line in cuts[0].because)
    loser = [explain(tmp_path / "journal.db", f"long{number}") for number in range(10)]
    checked = {check.what for each in loser for decision in each.decisions for fact in decision.facts for check in fact.checks}
    assert {"payers of a cut", "cuts in all", "each cut, weight and cap"} <= checked
    assert "haircut" in {cause for each in loser for cause in each.sums}


def _fewer(right: Any) -> Any:
    def wrong(*words: Any) -> Any:
        parts, eta = right(*words)
        return {holder: max(0, part - 1) for holder, part in parts.items()}, eta

    return wrong


def _one_less(right: Any) -> Any:
    return lambda *words: max(0, right(*words) - 1)


WRONG: dict[str, tuple[str, Any, str, str]] = {
    "price": ("offering.PPM", 999_000, "takeover", "cash"),
    "least": ("charge.least_that", lambda *told: max(1, least_that(*told) - 1), "takeover", "lots"),
    "room": ("offering.largest_that", _one_less(largest_that), "takeover", "lots"),
    "parts": ("offering.capped_pro_rata", _fewer(capped_pro_rata), "takeover", "lots"),
    "cuts": ("loss.capped_pro_rata", _fewer(capped_pro_rata), "socialise", "cut"),
    "weight": ("loss.Payer.weight", property(lambda payer: 1), "socialise", "weight"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_shows(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place, wrong, corner, what = WRONG[name]
    monkeypatch.setattr(f"backstop.reference.{place}", wrong)
    failed = [line for number in range(12) for line in explained(number, corner).checks_failed]
    assert any(f": {what}: tape" in line for line in failed)
