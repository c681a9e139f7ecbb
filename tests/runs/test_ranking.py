"""Ranks of a live market: the published example of the lights, states of a journal, and the
command.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, FINDING, OK, USAGE
from backstop.core.digest import state_digest
from backstop.core.events import AdlClass, Health
from backstop.core.position_rows import position_of
from backstop.core.waterfall.ranking import rank_score
from backstop.journal import JournalDamaged
from backstop.runs.history import replay_before, state_at
from backstop.runs.ranking import MarketRanks, rank_market
from tests.journal import runs

runner = CliRunner()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write(tmp_path_factory.mktemp("rank") / "journal.db")


@pytest.fixture(autouse=True)
def _warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstop.cli.account.warm_up", lambda: 0.0)


def test_lights_of_the_published_example() -> None:
    """BitMEX's worked example: six longs of 10, 10, 20, 30, 20, 10; the order 2, 5, 4, 1, 6, 3;
    percentiles 20 to 100 %.
    """
    order, lots = [2, 5, 4, 1, 6, 3], [10, 20, 30, 10, 10, 20]
    ranks = MarketRanks(np.array(order), np.array(lots), np.full(6, AdlClass.PROFITABLE), np.arange(6)[::-1])
    found = [ranks.of(account) for account in range(1, 7)]
    percentiles = [20 * (6 - place.lights) for place in found if place is not None]
    assert percentiles == [80, 20, 100, 60, 40, 80]
    assert [place.rank for place in found if place is not None] == [4, 1, 6, 3, 2, 5]
    assert ranks.of(7) is None
    last = ranks.of(3)
    assert last is not None
    assert (last.lots_before, last.lots_total, last.ranked) == (80, 100, 6)


def test_sums_of_lots_beyond_64_bits_are_exact() -> None:
    ranks = MarketRanks(np.arange(3), np.array([-(1 << 62)] * 3), np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64))
    assert [ranks.of(account).lights for account in range(3)] == [4, 2, 1]  # type: ignore[union-attr]


def test_states_of_the_past_are_those_of_the_digests(journal: Path) -> None:
    for chunk in runs.crash():
        seq = int(chunk.events["seq"][-1])
        past = state_at(journal, seq)
        assert (past.seq, state_digest(past.state)) == (seq, chunk.digest)
    assert state_digest(state_at(journal, None).state) == runs.crash()[-1].digest


def test_the_state_before_an_event_knows_what_follows(journal: Path) -> None:
    chunk = runs.crash()[3]
    seq = int(chunk.events["seq"][5])
    past = replay_before(journal, seq)
    assert past.seq == seq - 1
    assert past.next_event.tolist() == chunk.events[5:6].tolist()
    assert past.next_effects.tolist() == chunk.effects[chunk.effects["seq"] == seq].tolist()
    end = replay_before(journal, None)
    assert (len(end.next_event), len(end.next_effects)) == (0, 0)


def test_everyone_with_lots_who_is_not_in_default_has_one_rank(journal: Path) -> None:
    for seq in (200, 320, 450, None):
        past = state_at(journal, seq)
        for market in (0, 1):
            for side, ranks in zip((1, -1), rank_market(past.state, market), strict=True):
                held = {}
                for account in range(runs.ACCOUNTS):
                    position = position_of(past.state, account, market)
                    lots = int(past.state.positions[position].lots) if position >= 0 else 0
                    if lots * side > 0 and past.state.accounts[account].health < Health.DISTRESSED:
                        held[account] = (lots, int(rank_score(past.state, position)))
                assert sorted(ranks.accounts.tolist()) == sorted(held)
                assert {account: place for account, *place in zip(ranks.accounts, ranks.lots, ranks.scores, strict=True)} == {
                    account: list(values) for account, values in held.items()
                }
                keys = list(zip(ranks.classes.tolist(), (-ranks.scores).tolist(), strict=True))
                assert keys == sorted(keys)


def test_asking_changes_nothing(journal: Path) -> None:
    past = state_at(journal, 300)
    before = state_digest(past.state)
    rank_market(past.state, 0)
    assert state_digest(past.state) == before


def test_a_damaged_journal_is_refused(journal: Path, tmp_path: Path) -> None:
    damaged = runs.copy(journal, tmp_path / "damaged.db")
    runs.change(damaged, ("UPDATE batches SET events = zeroblob(length(events)) WHERE number = 2", ()))
    with pytest.raises(JournalDamaged):
        state_at(damaged, None)
    result = runner.invoke(app, ["account", "rank", "trader-1", "--journal", str(damaged)])
    assert result.exit_code == FINDING
    assert "error: " in result.output


# The command


def test_the_command_names_rank_lights_and_policy(journal: Path) -> None:
    result = runner.invoke(app, ["account", "rank", "trader-1", "--journal", str(journal), "--at", "200"])
    assert result.exit_code == OK, result.output
    assert "account   trader-1, at seq 200" in result.output
    assert "BTC/USDT:USDT" in result.output
    assert "lights    " in result.output
    assert "this venue then deleverages by capped_pro_rata" in result.output


def test_the_command_agrees_with_the_ranks(journal: Path) -> None:
    past = state_at(journal, 200)
    for account in range(runs.ACCOUNTS):
        result = runner.invoke(app, ["account", "rank", f"trader-{account}", "--journal", str(journal), "--at", "200", "--json"])
        assert result.exit_code == OK
        values = json.loads(result.stdout)
        assert (values["id"], values["seq"], values["adl_policy"]) == (account, 200, "capped_pro_rata")
        for entry in values["markets"]:
            longs, shorts = rank_market(past.state, past.venue.market(entry["market"]))
            place = longs.of(account) or shorts.of(account)
            assert entry["rank"] == (None if place is None else place.as_json())


def test_an_account_in_default_or_without_lots_has_no_rank(journal: Path) -> None:
    past = state_at(journal, 300)
    symbol = past.venue.markets[0].symbol
    states = [(account, int(past.state.accounts[account].health), position_of(past.state, account, 0)) for account in range(runs.ACCOUNTS)]
    in_default = next(
        account for account, health, position in states if health >= Health.DISTRESSED and past.state.positions[position].lots
    )
    flat = next(account for account, _, position in states if past.state.positions[position].lots == 0)
    for account, why in ((in_default, "ADL takes only accounts that are not"), (flat, "it has no lots")):
        result = runner.invoke(app, ["account", "rank", str(account), "--journal", str(journal), "--at", "300", "--market", symbol])
        assert result.exit_code == OK
        assert f"rank      none: {why}" in result.output.replace("it is distressed, and ", "").replace("it is insolvent, and ", "").replace(
            "it is close_out, and ", ""
        )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], FAILED, "no account is called nobody at seq"),
        (["99"], FAILED, "no account is called 99"),
        (["trader-1", "--market", "DOGE"], USAGE, "unknown market DOGE"),
    ],
)
def test_the_command_refuses_what_is_not_there(arguments: list[str], code: int, said: str, journal: Path) -> None:
    result = runner.invoke(app, ["account", "rank", *arguments, "--journal", str(journal)])
    assert result.exit_code == code
    assert said in " ".join(result.output.split())


def test_the_command_refuses_a_journal_that_is_not_there(tmp_path: Path) -> None:
    result = runner.invoke(app, ["account", "rank", "trader-1", "--journal", str(tmp_path / "absent.db")])
    assert result.exit_code == FAILED
