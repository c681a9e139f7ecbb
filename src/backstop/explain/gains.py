"""Gains that leave while something of their group is uncovered: what was lent for them, worked out anew."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import GROUPS_MAX, EventArray, EventKind, Transfer, uncovered_of
from backstop.core.kinds import PostingEffect
from backstop.core.rows import GONE, GONE_EPOCH, NOTED, OWED
from backstop.core.state import State
from backstop.explain.fact import Fact
from backstop.explain.scene import Scene
from backstop.reference.arithmetic import ceil_div

__all__ = ["add_gain_share", "noted_before"]

_GROUPS = {uncovered_of(group): group for group in range(GROUPS_MAX)}


class Noted(NamedTuple):
    """The gain that is noted of an owner in a group, and what of his left, in atoms; what of the hole he
    owes, in parts of ``owed_sum``.
    """

    noted: int
    gone: int
    owed: int
    owed_sum: int


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
    rows, fund = state.noted[4 * group : 4 * group + 4, owner], state.funds[group]
    noted, owed = (int(rows[NOTED]), int(rows[OWED])) if int(fund.noted_gains) else (0, 0)
    is_present = int(rows[GONE_EPOCH]) == now_ns // int(state.rules[0].epoch_ns)
    return Noted(noted, int(rows[GONE]) if is_present else 0, owed, int(fund.owed_sum))


def add_gain_share(scene: Scene, fact: Fact) -> None:
    """Say why a withdrawal lends some of a gain to what is uncovered, and work out how much."""
    told, words = PostingEffect(scene.row), scene.speaker
    group = _GROUPS[told.receiver]
    before, fund = scene.before.noted[group], scene.books.funds[group]
    after = _noted_of(scene.state, group, int(scene.state.accounts[scene.account].owner), scene.now_ns)
    hole = max(0, -fund.net)
    share = min(before.noted, ceil_div(before.owed * hole, before.owed_sum)) if before.owed_sum else 0
    gains = after.gone - before.gone - told.amount
    name = words.fund(group)
    cash = words.cash
    fact.because += [
        f"{cash(fund.uncovered)} of the group's losses are uncovered; the {name} can pay all but {cash(hole)}",
        f"of this owner {cash(before.noted)} of gains are noted that have not left; by the gains of when the hole grew"
        f" its share is {cash(share)}",
        f"own money leaves first; of the gain {cash(gains)} leave, and their part of the share is lent to the group",
    ]
    fact.values |= {"hole": cash(hole), "noted": cash(before.noted), "share": cash(share)}
    due = ceil_div(gains * share, before.noted - share) if before.noted > share else 0
    fact.check("amount", told.amount, due)
