"""``journal show`` and ``journal stats``: every row in words, chosen by account, market, kind and
seq.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from backstop.cli.journal import app
from backstop.core.events import (
    EFFECT,
    EVENT,
    FUND,
    AdlClass,
    AdlPolicy,
    BreakerCause,
    BreakerState,
    EffectKind,
    EventKind,
    clearing_of,
    outside_of,
)
from backstop.core.kinds import ClaimEffect, ClockEvent
from backstop.journal import open_journal
from backstop.journal.rendering import EFFECTS, EVENTS, Speaker, sentence_of, time_text
from backstop.journal.showing import Choice, chosen, speaker_of
from tests.journal.runs import change, crash, names, venue, write


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("show") / "journal.db")


def _shown(*words: str) -> Result:
    return CliRunner().invoke(app, ["show", *words])


def _objects(*words: str) -> list[dict[str, Any]]:
    ran = _shown(*words, "--json")
    assert ran.exit_code == 0, ran.output
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_every_kind_has_words() -> None:
    assert set(EVENTS) == set(EventKind)
    assert set(EFFECTS) == set(EffectKind)


@pytest.mark.parametrize("table", [EVENTS, EFFECTS])
def test_words_fill_their_places_for_any_numbers(table: dict[Any, Any]) -> None:
    speaker = Speaker(venue(), names())
    for dtype, kinds in ((EVENT, EVENTS), (EFFECT, EFFECTS)):
        if table is not kinds:
            continue
        for kind in table:
            for number in (0, 1, -1, 7, -1_000, 1 << 40):
                row = dict.fromkeys(dtype.names or (), number) | {"kind": int(kind), "market": min(number, 1 << 30)}
                said = speaker.event(row) if table is EVENTS else speaker.effect(row)
                assert said
                assert "{" not in said
                assert json.dumps(speaker.fields(row, is_event=table is EVENTS))


def test_a_kind_of_a_later_version_is_shown_field_by_field() -> None:
    speaker = Speaker(venue(), names())
    row = dict.fromkeys(EFFECT.names or (), 5) | {"kind": 99}
    assert speaker.effect(row) == "code=5 market=5 account=5 other=5 lots=5 price_ticks=5 amount=5 value=5"


def test_a_kind_without_a_sentence_is_said_field_by_field() -> None:
    speaker = Speaker(venue(), names())
    row = dict.fromkeys(EFFECT.names or (), 0) | {"kind": int(EffectKind.CLAIM), "account": 3, "amount": -2_500_000, "value": 7_500_000}
    assert sentence_of(ClaimEffect).said(speaker, row) == "claim: account trader-3, group all, change -2.500000 USDT, claim 7.500000 USDT"
    assert sentence_of(ClockEvent).said(speaker, row) == "clock"
    with pytest.raises(KeyError, match="ClaimEffect has no field payer"):
        sentence_of(ClaimEffect, "{payer}", payer="account")


def test_a_stop_that_is_held_anew_is_told_as_such() -> None:
    speaker = Speaker(venue(), names())
    zero = dict.fromkeys(EFFECT.names or (), 0) | {"kind": int(EffectKind.BREAKER), "lots": int(BreakerCause.OPERATOR)}
    first = zero | {"code": int(BreakerState.HALTED), "other": int(BreakerState.OPEN)}
    again = zero | {"code": int(BreakerState.HALTED), "other": int(BreakerState.HALTED)}
    assert speaker.effect(first) == "BTC/USDT:USDT is now halted, was open, because of operator"
    assert speaker.effect(again) == "BTC/USDT:USDT is halted again, because of operator"
    fields = speaker.fields(again, is_event=False)
    assert (fields["state"], fields["before"]) == ("halted", "halted")


def test_the_house_has_names() -> None:
    speaker = Speaker(venue(), names())
    assert speaker.holder(FUND) == "fund"
    assert speaker.holder(clearing_of(1)) == "clearing of ETH/USDT:USDT"
    assert speaker.holder(outside_of(0)) == "outside traders of BTC/USDT:USDT"
    assert (speaker.holder(3), speaker.holder(99)) == ("trader-3", "account 99")


def test_everything_is_shown_once_and_in_order(path: Path) -> None:
    with open_journal(path) as journal:
        lines = list(chosen(journal, Choice()))
    events = np.concatenate([chunk.events for chunk in crash()])
    effects = np.concatenate([chunk.effects for chunk in crash()])
    assert [line.row["seq"] for line in lines if line.place is None] == events["seq"].tolist()
    told = [line for line in lines if line.place is not None]
    assert [tuple(line.row.values()) for line in told] == effects.tolist()
    assert [line.row["seq"] for line in lines] == sorted(line.row["seq"] for line in lines)
    for line, before in zip(lines[1:], lines, strict=False):
        assert line.place == (None if line.row["seq"] != before.row["seq"] else 0 if before.place is None else before.place + 1)


@pytest.mark.parametrize("account", [0, 7, 23])
def test_an_account_is_found_in_every_field_that_holds_one(path: Path, account: int) -> None:
    found = {(row["seq"], row["place"]) for row in _objects(str(path), "--account", f"trader-{account}")}
    expected: set[tuple[int, int | None]] = set()
    for chunk in crash():
        for event in chunk.events:
            if event["account"] == account or (event["kind"] == EventKind.FILL and event["other"] == account):
                expected.add((int(event["seq"]), None))
        places: Counter[int] = Counter()
        for effect in chunk.effects:
            holders = [effect["account"]] if effect["kind"] != EffectKind.REFUSAL or effect["account"] >= 0 else []
            if effect["kind"] in (EffectKind.TRADE, EffectKind.POSTING, EffectKind.ADL_FILL):
                holders.append(effect["other"])
            if account in holders:
                expected.add((int(effect["seq"]), places[int(effect["seq"])]))
            places[int(effect["seq"])] += 1
    assert found == expected
    assert found


def test_kinds_markets_and_seqs_are_chosen(path: Path) -> None:
    rows = _objects(str(path), "--kind", "health", "--kind", "MARK", "--from", "100", "--to", "400")
    assert {row["kind"] for row in rows} == {"health", "mark"}
    assert all(100 <= row["seq"] <= 400 for row in rows)
    rows = _objects(str(path), "--market", "ETH/USDT:USDT", "--limit", "9")
    assert len(rows) == 9
    assert {row["row"]["market"] for row in rows} == {1}


def test_words_and_decimals(path: Path) -> None:
    (row, *_) = _objects(str(path), "--kind", "mark")
    assert row["says"] == {"market": "BTC/USDT:USDT", "price": "100000"}
    assert (row["type"], row["place"], row["time"]) == ("event", None, time_text(0))
    (line, *_) = _shown(str(path), "--kind", "health").stdout.splitlines()
    assert "trader-" in line
    assert " is now " in line
    assert " USDT, maintenance margin " in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--market", "BTC"), "unknown market BTC"),
        (("--kind", "marks"), "must be one of account, adl_class"),
    ],
)
def test_wrong_usage_says_what_would_be_right(path: Path, words: tuple[str, ...], said: str) -> None:
    ran = _shown(str(path), *words)
    assert ran.exit_code == 2
    assert said in " ".join(ran.stderr.split())


def test_a_damaged_journal_is_shown_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db")
    change(path, ("UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = 3", ()))
    ran = _shown(str(path), "--kind", "mark")
    assert ran.exit_code == 4
    assert ran.stdout
    assert "found: chain: batch 3" in ran.stderr
    assert "are not reliable" in ran.stderr
    (tmp_path / "text.db").write_text("no journal\n" * 99)
    ran = _shown(str(tmp_path / "text.db"))
    assert (ran.exit_code, ran.stdout) == (4, "")


def test_stats_count_what_is_there(path: Path) -> None:
    ran = CliRunner().invoke(app, ["stats", str(path), "--json"])
    assert ran.exit_code == 0
    said = json.loads(ran.stdout)
    events = np.concatenate([chunk.events for chunk in crash()])
    effects = np.concatenate([chunk.effects for chunk in crash()])
    assert (said["batches"], said["events"], said["effects"]) == (len(crash()), len(events), len(effects))
    assert said["events_by_kind"]["mark"] == int((events["kind"] == EventKind.MARK).sum())
    assert said["effects_by_kind"]["trade"] == int((effects["kind"] == EffectKind.TRADE).sum())
    assert sum(said["refused"].values()) == int((effects["kind"] == EffectKind.REFUSAL).sum()) > 0
    assert said["snapshots"] == [4, 6]
    assert (said["first_seq"], said["last_seq"]) == (1, len(events))
    text = CliRunner().invoke(app, ["stats", str(path)])
    assert f"events    {len(events):,}" in text.stdout


def test_a_speaker_needs_no_names(path: Path) -> None:
    with open_journal(path) as journal:
        speaker = speaker_of(journal, with_names=False)
    assert speaker.holder(5) == "account 5"
    assert speaker.account_number("5") == 5


CLASS = {"kind": int(EffectKind.ADL_CLASS), "account": 1, "market": 0, "code": 1, "other": 5, "lots": 7, "price_ticks": 3}
FILL = {
    "kind": int(EffectKind.ADL_FILL),
    "account": 1,
    "other": 2,
    "market": 0,
    "code": 1,
    "lots": -7,
    "price_ticks": 9,
    "value": 2_500_000,
}


@pytest.mark.parametrize(
    ("policy", "weight", "eta"),
    [
        (AdlPolicy.CAPPED_PRO_RATA, "weight 2.500000 USDT", "eta 0.004 / 0.000009 USDT"),
        (AdlPolicy.PRO_RATA, "weight 2500", "eta 0.004 / 0.009"),
        (AdlPolicy.RISK_AWARE, "weight 2500000 (lots x leverage)", "eta 0.004 / 9"),
        (AdlPolicy.WATER_FILLING, "weight factor leverage 2500000 ppm", "each lot from the highest leverage, down to 444444 ppm"),
        (AdlPolicy.QUEUE, "weight rank score 2500000 ppm", "one by one in order of rank score until done, the last at 4"),
        (AdlPolicy.RANDOM, "weight drawn number 2500000", "one by one in order of their drawn numbers until done, the last at 4"),
    ],
)
def test_weights_and_shares_of_adl_are_told_by_the_policy_of_the_venue(policy: AdlPolicy, weight: str, eta: str) -> None:
    bundled = venue()
    speaker = Speaker(replace(bundled, rules=bundled.rules._replace(adl_policy=int(policy))), names())
    is_ordered = policy in (AdlPolicy.QUEUE, AdlPolicy.RANDOM)
    blank = dict.fromkeys(EFFECT.names or (), 0)
    assert speaker.effect({**blank, **FILL}).endswith(weight)
    assert speaker.effect({**blank, **CLASS, "amount": 4, "value": 0 if is_ordered else 9}).endswith(eta)
    # Whoever all give their whole caps, and the house, which shares by lots under every policy.
    assert speaker.effect({**blank, **CLASS, "other": 3}).endswith("their whole caps")
    house = int(AdlClass.HOUSE)
    assert speaker.effect({**blank, **CLASS, "code": house, "amount": 4, "value": 9}).endswith("eta 0.004 / 0.009")
    assert speaker.effect({**blank, **FILL, "code": house}).endswith(speaker.lots(0, 2_500_000))
    assert speaker.effect({**blank, **FILL, "code": int(AdlClass.REST)}).endswith(
        speaker.lots(0, 2_500_000) if policy in (AdlPolicy.CAPPED_PRO_RATA, AdlPolicy.PRO_RATA) else weight
    )
