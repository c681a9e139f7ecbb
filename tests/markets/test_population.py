"""Populations: seeded, exact, never in default while they open, with the shares that the file
declares.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.core.events import NONE, EventKind, Health
from backstop.core.instruments import VenueRules
from backstop.core.state import new_state
from backstop.markets.driver import batches
from backstop.markets.population import (
    Population,
    PopulationError,
    PopulationParameters,
    default_parameters,
    load_parameters,
    parse_parameters,
    population_events,
)
from backstop.markets.world import new_world
from tests.markets.worlds import Book, event, small_rules

SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
MARKS = (100_000, 40_000)
UNIT = 10**4


def draw(seed: int = 1, rules: VenueRules | None = None, **changed: Any) -> tuple[Population, PopulationParameters]:
    parameters = replace(default_parameters(), **{"accounts": 2_000, **changed})
    return population_events(rules or small_rules(2), SYMBOLS, UNIT, parameters, MARKS, seed, 0), parameters


def test_every_account_opens_with_collateral_and_one_or_two_positions() -> None:
    population, _ = draw()
    events = population.events
    accounts = events[events["kind"] == EventKind.ACCOUNT]
    assert np.array_equal(accounts["account"], np.arange(2_000))
    assert np.array_equal(accounts["other"], population.owners)
    transfers = events[events["kind"] == EventKind.TRANSFER]
    assert len(transfers) == 2_000
    assert (transfers["amount"] >= 1).all()
    assert (events["market"][events["kind"] != EventKind.POSITION] == NONE).all()
    held = np.bincount(events["account"][events["kind"] == EventKind.POSITION])
    assert set(held) == {1, 2}
    assert len(population.account_names) == len(set(population.account_names)) == 2_000
    assert len(population.owner_names) == population.owners.max() + 1


def test_the_same_seed_gives_the_same_people() -> None:
    assert draw(5)[0].events.tobytes() == draw(5)[0].events.tobytes()
    assert draw(5)[0].events.tobytes() != draw(6)[0].events.tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_the_engine_takes_them_all_and_nobody_is_below_initial_margin(seed: int) -> None:
    rules = small_rules(2)
    population, _ = draw(seed, rules)
    state = new_state(rules)
    world = new_world(rules, [Book()] * 2, start_ns=0, impact=False)
    first = np.concatenate([event(EventKind.MARK, market=m, price_ticks=p) for m, p in enumerate(MARKS)])
    worst = 0
    for batch in batches(state, world, [first, population.events]):
        health = batch.effects[batch.effects["kind"] == 2]
        worst = max([worst, *health["code"].tolist()])
    assert worst <= Health.WARNED
    assert state.engine[0].refused == 0
    rows = state.positions[4 : int(state.engine[0].positions_now)]
    equity = state.accounts["balance"][:2_000].astype(object)
    margin = np.zeros(2_000, dtype=object)
    for row in rows:
        mark, tiers = MARKS[int(row.market)], rules.markets[int(row.market)].tiers
        worth = abs(int(row.lots)) * mark * 10
        equity[int(row.account)] += int(row.lots) * mark * 10 - int(row.cost)
        deduction = tiers[1].floor_atoms * (tiers[1].initial_rate_ppm - tiers[0].initial_rate_ppm) // 10**6
        upper = worth >= tiers[1].floor_atoms
        margin[int(row.account)] += -(-worth * tiers[upper].initial_rate_ppm // 10**6) - (deduction if upper else 0)
    assert all(have > need for have, need in zip(equity, margin, strict=True))


def test_cost_is_lots_times_a_whole_entry_price_near_the_mark() -> None:
    rows = draw()[0].events
    rows = rows[rows["kind"] == EventKind.POSITION]
    entry, rest = np.divmod(rows["amount"], rows["lots"] * 10)
    assert not rest.any()
    ratio = np.log(entry / np.array(MARKS)[rows["market"]])
    assert abs(ratio.mean()) < 0.002
    assert abs(ratio.std() - 0.02) < 0.002


def test_shares_are_those_of_the_file() -> None:
    population, parameters = draw(accounts=4_000)
    rows = population.events[population.events["kind"] == EventKind.POSITION]
    first = np.concatenate(([True], np.diff(rows["account"]) != 0))
    assert abs((rows["lots"][first] > 0).mean() - parameters.long_share) < 0.03
    weights = parameters.shares[SYMBOLS[0]], parameters.shares[SYMBOLS[1]]
    assert abs((rows["market"][first] == 0).mean() - weights[0] / sum(weights)) < 0.03
    second = np.flatnonzero(~first)
    opposite = rows["lots"][second] * rows["lots"][second - 1] < 0
    assert (rows["market"][second] != rows["market"][second - 1]).all()
    assert abs(opposite.sum() / 4_000 - parameters.hedged_share) < 0.03
    assert abs((~opposite).sum() / 4_000 - parameters.second_share) < 0.03
    assert abs(1 - len(population.owner_names) / 4_000 - parameters.linked_share) < 0.02


def test_leverage_is_the_declared_lognormal_below_the_cap_of_initial_margin() -> None:
    population, _ = draw(accounts=4_000, entry_deviation=0.0, hedged_share=0.0, second_share=0.0)
    events = population.events
    collateral = events["amount"][events["kind"] == EventKind.TRANSFER]
    rows = events[events["kind"] == EventKind.POSITION]
    leverage = np.abs(rows["lots"]) * np.array(MARKS)[rows["market"]] * 10 / collateral
    assert leverage.max() < 1 / (0.1 * 1.1)
    # The median lies below the cap, so the cap leaves it alone.
    assert abs(np.log(np.median(leverage)) - 1.2) < 0.06


def test_no_position_exceeds_the_markets_largest() -> None:
    population, _ = draw(size=replace(default_parameters().size, median_notional=1e12))
    rows = population.events[population.events["kind"] == EventKind.POSITION]
    assert np.abs(rows["lots"]).max() == 100_000


def test_a_market_without_a_named_share_gets_the_default_share() -> None:
    parameters = replace(default_parameters(), accounts=500, default_share=1e6)
    rows = population_events(small_rules(2), (SYMBOLS[0], "NEW/USDT:USDT"), UNIT, parameters, MARKS, 1, 0).events
    rows = rows[rows["kind"] == EventKind.POSITION]
    assert (rows["market"] == 1).sum() >= 490


def test_one_market_alone_has_no_second_positions() -> None:
    population = population_events(small_rules(1), SYMBOLS[:1], UNIT, replace(default_parameters(), accounts=100), MARKS[:1], 1, 0)
    assert (population.events["kind"] == EventKind.POSITION).sum() == 100


def test_what_the_venue_has_no_room_for_is_named() -> None:
    with pytest.raises(PopulationError, match=r"accounts = 5000: must be at most limits.accounts_max, 4096"):
        draw(accounts=5_000)
    with pytest.raises(ValueError, match=r"first mark of ETH/USDT:USDT = 0 ticks"):
        population_events(small_rules(2), SYMBOLS, UNIT, default_parameters(), (1, 0), 1, 0)
    with pytest.raises(ValueError, match="must be one per market, 2"):
        population_events(small_rules(2), SYMBOLS[:1], UNIT, default_parameters(), (1,), 1, 0)
    with pytest.raises(PopulationError, match="no market of"):
        draw(shares={}, default_share=0.0)


def test_the_bundled_parameters_are_those_of_the_design() -> None:
    parameters = default_parameters()
    assert parameters.accounts == 50_000
    assert (parameters.leverage.mean_of_log, parameters.leverage.deviation_of_log) == (1.2, 0.8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("long_share = 0.62", "long_shere = 0.62", r"long_shere: unknown key: did you mean `long_share`\?$"),
        ("long_share = 0.62", "", "long_share: missing"),
        ("long_share = 0.62", "long_share = 1.5", r"long_share = 1.5: must be a number from 0 to 1"),
        ("long_share = 0.62", "long_share = nan", r"long_share = nan: must be a number from 0 to 1"),
        ("accounts = 50_000", "accounts = 2.5", r"accounts = 2.5: must be a whole number"),
        ("accounts = 50_000", "accounts = true", r"accounts = True: must be a whole number"),
        ("mean_of_log = 1.2", "mean = 1.2", r"leverage.mean: unknown key: must be one of mean_of_log"),
        ("tail_index = 1.3", "tail_index = 0", r"size.tail_index = 0: must be a number from 0.1 to 100"),
        ('"BTC/USDT:USDT" = 0.36', '"BTC/USDT:USDT" = "much"', r'shares."BTC/USDT:USDT" = \'much\': must be a number'),
        ("hedged_share = 0.15", "hedged_share = 0.95", r"hedged_share \+ second_share = 1.15: must be at most 1"),
        ("[leverage]", "[leverage", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    from backstop.markets import population as module

    text = module._DEFAULT.read_text()
    assert old in text
    path = tmp_path / "people.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PopulationError, match=message):
        load_parameters(path)
    with pytest.raises(PopulationError, match=message):
        parse_parameters(text.replace(old, new, 1))
