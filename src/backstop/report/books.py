"""Balances and positions rebuilt from effects alone.

The engine takes no part: a POSTING moves money, a TRADE moves lots, and the cost of a position
changes by minus what was received and not realised (R1.3.2); a HAIRCUT raises it by the cut (6), and
RELIEF says which part of its margin a position needs. What comes out is a second way to the state,
so the report's conservation is not the engine's word.

A position that an account opens with has one TRADE, of the account: OUTSIDE, its other side, takes
the opposite, and where that leaves it without lots, its cost goes to the ledger by a POSTING (1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import Cause, EffectArray, clearing_of, outside_of
from backstop.core.instruments import PPM
from backstop.core.kinds import Columns, HaircutEffect, PostingEffect, ReliefEffect, TradeEffect
from backstop.runs.fold import Fold, Ints, Reader

__all__ = ["Books", "Holdings"]


class Holdings(NamedTuple):
    """Positions of accounts with lots, ordered by (account, market), and every account's
    balance.
    """

    account: Ints
    market: Ints
    lots: Ints
    #: Atoms.
    cost: Ints
    #: The part of its maintenance margin that each needs; 1e6 without relief (R10.5.1).
    kept_ppm: Ints
    #: Atoms, by account.
    balance: Ints


class Books(Reader):
    """Running sums over all effects given so far."""

    def __init__(self, markets: int) -> None:
        self._markets = markets
        #: The house's ledger ids are negative: this makes every holder's number positive.
        self._shift = -clearing_of(markets)
        self._outside = np.array([outside_of(market) for market in range(markets)], dtype=np.int64)
        self._balance = np.zeros(self._shift, dtype=np.int64)
        self._keys = np.zeros(0, dtype=np.int64)
        self._lots = np.zeros(0, dtype=np.int64)
        self._cost = np.zeros(0, dtype=np.int64)
        self._kept = np.zeros(0, dtype=np.int64)

    def copy(self) -> Books:
        """Return books of their own that hold the same."""
        books = Books(self._markets)
        books._balance, books._keys, books._lots, books._cost, books._kept = (
            column.copy() for column in (self._balance, self._keys, self._lots, self._cost, self._kept)
        )
        return books

    def add(self, effects: EffectArray) -> None:
        """Take effects in their order."""
        self._add(PostingEffect(effects), TradeEffect(effects), HaircutEffect(effects))
        self._relieve(ReliefEffect(effects))

    def take_batch(self, fold: Fold) -> None:
        """Take the effects of a batch."""
        self._add(fold.rows(PostingEffect[Columns]), fold.rows(TradeEffect[Columns]), fold.rows(HaircutEffect[Columns]))
        self._relieve(fold.rows(ReliefEffect[Columns]))

    def _add(self, postings: PostingEffect[Columns], trades: TradeEffect[Columns], cuts: HaircutEffect[Columns]) -> None:
        if len(postings):
            receivers, payers = postings.receiver + self._shift, postings.payer + self._shift
            self._reserve(int(max(receivers.max(), payers.max())) + 1)
            np.add.at(self._balance, receivers, postings.amount)
            np.subtract.at(self._balance, payers, postings.amount)
            self._settle_outside(postings.where(postings.cause == Cause.OPENING))
            # A cut that is paid from money raises no cost, or that of another account of the owner.
            paid = postings.where((postings.cause == Cause.HAIRCUT) & (postings.payer >= 0))
            self._move(paid.payer, paid.market, np.zeros_like(paid.amount), -paid.amount)
            borne = paid.where(paid.receiver >= 0)
            self._move(borne.receiver, borne.market, np.zeros_like(borne.amount), borne.amount)
        if len(trades):
            self._move(trades.account, trades.market, trades.lots, trades.realised - trades.cash)
            opened = trades.where(trades.cause == Cause.OPENING)
            self._move(opened.counterpart, opened.market, -opened.lots, opened.cash)
        if len(cuts):
            self._move(cuts.payer, cuts.market, np.zeros_like(cuts.amount), cuts.amount)

    def _move(self, holders: Ints, markets: Ints, lots: Ints, cost: Ints) -> None:
        """Change positions by lots and cost."""
        if len(holders):
            places = self._places((holders + self._shift) * self._markets + markets)
            np.add.at(self._lots, places, lots)
            np.add.at(self._cost, places, cost)

    def _relieve(self, rows: ReliefEffect[Columns]) -> None:
        """Take which part of their margins positions need; of several changes of one the last stands."""
        if len(rows):
            self._kept[self._places((rows.account + self._shift) * self._markets + rows.market)] = rows.kept_ppm

    def _settle_outside(self, postings: PostingEffect[Columns]) -> None:
        """Take the cost of a position of OUTSIDE that openings closed: what it receives for it, or
        pays.
        """
        gets = postings.receiver == self._outside[postings.market]
        holders = np.where(gets, postings.receiver, postings.payer)
        change = np.where(gets, postings.amount, -postings.amount)
        self._move(holders, postings.market, np.zeros_like(change), change)

    def balance_of(self, holder: int) -> int:
        """Return the ledger balance of an account or of a ledger account of the house, in atoms."""
        place = holder + self._shift
        return int(self._balance[place]) if place < len(self._balance) else 0

    def positions_of(self, holder: int) -> dict[int, tuple[int, int]]:
        """Return (lots, cost) of a holder by market, those with neither left out."""
        first = (holder + self._shift) * self._markets
        low, high = np.searchsorted(self._keys, (first, first + self._markets))
        rows = zip((self._keys[low:high] - first).tolist(), self._lots[low:high].tolist(), self._cost[low:high].tolist(), strict=True)
        return {market: (lots, cost) for market, lots, cost in rows if lots or cost}

    def holdings(self) -> Holdings:
        """Return a copy of what the accounts hold now."""
        account, market = np.divmod(self._keys, self._markets)
        account = account - self._shift
        held = (account >= 0) & (self._lots != 0)
        lots, cost, kept_ppm = (column[held] for column in (self._lots, self._cost, self._kept))
        return Holdings(account[held], market[held], lots, cost, kept_ppm, self._balance[self._shift :].copy())

    def sum_atoms(self) -> int:
        """Return the sum of all ledger accounts; 0 where nothing was made or lost (INV-01)."""
        return sum(self._balance.tolist())

    def market_sums(self, market: int) -> tuple[int, int]:
        """Return a market's sum of lots, and clearing plus the cost of all positions; both must be
        0 (INV-02).
        """
        rows = self._keys % self._markets == market
        cost = sum(self._cost[rows].tolist())
        return sum(self._lots[rows].tolist()), cost + self.balance_of(clearing_of(market))

    def _reserve(self, size: int) -> None:
        if size > len(self._balance):
            grown = np.zeros(max(size, 2 * len(self._balance)), dtype=np.int64)
            grown[: len(self._balance)] = self._balance
            self._balance = grown

    def _places(self, keys: Ints) -> NDArray[np.intp]:
        """Return the rows of these (holder, market) pairs; new ones get a row, in order."""
        wanted = np.unique(keys)
        known = np.isin(wanted, self._keys, assume_unique=True)
        if not known.all():
            fresh = wanted[~known]
            at = np.searchsorted(self._keys, fresh)
            self._keys = np.insert(self._keys, at, fresh)
            self._lots, self._cost = np.insert(self._lots, at, 0), np.insert(self._cost, at, 0)
            self._kept = np.insert(self._kept, at, PPM)
        return np.searchsorted(self._keys, keys)
