"""Defaulters of both sides of a market, for the stages that close them together."""

from __future__ import annotations

from tests.attacks.scene import Scene, venue

__all__ = ["two_sides"]


def two_sides(side: int, stages: tuple[int, ...]) -> tuple[Scene, list[int]]:
    """Return a scene in which Ann is long 100 and Bob short 60 of market 0, and both long 10 of market
    1; Carol holds the other side of Ann, Dave of Bob, Erin of both in market 1. All at 1,000.
    """
    scene = Scene(venue(stages, markets=2), side)
    ann, bob = scene.open(6_000), scene.open(4_000)
    carol, dave, erin = (scene.open(100_000) for _ in range(3))
    scene.trade(ann, 100, 1_000, other=carol)
    scene.trade(bob, -60, 1_000, other=dave)
    for account in (ann, bob):
        scene.trade(account, 10, 1_000, other=erin, market=1)
    return scene, [ann, bob, carol, dave, erin]
