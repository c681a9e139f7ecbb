"""What a run came to, counted from its effects as they pass: who defaulted, which stage did what,
who paid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import (
    NONE,
    AdlClass,
    Cause,
    EffectKind,
    Reject,
    Stage,
    clearing_of,
    error_inventory_of,
    fund_of,
    funding_of,
    outside_of,
    uncovered_of,
)
from backstop.core.kinds import (
    AdlFillEffect,
    ClaimEffect,
    Columns,
    HaircutEffect,
    HealthEffect,
    PostingEffect,
    RefusalEffect,
    RestrictEffect,
    TradeEffect,
)
from backstop.core.places import house_slot
from backstop.core.state import State
from backstop.runs.backers import BackerTally
from backstop.runs.defaults import closings, entries, from_funds, payments
from backstop.runs.fold import Fold, Reader, reads
from backstop.runs.stops import BreakerTally, GuardTally

__all__ = ["Conservation", "StageTally", "Tally", "conservation_of"]


@dataclass(slots=True)
class StageTally:
    """One stage of the waterfall."""

    stage: Stage
    #: Accounts that it touched, each once.
    accounts: int = 0
    #: Atoms of notional that it closed: at fill prices on the book, at mark elsewhere.
    notional: int = 0
    #: Atoms that it paid beyond what the positions were worth at mark.
    paid: int = 0


class Tally(Reader):
    """Counts a run; sums are exact, in atoms.

    Its fold takes the run, and other readers may join it. Where the venue has several assets, its
    money is a sum over all of them and means nothing: ``by_asset`` has what can be shown.
    """

    def __init__(self, venue: Venue, *, is_whole: bool = True) -> None:
        """``is_whole``: it takes the whole run, not what is of one asset."""
        self.venue = venue
        self.effects = 0
        #: Times that an account came into default; one may come twice.
        self.default_entries = 0
        self.notional: dict[Stage, int] = {}
        self.paid: dict[Stage, int] = {}
        self.fees_atoms = 0
        #: Closing charges, and what came back of what funds had paid.
        self.charges_atoms = 0
        self.returned_atoms = 0
        #: What winners of fills paid for their losers.
        self.fills_paid_atoms = 0
        #: What funds paid late of what had stood uncovered.
        self.arrears_atoms = 0
        #: What owners lent for gains that they took out while something stood uncovered.
        self.lent_atoms = 0
        #: What nobody has paid so far, by market group.
        self.uncovered_by_group = [0] * len(venue.rules.funds)
        #: What other accounts of an owner gave to one that was insolvent.
        self.netted_atoms = 0
        self.claims_issued_atoms = 0
        self.claims_recovered_atoms = 0
        #: Notional, at fill prices, and fills of what the venue vault disposed of.
        self.disposed_atoms = 0
        self.disposal_fills = 0
        self.refused: dict[Reject, int] = {}
        self.adl_fills = 0
        self.breakers = BreakerTally()
        self.guard = GuardTally()
        self.backers = BackerTally(venue)
        self.fold = Fold(venue)
        for reader in (self, self.breakers, self.guard, self.backers):
            self.fold.join(reader)
        self._touched: dict[str, NDArray[np.bool_]] = {}
        #: The same of each asset alone; of a venue of one asset it is this.
        self.by_asset: tuple[Tally, ...] = (self,)
        if len(venue.assets) > 1 and is_whole:
            self.by_asset = tuple(Tally(venue, is_whole=False) for _ in venue.assets)

    # -- what came of it

    def count(self, what: str) -> int:
        """Return how many accounts were touched by ``what``, each counted once."""
        return int(self._touched[what].sum()) if what in self._touched else 0

    @property
    def defaults(self) -> int:
        """Accounts that came into default, each counted once."""
        return self.count("default")

    def stages(self) -> list[StageTally]:
        """Return the venue's stages in its order."""
        return [
            StageTally(Stage(stage), self.count(Stage(stage).name), self.notional.get(Stage(stage), 0), self.paid.get(Stage(stage), 0))
            for stage in self.venue.rules.stages
        ]

    @property
    def charged_atoms(self) -> int:
        """What socialising charged."""
        return self.paid.get(Stage.SOCIALISE, 0)

    @property
    def halted(self) -> set[int]:
        """Markets (``NONE``: the venue) that a breaker ever halted."""
        return self.breakers.halted

    @property
    def uncovered_atoms(self) -> int:
        """What nobody has paid so far."""
        return sum(self.uncovered_by_group)

    @property
    def deficit_atoms(self) -> int:
        """What fund, ADL counterparties and those who were charged paid or lent, and what nobody did."""
        return sum(self.paid.values()) + self.lent_atoms + self.uncovered_atoms

    # -- what goes in

    def take_batch(self, fold: Fold) -> None:
        """Take closings of accounts in default, and who paid for them."""
        self.effects += len(fold.effects)
        for number, part in enumerate(self.by_asset if self.by_asset != (self,) else ()):
            part.fold.take(fold.events, fold.effects[np.isin(fold.asset_of(fold.effects), (number, NONE)) | _is_of_time(fold)])
        for closing in fold.once(closings):
            self._touch(closing.stage.name, closing.account)
            self.notional[closing.stage] = self.notional.get(closing.stage, 0) + sum(closing.notional.tolist())
        for stage, defaulter, amount in fold.once(payments):
            paid = sum(amount.tolist())
            if stage is None:
                self._touch("uncovered", defaulter)
            else:
                self.paid[stage] = self.paid.get(stage, 0) + paid
        self._touch(Stage.FUND.name, fold.once(from_funds).receiver)

    @reads(HealthEffect)
    def _add_health(self, rows: HealthEffect[Columns], fold: Fold) -> None:
        entered = fold.once(entries)
        self.default_entries += len(entered)
        self._touch("default", entered.account)

    @reads(RestrictEffect)
    def _add_restricted(self, rows: RestrictEffect[Columns], fold: Fold) -> None:
        self._touch(Stage.RESTRICT.name, rows.account)

    @reads(TradeEffect)
    def _add_disposals(self, rows: TradeEffect[Columns], fold: Fold) -> None:
        disposed = rows.where((rows.cause == Cause.DISPOSAL) & (rows.account >= 0))
        self.disposal_fills += len(disposed)
        self.disposed_atoms += sum(fold.notional(disposed.market, disposed.lots, disposed.price_ticks).tolist())

    @reads(PostingEffect)
    def _add_postings(self, rows: PostingEffect[Columns], fold: Fold) -> None:
        self.fees_atoms += sum(rows.amount[rows.cause == Cause.LIQUIDATION_FEE].tolist())
        self.charges_atoms += sum(rows.amount[rows.cause == Cause.CLOSING_CHARGE].tolist())
        self.returned_atoms += sum(rows.amount[rows.cause == Cause.DEBT_RETURN].tolist())
        self.fills_paid_atoms += sum(rows.amount[rows.cause == Cause.FILL_DEBT].tolist())
        for group in range(len(self.uncovered_by_group)):
            booked = sum(rows.amount[rows.payer == uncovered_of(group)].tolist())
            received = rows.where(rows.receiver == uncovered_of(group))
            late = sum(received.amount[received.cause == Cause.ARREARS].tolist())
            lent = sum(received.amount[received.cause == Cause.GAIN_SHARE].tolist())
            self.uncovered_by_group[group] += booked - late - lent
            self.lent_atoms += lent
            if late:
                self.arrears_atoms += late
                self.paid[Stage.FUND] = self.paid.get(Stage.FUND, 0) + late
        netted = rows.where(rows.cause == Cause.NETTING)
        self._touch("netted", netted.receiver)
        self._touch("netting", netted.payer)
        self.netted_atoms += sum(netted.amount.tolist())

    @reads(AdlFillEffect)
    def _add_adl_fills(self, rows: AdlFillEffect[Columns], fold: Fold) -> None:
        # Defaulters that are crossed with each other are no counterparties.
        asked = rows.where(rows.adl_class != AdlClass.CROSSED)
        self.adl_fills += len(asked)
        self._touch("adl_counterparty", asked.account)

    @reads(HaircutEffect)
    def _add_haircuts(self, rows: HaircutEffect[Columns], fold: Fold) -> None:
        self._touch(Stage.SOCIALISE.name, rows.payer)

    @reads(ClaimEffect)
    def _add_claims(self, rows: ClaimEffect[Columns], fold: Fold) -> None:
        self.claims_issued_atoms += sum(rows.change[rows.change > 0].tolist())
        self.claims_recovered_atoms -= sum(rows.change[rows.change < 0].tolist())

    @reads(RefusalEffect)
    def _add_refusals(self, rows: RefusalEffect[Columns], fold: Fold) -> None:
        for code, count in zip(*np.unique(rows.reason, return_counts=True), strict=True):
            self.refused[Reject(int(code))] = self.refused.get(Reject(int(code)), 0) + int(count)

    def _touch(self, what: str, accounts: NDArray[np.int64]) -> None:
        if len(accounts):
            touched = self._touched.setdefault(what, np.zeros(self.venue.rules.limits.accounts_max, dtype=bool))
            touched[accounts[accounts >= 0]] = True


def _is_of_time(fold: Fold) -> NDArray[np.bool_]:
    """Say which effects every asset's count needs: what tells which marks and events the engine took."""
    kinds = (EffectKind.REFUSAL, EffectKind.GUARD, EffectKind.SETTLEMENT)
    found: NDArray[np.bool_] = np.isin(fold.effects["kind"], kinds)
    return found


@dataclass(frozen=True, slots=True)
class Conservation:
    """INV-01 and INV-02, recomputed from the state. Every number must be 0."""

    #: Sum of all ledger accounts by asset, in atoms.
    asset_atoms: tuple[int, ...]
    #: Sum of all positions, by market, in lots.
    market_lots: tuple[int, ...]
    #: Clearing and the cost of all positions, by market, in atoms.
    market_cost_atoms: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was made or lost."""
        return not any(self.asset_atoms) and not any(self.market_lots) and not any(self.market_cost_atoms)


def _sums_by_asset(state: State) -> tuple[int, ...]:
    """Sum all balances of each asset; the first has whatever is of no other."""
    further = [sum(row) for row in state.other_balances.tolist()]
    sums = [sum(state.house.tolist()), *further[: len(state.assets) - 1]]
    count = int(state.engine[0].accounts_now)
    for asset, balance in zip(state.account_assets[:count].tolist(), state.accounts["balance"][:count].tolist(), strict=True):
        sums[asset] += balance
    of_house = list[tuple[int, tuple[int, ...]]]()
    for group, asset in enumerate(state.funds["asset"].tolist()):
        of_house.append((asset, (fund_of(group), uncovered_of(group))))
    for market, asset in enumerate(state.markets["settlement_asset"].tolist()):
        of_house.append((asset, (clearing_of(market), funding_of(market), outside_of(market), error_inventory_of(market))))
    for asset, ids in of_house:
        balance = sum(int(state.house[int(house_slot(each))]) for each in ids)
        sums[0] -= balance
        sums[asset] += balance
    return tuple(sums)


def conservation_of(state: State) -> Conservation:
    """Sum a state's ledger and positions with integers that do not wrap."""
    rows = state.positions[: int(state.engine[0].positions_now)]
    lots, cost = [0] * len(state.markets), [0] * len(state.markets)
    for market, held, paid in zip(rows["market"].tolist(), rows["lots"].tolist(), rows["cost"].tolist(), strict=True):
        lots[market] += held
        cost[market] += paid
    clearing = [int(state.house[int(house_slot(clearing_of(number)))]) for number in range(len(state.markets))]
    return Conservation(
        asset_atoms=_sums_by_asset(state),
        market_lots=tuple(lots),
        market_cost_atoms=tuple(balance + paid for balance, paid in zip(clearing, cost, strict=True)),
    )
