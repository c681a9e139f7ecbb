"""Rules that changed while a venue ran: which were in force when, and what explain says then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.cli.exits import FAILED, OK
from backstop.core.events import EffectKind, EventKind, Health
from backstop.core.instruments import BreakerRules
from backstop.core.state import new_state
from backstop.explain import rules_at
from backstop.journal import JournalError
from backstop.journal.verify import verify
from tests.attacks.scene import SECOND, venue
from tests.explain.test_explain_stages import explained_of
from tests.journal import runs
from tests.rules.test_parameters import NUMBERS, Both

runner = CliRunner()
FEE, SHARE = NUMBERS["closeout.fee_ppm"], NUMBERS["closeout.depth_share_ppm"]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A run in which the fee changes at seq 2, and the share of the depth ten seconds later, at seq 4."""
    run = runs._Run(new_state(runs.venue().rules))
    run.send(EventKind.MARK, market=0, price_ticks=1_000_000)
    run.send(EventKind.PARAMETER, code=FEE, amount=9_000)
    run.send(EventKind.PARAMETER, code=SHARE, amount=300_000, price_ticks=10 * SECOND)
    run.time_ns = 10 * SECOND
    run.send(EventKind.CLOCK)
    return runs.write(tmp_path / "journal.db", (run.cut(),))


def test_the_rules_in_force_after_each_event(journal: Path) -> None:
    file = runs.venue().rules.closeout
    expected = {
        1: (file.fee_ppm, file.depth_share_ppm),
        2: (9_000, file.depth_share_ppm),
        3: (9_000, file.depth_share_ppm),
        4: (9_000, 300_000),
    }
    for seq, shares in expected.items():
        rules = rules_at(journal, seq).closeout
        assert (rules.fee_ppm, rules.depth_share_ppm) == shares, seq
    assert rules_at(journal) == rules_at(journal, 4)
    with pytest.raises(JournalError, match="no event of seq 5"):
        rules_at(journal, 5)


def test_a_replay_gives_the_recorded_digest(journal: Path) -> None:
    assert verify(journal).exit_code == OK


def test_journal_rules_prints_what_differs_from_the_file(journal: Path) -> None:
    result = runner.invoke(app, ["journal", "rules", str(journal)])
    assert result.exit_code == OK
    file = runs.venue().rules.closeout
    assert result.stdout.splitlines() == [
        f"the rule closeout.fee_ppm becomes 9000 ppm; the file has {file.fee_ppm}",
        f"the rule closeout.depth_share_ppm becomes 300000 ppm; the file has {file.depth_share_ppm}",
    ]
    one = json.loads(runner.invoke(app, ["journal", "rules", str(journal), "--at", "2", "--json"]).stdout)
    assert [(each["rule"], each["value"]) for each in one["changed"]] == [("closeout.fee_ppm", 9_000)]
    assert one["rules"]["closeout"]["fee_ppm"] == 9_000
    assert runner.invoke(app, ["journal", "rules", str(journal), "--at", "99"]).exit_code == FAILED


def test_journal_show_says_a_change_in_words(journal: Path) -> None:
    said = runner.invoke(app, ["journal", "show", str(journal), "--kind", "parameter"]).stdout
    assert "the rule closeout.fee_ppm becomes 9000 ppm" in said
    assert "the change of the rule closeout.depth_share_ppm to 300000 ppm from 1970-01-01T00:00:10Z: waiting" in said
    assert "the change of the rule closeout.depth_share_ppm to 300000 ppm from 1970-01-01T00:00:10Z: applied" in said


def test_explain_works_with_the_rules_of_the_moment() -> None:
    """A slice of an eighth of the depth, and after the change of the whole of it: every number is worked
    out anew with the share that was in force.
    """
    both = Both(venue(depth_share_ppm=125_000))
    both.send(EventKind.MARK, market=0, price_ticks=1_000)
    account = both.open(1_000, lots=10)
    both.open(100_000, lots=-10)
    both.send(EventKind.DEPTH, market=0, code=0, other=0, lots=8)
    both.send(EventKind.MARK, market=0, price_ticks=930)
    (order,) = both.reference.state.open_orders.values()
    assert (order.account, order.lots) == (account, -1)
    both.send(EventKind.PARAMETER, code=SHARE, amount=1_000_000)
    both.send(EventKind.ORDER_FILL, market=0, other=order.id, lots=-1, price_ticks=930)
    both.send(EventKind.ORDER_DONE, other=order.id)
    both.send(EventKind.CLOCK)
    (order,) = both.reference.state.open_orders.values()
    assert order.lots < -1
    found = explained_of(venue(depth_share_ppm=125_000), both.events)
    assert found.checks_failed == []
    assert found.checks_made > 10


def test_what_a_timer_does_before_a_change_goes_by_the_rule_of_before() -> None:
    """A print that the guard held becomes the mark in the event in which the warning level falls from
    150 % to 120 %: at 980 an account with 65 against 49 is warned first, and healthy after the change.
    """
    rules = venue(market={"guard_jump_ppm": 15_000, "guard_volume_lots": 10}, breakers=BreakerRules(guard_hold_ns=10 * SECOND))
    both = Both(rules)
    both.send(EventKind.MARK, market=0, price_ticks=1_000)
    both.open(85, lots=1)
    both.open(100_000, lots=-1)
    both.send(EventKind.VOLUME, market=0, lots=1)
    both.send(EventKind.MARK, market=0, price_ticks=980)
    released_ns = both.time_ns + 10 * SECOND
    both.change("levels.warning_ratio_ppm", 1_200_000, released_ns)
    both.time_ns = released_ns - SECOND
    told = [(row.kind, row.code) for row in both.send(EventKind.CLOCK) if row.kind in (EffectKind.HEALTH, EffectKind.PARAMETER)]
    assert told == [
        (EffectKind.HEALTH, Health.WARNED),
        (EffectKind.PARAMETER, NUMBERS["levels.warning_ratio_ppm"]),
        (EffectKind.HEALTH, Health.HEALTHY),
    ]
    found = explained_of(rules, both.events)
    assert found.checks_failed == []
    (decision,) = (each for each in found.decisions if each.time_ns == released_ns)
    assert [fact.kind for fact in decision.facts].count("health") == 2
