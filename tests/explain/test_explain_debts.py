"""Debts explained: what an account owes for what a fund paid, what it returns and why, what is set
off, and a promise of which nothing is needed any more.
"""

from __future__ import annotations

from backstop.core.events import FUND, Stage
from backstop.reference.state import CLOSING_ORDER
from tests.attacks.scene import FIRST_MARK, Scene
from tests.explain.test_explain_stages import explained_of
from tests.rules.test_debt import claimant_of_thirty, insolvent_in_one_of_two, scene_of
from tests.rules.test_gains_leave import Leavers


def lines_of(scene: Scene) -> str:
    """Explain all decisions of a scene; return the reasons, a line each."""
    found = explained_of(scene.rules, scene.watch.events)
    assert found.checks_failed == []
    return "\n".join(line for decision in found.decisions for fact in decision.facts for line in fact.because)


def test_a_debt_and_its_return_when_the_default_ends() -> None:
    scene = scene_of(1)
    _, first, _ = insolvent_in_one_of_two(scene)
    scene.fill(first, 100, FIRST_MARK - 219)
    assert "0.002000 USDT are a debt of the account to the fund" in lines_of(scene)
    scene.mark(FIRST_MARK + 100, market=1)
    said = lines_of(scene)
    assert "its default ends with equity 0.010000 USDT: what is above release level" in said
    assert "returns what funds paid for it, 0.002000 USDT" in said


def test_a_return_of_an_account_without_lots() -> None:
    scene = scene_of(1, markets=1)
    account = scene.open(0)
    scene.charge(account, 70)
    scene.cash(account, 50)
    assert "it has no position left with equity 0.000050 USDT: what is above zero returns what funds paid for it" in lines_of(scene)


def test_what_is_set_off_is_no_debt() -> None:
    scene = scene_of(1, fund=0, markets=1, stages=(Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP))
    winner = claimant_of_thirty(scene)
    scene.cash(FUND, 100)
    scene.charge(winner, 45)
    said = lines_of(scene)
    assert "0.000030 USDT of it are set off against what the fund owed the owner for socialised losses" in said
    assert "0.000015 USDT are a debt of the account to the fund" in said
    assert "of the same owner: set off" in said


def test_a_promise_of_which_nothing_is_needed() -> None:
    """The mark saved the account while its order was out."""
    scene = scene_of(1, markets=1)
    account = scene.open(980)
    scene.trade(account, 10, FIRST_MARK)
    scene.mark(900)
    (order,) = scene.open_ids(CLOSING_ORDER)
    scene.mark(906)
    scene.fill(order, 5, 900)
    said = lines_of(scene)
    assert "equity is 0.000010 USDT: nothing lacks any more, so that the fund pays nothing" in said
    assert "are a debt of the account" not in said


def test_what_is_lent_for_gains_that_leave() -> None:
    """Bob takes out 900 of a gain of 1,000, of which a tenth is lent, behind 1,000 of his own."""
    scene = Leavers()
    scene.cash(scene.bob, -1_900)
    said = lines_of(scene)
    assert "0.000150 USDT of the group's losses are uncovered; the fund of majors can pay all but 0.000150 USDT" in said
    assert "of this owner 0.001000 USDT of gains are noted that have not left" in said
    assert "its share is 0.000100 USDT" in said
    assert "of the gain 0.000900 USDT leave, and their part of the share is lent to the group" in said
    assert "what was lent is owed, and paid back when nothing is uncovered" in said
