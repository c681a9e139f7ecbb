"""``backstop explain``: every number of every decision comes out of the tape again, and a wrong one
is told.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backstop.cli.explain import app
from backstop.core.events import Cause, EffectKind, Health
from backstop.explain import as_text, explain
from backstop.explain.audit import audit
from backstop.explain.facts import FACTS
from backstop.journal import JournalDamaged, JournalError
from backstop.markets.scenarios import scenario_names
from backstop.reference.margin import Contract, Holding, Portfolio, Tier
from backstop.runs.replay import replay
from tests.journal.killed import small_case
from tests.journal.runs import ACCOUNTS, change, crash, write


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("explain") / "journal.db")


def _defaulters() -> list[int]:
    found = {
        int(row["account"])
        for chunk in crash()
        for row in chunk.effects
        if row["kind"] == EffectKind.HEALTH and row["code"] >= Health.DISTRESSED
    }
    return sorted(found)


def _ran(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("account", range(ACCOUNTS))
def test_every_number_about_every_account_is_worked_out_anew(path: Path, account: int) -> None:
    found = explain(path, f"trader-{account}")
    assert found.checks_failed == []
    if account in _defaulters():
        assert found.decisions
        assert found.checks_made > 5 * len(found.decisions)


def test_the_whole_tape_explains_itself(path: Path) -> None:
    found = audit(path)
    assert found.accounts == len(_defaulters()) > 5
    assert found.failed == ()
    assert found.checks > 5 * found.decisions > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_every_defaulter_of_the_bundled_crashes_is_explained(tmp_path: Path, name: str) -> None:
    case = small_case(name)
    options: dict[str, Any] = {"schedule": case.schedule, "names": case.names, "seed": case.seed}
    result = replay(case.venue, case.prices.events, case.opening, journal_path=tmp_path / "journal.db", **options)
    found = audit(tmp_path / "journal.db")
    assert found.failed == ()
    assert found.accounts >= result.tally.defaults > 0


@pytest.mark.parametrize("account", range(ACCOUNTS))
def test_in_short_counts_every_default_and_every_lot_that_the_engine_moved(path: Path, account: int) -> None:
    brief = explain(path, str(account)).brief
    assert brief is not None
    rows = [row for chunk in crash() for row in chunk.effects if row["account"] == account]
    health = [Health.HEALTHY, *(Health(int(row["code"])) for row in rows if row["kind"] == EffectKind.HEALTH)]
    begun = [new for old, new in pairwise(health) if old < Health.DISTRESSED <= new]
    assert [each.health for each, _ in brief.defaults] == begun
    assert (brief.defaults[-1][1] is None) == (health[-1] >= Health.DISTRESSED) if brief.defaults else account not in _defaulters()
    ordinary = (Cause.OPENING, Cause.FILL)
    moved: dict[tuple[int, Cause], int] = {}
    for row in rows:
        if row["kind"] == EffectKind.TRADE and row["code"] not in ordinary:
            key = int(row["market"]), Cause(int(row["code"]))
            moved[key] = moved.get(key, 0) + int(row["lots"])
    told = {key: brief.closed.get(key, 0) + brief.taken.get(key, 0) for key in {*brief.closed, *brief.taken}}
    assert told == moved
    if not brief.defaults:
        assert brief.closed == {}


def test_in_short_stands_first_and_not_where_one_event_is_asked_for(path: Path) -> None:
    account = str(_defaulters()[0])
    found = explain(path, account)
    assert "\nin short  in default from 1970-01-01T" in as_text(found)
    alone = explain(path, account, found.decisions[0].seq)
    assert "in short" not in as_text(alone)
    said = json.loads(_ran(account, "--journal", str(path), "--json").stdout)["in_short"]
    assert said["defaults"][0]["from"]["health"] in ("distressed", "close_out", "insolvent")
    assert {"market", "cause", "quantity", "lots"} == {*said["closed"][0]}


def test_every_decision_of_the_tape_is_told(path: Path) -> None:
    """Each effect about the account that the engine decided is a fact of some decision."""
    wanted = {EffectKind.HEALTH, EffectKind.RESTRICT, EffectKind.ORDER, EffectKind.CANCEL, EffectKind.ADL_PLAN, EffectKind.TEAR_UP}
    wanted |= {EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.RESIDUAL, EffectKind.ADL_FILL, EffectKind.RESERVE}
    kinds = set()
    for account in _defaulters():
        found = explain(path, str(account))
        told = sorted((decision.seq, fact.kind) for decision in found.decisions for fact in decision.facts if fact.place is not None)
        expected = [
            (int(row["seq"]), EffectKind(int(row["kind"])).name.lower())
            for chunk in crash()
            for row in chunk.effects
            if row["account"] == account and row["kind"] in wanted
        ]
        names = {kind.name.lower() for kind in wanted}
        assert [each for each in told if each[1] in names] == sorted(expected)
        kinds |= {kind for _, kind in told}
    assert {"health", "restrict", "order", "trade", "posting", "adl_plan"} <= kinds


@pytest.mark.parametrize(
    ("name", "what"),
    [("margin", "maintenance margin"), ("trade", "realised P&L"), ("zero_cash", "zero cash")],
)
def test_a_number_that_does_not_come_out_is_told(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str) -> None:
    """The check can fail: a wrong rule shows."""
    trade, zero_cash = Holding.after_trade, Portfolio.zero_cash

    def wrong_trade(*words: Any) -> tuple[Holding, int]:
        after, realised = trade(*words)
        return after, realised + 1

    def wrong_zero_cash(*words: Any) -> Any:
        zero = zero_cash(*words)
        return zero._replace(at_mark=zero.at_mark + 1)

    wrong: dict[str, tuple[type, str, Any]] = {
        "margin": (Contract, "tier_of", lambda *_, **__: Tier(20_001, 0)),
        "trade": (Holding, "after_trade", wrong_trade),
        "zero_cash": (Portfolio, "zero_cash", wrong_zero_cash),
    }
    monkeypatch.setattr(*wrong[name])
    failed = [line for account in _defaulters() for line in explain(path, str(account)).checks_failed]
    assert any(what in line for line in failed)
    assert any("tape" in line and "worked out" in line for line in failed)


def test_the_command_tells_people_and_programs_the_same(path: Path) -> None:
    account = _defaulters()[0]
    text = _ran(f"trader-{account}", "--journal", str(path))
    assert text.exit_code == 0
    assert f"account   trader-{account} (number {account})" in text.stdout
    assert "all agree" in text.stdout
    said: dict[str, Any] = json.loads(_ran(f"trader-{account}", "--journal", str(path), "--json").stdout)
    assert said["account"] == {"name": f"trader-{account}", "number": account}
    assert said["checks"]["failed"] == []
    assert said["checks"]["made"] == sum(len(fact["checks"]) for decision in said["decisions"] for fact in decision["facts"])
    for decision in said["decisions"]:
        assert f"seq {decision['seq']}, {decision['time']}: {decision['trigger']}" in text.stdout
        for fact in decision["facts"]:
            assert fact["says"] in text.stdout
    health = next(fact for decision in said["decisions"] for fact in decision["facts"] if fact["kind"] == "health")
    assert set(health["values"]) >= {"equity", "balance", "maintenance_margin", "release_level", "positions", "health", "before"}


def test_one_event_may_be_asked_for(path: Path) -> None:
    account = _defaulters()[0]
    seq = explain(path, str(account)).decisions[0].seq
    said = json.loads(_ran(str(account), "--journal", str(path), "--at", str(seq), "--json").stdout)
    assert [decision["seq"] for decision in said["decisions"]] == [seq]
    quiet = explain(path, str(account), seq - 1)
    assert quiet.standing is not None
    assert quiet.standing.seq == seq - 1
    assert quiet.checks_failed == []


def test_an_account_of_which_nothing_was_decided(tmp_path: Path) -> None:
    opening = write(tmp_path / "journal.db", crash()[:1])
    calm = next(account for account in range(ACCOUNTS) if not explain(opening, str(account)).decisions)
    ran = _ran(str(calm), "--journal", str(opening))
    assert ran.exit_code == 0
    assert "decisions none" in ran.stdout


def test_what_cannot_be_explained_says_why(path: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no account has the name or number 'nobody'"):
        explain(path, "nobody")
    with pytest.raises(JournalError, match="has no event of seq 999999"):
        explain(path, "3", 999_999)
    with pytest.raises(JournalError, match="trader-23 is not open at seq 1"):
        explain(path, "trader-23", 1)
    with pytest.raises(FileNotFoundError):
        explain(tmp_path / "none.db", "3")
    assert _ran("nobody", "--journal", str(path)).exit_code == 1
    damaged = write(tmp_path / "journal.db")
    change(damaged, ("UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = 3", ()))
    with pytest.raises(JournalDamaged, match="chain: batch 3"):
        explain(damaged, "3")
    assert _ran("3", "--journal", str(damaged)).exit_code == 4


def test_a_tape_that_replays_otherwise_is_not_explained(tmp_path: Path) -> None:
    account = _defaulters()[0]
    effects = crash()[3].effects.copy()
    mine = (effects["account"] == account) & (effects["kind"] == EffectKind.HEALTH)
    place = int(mine.argmax()) if mine.any() else 0
    effects["amount"][place] += 1
    other = write(tmp_path / "journal.db", (*crash()[:3], crash()[3]._replace(effects=effects), *crash()[4:]))
    with pytest.raises(JournalDamaged, match="effect_differs"):
        explain(other, str(int(effects["account"][place])))


def test_every_stage_that_moves_lots_or_money_has_a_row() -> None:
    """A kind without a row is told in its words alone; these must say what lies behind them."""
    assert set(FACTS) >= {
        EffectKind.HEALTH,
        EffectKind.ORDER,
        EffectKind.TRADE,
        EffectKind.POSTING,
        EffectKind.ADL_PLAN,
        EffectKind.ADL_FILL,
        EffectKind.TEAR_UP,
        EffectKind.TAKEOVER,
    }


def test_the_text_shows_a_certificate_where_there_was_adl(path: Path) -> None:
    planned = {int(row["account"]) for chunk in crash() for row in chunk.effects if row["kind"] == EffectKind.ADL_PLAN}
    assert planned
    for account in planned:
        assert "certificate: sound" in as_text(explain(path, str(account)))
