"""Funding by index explained: unpaid funding as a number of its own in equity, and what settling pays."""

from __future__ import annotations

from backstop.core.events import FUNDING_PARTS, Cause, EffectKind, EventKind
from tests.attacks.scene import FIRST_MARK
from tests.explain.test_explain_debts import lines_of
from tests.rules.test_funding import scene_of, step


def test_unpaid_funding_is_a_number_of_its_own() -> None:
    scene = scene_of(1)
    payer, payee = scene.open(1_000), scene.open(1_000)
    scene.trade(payer, 10, FIRST_MARK, other=payee)
    step(scene, 60.5)
    said = lines_of(scene)
    assert "equity 0.000395 = balance 0.001000 + 0.000000 + unpaid funding -0.000605" in said
    assert f"from index 0 to 60500000: 10 lots times -60500000 / {FUNDING_PARTS:,} atoms, rounded down: -0.000605 USDT" in said


def test_a_mark_that_the_guard_releases_before_a_step_is_judged_without_it() -> None:
    """The account comes into default by the released mark, in the event of the step: it settles what
    it owed until then, and owes the step after it.
    """
    scene = scene_of(1, market={"guard_jump_ppm": 50_000, "guard_volume_lots": 100})
    account = scene.open(1_000)
    scene.trade(account, 10, FIRST_MARK)
    step(scene, 1)
    scene.send(EventKind.VOLUME, market=0, lots=1)
    scene.mark(930)
    scene.at(scene.time_ns + scene.rules.breakers.guard_hold_ns)
    effects = step(scene, 2)
    told = [(row.kind, row.amount) for row in effects if row.kind == EffectKind.FUNDING or row.code == Cause.FUNDING]
    assert told[:2] == [(EffectKind.POSTING, 10), (EffectKind.FUNDING, 2 * FUNDING_PARTS)]
    assert "unpaid funding of" in lines_of(scene)
