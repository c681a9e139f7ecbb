"""The events that open a venue, all before the first price: funds, prices, accounts, providers,
positions.

Nothing is read here; what was read is put in the order in which an engine can take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backstop.config import Venue
from backstop.core.events import EVENT, NONE, EventArray, EventKind, Transfer, fund_of
from backstop.core.instruments import PPM
from backstop.feeds.accounts import AccountBook
from backstop.feeds.errors import FeedError
from backstop.feeds.prices import Prices
from backstop.printing import shown_name

__all__ = ["accounts_open_ns", "market_opening", "opening_events", "provider_opening"]


def opening_events(venue: Venue, book: AccountBook, prices: Prices) -> EventArray:
    """Return the events that open a venue: funds, prices, accounts, collateral, providers,
    positions.

    The funds and the first price of each market come 2 ns before the first price of the stream (so
    that the book's depth is known before anyone can be in default), accounts 1 ns before it.
    Providers are there before positions, so that one who opens in default finds them.

    The engine judges an account after each of its positions, so one that is only sound as a whole
    could be closed half open. Such an account is lent the difference while it is opened (TRANSFER,
    FUNDING, there and back), and accounts that are in default when complete are opened last.

    Raises ``FeedError`` where a market of a position has no price.
    """
    for number in np.unique(book.market).tolist():
        if number not in prices.markets:
            symbol = venue.markets[number].symbol
            first = int(np.argmax(book.market == number))
            raise FeedError(
                prices.report.files[0] if prices.report.files else "prices",
                f"has no price of {symbol}",
                f"must have one: account {shown_name(book.accounts[int(book.account[first])])} has a position there",
                column="market",
            )
    opening_ns = accounts_open_ns(prices.start_ns)
    rows: list[tuple[int, ...]] = []
    for account, (owner, asset) in enumerate(zip(book.owner.tolist(), book.asset.tolist(), strict=True)):
        rows.append(_row(opening_ns, EventKind.ACCOUNT, code=asset, account=account, other=owner))
    for account, atoms in enumerate(book.balance_atoms.tolist()):
        if atoms:
            rows.append(_row(opening_ns, EventKind.TRANSFER, account=account, amount=atoms))
    providers = provider_opening(venue, len(book.accounts), len(book.owners), opening_ns)
    positions = _position_rows(venue, book, prices, opening_ns)
    return np.concatenate([market_opening(venue, prices), _event_rows(rows), providers, _event_rows(positions)])


def accounts_open_ns(start_ns: int) -> int:
    """Return when accounts open, for prices that start at ``start_ns``."""
    return max(start_ns - 1, 0)


def market_opening(venue: Venue, prices: Prices) -> EventArray:
    """Return the deposit of each group's fund and the first price of each market, ahead of all
    accounts.
    """
    time_ns = max(prices.start_ns - 2, 0)
    rows: list[tuple[int, ...]] = []
    for group, atoms in enumerate(venue.fund_opening_atoms):
        if atoms:
            rows.append(_row(time_ns, EventKind.TRANSFER, account=fund_of(group), amount=atoms))
    for number, market in prices.markets.items():
        if market.first_index_ticks:
            rows.append(_row(time_ns, EventKind.INDEX, market=number, price_ticks=market.first_index_ticks))
        rows.append(_row(time_ns, EventKind.MARK, market=number, price_ticks=market.first_mark_ticks))
    return _event_rows(rows)


def provider_opening(venue: Venue, first_account: int, first_owner: int, time_ns: int) -> EventArray:
    """Return the events that open one account per provider: the next ids, one owner each, its
    capital in atoms, and its number.

    The venue must have room for them, and no account of theirs yet.
    """
    rows: list[tuple[int, ...]] = []
    for number, provider in enumerate(venue.providers):
        account = first_account + number
        asset = venue.rules.providers[number].asset
        rows.append(_row(time_ns, EventKind.ACCOUNT, code=asset, account=account, other=first_owner + number))
        if provider.capital_atoms:
            rows.append(_row(time_ns, EventKind.TRANSFER, account=account, amount=provider.capital_atoms))
        rows.append(_row(time_ns, EventKind.PROVIDER, account=account, other=number))
    return _event_rows(rows)


def _event_rows(rows: list[tuple[int, ...]]) -> EventArray:
    events = np.zeros(len(rows), dtype=EVENT)
    if rows:
        for name, values in zip(_FIELDS, zip(*rows, strict=True), strict=True):
            events[name] = values
    return events


_FIELDS = ("time_ns", "kind", "code", "market", "account", "other", "lots", "price_ticks", "amount")


def _row(
    time_ns: int,
    kind: EventKind,
    *,
    code: int = 0,
    market: int = NONE,
    account: int = NONE,
    other: int = 0,
    lots: int = 0,
    price_ticks: int = 0,
    amount: int = 0,
) -> tuple[int, ...]:
    return time_ns, int(kind), code, market, account, other, lots, price_ticks, amount


def _position_rows(venue: Venue, book: AccountBook, prices: Prices, time_ns: int) -> list[tuple[int, ...]]:
    of_account: dict[int, list[int]] = {}
    for place, account in enumerate(book.account.tolist()):
        of_account.setdefault(account, []).append(place)
    sound: list[tuple[int, ...]] = []
    in_default: list[tuple[int, ...]] = []
    market, lots, cost = book.market.tolist(), book.lots.tolist(), book.cost_atoms.tolist()
    for account, places in of_account.items():
        balance = int(book.balance_atoms[account])
        exposures = [_exposure(venue, prices, market[place], lots[place], cost[place]) for place in places]
        lent = 0 if len(places) == 1 else _lent(balance, exposures)
        mine = [
            _row(time_ns, EventKind.POSITION, market=market[place], account=account, lots=lots[place], amount=cost[place])
            for place in places
        ]
        if lent:
            there = _row(time_ns, EventKind.TRANSFER, code=int(Transfer.FUNDING), account=account, amount=lent)
            back = _row(time_ns, EventKind.TRANSFER, code=int(Transfer.FUNDING), account=account, amount=-lent)
            mine = [there, *mine, back]
        equity = balance + sum(gain for gain, _ in exposures)
        (in_default if equity < sum(margin for _, margin in exposures) else sound).extend(mine)
    return sound + in_default


def _exposure(venue: Venue, prices: Prices, market: int, lots: int, cost: int) -> tuple[int, int]:
    """Return (unrealised gain, maintenance margin) of a position at the opening mark."""
    contract, mark = venue.markets[market].contract, prices.markets[market].first_mark_ticks
    return contract.value(lots, mark) - cost, _maintenance(venue.rules.markets[market].tiers, contract.notional(lots, mark))


def _maintenance(tiers: Sequence[Any], notional: int) -> int:
    margin = last_rate = 0
    for tier in tiers:
        if notional <= tier.floor_atoms:
            break
        margin += (notional - tier.floor_atoms) * (tier.maintenance_rate_ppm - last_rate)
        last_rate = tier.maintenance_rate_ppm
    return -(-margin // PPM)


def _lent(balance: int, exposures: list[tuple[int, int]]) -> int:
    """Return the loan that keeps an account away from default while its positions open one by
    one.
    """
    equity, margin, lent = balance, 0, 0
    for gain, needed in exposures[:-1]:
        equity += gain
        margin += needed
        lent = max(lent, 2 * margin - equity)
    return lent
