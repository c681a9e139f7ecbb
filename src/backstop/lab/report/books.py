"""Balances and positions rebuilt from effects alone.

The engine is not asked: a POSTING moves money, a TRADE moves lots, and the cost of a position changes by
minus what was received and not realised (docs/rules.md, 1). What comes out is a second way to the state,
so the report's conservation is not the engine's word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import HOUSE_FIRST_MARKET, EffectArray, EffectKind, clearing_of

__all__ = ["Books", "Holdings"]

Ints = NDArray[np.int64]


class Holdings(NamedTuple):
    """Positions of accounts with lots, ordered by (account, market), and every account's balance."""

    account: Ints
    market: Ints
    lots: Ints
    #: Atoms.
    cost: Ints
    #: Atoms, by account.
    balance: Ints


class Books:
    """Running sums over all effects given so far."""

    def __init__(self, markets: int) -> None:
        self._markets = markets
        #: The house's ledger ids are negative: this makes every holder's number positive.
        self._shift = 3 * markets - HOUSE_FIRST_MARKET
        self._balance = np.zeros(self._shift, dtype=np.int64)
        self._keys = np.zeros(0, dtype=np.int64)
        self._lots = np.zeros(0, dtype=np.int64)
        self._cost = np.zeros(0, dtype=np.int64)

    def add(self, effects: EffectArray) -> None:
        """Take effects in their order."""
        kinds = effects["kind"]
        postings = effects[kinds == EffectKind.POSTING]
        if len(postings):
            receivers, payers = postings["account"] + self._shift, postings["other"] + self._shift
            self._reserve(int(max(receivers.max(), payers.max())) + 1)
            np.add.at(self._balance, receivers, postings["amount"])
            np.subtract.at(self._balance, payers, postings["amount"])
        trades = effects[kinds == EffectKind.TRADE]
        if len(trades):
            places = self._places((trades["account"] + self._shift) * self._markets + trades["market"])
            np.add.at(self._lots, places, trades["lots"])
            np.subtract.at(self._cost, places, trades["amount"] - trades["value"])

    def balance_of(self, holder: int) -> int:
        """Return the ledger balance of an account or of a ledger account of the house, in atoms."""
        place = holder + self._shift
        return int(self._balance[place]) if place < len(self._balance) else 0

    def holdings(self) -> Holdings:
        """Return a copy of what the accounts hold now."""
        account, market = np.divmod(self._keys, self._markets)
        account = account - self._shift
        held = (account >= 0) & (self._lots != 0)
        return Holdings(account[held], market[held], self._lots[held], self._cost[held], self._balance[self._shift :].copy())

    def sum_atoms(self) -> int:
        """Return the sum of all ledger accounts; 0 where nothing was made or lost (INV-01)."""
        return sum(self._balance.tolist())

    def market_sums(self, market: int) -> tuple[int, int]:
        """Return a market's sum of lots, and clearing plus the cost of all positions; both must be 0 (INV-02)."""
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
        return np.searchsorted(self._keys, keys)
