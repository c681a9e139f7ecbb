"""ADL as facts: what is closed at which cash, what each counterparty weighs, gives and receives."""

from __future__ import annotations

from backstop.config.policies import LOTS_WEIGHT, POLICIES, PROFIT_WEIGHT, Weight, is_levelled, weight_kind
from backstop.core.events import AdlClass, AdlPolicy, Cause, EffectKind
from backstop.core.instruments import PPM
from backstop.core.kinds import (
    AdlClassEffect,
    AdlFillEffect,
    AdlLineEffect,
    AdlOwnerEffect,
    AdlPickEffect,
    AdlPlanEffect,
    AdlScaleEffect,
    SupportEffect,
)
from backstop.core.waterfall.certificate import PLAN_HEADS, check_certificate, is_crossing, is_plan_start
from backstop.explain.charges import add_charge
from backstop.explain.closing import zero_text
from backstop.explain.fact import Fact
from backstop.explain.funds import support_kept_text, support_of
from backstop.explain.passed import add_passed_over
from backstop.explain.rows import Rows
from backstop.explain.scene import Scene
from backstop.reference.arithmetic import sign
from backstop.reference.funds import Support
from backstop.reference.margin import Contract, Holding
from backstop.reference.water_filling import exposure_in, standing_of
from backstop.reference.wave import cash_parts, lots_to_close

__all__ = ["add_adl_class", "add_adl_fill", "add_adl_plan", "add_adl_scale"]

#: Counterparties named in the text; the rest are counted.
_NAMED_MAX = 8

#: Unit of the weights in eta.
_ETA = {Weight.PROFIT: "eta_weight_atoms", Weight.LOTS: "eta_weight_lots", Weight.SCORE: "eta_weight"}


def add_adl_plan(scene: Scene, fact: Fact) -> None:
    """Work out the cash of an account's ADL; say why it came to that, and who gave the lots."""
    plan, words = AdlPlanEffect(scene.row), scene.speaker
    if plan.account != scene.account:
        return
    market, lots, found = plan.market, abs(plan.lots), scene.portfolio
    first = _start(scene, scene.place)
    fact.check("equity", plan.equity, found.equity)
    _add_others(scene, fact, first)
    if is_crossing(scene.effects, first):
        fact.check("cash at mark", plan.cash, scene.holding(market).value_of(lots))
        fact.because.append("crossed with accounts in default on the other side, at mark, before anyone else is asked")
        if found.equity < 0:
            fact.because.append("  what it lacks for these lots stays with it: nobody on the other side pays it")
        add_charge(scene, fact, market, lots)
    elif found.equity >= 0:
        fact.check("cash at mark", plan.cash, scene.holding(market).value_of(lots))
        fact.because.append("solvent: it is closed at mark, so that nobody pays for it")
        add_charge(scene, fact, market, lots)
    else:
        zero, support = found.zero_cash(market, lots), _told_support(scene, market, lots)
        fact.check("cash, with what the fund adds the zero cash", plan.cash, zero.at_mark + support.beyond)
        beyond = words.cash(support.beyond)
        fact.because.append("insolvent: with what the fund adds it is closed at " + zero_text(scene, found, market, lots))
        fact.because.append("  " + support_kept_text(scene, market, support))
        fact.because.append(f"  the counterparties together pay {beyond} beyond mark, each account by its lots, the house nothing")
    add_passed_over(scene, fact)
    fills = _fills(scene.rows, first)
    fact.because += _fill_lines(scene, fills)
    fact.values["counterparties"] = [words.fields(each.rows, is_event=False) for each in fills]
    _certificate(scene, fact, first)


def add_adl_scale(scene: Scene, fact: Fact) -> None:
    """Say that a plan closes fewer lots of the account than should leave, and check how many should."""
    told, words = AdlScaleEffect(scene.row), scene.speaker
    if told.account != scene.account:
        return
    wanted = lots_to_close(scene.portfolio, told.market, scene.way_out(told.market), scene.ways_later(told.market))
    fact.check("lots that should leave", told.wanted_lots, wanted)
    first = _start(scene, scene.place)
    parts, whole = _parts(scene.rows, first), 0
    for row in scene.rows[first:]:
        if row["kind"] not in PLAN_HEADS:
            break
        whole += row["lots"] if row["kind"] == EffectKind.ADL_SCALE else 0
    given = sum(abs(part.lots) for part in parts)
    closed, of = words.lots(told.market, given), words.lots(told.market, whole)
    fact.because.append(f"the counterparties' caps allow {closed} of the {of} of all in this plan: each closes the same share")


def add_adl_class(scene: Scene, fact: Fact) -> None:
    """Say how a class shares what it gives, so that each one's part can be worked out from its
    weight.
    """
    told, policy = AdlClassEffect(scene.row), AdlPolicy(scene.rules.adl_policy)
    fact.because.append(f"weight: {_weight_text(policy, told.adl_class)}")
    if told.eta_weight and is_levelled(policy, told.adl_class):
        fact.values |= {"level_exposure_atoms": told.eta_lots, "level_equity_atoms": told.eta_weight}
        fact.because.append("each lot comes from whoever then has the highest leverage, the lot counted by half, ties by id")
    elif told.eta_weight:
        fact.values |= {"eta_lots": told.eta_lots, _ETA[weight_kind(policy, told.adl_class)]: told.eta_weight}
        fact.because.append("each gives eta x its weight, down to a whole lot, at most its cap; the lots left go to the largest remainders")
    after = scene.place + 1
    if after < len(scene.rows) and scene.rows[after]["kind"] == EffectKind.ADL_LINE:
        line, words = AdlLineEffect(scene.rows[after]), scene.speaker
        least, lots = words.lots(line.market, line.least_lots), words.lots(line.market, line.lots)
        fact.because.append(f"{line.members:,} have shares below the least of {least}, {lots} together: some of them give for all")


def add_adl_fill(scene: Scene, fact: Fact) -> None:
    """Say what the account weighs, gives and receives as a counterparty."""
    fill, words, earlier = AdlFillEffect(scene.row), scene.speaker, scene.rows[: scene.place]
    if fill.account != scene.account:
        return
    held, contract = scene.mine.held(fill.market), scene.rules.markets[fill.market].contract
    pays = -contract.beyond_mark(fill.lots, scene.contract(fill.market).mark_ticks, fill.cash)
    classes = (each for each in reversed(earlier) if each["kind"] == EffectKind.ADL_CLASS)
    group = next(each for each in classes if AdlClassEffect(each).account == fill.defaulter)
    fields = words.fields(group, is_event=False)
    levels = is_levelled(scene.rules.adl_policy, fill.adl_class)
    how = "" if levels else ": eta x weight, at most its cap, in whole lots"
    fact.because.append(f"its class gives {fields['quantity']}, {fields['eta']}{how}")
    fact.because.append(f"it holds {words.lots(fill.market, held)}, the side that the defaulter's position needs")
    owner = _owner_row(scene)
    _add_weight(scene, fact, fill, owner)
    _add_pick(scene, fact, fill, owner)
    first = _start(scene, scene.place)
    _add_share(scene, fact, fill, first)
    fact.because.append(f"at mark it would receive {words.cash(fill.cash + pays)}: it pays {words.cash(pays)} for the default")
    fact.check("on the other side", held * fill.lots < 0 and abs(fill.lots) <= abs(held), True)
    _certificate(scene, fact, first)


def _fill_lines(scene: Scene, fills: list[AdlFillEffect[int]]) -> list[str]:
    words, lines = scene.speaker, []
    for fill in sorted(fills, key=lambda each: -abs(each.lots))[:_NAMED_MAX]:
        given, cap = words.lots(fill.market, fill.lots), words.lots(fill.market, fill.cap_lots)
        weight = words.fields(fill.rows, is_event=False)["weight"]
        receives = f"class {fill.adl_class.name.lower()}, weight {weight}, receives {words.cash(fill.cash)}"
        lines.append(f"  {words.holder(fill.account)} gives {given} of its cap {cap}, {receives}")
    return lines + ([f"  and {len(fills) - _NAMED_MAX} more counterparties"] if len(fills) > _NAMED_MAX else [])


def _certificate(scene: Scene, fact: Fact, first: int) -> None:
    """Check the wave's certificate; a wave is the same for all who are in it."""
    known = scene.shared.certificate_faults
    if first not in known:
        market = scene.rules.markets[scene.rows[first]["market"]]
        found = check_certificate(scene.effects, first, market.contract, market.settlement_asset)
        known[first] = [str(fault) for fault in found]
    faults = known[first]
    fact.values["certificate"] = faults or "sound"
    fact.because.append("certificate: sound" if not faults else f"certificate: {'; '.join(faults)}")
    fact.check("faults of the certificate", len(faults), 0)


def _weight_text(policy: AdlPolicy, adl_class: AdlClass) -> str:
    """Say how the weight of a counterparty of a class comes about."""
    weight = weight_kind(policy, adl_class)
    if weight == Weight.LOTS:
        return LOTS_WEIGHT
    return PROFIT_WEIGHT if weight == Weight.PROFIT else POLICIES[policy].says


def _owner_row(scene: Scene) -> AdlOwnerEffect[int] | None:
    """Return what is told of the owner of the fill looked at, where several accounts of his hold lots."""
    place = scene.place - 1
    while scene.rows[place]["kind"] == EffectKind.ADL_FILL:
        place -= 1
    if scene.rows[place]["kind"] != EffectKind.ADL_OWNER:
        return None
    owner = AdlOwnerEffect(scene.rows[place])
    return owner if scene.place - place <= owner.fills else None


def _add_weight(scene: Scene, fact: Fact, fill: AdlFillEffect[int], owner: AdlOwnerEffect[int] | None) -> None:
    """Say how the weight of a fill comes about, and check it where it is lots, or the profit of an
    owner of one account.
    """
    policy, holding = AdlPolicy(scene.rules.adl_policy), scene.holding(fill.market)
    says, weight = f"weight: {_weight_text(policy, fill.adl_class)}", weight_kind(policy, fill.adl_class)
    if fill.adl_class == AdlClass.CROSSED:
        wanted = lots_to_close(scene.portfolio, fill.market, scene.way_out(fill.market), scene.ways_later(fill.market))
        says = "in default, too: crossed at mark with the other side; weight: the lots that should leave"
        fact.check("weight", fill.weight, wanted)
        add_charge(scene, fact, fill.market, abs(fill.lots))
    elif owner is not None and is_levelled(policy, fill.adl_class):
        says += _standing_text(scene, fact, fill, owner)
    elif owner is not None:
        given, cap = scene.speaker.lots(fill.market, owner.lots), scene.speaker.lots(fill.market, owner.cap_lots)
        by = "it alone" if owner.fills == 1 else f"{owner.fills} of them"
        says += f"; its owner has several accounts here and counts as one: he gives {given} of his cap {cap}, by {by}"
        fact.because.append("what he gives is laid on his accounts, highest leverage first, each within its own cap")
    elif weight == Weight.LOTS:
        fact.check("weight", fill.weight, weight_of(weight, holding))
    elif weight == Weight.PROFIT:
        says += f": {scene.speaker.text(holding.value)} less {scene.speaker.cash(holding.base)}"
        if scene.is_only_account:
            fact.check("weight", fill.weight, weight_of(weight, holding))
        else:
            says += ", with those of its owner's other accounts"
    fact.because.append(says)


def _standing_text(scene: Scene, fact: Fact, fill: AdlFillEffect[int], owner: AdlOwnerEffect[int]) -> str:
    """Say from what an owner's leverage comes, and check it where he has one account and no lots that he
    gave before.
    """
    words = scene.speaker
    fact.check("weight", fill.weight, owner.weight * PPM // owner.equity)
    if scene.is_only_account and fill.adl_class != AdlClass.HEDGE and _is_first_plan(scene):
        holding, portfolio = scene.holding(fill.market), scene.portfolio
        whole = sum(each.contract.rules.factor_loading_ppm * each.contract.exposure_of(each.lots) for each in portfolio.holdings)
        exposure = exposure_in(whole, scene.rules.markets[fill.market].factor_loading_ppm, holding.side)
        standing = standing_of(exposure, portfolio.equity, holding.notional, holding.contract.notional_of(1))
        fact.check("exposure to the factor", owner.weight, standing.exposure)
        fact.check("equity", owner.equity, standing.equity)
    given, cap = words.lots(fill.market, owner.lots), words.lots(fill.market, owner.cap_lots)
    return f": {words.cash(owner.weight)} / {words.cash(owner.equity)}; he gives {given} of his cap {cap}"


def _is_first_plan(scene: Scene) -> bool:
    """Say whether the account gave lots to no earlier plan of the event."""
    rows, place = scene.rows, _start(scene, scene.place)
    return not any(row["kind"] == EffectKind.ADL_FILL and row["account"] == scene.account for row in rows[:place])


def _add_pick(scene: Scene, fact: Fact, fill: AdlFillEffect[int], owner: AdlOwnerEffect[int] | None) -> None:
    """Say that the fill was drawn, where its owner's share is below the least that is asked for."""
    place, picks, words = scene.place - 1, list[AdlPickEffect[int]](), scene.speaker
    while scene.rows[place]["kind"] != EffectKind.ADL_CLASS:
        picks += [AdlPickEffect(scene.rows[place])] if scene.rows[place]["kind"] == EffectKind.ADL_PICK else []
        place -= 1
    first = fill.account if owner is None else owner.account
    mine = next((pick for pick in picks if pick.account == first), None)
    if mine is None:
        return
    line = AdlLineEffect(scene.rows[place + 1])
    share, least = words.lots(fill.market, mine.share_lots), words.lots(fill.market, line.least_lots)
    fact.because.append(f"its owner's share by weight is {share}, below the least that anyone is asked for, {least}")
    fact.because.append(f"  of {line.members:,} with such shares {len(picks):,} are drawn: each gives the least, or all that he can")
    fact.because.append("  who is drawn follows from the number of the event: on average everyone gives his share")
    fact.values |= {"share": share, "least": least, "picked": len(picks), "on_line": line.members}


def weight_of(weight: Weight, holding: Holding) -> int:
    """Return the weight of an owner who has nothing there but this position."""
    return abs(holding.lots) if weight == Weight.LOTS else holding.result


def _add_share(scene: Scene, fact: Fact, fill: AdlFillEffect[int], first: int) -> None:
    """Say which part of the defaulter's cash a fill has, and check it; ``first``: place of the
    ADL_PLAN.
    """
    parts, words = _parts(scene.rows, first), scene.speaker
    plan, cash, lots_in_all = parts[0], sum(part.cash for part in parts), sum(part.lots for part in parts)
    fills = _fills(scene.rows, first)
    gives = [(each.account, abs(each.lots)) for each in fills]
    mine_at = sum(row["kind"] == EffectKind.ADL_FILL for row in scene.rows[first : scene.place])
    contract = Contract(scene.rules.markets[plan.market], plan.mark_ticks)
    received = cash_parts(cash, gives, contract, -sign(plan.lots))[mine_at]
    fact.check("cash", fill.cash, received)
    quantity, mark = words.lots(plan.market, lots_in_all), words.price(plan.market, plan.mark_ticks)
    at_mark = words.cash(contract.value_of(-lots_in_all))
    by_accounts = sum(lots for holder, lots in gives if holder >= 0)
    by_house = sum(lots for holder, lots in gives if holder < 0)
    shared = words.cash(abs(cash - contract.cash_of(sign(plan.lots) * by_house, plan.mark_ticks)))
    mine, whole, part = words.lots(plan.market, abs(fill.lots)), words.lots(plan.market, by_accounts), words.cash(abs(received))
    fact.because.append(f"{_whose(parts)} {quantity} are closed for {words.cash(cash)} in all; at mark {mark} that is {at_mark}")
    if by_house:
        fact.because.append(f"  the house takes {words.lots(plan.market, by_house)} of them at mark, the accounts {whole} for {shared}")
    fact.because.append(f"  its share: {shared} x {mine} / {whole}, rounded down, the atoms left by largest remainder: {part}")
    fact.values |= {"cash_in_all": words.cash(cash), "quantity_in_all": quantity, "mark_price": mark}


def _fills(rows: Rows, first: int) -> list[AdlFillEffect[int]]:
    """Return the fills of the ADL_PLAN at a place."""
    found = list[AdlFillEffect[int]]()
    for row in rows[first + 1 :]:
        if row["kind"] == EffectKind.ADL_FILL:
            found.append(AdlFillEffect(row))
        elif row["kind"] not in PLAN_HEADS:
            break
    return found


def _parts(rows: Rows, first: int) -> list[AdlPlanEffect[int]]:
    """Return the ADL_PLAN of each defaulter of the plan that begins at a place."""
    found = list[AdlPlanEffect[int]]()
    for row in rows[first:]:
        if row["kind"] == EffectKind.ADL_PLAN:
            found.append(AdlPlanEffect(row))
        elif row["kind"] != EffectKind.SUPPORT:
            break
    return found


def _start(scene: Scene, place: int) -> int:
    """Return where the plan begins that an effect belongs to."""
    while not is_plan_start(scene.effects, place):
        place -= 1
    return place


def _add_others(scene: Scene, fact: Fact, first: int) -> None:
    """Say who else closes lots in the plan."""
    others = [part for part in _parts(scene.rows, first) if part.account != scene.account]
    if others:
        market, lots = others[0].market, sum(part.lots for part in others)
        are = "another account" if len(others) == 1 else f"{len(others):,} other accounts"
        lots_text = scene.speaker.lots(market, lots)
        fact.because.append(f"one plan with {are} in default, who close {lots_text}: each at its own price, the counterparties at one")
        fact.values["others_in_plan"] = len(others)


def _told_support(scene: Scene, market: int, lots: int) -> Support:
    """Return what the fund adds as the plan tells it, or where it tells nothing, what it would add."""
    row = scene.rows[scene.place + 1]
    alone = support_of(scene, market, lots, Cause.SUPPORT)
    return alone._replace(amount=SupportEffect(row).support) if row["kind"] == EffectKind.SUPPORT else alone


def _whose(parts: list[AdlPlanEffect[int]]) -> str:
    return "the defaulter's" if len(parts) == 1 else f"of {len(parts):,} defaulters together"
