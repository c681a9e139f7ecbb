"""Socialise (R6.9): solvent accounts bear what the fund could not pay, and get it back from a
later surplus. Each market group for itself.
"""

from __future__ import annotations

from backstop.core.events import NEVER_NS, Cause, EffectKind, clearing_of, fund_of
from backstop.reference.arithmetic import split
from backstop.reference.breakers import shift_peaks
from backstop.reference.deficit import markets_of_loss
from backstop.reference.loss import Cut, Loss, Payer
from backstop.reference.state import State

__all__ = ["closed_markets", "loss_markets", "run_recovery", "socialise"]


def closed_markets(state: State, account: int) -> list[int]:
    """Markets in which the present default has closed lots, in order of id."""
    return sorted(market for market, row in state.positions[account].items() if row.closed_in_default)


def loss_markets(state: State, account: int, group: int) -> list[int]:
    """Markets of the account's loss in a group, in order of id."""
    return markets_of_loss(state.results(account), closed_markets(state, account), state.group, group)


def loss_of(state: State, defaulter: int, deficit: int, group: int) -> Loss:
    """A deficit with everybody who may be asked for a part of it."""
    markets, policy = tuple(loss_markets(state, defaulter, group)), state.rules.socialise_policy
    others = [number for number, account in enumerate(state.accounts) if number != defaulter and not account.in_default]
    return Loss(deficit, tuple(Payer(number, state.portfolio(number), markets, policy) for number in others))


def socialise(state: State, defaulter: int, deficit: int, group: int) -> int:
    """Let others bear as much of a group's deficit as they can; return what they paid."""
    loss = loss_of(state, defaulter, deficit, group)
    by_payer: dict[int, list[Cut]] = {}
    for cut in loss.cuts():
        by_payer.setdefault(cut.payer, []).append(cut)
    for payer, cuts in by_payer.items():
        for cut in cuts:
            take_cut(state, defaulter, cut)
        change_claim(state, payer, group, sum(cut.amount for cut in cuts))
    for payer in by_payer:
        state.touch(payer)
    return max(0, loss.paid)


def take_cut(state: State, defaulter: int, cut: Cut) -> None:
    """One of the payer's positions bears its part."""
    state.emit(
        EffectKind.HAIRCUT,
        code=state.rules.socialise_policy,
        market=cut.market,
        account=cut.payer,
        other=defaulter,
        lots=cut.cap,
        amount=cut.amount,
        value=cut.weight,
    )
    row = state.position(cut.payer, cut.market)
    row.cost += cut.amount
    row.base += cut.amount
    state.post(defaulter, clearing_of(cut.market), cut.amount, Cause.HAIRCUT, cut.market)


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
