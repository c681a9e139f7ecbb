"""What a replay came to, as one object: the figures behind the table, the JSON and whatever reads
either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backstop.config import Asset, Venue
from backstop.core.events import Health, Stage, fund_of, uncovered_of
from backstop.core.margin import assess
from backstop.core.places import house_slot
from backstop.core.state import State
from backstop.feeds.columns import time_text
from backstop.runs.backers import Backer, BackerStanding
from backstop.runs.stops import name_of
from backstop.runs.tally import Conservation, Tally

__all__ = ["AtOpening", "FundResult", "Lasting", "ReplayResult", "claims_of", "funds_of", "lasting_of"]


@dataclass(frozen=True, slots=True)
class FundResult:
    """The insurance fund of one market group, in atoms."""

    group: str
    asset: Asset
    opening_atoms: int
    closing_atoms: int
    #: What nobody has paid of the group's losses.
    uncovered_atoms: int


#: Accounts that are named of those in default at the opening.
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class AtOpening:
    """The accounts that the opening of a run puts into default: below maintenance margin at the first
    marks.
    """

    accounts: int = 0
    #: The first of them.
    named: tuple[str, ...] = ()

    @classmethod
    def of(cls, accounts: Sequence[int], names: Sequence[str]) -> AtOpening:
        """Name the first of some accounts, given by number."""
        return cls(len(accounts), tuple(names[number] if number < len(names) else f"account {number}" for number in accounts[:_NAMED_MAX]))


@dataclass(frozen=True, slots=True)
class Lasting:
    """The accounts of an asset that are in default when a run ends: no row of its table has what they
    lack.
    """

    accounts: int = 0
    #: Of them those with equity below zero, and what they lack together.
    insolvent: int = 0
    lacks_atoms: int = 0


def lasting_of(state: State) -> tuple[Lasting, ...]:
    """Return which accounts are in default now, by asset."""
    health = state.accounts["health"][: int(state.engine[0].accounts_now)]
    equities: list[list[int]] = [[] for _ in state.assets]
    for account in np.flatnonzero(health >= Health.DISTRESSED).tolist():
        equities[int(state.account_assets[account])].append(int(assess(state, account)[0]))
    below = [[equity for equity in mine if equity < 0] for mine in equities]
    return tuple(Lasting(len(mine), len(lacking), -sum(lacking)) for mine, lacking in zip(equities, below, strict=True))


def funds_of(venue: Venue, state: State) -> tuple[FundResult, ...]:
    """Return what every group's fund was given at the start and holds now."""

    def balance(ledger_id: int) -> int:
        return int(state.house[int(house_slot(ledger_id))])

    return tuple(
        FundResult(name, venue.asset_of_group(group), opening, balance(fund_of(group)), -balance(uncovered_of(group)))
        for group, (name, opening) in enumerate(zip(venue.groups, venue.fund_opening_atoms, strict=True))
    )


def claims_of(state: State) -> tuple[int, ...]:
    """Return the claims that stand, by asset."""
    claims = [0] * len(state.assets)
    for asset, atoms in zip(state.funds["asset"].tolist(), state.funds["claims"].tolist(), strict=True):
        claims[asset] += atoms
    return tuple(claims)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to."""

    venue: Venue
    tally: Tally
    conservation: Conservation
    #: Events that the engine took: outside ones, the book's answers, its clock.
    events: int
    outside_events: int
    accounts: int
    #: Markets that had a price.
    markets: int
    #: One a market group.
    funds: tuple[FundResult, ...]
    #: How every provider stands at the end, by number.
    standings: tuple[BackerStanding, ...]
    #: Claims that are not recovered at the end, by asset.
    claims_atoms: tuple[int, ...]
    #: By asset.
    lasting: tuple[Lasting, ...]
    #: SHA-256 of the economic state at the end.
    digest: str
    #: Engine and simulated book only.
    engine_seconds: float
    seconds: float
    impact: bool
    seed: int | None
    first_ns: int
    last_ns: int
    #: Path, batches, events and chain of the journal; None: none was kept.
    journal: dict[str, Any] | None
    warnings: tuple[str, ...] = ()
    #: What was read and did not fit: prices, accounts, opening imbalance.
    feeds: dict[str, Any] = field(default_factory=dict)
    at_opening: AtOpening = AtOpening()

    @property
    def fund_opening_atoms(self) -> int:
        """What the funds of all groups were given at the start; of a venue of one asset."""
        return sum(fund.opening_atoms for fund in self.funds_in(self.venue.asset))

    @property
    def fund_closing_atoms(self) -> int:
        """What the funds of all groups hold at the end; of a venue of one asset."""
        return sum(fund.closing_atoms for fund in self.funds_in(self.venue.asset))

    def funds_in(self, asset: Asset) -> tuple[FundResult, ...]:
        """Return the funds in an asset."""
        return tuple(fund for fund in self.funds if fund.asset == asset)

    def as_json(self) -> dict[str, Any]:
        """Return the result as one object; money is a decimal text with its asset.

        Of a venue of several assets what was closed and paid stands under ``assets``, each by itself.
        """
        parts = [self._of_asset(number) for number in range(len(self.venue.assets))]
        if len(parts) == 1:
            money = parts[0]
        else:
            money = {"assets": {asset.name: part for asset, part in zip(self.venue.assets, parts, strict=True)}}
        return {
            "venue": {"name": self.venue.name, "hash": self.venue.hash},
            "accounts": self.accounts,
            "markets": self.markets,
            "events": self.events,
            "outside_events": self.outside_events,
            "effects": self.tally.effects,
            "defaults": self.tally.defaults,
            "default_entries": self.tally.default_entries,
            **money,
            "providers": [self._provider(number) for number in range(len(self.venue.providers))],
            "breakers": self.tally.breakers.as_json(self.venue, self.last_ns),
            "halted": [name_of(self.venue, number) for number in sorted(self.tally.halted)],
            "guard": self.tally.guard.as_json(self.venue),
            "conservation": self._conservation(),
            "refused": {code.name.lower(): count for code, count in sorted(self.tally.refused.items())},
            "digest": self.digest,
            "engine_seconds": round(self.engine_seconds, 6),
            "seconds": round(self.seconds, 6),
            "impact": self.impact,
            "seed": self.seed,
            "first": time_text(self.first_ns),
            "last": time_text(self.last_ns),
            "warnings": list(self.warnings),
            "feeds": self.feeds,
            "journal": self.journal,
        }

    def _of_asset(self, number: int) -> dict[str, Any]:
        """Return what was closed and paid in an asset; of several, its accounts in default, too."""
        tally, asset = self.tally.by_asset[number], self.venue.assets[number]
        counts = {} if len(self.venue.assets) == 1 else {"defaults": tally.defaults, "default_entries": tally.default_entries}
        return {**counts, **self._waterfall(tally, asset, number), "fund": self._fund(asset)}

    def _waterfall(self, tally: Tally, asset: Asset, number: int) -> dict[str, Any]:
        money, lasting = asset.money, self.lasting[number]
        backers = tally.backers.rows
        return {
            "stages": [
                {"name": row.stage.name.lower(), "accounts": row.accounts, "notional": money(row.notional), "paid": money(row.paid)}
                for row in tally.stages()
            ],
            "paid_for_providers": _paid_for(tally.backers.paid_for, asset),
            "deficit": money(tally.deficit_atoms),
            "arrears": money(tally.arrears_atoms),
            "lent_for_gains": money(tally.lent_atoms),
            "uncovered": money(tally.uncovered_atoms),
            "in_default_at_opening": {"accounts": self.at_opening.accounts, "first": list(self.at_opening.named)},
            "in_default_at_end": {
                "accounts": lasting.accounts,
                "insolvent": lasting.insolvent,
                "lacks": money(lasting.lacks_atoms),
            },
            "liquidation_fees": money(tally.fees_atoms),
            "closing_charges": money(tally.charges_atoms),
            "debts_returned": money(tally.returned_atoms),
            "netting": {"accounts": tally.count("netted"), "givers": tally.count("netting"), "amount": money(tally.netted_atoms)},
            "takeover": {
                "offers": sum(row.offers for row in backers),
                "takeovers": sum(row.takeovers for row in backers),
                "failures": sum(row.failures for row in backers),
                "below_mark": money(sum(row.edge for row in backers)),
                "support": money(sum(row.support for row in backers)),
            },
            "disposal": {"fills": tally.disposal_fills, "notional": money(tally.disposed_atoms)},
            "adl_counterparties": tally.count("adl_counterparty"),
            "socialise": {"accounts": tally.count("SOCIALISE"), "charged": money(tally.charged_atoms)},
            "claims": {
                "issued": money(tally.claims_issued_atoms),
                "recovered": money(tally.claims_recovered_atoms),
                "outstanding": money(self.claims_atoms[number]),
            },
        }

    def _fund(self, asset: Asset) -> dict[str, Any]:
        money, funds = asset.money, self.funds_in(asset)
        groups = [
            {
                "group": fund.group,
                "opening": money(fund.opening_atoms),
                "closing": money(fund.closing_atoms),
                "uncovered": money(fund.uncovered_atoms),
            }
            for fund in funds
        ]
        opening, closing = sum(fund.opening_atoms for fund in funds), sum(fund.closing_atoms for fund in funds)
        return {"opening": money(opening), "closing": money(closing), "groups": groups}

    def _provider(self, number: int) -> dict[str, Any]:
        asset = self.venue.asset_of_provider(number)
        money = asset.money
        backer: Backer = self.tally.backers.rows[number]
        standing, rules = self.standings[number], self.venue.rules.providers[number]
        return {
            "name": self.venue.providers[number].name,
            "vault": rules.is_vault,
            "account": standing.account,
            "status": standing.status.name.lower(),
            "offers": backer.offers,
            "takeovers": backer.takeovers,
            "failures": backer.failures,
            "defaults": backer.defaults,
            "paid_for": _paid_for(backer.paid_for, asset),
            "notional": money(backer.notional),
            "below_mark": money(backer.edge),
            "support": money(backer.support),
            "equity": money(standing.equity),
            "profit": money(standing.profit),
            "open_notional": money(standing.open_notional),
            "score_ppm": standing.score_ppm,
        }

    def _conservation(self) -> dict[str, Any]:
        held, venue = self.conservation, self.venue
        rows = enumerate(zip(venue.markets, held.market_lots, held.market_cost_atoms, strict=True))
        return {
            "holds": held.holds,
            "assets": {asset.name: asset.money(atoms) for asset, atoms in zip(venue.assets, held.asset_atoms, strict=True)},
            "markets": {
                market.symbol: {"lots": lots, "cost": venue.asset_of_market(number).money(cost)} for number, (market, lots, cost) in rows
            },
        }


def _paid_for(paid_for: dict[Stage | None, int], asset: Asset) -> dict[str, str]:
    """Return what was paid for providers in default, by the stage that made others pay."""
    payers: tuple[Stage | None, ...] = (Stage.FUND, Stage.ADL, Stage.SOCIALISE, None)
    return {"uncovered" if stage is None else stage.name.lower(): asset.money(paid_for.get(stage, 0)) for stage in payers}
