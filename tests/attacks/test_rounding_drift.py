"""Rounding that adds up: ADL waves by the hundred thousand, and not one atom drifts.

Each wave closes the odd lots of an insolvent account at an odd zero price against several
counterparties, whose costs are odd fractions. ``BACKSTOP_WAVES=1000000`` (``make drift``) runs the
long form.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray

from backstop.core.engine import step
from backstop.core.events import EVENT, NONE, REMAINDER, UNCOVERED, WORLD, AdlPolicy, EffectKind, EventKind, Stage, Transfer
from backstop.core.instruments import LevelRules, LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.places import house_slot
from backstop.core.state import State, new_state

WAVES = int(os.environ.get("BACKSTOP_WAVES", "100000"))
#: Waves between two looks at everything.
BLOCK = 1_000
COUNTERPARTIES = 5
TIERS = (TierRules(0, 100_000, 50_000), TierRules(20_000, 200_000, 100_000))


def make_rules(policy: AdlPolicy) -> VenueRules:
    """Return a venue whose factor and rates share no divisor with the prices."""
    market = MarketRules(7, 1 << 20, 1 << 20, TIERS, (1_000,), 20_000)
    limits = LimitRules(accounts_max=8, positions_max=16, orders_max=4, effects_max=1 << 16)
    levels = LevelRules(exit_buffer_ppm=0, warning_ratio_ppm=1_000_000)
    return VenueRules((market,), stages=(Stage.ADL, Stage.TEAR_UP), adl_policy=policy, levels=levels, limits=limits)


class Tape:
    """Writes events as columns, many at once."""

    def __init__(self, side: int) -> None:
        """Start before the first event."""
        self.side, self.seq, self.rows = side, 0, [np.zeros(0, dtype=EVENT)]

    def add(self, kind: EventKind, **fields: int) -> None:
        """Add one event."""
        row = np.zeros(1, dtype=EVENT)
        row["account"] = row["market"] = NONE
        for name, value in {"kind": int(kind), **fields}.items():
            row[name] = value
        self.rows.append(row)

    def take(self) -> NDArray[np.void]:
        """Return what was written, numbered and a nanosecond apart."""
        rows = np.concatenate(self.rows)
        rows["seq"] = rows["time_ns"] = np.arange(self.seq + 1, self.seq + 1 + len(rows))
        self.seq += len(rows)
        self.rows = []
        return rows


def opening(tape: Tape) -> NDArray[np.void]:
    """Open the defaulter and rich counterparties that hold odd positions at odd costs."""
    tape.add(EventKind.MARK, market=0, price_ticks=1_009)
    for account in range(1 + COUNTERPARTIES):
        tape.add(EventKind.ACCOUNT, account=account, other=account)
        tape.add(EventKind.TRANSFER, account=account, amount=1 if account == 0 else 10**15)
    for account in range(1, 1 + COUNTERPARTIES):
        lots = -tape.side * (100_003 + 17 * account)
        tape.add(EventKind.FILL, market=0, account=account, other=NONE, lots=lots, price_ticks=997 + 13 * account)
    return tape.take()


def block_of_waves(tape: Tape, rng: np.random.Generator, deficits: NDArray[np.int64]) -> NDArray[np.void]:
    """Write waves: a mark, a deposit, a trade with OUTSIDE, a charge that leaves a deficit; the
    counterparties trade back.
    """
    count = len(deficits)
    rows = np.zeros((count, 5), dtype=EVENT)
    rows["market"] = NONE
    rows["account"] = 0
    lots, marks = rng.integers(1, 60, count), rng.integers(701, 1_399, count)
    deposits = rng.integers(1, 10**6, count)
    giver = rng.integers(1, 1 + COUNTERPARTIES, count)
    for column, kind in enumerate((EventKind.MARK, EventKind.TRANSFER, EventKind.FILL, EventKind.TRANSFER, EventKind.FILL)):
        rows["kind"][:, column] = int(kind)
    rows["market"][:, [0, 2, 4]] = 0
    rows["account"][:, 0] = NONE
    rows["price_ticks"][:, 0] = rows["price_ticks"][:, 2] = marks
    rows["amount"][:, 1] = deposits + lots * 1_399 * 7  # enough for the trade to be sound
    rows["code"][:, 3] = int(Transfer.FUNDING)
    rows["amount"][:, 3] = -(rows["amount"][:, 1] + deficits)
    rows["other"][:, [2, 4]] = NONE
    rows["lots"][:, 2] = tape.side * lots
    rows["account"][:, 4], rows["lots"][:, 4] = giver, -tape.side * lots
    rows["price_ticks"][:, 4] = marks + rng.integers(-9, 10, count)
    tape.rows.append(rows.ravel())
    return tape.take()


def run(state: State, rows: NDArray[np.void]) -> dict[EffectKind, int]:
    """Apply rows; return how many effects of each kind there were."""
    counts = np.zeros(64, dtype=np.int64)
    place, engine = 0, state.engine[0]
    while place < len(rows):
        place = int(step(state, rows, place))
        counts += np.bincount(state.effects["kind"][: int(engine.effects_now)], minlength=64)
        engine.effects_now = 0
    return {kind: int(counts[kind]) for kind in EffectKind}


def findings(state: State, lost: int) -> list[str]:
    """Return what does not add up: the ledger, the lots, the costs, the defaulter, and what the
    counterparties lost.
    """
    house, accounts = state.house, state.accounts["balance"][: 1 + COUNTERPARTIES]
    rows = state.positions[: int(state.engine[0].positions_now)]
    clearing = int(house[int(house_slot(-16))])
    found = []
    if int(house.sum()) + int(accounts.sum()):
        found.append(f"the ledger sums to {int(house.sum()) + int(accounts.sum())}")
    if int(rows["lots"].sum()) or int(rows["cost"].sum()) + clearing:
        found.append(f"lots {rows['lots'].sum()}, costs {rows['cost'].sum()}, clearing {clearing}")
    if int(house[int(house_slot(REMAINDER))]) or int(house[int(house_slot(UNCOVERED))]):
        found.append("something was left over, or nobody paid")
    if int(accounts[0]) or int(rows[rows["account"] == 0]["lots"].sum()):
        found.append(f"the defaulter keeps {accounts[0]}")
    # OUTSIDE realises what the counterparties pay: with all positions at the mark, nothing but the
    # deficits left the accounts.
    if lost_so_far(state) != lost:
        found.append(f"deficits of {lost}, the charges beyond what was paid in are {lost_so_far(state)}")
    return found


def lost_so_far(state: State) -> int:
    """Return what was charged to the defaulter beyond what it brought: nobody but its
    counterparties can have paid it.
    """
    others_brought = COUNTERPARTIES * 10**15
    paid_in = -int(state.house[int(house_slot(WORLD))])
    return others_brought - paid_in


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("policy", [AdlPolicy.CAPPED_PRO_RATA, AdlPolicy.PRO_RATA])
def test_nothing_drifts(side: int, policy: AdlPolicy) -> None:
    """After every thousand waves everything sums to zero, and the deficits were paid by the
    counterparties to the atom.
    """
    waves = WAVES // 4 if policy == AdlPolicy.PRO_RATA else WAVES
    rules, tape, rng = make_rules(policy), Tape(side), np.random.default_rng(5 + side)
    state = new_state(rules)
    run(state, opening(tape))
    run(state, charge_all(tape, state))
    lost = 0
    for _ in range(max(1, waves // BLOCK)):
        deficits = rng.integers(1, 5_000, BLOCK)
        counts = run(state, block_of_waves(tape, rng, deficits))
        lost += int(deficits.sum())
        assert counts[EffectKind.ADL_PLAN] == BLOCK
        assert counts[EffectKind.TEAR_UP] == counts[EffectKind.RESIDUAL] == counts[EffectKind.REFUSAL] == 0
        assert findings(state, lost) == []


def charge_all(tape: Tape, state: State) -> NDArray[np.void]:
    """Take the atom with which the defaulter was opened."""
    tape.add(EventKind.TRANSFER, account=0, amount=-int(state.accounts[0].balance))
    return tape.take()
