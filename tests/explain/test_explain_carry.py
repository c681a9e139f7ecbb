"""Carry explained: what a fund stands for while a solvent account keeps its position, until when, and why
it does not.
"""

from __future__ import annotations

from backstop.core.events import FUND, Stage
from tests.attacks.scene import SECOND
from tests.explain.test_explain_debts import lines_of
from tests.explain.test_explain_stages import explained_of
from tests.rules.test_carry import pair, scene_of


def test_a_carry_its_end_and_its_price() -> None:
    scene = scene_of(1, 10_000)
    pair(scene, 8_000)
    scene.mark(930)
    said = lines_of(scene)
    assert "after a move of 2 % against all its positions it would lack 0.000860 USDT: equity is 0.001000 USDT" in said
    assert "with 0.000860 USDT reserved for it, before ADL is asked" in said
    told = "\n".join(fact.says for decision in explained_of(scene.rules, scene.watch.events).decisions for fact in decision.facts)
    assert "is carried until" in told
    assert "reserves 0.000860 USDT to carry" in told
    scene.mark(990)
    assert "frees 0.000860 USDT of what it reserved to carry" in "\n".join(
        fact.says for decision in explained_of(scene.rules, scene.watch.events).decisions for fact in decision.facts
    )


def test_why_it_is_not_carried() -> None:
    scene = scene_of(1, 859)
    pair(scene, 8_000)
    scene.mark(930)
    said = lines_of(scene)
    assert "carry: after a move of 2 % against all its positions it would lack 0.000860 USDT" in said
    assert "of that 0.000860 USDT in BTC/USDT:USDT: the fund of majors has 0.000859 for it" in said


def test_its_time_is_over() -> None:
    scene = scene_of(1, 100_000)
    pair(scene, 8_000)
    scene.mark(930)
    scene.clock(300)
    assert "carry: its time was over at" in lines_of(scene)


def test_it_gives_way() -> None:
    """What another account's gap freed is told to whom it carried."""
    scene = scene_of(1, 1_000)
    pair(scene, 8_000)
    scene.mark(930)
    flat = scene.open(100)
    scene.charge(flat, 1_000)
    assert "less is needed, it is not carried any more, or it gives way to an insolvent account" in lines_of(scene)
    assert (scene.rules.stages.index(Stage.FUND), scene.rules.closeout.carry_max_ns) == (1, 300 * SECOND)
    assert scene.mirror.ledger[FUND] == 1_100
