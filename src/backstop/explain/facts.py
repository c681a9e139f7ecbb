"""What each kind of effect means for the account, with its numbers worked out anew: ``FACTS``, a table by ``EffectKind``.

A kind that is not in the table is told in the words of ``backstop.journal.rendering``; a row here adds what lies behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from backstop.core.events import NEVER_NS, NONE, AdlClass, AdlPolicy, BreakerState, Cause, EffectKind, EventKind, Health
from backstop.core.waterfall.certificate import check_certificate
from backstop.explain.closeout import zero_text
from backstop.explain.counterparty import add_share, add_weight, weight_text
from backstop.explain.fact import Check, Fact, percent
from backstop.explain.mirror import Assessment
from backstop.explain.orders import add_order, add_settled
from backstop.explain.passed import add_fund_payment, add_gap_payment, add_passed_over, add_residual, add_waiting
from backstop.explain.scene import Scene
from backstop.explain.stages import add_claim, add_haircut, add_offer, add_socialised, add_takeover
from backstop.journal.rendering import time_text

__all__ = ["FACTS", "Check", "Fact", "assessment_lines", "assessment_values", "fact_of", "waiting"]

_PPM = 1_000_000
#: Counterparties named in the text; the rest are counted.
_NAMED_MAX = 8


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
    ratio = percent(_PPM + levels.exit_buffer_ppm)
    release = f"out of default from the release level {cash(found.release)}: {ratio} of maintenance margin, rounded up"
    if scene.mirror.health_of(found) != found.raw_health:
        return f"equity is not below maintenance margin: still distressed, {release}"
    said = {
        Health.INSOLVENT: "equity is below 0: insolvent",
        Health.CLOSE_OUT: f"equity is below {cash(found.close_out)} ({close_out} of maintenance margin, rounded down): close-out",
        Health.DISTRESSED: f"equity is below maintenance margin {cash(found.maintenance)}: distressed",
        Health.WARNED: f"equity is below the warning level {cash(found.warning)} ({warning} of maintenance margin, rounded up): warned",
        Health.HEALTHY: f"equity is not below the warning level {cash(found.warning)} ({warning} of maintenance margin): healthy",
    }[found.raw_health]
    return f"{said}; {release}" if found.raw_health >= Health.DISTRESSED and found.maintenance else said


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


def _trade(scene: Scene, fact: Fact) -> None:
    row, mirror, words = scene.row, scene.mirror, scene.speaker
    if row["account"] != scene.account:
        return
    if row["code"] == Cause.CLOSEOUT and scene.event["kind"] == EventKind.ORDER_FILL:
        add_settled(scene, fact)
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
        if row["code"] == Cause.DEFICIT and row["account"] == scene.account:
            add_fund_payment(scene, fact)
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
        fact.because.append("insolvent: it is closed at " + zero_text(scene, market, lots, found.equity, found.maintenance))
        fact.because.append(f"  the counterparties together pay {beyond} beyond mark, each by its lots")
    add_passed_over(scene, fact)
    rows = scene.rows[scene.place : scene.place + 2 * row["other"] + len(AdlClass) + 1]
    fills = [each for each in rows if each["kind"] == EffectKind.ADL_FILL and each["other"] == scene.account][: row["other"]]
    fact.because += _fill_lines(scene, fills)
    fact.values["counterparties"] = [words.fields(each, is_event=False) for each in fills]
    _certificate(scene, fact, scene.place)


def waiting(scene: Scene) -> Iterator[Fact]:
    """Say for each market that an account in default holds without an order there why, and when it is looked at again."""
    head, words = scene.state.accounts[scene.account], scene.speaker
    if scene.mirror.health < Health.DISTRESSED or int(head.wait_until_ns) == NEVER_NS:
        return
    held = sorted(market for market, (lots, _) in scene.mirror.positions.items() if lots)
    ordered = _ordered_markets(scene)
    without = [market for market in held if market not in ordered]
    if not without:
        return
    until = time_text(int(head.wait_until_ns))
    if ordered:
        names, others = (", ".join(words.market(market) for market in each) for each in (without, sorted(ordered)))
        says = f"no order in {names}; it is looked at again when those in {others} have ended, at {until} at the latest"
    else:
        says = f"no order left; it is looked at again at {until}"
    fact = Fact("waiting", None, says)
    add_waiting(scene, fact, without)
    yield fact


def _ordered_markets(scene: Scene) -> set[int]:
    """Return the markets where the account has an order or offer open after the event."""
    rows, found = scene.state.positions, set()
    place = int(scene.state.accounts[scene.account].first_position)
    while place != NONE:
        if int(rows[place].order_slot) != NONE:
            found.add(int(rows[place].market))
        place = int(rows[place].next_of_account)
    return found


def _fill_lines(scene: Scene, fills: list[Any]) -> list[str]:
    words = scene.speaker
    ranked = sorted(fills, key=lambda row: -abs(row["lots"]))
    lines = []
    for row in ranked[:_NAMED_MAX]:
        given, cap = words.lots(row["market"], row["lots"]), words.lots(row["market"], row["price_ticks"])
        weight = words.fields(row, is_event=False)["weight"]
        receives = f"class {AdlClass(row['code']).name.lower()}, weight {weight}, receives {words.cash(row['amount'])}"
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


def _adl_class(scene: Scene, fact: Fact) -> None:
    """Say how a class shares what it gives, so that each one's part can be worked out from its weight."""
    row, policy = scene.row, scene.rules.adl_policy
    fact.because.append(f"weight: {weight_text(AdlPolicy(policy), AdlClass(row['code']))}")
    if row["value"]:
        is_cash = policy == AdlPolicy.CAPPED_PRO_RATA and row["code"] == AdlClass.PROFITABLE
        by_lots = policy in (AdlPolicy.CAPPED_PRO_RATA, AdlPolicy.PRO_RATA) or row["code"] == AdlClass.HOUSE
        unit = "eta_weight_atoms" if is_cash else "eta_weight_lots" if by_lots else "eta_weight"
        fact.values |= {"eta_lots": row["amount"], unit: row["value"]}
        fact.because.append("each gives eta x its weight, down to a whole lot, at most its cap; the lots left go to the largest remainders")


def _adl_fill(scene: Scene, fact: Fact) -> None:
    row, words = scene.row, scene.speaker
    if row["account"] != scene.account:
        return
    market = row["market"]
    held = scene.mirror.held(market)[0]
    at_mark = -row["lots"] * scene.mirror.unit(market)
    group = [each for each in scene.rows[: scene.place] if each["kind"] == EffectKind.ADL_CLASS and each["account"] == row["other"]][-1]
    fields = words.fields(group, is_event=False)
    fact.because.append(f"its class gives {fields['quantity']}, {fields['eta']}: eta x weight, at most its cap, in whole lots")
    fact.because.append(f"it holds {words.lots(market, held)}, the side that the defaulter's position needs")
    add_weight(scene, fact)
    first = max(place for place in range(scene.place) if scene.rows[place]["kind"] == EffectKind.ADL_PLAN)
    add_share(scene, fact, first)
    fact.because.append(f"at mark it would receive {words.cash(at_mark)}: it pays {words.cash(at_mark - row['amount'])} for the default")
    fact.check("on the other side", held * row["lots"] < 0 and abs(row["lots"]) <= abs(held), True)
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
    if found.equity < 0:
        fact.because.append("  " + zero_text(scene, market, lots, found.equity, found.maintenance))
    add_gap_payment(scene, fact, gap)
    add_passed_over(scene, fact)


def _breaker(scene: Scene, fact: Fact) -> None:
    """Say what the change means for an account in default, and check the state before it and its end."""
    row, rules, now = scene.row, scene.rules.breakers, int(scene.state.engine[0].now_ns)
    ends = {BreakerState.OPEN: NEVER_NS, BreakerState.REOPENING: now + rules.reopen_ns}
    fact.check("state before", BreakerState(row["other"]).name, scene.machine(row["market"]).state.name)
    fact.check("end", row["amount"], ends.get(BreakerState(row["code"]), now + rules.hold_max_ns))
    means = "its closing orders have whole slices again"
    if row["code"] == BreakerState.HALTED:
        means = "its closing orders must wait, at most to its deadline"
    elif row["code"] != BreakerState.OPEN:
        means = f"its closing orders have {percent(rules.throttle_share_ppm)} of a slice"
    limits = "where its market's own breaker is no severer" if row["market"] == NONE else "unless the venue's own breaker is severer"
    fact.because.append(f"it is in default and holds a position there: {means}, {limits}")


def _restrict(scene: Scene, fact: Fact) -> None:
    fact.because.append("the first stage of the waterfall: nothing may make it worse while it is put right")


def _reserve(scene: Scene, fact: Fact) -> None:
    row, words = scene.row, scene.speaker
    fund = words.fund(scene.rules.markets[row["market"]].group)
    order = f"order {row['other']} of {words.holder(row['account'])} in {words.market(row['market'])}"
    does = (
        f"reserves {words.cash(row['amount'])} for"
        if row["amount"] > 0
        else f"releases {words.cash(-row['amount'])} of what it reserved for"
    )
    fact.says = f"the {fund} {does} {order}; it then reserves {words.cash(row['value'])} for the orders and offers of all accounts"
    fact.because.append("the fund promises before the order leaves, and takes back what was not needed")


#: By kind: adds to a fact what lies behind it, and lets the account's mirror follow.
FACTS: dict[EffectKind, Callable[[Scene, Fact], None]] = {
    EffectKind.HEALTH: _health,
    EffectKind.RESTRICT: _restrict,
    EffectKind.ORDER: add_order,
    EffectKind.RESERVE: _reserve,
    EffectKind.TRADE: _trade,
    EffectKind.POSTING: _posting,
    EffectKind.ADL_PLAN: _adl_plan,
    EffectKind.ADL_CLASS: _adl_class,
    EffectKind.ADL_FILL: _adl_fill,
    EffectKind.TEAR_UP: _tear_up,
    EffectKind.OFFER: add_offer,
    EffectKind.TAKEOVER: add_takeover,
    EffectKind.HAIRCUT: add_haircut,
    EffectKind.CLAIM: add_claim,
    EffectKind.BREAKER: _breaker,
    EffectKind.RESIDUAL: add_residual,
}
