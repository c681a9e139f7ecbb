"""Providers: nobody is asked for more than it promised, in whatever span of time one looks."""

from __future__ import annotations

from itertools import pairwise

from backstop.core.events import NEVER_NS, NONE, EffectKind, EventKind, Health, Operator, ProviderStatus
from backstop.core.instruments import PPM, VenueRules
from backstop.core.places import commitment_row
from backstop.core.state import State
from backstop.reference.arithmetic import ceil_div, sign
from backstop.reference.offering import Gauge, haste, score_after_failure
from backstop.reference.state import TAKEOVER_OFFER
from tests.properties.moment import Findings, Moment
from tests.properties.order_of_payers import commitment_of, is_able, way_out_of

__all__ = [
    "NS_PER_S",
    "answers_are_joint",
    "asked_within_reason",
    "promises_hold",
    "providers_scan",
    "sold_behind_defaulters",
    "standing_follows",
    "standing_is_told",
    "used_atoms",
]

F = EffectKind
#: What the stages do with lots.
CLOSES = (F.OFFER, F.ADL_PLAN, F.TEAR_UP, F.RESTRICT, F.HEALTH)
NS_PER_S = 1_000_000_000


def used_atoms(rules: VenueRules, state: State, now: int) -> dict[tuple[int, int, int], int]:
    """Return what is used of each commitment by the engine's rows, as of ``now``."""
    found = {}
    for number, provider in enumerate(rules.providers):
        for group, pair in enumerate(provider.commitments):
            for direction, promised in enumerate(pair):
                row = state.commitments[int(commitment_row(number, group, direction))]
                found[number, group, direction] = Gauge(int(row.used), int(row.used_ns)).at(now, promised.refill_per_s).used
    return found


def promises_hold(moment: Moment) -> Findings:
    """Look at every span that ends now: what was taken over and what is offered, against capacity
    and refill.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind not in (F.OFFER, F.TAKEOVER):
        return
    place = (effect.price_ticks, mirror.group(effect.market), 0 if effect.lots < 0 else 1)
    promised = commitment_of(mirror, place[0], effect.market, place[2])
    uses = [use for use in mirror.uses if (use.provider, use.group, use.direction) == place]
    for start in {use.time_ns for use in uses}:
        used = sum(use.notional for use in uses if use.time_ns >= start)
        most = promised.capacity + promised.refill_per_s * (mirror.now - start) // NS_PER_S
        if used > most:
            yield f"{effect}: {used} since {start}, at most {most}"


def asked_within_reason(moment: Moment) -> Findings:
    """Who is asked stands so that it may be, is not the owner of the defaulter, is asked once for a
    position, and its own position stays within its limit.
    """
    effect, mirror = moment.effect, moment.mirror
    asked = effect.kind == F.OFFER or (effect.kind == F.TAKEOVER and effect.other == 0)
    if asked and not is_able(mirror, effect.price_ticks, effect.account):
        yield f"{effect}: provider {mirror.providers[effect.price_ticks]}"
    if effect.kind == F.OFFER and any(order.provider == effect.price_ticks for order in mirror.orders_at(effect.account, effect.market)):
        yield f"{effect}: provider {effect.price_ticks} is asked for this position already"
    if asked:
        backer = mirror.backer(effect.price_ticks, effect.market, -sign(effect.lots))
        after = backer.contract.notional_of(mirror.held_lots(mirror.providers[effect.price_ticks].account, effect.market) - effect.lots)
        most = backer.commitment.position_notional_max
        if after > most:
            yield f"{effect}: position of {after}, at most {most}"


def sold_behind_defaulters(moment: Moment) -> Findings:
    """Of the providers the vault sells, and one that is stopped: what all closing orders and all
    sales together leave of the depth share, its own part of it at most, the minimum notional apart.
    Nobody in default is left to be looked at in the event.
    """
    effect, mirror = moment.effect, moment.mirror
    number = mirror.provider_of(effect.account) if effect.kind == F.ORDER else NONE
    if number == NONE or mirror.health[effect.account] >= Health.DISTRESSED:
        return
    if not mirror.rules.providers[number].is_vault and mirror.providers[number].status != ProviderStatus.STOPPED:
        yield f"{effect}: provider {number} is no vault, and {ProviderStatus(mirror.providers[number].status).name}"
    held, side = abs(mirror.held_lots(effect.account, effect.market)), sign(-effect.lots)
    rules, others = mirror.rules, [order for order in mirror.orders.values() if order.is_open and order.kind != TAKEOVER_OFFER]
    taken = sum(order.remaining for order in others if order.market == effect.market and sign(order.lots) == -side)
    book = way_out_of(moment, effect.account, effect.market).book
    share = book.slice(rules.closeout, rules.breakers.throttle_share_ppm)
    minimum_notional = rules.of_market(effect.market).minimum_notional
    minimum, left = max(1, book.contract.lots_reaching(minimum_notional)), share.whole - taken
    part = max(1, ceil_div(held * rules.disposal.share_ppm, PPM), minimum)
    if part >= held or book.contract.notional_of(held - part) < minimum_notional:
        part = held
    if 0 < left < min(held, minimum) <= share.visible - taken:
        left = min(held, minimum)
    if abs(effect.lots) > min(left, part):
        yield f"{effect}: at most {min(left, part)}: the share is {share.whole}, others have {taken}"
    if any(row.kind in CLOSES for row in moment.effects[moment.place :]):
        yield f"{effect}: sold before defaulters were served"


def standing_follows(moment: Moment) -> Findings:
    """A provider's standing changes as the rules say: by a failure, a status that ended, a loss, or
    an operator.
    """
    effect, mirror, rules = moment.effect, moment.mirror, moment.mirror.rules.takeover
    if effect.kind != F.PROVIDER:
        return
    backer, now = mirror.providers[effect.other], mirror.now
    told = (effect.account, effect.lots, effect.amount, effect.code, effect.value)
    if backer.account == NONE:
        if told != (moment.event.account, 0, PPM, ProviderStatus.ON, NEVER_NS):
            yield f"{effect} of a provider just bound"
        return
    score, failures, possible = backer.score, backer.failures, set()
    for breaker in moment.state.breakers[:-1]:
        # Of a market that has a mark.
        if max(breaker.high_ticks):
            haste_ppm = haste(int(min(breaker.low_ticks)), int(max(breaker.high_ticks)), rules.offer_range_ppm)
            fallen = score_after_failure(score, haste_ppm)
            failed = (backer.account, failures + 1, fallen)
            if backer.status != ProviderStatus.ON:
                possible.add((backer.account, failures, fallen, backer.status, backer.until))
            elif failures + 1 >= rules.failures_max:
                possible.add((*failed, int(ProviderStatus.OFF), now + rules.off_ns))
            else:
                possible.add((*failed, int(ProviderStatus.COOLING), now + rules.retry_ns * haste_ppm // PPM))
    possible |= {(backer.account, kept, score, int(ProviderStatus.ON), NEVER_NS) for kept in (0, failures)}
    possible |= {(backer.account, failures, score, int(status), NEVER_NS) for status in (ProviderStatus.OFF, ProviderStatus.STOPPED)}
    if told not in possible:
        yield f"{effect} of {backer}"


def answers_are_joint(moment: Moment) -> Findings:
    """An answer is one for all that is open of a joint offer: nothing of it is left, and its provider
    failed once at most.
    """
    event, mirror = moment.event, moment.mirror
    named = mirror.orders.get(event.other) if event.kind == EventKind.ANSWER else None
    if named is None or named.joint == 0 or not mirror.remembers(named.id):
        return
    left = mirror.joint_offer(named.joint)
    if left:
        yield f"{event}: of the joint offer {named.joint} {len(left)} are open still"
    # Another silence may end with the same event.
    told = [row for row in moment.effects if row.kind == F.PROVIDER and row.other == named.provider]
    cancelled = {mirror.orders[row.other].joint for row in moment.effects if row.kind == F.CANCEL and row.other in mirror.orders}
    falls = sum(after.amount < before.amount for before, after in pairwise(told))
    if falls and falls > len(cancelled - {0}):
        yield f"{event}: {told} for {len(cancelled)} joint offers"


def standing_is_told(moment: Moment) -> Findings:
    """What binds a provider or switches it says so, also where nothing changes by it."""
    event = moment.event
    switches = event.kind == EventKind.OPERATOR and event.code in (Operator.PROVIDER_OFF, Operator.PROVIDER_ON)
    told = any(effect.kind == F.PROVIDER and effect.other == event.other for effect in moment.effects)
    if (switches or event.kind == EventKind.PROVIDER) and not told:
        yield f"{event} without a PROVIDER effect"


def providers_scan(moment: Moment) -> Findings:
    """What each provider has pending is that of its open offers; its gauges stay within the
    capacity.
    """
    mirror = moment.mirror
    for number, rules in enumerate(mirror.caps.providers):
        row, offers = (
            moment.state.providers[number],
            [order for order in mirror.orders.values() if order.is_open and order.provider == number],
        )
        told = (sum(order.notional for order in offers), sum(order.pending_initial for order in offers), mirror.providers[number].baseline)
        kept = (int(row.pending_notional), int(row.pending_initial), int(row.baseline))
        if told != kept or any(order.kind != TAKEOVER_OFFER for order in offers):
            yield f"provider {number}: pending and baseline {kept}, told {told}"
        backer = mirror.providers[number]
        standing = [int(row[name]) for name in ("account", "status", "until_ns", "failures", "score_ppm")]
        if standing != [backer.account, backer.status, backer.until, backer.failures, backer.score]:
            yield f"provider {number}: told {mirror.providers[number]}"
        for group, pair in enumerate(rules.commitments):
            for direction, promised in enumerate(pair):
                used = int(moment.state.commitments[int(commitment_row(number, group, direction))].used)
                if not 0 <= used <= promised.capacity:
                    yield f"provider {number}: {used} used of {promised.capacity}"
