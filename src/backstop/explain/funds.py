"""Funds as facts: what one could still pay, with the limit that binds, and what it paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from backstop.core.events import GROUPS_MAX, NONE, Cause, EffectArray, EffectKind, Stage, SupportLimit, fund_of
from backstop.core.kinds import ResidualEffect, SupportEffect
from backstop.core.waterfall.certificate import is_plan_start
from backstop.explain.books import Books
from backstop.explain.fact import Fact
from backstop.explain.rows import Rows
from backstop.explain.scene import Scene
from backstop.journal.rendering import Row
from backstop.reference.arithmetic import split
from backstop.reference.deficit import Part
from backstop.reference.funds import FundLimit, FundView, Support, least_cap
from backstop.reference.wave import gap_to_zero

__all__ = [
    "add_fund_payment",
    "add_residual",
    "add_support",
    "available_text",
    "left_by_funds",
    "parts_at",
    "support_kept_text",
    "support_of",
    "support_text",
]

#: What stands between the payments of one deficit.
_WITHIN = (EffectKind.SUPPORT, EffectKind.POSTING, EffectKind.CLAIM, EffectKind.RESIDUAL, EffectKind.HEALTH)
#: What others pay for an account once its funds have.
_LATER = (Cause.NETTING, Cause.FILL_DEBT)


def support_text(scene: Scene, market: int, fund: FundView) -> str:
    """Say what a fund may reserve for a closing or a takeover."""
    if not fund.supports:
        return "no fund stands before ADL, to support it"
    return available_text(scene, scene.rules.markets[market].group, fund, market)


def available_text(scene: Scene, group: int, fund: FundView, market: int) -> str:
    """Say what a fund may still pay for the account in a market, or in none, with the terms of the
    limit that binds.
    """
    cash, seconds = scene.speaker.text, scene.rules.fund.window_ns / 1e9
    limit = fund.binding
    late = fund.arrears_of_all if limit == FundLimit.OWNER else fund.arrears
    uncovered = f" {cash(fund.uncovered)} that it keeps for what is uncovered and" if fund.uncovered else ""
    terms = {
        FundLimit.BALANCE: f"its balance {cash(fund.balance)} less" + uncovered,
        FundLimit.WINDOW: f"its limit {cash(fund.loss_max)} each {seconds:g} s less {cash(fund.paid)} paid and",
        FundLimit.OWNER: f"its limit {cash(fund.owner_loss_max)} an owner less {cash(fund.owner_paid)} paid and",
        FundLimit.MARKET: f"its limit {cash(fund.market_loss_max)} for a market each {seconds:g} s less {cash(fund.market_paid)} paid and",
    }[limit]
    reserved = {FundLimit.OWNER: fund.owner_reserved, FundLimit.MARKET: fund.market_reserved}.get(limit, fund.reserved)
    why = f"{terms} {cash(reserved)} reserved"
    if late and limit in (FundLimit.OWNER, FundLimit.MARKET):
        why += f" and {cash(late)} of arrears"
    about = f" in {scene.speaker.market(market)}" if limit == FundLimit.MARKET else ""
    return f"the {scene.speaker.fund(group)} has {cash(max(0, fund.left[limit]))} for it{about} ({why})"


def parts_at(books: Books, rows: Sequence[Row], account: int) -> list[Part]:
    """Return the parts of the deficit of an account without lots that its funds pay after ``rows``,
    with what they have paid of it.
    """
    paid = 0
    for row in reversed(rows):
        if row["kind"] not in _WITHIN or (row["kind"] == EffectKind.SUPPORT and row["other"] != Cause.DEFICIT):
            break
        if row["kind"] == EffectKind.POSTING and row["account"] == account:
            if row["code"] == Cause.UNCOVERED:
                break
            paid += row["amount"] * (row["code"] == Cause.DEFICIT)
    return books.parts(account, paid - books.portfolio(account).equity)


def left_by_funds(books: Books, effects: EffectArray, accounts: Sequence[int]) -> dict[int, list[Part]]:
    """Return what funds left, by the end of some effects of an event, of the parts of the deficits of
    accounts without lots, less what others bore of them.

    What was uncovered counts as left.
    """
    mine = np.isin(effects["account"], accounts) & np.isin(effects["kind"], (EffectKind.POSTING, EffectKind.SUPPORT))
    found: dict[int, list[Part]] = {}
    told: dict[int, list[Row]] = {account: [] for account in accounts}
    for row in Rows(effects[mine]):
        told[row["account"]].append(row)
    for account, rows in told.items():
        paid, borne, later, uncovered = Counter[tuple[int, int]](), Counter[int](), 0, 0
        for row in rows:
            if row["kind"] == EffectKind.SUPPORT:
                later *= row["other"] != Cause.DEFICIT
            elif row["code"] == Cause.DEFICIT:
                paid[row["other"], row["market"]] += row["amount"]
                later = 0
            elif row["code"] == Cause.HAIRCUT:
                borne[row["market"]] += row["amount"]
            elif row["code"] == Cause.UNCOVERED:
                uncovered += row["amount"]
            elif row["code"] in _LATER:
                later += row["amount"]
        lacks = borne.total() + uncovered - books.portfolio(account).equity
        # Without a fund nothing tells when it came to this: what others gave before is no part of it.
        later = later if paid or any(row["kind"] == EffectKind.SUPPORT and row["other"] == Cause.DEFICIT for row in rows) else 0
        parts = books.parts(account, lacks + later + paid.total())
        left = {part.market: part.amount - paid[fund_of(part.group), part.market] for part in parts}
        renewed = split(lacks, left) if any(left.values()) else left
        found[account] = [Part(part.group, part.market, renewed[part.market] - borne[part.market]) for part in parts]
    return found


def add_fund_payment(scene: Scene, fact: Fact) -> None:
    """Say what a fund could pay of its part of the deficit of an account without lots, and check
    that it paid all of it.
    """
    group = next(group for group in range(GROUPS_MAX) if fund_of(group) == scene.row["other"])
    market = scene.row["market"]
    fund, lacking = scene.books.fund(group, scene.account, market), -scene.portfolio.equity
    parts = parts_at(scene.books, scene.rows[: scene.place], scene.account)
    part = sum(each.amount for each in parts if (each.group, each.market) == (group, market))
    if len(parts) > 1 and market != NONE:
        share = f"{scene.speaker.cash(part)} of {scene.speaker.cash(sum(each.amount for each in parts))}"
        fact.because.append(f"the part of {scene.speaker.market(market)} is {share}, by what the account lost there")
    fact.because.append(available_text(scene, group, fund, market))
    fact.check("what the fund pays", scene.row["amount"], min(part, fund.available))
    fact.values |= {"lacking_atoms": lacking, "available_atoms": fund.available}


def support_of(scene: Scene, market: int, lots: int, cause: Cause) -> Support:
    """Return what the fund adds when the account leaves by ADL (SUPPORT) or tear-up (TEAR_UP)."""
    stages = scene.rules.stages
    fund, gap = scene.books.fund(scene.rules.markets[market].group, scene.account, market), gap_to_zero(scene.portfolio, market, lots)
    return fund.support(gap, is_asked=fund.supports if cause == Cause.SUPPORT else Stage.FUND in stages)


def support_kept_text(scene: Scene, market: int, support: Support, *, is_deficit: bool = False) -> str:
    """Say what the fund pays of a gap, and what keeps back the rest."""
    cash, group = scene.speaker.cash, scene.group_of(market)
    lacks = f"{cash(support.gap)} of the deficit are its part" if is_deficit else f"mark is {cash(support.gap)} short of zero cash"
    pays = f"{lacks}; the fund pays {cash(support.amount)} of it"
    if support.limit == SupportLimit.COVERED:
        return pays
    if support.limit == SupportLimit.STAGE:
        return f"{pays}: the waterfall asks no fund before this"
    fund = scene.books.fund(group, scene.account, market)
    why = available_text(scene, group, fund, market)
    if support.limit == SupportLimit.RESERVED:
        return f"{pays}: {why}; with nothing reserved it would have {cash(fund.free)}"
    return f"{pays}: {why}"


def add_support(scene: Scene, fact: Fact) -> None:
    """Work out what the fund adds to a gap and what kept back the rest, and check it."""
    told = SupportEffect(scene.row)
    if told.account != scene.account:
        return
    is_deficit = told.cause == Cause.DEFICIT
    if is_deficit:
        group = scene.group_of(told.market)
        parts = parts_at(scene.books, scene.rows[: scene.place], scene.account)
        part = sum(each.amount for each in parts if (each.group, each.market) == (group, told.market))
        support = scene.books.fund(group, scene.account, told.market).support(part, is_asked=True)
    else:
        acts = (EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
        act = next(row for row in reversed(scene.rows[: scene.place]) if row["kind"] in acts)
        support = support_of(scene, told.market, abs(act["lots"]), told.cause)
        if support.limit != SupportLimit.STAGE:
            support = _beside_others(scene, fact, told, support)
    fact.because.append(support_kept_text(scene, told.market, support, is_deficit=is_deficit))
    fact.check("gap", told.gap, support.gap)
    fact.check("what the fund pays of the gap", told.support, support.amount)
    fact.check("what the fund has for it", told.available, support.available)
    fact.check("what keeps back the rest", told.limit.name, support.limit.name)
    fact.values |= {"limit": told.limit.name.lower(), "gap_atoms": told.gap, "available_atoms": told.available}
    if told.support:
        scene.expected[int(told.cause)] = told.support


def _beside_others(scene: Scene, fact: Fact, told: SupportEffect[int], alone: Support) -> Support:
    """Return what the fund adds to a gap in an ADL plan or a tear-up: where others of it have one too,
    it is split by gap; check what all of them get.
    """
    told_of = list[SupportEffect[int]]()
    for row in scene.rows[_start_of_plan(scene, told) :]:
        if row["kind"] == EffectKind.SUPPORT:
            told_of.append(SupportEffect(row))
        elif row["kind"] not in (EffectKind.ADL_PLAN, EffectKind.TEAR_UP):
            break
    if len(told_of) == 1:
        return alone
    fund = scene.books.fund(scene.rules.markets[told.market].group, scene.account, told.market)
    gaps, paid = sum(each.gap for each in told_of), sum(each.support for each in told_of)
    able = min(fund.available_to_all, fund.available_to_market)
    fact.because.append(
        f"{len(told_of):,} accounts that leave together lack {scene.speaker.cash(gaps)} together: the fund's part is split by gap"
    )
    if all(each.limit != SupportLimit.OWNER for each in told_of):
        fact.check("what the fund pays of all gaps", paid, min(gaps, able))
    fact.check("no more than it has for the account", told.support <= min(alone.gap, alone.available), True)
    return fund.share(alone.gap, told.support)


def _start_of_plan(scene: Scene, told: SupportEffect[int]) -> int:
    """Return where the ADL plan or the tear-up begins that a SUPPORT belongs to."""
    first = scene.place
    if told.cause == Cause.SUPPORT:
        while not is_plan_start(scene.effects, first):
            first -= 1
        return first
    while first > 0 and scene.rows[first - 1]["kind"] in (EffectKind.TEAR_UP, EffectKind.SUPPORT):
        first -= 1
    return first


def add_residual(scene: Scene, fact: Fact) -> None:
    """Say why the fund of a group did not pay what stays uncovered there, and check how much that
    is.
    """
    rules, books, told = scene.rules, scene.books, ResidualEffect(scene.row)
    group, left = told.group, left_by_funds(scene.books, scene.effects[: scene.place], [scene.account])[scene.account]
    parts = [part for part in left if part.group == group and part.amount]
    fact.check("what is left of the group's part", told.amount, sum(part.amount for part in parts))
    if Stage.FUND not in rules.stages:
        fact.because.append("this venue's waterfall has no fund")
    else:
        for part in parts:
            fact.because.append(available_text(scene, group, books.fund(group, scene.account, part.market), part.market))
    if Stage.FUND in rules.stages and least_cap(rules, group) > 0 and books.funds[group].net >= 0:
        fact.because.append("only a cap keeps it back: the fund pays it as its window frees, before any claim")
    else:
        fact.because.append("nobody was left to pay it: it stands on the venue's books as uncovered")
