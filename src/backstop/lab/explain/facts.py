"""What each kind of effect means for the account, with its numbers worked out anew: ``FACTS``, a table by ``EffectKind``.

A kind that is not in the table is told in the words of ``backstop.journal.rendering``; a row here adds what lies behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from backstop.core.events import NEVER_NS, AdlClass, Cause, EffectKind, EventKind, Health
from backstop.core.waterfall.certificate import check_certificate
from backstop.journal.rendering import time_text
from backstop.lab.explain.closeout import Bounds, bounds_of, expected_cost, settled, tolerance_ticks, worst_support
from backstop.lab.explain.fact import Check, Fact, percent
from backstop.lab.explain.mirror import Assessment
from backstop.lab.explain.passed import add_passed_over
from backstop.lab.explain.scene import Plan, Scene
from backstop.lab.explain.stages import add_claim, add_haircut, add_offer, add_socialised, add_takeover

__all__ = ["FACTS", "Check", "Fact", "assessment_lines", "assessment_values", "fact_of", "waiting"]

_PPM = 1_000_000
#: Counterparties named in the text; the rest are counted.
_NAMED_MAX = 8
#: Steps of a stage: where one was taken, the account did not merely wait.
_STEPS = (EffectKind.ORDER, EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)


def fact_of(scene: Scene) -> Fact:
    """Return what the effect that is looked at means for the account, and let the account's mirror follow it."""
    row = scene.row
    words = scene.speaker
    kind = EffectKind(row["kind"]) if row["kind"] in EffectKind._value2member_map_ else None
    fact = Fact(
        kind.name.lower() if kind else f"kind_{row['kind']}", scene.place, words.effect(row), values=words.fields(row, is_event=False)
    )
    add = FACTS.get(kind) if kind is not None else None
    if add is not None:
        add(scene, fact)
    return fact


def assessment_lines(scene: Scene, found: Assessment) -> list[str]:
    """Show equity and maintenance margin term by term, and the level that decides."""
    cash, words = scene.speaker.venue.asset.text, scene.speaker
    lines = [f"equity {cash(found.equity)} = balance {cash(found.balance)}" + "".join(f" + {cash(term.pnl)}" for term in found.positions)]
    for term in found.positions:
        price, quantity = words.price(term.market, term.mark_ticks), words.lots(term.market, term.lots)
        worked = f"{cash(term.value)}, less cost {cash(term.cost)}: {cash(term.pnl)}"
        lines.append(f"  {words.market(term.market)}: {quantity} at mark {price} is {worked}")
    lines.append(f"maintenance margin {cash(found.maintenance)}" + _sum_of([cash(term.margin) for term in found.positions]))
    for term in found.positions:
        worked = f"{percent(term.rate_ppm)} of {cash(abs(term.value))}, rounded up, less {cash(term.deduction)}"
        lines.append(f"  {words.market(term.market)}: {worked}: {cash(term.margin)}")
    lines.append(_level(scene, found))
    return lines


def _sum_of(parts: list[str]) -> str:
    return f" = {' + '.join(parts)}" if len(parts) > 1 else ""


def _level(scene: Scene, found: Assessment) -> str:
    cash = scene.speaker.venue.asset.text
    levels = scene.rules.levels
    close_out, warning = percent(levels.close_out_ratio_ppm), percent(levels.warning_ratio_ppm)
    said = {
        Health.INSOLVENT: "equity is below 0: insolvent",
        Health.CLOSE_OUT: f"equity is below close-out margin {cash(found.close_out)} ({close_out} of maintenance): close-out",
        Health.DISTRESSED: f"equity is below maintenance margin {cash(found.maintenance)}: distressed",
        Health.WARNED: f"equity is below the warning level {cash(found.warning)} ({warning} of maintenance): warned",
        Health.HEALTHY: f"equity is not below the warning level {cash(found.warning)}: healthy",
    }
    if scene.mirror.health_of(found) != found.raw_health:
        return f"equity is above maintenance, yet below {cash(found.release)}, which lets an account out of default: still distressed"
    return said[found.raw_health]


def assessment_values(scene: Scene, found: Assessment) -> dict[str, Any]:
    """Return equity and maintenance margin with their terms, as texts."""
    cash, words = scene.speaker.cash, scene.speaker
    return {
        "equity": cash(found.equity),
        "balance": cash(found.balance),
        "maintenance_margin": cash(found.maintenance),
        "warning_level": cash(found.warning),
        "close_out_margin": cash(found.close_out),
        "release_level": cash(found.release),
        "positions": [
            {
                "market": words.market(term.market),
                "quantity": words.lots(term.market, term.lots),
                "mark_price": words.price(term.market, term.mark_ticks),
                "value": cash(term.value),
                "cost": cash(term.cost),
                "unrealised_pnl": cash(term.pnl),
                "maintenance_rate_ppm": term.rate_ppm,
                "deduction": cash(term.deduction),
                "maintenance_margin": cash(term.margin),
            }
            for term in found.positions
        ],
    }


def _health(scene: Scene, fact: Fact) -> None:
    row, mirror = scene.row, scene.mirror
    found = mirror.assess()
    if found.equity != row["amount"]:  # judged before the event's own mark was taken, by a timer of the guard
        marks, mirror.marks = mirror.marks, scene.before.marks
        earlier = mirror.assess()
        if earlier.equity == row["amount"]:
            found = earlier
        mirror.marks = marks
    fact.because = assessment_lines(scene, found)
    fact.values |= assessment_values(scene, found)
    fact.check("equity", row["amount"], found.equity)
    fact.check("maintenance margin", row["value"], found.maintenance)
    fact.check("health", Health(row["code"]).name, mirror.health_of(found).name)
    fact.check("health before", Health(row["other"]).name, Health(mirror.health).name)
    mirror.health = row["code"]


def _plan(scene: Scene) -> Plan:
    """Return the closeout plan that the present order belongs to: orders follow each other without anything between."""
    before = [row["kind"] for row in scene.rows[: scene.place]]
    ours = scene.plan
    between = scene.rows[ours.last_place + 1 : scene.place] if ours is not None else []
    if ours is None or any(row["kind"] != EffectKind.RESERVE for row in between):
        found = scene.mirror.assess()
        ours = Plan(found.equity, found.maintenance, found.equity, found.maintenance, len(before))
        scene.plan = ours
    ours.last_place = scene.place
    return ours


def _order(scene: Scene, fact: Fact) -> None:
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
    bound = bounds.binding(lots)
    if solvent:
        fact.check("lots", lots, bounds.lots)
    fact.because += _size_lines(scene, bounds, bound, market)
    fact.because += _limit_lines(scene, fact, plan, zero)
    fact.values |= {
        "equity": words.cash(plan.equity),
        "maintenance_margin": words.cash(plan.maintenance),
        "bounded_by": bound,
        "restoring": None if bounds.restoring is None else words.lots(market, bounds.restoring),
        "slice": words.lots(market, bounds.share.left),
    }
    fee_ppm = scene.rules.closeout.fee_ppm if solvent else 0
    plan.expected_equity -= expected_cost(scene, market, lots, fee_ppm)
    plan.expected_maintenance -= mirror.released(market, lots)
    side = "sells" if is_sell else "buys"
    fact.says = f"closeout: {fact.says} ({side} to close)"


def _bounds(scene: Scene, plan: Plan, lots_of: Callable[[Bounds], int]) -> Bounds:
    """Return what bounds the order at the depth after the event or, where that does not give its lots, before it."""
    row = scene.row
    found = bounds_of(scene, plan, row["market"], row["lots"])
    if lots_of(found) == abs(row["lots"]):
        return found
    scene.sees_depth_before = True
    other = bounds_of(scene, plan, row["market"], row["lots"])
    scene.sees_depth_before = False
    return other if lots_of(other) == abs(row["lots"]) else found


def _disposal(scene: Scene, fact: Fact) -> None:
    """Work out an order by which the venue vault sells a share of what it took over."""
    row, words, mirror, rules = scene.row, scene.speaker, scene.mirror, scene.rules.disposal
    market, held = row["market"], abs(scene.mirror.held(row["market"])[0])
    found = mirror.assess()
    share = max(1, -(-held * rules.share_ppm // _PPM))
    plan = Plan(found.equity, found.maintenance, found.equity, found.maintenance, scene.place)
    cap = _bounds(scene, plan, lambda bounds: min(bounds.cap, share, held)).cap
    fact.check("lots", abs(row["lots"]), min(cap, share, held))
    fact.check("zero cash", row["amount"], 0)
    fact.check("reserved", row["value"], 0)
    limit = tolerance_ticks(scene, market, row["lots"] < 0, rules.tolerance_ppm)
    if not scene.rules.markets[market].price_halt_ppm:
        fact.check("limit", row["price_ticks"], limit)
    part, most = words.lots(market, share), words.lots(market, cap)
    fact.because.append(f"the vault sells what it took over: {percent(rules.share_ppm)} of {words.lots(market, held)} is {part}")
    fact.because.append(
        f"  depth, volume and caps allow {most}; tolerance {percent(rules.tolerance_ppm)} from mark {words.price(market, limit)}"
    )
    fact.says = f"disposal: {fact.says}"


def _size_lines(scene: Scene, bounds: Any, bound: str, market: int) -> list[str]:
    words = scene.speaker
    depth = ", ".join(
        f"{words.lots(market, lots) if lots >= 0 else 'unknown'} within {percent(offset)}"
        for offset, lots in scene.depth(market, 0 if scene.mirror.held(market)[0] > 0 else 1)
    )
    need = "nothing less than all would restore it" if bounds.restoring is None else f"{words.lots(market, bounds.restoring)} restore it"
    return [
        f"size: it holds {words.lots(market, scene.mirror.held(market)[0])}, {need}; one slice may take {words.lots(market, bounds.share.left)}",
        f"  visible on that side: {depth}",
        f"  bounded by: {bound}",
    ]


def _limit_lines(scene: Scene, fact: Fact, plan: Plan, zero: int) -> list[str]:
    row, words = scene.row, scene.speaker
    market, lots, is_sell = row["market"], abs(row["lots"]), row["lots"] < 0
    factor = scene.rules.markets[market].notional_factor
    tolerance = tolerance_ticks(scene, market, is_sell)
    limit = row["price_ticks"]
    lines = [
        f"limit: tolerance {percent(scene.rules.markets[market].slippage_tolerance_ppm)} from mark allows {words.price(market, tolerance)}"
    ]
    if plan.equity >= 0:
        ticks = -(-zero // (lots * factor)) if is_sell else -zero // (lots * factor)
        ticks = min(max(ticks, 1), scene.rules.markets[market].price_ticks_max)
        lines.append(f"  zero price {words.price(market, ticks)}: filled there, equity over maintenance margin stays as it is")
        stricter = max(tolerance, ticks) if is_sell else min(tolerance, ticks)
    else:
        stricter = tolerance
        worst = worst_support(scene, plan, market, lots, limit)
        fact.check("reserved", row["value"], worst)
        lines.append(f"  insolvent: the fund reserves {words.cash(worst)}, what it may have to pay if all fills at the limit")
    is_banded = scene.rules.markets[market].price_halt_ppm > 0 and (limit > stricter if is_sell else limit < stricter)
    if not is_banded:
        fact.check("limit", limit, stricter)
    lines.append(f"  the stricter is {words.price(market, limit)}" + (": the band of the price breaker" if is_banded else ""))
    return lines


def _trade(scene: Scene, fact: Fact) -> None:
    row, mirror, words = scene.row, scene.mirror, scene.speaker
    if row["account"] != scene.account:
        return
    if row["code"] == Cause.CLOSEOUT and scene.event["kind"] == EventKind.ORDER_FILL:
        _settle(scene, fact)
    held, cost = mirror.held(row["market"])
    factor = scene.rules.markets[row["market"]].notional_factor
    if row["price_ticks"]:
        fact.check("cash", row["amount"], -row["lots"] * row["price_ticks"] * factor)
    realised = _opened(scene) if row["code"] == Cause.OPENING else mirror.trade(row["market"], row["lots"], row["amount"])
    fact.check("realised P&L", row["value"], realised)
    if realised:
        scene.expected[row["code"]] = realised
        share = words.cash(row["amount"] - realised) if abs(row["lots"]) <= abs(held) else "its part"
        fact.because.append(
            f"realised: cash {words.cash(row['amount'])} less {share}, the part of the cost {words.cash(cost)} that is closed"
        )


def _opened(scene: Scene) -> int:
    """An opening gives lots at an exact cost; its cash is minus that and goes nowhere."""
    row = scene.row
    scene.mirror.positions[row["market"]] = (row["lots"], -row["amount"])
    return 0


def _settle(scene: Scene, fact: Fact) -> None:
    words = scene.speaker
    equity = scene.mirror.assess().equity
    fill = settled(scene, equity)
    if fill is None:
        fact.because.append("no open order expected this fill: it closes what is left of the position")
        return
    fact.because.append(
        f"fill of {words.lots(scene.row['market'], fill.lots)}: cash {words.cash(fill.cash)}, zero cash of it {words.cash(fill.zero)}"
    )
    if fill.fee:
        rate = percent(scene.rules.closeout.fee_ppm)
        fact.because.append(
            f"  liquidation fee {words.cash(fill.fee)}: {rate} of notional, at most what the fill is better than zero and limit"
        )
    if fill.support:
        fact.because.append(f"  the fund pays {words.cash(fill.support)}: what the fill is worse than zero, within what was reserved")
    scene.expected |= {int(Cause.LIQUIDATION_FEE): -fill.fee, int(Cause.SUPPORT): fill.support}


def _posting(scene: Scene, fact: Fact) -> None:
    row, mirror = scene.row, scene.mirror
    amount = row["amount"] if row["account"] == scene.account else -row["amount"]
    if scene.account in (row["account"], row["other"]):
        expected = scene.expected.pop(row["code"], None)
        if expected is not None:
            fact.check("amount", amount, expected)
        if row["code"] in (Cause.DEFICIT, Cause.UNCOVERED):
            equity = mirror.assess().equity
            fact.because.append(f"equity is {scene.speaker.cash(equity)} and no position is left" if equity < 0 else "")
            fact.check("at most the deficit", amount <= -equity or row["code"] == Cause.UNCOVERED, True)
        if row["code"] == Cause.HAIRCUT:
            add_socialised(scene, fact)
        mirror.balance += amount


def _adl_plan(scene: Scene, fact: Fact) -> None:
    row, mirror, words = scene.row, scene.mirror, scene.speaker
    if row["account"] != scene.account:
        return
    market, lots = row["market"], abs(row["lots"])
    found = mirror.assess()
    at_mark = -row["lots"] * mirror.unit(market)
    fact.check("equity", row["value"], found.equity)
    if found.equity >= 0:
        fact.check("cash at mark", row["amount"], at_mark)
        fact.because.append("solvent: it is closed at mark, so that nobody pays for it")
    else:
        fact.check("zero cash", row["amount"], mirror.zero_cash(market, lots, found.equity, found.maintenance))
        beyond = words.cash(row["amount"] - at_mark)
        fact.because.append(f"insolvent: it is closed at zero cash; the counterparties together pay {beyond} beyond mark")
    add_passed_over(scene, fact)
    rows = scene.rows[scene.place : scene.place + 2 * row["other"] + len(AdlClass) + 1]
    fills = [each for each in rows if each["kind"] == EffectKind.ADL_FILL and each["other"] == scene.account][: row["other"]]
    fact.because += _fill_lines(scene, fills)
    fact.values["counterparties"] = [words.fields(each, is_event=False) for each in fills]
    _certificate(scene, fact, scene.place)


def waiting(scene: Scene) -> Iterator[Fact]:
    """Say why an account in default got no order in this event, market by market, and when it is looked at again."""
    head = scene.state.accounts[scene.account]
    acted = any(row["account"] == scene.account and row["kind"] in _STEPS for row in scene.rows)
    if acted or scene.mirror.health < Health.DISTRESSED or int(head.orders_open) or int(head.wait_until_ns) == NEVER_NS:
        return
    words = scene.speaker
    fact = Fact("waiting", None, f"no order left; it is looked at again at {time_text(int(head.wait_until_ns))}")
    for market in sorted(scene.mirror.positions):
        held = scene.mirror.held(market)[0]
        if held:
            depth = scene.depth(market, 0 if held > 0 else 1)
            visible, unknown = sum(max(0, lots) for _, lots in depth), any(lots < 0 for _, lots in depth)
            state = scene.breaker(market).state
            seen = (
                "its depth is not known yet" if unknown and not visible else f"{words.lots(market, visible)} visible within the tolerance"
            )
            busy = f"closing orders for {words.lots(market, scene.pending_lots(market, -held))} are on their way"
            fact.because.append(f"{words.market(market)}: holds {words.lots(market, held)}; {seen}, {busy}; breaker {state.name.lower()}")
    yield fact


def _fill_lines(scene: Scene, fills: list[Any]) -> list[str]:
    words = scene.speaker
    ranked = sorted(fills, key=lambda row: -abs(row["lots"]))
    lines = []
    for row in ranked[:_NAMED_MAX]:
        given, cap = words.lots(row["market"], row["lots"]), words.lots(row["market"], row["price_ticks"])
        receives = f"class {AdlClass(row['code']).name.lower()}, receives {words.cash(row['amount'])}"
        lines.append(f"  {words.holder(row['account'])} gives {given} of its cap {cap}, {receives}")
    return lines + ([f"  and {len(ranked) - _NAMED_MAX} more counterparties"] if len(ranked) > _NAMED_MAX else [])


def _certificate(scene: Scene, fact: Fact, first: int) -> None:
    """Check the wave's certificate; a wave is the same for all who are in it."""
    factor = scene.rules.markets[scene.rows[first]["market"]].notional_factor
    known = scene.known.certificate_faults
    if first not in known:
        known[first] = [str(fault) for fault in check_certificate(scene.effects, first, factor)]
    faults = known[first]
    fact.values["certificate"] = faults or "sound"
    fact.because.append("certificate: sound" if not faults else f"certificate: {'; '.join(faults)}")
    fact.check("faults of the certificate", len(faults), 0)


def _adl_fill(scene: Scene, fact: Fact) -> None:
    row, words = scene.row, scene.speaker
    if row["account"] != scene.account:
        return
    market = row["market"]
    held = scene.mirror.held(market)[0]
    at_mark = -row["lots"] * scene.mirror.unit(market)
    fact.because.append(f"it holds {words.lots(market, held)}, the side that the defaulter's position needs")
    fact.because.append(f"at mark it would receive {words.cash(at_mark)}: it pays {words.cash(at_mark - row['amount'])} for the default")
    fact.check("on the other side", held * row["lots"] < 0 and abs(row["lots"]) <= abs(held), True)
    first = max(place for place in range(scene.place) if scene.rows[place]["kind"] == EffectKind.ADL_PLAN)
    _certificate(scene, fact, first)


def _tear_up(scene: Scene, fact: Fact) -> None:
    row, mirror, words = scene.row, scene.mirror, scene.speaker
    market, lots = row["market"], abs(row["lots"])
    found = mirror.assess()
    at_mark = -row["lots"] * mirror.unit(market)
    fact.check("cash at mark", row["amount"], at_mark)
    gap = max(0, mirror.zero_cash(market, lots, found.equity, found.maintenance) - at_mark) if found.equity < 0 else 0
    fact.check("gap to zero cash", row["value"], gap)
    fact.because.append(f"{words.lots(market, lots)} are ended at mark against everyone on the other side")
    add_passed_over(scene, fact)


def _residual(scene: Scene, fact: Fact) -> None:
    fact.because.append("nobody was left to pay it: it stands on the venue's books as uncovered")


def _restrict(scene: Scene, fact: Fact) -> None:
    fact.because.append("the first stage of the waterfall: nothing may make it worse while it is put right")


def _reserve(scene: Scene, fact: Fact) -> None:
    fact.because.append("the fund promises before the order leaves, and takes back what was not needed")


#: By kind: adds to a fact what lies behind it, and lets the account's mirror follow.
FACTS: dict[EffectKind, Callable[[Scene, Fact], None]] = {
    EffectKind.HEALTH: _health,
    EffectKind.RESTRICT: _restrict,
    EffectKind.ORDER: _order,
    EffectKind.RESERVE: _reserve,
    EffectKind.TRADE: _trade,
    EffectKind.POSTING: _posting,
    EffectKind.ADL_PLAN: _adl_plan,
    EffectKind.ADL_FILL: _adl_fill,
    EffectKind.TEAR_UP: _tear_up,
    EffectKind.OFFER: add_offer,
    EffectKind.TAKEOVER: add_takeover,
    EffectKind.HAIRCUT: add_haircut,
    EffectKind.CLAIM: add_claim,
    EffectKind.RESIDUAL: _residual,
}
