"""Who would come into default, told by looking at everyone after every mark: no trigger index, no
waterfall.

An account that no stage has touched yet holds what it opened with, so that the first time its
equity lies below its maintenance margin is a fact of the marks alone. The engine must find the same
accounts. Left out are accounts that were changed by the default of another (providers,
counterparties of ADL and tear-up, linked accounts that netting took from, those who were charged):
what they hold is no longer what they opened with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from backstop.core.events import Cause, EventArray, EventKind, Health
from backstop.core.instruments import VenueRules, deductions_atoms
from backstop.core.kinds import AdlFillEffect, ClaimEffect, Columns, HaircutEffect, PostingEffect, ProviderEffect, TradeEffect
from backstop.journal.reader import open_journal
from backstop.runs.cases import Case
from backstop.runs.defaults import entries
from backstop.runs.fold import Fold, Ints

__all__ = ["Opened", "Scan", "Seen", "opened_accounts", "scan_journal"]

Column = NDArray[np.int64]
_FAR = 1 << 62


class Opened(NamedTuple):
    """What a population opened with: balances, and positions sorted by market."""

    balance: Column
    account: Column
    market: Column
    lots: Column
    cost: Column


def opened_accounts(opening: EventArray) -> Opened:
    """Return the accounts of opening events: one deposit each, at most one position in a market."""
    count = int((opening["kind"] == EventKind.ACCOUNT).sum())
    balance = np.zeros(count, dtype=np.int64)
    deposits = opening[(opening["kind"] == EventKind.TRANSFER) & (opening["account"] >= 0)]
    np.add.at(balance, deposits["account"], deposits["amount"])
    rows = opening[opening["kind"] == EventKind.POSITION]
    rows = rows[np.argsort(rows["market"], kind="stable")]
    columns = (rows[name].astype(np.int64) for name in ("account", "market", "lots", "amount"))
    return Opened(balance, *columns)


def _follow(market, ticks, start, account, lots, cost, factor, floor, rate, deduction, value, margin, equity, maintenance, found):  # type: ignore[no-untyped-def]
    for event in range(len(market)):
        here, mark = market[event], ticks[event]
        for place in range(start[here], start[here + 1]):
            holder = account[place]
            if found[holder]:
                continue
            worth = lots[place] * mark * factor[here]
            notional = abs(worth)
            tier = 0
            while tier + 1 < floor.shape[1] and floor[here, tier + 1] <= notional:
                tier += 1
            whole, rest = notional // 1_000_000, notional % 1_000_000
            needed = whole * rate[here, tier] + (rest * rate[here, tier] + 999_999) // 1_000_000 - deduction[here, tier]
            equity[holder] += worth - cost[place] - value[place]
            maintenance[holder] += needed - margin[place]
            value[place], margin[place] = worth - cost[place], needed
            if equity[holder] < maintenance[holder]:
                found[holder] = True


_scan: Any = numba.njit(cache=False)(_follow)


class Scan:
    """Follows the marks of a run and remembers who was ever below maintenance margin.

    The first mark of every market must come before the accounts are judged, as in a replay: give
    them as ``first_ticks`` (0 where a market has none).
    """

    def __init__(self, rules: VenueRules, opened: Opened, first_ticks: Column) -> None:
        count = len(rules.markets)
        tiers_most = max(len(market.tiers) for market in rules.markets)
        floor = np.full((count, tiers_most), _FAR, dtype=np.int64)
        rate, deduction = np.zeros_like(floor), np.zeros_like(floor)
        for number, market in enumerate(rules.markets):
            floors = tuple(tier.floor_atoms for tier in market.tiers)
            rates = tuple(tier.maintenance_rate_ppm for tier in market.tiers)
            floor[number, : len(floors)], rate[number, : len(floors)] = floors, rates
            deduction[number, : len(floors)] = deductions_atoms(floors, rates)
        factor = np.array([market.notional_factor for market in rules.markets], dtype=np.int64)
        start = np.searchsorted(opened.market, np.arange(count + 1)).astype(np.int64)
        self._found = np.zeros(len(opened.balance), dtype=np.bool_)
        self._fixed: tuple[Any, ...] = (start, opened.account, opened.lots, opened.cost, factor, floor, rate, deduction)
        self._moving = (
            np.zeros_like(opened.lots),
            np.zeros_like(opened.lots),
            opened.balance.copy(),
            np.zeros_like(opened.balance),
            self._found,
        )
        # Equity is whole only once every position has been valued: who looks low before that is not
        # meant.
        there = np.flatnonzero(first_ticks > 0).astype(np.int64)
        self._moving[2][:] += 1 << 61
        self.follow(there, first_ticks[there])
        self._moving[2][:] -= 1 << 61
        self._found |= self._moving[2] < self._moving[3]

    def follow(self, market: Column, ticks: Column) -> None:
        """Look at every holder of each mark's market, in order."""
        _scan(market, ticks, *self._fixed, *self._moving)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Return for each account whether it was ever below its maintenance margin."""
        return self._found


class Seen(NamedTuple):
    """What a journal shows beside what looking at everyone shows."""

    #: Accounts below maintenance margin at some mark.
    defaults: int
    #: Accounts of which engine and scan differ, and those left out because the default of another
    #: changed them.
    differ: int
    left_out: int
    #: Entries into default that were insolvent at once.
    insolvent_at_once: int
    #: Entries into default in each of the spans asked for.
    entries: tuple[int, ...]


def _changed_by_others(fold: Fold) -> Ints:
    """Return who was changed for the default of another, holders of the house among them."""
    trades, postings = fold.rows(TradeEffect[Columns]), fold.rows(PostingEffect[Columns])
    return np.concatenate(
        [
            fold.rows(AdlFillEffect[Columns]).account,
            fold.rows(HaircutEffect[Columns]).payer,
            fold.rows(ClaimEffect[Columns]).account,
            fold.rows(ProviderEffect[Columns]).account,
            trades.account[trades.cause == Cause.TEAR_UP],
            postings.payer[postings.cause == Cause.NETTING],
        ]
    )


def scan_journal(case: Case, path: Path, spans: Sequence[tuple[int, int]]) -> Seen:
    """Read the journal of a case, follow its marks and compare who came into default; spans are
    [start, end) in ns.
    """
    markets = len(case.venue.markets)
    first = [case.prices.markets[number].first_mark_ticks if number in case.prices.markets else 0 for number in range(markets)]
    scan = Scan(case.venue.rules, opened_accounts(case.opening), np.array(first, dtype=np.int64))
    fold = Fold(case.venue)
    entered, left_out = np.zeros((2, len(scan.found)), dtype=np.bool_)
    counts, insolvent = [0] * len(spans), 0
    with open_journal(path) as reader:
        for batch in reader.batches():
            fold.take(batch.events, batch.effects)
            _, market, ticks = fold.mark.changes
            scan.follow(market, ticks)
            health = fold.once(entries)
            entered[health.account] = True
            insolvent += int((health.health == Health.INSOLVENT).sum())
            touched = _changed_by_others(fold)
            left_out[touched[touched >= 0]] = True
            times = fold.time_ns(health.seq)
            for number, (start_ns, end_ns) in enumerate(spans):
                counts[number] += int(((start_ns <= times) & (times < end_ns)).sum())
    differ = (scan.found != entered) & ~left_out
    return Seen(int(scan.found.sum()), int(differ.sum()), int(left_out.sum()), insolvent, tuple(counts))
