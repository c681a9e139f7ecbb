"""Why the stages before ADL or tear-up passed an account over: each stage's own conditions, as the
reference has them.

A stage that could have acted, by what is worked out here, is a difference from the tape: it did
not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backstop.core.events import NEVER_NS, EffectKind, ProviderStatus, Stage
from backstop.explain.carry import carry_stop
from backstop.explain.closing import caps_text, room_text
from backstop.explain.fact import Fact, percent
from backstop.explain.funds import available_text, support_text
from backstop.explain.scene import Plan, Scene, Stop, Turn
from backstop.explain.takeovers import bound_text
from backstop.journal.rendering import time_text
from backstop.reference.closing import Closing, OrderStop, earlier_in_place, waits_for_book
from backstop.reference.offering import Backer, Offering, Refusal, offers_end_ns

__all__ = ["DIFFERENCES", "add_passed_over", "add_waiting"]

#: A check of funds and providers after the event.
DIFFERENCES = "differences in funds and providers after the event"
_DIRECTIONS = {1: "long", -1: "short"}
_REFUSALS = {Refusal.IN_DEFAULT: "is in default itself", Refusal.SAME_OWNER: "belongs to the same owner"}

#: A stop in words, and its values for programs.
Told = tuple[str, dict[str, Any]]


def _turn_of(scene: Scene, present: Turn | None) -> Turn:
    """Return the turn that the ADL or tear-up looked at belongs to; a new one begins where another
    act came between.
    """
    if present is not None and not _acts_between(scene, present.first_place):
        return present
    plan = scene.new_plan()
    stops = {holding.market: _stops(scene, plan, holding.market) for holding in plan.portfolio.held}
    closeouts = [
        stop for each in stops.values() for stop in each if stop.stage == "closeout" and stop.reason not in ("not_built", "doubted")
    ]
    is_busy = any(stop.is_busy for stop in closeouts)
    would_wait = bool(closeouts) and waits_for_book(scene.mine.health, scene.now_ns, scene.deadline_ns, is_busy=is_busy)
    is_moved = _others_acted(scene)
    if is_moved:
        stops = {market: [_as_of_then(stop) for stop in each] for market, each in stops.items()}
    return Turn(scene.place, stops, would_wait, _vault_took(scene) > 0 or is_moved)


def _as_of_then(stop: Stop) -> Stop:
    """Return a stop as it is told where others acted since the account was passed over."""
    if stop.reason != "open":
        return stop
    says = "it was passed over before others acted in this event; what they left could be used now"
    return Stop(stop.stage, "passed_before", says, parts=stop.parts)


def _acts_between(scene: Scene, first: int) -> bool:
    """Return whether between ``first`` and the present effect anything but ADL and tear-up acted."""
    acts = (EffectKind.ORDER, EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.RESTRICT)
    return any(row["kind"] in acts for row in scene.rows[first : scene.place])


def _others_acted(scene: Scene) -> bool:
    """Return whether other accounts acted before in this event: one that stands at a joint turn waits
    for all others, so that what the stages before it saw may lie before that.
    """
    acts = (EffectKind.ORDER, EffectKind.OFFER, EffectKind.CANCEL, EffectKind.RESERVE, EffectKind.TAKEOVER)
    closes = (EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
    before = scene.rows[: scene.place]
    return any(row["kind"] in (*acts, *closes) and row["account"] != scene.account for row in before)


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
        if stop.lots is None or turn.is_moved:
            continue
        if stop.stage == "carry":
            fact.check("it could be carried", False, stop.lots > 0)
        elif stop.stage != "fund":
            fact.check(f"lots that {stop.stage} could close", 0, stop.lots)
    if turn.is_moved and stops:
        fact.because.append("  not checked: what these stages saw was changed in this event since")
    if not turn.is_moved:
        fact.check("closeout had to wait", False, turn.would_wait)
    fact.check("it had to wait for a mark", False, scene.waits_for_mark(market))
    fact.check("it had to wait for the end of a halt", False, scene.waits_for_halt(market))
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
    ] + [carry_stop(scene)]


# -- closing on the book ---------------------------------------------------------------------------


def _with_time(scene: Scene, stop: Stop) -> Stop:
    """Add why closeout did not wait for better."""
    since, deadline = scene.since_ns, scene.rules.closeout.deadline_ns
    if scene.now_ns >= since + deadline:
        stop.says += f"; it may wait {deadline / 1e9:g} s, and was in default for {(scene.now_ns - since) / 1e9:g} s"
        if scene.mine.doubt_ns:
            stop.says += f", besides {scene.mine.doubt_ns / 1e9:g} s in which it waited for doubts"
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
        if scene.waits_for_halt(market):
            end_ns = min(scene.since_ns + scene.rules.breakers.halt_wait_max_ns, scene.forced_from_ns)
            stop.says += f"; the market is halted: nobody takes it by ADL or tear-up before {time_text(end_ns)}"
        fact.because.append(f"{words.market(market)}: holds {words.lots(market, held)}; {stop.says}")
        told.append({"market": words.market(market), "holds_lots": held, "reason": stop.reason, "says": stop.says, **stop.values})


def _beside_others(scene: Scene, stop: Stop) -> Stop:
    """Return what kept an order from leaving beside those that are out: a halt does in any case, a
    slice not due before all else.
    """
    head, words = scene.state.accounts[scene.account], scene.speaker
    sent = [row["kind"] for row in scene.acted(EffectKind.ORDER, EffectKind.OFFER)]
    if stop.reason in ("doubted", "shut"):
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
    if scene.waits_for_doubt(market):
        return Stop("closeout", "doubted", doubt_text(scene, market))
    if scene.now_ns >= scene.forced_from_ns:
        says = f"no order leaves since {time_text(scene.forced_from_ns)}: it has waited as long as anybody may"
        return Stop("closeout", "time_over", says)
    closing = scene.closing(market, plan)
    why = closing.stop(has_place=_has_place(scene))
    if why is None:
        lots = closing.lots() if closing.is_solvent else closing.cap()
        return Stop("closeout", "open", "nothing stops an order any more: it waits for its turn", lots=lots)
    says, values = _CLOSEOUT[why](scene, closing)
    return Stop("closeout", why.value, says, is_busy=closing.is_busy(why), values=values)


def _has_place(scene: Scene) -> bool:
    """Return whether no open order has the place of the next one, at the effect looked at."""
    orders = scene.state.orders
    later = len(scene.later(EffectKind.ORDER, EffectKind.OFFER))
    earlier = earlier_in_place(int(scene.state.engine[0].next_order_id) - later, len(orders))
    order = orders[earlier % len(orders)]
    return earlier < 1 or int(order.id) != earlier or not (order.is_open or order.members)


def doubt_text(scene: Scene, market: int) -> str:
    """Say that a mark is doubted, and for how long the account waits for the end of that at most."""
    words, undoubted = scene.speaker, scene.undoubted(market)
    left = (scene.rules.breakers.doubt_max_ns - scene.mine.doubt_ns) / 1e9
    price = words.price(market, undoubted)
    return f"the mark of {words.market(market)} is doubted, the last that is not is {price}: nothing is closed there for {left:g} s at most"


def _old_mark(scene: Scene, closing: Closing) -> Told:
    age = scene.mark_age_ns(closing.holding.market)
    return f"insolvent, and no fund supports an order at a mark that is {age / 1e9:g} s old", {"mark_age_ns": age}


def _shut(scene: Scene, closing: Closing) -> Told:
    breaker, market = scene.breaker(closing.holding.market), scene.speaker.market(closing.holding.market)
    cause = f" ({breaker.cause.name.lower()})" if breaker.cause else ""
    says = f"{market} is halted by an operator{cause} until {time_text(breaker.until_ns)} at the latest: no order may leave"
    return says, {"until_ns": breaker.until_ns}


def _tolerance(closing: Closing) -> str:
    return percent(closing.holding.contract.rules.slippage_tolerance_ppm)


def _depth_unknown(scene: Scene, closing: Closing) -> Told:
    why = "an order that tries it is out" if closing.probes else f"no order tries it after {time_text(scene.deadline_ns)}"
    part = ""
    if closing.slice.visible:
        part = f": {scene.speaker.lots(closing.holding.market, closing.slice.visible)} are visible, less than the least order"
    return f"the depth within {_tolerance(closing)} is not {'all ' if part else ''}told yet{part}, and {why}", {}


def _thin_book(_: Scene, closing: Closing) -> Told:
    return f"nothing is visible within {_tolerance(closing)} of the mark", {}


def _below_minimum(scene: Scene, closing: Closing) -> Told:
    lots, market = scene.speaker.lots, closing.holding.market
    visible, least = closing.slice.visible, closing.least
    says = (
        f"{lots(market, visible)} are visible within {_tolerance(closing)} of the mark, less than the least order of {lots(market, least)}"
    )
    return says, {"visible_lots": visible, "least_lots": least}


def _taken(says: Callable[[Scene, Closing], str]) -> Callable[[Scene, Closing], Told]:
    """Tell a stop together with what one slice could take."""

    def tell(scene: Scene, closing: Closing) -> Told:
        part = closing.slice
        return says(scene, closing), {"visible_lots": part.visible, "slice_lots": part.whole, "pending_lots": part.pending}

    return tell


def _unsupported(scene: Scene, closing: Closing) -> Told:
    one, market = closing.least_worst() or 0, closing.holding.market
    lot = scene.speaker.lots(market, 1)
    says = f"insolvent: an order of {lot} may cost the fund {scene.speaker.cash(one)}; {support_text(scene, market, closing.fund)}"
    return says, {"needed_atoms": one, "available_atoms": closing.fund.budget}


def _not_reached(scene: Scene, closing: Closing) -> Told:
    best, limit, words, market = closing.book.best_ticks(), closing.quote().limit.ticks, scene.speaker, closing.holding.market
    if best is None:
        return "nothing is visible", {}
    says = f"the best that is visible is {words.price(market, best)}, its limit {words.price(market, limit)}: no order would fill"
    return says, {"best_ticks": best, "limit_ticks": limit}


_CLOSEOUT: dict[OrderStop, Callable[[Scene, Closing], Told]] = {
    OrderStop.SHUT: _shut,
    OrderStop.OLD_MARK: _old_mark,
    OrderStop.DEPTH_UNKNOWN: _depth_unknown,
    OrderStop.THIN_BOOK: _thin_book,
    OrderStop.BELOW_MINIMUM: _below_minimum,
    OrderStop.SLICE_TAKEN: _taken(room_text),
    OrderStop.CAP_USED: _taken(caps_text),
    OrderStop.NO_PLACE: _taken(lambda *_: "the engine has no place for another order now"),
    OrderStop.FUND: _unsupported,
    OrderStop.NOT_REACHED: _not_reached,
}


# -- takeover --------------------------------------------------------------------------------------


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
    end = offers_end_ns(scene.since_ns, rules.closeout)
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
        why = _unable(scene, backer) or _no_room(scene, backer)
        if why is None and is_vault:
            lots, why = _supported(scene, scene.books.offering(scene.account, market, [backer.number], scene.way_out(market)))
        elif why is None:
            able.append(backer.number)
        if why is not None:
            parts.append(f"{words.provider(backer.number)} {why}")
    if not able:
        return lots, parts
    offered, why = _supported(scene, scene.books.offering(scene.account, market, able, scene.way_out(market)))
    return lots + offered, parts + ([f"{len(able)} could carry it, but {why}"] if why else [])


def _unable(scene: Scene, backer: Backer) -> str | None:
    """Return why a provider may not be asked, whatever it could carry."""
    if backer.commitment.capacity == 0:
        group = scene.speaker.group(backer.contract.rules.group)
        return f"takes over no {_DIRECTIONS[backer.side]} positions of {group}"
    why = scene.books.refusal_to_ask(backer.number, scene.account)
    if why == Refusal.STATUS:
        return _status_text(scene, backer)
    return _REFUSALS[why] if why else None


def _status_text(scene: Scene, backer: Backer) -> str:
    status, cash = scene.books.status_of(backer.number), scene.speaker.text
    if status == ProviderStatus.UNBOUND:
        return "has no account yet"
    if status == ProviderStatus.STOPPED:
        loss = scene.books.loss_stop(backer.number)
        lost = f"it lost {cash(loss.lost)} ({cash(loss.baseline)} less equity {cash(loss.equity)})"
        return f"reached its loss stop {cash(loss.most)} and is asked again when half is won back: {lost}"
    until_ns = scene.books.providers[backer.number].until_ns
    until = f" until {time_text(until_ns)}" if until_ns != NEVER_NS else ""
    return ("is switched off" if status == ProviderStatus.OFF else "failed lately and is not asked") + until


def _no_room(scene: Scene, backer: Backer) -> str | None:
    """Return what keeps a provider from carrying one lot; None: it can carry some."""
    bound = backer.carries_none()
    return None if bound is None else f"can carry none of it: {bound_text(scene, backer, *bound)}"


def _supported(scene: Scene, offering: Offering) -> tuple[int, str | None]:
    """Return how many lots a takeover could have, and why none where the fund cannot support what
    an insolvent account lacks.
    """
    if offering.lots:
        return offering.lots, None
    worst, says = scene.speaker.cash(offering.worst_support(1)), support_text(scene, offering.holding.market, offering.fund)
    return 0, f"one lot may cost the fund {worst}; {says}"


# -- the fund, and ADL before a tear-up ------------------------------------------------------------


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


def _others_torn(scene: Scene, market: int) -> bool:
    """Return whether other accounts are torn up in a market in this event from here on."""
    return any(
        row["kind"] == EffectKind.TEAR_UP and row["market"] == market and row["account"] != scene.account
        for row in scene.rows[scene.place :]
    )


def _adl_stop(scene: Scene, market: int) -> Stop:
    """Return why ADL left what is torn up."""
    plans = [row for row in scene.rows[: scene.place] if row["kind"] == EffectKind.ADL_PLAN and row["account"] == scene.account]
    earlier = [row for row in plans if row["market"] == market]
    if earlier:
        closed = scene.speaker.lots(market, abs(earlier[-1]["lots"]))
        return Stop("adl", "caps", f"closed {closed} of it, all that the counterparties' caps allowed")
    scaled = [row for row in scene.rows[: scene.place] if row["kind"] == EffectKind.ADL_SCALE and row["market"] == market]
    if any(row["account"] == scene.account for row in scaled):
        return Stop("adl", "scaled", "the counterparties' caps allowed so few lots of all in its plan that none fell to it")
    wave, in_default = scene.books.wave(scene.account, market, scene.way_out(market), scene.ways_later(market))
    able = sum(each.portfolio is not None for each in wave.counterparties)
    says = f"{able + in_default:,} accounts hold the other side, {in_default:,} of them in default"
    (defaulter,) = wave.defaulters
    everything = abs(defaulter.portfolio.holding(market).lots)
    beyond_mark = wave.placed(everything)[scene.account].support.beyond if defaulter.portfolio.equity < 0 else 0
    if defaulter.portfolio.equity < 0 and able:
        says += f"; none of the others can pay its part of {scene.speaker.cash(beyond_mark)} beyond mark and keep its maintenance margin"
    # ADL goes by market id: one in a later market came after this one's turn, and may have freed
    # margin of those asked here. Others that are torn up with it stood at ADL with it: one plan for all
    # of them, of which nothing fitted, leaves no trace.
    has_moved = any(row["market"] > market for row in plans) or _others_acted(scene) or _others_torn(scene, market)
    if has_moved:
        says += "; not checked: others had their turn since"
    elif not wave.wanted[scene.account]:
        return Stop("adl", "later_first", "its positions in later markets were to be closed first, and would have restored it")
    lots = None if has_moved else wave.lots()
    return Stop("adl", "nobody_can_give", says, lots=lots, values={"beyond_mark_atoms": beyond_mark})
