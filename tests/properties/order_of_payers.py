"""INV-06 and INV-11: deleveraging is as planned, and solvent accounts pay last."""

from __future__ import annotations

from collections import Counter

from backstop.core.events import (
    NONE,
    AdlClass,
    AdlPolicy,
    Cause,
    EffectKind,
    EventKind,
    Health,
    ProviderStatus,
    Stage,
    SupportLimit,
    Transfer,
)
from backstop.core.instruments import CommitmentRules
from backstop.core.waterfall.certificate import PLAN_HEADS, check_certificate, is_crossing, is_plan_start
from backstop.reference.adl import asked_owners, counterparty_of, drawn_for, open_to_force, share_lots
from backstop.reference.allocation import DRAW
from backstop.reference.arithmetic import ceil_div, sign
from backstop.reference.charge import Exit
from backstop.reference.closeout import closing_of
from backstop.reference.closing import Closing, OrderStop
from backstop.reference.doubt import may_close, may_force
from backstop.reference.funds import Support
from backstop.reference.offering import Backer, LossStop, changes_due, refusal_to_ask
from backstop.reference.records import Effect
from backstop.reference.wave import (
    Candidate,
    Defaulter,
    Placed,
    Wave,
    candidates_of,
    laid,
    least_asked,
    line_in_class,
    lots_to_close,
    place_in_class,
    support_parts,
)
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment

__all__ = [
    "adl_is_as_planned",
    "closeout_came_first",
    "counterparties_keep_maintenance",
    "defaulters_of_rows",
    "fund_pays_before_others",
    "is_last_resort",
    "is_tear_up_start",
    "others_acted",
    "only_owners_pay_for_each_other",
    "owners_pay_before_others",
    "restricted_first",
    "takeover_came_first",
    "trades_were_planned",
]

F, C = EffectKind, Cause
NOTHING = Support(0, 0, 0, SupportLimit.COVERED)


# -- INV-06: ADL -----------------------------------------------------------------------------------


def adl_is_as_planned(moment: Moment) -> Findings:
    """INV-06: the certificate holds; who closes how much, cash, classes, weights and caps are those of
    a full scan.
    """
    if moment.effect.kind != F.ADL_PLAN or not is_plan_start(moment.rows, moment.place):
        return
    plan, mirror = moment.effect, moment.mirror
    market = mirror.rules.markets[plan.market]
    yield from (str(finding) for finding in check_certificate(moment.rows, moment.place, market.contract, market.settlement_asset))
    rows = _rows_of_plan(moment)
    plans = [row for row in rows if row.kind == F.ADL_PLAN]
    wave = Wave(plan.market, defaulters_of_rows(moment, plans, [row for row in rows if row.kind == F.ADL_SCALE]), ())
    crossed = is_crossing(moment.rows, moment.place)
    lots, wanted = sum(abs(row.lots) for row in plans), wave.wanted
    placed = wave.placed(lots)
    supports = [NOTHING if crossed else each.support for each in placed.values()]
    for row in plans:
        yield from _part_is_right(moment, row, placed[row.account], crossed=crossed)
    closing = {account for account, each in placed.items() if each.lots}
    if {row.account for row in plans} != closing:
        yield f"{plan}: {sorted(closing)} should close lots of {wanted}"
    for row in rows:
        if row.kind == F.ADL_SCALE and row.lots != wanted[row.account]:
            yield f"{row}: {wanted[row.account]} should leave"
    if not any(row.kind == F.ADL_SCALE for row in rows) and lots != sum(wanted.values()):
        yield f"{plan}: {lots} of {wanted} leave, which is not told"
    # Of one that closes none of its lots nothing else is told, but that it is torn up later.
    # Who was in a plan of the event before goes on to the stages behind it.
    before = [row for row in moment.effects[: moment.place] if row.market == plan.market]
    told = {row.account for row in (*before, *rows) if row.kind in (F.ADL_PLAN, F.ADL_SCALE)}
    later = [row for row in moment.effects[moment.place :] if row.kind == F.TEAR_UP and row.market == plan.market]
    left_out = [row.account for row in later if row.lots * plan.lots > 0 and row.account not in told and mirror.equity(row.account) < 0]
    if any(row.kind == F.ADL_SCALE for row in rows) and left_out:
        yield f"{plan}: {left_out} should leave, too, which is not told"
    if crossed:
        yield from _crossing_is_right(moment, rows, lots)
    else:
        yield from _fills_are_right(moment, rows, sum(each.beyond for each in supports) + wave.slack)
    trades = [place for place, row in enumerate(moment.effects) if place > moment.place and (row.kind, row.code) == (F.TRADE, C.ADL)]
    fills = [row for row in rows if row.kind == F.ADL_FILL]
    moment.planned.update(trades[: len(plans) + len(fills)])
    if not crossed:
        last = trades[len(plans) + len(fills) - 1]
        has_posting = moment.effects[last].value != 0
        moment.due.setdefault(last + has_posting, []).extend(fill.account for fill in fills if fill.account >= 0)


def defaulters_of_rows(moment: Moment, plans: list[Effect], scales: list[Effect]) -> tuple[Defaulter, ...]:
    """Return those of a plan, as the books have them."""
    mirror, found = moment.mirror, []
    for account in sorted({row.account for row in (*plans, *scales)}):
        market = plans[0].market
        view = mirror.fund_view(mirror.group(market), account, market)
        ways = way_out_of(moment, account, market), ways_later(moment, account, market)
        found.append(Defaulter(account, mirror.owner_of(account), mirror.portfolio(account), view, *ways))
    return tuple(found)


def _part_is_right(moment: Moment, row: Effect, right: Placed, *, crossed: bool) -> Findings:
    """Check what one defaulter closes, for which cash."""
    mirror = moment.mirror
    held, equity = mirror.held_lots(row.account, row.market), mirror.equity(row.account)
    beyond = 0 if crossed else right.support.beyond
    cash = mirror.holding(row.account, row.market).value_of(right.lots) + beyond
    if row.code != mirror.rules.adl_policy:
        yield f"{row}: the policy is {mirror.rules.adl_policy}"
    if row.value != equity or row.price_ticks != mirror.marks[row.market]:
        yield f"{row}: equity {equity}, mark {mirror.marks[row.market]}"
    if mirror.health[row.account] < Health.DISTRESSED:
        yield f"{row}: is in no default"
    if row.amount != cash or row.lots * held >= 0 or abs(row.lots) != right.lots:
        yield f"{row}: position {held}, {right.lots} lots should leave for {cash}"
    place = moment.effects.index(row, moment.place)
    told = moment.effects[place + 1]
    support = NOTHING if crossed else right.support
    said = (F.SUPPORT, support.limit, row.market, row.account, C.SUPPORT, support.available, 0, support.amount, support.gap)
    if (tuple(told)[1:] if told.kind == F.SUPPORT else None) != (said if support.gap else None):
        yield f"{row}: SUPPORT should be {support}, is {told}"


def _crossing_is_right(moment: Moment, rows: list[Effect], lots: int) -> Findings:
    """Check the other side of a crossing: everyone of it in default, each of what should leave."""
    mirror = moment.mirror
    fills = [row for row in rows if row.kind == F.ADL_FILL]
    for fill in fills:
        ways = way_out_of(moment, fill.account, fill.market), ways_later(moment, fill.account, fill.market)
        wanted = lots_to_close(mirror.portfolio(fill.account), fill.market, *ways)
        if (fill.value, fill.price_ticks) != (wanted, wanted) or mirror.health[fill.account] < Health.DISTRESSED:
            yield f"{fill}: {wanted} should leave, health {mirror.health[fill.account]}"
    if any(row.kind == F.ADL_SCALE for row in rows) and any(row.price_ticks != row.other for row in rows if row.kind == F.ADL_CLASS):
        yield f"{lots} lots are crossed, though both sides have more"


def _fills_are_right(moment: Moment, rows: list[Effect], beyond: int) -> Findings:
    """Check the counterparties: classes, weights and caps of a full scan, and on which of an owner's
    accounts his part is laid.
    """
    plan = next(row for row in rows if row.kind == F.ADL_PLAN)
    owners = {moment.mirror.owner_of(row.account) for row in rows if row.kind in (F.ADL_PLAN, F.ADL_SCALE)}
    counted = {AdlClass(row.code): row.other for row in rows if row.kind == F.ADL_CLASS}
    fills = [row for row in rows if row.kind == F.ADL_FILL]
    given = sum(abs(fill.lots) for fill in fills if fill.account >= 0)
    caps, candidates = _eligible(moment, plan, beyond, given, owners.pop() if len(owners) == 1 else None)
    for adl_class, count in counted.items():
        able = sum(each.adl_class == adl_class for each in candidates)
        if count > able:
            yield f"{plan}: {count} candidates of {adl_class.name}, at most {able} can give"
    told: list[tuple[Candidate, int]] = []
    gives: Counter[tuple[int, int]] = Counter()
    for fill in fills:
        gives[fill.account, fill.code] += abs(fill.lots)
        if fill.account not in caps or fill.price_ticks > _true_cap(moment.mirror, fill.account, plan.market, beyond, given):
            yield f"{fill} cannot give so much"
    for each in candidates:
        members = [each.first] if each.asked is None else [one.holder for one in each.asked.counterparties]
        told.append((each, sum(gives[holder, each.adl_class] for holder in members)))
    right = {(fill.holder, fill.candidate.adl_class): fill for fill in laid(sorted(told, key=lambda pair: pair[0].adl_class), caps)}
    for fill in fills:
        found = right.get((fill.account, AdlClass(fill.code)))
        if found is None or (found.lots, found.candidate.weight) != (abs(fill.lots), fill.value) or fill.price_ticks != found.cap:
            yield f"{fill}: should be {found}"
    yield from _owners_are_right(rows, candidates)
    if plan.code == AdlPolicy.WATER_FILLING:
        yield from _levels_are_right(moment, rows, told)
        return
    yield from _lines_are_right(moment, rows, dict(told))


def _levels_are_right(moment: Moment, rows: list[Effect], told: list[tuple[Candidate, int]]) -> Findings:
    """Check that each lot came from whoever then had the highest leverage, of all candidates; then note
    what was given.
    """
    plan, lots = rows[0], sum(abs(row.lots) for row in rows if row.kind == F.ADL_FILL)
    etas = {AdlClass(row.code): (row.amount, row.value) for row in rows if row.kind == F.ADL_CLASS}
    seed = plan.seq, plan.market, plan.account
    expected = {part.adl_class: part for part in share_lots(plan.code, [each for each, _ in told], lots, 0, seed)}
    for each, given in told:
        part = expected.get(each.adl_class)
        if given != (part.lots[each.first] if part else 0):
            yield f"{plan}: {each} gives {given} in {etas}"
    for adl_class, eta in etas.items():
        if eta != expected[adl_class].eta:
            yield f"{plan}: the level of {adl_class.name} is {eta}, must be {expected[adl_class].eta}"
    side = sign(next(row.lots for row in rows if row.kind == F.ADL_FILL))
    for each, given in told:
        if each.standing and given:
            moment.mirror.note_given(each.first, plan.market, side * given)


def _lines_are_right(moment: Moment, rows: list[Effect], told: dict[Candidate, int]) -> Findings:
    """Check that nobody gives less than the least who could give more, but for the last of a line; and
    that the line is that of a full scan: who stands on it, where, and who is drawn.
    """
    mirror, plan = moment.mirror, rows[0]
    lots = sum(abs(row.lots) for row in rows if row.kind == F.ADL_PLAN)
    least = least_asked(mirror.rules.adl, mirror.rules.of_market(plan.market), mirror.contract(plan.market), lots)
    for head in [row for row in rows if row.kind == F.ADL_CLASS]:
        members = {each.first: each for each in told if each.adl_class == head.code}
        weights, caps = ({first: each.weight for first, each in members.items()}, {first: each.cap for first, each in members.items()})
        policy, adl_class = mirror.rules.adl_policy, AdlClass(head.code)
        parts, _ = place_in_class(policy, adl_class, head.lots, weights, caps)
        line = line_in_class(policy, adl_class, least, parts, caps)
        found = [row for row in rows if row.kind in (F.ADL_LINE, F.ADL_PICK) and row.code == head.code]
        if line is None:
            if found:
                yield f"{found}: nobody in {adl_class.name} is below the least {least}"
            continue
        point = drawn_for((plan.seq, plan.market, plan.account), adl_class) % min(DRAW, line.length)
        given = line.given(point)
        right = [(F.ADL_LINE, plan.account, len(line.parts), line.lots, least, point, line.length)]
        right += [(F.ADL_PICK, each, plan.account, line.parts[each], 0, line.spans[each].start, 0) for each, part in given.items() if part]
        if [(row.kind, row.account, row.other, row.lots, row.price_ticks, row.amount, row.value) for row in found] != right:
            yield f"{found}: should be {right}"
        wrong = {first: told[each] for first, each in members.items() if told[each] != (parts | given)[first]}
        if wrong:
            yield f"{plan}: {wrong} give, should be {parts | given}"


def _owners_are_right(rows: list[Effect], candidates: list[Candidate]) -> Findings:
    """Check who is told as an owner of several accounts, with which weight and cap."""
    spread = {(each.first, each.adl_class): each for each in candidates if each.is_spread or each.standing}
    told = [row for row in rows if row.kind == F.ADL_OWNER]
    of_spread = {one.holder for each in spread.values() if each.asked for one in each.asked.counterparties}
    for row in told:
        found = spread.get((row.account, AdlClass(row.code)))
        standing = found.standing if found else None
        weight = (standing.exposure, standing.equity) if standing else (found.weight if found else 0, 0)
        if found is None or (row.value, row.amount, row.price_ticks) != (*weight, found.cap):
            yield f"{row}: should be {found}"
    alone, left = [], 0
    for row in rows:
        if row.kind == F.ADL_OWNER:
            left = row.other
        elif row.kind == F.ADL_FILL:
            alone += [] if left > 0 else [row.account]
            left -= 1
    if of_spread.intersection(alone):
        yield f"{sorted(of_spread.intersection(alone))} give alone, their owners have several accounts there"


def trades_were_planned(moment: Moment) -> Findings:
    """INV-06: no lots move by ADL, tear-up or takeover but those that the wave, the tear-up or the
    takeover told.
    """
    effect = moment.effect
    if effect.kind == F.TAKEOVER:
        moment.planned.update([place for place in range(moment.place, len(moment.effects)) if moment.effects[place].kind == F.TRADE][:2])
    if effect.kind == F.TRADE and effect.code in (C.ADL, C.TEAR_UP, C.TAKEOVER) and moment.place not in moment.planned:
        yield f"{effect} by no plan"


def _rows_of_plan(moment: Moment) -> list[Effect]:
    found = []
    for row in moment.effects[moment.place :]:
        if row.kind not in PLAN_HEADS:
            break
        found.append(row)
    return found


def _eligible(moment: Moment, plan: Effect, beyond: int, given: int, linked: int | None) -> tuple[dict[int, int], list[Candidate]]:
    """Return the cap of everyone who could give lots, and the candidates."""
    mirror, side = moment.mirror, sign(mirror_lots := moment.mirror.held_lots(plan.account, plan.market))
    assert mirror_lots
    holders = [each for each in mirror.holders(plan.market, -side) if each < 0 or mirror.health[each] < Health.DISTRESSED]
    able = [counterparty_of(mirror, holder, plan.market) for holder in holders]
    caps = {each.holder: each.cap(given, beyond) for each in able}
    house = [each for each in able if each.portfolio is None]
    asked = asked_owners(mirror, plan.market, side)
    return caps, candidates_of(asked, house, caps, mirror.rules.adl_policy, plan.seq, linked)


def _true_cap(mirror: Mirror, holder: int, market: int, beyond: int, total: int) -> int:
    """Return the largest number of lots so that every number up to it keeps maintenance, cash
    rounded up.
    """
    held = abs(mirror.held_lots(holder, market))
    if holder < 0 or beyond == 0:
        return held
    holding, (equity, maintenance, *_) = mirror.holding(holder, market), mirror.portfolio(holder).standing
    for lots in range(held + 1):
        if equity - ceil_div(lots * beyond, total) < maintenance - holding.released(lots):
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
    """INV-11: lots go to counterparties only when closeout had capacity 0, or its deadline has
    passed.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.HEALTH and effect.code < Health.DISTRESSED:
        moment.beyond_closeout.discard(effect.account)
    if not is_last_resort(effect):
        return
    account, stages = effect.account, mirror.rules.stages
    if mirror.orders_of(account):
        yield f"{effect}: supported orders are still open"
    is_first = account not in moment.beyond_closeout
    moment.beyond_closeout.add(account)
    stage = Stage.TEAR_UP if effect.kind == F.TEAR_UP else Stage.ADL
    if not is_first or Stage.CLOSEOUT not in stages[: stages.index(stage)] or mirror.now >= mirror.deadline(account):
        return
    if mirror.health[account] == Health.DISTRESSED:
        yield f"{effect}: DISTRESSED, and its deadline {mirror.deadline(account)} is not over at {mirror.now}"
    if others_acted(moment, account):
        return
    for market in [each for each in mirror.held_markets(account) if may_close(mirror, account, each)]:
        reason = _capacity(moment, account, market)
        if reason:
            yield f"{effect}: closeout could still act in market {market}: {reason}"


def is_last_resort(effect: Effect) -> bool:
    """Return whether ADL or tear-up closes lots of a defaulter here; of a crossing the shorts stand
    among its fills.
    """
    return effect.kind in (F.ADL_PLAN, F.TEAR_UP) or (effect.kind == F.ADL_FILL and effect.code == AdlClass.CROSSED)


def others_acted(moment: Moment, account: int) -> bool:
    """Return whether others acted before in this event: joint turns take all who stand at them together,
    so an account was passed over before them, and what it saw is not told.
    """
    acts = (F.ORDER, F.OFFER, F.CANCEL, F.RESERVE, F.TAKEOVER, F.ADL_PLAN, F.TEAR_UP)
    before = moment.effects[: moment.place]
    return any(row.kind in acts and row.account != account for row in before)


def fund_pays_before_others(moment: Moment) -> Findings:
    """INV-11: nobody bears what the fund can pay, or before the deadline what it only reserves money
    for; the limit that is told is the one that keeps it back.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.SUPPORT:
        return
    group = mirror.group(effect.market) if effect.market != NONE else mirror.first_group(effect.account)
    fund = mirror.fund_view(group, effect.account, effect.market)
    right = fund.support(effect.value, is_asked=mirror.fund_supports if effect.other == C.SUPPORT else mirror.has_fund)
    if (effect.other == C.SUPPORT and mirror.fund_supports) or (effect.other == C.TEAR_UP and mirror.has_fund):
        right = _part_of_gap(moment)
    if (effect.amount, effect.lots, effect.code) != (right.amount, right.available, right.limit):
        yield f"{effect}: should be {right}"
    if right.limit in (SupportLimit.COVERED, SupportLimit.STAGE):
        return
    by_owner = fund.owner_loss_max - fund.owner_paid - fund.arrears_of_all
    by_market = fund.market_loss_max - fund.market_paid - fund.arrears
    free = max(0, min(fund.balance - fund.uncovered, fund.loss_max - fund.paid, by_owner, by_market))
    if mirror.now < mirror.deadline(effect.account) and free > fund.available:
        yield f"{effect}: others bear {right.beyond}, the fund only reserves {free - fund.available} until the deadline"


def _part_of_gap(moment: Moment) -> Support:
    """Return what the fund adds to the gap of an account in an ADL plan or a tear-up, beside the others
    of it.
    """
    first = moment.place
    while not (is_plan_start(moment.rows, first) or is_tear_up_start(moment, first)):
        first -= 1
    told, plans = list[Effect](), list[Effect]()
    for row in moment.effects[first:]:
        if row.kind not in (F.ADL_PLAN, F.TEAR_UP, F.SUPPORT):
            break
        (told if row.kind == F.SUPPORT else plans).append(row)
    gaps = {row.account: 0 for row in plans} | {row.account: row.value for row in told}
    return support_parts(defaulters_of_rows(moment, plans, []), gaps, is_asked=True)[moment.effect.account]


def is_tear_up_start(moment: Moment, place: int) -> bool:
    """Return whether the first TEAR_UP of a market stands at a place: before it none does, with or
    without its SUPPORT.
    """
    before = moment.effects[place - 1] if place else None
    if before is not None and before.kind == F.SUPPORT and before.other == C.TEAR_UP:
        return False
    return moment.effects[place].kind == F.TEAR_UP and (before is None or before.kind != F.TEAR_UP)


def restricted_first(moment: Moment) -> Findings:
    """INV-11: where the venue restricts first, no stage acts on an account that was not
    restricted.
    """
    effect, mirror = moment.effect, moment.mirror
    acts = effect.kind in (F.ORDER, F.OFFER, F.CARRY, F.ADL_PLAN, F.TEAR_UP) or (effect.kind == F.TAKEOVER and effect.other == 0)
    crossed = effect.kind == F.ADL_FILL and effect.code == AdlClass.CROSSED
    in_default = (acts or crossed) and mirror.health[effect.account] >= Health.DISTRESSED
    if in_default and mirror.rules.stages[0] == Stage.RESTRICT and not mirror.accounts[effect.account].restricted:
        yield f"{effect} before RESTRICT"


def takeover_came_first(moment: Moment) -> Findings:
    """INV-11: lots go to counterparties only when no provider could take a single one of them over,
    the vault last.

    Or its time is over, twice that of closeout.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.TAKEOVER and effect.other == 0:
        moment.relieved.add(effect.account)
    if not is_last_resort(effect):
        return
    account, stages = effect.account, mirror.rules.stages
    stage = Stage.TEAR_UP if effect.kind == F.TEAR_UP else Stage.ADL
    if account in moment.past_takeover or Stage.TAKEOVER not in stages[: stages.index(stage)]:
        return
    moment.past_takeover.add(account)
    if others_acted(moment, account):
        return
    for market in [each for each in mirror.held_markets(account) if may_force(mirror, account, each)]:
        takers = [number for number in range(len(mirror.providers)) if can_take(moment, number, account, market)]
        for is_vault in (False, True):
            asked = [number for number in takers if mirror.rules.providers[number].is_vault == is_vault]
            if is_vault and account in moment.relieved:
                continue  # it took what it could, and its gain from that may carry a lot more
            if not is_vault and mirror.now >= mirror.deadline(account) + mirror.rules.closeout.deadline_ns:
                continue
            if asked and mirror.offering(account, market, (_backer(moment, number, account, market) for number in asked)).lots:
                yield f"{effect}: {asked} could take over in market {market}"


def commitment_of(mirror: Mirror, number: int, market: int, direction: int) -> CommitmentRules:
    """Return what a provider promised for a market's group; direction 0 takes over longs."""
    return mirror.rules.providers[number].commitments[mirror.group(market)][direction]


def can_take(moment: Moment, number: int, defaulter: int, market: int) -> bool:
    """Say whether a provider stands so that it could take one lot of a position over, beside what
    it was offered.
    """
    if not is_able(moment.mirror, number, defaulter):
        return False
    backer = _backer(moment, number, defaulter, market)
    return backer.has_row and not backer.exceeded(0) and not backer.exceeded(1)


def _backer(moment: Moment, number: int, defaulter: int, market: int) -> Backer:
    mirror, side = moment.mirror, sign(moment.mirror.held_lots(defaulter, market))
    return mirror.backer(number, market, side, moment.used[number, mirror.group(market), 0 if side > 0 else 1])


def is_able(mirror: Mirror, number: int, defaulter: int) -> bool:
    """Say whether a provider may be asked, its status brought up to date."""
    provider = mirror.providers[number]
    if provider.account == NONE:
        return False
    status = ProviderStatus(provider.status)
    loss = LossStop(mirror.rules.providers[number].loss_stop, provider.baseline, mirror.equity(provider.account))
    status = [status, *changes_due(status, provider.until, mirror.now, loss)][-1]
    is_linked = mirror.owner_of(provider.account) == mirror.owner_of(defaulter)
    return refusal_to_ask(status, in_default=mirror.accounts[provider.account].in_default, is_linked=is_linked) is None


def only_owners_pay_for_each_other(moment: Moment) -> Findings:
    """INV-11: money goes from one account to another only between those that are linked, or from one who
    owes it for a fill, for its deficit, and makes no other; or because its owner says so.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.POSTING or effect.account < 0 or effect.other < 0:
        return
    deficit, has = -mirror.equity(effect.account), mirror.equity(effect.other)
    if effect.code == C.FILL_DEBT:
        yield from _owes_for_fills(moment)
        return
    if effect.code == C.HAIRCUT:
        if mirror.owner_of(effect.account) != mirror.owner_of(effect.other) or effect.amount > mirror.portfolio(effect.other).spare:
            yield f"{effect} of a cut between owners {mirror.owner_of(effect.account)} and {mirror.owner_of(effect.other)}"
        return
    if effect.code == C.MOVE:
        event = moment.event
        asked = (event.kind, event.code, event.other, event.account, event.amount)
        if asked != (EventKind.TRANSFER, Transfer.MOVE, effect.account, effect.other, effect.amount):
            yield f"{effect}: asked was {asked}"
        if mirror.owner_of(effect.account) != mirror.owner_of(effect.other) or effect.amount > has - mirror.portfolio(effect.other).initial:
            yield f"{effect}: it has {has}, owners {mirror.owner_of(effect.account)} and {mirror.owner_of(effect.other)}"
        return
    if effect.code != C.NETTING or not mirror.are_linked(effect.account, effect.other):
        yield f"{effect} between owners {mirror.owner_of(effect.account)} and {mirror.owner_of(effect.other)}"
    if effect.amount > min(deficit, has):
        yield f"{effect}: deficit {deficit}, the linked account has {has}"


def _owes_for_fills(moment: Moment) -> Findings:
    """Who owes for a fill pays no more than that, down to his maintenance margin, and after the
    loser's own owner.
    """
    effect, mirror = moment.effect, moment.mirror
    owner, standing = mirror.owner_of(effect.other), mirror.standing(effect.other)
    owed = next((debt.amount for debt in mirror.fill_debts_to(effect.account) if debt.owner == owner), 0)
    lacks = -mirror.equity(effect.account)
    if not mirror.held_markets(effect.account):
        lacks += sum(mirror.debts(effect.account).values())
    most = min(owed, lacks, standing.equity - standing.maintenance)
    if effect.amount > most or mirror.accounts[effect.other].in_default:
        yield f"{effect}: owed are {owed}, it can pay {most}"
    rich = [number for number in mirror.linked(effect.account) if mirror.equity(number) > 0]
    # Beyond its deficit it returns what funds paid for it, which its owner's other accounts do not.
    if rich and mirror.equity(effect.account) < 0:
        yield f"{effect}: {rich} of the loser's owner have equity"


def able_winners(mirror: Mirror, account: int) -> list[int]:
    """Return the accounts that could pay what is owed to an account for fills."""
    owners = {debt.owner for debt in mirror.fill_debts_to(account)}
    accounts = [number for owner in owners for number in mirror.accounts_of(owner) if not mirror.accounts[number].in_default]
    return [number for number in accounts if number != account and mirror.standing(number).equity > mirror.standing(number).maintenance]


def owners_pay_before_others(moment: Moment) -> Findings:
    """INV-11: while an owner's other accounts have equity, or those who owe him for fills some above
    their maintenance margin, nobody else pays for its insolvent account.
    """
    effect, mirror = moment.effect, moment.mirror
    is_of_fund = effect.code in (C.DEFICIT, C.TEAR_UP) and mirror.group_of_fund(effect.other) is not None
    is_paid = effect.kind == F.POSTING and (is_of_fund or (effect.code == C.HAIRCUT and effect.account >= 0 and effect.other < 0))
    if not is_paid and (effect.kind != F.ADL_PLAN or effect.value >= 0):
        return
    defaulter = effect.account
    if defaulter in moment.owner_was_asked:
        return
    moment.owner_was_asked.add(defaulter)
    rich = [number for number in mirror.linked(defaulter) if mirror.equity(number) > 0]
    # Who left default while those of a joint turn were judged in order of id may have been asked before.
    left = {row.account for row in moment.effects[: moment.place] if row.kind == F.HEALTH and row.code < Health.DISTRESSED <= row.other}
    rich += [number for number in able_winners(mirror, defaulter) if number not in left]
    if rich and mirror.equity(defaulter) < 0:
        yield f"{effect}: {rich} of the same owner, or who owe for fills, have equity"


def _capacity(moment: Moment, account: int, market: int) -> str:
    """Say what closeout could do with a position now, or later when others are done; nothing where
    it has capacity 0.
    """
    closing = _closing(moment, account, market)
    if closing.book.is_shut:
        return "an operator halts the market"
    if closing.book.is_old and not closing.is_solvent:
        return "its mark is old"
    if closing.book_stop == OrderStop.DEPTH_UNKNOWN:
        return "its depth is unknown, and an order that tries it is out"
    if closing.book_stop in (OrderStop.THIN_BOOK, OrderStop.BELOW_MINIMUM):
        return "too little is visible, but not all is told" if any(band.lots < 0 for band in closing.book.bands) else ""
    if closing.book_stop is not None:
        return f"{closing.book_stop}: {closing.slice}, bounds {closing.bounds()}"
    if closing.quote().lots:
        return f"an order could leave: {closing.quote()}"
    return f"an order may leave later: the fund has {closing.fund}" if closing.may_leave_later else ""


def way_out_of(moment: Moment, account: int, market: int) -> Exit:
    """What the book would be expected to cost the account, as the engine believes it to be."""
    return Exit(_closing(moment, account, market).book, moment.mirror.rules.closeout.fee_ppm)


def ways_later(moment: Moment, account: int, market: int) -> dict[int, Exit]:
    """The same for its positions in later markets that a joint turn may still close."""
    return {each: way_out_of(moment, account, each) for each in open_to_force(moment.mirror, account) if each > market}


def _closing(moment: Moment, account: int, market: int) -> Closing:
    """The position as closeout sees it; visible depth, volume and price range are the engine's."""
    mirror, row, breaker = moment.mirror, moment.state.markets[market], moment.state.breakers[market]
    seen, bands = mirror.markets[market], len(mirror.rules.markets[market].band_offset_ppm)
    seen.depth, seen.volume = row.depth_lots[:, :bands].tolist(), int(row.volume_lots)
    mirror.breakers[market].low, mirror.breakers[market].high = breaker.low_ticks.tolist(), breaker.high_ticks.tolist()
    return closing_of(mirror, account, market, mirror.portfolio(account))
