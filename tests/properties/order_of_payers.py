"""INV-06 and INV-11: deleveraging is as planned, and solvent accounts pay last."""

from __future__ import annotations

from backstop.core.events import NONE, AdlClass, AdlPolicy, BreakerState, Cause, EffectKind, Health, ProviderStatus, Stage
from backstop.core.instruments import PPM, CommitmentRules
from backstop.core.waterfall.certificate import check_certificate
from backstop.reference.arithmetic import ceil_div, sign
from backstop.reference.records import Effect
from backstop.reference.state import TAKEOVER_OFFER
from backstop.reference.wave import rank_score, scramble
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment

__all__ = [
    "adl_is_as_planned",
    "closeout_came_first",
    "counterparties_keep_maintenance",
    "only_owners_pay_for_each_other",
    "owners_pay_before_others",
    "restricted_first",
    "takeover_came_first",
    "trades_were_planned",
]

F, C = EffectKind, Cause


# -- INV-06: ADL -----------------------------------------------------------------------------------


def adl_is_as_planned(moment: Moment) -> Findings:
    """INV-06: the certificate holds; lots, cash, classes, weights and caps are those of a full scan."""
    plan, mirror = moment.effect, moment.mirror
    if plan.kind != F.ADL_PLAN:
        return
    contract = mirror.rules.markets[plan.market].contract
    yield from (str(finding) for finding in check_certificate(moment.rows, moment.place, contract))
    equity, held, lots = mirror.equity(plan.account), mirror.lots(plan.account, plan.market), abs(plan.lots)
    if plan.code != mirror.rules.adl_policy:
        yield f"{plan}: the policy is {mirror.rules.adl_policy}"
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
    moment.planned.update(trades[: plan.other + 1])
    last = trades[plan.other]
    has_posting = moment.effects[last].value != 0
    moment.due.setdefault(last + has_posting, []).extend(fill.account for fill in fills if fill.account >= 0)


def trades_were_planned(moment: Moment) -> Findings:
    """INV-06: no lots move by ADL, tear-up or takeover but those that the wave, the tear-up or the takeover told."""
    effect = moment.effect
    if effect.kind == F.TAKEOVER:
        moment.planned.update([place for place in range(moment.place, len(moment.effects)) if moment.effects[place].kind == F.TRADE][:2])
    if effect.kind == F.TRADE and effect.code in (C.ADL, C.TEAR_UP, C.TAKEOVER) and moment.place not in moment.planned:
        yield f"{effect} by no plan"


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
            found[holder] = (*_class_of(mirror, plan.account, holder, plan.market, plan.seq), cap)
    return found


def _class_of(mirror: Mirror, defaulter: int, holder: int, market: int, seq: int) -> tuple[AdlClass, int]:
    """Return class and weight of a counterparty, the weight by the venue's policy."""
    lots = mirror.lots(holder, market)
    if holder < 0:
        return AdlClass.HOUSE, abs(lots)
    owner, profit = mirror.owners[holder], mirror.profit(holder, market)
    linked = [mirror.lots(other, market) for other, who in enumerate(mirror.owners) if who == owner and other != holder]
    if owner == mirror.owners[defaulter]:
        adl_class = AdlClass.LINKED
    elif sum(abs(held) for held in linked if held * lots < 0) >= abs(lots):
        adl_class = AdlClass.HEDGE
    else:
        adl_class = AdlClass.PROFITABLE if profit > 0 else AdlClass.REST
    return adl_class, _weight(mirror, holder, market, seq, adl_class)


def _weight(mirror: Mirror, holder: int, market: int, seq: int, adl_class: AdlClass) -> int:
    policy, lots, profit = mirror.rules.adl_policy, abs(mirror.lots(holder, market)), mirror.profit(holder, market)
    leverage = _leverage(mirror.notional(holder, market), mirror.equity(holder))
    if policy == AdlPolicy.CAPPED_PRO_RATA and adl_class == AdlClass.PROFITABLE:
        return profit
    if policy == AdlPolicy.RANDOM:
        return scramble(seq, market, holder)
    if policy == AdlPolicy.RISK_AWARE:
        return max(1, lots * leverage // PPM)
    if policy == AdlPolicy.QUEUE:
        return rank_score(profit, mirror.holding(holder, market).cost, leverage)
    return lots


def _leverage(notional: int, equity: int) -> int:
    """Notional over equity in ppm, at most a million times; no equity counts as the most."""
    return min(PPM * PPM, notional * PPM // equity) if equity > 0 and notional // PPM < equity else PPM * PPM


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


def restricted_first(moment: Moment) -> Findings:
    """INV-11: where the venue restricts first, no stage acts on an account that was not restricted."""
    effect, mirror = moment.effect, moment.mirror
    acts = effect.kind in (F.ORDER, F.OFFER, F.ADL_PLAN, F.TEAR_UP) or (effect.kind == F.TAKEOVER and effect.other == 0)
    in_default = acts and mirror.health[effect.account] >= Health.DISTRESSED
    if in_default and mirror.rules.stages[0] == Stage.RESTRICT and effect.account not in mirror.restricted:
        yield f"{effect} before RESTRICT"


def takeover_came_first(moment: Moment) -> Findings:
    """INV-11: lots go to counterparties only when no provider could take a single one of them over, the vault last.

    Or its time is over, twice that of closeout.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.TAKEOVER and effect.other == 0:
        moment.relieved.add(effect.account)
    if effect.kind not in (F.ADL_PLAN, F.TEAR_UP):
        return
    account, stages = effect.account, mirror.rules.stages
    stage = Stage.ADL if effect.kind == F.ADL_PLAN else Stage.TEAR_UP
    if account in moment.past_takeover or Stage.TAKEOVER not in stages[: stages.index(stage)]:
        return
    moment.past_takeover.add(account)
    for market in mirror.markets_of(account):
        takers = [number for number in range(len(mirror.backers)) if can_take(moment, number, account, market)]
        for is_vault in (False, True):
            asked = [number for number in takers if mirror.rules.providers[number].is_vault == is_vault]
            if is_vault and account in moment.relieved:
                continue  # it took what it could, and its gain from that may carry a lot more
            if not is_vault and mirror.now >= mirror.deadline(account) + mirror.rules.closeout.deadline_ns:
                continue
            if asked and _supports_one(mirror, account, market, asked):
                yield f"{effect}: {asked} could take over in market {market}"


def _supports_one(mirror: Mirror, account: int, market: int, takers: list[int]) -> bool:
    """Say whether the fund could support the takeover of one lot, where the account is insolvent."""
    if mirror.equity(account) >= 0:
        return True
    direction = 0 if mirror.lots(account, market) > 0 else 1
    edge_ppm = max(commitment_of(mirror, number, market, direction).edge_ppm for number in takers)
    unit = mirror.unit(market)
    gap = mirror.zero_cash(account, market, 1) - (mirror.mark_value(account, market, 1) - unit * edge_ppm // PPM)
    budget = mirror.available(mirror.group(market), account) if _fund_supports(mirror) else 0
    return (gap + len(takers) if gap > 0 else 0) <= budget


def _fund_supports(mirror: Mirror) -> bool:
    stages = mirror.rules.stages
    return Stage.FUND in stages and Stage.ADL not in stages[: stages.index(Stage.FUND)]


def commitment_of(mirror: Mirror, number: int, market: int, direction: int) -> CommitmentRules:
    """Return what a provider promised for a market's group; direction 0 takes over longs."""
    return mirror.rules.providers[number].commitments[mirror.group(market)][direction]


def can_take(moment: Moment, number: int, defaulter: int, market: int) -> bool:
    """Say whether a provider stands so that it could take one lot of a position over, beside what it was offered."""
    mirror, rules, account = moment.mirror, moment.mirror.rules.providers[number], moment.mirror.backers[number].account
    side = sign(mirror.lots(defaulter, market))
    held = mirror.promised_lots(number, market, -side)
    if not is_able(mirror, number, defaulter) or abs(held + side) > mirror.rules.markets[market].position_lots_max:
        return False
    if (account, market) not in mirror.held and sum(holder >= 0 for holder, _ in mirror.held) >= mirror.rules.limits.positions_max:
        return False
    direction, unit, equity = (0 if side > 0 else 1), mirror.unit(market), mirror.equity(account)
    promised = commitment_of(mirror, number, market, direction)
    offers = [order for order in mirror.orders.values() if order.is_open and order.provider == number]
    pending_initial, pending = sum(order.pending_initial for order in offers), sum(order.notional for order in offers)
    notionals = pending + sum(mirror.notional(account, other) for other in mirror.markets_of(account))
    for lots in (0, 1):  # what it cannot carry with nothing more it is not asked for
        after = abs(held + side * lots)
        rise = mirror.initial_rise(number, market, -side * lots)
        sound = lots * unit <= promised.capacity - moment.used[number, mirror.group(market), direction]
        sound &= after * unit <= promised.position_notional_max
        sound &= equity >= mirror.initial_margin(account) + rise + pending_initial
        sound &= PPM * (notionals + (after - abs(held)) * unit) <= rules.leverage_ppm * equity
        if not sound:
            return False
    return True


def is_able(mirror: Mirror, number: int, defaulter: int) -> bool:
    """Say whether a provider may be asked, its status brought up to date."""
    backer, loss_stop = mirror.backers[number], mirror.rules.providers[number].loss_stop
    if backer.account == NONE or mirror.owners[backer.account] == mirror.owners[defaulter]:
        return False
    status, loss = backer.status, backer.baseline - mirror.equity(backer.account)
    if status in (ProviderStatus.OFF, ProviderStatus.COOLING) and backer.until <= mirror.now:
        status = ProviderStatus.ON
    if status in (ProviderStatus.ON, ProviderStatus.COOLING) and loss >= loss_stop:
        status = ProviderStatus.STOPPED
    if status == ProviderStatus.STOPPED and loss <= loss_stop // 2:
        status = ProviderStatus.ON
    return status == ProviderStatus.ON and mirror.health[backer.account] < Health.DISTRESSED


def only_owners_pay_for_each_other(moment: Moment) -> Findings:
    """INV-11: money goes from one account to another only between those of one owner, for its deficit, and makes no other."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.POSTING or effect.account < 0 or effect.other < 0:
        return
    deficit, has = -mirror.equity(effect.account), mirror.equity(effect.other)
    if effect.code != C.NETTING or mirror.owners[effect.account] != mirror.owners[effect.other]:
        yield f"{effect} between owners {mirror.owners[effect.account]} and {mirror.owners[effect.other]}"
    if effect.amount > min(deficit, has):
        yield f"{effect}: deficit {deficit}, the linked account has {has}"


def owners_pay_before_others(moment: Moment) -> Findings:
    """INV-11: while an owner's other accounts have equity, nobody else pays for its insolvent account."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.HAIRCUT or (
        effect.kind == F.POSTING and effect.code in (C.DEFICIT, C.TEAR_UP) and mirror.group_of_fund(effect.other) is not None
    ):
        defaulter = effect.other if effect.kind == F.HAIRCUT else effect.account
    elif effect.kind == F.ADL_PLAN and effect.value < 0:
        defaulter = effect.account
    else:
        return
    if defaulter in moment.owner_was_asked:
        return
    moment.owner_was_asked.add(defaulter)
    rich = [number for number, owner in enumerate(mirror.owners) if owner == mirror.owners[defaulter] and number != defaulter]
    rich = [number for number in rich if mirror.equity(number) > 0]
    if rich and mirror.equity(defaulter) < 0:
        yield f"{effect}: {rich} of the same owner have equity"


def _capacity(moment: Moment, account: int, market: int) -> str:
    """Say what closeout could do with a position now, or later when others are done; nothing where it has capacity 0."""
    mirror, rules = moment.mirror, moment.mirror.rules
    state = mirror.effective(market)
    if state == BreakerState.HALTED:
        return "the market is halted"
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
    if state in (BreakerState.THROTTLED, BreakerState.REOPENING):
        base = max(1, base * rules.breakers.throttle_share_ppm // PPM)
    on_book = [order for order in mirror.orders.values() if order.is_open and order.market == market and order.kind != TAKEOVER_OFFER]
    pending = sum(order.remaining for order in on_book if order.lots * held < 0)
    left = min(
        rules.closeout.account_notional_max - mirror.ordered[mirror.interval, "account", account],
        rules.markets[market].ordered_notional_max - mirror.ordered[mirror.interval, "market", market],
        rules.closeout.venue_notional_max - mirror.ordered[mirror.interval, "venue", NONE],
    )
    if min(base - pending, left // mirror.unit(market)) <= 0 or mirror.equity(account) >= 0:
        return f"base {base}, pending {pending}, notional left {left}"
    group = mirror.group(market)
    worst = _worst_of_one(moment, account, market)
    budget = mirror.available(group, account) + mirror.reserved_of(group) if _fund_supports(mirror) else 0
    return f"one lot needs {worst}, the fund has {budget}" if worst <= budget else ""


def _worst_of_one(moment: Moment, account: int, market: int) -> int:
    mirror = moment.mirror
    rules, mark, breaker = mirror.rules.markets[market], mirror.marks[market], moment.state.breakers[market]
    tolerance, halt = rules.slippage_tolerance_ppm, rules.price_halt_ppm
    if is_long := mirror.lots(account, market) > 0:
        limit, band = ceil_div(mark * (PPM - tolerance), PPM), ceil_div(int(max(breaker.high_ticks)) * (PPM - halt), PPM)
        limit = max(limit, band) if halt and band <= mark else limit
    else:
        limit, band = mark * (PPM + tolerance) // PPM, int(min(breaker.low_ticks)) * (PPM + halt) // PPM
        limit = min(limit, band) if halt and band >= mark else limit
    limit = max(1, min(limit, rules.price_ticks_max))
    return max(0, mirror.zero_cash(account, market, 1) - (limit if is_long else -limit) * rules.notional_factor)
