"""INV-05 and INV-07: what the funds pay and promise, and who pays for a gap or a deficit, in which
order.
"""

from __future__ import annotations

from collections import Counter

from backstop.core.events import (
    FEES,
    NONE,
    WORLD,
    Cause,
    EffectKind,
    EventKind,
    Health,
    SocialisePolicy,
    Transfer,
    clearing_of,
    fund_of,
    is_clearing,
    uncovered_of,
)
from backstop.core.instruments import PPM
from backstop.core.timers import next_wait_ns
from backstop.reference.arithmetic import sign, split
from backstop.reference.closing import OrderTerms, settle
from backstop.reference.deficit import Part, closed_markets, has_loss
from backstop.reference.funds import least_cap
from backstop.reference.loss import Loss, bearer_of
from backstop.reference.offering import TakeoverPrice
from backstop.reference.records import Effect
from backstop.reference.socialise import Room, purses_of, stakes_of
from backstop.reference.state import CLOSING_ORDER, DISPOSAL_ORDER, TAKEOVER_OFFER, Order
from backstop.reference.tear_up import cash_at_mark
from backstop.reference.wave import gap_to_zero, lots_to_close, support_parts
from tests.properties.mirror import Mirror, allows, cancelled_first
from tests.properties.moment import Findings, Moment
from tests.properties.order_of_payers import defaulters_of_rows, is_tear_up_start, way_out_of, ways_later

__all__ = [
    "claims_scan",
    "cuts_leave_maintenance",
    "cuts_within_limits",
    "contributions_are_due",
    "fees_were_charged",
    "fill_is_supported",
    "fill_starts",
    "flat_accounts_owe_nothing",
    "fund_pays_the_insolvent",
    "fund_scan",
    "gap_is_paid_in_order",
    "lacked_room",
    "orders_are_priced",
    "reservations_are_covered",
    "takeovers_are_priced",
]

F, C = EffectKind, Cause


# -- INV-05: orders, offers and what is reserved for them ------------------------------------------


def orders_are_priced(moment: Moment) -> Findings:
    """INV-05: an order knows its zero cash, is solvent or supported, and no money is promised to a
    disposal.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.ORDER:
        return
    reserved = mirror.reserved[effect.other]
    if mirror.provider_of(effect.account) != NONE and mirror.health[effect.account] < Health.DISTRESSED:
        if effect.amount or effect.value or reserved:
            yield f"{effect} of disposal: zero cash {effect.amount}, reserved {reserved}"
        return
    rules = mirror.rules.markets[effect.market]
    portfolio = mirror.portfolio(effect.account)
    equity, expected = portfolio.equity, portfolio.zero_cash(effect.market, abs(effect.lots)).cash
    at_limit = mirror.contract(effect.market).cash_of(effect.lots, effect.price_ticks)
    if effect.amount != expected:
        yield f"{effect}: zero cash is {expected}"
    if effect.value != reserved or (equity >= 0 and effect.value):
        yield f"{effect}: equity {equity}, reserved {reserved}"
    if equity < 0 and effect.value < expected - at_limit:
        yield f"{effect}: a fill at the limit would need {expected - at_limit}"
    if equity >= 0 and at_limit < expected and 1 < effect.price_ticks < rules.price_ticks_max:
        yield f"{effect}: solvent, yet beyond the zero price"


def takeovers_are_priced(moment: Moment) -> Findings:
    """INV-05: offers share the zero cash of their lots, pay what the rules say, and reserve the
    gap; the vault likewise.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.TAKEOVER:
        yield from _takeover_is_priced(moment)
    if effect.kind != F.OFFER:
        return
    before = moment.place
    while before and _is_share(moment.effects[before - 1], effect):
        before -= 1
    after = moment.place
    while after + 1 < len(moment.effects) and _is_share(moment.effects[after + 1], effect):
        after += 1
    shares = [row for row in moment.effects[before : after + 1] if row.kind == F.OFFER]
    whole, taken = sum(abs(row.lots) for row in shares), sum(abs(row.lots) for row in shares if row.other < effect.other)
    # Where the last shares found no place the whole is not told: it may be any up to all lots held.
    most = abs(mirror.held_lots(effect.account, effect.market)) if _place_held(mirror, shares[-1].other + 1) else whole
    # The orders of this pass are open already; equity and maintenance are as they were.
    prices = (price_of(mirror, effect, taken, together) for together in range(whole, most + 1))
    told = effect.amount, effect.value, mirror.reserved[effect.other]
    if told not in ((price.cash, price.support, price.support) for price in prices):
        yield f"{effect}: {price_of(mirror, effect, taken, whole)}, reserved {mirror.reserved[effect.other]}"


def _is_share(row: Effect, offer: Effect) -> bool:
    return row.kind in (F.OFFER, F.RESERVE) and (row.account, row.market) == (offer.account, offer.market) and row.amount != 0


def _place_held(mirror: Mirror, order: int) -> bool:
    orders_max = mirror.rules.limits.orders_max
    is_open = [number for number, each in mirror.orders.items() if each.is_open]
    return order > orders_max or any(number % orders_max == order % orders_max for number in is_open)


def price_of(mirror: Mirror, row: Effect, before: int, together: int) -> TakeoverPrice:
    """Return the price of the lots that provider ``row.price_ticks`` takes over, after others of
    those told together.
    """
    backer = mirror.backer(row.price_ticks, row.market, -sign(row.lots))
    return mirror.offering(row.account, row.market, [backer]).price(backer, abs(row.lots), before, together)


def _takeover_is_priced(moment: Moment) -> Findings:
    effect, mirror = moment.effect, moment.mirror
    if effect.other:
        order = mirror.orders[effect.other]
        told = (order.account, order.market, order.lots, order.provider, order.zero_cash, mirror.reserved[effect.other])
        if told != (effect.account, effect.market, effect.lots, effect.price_ticks, effect.amount, effect.value) or not order.is_open:
            yield f"{effect} is not the offer {order}"
        named = mirror.orders.get(moment.event.other)
        if moment.event.kind != EventKind.ANSWER or named is None or named.joint != order.joint:
            yield f"{effect}: nobody answered"
        return
    price = price_of(mirror, effect, 0, abs(effect.lots))
    if (effect.amount, effect.value) != (price.cash, price.support):
        yield f"{effect}: {price}"
    available = mirror.available(mirror.group(effect.market), effect.account, effect.market)
    if price.support > available:
        yield f"{effect}: the fund has {available}"
    if mirror.providers[effect.price_ticks].account != mirror.vault:
        yield f"{effect} by no vault"


# -- INV-05: what leaves a fund --------------------------------------------------------------------


def fund_pays_the_insolvent(moment: Moment) -> Findings:
    """INV-05: a fund pays support that was promised, gaps and deficits, of its own group and within
    its caps; recovery only from its surplus.
    """
    effect, mirror = moment.effect, moment.mirror
    group = mirror.group_of_fund(effect.other) if effect.kind == F.POSTING else None
    if group is None or (effect.code == C.CASH and effect.account == WORLD):
        return
    if effect.code == C.ARREARS:
        yield from _arrears_are_owed(mirror, effect, group)
        return
    if effect.code not in (C.SUPPORT, C.DEFICIT, C.TEAR_UP, C.RECOVERY) or effect.account < 0:
        yield f"a fund pays for {effect}"
        return
    names_market = effect.code in (C.SUPPORT, C.TEAR_UP) or (effect.code == C.DEFICIT and effect.market >= 0)
    if names_market and mirror.group(effect.market) != group:
        yield f"{effect}: the market's group is {mirror.group(effect.market)}"
    if effect.code == C.DEFICIT and mirror.equity(effect.account) > -effect.amount:
        yield f"{effect} to an account with equity {mirror.equity(effect.account)}"
    if effect.code == C.SUPPORT:
        yield from _support_was_promised(moment)
    if effect.code == C.RECOVERY:
        surplus = mirror.unreserved(group) - mirror.uncovered(group) - mirror.rules.funds[group].target
        claim = mirror.accounts[effect.account].claims.get(group, 0)
        if effect.amount > surplus or effect.amount > claim:
            yield f"{effect}: surplus {surplus}, claim {claim}"


def _arrears_are_owed(mirror: Mirror, effect: Effect, group: int) -> Findings:
    """Arrears pay what stands uncovered in the fund's own group, from what it has not reserved; with
    all that it paid in any span of a window they are within the smallest of its caps.
    """
    unreserved, reserved = mirror.unreserved(group), mirror.funds[group].reserved
    if effect.account != uncovered_of(group) or effect.amount > min(mirror.uncovered(group), unreserved):
        yield f"{effect}: uncovered {mirror.uncovered(group)}, unreserved {unreserved}"
    since = mirror.now - mirror.rules.fund.window_ns
    paid = sum(each.amount for each in (*mirror.payments, *mirror.late) if each.group == group and each.time_ns >= since)
    if paid + effect.amount + reserved > least_cap(mirror.rules, group):
        yield f"{effect}: {paid} paid in a window, {reserved} reserved, of {least_cap(mirror.rules, group)}"


def _support_was_promised(moment: Moment) -> Findings:
    effect = moment.effect
    before = reversed(moment.effects[: moment.place])
    closes = (C.CLOSEOUT, C.ADL)
    entry = next((row for row in before if row.kind == F.TAKEOVER or (row.kind == F.TRADE and row.code in closes)), None)
    if entry is None:
        yield f"{effect} without a fill or a transfer"
        return
    if entry.code == C.ADL and entry.kind == F.TRADE:
        # Those of all defaulters of a plan are paid behind it, in their order. Who owes for a fill and was
        # closed in the wave may have what the fund was to pay.
        told = [place for place, row in enumerate(moment.effects[: moment.place]) if (row.kind, row.account) == (F.SUPPORT, effect.account)]
        rows = moment.effects[told[-1] if told else moment.place : moment.place]
        back = sum(row.amount for row in rows if (row.kind, row.code, row.account) == (F.POSTING, C.FILL_DEBT, effect.account))
        right = rows[0].amount if rows else 0
        right = min(right, -moment.mirror.equity(effect.account)) if back else right
        if not rows or (rows[0].market, right) != (effect.market, effect.amount):
            yield f"{effect} after {rows[:1]}, {back} paid for fills"
        return
    promised = entry.value if entry.kind == F.TAKEOVER else moment.support_due
    if effect.amount != min(promised, -moment.mirror.equity(effect.account)):
        yield f"{effect}: promised {promised}, equity {moment.mirror.equity(effect.account)}"
    if entry.kind == F.TAKEOVER:
        if entry.account != effect.account:
            yield f"{effect} after {entry}"
        if entry.other == 0:
            return
    after, order = moment.effects[moment.place + 1], entry.other if entry.kind == F.TAKEOVER else moment.event.other
    if (after.kind, after.amount) != (F.RESERVE, -promised) or after.other != order:
        yield f"{effect} is not taken from what was reserved for order {order}"


def reservations_are_covered(moment: Moment) -> Findings:
    """INV-05: reserved is never below zero, never above a fund's balance, and is what the effects
    say; caps hold in every span.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.RESERVE and effect.value != mirror.funds[mirror.group(effect.market)].reserved:
        yield f"{effect}: {mirror.funds[mirror.group(effect.market)].reserved} are reserved"
    if min(mirror.reserved.values(), default=0) < 0:
        yield f"reserved {mirror.reserved} after {effect}"
    after = moment.effects[moment.place + 1] if moment.place + 1 < len(moment.effects) else None
    converts = effect.kind == F.POSTING and effect.code == C.SUPPORT and after is not None and after.kind == F.RESERVE
    for group in mirror.groups:
        balance = mirror.ledger[fund_of(group)]
        if balance < 0 or (mirror.funds[group].reserved > balance and not converts):
            yield f"fund {group} has {balance}, {mirror.funds[group].reserved} reserved, after {effect}"
    if not converts and effect.kind in (F.POSTING, F.RESERVE):
        yield from caps_hold(mirror)


def caps_hold(mirror: Mirror) -> Findings:
    """Look at every span of a window that ends now: a fund's payments, those to an owner, and what
    is promised.
    """
    window_ns, now = mirror.rules.fund.window_ns, mirror.now
    recent, late = ([each for each in found if now - window_ns <= each.time_ns <= now] for found in (mirror.payments, mirror.late))
    for market, rules in enumerate(mirror.caps.markets):
        paid = sum(each.amount for each in recent if each.market == market)
        paid += sum(each.amount for each in late if each.group == rules.group)
        if paid + mirror.markets[market].reserved > rules.loss_per_window_max:
            yield f"market {market}: {paid} paid in a window, reserved {mirror.markets[market].reserved}: above {rules.loss_per_window_max}"
    for group in mirror.groups:
        paid, most = sum(each.amount for each in (*recent, *late) if each.group == group), mirror.caps.funds[group].loss_per_window_max
        if paid + mirror.funds[group].reserved > most:
            yield f"fund {group} paid {paid} in a window, reserved {mirror.funds[group].reserved}: above {most}"
    for owner in {each.owner for each in recent} | set(mirror.owners):
        paid, most = (
            sum(each.amount for each in recent if each.owner == owner),
            mirror.caps.assets[mirror.asset_of_owner(owner)].owner_loss_max,
        )
        reserved = mirror.owners[owner].reserved
        if paid + reserved > most:
            yield f"owner {owner} was paid {paid} in a window, reserved {reserved}: above {most}"


def fees_were_charged(moment: Moment) -> Findings:
    """INV-05: a fee makes no deficit, and the fund is credited a share of what was charged, not of
    what was asked for.
    """
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    if effect.kind != F.POSTING or effect.code != C.TRADING_FEE:
        return
    if (event.kind, event.code) != (EventKind.TRANSFER, Transfer.TRADING_FEE):
        yield f"{effect} of no fee"
    elif effect.account == FEES:
        moment.charged = effect.amount
        if effect.other != event.account or effect.amount != min(event.amount, mirror.equity(event.account)):
            yield f"{effect}: {event.amount} asked for, equity {mirror.equity(event.account)}"
    else:
        group = mirror.group(event.market) if event.market >= 0 else mirror.first_group(event.account)
        share = moment.charged * mirror.rules.fund.trading_fee_share_ppm // PPM
        if (effect.account, effect.other, effect.amount) != (fund_of(group), FEES, share):
            yield f"{effect}: the share of fund {group} is {share}"


def contributions_are_due(moment: Moment) -> Findings:
    """INV-05: a contribution is a share of the initial margin of what a fill opened, and leaves its
    account's maintenance margin.
    """
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    if effect.kind != F.POSTING or effect.code != C.CONTRIBUTION:
        return
    lots = {event.account: event.lots, event.other: -event.lots}.get(effect.other, 0)
    holding, group = mirror.holding(effect.other, event.market), mirror.group(event.market)
    before = holding.lots - lots
    kept = 0 if before * holding.lots <= 0 else min(abs(before), abs(holding.lots))
    opened = holding.initial - holding.contract.initial_of(kept, holding.others_lots)
    due = min(opened * mirror.rules.funds[group].contribution_ppm // PPM, mirror.portfolio(effect.other).spare)
    right = (fund_of(group), due, event.market)
    if event.kind != EventKind.FILL or (effect.account, effect.amount, effect.market) != right or mirror.accounts[effect.other].in_default:
        yield f"{effect}: should be {right}"


def fund_scan(moment: Moment) -> Findings:
    """INV-05: reservations belong to open orders and to accounts that are carried, and the caps
    hold.
    """
    mirror = moment.mirror
    for group in mirror.groups:
        orders = [(number, order) for number, order in mirror.orders.items() if mirror.group(order.market) == group]
        of_open = sum(mirror.reserved[number] for number, order in orders if order.is_open) + mirror.carried_in(group)
        engine = int(moment.state.funds[group].reserved)
        if not engine == mirror.funds[group].reserved == of_open:
            yield f"fund {group} reserves {engine}, effects say {mirror.funds[group].reserved}, orders and carries {of_open}"
    for row, market in zip(moment.state.markets, mirror.markets, strict=True):
        if int(row.reserved) != market.reserved:
            yield f"{row.reserved} reserved, effects say {market}"
    if int(moment.state.engine[0].uncovered) != sum(map(mirror.uncovered, mirror.groups)):
        yield f"uncovered {moment.state.engine[0].uncovered}, effects say {[mirror.uncovered(group) for group in mirror.groups]}"
    yield from caps_hold(mirror)
    yield from _arrears_are_due(moment)


def _arrears_are_due(moment: Moment) -> Findings:
    """Say where a fund could pay arrears later, but the engine asks for no time by then."""
    mirror, rules = moment.mirror, moment.mirror.rules
    slot_ns = -(-rules.fund.window_ns // 16)
    due = (mirror.now // slot_ns + 1) * slot_ns
    for group in mirror.groups:
        unreserved = mirror.unreserved(group)
        may_pay = mirror.has_fund and mirror.uncovered(group) > 0 and unreserved > 0 and least_cap(rules, group) > 0
        if may_pay and int(next_wait_ns(moment.state)) > due:
            yield f"fund {group} owes {mirror.uncovered(group)}: nothing is due before {due}"


# -- INV-07: what each closing entry of an insolvent account costs, and who pays -------------------


def _fill_due(moment: Moment) -> tuple[Order, int] | None:
    """Return the order that the event fills, and the gap to zero cash of the lots that it had
    open.
    """
    event, mirror = moment.event, moment.mirror
    order = mirror.orders.get(event.other) if event.kind == EventKind.ORDER_FILL else None
    if order is None or not order.is_open or order.kind != CLOSING_ORDER or cancelled_first(event, moment.effects):
        return None
    terms = OrderTerms(order.lots, order.limit_ticks, order.zero_cash, order.filled, mirror.reserved[event.other])
    fill = settle(mirror.contract(order.market), terms, min(abs(event.lots), order.remaining), event.price_ticks, None)
    return order, fill.zero - fill.cash


def fill_starts(moment: Moment) -> Findings:
    """INV-07: a fill within an order's limit never needs more than what was reserved, nothing if
    the order left solvent.
    """
    due = _fill_due(moment)
    if due is None:
        return
    order, gap = due
    reserved, price = moment.mirror.reserved[moment.event.other], moment.event.price_ticks
    moment.support_due = min(max(0, gap), reserved)
    # The cash of a part is rounded down: that atom is not reserved (R11.3.6).
    rounding = 1 if moment.mirror.contract(order.market).is_inverse else 0
    if allows(order, price) and order.id not in moment.mirror.abused and gap > reserved + rounding:
        yield f"fill at {price} within the limit {order.limit_ticks} needs {gap}, reserved {reserved}"


def fill_is_supported(moment: Moment) -> Findings:
    """INV-07: support is at most the gap to zero cash that was reserved; that of takeovers and ADL is
    theirs.
    """
    paid = sum(row.amount for row in moment.effects if (row.kind, row.code) == (F.POSTING, C.SUPPORT))
    taken_over = sum(row.value for row in moment.effects if row.kind == F.TAKEOVER)
    deleveraged = sum(row.amount for row in moment.effects if (row.kind, row.other) == (F.SUPPORT, C.SUPPORT))
    if paid > moment.support_due + taken_over + deleveraged:
        yield f"support {paid}, due {moment.support_due}, {taken_over} for takeovers and {deleveraged} for ADL"


def loss_of(mirror: Mirror, market: int, parts: dict[int, int], most: int) -> Loss:
    """Return what accounts lack in a market with everybody who can be socialised for it."""
    return Loss(parts, stakes_of(mirror, market), purses_of(mirror, market), mirror.rules.socialise_policy, most)


def is_for_those_who_lack(row: Effect) -> bool:
    """Whether a row is what an account gets that lacks, or what is uncovered of it."""
    gets = row.code == C.HAIRCUT and is_clearing(row.other)
    return row.kind == F.POSTING and row.account >= 0 and (gets or row.code == C.UNCOVERED)


def gap_is_paid_in_order(moment: Moment) -> Findings:
    """INV-07: the fund pays what it can of the gap of a tear-up; fund + socialised + uncovered is -E of a
    flat account, each giving all it can first.
    """
    effect = moment.effect
    if effect.kind == F.TEAR_UP:
        if is_tear_up_start(moment, moment.place):
            yield from _tear_up_is_told(moment)
    elif moment.place == moment.torn_trade:
        yield from _tear_up_is_paid(moment)
    elif moment.place > max(moment.torn_trade, moment.paid_to):
        if (effect.kind, effect.other) == (F.SUPPORT, C.DEFICIT) or (effect.kind, effect.code) == (F.POSTING, C.DEFICIT):
            yield from _funds_pay(moment, effect.account)
        elif effect.kind == F.HAIRCUT:
            yield from _loss_is_borne(moment)
        elif (effect.kind, effect.code) == (F.POSTING, C.UNCOVERED):
            yield from _rest_is_booked(moment, effect.account)


def _is_payment(row: Effect, account: int) -> bool:
    """Whether a row belongs to the funds' payments for an account; payers may be judged on the way."""
    if row.kind == F.POSTING:
        return (row.account, row.code) == (account, C.DEFICIT)
    if row.kind == F.SUPPORT:
        return (row.account, row.other) == (account, C.DEFICIT)
    return row.kind == F.CLAIM or (row.kind == F.HEALTH and row.account != account)


def _funds_pay(moment: Moment, account: int) -> Findings:
    """Check what each fund pays of its parts of the deficit of a flat account, and tells of the rest."""
    mirror, last = moment.mirror, moment.place
    while last + 1 < len(moment.effects) and _is_payment(moment.effects[last + 1], account):
        last += 1
    moment.paid_to = last
    rows, deficit = moment.effects[moment.place : last + 1], -mirror.equity(account)
    if mirror.held_markets(account) or deficit <= 0:
        yield f"{moment.effect} of account {account} with equity {-deficit} and positions in {mirror.held_markets(account)}"
    parts, expected = mirror.parts(account, deficit), dict[tuple[int, int], int]()
    views = [mirror.fund_view(group, account, market) for group, market, _ in parts]
    for_owner, of_fund = views[0].available_to_owner if views else 0, dict[int, int]()
    for view, (group, market, amount) in zip(views, parts, strict=True):
        pay = min(amount, of_fund.setdefault(group, view.available_to_all), view.available_to_market, for_owner)
        of_fund[group], for_owner, expected[group, market] = of_fund[group] - pay, for_owner - pay, pay
    paid = {(mirror.group_of_fund(row.other), row.market): row.amount for row in rows if row.kind == F.POSTING}
    if paid != {place: pay for place, pay in expected.items() if pay} or not mirror.has_fund:
        yield f"deficit {deficit} of account {account}: paid {paid}, should be {expected}"
    moment.left_parts[account] = [Part(group, market, amount - expected[group, market]) for group, market, amount in parts]
    short_parts = [part for part in parts if expected[part.group, part.market] < part.amount]
    told = [(row.market, row.amount, row.value) for row in rows if row.kind == F.SUPPORT]
    if told != [(market, expected[group, market], amount) for group, market, amount in short_parts]:
        yield f"deficit {deficit} of account {account}: SUPPORT tells {told} of {short_parts}"
    for_owner = mirror.owner(account).reserved - mirror.carried_for(mirror.owner_of(account))
    is_reserved = for_owner > 0 or any(mirror.funds[part.group].reserved > mirror.carried_in(part.group) for part in parts)
    if sum(expected.values()) < deficit and is_reserved and mirror.now < mirror.deadline(account):
        yield f"deficit {deficit} of account {account} is paid while a fund only reserves"


def _left_of(moment: Moment, account: int) -> list[Part]:
    """What the funds left of the parts of a flat account, in proportion to what it lacked before others
    bore some of it, less what they bore so far.
    """
    mirror, borne = moment.mirror, Counter[int]()
    for row in moment.effects[: moment.place]:
        if (row.kind, row.code, row.account) == (F.POSTING, C.HAIRCUT, account):
            borne[row.market] += row.amount
    lacks = borne.total() - mirror.equity(account)
    parts = [part for part in moment.left_parts.get(account) or mirror.parts(account, lacks) if part.amount]
    renewed = split(lacks, {part.market: part.amount for part in parts})
    return [Part(part.group, part.market, renewed[part.market] - borne[part.market]) for part in parts]


def _stands(moment: Moment, account: int) -> bool:
    """Whether those who won are asked for an account."""
    mirror = moment.mirror
    return mirror.has_socialise and has_loss(mirror.results(account), closed_markets(mirror, account), mirror.group)


def _loss_is_borne(moment: Moment) -> Findings:
    """As of the first cut in a market: who is cut, for how much, and who gets it."""
    effect, mirror, market = moment.effect, moment.mirror, moment.effect.market
    if moment.cuts_due:
        return
    later = [row for row in moment.effects[moment.place :] if is_for_those_who_lack(row)]
    left = {account: _left_of(moment, account) for account in sorted({row.account for row in later})}
    parts = {account: part.amount for account, each in left.items() for part in each if part.market == market and part.amount}
    moment.room = moment.room or Room((mirror.rules.limits.effects_max - moment.place) // 2, moment.place)
    to_come = {part.market for each in left.values() for part in each if part.market >= market and part.amount}
    loss = loss_of(mirror, market, parts, moment.room.payers(moment.place, len(to_come)))
    moment.cuts_due = loss.cuts()
    moment.cuts_for = min(parts, default=NONE)
    if mirror.has_fund and not parts.keys() <= moment.left_parts.keys():
        yield f"{effect}: {parts} without SUPPORT"
    got = {row.account: row.amount for row in later if (row.code, row.other) == (C.HAIRCUT, clearing_of(market))}
    if got != loss.received():
        yield f"market {market}: {got} is got of {parts}, should be {loss.received()}"
    before = [row for row in moment.effects[: moment.place] if row.kind == F.HAIRCUT]
    if any(row.market >= market for row in before):
        yield f"{effect}: market {market} is asked again after {before[-1]}"


def _rest_is_booked(moment: Moment, account: int) -> Findings:
    """Check what nobody paid for a flat account, and that nobody was left who could."""
    mirror, last = moment.mirror, moment.place
    mine = ((F.POSTING, C.UNCOVERED), (F.RESIDUAL, 0))
    while last + 1 < len(moment.effects) and moment.effects[last + 1].account == account and moment.effects[last + 1][1:3] in mine:
        last += 1
    moment.paid_to = last
    rows, left = moment.effects[moment.place : last + 1], _left_of(moment, account)
    if mirror.held_markets(account) or mirror.equity(account) >= 0:
        yield f"{moment.effect} of account {account} with equity {mirror.equity(account)}"
    expected = Counter[int]()
    for part in left:
        expected[part.group] += part.amount
    paid = {row.other: row.amount for row in rows if row.kind == F.POSTING}
    if paid != {uncovered_of(group): amount for group, amount in expected.items() if amount}:
        yield f"account {account}: uncovered {paid}, left are {left}"
    if {row.other: row.amount for row in rows if row.kind == F.RESIDUAL} != {group: amount for group, amount in expected.items() if amount}:
        yield f"account {account}: RESIDUAL {rows}, left are {left}"
    if mirror.has_fund and account not in moment.left_parts:
        yield f"account {account}: {rows} without SUPPORT"
    for part in left if _stands(moment, account) else []:
        has_room = (mirror.rules.limits.effects_max - len(moment.effects)) // 2 // 16 > len(mirror.accounts)
        if part.amount and has_room and loss_of(mirror, part.market, {account: part.amount}, len(mirror.accounts)).cap_sum:
            yield f"account {account}: {part} is uncovered, though others can bear more"


def _tear_up_is_told(moment: Moment) -> Findings:
    """Check what each defaulter of a market ends, and what the fund adds to its gap, as of the first
    TEAR_UP.
    """
    effect, mirror, rows = moment.effect, moment.mirror, list[Effect]()
    for row in moment.effects[moment.place :]:
        if row.kind != F.TEAR_UP and not (row.kind == F.SUPPORT and row.other == C.TEAR_UP):
            break
        rows.append(row)
    torn = [row for row in rows if row.kind == F.TEAR_UP]
    defaulters = defaulters_of_rows(moment, torn, [])
    if [row.account for row in torn] != [each.account for each in defaulters]:
        yield f"{torn}: not by id"
    supports = support_parts(defaulters, {row.account: row.value for row in torn}, is_asked=mirror.has_fund)
    cash_of = cash_at_mark(defaulters, effect.market, {each.account: each.lots_to_close(effect.market) for each in defaulters})
    for row in torn:
        portfolio = mirror.portfolio(row.account)
        ways = way_out_of(moment, row.account, effect.market), ways_later(moment, row.account, effect.market)
        holding, lots = portfolio.holding(effect.market), lots_to_close(portfolio, effect.market, *ways)
        cash, gap = cash_of[row.account], gap_to_zero(portfolio, effect.market, lots)
        if (row.market, row.lots, row.amount, row.value) != (effect.market, -holding.side * lots, cash, gap):
            yield f"{row}: lots {lots}, cash {cash}, gap {gap}"
        if mirror.health[row.account] < Health.DISTRESSED:
            yield f"{row}: is in no default"
        told = next((each for each in rows if each.kind == F.SUPPORT and each.account == row.account), None)
        support = supports[row.account]
        right = (F.SUPPORT, support.limit, row.market, row.account, C.TEAR_UP, support.available, 0, support.amount, support.gap)
        if (tuple(told)[1:] if told else None) != (right if support.gap else None):
            yield f"{row}: SUPPORT should be {support}, is {told}"
    trades = _trades_of_tear_up(moment, len(torn))
    moment.planned.update(trades)
    moment.torn, moment.torn_trade = supports, trades[0]
    moment.paid_to = trades[-1]


def _trades_of_tear_up(moment: Moment, defaulters: int) -> list[int]:
    """Places of its trades: of each defaulter, then of holders until all lots have another side."""
    places, lots = list[int](), 0
    for place in range(moment.place, len(moment.effects)):
        row = moment.effects[place]
        if (row.kind, row.code) == (F.TRADE, C.TEAR_UP):
            places.append(place)
            lots += row.lots
            if len(places) >= defaulters and lots == 0:
                break
    return places


def _rows_of_gaps(moment: Moment, until: int) -> dict[int, list[Effect]]:
    """Postings to each defaulter of the tear-up at hand, between what is told and a place."""
    first = moment.torn_trade
    while not is_tear_up_start(moment, first):
        first -= 1
    found: dict[int, list[Effect]] = {account: [] for account in moment.torn}
    for row in moment.effects[first:until]:
        if row.kind == F.POSTING and row.account in found:
            found[row.account].append(row)
    return found


def _tear_up_is_paid(moment: Moment) -> Findings:
    """As of the first trade: what the fund paid of each gap, and who has to take the lots."""
    mirror, market = moment.mirror, moment.effect.market
    yield from _holders_share(moment)
    for account, rows in _rows_of_gaps(moment, moment.place).items():
        support, paid = moment.torn[account], sum(row.amount for row in rows if row.code == C.TEAR_UP)
        given = sum(row.amount for row in rows if row.code in (C.FILL_DEBT, C.NETTING))
        if not support.amount - given <= paid <= support.amount:
            yield f"tear-up of {account}: the fund paid {paid}, should {support}; others gave {given}"
        if any(mirror.group_of_fund(row.other) != mirror.group(market) or row.market != market for row in rows if row.code == C.TEAR_UP):
            yield f"tear-up of {account}: paid by {rows}"


def _holders_share(moment: Moment) -> Findings:
    """Check that what one side ends more is split by lots over all who then hold the other side."""
    mirror, market, trades = moment.mirror, moment.effect.market, []
    for place in range(moment.place, moment.paid_to + 1):
        if place in moment.planned and moment.effects[place].kind == F.TRADE:
            trades.append(moment.effects[place])
    mine, others = trades[: len(moment.torn)], trades[len(moment.torn) :]
    if [row.account for row in mine] != list(moment.torn) or any(row.other != NONE for row in mine):
        yield f"{mine}: should be of {list(moment.torn)}"
    if any(row.other == NONE for row in others):
        # A defaulter of the other side, of whom no TEAR_UP tells, looks like a holder who takes over.
        yield f"{others}: ended by no TEAR_UP"
    more = -sum(row.lots for row in mine)
    if not more:
        return
    ended = {row.account: row.lots for row in mine}
    held = {each: mirror.held_lots(each, market) + ended.get(each, 0) for each in mirror.holders(market, -sign(more))}
    right = split(abs(more), {each: abs(lots) for each, lots in held.items() if lots})
    told = {row.account: abs(row.lots) for row in others}
    if told != {each: part for each, part in right.items() if part}:
        yield f"tear-up in market {market}: {told} take over {more} lots, should be {right}"


def cuts_within_limits(moment: Moment) -> Findings:
    """INV-07: each owner bears his share by weight and within the cap, laid on his accounts, from their
    money where no lots of his won, and the claim of each rises by what it gave.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.HAIRCUT:
        due = moment.cuts_due.pop(0) if moment.cuts_due else None
        if due != (effect.account, effect.amount, effect.value, effect.lots) or not 0 < effect.amount <= effect.lots:
            yield f"{effect}: due is {due}"
        if effect.other != moment.cuts_for:
            yield f"{effect}: the first who lacks is {moment.cuts_for}"
        stakes = [stake for stake in stakes_of(mirror, effect.market) if stake.owner == mirror.owner_of(effect.account)]
        bearer = bearer_of(effect.account, stakes)
        receiver = bearer.account if bearer.by_cost else clearing_of(effect.market)
        then = [(row.kind, row.code, row.account, row.other, row.amount) for row in moment.effects[moment.place + 1 : moment.place + 3]]
        pays = (F.POSTING, C.HAIRCUT, receiver, effect.account, effect.amount)
        claim = (F.CLAIM, 0, effect.account, mirror.group(effect.market), effect.amount)
        due_then = [claim] if receiver == effect.account else [pays, claim]
        if then[: len(due_then)] != due_then:
            yield f"{effect}: then {then}"
        won = max(sum(stake.holding.result for stake in stakes), sum(stake.open_gain for stake in stakes))
        if mirror.rules.socialise_policy == SocialisePolicy.GAINS_HAIRCUT and effect.amount > won:
            yield f"{effect}: its owner won {won}"
    if effect.kind == F.CLAIM:
        before = moment.effects[moment.place - 1]
        recovers = (before.kind, before.code, before.account) == (F.POSTING, C.RECOVERY, effect.account)
        change = -before.amount if recovers else effect.amount
        if effect.amount > 0:
            cut = next((row for row in reversed(moment.effects[: moment.place]) if row.kind == F.HAIRCUT), None)
            change = cut.amount if cut is not None and cut.account == effect.account else 0
            if (before.kind, before.code, before.other) == (F.POSTING, C.GAIN_SHARE, effect.account):
                change = before.amount
        held = mirror.accounts[effect.account].claims.get(effect.other, 0)
        if effect.amount != change or effect.value != held + effect.amount or effect.value < 0:
            yield f"{effect}: change {change}, claim before {held}"
        if effect.amount < 0 and not recovers and not _is_set_off(moment):
            yield f"{effect} without RECOVERY or a payment that it is set off against"


def _is_set_off(moment: Moment) -> bool:
    """Say whether the next movement of money is a payment of the group's fund for the owner of the
    claim, and not below what is set off.
    """
    mirror, owner = moment.mirror, moment.mirror.owner_of(moment.effect.account)
    following = next((row for row in moment.effects[moment.place + 1 :] if row.kind == F.POSTING), None)
    if following is None or following.account < 0 or mirror.group_of_fund(following.other) != moment.effect.other:
        return False
    return mirror.owner_of(following.account) == owner and following.amount >= mirror.set_off[owner] - moment.effect.amount


def cuts_leave_maintenance(moment: Moment) -> Findings:
    """INV-07: nobody is cut below its maintenance."""
    effect, mirror = moment.effect, moment.mirror
    payer = effect.account if effect.kind == F.HAIRCUT else NONE
    if (effect.kind, effect.code) == (F.POSTING, C.HAIRCUT):
        payer = effect.other
    if payer >= 0 and mirror.equity(payer) < mirror.maintenance(payer):
        yield f"{effect} leaves account {payer} {mirror.equity(payer)} below {mirror.maintenance(payer)}"


def claims_scan(moment: Moment) -> Findings:
    """INV-07: claims are what was cut or lent less what was paid back, each of them and in all, and while
    they stand recovery comes.
    """
    engine, mirror = moment.state.engine[0], moment.mirror
    state, accounts = moment.state, range(len(mirror.accounts))
    kept = {(account, group): int(state.claims[group, account]) for account in accounts for group in mirror.groups}
    told = {(number, group): claim for number, account in enumerate(mirror.accounts) for group, claim in account.claims.items() if claim}
    if {place: claim for place, claim in kept.items() if claim} != told or min(kept.values(), default=0) < 0:
        yield f"claims {kept}, told {told}"
    sums = [sum(claim for (each, _), claim in kept.items() if each == account) for account in accounts]
    if state.accounts["claim"][: len(sums)].tolist() != sums or int(engine.claims) != sum(sums):
        yield f"claims {kept}: in all {engine.claims}, by account {state.accounts['claim'][: len(sums)]}"
    if [int(fund.claims) for fund in state.funds] != [mirror.claims_on(group) for group in mirror.groups]:
        yield f"claims {kept}: by group {[int(fund.claims) for fund in state.funds]}"
    latest = mirror.now + mirror.rules.fund.recovery_interval_ns
    if any(sums) and not mirror.now < int(engine.recovery_ns) <= latest:
        yield f"claims {kept} at {mirror.now}, recovery at {engine.recovery_ns}"


def lacked_room(moment: Moment) -> bool:
    """Whether the event had no room, at its end, for all flat accounts that it made whole or that still
    lack, so that some may wait for socialise.
    """
    mirror = moment.mirror
    if not mirror.has_socialise:
        return False
    paid = {row.account for row in moment.effects if is_for_those_who_lack(row)}
    stood = {account for account in range(len(mirror.accounts)) if mirror.equity(account) < 0 and not mirror.held_markets(account)}
    rows = sum(len(mirror.positions[account]) for account in stood | paid if account >= 0)
    return 16 * rows > (mirror.rules.limits.effects_max - len(moment.effects)) // 2


def flat_accounts_owe_nothing(moment: Moment) -> Findings:
    """INV-07: an account without lots and with negative equity waits an interval at most, for money
    that is only reserved, or for room once its funds have paid.
    """
    mirror = moment.mirror
    is_crowded = len(moment.effects) > mirror.rules.limits.effects_max // 2
    closed = {row.account for row in moment.effects if row.kind == F.TRADE}
    for account in range(len(mirror.accounts)):
        equity = mirror.equity(account)
        if equity < 0 and not mirror.held_markets(account):
            rules, wait = mirror.rules, int(moment.state.accounts[account].wait_until_ns)
            latest = mirror.crowded_until
            orders = mirror.orders_of(account)
            if any(order.kind == TAKEOVER_OFFER for order in orders):
                yield f"account {account} is flat, yet offered"
            if orders:  # filled, but the venue has not called it done
                answer_ns = max(rules.closeout.order_timeout_ns, rules.disposal.interval_ns * any(o.kind == DISPOSAL_ORDER for o in orders))
                latest = max(latest, mirror.now + answer_ns)
            elif mirror.has_fund:
                latest = max(latest, min(mirror.now + rules.closeout.interval_ns, mirror.deadline(account)))
            if not mirror.now < wait <= latest:
                reserved = mirror.reserved.total()
                yield f"account {account} is flat with equity {equity} at {mirror.now}, waits until {wait}, {reserved} reserved"
            is_reserved = mirror.owner(account).reserved > 0 or any(fund.reserved for fund in mirror.funds)
            if account in closed and mirror.has_fund and not (orders or is_crowded or is_reserved or account in moment.left_parts):
                yield f"account {account} is flat with equity {equity}: what its funds left is not told"
