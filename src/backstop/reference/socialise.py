"""Socialise (R6.9): the winners of a market bear what the funds could not pay of its losses, asked once
an event for all who stand there, and get it back from a later surplus.
"""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import NEVER_NS, Cause, EffectKind, clearing_of, fund_of
from backstop.reference.arithmetic import split
from backstop.reference.arrears import book_uncovered
from backstop.reference.breakers import shift_peaks
from backstop.reference.loss import Bearer, Cut, Loss, Purse, Stake, bearer_of
from backstop.reference.state import State

__all__ = ["Room", "change_claim", "note_cut", "purses_of", "run_recovery", "socialise", "stakes_of"]


class Room(NamedTuple):
    """The effects that a turn keeps for those who pay."""

    effects: int
    #: Effects of the event when the turn began.
    began: int

    def payers(self, effects_now: int, markets: int) -> int:
        """Return for how many accounts one of so many markets still to come has room."""
        return (self.effects - (effects_now - self.began)) // (16 * markets)


def socialise(state: State, accounts: list[int]) -> None:
    """Let the winners of each market bear what accounts that stand at socialise lack there, as far as
    they can, and book the rest as uncovered.
    """
    left = {account: renewed_parts(state, account) for account in sorted(accounts)}
    markets = sorted({market for each in left.values() for market, part in each.items() if part})
    room = Room((state.rules.limits.effects_max - len(state.effects)) // 2, len(state.effects))
    for place, market in enumerate(markets):
        parts = {account: each[market] for account, each in left.items() if each.get(market)}
        most = room.payers(len(state.effects), len(markets) - place)
        for account, part in socialise_market(state, market, parts, most).items():
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


def socialise_market(state: State, market: int, parts: dict[int, int], most: int) -> dict[int, int]:
    """Cut those who won in a market; return what each of those who lack gets."""
    loss = Loss(parts, stakes_of(state, market), purses_of(state, market), state.rules.socialise_policy, most)
    cuts, first = loss.cuts(), min(parts)
    for cut in cuts:
        take_cut(state, market, first, cut)
    received = loss.received()
    for account, part in received.items():
        state.post(account, clearing_of(market), part, Cause.HAIRCUT, market)
    for cut in cuts:
        state.touch(cut.payer)
    return received


def stakes_of(state: State, market: int) -> tuple[Stake, ...]:
    """Return the positions of all accounts in a market: what an owner is asked by for what it lost."""
    others = [number for number in range(len(state.accounts)) if market in state.positions[number]]
    torn, gains = state.torn, state.event_gains
    return tuple(
        Stake(each, state.accounts[each].owner, state.holding(each, market), torn.get((each, market), 0), gains.get((each, market), 0))
        for each in others
    )


def purses_of(state: State, market: int) -> dict[int, tuple[Purse, ...]]:
    """Return the accounts, not in default, of all owners who may be asked in a market."""
    owners = {stake.owner for stake in stakes_of(state, market)}
    found: dict[int, tuple[Purse, ...]] = {}
    for owner in owners:
        solvent = [number for number in state.accounts_of(owner) if not state.accounts[number].in_default]
        spares = {number: state.portfolio(number).spare for number in solvent}
        found[owner] = tuple(Purse(number, spare, spare + state.cuts_paid.get(number, 0)) for number, spare in spares.items())
    return found


def take_cut(state: State, market: int, first: int, cut: Cut) -> None:
    """A position in the market bears what an account of its owner pays: by its cost where it has lots
    that won, else by money. The payer gets a claim.

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
    bearer = note_cut(state, market, cut.payer, cut.amount)
    receiver = bearer.account if bearer.by_cost else clearing_of(market)
    if receiver != cut.payer:
        state.post(receiver, cut.payer, cut.amount, Cause.HAIRCUT, market)
    change_claim(state, cut.payer, state.group(market), cut.amount)


def note_cut(state: State, market: int, payer: int, amount: int) -> Bearer:
    """Change the position that bears a cut; return it."""
    owner = state.accounts[payer].owner
    bearer = bearer_of(payer, [stake for stake in stakes_of(state, market) if stake.owner == owner])
    row = state.position(bearer.account, market)
    row.base += amount
    if bearer.by_cost:
        row.cost += amount
    else:
        state.note_gain(bearer.account, market, -amount)
    state.cuts_paid[payer] = state.cuts_paid.get(payer, 0) + amount
    return bearer


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
