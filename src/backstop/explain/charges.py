"""Closing charges as facts: what leaving beside the book costs a solvent account."""

from __future__ import annotations

from backstop.core.events import Cause
from backstop.explain.fact import Fact, percent
from backstop.explain.scene import Scene

__all__ = ["add_charge"]


def add_charge(scene: Scene, fact: Fact, market: int, lots: int, taken: int = 0) -> None:
    """Say what the account pays for lots that leave beside the book, and expect its posting.

    ``taken``: what the other side gets beyond mark.
    """
    equity, way_out = scene.portfolio.equity, scene.way_out(market)
    if equity < 0:
        return
    cash, cost, charge = scene.speaker.text, way_out.cost(lots), way_out.charge(lots, taken, equity)
    costs = f"slippage {cash(cost.slippage)} and a fee of {cash(cost.fee)} ({percent(way_out.fee_ppm)} at mark)"
    says = f"closing charge {scene.speaker.cash(charge)}, to the fund: on the book, as it is shown, this would cost {costs}"
    fact.because.append(says + (f", less {cash(taken)} that the provider gets" if taken > 0 else ""))
    if charge < cost.whole - max(0, taken):
        fact.because.append(f"  no more than the equity that is left, {cash(max(0, equity - taken))}")
    fact.values |= {"closing_charge_atoms": charge, "expected_slippage_atoms": cost.slippage, "expected_fee_atoms": cost.fee}
    if charge:
        scene.expected[int(Cause.CLOSING_CHARGE)] = -charge
