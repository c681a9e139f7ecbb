"""What funds paid for an owner: never more than what lacked, owed until it is returned, forgotten
or set off, and no reason to be richer.
"""

from __future__ import annotations

from dataclasses import replace

from backstop.core.columns import OWNER_DEBT
from backstop.core.events import NONE, Cause, EffectKind, EventKind, Health, Transfer
from backstop.reference.fills import fill_debt_due
from backstop.reference.margin import levels_after
from backstop.reference.state import FUND_PAYS
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment
from tests.properties.order_of_payers import able_winners

__all__ = [
    "debts_are_returned",
    "debts_scan",
    "default_ends_without_spare",
    "fill_debts_are_due",
    "fill_debts_scan",
    "funds_pay_what_lacks",
    "promises_are_freed",
    "withdrawals_leave_debts",
]

F, C = EffectKind, Cause


def funds_pay_what_lacks(moment: Moment) -> Findings:
    """INV-05: a fund pays at most what an account lacks once its owner's other accounts have
    nothing left.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.POSTING or effect.code not in FUND_PAYS or mirror.group_of_fund(effect.other) is None:
        return
    lacks = -mirror.equity(effect.account)
    if effect.amount > lacks:
        yield f"{effect}: the account lacks {lacks}"
    rich = [number for number in mirror.linked_with(effect.account) if mirror.equity(number) > 0]
    if rich:
        yield f"{effect}: {rich} of the same owner have equity"
    if able := able_winners(mirror, effect.account):
        yield f"{effect}: {able} owe it for fills"


def promises_are_freed(moment: Moment) -> Findings:
    """INV-05: what was promised for a fill is freed without a payment only where nothing lacks."""
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    is_answer = event.kind in (EventKind.ORDER_FILL, EventKind.ANSWER) and effect.other == event.other
    if effect.kind != F.RESERVE or effect.amount >= 0 or not is_answer or moment.place == 0:
        return
    before = moment.effects[moment.place - 1]
    if before.kind == F.CANCEL or (before.kind == F.POSTING and before.code == C.SUPPORT):
        return
    if mirror.equity(effect.account) < 0:
        yield f"{effect}: nothing was paid, and equity is {mirror.equity(effect.account)}"


def debts_are_returned(moment: Moment) -> Findings:
    """INV-05: only what is owed is returned, and it leaves the release level, or zero."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.POSTING or effect.code != C.DEBT_RETURN:
        return
    group, account = mirror.group_of_fund(effect.account), effect.other
    if group is None or account < 0 or effect.amount > mirror.debts(account).get(group, 0):
        yield f"{effect}: owed are {mirror.debts(account)}"
        return
    standing = mirror.portfolio(account).standing
    if standing.equity - effect.amount < standing.release:
        yield f"{effect}: equity {standing.equity}, release level {standing.release}"
    if mirror.held_markets(account) and mirror.health[account] < Health.DISTRESSED:
        yield f"{effect}: the account has lots and is not in default"


def default_ends_without_spare(moment: Moment) -> Findings:
    """INV-05: nobody leaves default above its release level with a debt."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.HEALTH or not effect.code < Health.DISTRESSED <= effect.other:
        return
    levels = levels_after(mirror.rules.levels, mirror.accounts[effect.account].returns)
    standing = replace(mirror.portfolio(effect.account), levels=levels).standing
    owed = mirror.debts(effect.account)
    if effect.amount > standing.release and any(owed.values()):
        yield f"{effect}: release level {standing.release}, owed {owed}"


def withdrawals_leave_debts(moment: Moment) -> Findings:
    """INV-05: what an owner's accounts could withdraw after one of them did covers his debts."""
    event, mirror = moment.event, moment.mirror
    if (event.kind, event.code) != (EventKind.TRANSFER, Transfer.CASH) or event.account < 0 or event.amount > 0:
        return
    owner = mirror.owner_of(event.account)
    owed = sum(sum(mirror.debts(number).values()) for number in mirror.accounts_of(owner)) + mirror.fill_debt(owner)
    free = {number: mirror.equity(number) - mirror.portfolio(number).initial for number in mirror.accounts_of(owner)}
    free[event.account] += event.amount
    if owed and sum(max(0, each) for each in free.values()) < owed:
        yield f"{event}: owed are {owed}, left {free}"


def fill_debts_are_due(moment: Moment) -> Findings:
    """INV-05: what is owed for a fill is what it cost beyond what it may, or made lacking."""
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    if effect.kind != F.FILL_DEBT:
        return
    loser, winner, owed = fill_debt_due(mirror, event) if event.kind == EventKind.FILL else (NONE, NONE, 0)
    right = (loser, winner, owed, event.market, event.price_ticks, mirror.marks[effect.market])
    if (effect.account, effect.other, effect.amount, effect.market, effect.price_ticks, effect.value) != right:
        yield f"{effect}: should be {right}"


def fill_debts_scan(moment: Moment) -> Findings:
    """INV-05: the engine's debts for fills are what was told of them, less what was paid."""
    state, mirror = moment.state, moment.mirror
    owed_to = [debt for number in range(len(mirror.accounts)) for debt in mirror.fill_debts_to(number)]
    told = {debt.number: (debt.account, debt.owner, debt.amount) for debt in owed_to}
    rows = [[int(number) for number in row[:4]] for row in state.fill_debts]
    kept = {row[0]: tuple(row[1:]) for row in rows if row[0]}
    if any(kept.get(number) != debt for number, debt in told.items()):
        yield f"owed for fills are {kept}, told {told}"
    for owner in range(len(state.fill_gauges)):
        is_forgotten = mirror.now - int(state.fill_gauges[owner, 2]) > mirror.rules.fund.owner_memory_ns
        owed = 0 if is_forgotten else int(state.fill_gauges[owner, 1])
        if owed != mirror.fill_debt(owner):
            yield f"owner {owner} owes {owed} for fills, told {mirror.fill_debt(owner)}"


def debts_scan(moment: Moment) -> Findings:
    """INV-05: the engine's debts are what was paid less what was set off, returned and forgotten;
    a flat account with equity has none.
    """
    mirror, state = moment.mirror, moment.state
    for owner in set(mirror.owners):
        told = {number: mirror.debts(number) for number in mirror.accounts_of(owner)}
        if not any(any(each.values()) for each in told.values()):
            continue
        for number, owed in told.items():
            kept = {group: int(atoms) for group, atoms in enumerate(state.debts[number]) if atoms}
            if kept != {group: atoms for group, atoms in owed.items() if atoms}:
                yield f"account {number} owes {kept}, told {owed}"
            if sum(owed.values()) and not mirror.held_markets(number) and mirror.equity(number) > 0:
                yield f"account {number} is flat, has {mirror.equity(number)} and owes {owed}"
        total = sum(sum(owed.values()) for owed in told.values())
        if int(state.columns[OWNER_DEBT, owner]) != total:
            yield f"owner {owner} owes {state.columns[OWNER_DEBT, owner]}, told {told}"
    yield from _nothing_is_owed_twice(mirror)


def _nothing_is_owed_twice(mirror: Mirror) -> Findings:
    """What was set off is waited for by no payment."""
    if any(mirror.set_off.values()):
        yield f"claims were set off without a payment: {mirror.set_off}"
