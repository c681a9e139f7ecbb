"""Why the stages before ADL or tear-up passed an account over: each stage's own conditions, worked out again (docs/rules.md, section 6).

A stage that could have acted, by what is worked out here, is a difference from the tape: it did not.
"""

from __future__ import annotations

from collections.abc import Callable

from backstop.core.events import GROUPS_MAX, NEVER_NS, NONE, BreakerState, EffectKind, Health, ProviderStatus, Stage, fund_of
from backstop.explain.closeout import bounds_of, caps_text, limit_ticks, share_of, share_text, worst_support, zero_ticks
from backstop.explain.fact import Fact, percent
from backstop.explain.house import View, initial_margin
from backstop.explain.mirror import Assessment, ceil_div
from backstop.explain.scene import Plan, Scene, Stop, Turn
from backstop.journal.rendering import time_text

__all__ = ["add_fund_payment", "add_gap_payment", "add_passed_over", "add_residual", "add_waiting", "support_of"]

_PPM = 1_000_000
_DIRECTIONS = ("long", "short")


def _turn_of(scene: Scene, present: Turn | None) -> Turn:
    """Return the turn that the ADL or tear-up looked at belongs to; a new one begins where another act came between."""
    if present is not None and not _acts_between(scene, present.first_place):
        return present
    view = scene.known.views[scene.place]
    found = scene.mirror.assess()
    plan = Plan(found.equity, found.maintenance, found.equity, found.maintenance, scene.place)
    stops: dict[int, list[Stop]] = {}
    for market in sorted(scene.mirror.positions):
        if scene.mirror.held(market)[0]:
            stops[market] = _stops(scene, view, plan, found, market)
    closeouts = [stop for each in stops.values() for stop in each if stop.stage == "closeout" and stop.reason != "not_built"]
    waits = any(stop.is_busy for stop in closeouts) or scene.mirror.health == Health.DISTRESSED
    would_wait = bool(closeouts) and waits and view.now_ns < scene.default_since_ns() + scene.rules.closeout.deadline_ns
    return Turn(scene.place, view, stops, would_wait, _vault_took(scene) > 0)


def _acts_between(scene: Scene, first: int) -> bool:
    """Return whether between ``first`` and the present effect anything but this account's ADL and tear-up acted."""
    acts = (EffectKind.ORDER, EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.RESTRICT)
    last = (EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
    between = scene.rows[first : scene.place]
    return any(row["kind"] in acts or (row["kind"] in last and row["account"] != scene.account) for row in between)


def _vault_took(scene: Scene, market: int | None = None) -> int:
    """Return the lots (> 0) that the vault took over of the account right before ADL or tear-up; in all markets, or one."""
    taken = 0
    for row in reversed(scene.rows[: scene.place]):
        if row["kind"] == EffectKind.TAKEOVER and row["account"] == scene.account and row["other"] == 0:
            taken += abs(row["lots"]) if market in (None, row["market"]) else 0
        if row["kind"] in (EffectKind.ORDER, EffectKind.OFFER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP):
            break
        if row["kind"] == EffectKind.TAKEOVER and row["account"] != scene.account:
            break
    return taken


def add_passed_over(scene: Scene, fact: Fact) -> None:
    """Say for each earlier stage why it left the position that the effect closes, and check that it could not have acted."""
    market = scene.row["market"]
    turn = scene.turn = _turn_of(scene, scene.turn)
    stops = turn.stops.get(market, [])
    fact.because.append("why the stages before it left this:" if stops else "no stage stands before it in this venue's waterfall")
    for stop in stops:
        fact.because.append(f"  {stop.stage}: {stop.says}")
        fact.because += [f"    {part}" for part in stop.parts]
        if stop.stage != "fund" and not turn.is_moved:
            fact.check(f"lots that {stop.stage} could close", 0, stop.lots)
    if not turn.is_moved:
        fact.check("closeout had to wait", False, turn.would_wait)
    if scene.known.house is not None:
        fact.check(
            "differences in funds and providers after the event", "none", "; ".join(scene.known.house.differences(scene.state)) or "none"
        )
    fact.values["passed_over"] = [
        {"stage": stop.stage, "reason": stop.reason, "says": "; ".join((stop.says, *stop.parts)), **stop.values} for stop in stops
    ]


def _stops(scene: Scene, view: View, plan: Plan, found: Assessment, market: int) -> list[Stop]:
    """Return one line for each stage that stands before ADL or, for a tear-up, before that."""
    stages = list(scene.rules.stages)
    now = Stage.ADL if scene.row["kind"] == EffectKind.ADL_PLAN else Stage.TEAR_UP
    earlier = stages[: stages.index(now)]
    tell: dict[Stage, Callable[[], Stop]] = {
        Stage.CLOSEOUT: lambda: _with_time(scene, view, _closeout_stop(scene, plan, market, view)),
        Stage.TAKEOVER: lambda: _takeover_stop(scene, view, found, market),
        Stage.FUND: lambda: _fund_stop(scene, view, found, market),
        Stage.ADL: lambda: _adl_stop(scene, found, market),
    }
    return [
        tell[stage]() if stage in earlier else Stop(stage.name.lower(), "not_built", "no stage of this venue's waterfall before this one")
        for stage in (Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL)
        if stage != now
    ]


# -- closing on the book ---------------------------------------------------------------------------


def _with_time(scene: Scene, view: View, stop: Stop) -> Stop:
    """Add why closeout did not wait for better."""
    since, deadline = scene.default_since_ns(), scene.rules.closeout.deadline_ns
    if view.now_ns >= since + deadline:
        stop.says += f"; it may wait {deadline / 1e9:g} s, and was in default for {(view.now_ns - since) / 1e9:g} s"
    else:
        stop.says += "; below close-out margin it waits only for capacity that others take"
    stop.values |= {"in_default_ns": view.now_ns - since, "deadline_ns": deadline}
    return stop


def add_waiting(scene: Scene, fact: Fact, markets: list[int]) -> None:
    """Say for each position without an order or offer why the book cannot take it, as things stand after the event."""
    found, words = scene.mirror.assess(), scene.speaker
    head = scene.state.accounts[scene.account]
    plan = Plan(found.equity, found.maintenance, found.equity, found.maintenance, scene.place)
    told: list[dict[str, object]] = []
    fact.values = {"until_ns": int(head.wait_until_ns), "markets": told}
    if scene.known.house is None:
        return
    view = scene.known.house.view(scene.account)
    for market in markets:
        held = scene.mirror.held(market)[0]
        stop = _beside_others(scene, _closeout_stop(scene, plan, market, view))
        fact.because.append(f"{words.market(market)}: holds {words.lots(market, held)}; {stop.says}")
        told.append({"market": words.market(market), "holds_lots": held, "reason": stop.reason, "says": stop.says, **stop.values})


def _beside_others(scene: Scene, stop: Stop) -> Stop:
    """Return what kept an order from leaving beside those that are out: a halt does in any case, a slice not due before all else."""
    head, words = scene.state.accounts[scene.account], scene.speaker
    sent = [row["kind"] for row in scene.rows if row["account"] == scene.account and row["kind"] in (EffectKind.ORDER, EffectKind.OFFER)]
    if stop.reason == "halted":
        return stop
    if not sent and int(head.next_slice_ns) > int(scene.state.engine[0].now_ns):
        return Stop("closeout", "slice_not_due", f"its next slice is due at {time_text(int(head.next_slice_ns))}")
    if stop.reason != "open" or not int(head.orders_open):
        return stop
    plan = scene.plan
    if EffectKind.ORDER in sent and plan is not None and plan.expected_equity >= scene.mirror.release_of(plan.expected_maintenance):
        level = words.cash(scene.mirror.release_of(plan.expected_maintenance))
        says = f"the orders sent are expected to restore it: to equity {words.cash(plan.expected_equity)}, release level {level} then"
        return Stop("closeout", "enough", says)
    return Stop("closeout", "waits_for_answers", "the next order is planned when those that are out have ended")


def _closeout_stop(scene: Scene, plan: Plan, market: int, view: View) -> Stop:
    """Return why the book cannot take the account's position as things stand at the effect looked at."""
    words, held = scene.speaker, scene.mirror.held(market)[0]
    breaker, symbol = scene.breaker(market), words.market(market)
    if breaker.state == BreakerState.HALTED:
        cause = f" ({breaker.cause.name.lower()})" if breaker.cause else ""
        says = f"{symbol} is halted{cause} until {time_text(breaker.until_ns)} at the latest: no order may leave"
        return Stop("closeout", "halted", says, is_busy=True, values={"until_ns": breaker.until_ns})
    share = share_of(scene, market, -held)
    tolerance = percent(scene.rules.markets[market].slippage_tolerance_ppm)
    if share.visible == 0 and share.is_unknown:
        return Stop(
            "closeout", "depth_unknown", f"the book proved other than shown, and its depth within {tolerance} is not told yet", is_busy=True
        )
    if share.whole == 0:
        says = f"nothing is visible within {tolerance} of the mark" if share.visible == 0 else "nothing was traded there of late"
        return Stop("closeout", "thin_book", says)
    bounds = bounds_of(scene, plan, market, -held)
    values = {"visible_lots": share.visible, "slice_lots": share.whole, "pending_lots": share.pending}
    if share.left <= 0:
        return Stop("closeout", "slice_taken", share_text(scene, market, share), is_busy=True, values=values)
    if bounds.cap <= 0:
        return Stop("closeout", "cap_used", caps_text(scene, market, bounds), is_busy=True, values=values)
    if _is_full(scene):
        return Stop("closeout", "no_place", "the engine has no place for another order now", is_busy=True, values=values)
    if plan.equity < 0:
        return _unsupported(scene, plan, market, view, bounds.cap) or Stop(
            "closeout", "open", "nothing stops an order any more: it waits for its turn", lots=bounds.cap
        )
    return _unreached(scene, plan, market, bounds.lots) or Stop(
        "closeout", "open", "nothing stops an order any more: it waits for its turn", lots=bounds.lots
    )


def _is_full(scene: Scene) -> bool:
    """Return whether the place of the next order, at the effect looked at, holds one that is open."""
    later = len(scene.later(EffectKind.ORDER, EffectKind.OFFER))
    earlier = int(scene.state.engine[0].next_order_id) - later - len(scene.state.orders)
    if earlier < 1:
        return False
    order = scene.state.orders[earlier % len(scene.state.orders)]
    return int(order.id) == earlier and bool(order.is_open)


def _unsupported(scene: Scene, plan: Plan, market: int, view: View, cap: int) -> Stop | None:
    """Return why the fund cannot reserve what closing some of an insolvent account's lots may cost; None: it can."""
    held, group = scene.mirror.held(market)[0], scene.rules.markets[market].group
    limit, _ = limit_ticks(scene, market, held > 0)
    available = view.available(scene.rules, group) if _supports(scene) else 0
    most = _most(lambda lots: worst_support(scene, plan, market, lots, limit) <= available, min(abs(held), cap))
    if most:
        return None
    one = worst_support(scene, plan, market, 1, limit)
    lot = scene.speaker.lots(market, 1)
    says = f"insolvent: an order of {lot} may cost the fund {scene.speaker.cash(one)}; {_support_text(scene, view, group)}"
    busy = one <= available + view.funds[group].reserved
    return Stop("closeout", "fund", says, is_busy=busy, values={"needed_atoms": one, "available_atoms": available})


def _unreached(scene: Scene, plan: Plan, market: int, lots: int) -> Stop | None:
    """Return that the visible book would not take a late order of a solvent account within its limit; None: it would."""
    held = scene.mirror.held(market)[0]
    if scene.state.engine[0].now_ns < scene.default_since_ns() + scene.rules.closeout.deadline_ns:
        return None
    is_sell, mark, words = held > 0, scene.mirror.marks[market], scene.speaker
    limit, _ = limit_ticks(scene, market, is_sell)
    zero = zero_ticks(scene, market, is_sell, lots, scene.mirror.zero_cash(market, lots, plan.equity, plan.maintenance))
    limit = max(limit, zero) if is_sell else min(limit, zero)
    for offset, visible in scene.depth(market, 0 if is_sell else 1):
        if visible > 0:
            best = mark * (_PPM - offset) // _PPM if is_sell else ceil_div(mark * (_PPM + offset), _PPM)
            if (limit <= best) if is_sell else (limit >= best):
                return None
            says = f"the best that is visible is {words.price(market, best)}, its limit {words.price(market, limit)}: no order would fill"
            return Stop("closeout", "not_reached", says, values={"best_ticks": best, "limit_ticks": limit})
    return Stop("closeout", "not_reached", "nothing is visible", values={})


def _most(fits: Callable[[int], bool], high: int) -> int:
    """Return the most lots up to ``high`` that fit, by bisection."""
    if fits(high):
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


# -- takeover ---------------------------------------------------------------------------------------


def _takeover_stop(scene: Scene, view: View, found: Assessment, market: int) -> Stop:
    """Return why nobody was offered the position, provider by provider, and why the vault did not take it."""
    rules, words = scene.rules, scene.speaker
    if not rules.providers:
        return Stop("takeover", "none_configured", "this venue has no backstop provider")
    group, direction = rules.markets[market].group, 0 if scene.mirror.held(market)[0] > 0 else 1
    if all(provider.commitments[group][direction].capacity == 0 for provider in rules.providers):
        says = f"no provider is committed to {_DIRECTIONS[direction]} positions of {words.group(group)}"
        return Stop("takeover", "none_committed", says)
    end = scene.default_since_ns() + 2 * rules.closeout.deadline_ns
    is_over = view.now_ns >= end
    lots, parts = _asked(scene, view, found, market, is_over=is_over)
    says, reason = "nobody could take over a lot", "time_over" if is_over else "none_able"
    if taken := _vault_took(scene, market):
        says, reason = f"the vault just took over {words.lots(market, taken)}", "vault_took"
    elif lots:
        says, reason = "somebody could carry it", "open"
    return Stop("takeover", reason, says, lots=lots, values={"end_ns": end}, parts=parts)


def _asked(scene: Scene, view: View, found: Assessment, market: int, *, is_over: bool) -> tuple[int, list[str]]:
    """Return how many lots could have been taken over, and who could not and why; once offers are over, the vault alone is asked."""
    rules, words = scene.rules, scene.speaker
    group, direction = rules.markets[market].group, 0 if scene.mirror.held(market)[0] > 0 else 1
    parts = [f"offers ended {2 * rules.closeout.deadline_ns / 1e9:g} s after the default began"] if is_over else []
    edges, lots = [], 0
    for number, provider in enumerate(rules.providers):
        if is_over and not provider.is_vault:
            continue
        edge_ppm = provider.commitments[group][direction].edge_ppm
        why = _unable(scene, view, number, market) or _no_room(scene, view, number, market)
        if why is None and provider.is_vault:
            lots, why = _supported(scene, view, found, market, 1, edge_ppm)
        elif why is None:
            edges.append(edge_ppm)
        if why is not None:
            parts.append(f"{words.provider(number)} {why}")
    if not edges:
        return lots, parts
    offered, why = _supported(scene, view, found, market, len(edges), max(edges))
    return lots + offered, parts + ([f"{len(edges)} could carry it, but {why}"] if why else [])


def _unable(scene: Scene, view: View, number: int, market: int) -> str | None:
    """Return why a provider may not be asked, whatever it could carry."""
    provider, rules = view.providers[number], scene.rules
    group, direction = rules.markets[market].group, 0 if scene.mirror.held(market)[0] > 0 else 1
    if rules.providers[number].commitments[group][direction].capacity == 0:
        return f"takes over no {_DIRECTIONS[direction]} positions of {scene.speaker.group(group)}"
    if provider.account == NONE:
        return "has no account yet"
    if provider.status == ProviderStatus.STOPPED:
        return _stopped(scene, view, number)
    if provider.status != ProviderStatus.ON and provider.until_ns > view.now_ns:
        until = f" until {time_text(provider.until_ns)}" if provider.until_ns != NEVER_NS else ""
        return ("is switched off" if provider.status == ProviderStatus.OFF else "failed lately and is not asked") + until
    if view.mirrors[provider.account].health >= Health.DISTRESSED:
        return "is in default itself"
    if int(scene.state.accounts[provider.account].owner) == int(scene.state.accounts[scene.account].owner):
        return "belongs to the same owner"
    return None


def _stopped(scene: Scene, view: View, number: int) -> str | None:
    """Return that a provider that reached its loss stop has not won back half of it; None: it has."""
    cash, stop = scene.speaker.venue.asset.text, scene.rules.providers[number].loss_stop
    baseline = int(scene.state.providers[number].baseline)
    equity = view.mirrors[view.providers[number].account].assess().equity
    if baseline - equity <= stop // 2:
        return None
    lost = f"it lost {cash(baseline - equity)} ({cash(baseline)} less equity {cash(equity)})"
    return f"reached its loss stop {cash(stop)} and is asked again when half is won back: {lost}"


def _no_room(scene: Scene, view: View, number: int, market: int) -> str | None:
    """Return what keeps a provider from carrying one lot; None: it can carry some."""
    rules, words = scene.rules, scene.speaker
    market_rules, provider, settings = rules.markets[market], view.providers[number], rules.providers[number]
    direction = 0 if scene.mirror.held(market)[0] > 0 else 1
    commitment = settings.commitments[market_rules.group][direction]
    mirror, unit = view.mirrors[provider.account], scene.mirror.unit(market)
    free = view.free(rules, number, market_rules.group, direction)
    if int(scene.state.engine[0].positions_now) >= len(scene.state.positions) and market not in mirror.positions:
        return "has no row for this market, and none is free"
    if free < unit:
        used = view.used(rules, number, market_rules.group, direction)
        text = words.venue.asset.text
        return f"has used {text(used)} of its commitment {text(commitment.capacity)}, and one lot is {text(unit)}"
    found = mirror.assess()
    initial = sum(initial_margin(rules, term.market, abs(term.value)) for term in found.positions)
    gross = sum(abs(term.value) for term in found.positions)
    promised = view.promised(number, market, direction)
    before = abs(promised) * unit
    for lots in (0, 1):
        after = abs(promised + (lots if direction == 0 else -lots))
        if after * unit > commitment.position_notional_max:
            return f"would hold {words.cash(after * unit)} there, and may hold {words.cash(commitment.position_notional_max)}"
        if after > market_rules.position_lots_max:
            return "is at the largest position that the market allows"
        margin = initial - initial_margin(rules, market, before) + initial_margin(rules, market, after * unit) + provider.pending_initial
        if found.equity < margin:
            return f"has equity {words.cash(found.equity)}, and would need {words.cash(margin)} of initial margin, open offers included"
        notional = gross - before + after * unit + provider.pending_notional
        if notional * _PPM > found.equity * settings.leverage_ppm:
            times = f"{settings.leverage_ppm / _PPM:g}"
            return f"would carry {words.cash(notional)}, more than {times} x its equity {words.cash(found.equity)}"
    return None


def _supported(scene: Scene, view: View, found: Assessment, market: int, parts: int, edge_ppm: int) -> tuple[int, str | None]:
    """Return how many lots a takeover could have, and why none where the fund cannot support what an insolvent account lacks."""
    held, group = scene.mirror.held(market)[0], scene.rules.markets[market].group
    if found.equity >= 0:
        return 1, None

    def worst(lots: int) -> int:
        gross = lots * scene.mirror.unit(market)
        cash = (gross if held > 0 else -gross) - gross * edge_ppm // _PPM
        gap = scene.mirror.zero_cash(market, lots, found.equity, found.maintenance) - cash
        return gap + parts if gap > 0 else 0

    available = view.available(scene.rules, group) if _supports(scene) else 0
    most = _most(lambda lots: worst(lots) <= available, abs(held))
    if most:
        return most, None
    return 0, f"one lot may cost the fund {scene.speaker.cash(worst(1))}; {_support_text(scene, view, group)}"


# -- the fund, and ADL before a tear-up ------------------------------------------------------------------


def _supports(scene: Scene) -> bool:
    """Return whether the fund supports closings and takeovers: it stands in the waterfall, and not behind ADL."""
    stages = list(scene.rules.stages)
    return Stage.FUND in stages and (Stage.ADL not in stages or stages.index(Stage.FUND) < stages.index(Stage.ADL))


def _support_text(scene: Scene, view: View, group: int) -> str:
    """Say what a fund may reserve for a closing or a takeover."""
    return _available_text(scene, view, group) if _supports(scene) else "no fund stands before ADL, to support it"


def support_of(scene: Scene, view: View, group: int) -> tuple[int, str]:
    """Return what a fund may reserve for a closing or a takeover of the account (atoms), and its terms."""
    return view.available(scene.rules, group) if _supports(scene) else 0, _support_text(scene, view, group)


def _available_text(scene: Scene, view: View, group: int) -> str:
    """Say what a fund may still pay for the account, with the terms of the limit that binds."""
    cash, fund = scene.speaker.venue.asset.text, view.funds[group]
    name = f"the {scene.speaker.fund(group)}"
    limits = scene.rules.fund
    seconds = limits.window_ns / 1e9
    terms = (
        (fund.ledger_balance - fund.reserved, f"its balance {cash(fund.ledger_balance)} less {cash(fund.reserved)} reserved"),
        (
            fund.loss_max - fund.paid - fund.reserved,
            f"its limit {cash(fund.loss_max)} each {seconds:g} s less {cash(fund.paid)} paid and {cash(fund.reserved)} reserved",
        ),
        (
            limits.owner_loss_max - view.owner_paid - view.owner_reserved,
            f"its limit {cash(limits.owner_loss_max)} an owner less {cash(view.owner_paid)} paid and {cash(view.owner_reserved)} reserved",
        ),
    )
    left, why = min(terms, key=lambda each: each[0])
    return f"{name} has {cash(max(0, left))} for it ({why})"


def _fund_stop(scene: Scene, view: View, found: Assessment, market: int) -> Stop:
    """Return why the fund paid nothing before this."""
    group = scene.rules.markets[market].group
    available = view.available(scene.rules, group)
    values = {"available_atoms": available, "balance_atoms": view.funds[group].ledger_balance, "reserved_atoms": view.funds[group].reserved}
    if found.equity >= 0:
        return Stop("fund", "solvent", "pays for nobody who is solvent", values=values)
    says = _available_text(scene, view, group)
    if not available:
        return Stop("fund", "empty", f"{says}: nothing to pay with", values=values)
    if _vault_took(scene):
        return Stop("fund", "only_supports", f"{says}; it pays towards a takeover, and the vault's was the last to be had", values=values)
    only = "it pays towards a closing or a takeover, or once no position is left: neither was to be had"
    return Stop("fund", "only_supports", f"{says}; {only}", values=values)


def add_fund_payment(scene: Scene, fact: Fact) -> None:
    """Say what a fund could pay for an account that nothing is left of, and check that it paid all of it."""
    group, view = _group_of(scene.row["other"]), scene.known.views[scene.place]
    lacking, available = -scene.mirror.assess().equity, view.available(scene.rules, group)
    fact.because.append(_available_text(scene, view, group))
    fact.check("what the fund pays", scene.row["amount"], min(lacking, available))
    fact.values |= {"lacking_atoms": lacking, "available_atoms": available}


def _group_of(ledger_id: int) -> int:
    return next(group for group in range(GROUPS_MAX) if fund_of(group) == ledger_id)


def add_gap_payment(scene: Scene, fact: Fact, gap: int) -> None:
    """Say what the fund pays of the gap that a tear-up leaves, and check it."""
    row, rules = scene.row, scene.rules
    if gap == 0:
        return
    group, view = rules.markets[row["market"]].group, scene.known.views[scene.place]
    following = scene.rows[scene.place + 1]
    pays = following["kind"] == EffectKind.POSTING and following["account"] == scene.account and following["other"] == fund_of(group)
    paid = following["amount"] if pays else 0
    available = view.available(rules, group) if Stage.FUND in rules.stages else 0
    fact.check("what the fund pays of the gap", paid, min(gap, available))
    fact.because.append(f"mark is {scene.speaker.cash(gap)} short of zero cash; the fund pays {scene.speaker.cash(paid)} of it")


def add_residual(scene: Scene, fact: Fact) -> None:
    """Say why the funds did not pay what stays uncovered, and check that they had nothing left for it."""
    view, rules = scene.known.views[scene.place], scene.rules
    torn = [row for row in scene.rows[: scene.place] if row["kind"] == EffectKind.TEAR_UP and row["account"] == scene.account]
    if Stage.FUND not in rules.stages:
        fact.because.append("this venue's waterfall has no fund")
    elif torn and scene.mirror.held(torn[-1]["market"])[0] == 0:
        group = rules.markets[torn[-1]["market"]].group
        fact.because.append(_available_text(scene, view, group))
        fact.check("what the fund could pay", 0, view.available(rules, group))
    else:
        fact.because += [_available_text(scene, view, group) for group in range(len(rules.funds))]
    fact.because.append("nobody was left to pay it: it stands on the venue's books as uncovered")


def _adl_stop(scene: Scene, found: Assessment, market: int) -> Stop:
    """Return why ADL left what is torn up."""
    plans = [row for row in scene.rows[: scene.place] if row["kind"] == EffectKind.ADL_PLAN and row["account"] == scene.account]
    earlier = [row for row in plans if row["market"] == market]
    if earlier:
        closed = scene.speaker.lots(market, abs(earlier[-1]["lots"]))
        return Stop("adl", "caps", f"closed {closed} of it, all that the counterparties' caps allowed")
    side = scene.known.sides[scene.place][market]
    says = f"{side.holders:,} accounts hold the other side, {side.in_default:,} of them in default"
    if found.equity < 0 and side.holders > side.in_default:
        says += (
            f"; none of the others can pay its part of {scene.speaker.cash(side.beyond_mark)} beyond mark and keep its maintenance margin"
        )
    # ADL goes by market id: one in a later market came after this one's turn, and may have freed margin of those asked here.
    has_moved = any(row["market"] > market for row in plans)
    return Stop("adl", "nobody_can_give", says, lots=0 if has_moved else side.lots, values={"beyond_mark_atoms": side.beyond_mark})
