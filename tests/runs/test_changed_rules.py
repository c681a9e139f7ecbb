"""Runs in which rules change: every reader of a tape goes by those that were in force at the moment that
it speaks of.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.comparison.compare import compare_wave, waves_of
from backstop.config.policies import Weight, weight_kind
from backstop.core.events import (
    EFFECT,
    EVENT,
    NONE,
    AdlPolicy,
    Cause,
    Change,
    EffectKind,
    EventArray,
    EventKind,
    Guard,
    Health,
    Stage,
    fund_of,
    funding_of,
)
from backstop.core.kinds import AdlFillEffect
from backstop.core.parameter_table import PARAMETERS, value_at
from backstop.core.position_rows import position_of
from backstop.core.price_levels import level_ticks
from backstop.core.rules_in_force import rules_after, rules_in_force
from backstop.core.state import State, new_state
from backstop.explain import explain, rules_at
from backstop.face.tables import table_of
from backstop.journal import JournalError, Names
from backstop.journal.pruning import prune
from backstop.markets.world import DRAIN_NS
from backstop.reference.records import events_array
from backstop.report import Gathering, RunFacts, gather_journal
from backstop.report.ladder import ladder_of
from backstop.report.page import page
from backstop.runs.fold import Fold
from backstop.runs.history import apply_events, state_at
from backstop.runs.outcome import OutcomeTally
from backstop.runs.replay import _drain_ns
from backstop.runs.rule_changes import RuleChanges
from backstop.runs.statement import _Moves
from backstop.runs.tally import Tally
from tests.attacks.scene import venue as scene_venue
from tests.journal import runs
from tests.rules.test_parameters import desk
from tests.rules.test_relief import sunk
from tests.runs.venues import full_venue
from tests.streams.random_streams import make_stream

runner = CliRunner()
NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}
K, F = EventKind, EffectKind


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crash in which the maintenance rate of BTC and the policy of ADL change."""
    return runs.write(tmp_path_factory.mktemp("changed") / "journal.db", runs.changed_crash())


@pytest.fixture(scope="module")
def gathering(journal: Path) -> Gathering:
    return gather_journal(journal)[0]


@pytest.fixture(autouse=True)
def _warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstop.cli.account.warm_up", lambda: 0.0)


def rows(of: np.dtype[np.void], *given: dict[str, int]) -> EventArray:
    """Return events or effects by their columns."""
    made = np.zeros(len(given), dtype=of)
    made["market"] = made["account"] = NONE
    for row, columns in zip(made, given, strict=True):
        for name, value in columns.items():
            row[name] = value
    return made


def told(seq: int, key: str, value: int, market: int = NONE) -> dict[str, int]:
    """The effect by which a rule changes."""
    return {"seq": seq, "kind": F.PARAMETER, "code": NUMBERS[key], "market": market, "price_ticks": Change.APPLIED, "amount": value}


def clocks(count: int) -> EventArray:
    """Events a second apart in which nothing is asked for."""
    return rows(EVENT, *({"seq": seq, "time_ns": seq * runs.SECOND, "kind": K.CLOCK} for seq in range(1, count + 1)))


# What is in force


@pytest.mark.parametrize("profile", ["parameters", "relief", "listings", "endings"])
def test_rules_followed_by_effects_are_those_of_the_state(profile: str) -> None:
    """After every event, those of markets that are listed and that end among them."""
    changes = 0
    for seed in range(12):
        begun, stream = make_stream(seed, profile)
        events, state, rules = events_array(stream), new_state(begun), begun
        for place in range(len(events)):
            effects = apply_events(state, events[place : place + 1])
            before, rules = rules, rules_after(rules, effects)
            changes += rules is not before
            if rules is not before or place == len(events) - 1:
                assert rules == rules_in_force(begun, state), f"seed {seed}, seq {events['seq'][place]}"
    assert changes > 5


def test_journal_rules_says_that_a_market_is_listed_no_more(tmp_path: Path) -> None:
    """An operator ends a market: from the event in which all of it is settled it is not listed."""
    run = runs._Run(new_state(runs.venue().rules))
    run.send(K.MARK, market=1, price_ticks=300_000)
    run.send(K.SETTLEMENT, market=1, price_ticks=300_000)
    for _ in range(3):
        run.time_ns += runs.SECOND
        run.send(K.CLOCK)
    path = runs.write(tmp_path / "ends.db", (run.cut(),))
    assert [market.is_listed for market in rules_at(path).markets] == [1, 0]
    assert "is_listed" in runner.invoke(app, ["journal", "rules", str(path)]).stdout


def test_rules_are_known_where_the_segments_in_which_they_changed_are_gone(tmp_path: Path) -> None:
    """The rate changes in the second segment, the policy in the second, too, and the rate again in the third."""
    path = runs.write(tmp_path / "journal.db", runs.changed_crash(), segment_events=1, snapshot_every=2)
    whole, last = rules_at(path), int(runs.changed_crash()[3].events["seq"][-1])
    in_the_middle = rules_at(path, last)
    assert in_the_middle != whole
    prune(path, 2)
    assert (rules_at(path), rules_at(path, last)) == (whole, in_the_middle)
    prune(path, 1)
    assert rules_at(path) == whole
    with pytest.raises(JournalError, match="not recomputed: the segment is not here"):
        rules_at(path, last)


def test_a_batch_is_taken_in_parts_by_its_rules() -> None:
    """What lots are worth changes within one batch: each fill counts by the contract of its time."""
    venue = full_venue()
    factor = venue.rules.markets[0].notional_factor
    tally = Tally(venue)
    changes = tally.fold.join(RuleChanges())
    fill = {"kind": F.TRADE, "code": Cause.CLOSEOUT, "market": 0, "account": 1, "lots": -2, "price_ticks": 10}
    tally.fold.take(
        clocks(3),
        rows(EFFECT, fill | {"seq": 1}, told(2, "market.notional_factor", 5 * factor, market=0), fill | {"seq": 2}, fill | {"seq": 3}),
    )
    assert tally.notional[Stage.CLOSEOUT] == 2 * 10 * factor * (1 + 5 + 5)
    assert tally.fold.rules.markets[0].notional_factor == 5 * factor
    (change,) = changes.all
    assert (change.seq, change.time_ns, change.of_market) == (2, 2 * runs.SECOND, 0)
    assert (change.old_value, change.new_value) == (factor, 5 * factor)


def test_a_value_that_a_rule_had_already_is_no_change() -> None:
    fold = Fold(full_venue())
    changes = fold.join(RuleChanges())
    fee = value_at(fold.rules, NUMBERS["closeout.fee_ppm"])
    fold.take(clocks(2), rows(EFFECT, told(1, "closeout.fee_ppm", fee), told(2, "closeout.fee_ppm", fee + 1)))
    assert [(each.seq, each.old_value, each.new_value) for each in changes.all] == [(2, fee, fee + 1)]


def test_a_run_ends_before_the_shortest_age_that_was_asked_for_makes_a_mark_stale() -> None:
    """The file has no such age, or one of 30 s; an event asks for 10 s, another switches it off."""
    venue = full_venue()
    outside = rows(
        EVENT,
        {"seq": 1, "time_ns": runs.SECOND, "kind": K.MARK, "market": 0, "price_ticks": 10},
        {"seq": 2, "time_ns": 2 * runs.SECOND, "kind": K.PARAMETER, "code": NUMBERS["breakers.stale_ns"], "amount": 10 * runs.SECOND},
        {"seq": 3, "time_ns": 5 * runs.SECOND, "kind": K.PARAMETER, "code": NUMBERS["breakers.stale_ns"], "amount": 0},
    )
    for age_s in (0, 30):
        of_file = venue.rules._replace(breakers=venue.rules.breakers._replace(stale_ns=age_s * runs.SECOND))
        assert _drain_ns(replace(venue, rules=of_file), outside) == 10 * runs.SECOND - 1 - 4 * runs.SECOND
        assert _drain_ns(replace(venue, rules=of_file), outside[:1]) == (30 * runs.SECOND - 1 if age_s else DRAIN_NS)


# Ladders


def check_ladder(gathering: Gathering, state: State) -> int:
    """Compare each rung with the engine's own price; return how many there are."""
    ladder = gathering.ladder_now()
    for account, market, ticks in zip(ladder.account.tolist(), ladder.market.tolist(), ladder.liquidation_ticks.tolist(), strict=True):
        level = int(level_ticks(state, int(position_of(state, account, market)), True))
        assert ticks == (0 if level == NONE else level), (account, market)
    health = state.accounts["health"][ladder.account]
    assert ladder.in_default.tolist() == (health >= Health.DISTRESSED).tolist()
    return len(ladder.account)


def test_ladders_are_the_engines_after_each_change() -> None:
    gathering, state, rungs = Gathering(replace(runs.venue())), new_state(runs.venue().rules), 0
    for chunk in runs.changed_crash():
        gathering.add(chunk.events, chunk.effects)
        apply_events(state, chunk.events)
        rungs += check_ladder(gathering, state)
    assert rungs > 50


def test_a_position_with_relief_has_the_price_at_which_the_engine_acts() -> None:
    """It needs 62.5 % of the new margin: its account is not in default, and has a price."""
    both, account, _ = sunk()
    begun, events = scene_venue(markets=2), events_array(both.events)
    state, gathering = new_state(begun), Gathering(replace(runs.venue(), rules=begun))
    gathering.add(events, apply_events(state, events))
    assert check_ladder(gathering, state) == 1
    assert gathering.books.holdings().kept_ppm.tolist() == [625_000]
    assert gathering.ladder_now().account.tolist() == [account]


def test_the_ladder_before_goes_by_the_rules_before_the_first_move() -> None:
    """The rate is doubled before the first mark after the positions, and halved in the event of that mark."""
    begun = scene_venue()
    both = desk(begun)
    account = both.open(100, lots=1)
    both.open(10_000, lots=-1)
    both.change("tier.maintenance_rate_ppm", 90_000, market=0)
    both.change("tier.maintenance_rate_ppm", 50_000, both.time_ns + 2 * runs.SECOND, market=0)
    level = int(level_ticks(both.state, int(position_of(both.state, account, 0)), True))
    both.send(K.MARK, market=0, price_ticks=999)
    assert int(level_ticks(both.state, int(position_of(both.state, account, 0)), True)) != level
    events, gathering = events_array(both.events), Gathering(replace(full_venue(), rules=begun))
    gathering.add(events, apply_events(new_state(begun), events))
    ladder = gathering.opening.ladder
    assert ladder is not None
    assert ladder.liquidation_ticks[ladder.account == account].tolist() == [level]


def test_tables_of_a_run_have_the_prices_of_the_rules_at_the_end(gathering: Gathering) -> None:
    table = table_of(gathering, Names(), "ladder_after").to_pydict()
    tick = float(gathering.venue.markets[0].price_tick)
    ladder = gathering.ladder_now()
    of_file = ladder_of(gathering.venue.rules, gathering.books.holdings(), gathering.tally.fold.mark.now)
    shown = [price or 0 for price in table["liquidation_price"]]
    ticks = np.where(ladder.market == 0, tick, float(gathering.venue.markets[1].price_tick))
    assert shown == (ladder.liquidation_ticks * ticks).tolist()
    assert (ladder.liquidation_ticks != of_file.liquidation_ticks).any()


# The page


def test_the_page_tells_each_change(gathering: Gathering) -> None:
    text = page(gathering, RunFacts(title="changed", digest=""))
    section = text[text.index('id="rules"') : text.index('id="refused"')]
    words = re.sub("<[^>]*>", "|", section)
    for change in gathering.rule_changes.all:
        assert f"|{change.seq:,}|" in words
    assert re.search(r"tier.maintenance_rate_ppm\|+BTC, tier 0\|+2 %\|+2.5 %\|", words)
    assert re.search(r"tier.maintenance_rate_ppm\|+BTC, tier 0\|+2.5 %\|+1.5 %\|", words)
    assert re.search(r"venue.adl_policy\|+capped_pro_rata\|+pro_rata\|", words)
    markets = text[text.index('id="markets"') : text.index('id="halts"')]
    assert "maintenance rate of tier 0 from 2 % to 2.5 % at " in markets
    assert 'class="line rulechange"' in markets


def test_a_page_without_a_change_has_no_section_of_them() -> None:
    gathering = Gathering(runs.venue())
    for chunk in runs.crash():
        gathering.add(chunk.events, chunk.effects)
    text = page(gathering, RunFacts(title="unchanged", digest=""))
    assert 'id="rules"' not in text
    assert "#rules" not in text
    assert 'class="line rulechange"' not in text


def test_what_a_provider_had_committed_is_told_with_its_changes() -> None:
    gathering = Gathering(full_venue())
    number, event = NUMBERS["commitment.capacity"], {"kind": K.CLOCK, "time_ns": runs.SECOND}
    capacity, edge = gathering.venue.rules.providers[0].commitments[0][1][0], NUMBERS["commitment.edge_ppm"]
    of_shorts = {"seq": 2, "kind": F.PARAMETER, "other": 0, "lots": 1, "price_ticks": Change.APPLIED}
    gathering.add(
        rows(EVENT, event | {"seq": 1}, event | {"seq": 2}),
        rows(
            EFFECT,
            {"seq": 1, "kind": F.PROVIDER, "account": 7, "other": 0},
            of_shorts | {"code": number, "amount": 1_234_000_000},
            of_shorts | {"code": edge, "amount": 12_500},
        ),
    )
    text = re.sub("<[^>]*>", "", page(gathering, RunFacts(title="providers", digest="")))
    assert f"capacity of majors, shorts from {capacity // 10**6:,} to 1,234 at 00:00:01 (seq 2)" in text
    assert "edge of majors, shorts from 0.5 % to 1.25 % at 00:00:01 (seq 2)" in text


def test_a_held_mark_is_told_with_the_guard_that_held_it() -> None:
    """The file has no guard; the market gets one before it is listed, and another later."""
    venue = full_venue()
    gathering = Gathering(venue)
    held = {"kind": F.GUARD, "code": Guard.HELD, "market": 0, "price_ticks": 130, "amount": 300_000, "other": 100}
    dropped = held | {"code": Guard.DROPPED}
    events = rows(
        EVENT,
        *({"seq": seq, "time_ns": seq * runs.SECOND, "kind": K.MARK, "market": 0, "price_ticks": 130} for seq in range(1, 7)),
    )
    gathering.add(
        events,
        rows(
            EFFECT,
            told(2, "market.guard_jump_ppm", 50_000, market=0),
            told(2, "market.guard_volume_lots", 4_000, market=0),
            held | {"seq": 3},
            dropped | {"seq": 4},
            told(5, "market.guard_jump_ppm", 70_000, market=0),
            held | {"seq": 6},
        ),
    )
    assert [(each.guard_jump_ppm, each.guard_volume_lots) for each in gathering.tally.guard.held] == [(50_000, 4_000), (70_000, 4_000)]
    text = re.sub("<[^>]*>", "", page(gathering, RunFacts(title="guard", digest="")))
    assert "(from 5 %)" in text
    assert "(from 7 %)" in text
    assert "held, as 5 % or more on less than 4 is;" in gathering.tally.guard.held[0].why(venue)


# Groups of markets


def moved_to_others() -> dict[str, int]:
    return told(2, "market.group", 1, market=0)


def test_funding_is_of_the_group_that_the_market_is_of_then() -> None:
    venue = full_venue()
    fold = Fold(venue)
    moves = fold.join(_Moves(fold))
    paid = {"kind": F.POSTING, "code": Cause.FUNDING, "market": 0, "account": funding_of(0), "other": 3, "amount": 50}
    fold.take(clocks(3), rows(EFFECT, paid | {"seq": 1}, moved_to_others(), paid | {"seq": 2, "amount": 7}, paid | {"seq": 3, "amount": 2}))
    assert [found[3] for found in moves.funds()] == [50, 9]


def test_what_winners_pay_is_of_the_group_that_the_market_is_of_then() -> None:
    """Each group's fund holds 100 while winners pay 30, once in each group: 60 were paid while a fund held it."""
    tally = Tally(full_venue())
    outcome = OutcomeTally(tally)
    cut = {"kind": F.HAIRCUT, "market": 0, "account": 3, "amount": 30}
    cash = {"seq": 1, "kind": F.POSTING, "code": Cause.CASH, "other": -1, "amount": 100}
    only_others = [cash | {"account": fund_of(1)}]
    tally.fold.take(clocks(3), rows(EFFECT, *only_others, cut | {"seq": 1}, moved_to_others(), cut | {"seq": 3}))
    assert outcome._held == 30


# Liquidations


@pytest.mark.parametrize(("rate", "premature"), [(None, 0), (15_000, 1), (25_000, 0)])
def test_a_liquidation_is_premature_by_the_rules_along_its_way(rate: int | None, premature: int) -> None:
    """A coin long at 100,000 with 2,900 sinks at 99,000, where it has 1,900 and needs 1,980; a slice is closed.
    A minute later the rate falls to 1.5 %, of which it has enough, or rises, or stays.
    """
    run = runs._Run(new_state(runs.venue().rules))
    run.send(K.MARK, market=0, price_ticks=1_000_000)
    for side in (0, 1):
        run.send(K.DEPTH, market=0, code=side, other=0, lots=100)
    for account, deposit in ((0, 2_900), (1, 100_000)):
        run.send(K.ACCOUNT, account=account, other=account)
        run.send(K.TRANSFER, account=account, amount=deposit * runs.ATOMS)
    run.send(K.FILL, account=0, other=1, market=0, lots=1_000, price_ticks=1_000_000)
    run.time_ns = runs.SECOND
    run.send(K.MARK, market=0, price_ticks=990_000)
    run.time_ns = 60 * runs.SECOND
    if rate is not None:
        run.send(K.PARAMETER, code=NUMBERS["tier.maintenance_rate_ppm"], market=0, amount=rate)
    run.time_ns = 3_700 * runs.SECOND
    run.send(K.MARK, market=0, price_ticks=990_000)
    tally, chunk = Tally(runs.venue()), run.cut()
    outcome = OutcomeTally(tally)
    tally.fold.take(chunk.events, chunk.effects)
    found = outcome._followed(run.time_ns)
    assert (found["liquidations"], found["premature"], found["undecided"]) == (1, premature, 0)


# Auto-deleveraging


def test_a_rank_is_shown_with_the_policy_of_its_moment(journal: Path) -> None:
    change = next(each for each in runs.changed_crash()[3].effects if each["kind"] == F.PARAMETER)
    for at, policy in ((int(change["seq"]) - 1, "capped_pro_rata"), (int(change["seq"]), "pro_rata")):
        result = runner.invoke(app, ["account", "rank", "trader-1", "--journal", str(journal), "--at", str(at)])
        assert f"this venue then deleverages by {policy}:" in result.output
    assert state_at(journal, None).rules == rules_at(journal)


def test_a_wave_is_compared_with_the_policy_that_it_had(journal: Path) -> None:
    comparison = compare_wave(journal)
    assert comparison.is_sound
    assert comparison.notes[0] == "recorded under pro_rata"
    assert not any("differ" in note for note in comparison.notes)


@pytest.mark.parametrize(
    ("key", "value", "recorded"), [("venue.adl_policy", AdlPolicy.QUEUE, "queue"), ("adl.counterparties_max", 5, "capped_pro_rata")]
)
def test_a_wave_in_the_event_in_which_a_rule_changes_is_run_under_each(key: str, value: int, recorded: str, tmp_path: Path) -> None:
    """The change waits for the mark that brings the wave: each policy is still run, the recorded one to the
    byte.
    """
    chunks = waiting_for_the_wave(key, value)
    path = runs.write(tmp_path / "waiting.db", chunks, snapshot_every=0)
    (wave,) = waves_of(path)
    comparison = compare_wave(path, wave.seq)
    assert comparison.notes[0] == f"recorded under {recorded}"
    assert not any("differ" in note for note in comparison.notes)
    assert len({tuple(sorted(outcome.parts.items())) for outcome in comparison.outcomes}) > 1
    assert len(next(each for each in comparison.outcomes if each.policy == AdlPolicy.QUEUE).parts) < max(
        len(each.parts) for each in comparison.outcomes
    )


def waiting_for_the_wave(key: str, value: int) -> tuple[runs.Chunk, ...]:
    """Two longs of 90 against six shorts of 30. Without a book the mark that sinks one long brings ADL, and
    with it the change of a rule.
    """
    run = runs._Run(new_state(runs.venue().rules))
    run.send(K.MARK, market=0, price_ticks=1_000_000)
    for account in range(8):
        run.send(K.ACCOUNT, account=account, other=account)
        run.send(K.TRANSFER, account=account, amount={0: 600_000, 7: 5_000_000}.get(account, 400_000 + account) * runs.ATOMS)
    for account in range(1, 7):
        for long in (0, 7):
            run.send(K.FILL, account=long, other=account, market=0, lots=15_000, price_ticks=1_000_000)
    for side in (0, 1):
        for band in (0, 1):
            run.send(K.DEPTH, market=0, code=side, other=band, lots=0)
    run.time_ns = 60 * runs.SECOND
    run.send(K.PARAMETER, code=NUMBERS[key], amount=value, price_ticks=120 * runs.SECOND)
    run.time_ns = 120 * runs.SECOND
    run.send(K.MARK, market=0, price_ticks=940_000)
    return (run.cut(),)


def test_show_says_weights_by_the_policy_of_their_plan(journal: Path) -> None:
    """Pro rata weighs lots; the file's policy would make money of them."""
    fills = [each for chunk in runs.changed_crash() for each in AdlFillEffect.each(chunk.effects)]
    assert weight_kind(AdlPolicy.PRO_RATA, fills[0].adl_class) == Weight.LOTS
    quantity_text = runs.venue().markets[fills[0].market].quantity_text
    for options in ([], ["--limit", "3"]):
        lines = runner.invoke(app, ["journal", "show", str(journal), "--kind", "adl_fill", *options]).stdout.splitlines()
        assert lines
        for line, fill in zip(lines, fills, strict=False):
            assert line.endswith(f"weight {quantity_text(fill.weight)}")
    said = runner.invoke(app, ["journal", "show", str(journal), "--kind", "adl_class"]).stdout
    assert re.search(r"eta [0-9.]+ / [0-9.]+$", said, re.MULTILINE)


def test_explain_says_weights_by_the_policy_of_their_plan(journal: Path) -> None:
    fill = next(each for chunk in runs.changed_crash() for each in AdlFillEffect.each(chunk.effects) if each.account >= 0)
    found = explain(journal, str(fill.account), fill.seq)
    assert found.checks_failed == []
    said = [fact.says for fact in found.decisions[0].facts if fact.kind == "adl_fill"]
    assert any(text.endswith(f"weight {runs.venue().markets[fill.market].quantity_text(fill.weight)}") for text in said)
    assert not any(text.endswith("USDT") for text in said)
