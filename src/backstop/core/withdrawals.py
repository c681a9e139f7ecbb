"""Money that leaves an account: what must stay, and what is lent for gains that go with it.

Rules: R5.2.5, R5.2.6, R5.2.8, R6.11.9, R6.11.10.
"""

from __future__ import annotations

from backstop.compiled import kernel
from backstop.core.assets import asset_of
from backstop.core.columns import OWNER_FIRST
from backstop.core.contracts import value_at_mark, value_of
from backstop.core.debts import owner_debt
from backstop.core.events import NONE, WORLD, Cause, Health, Reject
from backstop.core.fill_debts import fill_debt_of
from backstop.core.interest import others_lots
from backstop.core.ledger import post
from backstop.core.margin import assess, initial_margin, initial_margin_of, release_level
from backstop.core.noted_gains import add_own, forget_noted, gain_share, gains_there, let_gains_go, noted_of, sum_noted, take_own
from backstop.core.places import uncovered_id
from backstop.core.pockets import are_linked, is_apart
from backstop.core.shortfalls import held_gains, held_gains_of
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_ceil
from backstop.core.waterfall.claims import change_claim

__all__ = ["move_cash", "move_refusal", "withdrawal_refusal"]


@kernel
def _at_held_marks(state: State, account: int) -> tuple[int, int]:
    """Return (equity, initial margin), each position at the worst of the mark and those that the
    price guard holds.
    """
    equity, _ = assess(state, account)
    initial = initial_margin(state, account)
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        breaker = state.breakers[row.market]
        if row.lots != 0 and breaker.held_ticks != 0:
            rival = breaker.rival_ticks if breaker.rival_ticks != 0 else breaker.held_ticks
            at_held = min(value_of(state, row.market, row.lots, breaker.held_ticks), value_of(state, row.market, row.lots, rival))
            equity += min(0, at_held - value_at_mark(state, row.market, row.lots))
            others = others_lots(state, account, row.market, row.lots)
            at_held = initial_margin_of(state, row.market, row.lots, others, breaker.held_ticks)
            at_held = max(at_held, initial_margin_of(state, row.market, row.lots, others, rival))
            margin = initial_margin_of(state, row.market, row.lots, others, state.markets[row.market].mark_ticks)
            initial += max(0, at_held - margin)
        position = row.next_of_account
    return equity, initial


@kernel
def _lack(state: State, account: int) -> int:
    """Return what a linked account may yet need: its deficit, in default all up to its release
    level.
    """
    equity, _ = _at_held_marks(state, account)
    if state.accounts[account].health < Health.DISTRESSED:
        return max(0, -equity)
    _, maintenance = assess(state, account)
    return max(0, release_level(state, account, maintenance) - equity)


@kernel
def _after_withdrawal(state: State, account: int, amount: int, receiver: int) -> tuple[int, int]:
    """Return what a withdrawal leaves in an account beyond its initial margin and what linked accounts
    lack; and that with what the owner's others have to spare, beyond his debts and what those lack that
    are not linked. ``receiver``: an account that counts in neither, or NONE.

    So a winner does not leave before its twin is netted.
    """
    equity, initial = _at_held_marks(state, account)
    left = equity - amount - initial
    owner, spare = state.accounts[account].owner, 0
    other = state.columns[OWNER_FIRST, owner]
    while other != NONE:
        if other != account and other != receiver:
            other_equity, other_initial = _at_held_marks(state, other)
            if are_linked(state, account, other):
                left -= _lack(state, other)
            else:
                spare -= max(0, -other_equity)
            spare = add_checked(spare, max(0, other_equity - other_initial))
        other = state.accounts[other].next_of_owner
    return left, add_checked(left, spare) - owner_debt(state, owner)


@kernel
def _gains_taken(state: State, owner: int, amount: int, rest: int) -> int:
    """Return what a withdrawal takes of the noted gains of an owner: own money leaves first."""
    if sum_noted(state, owner) == 0:
        return 0
    there, _ = gains_there(state, owner)
    return min(amount, max(0, there - rest))


@kernel
def _lent_for(state: State, group: int, owner: int, gains: int) -> int:
    """Return what is lent for gains of a group that leave (at most those that its rate lets through)."""
    if gains == 0:
        return 0
    share = gain_share(state, group, owner)
    return mul_div_ceil(gains, share, noted_of(state, group, owner) - share)


@kernel
def _leaves_of(state: State, group: int, owner: int, taken: int) -> int:
    """Return what leaves of an owner's gains of one group, where all groups' ``taken`` should."""
    return min(taken, noted_of(state, group, owner) - gain_share(state, group, owner))


@kernel
def withdrawal_refusal(state: State, account: int, amount: int) -> int:
    """Return why a withdrawal is refused: initial margin and what linked accounts lack stay.

    So do the owner's debts to the funds, the gains that are held, what is lent for those that leave,
    and what he owes for fills, beyond what his other accounts could withdraw.
    """
    left, rest = _after_withdrawal(state, account, amount, NONE)
    if left < 0:
        return Reject.INSUFFICIENT_MARGIN
    if rest < 0:
        return Reject.DEBT_TO_FUND
    owner, lent = state.accounts[account].owner, 0
    taken = _gains_taken(state, owner, amount, rest)
    if taken > 0:
        for group in range(state.rules[0].groups):
            gains = _leaves_of(state, group, owner, taken)
            lent += _lent_for(state, group, owner, gains)
            taken -= gains
    held = add_checked(held_gains(state, owner), lent)
    if rest < held or left < lent or taken > 0:
        return Reject.GAIN_HELD
    return Reject.FILL_HELD if rest < held + fill_debt_of(state, owner) else 0


@kernel
def move_refusal(state: State, account: int, other: int, amount: int) -> int:
    """Return why money that stays with its owner does not leave an account: what it needs stays, its
    gains that are held, and into a pocket that is apart, what funds paid for its owner as well.
    """
    left, rest = _after_withdrawal(state, account, amount, other)
    if left < 0:
        return Reject.INSUFFICIENT_MARGIN
    if rest < 0 and is_apart(state, other):
        return Reject.DEBT_TO_FUND
    return Reject.GAIN_HELD if left < held_gains_of(state, account) else 0


@kernel
def _lend(state: State, account: int, group: int, lent: int) -> None:
    """Let an account pay a part of what is uncovered in a group, against a claim."""
    post(state, uncovered_id(group), account, lent, asset_of(state, account), Cause.GAIN_SHARE, NONE)
    state.engine[0].uncovered -= lent
    change_claim(state, account, group, lent)
    forget_noted(state, group)


@kernel
def _lend_for(state: State, account: int, taken: int, left: int) -> int:
    """Let gains of an account's owner go, all groups' ``taken`` if their rates let it, and lend for
    them out of ``left`` at most; return what went.
    """
    owner, gone = state.accounts[account].owner, 0
    for group in range(state.rules[0].groups):
        gains = _leaves_of(state, group, owner, taken - gone)
        if gains == 0:
            continue
        lent = min(_lent_for(state, group, owner, gains), max(0, left))
        let_gains_go(state, group, owner, gains + lent)
        if lent > 0:
            _lend(state, account, group, lent)
        gone += gains
        left -= lent
    return gone


@kernel
def _withdraw(state: State, account: int, amount: int) -> None:
    """Pay money out, and lend for the gains that leave with it."""
    owner = state.accounts[account].owner
    if sum_noted(state, owner) == 0:
        post(state, account, WORLD, -amount, asset_of(state, account), Cause.CASH, NONE)
        return
    left, rest = _after_withdrawal(state, account, amount, NONE)
    there, wealth = gains_there(state, owner)
    taken = _gains_taken(state, owner, amount, rest)
    post(state, account, WORLD, -amount, asset_of(state, account), Cause.CASH, NONE)
    gone = _lend_for(state, account, taken, left)
    take_own(state, owner, wealth - there - amount + gone)


@kernel
def move_cash(state: State, account: int, amount: int) -> None:
    """Pay an account's money in, or (below 0) out."""
    if amount < 0:
        _withdraw(state, account, -amount)
        return
    add_own(state, state.accounts[account].owner, amount)
    post(state, account, WORLD, amount, asset_of(state, account), Cause.CASH, NONE)
