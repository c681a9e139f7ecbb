"""What a run came to, counted from its effects as they pass: who defaulted, which stage did what, who paid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue
from backstop.core.events import GROUPS_MAX, Cause, EffectArray, EffectKind, EventArray, Health, Reject, Stage, fund_of
from backstop.core.state import State
from backstop.runs.backers import BackerTally
from backstop.runs.follow import Follower
from backstop.runs.stops import BreakerTally, GuardTally

__all__ = ["Conservation", "StageTally", "Tally", "conservation_of"]

_FUND_CAUSES = (int(Cause.SUPPORT), int(Cause.DEFICIT), int(Cause.TEAR_UP))
_FUNDS = tuple(fund_of(group) for group in range(GROUPS_MAX))


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


@dataclass(slots=True)
class Tally:
    """Counts effects batch by batch; sums are exact, in atoms."""

    venue: Venue
    accounts_max: int
    effects: int = 0
    #: Times that an account came into default; one may come twice.
    default_entries: int = 0
    notional: dict[Stage, int] = field(default_factory=dict)
    paid: dict[Stage, int] = field(default_factory=dict)
    fees_atoms: int = 0
    uncovered_atoms: int = 0
    #: What other accounts of an owner gave to one that was insolvent.
    netted_atoms: int = 0
    claims_issued_atoms: int = 0
    claims_recovered_atoms: int = 0
    #: Notional, at fill prices, and fills of what the venue vault disposed of.
    disposed_atoms: int = 0
    disposal_fills: int = 0
    refused: dict[Reject, int] = field(default_factory=dict)
    adl_fills: int = 0
    breakers: BreakerTally = field(default_factory=BreakerTally)
    guard: GuardTally = field(default_factory=GuardTally)
    backers: BackerTally = field(init=False)
    _touched: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    _factor: NDArray[np.int64] = field(init=False)
    _follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self._factor = np.array([market.notional_factor for market in self.venue.markets], dtype=np.int64)
        self._follower = Follower(len(self.venue.markets))
        self.backers = BackerTally(self.venue)

    def add(self, events: EventArray, effects: EffectArray) -> None:
        """Count the effects of one batch of events."""
        self._follower.take(events, effects)
        if not len(effects):
            return
        self.effects += len(effects)
        kinds = effects["kind"]
        present = set(np.unique(kinds).tolist())
        for kind, count in (
            (EffectKind.HEALTH, self._add_health),
            (EffectKind.RESTRICT, self._add_restrict),
            (EffectKind.TRADE, self._add_trades),
            (EffectKind.POSTING, self._add_postings),
            (EffectKind.TAKEOVER, self._add_takeovers),
            (EffectKind.ADL_PLAN, self._add_adl),
            (EffectKind.ADL_FILL, self._add_adl_fills),
            (EffectKind.HAIRCUT, self._add_haircuts),
            (EffectKind.CLAIM, self._add_claims),
            (EffectKind.TEAR_UP, self._add_tear_up),
            (EffectKind.RESIDUAL, self._add_residual),
            (EffectKind.BREAKER, self._add_breakers),
            (EffectKind.GUARD, self._add_guard),
            (EffectKind.REFUSAL, self._add_refusals),
        ):
            if int(kind) in present:
                count(effects[kinds == kind])
        if present & {int(EffectKind.OFFER), int(EffectKind.TAKEOVER), int(EffectKind.PROVIDER)}:
            self.backers.add(effects, self._follower)

    @property
    def follower(self) -> Follower:
        """Marks and volumes of the batch that was counted last."""
        return self._follower

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
    def deficit_atoms(self) -> int:
        """What fund, ADL counterparties and those who were charged paid, and what nobody did."""
        return sum(self.paid.values()) + self.uncovered_atoms

    def _touch(self, what: str, accounts: NDArray[np.int64]) -> None:
        touched = self._touched.setdefault(what, np.zeros(self.accounts_max, dtype=bool))
        touched[accounts[accounts >= 0]] = True

    def _add_to(self, sums: dict[Stage, int], stage: Stage, atoms: NDArray[np.int64]) -> None:
        sums[stage] = sums.get(stage, 0) + sum(atoms.tolist())

    def _worth(self, rows: EffectArray) -> NDArray[np.int64]:
        worth: NDArray[np.int64] = np.abs(rows["lots"]) * rows["price_ticks"] * self._factor[rows["market"]]
        return worth

    def _add_health(self, rows: EffectArray) -> None:
        entered = rows[(rows["code"] >= Health.DISTRESSED) & (rows["other"] < Health.DISTRESSED)]
        self.default_entries += len(entered)
        self._touch("default", entered["account"])

    def _add_restrict(self, rows: EffectArray) -> None:
        self._touch(Stage.RESTRICT.name, rows["account"])

    def _add_trades(self, rows: EffectArray) -> None:
        closed = rows[(rows["code"] == Cause.CLOSEOUT) & (rows["account"] >= 0)]
        self._touch(Stage.CLOSEOUT.name, closed["account"])
        self._add_to(self.notional, Stage.CLOSEOUT, self._worth(closed))
        disposed = rows[(rows["code"] == Cause.DISPOSAL) & (rows["account"] >= 0)]
        self.disposal_fills += len(disposed)
        self.disposed_atoms += sum(self._worth(disposed).tolist())

    def _add_postings(self, rows: EffectArray) -> None:
        self.fees_atoms += sum(rows["amount"][rows["code"] == Cause.LIQUIDATION_FEE].tolist())
        paid = rows[np.isin(rows["other"], _FUNDS) & np.isin(rows["code"], _FUND_CAUSES)]
        self._touch(Stage.FUND.name, paid["account"])
        self._add_to(self.paid, Stage.FUND, paid["amount"])
        netted = rows[rows["code"] == Cause.NETTING]
        self._touch("netted", netted["account"])
        self._touch("netting", netted["other"])
        self.netted_atoms += sum(netted["amount"].tolist())

    def _add_takeovers(self, rows: EffectArray) -> None:
        self._touch(Stage.TAKEOVER.name, rows["account"])
        marks = self._follower.mark.at(rows["seq"], rows["market"])
        self._add_to(self.notional, Stage.TAKEOVER, np.abs(rows["lots"]) * marks * self._factor[rows["market"]])

    def _add_adl(self, rows: EffectArray) -> None:
        self._touch(Stage.ADL.name, rows["account"])
        self._add_to(self.notional, Stage.ADL, self._worth(rows))
        # The defaulter's lots change by ``lots``: at mark that gives it minus their worth.
        beyond = rows["amount"] + rows["lots"] * rows["price_ticks"] * self._factor[rows["market"]]
        self._add_to(self.paid, Stage.ADL, beyond)

    def _add_adl_fills(self, rows: EffectArray) -> None:
        self.adl_fills += len(rows)
        self._touch("adl_counterparty", rows["account"])

    def _add_haircuts(self, rows: EffectArray) -> None:
        self._touch(Stage.SOCIALISE.name, rows["account"])
        self._add_to(self.paid, Stage.SOCIALISE, rows["amount"])

    def _add_claims(self, rows: EffectArray) -> None:
        changes = rows["amount"]
        self.claims_issued_atoms += sum(changes[changes > 0].tolist())
        self.claims_recovered_atoms -= sum(changes[changes < 0].tolist())

    def _add_tear_up(self, rows: EffectArray) -> None:
        self._touch(Stage.TEAR_UP.name, rows["account"])
        self._add_to(self.notional, Stage.TEAR_UP, self._worth(rows))

    def _add_residual(self, rows: EffectArray) -> None:
        self._touch("uncovered", rows["account"])
        self.uncovered_atoms += sum(rows["amount"].tolist())

    def _add_breakers(self, rows: EffectArray) -> None:
        self.breakers.add(rows, self._follower)

    def _add_guard(self, rows: EffectArray) -> None:
        self.guard.add(rows, self._follower)

    def _add_refusals(self, rows: EffectArray) -> None:
        for code, count in zip(*np.unique(rows["code"], return_counts=True), strict=True):
            self.refused[Reject(int(code))] = self.refused.get(Reject(int(code)), 0) + int(count)


@dataclass(frozen=True, slots=True)
class Conservation:
    """INV-01 and INV-02, recomputed from the state. Every number must be 0."""

    #: Sum of all ledger accounts of the settlement asset, in atoms.
    asset_atoms: int
    #: Sum of all positions, by market, in lots.
    market_lots: tuple[int, ...]
    #: Clearing and the cost of all positions, by market, in atoms.
    market_cost_atoms: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was made or lost."""
        return self.asset_atoms == 0 and not any(self.market_lots) and not any(self.market_cost_atoms)


def conservation_of(state: State) -> Conservation:
    """Sum a state's ledger and positions with integers that do not wrap."""
    from backstop.core.events import clearing_of
    from backstop.core.state import house_slot

    accounts = state.accounts[: int(state.engine[0].accounts_now)]
    rows = state.positions[: int(state.engine[0].positions_now)]
    lots, cost = [0] * len(state.markets), [0] * len(state.markets)
    for market, held, paid in zip(rows["market"].tolist(), rows["lots"].tolist(), rows["cost"].tolist(), strict=True):
        lots[market] += held
        cost[market] += paid
    clearing = [int(state.house[int(house_slot(clearing_of(number)))]) for number in range(len(state.markets))]
    return Conservation(
        asset_atoms=sum(state.house.tolist()) + sum(accounts["balance"].tolist()),
        market_lots=tuple(lots),
        market_cost_atoms=tuple(balance + paid for balance, paid in zip(clearing, cost, strict=True)),
    )
