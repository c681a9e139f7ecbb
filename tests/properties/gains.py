"""Gains that leave while something of their group is uncovered: each owner at the rate of all."""

from __future__ import annotations

from backstop.core.events import Cause, EffectKind, EventKind, Transfer, uncovered_of
from backstop.core.rows import GONE, GONE_EPOCH, NOTED, OWED
from backstop.reference.arithmetic import ceil_div
from backstop.reference.state import Fund
from tests.properties.moment import Findings, Moment

__all__ = ["gains_are_lent", "gains_scan", "rates_do_not_rise", "shares_scan"]

F, C = EffectKind, Cause


def _is_lent(moment: Moment) -> bool:
    return moment.effect.kind == F.POSTING and moment.effect.code == C.GAIN_SHARE


def gains_are_lent(moment: Moment) -> Findings:
    """INV-07: who takes gains out lends their share to UNCOVERED of the group, behind the money that
    leaves, and has a claim for it at once.
    """
    if not _is_lent(moment):
        return
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    if (event.kind, event.code, event.account) != (EventKind.TRANSFER, Transfer.CASH, effect.other) or event.amount >= 0:
        yield f"{effect}: {event} takes nothing out"
    group, due = mirror.lent_due.pop(0) if mirror.lent_due else (0, 0)
    if (effect.account, effect.amount) != (uncovered_of(group), due):
        yield f"{effect}: due is {due} for group {group}"
    claim = moment.effects[moment.place + 1]
    if (claim.kind, claim.account, claim.other, claim.amount) != (F.CLAIM, effect.other, group, effect.amount):
        yield f"{effect}: then {claim}"


def rates_do_not_rise(moment: Moment) -> Findings:
    """INV-07: what leaves lowers the hole at least as much as the gains: nobody's rate is worse for it,
    and by rounding alone is it better.
    """
    mirror = moment.mirror
    if not _is_lent(moment):
        return
    for group, (hole_before, owed_before) in mirror.rates_before.items():
        if uncovered_of(group) != moment.effect.account:
            continue
        now, owed = mirror.hole(group), mirror.funds[group].owed_sum
        if now * owed_before > hole_before * owed:
            yield f"{moment.effect}: hole {hole_before} for {owed_before} parts before, {now} for {owed} now"
        if mirror.uncovered(group) < 0:
            yield f"{moment.effect}: more than was uncovered"


def gains_scan(moment: Moment) -> Findings:
    """INV-07: what is noted is what the effects say, no more in all than the sum, and nothing where
    nothing is uncovered; whatever is due was lent.
    """
    mirror, state = moment.mirror, moment.state
    if mirror.lent_due:
        yield f"due, and not lent: {mirror.lent_due}"
    for group, fund in enumerate(mirror.funds):
        kept, is_noted = state.noted[4 * group : 4 * group + 4], int(state.funds[group].noted_gains) > 0
        noted = {owner: int(gain) for owner, gain in enumerate(kept[NOTED]) if gain and is_noted}
        gone = {owner: int(gain) for owner, gain in enumerate(kept[GONE]) if gain and kept[GONE_EPOCH, owner] == mirror.epoch}
        told = tuple({owner: gain for owner, gain in each.items() if gain} for each in (fund.noted, fund.gone))
        if (noted, gone) != told or int(state.funds[group].noted_gains) != fund.noted_sum:
            yield f"group {group}: noted {noted}, gone {gone}, {state.funds[group].noted_gains} in all; told {told}, {fund.noted_sum}"
        own = {owner: int(state.noted[-1, owner]) for owner in noted}
        if own != {owner: mirror.own[owner] for owner in noted}:
            yield f"own money {own}, told {mirror.own}"
        owed = {owner: int(kept[OWED, owner]) for owner in noted}
        if owed != {owner: fund.owed[owner] for owner in noted} or int(state.funds[group].owed_sum) != fund.owed_sum:
            yield f"group {group}: owed {owed} of {state.funds[group].owed_sum}; told {fund.owed}, {fund.owed_sum}"
        if sum(owed.values()) > fund.owed_sum:
            yield f"group {group}: owed {owed}, more than {fund.owed_sum}"
        if min(noted.values(), default=0) < 0 or sum(noted.values()) > fund.noted_sum:
            yield f"group {group}: {noted} of {fund.noted_sum}"
        if noted and not mirror.uncovered(group):
            yield f"group {group}: {noted}, though nothing is uncovered"


def _owed(fund: Fund, owner: int, hole: int) -> int:
    """Return what an owner owes of a hole, whatever is noted of him."""
    return ceil_div(fund.owed.get(owner, 0) * hole, fund.owed_sum) if fund.owed_sum else 0


def shares_scan(moment: Moment) -> Findings:
    """INV-07: a hole grows by what is uncovered alone, and what somebody owes of it by no more than that and
    an atom of rounding. What he owes is looked at, not his share: that is less while less is noted of him.
    """
    mirror = moment.mirror
    grown = dict.fromkeys(mirror.groups, 0)
    for row in moment.effects:
        if row.kind == F.RESIDUAL:
            grown[row.other] += row.amount
    holes = {group: mirror.hole(group) for group in mirror.groups}
    shares = {
        (group, owner): _owed(mirror.funds[group], owner, holes[group]) for group in mirror.groups for owner in mirror.funds[group].noted
    }
    for group, hole in holes.items():
        if hole > mirror.holes.get(group, 0) + grown[group]:
            yield f"group {group}: hole {hole}, before {mirror.holes.get(group, 0)}, {grown[group]} uncovered"
    for (group, owner), share in shares.items():
        before = mirror.shares.get((group, owner), 0)
        if share > before + grown[group] + 1:
            yield f"group {group}: share {share} of owner {owner}, before {before}, {grown[group]} uncovered"
    mirror.holes, mirror.shares = holes, shares
