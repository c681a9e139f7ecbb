"""Socialise (R6.9): the winners of a market bear what the funds could not pay of its losses, asked once
an event for all who stand there, and get it back from a later surplus.
"""

from __future__ import annotations

from backstop.core.events import NEVER_NS, Cause, EffectKind, clearing_of, fund_of
from backstop.reference.arithmetic import split
from backstop.reference.arrears import book_uncovered
from backstop.reference.breakers import shift_peaks
from backstop.reference.loss import Cut, Loss, Payer
from backstop.reference.state import State

__all__ = ["change_claim", "payers_with_room", "run_recovery", "socialise"]


def socialise(state: State, accounts: list[int]) -> None:
    """Let the winners of each market bear what accounts that stand at socialise lack there, as far as
    they can, and book the rest as uncovered.
    """
    left = {account: renewed_parts(state, account) for account in sorted(accounts)}
    for market in range(len(state.markets)):
        parts = {account: each[market] for account, each in left.items() if each.get(market)}
        if parts:
            for account, part in socialise_market(state, market, parts).items():
                left[account][market] -= part
    for account, each in left.items():
        by_group: dict[int, int] = {}
        for market, amount in each.items():
            by_group[state.group(market)] = by_group.get(state.group(market), 0) + amount
        for group, amount in sorted(by_group.items()):
            book_uncovered(state, account, amount, group)
        state.judge(account)


def renewed_parts(state: State, account: int) -> dict[int, int]:
    """Take what its funds left of the parts of an account's deficit, in proportion to what it lacks
    now.
    """
    parts = dict(sorted(state.left_parts.pop(account).items()))
    return split(-state.equity(account), parts)


def socialise_market(state: State, market: int, parts: dict[int, int]) -> dict[int, int]:
    """Cut those who won in a market; return what each of those who lack gets."""
    loss = loss_of(state, market, parts)
    cuts, first = loss.cuts(), min(parts)
    for cut in cuts:
        take_cut(state, market, first, cut)
    received = loss.received()
    for account, part in received.items():
        state.post(account, clearing_of(market), part, Cause.HAIRCUT, market)
    for cut in cuts:
        state.touch(cut.payer)
    return received


def loss_of(state: State, market: int, parts: dict[int, int]) -> Loss:
    """What accounts lack in a market, with everybody who may be asked for a part of it."""
    others = [number for number, account in enumerate(state.accounts) if not account.in_default and market in state.positions[number]]
    policy, torn, gains = state.rules.socialise_policy, state.torn, state.event_gains
    payers = tuple(
        Payer(number, state.portfolio(number), market, policy, torn.get((number, market), 0), gains.get((number, market), 0))
        for number in others
    )
    return Loss(parts, payers, payers_with_room(state))


def payers_with_room(state: State) -> int:
    """Return for how many payers the event's effects have room: half of it, sixteen a payer."""
    return (state.rules.limits.effects_max - len(state.effects)) // 2 // 16


def take_cut(state: State, market: int, first: int, cut: Cut) -> None:
    """The payer's position in the market bears a cut, its money where it has no lots; it gets a claim.

    ``first``: the first of the accounts for which all are cut.
    """
    state.emit(
        EffectKind.HAIRCUT,
        code=state.rules.socialise_policy,
        market=market,
        account=cut.payer,
        other=first,
        lots=cut.cap,
        amount=cut.amount,
        value=cut.weight,
    )
    row = state.position(cut.payer, market)
    row.base += cut.amount
    if row.lots:
        row.cost += cut.amount
    else:
        state.note_gain(cut.payer, market, -cut.amount)
        state.post(clearing_of(market), cut.payer, cut.amount, Cause.HAIRCUT, market)
    change_claim(state, cut.payer, state.group(market), cut.amount)


def change_claim(state: State, account: int, group: int, change: int) -> None:
    """Issue or redeem a recovery claim on a group; the first one starts the timer."""
    if state.claims == 0:
        state.recovery_ns = state.now + state.rules.fund.recovery_interval_ns
    claims = state.accounts[account].claims
    claims[group] = claims.get(group, 0) + change
    if state.claims == 0:
        state.recovery_ns = NEVER_NS
    state.emit(EffectKind.CLAIM, account=account, other=group, amount=change, value=claims[group])


def run_recovery(state: State) -> None:
    """Pay claims back from what the funds hold above their targets; come again while claims
    stand.
    """
    for group, rules in enumerate(state.rules.funds):
        surplus = state.unreserved(group) - state.uncovered(group) - rules.target
        claims = {number: account.claims[group] for number, account in enumerate(state.accounts) if account.claims.get(group)}
        if surplus <= 0 or not claims:
            continue
        parts = split(min(surplus, sum(claims.values())), claims)
        paid = sorted(number for number, part in parts.items() if part)
        for number in paid:
            state.post(number, fund_of(group), parts[number], Cause.RECOVERY)
            change_claim(state, number, group, -parts[number])
        shift_peaks(state, group, -sum(parts.values()))
        for number in paid:
            state.touch(number)
    state.recovery_ns = state.now + state.rules.fund.recovery_interval_ns if state.claims else NEVER_NS
