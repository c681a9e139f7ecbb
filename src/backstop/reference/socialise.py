"""Socialise (section 6): solvent accounts bear what the fund could not pay, and get it back from a later surplus."""

from __future__ import annotations

from backstop.core.events import NEVER_NS, Cause, EffectKind, SocialisePolicy, clearing_of, fund_of
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import split
from backstop.reference.breakers import shift_peaks
from backstop.reference.state import State

__all__ = ["closed_markets", "run_recovery", "socialise"]


def closed_markets(state: State, account: int) -> list[int]:
    """Markets in which the present default has closed lots, in order of id."""
    return sorted(market for market, row in state.positions[account].items() if row.closed_in_default)


def gain(state: State, account: int, market: int) -> int:
    """Unrealised P&L of the position where it is positive, else nothing."""
    row = state.positions[account].get(market)
    return max(0, row.lots * state.unit(market) - row.cost) if row else 0


def weight_and_cap(state: State, payer: int, markets: list[int]) -> tuple[int, int]:
    """What the account is asked by, and the most that it may be asked for."""
    spare = max(0, state.equity(payer) - state.maintenance(payer))
    if state.rules.socialise_policy == SocialisePolicy.GAINS_HAIRCUT:
        gains = sum(gain(state, payer, market) for market in markets)
        return gains, min(gains, spare)
    return sum(state.notional(payer, market) for market in markets), spare


def socialise(state: State, defaulter: int, deficit: int) -> int:
    """Let others bear as much of the deficit as they can; return what they paid."""
    markets = closed_markets(state, defaulter)
    weights, caps = {}, {}
    for payer, account in enumerate(state.accounts):
        if payer == defaulter or account.in_default:
            continue
        weight, cap = weight_and_cap(state, payer, markets)
        if weight and cap:
            weights[payer], caps[payer] = weight, cap
    paid = min(deficit, sum(caps.values()))
    if paid <= 0:
        return 0
    cuts, _ = capped_pro_rata(paid, weights, caps)
    payers = sorted(payer for payer, cut in cuts.items() if cut)
    for payer in payers:
        take_cut(state, payer, defaulter, markets, cuts[payer], weights[payer], caps[payer])
        change_claim(state, payer, cuts[payer])
    for payer in payers:
        state.touch(payer)
    return paid


def take_cut(state: State, payer: int, defaulter: int, markets: list[int], cut: int, weight: int, cap: int) -> None:
    """Its positions bear the cut: their gains in order of market, or the first with lots all of it."""
    policy, left = state.rules.socialise_policy, cut
    for market in markets:
        if policy == SocialisePolicy.GAINS_HAIRCUT:
            part = min(left, gain(state, payer, market))
        else:
            part = left if state.held_lots(payer, market) else 0
        if part == 0:
            continue
        state.emit(
            EffectKind.HAIRCUT,
            code=policy,
            market=market,
            account=payer,
            other=defaulter,
            lots=cap,
            amount=part,
            value=weight,
        )
        state.position(payer, market).cost += part
        state.post(defaulter, clearing_of(market), part, Cause.HAIRCUT, market)
        left -= part
    assert left == 0


def change_claim(state: State, account: int, change: int) -> None:
    """Issue or redeem a recovery claim; the first one starts the timer."""
    if state.claims == 0:
        state.recovery_ns = state.now + state.rules.fund.recovery_interval_ns
    state.accounts[account].claim += change
    state.claims += change
    state.emit(EffectKind.CLAIM, account=account, amount=change, value=state.accounts[account].claim)


def run_recovery(state: State) -> None:
    """Pay claims back from what the funds hold above their targets; come again while claims stand."""
    for group, rules in enumerate(state.rules.funds):
        surplus = state.ledger[fund_of(group)] - state.funds[group].reserved - rules.target
        claims = {number: account.claim for number, account in enumerate(state.accounts) if account.claim}
        if surplus <= 0 or not claims:
            continue
        parts = split(min(surplus, state.claims), claims)
        paid = sorted(number for number, part in parts.items() if part)
        for number in paid:
            state.post(number, fund_of(group), parts[number], Cause.RECOVERY)
            change_claim(state, number, -parts[number])
        shift_peaks(state, group, -sum(parts.values()))
        for number in paid:
            state.touch(number)
    state.recovery_ns = state.now + state.rules.fund.recovery_interval_ns if state.claims else NEVER_NS
