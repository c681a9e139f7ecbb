"""What nobody paid of a group's losses, and how its fund pays it late (R6.10.5, R6.10.6)."""

from __future__ import annotations

from backstop.core.events import NEVER_NS, Cause, EffectKind, fund_of, uncovered_of
from backstop.reference.arithmetic import ceil_div
from backstop.reference.breakers import raise_deficit
from backstop.reference.deficit import loss_markets
from backstop.reference.funds import least_cap, next_slot_ns
from backstop.reference.state import State

__all__ = ["book_uncovered", "next_arrears_ns", "pay_arrears"]


def will_be_paid(state: State, group: int) -> bool:
    """The fund has what its group still owes: only a cap keeps it back, and no cap is 0."""
    return state.has_fund and least_cap(state.rules, group) > 0 and state.net_of_fund(group) >= 0


def book_uncovered(state: State, account: int, amount: int, group: int) -> None:
    """Book what nobody pays of an account's deficit in a group, and say so.

    The breakers of the markets of the loss count it, unless the fund will pay it.
    """
    if amount == 0:
        return
    state.note_hole(group)
    state.post(account, uncovered_of(group), amount, Cause.UNCOVERED)
    state.emit(EffectKind.RESIDUAL, account=account, other=group, amount=amount)
    if not will_be_paid(state, group):
        for market, part in parts_by_loss(state, account, amount, group):
            raise_deficit(state, market, part)


def parts_by_loss(state: State, account: int, amount: int, group: int) -> list[tuple[int, int]]:
    """Parts of an amount by what the account lost in each market of its loss, rounded up; equal
    parts where it lost in none.
    """
    results = state.results(account)
    losses = {market: max(0, -results[market]) for market in loss_markets(state, account, group)}
    if not any(losses.values()):
        losses = dict.fromkeys(losses, 1)
    return [(market, ceil_div(amount * loss, sum(losses.values()))) for market, loss in losses.items()]


def pay_arrears(state: State) -> None:
    """Each fund pays what its group still owes, as far as no cap that it has is exceeded."""
    for group, fund in enumerate(state.funds):
        left = least_cap(state.rules, group) - state.paid(group) - fund.reserved
        pay = min(state.uncovered(group), state.unreserved(group), left)
        if state.has_fund and pay > 0:
            state.post(uncovered_of(group), fund_of(group), pay, Cause.ARREARS)
            state.forget_noted(group)


def next_arrears_ns(state: State) -> int:
    """Return when arrears may be paid next, or NEVER_NS."""
    groups = range(len(state.funds))
    owes = any(state.uncovered(group) and state.unreserved(group) > 0 and least_cap(state.rules, group) > 0 for group in groups)
    return next_slot_ns(state.now, state.rules.fund.window_ns) if state.has_fund and owes else NEVER_NS
