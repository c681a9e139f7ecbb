"""One market, one position an account: the book of P2 and P3, in this engine and in ``lrvx``.

This engine runs with the simulated venue of ``backstop.markets``, so that closing orders are
filled, supported by the fund and booked by double entry. What ``lrvx`` means by a liquidation is in
``DIFFERENCES``.
"""

from __future__ import annotations

import time
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import EVENT, FUND, NONE, EffectKind, EventKind, Health
from backstop.core.instruments import LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.kinds import Columns, HealthEffect, PostingEffect
from backstop.core.state import State, new_state
from backstop.markets.driver import Stop, drive
from backstop.markets.world import World, new_world
from backstop.runs.tally import conservation_of
from benchmarks.book import FIRST_MARK_TICKS, NOTIONAL_FACTOR, POSITION_LOTS_MAX, PRICE_TICKS_MAX, Book, make_book, opening_events

SECOND_NS = 1_000_000_000
#: When the first mark after the opening comes.
START_NS = 10 * SECOND_NS
LATENCY_NS = 50_000_000
MAINTENANCE_PPM = 5_000
#: More than any crash here costs, in atoms.
FUND_ATOMS = 10**15
#: ``lrvx`` counts money to eight decimals in 64 bits: whole atoms would overflow there, millions of
#: them do not.
ATOMS_A_MONEY = 10**6

DIFFERENCES = (
    "lrvx: binary floating point, one equity per position, no ledger: nobody is credited or debited, an account's rest and its counterparty"
    " are not booked; whole positions close at mark in the order of opening, without orders, book, fee, zero price, reservation or time;"
    " the fund pays one sum per mark; here: orders to a simulated book and its fills, worst account first, fee, reservation and support a"
    " fill, every atom posted twice"
)


class Depth(NamedTuple):
    """The simulated book of the market."""

    depth_lots: tuple[int, ...]
    recovery_ppm_per_second: int = 100_000
    permanent_impact_ppm: int = 0
    latency_ns: int = LATENCY_NS


class Crash(NamedTuple):
    """What a run of marks came to."""

    #: Engine and simulated venue only.
    seconds: float
    #: Accounts that were ever below maintenance margin, ascending.
    defaulters: NDArray[np.int64]
    #: Times that an account fell below it.
    entries: int
    events: int
    effects: int
    orders: int
    adl_waves: int
    fund_paid_atoms: int
    uncovered: int


def has_lrvx() -> bool:
    """Return whether the wheel to measure against is installed."""
    try:
        import_module("lrvx")
    except ModuleNotFoundError:
        return False
    return True


def not_run(unit: str, bar: float) -> dict[str, Any]:
    """Return the object of a benchmark whose baseline is absent."""
    return {"ratio": None, "bar": bar, "unit": unit, "figures": {}, "conditions": {"not run": "lrvx is not installed (extra bench)"}}


def lrvx_version() -> str:
    """Return the version of the wheel."""
    return version("lrvx")


def open_book(accounts: int, seed: int) -> Book:
    """Return the book: leverage lognormal as P1's, one position an account, all opened at the first
    mark.
    """
    return make_book(accounts, accounts, 1, seed, one_sided=True)


def deep(book: Book) -> Depth:
    """Return a book deep enough that all of a crash closes at its best band, at the mark, in one
    slice.
    """
    lots = 4 * int(np.abs(book.lots).sum())
    return Depth((lots,) * 4)


def one_tier_rules(accounts: int, offsets_ppm: tuple[int, ...] = (0, 1_000, 2_500, 5_000)) -> VenueRules:
    """Return the rules: one linear market, one tier, the rest as a venue file's defaults."""
    tiers = (TierRules(0, 2 * MAINTENANCE_PPM, MAINTENANCE_PPM),)
    market = MarketRules(NOTIONAL_FACTOR, PRICE_TICKS_MAX, POSITION_LOTS_MAX, tiers, offsets_ppm, offsets_ppm[-1])
    limits = LimitRules(accounts_max=accounts, positions_max=accounts + 16, orders_max=1 << 18, effects_max=1 << 22)
    return VenueRules(markets=(market,), limits=limits)


def mark_events(ticks: NDArray[np.int64], first_ns: int, spacing_ns: int = SECOND_NS) -> NDArray[np.void]:
    """Return one MARK event a price."""
    rows = np.zeros(len(ticks), dtype=EVENT)
    rows["kind"], rows["account"], rows["price_ticks"] = EventKind.MARK, NONE, ticks
    rows["time_ns"] = first_ns + np.arange(len(ticks)) * spacing_ns
    return rows


def fall_ticks(share: float, marks: int) -> NDArray[np.int64]:
    """Return a straight fall by ``share`` in so many marks."""
    return np.round(FIRST_MARK_TICKS * np.linspace(1.0, 1.0 - share, marks + 1)[1:]).astype(np.int64)


class Desk:
    """The engine with its venue and the book open; ``restore`` brings it back to there."""

    def __init__(
        self, book: Book, depth: Depth, fund_atoms: int = FUND_ATOMS, rules: VenueRules | None = None, impact: bool = False
    ) -> None:
        accounts = len(book.collateral)
        rules = rules or one_tier_rules(accounts)
        self.state: State = new_state(rules)
        self.world: World = new_world(rules, [depth], start_ns=0, impact=impact)
        self._merged = np.zeros(1 << 16, dtype=EVENT)
        opening = opening_events(book, accounts, 1)
        paid = np.zeros(1, dtype=EVENT)
        paid["kind"], paid["account"], paid["market"], paid["amount"] = EventKind.TRANSFER, FUND, NONE, fund_atoms
        self._run(np.concatenate([opening[:1], paid, opening[1:]]), False)
        self._arrays = list(self.world.arrays().values())
        self._saved: list[NDArray[Any]] = []
        self._saved_state = self.state

    def save(self) -> None:
        """Remember the present state for ``restore``."""
        self._saved = [array.copy() for array in self._arrays]
        self._saved_state = self.state.copy_used()

    def restore(self) -> None:
        """Bring engine and venue back to where ``save`` was called, in the same memory."""
        for array, saved in zip(self._arrays, self._saved, strict=True):
            array[...] = saved
        self.state.reset_from(self._saved_state)

    def crash(self, events: NDArray[np.void], is_last: bool = True) -> Crash:
        """Run outside events; with ``is_last`` until every order is answered and every wait is
        over.
        """
        return self._run(events, is_last)

    def median_crash(self, events: NDArray[np.void], repeats: int) -> Crash:
        """Run the same events so many times from where the desk is, once more before to warm up;
        return the median run.
        """
        self.save()
        runs = []
        for _ in range(repeats + 1):
            self.restore()
            runs.append(self.crash(events))
        return sorted(runs[1:], key=lambda run: run.seconds)[repeats // 2]

    def is_clean(self) -> bool:
        """Return whether the ledger and the market sum to zero and nobody is left in default."""
        return conservation_of(self.state).holds and not bool((self.state.accounts["health"] >= Health.DISTRESSED).any())

    def open_positions(self) -> int:
        """Return how many accounts hold lots."""
        return int((self.state.positions["lots"][2:] != 0).sum())

    def _run(self, events: NDArray[np.void], is_last: bool) -> Crash:
        state, seconds, count = self.state, 0.0, 0
        found: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
        kinds = np.zeros(len(EffectKind) + 1, dtype=np.int64)
        paid = 0
        stop = Stop.FULL
        self.world.control[0].cursor = 0
        while stop in (Stop.FULL, Stop.EFFECTS):
            started = time.perf_counter()
            merged, code = drive(state, self.world, events, is_last, self._merged)
            seconds += time.perf_counter() - started
            stop = Stop(code)
            count += merged
            effects = state.effects[: int(state.engine[0].effects_now)]
            kinds += np.bincount(effects["kind"], minlength=len(kinds))
            health, postings = HealthEffect[Columns](effects), PostingEffect[Columns](effects)
            found.append(health.account[(health.health >= Health.DISTRESSED) & (health.old_health < Health.DISTRESSED)])
            paid += int(postings.amount[postings.payer == FUND].sum())
            state.engine[0].effects_now = 0
        entries = np.concatenate(found)
        return Crash(
            seconds=seconds,
            defaulters=np.unique(entries),
            entries=len(entries),
            events=count,
            effects=int(kinds.sum()),
            orders=int(kinds[EffectKind.ORDER]),
            adl_waves=int(kinds[EffectKind.ADL_PLAN]),
            fund_paid_atoms=paid,
            uncovered=int(kinds[EffectKind.RESIDUAL]),
        )


class Baseline:
    """``LiquidationEngine`` of ``lrvx`` with the same book: one position an account, the same
    single tier, closing at mark.
    """

    def __init__(self, book: Book, fund_atoms: int = FUND_ATOMS) -> None:
        self.engine: Any = import_module("lrvx").LiquidationEngine()
        self.engine.add_tier(0.0, MAINTENANCE_PPM / 1e6)
        self.engine.set_liquidation_slippage_bps(0.0)
        self.engine.set_insurance_fund_capital(fund_atoms / ATOMS_A_MONEY)
        quantity = (book.lots * NOTIONAL_FACTOR / ATOMS_A_MONEY).tolist()
        equity = (book.collateral / ATOMS_A_MONEY).tolist()
        entry = float(FIRST_MARK_TICKS)
        for account, (held, backing) in enumerate(zip(quantity, equity, strict=True)):
            self.engine.open_position(account, 0, held, entry, backing)

    def run(self, ticks: NDArray[np.int64]) -> tuple[float, NDArray[np.int64], float]:
        """Return (seconds, accounts liquidated, atoms that the fund paid) of a run of marks."""
        found: list[int] = []
        prices = [float(price) for price in ticks.tolist()]
        before = self.engine.insurance_fund_balance()
        started = time.perf_counter()
        for price in prices:
            found += self.engine.on_mark(0, price)["liquidated"]
        seconds = time.perf_counter() - started
        paid = (before - self.engine.insurance_fund_balance()) * ATOMS_A_MONEY
        return seconds, np.unique(np.array(found, dtype=np.int64)), paid
