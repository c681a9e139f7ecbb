"""Carried accounts: solvent, within their time, what they may cost is reserved, and no insolvent
account lacks it.
"""

from __future__ import annotations

from backstop.core.columns import OWNER_CARRIED
from backstop.core.events import NONE, EffectKind, Health
from backstop.reference.carry import carry_end_ns, carry_need, carry_parts, fits, view_without_carries
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment
from tests.properties.order_of_payers import is_last_resort, others_acted

__all__ = ["carries_scan", "carry_came_first", "carry_is_due", "insolvent_come_before_carries"]

F = EffectKind


def _end_ns(mirror: Mirror, account: int) -> int:
    rules = mirror.rules.closeout
    return mirror.accounts[account].carry_until or carry_end_ns(mirror.now, mirror.deadline(account), rules)


def carry_came_first(moment: Moment) -> Findings:
    """INV-11: no solvent account is deleveraged or torn up while its funds could stand for it."""
    effect, mirror = moment.effect, moment.mirror
    rules = mirror.rules.closeout
    if not is_last_resort(effect) or rules.carry_max_ns == 0 or not mirror.fund_supports:
        return
    account = effect.account
    stage = F.TEAR_UP if effect.kind == F.TEAR_UP else F.ADL_PLAN
    is_first = (account, stage) not in moment.past_carry
    moment.past_carry.add((account, stage))
    if not is_first or mirror.equity(account) < 0:
        return
    if mirror.carried_by(account):
        yield f"{effect}: {mirror.carried_by(account)} are reserved to carry it"
    parts = carry_parts(mirror.portfolio(account), rules.carry_move_ppm)
    if others_acted(moment, account):
        return
    if mirror.now < _end_ns(mirror, account) and fits(mirror, account, parts):
        yield f"{effect}: it could be carried until {_end_ns(mirror, account)} with {parts}"


def carry_is_due(moment: Moment) -> Findings:
    """INV-05: an account is carried once in a default, solvent, for what it would lack after the move,
    and no longer than the venue allows.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.CARRY:
        account, rules = effect.account, mirror.rules.closeout
        need = carry_need(mirror.portfolio(account), rules.carry_move_ppm)
        end = carry_end_ns(mirror.now, mirror.deadline(account), rules)
        if (effect.amount, effect.value) != (need, end) or mirror.accounts[account].carry_until:
            yield f"{effect}: need {need}, end {end}, before {mirror.accounts[account].carry_until}"
        if not mirror.accounts[account].in_default or mirror.equity(account) < 0 or effect.value <= mirror.now:
            yield f"{effect}: equity {mirror.equity(account)} at {mirror.now}"
    if effect.kind == F.RESERVE and effect.other == 0 and effect.amount > 0:
        view = mirror.fund_view(mirror.group(effect.market), effect.account, effect.market)
        part = carry_parts(mirror.portfolio(effect.account), mirror.rules.closeout.carry_move_ppm)[effect.market]
        if effect.amount > view.available or not mirror.accounts[effect.account].carry_until:
            yield f"{effect}: available {view.available}"
        if mirror.positions[effect.account][effect.market].carried + effect.amount != part:
            yield f"{effect}: its part is {part}"


def insolvent_come_before_carries(moment: Moment) -> Findings:
    """INV-11: what a fund does not pay for an insolvent account is nothing that it keeps to carry
    others, nor that any fund keeps to carry the owner's other accounts.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.SUPPORT:
        return
    group = mirror.group(effect.market) if effect.market != NONE else mirror.first_group(effect.account)
    view = mirror.fund_view(group, effect.account, effect.market)
    freed = view_without_carries(mirror, group, effect.account, effect.market)
    if view.available < min(effect.value, freed.available):
        yield f"{effect}: available {view.available}, {freed.available} if nobody were carried"


def carries_scan(moment: Moment) -> Findings:
    """INV-05: what is reserved to carry an account is that of one in default and not insolvent; the
    engine's rows are as effects tell them.
    """
    mirror, state = moment.mirror, moment.state
    for number, account in enumerate(mirror.accounts):
        carried = mirror.carried_by(number)
        if carried and account.health not in (Health.DISTRESSED, Health.CLOSE_OUT):
            yield f"account {number} is {Health(account.health).name}, {carried} are reserved to carry it"
        if int(state.defaults[number].carry_until_ns) != account.carry_until:
            yield f"account {number}: carried until {state.defaults[number].carry_until_ns}, told {account.carry_until}"
    for group, fund in enumerate(state.funds):
        if int(fund.carried) != mirror.carried_in(group):
            yield f"fund {group} carries {fund.carried}, told {mirror.carried_in(group)}"
    for owner in {account.owner for account in mirror.accounts}:
        if int(state.columns[OWNER_CARRIED, owner]) != mirror.carried_for(owner):
            yield f"owner {owner}: carried {state.columns[OWNER_CARRIED, owner]}, told {mirror.carried_for(owner)}"
    for market, row in enumerate(state.markets):
        if int(row.carried) != mirror.carried_in(mirror.group(market), market):
            yield f"market {market}: carried {row.carried}"
