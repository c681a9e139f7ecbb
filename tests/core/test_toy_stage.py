"""A toy stage that takes all accounts of an event at once, as docs/how-to/add-a-stage.md builds it.

The driver is the engine's own, with a dispatch that knows one kind more. Each call of the toy
leaves an effect of a kind of its own: a test sees how often it was called, with how many accounts.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from backstop.compiled import kernel
from backstop.core.columns import OWNER_FIRST, PARKED
from backstop.core.events import HOUSE_FIRST_MARKET, NEVER_NS, NONE, EffectArray, EffectKind, Health, Stage
from backstop.core.instruments import LimitRules, TierRules
from backstop.core.margin import assess, raw_health
from backstop.core.monitor import start_round, touch
from backstop.core.outbox import emit
from backstop.core.places import house_slot
from backstop.core.position_rows import open_position_row
from backstop.core.rows import STAGE
from backstop.core.state import State, new_state
from backstop.core.waterfall import run
from backstop.core.waterfall.dispatch import act
from tests.core.crossing import cross
from tests.core.desk import make_rules

pytestmark = [pytest.mark.bounds, pytest.mark.interpreted]

MARK, FACTOR = 100, 10
#: Kind of the toy's row, and of the effect of a call: ``lots`` accounts were in its turn.
TOY, CALLED = 100, 100
LIMITS = LimitRules(accounts_max=16, positions_max=32, orders_max=4, effects_max=1_024)


@kernel
def act_with_toy(state: State, turn: int, first: int, count: int) -> int:
    """Dispatch as the engine does, and the toy."""
    if state.stages[turn].kind == TOY:
        emit(state, CALLED, 0, NONE, NONE, 0, count, 0, 0, 0)
        return cross(state, turn, first, count)
    return act(state, turn, first, count)


@pytest.fixture(scope="module")
def run_rounds() -> Iterator[Callable[[State], None]]:
    """Return the engine's loop over the stages, with the toy in its dispatch."""
    # Under a name of its own, which its machine code bears, too.
    spec = importlib.util.spec_from_file_location("tests.core.run_with_toy", Path(run.__file__))
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        module.act = act_with_toy
        yield module.run_rounds
    finally:
        del sys.modules[spec.name]


class Holding(NamedTuple):
    """An account with one position in market 0, opened at the mark."""

    balance: int
    lots: int
    owner: int = NONE


def toy_state(
    holdings: list[Holding],
    *,
    limits: LimitRules = LIMITS,
    from_health: Health = Health.DISTRESSED,
    stages: tuple[Stage, ...] = (Stage.ADL, Stage.TEAR_UP),
) -> State:
    """Return a state whose waterfall is the toy, then these stages.

    OUTSIDE takes what does not net. The book is expected to cost nothing, so nobody is charged.
    """
    made = new_state(make_rules(stages, (TierRules(0, 100_000, 50_000),), factor=FACTOR, markets=2, limits=limits))
    toy = np.zeros(1, dtype=STAGE)
    toy[0].kind, toy[0].is_joint = TOY, 1
    toy[0].from_health, toy[0].until_health = from_health, Health.INSOLVENT
    toy[0].interval_ns = 7_000_000_000
    arrays = {name: getattr(made, name) for name in State.FIELDS}
    state = State(**arrays | {"stages": np.concatenate([toy, made.stages]).view(np.dtype((np.record, STAGE)))})
    state.markets[0].mark_ticks = state.markets[1].mark_ticks = MARK
    state.markets["slippage_tolerance_ppm"] = 0
    state.engine[0].accounts_now = len(holdings)
    for account, holding in enumerate(holdings):
        _add_account(state, account, holding)
    outside = state.positions[0]
    outside.lots = -sum(holding.lots for holding in holdings)
    outside.cost = outside.lots * MARK * FACTOR
    return state


def _add_account(state: State, account: int, holding: Holding) -> None:
    head = state.accounts[account]
    head.owner = account if holding.owner == NONE else holding.owner
    head.balance, head.first_position = holding.balance, NONE
    head.next_of_owner = state.columns[OWNER_FIRST, head.owner]
    state.columns[OWNER_FIRST, head.owner] = account
    head.default_since_ns, head.wait_until_ns = 0, NEVER_NS
    row = state.positions[open_position_row(state, account, 0)]
    row.lots, row.cost = holding.lots, holding.lots * MARK * FACTOR
    head.health = raw_health(state, *assess(state, account))


class Outcome(NamedTuple):
    """What an event with the toy did."""

    #: How many accounts each call of the toy had.
    calls: list[int]
    lots: list[int]
    #: Counterparties of the trades of each account, in order.
    traded: dict[int, list[int]]
    effects: EffectArray


def process(run_rounds: Callable[[State], None], state: State, touched: range) -> Outcome:
    """Let an event touch some accounts, and return what the waterfall did.

    Nothing is lost or made.
    """
    before = totals(state)
    start_round(state)
    for account in touched:
        touch(state, account)
    run_rounds(state)
    assert totals(state) == before
    assert int(state.engine[0].parked_now) == 0
    assert not state.defaults["parked_turn"].any()
    effects = state.effects[: int(state.engine[0].effects_now)].copy()
    accounts = range(int(state.engine[0].accounts_now))
    trades = effects[effects["kind"] == EffectKind.TRADE]
    return Outcome(
        calls=effects["lots"][effects["kind"] == CALLED].tolist(),
        lots=[int(state.positions[int(state.accounts[account].first_position)].lots) for account in accounts],
        traded={account: trades["other"][trades["account"] == account].tolist() for account in accounts},
        effects=effects,
    )


def totals(state: State) -> tuple[int, int, int]:
    """Return what an event keeps: all money, all lots of market 0, and clearing with all costs."""
    rows = state.positions[: int(state.engine[0].positions_now)]
    clearing = int(state.house[int(house_slot(HOUSE_FIRST_MARKET))])
    money = sum(state.house.tolist()) + sum(state.accounts["balance"].tolist())
    return money, int(rows["lots"][rows["market"] == 0].sum()), clearing + int(rows["cost"].sum())


def test_the_toy_takes_all_accounts_of_an_event_at_once(run_rounds: Callable[[State], None]) -> None:
    """10 and 4 lots long, 12 short: 12 are crossed in order of urgency; the rest is for ADL."""
    state = toy_state([Holding(60, 10), Holding(-100, -12), Holding(60, 4), Holding(50_000, -5)])
    assert state.accounts["health"][:4].tolist() == [Health.CLOSE_OUT, Health.INSOLVENT, Health.CLOSE_OUT, Health.HEALTHY]
    outcome = process(run_rounds, state, range(4))
    assert outcome.calls == [3]
    assert outcome.traded[1] == [0, 2]  # of the two longs, 0 has the lower equity over margin
    # Of the 2 lots left to it, ADL closes the one that restores it.
    assert outcome.traded[2] == [1, NONE]
    assert outcome.lots == [0, 0, 1, -4]
    plans = outcome.effects[outcome.effects["kind"] == EffectKind.ADL_PLAN]
    assert (plans["account"].tolist(), plans["lots"].tolist()) == ([2], [-1])


def test_a_joint_turn_acts_before_a_later_one(run_rounds: Callable[[State], None]) -> None:
    """Account 0 comes to the toy, account 1 to tear-up: the toy acts alone, then both meet at tear-up."""
    state = toy_state([Holding(-100, 4), Holding(50, -4)], from_health=Health.INSOLVENT, stages=(Stage.TEAR_UP,))
    outcome = process(run_rounds, state, range(2))
    assert outcome.calls == [1]
    assert outcome.lots == [0, 0]
    assert outcome.traded == {0: [NONE], 1: [NONE]}
    assert state.accounts[0].balance == 0
    assert outcome.effects["kind"].tolist().count(EffectKind.RESIDUAL) == 1


def test_what_a_joint_turn_leaves_meets_those_of_the_next(run_rounds: Callable[[State], None]) -> None:
    """The toy crosses 6 of the 10 lots of account 0; the other 4 end against account 1 at tear-up."""
    holdings = [Holding(-100, 10), Holding(50, -4), Holding(-10, -6)]
    state = toy_state(holdings, from_health=Health.INSOLVENT, stages=(Stage.TEAR_UP,))
    outcome = process(run_rounds, state, range(3))
    assert outcome.calls == [2]
    assert outcome.lots == [0, 0, 0]
    assert outcome.traded[0] == [2, NONE]
    assert outcome.traded[1] == [NONE]


def test_an_account_that_netting_brings_into_default_comes_with_the_others(run_rounds: Callable[[State], None]) -> None:
    """What account 1 gives account 0 of its owner puts it in default; they come together."""
    state = toy_state([Holding(-300, 10), Holding(501, -10, owner=0)])
    assert state.accounts["health"][:2].tolist() == [Health.INSOLVENT, Health.WARNED]
    outcome = process(run_rounds, state, range(1))
    assert outcome.calls == [2]
    assert outcome.traded == {0: [1], 1: [0]}
    assert state.accounts["balance"][:2].tolist() == [0, 201]


def test_an_account_that_the_turn_is_not_for_any_more_starts_again(run_rounds: Callable[[State], None]) -> None:
    """It stands at the turn as if it had come there insolvent; it is solvent, so ADL has it."""
    state = toy_state([Holding(60, 10), Holding(50_000, -10)], from_health=Health.INSOLVENT)
    state.columns[PARKED, 0], state.defaults[0].parked_turn, state.engine[0].parked_now = 0, 1, 1
    outcome = process(run_rounds, state, range(0))
    assert outcome.calls == []
    assert outcome.traded[0] == [NONE]
    assert state.accounts[0].health == Health.WARNED


def test_in_a_crowded_event_everyone_waits_the_interval_of_the_turn(run_rounds: Callable[[State], None]) -> None:
    """The toy is not called; each account has a place in the queue of waits."""
    state = toy_state([Holding(300, 10), Holding(-100, -12)], limits=LIMITS._replace(effects_max=8))
    state.engine[0].effects_now = 5
    outcome = process(run_rounds, state, range(2))
    assert outcome.calls == []
    assert outcome.lots == [10, -12]
    assert state.accounts["wait_until_ns"][:2].tolist() == [7_000_000_000] * 2
