"""What each kind of effect means for the account, with its numbers worked out anew: ``FACTS``, a
table by ``EffectKind``.

A kind that is not in the table is told in the words of ``backstop.journal.rendering``; a row here
adds what lies behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from backstop.core.events import FUNDING_PARTS, NEVER_NS, NONE, BreakerState, Cause, Doubt, EffectKind, EventKind, Health, Settlement
from backstop.core.kinds import (
    BreakerEffect,
    DoubtEffect,
    HealthEffect,
    PostingEffect,
    ReliefEffect,
    ReserveEffect,
    SettlementEffect,
    TearUpEffect,
    TradeEffect,
)
from backstop.explain.carry import add_carry, add_carry_reserve, carry_text
from backstop.explain.charges import add_charge
from backstop.explain.closing import zero_text
from backstop.explain.debts import add_debt, add_return
from backstop.explain.deleverage import add_adl_class, add_adl_fill, add_adl_plan, add_adl_scale
from backstop.explain.fact import Check, Fact, percent
from backstop.explain.funds import add_fund_payment, add_residual, add_support
from backstop.explain.gains import add_gain_share
from backstop.explain.losses import add_claim, add_haircut, add_socialised
from backstop.explain.naked_legs import add_naked_leg
from backstop.explain.orders import add_order, add_settled
from backstop.explain.passed import add_passed_over, add_waiting
from backstop.explain.scene import Scene
from backstop.explain.takeovers import add_offer, add_takeover
from backstop.explain.trades import cash_due
from backstop.journal.rendering import time_text
from backstop.reference.machine import end_of
from backstop.reference.margin import Holding, Portfolio, Standing, levels_after
from backstop.reference.wave import gap_to_zero

__all__ = ["FACTS", "Check", "Fact", "assessment_lines", "assessment_values", "fact_of", "waiting"]

_PPM = 1_000_000


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
    cash, words, held = scene.speaker.text, scene.speaker, portfolio.held
    terms = "".join(f" + {cash(holding.profit)}" for holding in held)
    funding = [holding for holding in held if holding.funding]
    terms += f" + unpaid funding {cash(sum(holding.funding for holding in funding))}" if funding else ""
    lines = [f"equity {cash(portfolio.equity)} = balance {cash(portfolio.balance)}{terms}"]
    for holding in held:
        price, quantity = words.price(holding.market, holding.contract.mark_ticks), words.lots(holding.market, holding.lots)
        worked = f"{cash(holding.value)}, less cost {cash(holding.cost)}: {cash(holding.profit)}"
        lines.append(f"  {words.market(holding.market)}: {quantity} at mark {price} is {worked}")
    lines += [f"  {words.market(holding.market)}: {_funding_text(scene, holding)}" for holding in funding]
    lines.append(f"maintenance margin {cash(portfolio.maintenance)}" + _sum_of([cash(holding.margin) for holding in held]))
    for holding in held:
        worked = f"{percent(holding.tier.rate_ppm)} of {cash(holding.notional)}, rounded up, less {cash(holding.tier.deduction)}"
        if holding.kept_ppm != _PPM:
            worked += f", of which {percent(holding.kept_ppm)}: it has relief from a rise of margin"
        lines.append(f"  {words.market(holding.market)}: {worked}: {cash(holding.margin)}")
    lines.append(_level(scene, portfolio.standing))
    return lines


def _funding_text(scene: Scene, holding: Holding) -> str:
    """Say how unpaid funding comes about."""
    words, moved = scene.speaker, holding.contract.funding_index - holding.settled_index
    quantity, amount = words.lots(holding.market, holding.lots), words.cash(holding.funding)
    worked = f"{holding.lots} lots times {-moved} / {FUNDING_PARTS:,} atoms, rounded down"
    return f"unpaid funding of {quantity}, from index {holding.settled_index} to {holding.contract.funding_index}: {worked}: {amount}"


def _sum_of(parts: list[str]) -> str:
    return f" = {' + '.join(parts)}" if len(parts) > 1 else ""


def _level(scene: Scene, found: Standing) -> str:
    cash = scene.speaker.text
    levels = found.rules
    close_out, warning = percent(levels.close_out_ratio_ppm), percent(levels.warning_ratio_ppm)
    ratio = percent(_PPM + levels.exit_buffer_ppm)
    release = f"out of default from the release level {cash(found.release)}: {ratio} of maintenance margin, rounded up"
    if levels.exit_buffer_ppm != scene.rules.levels.exit_buffer_ppm:
        release += ", more than usual since it came back to default"
    if found.health_from(scene.mine.health) != found.raw_health:
        return f"equity is not below maintenance margin: still distressed, {release}"
    said = {
        Health.INSOLVENT: "equity is below 0: insolvent",
        Health.CLOSE_OUT: f"equity is below {cash(found.close_out)} ({close_out} of maintenance margin, rounded down): close-out",
        Health.DISTRESSED: f"equity is below maintenance margin {cash(found.maintenance)}: distressed",
        Health.WARNED: f"equity is below the warning level {cash(found.warning)} ({warning} of maintenance margin, rounded up): warned",
        Health.HEALTHY: f"equity is not below the warning level {cash(found.warning)} ({warning} of maintenance margin): healthy",
    }[found.raw_health]
    if found.warning <= found.equity < found.sound:
        said = f"equity is below {cash(found.sound)}, {warning} of the margin without relief: warned"
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
                "unpaid_funding": cash(holding.funding),
                "maintenance_rate_ppm": holding.tier.rate_ppm,
                "deduction": cash(holding.tier.deduction),
                "kept_ppm": holding.kept_ppm,
                "maintenance_margin": cash(holding.margin),
            }
            for holding in portfolio.held
        ],
    }


def _health(scene: Scene, fact: Fact) -> None:
    told, before, found = HealthEffect(scene.row), scene.mine.health, scene.portfolio
    # Judged before the event's own mark was taken, by a timer of the guard.
    if found.equity != told.equity:
        earlier = scene.books.portfolio_before(scene.account)
        found = earlier if earlier.equity == told.equity else found
    if before < Health.DISTRESSED <= told.health:
        levels = scene.rules.levels
        found = replace(found, levels=levels_after(levels, scene.mine.returns_at(scene.now_ns, levels)))
    fact.because = assessment_lines(scene, found)
    fact.values |= assessment_values(scene, found)
    fact.check("equity", told.equity, found.equity)
    fact.check("maintenance margin", told.maintenance_margin, found.maintenance)
    fact.check("health", told.health.name, found.standing.health_from(before).name)
    fact.check("health before", told.old_health.name, Health(before).name)


def _trade(scene: Scene, fact: Fact) -> None:
    trade, words = TradeEffect(scene.row), scene.speaker
    if trade.account != scene.account:
        return
    if trade.cause == Cause.CLOSEOUT and scene.event["kind"] == EventKind.ORDER_FILL:
        add_settled(scene, fact)
    before = scene.holding(trade.market)
    if (due := cash_due(scene, trade)) is not None:
        fact.check("cash", trade.cash, due)
    realised = 0 if trade.cause == Cause.OPENING else before.after_trade(trade.lots, trade.cash)[1]
    fact.check("realised P&L", trade.realised, realised)
    if realised:
        scene.expected[trade.cause] = realised
        share = words.cash(trade.cash - realised) if abs(trade.lots) <= abs(before.lots) else "its part"
        closed = f"the part of the cost {words.cash(before.cost)} that is closed"
        fact.because.append(f"realised: cash {words.cash(trade.cash)} less {share}, {closed}")


def _posting(scene: Scene, fact: Fact) -> None:
    posting = PostingEffect(scene.row)
    amount = posting.amount if posting.receiver == scene.account else -posting.amount
    if scene.account not in (posting.receiver, posting.payer):
        return
    expected = scene.expected.pop(posting.cause, None)
    if posting.cause == Cause.SUPPORT and expected is not None:
        # At most what then lacks, whatever was promised.
        expected = min(expected, -scene.portfolio.equity)
    if expected is not None:
        fact.check("amount", amount, expected)
    if posting.cause in (Cause.DEFICIT, Cause.UNCOVERED):
        equity = scene.portfolio.equity
        fact.because.append(f"equity is {scene.speaker.cash(equity)} and no position is left" if equity < 0 else "")
        fact.check("at most the deficit", amount <= -equity or posting.cause == Cause.UNCOVERED, True)
    if posting.cause == Cause.DEFICIT and posting.receiver == scene.account:
        add_fund_payment(scene, fact)
    if posting.cause == Cause.HAIRCUT:
        add_socialised(scene, fact)
    if posting.cause in (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP) and posting.receiver == scene.account:
        add_debt(scene, fact)
    if posting.cause == Cause.DEBT_RETURN:
        add_return(scene, fact)
    if posting.cause == Cause.GAIN_SHARE:
        add_gain_share(scene, fact)
    if posting.cause == Cause.CONTRIBUTION:
        _contribution(scene, fact, posting)
    if posting.cause == Cause.FILL_DEBT:
        _fill_debt(scene, fact, posting)
    if posting.cause == Cause.FUNDING and posting.market != NONE:
        holding = scene.holding(posting.market)
        fact.because.append(_funding_text(scene, holding))
        fact.check("unpaid funding", amount, holding.funding)


def _contribution(scene: Scene, fact: Fact, posting: PostingEffect[int]) -> None:
    """Say why a fill cost its account a contribution, and that it left its maintenance margin."""
    found, words, group = scene.portfolio, scene.speaker, scene.rules.markets[posting.market].group
    share = f"{scene.rules.funds[group].contribution_ppm} ppm of the initial margin of the lots that it opened"
    fact.because.append(f"a fill pays the {words.fund(group)} {share}, at most what the account has above its maintenance margin")
    fact.check("maintenance margin stays", found.equity - posting.amount >= found.maintenance, True)


def _fill_debt(scene: Scene, fact: Fact, posting: PostingEffect[int]) -> None:
    """Say why one account pays for another's deficit, and how far."""
    found, words = scene.portfolio, scene.speaker
    if posting.receiver == scene.account:
        fact.because.append(f"equity is {words.cash(found.equity)}: who gained by a fill far from the mark pays before a fund or others do")
        owed = 0 if found.held else sum(scene.mine.debts.values())
        if owed:
            fact.because.append(f"it has no position left, and funds paid {words.cash(owed)} for it before: that goes back to them")
        fact.check("at most the deficit, and what funds paid", posting.amount <= owed - found.equity, True)
    else:
        kept = f"its maintenance margin {words.cash(found.maintenance)} stays"
        fact.because.append(f"it gained by a fill far from the mark, and the other side of it lacks the money; {kept}")
        fact.check("maintenance margin stays", found.equity - posting.amount >= found.maintenance, True)


def waiting(scene: Scene) -> Iterator[Fact]:
    """Say for each market that an account in default holds without an order there why, and when it
    is looked at again.
    """
    head, words = scene.state.accounts[scene.account], scene.speaker
    if not scene.mine.in_default or int(head.wait_until_ns) == NEVER_NS:
        return
    held = sorted(market for market, each in scene.mine.positions.items() if each.lots)
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
    carried = carry_text(scene)
    if carried is not None:
        fact.because.append(carried)
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


def _against(scene: Scene) -> str:
    """Say whose lots end with those of a tear-up, and what others of it bring."""
    torn = TearUpEffect(scene.row)
    others = [each for each in _torn_together(scene) if each.account != torn.account]
    against = [each for each in others if each.lots * torn.lots < 0]
    mine = abs(torn.lots) + sum(abs(each.lots) for each in others if each.lots * torn.lots > 0)
    met = sum(abs(each.lots) for each in against)
    everyone = "everyone who holds the other side, by lots"
    if not against:
        return f"against {everyone}"
    are = "another account in default" if len(against) == 1 else f"{len(against):,} other accounts in default"
    rest = f"; what is left of this side, against {everyone}" if mine > met else ""
    return f"against the lots of {are}, who leave on the other side{rest}"


def _torn_together(scene: Scene) -> list[TearUpEffect[int]]:
    """Return all that a market's tear-up ends, where one of it is looked at."""
    found, place = list[TearUpEffect[int]](), scene.place
    within = (EffectKind.TEAR_UP, EffectKind.SUPPORT)
    while place > 0 and scene.rows[place - 1]["kind"] in within:
        place -= 1
    for row in scene.rows[place:]:
        if row["kind"] not in within:
            break
        if row["kind"] == EffectKind.TEAR_UP:
            found.append(TearUpEffect(row))
    return found


def _cash_torn(scene: Scene, torn: TearUpEffect[int]) -> int:
    """Return what a defaulter of a tear-up receives: its lots at mark; the last short what the others
    leave, where both sides end as many.
    """
    together = _torn_together(scene)
    shorts = [each.account for each in together if each.lots > 0]
    if sum(each.lots for each in together) == 0 and torn.account == max(shorts):
        return -sum(each.cash for each in together if each.account != torn.account)
    return scene.holding(torn.market).value_of(abs(torn.lots))


def _tear_up(scene: Scene, fact: Fact) -> None:
    torn, words, found = TearUpEffect(scene.row), scene.speaker, scene.portfolio
    market, lots = torn.market, abs(torn.lots)
    gap = gap_to_zero(found, market, lots)
    fact.check("cash at mark", torn.cash, _cash_torn(scene, torn))
    fact.check("gap to zero cash", torn.gap, gap)
    fact.because.append(f"{words.lots(market, lots)} are ended at mark: {_against(scene)}")
    if found.equity < 0:
        fact.because.append("  " + zero_text(scene, found, market, lots))
    add_charge(scene, fact, market, lots)
    add_passed_over(scene, fact)


def _breaker(scene: Scene, fact: Fact) -> None:
    """Say what the change means for an account in default, and check the state before it and its
    end.
    """
    told, rules, now = BreakerEffect(scene.row), scene.rules.breakers, scene.now_ns
    fact.check("state before", told.old_state.name, scene.machine(told.market).state.name)
    fact.check("end", told.until_ns, end_of(told.breaker_state, now, rules.hold_max_ns, rules.reopen_ns))
    means = "its closing orders have whole slices again"
    if told.breaker_state == BreakerState.HALTED:
        means = f"its closing orders have {percent(rules.throttle_share_ppm)} of a slice, and none leaves where an operator halts"
        means += f"; ADL waits until {rules.halt_wait_max_ns / 1e9:g} s after its default began" if rules.halt_wait_max_ns else ""
    elif told.breaker_state != BreakerState.OPEN:
        means = f"its closing orders have {percent(rules.throttle_share_ppm)} of a slice"
    limits = "where its market's own breaker is no severer" if told.market == NONE else "unless the venue's own breaker is severer"
    fact.because.append(f"it is in default and holds a position there: {means}, {limits}")


def _doubt(scene: Scene, fact: Fact) -> None:
    """Say what begins or ends for an account in default, and check that it was not so before."""
    told = DoubtEffect(scene.row)
    ends, undoubted = told.reason == Doubt.ENDED, scene.undoubted(told.market)
    joins = undoubted != 0 and told.reason not in (Doubt.ENDED, Doubt.GUARD)
    if joins:
        fact.check("last mark not doubted", told.undoubted_ticks, undoubted)
    else:
        fact.check("doubted before", ends, undoubted != 0)
    if ends:
        fact.because.append("it holds a position there: stages may act on it again")
        return
    left = (scene.rules.breakers.doubt_max_ns - scene.mine.doubt_ns) / 1e9
    says = f"it is in default and holds a position there: no stage acts on that, for {left:g} s of waiting at most"
    stays = "what it has out there stays: it left at a price that nobody doubted"
    does = stays if told.reason == Doubt.GUARD else "its orders and offers there are cancelled"
    fact.because += [says, f"{does}, and it is judged in other markets at the better of both marks"]


def _settlement(scene: Scene, fact: Fact) -> None:
    """Say what a settlement means for whoever holds lots, and check whose price it is."""
    told, words = SettlementEffect(scene.row), scene.speaker
    market, price = told.market, words.price(told.market, told.price_ticks)
    if told.source != Settlement.VENUE:
        fact.check("doubted before", scene.undoubted(market) != 0, True)
    fact.check("settled before", scene.is_settling(market), False)
    fact.check("mark before", told.mark_ticks, scene.shared.books.marks[market])
    fact.check("price", told.price_ticks, scene.settlement_price(market, told.source))
    whose = {Settlement.OPERATOR: "an operator gave it", Settlement.INDEX: "it is the index"}.get(told.source, "no index lives")
    longest = scene.rules.breakers.doubt_max_ns / 1e9
    why = f"the mark of {words.market(market)} was doubted for {longest:g} s: every position there ends at {price}; {whose}"
    if told.source == Settlement.VENUE:
        why = f"the venue ended {words.market(market)}: every position there ends at its price, {price}"
    fact.because += [
        why,
        "nobody acts there until then, its orders are cancelled, and what it lacks then is paid like any other deficit",
    ]


def _restrict(scene: Scene, fact: Fact) -> None:
    fact.because.append("the first stage of the waterfall: nothing may make it worse while it is put right")


def _reserve(scene: Scene, fact: Fact) -> None:
    told, words = ReserveEffect(scene.row), scene.speaker
    if told.order_id == 0:
        add_carry_reserve(scene, fact)
        return
    fund, change = words.fund(scene.rules.markets[told.market].group), words.cash(abs(told.change))
    order = f"order {told.order_id} of {words.holder(told.account)} in {words.market(told.market)}"
    does = f"reserves {change} for" if told.change > 0 else f"releases {change} of what it reserved for"
    fact.says = f"the {fund} {does} {order}; it then reserves {words.cash(told.reserved)} for the orders and offers of all accounts"
    fact.because.append("the fund promises before the order leaves, and takes back what was not needed")
    is_answered = scene.event["kind"] in (EventKind.ORDER_FILL, EventKind.ANSWER) and told.order_id == scene.event["other"]
    if is_answered and told.account == scene.account and scene.expected.get(Cause.SUPPORT, 0) == -told.change:
        del scene.expected[Cause.SUPPORT]
        fact.because.append(f"equity is {words.cash(scene.portfolio.equity)}: nothing lacks any more, so that the fund pays nothing")
        fact.check("equity is not below zero", scene.portfolio.equity >= 0, True)


#: By kind: adds to a fact what lies behind it.
def _relief(scene: Scene, fact: Fact) -> None:
    """Say why a position needs less margin than others, or needs all of it again."""
    told, words = ReliefEffect(scene.row), scene.speaker
    holding = scene.holding(told.market)
    after = holding._replace(kept_ppm=told.kept_ppm)
    if told.kept_ppm == _PPM:
        fact.because.append("relief ends: the account is sound without it, is flat there, took more risk, or notice was given")
    else:
        fact.because.append("margin rose, and the account would be in default by that alone: it keeps the margin that it had")
    kept = f"{percent(told.kept_ppm)} of {words.cash(after.full_margin)}, rounded up: {words.cash(after.margin)}"
    fact.because.append(f"maintenance margin of {words.lots(told.market, holding.lots)}: {kept}")
    fact.check("margin", told.margin, after.margin)
    fact.check("margin without relief", told.full_margin, after.full_margin)


FACTS: dict[EffectKind, Callable[[Scene, Fact], None]] = {
    EffectKind.HEALTH: _health,
    EffectKind.RESTRICT: _restrict,
    EffectKind.ORDER: add_order,
    EffectKind.RESERVE: _reserve,
    EffectKind.CARRY: add_carry,
    EffectKind.RELIEF: _relief,
    EffectKind.NAKED_LEG: add_naked_leg,
    EffectKind.TRADE: _trade,
    EffectKind.POSTING: _posting,
    EffectKind.ADL_PLAN: add_adl_plan,
    EffectKind.ADL_SCALE: add_adl_scale,
    EffectKind.ADL_CLASS: add_adl_class,
    EffectKind.ADL_FILL: add_adl_fill,
    EffectKind.SUPPORT: add_support,
    EffectKind.TEAR_UP: _tear_up,
    EffectKind.OFFER: add_offer,
    EffectKind.TAKEOVER: add_takeover,
    EffectKind.HAIRCUT: add_haircut,
    EffectKind.CLAIM: add_claim,
    EffectKind.BREAKER: _breaker,
    EffectKind.DOUBT: _doubt,
    EffectKind.SETTLEMENT: _settlement,
    EffectKind.RESIDUAL: add_residual,
}
