"""What each kind of effect means for the account, with its numbers worked out anew: ``FACTS``, a table by ``EffectKind``.

A kind that is not in the table is told in the words of ``backstop.journal.rendering``; a row here adds what lies behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from backstop.config.policies import Weight, weight_kind
from backstop.core.events import NEVER_NS, NONE, AdlClass, AdlPolicy, BreakerState, Cause, EffectKind, EventKind, Health
from backstop.core.waterfall.certificate import check_certificate
from backstop.explain.closing import zero_text
from backstop.explain.counterparty import add_share, add_weight, weight_text
from backstop.explain.fact import Check, Fact, percent
from backstop.explain.funds import add_fund_payment, add_gap_payment, add_residual
from backstop.explain.losses import add_claim, add_haircut, add_socialised
from backstop.explain.orders import add_order, add_settled
from backstop.explain.passed import add_passed_over, add_waiting
from backstop.explain.scene import Scene
from backstop.explain.takeovers import add_offer, add_takeover
from backstop.journal.rendering import time_text
from backstop.reference.margin import Portfolio, Standing
from backstop.reference.wave import gap_to_zero

__all__ = ["FACTS", "Check", "Fact", "assessment_lines", "assessment_values", "fact_of", "waiting"]

_PPM = 1_000_000
#: Counterparties named in the text; the rest are counted.
_NAMED_MAX = 8


def fact_of(scene: Scene) -> Fact:
    """Return what the effect that is looked at means for the account."""
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


def assessment_lines(scene: Scene, portfolio: Portfolio) -> list[str]:
    """Show equity and maintenance margin term by term, and the level that decides."""
    cash, words, held = scene.speaker.venue.asset.text, scene.speaker, portfolio.held
    terms = "".join(f" + {cash(holding.profit)}" for holding in held)
    lines = [f"equity {cash(portfolio.equity)} = balance {cash(portfolio.balance)}{terms}"]
    for holding in held:
        price, quantity = words.price(holding.market, holding.contract.mark_ticks), words.lots(holding.market, holding.lots)
        worked = f"{cash(holding.value)}, less cost {cash(holding.cost)}: {cash(holding.profit)}"
        lines.append(f"  {words.market(holding.market)}: {quantity} at mark {price} is {worked}")
    lines.append(f"maintenance margin {cash(portfolio.maintenance)}" + _sum_of([cash(holding.margin) for holding in held]))
    for holding in held:
        worked = f"{percent(holding.tier.rate_ppm)} of {cash(holding.notional)}, rounded up, less {cash(holding.tier.deduction)}"
        lines.append(f"  {words.market(holding.market)}: {worked}: {cash(holding.margin)}")
    lines.append(_level(scene, portfolio.standing))
    return lines


def _sum_of(parts: list[str]) -> str:
    return f" = {' + '.join(parts)}" if len(parts) > 1 else ""


def _level(scene: Scene, found: Standing) -> str:
    cash = scene.speaker.venue.asset.text
    levels = scene.rules.levels
    close_out, warning = percent(levels.close_out_ratio_ppm), percent(levels.warning_ratio_ppm)
    ratio = percent(_PPM + levels.exit_buffer_ppm)
    release = f"out of default from the release level {cash(found.release)}: {ratio} of maintenance margin, rounded up"
    if found.health_from(scene.mine.health) != found.raw_health:
        return f"equity is not below maintenance margin: still distressed, {release}"
    said = {
        Health.INSOLVENT: "equity is below 0: insolvent",
        Health.CLOSE_OUT: f"equity is below {cash(found.close_out)} ({close_out} of maintenance margin, rounded down): close-out",
        Health.DISTRESSED: f"equity is below maintenance margin {cash(found.maintenance)}: distressed",
        Health.WARNED: f"equity is below the warning level {cash(found.warning)} ({warning} of maintenance margin, rounded up): warned",
        Health.HEALTHY: f"equity is not below the warning level {cash(found.warning)} ({warning} of maintenance margin): healthy",
    }[found.raw_health]
    return f"{said}; {release}" if found.raw_health >= Health.DISTRESSED and found.maintenance else said


def assessment_values(scene: Scene, portfolio: Portfolio) -> dict[str, Any]:
    """Return equity and maintenance margin with their terms, as texts."""
    cash, words, found = scene.speaker.cash, scene.speaker, portfolio.standing
    return {
        "equity": cash(found.equity),
        "balance": cash(portfolio.balance),
        "maintenance_margin": cash(found.maintenance),
        "warning_level": cash(found.warning),
        "close_out_margin": cash(found.close_out),
        "release_level": cash(found.release),
        "positions": [
            {
                "market": words.market(holding.market),
                "quantity": words.lots(holding.market, holding.lots),
                "mark_price": words.price(holding.market, holding.contract.mark_ticks),
                "value": cash(holding.value),
                "cost": cash(holding.cost),
                "unrealised_pnl": cash(holding.profit),
                "maintenance_rate_ppm": holding.tier.rate_ppm,
                "deduction": cash(holding.tier.deduction),
                "maintenance_margin": cash(holding.margin),
            }
            for holding in portfolio.held
        ],
    }


def _health(scene: Scene, fact: Fact) -> None:
    row, before, found = scene.row, scene.mine.health, scene.portfolio
    if found.equity != row["amount"]:  # judged before the event's own mark was taken, by a timer of the guard
        earlier = scene.books.portfolio_before(scene.account)
        found = earlier if earlier.equity == row["amount"] else found
    fact.because = assessment_lines(scene, found)
    fact.values |= assessment_values(scene, found)
    fact.check("equity", row["amount"], found.equity)
    fact.check("maintenance margin", row["value"], found.maintenance)
    fact.check("health", Health(row["code"]).name, found.standing.health_from(before).name)
    fact.check("health before", Health(row["other"]).name, Health(before).name)


def _trade(scene: Scene, fact: Fact) -> None:
    row, words = scene.row, scene.speaker
    if row["account"] != scene.account:
        return
    if row["code"] == Cause.CLOSEOUT and scene.event["kind"] == EventKind.ORDER_FILL:
        add_settled(scene, fact)
    before = scene.holding(row["market"])
    if row["price_ticks"]:
        fact.check("cash", row["amount"], before.contract.cash_of(row["lots"], row["price_ticks"]))
    realised = 0 if row["code"] == Cause.OPENING else before.after_trade(row["lots"], row["amount"])[1]
    fact.check("realised P&L", row["value"], realised)
    if realised:
        scene.expected[row["code"]] = realised
        share = words.cash(row["amount"] - realised) if abs(row["lots"]) <= abs(before.lots) else "its part"
        fact.because.append(
            f"realised: cash {words.cash(row['amount'])} less {share}, the part of the cost {words.cash(before.cost)} that is closed"
        )


def _posting(scene: Scene, fact: Fact) -> None:
    row = scene.row
    amount = row["amount"] if row["account"] == scene.account else -row["amount"]
    if scene.account in (row["account"], row["other"]):
        expected = scene.expected.pop(row["code"], None)
        if expected is not None:
            fact.check("amount", amount, expected)
        if row["code"] in (Cause.DEFICIT, Cause.UNCOVERED):
            equity = scene.portfolio.equity
            fact.because.append(f"equity is {scene.speaker.cash(equity)} and no position is left" if equity < 0 else "")
            fact.check("at most the deficit", amount <= -equity or row["code"] == Cause.UNCOVERED, True)
        if row["code"] == Cause.DEFICIT and row["account"] == scene.account:
            add_fund_payment(scene, fact)
        if row["code"] == Cause.HAIRCUT:
            add_socialised(scene, fact)


def _adl_plan(scene: Scene, fact: Fact) -> None:
    row, words = scene.row, scene.speaker
    if row["account"] != scene.account:
        return
    market, lots, found = row["market"], abs(row["lots"]), scene.portfolio
    fact.check("equity", row["value"], found.equity)
    if found.equity >= 0:
        fact.check("cash at mark", row["amount"], scene.holding(market).value_of(lots))
        fact.because.append("solvent: it is closed at mark, so that nobody pays for it")
    else:
        zero = found.zero_cash(market, lots)
        fact.check("zero cash", row["amount"], zero.cash)
        beyond = words.cash(row["amount"] - zero.at_mark)
        fact.because.append("insolvent: it is closed at " + zero_text(scene, found, market, lots))
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
    if not scene.mine.in_default or int(head.wait_until_ns) == NEVER_NS:
        return
    held = sorted(market for market, (lots, _) in scene.mine.positions.items() if lots)
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
    contract = scene.rules.markets[scene.rows[first]["market"]].contract
    known = scene.shared.certificate_faults
    if first not in known:
        known[first] = [str(fault) for fault in check_certificate(scene.effects, first, contract)]
    faults = known[first]
    fact.values["certificate"] = faults or "sound"
    fact.because.append("certificate: sound" if not faults else f"certificate: {'; '.join(faults)}")
    fact.check("faults of the certificate", len(faults), 0)


def _adl_class(scene: Scene, fact: Fact) -> None:
    """Say how a class shares what it gives, so that each one's part can be worked out from its weight."""
    row, policy = scene.row, scene.rules.adl_policy
    fact.because.append(f"weight: {weight_text(AdlPolicy(policy), AdlClass(row['code']))}")
    if row["value"]:
        units = {Weight.PROFIT: "eta_weight_atoms", Weight.LOTS: "eta_weight_lots", Weight.SCORE: "eta_weight"}
        unit = units[weight_kind(policy, row["code"])]
        fact.values |= {"eta_lots": row["amount"], unit: row["value"]}
        fact.because.append("each gives eta x its weight, down to a whole lot, at most its cap; the lots left go to the largest remainders")


def _adl_fill(scene: Scene, fact: Fact) -> None:
    row, words = scene.row, scene.speaker
    if row["account"] != scene.account:
        return
    market = row["market"]
    held, at_mark = scene.mine.held(market), scene.contract(market).value_of(-row["lots"])
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
    row, words, found = scene.row, scene.speaker, scene.portfolio
    market, lots = row["market"], abs(row["lots"])
    gap = gap_to_zero(found, market, lots)
    fact.check("cash at mark", row["amount"], scene.holding(market).value_of(lots))
    fact.check("gap to zero cash", row["value"], gap)
    fact.because.append(f"{words.lots(market, lots)} are ended at mark against everyone on the other side")
    if found.equity < 0:
        fact.because.append("  " + zero_text(scene, found, market, lots))
    add_gap_payment(scene, fact, gap)
    add_passed_over(scene, fact)


def _breaker(scene: Scene, fact: Fact) -> None:
    """Say what the change means for an account in default, and check the state before it and its end."""
    row, rules, now = scene.row, scene.rules.breakers, scene.now_ns
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


#: By kind: adds to a fact what lies behind it.
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
