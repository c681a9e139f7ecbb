"""Defaults one by one: how long they last, who comes back, and which liquidations were premature.

A liquidation is a default in which lots of the account were closed. It is **premature** where the
same path with this account left alone brings it to its maintenance margin or above at some time
within 60 minutes of the first closing, and it was not insolvent before. *The same path*: the marks
that the run accepted, under the rules that were in force at each. *Left alone*: it keeps the lots and the
money that it had when its first lots were about to be closed; what it would have paid in or traded
itself is not counted. Relief that it had, or that a change of margin on the way would give it, stays
(R10.5); lots in a market that is settled become money at the price of that. Every comparison that
speaks of premature liquidations means this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.contract_terms import Contracts
from backstop.core.events import WORLD, Cause, EffectKind, Health, is_clearing
from backstop.core.instruments import VenueRules, deductions_atoms
from backstop.core.kinds import Columns, HealthEffect, PostingEffect, ReliefEffect, TradeEffect
from backstop.runs.defaults import entries
from backstop.runs.fold import Fold, Ints, Reader

__all__ = ["HOUR_NS", "Default", "DefaultLog", "Holding", "MarkPath", "Verdict"]

#: How long after its first closing an account is looked at, and after its default for a return.
HOUR_NS = 3_600_000_000_000
#: Causes of trades that close lots of an account in default.
_CLOSING = (Cause.CLOSEOUT, Cause.TAKEOVER, Cause.ADL, Cause.TEAR_UP)
#: What an account pays for being closed, beside the price.
_COSTS = (Cause.LIQUIDATION_FEE, Cause.CLOSING_CHARGE)
#: Marks that are looked at in one go; most accounts are decided by the first few.
_PARTS = (256, 4096, 1 << 62)
_PPM = 1_000_000
_FAR = 1 << 62


class Holding(NamedTuple):
    """What an account had when its first lots were about to be closed."""

    seq: int
    time_ns: int
    #: Equity beside the value of its lots [atoms].
    beside: int
    #: Signed lots by market.
    lots: tuple[tuple[int, int], ...]
    #: The part of its margin that it needed, in those of these markets where that was not all of it
    #: (R10.5.1).
    kept_ppm: tuple[tuple[int, int], ...] = ()


class Verdict(Enum):
    """What becomes of an account that is left alone."""

    #: It is at its maintenance margin or above within the hour.
    RECOVERS = "recovers"
    #: It is not, or it is insolvent first.
    FALLS = "falls"
    #: The record ends first.
    UNDECIDED = "undecided"


@dataclass(slots=True)
class Default:
    """One default, from the event that began it. Money in atoms."""

    account: int
    #: The event that began it, and when.
    seq: int
    since_ns: int
    #: Equity beside the value of its lots, followed until the first closing.
    beside: int
    #: None: nothing was closed.
    holding: Holding | None = None
    #: When its last lots went; None: it kept some.
    flat_ns: int | None = None
    #: None: it lasts.
    ended_ns: int | None = None
    #: Notional at mark of what was closed, and fees and charges for it.
    closed: int = 0
    costs: int = 0


class _Terms:
    """What lots are worth and which margin they need, by one set of rules."""

    def __init__(self, rules: VenueRules) -> None:
        self._contracts: Contracts = rules.contracts
        self.is_listed = [bool(market.is_listed) for market in rules.markets]
        tiers_most = max(len(market.tiers) for market in rules.markets)
        self._floor = np.full((len(rules.markets), tiers_most), _FAR, dtype=np.int64)
        self._rate, self._deduction = np.zeros_like(self._floor), np.zeros_like(self._floor)
        for number, market in enumerate(rules.markets):
            floors = tuple(tier.floor_atoms for tier in market.tiers)
            rates = tuple(tier.maintenance_rate_ppm for tier in market.tiers)
            self._floor[number, : len(floors)], self._rate[number, : len(floors)] = floors, rates
            self._deduction[number, : len(floors)] = deductions_atoms(floors, rates)

    def value(self, market: int, lots: int, ticks: Ints) -> Ints:
        """Return what lots are worth at each price [atoms]."""
        return self._contracts.values(np.full(len(ticks), market), np.full(len(ticks), lots, dtype=np.int64), ticks)

    def margin(self, market: int, notional: Ints, kept_ppm: int) -> Ints:
        """Return the maintenance margin of positions of so much notional, relief counted [atoms]."""
        tier = np.searchsorted(self._floor[market], notional, side="right") - 1
        full: Ints = _ceil_ppm(notional, self._rate[market][tier]) - self._deduction[market][tier]
        return full if kept_ppm == _PPM else _ceil_ppm(full, kept_ppm)


def _ceil_ppm(amount: Ints, rate_ppm: Any) -> Ints:
    """Return amount x rate / 1e6, rounded up; in two parts, so that the product stays within 63 bits."""
    whole, rest = np.divmod(amount, _PPM)
    part: Ints = whole * rate_ppm + (rest * rate_ppm + (_PPM - 1)) // _PPM
    return part


class _Era(NamedTuple):
    """A time of the path in which one set of rules was in force."""

    #: The event that began it, when, and the place of the first mark after that.
    seq: int
    time_ns: int
    place: int
    terms: _Terms


class _Left:
    """A holding that is left alone, on its way along a path."""

    def __init__(self, holding: Holding, marks: Ints) -> None:
        self.beside = holding.beside
        self.lots = dict(holding.lots)
        self.kept_ppm = dict.fromkeys(self.lots, _PPM) | dict(holding.kept_ppm)
        #: The mark of each of its markets, in their order.
        self.marks = marks

    def turn(self, before: _Terms, after: _Terms) -> None:
        """Come under other rules: settle what is listed no more, and take the relief that they give."""
        for market, now in zip(self.lots, self.marks.reshape(-1, 1), strict=True):
            worth = before.value(market, self.lots[market], now)
            if before.is_listed[market] and not after.is_listed[market]:
                self.beside += int(worth[0])
                self.lots[market] = 0
                continue
            # As in R10.5.2, for an account in default.
            margin, full = (
                int(terms.margin(market, np.abs(worth), kept)[0]) for terms, kept in ((before, self.kept_ppm[market]), (after, _PPM))
            )
            self.kept_ppm[market] = _PPM if full <= margin else margin * _PPM // full

    def decided(self, terms: _Terms, marks: Ints) -> Verdict | None:
        """Return the first verdict along the columns of ``marks``, a row for each of its markets."""
        equity = np.full(marks.shape[1], self.beside, dtype=np.int64)
        margin = np.zeros_like(equity)
        for row, (market, lots) in zip(marks, self.lots.items(), strict=True):
            worth = terms.value(market, lots, row)
            equity += worth
            margin += terms.margin(market, np.abs(worth), self.kept_ppm[market])
        above, below = np.flatnonzero(equity >= margin), np.flatnonzero(equity < 0)
        if not len(above) and not len(below):
            return None
        return Verdict.RECOVERS if len(above) and (not len(below) or above[0] < below[0]) else Verdict.FALLS


class MarkPath:
    """Accepted marks in their order, the rules in force along them, and what a holding comes to."""

    def __init__(self, rules: VenueRules) -> None:
        self._eras = [_Era(-_FAR, -_FAR, 0, _Terms(rules))]
        self._marks = 0
        self._parts: list[tuple[Ints, Ints, Ints, Ints]] = []
        self._joined: tuple[Ints, ...] | None = None

    def turn(self, seq: int, time_ns: int, rules: VenueRules) -> None:
        """Take other rules, in force from an event on."""
        self._eras.append(_Era(seq, time_ns, self._marks, _Terms(rules)))

    def take(self, seq: Ints, time_ns: Ints, market: Ints, ticks: Ints) -> None:
        """Take the marks that follow, in their order."""
        self._parts.append((seq.copy(), time_ns.copy(), market.copy(), ticks.copy()))
        self._marks += len(seq)
        self._joined = None

    def verdict(self, holding: Holding) -> Verdict:
        """Say what becomes of a holding that is left alone from its event on."""
        seq, time_ns, _, _ = self._all()
        end_ns = holding.time_ns + HOUR_NS
        place = int(np.searchsorted(seq, holding.seq, side="right"))
        last = int(np.searchsorted(time_ns, end_ns, side="right"))
        now = [self._before(place, number) for number, _ in holding.lots]
        left = _Left(holding, np.array(now, dtype=np.int64))
        era = next(each for each in reversed(self._eras) if each.seq <= holding.seq)
        later = [each for each in self._eras if each.seq > holding.seq and each.time_ns <= end_ns]
        found = left.decided(era.terms, left.marks.reshape(-1, 1))
        for following in (*later, None):
            until = last if following is None else min(last, max(place, following.place))
            if found is None:
                found = self._along(left, era.terms, place, until)
            if found is not None or following is None:
                break
            left.turn(era.terms, following.terms)
            found, era, place = left.decided(following.terms, left.marks.reshape(-1, 1)), following, until
        if found is None:
            found = Verdict.FALLS if len(time_ns) and int(time_ns[-1]) >= end_ns else Verdict.UNDECIDED
        return found

    def _along(self, left: _Left, terms: _Terms, place: int, last: int) -> Verdict | None:
        """Take a holding from one place of the path to another under one set of rules."""
        _, _, market, ticks = self._all()
        held = np.array(list(left.lots), dtype=np.int64)
        for size in _PARTS:
            if place >= last:
                break
            until = min(last, place + size)
            mine = place + np.flatnonzero(np.isin(market[place:until], held))
            if len(mine):
                marks = _carried(left.marks, held, market[mine], ticks[mine])
                left.marks = marks[:, -1]
                if (found := left.decided(terms, marks)) is not None:
                    return found
            place = until
        return None

    def _all(self) -> tuple[Ints, ...]:
        if self._joined is None:
            nothing = np.zeros(0, dtype=np.int64)
            self._joined = tuple(np.concatenate(columns) for columns in zip(*self._parts, strict=True)) if self._parts else (nothing,) * 4
        return self._joined

    def _before(self, place: int, market: int) -> int:
        """Return the mark of a market before a place of the path; 0: none."""
        markets, ticks = self._all()[2:]
        while place > 0:
            first = max(0, place - 4096)
            found = np.flatnonzero(markets[first:place] == market)
            if len(found):
                return int(ticks[first + found[-1]])
            place = first
        return 0


def _carried(now: Ints, held: Ints, market: Ints, ticks: Ints) -> Ints:
    """Return the mark of each market held after each change, a row for each market."""
    marks = np.empty((len(held), len(market)), dtype=np.int64)
    for row, (number, before) in enumerate(zip(held.tolist(), now.tolist(), strict=True)):
        latest = np.maximum.accumulate(np.where(market == number, np.arange(len(market)), -1))
        marks[row] = np.where(latest >= 0, ticks[latest], before)
    return marks


class DefaultLog(Reader):
    """Follows every default of a run."""

    def __init__(self, fold: Fold) -> None:
        self.path = MarkPath(fold.rules)
        self.ended: list[Default] = []
        #: Those that last, by account.
        self.lasting: dict[int, Default] = {}
        #: Times that an account came back into default within an hour of leaving it.
        self.returns: dict[int, int] = {}
        self._lots = np.zeros((fold.venue.rules.limits.accounts_max, len(fold.venue.markets)), dtype=np.int64)
        self._left_ns: dict[int, int] = {}
        self._marks = [0] * len(fold.venue.markets)
        #: The part of its margin that a position needs, where that is not all of it, by account and market.
        self._kept: dict[tuple[int, int], int] = {}
        self._contracts = fold.contracts

    @property
    def all(self) -> list[Default]:
        """Every default: those that ended, in the order of their ends, and those that last."""
        return [*self.ended, *self.lasting.values()]

    def take_batch(self, fold: Fold) -> None:
        """Follow marks, lots and money through a batch, in the order of its effects."""
        if fold.rules is not fold.rules_before:
            self._contracts = fold.contracts
            self.path.turn(int(fold.events["seq"][0]), int(fold.events["time_ns"][0]), fold.rules)
        seq, market, ticks = fold.mark.changes
        self.path.take(seq, fold.time_ns(seq), market, ticks)
        entered = fold.once(entries).account.tolist()
        followed = np.zeros(len(self._lots), dtype=np.bool_)
        followed[[*self.lasting, *entered]] = True
        changes = zip(seq.tolist(), market.tolist(), ticks.tolist(), strict=True)
        change = next(changes, None)
        for _, at, time_ns, kind, row in sorted(_steps(fold, followed), key=itemgetter(0)):
            # What an event does is done at the marks that stand after it.
            while change is not None and change[0] <= at:
                self._marks[change[1]] = change[2]
                change = next(changes, None)
            if kind == EffectKind.TRADE:
                self._trade(at, time_ns, *row)
            elif kind == EffectKind.HEALTH:
                self._change(at, time_ns, *row)
            elif kind == EffectKind.RELIEF:
                self._relieve(*row)
            else:
                self._post(at, *row)
        while change is not None:
            self._marks[change[1]] = change[2]
            change = next(changes, None)
        trades = fold.rows(TradeEffect[Columns])
        others = trades.where((trades.account >= 0) & ~_are_among(trades.account, followed))
        np.add.at(self._lots, (others.account, others.market), others.lots)

    def _held(self, account: int) -> tuple[tuple[int, int], ...]:
        """Return the lots of an account by market."""
        return tuple((market, lots) for market, lots in enumerate(self._lots[account].tolist()) if lots)

    def _trade(self, seq: int, time_ns: int, account: int, market: int, lots: int, cash: int, cause: int) -> None:
        default = self.lasting.get(account)
        if default is not None and cause in _CLOSING:
            if default.holding is None:
                held = self._held(account)
                kept_ppm = tuple((number, self._kept[account, number]) for number, _ in held if (account, number) in self._kept)
                default.holding = Holding(seq, time_ns, default.beside, held, kept_ppm)
            default.closed += abs(self._contracts[market].value(lots, self._marks[market]))
        elif default is not None:
            default.beside += cash
        self._lots[account, market] += lots
        if default is not None and not self._lots[account].any():
            default.flat_ns = time_ns

    def _change(self, seq: int, time_ns: int, account: int, health: int, old_health: int, equity: int) -> None:
        if health >= Health.DISTRESSED > old_health:
            worth = sum(self._contracts[market].value(lots, self._marks[market]) for market, lots in self._held(account))
            self.lasting[account] = Default(account, seq, time_ns, equity - worth)
            if time_ns - self._left_ns.get(account, -HOUR_NS - 1) <= HOUR_NS:
                self.returns[account] = self.returns.get(account, 0) + 1
        elif old_health >= Health.DISTRESSED > health:
            default = self.lasting.pop(account)
            default.ended_ns = self._left_ns[account] = time_ns
            self.ended.append(default)

    def _relieve(self, account: int, market: int, kept_ppm: int) -> None:
        self._kept[account, market] = kept_ppm
        if kept_ppm == _PPM:
            del self._kept[account, market]

    def _post(self, seq: int, receiver: int, payer: int, amount: int, cause: int) -> None:
        if cause == Cause.FUNDING and WORLD not in (receiver, payer) and self._began_in(seq, receiver, payer):
            # It settles at once what its equity already had.
            return
        if (default := self.lasting.get(receiver)) is not None:
            default.beside += amount
        if (default := self.lasting.get(payer)) is not None:
            default.beside -= amount
            default.costs += amount if cause in _COSTS else 0

    def _began_in(self, seq: int, *holders: int) -> bool:
        """Return whether a default of one of these began in an event."""
        return any(default.seq == seq for holder in holders if (default := self.lasting.get(holder)) is not None)


_Step = tuple[int, int, int, EffectKind, tuple[int, ...]]


def _steps(fold: Fold, followed: NDArray[np.bool_]) -> Iterator[_Step]:
    """Yield place, seq, time, kind and fields of the effects that move a default, of the accounts
    followed, and of relief, of all.
    """
    kind = fold.effects["kind"]
    trades, health, postings = fold.rows(TradeEffect[Columns]), fold.rows(HealthEffect[Columns]), fold.rows(PostingEffect[Columns])
    relief = fold.rows(ReliefEffect[Columns])
    for view, mask, fields in (
        (trades, _are_among(trades.account, followed), ("account", "market", "lots", "cash", "cause")),
        (
            health,
            (health.health >= Health.DISTRESSED) != (health.old_health >= Health.DISTRESSED),
            ("account", "health", "old_health", "equity"),
        ),
        (relief, np.full(len(relief), True), ("account", "market", "kept_ppm")),
        (postings, _outside_of_trades(postings, followed), ("receiver", "payer", "amount", "cause")),
    ):
        rows = view.where(mask)
        places = np.flatnonzero(kind == view.kind)[mask]
        columns = (getattr(rows, name).tolist() for name in fields)
        for place, seq, time_ns, *row in zip(places.tolist(), rows.seq.tolist(), fold.time_ns(rows.seq).tolist(), *columns, strict=True):
            yield place, seq, time_ns, view.kind, tuple(row)


def _are_among(holders: Ints, followed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which holders are accounts that are followed; the house never is."""
    found: NDArray[np.bool_] = (holders >= 0) & followed[np.maximum(holders, 0)]
    return found


def _outside_of_trades(rows: PostingEffect[Columns], followed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which postings are more than the realised part of a trade's cash, or a haircut's move
    from cost to balance.
    """
    inner = {number for number in np.unique(np.concatenate([rows.receiver, rows.payer])).tolist() if is_clearing(number)}
    trade = np.isin(rows.cause, (Cause.OPENING, Cause.FILL, Cause.ERROR_FILL, Cause.DISPOSAL, Cause.SETTLEMENT, *_CLOSING))
    among = np.isin(rows.receiver, list(inner)) | np.isin(rows.payer, list(inner))
    of_account = _are_among(rows.receiver, followed) | _are_among(rows.payer, followed)
    found: NDArray[np.bool_] = of_account & ~(trade & among)
    return found
