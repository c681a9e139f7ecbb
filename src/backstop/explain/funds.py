"""Funds as facts: what one could still pay, with the limit that binds, and what it paid."""

from __future__ import annotations

from backstop.core.events import GROUPS_MAX, EffectKind, Stage, fund_of
from backstop.explain.fact import Fact
from backstop.explain.scene import Scene
from backstop.reference.funds import FundLimit, FundView

__all__ = ["add_fund_payment", "add_gap_payment", "add_residual", "available_text", "support_text"]


def support_text(scene: Scene, market: int, fund: FundView) -> str:
    """Say what a fund may reserve for a closing or a takeover."""
    if not fund.supports:
        return "no fund stands before ADL, to support it"
    return available_text(scene, scene.rules.markets[market].group, fund)


def available_text(scene: Scene, group: int, fund: FundView) -> str:
    """Say what a fund may still pay for the account, with the terms of the limit that binds."""
    cash, seconds = scene.speaker.venue.asset.text, scene.rules.fund.window_ns / 1e9
    limit = fund.binding
    why = {
        FundLimit.BALANCE: f"its balance {cash(fund.balance)} less {cash(fund.reserved)} reserved",
        FundLimit.WINDOW: (
            f"its limit {cash(fund.loss_max)} each {seconds:g} s less {cash(fund.paid)} paid and {cash(fund.reserved)} reserved"
        ),
        FundLimit.OWNER: (
            f"its limit {cash(fund.owner_loss_max)} an owner less {cash(fund.owner_paid)} paid and {cash(fund.owner_reserved)} reserved"
        ),
    }[limit]
    return f"the {scene.speaker.fund(group)} has {cash(max(0, fund.left[limit]))} for it ({why})"


def add_fund_payment(scene: Scene, fact: Fact) -> None:
    """Say what a fund could pay for an account that nothing is left of, and check that it paid all
    of it.
    """
    group = next(group for group in range(GROUPS_MAX) if fund_of(group) == scene.row["other"])
    fund, lacking = scene.books.fund(group, scene.account), -scene.portfolio.equity
    fact.because.append(available_text(scene, group, fund))
    fact.check("what the fund pays", scene.row["amount"], min(lacking, fund.available))
    fact.values |= {"lacking_atoms": lacking, "available_atoms": fund.available}


def add_gap_payment(scene: Scene, fact: Fact, gap: int) -> None:
    """Say what the fund pays of the gap that a tear-up leaves, and check it."""
    row, rules = scene.row, scene.rules
    if gap == 0:
        return
    group = rules.markets[row["market"]].group
    following = scene.rows[scene.place + 1]
    pays = following["kind"] == EffectKind.POSTING and following["account"] == scene.account and following["other"] == fund_of(group)
    paid = following["amount"] if pays else 0
    available = scene.books.fund(group, scene.account).available if Stage.FUND in rules.stages else 0
    fact.check("what the fund pays of the gap", paid, min(gap, available))
    fact.because.append(f"mark is {scene.speaker.cash(gap)} short of zero cash; the fund pays {scene.speaker.cash(paid)} of it")


def add_residual(scene: Scene, fact: Fact) -> None:
    """Say why the funds did not pay what stays uncovered, and check that they had nothing left for
    it.
    """
    rules = scene.rules
    funds = [scene.books.fund(group, scene.account) for group in range(len(rules.funds))]
    torn = scene.acted(EffectKind.TEAR_UP)
    if Stage.FUND not in rules.stages:
        fact.because.append("this venue's waterfall has no fund")
    elif torn and scene.mine.held(torn[-1]["market"]) == 0:
        group = rules.markets[torn[-1]["market"]].group
        fact.because.append(available_text(scene, group, funds[group]))
        fact.check("what the fund could pay", 0, funds[group].available)
    else:
        fact.because += [available_text(scene, group, fund) for group, fund in enumerate(funds)]
    fact.because.append("nobody was left to pay it: it stands on the venue's books as uncovered")
