"""The statement of an insurance fund: every movement by cause, its peak and its drawdown, from a
journal's postings alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.config import Asset, Venue
from backstop.core.events import FEES, NONE, WORLD, Cause, EventKind, funding_of, uncovered_of
from backstop.core.kinds import Columns, PostingEffect
from backstop.feeds.columns import time_text
from backstop.journal import Names, open_journal
from backstop.runs.fold import Fold, Reader, reads
from backstop.runs.history import read_batches, venue_of

__all__ = ["By", "Line", "Moment", "Statement", "statements_of"]

#: One posting that moved a fund.
_MOVE = np.dtype([("time_ns", "<i8"), ("amount", "<i8"), ("cause", "<i8"), ("market", "<i8"), ("other", "<i8")])


class By(StrEnum):
    """What the movements of a cause are told apart by."""

    CAUSE = "cause"
    MARKET = "market"
    ACCOUNT = "account"


class Line(NamedTuple):
    """All movements of one cause, and of one market or counterpart where that was asked for.

    Money in atoms.
    """

    cause: Cause
    #: Symbol or name; empty where movements are summed by cause alone.
    about: str
    movements: int
    received: int
    paid: int


class Moment(NamedTuple):
    """A balance and when it was reached."""

    time_ns: int
    atoms: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One group's fund over a journal. Money in atoms."""

    venue: Venue
    names: Names
    group: str
    start_ns: int
    end_ns: int
    #: Balance when the first account opened.
    opening: int
    moves: NDArray[np.void]
    #: What nobody has paid of the group's losses, after the last event.
    uncovered: int = 0
    #: Funding by index in the group's markets: what positions have paid, and got. It goes through
    #: no fund; the difference is on its way.
    funding_paid: int = 0
    funding_got: int = 0

    @property
    def closing(self) -> int:
        """Balance after the last event."""
        return int(self.balances[-1])

    @property
    def balances(self) -> NDArray[np.int64]:
        """Balance at the opening and after each movement."""
        return np.cumsum(np.concatenate(([self.opening], self.moves["amount"])), dtype=np.int64)

    def lines(self, by: By = By.CAUSE) -> list[Line]:
        """Return the movements summed by cause, and within it by market or account, in order of
        cause and name.
        """
        cause = self.moves["cause"]
        about = {By.CAUSE: np.zeros_like(cause), By.MARKET: self.moves["market"], By.ACCOUNT: self.moves["other"]}[by]
        order = np.lexsort((about, cause))
        moved = (np.diff(cause[order]) != 0) | (np.diff(about[order]) != 0)
        parts = np.split(order, np.flatnonzero(moved) + 1) if len(order) else []
        return [self._line(by, part, int(about[part[0]])) for part in parts]

    def _line(self, by: By, rows: NDArray[np.int64], about: int) -> Line:
        amounts: list[int] = self.moves["amount"][rows].tolist()
        received = sum(amount for amount in amounts if amount > 0)
        return Line(Cause(int(self.moves["cause"][rows[0]])), self._about(by, about), len(amounts), received, received - sum(amounts))

    def _about(self, by: By, number: int) -> str:
        if by is By.CAUSE:
            return ""
        if by is By.MARKET:
            return "no market" if number == NONE else self.venue.markets[number].symbol
        if number >= 0:
            return self.names.accounts[number] if number < len(self.names.accounts) else str(number)
        houses = {WORLD: "deposits and withdrawals", FEES: "trading fees of the venue"}
        houses |= {uncovered_of(group): f"uncovered of {name}" for group, name in enumerate(self.venue.groups)}
        return houses.get(number, f"house account {number}")

    @property
    def peak(self) -> Moment:
        """The highest balance, the opening included, the first time that it was reached."""
        return self._moment(int(np.argmax(self.balances)))

    @property
    def low(self) -> Moment:
        """The lowest balance, the first time."""
        return self._moment(int(np.argmin(self.balances)))

    def _moment(self, place: int) -> Moment:
        return Moment(self.start_ns if place == 0 else int(self.moves["time_ns"][place - 1]), int(self.balances[place]))

    def drawdowns_ppm(self) -> NDArray[np.int64]:
        """Return, at the opening and after each movement, by how much of its peak until then the
        balance is below it, rounded down.

        What was deposited or withdrawn moves the peak with it: it is neither gain nor loss
        (R9; the breaker's own peak forgets what is older than its window,
        this one nothing).
        """
        cash = np.where(self.moves["cause"] == Cause.CASH, self.moves["amount"], 0)
        brought = np.concatenate(([0], np.cumsum(cash, dtype=np.int64)))
        peaks = np.maximum.accumulate(self.balances - brought) + brought
        pairs = zip(peaks.tolist(), self.balances.tolist(), strict=True)
        return np.array([(peak - balance) * 1_000_000 // peak if peak > 0 else 0 for peak, balance in pairs], dtype=np.int64)

    def as_json(self, by: By) -> dict[str, Any]:
        """Return the statement as one object; money is a decimal text with its asset."""
        drawdowns = self.drawdowns_ppm()
        worst = int(np.argmax(drawdowns))
        lines = []
        for line in self.lines(by):
            about = {} if by is By.CAUSE else {by.value: line.about}
            amounts = {"in": self.money(line.received), "out": self.money(line.paid), "net": self.money(line.received - line.paid)}
            lines.append({"cause": line.cause.name.lower(), **about, "movements": line.movements, **amounts})
        return {
            "group": self.group,
            "from": time_text(self.start_ns),
            "to": time_text(self.end_ns),
            "opening": self.money(self.opening),
            "lines": lines,
            "closing": self.money(self.closing),
            "uncovered": self.money(self.uncovered),
            "funding": {
                "paid": self.money(self.funding_paid),
                "received": self.money(self.funding_got),
                "on_its_way": self.money(self.funding_paid - self.funding_got),
            },
            "peak": {"balance": self.money(self.peak.atoms), "time": time_text(self.peak.time_ns)},
            "low": {"balance": self.money(self.low.atoms), "time": time_text(self.low.time_ns)},
            "drawdown_ppm": int(drawdowns[-1]),
            "drawdown_largest": {"ppm": int(drawdowns[worst]), "time": time_text(self._moment(worst).time_ns)},
        }

    @property
    def asset(self) -> Asset:
        """The asset of the fund."""
        return self.venue.asset_of_group(self.venue.groups.index(self.group))

    def money(self, atoms: int) -> str:
        """Return atoms as a decimal text with its asset."""
        return self.asset.money(atoms)


class _Moves(Reader):
    """Postings of every fund, and when the accounts opened."""

    def __init__(self, fold: Fold) -> None:
        self.opened_seq: int | None = None
        self.start_ns = self.end_ns = 0
        self._opening = [0] * len(fold.funds)
        self._uncovered = [0] * len(fold.funds)
        self._funding_paid, self._funding_got = [0] * len(fold.funds), [0] * len(fold.funds)
        self._funding_of = np.array([funding_of(market) for market in range(len(fold.venue.rules.markets))], dtype=np.int64)
        self._parts: list[list[NDArray[np.void]]] = [[] for _ in fold.funds]

    def take_batch(self, fold: Fold) -> None:
        """Note when the first account opens, and the last time."""
        events = fold.events
        if not len(events):
            return
        if self.opened_seq is None:
            accounts = np.flatnonzero(events["kind"] == EventKind.ACCOUNT)
            self.start_ns = int(events["time_ns"][accounts[0] if len(accounts) else -1])
            if len(accounts):
                self.opened_seq = int(events["seq"][accounts[0]])
        self.end_ns = max(self.end_ns, int(events["time_ns"].max()))

    @reads(PostingEffect)
    def _add(self, rows: PostingEffect[Columns], fold: Fold) -> None:
        by_index = rows.where((rows.cause == Cause.FUNDING) & (rows.market != NONE))
        groups = np.array([market.group for market in fold.rules.markets], dtype=np.int64)
        for group, fund in enumerate(fold.funds):
            funding = by_index.where(groups[by_index.market] == group)
            pays = funding.receiver == self._funding_of[funding.market]
            self._funding_paid[group] += sum(funding.amount[pays].tolist())
            self._funding_got[group] += sum(funding.amount[~pays].tolist())
            owes = uncovered_of(group)
            self._uncovered[group] += sum(rows.amount[rows.payer == owes].tolist()) - sum(rows.amount[rows.receiver == owes].tolist())
            mine = rows.where((rows.receiver == fund) | (rows.payer == fund))
            is_in = mine.receiver == fund
            moves = np.zeros(len(mine), dtype=_MOVE)
            moves["time_ns"], moves["cause"], moves["market"] = fold.time_ns(mine.seq), mine.cause, mine.market
            moves["amount"] = np.where(is_in, mine.amount, -mine.amount)
            moves["other"] = np.where(is_in, mine.payer, mine.receiver)
            before = np.full(len(mine), True) if self.opened_seq is None else mine.seq < self.opened_seq
            self._opening[group] += sum(moves["amount"][before].tolist())
            self._parts[group].append(moves[~before])

    def funds(self) -> Iterator[tuple[int, NDArray[np.void], int, int, int]]:
        """Yield opening, movements, what is uncovered, and the funding that was paid and got, of each
        group, in order.
        """
        sums = zip(self._opening, self._parts, self._uncovered, self._funding_paid, self._funding_got, strict=True)
        for opening, parts, uncovered, paid, got in sums:
            yield opening, np.concatenate([np.zeros(0, dtype=_MOVE), *parts]), uncovered, paid, got


def statements_of(path: Path | str) -> list[Statement]:
    """Return the statement of every group's fund from a journal, in order of group.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, and ``JournalDamaged`` at the first fault
    of the record.
    """
    with open_journal(path) as journal:
        venue, names = venue_of(journal), journal.names()
        fold = Fold(venue)
        moved = fold.join(_Moves(fold))
        for batch in read_batches(journal):
            fold.take(batch.events, batch.effects)
    return [
        Statement(venue, names, group, moved.start_ns, moved.end_ns, *found)
        for group, found in zip(venue.groups, moved.funds(), strict=True)
    ]
