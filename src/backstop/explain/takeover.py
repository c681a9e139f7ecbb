"""The price of a takeover, done again in plain integers: zero cash and its share, the edge, the providers' share (docs/rules.md, 6)."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import EffectKind
from backstop.explain.mirror import ceil_div
from backstop.explain.scene import Scene

__all__ = ["TakeoverPrice", "offered_price", "taken_price"]

_PPM = 1_000_000


class TakeoverPrice(NamedTuple):
    """What an account gets for lots that a provider takes over. Atoms."""

    solvent: bool
    #: Lots that were offered together, and their zero cash.
    lots_together: int
    zero_together: int
    #: Of the lots that are looked at.
    zero: int
    at_mark: int
    edge_ppm: int
    cash: int
    #: What the fund adds: zero cash less the cash, of an insolvent account.
    support: int


def offered_price(scene: Scene) -> TakeoverPrice | None:
    """Return the price of the OFFER that is looked at: its part of the zero cash of all lots offered with it.

    None where the engine ran out of places for orders: then more was to be offered than the tape shows.
    """
    state = scene.state
    if int(state.orders[int(state.engine[0].next_order_id) % len(state.orders)].is_open):
        return None
    offers, mine = _together(scene)
    lots = [abs(row["lots"]) for row in offers]
    return _price(scene, sum(lots), sum(lots[:mine]))


def taken_price(scene: Scene) -> TakeoverPrice:
    """Return the price of a TAKEOVER by the vault, which takes over at once."""
    return _price(scene, abs(scene.row["lots"]), 0)


def _together(scene: Scene) -> tuple[list[dict[str, int]], int]:
    """Return the offers made of this position at once, and which of them is looked at."""
    row, rows = scene.row, scene.rows
    first = last = scene.place

    def belongs(place: int) -> bool:
        other = rows[place]
        same = (other["account"], other["market"]) == (row["account"], row["market"])
        return same and other["kind"] in (EffectKind.OFFER, EffectKind.RESERVE)

    while first > 0 and belongs(first - 1):
        first -= 1
    while last + 1 < len(rows) and belongs(last + 1):
        last += 1
    places = [place for place in range(first, last + 1) if rows[place]["kind"] == EffectKind.OFFER]
    return [dict(rows[place]) for place in places], places.index(scene.place)


def _price(scene: Scene, together: int, before: int) -> TakeoverPrice:
    row, mirror = scene.row, scene.mirror
    market, lots = row["market"], abs(row["lots"])
    found = mirror.assess()
    zero_together = mirror.zero_cash(market, together, found.equity, found.maintenance)
    zero = ceil_div(zero_together * (before + lots), together) - ceil_div(zero_together * before, together)
    is_long = row["lots"] < 0
    gross = lots * mirror.unit(market)
    at_mark = gross if is_long else -gross
    commitments = scene.rules.providers[row["price_ticks"]].commitments[scene.rules.markets[market].group]
    edge = commitments[0 if is_long else 1].edge_ppm
    if found.equity >= 0:
        share = (at_mark - zero) * scene.rules.takeover.provider_share_ppm // _PPM
        return TakeoverPrice(True, together, zero_together, zero, at_mark, edge, max(zero, at_mark - share), 0)
    cash = at_mark - gross * edge // _PPM
    return TakeoverPrice(False, together, zero_together, zero, at_mark, edge, cash, max(0, zero - cash))
