"""What must always hold, by id: each check says what is wrong in words, so that one event shows all faults.

``BEFORE`` looks at an effect in the state just before it, ``AFTER`` just after it, ``SCAN`` at the whole
engine once the event is through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from backstop.core.events import (
    FUND,
    NONE,
    REMAINDER,
    UNCOVERED,
    WORLD,
    AdlClass,
    Cause,
    EffectArray,
    EffectKind,
    EventKind,
    Health,
    Stage,
    clearing_of,
    error_inventory_of,
    outside_of,
)
from backstop.core.instruments import PPM
from backstop.core.state import State, house_slot
from backstop.core.waterfall.certificate import check_certificate
from tests.oracle.arithmetic import ceil_div, sign
from tests.oracle.records import Effect, Event
from tests.oracle.state import fresh_health
from tests.properties.mirror import Mirror, MirrorOrder

__all__ = ["AFTER", "BEFORE", "IDS", "SCAN", "Moment"]

F, C = EffectKind, Cause
Findings = Iterator[str]


@dataclass(slots=True)
class Moment:
    """One event in the making: what came in, what came out, and how far the mirror has read."""

    mirror: Mirror
    state: State
    event: Event
    effects: list[Effect]
    rows: EffectArray
    #: Place of the next effect (``BEFORE``) or of the last one read (``AFTER``).
    place: int = 0
    #: Counterparties to look at once the effect at a place is booked.
    due: dict[int, list[int]] = field(default_factory=dict)
    #: Support that the fill of this event must bring, and what it brought.
    support_due: int = 0
    support_paid: int = 0
    #: Defaulters who have come to the stages after closeout since they last entered default.
    beyond_closeout: set[int] = field(default_factory=set)

    @property
    def effect(self) -> Effect:
        """The effect at hand."""
        return self.effects[self.place]


# -- INV-01, INV-02: nothing moves without an effect, everything sums to zero ----------------------


def posting_moves_money(moment: Moment) -> Findings:
    """INV-01: a posting has two sides and an amount."""
    effect = moment.effect
    if effect.kind == F.POSTING and (effect.amount <= 0 or effect.account == effect.other or effect.code not in set(Cause)):
        yield f"posting {effect}"


def entries_sum_to_zero(moment: Moment) -> Findings:
    """INV-01: the ledger sums to zero after every posting."""
    total = sum(moment.mirror.ledger.values())
    if total:
        yield f"ledger sums to {total} after {moment.effect}"


def ledger_scan(moment: Moment) -> Findings:
    """INV-01: the engine's own balances sum to zero and are those that the postings give."""
    state, mirror = moment.state, moment.mirror
    house = [WORLD, FUND, REMAINDER, UNCOVERED]
    house += [of(market) for market in range(len(mirror.marks)) for of in (clearing_of, outside_of, error_inventory_of)]
    balances = {holder: int(state.house[int(house_slot(holder))]) for holder in house}
    accounts = state.accounts[: int(state.engine[0].accounts_now)]
    balances |= {number: int(balance) for number, balance in enumerate(accounts["balance"])}
    if sum(balances.values()):
        yield f"ledger sums to {sum(balances.values())}"
    if balances != mirror.ledger:
        yield f"balances differ from postings: {set(balances.items()) ^ set(mirror.ledger.items())}"


def positions_scan(moment: Moment) -> Findings:
    """INV-02: per market lots sum to zero, clearing and costs cancel, and positions are those that the trades give."""
    state, mirror = moment.state, moment.mirror
    rows = state.positions[: int(state.engine[0].positions_now)]
    held = {(int(row.account), int(row.market)): (int(row.lots), int(row.cost)) for row in rows}
    for market in range(len(mirror.marks)):
        lots = sum(row[0] for (_, where), row in held.items() if where == market)
        cost = sum(row[1] for (_, where), row in held.items() if where == market)
        if lots:
            yield f"lots of market {market} sum to {lots}"
        if cost + mirror.ledger[clearing_of(market)]:
            yield f"market {market}: costs {cost} and clearing {mirror.ledger[clearing_of(market)]} do not cancel"
    told = {key: (row.lots, row.cost) for key, row in mirror.held.items() if row.lots or row.cost}
    kept = {key: row for key, row in held.items() if row != (0, 0)}
    if told != kept:
        yield f"positions differ from trades: {set(told.items()) ^ set(kept.items())}"


# -- INV-03: a closing action never increases or flips ---------------------------------------------


def closing_reduces(moment: Moment) -> Findings:
    """INV-03: trades of closeout, ADL and tear-up reduce; an order asks for no more than the position has."""
    effect, mirror = moment.effect, moment.mirror
    closing = effect.kind == F.TRADE and effect.code in (C.CLOSEOUT, C.ADL, C.TEAR_UP)
    if effect.code == C.CLOSEOUT and effect.account < 0:
        closing = False  # OUTSIDE is the book that takes the lots, it closes nothing
    if closing or effect.kind == F.ORDER:
        held = mirror.lots(effect.account, effect.market)
        if held * effect.lots >= 0 or abs(effect.lots) > abs(held):
            yield f"{effect} against a position of {held}"
    if effect.kind == F.ORDER and any(order.market == effect.market for order in mirror.open_orders(effect.account)):
        yield f"{effect}: the position has an open order already"


def orders_scan(moment: Moment) -> Findings:
    """INV-03: what open orders may still fill reduces, and the engine's orders are those that it told."""
    mirror, state = moment.mirror, moment.state
    for number, order in mirror.orders.items():
        held = mirror.lots(order.account, order.market)
        if order.is_open and order.remaining and (held * order.lots >= 0 or order.remaining > abs(held)):
            yield f"order {number} would still trade {order.remaining} of {order.lots} against {held}"
    told = {number: (order.account, order.market, order.remaining) for number, order in mirror.orders.items() if order.is_open}
    rows = [row for row in state.orders if row.is_open]
    kept = {int(row.id): (int(row.account), int(row.market), abs(int(row.lots)) - int(row.filled)) for row in rows}
    if told != kept:
        yield f"open orders differ from effects: {told} told, {kept} kept"


# -- INV-04: nobody below maintenance is unflagged -------------------------------------------------


def health_scan(moment: Moment) -> Findings:
    """INV-04: stored health is what equity and maintenance of the engine's own rows say, for every account."""
    state, mirror = moment.state, moment.mirror
    marks = [int(row.mark_ticks) for row in state.markets]
    rows = state.positions[2 * len(marks) : int(state.engine[0].positions_now)]
    equity = [int(row.balance) for row in state.accounts[: len(mirror.owners)]]
    maintenance = [0] * len(equity)
    for row in rows:
        market = mirror.rules.markets[int(row.market)]
        value = int(row.lots) * marks[int(row.market)] * market.notional_factor
        equity[int(row.account)] += value - int(row.cost)
        maintenance[int(row.account)] += mirror.margin(int(row.market), abs(value))
    for account, (own, needed) in enumerate(zip(equity, maintenance, strict=True)):
        health = int(state.accounts[account].health)
        right = fresh_health(mirror.rules, health, own, needed)
        if health != right or health != mirror.health[account]:
            yield f"account {account}: health {health}, told {mirror.health[account]}, right {right}; equity {own}, maintenance {needed}"


# -- INV-05: the fund ------------------------------------------------------------------------------


def fund_pays_the_insolvent(moment: Moment) -> Findings:
    """INV-05: the fund pays an account whose equity was negative before, or for an order that left supported."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.ORDER:
        equity, expected = mirror.equity(effect.account), mirror.zero_cash(effect.account, effect.market, abs(effect.lots))
        at_limit = -effect.lots * effect.price_ticks * mirror.rules.markets[effect.market].notional_factor
        if effect.amount != expected:
            yield f"{effect}: zero cash is {expected}"
        if effect.value != mirror.reserved[effect.other] or (equity >= 0 and effect.value):
            yield f"{effect}: equity {equity}, reserved {mirror.reserved[effect.other]}"
        if equity < 0 and effect.value < expected - at_limit:
            yield f"{effect}: a fill at the limit would need {expected - at_limit}"
        if equity >= 0 and at_limit < expected and 1 < effect.price_ticks < mirror.rules.markets[effect.market].price_ticks_max:
            yield f"{effect}: solvent, yet beyond the zero price"
    if effect.kind != F.POSTING or effect.other != FUND or effect.code == C.CASH:
        return
    if effect.code not in (C.SUPPORT, C.DEFICIT, C.TEAR_UP):
        yield f"the fund pays for {effect}"
    if effect.code == C.SUPPORT:
        after = moment.effects[moment.place + 1]
        if (after.kind, after.amount) != (F.RESERVE, -effect.amount) or after.other != moment.event.other:
            yield f"{effect} is not taken from what was reserved for order {moment.event.other}"
    elif effect.code == C.DEFICIT and mirror.equity(effect.account) > -effect.amount:
        yield f"{effect} to an account with equity {mirror.equity(effect.account)}"


def reservations_are_covered(moment: Moment) -> Findings:
    """INV-05: reserved is never below zero, never above the fund's balance, and is what the effects say."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.RESERVE and effect.value != mirror.reserved_now:
        yield f"{effect}: {mirror.reserved_now} are reserved"
    supported = effect.kind == F.POSTING and effect.code == C.SUPPORT  # its RESERVE comes next
    if min(mirror.reserved.values(), default=0) < 0 or (mirror.reserved_now > mirror.ledger[FUND] and not supported):
        yield f"reserved {mirror.reserved_now} of {mirror.ledger[FUND]} after {effect}"
    if mirror.ledger[FUND] < 0:
        yield f"fund {mirror.ledger[FUND]} after {effect}"


def fund_scan(moment: Moment) -> Findings:
    """INV-05: reservations belong to open orders, and the cap of the interval holds."""
    mirror, engine = moment.mirror, moment.state.engine[0]
    of_open = sum(mirror.reserved[number] for number, order in mirror.orders.items() if order.is_open)
    if not int(engine.reserved) == mirror.reserved_now == of_open:
        yield f"engine reserves {engine.reserved}, effects say {mirror.reserved_now}, open orders {of_open}"
    if mirror.paid[mirror.interval] + mirror.reserved_now > mirror.rules.fund.loss_per_interval_max:
        yield f"paid {mirror.paid[mirror.interval]}, reserved {mirror.reserved_now}: above {mirror.rules.fund.loss_per_interval_max}"


# -- INV-06: ADL -----------------------------------------------------------------------------------


def adl_is_as_planned(moment: Moment) -> Findings:
    """INV-06: the certificate holds; lots, cash, classes, weights and caps are those of a full scan."""
    plan, mirror = moment.effect, moment.mirror
    if plan.kind != F.ADL_PLAN:
        return
    factor = mirror.rules.markets[plan.market].notional_factor
    yield from (str(finding) for finding in check_certificate(moment.rows, moment.place, factor))
    equity, held, lots = mirror.equity(plan.account), mirror.lots(plan.account, plan.market), abs(plan.lots)
    if plan.value != equity or plan.price_ticks != mirror.marks[plan.market]:
        yield f"{plan}: equity {equity}, mark {mirror.marks[plan.market]}"
    at_mark = mirror.mark_value(plan.account, plan.market, lots)
    cash = mirror.zero_cash(plan.account, plan.market, lots) if equity < 0 else at_mark
    if plan.amount != cash or plan.lots * held >= 0 or lots > abs(held):
        yield f"{plan}: position {held}, cash should be {cash}"
    rows = _rows_of_plan(moment)
    counted = {AdlClass(row.code): row.other for row in rows if row.kind == F.ADL_CLASS}
    fills = [row for row in rows if row.kind == F.ADL_FILL]
    eligible = _eligible(moment, plan, abs(plan.amount - at_mark))
    for adl_class, count in counted.items():
        able = sum(which == adl_class for which, _, _ in eligible.values())
        if count > able:
            yield f"{plan}: {count} candidates of {adl_class.name}, at most {able} can give"
    for fill in fills:
        if fill.account not in eligible:
            yield f"{fill} cannot give"
            continue
        adl_class, weight, cap = eligible[fill.account]
        if (fill.code, fill.value) != (adl_class, weight) or fill.price_ticks > cap:
            yield f"{fill}: is {adl_class.name} with weight {weight} and can give {cap}"
    trades = [place for place, row in enumerate(moment.effects) if place > moment.place and (row.kind, row.code) == (F.TRADE, C.ADL)]
    last = trades[plan.other]
    has_posting = moment.effects[last].value != 0
    moment.due.setdefault(last + has_posting, []).extend(fill.account for fill in fills if fill.account >= 0)


def _rows_of_plan(moment: Moment) -> list[Effect]:
    found = []
    for row in moment.effects[moment.place + 1 :]:
        if row.kind not in (F.ADL_CLASS, F.ADL_FILL):
            break
        found.append(row)
    return found


def _eligible(moment: Moment, plan: Effect, beyond: int) -> dict[int, tuple[AdlClass, int, int]]:
    """Return class, weight and the true cap, tried lot by lot, of everyone who could give lots."""
    mirror, side = moment.mirror, sign(mirror_lots := moment.mirror.lots(plan.account, plan.market))
    assert mirror_lots
    found = {}
    for holder in mirror.holders(plan.market, -side):
        if holder >= 0 and mirror.health[holder] >= Health.DISTRESSED:
            continue
        cap = _true_cap(mirror, holder, plan.market, beyond, abs(plan.lots))
        if cap:
            found[holder] = (*_class_of(mirror, plan.account, holder, plan.market), cap)
    return found


def _class_of(mirror: Mirror, defaulter: int, holder: int, market: int) -> tuple[AdlClass, int]:
    lots = mirror.lots(holder, market)
    if holder < 0:
        return AdlClass.HOUSE, abs(lots)
    owner = mirror.owners[holder]
    if owner == mirror.owners[defaulter]:
        return AdlClass.LINKED, abs(lots)
    linked = [mirror.lots(other, market) for other, who in enumerate(mirror.owners) if who == owner and other != holder]
    if sum(abs(held) for held in linked if held * lots < 0) >= abs(lots):
        return AdlClass.HEDGE, abs(lots)
    profit = lots * mirror.unit(market) - mirror.holding(holder, market).cost
    return (AdlClass.PROFITABLE, profit) if profit > 0 else (AdlClass.REST, abs(lots))


def _true_cap(mirror: Mirror, holder: int, market: int, beyond: int, total: int) -> int:
    """Return the largest number of lots so that every number up to it keeps maintenance, cash rounded up."""
    held = abs(mirror.lots(holder, market))
    if holder < 0:
        return held
    equity, maintenance, notional = mirror.equity(holder), mirror.maintenance(holder), mirror.notional(holder, market)
    for lots in range(held + 1):
        left = maintenance - mirror.margin(market, notional) + mirror.margin(market, notional - lots * mirror.unit(market))
        if equity - ceil_div(lots * beyond, total) < left:
            return max(0, lots - 1)
    return held


def counterparties_keep_maintenance(moment: Moment) -> Findings:
    """INV-06: right after the trades of a wave no counterparty stands below its maintenance."""
    for account in moment.due.get(moment.place, []):
        equity, maintenance = moment.mirror.equity(account), moment.mirror.maintenance(account)
        if equity < maintenance:
            yield f"ADL left account {account} with equity {equity} below {maintenance}"


# -- INV-07: what each closing entry of an insolvent account costs, and who pays -------------------


def _fill_due(moment: Moment) -> tuple[MirrorOrder, int] | None:
    """Return the order that the event fills, and the gap to zero cash of the lots that it had open."""
    event, mirror = moment.event, moment.mirror
    order = mirror.orders.get(event.other) if event.kind == EventKind.ORDER_FILL else None
    if order is None or not order.is_open:
        return None
    taken, whole = min(abs(event.lots), order.remaining), abs(order.lots)
    zero = ceil_div(order.zero_cash * (order.filled + taken), whole) - ceil_div(order.zero_cash * order.filled, whole)
    cash = -sign(order.lots) * taken * event.price_ticks * mirror.rules.markets[order.market].notional_factor
    return order, zero - cash


def fill_starts(moment: Moment) -> Findings:
    """INV-07: a fill within an order's limit never needs more than what was reserved, nothing if the order left solvent."""
    due = _fill_due(moment)
    if due is None:
        return
    order, gap = due
    reserved, price = moment.mirror.reserved[moment.event.other], moment.event.price_ticks
    moment.support_due = min(max(0, gap), reserved)
    if order.allows(price) and not order.is_abused and gap > reserved:
        yield f"fill at {price} within the limit {order.limit_ticks} needs {gap}, reserved {reserved}"


def fill_is_supported(moment: Moment) -> Findings:
    """INV-07: support is the whole gap to zero cash, as far as it was reserved."""
    paid = sum(row.amount for row in moment.effects if (row.kind, row.code) == (F.POSTING, C.SUPPORT))
    if paid != moment.support_due:
        yield f"support {paid}, due {moment.support_due}"


def gap_is_paid_in_order(moment: Moment) -> Findings:
    """INV-07: tear-up: fund + uncovered = zero cash - cash; flat: fund + uncovered = -E; the fund gives all first."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.TEAR_UP:
        yield from _tear_up_is_paid(moment)
    if effect.kind != F.POSTING or effect.code not in (C.DEFICIT, C.UNCOVERED):
        return
    deficit, flat = -mirror.equity(effect.account), not mirror.markets_of(effect.account)
    if effect.code == C.DEFICIT:
        after = moment.effects[moment.place + 1] if moment.place + 1 < len(moment.effects) else None
        rest = after.amount if after and (after.kind, after.code) == (F.POSTING, C.UNCOVERED) else 0
        if not flat or effect.amount + rest != deficit:
            yield f"{effect} and {rest} uncovered, deficit {deficit}, flat {flat}"
    else:
        if mirror.available():
            yield f"{effect}, yet the fund could pay {mirror.available()}"
        residual = moment.effects[moment.place + 1]
        if (residual.kind, residual.account, residual.amount) != (F.RESIDUAL, effect.account, effect.amount):
            yield f"{effect} without RESIDUAL"
        if flat and not _in_tear_up(moment) and effect.amount != deficit:
            yield f"{effect}, deficit {deficit}"


def _in_tear_up(moment: Moment) -> bool:
    for row in reversed(moment.effects[: moment.place]):
        if row.kind == F.TEAR_UP:
            return True
        if row.kind not in (F.TRADE, F.POSTING) or row.code == C.DEFICIT:
            return False
    return False


def _tear_up_is_paid(moment: Moment) -> Findings:
    effect, mirror = moment.effect, moment.mirror
    equity, lots = mirror.equity(effect.account), abs(effect.lots)
    cash = mirror.mark_value(effect.account, effect.market, lots)
    gap = max(0, mirror.zero_cash(effect.account, effect.market, lots) - cash) if equity < 0 else 0
    if (effect.amount, effect.value) != (cash, gap):
        yield f"{effect}: cash {cash}, gap {gap}"
    paid = 0
    for row in moment.effects[moment.place + 1 :]:
        if row.kind not in (F.TRADE, F.POSTING, F.RESIDUAL, F.HALT):
            break
        if (
            row.kind == F.POSTING
            and row.account == effect.account
            and (row.code == C.UNCOVERED or (row.other, row.code) == (FUND, C.TEAR_UP))
        ):
            paid += row.amount
            if equity >= 0:
                yield f"{row} in the tear-up of a solvent account"
    if paid != gap:
        yield f"{effect}: {paid} paid or uncovered"


def flat_accounts_owe_nothing(moment: Moment) -> Findings:
    """INV-07: an account without lots and with negative equity waits an interval at most, for money that is only reserved."""
    mirror = moment.mirror
    for account in range(len(mirror.owners)):
        equity = mirror.equity(account)
        if equity < 0 and not mirror.markets_of(account):
            rules, wait = mirror.rules, int(moment.state.accounts[account].wait_until_ns)
            latest = mirror.crowded_until
            if mirror.open_orders(account):  # filled, but the venue has not called it done
                latest = max(latest, mirror.now + rules.closeout.order_timeout_ns)
            elif Stage.FUND in rules.stages:
                latest = max(latest, min(mirror.now + rules.closeout.interval_ns, mirror.deadline(account)))
            if not mirror.now < wait <= latest:
                yield f"account {account} is flat with equity {equity} at {mirror.now}, waits until {wait}, {mirror.reserved_now} reserved"


# -- INV-11: solvent accounts pay last -------------------------------------------------------------


def closeout_came_first(moment: Moment) -> Findings:
    """INV-11: lots go to counterparties only when closeout had capacity 0, or its deadline has passed."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.HEALTH and effect.code < Health.DISTRESSED:
        moment.beyond_closeout.discard(effect.account)
    if effect.kind not in (F.ADL_PLAN, F.TEAR_UP):
        return
    account, stages = effect.account, mirror.rules.stages
    if mirror.open_orders(account):
        yield f"{effect}: supported orders are still open"
    is_first = account not in moment.beyond_closeout
    moment.beyond_closeout.add(account)
    stage = Stage.ADL if effect.kind == F.ADL_PLAN else Stage.TEAR_UP
    if not is_first or Stage.CLOSEOUT not in stages[: stages.index(stage)] or mirror.now >= mirror.deadline(account):
        return
    if mirror.health[account] == Health.DISTRESSED:
        yield f"{effect}: DISTRESSED, and its deadline {mirror.deadline(account)} is not over at {mirror.now}"
    for market in mirror.markets_of(account):
        reason = _capacity(moment, account, market)
        if reason:
            yield f"{effect}: closeout could still act in market {market}: {reason}"


def _capacity(moment: Moment, account: int, market: int) -> str:
    """Say what closeout could do with a position now, or later when others are done; nothing where it has capacity 0."""
    mirror, rules = moment.mirror, moment.mirror.rules
    held, row = mirror.lots(account, market), moment.state.markets[market]
    side = 0 if held > 0 else 1
    place = rules.markets[market]
    bands = [int(row.depth_lots[side, band]) for band, offset in enumerate(place.band_offset_ppm) if offset <= place.slippage_tolerance_ppm]
    visible = sum(max(0, lots) for lots in bands)
    if visible == 0 and -1 in bands:
        return "its depth is unknown"
    base = max(1, visible * rules.closeout.depth_share_ppm // PPM) if visible else 0
    volume = int(row.volume_lots)
    if volume >= 0:
        base = min(base, max(1, volume * rules.closeout.volume_share_ppm // PPM) if volume else 0)
    if base == 0:
        return ""
    pending = sum(order.remaining for order in mirror.orders.values() if order.is_open and order.market == market and order.lots * held < 0)
    left = min(
        rules.closeout.account_notional_max - mirror.ordered[mirror.interval, "account", account],
        rules.markets[market].ordered_notional_max - mirror.ordered[mirror.interval, "market", market],
        rules.closeout.venue_notional_max - mirror.ordered[mirror.interval, "venue", NONE],
    )
    if min(base - pending, left // mirror.unit(market)) <= 0 or mirror.equity(account) >= 0:
        return f"base {base}, pending {pending}, notional left {left}"
    worst = _worst_of_one(mirror, account, market)
    supports = Stage.FUND in rules.stages and Stage.ADL not in rules.stages[: rules.stages.index(Stage.FUND)]
    budget = mirror.available() + mirror.reserved_now if supports else 0
    return f"one lot needs {worst}, the fund has {budget}" if worst <= budget else ""


def _worst_of_one(mirror: Mirror, account: int, market: int) -> int:
    rules, mark, is_long = mirror.rules.markets[market], mirror.marks[market], mirror.lots(account, market) > 0
    if is_long:
        limit = ceil_div(mark * (PPM - rules.slippage_tolerance_ppm), PPM)
    else:
        limit = mark * (PPM + rules.slippage_tolerance_ppm) // PPM
    limit = max(1, min(limit, rules.price_ticks_max))
    return max(0, mirror.zero_cash(account, market, 1) - (limit if is_long else -limit) * rules.notional_factor)


Check = Callable[[Moment], Findings]

#: Before any effect of an event is read.
START: dict[str, list[Check]] = {"INV-07": [fill_starts]}
BEFORE: dict[str, list[Check]] = {
    "INV-01": [posting_moves_money],
    "INV-03": [closing_reduces],
    "INV-05": [fund_pays_the_insolvent],
    "INV-06": [adl_is_as_planned],
    "INV-07": [gap_is_paid_in_order],
    "INV-11": [closeout_came_first],
}
AFTER: dict[str, list[Check]] = {
    "INV-01": [entries_sum_to_zero],
    "INV-05": [reservations_are_covered],
    "INV-06": [counterparties_keep_maintenance],
}
SCAN: dict[str, list[Check]] = {
    "INV-01": [ledger_scan],
    "INV-02": [positions_scan],
    "INV-03": [orders_scan],
    "INV-04": [health_scan],
    "INV-05": [fund_scan],
    "INV-07": [fill_is_supported, flat_accounts_owe_nothing],
}
IDS = ("INV-01", "INV-02", "INV-03", "INV-04", "INV-05", "INV-06", "INV-07", "INV-11")
