"""The notice of a leg left naked, explained to whom it is addressed: every number is worked out anew."""

from __future__ import annotations

import pytest

from backstop.core.instruments import PPM
from tests.attacks.scene import SIDES, Scene
from tests.explain.test_explain_debts import lines_of
from tests.rules.test_naked_legs import RICH, default, rules


@pytest.mark.parametrize("side", SIDES)
def test_what_hedged_what_and_how_far_exposure_grew(side: int) -> None:
    scene = Scene(rules(PPM, PPM), side)
    owner = scene.open(RICH)
    scene.trade(owner, 10, 1_000)
    default(scene, (owner, 10))
    said = lines_of(scene)
    hedge, leg, sign = ("short", "long", "") if side > 0 else ("long", "short", "-")
    assert f"the owner's {hedge} of ETH/USDT:USDT hedged his {leg} of BTC/USDT:USDT: ADL or tear-up took of it" in said
    assert f"his exposure went from 0.002100 USDT to {sign}0.010000 USDT" in said
    assert f"the largest of that side is left naked: {sign}0.01 in BTC/USDT:USDT" in said
