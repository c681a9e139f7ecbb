"""Gains that leave while something of their group is uncovered: what was lent for them, worked out anew."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import GROUPS_MAX, EventArray, EventKind, Transfer, uncovered_of
from backstop.core.kinds import PostingEffect
from backstop.core.rows import GONE, GONE_EPOCH, NOTED
from backstop.core.state import State
from backstop.explain.fact import Fact
from backstop.explain.scene import Scene
from backstop.reference.arithmetic import ceil_div

__all__ = ["add_gain_share", "noted_before"]

_GROUPS = {uncovered_of(group): group for group in range(GROUPS_MAX)}


class Noted(NamedTuple):
    """The gain that is noted of an owner in a group, that of all owners, and what of his left. Atoms."""

    noted: int
    noted_sum: int
    gone: int


def noted_before(state: State, event: EventArray) -> list[Noted]:
    """Return what is noted, by group, of the owner whose account an event takes cash out of; of another
    event nothing.
    """
    kind, code, account, amount = (int(event[name][0]) for name in ("kind", "code", "account", "amount"))
    if (kind, code) != (EventKind.TRANSFER, Transfer.CASH) or amount >= 0 or not 0 <= account < int(state.engine[0].accounts_now):
        return []
    now_ns, owner = int(event["time_ns"][0]), int(state.accounts[account].owner)
    return [_noted_of(state, group, owner, now_ns) for group in range(len(state.funds))]


def _noted_of(state: State, group: int, owner: int, now_ns: int) -> Noted:
    rows, noted_sum = state.noted[3 * group : 3 * group + 3, owner], int(state.funds[group].noted_gains)
    is_present = int(rows[GONE_EPOCH]) == now_ns // int(state.rules[0].epoch_ns)
    return Noted(int(rows[NOTED]) if noted_sum else 0, noted_sum, int(rows[GONE]) if is_present else 0)


def add_gain_share(scene: Scene, fact: Fact) -> None:
    """Say why a withdrawal lends some of a gain to what is uncovered, and work out how much."""
    told, words = PostingEffect(scene.row), scene.speaker
    group = _GROUPS[told.receiver]
    before, fund = scene.before.noted[group], scene.books.funds[group]
    after = _noted_of(scene.state, group, int(scene.state.accounts[scene.account].owner), scene.now_ns)
    hole = max(0, fund.uncovered - (fund.balance - fund.reserved))
    share = min(before.noted, ceil_div(before.noted * hole, before.noted_sum))
    gains = after.gone - before.gone - told.amount
    name = words.fund(group)
    cash = words.cash
    fact.because += [
        f"{cash(fund.uncovered)} of the group's losses are uncovered; the {name} can pay all but {cash(hole)}",
        f"gains noted then that have not left are {cash(before.noted_sum)}, this owner's {cash(before.noted)}: its share is {cash(share)}",
        f"own money leaves first; of the gain {cash(gains)} leave, and their part of the share is lent to the group",
    ]
    fact.values |= {"hole": cash(hole), "noted": cash(before.noted), "noted of all": cash(before.noted_sum)}
    due = ceil_div(gains * share, before.noted - share) if before.noted > share else 0
    fact.check("amount", told.amount, due)
