"""What a fund pays for an account, and what goes back to it, as facts."""

from __future__ import annotations

from backstop.core.events import GROUPS_MAX, NONE, Cause, EffectKind, fund_of
from backstop.core.kinds import ClaimEffect, PostingEffect
from backstop.explain.fact import Fact
from backstop.explain.scene import Scene
from backstop.journal.rendering import time_text
from backstop.reference.arithmetic import split

__all__ = ["add_debt", "add_return", "add_set_off", "is_set_off"]

_GROUPS = {fund_of(group): group for group in range(GROUPS_MAX)}
_PAYMENTS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)


def add_debt(scene: Scene, fact: Fact) -> None:
    """Say what the account owes a fund for what it pays."""
    paid, words = PostingEffect(scene.row), scene.speaker
    set_off = scene.books.set_off
    debt = paid.amount - set_off
    if set_off:
        fact.because.append(f"{words.cash(set_off)} of it are set off against what the fund owed the owner for socialised losses")
    if debt:
        until = time_text(scene.now_ns + scene.rules.fund.owner_memory_ns)
        fact.because.append(f"{words.cash(debt)} are a debt of the account to the fund, returned out of what it later has above its")
        fact.because.append("  release level when its default ends, or above zero without a position; until then, and to")
        fact.because.append(f"  {until} at the latest, it limits what the owner withdraws")
    fact.values["debt"] = words.cash(debt)


def add_return(scene: Scene, fact: Fact) -> None:
    """Work out what goes back to a fund: the account's equity above its release level, by what each
    fund paid.
    """
    told, words = PostingEffect(scene.row), scene.speaker
    before = scene.place
    debts, equity = dict(scene.mine.debts), scene.portfolio.equity
    while before > 0 and _is_return(scene, before - 1):
        before -= 1
        debts[_GROUPS[scene.rows[before]["account"]]] += scene.rows[before]["amount"]
        equity += scene.rows[before]["amount"]
    debts = {group: debt for group, debt in debts.items() if debt}
    release, owed = scene.portfolio.standing.release, sum(debts.values())
    back = min(max(0, equity - release), owed)
    parts = split(back, debts) if back else {}
    fact.check("returned", told.amount, parts.get(_GROUPS[told.receiver], 0))
    why = "its default ends" if scene.portfolio.held else "it has no position left"
    above = f"release level {words.cash(release)}" if scene.portfolio.held else "zero"
    fact.because.append(f"{why} with equity {words.cash(equity)}: what is above {above} returns what funds paid for it, {words.cash(owed)}")
    fact.values |= {"owed": words.cash(owed), "returned": words.cash(back)}


def _is_return(scene: Scene, place: int) -> bool:
    row = scene.rows[place]
    return row["kind"] == EffectKind.POSTING and row["code"] == Cause.DEBT_RETURN and row["other"] == scene.account


def is_set_off(scene: Scene) -> bool:
    """Return whether the CLAIM at hand falls because a fund pays for its owner."""
    claim = ClaimEffect(scene.row)
    before = scene.rows[scene.place - 1] if scene.place else None
    return claim.change < 0 and (before is None or (before["kind"], before["code"]) != (EffectKind.POSTING, Cause.RECOVERY))


def add_set_off(scene: Scene, fact: Fact) -> None:
    """Work out by how much a fund's payment lowers a claim of its owner."""
    claim, words = ClaimEffect(scene.row), scene.speaker
    paid = next((row for row in scene.rows[scene.place :] if row["kind"] == EffectKind.POSTING and row["code"] in _PAYMENTS), None)
    payer, amount = (NONE, 0) if paid is None else (paid["other"], paid["amount"])
    left = amount - scene.books.set_off
    fact.check("fund that pays", payer, fund_of(claim.group))
    fact.check("change", claim.change, -min(left, scene.mine.claims.get(claim.group, 0)))
    fact.check("claim", claim.claim, scene.mine.claims.get(claim.group, 0) + claim.change)
    receiver = "nobody" if paid is None else words.holder(paid["account"])
    fact.because.append(f"the {words.fund(claim.group)} pays {words.cash(amount)} for {receiver}, of the same owner: set off")
