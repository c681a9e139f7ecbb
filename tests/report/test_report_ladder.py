"""Liquidation prices of the report against the engine's own judgement, tick by tick; positions
against its state.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backstop.core.engine import step
from backstop.core.events import EVENT, NONE, EventArray, EventKind, Health
from backstop.core.margin import assess
from backstop.core.state import State, new_state, positions_of
from backstop.journal import open_journal
from backstop.markets.population import default_parameters
from backstop.report.books import Books, Holdings
from backstop.report.ladder import Ladder, ladder_of, maintenance_atoms
from backstop.runs.cases import case_of_population
from backstop.runs.replay import replay_case
from tests.feeds.samples import BTC, ETH, small_venue
from tests.runs.test_replay import case_of

VENUE = small_venue()


def opened(tmp_path: Path, accounts: int = 300) -> tuple[State, EventArray, EventArray]:
    """Return the state of a population as it opens, its events and its effects."""
    marks = [(second, market, price) for second in (0, 1) for market, price in ((BTC, "100000"), (ETH, "4000"))]
    base = case_of(tmp_path, "a,o,,,\n", "a,USDT,1\n", marks)
    case = case_of_population(VENUE, base.prices, replace(default_parameters(), accounts=accounts), seed=9)
    events = case.opening.copy()
    events["seq"] = np.arange(len(events))
    state = new_state(VENUE.rules)
    place = 0
    effects = []
    while place < len(events):
        place = int(step(state, events, place))
        effects.append(state.effects[: int(state.engine[0].effects_now)].copy())
        state.engine[0].effects_now = 0
    return state, events, np.concatenate(effects)


def ladder_of_effects(state: State, effects: EventArray) -> tuple[Holdings, Ladder]:
    books = Books(len(VENUE.markets))
    for first in range(0, len(effects), 97):
        books.add(effects[first : first + 97])
    held = books.holdings()
    return held, ladder_of(VENUE.rules, held, state.markets["mark_ticks"].copy())


def test_holdings_rebuilt_from_effects_are_the_engines(tmp_path: Path) -> None:
    state, _, effects = opened(tmp_path)
    held, _ = ladder_of_effects(state, effects)
    rows = positions_of(state)
    assert len(rows) > 300
    for name in ("account", "market", "lots", "cost"):
        assert np.array_equal(getattr(held, name), rows[name])
    assert held.balance[:300].tolist() == state.accounts["balance"][:300].tolist()


def test_holdings_after_closings_adl_and_payments_are_the_engines(tmp_path: Path) -> None:
    marks = [(s, m, p) for s in range(40) for m, p in ((BTC, str(100_000 - 900 * s)), (ETH, str(4000 - 40 * s)))]
    venue = small_venue(fund="1000", closeout='account_notional_max = "2000"')
    base = case_of(tmp_path, "a,o,,,\n", "a,USDT,1\n", marks, venue)
    case = case_of_population(venue, base.prices, replace(default_parameters(), accounts=300), seed=2)
    result = replay_case(case, journal_path=tmp_path / "journal.db")
    assert all(row.accounts for row in result.tally.stages() if row.stage.name in ("CLOSEOUT", "FUND", "ADL"))
    state, books = new_state(venue.rules), Books(len(venue.markets))
    with open_journal(tmp_path / "journal.db") as journal:
        for batch in journal.batches():
            books.add(batch.effects)
            place = 0
            while place < len(batch.events):
                place = int(step(state, batch.events, place))
                state.engine[0].effects_now = 0
    held, rows = books.holdings(), positions_of(state)
    for name in ("account", "market", "lots", "cost"):
        assert np.array_equal(getattr(held, name), rows[name])
    accounts = state.accounts["balance"][: int(state.engine[0].accounts_now)]
    assert held.balance[: len(accounts)].tolist() == accounts.tolist()


def is_in_default(state: State, account: int, market: int, ticks: int) -> bool:
    """Ask the engine's own margin whether an account would be in default at a mark, all else
    fixed.
    """
    mark = int(state.markets[market].mark_ticks)
    state.markets[market].mark_ticks = ticks
    equity, maintenance = assess(state, account)
    state.markets[market].mark_ticks = mark
    return bool(equity < maintenance)


def test_at_its_liquidation_price_an_account_is_in_default_and_a_tick_before_it_is_not(tmp_path: Path) -> None:
    state, _, effects = opened(tmp_path)
    _, ladder = ladder_of_effects(state, effects)
    met = 0
    for account, market, lots, _, ticks, in_default in zip(*ladder, strict=True):
        account, market, ticks = int(account), int(market), int(ticks)
        top = VENUE.markets[market].price_ticks_max
        assert in_default == is_in_default(state, account, market, int(state.markets[market].mark_ticks))
        if ticks == 0:
            assert not is_in_default(state, account, market, 1 if lots > 0 else top)
            continue
        met += 1
        assert is_in_default(state, account, market, ticks)
        beyond = ticks + (1 if lots > 0 else -1)
        if 1 <= beyond <= top:
            assert not is_in_default(state, account, market, beyond)
    assert met > 200


def test_the_engine_defaults_the_account_at_that_mark(tmp_path: Path) -> None:
    """One mark at the price: the account comes into default; at the tick before it: it does not."""
    _, events, effects = opened(tmp_path, 60)
    state, _, _ = opened(tmp_path, 60)
    _, ladder = ladder_of_effects(state, effects)
    rows = [row for row in range(len(ladder.lots)) if ladder.liquidation_ticks[row] > 0 and not ladder.in_default[row]][:20]
    assert len(rows) == 20
    for row in rows:
        away = 1 if ladder.lots[row] > 0 else -1
        for shift, expected in ((0, True), (away, False)):
            fresh = new_state(VENUE.rules)
            mark = np.zeros(1, dtype=EVENT)
            mark["seq"], mark["time_ns"], mark["kind"] = len(events), events["time_ns"][-1] + 1, EventKind.MARK
            mark["market"], mark["account"], mark["price_ticks"] = ladder.market[row], NONE, ladder.liquidation_ticks[row] + shift
            stream = np.concatenate([events, mark])
            place = 0
            while place < len(stream):
                fresh.engine[0].effects_now = 0
                place = int(step(fresh, stream, place))
            last = fresh.effects[: int(fresh.engine[0].effects_now)]
            entered = last[(last["kind"] == 2) & (last["account"] == ladder.account[row]) & (last["seq"] == len(events))]
            assert bool((entered["code"] >= Health.DISTRESSED).any()) == expected


@pytest.mark.parametrize("seed", range(5))
def test_maintenance_of_large_notionals_is_exact(seed: int) -> None:
    random = np.random.default_rng(seed)
    rules = VENUE.rules.markets[0]
    notional = random.integers(0, 1 << int(random.integers(20, 61)), 200)
    for value, margin in zip(notional.tolist(), maintenance_atoms(rules, notional).tolist(), strict=True):
        first = -(-value * 10_000 // 1_000_000)
        second = -(-value * 25_000 // 1_000_000) - 1_000_000 * 10**6 * 15_000 // 1_000_000
        assert margin == (first if value < 1_000_000 * 10**6 else second)
