"""What a run came to for the people that it touched, as one record: who paid, who was asked, how
long it took, and what need not have been.

Every comparison of rules, venues or policies compares these records. They are counted from effects
alone, so that a run, or a journal of it, gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from backstop.config import Venue
from backstop.core.events import NONE, AdlClass, BreakerState, Cause, SupportLimit, uncovered_of
from backstop.core.kinds import (
    AccountEvent,
    AdlFillEffect,
    AdlPlanEffect,
    Columns,
    HaircutEffect,
    HealthEffect,
    PostingEffect,
    ProviderEffect,
    SupportEffect,
)
from backstop.runs.defaults import entries
from backstop.runs.fold import Fold, Ints, Reader, reads
from backstop.runs.liquidations import Default, DefaultLog, Verdict
from backstop.runs.result import ReplayResult
from backstop.runs.stops import BreakerTally
from backstop.runs.tally import Tally

__all__ = ["UNNAMED", "Outcome", "OutcomeTally"]

#: What kept a fund back where the record does not say.
UNNAMED = "not told"
#: Causes of what a fund pays for losses.
_FUND_PAYS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP, Cause.ARREARS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. Money in atoms, times in seconds."""

    accounts: int
    #: Accounts that came into default, each once, and the times that one did.
    defaults: int
    default_entries: int
    #: What the funds paid, late or at once, and the part of it that was for providers.
    fund_paid: int
    fund_paid_for_providers: int
    #: What providers lost, each with its positions at the last mark, and what the others won.
    providers_paid: int
    providers_won: int
    #: What winners paid: beyond mark in ADL, and in cuts or as what they lent for gains that left.
    adl_paid: int
    cuts_paid: int
    #: The part of it that the fund of the group still held at the end of the same event, and what
    #: kept the fund back.
    paid_while_fund_held: int
    kept_back_by: dict[str, int]
    #: What nobody has paid so far.
    uncovered: int
    #: Accounts deleveraged, those of them that were solvent; owners asked, and fills.
    adl_accounts: int
    adl_solvent: int
    adl_owners: int
    adl_fills: int
    #: Times that a breaker halted, and the seconds that it lasted, over all machines.
    halts: int
    halted_seconds: float
    #: Defaults in which the last lots were closed: how long that took; and how long the longest of
    #: all defaults lasted.
    flat: int
    flat_median_seconds: float
    flat_p95_seconds: float
    flat_most_seconds: float
    longest_seconds: float
    #: Defaults of accounts of providers, and whose.
    provider_defaults: int
    providers_in_default: tuple[str, ...]
    #: Returns into default within an hour of its end: in all, and the most of one account.
    returns: int
    returns_most: int
    #: Defaults in which lots were closed, and what they cost: notional at mark, fees and charges.
    liquidations: int
    closed: int
    costs: int
    #: Those that were premature, the accounts that they befell, and what they cost.
    premature: int
    premature_accounts: int
    premature_closed: int
    premature_costs: int
    #: Those that the record ends too early to tell.
    undecided: int
    #: SHA-256 of the economic state at the end.
    digest: str = ""

    @property
    def winners_paid(self) -> int:
        """What winners paid in all."""
        return self.adl_paid + self.cuts_paid

    @property
    def returns_mean(self) -> float:
        """Returns for each account that was ever in default."""
        return self.returns / self.defaults if self.defaults else 0.0

    def as_json(self, venue: Venue) -> dict[str, Any]:
        """Return the record as one object; money is a decimal text with its asset."""

        def money(atoms: int) -> str:
            return f"{venue.asset.text(atoms)} {venue.asset.name}"

        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values |= {name: money(values[name]) for name in MONEY} | {"winners_paid": money(self.winners_paid)}
        kept_back = {name: money(part) for name, part in self.kept_back_by.items()}
        return values | {"kept_back_by": kept_back, "returns_mean": round(self.returns_mean, 3)}


#: Fields that are money.
MONEY = (
    *("fund_paid", "fund_paid_for_providers", "providers_paid", "providers_won", "adl_paid", "cuts_paid", "paid_while_fund_held"),
    *("uncovered", "closed", "costs", "premature_closed", "premature_costs"),
)


@dataclass(slots=True)
class _Winners:
    """What winners of one group paid in one event, by what it was for, and what kept the fund
    back.
    """

    adl: int = 0
    cuts: int = 0
    #: Parts of gaps that the fund did not pay, by limit: in ADL, and elsewhere.
    of_adl: dict[str, int] = field(default_factory=dict)
    of_cuts: dict[str, int] = field(default_factory=dict)


class OutcomeTally(Reader):
    """Counts an outcome; joins the fold of a tally before the run begins."""

    def __init__(self, tally: Tally) -> None:
        fold = tally.fold
        fold.venue.need_one_asset("an outcome")
        self.tally = tally
        self.breakers: BreakerTally = tally.breakers
        self._balance = [0] * len(fold.funds)
        self._owner: dict[int, int] = {}
        self._providers: dict[int, int] = {}
        self._provider_entries: dict[int, int] = {}
        self._fund_paid = self._for_providers = self._adl_paid = self._cuts_paid = self._uncovered = 0
        self._held = 0
        self._kept_back: dict[str, int] = {}
        self._deleveraged: set[int] = set()
        self._solvent: set[int] = set()
        self._asked: set[int] = set()
        self._fills = 0
        fold.join(self)
        self._defaults = fold.join(DefaultLog(fold))

    # -- what goes in

    def take_batch(self, fold: Fold) -> None:
        """Note owners and balances of the funds, and what winners paid beside what those held."""
        opened = AccountEvent[Columns](fold.events)
        self._owner.update(zip(opened.account.tolist(), opened.owner.tolist(), strict=True))
        paid = self._winners(fold)
        for group, fund in enumerate(fold.funds):
            rows = fold.rows(PostingEffect[Columns])
            rows = rows.where((rows.receiver == fund) | (rows.payer == fund))
            # The balance after each posting, in the order of events.
            after = self._balance[group] + np.cumsum(np.where(rows.receiver == fund, rows.amount, -rows.amount))
            for (seq, of_group), winners in paid.items():
                if of_group == group:
                    place = int(np.searchsorted(rows.seq, seq, side="right"))
                    self._keep(winners, int(after[place - 1]) if place else self._balance[group])
            if len(after):
                self._balance[group] = int(after[-1])

    def _winners(self, fold: Fold) -> dict[tuple[int, int], _Winners]:
        """Return what winners paid in the batch, by event and group."""
        found: dict[tuple[int, int], _Winners] = {}
        fills, cuts, supports = fold.rows(AdlFillEffect[Columns]), fold.rows(HaircutEffect[Columns]), fold.rows(SupportEffect[Columns])
        group_of = np.array([market.group for market in fold.rules.markets], dtype=np.int64)
        marks = fold.mark.at(fills.seq, fills.market)
        # Lots that change hands at mark bring minus their worth.
        beyond = -fold.contracts.beyond_mark(fills.market, fills.lots, marks, fills.cash)
        for seq, group, amount in _rows(fills.seq, group_of[fills.market], beyond):
            if amount:
                found.setdefault((seq, group), _Winners()).adl += amount
        for seq, group, amount in _rows(cuts.seq, group_of[cuts.market], cuts.amount):
            found.setdefault((seq, group), _Winners()).cuts += amount
        groups = np.where(supports.market == NONE, 0, group_of[supports.market])
        for seq, group, left, limit, cause in _rows(supports.seq, groups, supports.gap - supports.support, supports.limit, supports.cause):
            if left > 0 and (winners := found.get((seq, group))) is not None:
                parts = winners.of_adl if cause == Cause.SUPPORT else winners.of_cuts
                name = SupportLimit(limit).name.lower()
                parts[name] = parts.get(name, 0) + left
        self._adl_paid += sum(winners.adl for winners in found.values())
        self._cuts_paid += sum(winners.cuts for winners in found.values())
        return found

    def _keep(self, winners: _Winners, balance: int) -> None:
        """Count what winners paid although the fund held it, by what kept the fund back."""
        paid = max(0, winners.adl) + winners.cuts
        held = min(paid, max(0, balance))
        self._held += held
        if not held:
            return
        weights: dict[str, int] = {}
        for amount, parts in ((max(0, winners.adl), winners.of_adl), (winners.cuts, winners.of_cuts)):
            whole = sum(parts.values())
            named = parts if whole else {UNNAMED: 1}
            for name, part in named.items() if amount else ():
                weights[name] = weights.get(name, 0) + amount * part // (whole or 1)
        split = {name: held * weight // sum(weights.values()) for name, weight in weights.items()}
        # The largest takes what rounding leaves.
        split[max(split, key=lambda name: (split[name], name))] += held - sum(split.values())
        for name, part in split.items():
            self._kept_back[name] = self._kept_back.get(name, 0) + part

    @reads(PostingEffect)
    def _add_postings(self, rows: PostingEffect[Columns], fold: Fold) -> None:
        pays = rows.where(np.isin(rows.payer, fold.funds) & np.isin(rows.cause, _FUND_PAYS))
        self._fund_paid += sum(pays.amount.tolist())
        if self._providers:
            for_them = pays.where(np.isin(pays.receiver, list(self._providers)))
            self._for_providers += sum(for_them.amount.tolist())
        self._cuts_paid += sum(rows.amount[rows.cause == Cause.GAIN_SHARE].tolist())
        for group in range(len(fold.funds)):
            owes = uncovered_of(group)
            self._uncovered += sum(rows.amount[rows.payer == owes].tolist()) - sum(rows.amount[rows.receiver == owes].tolist())

    @reads(ProviderEffect)
    def _add_providers(self, rows: ProviderEffect[Columns], fold: Fold) -> None:
        self._providers.update(zip(rows.account.tolist(), rows.provider.tolist(), strict=True))

    @reads(HealthEffect)
    def _add_health(self, rows: HealthEffect[Columns], fold: Fold) -> None:
        for account in fold.once(entries).account.tolist():
            if account in self._providers:
                self._provider_entries[account] = self._provider_entries.get(account, 0) + 1

    @reads(AdlPlanEffect)
    def _add_plans(self, rows: AdlPlanEffect[Columns], fold: Fold) -> None:
        self._deleveraged.update(rows.account.tolist())
        self._solvent.update(rows.account[rows.equity >= 0].tolist())

    @reads(AdlFillEffect)
    def _add_fills(self, rows: AdlFillEffect[Columns], fold: Fold) -> None:
        # Defaulters of both sides close against each other: nobody is asked.
        crossed = rows.adl_class == AdlClass.CROSSED
        self._deleveraged.update(rows.account[crossed].tolist())
        asked = rows.where(~crossed)
        self._fills += len(asked)
        self._asked.update(self._owner[account] for account in asked.account[asked.account >= 0].tolist())

    # -- what comes of it

    def outcome(self, result: ReplayResult) -> Outcome:
        """Return the outcome of the run that was counted, once it has ended."""
        profits = [standing.profit for standing in result.standings]
        machines = [(row.stops, row.spent_until(result.last_ns)) for row in self.breakers.machines.values()]
        return Outcome(
            accounts=result.accounts,
            defaults=self.tally.defaults,
            default_entries=self.tally.default_entries,
            fund_paid=self._fund_paid,
            fund_paid_for_providers=self._for_providers,
            providers_paid=sum(-profit for profit in profits if profit < 0),
            providers_won=sum(profit for profit in profits if profit > 0),
            adl_paid=self._adl_paid,
            cuts_paid=self._cuts_paid,
            paid_while_fund_held=self._held,
            kept_back_by=dict(sorted(self._kept_back.items())),
            uncovered=self._uncovered,
            adl_accounts=len(self._deleveraged),
            adl_solvent=len(self._solvent),
            adl_owners=len(self._asked),
            adl_fills=self._fills,
            halts=sum(count for stops, _ in machines for (_, state), count in stops.items() if state == BreakerState.HALTED),
            halted_seconds=sum(spent.get(BreakerState.HALTED, 0) for _, spent in machines) / 1e9,
            provider_defaults=sum(self._provider_entries.values()),
            providers_in_default=tuple(result.venue.providers[self._providers[account]].name for account in sorted(self._provider_entries)),
            digest=result.digest,
            **self._followed(result.last_ns),
        )

    def _followed(self, last_ns: int) -> dict[str, Any]:
        """Return the figures of the defaults one by one."""
        log = self._defaults
        waits = np.array([(each.flat_ns - each.since_ns) / 1e9 for each in log.all if each.flat_ns is not None])
        lasted = [(last_ns if each.ended_ns is None else each.ended_ns) - each.since_ns for each in log.all]
        liquidations = [(each, log.path.verdict(each.holding)) for each in log.all if each.holding is not None]
        early = [each for each, verdict in liquidations if verdict is Verdict.RECOVERS]
        return {
            "flat": len(waits),
            "flat_median_seconds": float(np.median(waits)) if len(waits) else 0.0,
            "flat_p95_seconds": float(np.percentile(waits, 95)) if len(waits) else 0.0,
            "flat_most_seconds": float(waits.max()) if len(waits) else 0.0,
            "longest_seconds": max(lasted, default=0) / 1e9,
            "returns": sum(log.returns.values()),
            "returns_most": max(log.returns.values(), default=0),
            "liquidations": len(liquidations),
            **_cost("", [each for each, _ in liquidations]),
            "premature": len(early),
            "premature_accounts": len({each.account for each in early}),
            **_cost("premature_", early),
            "undecided": sum(verdict is Verdict.UNDECIDED for _, verdict in liquidations),
        }


def _cost(what: str, defaults: list[Default]) -> dict[str, int]:
    return {f"{what}closed": sum(each.closed for each in defaults), f"{what}costs": sum(each.costs for each in defaults)}


def _rows(*columns: Ints) -> Any:
    return zip(*(column.tolist() for column in columns), strict=True)
