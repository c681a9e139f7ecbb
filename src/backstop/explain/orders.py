"""Closing orders, disposal and fills as facts: what bounded the size, what set the limit, what a fill was settled at."""

from __future__ import annotations

from collections.abc import Callable

from backstop.core.events import Cause, EffectKind, Health
from backstop.explain.closeout import (
    Bounds,
    bounds_of,
    caps_text,
    expected_cost,
    limit_ticks,
    settled,
    share_text,
    tolerance_ticks,
    worst_support,
    zero_text,
    zero_ticks,
)
from backstop.explain.fact import Fact, percent
from backstop.explain.scene import Plan, Scene

__all__ = ["add_order", "add_settled", "depth_text"]

_PPM = 1_000_000


def add_order(scene: Scene, fact: Fact) -> None:
    """Work out size, limit, zero cash and reservation of a closing order, or of one by which the vault sells."""
    if scene.row["account"] == scene.account and scene.mirror.health < Health.DISTRESSED:
        _disposal(scene, fact)
        return
    row, words, mirror = scene.row, scene.speaker, scene.mirror
    market, lots = row["market"], abs(row["lots"])
    plan = _plan(scene)
    is_sell, solvent = row["lots"] < 0, plan.equity >= 0
    zero = mirror.zero_cash(market, lots, plan.equity, plan.maintenance)
    fact.check("zero cash", row["amount"], zero)
    bounds = _bounds(scene, plan, lambda bounds: bounds.lots if solvent else lots)
    if solvent:
        fact.check("lots", lots, bounds.lots)
    fact.because += _size_lines(scene, plan, bounds)
    fact.because += _limit_lines(scene, fact, plan, zero)
    fact.values |= {
        "equity": words.cash(plan.equity),
        "maintenance_margin": words.cash(plan.maintenance),
        "bounded_by": bounds.binding(lots),
        "restoring": None if bounds.restoring is None else words.lots(market, bounds.restoring),
        "slice": words.lots(market, bounds.share.left),
    }
    fee_ppm = scene.rules.closeout.fee_ppm if solvent else 0
    plan.expected_equity -= expected_cost(scene, market, lots, fee_ppm).whole
    plan.expected_maintenance -= mirror.released(market, lots)
    scene.sees_depth_before = False
    side = "sells" if is_sell else "buys"
    fact.says = f"closeout: {fact.says} ({side} to close)"


def _plan(scene: Scene) -> Plan:
    """Return the closeout plan that the present order belongs to: orders follow each other without anything between."""
    ours = scene.plan
    between = scene.rows[ours.last_place + 1 : scene.place] if ours is not None else []
    if ours is None or any(row["kind"] != EffectKind.RESERVE for row in between):
        found = scene.mirror.assess()
        ours = Plan(found.equity, found.maintenance, found.equity, found.maintenance, scene.place)
        scene.plan = ours
    ours.last_place = scene.place
    return ours


def _bounds(scene: Scene, plan: Plan, lots_of: Callable[[Bounds], int]) -> Bounds:
    """Return what bounds the order at the depth after the event or, where only that gives its lots, before it.

    The scene then goes on looking there.
    """
    row = scene.row
    found = bounds_of(scene, plan, row["market"], row["lots"])
    if lots_of(found) == abs(row["lots"]):
        return found
    scene.sees_depth_before = True
    other = bounds_of(scene, plan, row["market"], row["lots"])
    if lots_of(other) == abs(row["lots"]):
        return other
    scene.sees_depth_before = False
    return found


def _disposal(scene: Scene, fact: Fact) -> None:
    """Work out an order by which the venue vault sells a share of what it took over."""
    row, words, mirror, rules = scene.row, scene.speaker, scene.mirror, scene.rules.disposal
    market, held = row["market"], abs(scene.mirror.held(row["market"])[0])
    found = mirror.assess()
    share = max(1, -(-held * rules.share_ppm // _PPM))
    plan = Plan(found.equity, found.maintenance, found.equity, found.maintenance, scene.place)
    bounds = _bounds(scene, plan, lambda bounds: min(bounds.cap, share, held))
    limit, is_banded = limit_ticks(scene, market, row["lots"] < 0, rules.tolerance_ppm)
    fact.check("lots", abs(row["lots"]), min(bounds.cap, share, held))
    fact.check("zero cash", row["amount"], 0)
    fact.check("reserved", row["value"], 0)
    fact.check("limit", row["price_ticks"], limit)
    part, price = words.lots(market, share), words.price(market, limit)
    band = "the band of the price breaker" if is_banded else f"tolerance {percent(rules.tolerance_ppm)} from mark"
    fact.because += [
        f"the vault sells what it took over: {percent(rules.share_ppm)} of {words.lots(market, held)} is {part}",
        f"  {share_text(scene, market, bounds.share)}; limit {price}: {band}",
    ]
    if bounds.cap < bounds.share.left:
        fact.because.append(f"  {caps_text(scene, market, bounds)}")
    scene.sees_depth_before = False
    fact.says = f"disposal: {fact.says}"


def depth_text(scene: Scene, market: int) -> str:
    """Say the visible depth on the side that takes the account's position, band by band, and in all."""
    words = scene.speaker
    bands = scene.depth(market, 0 if scene.mirror.held(market)[0] > 0 else 1)
    parts = [
        f"{'unknown' if lots < 0 else words.lots(market, lots)}{' more' if number else ''} within {percent(offset)}"
        for number, (offset, lots) in enumerate(bands)
    ]
    whole = f": {words.lots(market, sum(max(0, lots) for _, lots in bands))} in all" if len(bands) > 1 else ""
    return ", ".join(parts) + whole


def _size_lines(scene: Scene, plan: Plan, bounds: Bounds) -> list[str]:
    words, market, lots = scene.speaker, scene.row["market"], abs(scene.row["lots"])
    holds = f"size: it holds {words.lots(market, scene.mirror.held(market)[0])}"
    if bounds.restoring is not None:
        lines = [f"{holds}, {words.lots(market, bounds.restoring)} restore it:", *_restored_lines(scene, plan, bounds.restoring)]
    else:
        lines = [f"{holds}, {'and no part of it would restore it' if plan.equity >= 0 else 'insolvent: all of it is to go'}"]
    lines += [f"  visible on that side of the mark: {depth_text(scene, market)}", f"  {share_text(scene, market, bounds.share)}"]
    if bounds.cap < bounds.share.left:
        lines.append(f"  {caps_text(scene, market, bounds)}")
    return [*lines, f"  bounded by: {bounds.binding(lots)}"]


def _restored_lines(scene: Scene, plan: Plan, lots: int) -> list[str]:
    """Show that closing so many lots is expected to bring the account to its release level."""
    market, mirror, closeout = scene.row["market"], scene.mirror, scene.rules.closeout
    words, cash = scene.speaker, scene.speaker.venue.asset.text
    cost = expected_cost(scene, market, lots, closeout.fee_ppm)
    left = plan.expected_maintenance - mirror.released(market, lots)
    ratio = percent(_PPM + scene.rules.levels.exit_buffer_ppm)
    takes = " + ".join(f"{words.lots(market, take)} x {percent(offset)}" for take, offset in cost.takes)
    mark = words.price(market, mirror.marks[market])
    notional = cash(lots * mirror.unit(market))
    fee = f"fee {cash(cost.fee)} = {percent(closeout.fee_ppm)} of {notional}, rounded down"
    return [
        f"    slippage {cash(cost.slippage)} = mark {mark} x ({takes}), rounded up; {fee}",
        f"    equity {cash(plan.expected_equity)} less both is {cash(plan.expected_equity - cost.whole)};"
        f" release level {ratio} of the {cash(left)} maintenance margin left is {cash(mirror.release_of(left))}",
    ]


def _limit_lines(scene: Scene, fact: Fact, plan: Plan, zero: int) -> list[str]:
    row, words = scene.row, scene.speaker
    market, lots, is_sell = row["market"], abs(row["lots"]), row["lots"] < 0
    tolerance = tolerance_ticks(scene, market, is_sell)
    limit, is_banded = limit_ticks(scene, market, is_sell)
    allowed = percent(scene.rules.markets[market].slippage_tolerance_ppm)
    lines = [f"limit: tolerance {allowed} from mark allows {words.price(market, tolerance)}"]
    if is_banded:
        lines.append(f"  the band of the price breaker allows {words.price(market, limit)}: a fill beyond would halt the market")
    if plan.equity >= 0:
        ticks = zero_ticks(scene, market, is_sell, lots, zero)
        lines.append(f"  {zero_text(scene, market, lots, plan.equity, plan.maintenance)}")
        lines.append(
            f"  zero price {words.price(market, ticks)}: zero cash by lot; filled there, equity over maintenance margin stays as it is"
        )
        limit = max(limit, ticks) if is_sell else min(limit, ticks)
    else:
        worst = worst_support(scene, plan, market, lots, limit)
        at_limit = (lots if is_sell else -lots) * limit * scene.rules.markets[market].notional_factor
        fact.check("reserved", row["value"], worst)
        lines.append(f"  insolvent: {zero_text(scene, market, lots, plan.equity, plan.maintenance)}")
        rounding = f"{lots - 1:,} atoms for rounding"
        lines.append(f"  the fund reserves {words.cash(worst)}: that less cash at the limit {words.cash(at_limit)}, and {rounding}")
    fact.check("limit", row["price_ticks"], limit)
    return [*lines, f"  the strictest is {words.price(market, limit)}"]


def add_settled(scene: Scene, fact: Fact) -> None:
    """Work out fee and support of a fill."""
    words, market, closeout = scene.speaker, scene.row["market"], scene.rules.closeout
    fill = settled(scene, scene.mirror.assess().equity)
    if fill is None:
        fact.because.append("no open order expected this fill: it closes what is left of the position")
        return
    order = scene.before.order
    whole = f" (its part of the order's {words.cash(int(order.zero_cash))})" if fill.lots != abs(int(order.lots)) else ""
    lots = words.lots(market, fill.lots)
    fact.because.append(f"fill of {lots}: cash {words.cash(fill.cash)}, zero cash of it {words.cash(fill.zero)}{whole}")
    if fill.fee:
        notional = words.cash(fill.lots * scene.mirror.unit(market))
        rate = f"{percent(closeout.fee_ppm)} of {notional} at mark, rounded down"
        fact.because.append(f"  liquidation fee {words.cash(fill.fee)}: {rate}, at most what the fill is better than zero and limit")
    if fill.support:
        fact.because.append(f"  the fund pays {words.cash(fill.support)}: what the fill is worse than zero, within what was reserved")
    scene.expected |= {int(Cause.LIQUIDATION_FEE): -fill.fee, int(Cause.SUPPORT): fill.support}
