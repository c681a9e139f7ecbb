"""Fuzzed account and collateral files: positions, costs and balances are worked out again in
fractions.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from pathlib import Path
from random import Random
from typing import Any

from backstop.feeds.accounts import AccountBook, read_accounts
from backstop.feeds.errors import FeedError
from tests.feeds.samples import BTC, ETH, small_venue
from tests.fuzz.tables import Cell, Naive, Rows, check_refusal, naive_number, naive_rows, spoil, written
from tests.fuzz.target import Found

__all__ = ["fuzz_accounts", "fuzz_collateral"]

_COLUMNS = frozenset(("account", "owner", "market", "quantity", "entry_price", "asset", "amount"))
#: What an account holds: its owner, its balance, lots and cost by market.
Held = tuple[str, int, dict[str, tuple[int, int]]]


def _accounts(rng: Random) -> Rows:
    cells = []
    for number in range(rng.randint(1, 5)):
        for symbol, price in ((BTC, 120_000), (ETH, 4_000)):
            if rng.random() < 0.7:
                sign = rng.choice(("", "-"))
                entry = f"{price + rng.randint(0, 99_999) / 1_000:.3f}"
                cells.append([f"a{number}", f"o{number // 2}", symbol, f"{sign}{rng.randint(1, 500)}.{rng.randint(0, 99):02d}", entry])
        if rng.random() < 0.3 or not cells:
            cells.append([f"a{number}x", f"o{number // 2}", "", "", ""])
    return Rows(["account", "owner", "market", "quantity", "entry_price"], cells, (), ("quantity", "entry_price"))


def _collateral(rng: Random, accounts: Rows) -> Rows:
    names = list(dict.fromkeys(row[0] for row in accounts.cells))
    cells = [[name, "USDT", f"{rng.randint(0, 10**7)}.{rng.randint(0, 10**7):07d}"] for name in names if rng.random() < 0.9]
    return Rows(["account", "asset", "amount"], cells, (), ("amount",))


def fuzz_accounts(rng: Random, folder: Path) -> bool:
    """Make a file of accounts, spoilt, and their collateral; read both, judge."""
    return _fuzz(rng, folder, is_collateral=False)


def fuzz_collateral(rng: Random, folder: Path) -> bool:
    """Make a file of collateral, spoilt, of sound accounts; read both, judge."""
    return _fuzz(rng, folder, is_collateral=True)


def _fuzz(rng: Random, folder: Path, *, is_collateral: bool) -> bool:
    accounts = _accounts(rng)
    collateral = _collateral(rng, accounts)
    changes = spoil(rng, collateral if is_collateral else accounts)
    if is_collateral:
        first, whole = _plainly(accounts, folder / "accounts.csv"), True
        second, whole = written(rng, collateral, folder / "collateral")
    else:
        first, whole = written(rng, accounts, folder / "accounts")
        second = _plainly(collateral, folder / "collateral.csv")
    try:
        book = read_accounts(first, second, small_venue())
    except FeedError as error:
        check_refusal(error, [first, second])
        if not changes and whole and (second if is_collateral else first).suffix == ".csv":
            raise Found(f"valid files were refused: {error}") from error
        return False
    _judge(book, first, second)
    return True


def _plainly(rows: Rows, path: Path) -> Path:
    path.write_text("\n".join(",".join(row) for row in (rows.names, *rows.cells)) + "\n", encoding="utf-8")
    return path


def _judge(book: AccountBook, first: Path, second: Path) -> None:
    try:
        expected = _expected(first, second)
    except (Naive, ValueError, ArithmeticError, IndexError, KeyError, TypeError) as error:
        raise Found(f"loaded, but a plain reading finds: {type(error).__name__}: {error}") from error
    venue = small_venue()
    loaded: dict[str, Held] = {
        name: (book.owners[int(book.owner[number])], int(book.balance_atoms[number]), {}) for number, name in enumerate(book.accounts)
    }
    for account, market, lots, cost in zip(book.account, book.market, book.lots, book.cost_atoms, strict=True):
        loaded[book.accounts[int(account)]][2][venue.markets[int(market)].symbol] = (int(lots), int(cost))
    if loaded != expected:
        wrong = [name for name in {*loaded, *expected} if loaded.get(name) != expected.get(name)]
        raise Found(f"account {wrong[0]!r}: expected {expected.get(wrong[0])}, loaded {loaded.get(wrong[0])}")
    if book.report.collateral_atoms != (sum(balance for _, balance, _ in expected.values()),):
        raise Found("the report's sum of collateral is not that of the accounts")


def _name(cell: Cell) -> str:
    if cell is None:
        raise Naive("a name is missing")
    return str(cell)


def _expected(first: Path, second: Path) -> dict[str, Held]:
    venue = small_venue()
    specs = {market.symbol: market for market in venue.markets}
    found: dict[str, Held] = {}
    for row in _named(first):
        name, owner = _name(row["account"]), _name(row["owner"])
        held = found.setdefault(name, (owner, 0, {}))
        if held[0] != owner:
            raise Naive(f"{name} has two owners")
        quantity = Fraction(0) if row["quantity"] is None else naive_number(row["quantity"])
        if row["market"] is None and quantity:
            raise Naive("a quantity without a market")
        if not quantity:
            continue
        spec = specs[row["market"]]
        lots, ticks = quantity / Fraction(spec.quantity_lot), naive_number(row["entry_price"]) / Fraction(spec.price_tick)
        if lots.denominator != 1 or abs(lots) > spec.position_lots_max or not 0 < ticks <= spec.price_ticks_max:
            raise Naive(f"{lots} lots at {float(ticks):g} ticks")
        if spec.symbol in held[2]:
            raise Naive(f"{name} has {spec.symbol} twice")
        held[2][spec.symbol] = (int(lots), round(lots * ticks * spec.notional_factor))
    for name, balance in _balances(second, found).items():
        found[name] = (found[name][0], balance, found[name][2])
    return found


def _balances(path: Path, accounts: dict[str, Held]) -> dict[str, int]:
    venue = small_venue()
    balances: dict[str, int] = {}
    for row in _named(path):
        name = _name(row["account"])
        amount = naive_number(row["amount"]) / Fraction(venue.asset.atom)
        if name in balances or name not in accounts or row["asset"] != venue.asset.name or not 0 <= amount <= 1 << 61:
            raise Naive(f"collateral of {name}: {float(amount):g} {row['asset']}")
        balances[name] = floor(amount)
    return balances


def _named(path: Path) -> list[dict[str, Any]]:
    names, cells = naive_rows(path, _COLUMNS)
    if len(set(names)) < len(names):
        raise Naive("a column stands twice")
    return [dict(zip(names, row, strict=True)) for row in cells]
