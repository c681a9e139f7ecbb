"""Why the stages before ADL or tear-up passed an account over: each stage's own conditions, as the
reference has them.

A stage that could have acted, by what is worked out here, is a difference from the tape: it did
not.
"""

from __future__ import annotations

from collections.abc import Callable

from backstop.core.events import NEVER_NS, NONE, EffectKind, ProviderStatus, Stage
from backstop.core.instruments import PPM
from backstop.explain.closing import caps_text, slice_text
from backstop.explain.fact import Fact, percent
from backstop.explain.funds import available_text, support_text
from backstop.explain.scene import Plan, Scene, Stop, Turn
from backstop.journal.rendering import time_text
from backstop.reference.closing import Closing, waits_for_book
from backstop.reference.offering import Backer, LossStop, Offering, RoomBound

__all__ = ["DIFFERENCES", "add_passed_over", "add_waiting"]

#: A check of funds and providers after the event.
DIFFERENCES = "differences in funds and providers after the event"
_DIRECTIONS = {1: "long", -1: "short"}


def _turn_of(scene: Scene, present: Turn | None) -> Turn:
    """Return the turn that the ADL or tear-up looked at belongs to; a new one begins where another
    act came between.
    """
    if present is not None and not _acts_between(scene, present.first_place):
        return present
    plan = scene.new_plan()
    stops = {holding.market: _stops(scene, plan, holding.market) for holding in plan.portfolio.held}
    closeouts = [stop for each in stops.values() for stop in each if stop.stage == "closeout" and stop.reason != "not_built"]
    is_busy = any(stop.is_busy for stop in closeouts)
    would_wait = bool(closeouts) and waits_for_book(scene.mine.health, scene.now_ns, scene.deadline_ns, is_busy=is_busy)
    return Turn(scene.place, stops, would_wait, _vault_took(scene) > 0)


def _acts_between(scene: Scene, first: int) -> bool:
    """Return whether between ``first`` and the present effect anything but this account's ADL and
    tear-up acted.
    """
    acts = (EffectKind.ORDER, EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.RESTRICT)
    last = (EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
    between = scene.rows[first : scene.place]
    return any(row["kind"] in acts or (row["kind"] in last and row["account"] != scene.account) for row in between)


def _vault_took(scene: Scene, market: int | None = None) -> int:
    """Return the lots (> 0) that the vault took over of the account right before ADL or tear-up; in
    all markets, or one.
    """
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
    """Say for each earlier stage why it left the position that the effect closes, and check that it
    could not have acted.
    """
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
    fact.check(DIFFERENCES, "none", "none")  # corrected once all effects are followed
    fact.values["passed_over"] = [
        {"stage": stop.stage, "reason": stop.reason, "says": "; ".join((stop.says, *stop.parts)), **stop.values} for stop in stops
    ]


def _stops(scene: Scene, plan: Plan, market: int) -> list[Stop]:
    """Return one line for each stage that stands before ADL or, for a tear-up, before that."""
    stages = list(scene.rules.stages)
    now = Stage.ADL if scene.row["kind"] == EffectKind.ADL_PLAN else Stage.TEAR_UP
    earlier = stages[: stages.index(now)]
    tell: dict[Stage, Callable[[], Stop]] = {
        Stage.CLOSEOUT: lambda: _with_time(scene, _closeout_stop(scene, plan, market)),
        Stage.TAKEOVER: lambda: _takeover_stop(scene, market),
        Stage.FUND: lambda: _fund_stop(scene, market),
        Stage.ADL: lambda: _adl_stop(scene, market),
    }
    return [
        tell[stage]() if stage in earlier else Stop(stage.name.lower(), "not_built", "no stage of this venue's waterfall before this one")
        for stage in (Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL)
        if stage != now
    ]


# -- closing on the book ---------------------------------------------------------------------------


def _with_time(scene: Scene, stop: Stop) -> Stop:
    """Add why closeout did not wait for better."""
    since, deadline = scene.mine.default_since_ns, scene.rules.closeout.deadline_ns
    if scene.now_ns >= since + deadline:
        stop.says += f"; it may wait {deadline / 1e9:g} s, and was in default for {(scene.now_ns - since) / 1e9:g} s"
    else:
        stop.says += "; below close-out margin it waits only for capacity that others take"
    stop.values |= {"in_default_ns": scene.now_ns - since, "deadline_ns": deadline}
    return stop


def add_waiting(scene: Scene, fact: Fact, markets: list[int]) -> None:
    """Say for each position without an order or offer why the book cannot take it, as things stand
    after the event.
    """
    words, plan = scene.speaker, scene.new_plan()
    told: list[dict[str, object]] = []
    fact.values = {"until_ns": int(scene.state.accounts[scene.account].wait_until_ns), "markets": told}
    for market in markets:
        held = scene.mine.held(market)
        stop = _beside_others(scene, _closeout_stop(scene, plan, market))
        fact.because.append(f"{words.market(market)}: holds {words.lots(market, held)}; {stop.says}")
        told.append({"market": words.market(market), "holds_lots": held, "reason": stop.reason, "says": stop.says, **stop.values})


def _beside_others(scene: Scene, stop: Stop) -> Stop:
    """Return what kept an order from leaving beside those that are out: a halt does in any case, a
    slice not due before all else.
    """
    head, words = scene.state.accounts[scene.account], scene.speaker
    sent = [row["kind"] for row in scene.rows if row["account"] == scene.account and row["kind"] in (EffectKind.ORDER, EffectKind.OFFER)]
    if stop.reason == "halted":
        return stop
    if not sent and int(head.next_slice_ns) > int(scene.state.engine[0].now_ns):
        return Stop("closeout", "slice_not_due", f"its next slice is due at {time_text(int(head.next_slice_ns))}")
    if stop.reason != "open" or not int(head.orders_open):
        return stop
    plan = scene.plan
    if EffectKind.ORDER in sent and plan is not None and plan.expected.is_restored:
        equity, level = words.cash(plan.expected.equity), words.cash(plan.expected.release)
        says = f"the orders sent are expected to restore it: to equity {equity}, release level {level} then"
        return Stop("closeout", "enough", says)
    return Stop("closeout", "waits_for_answers", "the next order is planned when those that are out have ended")


def _closeout_stop(scene: Scene, plan: Plan, market: int) -> Stop:
    """Return why the book cannot take the account's position as things stand at the effect looked
    at.
    """
    words, closing = scene.speaker, scene.closing(market, plan)
    if closing.book.is_halted:
        breaker = scene.breaker(market)
        cause = f" ({breaker.cause.name.lower()})" if breaker.cause else ""
        says = f"{words.market(market)} is halted{cause} until {time_text(breaker.until_ns)} at the latest: no order may leave"
        return Stop("closeout", "halted", says, is_busy=True, values={"until_ns": breaker.until_ns})
    part, tolerance = closing.slice, percent(scene.rules.markets[market].slippage_tolerance_ppm)
    if part.awaits_depth:
        says = f"the book proved other than shown, and its depth within {tolerance} is not told yet"
        return Stop("closeout", "depth_unknown", says, is_busy=True)
    if part.whole == 0:
        says = f"nothing is visible within {tolerance} of the mark" if part.visible == 0 else "nothing was traded there of late"
        return Stop("closeout", "thin_book", says)
    values = {"visible_lots": part.visible, "slice_lots": part.whole, "pending_lots": part.pending}
    if part.left <= 0:
        return Stop("closeout", "slice_taken", slice_text(scene, market, part), is_busy=True, values=values)
    if closing.cap() <= 0:
        return Stop("closeout", "cap_used", caps_text(scene, closing), is_busy=True, values=values)
    if _is_full(scene):
        return Stop("closeout", "no_place", "the engine has no place for another order now", is_busy=True, values=values)
    lots = closing.lots() if closing.is_solvent else closing.cap()
    why = None if closing.quote().lots else _unreached(scene, closing) if closing.is_solvent else _unsupported(scene, closing)
    return why or Stop("closeout", "open", "nothing stops an order any more: it waits for its turn", lots=lots)


def _is_full(scene: Scene) -> bool:
    """Return whether the place of the next order, at the effect looked at, holds one that is
    open.
    """
    later = len(scene.later(EffectKind.ORDER, EffectKind.OFFER))
    earlier = int(scene.state.engine[0].next_order_id) - later - len(scene.state.orders)
    if earlier < 1:
        return False
    order = scene.state.orders[earlier % len(scene.state.orders)]
    return int(order.id) == earlier and bool(order.is_open)


def _unsupported(scene: Scene, closing: Closing) -> Stop:
    """Return why the fund cannot reserve what closing some of an insolvent account's lots may
    cost.
    """
    one, market = closing.least_worst() or 0, closing.holding.market
    lot = scene.speaker.lots(market, 1)
    says = f"insolvent: an order of {lot} may cost the fund {scene.speaker.cash(one)}; {support_text(scene, market, closing.fund)}"
    values = {"needed_atoms": one, "available_atoms": closing.fund.budget}
    return Stop("closeout", "fund", says, is_busy=closing.may_leave_later, values=values)


def _unreached(scene: Scene, closing: Closing) -> Stop:
    """Return that no visible band would take an order of a solvent account within its limit."""
    best, limit, words, market = closing.book.best_ticks(), closing.quote().limit.ticks, scene.speaker, closing.holding.market
    is_busy = closing.may_leave_later
    if best is None:
        return Stop("closeout", "not_reached", "nothing is visible", is_busy=is_busy)
    says = f"the best that is visible is {words.price(market, best)}, its limit {words.price(market, limit)}: no order would fill"
    return Stop("closeout", "not_reached", says, is_busy=is_busy, values={"best_ticks": best, "limit_ticks": limit})


# -- takeover
# ---------------------------------------------------------------------------------------


def _takeover_stop(scene: Scene, market: int) -> Stop:
    """Return why nobody was offered the position, provider by provider, and why the vault did not
    take it.
    """
    rules, words = scene.rules, scene.speaker
    if not rules.providers:
        return Stop("takeover", "none_configured", "this venue has no backstop provider")
    group, side = rules.markets[market].group, scene.holding(market).side
    backers = [scene.books.backer(number, market, side) for number in range(len(rules.providers))]
    if all(backer.commitment.capacity == 0 for backer in backers):
        says = f"no provider is committed to {_DIRECTIONS[side]} positions of {words.group(group)}"
        return Stop("takeover", "none_committed", says)
    end = scene.deadline_ns + rules.closeout.deadline_ns
    is_over = scene.now_ns >= end
    lots, parts = _asked(scene, market, backers, is_over=is_over)
    says, reason = "nobody could take over a lot", "time_over" if is_over else "none_able"
    if taken := _vault_took(scene, market):
        says, reason = f"the vault just took over {words.lots(market, taken)}", "vault_took"
    elif lots:
        says, reason = "somebody could carry it", "open"
    return Stop("takeover", reason, says, lots=lots, values={"end_ns": end}, parts=parts)


def _asked(scene: Scene, market: int, backers: list[Backer], *, is_over: bool) -> tuple[int, list[str]]:
    """Return how many lots could have been taken over, and who could not and why; once offers are
    over, the vault alone is asked.
    """
    words, seconds = scene.speaker, 2 * scene.rules.closeout.deadline_ns / 1e9
    parts = [f"offers ended {seconds:g} s after the default began"] if is_over else []
    able, lots = list[int](), 0
    for backer in backers:
        is_vault = backer.rules.is_vault
        if is_over and not is_vault:
            continue
        why = _unable(scene, backer, market) or _no_room(scene, backer)
        if why is None and is_vault:
            lots, why = _supported(scene, scene.books.offering(scene.account, market, [backer.number]))
        elif why is None:
            able.append(backer.number)
        if why is not None:
            parts.append(f"{words.provider(backer.number)} {why}")
    if not able:
        return lots, parts
    offered, why = _supported(scene, scene.books.offering(scene.account, market, able))
    return lots + offered, parts + ([f"{len(able)} could carry it, but {why}"] if why else [])


def _unable(scene: Scene, backer: Backer, market: int) -> str | None:
    """Return why a provider may not be asked, whatever it could carry."""
    provider = scene.books.providers[backer.number]
    if backer.commitment.capacity == 0:
        return f"takes over no {_DIRECTIONS[backer.side]} positions of {scene.speaker.group(scene.rules.markets[market].group)}"
    if provider.account == NONE:
        return "has no account yet"
    if provider.status == ProviderStatus.STOPPED:
        return _stopped(scene, backer)
    if provider.status != ProviderStatus.ON and provider.until_ns > scene.now_ns:
        until = f" until {time_text(provider.until_ns)}" if provider.until_ns != NEVER_NS else ""
        return ("is switched off" if provider.status == ProviderStatus.OFF else "failed lately and is not asked") + until
    if scene.books.account(provider.account).in_default:
        return "is in default itself"
    owners = scene.state.accounts["owner"]
    return "belongs to the same owner" if owners[provider.account] == owners[scene.account] else None


def _stopped(scene: Scene, backer: Backer) -> str | None:
    """Return that a provider that reached its loss stop has not won back half of it; None: it
    has.
    """
    cash, baseline = scene.speaker.venue.asset.text, int(scene.state.providers[backer.number].baseline)
    loss = LossStop(backer.rules.loss_stop, baseline, backer.portfolio.equity)
    if loss.is_won_back:
        return None
    lost = f"it lost {cash(loss.lost)} ({cash(loss.baseline)} less equity {cash(loss.equity)})"
    return f"reached its loss stop {cash(loss.most)} and is asked again when half is won back: {lost}"


def _no_room(scene: Scene, backer: Backer) -> str | None:
    """Return what keeps a provider from carrying one lot; None: it can carry some."""
    if not backer.has_row:
        return "has no row for this market, and none is free"
    lot, text = backer.contract.value_of(1), scene.speaker.venue.asset.text
    if backer.free < lot:
        return f"has used {text(backer.used)} of its commitment {text(backer.commitment.capacity)}, and one lot is {text(lot)}"
    for lots in (0, 1):
        bound = backer.exceeded(lots)
        if bound is not None:
            return _exceeded_text(scene, backer, bound, lots)
    return None


def _exceeded_text(scene: Scene, backer: Backer, bound: RoomBound, lots: int) -> str:
    cash, equity = scene.speaker.cash, backer.portfolio.equity
    if bound == RoomBound.POSITION_NOTIONAL:
        most = backer.commitment.position_notional_max
        return f"would hold {cash(backer.notional_after(lots))} there, and may hold {cash(most)}"
    if bound == RoomBound.POSITION_LOTS:
        return "is at the largest position that the market allows"
    if bound == RoomBound.INITIAL_MARGIN:
        return f"has equity {cash(equity)}, and would need {cash(backer.initial_after(lots))} of initial margin, open offers included"
    times = f"{backer.rules.leverage_ppm / PPM:g}"
    return f"would carry {cash(backer.gross_after(lots))}, more than {times} x its equity {cash(equity)}"


def _supported(scene: Scene, offering: Offering) -> tuple[int, str | None]:
    """Return how many lots a takeover could have, and why none where the fund cannot support what
    an insolvent account lacks.
    """
    if offering.lots:
        return offering.lots, None
    worst, says = scene.speaker.cash(offering.worst_support(1)), support_text(scene, offering.holding.market, offering.fund)
    return 0, f"one lot may cost the fund {worst}; {says}"


# -- the fund, and ADL before a tear-up
# ------------------------------------------------------------------


def _fund_stop(scene: Scene, market: int) -> Stop:
    """Return why the fund paid nothing before this."""
    group = scene.rules.markets[market].group
    fund = scene.books.fund(group, scene.account, market)
    values = {"available_atoms": fund.available, "balance_atoms": fund.balance, "reserved_atoms": fund.reserved}
    if scene.portfolio.equity >= 0:
        return Stop("fund", "solvent", "pays for nobody who is solvent", values=values)
    says = available_text(scene, group, fund, market)
    if not fund.available:
        return Stop("fund", "empty", f"{says}: nothing to pay with", values=values)
    if _vault_took(scene):
        took = "it paid towards the vault's takeover, and pays towards what closes the rest"
        return Stop("fund", "only_supports", f"{says}; {took}", values=values)
    only = "it pays towards whatever closes the position, this entry included, or once no position is left"
    return Stop("fund", "only_supports", f"{says}; {only}", values=values)


def _adl_stop(scene: Scene, market: int) -> Stop:
    """Return why ADL left what is torn up."""
    plans = [row for row in scene.rows[: scene.place] if row["kind"] == EffectKind.ADL_PLAN and row["account"] == scene.account]
    earlier = [row for row in plans if row["market"] == market]
    if earlier:
        closed = scene.speaker.lots(market, abs(earlier[-1]["lots"]))
        return Stop("adl", "caps", f"closed {closed} of it, all that the counterparties' caps allowed")
    wave, in_default = scene.books.wave(scene.account, market)
    able = sum(each.portfolio is not None for each in wave.counterparties)
    says = f"{able + in_default:,} accounts hold the other side, {in_default:,} of them in default"
    everything = abs(wave.portfolio.holding(market).lots)
    beyond_mark = wave.cash(everything) - wave.at_mark(everything)
    if wave.portfolio.equity < 0 and able:
        says += f"; none of the others can pay its part of {scene.speaker.cash(beyond_mark)} beyond mark and keep its maintenance margin"
    # ADL goes by market id: one in a later market came after this one's turn, and may have freed
    # margin of those asked here.
    has_moved = any(row["market"] > market for row in plans)
    lots = 0 if has_moved else wave.plan().lots
    return Stop("adl", "nobody_can_give", says, lots=lots, values={"beyond_mark_atoms": beyond_mark})
