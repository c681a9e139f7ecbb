"""A venue's accounts from files: positions, owners and collateral.

Knows names and decimals; hands on numbers. The names are kept for the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.config import Rounding, Venue
from backstop.core.events import NONE
from backstop.core.instruments import BALANCE_ATOMS_MAX
from backstop.feeds.columns import Grid, exact_of, fraction_text, steps_of_column
from backstop.feeds.prices import markets_text
from backstop.feeds.table import Chunk, Column, Table, open_table
from backstop.printing import NAME_MAX, shown_name

__all__ = [
    "COLLATERAL_ROUNDING",
    "COST_ROUNDING",
    "AccountBook",
    "OpeningReport",
    "read_accounts",
]

#: A cost between two atoms goes to the nearer one; halfway, to the even one.
COST_ROUNDING = Rounding.HALF_EVEN
#: Collateral between two atoms goes to the lower one: no account gets more than was posted.
COLLATERAL_ROUNDING = Rounding.FLOOR
#: Largest amount of one TRANSFER.
_AMOUNT_MAX = 1 << 60

_ACCOUNTS = ("account", "owner", "market", "quantity", "entry_price")
_COLLATERAL = ("account", "asset", "amount")
_ENTRY_EXPECTED = "must be a number above 0"
_AMOUNT_EXPECTED = "must be a number, 0 or more"

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OpeningReport:
    """Counts of the accounts that were read, and of the values that did not fit."""

    accounts: int
    owners: int
    positions: int
    #: Rows without a quantity, or with quantity 0: the account is opened, no position is.
    rows_without_position: int
    accounts_without_collateral: int
    #: Costs that were not a whole number of atoms, and the largest rounding, in the asset; of several
    #: assets in atoms.
    costs_rounded: int
    cost_error_max: str
    collateral_rounded: int
    collateral_error_max: str
    #: Collateral of all accounts by asset, in atoms.
    collateral_atoms: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "collateral_atoms"}
        return values | {"cost_rounding": COST_ROUNDING.value, "collateral_rounding": COLLATERAL_ROUNDING.value}


@dataclass(frozen=True, slots=True)
class AccountBook:
    """Accounts with their owners, balances and positions, ids dense in order of first
    appearance.
    """

    accounts: tuple[str, ...]
    owners: tuple[str, ...]
    #: By account.
    owner: Ints
    #: Number of its asset.
    asset: Ints
    balance_atoms: Ints
    #: By position.
    account: Ints
    market: Ints
    lots: Ints
    cost_atoms: Ints
    report: OpeningReport


@dataclass(slots=True)
class _Gathered:
    """Rows of the accounts file, as they come."""

    accounts: dict[str, int] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    owner: list[int] = field(default_factory=list)
    account: list[int] = field(default_factory=list)
    market: list[int] = field(default_factory=list)
    lots: list[int] = field(default_factory=list)
    cost: list[int] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    empty: int = 0
    costs_rounded: int = 0
    cost_error: Fraction = Fraction(0)
    #: By account whose positions or collateral say it: the number of its asset.
    asset: dict[int, int] = field(default_factory=dict)


def read_accounts(accounts_path: Path | str, collateral_path: Path | str, venue: Venue) -> AccountBook:
    """Read the file of accounts and positions, and the file of their collateral.

    ``account, owner, market, quantity, entry_price``: quantity signed, in contracts; a row without
    market and quantity opens an account without a position. ``account, asset, amount``: of the
    settlement asset of the account's markets. All accounts of an owner are in one asset; one that has
    neither position nor collateral is in that of its owner's others, or in the first. A position's
    cost is quantity x entry price, exactly, rounded to an atom: an entry price is a mean and need not
    lie on a tick.

    Raises ``FeedError`` naming file, line, column and value.
    """
    table = open_table(accounts_path)
    table.require(*_ACCOUNTS)
    gathered = _Gathered()
    for chunk in table.chunks(_ACCOUNTS):
        _gather(table, chunk, venue, gathered)
        _check_room(table, venue, gathered)  # before a file of any length is in memory
    if not gathered.accounts:
        raise table.error("has no rows of data", "must have at least one account")
    balance, rounded, error = _collateral(collateral_path, venue, gathered, Path(accounts_path))
    lots, market = _ints(gathered.lots), _ints(gathered.market)
    _check_limits(table, venue, gathered)
    assets = _assets_of(table, venue, gathered)
    report = OpeningReport(
        accounts=len(gathered.accounts),
        owners=len(gathered.owners),
        positions=len(lots),
        rows_without_position=gathered.empty,
        accounts_without_collateral=int((balance == 0).sum()),
        costs_rounded=gathered.costs_rounded,
        cost_error_max=_error_text(gathered.cost_error, venue, _decimal_text),
        collateral_rounded=rounded,
        collateral_error_max=fraction_text(error * Fraction(venue.asset.atom))
        if len(venue.assets) == 1
        else f"{fraction_text(error)} atoms",
        collateral_atoms=tuple(sum(balance[assets == number].tolist()) for number in range(len(venue.assets))),
    )
    return AccountBook(
        accounts=tuple(gathered.accounts),
        owners=tuple(gathered.owners),
        owner=_ints(gathered.owner),
        asset=assets,
        balance_atoms=balance,
        account=_ints(gathered.account),
        market=market,
        lots=lots,
        cost_atoms=_ints(gathered.cost),
        report=report,
    )


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _error_text(atoms: Fraction, venue: Venue, text: Callable[[Fraction], str]) -> str:
    """Return the largest rounding as a text: in the asset, of several assets in atoms."""
    return text(atoms * Fraction(venue.asset.atom)) if len(venue.assets) == 1 else f"{text(atoms)} atoms"


def _assets_of(table: Table, venue: Venue, gathered: _Gathered) -> Ints:
    """Return the number of each account's asset.

    Raises ``FeedError`` where the accounts of an owner are in several.
    """
    of_owner: dict[int, tuple[int, str]] = {}
    names = list(gathered.accounts)
    for account, asset in sorted(gathered.asset.items()):
        first, name = of_owner.setdefault(gathered.owner[account], (asset, names[account]))
        if first != asset:
            owner = list(gathered.owners)[gathered.owner[account]]
            told = f"{shown_name(name)} is in {venue.assets[first].name}, {shown_name(names[account])} in {venue.assets[asset].name}"
            expected = "must have accounts in one asset: give those in another an owner of their own"
            raise table.error(f"has accounts in two assets ({told})", expected, column="owner", value=owner)
    return _ints([gathered.asset.get(account, of_owner.get(owner, (0, ""))[0]) for account, owner in enumerate(gathered.owner)])


def _decimal_text(value: Fraction) -> str:
    """Return a fraction that may have no end as a decimal, rounded up to its third digit."""
    if value == 0:
        return "0"
    scale = Decimal(value.numerator) / Decimal(value.denominator)
    return format(scale.quantize(Decimal(1).scaleb(scale.adjusted() - 2), rounding="ROUND_UP"), "f")


def _name(table: Table, chunk: Chunk, column: str, place: int, noun: str) -> str:
    cell = chunk.columns[column][place]
    if cell is None or (column in chunk.missing and chunk.missing[column][place]):
        raise table.error(f"the {noun} is missing", "must be a name", chunk=chunk, place=place, column=column)
    name = str(cell)
    if len(name) > NAME_MAX:
        raise table.error(
            f"the {noun} is too long", f"must have at most {NAME_MAX} letters", chunk=chunk, place=place, column=column, value=name
        )
    return name


def _gather(table: Table, chunk: Chunk, venue: Venue, gathered: _Gathered) -> None:
    markets = _markets(table, chunk, venue)
    lot_grid = Grid(
        tuple(Fraction(market.quantity_lot) for market in venue.markets),
        tuple(market.position_lots_max for market in venue.markets),
        Rounding.EXACT,
    )
    # Only to see that it is a price: above 0 and within the highest. Its exact value makes the
    # cost.
    tick_grid = Grid(
        tuple(Fraction(market.price_tick) for market in venue.markets),
        tuple(market.price_ticks_max for market in venue.markets),
        Rounding.CEIL,
    )
    numbers = np.maximum(markets, 0)
    most = -max(lot_grid.steps_max)
    quantity = steps_of_column(
        table,
        chunk,
        "quantity",
        lot_grid,
        numbers,
        expected="must be a whole number of lots (quantity_lot of its market)",
        least=most,
        optional=True,
    )
    entry = steps_of_column(table, chunk, "entry_price", tick_grid, numbers, expected=_ENTRY_EXPECTED, least=1, optional=True)
    for place in range(chunk.rows):
        account = _account(table, chunk, place, gathered)
        lots, market = int(quantity.values[place]), int(markets[place])
        if market == NONE:
            if lots:
                raise table.error("the market is missing", "must be a market of the venue", chunk=chunk, place=place, column="market")
            gathered.empty += 1
            continue
        if (account, market) in gathered.seen:
            name, symbol = _name(table, chunk, "account", place, "account"), venue.markets[market].symbol
            raise table.error(
                f"has {symbol} twice", "must have one row for each market", chunk=chunk, place=place, column="account", value=name
            )
        gathered.seen.add((account, market))
        if lots == 0:
            gathered.empty += 1
            continue
        if entry.missing[place]:
            raise table.error("is missing", _ENTRY_EXPECTED, chunk=chunk, place=place, column="entry_price")
        _note_asset(table, chunk, place, venue, gathered, account, venue.rules.markets[market].settlement_asset)
        _add_position(venue, gathered, account, market, lots, exact_of(chunk.columns["entry_price"], place))


def _markets(table: Table, chunk: Chunk, venue: Venue) -> Ints:
    """Return the number of each row's market, or ``NONE`` where none is given."""
    known: dict[str | None, int] = {market.symbol: number for number, market in enumerate(venue.markets)}
    known[None] = NONE
    column = chunk.columns["market"]
    markets = np.empty(chunk.rows, dtype=np.int64)
    for place, cell in enumerate(column):
        number = known.get(cell) if not isinstance(column, np.ndarray) else None
        if number is None:
            raise table.error("is an unknown market", markets_text(venue), chunk=chunk, place=place, column="market", value=str(cell))
        markets[place] = number
    return markets


def _account(table: Table, chunk: Chunk, place: int, gathered: _Gathered) -> int:
    name = _name(table, chunk, "account", place, "account")
    owner_name = _name(table, chunk, "owner", place, "owner")
    owner = gathered.owners.setdefault(owner_name, len(gathered.owners))
    account = gathered.accounts.get(name)
    if account is None:
        account = gathered.accounts[name] = len(gathered.accounts)
        gathered.owner.append(owner)
    elif gathered.owner[account] != owner:
        before = list(gathered.owners)[gathered.owner[account]]
        raise table.error(
            f"is a second owner of account {shown_name(name)}",
            f"must be {shown_name(before)}, as before",
            chunk=chunk,
            place=place,
            column="owner",
            value=owner_name,
        )
    return account


def _note_asset(table: Table, chunk: Chunk, place: int, venue: Venue, gathered: _Gathered, account: int, asset: int) -> None:
    """Note the asset that a row says an account is in.

    Raises ``FeedError`` where another row said another.
    """
    before = gathered.asset.setdefault(account, asset)
    if before != asset:
        name, has = list(gathered.accounts)[account], venue.assets[before].name
        column, expected = "account", f"must stay in {has}: an account is in one asset, and its markets settle in it"
        raise table.error(f"is of {venue.assets[asset].name}", expected, chunk=chunk, place=place, column=column, value=name)


def _add_position(venue: Venue, gathered: _Gathered, account: int, market: int, lots: int, entry: Fraction) -> None:
    spec = venue.markets[market]
    exact = spec.contract.exact_value(lots, entry / Fraction(spec.price_tick))
    cost = round(exact)
    if exact.denominator != 1:
        gathered.costs_rounded += 1
        gathered.cost_error = max(gathered.cost_error, abs(exact - cost))
    gathered.account.append(account)
    gathered.market.append(market)
    gathered.lots.append(lots)
    gathered.cost.append(cost)


def _collateral(path: Path | str, venue: Venue, gathered: _Gathered, accounts_path: Path) -> tuple[Ints, int, Fraction]:
    """Return each account's balance, how many amounts were rounded, and the largest rounding in atoms."""
    table = open_table(path)
    table.require(*_COLLATERAL)
    count = len(venue.assets)
    grid = Grid(tuple(Fraction(asset.atom) for asset in venue.assets), (_AMOUNT_MAX,) * count, COLLATERAL_ROUNDING)
    balance = np.zeros(len(gathered.accounts), dtype=np.int64)
    seen: set[int] = set()
    rounded, error = 0, Fraction(0)
    total = [0] * count
    for group, atoms in enumerate(venue.fund_opening_atoms):
        total[venue.rules.funds[group].asset] += atoms
    for number, provider in enumerate(venue.providers):
        total[venue.rules.providers[number].asset] += provider.capital_atoms
    for chunk in table.chunks(_COLLATERAL):
        assets = _assets_in(table, chunk, venue)
        amounts = steps_of_column(table, chunk, "amount", grid, assets, expected=_AMOUNT_EXPECTED, least=0)
        for place in range(chunk.rows):
            name = _name(table, chunk, "account", place, "account")
            account = gathered.accounts.get(name)
            if account is None:
                expected = f"must be in {accounts_path} too (market and quantity may be left empty there)"
                raise table.error("is an unknown account", expected, chunk=chunk, place=place, column="account", value=name)
            if account in seen:
                raise table.error("is listed twice", "must be once per account", chunk=chunk, place=place, column="account", value=name)
            seen.add(account)
            number = int(assets[place])
            _note_asset(table, chunk, place, venue, gathered, account, number)
            balance[account] = amounts.values[place]
            total[number] += int(amounts.values[place])
            if total[number] > BALANCE_ATOMS_MAX:
                most = f"{venue.assets[number].money(BALANCE_ATOMS_MAX)} (2^61 atoms)"
                expected = f"funds, providers and all collateral must stay within {most}"
                cell = chunk.columns["amount"][place]
                raise table.error("overflows the ledger", expected, chunk=chunk, place=place, column="amount", value=str(cell))
            if amounts.unfit[place]:
                rounded += 1
                error = max(error, exact_of(chunk.columns["amount"], place) / grid.step[number] - int(amounts.values[place]))
    return balance, rounded, error


def _assets_in(table: Table, chunk: Chunk, venue: Venue) -> Ints:
    """Return the number of each row's asset."""
    column: Column = chunk.columns["asset"]
    names = [asset.name for asset in venue.assets]
    numbers = np.zeros(chunk.rows, dtype=np.int64)
    for place, cell in enumerate(column):
        if cell not in names or isinstance(column, np.ndarray):
            says = "is not the settlement asset" if len(names) == 1 else "is no settlement asset"
            expected = f"must be {' or '.join(names)}: other collateral than the settlement asset is not taken yet"
            value = "" if cell is None else str(cell)
            raise table.error(says, expected, chunk=chunk, place=place, column="asset", value=value)
        numbers[place] = names.index(str(cell))
    return numbers


def _check_room(table: Table, venue: Venue, gathered: _Gathered) -> None:
    limits, providers = venue.rules.limits, len(venue.providers)
    if len(gathered.accounts) + providers > limits.accounts_max:
        beside = f" beside those of its {providers} providers" if providers else ""
        room = f"the venue allows {limits.accounts_max - providers}{beside}: raise limits.accounts_max in its file"
        raise table.error(f"has {len(gathered.accounts)} accounts", room)
    if len(gathered.lots) > limits.positions_max:
        room = f"the venue allows {limits.positions_max}: raise limits.positions_max in its file"
        raise table.error(f"has {len(gathered.lots)} positions", room)


def _check_limits(table: Table, venue: Venue, gathered: _Gathered) -> None:
    for provider in venue.providers:
        if provider.name in gathered.accounts or provider.name in gathered.owners:
            noun, column = ("an account", "account") if provider.name in gathered.accounts else ("an owner", "owner")
            expected = "must have another name: the account of a provider is opened by the venue file"
            raise table.error(f"has {noun} with the name of a provider", expected, column=column, value=provider.name)
    running = [0] * len(venue.markets)
    for market, cost in zip(gathered.market, gathered.cost, strict=True):
        running[market] += cost
        if abs(running[market]) > BALANCE_ATOMS_MAX:
            expected = f"must stay within {BALANCE_ATOMS_MAX} (2^61): overflow"
            raise table.error(f"has a cost of {running[market]} atoms on one side of {venue.markets[market].symbol}", expected)
